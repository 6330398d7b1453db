"""How far transformers is from itself: the same model computed in another order, or in bf16.

Each function is a context manager that bends transformers' arithmetic, never its mathematics. Not here: judging.
"""

import contextlib

import torch

from .load import text_config, text_model
from .record import record

SEEDS = 5


@contextlib.contextmanager
def permuted(model, seed):
    """Every sum over features runs in another order: Linears (experts' and head's too), QK^T, and the norms' means."""
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

    functional.linear, torch.matmul, norm_class._norm = permuted_linear, permuted_matmul, permuted_norm
    try:
        yield
    finally:
        functional.linear, torch.matmul, norm_class._norm = linear, matmul, norm


@contextlib.contextmanager
def sdpa(model):
    """torch's fused attention instead of the eager one."""
    config = text_config(model)
    config._attn_implementation = "sdpa"
    try:
        yield
    finally:
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

    cls.forward = forward
    try:
        yield
    finally:
        cls.forward = original


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


