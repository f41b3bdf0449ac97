"""A run's whole state in one file: both networks, both optimizers, the losses so far, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from agm import files
from agm.config import RunConfig
from agm.errors import AgmError
from agm.training.step import Networks


@dataclass
class Standing:
    """A run's standing. `rows` are those of metrics.csv; `seconds` is the training time so far, over all sittings.

    `images`: the fingerprint of the data set. `codes`: the hashes of the training code of all sittings.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    images: str = ""
    codes: list[str] = field(default_factory=list)


Tensors = dict[str, Tensor]


def save(path: Path, config: RunConfig, networks: Networks, losses: Tensor, good: Tensors, standing: Standing) -> None:
    """Write the state, all of it or nothing. `good`: the generator after the last whole epoch."""
    tensors = {"losses": losses} | {f"good.{name}": tensor for name, tensor in good.items()}
    for name, module, optimizer in _parts(networks):
        tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        for number, values in optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{name}.{number}.{key}": value for key, value in values.items()}
    if networks.average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in networks.average.state_dict().items()}
    meta = {"kind": "checkpoint", "id": config.id, "progress": vars(standing)}
    files.write_tensors(path, tensors, meta)


def resume(path: Path, config: RunConfig, networks: Networks, losses: Tensor, good: Tensors) -> Standing:
    """Put networks, optimizers, losses and `good` into the state of the checkpoint, if there is one.

    Raises AgmError if the file is damaged or belongs to another run.
    """
    if not path.exists():
        return Standing()
    tensors, meta = files.read_tensors(path)
    if meta.get("kind") != "checkpoint" or meta.get("id") != config.id:
        raise AgmError(f"{path}: is no checkpoint of run {config.id}; move it away to start anew")
    try:
        return _restore(tensors, meta["progress"], networks, losses, good)
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise AgmError(f"{path}: was written by other code ({reason}); move it away to start anew") from None


def _restore(tensors: Tensors, standing: dict[str, Any], networks: Networks, losses: Tensor, good: Tensors) -> Standing:
    for name, module, optimizer in _parts(networks):
        module.load_state_dict(with_prefix(tensors, f"{name}."))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in with_prefix(tensors, f"adam.{name}.").items():
            number, field_ = key.split(".")
            state.setdefault(int(number), {})[field_] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    if networks.average is not None:
        networks.average.load_state_dict(with_prefix(tensors, "average."))
    losses.copy_(tensors["losses"])
    good.update(with_prefix(tensors, "good."))
    return Standing(**standing)


def with_prefix(tensors: Tensors, prefix: str) -> Tensors:
    """The tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _parts(networks: Networks) -> list[tuple[str, Any, Any]]:
    return [
        ("generator", networks.generator, networks.optimizer),
        ("critic", networks.critic, networks.critic_optimizer),
    ]
