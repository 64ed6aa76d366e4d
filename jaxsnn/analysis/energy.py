"""Energy of one inference from its operations: the spiking network against the equal ReLU network, layer by layer.

Per operation: the energies of Lee et al. (2020), who take them from Horowitz, "Computing's energy problem", ISSCC 2014
(45 nm, 0.9 V). They hold for arithmetic alone. The paper counts synaptic operations alone; `neurons` adds the
neurons' arithmetic at every step. `memory` adds the reads and writes of both too, under the assumptions of
`ASSUMPTIONS`, which every such report prints: they decide the result more than the arithmetic does.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from jaxsnn.analysis.energy_report import EnergyReport, LayerEnergy
from jaxsnn.analysis.operations import dense_operations
from jaxsnn.analysis.profile import Profile
from jaxsnn.synapses import Connection


class EnergyTable(NamedTuple):
    """The energy of each kind of operation, in pJ."""

    mac: float
    """Multiply and accumulate."""
    ac: float
    """Accumulate: an addition, or a comparison."""


TABLES = {"int32": EnergyTable(3.2, 0.1), "float32": EnergyTable(4.6, 0.9)}
"""45 nm, 32 bits: Lee et al. (2020), from Horowitz (2014)."""

MEMORIES = {"8 kB": 5.0, "32 kB": 10.0, "1 MB": 50.0, "DRAM": 650.0}
"""A word of 32 bits from or to a memory of this size, in pJ: half of Horowitz's (2014) accesses of 64 bits, 10, 20 and
100 pJ for caches and 1.3 nJ (the lower end) for DRAM."""

ASSUMPTIONS = (
    "every access moves one word of 32 bits from or to one memory of the size named; no cache, no reuse in registers",
    "ReLU network: a MAC reads its weight and its activation (an addition its activation); sums stay in a register; "
    "each neuron's result is written once",
    "spiking network: an operation reads its weight (if it has one; and an analog input), reads the membrane of its "
    "target and writes it back; a spike is one word, written once and read once by each layer that it goes to",
    "at every step each neuron's membrane is read, compared, multiplied by the leak (not in pools) and written",
)
"""Assumptions of the variant with memory."""

NEURONS = (
    "at every step each neuron's membrane is multiplied by the leak (not in pools) and compared with the threshold; "
    "the comparison is priced as an accumulate, the multiplication as the difference to a MAC",
)
"""Assumptions of the variant with the neurons' arithmetic."""


class Counts(NamedTuple):
    """Steps, spikes and operations of one inference, a mean over samples: its energy follows from them."""

    steps: int
    """T."""
    samples: int
    """Over how many the numbers are a mean."""
    connections: tuple[Connection, ...]
    operations: Mapping[str, float]
    """Connection name to synaptic operations."""
    spikes: Mapping[str, float]
    """Layer name to spikes."""
    analog: Mapping[str, bool]
    """Layer name to whether it sends anything but -1, 0 and 1."""


def counts(profile: Profile) -> Counts:
    """Those of a profile."""
    return Counts(
        profile.steps,
        len(profile.labels),
        profile.connections,
        {name: float(count.mean()) for name, count in profile.operations.items()},
        {name: float(layer.spikes.mean()) for name, layer in profile.layers.items()},
        {name: layer.analog for name, layer in profile.layers.items()},
    )


def energy(
    observation: Profile | Counts,
    *,
    table: str = "int32",
    neurons: bool = False,
    memory: str | None = None,
    leaky: bool = True,
) -> EnergyReport:
    """The energy of one inference, layer by layer and as a whole; print it, or take its numbers.

    Args:
      observation: from `make_profile`, or of `streaming.stream(...).per_inference(steps)`: real spikes of real samples.
      table: key of `TABLES`.
      neurons: add the neurons' arithmetic at every step, one multiplication by the leak and one comparison each (pools
        do not leak); False for synaptic operations alone, as the paper counts.
      memory: key of `MEMORIES`: add the reads and writes of operations and neurons; it includes `neurons`.
      leaky: False if no neuron leaks, as integrate-and-fire neurons: then none multiplies.

    Raises:
      ValueError: for an unknown table or memory.
    """
    for what, name, known in (("table", table, TABLES), ("memory", memory, MEMORIES)):
        if name is not None and name not in known:
            raise ValueError(f"unknown {what} {name!r}: known are {', '.join(known)}")
    inference = counts(observation) if isinstance(observation, Profile) else observation
    costs, access = TABLES[table], 0.0 if memory is None else MEMORIES[memory]
    rows = [_layer(inference, c, costs, access, neurons, leaky) for c in inference.connections]
    head = f"45 nm, {table}: MAC {costs.mac} pJ, AC {costs.ac} pJ (Horowitz 2014); "
    if memory is not None:
        head += f"with memory of {memory}: {access:g} pJ per word"
    else:
        head += "synaptic operations and the neurons' own arithmetic" if neurons else "synaptic operations alone"
    assumed = ASSUMPTIONS if memory is not None else NEURONS if neurons else ()
    return EnergyReport(head, inference.steps, inference.samples, tuple(rows), assumed)


def _layer(
    counts: Counts, connection: Connection, costs: EnergyTable, access: float, neurons: bool, leaky: bool
) -> LayerEnergy:
    main = connection.name == connection.target  # a shortcut's neurons are counted with the convolution they share
    size, dense = math.prod(connection.output_shape) * (main and connection.neurons), dense_operations(connection)
    weighted, analog = connection.weighted, counts.analog[connection.source]
    leak = costs.mac - costs.ac if leaky and connection.kind != "pool" else 0.0
    arithmetic = counts.steps * size * (costs.ac + leak)
    added = math.prod(connection.output_shape) * costs.ac if connection.bias else 0.0
    moved = counts.steps * added
    if access:
        if not analog:
            moved += access * counts.spikes[connection.source]
        moved += counts.steps * size * 2 * access + arithmetic
        moved += access * counts.spikes.get(connection.target, 0.0) * main
    return LayerEnergy(
        connection.name,
        weighted,
        analog,
        dense,
        counts.operations[connection.name],
        relu=(costs.mac + 2 * access if weighted else costs.ac + access) * dense + access * size + added,
        each=(costs.mac if weighted and analog else costs.ac) + (2 + weighted + analog) * access,
        fixed=moved,
        neurons=arithmetic if neurons and not access else 0.0,
    )
