"""Try inputs that no one would write on everything that reads what users bring, for minutes; `make test` does a little.

    python tests/fuzz.py --minutes 3 --out results/fuzz.json

Each target runs in a process of its own, so that one that crashes or hangs is noticed, too. Whatever is found is
printed, cut down to the shortest input that shows it; the same --target and --seed find it again.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import hypothesis
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import HypothesisWarning
from support.fuzz.check import BYTES, SECONDS, Target, taken
from support.fuzz.targets import TARGETS

from agm import files, machine

ROUND = 200
"""Inputs with one seed."""
PATIENCE = 600
"""Seconds after which a process that says nothing is taken for dead; it may be cutting down what it found."""


def tried(target: Target, seed: int) -> tuple[Counter[str], str]:
    """One round: how many inputs were taken and refused, and what was found, if anything."""
    counts: Counter[str] = Counter()

    @hypothesis.seed(seed)
    @settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(target.inputs)
    def attempt(value: Any) -> None:
        counts["taken" if taken(target, value) else "refused"] += 1

    try:
        attempt()
    except AssertionError as error:
        counts["found"] += 1
        return counts, "\n".join([str(error), *getattr(error, "__notes__", [])])
    return counts, ""


def work(name: str, seed: int, minutes: float, say: Connection) -> None:
    """What a target's process does: rounds with one seed after the other until something is found or time is over."""
    torch.set_num_threads(1)
    logging.disable()  # what is said besides, about each picture
    warnings.simplefilter("ignore", HypothesisWarning)  # large inputs are printed nevertheless
    until = time.monotonic() + 60 * minutes
    while True:
        say.send((seed, None))
        counts, found = tried(TARGETS[name], seed)
        say.send((seed, (counts, found)))
        seed += 1
        if found or time.monotonic() > until:
            return


def fuzz(name: str, seed: int, minutes: float) -> tuple[Counter[str], list[str]]:
    """Counts and findings of one target."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=work, args=(name, seed, minutes, theirs))
    process.start()
    theirs.close()
    counts: Counter[str] = Counter()
    found: list[str] = []
    try:
        while ours.poll(PATIENCE):
            seed, told = ours.recv()
            if told is not None:
                counts.update(told[0])
                found += [f"--target {name!r} --seed {seed}: {told[1]}"] * bool(told[1])
                show(name, counts)
        process.kill()
        found.append(f"--target {name!r} --seed {seed}: nothing heard for {PATIENCE} s")
    except EOFError:
        process.join()
        if process.exitcode:
            found.append(f"--target {name!r} --seed {seed}: the process ended with {process.exitcode}")
    return counts, found


def show(name: str, counts: Counter[str]) -> None:
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"{name:20}{dict(counts)}   ", end=end, file=sys.stderr, flush=True)


def report(names: Sequence[str], minutes: float, seed: int, jobs: int) -> tuple[dict[str, Any], list[str]]:
    """What is written to a file, and what was found."""
    about = {"minutes": minutes, "seconds": SECONDS, "bytes": BYTES, "seed": seed, "hypothesis": version("hypothesis")}
    targets, everything = {}, []
    with ThreadPoolExecutor(jobs) as pool:
        for name, (counts, found) in zip(names, pool.map(lambda name: fuzz(name, seed, minutes), names), strict=True):
            targets[name] = {key: counts[key] for key in ("taken", "refused")} | {"found": len(found)}
            everything += found
            print("\n".join([f"{name:20}{json.dumps(targets[name])}", *found]), flush=True)
    return {"settings": about, "machine": machine.describe(torch.device("cpu")), "targets": targets}, everything


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3, help="for each target [3]")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="one of them; may be repeated [all]")
    parser.add_argument("--seed", type=int, default=0, help="of the first round; the next ones count on [0]")
    parser.add_argument("--jobs", type=int, default=1, help="how many at once [1]")
    parser.add_argument("--out", type=Path, help="a JSON file for the counts; with --target, its others stay")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder  # what a killed process leaves goes, too
        counts, found = report(arguments.target or list(TARGETS), arguments.minutes, arguments.seed, arguments.jobs)
    if arguments.out:
        if arguments.target and arguments.out.exists():
            counts["targets"] = files.read_json(arguments.out)["targets"] | counts["targets"]
        files.write_json(arguments.out, counts)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
