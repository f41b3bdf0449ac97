"""Which runs are left when a figure is asked for on one data set, for some models, some schedules, some seeds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import papermill
import pytest

from agm.config import RunConfig, field_owners
from agm.errors import AgmError
from study import profiles
from study.experiments import EXPERIMENTS, PARAMETERS, overrides, plan, within

QUICK = profiles.load("quick")


def kept(experiment: str, **fields: Any) -> set[tuple[str, str, float, str]]:
    def short(run: RunConfig) -> tuple[str, str, float, str]:
        return run.data.dataset, run.generator.layers, run.data.fraction, run.training.schedule[:4]

    return {short(run) for run in plan(experiment, QUICK, **fields)}


@pytest.mark.parametrize("dataset", ["faces", ["faces"], "closeups"])
def test_roles_that_an_experiment_varies_are_kept(dataset: Any) -> None:
    assert {run[0] for run in kept("fig5", dataset=dataset)} == {"closeups"}
    assert len(kept("fig5", dataset=dataset)) == 16
    assert kept("fig5", dataset="cars, faces") == kept("fig5") == kept("fig5", dataset=["faces", "cars"])


def test_any_other_data_set_takes_the_part_of_cardata(tmp_path: Any) -> None:
    assert {run[0] for run in kept("fig4", dataset="geo")} == {"instruments"}
    assert {run[0] for run in kept("fig5", dataset=str(tmp_path))} == {str(tmp_path)}
    assert len(kept("fig7", dataset=str(tmp_path))) == 16


def test_variations_are_kept_by_value() -> None:
    assert {run[1] for run in kept("fig4", layers="nnnr, rrrr")} == {"nnnr", "rrrr"}
    assert (
        {run[2] for run in kept("fig6", fraction=0.25)} == {run[2] for run in kept("fig6", fraction="0.25")} == {0.25}
    )
    assert {run[3] for run in kept("fig8", schedule="A")} == {"---x"}
    assert kept("fig8", schedule="---x (2) - x--x (2) - xx-x (3) - xxxx (3)") == kept("fig8", schedule=["A"])


def test_a_field_that_is_not_varied_is_set_for_all_runs() -> None:
    assert {run[3] for run in kept("table1", schedule="B")} == {"x--x"}
    assert {run[2] for run in kept("fig4", fraction=1)} == {1.0}
    with pytest.raises(AgmError, match="table1 does not vary schedule: give one value, not 2"):
        plan("table1", QUICK, schedule=["A", "B"])


@pytest.mark.parametrize("seeds", ["1, 2", [1, 2], (1, 2)])
def test_seeds(seeds: Any) -> None:
    assert {run.seed for run in plan("table1", QUICK, seeds=seeds)} == {1, 2}
    assert {run.seed for run in plan("table1", QUICK, seeds=3)} == {run.seed for run in plan("table1", QUICK, seed=3)}


def test_nothing_given_is_the_whole_plan() -> None:
    for experiment in EXPERIMENTS:
        nothing = dict.fromkeys(("dataset", "layers", "schedule", "fraction", "seeds", "width"))
        assert plan(experiment, QUICK, **nothing) == plan(experiment, QUICK)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layers": "rrnn"}, "unknown layers of fig4 'rrnn'"),
        ({"dataset": "fces"}, "unknown data set 'fces'; did you mean 'faces'?"),
        ({"dataset": ["geo"]}, "unknown data set role of this experiment 'geo'"),
        ({"dataset": "no/such/folder"}, "no/such/folder: there is no such folder"),
        ({"seeds": "first"}, "expected whole numbers"),
        ({"schedule": "xyz"}, "at character 2"),
        ({"layers": {}}, "unknown layers of fig4 '{}'"),
        ({"dataset": {}}, "unknown data set role of this experiment '{}'"),
        ({"widht": 3}, "unknown parameter 'widht'; did you mean 'width'?"),
        ({"width": 2.5}, "width=2.5: expected int"),
    ],
)
def test_what_is_not_known_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(AgmError) as refused:
        plan("fig4", QUICK, **fields)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_shares_and_schedules_that_are_not_varied_are_refused() -> None:
    for fields, message in (({"fraction": 0.5}, "'0.5'"), ({"fraction": "half"}, "expected numbers")):
        with pytest.raises(AgmError, match=message):
            plan("fig6", QUICK, **fields)
    with pytest.raises(AgmError, match="unknown schedule of fig8 'B'"):
        plan("fig8", QUICK, schedule="B")


def test_overrides_are_the_fields_among_a_namespaces_variables() -> None:
    namespace = {"profile": "quick", "out": None, "width": 4, "epochs": None, "seeds": [1], "In": ["x"], "_i": "y"}
    assert overrides(namespace) == {"width": 4, "seeds": [1]}
    assert overrides(namespace | {"finished": [1, 2], "learning_rate": 0.1}) == {
        "width": 4,
        "seeds": [1],
        "learning_rate": 0.1,
    }


@pytest.mark.parametrize(
    ("given", "value"),
    [("false", False), ("no", False), ("False", False), (False, False), ("true", True), (True, True)],
)
def test_text_from_a_command_line_is_what_it_stands_for(given: Any, value: bool) -> None:
    namespace = {"profile": "quick", "measure": given, "image": "64"}
    overrides(namespace, ["profile", "measure", "image"])
    assert (namespace["measure"], namespace["image"]) == (value, 64)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("measure", "maybe", "True or False"),
        ("own", 1, "True or False"),
        ("image", "big", "a whole number"),
        ("out", 3, "text"),
    ],
)
def test_a_parameter_of_another_type_is_refused(name: str, value: Any, says: str) -> None:
    with pytest.raises(AgmError, match=f"{name}={value!r}: expected {says}"):
        overrides({name: value}, [name])


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[3] / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem
)
def test_every_parameter_of_every_notebook_is_checked(path: Path) -> None:
    """Each is a field of the configuration, or has a type and is named where the notebook calls `overrides`."""
    source = "\n".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"])
    (call,) = re.findall(r"experiments\.overrides\(globals\(\)(?:, (\[.*?\]))?\)", source)
    known = json.loads(call) if call else ["profile", "out"]
    own = papermill.inspect_notebook(str(path)).keys() - field_owners().keys() - {"seeds"}
    assert own <= set(known) <= PARAMETERS.keys()


def test_an_unknown_parameter_of_papermill_is_refused() -> None:
    """Whatever it is called; other variables of a notebook are its own."""
    namespace = {"lr": 0.1, "rows": [1], "In": ["", "rows = [1]", "# Parameters\nlr = 0.1\n"]}
    with pytest.raises(AgmError, match="unknown parameter 'lr'"):
        overrides(namespace)
    assert overrides(namespace | {"In": ["", "lr = 0.1"]}) == {}


def test_numbers_that_yaml_takes_for_text() -> None:
    (one, *_), (other, *_) = (plan("fig4", QUICK, learning_rate=rate) for rate in ("1e-4", 1e-4))
    assert one == other


@pytest.mark.parametrize("name", ["widht", "epoch", "profil", "seedz", "learning_rat"])
def test_a_misspelt_parameter_is_refused(name: str) -> None:
    with pytest.raises(AgmError, match=f"unknown parameter '{name}'; did you mean"):
        overrides({name: 3})


def test_a_number_that_is_out_of_range_says_what_there_is() -> None:
    assert within("image", 3, 4) == 3
    with pytest.raises(AgmError, match="image=9999: must be from 0 to 3"):
        within("image", 9999, 4)
