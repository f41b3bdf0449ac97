"""Recorded measurements, as tables and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.checkout import ROOT
from support.damage import KINDS
from support.fuzz.targets import TARGETS
from support.situations import SITUATIONS

from agm import files
from agm.errors import AgmError
from study import measured
from study.figures import anytime, colophon, style

MACHINE = {"device": "Some processor", "threads": 2, "versions": {"torch": "2.0"}, "code": "abc"}


def row(layers: str, implementation: str, first: float, total: float, base: tuple[float, float]) -> dict[str, Any]:
    ratios = {"first_ratio": base[0] / first, "total_ratio": base[1] / total}
    times = {"first_ms": first, "total_ms": total, "ms": [first, total], "db": 140.0 if first < 8 else 120.0}
    return {"layers": layers, "schedule": "A", "implementation": implementation, **times, **ratios}


INFERENCE: dict[str, Any] = {
    "machine": MACHINE,
    "rows": [
        *(
            row("nnnr", name, 12 / by, 60 / by, (12, 60))
            for name, by in [("straightforward", 1), ("plain", 2), ("engine on torch", 2), ("engine", 3)]
        ),
        *(
            row("rrrr", name, 40 / by, 80 / by, (40, 80))
            for name, by in [("straightforward", 1), ("plain", 1), ("engine on torch", 3), ("engine", 4)]
        ),
    ],
}

CALLS: dict[str, Any] = {
    "machine": MACHINE,
    "settings": {"model": "1234"},
    "idle": {
        "deadline_ms": [6, 7, 60, 400.0],
        "elapsed_ms": [2, 8, 50, 300.0],
        "iteration": [0, 0, 4, 10],
        "longest_ms": [0, 0, 9, 30.0],
        "misses": 0.25,
        "overrun": 0.05,
    },
}
CALLS["busy"] = CALLS["idle"] | {"misses": 0.5}


def test_speed() -> None:
    table = anytime.speed_table(INFERENCE)
    assert table.loc[("rrrr", "A"), "all ten, ms: engine"] == 20
    assert table.loc[("nnnr", "A"), "first picture: ratio"] == 3
    numbers = anytime.speed_numbers(INFERENCE)
    assert numbers["most_total_ratio"] == 4
    assert numbers["least_first_ratio"] == numbers["a_least_first_ratio"] == 3
    assert (numbers["torch_least_first_ratio"], numbers["torch_most_total_ratio"]) == (2, 3)
    assert numbers["least_db"] == 120
    assert measured.stamp(INFERENCE) == "Some processor, 2 threads · torch 2.0 · code abc"


RUNTIMES = {
    "machine": MACHINE,
    "rows": [
        {"model": "rrrr", "runtime": name, "ms": [first, 20.0, last], "psnr": psnr}
        for name, first, last, psnr in [
            ("plain", 10.0, 60.0, None),
            ("other", 5.0, 80.0, 60.0),
            ("engine", 8.0, 20.0, 150.0),
        ]
    ],
}


def test_runtimes() -> None:
    table = anytime.runtimes_table(RUNTIMES).loc["rrrr"]
    assert table["first: ratio"].tolist() == [1, 2, 1.25]
    assert table["all ten: ratio"].tolist() == [1, 0.75, 3]
    verdict = anytime.runtimes_numbers(RUNTIMES)["verdict"]
    assert verdict.endswith("but for other to the first picture of rrrr (1.6 times as fast).")


def test_deadlines() -> None:
    numbers = anytime.deadline_numbers(CALLS)
    assert (numbers["idle_calls"], numbers["idle_misses"], numbers["busy_misses"]) == (4, 25.0, 50.0)
    assert numbers["model"] == "1234"
    table = anytime.deadlines_table(CALLS)["idle"]
    assert table.loc["5 to 10 ms"].tolist() == [1, 2, 0]
    assert table.loc["50 to 100 ms"].tolist() == [0, 1, 4]
    assert table["calls"].sum() == 4


def test_figures() -> None:
    fig = anytime.speed(INFERENCE)
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["nnnr A", "rrrr A"]
    engine = next(line for line in fig.axes[1].lines if line.get_label() == "engine")
    assert list(engine.get_xdata()) == [20, 20]
    late = next(line for line in anytime.deadlines(CALLS).axes[0].lines if line.get_label() == "late")
    assert (list(late.get_xdata()), list(late.get_ydata())) == ([7], [8])
    assert style.render(fig).startswith(b"<?xml")


def test_recorded_or_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGM_HOME", str(tmp_path))
    files.write_json(tmp_path / "build" / "benchmarks" / "inference.json", INFERENCE)
    assert measured.read("inference", own=True) == INFERENCE
    with pytest.raises(AgmError, match="make bench measures it here"):
        measured.read("inference")


def test_time_and_memory_of_large_files() -> None:
    rows = [{"megapixels": size, "iterations": None, "seconds": 9.0 * size, "gigabytes": 0.5} for size in (1, 12)]
    assert anytime.files_table({"rows": rows}).loc[12].to_dict() == {"time, s": 108.0, "memory, GB": 0.5}


def test_faults_are_added_up() -> None:
    kills = {
        "training": {"kills": 3, "in_a_write": 1, "equal": 3, "lost": 0, "left_behind": 0},
        "export": {"kills": 5, "in_a_write": 2, "equal": 4, "lost": 1, "left_behind": 1},
    }
    a = {"tried": 10, "named": 6, "harmless": 2, "unnoticed": 1, "crashed": 1}
    pictures = {"turned": {"tried": 5, "kept": 5}, "transparent": {"tried": 3, "kept": 2}}
    counted = {"kills": kills, "damage": {"a": a, "b": a}, "pictures": pictures}
    numbers = colophon.fault_numbers(counted | {"situations": {"tried": 9, "tested": 8, "right": 7}})
    assert numbers == {
        **{"kills": 8, "in_a_write": 3, "equal": 7, "lost": 2, "training_kills": 3, "export_kills": 5},
        **{"tried": 20, "named": 12, "harmless": 4, "unnoticed": 4, "files": 2},
        **{"pictures": 8, "pictures_kept": 7},
        **{"situations_tried": 9, "situations_tested": 8, "situations_right": 7},
    }


def test_nothing_was_lost_of_what_is_recorded() -> None:
    """At least 50 kills, and every kind of file damaged 200 times."""
    recorded = files.read_json(ROOT / "results" / "faults.json")
    numbers = colophon.fault_numbers(recorded)
    assert numbers["kills"] - numbers["in_a_write"] >= 50
    assert set(recorded["kills"]) == {"training", "recording", "preparation", "export"}
    assert (numbers["equal"], numbers["lost"], numbers["unnoticed"]) == (numbers["kills"], 0, 0)
    assert set(recorded["damage"]) == set(KINDS)
    assert all(row["tried"] >= 200 for row in recorded["damage"].values())
    assert numbers["pictures"] == numbers["pictures_kept"] >= 700
    tested = [tests for tests in SITUATIONS.values() if tests]
    assert numbers["situations_tried"] == len(SITUATIONS)
    assert numbers["situations_tested"] == numbers["situations_right"] == len(tested)
    for path, _, name in (test.partition("::") for tests in tested for test in tests):
        assert f"\ndef {name}(" in (ROOT / "tests" / path).read_text(), name


def test_fuzzing_is_added_up() -> None:
    row = {"taken": 3, "refused": 4, "found": 1}
    numbers = colophon.fuzz_numbers({"targets": {"a": row, "b": row}})
    assert numbers == {"taken": 6, "refused": 8, "found": 2, "tried": 14, "targets": 2}


def test_nothing_was_found_of_what_is_recorded() -> None:
    """Everything that reads was tried for two minutes at least, and much of it was refused."""
    recorded = files.read_json(ROOT / "results" / "fuzz.json")
    assert set(recorded["targets"]) == set(TARGETS)
    assert recorded["settings"]["minutes"] >= 2
    assert colophon.fuzz_numbers(recorded)["found"] == 0
    assert all(row["taken"] + row["refused"] >= 500 and row["taken"] >= 20 for row in recorded["targets"].values())
