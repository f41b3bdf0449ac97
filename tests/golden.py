"""A golden run: a tiny training whose bytes are equal, on one machine, wherever the code does the same.

`python tests/golden.py` trains with the present code and with an older commit's, and writes into
results/code.json whether they count as one: the warnings of figures and `agm status` ask there. Small as it is, it has
every choice that a recorded run made, 16 bits among them. It has no GPU and no wide layers, and none of what no run
made: g layers, peepholes, sampled schedules, a sigmoid. Codes of before f6468ae1310a, some of which need a package
that is not here any more, were compared without `CHOICES`, 16 bits and training without a critic.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agm import files
from agm.code_version import ROOT
from agm.errors import AgmError
from agm.paths import results_folder

SMALL = "layers=rnrn width=2 iterations=3 critic_width=2 image_size=16 train_images=8 validation_images=2 test_images=2"
SMALL += " epochs=2 batch_size=4 learning_rate=0.002"
CHOICES = "feedback=bicubic upsampling=bilinear lipschitz=penalty signs=paper"
LIGHT = "base=light crops=9 decay=cosine average=0.9 loss=l1 adversarial_weight=0"
SETTINGS = {
    "paper": ("", CHOICES, "precision=bf16", "adversarial_weight=0"),
    "light": (f"layers=nnnn {LIGHT}", f"layers=nnnn sampling=prefix {LIGHT}"),
    "light-recurrent": (LIGHT,),
}
"""The settings of each training, by kind of network. `SMALL` is set in all of them."""
TRAIN = """
import json, runpy, sys
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["agm", "train", *arguments]
    try:
        runpy.run_module("study", run_name="__main__")
    except SystemExit:
        pass  # what it wrote tells
"""
"""A program that trains one after the other, since importing torch takes longer than that."""


def run(root: Path) -> tuple[str, str, dict[str, str]]:
    """Train with the code below `root` -> its hash, its commit, and by kind of network a digest of the bytes.

    A kind that the code does not know is left out.
    """
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    networks = [network for network, trainings in SETTINGS.items() for _ in trainings]
    with tempfile.TemporaryDirectory() as folder:
        _write_photographs(Path(folder) / "photographs")
        common = ["--profile", "smoke", "--device", "cpu", "--dataset", f"{folder}/photographs"]
        common += ["--schedule", "---x (1) - x-xx (1) - xxxx (1)"]
        trainings = [
            [*common, "--out", f"{folder}/{number}", *(f"--set={one}" for one in f"{SMALL} {settings}".split())]
            for number, settings in enumerate(chain(*SETTINGS.values()))
        ]
        command = [sys.executable, "-c", TRAIN, json.dumps(trainings)]
        said = subprocess.run(command, cwd=root, env=one_thread, capture_output=True, text=True).stderr
        done = {int(path.parts[-3]): path for path in Path(folder).glob("*/*/summary.json")}
        if not done or (len(done) < len(networks) and "unknown configuration field" not in said):
            raise AgmError(f"{root}: the golden run failed: {said.strip().splitlines()[-1:]}")
        made = dict.fromkeys((networks[number] for number in done), "")
        for number, path in sorted(done.items()):
            made[networks[number]] = files.sha256((made[networks[number]] + _digest(path.parent)).encode())
        about = files.read_json(path)["machine"]
    return about["code"], about["commit"], made


def _write_photographs(folder: Path) -> None:
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (14, 6, 6, 3), np.uint8)):
        Image.fromarray(pixels).resize((24, 24), Image.Resampling.BICUBIC).save(folder / f"{number}.png")


def _digest(trained: Path) -> str:
    """Digest of what every code records: the weights in half precision, and the metrics of the shared reading.

    Which other readings a run records differs from code to code.
    """
    lines = (trained / "metrics.csv").read_text("utf-8").splitlines()
    digest = hashlib.sha256("\n".join(line for line in lines if ",shared," in line).encode())
    weights, _ = files.read_tensors(trained / "generator.safetensors")
    for name in sorted(name for name in weights if not name.endswith(".precise")):
        digest.update(name.encode() + weights[name].half().numpy().tobytes())
    return digest.hexdigest()


def enter(noted: dict[str, Any], found: Sequence[tuple[str, str, dict[str, str]]], changed: str) -> None:
    """Put codes whose bytes were compared on one machine, oldest first, into groups of `results/code.json`.

    Raises AgmError if a code gives other bytes and nothing says what `changed`, or others than a code of its group.
    """
    for network in SETTINGS:
        groups = noted.setdefault(network, [])
        by_digest: dict[str, dict[str, Any]] = {}
        for code, commit, made in found:
            if network not in made:
                continue
            known = next((group for group in groups if code in group["codes"]), None)
            group = by_digest.get(made[network], known)
            if known and (group is not known or known in [g for d, g in by_digest.items() if d != made[network]]):
                raise AgmError(f"{network}: {code} gives other bytes than another code of its group")
            if group is None:
                if groups and not changed:
                    raise AgmError(f"{network}: {code} gives other bytes; say with --changed, in a sentence, why")
                group = {"changed": changed if groups else "", "codes": {}}
                groups.append(group)
            by_digest[made[network]] = group
            group["codes"][code] = commit


def main() -> None:
    parser = argparse.ArgumentParser(prog="python tests/golden.py", description="Does today's code train as older did?")
    parser.add_argument(
        "commits", nargs="*", help="older ones, oldest first [default: the newest in results/code.json]"
    )
    parser.add_argument("--changed", default="", help="in a sentence, why the bytes differ, if they do")
    given = parser.parse_args()
    path = results_folder() / "code.json"
    noted = files.read_json(path) if path.exists() else {}
    found = [*map(_run_commit, given.commits or [_newest(noted)]), run(ROOT)]
    enter(noted, found, given.changed)
    files.write_json(path, noted)
    for code, at, made in found:
        print(code, at, *(f"{network} {digest[:12]}" for network, digest in made.items()))


def _run_commit(commit: str) -> tuple[str, str, dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        if _git("worktree", "add", "--detach", str(tree), commit):
            raise AgmError(f"{commit}: no commit of this checkout")
        try:
            return run(tree)
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _newest(noted: dict[str, Any]) -> str:
    commits = [commit for groups in noted.values() for group in groups for commit in group["codes"].values()]
    for commit in reversed(commits):
        if commit and not commit.endswith("+") and not _git("cat-file", "-e", commit):
            return str(commit)
    raise AgmError("results/code.json names no commit that is here; name one to compare with")


def _git(*arguments: str) -> int:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True).returncode


if __name__ == "__main__":
    try:
        main()
    except AgmError as error:
        sys.exit(f"golden: {error}")
