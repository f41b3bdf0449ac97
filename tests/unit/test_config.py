"""Configurations: identities, defaults, and that every bad value is refused by its name."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agm.config import (
    ORL_CONFIGURATIONS,
    STATISTICS,
    DataConfig,
    GeneratorConfig,
    RunConfig,
    TrainingConfig,
    field_owners,
    from_dict,
)
from agm.errors import AgmError

run_configs = st.builds(
    RunConfig,
    st.builds(
        GeneratorConfig,
        layers=st.sampled_from(ORL_CONFIGURATIONS),
        width=st.integers(1, 512),
        statistics=st.sampled_from(STATISTICS),
        feedback=st.sampled_from(["zeros", "bicubic"]),
        upsampling=st.sampled_from(["nearest", "bilinear"]),
        residual=st.booleans(),
        peephole=st.booleans(),
        forget_bias=st.floats(-2, 2),
    ),
    st.builds(
        DataConfig,
        dataset=st.text(min_size=1),
        fraction=st.floats(0, 1, exclude_min=True),
        train_images=st.none() | st.integers(1, 10**6),
    ),
    st.builds(
        TrainingConfig,
        schedule=st.sampled_from(["NOAEL", "A", "B", "xxxx (10)"]),
        sampling=st.sampled_from(["fixed", "any"]),
        learning_rate=st.floats(1e-9, 1e3),
        lipschitz=st.sampled_from(["clipping", "penalty", "none"]),
    ),
    st.integers(0, 2**31),
)


def test_a_precision_that_was_taken_for_a_number() -> None:
    assert TrainingConfig(precision=32) == TrainingConfig(precision="32")  # type: ignore[arg-type]
    with pytest.raises(AgmError, match="unknown precision '16'"):
        TrainingConfig(precision=16)  # type: ignore[arg-type]


def test_ids_are_pinned() -> None:
    """Recorded results are found by these: a change here orphans them all."""
    assert RunConfig().id == "b658f367c5d2"
    changed = RunConfig().replace(layers="nnnr", schedule="A", dataset="faces", fraction=0.25, seed=3)
    assert changed.id == "4602fe4c019f"


RECORDED = sorted((Path(__file__).parents[2] / "results").glob("*/*/config.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
def test_recorded_runs_keep_their_ids(path: Path) -> None:
    stored = json.loads(path.read_text())
    config = RunConfig.from_dict(stored)
    assert config.id == path.parent.name
    assert config.to_dict() == stored


def test_how_schedules_are_sampled_is_written_down_only_where_they_are() -> None:
    assert "sampling" not in RunConfig().to_dict()["training"]
    config = RunConfig().replace(sampling="any")
    assert config.to_dict()["training"]["sampling"] == "any"
    assert RunConfig.from_dict(config.to_dict()) == config
    assert RunConfig().to_dict()["training"].keys() | {"sampling"} == config.to_dict()["training"].keys()


def test_defaults_are_the_papers() -> None:
    """Sections II-A, II-E and III-A1."""
    training, generator, data = TrainingConfig(), GeneratorConfig(), DataConfig()
    assert (training.learning_rate, training.adam_epsilon) == (1e-4, 1e-5)
    assert (training.batch_size, training.epochs, training.gradient_clip) == (16, 100, 0.5)
    assert training.adversarial_weight == 1e-3
    assert (generator.width, generator.iterations, data.image_size) == (64, 10, 64)
    assert not generator.peephole


def test_sixteen_configurations_from_rrrr_to_nnnn() -> None:
    assert len(set(ORL_CONFIGURATIONS)) == 16
    assert (ORL_CONFIGURATIONS[0], ORL_CONFIGURATIONS[-1]) == ("rrrr", "nnnn")
    assert all(set(layers) <= {"r", "n"} and len(layers) == 4 for layers in ORL_CONFIGURATIONS)


@given(run_configs)
def test_round_trip_through_json(config: RunConfig) -> None:
    again = RunConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.id == config.id
    assert len(config.id) == 12
    assert int(config.id, 16) >= 0


def test_a_schedule_has_one_spelling() -> None:
    assert (
        RunConfig().replace(schedule="A").id
        == RunConfig().replace(schedule=" ---x(2) - x--x (2) - xx-x (3) - xxxx (3)").id
    )
    assert TrainingConfig(schedule="B").schedule == "x--x (2) - xx-x (2) - xxxx (6)"


def test_whole_numbers_and_floats_are_the_same_configuration() -> None:
    assert RunConfig().replace(fraction=1).id == RunConfig().replace(fraction=1.0).id
    assert type(TrainingConfig(learning_rate=1).learning_rate) is float


OTHER: dict[str, Any] = {
    "layers": "nnnr",
    "width": 8,
    "statistics": "batch",
    "feedback": "bicubic",
    "upsampling": "bilinear",
    "residual": True,
    "peephole": True,
    "forget_bias": 0.0,
    "dataset": "faces",
    "image_size": 32,
    "fraction": 0.5,
    "train_images": 5,
    "validation_images": 5,
    "test_images": 5,
    "schedule": "A",
    "epochs": 1,
    "batch_size": 1,
    "learning_rate": 1.0,
    "adam_epsilon": 1.0,
    "gradient_clip": 1.0,
    "adversarial_weight": 0.0,
    "signs": "paper",
    "lipschitz": "penalty",
    "weight_clip": 1.0,
    "penalty_weight": 0.0,
    "critic_output": "sigmoid",
    "critic_width": 8,
    "precision": "bf16",
    "sampling": "any",
    "base": "light",
    "crops": 5,
    "loss": "l1",
    "decay": "cosine",
    "average": 0.5,
    "start": "0123456789ab",
    "seed": 1,
}


def test_every_field_is_part_of_the_identity() -> None:
    variations = [RunConfig().replace(**{name: value}) for name, value in OTHER.items()]
    variations.append(RunConfig().replace(iterations=2, schedule="xxxx (2)"))
    variations.append(RunConfig().replace(crops=OTHER["crops"], sizes=2))
    assert set(OTHER) | {"iterations", "sizes"} == set(field_owners())
    assert len({RunConfig().id, *(config.id for config in variations)}) == len(OTHER) + 3


def test_replace_finds_the_part() -> None:
    config = RunConfig().replace(layers="nnnr", fraction=0.25, schedule="A", seed=7)
    assert config.generator.layers == "nnnr"
    assert config.data.fraction == 0.25
    assert config.training.schedule.startswith("---x (2)")
    assert config.seed == 7
    assert config.replace() == config


def test_replace_can_change_two_fields_that_only_fit_together() -> None:
    config = RunConfig().replace(iterations=3, schedule="xxxx (3)")
    assert config.generator.iterations == 3
    with pytest.raises(AgmError, match="the schedule has 10 iterations, the generator 3"):
        RunConfig().replace(iterations=3)


def test_another_base_comes_with_its_own_defaults() -> None:
    light = GeneratorConfig(base="light", width=8)
    run = RunConfig(light)
    assert run.replace(base="paper").generator == GeneratorConfig(width=8)
    assert run.replace(base="paper").replace(base="light") == run
    kept = RunConfig(GeneratorConfig(residual=True)).replace(base="paper", width=8).generator
    assert kept == GeneratorConfig(residual=True, width=8)
    assert run.replace(base="paper", feedback="bicubic").generator.feedback == "bicubic"


def test_replace_refuses_an_unknown_name() -> None:
    with pytest.raises(AgmError, match="unknown parameter 'widht'; did you mean 'width'"):
        RunConfig().replace(widht=3)


def test_configurations_are_frozen_and_hashable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().seed = 3  # type: ignore[misc]
    assert len({RunConfig(), RunConfig(), RunConfig(seed=1)}) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layers", "rrr"),
        ("layers", "rrrx"),
        ("layers", "RRRR"),
        ("layers", None),
        ("width", 0),
        ("width", -1),
        ("width", 10**7 + 1),
        ("train_images", 10**20),
        ("width", 2.5),
        ("width", True),
        ("width", "8"),
        ("iterations", 0),
        ("statistics", "shard"),
        ("statistics", ["shared"]),
        ("feedback", "zero"),
        ("upsampling", "cubic"),
        ("residual", 1),
        ("peephole", "yes"),
        ("forget_bias", math.inf),
        ("start", "../natural/bc7d"),
        ("dataset", 7),
        ("image_size", 63),
        ("image_size", 0),
        ("fraction", 0),
        ("fraction", 1.01),
        ("fraction", math.nan),
        ("fraction", "half"),
        ("train_images", 0),
        ("train_images", 1.0),
        ("test_images", -5),
        ("schedule", "xxx- (10)"),
        ("schedule", 5),
        ("schedule", None),
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("learning_rate", "fast"),
        ("learning_rate", 10**400),
        ("gradient_clip", math.inf),
        ("adversarial_weight", -1e-3),
        ("adversarial_weight", math.nan),
        ("penalty_weight", math.inf),
        ("signs", "papers"),
        ("lipschitz", "clip"),
        ("critic_output", "tanh"),
        ("critic_width", 0),
        ("precision", "16"),
        ("seed", -1),
        ("seed", 1.5),
        ("seed", 2**70),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(name: str, value: object) -> None:
    with pytest.raises(AgmError, match=name):
        RunConfig().replace(**{name: value})


def test_images_too_small_to_be_measured_are_refused_before_training() -> None:
    """SSIM has an 11 x 11 window."""
    assert DataConfig(image_size=12).image_size == 12
    with pytest.raises(AgmError, match="image_size=10"):
        DataConfig(image_size=10)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"generater": {}}, "unknown RunConfig field 'generater'; did you mean 'generator'"),
        ({"generator": {"widht": 3}}, "unknown GeneratorConfig field 'widht'; did you mean 'width'"),
        ({"generator": None}, "GeneratorConfig: expected fields and values, got None"),
        ({"training": [1]}, "TrainingConfig: expected fields"),
        ({"data": {"fraction": "all"}}, "fraction='all'"),
        ({"seed": "0"}, "seed='0'"),
        ({3: 4}, "unknown RunConfig field '3'"),
        ([], "RunConfig: expected fields"),
        ("x", "RunConfig: expected fields"),
    ],
)
def test_from_dict_refuses_by_name(values: Any, named: str) -> None:
    with pytest.raises(AgmError, match=named):
        RunConfig.from_dict(values)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("cls", [GeneratorConfig, DataConfig, TrainingConfig, RunConfig])
@given(data=st.data())
def test_any_value_of_any_field_is_taken_or_refused(cls: type[Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([f.name for f in dataclasses.fields(cls)]))
    value = data.draw(json_values)
    try:
        config = from_dict(cls, {name: value})
    except AgmError:
        return
    json.dumps(dataclasses.asdict(config), allow_nan=False)  # whatever is taken can be recorded
