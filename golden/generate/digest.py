"""SHA-256 of files and of folders, in the one form that the goldens and the manifest share."""

import hashlib
from pathlib import Path


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


def generator_digest():
    """The digest of this package: its Python files and the tap table."""
    here = Path(__file__).resolve().parent
    return folder_digest(here, [*here.glob("*.py"), here / "taps.json"])
