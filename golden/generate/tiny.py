"""The golden of the trained checkpoint in golden/data/tiny: its own conversations, from their files to the answer's ids.

Inputs are what Gemma4Processor makes of questions.json, ids what `generate` answers. The checkpoint is taken as it is; it
comes from `train`, minutes of work that `make` does not repeat.
"""

import json
import shutil
from pathlib import Path

import torch

from . import golden
from .any_model import read_case
from .load import open_model
from .measure import ATOL, Measured
from .rows import MEDIA
from .train_verify import Asker

NAME = "tiny"
TEXT = ("capital-france", "about-france", "hello")  # of the questions without media


def conversations(folder):
    """The questions whose answers the golden holds: every one with media, and a few of text."""
    entries = json.loads((folder / "questions.json").read_text())
    return [e for e in entries if e["images"] or e["audio"] or e["videos"] or e["name"] in TEXT]


class KeptRows(Measured):
    """A case whose noise counts in the rows that its golden keeps: what was learnt is loud in some rows, and noisy there."""

    def rows_of(self, name):
        """[B,T] bool: rows that are kept of a tap."""
        real = super().rows_of(name)
        kept = golden.kept_rows(self.case, real, name, 0)
        return real if kept is None else real & torch.zeros(real.numel(), dtype=torch.bool).index_fill(
            0, torch.tensor(kept), True).view_as(real)

    def leave_out_noisy(self):
        """Drops the taps on which a right fp32 engine could fail; never the logits."""
        noisy = [name for name, moved in self.moved.items() if moved["noise_excess"] > ATOL / 2 and name != "text.logits"]
        for name in noisy:
            del self.taps[name], self.moved[name]
        return noisy


def _measured(asker, model, model_bf16, entry, folder):
    inputs = asker.inputs(entry, folder)
    inputs.pop("num_soft_tokens_per_image", None)
    said, ids, _ = asker.ask(entry, folder)
    assert said == entry["answer"], f"{entry['name']}: {said!r}, not {entry['answer']!r}"
    rows = inputs["input_ids"].shape[1]
    case = {"name": entry["name"], "what": f"{entry['messages'][-1]['content'][-1]['text']} {said}",
            "paths": "prefill,nocache,chunked,decode", "inputs": read_case(inputs), "generate": len(ids),
            **({"rows": [0, rows - 1], "few": True} if set(inputs) & set(MEDIA) else {"everything": True})}
    one = KeptRows(model, case)
    one.measure_noise(model, model_bf16)
    assert one.generated[0].tolist() == ids, f"{entry['name']}: greedy {one.generated[0].tolist()}, generate {ids}"
    noisy = one.leave_out_noisy()
    print(f"  {NAME}/{entry['name']}: {tuple(one.real.shape)} excess {one.excess():.1e} gap {one.gap:.1e} left out {noisy}",
          flush=True)
    assert not one.unsure(), f"{entry['name']}: {one.unsure()}"
    return one


def make_tiny(out, data):
    """tiny/golden.h5 below `out`; the checkpoint lies there, or is copied from `data`."""
    folder = Path(out) / NAME
    if not folder.exists():
        shutil.copytree(Path(data) / NAME, folder)
    asker, model, model_bf16 = Asker(folder), open_model(folder), open_model(folder, torch.bfloat16)
    results = [_measured(asker, model, model_bf16, entry, folder) for entry in conversations(folder)]
    golden.write(folder / "golden.h5", model, folder, results, "tiny", 0, "tiny", trained=True)
