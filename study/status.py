"""Which runs, measurements and notebooks are up to date, whether the book is, and why not.

Results carry hashes of what they were made from; these are compared. Nothing is run, and torch is not imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agm import files
from agm.code_version import changed, changed_modules, file_hash, kind_of_network
from agm.config import GeneratorConfig, from_dict
from agm.paths import CONFIG, SUMMARY, home, results_folder, run_roots

INPUTS = "agm_inputs"
"""Metadata field of an executed notebook with the hashes of its inputs."""


@dataclass(frozen=True)
class State:
    """The state of one result. `kind`: runs, benchmarks, notebooks or book. `reason`: why it is stale, or empty."""

    kind: str
    name: str
    reason: str


def states() -> Iterator[State]:
    """The states of all results. Raises AgmError if a file cannot be read."""
    for path in (path for root in run_roots() for path in sorted(root.glob(f"*/{SUMMARY}"))):
        kind = kind_of_network(from_dict(GeneratorConfig, files.read_json(path.with_name(CONFIG))["generator"]))
        code = files.read_json(path).get("machine", {}).get("code")
        yield State("runs", path.parent.name, changed(code, kind) if code else "does not say what code made it")
    for path in sorted((results_folder() / "benchmarks").glob("*.json")):
        yield State("benchmarks", path.stem, stale_measurement(files.read_json(path)))
    shown = home() / "book" / "notebooks"
    for path in sorted(shown.rglob("*.ipynb")):
        noted = files.read_json(path)["metadata"].get(INPUTS)
        yield State("notebooks", path.relative_to(shown).with_suffix("").as_posix(), _stale_inputs(noted))
    for path in sorted((home() / "notebooks").glob("*.ipynb")):
        if "glue(" in path.read_text(encoding="utf-8") and not (shown / path.name).exists():
            yield State("notebooks", path.stem, "was not executed here")
    book = home() / "build" / "book.json"
    yield State("book", "book", _stale_inputs(files.read_json(book)) if book.exists() else "was not built here")


def stale_measurement(found: Mapping[str, Any]) -> str:
    """What changed since a measurement. One without times is stale only if the training code changed."""
    noted = found["machine"]
    if "modules" not in noted:
        return changed(noted["code"], "paper")
    names = changed_modules(noted["modules"])
    return f"measured before changes in {_few(names)}, so times may differ" if names else ""


def note(paths: Iterable[str]) -> dict[str, str]:
    """Path below the project folder -> hash, for the files that a result is made from."""
    return {path: file_hash(home() / path) for path in paths}


def _stale_inputs(noted: Mapping[str, str] | None) -> str:
    if noted is None:
        return "does not say what it was made from"
    names = [
        name for name, before in noted.items() if not (home() / name).exists() or file_hash(home() / name) != before
    ]
    return f"{_few(names)} changed since" if names else ""


def _few(names: Sequence[str]) -> str:
    """The first three names, and the number of others."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def lines(found: Iterable[State]) -> list[str]:
    """A line per kind with the number that is up to date; below it a line per reason."""
    kinds: dict[str, list[State]] = {}
    for state in found:
        kinds.setdefault(state.kind, []).append(state)
    listed = []
    for kind, group in kinds.items():
        listed.append(f"{kind}: {sum(not state.reason for state in group)} of {len(group)} up to date")
        for reason in dict.fromkeys(state.reason for state in group if state.reason):
            names = [state.name for state in group if state.reason == reason]
            listed.append(f"  {_few(names)}: {reason}")
    return listed
