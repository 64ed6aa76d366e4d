"""A small Spikformer: convolutions make tokens of spikes, blocks of spiking self-attention and dense layers follow.

Every neuron layer stands behind a convolution and a norm (of tokens: kernel 1), and residual connections add spikes.
A 3x3 convolution of the tokens tells their positions. Source: Zhou et al. (2023), Spikformer, ICLR, arXiv 2209.15425.
"""

from typing import Any

from jaxsnn.layers import Attend, SelfAttention
from jaxsnn.models.builder import Builder
from jaxsnn.models.network import Network


def spikformer(*, depth: int, embed: int, heads: int = 8, ratio: int = 4, **options: Any) -> Network:
    """Builds a network for maps `[H, W, C]`; two pools make `H/4 * W/4` tokens.

    Args:
      depth: blocks.
      embed: channels of a token, before `width` multiplies them.
      heads: of the attention; they divide the channels.
      ratio: width of a block's inner dense layer, in tokens' channels.
      options: as in `models.create`, `rngs` among them; give `norm="bn"` and `pool="max"` for the paper's.

    Raises:
      ValueError: as in `models.create`, or for heads that do not divide the channels.
    """
    net = Builder(init_scale=2.0, **options)
    for part, pool in ((8, False), (4, False), (2, True), (1, True)):
        net.conv(embed // part)
        if pool:
            net.pool()
    start = net.here()
    net.conv(embed, name="position")
    net.join("tokens", ("tokens/around", start))
    for number in range(1, depth + 1):
        _attention(net, f"block{number}", embed, heads)
        start = net.here()
        net.conv(ratio * embed, 1, name=f"block{number}/fc1")
        net.conv(embed, 1, name=f"block{number}/fc2")
        net.join(f"block{number}/join2", (f"block{number}/around2", start))
    net.pool(None)
    return net.finish()


def _attention(net: Builder, block: str, embed: int, heads: int) -> None:
    start, sent = net.here(), {}
    for name in ("keys", "values", "queries"):
        net.at(start)
        net.conv(embed, 1, name=f"{block}/{name}")
        sent[name] = net.here()
    more = {f"{block}/to_{name}": (sent[name].source, Attend(keys=name == "keys")) for name in ("keys", "values")}
    net.add(f"{block}/attention", Attend(), net.options.neurons.hidden, more=more, join=SelfAttention(heads))
    net.conv(embed, 1, name=f"{block}/project")
    net.join(f"{block}/join1", (f"{block}/around1", start))


def spikformer_4_256(**options: Any) -> Network:
    """Four blocks of 256 channels, the paper's smallest for CIFAR-10: 4,145,952 weights with `norm="bn"`; options as in
    `models.create`.
    """
    return spikformer(depth=4, embed=256, **options)
