"""Train the outstanding runs of a profile within a time budget, and pack what is worth keeping.

Needs neither network nor jupyter. Run it again to go on where it stopped; finished runs are kept. Start it several
times to train several runs side by side: on a CPU, one per core with OMP_NUM_THREADS=1 is fastest for narrow networks.
    python workflow/record.py --profile reduced --experiment table1 --experiment fig8 --time-budget 9m --pack packed
`--pack DIR` writes a folder per run, such as `results/PROFILE` holds: configuration, metrics, summary, errors of the
test images, and the weights, convolutions in half precision, where they are small or asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

from agm import files
from agm.config import RunConfig
from agm.errors import AgmError, parse_duration
from agm.paths import CHECKED, METRICS_FILE, SUMMARY, WEIGHTS, runs_folder
from agm.runs import Run
from agm.training.loop import train
from agm.training.step import Execution
from study import experiments, profiles
from study.profiles import UNFINISHED

SMALL = 200_000
"""Bytes. Larger weights are packed only if they are asked for."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="reduced")
    parser.add_argument("--experiment", action="append", help="default: all of them; repeatable")
    parser.add_argument("--time-budget", default="9m", help="such as 90s, 9m or 2h")
    parser.add_argument("--pack", type=Path, help="write the finished runs into this folder")
    parser.add_argument(
        "--weights", nargs="*", default=["nnnr"], help="ORL configurations, or run ids, whose large weights are packed"
    )
    arguments = parser.parse_args()
    profile = profiles.load(arguments.profile)
    planned = experiments.plan_all(arguments.experiment or experiments.EXPERIMENTS, profile)
    status = train_all(planned, parse_duration(arguments.time_budget))
    if arguments.pack:
        for config in planned:
            if _finished(config):
                named = {config.id, config.generator.layers}
                pack(config, arguments.pack, with_weights=not named.isdisjoint(arguments.weights))
    return status


def train_all(planned: list[RunConfig], budget: float) -> int:
    """Train in order until all is done (0), or until the budget is spent or a signal comes (UNFINISHED).

    Runs at which another process is are left to it, so several of these work side by side.
    """
    deadline = time.monotonic() + budget
    for number, config in enumerate(planned, 1):
        label = f"[{number}/{len(planned)}] {config.generator.layers} {config.training.schedule}"
        how = Execution(time_budget=deadline - time.monotonic(), label=label, wait=False)
        with contextlib.suppress(TimeoutError):
            if train(config, runs_folder() / config.id, how) is None:
                break
    if left := sum(not _finished(config) for config in planned):
        print(f"{left} of {len(planned)} runs are not finished; run the same command again to go on")
        return UNFINISHED
    print(f"all {len(planned)} runs are finished")
    return 0


def _finished(config: RunConfig) -> bool:
    return (runs_folder() / config.id / SUMMARY).exists()


def pack(config: RunConfig, out: Path, with_weights: bool) -> None:
    """A run's folder in `out`, with its weights if they are `SMALL` or `with_weights` says so.

    Metrics keep seven digits, which is all that 32-bit floats have.
    """
    folder = runs_folder() / config.id
    run = Run.read(folder)
    contents = {name: (folder / name).read_bytes() for name in CHECKED}
    if len(contents[WEIGHTS]) > SMALL and not with_weights:
        del contents[WEIGHTS]
    if len(run.metrics):  # there are none if it diverged in its first epoch
        contents[METRICS_FILE] = run.metrics.to_csv(index=False, float_format="%.7g").encode()
    for name, content in contents.items():
        files.write_bytes(out / config.id / name, content)
    checksums = {name: files.sha256(content) for name, content in contents.items()}
    # The summary last: a run that has one is complete.
    files.write_json(out / config.id / SUMMARY, files.seal(run.summary | {"files": checksums}))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AgmError as error:
        sys.exit(f"record: {error}")
