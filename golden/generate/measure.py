"""Works one case out: taps, noise, margins, greedy ids. Not here: files (golden.py), which case to take (make.py)."""

import torch
from transformers import DynamicCache

from . import noise
from .load import run, text_config
from .record import record
from .rows import real_rows

ATOL, RTOL = 5e-5, 1e-5  # the judge's bar for fp32 engines
ROOM = 10  # a discrete choice must be this many times its noise away from another
DISCRETE = "router.topk"


def greedy(model, inputs, steps):
    """Greedy ids [B,steps] with a DynamicCache and no stop token, the logits [B,steps,V] that each was chosen from, and the
    smallest gap between a step's top two logits.

    Positions go on from each row's last; new rows are text, so types and media are given with the prompt only, as
    generate() does.
    """
    cache = DynamicCache(config=text_config(model))
    step, ids, seen, gap = dict(inputs), [], [], float("inf")
    position = inputs["position_ids"][:, -1:] if "position_ids" in inputs else None
    for _ in range(steps):
        logits = run(model, step, past_key_values=cache, use_cache=True).logits[:, -1].float()
        top = logits.topk(2, dim=-1).values
        gap = min(gap, (top[:, 0] - top[:, 1]).min().item())
        ids.append(logits.argmax(-1))
        seen.append(logits)
        step = {"input_ids": ids[-1][:, None]}
        if "attention_mask" in inputs:
            ones = torch.ones(len(logits), len(ids), dtype=torch.long)
            step["attention_mask"] = torch.cat([inputs["attention_mask"], ones], dim=1)
        if position is not None:
            position = position + 1
            step["position_ids"] = position
    return torch.stack(ids, dim=1), torch.stack(seen, dim=1), gap


class Measured:
    """A case with everything that its golden needs.

    taps: name -> fp32 [B,T,...], of towers [1,rows,...]; moved: name -> dict of noise_fp32, noise_excess, noise_bf16, noise_bf16_rms;
    margins: router.topk name -> [B,T] gap between the last chosen and the first unchosen probability.
    """

    def __init__(self, model, case):
        self.case, self.inputs = case, case["inputs"]
        self.real = real_rows(self.inputs)
        self.taps, self.chosen = record(model, self.inputs)
        self.margins = {name: self._margin(name) for name in self.taps if name.endswith(DISCRETE)}
        self.generated, self.generated_logits, self.gap = None, None, float("inf")
        if case["generate"]:
            self.generated, self.generated_logits, self.gap = greedy(model, self.inputs, case["generate"])
        self.moved = {name: {"noise_fp32": 0.0, "noise_excess": 0.0} for name in self.taps}
        self.worst = {}  # variant -> largest excess

    def rows_of(self, name):
        """[B,T] bool: rows of a tap that are not padding."""
        return real_rows(self.inputs, name, self.taps[name])

    def measure_noise(self, model, model_bf16):
        """Fills `moved`; the dear part, so a draw that is dull is refused before it."""
        for variant, other in noise.fp32_variants(model, self.inputs):
            self.worst[variant] = max(self._moved(name, other[name]) for name in self.taps)
        other = noise.bf16_taps(model_bf16, self.inputs, self.chosen)
        for name, golden in self.taps.items():
            real = self.rows_of(name)
            change = other[name][real] - golden[real]
            self.moved[name]["noise_bf16"] = change.abs().max().item()
            self.moved[name]["noise_bf16_rms"] = change.pow(2).mean().sqrt().item()

    def _moved(self, name, other):
        real = self.rows_of(name)
        golden = self.taps[name][real]
        change = (other[real] - golden).abs()
        entry = self.moved[name]
        entry["noise_fp32"] = max(entry["noise_fp32"], change.max().item())
        excess = (change - RTOL * golden.abs()).max().item()
        entry["noise_excess"] = max(entry["noise_excess"], excess)
        return excess

    def _margin(self, name):
        probs = self.taps[name.replace(DISCRETE, "router.probs")]
        used = self.chosen[int(name.split(".")[2])].shape[-1]
        if used >= probs.shape[-1]:
            return torch.full(probs.shape[:2], float("inf"))
        top = probs.topk(used + 1, dim=-1).values
        return top[..., used - 1] - top[..., used]

    def excess(self):
        """The largest |change| - rtol * |value| of any tap."""
        return max(entry["noise_excess"] for entry in self.moved.values())

    def dull(self, cap):
        """Why this draw shows too little; empty when it shows enough."""
        if self.case.get("varied"):
            for row in self.generated.tolist():
                if 2 * len(set(row)) < len(row):
                    return f"only {len(set(row))} different ids of {len(row)}"
        if self.generated is not None and self.case.get("never", set()) & set(self.generated.flatten().tolist()):
            return "placeholder generated: without a cache transformers would ask for its soft token"
        if self.case.get("loud"):
            loudest = self.taps["text.logits"].abs().max().item()
            if loudest < 0.65 * cap:  # tanh(0.78): the cap has taken a sixth away
                return f"largest logit {loudest:.1f} of {cap}"
        return ""

    def unsure(self):
        """Why a correct fp32 engine could fail on this draw; empty when it could not."""
        if self.excess() > ATOL / 2:
            worst = max(self.moved, key=lambda n: self.moved[n]["noise_excess"])
            return f"noise {self.excess():.1e} at {worst} ({max(self.worst, key=self.worst.get)})"
        for name, margin in self.margins.items():
            need = ROOM * self.moved[name.replace(DISCRETE, "router.probs")]["noise_fp32"]
            if margin[self.real].min().item() < need:
                return f"{name}: margin {margin[self.real].min():.1e} under {need:.1e}"
        if self.gap < max(ROOM * self.moved["text.logits"]["noise_fp32"], 1e-3):
            return f"greedy gap {self.gap:.1e}"
        return ""
