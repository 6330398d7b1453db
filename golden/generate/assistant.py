"""Makes the drafter goldens of assistant_specs.py: a checkpoint, rounds with every tap, and speculative decoding whose
ids are the target's own greedy ones.

A drafter golden names its target's golden and the hash of that checkpoint: its taps are those of both together, noise
included.
"""

import gc
import os
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import torch
import transformers

from . import noise, plan, weights
from .cases import Tokens, left_padded, single
from .assistant_run import Round, open_drafter
from .assistant_specs import DRAFTERS
from .digest import checkpoint_digest, generator_digest
from .golden import SCHEMA, _dataset
from .load import open_model, text_model
from .measure import ATOL, ROOM, RTOL, greedy
from .perturb import filled, identity, setting
from .specs import SPECS
from .taps import orders

ATTEMPTS = 300
GAP = 1e-3  # least distance of a greedy choice from the next
EXPOSED = 10  # times atol, that a lost tensor or a wrong rule must move some tap
SPOKEN, NEW_TOKENS, DRAFTED = "speculative", 20, 4


def build(spec):
    """The transformers model of a drafter's spec, not yet drawn."""
    from transformers import Gemma4TextConfig
    from transformers.models.gemma4_assistant import configuration_gemma4_assistant as config
    from transformers.models.gemma4_assistant import modeling_gemma4_assistant as modeling
    from transformers.models.gemma4_unified import configuration_gemma4_unified as unified
    from transformers.models.gemma4_unified_assistant import configuration_gemma4_unified_assistant as unified_config
    from transformers.models.gemma4_unified_assistant import modeling_gemma4_unified_assistant as unified_modeling
    clusters = spec["clusters"]
    keys = {"backbone_hidden_size": SPECS[spec["target"]]["text"]["hidden_size"],
            "use_ordered_embeddings": clusters is not None}
    if clusters is not None:
        keys |= {"num_centroids": clusters[0], "centroid_intermediate_top_k": clusters[1]}
    if spec["unified"]:
        text = unified.Gemma4UnifiedTextConfig(**spec["text"])
        return unified_modeling.Gemma4UnifiedAssistantForCausalLM(
            unified_config.Gemma4UnifiedAssistantConfig(text_config=text, **keys))
    return modeling.Gemma4AssistantForCausalLM(
        config.Gemma4AssistantConfig(text_config=Gemma4TextConfig(**spec["text"]), **keys))


def save_checkpoint(name, spec, directory):
    """Draws and saves a drafter; its token_ordering is a permutation, the zeros of which make every cluster the same."""
    shutil.rmtree(directory, ignore_errors=True)
    model = build(spec).eval()
    for key, tensor in model.state_dict().items():
        if key.endswith("token_ordering"):
            tensor.copy_(torch.randperm(len(tensor), generator=weights.generator(name, spec.get("seed", 0), key)))
        elif key != "lm_head.weight":
            tensor.copy_(weights.draw(name, key, tuple(tensor.shape), spec))
    model.to(getattr(torch, spec["dtype"])).save_pretrained(directory)
    for extra in Path(directory).glob("generation_config.json"):
        extra.unlink()


def _case(what, inputs, steps=3, paths="draft", generate=0):
    return {"what": what, "inputs": inputs, "steps": steps, "paths": paths, "generate": generate}


def _short(t, w):
    return _case("A few tokens, fewer than the window; four drafted ones, each from the drafter's own state.",
                 single(t.ids(4)), steps=4)


def _one_token(t, w):
    return _case("A prompt of one token: one key to look at.", single(t.ids(1)), steps=1)


def _window_plus_one(t, w):
    return _case("As many keys as a sliding layer sees, the window and one.", single(t.ids(w + 1)), steps=1)


def _window_plus_two(t, w):
    return _case("One key more: the first is out of sight of sliding layers.", single(t.ids(w + 2)), steps=2)


def _beyond_window(t, w):
    return _case("A prompt of several windows.", single(t.ids(3 * w + 4)))


def _past_256(t, w):
    return _case("A position past 256, which bf16 cannot count.", single(t.ids(261)), steps=2)


def _positions(t, w):
    length = w + 3
    return _case("Positions that start at 40: the round's is one more than the last, not the number of keys.",
                 single(t.ids(length), attention_mask=[1] * length, position_ids=list(range(40, 40 + length))), steps=2)


def _padded_batch(t, w):
    rows = [t.ids(2), t.ids(w + 6), t.ids(w)]
    return _case("Left-padded rows: each at its own position, and the fill of unchosen tokens is one for all.",
                 left_padded(rows, t.pad))


def _speculative(t, w):
    return _case("generate(assistant_model=...): the greedy ids, some drafted and accepted, others rejected.",
                 single(t.ids(w + 2)), steps=DRAFTED, paths=SPOKEN, generate=NEW_TOKENS)


def _speculative_batch(t, w):
    return _case("Left-padded rows, each accepting its own: the greedy ids of the whole batch.",
                 left_padded([t.ids(3), t.ids(2 * w + 1), t.ids(w)], t.pad), steps=DRAFTED, paths=SPOKEN,
                 generate=NEW_TOKENS)


CASES = {"short": _short, "one-token": _one_token, "at-window-plus-one": _window_plus_one,
         "at-window-plus-two": _window_plus_two, "beyond-window": _beyond_window, "past-256": _past_256,
         "positions": _positions, "padded-batch": _padded_batch, "speculative": _speculative,
         "speculative-batch": _speculative_batch}


class Measured:
    """A case with everything that its golden needs; `why` says why a draw cannot be one."""

    def __init__(self, models, case):
        (self.target, self.drafter, self.target_bf16, self.drafter_bf16), self.case = models, case
        self.taps, self.moved, self.why, self.cut = {}, {}, "", None
        (self._speak if case["paths"] == SPOKEN else self._draft)()

    def _draft(self):
        args = (self.case["inputs"], self.case["steps"])
        golden = Round(self.target, self.drafter, *args)
        self.taps, self.ids, self.first = golden.taps, golden.ids, golden.first
        self.moved = {name: {"noise_fp32": 0.0, "noise_excess": 0.0} for name in golden.taps}
        scores_noise, first_noise = 0.0, 0.0
        for other in self._others(args, golden):
            for name, tensor in golden.taps.items():
                change = (other.taps[name] - tensor).abs()
                entry = self.moved[name]
                entry["noise_fp32"] = max(entry["noise_fp32"], change.max().item())
                entry["noise_excess"] = max(entry["noise_excess"], (change - RTOL * tensor.abs()).max().item())
            first_noise = max(first_noise, (other.first - golden.first).abs().max().item())
            if golden.scores is not None:
                scores_noise = max(scores_noise, (other.scores - golden.scores).abs().max().item())
        bf16 = Round(self.target_bf16, self.drafter_bf16, *args, like=golden)
        for name, tensor in golden.taps.items():
            change = bf16.taps[name] - tensor
            self.moved[name]["noise_bf16"] = change.abs().max().item()
            self.moved[name]["noise_bf16_rms"] = change.pow(2).mean().sqrt().item()
        self.logits, self.gap = golden.taps["assistant.logits"], _gap(golden.taps["assistant.logits"])
        self._judge_draft(golden, scores_noise, first_noise)

    def _judge_draft(self, golden, scores_noise, first_noise):
        worst = max(self.moved, key=lambda name: self.moved[name]["noise_excess"])
        if self.excess() > ATOL / 2:
            self.why = f"noise {self.excess():.1e} at {worst}"
        if self.gap < max(GAP, ROOM * self.moved["assistant.logits"]["noise_fp32"]):
            self.why = f"gap {self.gap:.1e} between drafted ids"
        if _gap(golden.first) < max(GAP, ROOM * first_noise):
            self.why = f"gap {_gap(golden.first):.1e} of the newest token"
        if golden.scores is not None:
            used = golden.clusters.shape[-1]
            top = golden.scores.topk(used + 1, dim=-1).values
            self.cut = ((top[..., used - 1] - top[..., used]).min().item(), scores_noise)
            if self.cut[0] < ROOM * scores_noise:
                self.why = f"cut {self.cut[0]:.1e} between clusters"
        if self.case["steps"] > 1 and len(set(golden.ids.flatten().tolist())) < 2:
            self.why = "ids that are all the same"

    def _others(self, args, golden):
        both = (self.target, self.drafter)
        for seed in range(noise.SEEDS):
            with noise.permuted(self.target, seed):
                yield Round(*both, *args, like=golden)
        with noise.sdpa(self.target), setting((self.drafter.model.config, "_attn_implementation", "sdpa")):
            yield Round(*both, *args, like=golden)
        with noise.double_rope(self.target):  # the drafter's rotary class is its target's
            yield Round(*both, *args, like=golden)

    def _speak(self):
        inputs, count = self.case["inputs"], self.case["generate"]
        self.ids, self.logits, self.gap = greedy(self.target, inputs, count)
        self.first = self.logits[:, 0]
        change = 0.0
        for seed in range(2):
            with noise.permuted(self.target, seed):
                again, logits, _ = greedy(self.target, inputs, count)
            if not torch.equal(again, self.ids):
                self.why = "greedy ids that another order of sums changes"
                return
            change = max(change, (logits - self.logits).abs().max().item())
        if self.gap < max(GAP, ROOM * change):
            self.why = f"gap {self.gap:.1e} of greedy ids"
        elif len(inputs["input_ids"]) == 1:
            self._assist(inputs, count)

    def _assist(self, inputs, count):
        """transformers' own speculative decoding, which takes one row alone."""
        lengths = []

        class Streamer:
            def put(self, value):
                lengths.append(value.numel())

            def end(self):
                pass

        config = self.drafter.generation_config
        config.num_assistant_tokens, config.num_assistant_tokens_schedule = DRAFTED, "constant"
        out = self.target.generate(inputs["input_ids"], assistant_model=self.drafter, max_new_tokens=count,
                                   do_sample=False, eos_token_id=None, pad_token_id=0, streamer=Streamer())
        assert torch.equal(out[:, inputs["input_ids"].shape[1]:], self.ids), "assisted generation is not greedy"
        rounds = lengths[2:]  # the prompt, the first token, then what each round adds
        if not any(r > 1 for r in rounds):
            self.why = "drafted tokens of which none is accepted"

    def excess(self):
        """The largest |change| - rtol * |value| of any tap."""
        return max((entry["noise_excess"] for entry in self.moved.values()), default=0.0)


def _gap(logits):
    top = logits.topk(2, dim=-1).values
    return (top[..., 0] - top[..., 1]).min().item()


def measure_case(name, spec, case_name, models):
    """The first attempt at a case that can be a golden, and its number."""
    refused = {}
    target = SPECS[spec["target"]]
    for attempt in range(ATTEMPTS):
        tokens = Tokens(name, target, case_name, attempt)
        case = {**CASES[case_name](tokens, spec["text"]["sliding_window"]), "name": case_name}
        measured = Measured(models, case)
        if not measured.why:
            return measured, attempt
        refused[measured.why.split(" ")[0]] = measured.why
    raise RuntimeError(f"{name}/{case_name}: no draw passed: {refused}; move the spec's seed")


def perturbations(drafter):
    """Ways to get a drafter wrong that no weight shows: (what, context manager)."""
    config, text = drafter.config, drafter.model.config
    window = text.sliding_window
    yield "window keys", setting((text, "sliding_window", window - 1))
    yield "window + 2 keys", setting((text, "sliding_window", window + 1))
    pre = drafter.pre_projection.weight
    backbone = config.backbone_hidden_size
    yield "hidden before embedding", filled((pre, torch.cat([pre[:, backbone:], pre[:, :backbone]], dim=1)))
    yield "embedding not scaled", filled((pre, torch.cat([pre[:, :backbone] / backbone**0.5, pre[:, backbone:]], dim=1)))
    rotary = type(drafter.model.rotary_emb)
    forward = rotary.forward
    yield "position one lower", setting((rotary, "forward", lambda self, x, position_ids, layer_type: forward(
        self, x, position_ids - 1 if position_ids.shape[1] == 1 else position_ids, layer_type)))
    if drafter.masked_embedding is not None:
        yield "ordering as it is", filled((drafter.masked_embedding.token_ordering,
                                           torch.arange(len(drafter.masked_embedding.token_ordering))))
        yield "one cluster fewer", setting((drafter.masked_embedding, "centroid_intermediate_top_k",
                                            config.centroid_intermediate_top_k - 1))


def check_exposed(name, drafter, results):
    """Raises where a lost tensor or a wrong rule moves no tap of any case."""
    rounds = [m for m in results if m.taps]

    def most():
        largest = 0.0
        for one in rounds:
            other = Round(one.target, drafter, one.case["inputs"], one.case["steps"])
            largest = max(largest, *((other.taps[k] - v).abs().nan_to_num(1e9).max().item()
                                     for k, v in one.taps.items()))
            if largest > EXPOSED * ATOL:
                break
        return largest

    unseen, total = [], 0
    bent = [(key, filled((tensor, identity(key)))) for key, tensor in drafter.state_dict().items()
            if key != "lm_head.weight"]
    for what, bend in [*bent, *perturbations(drafter)]:
        with bend:
            moved = most()
        total += 1
        if moved <= EXPOSED * ATOL:
            unseen.append(f"{what} ({moved:.1e})")
    print(f"  {name}: {total} losses and wrong rules, unseen: {unseen or 'none'}", flush=True)
    if unseen:
        raise RuntimeError(f"{name}: a golden that these faults cannot break is a defect: {unseen}")


def _layer_plan(target_text, drafter, index):
    """As plan.layer_plan; the donor is the target's layer that stores its K/V for others."""
    layer = drafter.model.layers[index]
    attention = layer.self_attn
    donor = next(i for i, other in enumerate(target_text.layers)
                 if other.self_attn.store_full_length_kv and other.self_attn.layer_type == attention.layer_type)
    owner = target_text.layers[donor].self_attn
    attrs = {
        "attention": "sliding" if attention.is_sliding else "full", "head_dim": attention.head_dim,
        "q_heads": attention.q_proj.out_features // attention.head_dim,
        "kv_heads": owner.k_proj.out_features // owner.head_dim, "window": attention.sliding_window or 0,
        "donor": donor, "value_is_key": int(attention.use_alternative_attention),
        "ffn_width": layer.mlp.gate_proj.out_features, "ple_width": 0, "experts": 0, "experts_used": 0,
        "expert_width": 0}
    return attrs, getattr(drafter.model.rotary_emb, f"{attention.layer_type}_inv_freq").float()


def _write_plan(file, target, drafter):
    group, embedder = file.create_group("plan"), drafter.masked_embedding
    facts = {"hidden": drafter.hidden_size, "vocab": drafter.vocab_size, "layers": len(drafter.model.layers),
             "softcap": 0.0, "rms_norm_eps": float(drafter.model.norm.eps), "blocks": "causal",
             "backbone": drafter.post_projection.out_features,
             "centroids": 0 if embedder is None else embedder.centroids.out_features,
             "centroids_used": 0 if embedder is None else embedder.centroid_intermediate_top_k}
    for key, value in facts.items():
        group.attrs[key] = value
    for index in range(facts["layers"]):
        attrs, inv_freq = _layer_plan(text_model(target), drafter, index)
        layer = group.create_group(f"layer.{index:02d}")
        for key, value in attrs.items():
            layer.attrs[key] = value
        layer.create_dataset("inv_freq", data=inv_freq.numpy(), track_times=False)


def _write_case(cases, measured, layers):
    case, order = measured.case, orders(layers)
    group = cases.create_group(case["name"])
    group.attrs["what"], group.attrs["paths"] = case["what"], case["paths"]
    group.attrs["draft_steps"] = np.int64(case["steps"])
    inputs = group.create_group("inputs")
    for name in sorted(case["inputs"]):
        _dataset(inputs, name, case["inputs"][name].numpy().astype(np.int64))
    taps = group.create_group("taps")
    for name in sorted(measured.taps, key=order.__getitem__):
        dataset = _dataset(taps, name, measured.taps[name].numpy().astype(np.float32))
        dataset.attrs["order"] = np.int64(order[name])
        for key, value in measured.moved[name].items():
            dataset.attrs[key] = np.float64(value)
        if name == "assistant.logits" and measured.cut is not None:
            dataset.attrs["cut_margin"], dataset.attrs["cut_noise"] = map(np.float64, measured.cut)
    outputs = group.create_group("outputs")
    _dataset(outputs, "generated_ids", measured.ids.numpy().astype(np.int64)).attrs["margin"] = np.float64(measured.gap)
    _dataset(outputs, "generated_logits", measured.logits.contiguous().numpy())
    _dataset(outputs, "logits", measured.first.contiguous().numpy())


def write(path, models, folders, measured, spec):
    """Writes a golden beside its place, then renames it. folders: the drafter's and the target's checkpoint."""
    target, drafter = models[:2]
    beside = path.with_name(path.name + ".part")
    gc.collect()  # as golden.py: when HDF5 lets go of an object decides where the next one lies
    gc.disable()
    with h5py.File(beside, "w", libver=("v110", "v110"), driver="core") as file:
        file.attrs.update({
            "schema": SCHEMA, "variant": spec["variant"], "seed": spec.get("seed", 0),
            "transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
            "attn_implementation": "eager", "dtype": "float32", "checkpoint_sha256": checkpoint_digest(folders[0]),
            "target": spec["target"], "target_sha256": checkpoint_digest(folders[1]),
            "generator_sha256": generator_digest("assistant")})
        _write_plan(file, target, drafter)
        cases = file.create_group("cases")
        for one in measured:
            _write_case(cases, one, len(drafter.model.layers))
    gc.enable()
    os.replace(beside, path)


def make_drafter(name, out, data, check=True):
    """One drafter golden below out/name; its target's checkpoint lies below `out`, or else below `data`."""
    spec, folder, start = DRAFTERS[name], Path(out) / name, time.monotonic()
    target_folder = next(p for p in (Path(root) / spec["target"] / "checkpoint" for root in (out, data)) if p.exists())
    fresh, checkpoint = folder / "checkpoint.part", folder / "checkpoint"
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(name, spec, fresh)
    shutil.rmtree(checkpoint, ignore_errors=True)
    os.replace(fresh, checkpoint)
    models = (open_model(target_folder), open_drafter(checkpoint), open_model(target_folder, torch.bfloat16),
              open_drafter(checkpoint, torch.bfloat16))
    results = []
    for case_name in CASES:
        measured, attempt = measure_case(name, spec, case_name, models)
        print(f"  {name}/{case_name}: attempt {attempt} excess {measured.excess():.1e} gap {measured.gap:.1e}"
              + (f" cut {measured.cut[0]:.1e}" if measured.cut else ""), flush=True)
        results.append(measured)
    if check:
        check_exposed(name, models[1], results)
    write(folder / "golden.h5", models, (checkpoint, target_folder), results, spec)
    print(f"{name}: excess {max(m.excess() for m in results):.2e} of {ATOL / 2:.1e}, "
          f"{time.monotonic() - start:.0f} s", flush=True)
