"""Residual networks: a convolution and a spiking average pool, residual blocks, a dense layer, the readout.

ResNet11 is as the authors of Lee et al. (2020) released it. No code of the paper's smaller networks exists: ResNet9
"has one block fewer", ResNet7 two; which widths and strides remain is our reading (docs/decisions/0006).
"""

from collections.abc import Sequence
from typing import Any

from jaxsnn.models.builder import Builder
from jaxsnn.models.network import Network


def resnet(
    blocks: Sequence[tuple[int, int]], *, stem: int = 64, hidden: Sequence[int] = (1024,), **options: Any
) -> Network:
    """Builds a residual network.

    Args:
      blocks: `(features, stride)` of each block of two convolutions (see `block`).
      stem: features of the first convolution, which a pool follows.
      hidden: widths of the dense layers.
      options: as in `models.create`, `rngs` among them.

    Raises:
      ValueError: as in `models.create`.
    """
    net = Builder(init_scale=1.0, **options)
    net.conv(stem)
    net.pool()
    for features, stride in blocks:
        block(net, features, stride)
    for features in hidden:
        net.dense(features)
    return net.finish()


def block(net: Builder, features: int, stride: int = 1) -> None:
    """Two 3x3 convolutions; the block's input goes round them into the membranes of the second (E4).

    The stride is on the second convolution and on the shortcut, a 1x1 convolution, or, where the widths are equal, the
    input itself at every `stride`-th row and column.

    Source: Lee et al. (2020), as released.
    """
    name, start = net.next_name("block"), net.here()
    net.conv(features, name=f"{name}/conv1")
    net.conv(features, stride=stride, name=f"{name}/conv2", shortcut=(f"{name}/shortcut", start))


def resnet7(**options: Any) -> Network:
    """Two blocks; options as in `models.create`."""
    return resnet(((128, 1), (256, 2)), **options)


def resnet9(**options: Any) -> Network:
    """Three blocks; options as in `models.create`."""
    return resnet(((128, 1), (256, 2), (512, 2)), **options)


def resnet11(**options: Any) -> Network:
    """ResNet11 of Lee et al. (2020), four blocks; options as in `models.create`."""
    return resnet(((128, 1), (256, 2), (512, 1), (512, 2)), **options)
