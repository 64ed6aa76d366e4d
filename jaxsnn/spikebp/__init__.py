"""Spike-based backpropagation with a leak-corrected derivative: the rule of Lee et al. (2020) on a spike train.

Source: C. Lee, S. S. Sarwar, P. Panda, G. Srinivasan, K. Roy, *Enabling Spike-Based Backpropagation for Training Deep
Neural Network Architectures*, Front. Neurosci. 14:119 (2020), doi 10.3389/fnins.2020.00119. Labels (E2) ... (E9) are
those of docs/equations.md.

    @article{lee2020spikebp, title={Enabling Spike-Based Backpropagation for Training Deep Neural Network
    Architectures},
      author={Lee, Chankyu and Sarwar, Syed Shakib and Panda, Priyadarshini and Srinivasan, Gopalakrishnan and Roy,
      Kaushik}, journal={Frontiers in Neuroscience}, volume={14}, pages={119}, year={2020}}

Forward these are the cells of `jaxsnn.cells` (integrate, fire, hard reset, leak). Backward they differ from it: each
neuron has one derivative `d` for its whole spike train, computed from its own spikes after the last step (E8), and the
error walks back through time gated by the spikes, not by the leak (E9).

A train may come in chunks of time (down to single steps) with the state handed on: gradients are the same. `d`
is known after the last chunk only, so its ingredients travel back to the earlier chunks, in the cotangents of
`filtered` and `spike_count`. Those two are therefore for reading (analysis), not for a loss. Whoever runs all chunks
saves memory by `unfinished` before the first chunk and `finish` after the last.

Variants that the paper leaves open are arguments (E12): no leak correction, and the true leak in the backward pass.
"""

from jaxsnn.spikebp.neurons import FIRED, derivative, lif, lif_pooled, pool
from jaxsnn.spikebp.readouts import readout
from jaxsnn.spikebp.states import SpikeBPState, finish, init, unfinished

__all__ = [
    "FIRED",
    "SpikeBPState",
    "derivative",
    "finish",
    "init",
    "lif",
    "lif_pooled",
    "pool",
    "readout",
    "unfinished",
]
