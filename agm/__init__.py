"""Adaptive generative modeling: recurrent super-resolution with adaptively expanding and optional recurrent layers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from agm.config import DataConfig, GeneratorConfig, RunConfig, TrainingConfig
from agm.errors import AgmError
from agm.schedule import Schedule

if TYPE_CHECKING:
    from agm.networks.generator import Generator
    from agm.runs import load

__version__ = "0.1.0"
__all__ = [
    "AgmError",
    "DataConfig",
    "Generator",
    "GeneratorConfig",
    "RunConfig",
    "Schedule",
    "TrainingConfig",
    "load",
]

_LAZY = {"Generator": "agm.networks.generator", "load": "agm.runs"}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import; planning, parsing and --help do without it.
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in ("metrics", "data", "runs"):
        return importlib.import_module(f"agm.{name}")
    raise AttributeError(f"module 'agm' has no attribute {name!r}")
