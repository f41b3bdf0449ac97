"""Which code made a result: hashes of Python sources as syntax trees. Nothing is run, and torch is not imported.

A hash ignores comments, docstrings, formatting and where a module lies. `tests/golden.py` notes in
results/code.json which codes count as one.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import agm
from agm import files
from agm.config import GeneratorConfig
from agm.paths import results_folder

ROOT = Path(agm.__file__).parents[1]
PACKAGES = ("agm", "study", "benchmarks")
TRAINING = "agm.training.loop"
DECISIVE = ("networks", "training", "data", "config.py", "schedule.py", "metrics.py")
"""The folders and modules of `agm` that decide a training run's numbers. Only what `TRAINING` imports counts."""


@cache
def code_hash(root: Path = ROOT) -> str:
    """Twelve hexadecimal digits over the training code."""
    folder, paths = root / "agm", imported(f"import {TRAINING}", root)
    decisive = [path for path in paths if folder in path.parents and path.relative_to(folder).parts[0] in DECISIVE]
    return hashlib.sha256("".join(sorted(map(file_hash, decisive))).encode()).hexdigest()[:12]


def kind_of_network(config: GeneratorConfig) -> str:
    """The networks that results/code.json keeps apart: "paper", "light" of plain layers only, "light-recurrent".

    No golden run, and so no entry there, has "others": those with other layers than r and n.
    """
    if not set(config.layers) <= {"r", "n"}:
        return "others"
    return config.base if config.base != "light" or set(config.layers) == {"n"} else "light-recurrent"


def attested(network: str) -> list[dict[str, Any]]:
    """Groups of codes that train a network alike, oldest first: their hashes in `codes`, what is new in `changed`."""
    path = results_folder() / "code.json"
    groups: list[dict[str, Any]] = files.read_json(path).get(network, []) if path.exists() else []
    return groups


def representative(network: str) -> str:
    """The first hash of those that count as today's training code."""
    return next((next(iter(g["codes"])) for g in attested(network) if code_hash() in g["codes"]), code_hash())


def changed(codes: str, network: str) -> str:
    """The changes of the training code since `codes`, joined by +, made a result; empty if there are none."""
    groups = attested(network)
    place = {code: number for number, group in enumerate(groups) for code in group["codes"]}
    compared = {*codes.split("+"), code_hash()}
    if compared == {code_hash()}:
        return ""
    if not compared <= place.keys():
        return f"code {codes} was never compared with today's, {code_hash()}"
    places = [place[code] for code in compared]
    return "; ".join(group["changed"] for group in groups[min(places) + 1 : max(places) + 1])


def timed(module: str, root: Path = ROOT) -> dict[str, str]:
    """The hashes of what decides how long a script takes: its own, first, of modules that import torch, and C++."""
    own = root / f"{module.replace('.', '/')}.py"
    paths = [path for path in imported(f"import {module}", root) if path == own or _imports_torch(path)]
    paths += sorted({source for path in paths for source in path.parent.glob("*.cpp")})
    names = {path.relative_to(root).as_posix().removesuffix(".py").replace("/", "."): path for path in paths}
    return {name: file_hash(names[name]) for name in sorted(names, key=lambda name: (name != module, name))}


def changed_modules(recorded: dict[str, str]) -> list[str]:
    """Those of the `timed` modules that a result carries which are no more as they were. Moving one is no change.

    One that is there but is not `timed` any more decides nothing.
    """
    now = timed(next(iter(recorded))) if recorded else {}
    gone = [module for module, noted in recorded.items() if noted not in now.values()]
    return [name for name in gone if name in now or not (ROOT / f"{name.replace('.', '/')}.py").exists()]


def _imports_torch(path: Path) -> bool:
    """True if the module imports torch at its top level, not only inside a function or for type checkers."""
    return "torch" in {name.split(".")[0] for name in _names(ast.parse(path.read_text(encoding="utf-8")).body)}


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
            source = path.read_text(encoding="utf-8")
            queue += _imported(source, root)
            if path.name == "__init__.py" and 'import_module(f"{__name__}.' in source:  # it finds its modules by name
                queue += path.parent.glob("*.py")
    return sorted(found)


@cache
def _imported(source: str, root: Path) -> set[Path]:
    """The modules behind a source's own import statements, wherever in it they stand."""
    files = set[Path]()
    for name in _names(ast.walk(_parse(source))):
        parts = name.split(".")
        if parts[0] in PACKAGES:  # importing agm.data.splits runs agm and agm.data too
            files |= {root.joinpath(*parts[: depth + 1], "__init__.py") for depth in range(len(parts))}
            files.add(root.joinpath(*parts).with_suffix(".py"))
    return {path for path in files if path.is_file()}


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    """The modules that these import, and what is imported from them."""
    names = set[str]()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


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
