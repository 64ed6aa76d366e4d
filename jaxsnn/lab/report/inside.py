"""The parts of a report that show a trained network at work: input, spikes, membranes, filters, activity."""

import numpy as np

from jaxsnn import viz
from jaxsnn.encoding import ENCODINGS
from jaxsnn.lab.report.page import Drawing, Part, Section, paragraph
from jaxsnn.lab.report.sample import Sample
from jaxsnn.lab.report.sections import Material

SHOWN_FILTERS = 64


def sections(m: Material) -> list[Section]:
    """Sections that show the sample; without a sample, a single section that says why."""
    s = m.sample
    if s is None:
        return [Section("inside", "One sample", [paragraph(m.missing["sample"], "note")])]
    what = (
        f"Test sample {s.number} (class {s.classes[s.label]}) in the network of {s.run} after training step "
        f"{s.step:,}; `--sample=<number>` shows another."
    )
    parts: list[Part] = [what, _raster(s), _membranes(s)]
    return [
        Section("inside", "One sample", parts),
        Section(
            "input", "Input and filters", [_input(m, s) if s.filters is None else (_input(m, s), _filters(s.filters))]
        ),
    ]


def _raster(s: Sample) -> Drawing:
    steps, name = len(s.potentials), s.classes[s.label]
    verdict = "which is right" if s.answer == s.label else f"which is wrong: its class is {name}"
    return Drawing(
        "raster",
        lambda width: viz.raster(
            s.trains,
            s.potentials,
            image=s.picture,
            label=s.label,
            answer=s.answer,
            names=s.classes,
            width=width,
        ),
        alt=f"Spike raster of {len(s.trains)} layers over {steps} time steps, and the readout's potentials below.",
        caption="Every dot is a spike; rows are neurons (at most 60 per layer, evenly spaced among those that fired), "
        "time runs to the right. Below, the membrane potential of each class's readout neuron. The answer of the "
        f"network is {s.classes[s.answer]}, {verdict}.",
        full=True,
    )


def _membranes(s: Sample) -> Drawing:
    counts = ", ".join(f"{name} {int(neuron.spikes.sum())}" for name, neuron in s.neurons.items())
    return Drawing(
        "membranes",
        lambda width: viz.membrane_traces(
            {name: neuron.potentials for name, neuron in s.neurons.items()},
            {name: neuron.spikes for name, neuron in s.neurons.items()},
            {name: neuron.threshold for name, neuron in s.neurons.items()},
            width=width,
        ),
        alt=f"Membrane potentials of {len(s.neurons)} neurons over time with their thresholds. Spikes: {counts}.",
        caption="One neuron of every layer, the one with the median number of spikes among those that fired, named by "
        "its position (row, column, feature). The line is the potential that is compared with the threshold (dashed), "
        "before the reset; ticks above are its spikes. Computed again from the recorded spikes and the weights.",
        full=True,
    )


def _input(m: Material, s: Sample) -> Drawing:
    train, made = s.trains["input"], ENCODINGS[m.config.network.encoding].description
    signed = " Normalised pixels have a sign: grey is zero." if train.min() < 0 else ""
    return Drawing(
        "input",
        lambda width: viz.input_against_image(s.image, train, width=width),
        alt=f"{'Sums of' if s.image is None else 'The image beside'} its input spikes, over more and more time steps.",
        caption=f"{made}; summed over the first step, a quarter of them, and all {len(train)}.{signed}",
    )


def _filters(filters: np.ndarray) -> Drawing:
    height, width, channels, features = filters.shape
    shown = min(features, SHOWN_FILTERS)
    colours = "in the colours of the input around grey" if channels == 3 else "positive orange, negative blue"
    return Drawing(
        "filters",
        lambda size: viz.filters(filters, count=SHOWN_FILTERS, width=size),
        alt=f"{shown} filters of {height} by {width} weights.",
        caption=f"Weights of the first convolution: {shown} of {features} filters of {height} by {width}, {colours}, "
        f"all on one scale; the largest weight is {abs(filters).max():.2f}.",
    )
