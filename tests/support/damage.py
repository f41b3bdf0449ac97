"""Files of every kind, damaged in every way, and how reading them ends."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from agm import RunConfig
from agm.anytime.onnx import export as exports
from agm.data import prepared
from agm.data.official.prepare import prepare
from agm.errors import AgmError
from agm.paths import CHECKPOINT, CONFIG, METRICS_FILE, SUMMARY, WEIGHTS
from agm.runs import Run, load_trained
from agm.schedule import Schedule
from agm.training import checkpoint
from agm.training.loop import train
from agm.training.step import Execution, build
from support.anytime import weights
from support.official import cars
from support.runs import tiny

QUIET = Execution(device="cpu")
EXPORTED = (exports.CHAIN, exports.WEIGHTS, "a.onnx", "layer1.onnx")
RUN = (CONFIG, METRICS_FILE, WEIGHTS, SUMMARY)
KINDS = (*RUN, CHECKPOINT, prepared.IMAGES, prepared.MANIFEST, prepared.CARD, *EXPORTED)
"""What is damaged."""

Reader = Callable[[], bytes]
"""Reads what a file belongs to, and returns everything that a computation would take from it."""


def damaged(content: bytes, other: bytes, flips: int, places: random.Random) -> Iterator[bytes]:
    """One bit turned, `flips` times; cut short in 20 places, the last byte too; empty; and another file of its kind."""
    for _ in range(flips):
        place, turned = places.randrange(len(content)), bytearray(content)
        turned[place] ^= 1 << places.randrange(8)
        yield bytes(turned)
    yield from (content[: places.randrange(1, len(content))] for _ in range(20))
    yield from (content[:-1], b"", other)


def damage(path: Path, other: Path, read: Reader, flips: int, places: random.Random) -> dict[str, int]:
    """How often damage was `named` in one line, `harmless` (read as ever), `unnoticed` (read as something else), or
    `crashed`."""
    content, expected = path.read_bytes(), read()
    seen = Counter(tried=0, named=0, harmless=0, unnoticed=0, crashed=0)
    for spoilt in damaged(content, other.read_bytes(), flips, places):
        path.write_bytes(spoilt)
        seen.update(["tried", _outcome(path.name, read, expected)])
    path.write_bytes(content)
    return dict(seen)


def _outcome(name: str, read: Reader, expected: bytes) -> str:
    try:
        return "harmless" if read() == expected else "unnoticed"
    except AgmError as error:
        return "named" if name in str(error) and "\n" not in str(error) else "crashed"
    except Exception:
        return "crashed"


def make(folder: Path) -> dict[str, tuple[Path, Path, Reader]]:
    """Of each kind: a file, another file of its kind, and what reads it."""
    result: dict[str, tuple[Path, Path, Reader]] = {}
    one, other = (_run(folder, tiny(epochs=2, seed=seed)) for seed in (0, 1))
    result |= {name: (one / name, other / name, lambda: _read_run(one)) for name in RUN}
    begun, foreign = (_begun(folder, tiny(epochs=2, seed=seed)) for seed in (0, 1))
    result[CHECKPOINT] = (begun, foreign, lambda: _read_checkpoint(begun))
    a, b = (_prepared(folder, count) for count in (6, 7))
    names = (prepared.IMAGES, prepared.MANIFEST, prepared.CARD)
    result |= {name: (a / name, b / name, lambda: _read_prepared(a)) for name in names}
    c, d = (_exported(folder, statistics) for statistics in ("iteration", "shared"))
    return result | {name: (c / name, d / name, lambda: _read_export(c)) for name in EXPORTED}


def _run(folder: Path, config: RunConfig) -> Path:
    train(config, folder / config.id, QUIET)
    return folder / config.id


def _read_run(folder: Path) -> bytes:
    run = Run.read(folder)
    read = [json.dumps(run.config.to_dict()), json.dumps(run.summary, sort_keys=True), run.metrics.to_csv()]
    return "".join(read).encode() + _bytes(run.generator().state_dict())


def _bytes(tensors: dict[str, torch.Tensor]) -> bytes:
    return b"".join(name.encode() + tensor.numpy().tobytes() for name, tensor in tensors.items())


def _begun(folder: Path, config: RunConfig) -> Path:
    """A checkpoint in mid-training."""
    place = folder / f"begun-{config.id}"
    train(config, place, Execution(device="cpu", time_budget=0.0))
    return place / CHECKPOINT


def _read_checkpoint(path: Path) -> bytes:
    config, losses = tiny(epochs=2), torch.zeros(2)
    networks, good = build(config, QUIET), dict[str, torch.Tensor]()
    progress = checkpoint.resume(path, config, networks, losses, good)
    states = _bytes(networks.generator.state_dict()) + _bytes(networks.critic.state_dict()) + _bytes(good)
    return json.dumps(asdict(progress)).encode() + states


def _prepared(folder: Path, count: int) -> Path:
    out = folder / f"cars-{count}"
    prepare("cars", cars(folder / f"source-{count}", count, 2), out)
    return out


def _read_prepared(folder: Path) -> bytes:
    images = prepared.load(folder)
    labels = repr((images.name, images.sources, images.groups, images.groups_leak, images.stand_in))
    return np.ascontiguousarray(images.images).tobytes() + labels.encode()


def _exported(folder: Path, statistics: exports.Statistics) -> Path:
    out = folder / f"export-{statistics}"
    generator, config = load_trained(weights(folder / f"{statistics}.safetensors", layers="rrrr"))
    # Other weights too: those of the layers do not depend on the statistics.
    generator.d.bias.data += len(statistics)  # type: ignore[union-attr, operator]
    exports.export(generator, out, Schedule.parse("xxxx (3)"), statistics, run=config.id)
    return out


def _read_export(folder: Path) -> bytes:
    chain, contents = exports.read(folder)
    return json.dumps(chain, sort_keys=True).encode() + b"".join(contents.values())
