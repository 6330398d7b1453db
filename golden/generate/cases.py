"""The inputs of every case: token ids, masks, types and positions, as generate() would pass them. No model here.

A case is drawn by (golden, case, attempt): golden.py asks for the next attempt when a discrete choice is too close.
"""

import torch

from .specs import special_ids
from .weights import generator, quiet_token

B1 = "prefill,nocache,chunked,decode"
IMAGE, VIDEO, AUDIO = 1, 2, 3


class Tokens:
    """Draws ordinary token ids and puts cases together for one golden."""

    def __init__(self, name, spec, case, attempt):
        self.rng = generator(name, case, attempt)
        self.text = spec["text"]
        self.vocab, self.window, self.pad = (self.text[k] for k in ("vocab_size", "sliding_window", "pad_token_id"))
        self.special = special_ids(self.vocab) if spec["kind"] in ("gemma4", "gemma4_unified") else {}
        self.quiet = quiet_token(spec)
        # fp32 angles round by their size: where a second frequency is high, far must be nearer to keep the noise down.
        self.far = spec.get("far", 1020)

    def ids(self, count):
        """`count` ordinary ids."""
        avoid = set(self.special.values()) | {self.pad}
        usable = torch.tensor([i for i in range(self.vocab) if i not in avoid])
        return usable[torch.randint(len(usable), (count,), generator=self.rng)].tolist()

    def row(self, *parts):
        """Ids and types of one row; a part is a count of text tokens, or (type, count) for a bracketed media run."""
        ids, types = [], []
        opening = {IMAGE: "boi_token_id", VIDEO: "boi_token_id", AUDIO: "boa_token_id"}
        closing = {IMAGE: "eoi_token_id", VIDEO: "eoi_token_id", AUDIO: "eoa_token_index"}
        holder = {IMAGE: "image_token_id", VIDEO: "video_token_id", AUDIO: "audio_token_id"}
        for part in parts:
            if isinstance(part, int):
                ids += self.ids(part)
                types += [0] * part
            else:
                kind, count = part
                ids += [self.special[opening[kind]]] + [self.special[holder[kind]]] * count
                ids += [self.special[closing[kind]]]
                types += [0] + [kind] * count + [0]
        return ids, types


def single(ids, **more):
    """Inputs of one row."""
    return {"input_ids": torch.tensor([ids]), **{k: torch.tensor([v]) for k, v in more.items()}}


def left_padded(rows, pad, types=None):
    """Inputs of a batch: left padding, positions from the mask as generate() counts them, 0 on pads."""
    longest = max(map(len, rows))
    inputs = {
        "input_ids": torch.tensor([[pad] * (longest - len(r)) + r for r in rows]),
        "attention_mask": torch.tensor([[0] * (longest - len(r)) + [1] * len(r) for r in rows]),
    }
    inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    if types is not None:
        inputs["mm_token_type_ids"] = torch.tensor([[0] * (longest - len(t)) + t for t in types])
    return inputs


def _case(what, inputs, generate=4, keep=None, **more):
    """A case: what it shows, its paths, inputs, tokens to generate and rows to keep."""
    paths = "batched" if inputs["input_ids"].shape[0] > 1 else B1
    return {"what": what, "paths": paths, "inputs": inputs, "generate": generate, "keep": keep or [], **more}


def _short(t):
    ids = t.ids(5)
    return _case("A few tokens, one of them with an embedding so small that epsilon decides its norm.",
                 single(ids[:3] + [t.quiet] + ids[3:]), generate=8, varied=True, keep=[0, 3])


def _one_token(t):
    return _case("One token: attention over itself alone.", single(t.ids(1)))


def _window_plus_one(t):
    return _case("One token more than the window: the first has just left it.", single(t.ids(t.window + 1)))


def _edge_tokens(t):
    ids = t.ids(3)
    return _case("The pad id as an ordinary token, the first and the last id, a token thrice, the quiet token last.",
                 single([0, t.vocab - 1, t.pad, ids[0], ids[0], ids[1], t.pad, 1, t.vocab - 2, ids[0], t.quiet]))


def _beyond_window(t):
    length = 3 * t.window + 4 if t.text["hidden_size"] != 256 else 2 * t.window + 3
    w = t.window
    return _case("A prompt of several windows.", single(t.ids(length)), keep=[w - 1, w, w + 1, 2 * w])


def _past_256(t):
    w = t.window
    return _case("Positions past 256, which bf16 cannot count.", single(t.ids(266)), long=True,
                 keep=[w - 1, w, w + 1, 255, 256, 257])


def _far_positions(t):
    length, first = t.window + 4, t.far
    return _case(f"Positions that start at {first}, not 0; the mask is given so that they are not taken for packing.",
                 single(t.ids(length), attention_mask=[1] * length, position_ids=list(range(first, first + length))))


def _padded_batch(t):
    w = t.window
    rows = [t.ids(2), t.ids(w + 4), t.ids(w)] if t.text["hidden_size"] != 256 else [t.ids(2), t.ids(w + 2)]
    return _case("Left-padded rows; the longest is unpadded and longer than the window.",
                 left_padded(rows, t.pad), generate=5)


def _softcap(t):
    return _case("Logits past the softcap's bend.", single(t.ids(7)), generate=8, varied=True, loud=True)


def _image(t):
    w = t.window
    ids, types = t.row(2, (IMAGE, max(w - 2, 3)), 2, (IMAGE, max(w, 2)), 3)
    return _case("Two images of different lengths with text before, between and after; no pixels: placeholder rows "
                 "keep the pad embedding.", single(ids, mm_token_type_ids=types), keep=[3, w, w + 1, w + 5, 2 * w + 4])


def _image_causal(t):
    case = _image(t)
    case["what"] = "Two images and their types, which must change nothing here: causal, and the pad's per-layer row."
    return case


def _image_longer(t):
    w = t.window
    ids, types = t.row(3, (IMAGE, 2 * w + 1), 2)
    return _case("An image of more than two windows.", single(ids, mm_token_type_ids=types),
                 keep=[4, 3 + w, 4 + 2 * w])


def _video_and_audio(t):
    w = t.window
    ids, types = t.row(2, (VIDEO, w - 1), 1, (AUDIO, w), 1, (IMAGE, 2), 2)
    return _case("Video rows see each other, audio rows are causal, then a small image.",
                 single(ids, mm_token_type_ids=types), keep=[3, w + 1, w + 4, 2 * w + 6])


def _block_of_text(t):
    w = t.window
    ids = t.ids(2 * w + 8)
    types = [0, 0] + [1] * (w - 3) + [2] * 2 + [0, 0] + [2] * (w + 2) + [0] * 2 + [3]  # 1 beside 2 is one block
    if t.text["hidden_size"] == 256:
        ids, types = ids[:2 * w + 5], [0] + [1] * (w - 1) + [0] + [2] * (w + 2) + [0]
    return _case("Types 1, 2 and 3 over ordinary token ids: every row of a block is different.",
                 single(ids, mm_token_type_ids=types + [0] * (len(ids) - len(types))),
                 keep=[2, w, w + 3, 2 * w + 4], few=t.text["hidden_size"] == 256)


def _padded_batch_image(t):
    w = t.window
    rows, types = zip(t.row((IMAGE, 3), w), t.row(1, (IMAGE, w - 1), 1), t.row(2, (IMAGE, w), 2, (VIDEO, 2), 1))
    # Two rows' first block is made of ordinary ids: placeholder rows all look the same.
    plain = [[i if k == 0 else t.ids(1)[0] for i, k in zip(r, ty)] for r, ty in zip(rows, types)]
    return _case("Left-padded rows with blocks in different places.",
                 left_padded([rows[0], plain[1], plain[2]], t.pad, types), generate=5)


def _right_padded(t):
    return _case("Right padding, as a published port's own test has it; the last two rows are pads, so nothing is "
                 "generated.", {"input_ids": torch.tensor([[10, 20, 30, 40, 50, 60, 70, 80, 0, 0]]),
                                "attention_mask": torch.tensor([[1] * 8 + [0, 0]])}, generate=0) | {
                     "paths": "prefill,nocache"}


def _mask_without_positions(t):
    w = t.window
    inputs = left_padded([t.ids(w + 6), t.ids(w + 1)], t.pad)
    del inputs["position_ids"]
    return _case("Left-padded rows whose positions are not given: forward() then counts pads too.", inputs)


def _one_row_of_positions(t):
    w = t.window
    ids = [t.ids(w + 3), t.ids(w + 3)]
    return _case("Two rows that share one row of positions, which do not start at 0.",
                 {"input_ids": torch.tensor(ids), "position_ids": torch.arange(40, 43 + w)[None]})


def _hole_in_mask(t):
    length = 2 * t.window + 4
    mask = [0 if i in (3, length - 4) else 1 for i in range(length)]
    return _case("A mask with holes: rows are padding wherever they are.",
                 single(t.ids(length), attention_mask=mask), generate=0)


def _packed(t):
    w = t.window
    return _case("Two prompts packed in one row: without mask and cache, positions alone tell them apart.",
                 single(t.ids(2 * w + 5), position_ids=[*range(w + 2), *range(w + 3)]), generate=0) | {"paths": "nocache"}


MAKERS = {
    "short": _short, "one-token": _one_token, "at-window-plus-one": _window_plus_one,
    "edge-tokens": _edge_tokens, "beyond-window": _beyond_window, "past-256": _past_256,
    "far-positions": _far_positions, "padded-batch": _padded_batch, "softcap": _softcap, "image": _image,
    "image-causal": _image_causal, "image-longer-than-window": _image_longer, "video-and-audio": _video_and_audio,
    "block-of-text": _block_of_text, "padded-batch-image": _padded_batch_image, "right-padded": _right_padded,
    "mask-without-positions": _mask_without_positions, "one-row-of-positions": _one_row_of_positions,
    "hole-in-mask": _hole_in_mask,
    "packed": _packed,
}
TEXT = ["short", "one-token", "at-window-plus-one", "edge-tokens", "beyond-window", "past-256",
        "far-positions", "padded-batch", "softcap"]
BLOCKS = ["image", "image-longer-than-window", "video-and-audio", "block-of-text", "padded-batch-image"]


def names(spec):
    """The cases of a golden, in order."""
    causal = spec["text"].get("use_bidirectional_attention") != "vision"
    if spec["set"] == "blocks":
        return ["short", "beyond-window", "padded-batch"] + ([] if causal else ["block-of-text"])
    if spec["set"] == "media":
        from . import cases_media
        return ["short", *cases_media.names(spec)]
    if spec["set"] == "tails":
        return TEXT + (["image-causal", "video-and-audio"] if causal else BLOCKS)
    if spec["set"] == "options":
        return ["short", "beyond-window", "padded-batch", "mask-without-positions", "one-row-of-positions",
                "hole-in-mask", "packed", "far-positions"] + (["image-causal"] if spec["kind"] == "gemma4_unified" else [])
    if spec["set"] == "seed":
        return ["right-padded", "short", "beyond-window", "padded-batch"]
    return ["short", "beyond-window", "padded-batch", "softcap"]


def make(name, spec, case, attempt):
    """One case of a golden: what, paths, inputs (tensors), generate (tokens), keep (rows), and what it must show."""
    if spec["set"] == "media" and case != "short":
        from . import cases_media
        return cases_media.make(name, spec, case, attempt)
    return MAKERS[case](Tokens(name, spec, case, attempt))
