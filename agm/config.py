"""The configuration of a run: frozen dataclasses with the paper's defaults, checks, and the run's identity.

The paper's own settings are the defaults; where it is silent the default is the one argued for in the book's
chapter on assumptions. Nothing here imports torch, so planning a thousand runs is cheap.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import math
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal, TypeVar

from agm.errors import AgmError, unknown
from agm.networks.layers import KINDS
from agm.schedule import LAYERS, Schedule

Statistics = Literal["shared", "iteration", "batch", "precise"]
STATISTICS: tuple[Statistics, ...] = ("shared", "iteration", "batch", "precise")

NATURAL = "natural"
"""The data set of photographs of anything, on which the default network is trained."""

LARGEST = 10**7
"""Upper limit of widths, sizes and counts: beyond it torch's 64 bits overflow before memory runs out."""

ORL_CONFIGURATIONS: tuple[str, ...] = tuple("".join(letters) for letters in itertools.product("rn", repeat=LAYERS))
"""All 16 ORL configurations, rrrr first; the first letter is layer 1, at the bottom (Fig. 3)."""


@dataclass(frozen=True)
class GeneratorConfig:
    """The recurrent generator of Fig. 1.

    `base`: the paper's network, or the light one (`agm.networks.light`), whose inner layers all work on the small
    image and which corrects bicubic upsampling.
    `layers`: one letter per inner layer from the bottom: r (ConvLSTM), n (plain convolutions), or
    another of `agm.networks.layers`.
    `width`: channels of A and B; the inner layers have twice as many. 64 gives the counts of Table I.
    `iterations`: T, the length of a full run.
    `statistics`: which batch-norm statistics evaluation uses: one running pair for all iterations (shared), one
    pair per iteration, those of the batch at hand, or averages per iteration over training images, made after training
    (precise, see `agm.training.calibrate`). Training is the same for all four.
    `feedback`: what an iteration sees of the one before it: its image, which is black (zeros) or bicubic upsampling
    before iteration 1, or, with the lighter base, the features that its image was made from. There zeros means
    features, since these begin as zeros.
    `upsampling`: the static layer C.2.
    `residual`: let D predict a correction to bicubic upsampling instead of the image.
    `peephole`: ConvLSTM with the peephole terms of Section II-C, one weight per channel.
    `forget_bias`: what is added to the initial bias of a ConvLSTM's forget gate: with 1 it remembers by default.
    """

    layers: str = "rrrr"
    width: int = 64
    iterations: int = 10
    statistics: Statistics = "shared"
    feedback: Literal["zeros", "bicubic", "features"] = "zeros"
    upsampling: Literal["nearest", "bilinear"] = "nearest"
    residual: bool = False
    peephole: bool = False
    forget_bias: float = 1.0
    base: Literal["paper", "light"] = "paper"

    def __post_init__(self) -> None:
        _check(self)
        if self.base == "light":
            object.__setattr__(self, "feedback", "features" if self.feedback == "zeros" else self.feedback)
            object.__setattr__(self, "residual", True)
        elif self.feedback == "features":
            raise AgmError("feedback='features': the paper's base feeds its images back; choose base=light")

    @property
    def readings(self) -> tuple[Statistics, ...]:
        """The kinds of statistics that can give different results: without batch norm just the configured one."""
        return STATISTICS if self.base == "paper" else (self.statistics,)


@dataclass(frozen=True)
class DataConfig:
    """The images of a run, and how many of them.

    `dataset`: a name known to `agm data list`, or the path of a prepared set or of a folder of images.
    `image_size`: side in pixels of the high-resolution images; the inputs have half of it.
    `fraction`: share of the training images that is used; smaller shares are nested in larger ones.
    `train_images`, `validation_images`, `test_images`: upper limits; None takes all the split offers.
    `crops`: for a folder of photographs, how many random crops of that size, flipped and turned, make an epoch.
    0 takes the centre of every image once.
    `sizes`: at how many sizes these photographs are cropped: as they are, then reduced to 4/5, 3/5 and 2/5.
    """

    dataset: str = "cars"
    image_size: int = 64
    fraction: float = 1.0
    train_images: int | None = None
    validation_images: int | None = None
    test_images: int | None = None
    crops: int = 0
    sizes: int = 1

    def __post_init__(self) -> None:
        _check(self)
        if self.sizes > 1 and not self.crops:
            raise AgmError(f"sizes={self.sizes}: only crops are taken at several sizes; set crops, too")


@dataclass(frozen=True)
class TrainingConfig:
    """The training of the two networks (Sections II-E and III-A).

    `schedule`: AEL notation or NOAEL, A, B; stored spelt out. Validation and test use it in any case.
    `sampling`: the schedules of one training step:
    fixed: that schedule, as the paper does;
    any: the fullest, the cheapest and a random one between them, so that one network serves any schedule;
    prefix: its first iteration alone, its first two, or all of them, equally often.
    `loss`: the visual loss of one image, MSE as in II-E or the mean absolute error (l1).
    `decay`: keep the learning rate, or lower it to zero along half a cosine.
    `average`: what is validated, tested and saved is a moving average of the weights, which keeps this share of itself
    at each step; 0 takes the weights as they are.
    `adversarial_weight`: of the adversarial term in the generator's loss; at 0 no critic is trained.
    `signs`: the adversarial losses with corrected signs, or literally as the paper prints them.
    `lipschitz`: what keeps the critic Lipschitz: weight clipping (WGAN), gradient penalty (WGAN-GP), or nothing.
    `critic_output`: a linear score (WGAN) or a sigmoid, which is the paper's range [0, 1].
    `gradient_clip`: largest gradient norm, for both networks.
    `precision`: 32-bit floats, or bfloat16 autocast.
    `start`: the id of a run of the same network from whose final weights training goes on; empty: from random ones.
    """

    schedule: str = "NOAEL"
    epochs: int = 100
    batch_size: int = 16
    learning_rate: float = 1e-4
    adam_epsilon: float = 1e-5
    gradient_clip: float = 0.5
    adversarial_weight: float = 1e-3
    signs: Literal["corrected", "paper"] = "corrected"
    lipschitz: Literal["clipping", "penalty", "none"] = "clipping"
    weight_clip: float = 0.01
    penalty_weight: float = 10.0
    critic_output: Literal["linear", "sigmoid"] = "linear"
    critic_width: int = 64
    precision: Literal["32", "bf16"] = "32"
    sampling: Literal["fixed", "any", "prefix"] = "fixed"
    loss: Literal["mse", "l1"] = "mse"
    decay: Literal["none", "cosine"] = "none"
    average: float = 0.0
    start: str = ""

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "schedule", str(Schedule.parse(self.schedule)))


ADDED = {
    *{("base", "paper"), ("forget_bias", 1.0), ("crops", 0), ("sizes", 1)},
    *{("sampling", "fixed"), ("loss", "mse"), ("decay", "none"), ("average", 0.0), ("start", "")},
}
"""Fields that were added later, with the value that stands for how it was before."""


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the result of one training run. Its hash is the run's identity."""

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self)
        if (length := len(self.schedule)) != self.generator.iterations:
            raise AgmError(f"the schedule has {length} iterations, the generator {self.generator.iterations}")

    @cached_property
    def schedule(self) -> Schedule:
        """The schedule of training, whose text is `training.schedule`."""
        return Schedule.parse(self.training.schedule)

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits; equal configurations have equal ids on every machine."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        def fields(part: Any) -> dict[str, Any]:  # runs that were recorded before there was a choice keep their ids
            return {name: value for name, value in vars(part).items() if (name, value) not in ADDED}

        return {name: fields(getattr(self, name)) for name in PARTS} | {"seed": self.seed}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """Inverse of `to_dict`. Raises AgmError on an unknown or ill-typed field."""
        return from_dict(cls, values)

    def replace(self, **fields: Any) -> RunConfig:
        """A copy with some fields changed, whichever part they belong to: `config.replace(layers="nnnr", seed=1)`.

        With another base come its own defaults of `feedback` and `residual`, which the lighter base sets.
        """
        owners = field_owners()
        for name in fields:
            if name not in owners:
                raise unknown("parameter", name, owners)
        if fields.get("base", self.generator.base) != self.generator.base:
            fields = {"feedback": GeneratorConfig.feedback, "residual": GeneratorConfig.residual} | fields
        changes: dict[str, Any] = {"seed": fields.get("seed", self.seed)}
        for part in PARTS:
            own = {name: value for name, value in fields.items() if owners[name] == part}
            changes[part] = dataclasses.replace(getattr(self, part), **own)
        return RunConfig(**changes)


PARTS: dict[str, type[Any]] = {"generator": GeneratorConfig, "data": DataConfig, "training": TrainingConfig}


def field_owners() -> dict[str, str]:
    """Name of every configuration field -> the part of a RunConfig that holds it ("" for the run's own)."""
    owners = {f.name: part for part, cls in PARTS.items() for f in dataclasses.fields(cls)}
    return owners | {"seed": ""}


Config = TypeVar("Config")


def from_dict(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """Build a configuration dataclass from a mapping, nested ones included."""
    if not isinstance(values, Mapping):
        raise AgmError(f"{cls.__name__}: expected fields and values, got {values!r}")
    hints = _hints(cls)
    for name in values:
        if name not in hints:
            raise unknown(f"{cls.__name__} field", str(name), hints)
    return cls(**{n: from_dict(hints[n], v) if dataclasses.is_dataclass(hints[n]) else v for n, v in values.items()})


_hints: Callable[[Any], dict[str, Any]] = cache(typing.get_type_hints)

RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "width iterations train_images validation_images test_images epochs batch_size critic_width",
        lambda n: 0 < n <= LARGEST,
        f"must be positive, and not larger than {LARGEST:,}",
    ),
    ("learning_rate adam_epsilon gradient_clip weight_clip", lambda x: x > 0, "must be positive"),
    ("adversarial_weight penalty_weight", lambda x: x >= 0, "must not be negative"),
    ("layers", lambda x: len(x) == LAYERS and set(x) <= set(KINDS), f"expected four letters of {', '.join(KINDS)}"),
    ("image_size", lambda n: n % 2 == 0, "must be even, the inputs have half of it"),
    ("image_size", lambda n: 12 <= n <= LARGEST, f"must lie between 12, which SSIM needs, and {LARGEST:,}"),
    ("fraction", lambda x: 0 < x <= 1, "must lie in (0, 1]"),
    ("crops", lambda n: 0 <= n <= LARGEST, f"must lie between 0 and {LARGEST:,}"),
    ("sizes", lambda n: 1 <= n <= 4, "must lie between 1 and 4"),
    ("average", lambda x: 0 <= x < 1, "must lie in [0, 1)"),
    ("start", lambda x: not x or re.fullmatch("[0-9a-f]{12}", x) is not None, "expected the id of a run"),
    ("seed", lambda n: 0 <= n < 2**63, "must not be negative, and less than 2^63"),
)
"""Fields, what holds for their values besides the type, and how that is said."""


def _check(config: Any) -> None:
    """Give all fields their types. Raises AgmError if one cannot have it, or breaks one of the `RULES`."""
    for name, hint in _hints(type(config)).items():
        value = _typed(name, getattr(config, name), hint)
        object.__setattr__(config, name, value)
        for fields, holds, must in RULES:
            if name in fields.split() and value is not None and not holds(value):
                raise AgmError(f"{name}={value!r}: {must}")


def _typed(name: str, value: Any, hint: Any) -> Any:
    """The value as its field holds it: YAML and papermill take 32 for a number, and 1e-4 for text."""
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        value = str(value) if type(value) is int else value
        if value not in choices:
            raise unknown(name, str(value), choices)
        return value
    if hint is float and type(value) in (int, str):
        with contextlib.suppress(ValueError, OverflowError):
            value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        wanted = getattr(hint, "__name__", hint)
        raise AgmError(f"{name}={value!r}: expected {wanted}, got {type(value).__name__}")
    if hint is float and not math.isfinite(value):  # JSON could not record it
        raise AgmError(f"{name}={value}: must be a finite number")
    return value
