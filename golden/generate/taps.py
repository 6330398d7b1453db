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


def orders(layers):
    """Causal index of every tap name of a model with this many layers, as if every tap existed in every layer."""
    rows = load()
    names = [f"text.{r['name']}" for r in rows if r["scope"] == "model_in"]
    for layer in range(layers):
        names += [f"text.layer.{layer:02d}.{r['name']}" for r in rows if r["scope"] == "layer"]
    names += [f"text.{r['name']}" for r in rows if r["scope"] == "model_out"]
    return {name: index for index, name in enumerate(names)}
