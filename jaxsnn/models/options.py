"""The options that every network has."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import jax.numpy as jnp

from jaxsnn import neurons as rules
from jaxsnn.layers import NORMS, Masks, Recurrence
from jaxsnn.neurons import Neurons
from jaxsnn.synapses import Precision
from jaxsnn.typing import DTypeLike, Shape

Pool = Literal["spiking", "average", "max"]


@dataclass(frozen=True)
class NetworkOptions:
    """The options of every network in `MODELS`, and of `Builder`."""

    input_shape: Shape
    """Shape of one sample at one time step: `(H, W, C)`, channels last, or `(features,)`."""
    num_classes: int
    """Size of the readout."""
    neurons: Neurons = field(default_factory=rules.spikebp)
    """Rule, surrogate, leak and threshold of all layers, from `jaxsnn.neurons`."""
    per_layer: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other values for single layers, by field and layer, e.g. `{"threshold": {"fc1": 0.5, "pool1": 0.6}}`."""
    readout: str = "last"
    """Key of `READOUTS`: how the potentials of the readout over time become the answer."""
    votes: int = 0
    """Output neurons of each class, which fire; potentials of the readout are the mean of their spikes, and logits over
    time firing rates. 0: one neuron per class, which does not fire."""
    norm: str = ""
    """Key of `layers.NORMS`: between synapses and neurons of every convolution and hidden dense layer; empty: none."""
    norm_groups: int = 8
    """Groups of neighbouring features, of the norm "gn"."""
    time_steps: int = 0
    """T of the trains, for norms with numbers of their own at each step; 0: not known."""
    dropout: float = 0.0
    """Rate after every convolution and hidden dense layer (not after pools: the paper's code has none there)."""
    dropout_mask: Masks = "fixed"
    """One mask for all steps (E5), "fixed", or another at every step, "fresh"."""
    pool: Pool = "spiking"
    """Average pools with neurons (E3), "spiking", or without, "average"; or max pools, "max", without neurons."""
    width: float = 1.0
    """Multiplies the features of every hidden layer, rounded, at least 1."""
    init_gain: float = 1.0
    """Factor on the initial weights, which are normal with standard deviation `sqrt(scale / fan_in)`. Above 1 where
    layers would be silent (see `analysis.activity`)."""
    param_dtype: DTypeLike = jnp.float32
    """Dtype of weights and input."""
    compute_dtype: DTypeLike | None = None
    """Dtype of spikes and currents between layers, e.g. `jnp.bfloat16`; None for `param_dtype`. Membranes and sums have
    float32 at least."""
    bias: bool = False
    """Whether every convolution and dense layer adds a trained number per feature at every step."""
    delays: int = 0
    """Largest learned delay of the synapses of hidden dense layers, in time steps; 0 for none."""
    standardise: bool = False
    """Whether the weights of all layers but the readout are standardised (see `layers.Conv`)."""
    recurrent: Recurrence | Literal[""] = ""
    """Neurons of hidden dense layers receive the spikes of their layer one step later: from "all" of its neurons, or
    from all "others"; empty: not at all."""
    static_input: bool = False
    """Promise that the input is the same at every step (direct input): the layers that receive it alone are computed
    once, not T times."""
    precision: Precision = "default"
    """Products of the synapses: the platform's fastest, or "exact" ones, whose sums of whole numbers are whole: for
    quantised weights, and to compare potentials at the threshold with another tool's."""

    def __post_init__(self) -> None:
        if not self.input_shape or min(*self.input_shape, self.num_classes) < 1:
            raise ValueError(
                "a model needs input_shape, as (H, W, C) or (features,), and num_classes, all >= 1, got "
                f"{self.input_shape} and {self.num_classes}"
            )
        for name in ("width", "init_gain"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"width and init_gain must be > 0 and finite, got {name}={getattr(self, name)}")
        if self.votes < 0:
            raise ValueError(
                f"votes must be a number of output neurons per class, 0 for none that fire, got {self.votes}"
            )
        if self.norm and self.norm not in NORMS:
            raise ValueError(
                f"norm must be one of {', '.join(NORMS) or 'none, since there is none'}, got {self.norm!r}"
            )
        if self.recurrent not in ("", *get_args(Recurrence)):
            raise ValueError(
                f"recurrent must be empty or one of {', '.join(get_args(Recurrence))}, got {self.recurrent!r}"
            )
        if self.pool not in get_args(Pool):
            raise ValueError(f"pool must be one of {', '.join(get_args(Pool))}, got {self.pool!r}")
