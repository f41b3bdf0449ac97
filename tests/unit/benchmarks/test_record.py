"""Recording: a profile's runs within a time budget, packed as `results` holds them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from support.runs import tiny

from agm import files, runs
from agm.paths import results_folder, runs_folder
from agm.training.step import Execution
from workflow import record

QUIET = Execution(device="cpu")
PLANNED = [tiny(), tiny(seed=1)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two runs, trained and packed into its results; the weights of the second count as large."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGM_HOME", str(home))
        assert record.train_all(PLANNED, 0.0) == record.UNFINISHED
        assert not list(runs_folder().glob("*/summary.json"))
        assert record.train_all(PLANNED, 600.0) == 0
        for config in PLANNED:
            patch.setattr(record, "SMALL", 10**6 if config.seed == 0 else 10)
            record.pack(config, results_folder() / "smoke", with_weights=config.seed == 1)
            record.pack(config, results_folder() / "other", with_weights=False)
    return home


def test_packed_runs_are_recorded_ones(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGM_HOME", str(recorded))
    for config in PLANNED:
        taken, own = (runs.Run.read(folder / config.id) for folder in (results_folder() / "smoke", runs_folder()))
        assert taken.recorded
        assert taken.has_weights
        assert runs.Run.read(results_folder() / "other" / config.id).has_weights == (config.seed == 0)
        checksums = {"files": taken.summary["files"], "sha256": taken.summary["sha256"]}
        assert taken.summary == own.summary | checksums
        assert set(taken.summary["files"]) == {path.name for path in taken.folder.iterdir()} - {"summary.json"}
        pd.testing.assert_frame_equal(taken.metrics, own.metrics, rtol=1e-6)
    weights = taken.generator().state_dict()
    for name, tensor in own.generator().state_dict().items():
        assert weights[name].numpy() == pytest.approx(tensor.numpy(), rel=0)


def test_a_run_that_diverged_in_its_first_epoch_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGM_HOME", str(tmp_path))
    config = tiny(learning_rate=1e20, train_images=32, adversarial_weight=0.0)
    assert record.train_all([config], 600.0) == 0
    own = runs.Run.read(runs_folder() / config.id)
    assert (own.summary["status"], len(own.metrics)) == ("diverged", 0)
    record.pack(config, results_folder() / "smoke", with_weights=False)
    assert len(runs.Run.read(results_folder() / "smoke" / config.id).metrics) == 0


def test_a_run_that_is_packed_half_is_none(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The summary, by which runs are found, comes last."""
    monkeypatch.setenv("AGM_HOME", str(recorded))
    write, written = files.write_bytes, []

    def killed(path: Path, content: bytes) -> None:
        if len(written) == 4:
            raise KeyboardInterrupt
        write(path, content)
        written.append(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            record.pack(PLANNED[0], tmp_path, with_weights=False)
    assert runs.all_runs(tmp_path) == []
    record.pack(PLANNED[0], tmp_path, with_weights=False)
    assert len(runs.all_runs(tmp_path)) == 1


def test_runs_of_another_process_are_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGM_HOME", str(tmp_path))
    with files.locked(runs_folder() / f".{PLANNED[0].id}.lock", 0):
        assert record.train_all(PLANNED, 600.0) == record.UNFINISHED
    assert [path.parent.name for path in runs_folder().glob("*/summary.json")] == [PLANNED[1].id]
