"""From a GGUF file to the folder that transformers loads: safetensors, configuration, tokenizer.

Written out rather than left to transformers' own GGUF reader: that needs the package accelerate, takes eight times as
long, and refuses to save what it read. Covered is what the embedded model is: a Llama with a byte-level BPE
tokenizer. The formats: ggml-org/ggml `docs/gguf.md`; how llama.cpp orders the rows of q and k: its
`convert_hf_to_gguf.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

Progress = Callable[[float], None]
"""Called with the share that is done, 0 to 1."""

WEIGHTS_FILE = "model.safetensors"

CONTROL_TOKEN = 3
"""`tokenizer.ggml.token_type` of a mark of the chat format, such as <|im_end|>."""

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


class UnsupportedModelError(Exception):
    """The GGUF file holds a model of another kind than this conversion knows."""


def convert(source: Path, target: Path, progress: Progress) -> None:
    """Write the model of the GGUF file `source` into the existing folder `target`. Raises `UnsupportedModelError`."""
    progress(0.0)
    reader = gguf.GGUFReader(source)
    progress(0.4)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    kind = (fields.get("general.architecture"), fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre"))
    if kind != ("llama", "gpt2", "smollm"):
        raise UnsupportedModelError(f"{source.name} is of the kind {kind}, which is not converted here.")
    tensors: dict[str, npt.NDArray[np.float32]] = {}
    heads = {"attn_q": fields["llama.attention.head_count"], "attn_k": fields["llama.attention.head_count_kv"]}
    for number, tensor in enumerate(reader.tensors, start=1):
        name, part = _name_of(tensor.name)
        weights = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if part in heads:
            weights = _rotary_halves(weights, heads[part])
        tensors[name] = np.ascontiguousarray(weights)
        progress(0.4 + 0.4 * number / len(reader.tensors))
    tied = "lm_head.weight" not in tensors
    save_file(tensors, target / WEIGHTS_FILE, metadata={"format": "pt"})
    progress(0.95)
    _write_json(target / "config.json", _config(fields, tied))
    _write_json(target / "generation_config.json", {"eos_token_id": _end_tokens(fields)})
    _write_json(target / "tokenizer_config.json", _tokenizer_config(fields))
    _tokenizer(fields).save(str(target / "tokenizer.json"))
    progress(1.0)


def _name_of(name: str) -> tuple[str, str]:
    """The tensor's name in transformers, and which part of a layer it is."""
    pieces = name.split(".")
    if pieces[0] == "blk":
        return f"model.layers.{pieces[1]}.{_LAYER_NAMES[pieces[2]]}.{pieces[3]}", pieces[2]
    return f"{_OUTER_NAMES[pieces[0]]}.{pieces[1]}", pieces[0]


def _rotary_halves(weights: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Undo llama.cpp's row order: it interleaves the two halves that rotary embedding turns against each other."""
    half = weights.shape[0] // heads // 2
    return weights.reshape(heads, half, 2, -1).swapaxes(1, 2).reshape(weights.shape)


def _config(fields: dict[str, Any], tied: bool) -> dict[str, Any]:
    heads = fields["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "head_dim": fields["llama.embedding_length"] // heads,
        "max_position_embeddings": fields["llama.context_length"],
        "rms_norm_eps": round(float(fields["llama.attention.layer_norm_rms_epsilon"]), 9),
        "rope_parameters": {"rope_type": "default", "rope_theta": float(fields["llama.rope.freq_base"])},
        "hidden_act": "silu",
        "vocab_size": fields["llama.vocab_size"],
        "tie_word_embeddings": tied,
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
        "dtype": "float32",
    }


def _end_tokens(fields: dict[str, Any]) -> list[int]:
    """The end of a turn, and the end of a document, which a small model also likes to end with."""
    return sorted({fields["tokenizer.ggml.eos_token_id"], fields["tokenizer.ggml.unknown_token_id"]})


def _tokenizer_config(fields: dict[str, Any]) -> dict[str, Any]:
    tokens = fields["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": fields["llama.context_length"],
        "bos_token": tokens[fields["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[fields["tokenizer.ggml.eos_token_id"]],
        "unk_token": tokens[fields["tokenizer.ggml.unknown_token_id"]],
        "pad_token": tokens[fields["tokenizer.ggml.padding_token_id"]],
        "clean_up_tokenization_spaces": False,
        "chat_template": fields["tokenizer.chat_template"],
    }


def _tokenizer(fields: dict[str, Any]) -> Tokenizer:
    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    merges = [(left, right) for left, _, right in (merge.partition(" ") for merge in fields["tokenizer.ggml.merges"])]
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    # What "smollm" stands for in llama.cpp's list of pre-tokenizers: every digit alone, then GPT-2's pattern on bytes.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    marks = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    return tokenizer


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False), encoding="utf-8")
