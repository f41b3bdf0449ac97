"""Reading runs, finding them, loading their weights, making those that are missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from PIL import Image
from support.images import made_up
from support.runs import became, seal_anew, tiny

import agm
from agm import Generator, data, files, runs
from agm.errors import AgmError
from agm.runs import Run, all_runs, ensure, find, table
from agm.training import loop as training
from agm.training.loop import save_weights, train
from agm.training.step import Execution

QUIET = Execution(device="cpu")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs."""
    root = tmp_path_factory.mktemp("runs")
    for config in (tiny(), tiny(layers="nnnr", epochs=2)):
        assert became(train(config, root / config.id, QUIET)) == "finished"
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "runs"))


@pytest.fixture
def run(root: Path) -> Run:
    found = find(tiny(layers="nnnr", epochs=2), root)
    assert found is not None
    return found


def test_find(root: Path, run: Run) -> None:
    assert run.config == tiny(layers="nnnr", epochs=2)
    assert run.folder == root / run.config.id
    assert find(tiny(seed=9), root) is None


def test_runs_of_other_images_of_the_same_name_are_not_shown_together(root: Path) -> None:
    one, other = all_runs(root)
    runs.made_on_the_same_images([one, other])
    other.summary["data"]["fingerprint"] = "another"
    with pytest.raises(AgmError, match="were made on different images of one name, 'photographs': move the runs away"):
        runs.made_on_the_same_images([one, other])


def test_runs_are_looked_for_among_those_made_here_and_those_recorded(home: Path, root: Path) -> None:
    assert find(tiny()) is None
    shutil.copytree(root / tiny().id, home / "results" / "somewhere" / tiny().id)
    recorded = find(tiny())
    assert recorded is not None
    assert recorded.recorded
    assert find(tiny(), home / "build" / "runs") is None
    shutil.copytree(root / tiny().id, home / "build" / "runs" / tiny().id)
    own = find(tiny())
    assert own is not None
    assert not own.recorded
    assert [one.folder for one in all_runs()] == [own.folder, recorded.folder]


def test_curves_are_averages_over_iterations(run: Run) -> None:
    rows = [line.split(",") for line in (run.folder / "metrics.csv").read_text().splitlines()]
    header, body = rows[0], rows[1:]
    for metric in ("mse", "psnr"):
        for statistics in ("shared", "batch"):
            at = header.index(metric)
            own = [r for r in body if r[header.index("statistics")] == statistics]
            expected = [np.mean([float(r[at]) for r in own if r[0] == epoch]) for epoch in ("1", "2")]
            curve = run.curve(metric, statistics)  # type: ignore[arg-type]
            assert curve.index.to_list() == [1, 2]
            np.testing.assert_allclose(curve, expected)
    assert run.curve().equals(run.curve("mse", "shared"))


def test_test_metrics_and_baseline(run: Run) -> None:
    summary = json.loads((run.folder / "summary.json").read_text())
    assert run.test().tolist() == summary["test"]["shared"]["mse"]
    assert run.test("ssim", "batch").tolist() == summary["test"]["batch"]["ssim"]
    assert run.bicubic() == summary["bicubic"]["test"]["mse"]
    assert run.bicubic("psnr", "validation") == summary["bicubic"]["validation"]["psnr"]


def test_numbers_that_are_none_are_not_a_number(run: Run) -> None:
    run.summary["test"]["shared"]["mse"][1] = None
    assert np.isnan(run.test()).tolist() == [False, True]


def test_an_epoch_with_a_number_that_is_not_finite_has_none_in_the_curve(run: Run) -> None:
    lines = (run.folder / "metrics.csv").read_text().splitlines()
    for line, value in ((1, "inf"), (9, "")):
        cells = lines[line].split(",")
        cells[3] = value
        broken = [*lines[:line], ",".join(cells), *lines[line + 1 :]]
        (run.folder / "metrics.csv").write_text("\n".join(broken))
        seal_anew(run.folder)
        curve = Run.read(run.folder).curve()
        assert curve.isna().to_list() == [line == 1, line == 9]


def test_metrics_are_what_pandas_reads(run: Run) -> None:
    """Empty cells, infinite numbers and columns of others included."""
    path = run.folder / "metrics.csv"
    table = pd.read_csv(path)
    table.loc[3, ["psnr", "ssim", "critic_loss"]] = [np.nan, np.inf, np.nan]
    table.insert(4, "note", "a note")
    path.write_text(table.to_csv(index=False))
    seal_anew(run.folder)
    read = Run.read(run.folder).metrics
    assert list(read) == list(table.columns.drop("note"))
    for name in read:
        np.testing.assert_array_equal(read[name], table[name].to_numpy())


@pytest.mark.parametrize("name", ["config.json", "summary.json"])
@pytest.mark.parametrize("content", [None, "", "[]", "{}", "3", '{"id": "another"}', '{"generator": {"layers": "rr"}}'])
def test_files_that_do_not_belong_together_are_refused(run: Run, name: str, content: str | None) -> None:
    if content is None:
        (run.folder / name).unlink()
    else:
        (run.folder / name).write_text(content)
    with pytest.raises(AgmError):
        Run.read(run.folder)


WORDS = b"epoch,statistics,iteration,mse,psnr,ssim\n1,shared,1,many,2,3\n"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'"never closed', b"a,b\n1\n1,2,3\n", b"a\n1\n", WORDS])
def test_a_damaged_table_is_refused_by_name(run: Run, content: bytes) -> None:
    (run.folder / "metrics.csv").write_bytes(content)
    with pytest.raises(AgmError, match=r"metrics\.csv"):
        _ = Run.read(run.folder).metrics


def test_a_file_of_another_run_is_refused_by_name(root: Path, run: Run) -> None:
    """Each is whole in itself, and would be read; older runs, whose summaries have no checksums, are."""
    reads: dict[str, Callable[[Run], object]] = {
        "metrics.csv": lambda run: run.metrics,
        "generator.safetensors": Run.generator,
    }
    for name, read in reads.items():
        own = (run.folder / name).read_bytes()
        shutil.copy(root / tiny().id / name, run.folder / name)
        with pytest.raises(AgmError, match=rf"{name}: damaged or another run.s, its checksum .*; restore it"):
            read(Run.read(run.folder))
        (run.folder / name).write_bytes(own)
    summary = {key: value for key, value in run.summary.items() if key not in ("files", "sha256")}
    files.write_json(run.folder / "summary.json", summary)
    shutil.copy(root / tiny().id / "metrics.csv", run.folder / "metrics.csv")
    assert Run.read(run.folder).metrics.epoch.max() == 1


def test_a_summary_with_another_number_is_refused(run: Run) -> None:
    for change in ({"epochs": 3}, {"sha256": "0"}, {"files": {}}):
        files.write_json(run.folder / "summary.json", run.summary | change)
        with pytest.raises(
            AgmError, match=r"summary\.json: damaged, its checksum does not match; restore it, or delete"
        ):
            Run.read(run.folder)


def test_table(root: Path) -> None:
    rows = table(all_runs(root), [tiny(seed=5)])
    assert rows.id.to_list() == [*sorted([tiny().id, tiny(layers="nnnr", epochs=2).id]), tiny(seed=5).id]
    assert rows.status.to_list() == ["finished", "finished", "missing"]
    for row in rows[:2].itertuples():
        summary = json.loads((root / str(row.id) / "summary.json").read_text())
        assert row.mse == pytest.approx(np.mean(summary["test"]["shared"]["mse"]))
        assert row.bicubic_mse == summary["bicubic"]["test"]["mse"]
    assert rows[2:].mse.isna().all()
    assert len(table([])) == 0


def test_load_gives_the_trained_network(run: Run) -> None:
    generator = agm.load(run.folder / "generator.safetensors")
    assert isinstance(generator, Generator)
    assert generator.config == run.config.generator
    assert not generator.training
    tensors, _ = files.read_tensors(run.folder / "generator.safetensors")
    single = {name: tensor.float() for name, tensor in tensors.items()}
    torch.testing.assert_close(dict(generator.state_dict()), single, rtol=0, atol=0)
    torch.testing.assert_close(dict(run.generator().state_dict()), single, rtol=0, atol=0)


def test_weights_in_full_precision_are_loaded_as_they_are(run: Run) -> None:
    """As older runs and the recorded default network keep them."""
    path = run.folder / "generator.safetensors"
    tensors, meta = files.read_tensors(path)
    full = {name: tensor.float() + 1e-6 for name, tensor in tensors.items()}
    files.write_tensors(path, full, meta)
    torch.testing.assert_close(dict(agm.load(path).state_dict()), full, rtol=0, atol=0)


def test_load_refuses_what_is_no_generator(run: Run, tmp_path: Path) -> None:
    foreign, text, checkpoint = (tmp_path / name for name in ("foreign.safetensors", "a.txt", "c.safetensors"))
    safetensors.torch.save_file({"x": torch.ones(1)}, foreign)
    text.write_text("no weights")
    files.write_tensors(checkpoint, {"losses": torch.zeros(2)}, {"kind": "checkpoint", "id": run.config.id})
    huge, wrong = tmp_path / "huge.safetensors", tmp_path / "wrong.safetensors"
    for path, width in ((huge, 10**6), (wrong, "x")):  # 10**6 would need terabytes
        files.write_tensors(path, {}, {"kind": "generator", "config": {"generator": {"width": width}}})
    cases = {
        foreign: "not one that agm wrote",
        text: "not a safetensors file",
        checkpoint: "holds a checkpoint, not a generator's weights",
        run.folder / "test.safetensors": "holds a foreign file, not a generator's weights",
        run.folder / "summary.json": "not a safetensors file",
        run.folder: "not a safetensors file",
        huge: "do not fit the configuration inside",
        wrong: "width='x': expected int",
        tmp_path / "nothing": "missing",
    }
    for path, message in cases.items():
        with pytest.raises(AgmError) as refused:
            agm.load(path)
        assert str(refused.value).startswith(f"{path}: ")
        assert message in str(refused.value)


def test_load_refuses_weights_that_do_not_fit(run: Run, tmp_path: Path) -> None:
    generator = agm.load(run.folder / "generator.safetensors")
    save_weights(tmp_path / "w.safetensors", generator, run.config.replace(width=3))
    with pytest.raises(AgmError, match=r"w\.safetensors: the weights do not fit the configuration inside") as refused:
        agm.load(tmp_path / "w.safetensors")
    assert "\n" not in str(refused.value)


def test_ensure_makes_what_is_missing_and_only_that(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    original_train = training.train

    def counted(config: Any, *arguments: Any) -> Run | None:
        made.append(config)
        return original_train(config, *arguments)

    monkeypatch.setattr(training, "train", counted)
    wanted = [tiny(seed=4), tiny(), tiny(layers="nnnr", epochs=2)]
    assert [one.config for one in ensure(wanted, root, QUIET)] == wanted
    assert made == [tiny(seed=4)]
    ensure(wanted, root, QUIET)
    assert made == [tiny(seed=4)]


def test_ensure_says_when_a_run_was_interrupted(root: Path) -> None:
    with pytest.raises(AgmError, match=f"run {tiny(seed=5).id} was interrupted; run the same command again"):
        ensure([tiny(seed=5)], root, Execution(device="cpu", time_budget=0.0))
    assert runs.find(tiny(seed=5), root) is None


def test_a_run_is_told_by_its_images(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However its folder is named, and what it holds later is not what the run was made on."""
    for number, place in enumerate("ab"):
        (home / place / "photos").mkdir(parents=True)
        for i, pixels in enumerate(made_up(12, 64, seed=number)):
            Image.fromarray(pixels).save(home / place / "photos" / f"{i}.png")
    monkeypatch.chdir(home / "a")
    whole = str(home / "a" / "photos")
    (home / "link").symlink_to(home / "a" / "photos")
    names = ("photos", "./photos", "photos/", "../a/photos", whole, "../link")
    assert {tiny(dataset=name).id for name in names} == {tiny(dataset=whole).id}
    config = tiny(dataset="photos")
    monkeypatch.chdir(home / "b")
    assert tiny(dataset="photos") != config
    assert tiny(dataset="photographs") == tiny(dataset="photographs")
    folder = home / "build" / "runs" / config.id
    assert became(train(config, folder, QUIET)) == became(train(config, folder, QUIET)) == "finished"
    assert ensure([config])[0].folder == folder
    (home / "a" / "photos").rename(home / "old")
    (home / "b" / "photos").rename(home / "a" / "photos")
    data.load.cache_clear()
    for call in (lambda: ensure([config]), lambda: train(config, folder, QUIET)):
        with pytest.raises(AgmError, match="was made on other images of this name"):
            call()
    shutil.rmtree(home / "a" / "photos")
    data.load.cache_clear()
    assert ensure([config])[0].folder == folder  # no images, nothing to compare
