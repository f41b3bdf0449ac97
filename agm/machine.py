"""The hardware, package versions and code that a result was made with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from agm.code_version import ROOT, code_hash, timed
from agm.errors import AgmError, unknown

CPUINFO = Path("/proc/cpuinfo")

AMX = """
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
# ldtilecfg [rdi]; tilezero tmm0, tmm1, tmm2; tdpbf16ps tmm0, tmm1, tmm2; tilerelease; ret
code.write(bytes.fromhex("c4e2784907 c4e27b49c0 c4e27b49c8 c4e27b49d0 c4e26a5cc1 c4e27849c0 c3"))
tiles = (ctypes.c_ubyte * 64)(1)  # palette 1, and of tiles 0 to 2: 64 bytes a row, 16 rows
for tile in range(3):
    tiles[16 + 2 * tile], tiles[48 + tile] = 64, 16
ctypes.CDLL(None).syscall(158, 0x1023, 18)  # arch_prctl: may this process use tiles?
ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(code)))(ctypes.addressof(tiles))
"""
"""A program that multiplies two AMX tiles of 16-bit numbers, on Linux and x86-64."""


@cache
def hide_broken_amx() -> None:
    """Some virtual machines offer AMX and kill a process that uses it. Only there is oneDNN told to do without."""
    if "amx_bf16" in _cpuinfo() and "ONEDNN_MAX_CPU_ISA" not in os.environ:
        died = subprocess.run([sys.executable, "-I", "-c", AMX], capture_output=True, check=False).returncode
        if died:
            os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE_BF16"


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
        "versions": {name: version(name) for name in ("torch", "numpy", "pillow", "scikit-image")},
        "code": code_hash(),
        "commit": commit(),
    }


def choose(device: str) -> str:
    """cpu, cuda or mps; auto takes CUDA's GPU if there is one. Raises AgmError for another name, or a GPU that is not
    there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if device not in there:
        raise unknown("device", device, ["auto", *there])
    if not there[device]:
        raise AgmError(f"device {device!r} was asked for, but torch sees no GPU; use --device cpu")
    return device


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def processor() -> str:
    """The processor's name, as the system gives it."""
    name = re.search(r"^model name\s*:\s*(.*)$", _cpuinfo(), re.MULTILINE)
    return name[1] if name else platform.processor() or platform.machine()


def _cpuinfo() -> str:
    """The text of /proc/cpuinfo; empty on systems that have no such file."""
    return CPUINFO.read_text() if CPUINFO.exists() else ""


@cache
def commit() -> str:
    """The commit of the checkout the code runs from, with a + where it was changed; empty outside a checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
