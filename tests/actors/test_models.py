"""Finding a model and telling it from another, on directories made of a few bytes."""

import json
import struct
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from actors.config import ModelConfig
from actors.models import context_length, fingerprint, num_parameters, resolve
from actors.types import ConfigError


def make_model(path, *, payload=b"\0" * 8, **config):
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps({"max_position_embeddings": 64, **config}))
    (path / "tokenizer.json").write_text("{}")
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + payload)
    return path


def test_a_local_directory_is_taken_as_it_is(tmp_path):
    model = resolve(ModelConfig(path=str(make_model(tmp_path / "m"))))
    assert model.path == tmp_path / "m"
    assert model.is_local
    assert model.revision is None


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("config.json", "config.json"),
        ("tokenizer.json", "a tokenizer"),
        ("model.safetensors", "weights"),
    ],
)
def test_a_directory_that_is_not_whole_names_what_is_missing(tmp_path, gone, named):
    (make_model(tmp_path / "m") / gone).unlink()
    with pytest.raises(ConfigError, match=f"lacks {named}"):
        resolve(ModelConfig(path=str(tmp_path / "m")))


def test_a_path_that_looks_local_is_never_asked_of_the_hub(tmp_path):
    with pytest.raises(ConfigError, match="wanted a model directory"):
        resolve(ModelConfig(path=str(tmp_path / "absent")))


def test_no_path_and_an_unknown_bundled_name_are_refused():
    with pytest.raises(ConfigError, match="needs path"):
        resolve(ModelConfig())
    with pytest.raises(ConfigError, match="known: smollm2-135m-instruct"):
        resolve(ModelConfig(path="bundled:nope"))


def test_a_hub_model_is_known_by_its_commit(monkeypatch, tmp_path):
    commit = make_model(tmp_path / "snapshots" / "12fd25f")
    asked = []

    def fetch(source, *, revision, allow_patterns):
        asked.append((source, revision, allow_patterns))
        return str(commit)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    model = resolve(ModelConfig(path="owner/name", revision="main"))
    assert (model.path, model.revision, model.is_local) == (commit, "12fd25f", False)
    assert asked[0][:2] == ("owner/name", "main")
    assert not any(pattern.endswith((".py", ".bin", ".pt")) for pattern in asked[0][2])


@pytest.mark.parametrize("kind", [LocalEntryNotFoundError, RepositoryNotFoundError, OSError])
def test_a_hub_failure_is_one_line_that_says_what_to_do(monkeypatch, kind):
    import httpx

    def fetch(source, *, revision, allow_patterns):
        if kind is RepositoryNotFoundError:
            raise kind(
                "no such thing\nlong story",
                response=httpx.Response(404, request=httpx.Request("GET", "http://h")),
            )
        raise kind("no such thing\nlong story")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with pytest.raises(ConfigError, match="owner/name@v1") as caught:
        resolve(ModelConfig(path="owner/name", revision="v1"))
    assert "\n" not in str(caught.value)
    assert "local directory" in str(caught.value)


def test_a_name_that_no_hub_could_have_is_refused():
    with pytest.raises(ConfigError, match="neither a directory nor a hub id"):
        resolve(ModelConfig(path="a/b/c/d"))


def test_the_context_is_read_under_the_names_that_families_use(tmp_path):
    assert context_length(make_model(tmp_path / "a")) == 64
    path = make_model(tmp_path / "b")
    (path / "config.json").write_text('{"n_positions": 1024}')
    assert context_length(path) == 1024
    (path / "config.json").write_text('{"text_config": {"max_position_embeddings": 7}}')
    assert context_length(path) == 7
    (path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="set context:"):
        context_length(path)


def test_a_fingerprint_changes_with_what_it_covers_and_with_nothing_else(tmp_path):
    path = make_model(tmp_path / "a")
    before = fingerprint(path)
    assert before == fingerprint(make_model(tmp_path / "b"))
    assert before["chat_template"] == ""
    (path / "README.md").write_text("prose")
    assert fingerprint(path) == before
    (path / "chat_template.jinja").write_text("{{ messages }}")
    assert fingerprint(path)["chat_template"] != ""
    (path / "config.json").write_text('{"max_position_embeddings": 65}')
    assert fingerprint(path)["config.json"] != before["config.json"]


def test_a_template_inside_the_tokenizer_config_counts_too(tmp_path):
    path = make_model(tmp_path / "a")
    (path / "chat_template.jinja").write_text("T")
    beside = fingerprint(path)["chat_template"]
    (path / "chat_template.jinja").unlink()
    (path / "tokenizer_config.json").write_text('{"chat_template": "T"}')
    assert fingerprint(path)["chat_template"] == beside


def test_other_weights_of_the_same_shape_show_only_in_the_full_fingerprint(tmp_path):
    zeros, ones = make_model(tmp_path / "a"), make_model(tmp_path / "b", payload=b"\1" * 8)
    assert fingerprint(zeros) == fingerprint(ones)
    assert fingerprint(zeros, weights=True) != fingerprint(ones, weights=True)


def test_weights_of_another_size_show_in_the_short_fingerprint(tmp_path):
    whole, longer = make_model(tmp_path / "a"), make_model(tmp_path / "b", payload=b"\0" * 9)
    assert fingerprint(whole) != fingerprint(longer)


def test_a_torn_weight_file_is_refused(tmp_path):
    path: Path = make_model(tmp_path / "a")
    (path / "model.safetensors").write_bytes(b"\xff" * 12)
    with pytest.raises(ConfigError, match="not a whole safetensors file"):
        fingerprint(path)


def weights(file, **shapes):
    tensors = {name: {"dtype": "F32", "shape": shape} for name, shape in shapes.items()}
    header = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header)


def test_parameters_are_counted_from_the_headers_of_all_shards(tmp_path):
    weights(tmp_path / "model-1.safetensors", a=[3, 4], b=[5])
    weights(tmp_path / "model-2.safetensors", scalar=[], c=[2, 2, 2])
    assert num_parameters(tmp_path) == 12 + 5 + 1 + 8


def test_a_second_copy_of_the_weights_beside_the_shards_is_not_counted(tmp_path):
    weights(tmp_path / "model-1.safetensors", a=[3, 4])
    weights(tmp_path / "consolidated.safetensors", a=[3, 4])
    index = {"weight_map": {"a": "model-1.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert num_parameters(tmp_path) == 12


def test_a_header_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 4) + b"torn")
    with pytest.raises(ConfigError, match="not a whole safetensors file"):
        num_parameters(tmp_path)
