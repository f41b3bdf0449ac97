"""Training: the loop, every option, what it records."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from support.runs import became, tiny

from agm import RunConfig, data, files, runs
from agm.config import STATISTICS
from agm.errors import AgmError
from agm.networks.blocks import IterationNorm
from agm.paths import runs_folder
from agm.schedule import Schedule
from agm.training import step as step_module
from agm.training.calibrate import precise
from agm.training.evaluate import evaluate
from agm.training.loop import batches, save_weights, to_device, train
from agm.training.step import Execution, build
from study import aggregate, profiles
from study.figures import statistics

QUIET = Execution(device="cpu")


def trained(config: RunConfig, folder: Path, execution: Execution = QUIET) -> runs.Run:
    assert became(train(config, folder, execution)) == "finished"
    return runs.Run.read(folder)


def weights(run: runs.Run) -> torch.Tensor:
    """All learned numbers of a run's generator in one row."""
    tensors, _ = files.read_tensors(run.folder / "generator.safetensors")
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)])


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    """One run exactly as the smoke profile has it."""
    return trained(profiles.load("smoke").run("cars", layers="nnnr"), tmp_path_factory.mktemp("smoke") / "run")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    return trained(tiny(), tmp_path_factory.mktemp("plain") / "run")


def test_two_smoke_epochs_improve_the_visual_loss(smoke: runs.Run) -> None:
    losses = smoke.metrics.groupby("epoch").visual_loss.first()
    assert losses[2] < losses[1]


def test_training_learns_something(tmp_path: Path) -> None:
    run = trained(tiny(epochs=6, train_images=64), tmp_path / "run")
    losses = run.metrics.groupby("epoch").visual_loss.first()
    assert losses[6] < 0.7 * losses[1]


def test_metrics_csv(smoke: runs.Run) -> None:
    """One row per epoch, kind of statistics and iteration."""
    table = pd.read_csv(smoke.folder / "metrics.csv")
    measured = ["mse", "psnr", "ssim", "visual_loss", "critic_loss"]
    assert list(table.columns) == ["epoch", "statistics", "iteration", *measured]
    expected = [(e, s, t) for e in (1, 2) for s in STATISTICS for t in range(1, 11)]
    assert list(table[["epoch", "statistics", "iteration"]].itertuples(index=False, name=None)) == expected
    assert np.isfinite(table[measured].to_numpy()).all()
    assert (table.groupby("epoch")[["visual_loss", "critic_loss"]].nunique() == 1).all(axis=None)
    assert table.groupby("statistics").mse.mean().nunique() == 4


def test_summary_json(smoke: runs.Run) -> None:
    summary = json.loads((smoke.folder / "summary.json").read_text())
    assert summary["id"] == smoke.config.id == json_id(smoke.folder / "config.json")
    assert summary["status"] == "finished"
    assert summary["epochs"] == 2
    assert summary["seconds"] > 0
    assert summary["parameters"] == sum(parameter.numel() for parameter in smoke.generator().parameters())
    assert set(summary["test"]) == set(STATISTICS)
    for kind in summary["test"].values():
        assert {name: len(values) for name, values in kind.items()} == {"mse": 10, "psnr": 10, "ssim": 10}
    assert set(summary["bicubic"]) == {"validation", "test"}
    assert set(summary["bicubic"]["test"]) == {"mse", "psnr", "ssim"}
    times = summary["seconds_until_iteration"]
    assert len(times) == 10
    assert 0 < times[0] < times[-1]
    assert summary["seconds_by_schedule"].keys() == {str(Schedule.parse(name)) for name in ("NOAEL", "A", "B")}
    assert summary["seconds_by_schedule"]["xxxx (10)"] == times
    assert summary["data"]["images"] == {"train": 16, "validation": 8, "test": 8}
    assert summary["data"]["fingerprint"] == data.load("photographs").fingerprint
    assert summary["data"]["stand_in"] == data.load("photographs").stand_in
    assert {"device", "threads", "versions", "code", "commit"} <= set(summary["machine"])


def json_id(path: Path) -> str:
    return RunConfig.from_dict(json.loads(path.read_text())).id


def test_a_finished_run_leaves_these_files(smoke: runs.Run) -> None:
    names = {path.name for path in smoke.folder.iterdir()}
    assert names == {"config.json", "metrics.csv", "summary.json", "generator.safetensors", "test.safetensors"}


def errors(run: runs.Run) -> dict[str, np.ndarray]:
    """The recorded test MSE by kind of statistics, of each iteration and image: (T, N)."""
    tensors, meta = files.read_tensors(run.folder / "test.safetensors")
    assert meta["id"] == run.config.id
    return {kind: tensor.numpy() for kind, tensor in tensors.items()}


def test_what_is_recorded_is_what_the_weights_give(smoke: runs.Run) -> None:
    part, schedule = data.splits(smoke.config.data).test, Schedule.parse(smoke.config.training.schedule)
    for kind in STATISTICS:
        again = evaluate(smoke.generator(), part, schedule, kind)
        for name in ("mse", "psnr", "ssim"):
            np.testing.assert_allclose(smoke.test(name, kind), again.per_iteration()[name], rtol=1e-6)
        np.testing.assert_allclose(errors(smoke)[kind], again.mse.numpy(), rtol=1e-6)


def test_precise_readings_are_of_all_training_images(smoke: runs.Run) -> None:
    parts, schedule = data.splits(smoke.config.data), Schedule.parse(smoke.config.training.schedule)
    again = evaluate(precise(smoke.generator(), parts.train.low, schedule), parts.test, schedule, "precise")
    np.testing.assert_allclose(errors(smoke)["precise"], again.mse.numpy(), rtol=1e-5)


def test_a_run_of_before_there_were_precise_statistics(smoke: runs.Run, tmp_path: Path) -> None:
    """It is read without them."""
    folder = shutil.copytree(smoke.folder, tmp_path / "run")
    generator, summary = smoke.generator(), files.read_json(folder / "summary.json")
    for module in generator.modules():
        if isinstance(module, IterationNorm):
            module.precise = None
    save_weights(folder / "generator.safetensors", generator, smoke.config)
    table = pd.read_csv(folder / "metrics.csv")
    table[table.statistics != "precise"].to_csv(folder / "metrics.csv", index=False)
    del summary["test"]["precise"], summary["files"], summary["sha256"]
    files.write_json(folder / "summary.json", summary)

    old = runs.Run.read(folder)
    assert old.readings == aggregate.readings([old, smoke]) == ("shared", "iteration", "batch")
    assert np.isnan(old.test("mse", "precise")).tolist() == [True] * 10
    assert len(old.curve(statistics="precise")) == 0
    assert np.isnan(aggregate.last([old], "precise"))
    assert "precise" not in statistics.table([old])["spikiness"]


def test_without_batch_norm_there_is_one_reading_and_it_is_taken_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counter[str]()

    def counting(*arguments: Any) -> Any:
        counted[arguments[3]] += 1
        return evaluate(*arguments)

    monkeypatch.setattr("agm.training.loop.evaluate", counting)
    run = trained(tiny(base="light", adversarial_weight=0.0), tmp_path / "run")
    assert counted == {"shared": 2}  # validation and test
    assert list(errors(run)) == list(run.summary["test"]) == ["shared"]
    assert set(run.metrics.statistics) == {"shared"}
    for kind in STATISTICS:
        assert run.curve(statistics=kind).tolist() == run.curve().tolist()
        np.testing.assert_array_equal(run.test("psnr", kind), run.test("psnr"))
    assert run.readings == STATISTICS


def test_weights_are_kept_in_half_precision_and_tested_so(smoke: runs.Run) -> None:
    tensors, _ = files.read_tensors(smoke.folder / "generator.safetensors")
    assert all((tensor.dtype == torch.float16) == (tensor.dim() == 4) for tensor in tensors.values())


def test_weights_too_large_for_half_precision_are_kept_as_they_are(tmp_path: Path) -> None:
    generator = build(tiny(), QUIET).generator
    with torch.no_grad():
        generator.d.weight[0, 0, 0, 0] = 1e6
    wanted = generator.d.weight.clone()
    save_weights(tmp_path / "w.safetensors", generator, tiny())
    assert torch.equal(runs.load(tmp_path / "w.safetensors").d.weight, wanted)


CHANGES: dict[str, dict[str, Any]] = {
    "signs": {"signs": "paper"},
    "penalty": {"lipschitz": "penalty"},
    "no constraint": {"lipschitz": "none"},
    "sigmoid": {"critic_output": "sigmoid"},
    "peephole": {"peephole": True},
    "residual": {"residual": True},
    "bicubic feedback": {"feedback": "bicubic"},
    "bilinear": {"upsampling": "bilinear"},
    "no adversary": {"adversarial_weight": 0.0},
    "other clip": {"weight_clip": 0.1},
    "gradient clip": {"gradient_clip": 1e-3},
    "seed": {"seed": 1},
    "batch of one": {"batch_size": 1, "train_images": 3},
    "uneven last batch": {"batch_size": 5},
    "schedule": {"schedule": "---x (1) - x--x (1)"},
    "all of the paper": {"signs": "paper", "critic_output": "sigmoid", "peephole": True},
    "nnnn": {"layers": "nnnn"},
    "rrrr": {"layers": "rrrr"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_option_trains_and_makes_a_difference(tmp_path: Path, plain: runs.Run, name: str) -> None:
    run = trained(tiny(**CHANGES[name]), tmp_path / "run")
    assert np.isfinite(run.metrics.select_dtypes("number").to_numpy()).all()
    own, other = weights(run), weights(plain)
    assert own.shape != other.shape or not torch.allclose(own, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_a_run_goes_on_from_the_weights_of_another(home: Path, average: float) -> None:
    first = tiny(base="light", adversarial_weight=0.0)
    run = trained(first, runs_folder() / first.id)
    again = first.replace(start=first.id, learning_rate=1e-30, average=average, seed=1)
    np.testing.assert_array_equal(weights(trained(again, runs_folder() / again.id)), weights(run))
    with pytest.raises(AgmError, match="no run of this id"):
        train(first.replace(start="0" * 12), home / "x", QUIET)
    with pytest.raises(AgmError, match="network is another"):
        train(again.replace(width=3), home / "y", QUIET)


@pytest.mark.parametrize("statistics", ["iteration", "precise"])
def test_the_kind_of_statistics_only_changes_the_evaluation(tmp_path: Path, plain: runs.Run, statistics: Any) -> None:
    run = trained(tiny(statistics=statistics), tmp_path / "run")
    assert torch.equal(weights(run), weights(plain))
    assert (run.folder / "metrics.csv").read_bytes() == (plain.folder / "metrics.csv").read_bytes()
    np.testing.assert_array_equal(run.test(), plain.test(statistics=statistics))
    assert run.curve().to_list() == plain.curve(statistics=statistics).to_list() != plain.curve().to_list()


def test_the_same_run_twice_is_the_same(tmp_path: Path, plain: runs.Run) -> None:
    run = trained(tiny(), tmp_path / "run")
    for name in ("config.json", "metrics.csv", "generator.safetensors", "test.safetensors"):
        assert (run.folder / name).read_bytes() == (plain.folder / name).read_bytes(), name


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    with files.locked(tmp_path / ".run.lock", 0):
        with pytest.raises(TimeoutError):
            train(tiny(), tmp_path / "run", replace(QUIET, wait=False))
        assert train(tiny(), tmp_path / "run", replace(QUIET, time_budget=0.2)) is None
        assert not (tmp_path / "run" / "config.json").exists()
    assert became(train(tiny(), tmp_path / "run", replace(QUIET, wait=False))) == "finished"


TRAIN_ONE = """
import sys
from pathlib import Path
from support.runs import tiny
from agm.training.step import Execution
from agm.training.loop import train
print(train(tiny(), Path(sys.argv[1]), Execution(device="cpu")).summary["status"])
"""


def test_two_processes_that_want_the_same_run_both_get_it(tmp_path: Path, plain: runs.Run) -> None:
    """One trains, the other waits; the result is that of one process alone."""
    command = [sys.executable, "-c", TRAIN_ONE, str(tmp_path / plain.config.id)]
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in processes] == ["finished", "finished"]
    assert torch.equal(weights(runs.Run.read(tmp_path / plain.config.id)), weights(plain))


def test_a_users_own_folder_of_images(tmp_path: Path) -> None:
    from PIL import Image
    from support.images import made_up

    (tmp_path / "mine").mkdir()
    for i, pixels in enumerate(made_up(20, 30)):
        Image.fromarray(pixels).save(tmp_path / "mine" / f"{i}.jpg")
    run = trained(tiny(dataset=str(tmp_path / "mine")), tmp_path / "run")
    assert run.summary["data"]["images"]["train"] == 14
    assert run.summary["data"]["stand_in"] == ""


BF16 = """
import sys, torch
from pathlib import Path
torch.set_num_threads(1)
from support.runs import tiny
from agm.training.step import Execution; from agm.training.loop import train
print(train(tiny(precision="bf16"), Path(sys.argv[1]), Execution(device="cpu")).summary["status"])
"""


def test_bfloat16(tmp_path: Path) -> None:
    """In a process of its own: some processors announce AMX and then do not let oneDNN use it."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    environment.pop("ONEDNN_MAX_CPU_ISA", None)
    command = [sys.executable, "-c", BF16, str(tmp_path / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "finished"), done.stderr
    run = runs.Run.read(tmp_path / "run")
    assert np.isfinite(run.test()).all()
    assert run.generator().d.weight.dtype == torch.float32


def test_divergence_is_a_result(tmp_path: Path) -> None:
    """NaN in the first epoch: recorded like a finished run, with the last good state, which is the initial one."""
    config = tiny(learning_rate=1e20, train_images=32, adversarial_weight=0.0)
    assert became(train(config, tmp_path / "run", QUIET)) == "diverged"
    run = runs.Run.read(tmp_path / "run")
    assert run.summary["status"] == "diverged"
    assert run.summary["epochs"] == 0
    initial = build(config, QUIET).generator.state_dict()
    for name, parameter in run.generator().named_parameters():
        assert torch.allclose(parameter, initial[name], rtol=1e-3, atol=1e-6), name
    assert np.isfinite(run.test()).all()
    assert len(run.metrics) == 0
    assert len(run.curve()) == 0
    json.loads((tmp_path / "run" / "summary.json").read_text(), parse_constant=pytest.fail)
    assert became(train(config, tmp_path / "run", QUIET)) == "diverged"
    assert runs.table([run]).status.to_list() == ["diverged"]


def diverging_in_epoch(number: int, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the training loss and all weights become NaN at one step."""
    original, calls = step_module.train_step, [0]

    def step_or_nan(networks: Any, *arguments: Any, **named: Any) -> torch.Tensor:
        calls[0] += 1
        losses = original(networks, *arguments, **named)
        if calls[0] == (number - 1) * 2 + step:
            with torch.no_grad():
                for parameter in networks.generator.parameters():
                    parameter.fill_(math.nan)
            return losses * math.nan
        return losses

    monkeypatch.setattr(step_module, "train_step", step_or_nan)


def test_a_run_that_diverges_later_is_tested_in_its_last_good_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = trained(tiny(), tmp_path / "good")
    diverging_in_epoch(2, 1, monkeypatch)
    assert became(train(tiny(epochs=3), tmp_path / "run", QUIET)) == "diverged"
    run = runs.Run.read(tmp_path / "run")
    assert run.summary["epochs"] == 1
    assert set(run.metrics.epoch) == {1}
    assert torch.equal(weights(run), weights(good))
    np.testing.assert_array_equal(run.test(), good.test())


def test_the_last_good_state_does_not_depend_on_when_checkpoints_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverging_in_epoch(2, 1, monkeypatch)
    often = Execution(device="cpu", checkpoint_interval=0.0)
    assert became(train(tiny(epochs=3), tmp_path / "run", often)) == "diverged"
    assert np.isfinite(runs.Run.read(tmp_path / "run").test()).all()


def test_an_unknown_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgmError, match="unknown device 'gpu'"):
        train(tiny(), tmp_path / "run", Execution(device="gpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(AgmError, match="torch sees no GPU; use --device cpu"):
        train(tiny(), tmp_path / "run", Execution(device="cuda"))


@pytest.mark.parametrize(("images", "size"), [(10, 4), (8, 4), (3, 16), (1, 1)])
def test_an_epoch_shows_every_image_once(images: int, size: int) -> None:
    parts = list(batches(0, 0, images, size))
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert sorted(np.concatenate(parts).tolist()) == list(range(images))


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(list(batches(seed, epoch, 50, 8))).tolist()

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_to_device() -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    tensor = to_device(pixels, torch.device("cpu"))
    assert tensor.dtype == torch.uint8
    assert tensor[1, 2, 3, 4].item() == pixels[1, 3, 4, 2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {}
    for name, screen in (("terminal", Terminal()), ("file", io.StringIO())):
        monkeypatch.setattr("sys.stderr", screen)
        train(tiny(), tmp_path / name, Execution(device="cpu", label="a label"))
        shown[name] = screen.getvalue()
    assert shown["file"] == ""
    for part in ("a label", "2/2", "validation_mse"):
        assert part in shown["terminal"]
