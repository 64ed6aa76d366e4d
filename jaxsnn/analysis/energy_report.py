"""The result of `analysis.energy`: numbers per layer and whole, as text and as plain values for JSON."""

from typing import Any, NamedTuple


class LayerEnergy(NamedTuple):
    """One bundle of synapses, per inference; energies in pJ."""

    name: str
    weighted: bool
    """False for pools and shortcuts of equal widths, whose operations are additions."""
    analog: bool
    """Whether the input is analog, so that operations are MACs."""
    dense: int
    """Operations of the ReLU network: MACs, or additions."""
    operations: float
    """Operations of the spiking network, mean over samples."""
    relu: float
    """Energy of the ReLU network."""
    each: float
    """Energy per operation of the spiking network."""
    fixed: float
    """Energy of the spiking network that is not per operation: a bias is one addition per neuron and step, and with
    memory the membranes are read and written."""
    neurons: float
    """Energy of its neurons' arithmetic at every step, where it is counted and `fixed` does not hold it."""

    @property
    def spiking(self) -> float:
        """Energy of the spiking network."""
        return self.operations * self.each + self.fixed + self.neurons


class Total(NamedTuple):
    """The sums of several layers; energies in pJ."""

    dense: int
    macs: float
    """Operations of the spiking network on analog input."""
    acs: float
    """Operations of the spiking network on spikes."""
    relu: float
    spiking: float
    spike_rate: float
    """Spikes per synapse and step, over the synapses that carry spikes."""
    break_even: float
    """The rate at which both networks would need the same energy; below 0 if no rate is low enough."""

    @property
    def ratio(self) -> float:
        """ReLU over spiking energy; above 1 the spiking network needs less."""
        return self.relu / self.spiking if self.spiking else float("inf")


class EnergyReport(NamedTuple):
    """Energy of one inference; `str()` is a table."""

    costs: str
    """The assumed cost of an operation."""
    steps: int
    """T."""
    samples: int
    """Over how many the operations are a mean."""
    layers: tuple[LayerEnergy, ...]
    assumptions: tuple[str, ...]
    """About memory; empty without."""

    @property
    def synapses(self) -> Total:
        """Sums over all synapses with weights, as NeuroBench counts, and over neurons where they are counted.

        Additions of pools are left out on both sides; the neurons of pools, which no ReLU network has, are counted.
        """
        bare = [row._replace(neurons=0.0) for row in self.layers if row.weighted]
        return _total(bare, self.steps, sum(row.neurons for row in self.layers))

    @property
    def whole(self) -> Total:
        """The same sums with pools and shortcuts of equal widths."""
        return _total(list(self.layers), self.steps)

    def layer(self, name: str) -> Total:
        """The sums of one layer's synapses.

        Raises:
          KeyError: if there is no such layer.
        """
        rows = [row for row in self.layers if row.name == name]
        if not rows:
            raise KeyError(f"no layer {name!r}: there are {', '.join(row.name for row in self.layers)}")
        return _total(rows, self.steps)

    def as_dict(self) -> dict[str, Any]:
        """Plain values: per layer, `synapses` and `whole`; energies in pJ, None in place of nan."""
        return {
            "costs": self.costs,
            "assumptions": list(self.assumptions),
            "layers": {row.name: _plain(_total([row], self.steps)) for row in self.layers},
            "synapses": _plain(self.synapses),
            "whole": _plain(self.whole),
        }

    def __str__(self) -> str:
        head = f"{'':<17}{'operations':>25}  {'energy [nJ]':>26}{'':>9}{'spikes per synapse and step':>30}"
        names = ("ReLU", "spiking", "", "ReLU", "spiking", "ratio", "measured", "break-even")
        lines = [
            f"Energy of one inference, {self.costs}",
            f"T = {self.steps}, operations of the spiking network: mean of {self.samples:,} samples",
            head,
            f"{'layer':<17}" + _columns(names),
            *(_line(row.name, _total([row], self.steps)) for row in self.layers),
            _line("synapses", self.synapses),
            _line("with pools etc.", self.whole),
        ]
        return "\n".join([*lines, *(f"assumed: {text}" for text in self.assumptions)])


def _total(rows: list[LayerEnergy], steps: int, neurons: float = 0.0) -> Total:
    """The sum of these layers, and of neurons beside them."""
    spikes = [row for row in rows if not row.analog]
    acs, carrying = sum(row.operations for row in spikes), sum(row.dense for row in spikes)
    relu, spiking = sum(row.relu for row in rows), sum(row.spiking for row in rows) + neurons
    # analog layers and energies that do not depend on spikes stay as they are
    left = relu - neurons - sum(row.spiking for row in rows if row.analog)
    left -= sum(row.fixed + row.neurons for row in spikes)
    slope = steps * sum(row.each * row.dense for row in spikes)
    return Total(
        sum(row.dense for row in rows),
        sum(row.operations for row in rows if row.analog),
        acs,
        relu,
        spiking,
        acs / (steps * carrying) if carrying else float("nan"),
        left / slope if slope else float("nan"),
    )


def _plain(total: Total) -> dict[str, Any]:
    values = total._asdict() | {"ratio": total.ratio}
    return {name: value if abs(value) < float("inf") else None for name, value in values.items()}


def _columns(values: tuple[str, ...]) -> str:
    widths = (12, 13, 5, 12, 12, 9, 13, 13)
    return "".join(f"{value:>{width}}" for value, width in zip(values, widths, strict=True))


def _line(name: str, total: Total) -> str:
    kind = "MAC" if total.macs and not total.acs else "AC" if not total.macs else "both"
    rates = [f"{rate:.4f}" if rate == rate else "-" for rate in (total.spike_rate, total.break_even)]
    if total.break_even < 0:
        rates[1] = "never"
    numbers = (f"{total.dense:,}", f"{total.macs + total.acs:,.0f}", kind)
    energies = (f"{total.relu / 1000:,.2f}", f"{total.spiking / 1000:,.2f}", f"{total.ratio:.2f}")
    return f"{name:<17}" + _columns((*numbers, *energies, *rates))
