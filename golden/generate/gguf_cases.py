"""Small GGUF files as llama.cpp writes them, and what transformers makes of the same numbers: tests/data/gguf.

Each model is drawn, quantised, written by PyPI's gguf under the keys and names that llama.cpp's converter gives Gemma 4's
text models, and run by transformers on the dequantised weights. Of the quantised tensors the expectation holds digests of
gguf.quants' own dequantising. `formats.gguf` is no model: blocks of random bytes, and metadata of every type.

Start it in golden/: python -m generate.gguf_cases
"""

import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Q
from safetensors.numpy import save_file
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, Gemma4TextConfig, Gemma4UnifiedTextConfig

from .load import deterministic
from .specs import F, S, pattern

OUT = Path(__file__).resolve().parents[2] / "tests" / "data" / "gguf"
ROW = 8  # tokens of the prompt
# Special in the checkpoint, but shown where they are generated: the converter makes them user-defined.
VISIBLE = ("<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", '<|"|>')


def _rope(theta=1e6, partial=0.25):
    return {S: {"rope_type": "default", "rope_theta": 1e4},
            F: {"rope_type": "proportional", "partial_rotary_factor": partial, "rope_theta": theta}}


def _text(layers, **more):
    return {"num_hidden_layers": len(layers), "layer_types": pattern(layers), "rms_norm_eps": 1e-6,
            "final_logit_softcapping": 30.0, "pad_token_id": 0, "rope_parameters": _rope(), **more}


_NO_PLE = {"hidden_size_per_layer_input": 0}
# types: of matrices; head and ple: of the two tables; proj: of per_layer_model_proj, as llama-quantize leaves them.
CASES = {
    # Like E2B: shared K/V, double-wide FFN, per-layer embeddings; as llama-quantize's Q4_0.
    "e2b-q4_0": {
        "class": Gemma4TextConfig, "type": Q.Q4_0, "tables": Q.Q6_K, "model_proj": Q.BF16,
        "text": _text("sfsf", hidden_size=256, intermediate_size=64, vocab_size=96, num_attention_heads=2,
                      num_key_value_heads=1, head_dim=32, global_head_dim=64, sliding_window=4,
                      hidden_size_per_layer_input=64, vocab_size_per_layer_input=96, num_kv_shared_layers=2,
                      use_double_wide_mlp=True)},
    # Like 26B-A4B: experts, K = V and fewer K/V heads in full layers.
    "26b-a4b-q8_0": {
        "class": Gemma4TextConfig, "type": Q.Q8_0, "tables": Q.Q8_0, "model_proj": None,
        "text": _text("sfsf", hidden_size=64, intermediate_size=96, vocab_size=80, num_attention_heads=4,
                      num_key_value_heads=2, num_global_key_value_heads=1, attention_k_eq_v=True, head_dim=16,
                      global_head_dim=32, sliding_window=3, enable_moe_block=True, num_experts=6, top_k_experts=2,
                      moe_intermediate_size=32, **_NO_PLE)},
    "12b-bf16": {
        "class": Gemma4UnifiedTextConfig, "type": Q.BF16, "tables": Q.BF16, "model_proj": None,
        "text": _text("sssf", hidden_size=44, intermediate_size=36, vocab_size=70, num_attention_heads=4,
                      num_key_value_heads=2, num_global_key_value_heads=1, attention_k_eq_v=True, head_dim=10,
                      global_head_dim=24, sliding_window=5)},
    # Like E4B, V a matrix of its own everywhere; a table of RoPE factors that turns other pairs.
    "e4b-f32": {
        "class": Gemma4TextConfig, "type": Q.F32, "tables": Q.F16, "model_proj": Q.F32,
        "text": _text("sfsf", hidden_size=36, intermediate_size=28, vocab_size=60, num_attention_heads=4,
                      num_key_value_heads=2, head_dim=12, global_head_dim=20, sliding_window=4,
                      hidden_size_per_layer_input=10, vocab_size_per_layer_input=60, num_kv_shared_layers=1)
        | {"rope_parameters": _rope(5e4, 0.5), "rms_norm_eps": 2.0 ** -9}},
}

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
MODEL = {
    "embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight",
    "embed_tokens_per_layer.weight": "per_layer_token_embd.weight",
    "per_layer_model_projection.weight": "per_layer_model_proj.weight",
    "per_layer_projection_norm.weight": "per_layer_proj_norm.weight"}


def gguf_name(name):
    """The GGUF name of a parameter of Gemma4TextModel."""
    if name in MODEL:
        return MODEL[name]
    _, layer, rest = name.split(".", 2)
    return f"blk.{layer}.{LAYER[rest]}"


def _pack_q6_k(values):
    """Blocks of Q6_K near `values` [rows, cols]; gguf.quants only reads them."""
    x = values.reshape(-1, 16, 16).astype(np.float64)
    scales = np.abs(x).max(axis=2) / 31
    d = (scales.max(axis=1) / 127).astype(np.float16)
    sc = np.clip(np.rint(scales / d.astype(np.float64)[:, None]), 1, 127)
    sc[:, 1::2] *= -1  # llama.cpp's own scales have both signs
    q = np.clip(np.rint(x / (d.astype(np.float64)[:, None] * sc)[:, :, None]), -32, 31).astype(np.int64) + 32
    quarters = q.reshape(-1, 2, 4, 32)
    low = np.stack([quarters[:, :, i] & 15 | (quarters[:, :, i + 2] & 15) << 4 for i in (0, 1)], axis=2)
    high = sum((quarters[:, :, i] >> 4) << (2 * i) for i in range(4))
    blocks = np.concatenate([low.reshape(len(d), 128).astype(np.uint8), high.reshape(len(d), 64).astype(np.uint8),
                             sc.astype(np.int8).view(np.uint8), d.view(np.uint8).reshape(-1, 2)], axis=1)
    return blocks.reshape(*values.shape[:-1], -1)


def pack(values, kind):
    """`values` in one of gguf's types, as its writer takes them."""
    if kind == Q.F32:
        return values
    if kind == Q.F16:
        return values.astype(np.float16)
    return _pack_q6_k(values) if kind == Q.Q6_K else gguf.quants.quantize(values, kind)


def unpack(packed, kind):
    """float32 of what pack() gave."""
    return gguf.quants.dequantize(packed, kind) if kind != Q.F32 else packed


def _draw(model, rng):
    """Weights away from identity, tame enough for fp32: q_norm and k_norm hold the scores near 1."""
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        if parameter.ndim > 1:
            values = rng.standard_normal(shape) / np.sqrt(shape[-1])
        else:
            centre = np.sqrt(1.1 / np.sqrt(shape[0])) if "q_norm" in name or "k_norm" in name else \
                0.6 if "post_" in name else 0.9
            values = centre * rng.uniform(0.8, 1.25, shape)
        yield name, values.astype(np.float32)
    for name, buffer in model.named_buffers():
        if name.endswith("layer_scalar"):
            yield name, rng.uniform(0.8, 1.2, tuple(buffer.shape)).astype(np.float32)


def kind_of(name, case):
    """The type in which llama-quantize leaves a tensor."""
    if name in ("embed_tokens.weight", "embed_tokens_per_layer.weight"):
        return case["tables"]
    if name == "per_layer_model_projection.weight":
        return case["model_proj"]
    if "norm" in name or "layer_scalar" in name or "router" in name:
        return Q.F32
    return case["type"]


def _hyperparameters(writer, config, text):
    layers, shared = config.num_hidden_layers, config.num_kv_shared_layers
    sliding = [kind == S for kind in config.layer_types]
    writer.add_block_count(layers)
    writer.add_context_length(8192)
    writer.add_embedding_length(config.hidden_size)
    if text.get("use_double_wide_mlp"):
        writer.add_feed_forward_length([config.intermediate_size * (1 if i < layers - shared else 2)
                                        for i in range(layers)])
    else:
        writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    if text.get("num_global_key_value_heads"):
        writer.add_head_count_kv([text["num_key_value_heads"] if s else text["num_global_key_value_heads"]
                                  for s in sliding])
    else:
        writer.add_head_count_kv(text["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(text["rope_parameters"][F]["rope_theta"])
    writer.add_rope_freq_base_swa(text["rope_parameters"][S]["rope_theta"])
    writer.add_sliding_window(config.sliding_window)
    writer.add_sliding_window_pattern(sliding)
    writer.add_shared_kv_layers(shared)
    writer.add_embedding_length_per_layer_input(text.get("hidden_size_per_layer_input", 0))
    for width, key, value, turned in (
            (text["global_head_dim"], writer.add_key_length, writer.add_value_length, writer.add_rope_dimension_count),
            (text["head_dim"], writer.add_key_length_swa, writer.add_value_length_swa,
             writer.add_rope_dimension_count_swa)):
        key(width)
        value(width)
        turned(width)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if text.get("enable_moe_block"):
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.top_k_experts)
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)


def _placeholder_tokens(writer, config):
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list([f"t{i}" for i in range(config.vocab_size)])
    writer.add_token_scores([float(-i) for i in range(config.vocab_size)])
    writer.add_pad_token_id(config.pad_token_id)


def _rope_freqs(text):
    half = text["global_head_dim"] // 2
    turned = int(text["global_head_dim"] * text["rope_parameters"][F]["partial_rotary_factor"] / 2)
    return np.array([1.0] * turned + [1e30] * (half - turned), dtype=np.float32)


def write_case(name, case):
    """NAME.gguf, NAME.json (config.json and digests) and NAME.safetensors (inputs/input_ids, logits)."""
    text = case["text"]
    config = case["class"](**json.loads(json.dumps(text)))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", "gemma4")
    _hyperparameters(writer, config, text)
    _placeholder_tokens(writer, config)
    writer.add_tensor("rope_freqs.weight", _rope_freqs(text))
    digests, state, tied = {}, {}, None
    for full, values in _draw(model, rng):
        short = full.removeprefix("model.")
        kind = kind_of(short, case)
        packed = pack(values, kind)
        writer.add_tensor(gguf_name(short), packed, raw_dtype=kind)
        plain = np.ascontiguousarray(unpack(packed, kind), dtype=np.float32)
        digests[short] = {"type": kind.name, "sha256": hashlib.sha256(plain.tobytes()).hexdigest()}
        state[full] = torch.from_numpy(plain.copy())
        if short == "embed_tokens.weight":
            tied = state[full]
    state["lm_head.weight"] = tied
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(k not in dict(model.named_parameters()) for k in missing), (missing, unexpected)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ids = rng.integers(1, config.vocab_size, (1, ROW))
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(ids)).logits
    save_file({"inputs/input_ids": ids.astype(np.int64), "logits": logits.numpy().astype(np.float32)},
              OUT / f"{name}.safetensors")
    hub = json.loads(json.dumps(text)) | {"model_type": config.model_type}
    (OUT / f"{name}.json").write_text(json.dumps({"config": hub, "tensors": digests}, indent=1, sort_keys=True) + "\n")
    print(name, "logits", float(logits.abs().max()), (OUT / f"{name}.gguf").stat().st_size, "bytes")


def _tokenizer(writer, directory):
    """A checkpoint's tokenizer and chat template, as llama.cpp's converter writes Gemma 4's."""
    vocabulary = gguf.LlamaHfVocab(directory)
    tokens, scores, types = zip(*vocabulary.all_tokens())
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types([gguf.TokenType.USER_DEFINED if token.decode() in VISIBLE else kind
                            for token, kind in zip(tokens, types)])
    gguf.SpecialVocab(directory, load_merges=True).add_to_gguf(writer, quiet=True)
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(True)


def write_tiny():
    """tiny.gguf: the decoder of golden/data/tiny, which answers questions, with its tokenizer and template."""
    directory = OUT.parents[2] / "golden" / "data" / "tiny"
    config = AutoConfig.from_pretrained(directory).text_config
    text = json.loads((directory / "config.json").read_text())["text_config"]
    full = [i for i, kind in enumerate(config.layer_types) if kind == F]
    text |= {"global_head_dim": text["per_layer_config"][str(full[0])]["head_dim"]}
    writer = gguf.GGUFWriter(OUT / "tiny.gguf", "gemma4")
    _hyperparameters(writer, config, text)
    _tokenizer(writer, directory)
    writer.add_tensor("rope_freqs.weight", _rope_freqs(text))
    prefix = "model.language_model."
    for full_name, values in sorted(load_file(directory / "model.safetensors").items()):
        if not full_name.startswith(prefix):
            continue
        name, values = full_name.removeprefix(prefix), values.float().numpy()
        kind = Q.F32 if values.ndim == 1 else Q.BF16
        writer.add_tensor(gguf_name(name), pack(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_formats():
    """formats.gguf: blocks of random bytes (both signs, subnormal scales), metadata of every type, and a Q4_K tensor."""
    rng = np.random.default_rng(4)
    writer = gguf.GGUFWriter(OUT / "formats.gguf", "none")
    for name, add, value in (
            ("u8", writer.add_uint8, 200), ("i8", writer.add_int8, -100), ("u16", writer.add_uint16, 60000),
            ("i16", writer.add_int16, -30000), ("u32", writer.add_uint32, 4_000_000_000),
            ("i32", writer.add_int32, -2_000_000_000), ("u64", writer.add_uint64, 2 ** 40 + 1),
            ("i64", writer.add_int64, -(2 ** 40) - 1), ("f32", writer.add_float32, 0.15625),
            ("f64", writer.add_float64, 1e-300), ("bool", writer.add_bool, True), ("string", writer.add_string, "né")):
        add("test." + name, value)
    writer.add_array("test.ints", [3, -1, 7])
    writer.add_array("test.floats", [0.5, -0.25])
    writer.add_array("test.bools", [True, False, True])
    writer.add_array("test.strings", ["", "a", "bc"])
    writer.add_array("test.nested", [[1, 2], [3]])
    digests = {}
    for kind in (Q.Q8_0, Q.Q4_0, Q.Q6_K, Q.BF16, Q.F16):
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (24 if elements > 1 else 24 * 32, size), dtype=np.uint8)
        if elements > 1:  # any finite fp16 but NaN and infinity, then some smallest ones
            scale = rng.integers(0, 0x7c00, 24).astype(np.uint16) | (rng.integers(0, 2, 24) << 15).astype(np.uint16)
            scale[:4] = [0x0001, 0x8001, 0x03ff, 0x0000]
            at = slice(208, 210) if kind == Q.Q6_K else slice(0, 2)
            blocks[:, at] = scale.view(np.uint8).reshape(24, 2)
        packed = blocks.reshape(4, -1)
        if elements == 1:
            packed[:, 1::2] &= 0x3f  # no NaN: its bits may change on the way
        writer.add_tensor(kind.name, packed, raw_dtype=kind)
        plain = np.ascontiguousarray(gguf.quants.dequantize(packed, kind), dtype=np.float32)
        digests[kind.name] = {"type": kind.name, "sha256": hashlib.sha256(plain.tobytes()).hexdigest()}
    writer.add_tensor("Q4_K", rng.integers(0, 256, (2, 144), dtype=np.uint8), raw_dtype=Q.Q4_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (OUT / "formats.json").write_text(json.dumps({"tensors": digests}, indent=1, sort_keys=True) + "\n")


def main():
    """Writes all of tests/data/gguf."""
    deterministic()
    OUT.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        write_case(name, case)
    write_formats()
    write_tiny()


if __name__ == "__main__":
    main()
