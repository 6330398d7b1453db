"""Inputs and outputs of single operations for C++ unit tests, worked out by transformers' own modules in fp32.

Names are "<op>/<case>/<tensor>"; scalars are in ops.json under "<op>/<case>". Not here: whole models (make.py).
"""

import json
import os
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Gemma4TextConfig
from transformers.models.gemma4 import modeling_gemma4 as g4

from .ops_masks import mask_cases
from .weights import generator

OUT = Path(__file__).resolve().parent.parent.parent / "tests" / "data"


class Sheet:
    """Collects tensors and scalars under "<op>/<case>"."""

    def __init__(self):
        self.tensors, self.scalars = {}, {}

    def put(self, at, tensors, **scalars):
        """Adds one case."""
        for name, tensor in tensors.items():
            tensor = tensor.detach()
            dtype = {torch.bool: torch.uint8, torch.int64: torch.int64}.get(tensor.dtype, torch.float32)
            self.tensors[f"{at}/{name}"] = tensor.to(dtype).clone().contiguous()
        self.scalars[at] = scalars


def randn(at, *shape):
    """Normal values seeded by a name."""
    return torch.randn(shape, generator=generator("ops", at))


def config(**more):
    """A small text config whose dimensions all differ."""
    base = dict(vocab_size=40, hidden_size=22, intermediate_size=30, num_hidden_layers=6, num_attention_heads=6,
                num_key_value_heads=2, head_dim=10, global_head_dim=26, sliding_window=5, rms_norm_eps=1e-3,
                hidden_size_per_layer_input=7, vocab_size_per_layer_input=40, final_logit_softcapping=30.0,
                max_position_embeddings=8192, attn_implementation="eager")
    return Gemma4TextConfig(**{**base, **more})


def filled(module, at):
    """Every parameter and saved buffer drawn away from its identity value."""
    for name, tensor in module.state_dict().items():
        values = randn(f"{at}/{name}", *tensor.shape)
        tensor.copy_(0.9 + 0.3 * values if tensor.dim() == 1 else values / tensor.shape[-1] ** 0.5)
    return module.eval()


def norms(sheet):
    """RMS norms: odd columns, one column group, a large epsilon, none of the weight; a row of zeros and a tiny row."""
    for case, shape, eps, scale in (("weight", (5, 22), 1e-6, True), ("odd-large-eps", (4, 7), 1e-2, True),
                                    ("no-weight", (3, 2, 26), 1e-6, False), ("wide", (2, 257), 1e-6, True)):
        at = f"rms_norm/{case}"
        norm, x = filled(g4.Gemma4RMSNorm(shape[-1], eps=eps, with_scale=scale), at), randn(at, *shape)
        x[0] = 0
        x[-1] *= 1e-3
        sheet.put(at, {"x": x, "y": norm(x), **({"weight": norm.weight} if scale else {})}, eps=eps)


def ropes(sheet):
    """Inverse frequencies, and heads turned at positions that fp32 and bf16 round."""
    positions = torch.tensor([[0, 1, 2, 255, 256, 257, 1023, 5000]])
    for case, dims, thetas, factor in (("published", (256, 512), (1e4, 1e6), 0.25), ("tails", (10, 26), (1e4, 1e6), 0.25),
                                       ("half", (16, 36), (5e3, 2e5), 0.5), ("blocks", (64, 128), (1e4, 1e6), 0.25)):
        cfg = config(head_dim=dims[0], global_head_dim=dims[1], rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": thetas[0]},
            "full_attention": {"rope_type": "proportional", "partial_rotary_factor": factor, "rope_theta": thetas[1]}})
        rotary = g4.Gemma4TextRotaryEmbedding(cfg)
        for kind, dim, theta, part in (("sliding", dims[0], thetas[0], 1.0), ("full", dims[1], thetas[1], factor)):
            freq = getattr(rotary, f"{kind}_attention_inv_freq")
            sheet.put(f"inv_freq/{case}-{kind}", {"inv_freq": freq}, head_dim=dim, theta=theta, partial_rotary_factor=part)
            if dim > 130:
                continue
            at = f"rope/{case}-{kind}"
            x = randn(at, 1, positions.shape[1], 3, dim)
            cos, sin = rotary(x, positions, f"{kind}_attention")
            sheet.put(at, {"x": x[0], "positions": positions[0], "cos": cos[0], "sin": sin[0], "inv_freq": freq,
                           "y": g4.apply_rotary_pos_emb(x, cos, sin, unsqueeze_dim=2)[0]}, head_dim=dim, theta=theta,
                      partial_rotary_factor=part)


def feed_forward(sheet):
    """GELU, the GeGLU MLP (plain and double-wide), the softcap."""
    x = torch.cat([torch.linspace(-10, 10, 81), torch.tensor([0.0, -0.0, 1e-8, -1e-8, 1e-30, 5e-4, -5e-4, 0.7978846])])
    sheet.put("gelu_tanh/range", {"x": x, "y": g4.ACT2FN["gelu_pytorch_tanh"](x)})
    for case, layer, cfg in (("plain", 0, config()),
                             ("double-wide", 5, config(num_kv_shared_layers=1, use_double_wide_mlp=True, layer_types=[
                                 "sliding_attention", "full_attention"] * 3))):
        at = f"mlp/{case}"
        mlp, x = filled(g4.Gemma4TextMLP(cfg, layer), at), 2 * randn(at, 4, 22)
        sheet.put(at, {"x": x, "y": mlp(x), "gate": mlp.gate_proj.weight, "up": mlp.up_proj.weight,
                       "down": mlp.down_proj.weight}, width=mlp.intermediate_size)
    for cap in (30.0, 7.5):
        x = torch.cat([40 * randn("softcap", 20), torch.tensor([0.0, 1e-6, cap, -cap, 200.0])])
        model = filled(g4.Gemma4ForCausalLM(config(final_logit_softcapping=cap, vocab_size=25, hidden_size=22)), "cap")
        model.model.forward = lambda *a, **k: g4.Gemma4TextModelOutputWithPast(last_hidden_state=torch.zeros(1, 1, 22))
        model.lm_head.forward = lambda h, x=x: x[None, None]
        sheet.put(f"softcap/{cap:g}", {"x": x, "y": model(input_ids=torch.tensor([[1]])).logits[0, 0]}, cap=cap)


def embeddings(sheet):
    """Scaled rows, per-layer inputs and the per-layer branch of one layer."""
    at, cfg = "ple", config()
    text, ids = filled(g4.Gemma4TextModel(cfg), at), torch.tensor([[0, 3, 39, 0, 17]])
    embeds = text.embed_tokens(ids)
    sheet.put("embedding/scaled", {"ids": ids[0], "table": text.embed_tokens.weight, "y": embeds[0]}, hidden=22)
    rows = text.get_per_layer_inputs(ids, embeds)
    sheet.put("ple_inputs/six-layers", {
        "ids": ids[0], "embeds": embeds[0], "table": text.embed_tokens_per_layer.weight, "token": rows[0],
        "projection": text.per_layer_model_projection.weight, "norm": text.per_layer_projection_norm.weight,
        "y": text.project_per_layer_inputs(embeds, rows)[0]}, layers=6, width=7, eps=cfg.rms_norm_eps)
    layer, x, part = text.layers[2], randn("ple/x", 5, 22), randn("ple/part", 5, 7)
    out = layer.post_per_layer_input_norm(layer.per_layer_projection(layer.act_fn(layer.per_layer_input_gate(x)) * part))
    sheet.put("ple_branch/one-layer", {
        "x": x, "input": part, "gate": layer.per_layer_input_gate.weight, "projection": layer.per_layer_projection.weight,
        "norm": layer.post_per_layer_input_norm.weight, "y": out}, eps=cfg.rms_norm_eps)


def experts(sheet):
    """The router's probabilities and weights, and the experts' sum."""
    cfg = config(enable_moe_block=True, num_experts=11, top_k_experts=4, moe_intermediate_size=13,
                 hidden_size_per_layer_input=0)
    cfg._experts_implementation = "eager"
    router, block = filled(g4.Gemma4TextRouter(cfg), "router"), filled(g4.Gemma4TextExperts(cfg), "experts")
    router.proj.weight.mul_(6)
    x, y = randn("router/x", 6, 22), randn("experts/x", 6, 22)
    probs, weights, chosen = router(x)
    scattered = torch.zeros_like(probs).scatter(1, chosen, weights)
    sheet.put("router/eleven-four", {"x": x, "proj": router.proj.weight, "scale": router.scale,
                                     "per_expert_scale": router.per_expert_scale, "probs": probs, "topk": scattered},
              eps=cfg.rms_norm_eps, used=4)
    sheet.put("experts/eleven-four", {"x": y, "topk": scattered, "gate_up": block.gate_up_proj, "down": block.down_proj,
                                      "y": block(y, chosen, weights)}, width=13, used=4)


def attention(sheet):
    """Eager attention with grouped heads: causal, a window, a padded batch, one query over a cache."""
    neg = torch.finfo(torch.float32).min

    class Groups:
        training = False

    for case, batch, heads, kv, q_len, kv_len, dim, window, pads in (
            ("causal", 1, 6, 2, 7, 7, 10, 0, 0), ("window", 1, 4, 1, 9, 9, 8, 4, 0),
            ("padded-batch", 2, 6, 3, 6, 6, 10, 4, 2), ("one-query", 1, 6, 2, 1, 8, 26, 0, 0)):
        at = f"attention/{case}"
        q = randn(at + "/q", batch, heads, q_len, dim) * (1.1 / dim**0.5) ** 0.5
        k, v = randn(at + "/k", batch, kv, kv_len, dim) * (1.1 / dim**0.5) ** 0.5, randn(at + "/v", batch, kv, kv_len, dim)
        qi, ki = torch.arange(q_len)[:, None] + kv_len - q_len, torch.arange(kv_len)[None]
        seen = (ki <= qi) & ((ki > qi - window) if window else torch.ones_like(ki, dtype=torch.bool))
        seen = seen[None].repeat(batch, 1, 1)
        if pads:
            seen[0, :, :pads] = False  # the first row of the batch starts with pads
        mask = torch.where(seen, 0.0, neg)[:, None]
        Groups.num_key_value_groups = heads // kv
        ctx, _ = g4.eager_attention_forward(Groups, q, k, v, mask, scaling=1.0)
        sheet.put(at, {"q": q.transpose(1, 2), "k": k.transpose(1, 2), "v": v.transpose(1, 2), "visible": seen,
                       "ctx": ctx.reshape(batch, q_len, heads * dim)}, window=window, pads_of_first_row=pads)


def write_ops(out=OUT):
    """Writes ops.safetensors and ops.json, each beside its place first."""
    sheet = Sheet()
    for part in (norms, ropes, feed_forward, embeddings, experts, attention, mask_cases):
        part(sheet)
    out.mkdir(parents=True, exist_ok=True)
    save_file(dict(sorted(sheet.tensors.items())), out / "ops.safetensors.part")
    (out / "ops.json.part").write_text(json.dumps(sheet.scalars, indent=1, sort_keys=True) + "\n")
    for name in ("ops.safetensors", "ops.json"):
        os.replace(out / f"{name}.part", out / name)
