"""Every cell in a network: learned fields of every scope, float64, chunks of time; and adLIF by hand."""

from functools import partial
from itertools import cycle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import models, neurons, unroll
from jaxsnn.cells import CELLS, POSITIVE, TIME_CONSTANT, UNIT, adlif, interval
from jaxsnn.layers import NeuronLayer
from jaxsnn.surrogate import arctan

FIRING = {name: cell for name, cell in CELLS.items() if cell.fires}
every = pytest.mark.parametrize("name", FIRING)


def learned(cell):
    return tuple(f"{name}{scope}" for name, scope in zip(cell.bounds, cycle(("", ":channel", ":neuron")), strict=False))


@every
def test_learned_fields_in_chunks_are_those_of_the_whole(name, x64):
    """In float64, with every field learned that can be; each has a gradient."""
    cell = FIRING[name]
    params = cell.params(coupling=0.2, jump=0.3) if name == "izhikevich" else cell.params()
    kind = neurons.of_cell(cell, arctan, params=params, learn=learned(cell))
    options = {"hidden": (6,), "input_shape": (5,), "num_classes": 3, "param_dtype": jnp.float64}
    model = models.create("mlp", neurons=kind, init_gain=12.0, rngs=nnx.Rngs(1), **options)
    apply, params, state = models.functionalize(model)
    x = jax.random.bernoulli(jax.random.key(2), 0.5, (6, 2, 5)).astype(jnp.float64)

    @jax.jit
    def both(params, x):
        def loss(params, apply):
            output, _ = apply(params, state, x, record=True)
            return jnp.sum(jnp.sin(output.potentials)), (output.carry, output.spikes["fc1"])

        run = jax.value_and_grad(loss, has_aux=True)
        return run(params, apply), run(params, models.in_chunks(apply, 3))

    whole, pieces = jax.device_get(both(params, x))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12), pieces, whole)
    (_, (carry, spikes)), gradients = whole
    assert 0 < spikes.mean() < 1
    assert {leaf.dtype for leaf in jax.tree.leaves((carry["fc1"], gradients))} == {np.dtype("float64")}
    fields = gradients["fc1"]["neurons"]
    assert len(fields) == len(cell.bounds)
    assert {field for field, gradient in fields.items() if np.abs(gradient).max() == 0} == set()


@every
def test_learned_fields_start_where_they_were(name):
    cell = FIRING[name]
    layer = NeuronLayer(neurons.bptt(cell), learn=learned(cell), shape=(2, 3))
    for field, found in layer.params(3)._asdict().items():
        np.testing.assert_allclose(found, np.full(found.shape, getattr(cell.params(), field)), rtol=1e-5, atol=1e-6)
    known = {entry.partition(":")[0] for entry in cell.learned}
    assert known <= set(cell.bounds)


@pytest.mark.parametrize(
    ("bound", "inside", "outside"),
    [
        (UNIT, (0.1, 0.999), (0.0, 1.0, 1.5)),
        (POSITIVE, (1e-3, 40.0), (0.0, -1.0)),
        (TIME_CONSTANT, (1.01, 2.0, 50.0), (1.0, 0.5)),
        (interval(-1, 1), (-0.9, 0.0, 0.5), (-1.0, 1.0, 2.0)),
    ],
)
def test_bounds(bound, inside, outside):
    for value in inside:
        np.testing.assert_allclose(bound.into(bound.out(jnp.float32(value))), value, rtol=1e-4, atol=1e-6)
    for value in outside:
        assert not np.isfinite(bound.out(jnp.float32(value)))
    low, high = (float(bound.into(jnp.float32(x))) for x in (-10.0, 10.0))
    assert low < high or bound is TIME_CONSTANT


def test_a_learned_value_outside_its_range():
    with pytest.raises(ValueError, match=r"a learned coupling must start inside \(-1, 1\), got 1.5 as float32"):
        NeuronLayer(neurons.bptt(adlif.CELL), values={"coupling": 1.5}, learn=("coupling",))


def test_adlif_by_hand(x64):
    """The source's order, with the potential before the reset and the spikes as states of their own."""
    leak, slow, a, b = 0.8, 0.7, 0.3, 0.6
    generator = np.random.default_rng(0)
    currents = generator.uniform(-2, 9, (30, 4))
    u, w, s, expected = np.zeros(4), np.zeros(4), np.zeros(4), []
    for current in currents:
        w = slow * w + a * u + b * s
        u = leak * (u - s) + (1 - leak) * (current - w)
        s = (u > 1).astype(float)
        expected.append(s)
    params = adlif.AdLIFParams(leak, 1.0, slow, a, b)
    rest = adlif.init(params, (4,), jnp.float64)
    ran = unroll(partial(adlif.step, params), rest, jnp.asarray(currents))
    np.testing.assert_array_equal(ran.outputs, expected)
    np.testing.assert_allclose(ran.state.potential, u - s, rtol=1e-10)
    np.testing.assert_allclose(ran.state.adaptation, slow * w + a * u + b * s, rtol=1e-10)
    assert 0.1 < np.mean(expected) < 0.9
