"""The profile of a trained network: activity, operations, energy, early exit (for `jaxsnn.lab.evaluate`)."""

import math
from typing import Any

import numpy as np

from jaxsnn import analysis, models, training
from jaxsnn.data import Dataset
from jaxsnn.lab.build import make_model
from jaxsnn.lab.config import Config
from jaxsnn.lab.inputs import make_encode
from jaxsnn.training.state import EVALUATE

ENERGIES: dict[str, dict[str, Any]] = {
    "int32": {"table": "int32"},
    "int32 with neurons": {"table": "int32", "neurons": True},
    "float32": {"table": "float32"},
    "float32 with neurons": {"table": "float32", "neurons": True},
    "int32 with memory": {"table": "int32", "memory": "32 kB"},
}
"""How energy is counted, by the name that it has in `evaluation.json`; without more, as the paper counts."""


def make_profile(config: Config, data: Dataset) -> analysis.RunProfile:
    """The pass over a data set, `(params, model_state, key, samples, labels) -> Profile`, the same for every seed."""
    model = make_model(config, data, config.training.seed)
    return analysis.make_profile(
        models.functionalize(model)[0],
        make_encode(config),
        models.connections(model),
        steps=config.network.time_steps,
        chunk=models.causal_chunk(model, config.network.time_steps, config.network.time_chunk),
        batch_size=config.training.evaluation_batch,
        effective=True,
    )


def observe(run: analysis.RunProfile, state: training.TrainState, samples: training.Tested) -> analysis.Profile:
    """Observes a network on the spikes on which `training.make_evaluate` evaluates it.

    Raises:
      ValueError: if there is no sample.
    """
    images, labels, number = samples
    return run(*state.weights, training.key_for(state.seed, EVALUATE, number), images, labels)


def leaky(config: Config) -> bool:
    """Whether any neuron of the network leaks, and so multiplies at every step."""
    return config.network.leak < 1 or bool(config.network.leaks) or "leak" in config.network.learn


def numbers(config: Config, observed: analysis.Profile, state: training.TrainState) -> dict[str, Any]:
    """Plain values for `evaluation.json`; None in place of nan. Energies in pJ, all else per inference."""
    accuracy, exits = observed.answers.accuracy, analysis.early_exit(observed.answers)
    by_class = observed.spikes_by_class()
    metrics = analysis.neurobench(observed, *state.weights)
    profile = {
        "steps": observed.steps,
        "samples": len(observed.labels),
        "activity": {name: _activity(layer, by_class[name]) for name, layer in observed.layers.items()},
        "operations": {name: float(count.mean()) for name, count in observed.operations.items()},
        "energy": {name: report.as_dict() for name, report in energies(config, observed).items()},
        "neurobench": metrics._asdict(),
        "early_exit": {name: values.tolist() for name, values in exits._asdict().items()},
        "steps_to_final_accuracy": analysis.steps_needed(accuracy, float(accuracy[-1])),
    }
    return finite(profile)


def energies(config: Config, observed: analysis.Profile) -> dict[str, analysis.EnergyReport]:
    """The energy of one inference, by every name of `ENERGIES`."""
    return {name: analysis.energy(observed, leaky=leaky(config), **how) for name, how in ENERGIES.items()}


def show(config: Config, observed: analysis.Profile) -> None:
    """Prints activity, energy and early exit."""
    print("\nlayer           neurons  spikes per inference    rate  silent  saturated  interval  variation  synchrony")
    for name, layer in observed.layers.items():
        chi = _mean(layer.synchrony)
        print(
            f"{name:<14}{layer.neurons:9,d}{layer.spikes.mean():22,.1f}{layer.rate:8.4f}{layer.silent:8.1%}"
            f"{layer.saturated:11.1%}{layer.interval_mean:10.2f}{layer.interval_variation:11.2f}{chi:11.4f}"
        )
    for report in energies(config, observed).values():
        print(f"\n{report}")
    accuracy, exits = observed.answers.accuracy, analysis.early_exit(observed.answers)
    print(
        f"\nearly exit, chosen on these samples: accuracy {100 * accuracy[-1]:.2f} % after all {observed.steps} steps"
    )
    for less in (0.0, 0.001, 0.005, 0.01):
        target = float(accuracy[-1]) - less
        cheapest, needed = exits.cheapest(target), analysis.steps_needed(accuracy, target)
        if cheapest is not None:
            text = f"margin {exits.margins[cheapest]:.3f}: {exits.steps[cheapest]:.2f} steps on average"
            print(f"  {100 * target:6.2f} % or more: {text}; without margins {needed} steps")


def _activity(layer: analysis.Firing, by_class: np.ndarray) -> dict[str, Any]:
    return {
        "neurons": layer.neurons,
        "spikes": float(layer.spikes.mean()),
        "spikes_by_class": by_class.tolist(),
        "rate": layer.rate,
        "silent": layer.silent,
        "silent_per_sample": float(layer.silent_per_sample.mean()),
        "saturated": layer.saturated,
        "interval_bins": list(layer.interval_bins),
        "intervals": layer.intervals.reshape(len(layer.intervals), -1).sum(1).tolist(),
        "interval_mean": layer.interval_mean,
        "interval_variation": layer.interval_variation,
        "synchrony": _mean(layer.synchrony),
        "analog": layer.analog,
    }


def _mean(values: np.ndarray) -> float:
    """Over the samples for which there is a number."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def finite(value: Any) -> Any:
    """JSON has no nan and no infinity: None instead."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
