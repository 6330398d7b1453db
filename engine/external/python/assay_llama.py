"""llama.cpp as an engine: `assay verify --engine-cmd "python engine/external/python/assay_llama.py --type fp32"`.

Each checkpoint is converted to GGUF (assay_gguf.py) as it is opened and loaded through PyPI's llama-cpp-python; ids go in,
logits come out. Needs llama-cpp-python, gguf and numpy. What llama.cpp cannot be asked is refused as unsupported, with the
reason: pictures and sounds (towers stay behind), rows that see one another inside blocks, positions that do not count up.
Not here: what was found (docs/ENGINES.md).

K/V are cached in fp32 and flash attention is off, so that what is left of an fp32 run is llama.cpp's own arithmetic.
"""

import argparse
import ctypes
import os
import sys
import tempfile

import numpy as np

import assay_engine
import assay_gguf

os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # it would start a debugger where an assertion fails
import llama_cpp as llama  # noqa: E402

F32 = 0  # GGML_TYPE_F32
ARITHMETIC = {"fp32": "fp32", "bf16": "bf16", "q8_0": "int8", "q4_0": "int8"}  # packed weights meet rows rounded to Q8_0
MEDIA = ("pixel_values", "pixel_values_videos", "input_features")


@llama.llama_log_callback
def quiet(level, text, _):
    if level >= 4:  # errors
        sys.stderr.write(text.decode(errors="replace"))


class Model:
    def __init__(self, directory, options):
        file = tempfile.NamedTemporaryFile(suffix=".gguf")
        try:
            self.source = assay_gguf.convert(directory, file.name, options.type, tokenizer=False,
                                             tables=options.tables)
        except assay_gguf.Unsupported as error:
            raise assay_engine.Unsupported(str(error)) from error
        refuse_what_aborts(self.source)
        self.source.tensors = {}  # llama.cpp has its own now
        self.file = file  # mapped by llama.cpp
        parameters = llama.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self.handle = llama.llama_model_load_from_file(file.name.encode(), parameters)
        if not self.handle:
            raise RuntimeError("llama.cpp refuses the file; its reason is on stderr")
        self.vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.handle))


def refuse_what_aborts(source):
    """Shapes that llama.cpp has no place for. It would end the process, or worse, take the K/V of another layer."""
    if source.ple and "embed_tokens_per_layer.weight" in source.tensors:
        rows, tokens = (source.tensors[n].shape[0] for n in ("embed_tokens_per_layer.weight", "embed_tokens.weight"))
        if rows != tokens:
            raise assay_engine.Unsupported(f"a per-layer table of {rows} tokens beside one of {tokens}: llama.cpp has one "
                                           "vocabulary")
    own = source.layers - source.shared
    for sliding in {source.sliding[i] for i in range(own, source.layers)}:
        donor = max(i for i in range(own) if source.sliding[i] == sliding)
        taken = own - (2 if sliding else 1)
        if donor != taken:
            raise assay_engine.Unsupported(f"layers that share the K/V of layer {donor}: llama.cpp takes layer {taken}'s, as "
                                           "the last two with K/V of their own must be a sliding and a full one")


class Context:
    """llama.cpp's state of one batch: a sequence a row."""

    def __init__(self, model, rows, options):
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = options.context * rows
        parameters.n_batch = parameters.n_ubatch = options.context
        parameters.n_seq_max = rows
        parameters.n_threads = parameters.n_threads_batch = options.threads
        parameters.type_k = parameters.type_v = F32
        parameters.flash_attn_type = 0  # off
        parameters.kv_unified = True
        parameters.swa_full = True  # keep what is behind the window, so that tokens can be taken back
        self.handle = llama.llama_init_from_model(model.handle, parameters)
        if not self.handle:
            raise RuntimeError("llama.cpp gives no context; its reason is on stderr")
        self.vocab = model.vocab
        self.real = [[] for _ in range(rows)]  # whether each column so far is a token, and no padding

    def __del__(self):
        if getattr(self, "handle", None):
            llama.llama_free(self.handle)

    def forward(self, ids, real, logit_columns):
        """Logits [B,n,V] of the last n columns; 0 where those are padding."""
        rows, columns = ids.shape
        logits = np.zeros((rows, logit_columns, self.vocab), np.float32)
        for b in range(rows):  # a row at a time: rows differ in length
            chosen = [t for t in range(columns) if real[b][t]]
            wanted = [t for t in chosen if t >= columns - logit_columns]
            if chosen:
                answers = self.decode(b, ids[b][chosen], sum(self.real[b]), len(wanted))
                for t, row in zip(wanted, answers):
                    logits[b, t - (columns - logit_columns)] = row
            self.real[b] += [bool(r) for r in real[b]]
        return logits

    def decode(self, sequence, ids, first, wanted):
        count = len(ids)
        batch = llama.llama_batch_init(count, 0, 1)
        try:
            batch.n_tokens = count
            for i, token in enumerate(ids):
                batch.token[i], batch.pos[i], batch.n_seq_id[i] = int(token), first + i, 1
                batch.seq_id[i][0] = sequence
                batch.logits[i] = int(i >= count - wanted)
            code = llama.llama_decode(self.handle, batch)
            if code != 0:
                raise RuntimeError(f"llama_decode gives {code}")
            return [np.ctypeslib.as_array(llama.llama_get_logits_ith(self.handle, i), (self.vocab,)).copy()
                    for i in range(count - wanted, count)]
        finally:
            llama.llama_batch_free(batch)

    def truncate(self, keep):
        memory = llama.llama_get_memory(self.handle)
        for b, columns in enumerate(keep):
            kept = sum(self.real[b][:columns])
            if not llama.llama_memory_seq_rm(memory, b, kept, -1):
                raise RuntimeError("llama.cpp cannot take back tokens")
            self.real[b] = self.real[b][:columns]


def check(model, call, real):
    """Refuses what this engine would have to answer wrongly."""
    for name in MEDIA:
        if name in call:
            raise assay_engine.Unsupported(f"{name}: the towers are not converted")
    types = call.get("mm_token_type_ids")
    if types is not None and np.any(types) and model.source.text.get("use_bidirectional_attention") == "vision":
        raise assay_engine.Unsupported("mm_token_type_ids: llama.cpp is given ids, and ids alone see only what is before them")
    positions = call.get("position_ids")
    if positions is not None:
        for row, here in zip(np.broadcast_to(positions, call.ids.shape), real):
            if np.any(np.diff(row[np.asarray(here, bool)]) != 1):
                raise assay_engine.Unsupported("position_ids: llama.cpp's count up by one in a sequence")


def engine(options):
    def load(directory):
        return Model(directory, options)

    def run(model, call, taps):
        rows, columns = call.ids.shape
        real = np.ones((rows, columns), bool) if call.mask is None else call.mask[:, -columns:] != 0
        check(model, call, real)
        if call.cache != "extend":
            call.state.pop("context", None)
            call.state["context"] = Context(model, rows, options)
        context = call.state["context"]
        wanted = 0 if "text.logits" not in taps else call.logit_rows or columns
        ids = call.ids
        if options.placeholders == "pad":
            ids = np.where(np.isin(ids, list(model.source.placeholders)), model.source.text.get("pad_token_id") or 0, ids)
        logits = context.forward(ids, real, wanted)
        if wanted:
            taps["text.logits"] = logits
        if call.cache == "none":
            del call.state["context"]

    def truncate(model, state, keep):
        state["context"].truncate(keep)

    return load, run, truncate


def name_of(options):
    tables = f"+tables={options.tables}" if options.tables else ""
    judged = f"+arithmetic={options.arithmetic}" if options.arithmetic else ""
    return f"llama.cpp+type={options.type}{tables}{judged}" + ("+placeholders=pad" if options.placeholders == "pad" else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--type", choices=assay_gguf.TYPES, default="fp32", help="of matrices in the GGUF file")
    parser.add_argument("--tables", choices=assay_gguf.TYPES, help="of embedding tables and head; fp32 beside q4_0, as "
                        "goldens of Q4_0 hold Q6_K there, which gguf cannot pack")
    parser.add_argument("--placeholders", choices=("ids", "pad"), default="ids", help="what a picture's, sound's or film's "
                        "token id is where it stands without its picture: itself, or the pad token, as in transformers")
    parser.add_argument("--arithmetic", help="what the judge is to allow for, in place of what --type implies: bf16 grants an "
                        "fp32 run the noise of bf16")
    parser.add_argument("--context", type=int, default=2048, help="tokens of a row, prompt and generated")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.type == "q4_0" and not options.tables:
        options.tables = "fp32"
    llama.llama_log_set(quiet, ctypes.c_void_p(0))
    llama.llama_backend_init()
    load, run, truncate = engine(options)
    assay_engine.serve(load, run, name=name_of(options), version=llama.__version__,
                       arithmetic=options.arithmetic or ARITHMETIC[options.type], cache=True, batch=True, truncate=truncate)


if __name__ == "__main__":
    main()
