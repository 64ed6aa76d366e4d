"""The sections of a report on the cost of answers: activity, energy, and a converted network for comparison."""

from typing import Any

import numpy as np

from jaxsnn import viz
from jaxsnn.lab.report.page import Drawing, Html, Part, Section, details, paragraph, table
from jaxsnn.lab.report.sections import Material, percent

PAPER = "int32"
"""The way to count that the figure and the first table show: the one of Lee et al. (2020)."""
WITH_NEURONS = "int32 with neurons"
"""The same with the neurons' own arithmetic."""


def activity(m: Material) -> Section:
    """How much every layer fires."""
    if not m.analyses:
        return Section("activity", "Activity", [paragraph(_not_observed(m), "note")])
    analysis, network = m.analyses[0], _observed(m)
    layers = {name: layer for name, layer in analysis["activity"].items() if not layer["analog"]}
    spikes = {name: layer["spikes"] for name, layer in layers.items()}
    hidden = hidden_spikes(analysis)
    drawing = Drawing(
        "spikes_per_layer",
        lambda width: viz.spikes_per_layer(
            spikes, {name: layer["neurons"] for name, layer in layers.items()}, steps=analysis["steps"], width=width
        ),
        alt="Bars: spikes per sample of every layer. "
        + ", ".join(f"{name} {count:,.0f}" for name, count in spikes.items()),
        caption=f"Spikes that every layer sends for one sample in {analysis['steps']} time steps (hidden layers "
        f"together {hidden:,.0f}), and the share of its neurons that fire in a step. A mean over "
        f"{analysis['samples']:,} samples, of {network}.",
        full=True,
    )
    rows = [
        [
            name,
            f"{layer['neurons']:,}",
            f"{layer['spikes']:,.1f}",
            f"{layer['rate']:.4f}",
            percent(layer["silent"]),
            percent(layer["saturated"]),
            _number(layer["interval_mean"], ".2f"),
            _number(layer["synchrony"], ".4f"),
        ]
        for name, layer in analysis["activity"].items()
    ]
    head = ["layer", "neurons", "spikes per sample", "rate", "never fire", "always fire", "interval", "synchrony"]
    caption = (
        "Rate: spikes per neuron and step. Interval: mean steps between two spikes of a neuron. Synchrony: 1 if all "
        "fire together, about 1 / neurons if they are independent."
    )
    return Section("activity", "Activity", [drawing, table(head, rows, caption=caption)])


def energy(m: Material) -> Section:
    """Operations and energy against the ReLU network of the same shape."""
    if not m.analyses:
        return Section("energy", "Energy", [paragraph(_not_observed(m), "note")])
    ways, network = m.analyses[0]["energy"], _observed(m)
    paper = ways[PAPER]
    total = paper["synapses"]
    drawing = Drawing(
        "energy",
        lambda width: viz.energy_bars(
            {
                label: {name: layer[key] / 1000 for name, layer in paper["layers"].items()}
                for label, key in (("ReLU network", "relu"), ("spiking network", "spiking"))
            },
            width=width,
        ),
        alt=f"Bars: energy of every layer. All synapses: ReLU network {total['relu'] / 1000:,.3g} nJ, spiking network "
        f"{total['spiking'] / 1000:,.3g} nJ.",
        caption="Energy of one inference, layer by layer, from the spikes of real samples times the true fan-out of "
        f"the neurons that sent them, against a ReLU network of the same shape. {paper['costs']}.",
        full=True,
    )
    rows = [_layer(name, layer) for name, layer in paper["layers"].items()]
    head = [
        "layer",
        "ReLU operations",
        "spiking operations",
        "ReLU nJ",
        "spiking nJ",
        "ratio",
        "spikes per synapse, step",
    ]
    first = table(
        head,
        [*rows, _layer("all synapses", total)],
        caption=f"Operations and energy per inference, of {network}. Synaptic operations alone, as the paper counts: "
        f"the ratio is {_number(total['ratio'], '.2f')}. With the neurons' own arithmetic, one leak multiplication and "
        f"one comparison per neuron and step, it is {_number(energy_ratio(m.analyses[0], WITH_NEURONS), '.2f')}.",
        whole=True,
    )
    parts: list[Part] = [drawing, first]
    compared = []
    for name, way in ways.items():
        whole = way["synapses"]
        energies = (f"{whole[key] / 1000:,.2f}" for key in ("relu", "spiking"))
        even = whole["break_even"]
        never = even is not None and even < 0
        compared.append([name, *energies, _number(whole["ratio"], ".2f"), "never" if never else _number(even, ".4f")])
    head = ["counted as", "ReLU nJ", "spiking nJ", "ratio", "break-even rate"]
    caption = (
        "All ways to count, all synapses. With neurons: one leak multiplication (not in pools) and one comparison per "
        "neuron and step are added. Ratio: ReLU over spiking, above 1 the spiking network needs less. "
        "Break-even: the spikes per synapse and step at which both would need the same."
    )
    parts.append(table(head, compared, caption=caption))
    assumed = {tuple(way["assumptions"]): name.partition(" ")[2] for name, way in ways.items() if way["assumptions"]}
    parts += [
        details(f"Assumptions {counted}", Html("".join(map(paragraph, texts)))) for texts, counted in assumed.items()
    ]
    return Section("energy", "Energy", parts)


def hidden_spikes(analysis: dict[str, Any]) -> float:
    """Spikes of all hidden layers per sample."""
    return sum(layer["spikes"] for name, layer in analysis["activity"].items() if name != "input")


def energy_ratio(analysis: dict[str, Any], counted: str = PAPER) -> float | None:
    """Energy of the ReLU network over that of the spiking one, by default as the paper counts."""
    return analysis["energy"].get(counted, {"synapses": {"ratio": None}})["synapses"]["ratio"]


def _layer(name: str, layer: dict[str, Any]) -> list[str]:
    kind = "AC" if not layer["macs"] else "MAC" if not layer["acs"] else "both"
    return [
        name,
        f"{layer['dense']:,}",
        f"{layer['macs'] + layer['acs']:,.0f} {kind}",
        f"{layer['relu'] / 1000:,.2f}",
        f"{layer['spiking'] / 1000:,.2f}",
        _number(layer["ratio"], ".2f"),
        _number(layer["spike_rate"], ".4f"),
    ]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _observed(m: Material) -> str:
    """The first network that was observed."""
    return next(network["run"] for network in m.evaluation["networks"] if "analysis" in network) if m.evaluation else ""


def _not_observed(m: Material) -> str:
    if m.evaluation is None:
        return m.missing["evaluation"]
    return f"Not measured: `python -m jaxsnn.lab.evaluate --run={m.folder}` counts spikes, operations and energy."


def conversion(m: Material) -> Section:
    """The run's network against a ReLU network of the same shape, converted."""
    comparison = m.conversion
    if comparison is None:
        return Section("conversion", "Converted network", [paragraph(m.missing["convert"], "note")])
    curves = {name: np.array(comparison[name]["accuracy_at_step"]) for name in ("direct", "converted")}
    equal = comparison["equal_accuracy"]
    drawing = Drawing(
        "conversion",
        lambda width: viz.accuracy_over_time(curves, width=width),
        alt="Accuracy over time steps: "
        + ", ".join(f"{name} {percent(curve[-1])} after {len(curve):,}" for name, curve in curves.items()),
        caption="A ReLU network of the same shape was trained, its weights were copied to integrate-and-fire neurons, "
        f"and their thresholds were balanced. Both networks saw the same {comparison['samples']} test samples. To "
        f"reach {percent(equal['target'])} the converted network needs {equal['steps_ratio']:g} times the steps and "
        f"{equal['spikes_ratio']:g} times the spikes.",
        full=True,
    )
    rows = [["ReLU", "", percent(comparison["relu"]["accuracy"]), "", ""]]
    rows += [
        [
            {"direct": "trained directly", "converted": "converted"}[name],
            f"{len(curve):,}",
            percent(curve[-1]),
            f"{equal[name]['steps']:,}",
            f"{equal[name]['spikes']:,.0f}",
        ]
        for name, curve in curves.items()
    ]
    head = ["network", "T", "accuracy", f"steps to {percent(equal['target'])}", "spikes per sample until then"]
    return Section(
        "conversion",
        "Converted network",
        [drawing, table(head, rows, caption="Spikes are those of hidden layers, a mean over samples.")],
    )
