"""The networks of `jaxsnn.lab.convert` side by side: at equal accuracy, as a table, as figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxsnn import analysis
from jaxsnn.streaming import Streamed
from jaxsnn.synapses import Connection

SHOWN = (5, 10, 20, 50, 100, 200, 500, 1000, 2500)
"""Time steps at which the table shows accuracies, as far as the networks run."""


def numbers(curve: Streamed) -> dict[str, Any]:
    """The entry of one network in `convert.json`: accuracy, and spikes per inference, up to every step."""
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


def multiplications(connections: Sequence[Connection]) -> int:
    """Multiply-accumulates of the equal ReLU network for one sample."""
    return sum(analysis.dense_operations(connection) for connection in connections if connection.weighted)


def compare(curves: dict[str, Streamed], margin: float, *, leaky: bool) -> dict[str, Any]:
    """The needs of the networks for the accuracy that all have at the end, less a margin.

    Args:
      curves: of "converted" and, if there is one, "direct", from `streaming.stream`, with `connections`.
      margin: a fraction of the samples.
      leaky: whether the neurons of `direct` leak; those of `converted` do not.

    Returns:
      For each network the result of `analysis.needed`: steps, spikes of hidden layers, synaptic operations, and the
      ReLU network's energy over its energy, with the neurons' arithmetic and without. Pools are left out on both
      sides. With both networks, how many times of each the converted one needs, too.
    """
    target = analysis.common_accuracy(curves, margin)
    macs = multiplications(curves["converted"].connections)
    result: dict[str, Any] = {"target": round(target, 6), "relu_macs": macs}
    for name, curve in curves.items():
        needed = analysis.needed(curve, target, leaky=leaky and name == "direct")
        result[name] = {
            "steps": needed.steps,
            "spikes": round(needed.spikes, 2),
            "operations": round(needed.operations, 1),
            "energy_ratio": {table: round(ratio, 3) for table, ratio in needed.energy_ratio.items()},
            "energy_ratio_with_neurons": {
                table: round(ratio, 3) for table, ratio in needed.energy_ratio_with_neurons.items()
            },
        }
    for what in ("steps", "spikes", "operations") if "direct" in curves else ():
        result[f"{what}_ratio"] = round(result["converted"][what] / max(result["direct"][what], 1e-9), 3)
    return result


def lines(summary: dict[str, Any]) -> list[list[str]]:
    """The cells of the table: a heading, and a row per network."""
    equal, options = summary["equal_accuracy"], summary["options"]
    runs = {
        "direct": "direct training",
        "converted": f"converted, {options['balance']}, {options['percentile']:g} %, {options['reset']} reset",
    }
    runs = {name: label for name, label in runs.items() if name in summary}
    longest = max(len(summary[name]["accuracy_at_step"]) for name in runs)
    shown = [steps for steps in SHOWN if steps <= longest]
    costs = list(analysis.TABLES)
    head = [*("network", "T", "accuracy"), *(f"t = {steps:,}" for steps in shown)]
    head += [f"steps to {_percent(equal['target'])}", "spikes", "operations"]
    head += [f"ReLU energy / its ({', '.join(costs)})", "the same with neurons"]
    relu = ["ReLU", "1", _percent(summary["relu"]["accuracy"]), *[""] * len(shown)]
    rows = [head, [*relu, "", "", f"{equal['relu_macs']:,} MAC", "1", "1"]]
    for name, label in runs.items():
        curve, needed = summary[name]["accuracy_at_step"], equal[name]
        values = [_percent(curve[steps - 1]) if steps <= len(curve) else "" for steps in shown]
        ratios = [
            ", ".join(f"{needed[key].get(cost, float('nan')):.3g}" for cost in costs)
            for key in ("energy_ratio", "energy_ratio_with_neurons")
        ]
        counts = [f"{needed[key]:,.0f}" for key in ("steps", "spikes", "operations")]
        rows.append([label, f"{len(curve):,}", _percent(curve[-1]), *values, *counts, *ratios])
    return rows


def table(summary: dict[str, Any]) -> str:
    """Markdown: a row per network."""
    equal, against = summary["equal_accuracy"], ""
    if "direct" in summary:
        times = [f"{equal[f'{what}_ratio']:g} times the {what}" for what in ("steps", "spikes", "operations")]
        against = f" Converted over direct: {', '.join(times)}."
    return (
        f"\n{markdown(lines(summary))}\n\n"
        f"Accuracy of {summary['samples']} test images, after t steps. Steps, spikes of hidden layers, "
        f"synaptic operations and energy: per inference, to equal accuracy; energy of synaptic operations alone, and "
        f"with the neurons' own arithmetic.{against}"
    )


def markdown(cells: Sequence[Sequence[Any]]) -> str:
    """A table of Markdown: a heading, and rows."""
    head, *rows = cells
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in (head, ["---"] * len(head), *rows))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def draw(folder: Path, summary: dict[str, Any]) -> list[Path]:
    """Draws accuracy over time of the spiking networks; returns the files.

    Raises:
      ImportError: if matplotlib is missing, saying how to install it.
    """
    from jaxsnn import viz

    runs = {"direct": "direct training", "converted": f"converted ({summary['options']['balance']})"}
    curves = {label: np.array(summary[name]["accuracy_at_step"]) for name, label in runs.items() if name in summary}
    return [viz.save(viz.accuracy_over_time(curves), folder / "conversion.png")]
