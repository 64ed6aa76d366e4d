"""Parametric LIF neuron (PLIF): a LIF neuron whose leak is learned, and whose input is scaled by it.

    u_t = leak v_(t-1) + (1 - leak) I_t,    s_t = 1[u_t > V_th],    v_t = (1 - s_t) u_t

`1 - leak = 1/tau = sigmoid(w)`: the trained number is `leak_logit = -w`, one for the layer, or per channel or neuron.

Source: Fang et al. 2021 (arXiv 2007.05785), equations (10) and (11).
"""

from typing import NamedTuple

from jaxsnn.cells import lif
from jaxsnn.cells.cell import Cell
from jaxsnn.typing import ArrayLike


class PLIFParams(NamedTuple):
    """Parameters of a parametric LIF neuron; each a scalar or broadcastable to the neuron shape."""

    leak: ArrayLike = 0.5
    """Membrane decay per time step, `1 - 1/tau`, where it starts; tau is 2 in the paper."""
    threshold: ArrayLike = 1.0
    """Firing threshold V_th, in units of the input current."""


def cell(
    *,
    reset: lif.Reset = "hard",
    leak_first: bool = True,
    detach_reset: bool = True,
    scale_input: bool = True,
) -> Cell:
    """The record of this neuron; options and errors as in `lif.cell`."""
    made = lif.cell(reset=reset, leak_first=leak_first, detach_reset=detach_reset, scale_input=scale_input)
    params = made.params if reset == "value" else PLIFParams
    return made._replace(params=params, make=cell, learned=("leak",))


CELL = cell()
