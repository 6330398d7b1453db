"""Makes an engine of two functions of yours: assay drives it by `--engine-cmd "python my_port.py"`.

    import assay_engine

    def load(directory):            # once for each checkpoint: config.json and *.safetensors lie there
        return MyModel(directory)

    def run(model, call, taps):     # once for each call
        for name, rows in model.forward(call.ids):
            if name in taps:        # taps: the names that are wanted
                taps[name] = rows   # [B,T,...], as docs/DESIGN.md section 5 names and shapes them

    assay_engine.serve(load, run, name="my-port", taps=["text.embed", "text.layer.*.out"])

Needs numpy alone. The package `safetensors` is not used: it cannot give numpy the bfloat16 that checkpoints hold, and
few distributions have it; the format is a dozen lines (read, write). Messages and files: docs/ENGINE_PROTOCOL.md.
"""

import json
import os
import sys
import time
import traceback

import numpy as np

PROTOCOL = 1
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
          "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "?"}
NAMES = {np.dtype(code): name for name, code in DTYPES.items()}


class Unsupported(Exception):
    """Raise it for what your engine cannot do: the case then counts as unsupported, not as failed."""


def read(path):
    """{name: array} of a safetensors file; bfloat16 comes as float32, which holds the same numbers."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        if entry["dtype"] == "BF16":
            flat = (np.frombuffer(data[first:last], "<u2").astype("<u4") << 16).view("<f4")
        else:
            flat = np.frombuffer(data[first:last], DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def read_checkpoint(directory):
    """{name: array} of all *.safetensors files of a directory."""
    tensors = {}
    for file in sorted(os.listdir(directory)):
        if file.endswith(".safetensors"):
            tensors.update(read(os.path.join(directory, file)))
    return tensors


def write(path, tensors):
    """Writes {name: array} as safetensors."""
    header, end, parts = {}, 0, []
    for name, array in tensors.items():
        array = np.asarray(array, order="C")
        parts.append(array.tobytes())
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape),
                        "data_offsets": [end, end + len(parts[-1])]}
        end += len(parts[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(parts))


class Call:
    """One forward. Beside these, every tensor that came with it is an item: call["position_ids"], "pixel_values" in call.

    ids         [B,T] int64
    mask        [B,cached+T] int64, 0 = padding; None: no padding
    cache       "none", "fresh" (start one) or "extend" (go on with the one in `state`)
    logit_rows  how many of the last tokens' logits are wanted; 0: all
    state       a dict of your own, one for each session: keep keys and values there
    target      the Call-less session whose K/V a drafter reads: its model and state; None but for drafters
    """

    def __init__(self, session, request, tensors, target):
        self.tensors, self.state, self.target = tensors, session.state, target
        self.ids, self.mask = tensors["input_ids"], tensors.get("attention_mask")
        self.cache, self.logit_rows = request.get("cache", "none"), request.get("logit_rows", 0)

    def __getitem__(self, name):
        return self.tensors[name]

    def __contains__(self, name):
        return name in self.tensors

    def get(self, name, otherwise=None):
        """The tensor of that name, or `otherwise`."""
        return self.tensors.get(name, otherwise)


class Taps(dict):
    """What is wanted and what you give: `name in taps` asks, `taps[name] = array` answers. What nobody wants is let go."""

    def __init__(self, wanted):
        super().__init__()
        self.wanted = set(wanted)

    def __contains__(self, name):
        return name in self.wanted

    def __setitem__(self, name, rows):
        if name in self.wanted:
            super().__setitem__(name, np.array(rows, np.float32))  # a copy: what you do with yours later is your own


class Session:
    """An open checkpoint: `model` is what load() gave, shared by its sessions; `state` belongs to this one."""

    def __init__(self, checkpoint, model):
        self.checkpoint, self.model, self.state = checkpoint, model, {}


class _Server:
    def __init__(self, load, run, more, hello):
        self.load, self.run, self.more, self.hello_fields = load, run, more, hello
        self.sessions, self.models, self.next = {}, {}, 0

    def hello(self, request):
        return {"protocol": PROTOCOL, **self.hello_fields}

    def open(self, request):
        directory = request["checkpoint"]
        if directory not in self.models:
            self.models[directory] = self.load(directory)
        self.next += 1
        self.sessions[self.next] = Session(directory, self.models[directory])
        return {"session": self.next}

    def close(self, request):
        gone = self.sessions.pop(request["session"])
        if all(session.checkpoint != gone.checkpoint for session in self.sessions.values()):
            del self.models[gone.checkpoint]
        return {}

    def _call(self, request):
        session = self.sessions[request["session"]]
        target = self.sessions[request["target"]] if "target" in request else None
        return session, Call(session, request, read(request["inputs"]), target)

    def forward(self, request):
        session, call = self._call(request)
        taps = Taps(request["taps"])
        start = time.perf_counter()
        self.run(session.model, call, taps)
        seconds = time.perf_counter() - start
        write(request["outputs"], dict(taps.items()))
        return {"seconds": seconds}

    def generate(self, request):
        session, call = self._call(request)
        ids = self.more["generate"](session.model, call, request["tokens"])
        write(request["outputs"], {"generated_ids": np.asarray(ids, np.int64)})
        return {}

    def step(self, request):
        session = self.sessions[request["session"]]
        rows = self.more["step"](session.model, request["tap"], read(request["inputs"]))
        write(request["outputs"], {request["tap"]: np.asarray(rows, np.float32)})
        return {}

    def truncate(self, request):
        session = self.sessions[request["session"]]
        self.more["truncate"](session.model, session.state, request["keep"])
        return {}

    def cached_kv(self, request):
        session = self.sessions[request["session"]]
        keys, values = self.more["cached_kv"](session.model, session.state, request["layer"])
        write(request["outputs"], {"keys": np.asarray(keys, np.float32), "values": np.asarray(values, np.float32)})
        return {}

    def embed(self, request):
        session = self.sessions[request["session"]]
        rows = self.more["embed"](session.model, read(request["inputs"])["input_ids"])
        write(request["outputs"], {"rows": np.asarray(rows, np.float32)})
        return {}

    def answer(self, request):
        verb = request.get("verb")
        known = ("hello", "open", "close", "forward")
        if verb not in known and verb not in self.more:
            return {"error": {"kind": "unsupported", "message": f"verb {verb}"}}
        try:
            return getattr(self, verb)(request)
        except Unsupported as error:
            return {"error": {"kind": "unsupported", "message": str(error)}}
        except Exception as error:  # the engine goes on with the next request
            traceback.print_exc()
            return {"error": {"kind": "failed", "message": f"{type(error).__name__}: {error}"}}


def serve(load, run, *, name, version="", arithmetic="fp32", taps=(), cache=False, batch=False, logits="all",
          dtypes=(), variants=None, generate=None, step=None, truncate=None, cached_kv=None, embed=None):
    """Answers requests until bye. Only `load` and `run` are needed.

    load(directory)            -> your model
    run(model, call, taps)     fills taps
    taps        patterns of the taps that you offer beside text.logits: "text.layer.*.out"
    cache       whether call.cache may be fresh and extend; else only whole sequences come
    batch       whether B may exceed 1
    logits      "all", "last" (of a call's last token alone) or "none"
    dtypes      of weights that you read ("BF16"...); none: all. Others are handed over as F32 if you name that.
    variants    {"E2B": {"logits": "last"}, "*": {}}: where variants differ; those that match none are unsupported
    generate(model, call, tokens)        -> ids [B,tokens]: for engines that show no logits
    step(model, tap, inputs)             -> the tap's rows from given inputs
    truncate(model, state, keep)         forgets row b's cached tokens past keep[b]
    cached_kv(model, state, layer)       -> keys, values [B,cached,kv_heads*head_dim]
    embed(model, ids)                    -> rows [1,n,hidden]
    """
    more = {verb: function for verb, function in (("generate", generate), ("step", step), ("truncate", truncate),
                                                  ("cached_kv", cached_kv), ("embed", embed)) if function}
    hello = {"name": name, "version": version, "arithmetic": arithmetic, "taps": list(taps), "cache": cache,
             "batch": batch, "step": step is not None, "generate": generate is not None, "logits": logits}
    if dtypes:
        hello["dtypes"] = list(dtypes)
    if variants is not None:
        hello["variants"] = variants
    # Descriptors of our own, so that what the port prints to stdout disturbs nobody.
    requests = os.fdopen(int(os.environ.get("ASSAY_IN", "0")), "r", encoding="utf-8")
    answers = os.fdopen(int(os.environ.get("ASSAY_OUT", "1")), "w", encoding="utf-8")
    server = _Server(load, run, more, hello)
    for line in requests:
        request = json.loads(line)
        last = request.get("verb") == "bye"
        answer = {} if last else server.answer(request)
        print(json.dumps({"id": request["id"], **answer}), file=answers, flush=True)
        if last:
            break
    sys.stdout.flush()
