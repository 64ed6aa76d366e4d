"""A model over time in chunks: memory that hardly grows with T, the same numbers."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from jaxsnn import spikebp
from jaxsnn.models.functional import Apply
from jaxsnn.models.network import Network
from jaxsnn.models.output import Output
from jaxsnn.models.rows import INPUT
from jaxsnn.typing import Array
from jaxsnn.unroll import unroll


def default_chunk(steps: int, platform: str | None = None) -> int:
    """Steps per chunk: measured on CPU; elsewhere (not measured) bounded memory and large products.

    On a CPU chunks of about 5 steps take as long as all at once in evaluation, in a quarter to a sixth of the memory,
    and 0.9 to 1.1 times as long in training by the paper's rule, in 0.2 to 1 times the memory (docs/decisions/0005);
    elsewhere about 20.

    Args:
      steps: T.
      platform: "cpu", "gpu" or "tpu"; None for the one in use.

    Returns:
      A divisor of T within a factor of 1.6 of that if there is one, so that no shorter last chunk is compiled.
    """
    aim = 5 if (platform or jax.default_backend()) == "cpu" else 20
    if steps <= 1.6 * aim:
        return steps
    near = [n for n in range(math.ceil(aim / 1.6), int(1.6 * aim) + 1) if steps % n == 0]
    return min(near, key=lambda n: abs(n - aim), default=aim)


def causal_chunk(network: Network, steps: int, asked: int = 0) -> int:
    """Steps per chunk in which a network runs.

    Args:
      network: whose neurons may need the whole train.
      steps: T.
      asked: the user's choice; 0 for `default_chunk`, or T where neurons need it.

    Raises:
      ValueError: if less than T is asked for and neurons need the whole train.
    """
    neurons = {row.name: getattr(network, f"{row.name}/neurons").neuron for row in network.rows if row.neurons}
    _check_whole([name for name, neuron in neurons.items() if not neuron.causal], "neurons", steps, asked)
    return asked or (default_chunk(steps) if all(neuron.causal for neuron in neurons.values()) else steps)


def training_chunk(network: Network, steps: int, asked: int = 0, *, backward: bool = True) -> int:
    """Steps per chunk in which a network is trained.

    Args:
      network: whose norms may take their statistics over the whole train, and whose neurons may need it.
      steps: T.
      asked: the user's choice; 0 for `default_chunk`, or T where a norm or neurons need it. On a CPU also T where the
        backward pass keeps potentials of all steps (under a surrogate gradient): chunks take 1.1 to 1.4 times as long
        there and save hardly any memory (docs/decisions/0005).
      backward: whether gradients are computed, and chunks are not run again for them.

    Raises:
      ValueError: if less than T is asked for and a norm or neurons need the whole train.
    """
    norms = {row.name: getattr(network, f"{row.name}/norm") for row in network.rows if row.norm}
    whole = [name for name, norm in norms.items() if getattr(norm, "span", "train") == "train"]
    _check_whole(whole, "norm", steps, asked)
    lean = any(getattr(network, f"{row.name}/neurons").neuron.lean for row in network.rows if row.neurons)
    at_once = whole or (backward and not lean and jax.default_backend() == "cpu")
    return causal_chunk(network, steps, asked or (steps if at_once else 0))


def _check_whole(names: Sequence[str], what: str, steps: int, asked: int) -> None:
    if names and 0 < asked < steps:
        why, instead = {
            "norm": ("takes its statistics over", "a norm with statistics per step"),
            "neurons": ("need", "neurons that are causal, e.g. sliding_psn"),
        }[what]
        raise ValueError(
            f"the {what} of {', '.join(names)} {why} the whole train of {steps} steps, got chunks of {asked}: leave "
            f"time_chunk at 0, or use {instead}"
        )


def in_chunks(apply: Apply, chunk: int, *, remat: bool = False, truncate: bool = False) -> Apply:
    """Makes `apply` run its T steps in chunks of time, one after another, handing the neurons' states on.

    A chunk of 1 is stepping, a chunk of T is the whole train. Only one chunk's currents are in memory at a time; the
    backward pass needs the spikes of the earlier ones. Outputs, gradients and new model state are those of the whole.

    Args:
      apply: from `models.functionalize`.
      chunk: time steps per chunk.
      remat: store only the states between chunks, and run each chunk again in the backward pass.
      truncate: truncated backpropagation in time: no error goes back from a chunk to the one before. Outputs are the
        same, gradients are others: a loss on the last step's potential sees the last chunk alone, a loss on the
        potentials or answers of all steps sees each chunk by itself.

    Returns:
      A function like `apply`. Neurons start from rest, where all their states are zero.

    Raises:
      ValueError: if `chunk` is not at least 1; from the function returned, for a layer that needs the whole train.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be a number of time steps >= 1, got {chunk}")

    def run(
        params: Any, model_state: Any, x: Array, *, carry: Any = None, record: bool = False, **options: Any
    ) -> tuple[Output, Any]:
        if jnp.ndim(x) == 0 or chunk >= len(x):  # an input without time gets the model's own message
            return apply(params, model_state, x, carry=carry, record=record, **options)

        def step(carried: Any, x: Array) -> tuple[Any, Output]:
            carry, state = carried
            carry = _cut(carry) if truncate else carry
            output, state = apply(params, state, x, carry=carry, record=record, **options)
            return (output.carry, state), output._replace(carry={})

        if carry is None:
            carry = resting(apply, params, model_state, x, **options)
        carried = (carry if truncate else spikebp.unfinished(carry), model_state)  # cut, each chunk ends its own train
        whole = len(x) - len(x) % chunk
        ran = unroll(step, carried, x[:whole].reshape(-1, chunk, *x.shape[1:]), remat=remat)
        output, carried = _join(ran.outputs), ran.state
        if whole < len(x):
            carried, rest = (jax.checkpoint(step) if remat else step)(carried, x[whole:])
            output = _append(output, rest)
        carry, model_state = carried
        output, carry = spikebp.finish(output, carry)
        layers = (output.spike_counts, output.spikes, output.neuron_counts)
        counts, spikes, each = (_ordered(of, apply.names) for of in layers)
        return output._replace(carry=carry, spike_counts=counts, spikes=spikes, neuron_counts=each), model_state

    return replace(apply, run=run)


def resting(apply: Apply, params: Any, model_state: Any, x: Array, **options: Any) -> Any:
    """The carry of neurons at rest, all zeros, for inputs like `x` `[T, B, ...]`; nothing is run."""
    carry = jax.eval_shape(lambda x: apply(params, model_state, x, **options)[0].carry, x)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), carry)


def _cut(carry: Any) -> Any:
    """The state without its way back, but for what the readout has gathered, which is no memory of neurons."""
    return {name: value if name == "answers" else jax.lax.stop_gradient(value) for name, value in carry.items()}


def _ordered(layers: dict[str, Array] | None, names: tuple[str, ...]) -> dict[str, Array] | None:
    """By network order, which dictionaries lose on their way through a scan."""
    return layers and {name: layers[name] for name in (INPUT, *names) if name in layers}


def _join(outputs: Output) -> Output:
    """The output of the whole from those of its chunks, stacked along a leading axis."""

    def over_time(chunks: Array) -> Array:
        return chunks.reshape(-1, *chunks.shape[2:])

    return Output(
        outputs.logits[-1],
        over_time(outputs.potentials),
        over_time(outputs.answers),
        jax.tree.map(lambda counts: jnp.sum(counts, 0, dtype=counts.dtype), outputs.spike_counts),
        {},
        jax.tree.map(over_time, outputs.spikes),
        jax.tree.map(lambda counts: jnp.sum(counts, 0), outputs.neuron_counts),
    )


def _append(output: Output, rest: Output) -> Output:
    """The output of the steps so far with a last, shorter chunk behind them."""

    def behind(a: Array, b: Array) -> Array:
        return jnp.concatenate([a, b])

    return Output(
        rest.logits,
        behind(output.potentials, rest.potentials),
        behind(output.answers, rest.answers),
        jax.tree.map(jnp.add, output.spike_counts, rest.spike_counts),
        {},
        jax.tree.map(behind, output.spikes, rest.spikes),
        jax.tree.map(jnp.add, output.neuron_counts, rest.neuron_counts),
    )
