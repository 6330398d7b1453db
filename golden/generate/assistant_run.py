"""One round of a drafter in transformers, with every tap: what SinglePositionMultiTokenCandidateGenerator does.

Not here: what makes a round a golden (assistant.py).
"""

import contextlib
import sys

import torch


def open_drafter(directory, dtype=torch.float32):
    """The drafter of a checkpoint directory, eager attention."""
    from transformers.models.gemma4_assistant.modeling_gemma4_assistant import Gemma4AssistantForCausalLM
    from transformers.models.gemma4_unified_assistant.modeling_gemma4_unified_assistant import (
        Gemma4UnifiedAssistantForCausalLM)

    from .load import model_type
    cls = {"gemma4_assistant": Gemma4AssistantForCausalLM,
           "gemma4_unified_assistant": Gemma4UnifiedAssistantForCausalLM}[model_type(directory)]
    return cls.from_pretrained(directory, dtype=dtype, attn_implementation="eager").eval()


class Taps:
    """Context manager: `taps` fills with name -> [B,1,...] fp32 for the last forward of a drafter."""

    def __init__(self, drafter):
        self.drafter, self.taps, self.scores = drafter, {}, None
        self._layer, self._stack = None, contextlib.ExitStack()

    def __enter__(self):
        model = self.drafter.model
        self._after(self.drafter.pre_projection, "assistant.in")
        for index, layer in enumerate(model.layers):
            self._hook_layer(f"assistant.layer.{index:02d}.", layer)
        self._after(model.norm, "assistant.norm")
        self._after(self.drafter.post_projection, "assistant.state")
        self._hook(self.drafter, lambda m, args, out: self._put("assistant.logits", out.logits))
        if self.drafter.masked_embedding is not None:
            self._hook(self.drafter.masked_embedding.centroids,
                       lambda m, args, out: setattr(self, "scores", out.float().clone()))
        module = sys.modules[type(model.layers[0].self_attn).__module__]
        original = module.apply_rotary_pos_emb

        def rope(x, cos, sin, unsqueeze_dim=1):
            out = original(x, cos, sin, unsqueeze_dim=unsqueeze_dim)
            self._put(self._layer + "attn.q_rope", out)  # the only one: keys come turned
            return out

        module.apply_rotary_pos_emb = rope
        self._stack.callback(setattr, module, "apply_rotary_pos_emb", original)
        return self

    def __exit__(self, *error):
        self._stack.close()
        return False

    def _put(self, name, tensor):
        self.taps[name] = tensor.detach().float().clone()

    def _hook(self, module, hook, before=False):
        handle = (module.register_forward_pre_hook if before else module.register_forward_hook)(hook)
        self._stack.callback(handle.remove)

    def _after(self, module, name):
        self._hook(module, lambda m, args, out: self._put(name, out))

    def _before(self, module, name):
        self._hook(module, lambda m, args: self._put(name, args[0]), before=True)

    def _hook_layer(self, at, layer):
        attention = layer.self_attn
        self._stack.callback(attention.register_forward_pre_hook(
            lambda m, args, kwargs: setattr(self, "_layer", at), with_kwargs=True).remove)
        self._after(layer.input_layernorm, at + "attn_norm")
        self._after(attention.q_norm, at + "attn.q")
        self._before(attention.o_proj, at + "attn.ctx")
        self._after(attention.o_proj, at + "attn.out")
        self._before(layer.pre_feedforward_layernorm, at + "post_attn")
        self._after(layer.pre_feedforward_layernorm, at + "ffn_norm")
        self._after(layer.mlp, at + "mlp")
        self._hook(layer.post_feedforward_layernorm,
                   lambda m, args, out: self._put(at + "post_ffn", self.taps[at + "post_attn"].to(out.dtype) + out))
        self._after(layer, at + "out")


@contextlib.contextmanager
def forced_clusters(drafter, chosen):
    """The masked embedder keeps its scores but takes these clusters, so that rounding cannot swap one."""
    if chosen is None:
        yield
        return
    topk, clusters = torch.topk, drafter.masked_embedding.num_centroids

    def forced(x, k, dim=-1, **rest):
        return (x.gather(-1, chosen), chosen) if x.shape[-1] == clusters else topk(x, k, dim=dim, **rest)

    torch.topk = forced
    try:
        yield
    finally:
        torch.topk = topk


class Round:
    """The first round after a prompt.

    taps: name -> [B,steps,...]; newest [B]: the target's choice, which the round starts from; first [B,V]: what it was
    chosen from; ids [B,steps]; scores [B,steps,C] of the clusters, or None.
    """

    def __init__(self, target, drafter, inputs, steps, like=None):
        """`like`: another round whose newest token, drafted ids and clusters are taken over, whatever comes out here."""
        out = target(**inputs, use_cache=True, output_hidden_states=True, return_shared_kv_states=True)
        self.first = out.logits[:, -1].float()
        self.newest = self.first.argmax(-1) if like is None else like.newest
        shared, hidden = dict(out.shared_kv_states), out.hidden_states[-1][:, -1:]
        positions, mask = self._position_and_mask(inputs)
        last, steps_taps, ids, scores = self.newest[:, None], [], [], []
        embed = target.get_input_embeddings()
        for step in range(steps):
            chosen = None if like is None or like.clusters is None else like.clusters[:, step:step + 1]
            with Taps(drafter) as recorder, forced_clusters(drafter, chosen):
                result = drafter(inputs_embeds=torch.cat([embed(last), hidden], dim=-1), attention_mask=mask,
                                 position_ids=positions, shared_kv_states=shared, use_cache=False)
            steps_taps.append(recorder.taps)
            scores.append(recorder.scores)
            ids.append(result.logits.argmax(-1))
            last, hidden = ids[-1] if like is None else like.ids[:, step:step + 1], result.last_hidden_state
        self.taps = {name: torch.cat([taps[name] for taps in steps_taps], dim=1) for name in steps_taps[0]}
        self.ids = torch.cat(ids, dim=1)
        self.scores = None if scores[0] is None else torch.cat(scores, dim=1)
        self.clusters = None
        if self.scores is not None:
            self.clusters = self.scores.topk(drafter.config.centroid_intermediate_top_k, dim=-1).indices

    @staticmethod
    def _position_and_mask(inputs):
        batch, length = inputs["input_ids"].shape
        positions = torch.full((batch, 1), length)
        if "position_ids" in inputs:
            positions = inputs["position_ids"][:, -1:] + 1
        mask = inputs.get("attention_mask")
        if mask is not None:
            mask = torch.cat([mask, torch.ones(batch, 1, dtype=mask.dtype)], dim=1)
        return positions, mask
