"""The same configuration and seed give the same bytes, whoever asks for the run; other thread counts, nearly the same.

That the workflow's runs are these too is tested in test_workflow.py and test_slurm.py.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from support.checkout import BIN, ROOT
from support.runs import RESULTS, became, tiny, train_in_child

from agm import RunConfig, runs
from agm.training.loop import train
from agm.training.step import Execution

QUIET = Execution(device="cpu")
FIELDS = {"iterations": 2, "schedule": "xxxx (2)", "epochs": 2, "validation_images": 4, "test_images": 4}


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return tiny(layers="rnnr", epochs=2)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, config: RunConfig) -> dict[str, bytes]:
    """What the library gives in this process."""
    folder = tmp_path_factory.mktemp("library")
    assert became(train(config, folder, QUIET)) == "finished"
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_the_command_line(
    home: Path, agm_command: Callable[..., object], config: RunConfig, expected: dict[str, bytes]
) -> None:
    settings = [word for name, value in FIELDS.items() for word in ("--set", f"{name}={value}")]
    agm_command("train", "--profile", "smoke", "--layers", "rnnr", "--device", "cpu", *settings)
    assert contents(home / "build" / "runs" / config.id) == expected


def test_a_notebook_under_papermill(home: Path, config: RunConfig, expected: dict[str, bytes]) -> None:
    code = f"from agm import runs, RunConfig\nruns.ensure([RunConfig.from_dict({config.to_dict()!r})])"
    cells = [
        nbformat.v4.new_code_cell("profile = 'smoke'", metadata={"tags": ["parameters"]}, id="a"),
        nbformat.v4.new_code_cell(code, id="b"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), home / "a.ipynb")
    command = [BIN / "python", ROOT / "workflow" / "run_notebook.py", home / "a.ipynb", home / "out.ipynb"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "AGM_HOME": str(home)}
    subprocess.run(list(map(str, command)), env=environment, cwd=ROOT, check=True, capture_output=True, timeout=300)
    assert contents(home / "build" / "runs" / config.id) == expected


def test_several_processes_side_by_side(tmp_path: Path, config: RunConfig, expected: dict[str, bytes]) -> None:
    """Two at the run itself, of which one waits, and one at another run."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["agm.training.loop"])
    jobs = [(config, tmp_path / "a"), (config, tmp_path / "a"), (config.replace(seed=1), tmp_path / "b")]
    children = [context.Process(target=train_in_child, args=(*job, 120.0)) for job in jobs]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        assert child.exitcode == 0
    assert contents(tmp_path / "a") == expected
    assert contents(tmp_path / "b") != expected


def test_another_number_of_threads_gives_nearly_the_same(tmp_path: Path) -> None:
    """Sums are split differently: other last bits, which training carries on. The tolerance is the one in the book."""
    config = tiny(layers="rrnr", width=8, epochs=2)
    for count in (1, 2):
        with threads(count):
            assert became(train(config, tmp_path / str(count), QUIET)) == "finished"
    one, two = (runs.Run.read(tmp_path / str(count)) for count in (1, 2))
    np.testing.assert_allclose(two.test("mse"), one.test("mse"), rtol=1e-2)
    np.testing.assert_allclose(two.test("psnr"), one.test("psnr"), atol=0.05)
    np.testing.assert_allclose(two.metrics.visual_loss, one.metrics.visual_loss, rtol=1e-2)
    other = tiny(layers="rrnr", width=8, epochs=2, seed=1)
    assert became(train(other, tmp_path / "other", QUIET)) == "finished"
    difference = runs.Run.read(tmp_path / "other").test("mse") / one.test("mse") - 1
    assert np.abs(difference).max() > 1e-2  # another seed does make a difference
