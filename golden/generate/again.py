"""How often transformers itself, in bf16 once more and rounding elsewhere, goes over what the judge allows a bf16 engine.

That budget is made of six runs (lossy.py). Each run here is dithered by a seed that none of those had, so that it says how often
an engine that is as good as transformers is told off. `python -m generate.again e2b-tails --runs 8`, from golden/.
"""

import argparse
from pathlib import Path

import h5py

from .load import deterministic
from .lossy import ARITHMETICS, FILE, Model, _Case, dithered
from .taps import orders

DATA = Path(__file__).resolve().parent.parent / "data"
FIRST_SEED = 100  # lossy.DITHERS are the first few


def _over(change, base, noise, rows):
    """How much of its budget a tap takes: lossy_engine and lossy_rms_limit of harness/judge, in Python."""
    most, rms = noise
    errors = max(min(base.numel(), 16 * rows), 1)
    limit = max(1.25, 1 + 4 / errors ** 0.5) * rms + 5e-5
    each = 5e-5 + 2 * most + 1e-5 * base.abs()
    return max((change.abs() / each).max().item(), change.pow(2).mean().sqrt().item() / limit)


def _run_again(model, case, names, noise, seed):
    """(tap, share of its budget) of each tap of one more run. What was chosen is forced, so it is not judged."""
    bf16 = model.models["bf16"]
    whole = bf16[0] if model.target else bf16
    with dithered(whole, case.inputs, whole.dtype, seed) as inputs:
        taps = case._run(bf16, inputs)
    for index, name in enumerate(names):
        if name.endswith("topk"):
            continue
        kept = case.kept(name)
        base = case.taps[name][kept]
        yield name, _over(taps[name][kept] - base, base, noise[index], int(kept.sum()))


def main():
    """Prints each tap that is over, and how many were not."""
    parser = argparse.ArgumentParser(prog="python -m generate.again", description=__doc__)
    parser.add_argument("names", nargs="+", help="goldens")
    parser.add_argument("--runs", type=int, default=4, help="of each case")
    parser.add_argument("--case", action="append", help="only this one (again for more)")
    args = parser.parse_args()
    deterministic()
    runs = taps = runs_over = taps_over = 0
    for name in args.names:
        model = Model(DATA / name, (DATA, DATA))
        with h5py.File(DATA / name / "golden.h5") as golden, h5py.File(DATA / name / FILE) as measured:
            for at in sorted(golden["cases"]):
                if not len(golden["cases"][at]["taps"]) or (args.case and at not in args.case):
                    continue
                case = _Case(model, golden["cases"][at])
                names = sorted(golden["cases"][at]["taps"], key=orders(model.layers()).__getitem__)
                noise = measured["cases"][at]["taps"][:, ARITHMETICS.index("bf16"), :]
                for seed in range(FIRST_SEED, FIRST_SEED + args.runs):
                    shares = list(_run_again(model, case, names, noise, seed))
                    over = [(tap, share) for tap, share in shares if share > 1]
                    runs, taps = runs + 1, taps + len(shares)
                    runs_over, taps_over = runs_over + bool(over), taps_over + len(over)
                    for tap, share in over:
                        print(f"{name}/{at} seed {seed}: {tap} {share:.3f} x budget", flush=True)
    print(f"{runs_over} of {runs} runs have a tap over its budget, {taps_over} of {taps} taps are", flush=True)


if __name__ == "__main__":
    main()
