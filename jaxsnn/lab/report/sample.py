"""The inside of a trained network that sees a sample: spikes, membranes, filters."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsnn import models, training
from jaxsnn.batches import layer_names
from jaxsnn.encoding import ENCODINGS
from jaxsnn.lab import fingerprints
from jaxsnn.lab.build import build, make_model, restore
from jaxsnn.lab.config import Config
from jaxsnn.lab.inputs import make_prepare
from jaxsnn.lab.run_folder import Run
from jaxsnn.lab.splits import load_data, split
from jaxsnn.training.state import EVALUATE


class Neuron(NamedTuple):
    """One neuron over time."""

    potentials: np.ndarray
    """Before the reset, `[T]`."""
    spikes: np.ndarray
    """`[T]`."""
    threshold: float


class Sample(NamedTuple):
    """One test sample in one trained network."""

    run: str
    step: int
    """After which step of the training the network was stored."""
    number: int
    """Number of the sample in the test set."""
    label: int
    answer: int
    """The class that the network says."""
    classes: tuple[str, ...]
    """Names of the classes."""
    image: np.ndarray | None
    """`[...]`, as in the data set; None for event data."""
    trains: dict[str, np.ndarray]
    """Layer name to spikes `[T, ...]`, in network order."""
    potentials: np.ndarray
    """Potentials of the readout, `[T, classes]`."""
    neurons: dict[str, Neuron]
    """By layer and position, one of every layer."""
    filters: np.ndarray | None
    """Weights of the first convolution `[height, width, channels, features]`; None without one."""
    weights: int

    @property
    def picture(self) -> np.ndarray:
        """The image; of event data, where events were."""
        return self.trains["input"].sum(0) if self.image is None else self.image


def look(config: Config, run: Run, folder: Path, *, step: int | None, number: int) -> Sample:
    """Shows a network of a run folder a sample.

    Args:
      config: of the run, with the folders where the data is now.
      run: the network.
      folder: the network's folder.
      step: which checkpoint; None for the last.
      number: of the sample in the test set.

    Raises:
      ValueError, OSError, ImportError: if the data cannot be loaded, or has no such sample.
      CheckpointError: if there is no such checkpoint, or it is damaged.
    """
    data = load_data(config)
    fingerprints.check(folder.parent, fingerprints.sums(data))
    program = build(config, data)
    state = restore(program, run.seed, folder, step)
    test = split(config, data, run.fold).test
    if not 0 <= number < len(test.labels):
        raise ValueError(f"sample must be one of the test samples 0 to {len(test.labels) - 1}, got {number}")
    module = make_model(config, data, run.seed)
    prepare, membranes = make_prepare(config), models.membranes(module)

    @jax.jit
    def observe(params: Any, model_state: Any, x: jax.Array) -> tuple[Any, ...]:
        output, _ = program.apply(params, model_state, x, train=False, record=True)
        return output.logits, output.spikes, output.potentials, membranes(params, model_state, output.spikes)

    keys = training.key_for(run.seed, EVALUATE, test.number, np.asarray([number]))  # the spikes of every evaluation
    x = prepare(keys, test.images[number : number + 1])
    logits, trains, potentials, traces = jax.device_get(observe(*state.weights, x))
    return Sample(
        run=run.name,
        step=int(state.step),
        number=number,
        label=int(test.labels[number]),
        answer=int(logits[0].argmax()),
        classes=data.classes or tuple(map(str, range(data.num_classes))),
        image=None if ENCODINGS[config.network.encoding].frames else np.asarray(test.images[number], np.float32),
        trains={name: trains[name][:, 0] for name in layer_names(program.apply)},
        potentials=potentials[:, 0],
        neurons=dict(
            _typical(name, trains[name][:, 0], traces[name]) for name in layer_names(program.apply) if name in traces
        ),
        filters=_filters(module, state.weights[0]),
        weights=sum(leaf.size for leaf in jax.tree.leaves(state.params)),
    )


def _filters(module: models.Network, params: Any) -> np.ndarray | None:
    """The kernel of the first convolution."""
    names = [connection.name for connection in models.connections(module) if connection.kind == "conv"]
    if not names:
        return None
    for part in names[0].split("/"):
        params = params[part]
    return np.asarray(params["kernel"])


def _typical(name: str, train: np.ndarray, membrane: models.Membrane) -> tuple[str, Neuron]:
    """The neuron with the median spike count of those that fired; if none did, the one that came closest."""
    flat, potentials = train.reshape(len(train), -1), np.asarray(membrane.potentials)[:, 0].reshape(len(train), -1)
    counts = flat.sum(0)
    fired = np.flatnonzero(counts)
    chosen = (
        fired[np.argsort(counts[fired], kind="stable")[len(fired) // 2]] if len(fired) else potentials.max(0).argmax()
    )
    place = ", ".join(str(index) for index in np.unravel_index(int(chosen), train.shape[1:]))
    return f"{name} [{place}]", Neuron(potentials[:, chosen], flat[:, chosen], float(np.mean(membrane.threshold)))
