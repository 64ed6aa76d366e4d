"""The group of a configuration that says what the network is, and the neurons that it names."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from jaxsnn import SURROGATES, layers
from jaxsnn.lab.options import check, option, per_layer
from jaxsnn.layers import Masks
from jaxsnn.models import MODELS, Pool
from jaxsnn.typing import ArrayLike, LeakBackward

ENCODINGS = ("poisson", "direct", "latency", "events")
GRADIENTS = ("spikebp", "bptt")
DTYPES = ("float32", "bfloat16")


def lif(network: "NetworkConfig", slope: ArrayLike | None) -> layers.Neuron:
    """Leaky integrate-and-fire neurons with the gradient that is asked for."""
    if network.gradient == "spikebp":
        return layers.SpikeBP(
            network.leak,
            network.threshold,
            network.pool_threshold,
            pack_spikes=network.pack_spikes,
            leak_correction=network.leak_correction,
            leak_backward=network.leak_backward,  # type: ignore[arg-type]
        )
    return layers.LIF(
        network.leak,
        network.threshold,
        network.pool_threshold,
        spike=functools.partial(SURROGATES[network.surrogate], slope=slope),
        reset=network.reset,  # type: ignore[arg-type]
        leak_first=network.leak_first,
        learn=network.learn,
        pack_spikes=network.pack_spikes,
    )


def relu(network: "NetworkConfig", slope: ArrayLike | None) -> layers.Neuron:
    """Analog neurons, without time."""
    return layers.ReLU()


NEURONS: dict[str, Callable[["NetworkConfig", ArrayLike | None], layers.Neuron]] = {"lif": lif, "relu": relu}
"""Name of `--neuron` to its maker, `(network, slope) -> neuron`; the slope may be traced."""


@dataclass(frozen=True)
class NetworkConfig:
    """The network, its neurons, and how samples become its input over time."""

    model: str = option("lenet", "Network.", choices=MODELS, analog=True, common=True)
    width: float = option(
        1.0, "Multiplies the features of every hidden layer.", bound="(0, 16]", analog=True, common=True
    )
    neuron: str = option(
        "lif", "Neurons: spiking (lif), or those of an analog network (relu).", choices=NEURONS, common=True
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
    leak: float = option(
        0.99, "Membrane decay per time step, exp(-1 / tau).", bound="(0, 1]", traced="state", common=True
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
    pool: str = option("spiking", "Average pools with neurons (spiking) or without (average).", choices=get_args(Pool))
    leaks: tuple[str, ...] = option(
        (), "Other leaks for single layers, e.g. conv1:0.9,block1/conv2:0.95.", bound="(0, 1]", per_layer=True
    )
    thresholds: tuple[str, ...] = option(
        (), "Other thresholds for single layers, e.g. pool1:0.6,fc1:0.5.", bound="(0, inf)", per_layer=True
    )
    reset: str = option(
        "hard", "Reset to zero (hard) or by subtraction (soft). spikebp is hard.", choices=("hard", "soft")
    )
    leak_first: bool = option(False, "Leak before integrating, as most libraries do. spikebp leaks last.")
    learn: tuple[str, ...] = option(
        (), "Neuron constants to train, one per layer. Not with spikebp.", choices=("leak", "threshold")
    )
    readout: str = option(
        "last",
        "The network's answer: the potentials after the last step, or their mean over time.",
        choices=("last", "mean"),
    )
    encoding: str = option(
        "poisson", "Images to spikes; events for event data, fed as it is.", choices=ENCODINGS, common=True
    )
    gain: float = option(1.0, "Scales the firing rate of the Poisson input.", bound="(0, inf)", traced="step")
    time_steps: int = option(100, "Number of time steps T.", bound="[1, 1000000]", common=True)
    time_chunk: int = option(
        0,
        "Run the steps in pieces of this many, in less memory; 0 chooses by backend, T or more runs all at once.",
        bound="[0, inf)",
    )
    remat: bool = option(False, "Store only the neurons' states between pieces, and run each piece again backward.")
    pack_spikes: bool = option(False, "Store spikes for the backward pass in one bit each, not one byte.")
    compute_dtype: str = option(
        "float32",
        "Type of spikes and currents between layers; membranes, weights and sums stay float32.",
        choices=DTYPES,
    )
    dropout: float = option(
        0.0, "Dropout rate after hidden layers (not pools).", bound="[0, 1)", analog=True, traced="state", off=0.0
    )
    dropout_mask: str = option(
        "fixed", "One mask of dropout for all time steps (fixed), or one per step.", choices=get_args(Masks)
    )
    init_from: str = option("", "Run folder whose converted network the weights start from (jaxsnn.lab.convert).")
    init_gain: float = option(
        1.0,
        "Factor on the initial weights; above 1 where layers would be silent.",
        bound="(0, inf)",
        traced="state",
    )

    def __post_init__(self) -> None:
        check(self)
        paper = self.spiking and self.gradient == "spikebp"
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
        if paper and (self.slope is not None or self.surrogate != "arctan"):
            raise ValueError(
                f"spikebp has no surrogate: surrogate={self.surrogate} and slope={self.slope} need gradient=bptt"
            )
        if not self.spiking and (self.learn or self.leaks or self.thresholds or self.init_from):
            raise ValueError("relu has no leaks, thresholds or time: learn, leaks, thresholds, init_from go without it")
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
