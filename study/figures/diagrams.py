"""Figs. 1 to 3, drawn from the code's own objects: networks from their modules, a schedule from its notation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from agm.config import GeneratorConfig
from agm.networks import layers
from agm.networks.complexity import count, macs_per_iteration
from agm.networks.generator import SCALE, UPSAMPLED, Generator
from agm.networks.layers import KINDS, Kind
from agm.schedule import LAYERS, Schedule
from study.figures import style
from study.figures.drawing import IMAGE, PLAIN, RECURRENT, STATIC, arrow, box, brace, canvas, loop, note

Shape = tuple[int, ...]

MIDDLE, BOX, TALL = 2.72, 1.9, 0.44  # centre, width and height of the boxes in the middle of Fig. 1, inches
JOIN, LOWEST, HIGHEST, OUTPUT = 1.74, 2.34, 5.84, 6.72


class Level(NamedTuple):
    """A box in the middle of Fig. 1: the part it stands for, if it has parameters, and its shape afterwards."""

    group: str  # as the brace beside it says
    text: str
    part: nn.Module | None
    shape: Shape


def shapes(generator: Generator, image_size: int = 64) -> dict[str, tuple[Shape, Shape]]:
    """What goes into and comes out of each part for one image, channels first, seen by hooks over two iterations.

    Keys: a, b, layers.0 to layers.3, d.
    """
    seen: dict[str, tuple[Shape, Shape]] = {}
    parts = {"a": generator.a, "b": generator.b, "d": generator.d}
    parts |= {f"layers.{i}": layer for i, layer in enumerate(generator.layers)}
    hooks = [part.register_forward_hook(_recorder(seen, name)) for name, part in parts.items()]
    side = image_size // SCALE
    was_training = generator.training
    with torch.no_grad():
        generator.eval()(torch.zeros(1, 3, side, side), "xxxx (2)")
    generator.train(was_training)
    for hook in hooks:
        hook.remove()
    return seen


def _recorder(seen: dict[str, tuple[Shape, Shape]], name: str) -> Any:
    def record(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        result: Tensor = output[0] if isinstance(output, tuple) else output
        seen[name] = (tuple(inputs[0].shape[1:]), tuple(result.shape[1:]))

    return record


def levels(generator: Generator, seen: dict[str, tuple[Shape, Shape]]) -> list[Level]:
    """What stands above the concatenation, from the bottom: the layers, C.2 if the base has it, D, bicubic."""
    config, paper = generator.config, generator.config.base == "paper"
    groups = ("C.1", "C.1", "C.3", "C.3") if paper else ("C",) * LAYERS
    found = [
        Level(group, f"layer {i + 1}: {KINDS[letter].label}", layer, seen[f"layers.{i}"][1])
        for i, (group, letter, layer) in enumerate(zip(groups, config.layers, generator.layers, strict=True))
    ]
    if paper:
        found.insert(UPSAMPLED, Level("C.2", f"{config.upsampling}, × {SCALE}", None, seen[f"layers.{UPSAMPLED}"][0]))
    found.append(Level("D", "convolution" if paper else f"sub-pixel conv., × {SCALE}", generator.d, seen["d"][1]))
    return found + ([Level("", "plus bicubic upsampling", None, seen["d"][1])] if config.residual else [])


def network(generator: Generator, image_size: int = 64) -> Figure:
    """Fig. 1: the parts A, B, C and D from the bottom, their shapes, and the way from the output to B."""
    seen = shapes(generator, image_size)
    stack = levels(generator, seen)
    heights = [LOWEST + i * (HIGHEST - LOWEST) / (len(stack) - 1) for i in range(len(stack))]
    with style.context():
        fig, ax = canvas(style.WIDTH, 7.15)
        _entrance(ax, MIDDLE - 0.98, generator.b, "B", f"{_fed_back(generator)} of t − 1", seen["b"])
        _entrance(ax, MIDDLE + 0.98, generator.a, "A", "input", seen["a"])
        ax.plot(MIDDLE, JOIN, "o", markersize=6, color=style.BLACK)
        note(ax, MIDDLE + 0.12, JOIN + 0.14, "concatenation: " + _text(seen["layers.0"][0]))
        _stack(ax, stack, heights)
        note(ax, MIDDLE + BOX / 2 + 0.33, OUTPUT, f"{_count(generator)} parameters")
        _braces(ax, stack, heights)
        _feedback(ax, generator, heights)
    return fig


def _entrance(ax: Axes, x: float, part: nn.Module, name: str, source: str, seen: tuple[Shape, Shape]) -> None:
    """A or B above what it reads, and the way of its result to the concatenation."""
    box(ax, (x, 0.26), (1.5, TALL - 0.06), source, IMAGE)
    box(ax, (x, 0.98), (1.5, TALL), f"{name}: convolution")
    arrow(ax, (x, 0.26 + TALL / 2), (x, 0.98 - TALL / 2))
    note(ax, x + 0.08, 0.62, _text(seen[0]))
    outside = 1 if x > MIDDLE else -1
    ax.plot([x, x, MIDDLE], [0.98 + TALL / 2, JOIN, JOIN], color=style.BLACK, linewidth=1.3)
    note(ax, x + 0.08 * outside, 1.46, _text(seen[1]), ha="left" if outside > 0 else "right")
    note(ax, x + 0.81 * outside, 0.98, _count(part), ha="left" if outside > 0 else "right")


def _stack(ax: Axes, stack: list[Level], heights: list[float]) -> None:
    """The inner layers, C.2, D and the output, and the shapes between them."""
    for level, y in zip(stack, heights, strict=True):
        draw_layer(ax, level.part, (MIDDLE, y), (BOX, TALL), level.text)
        note(ax, MIDDLE + BOX / 2 + 0.33, y, _count(level.part) if level.part else "0")
    box(ax, (MIDDLE, OUTPUT), (BOX, TALL), "output of t", IMAGE)
    ends, carried = [JOIN - TALL / 2, *heights, OUTPUT], ["", *(_text(level.shape) for level in stack)]
    for (low, high), shape in zip(itertools.pairwise(ends), carried, strict=True):
        arrow(ax, (MIDDLE, low + TALL / 2), (MIDDLE, high - TALL / 2))
        note(ax, MIDDLE + 0.12, (low + high) / 2, shape)


def _braces(ax: Axes, stack: list[Level], heights: list[float]) -> None:
    for name, group in itertools.groupby(zip(stack, heights, strict=True), key=lambda pair: pair[0].group):
        ys = [y for _, y in group]
        if name:
            brace(ax, 4.9, ys[0] - 0.2, ys[-1] + 0.2, name)


def _fed_back(generator: Generator) -> str:
    """What B sees of the iteration before."""
    return "features" if generator.config.feedback == "features" else "output"


def _feedback(ax: Axes, generator: Generator, heights: list[float]) -> None:
    """From the output, or from the features below D, back to B, which reads it in the next iteration."""
    left, from_x, from_y = 0.48, MIDDLE - BOX / 2, OUTPUT
    first = "zeros" if generator.config.feedback == "features" else generator.config.feedback
    if _fed_back(generator) == "features":
        from_x, from_y = MIDDLE, (heights[LAYERS - 1] + heights[LAYERS]) / 2
    ax.plot([from_x, left, left], [from_y, from_y, 0.26], color=style.VERMILLION, linewidth=1.8)
    arrow(ax, (left, 0.26), (MIDDLE - 0.98 - 0.75, 0.26), style.VERMILLION)
    look = {"rotation": 90, "color": style.VERMILLION, "fontsize": style.SMALL}
    note(ax, left - 0.2, 3.5, f"feedback ({first} before the first iteration)", ha="center", **look)


def draw_layer(
    ax: Axes, layer: nn.Module | None, centre: tuple[float, float], size: tuple[float, float], text: str
) -> None:
    """An inner layer: a recurrent one is filled and keeps a state, drawn as a loop; a plain one is white. Other parts
    are grey."""
    found = kind(layer)
    box(ax, centre, size, text, STATIC if found is None else RECURRENT if found.recurrent else PLAIN)
    if found and found.recurrent:
        loop(ax, centre[0] + size[0] / 2, centre[1])


def kind(layer: nn.Module | None) -> Kind | None:
    """What an inner layer is; None for other parts."""
    module = type(layer).__module__
    return next((found for found in KINDS.values() if module == f"{layers.__name__}.{found.module}"), None)


def _text(shape: Shape) -> str:
    return " × ".join(map(str, shape))


def _count(part: nn.Module) -> str:
    return f"{count(part):,}"


def milestones(schedule: Schedule) -> tuple[int | None, int | None]:
    """k and k + h of Fig. 2: the first iterations, from 1, with at least three and with all four layers active."""
    active = [sum(mask) for mask in schedule]
    first = (next((t for t, n in enumerate(active, 1) if n >= wanted), None) for wanted in (LAYERS - 1, LAYERS))
    return next(first), next(first)


def expansion(schedule: Schedule, config: GeneratorConfig | None = None) -> Figure:
    """Fig. 2: iterations across, layers from the bottom; above them what each iteration costs, as a share of the whole.

    The costs are multiply-accumulate operations of the network of `config`.
    """
    config = config or GeneratorConfig()
    with style.context():
        fig = style.figure(4.4)
        above, grid = fig.subplots(2, 1, sharex=True, height_ratios=(1, 2.4))
        _costs(above, schedule, config)
        for t, mask in enumerate(schedule, 1):
            for i, active in enumerate(mask):
                _cell(grid, t, i + 1, config.layers[i] if active else "")
        grid.set(xlim=(0.4, len(schedule) + 0.6), ylim=(0.4, LAYERS + 0.6), xlabel="iteration")
        _iterations(grid, schedule)
        grid.set_yticks(range(1, LAYERS + 1), [f"layer {i}" for i in range(1, LAYERS + 1)])
        grid.grid(False)
        grid.tick_params(length=0)
        style.write_stamp(fig, f"{schedule} · costs of {config.layers}")
    return fig


def _costs(ax: Axes, schedule: Schedule, config: GeneratorConfig) -> None:
    whole = macs_per_iteration(config)
    costs = {mask: 100 * macs_per_iteration(config, mask=mask) / whole for mask in set(schedule)}
    heights = [costs[mask] for mask in schedule]
    bars = ax.bar(
        range(1, len(schedule) + 1), heights, width=0.8, color=RECURRENT, edgecolor=style.BLACK, linewidth=0.8
    )
    ax.bar_label(bars, [f"{height:.0f}" for height in heights], fontsize=style.SMALL - 1, padding=1)
    ax.set(ylabel="cost, %", ylim=(0, 125), yticks=[])
    ax.grid(False)
    ax.spines["left"].set_visible(False)
    ax.tick_params(bottom=False, labelbottom=False)


def _cell(ax: Axes, t: int, layer: int, letter: str) -> None:
    """An active layer is a box with its letter; an inactive one is a line that passes through unchanged."""
    look: dict[str, Any] = {
        "facecolor": RECURRENT if letter and KINDS[letter].recurrent else PLAIN,
        "edgecolor": style.BLACK,
    }
    if not letter:
        look = {"facecolor": PLAIN, "edgecolor": style.GREY, "linestyle": (0, (3, 2))}
        ax.plot([t, t], [layer - 0.5, layer + 0.5], color=style.GREY, linewidth=1.2, zorder=3)
    ax.add_patch(Rectangle((t - 0.4, layer - 0.38), 0.8, 0.76, linewidth=1.0, zorder=2, **look))
    ax.text(t, layer, letter, ha="center", va="center", zorder=4, family="DejaVu Sans Mono", weight="bold")


def _iterations(ax: Axes, schedule: Schedule) -> None:
    """The numbers of the iterations, and below them k and k + h, with lines where the network grows."""
    k, whole = milestones(schedule)
    names = {t: name for t, name in ((k, "k"), (whole, "k + h")) if t is not None}
    step = 1 if len(schedule) <= 16 else 5
    labels = [f"{t}\n{names.get(t, '')}" if t in names or t % step == 0 else "" for t in range(1, len(schedule) + 1)]
    ax.set_xticks(range(1, len(schedule) + 1), labels)
    for t in names:
        ax.get_xticklabels()[t - 1].set(color=style.VERMILLION, weight="bold")
        ax.axvline(t - 0.5, color=style.VERMILLION, linewidth=1.8, zorder=1)


def configurations(generators: Sequence[Generator]) -> Figure:
    """Fig. 3: ORL configurations side by side; the letters are read from the bottom."""
    with style.context():
        fig, ax = canvas(style.WIDTH, 4.75)
        step = style.WIDTH / len(generators)
        for number, generator in enumerate(generators):
            _configuration(ax, step * (number + 0.5), generator)
    return fig


def _configuration(ax: Axes, x: float, generator: Generator) -> None:
    ax.text(
        x, 4.5, generator.config.layers, ha="center", va="center", fontsize=15, weight="bold", family="DejaVu Sans Mono"
    )
    note(ax, x, 4.22, f"{_count(generator)} parameters", ha="center")
    paper = generator.config.base == "paper"
    texts = ["A, B", *[""] * LAYERS, "D: convolution" if paper else "D: sub-pixel conv."]
    if paper:
        texts.insert(1 + UPSAMPLED, "C.2: upsampling")
    heights = [0.36 + i * 3.48 / (len(texts) - 1) for i in range(len(texts))]
    boxes = list(zip(texts, heights, strict=True))
    for (_, low), (_, high) in itertools.pairwise(boxes):
        arrow(ax, (x, low), (x, high - 0.18))
    arrow(ax, (x - 1.18, 0.84), (x - 1.18, 3.44), style.GREY)
    for text, y in boxes:
        if text:
            box(ax, (x, y), (1.5, 0.32), text)
    free = [y for text, y in boxes if not text]
    for layer, letter, y in zip(generator.layers, generator.config.layers, free, strict=True):
        draw_layer(ax, layer, (x, y), (1.5, 0.4), "recurrent" if KINDS[letter].recurrent else "non-recurrent")

        ax.text(x - 0.98, y, letter, ha="center", va="center", family="DejaVu Sans Mono", weight="bold", fontsize=14)
