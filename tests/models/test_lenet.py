"""LeNet through the public model API: golden numbers, the NumPy oracle, execution in pieces, bad input."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxsnn import encoding, losses, models, neurons, spikebp, surrogate
from tests.oracles.lenet import lenet as oracle

GOLDEN = Path(__file__).parents[1] / "golden" / "lenet_spikebp.npz"


def build(shape=(8, 8, 1), classes=3, kind=None, **options):
    kind = neurons.spikebp() if kind is None else kind
    model = models.create("lenet", input_shape=shape, num_classes=classes, neurons=kind, rngs=nnx.Rngs(0), **options)
    return models.functionalize(model)


def loss_and_output(apply, state, x, labels, params):
    output, _ = apply(params, state, x, train=True, key=jax.random.key(5))
    return losses.squared_error(output.logits, labels), output


def relative(actual, expected):
    return np.abs(np.asarray(actual) - expected).max() / np.abs(expected).max()


def spikes(shape, steps=9, batch=2, rate=0.5, dtype=jnp.float32, seed=0):
    images = rate * jax.random.uniform(jax.random.key(seed), (batch, *shape), dtype, -1, 1)
    return encoding.poisson(jax.random.key(seed + 1), images, steps, gain=2.0)


def test_golden_case(x64):
    """Logits, loss, every gradient, spike count, filtered output and derivative of the reference, to 1e-10 relative."""
    golden = np.load(GOLDEN)
    neuron = neurons.spikebp(float(golden["leak"]), float(golden["threshold"]), float(golden["pool_threshold"]))
    apply, params, state = build((28, 28, 1), 10, neuron, param_dtype=jnp.float64)

    def channels_last(name, value):
        """The reference is channels first: `[out, in, h, w]`, `[out, in]`, and dense inputs flattened as (c, h, w)."""
        if name.startswith("conv"):
            return value.transpose(2, 3, 1, 0)
        return value.reshape(200, 50, 7, 7).transpose(2, 3, 1, 0).reshape(2450, 200) if name == "fc1" else value.T

    params = {
        name: {"kernel": jnp.asarray(channels_last(name, golden[f"weight_{name}"]), jnp.float64)} for name in params
    }
    x = jnp.asarray(golden["spikes"].transpose(0, 1, 3, 4, 2), jnp.float64)
    run = partial(loss_and_output, apply, state, x, jnp.asarray(golden["labels"]))
    (loss, output), gradients = jax.jit(jax.value_and_grad(run, has_aux=True))(params)

    assert relative(loss, golden["loss"]) < 1e-10
    assert relative(output.logits, golden["output"]) < 1e-10
    for name in params:
        assert relative(gradients[name]["kernel"], channels_last(name, golden[f"grad_{name}"])) < 1e-10, name
    for name in ("conv1", "conv2", "fc1"):
        carry = output.carry[name]
        axes = (0, 2, 3, 1) if name.startswith("conv") else (0, 1)
        count = golden[f"spike_count_{name}"].transpose(axes)
        np.testing.assert_array_equal(carry.spike_count, count)
        np.testing.assert_array_equal(output.spike_counts[name], count.sum(tuple(range(1, count.ndim))))
        assert relative(carry.filtered, golden[f"filtered_{name}"].transpose(axes)) < 1e-10
        derivative = spikebp.derivative(neuron.hidden.params, carry)
        assert relative(derivative, golden[f"derivative_{name}"].transpose(axes)) < 1e-10


@pytest.mark.parametrize(
    ("shape", "leak", "threshold", "pool_threshold"),
    [((8, 12, 1), 0.99, 1.0, 0.75), ((12, 8, 3), 0.8, 0.6, 0.3), ((4, 4, 2), 1.0, 1.7, 0.75)],
)
def test_oracle_agrees_on_random_small_nets(x64, shape, leak, threshold, pool_threshold):
    """Signed input, thresholds other than one, several leaks, non-square images."""
    apply, params, state = build(
        shape, 3, neurons.spikebp(leak, threshold, pool_threshold), param_dtype=jnp.float64, init_gain=15**0.5
    )
    x, labels = spikes(shape, dtype=jnp.float64, rate=1.0), jnp.asarray([2, 0])
    run = partial(loss_and_output, apply, state, x, labels)
    (loss, output), gradients = jax.jit(jax.value_and_grad(run, has_aux=True))(params)
    expected = oracle(
        {name: np.asarray(p["kernel"]) for name, p in params.items()},
        np.asarray(x),
        np.asarray(labels),
        leak=leak,
        threshold=threshold,
        pool_threshold=pool_threshold,
    )
    assert float(jnp.sum(output.spike_counts["fc1"])) > 0
    assert relative(loss, expected.loss) < 1e-12
    assert relative(output.potentials, expected.potentials) < 1e-12
    for name, gradient in gradients.items():
        assert relative(gradient["kernel"], expected.gradients[name]) < 1e-12
        assert np.abs(expected.gradients[name]).max() > 0
    for name, count in expected.counts.items():
        np.testing.assert_array_equal(output.spike_counts[name], count.sum(tuple(range(1, count.ndim))))


@pytest.mark.parametrize(
    "neuron",
    [
        pytest.param(neurons.spikebp(0.9), id="spikebp"),
        pytest.param(neurons.lif(0.9, reset="soft", leak_first=True, remat=True), id="lif"),
    ],
)
@pytest.mark.thorough
def test_stepping_and_pieces_are_the_whole(x64, neuron):
    """Logits, spikes and gradients through the carry, with dropout: the mask stays."""
    apply, params, state = build(kind=neuron, param_dtype=jnp.float64, dropout=0.3, init_gain=3**0.5)
    x = spikes((8, 8, 1), steps=4, dtype=jnp.float64, rate=1.0)
    run = lambda params, x, carry: apply(params, state, x, train=True, key=jax.random.key(1), carry=carry)[0]  # noqa: E731

    def loss(params, chunk):
        output = run(params, x[:chunk], None)
        outputs = [output]
        for start in range(chunk, len(x), chunk):
            output = run(params, x[start : start + chunk], output.carry)
            outputs.append(output)
        counts = sum(o.spike_counts["fc1"] for o in outputs)
        potentials = jnp.concatenate([o.potentials for o in outputs])
        return losses.squared_error(output.logits, jnp.asarray([1, 0])), (counts, potentials)

    each = jax.jit(lambda params: [jax.value_and_grad(loss, has_aux=True)(params, chunk) for chunk in (4, 1, 2)])
    whole, *pieces = each(params)
    for found in pieces:
        np.testing.assert_allclose(found[0][0], whole[0][0], rtol=1e-12)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12), found, whole)
    assert any(np.abs(g["kernel"]).max() > 0 for g in whole[1].values())


@pytest.mark.parametrize(("shape", "count"), [((28, 28, 1), 517_500), ((16, 16, 1), 187_500), ((32, 32, 3), 668_500)])
def test_parameter_count(shape, count):
    _, params, _ = build(shape, 10)
    assert sum(p["kernel"].size for p in params.values()) == count


def test_initial_weights_have_the_papers_spread():
    _, params, _ = build((28, 28, 1), 10)
    for p in params.values():
        kernel = p["kernel"]
        assert abs(kernel.std() / np.sqrt(2 / np.prod(kernel.shape[:-1])) - 1) < 0.1


@pytest.mark.parametrize(
    "neuron", [neurons.spikebp(), neurons.lif(spike=partial(surrogate.arctan, slope=2.0))], ids=["spikebp", "arctan"]
)
def test_overfits_eight_samples(neuron):
    apply, params, state = build((8, 8, 1), 4, neuron, width=0.5)
    images = jax.random.uniform(jax.random.key(2), (8, 8, 8, 1))
    x, labels = encoding.direct(images, 12), jnp.arange(8) % 4
    value_and_grad = jax.value_and_grad(lambda params: loss_and_output(apply, state, x, labels, params), has_aux=True)
    optimizer = optax.adam(2e-3)
    optimizer_state = optimizer.init(params)

    @jax.jit
    def step(params, optimizer_state):
        (loss, output), gradients = value_and_grad(params)
        updates, optimizer_state = optimizer.update(gradients, optimizer_state)
        return optax.apply_updates(params, updates), optimizer_state, loss, output

    with jax.numpy_dtype_promotion("standard"):  # optax relies on it
        for _ in range(600):
            params, optimizer_state, loss, output = step(params, optimizer_state)
            if loss < 0.35:
                break
    assert loss < 0.4  # eight samples of loss 1 at the start
    np.testing.assert_array_equal(output.logits.argmax(-1), labels)


def test_samples_do_not_see_each_other():
    apply, params, state = build(init_gain=3**0.5)
    x = spikes((8, 8, 1), batch=3)
    run = jax.jit(lambda x: apply(params, state, x)[0])
    whole, turned = run(x), run(x[:, ::-1])
    np.testing.assert_allclose(turned.logits[::-1], whole.logits, rtol=1e-6)


def test_record_returns_all_trains():
    apply, params, state = build(init_gain=3**0.5)
    x = spikes((8, 8, 1))
    output = jax.jit(lambda x: apply(params, state, x, record=True)[0])(x)
    assert set(output.spikes) == {"input", "conv1", "pool1", "conv2", "pool2", "fc1"}
    for name, count in output.spike_counts.items():
        np.testing.assert_array_equal(output.spikes[name].sum((0, *range(2, output.spikes[name].ndim))), count)
    assert jax.eval_shape(lambda x: apply(params, state, x)[0], x).spikes is None


def test_learned_leak_and_threshold_are_parameters():
    apply, params, state = build(kind=neurons.lif(0.9, learn=("leak", "threshold")), init_gain=3**0.5)
    assert set(params["conv1"]["neurons"]) == {"leak_logit", "threshold_log"}
    assert "conv1" not in state
    assert set(params["fc2"]["neurons"]) == {"leak_logit"}  # the readout's threshold is the unit of the logits
    x = spikes((8, 8, 1), rate=1.0)
    gradient = jax.jit(jax.grad(lambda p: loss_and_output(apply, state, x, jnp.asarray([1, 0]), p)[0]))
    gradients = gradient(params)
    assert gradients["conv1"]["neurons"]["leak_logit"] != 0
    np.testing.assert_allclose(jax.nn.sigmoid(params["conv1"]["neurons"]["leak_logit"]), 0.9, rtol=1e-6)


def test_constants_can_be_swept():
    """Leak and threshold live in `state`: one compiled program maps over them."""
    apply, params, state = build(kind=neurons.spikebp(0.5), init_gain=3**0.5)
    x = spikes((8, 8, 1), rate=1.0)
    leaks = jnp.asarray([0.5, 0.99])
    many = jax.tree_util.tree_map_with_path(
        lambda path, v: leaks if path[-1].key == "leak" else jnp.stack([v, v]), state
    )
    run = lambda state: apply(params, state, x)[0].potentials  # noqa: E731
    swept, alone = jax.jit(lambda many, state: (jax.vmap(run)(many), run(state)))(many, state)
    np.testing.assert_allclose(swept[0], alone, rtol=1e-5, atol=1e-6)
    assert not np.allclose(swept[0], swept[1])


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (jnp.zeros((3, 8, 8, 1)), ValueError, r"time-major spikes \[T, B, 8, 8, 1\], got rank 4 .* encode samples"),
        (jnp.zeros((3, 2, 8, 8, 3)), ValueError, r"must be \[T, B, 8, 8, 1\], got \(3, 2, 8, 8, 3\)"),
        (jnp.zeros((3, 2, 1, 8, 8)), ValueError, r"channels last"),
        (jnp.zeros((0, 2, 8, 8, 1)), ValueError, "T must be an integer >= 1, got 0"),
        (
            jnp.zeros((3, 2, 8, 8, 1), jnp.uint8),
            TypeError,
            r"must be float32 .* got uint8; convert with x.astype\('float32'\)",
        ),
        (jnp.zeros((3, 2, 8, 8, 1), jnp.bfloat16), TypeError, r"must be float32 .* got bfloat16"),
    ],
)
def test_bad_input(x, error, message):
    apply, params, state = build()
    with pytest.raises(error, match=message):
        apply(params, state, x)


def test_bad_construction():
    with pytest.raises(
        ValueError, match="unknown model 'lenett': known are fast_cifar, lenet, .*; did you mean 'lenet'"
    ):
        models.create("lenett", input_shape=(8, 8, 1), num_classes=3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"pool2 would halve conv2 of shape .1, 4, 50.: input_shape=.3, 8, 1. is too"):
        build((3, 8, 1))
    with pytest.raises(ValueError, match=r"input_shape, as \(H, W, C\) or \(features,\), .* got \(8, 0\) and 3"):
        build((8, 0))
    with pytest.raises(ValueError, match=r"conv1 is a convolution and needs maps \[H, W, C\], but input has \[8, 8\]"):
        build((8, 8))
    for neuron in (neurons.spikebp, neurons.lif):
        with pytest.raises(ValueError, match=r"leak must lie in \(0, 1\], got 1.5"):
            neuron(leak=1.5)
        with pytest.raises(ValueError, match="threshold must be > 0, got 0"):
            neuron(pool_threshold=0)
    with pytest.raises(ValueError, match="learn names 'leak', .* can learn: none, since their rule has no gradient"):
        build(kind=neurons.spikebp()._replace(learn=("leak",)))
    with pytest.raises(ValueError, match="learn names 'tau', .* can learn: leak, threshold"):
        build(kind=neurons.lif(learn=("tau",)))
    for leak in (1.0, 0.99999999):  # the same number in float32
        with pytest.raises(ValueError, match=r"a learned leak must start inside \(0, 1\), got 1.0 as float32"):
            build(kind=neurons.lif(leak, learn=("leak",)))
    with pytest.raises(ValueError, match=r"dropout rate must lie in \[0, 1\), got 1"):
        build(dropout=1.0)
    apply, params, state = build(dropout=0.5)
    with pytest.raises(ValueError, match="training needs key="):
        apply(params, state, spikes((8, 8, 1)), train=True)
    with pytest.raises(ValueError, match=r"one key, or one per sample .*got keys of shape \(3,\)"):
        apply(params, state, spikes((8, 8, 1)), train=True, key=jax.random.split(jax.random.key(0), 3))
