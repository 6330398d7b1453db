"""The tests' tokenizer, and what transformers makes of the corpus with it.

`python -m generate tokenizer` writes tests/data/tokenizer/: the tokenizer (both files and the configuration) and
cases.json, which the C++ tests read. The same tokenizer and texts are the front end's text goldens.
Not here: the texts (tokenizer_corpus.py), training (tokenizer.py).
"""

import base64
import hashlib
import json
import shutil
import struct
import tempfile
from pathlib import Path

from . import tokenizer_corpus as corpus
from .tokenizer import load, train

TESTS = Path(__file__).resolve().parents[2] / "tests" / "data" / "tokenizer"
FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")
VOCAB = 1100
# Which checkpoint folders of the front-end goldens get the tokenizer, and whether it puts <bos> first there.
CHECKPOINTS = {"e": False, "large": False, "unified": True}


def train_for_tests(folder, add_bos=False):
    """Trains on the corpus into `folder`; returns what transformers loads back."""
    return train(corpus.TRAINING.splitlines(keepends=True), VOCAB, folder, coverage=0.98, add_bos=add_bos)


def text_of(given):
    """The text that Python makes of a case's bytes."""
    return given if isinstance(given, str) else given.decode("utf-8", errors="replace")


def bytes_of(given):
    """The bytes of a case's text."""
    return given.encode() if isinstance(given, str) else given


def expected(tokenizer, given):
    """Ids with and without special tokens around, and what they decode to with and without special tokens."""
    text = text_of(given)
    ids = tokenizer.encode(text)
    return {"ids": ids, "plain": tokenizer.encode(text, add_special_tokens=False),
            "decoded": tokenizer.decode(ids, skip_special_tokens=False),
            "skipped": tokenizer.decode(ids, skip_special_tokens=True)}


def ids_of_pieces(tokenizer, pieces):
    """Ids of DECODED's token strings."""
    vocab = tokenizer.get_vocab()
    return [piece if isinstance(piece, int) else vocab[piece] for piece in pieces]


def digest(ids):
    """SHA-256 of ids as little-endian int64: what stands for a million of them."""
    return hashlib.sha256(struct.pack(f"<{len(ids)}q", *ids)).hexdigest()


def from_model_alone(folder, bos):
    """How transformers reads the same tokenizer from tokenizer.model, tokenizer.json taken away (needs protobuf)."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("tokenizer.model", "tokenizer_config.json"):
            shutil.copy(folder / name, scratch)
        if bos:
            config = json.loads((folder / "tokenizer_config.json").read_text())
            config.pop("extra_special_tokens", None)  # so that the model's own user-defined pieces are added
            Path(scratch, "tokenizer_config.json").write_text(json.dumps(config | {"add_bos_token": True}))
        return load(scratch)


def write_tests(folder=TESTS):
    """Writes the tokenizer and cases.json; returns the number of cases."""
    folder = Path(folder)
    tokenizer = train_for_tests(folder)
    model = from_model_alone(folder, bos=False)
    model_bos = from_model_alone(folder, bos=True)
    cases = []
    for name, (what, given) in corpus.TEXTS.items():
        case = {"name": name, "what": what, "hex": bytes_of(given).hex(), **expected(tokenizer, given)}
        for key, other in (("model_ids", model), ("model_bos_ids", model_bos)):
            ids = other.encode(text_of(given))
            if ids != case["ids"]:
                case[key] = ids
        cases.append(case)
    decoded = []
    for name, (what, pieces) in corpus.DECODED.items():
        ids = ids_of_pieces(tokenizer, pieces)
        decoded.append({"name": name, "what": what, "ids": ids,
                        "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                        "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
    long = []
    for kind in ("words", "run"):
        ids = tokenizer.encode(corpus.long_text(kind))
        long.append({"kind": kind, "bytes": len(corpus.long_text(kind).encode()), "count": len(ids), "sha256": digest(ids)})
    special = sorted(tokenizer.convert_tokens_to_ids(token) for token in tokenizer.all_special_tokens)
    facts = {"size": len(tokenizer), "bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id,
             "pad": tokenizer.pad_token_id, "unk": tokenizer.unk_token_id, "special": special}
    lines = [f'"facts": {json.dumps(facts)}', f'"words": {json.dumps(corpus.WORDS)}']
    for key, rows in (("texts", cases), ("decoded", decoded), ("long", long)):
        lines.append(f'"{key}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]")
    (folder / "cases.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return len(cases) + len(decoded) + len(long)


def front_end_checkpoints(folder):
    """Puts the tokenizer into the front-end checkpoints, and the text of 1 MiB among the files."""
    for name, add_bos in CHECKPOINTS.items():
        train_for_tests(Path(folder) / name, add_bos)
    alone = Path(folder) / "sentencepiece"
    alone.mkdir()
    for name in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(Path(folder) / "e" / name, alone)
    (Path(folder).parent / "files" / "long-words.txt").write_text(corpus.long_text("words"))


def front_end_cases(folder):
    """One case a text; texts that are not UTF-8 as base64; a few more with options."""
    import numpy as np

    from .front_end import Case

    def stages(ids, decoded):
        return {"text.ids": np.array(ids, np.int64), "text.decoded": decoded}

    folder = Path(folder) / "checkpoints"
    tokenizer = load(folder / "e")
    for name, (what, given) in corpus.TEXTS.items():
        text = {"text": given} if isinstance(given, str) else {"bytes": base64.b64encode(given).decode()}
        want = expected(tokenizer, given)
        yield Case("text-" + name, what, {"checkpoint": "e", **text}, stages(want["ids"], want["decoded"]))
    for name, (what, pieces) in corpus.DECODED.items():
        ids = ids_of_pieces(tokenizer, pieces)
        for skip in (False, True):
            yield Case(f"{name}{'-skip' if skip else ''}", what + (", special tokens left out" if skip else ""),
                       {"checkpoint": "e", "ids": ids, "options": {"skip_special": skip}},
                       {"text.decoded": tokenizer.decode(ids, skip_special_tokens=skip)})
    yield Case("text-long-words", "1 MiB of words without a newline", {"checkpoint": "e", "text_file": "long-words.txt"},
               {"text.ids": np.array(tokenizer.encode(corpus.long_text("words")), np.int64)})
    with_bos = load(folder / "unified")
    want = expected(with_bos, corpus.TEXTS["turns"][1])
    yield Case("text-bos", "A tokenizer that puts <bos> first", {"checkpoint": "unified", "text": corpus.TEXTS["turns"][1]},
               stages(want["ids"], want["decoded"]))
    yield Case("text-bos-off", "The same, told not to", {"checkpoint": "unified", "text": corpus.TEXTS["turns"][1],
               "options": {"add_special": False}}, stages(want["plain"], with_bos.decode(want["plain"])))
    model = from_model_alone(folder / "e", bos=False)
    for name in ("sentence", "newline-runs", "mixed", "turns", "emoji-zwj", "invalid-subparts"):
        what, given = corpus.TEXTS[name]
        text = {"text": given} if isinstance(given, str) else {"bytes": base64.b64encode(given).decode()}
        yield Case("model-" + name, what + "; by the sentencepiece file", {
            "checkpoint": "sentencepiece", **text},
            {"text.ids": np.array(model.encode(text_of(given)), np.int64)})
