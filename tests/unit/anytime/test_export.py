"""What `agm export` writes gives, in ONNX Runtime, the generator's own images."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.data
import torch
from support.anytime import weights
from support.command import refused
from support.modules import shake
from torch import Tensor

import agm.anytime
from agm import Generator, GeneratorConfig, Schedule, files, runs
from agm.anytime.latency import Times
from agm.anytime.onnx.export import export, read
from agm.anytime.stepper import Plain
from agm.anytime.upscaler import AnytimeUpscaler
from agm.config import ORL_CONFIGURATIONS, Statistics
from agm.errors import AgmError
from agm.networks.layers.plain import ResidualLayer
from agm.networks.layers.residual import Residual
from agm.training.calibrate import precise
from benchmarks.runtimes import OnnxRuntime

Agm = Callable[..., Any]
RECORDED = sorted((Path(__file__).parents[3] / "results").glob("*/*/generator.safetensors"))
OWN = "-x-x (2) - --xx (1) - x--x (1) - xxxx (2)"


def shaken(**fields: Any) -> Generator:
    """A generator whose every weight and statistic matters, and whose output stays near its input's range."""
    generator = shake(Generator(GeneratorConfig(**{"width": 4, **fields}))).eval()
    assert isinstance(generator, Generator)
    light = generator.config.base == "light"
    (generator.d.conv if light else generator.d).weight.data *= 0.3
    if light:  # without batch norm, what is fed back must not grow, nor what was rounded
        generator.b.conv.weight.data *= 0.1
        for layer in generator.layers:
            if isinstance(layer, ResidualLayer):
                layer.conv2.weight.data *= 0.03
            elif isinstance(layer, Residual):
                layer.cell.gates.weight.data *= 0.1  # type: ignore[union-attr,operator]
    return generator


def expected(generator: Generator, x: Tensor, schedule: str, statistics: Statistics = "iteration") -> Tensor:
    with torch.no_grad():
        return torch.stack(list(generator.iterate(x, schedule, statistics)))


def images(stepper: OnnxRuntime, x: Tensor, schedule: str | None = None) -> Tensor:
    progress = stepper.start(x)
    masks = Schedule.parse(schedule) if schedule else stepper.schedule
    return torch.stack([stepper.step(progress, mask) for mask in masks])


def same(found: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    assert wanted.std() > 0.05
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


def photograph() -> Tensor:
    """(1, 3, 24, 20)"""
    return torch.from_numpy(skimage.data.chelsea()[100:124, 150:170].copy()).permute(2, 0, 1)[None] / 255


def chained(folder: Path, x: Tensor) -> Tensor:
    """All images by what chain.json says, with nothing else of agm's."""
    chain = json.loads((folder / "chain.json").read_text())
    n, _, height, width = x.shape
    size = {"N": n, "H": height, "W": width, "2H": 2 * height, "2W": 2 * width}

    def shape(sides: list[Any]) -> list[int]:
        return [size.get(side, side) for side in sides]

    def run(part: dict[str, Any]) -> None:
        inputs = {name: held[name] for name in part["inputs"]}
        assert [list(array.shape) for array in inputs.values()] == list(map(shape, part["inputs"].values()))
        found = onnxruntime.InferenceSession(folder / part["file"]).run(list(part["outputs"]), inputs)
        assert [list(array.shape) for array in found] == list(map(shape, part["outputs"].values()))
        held.update(zip([name.removesuffix("_next") for name in part["outputs"]], found, strict=True))

    held = {"x": x.numpy(), "zeros": np.zeros(shape(chain["parts"]["b"]["inputs"]["previous"]), np.float32)}
    run(chain["parts"]["a"])
    held["previous"] = held[chain["feedback"]["first"]]
    images = []
    for entry in chain["iterations"]:
        held["t"] = np.array(entry["t"])
        for name in entry["parts"]:
            run(chain["parts"][name])
        held["previous"] = held[chain["feedback"]["later"]]
        images.append(held["image"])
    return torch.from_numpy(np.stack(images))


@pytest.mark.parametrize("layers", ORL_CONFIGURATIONS)
@pytest.mark.parametrize("base", ["paper", "light"])
def test_every_network_under_every_schedule(base: str, layers: str, tmp_path: Path) -> None:
    generator = shaken(layers=layers, base=base)
    export(generator, tmp_path / "out", Schedule.parse("A"))
    stepper = OnnxRuntime(tmp_path / "out")
    for schedule in ("A", "B", "NOAEL", OWN):
        for size in ((1, 3, 1, 1), (2, 3, 5, 7), (1, 3, 8, 16)):
            x = torch.rand(size)
            found, wanted = images(stepper, x, schedule), expected(generator, x, schedule)
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
        assert wanted.std() > 0.05


@pytest.mark.parametrize(
    "fields",
    [
        {"residual": True},
        {"feedback": "bicubic"},
        {"upsampling": "bilinear"},
        {"width": 1},
        {"base": "light", "feedback": "bicubic"},
        {"base": "light", "width": 1},
    ],
    ids=lambda fields: "-".join(fields),
)
@pytest.mark.parametrize("statistics", ["iteration", "shared", "precise"])
def test_every_option(fields: dict[str, Any], statistics: Statistics, tmp_path: Path) -> None:
    for layers in ("rnrn", "nrnr"):
        pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
        generator = precise(shaken(layers=layers, **fields), pixels, Schedule.parse("B"))
        export(generator, tmp_path / layers, Schedule.parse("B"), statistics)
        stepper = OnnxRuntime(tmp_path / layers)
        for height, width in ((6, 9), (1, 1), (1, 3), (2, 1)):
            x = torch.rand(1, 3, height, width)
            wanted = expected(generator, x, "B", statistics)
            torch.testing.assert_close(images(stepper, x), wanted, rtol=0, atol=1e-5)
        assert wanted.std() > 0.01


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
def test_recorded_weights(path: Path, tmp_path: Path) -> None:
    generator, config = runs.load_trained(path)
    schedule = Schedule.parse(config.training.schedule)  # under others a network magnifies what was rounded
    export(generator, tmp_path / "full", schedule)
    wanted = expected(generator, photograph(), str(schedule))
    same(images(OnnxRuntime(tmp_path / "full"), photograph()), wanted)
    export(generator, tmp_path / "half", schedule, precision=16)
    half = images(OnnxRuntime(tmp_path / "half"), photograph())
    same(half, wanted, 2e-4)  # measured: below 8e-5
    sizes = [(tmp_path / name / "weights.bin").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.53 * sizes[1]


@pytest.mark.parametrize(
    "options", [{}, {"feedback": "bicubic", "residual": True}, {"base": "light"}], ids=["zeros", "bicubic", "light"]
)
def test_the_chain_says_all_there_is_to_know(options: dict[str, Any], tmp_path: Path) -> None:
    generator = shaken(layers="rnrr", iterations=3, **options)
    schedule = "---x (1) - x--x (2) - -xxx (2)"  # longer than there are statistics
    export(generator, tmp_path / "out", Schedule.parse(schedule), run="0123456789ab")
    x = torch.rand(1, 3, 5, 4)
    same(chained(tmp_path / "out", x), expected(generator, x, schedule))
    stored = json.loads((tmp_path / "out" / "chain.json").read_text())
    up = ["up"] if options.get("base") != "light" else []
    assert [entry["parts"] for entry in stored["iterations"]] == [
        ["b", *up, "layer4_first", "d"],
        ["b", "layer1_first", *up, "layer4", "d"],
        ["b", "layer1", *up, "layer4", "d"],
        ["b", "layer2", *up, "layer3_first", "layer4", "d"],
        ["b", "layer2", *up, "layer3", "layer4", "d"],
    ]
    assert [entry["t"] for entry in stored["iterations"]] == [0, 1, 2, 2, 2]
    assert (stored["run"], stored["schedule"], stored["statistics"]) == ("0123456789ab", schedule, "iteration")
    assert GeneratorConfig(**stored["generator"]) == generator.config
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*stored["files"], "chain.json"}


@pytest.mark.parametrize("base", ["paper", "light"])
def test_files_are_valid_small_and_old_enough_for_browsers(base: str, tmp_path: Path) -> None:
    out, generator = tmp_path / "out", shaken(layers="rrrn", width=16, base=base)
    export(generator, out, Schedule.parse("A"))
    for path in out.glob("*.onnx"):
        onnx.checker.check_model(path, full_check=True)
        model = onnx.load(path, load_external_data=False)
        assert (model.ir_version, model.opset_import[0].version) == (8, 17)
        dynamic = {dim.dim_param for end in model.graph.input for dim in end.type.tensor_type.shape.dim}
        assert {"N"} < dynamic
        assert path.stat().st_size < 4_000
    parameters = sum(p.numel() for p in generator.parameters())
    assert (out / "weights.bin").stat().st_size < 4 * 1.05 * parameters  # each once; statistics beside them


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        export(shaken(), tmp_path / name, Schedule.parse("A"))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_the_upscaler_runs_an_export(tmp_path: Path) -> None:
    generator = shaken(layers="nrnr")
    export(generator, tmp_path / "out", Schedule.parse("A"))
    stepper = OnnxRuntime(tmp_path / "out")
    photo = skimage.data.chelsea()[100:140, 150:181]
    results = [
        AnytimeUpscaler(it, stepper.config, stepper.schedule, Times({}), tile=48).upscale(photo)
        for it in (stepper, Plain(generator))
    ]
    found, wanted = (np.asarray(result.image).astype(int) for result in results)
    assert results[0].iteration == 10
    assert wanted.std() > 10
    assert np.abs(found - wanted).max() <= 1


def test_a_damaged_export(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("weights.bin", "layer4.onnx", "a.onnx"):
        export(shaken(layers="nnnr"), out, Schedule.parse("xxxx (2)"), force=True)
        read(out)
        content = bytearray((out / name).read_bytes())
        content[len(content) // 2] ^= 1
        (out / name).write_bytes(content)
        with pytest.raises(AgmError, match=rf"{name}: damaged, it is not what chain.json says; export again"):
            read(out)
        (out / name).unlink()
        with pytest.raises(AgmError, match=rf"{name}: cannot be read \(No such file or directory\); export again"):
            read(out)


@pytest.mark.parametrize("name", ["/dev/zero", "../weights.bin", ""])
def test_no_files_are_read_but_an_exports_own(tmp_path: Path, name: str) -> None:
    chain = export(shaken(layers="nnnr"), tmp_path / "out", Schedule.parse("xxxx (2)"))
    chain["files"][name] = chain["files"].pop("weights.bin")
    files.write_json(tmp_path / "out" / "chain.json", files.seal(chain))
    with pytest.raises(AgmError, match=r"chain\.json: damaged, it lists other files than an export has"):
        read(tmp_path / "out")


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": "agm chain 1"}', '{"format": "agm chain 2"}'])
def test_what_is_no_chain(tmp_path: Path, text: str) -> None:
    (tmp_path / "chain.json").write_text(text)
    with pytest.raises(AgmError, match=r"chain\.json: not written by this version of agm, or damaged; export again"):
        read(tmp_path)


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    def refuse(match: str, generator: Generator, **options: Any) -> None:
        with pytest.raises(AgmError, match=match):
            export(generator, tmp_path / "out", Schedule.parse("A"), **options)
        assert list(tmp_path.iterdir()) == []

    refuse("statistics 'batch' are those of many images at once", shaken(), statistics="batch")
    refuse("networks with peepholes cannot be exported yet", shaken(peephole=True))
    refuse("precision 8: the weights are stored with 32 or 16 bits", shaken(), precision=8)
    large = shaken()
    large.d.weight.data[0, 0, 0, 0] = 1e5
    refuse("d: not all values are finite 16-bit numbers", large, precision=16)
    large.d.weight.data[0, 0, 0, 0] = torch.nan
    refuse("d: not all values are finite 32-bit numbers", large)


def test_without_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "agm.anytime.onnx.graphs")
    monkeypatch.delattr(agm.anytime.onnx, "graphs")
    with pytest.raises(AgmError, match=r"needs the package onnx: pip install 'agm\[export\]'"):
        export(shaken(), tmp_path / "out", Schedule.parse("xxxx (1)"))


def test_the_command(agm_command: Agm, home: Path) -> None:
    weights(home / "w.safetensors")
    result = agm_command("export", "--model", home / "w.safetensors", "--out", home / "new" / "out")
    assert (result.code, result.err) == (0, "")
    *lines, last = result.out.splitlines()
    listed = {line.split()[0]: int(line.split()[1].replace(",", "")) for line in lines}
    assert listed == {path.name: path.stat().st_size for path in (home / "new" / "out").iterdir()}
    assert last.endswith(f"10 parts for x--x (1) - xxxx (2) -> {home / 'new' / 'out'}")
    assert list((home / "new").iterdir()) == [home / "new" / "out"]
    wanted = expected(runs.load(home / "w.safetensors"), photograph(), "x--x (1) - xxxx (2)")
    same(images(OnnxRuntime(home / "new" / "out"), photograph()), wanted)


def test_options_of_the_command(agm_command: Agm, home: Path) -> None:
    weights(home / "w.safetensors")
    options = ("--schedule", "---x (2)", "--statistics", "shared", "--precision", "16")
    assert agm_command("export", "--model", home / "w.safetensors", "--out", home / "out", *options).code == 0
    chain = files.read_json(home / "out" / "chain.json")
    assert (chain["schedule"], chain["statistics"], chain["precision"]) == ("---x (2)", "shared", 16)
    wanted = expected(runs.load(home / "w.safetensors"), photograph(), "---x (2)", "shared")
    same(images(OnnxRuntime(home / "out"), photograph()), wanted, 1e-2)


def test_nothing_is_overwritten_without_being_told(agm_command: Agm, home: Path) -> None:
    command = ("export", "--model", weights(home / "w.safetensors"), "--out", home / "out")
    assert agm_command(*command).code == 0
    before = (home / "out" / "chain.json").read_bytes()
    refused(agm_command(*command, "--schedule", "---x (2)"), "out: holds another export", "replace it with --force")
    assert (home / "out" / "chain.json").read_bytes() == before
    assert agm_command(*command, "--schedule", "---x (2)", "--force").code == 0
    assert (home / "out" / "chain.json").read_bytes() != before
    (home / "out" / "notes" / "mine").mkdir(parents=True)
    (home / "out" / "index.html").write_text("mine")
    assert agm_command(*command, "--force").code == 0
    assert (home / "out" / "index.html").read_text() == "mine"
    assert {path.name for path in (home / "out").iterdir()} == {
        "chain.json",
        "index.html",
        "notes",
        *files.read_json(home / "out" / "chain.json")["files"],
    }
    (home / "out" / "chain.json").unlink()
    refused(agm_command(*command, "--force"), "out: holds other files, but no export")
    refused(agm_command(*command[:-1], home / "w.safetensors"), "not a place for a folder")
    assert sorted(path.name for path in home.iterdir()) == ["out", "w.safetensors"]


def test_wrong_options_are_one_line(agm_command: Agm, home: Path) -> None:
    command = ("export", "--model", weights(home / "w.safetensors"), "--out", home / "out")
    refused(agm_command(*command, "--precision", "8"), "precision 8")
    refused(agm_command(*command, "--statistics", "mean"), "unknown statistics 'mean'")
    refused(agm_command(*command, "--schedule", "rrrr (2)"), "has r for layer 1, the network has n")
    refused(agm_command("export", "--model", "nowhere", "--out", home / "out"), "nowhere: no weights there")
    assert [path.name for path in home.iterdir()] == ["w.safetensors"]


def test_the_same_export_again_changes_nothing(agm_command: Agm, home: Path) -> None:
    command = ("export", "--model", weights(home / "w.safetensors"), "--out", home / "out")
    assert agm_command(*command).code == 0
    before = {path.name: path.stat().st_mtime_ns for path in (home / "out").iterdir()}
    assert agm_command(*command).code == 0
    assert {path.name: path.stat().st_mtime_ns for path in (home / "out").iterdir()} == before


def test_two_at_once_wait_for_each_other(tmp_path: Path) -> None:
    generator, out = shaken(), tmp_path / "out"
    schedules = [Schedule.parse(f"xxxx ({count})") for count in (1, 2, 3, 4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda schedule: export(generator, out, schedule, force=True), schedules))
    assert files.read_json(out / "chain.json") in [json.loads(json.dumps(chain)) for chain in made]
    OnnxRuntime(out)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("broken", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_replacement_that_fails_between_its_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Any
) -> None:
    out = tmp_path / "out"
    export(shaken(), out, Schedule.parse("xxxx (1)"))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise broken
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises((KeyboardInterrupt, AgmError)):
        export(shaken(), out, Schedule.parse("A"), force=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert list(tmp_path.iterdir()) == [out]


def test_what_a_kill_between_the_renames_left_is_put_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(shaken(), out, Schedule.parse("xxxx (1)"))
    (tmp_path / ".out.partial").mkdir()
    out.rename(tmp_path / ".out.partial" / "old")
    with pytest.raises(AgmError, match="holds another export"):
        export(shaken(), out, Schedule.parse("A"))
    assert OnnxRuntime(out).schedule == Schedule.parse("xxxx (1)")
    assert list(tmp_path.iterdir()) == [out]


def test_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    export(shaken(), out, Schedule.parse("xxxx (1)"))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    replace = os.replace

    def fail(source: Any, target: Any, **options: Any) -> None:
        if Path(target).name == "chain.json":
            raise OSError(28, "No space left on device")
        replace(source, target, **options)

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(AgmError, match="No space left on device"):
        export(shaken(), out, Schedule.parse("A"), force=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert list(tmp_path.iterdir()) == [out]
