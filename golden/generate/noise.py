"""How far transformers is from itself: the same model computed in another order, or in bf16.

Each function is a context manager that bends transformers' arithmetic, never its mathematics. Not here: judging.
"""

import contextlib

import torch

from .load import audio_tower, text_config, text_model, vision_tower
from .record import record

SEEDS = 5


@contextlib.contextmanager
def permuted(model, seed):
    """Every sum over features runs in another order: Linears (experts' and head's too), QK^T, and the norms' means.

    In the towers also convolutions, layer norms, the sums of softmax and the products written `@`.
    """
    generator = torch.Generator().manual_seed(7919 * (seed + 1))
    functional, orders = torch.nn.functional, {}

    def order(n):
        if n not in orders:
            orders[n] = torch.randperm(n, generator=generator)
        return orders[n]

    linear, matmul = functional.linear, torch.matmul

    def permuted_linear(x, weight, bias=None):
        p = order(x.shape[-1])
        return linear(x[..., p], weight[..., p], bias)

    def permuted_matmul(a, b):
        p = order(a.shape[-1])
        return matmul(a[..., p], b[..., p, :])

    norm_class = type(text_model(model).norm)
    norm = norm_class._norm

    def permuted_norm(self, x):
        squares = x[..., order(x.shape[-1])].pow(2).mean(-1, keepdim=True) + self.eps
        return x * torch.pow(squares, -0.5)

    changes = {(functional, "linear"): permuted_linear, (torch, "matmul"): permuted_matmul,
               (norm_class, "_norm"): permuted_norm}
    if getattr(model.model, "embed_vision", None) is not None or getattr(model.model, "embed_audio", None) is not None:
        changes |= _of_towers(order, permuted_linear)
    old = {(owner, name): getattr(owner, name) for owner, name in changes}
    for (owner, name), value in changes.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for (owner, name), value in old.items():
            setattr(owner, name, value)


def _of_towers(order, linear):
    """What only towers use: (owner, name) -> the same function with its sums in another order."""
    functional = torch.nn.functional
    softmax, product = functional.softmax, torch.Tensor.__matmul__

    def permuted_product(a, b):
        p = order(a.shape[-1])
        return product(a[..., p], b[..., p, :])

    def permuted_softmax(x, dim=None, dtype=None, **rest):
        p = order(x.shape[-1])
        return softmax(x[..., p], dim=dim, dtype=dtype, **rest)[..., p.argsort()]

    def permuted_layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
        p = order(x.shape[-1])
        centred = x - x[..., p].mean(-1, keepdim=True)
        y = centred * torch.rsqrt(centred[..., p].pow(2).mean(-1, keepdim=True) + eps)
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    def conv2d(x, weight, bias, stride, padding, dilation, groups):
        assert bias is None and groups == 1
        columns = functional.unfold(x, weight.shape[2:], dilation=dilation, padding=padding, stride=stride)
        high = (x.shape[2] + 2 * padding[0] - dilation[0] * (weight.shape[2] - 1) - 1) // stride[0] + 1
        out = linear(columns.transpose(1, 2), weight.flatten(1)).transpose(1, 2)
        return out.reshape(*out.shape[:2], high, -1)

    def conv1d(x, weight, bias, stride, padding, dilation, groups):
        assert bias is None and groups == x.shape[1] and tuple(padding) == (0,)
        windows = x.unfold(2, weight.shape[2], stride[0])
        p = order(weight.shape[2])
        return (windows[..., p] * weight[None][..., p]).sum(-1)

    return {(torch.Tensor, "__matmul__"): permuted_product, (functional, "softmax"): permuted_softmax,
            (functional, "layer_norm"): permuted_layer_norm, (functional, "conv2d"): conv2d,
            (functional, "conv1d"): conv1d}


@contextlib.contextmanager
def sdpa(model):
    """torch's fused attention instead of the eager one, but in the audio tower, which has none."""
    configs = [text_config(model)] + ([vision_tower(model).config] if vision_tower(model) is not None else [])
    for config in configs:
        config._attn_implementation = "sdpa"
    try:
        yield
    finally:
        for config in configs:
            config._attn_implementation = "eager"


@contextlib.contextmanager
def double_rope(model):
    """RoPE's frequencies, angles, cosines and sines in double, rounded to fp32 once."""
    rotary = text_model(model).rotary_emb
    cls = type(rotary)
    original = cls.forward

    def forward(self, x, position_ids, layer_type):
        fp32 = getattr(self, f"{layer_type}_inv_freq")
        parameters = self.config.rope_parameters[layer_type]
        theta, factor = parameters["rope_theta"], parameters.get("factor", 1.0)
        exact = torch.arange(len(fp32), dtype=torch.float64) / len(fp32)
        exact = torch.where(fp32 == 0, 0.0, theta**-exact / factor)
        assert torch.allclose(exact.float(), fp32, rtol=1e-5), "not a default, linear or proportional RoPE"
        angle = position_ids[:, :, None].double() * exact
        angle = torch.cat((angle, angle), dim=-1)
        return angle.cos().to(x.dtype), angle.sin().to(x.dtype)

    with contextlib.ExitStack() as stack:
        if vision_tower(model) is not None:
            stack.enter_context(_double_axial(vision_tower(model).encoder.rotary_emb))
        if audio_tower(model) is not None:
            stack.enter_context(_double_relative(audio_tower(model).rel_pos_enc))
        stack.callback(setattr, cls, "forward", original)
        cls.forward = forward
        yield


@contextlib.contextmanager
def _instead(cls, forward):
    original, cls.forward = cls.forward, forward
    try:
        yield
    finally:
        cls.forward = original


def _double_axial(rotary):
    def forward(self, x, position_ids):
        exact = self.config.rope_parameters["rope_theta"]**-(torch.arange(len(self.inv_freq)).double() / len(self.inv_freq))
        assert torch.allclose(exact.float(), self.inv_freq, rtol=1e-5), "not an axial RoPE"
        angle = position_ids[..., None].double() * exact
        return tuple(self.recomposition_frequencies(f(angle)).to(x.dtype) for f in (torch.cos, torch.sin))

    return _instead(type(rotary), forward)


def _double_relative(encoding):
    def forward(self, hidden_states):
        half = self.hidden_size // 2
        steps = 1e4**-(torch.arange(half).double() / max(half - 1, 1))
        assert torch.allclose(steps.float(), self.inv_timescales.flatten(), rtol=1e-5), "not these timescales"
        angle = torch.arange(self.context_size // 2, -1, -1).double()[:, None] * steps
        return torch.cat([angle.sin(), angle.cos()], dim=-1)[None].to(hidden_states.dtype)

    return _instead(type(encoding), forward)


@contextlib.contextmanager
def forced_experts(model, chosen):
    """Routers keep their probabilities but take the given experts, so that rounding cannot swap one."""
    def force(index):
        def hook(module, args, out):
            probs, _, _ = out
            weights = probs.gather(1, chosen[index])
            weights = weights / weights.sum(dim=-1, keepdim=True)
            return probs, weights * module.per_expert_scale[chosen[index]], chosen[index]
        return hook

    handles = [layer.router.register_forward_hook(force(index))
               for index, layer in enumerate(text_model(model).layers) if index in chosen]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def fp32_variants(model, inputs):
    """Yields (name, taps) of the same forward in other orders."""
    for seed in range(SEEDS):
        with permuted(model, seed):
            yield f"permuted-{seed}", record(model, inputs)[0]
    with sdpa(model):
        yield "sdpa", record(model, inputs)[0]
    with double_rope(model):
        yield "double-rope", record(model, inputs)[0]


def bf16_taps(model_bf16, inputs, chosen):
    """The taps of transformers in bf16 with the fp32 run's experts."""
    with forced_experts(model_bf16, chosen):
        return record(model_bf16, inputs)[0]


