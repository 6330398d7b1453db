"""Draws the parameters of the vision and audio towers and of the unified embedders. Not here: the text (weights.py)."""

import math

import torch

from .load import audio_tower, run, vision_tower

CLIPS = ("input_min", "input_max", "output_min", "output_max")
GAIN = 0.7  # how loud each post-norm is
SHARE = (0.02, 0.09)  # of a linear's inputs and outputs that each of its bounds clips
FLAT = ("ffw_layer_2", "linear_end")  # fed by SiLU, whose least values lie close together: clip more of them there


def is_tower(key):
    """Whether a parameter belongs to no text decoder."""
    return key.startswith(("model.vision_tower.", "model.audio_tower.", "model.embed_vision.", "model.embed_audio."))


def _uniform(rng, shape, low, high, flips=0.0):
    values = low + (high - low) * torch.rand(shape, generator=rng)
    return torch.where(torch.rand(shape, generator=rng) < flips, -values, values)


def draw_tower(key, shape, rng):
    """fp32 values of one parameter. Clip bounds are set by `calibrate`, which knows what they would clip."""
    normal, last = torch.randn(shape, generator=rng), key.rsplit(".", 2)[-2:]
    if key.endswith(CLIPS):
        return torch.full(shape, float("-inf" if key.endswith("min") else "inf"))
    if key.endswith(("q_norm.weight", "k_norm.weight")):
        centre = math.sqrt(1.1 / math.sqrt(shape[0]))
        return _uniform(rng, shape, 0.7 * centre, 1.3 * centre, flips=0.15)
    if key.endswith("std_bias"):
        return 1.5 * normal
    if key.endswith("std_scale"):
        return _uniform(rng, shape, 0.2, 0.6, flips=0.1)
    if key.endswith("per_dim_scale"):
        return _uniform(rng, shape, -1.2, 1.5)
    if key.endswith("bias"):
        return 0.35 * normal
    if key.endswith(("position_embedding_table", "pos_embedding")):
        return 0.6 * normal
    if "norm" in last[0] or last[0].startswith("patch_ln"):
        post = "post_" in last[0]
        return (GAIN if post else 1.0) * _uniform(rng, shape, *((0.5, 0.9) if post else (0.6, 1.4)), flips=0.1)
    values = normal / math.sqrt(math.prod(shape[1:]))
    return 0.65 * values if "audio" in key and key.endswith(("q_proj.linear.weight", "k_proj.linear.weight")) else values


def _clipped(model):
    return [(name, m) for tower in (vision_tower(model), audio_tower(model)) if tower is not None
            for name, m in tower.named_modules() if getattr(m, "use_clipped_linears", False)]


def calibrate(model, inputs, rng):
    """Sets every clip bound at a drawn share of what really comes to it, in the order in which things are computed."""
    def bound(values, low, more=0.0):
        share = more + SHARE[0] + (SHARE[1] - SHARE[0]) * torch.rand((), generator=rng).item()
        at = values.float().flatten().quantile(share if low else 1 - share)
        at = at.to(torch.bfloat16).float()
        return at * (1 + 2**-6) if at.abs() == 1 else at  # 1 would look like a parameter that nobody drew

    def before(module, args, name):
        flat = name.endswith(FLAT) and "feed_forward2" not in name
        module.input_min.copy_(bound(args[0], True, 0.3 if flat else 0.0))
        module.input_max.copy_(bound(args[0], False))

    def after(module, out, name):  # out: of the Linear inside, before clipping
        # Across a SiLU only the tighter of a bound here and one of the next linear shows: each has its turn.
        turn = name.endswith("feed_forward2.ffw_layer_1")
        module.output_min.copy_(bound(out, True, 0.3 if turn else 0.0))
        module.output_max.copy_(out.float().max().to(torch.bfloat16) * 0.9 if turn else bound(out, False))

    modules = _clipped(model)
    handles = []
    for name, m in modules:
        handles.append(m.register_forward_pre_hook(lambda m, args, name=name: before(m, args, name)))
        handles.append(m.linear.register_forward_hook(lambda inner, args, out, m=m, name=name: after(m, out, name)))
    if modules:
        run(model, inputs, use_cache=False)
    for handle in handles:
        handle.remove()
