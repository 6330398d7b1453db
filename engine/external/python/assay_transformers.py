"""HuggingFace transformers as an engine: live, on the checkpoints of the goldens or on any other, with every tap.

    ./assay verify --engine-cmd "python -m assay_transformers"                          # fp32, eager: must pass
    ./assay verify --engine-cmd "python -m assay_transformers --dtype bf16 --attn sdpa"  # judged by the noise rules

It tells whether the installed release still agrees with the goldens, and at which tap it parts from them. Python finds
this module where assay starts it; it needs torch, transformers and what golden/generate/requirements.txt names. Taps
come from golden/generate's hooks, which it reads and does not change.
"""

import argparse
import sys
from pathlib import Path
from types import SimpleNamespace

import assay_engine
from assay_engine import Unsupported

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "golden"))

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoConfig, DynamicCache  # noqa: E402

from generate.assistant_run import Taps as DrafterTaps  # noqa: E402
from generate.assistant_run import open_drafter  # noqa: E402
from generate.load import CLASSES, deterministic, model_type, run as run_model, text_config  # noqa: E402
from generate.any_model import read_case  # noqa: E402
from generate.record import Recorder  # noqa: E402
from generate.rows import MEDIA  # noqa: E402

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
KINDS = {"image": "pixel_values", "video": "pixel_values_videos", "audio": "input_features"}


class Engine:
    """load() and run() for assay_engine.serve, with one dtype and one attention."""

    def __init__(self, dtype, attention):
        self.dtype, self.attention = DTYPES[dtype], attention

    def load(self, directory):
        """The model of a checkpoint directory, a drafter's included."""
        kind = model_type(directory)
        if kind.endswith("assistant"):
            model = open_drafter(directory, self.dtype)
            model.set_attn_implementation(self.attention)
        elif kind in CLASSES:
            model = CLASSES[kind].from_pretrained(directory, dtype=self.dtype, attn_implementation=self._each(directory))
            text_config(model)._experts_implementation = "eager"
        else:
            raise Unsupported(f"model_type {kind}")
        return model.eval()

    def _each(self, directory):
        """The attention of each part: the audio tower's relative positions exist as eager alone."""
        parts = AutoConfig.from_pretrained(directory).sub_configs
        return {part: "eager" if part == "audio_config" else self.attention for part in parts} or self.attention

    def run(self, model, call, taps):
        """One forward."""
        if model_type_of(model).endswith("assistant"):
            return self._draft(model, call, taps)
        inputs = read_case({name: torch.from_numpy(values.copy()) for name, values in call.tensors.items()})
        if call.cache != "extend":
            call.state.clear()
        self._give_types(model, inputs, call)
        if call.cache == "fresh":
            call.state["cache"] = DynamicCache(config=text_config(model))
        more = {"logits_to_keep": call.logit_rows, "return_shared_kv_states": True}
        if call.cache != "none":
            more["past_key_values"] = call.state["cache"]
        if taps.wanted <= {"text.logits"}:  # nothing is hooked: what is timed is what people run
            out = self._forward(model, inputs, call, more)
            found = {"text.logits": out.logits.float()}
        else:
            with Recorder(model, inputs) as recorder:
                out = self._forward(model, inputs, call, more)
            found = recorder.taps
        call.state["shared"] = out.shared_kv_states
        for name in taps.wanted & found.keys():
            rows = found[name]
            taps[name] = (rows if name.startswith("text.") else rows[0]).numpy()

    def _forward(self, model, inputs, call, more):
        """transformers wants a placeholder for each soft token of a call; where a prompt comes in pieces, the soft tokens
        are made with the first and handed over as their placeholders come."""
        waiting = call.state.setdefault("soft", {})
        given = [kind for kind, name in KINDS.items() if name in inputs]
        counts = {kind: placeholders(model, kind, inputs["input_ids"]) for kind in KINDS}
        with torch.no_grad():
            whole = not waiting and all(counts[kind] == soft_tokens(model, kind, inputs) for kind in given)
            if whole:
                return run_model(model, inputs, use_cache=call.cache != "none", **more)
            for kind in given:
                waiting[kind] = encode(model, kind, inputs)
            rest = {name: values for name, values in inputs.items() if name not in MEDIA}
            parts = {}
            for kind, count in counts.items():
                if kind in waiting and count:
                    parts[kind], waiting[kind] = waiting[kind][:count], waiting[kind][count:]
            with handed_over(model, parts) as extra:
                return model(**rest, **extra, use_cache=call.cache != "none", **more)

    def _give_types(self, model, inputs, call):
        """transformers looks image blocks up by a row's place in the whole sequence: behind a cache it is given the types
        of all of it, as it is given masks. After the prompt they are left out, as generate() does."""
        types = inputs.pop("mm_token_type_ids", None)
        now = torch.zeros(call.ids.shape, dtype=torch.long) if types is None else types
        so_far = torch.cat([call.state.get("types", now[:, :0]), now], dim=1)
        call.state["types"] = so_far
        if types is not None and (call.cache != "extend" or blocks_matter(model)):
            inputs["mm_token_type_ids"] = so_far

    def _draft(self, model, call, taps):
        if "inputs_embeds" in call:
            raise Unsupported("a drafter without its target")
        target, state = call.target.model, call.target.state
        if "cache" in state:
            state["cache"].activate_past_recording()  # as assisted generation does, which takes tokens back
        shared = dict(state["shared"])
        hidden = torch.from_numpy(call["last_hidden_state"].copy()).to(self.dtype)
        ids = torch.from_numpy(call.ids.copy())
        mask = None  # of the cached tokens; transformers counts the newest among them
        if call.mask is not None:
            mask = torch.from_numpy(call.mask.copy()).long()
            mask = torch.cat([mask, torch.ones(len(mask), 1, dtype=torch.long)], dim=1)
        with torch.no_grad(), DrafterTaps(model) as recorder:
            model(inputs_embeds=torch.cat([target.get_input_embeddings()(ids), hidden], dim=-1), attention_mask=mask,
                  position_ids=torch.from_numpy(call["position_ids"].copy()), shared_kv_states=shared, use_cache=False)
        for name in taps.wanted & recorder.taps.keys():
            taps[name] = recorder.taps[name].numpy()

    def truncate(self, model, state, keep):
        """Forgets what a target was given too much."""
        if len(set(keep)) > 1:
            raise Unsupported("rows that keep different numbers of tokens: transformers drafts for one row")
        cache = state["cache"]
        forgotten = cache.get_seq_length() - keep[0]
        if forgotten <= 0:
            return
        cache.crop(-forgotten)
        state["types"] = state["types"][:, :keep[0]]
        state["shared"] = {kind: tuple(part[:, :, :-forgotten] for part in pair)
                           for kind, pair in state["shared"].items()}


def model_type_of(model):
    """The `model_type` of an open model."""
    return model.config.model_type


def blocks_matter(model):
    """Whether rows of a picture see one another."""
    return getattr(text_config(model), "use_bidirectional_attention", None) == "vision"


def placeholders(model, kind, ids):
    """How many soft tokens of this kind the ids have room for."""
    token = getattr(model.config, f"{kind}_token_id", None)
    return 0 if token is None else int((ids == token).sum())


def soft_tokens(model, kind, inputs):
    """How many there are, from shapes and masks alone; -1 where only encoding tells."""
    if kind == "audio":
        mask = inputs["input_features_mask"].bool()
        tower = getattr(model.model, "audio_tower", None)
        return int((mask if tower is None else mask[:, ::2][:, ::2]).sum())
    positions = inputs["image_position_ids" if kind == "image" else "video_position_ids"]
    real = (positions != -1).all(-1).sum(-1)
    vision = model.config.vision_config
    pool = vision.pooling_kernel_size ** 2 if getattr(model.model, "vision_tower", None) is not None else 1
    return int((real // pool).sum())


def encode(model, kind, inputs):
    """[S,H]: the soft tokens of a kind, all of them."""
    inner = model.model
    if kind == "image":
        return torch.cat(inner.get_image_features(inputs["pixel_values"], inputs["image_position_ids"],
                                                  return_dict=True).pooler_output)
    if kind == "video":
        frames = inputs.get("num_frames_per_video", torch.tensor([len(inputs["pixel_values_videos"])]))
        return torch.cat(inner.get_video_features(inputs["pixel_values_videos"], inputs["video_position_ids"],
                                                  num_frames_per_video=frames, return_dict=True).pooler_output)
    out = inner.get_audio_features(inputs["input_features"], inputs["input_features_mask"], return_dict=True)
    return out.pooler_output[out.attention_mask.bool()]


class handed_over:
    """Context manager: the arguments with which a forward takes soft tokens that were made before."""

    def __init__(self, model, parts):
        self.inner, self.parts = model.model, parts

    def __enter__(self):
        extra = {}
        seen = {kind: SimpleNamespace(pooler_output=[soft]) for kind, soft in self.parts.items() if kind != "audio"}
        if seen:
            extra["mm_encoder_outputs"] = {**{"image": None, "video": None}, **seen}
        if "audio" in self.parts:  # there is no argument for these
            soft = self.parts["audio"][None]
            ones = torch.ones(soft.shape[:2], dtype=torch.bool)
            self.inner.get_audio_features = lambda *args, **kwargs: SimpleNamespace(pooler_output=soft,
                                                                                    attention_mask=ones)
            extra["input_features"], extra["input_features_mask"] = soft, ones
        return extra

    def __exit__(self, *error):
        self.inner.__dict__.pop("get_audio_features", None)
        return False


def main():
    parser = argparse.ArgumentParser(prog="assay_transformers", description=__doc__)
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--attn", choices=("eager", "sdpa"), default="eager")
    options = parser.parse_args()
    deterministic()
    engine = Engine(options.dtype, options.attn)
    plain = options.dtype == "fp32" and options.attn == "eager"
    name = "transformers" if plain else f"transformers-{options.dtype}-{options.attn}"
    assay_engine.serve(engine.load, engine.run, name=name, version=transformers.__version__, arithmetic=options.dtype,
                       taps=["text.*", "vision.*", "audio.*", "assistant.*"], cache=True, batch=True,
                       truncate=engine.truncate)


if __name__ == "__main__":
    main()
