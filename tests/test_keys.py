"""What a sample draws is its own: it differs from other samples' and does not depend on the batch."""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxsnn import analysis, encoding, models, neurons, parallel, streaming, training
from jaxsnn.data import augmentation
from jaxsnn.data.prepare import shift_and_flip
from jaxsnn.keys import draw, fold_in
from jaxsnn.lab import augmentations
from jaxsnn.layers import Dropout
from jaxsnn.training.state import EVALUATE, key_for

IMAGES = jnp.broadcast_to(jnp.linspace(0.2, 0.8, 63).reshape(1, 7, 9, 1), (6, 7, 9, 1))
DRAWS = {
    "poisson": lambda key, x: encoding.poisson(key, x, 3).swapaxes(0, 1),
    "shift and flip": lambda key, x: shift_and_flip(key, x, shift=3, flip=True),
    "cutout": lambda key, x: augmentation.cutout(fold_in(key, 1), augmentation.cutout(key, x, size=3), size=2),
    "random erasing": lambda key, x: augmentation.random_erasing(key, x, probability=1.0),
    "rotate and zoom": lambda key, x: augmentation.turn(key, x, rotate=30.0, zoom=0.5),
    "drop events": lambda key, x: augmentation.drop_events(key, x, probability=0.5),
    "time jitter": lambda key, x: augmentation.jitter_events(key, x, steps=1, binary=False),
    "fixed dropout": lambda key, x: Dropout(0.5)(x[None], key)[0],
    "fresh dropout": lambda key, x: Dropout(0.5, masks="fresh")(jnp.stack([x] * 3), key).swapaxes(0, 1),
}


@pytest.mark.parametrize("name", DRAWS)
def test_samples_draw_their_own_numbers(name):
    """Equal images, so that only the numbers differ; with a key for each, those do not depend on the batch."""
    random, keys = jax.jit(DRAWS[name]), jax.random.split(jax.random.key(3), 6)
    for key in (jax.random.key(0), keys):
        assert len({np.asarray(y).tobytes() for y in random(key, IMAGES)}) == 6
    np.testing.assert_array_equal(random(keys[2:5], IMAGES[2:5]), random(keys, IMAGES)[2:5])
    np.testing.assert_array_equal(random(keys[::-1], IMAGES), random(keys, IMAGES)[::-1])
    assert (random(jax.random.key(0), IMAGES) != random(jax.random.key(1), IMAGES)).any()


@pytest.mark.parametrize("name", ["poisson", "shift and flip"])
def test_keys_that_are_raw_or_too_few(name):
    random, raw = DRAWS[name], jax.random.PRNGKey(5)
    pair = IMAGES[:2]  # a raw key has two numbers
    np.testing.assert_array_equal(*(jax.jit(random)(key, pair) for key in (raw, jax.random.key(5))))
    with pytest.raises(ValueError, match=r"one random key, or one per sample \[6\], got keys of shape \(4,\)"):
        random(jax.random.split(jax.random.key(0), 4), IMAGES)
    with pytest.raises(TypeError, match="must be a random key, as jax.random.key.0., got int 0"):
        random(0, IMAGES)


def test_half_are_flipped_whatever_their_shift():
    x = jnp.broadcast_to(jnp.arange(1, 10).reshape(1, 3, 3, 1), (3000, 3, 3, 1))
    moved = np.asarray(jax.jit(partial(shift_and_flip, shift=1, flip=True))(jax.random.key(2), x))[..., 0]
    middle = np.argwhere(moved == 5)[:, 1:]
    flipped = moved[np.arange(3000), middle[:, 0], :]
    flipped = np.where(middle[:, 1] > 0, flipped[np.arange(3000), middle[:, 1] - 1], 10 - flipped[:, 1]) == 6
    assert len(middle) == 3000
    for offset in np.ndindex(3, 3):
        these = flipped[(middle == offset).all(1)]
        assert len(these) > 250
        assert abs(these.mean() - 0.5) < 5 * 0.5 / np.sqrt(len(these))


def test_every_augmentation_has_a_key_of_its_own(monkeypatch):
    noise = augmentations.Augmentation(
        lambda data: True,
        augmentations.of_samples(lambda data, key, x: x + draw(jax.random.uniform, key, x.shape)),
    )
    keys, found = fold_in(jax.random.key(0), np.arange(2)), []
    visit = training.Visit(jnp.zeros((2, 50)), jnp.zeros(2, int), keys, keys, jnp.int32(0))
    for names in (("first",), ("first", "second")):
        monkeypatch.setattr(augmentations, "AUGMENTATIONS", dict.fromkeys(names, noise))
        found.append(np.ravel(augmentations.augment(SimpleNamespace(), keys, visit, 3).samples))
    assert abs(np.corrcoef(found[0], found[1] - found[0])[0, 1]) < 0.5


STEPS, SAMPLES = 6, 7
LABELS = jnp.asarray([0, 1, 2, 1, 0, 2, 1])
X = 0.5 * jax.random.uniform(jax.random.key(1), (SAMPLES, 6)) + 0.2


@pytest.fixture(scope="module")
def passes():
    """Every pass over a set, as `(batch size, number of the set) -> accuracy at every step`."""
    options = {"input_shape": (6,), "num_classes": 3, "neurons": neurons.spikebp(leak=0.3)}
    model = models.Builder(init_scale=6.0, rngs=nnx.Rngs(0), **options).finish()
    apply, params, model_state = models.functionalize(model)
    state = training.init_state(params, model_state, optax.sgd(0.1), 4)

    def encode(keys, x, start, steps):
        return encoding.poisson(keys, x, steps, start=start)

    prepare, options = partial(encoding.poisson, steps=STEPS), {"steps": STEPS, "chunk": 3}

    def make_count_batch(size):
        return lambda _: parallel.Member(None, training.make_count_batch(apply, prepare, size))

    def evaluate(size, number):
        return training.make_evaluate(apply, prepare, size)(state, X, LABELS, number).accuracy

    def population(size, number):
        members = parallel.create_population([{}], [state])
        return parallel.make_population_evaluate(make_count_batch(size), size)(members, X, LABELS, number)[0]

    def profile(size, number):
        run = analysis.make_profile(apply, encode, models.connections(model), batch_size=size, **options)
        return run(params, model_state, key_for(4, EVALUATE, number), X, LABELS).accuracy

    def stream(size, number):
        key = key_for(4, EVALUATE, number)
        return streaming.stream(
            apply, params, model_state, encode, X, LABELS, key=key, batch_size=size, **options
        ).accuracy

    return [evaluate, population, profile, stream]


def test_every_pass_shows_a_sample_the_same_spikes_whatever_the_batch(passes):
    expected = [passes[0](SAMPLES, number) for number in (0, 1)]
    assert (expected[0] != expected[1]).any()  # another set, other numbers
    assert len(set(expected[1])) > 2  # answers that differ from step to step
    for run in passes:
        np.testing.assert_allclose(run(3, 1), expected[1], rtol=1e-6, err_msg=run.__name__)
