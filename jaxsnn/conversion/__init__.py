"""From a ReLU network to integrate-and-fire neurons: thresholds under which their rates are its activations.

A spike of layer l stands for the activation `scale_l`: its rate is `a_l / scale_l`. With the ReLU network's weights the
current of a layer is `a_l / scale_(l-1)`, and the threshold `V_l = scale_l / scale_(l-1)` makes the rate right; see
(E10) and (E11) in docs/equations.md. Two ways to choose the scales:

- `normalise`: from the ReLU network's largest activations, or a percentile, on training data (Diehl et al. 2015);
- `balance`: from the largest current under spiking input, layer after layer (Sengupta et al. 2019).

Weights are copied. Only where two currents meet in one membrane, in a residual block, are the second convolution's
scaled to the unit of the shortcut's, since they come from spikes that stand for different amounts. The readout gets the
threshold that makes its logits those of the ReLU network, up to the error of the rates.

Both networks are one architecture: `models.create(name, neuron=layers.ReLU(), ...)`, and the same with
`neuron=layers.LIF(leak=1.0, reset="soft")`. Here they are functions and plain dicts.
"""

from jaxsnn.conversion.balance import balance
from jaxsnn.conversion.network import Converted, check, initialise
from jaxsnn.conversion.normalise import largest_activations, normalise

__all__ = ["Converted", "balance", "check", "initialise", "largest_activations", "normalise"]
