"""Which neuron reaches which: the shape of one bundle of synapses as plain data, for counting (see `analysis`)."""

from typing import Literal, NamedTuple

from jaxsnn.synapses.im2col import Pads
from jaxsnn.typing import Shape


class Connection(NamedTuple):
    """Synapses from one spike train to one layer of neurons, for one sample and step."""

    name: str
    """Layer that holds them: `conv1`, `pool1`, `fc1`, `block1/conv2`, `block1/shortcut`."""
    source: str
    """Spike train that they carry: `input`, or the name of a layer, e.g. `block1/conv1`."""
    target: str
    """Layer whose membranes they feed: `name` itself, but `block1/conv2` for `block1/shortcut`."""
    kind: Literal["conv", "dense", "pool", "subsample", "attention"]
    """`conv` and `dense` have weights; `pool` (average, maximum) and `subsample` (shortcut of equal widths, an input as
    it is) have none; `attention` adds spikes of one token to others."""
    kernel: Shape
    """`[kh, kw, C / groups, out]`, `[in, out]` of a dense layer; the window of a pool; () of a subsampling; the
    number of tokens that an input of attention reaches."""
    stride: int
    """Stride of the output grid; 1 of a pool, whose windows do not overlap, and of a dense layer."""
    pads: Pads
    """Zero rows (above, below) and columns (left, right) around the input."""
    input_shape: Shape
    """Shape of `source` without time and batch: `[H, W, C]`, or `[features]`."""
    output_shape: Shape
    """Shape of `target`, likewise."""
    groups: int = 1
    """Into how many groups the channels and features of a convolution are divided."""
    dilation: int = 1
    """Distance of neighbouring taps of a convolution's kernel."""
    bias: bool = False
    """Whether a number is added to every current at every step: a bias, or a norm, which folds into one."""
    neurons: bool = True
    """Whether the target has neurons; otherwise it sends currents on, or a maximum or sum of spikes."""
    hollow: bool = False
    """Whether no neuron of a dense layer reaches itself: the diagonal of the kernel is no synapses."""
    through: "Connection | None" = None
    """Synapses of a layer without neurons (an average pool) that the spikes pass on their way; None: none."""

    @property
    def behind(self) -> "Connection":
        """The same synapses as the layer without neurons feeds them; itself if there is none."""
        if self.through is None:
            return self
        return self._replace(source=self.through.target, input_shape=self.through.output_shape, through=None)

    @property
    def weighted(self) -> bool:
        """Whether each synapse has a weight of its own (or shares one), so that a ReLU network would multiply."""
        return self.kind in ("conv", "dense")
