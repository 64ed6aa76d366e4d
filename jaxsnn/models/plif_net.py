"""The networks of the PLIF paper: convolutions of one width with norms and max pools, two dense layers, votes.

Each convolution has the network's norm; dense layers have none. The last layer fires, and ten neurons vote for each
class. Source: Fang et al. (2021), ICCV, arXiv 2007.05785, table 1. As published they take `norm="bn"`, `pool="max"`,
`neuron="plif"`, dropout 0.5, and direct input, whose first convolution and norm are computed once.
"""

from collections.abc import Sequence
from typing import Any

from jaxsnn.models.builder import Builder
from jaxsnn.models.network import Network


def plif_net(stages: Sequence[int], *, features: int, **options: Any) -> Network:
    """Builds a network.

    Args:
      stages: convolutions of each stage, which a pool closes.
      features: of every convolution, before `width` multiplies them.
      options: as in `models.create`, `rngs` among them; `votes` is 10 unless it is given.

    Raises:
      ValueError: as in `models.create`.
    """
    options["votes"] = options.get("votes") or 10
    net = Builder(init_scale=2.0, **options)
    for convolutions in stages:
        for _ in range(convolutions):
            net.conv(features)
        net.pool()
    net.dense(2048, normed=False)
    return net.finish()


def plif_mnist(**options: Any) -> Network:
    """Two stages of one convolution of 128 features, for MNIST, Fashion-MNIST and N-MNIST; options as in
    `models.create`.
    """
    return plif_net((1, 1), features=128, **options)


def plif_cifar10(**options: Any) -> Network:
    """Two stages of three convolutions of 256 features; options as in `models.create`."""
    return plif_net((3, 3), features=256, **options)
