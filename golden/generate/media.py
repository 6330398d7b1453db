"""Front-end cases of media: what transformers' processors return for the files of media_files.py, stage by stage.

Processors: `e` (published settings of the models with a tower), `unified` (published settings of 12B), `small` (no setting is
the default one). A film is read by PyAV, sound by librosa, pictures by Pillow, which are transformers' own loaders here.
"""

import copy
import functools
import json
import warnings

import numpy as np

from . import media_files, tokenizer
from .front_end import Case, kept

FACTOR = 1 / 255
E = {
    "processor_class": "Gemma4Processor", "image_seq_length": 280, "audio_seq_length": 750, "audio_ms_per_token": 40,
    "image_processor": {
        "image_processor_type": "Gemma4ImageProcessor", "do_convert_rgb": True, "do_normalize": False, "do_rescale": True,
        "do_resize": True, "image_mean": [0.0] * 3, "image_std": [1.0] * 3, "max_soft_tokens": 280, "patch_size": 16,
        "pooling_kernel_size": 3, "resample": 3, "rescale_factor": FACTOR},
    "video_processor": {
        "video_processor_type": "Gemma4VideoProcessor", "do_convert_rgb": True, "do_normalize": True, "do_rescale": True,
        "do_resize": True, "do_sample_frames": True, "image_mean": [0.0] * 3, "image_std": [1.0] * 3,
        "max_soft_tokens": 70, "num_frames": 32, "patch_size": 16, "pooling_kernel_size": 3, "resample": 3,
        "rescale_factor": FACTOR, "return_metadata": False},
    "feature_extractor": {
        "feature_extractor_type": "Gemma4AudioFeatureExtractor", "dither": 0.0, "feature_size": 128, "fft_length": 512,
        "fft_overdrive": False, "frame_length": 320, "hop_length": 160, "input_scale_factor": 1.0,
        "max_frequency": 8000.0, "mel_floor": 0.001, "min_frequency": 0.0, "padding_side": "right", "padding_value": 0.0,
        "per_bin_mean": None, "per_bin_stddev": None, "preemphasis": 0.0, "preemphasis_htk_flavor": True,
        "return_attention_mask": True, "sampling_rate": 16000}}
UNIFIED = {
    "processor_class": "Gemma4UnifiedProcessor", "image_seq_length": 280, "audio_seq_length": 750, "audio_ms_per_token": 40,
    "image_processor": {**E["image_processor"], "image_processor_type": "Gemma4UnifiedImageProcessor"},
    "video_processor": {**E["video_processor"], "video_processor_type": "Gemma4UnifiedVideoProcessor"},
    "feature_extractor": {
        "feature_extractor_type": "Gemma4UnifiedAudioFeatureExtractor", "feature_size": 640,
        "audio_samples_per_token": 640, "padding_side": "right", "padding_value": 0.0, "return_attention_mask": True,
        "sampling_rate": 16000}}
SMALL = {
    **E,
    "image_processor": {**E["image_processor"], "patch_size": 6, "pooling_kernel_size": 2, "max_soft_tokens": 70,
                        "do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.6, 0.7]},
    "video_processor": {**E["video_processor"], "patch_size": 4, "num_frames": None, "fps": 2, "max_soft_tokens": 70},
    "feature_extractor": {**E["feature_extractor"], "feature_size": 20, "frame_length_ms": 25.0, "hop_length_ms": 12.5,
                          "fft_overdrive": True, "min_frequency": 60.0, "max_frequency": 7600.0, "mel_floor": 1e-5,
                          "preemphasis": 0.97, "input_scale_factor": 0.5,
                          "per_bin_mean": [round(0.1 * i - 3, 3) for i in range(20)],
                          "per_bin_stddev": [round(1 + 0.05 * i, 3) for i in range(20)]}}
CHECKPOINTS = {"e": ("gemma4", E), "unified": ("gemma4_unified", UNIFIED), "small": ("gemma4", SMALL)}

WORDS = ("What is in this picture? Say what you hear, and what the film shows, second by second: 00:01 02:03 45 678 9. "
         "user model system turn The capital of France is Paris. ") * 8


def front_end_checkpoints(folder):
    """What a processor reads, and the media files beside."""
    for name, (model_type, processor) in CHECKPOINTS.items():
        here = folder / name
        here.mkdir(exist_ok=True)
        if not (here / "tokenizer.json").exists():
            tokenizer.train([WORDS], 360, here)
            (here / "tokenizer.model").unlink()
        (here / "processor_config.json").write_text(json.dumps(processor, indent=2) + "\n")
        (here / "config.json").write_text(json.dumps({"model_type": model_type}) + "\n")
    media_files.write(folder.parent / "files")


@functools.cache
def processor(folder):
    """The processor of a checkpoint folder."""
    from transformers.models.gemma4 import Gemma4Processor
    from transformers.models.gemma4_unified.processing_gemma4_unified import Gemma4UnifiedProcessor

    unified = json.loads((folder / "config.json").read_text())["model_type"].startswith("gemma4_unified")
    return (Gemma4UnifiedProcessor if unified else Gemma4Processor).from_pretrained(folder)


def _some(n):
    """Rows of a picture or of its patches that are kept: ends, middles, and both sides of a block."""
    return [0, 1, 2, 15, 16, 17, n // 3, n // 2, n // 2 + 1, n - 17, n - 2, n - 1]


def _whole(array, most=40_000):
    return array if array.size <= most else kept(array, _some(len(array)))


def _image_stages(made, proc, images, budget, stages):
    import torch

    settings = proc.image_processor
    soft = budget or settings.max_soft_tokens
    for n, image in enumerate(images):
        stages[f"image.{n}.decoded"] = _whole(np.asarray(image))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        resized = settings.aspect_ratio_preserving_resize(
            pixels, settings.patch_size, soft * settings.pooling_kernel_size ** 2, settings.pooling_kernel_size,
            _bicubic())
        stages[f"image.{n}.resized"] = _whole(resized.permute(1, 2, 0).numpy())
        patches, positions = made["pixel_values"][n].numpy(), made["image_position_ids"][n].numpy()
        real = int((positions[:, 0] >= 0).sum())
        few = [0, real // 2, real - 1, real, len(patches) - 1]
        stages[f"image.{n}.patches"] = kept(patches.astype(np.float32), few)
        stages[f"image.{n}.positions"] = positions


def _bicubic():
    from torchvision.transforms.v2 import functional

    return functional.InterpolationMode.BICUBIC


def _audio_stages(made, clips, stages):
    for n, clip in enumerate(clips):
        stages[f"audio.{n}.samples"] = clip if len(clip) <= 20000 else kept(clip, _stretches(len(clip)))
        features, mask = made["input_features"][n].numpy(), made["input_features_mask"][n].numpy()
        few = list(range(0, len(features), max(1, len(features) // 12))) + [0, 1, 2, int(mask.sum()) - 1, int(mask.sum())]
        stages[f"audio.{n}.mel"] = features if features.size <= 4000 else kept(features, few)
        stages[f"audio.{n}.mask"] = mask.astype(np.int64)


def _stretches(n):
    return [i for start in (0, n // 2, n - 600) for i in range(start, start + 600)]


def _video_stages(made, proc, films, stages):
    import torch

    settings, first = proc.video_processor, 0
    for n, (frames, metadata) in enumerate(films):
        stages[f"video.{n}.indices"] = np.asarray(metadata.frames_indices, dtype=np.int64)
        few = [0, len(frames) // 2, len(frames) - 1]
        stages[f"video.{n}.decoded"] = kept(frames, few)
        resized = settings.aspect_ratio_preserving_resize(
            torch.from_numpy(frames[few[1]:few[1] + 1].copy()).permute(0, 3, 1, 2).contiguous(), settings.patch_size,
            settings.max_soft_tokens * settings.pooling_kernel_size ** 2, settings.pooling_kernel_size, _bicubic())
        shape = (len(frames), *resized.shape[2:], 3)
        whole = np.broadcast_to(resized.permute(0, 2, 3, 1).numpy(), shape)
        stages[f"video.{n}.resized"] = kept(whole, [few[1]])
        patches = made["pixel_values_videos"][first:first + len(frames)].numpy()
        positions = made["video_position_ids"][first:first + len(frames)].numpy()
        rows = patches.shape[1]
        stages[f"video.{n}.patches"] = kept(patches.reshape(-1, patches.shape[2]).astype(np.float32),
                                            [frame * rows + row for frame in few for row in (0, 1, rows - 1)])
        stages[f"video.{n}.positions"] = positions.reshape(-1, 2)
        first += len(frames)


def _load_film(proc, file, options):
    from transformers.video_utils import load_video

    settings = proc.video_processor
    sampling = {"num_frames": settings.num_frames, "fps": settings.fps, **options}
    choose = functools.partial(settings.sample_frames, **sampling)
    return load_video(str(file), backend="pyav", sample_indices_fn=lambda metadata, **_: choose(metadata))


def request_stages(folder, request):
    """The stages of a request with media, as transformers' processor goes through them."""
    from transformers.audio_utils import load_audio
    from transformers.image_utils import load_image

    proc = processor(folder / "checkpoints" / request["checkpoint"])
    options = request.get("options", {})
    path = folder / "files"
    lists = [request.get(kind, []) for kind in ("images", "audio", "videos")]
    batched = "texts" in request
    rendered = None
    if "messages" in request:
        rendered = proc.apply_chat_template(copy.deepcopy(request["messages"]), add_generation_prompt=True, tokenize=False)
    flat = [[f for one in files for f in one] if batched else files for files in lists]
    images = [load_image(str(path / f)) for f in flat[0]]
    sampling = {k: options[k] for k in ("num_frames", "fps") if k in options}
    clips = [load_audio(str(path / f)).astype(np.float32) for f in flat[1]]
    films = [_load_film(proc, path / f, sampling) for f in flat[2]]
    text = request["texts"] if batched else rendered if rendered is not None else request["text"]
    kwargs = {"text": text, "return_tensors": "pt"}
    if rendered is not None and rendered.startswith(proc.tokenizer.bos_token):
        kwargs["text_kwargs"] = {"add_special_tokens": False}  # as apply_chat_template does when it tokenizes
    if images:
        left = iter(images)
        kwargs["images"] = [[next(left) for _ in files] for files in lists[0]] if batched else images
        kwargs["images_kwargs"] = {"max_soft_tokens": options["image_tokens"]} if "image_tokens" in options else {}
    if clips:
        kwargs["audio"] = clips
    if films:
        kwargs["videos"] = [frames for frames, _ in films]
        kwargs["videos_kwargs"] = {"video_metadata": [m for _, m in films], "do_sample_frames": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = proc(**kwargs)
    stages = {} if rendered is None else {"text.rendered": rendered}
    _image_stages(made, proc, images, options.get("image_tokens"), stages)
    _audio_stages(made, clips, stages)
    _video_stages(made, proc, films, stages)
    ids = made["input_ids"].numpy()
    stages["layout.ids"] = ids if batched else ids[0]
    types = np.asarray(made["mm_token_type_ids"], dtype=np.int64)
    stages["layout.types"] = types if batched else types[0]
    if batched:
        stages["layout.mask"] = made["attention_mask"].numpy()
    return stages


ONE_IMAGE = "user: <|image|> What is in this picture?"
ONE_CLIP = "Say what you hear: <|audio|>"
ONE_FILM = "<|video|>what the film shows"
DECODED = {  # files whose decoding is the point
    "alpha": "alpha.png", "palette": "palette.png", "palette-2-bits": "palette-2-bits.png", "grey": "grey.png",
    "black-and-white": "black-and-white.png", "bmp": "picture.bmp", "bmp-palette": "palette.bmp", "gif": "picture.gif",
    "jpeg": "photo.jpg", "jpeg-444": "photo-444.jpg", "jpeg-422-progressive": "photo-422-progressive.jpg",
    "jpeg-grey": "grey.jpg", "jpeg-turned": "turned.jpg", "png-turned": "turned.png", "webp": "picture.webp",
    "webp-lossless-alpha": "lossless.webp"}


def requests():
    """name -> (what, request)."""
    def image(file, checkpoint="e", text=ONE_IMAGE, **options):
        return {"checkpoint": checkpoint, "text": text, "images": [file] if isinstance(file, str) else file,
                **({"options": options} if options else {})}

    def audio(file, checkpoint="e", text=ONE_CLIP):
        return {"checkpoint": checkpoint, "text": text, "audio": [file] if isinstance(file, str) else file}

    def video(file, checkpoint="e", text=ONE_FILM, **options):
        return {"checkpoint": checkpoint, "text": text, "videos": [file] if isinstance(file, str) else file,
                **({"options": options} if options else {})}

    yield "image", "A small picture is enlarged to fill its budget.", image("picture.png")
    yield "image-wide", "A picture 6.4 times as wide as high.", image("wide.png")
    yield "image-tall", "A picture 6.25 times as high as wide, smaller than its budget.", image("tall.png", "small")
    yield "image-pixel", "A single pixel.", image("pixel.png")
    yield "image-strip", "20000 x 3: as long as the budget lets one row of squares be.", image("strip.png")
    yield "image-fitting", "A picture that has its size already is not resized.", image("fitting.png", image_tokens=70)
    for name, file in DECODED.items():
        yield f"image-{name}", f"Decoding {file}.", image(file, "small")
    for budget in (70, 140, 560, 1120):
        yield f"image-{budget}", f"A budget of {budget} soft tokens.", image("picture.png", image_tokens=budget)
    yield ("images", "Three pictures of different sizes in one prompt.",
           image(["wide.png", "picture.png", "tall.png"], text="<|image|><|image|>and\n<|image|>"))
    yield "unified-image", "Merged patches.", image("picture.png", "unified")
    yield ("unified-images", "Merged patches of two pictures.",
           image(["tall.png", "wide.png"], "unified", "<|image|> or <|image|>?", image_tokens=140))
    for name, file in {"speech": "speech.wav", "8k": "speech-8k.wav", "stereo": "stereo.flac", "tones": "tones.flac",
                       "mp3": "speech.mp3", "silence": "silence.wav", "cut": "half-a-minute.flac"}.items():
        yield f"audio-{name}", f"The sound of {file}.", audio(file)
    yield ("audio-two", "Two clips of unequal length: the shorter is padded, and its mask says so.",
           audio(["speech.wav", "tones.flac"], text="<|audio|> and <|audio|>"))
    yield "audio-small", "Other settings of the feature extractor, each of them.", audio("stereo.flac", "small")
    yield ("audio-click", "100 samples beside a longer clip: too short for a frame, no soft token.",
           audio(["click.wav", "speech-8k.wav"], text="<|audio|><|audio|>"))
    yield "unified-audio", "Raw frames, the last filled up.", audio("speech.wav", "unified")
    yield ("unified-audio-two", "Raw frames of two clips.",
           audio(["tones.flac", "speech-8k.wav"], "unified", "<|audio|><|audio|>"))
    yield "video", "32 of 40 frames, at 10 a second.", video("clip.mp4")
    yield "video-upright", "29.97 frames a second, higher than wide, with B-frames.", video("upright.mp4")
    yield "video-frames", "8 frames asked for.", video("long-and-slow.mp4", num_frames=8)
    yield "video-fps", "2 frames a second, by the configuration.", video("long-and-slow.mp4", "small")
    yield "unified-video", "Merged patches of frames.", video("clip.mp4", "unified", num_frames=5)
    yield ("videos", "Two films of different sizes in one prompt.",
           video(["upright.mp4", "clip.mp4"], text="<|video|><|video|>", num_frames=4))
    yield "mixed", "A picture, a clip and a film.", {
        "checkpoint": "e", "text": "see <|video|> hear <|audio|> look <|image|>.", "images": ["picture.png"],
        "audio": ["speech-8k.wav"], "videos": ["long-and-slow.mp4"], "options": {"num_frames": 3}}
    yield "chat", "A conversation with a picture, a clip and a film, from its messages to its tensors.", {
        "checkpoint": "e", "images": ["picture.png"], "audio": ["speech-8k.wav"], "videos": ["clip.mp4"],
        "options": {"num_frames": 2}, "messages": [
            {"role": "system", "content": "You see and hear."},
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}, {"type": "audio"}]},
            {"role": "assistant", "content": "A disc."},
            {"role": "user", "content": [{"type": "text", "text": "And this?"}, {"type": "video"}]}]}
    yield "batch", "Three prompts with other numbers of pictures, padded on the left.", {
        "checkpoint": "small", "texts": [ONE_IMAGE, "What is it? Paris.", "<|image|><|image|> say"],
        "images": [["picture.png"], [], ["tall.png", "wide.png"]]}


def front_end_cases(folder):
    """Every case."""
    for name, what, request in requests():
        yield Case(name, what, request, request_stages(folder, request))

