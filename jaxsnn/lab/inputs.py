"""Input of a run piece by piece, for thousands of steps (see `jaxsnn.streaming`)."""

import jax
import jax.numpy as jnp

from jaxsnn import encoding
from jaxsnn.data.prepare import event_frames, normalise
from jaxsnn.lab.config import Config
from jaxsnn.streaming import Encode


def make_encode(config: Config) -> Encode:
    """`(key, images, start, steps) -> x [steps, B, H, W, C]`, without augmentation.

    Poisson and direct input go on for as long as they are asked for. Trains of a given length T (the frames of a
    recording, latency) begin again after T steps.
    """

    def encode(key: jax.Array, images: jax.Array, start: jax.Array, steps: int) -> jax.Array:
        if config.network.encoding == "events":
            return _repeated(event_frames(images), start, steps)
        x = normalise(images, config.data.mean, config.data.std)
        if config.network.encoding == "poisson":
            return encoding.poisson(key, x, steps, gain=config.network.gain, start=start)
        if config.network.encoding == "direct":
            return encoding.direct(x, steps)
        return _repeated(getattr(encoding, config.network.encoding)(x, config.network.time_steps), start, steps)

    return encode


def _repeated(train: jax.Array, start: jax.Array, steps: int) -> jax.Array:
    return train[(start + jnp.arange(steps)) % len(train)]
