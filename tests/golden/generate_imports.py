"""Every name that a module of golden/generate takes from another is there: no test runs those that need transformers.
Names alone: not how they are called.

python3 generate_imports.py FOLDER
"""

import ast
import sys
from pathlib import Path


def defined(tree):
    names = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        else:
            names.update(part.id for part in ast.walk(node)
                         if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store))
    return names


modules = {path.stem: ast.parse(path.read_text()) for path in Path(sys.argv[1]).glob("*.py")}
missing = []
for name, tree in modules.items():
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level != 1:
            continue
        if node.module and node.module not in modules:
            missing.append(f"{name}.py:{node.lineno}: no module {node.module}")
            continue
        there = defined(modules[node.module]) if node.module else set(modules) | defined(modules["__init__"])
        missing += [f"{name}.py:{node.lineno}: {node.module or '.'} has no {alias.name}" for alias in node.names
                    if alias.name not in there]
print("\n".join(missing) or f"{len(modules)} modules: all names are there")
sys.exit(1 if missing or not modules else 0)
