"""How a base model is spoken to: a conversation written out as text.

    User: Hi.
    Assistant: Hello!
    User: Who are you?
    Assistant:

Such a model goes on with the user's next turn by itself, so its reply ends where that begins.
"""

STOPS = ("\nUser:", "\nSystem:", "\nAssistant:")
"""Where a reply ends."""


def template(*, adds_bos: bool) -> str:
    """Jinja. adds_bos: the tokenizer puts BOS in front of a text."""
    return (
        ("{{ bos_token }}" if adds_bos else "")
        + "{% for message in messages %}"
        + "{{ message.role | capitalize }}: {{ message.content }}\n"
        + "{% endfor %}"
        + "{% if add_generation_prompt %}Assistant:{% endif %}"
    )
