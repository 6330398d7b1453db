"""Does a golden's model show every fault? A parameter or rule that can be wrong unseen makes the golden worthless.

Only rows that are not padding count. A perturbation must move a tap by more than EXPOSED times the judge's atol, and the
last line of what `make` prints for a golden says how many of them reach the logits too.
"""

import torch

from .any_model import read_cases
from .cases import make
from .golden import is_kept, kept_rows
from .load import audio_tower, open_model, text_model
from .measure import ATOL
from .perturb import all_of, filled, identity
from .record import record
from .rows import real_rows
from .specs import SPECS
from .taps import orders
from .weights_towers import is_tower

EXPOSED, TENSOR_EXPOSED = 20, 10
# What shows by nature only where a golden has the case for it, and what is small by nature: (name, factor of atol).
SMALL = {"the other gelu": 4}


class Baseline:
    """The unperturbed taps of a golden's cases: of each, the rows that the golden keeps and that are not padding."""

    def __init__(self, model, cases):
        self.model, self.hidden = model, text_model(model).embed_tokens.embedding_dim
        self.order = orders(len(text_model(model).layers))
        # Few rows first: most perturbations show in any case.
        self.cases = sorted(cases, key=lambda c: c["inputs"]["input_ids"].numel())
        self.taps = {c["name"]: self._kept(c) for c in self.cases}

    def _kept(self, case):
        kept = {}
        for name, tensor in record(self.model, case["inputs"])[0].items():
            if is_kept(case, name):
                real = real_rows(case["inputs"], name, tensor)
                rows = kept_rows(case, real, name, self.hidden)
                mask = real.reshape(-1).clone()
                if rows is not None:
                    mask &= torch.zeros_like(mask).index_fill(0, torch.tensor(rows), True)
                kept[name] = tensor.reshape(-1, *tensor.shape[2:])[mask]
        return kept

    def change(self, enough):
        """(case, first tap moved by more than `enough`, largest move of a tap, of the logits) of the case that shows most.

        Stops at the first case whose logits move enough.
        """
        best = ("", "", 0.0, 0.0)
        for case in self.cases:
            other = self._kept(case)
            moved = {name: distance(other.get(name), tensor) for name, tensor in self.taps[case["name"]].items()}
            first = next((name for name in sorted(moved, key=self.order.__getitem__) if moved[name] > enough), "")
            found = (case["name"], first, max(moved.values()), moved["text.logits"])
            best = max(best, found, key=lambda f: (f[3] > enough, f[2]))
            if found[3] > enough:
                return found
        return best


def distance(other, tensor):
    """The largest change of a value; another number of rows is the largest of all."""
    if other is None or other.shape != tensor.shape:
        return 1e9
    return (other - tensor).abs().nan_to_num(1e9).max().item()


def parameters(model):
    """(key, tensor) of everything a checkpoint holds: the decoder's, then the towers'."""
    yield from text_model(model).state_dict().items()
    for key, tensor in model.state_dict().items():
        if is_tower(key):
            yield key, tensor


def check_perturbations(name, base, verbose=False):
    """Names of perturbations that show nowhere; prints a line for each when verbose."""
    unseen, in_logits, total = [], 0, 0
    for what, bend in all_of(base.model):
        enough = SMALL.get(what, EXPOSED) * ATOL
        with bend:
            case, first, largest, logits = base.change(enough)
        total += 1
        in_logits += logits > enough
        if largest <= enough:
            unseen.append(f"{what} ({largest:.1e})")
        if verbose:
            print(f"  {what:50s} {case:24s} first {first:28s} taps {largest:8.1e} logits {logits:8.1e}")
    print(f"  {name}: {total} perturbations, {in_logits} reach the logits, unseen: {unseen or 'none'}", flush=True)
    return unseen


def check_tensors(name, base, verbose=False):
    """Names of parameter tensors whose loss shows nowhere."""
    unseen, total = [], 0
    for key, tensor in parameters(base.model):
        with filled((tensor, identity(key))):
            _, _, largest, logits = base.change(TENSOR_EXPOSED * ATOL)
        total += 1
        if largest <= TENSOR_EXPOSED * ATOL:
            unseen.append(f"{key} ({largest:.1e})")
        elif verbose and logits <= TENSOR_EXPOSED * ATOL:
            print(f"  {key}: moves taps by {largest:.1e}, logits by {logits:.1e} only")
    print(f"  {name}: {total} tensors, unseen: {unseen or 'none'}", flush=True)
    return unseen


def excused(spec, what):
    """Perturbations that this golden has no case for, being small; the tails of its variant have one."""
    if spec["set"] == "tails":
        return False
    if spec["set"] == "media" and what.startswith(("vision", "audio:")):
        return False
    beyond_it = ("positions in bf16", "audio rows", "video rows", "pad row", "placeholders", "blocks see both ways")
    return what.startswith(beyond_it)


def clamped(key, model):
    """A bound of what leaves a block of the audio tower that gradient_clipping outdoes, so that the clamp behind it shows."""
    key = key.split(" ")[0]
    if not key.endswith((".ffw_layer_2.output_min", ".ffw_layer_2.output_max", ".post.output_min", ".post.output_max")):
        return False
    return abs(dict(parameters(model))[key].item()) >= audio_tower(model).config.gradient_clipping


def outdone(key, unseen):
    """A bound that the tighter one across a SiLU hides (weights_towers.py): it shows in the block's other FFN."""
    pairs = [(f"ffw_layer_1.output_{end}", f"ffw_layer_2.input_{end}") for end in ("min", "max")]
    for one, other in pairs + [pair[::-1] for pair in pairs]:
        if key.split(" ")[0].endswith(one):
            rival = key.split(" ")[0].replace(one, other)
            return not any(u.startswith(rival + " ") for u in unseen)
    return False


def check_golden(name, spec, model, cases, verbose=False):
    """Raises where something shows nowhere. The model must be the reloaded fp32 one."""
    base = Baseline(model, cases)
    unseen = [u for u in check_perturbations(name, base, verbose) if not excused(spec, u)]
    tensors = check_tensors(name, base, verbose)
    unseen += [key for key in tensors if not outdone(key, tensors) and not clamped(key, model)]
    if unseen:
        raise RuntimeError(f"{name}: a golden that these faults cannot break is a defect: {unseen}")


def expose(name, out):
    """The verb `expose`: lists what each perturbation of a written golden's checkpoint changes."""
    spec, folder = SPECS[name], f"{out}/{name}"
    cases = [{**make(name, spec, case, 0), "name": case, "inputs": inputs}
             for case, inputs in read_cases(f"{folder}/golden.h5").items()]
    check_golden(name, spec, open_model(f"{folder}/checkpoint"), cases, verbose=True)
