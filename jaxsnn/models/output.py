"""The output of a network."""

from typing import Any, NamedTuple

from jaxsnn.typing import Array


class Output(NamedTuple):
    """The output of a network."""

    logits: Array
    """The answer after the last step, `answers[-1] / (V_th T)` (E6), `[B, classes]`; T counts the steps since the carry
    started."""
    potentials: Array
    """Readout membrane at every step, `[T, B, classes]`."""
    answers: Array
    """Evidence for each class after every step, as the network's readout accumulates it, `[T, B, classes]`; the
    largest is the answer, so that one pass gives the accuracy at any time."""
    spike_counts: dict[str, Array]
    """Layer name to spikes per sample in this call, int32 `[B]`; in residual blocks `block1/conv1`, `block1/conv2`.
    A layer without neurons sends none and is left out, here and in `spikes`."""
    carry: dict[str, Any]
    """Layer name to neuron state after the last step, and `steps`: hand it back to go on in time."""
    spikes: dict[str, Array] | None
    """Layer name to spikes at every step `[T, B, ...]`, `input` included; None unless `record=True`."""
    neuron_counts: dict[str, Array] | None = None
    """Layer with neurons to the spikes of each of them over the steps of this call, `[B, ...]`, in float32 at least;
    other than `spike_counts` they have gradients. None unless `count=True`, or where no layer has neurons."""
