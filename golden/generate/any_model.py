"""A golden of any checkpoint for given inputs: the verb `model`. No redrawing: it records what is."""

import json
from pathlib import Path

import h5py
import torch

from . import golden
from .load import model_type, open_model
from .measure import Measured
from .rows import FLOATS


def _argument(name, values):
    """A tensor as forward() wants it: pixels and sound float32, the mask of sound bool, all else int64."""
    if name in FLOATS:
        return values.float()
    return values.bool() if name == "input_features_mask" else values.long()


def read_case(arguments):
    """forward()'s arguments of given tensors."""
    return {name: _argument(name, values) for name, values in arguments.items()}


def read_cases(path):
    """{case: {argument: tensor}} of a .json, or of a .h5 with /cases/NAME/inputs or one plain group of datasets."""
    path = Path(path)
    if path.suffix == ".json":
        raw = json.loads(path.read_text())
        return {case: read_case({k: torch.tensor(v) for k, v in args.items()}) for case, args in raw.items()}
    with h5py.File(path) as file:
        groups = {name: g["inputs"] for name, g in file["cases"].items()} if "cases" in file else {path.stem: file}
        return {name: read_case({k: torch.from_numpy(d[()]) for k, d in g.items() if isinstance(d, h5py.Dataset)})
                for name, g in groups.items()}


def placeholders(model):
    """The ids at which soft tokens are merged."""
    return {getattr(model.config, f"{kind}_token_id", None) for kind in ("image", "video", "audio")}


def golden_of(directory, inputs, out, generate):
    """Writes the golden; prints each case's noise, which tells how much the judge may trust a difference.

    Pixels and sound as transformers' processors return them; in fp32 and eager.
    """
    model, model_bf16 = open_model(directory), open_model(directory, torch.bfloat16)
    measured = []
    for name, arguments in read_cases(inputs).items():
        paths = "batched" if arguments["input_ids"].shape[0] > 1 else "prefill,nocache,chunked,decode"
        case = {"name": name, "what": f"{name}, given by the caller.", "paths": paths, "inputs": arguments,
                "generate": generate, "keep": [], "everything": True}
        one = Measured(model, case)
        one.measure_noise(model, model_bf16)
        if one.generated is not None and set(FLOATS) & set(arguments) and \
                placeholders(model) & set(one.generated.flatten().tolist()):
            # Without a cache the whole sequence is computed again, and its placeholders would ask for more soft tokens.
            case["paths"] = case["paths"].replace("nocache,", "")
        print(f"{name}: noise {one.excess():.1e} {one.unsure()}", flush=True)
        measured.append(one)
    golden.write(out, model, directory, measured, model_type(directory), 0, "any_model")
