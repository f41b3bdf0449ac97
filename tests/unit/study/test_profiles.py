"""Profiles and plans."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agm.config import ORL_CONFIGURATIONS, RunConfig
from agm.data import PAPER_SETS
from agm.data.bundled import STAND_INS
from agm.data.official import SETS
from agm.errors import AgmError
from study import profiles
from study.experiments import (
    EXPERIMENTS,
    LAST_PLAIN,
    LAST_RECURRENT,
    TABLE_1,
    plan,
    plan_all,
    role_of,
    with_recurrent,
)

NAMES = ("cpu", "paper", "quick", "reduced", "smoke")


def layers_of(runs: list[RunConfig]) -> set[str]:
    return {run.generator.layers for run in runs}


def test_the_five_profiles_are_there() -> None:
    assert set(NAMES) <= set(profiles.names())


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_loads_and_plays_all_roles(name: str) -> None:
    profile = profiles.load(name)
    assert profile.name == name
    assert tuple(profile.datasets) == PAPER_SETS == SETS == profiles.ROLES
    assert len(set(profile.datasets.values())) == 3
    assert all(profile.seeds[role] for role in profiles.ROLES)
    assert profile.runs_per_job >= 1


def test_a_misspelt_profile_is_refused_by_name() -> None:
    with pytest.raises(AgmError, match=r"unknown profile 'quik'; did you mean 'quick'\? \(known: cpu, paper, "):
        profiles.load("quik")


@pytest.mark.parametrize("name", ["../profiles/quick", "", "quick.yml", "QUICK"])
def test_a_profile_is_a_name_not_a_path(name: str) -> None:
    with pytest.raises(AgmError, match="unknown profile"):
        profiles.load(name)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("generater: {width: 3}", "unknown key 'generater'; did you mean 'generator'"),
        ("generator: {widht: 3}", "unknown GeneratorConfig field 'widht'"),
        ("training: {epochs: many}", "epochs='many'"),
        ("layers: [nnnr]", "layers: expected lists by role"),
        ("layers: {geo: nnnr}", "layers: expected lists by role"),
        ("layers: {goe: [nnnr]}", "unknown role 'goe'; did you mean 'geo'"),
        ("layers: {geo: [nnn]}", "layers='nnn'"),
        ("experiments: [table1]", "experiments: expected fields by experiment"),
        ("experiments: {table1: light}", "experiments: expected fields by experiment"),
        ("3: 4", "unknown key '3'"),
        ("datasets: cars", "datasets: expected a name for each of cars, faces, geo"),
        ("datasets: {cars: cars}", "datasets: expected a name for each of cars, faces, geo"),
        ("seeds: {cars: [0], faces: [0], geo: []}", "seeds: expected some for each of cars, faces, geo"),
        ("seeds: {cars: [0], faces: [0], geo: [x]}", "seed='x'"),
        ("runs_per_job: 0", "runs_per_job: expected a whole number from 1, got 0"),
        ("training: {epochs: !!int ''}", "cannot be read as YAML"),
        ("training: {epochs: !!bool x}", "cannot be read as YAML"),
        ("training: {epochs: !!timestamp x}", "cannot be read as YAML"),
        ("training: [", "cannot be read as YAML"),
    ],
)
def test_a_mistake_in_a_profile_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, named: str
) -> None:
    base = "datasets: {cars: cars, faces: faces, geo: geo}\nseeds: {cars: [0], faces: [0], geo: [0]}\nruns_per_job: 1\n"
    (tmp_path / "mine.yml").write_text(base + text)
    monkeypatch.setattr(profiles, "FOLDER", tmp_path)
    with pytest.raises(AgmError, match=rf"^{tmp_path / 'mine.yml'}: .*{named}"):
        profiles.load("mine")


@pytest.mark.parametrize("text", ["", "[]", "3"])
def test_what_is_no_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "mine.yml").write_text(text)
    monkeypatch.setattr(profiles, "FOLDER", tmp_path)
    with pytest.raises(AgmError, match="not a profile; expected datasets, generator"):
        profiles.load("mine")


def test_the_paper_profile_is_the_papers_settings() -> None:
    assert profiles.load("paper").base == RunConfig()


@pytest.mark.parametrize("name", ["smoke", "quick"])
def test_small_profiles_need_no_download(name: str) -> None:
    profile = profiles.load(name)
    assert set(profile.datasets.values()) == set(STAND_INS)
    assert {run.data.dataset for run in plan_all(EXPERIMENTS, profile)} == set(STAND_INS)


def test_smoke_runs_are_tiny() -> None:
    for run in plan_all(EXPERIMENTS, profiles.load("smoke")):
        assert run.generator.width <= 4
        assert run.data.train_images is not None
        assert run.data.train_images * run.training.epochs <= 64


@pytest.mark.parametrize("name", profiles.names())
def test_planned_runs_have_ids_of_their_own(name: str) -> None:
    runs = plan_all(EXPERIMENTS, profiles.load(name))
    assert len({run.id for run in runs}) == len(runs) == len(set(runs))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_plan_all_covers_every_plan(experiment: str) -> None:
    profile = profiles.load("quick")
    assert set(plan(experiment, profile)) <= set(plan_all(EXPERIMENTS, profile))
    assert plan_all([experiment, experiment], profile) == plan(experiment, profile)


def test_run_takes_the_data_set_of_the_role_and_leaves_out_none() -> None:
    profile = profiles.load("quick")
    run = profile.run("faces", layers="nnnr", epochs=None)
    assert run == profile.base.replace(dataset=profile.datasets["faces"], layers="nnnr")
    assert role_of(run, profile) == "faces"
    assert role_of(run.replace(dataset="elsewhere"), profile) == "elsewhere"
    with pytest.raises(AgmError, match="unknown data set role 'car'"):
        profile.run("car")


def test_figures_get_the_runs_the_paper_shows() -> None:
    profile = profiles.load("paper")
    assert layers_of(plan("table1", profile)) == {"nnnr", "nnrr", "rrnr", "rrrr"}
    three = {"nrrr", "rnrr", "rrnr", "rrrn"}
    one = {"rnnn", "nrnn", "nnrn", "nnnr"}
    assert layers_of(plan("fig4", profile)) == three | one | {"rrrr", "nnnn"}
    fig5 = plan("fig5", profile)
    assert {(r.data.dataset, r.generator.layers) for r in fig5} == {
        (d, layers) for d in ("cars", "faces") for layers in ORL_CONFIGURATIONS
    }
    assert {r.data.fraction for r in plan("fig6", profile)} == {1.0, 0.25}
    assert {r.data.dataset for r in plan("fig7", profile)} == {"cars", "faces", "geo"}
    for experiment, schedule in (("fig8", "---x (2)"), ("fig9", "x--x (2)")):
        runs = plan(experiment, profile)
        assert layers_of(runs) == set(TABLE_1)
        assert len(runs) == 8
        assert sum(r.training.schedule.startswith(schedule) for r in runs) == 4
        assert sum(r.training.schedule == "xxxx (10)" for r in runs) == 4
    assert len(plan("order", profile)) == 12


def test_groups_of_configurations() -> None:
    assert [len(with_recurrent(count)) for count in range(5)] == [1, 4, 6, 4, 1]
    assert len(LAST_RECURRENT) == len(LAST_PLAIN) == 8
    assert set(LAST_RECURRENT) | set(LAST_PLAIN) == set(ORL_CONFIGURATIONS)
    assert all(layers[3] == "r" for layers in LAST_RECURRENT)


def test_plan_takes_seeds_and_fields() -> None:
    profile = profiles.load("smoke")
    runs = plan("table1", profile, seeds=[4, 5], epochs=1)
    assert sorted({run.seed for run in runs}) == [4, 5]
    assert {run.training.epochs for run in runs} == {1}
    assert len(runs) == 8
    with pytest.raises(AgmError, match="unknown parameter 'epoch'"):
        plan("table1", profile, epoch=1)


def test_seeds_go_by_role() -> None:
    profile = dataclasses.replace(profiles.load("cpu"), seeds={"cars": [0, 1], "faces": [0], "geo": [0]})
    runs = plan("fig5", profile)
    seeds = {name: {run.seed for run in runs if run.data.dataset == name} for name in ("cars", "faces")}
    assert seeds == {"cars": {0, 1}, "faces": {0}}
    assert {run.seed for run in plan("fig5", profile, seeds=3)} == {3}


def test_a_profile_may_compare_fewer_models_on_a_role() -> None:
    geo = {name: plan("fig7", profiles.load(name), dataset="geo") for name in ("quick", "cpu")}
    assert {name: len(layers_of(runs)) for name, runs in geo.items()} == {"quick": 4, "cpu": 16}
    assert layers_of(geo["quick"]) == set(TABLE_1)


def test_a_profile_may_set_fields_for_an_experiment_and_fields_that_are_given_go_first() -> None:
    profile = dataclasses.replace(profiles.load("smoke"), experiments={"fig8": {"base": "light", "schedule": "A"}})
    assert {(run.generator.base, run.training.schedule[:8]) for run in plan("fig8", profile)} == {("light", "---x (2)")}
    assert {run.training.schedule for run in plan("fig8", profile, schedule="NOAEL")} == {"xxxx (10)"}
    assert {run.generator.base for run in plan("fig9", profile)} == {"paper"}
    with pytest.raises(AgmError, match="unknown experiment of profile smoke 'fig44'; did you mean 'fig4'"):
        plan("fig8", dataclasses.replace(profile, experiments={"fig44": {}}))


def test_nine_in_ten_of_the_default_profiles_networks_have_the_light_base_but_table_1_has_the_papers() -> None:
    quick = profiles.load("quick")
    every, table_1 = plan_all(EXPERIMENTS, quick), set(plan("table1", quick))
    assert {run for run in every if run.generator.base == "paper"} == table_1
    assert layers_of(list(table_1)) == set(TABLE_1)
    assert 10 * len(table_1) < len(every)
    assert layers_of(plan("fig5", quick)) == set(ORL_CONFIGURATIONS)


def test_a_misspelt_experiment_is_refused_by_name() -> None:
    with pytest.raises(AgmError, match="unknown experiment 'fig44'; did you mean 'fig4'"):
        plan("fig44", profiles.load("smoke"))
