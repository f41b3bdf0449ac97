"""What a figure or table was made with, and the commands that make it again. Notebooks show it below each."""

from __future__ import annotations

import html
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agm import machine
from agm.code_version import changed, code_hash, kind_of_network
from agm.data.official import SETS
from agm.runs import Run
from study.aggregate import listed
from study.measured import device
from study.profiles import Profile
from study.status import stale_measurement

UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Provenance:
    """`facts`: name -> value. `commands`: what is made -> shell command. `stale`: that code changed since, or nothing.

    A notebook shows it folded.
    """

    facts: Mapping[str, str]
    commands: Mapping[str, str]
    stale: str = ""

    def _repr_html_(self) -> str:
        facts = dict(self.facts) | ({"since then": self.stale} if self.stale else {})
        rows = {name: html.escape(text) for name, text in facts.items()}
        rows |= {name: f"<code>{html.escape(text)}</code>" for name, text in self.commands.items()}
        content = "".join(f"<dt>{html.escape(name)}</dt><dd>{value}</dd>" for name, value in rows.items())
        return f"<details class='provenance'><summary>Provenance</summary><dl>{content}</dl></details>"


def of_runs(
    notebook: str, runs: Sequence[Run], profile: Profile, given: Mapping[str, Any], anew: str | None = None
) -> Provenance:
    """The provenance of a notebook that shows runs.

    `given`: its parameters that are not None, without the profile. `anew`: the command that makes the runs, if it is
    a special one.
    """
    places = listed("recorded in results" if run.recorded else "made on this machine" for run in runs)
    seconds = sum(run.summary["seconds"] for run in runs)
    facts = {
        "profile": f"{profile.name}; {places}",
        "runs, by the hash of their configuration": listed(run.config.id for run in runs),
        "data": listed(map(_data, runs), "; "),
        "seeds": listed(run.config.seed for run in runs),
        **made_on(run.summary["machine"] for run in runs),
        "run time": f"{seconds / 60:.1f} minutes of training",
        **_here(),
    }
    command = _papermill(notebook, {"profile": profile.name, **given})
    official = any(run.config.data.dataset in SETS for run in runs)
    linked = 'mkdir -p fresh && ln -sfn "$PWD/data" fresh/data && ' if official else ""
    fresh = f'{linked}AGM_HOME="$PWD/fresh" {command}'  # in a project folder without runs
    commands = {"the same from these runs": command, "the runs as well, from nothing": anew or fresh}
    return Provenance(facts, commands, stale(runs))


def of_measurements(
    notebook: str, measurements: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]
) -> Provenance:
    """The provenance of a notebook that shows measurements; these by script name."""
    facts = {f"settings of {name}": _settings(found["settings"]) for name, found in measurements.items()}
    facts |= made_on(found["machine"] for found in measurements.values())
    seconds = [found.get("seconds") for found in measurements.values()]
    total = sum(map(float, filter(None, seconds)))
    facts["run time"] = f"{total / 60:.1f} minutes of measuring" if all(seconds) else UNKNOWN
    scripts = [found.get("command") or measuring(name, found["settings"]) for name, found in measurements.items()]
    commands = {"the figures": _papermill(notebook, given), "the measurements as well": " && ".join(scripts)}
    changed_since = any(map(stale_measurement, measurements.values()))
    return Provenance(facts | _here(), commands, "The code has changed; agm status says where." * changed_since)


def of_code(notebook: str, given: Mapping[str, Any]) -> Provenance:
    """The provenance of a notebook that needs only today's code."""
    facts = {"made from": "the code itself, nothing was trained", "code": code_hash(), **_here()}
    return Provenance(facts, {"the same again": _papermill(notebook, given)})


def stale(runs: Sequence[Run]) -> str:
    """For how many of the runs the training code has changed so that it gives other numbers; empty if for none."""
    found = [changed(run.summary["machine"]["code"], kind_of_network(run.config.generator)) for run in runs]
    count = len(list(filter(None, found)))
    return f"The code of {count} of {len(runs)} runs has changed; agm status says how." if count else ""


def made_on(machines: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The distinct devices, codes, commits and package versions among notes of `agm.machine.describe`."""
    found = list(machines)
    versions = [{"python": entry["python"], **entry["versions"]} for entry in found]
    packages = (", ".join(f"{name} {version}" for name, version in each.items() if version) for each in versions)
    return {
        "device": listed(map(device, found), "; "),
        "code": listed(entry["code"] for entry in found),
        "commit": listed(entry.get("commit") or UNKNOWN for entry in found),
        "packages": listed(packages, "; "),
    }


def _here() -> dict[str, str]:
    return {"shown by": f"commit {machine.commit() or UNKNOWN}, on {machine.processor()}"}


def _data(run: Run) -> str:
    found = run.summary["data"]
    counts = ", ".join(f"{number} {part}" for part, number in found["images"].items())
    standing = f" ({found['stand_in']})" if found["stand_in"] else ""
    return f"{run.config.data.dataset}{standing}: {counts} images, sha256 {found['fingerprint'][:12]}"


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {text(value)}" for name, value in settings.items() if value is not None)


def text(value: Any) -> str:
    """A parameter's value as text for papermill."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _papermill(notebook: str, given: Mapping[str, Any]) -> str:
    parts = ["papermill", f"notebooks/{notebook}.ipynb", "out.ipynb"]
    parts += [part for name, value in given.items() for part in ("-p", name, text(value))]
    return shlex.join(parts)


def recording(experiment: str, profile: str) -> str:
    """The command that records the runs of an experiment again."""
    script = f"python workflow/record.py --profile {profile}"
    return f"{script} --experiment {experiment} --time-budget 24h --pack results/{profile}"


def measuring(name: str, settings: Mapping[str, Any]) -> str:
    """The command of a script in `benchmarks/` with its recorded settings."""
    parts = ["python", "-m", f"benchmarks.{name}"]
    for key, value in settings.items():
        if value is not None:
            parts += [f"--{key.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join([*parts, "--out", f"build/benchmarks/{name}.json"])
