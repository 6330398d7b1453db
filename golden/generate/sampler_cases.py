"""What transformers' logits processors leave of rows of logits: the test data of harness/sample.

`python -m generate.sampler_cases FILE` writes a JSON list of {what, config, logits, ids, probabilities}: the tokens that may
be drawn, in the order of ids. Logits are fp32 numbers written exactly. Which of several equal logits torch.sort puts first is
left to the machine (from some 20 elements on), so that top-p may drop any of them; here it sorts stably, and drops the
earlier ids. Not here: drawing, which is our own.
"""

import functools
import json
import sys

import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

GEMMA = {"do_sample": True, "temperature": 1.0, "top_k": 64, "top_p": 0.95}


def processors(config):
    """The list that GenerationMixin._get_logits_processor makes of these keys, in its order."""
    made = LogitsProcessorList()
    if config.get("suppress_tokens"):
        made.append(SuppressTokensLogitsProcessor(config["suppress_tokens"]))
    if config["do_sample"]:
        if config["temperature"] != 1.0:
            made.append(TemperatureLogitsWarper(config["temperature"]))
        if config["top_k"] != 0:
            made.append(TopKLogitsWarper(config["top_k"]))
        if config["top_p"] < 1.0:
            made.append(TopPLogitsWarper(config["top_p"]))
    return made


def case(what, logits, **changes):
    config = {**GEMMA, **changes}
    scores = processors(config)(torch.zeros(1, 1, dtype=torch.int64), logits.clone()[None])[0]
    if config["do_sample"]:
        shares = torch.softmax(scores, dim=-1)
        ids = torch.nonzero(shares, as_tuple=True)[0]
    else:
        ids = torch.argmax(scores)[None]
        shares = torch.ones_like(scores)
    return {
        "what": what,
        "config": config,
        "logits": [float(v) for v in logits],
        "ids": ids.tolist(),
        "probabilities": [float(shares[i]) for i in ids],
    }


def cases():
    torch.manual_seed(20)
    wide = torch.randn(300) * 4
    flat = torch.randn(200) * 0.1
    steps = torch.round(torch.randn(160) * 2) / 2  # many tokens share a logit
    peak = torch.full((80,), -3.0)
    peak[41] = 9.0
    never = torch.randn(50)
    never[::3] = -float("inf")
    return [
        case("Gemma's own settings", wide),
        case("nearly flat: top-k cuts first", flat),
        case("equal logits at the cut of top-k all stay", steps, top_k=20, top_p=1.0),
        case("equal logits at the cut of top-p: the earlier ids go first", steps, top_k=0),
        case("equal logits at both cuts", steps, top_k=40, top_p=0.9),
        case("all equal", torch.zeros(40), top_p=0.5),
        case("one token holds more than p", peak),
        case("temperature below one", wide, temperature=0.3),
        case("temperature above one", wide, temperature=2.5),
        case("a hot, nearly flat row", flat, temperature=3.0, top_p=0.8),
        case("top-p 0 keeps the largest", steps, top_p=0.0),
        case("top-k 1", wide, top_k=1),
        case("top-k beyond the vocabulary", never, top_k=1000),
        case("no filter", never, top_k=0, top_p=1.0),
        case("logits that are -infinity", never),
        case("suppressed tokens", wide, suppress_tokens=[int(torch.argmax(wide)), 7, 12]),
        case("suppressed, then sorted, then cut", steps, suppress_tokens=[0, 1, 2, 3], temperature=0.7, top_k=30),
        case("greedy", wide, do_sample=False),
        case("greedy among equals", steps, do_sample=False),
        case("greedy without the largest", wide, do_sample=False, suppress_tokens=[int(torch.argmax(wide))]),
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.sort = functools.partial(torch.sort, stable=True)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(json.dumps(cases(), separators=(",", ":")).replace("-Infinity", "null").replace('},{"what"', '},\n{"what"'))
        file.write("\n")
