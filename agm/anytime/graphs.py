"""The generator's parts as ONNX graphs, node by node. Needs the package onnx.

Batch norm takes its statistics from the row `t` of a table, so that one file serves all iterations. A 3x3 convolution
of a nearest-upsampled input is done as four 2x2 ones of the input: 16 instead of 36 products per input pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from agm.config import Statistics
from agm.errors import AgmError
from agm.generator import UPSAMPLED, Generator
from agm.layers import LEAK, ConvLSTM, ConvNormAct, IterationNorm, PlainLayer

OPSET, IR_VERSION = 17, 8
"""Old enough for the runtimes of browsers."""

Shapes = Mapping[str, Sequence[int | str]]
"""Name -> shape, with N, H, W and 2H, 2W for what is not fixed; () is the int64 t, all else are 32-bit floats."""


@dataclass
class Store:
    """The tensors of all files, one after the other in one file. `precision`: of convolution weights, 32 or 16 bits."""

    location: str
    precision: int
    content: bytearray = field(default_factory=bytearray)
    tensors: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def add(self, name: str, value: Tensor, precision: int) -> onnx.TensorProto:
        """The reference to a tensor, which is stored the first time. Raises AgmError for NaN and infinity."""
        if name not in self.tensors:
            with np.errstate(over="ignore"):  # told below
                array = value.detach().cpu().numpy().astype("<f2" if precision == 16 else "<f4")
            if not np.isfinite(array).all():
                raise AgmError(f"{name}: not all values are finite {precision}-bit numbers; the training had diverged")
            self.content += bytes(-len(self.content) % 64)  # runtimes map the file into memory and like it aligned
            proto = onnx.TensorProto(name=name, dims=array.shape, data_location=onnx.TensorProto.EXTERNAL)
            proto.data_type = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            for key, item in (("location", self.location), ("offset", len(self.content)), ("length", array.nbytes)):
                proto.external_data.add(key=key, value=str(item))
            self.content += array.tobytes()
            self.tensors[name] = proto
        return self.tensors[name]


class Graph:
    """One file in the making. Called with an operator, its inputs and attributes, it adds a node; returns its name."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, onnx.TensorProto] = {}

    def __call__(self, operator: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """`out`: the output's name, where it matters."""
        return self._add(operator, inputs, [out or f"{operator}_{len(self.nodes)}"], attributes)[0]

    def split(self, x: str, parts: int) -> list[str]:
        """Equal parts of the channels."""
        return self._add("Split", (x,), [f"Split_{len(self.nodes)}_{k}" for k in range(parts)], {"axis": 1})

    def weight(self, name: str, value: Tensor) -> str:
        """A convolution's weight, as 32 bits whatever it is stored as."""
        self.tensors[name] = self.store.add(name, value, self.store.precision)
        return name if self.store.precision == 32 else self("Cast", name, to=onnx.TensorProto.FLOAT)

    def small(self, name: str, value: Tensor) -> str:
        """A bias or statistics: 32 bits always."""
        self.tensors[name] = self.store.add(name, value, 32)
        return name

    def constant(self, name: str, value: Any, dtype: type = np.int64) -> str:
        self.tensors[name] = onnx.numpy_helper.from_array(np.array(value, dtype), name)
        return name

    def rest(self, tensor: str, begin: int, end: int) -> str:
        """A tensor from `begin` to `end` along its first axis: carried out once, when a runtime loads the graph."""
        return self("Slice", tensor, *(self.constant(f"integer_{k}", [k]) for k in (begin, end)))

    def encode(self, name: str, inputs: Shapes, outputs: Shapes) -> bytes:
        """The file's content."""
        ends, tensors = (_values(inputs), _values(outputs)), list(self.tensors.values())
        graph = onnx.helper.make_graph(self.nodes, name, *ends, tensors)
        opset = [onnx.helper.make_opsetid("", OPSET)]
        model = onnx.helper.make_model(graph, producer_name="agm", ir_version=IR_VERSION, opset_imports=opset)
        return bytes(model.SerializeToString(deterministic=True))

    def _add(self, operator: str, inputs: Sequence[str], outputs: list[str], attributes: dict[str, Any]) -> list[str]:
        self.nodes.append(onnx.helper.make_node(operator, inputs, outputs, name=outputs[0], **attributes))
        return outputs


def _values(shapes: Shapes) -> list[onnx.ValueInfoProto]:
    types = {name: onnx.TensorProto.FLOAT if shape else onnx.TensorProto.INT64 for name, shape in shapes.items()}
    return [onnx.helper.make_tensor_value_info(name, types[name], shape) for name, shape in shapes.items()]


def start(graph: Graph, generator: Generator, statistics: Statistics) -> None:
    """x -> features, and base where the configuration needs it: what stays the same over all iterations."""
    conv_norm_act(graph, "a", generator.a, "x", statistics, out="features")
    if generator.config.residual or generator.config.feedback == "bicubic":
        # Pillow's kernel; at the border its weights are scaled to add up to 1 without those that lie outside.
        _resized(graph, "x", out="base", mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1)


def step(graph: Graph, generator: Generator, pattern: str, statistics: Statistics) -> None:
    """features, previous, t, base, h and c of the active r layers -> image, and the next h and c.

    pattern: x for an active layer, - for an inactive one, 0 for an r layer whose state is still zero.
    """
    b = conv_norm_act(graph, "b", generator.b, "previous", statistics)
    z = graph("Concat", "features", b, axis=1)
    for i, layer in enumerate(generator.layers):
        if pattern[i] == "-":
            continue
        up = i >= UPSAMPLED and set(pattern[UPSAMPLED:i]) <= {"-"}  # C.2 comes right before this layer
        if up and generator.config.upsampling == "bilinear":
            z, up = _resized(graph, z, mode="linear"), False
        if isinstance(layer, ConvLSTM):
            z = recurrent(graph, i + 1, layer, z, up, zero=pattern[i] == "0")
        else:
            z = plain(graph, i + 1, layer, z, up, statistics)  # type: ignore[arg-type]
    bias, residual = graph.small("d.bias", _given(generator.d.bias)), generator.config.residual
    image = conv(graph, "d", generator.d.weight, z, bias, out="" if residual else "image")
    if residual:
        graph("Add", image, "base", out="image")


def recurrent(graph: Graph, number: int, layer: ConvLSTM, z: str, up: bool, zero: bool) -> str:
    """An r layer -> h. Its gates lie in the order f, i, g, o, so that all but the first are one slice."""
    name, h, c = f"layer{number}", f"h{number}", f"c{number}"
    weight, channels = _forget_first(layer.gates.weight), layer.gates.out_channels // 4
    bias, skipped = graph.small(f"{name}.bias", _forget_first(_given(layer.gates.bias))), 0
    if zero:  # f would only multiply zeros
        bias, skipped = graph.rest(bias, channels, 4 * channels), channels
    gates = (conv_up if up else conv)(graph, f"{name}.x", weight[:, : layer.inputs], z, bias, skipped=skipped)
    if not zero:
        gates = graph("Add", gates, conv(graph, f"{name}.h", weight[:, layer.inputs :], h))
    *f, i, g, o = graph.split(gates, 3 if zero else 4)
    peephole = () if layer.peephole is None else zip("ifo", layer.peephole, strict=True)
    w = {gate: graph.small(f"{name}.w_{gate}", part) for gate, part in peephole}
    if w and not zero:
        i, f = graph("Add", i, graph("Mul", w["i"], c)), [graph("Add", f[0], graph("Mul", w["f"], c))]
    cell = graph("Mul", graph("Sigmoid", i), graph("Tanh", g), out=f"{c}_next" if zero else "")
    if not zero:
        cell = graph("Add", graph("Mul", graph("Sigmoid", f[0]), c), cell, out=f"{c}_next")
    if w:
        o = graph("Add", o, graph("Mul", w["o"], cell))
    return graph("Mul", graph("Sigmoid", o), graph("Tanh", cell), out=f"{h}_next")


def plain(graph: Graph, number: int, layer: PlainLayer, z: str, up: bool, statistics: Statistics) -> str:
    """An n layer."""
    name = f"layer{number}"
    y = graph("LeakyRelu", (conv_up if up else conv)(graph, f"{name}.1", layer.conv1.weight, z), alpha=LEAK)
    y = conv(graph, f"{name}.2", layer.conv2.weight, norm(graph, f"{name}.norm1", layer.norm1, y, statistics))
    return norm(graph, f"{name}.norm2", layer.norm2, y, statistics)


def conv_norm_act(graph: Graph, name: str, part: ConvNormAct, x: str, statistics: Statistics, out: str = "") -> str:
    """A and B. A has no t: it runs once."""
    y = conv(graph, name, part.conv.weight, x, strides=part.conv.stride)
    y = norm(graph, f"{name}.norm", part.norm, y, statistics, once=name == "a")
    return graph("LeakyRelu", y, alpha=LEAK, out=out)


def conv(graph: Graph, name: str, weight: Tensor, x: str, *bias: str, skipped: int = 0, **how: Any) -> str:
    """A convolution without its first `skipped` output channels; `how`: out, and the operator's own settings."""
    kernel = graph.weight(name, weight)
    if skipped:
        kernel = graph.rest(kernel, skipped, len(weight))
    return graph("Conv", x, kernel, *bias, **{"pads": [1, 1, 1, 1], **how})


def conv_up(graph: Graph, name: str, weight: Tensor, x: str, *bias: str, skipped: int = 0) -> str:
    """A 3x3 convolution of the nearest upsampling of x: each of the four phases of its output is a 2x2 one of x."""
    parts = [
        conv(graph, f"{name}.phase{p}{q}", kernel, x, *bias, skipped=skipped, pads=[1 - p, 1 - q, p, q])
        for (p, q), kernel in phase_kernels(weight.detach()).items()
    ]
    return graph("DepthToSpace", graph("Concat", *parts, axis=1), blocksize=2)  # (N, 4 C, H, W) -> (N, C, 2H, 2W)


def norm(graph: Graph, name: str, part: IterationNorm, x: str, statistics: Statistics, once: bool = False) -> str:
    """Batch norm with row t of the statistics; with the only row there is, where they are shared."""
    steps = range(1 if once or statistics == "shared" else len(part.running_mean) - 1)
    rows = [torch.stack(kind) for kind in zip(*(part.running(t, statistics) for t in steps), strict=True)]  # (T, C)
    mean, var = (graph.small(f"{name}.{kind}", r) for kind, r in zip(("mean", "var"), rows, strict=True))
    t = graph.constant("first", 0) if once else "t"
    mean, var = (graph("Gather", table, t) for table in (mean, var))
    affine = graph.small(f"{name}.weight", part.weight), graph.small(f"{name}.bias", part.bias)
    return graph("BatchNormalization", x, *affine, mean, var, epsilon=part.epsilon)


def phase_kernels(weight: Tensor) -> dict[tuple[int, int], Tensor]:
    """(O, I, 3, 3) -> (O, I, 2, 2) for each row and column phase of the output.

    Of three rows of a nearest-upsampled input two are copies of one row: the last two for even output rows, the first
    two for odd ones. Their weights can be added beforehand; likewise for columns.
    """

    def rows(w: Tensor, phase: int) -> Tensor:
        a, b, c = w.unbind(2)
        return torch.stack([a + b, c] if phase else [a, b + c], 2)

    return {(p, q): rows(rows(weight, p).mT, q).mT for p in (0, 1) for q in (0, 1)}


def _resized(graph: Graph, x: str, out: str = "", **how: Any) -> str:
    return graph("Resize", x, "", graph.constant("scales", [1, 1, 2, 2], np.float32), out=out, **how)


def _forget_first(gates: Tensor) -> Tensor:
    """Gates in the order i, f, g, o -> f, i, g, o."""
    i, f, g, o = gates.chunk(4)
    return torch.cat([f, i, g, o])


def _given(bias: Tensor | None) -> Tensor:
    assert bias is not None
    return bias
