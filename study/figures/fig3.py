"""Fig. 3: optional recurrent layers, drawn from networks side by side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agm.networks.complexity import count
from agm.networks.generator import UPSAMPLED, Generator
from agm.networks.layers import KINDS
from agm.schedule import LAYERS
from study.figures import style
from study.figures.drawing import arrow, box, canvas, layer_box, note


def draw(generators: Sequence[Generator]) -> Figure:
    """Draw ORL configurations side by side; their letters count layers from the bottom."""
    with style.context():
        fig, ax = canvas(style.WIDTH, 4.75)
        step = style.WIDTH / len(generators)
        for number, generator in enumerate(generators):
            _configuration(ax, step * (number + 0.5), generator)
    return fig


def _configuration(ax: Axes, x: float, generator: Generator) -> None:
    letters: dict[str, Any] = {"ha": "center", "va": "center", "family": "DejaVu Sans Mono", "weight": "bold"}
    ax.text(x, 4.5, generator.config.layers, fontsize=15, **letters)
    note(ax, x, 4.22, f"{count(generator):,} parameters", ha="center")
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
    for letter, y in zip(generator.config.layers, free, strict=True):
        kind = KINDS[letter]
        layer_box(ax, kind, (x, y), (1.5, 0.4), "recurrent" if kind.recurrent else "non-recurrent")
        ax.text(x - 0.98, y, letter, fontsize=14, **letters)
