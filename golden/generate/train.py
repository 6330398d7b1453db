"""Trains the tiny Gemma 4 of golden/data/tiny and its drafter: python -m generate train --out DIR, from golden/.

Three processes train the vision tower, the audio tower and the text, each alone; then one trains everything together
from the files that they saved (so a run that was stopped goes on), in two processes that share each step. The drafter
learns beside the later half of that, and again from what came out. Every draw is seeded.
Not here: what is learnt (train_facts.py, train_media.py), how (train_steps.py, train_drafter.py), the proof
(train_verify.py).
"""

import multiprocessing
import resource
import shutil
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import distributed
from transformers.models.gemma4.modeling_gemma4 import Gemma4ClippableLinear

from . import train_drafter as drafting
from . import train_steps as steps
from . import train_verify
from .train_batches import Batches
from .train_model import make_model, make_processor, save_model

SEED, RANKS = 4, 2
SHARES = {"text": 0.2, "image": 0.3, "audio": 0.2, "video": 0.3}  # of the steps; videos take longest to learn
LAST_SHARES = {"text": 0.15, "image": 0.25, "audio": 0.2, "video": 0.4}
SURE_SHARES = {"text": 0.12, "image": 0.45, "audio": 0.18, "video": 0.25}
VISION = ("model.vision_tower.", "model.embed_vision.")
AUDIO = ("model.audio_tower.", "model.embed_audio.")
TEXT = ("model.language_model.",)


def start(out, seed):
    """(model, processor, batches) of a process."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    from transformers import Gemma4Processor

    processor = Gemma4Processor.from_pretrained(out)
    model = make_model(processor.tokenizer, SEED)
    steps.unclipped(model)
    return model, processor, Batches(processor, seed)


def keep(model, path, prefixes=("",)):
    """Saves what a stage trained; whole or not at all."""
    state = {key: value.contiguous().clone() for key, value in model.state_dict().items()
             if key.startswith(prefixes) and key != "lm_head.weight"}
    save_file(state, f"{path}.part")
    Path(f"{path}.part").rename(path)


def take(model, path):
    """Loads what a stage saved."""
    model.load_state_dict(load_file(path), strict=False)


def vision_stage(out, path):
    """The vision tower alone."""
    model, _, batches = start(out, SEED + 1)
    steps.pretrain_vision(model, batches, steps=1900, small=1550)
    keep(model, path, VISION)


def text_stage(out, path):
    """The decoder alone."""
    model, _, batches = start(out, SEED + 2)
    steps.train_all(model, batches, 240, {"text": 1.0})
    keep(model, path, TEXT)


def audio_stage(out, path):
    """The audio tower alone."""
    model, _, batches = start(out, SEED + 6)
    steps.pretrain_audio(model, batches, 400)
    keep(model, path, AUDIO)


def joint_stage(out, loaded, path, rank, count, rate, shares, equal_parts=0.0, stretch=0.0):
    """All together, from what the stages before saved. Two processes, each with batches of its own, share each step."""
    model, _, batches = start(out, SEED + 7 + rank + count)
    batches.equal_parts, batches.stretch = equal_parts, stretch
    for stage in loaded:
        take(model, stage)
    distributed.init_process_group("gloo", init_method=f"file://{path}.meeting", rank=rank, world_size=RANKS)
    steps.train_all(model, batches, count, shares, rate)
    distributed.barrier()
    distributed.destroy_process_group()
    if rank == 0:
        keep(model, path)
        Path(f"{path}.meeting").unlink(missing_ok=True)


def finish(out, path):
    """Rounds to bf16, gives the clipped linears the bounds that training data needed, and saves the checkpoint."""
    model, processor, batches = start(out, SEED + 4)
    take(model, path)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            value.copy_(value.to(torch.bfloat16))
    bound(model, batches)
    save_model(model, processor.tokenizer, out)
    return model, processor


def bound(model, batches):
    """Sets each clipped linear's bounds a quarter beyond what came in and out on training data."""
    seen, hooks = {}, []

    def watch(module, args, result):
        low, high, below, above = seen.get(module, (0.0, 0.0, 0.0, 0.0))
        seen[module] = (min(low, args[0].min().item()), max(high, args[0].max().item()),
                        min(below, result.min().item()), max(above, result.max().item()))

    for module in model.modules():
        if isinstance(module, Gemma4ClippableLinear):
            hooks.append(module.register_forward_hook(watch))
    with torch.no_grad():
        for _ in range(6):
            steps.soft_tokens(model, batches.image(16))
            steps.soft_tokens(model, batches.audio(16))
    for hook in hooks:
        hook.remove()
    for module, values in seen.items():
        for name, value in zip(("input_min", "input_max", "output_min", "output_max"), values):
            getattr(module, name).copy_(torch.tensor(1.25 * value).to(torch.bfloat16))
    steps.unclipped(model, off=False)


def drafter_stage(out, weights, before, path, count, rate):
    """The drafter of the target that `weights` holds; goes on from `before` where that is given."""
    target, _, batches = start(out, SEED + 5 + count)
    take(target, weights)
    drafter = drafting.make_drafter(target, SEED)
    if before:
        take(drafter, before)
    shares = {"text": 0.7, "image": 0.12, "audio": 0.06, "video": 0.12}  # long answers leave more to draft
    sizes = {"text": 32, "image": 12, "audio": 24, "video": 8}
    drafting.train_drafter(drafter, target.eval(), batches, count, shares, sizes, rate)
    keep(drafter, path)
    drafting.save_drafter(drafter, Path(out) / "assistant")


def together(out, loaded, path, *how):
    """The started processes of a joint stage; none where it is done."""
    if Path(path).exists():
        return []
    Path(f"{path}.meeting").unlink(missing_ok=True)
    return [in_process(joint_stage, str(out), loaded, path, rank, *how) for rank in range(RANKS)]


def in_process(target, *args):
    """A started process that runs target(*args)."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=args)
    process.start()
    return process


def wait_for(processes):
    """Waits; raises where one failed."""
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a training process ended with {process.exitcode}")


def main(out, work=None):
    """Everything, from nothing to a verified DIR. work: where the stages' weights are kept (default: DIR/work)."""
    began, out = time.time(), Path(out)
    work = Path(work or out / "work")
    work.mkdir(parents=True, exist_ok=True)
    make_processor(out)
    stages = {str(work / f"{name}.safetensors"): stage for name, stage in (
        ("vision", vision_stage), ("text", text_stage), ("audio", audio_stage))}
    wait_for([in_process(stage, str(out), path) for path, stage in stages.items() if not Path(path).exists()])
    names = ("joint", "last", "sure", "firm", "draft", "drafter")
    joint, last, sure, firm, draft, drafter = (str(work / f"{name}.safetensors") for name in names)
    wait_for(together(out, list(stages), joint, 160, 2.5e-3, SHARES))
    early = [] if Path(draft).exists() else [in_process(drafter_stage, str(out), joint, None, draft, 300, 4e-3)]
    wait_for(early + together(out, [joint], last, 240, 2e-3, LAST_SHARES))
    wait_for(together(out, [last], sure, 200, 1.5e-3, SURE_SHARES, 0.6))
    wait_for(together(out, [sure], firm, 120, 1e-3, SURE_SHARES, 0.6, 0.25))
    finish(out, firm)
    train_verify.write_questions(out)
    wait_for([in_process(drafter_stage, str(out), firm, draft, drafter, 160, 2e-3)])
    for weights in out.rglob("model.safetensors"):
        weights.chmod(0o644)  # save_pretrained leaves them to their owner alone
    right = train_verify.verify(out, work / "held-out")
    if work == out / "work":
        shutil.rmtree(work)
    used = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"{time.time() - began:.0f} s, {used:.0f} s of processor time")
    return 0 if right else 1
