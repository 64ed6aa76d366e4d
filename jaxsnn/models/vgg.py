"""VGG networks: stages of 3x3 convolutions, each closed by a spiking average pool, then dense layers."""

from collections.abc import Sequence
from typing import Any

from jaxsnn.models.builder import Builder
from jaxsnn.models.network import Network


def vgg(stages: Sequence[Sequence[int]], hidden: Sequence[int], **options: Any) -> Network:
    """Builds a network of `stages`, each the widths of its convolutions, and `hidden` dense layers before the readout.

    VGG5, for instance, is `vgg(((64,), (128, 128)), (1024, 1024), **options)`.

    Args:
      stages: e.g. `((64, 64), (128, 128))`; each stage halves height and width.
      hidden: widths of the dense layers.
      options: as in `models.create`, `rngs` among them.

    Raises:
      ValueError: as in `models.create`.
    """
    net = Builder(init_scale=2.0, **options)
    for stage in stages:
        for features in stage:
            net.conv(features)
        net.pool()
    for features in hidden:
        net.dense(features)
    return net.finish()


def vgg5(**options: Any) -> Network:
    """Three convolutions and two dense layers; options as in `models.create`."""
    return vgg(((64,), (128, 128)), (1024,), **options)


def vgg7(**options: Any) -> Network:
    """Six convolutions and the readout; options as in `models.create`."""
    return vgg(((64, 64), (128, 128), (256, 256)), (), **options)


def vgg9(**options: Any) -> Network:
    """VGG9 of Lee et al. (2020): 5,938,880 weights for 32x32x3 and 10 classes; options as in `models.create`."""
    return vgg(((64, 64), (128, 128), (256, 256, 256)), (1024,), **options)


def vgg11(**options: Any) -> Network:
    """Configuration A of Simonyan & Zisserman (2015, arXiv 1409.1556) with the readout behind the last pool, as small
    images have it; options as in `models.create`.
    """
    return vgg(((64,), (128,), (256, 256), (512, 512), (512, 512)), (), **options)


def vgg13(**options: Any) -> Network:
    """Configuration B, as `vgg11`."""
    return vgg(((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)), (), **options)


def vgg16(**options: Any) -> Network:
    """Configuration D, as `vgg11`."""
    return vgg(((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3), (), **options)
