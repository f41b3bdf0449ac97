"""What a figure or table was made with, and the commands that make it again. Notebooks show it below each."""

from __future__ import annotations

import html
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agm import machine
from agm.code_version import code_hash
from agm.data.official import SETS
from agm.runs import Run
from study.profiles import Profile
from study.status import stale_measurement, stale_run

UNKNOWN = "not recorded"

ANEW = "the runs as well, from nothing"


@dataclass(frozen=True)
class Provenance:
    """`facts`: name -> value. `commands`: what is made -> shell command. `stale`: what changed since, or nothing.

    A notebook shows both folded.
    """

    facts: Mapping[str, str]
    commands: Mapping[str, str]
    stale: str = ""

    def _repr_html_(self) -> str:
        rows = [_row(name, html.escape(text)) for name, text in self.facts.items()]
        rows += [_row(name, f"<code>{html.escape(text)}</code>") for name, text in self.commands.items()]
        shown = _folded("provenance", "Provenance", f"<dl>{''.join(rows)}</dl>")
        if self.stale:
            shown = _folded("stale", "The code has changed since", f"<p>{html.escape(self.stale)}</p>") + shown
        return shown


def _folded(kind: str, title: str, content: str) -> str:
    return f"<details class='{kind}'><summary>{title}</summary>{content}</details>"


def _row(name: str, value: str) -> str:
    return f"<dt>{html.escape(name)}</dt><dd>{value}</dd>"


def of_runs(
    notebook: str, runs: Sequence[Run], profile: Profile, given: Mapping[str, Any], anew: str | None = None
) -> Provenance:
    """The provenance of a notebook that shows runs.

    `given`: its parameters that are not None, without the profile. `anew`: the command that makes the runs, if it is
    a special one.
    """
    seconds = sum(float(run.summary.get("seconds") or 0) for run in runs)
    facts = {
        "profile": f"{profile.name}; {_places(runs)}",
        "runs, by the hash of their configuration": _listed(run.config.id for run in runs),
        "data": "; ".join(dict.fromkeys(map(_data, runs))),
        "seeds": _listed(run.config.seed for run in runs),
        **made_on(run.summary.get("machine") for run in runs),
        "run time": f"{seconds / 60:.1f} minutes of training",
        **_here(),
    }
    official = any(run.config.data.dataset in SETS for run in runs)
    commands = remake(notebook, {"profile": profile.name, **given}, official) | ({ANEW: anew} if anew else {})
    return Provenance(facts, commands, stale(runs))


def of_measurements(
    notebook: str, measurements: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]
) -> Provenance:
    """The provenance of a notebook that shows measurements; these by script name."""
    facts = {f"settings of {name}": _settings(found["settings"]) for name, found in measurements.items()}
    facts |= made_on(found.get("machine") for found in measurements.values())
    seconds = [found.get("seconds") for found in measurements.values()]
    total = sum(map(float, filter(None, seconds)))
    facts["run time"] = f"{total / 60:.1f} minutes of measuring" if all(seconds) else UNKNOWN
    scripts = [found.get("command") or measuring(name, found["settings"]) for name, found in measurements.items()]
    commands = {"the figures": _papermill(notebook, given), "the measurements as well": " && ".join(scripts)}
    reasons = {name: stale_measurement(found) for name, found in measurements.items()}
    stale = " ".join(f"{name}: {reason}." for name, reason in reasons.items() if reason)
    return Provenance(facts | _here(), commands, stale)


def of_code(notebook: str, given: Mapping[str, Any]) -> Provenance:
    """The provenance of a notebook that needs only today's code."""
    facts = {"made from": "the code itself, nothing was trained", "code": code_hash(), **_here()}
    return Provenance(facts, {"the same again": _papermill(notebook, given)})


def stale(runs: Sequence[Run]) -> str:
    """What changed in the training code since some of the runs were made; empty if nothing did."""
    reasons = [reason for run in runs if (reason := stale_run(run.summary, run.config.generator.base))]
    made = "Made" if len(reasons) == len(runs) else f"{len(reasons)} of {len(runs)} runs were made"
    return f"{made} with other training code: {'; '.join(dict.fromkeys(reasons))}." if reasons else ""


def code_of(run: Run) -> str:
    """The hash of the training code that made a run."""
    return str((run.summary.get("machine") or {}).get("code") or UNKNOWN)


def made_on(machines: Iterable[Mapping[str, Any] | None]) -> dict[str, str]:
    """The distinct devices, codes, commits and package versions among notes of `agm.machine.describe`."""
    found = [entry or {} for entry in machines]
    versions = [{"python": entry.get("python"), **(entry.get("versions") or {})} for entry in found]
    return {
        "device": _listed((device(entry) for entry in found), "; "),
        "code": _listed(entry.get("code") or UNKNOWN for entry in found),
        "commit": _listed(entry.get("commit") or UNKNOWN for entry in found),
        "packages": _listed((_versions(entry) for entry in versions), "; "),
    }


def device(entry: Mapping[str, Any]) -> str:
    """Device and threads of a note of `agm.machine.describe`."""
    threads = entry.get("threads")
    plural = "" if threads == 1 else "s"
    return f"{entry.get('device') or UNKNOWN}" + (f", {threads} thread{plural}" if threads else "")


def _versions(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version) or UNKNOWN


def _here() -> dict[str, str]:
    return {"shown by": f"commit {machine.commit() or UNKNOWN}, on {machine.processor()}"}


def _places(runs: Iterable[Run]) -> str:
    return _listed("recorded in results" if run.recorded else "made on this machine" for run in runs)


def _data(run: Run) -> str:
    found = run.summary.get("data") or {}
    counts = ", ".join(f"{number} {part}" for part, number in (found.get("images") or {}).items())
    name, fingerprint = run.config.data.dataset, str(found.get("fingerprint") or UNKNOWN)
    standing = f" ({found['stand_in']})" if found.get("stand_in") else ""
    return f"{name}{standing}: {counts or UNKNOWN} images, sha256 {fingerprint[:12]}"


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {text(value)}" for name, value in settings.items() if value is not None)


def _listed(values: Iterable[Any], between: str = ", ") -> str:
    return between.join(dict.fromkeys(map(str, values)))


def text(value: Any) -> str:
    """A parameter's value as text for papermill."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _papermill(notebook: str, given: Mapping[str, Any]) -> str:
    parts = ["papermill", f"notebooks/{notebook}.ipynb", "out.ipynb"]
    parts += [part for name, value in given.items() for part in ("-p", name, text(value))]
    return shlex.join(parts)


def remake(notebook: str, given: Mapping[str, Any], official: bool) -> dict[str, str]:
    """The commands that make a notebook's results again: from the finished runs, and from scratch.

    From scratch means in a project folder without runs, `fresh`. `official`: the runs need the folder `data`, which is
    linked into it.
    """
    command = _papermill(notebook, given)
    linked = 'mkdir -p fresh && ln -sfn "$PWD/data" fresh/data && ' if official else ""
    return {"the same from these runs": command, ANEW: f'{linked}AGM_HOME="$PWD/fresh" {command}'}


def recording(experiment: str, profile: str) -> str:
    """The command that records the runs of an experiment again."""
    script = f"python workflow/record.py --profile {profile}"
    return f"{script} --experiment {experiment} --time-budget 24h --pack packed && {script} --unpack packed"


def measuring(name: str, settings: Mapping[str, Any]) -> str:
    """The command of a script in `benchmarks/` with its recorded settings."""
    parts = ["python", "-m", f"benchmarks.{name}"]
    for key, value in settings.items():
        if value is not None:
            parts += [f"--{key.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join([*parts, "--out", f"build/benchmarks/{name}.json"])
