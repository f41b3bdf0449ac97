"""What a result was made on and with: hardware, versions, code."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from agm.code import code_hash, timed
from agm.errors import AgmError
from agm.trees import ROOT


def describe(device: torch.device, module: str = "") -> dict[str, Any]:
    """Hardware and versions, for a run's summary or a measurement. `module`: the script that measures."""
    noted = {"modules": timed(module)} if module else {}
    return noted | {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "device_type": device.type,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "lightning", "numpy", "pillow", "scikit-image")},
        "code": code_hash(),
        "commit": commit(),
    }


def choose(device: str) -> str:
    """cpu or cuda; auto takes a GPU if there is one. Raises AgmError for another name, or a GPU that is not there."""
    if device not in ("auto", "cpu", "cuda"):
        raise AgmError(f"unknown device {device!r} (known: auto, cpu, cuda)")
    if device == "cuda" and not torch.cuda.is_available():
        raise AgmError("device 'cuda' was asked for, but torch sees no GPU; use --device cpu")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def commit() -> str:
    """The commit of the checkout the code runs from, with a + where it was changed; empty outside a checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
