"""A network whose norms are folded answers as before, to the last digits; norms that cannot be folded are refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import models, neurons
from jaxsnn.layers import NORMS, Conv, Subsample

SIZE, STEPS = (6, 6, 2), 4


def with_shortcut(**options):
    """Two bundles of weights whose currents are summed, then normed."""
    net = models.Builder(init_scale=2.0, **options)
    start = net.here()
    net.conv(3)
    net.conv(4, stride=2, shortcut=("around", start))
    return net.finish()


def network(name, norm, bias=False, **options):
    if name == "shortcut":
        make = with_shortcut
    elif name in models.MODELS:
        make = functools.partial(models.create, name)
    else:
        make = functools.partial(models.cifar_resnet, stages=((4, 1), (6, 1)), stem=4, join=name)
    model = make(
        input_shape=SIZE,
        num_classes=3,
        norm=norm,
        bias=bias,
        time_steps=STEPS,
        norm_groups=1,
        neurons=neurons.lif(leak=0.8, threshold=0.6),
        param_dtype=jnp.float64,
        rngs=nnx.Rngs(0),
        **options,
    )
    apply, params, state = models.functionalize(model)
    keys = iter(jax.random.split(jax.random.key(1), 500))

    def moved(path, leaf):
        at = jax.tree_util.keystr(path, simple=True, separator="/")
        if "neurons" in at or at.endswith(("kernel", "unit")):
            return leaf
        return leaf + jax.random.uniform(next(keys), leaf.shape, leaf.dtype)

    params, state = (jax.tree.map_with_path(moved, tree) for tree in (params, state))
    return model, apply, params, state


@pytest.mark.parametrize(
    ("name", "norm", "bias", "options"),
    [
        ("shortcut", "bn", False, {}),
        ("lenet", "bn_step", False, {"width": 0.2, "standardise": True}),
        ("plain", "tdbn", True, {}),
        ("ms", "bn", False, {}),
    ],
)
def test_potentials_spikes_and_answers_stay(name, norm, bias, options, x64):
    model, apply, params, state = network(name, norm, bias, **options)
    x = (jax.random.uniform(jax.random.key(2), (STEPS, 2, *SIZE)) < 0.5).astype(jnp.float64)
    folded, new, kept = models.fold(model, params, state)
    before, _ = jax.jit(lambda *trees: apply(*trees, x, record=True))(params, state)
    after, _ = jax.jit(lambda *trees: models.functionalize(folded)[0](*trees, x, record=True))(new, kept)
    np.testing.assert_allclose(after.potentials, before.potentials, rtol=1e-12, atol=1e-12)
    assert np.abs(before.potentials).max() > 0.1
    for row in model.rows:
        if row.neurons and row.name in before.spikes:
            np.testing.assert_array_equal(after.spikes[row.name], before.spikes[row.name])
    assert all(0 < np.mean(before.spikes[row.name] != 0) < 1 for row in model.rows if row.neurons and row.norm)
    assert not any("norm" in of for of in (*new.values(), *kept.values()))
    assert any(row.norm for row in model.rows), "the model itself stays as it is"
    assert models.connections(folded) == models.connections(model)  # a norm was counted as the bias that it is now


@pytest.mark.parametrize("norm", [name for name in NORMS if not getattr(NORMS[name], "folded", None)])
def test_a_norm_of_other_numbers_at_other_steps_or_samples_is_refused(norm):
    model = models.create(
        "lenet", input_shape=SIZE, num_classes=3, norm=norm, time_steps=STEPS, norm_groups=1, rngs=nnx.Rngs(0)
    )
    with pytest.raises(ValueError, match=r"the norm of conv1, \w+, cannot be folded into weights"):
        models.fold(model, *models.functionalize(model)[1:])


def test_a_sum_with_unweighted_spikes_and_a_product_are_refused():
    for join, message in (("sum", "its synapses around .Subsample. have no weights"), ("and", "are joined by 'and'")):
        kinds = neurons.lif()
        net = models.Builder(input_shape=SIZE, num_classes=3, neurons=kinds, init_scale=2.0, rngs=nnx.Rngs(0))
        start, conv = net.here(), Conv(2, 2, 3, rngs=nnx.Rngs(0))
        around = {"around": (start.source, Subsample(1))}
        net.add("conv1", conv, kinds.hidden, norm=NORMS["bn"](2, jnp.float32), more=around, join=join)
        model = net.finish()
        with pytest.raises(ValueError, match=f"the norm of conv1 cannot be folded: .*{message}"):
            models.fold(model, *models.functionalize(model)[1:])
