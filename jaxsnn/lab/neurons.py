"""The neurons that a configuration names: a cell or a parallel neuron, with options and parameters given as flags."""

import functools
import inspect
from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from jaxsnn import SURROGATES, neurons
from jaxsnn.cells import CELLS, Cell
from jaxsnn.lab.options import per_layer
from jaxsnn.layers.neurons import SCOPES
from jaxsnn.neurons import PARALLEL, Neurons
from jaxsnn.typing import ArrayLike

if TYPE_CHECKING:
    from jaxsnn.lab.network import NetworkConfig

NEURONS: Mapping[str, Any] = ChainMap({"relu": None}, PARALLEL, CELLS)
"""Names of `--neuron`: every cell in `cells.CELLS`, every neuron in `neurons.PARALLEL`, and `relu` for an analog
network."""
OWN = ("reset", "leak_first")
"""Options of lif that are flags of their own."""


def make_neurons(network: "NetworkConfig", slope: ArrayLike | None = None) -> Neurons:
    """The neurons that a configuration names; the slope of the surrogate may be traced.

    Raises:
      ValueError: for values that the cell refuses.
    """
    if not network.spiking:
        return neurons.relu()
    common: dict[str, Any] = {"pool_threshold": network.pool_threshold, "pack_spikes": network.pack_spikes}
    common["kernel"] = network.kernel
    if network.gradient == "spikebp":
        return neurons.spikebp(
            network.leak,
            network.threshold,
            leak_correction=network.leak_correction,
            leak_backward=network.leak_backward,  # type: ignore[arg-type]
            **common,
        )
    spike = functools.partial(SURROGATES[network.surrogate], slope=slope, **_surrogate(network))
    params, options = per_layer(network.neuron_params), _options(network)
    common["leak_first"] = network.leak_first
    if network.neuron == "lif":
        options |= {name: getattr(network, name) for name in OWN if name not in common}
        common |= {"learn": network.learn, "v_reset": params.get("v_reset")}
        return neurons.lif(network.leak, network.threshold, spike=spike, **options, **common)
    common |= {"readout_leak": network.leak, "readout_threshold": network.threshold}
    if network.neuron in PARALLEL:
        neuron = PARALLEL[network.neuron](spike=spike, **options)
        return neurons.of_neuron(neuron._replace(params=neuron.params._replace(**params)), spike, **common)
    cell = _cell(network)
    shared = {name: getattr(network, name) for name in ("leak", "threshold") if name in cell.params()._fields}
    return neurons.of_cell(cell, spike, params=cell.params(**shared | params), learn=network.learn or None, **common)


def check_neuron(network: "NetworkConfig") -> None:
    """Raises ValueError unless spiking neurons fire, and have the options and parameters that are named."""
    name = network.neuron
    if network.gradient == "spikebp" and name != "lif":
        raise ValueError(f"spikebp is a rule for lif neurons: neuron={name} needs gradient=bptt")
    if network.gradient == "spikebp" and network.neuron_options:
        raise ValueError("spikebp has no options of neurons: for neuron_options choose gradient=bptt")
    if name != "lif" and network.reset != "hard":
        raise ValueError(f"reset is a flag of lif: of neuron={name} give neuron_options=reset:{network.reset}")
    _surrogate(network)
    options, params = _options(network), per_layer(network.neuron_params)
    if name == "lif" and (own := {*options} & {*OWN} or {*params} & {"leak", "threshold"}):
        raise ValueError(f"lif has flags for {', '.join(sorted(own))}: give {' and '.join(f'--{o}' for o in own)}")
    if name in PARALLEL:
        neuron = PARALLEL[name](**options)
        fields = tuple(field for field in neuron.params._fields if field not in neuron.weights)
        bounds = neuron.bounds
    else:
        cell = _cell(network)
        fields, bounds = cell.params()._fields, cell.bounds
        if not cell.fires:
            raise ValueError(f"neuron={name} never fires: it is a readout, not the neuron of hidden layers")
    if unknown := [field for field in params if field not in fields]:
        raise ValueError(f"neuron={name} has no {', '.join(unknown)}: it has {', '.join(fields) or 'no parameters'}")
    if network.kernel == "pallas" and (name in PARALLEL or cell.fire is None or network.learn or network.recurrent):
        raise ValueError(
            "kernel=pallas is for neurons whose state is their membrane alone, with constant parameters and without "
            f"recurrent synapses: got neuron={name}, learn={','.join(network.learn)}, recurrent={network.recurrent}"
        )
    for entry in network.learn if network.gradient == "bptt" else ():
        field, _, scope = entry.partition(":")
        if field not in bounds or scope not in ("", *SCOPES):
            known = ", ".join(bounds) or f"nothing of neuron={name}"
            raise ValueError(f"learn takes {known}, alone or followed by :{', :'.join(SCOPES)}, got {entry!r}")


def _surrogate(network: "NetworkConfig") -> dict[str, Any]:
    """Keywords of the surrogate's call."""
    known = {"height": 1.0, **SURROGATES[network.surrogate].more}
    given = per_layer(network.surrogate_params)
    if unknown := [name for name in given if name not in known]:
        raise ValueError(
            f"surrogate={network.surrogate} has no {', '.join(unknown)}: surrogate_params may be {', '.join(known)}"
        )
    return {"inclusive": network.inclusive} | {name: type(known[name])(value) for name, value in given.items()}


def _cell(network: "NetworkConfig") -> Cell:
    cell = CELLS[network.neuron]
    options = _options(network)
    if network.neuron == "lif":
        options = {"reset": network.reset, "leak_first": network.leak_first, **options}
    return cell.make(**options) if cell.make and options else cell


def _options(network: "NetworkConfig") -> dict[str, Any]:
    """`neuron_options` as keywords of the neuron's maker, and the number of steps if it takes that."""
    name = network.neuron
    make = PARALLEL[name] if name in PARALLEL else CELLS[name].make
    kinds = _kinds(make) if make else {}
    fixed = {"steps": network.time_steps} if kinds.pop("steps", None) else {}
    options: dict[str, Any] = {}
    for entry in network.neuron_options:
        option, _, value = entry.partition(":")
        if option not in kinds:
            raise ValueError(f"neuron={name} has no option {option!r}: it has {', '.join(kinds) or 'none'}")
        options[option] = _value(entry, value, kinds[option])
    return fixed | options


def _kinds(make: Callable[..., Any]) -> dict[str, Any]:
    """Option to its type, which is `bool`, `int` or a `Literal`."""
    hints = get_type_hints(make)
    return {name: hints[name] for name in inspect.signature(make).parameters if name != "spike"}


def _value(entry: str, text: str, kind: Any) -> Any:
    if kind is int:
        if not text.isdecimal():
            raise ValueError(f"neuron_options: {entry!r} must be a whole number")
        return int(text)
    known = {"true": True, "false": False} if kind is bool else {name: name for name in get_args(kind)}
    if text.lower() not in known:
        raise ValueError(f"neuron_options: {entry!r} must be one of {', '.join(known)}")
    return known[text.lower()]
