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
import types
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
    before iteration 1, or, with the light base, the features that its image was made from. There zeros means features,
    since these begin as zeros.
    `upsampling`: the static layer C.2.
    `residual`: let D predict a correction to bicubic upsampling instead of the image.
    `peephole`: ConvLSTM with the peephole terms of Section II-C, one weight per channel.
    """

    layers: str = "rrrr"
    width: int = 64
    iterations: int = 10
    statistics: Statistics = "shared"
    feedback: Literal["zeros", "bicubic", "features"] = "zeros"
    upsampling: Literal["nearest", "bilinear"] = "nearest"
    residual: bool = False
    peephole: bool = False
    base: Literal["paper", "light"] = "paper"

    def __post_init__(self) -> None:
        _check_types(self)
        if self.base == "light":
            object.__setattr__(self, "feedback", "features" if self.feedback == "zeros" else self.feedback)
            object.__setattr__(self, "residual", True)
        elif self.feedback == "features":
            raise AgmError("feedback='features': the paper's base feeds its images back; choose base=light")
        if len(self.layers) != LAYERS or not set(self.layers) <= set(KINDS):
            raise AgmError(f"layers={self.layers!r}: expected four letters of {', '.join(KINDS)}, such as 'nnnr'")
        _check_positive(self, "width", "iterations")

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
    """

    dataset: str = "cars"
    image_size: int = 64
    fraction: float = 1.0
    train_images: int | None = None
    validation_images: int | None = None
    test_images: int | None = None
    crops: int = 0

    def __post_init__(self) -> None:
        _check_types(self)
        _check_positive(self, "image_size", "train_images", "validation_images", "test_images")
        if self.image_size % 2:
            raise AgmError(f"image_size={self.image_size}: must be even, the inputs have half of it")
        if self.image_size < 12:
            raise AgmError(f"image_size={self.image_size}: must be at least 12, SSIM has a window of 11 pixels")
        if not 0 < self.fraction <= 1:
            raise AgmError(f"fraction={self.fraction}: must lie in (0, 1]")
        if not 0 <= self.crops <= LARGEST:
            raise AgmError(f"crops={self.crops}: must lie between 0 and {LARGEST:,}")


@dataclass(frozen=True)
class TrainingConfig:
    """The training of the two networks (Sections II-E and III-A).

    `schedule`: AEL notation or NOAEL, A, B; stored spelt out. Validation and test use it in any case.
    `sampling`: train with that schedule (fixed, as the paper does), or with three in each step, the fullest, the
    cheapest and a random one between them, so that one network serves any schedule (`agm.schedule.sandwich`), or
    (prefix) with its first iteration alone, its first two, or all of them, equally often.
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

    def __post_init__(self) -> None:
        _check_types(self)
        object.__setattr__(self, "schedule", str(Schedule.parse(self.schedule)))
        _check_positive(
            self,
            "epochs",
            "batch_size",
            "learning_rate",
            "adam_epsilon",
            "gradient_clip",
            "weight_clip",
            "critic_width",
        )
        if self.adversarial_weight < 0 or self.penalty_weight < 0:
            raise AgmError("adversarial_weight and penalty_weight must not be negative")
        if not 0 <= self.average < 1:
            raise AgmError(f"average={self.average}: must lie in [0, 1)")


ADDED: dict[str, set[tuple[str, Any]]] = {
    "generator": {("base", "paper")},
    "data": {("crops", 0)},
    "training": {("sampling", "fixed"), ("loss", "mse"), ("decay", "none"), ("average", 0.0)},
}
"""Fields that were added later, by part, with the value that stands for how it was before."""


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the result of one training run. Its hash is the run's identity."""

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        _check_types(self)
        if not 0 <= self.seed < 2**63:
            raise AgmError(f"seed={self.seed}: must not be negative, and less than 2^63")
        length = len(Schedule.parse(self.training.schedule))
        if length != self.generator.iterations:
            raise AgmError(f"the schedule has {length} iterations, the generator {self.generator.iterations}")

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits; equal configurations have equal ids on every machine."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        parts = {"generator": self.generator, "data": self.data, "training": self.training}
        values: dict[str, Any] = {name: dict(vars(part)) for name, part in parts.items()} | {"seed": self.seed}
        for part, added in ADDED.items():  # runs that were recorded before there was a choice keep their ids
            values[part] = {name: value for name, value in values[part].items() if (name, value) not in added}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """Inverse of `to_dict`. Raises AgmError on an unknown or ill-typed field."""
        return from_dict(cls, values)

    def replace(self, **fields: Any) -> RunConfig:
        """A copy with some fields changed, whichever part they belong to: `config.replace(layers="nnnr", seed=1)`.

        With another base come its own defaults of `feedback` and `residual`, which the light base sets.
        """
        owners = field_owners()
        if fields.get("base", self.generator.base) != self.generator.base:
            fields = {"feedback": GeneratorConfig.feedback, "residual": GeneratorConfig.residual} | fields
        parts: dict[str, dict[str, Any]] = {}
        for name, value in fields.items():
            if name not in owners:
                raise unknown("parameter", name, owners)
            parts.setdefault(owners[name], {})[name] = value
        changes: dict[str, Any] = parts.pop("", {})
        for part, values in parts.items():
            changes[part] = dataclasses.replace(getattr(self, part), **values)
        return dataclasses.replace(self, **changes)


def field_owners() -> dict[str, str]:
    """Name of every configuration field -> the part of a RunConfig that holds it ("" for the run's own)."""
    parts = {"generator": GeneratorConfig, "data": DataConfig, "training": TrainingConfig}
    owners = {f.name: part for part, cls in parts.items() for f in dataclasses.fields(cls)}
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


def _check_types(config: Any) -> None:
    for name, hint in _hints(type(config)).items():
        value = getattr(config, name)
        if hint is float and type(value) is int and abs(value) < 2**1023:
            object.__setattr__(config, name, float(value))
        elif typing.get_origin(hint) is Literal:
            if type(value) is int and str(value) in typing.get_args(hint):  # YAML and papermill take 32 for a number
                object.__setattr__(config, name, str(value))
            elif value not in typing.get_args(hint):
                raise unknown(name, str(value), map(str, typing.get_args(hint)))
        elif not isinstance(value, _runtime_type(hint)) or (isinstance(value, bool) and hint is not bool):
            wanted = str(getattr(hint, "__name__", hint))
            raise AgmError(f"{name}={value!r}: expected {wanted}, got {type(value).__name__}{_hint(value)}")
        if hint is float and not math.isfinite(getattr(config, name)):  # JSON could not record it
            raise AgmError(f"{name}={value}: must be a finite number")


def _hint(value: Any) -> str:
    """YAML, and so papermill -y, takes 1e-4 for text."""
    with contextlib.suppress(ValueError, TypeError):
        mantissa, e, exponent = str(value).lower().partition("e")
        if e and isinstance(value, str) and math.isfinite(float(value)) and "." not in mantissa:
            return f"; in YAML a number needs a point, {mantissa}.0e{exponent}"
    return ""


def _runtime_type(hint: Any) -> Any:
    return hint if not isinstance(hint, types.UnionType) else typing.get_args(hint)


def _check_positive(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise AgmError(f"{name}={value}: must be positive")
        if isinstance(value, int) and value > LARGEST:
            raise AgmError(f"{name}={value}: must not be larger than {LARGEST:,}")
