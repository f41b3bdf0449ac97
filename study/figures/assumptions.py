"""Numbers for the assumptions, which need no training: counts, operations, bicubic upsampling."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import torch
from pandas.io.formats.style import Styler
from torch import Tensor
from torch.nn.functional import grid_sample

from agm import data, metrics
from agm.config import ORL_CONFIGURATIONS, DataConfig, GeneratorConfig
from agm.data.images import Pixels
from agm.errors import AgmError
from agm.networks.complexity import count, fewer, macs_per_iteration, parameters
from agm.networks.generator import Generator
from agm.schedule import Schedule
from agm.training.evaluate import bicubic_baseline
from study.aggregate import Numbers
from study.paper import COLOURS, PAPER_TABLE_1
from study.profiles import ROLES, Profile


def numbers(bicubic: pd.DataFrame) -> Numbers:
    """Numbers quoted in the book. `bicubic`: a `bicubic_table`."""
    return model_numbers() | paper_numbers() | bicubic_numbers(bicubic) | kernel_numbers()


def table() -> Styler:
    """Parameters, percent fewer than rrrr, and multiply-accumulates an iteration, of all 16 models at width 64."""
    rows = {}
    for layers in ORL_CONFIGURATIONS:
        config = GeneratorConfig(layers)
        rows[layers] = [parameters(config), fewer(layers), macs_per_iteration(config) / 1e6]
    formats: dict[Any, Any] = {
        "parameters": "{:,.0f}",
        "fewer than rrrr": "{:.1f} %",
        "operations of an iteration": "{:,.1f} million",
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(formats)).style.format(formats)


def model_numbers() -> Numbers:
    """Parameters, of models and of single parts, and the cost of first iterations, at width 64."""
    numbers: Numbers = {f"{layers}_parameters": parameters(GeneratorConfig(layers)) for layers in ORL_CONFIGURATIONS}
    numbers |= {f"{layers}_fewer": fewer(layers) for layers in ("nnnr", "nnnn")}
    recurrent, plain = Generator(GeneratorConfig("rrrr")), Generator(GeneratorConfig("nnnn"))
    parts = {"a": recurrent.a, "b": recurrent.b, "d": recurrent.d}
    parts |= {"layer_r": recurrent.layers[0], "layer_n": plain.layers[0]}
    parts |= {"layer4_r": recurrent.layers[3], "layer4_n": plain.layers[3]}
    numbers |= {f"{name}_parameters": count(part) for name, part in parts.items()}
    numbers |= {f"{name.lower()}_first_macs": first_iteration_share(name) for name in ("A", "B")}
    numbers["peephole_parameters"] = parameters(GeneratorConfig("rrrr", peephole=True))
    numbers["peephole_extra"] = numbers["peephole_parameters"] - numbers["rrrr_parameters"]
    return numbers


def first_iteration_share(schedule: str) -> float:
    """Operations of a schedule's first iteration in percent of an iteration with all layers, A left out."""
    config = GeneratorConfig("rrrr")
    return 100 * macs_per_iteration(config, mask=Schedule.parse(schedule).masks[0]) / macs_per_iteration(config)


def paper_numbers() -> Numbers:
    """Table I's MSE as the paper prints it, and the PSNR in dB it equals, for values in [0, 1] (Section III-A2).

    `nnnr_divided_mse`, `nnnr_divided_psnr`: the same if the printed MSE is a sum over the colours, and ours a mean.
    """
    numbers: Numbers = {}
    for layers, (_, printed) in PAPER_TABLE_1.items():
        for name, mse in (("paper", printed), ("divided", printed / COLOURS)):
            numbers |= {f"{layers}_{name}_mse": mse, f"{layers}_{name}_psnr": -10 * math.log10(mse)}
    return numbers


def tensorflow_1(low: Pixels) -> Tensor:
    """Double images as TensorFlow 1's `resize_bicubic` does: pixel i of the output lies at i / 2 of the input.

    low: (N, S, S, 3) uint8 -> (N, 3, 2S, 2S) in [0, 1]. Others put it at (i + 1/2) / 2 - 1/2, so that no edge moves.
    """
    side = low.shape[1]
    places = torch.arange(2 * side) / (side - 1) - 1  # of i / 2, where -1 and 1 are the first and the last pixel
    grid = torch.stack(torch.meshgrid(places, places, indexing="xy"), dim=-1).expand(len(low), -1, -1, -1)
    images = grid_sample(data.to_tensor(low), grid, mode="bicubic", padding_mode="border", align_corners=True)
    return images.clamp(0, 1)


def kernel_numbers() -> Numbers:
    """`tensorflow_1_over_ours`: how much larger the MSE of bicubic upsampling is with TensorFlow 1's.

    On bundled photographs of 64 x 64 pixels, made small by Pillow.
    """
    part = data.splits(DataConfig(dataset="photographs", image_size=64)).test
    high, theirs, ours = data.to_tensor(part.high), tensorflow_1(part.low), data.to_tensor(part.bicubic)
    return {"tensorflow_1_over_ours": float(metrics.mse(theirs, high).mean() / metrics.mse(ours, high).mean())}


def bicubic_table(profile: Profile) -> pd.DataFrame:
    """Bicubic upsampling on the test images of each part's data set, at the profile's size; NaN where it is missing."""
    rows: dict[str, dict[str, Any]] = {}
    for role in ROLES:
        rows[role] = {"data": profile.datasets[role]}
        try:
            part = data.splits(profile.run(role).data).test
            rows[role] |= {"images": len(part), **bicubic_baseline(part)}
        except AgmError:
            rows[role] = {"data": f"{profile.datasets[role]} (not prepared)", "images": 0}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["data", "images", "mse", "psnr", "ssim"])


def bicubic_numbers(table: pd.DataFrame) -> Numbers:
    """A `bicubic_table` by name."""
    numbers: Numbers = {}
    for role, row in table.to_dict("index").items():
        numbers[f"{role}_data"] = str(row.pop("data"))
        numbers |= {f"{role}_bicubic_{metric}": float(row[metric]) for metric in ("mse", "psnr", "ssim")}
    return numbers
