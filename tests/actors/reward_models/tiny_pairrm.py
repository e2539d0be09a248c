"""An encoder of a few thousand numbers in PairRM's published layout, and what it must say.

The reference is written from DeBERTa's paper (arXiv 2006.03654, disentangled attention) and
PairRM's head, in plain torch.
"""

import json
import math
from pathlib import Path
from string import ascii_letters, digits, punctuation
from typing import Any

import torch
from safetensors.torch import save_file
from torch.nn import functional
from transformers import DebertaV2Tokenizer

from actors.types import Message

HIDDEN, INNER, LAYERS, HEADS, BUCKETS, POSITIONS, TASKS = 16, 24, 2, 2, 8, 32, 2
EPS = 1e-7
PREFIXES = ["<|source|>", "<|candidate1|>", "<|candidate2|>", "<|candidate|>"]
QUESTION = (Message(role="user", content="What is the capital?"),)
REPLIES = ("Paris of the river", "no", "I think that it is the one of the north, or " * 3)
Tensors = dict[str, torch.Tensor]


def tokenizer() -> Any:
    """Every character is a piece, with and without a space in front, and a few are longer."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    pieces = [*ascii_letters, *digits, *punctuation, "\u2581"]
    longer = [f"\u2581{x}" for x in ascii_letters] + ["\u2581the", "\u2581of", "ing", "er"]
    vocabulary = [(piece, 0.0) for piece in special]
    vocabulary += [(piece, -3.0) for piece in pieces] + [(piece, -2.0) for piece in longer]
    made = DebertaV2Tokenizer(vocab=[*vocabulary, ("[MASK]", 0.0)], unk_id=3)
    made.add_tokens(PREFIXES)
    return made


def save(folder: Path, **more: Any) -> Tensors:
    """A random encoder in the layout of llm-blender/PairRM-hf. Returns all tensors."""
    made = tokenizer()
    made.save_pretrained(folder)
    ids = made.convert_tokens_to_ids(PREFIXES)
    config = {
        "architectures": ["DebertaV2PairRM"],
        "model_type": "deberta-v2",
        "vocab_size": len(made),
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "hidden_act": "gelu",
        "layer_norm_eps": EPS,
        "max_position_embeddings": POSITIONS,
        "max_relative_positions": -1,
        "norm_rel_ebd": "layer_norm",
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "position_buckets": BUCKETS,
        "relative_attention": True,
        "share_att_key": True,
        "type_vocab_size": 0,
        "pad_token_id": 0,
        "n_tasks": TASKS,
        "drop_out": 0.5,
        **dict(zip(("source_prefix_id", "cand1_prefix_id", "cand2_prefix_id"), ids, strict=False)),
        **more,
    }
    (folder / "config.json").write_text(json.dumps(config))
    tensors = _tensors(len(made))
    save_file(tensors, str(folder / "model.safetensors"))
    return tensors


def _tensors(vocabulary: int) -> Tensors:
    made = torch.Generator().manual_seed(5)

    def linear(name: str, out: int, into: int, scale: float = 0.5) -> Tensors:
        return {
            f"{name}.weight": torch.randn(out, into, generator=made) * scale,
            f"{name}.bias": torch.randn(out, generator=made) * 0.1,
        }

    def norm(name: str) -> Tensors:
        return {
            f"{name}.weight": 1 + torch.randn(HIDDEN, generator=made) * 0.1,
            f"{name}.bias": torch.randn(HIDDEN, generator=made) * 0.1,
        }

    body = {
        "embeddings.word_embeddings.weight": torch.randn(vocabulary, HIDDEN, generator=made),
        **norm("embeddings.LayerNorm"),
        "encoder.rel_embeddings.weight": torch.randn(2 * BUCKETS, HIDDEN, generator=made),
        **norm("encoder.LayerNorm"),
    }
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        for name in ("query", "key", "value"):
            body |= linear(f"{layer}.attention.self.{name}_proj", HIDDEN, HIDDEN)
        body |= linear(f"{layer}.attention.output.dense", HIDDEN, HIDDEN)
        body |= norm(f"{layer}.attention.output.LayerNorm")
        body |= linear(f"{layer}.intermediate.dense", INNER, HIDDEN)
        body |= linear(f"{layer}.output.dense", HIDDEN, INNER)
        body |= norm(f"{layer}.output.LayerNorm")
    return {
        **{f"pretrained_model.{name}": tensor for name, tensor in body.items()},
        **linear("head_layer.1", HIDDEN, 2 * HIDDEN, 1.0),
        **linear("head_layer.4", TASKS, HIDDEN, 1.0),
    }


def logit(tensors: Tensors, ids: list[int]) -> float:
    """Of one comparison, on its own."""
    made = tokenizer()
    states = hidden(tensors, ids)
    source, first, second = (
        states[ids.index(made.convert_tokens_to_ids(prefix))] for prefix in PREFIXES[:3]
    )
    one, other = (
        _linear(tensors, "head_layer.4", _linear(tensors, "head_layer.1", both).tanh())
        for both in (torch.cat([source, first]), torch.cat([source, second]))
    )
    return float((one - other).mean())


def hidden(tensors: Tensors, ids: list[int]) -> torch.Tensor:
    """The last layer's output. [T][H]"""
    body = {name.removeprefix("pretrained_model."): tensor for name, tensor in tensors.items()}
    states = _norm(body, "embeddings.LayerNorm", body["embeddings.word_embeddings.weight"][ids])
    relative = _norm(body, "encoder.LayerNorm", body["encoder.rel_embeddings.weight"])
    for i in range(LAYERS):
        name = f"encoder.layer.{i}"
        mixed = _linear(
            body, f"{name}.attention.output.dense", _attend(body, name, states, relative)
        )
        states = _norm(body, f"{name}.attention.output.LayerNorm", mixed + states)
        inner = functional.gelu(_linear(body, f"{name}.intermediate.dense", states))
        outer = _linear(body, f"{name}.output.dense", inner)
        states = _norm(body, f"{name}.output.LayerNorm", outer + states)
    return states


def _attend(body: Tensors, name: str, states: torch.Tensor, relative: torch.Tensor) -> torch.Tensor:
    """Content to content, content to position and position to content, each a third of the
    variance.
    """
    width = HIDDEN // HEADS

    def heads(which: str, vectors: torch.Tensor) -> torch.Tensor:
        made = _linear(body, f"{name}.attention.self.{which}_proj", vectors)
        return made.view(len(vectors), HEADS, width).transpose(0, 1)

    query, key, value = (heads(which, states) for which in ("query", "key", "value"))
    position_query, position_key = heads("query", relative), heads("key", relative)
    num = len(states)
    rows = torch.arange(num)[:, None]
    # Where each key is as its query sees it, and each query as its key does.
    seen = torch.tensor([[_row(q - k) for k in range(num)] for q in range(num)])
    back = torch.tensor([[_row(q - k) for q in range(num)] for k in range(num)])
    weights = query @ key.transpose(1, 2)
    weights += (query @ position_key.transpose(1, 2))[:, rows, seen]
    weights += (key @ position_query.transpose(1, 2))[:, rows, back].transpose(1, 2)
    weights /= math.sqrt(3 * width)
    mixed = weights.softmax(dim=-1) @ value
    return mixed.transpose(0, 1).reshape(num, HIDDEN)


def _row(distance: int) -> int:
    """Of the table of relative positions: near distances as they are, far ones by their logarithm,
    the farthest alike.
    """
    middle, bucket = BUCKETS // 2, distance
    if abs(distance) > middle:
        share = math.log(abs(distance) / middle) / math.log((POSITIONS - 1) / middle)
        bucket = int(math.copysign(math.ceil(share * (middle - 1)) + middle, distance))
    return min(max(bucket + BUCKETS, 0), 2 * BUCKETS - 1)


def _linear(tensors: Tensors, name: str, states: torch.Tensor) -> torch.Tensor:
    return states @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def _norm(tensors: Tensors, name: str, states: torch.Tensor) -> torch.Tensor:
    centred = states - states.mean(-1, keepdim=True)
    scaled = centred / (centred.pow(2).mean(-1, keepdim=True) + EPS).sqrt()
    return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]
