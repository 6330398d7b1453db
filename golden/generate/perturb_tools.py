"""Context managers that bend a model and put it back. Not here: what to bend (perturb*.py)."""

import contextlib

import torch


@contextlib.contextmanager
def setting(*changes):
    """Sets (object, attribute, value) triples and puts the old values back."""
    old = [(o, a, getattr(o, a)) for o, a, _ in changes]
    for o, a, v in changes:
        setattr(o, a, v)
    try:
        yield
    finally:
        for o, a, v in reversed(old):
            setattr(o, a, v)


@contextlib.contextmanager
def filled(*changes):
    """Overwrites (tensor, values) in place and puts the old values back."""
    old = [t.clone() for t, _ in changes]
    for tensor, values in changes:
        tensor.copy_(torch.as_tensor(values, dtype=tensor.dtype).expand_as(tensor))
    try:
        yield
    finally:
        for (tensor, _), values in zip(changes, old):
            tensor.copy_(values)


@contextlib.contextmanager
def hooked(modules, hook, before=False, with_kwargs=False):
    """Registers one hook on several modules."""
    handles = [m.register_forward_pre_hook(hook, with_kwargs=with_kwargs) if before else m.register_forward_hook(hook)
               for m in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def other_eps(eps):
    """An epsilon that is wrong and shows: torch's LayerNorm default, or one far larger where eps is small itself."""
    return 1e-5 if eps > 1e-4 else 3e-2
