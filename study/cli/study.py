"""The command line, `agm --help`: parses, prints, and turns an AgmError into one line and an exit code."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import re
import sys
import time
import typing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from agm.cli import upscale, export
from study.cli import claims, plan
from study import experiments, profiles
from agm import files
from agm.config import ORL_CONFIGURATIONS, STATISTICS, GeneratorConfig, RunConfig, field_owners
from agm.errors import AgmError, enough_memory, unknown

UNFINISHED = 75
"""Exit code of a run that was stopped and can go on (EX_TEMPFAIL): run the same command again."""

commands = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Adaptive generative modeling: train, evaluate and compare recurrent super-resolution generators.",
)
data_commands = typer.Typer(no_args_is_help=True, help="Look at data sets and check them.")
commands.add_typer(data_commands, name="data")
upscale.register(commands)
claims.register(commands)
export.register(commands)
plan.register(commands)


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ProfileName = Annotated[str, typer.Option(help=f"How much is spent: {', '.join(profiles.names())}.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Any configuration field, such as --set width=32. Repeatable."),
]


@commands.command()
def params(
    width: Annotated[int, typer.Option(help="Channels of A and B; 64 is the paper's.")] = 64,
    image_size: Annotated[int, typer.Option(help="Side of the output in pixels, for counting operations.")] = 64,
    base: Annotated[str, typer.Option(help="paper, or light: all inner layers on the small image.")] = "paper",
    as_json: AsJson = False,
) -> None:
    """Parameters and multiply-accumulate operations of the 16 ORL configurations."""
    from agm.networks.complexity import macs_per_iteration, parameters

    rows: list[dict[str, Any]] = []
    for layers in ORL_CONFIGURATIONS:
        config = GeneratorConfig(layers=layers, width=width, base=typing.cast(Any, base))
        rows.append(
            {"layers": layers, "parameters": parameters(config), "macs": macs_per_iteration(config, image_size)}
        )
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    typer.echo(f"{'layers':8}{'parameters':>12}{'MMACs/iteration':>18}")
    for row in rows:
        typer.echo(f"{row['layers']:8}{row['parameters']:>12,}{row['macs'] / 1e6:>18,.1f}")


@commands.command()
def train(
    profile: ProfileName = "quick",
    layers: Annotated[str | None, typer.Option(help="ORL configuration, bottom layer first, such as nnnr.")] = None,
    schedule: Annotated[
        str | None, typer.Option(help="AEL: NOAEL, A, B, or notation such as 'x--x (4) - xxxx (6)'.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="A name from `agm data list`, or a folder of images.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides the initial weights and the order of images.")] = None,
    set_: Set = None,
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
    Started by torchrun, several processes train one run together: the same run, up to rounding.
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

    from agm.training import parallel
    from study.aggregate import schedule_name
    from agm.paths import runs_folder  # only now: importing torch takes seconds, and a mistake should show at once
    from agm.runs import find
    from agm.training.step import Execution
    from agm.training.loop import train as train_run

    deadline = time.monotonic() + budget
    for number, config in enumerate(configs, 1):
        folder = (out or runs_folder()) / config.id
        what = f"{config.generator.layers} on {config.data.dataset}"
        label = f"[{number}/{len(configs)}] {what}, {schedule_name(config.training.schedule)}"
        how = Execution(
            device=device.value,
            time_budget=deadline - time.monotonic(),
            label=label,
        )
        status = train_run(config, folder, how)
        if status == "interrupted":
            if parallel.leads():
                typer.echo(f"{config.id} stopped and saved in {folder}; run the same command again to go on", err=True)
            raise typer.Exit(UNFINISHED)
        if not parallel.leads():
            continue
        finished = find(config, out)
        assert finished is not None
        mse, psnr = finished.test("mse").mean(), finished.test("psnr")[-1]
        typer.echo(
            f"{config.id} {status}: {what}, test MSE {mse:.4f} (bicubic {finished.bicubic():.4f}), "
            f"last image {psnr:.2f} dB (bicubic {finished.bicubic('psnr'):.2f}) -> {folder}"
        )


@commands.command()
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


@commands.command()
def status() -> None:
    """What of runs, benchmarks, notebooks and the book is up to date, and why not. Runs nothing."""
    from study.status import lines, states

    for line in lines(states()):
        typer.echo(line)


@commands.command()
def evaluate(
    weights: Annotated[
        Path | None,
        typer.Argument(help="A generator.safetensors, or the run folder that holds one; with --images, as upscale."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Another data set than the run's own.")] = None,
    images: Annotated[Path | None, typer.Option(help="A standard set: a folder of high-resolution images.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Another AEL schedule than the run's own.")] = None,
    statistics: Annotated[str | None, typer.Option(help=f"Batch statistics: {', '.join(STATISTICS)}.")] = None,
    as_json: AsJson = False,
) -> None:
    """MSE, PSNR and SSIM of every iteration on the test images, beside bicubic upsampling.

    With --images on a standard set instead, as papers report it: halved by Pillow's bicubic kernel, upscaled as by
    `agm upscale`, PSNR of the luma without 2 pixels at each border, and PSNR and SSIM of RGB. Iteration 0 is bicubic.
    """
    if images is not None:
        if dataset is not None:
            raise AgmError("--images and --dataset exclude each other")
        _evaluate_standard(weights, images, schedule, statistics or "iteration", as_json)
        return
    if weights is None:
        raise AgmError("name the weights, a generator.safetensors or a run folder; or a standard set with --images")

    from agm import data
    from agm.training.calibrate import fitting
    from agm.training.evaluate import METRICS, bicubic_baseline
    from agm.training.evaluate import evaluate as measure
    from agm.runs import load_trained
    from agm.schedule import Schedule

    path = weights / "generator.safetensors" if weights.is_dir() else weights
    generator, config = load_trained(path)
    if statistics is not None and statistics not in STATISTICS:
        raise unknown("statistics", statistics, STATISTICS)
    part = data.splits(dataclasses.replace(config.data, dataset=dataset or config.data.dataset)).test
    plan = Schedule.parse(schedule or config.training.schedule)
    if (statistics or config.generator.statistics) == "precise":
        generator = fitting(generator, config, plan)
    quality = measure(generator, part, plan, typing.cast(Any, statistics)).per_iteration()
    baseline = bicubic_baseline(part)
    if as_json:
        found = files.finite({"iterations": quality, "bicubic": baseline, "images": len(part)})
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo(f"{len(part)} test images of {dataset or config.data.dataset}, schedule {plan}")
    typer.echo(f"{'iteration':10}{'MSE':>10}{'PSNR/dB':>10}{'SSIM':>10}")
    for t, values in enumerate(zip(*(quality[name] for name in METRICS), strict=True), 1):
        typer.echo(f"{t:<10}{values[0]:>10.5f}{values[1]:>10.3f}{values[2]:>10.4f}")
    typer.echo(f"{'bicubic':10}{baseline['mse']:>10.5f}{baseline['psnr']:>10.3f}{baseline['ssim']:>10.4f}")


def _evaluate_standard(
    weights: Path | None, images: Path, schedule: str | None, statistics: str, as_json: bool
) -> None:
    from agm.anytime import standard_sets
    from agm.anytime.upscaler import AnytimeUpscaler

    if not images.is_dir():
        raise AgmError(f"{images}: no such folder")
    upscaler = AnytimeUpscaler.load(weights, typing.cast(Any, statistics), schedule, timed=False)
    rows = standard_sets.measure(upscaler, images)
    found = standard_sets.summary(rows)
    if as_json:
        means = found.reset_index().to_dict(orient="records")
        typer.echo(json.dumps(files.finite({"means": means, "images": rows.to_dict(orient="records")}), indent=1))
        return
    typer.echo(f"{rows.image.nunique()} images of {images}, schedule {upscaler.schedule}")
    typer.echo(f"{'iteration':10}{'luma PSNR/dB':>14}{'RGB PSNR/dB':>13}{'SSIM':>9}")
    for t, row in found.iterrows():
        name = t or "bicubic"
        typer.echo(f"{name:<10}{row.psnr_luma:>14.2f}{row.psnr:>13.2f}{row.ssim:>9.4f}")


@data_commands.command("list")
def data_list() -> None:
    """The data sets that can be used here."""
    from agm import data
    from agm.data import bundled

    for name in data.PAPER_SETS:
        try:
            typer.echo(f"{name:14}ready in {data.locate(name)}")
        except AgmError:
            typer.echo(f"{name:14}not prepared; see data/{name}.md")
    for name, stand_in in bundled.STAND_INS.items():
        typer.echo(f"{name:14}bundled: {stand_in.description}")
    typer.echo(f"{'PATH':14}any folder of images, or a prepared set (images.tar and manifest.csv)")


@data_commands.command("verify")
def data_verify(
    dataset: Annotated[str, typer.Argument(help="A name from `agm data list`, or a path.")],
    splits: Annotated[Path | None, typer.Option(help="Write the part of every image into this CSV file.")] = None,
) -> None:
    """Read every image of a data set, check it against the manifest, and say how it splits."""
    from agm import data, files
    from agm.data.splits import split_indices, split_table

    images = data.load(dataset)
    train_, validation, test = split_indices(images)
    typer.echo(f"{dataset}: {len(images)} images in {len(set(images.groups))} groups, all readable")
    repeated = len(images) - len(set(images.hashes))
    typer.echo(
        f"split: {len(train_)} train, {len(validation)} validation, {len(test)} test; {repeated} repeats left out"
    )
    typer.echo(f"sha256 of all RGB bytes: {images.fingerprint}")
    if splits is not None:
        files.write_text(splits, split_table(images))
        typer.echo(f"the part of every image -> {splits}")


@data_commands.command("prepare")
def data_prepare(
    name: Annotated[str, typer.Argument(help="cars, faces or geo.")],
    source: Annotated[
        Path, typer.Option(help="The official files: a folder, a .tgz, .tar or .zip, or a folder of these.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the prepared set. [default: data/NAME]")] = None,
    force: Annotated[bool, typer.Option(help="Replace another prepared set that is there.")] = False,
) -> None:
    """Make a prepared set from the official files."""
    from agm.data.official.prepare import prepare
    from agm.paths import data_folder

    done = prepare(name, source, out or data_folder() / name, force)
    state = "prepared" if done.new else "is there already, unchanged"
    typer.echo(
        f"{done.card['title']}: {done.card['images']:,} images from {done.card['layout']} -> {done.folder} {state}"
    )
    typer.echo(f"sha256 of all RGB bytes: {done.card['fingerprint']}")


@data_commands.command("show")
def data_show(
    dataset: Annotated[str, typer.Argument(help="A name from `agm data list`, or a path.")],
    out: Annotated[Path | None, typer.Option(help="File to write. [default: build/sheets/NAME.png]")] = None,
    images: Annotated[int, typer.Option(min=1, help="How many images, a third of them from each part.")] = 48,
) -> None:
    """Draw a contact sheet: originals, low resolution and bicubic, of the train, validation and test part."""
    from agm import data
    from agm.data import contact_sheet
    from agm.config import DataConfig
    from agm.paths import home

    path = out or home() / "build" / "sheets" / f"{Path(dataset).name}.png"
    count = contact_sheet.write(path, data.splits(DataConfig(dataset=dataset)), dataset, images)
    typer.echo(f"{count} images of {dataset} -> {path}")


def _pick(planned: dict[str, RunConfig], id_: str, profile: str) -> RunConfig:
    if id_ not in planned:
        raise AgmError(f"run {id_!r} is not planned by profile {profile!r}; `agm runs --profile {profile}` lists them")
    return planned[id_]


def _assignments(texts: list[str]) -> dict[str, Any]:
    """FIELD=VALUE; the value of a field that is no text is read as JSON where it is JSON."""
    fields: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise AgmError(f"--set {text}: expected FIELD=VALUE")
        owners = field_owners()
        if name not in owners:
            raise unknown("configuration field", name, owners)
        fields[name] = value
        if not isinstance(_default(name, owners[name]), str):
            with contextlib.suppress(ValueError, RecursionError):
                fields[name] = json.loads(value)
    return fields


def _default(name: str, part: str) -> Any:
    config = RunConfig()
    return getattr(getattr(config, part) if part else config, name)


def parse_duration(text: str) -> float:
    """90s, 9m or 2h -> seconds. Raises AgmError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None:
        raise AgmError(f"time budget {text!r}: expected a number with s, m or h, such as 90s or 9m")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def app() -> None:
    """Entry point: mistakes the user can mend become one line on standard error and exit code 1."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may be no text
    try:
        with enough_memory("end other programs, or take smaller images or fewer of them"):
            commands()
    except AgmError as error:
        typer.echo(f"agm: {error}", err=True)
        sys.exit(1)
