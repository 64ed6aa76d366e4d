"""Norms equal those of PyTorch, SpikingJelly and snnTorch, as `benchmarks.peers.vectors_norms` recorded them."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import models
from jaxsnn.layers import NORMS
from jaxsnn.layers.norms.moments import normalise

RECORDED = np.load(Path(__file__).with_name("norms.npz"))
FEATURES, STEPS = 4, 3
ALPHA, THRESHOLD = 2**-0.5, 0.7
OPTIONS = {"tdbn": {"threshold": THRESHOLD, "branches": 2}, "gn": {"groups": 2}}
PARAMS = {"weight": "scale", "bias": "bias", "scale": "step_scale"}
STATE = {"running_mean": "mean", "running_var": "var"}


def make(name, dtype=jnp.float64, **options):
    return models.functionalize(NORMS[name](FEATURES, dtype, **{"steps": STEPS} | OPTIONS.get(name, {}) | options))


def theirs(name, kind):
    """Their numbers under our names; of BNTT's single norms as rows."""
    names = {"param": PARAMS, "slope": PARAMS, "state": STATE}[kind]
    found = {}
    for key in RECORDED:
        if key.startswith(f"{name}/{kind}/"):
            found.setdefault(names[key.rpartition("/")[2].rpartition(".")[2]], []).append(RECORDED[key])
    return {key: jnp.asarray(np.stack(rows) if name == "bntt" else rows[0]) for key, rows in found.items()}


def close(a, b, tolerance=1e-10):
    np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NORMS)
def test_forward_statistics_and_gradients_are_theirs(name, x64):
    run, params, state = make(name)
    given = theirs(name, "param")
    assert params.keys() == given.keys()
    # SpikingJelly has threshold and alpha in its weight
    unit = {"scale": ALPHA * THRESHOLD if name == "tdbn" else 1.0}
    params = {key: value / unit.get(key, 1.0) for key, value in given.items()}
    first, second, slope = (jnp.asarray(RECORDED[key]) for key in ("first", "second", "slope"))

    def of(params, state, x):
        y, state = run(params, state, x, train=True)
        return jnp.sum(y * slope), (y, state)

    @jax.jit
    def both(params, state, first, second):
        _, state = run(params, state, first, train=True)
        (_, (y, state)), slopes = jax.value_and_grad(of, (0, 2), has_aux=True)(params, state, second)
        return y, slopes, state, run(params, state, second, train=False)[0]

    y, (by_params, by_x), state, evaluated = both(params, state, first, second)
    close(y, RECORDED[f"{name}/train"])
    close(by_x, RECORDED[f"{name}/slope"])
    close(evaluated, RECORDED[f"{name}/eval"])
    for key, value in theirs(name, "slope").items():
        close(by_params[key] / unit.get(key, 1.0), value)
    for key, value in theirs(name, "state").items():
        close(state[key], value)


@pytest.mark.parametrize("name", NORMS)
def test_currents_keep_their_dtype_and_statistics_have_float32(name):
    run, params, state = make(name, jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves((params, state))} == {jnp.dtype(jnp.float32)}
    x = jnp.asarray(RECORDED["first"], jnp.float32) + 100  # E[x^2] - E[x]^2 would have no digit left
    wide = jax.jit(lambda x: run(params, state, x, train=True)[0])
    exact = np.asarray(x, np.float64)
    if name == "bn":
        exact = (exact - exact.mean((0, 1, 2, 3))) / np.sqrt(exact.var((0, 1, 2, 3)) + 1e-5)
        close(wide(x), exact, 1e-4)
    narrow = wide((x - 100).astype(jnp.bfloat16))
    assert narrow.dtype == jnp.bfloat16
    close(narrow, wide((x - 100).astype(jnp.bfloat16).astype(jnp.float32)), 1e-2)


@pytest.mark.parametrize("name", [name for name in NORMS if NORMS[name].once])
def test_one_step_that_stands_for_all_is_all(name, x64):
    run, params, state = make(name)
    once = jnp.asarray(RECORDED["first"])[:1]
    train = jax.jit(lambda x: run(params, state, x, train=True, steps=STEPS))
    y, moved = train(once)
    whole, moved_whole = train(jnp.broadcast_to(once, RECORDED["first"].shape))
    close(jnp.broadcast_to(y, whole.shape), whole)
    jax.tree.map(close, moved, moved_whole)


@pytest.mark.parametrize("name", ["bn", "gn", "ln"])
def test_vectors_without_a_map_are_maps_of_one_place(name, x64):
    run, params, state = make(name)
    x = jnp.asarray(RECORDED["first"])[:, :, 0, 0]
    train = jax.jit(lambda x: run(params, state, x, train=True)[0])
    close(train(x), train(x[:, :, None, None])[:, :, 0, 0])


def gradients(run, params, state, x, axis_name=None):
    """What training needs of a norm: outputs, gradients of parameters and currents, moved statistics."""

    def of(params, x):
        y, moved = run(params, state, x, train=True, axis_name=axis_name)
        return jnp.sum(jnp.sin(y) * jnp.arange(1, 1 + x.shape[-1], dtype=y.dtype).reshape(1, 1, 1, 1, -1)), (y, moved)

    (_, (y, moved)), slopes = jax.value_and_grad(of, (0, 1), has_aux=True)(params, x)
    return y, slopes, moved


@pytest.mark.parametrize("name", NORMS)
def test_members_of_a_population_are_those_alone_and_every_platform_can_have_it(name, x64):
    run, params, state = make(name)
    x = jnp.stack([jnp.asarray(RECORDED["first"]), jnp.asarray(RECORDED["second"])])
    params, state = (jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), tree) for tree in (params, state))
    members = jax.jit(jax.vmap(lambda params, state, x: gradients(run, params, state, x)))(params, state, x)
    alone = jax.jit(lambda params, state, x: gradients(run, params, state, x))
    for number in range(2):
        one = jax.tree.map(lambda leaf, number=number: leaf[number], (params, state, x))
        jax.tree.map(close, jax.tree.map(lambda leaf, number=number: leaf[number], members), alone(*one))
    alone.trace(*one).lower(lowering_platforms=("cuda", "tpu"))


def test_the_backward_pass_by_hand_is_the_automatic_one(x64):
    x, slope = (jnp.asarray(RECORDED[key]).reshape(3, 2, 6, 2, 2) for key in ("first", "slope"))
    for axes, shape in (((0, 1, 2), (3, 1, 1, 2, 2)), ((2, 4), (1, 1, 1, 2, 2)), ((4,), (1, 2, 1, 1, 1))):
        scale, bias = jax.random.normal(jax.random.key(0), (2, *shape), x.dtype)

        def plain(x, scale, bias, axes=axes):
            y = (x - x.mean(axes, keepdims=True)) * jax.lax.rsqrt(x.var(axes, keepdims=True) + 1e-3) * scale + bias
            return jnp.sum(y * slope)

        def by_hand(x, scale, bias, axes=axes):
            return jnp.sum(normalise(x, scale, bias, axes, 1e-3, None)[0] * slope)

        found, expected = (jax.jit(jax.grad(f, (0, 1, 2)))(x, scale, bias) for f in (by_hand, plain))
        jax.tree.map(close, found, expected)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tebn", {"steps": 0}, "tebn has numbers of its own for each time step: give the network time_steps"),
        ("bntt", {"steps": 0}, "bntt has numbers of its own for each time step: give the network time_steps"),
        ("tdbn", {"threshold": None}, "tdbn takes currents in units of the neurons' threshold, .* got none"),
        ("tdbn", {"threshold": np.ones((2, 2, 4))}, r"one for each of 4 features, got \(2, 2, 4\)"),
        ("gn", {"groups": 3}, "4 features cannot be divided into 3 groups: give other norm_groups"),
    ],
)
def test_what_cannot_be_built_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, jnp.float32, **options)


@pytest.mark.parametrize("name", ["bn", "bn_step", "tdbn", "tebn", "bntt"])
def test_one_value_per_feature_is_refused_in_training(name):
    run, params, state = make(name, jnp.float32, steps=1)
    x = jnp.ones((1, 1, FEATURES))
    with pytest.raises(ValueError, match=r"more than one value per feature in training, got currents \[1, 1, 1, 4\]"):
        run(params, state, x, train=True)
    assert np.isfinite(run(params, state, x, train=False)[0]).all()


@pytest.mark.parametrize("name", ["tebn", "bntt"])
def test_steps_past_the_last_are_refused_or_nan(name):
    run, params, state = make(name, jnp.float32)
    x = jnp.ones((2, 2, FEATURES))
    message = "built for trains of 3 steps, got 4: give the network time_steps=4"
    with pytest.raises(ValueError, match=message):
        run(params, state, jnp.ones((4, 2, FEATURES)), train=False)
    with pytest.raises(ValueError, match=message):
        run(params, state, x, train=False, start=jnp.int32(2))
    y = jax.jit(lambda start: run(params, state, x, train=False, start=start)[0])(2)
    assert np.isfinite(y[0]).all()
    assert np.isnan(y[1]).all()
