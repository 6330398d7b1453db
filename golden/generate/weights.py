"""Draws a tiny checkpoint and saves it by save_pretrained. Every parameter lies away from its identity value.

transformers initialises norms and scalars to 1 and pad rows to 0; a port that forgets one then still passes. Attention's
scale is 1, so q_norm and k_norm weights near sqrt(1.1 / sqrt(d)) keep the scores' deviation near 1.1: neither uniform nor
saturated, and not chaotic. Values are rounded to bf16, whatever dtype stores them.
"""

import json
import math
import shutil
import zlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import Gemma4Config, Gemma4ForCausalLM, Gemma4ForConditionalGeneration, Gemma4TextConfig
from transformers import Gemma4TextModel
from transformers.models.gemma4_unified import modeling_gemma4_unified as unified
from transformers.models.gemma4_unified.configuration_gemma4_unified import Gemma4UnifiedConfig

from .specs import special_ids
from .weights_towers import calibrate, draw_tower, is_tower

LOUD = 2.6  # every sixth vocabulary row is this much louder: its logits reach past the softcap's bend
EMBED = 1.5  # RMS of a row that enters layer 0
QUIET_ROW = 2.0**-9  # one row is this small, so that a norm's epsilon decides its size


def generator(*names):
    """A torch generator seeded by names: crc32, because Python's own hash differs from run to run."""
    return torch.Generator().manual_seed(zlib.crc32("/".join(map(str, names)).encode()))


def _uniform(rng, shape, low, high, flips=0.0):
    values = low + (high - low) * torch.rand(shape, generator=rng)
    return torch.where(torch.rand(shape, generator=rng) < flips, -values, values)


def quiet_token(spec):
    """The id whose embedding row is tiny."""
    return spec["text"]["vocab_size"] // 3


def draw(name, key, shape, spec):
    """The fp32 values of one tensor, exactly representable in bf16 (in f16 too where that is the stored dtype)."""
    rng = generator(name, spec.get("seed", 0), key)
    if is_tower(key):
        return draw_tower(key, shape, rng).to(torch.bfloat16).float()
    gain = spec.get("gain", 0.42)
    normal = torch.randn(shape, generator=rng)
    if key.endswith(("q_norm.weight", "k_norm.weight")):
        centre = math.sqrt(1.1 / math.sqrt(shape[0]))
        values = _uniform(rng, shape, 0.7 * centre, 1.3 * centre, flips=0.15)
    elif key.endswith("layer_scalar"):
        values = _uniform(rng, shape, 0.8, 0.94)
        values = torch.where(torch.rand(shape, generator=rng) < 0.5, values, 1 / values)
    elif key.endswith("per_expert_scale"):
        values = _uniform(rng, shape, 0.6, 1.5, flips=0.25)
    elif key.endswith("router.scale"):
        values = _uniform(rng, shape, 0.6, 1.5)
    elif key.endswith("router.proj.weight"):
        values = 1.6 * normal
    elif key.endswith("per_layer_projection_norm.weight"):
        values = _uniform(rng, shape, 0.6, 1.4)
    elif "post_" in key and key.endswith("weight"):
        values = gain * _uniform(rng, shape, 0.5, 0.9, flips=0.1)
    elif key.endswith("norm.weight") and "layers" not in key:
        # Random signs: the head is the embedding table, and would else repeat the token it was given.
        values = _uniform(rng, shape, 1.4, 2.8, flips=0.5)
    elif key.endswith("layernorm.weight") or key.endswith("layernorm_2.weight"):
        values = _uniform(rng, shape, 0.6, 1.4)
    elif "embed_tokens" in key:
        values = EMBED * normal / math.sqrt(spec["text"]["hidden_size"])
        if "per_layer" in key:
            values = normal / math.sqrt(spec["text"]["hidden_size_per_layer_input"])
        else:
            values[1::6] *= LOUD
        values[quiet_token(spec)] *= QUIET_ROW
    else:
        values = normal / math.sqrt(shape[-1])
    values = values.to(torch.bfloat16).float()
    if spec["dtype"] == "float16":
        values = torch.where(values.abs() < 2.0**-14, 0.0, values)  # below, f16 has fewer bits than bf16
        assert torch.equal(values.half().float(), values)
    return values


def build(spec):
    """The transformers model of a spec, not yet drawn."""
    text, kind = dict(spec["text"]), spec["kind"]
    if kind == "gemma4_unified":
        for key in ("hidden_size_per_layer_input", "vocab_size_per_layer_input"):
            text.pop(key)
        config = Gemma4UnifiedConfig(text_config=text, vision_config=spec.get("vision"), audio_config=spec.get("audio"),
                                     **special_ids(text["vocab_size"]))
        return unified.Gemma4UnifiedForConditionalGeneration(config)
    if kind == "gemma4":
        config = Gemma4Config(text_config=text, vision_config=spec.get("vision"), audio_config=spec.get("audio"),
                              **special_ids(text["vocab_size"]))
        return Gemma4ForConditionalGeneration(config)
    config = Gemma4TextConfig(**text)
    return Gemma4TextModel(config) if kind == "headless" else Gemma4ForCausalLM(config)


def _hub_spelling(directory, text):
    """Rewrites config.json as the hub has it: two global keys instead of a table of layers."""
    path = Path(directory) / "config.json"
    config = json.loads(path.read_text())
    inner = config.get("text_config", config)
    del inner["per_layer_config"]
    inner["global_head_dim"] = text["global_head_dim"]
    inner["num_global_key_value_heads"] = text.get("num_global_key_value_heads")
    vision = config.get("vision_config") or {}
    if "rope_parameters" in vision:
        vision["rope_parameters"]["rope_type"] = "default"  # what "axial" was called when the hub's files were written
        vision["default_output_length"] = 280
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _extra_kv(directory, name, spec):
    """Adds the K/V tensors of KV-shared layers, which published E checkpoints carry and nothing reads."""
    path, text = Path(directory) / "model.safetensors", spec["text"]
    tensors = load_file(path)
    layers = text["num_hidden_layers"]
    for layer in range(layers - text["num_kv_shared_layers"], layers):
        dim = text["head_dim"] if text["layer_types"][layer] == "sliding_attention" else text["global_head_dim"]
        at = f"model.language_model.layers.{layer}.self_attn."
        rows = text["num_key_value_heads"] * dim
        for key, shape in (("k_proj", (rows, text["hidden_size"])), ("v_proj", (rows, text["hidden_size"])),
                           ("k_norm", (dim,))):
            tensors[f"{at}{key}.weight"] = draw(name, f"{at}{key}.weight", shape, spec).to(torch.bfloat16)
    save_file(tensors, path, metadata={"format": "pt"})


def save_checkpoint(name, spec, directory):
    """Draws and saves the checkpoint of a golden into an empty directory."""
    shutil.rmtree(directory, ignore_errors=True)
    model = build(spec).eval()
    state = model.state_dict()
    for key, tensor in state.items():
        if key != "lm_head.weight" or not spec["text"].get("tie_word_embeddings", True):
            tensor.copy_(draw(name, key, tuple(tensor.shape), spec))
    if "vision" in spec:
        from .cases_media import calibration
        calibrate(model, calibration(name, spec), generator(name, spec.get("seed", 0), "clips"))
    model.to(getattr(torch, spec["dtype"])).save_pretrained(directory, max_shard_size=spec.get("shard", "1GB"))
    for extra in Path(directory).glob("generation_config.json"):
        extra.unlink()  # nothing of the decoder is in it
    if spec.get("extra_kv"):
        _extra_kv(directory, name, spec)
    if spec["hub"]:
        _hub_spelling(directory, spec["text"])
