"""A synthetic text model of full size as a GGUF file, for engines that read nothing else: the weights of model/synthetic.h.

Start it in golden/: python -m generate.synthetic_gguf e2b:q4_0 e2b-q4_0.gguf   (needs PyPI's gguf)
Its tokens are made up; it is for measuring, beside `assay bench --model FILE`, and for comparing logits by ids.
"""

import json
import os
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q
from transformers import AutoConfig

from .gguf_cases import _hyperparameters, _placeholder_tokens, _rope_freqs, gguf_name
from .synthetic import BLOCKS, ROOT, blocks_of, tensors_of

CHUNK = 1 << 21  # blocks of 32 values drawn at a time


def packed(name, shape, dtype, draw, exponent):
    """A tensor's bytes [..., bytes of a row]."""
    elements, size = BLOCKS[dtype]
    count = int(np.prod(shape, dtype=np.int64)) // elements
    step = CHUNK * 32 // elements if elements > 1 else CHUNK * 8
    out = np.empty(count * size, dtype=np.uint8)
    for first in range(0, count, step):
        here = min(step, count - first)
        out[first * size:(first + here) * size] = np.frombuffer(blocks_of(name, dtype, draw, exponent, first, here), np.uint8)
    return out.reshape(*shape[:-1], shape[-1] // elements * size)


def write(model, path):
    """model: NAME:FORMAT, a published configuration and q4_0, q8_0, bf16 or f32. Written beside `path`, then renamed."""
    variant, form = model.split(":")
    published = json.loads((ROOT / "model" / "published" / f"{variant}.json").read_text())
    config, text = AutoConfig.for_model(**published).text_config, published["text_config"]
    beside = Path(f"{path}.part")
    writer = gguf.GGUFWriter(beside, "gemma4")
    _hyperparameters(writer, config, text)
    _placeholder_tokens(writer, config)
    writer.add_token_merges(["t 0"])
    writer.add_tensor("rope_freqs.weight", _rope_freqs(text))
    for name, (shape, dtype, draw, exponent) in tensors_of(variant, form).items():
        if name.startswith("model."):  # towers
            continue
        values = packed(name, shape, dtype, draw, exponent)
        if dtype == "BF16" and len(shape) == 1:  # as llama.cpp's converter has them: it adds no other vectors
            values, dtype = (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32), "F32"
        if dtype == "F32":
            writer.add_tensor(gguf_name(name), values.view(np.float32))
        else:
            writer.add_tensor(gguf_name(name), values, raw_dtype=Q[dtype])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(beside, path)


if __name__ == "__main__":
    write(*sys.argv[1:])
