"""The facts of each layer, read from the modules that transformers built: what model/plan.h is tested against."""

import torch

from .load import text_config, text_model


def layer_plan(text, index):
    """Attributes of /plan/layer.NN and its inverse frequencies (fp32, [head_dim / 2], zero where nothing turns)."""
    layer = text.layers[index]
    attention = layer.self_attn
    donor = index
    if attention.is_kv_shared_layer:
        donor = next(i for i, other in enumerate(text.layers)
                     if other.self_attn.store_full_length_kv and other.self_attn.layer_type == attention.layer_type)
    owner = text.layers[donor].self_attn
    experts = layer.experts if getattr(layer, "enable_moe_block", False) else None
    ple = getattr(layer, "per_layer_input_gate", None)
    attrs = {
        "attention": "sliding" if attention.is_sliding else "full",
        "head_dim": attention.head_dim,
        "q_heads": attention.q_proj.out_features // attention.head_dim,
        "kv_heads": owner.k_proj.out_features // owner.head_dim,
        "window": attention.sliding_window or 0,
        "donor": donor,
        "value_is_key": int(owner.v_proj is None),
        "ffn_width": layer.mlp.gate_proj.out_features,
        "ple_width": 0 if ple is None else ple.out_features,
        "experts": 0 if experts is None else experts.gate_up_proj.shape[0],
        "experts_used": 0 if experts is None else layer.router.config.top_k_experts,
        "expert_width": 0 if experts is None else experts.down_proj.shape[2],
    }
    inv_freq = getattr(text.rotary_emb, f"{attention.layer_type}_inv_freq").to(torch.float32)
    return attrs, inv_freq


def model_plan(model):
    """Attributes of /plan. `blocks`: what a run of image or video rows sees of itself (TRANSFORMERS: forward())."""
    text, config = text_model(model), text_config(model)
    blocks = "causal"
    if config.use_bidirectional_attention == "vision" and hasattr(model.model, "language_model"):
        blocks = "beyond_window" if config.model_type == "gemma4_unified_text" else "inside_window"
    return {
        "hidden": text.embed_tokens.embedding_dim,
        "vocab": text.embed_tokens.num_embeddings,
        "layers": len(text.layers),
        "softcap": float(config.final_logit_softcapping or 0.0),
        "rms_norm_eps": float(text.norm.eps),
        "blocks": blocks,
    }
