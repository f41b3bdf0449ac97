"""Python sources as syntax trees: what they import of the project, and hashes of what they do. Nothing is run.

A hash ignores comments, docstrings, formatting and where a module lies.
"""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import agm

ROOT = Path(agm.__file__).parents[1]
PACKAGES = ("agm", "benchmarks")


class _Bare(ast.NodeTransformer):
    """Removes what does not run: docstrings and imports for type checkers."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        is_typing = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if is_typing else self.generic_visit(node)


def _parse(source: str) -> ast.AST:
    tree: ast.AST = _Bare().visit(ast.parse(source))
    return tree


def imported(source: str, root: Path = ROOT) -> list[Path]:
    """The project's modules that a source imports, directly or through one another, as files below `root`."""
    queue, found = [*_imported(source, root)], set[Path]()
    while queue:
        path = queue.pop()
        if path not in found:
            found.add(path)
            queue += _imported(path.read_text(encoding="utf-8"), root)
    return sorted(found)


@cache
def _imported(source: str, root: Path) -> set[Path]:
    """The modules behind a source's own import statements, wherever in it they stand."""
    names = set[str]()
    for node in ast.walk(_parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = set[Path]()
    for name in names:
        parts = name.split(".")
        if parts[0] in PACKAGES:  # importing agm.data.splits runs agm and agm.data too
            files |= {root.joinpath(*parts[: depth + 1], "__init__.py") for depth in range(len(parts))}
            files.add(root.joinpath(*parts).with_suffix(".py"))
    return {path for path in files if path.is_file()}


@cache
def tree_hash(source: str) -> str:
    """Twelve hexadecimal digits over what a Python source does; every Python version gives the same."""
    return hashlib.sha256(json.dumps(_plain(_parse(source))).encode()).hexdigest()[:12]


def _plain(node: Any) -> Any:
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: _plain(value) for name, value in ast.iter_fields(node) if value is not None and value != []}
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
        del fields["module"]  # it may move
    return [type(node).__name__, fields]


def file_hash(path: Path) -> str:
    """`tree_hash` of a Python file; of another one, twelve digits over its bytes."""
    if path.suffix == ".py":
        return tree_hash(path.read_text(encoding="utf-8"))
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
