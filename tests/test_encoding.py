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


def test_poisson_in_pieces_is_the_same_train():
    x, key = jnp.full((2, 9), 0.5), jax.random.key(3)
    first, second = encoding.poisson(key, x, 4), encoding.poisson(key, x, 3, start=4)
    np.testing.assert_array_equal(encoding.poisson(key, x, 7), jnp.concatenate([first, second]))


def test_direct_repeats():
    x = jax.random.normal(jax.random.key(0), (2, 3))
    np.testing.assert_array_equal(encoding.direct(x, 4), np.stack([x] * 4))


def test_latency_is_one_spike_the_brighter_the_earlier():
    spikes = np.asarray(encoding.latency(jnp.asarray([[1.0, 0.5, -0.25, 0.0, 3.0]]), 5))[:, 0]
    np.testing.assert_array_equal(np.abs(spikes).sum(0), [1, 1, 1, 0, 1])
    np.testing.assert_array_equal(np.abs(spikes)[:, [0, 1, 2, 4]].argmax(0), [0, 2, 3, 0])
    assert spikes[3, 2] == -1


@pytest.mark.parametrize(
    "encode", [lambda x, t: encoding.poisson(jax.random.key(0), x, t), encoding.direct, encoding.latency]
)
def test_bad_input(encode):
    with pytest.raises(ValueError, match="time steps T must be an integer >= 1, got 0"):
        encode(jnp.ones((1, 2)), 0)
    with pytest.raises(TypeError, match=r"got dtype uint8; for uint8 images: images.astype\('float32'\) / 255"):
        encode(jnp.ones((1, 2), jnp.uint8), 3)
