"""LeNet of Lee et al. (2020): conv5x5 20, pool, conv5x5 50, pool, dense 200, readout."""

from typing import Any

from jaxsnn.models.builder import Builder
from jaxsnn.models.sequential import Sequential


def lenet(**options: Any) -> Sequential:
    """Builds the network; 517,500 weights for 28x28x1 and 10 classes.

    Args:
      options: as in `models.create`.

    Raises:
      ValueError: as in `models.create`.

    Source: Lee et al. (2020) and their released code.
    """
    net = Builder(init_scale=2.0, **options)
    for features in (20, 50):
        net.conv(features, kernel_size=5)
        net.pool()
    net.dense(200)
    return net.finish()
