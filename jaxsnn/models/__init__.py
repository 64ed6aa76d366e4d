"""Networks by name: `create(name, ...)` builds one, `functionalize` turns it into a pure function and plain dicts."""

import difflib
from collections.abc import Callable
from typing import Any

from flax import nnx

from jaxsnn.models.builder import Builder
from jaxsnn.models.chunks import causal_chunk, default_chunk, in_chunks, resting, training_chunk
from jaxsnn.models.cifar_resnet import CIFAR_RESNETS, JOINS, cifar_resnet
from jaxsnn.models.connections import connections
from jaxsnn.models.fast import fast, fast_cifar
from jaxsnn.models.fold import fold
from jaxsnn.models.functional import Apply, filled, functionalize, statistics
from jaxsnn.models.lenet import lenet
from jaxsnn.models.membranes import Membrane, Membranes, membranes
from jaxsnn.models.mlp import mlp
from jaxsnn.models.network import Network
from jaxsnn.models.options import NetworkOptions, Pool
from jaxsnn.models.output import Output
from jaxsnn.models.plif_net import plif_cifar10, plif_mnist, plif_net
from jaxsnn.models.rates import scale_to_rate
from jaxsnn.models.readouts import READOUTS
from jaxsnn.models.resnet import block, resnet, resnet7, resnet9, resnet11
from jaxsnn.models.rows import Row, Tap
from jaxsnn.models.spikformer import spikformer, spikformer_4_256
from jaxsnn.models.vgg import vgg, vgg5, vgg7, vgg9, vgg11, vgg13, vgg16

MODELS: dict[str, Callable[..., Network]] = {
    "lenet": lenet,
    "mlp": mlp,
    "vgg5": vgg5,
    "vgg7": vgg7,
    "vgg9": vgg9,
    "vgg11": vgg11,
    "vgg13": vgg13,
    "vgg16": vgg16,
    "resnet7": resnet7,
    "resnet9": resnet9,
    "resnet11": resnet11,
    **CIFAR_RESNETS,
    "fast_cifar": fast_cifar,
    "plif_mnist": plif_mnist,
    "plif_cifar10": plif_cifar10,
    "spikformer_4_256": spikformer_4_256,
}

__all__ = [
    "CIFAR_RESNETS",
    "JOINS",
    "MODELS",
    "READOUTS",
    "Apply",
    "Builder",
    "Membrane",
    "Membranes",
    "Network",
    "NetworkOptions",
    "Output",
    "Pool",
    "Row",
    "Tap",
    "block",
    "causal_chunk",
    "cifar_resnet",
    "connections",
    "create",
    "default_chunk",
    "fast",
    "fast_cifar",
    "filled",
    "fold",
    "functionalize",
    "in_chunks",
    "lenet",
    "membranes",
    "mlp",
    "plif_cifar10",
    "plif_mnist",
    "plif_net",
    "resnet",
    "resnet7",
    "resnet9",
    "resnet11",
    "resting",
    "scale_to_rate",
    "spikformer",
    "spikformer_4_256",
    "statistics",
    "training_chunk",
    "vgg",
    "vgg5",
    "vgg7",
    "vgg9",
    "vgg11",
    "vgg13",
    "vgg16",
]


def create(name: str, *, rngs: nnx.Rngs, **options: Any) -> Network:
    """Builds a network by name.

    Args:
      name: key of `MODELS`.
      rngs: `nnx.Rngs(seed)`, for the weights.
      options: as in `NetworkOptions`: `input_shape` and `num_classes`; neurons, pools, dropout, width and dtypes have
        defaults.

    Raises:
      ValueError: for an unknown name, sizes that the network cannot have, or values of layers that it does not have.
      TypeError: for an unknown option.
    """
    if name not in MODELS:
        close = difflib.get_close_matches(name, MODELS, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown model {name!r}: known are {', '.join(sorted(MODELS))}{hint}")
    return MODELS[name](rngs=rngs, **options)
