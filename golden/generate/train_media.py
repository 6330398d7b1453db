"""Draws what the tiny checkpoint is trained on, as tensors in the form its processor gives them. Not here: files
(train_files.py), which another renderer draws, so that a test sees no picture that training saw.

Everything comes from one numpy Generator that the caller passes.
"""

import numpy as np
import torch

from .train_facts import COLOURS, SHAPES

PATCH, POOL, BUDGET = 8, 2, 70  # pixels, patches and soft tokens; also what the saved processor says
# What the budget makes of common aspect ratios: rows and columns of soft tokens, 1:1, 4:3, 3:2, 16:9, 3:4, 2:3.
GRIDS = ((8, 8), (7, 9), (6, 10), (6, 11), (9, 7), (10, 6))
RATE, MELS, FRAMES = 16000, 32, 4  # samples a second, mel bins, frames of a video


def colours(rng, names):
    """[n, 3] 8-bit colours, each drawn from what its name covers."""
    low = np.array([COLOURS[name][0] for name in names])
    high = np.array([COLOURS[name][1] for name in names])
    return low + (high - low) * rng.random((len(names), 3))


def _inside(shape, x, y):
    """How far a point is outside a shape of unit size (negative inside), good enough near the edge."""
    if shape == "circle":
        return np.hypot(x, y) - 1
    if shape == "square":
        return np.maximum(abs(x), abs(y)) - 0.9
    if shape == "triangle":  # point up; its base at y = 0.8
        return np.maximum(y - 0.8, (abs(x) * 1.8 - y - 0.95) / 2.06)
    bar = 0.34
    return np.minimum(np.maximum(abs(x) - 1, abs(y) - bar), np.maximum(abs(x) - bar, abs(y) - 1))


def backgrounds(rng, count):
    """[count, 3]: mostly white, else a grey from light to black."""
    grey = np.where(rng.random(count) < 0.6, 255, np.where(rng.random(count) < 0.6, rng.integers(190, 255, count),
                                                           rng.integers(0, 60, count)))
    return np.repeat(grey[:, None], 3, 1).astype(float)


def pictures(rng, count, grid, stretch=0.0):
    """uint8 [count, H, W, 3] and the (colour, shape) of each: one shape, anywhere, of any size.

    stretch: by how much a shape's width may differ from its height, as resizing to whole soft tokens makes it.
    """
    height, width = grid[0] * PATCH * POOL, grid[1] * PATCH * POOL
    names = [list(COLOURS)[i] for i in rng.integers(len(COLOURS), size=count)]
    shapes = [SHAPES[i] for i in rng.integers(len(SHAPES), size=count)]
    paint, back = colours(rng, names), backgrounds(rng, count)
    radius = min(height, width) * rng.uniform(0.16, 0.46, count)
    cx = radius + (width - 2 * radius) * rng.random(count)
    cy = radius + (height - 2 * radius) * rng.random(count)
    soft = rng.uniform(0.5, 2.0, count)  # pixels over which an edge fades, as resizing makes it
    wide = 1 - stretch * rng.random(count) if stretch else np.ones(count)
    tall = wide[::-1] if stretch else wide  # either, both or neither
    y, x = np.mgrid[0:height, 0:width] + 0.5
    images = np.empty((count, height, width, 3), np.float32)
    for i in range(count):
        away = _inside(shapes[i], (x - cx[i]) / radius[i] / wide[i], (y - cy[i]) / radius[i] / tall[i]) * radius[i]
        cover = np.clip(0.5 - away / soft[i], 0, 1)[..., None]
        images[i] = back[i] + (paint[i] - back[i]) * cover
    images += rng.normal(0, 1, images.shape) * rng.choice([0, 3], count)[:, None, None, None]
    return np.clip(np.rint(images), 0, 255).astype(np.uint8), list(zip(names, shapes))


def plain_frames(rng, names, grid):
    """uint8 [n, H, W, 3]: frames of one colour each, a little uneven as a codec leaves them."""
    height, width = grid[0] * PATCH * POOL, grid[1] * PATCH * POOL
    slope = rng.uniform(-8, 8, (len(names), 1, width, 1)) if rng.random() < 0.5 else 0
    frames = colours(rng, names)[:, None, None] + slope + np.zeros((1, height, width, 1))
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


def patches(images):
    """float32 [n, L, 3 * PATCH * PATCH] and positions int64 [n, L, 2]: Gemma4ImageProcessor without its padding."""
    n, height, width, _ = images.shape
    rows, cols = height // PATCH, width // PATCH
    values = torch.from_numpy(images).reshape(n, rows, PATCH, cols, PATCH, 3).permute(0, 1, 3, 2, 4, 5)
    values = values.reshape(n, rows * cols, -1).float() * (1 / 255)
    y, x = np.divmod(np.arange(rows * cols), cols)
    return values, torch.from_numpy(np.stack([x, y], -1))[None].repeat(n, 1, 1)


def tones(rng, count, seconds, most=4):
    """float32 [count, samples], how many tones each clip holds, with silences of any length around and between."""
    samples = int(seconds * RATE)
    clips, numbers = np.zeros((count, samples), np.float32), rng.integers(1, most + 1, count)
    for clip, number in zip(clips, numbers):
        unit = seconds / (2 * most)  # a tone and the silence after it last at most two of these
        lengths = rng.uniform(0.5, 1.0, number) * unit
        gaps = rng.uniform(0.5, 1.0, number - 1) * unit
        at = rng.uniform(0, seconds - lengths.sum() - gaps.sum())
        loud, same = rng.uniform(0.1, 0.9), rng.random() < 0.4
        pitch = rng.uniform(250, 3000, number) if not same else np.full(number, rng.uniform(250, 3000))
        for i in range(number):
            start, n = int(at * RATE), int(lengths[i] * RATE)
            t = np.arange(n) / RATE
            fade = np.clip(np.minimum(t, t[::-1]) / 0.005, 0, 1)
            clip[start:start + n] = loud * fade * np.sin(2 * np.pi * pitch[i] * t)
            at += lengths[i] + (gaps[i] if i < number - 1 else 0)
        if rng.random() < 0.3:
            clip += rng.normal(0, 1e-3, samples)
    return clips, numbers.tolist()
