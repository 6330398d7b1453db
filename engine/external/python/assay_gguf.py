"""A Gemma 4 checkpoint directory as a GGUF file for llama.cpp: the text decoder, in fp32, bf16, q8_0 or q4_0.

    python assay_gguf.py CHECKPOINT OUT.gguf --type q8_0

Needs numpy and PyPI's gguf. Widths, heads and experts are read from the tensors themselves, so that no default of a config
can be misread; what tensors do not tell (layer types, windows, RoPE, caps) comes from config.json. What architecture `gemma4`
of llama.cpp cannot hold is refused with `Unsupported`: attention biases, other activations than tanh-GELU, RoPE scaled in
other ways. Towers are left out. Not here: running the file (assay_llama.py).
"""

import argparse
import json
import os
import pathlib
import re
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q

TYPES = {"fp32": Q.F32, "bf16": Q.BF16, "q8_0": Q.Q8_0, "q4_0": Q.Q4_0}
FULL, SLIDING = "full_attention", "sliding_attention"
PREFIXES = ("model.language_model.", "language_model.model.", "language_model.", "model.", "")
# HuggingFace's names and llama.cpp's.
MODEL = {
    "embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight", "lm_head.weight": "output.weight",
    "embed_tokens_per_layer.weight": "per_layer_token_embd.weight",
    "per_layer_model_projection.weight": "per_layer_model_proj.weight",
    "per_layer_projection_norm.weight": "per_layer_proj_norm.weight"}
LAYER = {
    "input_layernorm.weight": "attn_norm.weight", "post_attention_layernorm.weight": "post_attention_norm.weight",
    "pre_feedforward_layernorm.weight": "ffn_norm.weight", "post_feedforward_layernorm.weight": "post_ffw_norm.weight",
    "pre_feedforward_layernorm_2.weight": "pre_ffw_norm_2.weight",
    "post_feedforward_layernorm_1.weight": "post_ffw_norm_1.weight",
    "post_feedforward_layernorm_2.weight": "post_ffw_norm_2.weight", "layer_scalar": "layer_output_scale.weight",
    "self_attn.q_proj.weight": "attn_q.weight", "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight", "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight", "self_attn.k_norm.weight": "attn_k_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight", "per_layer_input_gate.weight": "inp_gate.weight",
    "per_layer_projection.weight": "proj.weight", "post_per_layer_input_norm.weight": "post_norm.weight",
    "router.proj.weight": "ffn_gate_inp.weight", "router.scale": "ffn_gate_inp.scale",
    "router.per_expert_scale": "ffn_down_exps.scale", "experts.gate_up_proj": "ffn_gate_up_exps.weight",
    "experts.down_proj": "ffn_down_exps.weight"}


class Unsupported(Exception):
    """The file format, or llama.cpp's architecture, has no place for it."""


def read_safetensors(path):
    """{name: array} of a file; bfloat16 comes as float32, which holds the same numbers."""
    codes = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] not in ("BF16", *codes):
            continue
        first, last = entry["data_offsets"]
        if entry["dtype"] == "BF16":
            flat = (np.frombuffer(data[first:last], "<u2").astype("<u4") << 16).view("<f4")
        else:
            flat = np.frombuffer(data[first:last], codes[entry["dtype"]]).astype(np.float32)
        yield name, flat.reshape(entry["shape"])


def text_tensors(directory):
    """The decoder's tensors by their name in Gemma4TextModel."""
    found = {}
    for file in sorted(os.listdir(directory)):
        if file.endswith(".safetensors"):
            found.update(read_safetensors(os.path.join(directory, file)))
    prefix = next((p for p in PREFIXES if p + "embed_tokens.weight" in found), None)
    if prefix is None:
        raise Unsupported(f"{directory}: no embed_tokens.weight")
    tensors = {name.removeprefix(prefix): values for name, values in found.items()
               if name.startswith(prefix) and not name.removeprefix(prefix).startswith(("vision", "audio", "embed_"))
               or name.startswith(prefix + "embed_tokens")}
    for head in ("lm_head.weight", "language_model.lm_head.weight"):
        if head in found:
            tensors["lm_head.weight"] = found[head]
    return tensors


def gguf_name(name):
    if name in MODEL:
        return MODEL[name]
    part, _, rest = name.partition(".")
    layer, _, rest = rest.partition(".")
    if part == "layers" and rest in LAYER:
        return f"blk.{layer}.{LAYER[rest]}"
    raise Unsupported(f"tensor {name}: llama.cpp's gemma4 has none such")


class Model:
    """What a file says of the model: config.json and the tensors put together."""

    def __init__(self, directory):
        config = json.load(open(os.path.join(directory, "config.json"), encoding="utf-8"))
        self.text = config.get("text_config", config)
        if "assistant" in config.get("model_type", ""):
            raise Unsupported("a drafter: llama.cpp's gemma4 is a model by itself")
        self.placeholders = {config[key] for key in ("image_token_id", "audio_token_id", "video_token_id")
                             if config.get(key) is not None}
        self.tensors = text_tensors(directory)
        text, tensors = self.text, self.tensors
        self.layers = text["num_hidden_layers"]
        self.shared = text.get("num_kv_shared_layers") or 0
        kinds = text.get("layer_types") or [FULL if i % 6 == 5 else SLIDING for i in range(self.layers)]
        self.sliding = [kind == SLIDING for kind in kinds]
        self.tied = bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", True)))

        def rows(layer, name):
            values = tensors.get(f"layers.{layer}.{name}")
            return None if values is None else values.shape[0]

        self.head_dim = [rows(i, "self_attn.q_norm.weight") for i in range(self.layers)]
        self.heads = [rows(i, "self_attn.q_proj.weight") // self.head_dim[i] for i in range(self.layers)]
        self.ffn = [rows(i, "mlp.gate_proj.weight") for i in range(self.layers)]
        own = self.layers - self.shared
        kv = [rows(i, "self_attn.k_proj.weight") for i in range(self.layers)]
        # A layer that shares K/V may come without weights; its donor is the last of its kind with its own.
        donor = {kind: max((i for i in range(own) if self.sliding[i] == kind), default=None) for kind in (True, False)}
        self.kv_heads = [(kv[i] // self.head_dim[i]) if kv[i] else kv[donor[self.sliding[i]]] // self.head_dim[i]
                         for i in range(self.layers)]
        self.ple = tensors["embed_tokens_per_layer.weight"].shape[1] // self.layers \
            if "embed_tokens_per_layer.weight" in tensors else 0
        self.experts = rows(0, "experts.down_proj") or 0
        self.expert_width = tensors["layers.0.experts.down_proj"].shape[2] if self.experts else 0
        self.check()

    def check(self):
        text = self.text
        if text.get("hidden_activation", "gelu_pytorch_tanh") != "gelu_pytorch_tanh":
            raise Unsupported(f"hidden_activation {text['hidden_activation']}: llama.cpp's gemma4 has tanh-GELU alone")
        for kind in (True, False):
            for what, values in (("head_dim", self.head_dim), ("num_key_value_heads", self.kv_heads)):
                if len({v for v, s in zip(values, self.sliding) if s == kind}) > 1:
                    raise Unsupported(f"{what}: one for all layers of a kind in GGUF, found {values}")
        if len(set(self.heads)) > 1:
            raise Unsupported(f"num_attention_heads: one for all layers, found {self.heads}")
        for kind in (FULL, SLIDING):
            rope = self.rope(kind)
            if rope.get("rope_type", "default") not in ("default", "proportional") or rope.get("factor", 1.0) != 1.0:
                raise Unsupported(f"rope_parameters.{kind}: default or proportional, found {rope}")
        for name in self.tensors:
            gguf_name(name)

    def rope(self, kind):
        return (self.text.get("rope_parameters") or {}).get(kind) or \
            {"rope_theta": 1e6 if kind == FULL else 1e4, "partial_rotary_factor": 0.25 if kind == FULL else 1.0}

    def width(self, sliding):
        """A head's, of sliding or of full layers; where there are none of a kind, the other's."""
        return next((d for d, s in zip(self.head_dim, self.sliding) if s == sliding), self.head_dim[0])


def metadata(writer, model):
    text = model.text
    writer.add_block_count(model.layers)
    writer.add_context_length(text.get("max_position_embeddings", 131072))
    writer.add_embedding_length(model.tensors["embed_tokens.weight"].shape[1])
    writer.add_feed_forward_length(model.ffn if len(set(model.ffn)) > 1 else model.ffn[0])
    writer.add_head_count(model.heads[0])
    writer.add_head_count_kv(model.kv_heads if len(set(model.kv_heads)) > 1 else model.kv_heads[0])
    writer.add_layer_norm_rms_eps(text.get("rms_norm_eps", 1e-6))
    writer.add_rope_freq_base(model.rope(FULL)["rope_theta"])
    writer.add_rope_freq_base_swa(model.rope(SLIDING)["rope_theta"])
    writer.add_sliding_window(text.get("sliding_window") or 512)
    writer.add_sliding_window_pattern(model.sliding)
    writer.add_shared_kv_layers(model.shared)
    writer.add_embedding_length_per_layer_input(model.ple)
    for sliding, key, value, turned in (
            (False, writer.add_key_length, writer.add_value_length, writer.add_rope_dimension_count),
            (True, writer.add_key_length_swa, writer.add_value_length_swa, writer.add_rope_dimension_count_swa)):
        key(model.width(sliding))
        value(model.width(sliding))
        turned(model.width(sliding))
    if text.get("final_logit_softcapping"):
        writer.add_final_logit_softcapping(text["final_logit_softcapping"])
    if model.experts:
        writer.add_expert_count(model.experts)
        writer.add_expert_used_count(text["top_k_experts"])
        writer.add_expert_feed_forward_length(model.expert_width)


def placeholder_tokens(writer, model):
    """A vocabulary of the right size that llama.cpp accepts, for models that are only ever fed ids."""
    size = model.tensors["embed_tokens.weight"].shape[0]
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list([f"t{i}" for i in range(size)])
    writer.add_token_scores([float(-i) for i in range(size)])
    writer.add_token_merges(["t 0"])
    writer.add_pad_token_id(model.text.get("pad_token_id") or 0)


def real_tokens(writer, directory):
    """The checkpoint's own tokenizer and chat template, as llama.cpp's converter writes Gemma 4's."""
    visible = ("<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", '<|"|>')
    with open(os.path.join(directory, "tokenizer.json"), encoding="utf-8") as file:
        tokenizer = json.load(file)
    added = {token["id"]: token for token in tokenizer.get("added_tokens", [])}
    by_id = {i: token for token, i in tokenizer["model"]["vocab"].items()} | \
        {i: token["content"] for i, token in added.items()}
    types = []
    for i in range(len(by_id)):
        if i in added:
            hidden = added[i]["special"] and by_id[i] not in visible
            types.append(gguf.TokenType.CONTROL if hidden else gguf.TokenType.USER_DEFINED)
        else:
            byte = re.fullmatch(r"<0x[0-9A-F]{2}>", by_id[i])
            types.append(gguf.TokenType.BYTE if byte else gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list([by_id[i].encode() for i in range(len(by_id))])
    writer.add_token_scores([-1000.0] * len(by_id))
    writer.add_token_types(types)
    gguf.SpecialVocab(pathlib.Path(directory), load_merges=True).add_to_gguf(writer, quiet=True)
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(True)


def rope_freqs(model):
    """Divisors of the full layers' frequencies: 1 for pairs that turn, 1e30 for those that do not."""
    half = model.width(False) // 2
    rope = model.rope(FULL)
    partial = rope.get("partial_rotary_factor", 1.0) if rope.get("rope_type", "proportional") == "proportional" else 1.0
    turned = int(model.width(False) * partial / 2)
    return np.array([1.0] * turned + [1e30] * (half - turned), dtype=np.float32)


TABLES = ("embed_tokens.weight", "embed_tokens_per_layer.weight", "lm_head.weight")


def kind_of(name, values, wanted, tables):
    """The type a tensor is written in. Vectors and the router stay fp32, as llama-quantize leaves them. So does the
    projection to per-layer inputs where matrices are packed: llama-quantize's bf16 would round what it reads, too. Rows that
    are no whole blocks cannot be packed."""
    if values.ndim == 1 or name.endswith("router.proj.weight"):
        return Q.F32
    if name in TABLES:
        wanted = tables
    elif name == "per_layer_model_projection.weight" and wanted in (Q.Q8_0, Q.Q4_0):
        wanted = Q.F32
    block = gguf.GGML_QUANT_SIZES[wanted][0]
    if values.shape[-1] % block:
        raise Unsupported(f"{name}: rows of {values.shape[-1]} are no whole blocks of {wanted.name}")
    return wanted


def pack(values, kind):
    return np.ascontiguousarray(values, np.float32) if kind == Q.F32 else gguf.quants.quantize(values, kind)


def convert(directory, out, type_name="fp32", tokenizer=None, tables=None):
    """Writes `out`. tables: the type of the embedding tables and the head; None: as the matrices, but q8_0 beside q4_0, for
    which llama-quantize has Q6_K and gguf has no packing. tokenizer: True for the checkpoint's, False for placeholders; None: the checkpoint's if there is one."""
    model = Model(directory)
    wanted = TYPES[type_name]
    table = TYPES[tables or ("q8_0" if type_name == "q4_0" else type_name)]
    writer = gguf.GGUFWriter(out, "gemma4")
    metadata(writer, model)
    if tokenizer is None:
        tokenizer = os.path.exists(os.path.join(directory, "tokenizer.json"))
    if tokenizer:
        real_tokens(writer, directory)
    else:
        placeholder_tokens(writer, model)
    if not all(model.sliding):
        writer.add_tensor("rope_freqs.weight", rope_freqs(model))
    for name, values in sorted(model.tensors.items()):
        if name == "lm_head.weight" and model.tied:
            continue
        kind = kind_of(name, values, wanted, table)
        writer.add_tensor(gguf_name(name), pack(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("--type", choices=TYPES, default="fp32", dest="type_name")
    parser.add_argument("--tables", choices=TYPES, help="of the embedding tables and the head (as --type; q8_0 beside q4_0)")
    parser.add_argument("--ids-only", action="store_true", help="a made-up vocabulary: for feeding ids")
    options = parser.parse_args()
    try:
        convert(options.checkpoint, options.out, options.type_name, False if options.ids_only else None,
                options.tables)
    except Unsupported as error:
        sys.exit(f"assay_gguf: {error}")


if __name__ == "__main__":
    main()
