"""Prompts: the right template, the right number of BOS, labels of one token."""

import json

import pytest
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from actors.bundled import bundled_path
from actors.rendering import Renderer, count_tokens
from actors.types import ConfigError, Message

WORDS = [
    "<bos>",
    "<eos>",
    "<unk>",
    "<end_of_turn>",
    "user",
    "assistant",
    ":",
    "Hi",
    "Yes",
    "No",
    "is",
]
BOS, EOS, UNK, END = 0, 1, 2, 3

HI = (Message(role="user", content="Hi"),)


def make_tokenizer(path, *, template=None, adds="$A"):
    """A tokenizer of whole words; `adds` says what it puts around a text, such as `<bos> $A`."""
    core = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single=adds, special_tokens=[("<bos>", BOS), ("<eos>", EOS)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<end_of_turn>"]})
    if template:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(str(path))
    (path / "config.json").write_text("{}")
    return path


def ids_of(*words):
    return [WORDS.index(word) for word in words]


TURNS = "{% for m in messages %}{{ m.role }} : {{ m.content }} <end_of_turn>{% endfor %}"
GENERATION = "{% if add_generation_prompt %} assistant : {% endif %}"


@pytest.fixture(scope="module")
def smol_path():
    return bundled_path("smollm2-135m-instruct")


@pytest.fixture(scope="module")
def smol(smol_path):
    return Renderer(smol_path)


def test_the_template_writes_the_only_bos_although_the_tokenizer_would_add_one(tmp_path):
    path = make_tokenizer(tmp_path, template="<bos> " + TURNS + GENERATION, adds="<bos> $A")
    renderer = Renderer(path)
    ids = renderer.render(HI)
    assert ids == ids_of("<bos>", "user", ":", "Hi", "<end_of_turn>", "assistant", ":")
    assert renderer.bos_count(ids) == 1
    assert renderer.template_name == "chat"
    assert len(renderer.template_hash) == 64


def test_a_template_without_bos_stays_without(tmp_path):
    renderer = Renderer(make_tokenizer(tmp_path, template=TURNS, adds="<bos> $A"))
    assert renderer.bos_count(renderer.render(HI)) == 0


def test_a_template_that_writes_bos_twice_is_refused(tmp_path):
    renderer = Renderer(make_tokenizer(tmp_path, template="<bos> <bos> " + TURNS))
    with pytest.raises(ConfigError, match=r"2 BOS tokens.*wanted 1"):
        renderer.render(HI)


def test_without_a_template_contents_are_joined_after_the_tokenizers_own_bos(tmp_path):
    renderer = Renderer(make_tokenizer(tmp_path, adds="<bos> $A"))
    turns = (*HI, Message(role="assistant", content="Yes"))
    assert renderer.render(turns) == ids_of("<bos>", "Hi", "Yes")
    assert (renderer.template_name, renderer.template_hash) == ("none", "")


def test_a_tokenizer_that_adds_eos_does_not_end_the_prompt(tmp_path):
    renderer = Renderer(make_tokenizer(tmp_path, adds="<bos> $A <eos>"))
    assert renderer.render(HI) == ids_of("<bos>", "Hi")


def test_a_tokenizer_that_adds_nothing_gets_no_bos(tmp_path):
    assert Renderer(make_tokenizer(tmp_path)).render(HI) == ids_of("Hi")


def test_bos_spelled_in_a_message_is_text_and_not_counted(tmp_path):
    renderer = Renderer(make_tokenizer(tmp_path, adds="<bos> $A"))
    ids = renderer.render((Message(role="user", content="<bos> Hi"),))
    # The letters of the tag are words that this small vocabulary doesn't know.
    assert ids == [BOS, UNK, UNK, UNK, *ids_of("Hi")]


def test_template_none_leaves_the_template_out(tmp_path):
    path = make_tokenizer(tmp_path, template="<bos> " + TURNS)
    assert Renderer(path, "none").render(HI) == ids_of("Hi")


def test_an_empty_prompt_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"empty"):
        Renderer(make_tokenizer(tmp_path)).render((Message(role="user", content=""),))


def test_a_template_that_refuses_the_roles_says_which(tmp_path):
    strict = "{{ raise_exception('no system turn here') }}"
    renderer = Renderer(make_tokenizer(tmp_path, template=strict))
    with pytest.raises(ConfigError, match=r"refuses roles.*user.*no system turn here"):
        renderer.render(HI)


def test_a_directory_without_a_tokenizer_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match=r"can't load the tokenizer"):
        Renderer(tmp_path)


def test_stop_tokens_come_from_all_configs_and_the_template(tmp_path):
    path = make_tokenizer(tmp_path, template=TURNS)
    (path / "generation_config.json").write_text(json.dumps({"eos_token_id": [EOS, 7]}))
    assert Renderer(path).stop_token_ids == (EOS, END, 7)
    assert Renderer(path, "none").stop_token_ids == (EOS, 7)


def test_labels_are_the_tokens_that_continue_the_prompt(tmp_path):
    renderer = Renderer(make_tokenizer(tmp_path, template=TURNS + GENERATION))
    assert renderer.label_ids(("Yes", "No"), HI) == ids_of("Yes", "No")


def test_a_label_of_two_tokens_and_two_labels_of_one_are_refused(tmp_path):
    renderer = Renderer(make_tokenizer(tmp_path, template=TURNS + GENERATION))
    with pytest.raises(ConfigError, match=r"'Yes No' must be one token"):
        renderer.label_ids(("Yes No",), HI)
    with pytest.raises(ConfigError, match=r"share a token"):
        renderer.label_ids(("Yes", "Yes"), HI)


def test_the_real_template_renders_as_transformers_renders_it(smol_path, smol):
    tokenizer = AutoTokenizer.from_pretrained(str(smol_path))
    turns = [{"role": "user", "content": "What is 12 + 3?"}]
    text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    ids = smol.render((Message(role="user", content="What is 12 + 3?"),))
    assert ids == tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
    assert smol.preview((Message(role="user", content="What is 12 + 3?"),)).text == text
    assert text.endswith("<|im_start|>assistant\n")
    assert smol.stop_token_ids == (2,)


def test_a_preview_counts_bos_and_shows_the_first_ten_tokens(smol):
    preview = smol.preview(HI)
    assert preview.template == "chat"
    assert preview.num_bos == 1
    assert preview.first_ids[0] == (1, "<|im_start|>")
    assert len(preview.first_ids) == 10
    assert preview.ids == tuple(smol.render(HI))
    assert preview.template_hash == smol.template_hash


def test_real_labels_follow_a_chat_turn_bare_and_plain_text_after_a_space(smol_path, smol):
    chat = smol.label_ids(("Yes", "No"), HI)
    assert [smol.text([i]) for i in chat] == ["Yes", "No"]
    plain = Renderer(smol_path, "none")
    spaced = plain.label_ids(("Yes", "No"), (Message(role="user", content="Is it so? Answer:"),))
    assert [plain.text([i]) for i in spaced] == [" Yes", " No"]
    assert spaced != chat
    with pytest.raises(ConfigError, match=r"must be one token"):
        smol.label_ids(("Antidisestablishmentarianism",), HI)


def test_generated_text_has_no_special_tokens_and_keeps_its_spaces(smol):
    ids = smol.render(HI)[-3:]
    assert smol.text([*ids, 2]) == "assistant\n"


def test_gemma_reads_plain_text_after_exactly_one_bos():
    gemma = Renderer(bundled_path("gemma-3-270m"))
    ids = gemma.render((Message(role="user", content="Hello"),))
    assert ids == [2, 9259]
    assert gemma.template_name == "none"
    spelled = gemma.render((Message(role="user", content="<bos>Hello"),))
    assert (gemma.bos_count(spelled), gemma.raw_text(spelled)) == (1, "<bos><bos>Hello")
    assert [gemma.text([i]) for i in gemma.label_ids(("Yes", "No"), HI)] == [" Yes", " No"]


def test_counting_tokens_is_rendering_and_counting(smol_path, smol):
    prompts = [HI, (Message(role="user", content="What is 12 + 3?"),)]
    assert count_tokens(smol_path, "auto", prompts) == [len(smol.render(p)) for p in prompts]
    assert count_tokens(smol_path, "none", prompts) == [1, 9]
