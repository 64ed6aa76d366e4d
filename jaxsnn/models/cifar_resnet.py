"""Residual networks for small images, with norms, joined in the ways of the field.

A stem of one 3x3 convolution, stages of blocks of two 3x3 convolutions, a global average pool, the readout. The first
block of a later stage halves the map, and its shortcut is a 1x1 convolution. Every convolution has the network's norm.
`JOINS` names how a block's input x meets its second convolution:

- `plain`: the currents are added, then the neurons fire: s(norm conv2 + x). He et al. (2016, arXiv 1512.03385), as
  spiking networks with tdBN have it: Zheng et al. (2021, arXiv 2011.05280).
- `sew_add`, `sew_and`, `sew_iand`: the neurons fire first; spikes are added (counts are sent), or x AND y, or x AND NOT
  y. Fang et al. (2021, arXiv 2102.04159).
- `ms`: neurons stand before the convolutions, and currents are added, so that the shortcut carries membrane potentials.
  Hu et al. (2021, arXiv 2112.08954).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from jaxsnn.layers import Join
from jaxsnn.models.builder import Builder
from jaxsnn.models.network import Network
from jaxsnn.models.rows import Tap

SIZES: dict[str, dict[str, Any]] = {
    "resnet18": {"stages": ((64, 2), (128, 2), (256, 2), (512, 2)), "stem": 64},
    "resnet19": {"stages": ((128, 3), (256, 3), (512, 2)), "stem": 64, "hidden": (256,)},
    "resnet20": {"stages": ((16, 3), (32, 3), (64, 3)), "stem": 16},
}
"""Known networks. resnet18: He et al. with the stem of small images. resnet19: Zheng et al. (2021), as Deng et al.
(2022, arXiv 2202.11946) train it. resnet20: He et al. (2016), section 4.2.
Weights for 32x32x3, 10 classes and `norm="bn"`: 11,173,952, 12,631,104 and 272,464."""

Block = Callable[[Builder, int, int], None]


def cifar_resnet(
    stages: Sequence[tuple[int, int]],
    *,
    stem: int = 64,
    join: str = "plain",
    hidden: Sequence[int] = (),
    **options: Any,
) -> Network:
    """Builds a residual network.

    Args:
      stages: `(features, blocks)` of each; every stage but the first begins with stride 2.
      stem: features of the first convolution.
      join: key of `JOINS`.
      hidden: widths of dense layers between the global pool and the readout.
      options: as in `models.create`, `rngs` among them; give `norm="bn"` or another.

    Raises:
      ValueError: as in `models.create`, or for an unknown join.
    """
    if join not in JOINS:
        raise ValueError(f"join must be one of {', '.join(JOINS)}, got {join!r}")
    net, before = Builder(init_scale=2.0, **options), join == "ms"
    net.conv(stem, neurons=not before)
    for number, (features, blocks) in enumerate(stages):
        for block in range(blocks):
            JOINS[join](net, features, 2 if number and not block else 1)
    if before:
        net.neurons()
    net.pool(None)
    for features in hidden:
        net.dense(features)
    return net.finish()


def _shortcut(net: Builder, name: str, start: Tap, features: int, stride: int, *, neurons: bool) -> Tap:
    """The block's input, where its shape changes through a 1x1 convolution of its own."""
    back = net.here()
    if start.shape == back.shape:
        return start
    net.at(start)
    net.conv(features, 1, stride=stride, name=f"{name}/shortcut", neurons=neurons)
    around = net.here()
    net.at(back)
    return around


def plain(net: Builder, features: int, stride: int) -> None:
    """Neurons receive the sum of the block's currents and its input."""
    name, start = net.next_name("block"), net.here()
    net.conv(features, stride=stride, name=f"{name}/conv1")
    net.conv(features, name=f"{name}/conv2", neurons=False)
    around = _shortcut(net, name, start, features, stride, neurons=False)
    net.join(f"{name}/join", (f"{name}/around", around), neurons=True)


def sew(net: Builder, features: int, stride: int, *, how: Join) -> None:
    """Spikes of the block meet spikes of its input."""
    name, start = net.next_name("block"), net.here()
    net.conv(features, stride=stride, name=f"{name}/conv1")
    net.conv(features, name=f"{name}/conv2")
    around = _shortcut(net, name, start, features, stride, neurons=True)
    net.join(f"{name}/join", (f"{name}/around", around), how)


def ms(net: Builder, features: int, stride: int) -> None:
    """Neurons before each convolution; currents of the block are added to those of its input."""
    name, start = net.next_name("block"), net.here()
    net.neurons(f"{name}/act1")
    fired = net.here()
    net.conv(features, stride=stride, name=f"{name}/conv1")
    net.conv(features, name=f"{name}/conv2", neurons=False)
    around = start
    if start.shape != net.here().shape:  # of the spikes, so that every convolution is driven by spikes
        around = _shortcut(net, name, fired, features, stride, neurons=False)
    net.join(f"{name}/join", (f"{name}/around", around))


JOINS: dict[str, Block] = {
    "plain": plain,
    "sew_add": partial(sew, how="sum"),
    "sew_and": partial(sew, how="and"),
    "sew_iand": partial(sew, how="iand"),
    "ms": ms,
}

CIFAR_RESNETS: dict[str, Callable[..., Network]] = {
    name if join == "plain" else f"{join}_{name}": partial(cifar_resnet, join=join, **sizes)
    for name, sizes in SIZES.items()
    for join in JOINS
}
"""Every network of `SIZES` with every join: `resnet18`, `sew_add_resnet18`, `ms_resnet18`, ..."""
