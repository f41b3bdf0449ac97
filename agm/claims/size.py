"""The claims about numbers of parameters and operations (Table I and Section III-C), counted from real modules."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from agm.claims.evidence import NEAR
from agm.claims.predicates import Counted
from agm.claims.verdicts import Claim, Range
from agm.config import GeneratorConfig
from agm.counting import count, fewer, parameters
from agm.findings import PAPER_TABLE_1
from agm.generator import Generator


def recurrent_over_plain(of: Callable[[nn.Module], int]) -> float:
    """A recurrent layer's number of something over that of a plain one in its place: the least of the four ratios."""
    with torch.device("meta"):
        recurrent, plain = (Generator(GeneratorConfig(layers)).layers for layers in ("rrrr", "nnnn"))
    return min(of(r) / of(n) for r, n in zip(recurrent, plain, strict=True))


def products(layer: nn.Module) -> int:
    """Multiplications per pixel: a convolution has one for each of its weights."""
    return sum(parameter.numel() for parameter in layer.parameters() if parameter.dim() == 4)


PARAMETERS = (
    *(
        Claim(
            f"parameters-{layers}",
            f"{layers} has {count:,} parameters",
            "III-B1",
            f"{count:,}",
            "table1",
            Counted(lambda layers=layers: parameters(GeneratorConfig(layers))),  # type: ignore[misc]
            Range(count - 0.5, count + 0.5),
        )
        for layers, (count, _) in PAPER_TABLE_1.items()
    ),
    Claim(
        "parameters-saved",
        "nnnr has 74.8 % fewer parameters than rrrr",
        "III-B1",
        "74.8 %",
        "table1",
        Counted(lambda: fewer("nnnr")),
        Range(74.75, 74.85),
    ),
    Claim(
        "parameters-by-kind",
        "A recurrent layer has significantly more parameters than a plain one",
        "III-C",
        "significantly more",
        "table1",
        Counted(lambda: recurrent_over_plain(count)),
        Range(low=NEAR),
    ),
    Claim(
        "recurrent-costs-more",
        "A recurrent layer takes more operations than a plain one",
        "III-C",
        "take more time",
        "table1",
        Counted(lambda: recurrent_over_plain(products)),
        Range(low=1),
    ),
)
