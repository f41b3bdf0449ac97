"""Kill programs at random moments, damage the files they made, and count what was lost.

    python tests/faults.py --out results/faults.json

Kills: training, recording, preparing data and exporting, each with SIGKILL at moments drawn evenly over the time an
uninterrupted call takes, and then in the middle of its first write, its second ... The same command is then given
again. It must end with the files of the uninterrupted call, byte for byte but for measured times, and no others; and
what had been finished before the kill must still be that file.
Damage: every kind of file with one bit turned at random places, cut short, empty, or exchanged for another one of its
kind. Reading it must end in one line that names the file, or give the very same numbers.
Pictures: every orientation beside every kind of broken EXIF entry, and every kind of transparent colour, from each
format to each. What comes out must be upright, with its maker's name, and transparent where it was.
Situations: those that users of similar tools reported as bugs, and whose tests (tests/support/situations.py) pass.
Exit code 1 if anything was lost or went unnoticed.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import logging
import multiprocessing
import os
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import ExifTags, Image
from support.anytime import weights
from support.damage import damage, make
from support.images import made_up
from support.official import cars, pack
from support.pictures import BAD_TAGS, TRANSPARENT, exif
from support.situations import try_all
from tqdm import tqdm

from agm import files, machine
from agm.anytime import image_files
from agm.anytime.onnx import graphs
from agm.anytime.onnx.export import read
from agm.anytime.pixels import Pixels
from agm.errors import AgmError
from agm.paths import SUMMARY
from agm.training.loop import train
from study.cli import app

PRELOADED = (graphs, train)
"""Imported once, not in each child, which only forks."""

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "workflow" / "record.py"
TIMES = ("seconds", "seconds_until_iteration", "seconds_by_schedule", "sha256")
"""What differs in the summaries of two equal runs: times, and the checksum over them."""

Turn = Image.Transpose
STORED = {1: None, 2: Turn.FLIP_LEFT_RIGHT, 3: Turn.ROTATE_180, 4: Turn.FLIP_TOP_BOTTOM, 5: Turn.TRANSPOSE}
STORED |= {6: Turn.ROTATE_90, 7: Turn.TRANSVERSE, 8: Turn.ROTATE_270}
"""EXIF orientation -> how an upright picture has to be turned to be stored so."""

Contents = dict[str, bytes]


@dataclass(frozen=True)
class Kind:
    """What is killed: a command, given in a project folder of its own. `before`: what is there already."""

    program: str
    arguments: tuple[str | Path, ...]
    before: Callable[[Path], None] = lambda home: None
    whole: Callable[[Path], bool] = lambda home: True


def kinds(inputs: Path) -> dict[str, Kind]:
    """The commands, and in `inputs` what they need."""
    model = weights(inputs / "model.safetensors", layers="rrrr", schedule="xxxx (3)")
    older = weights(inputs / "older.safetensors", schedule="xxxx (3)")
    source = pack(cars(inputs / "source", 48, 48), inputs / "source.tgz")
    pictures = inputs / "pictures"
    pictures.mkdir()
    for i, pixels in enumerate(made_up(70, 16)):
        Image.fromarray(pixels).save(pictures / f"{i:02d}.png")
    settings = ("--set", "epochs=8", "--set", "train_images=48", "--set", "iterations=4", "--schedule", "xxxx (4)")
    settings += ("--set", "batch_size=5", "--set", "lipschitz=penalty", "--layers", "rnrn", "--device", "cpu")

    def export(path: Path) -> tuple[str | Path, ...]:
        return ("export", "--model", path, "--out", "out", "--force")

    def exported(home: Path) -> None:
        in_child(Kind("agm", export(older)), home)

    def one_is_whole(home: Path) -> bool:
        """The older export, or the new one."""
        return readable(home / "out") or readable(home / ".out.partial" / "old")

    return {
        "training": Kind("agm", ("train", "--profile", "smoke", "--dataset", pictures, *settings)),
        "recording": Kind("record", ("--profile", "smoke", "--experiment", "table1", "--pack", "packed")),
        "preparation": Kind("agm", ("data", "prepare", "cars", "--source", source, "--out", "out")),
        "export": Kind("agm", export(model), exported, one_is_whole),
    }


def readable(export: Path) -> bool:
    try:
        read(export)
    except AgmError:
        return False
    return True


def work(kind: Kind, home: Path, write: int) -> None:
    """In a child process: what the command does. What it prints goes to a file beside the folder."""
    os.chdir(home)
    kill_in_write(write)
    os.environ["AGM_HOME"] = str(home)
    printed = os.open(home.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    sys.argv = [kind.program, *map(str, kind.arguments)]
    sys.path[0] = str(ROOT / "workflow")
    if kind.program == "agm":
        app()
    else:
        runpy.run_path(str(RECORD), run_name="__main__")


def kill_in_write(number: int) -> None:
    """Let this process end as by SIGKILL in its `number`-th write of a file, just before that is on the disk."""
    fsync, writes = os.fsync, itertools.count(1)

    def killed(handle: int) -> None:
        if next(writes) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(handle)

    os.fsync = killed


def in_child(kind: Kind, home: Path, moment: float | None = None, write: int = 0) -> int | None:
    """Give the command in a process of its own, killed at that moment, in seconds, or in a write; its exit code."""
    home.mkdir(exist_ok=True)
    child = multiprocessing.get_context("fork").Process(target=work, args=(kind, home, write))
    child.start()
    child.join(moment)
    if moment is not None:
        child.kill()
        child.join()
    return child.exitcode


def contents(home: Path) -> Contents:
    """Every file below a folder."""
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def timeless(found: Contents) -> Contents:
    """Without what an equal run may have other values of."""
    result: Contents = {}
    for name, content in found.items():
        if name.endswith(SUMMARY):
            summary = json.loads(content)
            result[name] = json.dumps({key: summary[key] for key in summary if key not in TIMES}).encode()
        else:
            result[name] = content
    return result


def finished(home: Path, expected: Contents) -> Contents:
    """The files that are there and as they have to be in the end."""
    found = contents(home)
    whole = {name: content for name, content in found.items() if not Path(name).name.startswith(".")}
    return {name: content for name, content in whole.items() if timeless({name: content}).items() <= expected.items()}


def kill(
    kind: Kind, home: Path, expected: Contents, moment: float | None = None, write: int = 0
) -> dict[str, bool] | None:
    """Kill once, give the command again, compare. None if the command was done before the kill came."""
    kind.before(home)
    if in_child(kind, home, moment, write) != -signal.SIGKILL:
        return None
    before, whole = finished(home, expected), kind.whole(home)
    partial = any(home.rglob(".*.partial"))
    code = in_child(kind, home)
    after = contents(home)
    kept = whole and all(after.get(name) == content for name, content in before.items())
    made = timeless(after)
    return {
        "in_a_write": write > 0,
        "parts_left": partial,
        "after_finishing": timeless(before).keys() >= expected.keys(),
        "equal": code == 0 and {name: made.get(name) for name in expected} == expected,
        "lost": not kept,
        "left_behind": not made.keys() <= expected.keys(),
    }


def kills(kind: Kind, folder: Path, count: int, writes: int, moments: random.Random, bar: Any) -> dict[str, Any]:
    """Kill `count` times, then in each of the first `writes` writes; returns how often what was the case."""
    reference = folder / "reference"
    kind.before(reference)
    started = time.monotonic()
    code = in_child(kind, reference)
    seconds, expected = time.monotonic() - started, timeless(contents(reference))
    if code != 0:
        sys.exit(f"faults: {kind.arguments[0]} fails even in peace:\n{reference.with_suffix('.txt').read_text()}")
    seen: Counter[str] = Counter()
    while seen["kills"] - seen["in_a_write"] < count:
        seen.update(once(kind, folder / "home", bar, expected, moment=moments.uniform(0, seconds)))
    for write in range(1, writes + 1):
        seen.update(found := once(kind, folder / "home", bar, expected, write=write))
        if not found:
            break  # it writes no more often
    return {"seconds": seconds, **seen}


def once(kind: Kind, home: Path, bar: Any, expected: Contents, **when: Any) -> dict[str, int]:
    """`kill` in a folder of its own, which is kept only if something went wrong."""
    outcome = kill(kind, home, expected, **when)
    if outcome and (not outcome["equal"] or outcome["lost"] or outcome["left_behind"]):
        tqdm.write(f"{when} {outcome}: see {shutil.copytree(home, tempfile.mkdtemp(), dirs_exist_ok=True)}")
    shutil.rmtree(home)
    bar.update(outcome is not None)
    return {"kills": 1, **outcome} if outcome else {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in (("training", 25), ("recording", 10), ("preparation", 10), ("export", 15)):
        parser.add_argument(f"--{name}", type=int, default=count, help=f"kills (default: {count})")
    parser.add_argument("--writes", type=int, default=10, help="kills in the first writes of each (default: 10)")
    parser.add_argument("--flips", type=int, default=200, help="bits turned in each kind of file (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-situations", action="store_true", help="leave out the situations from bug reports")
    parser.add_argument("--out", type=Path, default=Path("build/faults.json"), help="default: build/faults.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # made-up sets are smaller than the official ones
    moments = random.Random(arguments.seed)
    here = machine.describe(torch.device("cpu"))  # before there are children, which then keep its commit and code
    with tempfile.TemporaryDirectory() as folder:
        killed = all_kills(Path(folder), vars(arguments), moments)
        damaged = damage_all(Path(folder), arguments.flips, moments)
    result: dict[str, Any] = {"seed": arguments.seed, "machine": here}
    kept = {"turned": turned(), "transparent": transparent()}
    logging.disable(logging.NOTSET)  # the situations' tests look at warnings
    reported = {} if arguments.no_situations else {"situations": try_all()}
    files.write_json(arguments.out, result | {"kills": killed, "damage": damaged, "pictures": kept} | reported)
    for name, row in (killed | damaged | kept | reported).items():
        print(f"{name:24}", *(f"{key} {value:g}" for key, value in row.items()), sep="  ")
    bad = sum(row["lost"] + row["left_behind"] + row["kills"] - row["equal"] for row in killed.values())
    bad += sum(row["tried"] - row["kept"] for row in kept.values())
    bad += sum(row["tested"] - row["right"] for row in reported.values())
    return int(bad + sum(row["unnoticed"] + row["crashed"] for row in damaged.values()) > 0)


def turned() -> dict[str, int]:
    """Pictures that are red at one side, stored in every orientation beside every kind of broken entry."""
    upright = Image.new("RGB", (32, 16), "blue")
    upright.paste("red", (0, 0, 32, 8))
    seen: Counter[str] = Counter()
    for orientation, method in STORED.items():
        stored = upright if method is None else upright.transpose(method)
        for kind, tag, wanted in itertools.product(("PNG", "JPEG", "WEBP"), BAD_TAGS.values(), image_files.FORMATS):
            buffer = io.BytesIO()
            stored.save(buffer, kind, exif=exif(orientation, tag))
            made = written(buffer.getvalue(), wanted)
            red = made.size == (64, 32) and made.convert("RGB").getpixel((32, 6))[0] > 230  # type: ignore[index]
            seen.update(tried=1, kept=red and made.getexif().get(ExifTags.Base.Make) == "Mak")
    return dict(seen)


def transparent() -> dict[str, int]:
    seen: Counter[str] = Counter()
    for content, wanted in itertools.product(TRANSPARENT.values(), (".png", ".webp", ".tif")):
        made = written(content, wanted)
        alpha = made.getchannel("A") if "A" in made.getbands() else Image.new("L", made.size, 128)
        seen.update(tried=1, kept=(alpha.getpixel((8, 8)), alpha.getpixel((0, 0))) == (0, 255))
    return dict(seen)


def written(content: bytes, ending: str) -> Image.Image:
    """A file's picture, twice as large by `agm upscale`'s iteration 0, in another format."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.write_bytes(content)
        picture = image_files.read(source)
        pixels = Pixels.of(picture.image)
        large: Any = pixels.restore(pixels.bicubic())
        return Image.open(io.BytesIO(image_files.encode(Path(f"out{ending}"), large, picture)))


def all_kills(folder: Path, counts: dict[str, Any], moments: random.Random) -> dict[str, Any]:
    """For each kind as many as it says; the uninterrupted call's files stay in `folder`/KIND/reference."""
    inputs, found = folder / "inputs", {}
    inputs.mkdir()
    every = {name: kind for name, kind in kinds(inputs).items() if counts[name]}
    with tqdm(total=sum(counts[name] + counts["writes"] for name in every), unit="kill", disable=None) as bar:
        for name, kind in every.items():
            bar.set_description(name)
            (folder / name).mkdir()
            found[name] = kills(kind, folder / name, counts[name], counts["writes"], moments, bar)
    return found


def damage_all(folder: Path, flips: int, places: random.Random) -> dict[str, Any]:
    """Every kind of file, in files made by small uninterrupted calls."""
    with tqdm(make(folder / "damage").items(), unit="file", disable=None) as bar:
        return {name: damage(*made, flips, places) for name, made in bar}


if __name__ == "__main__":
    sys.exit(main())
