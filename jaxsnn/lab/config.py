"""One frozen configuration of an experiment, in four groups; every field of a group is a flag."""

import dataclasses
import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from jaxsnn.data import DATASETS, source_of
from jaxsnn.encoding import ENCODINGS
from jaxsnn.lab.data import DataConfig
from jaxsnn.lab.groups import RunConfig, TrainingConfig
from jaxsnn.lab.network import NetworkConfig
from jaxsnn.lab.options import LARGEST, per_layer
from jaxsnn.losses import LOSSES

PARAMS = "neuron_params."


@dataclass(frozen=True)
class Config:
    """The configuration of one run; presets are functions that return one."""

    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    run: RunConfig = field(default_factory=RunConfig)

    @classmethod
    def of(cls, **fields: Any) -> "Config":
        """The defaults with other values of some fields, of whatever group.

        Raises:
          ValueError: if a value is not allowed, or values do not go together.
          TypeError: if there is no such field.
        """
        return cls().replace(**fields)

    def replace(self, **fields: Any) -> "Config":
        """This configuration with other values of some fields, of whatever group; raises as `of`.

        One parameter of a cell is named `neuron_params.<parameter>`.
        """
        params = {name.removeprefix(PARAMS): fields.pop(name) for name in list(fields) if name.startswith(PARAMS)}
        if params:
            given = per_layer(fields.get("neuron_params", self.network.neuron_params)) | params
            fields["neuron_params"] = tuple(f"{name}:{value!r}" for name, value in given.items())
        if strange := sorted(fields.keys() - FIELDS.keys()):
            near = difflib.get_close_matches(strange[0], FIELDS, 1)
            raise TypeError(
                f"a configuration has no field {strange[0]!r}{f', did you mean {near[0]!r}?' if near else ''}"
            )
        groups = {}
        for name, group in GROUPS.items():
            changes = {f.name: fields[f.name] for f in dataclasses.fields(group) if f.name in fields}
            groups[name] = dataclasses.replace(getattr(self, name), **changes)
        return Config(**groups)

    def flat(self) -> dict[str, Any]:
        """The values of all fields by name."""
        return {name: value for group in GROUPS for name, value in vars(getattr(self, group)).items()}

    def values(self, names: Iterable[str]) -> dict[str, Any]:
        """The values of some fields by name; of one parameter of a cell by `neuron_params.<parameter>`."""
        params = per_layer(self.network.neuron_params)
        every = self.flat() | {f"{PARAMS}{name}": value for name, value in params.items()}
        return {name: every[name] for name in names}

    def __post_init__(self) -> None:
        data, network, run = self.data, self.network, self.run
        if source_of(data.dataset).events != ENCODINGS[network.encoding].frames:
            events = ", ".join(name for name, source in DATASETS.items() if source.events)
            raise ValueError(
                f"{' and '.join(f'encoding={name}' for name, e in ENCODINGS.items() if e.frames)} belong to event data "
                f"({events}) and the others to images, "
                f"got dataset={data.dataset} with encoding={network.encoding}"
            )
        if ENCODINGS[network.encoding].frames and (data.mean or data.std or network.gain != 1):
            raise ValueError("event data is fed as it is: mean, std and gain are for images")
        training = self.training
        if training.short_epochs and (ENCODINGS[network.encoding].frames or training.short_steps >= network.time_steps):
            raise ValueError(
                "short_epochs train with fewer time steps than the others, of samples that are no frames, got "
                f"short_steps={training.short_steps}, time_steps={network.time_steps}, encoding={network.encoding}"
            )
        if training.short_epochs > training.epochs:
            raise ValueError(f"short_epochs={training.short_epochs} are more than epochs={training.epochs}")
        if network.truncate and not 0 < network.time_chunk < network.time_steps:
            raise ValueError(
                "truncate cuts backpropagation between chunks: give time_chunk from 1 to time_steps - 1, got "
                f"time_chunk={network.time_chunk}, time_steps={network.time_steps}"
            )
        if network.votes and not network.spiking:
            raise ValueError(f"relu neurons do not fire, so that they cannot vote: got votes={network.votes}")
        loss = self.training.loss
        if LOSSES[loss].fires and not network.votes:
            raise ValueError(f"loss={loss} asks when output neurons fire: give votes=1, or more neurons per class")
        if self.training.rate_weight and not network.spiking:
            raise ValueError(f"relu has no firing rates: rate_weight={self.training.rate_weight} goes without it")
        if data.folds > 1 and run.seeds > 1:
            raise ValueError(f"give folds or seeds, not both (got {data.folds} and {run.seeds}): folds share one seed")
        if network.init_from and run.multihost:
            raise ValueError("init_from is for one process: start without multihost, then resume with it")
        if self.training.seed + run.seeds - 1 > LARGEST:
            raise ValueError(f"seed={self.training.seed} with seeds={run.seeds}: the last seed must be <= {LARGEST}")


GROUPS: dict[str, Any] = {f.name: f.type for f in dataclasses.fields(Config)}
"""Name of a group to its class."""
FIELDS: dict[str, dataclasses.Field] = {f.name: f for group in GROUPS.values() for f in dataclasses.fields(group)}
"""Every field by name; its metadata is an `options.Option`."""


def fields_with(**metadata: Any) -> list[str]:
    """The fields with this metadata, e.g. `fields_with(traced="step")`."""
    return [name for name, f in FIELDS.items() if metadata.items() <= f.metadata.items()]
