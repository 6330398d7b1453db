#!/usr/bin/env python3
"""assay's CPU engine beside llama.cpp and transformers on one machine, in one run: engines take turns, sample by sample.

    python ci/peers/side_by_side.py --gguf e2b-q4_0.gguf --llama-python VENV/bin/python --out side_by_side.json

All read the same GGUF file but transformers, which runs the same architecture in bfloat16 with weights of its own (none
of the three looks at what the weights are). Each engine is a process that lives for the whole run; what it measures is
prefill of N tokens into an empty cache with logits of the last row, and decoding M tokens behind D cached ones.
Roofs come from assay's own bench in the same round. Needs: assay; llama-cpp-python and numpy for --llama-python; torch
and transformers for --transformers-python. An engine whose Python is not given is left out.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time


def ids_of(count, vocab=262000):
    return [10 + i * 7919 % vocab for i in range(count)]


class LlamaCpp:
    """One llama.cpp context. K/V are f16, its default; flash attention as asked."""

    def __init__(self, options):
        import llama_cpp

        self.name = f"llama.cpp (llama-cpp-python {llama_cpp.__version__}{', flash attention' if options.flash else ''})"
        self.model = llama_cpp.Llama(model_path=options.gguf, n_ctx=max(options.depths) + options.prefill + options.decode + 64,
                                     n_batch=512, n_ubatch=512, n_threads=options.threads,
                                     n_threads_batch=options.threads, flash_attn=options.flash, verbose=False)

    def prefill(self, tokens):
        self.model.reset()
        start = time.perf_counter()
        self.model.eval(ids_of(tokens))
        return time.perf_counter() - start

    def decode(self, depth, tokens):
        self.model.reset()
        if depth > 0:
            self.model.eval(ids_of(depth))
        start = time.perf_counter()
        for i in range(tokens):
            self.model.eval([1000 + i])
        return time.perf_counter() - start


class Transformers:
    """Gemma4ForCausalLM in bfloat16 with sdpa attention; E2B's published dimensions."""

    def __init__(self, options):
        import torch
        import transformers
        from transformers import Gemma4ForCausalLM, Gemma4TextConfig

        torch.set_num_threads(options.threads)
        self.torch, self.cache = torch, transformers.DynamicCache
        self.name = f"transformers {transformers.__version__}, torch {torch.__version__}, bf16"
        text = json.load(open(options.config))
        config = Gemma4TextConfig(**text.get("text_config", text))
        config._attn_implementation = "sdpa"
        torch.set_default_dtype(torch.bfloat16)
        with torch.device("meta"):
            model = Gemma4ForCausalLM(config)
        model = model.to_empty(device="cpu")
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():  # any finite numbers: nobody looks at the output
            parameter.data.uniform_(-0.02, 0.02, generator=generator)
        for module in model.modules():  # buffers that to_empty() left without values
            if hasattr(module, "rope_init_fns") or "RotaryEmbedding" in type(module).__name__:
                module.__init__(config)
            if "ScaledWordEmbedding" in type(module).__name__:
                module.embed_scale = torch.tensor(1.0)
            if hasattr(module, "layer_scalar"):
                module.layer_scalar = torch.ones(1)
        self.model = model.eval()

    def forward(self, ids, cache):
        with self.torch.inference_mode():
            return self.model(input_ids=self.torch.tensor([ids]), past_key_values=cache, use_cache=True, logits_to_keep=1)

    def prefill(self, tokens):
        start = time.perf_counter()
        self.forward(ids_of(tokens), self.cache(config=self.model.config))
        return time.perf_counter() - start

    def decode(self, depth, tokens):
        cache = self.cache(config=self.model.config)
        if depth > 0:
            self.forward(ids_of(depth), cache)
        start = time.perf_counter()
        for i in range(tokens):
            self.forward([1000 + i], cache)
        return time.perf_counter() - start


def serve(engine):
    """Answers lines `prefill N` and `decode D M` with seconds."""
    print(json.dumps({"name": engine.name}), flush=True)
    for line in sys.stdin:
        what, *numbers = line.split()
        print(json.dumps(getattr(engine, what)(*map(int, numbers))), flush=True)


class Worker:
    def __init__(self, python, kind, options):
        command = [python, __file__, "--serve", kind, "--gguf", options.gguf, "--threads", str(options.threads),
                   "--prefill", str(options.prefill), "--decode", str(options.decode), "--config", options.config,
                   "--depths", *map(str, options.depths)] + (["--flash"] if options.flash else [])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.name = self.answer()["name"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"side_by_side: a worker ended: {' '.join(self.process.args)}")
        return json.loads(line)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()


def assay_round(options):
    """{what: seconds} and roofs of one `assay bench` with one repetition behind its warm-up."""
    out = options.out + ".round"
    subprocess.run([options.assay, "bench", "--model", options.gguf, "--engine", "cpu", "--acts", options.acts, "--kv", options.kv,
                    "--lengths", str(options.prefill), "--depths", *map(str, options.depths), "--decode",
                    str(options.decode), "--reps", "1", "--warm-up", "1", "--threads", str(options.threads), "--out",
                    out], check=True, stdout=subprocess.DEVNULL)
    run = json.load(open(out))
    seconds = {f"{result['what']} {result['how']}": result["seconds"][0] for result in run["results"]}
    roofs = {roof["name"]: roof["per_second"] for roof in run["roofs"]["all"]}
    shares = {f"{result['what']} {result['how']}": result["roof_share"] for result in run["results"]}
    return seconds, roofs, shares


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--assay", default="build/release/assay")
    parser.add_argument("--llama-python")
    parser.add_argument("--transformers-python")
    parser.add_argument("--config", default="", help="E2B's config.json, for transformers")
    parser.add_argument("--acts", default="int8")
    parser.add_argument("--kv", default="bf16", help="assay's; llama.cpp's is f16, transformers' bf16")
    parser.add_argument("--flash", action="store_true", help="llama.cpp with flash attention")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--depths", type=int, nargs="+", default=[0, 2048])
    parser.add_argument("--decode", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", default="side_by_side.json")
    parser.add_argument("--serve", choices=["llama", "transformers"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve({"llama": LlamaCpp, "transformers": Transformers}[options.serve](options))
        return

    workers = []
    if options.llama_python:
        workers.append(Worker(options.llama_python, "llama", options))
    if options.transformers_python:
        workers.append(Worker(options.transformers_python, "transformers", options))
    whats = [f"prefill {options.prefill} tokens"] + [f"decode depth {depth}" for depth in options.depths]
    ours = f"assay cpu --acts {options.acts} --kv {options.kv}"
    samples = {name: {what: [] for what in whats} for name in [ours] + [worker.name for worker in workers]}
    roofs, shares = [], []
    for round_ in range(options.rounds + 1):  # the first warms up
        for worker in workers:
            for what in whats:
                line = f"prefill {options.prefill}" if what.startswith("prefill") else f"decode {what.split()[-1]} {options.decode}"
                seconds = worker.ask(line)
                if round_ > 0:
                    samples[worker.name][what].append(seconds)
        seconds, round_roofs, round_shares = assay_round(options)
        if round_ > 0:
            for what in whats:
                samples[ours][what].append(seconds[what])
            roofs.append(round_roofs)
            shares.append(round_shares)
        print(f"round {round_} of {options.rounds}", file=sys.stderr)

    units = {what: options.prefill if what.startswith("prefill") else options.decode for what in whats}
    result = {"rounds": options.rounds, "threads": options.threads, "gguf": options.gguf.rsplit("/", 1)[-1],
              "roofs": {name: statistics.median(one[name] for one in roofs) for name in roofs[0]},
              "share_of_roof": {what: statistics.median(one[what] for one in shares) for what in whats},
              "seconds": samples,
              "tokens_per_second": {name: {what: units[what] / statistics.median(of[what]) for what in whats}
                                    for name, of in samples.items()}}
    with open(options.out, "w") as file:
        json.dump(result, file, indent=1)
    width = max(map(len, samples))
    print(f"{'tokens a second':{width}}  " + "  ".join(f"{what:>20}" for what in whats))
    for name, of in result["tokens_per_second"].items():
        print(f"{name:{width}}  " + "  ".join(f"{of[what]:20.1f}" for what in whats))
    print(f"{'share of roof, assay':{width}}  " + "  ".join(f"{result['share_of_roof'][what]:20.0%}" for what in whats))


if __name__ == "__main__":
    main()
