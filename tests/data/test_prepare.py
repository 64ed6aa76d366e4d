import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn.data.prepare import normalise, shift_and_flip, to_device


def test_normalise():
    images = np.full((2, 3, 3, 2), 255, np.uint8)
    np.testing.assert_allclose(normalise(jnp.asarray(images)), 1)
    x = normalise(jnp.asarray(images), (0.5, 0.25), (0.5, 0.25))
    np.testing.assert_allclose(x[0, 0, 0], [1, 3])


def test_shift_and_flip_moves_whole_images():
    images = jnp.arange(1, 1 + 5 * 4).reshape(1, 5, 4, 1).repeat(64, 0).astype(jnp.uint8)
    moved = np.asarray(shift_and_flip(jax.random.key(0), images, shift=1, flip=True))[..., 0]
    padded = np.pad(np.asarray(images[0, ..., 0]), 1)
    possible = [padded[i : i + 5, j : j + 4][:, ::d] for i in range(3) for j in range(3) for d in (1, -1)]
    which = [next(k for k, p in enumerate(possible) if (p == image).all()) for image in moved]
    assert len(set(which)) > 12  # of 18 outcomes, all equally likely
    assert moved.dtype == np.uint8


def test_all_steps_of_a_recording_move_alike():
    frames = np.random.default_rng(0).integers(0, 2, (1, 3, 4, 5, 2)).astype(np.uint8)
    moved = np.asarray(shift_and_flip(jax.random.key(3), jnp.asarray(frames), shift=1, flip=True))
    steps = [
        np.asarray(shift_and_flip(jax.random.key(3), jnp.asarray(frames[:, t]), shift=1, flip=True)) for t in range(3)
    ]
    np.testing.assert_array_equal(moved, np.stack(steps, 1))
    assert (moved != frames).any()


def test_to_device_keeps_bytes():
    images, labels = to_device(np.zeros((3, 2, 2, 1), np.uint8), np.arange(3), num_classes=3)
    assert (images.dtype, labels.dtype) == (jnp.uint8, jnp.int32)


@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 4), (3, 2, 2, 1), (3, 5, 2, 2, 1)])
def test_samples_of_any_rank(shape):
    samples, _ = to_device(np.ones(shape, np.uint8), np.arange(3), num_classes=3)
    assert samples.shape == shape
    means = np.arange(shape[-1]) / 10
    x = normalise(samples, means, (0.5,))
    np.testing.assert_allclose(x, np.broadcast_to((1 / 255 - means) / 0.5, shape), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_samples_are_normalised_in_float32(dtype):
    x = normalise(jnp.full((1, 1), 0.5, dtype), (0.4995,), (3.0,))
    assert x.dtype == jnp.float32
    np.testing.assert_allclose(x, 0.0005 / 3, rtol=1e-3)


def test_a_flip_without_a_shift():
    images = jnp.arange(3).reshape(1, 1, 3, 1).repeat(40, 0)
    found = np.asarray(shift_and_flip(jax.random.key(0), images, shift=0, flip=True))[:, 0, :, 0]
    assert {tuple(row) for row in found.tolist()} == {(0, 1, 2), (2, 1, 0)}


def test_what_only_images_can_have_is_refused():
    for samples in (jnp.zeros((2, 10)), jnp.zeros((2, 3, 10))):
        with pytest.raises(
            ValueError, match=r"shift and flip: expected images \[B, H, W, C\] or frames .*samples of shape"
        ):
            shift_and_flip(jax.random.key(0), samples, shift=1, flip=False)
    with pytest.raises(ValueError, match=r"shift must lie in \[0, 3\) for images of 5x3, got 3"):
        shift_and_flip(jax.random.key(0), jnp.zeros((1, 5, 3, 1)), shift=3, flip=False)
    with pytest.raises(ValueError, match="mean needs one number, or one for each of the 3 channels, got 2"):
        normalise(jnp.zeros((1, 2, 2, 3)), (0.1, 0.2))
    with pytest.raises(TypeError, match="samples must be uint8 .* or floating, got uint16"):
        normalise(jnp.zeros((1, 2), jnp.uint16))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros(3), np.zeros(3, int), r"expected samples \[N, ...\] and labels \[N\], N >= 1, got \(3,\) and \(3,\)"),
        (np.zeros((3, 2)), np.zeros((3, 1), int), r"expected samples"),
        (np.zeros((3, 2, 2, 1)), np.zeros(2, int), "expected samples"),
        (np.zeros((0, 2, 2, 1)), np.zeros(0, int), "expected samples"),
        (np.zeros((3, 2, 2, 1)), np.asarray([0, 1, 7]), r"labels must be integers in \[0, 3\), got int64 0 ... 7"),
        (np.zeros((3, 2, 2, 1)), np.zeros(3), "labels must be integers"),
    ],
)
def test_bad_sets(images, labels, message):
    with pytest.raises(ValueError, match=message):
        to_device(images, labels, num_classes=3)


def test_nan_is_named():
    images = np.zeros((4, 2, 3, 1), np.float32)
    images[2, 1, 0, 0] = np.nan
    images[3, 0, 0, 0] = np.inf
    with pytest.raises(ValueError, match=r"sample 2 has a value that is not finite \(nan at \[1, 0, 0\]\); 2 samples"):
        to_device(images, np.zeros(4, int), num_classes=1)
