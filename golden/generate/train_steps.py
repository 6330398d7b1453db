"""The training itself: towers first, each under a linear head; then all together, on the answers' tokens.

Not here: batches (train_batches.py), the drafter (train_drafter.py), the proof (train_verify.py).
"""

import time

import torch
from torch import distributed, nn
from torch.nn import functional as F
from transformers.models.gemma4.modeling_gemma4 import Gemma4ClippableLinear

from .train_batches import IGNORE
from .train_facts import COLOURS, SHAPES


def unclipped(model, off=True):
    """Takes the clamps out (their bounds are infinite while training, and clamping costs a third of the time)."""
    for module in model.modules():
        if isinstance(module, Gemma4ClippableLinear):
            module.use_clipped_linears = not off


class Optimiser:
    """AdamW under a warm-up and a cosine; clips the gradient, the mean of all processes that train together."""

    def __init__(self, params, rate, steps):
        self.params = [p for p in params if p.requires_grad]
        self.adam = torch.optim.AdamW(self.params, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.plan = torch.optim.lr_scheduler.OneCycleLR(self.adam, rate, total_steps=steps, pct_start=0.1)

    def step(self, loss):
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        if distributed.is_initialized():
            grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.params]
            flat = nn.utils.parameters_to_vector(grads)
            distributed.all_reduce(flat)
            nn.utils.vector_to_parameters(flat / distributed.get_world_size(), grads)
            for p, grad in zip(self.params, grads):
                p.grad = grad
        nn.utils.clip_grad_norm_(self.params, 1.0)
        self.adam.step()
        self.plan.step()


class Report:
    """Prints means over the steps since it last did, with wall and processor seconds."""

    def __init__(self, label, every):
        self.label, self.every, self.count, self.sums, self.start = label, every, 0, {}, time.time()

    def add(self, **values):
        self.count += 1
        for key, value in values.items():
            total, n = self.sums.get(key, (0.0, 0))
            self.sums[key] = (total + float(torch.as_tensor(value).detach()), n + 1)
        if self.count % self.every == 0:
            text = "  ".join(f"{key} {total / n:.3f}" for key, (total, n) in sorted(self.sums.items()))
            print(f"{self.label} {self.count}: {text}  [{time.time() - self.start:.0f} s, "
                  f"processor {time.process_time():.0f} s]", flush=True)
            self.sums = {}


def soft_tokens(model, batch):
    """[n, tokens, H]: the soft tokens of a batch of pictures or clips."""
    if "pixel_values" in batch.media:
        found = model.model.get_image_features(**batch.media, return_dict=True).pooler_output
    else:
        found = model.model.get_audio_features(**batch.media, return_dict=True)
        found = found.pooler_output[found.attention_mask]
    found = torch.cat(found) if isinstance(found, (tuple, list)) else found
    return found.view(len(batch.ids), -1, found.shape[-1])


def pretrain_vision(model, batches, steps, small, rate=4e-3, count=32):
    """Colours and shapes from the mean soft token; the first `small` steps on little pictures, which cost a quarter."""
    hidden = model.config.text_config.hidden_size
    heads = nn.ModuleList([nn.Linear(hidden, len(COLOURS)), nn.Linear(hidden, len(SHAPES))])
    parts = (model.model.vision_tower, model.model.embed_vision, heads)
    optimiser, report = Optimiser([p for part in parts for p in part.parameters()], rate, steps), Report("vision", 50)
    for step in range(steps):
        batch = batches.image(count, grids=((4, 4), (3, 5), (5, 3))) if step < small else batches.image(count)
        pooled = soft_tokens(model, batch).mean(1)
        colour = torch.tensor([list(COLOURS).index(name) for name, _ in batch.truth])
        shape = torch.tensor([SHAPES.index(name) for _, name in batch.truth])
        said = [head(pooled) for head in heads]
        optimiser.step(F.cross_entropy(said[0], colour) + F.cross_entropy(said[1], shape))
        right = [(logits.argmax(-1) == truth).float().mean() for logits, truth in zip(said, (colour, shape))]
        report.add(colour=right[0], shape=right[1])


def pretrain_audio(model, batches, steps, rate=3e-3, count=32):
    """How many tones, from the sum of the soft tokens."""
    head = nn.Linear(model.config.text_config.hidden_size, 4)
    parts = (model.model.audio_tower, model.model.embed_audio, head)
    optimiser, report = Optimiser([p for part in parts for p in part.parameters()], rate, steps), Report("audio", 50)
    for _ in range(steps):
        batch = batches.audio(count)
        said, number = head(soft_tokens(model, batch).sum(1) / 16), torch.tensor(batch.truth) - 1
        loss = F.cross_entropy(said, number)
        optimiser.step(loss)
        report.add(loss=loss, right=(said.argmax(-1) == number).float().mean())


class Frames:
    """What get_video_features would return, for videos that share their frames."""

    def __init__(self, pooler_output):
        self.pooler_output = pooler_output


def hidden_states(model, batch, **more):
    """The decoder's output for a batch: (Gemma4ModelOutputWithPast)."""
    media = batch.media
    if "frames" in media:
        values = {"pixel_values": media["values"], "image_position_ids": media["positions"]}
        found = model.model.get_image_features(**values, return_dict=True).pooler_output
        found = torch.cat(found) if isinstance(found, (tuple, list)) else found
        found = found.view(len(media["values"]), -1, found.shape[-1])
        media = {"mm_encoder_outputs": {"video": Frames([found[row].flatten(0, 1) for row in media["frames"]])}}
    return model.model(input_ids=batch.ids, use_cache=False, **media, **more)


def answer_loss(model, batch):
    """Mean cross-entropy over the answers' tokens, and the share of conversations with every token right."""
    states = hidden_states(model, batch).last_hidden_state[:, batch.prompt - 1:-1] if batch.media else \
        hidden_states(model, batch).last_hidden_state[:, :-1]
    labels = batch.labels[:, -states.shape[1]:]
    wanted = labels != IGNORE
    logits = 30 * torch.tanh(model.lm_head(states[wanted]) / 30)
    loss = F.cross_entropy(logits, labels[wanted], label_smoothing=0.02)
    wrong = torch.zeros_like(wanted)
    wrong[wanted] = logits.argmax(-1) != labels[wanted]
    return loss, 1 - wrong.any(1).float().mean()


SIZES = {"text": 48, "image": 24, "audio": 32, "video": 10}


def train_all(model, batches, steps, shares, rate=2.5e-3):
    """One kind of conversation a step, by its share."""
    optimiser, report = Optimiser(model.parameters(), rate, steps), Report("all", 40)
    for _ in range(steps):
        kind = batches.rng.choice(list(shares), p=list(shares.values()))
        loss, right = answer_loss(model, getattr(batches, kind)(SIZES[kind]))
        optimiser.step(loss)
        report.add(**{kind: loss, kind + "_right": right})
