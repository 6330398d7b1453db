"""Synthetic checkpoints: the weights of model/synthetic.h, the same bits, and digests of samples of them.

What the numbers are is defined in that header; this is written from it, with integer arithmetic and numpy alone. Names
and shapes come from transformers' own modules, built without weights.

Start it in golden/: python -m generate.synthetic   (writes tests/data/synthetic.json)
"""

import hashlib
import json
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SEED = 1
FORMATS = ("f32", "bf16", "q8_0", "q4_0")
# dtype -> elements and bytes of a block
BLOCKS = {"F32": (1, 4), "BF16": (1, 2), "Q8_0": (32, 34), "Q4_0": (32, 18), "Q6_K": (256, 210)}

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MASK = (1 << 64) - 1


def _mix(z):
    z = np.asarray(z, dtype=np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def key_of(name, seed):
    """The key of a tensor."""
    hashed = 0xCBF29CE484222325
    for byte in name.encode():
        hashed = (hashed ^ byte) * 0x100000001B3 & _MASK
    with np.errstate(over="ignore"):
        return _mix(np.uint64((seed + hashed) & _MASK))


def words(key, first, count):
    """word(first) ... word(first + count - 1)."""
    with np.errstate(over="ignore"):
        return _mix(key + (np.arange(first, first + count, dtype=np.uint64) + np.uint64(1)) * _STEP)


def _bytes(key, first, count):
    """Bytes of whole words [first, first + count)."""
    return words(key, first, count).astype("<u8").view(np.uint8)


def _elements(key, draw, exponent, first, count):
    begin, end = first // 8, (first + count + 7) // 8
    raw = _bytes(key, begin, end - begin)[first - begin * 8:][:count]
    if draw == "even":
        numbers = np.maximum(raw.view(np.int8).astype(np.int32), -127)
    else:
        numbers = (96 + (raw & 63).astype(np.int32)) * (1 if draw == "gain" else -1)
    return np.ldexp(numbers.astype(np.float32), exponent)  # exact: a few bits times a power of two


def _half(mantissas, exponent):
    return np.ldexp(mantissas.astype(np.float64), exponent).astype(np.float16)


def _q8_0(key, exponent, first, count):
    drawn = words(key, 5 * first, 5 * count).reshape(count, 5)
    quants = np.maximum(drawn[:, :4].astype("<u8").copy().view(np.int8), -127)
    d = _half(12 + (drawn[:, 4] & np.uint64(7)).astype(np.int64), exponent - 4)
    return np.concatenate([d.reshape(-1, 1).view(np.uint8), quants.view(np.uint8)], axis=1)


def _q4_0(key, exponent, first, count):
    drawn = words(key, 3 * first, 3 * count).reshape(count, 3)
    w = drawn[:, 2].copy()
    sign = np.where(w & np.uint64(8), -1, 1)
    d = _half(sign * (12 + (w & np.uint64(7)).astype(np.int64)), exponent)
    return np.concatenate([d.reshape(-1, 1).view(np.uint8), drawn[:, :2].astype("<u8").copy().view(np.uint8)], axis=1)


def _q6_k(key, exponent, first, count):
    drawn = words(key, 27 * first, 27 * count).reshape(count, 27)
    raw = drawn[:, :26].astype("<u8").copy().view(np.uint8)
    low, high, scale = raw[:, :128], raw[:, 128:192], raw[:, 192:]
    size = 24 + (scale & 15).astype(np.int8)
    scale = np.where(scale & 128, -size, size).astype(np.int8)
    d = _half(12 + (drawn[:, 26] & np.uint64(7)).astype(np.int64), exponent - 7)
    return np.concatenate([low, high, scale.view(np.uint8), d.reshape(-1, 1).view(np.uint8)], axis=1)


def blocks_of(name, dtype, draw, exponent, first, count, seed=SEED):
    """The bytes of blocks [first, first + count): elements, where the dtype is not packed."""
    key = key_of(name, seed)
    packed = {"Q8_0": _q8_0, "Q4_0": _q4_0, "Q6_K": _q6_k}
    if dtype in packed:
        return np.ascontiguousarray(packed[dtype](key, exponent, first, count)).tobytes()
    values = _elements(key, draw, exponent, first, count)
    return values.tobytes() if dtype == "F32" else (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def rule_of(name, shape, ple_width):
    """(draw, exponent, whether it is a matrix) of a tensor by its name in Checkpoint::tensors."""
    if name == "norm.weight":
        return "gain", -5, False
    for endings, draw, exponent in (
            (("q_norm.weight", "k_norm.weight", "post_attention_layernorm.weight", "post_feedforward_layernorm.weight",
              "post_per_layer_input_norm.weight", "norm_post_attn.weight", "post_layer_norm.weight"), "gain", -9),
            (("norm.weight", "norm_1.weight", "norm_2.weight", "norm_out.weight", "norm_pre_attn.weight",
              "patch_ln1.weight", "patch_ln2.weight"), "gain", -7),
            (("per_dim_scale",), "even", -7), (("scale", "layer_scalar"), "gain", -7), (("_min",), "loss", -5),
            (("_max",), "gain", -5), (("position_embedding_table", "pos_embedding", "bias"), "even", -10)):
        if name.endswith(endings):
            return draw, exponent, False
    if name == "embed_tokens_per_layer.weight":
        summed = ple_width
    elif ".conv.weight" in name or name.endswith("conv1d.weight"):
        summed = int(np.prod(shape[1:]))
    else:
        summed = shape[-1]
    return "even", -(6 + summed.bit_length() // 2), True


def dtype_of(name, matrix, form):
    """How a tensor is stored."""
    if form == "f32":
        return "F32"
    if form == "bf16" or name.startswith("model."):
        return "BF16"
    if not matrix or name.endswith("router.proj.weight"):
        return "F32"
    if name == "per_layer_model_projection.weight":
        return "BF16"
    if form == "q8_0":
        return "Q8_0"
    return "Q6_K" if name in ("embed_tokens.weight", "embed_tokens_per_layer.weight") else "Q4_0"


def tensors_of(variant, form):
    """{name: (shape, dtype, draw, exponent)} of a published configuration, from transformers' modules."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText
    config_file = json.loads((ROOT / "model" / "published" / f"{variant}.json").read_text())
    config = AutoConfig.for_model(**config_file)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    ple = getattr(config.text_config, "hidden_size_per_layer_input", 0) or 0
    found = {}
    for full, value in model.state_dict().items():
        if full == "lm_head.weight":  # tied
            continue
        name = disk_name(full)
        draw, exponent, matrix = rule_of(name, tuple(value.shape), ple)
        found[name] = (tuple(value.shape), dtype_of(name, matrix, form), draw, exponent)
    return found


def disk_name(full):
    """The name in a checkpoint, below the text model where it is the text model's."""
    text = "model.language_model."
    if full.startswith(text):
        return full.removeprefix(text)
    for memory, disk in (("model.embed_vision.multimodal_embedder.", "model.embed_vision."),
                         ("model.embed_vision.p", "model.vision_embedder.p"),
                         ("model.embed_audio.multimodal_embedder.", "model.embed_audio.")):
        if full.startswith(memory):
            return disk + full[len(memory):]
    return full


def sample(name, shape, dtype, draw, exponent):
    """Where to look at a tensor, and the digest of what is there: its first and last blocks and some near the middle."""
    elements, _ = BLOCKS[dtype]
    blocks = int(np.prod(shape, dtype=np.int64)) // elements
    count = min(blocks, 70)
    spans = sorted({0, (blocks - count) // 2 // 3 * 3 + 1 if blocks > 2 * count else 0, blocks - count})
    digest = hashlib.sha256()
    for first in spans:
        digest.update(blocks_of(name, dtype, draw, exponent, first, count))
    return {"name": name, "shape": list(shape), "dtype": dtype, "first": spans, "count": count,
            "sha256": digest.hexdigest()}


def main():
    """Writes tests/data/synthetic.json: of each variant in its smallest format, and of e2b in all, every kind of tensor
    once; and a digest of all names, shapes and types."""
    out = {"seed": SEED, "models": {}}
    for path in sorted((ROOT / "model" / "published").glob("*.json")):
        for form in FORMATS if path.stem == "e2b" else FORMATS[-1:]:
            tensors = tensors_of(path.stem, form)
            kinds, samples = set(), []
            for name, (shape, dtype, draw, exponent) in sorted(tensors.items()):
                kind = ".".join(part for part in name.split(".") if not part.isdigit()), shape
                if kind not in kinds:
                    kinds.add(kind)
                    samples.append(sample(name, shape, dtype, draw, exponent))
            listing = "".join(f"{name} {list(value[0])} {value[1]}\n" for name, value in sorted(tensors.items()))
            out["models"][f"{path.stem}:{form}"] = {
                "tensors": len(tensors), "listing_sha256": hashlib.sha256(listing.encode()).hexdigest(),
                "samples": samples}
    text = json.dumps(out, separators=(",", ":")).replace('{"name"', '\n{"name"')
    (ROOT / "tests" / "data" / "synthetic.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
