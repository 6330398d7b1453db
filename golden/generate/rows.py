"""Which rows of a tap mean something. Text taps have rows [B,T]; those of towers are flat, images before video frames.

Padding patches, and mel frames past a clip's end, are rows of a tap that nobody may compare. Not here: which of the
others a golden keeps (golden.py).
"""

import torch

FLOATS = ("pixel_values", "pixel_values_videos", "input_features")
MEDIA = (*FLOATS, "image_position_ids", "video_position_ids", "num_frames_per_video", "input_features_mask")
SOFT = ("pooled", "projected")  # one row a soft token, padding already left out


def _patches(inputs):
    """[1,n*L] bool over the patches of all images, then of all video frames."""
    positions = [inputs[k] for k in ("image_position_ids", "video_position_ids") if k in inputs]
    return torch.cat([~(p == -1).all(-1).flatten() for p in positions])[None]


def _frames(inputs, name):
    """[1,n*T] bool over the frames of all clips, at the length that they have where the tap is taken."""
    mask = inputs["input_features_mask"].bool()
    return (mask if name == "audio.mel" else mask[:, ::2][:, ::2]).flatten()[None]


def pieces(inputs, name):
    """(first row, rows) of each picture, frame or clip in a tower's tap that is not one of soft tokens."""
    if name.startswith("vision."):
        shapes = [inputs[k].shape[:2] for k in ("image_position_ids", "video_position_ids") if k in inputs]
    else:
        mask = inputs["input_features_mask"]
        shapes = [(mask if name == "audio.mel" else mask[:, ::2][:, ::2]).shape]
    found, start = [], 0
    for count, length in shapes:
        for _ in range(count):
            found.append((start, length))
            start += length
    return found


def real_rows(inputs, name="text.norm", tensor=None):
    """[B,T] bool, for a tower's tap [1,rows]: rows that are not padding. `tensor` is needed for soft tokens only."""
    if name.startswith("text."):
        return inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])).bool()
    if name.endswith(SOFT):
        return torch.ones(tensor.shape[:2], dtype=torch.bool)
    return _patches(inputs) if name.startswith("vision.") else _frames(inputs, name)
