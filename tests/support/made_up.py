"""Finished runs that were never trained: whole folders with numbers that are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from agm import files
from agm.config import STATISTICS, RunConfig
from agm.runs import COLUMNS, Run

BICUBIC = {"mse": 0.004, "psnr": 24.0, "ssim": 0.8}

MACHINE = {"device": "a machine", "threads": 1, "python": "3", "versions": {}, "commit": "", "code": "0123456789ab"}

Level = Callable[[RunConfig], float]


def by_recurrent(config: RunConfig) -> float:
    """A validation and test MSE that grows with the number of recurrent layers, and with less data."""
    return 0.01 * (1 + config.generator.layers.count("r")) / config.data.fraction


def make(root: Path, configs: Iterable[RunConfig], level: Level = by_recurrent, **changes: Any) -> list[Run]:
    """A run folder per configuration. MSE falls from twice `level` to `level` over the iterations, at every epoch.

    `changes`: fields of the summary, such as status="diverged", which leaves no epoch at all.
    """
    return [_make(root / config.id, config, level(config), changes) for config in configs]


def _make(folder: Path, config: RunConfig, level: float, changes: dict[str, Any]) -> Run:
    steps = range(config.generator.iterations)
    quality = {"mse": [level * (2 - t / max(steps)) for t in steps]}
    quality |= {"psnr": [20.0 + t for t in steps], "ssim": [0.5 for _ in steps]}
    epochs = 0 if changes.get("status") == "diverged" else config.training.epochs
    rows = [
        {"epoch": epoch, "statistics": kind, "iteration": t + 1, **{name: quality[name][t] for name in quality}}
        for epoch in range(1, epochs + 1)
        for kind in STATISTICS
        for t in steps
    ]
    files.write_json(folder / "config.json", config.to_dict())
    files.write_text(folder / "metrics.csv", pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False))
    images = {"train": 16, "validation": 8, "test": 8}
    summary = {"id": config.id, "status": "finished", "epochs": epochs, "seconds": 60.0, "parameters": 1000}
    summary |= {"test": dict.fromkeys(STATISTICS, quality), "bicubic": {"validation": BICUBIC, "test": BICUBIC}}
    summary |= {"seconds_until_iteration": [0.01 * (t + 1) for t in steps], "machine": MACHINE}
    summary |= {"data": {"fingerprint": "0", "stand_in": "crops", "images": images}}
    files.write_json(folder / "summary.json", summary | changes)
    return Run.read(folder)
