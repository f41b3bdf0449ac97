"""`agm upscale` and `agm profile-machine`: pictures by a deadline."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from agm.errors import AgmError, enough_memory, one_line

if TYPE_CHECKING:
    from agm.anytime.upscaler import AnytimeUpscaler, Result

SMALLER = "use a smaller --tile, or a smaller picture"

Model = Annotated[
    str | None,
    typer.Option(help="A weights file, a run folder or a run's id. [default: the best recorded run with weights]"),
]
ScheduleText = Annotated[
    str | None,
    typer.Option(
        help="AEL schedule, or auto: for each picture the one that is expected to be best by the deadline. "
        "[default: the one the model was trained with; auto if it was trained with any]"
    ),
]
StatisticsName = Annotated[str, typer.Option(help="Batch-norm statistics: iteration, precise or shared.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads. [default: torch's choice]")]
DeviceName = Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu or cuda.")]


def upscale(
    source: Annotated[Path, typer.Argument(help="A picture, or a folder of pictures.", show_default=False)],
    out: Annotated[Path, typer.Argument(help=".png, .jpg, .webp or .tif; or a folder.", show_default=False)],
    deadline: Annotated[str | None, typer.Option(help="Time for each picture, such as 50ms, 0.05s or 2s.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Stop after so many iterations; 0 is bicubic.")] = None,
    model: Model = None,
    schedule: ScheduleText = None,
    statistics: StatisticsName = "iteration",
    tile: Annotated[int | None, typer.Option(help="Side of a tile in input pixels; memory grows with it.")] = None,
    threads: Threads = None,
    device: DeviceName = "auto",
    force: Annotated[bool, typer.Option(help="Write over files that are there.")] = False,
) -> None:
    """Make pictures twice as high and wide: by a deadline, or as good as the network can.

    An iteration is begun only if it will be over by the deadline; the last finished picture is written, bicubic if
    there is none. The clock runs from the decoded picture to the finished one. `agm profile-machine` makes the
    predictions better.

    Large pictures are cut into tiles. Memory: about 1 GB at width 64, and 40 bytes for each pixel of an 8-bit input.
    """
    seconds = None if deadline is None else parse_deadline(deadline)
    pairs = _pairs(source, out)
    if not source.is_dir():
        _check_free(out, force)
    with enough_memory(SMALLER):
        from agm.anytime.upscaler import AnytimeUpscaler
        from agm.machine import choose

        _use_threads(threads)
        upscaler = AnytimeUpscaler.load(
            model,
            cast(Any, statistics),
            schedule,
            tile,
            choose(device),
            timed=seconds is not None,
        )
    if source.is_dir():
        _folder(upscaler, pairs, source, out, seconds, iterations, force)
    else:
        typer.echo(one_line(f"{out}: {_one(upscaler, source, out, seconds, iterations)}"))


def profile_machine(
    model: Model = None,
    schedule: ScheduleText = None,
    sizes: Annotated[
        list[int] | None, typer.Option(min=1, help="Side of the inputs. [default: 16, 32, 64, 128]")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of every iteration and size.")] = 30,
    seconds: Annotated[float, typer.Option(min=0, help="Per size; after that, three rounds suffice.")] = 20.0,
    threads: Threads = None,
    device: DeviceName = "auto",
) -> None:
    """Measure how long each iteration takes here, and store it for `agm upscale --deadline`.

    It counts for one model, number of threads and machine, while the machine is as busy as it is then.
    """
    with enough_memory(SMALLER):
        from agm.anytime.times import FINISH, profile_path, write_profile
        from agm.anytime.upscaler import AnytimeUpscaler
        from agm.machine import choose

        _use_threads(threads)
        upscaler = AnytimeUpscaler.load(model, schedule=schedule, device=choose(device), timed=False)
        table = upscaler.measure(sorted(sizes or (16, 32, 64, 128)), rounds, seconds)
    write_profile(profile_path(), table, upscaler.config, upscaler.stepper, upscaler.device)
    typer.echo(f"{'active layers':15}{'input':>11}{'p50/ms':>10}{'p95/ms':>10}{'p99/ms':>10}")
    for name, rows in table.items():
        for pixels, span in rows.items():
            side = f"{round(pixels**0.5)} x {round(pixels**0.5)}"
            values = "".join(f"{1000 * value:>10.1f}" for value in (span.p50, span.p95, span.p99))
            typer.echo(f"{'to an image' if name == FINISH else name:15}{side:>11}{values}")
    typer.echo(f"run by: {upscaler.stepper.name}")
    typer.echo(f"-> {profile_path()}")


def register(commands: typer.Typer) -> None:
    """Add the commands of this module."""
    commands.command()(upscale)
    commands.command("profile-machine")(profile_machine)


def parse_deadline(text: str) -> float:
    """50ms, 0.05s, 2s or 1m -> seconds. Raises AgmError for anything else, and for zero."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m)", text.strip())
    seconds = float(match[1]) * {"ms": 0.001, "s": 1, "m": 60}[match[2]] if match else 0.0
    if not 0 < seconds < float("inf"):
        raise AgmError(f"deadline {text!r}: expected a positive time with its unit, such as 50ms, 0.05s or 2s")
    return seconds


def _pairs(source: Path, out: Path) -> list[tuple[Path, Path]]:
    """Which file becomes which; in a folder, formats that cannot be written become PNG beside their name."""
    from agm.anytime.pictures import FORMATS, format_of
    from agm.data.images import image_files

    if not source.is_dir():
        if not source.exists():
            raise AgmError(f"{source}: missing")
        if out.is_dir():
            raise AgmError(f"{out}: is a folder; name the file to write")
        format_of(out)
        return [(source, out)]
    if out.exists() and not out.is_dir():
        raise AgmError(f"{out}: is a file; a folder of pictures needs a folder to write to")
    here, there = source.resolve(), out.resolve()
    if here == there:
        raise AgmError(f"{out}: would write over the pictures that are to be read; name another folder")
    within = here in there.parents  # then its pictures are results of ours
    found = [path for path in image_files(source) if not within or there not in path.resolve().parents]
    if not found:
        raise AgmError(f"{source}: there are no pictures in this folder")
    sources: dict[Path, Path] = {}
    for path in found:
        target = path if path.suffix.lower() in FORMATS else path.with_name(f"{path.name}.png")
        if sources.setdefault(target, path) != path:
            raise AgmError(f"{sources[target]} and {path} would both become {target.name}; rename one of them")
    return [(path, out / target.relative_to(source)) for target, path in sources.items()]


def _folder(
    upscaler: AnytimeUpscaler,
    pairs: list[tuple[Path, Path]],
    source: Path,
    out: Path,
    deadline: float | None,
    iterations: int | None,
    force: bool,
) -> None:
    from tqdm import tqdm

    there = [] if force else [target for _, target in pairs if target.exists()]
    waiting = [pair for pair in pairs if pair[1] not in there]
    broken = 0
    with tqdm(waiting, desc=f"upscaling {source.name}", unit="picture", disable=None, leave=False) as bar:
        for path, target in bar:
            try:
                line = _one(upscaler, path, target, deadline, iterations)
            except UnreadableError as error:
                broken += 1
                tqdm.write(f"agm: skipped {error}", file=sys.stderr)
                continue
            tqdm.write(one_line(f"{target}: {line}"))
    counts = [f"{len(waiting) - broken} of {len(pairs)} pictures -> {out}"]
    counts += [f"{len(there)} already there, kept (--force writes over them)"] if there else []
    counts += [f"{broken} skipped"] if broken else []
    typer.echo(one_line("; ".join(counts)))
    if broken:
        raise typer.Exit(1)


class UnreadableError(AgmError):
    """A picture that cannot be upscaled, while others may be."""


def _one(upscaler: AnytimeUpscaler, source: Path, out: Path, deadline: float | None, iterations: int | None) -> str:
    """Upscale one file; returns what to print."""
    from agm import files
    from agm.anytime import pictures

    upscaler.check(deadline, iterations)  # a wrong option is not the picture's fault
    try:
        picture = pictures.read(source)
        with enough_memory(SMALLER):
            result = upscaler.upscale(picture.image, deadline, iterations)
            content = pictures.encode(out, cast(Any, result.image), picture)
    except AgmError as error:
        text, names = str(error), (one_line(str(source)), one_line(str(out)))
        raise UnreadableError(text if text.startswith(names) else f"{source}: {text}") from None
    files.write_bytes(out, content)
    return _sentence(result, upscaler)


def _sentence(result: Result, upscaler: AnytimeUpscaler) -> str:
    most = f"{len(upscaler.schedule)}"
    if upscaler.planner and result.schedule:
        most = f"{len(result.schedule)} planned, {result.schedule}"
    reached = f"iteration {result.iteration} of {most}" if result.iteration else "bicubic"
    late = "" if result.met else f", later than {1000 * (result.deadline or 0):g} ms"
    return f"{reached}, {1000 * result.elapsed:.0f} ms{late}"


def _check_free(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise AgmError(f"{path}: is there already; --force writes over it")


def _use_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
