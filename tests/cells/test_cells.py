import importlib
import inspect
from functools import partial

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from jaxsnn import integrate_and_fire, leaky_integrator, lif, unroll
from jaxsnn.cells import CELLS, adlif, check_cell, izhikevich

PARAMS = {name: cell.params() for name, cell in CELLS.items()} | {
    "lif": lif.LIFParams(0.9, 0.8),
    "integrate_and_fire": integrate_and_fire.IFParams(0.8),
    "leaky_integrator": leaky_integrator.LeakyIntegratorParams(0.9),
    "izhikevich": izhikevich.IzhikevichParams(coupling=0.3, jump=0.2),
    "adlif": adlif.AdLIFParams(coupling=0.2),
}
SCALES = {"alif": 40.0, "adlif": 20.0, "plif": 4.0, "klif": 4.0, "izhikevich": 4.0}
"""Largest currents of cells whose input is scaled by their leak."""
every = pytest.mark.parametrize("name", CELLS)


@every
def test_protocol(name):
    check_cell(CELLS[name], PARAMS[name], scale=SCALES.get(name, 2.0))
    assert CELLS[name].fires == (name != "leaky_integrator")


@every
def test_constants_are_vmappable(name):
    cell, currents = CELLS[name], jax.random.normal(jax.random.key(0), (9, 2))
    many = jax.tree.map(lambda p: jnp.asarray([p, p / 2]), PARAMS[name])
    run = lambda params: unroll(partial(cell.step, params), cell.init(params, (2,)), currents).outputs  # noqa: E731
    both = jax.vmap(run)(many)
    np.testing.assert_allclose(both[1], run(jax.tree.map(lambda p: p[1], many)), rtol=1e-6)


@every
def test_state_and_current_must_agree(name):
    cell = CELLS[name]
    state = cell.init(PARAMS[name], (3, 4))
    with pytest.raises(ValueError, match=r"shape \(4,\), but the neurons' state has \(3, 4\)"):
        cell.step(PARAMS[name], state, jnp.ones(4))
    with pytest.raises(ValueError, match=r"dtype bfloat16, but the neurons' state has float32"):
        cell.step(PARAMS[name], state, jnp.ones((3, 4), jnp.bfloat16))


@pytest.mark.parametrize("leak", [0.0, -0.5, 1.01, float("nan")])
def test_leak_outside_its_range(leak):
    with pytest.raises(ValueError, match=r"leak must lie in \(0, 1\], got .* exp\(-1/tau\)"):
        lif.init(lif.LIFParams(leak), (1,))


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_threshold_not_positive(threshold):
    with pytest.raises(ValueError, match=r"threshold must be > 0, got"):
        lif.init(lif.LIFParams(0.9, threshold), (1,))


def test_unknown_resets():
    with pytest.raises(ValueError, match="reset must be one of hard, soft, none, delayed, value, got 'zero'"):
        lif.step(lif.LIFParams(), lif.init(lif.LIFParams(), (1,)), jnp.ones(1), reset="zero")
    with pytest.raises(ValueError, match="delayed reset subtracts after the leak: it goes without leak_first"):
        lif.cell(reset="delayed", leak_first=True)
    with pytest.raises(ValueError, match="reset must be one of hard, soft, none, got 'value'"):
        integrate_and_fire.cell(reset="value")


def test_paper_order_by_hand():
    """Integrate, fire, reset, leak: a spike leaves zero, no spike leaves the leaked potential."""
    params = lif.LIFParams(0.5, 1.0)
    state, spikes = lif.step(params, lif.LIFState(jnp.asarray([0.4, 0.4, 0.4])), jnp.asarray([0.5, 0.6, 0.8]))
    np.testing.assert_allclose(spikes, [0, 0, 1])  # 1.0 does not exceed the threshold
    np.testing.assert_allclose(state.potential, [0.45, 0.5, 0])


def test_soft_reset_and_leak_first_by_hand():
    params = lif.LIFParams(0.5, 1.0)
    before = lif.LIFState(jnp.asarray([0.4]))
    state, _ = lif.step(params, before, jnp.asarray([0.8]), reset="soft")
    np.testing.assert_allclose(state.potential, [0.1], rtol=1e-6)
    state, spikes = lif.step(params, before, jnp.asarray([0.7]), leak_first=True)
    np.testing.assert_allclose((state.potential, spikes), ([0.9], [0]), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "after"),
    [
        ({"reset": "none"}, 0.5 * 1.2),
        ({"reset": "delayed"}, 0.5 * 1.2 - 1.0),
        ({"reset": "value"}, 0.5 * -0.3),
        ({"reset": "value", "leak_first": True}, -0.3),
        ({"scale_input": True, "reset": "soft"}, None),
    ],
)
def test_options_by_hand(options, after):
    """From 0.4 with a current of 0.8 to 1.2 (0.8 with a scaled input), which fires at 1."""
    cell = lif.cell(**options)
    params = cell.params(0.5, 1.0, -0.3) if options["reset"] == "value" else cell.params(0.5, 1.0)
    start = 0.8 if options.get("leak_first") else 0.4
    state, spikes = cell.step(params, lif.LIFState(jnp.asarray([start])), jnp.asarray([0.8]))
    if after is None:
        np.testing.assert_allclose((state.potential, spikes), ([0.5 * 0.8], [0]), rtol=1e-6)
    else:
        np.testing.assert_allclose((state.potential, spikes), ([after], [1]), rtol=1e-6)


def test_a_reset_that_is_differentiated():
    """The slope of the potential after a spike, by hand: (1 - s) u has 1 - s - u ds/du, u - V s has 1 - V ds/du."""
    du = float(jax.grad(lif.arctan)(0.2))
    for reset, expected in (("hard", 0 - 1.2 * du), ("soft", 1 - du), ("value", (-0.3 - 1.2) * du)):
        cell = lif.cell(reset=reset, detach_reset=False)
        params = cell.params(1.0, 1.0, -0.3) if reset == "value" else cell.params(1.0, 1.0)
        slope = jax.grad(lambda current: cell.step(params, lif.LIFState(jnp.float32(0.4)), current)[0].potential)  # noqa: B023
        np.testing.assert_allclose(slope(jnp.float32(0.8)), expected, rtol=1e-5)


@partial(jax.jit, static_argnums=(2, 3))
def fire(leak, currents, reset, leak_first):
    step = partial(lif.step, lif.LIFParams(leak), reset=reset, leak_first=leak_first)
    return unroll(step, lif.LIFState(jnp.zeros_like(currents[0])), currents).outputs


@settings(deadline=None, max_examples=30)
@given(st.floats(0.02, 3.0), st.floats(0.5, 0.999))
def test_first_spike_time_of_a_constant_current(current, leak):
    """Before its first spike v_t = I (1 - leak^(t+1)) / (1 - leak): it fires at the first t where that exceeds 1."""
    steps = 80
    t = np.arange(steps)
    potential = current * (1 - leak ** (t + 1)) / (1 - leak)
    if np.min(np.abs(potential - 1)) < 1e-4:
        return  # too close to the threshold for float32
    spikes = fire(jnp.float32(leak), jnp.full((steps, 1), current, jnp.float32), "hard", False)
    first = np.flatnonzero(spikes[:, 0])[:1]
    np.testing.assert_array_equal(first, np.flatnonzero(potential > 1)[:1])


def test_integrate_and_fire_rate_with_soft_reset_is_the_current():
    params = integrate_and_fire.IFParams(1.0)
    currents = jnp.broadcast_to(jnp.asarray([0.125, 0.5, 0.75]), (64, 3))
    step = partial(integrate_and_fire.step, params, reset="soft")
    rates = unroll(step, integrate_and_fire.init(params, (3,)), currents).outputs.mean(0)
    np.testing.assert_allclose(rates, [0.125, 0.5, 0.75], atol=1 / 64)


@settings(deadline=None, max_examples=30)
@given(
    hnp.arrays(np.float32, (12, 3), elements=st.floats(-2, 2, width=32)),
    st.sampled_from(["hard", "soft"]),
    st.booleans(),
)
def test_spikes_are_zero_or_one_and_neurons_are_independent(currents, reset, leak_first):
    spikes, mirrored = (
        np.asarray(fire(jnp.float32(0.9), jnp.asarray(x), reset, leak_first)) for x in (currents, currents[:, ::-1])
    )
    assert set(np.unique(spikes)) <= {0, 1}
    np.testing.assert_array_equal(mirrored, spikes[:, ::-1])


def test_leak_and_threshold_can_be_learned():
    currents = jnp.full((20, 1), 0.3)

    def rate(params):
        return unroll(partial(lif.step, params), lif.init(params, (1,)), currents).outputs.mean()

    gradients = jax.grad(rate)(lif.LIFParams(jnp.float32(0.9), jnp.float32(1.0)))
    assert gradients.leak > 0 > gradients.threshold  # less leak fires more, a higher threshold less


@pytest.mark.parametrize("name", CELLS)
def test_an_option_has_one_default(name):
    """What `cell()` builds by default is what the functions of its module do by default."""
    module = importlib.import_module(f"jaxsnn.cells.{name}")
    defaults = {}
    for function in ("step", "integrate", "cell"):
        for option, parameter in inspect.signature(getattr(module, function, lambda: None)).parameters.items():
            if parameter.default is not parameter.empty:
                defaults.setdefault(option, set()).add(parameter.default)
    assert all(len(values) == 1 for values in defaults.values()), defaults


# Numbers of the parameters, in their order, and options of `cell()`. `lif` is the membrane of Lee et al. (2020);
# `glif`, `izhikevich`, `klif`, `plif` and `clif` start as SpikingJelly's do, `alif` with the adaptation of LSNN.
DEFAULTS = {
    "lif": ((0.99, 1.0), {"reset": "hard", "leak_first": False, "detach_reset": True, "scale_input": False}),
    "plif": ((0.5, 1.0), {"reset": "hard", "leak_first": True, "detach_reset": True, "scale_input": True}),
    "synaptic": (
        (0.9, 0.8, 1.0),
        {"reset": "delayed", "leak_first": False, "detach_reset": True, "scale_input": False},
    ),
    "alif": ((0.95, 1.0, 0.995, 1.6), {"reset": "delayed", "detach_reset": True, "scale_input": True}),
    "adlif": ((0.9, 1.0, 0.98, 0.0, 1.0), {"reset": "soft", "detach_reset": False}),
    "klif": ((0.5, 1.0, 1.0), {"reset": "hard", "detach_reset": True, "scale_input": True, "scale_reset": False}),
    "glif": ((0.5, 0.5, 0.5, 0.25, 0.5, 0.05, 0.5, 0.5), {"detach_reset": False}),
    "clif": ((0.5, 1.0), {}),
    "izhikevich": ((2.0, 1.0, -0.1, 0.8, 1.0, 2.0, 0.0, 0.0), {"reset": "hard", "detach_reset": True}),
    "resonate_and_fire": ((0.1, 1.0, 1.0), {"part": "real", "reset": "none", "detach_reset": True}),
    "integrate_and_fire": ((1.0,), {"reset": "hard", "detach_reset": True}),
    "leaky_integrator": ((0.99,), {"leak_first": False}),
}


@every
def test_defaults(name):
    """They are part of what a recipe says: another one changes the results of everybody who leaves it out."""
    cell = getattr(importlib.import_module(f"jaxsnn.cells.{name}"), "cell", lambda: None)
    options = {option: parameter.default for option, parameter in inspect.signature(cell).parameters.items()}
    assert (tuple(CELLS[name].params()), options) == DEFAULTS[name]
