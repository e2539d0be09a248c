"""A GGUF file, dequantised into an ordinary model directory.

    source.gguf --> config.json, generation_config.json, model.safetensors, tokenizer files

Config and tokenizer are read by transformers, which loses a few things on the way; `Quirks` puts
them back. The weights are read with the `gguf` package: transformers' own loader needs accelerate,
and gives the same numbers.

Weights are kept in bfloat16, so that all engines read the same numbers from a file of half the
size. The rounding is small beside the 4 to 8 bits of the GGUF blocks: on English text the two
bundled models move by 7e-5 nats (mean KL divergence per token), and none of their log-probabilities
of the text by more than 0.05.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """What a GGUF file doesn't say, or transformers doesn't read from it."""

    config: dict[str, Any] = field(default_factory=dict)
    """Set on top of the config that transformers reads."""
    add_bos: bool = False
    """The tokenizer puts BOS before a text (`tokenizer.ggml.add_bos_token`)."""
    split_digits: bool = False
    """Each digit is a token of its own (pre-tokenizer `smollm`)."""
    norm_offset: float = 0.0
    """What llama.cpp added to the norm weights: 1 for Gemma."""
    rotary_pairs: bool = False
    """Query and key rows are in llama.cpp's rotary order: Llama and its kin."""


def write_model(source: Path, out: Path, quirks: Quirks) -> None:
    """Write the model directory `out`, which exists and is empty.

    Covers Llama and Gemma 3 (text, dense, tied embeddings). Raises KeyError for a tensor of another
    family.
    """
    _write_tokenizer(source, out, quirks)
    _write_config(source, out, quirks)
    _write_weights(source, out, quirks)


def _write_tokenizer(source: Path, out: Path, quirks: Quirks) -> None:
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
    if quirks.split_digits:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    if quirks.add_bos:
        tokenizer.add_bos_token = True
    tokenizer.save_pretrained(str(out))


def _write_config(source: Path, out: Path, quirks: Quirks) -> None:
    """The generation config gets token ids alone: no sampling defaults can leak into a run."""
    from transformers import AutoConfig, GenerationConfig

    config = AutoConfig.from_pretrained(str(source.parent), gguf_file=source.name)
    for key, value in {**quirks.config, "dtype": "bfloat16"}.items():
        setattr(config, key, value)
    config.save_pretrained(str(out))
    ids = {key: getattr(config, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    GenerationConfig(**ids).save_pretrained(str(out))


_TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
}

_BLOCK_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}

_MLP_NORM = {"llama": "post_attention_layernorm", "gemma3_text": "pre_feedforward_layernorm"}
"""llama.cpp calls the norm before the MLP `ffn_norm` in every family; transformers doesn't."""


def _weight_name(name: str, model_type: str) -> str:
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`."""
    if name in _TOP_NAMES:
        return _TOP_NAMES[name]
    _, layer, part, _ = name.split(".")
    target = _MLP_NORM[model_type] if part == "ffn_norm" else _BLOCK_NAMES[part]
    return f"model.layers.{layer}.{target}.weight"


def _write_weights(source: Path, out: Path, quirks: Quirks) -> None:
    """Dequantise every tensor and undo llama.cpp's changes.

    Source: llama.cpp, convert_hf_to_gguf.py: `LlamaModel.permute`, and Gemma's `norm.weight + 1`.
    """
    import torch
    from gguf import GGUFReader, dequantize
    from safetensors.torch import save_file

    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    weights = {}
    for tensor in GGUFReader(source).tensors:
        array = dequantize(tensor.data, tensor.tensor_type)
        part = tensor.name.split(".")[-2]
        if quirks.rotary_pairs and part in heads:
            rows = array.reshape(heads[part], -1, 2, array.shape[-1])
            array = rows.swapaxes(1, 2).reshape(array.shape)
        if part.endswith("norm"):
            array = array - quirks.norm_offset
        name = _weight_name(tensor.name, config["model_type"])
        weights[name] = torch.tensor(array).to(torch.bfloat16).contiguous()
    path = out / "model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # like the other files: the cache may be shared between users
