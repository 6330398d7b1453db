"""Hooks for the taps of the vision tower, and of the unified embedder that stands in for it.

A forward runs the tower once for pictures and once for the frames of all videos; the rows of both are put one after the
other. Shapes: [1,rows,...], rows flat over pictures, then frames.
"""

import sys

import torch

from .load import vision_tower


def hook_vision(recorder):
    """Registers the hooks; taps appear in recorder.taps as [1,rows,...]."""
    model = recorder.model.model
    if getattr(model, "embed_vision", None) is None:
        return
    tower = vision_tower(recorder.model)
    if tower is None:
        _Unified(recorder, model.embed_vision)
        return
    rows = _Rows(recorder)
    rows.after(tower.patch_embedder, "vision.patch_embed")
    for index, layer in enumerate(tower.encoder.layers):
        _hook_layer(recorder, rows, index, layer)
    recorder.after(tower, lambda m, args, out: rows.add("vision.pooled", out.last_hidden_state[None]))
    rows.after(model.embed_vision, "vision.projected", soft=True)
    _wrap_rope(recorder, rows, tower)


class _Rows:
    """Puts a tap's rows behind those of the tower's earlier run."""

    def __init__(self, recorder):
        self.recorder, self.layer, self.turned = recorder, None, 0

    def add(self, name, tensor):
        """tensor: [1,rows,...]."""
        taps = self.recorder.taps
        rows = tensor.detach().float()
        taps[name] = torch.cat([taps[name], rows], dim=1) if name in taps else rows.clone()

    def after(self, module, name, soft=False):
        """Takes a module's output, [n,L,...] or, if soft, [S,H]."""
        self.recorder.after(module, lambda m, args, out: self.add(name, out[None] if soft else flat(out)))

    def before(self, module, name):
        """Takes a module's input."""
        self.recorder.before(module, lambda m, args: self.add(name, flat(args[0])))


def flat(tensor):
    """[n,L,...] -> [1,n*L,...]."""
    return tensor.flatten(0, 1)[None]


def _hook_layer(recorder, rows, index, layer):
    at, attention = f"vision.layer.{index:02d}.", layer.self_attn

    def enter(module, args):
        rows.layer, rows.turned = index, 0

    recorder.before(layer.input_layernorm, enter)
    rows.after(layer.input_layernorm, at + "attn_norm")
    rows.after(attention.q_norm, at + "attn.q")
    rows.after(attention.k_norm, at + "attn.k")
    rows.after(attention.v_norm, at + "attn.v")
    rows.before(attention.o_proj, at + "attn.ctx")
    rows.after(attention.o_proj, at + "attn.out")
    rows.before(layer.pre_feedforward_layernorm, at + "post_attn")
    rows.after(layer.pre_feedforward_layernorm, at + "ffn_norm")
    rows.after(layer.mlp, at + "mlp")
    rows.after(layer, at + "out")


def _wrap_rope(recorder, rows, tower):
    module = sys.modules[type(tower).__module__]
    original = module.apply_multidimensional_rope

    def rope(x, cos, sin, position_ids, unsqueeze_dim=2):
        out = original(x, cos, sin, position_ids, unsqueeze_dim=unsqueeze_dim)
        rows.add(f"vision.layer.{rows.layer:02d}.attn.{'qk'[rows.turned]}_rope", flat(out))  # q first, then k
        rows.turned += 1
        return out

    recorder.replace(module, "apply_multidimensional_rope", rope)


class _Unified:
    """The embedder of a unified model: positions are added inside, padding is left out after it."""

    def __init__(self, recorder, embedder):
        self.rows = _Rows(recorder)
        recorder.before(embedder, self._enter, with_kwargs=True)
        self.rows.after(embedder.pos_norm, "vision.patch_embed")
        recorder.after(embedder.multimodal_embedder, self._project)

    def _enter(self, module, args, kwargs):
        positions = args[1] if len(args) > 1 else kwargs["image_position_ids"]
        self.real = (positions != -1).all(-1)

    def _project(self, module, args, out):
        self.rows.add("vision.projected", out[self.real][None])
