"""Feed-forward and recurrent networks of dense layers, for vectors as for maps."""

from collections.abc import Sequence
from typing import Any

from flax import nnx

from jaxsnn.models.builder import Builder
from jaxsnn.models.network import Network


def mlp(*, hidden: Sequence[int] = (256, 256), rngs: nnx.Rngs, **options: Any) -> Network:
    """Builds hidden dense layers and the readout: 249,856 weights for 700 inputs and 20 classes, 380,928 if recurrent.

    Args:
      hidden: widths of the hidden layers.
      rngs: `nnx.Rngs(seed)`.
      options: as in `NetworkOptions`, `recurrent` among them.

    Raises:
      ValueError: for no hidden layer, a width below 1, or as in `models.create`.

    Source: the sizes are those of Cramer et al. 2020 (doi 10.1109/TNNLS.2020.3044364) for spoken digits, with two
    layers.
    """
    if not hidden or min(hidden) < 1:
        raise ValueError(f"an mlp needs hidden widths of 1 at least, got {tuple(hidden)}")
    net = Builder(init_scale=2.0, rngs=rngs, **options)
    for features in hidden:
        net.dense(features)
    return net.finish()
