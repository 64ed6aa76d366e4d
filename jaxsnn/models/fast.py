"""A network for small images that pools early, so that little is computed on large maps.

Stages of two convolutions: a max pool halves the currents of the first before norm and neurons see them. An average
over the map ends the network. With `static_input` the first pool is computed once, not T times. The order of pool
and nonlinearity is that of Jordan (2024, arXiv 2404.00498), whose networks are not spiking.
"""

from collections.abc import Sequence
from typing import Any

from jaxsnn import layers
from jaxsnn.models.builder import Builder
from jaxsnn.models.network import Network


def fast(stages: Sequence[tuple[int, int]], **options: Any) -> Network:
    """Builds a network.

    Args:
      stages: features of the two convolutions of each; 0 as the second leaves it out.
      options: as in `models.create`, `rngs` among them; give `norm="bn"` or another.

    Raises:
      ValueError: as in `models.create`.
    """
    net = Builder(init_scale=2.0, **options)
    for first, second in stages:
        net.conv(first, neurons=False, normed=False)
        name, wide = net.next_name("pool"), net.here().shape[-1]
        net.add(name, layers.MaxPool(), net.options.neurons.hidden, norm=net.norm(name, wide), dropout=True)
        if second:
            net.conv(second)
    net.pool(None)
    return net.finish()


def fast_cifar(**options: Any) -> Network:
    """64 features at 16x16, 128 at 8x8, 256 at 4x4; options as in `models.create`."""
    return fast(((64, 64), (128, 128), (256, 256)), **options)
