"""Neurons as NIR writes them, continuous in time, and as cells step them; the only place with these formulas.

NIR: tau dv/dt = v_leak - v + r I, a spike where v > v_threshold, then v = v_reset. A forward Euler step of dt is

    v_t = (1 - dt / tau) v_(t-1) + (r dt / tau) I_t        LIF, LI;        IF, I: v_t = v_(t-1) + r dt I_t

so leak = 1 - dt / tau, and a step's input has the gain r dt / tau (or r dt). CubaLIF filters its input first, in the
same way, by tau_syn with the gain w_in dt / tau_syn. Source: Pedersen et al. (2024), Nature Communications 15:8122.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxsnn.cells import integrate_and_fire, leaky_integrator, lif, plif, synaptic
from jaxsnn.neurons import Neuron, ReadoutParams

KINDS: dict[type, str] = {
    lif.LIFParams: "lif",
    lif.ResetParams: "lif",
    plif.PLIFParams: "lif",
    integrate_and_fire.IFParams: "lif",
    synaptic.SynapticParams: "cuba",
    leaky_integrator.LeakyIntegratorParams: "li",
    ReadoutParams: "li",
}


class Membrane(NamedTuple):
    """One layer's neurons: `u = leak v + gain I`, in float64, a number or one per neuron, `[H, W, C]` or `[n]`."""

    leak: Any
    threshold: Any
    """None: it never fires."""
    gain: Any = 1.0
    v_reset: Any = 0.0
    synaptic_leak: Any = None
    """None: the input is not filtered."""
    leak_first: bool = True


def of_neuron(name: str, neuron: Neuron, values: Any) -> Membrane:
    """The membrane of a layer's neurons with these values of their parameters.

    Raises:
      ValueError: for neurons that NIR cannot hold, naming the layer.
    """
    kind = KINDS.get(type(neuron.params))
    if neuron.cell is None or kind is None:
        raise ValueError(
            f"NIR cannot hold the neurons of {name}: it has integrate-and-fire, LIF and CuBa LIF neurons and leaky "
            "integrators, no adaptive, parallel or other neurons"
        )
    options = neuron.cell.options
    reset = options.get("reset", "hard")
    if kind != "li" and reset not in ("hard", "value"):
        raise ValueError(
            f"NIR cannot hold the neurons of {name}: their reset is {reset!r}, and a NIR neuron is set to a value when "
            "it fires; train with a hard reset"
        )
    wide = {field: np.asarray(value, np.float64) for field, value in values._asdict().items()}
    leak, first = wide.get("leak", np.float64(1)), options.get("leak_first", False)
    if reset == "value" and not first:
        raise ValueError(
            f"NIR leaks before it resets: {name} resets to a value, then leaks; build it with leak_first=True"
        )
    return Membrane(
        leak,
        None if kind == "li" else wide["threshold"],
        1 - leak if options.get("scale_input") else np.float64(1),
        wide.get("v_reset", np.float64(0)),
        wide.get("synaptic_leak"),
        first,
    )


def to_node(nir: Any, name: str, membrane: Membrane, shape: tuple[int, ...], dt: float) -> Any:
    """The NIR node of these neurons, arrays of one number per neuron, channels first.

    Raises:
      ValueError: where some neurons leak and others do not.
    """

    def full(value: Any) -> np.ndarray:
        return channels_first(np.broadcast_to(np.asarray(value, np.float64), shape)).copy()

    leak, gain, zero = full(membrane.leak), full(membrane.gain), full(0.0)
    integrates = np.all(leak == 1)
    if not integrates and np.any(leak == 1):
        raise ValueError(f"{name}: some neurons leak and others do not, which are two kinds of nodes in NIR")
    fires = (
        {}
        if membrane.threshold is None
        else {"v_threshold": full(membrane.threshold), "v_reset": full(membrane.v_reset)}
    )
    if membrane.synaptic_leak is not None:
        rest = 1 - full(membrane.synaptic_leak)
        if integrates or np.any(rest == 0):
            raise ValueError(f"{name}: a CuBa neuron of NIR leaks, membrane and synapse: give leaks below 1")
        parts = {"tau_syn": dt / rest, "tau_mem": dt / (1 - leak), "r": gain / (1 - leak), "w_in": 1 / rest}
        return nir.CubaLIF(**parts, v_leak=zero, **fires)
    if integrates:
        return nir.IF(r=gain / dt, **fires) if fires else nir.I(r=gain / dt)
    leaky = {"tau": dt / (1 - leak), "r": gain / (1 - leak), "v_leak": zero}
    return nir.LIF(**leaky, **fires) if fires else nir.LI(**leaky)


def of_node(name: str, node: Any, dt: float) -> Membrane:
    """The membrane of a NIR node at this time step, potentials measured from `v_leak`; arrays channels last.

    An `IF` or `I` with r = 1 adds its input as it is: so exporters write it that count time in steps.

    Raises:
      ValueError: for a time constant no longer than the step, a threshold at or below the resting potential, and an
        `IF` or `I` whose r is neither 1 nor 1 / dt.
    """
    kind = type(node).__name__

    def read(field: str) -> np.ndarray:
        return channels_last(np.asarray(getattr(node, field), np.float64))

    def leak_of(field: str) -> np.ndarray:
        tau = read(field)
        if np.any(tau <= dt):
            raise ValueError(
                f"{name}: {field} is {tau.min():g}, not longer than the time step dt={dt:g}: a step would leak all; "
                "give the dt that the network was made for"
            )
        return 1 - dt / tau

    if kind in ("IF", "I"):
        r, rest = read("r"), np.zeros(())
        if not (np.all(r == 1) or np.allclose(r * dt, 1, rtol=1e-6)):
            found = ", ".join(f"{value:g}" for value in np.unique(r)[:3])
            raise ValueError(
                f"{name}: r is {found}, and an integrator adds its input once per step: r = 1 if time counts in steps, "
                f"r = 1 / dt = {1 / dt:g} if in seconds; give the dt that the network was made for, or multiply the "
                "weights by the rest"
            )
        leak = gain = np.ones(())
    else:
        tau = "tau_mem" if kind.startswith("Cuba") else "tau"
        leak, rest = leak_of(tau), read("v_leak")
        gain = read("r") * dt / read(tau)
    threshold: np.ndarray | None = None
    v_reset, synaptic_leak = np.zeros(()), None
    if kind in ("IF", "LIF", "CubaLIF"):
        threshold, v_reset = read("v_threshold") - rest, read("v_reset") - rest
        if np.any(threshold <= 0):
            raise ValueError(
                f"{name}: v_threshold is {threshold.min():g} above the resting potential; a neuron that fires at rest "
                "is none of ours: give a threshold above it"
            )
    if kind.startswith("Cuba"):
        synaptic_leak = leak_of("tau_syn")
        gain = gain * read("w_in") * dt / read("tau_syn")
    return Membrane(leak, threshold, np.where(np.abs(gain - 1) < 1e-9, 1.0, gain), v_reset, synaptic_leak)


def channels_first(x: np.ndarray) -> np.ndarray:
    """`[H, W, C]` as `[C, H, W]`; vectors as they are."""
    return np.moveaxis(x, -1, 0) if x.ndim == 3 else x


def channels_last(x: np.ndarray) -> np.ndarray:
    """`[C, H, W]` as `[H, W, C]`; vectors as they are."""
    return np.moveaxis(x, 0, -1) if x.ndim == 3 else x
