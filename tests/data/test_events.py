"""Event recordings: the parser against an encoder written from the format, the frames against a slow loop."""

import itertools
import re
from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsnn.data.events import BINS, VALUES, Recordings, frames, parse_aer
from jaxsnn.data.prepare import to_device
from jaxsnn.encoding import events as event_input

SENSOR = (6, 8)  # unequal, so that x and y cannot be confused
Event = tuple[int, int, int, int]  # x, y, polarity, microseconds


def encode(events: Iterable[Event]) -> bytes:
    return b"".join(bytes([x, y]) + (p * 2**23 + t).to_bytes(3, "big") for x, y, p, t in events)


def parse(data: bytes) -> list[Event]:
    arrays = parse_aer(data, "a.bin", SENSOR)
    assert [array.dtype for array in arrays] == [np.uint8] * 3 + [np.int32]
    return list(zip(*(array.tolist() for array in arrays), strict=True))


def without_markers(data: bytes) -> tuple[bytes, list[int]]:
    """The bytes of the true events, and by how much the markers before each of them delay it."""
    kept, delays, delay = b"", [], 0
    for i in range(0, len(data), 5):
        if data[i + 1] == 240:
            delay += 8192
        else:
            kept += data[i : i + 5]
            delays.append(delay)
    return kept, delays


valid_events = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 5), st.integers(0, 1), st.integers(0, 2**23 - 1)), min_size=1
).map(lambda events: sorted(events, key=lambda event: event[3]))
some_byte = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 127, 128, 240, 255])
nearly_valid = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from([0, 5, 5, 5, 240, 6]), some_byte, some_byte, some_byte), max_size=4
).map(lambda rows: b"".join(map(bytes, rows)))


@settings(deadline=None)
@given(valid_events)
def test_valid_events_come_back(events: list[Event]) -> None:
    data = encode(events)
    assert parse(data) == events
    as_array = parse_aer(np.frombuffer(data, np.uint8), "a.bin", SENSOR)
    np.testing.assert_array_equal(as_array, np.transpose(events))


@settings(deadline=None, max_examples=500)
@given(st.one_of(st.binary(max_size=64), nearly_valid))
def test_any_bytes_are_refused_or_read_without_loss(data: bytes) -> None:
    refusal, events = "", []
    try:
        events = parse(data)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert refusal.startswith("a.bin: ")
        return
    assert events
    kept, delays = without_markers(data)
    assert encode([(x, y, p, t - delay) for (x, y, p, t), delay in zip(events, delays, strict=True)]) == kept
    assert all(before[3] <= after[3] for before, after in itertools.pairwise(events))


def test_overflow_markers_delay_what_follows_and_are_no_events() -> None:
    raw = [(1, 2, 1, 8000), (0, 240, 0, 0), (3, 4, 0, 5), (7, 240, 1, 9), (0, 240, 0, 9), (5, 5, 1, 0)]
    assert parse(encode(raw)) == [(1, 2, 1, 8000), (3, 4, 0, 8197), (5, 5, 1, 3 * 8192)]
    assert parse(encode([(0, 240, 0, 0), (1, 1, 1, 3)])) == [(1, 1, 1, 8195)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a.bin: expected at least one event, got none in 0 bytes. Copy the file anew"),
        (encode([(0, 240, 0, 3)]), "a.bin: expected at least one event, got none in 5 bytes"),
        (b"\0" * 13, "a.bin: the event at byte 10 has 3 of its 5 bytes: the file, of 13 bytes, is truncated. Copy"),
        (
            encode([(0, 0, 0, 1), (0, 240, 0, 0), (8, 5, 0, 1)]),
            "a.bin: the event at byte 10 is at x = 8, y = 5, outside the sensor of 8 columns and 6 rows. Copy",
        ),
        (encode([(7, 6, 0, 1)]), "a.bin: the event at byte 0 is at x = 7, y = 6, outside"),
        (
            encode([(0, 0, 0, 1), (0, 240, 0, 0), (0, 0, 1, 9), (0, 0, 0, 8)]),
            "a.bin: time goes backwards at the event at byte 15, from 8201 us to 8200 us",
        ),
        (
            encode([(0, 240, 0, 0)]) * 2**18 + encode([(0, 0, 0, 0)]),
            "a.bin: its overflow markers (y = 240) add up to 2147483648 us, which exceeds int32",
        ),
    ],
    ids=["empty", "only a marker", "truncated", "column", "row", "backwards", "beyond int32"],
)
def test_bad_recordings_name_file_byte_and_remedy(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_aer(data, "a.bin", SENSOR)


def test_bad_arguments_of_the_parser() -> None:
    with pytest.raises(ValueError, match=r"sensors of 1 to 240 rows and 1 to 256 columns, got \(241, 8\)"):
        parse_aer(b"", "a.bin", (241, 8))
    with pytest.raises(ValueError, match=r"a.bin: expected the bytes of a file, uint8 \[bytes\], got float32 \[5\]"):
        parse_aer(np.zeros(5, np.float32), "a.bin", SENSOR)


def make(counts: Iterable[int], duration: int = 1000, seed: int = 0) -> Recordings:
    rng = np.random.default_rng(seed)
    counts = list(counts)
    total = sum(counts)
    x, y, polarity = (rng.integers(0, n, total, dtype=np.uint8) for n in (SENSOR[1], SENSOR[0], 2))
    times = [np.sort(rng.integers(0, duration + 1, count, dtype=np.int32)) + 77 for count in counts]
    starts = np.cumsum([0, *counts], dtype=np.int64)
    return Recordings(x, y, polarity, np.concatenate(times), starts, np.zeros(len(counts), np.int32))


def slow_frames(recordings: Recordings, steps: int, by: str, values: str) -> np.ndarray:
    result = np.zeros((len(recordings.labels), steps, *SENSOR, 2), int)
    for n, start in enumerate(recordings.starts[:-1].tolist()):
        stop = int(recordings.starts[n + 1])
        for i in range(start, stop):
            position, whole = i - start, stop - start
            if by == "time":
                position = int(recordings.time[i]) - int(recordings.time[start])
                whole = int(recordings.time[stop - 1]) - int(recordings.time[start])
            # The last bin whose left edge, k * whole / steps, is not to the right of the position.
            step = max(k for k in range(steps) if k * whole <= position * steps) if whole else 0
            result[n, step, recordings.y[i], recordings.x[i], recordings.polarity[i]] += 1
    return np.minimum(result, 1 if values == "binary" else 255)


@pytest.mark.parametrize("steps", [1, 3, 10])
@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("by", BINS)
def test_frames_equal_the_slow_loop(by: str, values: str, steps: int) -> None:
    for duration in (0, 5, 1000):
        recordings = make([90, 1, 0, 10, 7], duration)
        ours = frames(recordings, steps, by=by, values=values, sensor=SENSOR)
        assert (ours.shape, ours.dtype) == ((5, steps, *SENSOR, 2), np.uint8)
        np.testing.assert_array_equal(ours, slow_frames(recordings, steps, by, values))


@settings(deadline=None)
@given(valid_events, st.integers(1, 12), st.sampled_from(BINS))
def test_every_event_is_in_one_bin_and_the_ends_are_in_the_end_bins(events: list[Event], steps: int, by: str) -> None:
    parsed = parse_aer(encode(events), "a.bin", SENSOR)
    recordings = Recordings(*parsed, np.array([0, len(events)]), np.zeros(1, np.int32))
    counts = frames(recordings, steps, by=by, values="counts", sensor=SENSOR)[0]
    binary = frames(recordings, steps, by=by, values="binary", sensor=SENSOR)[0]
    assert counts.sum() == len(events)
    np.testing.assert_array_equal(binary, counts > 0)
    (x, y, p, first), (last_x, last_y, last_p, last) = events[0], events[-1]
    assert counts[0, y, x, p]
    if (last > first) if by == "time" else (len(events) >= steps):
        assert counts[-1, last_y, last_x, last_p]
    if by == "count":
        assert np.ptp(counts.sum((1, 2, 3))) <= 1


def test_counts_saturate() -> None:
    recordings = Recordings(*parse_aer(encode([(1, 2, 1, 9)] * 300), "", SENSOR), np.array([0, 300]), np.zeros(1))
    counts = frames(recordings, 1, by="time", values="counts", sensor=SENSOR)
    assert counts[0, 0, 2, 1, 1] == counts.sum() == 255


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "the number of time steps must be an integer of at least 1, got 0"),
        ({"steps": 2.0}, "must be an integer of at least 1, got 2.0"),
        ({"steps": True}, "must be an integer of at least 1, got True"),
        ({"by": "number"}, "events are binned by one of time, count, got 'number'"),
        ({"values": "sum"}, "values of event frames are one of binary, counts, got 'sum'"),
        ({"sensor": (6, 7)}, "x of every event must be below 7, got 7; is the sensor not (6, 7)?"),
        ({"sensor": (5, 8)}, "y of every event must be below 5, got 5"),
    ],
)
def test_bad_arguments_of_frames(change: dict[str, object], message: str) -> None:
    arguments = {"steps": 2, "by": "time", "values": "binary", "sensor": SENSOR} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        frames(make([500]), **arguments)


def test_no_recordings_give_no_frames() -> None:
    nothing = make([0])._replace(starts=np.zeros(1, np.int64), labels=np.zeros(0, np.int32))
    assert frames(nothing, 3, by="time", values="binary", sensor=SENSOR).shape == (0, 3, *SENSOR, 2)


def test_frames_on_the_device() -> None:
    made = frames(make([90, 40]), 3, by="time", values="counts", sensor=SENSOR)
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
