"""From a ReLU network to integrate-and-fire neurons: thresholds under which their rates are its activations.

A spike of layer l stands for the activation `scale_l`: its rate is `a_l / scale_l`. With the ReLU network's weights the
current of a layer is `a_l / scale_(l-1)`, and the threshold `V_l = scale_l / scale_(l-1)` makes the rate right; see
(E10) and (E11) in docs/equations.md. Two ways to choose the scales:

- `thresholds_from_activations`: from the ReLU network's largest activations, or a percentile, on training data (Diehl
  et al. 2015);
- `thresholds_from_currents`: from the largest current under spiking input, layer after layer (Sengupta et al. 2019).

Weights are copied. Only where two currents meet in one membrane, in a residual block, are the second convolution's
scaled to the unit of the shortcut's, since they come from spikes that stand for different amounts. The readout gets the
threshold that makes its logits those of the ReLU network, up to the error of the rates.

Both networks are one architecture: `models.create(name, neurons=neurons.relu(), ...)`, and the same with
`neurons=neurons.lif(leak=1.0, reset="soft")`. Here they are functions, plain dicts and `models.connections`.
"""

from jaxsnn.conversion.activations import largest_activations, thresholds_from_activations
from jaxsnn.conversion.currents import thresholds_from_currents
from jaxsnn.conversion.network import Converted, check, initialise

__all__ = [
    "Converted",
    "check",
    "initialise",
    "largest_activations",
    "thresholds_from_activations",
    "thresholds_from_currents",
]
