"""Goldens of quantised weights: transformers on the floats that packed weights stand for, so that what is left is an engine's own error.

BASE-FORMAT/ holds golden.h5 and weights.json, {"of": BASE, "weights": FORMAT}: the checkpoint is BASE's, packed as it is opened
(model/quantise.h does the same, bit for bit). Which weights become what: `format_of`, as llama-quantize chooses.
Formats are llama.cpp's; Q8_0 and Q4_0 as its quantize_row_*_ref, Q6_K without its search for better scales.
"""

import json
from pathlib import Path

import numpy as np
import torch

from . import cases, golden
from .int8 import check_rounding, int8_taps
from .load import open_model, text_model
from .make import measure_case
from .measure import ATOL
from .specs import SPECS

BLOCK = {"q8_0": 32, "q4_0": 32, "q6_k": 256}
GOLDENS = {f"{base}-{weights}": (base, weights) for base in SPECS if base.endswith("-blocks") for weights in ("q8_0", "q4_0")}
MATRICES = ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.o_proj.weight",
            "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight", "experts.gate_up_proj",
            "experts.down_proj", "per_layer_input_gate.weight", "per_layer_projection.weight")
TABLES = ("embed_tokens.weight", "embed_tokens_per_layer.weight", "lm_head.weight")
F = np.float32
DRAWS = 12


def format_of(key, columns, weights):
    """What a tensor of the text decoder becomes ("q8_0", "q4_0", "q6_k"), or None where it stays as it is."""
    chosen = weights if key.endswith(MATRICES) else ("q6_k" if weights == "q4_0" else weights) if key.endswith(TABLES) else None
    return chosen if chosen and columns % BLOCK[chosen] == 0 else None


def _rounded_away(x):
    """To the nearest integer, halves away from zero, as C's roundf."""
    return np.sign(x) * np.floor(np.abs(x) + F(0.5))


def _inverse(d):
    return np.divide(F(1), d, out=np.zeros_like(d), where=d != 0)


def _extreme(blocks):
    """The value of largest magnitude of each block, the first of equals, with its sign."""
    return np.take_along_axis(blocks, np.abs(blocks).argmax(-1, keepdims=True), -1)


def _through_q8_0(x):
    blocks = x.reshape(-1, 32)
    d = np.abs(blocks).max(-1, keepdims=True) / F(127)
    q = _rounded_away(blocks * _inverse(d))
    return d.astype(np.float16).astype(F) * q


def _through_q4_0(x):
    blocks = x.reshape(-1, 32)
    d = _extreme(blocks) / F(-8)
    q = np.clip(np.trunc(blocks * _inverse(d) + F(8.5)), 0, 15) - F(8)
    return d.astype(np.float16).astype(F) * q


def _through_q6_k(x):
    groups = x.reshape(-1, 16, 16)
    scale = _extreme(groups)[..., 0] / F(-32)
    inverse = F(-128) * _inverse(_extreme(scale))
    d = _inverse(inverse).astype(np.float16).astype(F)
    integer = np.minimum(np.rint(inverse * scale), 127)
    step = (d * integer)[..., None]
    q = np.clip(np.rint(np.divide(groups, step, out=np.zeros_like(groups), where=step != 0)), -32, 31)
    return step * q


THROUGH = {"q8_0": _through_q8_0, "q4_0": _through_q4_0, "q6_k": _through_q6_k}


def dequantised(tensor, weights):
    """The floats that an fp32 tensor [..., columns] stands for once it is packed."""
    values = THROUGH[weights](tensor.detach().numpy().astype(F))
    assert values.dtype == F
    return torch.from_numpy(values.reshape(tensor.shape))


def _quantise(model, weights):
    """Replaces a model's weights; returns those that are packed."""
    text, packed = text_model(model), []
    with torch.no_grad():
        for key, tensor in [*text.state_dict().items(), *[(k, t) for k, t in model.state_dict().items() if k == "lm_head.weight"]]:
            chosen = format_of(key, tensor.shape[-1], weights)
            if chosen and not (key == "lm_head.weight" and model.config.get_text_config().tie_word_embeddings):
                tensor.copy_(dequantised(tensor.float(), chosen))
                packed.append(tensor)
    return packed


def _measure_int8(model, packed, measured):
    """noise_int8 and noise_int8_rms of each tap: how far int8 activations move the rows of it that are kept."""
    other = int8_taps(model, packed, measured.inputs, measured.chosen)
    for name, values in measured.taps.items():
        rows = measured.rows_of(name).clone()
        kept = golden.kept_rows(measured.case, rows, name, text_model(model).embed_tokens.embedding_dim)
        if kept is not None:
            rows &= torch.zeros(rows.numel(), dtype=torch.bool).index_fill(0, torch.tensor(kept), True).view_as(rows)
        change = other[name][rows] - values[rows]
        measured.moved[name]["noise_int8"] = change.abs().max().item()
        measured.moved[name]["noise_int8_rms"] = change.pow(2).mean().sqrt().item()


def _swaps(measured):
    """Whether int8 activations could choose other experts: what follows would then be another model's."""
    return any(margin[measured.real].min() < 2 * measured.moved[name.replace("router.topk", "router.probs")]["noise_int8"]
               for name, margin in measured.margins.items())


def _measured(base, spec, case_name, models, packed):
    """The first draw of a case that can be a golden of packed weights."""
    for draw in range(DRAWS):
        measured, _ = measure_case(f"{base}.{draw}" if draw else base, spec, case_name, models)
        _measure_int8(models[0], packed, measured)
        if not _swaps(measured):
            return measured
    for moved in measured.moved.values():  # int8 is not judged on this case
        del moved["noise_int8"], moved["noise_int8_rms"]
    return measured


def make_quantised(name, out, data):
    """One golden below out/name; its checkpoint lies below `out`, or else below `data`."""
    base, weights = GOLDENS[name]
    spec, folder = SPECS[base], Path(out) / name
    checkpoint = next(p for p in (Path(root) / base / "checkpoint" for root in (out, data)) if p.exists())
    folder.mkdir(parents=True, exist_ok=True)
    models = open_model(checkpoint), open_model(checkpoint, torch.bfloat16)
    packed = [_quantise(model, weights) for model in models][0]
    check_rounding()
    results = []
    for case_name in cases.names(spec):
        measured = _measured(base, spec, case_name, models, packed)
        measured.case["few"] = case_name != "short"
        print(f"  {name}/{case_name}: excess {measured.excess():.1e} of {ATOL / 2:.1e} gap {measured.gap:.1e}",
              flush=True)
        results.append(measured)
    golden.write(folder / "golden.h5", models[0], checkpoint, results, spec["variant"], spec.get("seed", 0), "quantised")
    (folder / "weights.json").write_text(json.dumps({"of": base, "weights": weights}) + "\n")
