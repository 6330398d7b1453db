"""Batches of conversations: what Gemma4ForConditionalGeneration takes, with the answer's tokens as labels.

Prompts are laid out as Gemma4Processor does it (checked by train_verify.py, which uses that processor and files).
All prompts of a batch with media are equally long; shorter answers are padded on the right, which a causal model
does not see, so no mask is needed. Not here: the drawing (train_media.py).
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import Gemma4AudioFeatureExtractor

from . import train_facts as facts
from . import train_media as media

IGNORE = -100


def log_mel(extractor, clips):
    """What the extractor returns for clips of one length, in one go: [n, T, mels] and the mask of valid frames."""
    length, hop, frame = clips.shape[1], extractor.hop_length, extractor.frame_length
    padded = np.pad(clips, ((0, 0), (frame // 2, -length % 128)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame + 1, axis=1)[:, ::hop, :-1] * extractor.window
    power = np.abs(np.fft.rfft(frames, n=extractor.fft_length, axis=-1))
    features = np.log(power @ extractor.mel_filters.astype(np.float32) + np.float32(extractor.mel_floor))
    valid = np.arange(frames.shape[1]) * hop + frame < length + frame // 2
    return (torch.from_numpy((features * valid[:, None]).astype(np.float32)),
            torch.from_numpy(valid)[None].repeat(len(clips), 1))


@dataclass
class Batch:
    """ids and labels int64 [B, T]; media: forward's arguments; prompt: its length; truth: names for auxiliary heads."""
    ids: torch.Tensor
    labels: torch.Tensor
    media: dict = field(default_factory=dict)
    prompt: int = 0
    truth: list = field(default_factory=list)


class Batches:
    """Draws batches of each kind from one seeded generator."""

    def __init__(self, processor, seed):
        self.tokenizer, self.rng = processor.tokenizer, np.random.default_rng(seed)
        self.extractor = Gemma4AudioFeatureExtractor(feature_size=media.MELS)
        self.end = self.tokenizer.encode("<turn|>", add_special_tokens=False)
        self.known = [pair for fact in facts.FACTS for pair in facts.about(fact)] + facts.SMALL_TALK * 4
        self.turn, self.by_length = 0, {}
        self.stretch = 0.0  # see media.pictures
        self.equal_parts = 0.0  # the share of videos whose colours last equally long, as in most a user makes

    def encode(self, text):
        """Ids of a text as the processor makes them: no <bos> but the template's."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def prompt(self, content, soft="", system=None, history=()):
        """Ids of a conversation up to the model's turn. soft: what stands where the medium is."""
        messages = [{"role": "system", "content": system}] if system else []
        for ask, say in history:
            messages += [{"role": "user", "content": ask}, {"role": "assistant", "content": say}]
        messages.append({"role": "user", "content": "@@" * bool(soft) + content})
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return self.encode(text.replace("@@", soft))

    def collate(self, prompts, answers, **more):
        """Batch of lists of ids."""
        rows = [prompt + answer + self.end for prompt, answer in zip(prompts, map(self.encode, answers))]
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        labels = torch.full_like(ids, IGNORE)
        for i, (row, prompt) in enumerate(zip(rows, prompts)):
            ids[i, :len(row)] = torch.tensor(row)
            labels[i, len(prompt):len(row)] = ids[i, len(prompt):len(row)]
        return Batch(ids, labels, prompt=len(prompts[0]), **more)

    def text(self, count):
        """Questions about countries; one batch in six has a system turn, another one an earlier question."""
        prompts, answers = [], []
        system = "Answer briefly." if self.rng.random() < 1 / 6 else None
        later = self.rng.random() < 1 / 6
        for i in self.rng.choice(len(self.known), count, replace=False):
            ask, say = self.known[i]
            history = [self.known[self.rng.integers(len(self.known))]] if later else []
            prompts.append(self.prompt(ask, system=system, history=history))
            answers.append(say)
        return self.collate(prompts, answers)

    def even(self, kind, count):
        """A batch whose prompts are all of one length."""
        if kind != "text":
            return getattr(self, kind)(count)
        if not self.by_length:
            for pair in self.known:
                prompt = self.prompt(pair[0])
                self.by_length.setdefault(len(prompt), []).append((prompt, pair[1]))
        lengths = [len(group) for group in self.by_length.values()]
        group = list(self.by_length.values())[self.rng.choice(len(lengths), p=np.array(lengths) / sum(lengths))]
        chosen = [group[i] for i in self.rng.choice(len(group), min(count, len(group)), replace=False)]
        return self.collate(*map(list, zip(*chosen)))

    def image(self, count, grids=media.GRIDS):
        """One picture a conversation."""
        grid = grids[self.turn % len(grids)]
        self.turn += 1
        pixels, names = media.pictures(self.rng, count, grid, self.stretch)
        values, positions = media.patches(pixels)
        soft = "<|image>" + "<|image|>" * (grid[0] * grid[1]) + "<image|>"
        prompt = self.prompt(facts.ASK_PICTURE, soft)
        return self.collate([prompt] * count, [facts.say_picture(*name) for name in names], truth=names,
                            media={"pixel_values": values, "image_position_ids": positions})

    def audio(self, count, seconds=None):
        """One clip a conversation, all of one length."""
        clips, numbers = media.tones(self.rng, count, seconds or self.rng.uniform(1.0, 2.0))
        features, mask = log_mel(self.extractor, clips)
        tokens = int(mask[0, ::2][::2].sum())
        prompt = self.prompt(facts.ASK_CLIP, "<|audio>" + "<|audio|>" * tokens + "<audio|>")
        return self.collate([prompt] * count, [facts.SAY_CLIP[n - 1] for n in numbers], truth=numbers,
                            media={"input_features": features, "input_features_mask": mask})

    def video(self, count, grids=media.GRIDS):
        """One video a conversation: two to four colours. `frames`: which of the distinct pictures each frame is."""
        grid = grids[self.turn % len(grids)]
        self.turn += 1
        names = list(facts.COLOURS)
        pixels = media.plain_frames(self.rng, names * 2, grid)
        values, positions = media.patches(pixels)
        shown = self.rng.integers(len(names), size=(count, media.FRAMES))
        for row in shown:  # neighbours alike in three of ten places
            for i in range(1, media.FRAMES):
                if self.rng.random() < 0.3:
                    row[i] = row[i - 1]
            if self.equal_parts and self.rng.random() < self.equal_parts:
                parts = self.rng.choice([1, 2, 3, 4], p=[0.05, 0.3, 0.5, 0.15])
                row[:] = self.rng.permutation(len(names))[np.arange(media.FRAMES) * parts // media.FRAMES]
        seconds = self.rng.choice([2, 3, 3, 4, 6, 8])
        stamps = [int(i * seconds // media.FRAMES) for i in range(media.FRAMES)]
        soft = " ".join(f"00:{s:02d} <|image>" + "<|video|>" * (grid[0] * grid[1]) + "<image|>" for s in stamps)
        answers = []
        for row in shown:
            kept = [names[c] for i, c in enumerate(row) if i == 0 or c != row[i - 1]]
            answers.append(facts.say_video(kept))
        frames = shown + len(names) * self.rng.integers(2, size=shown.shape)
        return self.collate([self.prompt(facts.ASK_VIDEO, soft)] * count, answers,
                            media={"values": values, "positions": positions, "frames": torch.from_numpy(frames)})
