"""Hooks for the taps of the audio tower, and of the unified projection of raw frames. Shapes: [1,n*T,...].

T is the padded length where the tap is taken: frames before the subsampling, a quarter of them after it.
"""

from .load import audio_tower
from .record_vision import flat


def hook_audio(recorder):
    """Registers the hooks; taps appear in recorder.taps."""
    model = recorder.model.model
    if getattr(model, "embed_audio", None) is None:
        return

    def put(name, tensor):
        recorder.taps[name] = flat(tensor.detach().float()).clone()

    def after(module, name):
        recorder.after(module, lambda m, args, out: put(name, out))

    tower, masks = audio_tower(recorder.model), {}
    if tower is None:
        recorder.before(model.embed_audio, lambda m, args, kwargs: put("audio.mel", kwargs["inputs_embeds"]),
                        with_kwargs=True)
    else:
        def enter(module, args):
            put("audio.mel", args[0])

        def leave(module, args, out):
            put("audio.encoded", out.last_hidden_state)
            masks["real"] = out.attention_mask

        recorder.before(tower, enter)
        recorder.after(tower.subsample_conv_projection, lambda m, args, out: put("audio.subsample", out[0]))
        for index, layer in enumerate(tower.layers):
            at = f"audio.layer.{index:02d}."
            after(layer.feed_forward1, at + "ffn1")
            recorder.before(layer.lconv1d, lambda m, args, at=at: put(at + "attn", args[0]))
            after(layer.lconv1d, at + "conv")
            after(layer.feed_forward2, at + "ffn2")
            after(layer, at + "out")
        recorder.after(tower, leave)

    def projected(module, args, out):
        real = masks["real"] if tower is not None else recorder.inputs["input_features_mask"].bool()
        recorder.taps["audio.projected"] = out[real][None].detach().float().clone()

    recorder.after(model.embed_audio, projected)
