"""The synapses of a network as plain data, so that they can be counted without flax."""

from jaxsnn.models.network import Network
from jaxsnn.synapses import Connection


def connections(module: Network) -> tuple[Connection, ...]:
    """Every bundle of synapses of a network, in network order.

    Args:
      module: from `models.create`, or any `Network`.

    Example:
      >>> from flax import nnx
      >>> from jaxsnn import models
      >>> model = models.create("lenet", input_shape=(8, 8, 1), num_classes=3, rngs=nnx.Rngs(0))
      >>> [(c.name, c.source, c.kind, c.output_shape) for c in models.connections(model)][:2]
      [('conv1', 'input', 'conv', (8, 8, 20)), ('pool1', 'conv1', 'pool', (4, 4, 20))]
    """
    return module.connections()
