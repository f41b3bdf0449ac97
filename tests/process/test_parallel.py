"""Several processes train one run: it is the run that one process trains, up to rounding."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.images import made_up
from support.runs import RESULTS, tiny
from support.together import QUIET, batch, in_two_processes, train_all

from agm import RunConfig, files
from agm.errors import AgmError
from agm.runs import Run
from agm.training import parallel
from agm.training.loop import train
from agm.training.parallel import World

TOLERANCE = 1e-4
"""Of these runs' losses and errors, relative. Sums are split differently, and training carries that on."""


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunConfig]:
    """Two epochs of six steps: of five batches of 8, and of one of 5, which cannot be halved."""
    folder = tmp_path_factory.mktemp("pictures")
    for i, pixels in enumerate(made_up(70, 16)):
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    common: dict[str, Any] = {"dataset": str(folder), "epochs": 2, "train_images": 45, "layers": "rnrn", "width": 8}
    return {
        "penalty": tiny(**common, lipschitz="penalty", gradient_clip=0.05),
        "any": tiny(**common, lipschitz="clipping", sampling="any", gradient_clip=0.05),
        "bf16": tiny(**common | {"epochs": 1, "train_images": 21}, precision="bf16"),
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, configs: dict[str, RunConfig]) -> dict[str, Run]:
    """What one process gives."""
    root = tmp_path_factory.mktemp("alone")
    for name, config in configs.items():
        assert train(config, root / name, QUIET) == "finished"
    return {name: Run.read(root / name) for name in configs}


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, configs: dict[str, RunConfig]) -> Path:
    """What two processes give, all in one go, since it takes them seconds to start."""
    root = tmp_path_factory.mktemp("together")
    stopped = {"stopped": configs["penalty"]}
    with pytest.MonkeyPatch.context() as patch:
        stop_after(4, patch)
        assert train(configs["any"], root / "handed over", QUIET) == "interrupted"
    diverging = tiny(learning_rate=1e20, train_images=32, adversarial_weight=0.0)
    runs = configs | {"handed over": configs["any"], "diverged": diverging}
    in_two_processes(train_all, root, runs, stopped)
    return root


def stop_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    from agm.training import loop as training

    asked: list[int] = []
    patch.setattr(training.Stop, "__bool__", lambda _: asked.append(1) or len(asked) > steps)


def assert_alike(one: Run, other: Run, tolerance: float = TOLERANCE) -> None:
    assert one.config.id == other.config.id
    for column in ("visual_loss", "mse", "psnr"):
        np.testing.assert_allclose(other.metrics[column], one.metrics[column], rtol=tolerance)
    np.testing.assert_allclose(other.metrics.critic_loss, one.metrics.critic_loss, atol=tolerance)  # it crosses zero
    np.testing.assert_allclose(other.test("mse"), one.test("mse"), rtol=tolerance)


@pytest.mark.parametrize("name", ["penalty", "any"])
def test_two_processes_train_the_same_run(name: str, alone: dict[str, Run], together: Path) -> None:
    assert_alike(alone[name], Run.read(together / name))


def test_with_16_bits_the_rounding_is_coarser(alone: dict[str, Run], together: Path) -> None:
    assert_alike(alone["bf16"], Run.read(together / "bf16"), 1e-2)


def test_two_processes_agree_that_a_run_diverged(together: Path) -> None:
    run = Run.read(together / "diverged")
    assert (run.summary["status"], run.summary["epochs"]) == ("diverged", 0)


def test_other_batches_would_show(configs: dict[str, RunConfig], alone: dict[str, Run], tmp_path: Path) -> None:
    """Without one of 45 images, or with batches of 4, losses are far outside the tolerance."""
    for number, fields in enumerate(({"train_images": 44}, {"batch_size": 4})):
        assert train(configs["any"].replace(**fields), tmp_path / str(number), QUIET) == "finished"
        other = Run.read(tmp_path / str(number)).metrics.visual_loss
        assert np.abs(other / alone["any"].metrics.visual_loss - 1).max() > 10 * TOLERANCE


def test_a_run_says_how_many_devices_it_had(alone: dict[str, Run], together: Path) -> None:
    assert alone["any"].summary["machine"]["devices"] == 1
    assert Run.read(together / "any").summary["machine"]["devices"] == 2
    assert {path.name for path in (together / "any").iterdir()} == {*RESULTS, "summary.json"}


def test_a_signal_to_one_process_stops_both_at_the_same_step_and_one_process_goes_on(
    configs: dict[str, RunConfig], alone: dict[str, Run], together: Path
) -> None:
    folder = together / "stopped"
    assert files.read_tensors(folder / "checkpoint.safetensors")[1]["progress"]["step"] == 3
    assert train(configs["penalty"], folder, QUIET) == "finished"
    assert_alike(alone["penalty"], Run.read(folder))


def test_two_processes_go_on_with_what_one_began(alone: dict[str, Run], together: Path) -> None:
    assert_alike(alone["any"], Run.read(together / "handed over"))


@pytest.mark.parametrize("images", [8, 5])
@pytest.mark.parametrize("kind", ["own", "torch"])
def test_batch_norm_has_the_moments_of_the_whole_batch(together: Path, kind: str, images: int) -> None:
    """Forwards by the definition, in numpy; backwards by the textbook's formula. Five images cannot be halved."""
    x, slope = (array[:images].astype(np.float64) for array in batch())
    weight, bias = (np.array(values)[:, None, None] for values in ((1.0, 2.0, -3.0), (0.0, 1.0, 2.0)))
    axes, count = (0, 2, 3), images * 5 * 5
    mean, var = (moment(x, axis=axes, keepdims=True) for moment in (np.mean, np.var))
    hat, of_hat = (x - mean) / np.sqrt(var + 1e-5), slope * weight
    means = [part.mean(axis=axes, keepdims=True) for part in (of_hat, of_hat * hat)]
    per_pixel = {"y": hat * weight + bias, "x": (of_hat - means[0] - hat * means[1]) / np.sqrt(var + 1e-5)}
    per_channel = {
        "mean": 0.1 * mean.squeeze(),
        "var": 0.9 + 0.1 * var.squeeze() * count / (count - 1),
        "weight": (slope * hat).sum(axis=axes),
        "bias": slope.sum(axis=axes),
    }
    for rank, share in enumerate((slice(4), slice(4, 8)) if images == 8 else (slice(5), slice(5))):
        found = files.read_tensors(together / f"norm-{rank}")[0]
        for name, values in ({key: value[share] for key, value in per_pixel.items()} | per_channel).items():
            own = found[f"{kind}.{images}.{name}"].numpy()
            own = own[0] if own.shape == (3, 3) else own  # running statistics of iteration 1
            np.testing.assert_allclose(own, values, rtol=1e-4, atol=1e-4)


def test_shares_of_a_batch() -> None:
    """Equal parts that make up the whole, in order; or the whole for all."""
    worlds = [World(rank, 3) for rank in range(3)]
    assert [range(12)[world.share(12)] for world in worlds] == [range(4), range(4, 8), range(8, 12)]
    assert all(world.divided for world in worlds)
    assert [range(11)[world.share(11)] for world in worlds] == [range(11)] * 3
    assert not any(world.divided for world in worlds)
    assert range(12)[World().share(12)] == range(12)


def test_a_batch_must_be_divisible() -> None:
    parallel.check(tiny(batch_size=8), World(0, 4))
    with pytest.raises(AgmError, match=r"^batch_size=8 cannot be divided equally among 3 processes"):
        parallel.check(tiny(batch_size=8), World(0, 3))


def test_torchrun(tmp_path: Path, configs: dict[str, RunConfig]) -> None:
    fields = {"iterations": 2, "schedule": "xxxx (2)", "validation_images": 4, "test_images": 4, "epochs": 2}
    config = tiny(**fields, dataset=configs["any"].data.dataset, train_images=45)
    settings = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
    options = ["--profile", "smoke", "--dataset", config.data.dataset, "--out", tmp_path, "--device", "cpu"]
    words = ["agm", "train", *map(str, options), *settings, "--set", "train_images=45", "--layers", "rnnr"]
    torchrun = start("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", *words)
    code, out = ended(torchrun)
    assert code == 0
    assert out.count(f"{config.id} finished") == out.count("\n") == 1
    run = Run.read(tmp_path / config.id)
    assert run.summary["machine"]["devices"] == 2
    assert train(config, tmp_path / "alone", QUIET) == "finished"
    assert_alike(Run.read(tmp_path / "alone"), run)


def start(*words: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and standard output; nothing may be left running, and no traceback be shown."""
    try:
        out, errors = process.communicate(timeout=90)
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in errors
    print(errors)
    return process.returncode, out
