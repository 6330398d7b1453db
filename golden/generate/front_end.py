"""Writes the front-end goldens: what transformers makes of texts, conversations and media files before a model sees them.

`front-end/` below the goldens: front-end.h5, checkpoints/NAME/ (what a processor reads: no weights) and files/ (media). A
case is a request and the stages that transformers' own processors went through for it. The cases come from the modules of
MODULES; each may define `front_end_checkpoints(folder)` and `front_end_cases(folder)`.
Schema: / attrs kind="frontend", schema, transformers; /cases/NAME attrs what; `request` (JSON, uint8); `stages/NAME`, whole
or, with attrs rows (indices along its first axis) and shape, in part.
"""

import dataclasses
import gc
import importlib
import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import transformers

from .digest import generator_digest

SCHEMA = 1
SMALL = 768
MODULES = ("tokenizer_cases", "chat_cases", "generation_cases", "media")


@dataclasses.dataclass
class Kept:
    """Some rows of a stage: array[rows], and the shape of it all."""

    values: np.ndarray
    rows: list
    shape: tuple


def kept(array, rows):
    """The chosen rows of an array, or the array itself where that is all of them."""
    rows = sorted({int(r) for r in rows if 0 <= r < len(array)})
    return np.asarray(array) if len(rows) == len(array) else Kept(np.asarray(array)[rows], rows, np.shape(array))


@dataclasses.dataclass
class Case:
    """name: [a-z0-9-]+; what: one sentence; request: JSON; stages: name -> array, Kept or str."""

    name: str
    what: str
    request: dict
    stages: dict


def _modules():
    for name in MODULES:
        try:
            yield importlib.import_module(f"{__package__}.{name}")
        except ModuleNotFoundError as missing:
            if not (missing.name or "").startswith(__package__):
                raise


def _dataset(group, name, array):
    array = np.ascontiguousarray(array)
    if array.dtype not in (np.uint8, np.int64, np.float32):
        raise TypeError(f"{group.name}/{name}: {array.dtype}")
    if array.nbytes < SMALL:
        return group.create_dataset(name, data=array, track_times=False)
    return group.create_dataset(name, data=array, chunks=array.shape, compression="gzip", compression_opts=9,
                                shuffle=True, track_times=False)


def text_bytes(text):
    """A string as the uint8 array that a stage holds."""
    return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)


def _write_case(group, case):
    group.attrs["what"] = case.what
    _dataset(group, "request", text_bytes(json.dumps(case.request, ensure_ascii=False, sort_keys=True)))
    stages = group.create_group("stages")
    for name in sorted(case.stages):
        value = case.stages[name]
        if isinstance(value, str):
            value = text_bytes(value)
        if isinstance(value, Kept):
            dataset = _dataset(stages, name, value.values)
            dataset.attrs["rows"] = np.array(value.rows, dtype=np.int64)
            dataset.attrs["shape"] = np.array(value.shape, dtype=np.int64)
        else:
            _dataset(stages, name, np.asarray(value))


def write(path, cases):
    """Writes the file beside its place, then renames it."""
    beside = Path(path).with_name(Path(path).name + ".part")
    gc.collect()
    gc.disable()
    with h5py.File(beside, "w", libver=("v110", "v110"), driver="core") as file:
        file.attrs.update({"kind": "frontend", "schema": SCHEMA, "transformers": transformers.__version__,
                           "generator_sha256": generator_digest("front_end", *MODULES)})
        group = file.create_group("cases")
        for case in cases:
            _write_case(group.create_group(case.name), case)
    gc.enable()
    os.replace(beside, path)


def make(out):
    """front-end/ below `out`."""
    folder = Path(out) / "front-end"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "files").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    modules = list(_modules())
    for module in modules:
        if hasattr(module, "front_end_checkpoints"):
            module.front_end_checkpoints(folder / "checkpoints")
    cases = {}
    for module in modules:
        for case in module.front_end_cases(folder) if hasattr(module, "front_end_cases") else ():
            if case.name in cases:
                raise ValueError(f"two cases called {case.name}")
            cases[case.name] = case
    write(folder / "front-end.h5", [cases[name] for name in sorted(cases)])
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"front-end: {len(cases)} cases, {(folder / 'front-end.h5').stat().st_size // 1000} KB of goldens, "
          f"{size // 1000} KB in all", flush=True)
