"""Weights to start from: those of another run, of its converted network, or of a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxsnn import conversion, files, models, training
from jaxsnn.lab import trained
from jaxsnn.lab.build import make_model
from jaxsnn.lab.config import Config
from jaxsnn.lab.convert import converted
from jaxsnn.synapses import Connection


def start_from(config: Config, state: training.TrainState, connections: tuple[Connection, ...]) -> training.TrainState:
    """A run before its first step, with the weights that `config.network.init_from` names, if it does.

    A folder with a converted network gives that, scaled to the thresholds of this run. Any other gives its own network
    (the epoch with the best validation accuracy): weights, norms with their running statistics, and what its neurons
    learn. Leaks, thresholds and dropout that are not learned stay as configured.

    Raises:
      ValueError: if there is none, or it is of another architecture.
      CheckpointError: if a checkpoint is missing or damaged.
    """
    if not config.network.init_from:
        return state
    path = files.local(config.network.init_from)
    if config.network.spiking and (path / converted.FILE).exists():
        net = converted.read(path)
        params, model_state = conversion.initialise(state.params, state.model_state, net, connections)
    else:
        params, model_state = _taken(path, state.params, state.model_state)
    return state._replace(params=params, model_state=model_state)


def _taken(path: Path, params: Mapping[str, Any], model_state: Mapping[str, Any]) -> tuple[Any, Any]:
    """Weights and running statistics of the trained network in a run folder or file."""
    net = trained.read(path) if path.suffix == ".safetensors" else trained.load_run(path)
    module = models.filled(make_model(net.config, net.outline, net.seed), net.params, net.model_state)
    theirs, given = models.statistics(module), flatten_dict(net.params, sep="/")
    needed = {name for name in flatten_dict(params, sep="/") if "neurons" not in name.split("/")}  # ReLUs learn nothing
    if missing := sorted(needed - given.keys()):
        raise ValueError(f"cannot start from {path}: its network has no {', '.join(missing)}")
    return _changed(path, params, given), _changed(path, model_state, flatten_dict(theirs, sep="/"))


def _changed(path: Path, tree: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """The numbers with those that are given in their places."""
    flat = flatten_dict(tree, sep="/")
    for name, value in given.items():
        here = "no such numbers" if name not in flat else f"{list(flat[name].shape)}"
        if here != f"{list(value.shape)}":
            raise ValueError(f"cannot start from {path}: its network has {name} {list(value.shape)}, this one {here}")
        flat[name] = jnp.asarray(value, flat[name].dtype)
    return unflatten_dict(flat, sep="/")
