"""Whether a cell keeps the contract that `unroll`, layers, training and sweeps rely on: for cells of your own."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn.cells.cell import Cell
from jaxsnn.typing import Array, CellStep, DTypeLike, Shape


def check_cell(
    cell: Cell,
    params: Any = None,
    *,
    shape: Shape = (3, 4),
    dtype: DTypeLike = jnp.float32,
    steps: int = 16,
    scale: float = 2.0,
) -> None:
    """Runs a cell on random currents and raises at the first promise that it breaks; returns nothing if it keeps all.

    In this order: the state keeps structure, shapes and dtypes (it is the carry of a `lax.scan`); outputs have shape
    and dtype of the current; jit equals eager; T steps equal two halves; samples of a batch do not see each other;
    spikes are 0 or 1, and there are some; `fire` behind `membrane` is a step, if the cell has them; gradients are
    finite and not all zero; parameters may be mapped by `vmap`.

    Args:
      cell: the record; options of its step are bound first, as in `lif.cell(reset="soft")`.
      params: any pytree of floating numbers, e.g. a NamedTuple; None for `cell.params()`.
      shape: of one time step, `[B, ...]`, with B at least 2.
      dtype: of state and currents.
      steps: T, at least 2.
      scale: currents are uniform in [-scale/2, scale): positive more often than not. Raise it for high thresholds.

    Raises:
      ValueError: the broken promise, the value that came, and the remedy.

    Example:
      >>> from jaxsnn.cells import check_cell, lif
      >>> check_cell(lif.CELL, lif.LIFParams(leak=0.9))
    """
    if steps < 2 or not shape or shape[0] < 2:
        raise ValueError(f"the check needs steps >= 2 and shape (B, ...) with B >= 2, got {steps} and {shape}")
    init, step, spiking = cell.init, cell.step, cell.fires
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), cell.params() if params is None else params)
    key, weight_key = jax.random.split(jax.random.key(0))
    currents = jax.random.uniform(key, (steps, *shape), dtype, -scale / 2, scale)

    def run(params: Any, state: Any, currents: Array) -> tuple[Any, Array]:
        return jax.lax.scan(partial(step, params), state, currents)

    def from_rest(params: Any, currents: Array) -> tuple[Any, Array]:
        return run(params, init(params, shape, dtype), currents)

    rest = init(params, shape, dtype)
    _check_step(step, params, rest, currents[0])
    eager = _eagerly(partial(step, params), rest, currents)
    compiled = jax.jit(run)
    _, outputs = whole = _traced(lambda: compiled(params, rest, currents), "jax.jit")
    _agree(
        whole,
        eager,
        "under jit the cell gives other numbers than without",
        "keep `step` pure: its results may depend on its arguments alone",
    )
    middle, first = compiled(params, rest, currents[: steps // 2])
    after, second = compiled(params, middle, currents[steps // 2 :])
    _agree(
        (after, jnp.concatenate([first, second])),
        whole,
        "T steps differ from two halves",
        "everything that the next step needs belongs into the state",
    )
    turned = compiled(params, rest, currents[:, ::-1])[1][:, ::-1]
    _agree(turned, outputs, "samples of a batch influence each other", "axis 0 of a current is the batch")
    if spiking:
        _check_spikes(outputs, scale)
    if cell.fire is not None:
        _check_halves(cell, params, middle, currents)
    _check_gradients(from_rest, params, currents, jax.random.normal(weight_key, outputs.shape, dtype), spiking)
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params)
    if jax.tree.leaves(two):
        mapped = jax.jit(jax.vmap(from_rest, (0, None)))
        _agree(
            _traced(lambda: mapped(two, currents)[1][0], "jax.vmap over the parameters"),
            outputs,
            "mapped over its parameters (vmap) the cell gives other numbers",
            "compute with the parameters as arrays",
        )


def _eagerly(step: Callable[[Any, Array], tuple[Any, Array]], state: Any, currents: Array) -> tuple[Any, Array]:
    outputs = []
    for current in currents:
        state, output = step(state, current)
        outputs.append(output)
    return state, jnp.stack(outputs)


def _describe(leaf: Any) -> str:
    return f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}"


def _check_step(step: CellStep, params: Any, before: Any, current: Array) -> None:
    result = step(params, before, current)
    if not isinstance(result, tuple) or len(result) != 2 or hasattr(result, "_fields"):
        raise ValueError(f"step must return the pair (state, output), got {type(result).__name__}")
    after, output = result
    structure, expected = str(jax.tree.structure(after)), str(jax.tree.structure(before))
    if structure != expected:
        raise ValueError(f"step must return a state of the structure that init gave, {expected}, got {structure}")
    for (path, old), new in zip(jax.tree.leaves_with_path(before), jax.tree.leaves(after), strict=True):
        if _describe(old) != _describe(new):
            raise ValueError(
                f"state{jax.tree_util.keystr(path)} is {_describe(old)} from init and {_describe(new)} after a step: "
                "both must be the same, since the state is handed from step to step (lax.scan)"
            )
    if _describe(output) != _describe(current):
        raise ValueError(
            f"step must put out what its neurons' current is, {_describe(current)}, got {_describe(output)}"
        )


def _traced(call: Callable[[], Any], what: str) -> Any:
    try:
        return call()
    except jax.errors.JAXTypeError as error:
        raise ValueError(
            f"the cell does not run under {what}, because it asks for the value of an array while it is traced: "
            "replace `if` on arrays by jnp.where, and numpy by jax.numpy"
        ) from error


def _agree(actual: Any, expected: Any, problem: str, help_: str) -> None:
    for value, wanted in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(value, np.float64), np.asarray(wanted, np.float64)
        tolerance = (
            100 * float(jnp.finfo(jnp.result_type(value)).eps) if jnp.issubdtype(value.dtype, jnp.floating) else 0
        )
        if not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
            raise ValueError(f"{problem}, by up to {np.abs(a - b).max():.3g}: {help_}")


def _check_spikes(outputs: Array, scale: float) -> None:
    values = np.unique(np.asarray(outputs, np.float64))
    if not set(values) <= {0.0, 1.0}:
        raise ValueError(
            f"spikes must be 0 or 1, got {values[:5].tolist()}: put out surrogate(potential - threshold), or say "
            "fires=False for a cell that puts out potentials"
        )
    if len(values) < 2:
        raise ValueError(
            f"the cell {'fired at every step' if values[0] else 'never fired'}, so the check shows nothing: currents "
            f"were uniform in [{-scale / 2}, {scale}); try another scale, or parameters with another threshold"
        )


def _check_halves(cell: Cell, params: Any, state: Any, currents: Array) -> None:
    membrane, fire = cell.membrane, cell.fire
    if membrane is None or fire is None:
        raise ValueError("a cell with `fire` has `membrane` too: the potentials that it fires from")
    half, rest = jax.tree.map(lambda x: x / 2, state), jax.tree.map(jnp.zeros_like, state)
    for current in currents:
        _agree(
            fire(params, membrane(params, state, current)),
            cell.step(params, state, current),
            "`fire` behind `membrane` differs from `step`",
            "both are the halves of one step; leave `fire` out for a cell that cannot be divided so",
        )
        _agree(
            membrane(params, half, current / 2) * 2,
            membrane(params, state, current) + membrane(params, rest, jnp.zeros_like(current)),
            "`membrane` is not linear in state and current",
            "a cell with `fire` is differentiated as if it were; leave `fire` out",
        )


def _check_gradients(
    run: Callable[[Any, Array], tuple[Any, Array]], params: Any, currents: Array, weights: Array, spiking: bool
) -> None:
    def objective(params: Any, currents: Array) -> Array:
        return jnp.sum(run(params, currents)[1] * weights)

    of_params, of_currents = jax.jit(jax.grad(objective, (0, 1)))(params, currents)
    for path, leaf in jax.tree.leaves_with_path({"params": of_params, "currents": of_currents}):
        if not bool(jnp.isfinite(leaf).all()):
            raise ValueError(
                f"the gradient of {jax.tree_util.keystr(path, simple=True, separator='.')} is not finite: look for "
                "divisions by zero, and roots, powers and logarithms at zero"
            )
    if not bool(jnp.any(of_currents != 0)):
        help_ = "look for stop_gradient"
        if spiking:
            help_ = "fire through a surrogate, e.g. jaxsnn.SURROGATES['arctan'](potential - threshold)"
        raise ValueError(f"no gradient reaches the currents, so nothing can be trained: {help_}")
