"""The goldens: which tiny checkpoint each one holds. Data only; weights.py draws them, cases.py gives their inputs.

`tails`: nothing divides conveniently and no two dimensions are equal, so that a swapped index or stride cannot go
unseen. `blocks`: every row of weights is a multiple of 256 long, so that quantised formats can hold it.
Each keeps what makes its variant different (layer pattern, sharing, K=V, experts, masks), scaled down.
"""

S, F = "sliding_attention", "full_attention"


def pattern(letters):
    """Layer types from a string such as "ssssf"."""
    return [{"s": S, "f": F}[letter] for letter in letters]


def _text(hidden, ffn, dims, heads, kv, window, vocab, layers, eps, thetas=(1e4, 1e6), partial=0.25, **more):
    return {
        "hidden_size": hidden, "intermediate_size": ffn, "head_dim": dims[0], "global_head_dim": dims[1],
        "num_attention_heads": heads, "num_key_value_heads": kv, "sliding_window": window, "vocab_size": vocab,
        "layer_types": pattern(layers), "num_hidden_layers": len(layers), "rms_norm_eps": eps,
        "final_logit_softcapping": 30.0, "max_position_embeddings": 8192, "pad_token_id": 0,
        "hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": vocab,
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": thetas[0]},
            "full_attention": {"rope_type": "proportional", "partial_rotary_factor": partial, "rope_theta": thetas[1]},
        }, **more}


def _ple(width, shared, vocab, double=False):
    return {"hidden_size_per_layer_input": width, "num_kv_shared_layers": shared, "vocab_size_per_layer_input": vocab,
            "use_double_wide_mlp": double}


def _big(global_kv):
    return {"attention_k_eq_v": True, "num_global_key_value_heads": global_kv, "use_bidirectional_attention": "vision"}


def _experts(count, used, width):
    return {"enable_moe_block": True, "num_experts": count, "top_k_experts": used, "moe_intermediate_size": width}


def _vision(hidden, ffn, heads, kv, dim, patch, pool, positions, eps, theta, clipped, standardize, layers=2):
    return {
        "hidden_size": hidden, "intermediate_size": ffn, "num_attention_heads": heads, "num_key_value_heads": kv,
        "head_dim": dim, "patch_size": patch, "pooling_kernel_size": pool, "position_embedding_size": positions,
        "rms_norm_eps": eps, "rope_parameters": {"rope_type": "axial", "rope_theta": theta},
        "use_clipped_linears": clipped, "standardize": standardize, "num_hidden_layers": layers}


def _audio(hidden, heads, channels, output, kernel, chunk, eps, cap, clamp, weight, layers=2):
    # transformers' own relative positions are in step only with chunk == left - 1 and right == 0.
    return {
        "hidden_size": hidden, "num_attention_heads": heads, "subsampling_conv_channels": list(channels),
        "output_proj_dims": output, "conv_kernel_size": kernel, "attention_chunk_size": chunk,
        "attention_context_left": chunk + 1, "attention_context_right": 0, "rms_norm_eps": eps,
        "attention_logit_cap": cap, "gradient_clipping": clamp, "residual_weight": weight,
        "use_clipped_linears": True, "num_hidden_layers": layers}


# kind: the class that holds it; dtype: how its weights are stored; hub: config.json in the hub's spelling; seed: moved
# by hand only when a draw could not pass; gain: how loud each post-norm is.
SPECS = {
    "e2b-tails": {
        "variant": "E2B", "kind": "gemma4", "dtype": "bfloat16", "hub": True, "set": "tails", "gain": 0.33,
        "text": _text(44, 27, (10, 26), 6, 2, 5, 131, "ssssf" * 3, 3e-3, **_ple(7, 5, 131, double=True))},
    "e2b-blocks": {
        "variant": "E2B", "kind": "gemma4", "dtype": "bfloat16", "hub": False, "set": "blocks", "extra_kv": True,
        "text": _text(256, 256, (64, 128), 4, 1, 3, 256, "sssfsf", 1e-6, **_ple(256, 2, 256, double=True))},
    "e4b-tails": {
        "variant": "E4B", "kind": "gemma4", "dtype": "bfloat16", "hub": False, "set": "tails", "far": 301,
        "text": _text(52, 37, (14, 30), 4, 2, 7, 149, "sssssffssf", 1e-6, (5e3, 2e5), **_ple(9, 2, 163))
        | {"pad_token_id": 3}},
    "e4b-blocks": {
        "variant": "E4B", "kind": "gemma4", "dtype": "bfloat16", "hub": True, "set": "blocks",
        "text": _text(256, 256, (64, 128), 4, 2, 3, 256, "sssfsf", 1e-3, **_ple(256, 2, 256))},
    "12b-tails": {
        "variant": "12B", "kind": "gemma4_unified", "dtype": "bfloat16", "hub": False, "set": "tails", "far": 301,
        "text": _text(46, 35, (14, 34), 6, 3, 5, 137, "sssssfsf", 1e-2, **_big(2))},
    "12b-blocks": {
        "variant": "12B", "kind": "gemma4_unified", "dtype": "bfloat16", "hub": True, "set": "blocks",
        "text": _text(256, 256, (64, 128), 4, 2, 3, 256, "sssssf", 1e-6, **_big(1))},
    "26b-a4b-tails": {
        "seed": 1, "variant": "26B-A4B", "kind": "gemma4", "dtype": "bfloat16", "hub": True, "set": "tails", "far": 701,
        "text": _text(50, 29, (18, 38), 6, 3, 5, 139, "fsssssf", 1e-3, (2e4, 5e5), **_big(2),
                      **_experts(11, 4, 13))},
    "26b-a4b-blocks": {
        "variant": "26B-A4B", "kind": "gemma4", "dtype": "bfloat16", "hub": False, "set": "blocks",
        "text": _text(256, 256, (64, 128), 4, 2, 3, 256, "sssssf", 1e-6, **_big(1), **_experts(3, 2, 256))},
    "31b-tails": {
        "variant": "31B", "kind": "gemma4", "dtype": "bfloat16", "hub": False, "set": "tails",
        "text": _text(58, 41, (16, 36), 8, 4, 6, 151, "sfssssf", 1e-6, partial=0.5, **_big(2))
        | {"final_logit_softcapping": 25.0}},
    "31b-blocks": {
        "variant": "31B", "kind": "gemma4", "dtype": "bfloat16", "hub": True, "set": "blocks", "shard": "2MB",
        "text": _text(256, 256, (64, 128), 4, 2, 3, 256, "sssssf", 5e-3, **_big(1))},
    "seed": {
        "variant": "E2B", "kind": "gemma4_text", "dtype": "float16", "hub": False, "set": "seed",
        "text": _text(32, 48, (8, 16), 4, 2, 5, 1024, "ssfsfsf", 1e-6, **_ple(6, 2, 1024))},
    # Images, audio and video. `mels`: bins of a frame, which the config does not hold: mels // 4 == channels[0] // 4.
    "e2b-media": {
        "variant": "E2B", "kind": "gemma4", "dtype": "bfloat16", "hub": True, "set": "media", "gain": 0.36, "mels": 12,
        "text": _text(42, 29, (10, 22), 6, 2, 5, 143, "ssfssf", 2e-3, **_ple(7, 2, 143, double=True)),
        "vision": _vision(34, 45, 3, 3, 12, 5, 3, 23, 3e-3, 100.0, True, False),
        "audio": _audio(40, 5, (14, 6), 26, 4, 5, 3e-3, 4.0, 0.55, 0.4)},
    "e4b-media": {
        "variant": "E4B", "kind": "gemma4", "dtype": "bfloat16", "hub": False, "set": "media", "mels": 20,
        "text": _text(46, 31, (12, 18), 4, 2, 6, 139, "sfssf", 5e-4, **_ple(9, 2, 151)) | {"pad_token_id": 3},
        "vision": _vision(38, 47, 4, 2, 8, 4, 2, 19, 1e-6, 40.0, True, False, layers=3),
        "audio": _audio(36, 3, (23, 5), 27, 5, 4, 1e-6, 50.0, 1e10, 0.5, layers=3)},
    "26b-a4b-media": {
        "variant": "26B-A4B", "kind": "gemma4", "dtype": "bfloat16", "hub": True, "set": "media", "far": 301,
        "text": _text(48, 27, (14, 26), 6, 3, 5, 137, "sfssf", 1e-3, **_big(2), **_experts(7, 3, 11)),
        "vision": _vision(35, 51, 5, 5, 8, 3, 3, 21, 2e-3, 100.0, False, True)},
    "31b-media": {
        "variant": "31B", "kind": "gemma4", "dtype": "bfloat16", "hub": False, "set": "media",
        "text": _text(54, 37, (14, 26), 6, 3, 4, 149, "ssfsf", 1e-6, **_big(2)),
        "vision": _vision(37, 43, 3, 3, 16, 5, 2, 25, 1e-6, 60.0, False, True, layers=3)},
    "12b-media": {
        "variant": "12B", "kind": "gemma4_unified", "dtype": "bfloat16", "hub": True, "set": "media",
        "text": _text(50, 33, (14, 30), 6, 3, 5, 141, "sssfsf", 1e-2, **_big(2)),
        "vision": {"patch_size": 3, "pooling_kernel_size": 2, "mm_embed_dim": 38, "output_proj_dims": 38,
                   "mm_posemb_size": 17, "rms_norm_eps": 4e-3},
        "audio": {"audio_embed_dim": 22, "rms_norm_eps": 5e-3}},
    # What the published variants leave off, or never have together, and a port may still be given.
    "options": {
        "variant": "options", "kind": "gemma4_text", "dtype": "bfloat16", "hub": False, "set": "options", "far": 301,
        "text": _text(48, 31, (12, 28), 6, 3, 5, 133, "fsssssff", 1e-4, partial=0.4, attention_bias=True,
                      attention_k_eq_v=True, num_global_key_value_heads=2, **_ple(11, 3, 141, double=True),
                      **_experts(7, 3, 15))
        | {"final_logit_softcapping": None, "hidden_activation": "gelu", "tie_word_embeddings": False}},
    "options-unified": {
        "variant": "options", "kind": "gemma4_unified", "dtype": "bfloat16", "hub": True, "set": "options", "far": 5003,
        "text": _text(42, 33, (8, 8), 4, 4, 2, 129, "ssfssf", 1e-5, num_global_key_value_heads=2)
        | {"final_logit_softcapping": 7.0, "hidden_activation": "silu", "use_bidirectional_attention": None,
           "rope_parameters": {
            "sliding_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e5},
            "full_attention": {"rope_type": "proportional", "factor": 4.0, "partial_rotary_factor": 0.5,
                               "rope_theta": 1e6}}}},
    "headless": {
        "seed": 1, "variant": "31B", "kind": "headless", "dtype": "float32", "hub": True, "set": "headless",
        "text": _text(40, 33, (12, 22), 6, 2, 6, 127, "ssfsssf", 2e-3, (1e3, 1e5), attention_k_eq_v=True,
                      num_global_key_value_heads=3) | {"pad_token_id": 5}},
}


def special_ids(vocab):
    """The ids of placeholders and of their brackets, below the last id so that the last one is an ordinary token."""
    names = ("image_token_id", "audio_token_id", "video_token_id", "boi_token_id", "eoi_token_id", "boa_token_id",
             "eoa_token_index")
    return {name: vocab - 9 + i for i, name in enumerate(names)}
