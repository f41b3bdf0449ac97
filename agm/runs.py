"""Finished runs: find and read them, and train those that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agm import files
from agm.config import STATISTICS, RunConfig, Statistics
from agm.errors import AgmError
from agm.paths import CONFIG, METRICS_FILE, SUMMARY, WEIGHTS, results_folder, run_roots, runs_folder

if TYPE_CHECKING:
    from agm.networks.generator import Generator
    from agm.training.step import Execution

_NUMBERS = dict.fromkeys(("mse", "psnr", "ssim", "visual_loss", "critic_loss"), float)
COLUMNS: dict[str, type] = {"epoch": int, "statistics": str, "iteration": int} | _NUMBERS
"""Columns of metrics.csv."""

RESTORE = "restore it, or delete the folder to train the run again"


@dataclass(frozen=True)
class Run:
    """A finished run in its folder."""

    config: RunConfig
    folder: Path
    summary: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Raises AgmError if the folder holds no finished run or its files do not belong together."""
        values, summary = (files.read_json(folder / name) for name in (CONFIG, SUMMARY))
        try:
            config = RunConfig.from_dict(values)
        except AgmError as error:
            raise AgmError(f"{folder / CONFIG}: {error}") from None
        if not isinstance(summary, dict) or summary.get("id") != config.id:
            raise AgmError(f"{folder}: {SUMMARY} belongs to another configuration than {CONFIG}; delete the folder")
        if ("sha256" in summary or "files" in summary) and not files.is_sealed(summary):  # older runs have neither
            raise AgmError(f"{folder / SUMMARY}: damaged, its checksum does not match; {RESTORE}")
        return cls(config, folder, summary)

    @property
    def recorded(self) -> bool:
        """True for a run of results/, which comes with the project; False for one that was trained here."""
        return results_folder() in self.folder.parents

    @property
    def fingerprint(self) -> str:
        """The sha256 of the images it was made on; empty if it was not noted."""
        return str(self.summary.get("data", {}).get("fingerprint", ""))

    def kind(self, statistics: Statistics | None) -> Statistics:
        """The kind under which a reading is stored: the configured one for None, and always without batch norm."""
        generator = self.config.generator
        return statistics if statistics in generator.readings else generator.statistics

    @property
    def readings(self) -> tuple[Statistics, ...]:
        """The kinds of statistics with which it was tested: older runs have no precise ones."""
        tests = self.summary.get("test")
        return tuple(kind for kind in STATISTICS if isinstance(tests, dict) and self.kind(kind) in tests)

    def _intact(self, name: str) -> Path:
        """The path of one of the run's files. Raises AgmError if its checksum is not the one in the summary."""
        path, sha256 = self.folder / name, (self.summary.get("files") or {}).get(name)
        if sha256 is not None and path.exists() and files.sha256(path.read_bytes()) != sha256:
            raise AgmError(f"{path}: damaged or another run's, its checksum does not match; {RESTORE}")
        return path

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Validation: a row per epoch, kind of statistics and iteration; none if the first epoch diverged."""
        path = self._intact(METRICS_FILE)
        try:
            return pd.read_csv(path)[list(COLUMNS)].astype(COLUMNS)
        except (OSError, LookupError, ValueError, OverflowError) as error:
            raise AgmError(f"{path}: damaged, or cannot be read ({error}); {RESTORE}") from None

    def curve(self, metric: str = "mse", statistics: Statistics | None = None) -> pd.Series[float]:
        """A validation metric averaged over the iterations, by epoch (Section III-A2); NaN if one is not finite.

        Empty for a kind of statistics with which the run was not validated.
        """
        rows = self.metrics[self.metrics.statistics == self.kind(statistics)]
        means = rows.groupby("epoch")[metric].agg(lambda values: values.to_numpy().mean())
        return means.where(np.isfinite(means))

    def test(self, metric: str = "mse", statistics: Statistics | None = None) -> np.ndarray:
        """A test metric of each iteration: (T,). NaN where it was not finite, or there is no such reading."""
        kind = self.kind(statistics)
        if kind != self.config.generator.statistics and kind not in self.readings:
            return np.full(self.config.generator.iterations, np.nan)
        return self._numbers(1, "test", kind, metric)

    def bicubic(self, metric: str = "mse", part: str = "test") -> float:
        """The same metric of bicubic upsampling on the same images."""
        return float(self._numbers(0, "bicubic", part, metric))

    def _numbers(self, dimensions: int, *keys: str) -> np.ndarray:
        """The summary's value under these keys. Raises AgmError if it is no array of numbers."""
        value: Any = self.summary
        try:
            for key in keys:
                value = value[key]
            numbers = np.array(value, dtype=float)
        except (KeyError, TypeError, ValueError, OverflowError):
            numbers = np.empty((0, 0))
        if numbers.ndim != dimensions:
            raise AgmError(f"{self.folder / SUMMARY}: has no numbers under {', '.join(keys)}; {RESTORE}")
        return numbers

    @property
    def has_weights(self) -> bool:
        """True if the weights are here; most recorded runs have none."""
        return (self.folder / WEIGHTS).exists()

    def generator(self) -> Generator:
        """The trained network, on the CPU, in evaluation mode."""
        return load(self._intact(WEIGHTS))


def load(path: str | Path) -> Generator:
    """Rebuild a trained generator from its weights file; the configuration is inside.

    Raises AgmError if the file is missing, damaged, or holds something else.
    """
    return load_trained(path)[0]


def load_trained(path: str | Path) -> tuple[Generator, RunConfig]:
    """`load`, and the configuration of the run that trained it."""
    import torch  # takes seconds; reading results should not

    from agm.networks.generator import Generator

    tensors, meta = files.read_tensors(Path(path))
    if meta.get("kind") != "generator":
        raise AgmError(f"{path}: holds a {meta.get('kind', 'foreign file')}, not a generator's weights")
    try:
        config = RunConfig.from_dict(meta.get("config", {}))
        with torch.device("meta"):  # without memory, of which a foreign configuration may ask for any amount
            generator = Generator(config.generator)
        generator.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    except AgmError as error:
        raise AgmError(f"{path}: {error}") from None
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()  # torch lists every mismatch on a line of its own
        raise AgmError(f"{path}: the weights do not fit the configuration inside ({reason})") from None
    return generator.eval(), config


def find(config: RunConfig, root: Path | None = None) -> Run | None:
    """The finished run of a configuration, if it is there: made on this machine, else recorded."""
    folders = (folder / config.id for folder in ([root] if root else run_roots()))
    return next((Run.read(folder) for folder in folders if (folder / SUMMARY).exists()), None)


def all_runs(root: Path | None = None) -> list[Run]:
    """The finished runs below a folder, in the order of their ids; by default those made here, then recorded ones."""
    folders = [root] if root else run_roots()
    return [Run.read(path.parent) for folder in folders for path in sorted(folder.glob(f"*/{SUMMARY}"))]


def ensure(configs: Sequence[RunConfig], root: Path | None = None, execution: Execution | None = None) -> list[Run]:
    """The finished runs of all configurations, in their order; those that are missing are trained first.

    Raises AgmError if a run was interrupted.
    """
    finished = []
    for number, config in enumerate(configs, 1):
        if run := find(config, root):
            made_on_these_images(run)
        else:
            from agm.training.loop import train  # only now: importing torch takes seconds
            from agm.training.step import Execution

            label = f"run {number} of {len(configs)}: {config.generator.layers} on {config.data.dataset}"
            how = replace(execution or Execution(), label=label)
            if (run := train(config, (root or runs_folder()) / config.id, how)) is None:
                raise AgmError(f"run {config.id} was interrupted; run the same command again to go on with it")
        finished.append(run)
    made_on_the_same_images(finished)
    return finished


def made_on_these_images(run: Run) -> None:
    """Raises AgmError if a run that was made here is of other images than those which its data set's name has now.

    Not for recorded runs, whose data stay elsewhere, nor where the images are no more.
    """
    from agm import data

    if run.recorded or not run.fingerprint:
        return
    try:
        images = data.load(run.config.data.dataset, run.config.data.image_size)
    except AgmError:
        return
    if images.fingerprint != run.fingerprint:
        raise AgmError(
            f"{run.folder}: was made on other images of this name, {run.config.data.dataset!r}; "
            "bring them back, or delete the folder to train anew"
        )


def made_on_the_same_images(runs: Iterable[Run]) -> None:
    """Raises AgmError if one name stands for different images: a run's id holds the name of its data set alone."""
    first: dict[tuple[str, int], Run] = {}
    for run in runs:
        other = first.setdefault((run.config.data.dataset, run.config.data.image_size), run)
        if run.fingerprint != other.fingerprint:
            raise AgmError(
                f"{other.folder} and {run.folder} were made on different images of one name, "
                f"{run.config.data.dataset!r}: move the runs away that are not to be shown"
            )


def table(runs: Iterable[Run], missing: Iterable[RunConfig] = ()) -> pd.DataFrame:
    """One row per run: what it is and how it did on the test images, averaged over the iterations."""
    rows = []
    for run in runs:
        row = _identity(run.config) | {name: run.summary.get(name) for name in ("epochs", "status")}
        row |= {metric: run.test(metric).mean() for metric in ("mse", "psnr", "ssim")}
        rows.append(row | {"bicubic_mse": run.bicubic(), "seconds": run.summary.get("seconds")})
    return pd.DataFrame(rows + [_identity(config) | {"epochs": 0, "status": "missing"} for config in missing])


def _identity(config: RunConfig) -> dict[str, Any]:
    generator, data = config.generator, config.data
    row: dict[str, Any] = {"id": config.id, "dataset": data.dataset, "layers": generator.layers}
    row |= {"width": generator.width, "schedule": config.training.schedule, "fraction": data.fraction}
    return row | {"seed": config.seed}
