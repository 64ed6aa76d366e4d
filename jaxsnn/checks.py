"""Checks at the public boundary: on static facts only, so that they cost nothing inside `jit`."""

from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn.typing import Array, ArrayLike, LeakBackward, accumulator


def _concrete(value: Any) -> np.ndarray | None:
    """The value as NumPy, or None while it is being traced."""
    return None if isinstance(value, jax.core.Tracer) else np.asarray(value)


def check_leak(leak: ArrayLike) -> None:
    """Raises ValueError unless a leak that is known now lies in (0, 1]."""
    value = _concrete(leak)
    if value is not None and not np.all((value > 0) & (value <= 1)):
        raise ValueError(
            f"leak must lie in (0, 1], got {leak}: it is the factor exp(-1/tau) by which the membrane decays per time "
            "step (1 does not leak). From a time constant: leak = math.exp(-1 / tau)"
        )


def check_threshold(threshold: ArrayLike) -> None:
    """Raises ValueError unless a threshold that is known now is positive."""
    value = _concrete(threshold)
    if value is not None and not np.all(value > 0):
        raise ValueError(
            f"threshold must be > 0, got {threshold}: at or below 0 a neuron at rest would fire without input"
        )


def check_steps(steps: int) -> None:
    """Raises ValueError unless there is at least one time step."""
    if not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"the number of time steps T must be an integer >= 1, got {steps!r}")


def check_state(potential: Array, current: Array | jax.ShapeDtypeStruct) -> None:
    """Raises ValueError unless an input current has the shape and dtype of the membrane it is added to."""
    have, came = jax.typeof(potential), jax.typeof(current)
    if have.shape != came.shape:
        raise ValueError(
            f"input current has shape {came.shape}, but the neurons' state has {have.shape}; "
            "initialise the state with init(params, current.shape) of one time step"
        )
    if have.dtype != came.dtype:
        raise ValueError(
            f"input current has dtype {came.dtype}, but the neurons' state has {have.dtype}; "
            "give both the same, e.g. init(params, shape, current.dtype)"
        )


def check_train(potential: Array, currents: Array) -> None:
    """Raises ValueError unless currents `[T, B, ...]` fit a membrane `[B, ...]`, which may be wider than they are."""
    if jnp.ndim(currents) < 1:
        raise ValueError("currents must be time-major [T, B, ...], got a scalar")
    check_steps(currents.shape[0])
    narrower = potential.dtype == accumulator(currents.dtype)
    dtype = potential.dtype if narrower else currents.dtype
    check_state(potential, jax.ShapeDtypeStruct(currents.shape[1:], dtype))


def check_leak_backward(how: str) -> None:
    """Raises ValueError unless `how` is one of `typing.LeakBackward`."""
    if how not in get_args(LeakBackward):
        raise ValueError(f"leak_backward must be 'straight_through' or 'true', got {how!r}")


def check_percentile(percentile: float) -> None:
    """Raises ValueError unless a percentile lies in (0, 100]."""
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile must lie in (0, 100], got {percentile}: 100 is the largest value")


def check_labels(labels: ArrayLike, images: Any = None, *, classes: int | None = None) -> None:
    """Checks the labels of a set, whose numbers are looked at.

    Args:
      labels: expected to be integers in [0, classes), `[N]`.
      images: `[N, ...]`, of which only the length is looked at; more where devices hold a part of them each, which is
        filled up. None to leave it out.
      classes: number of answers that the network gives; None if it is not known.

    Raises:
      ValueError: if they are not.
    """
    values = np.asarray(labels)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"labels must be integers [N], one class per sample, got {values.dtype}{list(values.shape)}")
    divided = isinstance(images, jax.Array) and not images.is_fully_replicated
    if images is not None and (len(images) < len(values) if divided else len(images) != len(values)):
        raise ValueError(f"there are {len(images)} images and {len(values)} labels: give one label per image")
    bad = values[(values < 0) | (values >= (np.inf if classes is None else classes))]
    if len(bad):
        known = "0, 1, ..." if classes is None else f"0 to {classes - 1}, one for each answer of the network"
        raise ValueError(f"labels must be {known}; {len(bad)} of {len(values)} are not, e.g. {bad[0]}: count from 0")
