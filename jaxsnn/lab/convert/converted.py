"""The converted network of a run: made of its ReLU twin, kept as `converted.npz`."""

import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxsnn import conversion, files, models, neurons, training
from jaxsnn.conversion import Converted
from jaxsnn.data import Dataset
from jaxsnn.lab.build import make_model
from jaxsnn.lab.config import Config
from jaxsnn.lab.inputs import make_encode, make_prepare
from jaxsnn.training.state import LOOK

FILE = "converted.npz"
BATCH = 100
"""Training images per batch where thresholds are measured."""


def make(
    config: Config,
    twin: Config,
    data: Dataset,
    params: Any,
    images: jax.Array,
    *,
    balance: str,
    percentile: float,
    reset: str,
    pool: str,
    samples: int,
    steps: int,
) -> tuple[Converted, models.Network]:
    """Converts a ReLU network.

    Args:
      config: of the run whose input the converted network gets.
      twin: configuration of the twin.
      data: the data set.
      params: weights of the twin.
      images: training images, not yet prepared.
      balance: "diehl", thresholds from activations of `samples` images, or "sengupta", from the currents of one batch
        over `steps` steps per layer.
      percentile: of the activations or currents.
      reset, pool: of the converted network.
      samples, steps: see `balance`.

    Returns:
      The converted network, and a module of its architecture.

    Raises:
      ValueError: naming the layer that cannot be converted.
    """
    shape = twin.replace(pool=pool, dropout=0.0)
    module = make_model(shape, data, 0, neurons=neurons.lif(leak=1.0, reset=reset))  # type: ignore[arg-type]
    apply, _, state = models.functionalize(module)
    connections = models.connections(module)
    gain, key = config.network.gain if config.network.encoding == "poisson" else 1.0, training.key_for(0, LOOK)
    if balance == "sengupta":
        options: dict[str, Any] = {"key": key, "steps": steps, "gain": gain, "percentile": percentile}
        return conversion.thresholds_from_currents(
            apply, params, state, connections, make_encode(config), images[:BATCH], **options
        ), module
    relu, _, model_state = models.functionalize(make_model(shape, data, 0))
    see, size = make_prepare(twin), min(BATCH, samples, len(images))
    starts = range(0, min(samples, len(images)) - size + 1, size)
    largest = conversion.largest_activations(
        relu, params, model_state, (see(key, images[begin : begin + size]) for begin in starts), percentile=percentile
    )
    return conversion.thresholds_from_activations(params, state, connections, largest, gain=gain), module


def write(folder: Path, net: Converted) -> Path:
    """Writes the network into a run folder, whole or not at all; returns the file."""
    flat: dict[str, Any] = {name: np.asarray(value) for name, value in flatten_dict(net._asdict(), sep=":").items()}
    return files.write_whole(folder / FILE, lambda stream: np.savez(stream, **flat))


def read(folder: Path) -> Converted:
    """The network of a run folder.

    Raises:
      ValueError: if there is none, or it is damaged.
    """
    path = folder / FILE
    if not path.exists():
        raise ValueError(
            f"{folder} holds no converted network (no {FILE}): "
            f"make one with python -m jaxsnn.lab.convert --run={folder}"
        )
    try:
        with np.load(path) as file:
            content = unflatten_dict({name: file[name] for name in file.files}, sep=":")
        return Converted(content["params"], content["state"], {k: float(v) for k, v in content["scales"].items()})
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged ({error}): run python -m jaxsnn.lab.convert again") from error
