"""Reward models of a few thousand numbers in their published layouts, and what they must say.

The reference is written from the papers, in plain torch: Llama's layers, then the heads.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.nn import functional

from actors.bundled import bundled_path

HIDDEN, INNER, LAYERS, HEADS, KEY_HEADS, VOCABULARY = 16, 24, 2, 4, 2, 49152
EPS, THETA = 1e-5, 10000.0
Tensors = dict[str, torch.Tensor]


def save(folder: Path, architecture: str, more: dict[str, Any], heads: Tensors) -> Tensors:
    """A random Llama with these heads, and SmolLM2's tokenizer. Returns all tensors."""
    source = bundled_path("smollm2-135m-instruct")
    for file in source.iterdir():
        if file.suffix in (".json", ".jinja", ".txt") and file.name != "config.json":
            shutil.copy(file, folder)
    tensors = {**body(), **heads}
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        str(folder / "model.safetensors"),
    )
    config = {
        "architectures": [architecture],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 512,
        "rms_norm_eps": EPS,
        "rope_theta": THETA,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        **more,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return tensors


def body() -> Tensors:
    made = torch.Generator().manual_seed(7)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=made) * 0.3

    width = HIDDEN // HEADS
    tensors = {
        "model.embed_tokens.weight": draw(VOCABULARY, HIDDEN),
        "model.norm.weight": 1 + draw(HIDDEN),
    }
    for i in range(LAYERS):
        tensors |= {
            f"model.layers.{i}.{name}": draw(*shape)
            for name, shape in {
                "self_attn.q_proj.weight": (HIDDEN, HIDDEN),
                "self_attn.k_proj.weight": (KEY_HEADS * width, HIDDEN),
                "self_attn.v_proj.weight": (KEY_HEADS * width, HIDDEN),
                "self_attn.o_proj.weight": (HIDDEN, HIDDEN),
                "mlp.gate_proj.weight": (INNER, HIDDEN),
                "mlp.up_proj.weight": (INNER, HIDDEN),
                "mlp.down_proj.weight": (HIDDEN, INNER),
            }.items()
        }
        tensors |= {
            f"model.layers.{i}.{name}.weight": 1 + draw(HIDDEN)
            for name in ("input_layernorm", "post_attention_layernorm")
        }
    return tensors


def hidden(tensors: Tensors, ids: list[int]) -> torch.Tensor:
    """The last layer's output after its norm. [T][H]"""
    states = tensors["model.embed_tokens.weight"][ids]
    for i in range(LAYERS):
        layer = {k.removeprefix(f"model.layers.{i}."): v for k, v in tensors.items()}
        states = states + _attend(layer, _norm(states, layer["input_layernorm.weight"]))
        inner = _norm(states, layer["post_attention_layernorm.weight"])
        gated = functional.silu(inner @ layer["mlp.gate_proj.weight"].T)
        states = (
            states
            + (gated * (inner @ layer["mlp.up_proj.weight"].T)) @ layer["mlp.down_proj.weight"].T
        )
    return _norm(states, tensors["model.norm.weight"])


def _norm(states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return weight * states / (states.pow(2).mean(-1, keepdim=True) + EPS).sqrt()


def _attend(layer: Tensors, states: torch.Tensor) -> torch.Tensor:
    num, width = len(states), HIDDEN // HEADS
    angles = torch.arange(num)[:, None] * THETA ** (-torch.arange(0, width, 2) / width)

    def turned(vectors: torch.Tensor) -> torch.Tensor:
        """Llama turns each number with the one half a head further. [head][T][width]"""
        a, b = vectors.chunk(2, dim=-1)
        return torch.cat(
            [a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], dim=-1
        )

    query, key, value = (
        (states @ layer[f"self_attn.{name}_proj.weight"].T).view(num, -1, width).transpose(0, 1)
        for name in "qkv"
    )
    key, value = (x.repeat_interleave(HEADS // KEY_HEADS, dim=0) for x in (turned(key), value))
    weights = turned(query) @ key.transpose(1, 2) / width**0.5
    later = torch.ones(num, num, dtype=torch.bool).triu(1)
    mixed = weights.masked_fill(later, -torch.inf).softmax(dim=-1) @ value
    return mixed.transpose(0, 1).reshape(num, HIDDEN) @ layer["self_attn.o_proj.weight"].T
