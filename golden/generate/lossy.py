"""What else transformers loses when it computes as lesser engines do: K/V cached in bf16, fp16 or Q8_0, and all of it in
fp16 or bf16.

Writes noise.h5 beside a golden.h5 that there is: per case `taps` [taps, arithmetics, 2], the largest change and its root mean
square for each tap of the golden in causal order, and `router` [layers, arithmetics], the largest change of the
router's probabilities in the layers that have experts, whether the golden holds them or not. NaN: not
measured. The fp32 run's experts and drafted tokens are forced, so that rounding alone is seen.

The largest change is that of all real rows, so that generated tokens may be judged by it; root mean squares are those of the
rows that the golden keeps. Where all is rounded, values of one row are off together: few rows are few independent errors, and
one run says little about the next. So fp16 and bf16 are several runs, and the most of them: the eager attention, the fused one, and
DITHERS more with what enters moved by less than a rounding, which all that follows then rounds otherwise. A cache, and int8 (of
packed weights, where golden.h5 has it), are one run that rounds to the nearest and DITHERS in which what is near a tie is rounded
either way: an engine that differs in anything else meets other ties. In int8's, weights that are not packed take bf16, but for
the routers', which nobody rounds. Q8_0 takes blocks of 32 of a head, absmax / 127 as fp16, as llama.cpp stores
them.
"""

import contextlib
import json
import os
from pathlib import Path

import h5py
import numpy as np
import torch
import transformers

from . import int8, quantised
from .any_model import read_case
from .assistant_run import Round, open_drafter
from .digest import file_digest, generator_digest
from .load import open_model, text_model
from .noise import forced_experts, sdpa
from .perturb import setting
from .record import record
from .rows import FLOATS, real_rows
from .taps import orders

ARITHMETICS = ("fp16", "bf16", "kv_bf16", "kv_fp16", "kv_q8_0", "int8")
DITHERS = 4
FILE = "noise.h5"
NEAR = 2.5e-5  # how far the recorded golden may lie from what comes out here: half the bar of fp32 engines


def _through(dtype):
    return lambda x, near=0: (x * (1 + torch.finfo(dtype).eps * near)).to(dtype).to(x.dtype)


def _through_q8_0(x, near=0):
    blocks = x.reshape(*x.shape[:-1], -1, 32)
    step = (blocks.abs().amax(-1, keepdim=True) / 127).expand_as(blocks).reshape(x.shape)
    return quantised.dequantised((x + step * near).contiguous(), "q8_0")


def _near(generator, shape):
    """An eighth of a step to either side at most: what is so near a tie is rounded either way."""
    return (torch.rand(shape, generator=generator) - 0.5) / 4


ROUND = {"kv_bf16": _through(torch.bfloat16), "kv_fp16": _through(torch.float16), "kv_q8_0": _through_q8_0}


@contextlib.contextmanager
def cached_as(kind, seed=None):
    """Every text attention, a drafter's too, reads keys (after RoPE) and values as such a cache gives them back; with a
    seed what is near a tie is rounded either way.
    """
    generator = torch.Generator().manual_seed(1019 * (seed + 1)) if seed is not None else None

    def through(x):
        return ROUND[kind](x, _near(generator, x.shape)) if generator else ROUND[kind](x)

    from transformers.models.gemma4 import modeling_gemma4 as plain
    from transformers.models.gemma4_unified import modeling_gemma4_unified as unified
    with contextlib.ExitStack() as stack:
        for module in (plain, unified):
            original = module.eager_attention_forward

            def rounded(layer, query, key, value, *rest, original=original, **more):
                if type(layer).__name__.endswith("TextAttention"):
                    key, value = through(key), through(value)
                return original(layer, query, key, value, *rest, **more)

            stack.callback(setattr, module, "eager_attention_forward", original)
            module.eager_attention_forward = rounded
        yield


@contextlib.contextmanager
def dithered(model, inputs, dtype, seed):
    """Yields inputs; these, and the rows that tokens enter with, are an eighth of a step off at most before they are rounded.

    What is near a tie rounds to the other side, which is no further off, and all that follows rounds otherwise.
    """
    generator = torch.Generator().manual_seed(1009 * (seed + 1))
    reach = torch.finfo(dtype).eps / 8

    def moved(x):
        return x * (1 + reach * (2 * torch.rand(x.shape, generator=generator) - 1))

    def enter(module, args, out):
        exact = torch.nn.functional.embedding(args[0], module.weight.float()) * module.embed_scale.to(out.dtype).float()
        return moved(exact).to(out.dtype)

    handle = text_model(model).embed_tokens.register_forward_hook(enter)
    try:
        yield {name: moved(x) if name in FLOATS else x for name, x in inputs.items()}
    finally:
        handle.remove()


@contextlib.contextmanager
def int8_otherwise(model, packed, seed):
    """int8 for packed weights, what is near a tie rounded either way; bf16 for all others but the routers'."""
    generator = torch.Generator().manual_seed(1013 * (seed + 1))
    functional = torch.nn.functional
    linear = functional.linear
    others = [*packed, *(layer.router.proj.weight for layer in text_model(model).layers if hasattr(layer, "router"))]
    ranges = [(t.data_ptr(), t.data_ptr() + t.numel() * t.element_size()) for t in others]

    def bf16_linear(x, weight, bias=None):
        if not any(first <= weight.data_ptr() < last for first, last in ranges):
            x = _through(torch.bfloat16)(x)
        return linear(x, weight, bias)

    def rounded(x):
        blocks = x.reshape(*x.shape[:-1], -1, int8.BLOCK)
        step = blocks.abs().amax(-1, keepdim=True) / 127
        inverse = torch.where(step > 0, 1 / step, torch.zeros_like(step))
        return ((blocks * inverse + _near(generator, blocks.shape)).round().clamp(-127, 127) * step).reshape(x.shape)

    with setting((functional, "linear", bf16_linear)), setting((int8, "rounded", rounded)), \
            int8.activations_rounded(packed):
        yield


def _check_rounding():
    """Raises if `cached_as` changes nothing, or Q8_0 is not what its definition says."""
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(5))
    blocks = x.reshape(-1, 32).double()
    step = (blocks.abs().amax(-1, keepdim=True).float() / 127).half().double()
    off = (_through_q8_0(x).reshape(-1, 32).double() - blocks).abs() / step  # half a step, and 127 / 2048 for the fp16 step
    assert 0.4 < off.max() <= 0.57, off.max()


def _blocks_fit(model):
    return all(layer.self_attn.head_dim % 32 == 0 for layer in text_model(model).layers)


def _checkpoint(name, roots):
    return next(p for p in (Path(root) / name / "checkpoint" for root in roots) if p.exists())


class Model:
    """A golden's checkpoint in transformers, in every precision that is measured; a drafter with its target."""

    def __init__(self, folder, roots):
        self.packed, self.target = [], None
        weights = json.loads((folder / "weights.json").read_text()) if (folder / "weights.json").exists() else None
        root = _checkpoint(weights["of"], roots) if weights else folder / "checkpoint"
        root = root if root.exists() else folder
        with h5py.File(folder / "golden.h5") as file:
            target = file.attrs.get("target")
        if target is not None:
            self.target = _checkpoint(target, roots)
        self.models = {}
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
            if self.target:
                self.models[name] = open_model(self.target, dtype), open_drafter(root, dtype)
                continue
            self.models[name] = open_model(root, dtype)
            if weights:
                packed = quantised._quantise(self.models[name], weights["weights"])
                self.packed = self.packed or packed
        self.fp32 = self.models["fp32"]

    def kinds(self):
        """What can be measured of this model."""
        fit = all(map(_blocks_fit, (self.fp32[0], self.fp32[1]))) if self.target else _blocks_fit(self.fp32)
        can = {"kv_q8_0": fit, "int8": bool(self.packed)}
        return [kind for kind in ARITHMETICS if can.get(kind, True)]

    def layers(self):
        """How many text layers the golden has; causal order needs it."""
        return len(text_model(self.fp32[1] if self.target else self.fp32).layers)


class _Case:
    """A case of a golden, read and run again: taps of the fp32 run, and of every other."""

    def __init__(self, model, group):
        self.model, self.group = model, group
        self.inputs = read_case({name: torch.from_numpy(data[()]) for name, data in group["inputs"].items()})
        if model.target:
            self.steps = int(group.attrs["draft_steps"])
            self.base = Round(*model.fp32, self.inputs, self.steps)
            self.taps = self.base.taps
        else:
            self.taps, self.chosen = record(model.fp32, self.inputs)

    def others(self):
        """Yields (arithmetic, taps), some arithmetics several times."""
        for kind in self.model.kinds():
            model = self.model.models.get(kind, self.model.fp32)
            if kind in ROUND:
                for seed in (None, *range(DITHERS)):
                    with cached_as(kind, seed):
                        yield kind, self._run(model, self.inputs)
            elif kind == "int8":
                with int8.activations_rounded(self.model.packed):
                    yield kind, self._run(model, self.inputs)
                for seed in range(DITHERS):
                    with int8_otherwise(model, self.model.packed, seed):
                        yield kind, self._run(model, self.inputs)
            else:
                yield kind, self._run(model, self.inputs)
                yield from ((kind, taps) for taps in self._run_otherwise(model))

    def _run(self, model, inputs):
        if self.model.target:
            return Round(*model, inputs, self.steps, like=self.base).taps
        with forced_experts(model, self.chosen):
            return record(model, inputs)[0]

    def _run_otherwise(self, model):
        """The same model in the same type, rounding elsewhere."""
        whole = model[0] if self.model.target else model
        with sdpa(whole), contextlib.ExitStack() as stack:
            if self.model.target:
                stack.enter_context(setting((model[1].model.config, "_attn_implementation", "sdpa")))
            yield self._run(model, self.inputs)
        for seed in range(DITHERS):
            with dithered(whole, self.inputs, whole.dtype, seed) as inputs:
                yield self._run(model, inputs)

    def real(self, name):
        """[B,T] bool of a tap's rows that are not padding; rows of a drafter are all real."""
        if self.model.target:
            return torch.ones(self.taps[name].shape[:2], dtype=torch.bool)
        return real_rows(self.inputs, name, self.taps[name])

    def kept(self, name):
        """The same for the rows that the golden keeps."""
        real = self.real(name)
        if "rows" not in self.group["taps"][name].attrs:
            return real
        rows = torch.from_numpy(self.group["taps"][name].attrs["rows"])
        return real & torch.zeros(real.numel(), dtype=torch.bool).index_fill(0, rows, True).view_as(real)

    def judged(self, name, kind):
        """int8 is judged where golden.h5 has it, by cases in which it cannot choose other experts."""
        return kind != "int8" or "noise_int8" in self.group["taps"][name].attrs

    def check(self, name):
        """Raises if the golden holds something else than what came out here."""
        held = torch.from_numpy(self.group["taps"][name][()])
        real, own = self.real(name), self.taps[name]
        own = own.clone()
        own[~real] = 0
        own = own.reshape(-1, *own.shape[2:])
        if "rows" in self.group["taps"][name].attrs:
            own = own[torch.from_numpy(self.group["taps"][name].attrs["rows"])]
        away = (held.reshape(own.shape) - own).abs().max().item()
        assert away <= NEAR, f"{self.group.name}/{name}: {away:.1e} from the golden"


def _measure(model, group):
    """(taps, router) of one case, as the file holds them."""
    case = _Case(model, group)
    names = sorted(group["taps"], key=orders(model.layers()).__getitem__)
    for name in names:
        case.check(name)
    taps = np.full((len(names), len(ARITHMETICS), 2), np.nan, np.float32)
    router = np.full((model.layers(), len(ARITHMETICS)), np.nan, np.float32)
    for kind, other in case.others():
        for index, name in enumerate(names):
            if not case.judged(name, kind):
                continue
            real, kept = case.real(name), case.kept(name)
            change = other[name] - case.taps[name]
            at = (index, ARITHMETICS.index(kind))
            taps[at] = np.fmax(taps[at], (change[real].abs().max().item(), change[kept].pow(2).mean().sqrt().item()))
        for name in case.taps:
            if name.endswith("router.probs"):
                change = (other[name] - case.taps[name])[case.real(name)]
                at = (int(name.split(".")[2]), ARITHMETICS.index(kind))
                router[at] = np.fmax(router[at], change.abs().max().item())
    return taps, router


def make(name, out, data):
    """out/NAME/noise.h5; checkpoints that it needs of other goldens lie below `out`, or else below `data`."""
    folder = Path(out) / name
    _check_rounding()
    model = Model(folder, (out, data))
    results = {}
    with h5py.File(folder / "golden.h5") as file:
        for case in sorted(file["cases"]):
            if len(file["cases"][case]["taps"]):
                results[case] = _measure(model, file["cases"][case])
    beside = folder / (FILE + ".part")
    with h5py.File(beside, "w", libver=("v110", "v110"), driver="core") as file:
        file.attrs.update({"schema": 1, "golden_sha256": file_digest(folder / "golden.h5"),
                           "transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
                           "generator_sha256": generator_digest("lossy"),
                           "arithmetics": " ".join(ARITHMETICS), "router": " ".join(ARITHMETICS)})
        for case, (taps, router) in results.items():
            group = file.create_group(f"cases/{case}")
            group.create_dataset("taps", data=taps, track_times=False)
            if not np.isnan(router).all():
                group.create_dataset("router", data=router, track_times=False)
    os.replace(beside, folder / FILE)
    worst = {kind: max((float(np.nanmax(taps[:, i, 0], initial=0)) for taps, _ in results.values()), default=0.0)
             for i, kind in enumerate(ARITHMETICS)}
    print(f"{name}: {len(results)} cases, at most {worst}", flush=True)
