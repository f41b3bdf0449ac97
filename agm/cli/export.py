"""`agm export`: a trained network for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from agm.cli.upscale import Model, StatisticsName


def export(
    out: Annotated[Path, typer.Option(help="The folder to make.", show_default=False)],
    model: Model = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="NOAEL, A, B or AEL notation. [default: that of the training]", show_default=False),
    ] = None,
    statistics: StatisticsName = "iteration",
    precision: Annotated[int, typer.Option(help="Bits of the stored weights, 32 or 16; it computes in 32.")] = 32,
    force: Annotated[bool, typer.Option(help="Replace an export that is there.")] = False,
) -> None:
    """Write a network as ONNX: one file per part, and chain.json, which says in which order to run them.

    Needs the package onnx: pip install 'agm\\[export]'.
    """
    from agm.anytime.onnx.export import CHAIN, export
    from agm.paths import weights
    from agm.runs import load_trained

    generator, config = load_trained(weights(model))
    plan = generator.resolve(schedule or config.training.schedule)
    chain = export(generator, out, plan, cast(Any, statistics), precision, config.id, force)
    sizes = {name: entry["bytes"] for name, entry in chain["files"].items()} | {CHAIN: (out / CHAIN).stat().st_size}
    for name, size in sizes.items():
        typer.echo(f"{name:20}{size:>14,} bytes")
    typer.echo(f"run {config.id}, {len(chain['parts'])} parts for {plan} -> {out}")
