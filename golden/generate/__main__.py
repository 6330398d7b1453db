"""The command line of the generator; `python -m generate --help` from golden/."""

import argparse
from pathlib import Path

from . import assistant, front_end, lossy, make, quantised, synthetic_full, synthetic_noise, taps, tiny
from .assistant_specs import DRAFTERS
from .load import deterministic
from .specs import SPECS

DATA = Path(__file__).resolve().parent.parent / "data"


def noise(name, out):
    """noise.h5 beside a golden below `out`."""
    if name in synthetic_full.GOLDENS:
        synthetic_noise.make(name, out)
    else:
        lossy.make(name, out, DATA)


def main():
    """Parses the verb and runs it."""
    parser = argparse.ArgumentParser(
        prog="python -m generate",
        description="Runs transformers and writes goldens. Start it in golden/, with generate/requirements.txt installed.",
        epilog="example: python -m generate make --only e2b-tails")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("make", help="regenerate every golden, bit for bit, and the manifest")
    verb.add_argument("--only", help="names, comma-separated: " + ",".join(
        [*SPECS, *DRAFTERS, *quantised.GOLDENS, tiny.NAME]) + "; of full size, made only by name: " +
        ",".join(synthetic_full.GOLDENS))
    verb.add_argument("--out", default=str(DATA), help="where to (default: golden/data)")
    verb.add_argument("--no-expose", action="store_true", help="skip the slow check that each parameter shows")
    verb = verbs.add_parser("noise", help="noise.h5 beside goldens that there are: what lesser caches, fp16 and int8 lose")
    verb.add_argument("--only", help="names, comma-separated; else all but those of full size")
    verb.add_argument("--out", default=str(DATA), help="where the goldens are (default: golden/data)")
    verb = verbs.add_parser("model", help="a golden of any Gemma 4 checkpoint")
    verb.add_argument("--model", required=True, help="a checkpoint directory")
    verb.add_argument("--inputs", required=True, help=".h5 or .json with cases of forward arguments")
    verb.add_argument("--out", required=True, help="the golden to write")
    verb.add_argument("--generate", type=int, default=0, metavar="N", help="greedy tokens per case")
    verb = verbs.add_parser("expose", help="list what each perturbation of a golden's model changes")
    verb.add_argument("name", choices=list(SPECS))
    verb.add_argument("--out", default=str(DATA))
    verbs.add_parser("ops", help="write tests/data/ops.safetensors, ops.json and towers/")
    verb = verbs.add_parser("front-end", help="the goldens of tokenizers, templates and media")
    verb.add_argument("--out", default=str(DATA), help="where to (default: golden/data)")
    verbs.add_parser("tokenizer", help="write tests/data/tokenizer: a small tokenizer and what transformers makes of texts")
    verbs.add_parser("taps", help="write taps.json from engine/taps.inc")
    verb = verbs.add_parser("train", help="train the tiny checkpoint that answers, and its drafter (about 20 minutes)")
    verb.add_argument("--out", required=True, help="an empty directory for it")
    verb.add_argument("--work", help="where its stages are kept, so that a stopped run goes on (default: OUT/work)")
    args = parser.parse_args()
    deterministic()
    if args.verb == "make":
        for name in args.only.split(",") if args.only else [*SPECS, *DRAFTERS, *quantised.GOLDENS, tiny.NAME]:  # targets first
            if name == tiny.NAME:
                tiny.make_tiny(args.out, DATA)
            elif name in synthetic_full.GOLDENS:
                synthetic_full.make_full(name, args.out)
            elif name in quantised.GOLDENS:
                quantised.make_quantised(name, args.out, DATA)
            elif name in DRAFTERS:
                assistant.make_drafter(name, args.out, DATA, check=not args.no_expose)
            else:
                make.make_golden(name, args.out, check=not args.no_expose)
            noise(name, args.out)
        if not args.only:
            front_end.make(args.out)
        make.manifest(args.out)
        make.sizes(args.out)
    elif args.verb == "noise":
        for name in args.only.split(",") if args.only else [*SPECS, *DRAFTERS, *quantised.GOLDENS, tiny.NAME]:
            noise(name, args.out)
        make.manifest(args.out)
    elif args.verb == "front-end":
        front_end.make(args.out)
        make.manifest(args.out)
    elif args.verb == "taps":
        taps.export()
    elif args.verb == "model":
        from .any_model import golden_of
        golden_of(args.model, args.inputs, args.out, args.generate)
    elif args.verb == "expose":
        from .exposing import expose
        expose(args.name, args.out)
    elif args.verb == "tokenizer":
        from .tokenizer_cases import write_tests
        write_tests()
    elif args.verb == "train":
        from .train import main as train
        raise SystemExit(train(args.out, args.work))
    elif args.verb == "ops":
        from .ops import write_ops
        from .ops_towers import write_towers
        write_ops()
        write_towers()


if __name__ == "__main__":
    main()
