"""`agm train`, `agm runs` and `agm status`: making runs, and what has been made."""

from __future__ import annotations

import contextlib
import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from agm.cli.evaluate import AsJson
from agm.config import RunConfig
from agm.errors import AgmError, parse_duration
from study import experiments, profiles
from study.profiles import UNFINISHED


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def train(
    profile: Annotated[str, typer.Option(help=f"How much is spent: {', '.join(profiles.names())}.")] = "quick",
    layers: Annotated[str | None, typer.Option(help="ORL configuration, bottom layer first, such as nnnr.")] = None,
    schedule: Annotated[
        str | None, typer.Option(help="AEL: NOAEL, A, B, or notation such as 'x--x (4) - xxxx (6)'.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="A name from `agm data list`, or a folder of images.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides the initial weights and the order of images.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Any configuration field, such as width=32. Repeatable."),
    ] = None,
    experiment: Annotated[
        list[str] | None, typer.Option(help="Train all runs of a figure or table, such as fig4. Repeatable.")
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option(help="Train planned runs of the profile by their ids. Repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for run folders. [default: build/runs]")] = None,
    time_budget: Annotated[
        str | None, typer.Option(help=f"Stop after 90s, 9m or 2h and exit with {UNFINISHED}; the same command goes on.")
    ] = None,
    device: Annotated[Device, typer.Option(help="auto takes a GPU if there is one.")] = Device.auto,
) -> None:
    """Train a run, or all runs of an experiment, and write a folder for each.

    What a profile leaves open is the paper's setting. A finished run is not trained again; an interrupted one goes on.
    Ctrl-C, SIGTERM and the time budget stop at the next step and save; after a crash, the last checkpoint counts.
    """
    chosen = profiles.load(profile)
    named = {"layers": layers, "schedule": schedule, "dataset": dataset, "epochs": epochs, "seed": seed}
    fields = {name: value for name, value in named.items() if value is not None} | _assignments(set_ or [])
    if fields and (run or experiment):
        raise AgmError(f"{', '.join(fields)}: an experiment and planned runs have their own; leave it out")
    if run and experiment:
        raise AgmError("--run and --experiment exclude each other")
    if run:
        planned = {config.id: config for config in experiments.plan_all(experiments.EXPERIMENTS, chosen)}
        configs = [_pick(planned, id_, profile) for id_ in run]
    elif experiment:
        configs = experiments.plan_all(experiment, chosen)
    else:
        role = fields.pop("dataset", "cars")
        configs = [chosen.run(role, **fields) if role in profiles.ROLES else chosen.run("cars", dataset=role, **fields)]
    budget = parse_duration(time_budget) if time_budget else float("inf")

    from agm.paths import runs_folder  # only now: importing torch takes seconds, and a mistake should show at once
    from agm.training.loop import train as train_run
    from agm.training.step import Execution
    from study.aggregate import schedule_name

    deadline = time.monotonic() + budget
    for number, config in enumerate(configs, 1):
        folder = (out or runs_folder()) / config.id
        what = f"{config.generator.layers} on {config.data.dataset}"
        label = f"[{number}/{len(configs)}] {what}, {schedule_name(config.training.schedule)}"
        how = Execution(device=device.value, time_budget=deadline - time.monotonic(), label=label)
        finished = train_run(config, folder, how)
        if finished is None:
            typer.echo(f"{config.id} stopped and saved in {folder}; run the same command again to go on", err=True)
            raise typer.Exit(UNFINISHED)
        mse, psnr = finished.test("mse").mean(), finished.test("psnr")[-1]
        typer.echo(
            f"{config.id} {finished.summary['status']}: {what}, test MSE {mse:.4f} (bicubic {finished.bicubic():.4f}), "
            f"last image {psnr:.2f} dB (bicubic {finished.bicubic('psnr'):.2f}) -> {folder}"
        )


def runs(
    profile: Annotated[str | None, typer.Option(help="Only the runs this profile plans, missing ones too.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of run folders. [default: build/runs and results]")] = None,
    as_json: AsJson = False,
) -> None:
    """List runs: what they are and how they did on their test images."""
    from agm.runs import all_runs, table

    finished = all_runs(root)
    missing: list[RunConfig] = []
    if profile is not None:
        planned = experiments.plan_all(experiments.EXPERIMENTS, profiles.load(profile))
        ids = {config.id for config in planned}
        finished = [run for run in finished if run.config.id in ids]
        ids -= {run.config.id for run in finished}
        missing = [config for config in planned if config.id in ids]
        typer.echo(f"{len(finished)} of {len(planned)} runs planned by profile {profile} are finished", err=True)
    listed = table(finished, missing)
    if as_json:
        typer.echo(listed.to_json(orient="records", indent=1))
    elif len(listed):
        typer.echo(listed.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    else:
        typer.echo("no finished runs; `agm train` makes one", err=True)


def status() -> None:
    """What of runs, benchmarks, notebooks and the book is up to date, and why not. Runs nothing."""
    from study.status import lines, states

    for line in lines(states()):
        typer.echo(line)


def _pick(planned: dict[str, RunConfig], id_: str, profile: str) -> RunConfig:
    if id_ not in planned:
        raise AgmError(f"run {id_!r} is not planned by profile {profile!r}; `agm runs --profile {profile}` lists them")
    return planned[id_]


def _assignments(texts: list[str]) -> dict[str, Any]:
    """FIELD=VALUE; the value of a field that is no text is read as JSON where it is JSON."""
    from study.aggregate import field

    fields: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise AgmError(f"--set {text}: expected FIELD=VALUE")
        fields[name] = value
        if not isinstance(field(RunConfig(), name), str):
            with contextlib.suppress(ValueError, RecursionError):
                fields[name] = json.loads(value)
    return fields
