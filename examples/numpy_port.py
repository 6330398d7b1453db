"""The text decoder of Gemma 4 in numpy, as an engine that assay drives: all variants, with a cache, in batches.

    ./assay verify --engine-cmd "python3 examples/numpy_port.py" --golden e2b-blocks

A port to read and to copy. Not here: pictures, sound, drafters, speed.
"""

import json
from pathlib import Path

import numpy as np

import assay_engine
from assay_engine import Unsupported

MOST_NEGATIVE = np.float32(-1e30)  # finite, so that rows of padding, which see nothing, make no NaN


def gelu_tanh(x):
    return np.float32(0.5) * x * (1 + np.tanh(np.float32(0.7978845608028654) * (x + np.float32(0.044715) * x * x * x)))


ACTIVATIONS = {"gelu_pytorch_tanh": gelu_tanh, "silu": lambda x: x / (1 + np.exp(-x))}


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def rotate(x, angles):
    """x [B,T,heads,d], angles [B,T,d/2]: lanes i and i + d/2 form a pair."""
    cos, sin = np.cos(angles)[:, :, None], np.sin(angles)[:, :, None]
    half = x.shape[-1] // 2
    left, right = x[..., :half], x[..., half:]
    return np.concatenate([left * cos - right * sin, right * cos + left * sin], -1)


class Layer:
    """What config.json says of one layer."""

    def __init__(self, config, index):
        own = config.get("per_layer_config", {}).get(str(index), {})
        self.kind = config["layer_types"][index]
        full = self.kind == "full_attention"
        head_dim = config["head_dim"]
        kv_heads = config["num_key_value_heads"]
        if full:
            head_dim = config.get("global_head_dim") or head_dim
            if config.get("attention_k_eq_v") and config.get("num_global_key_value_heads"):
                kv_heads = config["num_global_key_value_heads"]
        self.head_dim = own.get("head_dim", head_dim)
        self.kv_heads = own.get("num_key_value_heads", kv_heads)
        self.value_is_key = bool(config.get("attention_k_eq_v")) and full
        self.window = 0 if full else config["sliding_window"]
        first_shared = config["num_hidden_layers"] - config.get("num_kv_shared_layers", 0)
        self.donor = index
        if index >= first_shared:  # the last layer of its kind that has keys and values of its own
            self.donor = max(i for i in range(first_shared) if config["layer_types"][i] == self.kind)
        rope = config["rope_parameters"][self.kind]
        pairs = self.head_dim // 2
        turned = pairs
        if rope["rope_type"] == "proportional":
            turned = int(rope.get("partial_rotary_factor", 1.0) * self.head_dim // 2)
        powers = np.arange(0, 2 * turned, 2, dtype=np.float32) / np.float32(self.head_dim)
        self.frequencies = np.zeros(pairs, np.float32)
        self.frequencies[:turned] = 1 / np.float32(rope["rope_theta"]) ** powers / np.float32(rope.get("factor", 1.0))


class Model:
    def __init__(self, directory):
        whole = json.loads((Path(directory) / "config.json").read_text())
        self.config = config = whole.get("text_config", whole)
        if "assistant" in whole["model_type"]:
            raise Unsupported("drafters")
        if config["hidden_activation"] not in ACTIVATIONS or config.get("attention_bias"):
            raise Unsupported("this activation, or biases of attention")
        self.act = ACTIVATIONS[config["hidden_activation"]]
        tensors = assay_engine.read_checkpoint(directory)
        prefix = min((name for name in tensors if name.endswith("embed_tokens.weight")), key=len)
        self.prefix = prefix[:-len("embed_tokens.weight")]
        self.tensors = {name: np.asarray(values, np.float32) for name, values in tensors.items()}
        self.head = next((self.tensors[name] for name in self.tensors if name.endswith("lm_head.weight")),
                         self.w("embed_tokens.weight"))
        self.layers = [Layer(config, i) for i in range(config["num_hidden_layers"])]
        self.placeholders = [whole[f"{kind}_token_id"] for kind in ("image", "video", "audio")
                             if whole.get(f"{kind}_token_id") is not None]
        self.ple = config.get("hidden_size_per_layer_input") or 0
        self.blocks = config.get("use_bidirectional_attention") == "vision"

    def w(self, name):
        return self.tensors[self.prefix + name]

    def norm(self, x, weight=None):
        scaled = x / np.sqrt(np.mean(x * x, -1, keepdims=True) + np.float32(self.config["rms_norm_eps"]))
        return scaled if weight is None else scaled * self.w(weight)

    def embed(self, ids):
        looked_up = np.where(np.isin(ids, self.placeholders), self.config["pad_token_id"], ids)
        x = self.w("embed_tokens.weight")[looked_up] * np.float32(np.sqrt(self.config["hidden_size"]))
        if not self.ple:
            return x, None
        shape = (*ids.shape, len(self.layers), self.ple)
        token = self.w("embed_tokens_per_layer.weight")[looked_up].reshape(shape) * np.float32(np.sqrt(self.ple))
        context = x @ self.w("per_layer_model_projection.weight").T * np.float32(self.config["hidden_size"] ** -0.5)
        context = self.norm(context.reshape(shape), "per_layer_projection_norm.weight")
        return x, (context + token) * np.float32(2 ** -0.5)

    def attend(self, layer, q, keys, values, visible):
        """q [B,T,heads,d], keys and values [B,S,kv_heads,d], visible [B,T,S] -> [B,T,heads*d]; scores are not scaled."""
        groups = q.shape[2] // keys.shape[2]
        keys, values = np.repeat(keys, groups, 2), np.repeat(values, groups, 2)
        scores = q.transpose(0, 2, 1, 3) @ keys.transpose(0, 2, 3, 1)
        weights = softmax(np.where(visible[:, None], scores, MOST_NEGATIVE))
        return (weights @ values.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3).reshape(*q.shape[:2], -1)

    def experts(self, at, x, tap):
        """Routed experts beside the dense FFN; x is the residual after attention."""
        config = self.config
        routed = self.norm(x) * self.w(at + "router.scale") * np.float32(config["hidden_size"] ** -0.5)
        probs = softmax(routed @ self.w(at + "router.proj.weight").T)
        tap("router.probs", probs)
        chosen = np.argsort(-probs, -1, kind="stable")[..., :config["top_k_experts"]]
        top = np.take_along_axis(probs, chosen, -1)
        top = top / top.sum(-1, keepdims=True) * self.w(at + "router.per_expert_scale")[chosen]
        weights = np.zeros_like(probs)
        np.put_along_axis(weights, chosen, top, -1)
        tap("router.topk", weights)
        x = self.norm(x, at + "pre_feedforward_layernorm_2.weight")
        total = np.zeros_like(x)
        for expert in range(probs.shape[-1]):
            gate, up = np.split(x @ self.w(at + "experts.gate_up_proj")[expert].T, 2, -1)
            down = (self.act(gate) * up) @ self.w(at + "experts.down_proj")[expert].T
            total += down * weights[..., expert:expert + 1]
        tap("experts", total)
        return total

    def layer(self, index, x, ple, positions, visible, kv, taps):
        plan, at = self.layers[index], f"layers.{index}."
        batch, tokens = x.shape[:2]

        def tap(name, values):
            taps[f"text.layer.{index:02d}.{name}"] = values

        h = self.norm(x, at + "input_layernorm.weight")
        tap("attn_norm", h)
        angles = positions[..., None].astype(np.float32) * plan.frequencies
        q = (h @ self.w(at + "self_attn.q_proj.weight").T).reshape(batch, tokens, -1, plan.head_dim)
        q = self.norm(q, at + "self_attn.q_norm.weight")
        tap("attn.q", q)
        q = rotate(q, angles)
        tap("attn.q_rope", q)
        if plan.donor == index:
            k = (h @ self.w(at + "self_attn.k_proj.weight").T).reshape(batch, tokens, -1, plan.head_dim)
            v = k if plan.value_is_key else (h @ self.w(at + "self_attn.v_proj.weight").T).reshape(k.shape)
            k, v = self.norm(k, at + "self_attn.k_norm.weight"), self.norm(v)
            tap("attn.k", k)
            k = rotate(k, angles)
            tap("attn.k_rope", k)
            tap("attn.v", v)
            if index in kv:
                k, v = (np.concatenate(pair, 1) for pair in zip(kv[index], (k, v)))
            kv[index] = k, v
        ctx = self.attend(plan, q, *kv[plan.donor], visible[plan.window])
        tap("attn.ctx", ctx)
        out = ctx @ self.w(at + "self_attn.o_proj.weight").T
        tap("attn.out", out)
        x = x + self.norm(out, at + "post_attention_layernorm.weight")
        tap("post_attn", x)
        h = self.norm(x, at + "pre_feedforward_layernorm.weight")
        tap("ffn_norm", h)
        gate, up = (h @ self.w(f"{at}mlp.{name}_proj.weight").T for name in ("gate", "up"))
        ffn = (self.act(gate) * up) @ self.w(at + "mlp.down_proj.weight").T
        tap("mlp", ffn)
        if self.config.get("enable_moe_block"):
            ffn = self.norm(ffn, at + "post_feedforward_layernorm_1.weight") + self.norm(
                self.experts(at, x, tap), at + "post_feedforward_layernorm_2.weight")
        x = x + self.norm(ffn, at + "post_feedforward_layernorm.weight")
        tap("post_ffn", x)
        if self.ple:
            h = self.act(x @ self.w(at + "per_layer_input_gate.weight").T) * ple[:, :, index]
            h = self.norm(h @ self.w(at + "per_layer_projection.weight").T, at + "post_per_layer_input_norm.weight")
            tap("ple_out", h)
            x = x + h
        x = x * self.tensors.get(f"{self.prefix}{at}layer_scalar", np.float32(1))
        tap("out", x)
        return x


def run(model, call, taps):
    if call.target is not None or any("pixel" in name or "features" in name for name in call.tensors):
        raise Unsupported("pictures, sound and drafters")
    if model.blocks and np.isin(call.get("mm_token_type_ids", 0), (1, 2)).any():
        raise Unsupported("rows of pictures that see one another")
    batch, tokens = call.ids.shape
    if call.cache != "extend":
        call.state.clear()
    cached = call.state.get("cached", 0)
    positions = call.get("position_ids", cached + np.arange(tokens)[None] + np.zeros((batch, 1), np.int64))
    if call.cache == "none" and call.mask is None and (np.diff(positions) != 1).any():
        raise Unsupported("several prompts packed in a row")
    kv = call.state.setdefault("kv", {}) if call.cache != "none" else {}
    behind = (cached + np.arange(tokens))[:, None] - np.arange(cached + tokens)  # how far each key lies behind
    real = np.ones((batch, cached + tokens)) if call.mask is None else call.mask
    visible = {window: (real[:, None] != 0) & (behind >= 0) & (behind < (window or behind.size + 1))
               for window in {layer.window for layer in model.layers}}
    x, ple = model.embed(call.ids)
    taps["text.embed"], taps["text.ple"] = x, ple
    for index in range(len(model.layers)):
        x = model.layer(index, x, ple, positions, visible, kv, taps)
    if call.cache != "none":
        call.state["cached"] = cached + tokens
    x = model.norm(x, "norm.weight")
    taps["text.norm"] = x
    if "text.logits" in taps:
        logits = x[:, -call.logit_rows:] @ model.head.T  # -0: all of them
        cap = model.config.get("final_logit_softcapping")
        taps["text.logits"] = np.tanh(logits / np.float32(cap)) * np.float32(cap) if cap else logits


if __name__ == "__main__":
    assay_engine.serve(Model, run, name="numpy-port", version="1", taps=["text.*"], cache=True, batch=True)
