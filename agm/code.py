"""Which code made a result. Nothing here imports torch, so that asking is cheap.

`agm.golden` notes in results/code.json which codes count as one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from agm import files
from agm.paths import results_folder
from agm.trees import ROOT, file_hash, imported

TRAINING = "agm.train"
"""What this module imports, directly or through others, decides what a training run gives."""


@cache
def code_hash(root: Path = ROOT) -> str:
    """Twelve hexadecimal digits over the training code."""
    parts = sorted(map(file_hash, imported(f"import {TRAINING}", root)))
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:12]


def attested(base: str) -> list[dict[str, Any]]:
    """Groups of codes that train a base alike, oldest first: their hashes in `codes`, what came anew in `changed`."""
    path = results_folder() / "code.json"
    groups: list[dict[str, Any]] = files.read_json(path).get(base, []) if path.exists() else []
    return groups


def representative(base: str) -> str:
    """The first hash of those that count as today's training code."""
    return next((next(iter(g["codes"])) for g in attested(base) if code_hash() in g["codes"]), code_hash())


def changed(codes: str, base: str) -> str:
    """What changed in the training code since a result was made by `codes`, joined by +; nothing if nothing did."""
    groups = attested(base)
    places = [_place(code, groups) for code in codes.split("+") if code != code_hash()]
    today = _place(code_hash(), groups)
    if None in places or (places and today is None):
        return f"code {codes} was never compared with today's, {code_hash()}"
    between = range(min([today, *places]) + 1, max([today, *places]) + 1) if places else ()
    return "; ".join(groups[number]["changed"] for number in between)


def _place(code: str, groups: Sequence[dict[str, Any]]) -> Any:
    return next((number for number, group in enumerate(groups) if code in group["codes"]), None)


def timed(module: str, root: Path = ROOT) -> dict[str, str]:
    """The hashes of what decides how long a script takes: its own, first, what imports torch, and C++, by names."""
    paths = imported(f"import {module}", root)
    paths = [path for path in paths if "import torch" in path.read_text("utf-8")]
    paths += sorted({source for path in paths for source in path.parent.glob("*.cpp")})
    names = {path.relative_to(root).as_posix().removesuffix(".py").replace("/", "."): path for path in paths}
    return {name: file_hash(names[name]) for name in sorted(names, key=lambda name: (name != module, name))}


def changed_modules(recorded: dict[str, str]) -> list[str]:
    """Those of the `timed` modules that a result carries which are no more as they were. Moving one is no change."""
    now = set(timed(next(iter(recorded))).values()) if recorded else set()
    return [module for module, noted in recorded.items() if noted not in now]
