"""The facts of the vision and audio parts, read from the modules that transformers built, for /plan/vision and
/plan/audio. `kind`: tower, or embedder in unified models. Not here: the decoder's (plan.py)."""

import torch

from .load import audio_tower, vision_tower


def _vision(tower, embed):
    layer, patch = tower.encoder.layers[0], tower.patch_embedder
    attention = layer.self_attn
    assert layer.input_layernorm.eps == embed.embedding_pre_projection_norm.eps
    return {
        "kind": "tower",
        "hidden": patch.input_proj.out_features,
        "patch_values": patch.input_proj.in_features,
        "positions": patch.position_embedding_table.shape[1],
        "pool": tower.config.pooling_kernel_size,
        "eps": float(layer.input_layernorm.eps),
        "standardize": int(hasattr(tower, "std_bias")),
        "layers": len(tower.encoder.layers),
        "heads": attention.q_proj.linear.out_features // attention.head_dim,
        "kv_heads": attention.k_proj.linear.out_features // attention.head_dim,
        "head_dim": attention.head_dim,
        "ffn_width": layer.mlp.gate_proj.linear.out_features,
        "clipped": int(layer.mlp.gate_proj.use_clipped_linears),
    }, {"inv_freq": tower.encoder.rotary_emb.inv_freq.to(torch.float32)}


def _vision_embedder(embed):
    return {
        "kind": "embedder",
        "hidden": embed.patch_dense.out_features,
        "patch_values": embed.patch_dense.in_features,  # of a merged patch
        "positions": embed.pos_embedding.shape[0],
        "eps": float(embed.multimodal_embedder.embedding_pre_projection_norm.eps),
        "layer_norm_eps": float(embed.patch_ln1.eps),
    }, {}


def _audio(tower, embed):
    layer, conv = tower.layers[0], tower.subsample_conv_projection
    attention = layer.self_attn
    assert conv.layer0.norm.eps == embed.embedding_pre_projection_norm.eps
    channels = conv.layer1.conv.out_channels
    return {
        "kind": "tower",
        "channels_0": conv.layer0.conv.out_channels,
        "channels_1": channels,
        "frequencies": conv.input_proj_linear.in_features // channels,
        "hidden": conv.input_proj_linear.out_features,
        "output": tower.output_proj.out_features,
        "eps": float(conv.layer0.norm.eps),
        "layers": len(tower.layers),
        "heads": attention.num_heads,
        "head_dim": attention.head_dim,
        "chunk": attention.chunk_size,
        "past": attention.max_past_horizon,
        "future": attention.max_future_horizon,
        "logit_cap": float(attention.softcap),
        "invalid_logit": float(attention.config.attention_invalid_logits_value),
        "ffn_width": layer.feed_forward1.ffw_layer_1.linear.out_features,
        "kernel": layer.lconv1d.depthwise_conv1d.kernel_size[0],
        "residual_weight": float(layer.feed_forward1.post_layer_scale),
        "clamp": float(layer.gradient_clipping),
        "layer_eps": float(layer.norm_pre_attn.eps),
        "conv_eps": float(layer.lconv1d.conv_norm.eps),
        "clipped": int(attention.q_proj.use_clipped_linears),
    }, {}


def _audio_embedder(embed):
    return {
        "kind": "embedder",
        "features": embed.embedding_projection.in_features,  # samples of a raw frame
        "eps": float(embed.embedding_pre_projection_norm.eps),
    }, {}


def towers(model):
    """Yields (name, attributes, arrays) of each part that the model has."""
    inner = model.model
    sight, sound = getattr(inner, "embed_vision", None), getattr(inner, "embed_audio", None)
    if sight is not None:
        tower = vision_tower(model)
        yield "vision", *(_vision_embedder(sight) if tower is None else _vision(tower, sight))
    if sound is not None:
        tower = audio_tower(model)
        yield "audio", *(_audio_embedder(sound) if tower is None else _audio(tower, sound))
