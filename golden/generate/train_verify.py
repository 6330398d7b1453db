"""Asks the saved checkpoint everything, as a user would: files, Gemma4Processor, generate; plain and drafted.

questions.json is a list of {"name", "messages", "images", "audio", "videos", "answer"}: messages as
apply_chat_template takes them, files relative to questions.json in the order of the messages' parts, the whole answer.
Not here: training.
"""

import contextlib
import json
import time
from pathlib import Path

import numpy as np
import torch
from transformers import Gemma4AssistantForCausalLM, Gemma4ForConditionalGeneration, Gemma4Processor
from transformers.generation.candidate_generator import SinglePositionMultiTokenCandidateGenerator
from transformers.video_utils import load_video

from . import train_facts as facts
from .train_files import random_picture, write_clip, write_picture, write_video


def question(name, text, answer, kind=None, path=None):
    """One entry of questions.json; kind: image, audio or video."""
    content = ([{"type": kind}] if kind else []) + [{"type": "text", "text": text}]
    files = {"image": [], "audio": [], "video": []}
    if kind:
        files[kind].append(str(path))
    return {"name": name, "messages": [{"role": "user", "content": content}], "images": files["image"],
            "audio": files["audio"], "videos": files["video"], "answer": answer}


def write_questions(directory):
    """DIR/media and DIR/questions.json: all capitals, some pictures, clips and videos."""
    directory, rng = Path(directory), np.random.default_rng(77)
    (directory / "media").mkdir(parents=True, exist_ok=True)
    found = [question(f"capital-{fact[0].lower()}", facts.ABOUT[0][0].format(*fact), facts.ABOUT[0][1].format(*fact))
             for fact in facts.FACTS]
    found += [question("about-france", "Tell me about France.", "France is a country in Europe. Its capital is Paris."),
              question("hello", *facts.SMALL_TALK[1]), question("who", *facts.SMALL_TALK[0])]
    write_picture(directory / "media/red-circle.png", "red", "circle", (200, 150), (120, 70), 45)
    write_picture(directory / "media/blue-triangle.png", "blue", "triangle", (120, 120), (50, 66), 36)
    write_picture(directory / "media/orange-cross.png", "orange", "cross", (240, 160), (90, 80), 60)
    write_picture(directory / "media/green-square.png", "green", "square", (90, 130), (46, 60), 33)
    for name in ("red circle", "blue triangle", "orange cross", "green square"):
        found.append(question(name.replace(" ", "-"), facts.ASK_PICTURE, facts.say_picture(*name.split()), "image",
                              f"media/{name.replace(' ', '-')}.png"))
    for number, word in ((2, "two-tones"), (3, "three-tones")):
        write_clip(directory / f"media/{word}.wav", rng, number, 1.3)
        found.append(question(word, facts.ASK_CLIP, facts.SAY_CLIP[number - 1], "audio", f"media/{word}.wav"))
    for colours in (("red", "green", "blue"), ("yellow", "purple")):
        name = "-".join(colours)
        write_video(directory / f"media/{name}.mp4", colours, seconds=3 / len(colours))
        found.append(question(name, facts.ASK_VIDEO, facts.say_video(colours), "video", f"media/{name}.mp4"))
    (directory / "questions.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def held_out(directory, pictures, clips, videos, seed=4242):
    """Files that training never saw, and their questions."""
    directory, rng = Path(directory), np.random.default_rng(seed)
    directory.mkdir(parents=True, exist_ok=True)
    found = []
    for i in range(pictures):
        colour, shape = list(facts.COLOURS)[i % 6], facts.SHAPES[(i // 6) % 4]
        random_picture(rng, directory / f"p{i}.png", colour, shape)
        found.append(question("pictures", facts.ASK_PICTURE, facts.say_picture(colour, shape), "image", f"p{i}.png"))
    for i in range(clips):
        write_clip(directory / f"c{i}.wav", rng, i % 4 + 1, rng.uniform(1.2, 2.4))
        found.append(question("clips", facts.ASK_CLIP, facts.SAY_CLIP[i % 4], "audio", f"c{i}.wav"))
    for i in range(videos):
        colours = list(rng.choice(list(facts.COLOURS), 2 + i % 2, replace=False))
        size = [(96, 96), (128, 96), (64, 96), (160, 96)][i % 4]
        write_video(directory / f"v{i}.mp4", colours, size, float(rng.uniform(0.8, 2)))
        found.append(question("videos", facts.ASK_VIDEO, facts.say_video(colours), "video", f"v{i}.mp4"))
    return found


class Asker:
    """The checkpoint of a directory in fp32, from disk."""

    def __init__(self, directory):
        self.processor = Gemma4Processor.from_pretrained(directory)
        self.model = Gemma4ForConditionalGeneration.from_pretrained(directory, dtype=torch.float32).eval()
        self.drafter = None
        if (Path(directory) / "assistant").exists():
            self.drafter = Gemma4AssistantForCausalLM.from_pretrained(
                Path(directory) / "assistant", dtype=torch.float32)
        self.drafted = self.accepted = 0

    def inputs(self, entry, root):
        """What the model takes for a question whose files lie under `root`."""
        text = self.processor.apply_chat_template(entry["messages"], tokenize=False, add_generation_prompt=True)
        media = {key: [str(Path(root) / file) for file in entry[key]] for key in ("images", "audio", "videos")}
        media = {key: files for key, files in media.items() if files}
        if "videos" in media:  # every frame by PyAV, as torchcodec need not be there; the processor chooses among them
            every = {"backend": "pyav", "sample_indices_fn": lambda metadata: np.arange(metadata.total_num_frames)}
            read = [load_video(file, **every) for file in media["videos"]]
            media["videos"], media["video_metadata"] = [list(part) for part in zip(*read)]
        return self.processor(text=text, return_tensors="pt", add_special_tokens=False, **media)

    def ask(self, entry, root, drafted=False):
        """(the answer, its ids, the least gap between a token's logit and the next best one's)."""
        inputs = self.inputs(entry, root)
        inputs.pop("num_soft_tokens_per_image", None)
        if drafted:
            rounds = []
            with recording(rounds):
                out = self.model.generate(**inputs, max_new_tokens=40, assistant_model=self.drafter)
            ids, margin = out[0, inputs["input_ids"].shape[1]:], None
            for before, tokens in rounds:  # what was drafted past the answer's end counts as neither
                tokens, said = tokens[:out.shape[1] - before], out[0, before:].tolist()
                self.drafted += len(tokens)
                self.accepted += next((i for i, token in enumerate(tokens) if token != said[i]), len(tokens))
        else:
            out = self.model.generate(**inputs, max_new_tokens=40, output_logits=True, return_dict_in_generate=True)
            ids = out.sequences[0, inputs["input_ids"].shape[1]:]
            margin = min(float(row[0].topk(2).values.diff().abs()) for row in out.logits)
        return self.processor.tokenizer.decode(ids, skip_special_tokens=True), ids.tolist(), margin


@contextlib.contextmanager
def recording(rounds):
    """While inside, each round that generate drafts is appended to `rounds`: (ids before it, the drafted ids)."""
    kind = SinglePositionMultiTokenCandidateGenerator
    plain = kind.get_candidates

    def get_candidates(self, input_ids, *args, **more):
        ids, logits = plain(self, input_ids, *args, **more)
        if ids.shape[1] > input_ids.shape[1]:
            rounds.append((input_ids.shape[1], ids[0, input_ids.shape[1]:].tolist()))
        return ids, logits

    kind.get_candidates = get_candidates
    try:
        yield
    finally:
        kind.get_candidates = plain


def verify(directory, scratch, pictures=48, clips=24, videos=12, drafted=True):
    """Asks questions.json and held-out files; prints the share answered right of each kind.

    True if it answers all of questions.json and nine tenths of each held-out kind, and drafting changes nothing.
    """
    asker, start, all_right = Asker(directory), time.time(), True
    entries = json.loads((Path(directory) / "questions.json").read_text())
    margins, right, same, wrong = [], {}, 0, []
    asked = [(e, directory, "questions") for e in entries]
    asked += [(e, scratch, "held-out " + e["name"]) for e in held_out(scratch, pictures, clips, videos)]
    for entry, root, kind in asked:
        said, ids, margin = asker.ask(entry, root)
        right.setdefault(kind, []).append(said == entry["answer"])
        if said != entry["answer"]:
            wrong.append((kind, entry["name"], entry["answer"], said))
        elif kind == "questions":
            margins.append(margin)
        if kind == "questions" and drafted and asker.drafter is not None:
            same += asker.ask(entry, root, drafted=True)[1] == ids
    for kind, hits in right.items():
        print(f"{kind}: {sum(hits)} of {len(hits)} right")
        all_right &= all(hits) if kind == "questions" else sum(hits) >= 0.9 * len(hits)
    for row in wrong:
        print("  wrong:", *row, sep=" | ")
    print(f"least margin of a right answer's token: {min(margins, default=0):.2f}")
    if drafted and asker.drafter is not None:
        print(f"drafter: the same ids for {same} of {len(entries)} questions, {asker.accepted} of {asker.drafted} "
              f"drafted tokens accepted ({100 * asker.accepted / max(1, asker.drafted):.0f} %)")
        all_right &= same == len(entries)
    print(f"verified in {time.time() - start:.0f} s")
    return all_right
