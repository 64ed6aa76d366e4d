"""Recurrent synapses: against a loop by hand, one product for their gradient, in chunks, packed, counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import models, neurons
from jaxsnn.analysis.operations import fan_out, synaptic_operations
from jaxsnn.cells import izhikevich, synaptic
from jaxsnn.layers import Conv, Dense, Layer, NeuronLayer, Recurrent
from jaxsnn.surrogate import arctan


def build(kind=None, *, recurrent="all", dtype=jnp.float64, hidden=(5, 4), **options):
    model = models.create(
        "mlp",
        hidden=hidden,
        input_shape=(6,),
        num_classes=3,
        neurons=kind or neurons.lif(0.8, reset="soft", detach_reset=False),
        recurrent=recurrent,
        init_gain=2.0,
        param_dtype=dtype,
        rngs=nnx.Rngs(0),
        **options,
    )
    return model, *models.functionalize(model)


def spikes(steps=7, dtype=jnp.float64):
    return jax.random.bernoulli(jax.random.key(1), 0.4, (steps, 2, 6)).astype(dtype)


def objective(apply, params, state, x):
    output, _ = apply(params, state, x, record=True)
    potentials = jnp.sum(jnp.sin(output.potentials))
    return potentials + sum(jnp.sum(jnp.cos(leaf)) for leaf in jax.tree.leaves(output.carry["fc1"])), output


def by_hand(params, x, hollow):
    """The network as a Python loop over time, differentiated as it stands."""
    kernels = [params[name]["kernel"] for name in ("fc1", "fc2", "fc3")]
    backs = [params[name]["recurrent"]["kernel"] for name in ("fc1", "fc2")]
    if hollow:
        backs = [back * (1 - jnp.eye(len(back))) for back in backs]
    v = [jnp.zeros((2, back.shape[0])) for back in backs]
    s, readout, potentials = [0 * u for u in v], jnp.zeros((2, 3)), []
    for t in range(len(x)):
        sent = x[t]
        for n in range(2):
            u = v[n] + sent @ kernels[n] + s[n] @ backs[n]
            s[n] = sent = arctan(u - 1.0)
            v[n] = 0.8 * (u - sent)
        readout = 0.8 * (readout + sent @ kernels[2])
        potentials.append(readout)
    return jnp.sum(jnp.sin(jnp.stack(potentials))) + jnp.sum(jnp.cos(v[0])) + jnp.sum(jnp.cos(s[0]))


@pytest.mark.parametrize("connect", ["all", "others"])
def test_it_is_the_loop_by_hand(connect, x64):
    _, apply, params, state = build(recurrent=connect)
    x = spikes()
    run = jax.jit(jax.value_and_grad(lambda p, x: objective(apply, p, state, x)[0], (0, 1)))
    hand = jax.jit(jax.value_and_grad(lambda p, x: by_hand(p, x, connect == "others"), (0, 1)))
    (value, found), (wanted, expected) = run(params, x), hand(params, x)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), found, expected)
    back = found[0]["fc1"]["recurrent"]["kernel"]
    assert np.abs(back).max() > 1e-3
    assert (np.abs(np.diag(back)).max() > 0) == (connect == "all")


@pytest.mark.parametrize(("pack", "chunk", "remat"), [(True, 7, False), (False, 3, True), (True, 2, False)])
def test_chunks_and_packed_spikes_give_the_same(pack, chunk, remat, x64):
    """The carry holds the last spikes, with their cotangents."""
    run = jax.jit(jax.value_and_grad(lambda a, p, s, x: objective(a, p, s, x), 1, has_aux=True), static_argnums=0)
    _, apply, params, state = build()
    (value, output), expected = run(apply, params, state, spikes())
    _, packed, _, _ = build(neurons.lif(0.8, reset="soft", detach_reset=False, pack_spikes=pack))
    (other, found_output), found = run(models.in_chunks(packed, chunk, remat=remat), params, state, spikes())
    np.testing.assert_allclose(other, value, rtol=1e-12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), found, expected)
    jax.tree.map(np.testing.assert_array_equal, found_output.spikes, output.spikes)
    np.testing.assert_array_equal(output.carry["fc1"].sent, output.spikes["fc1"][-1])


def test_the_gradient_of_the_weights_is_one_product():
    """No sum of `[n, n]` runs through the backward scan: its carry and outputs are of `[B, n]` and `[T, B, n]`."""
    _, apply, params, state = build(dtype=jnp.float32, hidden=(11,))
    gradient = jax.make_jaxpr(jax.grad(lambda p, x: objective(apply, p, state, x)[0]))(params, spikes(9, jnp.float32))
    scans = []

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "scan":
                scans.append([variable.aval.shape for variable in equation.outvars])
            for part in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    walk(inner)

    walk(gradient.jaxpr)
    assert len(scans) >= 4
    assert not any(shape[-2:] == (11, 11) for shapes in scans for shape in shapes)


def test_under_vmap_with_a_traced_slope():
    """As in a population: many weights, leaks and slopes in one program."""
    slopes = jnp.asarray([1.0, 3.0])

    def gradients(slope, seed):
        kind = neurons.of_cell(synaptic.CELL, lambda x: arctan(x, slope))
        _, apply, _, state = build(kind, dtype=jnp.float32)
        _, _, params, _ = build(dtype=jnp.float32)
        return jax.grad(lambda p: objective(apply, p, state, spikes(5, jnp.float32))[0])(params)

    both = jax.jit(jax.vmap(gradients, (0, None)))(slopes, 0)
    for n in range(2):
        one = jax.jit(gradients, static_argnums=1)(slopes[n], 0)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a[n], b, rtol=1e-4, atol=1e-5), both, one)  # noqa: B023
    back = both["fc1"]["recurrent"]["kernel"]
    assert np.abs(back[0] - back[1]).max() > 1e-3


def test_bfloat16_between_layers():
    _, apply, params, state = build(dtype=jnp.float32, compute_dtype=jnp.bfloat16)
    output = jax.jit(lambda p, x: apply(p, state, x, record=True)[0])(params, spikes(5, jnp.float32))
    assert output.spikes["fc1"].dtype == output.carry["fc1"].sent.dtype == jnp.bfloat16
    assert output.carry["fc1"].state.potential.dtype == jnp.float32


def test_maps_with_a_recurrent_convolution_and_its_membranes(x64):
    """Any synapses that give the layer's shape back; the membranes are computed again from recorded spikes."""
    rngs, kind = nnx.Rngs(0), neurons.lif(0.8)
    options = {"rngs": rngs, "param_dtype": jnp.float64, "init_scale": 8.0}
    layers = [
        Layer(
            "conv1",
            {"conv1": ("input", Conv(1, 2, 3, **options)), "conv1/back": ("conv1", Conv(2, 2, 1, **options))},
            NeuronLayer(kind.hidden, dtype=jnp.float64),
        ),
        Layer("fc1", {"fc1": ("conv1", Dense(32, 3, **options))}, NeuronLayer(kind.readout, dtype=jnp.float64)),
    ]
    model = models.Network(layers, input_shape=(4, 4, 1), param_dtype=jnp.float64)
    apply, params, state = models.functionalize(model)
    x = jax.random.uniform(jax.random.key(3), (6, 2, 4, 4, 1), jnp.float64)
    output = jax.jit(lambda p: apply(p, state, x, record=True)[0])(params)
    found = jax.jit(models.membranes(model))(params, state, output.spikes)["conv1"]
    np.testing.assert_array_equal(found.potentials > found.threshold, output.spikes["conv1"] > 0)
    assert 0.1 < output.spikes["conv1"].mean() < 0.9
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(apply(p, state, x)[0].logits ** 2)))(params)
    assert np.abs(gradient["conv1"]["back"]["kernel"]).max() > 0


def test_a_norm_is_of_the_currents_from_elsewhere_and_folds(x64):
    """As in sparch: recurrent currents are added behind the norm."""
    model, apply, params, state = build(norm="bn")
    state["fc1"]["norm"]["mean"] = jnp.linspace(-0.5, 0.5, 5)
    state["fc1"]["norm"]["var"] = jnp.linspace(0.3, 2.0, 5)
    x = spikes()
    folded, *weights = models.fold(model, params, state)
    jitted = jax.jit(lambda a, p, s, x: a(p, s, x, record=True)[0], static_argnums=0)
    found, expected = jitted(models.functionalize(folded)[0], *weights, x), jitted(apply, params, state, x)
    np.testing.assert_allclose(found.potentials, expected.potentials, rtol=1e-10, atol=1e-12)
    assert 0.05 < expected.spikes["fc1"].mean() < 0.95
    np.testing.assert_array_equal(weights[0]["fc1"]["recurrent"]["kernel"], params["fc1"]["recurrent"]["kernel"])


def test_rematerialised_cells_keep_less(x64):
    """An Izhikevich neuron has inner values that its backward pass needs."""
    run, sizes, found = jax.jit(jax.grad(lambda p, a, s, x: objective(a, p, s, x)[0]), static_argnums=1), [], []
    for remat in (False, True):
        _, apply, params, state = build(neurons.of_cell(izhikevich.CELL, remat=remat), hidden=(5,))
        pull = jax.eval_shape(lambda p: jax.vjp(lambda p: objective(apply, p, state, spikes())[0], p)[1], params)  # noqa: B023
        sizes.append(sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(pull)))
        found.append(run(params, apply, state, spikes()))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13), *found)
    assert sizes[1] < sizes[0] - 7 * 2 * 5 * 8


@pytest.mark.parametrize(("connect", "reached"), [("all", 5), ("others", 4)])
def test_operations_are_counted(connect, reached):
    model, apply, params, state = build(recurrent=connect, dtype=jnp.float32)
    connections = {c.name: c for c in models.connections(model)}
    assert list(connections) == ["fc1", "fc1/recurrent", "fc2", "fc2/recurrent", "fc3"]
    back = connections["fc1/recurrent"]
    assert (back.source, back.target, back.kind) == ("fc1", "fc1", "dense")
    np.testing.assert_array_equal(fan_out(back), np.full(5, reached))
    output = jax.jit(lambda p, x: apply(p, state, x, record=True)[0])(params, spikes(5, jnp.float32))
    trains = jax.device_get(output.spikes)
    operations = synaptic_operations(trains, models.connections(model), params)
    np.testing.assert_array_equal(operations["fc1/recurrent"], reached * trains["fc1"].sum((0, 2)))


def test_orthogonal_weights():
    kernel = np.asarray(Recurrent(6, rngs=nnx.Rngs(0), gain=2.0).kernel[...])
    np.testing.assert_allclose(kernel @ kernel.T, 4 * np.eye(6), atol=1e-5)


@pytest.mark.parametrize(("recurrent", "weights"), [("", 249_856), ("all", 380_928)])
def test_weights_of_an_mlp_for_spoken_digits(recurrent, weights):
    net = models.create("mlp", input_shape=(700,), num_classes=20, recurrent=recurrent, rngs=nnx.Rngs(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param))) == weights


def test_bad_input_is_refused():
    for kind in (neurons.spikebp(), neurons.relu()):
        _, apply, params, state = build(kind, dtype=jnp.float32)
        with pytest.raises(ValueError, match="these neurons cannot be recurrent"):
            apply(params, state, spikes(3, jnp.float32))
    with pytest.raises(ValueError, match="recurrent must be empty or one of all, others, got 'self'"):
        build(recurrent="self")
    with pytest.raises(ValueError, match="recurrent synapses connect 'all' or 'others', got 'self'"):
        Recurrent(3, rngs=nnx.Rngs(0), connect="self")
    with pytest.raises(ValueError, match=r"an mlp needs hidden widths of 1 at least, got \(\)"):
        build(hidden=())
    rngs, kind = nnx.Rngs(0), NeuronLayer(neurons.lif().hidden)
    own = ("input", Dense(6, 5, rngs=rngs))
    for synapses, given, message in (
        ({"fc1": own, "back": ("fc1", Dense(5, 4, rngs=rngs))}, kind, r"back sends \[4\] back to fc1, which has \[5\]"),
        ({"fc1": own, "back": ("fc1", Recurrent(4, rngs=rngs))}, kind, r"back has weights for 4 neurons, but fc1 has"),
        ({"fc1": own, "back": ("fc1", Recurrent(5, rngs=rngs))}, None, "recurrent synapses need neurons"),
        ({"fc1": ("fc1", Recurrent(5, rngs=rngs))}, kind, "fc1 has no synapses from elsewhere"),
    ):
        with pytest.raises(ValueError, match=message):
            models.Network([Layer("fc1", synapses, given)], input_shape=(6,))
