"""`agm plan`: what a profile will cost, before anything starts."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agm import experiments, profiles
from agm.config import RunConfig
from agm.profiles import Profile

if TYPE_CHECKING:
    from agm.cost import Cost, Rates

COLUMNS = ("experiment", "planned", "finished", "missing", "one core", "all cores", "memory", "disk")


def plan(
    profile: Annotated[str, typer.Option(help=f"How much is spent: {', '.join(profiles.names())}.")] = "quick",
    experiment: Annotated[
        list[str] | None, typer.Option(help="Only these figures or tables, such as fig4. Repeatable. [default: all]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu or cuda.")] = "auto",
    from_scratch: Annotated[bool, typer.Option(help="As if no run were finished.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Minutes, memory and disk that the missing runs of a profile will take; later, how far off that was.

    Trains a few steps to see how fast this machine is, and scales recorded runs to it; as good as the machine is
    steady. Notebooks and the book's pages are not counted.
    """
    chosen = profiles.load(profile)
    wanted = {name: experiments.plan(name, chosen) for name in experiment or experiments.EXPERIMENTS}
    every = list(dict.fromkeys(config for configs in wanted.values() for config in configs))

    from agm import budget
    from agm.machine import choose
    from agm.runs import find

    place = choose(device)
    found = {config.id: find(config) for config in every}
    done = {} if from_scratch else {id_: run for id_, run in found.items() if run is not None}
    missing = [config for config in every if config.id not in done]
    alone, cores, about = _price(chosen, missing, place, remembered=not from_scratch)
    rows = [_row(name, configs, done, alone, cores) for name, configs in wanted.items()]
    total = _row("all together", every, done, alone, cores)
    later = budget.afterwards(budget.recalled(profile), filter(None, found.values()))
    if as_json:
        answer = {"profile": profile, **about, "experiments": rows, "total": total, "afterwards": later}
        typer.echo(json.dumps(answer, indent=1))
        return
    _print([*rows, total], place, cores)
    typer.echo(_remarks(total, later))


def _row(
    name: str, configs: list[RunConfig], done: dict[str, Any], alone: dict[str, Cost], cores: int
) -> dict[str, Any]:
    from agm import budget

    return budget.row(name, configs, [config for config in configs if config.id not in done], alone, cores)


def _price(
    chosen: Profile, missing: list[RunConfig], device: str, remembered: bool
) -> tuple[dict[str, Cost], int, dict[str, Any]]:
    """Each missing run's cost on one core; how many run side by side; what the machine was found to be."""
    import torch

    from agm import budget, machine, probe

    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # it tells the precision each time
    cores = (os.cpu_count() or 1) if device == "cpu" else 1
    name = machine.describe(torch.device(device))["device"]
    about: dict[str, Any] = {"device": name, "cores": cores}
    if not missing:
        return {}, cores, about
    own = torch.get_num_threads()
    rates = {
        threads: probe.measure(chosen.base, device, threads) for threads in ({1, own} if device == "cpu" else {own})
    }
    costs = {threads: _costs(chosen, missing, found, device) for threads, found in rates.items()}
    alone = costs.get(1, costs[own])
    if remembered:
        budget.remember(chosen.name, name, own, alone, costs[own])
    return alone, cores, about | {"probe": {threads: vars(found) for threads, found in rates.items()}}


def _costs(chosen: Profile, missing: list[RunConfig], rates: Rates, device: str) -> dict[str, Cost]:
    from agm import cost, probe

    shares = cost.weights(cost.alike(chosen, device))
    held = probe.resident() if device == "cpu" else 0
    return {config.id: cost.cost(config, cost.images_of(config.data), rates, shares, held) for config in missing}


def _print(rows: list[dict[str, Any]], device: str, cores: int) -> None:
    names = COLUMNS if device == "cpu" else (*COLUMNS[:4], "GPU", "GPU", *COLUMNS[6:])
    typer.echo(f"{names[0]:14}" + "".join(f"{name:>12}" for name in names[1:]))
    for row in rows:
        counts = "".join(f"{row[name]:>12}" for name in ("planned", "finished", "missing"))
        times = "".join(f"{_minutes(row[f'{name}_minutes']):>12}" for name in ("one_core", "all_cores"))
        sizes = "".join(f"{_size(row[name]):>12}" for name in ("memory", "disk"))
        typer.echo(f"{row['experiment']:14}{counts}{times}{sizes}")


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes / 60:.1f} h" if minutes >= 120 else f"{minutes:.1f} min"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _remarks(total: dict[str, Any], later: dict[str, Any] | None) -> str:
    lines = []
    if total["missing"]:
        lines.append(
            f"All cores: a run on each; they need {_size(total['memory_side_by_side'])} together, memory above is one "
            "run's. Runs that experiments share are counted once in the last line."
        )
    else:
        lines.append("All runs are finished; --from-scratch says what they would take here.")
    if later:
        too = "long" if later["error"] > 0 else "short"
        lines.append(
            f"So far: {later['runs']} runs were predicted to train {_minutes(later['predicted_minutes'])} and took "
            f"{_minutes(later['taken_minutes'])}: {abs(later['error']):.0%} too {too}; a single run is typically "
            f"{later['typical_error']:.0%} off."
        )
    return "\n".join(lines)


def register(commands: typer.Typer) -> None:
    """Add the command of this module."""
    commands.command()(plan)
