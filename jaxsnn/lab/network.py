"""The group of a configuration for the network, and the neurons that it names."""

import inspect
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from jaxsnn import SURROGATES
from jaxsnn.cells.lif import Reset
from jaxsnn.encoding import ENCODINGS
from jaxsnn.lab.neurons import NEURONS, check_neuron
from jaxsnn.lab.options import check, check_used, option, per_layer
from jaxsnn.layers import NORMS, Masks, Recurrence
from jaxsnn.models import MODELS, READOUTS, Pool
from jaxsnn.synapses import Precision
from jaxsnn.typing import Kernel, LeakBackward

NORMS_OR_NONE: Mapping[str, Any] = ChainMap({"": None}, NORMS)
GRADIENTS = ("spikebp", "bptt")
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class NetworkConfig:
    """The network, its neurons, and how samples become its input over time."""

    model: str = option("lenet", "Network.", choices=MODELS, analog=True, common=True)
    width: float = option(
        1.0, "Multiplies the features of every hidden layer.", bound="(0, 16]", analog=True, common=True
    )
    neuron: str = option(
        "lif", "Neurons: a cell by its name, or those of an analog network (relu).", choices=NEURONS, common=True
    )
    gradient: str = option(
        "spikebp",
        "Gradient of spiking neurons: the paper's rule (spikebp), or backpropagation through time (bptt).",
        choices=GRADIENTS,
        common=True,
    )
    surrogate: str = option("arctan", "Surrogate derivative of a spike, of bptt.", choices=SURROGATES, common=True)
    slope: float | None = option(
        None, "Steepness of the surrogate; none for its own default.", bound="(0, inf)", traced="step", off=None
    )
    surrogate_params: tuple[str, ...] = option(
        (), "Other numbers of the surrogate, e.g. height:0.3,leak:0.1; see `surrogate`.", per_layer=True
    )
    leak: float = option(
        0.99,
        "Membrane decay per time step, exp(-1 / tau), of readouts and of neurons that have one.",
        bound="(0, 1]",
        traced="state",
        common=True,
    )
    leak_correction: bool = option(True, "The leak-correction term in the derivative of spikebp (E8), or (E12).")
    leak_backward: str = option(
        "straight_through",
        "The leak in the backward pass of spikebp: straight_through (E9) or true (E12).",
        choices=get_args(LeakBackward),
    )
    threshold: float = option(
        1.0, "Firing threshold of convolutional and dense layers.", bound="(0, inf)", traced="state"
    )
    pool_threshold: float = option(0.75, "Firing threshold of pooling layers.", bound="(0, inf)", traced="state")
    pool: str = option(
        "spiking", "Average pools with neurons (spiking) or without (average), or max pools.", choices=get_args(Pool)
    )
    delays: int = option(
        0, "Largest learned delay of hidden dense layers' synapses, in time steps; 0 for none.", bound="[0, inf)"
    )
    bias: bool = option(False, "Every convolution and dense layer adds a trained number per feature at every step.")
    standardise: bool = option(
        False, "Scaled weight standardisation, with a trained gain per feature, of all layers but the readout."
    )
    neuron_options: tuple[str, ...] = option(
        (), "Options of the neuron, option:value, e.g. reset:soft,detach_reset:false or order:4; see `cells`."
    )
    neuron_params: tuple[str, ...] = option(
        (),
        "Other parameters of the cell, field:number, e.g. adaptation:0.3,adaptation_leak:0.95.",
        per_layer=True,
        traced="state",
    )
    hidden: tuple[int, ...] = option(
        (), "Widths of the hidden layers of mlp; empty for its own.", bound="[1, inf)", analog=True
    )
    recurrent: str = option(
        "",
        "Hidden dense layers receive their own spikes one step later: from all neurons, or all others; empty: not.",
        choices=("", *get_args(Recurrence)),
    )
    norm: str = option("", "Norm of convolutions and hidden dense layers; empty for none.", choices=NORMS_OR_NONE)
    norm_groups: int = option(8, "Groups of features of the norm gn; they divide the features.", bound="[1, inf)")
    leaks: tuple[str, ...] = option(
        (), "Other leaks for single layers, e.g. conv1:0.9,block1/conv2:0.95.", bound="(0, 1]", per_layer=True
    )
    thresholds: tuple[str, ...] = option(
        (), "Other thresholds for single layers, e.g. pool1:0.6,fc1:0.5.", bound="(0, inf)", per_layer=True
    )
    reset: str = option(
        "hard",
        "Reset of lif: to zero (hard), to v_reset of neuron_params (value), by subtraction before (soft) or after the "
        "leak (delayed), or none. spikebp is hard.",
        choices=get_args(Reset),
    )
    leak_first: bool = option(
        False, "lif and readouts leak before integrating, as most libraries do. spikebp leaks last."
    )
    inclusive: bool = option(False, "Fire at the threshold (>=), not above it, as SpikingJelly does. Not of spikebp.")
    learn: tuple[str, ...] = option(
        (),
        "Parameters of neurons to train, e.g. leak,threshold:channel: one number per layer, per channel or per neuron. "
        "Empty for those that the neuron learns by itself, e.g. leak of plif. Not with spikebp.",
    )
    readout: str = option(
        "",
        "The network's answer: the potentials after the last step (last), their mean or max over time, the sum of "
        "their softmax, or the first spike; empty for the answer that belongs to the loss.",
        choices=("", *READOUTS),
    )
    votes: int = option(
        0,
        "Output neurons per class, which fire, and whose mean spikes answer; 0 for one that does not fire.",
        bound="[0, inf)",
    )
    encoding: str = option(
        "poisson",
        "Samples to spikes; events and delta for event data, as it is or its changes.",
        choices=ENCODINGS,
        common=True,
    )
    delta_threshold: float = option(0.1, "Change of a sample that makes a spike, of delta input.", bound="(0, inf)")
    receptive_fields: int = option(8, "Neurons for each value, of population input.", bound="[3, 1000]")
    gain: float = option(1.0, "Scales the firing rate of the Poisson input.", bound="(0, inf)", traced="step")
    time_steps: int = option(100, "Number of time steps T.", bound="[1, 1000000]", common=True)
    time_chunk: int = option(
        0,
        "Run the steps in chunks of this many, in less memory; 0 chooses by backend, norm and gradient, T or more runs "
        "all at once.",
        bound="[0, inf)",
    )
    remat: bool = option(False, "Store only the neurons' states between chunks, and run each chunk again backward.")
    truncate: bool = option(
        False, "Truncated backpropagation in time: no error goes back from a chunk of time_chunk steps."
    )
    pack_spikes: bool = option(False, "Store spikes for the backward pass in one bit each, not one byte.")
    kernel: str = option(
        "scan",
        "The loop of neurons over time: as XLA compiles it (scan), or one kernel for GPUs and TPUs (pallas).",
        choices=get_args(Kernel),
    )
    compute_dtype: str = option(
        "float32",
        "Type of spikes and currents between layers; membranes, weights and sums stay float32.",
        choices=DTYPES,
    )
    precision: str = option(
        "default",
        "Products of synapses: the platform's fastest (default), or exact: whole-number weights give whole currents.",
        choices=get_args(Precision),
    )
    dropout: float = option(
        0.0, "Dropout rate after hidden layers (not pools).", bound="[0, 1)", analog=True, traced="state", off=0.0
    )
    dropout_mask: str = option(
        "fixed", "One mask of dropout for all time steps (fixed), or one per step.", choices=get_args(Masks)
    )
    init_from: str = option(
        "",
        "Run folder, or .safetensors file, whose network (the converted one, if it has one) the weights start from.",
        per_process=True,
    )
    init_gain: float = option(
        1.0,
        "Factor on the initial weights; above 1 where layers would be silent.",
        bound="(0, inf)",
        traced="state",
    )
    init_rate: float = option(
        0.0,
        "Scale the initial weights of each layer, and the thresholds of spiking pools, so that their neurons fire at "
        "this rate on some training samples, e.g. 0.2; 0 leaves them.",
        bound="[0, 0.5)",
        single=True,
        not_swept="a sweep starts all its networks in one program",
    )

    def __post_init__(self) -> None:
        check(self)
        check_used(self, ENCODINGS, "encoding")
        paper = self.spiking and self.gradient == "spikebp"
        if self.spiking:
            check_neuron(self)
        if not paper and not (self.leak_correction and self.leak_backward == "straight_through"):
            raise ValueError(
                "leak_correction and leak_backward are variants of spikebp, got them with "
                f"neuron={self.neuron}, gradient={self.gradient}, which differentiates the leak as it is"
            )
        if paper and (self.learn or self.reset != "hard" or self.leak_first):
            raise ValueError(
                "spikebp resets hard, leaks last, and has no gradient of leak or threshold; "
                "for learn, reset=soft or leak_first choose gradient=bptt"
            )
        if paper and (self.recurrent or self.inclusive or self.surrogate_params):
            raise ValueError(
                "spikebp has no surrogate and no recurrent synapses, and fires above the threshold: surrogate_params, "
                "recurrent and inclusive need gradient=bptt"
            )
        if self.hidden and "hidden" not in inspect.signature(MODELS[self.model]).parameters:
            raise ValueError(f"hidden is for networks with a choice of widths, e.g. mlp, got model={self.model}")
        if paper and (self.slope is not None or self.surrogate != "arctan"):
            raise ValueError(
                f"spikebp has no surrogate: surrogate={self.surrogate} and slope={self.slope} need gradient=bptt"
            )
        if not self.spiking and (self.learn or self.leaks or self.thresholds):
            raise ValueError("relu has no leaks, thresholds or time: learn, leaks, thresholds go without it")
        if not self.spiking and self.kernel != "scan":
            raise ValueError(f"relu has no loop over time: got kernel={self.kernel}")
        if self.init_rate and (not self.spiking or self.norm or self.bias):
            raise ValueError(
                "init_rate scales the weights of spiking layers, whose currents norm and bias would decide: got "
                f"init_rate={self.init_rate} with neuron={self.neuron}, norm={self.norm or 'none'}, bias={self.bias}"
            )
        if not self.spiking and self.recurrent:
            raise ValueError(f"relu neurons have no time for recurrent synapses: got recurrent={self.recurrent}")
        if not self.spiking and self.encoding != "events" and (self.time_steps, self.encoding) != (1, "direct"):
            raise ValueError(
                "relu takes the analog image once: use --time_steps=1 --encoding=direct, got "
                f"{self.time_steps} steps, {self.encoding} (of event data it takes the mean of the steps)"
            )

    @property
    def spiking(self) -> bool:
        """Whether its neurons fire over time."""
        return self.neuron != "relu"

    @property
    def rule(self) -> str:
        """How it learns, in a word or two for tables."""
        if not self.spiking:
            return self.neuron
        return self.gradient if self.gradient == "spikebp" else f"{self.gradient} ({self.surrogate})"

    def layer_leaks(self) -> dict[str, float]:
        """`leaks` as layer name to number."""
        return per_layer(self.leaks)

    def layer_thresholds(self) -> dict[str, float]:
        """`thresholds` as layer name to number."""
        return per_layer(self.thresholds)
