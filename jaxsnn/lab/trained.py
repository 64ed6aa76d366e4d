"""Trained networks of run folders and files, to be used without the data that they were trained on."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn import analysis, files, interchange, training
from jaxsnn.batches import batches
from jaxsnn.data import Dataset
from jaxsnn.lab import fingerprints, profile, run_folder
from jaxsnn.lab.build import build, evaluated_apply, make_model
from jaxsnn.lab.config import Config
from jaxsnn.lab.inputs import make_prepare
from jaxsnn.lab.results import restored
from jaxsnn.lab.stored import changed, opened, unchanged
from jaxsnn.training.state import EVALUATE
from jaxsnn.typing import Apply, Array


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
    """A trained network, from `load_run` or `pretrained.load`."""

    config: Config
    """The configuration of its run; `config.network` tells all about its neurons."""
    params: Any
    """Weights, nested dicts."""
    model_state: Any
    """Running statistics and constants, likewise."""
    seed: int
    """The seed of its run, from which the random numbers of its input come."""
    outline: Dataset
    """The data set that it was trained on without its numbers."""
    facts: Mapping[str, Any]
    """Test accuracy, command, commit, date, device and versions of the training, where a file tells them."""
    apply: Apply
    """`(params, model_state, x [T, B, ...]) -> (output, model_state)`, as of `models.functionalize`."""
    prepare: Callable[[Array, Array], Array]
    """`(key, samples [B, ...]) -> x [T, B, ...]`: normalises and encodes samples as they come from the data set."""
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
        key, labels = training.key_for(self.seed, EVALUATE, 1), jnp.zeros(len(x), jnp.int32)
        parts = batches(key, jnp.asarray(x), labels, self.config.training.evaluation_batch)
        chances = np.concatenate(
            [
                np.asarray(self.answer(self.params, self.model_state, part.keys, part.samples))[part.inside]
                for part in parts
            ]
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
        observed = self.measure(self.params, self.model_state, key, x, labels)
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
    data = fingerprints.outline(folder)
    state, _ = restored(build(config, data), run, folder, which)
    return _trained(config, *state.weights, run.seed, data)


def write(
    path: Path,
    config: Config,
    params: Any,
    model_state: Any,
    sample: Mapping[str, Any],
    facts: Mapping[str, Any],
    *,
    half: bool = False,
) -> None:
    """Writes a network with all that is needed to run it to a safetensors file: see `read`.

    Args:
      path: the file.
      config: of the run.
      params, model_state: the numbers.
      sample: what the samples are, `fingerprints.SAMPLE` of the run's data.
      facts: what is told of it, e.g. accuracy and command.
      half: as in `interchange.save_weights`.

    Raises:
      OSError, ValueError: as `interchange.save_weights`.
    """
    data = fingerprints.imagined(config.data.dataset, sample)
    told = {"config": changed(config), "sample": sample, "facts": facts}
    interchange.save_weights(
        path,
        make_model(config, data, config.training.seed),
        params,
        model_state,
        half=half,
        **{name: json.dumps(value) for name, value in told.items()},
    )


def read(path: Path) -> Trained:
    """The network in a file of `write`, which an export of the format safetensors is.

    Raises:
      ValueError: for a file that is none, damaged or changed, or that needs fields that this version has not.
      OSError: if it cannot be read.
    """
    told = interchange.read_facts(path)
    if missing := {"config", "sample", "facts"} - told.keys():
        raise ValueError(f"{path} holds weights alone, without {', '.join(sorted(missing))}: use load_weights")
    config = unchanged(json.loads(told["config"]), path)
    data = fingerprints.imagined(config.data.dataset, json.loads(told["sample"]))
    params, model_state = interchange.load_weights(path, make_model(config, data, config.training.seed))
    facts = json.loads(told["facts"])
    return _trained(config, params, model_state, config.training.seed, data, facts)


def _trained(
    config: Config,
    params: Any,
    model_state: Any,
    seed: int,
    data: Dataset,
    facts: Mapping[str, Any] | None = None,
) -> Trained:
    prepare, apply = make_prepare(config), evaluated_apply(config, make_model(config, data, seed))

    @jax.jit
    def answer(params: Any, model_state: Any, keys: jax.Array, samples: jax.Array) -> jax.Array:
        output, _ = apply(params, model_state, prepare(keys, samples), train=False)
        return jax.nn.softmax(output.logits)

    measure = profile.make_profile(config, data) if config.network.spiking else None
    return Trained(config, params, model_state, seed, data, facts or {}, apply, prepare, answer, measure)
