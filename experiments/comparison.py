"""The networks of `experiments.convert` side by side: at equal accuracy, as a table, as figures."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxsnn.streaming import Streamed

SHOWN = (5, 10, 20, 50, 100, 200, 500, 1000, 2500)
"""Time steps at which the table shows accuracies, as far as the networks run."""


def numbers(curve: Streamed) -> dict[str, Any]:
    """What `convert.json` holds of one network: accuracy, and spikes per inference, up to every step."""
    return {
        "accuracy": float(curve.accuracy[-1]),
        "accuracy_at_step": [round(float(value), 6) for value in curve.accuracy],
        "spikes_at_step": [round(float(value), 2) for value in hidden_spikes(curve)],
        "input_spikes_at_step": [round(float(value), 2) for value in curve.spikes["input"]],
        "spikes_per_layer": {name: round(float(count[-1]), 2) for name, count in curve.spikes.items()},
    }


def hidden_spikes(curve: Streamed) -> np.ndarray:
    """Spikes of all layers but the input, per sample, up to every step `[T]`."""
    return np.sum([count for name, count in curve.spikes.items() if name != "input"], 0)


def compare(direct: Streamed, converted: Streamed, margin: float) -> dict[str, Any]:
    """Steps and spikes that both networks need for the accuracy that both have at the end, less a margin.

    A network needs t steps if its accuracy is not below the target after t steps or later.
    """
    target = max(min(direct.accuracy[-1], converted.accuracy[-1]) - margin, 0.0)
    found: dict[str, Any] = {"target": round(float(target), 6)}
    for name, curve in {"direct": direct, "converted": converted}.items():
        below = np.flatnonzero(curve.accuracy < target - 1e-9)
        steps = int(below[-1]) + 2 if len(below) else 1
        found[name] = {"steps": steps, "spikes": round(float(hidden_spikes(curve)[steps - 1]), 2)}
    for what in ("steps", "spikes"):
        found[f"{what}_ratio"] = round(found["converted"][what] / max(found["direct"][what], 1e-9), 3)
    return found


def table(summary: dict[str, Any]) -> str:
    """Markdown: a row per network."""
    equal, options = summary["equal_accuracy"], summary["options"]
    runs = {
        "direct": "direct training",
        "converted": f"converted, {options['balance']}, {options['percentile']:g} %, {options['reset']} reset",
    }
    longest = max(len(summary[name]["accuracy_at_step"]) for name in runs)
    shown = [steps for steps in SHOWN if steps <= longest]
    lines = [
        ["network", *(f"t = {steps:,}" for steps in shown), "last", f"steps to {_percent(equal['target'])}", "spikes"],
    ]
    lines.append(["ReLU", *("" for _ in shown), _percent(summary["relu"]["accuracy"]), "", ""])
    for name, label in runs.items():
        curve, needed = summary[name]["accuracy_at_step"], equal[name]
        values = [_percent(curve[steps - 1]) if steps <= len(curve) else "" for steps in shown]
        last = f"{_percent(curve[-1])} (T = {len(curve):,})"
        lines.append([label, *values, last, f"{needed['steps']:,}", f"{needed['spikes']:,.0f}"])
    rule = ["---"] * len(lines[0])
    rows = "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))
    return (
        f"\n{rows}\n\nAccuracy of {summary['samples']} test images after t steps; steps, and spikes per inference of "
        f"hidden layers, to equal accuracy. Converted over direct: {equal['steps_ratio']:g} times the steps, "
        f"{equal['spikes_ratio']:g} times the spikes."
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def draw(where: Path, summary: dict[str, Any]) -> list[Path]:
    """Draws accuracy over time of both networks; returns the files.

    Raises:
      ImportError: if matplotlib is missing, saying how to install it.
    """
    from jaxsnn import viz

    curves = {
        "direct training": np.array(summary["direct"]["accuracy_at_step"]),
        f"converted ({summary['options']['balance']})": np.array(summary["converted"]["accuracy_at_step"]),
    }
    return [viz.save(viz.accuracy_over_time(curves), where / "conversion.png")]
