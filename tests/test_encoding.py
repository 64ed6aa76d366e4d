import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import encoding


def test_poisson_mean_variance_and_sign():
    x = jnp.asarray([[0.0, 0.2, -0.5, 1.0, -1.0]])
    spikes = np.asarray(encoding.poisson(jax.random.key(0), x, 4000))
    assert set(np.unique(spikes)) <= {-1, 0, 1}
    rate = np.abs(x[0])
    bound = 5 * np.sqrt(rate * (1 - rate) / 4000) + 1e-6
    assert (np.abs(spikes.mean(0)[0] - x[0]) <= bound).all()
    np.testing.assert_allclose(np.abs(spikes).var(0)[0], rate * (1 - rate), atol=0.02)
    lag = np.corrcoef(spikes[:-1, 0, 1], spikes[1:, 0, 1])[0, 1]
    assert abs(lag) < 5 / np.sqrt(4000)  # fresh numbers at every step


def test_poisson_gain():
    x = jnp.full((1, 1000), 0.8)
    assert abs(encoding.poisson(jax.random.key(1), x, 50, gain=0.5).mean() - 0.4) < 0.02


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_narrow_images_fire_at_the_right_rate(dtype):
    """Uniforms in the dtype of the images would be too coarse: 0.001 fired at 0.0078."""
    for rate in (0.001, 0.01, 0.1):
        x = jnp.full((1, 100_000), rate, dtype)
        spikes = encoding.poisson(jax.random.key(0), x, 4, gain=jnp.float32(1))
        assert spikes.dtype == dtype
        expected = float(x[0, 0])
        assert abs(float(spikes.astype(jnp.float32).mean()) - expected) < 5 * np.sqrt(expected / 400_000)


def test_narrow_gains_do_not_round_the_rate():
    x = jnp.full((1, 100_000), 0.5, jnp.bfloat16)
    rate = float(encoding.poisson(jax.random.key(0), x, 8, gain=0.0101).astype(jnp.float32).mean())
    assert abs(rate - 0.00505) < 5 * np.sqrt(0.005 / 800_000)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_latencies_are_exact(dtype):
    """257 is no bfloat16, and of 1,000 steps the products were 5 steps off."""
    x = jnp.arange(2, 129, dtype=jnp.float32)[None] / 128  # exact in either dtype
    times = np.asarray(encoding.latency(x.astype(dtype), 1001))[:, 0].argmax(0)
    np.testing.assert_array_equal(times, np.rint((1 - np.asarray(x[0])) * 1000))


SAMPLES = jax.random.uniform(jax.random.key(5), (2, 4, 3), minval=-1)  # of event data: two recordings of four frames


OPTIONS = {"delta_threshold": 0.3, "receptive_fields": 4}
PERIODS = {"latency": 5, "population": 5, "phase": 8, "events": 4, "delta": 4}


@pytest.mark.parametrize("name", encoding.ENCODINGS)
def test_a_train_in_pieces_is_the_same_train(name):
    """Any piece of any encoding, shorter or longer than T = 5; a train of a given length begins again."""
    record, key = encoding.ENCODINGS[name], jax.random.key(3)

    def piece(start, steps):
        return record.encode(key, SAMPLES, start, steps, total=5, gain=0.7, **OPTIONS)

    run = jax.jit(piece, static_argnums=1)
    whole = np.asarray(run(0, 18))
    for steps in (1, 7):
        for start in range(12):
            np.testing.assert_array_equal(run(start, steps), whole[start : start + steps])
    assert record.spikes is None or record.spikes == bool(np.isin(whole, [-1, 0, 1]).all())
    *shape, last = (18, *SAMPLES.shape[:1], *SAMPLES.shape[1 + record.frames :])
    assert whole.shape == (*shape, last * (OPTIONS["receptive_fields"] if record.expands else 1))
    assert record.constant == bool((whole == whole[:1]).all())
    period = PERIODS.get(name)
    if period:
        np.testing.assert_array_equal(whole[period : 2 * period], whole[:period])


def test_frames_of_events_are_fed_as_they_are():
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 4), dtype=np.uint8)
    x = encoding.events(jnp.asarray(frames))
    assert x.dtype == jnp.float32
    np.testing.assert_array_equal(x, frames.swapaxes(0, 1))
    with pytest.raises(ValueError, match=r"event data needs frames \[B, T, ...\], got \(2,\)"):
        encoding.events(jnp.zeros(2))


def test_direct_repeats():
    x = jax.random.normal(jax.random.key(0), (2, 3))
    np.testing.assert_array_equal(encoding.direct(x, 4), np.stack([x] * 4))


def test_latency_is_one_spike_the_brighter_the_earlier():
    spikes = np.asarray(encoding.latency(jnp.asarray([[1.0, 0.5, -0.25, 0.0, 3.0]]), 5))[:, 0]
    np.testing.assert_array_equal(np.abs(spikes).sum(0), [1, 1, 1, 0, 1])
    np.testing.assert_array_equal(np.abs(spikes)[:, [0, 1, 2, 4]].argmax(0), [0, 2, 3, 0])
    assert spikes[3, 2] == -1


@pytest.mark.parametrize(
    "encode",
    [lambda x, t: encoding.poisson(jax.random.key(0), x, t), encoding.direct, encoding.latency, encoding.phase],
)
def test_bad_input(encode):
    with pytest.raises(ValueError, match="time steps T must be an integer >= 1, got 0"):
        encode(jnp.ones((1, 2)), 0)
    with pytest.raises(TypeError, match=r"got dtype uint8; for uint8 images: images.astype\('float32'\) / 255"):
        encode(jnp.ones((1, 2), jnp.uint8), 3)
    with pytest.raises(TypeError, match=r"key must be a random key, as jax.random.key\(0\), got int 0"):
        encoding.poisson(0, jnp.ones((1, 2)), 3)


def test_a_period_of_phases_adds_up_to_the_intensity():
    """192, 1 and 255 of 256, as in the paper's table; more than that is cut."""
    x = jnp.asarray([[192 / 256, 1 / 256, 255 / 256, 1.5, -0.5]])
    spikes = np.asarray(encoding.phase(x, 8, weighted=False))[:, 0].T
    assert ["".join(str(int(abs(bit))) for bit in row) for row in spikes] == [
        *("11000000", "00000001", "11111111", "11111111", "10000000")
    ]
    weighted = np.asarray(encoding.phase(x, 16, start=8))
    np.testing.assert_array_equal(weighted.sum(0)[0] / 2, [192 / 256, 1 / 256, 255 / 256, 255 / 256, -0.5])
    coarse = encoding.phase(jax.random.uniform(jax.random.key(0), (1, 50)), 3, phases=3).sum(0)
    np.testing.assert_array_equal(coarse * 8, jnp.floor(8 * jax.random.uniform(jax.random.key(0), (1, 50))))
    with pytest.raises(ValueError, match="phases must be a number of bits from 1 to 24, got 0"):
        encoding.phase(x, 3, phases=0)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_changes_spike(dtype):
    frames = jnp.asarray(np.asarray([[[0, 4], [1, 4], [3, 0], [1, 1]]], dtype))
    spikes = encoding.delta(frames, threshold=2)
    assert spikes[:, 0].tolist() == [[0, 1], [0, 0], [1, -1], [-1, 0]]
    assert spikes.dtype == jnp.float32
    np.testing.assert_array_equal(encoding.delta(frames[..., 1], threshold=2), spikes[..., 1])  # one number per step
    with pytest.raises(ValueError, match=r"changes are those of frames \[B, T, ...\], got \(2,\)"):
        encoding.delta(jnp.zeros(2))


def test_receptive_fields_cover_the_range(x64):
    """Centres and width of the paper, for n = 5 on [0, 1]; the nearest neuron is the most active, and the first."""
    x = jnp.asarray([[0.0, 0.5]])
    centres, width = np.asarray([-1 / 6, 1 / 6, 1 / 2, 5 / 6, 7 / 6]), 1 / 4.5
    expected = np.exp(-((np.asarray(x)[..., None] - centres) ** 2) / (2 * width**2)).reshape(1, 10)
    np.testing.assert_allclose(encoding.receptive_fields(x, 5), expected, rtol=1e-12)
    spikes = np.asarray(encoding.population(x, 20, receptive_fields=5))[:, 0].reshape(20, 2, 5)
    times = np.where(spikes.any(0), spikes.argmax(0), 99)
    assert times[1].argmin() == 2
    assert times[1, 2] == 0
    assert times[0, 4] == 99  # too far to fire
    with pytest.raises(ValueError, match="needs 3 neurons at least, and low < high, got 2"):
        encoding.receptive_fields(x, 2)
