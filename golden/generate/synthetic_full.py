"""Goldens at full size: transformers' own modules on a synthetic model's weights, with one layer of them in memory.

A Gemma4TextModel is built without weights. Each variant (the golden's own, and those that noise is measured with) runs
its forward() with stand-ins for the layers, which note what they are called with; then layer after layer gets its
weights, computes all variants and gives them back. A model of any size fits, as long as its largest layer does.

NAME/ holds golden.h5 and weights.json, {"synthetic": "e2b:q4_0:text"}: there is no checkpoint, but its definition
(model/synthetic.h), whose digest stands for it. Not here: the numbers (synthetic.py); mixtures of experts, whose choices
a variant could swap; unified models.
"""

import contextlib
import gc
import hashlib
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import gguf
import h5py
import numpy as np
import torch
import transformers
from torch import nn
from transformers import AutoConfig
from transformers.models.gemma4.modeling_gemma4 import Gemma4TextModel, Gemma4TextRotaryEmbedding

from . import golden, noise
from .digest import generator_digest
from .int8 import activations_rounded, check_rounding
from .measure import ATOL, RTOL
from .synthetic import BLOCKS, ROOT, SEED, blocks_of, dtype_of, rule_of
from .taps import orders

GOLDENS = {"synthetic-e2b-q4_0": ("e2b", "q4_0")}
IDS = (2, 105, 9731, 262143, 17, 77777, 9731, 200001)  # a text's beginning, the table's last row, one id twice
ORDERS = 2  # of summation, beside the fused attention and RoPE in double: at this size each costs a minute
WHAT = "Eight tokens through every layer at its published size, on weights that are computed."
PATHS = "prefill,nocache,chunked,decode"
PIECE = 1 << 20  # blocks that are drawn at once
HEAD_ROWS = 1 << 13  # of the table, that logits are worked out with at once
DRAWS = ("even", "gain", "loss")  # as model/synthetic.h counts them
VERSION = "assay synthetic 1"


class Weights:
    """Values of a synthetic model's tensors as float32, whole or row by row."""

    def __init__(self, form, ple_width):
        self.form, self.ple_width = form, ple_width

    def drawn(self, name, shape):
        """(dtype, draw, exponent) of a tensor."""
        draw, exponent, matrix = rule_of(name, shape, self.ple_width)
        return dtype_of(name, matrix, self.form), draw, exponent

    def is_packed(self, name, shape):
        """Whether it is stored in blocks: what int8 activations are for."""
        return BLOCKS[self.drawn(name, tuple(shape))[0]][0] > 1

    def rows(self, name, shape, first, count):
        """Rows [first, first + count) of a tensor, float32 [count, columns]."""
        dtype, draw, exponent = self.drawn(name, shape)
        elements, size = BLOCKS[dtype]
        columns = int(np.prod(shape[1:], dtype=np.int64)) if len(shape) > 1 else 1
        begin, blocks = first * columns // elements, count * columns // elements
        out = np.empty(count * columns, dtype=np.float32)
        for at in range(0, blocks, PIECE):
            part = min(PIECE, blocks - at)
            raw = np.frombuffer(blocks_of(name, dtype, draw, exponent, begin + at, part), dtype=np.uint8)
            if dtype == "F32":
                values = raw.view(np.float32)
            else:
                values = gguf.quants.dequantize(raw.reshape(-1, size), gguf.GGMLQuantizationType[dtype])
            out[at * elements:(at + part) * elements] = values.reshape(-1)
        return out.reshape(count, columns)

    def tensor(self, name, shape):
        """A whole tensor."""
        shape = tuple(shape)
        return torch.from_numpy(self.rows(name, shape or (1,), 0, shape[0] if shape else 1).reshape(shape))

    def digest(self, shapes):
        """SHA-256 of the definition: the seed, and each tensor's name, shape, dtype, draw and exponent."""
        lines = []
        for name, shape in shapes.items():
            dtype, draw, exponent = self.drawn(name, shape)
            lines.append(f"{name} {list(shape)} {dtype} {DRAWS.index(draw)} {exponent}\n")
        return hashlib.sha256(f"{VERSION} seed {SEED}\n{''.join(sorted(lines))}".encode()).hexdigest()


class RowsOf(nn.Module):
    """Stands for a scaled embedding table of which a few rows are asked for. As Gemma4TextScaledWordEmbedding."""

    def __init__(self, weights, name, table, scale):
        super().__init__()
        self.weights, self.name, self.shape = weights, name, tuple(table.weight.shape)
        self.num_embeddings, self.embedding_dim = self.shape
        self.scale, self.dtype = torch.tensor(scale), torch.float32

    def forward(self, ids):
        """Rows [..., columns] of ids [...]."""
        rows = [torch.from_numpy(self.weights.rows(self.name, self.shape, i, 1)[0]) for i in ids.flatten().tolist()]
        return torch.stack(rows).to(self.dtype).reshape(*ids.shape, -1) * self.scale.to(self.dtype)


class Noted(nn.Module):
    """In a layer's place: keeps its arguments."""

    def __init__(self):
        super().__init__()
        self.call = None

    def forward(self, *args, **kwargs):
        """The residual as it came."""
        self.call = args, kwargs
        return args[0]


class Variant:
    """One way to compute the model: its context, its state between layers, its taps."""

    def __init__(self, name, within, dtype=torch.float32):
        self.name, self.within, self.dtype = name, within, dtype
        self.calls, self.hidden, self.taps = [], None, {}

    def put(self, tap, tensor):
        """Notes a tap, as the recorder of small models does."""
        self.taps[tap] = tensor.detach().float().clone()


def variants_of(model):
    """The golden's own first; a context takes the packed tensors that are in memory."""
    plain, fused, precise = (lambda packed, make=make: make()
                             for make in (contextlib.nullcontext, lambda: noise.sdpa(model), lambda: noise.double_rope(model)))
    shuffled = [Variant(f"permuted-{seed}", lambda packed, seed=seed: noise.permuted(model, seed)) for seed in range(ORDERS)]
    return [Variant("own", plain), *shuffled, Variant("sdpa", fused), Variant("double-rope", precise),
            Variant("int8", activations_rounded), Variant("bf16", plain, torch.bfloat16)]


def fill(module, prefix, weights):
    """Gives a module its weights in float32; returns those that are packed."""
    module.to(torch.float32).to_empty(device="cpu")
    packed = []
    with torch.no_grad():
        for name, value in module.state_dict().items():
            value.copy_(weights.tensor(prefix + name, value.shape))
            if weights.is_packed(prefix + name, value.shape):
                packed.append(value)
    return packed


class Full:
    """A text model of a published configuration, and what its variants compute."""

    def __init__(self, variant, form):
        config = AutoConfig.for_model(**json.loads((ROOT / "model" / "published" / f"{variant}.json").read_text()))
        text = config.text_config
        assert not text.enable_moe_block and text.tie_word_embeddings, "a dense model with a tied head"
        text._attn_implementation = "eager"
        with torch.device("meta"):
            self.text = Gemma4TextModel(text).eval()
        self.ple = getattr(text, "hidden_size_per_layer_input", 0) or 0
        self.weights = Weights(form, self.ple)
        self.digest = self.weights.digest({k: tuple(v.shape) for k, v in self.text.state_dict().items()})
        self.text.rotary_emb = Gemma4TextRotaryEmbedding(text)
        for name in ["embed_tokens"] + ["embed_tokens_per_layer"] * bool(self.ple):
            table = getattr(self.text, name)
            setattr(self.text, name, RowsOf(self.weights, name + ".weight", table, table.scalar_embed_scale))
        # What the rest of the package takes for a model.
        self.model = SimpleNamespace(model=SimpleNamespace(language_model=self.text))
        self.variants = variants_of(self.model)

    def _outside_layers(self, dtype):
        """Fills what is no layer; returns nothing packed: norms, and the projection that stays bfloat16."""
        for name in ["norm"] + ["per_layer_model_projection", "per_layer_projection_norm"] * bool(self.ple):
            assert not fill(getattr(self.text, name), name + ".", self.weights)
            getattr(self.text, name).to(dtype)
        for name in ["embed_tokens"] + ["embed_tokens_per_layer"] * bool(self.ple):
            getattr(self.text, name).dtype = dtype

    def _begin(self, inputs):
        """Every variant up to the first layer."""
        layers, stand_ins = self.text.layers, nn.ModuleList([Noted() for _ in self.text.layers])
        self.text.layers = stand_ins
        for variant in self.variants:
            self._outside_layers(variant.dtype)
            with variant.within([]):
                self.text(**inputs, use_cache=False)
            variant.calls = [stand_in.call for stand_in in stand_ins]
            variant.hidden = variant.calls[0][0][0]
            variant.put("text.embed", variant.hidden)
            if self.ple:
                variant.put("text.ple", torch.stack([args[1] for args, _ in variant.calls], dim=2))
        self.text.layers = layers

    def _layer(self, index):
        """Every variant through one layer."""
        layer, at = self.text.layers[index], f"text.layer.{index:02d}."
        packed = fill(layer, f"layers.{index}.", self.weights)
        for variant in self.variants:
            layer.to(variant.dtype)  # bfloat16 comes last
            attention, handles = layer.self_attn, []
            if not attention.is_kv_shared_layer:
                for tap, module in (("attn.k", attention.k_norm), ("attn.v", attention.v_norm)):
                    handles.append(module.register_forward_hook(
                        lambda m, a, out, tap=tap, variant=variant: variant.put(at + tap, out)))
            args, kwargs = variant.calls[index]
            with variant.within(packed):
                variant.hidden = layer(variant.hidden, *args[1:], **kwargs)
            for handle in handles:
                handle.remove()
            variant.put(at + "out", variant.hidden)
        layer.to("meta")

    def _end(self):
        """Every variant's norm, and its logits of the last row: the tied head, some of its rows at a time."""
        text, name = self.text.config, "embed_tokens.weight"
        shape = text.vocab_size, text.hidden_size
        for variant in self.variants:
            self._outside_layers(variant.dtype)
            with variant.within([]):
                variant.hidden = self.text.norm(variant.hidden)
            variant.put("text.norm", variant.hidden)
        parts = {variant.name: [] for variant in self.variants}
        for first in range(0, text.vocab_size, HEAD_ROWS):
            count = min(HEAD_ROWS, text.vocab_size - first)
            rows = torch.from_numpy(self.weights.rows(name, shape, first, count))
            for variant in self.variants:
                with variant.within([rows] if self.weights.is_packed(name, shape) else []):
                    parts[variant.name].append(
                        nn.functional.linear(variant.hidden[:, -1:], rows.to(variant.dtype)))
        cap = text.final_logit_softcapping
        for variant in self.variants:
            logits = torch.cat(parts[variant.name], dim=-1)
            variant.put("text.logits", torch.tanh(logits / cap) * cap)

    def run(self, ids):
        """Fills every variant's taps: [B,T,...], logits [B,1,V]."""
        self._begin({"input_ids": ids})
        for index in range(len(self.text.layers)):
            start = time.monotonic()
            self._layer(index)
            print(f"  layer {index}: {time.monotonic() - start:.0f} s, largest {self.variants[0].hidden.abs().max():.2f}",
                  flush=True)
        self._end()

    def moved(self, tap):
        """Attributes of a tap: how far the variants lie from the golden's own."""
        own, *others = (variant.taps[tap] for variant in self.variants)
        found = {"noise_fp32": 0.0, "noise_excess": 0.0}
        for variant, values in zip(self.variants[1:], others):
            change = (values - own).abs()
            if variant.name in ("int8", "bf16"):
                found[f"noise_{variant.name}"] = change.max().item()
                found[f"noise_{variant.name}_rms"] = change.pow(2).mean().sqrt().item()
            else:
                found["noise_fp32"] = max(found["noise_fp32"], change.max().item())
                found["noise_excess"] = max(found["noise_excess"], (change - RTOL * own.abs()).max().item())
        return found


def _kept_rows(tap, tokens, layers):
    """Rows that are kept; None for all. Every layer's result, to say in which an error is born, but whole at both ends."""
    ends = {"text.embed", "text.norm", "text.layer.00.out", f"text.layer.{layers - 1:02d}.out"}
    return None if tap in ends else [tokens - 1]


def _dataset(group, name, array):
    return group.create_dataset(name, data=array, chunks=array.shape, compression="gzip", compression_opts=9,
                                shuffle=True, track_times=False)


def _write_case(cases, full, ids):
    group, layers = cases.create_group("short"), len(full.text.layers)
    group.attrs["what"], group.attrs["paths"] = WHAT, PATHS
    _dataset(group.create_group("inputs"), "input_ids", ids.numpy())
    taps, order, own = group.create_group("taps"), orders(layers), full.variants[0].taps
    for name in sorted(own, key=order.__getitem__):
        rows, values = _kept_rows(name, ids.shape[1], layers), own[name]
        if rows is not None:
            values = values[0, -1:]  # logits have that row alone
        dataset = _dataset(taps, name, values.numpy())
        dataset.attrs["order"] = np.int64(order[name])
        if rows is not None:
            dataset.attrs["rows"] = np.array(rows, dtype=np.int64)
        for key, value in full.moved(name).items():
            dataset.attrs[key] = np.float64(value)


def make_full(name, out):
    """One golden below out/name; some minutes, and memory for one layer and a piece of the head in float32."""
    variant, form = GOLDENS[name]
    folder, start = Path(out) / name, time.monotonic()
    check_rounding()
    full, ids = Full(variant, form), torch.tensor([IDS])
    full.run(ids)
    worst = max(full.variants[0].taps, key=lambda tap: full.moved(tap)["noise_excess"])
    excess = full.moved(worst)["noise_excess"]
    print(f"{name}: excess {excess:.1e} of {ATOL / 2:.1e} at {worst}, {time.monotonic() - start:.0f} s", flush=True)
    if excess > ATOL / 2:
        raise RuntimeError(f"{name}: {worst} moves by {excess:.1e}; take other ids")
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / "golden.h5.part"
    gc.collect()  # as golden.write: when objects go decides where the next lie
    gc.disable()
    with h5py.File(beside, "w", libver=("v110", "v110"), driver="core") as file:
        file.attrs.update({
            "schema": golden.SCHEMA, "variant": variant.upper(), "seed": SEED, "transformers": transformers.__version__,
            "torch": torch.__version__.split("+")[0], "attn_implementation": "eager", "dtype": "float32",
            "checkpoint_sha256": full.digest, "generator_sha256": generator_digest("synthetic_full"),
            "noise_orders": ORDERS})
        golden.write_plan(file, full.model)
        _write_case(file.create_group("cases"), full, ids)
    gc.enable()
    os.replace(beside, folder / "golden.h5")
    (folder / "weights.json").write_text(json.dumps({"synthetic": f"{variant}:{form}:text"}) + "\n")
