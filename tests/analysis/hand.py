"""A network small enough to count by hand: three inputs, three neurons, two classes, two steps, one sample."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn import analysis
from jaxsnn.layers.synapses import NO_PADS
from jaxsnn.models import Apply
from jaxsnn.synapses import Connection

FIRST = np.array([[1.3, 0, -1.1], [0, 1.2, 2.7], [-3.2, -5.1, 0]], np.float32)  # [in, out]
SECOND = np.array([[1, 0], [1, 1], [0, 1]], np.float32)
CONNECTIONS = (
    Connection("fc1", "input", "fc1", "dense", (3, 3), 1, NO_PADS, (3,), (3,)),
    Connection("fc2", "fc1", "fc2", "dense", (3, 2), 1, NO_PADS, (3,), (2,)),
)
PARAMS = {"fc1": {"kernel": FIRST}, "fc2": {"kernel": SECOND}}


class Output(NamedTuple):
    answers: Any
    spikes: Any
    carry: Any


def _apply(params, state, x, *, carry=None, train=False, record=True):
    """Neurons without memory: they fire where the current is above 1."""
    fired = (x @ params["fc1"]["kernel"] > 1).astype(x.dtype)
    return Output(fired @ params["fc2"]["kernel"], {"input": x, "fc1": fired}, {}), state


apply = Apply(_apply, ("fc1",))


def observe(x, **options):
    """Of one sample with input `[T, 3]`."""
    x = jnp.asarray(x, jnp.float32)

    def encode(key, images, start, steps):
        return jax.lax.dynamic_slice_in_dim(images.swapaxes(0, 1), start, steps)

    build = analysis.make_profile(apply, encode, CONNECTIONS, steps=len(x), chunk=len(x), batch_size=1, **options)
    return build(PARAMS, {"leak": jnp.float32(1)}, jax.random.key(0), x[None], jnp.zeros(1, int))
