"""Every promise of `check_cell`, broken on purpose."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from jaxsnn import SURROGATES, lif
from jaxsnn.cells import Cell, check_cell, izhikevich, klif, resonate_and_fire, synaptic

PARAMS = lif.LIFParams(0.9, 0.8)


def check(init, step, params, *, shape=(2, 3), steps=6, **options):
    check_cell(Cell(type(params), init, step), params, shape=shape, steps=steps, **options)


class Adaptive(NamedTuple):
    """A threshold that rises with every spike and falls back."""

    leak: float = 0.9
    rise: float = 0.3


def adaptive_init(params, shape, dtype=jnp.float32):
    return {"potential": jnp.zeros(shape, dtype), "extra": jnp.zeros(shape, dtype)}


def adaptive_step(params, state, current):
    potential = params.leak * state["potential"] + current
    spikes = SURROGATES["triangle"](potential - 0.8 - state["extra"])
    return {"potential": potential * (1 - spikes), "extra": 0.95 * state["extra"] + params.rise * spikes}, spikes


@pytest.mark.parametrize("options", [{"reset": "soft"}, {"leak_first": True}])
def test_options_of_lif(options):
    check(lif.init, partial(lif.step, **options), PARAMS)


@pytest.mark.parametrize(
    "cell",
    [
        lif.cell(reset="value", detach_reset=False),
        synaptic.cell(reset="hard", leak_first=True, scale_input=True),
        klif.cell(reset="soft", scale_input=False, scale_reset=True, detach_reset=False),
        resonate_and_fire.cell(part="imaginary", reset="soft"),
        izhikevich.cell(reset="none", detach_reset=False),
    ],
)
def test_options_of_other_cells(cell):
    check_cell(cell, shape=(2, 3), steps=6, scale=3.0)


def test_a_cell_with_two_variables():
    check(adaptive_init, adaptive_step, Adaptive())


def test_other_shapes_and_float64(x64):
    check_cell(lif.CELL, PARAMS, shape=(2, 3, 3, 1), steps=5, dtype=jnp.float64)


def changed(change):
    """LIF whose results of a step are changed."""

    def step(params, state, current):
        return change(*lif.step(params, state, current), params, current)

    return step


calls = []


def _impure(state, spikes, params, current):
    calls.append(1)
    return lif.LIFState(state.potential + 0.01 * len(calls)), spikes


def _looking(state, spikes, params, current):
    return (state, spikes) if current.sum() > -1e9 else (state, 1 - spikes)


BROKEN = {
    "no pair": (lambda state, spikes, *_: spikes, "must return the pair"),
    "another structure": (lambda state, spikes, *_: ((state, state), spikes), "state of the structure that init gave"),
    "another shape": (
        lambda state, spikes, *_: (lif.LIFState(state.potential[:1]), spikes),
        r"state\.potential is float32\[2, 3\] from init and float32\[1, 3\] after a step",
    ),
    "another dtype": (
        lambda state, spikes, *_: (lif.LIFState(state.potential.astype(jnp.bfloat16)), spikes),
        "float32.* from init and bfloat16",
    ),
    "bool spikes": (
        lambda state, spikes, *_: (state, spikes > 0),
        r"must put out .* float32\[2, 3\], got bool\[2, 3\]",
    ),
    "impure": (_impure, "under jit the cell gives other numbers.*keep `step` pure"),
    "python if": (_looking, "does not run under jax.jit.*jnp.where"),
    "over samples": (
        lambda state, spikes, params, current: (
            lif.LIFState(state.potential + 0.3 * jnp.cumsum(current, 0)),
            spikes,
        ),
        "samples of a batch influence each other",
    ),
    "signed": (lambda state, spikes, *_: (state, 2 * spikes), r"spikes must be 0 or 1, got \[0.0, 2.0\]"),
    "silent": (lambda state, spikes, *_: (state, 0 * spikes), "never fired"),
    "always": (lambda state, spikes, *_: (state, 0 * spikes + 1), "fired at every step"),
    "not finite": (
        lambda state, spikes, params, current: (state, spikes + 0 * jnp.sqrt(0 * current)),
        "gradient of .* is not finite",
    ),
    "no surrogate": (
        lambda state, spikes, *_: (state, jax.lax.stop_gradient(spikes)),
        "no gradient reaches the currents.*SURROGATES",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_named(name):
    change, message = BROKEN[name]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        check(lif.init, changed(change), PARAMS)


def test_memory_outside_the_state():

    def init(params, shape, dtype):
        return jnp.zeros(shape, dtype)

    def step(params, potential, current):
        memory["steps"] += 1
        potential = potential * 0.9 + current + 0.1 * memory["steps"]
        return potential, SURROGATES["arctan"](potential - 1)

    memory = {"steps": 0}
    with pytest.raises(ValueError, match="keep `step` pure"):
        check(init, step, ())


def test_a_cell_that_asks_for_the_value_of_a_parameter():
    def step(params, state, current):
        return lif.step(params, state, current, reset="soft" if params.leak > 0.5 else "hard")

    with pytest.raises(ValueError, match="does not run under jax.jit"):
        check(lif.init, step, PARAMS)


def test_arguments():
    with pytest.raises(ValueError, match=r"steps >= 2 and shape \(B, ...\) with B >= 2, got 16 and \(1, 4\)"):
        check_cell(lif.CELL, PARAMS, shape=(1, 4))


@pytest.mark.parametrize(
    ("halves", "problem"),
    [
        ({"membrane": None}, "a cell with `fire` has `membrane` too"),
        (
            {"membrane": lambda params, state, x: lif.integrate(params, state, 2 * x)},
            "`fire` behind `membrane` differs",
        ),
        ({"fire": partial(lif.fire, reset="soft")}, "`fire` behind `membrane` differs from `step`"),
    ],
)
def test_halves_that_are_no_step(halves, problem):
    with pytest.raises(ValueError, match=problem):
        check_cell(lif.CELL._replace(**halves), PARAMS)


def test_a_membrane_that_is_not_linear():
    """Its two halves are a step, but it is no cell whose gradient is written by hand."""

    def membrane(params, state, current):
        return state.potential + current * jnp.abs(current)

    def step(params, state, current, **options):
        return lif.fire(params, membrane(params, state, current), **options)

    cell = lif.CELL._replace(membrane=membrane, step=step)
    with pytest.raises(ValueError, match="`membrane` is not linear in state and current"):
        check_cell(cell, PARAMS)
    check_cell(cell._replace(fire=None), PARAMS)
