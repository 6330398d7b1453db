"""Writes golden.h5. The schema is the design's section 4; the same bytes come out for the same numbers."""

import gc
import os
from pathlib import Path

import h5py
import numpy as np
import torch
import transformers

from . import plan, plan_towers
from .digest import checkpoint_digest, generator_digest
from .load import text_config, text_model
from .rows import SOFT, pieces
from .taps import orders

SCHEMA = 1
SMALL = 768  # bytes; below, a chunk and its filters take more room than they save
ALL_ROWS = ("embed", "ple", "out", "post_attn", "attn.k_rope", "attn.v")  # enough to start any layer from the golden

# Cases that differ from others only in masks, positions or ids keep what shows those, so that the goldens stay small.
FEW_TAPS = ("padded-batch", "one-token", "at-window-plus-one", "edge-tokens", "far-positions", "softcap", "image",
            "image-causal", "image-longer-than-window", "video-and-audio", "padded-batch-image", "packed",
            "mask-without-positions", "one-row-of-positions", "hole-in-mask")
FEW = ("embed", "ple", "attn.q_rope", "attn.ctx", "router.topk", "out", "norm", "logits")
FEW_OF_TOWERS = ("patch_embed", "attn.q_rope", "attn.ctx", "subsample", "attn", "out", "encoded", *SOFT)
ALL_CONTEXT = ("block-of-text", "video-and-audio")  # masks differ row by row there, and attn.ctx is where that first shows


def _short_name(tap):
    return tap.split(".", 3)[3] if tap.split(".")[1] == "layer" else tap.split(".", 1)[1]


def is_kept(case, tap):
    """Whether a golden holds this tap of this case at all."""
    tower = tap.split(".")[0]
    if tower != "text":
        return case.get("everything", False) or case.get("tower") == tower or _short_name(tap) in FEW_OF_TOWERS
    few = case["name"] in FEW_TAPS or case.get("few", False)
    return not few or case.get("everything", False) or _short_name(tap) in FEW


def _kept_of_tower(case, real, tap):
    """All real rows in the case that shows the whole tower, else the first, middle and last of each picture or clip."""
    if tap.endswith(SOFT):
        return None
    rows = []
    for start, length in pieces(case["inputs"], tap):
        own = [r for r in range(start, start + length) if real[0, r]]
        whole = case.get("everything") or case.get("tower") == tap.split(".")[0]
        rows += own if whole or len(own) < 4 else [own[0], own[len(own) // 2], own[-1]]
    return rows


def kept_rows(case, real, tap, hidden):
    """Flat rows that are kept of a tap, ascending; None for all of them.

    real: [B,T] bool, rows that are not padding; rows are b*T+t, or n*L+i in a tower.
    """
    if not tap.startswith("text."):
        return _kept_of_tower(case, real, tap)
    if case.get("rows"):
        return sorted(case["rows"])
    batch, length = real.shape
    everything = _short_name(tap) in ALL_ROWS or (_short_name(tap) == "attn.ctx" and case["name"] in ALL_CONTEXT)
    if case.get("everything"):
        return None
    if batch > 1:
        if everything:
            return None
        rows = set()
        for b in range(batch):
            own = [b * length + t for t in range(length) if real[b, t]]
            rows |= {own[-1]} if hidden == 256 else {own[len(own) // 2], own[-1]}
        return sorted(rows)
    if everything and not case.get("long"):
        return None
    last = int(real[0].nonzero().max())
    if case["name"] == "short" and hidden < 256:
        return None
    rows = {0, last} | {t for t in case["keep"] if t <= last}
    if case.get("long"):
        rows = rows | {1, length - 2} if everything else {0, case["keep"][1], 257, last}
    elif len(rows) > 4 or hidden == 256:
        rows = {last, *case["keep"][1:2 if hidden == 256 else 3]}
    return sorted(rows)


def _dataset(group, name, array):
    if array.nbytes < SMALL:
        return group.create_dataset(name, data=array, track_times=False)
    return group.create_dataset(name, data=array, chunks=array.shape, compression="gzip", compression_opts=9,
                                shuffle=True, track_times=False)


def write_case(cases, measured, layers, hidden):
    """One /cases/NAME group."""
    case, order = measured.case, orders(layers)
    group = cases.create_group(case["name"])
    group.attrs["what"], group.attrs["paths"] = case["what"], case["paths"]
    inputs = group.create_group("inputs")
    for name in sorted(measured.inputs):
        values = measured.inputs[name]
        _dataset(inputs, name, values.numpy().astype(np.float32 if values.is_floating_point() else np.int64))
    taps = group.create_group("taps")
    for name in sorted(measured.taps, key=order.__getitem__):
        if not is_kept(case, name):
            continue
        # Rows of padding mean nothing; as zeros they take no room.
        real = measured.rows_of(name)
        tensor, rows = measured.taps[name].clone(), kept_rows(case, real, name, hidden)
        tensor[~real] = 0
        flat = tensor.reshape(-1, *tensor.shape[2:])
        whole = tensor if name.startswith("text.") else flat
        dataset = _dataset(taps, name, (whole if rows is None else flat[rows]).numpy().astype(np.float32))
        dataset.attrs["order"] = np.int64(order[name])
        if rows is not None:
            dataset.attrs["rows"] = np.array(rows, dtype=np.int64)
        for key, value in measured.moved[name].items():
            dataset.attrs[key] = np.float64(value)
        if name in measured.margins:
            margin = measured.margins[name].reshape(-1)
            kept = measured.real.reshape(-1).clone()
            if rows is not None:
                kept = kept & torch.zeros_like(kept).index_fill(0, torch.tensor(rows), True)
            dataset.attrs["margin"] = np.float64(margin[kept].min().item())
    if measured.generated is not None:
        outputs = group.create_group("outputs")
        _dataset(outputs, "generated_ids", measured.generated.numpy().astype(np.int64)).attrs["margin"] = np.float64(
            measured.gap)
        _dataset(outputs, "generated_logits", measured.generated_logits.contiguous().numpy())
        _dataset(outputs, "logits", measured.taps["text.logits"][:, -1].contiguous().numpy())


def write_plan(file, model):
    """The /plan group."""
    group, text = file.create_group("plan"), text_model(model)
    for key, value in plan.model_plan(model).items():
        group.attrs[key] = value
    for index in range(len(text.layers)):
        attrs, inv_freq = plan.layer_plan(text, index)
        layer = group.create_group(f"layer.{index:02d}")
        for key, value in attrs.items():
            layer.attrs[key] = value
        layer.create_dataset("inv_freq", data=inv_freq.numpy(), track_times=False)
    for tower, attrs, arrays in plan_towers.towers(model):
        part = group.create_group(tower)
        for key, value in attrs.items():
            part.attrs[key] = value
        for key, value in arrays.items():
            part.create_dataset(key, data=value.numpy(), track_times=False)


def write(path, model, checkpoint, measured, variant, seed, maker, trained=False):
    """Writes a golden beside its place, then renames it, so that a broken run leaves no half file.

    maker: the module of this package that calls it; trained: its weights were learnt, not drawn to show each parameter.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    config = text_config(model)
    # In memory, and with no collection in between: when HDF5 lets go of an object decides where the next one lies.
    gc.collect()
    gc.disable()
    with h5py.File(beside, "w", libver=("v110", "v110"), driver="core") as file:
        file.attrs.update({
            "schema": SCHEMA, "variant": variant, "seed": seed, "transformers": transformers.__version__,
            "torch": torch.__version__.split("+")[0], "attn_implementation": "eager", "dtype": "float32",
            "checkpoint_sha256": checkpoint_digest(checkpoint), "generator_sha256": generator_digest(maker)})
        if trained:
            file.attrs["trained"] = 1
        write_plan(file, model)
        cases = file.create_group("cases")
        for one in measured:
            write_case(cases, one, config.num_hidden_layers, config.hidden_size)
    gc.enable()
    os.replace(beside, path)
