"""Ways to get Gemma 4's pictures wrong, done to transformers: the vision tower, and the unified pixel embedder.

As in perturb.py, each is (name, context manager).
"""

import contextlib
import sys

import torch

from .load import text_model, vision_tower
from .perturb_tools import filled, hooked, other_eps, setting


def _modules(tower, kind):
    return [m for m in tower.modules() if type(m).__name__.endswith(kind)]


def _positions(model, change):
    """Hands the tower or embedder changed positions, but leaves the choice of rows to the right ones."""
    tower = vision_tower(model)
    if tower is None:
        embedder = model.model.embed_vision
        return hooked([embedder], lambda m, args: (args[0], change(args[1])), before=True)
    forward = type(tower.patch_embedder).forward
    return setting((type(tower.patch_embedder), "forward", lambda self, x, positions, padding:
                    forward(self, x, change(positions), padding)))


def _pixels(model, change):
    tower = vision_tower(model)
    owner = model.model.embed_vision if tower is None else tower.patch_embedder
    return hooked([owner], lambda m, args: (change(args[0]), *args[1:]), before=True)


def swapped(positions):
    """y where x belongs."""
    return positions.flip(-1)


def shared(model):
    """What tower and embedder can both get wrong."""
    yield "vision: positions x and y swapped", _positions(model, swapped)
    yield "vision: positions one too far", _positions(model, lambda p: torch.where(p < 0, p, p + 1))
    yield "vision: channels before pixels", _pixels(model, lambda x: x.unflatten(-1, (-1, 3)).transpose(-1, -2).flatten(-2))
    yield "vision: pixels not over 255", _pixels(model, lambda x: 255 * x)
    project = model.model.embed_vision
    inner = getattr(project, "multimodal_embedder", project)
    yield "vision: no norm before the projection", hooked([inner.embedding_pre_projection_norm],
                                                          lambda m, args, out: args[0])
    yield "vision: norm after the projection", _norm_after(inner)
    root = model.config.get_text_config().hidden_size**0.5
    yield "vision: soft tokens times sqrt(H)", hooked([inner], lambda m, args, out: out * root)
    norm = inner.embedding_pre_projection_norm
    yield "vision: projection eps", setting((norm, "eps", other_eps(norm.eps)))


@contextlib.contextmanager
def _norm_after(embedder):
    norm = embedder.embedding_pre_projection_norm
    with hooked([norm], lambda m, args, out: args[0]), hooked(
            [embedder], lambda m, args, out: type(norm)._norm(norm, out)):
        yield


def embedder_rules(model):
    """The unified embedder."""
    embed = model.model.embed_vision
    norms = [embed.patch_ln1, embed.patch_ln2, embed.pos_norm]
    yield "vision: 2 (x - 1/2) where there is none", _pixels(model, lambda x: 2 * (x - 0.5))
    yield "vision: LayerNorm eps 1e-6", setting(*[(n, "eps", 1e-6) for n in norms])
    yield "vision: RMS for LayerNorm", hooked(norms, lambda m, args, out: args[0] * torch.rsqrt(
        args[0].pow(2).mean(-1, keepdim=True) + m.eps) * m.weight + m.bias)
    for name, norm in zip(("first", "second", "last"), norms):
        yield f"vision: no {name} LayerNorm", hooked([norm], lambda m, args, out: args[0])


def tower_rules(model):
    """The tower's arithmetic."""
    tower = vision_tower(model)
    module = sys.modules[type(tower).__module__]
    layers = tower.encoder.layers
    attention = [layer.self_attn for layer in layers]
    norms = [n for n in _modules(tower, "RMSNorm") if n.with_scale]
    yield "vision: 2 (x - 1/2) missing", _pixels(model, lambda x: x / 2 + 0.5)
    yield "vision: 2 (x - 1/2) twice", _pixels(model, lambda x: 2 * (x - 0.5))
    eps = layers[0].input_layernorm.eps
    yield "vision: eps", setting(*[(n, "eps", other_eps(eps)) for n in _modules(tower, "RMSNorm")])
    yield "vision: 1 + w", filled(*[(n.weight, n.weight + 1) for n in norms])
    yield "vision: LayerNorm for RMSNorm", hooked(
        [n for layer in layers for n in layer.children() if n in norms],
        lambda m, args, out: (args[0] - args[0].mean(-1, keepdim=True)) * torch.rsqrt(
            args[0].var(-1, keepdim=True, unbiased=False) + m.eps) * m.weight)
    yield "vision: attention scaled by 1/sqrt(d)", setting(*[(a, "scaling", a.head_dim**-0.5) for a in attention])
    yield "vision: v_norm missing", hooked([a.v_norm for a in attention], lambda m, args, out: args[0])
    yield "vision: erf GELU", setting(*[(layer.mlp, "act_fn", torch.nn.GELU()) for layer in layers])
    yield "vision: MLP without its gate", hooked(
        [layer.mlp for layer in layers], lambda m, args, out: m.down_proj(m.act_fn(m.up_proj(args[0]))))
    yield "vision: padding attended to", hooked(
        [layer.self_attn for layer in layers], before=True, with_kwargs=True,
        hook=lambda m, args, kwargs: (args, {**kwargs, "attention_mask": None}))
    if attention[0].num_key_value_groups > 1 and attention[0].k_proj.linear.out_features > attention[0].head_dim:
        yield "vision: KV heads interleaved", setting((module, "repeat_kv", lambda x, n: x.repeat(1, n, 1, 1)))
    if tower.config.use_clipped_linears:
        yield "vision: nothing clipped", setting(*[(m, "use_clipped_linears", False)
                                                   for m in _modules(tower, "ClippableLinear")])


def tower_rope(model):
    """The tower's axial RoPE."""
    tower = vision_tower(model)
    module = sys.modules[type(tower).__module__]
    rotary = tower.encoder.rotary_emb
    forward, rope = type(rotary).forward, module.apply_multidimensional_rope
    yield "vision: no RoPE", setting((module, "apply_multidimensional_rope", lambda x, *rest, **more: x))
    yield "vision: RoPE's x and y swapped", setting((type(rotary), "forward", lambda self, x, p: forward(self, x, p.flip(-1))))
    yield "vision: RoPE by patch number", setting((type(rotary), "forward", lambda self, x, p: forward(
        self, x, torch.arange(p.shape[1])[None, :, None].expand_as(p))))
    yield "vision: theta 10000", filled((rotary.inv_freq, 1e4**-(torch.arange(len(rotary.inv_freq)) / len(rotary.inv_freq))))

    def whole(x, cos, sin, position_ids, unsqueeze_dim=2):
        """Halves of the whole head, as the text has them."""
        return module.apply_rotary_pos_emb(x, cos, sin, unsqueeze_dim=unsqueeze_dim)

    yield "vision: pairs across x and y", setting((module, "apply_multidimensional_rope", whole))

    def interleaved(x, cos, sin, position_ids, unsqueeze_dim=2):
        half = module.rotate_half
        with setting((module, "rotate_half", lambda v: torch.stack((-v[..., 1::2], v[..., ::2]), dim=-1).flatten(-2))):
            out = rope(x, cos, sin, position_ids, unsqueeze_dim=unsqueeze_dim)
        assert module.rotate_half is half
        return out

    yield "vision: interleaved pairs", setting((module, "apply_multidimensional_rope", interleaved))


def pooling(model):
    """From patches to soft tokens."""
    tower = vision_tower(model)
    pooler = type(tower.pooler)
    forward, pool = pooler.forward, pooler._avg_pool_by_positions

    def in_order(self, hidden, positions, length):
        k = hidden.shape[1] // length
        seen = ~(positions == -1).all(-1)
        return hidden.unflatten(1, (length, k)).mean(2), seen.unflatten(1, (length, k)).any(2)

    def by_number(self, hidden, positions, length):
        out, mask = pool(self, hidden, positions, length)
        return out * (hidden.shape[1] // length), mask

    def columns(self, hidden, positions, length):
        return pool(self, hidden, positions.flip(-1), length)

    yield "vision: pooled in order, not by place", setting((pooler, "_avg_pool_by_positions", in_order))
    yield "vision: summed, not averaged", setting((pooler, "_avg_pool_by_positions", by_number))
    yield "vision: pooled by columns", setting((pooler, "_avg_pool_by_positions", columns))
    yield "vision: sqrt(h) missing", setting((tower.pooler, "root_hidden_size", 1.0))
    yield "vision: padding pooled too", setting((pooler, "forward", lambda self, hidden_states, pixel_position_ids,
                                                 padding_positions, output_length: forward(
        self, hidden_states, pixel_position_ids, torch.zeros_like(padding_positions), output_length)))
    if tower.config.standardize:
        yield "vision: not standardized", setting((tower.config, "standardize", False))
        yield "vision: scaled before the bias", filled((tower.std_bias, tower.std_bias / tower.std_scale))


@contextlib.contextmanager
def _rows_by_own_id(model):
    text, seen = text_model(model), {}
    get = text.get_per_layer_inputs
    with hooked([model], lambda m, args, kwargs: seen.update(ids=kwargs["input_ids"]), before=True, with_kwargs=True), \
            setting((text, "get_per_layer_inputs", lambda ids, embeds: get(seen["ids"], embeds))):
        yield


def merging(model):
    """Where soft tokens meet the text. Audio's too: the rules are the same."""
    text = text_model(model)
    if getattr(text, "hidden_size_per_layer_input", 0):
        yield "vision: per-layer rows by the placeholder's id", _rows_by_own_id(model)
        project, root = text.project_per_layer_inputs, model.config.get_text_config().hidden_size**0.5
        yield "vision: per-layer context of scaled soft tokens", _context(model, project, root)
    model_class = type(model.model)
    features = model_class.get_image_features

    def backwards(self, *args, **kwargs):
        out = features(self, *args, **kwargs)
        out.pooler_output = tuple(reversed(out.pooler_output))
        return out

    yield "vision: pictures in reverse order", setting((model_class, "get_image_features", backwards))


@contextlib.contextmanager
def _context(model, project, root):
    text, seen = text_model(model), {}

    def scaled(embeds, rows):
        config = model.config
        media = sum((seen["ids"] == i) for i in (config.image_token_id, config.video_token_id, config.audio_token_id)) > 0
        return project(torch.where(media[..., None], embeds * root, embeds), rows)

    with hooked([model], lambda m, args, kwargs: seen.update(ids=kwargs["input_ids"]), before=True, with_kwargs=True), \
            setting((text, "project_per_layer_inputs", scaled)):
        yield


def all_of(model):
    """Every perturbation of a model's pictures."""
    if getattr(model.model, "embed_vision", None) is None:
        return
    yield from shared(model)
    yield from merging(model)
    groups = (embedder_rules,) if vision_tower(model) is None else (tower_rules, tower_rope, pooling)
    for group in groups:
        yield from group(model)
