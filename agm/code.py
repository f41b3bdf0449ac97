"""Which code a result was made by. Nothing here imports torch, so that asking is cheap."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

CODE = Path(__file__).parent
TRAINING_CODE = (
    "config",
    "schedule",
    "layers",
    "light",
    "generator",
    "critic",
    "distributed",
    "losses",
    "metrics",
    "evaluate",
    "step",
    "train",
    "data/*",
)
"""The modules that decide what a training run gives."""


def training_files() -> list[Path]:
    """The files of the training code."""
    return [path for pattern in TRAINING_CODE for path in sorted(CODE.glob(f"{pattern}.py"))]


@cache
def code_hash() -> str:
    """Twelve hexadecimal digits over the training code: a result that carries another hash may be stale."""
    digest = hashlib.sha256()
    for path in training_files():
        digest.update(path.relative_to(CODE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]
