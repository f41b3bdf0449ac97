"""`agm claims` and `agm compare` on folders of runs, and what they say when something is wrong with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.made_up import Level, by_recurrent, make
from support.runs import tiny

from agm import files
from agm.config import RunConfig
from agm.errors import AgmError
from agm.runs import Run, all_runs
from agm.training.loop import train
from agm.training.step import Execution
from study import profiles
from study.claims.compare import agree, compare
from study.claims.verdicts import VERDICTS
from study.experiments import plan

SMOKE = profiles.load("smoke")
AGM = Callable[..., Any]


REAL = {"fingerprint": "0", "stand_in": "", "images": {"train": 16, "validation": 8, "test": 8}}
"""As if the images were the paper's own."""


def folder(
    root: Path, level: Level = by_recurrent, experiment: str = "order", seeds: Sequence[int] = (0,), **changes: Any
) -> Path:
    """Made-up runs with values of 20 test images; they err alike on the same image, but for a little."""
    for run in make(root, plan(experiment, SMOKE, seeds=list(seeds)), level, **changes):
        own = np.random.default_rng(int(run.config.id, 16)).normal(1, 0.01, size=20)
        images = np.outer(run.test(), own * np.linspace(0.5, 1.5, 20))
        files.write_tensors(run.folder / "test.safetensors", {"mse": torch.tensor(images)}, {"id": run.config.id})
    return root


def deeper_is_better(config: RunConfig) -> float:
    return 0.05 / (1 + config.generator.layers.count("r"))


def test_run_by_run(home: Path) -> None:
    a = folder(home / "a", lambda config: 0.9 * by_recurrent(config), seconds=30.0)
    b = folder(home / "b")
    found = compare(a, b)
    assert found.profile == "smoke"
    assert (len(found.runs), found.only_a, found.only_b) == (12, 0, 0)
    assert found.runs["MSE A/B"].tolist() == pytest.approx([0.9] * 12)
    assert set(found.runs["95 %"]) == {"[0.900, 0.900]"}  # the same images err alike
    assert found.runs["MSE B"].tolist() == [pytest.approx(run.test().mean()) for run in all_runs(b)]
    for name, value in (("PSNR", 24.5), ("first/ms", 10), ("all/ms", 100)):
        assert found.runs[[f"{name} A", f"{name} B"]].stack().tolist() == pytest.approx([value] * 24)
    assert set(zip(found.runs["training/s A"], found.runs["training/s B"], strict=True)) == {(30, 60)}


def test_claim_by_claim(agm_command: AGM, home: Path) -> None:
    fields: dict[str, Any] = {"experiment": "table1", "seeds": range(3), "data": REAL}
    a, b = folder(home / "a", **fields), folder(home / "b", deeper_is_better, **fields)
    by_key = {first.claim.key: (first, second) for first, second in compare(a, b).findings}
    best = by_key["table-nnnr-best"]
    assert ([each.verdict for each in best], agree(*best)) == (["supported", "contradicted"], False)
    assert agree(*by_key["parameters-nnnr"]) is True
    (a / best[0].runs[0] / "summary.json").unlink()  # now B alone can tell
    done = agm_command("compare", a, b)
    assert done.code == 0
    assert "nnnr, width 2, 16 px, photographs, NOAEL, 2 epochs, seed 2" in done.out
    assert ["table-nnnr-best", "untested", "contradicted", "open"] in [line.split() for line in done.out.splitlines()]
    assert "11 runs in both, 0 only in A, 1 only in B" in done.err


def test_what_cannot_be_paired_says_why(home: Path) -> None:
    b = folder(home / "b", experiment="table1")
    data = {"fingerprint": "1", "stand_in": "", "images": {}}
    for a, note in (
        (folder(home / "other", experiment="table1", data=data), "other images: the data sets differ"),
        (folder(home / "diverged", experiment="table1", status="diverged"), "diverged"),
    ):
        assert set(compare(a, b).runs["95 %"]) == {note}
    shutil.copytree(b, home / "bare")
    for path in (home / "bare").glob("*/test.safetensors"):
        path.unlink()
    assert set(compare(home / "bare", b).runs["95 %"]) == {"no values of single images"}


def test_real_runs_agree_with_themselves(home: Path) -> None:
    config = tiny()
    train(config, home / "a" / config.id, Execution(device="cpu"))
    shutil.copytree(home / "a", home / "b")
    (row,) = compare(home / "a", home / "b").runs.to_dict("records")
    assert (row["MSE A/B"], row["95 %"]) == (1, "[1.000, 1.000]")
    kept = Run.read(home / "a" / config.id)
    assert kept.test_images["shared"].mean(axis=1) == pytest.approx(kept.test(), rel=1e-5)


def test_mistakes_become_one_line(agm_command: AGM, home: Path) -> None:
    good = folder(home / "good", experiment="table1")
    (home / "empty").mkdir()
    other = make(home / "other", [SMOKE.run("cars", width=3)])[0].folder.parent
    cases = {
        home / "none": "there is no such folder",
        home / "empty": "no finished runs in it",
        other: "have no run in common",
    }
    for path, message in cases.items():
        for given in ((path, good), (good, path)):
            done = agm_command("compare", *given)
            assert (done.code, done.out) == (1, "")
            assert message in done.err
            assert done.err.count("\n") == 1
    done = agm_command("compare", good, good, "--profile", "smok")
    assert (done.code, "did you mean 'smoke'" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.json", "{"),
        ("summary.json", None),
        ("config.json", "[]"),
        ("test.safetensors", "no tensors"),
        ("metrics.csv", '"'),
    ],
)
def test_a_damaged_run_is_named(agm_command: AGM, home: Path, name: str, content: str | None) -> None:
    good, bad = folder(home / "good", experiment="table1"), folder(home / "bad", experiment="table1")
    path = sorted(bad.glob(f"*/{name}"))[0]
    if content is None:
        content = json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "test"})
    path.write_text(content)
    done = agm_command("compare", bad, good)
    assert done.code == 1
    assert path.parent.name in done.err
    assert done.err.count("\n") == 1


def test_another_runs_values_are_refused(home: Path) -> None:
    first, second = sorted(folder(home / "a", experiment="table1").iterdir())[:2]
    shutil.copy(first / "test.safetensors", second / "test.safetensors")
    with pytest.raises(AgmError, match="belongs to another run"):
        compare(home / "a", home / "a")


def test_claims_are_printed_and_dumped(agm_command: AGM, home: Path) -> None:
    folder(home / "build" / "runs", experiment="table1", seeds=range(3), data=REAL)
    done = agm_command("claims", "--profile", "smoke")
    assert done.code == 0
    assert any(
        line.startswith("+ supported    table-nnnr-best") and "3 seeds" in line for line in done.out.splitlines()
    )
    assert "12 runs of profile smoke" in done.err
    whole = json.loads(agm_command("claims", "--profile", "smoke", "--json", "--root", home / "build" / "runs").out)
    assert whole["runs"] == 12
    assert sum(whole[verdict] for verdict in VERDICTS) == len(whole["claims"])
    other = json.loads(agm_command("claims", "--profile", "smoke", "--statistics", "batch", "--json").out)
    assert other["statistics"] == "batch" != whole["statistics"]
    assert agm_command("claims", "--statistics", "sharde").code == 1
    assert json.loads(agm_command("claims", "--profile", "paper", "--json").out)["runs"] == 0
