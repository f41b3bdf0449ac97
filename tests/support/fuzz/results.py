"""What agm has written and reads again: runs, weights, checkpoints, measurements, exports."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import torch
from hypothesis import strategies as st

from agm import files, runs
from agm.anytime import planner
from agm.anytime.onnx.export import CHAIN, export, read
from agm.config import STATISTICS, RunConfig
from agm.networks.generator import Generator
from agm.schedule import Schedule
from agm.training import checkpoint
from agm.training.step import Execution, Networks, build
from study import measured
from support import official
from support.fuzz import samples
from support.fuzz.check import Target
from support.fuzz.damage import altered, as_json, spoilt
from support.fuzz.sources import rows

CPU = torch.device("cpu")


def _summary(config: RunConfig) -> dict[str, Any]:
    quality = {metric: [0.5] * 2 for metric in ("mse", "psnr", "ssim")}
    bicubic = dict.fromkeys(("validation", "test"), dict.fromkeys(quality, 0.5))
    return {
        "id": config.id,
        "status": "finished",
        "epochs": 2,
        "seconds": 1.0,
        "parameters": 9,
        "test": dict.fromkeys(STATISTICS, quality),
        "bicubic": bicubic,
        "schedules": {kind: {config.training.schedule: [20.0, 21.0]} for kind in STATISTICS},
        "seconds_until_iteration": [0.1, 0.2],
        "machine": {"device": "a", "threads": 1, "code": "x", "versions": {"torch": "2"}},
        "data": {"fingerprint": "0", "stand_in": "crops", "images": {"train": 4, "validation": 4, "test": 4}},
    }


CONFIG = samples.small()
ROWS = [[epoch, kind, t, *[0.5] * 5] for epoch in (1, 2) for kind in STATISTICS for t in (1, 2)]
METRICS = pd.DataFrame(ROWS, columns=list(runs.COLUMNS))
RUN: dict[str, bytes] = {
    "config.json": json.dumps(CONFIG.to_dict()).encode(),
    "summary.json": json.dumps(_summary(CONFIG)).encode(),
    "metrics.csv": METRICS.to_csv(index=False).encode(),
}


@st.composite
def sealed(draw: st.DrawFn, tensors: dict[str, torch.Tensor], meta: dict[str, Any]) -> bytes:
    """A safetensors file with a checksum that is right, though what is in it may be wrong."""
    kept = {draw(st.sampled_from([n, n, n, n, "x"])): tensors[n] for n in tensors if draw(st.integers(0, 30))}
    for name in draw(st.lists(st.sampled_from(sorted(tensors)), max_size=1)):
        kept[name] = draw(st.sampled_from([torch.ones(()), torch.full((2, 3), torch.nan), torch.ones(0, 9)]))
    return files.encode_tensors(kept, draw(altered(meta)))


@st.composite
def run_folders(draw: st.DrawFn) -> dict[str, bytes]:
    name = draw(st.sampled_from(sorted(RUN)))
    if name.endswith(".json"):
        content = as_json(json.loads(RUN[name]))
    else:
        table = rows.map(lambda text: f"{','.join(runs.COLUMNS)}\n{text}".encode("utf-8", "replace"))
        content = table | spoilt([RUN[name]])
    return RUN | {name: draw(content)}


def use_run(folder: Path, found: dict[str, bytes]) -> None:
    """As `agm runs`, tables and curves read it."""
    for name, content in found.items():
        official.write(folder / name, content)
    run = runs.Run.read(folder)
    runs.table([run]).to_string()
    run.curve("psnr")
    planner.Planner.of(run, "shared")


weight_files = sealed(Generator(CONFIG.generator).state_dict(), {"kind": "generator", "config": CONFIG.to_dict()})


def use_weights(folder: Path, content: bytes) -> None:
    runs.load_trained(official.write(folder / "generator.safetensors", content))


def _networks() -> Networks:
    return build(CONFIG, Execution(device="cpu"))


def _checkpoint() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the fields of a valid checkpoint."""
    networks = _networks()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint.safetensors")
        good = {name: tensor.clone() for name, tensor in networks.generator.state_dict().items()}
        checkpoint.save(path, CONFIG, networks, torch.zeros(3), good, checkpoint.Standing(1, 2, 3.0, []))
        return files.read_tensors(path)


def use_checkpoint(folder: Path, content: bytes) -> None:
    path = official.write(folder / "checkpoint.safetensors", content)
    checkpoint.resume(path, CONFIG, _networks(), torch.zeros(3), {})


def use_json(folder: Path, content: bytes) -> None:
    """Measurements."""
    official.write(folder / "build" / "benchmarks" / "x.json", content)
    with mock.patch.dict("os.environ", AGM_HOME=str(folder)):
        measured.read("x", own=True)


def _export() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "export")
        export(Generator(CONFIG.generator), path, Schedule.parse(CONFIG.training.schedule))
        return official.contents(path)


EXPORT = _export()


@st.composite
def exports(draw: st.DrawFn) -> dict[str, bytes]:
    """What is other than it was: a file, or the list of them, mostly with the checksum that it has now."""
    chain = json.loads(EXPORT[CHAIN])
    name = draw(st.sampled_from(sorted(EXPORT)))
    if name == CHAIN:
        listed = chain["files"]
        listed[draw(st.sampled_from(["/dev/zero", "../../x", "", "\0", "n" * 300, "a"]))] = listed.pop(min(listed))
        return {CHAIN: draw(as_json(json.loads(EXPORT[CHAIN])) | altered(chain).map(resealed))}
    content = draw(spoilt([EXPORT[name]]))
    chain["files"][name]["sha256"] = files.sha256(content)
    return {name: content} | ({CHAIN: resealed(chain)} if draw(st.integers(0, 3)) else {})


def resealed(chain: Any) -> bytes:
    return json.dumps(files.seal(chain) if isinstance(chain, dict) else chain).encode()


def use_export(folder: Path, changed: dict[str, bytes]) -> None:
    for name, content in (EXPORT | changed).items():
        official.write(folder / name, content)
    read(folder)


TARGETS = {
    "runs": Target(run_folders(), use_run),
    "weights": Target(weight_files | spoilt([samples.weights()]), use_weights),
    "checkpoints": Target(sealed(*_checkpoint()) | spoilt([files.encode_tensors(*_checkpoint())]), use_checkpoint),
    "measurements": Target(as_json({"runs": {"x": {"device": "a", "threads": {"1": 2.0}}}}), use_json),
    "exports": Target(exports(), use_export),
}
