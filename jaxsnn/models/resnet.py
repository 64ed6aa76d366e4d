"""Residual networks: a convolution and a spiking average pool, residual blocks, a dense layer, the readout.

ResNet11 is as the authors of Lee et al. (2020) released it. Of the paper's smaller ones no code was released: ResNet9
"has one block fewer", ResNet7 two; which widths and strides remain is our reading (docs/decisions/0006).
"""

from collections.abc import Sequence
from typing import Any

from jaxsnn.models.builder import Builder
from jaxsnn.models.sequential import Sequential


def resnet(
    blocks: Sequence[tuple[int, int]], *, stem: int = 64, hidden: Sequence[int] = (1024,), **options: Any
) -> Sequential:
    """Builds a residual network.

    Args:
      blocks: `(features, stride)` of each block of two convolutions (see `layers.ResidualBlock`).
      stem: features of the first convolution, which a pool follows.
      hidden: widths of the dense layers.
      options: as in `models.create`.

    Raises:
      ValueError: as in `models.create`.
    """
    net = Builder(init_scale=1.0, **options)
    net.conv(stem)
    net.pool()
    for features, stride in blocks:
        net.block(features, stride)
    for features in hidden:
        net.dense(features)
    return net.finish()


def resnet7(**options: Any) -> Sequential:
    """Two blocks; options as in `models.create`."""
    return resnet(((128, 1), (256, 2)), **options)


def resnet9(**options: Any) -> Sequential:
    """Three blocks; options as in `models.create`."""
    return resnet(((128, 1), (256, 2), (512, 2)), **options)


def resnet11(**options: Any) -> Sequential:
    """ResNet11 of Lee et al. (2020), four blocks; options as in `models.create`."""
    return resnet(((128, 1), (256, 2), (512, 1), (512, 2)), **options)
