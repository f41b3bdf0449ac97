"""`agm evaluate` and `agm params`: what a network is worth, and what it costs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from agm import files
from agm.config import ORL_CONFIGURATIONS, STATISTICS, GeneratorConfig
from agm.errors import AgmError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def evaluate(
    model: Annotated[
        str | None, typer.Argument(help="As --model of upscale: a weights file, a run folder or an id.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Another data set than the run's own.")] = None,
    images: Annotated[Path | None, typer.Option(help="A standard set: a folder of high-resolution images.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Another AEL schedule than the run's own.")] = None,
    statistics: Annotated[str | None, typer.Option(help=f"Batch statistics: {', '.join(STATISTICS)}.")] = None,
    as_json: AsJson = False,
) -> None:
    """MSE, PSNR and SSIM of every iteration on the test images, beside bicubic upsampling.

    With --images on a standard set instead, as papers report it: halved by Pillow's bicubic kernel, upscaled as by
    `agm upscale`, PSNR of the luma without 2 pixels at each border, and PSNR and SSIM of RGB. Iteration 0 is bicubic,
    one more than the schedule has is the second look.
    """
    if images is not None:
        if dataset is not None:
            raise AgmError("--images and --dataset exclude each other")
        _evaluate_standard(model, images, schedule, statistics or "iteration", as_json)
        return

    from agm import data
    from agm.paths import weights
    from agm.runs import load_trained
    from agm.schedule import Schedule
    from agm.training.calibrate import fitting
    from agm.training.evaluate import METRICS, bicubic_baseline
    from agm.training.evaluate import evaluate as measure

    generator, config = load_trained(weights(model))
    chosen = config.data
    if dataset not in (None, chosen.dataset):
        # which may be no photographs to cut crops from
        chosen = dataclasses.replace(chosen, dataset=dataset, crops=0, sizes=1)
    part = data.splits(chosen).test
    plan = Schedule.parse(schedule or config.training.schedule)
    if (statistics or config.generator.statistics) == "precise":
        generator = fitting(generator, config, plan)
    quality = measure(generator, part, plan, cast(Any, statistics)).per_iteration()
    baseline = bicubic_baseline(part)
    if as_json:
        found = files.finite({"iterations": quality, "bicubic": baseline, "images": len(part)})
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo(f"{len(part)} test images of {chosen.dataset}, schedule {plan}")
    typer.echo(f"{'iteration':10}{'MSE':>10}{'PSNR/dB':>10}{'SSIM':>10}")
    for t, values in enumerate(zip(*(quality[name] for name in METRICS), strict=True), 1):
        typer.echo(f"{t:<10}{values[0]:>10.5f}{values[1]:>10.3f}{values[2]:>10.4f}")
    typer.echo(f"{'bicubic':10}{baseline['mse']:>10.5f}{baseline['psnr']:>10.3f}{baseline['ssim']:>10.4f}")


def _evaluate_standard(model: str | None, images: Path, schedule: str | None, statistics: str, as_json: bool) -> None:
    from agm.anytime import standard_sets
    from agm.anytime.upscaler import AnytimeUpscaler

    if not images.is_dir():
        raise AgmError(f"{images}: no such folder")
    upscaler = AnytimeUpscaler.load(model, cast(Any, statistics), schedule, timed=False)
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


def params(
    width: Annotated[int, typer.Option(help="Channels of A and B; 64 is the paper's.")] = 64,
    image_size: Annotated[int, typer.Option(help="Side of the output in pixels, for counting operations.")] = 64,
    base: Annotated[str, typer.Option(help="paper, or light: all inner layers on the small image.")] = "paper",
    as_json: AsJson = False,
) -> None:
    """Parameters and multiply-accumulate operations of the 16 ORL configurations."""
    from agm.networks.complexity import macs_per_iteration, parameters

    configs = [GeneratorConfig(layers=layers, width=width, base=cast(Any, base)) for layers in ORL_CONFIGURATIONS]
    counts = [{"parameters": parameters(config), "macs": macs_per_iteration(config, image_size)} for config in configs]
    rows: list[dict[str, Any]] = [{"layers": config.layers} | n for config, n in zip(configs, counts, strict=True)]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    typer.echo(f"{'layers':8}{'parameters':>12}{'MMACs/iteration':>18}")
    for row in rows:
        typer.echo(f"{row['layers']:8}{row['parameters']:>12,}{row['macs'] / 1e6:>18,.1f}")
