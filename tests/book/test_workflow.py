"""The workflow: everything from nothing, nothing twice, and only what an edit concerns."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import nbformat
import pytest
from support.checkout import BIN, ROOT, Checkout, run
from support.runs import RESULTS, became

from agm import files
from agm.code_version import code_hash
from agm.errors import AgmError
from agm.training.loop import train
from agm.training.step import Execution
from study import experiments, profiles
from workflow import jobs, run_notebook

NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb") if path.stem != "playground")
TRAINED = sorted(set(NOTEBOOKS) & set(experiments.EXPERIMENTS))
JOBS = jobs.training_jobs(profiles.load("smoke"), set())


@contextmanager
def edited(path: Path, old: str, new: str) -> Iterator[None]:
    """The file with one text in place of another, for a while."""
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new, 1))
    try:
        yield
    finally:
        path.write_text(before)


def notebook_rules(*names: str) -> set[str]:
    """The rules that execute these notebooks, for this machine's runs and for recorded ones."""
    shown = {f"notebook_{profile}_{name}" for profile in jobs.SHOWN for name in names if name in jobs.SHOWN[profile]}
    return {f"notebook_{name}" for name in names} | shown


def test_the_whole_book_is_made_from_nothing(checkout: Checkout) -> None:
    assert checkout.first.returncode == 0, checkout.first.stdout
    assert (checkout.html / "index.html").is_file()
    executed = sorted(path.stem for path in (checkout.root / "book" / "notebooks").glob("*.ipynb"))
    assert executed == NOTEBOOKS
    for profile, names in jobs.SHOWN.items():
        shown = checkout.root / "book" / "notebooks" / profile
        assert {path.stem for path in shown.glob("*.ipynb")} == set(names)
    runs = {path.parent.name for path in (checkout.root / "build" / "runs").glob("*/summary.json")}
    assert runs == {run.id for run in chain(*JOBS)}


def test_its_runs_are_the_librarys_byte_for_byte(checkout: Checkout, tmp_path: Path) -> None:
    """One of a job that ran beside others."""
    config = JOBS[1][0]
    assert became(train(config, tmp_path, Execution(device="cpu"))) == "finished"
    for name in RESULTS:
        assert (checkout.root / "build" / "runs" / config.id / name).read_bytes() == (tmp_path / name).read_bytes()


def test_progress_can_be_seen(checkout: Checkout) -> None:
    seen = checkout.first.stdout
    for text in (
        "training 12 of 48 runs",
        "steps (",
        "finished: nnnr on",
        "executing notebooks/fig4.ipynb",
        "building",
    ):
        assert text in seen


def test_every_notebook_bears_the_profile(checkout: Checkout) -> None:
    for name in NOTEBOOKS:
        notebook = json.loads((checkout.root / "book" / "notebooks" / f"{name}.ipynb").read_text())
        assert notebook["metadata"]["papermill"]["parameters"]["profile"] == "smoke"


def test_a_second_time_nothing_is_done(checkout: Checkout) -> None:
    started = time.monotonic()
    done = checkout.snakemake()
    assert "Nothing to be done" in done.stdout
    assert time.monotonic() - started < 30


def test_editing_a_notebook_executes_that_one_alone(checkout: Checkout) -> None:
    folder = checkout.root / "book" / "notebooks"
    before = {path.stem: path.stat().st_mtime_ns for path in folder.glob("*.ipynb")}
    with edited(checkout.root / "notebooks" / "fig2.ipynb", "# Fig. 2", "# The edited Fig. 2"):
        done = checkout.snakemake()
        assert done.returncode == 0, done.stdout
        after = {path.stem: path.stat().st_mtime_ns for path in folder.glob("*.ipynb")}
        assert {name for name in after if after[name] != before[name]} == {"fig2", "colophon"}
        assert "The edited Fig. 2" in (checkout.html / "notebooks" / "fig2.html").read_text()
    assert checkout.planned() == notebook_rules("fig2", "colophon") | {"book"}


def test_editing_a_plot_executes_those_that_draw_it(checkout: Checkout) -> None:
    with edited(checkout.root / "study" / "figures" / "curves.py", '"""', '"""Edited: '):
        planned = checkout.planned()
    assert planned >= notebook_rules("fig4", "fig5", "fig6", "fig7", "statistics", "colophon") | {"book"}
    assert planned.isdisjoint(notebook_rules("fig1", "fig3", "table1", "fig8", "fig9", "assumptions"))
    assert not [rule for rule in planned if rule.startswith("train_")]


def test_editing_the_model_trains_again(checkout: Checkout) -> None:
    trained = {f"train_{number}" for number in range(1, len(JOBS) + 1)}
    layers = checkout.root / "agm" / "networks" / "layers" / "plain.py"
    with edited(layers, '"""', '"""Edited: '):  # newer, and the same
        assert trained.isdisjoint(checkout.planned())
    with edited(layers, "\ndef ", "\nANEW = 1\n\n\ndef "):
        assert checkout.planned() >= trained | notebook_rules(*TRAINED) | {"book"}


def test_editing_a_page_builds_the_book_alone(checkout: Checkout) -> None:
    with edited(checkout.root / "book" / "intro.md", "# ", "# Edited: "):
        assert checkout.planned() - notebook_rules("fig2", "colophon") == {"book"}


@pytest.mark.parametrize("profile", ["smok", "Quick"])
def test_a_misspelt_profile_is_refused_by_name(checkout: Checkout, profile: str) -> None:
    done = checkout.snakemake("--dry-run", profile=profile)
    assert done.returncode != 0
    assert f"unknown profile {profile!r}" in done.stdout
    assert "quick, reduced, smoke" in done.stdout


def test_data_that_are_missing_are_asked_for_at_once(checkout: Checkout) -> None:
    done = checkout.snakemake("--dry-run", profile="paper")
    assert done.returncode != 0
    assert "is not prepared" in done.stdout
    assert "see data/" in done.stdout


def test_a_misspelt_setting_is_refused_by_name(checkout: Checkout) -> None:
    command = [BIN / "snakemake", "--workflow-profile", "workflow/profiles/local", "--dry-run"]
    done = run(checkout.root, *command, "--config", "profil=quick")
    assert done.returncode != 0
    assert "unknown --config key 'profil'; did you mean 'profile'?" in done.stdout


def test_runs_by_other_code_or_of_other_images_are_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = JOBS[0][0].replace(dataset="cars")
    folder = Path(f"build/runs/{config.id}")
    files.write_text(Path("data/cars/card.yml"), "fingerprint: abc\n")

    def is_stale() -> bool:
        return bool(jobs.stale([[config]], ["data/cars/manifest.csv"]))

    assert not is_stale()
    for code, images, expected in ((code_hash(), "abc", False), ("older", "abc", True), (code_hash(), "def", True)):
        progress = {"codes": [code], "images": images}
        files.write_tensors(folder / "checkpoint.safetensors", {}, {"progress": progress})
        assert is_stale() == expected
        files.write_json(folder / "summary.json", {"machine": {"code": code}, "data": {"fingerprint": images}})
        (folder / "checkpoint.safetensors").write_bytes(b"of no interest")
        os.utime(folder / "summary.json", (0, 0))
        assert is_stale() == expected
        (folder / "summary.json").unlink()
    assert not is_stale()  # `agm train` says that it is damaged


def made_up(path: Path, code: str) -> Path:
    cells = [
        nbformat.v4.new_code_cell("profile = 'quick'\nepochs = None", metadata={"tags": ["parameters"]}, id="a"),
        nbformat.v4.new_code_cell(code, id="b"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def test_a_notebook_that_fails_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made_up(tmp_path / "a.ipynb", "1 / 0")
    with pytest.raises(AgmError, match=r"a\.ipynb: failed; out\.ipynb shows where"):
        run_notebook.execute(Path("a.ipynb"), Path("out.ipynb"), {"profile": "smoke"}, 300)
    with pytest.raises(AgmError, match=r"out\.ipynb: did not run to its end"):
        run_notebook.check(Path("out.ipynb"))
    with pytest.raises(AgmError, match=r"a\.ipynb: is no notebook that papermill executed"):
        run_notebook.check(Path("a.ipynb"))


def test_a_notebook_that_hangs_is_ended_with_its_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    alive = tmp_path / "alive"
    code = f"import pathlib, time\nwhile True:\n    pathlib.Path({str(alive)!r}).touch()\n    time.sleep(0.1)"
    made_up(tmp_path / "a.ipynb", code)
    with pytest.raises(AgmError, match=r"a\.ipynb: ended after"):
        run_notebook.execute(Path("a.ipynb"), Path("out.ipynb"), {}, 20)
    assert alive.exists(), "the notebook never started"
    time.sleep(5)
    assert time.time() - alive.stat().st_mtime > 2, "the kernel is still at it"


@pytest.mark.parametrize("name", profiles.names())
def test_jobs_hold_every_run_once(name: str) -> None:
    profile = profiles.load(name)
    cut = jobs.training_jobs(profile, set())
    assert list(chain(*cut)) == experiments.plan_all(experiments.EXPERIMENTS, profile)
    assert max(map(len, cut)) <= profile.runs_per_job


def test_a_thousand_runs_are_cut_into_jobs() -> None:
    """16 configurations on three sets of data with 20 seeds, and those under AEL and with less data."""
    smoke = profiles.load("smoke")
    wide = dataclasses.replace(smoke, seeds=dict.fromkeys(profiles.ROLES, tuple(range(20))), layers={}, runs_per_job=1)
    cut = jobs.training_jobs(wide, set())
    assert len({run.id for run in chain(*cut)}) == len(cut) == 20 * (16 * 3 + 4 + 2 * 4)
    assert len(jobs.minutes(cut, 240)) == len(cut)


def test_recorded_runs_are_not_trained_again() -> None:
    recorded = {run.id for run in JOBS[0]}
    assert recorded.isdisjoint(run.id for run in chain(*jobs.training_jobs(profiles.load("smoke"), recorded)))


def test_time_limits_follow_the_costs() -> None:
    run = profiles.load("paper").run("cars")
    cut = [[run], [run, run], [run.replace(fraction=0.25)], [run.replace(fraction=0.01)]]
    assert jobs.minutes(cut, 240) == [120, 240, 30, jobs.SHORTEST_MINUTES]
    assert jobs.minutes(cut, 5) == [5] * 4
    assert jobs.minutes(cut, 0) == [0] * 4
    assert jobs.minutes([], 240) == []


def test_the_modules_of_a_notebook_are_those_it_imports_and_theirs(tmp_path: Path) -> None:
    code = "%matplotlib inline\nimport numpy\nfrom study.figures import curves"
    found = {path.relative_to(ROOT).as_posix() for path in jobs.modules_of(made_up(tmp_path / "a.ipynb", code))}
    assert {"agm/__init__.py", "agm/runs.py", "study/figures/__init__.py", "study/figures/curves.py"} <= found
    assert not {"study/cli/__init__.py", "study/figures/tradeoff.py", "study/figures/fig1.py"} & found
