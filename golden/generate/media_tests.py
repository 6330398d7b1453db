"""Writes tests/media/: small media files and what Pillow, torchvision, librosa, PyAV and transformers make of them.

`python -m generate.media_tests DIR` from golden/. What is exact is kept as SHA-256 (expected.json), the rest as numbers
(expected.safetensors).
"""

import hashlib
import json
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from . import media_files

EXACT = ("picture.png", "alpha.png", "palette.png", "palette-2-bits.png", "grey.png", "black-and-white.png", "picture.bmp",
         "palette.bmp", "picture.gif", "turned.png", "picture.webp", "lossless.webp", "pixel.png", "strip.png")
JPEGS = ("photo.jpg", "photo-422-progressive.jpg", "turned.jpg")
SIZES = ((384, 240), (48, 30), (97, 240), (13, 61), (5, 3), (200, 7))


def _sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _wav(path, samples, rate, width):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        whole = np.round(samples * (2 ** (8 * width - 1) - 1)).astype("<i4") + (128 if width == 1 else 0)
        file.writeframes(whole.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :width].tobytes())


def write(folder):
    """Everything below `folder`."""
    import av
    import librosa
    import torch
    from torchvision.transforms.v2 import functional
    from transformers import Gemma4AudioFeatureExtractor
    from transformers.image_utils import load_image

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    expected, tensors = {"images": {}, "resized": []}, {}
    with tempfile.TemporaryDirectory() as scratch:
        media_files.images(scratch)
        for name in EXACT + JPEGS:
            (folder / name).write_bytes((Path(scratch) / name).read_bytes())
    for name in EXACT + JPEGS:
        pixels = np.asarray(load_image(str(folder / name)))
        expected["images"][name] = {"height": pixels.shape[0], "width": pixels.shape[1], "sha256": _sha(pixels)}
        if name in JPEGS:
            tensors[name] = pixels
    picture = torch.from_numpy(np.array(load_image(str(folder / "picture.png")))).permute(2, 0, 1).contiguous()
    for width, height in SIZES:
        made = functional.resize(picture, [height, width], interpolation=functional.InterpolationMode.BICUBIC, antialias=True)
        expected["resized"].append({"width": width, "height": height, "sha256": _sha(made.permute(1, 2, 0).numpy())})

    seconds = np.arange(2205) / 22050
    wave_form = np.stack([0.5 * np.sin(2 * np.pi * 440 * seconds) * seconds * 10, 0.3 * np.cos(2 * np.pi * 1234 * seconds)], 1)
    for name, rate, width, channels in (("stereo.wav", 22050, 2, 2), ("mono-24.wav", 48000, 3, 1), ("bytes.wav", 8000, 1, 1)):
        _wav(folder / name, wave_form[:, :channels], rate, width)
        tensors[name] = librosa.load(str(folder / name), sr=16000)[0]
    extractor = Gemma4AudioFeatureExtractor()
    made = extractor([tensors["stereo.wav"], tensors["bytes.wav"]], return_tensors="np")
    tensors["mel"] = np.asarray(made["input_features"])
    tensors["mask"] = np.asarray(made["input_features_mask"]).astype(np.int64)

    media_files.ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=5:duration=2.4", "-threads", "1", "-pix_fmt", "yuv420p",
                       "-c:v", "libx264", "-crf", "35", folder / "clip.mp4")
    frames = [f.to_ndarray(format="rgb24") for f in av.open(str(folder / "clip.mp4")).decode(video=0)]
    expected["frames"] = len(frames)
    tensors["frame.7"] = frames[7]
    save_file(tensors, folder / "expected.safetensors")
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    write(sys.argv[1])
