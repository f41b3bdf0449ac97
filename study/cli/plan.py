"""`agm plan`: what a profile will cost, before anything starts."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from agm.config import RunConfig
from study import experiments, profiles


def plan(
    profile: Annotated[str, typer.Option(help=f"How much is spent: {', '.join(profiles.names())}.")] = "quick",
    experiment: Annotated[
        list[str] | None, typer.Option(help="Only these figures or tables, such as fig4. Repeatable. [default: all]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu or cuda.")] = "auto",
) -> None:
    """Minutes and memory that the missing runs of a profile will take, roughly.

    Trains a few steps to see how fast this machine is. Notebooks and the book's pages are not counted.
    """
    chosen = profiles.load(profile)
    wanted = {name: experiments.plan(name, chosen) for name in experiment or experiments.EXPERIMENTS}
    every = list(dict.fromkeys(config for configs in wanted.values() for config in configs))

    from agm.machine import choose
    from agm.runs import find
    from study import budget

    place = choose(device)
    missing = [config for config in every if find(config) is None]
    times = _times(missing, place)
    cores, names = ((os.cpu_count() or 1), ("one core", "all cores")) if place == "cpu" else (1, ("GPU", "GPU"))
    lines: list[tuple[str, ...]] = [("experiment", "planned", "finished", "missing", *names, "memory")]
    lines += [budget.line(name, configs, times, cores) for name, configs in (wanted | {"all together": every}).items()]
    for first, *others in lines:
        typer.echo(f"{first:14}" + "".join(f"{text:>12}" for text in others))
    if missing:
        typer.echo("A run on each core; memory is one run's. The last line counts runs that experiments share once.")
    else:
        typer.echo("All runs are finished.")


def _times(missing: list[RunConfig], device: str) -> dict[str, float]:
    """Seconds by run id. What a unit of cost takes is measured on one run of each base."""
    from study import budget

    units = {base: budget.measured_unit(run, device) for base, run in {r.generator.base: r for r in missing}.items()}
    return {
        config.id: budget.seconds(config, budget.images_of(config.data), units[config.generator.base])
        for config in missing
    }
