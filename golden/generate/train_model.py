"""The tiny checkpoint before it is trained: its tokenizer, its processor, its shape and its first weights.

E-shaped as E2B is: PLE, both attention kinds, KV sharing with double-wide MLPs, clipped linears in both towers.
Not here: what it learns from (train_media.py, train_facts.py), its drafter (train_drafter.py).
"""

import json
from pathlib import Path

import torch
from transformers import (Gemma4AudioFeatureExtractor, Gemma4Config, Gemma4ForConditionalGeneration,
                          Gemma4ImageProcessor, Gemma4Processor, Gemma4VideoProcessor)

from .specs import pattern
from .tokenizer import train as train_tokenizer
from .train_facts import every_text
from .train_media import BUDGET, FRAMES, MELS, PATCH, POOL

VOCAB = 704
TEMPLATE = Path(__file__).resolve().parent / "templates" / "e.jinja"
LAYERS, SHARED, HIDDEN, WINDOW = "ssfssf", 3, 64, 24
HEADS = {"head_dim": 16, "global_head_dim": 32, "num_attention_heads": 4, "num_key_value_heads": 1}  # the drafter's too


def make_processor(directory):
    """Trains the tokenizer and saves the processor with the chat template; the Gemma4Processor as read back."""
    tokenizer = train_tokenizer(every_text(), VOCAB, directory, newlines=4, spaces=4)
    vision = {"patch_size": PATCH, "pooling_kernel_size": POOL, "max_soft_tokens": BUDGET}
    processor = Gemma4Processor(
        feature_extractor=Gemma4AudioFeatureExtractor(feature_size=MELS),
        image_processor=Gemma4ImageProcessor(**vision),
        video_processor=Gemma4VideoProcessor(**vision, num_frames=FRAMES),
        tokenizer=tokenizer, chat_template=TEMPLATE.read_text(), image_seq_length=BUDGET)
    kept = {name: (Path(directory) / name).read_bytes() for name in ("tokenizer.json", "tokenizer_config.json")}
    processor.save_pretrained(directory)
    for name, data in kept.items():
        (Path(directory) / name).write_bytes(data)
    return Gemma4Processor.from_pretrained(directory)


def make_config(tokenizer):
    """Gemma4Config of the checkpoint."""
    text = {
        "hidden_size": HIDDEN, "intermediate_size": 128, **HEADS, "sliding_window": WINDOW, "vocab_size": VOCAB,
        "layer_types": pattern(LAYERS), "num_hidden_layers": len(LAYERS), "final_logit_softcapping": 30.0,
        "max_position_embeddings": 8192, "num_kv_shared_layers": SHARED, "use_double_wide_mlp": True,
        "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCAB}
    vision = {
        "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 3,
        "num_key_value_heads": 3, "head_dim": 16, "patch_size": PATCH, "pooling_kernel_size": POOL,
        "position_embedding_size": 1120 * POOL, "use_clipped_linears": True}
    audio = {
        "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "subsampling_conv_channels": [MELS, 8],
        "output_proj_dims": 40, "use_clipped_linears": True}
    ids = {name: getattr(tokenizer, token) for name, token in (
        ("image_token_id", "image_token_id"), ("audio_token_id", "audio_token_id"), ("boi_token_id", "boi_token_id"),
        ("eoi_token_id", "eoi_token_id"), ("boa_token_id", "boa_token_id"), ("eoa_token_index", "eoa_token_id"))}
    return Gemma4Config(text_config=text, vision_config=vision, audio_config=audio,
                        video_token_id=tokenizer.convert_tokens_to_ids("<|video|>"), **ids)


def first_weights(model, seed):
    """Draws every weight: variance-preserving, scores of deviation 1, and layer scalars away from 1."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if key.endswith(("q_norm.weight", "k_norm.weight")):
                weight.fill_(weight.numel()**-0.25)
            elif key.endswith("position_embedding_table"):
                weight.zero_()  # rows past the pictures it saw stay zero: larger budgets still work
            elif weight.dim() > 1:
                fan_in = weight[0].numel()
                weight.copy_(torch.randn(weight.shape, generator=rng) * fan_in**-0.5)
        for i, layer in enumerate(model.model.language_model.layers):
            layer.layer_scalar.fill_(1 - 0.0625 * (i % 3))  # no gradient reaches it


def make_model(tokenizer, seed=0):
    """The untrained Gemma4ForConditionalGeneration, fp32."""
    torch.manual_seed(seed)
    model = Gemma4ForConditionalGeneration(make_config(tokenizer))
    first_weights(model, seed)
    return model


def stop_ids(tokenizer):
    """What ends a turn, as published instruction-tuned checkpoints say: <eos>, <turn|>, <|tool_response>."""
    return [tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(["<turn|>", "<|tool_response>"])]


def save_model(model, tokenizer, directory):
    """Writes config.json, model.safetensors (bf16) and generation_config.json; `model` stays fp32."""
    state = {key: value.to(torch.bfloat16) for key, value in model.state_dict().items()}
    model.save_pretrained(directory, state_dict=state)
    path = Path(directory) / "config.json"
    config = json.loads(path.read_text())
    for part in (config, config["text_config"], config["vision_config"], config["audio_config"]):
        if part.get("dtype"):
            part["dtype"] = "bfloat16"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    generation = {"bos_token_id": tokenizer.bos_token_id, "do_sample": False, "eos_token_id": stop_ids(tokenizer),
                  "pad_token_id": tokenizer.pad_token_id}
    (Path(directory) / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
