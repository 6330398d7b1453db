"""Trains a small tokenizer with Gemma's settings, as both of the files that checkpoints come with.

sentencepiece trains the one vocabulary (BPE, byte fallback, split digits, no dummy prefix, newline and space runs as
user-defined symbols) and writes tokenizer.model. tokenizer.json is made from it the way transformers makes one: merges
by rank out of the vocabulary's order (`generate_merges`), the scores unused. So both files give the same ids.
Not here: the corpus a checkpoint's tokenizer learns from (its maker has it), chat templates.
"""

import io
import json
import shutil
from pathlib import Path

PAD, EOS, BOS, UNK = "<pad>", "<eos>", "<bos>", "<unk>"  # ids 0 to 3, as in every Gemma

# Gemma 4's names for its special tokens (tokenizer_config.json); Gemma4Processor reads image_token ... eoa_token.
NAMED = {
    "sot_token": "<|turn>", "eot_token": "<turn|>", "soc_token": "<|channel>", "eoc_token": "<channel|>",
    "think_token": "<|think|>", "std_token": "<|tool>", "etd_token": "<tool|>", "stc_token": "<|tool_call>",
    "etc_token": "<tool_call|>", "str_token": "<|tool_response>", "etr_token": "<tool_response|>",
    "escape_token": '<|"|>', "boi_token": "<|image>", "image_token": "<|image|>", "eoi_token": "<image|>",
    "boa_token": "<|audio>", "audio_token": "<|audio|>", "eoa_token": "<audio|>"}
EXTRA = ["<|video|>"]
SPECIAL = list(NAMED.values()) + EXTRA


def runs(newlines=8, spaces=8):
    """Gemma's user-defined runs: 1 to `newlines` line feeds, 2 to `spaces` of U+2581, and a tab."""
    return ["\n" * n for n in range(1, newlines + 1)] + ["\u2581" * n for n in range(2, spaces + 1)] + ["\t"]


def train(texts, vocab_size, directory, newlines=8, spaces=8, coverage=0.9995, add_bos=False):
    """Writes tokenizer.json, tokenizer_config.json and tokenizer.model into `directory`.

    texts: an iterable of str. vocab_size: all ids, special tokens and the 256 bytes included.
    coverage: the share of the corpus' characters that get a token of their own; the rest falls back to bytes.
    add_bos: whether encoding puts <bos> first; Gemma 4 leaves that to the chat template, but for the 12B base.
    Returns the GemmaTokenizer as AutoTokenizer loads it back. Raises where the corpus is too small for the vocabulary.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.model").write_bytes(train_model(texts, vocab_size, newlines, spaces, coverage))
    return from_model(directory, add_bos)


def train_model(texts, vocab_size, newlines, spaces, coverage):
    """The bytes of a sentencepiece model."""
    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=out, model_type="bpe", vocab_size=vocab_size,
        pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece=PAD, eos_piece=EOS, bos_piece=BOS, unk_piece=UNK,
        user_defined_symbols=["<mask>", *SPECIAL, *runs(newlines, spaces)],
        byte_fallback=True, split_digits=True, split_by_number=True, split_by_unicode_script=True,
        split_by_whitespace=True, allow_whitespace_only_pieces=True, treat_whitespace_as_suffix=False,
        add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="identity",
        character_coverage=coverage, max_sentence_length=1 << 20, num_threads=1, minloglevel=2)
    return out.getvalue()


def pieces_of(model_bytes):
    """[(piece, kind)] of a sentencepiece model in id order; kind: "unk", "control", "user", "byte" or "normal"."""
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_proto=model_bytes)
    user = {"<mask>", *SPECIAL}
    found = []
    for i in range(model.get_piece_size()):
        piece = model.id_to_piece(i)
        kind = ("unk" if model.is_unknown(i) else "control" if model.is_control(i) else "byte" if model.is_byte(i)
                else "user" if piece in user or piece.strip("\n") == "" or piece == "\t" or
                (len(piece) > 1 and piece.strip("\u2581") == "") else "normal")
        found.append((piece, kind))
    return found


def from_model(directory, add_bos=False):
    """Writes tokenizer.json and tokenizer_config.json beside `directory`'s tokenizer.model; returns the tokenizer."""
    from tokenizers import AddedToken
    from transformers import GemmaTokenizer
    from transformers.tokenization_utils_base import generate_merges

    directory = Path(directory)
    pieces = pieces_of((directory / "tokenizer.model").read_bytes())
    vocab = {piece: i for i, (piece, _) in enumerate(pieces)}
    if len(vocab) != len(pieces):
        raise ValueError("tokenizer.model: two pieces are spelt alike")
    tokenizer = GemmaTokenizer(
        vocab=vocab, merges=generate_merges(vocab), padding_side="left", extra_special_tokens=EXTRA,
        model_specific_special_tokens=NAMED)
    tokenizer.add_tokens([AddedToken(piece, normalized=False, special=False)
                          for piece, kind in pieces if kind == "user" and piece not in {"<mask>", *SPECIAL}])
    tokenizer.add_special_tokens({name: AddedToken(piece, normalized=False, special=True) for name, piece in (
        ("pad_token", PAD), ("eos_token", EOS), ("bos_token", BOS), ("unk_token", UNK), ("mask_token", "<mask>"))})
    tokenizer.add_tokens([AddedToken(piece, normalized=False, special=True) for piece in SPECIAL], special_tokens=True)
    if len(tokenizer) != len(pieces):
        raise ValueError(f"{len(tokenizer)} tokens of {len(pieces)} pieces")
    tokenizer.add_bos_token = add_bos
    scratch = directory / "saving"
    tokenizer.save_pretrained(scratch)
    (directory / "tokenizer.json").write_bytes((scratch / "tokenizer.json").read_bytes())
    config = json.loads((scratch / "tokenizer_config.json").read_text())
    config["processor_class"] = "Gemma4Processor"
    if add_bos:
        config["add_bos_token"] = True  # read where only tokenizer.model is there; tokenizer.json holds it itself
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    shutil.rmtree(scratch)
    return load(directory)


def load(directory):
    """The tokenizer of a directory as transformers loads it."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(directory)
