"""Cases with pictures, videos and sound: their tensors as transformers' processors would return them, and the prompts.

Sizes are in soft tokens: a picture of 3 x 2 has 3 * pool patches a row where a tower pools. Pixels are n/255 and mel
values multiples of 1/64, so that the inputs pack well. Not here: cases of text alone (cases.py).
"""

import torch

from .cases import AUDIO, IMAGE, VIDEO, Tokens, _case as base_case, left_padded, single

BUDGET = 7  # soft tokens that every picture of a prompt is padded to, unless it says otherwise
FRAME = 4  # the same for a frame of a video


class Media(Tokens):
    """Draws media beside tokens. Pictures, frames and clips are kept in the order in which they are asked for."""

    def __init__(self, name, spec, case, attempt):
        super().__init__(name, spec, case, attempt)
        vision = spec["vision"]
        self.unified, self.mels = spec["kind"] == "gemma4_unified", spec.get("mels")
        merged = vision["pooling_kernel_size"]
        self.pool = 1 if self.unified else merged  # patches a soft token has along an edge
        self.values = 3 * (vision["patch_size"] * (merged if self.unified else 1)) ** 2
        self.samples = spec["audio"]["audio_embed_dim"] if self.unified else None
        self.causal = spec["text"].get("use_bidirectional_attention") != "vision"
        self.hears = "audio" in spec
        self.pictures, self.frames, self.videos, self.clips = [], [], [], []

    def _patches(self, wide, high, budget):
        columns, rows = wide * self.pool, high * self.pool
        count, length = columns * rows, budget * self.pool**2
        base = 40 + 175 * torch.rand(count, 1, generator=self.rng)
        contrast = 5 + 115 * torch.rand(count, 1, generator=self.rng)
        contrast[count // 2] = 2.5  # one nearly flat patch: there a LayerNorm's epsilon decides
        drawn = base + contrast * (2 * torch.rand(count, self.values, generator=self.rng) - 1)
        pixels, positions = torch.zeros(length, self.values), torch.full((length, 2), -1)
        pixels[:count] = drawn.round().clamp(0, 255) * torch.tensor(1 / 255)
        positions[:count, 0] = torch.arange(count) % columns
        positions[:count, 1] = torch.arange(count) // columns
        return pixels, positions

    def image(self, wide, high, budget=BUDGET):
        """A picture, padded to a budget; returns its part of a prompt."""
        self.pictures.append(self._patches(wide, high, budget))
        return IMAGE, wide * high

    def video(self, frames, wide, high, between=2):
        """A video; returns the parts of its frames with some text, as of timestamps, before each."""
        self.videos.append(frames)
        parts = []
        for _ in range(frames):
            self.frames.append(self._patches(wide, high, FRAME))
            parts += [between, (VIDEO, wide * high)]
        return parts

    def clip(self, frames, dirty=False):
        """A clip of `frames` mel frames, or of raw frames where the model takes those; `dirty`: its padding is noise."""
        self.clips.append((frames, dirty))
        return AUDIO, frames if self.unified else -(-(-(-frames // 2)) // 2)

    def _sound(self, longest):
        shape = (len(self.clips), longest, self.samples or self.mels)
        mask = torch.zeros(shape[:2], dtype=torch.bool)
        if self.unified:
            values = 0.4 * torch.randn(shape, generator=self.rng)
            values[:, 1::3] *= 0.05  # nearly silent frames, where epsilon decides
        else:
            values = 1.5 * torch.randn(shape, generator=self.rng) - 1.5
            values[:, 2::7] = values[:, 2::7] / 50
        values = (values * 64).round() / 64
        for i, (frames, dirty) in enumerate(self.clips):
            mask[i, :frames] = True
            if not dirty:
                values[i, frames:] = 0
        return values, mask

    def tensors(self, clip_length=None):
        """Everything asked for so far, by transformers' argument names."""
        inputs = {}
        for drawn, pixels, positions in ((self.pictures, "pixel_values", "image_position_ids"),
                                         (self.frames, "pixel_values_videos", "video_position_ids")):
            if drawn:
                inputs[pixels], inputs[positions] = (torch.stack(part) for part in zip(*drawn))
        if self.videos:
            inputs["num_frames_per_video"] = torch.tensor(self.videos)
        if self.clips:
            inputs["input_features"], inputs["input_features_mask"] = self._sound(
                clip_length or max(frames for frames, _ in self.clips))
        return inputs

    def prompt(self, *parts, full=False, clip_length=None):
        """Inputs of one row. `full`: with the mask and positions that generate() would pass."""
        ids, types = self.row(*parts)
        more = {"mm_token_type_ids": types}
        if full:
            more |= {"attention_mask": [1] * len(ids), "position_ids": list(range(len(ids)))}
        return single(ids, **more) | self.tensors(clip_length)


def _case(what, inputs, **more):
    return base_case(what, inputs, **{"few": True, **more})


def _image(m):
    return _case("One picture, wider than high, with padding patches, between text.",
                 m.prompt(3, m.image(3, 2), 3, full=True), keep=[2, 4, 9, 10], few=False, tower="vision", generate=6,
                 varied=True)


def _images(m):
    return _case("Pictures of four shapes with text between: one of a single row, one of a single column, one of a "
                 "single soft token.",
                 m.prompt(2, m.image(3, 2), 2, m.image(1, 5), 1, m.image(6, 1), 1, m.image(1, 1), 3),
                 keep=[3, 8, 13, 28])


def _image_longer(m):
    return _case("A picture of more than two windows, without padding, then one as large as a window.",
                 m.prompt(1, m.image(m.window, 3, 3 * m.window), 2, m.image(m.window, 1, 3 * m.window), 2),
                 keep=[1, 2 + m.window, 3 * m.window, 3 * m.window + 2])


def _video(m):
    return _case("Two videos, of two frames and of one, with text before each frame.",
                 m.prompt(1, *m.video(2, 2, 2), 1, *m.video(1, 1, 3), 3), keep=[4, 6, 13, 21])


def _audio(m):
    lengths = (6, 4, 1) if m.unified else (44, 26, 1)
    first, second, third = (m.clip(length) for length in lengths)
    return _case("Three clips of unequal length, the last of one frame.",
                 m.prompt(2, first, 3, second, 1, third, 2), keep=[3, 9, 13, 17], tower="audio")


def _mixed(m):
    parts = [2, *m.video(2, 1, 3, between=1), 2, m.image(2, 3)]
    if m.hears:
        parts += [1, m.clip(5 if m.unified else 23, dirty=True)]
    return _case("A video, then a picture, then sound, in one prompt; frames have fewer patches than pictures, and the "
                 "features past the clip's end are noise that the mask hides.",
                 m.prompt(*parts, 2, full=True, clip_length=None if not m.hears else 7 if m.unified else 32),
                 keep=[5, 9, 16, 24], generate=5)


def _padded(m):
    rows = [m.row(2, m.image(2, 2), 1)]
    if m.hears:
        rows.append(m.row(m.clip(3 if m.unified else 13), m.window + 2))
        rows.append(m.row(1, m.image(1, 3), 2, m.clip(4 if m.unified else 18), 2, m.image(2, 1), 1))
    else:
        rows.append(m.row(m.window + 2))
        rows.append(m.row(1, m.image(1, 3), 2, m.image(2, 1), 1))
    ids, types = zip(*rows)
    return _case("Left-padded rows whose pictures and clips are different in number and place.",
                 left_padded(ids, m.pad, types) | m.tensors(), generate=5)


def _untyped(m):
    inputs = m.prompt(2, m.image(3, 2), 3)
    del inputs["mm_token_type_ids"]
    return _case("A picture whose types are not passed: transformers then lets no row see a later one.", inputs,
                 keep=[3, 5, 9])


def _not_given(m):
    return _case("A picture, and placeholders of a kind of which nothing is given: they keep the pad embedding.",
                 m.prompt(2, m.image(2, 1), 1, (AUDIO, 3), 2), keep=[3, 8])


MEDIA_MAKERS = {
    "picture": _image, "pictures": _images, "picture-over-window": _image_longer, "video": _video, "audio": _audio,
    "mixed": _mixed, "padded-batch-media": _padded, "picture-untyped": _untyped, "media-not-given": _not_given,
}


def names(spec):
    """The media cases of a golden, in order."""
    left_out = {"audio"} if "audio" not in spec else set()
    if spec["text"].get("use_bidirectional_attention") != "vision":
        left_out.add("picture-untyped")
    return [name for name in MEDIA_MAKERS if name not in left_out]


def make(name, spec, case, attempt):
    """One media case."""
    m = Media(name, spec, case, attempt)
    return {**MEDIA_MAKERS[case](m), "never": {m.special[f"{kind}_token_id"] for kind in ("image", "video", "audio")}}


def calibration(name, spec):
    """Media without padding, by which clip bounds are set."""
    m = Media(name, spec, "clips", spec.get("seed", 0))
    parts = [1, m.image(4, 3, 12), 1]
    if m.hears:
        parts += [m.clip(7 if m.unified else 64), 1]
    return m.prompt(*parts)
