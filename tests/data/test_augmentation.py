"""Augmentation of samples: what is changed, how often, and what stays."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from jaxsnn.data import augmentation
from jaxsnn.data.prepare import shift_and_flip
from jaxsnn.keys import fold_in

MANY = 400
ONES = jnp.ones((MANY, 7, 9, 2), jnp.uint8)
KEYS = fold_in(jax.random.key(1), jnp.arange(MANY))


def test_reflected_pixels_come_in():
    image = jnp.arange(1, 21, dtype=jnp.uint8).reshape(1, 5, 4, 1).repeat(50, 0)
    moved = np.asarray(shift_and_flip(jax.random.key(0), image, shift=2, flip=False, fill="reflect"))[..., 0]
    padded = np.pad(np.asarray(image[0, ..., 0]), 2, "reflect")
    possible = [padded[i : i + 5, j : j + 4] for i in range(5) for j in range(5)]
    assert all(any((one == other).all() for other in possible) for one in moved)
    assert moved.min() > 0
    with pytest.raises(ValueError, match="fill must be one of zero, reflect, got 'wrap'"):
        shift_and_flip(jax.random.key(0), image, shift=2, flip=False, fill="wrap")


def test_every_second_epoch_mirrors_the_others():
    image = jnp.arange(6, dtype=jnp.uint8).reshape(1, 2, 3, 1).repeat(MANY, 0)
    first, second, third = (np.asarray(augmentation.alternating_flip(KEYS, image, jnp.int32(n))) for n in range(3))
    np.testing.assert_array_equal(first, third)
    np.testing.assert_array_equal(second, first[:, :, ::-1])
    flipped = (first != np.asarray(image)).any((1, 2, 3))
    assert abs(flipped.mean() - 0.5) < 5 * 0.5 / np.sqrt(MANY)
    np.testing.assert_array_equal(first, np.where(flipped[:, None, None, None], image[:, :, ::-1], image))


def rectangles(filled):
    """Heights and widths of the filled parts of images, which must be whole rectangles."""
    holes = np.asarray(filled)[..., 0] == 0
    sides = np.stack([holes.any(2).sum(1), holes.any(1).sum(1)], 1)
    np.testing.assert_array_equal(holes.sum((1, 2)), sides.prod(1))
    return sides


def test_cutout_is_a_square_that_may_leave_the_image():
    images = jax.jit(partial(augmentation.cutout, size=4))(KEYS, ONES)
    sides = rectangles(images)
    assert set(sides[:, 0]) == {2, 3, 4} == set(sides[:, 1])
    share = (np.asarray(images)[..., 0] == 0).mean(0)
    assert share[3, 4] > 0.15 > share[0, 0] > 0.01  # the middle more often than a corner
    filled = augmentation.cutout(KEYS, ONES, size=1, fill=jnp.asarray([7, 8]))
    np.testing.assert_array_equal(filled.reshape(MANY, -1, 2).max(1), np.tile([7, 8], (MANY, 1)))
    assert filled.dtype == jnp.uint8


def test_random_erasing_takes_rectangles_of_some_images():
    images = jax.jit(partial(augmentation.random_erasing, probability=0.6))(KEYS, ONES)
    sides = rectangles(images)
    parts = sides.prod(1) / 63
    assert abs((parts > 0).mean() - 0.6) < 5 * 0.5 / np.sqrt(MANY)
    assert 0.25 < parts.max() < 0.45  # of at most a third, but for rounded sides
    assert len({tuple(pair) for pair in sides}) > 15
    assert (sides[:, 0] > sides[:, 1]).any()
    assert (sides[:, 0] < sides[:, 1]).any()
    first = augmentation.random_erasing(KEYS, ONES, probability=0.0)
    np.testing.assert_array_equal(first, ONES)


@settings(max_examples=30, deadline=None)
@given(st.floats(-math.pi, math.pi), st.floats(0.5, 2.0))
def test_a_turned_image_against_scipy(angle, factor):
    """The same places in float64; a place that lies between two pixels may be rounded either way."""
    image = np.random.default_rng(0).random((3, 7, 10, 2)).astype(np.float32)  # three time steps
    found = augmentation._turned(image[None], jnp.float32([angle]), jnp.float32([factor]), jnp.asarray([5.0, 6.0]))[0]
    cosine, sine = math.cos(angle) / factor, math.sin(angle) / factor
    matrix, middle = np.array([[cosine, sine], [-sine, cosine]]), np.array([3.0, 4.5])
    places = np.indices((7, 10)).reshape(2, -1) - middle[:, None]
    places = (matrix @ places + middle[:, None]).reshape(2, 7, 10)
    sure = (np.abs(places % 1 - 0.5) > 1e-4).all(0)
    for step in range(3):
        for channel in range(2):
            expected = ndimage.map_coordinates(
                image[step, ..., channel], places, order=0, mode="grid-constant", cval=5.0 + channel
            )
            np.testing.assert_array_equal(found[step, ..., channel][sure], expected[sure])


def test_images_are_turned_and_zoomed():
    image = jnp.arange(1, 26, dtype=jnp.uint8).reshape(1, 5, 5, 1).repeat(MANY, 0)
    quarter = augmentation._turned(image[:1], jnp.float32([math.pi / 2]), jnp.ones(1), 0)
    np.testing.assert_array_equal(quarter[0, ..., 0], np.rot90(image[0, ..., 0]))
    assert quarter.dtype == jnp.uint8
    np.testing.assert_array_equal(augmentation.turn(KEYS, image), image)
    wide = jnp.zeros((MANY, 1, 101, 1)).at[:, 0, 60].set(1.0)  # ten pixels right of the middle
    larger = np.asarray(augmentation.turn(KEYS, wide, zoom=0.5))[:, 0, :, 0]
    ends = [np.flatnonzero(one)[[0, -1]] - 50 for one in larger if one.any()]
    assert min(first for first, _ in ends) >= 6
    assert 14 <= max(last for _, last in ends) <= 16
    tall = jnp.zeros((MANY, 101, 101, 1)).at[:, 50, 90].set(1.0)[:100]
    angles = []
    for one in np.asarray(augmentation.turn(KEYS[:100], tall, rotate=30.0))[..., 0]:
        places = np.argwhere(one)
        if len(places):
            angles.append(np.degrees(np.arctan2(50 - places[0, 0], places[0, 1] - 50)))
    assert 25 < max(angles) < 32
    assert -32 < min(angles) < -25
    assert abs(np.mean(angles)) < 5


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.float32])
def test_mixup_mixes_samples_and_labels_alike(dtype):
    labels = jnp.arange(MANY) % 4
    samples = (255 * jax.nn.one_hot(labels, 4)).astype(dtype)[:, None]
    samples = samples if dtype == jnp.uint8 else samples / 255
    mixed, soft = augmentation.mixup(KEYS, samples, labels, alpha=0.5, num_classes=4)
    np.testing.assert_allclose(mixed[:, 0], soft, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-6)
    own = np.asarray(soft)[np.arange(MANY), labels]
    np.testing.assert_allclose(np.asarray(soft)[np.arange(MANY), labels - 1], 1 - own, atol=1e-6)
    np.testing.assert_allclose([own.mean(), own.var()], [0.5, 0.125], atol=0.05)  # of Beta(1/2, 1/2)
    again = augmentation.mixup(KEYS, samples, soft, alpha=0.5, num_classes=4)[1]
    np.testing.assert_allclose(again.sum(1), 1, rtol=1e-6)
    with pytest.raises(ValueError, match="the alpha of mixup must be > 0, got 0"):
        augmentation.mixup(KEYS, samples, labels, alpha=0, num_classes=4)


FRAMES = jnp.zeros((MANY, 6, 4), jnp.uint8).at[:, 3].set(2)


def test_events_are_dropped_and_moved():
    left = np.asarray(augmentation.drop_events(KEYS, FRAMES, probability=0.3))
    assert abs((left[:, 3] == 0).mean() - 0.3) < 5 * 0.5 / np.sqrt(4 * MANY)
    assert set(np.unique(left)) == {0, 2}
    moved = np.asarray(augmentation.jitter_events(KEYS, FRAMES, steps=2, binary=False))
    np.testing.assert_array_equal(moved.sum(1), np.full((MANY, 4), 2))
    np.testing.assert_allclose((moved > 0).mean((0, 2)), [0, 0.2, 0.2, 0.2, 0.2, 0.2], atol=0.05)
    first = np.asarray(augmentation.jitter_events(KEYS, jnp.roll(FRAMES, 3, 1), steps=2, binary=False))
    np.testing.assert_allclose((first > 0).mean((0, 2)), [0.2, 0.2, 0.2, 0, 0, 0], atol=0.05)  # two fifths are lost


@pytest.mark.parametrize(("binary", "most"), [(True, 200), (False, 255)])
def test_events_that_meet(binary, most):
    frames = jnp.full((MANY, 2, 1), 200, jnp.uint8)
    assert np.asarray(augmentation.jitter_events(KEYS, frames, steps=1, binary=binary)).max() == most


@pytest.mark.parametrize(
    ("change", "samples", "message"),
    [
        (partial(augmentation.cutout, size=2), (2, 10), r"cutout: expected images \[B, H, W, C\] .* shape \(2, 10\)"),
        (partial(augmentation.cutout, size=0), (2, 4, 4, 1), "size of cutout must be a number of pixels >= 1, got 0"),
        (partial(augmentation.random_erasing, probability=0.5), (2, 3, 10), "random erasing: expected images"),
        (partial(augmentation.alternating_flip, epoch=0), (2, 3, 10), "a flip: expected images"),
        (partial(augmentation.turn, rotate=5.0), (2, 10), "rotate and zoom: expected images"),
        (
            partial(augmentation.turn, zoom=-1.0),
            (2, 4, 4, 1),
            "rotate must be degrees >= 0 and zoom .*, got 0.0 and -1.0",
        ),
        (partial(augmentation.drop_events, probability=0.5), (2, 3), r"frames \[B, T, ...\] of recordings, got"),
        (partial(augmentation.jitter_events, steps=3, binary=True), (2, 3, 4), r"time jitter must lie in \[0, 3\)"),
    ],
)
def test_what_cannot_be_changed_is_refused(change, samples, message):
    with pytest.raises(ValueError, match=message):
        change(jax.random.key(0), jnp.zeros(samples))
