"""The generator's parts as ONNX graphs, node by node. Needs the package onnx.

Batch norm takes its statistics from the row `t` of a table, so that one file serves all iterations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from onnx.external_data_helper import set_external_data
from torch import Tensor, nn

from agm.anytime.engine.parts import forget_first
from agm.config import Statistics
from agm.errors import AgmError
from agm.networks.blocks import LEAK, ConvNormAct, IterationNorm
from agm.networks.generator import Generator
from agm.networks.layers.conv_lstm import ConvLSTM
from agm.networks.layers.plain import PlainLayer
from agm.networks.layers.residual import Residual, cell_of
from agm.networks.light import SCALE, Contrast, SubPixel

OPSET, IR_VERSION = 17, 8
"""Old enough for the runtimes of browsers."""
LETTERS = "rn"
"""The letters of the layers that can be exported."""

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
            proto = onnx.numpy_helper.from_array(array, name)
            set_external_data(proto, self.location, len(self.content), array.nbytes)
            proto.ClearField("raw_data")
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
        out = out or f"{operator}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, inputs, [out], name=out, **attributes))
        return out

    def split(self, x: str, parts: int) -> list[str]:
        """Equal parts of the channels."""
        outputs = [f"Split_{len(self.nodes)}_{k}" for k in range(parts)]
        self.nodes.append(onnx.helper.make_node("Split", [x], outputs, name=outputs[0], axis=1))
        return outputs

    def weight(self, name: str, value: Tensor) -> str:
        """A convolution's weight, as 32 bits whatever it is stored as."""
        self.tensors[name] = self.store.add(name, value, self.store.precision)
        return name if self.store.precision == 32 else self("Cast", name, to=onnx.TensorProto.FLOAT)

    def small(self, name: str, value: Tensor | None) -> str:
        """A bias or statistics: 32 bits always. No name for what is not there."""
        if value is None:
            return ""
        self.tensors[name] = self.store.add(name, value, 32)
        return name

    def constant(self, name: str, value: Any, dtype: type = np.int64) -> str:
        self.tensors[name] = onnx.numpy_helper.from_array(np.array(value, dtype), name)
        return name

    def encode(self, name: str, inputs: Shapes, outputs: Shapes) -> bytes:
        """The file's content."""
        given, made = ([_value(*end) for end in side.items()] for side in (inputs, outputs))
        graph = onnx.helper.make_graph(self.nodes, name, given, made, list(self.tensors.values()))
        opset = [onnx.helper.make_opsetid("", OPSET)]
        model = onnx.helper.make_model(graph, producer_name="agm", ir_version=IR_VERSION, opset_imports=opset)
        return bytes(model.SerializeToString(deterministic=True))


def _value(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    kind = onnx.TensorProto.FLOAT if shape else onnx.TensorProto.INT64
    return onnx.helper.make_tensor_value_info(name, kind, shape)


def build(graph: Graph, generator: Generator, name: str, statistics: Statistics) -> None:
    """Add the nodes of a part; names and ends are those of `agm.anytime.onnx.export.ends`."""
    config = generator.config
    if name == "a":
        entrance(graph, "a", generator.a, "x", statistics, out="features")
        if config.residual or config.feedback == "bicubic":
            # Pillow's kernel; at the border its weights are scaled to add up to 1 without those that lie outside.
            _doubled(graph, "x", out="base", mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1)
    elif name == "b":
        graph("Concat", "features", entrance(graph, "b", generator.b, "previous", statistics), axis=1, out="z")
    elif name == "up":
        nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        _doubled(graph, "z", out="z_next", **(nearest if config.upsampling == "nearest" else {"mode": "linear"}))
    elif name == "d":
        final(graph, generator.d, config.residual)
    else:
        number, _, first = name.removeprefix("layer").partition("_")
        layer = generator.layers[int(number) - 1]
        if isinstance(cell_of(layer), ConvLSTM):
            recurrent(graph, number, layer, zero=bool(first))
        else:
            plain(graph, f"layer{number}", layer, statistics)


def entrance(graph: Graph, name: str, part: Any, x: str, statistics: Statistics, out: str = "") -> str:
    """A and B, of either base. A has no t: it runs once."""
    if isinstance(part, Contrast):
        x = graph("Pad", x, graph.constant("pads", [0, 0, 2, 2] * 2), mode="edge")
        kernel = graph.small("a.kernel", part.kernel())  # 32 bits: rounded kernels would not sum to zero
        y = graph("Conv", x, kernel, graph.small("a.bias", part.conv.bias))
    else:
        y = conv(graph, name, part.conv, x)
    if isinstance(part, ConvNormAct):
        y = norm(graph, f"{name}.norm", part.norm, y, statistics, once=name == "a")
    return graph("LeakyRelu", y, alpha=LEAK, out=out)


def recurrent(graph: Graph, number: str, around: Any, zero: bool) -> None:
    """An r layer, of either base: z and its state -> z_next, and the next state. `zero`: without a state.

    Its gates lie in the order f, i, g, o: without a state, whatever f is multiplied with is zero, and the rest is one
    slice, which a runtime carries out when it loads the graph.
    """
    layer: Any = cell_of(around)
    name, h, c = f"layer{number}", f"h{number}", f"c{number}"
    channels, weight = layer.gates.out_channels // 4, forget_first(layer.gates.weight)
    of_z = graph.weight(f"{name}.x", weight[:, : layer.inputs])
    bias = graph.small(f"{name}.bias", forget_first(layer.gates.bias))
    if zero:
        ends = graph.constant("begin", [channels]), graph.constant("end", [4 * channels])
        operands = (graph("Slice", operand, *ends) for operand in (of_z, bias))
        i, g, o = graph.split(graph("Conv", "z", *operands, pads=[1] * 4), 3)
        cell = graph("Mul", graph("Sigmoid", i), graph("Tanh", g), out=f"{c}_next")
    else:
        of_h = graph.weight(f"{name}.h", weight[:, layer.inputs :])
        y = graph("Add", graph("Conv", "z", of_z, bias, pads=[1] * 4), graph("Conv", h, of_h, pads=[1] * 4))
        f, i, g, o = graph.split(y, 4)
        kept, new = graph("Mul", graph("Sigmoid", f), c), graph("Mul", graph("Sigmoid", i), graph("Tanh", g))
        cell = graph("Add", kept, new, out=f"{c}_next")
    new = graph("Mul", graph("Sigmoid", o), graph("Tanh", cell), out=f"{h}_next")
    if isinstance(around, Residual):
        graph("Add", new, skipped(graph, name, around), out="z_next")
    else:
        graph("Identity", new, out="z_next")


def skipped(graph: Graph, name: str, layer: Any) -> str:
    """The input of a layer that adds to it."""
    return "z" if layer.skip is None else conv(graph, f"{name}.skip", layer.skip, "z")


def plain(graph: Graph, name: str, layer: Any, statistics: Statistics) -> None:
    """An n layer, of either base: z -> z_next."""
    y = graph("LeakyRelu", conv(graph, f"{name}.1", layer.conv1, "z"), alpha=LEAK)
    if isinstance(layer, PlainLayer):
        y = conv(graph, f"{name}.2", layer.conv2, norm(graph, f"{name}.norm1", layer.norm1, y, statistics))
        norm(graph, f"{name}.norm2", layer.norm2, y, statistics, out="z_next")
    else:
        graph("Add", conv(graph, f"{name}.2", layer.conv2, y), skipped(graph, name, layer), out="z_next")


def final(graph: Graph, part: nn.Conv2d | SubPixel, residual: bool) -> None:
    """D, of either base: z -> image."""
    out = "" if residual else "image"
    if isinstance(part, SubPixel):
        image = graph("DepthToSpace", conv(graph, "d", part.conv, "z"), blocksize=SCALE, mode="CRD", out=out)
    else:
        image = conv(graph, "d", part, "z", out)
    if residual:
        graph("Add", image, "base", out="image")


def conv(graph: Graph, name: str, part: nn.Conv2d, x: str, out: str = "") -> str:
    weight, bias = graph.weight(name, part.weight), graph.small(f"{name}.bias", part.bias)
    pads = [int(side) for side in part.padding] * 2
    return graph("Conv", x, weight, *filter(None, [bias]), strides=part.stride, pads=pads, out=out)


def norm(
    graph: Graph, name: str, part: IterationNorm, x: str, statistics: Statistics, once: bool = False, out: str = ""
) -> str:
    """Batch norm with row t of the statistics; with the only row there is, where they are shared."""
    steps = range(1 if once or statistics == "shared" else len(part.running_mean) - 1)
    rows = [torch.stack(kind) for kind in zip(*(part.running(t, statistics) for t in steps), strict=True)]  # (T, C)
    mean, var = (graph.small(f"{name}.{kind}", r) for kind, r in zip(("mean", "var"), rows, strict=True))
    t = graph.constant("first", 0) if once else "t"
    mean, var = (graph("Gather", table, t) for table in (mean, var))
    affine = graph.small(f"{name}.weight", part.weight), graph.small(f"{name}.bias", part.bias)
    return graph("BatchNormalization", x, *affine, mean, var, epsilon=part.epsilon, out=out)


def _doubled(graph: Graph, x: str, out: str, **how: Any) -> str:
    return graph("Resize", x, "", graph.constant("scales", [1, 1, SCALE, SCALE], np.float32), out=out, **how)
