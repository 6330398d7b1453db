"""Which keys each query sees, as transformers builds its masks: uint8 [B, queries, keys], 1 where visible."""

import torch
from transformers import DynamicCache, Gemma4TextConfig
from transformers.masking_utils import create_masks_for_generate
from transformers.models.gemma4 import modeling_gemma4 as g4
from transformers.models.gemma4_unified.configuration_gemma4_unified import Gemma4UnifiedTextConfig

W, T = 5, 12


def _config(cls):
    small = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, head_dim=6, global_head_dim=8, sliding_window=W,
                 layer_types=["sliding_attention", "full_attention"], use_bidirectional_attention="vision")
    config = cls(**small)
    config._attn_implementation = "eager"
    return config


def _seen(masks):
    return {kind.split("_")[0]: (mask[:, 0] == 0) for kind, mask in masks.items()}


def _masks(unified, rows, types=None, attention_mask=None, past=0, position_ids=None):
    """Both kinds of mask; types follow forward(): unified lets a block override the window, gemma4 keeps it inside."""
    config = _config(Gemma4UnifiedTextConfig if unified else Gemma4TextConfig)
    batch = 1 if types is None and attention_mask is None else len(types if types is not None else attention_mask)
    cache = None
    if past:
        cache = DynamicCache(config=config)
        for layer, (heads, dim) in enumerate(((2, 6), (2, 8))):
            cache.update(torch.zeros(batch, heads, past, dim), torch.zeros(batch, heads, past, dim), layer)
    kwargs = dict(config=config, inputs_embeds=torch.zeros(batch, rows, 16), attention_mask=attention_mask,
                  past_key_values=cache, position_ids=(torch.arange(rows) + past)[None].expand(batch, -1)
                  if position_ids is None else position_ids)
    if types is None:
        return _seen(create_masks_for_generate(**kwargs))
    blocks = g4.get_block_sequence_ids_for_mask(types, device=types.device)
    if unified:
        return _seen(create_masks_for_generate(**kwargs, block_sequence_ids=blocks))
    return _seen(g4.create_masks_for_vision_model(**kwargs, block_sequence_ids=blocks))


def mask_cases(sheet):
    """Puts every mask into the sheet; `types`, `attention_mask` and `position_ids` are what made it."""
    types = torch.tensor([[0, 1, 1, 1, 0, 0, 2, 2, 2, 2, 2, 2]])
    audio = torch.tensor([[0, 3, 3, 3, 0, 1, 1, 2, 2, 0, 1, 1]])
    padded = torch.tensor([[0] * 4 + [1] * 8, [1] * 12])
    pair = torch.tensor([[0] * 5 + [1] * 4 + [0] * 3, [0] + [1] * 7 + [0] * 2 + [2] * 2])
    holes = torch.tensor([[0] * 7 + [1] * 5, [1] * 4 + [0] + [1] * 7])
    packs = torch.tensor([[3, 4, 5, 0, 1, 2, 3, 3, 4, 5, 6, 9]])
    for name, arguments in (
            ("packed", dict(rows=T, position_ids=packs)), ("packed-blocks", dict(rows=T, position_ids=packs, types=types)),
            ("causal", dict(rows=T)), ("padded", dict(rows=T, attention_mask=padded)),
            ("cache-of-5", dict(rows=4, past=5)), ("cache-of-5-decode", dict(rows=1, past=5)),
            ("cache-of-5-padded", dict(rows=3, past=5, attention_mask=torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1]]))),
            ("blocks", dict(rows=T, types=types)), ("blocks-audio", dict(rows=T, types=audio)),
            ("blocks-padded", dict(rows=T, types=pair, attention_mask=padded)),
            ("blocks-with-holes", dict(rows=T, types=pair, attention_mask=holes))):
        for unified in (False, True):
            given = {k: v for k, v in arguments.items() if isinstance(v, torch.Tensor)}
            at = f"mask/{'unified' if unified else 'gemma4'}-{name}"
            # A sliding cache holds its last W-1 keys only: its mask has that many columns fewer than the full one.
            sheet.put(at, {**given, **_masks(unified, **arguments)}, window=W, past=arguments.get("past", 0))
