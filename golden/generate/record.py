"""Takes every tap out of one forward of transformers, by hooks. Not here: which rows are kept (golden.py), the hooks of
the towers (record_vision.py, record_audio.py).

Shapes are those of the design: [B,T,...], heads before head_dim; taps of towers [1,rows,...]. The residual after the FFN has no module of its own; it
is the sum that Gemma4TextDecoderLayer forms, of the same two tensors in the same order.
"""

import contextlib
import sys

import torch

from .load import run, text_model
from .record_audio import hook_audio
from .record_vision import hook_vision


class Recorder:
    """Context manager: while it is open, `taps` fills with name -> tensor for the last forward."""

    def __init__(self, model, inputs):
        self.model, self.text, self.inputs = model, text_model(model), inputs
        self.taps = {}
        self.experts_used = {}  # layer -> [B*T, k] indices, for forcing them elsewhere
        self.scores = {}  # layer -> attention weights, for the statistics of exposing
        self._layer = None  # the layer whose attention is running: apply_rotary_pos_emb does not know
        self._handles, self._stack = [], contextlib.ExitStack()

    def __enter__(self):
        hook_vision(self)
        hook_audio(self)
        for index, layer in enumerate(self.text.layers):
            self._hook_layer(index, layer)
        self._after(self.text.norm, "text.norm")
        self._handles.append(self.model.register_forward_hook(
            lambda module, args, out: self._put("text.logits", out.logits)))
        self._wrap_rope()
        return self

    def __exit__(self, *error):
        for handle in self._handles:
            handle.remove()
        self._stack.close()
        return False

    def _put(self, name, tensor):
        self.taps[name] = tensor.detach().float().clone()  # clone: the layer's tail multiplies in place

    def after(self, module, hook):
        """A forward hook that goes when the recorder does."""
        self._handles.append(module.register_forward_hook(hook))

    def before(self, module, hook, with_kwargs=False):
        """The same, ahead of the module."""
        self._handles.append(module.register_forward_pre_hook(hook, with_kwargs=with_kwargs))

    def replace(self, module, name, function):
        """Puts a function in the place of a module's own until the recorder goes."""
        self._stack.callback(setattr, module, name, getattr(module, name))
        setattr(module, name, function)

    def _after(self, module, name):
        self._handles.append(module.register_forward_hook(lambda m, args, out: self._put(name, out)))

    def _before(self, module, name):
        self._handles.append(module.register_forward_pre_hook(lambda m, args: self._put(name, args[0])))

    def _hook_layer(self, index, layer):
        at = f"text.layer.{index:02d}."
        attention = layer.self_attn

        def enter_layer(module, args, kwargs):
            if index == 0:
                self._put("text.embed", args[0])
                self._ple = []
            if len(args) > 1 and args[1] is not None:
                self._ple.append(args[1])
                if index + 1 == len(self.text.layers):
                    self._put("text.ple", torch.stack(self._ple, dim=2))

        def enter_attention(module, args, kwargs):
            self._layer, self._turned = index, 0

        def heads(module, args, out, name):
            self._put(at + name, out)

        self._handles.append(layer.register_forward_pre_hook(enter_layer, with_kwargs=True))
        self._handles.append(attention.register_forward_pre_hook(enter_attention, with_kwargs=True))
        self._handles.append(attention.register_forward_hook(
            lambda m, args, out: self.scores.__setitem__(index, out[1])))
        self._after(layer.input_layernorm, at + "attn_norm")
        self._after(attention.q_norm, at + "attn.q")
        if not attention.is_kv_shared_layer:
            self._after(attention.k_norm, at + "attn.k")
            self._after(attention.v_norm, at + "attn.v")
        self._before(attention.o_proj, at + "attn.ctx")
        self._after(attention.o_proj, at + "attn.out")
        self._before(layer.pre_feedforward_layernorm, at + "post_attn")
        self._after(layer.pre_feedforward_layernorm, at + "ffn_norm")
        self._after(layer.mlp, at + "mlp")
        if getattr(layer, "enable_moe_block", False):
            self._hook_experts(index, layer, at)
        self._handles.append(layer.post_feedforward_layernorm.register_forward_hook(
            lambda m, args, out: self._put(at + "post_ffn", self.taps[at + "post_attn"].to(out.dtype) + out)))
        if getattr(layer, "hidden_size_per_layer_input", 0):
            self._after(layer.post_per_layer_input_norm, at + "ple_out")
        self._after(layer, at + "out")

    def _hook_experts(self, index, layer, at):
        def routed(module, args, out):
            probs, weights, chosen = out
            batch, rows = self.taps[at + "post_attn"].shape[:2]
            self._put(at + "router.probs", probs.view(batch, rows, -1))
            self._put(at + "router.topk",
                      torch.zeros_like(probs).scatter(1, chosen, weights.to(probs.dtype)).view(batch, rows, -1))
            self.experts_used[index] = chosen

        def computed(module, args, out):
            self._put(at + "experts", out.view(self.taps[at + "post_attn"].shape))

        self._handles.append(layer.router.register_forward_hook(routed))
        self._handles.append(layer.experts.register_forward_hook(computed))

    def _wrap_rope(self):
        module = sys.modules[type(self.text.layers[0].self_attn).__module__]
        original = module.apply_rotary_pos_emb

        def rope(x, cos, sin, unsqueeze_dim=1):
            out = original(x, cos, sin, unsqueeze_dim=unsqueeze_dim)
            if self._layer is None:  # the vision tower's, which shares the function
                return out
            self._put(f"text.layer.{self._layer:02d}.attn.{'qk'[self._turned]}_rope", out)  # q is turned first, then k
            self._turned += 1
            return out

        self.replace(module, "apply_rotary_pos_emb", rope)


def record(model, inputs):
    """Runs one forward without a cache; returns (taps, experts chosen per layer)."""
    with Recorder(model, inputs) as recorder:
        run(model, inputs, use_cache=False)
    return recorder.taps, recorder.experts_used
