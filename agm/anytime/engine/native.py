"""The fused convolutions as machine code: `kernels.cpp`, compiled once per machine where there is a C++ compiler.

They are computed by Winograd's minimal filtering, with 36 instead of 144 products per 4x4 pixels and channel: F(4x4,
3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), with the interpolation points 0, 1,
-1, 1/2 and -2 of Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution" (2020), which
lose the fewest digits. Intermediate results stay in the processor's cache.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from agm.anytime.engine import compiler
from agm.anytime.engine.filtering import Filtering, Source

SOURCE = Path(__file__).with_name("kernels.cpp")
OPTIONS = ("-std=c++17", "-O3", "-fopenmp", "-shared", "-fPIC")
LEVELS = {"AVX512": ("-march=x86-64-v4",), "AVX2": ("-march=x86-64-v3",)}
"""Compiler options by torch's instruction set. No -march=native: different machines may share a home folder."""
RAW, NORM, GATES = range(3)
OF_WEIGHT = (
    *((1, 0, 0), (1 / 3, 1 / 3, 1 / 3), (-1 / 3, 1 / 3, -1 / 3)),
    *((-16 / 15, -8 / 15, -4 / 15), (1 / 15, -2 / 15, 4 / 15), (0, 0, 1)),
)
"""Winograd's matrix of the weights; those of the input and the output stand in kernels.cpp."""
WIDEST = 64
"""Up to this many channels need not be a multiple of the vector length: gates are then computed one by one."""


class Part(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("channels", ctypes.c_int32), ("up", ctypes.c_int32))


class Job(ctypes.Structure):
    """As in kernels.cpp."""

    _fields_ = (
        ("parts", Part * 2),
        *((name, ctypes.c_int32) for name in ("images", "height", "width", "kind", "skipped", "inputs")),
        *((name, ctypes.c_int32) for name in ("first", "gates", "all", "channels")),
        *((name, ctypes.c_void_p) for name in ("weights", "bias", "share", "scale", "shift")),
        ("shift_step", ctypes.c_int32),
        ("leak", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("old_cell", "cell", "out")),
    )


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None without a C++ compiler ($CXX, or c++) or where they cannot be built."""
    return compiler.build(SOURCE, (*OPTIONS, *LEVELS.get(torch.backends.cpu.get_cpu_capability(), ())))


def fits(weight: Tensor, gates: int, width: int) -> bool:
    """True if the kernels can compute this convolution here. weight: (gates * C, inputs, 3, 3).

    Each input image must have `width` channels or a multiple of it.
    """
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        return False
    found = library()
    if found is None:
        return False
    lanes, sizes = found.lanes(), (weight.shape[0] // gates, weight.shape[1], width)
    return min(sizes) >= lanes and (sizes[0] % lanes == 0 or sizes[0] <= WIDEST)


class NativeFiltering(Filtering):
    """By the kernels, for weights that it `fits`. A cell is updated in place."""

    def __init__(self, weight: Tensor, bias: Tensor | None, gates: int) -> None:
        super().__init__(weight, bias, gates)
        found = library()
        assert found is not None
        self._library, self._lanes, self.all, self.inputs = found, found.lanes(), gates, weight.shape[1]
        panel, of_weight = 2 * self._lanes, torch.tensor(OF_WEIGHT, dtype=torch.float64)
        transformed = torch.einsum("ai,ocij,bj->abco", of_weight, weight.double(), of_weight).float()
        shaped = transformed.reshape(36, self.inputs, gates, self.channels)
        padded = F.pad(shaped, (0, -self.channels % panel))
        # -> (36, gates, panels, I, panel)
        panels = padded.view(36, self.inputs, gates, -1, panel)
        self.weight = panels.permute(0, 2, 3, 1, 4).contiguous()

    def raw(self, source: Source, first: int = 0) -> Tensor:
        out = self._empty(source, self.all - first)
        self._run(source, RAW, first, out)
        return out

    def norm(self, source: Source, leak: float, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        out = self._empty(source)
        self._run(source, NORM, 0, out, leak, bias=self.bias, scale=scale, shift=shift)
        return out

    def gates(self, source: Source, cell: Tensor | None) -> tuple[Tensor, Tensor]:
        out = self._empty(source)
        twice = self.channels % self._lanes > 0  # then some channels are done again, from the old cell
        new = self._empty(source) if cell is None or twice else cell
        first = int(cell is None)
        bias = None if self.bias is None else self.bias[first * self.channels :]
        self._run(source, GATES, first, out, bias=bias, old_cell=cell, cell=new)
        return out, new

    def _empty(self, source: Source, gates: int = 1) -> Tensor:
        return self.weight.new_empty(*source.size, gates * self.channels)

    def _run(
        self, source: Source, kind: int, first: int, out: Tensor, leak: float = 1.0, **more: Tensor | None
    ) -> None:
        parts = [part.contiguous() for part in source.parts]
        assert all(part.shape[3] >= self._lanes for part in parts)  # the kernels read whole vectors
        more |= {"weights": self.weight, "share": source.share, "out": out}
        named = {name: tensor.contiguous() for name, tensor in more.items() if tensor is not None}
        job = Job(kind=kind, skipped=source.skipped, inputs=self.inputs, channels=self.channels, leak=leak)
        job.images, job.height, job.width = source.size
        job.first, job.gates, job.all = first, self.all - first, self.all
        job.shift_step = self.channels if "shift" in named and named["shift"].dim() > 1 else 0
        for name, tensor in named.items():
            setattr(job, name, tensor.data_ptr())
        for number, part in enumerate(parts):
            job.parts[number] = Part(part.data_ptr(), part.shape[3], int(source.up and number == 0))
        if self._library.convolve(ctypes.byref(job), torch.get_num_threads()):
            raise MemoryError("out of memory in a convolution")
