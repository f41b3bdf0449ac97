"""The claims about numbers of parameters and operations (Table I and Section III-C), counted from real modules."""

from __future__ import annotations

import torch

from agm.claims.evidence import NEAR
from agm.claims.predicates import Counted
from agm.claims.verdicts import Claim, Range
from agm.config import GeneratorConfig
from agm.counting import count, fewer, macs_per_iteration, parameters
from agm.findings import PAPER_TABLE_1
from agm.generator import Generator


def recurrent_over_plain() -> float:
    """A recurrent layer's parameters over those of a plain one in its place: the least of the four ratios."""
    with torch.device("meta"):
        recurrent, plain = (Generator(GeneratorConfig(layers)).layers for layers in ("rrrr", "nnnn"))
    return min(count(r) / count(n) for r, n in zip(recurrent, plain, strict=True))


def operations(layers: str) -> int:
    """Of one iteration with all layers."""
    return macs_per_iteration(GeneratorConfig(layers))


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
        Counted(recurrent_over_plain),
        Range(low=NEAR),
    ),
    Claim(
        "recurrent-costs-more",
        "An iteration takes more operations with recurrent layers than with plain ones",
        "III-C",
        "take more time",
        "table1",
        Counted(lambda: operations("rrrr") / operations("nnnn")),
        Range(low=1),
    ),
)
