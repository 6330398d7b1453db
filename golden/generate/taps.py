"""The tap table: engine/taps.inc for Python. One row a tap, in causal order. Not here: how a tap is taken (record.py)."""

import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLE = HERE / "taps.json"
SOURCE = HERE.parent.parent / "engine" / "taps.inc"
_ROW = re.compile(r'^TAP\(\s*(\w+)\s*,\s*"([^"]*)"\s*,\s*(\w+)\s*,\s*(\w+)\s*,\s*(\w+)\s*,\s*(\w+)\s*,\s*"([^"]*)"\s*\)')


def parse(text):
    """Rows of a taps.inc as dicts; a TAP line that does not match is an error, so that no row is lost silently."""
    rows = []
    for line in text.splitlines():
        if not line.startswith("TAP("):
            continue
        match = _ROW.match(line)
        if match is None:
            raise ValueError(f"taps.inc: cannot read the row {line!r}")
        rows.append(dict(zip(("id", "name", "scope", "kind", "columns", "op", "inputs"), match.groups())))
    return rows


def export(source=SOURCE, table=TABLE):
    """Writes taps.json from taps.inc, one row a line so that a diff shows the row that changed."""
    rows = parse(Path(source).read_text())
    Path(table).write_text("[\n" + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]\n")
    return rows


def load():
    """The rows of taps.json."""
    return json.loads(TABLE.read_text())


# Where the orders of the parts that are not text begin, as engine/taps.cc counts: text from 0, towers before, drafters
# behind. In those parts a layer takes LAYER_STEP, what follows the layers BEHIND_LAYERS.
LAYER_STEP = 64
BEHIND_LAYERS = LAYER_STEP << 13
FIRST = {"vision": -4 * BEHIND_LAYERS, "audio": -2 * BEHIND_LAYERS, "assistant": 2 * BEHIND_LAYERS}


def orders(layers, others=64):
    """Causal order of every tap name of a model with this many text layers, as if every tap existed in every layer.

    `others` is how many layers of the towers and of a drafter are listed.
    """
    rows, result = load(), {}

    def part(name, scopes, depth, place):
        first, layer_scope, last = ([r["name"] for r in rows if r["scope"] == scope] for scope in scopes)
        result.update({f"{name}.{tap}": place(0, -1, i) for i, tap in enumerate(first)})
        for layer in range(depth):
            result.update({f"{name}.layer.{layer:02d}.{tap}": place(1, layer, i)
                           for i, tap in enumerate(layer_scope)})
        result.update({f"{name}.{tap}": place(2, -1, i) for i, tap in enumerate(last)})

    for name in ("vision", "audio"):
        part(name, [f"{name}_{where}" for where in ("in", "layer", "out")], others, _beside(FIRST[name]))
    before, inside = (sum(r["scope"] == scope for r in rows) for scope in ("model_in", "layer"))
    part("text", ("model_in", "layer", "model_out"), layers,
         lambda where, layer, i: (0, before + layer * inside, before + layers * inside)[where] + i)
    part("assistant", [f"assistant_{where}" for where in ("in", "layer", "out")], others, _beside(FIRST["assistant"]))
    return result


def _beside(first):
    return lambda where, layer, i: first + (0, (layer + 1) * LAYER_STEP, BEHIND_LAYERS)[where] + i
