"""What the book was made with: notebooks, runs and packages; and the counts of fault and fuzz tests."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pandas as pd

from agm import files, paths
from agm.errors import AgmError
from agm.runs import Run
from study import aggregate, provenance
from study.aggregate import Numbers
from study.measured import Measured


def table(runs: Iterable[Run]) -> pd.DataFrame:
    """A row per run: its folder, what it is, duration, device and code."""
    rows = []
    for run in runs:
        folder = f"{run.folder.parents[1].name}/{run.folder.parent.name}"
        about: dict[str, Any] = {"run": run.config.id, "in": folder, "configuration": aggregate.words(run.config)}
        about |= {"seed": run.config.seed, "status": run.summary["status"], "seconds": run.summary["seconds"]}
        made = provenance.made_on([run.summary["machine"]])
        about |= {name: made[name] for name in ("device", "code", "commit")}
        rows.append(about | {"stale": "yes" if provenance.stale([run]) else "no"})
    return pd.DataFrame(rows)


def notebooks(given: str | None) -> pd.DataFrame:
    """A row per executed notebook in a folder (None: the book's) and its subfolders: seconds and parameters.

    Raises AgmError if a folder that was given is none.
    """
    folder = Path(given or paths.home() / "book" / "notebooks")
    if given and not folder.is_dir():
        raise AgmError(f"folder={given}: no folder; name the one where the executed notebooks are")
    rows = []
    for path in [*sorted(folder.glob("*.ipynb")), *sorted(folder.glob("*/*.ipynb"))]:
        noted = files.read_json(path)["metadata"].get("papermill") or {}
        name = path.relative_to(folder).with_suffix("").as_posix()
        set_to = ", ".join(f"{key} {provenance.text(value)}" for key, value in (noted.get("parameters") or {}).items())
        rows.append({"notebook": name, "duration": noted.get("duration"), "parameters": set_to})
    return pd.DataFrame(rows, columns=["notebook", "duration", "parameters"]).dropna().astype({"duration": float})


def packages() -> pd.DataFrame:
    """The installed packages and their versions."""
    found = {(entry.metadata["Name"] or "").lower(): entry.version for entry in distributions()}
    return pd.DataFrame(sorted(found.items()), columns=["package", "version"])


def fault_numbers(counted: Measured) -> Numbers:
    """What `tests/faults.py` counted, over all kinds: kills and what became of them, damaged files and who noticed, odd
    pictures and how many came out right, situations from bug reports and how many ended right in a test.
    """
    kills, damage = counted["kills"].values(), counted["damage"].values()
    numbers: Numbers = {name: sum(row[name] for row in kills) for name in ("kills", "in_a_write", "equal")}
    numbers["lost"] = sum(row["lost"] + row["left_behind"] for row in kills)
    numbers |= {f"{kind}_kills": row["kills"] for kind, row in counted["kills"].items()}
    numbers |= {name: sum(row[name] for row in damage) for name in ("tried", "named", "harmless")}
    odd = counted["pictures"].values()
    numbers |= {"pictures": sum(row["tried"] for row in odd), "pictures_kept": sum(row["kept"] for row in odd)}
    numbers |= {f"situations_{name}": count for name, count in counted["situations"].items()}
    return numbers | {"unnoticed": sum(row["unnoticed"] + row["crashed"] for row in damage), "files": len(damage)}


def fuzz_numbers(counted: Measured) -> Numbers:
    """Totals of `tests/fuzz.py` over all targets."""
    rows = counted["targets"].values()
    numbers: Numbers = {name: sum(row[name] for row in rows) for name in ("taken", "refused", "found")}
    numbers["tried"] = sum(row["taken"] + row["refused"] for row in rows)
    return numbers | {"targets": len(rows)}
