"""Thoughts that the chat template opens: the text says where they end, and is graded by that."""

import asyncio
import json
import shutil

import pytest

from actors.bundled import bundled_path
from actors.config import ModelConfig, Sampling
from actors.host import Host
from actors.rendering import Renderer
from actors.types import Completion, Item, Message
from pipelines.tasks import load_task

PLAIN = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}<|im_start|>"
ITEM = Item(
    id="a",
    task="gsm8k",
    messages=(Message(role="user", content="What is 2 + 3?"),),
    question="What is 2 + 3?",
    reference="5",
)


def tokenizer_directory(target, *, ending, special=()):
    """SmolLM2's tokenizer under a chat template that ends the prompt in `ending`."""
    source = bundled_path("smollm2-135m-instruct")
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        shutil.copy(source / name, target)
    config = json.loads((target / "tokenizer_config.json").read_text())
    config["chat_template"] = PLAIN + ending
    config["additional_special_tokens"] = list(special)
    (target / "tokenizer_config.json").write_text(json.dumps(config))
    return target


class ScriptedEngine:
    """Goes on after any prompt with the same text."""

    def __init__(self, renderer, text, finish_reason):
        self.prompts = renderer
        self.context = 64
        self._said = Completion(text=text, finish_reason=finish_reason, prompt_tokens=1)

    async def generate(self, requests):
        return [self._said for _ in requests]


def hosted(renderer, text="", finish_reason="stop"):
    host = Host("small", ModelConfig(engine="fake"))
    host._engine = ScriptedEngine(renderer, text, finish_reason)
    return host


@pytest.fixture(scope="module")
def thinking(tmp_path_factory):
    folder = tmp_path_factory.mktemp("thinking")
    return Renderer(tokenizer_directory(folder, ending="assistant\n<think>\n"))


@pytest.fixture(scope="module")
def gsm8k():
    return load_task({"name": "gsm8k", "limit": 1})


@pytest.mark.parametrize(
    ("ending", "opening"),
    [
        ("assistant\n<think>\n", "<think>\n"),
        ("assistant\n<think>", "<think>"),
        ("assistant\n<Thinking>\n\n", "<Thinking>\n\n"),
        ("assistant\n<think>\n\n</think>\n\n", ""),
        ("assistant\n<think> about it", ""),
        ("assistant\n", ""),
    ],
)
def test_the_opening_is_what_stands_open_at_the_end_of_the_prompt(tmp_path, ending, opening):
    renderer = Renderer(tokenizer_directory(tmp_path, ending=ending))
    # Jinja drops one newline at the end of a template.
    assert renderer.opening(renderer.render(ITEM.messages)).rstrip() == opening.rstrip()


@pytest.mark.parametrize(
    ("text", "finish_reason", "outcome", "answer"),
    [
        ("2 + 3, so perhaps #### 5\nbut", "length", "truncated", None),
        ("2 + 3, so perhaps #### 5\nno", "stop", "no_answer", None),
        ("It may be #### 4\n</think>\n#### 5", "stop", "correct", "5"),
        ("It may be #### 5\n</think>\n#### 4", "stop", "wrong", "4"),
        ("It may be #### 5\n</think>\nThe", "length", "truncated", None),
    ],
)
def test_a_marker_inside_the_thought_is_never_the_answer(
    thinking, gsm8k, text, finish_reason, outcome, answer
):
    host = hosted(thinking, text, finish_reason)
    (completion,) = asyncio.run(host.generate(ITEM, [1], Sampling(), 0))
    assert completion.text.startswith("<think>")
    assert completion.text.endswith(text)
    grade = gsm8k.grade(ITEM, completion.text, completion.finish_reason)
    assert (grade.outcome, grade.answer) == (outcome, answer)


def test_without_an_opened_thought_the_text_stays_as_it_is(tmp_path):
    renderer = Renderer(tokenizer_directory(tmp_path, ending="assistant\n"))
    completions = asyncio.run(hosted(renderer, "#### 5").generate(ITEM, [None, 1], Sampling(), 0))
    assert [c.text for c in completions] == ["#### 5", "#### 5"]


def test_the_tags_of_a_thought_stay_in_the_text_where_they_are_special_tokens(tmp_path):
    tags = ("<think>", "</think>")
    renderer = Renderer(tokenizer_directory(tmp_path, ending="assistant\n<think>\n", special=tags))
    ids = renderer.render(ITEM.messages)
    (close,) = renderer._tokenizer("</think>", add_special_tokens=False)["input_ids"]
    assert renderer.opening(ids).rstrip() == "<think>"
    hello = renderer._tokenizer("Hi", add_special_tokens=False)["input_ids"]
    assert renderer.text([*hello, close, *hello, 2]) == "Hi</think>Hi"


def test_a_host_previews_what_its_tokenizer_renders_however_long(thinking):
    long = Item(
        id="b",
        task="t",
        messages=(Message(role="user", content="word " * 80),),
        question="",
        reference="",
    )
    preview = asyncio.run(hosted(thinking).preview(long))
    assert preview == thinking.preview(long.messages)
    assert len(preview.ids) > 64
    assert preview.template_hash == thinking.template_hash


def test_an_engine_without_a_tokenizer_has_no_preview():
    host = Host("small", ModelConfig(engine="fake"))
    asyncio.run(host.start())
    assert asyncio.run(host.preview(ITEM)) is None
