"""Checks at the public boundary: on static facts only, so that they cost nothing inside `jit`."""

from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn.typing import Array, ArrayLike, Kernel, LeakBackward, accumulator


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


def check_labels(labels: ArrayLike, classes: int | None = None, samples: Any = None) -> None:
    """Checks the labels of a set or batch; of traced ones only type and shape.

    Args:
      labels: expected to be integers in [0, classes), `[N]`.
      classes: number of answers that the network gives; None if it is not known.
      samples: `[N, ...]`; only their length matters; more where devices hold a part of them each, which is
        filled up. None to leave it out.

    Raises:
      ValueError: if they are not.
    """
    if not jnp.issubdtype(jnp.result_type(labels), jnp.integer) or jnp.ndim(labels) != 1:
        raise ValueError(
            f"labels must be class numbers: integers of shape [N], got {jnp.result_type(labels)} {jnp.shape(labels)}"
        )
    count = jnp.size(labels)
    divided = isinstance(samples, jax.Array) and not samples.is_fully_replicated
    if samples is not None and (len(samples) < count if divided else len(samples) != count):
        raise ValueError(f"there are {len(samples)} samples and {count} labels: give one label per sample")
    values = _concrete(labels)
    if values is None:
        return
    bad = values[(values < 0) | (values >= (np.inf if classes is None else classes))]
    if len(bad):
        known = "be >= 0" if classes is None else f"lie in [0, {classes}), the classes of the output"
        raise ValueError(
            f"labels must {known}, got {values.min()} to {values.max()}; {len(bad)} of {count} do not, e.g. {bad[0]}: "
            "class numbers start at 0"
        )


def check_steps(steps: int, name: str = "the number of time steps T") -> None:
    """Raises ValueError unless a count (of time steps, or what `name` says) is an integer of at least 1."""
    if not isinstance(steps, int | np.integer) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"{name} must be an integer >= 1, got {steps!r}")


def check_count(name: str, number: int) -> None:
    """Raises ValueError unless the argument of this name is an integer of at least 1."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise ValueError(f"{name} must be an integer >= 1, got {number!r}")


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


def check_kernel(kernel: str) -> None:
    """Raises ValueError unless `kernel` is one of `typing.Kernel`."""
    if kernel not in get_args(Kernel):
        raise ValueError(f"kernel must be one of {', '.join(get_args(Kernel))}, got {kernel!r}")


def check_percentile(percentile: float) -> None:
    """Raises ValueError unless a percentile lies in (0, 100]."""
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile must lie in (0, 100], got {percentile}: 100 is the largest value")
