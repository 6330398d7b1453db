"""The drafter goldens: which target each one reads, and what its own tiny checkpoint is. Data only; assistant.py makes
them.

A drafter's head dimensions and K/V heads are its target's, or it could not read its keys; everything else differs from
the target and from one another.
"""

from .specs import SPECS, _text

S, F = "sliding_attention", "full_attention"


def _drafter(target, hidden, ffn, heads, layers, eps, window=None, **more):
    text = SPECS[target]["text"]
    own = _text(hidden, ffn, (text["head_dim"], text["global_head_dim"]), heads, text["num_key_value_heads"],
                window or text["sliding_window"], text["vocab_size"], layers, eps)
    own |= {"rope_parameters": text["rope_parameters"], "pad_token_id": text["pad_token_id"]}
    for key in ("attention_k_eq_v", "num_global_key_value_heads", "use_bidirectional_attention"):
        if key in text:
            own[key] = text[key]
    if SPECS[target]["kind"] == "gemma4_unified":
        for key in ("hidden_size_per_layer_input", "vocab_size_per_layer_input"):
            own.pop(key)
    else:
        own["vocab_size_per_layer_input"] = 0
    return {"target": target, "variant": SPECS[target]["variant"] + "-draft", "unified": "unified" in SPECS[target]["kind"],
            "text": own, "dtype": "bfloat16", **more}


# clusters: (num_centroids, centroid_intermediate_top_k), or None for the dense head. The window of the second differs
# from its target's: each model masks with its own.
DRAFTERS = {
    "e2b-draft": _drafter("e2b-blocks", 36, 29, 3, "sssf", 2e-3, clusters=(32, 5)),
    "12b-draft": _drafter("12b-tails", 26, 21, 12, "sfsf", 1e-6, window=7, clusters=None),
    "31b-draft": _drafter("31b-tails", 22, 39, 4, "ssf", 1e-4, clusters=None),
}
