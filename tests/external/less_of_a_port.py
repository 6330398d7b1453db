"""examples/numpy_port.py as engines that show less, or something else: `less_of_a_port.py last|ids|wrong-ids|wrong|other`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import numpy as np  # noqa: E402

import assay_engine  # noqa: E402
import numpy_port  # noqa: E402


def generate(model, call, tokens):
    """Greedy ids, with the port's own cache."""
    session = assay_engine.Session("", model)
    tensors, chosen, cache = dict(call.tensors), [], "fresh"
    for _ in range(tokens):
        step = assay_engine.Call(session, {"cache": cache, "logit_rows": 1}, tensors, None)
        taps = assay_engine.Taps(["text.logits"])
        numpy_port.run(model, step, taps)
        chosen.append(taps["text.logits"][:, -1].argmax(-1))
        tensors = {"input_ids": chosen[-1][:, None]}
        if "attention_mask" in call:
            ones = np.ones((len(call.mask), len(chosen)), np.int64)
            tensors["attention_mask"] = np.concatenate([call.mask, ones], 1)
        if "position_ids" in call:
            tensors["position_ids"] = call["position_ids"][:, -1:] + len(chosen)
        cache = "extend"
    return np.stack(chosen, 1)


def bent(model, call, taps):
    numpy_port.run(model, call, taps)
    if "text.layer.01.mlp" in taps:
        taps["text.layer.01.mlp"] = taps["text.layer.01.mlp"] * 1.01


def main(what):
    port = {"version": "1", "cache": True, "batch": True}
    if what == "last":
        assay_engine.serve(numpy_port.Model, numpy_port.run, name="last-row", variants={"E2B": {"logits": "last"}}, **port)
    if what == "ids":
        assay_engine.serve(numpy_port.Model, numpy_port.run, name="ids-alone", logits="none", generate=generate, **port)
    if what == "wrong-ids":
        assay_engine.serve(numpy_port.Model, numpy_port.run, name="wrong-ids", logits="none",
                           generate=lambda *given: generate(*given) ^ 1, **port)
    if what == "wrong":
        assay_engine.serve(numpy_port.Model, bent, name="wrong", taps=["text.*"], **port)
    if what == "other":
        assay_engine.serve(numpy_port.Model, numpy_port.run, name="other", variants={"31B": {}, "E?B": {"dtypes": ["F16"]}},
                           **port)


if __name__ == "__main__":
    main(sys.argv[1])
