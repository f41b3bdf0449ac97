"""`agm upscale`: pictures by a deadline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from agm.errors import SMALLER, enough_memory, parse_duration

Model = Annotated[
    str | None,
    typer.Option(help="A weights file, a run folder or a run's id. [default: the recorded network for any photograph]"),
]
ScheduleText = Annotated[
    str | None,
    typer.Option(
        help="AEL schedule, or auto: for each picture the one that is expected to be best by the deadline, of a model "
        "that was trained with any. [default: the one it was trained with; auto if it was trained with any]"
    ),
]
StatisticsName = Annotated[str, typer.Option(help="Batch-norm statistics: iteration, precise or shared.")]
DeviceName = Annotated[str, typer.Option(help="auto (CUDA if there is a GPU for it), cpu, cuda or mps.")]


def upscale(
    source: Annotated[Path, typer.Argument(help="A picture, a folder of pictures, or -.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Argument(help=".png, .jpg, .webp or .tif; a folder; or -. [default: beside the source, with _x2]"),
    ] = None,
    deadline: Annotated[str | None, typer.Option(help="Time for each picture, such as 50ms, 0.05s or 2s.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Stop after so many iterations; 0 is bicubic.")] = None,
    scale: Annotated[float | None, typer.Option(help="How many times as large: more than 1, 16 at most.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Width of the result in pixels, instead of --scale.")] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="png, jpg, webp or tif, where no file is named.")
    ] = None,
    quality: Annotated[int | None, typer.Option(min=1, max=100, help="Of JPEG and WebP. [default: 95]")] = None,
    lossless: Annotated[bool, typer.Option(help="WebP without loss, as it is for a lossless WebP.")] = False,
    strip: Annotated[bool, typer.Option(help="Leave out all metadata but what says the colours.")] = False,
    compare: Annotated[bool, typer.Option(help="Beside each result, a picture with bicubic at its left.")] = False,
    large: Annotated[bool, typer.Option(help="Take pictures of any number of pixels.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each picture.")] = False,
    model: Model = None,
    schedule: ScheduleText = None,
    statistics: StatisticsName = "iteration",
    tile: Annotated[int | None, typer.Option(help="Side of a tile in input pixels; memory grows with it.")] = None,
    device: DeviceName = "auto",
    force: Annotated[bool, typer.Option(help="Write over files that are there.")] = False,
) -> None:
    """Make pictures twice as high and wide: by a deadline, or as good as the network can.

    An iteration is begun only if it will be over by the deadline; the last finished picture is written, bicubic if
    there is none. The clock runs from the decoded picture to the finished one.

    After its last iteration a network that was trained on turned crops, such as the default one, looks at the picture
    once more, upside down. What is written is then the mean of both looks. The second one counts as one iteration, and
    takes as long as all of them.

    Large pictures are cut into tiles. Memory: about 1 GB at width 64, and 60 bytes for each pixel of an 8-bit input,
    180 where there is transparency. OMP_NUM_THREADS limits the processor's threads.
    """
    seconds = None if deadline is None else parse_duration(deadline)
    with enough_memory(SMALLER):
        from agm.anytime import batch
        from agm.anytime.image_files import PIPE
        from agm.anytime.upscaler import AnytimeUpscaler
        from agm.machine import choose

        how = batch.How(
            deadline=seconds,
            iterations=iterations,
            ending=f".{format_.lower().removeprefix('.')}" if format_ else "",
            quality=quality,
            lossless=lossless,
            scale=scale,
            width=width,
            strip=strip,
            compare=compare,
            large=large,
            force=force,
            as_json=as_json,
        )
        how.check()
        out = out or batch.out_for(source, how)
        folder = batch.Folder.of(source, out, how) if source.is_dir() else None
        if folder is None:
            batch.check_one(source, out, how)
        upscaler = AnytimeUpscaler.load(
            model, cast(Any, statistics), schedule, tile, choose(device), timed=seconds is not None, faithful=True
        )
        if folder is not None:
            raise typer.Exit(int(not folder.upscale(upscaler, how)))
        typer.echo(batch.one(upscaler, source, out, how), err=out == PIPE)
