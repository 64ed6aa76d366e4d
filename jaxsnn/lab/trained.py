"""Trained networks of run folders, to be used without the data that they were trained on."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn import analysis, files, training
from jaxsnn.batches import batches
from jaxsnn.data import Dataset
from jaxsnn.lab import fingerprints, profile, run_folder
from jaxsnn.lab.build import build, restore
from jaxsnn.lab.config import Config
from jaxsnn.lab.inputs import make_prepare
from jaxsnn.lab.results import scores
from jaxsnn.lab.stored import opened
from jaxsnn.training.state import EVALUATE


class Prediction(NamedTuple):
    """The answer of a network to one sample."""

    name: str
    """The class."""
    number: int
    """The class as a number."""
    confidence: float
    """Softmax of the logits for this class, in (0, 1]; it is not calibrated."""
    spikes: int | None
    """The number in all hidden layers over all steps; None of a ReLU network, and so are the next two."""
    steps: int | None
    """The first step, from 1 on, from which the answer is this one to the end."""
    energy: float | None
    """The energy of its synaptic operations, in pJ (45 nm, int32), as `evaluation.json` counts."""


class Trained(NamedTuple):
    """A trained network of a run, from `load_run`."""

    config: Config
    state: training.TrainState
    outline: Dataset
    """The data set that it was trained on without its numbers."""
    answer: Any
    """`(keys [B], samples [B, ...]) -> softmax of the logits [B, classes]`."""
    measure: analysis.RunProfile | None
    """None of a ReLU network."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a sample."""
        return self.outline.train.samples.shape[1:]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.outline.classes or tuple(map(str, range(self.outline.num_classes)))

    def predict(self, samples: Any) -> list[Prediction]:
        """The answers to samples `[N, ...]`, or to one `[...]`.

        They are encoded and normalised as in the run, the sample number i with the random numbers of the test sample
        number i.

        Args:
          samples: of the shape and dtype that the network was trained on; float64 is rounded to float32, and grey
            images may come without their channel.

        Raises:
          ValueError: if they have another shape, or a number is not finite.
          TypeError: if they have another dtype.
        """
        x = self._checked(np.asarray(samples))
        key, labels = training.key_for(self.state.seed, EVALUATE, 1), jnp.zeros(len(x), jnp.int32)
        parts = batches(key, jnp.asarray(x), labels, self.config.training.evaluation_batch)
        chances = np.concatenate(
            [np.asarray(self.answer(*self.state.weights, part.keys, part.samples))[part.inside] for part in parts]
        )
        numbers = chances.argmax(-1).astype(np.int32)
        costs = [(None, None, None)] * len(x) if self.measure is None else self._costs(key, x, numbers)
        return [
            Prediction(self.classes[n], int(n), float(row[n]), *cost)
            for n, row, cost in zip(numbers, chances, costs, strict=True)
        ]

    def _costs(self, key: jax.Array, x: np.ndarray, labels: np.ndarray) -> list[tuple[int, int, float]]:
        """Spikes, steps and energy of each sample."""
        assert self.measure is not None
        observed = self.measure(*self.state.weights, key, x, labels)
        inside = analysis.counts(observed)
        found = []
        for i in range(len(x)):
            operations = {name: float(count[i]) for name, count in observed.operations.items()}
            spikes = {name: float(layer.spikes[i]) for name, layer in observed.layers.items()}
            one = inside._replace(samples=1, operations=operations, spikes=spikes)
            hidden = int(sum(count for name, count in spikes.items() if name != "input"))
            steps = analysis.steps_needed(observed.answers.correct[:, i].astype(float), 1.0)
            energy = analysis.energy(one, leaky=profile.leaky(self.config), **profile.ENERGIES["int32"])
            found.append((hidden, steps or observed.steps, energy.synapses.spiking))
        return found

    def _checked(self, samples: np.ndarray) -> np.ndarray:
        """Samples `[N, ...]` as the network takes them."""
        shape, dtype = self.shape, self.outline.train.samples.dtype
        for full in (samples, samples[..., None] if shape[-1] == 1 else samples):
            if full.shape in (shape, (len(full), *shape)) and full.size:
                samples = full.reshape(-1, *shape)
                break
        else:
            raise ValueError(f"expected samples [N, {', '.join(map(str, shape))}] or one, got {list(samples.shape)}")
        both = np.issubdtype(samples.dtype, np.floating) and np.issubdtype(dtype, np.floating)
        if samples.dtype != dtype and not both:
            raise TypeError(f"expected samples of dtype {dtype}, on which the network was trained, got {samples.dtype}")
        if both and not np.isfinite(samples).all():
            raise ValueError("samples have a number that is not finite")
        return samples.astype(dtype)


def load_run(folder: str | Path, *, network: str = "", which: str = "selected") -> Trained:
    """A trained network of a run folder: `lab.load_run("runs/own").predict(images)`.

    Args:
      folder: the run folder; its data is not needed.
      network: name of the run in it, e.g. "seed1"; empty for the first.
      which: "selected", the epoch with the best validation accuracy, or "last". Where the run keeps a running mean of
        its weights (`ema`), it is that mean.

    Raises:
      ValueError: if the folder holds no such network, or does not say what samples it takes.
      CheckpointError: if a checkpoint is missing or damaged.
    """
    folder = files.local(folder)
    config = opened(run_folder.read_config(folder).replace(data_dir="", cache_dir=""))
    named = {run.name: run for run in run_folder.runs(config)}
    run = named.get(network or next(iter(named)))
    if run is None or which not in ("selected", "last"):
        raise ValueError(
            f"{folder} has no network {network or 'named'!r} ({which}): it has {', '.join(named)}, selected and last"
        )
    rows = training.MetricsFile(folder / run.name / "metrics.jsonl").read()
    if not any("test_accuracy" in row for row in rows):
        raise ValueError(f"{folder / run.name} has no evaluated epoch yet: let the training go on with --resume")
    data = fingerprints.outline(folder)
    program = build(config, data)
    step = scores(run, rows, 0.0)["selected_step"] if which == "selected" else None
    state = restore(program, run.seed, folder / run.name, step)
    prepare = make_prepare(config)

    @jax.jit
    def answer(params: Any, model_state: Any, keys: jax.Array, samples: jax.Array) -> jax.Array:
        output, _ = program.apply(params, model_state, prepare(keys, samples), train=False)
        return jax.nn.softmax(output.logits)

    measure = profile.make_profile(config, data) if config.network.spiking else None
    return Trained(config, state, data, answer, measure)
