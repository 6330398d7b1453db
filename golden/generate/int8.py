"""Activations in int8, done to transformers: what an engine that rounds the inputs of its packed matrices ought to lose.

Blocks of 32 columns; scale = max |x| / 127 in fp32, q = x * (127 / max |x|) rounded to nearest, halves to even
(kernels/spec/narrow.h). Only products with packed weights are rounded; what else there is stays fp32.
"""

import contextlib

import numpy as np
import torch

from .noise import forced_experts
from .record import record

BLOCK = 32


def rounded(x):
    """What int8 leaves of activations [..., columns], columns a multiple of 32."""
    blocks = x.reshape(*x.shape[:-1], -1, BLOCK)
    largest = blocks.abs().amax(-1, keepdim=True)
    inverse = torch.where(largest > 0, 127 / largest, torch.zeros_like(largest))
    return ((blocks * inverse).round() * (largest / 127)).reshape(x.shape)


def check_rounding():
    """Raises if `rounded` is not the integers that float64 gives, ties of fp32 aside, times the fp32 scale."""
    x = torch.randn(512, 256, generator=torch.Generator().manual_seed(8)) * torch.logspace(-6, 6, 512)[:, None]
    blocks = x.double().numpy().reshape(512, -1, BLOCK)
    largest = np.abs(blocks).max(-1, keepdims=True)
    exact = blocks * 127 / largest
    integers = np.rint(exact)
    far_from_tie = np.abs(np.abs(exact - np.floor(exact)) - 0.5) > 1e-4
    mine = rounded(x).double().numpy().reshape(blocks.shape)
    off = np.abs(mine - integers * largest / 127) / (largest / 127)
    assert off[far_from_tie].max() < 1e-4 and off.max() < 1.001, (off[far_from_tie].max(), off.max())


@contextlib.contextmanager
def activations_rounded(packed):
    """Every product with one of these weights takes int8 activations. packed: tensors, stacks of experts among them."""
    functional = torch.nn.functional
    linear = functional.linear
    ranges = [(t.data_ptr(), t.data_ptr() + t.numel() * t.element_size()) for t in packed]

    def int8_linear(x, weight, bias=None):
        if any(first <= weight.data_ptr() < last for first, last in ranges):
            x = rounded(x)
        return linear(x, weight, bias)

    functional.linear = int8_linear
    try:
        yield
    finally:
        functional.linear = linear


def int8_taps(model, packed, inputs, chosen):
    """The taps of the model with int8 activations and the fp32 run's experts."""
    with activations_rounded(packed), forced_experts(model, chosen):
        return record(model, inputs)[0]
