"""Labels as every loss takes them: class numbers `[B]` or probabilities `[B, classes]`."""

import jax
import jax.numpy as jnp

from jaxsnn.checks import check_labels
from jaxsnn.typing import Array, ArrayLike, accumulator


def wide(x: Array) -> Array:
    """Outputs in float32 at least, so that sums over them are not rounded."""
    return x.astype(accumulator(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else jnp.float32)


def targets(labels: Array, like: Array) -> Array:
    """The probability of each class, `[B, classes]`, in the number of classes and the dtype of `like`.

    Raises:
      ValueError: if labels are neither integers of rank 1 nor probabilities of all classes, or (where they are known,
        outside of `jit`) are outside the classes.
    """
    classes = like.shape[-1]
    if jnp.ndim(labels) == 2 and jnp.issubdtype(jnp.result_type(labels), jnp.floating):
        if labels.shape[1] != classes:
            raise ValueError(f"labels hold probabilities of {labels.shape[1]} classes, the output has {classes}")
        return labels.astype(like.dtype)
    check_labels(labels, classes)
    return jax.nn.one_hot(labels, classes, dtype=like.dtype)


def smooth(labels: Array, smoothing: ArrayLike, num_classes: int) -> Array:
    """Label smoothing, `(1 - s) target + s / classes`: probabilities `[B, classes]`, which every loss takes.

    Args:
      labels: class numbers `[B]`, or probabilities `[B, classes]` (of `mixup`, say).
      smoothing: s in [0, 1], as `label_smoothing` of PyTorch's cross-entropy.
      num_classes: number of classes.

    Raises:
      ValueError: as `targets`.

    Source: Szegedy et al. (2016), CVPR, arXiv 1512.00567.
    """
    soft = jnp.issubdtype(jnp.result_type(labels), jnp.floating)
    probabilities = targets(labels, jnp.zeros(num_classes, labels.dtype if soft else None))
    s = jnp.asarray(smoothing, probabilities.dtype)
    return (1 - s) * probabilities + s / num_classes
