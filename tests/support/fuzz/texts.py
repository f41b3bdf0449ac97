"""What is typed or written by hand: schedules, settings, options, profiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import strategies as st

from agm import data
from agm.config import field_owners
from agm.errors import parse_duration
from agm.schedule import Schedule
from study import experiments, profiles
from study.cli import train
from support import official
from support.fuzz.check import Target
from support.fuzz.damage import values
from support.fuzz.yamls import as_yaml

schedules = (
    st.text(max_size=40)
    | st.text("xrn-–() 0123456789\t\n", max_size=60)
    | st.sampled_from(
        ["xxxx (" + "9" * 5000 + ")", "xxxx " + "(" * 5000, "xxxx" * 5000, " - ".join(["x--x (9999)"] * 3000), "NOAEL"]
    )
)


def use_schedule(folder: Path, text: str) -> None:
    schedule = Schedule.parse(text)
    assert Schedule.parse(str(schedule)) == schedule
    assert len(schedule.take(7)) == 7


field_names = st.sampled_from([*field_owners(), "seeds", "widht", "", "é" * 600])
written = values.map(json.dumps) | schedules | st.sampled_from(["[" * 20_000, "9" * 5000, "1e999", "\0", "nnnr"])
settings = st.lists(st.tuples(field_names, written).map("=".join) | st.text(max_size=20), max_size=3)
experiment_names = st.sampled_from([*experiments.EXPERIMENTS, "fig44", ""])
plans = st.tuples(experiment_names, st.dictionaries(field_names, values | schedules, max_size=3))
durations = st.text("0123456789.smh ٣", max_size=8) | st.sampled_from(["9" * 5000 + "s", "1" + "." * 5000])


def use_settings(folder: Path, texts: list[str]) -> None:
    """The values of --set."""
    fields = train._assignments(texts)
    profiles.load("smoke").run("cars", **fields)


def use_plan(folder: Path, value: tuple[str, dict[str, Any]]) -> None:
    """What a notebook's parameters may be."""
    name, fields = value
    experiments.plan(name, profiles.load("smoke"), **experiments.overrides(fields))


def use_duration(folder: Path, text: str) -> None:
    parse_duration(text)


def use_dataset(folder: Path, text: str) -> None:
    data.locate(text)


PROFILE = (profiles.FOLDER / "smoke.yml").read_bytes()


def use_profile(folder: Path, content: bytes) -> None:
    official.write(folder / "own.yml", content)
    with mock.patch.object(profiles, "FOLDER", folder):
        profile = profiles.load("own")
        for name in experiments.EXPERIMENTS:
            experiments.plan(name, profile)


paths = st.text(max_size=20) | st.sampled_from(["cars", "photographs", "~x", "/", "x" * 5000, "a/" * 3000, "\0"])
TARGETS = {
    "schedules": Target(schedules, use_schedule, named=False),
    "settings": Target(settings, use_settings, named=False),
    "plans": Target(plans, use_plan, named=False),
    "durations": Target(durations, use_duration, named=False),
    "data sets by name": Target(paths, use_dataset, named=False),
    "profiles": Target(as_yaml(PROFILE), use_profile),
}
