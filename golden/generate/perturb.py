"""Ways to get Gemma 4 wrong, done to transformers itself. Each is (name, context manager); exposing.py runs them.

A perturbation that does not apply to a model is not listed for it. They mirror faults that ports shipped, but the list
serves the goldens only: the C++ fault catalogue is its own.
"""

import contextlib
import sys

import torch
from transformers import masking_utils

from . import perturb_audio, perturb_vision
from .load import text_config, text_model
from .perturb_tools import filled, hooked, setting


def _modules(model):
    text = text_model(model)
    return text, text_config(model), sys.modules[type(text).__module__], [layer.self_attn for layer in text.layers]


def _norms(model):
    return [m for m in text_model(model).modules() if type(m).__name__.endswith("RMSNorm")]


def numbers(model):
    """Wrong constants: epsilon, window, softcap, scales, attention scale."""
    text, config, _, attention = _modules(model)
    eps = text.norm.eps
    for other in {0.0, 1e-6, 1e-5} - {eps}:
        yield f"eps {other:g}", setting(*[(n, "eps", other) for n in _norms(model)])
    yield "window + 1", setting((config, "sliding_window", config.sliding_window + 1))
    yield "window - 1", setting((config, "sliding_window", config.sliding_window - 1))
    if config.final_logit_softcapping is not None:
        yield "softcap removed", setting((config, "final_logit_softcapping", None))
    yield "embedding scale removed", filled((text.embed_tokens.embed_scale, 1.0))
    yield "attention scaled by 1/sqrt(d)", setting(*[(a, "scaling", a.head_dim**-0.5) for a in attention])
    other = torch.nn.GELU(approximate="tanh" if config.hidden_activation == "gelu" else "none")
    yield "the other gelu", setting(*[(layer.mlp, "act_fn", other) for layer in text.layers])
    yield "1 + w in the layers' norms", filled(
        *[(n.weight, n.weight + 1) for n in _norms(model) if n.with_scale and n is not text.norm])
    if getattr(text, "hidden_size_per_layer_input", 0):
        yield "PLE table scale removed", filled((text.embed_tokens_per_layer.embed_scale, 1.0))
        yield "PLE 1/sqrt(2) removed", setting((text, "per_layer_input_scale", 1.0))
        yield "PLE 1/sqrt(H) removed", setting((text, "per_layer_model_projection_scale", 1.0))


def rope(model):
    """Wrong frequencies, pairs and positions."""
    text, config, module, attention = _modules(model)
    rotary = text.rotary_emb
    sliding, full = rotary.sliding_attention_inv_freq, rotary.full_attention_inv_freq
    thetas = {k: v["rope_theta"] for k, v in config.rope_parameters.items()}

    def table(old, theta, lanes=None):
        powers = float(theta) ** -(torch.arange(len(old)) / len(old))
        return torch.where((old != 0) if lanes is None else lanes, powers, 0.0)

    yield "sliding theta on full layers", filled((full, table(full, thetas["sliding_attention"])))
    yield "full theta on sliding layers", filled((sliding, table(sliding, thetas["full_attention"])))
    yield "partial factor ignored", filled((full, table(full, thetas["full_attention"], torch.ones_like(full) > 0)))
    turned = int((full != 0).sum())
    shorter = torch.arange(len(full)) < turned - 1
    yield "one pair fewer turned", filled((full, table(full, thetas["full_attention"], shorter)))
    narrow = torch.where(full != 0, thetas["full_attention"] ** -(torch.arange(len(full)) / turned), 0.0)
    yield "exponent over the turned width", filled((full, narrow))
    yield "interleaved pairs", setting((module, "rotate_half", lambda x: torch.stack(
        (-x[..., 1::2], x[..., ::2]), dim=-1).flatten(-2)))
    forward = type(rotary).forward
    yield "positions in bf16", setting((type(rotary), "forward", lambda self, x, position_ids, layer_type: forward(
        self, x, position_ids.to(torch.bfloat16).float(), layer_type)))
    yield "positions not given", setting((type(rotary), "forward", lambda self, x, position_ids, layer_type: forward(
        self, x, torch.arange(position_ids.shape[1])[None].expand_as(position_ids), layer_type)))
    yield "v_norm missing", hooked([a.v_norm for a in attention if not a.is_kv_shared_layer],
                                   lambda m, args, out: args[0])
    if any(1 < k.k_proj.out_features // k.head_dim and k.num_key_value_groups > 1
           for k in attention if not k.is_kv_shared_layer):
        yield "KV heads interleaved", setting((module, "repeat_kv", lambda x, n: x.repeat(1, n, 1, 1)))


def values(model):
    """K=V layers that fork after k_norm instead of before."""
    _, _, _, attention = _modules(model)
    both = [a for a in attention if not a.is_kv_shared_layer and a.v_proj is None]
    if not both:
        return
    normed = {}

    @contextlib.contextmanager
    def fork():
        with hooked([a.k_norm for a in both], lambda m, args, out: normed.__setitem__("k", out)), \
                hooked([a.v_norm for a in both], lambda m, args: (normed["k"],), before=True):
            yield

    yield "V forked after k_norm", fork()


def pads(model):
    """The padding mask is ignored: all ones, since without a mask transformers takes positions for packing."""
    @contextlib.contextmanager
    def unmasked():
        handle = model.register_forward_pre_hook(
            lambda m, args, kwargs: (args, {k: torch.ones_like(v) if k == "attention_mask" else v
                                            for k, v in kwargs.items()}), with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    yield "padding mask ignored", unmasked()


def sharing(model):
    """Wrong donors and widths of KV-shared layers."""
    text, _, _, attention = _modules(model)
    shared = [i for i, a in enumerate(attention) if a.is_kv_shared_layer]
    if not shared:
        return
    for kind in ("sliding_attention", "full_attention"):
        own = [a for a in attention[:shared[0]] if a.layer_type == kind]
        if len(own) > 1:
            yield f"first {kind.split('_')[0]} layer as donor", setting(
                (own[-1], "store_full_length_kv", False), (own[0], "store_full_length_kv", True))
    wide = [i for i in shared if text.layers[i].mlp.intermediate_size != text.layers[0].mlp.intermediate_size]
    if wide:
        halves = []
        for i in wide:
            down = text.layers[i].mlp.down_proj.weight
            keep = torch.ones_like(down)
            keep[:, down.shape[1] // 2:] = 0
            halves.append((down, down * keep))
        yield "half of the double-wide MLP", filled(*halves)


def masks(model):
    """Wrong image blocks. Cases without types cannot show these; exposing.py takes the largest of all cases."""
    _, config, module, _ = _modules(model)
    if not hasattr(model.model, "language_model"):
        return
    if getattr(model.model, "embed_vision", None) is None:
        yield "placeholders looked up by their own id", setting(
            (model.config, "image_token_id", -1), (model.config, "video_token_id", -1), (model.config, "audio_token_id", -1))
    if config.use_bidirectional_attention != "vision":
        yield "blocks see both ways", setting((config, "use_bidirectional_attention", "vision"))
        return
    yield "blocks are causal", setting((config, "use_bidirectional_attention", None))
    ids = module.get_block_sequence_ids_for_mask

    def relabelled(mapping):
        def wrapped(mm_token_type_ids, device):
            types = mm_token_type_ids.clone()
            for old, new in mapping.items():
                types[mm_token_type_ids == old] = new
            return ids(types, device)
        return setting((module, "get_block_sequence_ids_for_mask", wrapped))

    yield "video rows are causal", relabelled({2: 0})
    yield "audio rows see both ways", relabelled({3: 1})
    yield "all blocks are one", setting((module, "get_block_sequence_ids_for_mask", lambda mm_token_type_ids, device:
                                         ids(mm_token_type_ids, device).clamp(max=0)))
    if config.model_type == "gemma4_unified_text":
        def inside(block_sequence_ids=None, **kwargs):
            return module.create_masks_for_vision_model(block_sequence_ids=block_sequence_ids, **kwargs)
        yield "blocks inside the window, full layers causal", setting((module, "create_masks_for_generate", inside))
    else:
        def beyond(block_sequence_ids=None, **kwargs):
            return masking_utils.create_masks_for_generate(block_sequence_ids=block_sequence_ids, **kwargs)
        yield "blocks beyond the window and on full layers", setting((module, "create_masks_for_vision_model", beyond))


def experts(model):
    """Wrong routing."""
    text = text_model(model)
    layers = [layer for layer in text.layers if getattr(layer, "enable_moe_block", False)]
    if not layers:
        return
    routers = [layer.router for layer in layers]
    yield "router without 1/sqrt(H)", setting(*[(r, "scalar_root_size", 1.0) for r in routers])

    def raw_weights(module, args, out):
        probs, _, chosen = out
        return probs, probs.gather(1, chosen) * module.per_expert_scale[chosen], chosen

    yield "weights not renormalised", hooked(routers, raw_weights)
    owners = {id(layer.router): layer for layer in layers}
    yield "router fed the normed residual", hooked(
        routers, lambda m, args: (owners[id(m)].pre_feedforward_layernorm_2(args[0]),), before=True)
    swap = []
    for layer in layers:
        weight = layer.experts.gate_up_proj
        width = weight.shape[1] // 2
        swap.append((weight, torch.cat([weight[:, width:], weight[:, :width]], dim=1)))
    yield "gate and up swapped in the experts", filled(*swap)
    order = [1, 0, *range(2, layers[0].experts.down_proj.shape[0])]
    yield "two experts swapped", filled(*[(layer.experts.down_proj, layer.experts.down_proj[order].clone())
                                          for layer in layers])
    yield "no experts", hooked([layer.experts for layer in layers], lambda m, args, out: torch.zeros_like(out))


def pad_rows(model):
    """The pad id's row of each table is zero, as a table with a padding index has it."""
    text = text_model(model)
    pad = text.padding_idx
    for name in ("embed_tokens", "embed_tokens_per_layer"):
        if hasattr(text, name):
            row = getattr(text, name).weight[pad]
            yield f"pad row of {name} zero", filled((row, 0.0))


def kinds(model):
    """Every kind of weight at once set to its identity: norms and scales 1, matrices 0."""
    found = {}
    for key, tensor in text_model(model).state_dict().items():
        if not key.startswith("embed_tokens"):
            found.setdefault(key.split(".", 2)[2] if key.startswith("layers.") else key, []).append(tensor)
    for kind, tensors in found.items():
        yield f"all {kind}", filled(*[(t, identity(kind)) for t in tensors])


def identity(key):
    """What a parameter is when a port forgets it."""
    last = key.split(".")[-1]
    if last in ("input_min", "output_min", "input_max", "output_max"):
        return float("-inf" if last.endswith("min") else "inf")
    if last in ("bias", "std_bias", "per_dim_scale"):
        return 0.0
    return 1.0 if "norm" in key or "patch_ln" in key or key.endswith(("layer_scalar", "scale")) else 0.0


def all_of(model):
    """Every perturbation of a model, as (name, context manager)."""
    for group in (numbers, rope, values, pads, sharing, masks, experts, pad_rows, kinds, perturb_vision.all_of,
                  perturb_audio.all_of):
        yield from group(model)
