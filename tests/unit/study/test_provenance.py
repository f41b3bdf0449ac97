"""What figures were made with: every fact from made-up summaries, stale results, commands."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from support.made_up import make

from agm import files
from agm.code_version import code_hash, timed
from agm.errors import AgmError
from agm.runs import Run
from study import experiments, profiles, provenance
from study.figures import colophon

SMOKE, CPU = profiles.load("smoke"), profiles.load("cpu")


def machine(code: str = "", **changes: Any) -> dict[str, Any]:
    versions = {"torch": "2.9", "numpy": "2.0"}
    known = {"device": "a <fast> machine", "threads": 1, "python": "3.11.7", "versions": versions, "commit": "abc"}
    return known | {"code": code or code_hash()} | changes


def runs_of(folder: Path, profile: profiles.Profile, count: int = 2, **changes: Any) -> list[Run]:
    return make(folder, experiments.plan("table1", profile)[:count], **changes)


def test_every_fact_is_taken_from_the_summaries(home: Path) -> None:
    runs = runs_of(home / "build" / "runs", SMOKE, machine=machine())
    found = provenance.of_runs("table1", runs, SMOKE, {"epochs": 2})
    facts = found.facts
    assert facts["profile"] == "smoke; made on this machine"
    assert facts["runs, by the hash of their configuration"] == f"{runs[0].config.id}, {runs[1].config.id}"
    assert facts["data"] == "photographs (crops): 16 train, 8 validation, 8 test images, sha256 0"
    assert facts["seeds"] == "0"
    assert facts["device"] == "a <fast> machine, 1 thread"
    assert (facts["code"], facts["commit"]) == (code_hash(), "abc")
    assert facts["packages"] == "python 3.11.7, torch 2.9, numpy 2.0"
    assert facts["run time"] == "2.0 minutes of training"  # 60 seconds each
    assert found.stale == ""
    shown = found._repr_html_()
    assert "a &lt;fast&gt; machine" in shown
    assert "since then" not in shown


def test_results_of_other_code_say_so_in_one_sentence(home: Path) -> None:
    runs = runs_of(home / "results" / "cpu", CPU, machine=machine("0123456789ab"))
    found = provenance.of_runs("fig4", runs, CPU, {})
    assert found.facts["profile"] == "cpu; recorded in results"
    assert found.stale == "The code of 2 of 2 runs has changed; agm status says how."
    assert f"<dt>since then</dt><dd>{found.stale}</dd>" in found._repr_html_()
    noted = [{"changed": "", "codes": {"0123456789ab": ""}}, {"changed": "sums in pairs", "codes": {code_hash(): ""}}]
    files.write_json(home / "results" / "code.json", {"paper": noted})
    assert provenance.stale(runs) == found.stale
    files.write_json(home / "results" / "code.json", {"paper": [{"codes": noted[0]["codes"] | noted[1]["codes"]}]})
    assert provenance.stale(runs) == ""


def test_runs_of_several_profiles_and_codes(home: Path) -> None:
    runs = runs_of(home / "results" / "cpu", CPU, 1, machine=machine("0123456789ab", threads=2, commit=""))
    runs += runs_of(home / "build" / "runs", SMOKE, machine=machine())
    found = provenance.of_runs("order", runs, CPU, {})
    assert found.facts["profile"] == "cpu; recorded in results, made on this machine"
    assert found.facts["code"] == f"0123456789ab, {code_hash()}"
    assert found.facts["commit"] == "not recorded, abc"
    assert found.facts["device"] == "a <fast> machine, 2 threads; a <fast> machine, 1 thread"
    assert found.stale.startswith("The code of 1 of 3 runs has changed")


def test_the_commands_bear_the_parameters(home: Path) -> None:
    given = {"layers": ["nnnr", "rrrr"], "schedule": "x--x (4) - xxxx (6)", "measure": False}
    first, second = provenance.of_runs("fig8", runs_of(home, SMOKE), SMOKE, given).commands.values()
    assert shlex.split(first) == [
        *("papermill", "notebooks/fig8.ipynb", "out.ipynb", "-p", "profile", "smoke", "-p", "layers", "nnnr,rrrr"),
        *("-p", "schedule", "x--x (4) - xxxx (6)", "-p", "measure", "False"),
    ]
    assert second == f'AGM_HOME="$PWD/fresh" {first}'
    official = provenance.of_runs("fig8", runs_of(home, CPU), CPU, given).commands
    assert "fresh/data && AGM_HOME" in list(official.values())[1]


def test_measurements(home: Path) -> None:
    settings = {"layers": ["nnnr", "rrrr"], "size": 32, "schedule": None}
    found = {"inference": {"settings": settings, "machine": machine("0123456789ab")}}
    shown = provenance.of_measurements("anytime", found, {"own": True})
    assert list(shown.commands.values()) == [
        "papermill notebooks/anytime.ipynb out.ipynb -p own True",
        "python -m benchmarks.inference --layers nnnr rrrr --size 32 --out build/benchmarks/inference.json",
    ]
    assert shown.facts["run time"] == "not recorded"
    assert shown.stale == "The code has changed; agm status says where."
    now = timed("benchmarks.inference")
    assert next(iter(now)) == "benchmarks.inference"
    changed = machine(modules=now | {"agm.networks.layers": "0"})
    found = {"inference": found["inference"] | {"machine": changed, "seconds": 90}}
    shown = provenance.of_measurements("anytime", found, {})
    assert shown.stale
    found["inference"]["machine"] = machine(modules=now)
    shown = provenance.of_measurements("anytime", found, {})
    assert (shown.facts["run time"], shown.stale) == ("1.5 minutes of measuring", "")


def test_what_is_drawn_from_the_code_is_never_stale() -> None:
    found = provenance.of_code("fig1", {"profile": "quick"})
    assert found.facts["code"] == code_hash()
    assert (found.stale, len(found.commands)) == ("", 1)
    assert "made from</dt><dd>the code itself" in found._repr_html_()


def test_every_run_has_a_row(home: Path) -> None:
    runs = runs_of(home / "build" / "runs", SMOKE, 1, machine=machine())
    runs += runs_of(home / "results" / "cpu", CPU, 1, machine=machine("0123456789ab"))
    runs += make(home / "build" / "runs", [SMOKE.run("cars", fraction=0.5, schedule="A", seed=3)])
    rows = colophon.table(runs).set_index("run").loc[[run.config.id for run in runs]].to_dict("records")
    assert [row["in"] for row in rows] == ["build/runs", "results/cpu", "build/runs"]
    assert [row["stale"] for row in rows] == ["no", "yes", "yes"]
    assert rows[1]["configuration"] == "nnnr, width 16, 32 px, cars, NOAEL, 8 epochs"
    assert "photographs (0.5 of the training images), A, 2 epochs" in rows[2]["configuration"]
    assert (rows[2]["seed"], rows[2]["seconds"], rows[2]["commit"]) == (3, 60.0, "not recorded")


def test_the_packages_are_those_installed() -> None:
    import numpy

    listed = colophon.packages().set_index("package").version
    assert listed["numpy"] == numpy.__version__


def test_a_recorded_experiment_is_recorded_anew(home: Path) -> None:
    command = provenance.recording("choices", "cpu")
    runs = runs_of(home / "results" / "cpu", CPU, 1, machine=machine("0123456789ab"))
    found = provenance.of_runs("choices", runs, CPU, {"recorded": "cpu"}, command)
    assert list(found.commands.values())[1] == command
    assert "record.py --profile cpu --experiment choices" in found._repr_html_()


def test_every_executed_notebook_has_a_row(tmp_path: Path) -> None:
    noted = {"duration": 1.5, "parameters": {"profile": "smoke", "seeds": [0, 1]}}
    for path, metadata in (("b", {"papermill": noted}), ("cpu/a", {"papermill": noted}), ("never", {})):
        files.write_json(tmp_path / f"{path}.ipynb", {"metadata": metadata})
    rows = colophon.notebooks(str(tmp_path)).to_dict("records")
    assert [row["notebook"] for row in rows] == ["b", "cpu/a"]
    assert (rows[0]["duration"], rows[0]["parameters"]) == (1.5, "profile smoke, seeds 0,1")
    (tmp_path / "empty").mkdir()
    assert colophon.notebooks(str(tmp_path / "empty")).empty
    with pytest.raises(AgmError, match="no folder"):
        colophon.notebooks(str(tmp_path / "nowhere"))
