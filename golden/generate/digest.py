"""SHA-256 of files and of folders, in the one form that the goldens and the manifest share."""

import ast
import hashlib
from pathlib import Path

HERE = Path(__file__).resolve().parent


def file_digest(path):
    """Hex SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(root, files=None):
    """Hex SHA-256 over the sorted lines "<relative path> <sha256>\\n" of the files below root (or of those given)."""
    root = Path(root)
    chosen = [p for p in root.rglob("*") if p.is_file()] if files is None else [Path(p) for p in files]
    lines = sorted(f"{p.relative_to(root).as_posix()} {file_digest(p)}\n" for p in chosen)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def checkpoint_digest(directory):
    """The digest of what decides a checkpoint's numbers: its config and weights, not its tokenizer or README."""
    kinds = ("config.json", "*.safetensors", "*.safetensors.index.json")
    return folder_digest(directory, [path for kind in kinds for path in Path(directory).glob(kind)])


def _imported(module):
    """Names of this package's modules that one of them imports, anywhere in it."""
    for node in ast.walk(ast.parse((HERE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            yield from [node.module] if node.module else [alias.name for alias in node.names]


def generator_digest(*makers):
    """The digest of what made a golden: these modules of the package, all that they import of it, and the tap table."""
    found, left = set(), list(makers)
    while left:
        module = left.pop()
        if module not in found:
            found.add(module)
            left += _imported(module)
    return folder_digest(HERE, [*(HERE / f"{module}.py" for module in found), HERE / "taps.json"])
