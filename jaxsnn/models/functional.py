"""The only door between flax modules and plain dicts: past it there is nothing but `jax.jit / grad / vmap`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxsnn.typing import Array

Module = TypeVar("Module", bound=nnx.Module)


@dataclass(frozen=True)
class Apply:
    """A model as a pure function, `(params, model_state, x, **options) -> (output, new model_state)`."""

    run: Callable[..., tuple[Any, dict[str, Any]]]
    names: tuple[str, ...] = ()
    """Layers whose neurons send spikes, in network order (which dictionaries lose on their way through `jit`)."""

    def __call__(
        self, params: dict[str, Any], model_state: dict[str, Any], x: Array, **options: Any
    ) -> tuple[Any, dict[str, Any]]:
        return self.run(params, model_state, x, **options)


def functionalize(module: nnx.Module) -> tuple[Apply, dict[str, Any], dict[str, Any]]:
    """Splits a model into a pure function, its trained parameters and its other state.

    Returns:
      `(apply, params, model_state)`. Both are nested dicts of arrays, by layer name; `model_state` holds the numbers
      that gradients do not train (leaks, thresholds, dropout rate, running statistics of norms).
      `apply(params, model_state, x, *, train=False, key=None, carry=None, record=False, count=False, axis_name=None) ->
      (output, new model_state)` is pure: `output` is the module's own, and the new state has the variables as the call
      left them, e.g. moved statistics after `train=True`.

    Example:
      >>> from flax import nnx
      >>> from jaxsnn import models
      >>> model = models.create("lenet", input_shape=(28, 28, 1), num_classes=10, rngs=nnx.Rngs(0))
      >>> apply, params, model_state = models.functionalize(model)
      >>> sorted(params)
      ['conv1', 'conv2', 'fc1', 'fc2']
    """
    graph, params, model_state = nnx.split(module, nnx.Param, ...)  # type: ignore[misc]

    def run(
        params: dict[str, Any], model_state: dict[str, Any], x: Array, **options: Any
    ) -> tuple[Any, dict[str, Any]]:
        merged = nnx.merge(graph, inward(params), inward(model_state))
        output = merged(x, **options)
        _, _, after = nnx.split(merged, nnx.Param, ...)  # type: ignore[misc]
        return output, _nested(after)

    inward = _to_attributes(params, model_state)
    return Apply(run, getattr(module, "names", ())), _nested(params), _nested(model_state)


def filled(module: Module, params: dict[str, Any], model_state: dict[str, Any]) -> Module:
    """A copy of a model that holds these numbers, as of `functionalize`.

    Raises:
      ValueError: naming the numbers that the model has no place for.
    """
    graph, *states = nnx.split(module, nnx.Param, ...)
    inward = _to_attributes(*states)
    return nnx.merge(graph, inward(params), inward(model_state))


def statistics(module: nnx.Module) -> dict[str, Any]:
    """The running statistics of a model's norms, nested dicts as in `model_state`, without its constants."""
    return _nested(nnx.state(module, nnx.BatchStat))


def _nested(state: Any) -> dict[str, Any]:
    """The attribute `block1/conv1` as `{"block1": {"conv1": ...}}`."""
    flat = flatten_dict(nnx.to_pure_dict(state))
    nested: dict[str, Any] = unflatten_dict({_split(path): value for path, value in flat.items()})
    return nested


def _split(path: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(part for name in path for part in (name.split("/") if isinstance(name, str) else (name,)))


def _to_attributes(*states: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The way back: nested dicts to those that flax knows."""
    paths = {_split(path): path for state in states for path in flatten_dict(nnx.to_pure_dict(state))}

    def inward(nested: dict[str, Any]) -> dict[str, Any]:
        flat = flatten_dict(nested)
        if unknown := [path for path in flat if path not in paths]:
            raise ValueError(f"the model has no {', '.join('/'.join(map(str, path)) for path in unknown)}")
        attributes: dict[str, Any] = unflatten_dict({paths[path]: value for path, value in flat.items()})
        return attributes

    return inward
