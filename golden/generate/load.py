"""Opens a checkpoint directory in transformers and finds its text decoder. Not here: drawing one (weights.py)."""

import contextlib
import functools
import json
from pathlib import Path

import torch
import transformers
from transformers import Gemma4ForCausalLM, Gemma4ForConditionalGeneration
from transformers.models.gemma4_unified import modeling_gemma4_unified as unified

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

# A directory of a bare Gemma4TextModel has the same model_type as one of Gemma4ForCausalLM; the latter loads both.
CLASSES = {
    "gemma4": Gemma4ForConditionalGeneration,
    "gemma4_text": Gemma4ForCausalLM,
    "gemma4_unified": unified.Gemma4UnifiedForConditionalGeneration,
    "gemma4_unified_text": unified.Gemma4UnifiedForCausalLM,
}


def deterministic():
    """One thread and deterministic kernels: the same bits on the same machine."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.set_grad_enabled(False)


def model_type(directory):
    """The `model_type` of a checkpoint directory."""
    return json.loads((Path(directory) / "config.json").read_text())["model_type"]


def open_model(directory, dtype=torch.float32):
    """The model of a checkpoint directory, eager attention and eager experts.

    eager experts, because their Linears are torch's own: noise.py can then permute them as it does all others.
    """
    kind = model_type(directory)
    if kind not in CLASSES:
        raise ValueError(f"{directory}: model_type {kind!r} is none of {sorted(CLASSES)}")
    cls = CLASSES[kind]
    model = cls.from_pretrained(directory, dtype=dtype, attn_implementation="eager")
    text_config(model)._experts_implementation = "eager"
    return model.eval()


def text_model(model):
    """The decoder stack (`layers`, `norm`, `embed_tokens`) inside any of the four model classes."""
    inner = model.model
    return inner.language_model if hasattr(inner, "language_model") else inner


def text_config(model):
    """The text config that the decoder's modules read."""
    return text_model(model).config


def vision_tower(model):
    """The vision tower, or None: unified models have an embedder instead."""
    return getattr(model.model, "vision_tower", None)


def audio_tower(model):
    """The audio tower, or None."""
    return getattr(model.model, "audio_tower", None)


@contextlib.contextmanager
def _frames_known(model, frames):
    """Hands num_frames_per_video to get_video_features, which forward() of 5.22.2 forgets and 5.23.0 does."""
    inner = model.model
    inner.get_video_features = functools.partial(inner.get_video_features, num_frames_per_video=frames)
    try:
        yield
    finally:
        del inner.get_video_features


def run(model, inputs, **more):
    """model(**inputs), with video too."""
    if "pixel_values_videos" not in inputs:
        return model(**inputs, **more)
    rest = dict(inputs)
    frames = rest.pop("num_frames_per_video", torch.tensor([len(inputs["pixel_values_videos"])]))
    with _frames_known(model, frames):
        return model(**rest, **more)
