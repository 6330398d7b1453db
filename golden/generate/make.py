"""Makes the goldens of specs.py: draws, saves, reloads, measures, redraws, writes. Prints what it did."""

import json
import os
import shutil
import time
from pathlib import Path

import torch
from transformers import DynamicCache

from . import cases, golden, weights
from .digest import file_digest
from .load import open_model, run, text_config
from .measure import ATOL, RTOL, Measured
from .rows import MEDIA
from .specs import SPECS

ATTEMPTS = 300


def _reload_equals(name, spec, directory, model):
    """The hub's spelling and the extra K/V tensors must change nothing: same logits, bit for bit, as plain saving."""
    if not (spec["hub"] or spec.get("extra_kv")):
        return
    plain = Path(directory).with_name("plain.part")
    weights.save_checkpoint(name, {**spec, "hub": False, "extra_kv": False}, plain)
    ids = {"input_ids": torch.tensor([[7, 11, 13, 17, 19, 23]])}
    same = torch.equal(open_model(plain)(**ids).logits, model(**ids).logits)
    shutil.rmtree(plain)
    assert same, f"{name}: the rewritten checkpoint computes something else"


def measure_case(name, spec, case_name, models):
    """The first attempt at a case that can be a golden, and its number."""
    cap = spec["text"]["final_logit_softcapping"]
    refused = {}
    for attempt in range(ATTEMPTS):
        case = {**cases.make(name, spec, case_name, attempt), "name": case_name}
        measured = Measured(models[0], case)
        reason = measured.dull(cap)
        if not reason:
            measured.measure_noise(*models)
            reason = measured.unsure()
        if not reason:
            return measured, attempt
        refused[reason.split(" ")[0]] = (refused.get(reason.split(" ")[0], (0,))[0] + 1, reason)
    print(f"    {case_name}: {refused}", flush=True)
    raise RuntimeError(f"{name}/{case_name}: no draw passed; lower the spec's gain or move its seed")


def check_paths(measured, model):
    """A cached forward, whole or in pieces, must give the golden's logits: every path of a case answers to one golden.

    Pieces only where no block can be cut, and no media, which transformers takes whole; their length 3 divides no window.
    """
    inputs, taps, paths = measured.inputs, measured.taps, measured.case["paths"].split(",")
    rows = inputs["input_ids"].shape[1]
    pieces = [rows] if {"prefill", "batched"} & set(paths) else []
    if "chunked" in paths and not {"mm_token_type_ids", *MEDIA} & set(inputs):
        pieces += [3, 1]
    for piece in pieces:
        cache = DynamicCache(config=text_config(model))
        logits = []
        for at in range(0, rows, piece):
            part = {k: v if k in MEDIA else v[:, :at + piece] if k == "attention_mask" else v[:, at:at + piece]
                    for k, v in inputs.items()}
            logits.append(run(model, part, past_key_values=cache, use_cache=True).logits)
        golden = taps["text.logits"][measured.real]
        off = (torch.cat(logits, dim=1)[measured.real] - golden).abs() - RTOL * golden.abs()
        assert off.max().item() <= ATOL, f"{measured.case['name']}: pieces of {piece} are off by {off.max():.1e}"


def make_golden(name, out, check=True):
    """One golden: its checkpoint folder and golden.h5 below out/name."""
    spec, folder, start = SPECS[name], Path(out) / name, time.monotonic()
    fresh = folder / "checkpoint.part"
    folder.mkdir(parents=True, exist_ok=True)
    weights.save_checkpoint(name, spec, fresh)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    os.replace(fresh, folder / "checkpoint")
    checkpoint = folder / "checkpoint"
    model, model_bf16 = open_model(checkpoint), open_model(checkpoint, torch.bfloat16)
    _reload_equals(name, spec, checkpoint, model)
    results = []
    for case_name in cases.names(spec):
        measured, attempt = measure_case(name, spec, case_name, (model, model_bf16))
        scores = statistics(measured)
        print(f"  {name}/{case_name}: {tuple(measured.real.shape)} attempt {attempt} excess {measured.excess():.1e} "
              f"gap {measured.gap:.1e} max logit {scores:.1f}", flush=True)
        check_paths(measured, model)
        results.append(measured)
    if check:
        from .exposing import check_golden
        check_golden(name, spec, model, [m.case for m in results])
    golden.write(folder / "golden.h5", model, checkpoint, results, spec["variant"], spec.get("seed", 0), "make")
    print(f"{name}: excess {max(m.excess() for m in results):.2e} of {ATOL / 2:.1e}, "
          f"{time.monotonic() - start:.0f} s", flush=True)


def statistics(measured):
    """The largest logit of a case."""
    return measured.taps["text.logits"][measured.real].abs().max().item()


def manifest(out):
    """Writes MANIFEST.json over every file below out but itself."""
    out = Path(out)
    files = {p.relative_to(out).as_posix(): file_digest(p) for p in sorted(out.rglob("*"))
             if p.is_file() and p.name != "MANIFEST.json" and not p.name.endswith(".part")}
    beside = out / "MANIFEST.json.part"
    beside.write_text(json.dumps({"schema": 1, "files": dict(sorted(files.items()))}, indent=1) + "\n")
    os.replace(beside, out / "MANIFEST.json")


def sizes(out):
    """Prints what each golden weighs, in KB."""
    total = 0
    for folder in sorted(p for p in Path(out).iterdir() if p.is_dir()):
        goldens = sum(f.stat().st_size for f in folder.glob("*.h5"))
        parts = [sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) - goldens, goldens]
        total += sum(parts)
        print(f"{folder.name:16s} checkpoint {parts[0] / 1e3:9.0f} KB   golden {parts[1] / 1e3:9.0f} KB")
    print(f"{'total':16s} {total / 1e6:.1f} MB")
