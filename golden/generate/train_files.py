"""Media files for the questions: pictures by PIL, clips as WAV, videos by H.264. Not here: what training draws
(train_media.py); these are other sizes, drawn by another renderer, and go through the processor as a user's do.
"""

import wave

import av
import numpy as np
from PIL import Image, ImageDraw

from .train_media import RATE, tones

PAINT = {"red": (220, 20, 30), "green": (20, 150, 40), "blue": (20, 40, 220), "yellow": (250, 230, 20),
         "purple": (128, 0, 128), "orange": (255, 140, 0)}


def write_picture(path, colour, shape, size, centre, radius, background=(255, 255, 255)):
    """A PNG of `size` (width, height) with one shape."""
    image = Image.new("RGB", size, background)
    draw, paint, (x, y), r = ImageDraw.Draw(image), PAINT[colour], centre, radius
    if shape == "circle":
        draw.ellipse((x - r, y - r, x + r, y + r), fill=paint)
    elif shape == "square":
        draw.rectangle((x - 0.9 * r, y - 0.9 * r, x + 0.9 * r, y + 0.9 * r), fill=paint)
    elif shape == "triangle":
        draw.polygon([(x, y - 0.95 * r), (x - 0.97 * r, y + 0.8 * r), (x + 0.97 * r, y + 0.8 * r)], fill=paint)
    else:
        draw.rectangle((x - r, y - 0.34 * r, x + r, y + 0.34 * r), fill=paint)
        draw.rectangle((x - 0.34 * r, y - r, x + 0.34 * r, y + r), fill=paint)
    image.save(path, optimize=True)


def random_picture(rng, path, colour, shape):
    """write_picture with a size, place and radius of its own."""
    width, height = int(rng.integers(90, 320)), int(rng.integers(90, 320))
    height = int(np.clip(height, width / 1.7, width * 1.5))
    radius = min(width, height) * rng.uniform(0.18, 0.45)
    centre = (rng.uniform(radius, width - radius), rng.uniform(radius, height - radius))
    write_picture(path, colour, shape, (width, height), centre, radius)


def write_clip(path, rng, number, seconds):
    """A 16-bit mono WAV of `number` tones."""
    while True:
        clips, numbers = tones(rng, 8, seconds)
        if number in numbers:
            break
    samples = (clips[numbers.index(number)] * 32767).astype("<i2")
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())


def write_video(path, colours, size=(96, 96), seconds=1, fps=8):
    """An MP4 that shows each colour for `seconds`."""
    with av.open(str(path), "w", container_options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream("libx264", rate=fps, options={"crf": "18", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for colour in colours:
            picture = np.broadcast_to(np.array(PAINT[colour], np.uint8), (size[1], size[0], 3))
            for _ in range(int(seconds * fps)):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        out.mux(stream.encode())
