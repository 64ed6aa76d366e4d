"""The input of a run: augmentation, normalisation, encoding, and which random key each of them draws from.

Training, evaluation, profiles and conversion get their input here alone, so that all see the same spikes for a key. A
key is one for the batch, or one per sample, `[B]`.
"""

from collections.abc import Callable

import jax

from jaxsnn.batches import Encode
from jaxsnn.data import Dataset
from jaxsnn.data.prepare import normalise
from jaxsnn.encoding import ENCODINGS
from jaxsnn.keys import fold_in
from jaxsnn.lab.augmentations import augment, augments
from jaxsnn.lab.config import Config
from jaxsnn.training import Augment, Visit
from jaxsnn.typing import Array, ArrayLike, Shape

AUGMENT, ENCODE = range(2)


def input_shape(config: Config, data: Dataset) -> Shape:
    """Shape of one sample at one time step, `[H, W, C]` of images and of the frames of event data."""
    encoding, samples = ENCODINGS[config.network.encoding], data.train.samples
    if encoding.expands:
        x = jax.eval_shape(
            make_prepare(config), jax.random.key(0), jax.ShapeDtypeStruct(samples[:1].shape, samples.dtype)
        )
        return x.shape[2:]
    shape: Shape = samples.shape[1:]
    return shape[1:] if encoding.frames else shape


def make_encode(config: Config, *, gain: ArrayLike | None = None) -> Encode:
    """`(key, samples [B, ...], start, steps) -> x [steps, B, ...]`: the steps from `start` on, without augmentation.

    Poisson and direct input go on for as long as they are asked for. Trains of a given length T (the frames of a
    recording, latency) begin again after T steps.

    Args:
      config: of the run.
      gain: another one than the configuration's; it may be traced.
    """
    encoding, gain = ENCODINGS[config.network.encoding], config.network.gain if gain is None else gain
    options = config.values(encoding.options)

    def encode(key: Array, samples: Array, start: ArrayLike, steps: int) -> Array:
        x = samples if encoding.frames else normalise(samples, config.data.mean, config.data.std)
        return encoding.encode(
            fold_in(key, ENCODE), x, start, steps, total=config.network.time_steps, gain=gain, **options
        )

    return encode


def make_augment(config: Config, num_classes: int) -> Augment | None:
    """`visit -> (samples, labels)`, the augmentation of training samples; None if none is on."""
    if not augments(config.data):
        return None

    def change(visit: Visit) -> tuple[Array, Array]:
        visit = augment(config.data, fold_in(visit.keys, AUGMENT), visit, num_classes)
        return visit.samples, visit.labels

    return change


def make_prepare(config: Config, *, gain: ArrayLike | None = None) -> Callable[[Array, Array], Array]:
    """`(key, samples [B, ...]) -> x [T, B, ...]`: the whole train, without augmentation.

    A ReLU network has no time: of event data it gets the mean of the frames, `[1, B, ...]`.

    Args:
      config: of the run.
      gain: another one than the configuration's; it may be traced.
    """
    encode = make_encode(config, gain=gain)
    mean = not config.network.spiking and ENCODINGS[config.network.encoding].frames

    def prepare(key: Array, samples: Array) -> Array:
        x = encode(key, samples, 0, config.network.time_steps)
        return x.mean(0, keepdims=True) if mean else x

    return prepare
