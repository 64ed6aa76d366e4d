"""LeNet of Lee et al. (2020): conv5x5 20, pool, conv5x5 50, pool, dense 200, readout."""

from typing import Any

from flax import nnx

from jaxsnn.models.builder import Builder
from jaxsnn.models.network import Network


def lenet(*, rngs: nnx.Rngs, **options: Any) -> Network:
    """Builds the network; 517,500 weights for 28x28x1 and 10 classes.

    Args:
      rngs: `nnx.Rngs(seed)`.
      options: as in `NetworkOptions`.

    Raises:
      ValueError: as in `models.create`.

    Source: Lee et al. (2020) and their released code.
    """
    net = Builder(init_scale=2.0, rngs=rngs, **options)
    for features in (20, 50):
        net.conv(features, kernel_size=5)
        net.pool()
    net.dense(200)
    return net.finish()
