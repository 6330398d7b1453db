"""The tiny checkpoint's drafter: trained on the target's hidden states and K/V to say what the target goes on to say.

One round drafts up to DRAFTED tokens at one constant position, from the target's K/V before the newest token, each
step fed its own token and the state of the step before, as SinglePositionMultiTokenCandidateGenerator does.
Not here: the target (train_steps.py).
"""

import json
from pathlib import Path

import torch
from torch.nn import functional as F
from transformers import Gemma4AssistantConfig, Gemma4AssistantForCausalLM

from .specs import pattern
from .train_batches import IGNORE
from .train_model import HEADS
from .train_steps import Optimiser, Report, hidden_states

DRAFTED, CENTROIDS, TOP = 3, 32, 6
NARROW = 48  # its own hidden size


def make_drafter(target, seed):
    """An untrained Gemma4AssistantForCausalLM for a target: three sliding layers and a full one, ordered embeddings."""
    text = target.config.text_config
    config = {
        "hidden_size": NARROW, "intermediate_size": 96, **HEADS, "vocab_size": text.vocab_size,
        "layer_types": pattern("sssf"), "num_hidden_layers": 4, "num_kv_shared_layers": 4, "model_type": "gemma4_text",
        "sliding_window": text.sliding_window, "max_position_embeddings": text.max_position_embeddings,
        "hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0, "use_double_wide_mlp": False}
    torch.manual_seed(seed)
    drafter = Gemma4AssistantForCausalLM(Gemma4AssistantConfig(
        text_config=config, backbone_hidden_size=text.hidden_size, use_ordered_embeddings=True,
        num_centroids=CENTROIDS, centroid_intermediate_top_k=TOP))
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, weight in drafter.named_parameters():
            if key.endswith("q_norm.weight"):
                weight.fill_(weight.numel()**-0.25)
            elif weight.dim() > 1:
                weight.copy_(torch.randn(weight.shape, generator=rng) * weight[0].numel()**-0.5)
        for i, layer in enumerate(drafter.model.layers):
            layer.layer_scalar.fill_(1 - 0.0625 * (i % 3))
        drafter.masked_embedding.token_ordering.copy_(clusters(target.model.language_model.embed_tokens.weight, rng))
    return drafter


def clusters(table, rng):
    """A permutation of the vocabulary: CENTROIDS groups of one size, alike in the target's embedding table."""
    table = F.normalize(table.detach(), dim=-1)
    size, left, order = len(table) // CENTROIDS, torch.ones(len(table), dtype=torch.bool), []
    for start in torch.randperm(len(table), generator=rng).tolist():
        if left[start]:
            near = (table @ table[start]).masked_fill(~left, -2).topk(size).indices
            left[near] = False
            order.append(near.sort().values)
        if len(order) == CENTROIDS:
            break
    return torch.cat(order)


def group_of(drafter):
    """[V]: which centroid holds each token."""
    groups = torch.empty(drafter.vocab_size, dtype=torch.long)
    size = drafter.vocab_size // CENTROIDS
    groups[drafter.masked_embedding.token_ordering] = torch.arange(drafter.vocab_size) // size
    return groups


def states_of(drafter, inputs, position, shared):
    """(the drafter's last hidden rows, its projected state) for inputs [B, 1, 2 * backbone]."""
    rows = drafter.pre_projection(inputs)
    masks = drafter.create_attention_masks(rows, None, shared)
    out = drafter.model(input_ids=None, inputs_embeds=rows, attention_mask=masks, use_cache=False,
                        position_ids=torch.tensor([[position]]), shared_kv_states=shared).last_hidden_state
    return out, drafter.post_projection(out)


def round_loss(drafter, batch, target, states, shared, groups, first):
    """Loss and share of right tokens of one round that begins after `first` answer tokens (0: at the prompt's end)."""
    newest = batch.prompt + first  # index of the newest token; its K/V is not there yet
    shared = {kind: (k[:, :, :newest], v[:, :, :newest]) for kind, (k, v) in shared.items()}
    token, state, losses, hits = batch.ids[:, newest], states[:, newest - 1:newest], [], []
    for step in range(DRAFTED):
        at = newest + 1 + step
        if at >= batch.ids.shape[1]:
            break
        wanted, real = batch.ids[:, at], batch.labels[:, at] != IGNORE
        if not real.any():
            break
        embedded = target.model.language_model.embed_tokens(token)[:, None]
        rows, state = states_of(drafter, torch.cat([embedded, state], -1), newest, shared)
        logits, centroids = drafter.lm_head(rows[:, 0]), drafter.masked_embedding.centroids(rows[:, 0])
        losses.append(F.cross_entropy(logits[real], wanted[real])
                      + 0.5 * F.cross_entropy(centroids[real], groups[wanted[real]]))
        inside = centroids.topk(TOP, -1).indices.eq(groups[wanted][:, None]).any(-1)
        hits.append(((logits.argmax(-1) == wanted) & inside)[real].float())
        token = wanted
    return sum(losses) / len(losses), torch.cat(hits).mean()


def train_drafter(drafter, target, batches, steps, shares, sizes, rate=4e-3):
    """Trains on every kind of conversation; the answers are the target's own, which it gives exactly."""
    target.requires_grad_(False)
    groups = group_of(drafter)
    optimiser, report = Optimiser(drafter.parameters(), rate, steps), Report("drafter", 100)
    for _ in range(steps):
        kind = batches.rng.choice(list(shares), p=list(shares.values()))
        batch = batches.even(kind, sizes[kind])
        with torch.no_grad():
            out = hidden_states(target, batch, return_shared_kv_states=True)
        shared = {kind: (k, v) for kind, (k, v) in out.shared_kv_states.items()}
        longest = int((batch.labels != IGNORE).sum(1).max())
        starts = range(longest - 1) if longest < 6 else batches.rng.choice(longest - 1, 4, replace=False)
        rounds = [round_loss(drafter, batch, target, out.last_hidden_state, shared, groups, int(s)) for s in starts
                  if (batch.labels[:, batch.prompt + int(s) + 1] != IGNORE).any()]
        optimiser.step(sum(loss for loss, _ in rounds) / len(rounds))
        report.add(loss=rounds[0][0], **{kind: sum(hit for _, hit in rounds) / len(rounds)})


def save_drafter(drafter, directory):
    """Writes the drafter's config.json, model.safetensors (bf16; token_ordering int64) and generation_config.json."""
    state = {key: value.to(torch.bfloat16) if value.is_floating_point() else value
             for key, value in drafter.state_dict().items()}
    drafter.save_pretrained(directory, state_dict=state)
    path = Path(directory) / "config.json"
    config = json.loads(path.read_text())
    for part in (config, config["text_config"]):
        if part.get("dtype"):
            part["dtype"] = "bfloat16"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    generation = {"num_assistant_tokens": DRAFTED, "num_assistant_tokens_schedule": "constant"}
    (Path(directory) / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
