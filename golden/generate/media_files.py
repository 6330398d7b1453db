"""Draws the media files of the front-end goldens: pictures with gradients and text, speech of espeak-ng, films of ffmpeg.

The same bytes each time with the same Pillow, espeak-ng and ffmpeg; Debian 12 has the latter two.
"""

import io
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def picture(width, height, text="Gemma 4"):
    """Gradients, a disc, a line, a text and a fine pattern: each direction and channel differs."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x * 7 + y * 3) % 256], -1)
    image = Image.fromarray(pixels.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.ellipse([width // 4, height // 4, width // 2, height // 2], fill=(255, 32, 0))
    draw.line([0, 0, width, height], fill=(0, 0, 0))
    draw.text((width // 3, height // 2), text, fill=(255, 255, 255))
    return image


def strip(width, height):
    """Long and thin, and small as a file."""
    x = np.arange(width) * 255 // (width - 1)
    pixels = np.stack([x, 255 - x, (x * 3) % 256], -1)[None].repeat(height, 0)
    return Image.fromarray(pixels.astype(np.uint8))


def images(folder):
    """Every picture."""
    folder = Path(folder)
    plain = picture(97, 61)
    plain.save(folder / "picture.png")
    picture(640, 100, "a wide one").save(folder / "wide.png")
    picture(48, 300, "tall").save(folder / "tall.png")
    picture(1, 1).save(folder / "pixel.png")
    strip(20000, 3).save(folder / "strip.png")
    # Already the size that 70 tokens of 16 pixels ask for: nothing is resized.
    picture(384, 384, "just so").save(folder / "fitting.png")
    clear = plain.copy()
    clear.putalpha(Image.fromarray((np.mgrid[0:61, 0:97][1] * 2).astype(np.uint8)))
    clear.save(folder / "alpha.png")
    plain.quantize(17).save(folder / "palette.png")
    plain.quantize(4).save(folder / "palette-2-bits.png", bits=2)
    plain.convert("L").save(folder / "grey.png")
    plain.convert("1").save(folder / "black-and-white.png")
    plain.save(folder / "picture.bmp")
    plain.quantize(17).save(folder / "palette.bmp")
    plain.quantize(33).save(folder / "picture.gif")
    plain.save(folder / "photo.jpg", quality=85)
    plain.save(folder / "photo-444.jpg", quality=60, subsampling=0)
    plain.save(folder / "photo-422-progressive.jpg", quality=75, subsampling=1, progressive=True)
    plain.convert("L").save(folder / "grey.jpg", quality=80)
    turned = Image.Exif()
    turned[0x0112] = 6
    plain.save(folder / "turned.jpg", quality=90, exif=turned)
    turned[0x0112] = 7
    plain.save(folder / "turned.png", exif=turned)
    plain.save(folder / "picture.webp", quality=70)
    clear.save(folder / "lossless.webp", lossless=True, exact=True)


def _speech(text, rate=160):
    """espeak-ng's samples: 22.05 kHz, one channel, int16."""
    out = subprocess.run(["espeak-ng", "-v", "en", "-s", str(rate), "--stdout", text], check=True, capture_output=True)
    data = out.stdout
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22050, 1, 2)
        start = data.index(b"data") + 8  # its header of a stream gives no length
        return np.frombuffer(data[start:start + (len(data) - start) // 2 * 2], dtype=np.int16)


def _wav(path, samples, rate):
    """16-bit PCM; samples [n] or [n, channels]."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(samples, dtype="<i2").tobytes())


def _tone(frequency, seconds, rate, level=0.4):
    n = int(seconds * rate)
    fade = np.minimum(1, np.minimum(np.arange(n), np.arange(n)[::-1]) / (0.01 * rate))
    return (np.sin(2 * np.pi * frequency * np.arange(n) / rate) * fade * level * 32767).astype(np.int16)


def ffmpeg(*arguments):
    """Runs ffmpeg with output that depends on nothing but its input."""
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-bitexact", *map(str, arguments)], check=True)


def sounds(folder):
    """Every sound."""
    folder = Path(folder)
    hello = _speech("The quick brown fox.")
    _wav(folder / "speech.wav", hello[:33000], 22050)
    later = np.concatenate([np.zeros(400, np.int16), hello])[:22050]
    stereo = np.stack([hello[:22050], later // 2], 1)
    with tempfile.TemporaryDirectory() as scratch:
        both, tone = Path(scratch) / "both.wav", Path(scratch) / "tone.wav"
        _wav(both, stereo, 22050)
        ffmpeg("-i", both, "-c:a", "flac", "-compression_level", "8", folder / "stereo.flac")
        _wav(tone, np.concatenate([_tone(440, 0.4, 48000), np.zeros(4800, np.int16), _tone(1500, 0.3, 48000)]), 48000)
        ffmpeg("-i", tone, "-c:a", "flac", folder / "tones.flac")
        ffmpeg("-i", both, "-ac", "1", "-c:a", "libmp3lame", "-b:a", "32k", folder / "speech.mp3")
        beeps = np.zeros(33 * 8000, np.int16)
        for second in range(0, 33, 4):
            beeps[second * 8000:second * 8000 + 1600] = _tone(300 + 20 * second, 0.2, 8000)
        _wav(both, beeps, 8000)
        ffmpeg("-i", both, "-c:a", "flac", folder / "half-a-minute.flac")
    _wav(folder / "speech-8k.wav", hello[::3][:9000], 8000)
    _wav(folder / "silence.wav", np.zeros(4000, np.int16), 16000)
    _wav(folder / "click.wav", _tone(900, 100 / 16000, 16000), 16000)


def films(folder):
    """Every film."""
    folder = Path(folder)
    one = ["-threads", "1", "-pix_fmt", "yuv420p"]
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=128x96:rate=10:duration=4", *one, "-c:v", "libx264", "-crf", "30",
            folder / "clip.mp4")
    ffmpeg("-f", "lavfi", "-i", "mandelbrot=size=90x160:rate=30000/1001:end_pts=40,format=yuv420p", *one, "-frames:v",
            "70", "-c:v", "libx264", "-bf", "2", "-crf", "32", folder / "upright.mp4")
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=96x64:rate=5:duration=20", "-f", "lavfi", "-i",
            "sine=frequency=500:duration=1", *one, "-c:v", "mpeg4", "-q:v", "9", "-c:a", "aac", "-b:a", "24k",
            folder / "long-and-slow.mp4")


def write(folder):
    """All files."""
    images(folder)
    sounds(folder)
    films(folder)
