"""The only door between flax modules and plain dicts: past it there is nothing but `jax.jit / grad / vmap`."""

from collections.abc import Callable
from typing import Any

from flax import nnx

from jaxsnn.typing import Array

Apply = Callable[..., tuple[Any, dict[str, Any]]]


def functionalize(module: nnx.Module) -> tuple[Apply, dict[str, Any], dict[str, Any]]:
    """Splits a model into a pure function, its trained parameters and its constants.

    Returns:
      `(apply, params, state)`. `params` and `state` are nested dicts of arrays, by layer name; `state` holds what
      training does not change (leaks, thresholds, dropout rate). `apply(params, state, x, *, train=False, key=None,
      carry=None, record=False) -> (output, state)` is pure; `output` is what the module returns.

    Example:
      >>> from flax import nnx
      >>> from jaxsnn import models
      >>> model = models.create("lenet", input_shape=(28, 28, 1), num_classes=10, rngs=nnx.Rngs(0))
      >>> apply, params, state = models.functionalize(model)
      >>> sorted(params)
      ['conv1', 'conv2', 'fc1', 'fc2']
    """
    graph, params, state = nnx.split(module, nnx.Param, ...)  # type: ignore[misc]

    def apply(params: dict[str, Any], state: dict[str, Any], x: Array, **options: Any) -> tuple[Any, dict[str, Any]]:
        return nnx.merge(graph, params, state)(x, **options), state

    return apply, nnx.to_pure_dict(params), nnx.to_pure_dict(state)
