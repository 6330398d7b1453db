"""examples/numpy_port.py with everything else that an engine may offer: step, truncate, cached_kv, embed.

    whole_port.py [BEND]    denominator: RoPE of global layers, wherever it is computed; unstepped: that, and step gives
                            half a tap; outs: that, without step and with few taps; narrow: cached_kv gives half of each
                            row; ends: the process ends in its second forward
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import numpy as np  # noqa: E402

import assay_engine  # noqa: E402
import numpy_port  # noqa: E402
from assay_engine import Unsupported  # noqa: E402


class Step:
    """The ops of a layer, each on given inputs."""

    def __init__(self, model, index, inputs):
        self.model, self.index, self.inputs = model, index, inputs
        self.plan, self.at = model.layers[index], f"layers.{index}."
        self.batch, self.tokens = inputs["input_ids"].shape

    def tap(self, name, index=None):
        index = self.index if index is None else index
        return self.inputs[f"text.layer.{index:02d}.{name}"].reshape(self.batch, self.tokens, -1)

    def heads(self, name, index=None):
        return self.tap(name, index).reshape(self.batch, self.tokens, -1, self.plan.head_dim)

    def before(self):
        return self.inputs["text.embed"] if self.index == 0 else self.tap("out", self.index - 1)

    def positions(self):
        return self.inputs.get("position_ids", np.arange(self.tokens)[None] + np.zeros((self.batch, 1), np.int64))

    def project(self, x, name):
        return x @ self.model.w(f"{self.at}{name}.weight").T

    def projected_heads(self, name):
        return self.project(self.tap("attn_norm"), f"self_attn.{name}_proj").reshape(
            self.batch, self.tokens, -1, self.plan.head_dim)

    def turned(self, x):
        return numpy_port.rotate(x, self.positions()[..., None].astype(np.float32) * self.plan.frequencies)

    def context(self):
        behind = np.arange(self.tokens)[:, None] - np.arange(self.tokens)
        real = self.inputs.get("attention_mask", np.ones((self.batch, self.tokens), np.int64))
        visible = (real[:, None] != 0) & (behind >= 0) & (behind < (self.plan.window or behind.size + 1))
        kv = [self.heads(name, self.plan.donor) for name in ("attn.k_rope", "attn.v")]
        return self.model.attend(self.plan, self.heads("attn.q_rope"), *kv, visible)

    def mlp(self):
        gate, up = (self.project(self.tap("ffn_norm"), f"mlp.{name}_proj") for name in ("gate", "up"))
        return self.project(self.model.act(gate) * up, "mlp.down_proj")

    def post_ffn(self):
        ffn, norm = self.tap("mlp"), self.model.norm
        if self.model.config.get("enable_moe_block"):
            ffn = norm(ffn, self.at + "post_feedforward_layernorm_1.weight") + norm(
                self.tap("experts"), self.at + "post_feedforward_layernorm_2.weight")
        return self.tap("post_attn") + norm(ffn, self.at + "post_feedforward_layernorm.weight")

    def ple_out(self):
        ple = self.inputs["text.ple"].reshape(self.batch, self.tokens, len(self.model.layers), -1)[:, :, self.index]
        h = self.model.act(self.project(self.tap("post_ffn"), "per_layer_input_gate")) * ple
        return self.model.norm(self.project(h, "per_layer_projection"), self.at + "post_per_layer_input_norm.weight")

    def out(self):
        x = self.tap("post_ffn") + self.tap("ple_out") if self.model.ple else self.tap("post_ffn")
        return x * self.model.tensors.get(f"{self.model.prefix}{self.at}layer_scalar", np.float32(1))

    def run(self, name):
        norm, at = self.model.norm, self.at
        ops = {
            "attn_norm": lambda: norm(self.before(), at + "input_layernorm.weight"),
            "attn.q": lambda: norm(self.projected_heads("q"), at + "self_attn.q_norm.weight"),
            "attn.k": lambda: norm(self.projected_heads("k"), at + "self_attn.k_norm.weight"),
            "attn.v": lambda: norm(self.projected_heads("k" if self.plan.value_is_key else "v")),
            "attn.q_rope": lambda: self.turned(self.heads("attn.q")),
            "attn.k_rope": lambda: self.turned(self.heads("attn.k")),
            "attn.ctx": self.context,
            "attn.out": lambda: self.project(self.tap("attn.ctx"), "self_attn.o_proj"),
            "post_attn": lambda: self.before() + norm(self.tap("attn.out"), at + "post_attention_layernorm.weight"),
            "ffn_norm": lambda: norm(self.tap("post_attn"), at + "pre_feedforward_layernorm.weight"),
            "mlp": self.mlp,
            "post_ffn": self.post_ffn,
            "ple_out": self.ple_out,
            "out": self.out,
        }
        if name not in ops:
            raise Unsupported(f"{name} by itself")
        return ops[name]()


def step(model, tap, inputs):
    """One op by itself."""
    if tap.startswith("text.layer."):
        _, _, index, name = tap.split(".", 3)
        return Step(model, int(index), inputs).run(name)
    if tap in ("text.embed", "text.ple"):
        return model.embed(inputs["input_ids"])[tap == "text.ple"]
    if tap == "text.norm":
        return model.norm(inputs[f"text.layer.{len(model.layers) - 1:02d}.out"], "norm.weight")
    cap = model.config.get("final_logit_softcapping")
    logits = inputs["text.norm"] @ model.head.T
    return np.tanh(logits / np.float32(cap)) * np.float32(cap) if cap else logits


def truncate(model, state, keep):
    """Rows keep different numbers of tokens only in batches, which this one does not draft for."""
    if len(set(keep)) > 1:
        raise Unsupported("rows that keep different numbers of tokens")
    state["kv"] = {layer: tuple(part[:, :keep[0]] for part in pair) for layer, pair in state["kv"].items()}
    state["cached"] = min(state["cached"], keep[0])


def cached_kv(model, state, layer):
    return tuple(part.reshape(*part.shape[:2], -1) for part in state["kv"][layer])


def embed(model, ids):
    return model.w("embed_tokens.weight")[ids] * np.float32(np.sqrt(model.config["hidden_size"]))


class ShortTurn(numpy_port.Layer):
    """Frequencies of global layers spread over the turning lanes."""

    def __init__(self, config, index):
        super().__init__(config, index)
        turned = np.count_nonzero(self.frequencies)
        rope = config["rope_parameters"][self.kind]
        if rope["rope_type"] == "proportional":
            powers = np.arange(turned, dtype=np.float32) / np.float32(turned)
            self.frequencies[:turned] = 1 / np.float32(rope["rope_theta"]) ** powers


def main(bend):
    run, stepped, shown, taps = numpy_port.run, step, cached_kv, ["text.*"]
    calls = []

    def ends(model, call, taps):
        calls.append(call)
        if len(calls) > 1:
            os._exit(9)
        numpy_port.run(model, call, taps)

    if bend in ("denominator", "unstepped", "outs"):
        numpy_port.Layer = ShortTurn
    if bend == "unstepped":
        stepped = lambda *given: step(*given)[..., ::2]  # noqa: E731
    if bend == "outs":
        stepped, taps = None, ["text.layer.*.out"]
    if bend == "narrow":
        shown = lambda *given: tuple(part[..., ::2] for part in cached_kv(*given))  # noqa: E731
    if bend == "ends":
        run = ends
    assay_engine.serve(numpy_port.Model, run, name=f"whole-port{bend and '-'}{bend}", version="1", taps=taps,
                       cache=True, batch=True, step=stepped, truncate=truncate, cached_kv=shown, embed=embed)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
