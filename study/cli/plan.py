"""`agm plan`: what a profile will cost, before anything starts."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from agm.cli.evaluate import AsJson
from agm.config import RunConfig
from study import experiments, profiles

COLUMNS = ("experiment", "planned", "finished", "missing", "one core", "all cores", "memory")


def plan(
    profile: Annotated[str, typer.Option(help=f"How much is spent: {', '.join(profiles.names())}.")] = "quick",
    experiment: Annotated[
        list[str] | None, typer.Option(help="Only these figures or tables, such as fig4. Repeatable. [default: all]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu or cuda.")] = "auto",
    from_scratch: Annotated[bool, typer.Option(help="As if no run were finished.")] = False,
    as_json: AsJson = False,
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
    missing = [config for config in every if from_scratch or find(config) is None]
    cores = (os.cpu_count() or 1) if place == "cpu" else 1
    times = _times(missing, place)
    rows = [
        budget.row(name, configs, [config for config in configs if config.id in times], times, cores)
        for name, configs in (wanted | {"all together": every}).items()
    ]
    if as_json:
        answer = {"profile": profile, "device": place, "cores": cores, "experiments": rows[:-1], "total": rows[-1]}
        typer.echo(json.dumps(answer, indent=1))
        return
    _print(rows, place)
    typer.echo(
        "A run on each core; memory is one run's. The last line counts runs that experiments share once."
        if missing
        else "All runs are finished; --from-scratch says what they would take here."
    )


def _times(missing: list[RunConfig], device: str) -> dict[str, float]:
    """Seconds by run id. What a unit of cost takes is measured on one run of each base."""
    from study import budget

    units = {base: budget.measured_unit(run, device) for base, run in {r.generator.base: r for r in missing}.items()}
    return {
        config.id: budget.seconds(config, budget.images_of(config.data), units[config.generator.base])
        for config in missing
    }


def _print(rows: list[dict[str, Any]], device: str) -> None:
    names = COLUMNS if device == "cpu" else (*COLUMNS[:4], "GPU", "GPU", *COLUMNS[6:])
    typer.echo(f"{names[0]:14}" + "".join(f"{name:>12}" for name in names[1:]))
    for row in rows:
        counts = "".join(f"{row[name]:>12}" for name in ("planned", "finished", "missing"))
        times = "".join(f"{_minutes(row[f'{name}_minutes']):>12}" for name in ("one_core", "all_cores"))
        typer.echo(f"{row['experiment']:14}{counts}{times}{row['memory_mb'] / 1000:>9.1f} GB")


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes / 60:.1f} h" if minutes >= 120 else f"{minutes:.1f} min"
