"""noise.h5 of goldens at full size: what lesser caches and int8 lose there, as lossy.py measures it of small models.

One run of transformers' modules on the computed weights (synthetic_full.py), in which each arithmetic is some variants. Not
measured, and so NaN: fp16, and bf16, of which golden.h5 has one run.
"""

import contextlib
import os
from pathlib import Path

import h5py
import numpy as np
import torch
import transformers

from .digest import file_digest, generator_digest
from .int8 import activations_rounded
from .lossy import ARITHMETICS, DITHERS, FILE, NEAR, ROUND, cached_as, int8_otherwise
from .synthetic_full import GOLDENS, IDS, Full, Variant
from .taps import orders


def _variants(model):
    """The golden's own first, then five of each arithmetic: its name, and a number."""
    variants = [Variant("own", lambda packed: contextlib.nullcontext())]
    for run, seed in enumerate((None, *range(DITHERS))):
        variants += [Variant((kind, run), lambda packed, kind=kind, seed=seed: cached_as(kind, seed)) for kind in ROUND]
        variants.append(Variant(("int8", run), activations_rounded if seed is None else
                                lambda packed, seed=seed: int8_otherwise(model, packed, seed)))
    return variants


def _draw_once(weights):
    """What is no layer's is filled in for every variant; drawn once it stays."""
    draw, drawn = weights.tensor, {}

    def tensor(name, shape):
        if name.startswith("layers."):
            return draw(name, shape)
        if name not in drawn:
            drawn[name] = draw(name, shape)
        return drawn[name]

    weights.tensor = tensor


def _kept(values, dataset):
    """The rows of a tap [1,T,...] that the golden keeps; logits have their last row alone."""
    kept = values[0]
    if "rows" in dataset.attrs and kept.shape[0] > 1:
        kept = kept[torch.from_numpy(dataset.attrs["rows"])]
    return kept


def _measured(full, group):
    """[taps, arithmetics, 2] of the case, as the file holds them."""
    own, names = full.variants[0].taps, sorted(group, key=orders(len(full.text.layers)).__getitem__)
    taps = np.full((len(names), len(ARITHMETICS), 2), np.nan, np.float32)
    for index, name in enumerate(names):
        away = (torch.from_numpy(group[name][()]).reshape(-1) - _kept(own[name], group[name]).reshape(-1)).abs().max().item()
        assert away <= NEAR, f"{name}: {away:.1e} from the golden"
        for variant in full.variants[1:]:
            change = variant.taps[name] - own[name]
            at = index, ARITHMETICS.index(variant.name[0])
            rms = _kept(change, group[name]).pow(2).mean().sqrt().item()
            taps[at] = np.fmax(taps[at], (change.abs().max().item(), rms))
    return taps


def make(name, out):
    """out/NAME/noise.h5, beside its golden.h5; some minutes, and memory for one layer and a piece of the head in float32."""
    folder = Path(out) / name
    full = Full(*GOLDENS[name])
    full.variants = _variants(full.model)
    _draw_once(full.weights)
    full.run(torch.tensor([IDS]))
    with h5py.File(folder / "golden.h5") as file:
        taps = _measured(full, file["cases/short/taps"])
    beside = folder / (FILE + ".part")
    with h5py.File(beside, "w", libver=("v110", "v110"), driver="core") as file:
        file.attrs.update({"schema": 1, "golden_sha256": file_digest(folder / "golden.h5"),
                           "transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
                           "generator_sha256": generator_digest("synthetic_noise"),
                           "arithmetics": " ".join(ARITHMETICS), "router": " ".join(ARITHMETICS)})
        file.create_group("cases/short").create_dataset("taps", data=taps, track_times=False)
    os.replace(beside, folder / FILE)
    print(f"{name}: at most", dict(zip(ARITHMETICS, np.nanmax(taps[:, :, 0], axis=0, initial=0).tolist())), flush=True)
