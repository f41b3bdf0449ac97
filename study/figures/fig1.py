"""Fig. 1: the network with its parts, shapes and parameter counts, drawn from the module itself."""

from __future__ import annotations

import copy
import functools
import itertools
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from agm.networks.complexity import count
from agm.networks.generator import SCALE, UPSAMPLED, Generator
from agm.networks.layers import KINDS, Kind
from agm.schedule import LAYERS
from study.figures import style
from study.figures.drawing import IMAGE, arrow, box, canvas, layer_box, note

Shape = tuple[int, ...]

MIDDLE, BOX, TALL = 2.72, 1.9, 0.44  # centre, width and height of the boxes in the middle, inches
JOIN, LOWEST, HIGHEST, OUTPUT = 1.74, 2.34, 5.84, 6.72


class Level(NamedTuple):
    """A box in the middle column, with the shape of its output, its number of parameters, and the kind of a layer."""

    group: str  # as the brace beside it says
    text: str
    shape: Shape
    parameters: int = 0
    kind: Kind | None = None


def shapes(generator: Generator, image_size: int = 64) -> dict[str, tuple[Shape, Shape]]:
    """Input and output shape of each part for one image, channels first, recorded by hooks over two iterations.

    Keys: a, b, layers.0 to layers.3, d.
    """
    seen: dict[str, tuple[Shape, Shape]] = {}

    def record(name: str, _: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        result: Tensor = output[0] if isinstance(output, tuple) else output
        seen[name] = (tuple(inputs[0].shape[1:]), tuple(result.shape[1:]))

    network = copy.deepcopy(generator).eval()  # it keeps the hooks
    parts = {"a": network.a, "b": network.b, "d": network.d}
    parts |= {f"layers.{i}": layer for i, layer in enumerate(network.layers)}
    for name, part in parts.items():
        part.register_forward_hook(functools.partial(record, name))
    with torch.no_grad():
        network(torch.zeros(1, 3, image_size // SCALE, image_size // SCALE), "xxxx (2)")
    return seen


def levels(generator: Generator, seen: dict[str, tuple[Shape, Shape]]) -> list[Level]:
    """The boxes above the concatenation, from the bottom: the layers, C.2 if the base has it, D, bicubic upsampling."""
    config, paper = generator.config, generator.config.base == "paper"
    groups = ("C.1", "C.1", "C.3", "C.3") if paper else ("C",) * LAYERS
    found = []
    for i, (group, letter, layer) in enumerate(zip(groups, config.layers, generator.layers, strict=True)):
        text, kind = f"layer {i + 1}: {KINDS[letter].label}", KINDS[letter]
        found.append(Level(group, text, seen[f"layers.{i}"][1], count(layer), kind))
    if paper:
        found.insert(UPSAMPLED, Level("C.2", f"{config.upsampling}, × {SCALE}", seen[f"layers.{UPSAMPLED}"][0]))
    last = "convolution" if paper else f"sub-pixel conv., × {SCALE}"
    found.append(Level("D", last, seen["d"][1], count(generator.d)))
    return found + ([Level("", "plus bicubic upsampling", seen["d"][1])] if config.residual else [])


def draw(generator: Generator, image_size: int = 64) -> Figure:
    """Draw the parts A, B, C and D from the bottom, their shapes, and the feedback to B."""
    seen = shapes(generator, image_size)
    stack = levels(generator, seen)
    heights = [LOWEST + i * (HIGHEST - LOWEST) / (len(stack) - 1) for i in range(len(stack))]
    with style.context():
        fig, ax = canvas(style.WIDTH, 7.15)
        fed_back = "features" if generator.config.feedback == "features" else "output"
        _entrance(ax, MIDDLE - 0.98, generator.b, "B", f"{fed_back} of t − 1", seen["b"])
        _entrance(ax, MIDDLE + 0.98, generator.a, "A", "input", seen["a"])
        ax.plot(MIDDLE, JOIN, "o", markersize=6, color=style.BLACK)
        note(ax, MIDDLE + 0.12, JOIN + 0.14, "concatenation: " + _text(seen["layers.0"][0]))
        _stack(ax, stack, heights)
        note(ax, MIDDLE + BOX / 2 + 0.33, OUTPUT, f"{count(generator):,}\nparameters")
        _braces(ax, stack, heights)
        _feedback(ax, generator, heights)
    return fig


def _entrance(ax: Axes, x: float, part: nn.Module, name: str, source: str, seen: tuple[Shape, Shape]) -> None:
    """Draw A or B above its input, and the line from it to the concatenation."""
    box(ax, (x, 0.26), (1.5, TALL - 0.06), source, IMAGE)
    box(ax, (x, 0.98), (1.5, TALL), f"{name}: convolution")
    arrow(ax, (x, 0.26 + TALL / 2), (x, 0.98 - TALL / 2))
    note(ax, x + 0.08, 0.62, _text(seen[0]))
    outside = 1 if x > MIDDLE else -1
    ax.plot([x, x, MIDDLE], [0.98 + TALL / 2, JOIN, JOIN], color=style.BLACK, linewidth=1.3)
    note(ax, x + 0.08 * outside, 1.46, _text(seen[1]), ha="left" if outside > 0 else "right")
    note(ax, x + 0.81 * outside, 0.98, f"{count(part):,}", ha="left" if outside > 0 else "right")


def _stack(ax: Axes, stack: list[Level], heights: list[float]) -> None:
    """Draw the inner layers, C.2, D and the output, with the shapes between them."""
    for level, y in zip(stack, heights, strict=True):
        layer_box(ax, level.kind, (MIDDLE, y), (BOX, TALL), level.text)
        note(ax, MIDDLE + BOX / 2 + 0.33, y, f"{level.parameters:,}")
    box(ax, (MIDDLE, OUTPUT), (BOX, TALL), "output of t", IMAGE)
    ends, carried = [JOIN - TALL / 2, *heights, OUTPUT], ["", *(_text(level.shape) for level in stack)]
    for (low, high), shape in zip(itertools.pairwise(ends), carried, strict=True):
        arrow(ax, (MIDDLE, low + TALL / 2), (MIDDLE, high - TALL / 2))
        note(ax, MIDDLE + 0.12, (low + high) / 2, shape)


def _braces(ax: Axes, stack: list[Level], heights: list[float]) -> None:
    """Draw a bracket beside each group of boxes, with its name."""
    for name, group in itertools.groupby(zip(stack, heights, strict=True), key=lambda pair: pair[0].group):
        ys = [y for _, y in group]
        if name:
            low, high = ys[0] - 0.2, ys[-1] + 0.2
            ax.plot([4.9, 4.98, 4.98, 4.9], [low, low, high, high], color=style.FAINT, linewidth=1.1)
            ax.text(5.07, (low + high) / 2, name, va="center", weight="bold")


def _feedback(ax: Axes, generator: Generator, heights: list[float]) -> None:
    """Draw the line from the output, or from the features below D, back to B."""
    left, from_x, from_y, first = 0.48, MIDDLE - BOX / 2, OUTPUT, generator.config.feedback
    if first == "features":
        from_x, from_y, first = MIDDLE, (heights[LAYERS - 1] + heights[LAYERS]) / 2, "zeros"
    ax.plot([from_x, left, left], [from_y, from_y, 0.26], color=style.VERMILLION, linewidth=1.8)
    arrow(ax, (left, 0.26), (MIDDLE - 0.98 - 0.75, 0.26), style.VERMILLION)
    look = {"rotation": 90, "color": style.VERMILLION, "fontsize": style.SMALL}
    note(ax, left - 0.2, 3.5, f"feedback ({first} before the first iteration)", ha="center", **look)


def _text(shape: Shape) -> str:
    return " × ".join(map(str, shape))
