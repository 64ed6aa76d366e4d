"""Frames of recordings against a slow loop, and the traps of binning; filters of events."""

import math
import re

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsnn.data import filters
from jaxsnn.data.events import BINS, EVENT, POLARITIES, VALUES, Binning, check_events, frames, recording
from jaxsnn.data.prepare import to_device
from jaxsnn.encoding import events as event_input
from tests.data import slow_parsers

SENSOR = (6, 8)  # unequal, so that x and y cannot be confused
some_events = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 7), st.integers(0, 5), st.integers(0, 1)), max_size=40
)


def made(rows):
    return np.array(rows, EVENT)


def random(count, duration=1000, seed=0):
    rng = np.random.default_rng(seed)
    return recording(
        np.sort(rng.integers(0, duration + 1, count)) + 77, *(rng.integers(0, n, count) for n in (8, 6, 2))
    )


@settings(deadline=None, max_examples=150)
@given(
    some_events,
    st.integers(1, 7),
    st.sampled_from(BINS),
    st.sampled_from(VALUES),
    st.sampled_from(POLARITIES),
    st.sampled_from([(), (1, 2, 3, 5)]),
    st.integers(1, 3),
    st.sampled_from([None, 0, 5]),
)
def test_frames_equal_the_slow_loop(rows, steps, by, values, polarity, crop, downsample, start):
    """Times rise and fall, coincide, and fall on edges; recordings are empty, of one event, or shorter than T bins."""
    options = {"by": by, "values": values, "polarity": polarity, "duration": 7 * (by == "duration"), "crop": crop}
    ours = frames(made(rows), steps, size=SENSOR, downsample=downsample, start=start, **options)
    assert ours.dtype == (np.int8 if polarity == "signed" else np.uint8)
    assert ours.shape == Binning(steps, **options, downsample=downsample).shape(SENSOR)
    slow = slow_parsers.frames(rows, steps, SENSOR, downsample=downsample, start=start, **options)
    np.testing.assert_array_equal(ours, slow)


@pytest.mark.parametrize("name", ["bin_ms", "denoise_ms"])
def test_times_without_end_are_refused(name):
    with pytest.raises(ValueError, match="in microseconds must be an integer of at least 0, got -1"):
        Binning.of(3, bins="duration", **{"bin_ms": 1.0, name: math.inf})


@pytest.mark.parametrize("by", ["time", "count"])
def test_every_event_is_in_one_bin_and_the_ends_are_in_the_end_bins(by):
    events = random(90)
    for steps in (1, 3, 10, 90):
        counts = frames(events, steps, by=by, values="counts", size=SENSOR)
        assert counts.sum() == 90
        np.testing.assert_array_equal(frames(events, steps, by=by, size=SENSOR), counts > 0)
        first, last = events[0], events[-1]
        assert counts[0, first["y"], first["x"], first["p"]]
        assert counts[-1, last["y"], last["x"], last["p"]]
        if by == "count":
            assert np.ptp(counts.sum((1, 2, 3))) <= 1


@pytest.mark.parametrize(
    ("polarity", "p", "most"), [("apart", 1, 255), ("merged", 1, 255), ("signed", 1, 127), ("signed", 0, -127)]
)
def test_counts_saturate_and_do_not_overflow(polarity, p, most):
    events = made([(9, 1, 2, p)] * 300)
    counts = frames(events, 1, values="counts", polarity=polarity, size=SENSOR)
    assert counts.sum() == counts[0, 2, 1, -1] == most


def test_an_empty_recording_and_one_event():
    for by in BINS:
        options = {"by": by, "duration": 10 * (by == "duration"), "size": SENSOR, "denoise": 0}
        assert not frames(made([]), 3, **options).any()
        one = frames(made([(1234, 7, 5, 1)]), 3, **options)
        assert one.sum() == one[0, 5, 7, 1] == 1


def test_bins_of_a_duration_leave_out_what_comes_after_them():
    """They do not gather it in the last bin; an event on an edge is in the bin that begins there."""
    events = made(
        [(0, 0, 0, 1), (9_999, 1, 0, 1), (10_000, 2, 0, 1), (29_999, 3, 0, 1), (30_000, 4, 0, 1), (90_000, 5, 0, 1)]
    )
    found = frames(events, 3, by="duration", duration=10_000, size=(1, 8))
    assert [np.flatnonzero(step[0, :, 1]).tolist() for step in found] == [[0, 1], [2], [3]]
    late = made([(25_000, 0, 0, 1)])
    assert frames(late, 3, by="duration", duration=10_000, size=SENSOR, start=0)[2].sum() == 1
    assert frames(late, 3, by="duration", duration=10_000, size=SENSOR)[0].sum() == 1


def test_a_crop_does_not_move_the_bins():
    events = made([(0, 0, 0, 1), (60, 5, 3, 1), (100, 0, 0, 1)])
    cropped = frames(events, 2, size=SENSOR, crop=(3, 5, 1, 1))
    assert cropped.shape == (2, 1, 1, 2)
    assert cropped[:, 0, 0, 1].tolist() == [0, 1]


@settings(deadline=None, max_examples=80)
@given(some_events, st.integers(0, 12))
def test_isolated_events_are_those_of_the_slow_loop(rows, window):
    rows = sorted(rows, key=lambda event: event[0])
    assert filters.denoised(made(rows), window, SENSOR).tolist() == slow_parsers.denoised(rows, window)


def test_denoised_frames_and_dropped_events():
    events = made([(0, 0, 0, 1), (5, 1, 1, 0), (6, 7, 5, 1)])
    found = frames(events, 1, size=SENSOR, denoise=5)
    assert found.sum() == found[0, 1, 1, 0] == 1
    many = random(1000)
    kept = filters.drop(many, 0.3, seed=1)
    assert 640 < len(kept) < 760
    assert set(kept.tolist()) <= set(many.tolist())
    np.testing.assert_array_equal(kept, filters.drop(many, 0.3, seed=1))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 1.5"):
        filters.drop(many, 1.5, seed=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "the number of time steps must be an integer of at least 1, got 0"),
        ({"steps": 2.0}, "must be an integer of at least 1, got 2.0"),
        ({"steps": True}, "must be an integer of at least 1, got True"),
        ({"by": "number"}, "events are binned by one of time, count, duration, got 'number'"),
        ({"values": "sum"}, "values of event frames are one of binary, counts, got 'sum'"),
        ({"polarity": "both"}, "polarities of event frames are one of apart, signed, merged, got 'both'"),
        ({"by": "duration"}, "bins of a fixed duration need one above 0, and others have none: got by='duration', 0"),
        ({"duration": 5}, "others have none: got by='time', 5"),
        ({"downsample": 0}, "downsample must be an integer of at least 1, got 0"),
        ({"crop": (0, 0, 7, 8)}, "crop (0, 0, 7, 8) (top, left, height, width) reaches over the sensor of 6 x 8"),
        ({"crop": (2, 2)}, "crop is (top, left, height, width) in pixels, got (2, 2)"),
        ({"size": (6, 7)}, "x of every event must be below 7, got 7 at event "),
        ({"size": (5, 8)}, "y of every event must be below 5, got 5"),
        ({"events": np.zeros((3, 4))}, "an array [E] of dtype events.EVENT (t, x, y, p), got float64 [3, 4]"),
        ({"events": made([(-(2**62), 0, 0, 0), (2**62, 0, 0, 0)])}, "in 2 bins exceed 64-bit integers"),
    ],
)
def test_bad_arguments_of_frames(change, message):
    arguments = {"events": random(500), "steps": 2, "size": SENSOR} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        frames(**arguments)


def test_bad_fields_of_a_recording():
    for change, message in (
        ({"p": [0, 2]}, "p of event 1 is 2, expected 0 to 1"),
        ({"x": [0, 65536]}, "x of event 1 is 65536, expected 0 to 65535"),
        ({"y": [-1, 0]}, "y of event 0 is -1"),
        ({"t": [0.5, 1.0]}, "t of events must be integers (t in microseconds), got float64"),
        ({"t": [1]}, "arrays [E] of one length, got t [1], x [2], y [2], p [2]"),
    ):
        fields = {name: np.array([0, 1]) for name in "txyp"} | {name: np.array(a) for name, a in change.items()}
        with pytest.raises(ValueError, match=re.escape(message)):
            recording(**fields)
    check_events(recording(*(np.array([0, 1]) for _ in "txyp")))


def test_the_binning_is_said_in_words():
    assert Binning(4).describe() == "4 bins of equal time, binary"
    every = Binning(4, "duration", "counts", "signed", 2500, (0, 1, 2, 3), 2, 100)
    assert every.describe() == (
        "4 bins of 2.5 ms, counts up to 127, polarities signed, crop 0,1,2,3, downsampled by 2, denoised, 0.1 ms"
    )


def test_frames_on_the_device():
    made = np.stack([frames(random(n), 3, values="counts", size=SENSOR) for n in (90, 40)])
    images, labels = to_device(made, np.arange(2), num_classes=2)
    assert (images.dtype, labels.dtype) == (jnp.uint8, jnp.int32)
    on_time = event_input(images)
    assert on_time.dtype == jnp.float32
    np.testing.assert_array_equal(on_time, made.swapaxes(0, 1))


def test_bad_frames_on_the_device() -> None:
    bad = np.zeros((4, 3, 2, 5, 2), np.float32)
    bad[1, 2, 0, 4, 1] = bad[3, 0, 1, 2, 0] = np.inf
    message = r"sample 1 has a value that is not finite \(inf at \[2, 0, 4, 1\]\); 2 samples are"
    with pytest.raises(ValueError, match=message):
        to_device(bad, np.zeros(4, int), num_classes=1)
    with pytest.raises(ValueError, match=r"got \(2,\) .*; images are \[N, H, W, C\], event data \[N, T, ...\]"):
        to_device(np.zeros(2), np.zeros(2, int), num_classes=1)
