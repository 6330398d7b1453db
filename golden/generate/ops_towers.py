"""Three tiny multimodal checkpoints with every tap of one forward, for C++ unit tests of the towers' ops.

tests/data/towers/NAME/: a checkpoint, and io.safetensors with the forward's arguments (in/) and all rows of its taps
(taps/). Not here: goldens (make.py), single ops of the text decoder (ops.py).
"""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Gemma4Config, Gemma4ForConditionalGeneration
from transformers.models.gemma4_unified import Gemma4UnifiedConfig, Gemma4UnifiedForConditionalGeneration

from .record import record
from .weights import generator

OUT = Path(__file__).resolve().parent.parent.parent / "tests" / "data" / "towers"
IMAGE, VIDEO, AUDIO = 28, 29, 30
IDS = dict(image_token_id=IMAGE, video_token_id=VIDEO, audio_token_id=AUDIO, boi_token_id=24, eoi_token_id=25,
           boa_token_id=26, eoa_token_index=27)
TEXT = dict(vocab_size=32, hidden_size=10, intermediate_size=6, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=4, global_head_dim=6, sliding_window=5, final_logit_softcapping=30.0,
            layer_types=["sliding_attention", "full_attention"])
VISION = dict(hidden_size=12, intermediate_size=10, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
              head_dim=8, patch_size=2, pooling_kernel_size=2, position_embedding_size=9, rms_norm_eps=1e-4)
# Blocks of 4 frames that see 4 before and none behind; then others, where relative keys shift askew and clamps bite.
AUDIO_TOWER = dict(hidden_size=12, num_hidden_layers=1, num_attention_heads=2, subsampling_conv_channels=[8, 3],
                   output_proj_dims=7, conv_kernel_size=3, attention_chunk_size=4, attention_context_left=5,
                   attention_context_right=0, attention_logit_cap=2.0, rms_norm_eps=1e-4, gradient_clipping=1.5)


def configs():
    """name -> (model class, config)."""
    small = {**TEXT, "hidden_size_per_layer_input": 4, "vocab_size_per_layer_input": 32}
    large = {**TEXT, "hidden_size_per_layer_input": 0, "use_bidirectional_attention": "vision"}
    gemma4 = Gemma4ForConditionalGeneration
    return {
        "clipped": (gemma4, Gemma4Config(text_config=small, vision_config={**VISION, "use_clipped_linears": True},
                                         audio_config=AUDIO_TOWER, **IDS)),
        "standardized": (gemma4, Gemma4Config(
            text_config=large, vision_config={**VISION, "standardize": True, "num_key_value_heads": 1,
                                              "hidden_activation": "gelu"},
            audio_config={**AUDIO_TOWER, "use_clipped_linears": False, "attention_chunk_size": 3,
                          "attention_context_left": 6, "attention_context_right": 3, "residual_weight": 0.3}, **IDS)),
        "encoder-free": (Gemma4UnifiedForConditionalGeneration, Gemma4UnifiedConfig(
            text_config=TEXT, vision_config=dict(patch_size=1, pooling_kernel_size=2, mm_embed_dim=11, mm_posemb_size=9,
                                                 output_proj_dims=11, rms_norm_eps=1e-4),
            audio_config=dict(audio_embed_dim=13, rms_norm_eps=1e-3), **IDS)),
    }


def drawn(name, shape, at):
    """Values away from any identity."""
    values = torch.randn(shape, generator=generator("towers", f"{at}/{name}"))
    if name.endswith("_min"):
        return -0.7 - 0.2 * values.abs()
    if name.endswith("_max"):
        return 0.7 + 0.2 * values.abs()
    if len(shape) <= 1:
        return 0.9 + 0.3 * values if name.endswith("weight") or "scal" in name else 0.3 * values
    fan = shape[-1] if "table" in name or "embedding" in name else torch.Size(shape[1:]).numel()
    return values / fan**0.5


def pictures(sizes, length, values, at):
    """Pixels and positions of grids of patches, padded to one length."""
    pixels = torch.rand(len(sizes), length, values, generator=generator("towers", at))
    positions = torch.full((len(sizes), length, 2), -1)
    for i, (width, height) in enumerate(sizes):
        count = width * height
        positions[i, :count, 0], positions[i, :count, 1] = torch.arange(count) % width, torch.arange(count) // width
        pixels[i, count:] = 0
    return pixels, positions


def sounds(frames, length, values, at):
    """Features and their mask."""
    features = torch.randn(len(frames), length, values, generator=generator("towers", at))
    mask = torch.arange(length)[None] < torch.tensor(frames)[:, None]
    return features * mask[..., None], mask


def inputs(name):
    """Two pictures of different shapes, a video of two frames of another length, two clips, text between them."""
    free = name == "encoder-free"
    pixels, positions = pictures([(4, 2), (2, 6)], 16, 12, name + "/images")
    frames, frame_positions = pictures([(2, 4), (2, 4)], 8, 12, name + "/video")
    features, mask = sounds([9, 22], 23, 13 if free else 8, name + "/audio")
    soft = (8 + 12, 16, 31) if free else (2 + 3, 4, 3 + 6)
    ids = [2, 5] + [IMAGE] * soft[0] + [7, 8] + [VIDEO] * soft[1] + [9] + [AUDIO] * soft[2] + [3, 4]
    types = [{IMAGE: 1, VIDEO: 2, AUDIO: 3}.get(i, 0) for i in ids]
    return {"input_ids": torch.tensor([ids]), "mm_token_type_ids": torch.tensor([types]), "pixel_values": pixels,
            "image_position_ids": positions, "pixel_values_videos": frames, "video_position_ids": frame_positions,
            "num_frames_per_video": torch.tensor([2]), "input_features": features, "input_features_mask": mask}


def write_towers(out=OUT):
    """Writes the three directories anew."""
    for name, (cls, config) in configs().items():
        model = cls._from_config(config, attn_implementation="eager").eval()
        for key, tensor in model.state_dict().items():
            tensor.copy_(drawn(key, tensor.shape, name))
        model.tie_weights()
        at = out / name
        shutil.rmtree(at, ignore_errors=True)
        model.save_pretrained(at)
        (at / "generation_config.json").unlink(missing_ok=True)
        given = inputs(name)
        taps, _ = record(model, given)
        tensors = {f"in/{key}": tensor.to(torch.float32 if tensor.is_floating_point() else torch.int64)
                   for key, tensor in given.items()}
        tensors |= {f"taps/{key}": tensor.float() for key, tensor in taps.items()
                    if key.split(".")[0] in ("vision", "audio") or key in ("text.embed", "text.ple")}
        save_file({key: tensor.clone().contiguous() for key, tensor in sorted(tensors.items())}, at / "io.safetensors")
