"""The numbers of one layer's neurons: constants, or learned numbers kept in range by the bounds of their cell."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxsnn.neurons import Neuron, RecurrentState, run_recurrent
from jaxsnn.storage import Storage
from jaxsnn.synapses import Window
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, accumulator

SCOPES = ("layer", "channel", "neuron")


class Constant(nnx.Variable):
    """A number of the model that training does not change; part of `model_state`, so that a sweep can map over it."""


class NeuronLayer(nnx.Module):
    """The neurons of one layer, with a value for each of their parameters.

    A constant field is part of `model_state` under its name; a learned field is part of `params` as a free number,
    under its name and that of its bound: `leak_logit`, `threshold_log`; a field of `neuron.weights` is part of `params`
    under its name. All have float32 at least.

    Args:
      neuron: its functions and starting values.
      values: other values of single fields, each a scalar or an array broadcastable to the neurons.
      learn: learned fields, `leak` (one number for the layer), `leak:channel` or `leak:neuron`.
      shape: of the neurons, without time and batch; needed for learned numbers per channel or neuron.
      dtype: of the network's parameters.
      rngs: for the initial values of `neuron.weights`; needed if it has any.

    Raises:
      ValueError: for a field that the neuron does not have or cannot learn, a value outside its range, or no `rngs`
        where they are needed.
    """

    def __init__(
        self,
        neuron: Neuron,
        *,
        values: Mapping[str, ArrayLike] | None = None,
        learn: tuple[str, ...] = (),
        shape: Shape = (),
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs | None = None,
    ):
        self.neuron, dtype = neuron, accumulator(dtype)
        fields = getattr(neuron.params, "_fields", ())
        scopes = dict(_scope(entry, neuron, shape) for entry in learn)
        if unknown := sorted({*(values or {}), *scopes} - set(fields)):
            raise ValueError(
                f"these neurons have no {', '.join(unknown)}: their parameters are {', '.join(fields) or 'none'}"
            )
        self.learned = tuple(scopes)
        if neuron.weights and rngs is None:
            raise ValueError(f"these neurons have weights ({', '.join(neuron.weights)}): give NeuronLayer their rngs")
        for name in fields:
            if name in neuron.weights and rngs is not None:
                setattr(self, name, nnx.Param(neuron.weights[name](rngs.params()).astype(dtype)))
                continue
            value = jnp.asarray((values or {}).get(name, getattr(neuron.params, name)), dtype)
            if name in scopes:
                bound = neuron.bounds[name]
                raw = jnp.broadcast_to(bound.out(value), scopes[name])
                if not isinstance(raw, jax.core.Tracer) and not np.isfinite(raw).all():
                    raise ValueError(
                        f"a learned {name} must start inside {bound.range}, got {value} as {jnp.dtype(dtype).name}: "
                        "take a value farther from the end of the range"
                    )
                setattr(self, f"{name}_{bound.name}", nnx.Param(raw))
            else:
                setattr(self, name, Constant(value))
        neuron.init(self.params(0), (1,), jnp.float32)  # checks the values

    def params(self, ndim: int) -> Any:
        """The parameters as the neuron's functions take them, for neurons `[B, ...]` of this rank."""
        fields = getattr(self.neuron.params, "_fields", ())
        return type(self.neuron.params)(*(self._value(name, ndim) for name in fields))

    def _value(self, name: str, ndim: int) -> Array:
        if name in self.neuron.weights:
            return getattr(self, name)[...]
        if name not in self.learned:
            return _aligned(getattr(self, name)[...], ndim)
        bound = self.neuron.bounds[name]
        return _aligned(bound.into(getattr(self, f"{name}_{bound.name}")[...]), ndim)

    def __call__(
        self, currents: Array, carry: Any = None, *, back: nnx.Module | None = None, storage: Storage = "floats"
    ) -> tuple[Array, Any]:
        """Runs T steps: `[T, B, ...]` to outputs of the same shape and dtype; `carry` None starts from rest.

        Args:
          currents: from other layers, `[T, B, ...]`.
          carry: where an earlier call stopped.
          back: recurrent synapses, through which the outputs of a step come back at the next; the carry is a
            `neurons.RecurrentState` then.
          storage: how the backward pass keeps what goes through them.

        Raises:
          ValueError: if these neurons cannot be recurrent.
        """
        params, carry = self._start(currents, carry, recurrent=back is not None)
        if back is None:
            carry, output = self.neuron.run(params, carry, currents)
            return output, carry
        graph, weights = nnx.split(back)
        feedback = lambda weights, x: nnx.merge(graph, weights)(x)  # noqa: E731
        carry, output = run_recurrent(self.neuron, feedback, params, weights, carry, currents, storage=storage)
        return output, carry

    def pooled(self, currents: Array, carry: Any, window: Window) -> tuple[Array, Array, Any]:
        """`__call__` and an average pool behind it (see `Neuron.run_pooled`): outputs, their means, carry."""
        params, carry = self._start(currents, carry)
        carry, output, means = self.neuron.run_pooled(params, carry, currents, window)  # type: ignore[misc]
        return output, means, carry

    def membranes(self, currents: Array) -> Array:
        """The potentials before each reset, from rest, `[T, B, ...]`.

        Raises:
          TypeError: if these neurons have no membrane.
        """
        if self.neuron.membranes is None:
            raise TypeError("these neurons have no membrane potential: their cell declares no `membrane`")
        return self.neuron.membranes(*self._start(currents, None), currents)

    def _start(self, currents: Array, carry: Any, *, recurrent: bool = False) -> tuple[Any, Any]:
        params = self.params(currents.ndim - 1)
        if carry is None:
            carry = self.neuron.init(params, currents.shape[1:], accumulator(currents.dtype))
            carry = RecurrentState(carry, jnp.zeros_like(currents[0])) if recurrent else carry
        return params, carry


def _scope(entry: str, neuron: Neuron, shape: Shape) -> tuple[str, Shape]:
    """`leak:channel` to `leak` and the shape of its numbers."""
    name, _, scope = entry.partition(":")
    if name not in neuron.bounds:
        known = ", ".join(neuron.bounds) or "none, since their rule has no gradient for them"
        raise ValueError(f"learn names {name!r}, which these neurons cannot learn; they can learn: {known}")
    if scope not in ("", *SCOPES):
        raise ValueError(f"learn takes field, field:channel or field:neuron, got {entry!r}")
    return name, {"channel": shape[-1:], "neuron": tuple(shape)}.get(scope, ())


def _aligned(value: Array, ndim: int) -> Array:
    """Numbers per channel or neuron against `[B, ...]`; scalars as they are."""
    return value.reshape((1,) * (ndim - value.ndim) + value.shape) if value.ndim else value
