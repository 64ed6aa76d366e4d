"""The streamed pass against NumPy on whole recorded trains; memory that does not grow with T; what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import analysis, encoding, models, streaming
from jaxsnn.analysis import statistics
from jaxsnn.keys import fold_in
from tests.analysis import hand
from tests.analysis.brute import spike_by_spike

SAMPLES, STEPS, CHUNK, BATCH = 5, 7, 3, 2
LABELS = np.array([0, 2, 2, 0, 2])


def encode(key, images, start, steps):
    return encoding.poisson(key, images, steps, start=start)


def network():
    model = models.resnet(
        ((3, 2),), stem=2, hidden=(), input_shape=(6, 7, 2), num_classes=3, init_gain=4.0, rngs=nnx.Rngs(3)
    )
    return models.connections(model), *models.functionalize(model)


def images(samples=SAMPLES):
    return jax.random.uniform(jax.random.key(1), (samples, 6, 7, 2), minval=-1)


@pytest.fixture(scope="module")
def streamed():
    """Three batches of which the last is not full, three pieces of time of which the last is shorter."""
    connections, apply, params, state = network()
    observe = analysis.make_profile(apply, encode, connections, steps=STEPS, chunk=CHUNK, batch_size=BATCH)
    return observe(params, state, jax.random.key(2), images(), jnp.asarray(LABELS))


@pytest.fixture(scope="module")
def recorded():
    """The same trains and potentials `[T, N, ...]` from whole passes over whole batches."""
    _, apply, params, state = network()
    run = jax.jit(lambda x: apply(params, state, x, record=True)[0])
    found = []
    for begin in range(0, SAMPLES, BATCH):
        index = np.minimum(begin + np.arange(BATCH), SAMPLES - 1)
        x = encode(fold_in(jax.random.key(2), index), images()[index], 0, STEPS)
        output = run(x)
        kept = min(BATCH, SAMPLES - begin)
        part = {name: np.asarray(train)[:, :kept] for name, train in output.spikes.items()}
        found.append(part | {"potentials": np.asarray(output.potentials)[:, :kept]})
    return {name: np.concatenate([part[name] for part in found], 1) for name in found[0]}


def test_counts_and_operations(streamed, recorded):
    assert list(streamed.layers) == ["input", "conv1", "pool1", "block1/conv1", "block1/conv2"]
    for name, layer in streamed.layers.items():
        train = recorded[name] != 0
        assert train.any(), name
        np.testing.assert_array_equal(layer.counts, train.sum((0, 1)), err_msg=name)
        np.testing.assert_array_equal(layer.spikes, train.reshape(STEPS, SAMPLES, -1).sum((0, 2)), err_msg=name)
        assert layer.neurons == train[0, 0].size
        assert layer.rate == pytest.approx(train.mean())
        assert layer.silent == (~train.any((0, 1))).mean()
        assert layer.saturated == train.all((0, 1)).mean()
        silent = (~train.any(0)).reshape(SAMPLES, -1).mean(1)
        np.testing.assert_allclose(layer.silent_per_sample, silent, rtol=1e-6)
        assert not layer.analog
    for connection in streamed.connections:
        expected = spike_by_spike(recorded[connection.source], connection)
        np.testing.assert_array_equal(streamed.operations[connection.name], expected, err_msg=connection.name)
        assert streamed.operations[connection.name].dtype == np.int64
    by_class = streamed.spikes_by_class()
    assert by_class["conv1"][0] == pytest.approx(streamed.layers["conv1"].spikes[[0, 3]].mean())
    assert by_class["conv1"][2] == pytest.approx(streamed.layers["conv1"].spikes[[1, 2, 4]].mean())
    assert np.isnan(by_class["conv1"][1])
    assert by_class["conv1"].shape == (3,)


def test_intervals_and_synchrony(streamed, recorded):
    for name, layer in streamed.layers.items():
        train = (recorded[name] != 0).reshape(STEPS, SAMPLES, -1).astype(float)
        found = [np.diff(np.flatnonzero(train[:, s, n])) for s in range(SAMPLES) for n in range(train.shape[2])]
        lengths = np.concatenate(found)
        edges = np.array(layer.interval_bins)
        assert edges[-1] >= STEPS
        expected = np.bincount(np.searchsorted(edges, lengths), minlength=len(edges))
        np.testing.assert_array_equal(layer.intervals.reshape(len(edges), -1).sum(1), expected, err_msg=name)
        assert layer.interval_mean == pytest.approx(lengths.mean()), name
        chi = [train[:, s].mean(1).var() / train[:, s].var(0).mean() for s in range(SAMPLES)]
        np.testing.assert_allclose(layer.synchrony, chi, rtol=1e-4, err_msg=name)
        variation, weights = [], []
        for neuron in range(train.shape[2]):
            own = np.concatenate([found[s * train.shape[2] + neuron] for s in range(SAMPLES)])
            if own.size:
                variation.append(own.std() / own.mean())
                weights.append(own.size)
        assert layer.interval_variation == pytest.approx(np.average(variation, weights=weights), abs=1e-3), name


def test_answers(streamed, recorded):
    expected = analysis.answers(recorded["potentials"], LABELS)
    np.testing.assert_array_equal(streamed.answers.correct, expected.correct)
    np.testing.assert_allclose(streamed.answers.margin, expected.margin, rtol=1e-4, atol=1e-5)
    predictions = recorded["potentials"][-1].argmax(-1)
    np.testing.assert_array_equal(streamed.predictions, predictions)
    np.testing.assert_array_equal(streamed.accuracy, expected.accuracy)
    assert len(set(expected.accuracy)) > 1
    assert [streamed.confusion[a, b] for a, b in zip(LABELS, predictions, strict=True)] == [
        sum((a == LABELS) & (predictions == b)) for a, b in zip(LABELS, predictions, strict=True)
    ]
    assert streamed.confusion.sum() == SAMPLES
    assert np.isnan(streamed.accuracy_per_class).tolist() == [False, True, False]


@pytest.mark.parametrize("loop", ["profile", "stream"])
def test_the_mean_over_steps_answers_in_chunks_as_in_one(loop):
    """Every pass over a set asks the evidence that the network's readout gathers, handed on from chunk to chunk."""
    options = {"input_shape": (6,), "num_classes": 3, "init_scale": 6.0, "rngs": nnx.Rngs(0)}
    model, last = (models.Builder(readout=readout, **options).finish() for readout in ("mean", "last"))
    apply, params, state = models.functionalize(model)

    def frames(key, x, start, steps):
        return encoding.events(x, steps, start=start)

    samples = jax.random.normal(jax.random.key(0), (SAMPLES, STEPS, 6))
    labels, key = jnp.asarray(LABELS), jax.random.key(2)
    whole = apply(params, state, jnp.moveaxis(samples, 1, 0))[0]
    expected = analysis.answers(whole.answers, LABELS)
    np.testing.assert_allclose(whole.answers, np.cumsum(whole.potentials, 0), rtol=1e-5)
    np.testing.assert_allclose(whole.logits, np.mean(whole.potentials, 0), rtol=1e-4, atol=1e-6)
    other = models.functionalize(last)[0](params, state, jnp.moveaxis(samples, 1, 0))[0]
    assert (analysis.answers(other.answers, LABELS).correct != expected.correct).any()
    links, sizes = models.connections(model), {"steps": STEPS, "chunk": CHUNK, "batch_size": BATCH}
    if loop == "profile":
        found = analysis.make_profile(apply, frames, links, **sizes)(params, state, key, samples, labels)
        np.testing.assert_array_equal(found.answers.correct, expected.correct)
        np.testing.assert_allclose(found.answers.margin, expected.margin, rtol=1e-4, atol=1e-5)
    else:
        found = streaming.stream(apply, params, state, frames, samples, labels, key=key, **sizes)
    np.testing.assert_allclose(found.accuracy, expected.accuracy)


@pytest.mark.parametrize("classes", [1, 3])
def test_a_single_class_and_classes_that_never_occur(classes):
    """The readout says how many classes there are. With one there is no second potential to compare with."""

    def apply(params, state, x, *, carry=None, train=False, record=True):
        return hand.Output(x[..., :classes], {"input": x}, {}), state

    def repeated(key, x, start, steps):
        return jnp.stack([x] * steps)

    run = analysis.make_profile(models.Apply(apply), repeated, (), steps=2, chunk=2, batch_size=2)
    found = run({}, {}, jax.random.key(0), jnp.ones((4, 3)), jnp.zeros(4, int))
    assert np.isinf(found.answers.margin).all() == (classes == 1)
    never = [np.nan] * (classes - 1)
    np.testing.assert_array_equal(found.confusion[0], [4] + [0] * (classes - 1))
    np.testing.assert_array_equal(found.accuracy_per_class, [1, *never])
    np.testing.assert_array_equal(found.spikes_by_class()["input"], [6, *never])
    assert found.accuracy.tolist() == [1, 1]


def test_labels_outside_the_classes_are_refused():
    connections, apply, params, state = network()
    observe = analysis.make_profile(apply, encode, connections, steps=2, chunk=2, batch_size=2)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), .* got 1 to 3; .* class numbers start at 0"):
        observe(params, state, jax.random.key(0), images(2), jnp.asarray([1, 3]))


@jax.jit
def run_statistics(train):
    bins = statistics.interval_bins(len(train))
    inside = jnp.ones(train.shape[1], bool)

    def step(so_far, at):
        return statistics.update(so_far, at[1], at[0], inside, bins), None

    so_far, _ = jax.lax.scan(step, statistics.at_rest(train.shape[1:], len(bins)), (jnp.arange(len(train)), train))
    return statistics.summarise(so_far, len(train))


def firing(train):
    """Of one train `[T, B, neurons]`."""
    counts = jax.device_get(run_statistics(jnp.asarray(train, jnp.float32)))
    return analysis.Firing.of(counts, np.ones(train.shape[1], bool), len(train))


def test_synchrony_at_its_limits():
    """All alike: 1; independent: about 1 / neurons; nothing varies: nan. A clock's intervals do not vary."""
    generator = np.random.default_rng(0)
    one = generator.random((2000, 1, 1)) < 0.2
    assert firing(np.broadcast_to(one, (2000, 1, 50))).synchrony == pytest.approx([1.0], rel=1e-4)
    noise = firing(generator.random((2000, 1, 50)) < 0.2)
    assert noise.synchrony[0] == pytest.approx(1 / 50, rel=0.2)
    assert noise.interval_variation == pytest.approx(np.sqrt(0.8), rel=0.02)  # geometric intervals
    clock = firing(np.broadcast_to(np.arange(2000)[:, None, None] % 5 == 0, (2000, 1, 50)))
    assert clock.interval_variation == pytest.approx(0, abs=1e-6)
    assert clock.interval_mean == 5
    silent = firing(np.zeros((2000, 1, 50)))
    assert np.isnan(silent.synchrony).all()
    assert np.isnan(silent.interval_mean)
    assert np.isnan(silent.interval_variation)
    assert silent.silent == 1


def test_sums_beyond_float32_and_int32_are_exact():
    """30,000 neurons, up to 2,500 spikes each with a fan-out of up to 4,608: sums of 10^11, to the last unit."""
    generator = np.random.default_rng(0)
    counts, weights = generator.integers(0, 2501, (2, 30_000)), generator.integers(0, 4609, 30_000)
    high, low = statistics.weighted_count(jnp.asarray(counts, jnp.int32), jnp.asarray(weights, jnp.int32))
    exact = [sum(int(c) * int(w) for c, w in zip(row, weights, strict=True)) for row in counts]
    assert max(exact) > 2**36
    assert [int(h) * 2**12 + int(k) for h, k in zip(high, low, strict=True)] == exact
    assert statistics.largest_sum((30_000,), 4608, 2500) < 2**31


def test_memory_does_not_grow_with_time():
    """2,500 steps in pieces of 50: at no piece do more bytes live on the device than at the second."""
    model = models.vgg(((2,),), (), input_shape=(6, 7, 2), num_classes=3, init_gain=4.0, rngs=nnx.Rngs(0))
    apply, params, state = models.functionalize(model)
    alive = []

    def spying(key, images, start, steps):
        x = encode(key, images, start, steps)
        jax.debug.callback(lambda _: alive.append(sum(a.nbytes for a in jax.live_arrays())), x[0, 0, 0, 0, 0])
        return x

    observe = analysis.make_profile(apply, spying, models.connections(model), steps=2500, chunk=50, batch_size=1)
    found = observe(params, state, jax.random.key(2), images(1), jnp.asarray(LABELS[:1]))
    assert found.answers.correct.shape == (2500, 1)
    assert found.layers["conv1"].counts.sum() > 2500
    assert len(alive) == 50
    assert max(alive[2:]) <= max(alive[:2])


def test_what_is_refused():
    connections, apply, params, state = network()
    observe = analysis.make_profile(apply, encode, connections, steps=3, chunk=3, batch_size=2)
    with pytest.raises(ValueError, match="cannot run a network on an empty set: no samples came"):
        observe(params, state, jax.random.key(0), images(0), jnp.zeros(0, int))
    for labels, message in (([-1, 0], "labels must lie in"), ([0, 99], "e.g. 99"), ([0], "2 samples and 1 labels")):
        with pytest.raises(ValueError, match=message):
            observe(params, state, jax.random.key(0), images(2), jnp.asarray(labels))
    with pytest.raises(ValueError, match=r"counts of conv1 might exceed int32 with \(6, 7, 2\) input neurons, T"):
        analysis.make_profile(apply, encode, connections, steps=100_000_000, chunk=5, batch_size=1)
    with pytest.raises(ValueError, match="chunk must be an integer >= 1, got 0"):
        analysis.make_profile(apply, encode, connections, steps=3, chunk=0, batch_size=1)
