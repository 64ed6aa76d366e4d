"""Energy of one inference from its operations: the spiking network against the equal ReLU network, layer by layer.

Per operation: the energies of Lee et al. (2020), who take them from Horowitz, "Computing's energy problem", ISSCC 2014
(45 nm, 0.9 V). They hold for arithmetic alone. With `memory` what the operations read and write is added, under the
assumptions of `ASSUMPTIONS`, which every such report prints: they decide the result more than the arithmetic does.
"""

import math
from typing import NamedTuple

from jaxsnn.analysis.energy_report import EnergyReport, LayerEnergy
from jaxsnn.analysis.operations import dense_operations
from jaxsnn.analysis.profile import Profile
from jaxsnn.synapses import Connection


class EnergyTable(NamedTuple):
    """What operations cost, in pJ."""

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
"""Of the variant with memory."""


def energy(observation: Profile, *, table: str = "int32", memory: str | None = None) -> EnergyReport:
    """What one inference costs, layer by layer and as a whole; print it, or take its numbers.

    Args:
      observation: from `make_profile`: real spikes of real samples.
      table: key of `TABLES`.
      memory: key of `MEMORIES`: add what operations read and write, and what neurons cost at every step; None for
        operations alone, as the paper counts.

    Raises:
      ValueError: for an unknown table or memory.
    """
    for what, name, known in (("table", table, TABLES), ("memory", memory, MEMORIES)):
        if name is not None and name not in known:
            raise ValueError(f"unknown {what} {name!r}: known are {', '.join(known)}")
    access = 0.0 if memory is None else MEMORIES[memory]
    costs = TABLES[table]
    rows = [_layer(observation, c, costs, access) for c in observation.connections]
    head = f"45 nm, {table}: MAC {costs.mac} pJ, AC {costs.ac} pJ (Horowitz 2014)"
    if memory is not None:
        head += f"; with memory of {memory}: {access:g} pJ per word"
    return EnergyReport(
        head, observation.steps, len(observation.labels), tuple(rows), () if memory is None else ASSUMPTIONS
    )


def _layer(observation: Profile, connection: Connection, costs: EnergyTable, access: float) -> LayerEnergy:
    steps, neurons = observation.steps, math.prod(connection.output_shape)
    main = connection.name == connection.target  # a shortcut's neurons are counted with the convolution they share
    dense = dense_operations(connection)
    source = observation.layers[connection.source]
    weighted, analog = connection.weighted, source.analog
    each_relu = costs.mac + 2 * access if weighted else costs.ac + access
    each = (costs.mac if weighted and analog else costs.ac) + (2 + weighted + analog) * access
    fixed = 0.0
    if access:
        if not analog:
            fixed += access * float(source.spikes.mean())
        if main:
            leak = 0.0 if connection.kind == "pool" else costs.mac - costs.ac
            fixed += steps * neurons * (2 * access + costs.ac + leak)
            if connection.target in observation.layers:
                fixed += access * float(observation.layers[connection.target].spikes.mean())
    return LayerEnergy(
        connection.name,
        weighted,
        analog,
        dense,
        float(observation.operations[connection.name].mean()),
        each_relu * dense + access * neurons * main,
        each,
        fixed,
    )
