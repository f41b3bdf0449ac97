"""A picture file, or a folder of them, into larger ones: names, sizes, and trouble that stays one picture's own."""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from PIL import Image
from tqdm import tqdm

from agm import files
from agm.anytime import image_files
from agm.anytime.image_files import FORMATS, PIPE
from agm.anytime.metadata import Metadata
from agm.anytime.upscaler import AnytimeUpscaler, Result
from agm.data.images import LOCKED, survey, to_rgb
from agm.errors import SMALLER, AgmError, enough_memory, one_line
from agm.networks.generator import SCALE


@dataclass(frozen=True)
class How:
    """The options of `agm upscale`. `scale` or `width` give the result's size; the default is twice the input's."""

    deadline: float | None = None
    iterations: int | None = None
    ending: str = ""
    quality: int | None = None
    lossless: bool = False
    scale: float | None = None
    width: int | None = None
    strip: bool = False
    compare: bool = False
    large: bool = False
    force: bool = False
    as_json: bool = False

    def check(self) -> None:
        """Raises AgmError for what cannot be together, makes nothing larger or cannot be written."""
        if self.scale is not None and self.width is not None:
            raise AgmError("--scale and --width exclude each other")
        if self.scale is not None and not 1 < self.scale <= 16:
            raise AgmError(f"--scale {self.scale:g}: must be more than 1 and at most 16")
        if self.ending:
            image_files.format_of(Path(f"x{self.ending}"))

    @property
    def suffix(self) -> str:
        """The ending of a default output name, which tells the size."""
        return f"_w{self.width}" if self.width else f"_x{self.scale or SCALE:g}"

    def size(self, image: Image.Image) -> tuple[int, int]:
        """(width, height) of what is written. Raises AgmError if it is no larger, or more than 16 times as large."""
        factor = self.width / image.width if self.width else self.scale or SCALE
        if not 1 < factor <= 16:
            raise AgmError(f"--width {self.width}: must be more than the picture's {image.width}, at most 16 times it")
        return max(round(image.width * factor), 1), max(round(image.height * factor), 1)


def target_of(path: Path, how: How) -> Path:
    """The name beside `path` under which it can be written; a format that cannot be becomes PNG."""
    if how.ending:
        return path.with_suffix(how.ending)
    return path if path.suffix.lower() in FORMATS else path.with_name(f"{path.name}.png")


def out_for(source: Path, how: How) -> Path:
    """The file or folder that is written where none is named."""
    if source == PIPE:
        return PIPE
    if source.is_dir():
        whole = source.resolve() if source.name in ("", "..") else source
        return whole.with_name(f"{whole.name}{how.suffix}")
    target = target_of(source, how)
    return target.with_name(f"{target.stem}{how.suffix}{target.suffix}")


def check_one(source: Path, out: Path, how: How) -> None:
    """Raises AgmError if it is clear before any work that it cannot be done."""
    if source != PIPE and not os.path.lexists(source):
        raise AgmError(f"{source}: missing")
    if out == PIPE:
        if how.compare:
            raise AgmError("--compare writes a second file, which a pipe cannot hold; name a file to write")
        return
    if os.path.lexists(out) and out.is_dir():
        raise AgmError(f"{out}: is a folder; name the file to write")
    image_files.format_of(out)
    if how.ending and FORMATS[how.ending] != image_files.format_of(out):
        raise AgmError(f"{out}: its ending and --format {how.ending[1:]} contradict each other; leave one out")
    if os.path.lexists(out) and not how.force:
        raise AgmError(f"{out}: is there already; --force writes over it")


def one(upscaler: AnytimeUpscaler, source: Path, out: Path, how: How) -> str:
    """Upscale one file; returns the line that reports it. Raises AgmError that names it."""
    if how.compare and not how.force and os.path.lexists(_beside(out)):
        raise AgmError(f"{_beside(out)}: is there already; --force writes over it")
    try:
        picture = image_files.read(source, how.large)
        with enough_memory(SMALLER):
            image, result = _upscaled(upscaler, picture.image, how, source.name)
            colours = Metadata(chunks=picture.metadata.chunks)  # which say what the numbers mean
            kept = replace(picture, metadata=colours) if how.strip else picture
            contents = {}
            if how.compare:
                both = _both(picture.image, image)
                contents[_beside(out)] = image_files.encode(_beside(out), both, replace(picture, metadata=colours))
            named = out if out != PIPE else Path(f"standard output{how.ending or '.png'}")
            contents[out] = image_files.encode(named, image, kept, how.quality, how.lossless)
    except AgmError as error:
        text, names = str(error), (one_line(str(source)), one_line(str(out)))
        raise AgmError(text if text.startswith(names) else f"{source}: {text}") from None
    if out == PIPE:
        sys.stdout.buffer.write(contents[out])
        sys.stdout.buffer.flush()
    else:
        for path, content in contents.items():
            files.write_bytes(path, content)
    if how.as_json:
        return _json(source, out, image.size, result)
    return _sentence(out, result, upscaler)


def _json(source: Path, out: Path, size: tuple[int, int], result: Result) -> str:
    fields = {"source": str(source), "out": str(out), "width": size[0], "height": size[1]}
    reached = {"iteration": result.iteration, "seconds": result.elapsed, "deadline": result.deadline}
    schedule = str(result.schedule) if result.schedule else None
    return json.dumps(fields | reached | {"schedule": schedule, "met": result.met})


def _sentence(out: Path, result: Result, upscaler: AnytimeUpscaler) -> str:
    most = f"{upscaler.most}"
    if upscaler.planner and result.schedule:
        most = f"{len(result.schedule)} planned, {result.schedule}"
    reached = f"iteration {result.iteration} of {most}" if result.iteration else "bicubic"
    late = "" if result.met else f", later than {1000 * (result.deadline or 0):g} ms"
    return one_line(f"{out}: {reached}, {1000 * result.elapsed:.0f} ms{late}")


def _upscaled(upscaler: AnytimeUpscaler, given: Image.Image, how: How, name: str) -> tuple[Image.Image, Result]:
    """As many times twice as large as it takes, then smaller by a good filter; and how the worst of them came about."""
    image, size = given, how.size(given)
    steps = max(1, math.ceil(math.log2(max(size[0] / image.width, size[1] / image.height)) - 1e-9))
    seconds, results = 0.0, list[Result]()
    form = "{desc}: {percentage:3.0f} %|{bar}| {elapsed}<{remaining}"
    with tqdm(total=steps, desc=one_line(name)[-30:], bar_format=form, disable=None, leave=False) as bar:
        for step in range(steps):
            share = SCALE ** (2 * step) / sum(SCALE ** (2 * i) for i in range(step, steps))
            left = None if how.deadline is None else max((how.deadline - seconds) * share, 1e-9)
            results.append(upscaler.upscale(image, left, how.iterations, bar.update))
            image, seconds = cast(Image.Image, results[-1].image), seconds + results[-1].elapsed
    image = image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
    least = min(results, key=lambda result: result.iteration)
    return image, replace(least, elapsed=seconds, deadline=how.deadline)


def _beside(out: Path) -> Path:
    """The file of `--compare`."""
    return out.with_stem(f"{out.stem}_compare")


def _both(before: Image.Image, after: Image.Image) -> Image.Image:
    """Bicubic upsampling at the left, what was made at the right."""
    both = Image.new("RGB", (2 * after.width, after.height))
    both.paste(to_rgb(before).resize(after.size, Image.Resampling.BICUBIC))
    both.paste(to_rgb(after), (after.width, 0))
    return both


@dataclass
class Folder:
    """The work for a folder: `pairs` of input and output files, and the `others`, which are left out, by reason."""

    source: Path
    out: Path
    pairs: list[tuple[Path, Path]]
    others: dict[str, list[Path]]

    @classmethod
    def of(cls, source: Path, out: Path, how: How) -> Folder:
        """Raises AgmError if there are no pictures, or two would become one file."""
        if out == PIPE or (out.exists() and not out.is_dir()):
            raise AgmError(f"{out}: is a file; a folder of pictures needs a folder to write to")
        here, there = source.resolve(), out.resolve()
        if here == there:
            raise AgmError(f"{out}: would write over the pictures that are to be read; name another folder")
        ours = there if here in there.parents else None  # what is in there are results of ours
        pictures, others = survey(source, ours)
        if not pictures:
            raise AgmError(f"{source}: there are no pictures in this folder")
        targets = {path: target_of(path, how) for path in pictures}
        makers: dict[Path, Path] = {}
        for path, target in targets.items():
            for name in (target, _beside(target)) if how.compare else (target,):
                if makers.setdefault(name, path) != path:
                    raise AgmError(f"{makers[name]} and {path} would both become {name.name}; rename one of them")
        pairs = [(path, out / target.relative_to(source)) for path, target in targets.items()]
        return cls(source, out, pairs, others)

    def upscale(self, upscaler: AnytimeUpscaler, how: How) -> bool:
        """Upscale all pictures, and print a line for each and for what was left out; returns whether all went well."""
        upscaler.check(how.deadline, how.iterations)  # a wrong option is no picture's fault
        there = set() if how.force else {target for _, target in self.pairs if os.path.lexists(target)}
        waiting = [pair for pair in self.pairs if pair[1] not in there]
        broken = 0
        name = f"upscaling {one_line(self.source.name)[-30:]}"
        with tqdm(waiting, desc=name, unit="picture", disable=None, leave=False) as bar:
            for path, target in bar:
                try:
                    tqdm.write(one(upscaler, path, target, how))
                except AgmError as error:
                    broken += 1
                    tqdm.write(f"agm: skipped {error}", file=sys.stderr)
        self._say_others()
        counts = [f"{len(waiting) - broken} of {len(self.pairs)} pictures -> {self.out}"]
        counts += [f"{len(there)} already there, kept (--force writes over them)"] if there else []
        counts += [f"{broken} skipped"] if broken else []
        print(one_line("; ".join(counts)), file=sys.stderr if how.as_json else sys.stdout)
        return not broken and LOCKED not in self.others

    def _say_others(self) -> None:
        for reason, paths in self.others.items():
            names = ", ".join(path.relative_to(self.source).as_posix() for path in paths)
            print(one_line(f"agm: left out {len(paths)} {reason}: {names}"), file=sys.stderr)
