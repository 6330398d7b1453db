"""Opens a checkpoint directory in transformers and finds its text decoder. Not here: drawing one (weights.py)."""

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
