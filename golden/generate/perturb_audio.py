"""Ways to get Gemma 4's sound wrong, done to transformers: the audio tower, and the projection of raw frames.

As in perturb.py, each is (name, context manager).
"""

import contextlib
import math
import sys

import torch

from .load import audio_tower
from .perturb_tools import filled, hooked, other_eps, setting


def _modules(tower, kind):
    return [m for m in tower.modules() if type(m).__name__.endswith(kind)]


def projection(model):
    """The projection to soft tokens."""
    embed = model.model.embed_audio
    norm = embed.embedding_pre_projection_norm
    yield "audio: no norm before the projection", hooked([norm], lambda m, args, out: args[0])
    yield "audio: projection eps", setting((norm, "eps", other_eps(norm.eps)))
    root = model.config.get_text_config().hidden_size**0.5
    yield "audio: soft tokens times sqrt(H)", hooked([embed], lambda m, args, out: out * root)


def subsampling(model):
    """The two convolutions."""
    tower = audio_tower(model)
    conv = tower.subsample_conv_projection
    both = [conv.layer0, conv.layer1]
    forward = type(both[0]).forward

    def unmasked(self, hidden_states, mask=None):
        return forward(self, hidden_states)[0], None if mask is None else mask[:, ::2]

    def only(which):
        def layer(self, hidden_states, mask=None):
            return (unmasked if self is which else forward)(self, hidden_states, mask)
        return setting((type(which), "forward", layer))

    yield "audio: first convolution unmasked", only(both[0])
    yield "audio: second convolution unmasked", only(both[1])
    yield "audio: LayerNorm eps", setting(*[(layer.norm, "eps", other_eps(layer.norm.eps)) for layer in both])
    yield "audio: RMS for LayerNorm", hooked([layer.norm for layer in both], lambda m, args, out: args[0] * torch.rsqrt(
        args[0].pow(2).mean(-1, keepdim=True) + m.eps) * m.weight)
    yield "audio: no ReLU", setting(*[(layer, "act", torch.nn.Identity()) for layer in both])
    yield "audio: convolutions transposed", filled(*[(layer.conv.weight, layer.conv.weight.transpose(2, 3).clone())
                                                     for layer in both])
    channels = both[1].conv.out_channels
    weight = conv.input_proj_linear.weight
    yield "audio: channels before frequencies", filled(
        (weight, weight.unflatten(1, (-1, channels)).transpose(1, 2).flatten(1).clone()))


def attention(model):
    """The chunked attention. That padding is masked cannot show: it lies to the right, and no frame sees the future."""
    tower = audio_tower(model)
    layers = [layer.self_attn for layer in tower.layers]
    cls = type(layers[0])
    if layers[0].softcap < 20:
        yield "audio: no softcap", setting(*[(a, "softcap", torch.tensor(1e4)) for a in layers])
    yield "audio: keys not scaled", setting(*[(a, "k_scale", 1.0) for a in layers])
    yield "audio: queries scaled by 1/sqrt(d) alone", setting(*[(a, "q_scale", a.head_dim**-0.5) for a in layers])
    yield "audio: per_dim_scale without softplus", filled(
        *[(a.per_dim_scale, torch.log(torch.expm1(a.per_dim_scale.abs().clamp(min=1e-3)))) for a in layers])
    yield "audio: no relative keys", setting((cls, "_rel_shift", lambda self, x: torch.zeros(
        *x.shape[:4], self.context_size)))
    shift = cls._rel_shift
    yield "audio: relative keys reversed", setting((cls, "_rel_shift", lambda self, x: shift(self, x.flip(-1))))
    encoding = tower.rel_pos_enc

    def turned(m, args, out):
        return torch.cat(out.chunk(2, dim=-1)[::-1], dim=-1)

    yield "audio: cosines before sines", hooked([encoding], turned)
    half = encoding.hidden_size // 2
    steps = torch.exp(torch.arange(half) * -(math.log(1e4) / half))
    yield "audio: timescales over n, not n - 1", filled((encoding.inv_timescales, steps))
    for name, more in (("more", 1), ("fewer", -1)):
        yield f"audio: a frame {name} in the past", _span(tower, more)
    yield "audio: frames see the future", hooked(
        layers, before=True, with_kwargs=True, hook=lambda m, args, kwargs: (args, {**kwargs, "attention_mask": None}))


def _span(tower, more):
    module = sys.modules[type(tower).__module__]
    function = module.sliding_window_mask_function
    return setting((module, "sliding_window_mask_function", lambda window: function((window[0] + more, window[1]))))


def blocks(model):
    """The conformer blocks."""
    tower = audio_tower(model)
    halves = [m for layer in tower.layers for m in (layer.feed_forward1, layer.feed_forward2)]
    convs = [layer.lconv1d for layer in tower.layers]
    glu = torch.nn.functional.glu
    yield "audio: whole FFN residuals", setting(*[(m, "post_layer_scale", 1.0) for m in halves])
    yield "audio: GELU for SiLU", setting(*[(m, "act_fn", torch.nn.GELU(approximate="tanh")) for m in halves + convs])
    yield "audio: GLU's halves swapped", setting((torch.nn.functional, "glu", lambda x, dim=-1: glu(
        torch.cat(x.chunk(2, dim)[::-1], dim), dim)))
    depthwise = [m.depthwise_conv1d for m in convs]
    yield "audio: convolution centred", _centred(depthwise)
    yield "audio: kernel reversed", filled(*[(m.weight, m.weight.flip(-1).clone()) for m in depthwise])
    if tower.config.gradient_clipping < 1e6:
        owners = halves + convs + list(tower.layers)
        yield "audio: nothing clamped", setting(*[(m, "gradient_clipping", 1e30) for m in owners])
    norms = [n for n in _modules(tower, "RMSNorm") if n.with_scale]
    yield "audio: 1 + w", filled(*[(n.weight, n.weight + 1) for n in norms])
    yield "audio: config's eps everywhere", setting(*[(n, "eps", max(tower.config.rms_norm_eps, 1e-3)) for n in norms
                                                      if n.eps == 1e-6])
    yield "audio: class eps everywhere", setting(*[(n, "eps", 1e-6 if tower.config.rms_norm_eps != 1e-6 else 1e-3)
                                                   for m in convs for n in (m.pre_layer_norm, m.conv_norm)])
    yield "audio: convolution before attention", _swapped(tower)
    yield "audio: nothing clipped", setting(*[(m, "use_clipped_linears", False)
                                              for m in _modules(tower, "ClippableLinear")])


@contextlib.contextmanager
def _centred(modules):
    def hook(module, args, out):
        shift = module.kernel_size[0] // 2
        return torch.cat([out[..., shift:], torch.zeros_like(out[..., :shift])], dim=-1)

    with hooked(modules, hook):
        yield


@contextlib.contextmanager
def _swapped(tower):
    """The light convolution of each block moves ahead of its first FFN's output reaching attention."""
    with contextlib.ExitStack() as stack:
        for layer in tower.layers:
            conv = layer.lconv1d
            moved = type(conv).forward

            def ahead(module, args, out, conv=conv, moved=moved):
                return moved(conv, out)

            stack.enter_context(hooked([layer.feed_forward1], ahead))
            stack.enter_context(hooked([conv], lambda m, args, out: args[0]))
        yield


def all_of(model):
    """Every perturbation of a model's sound."""
    if getattr(model.model, "embed_audio", None) is None:
        return
    yield from projection(model)
    if audio_tower(model) is not None:
        for group in (subsampling, attention, blocks):
            yield from group(model)
