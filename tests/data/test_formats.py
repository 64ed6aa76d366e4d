"""Formats of recordings: each reader against a slow parser, each writer against its reader, damaged files."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsnn.data import formats
from jaxsnn.data.events import EVENT, recording
from jaxsnn.data.formats import FORMATS, aedat2, aedat3, aer, read, write
from tests.data import mutations, slow_parsers

LIMITS = {"nmnist": (2**25, 255, 239), "aedat2": (2**40, 127, 127), "aedat3": (2**63 - 1, 2**15 - 1, 2**15 - 1)}


def events_of(name):
    """Recordings that a format can hold; hypothesis shrinks them to few events."""
    latest, right, bottom = LIMITS.get(name, (2**63 - 1, 2**16 - 1, 2**16 - 1))
    times = st.integers(0, latest)
    if name == "aedat2":  # steps back and forth that are shorter than half of a round
        steps = st.lists(st.integers(-(2**30), 2**31 - 1), max_size=30)
        times = steps.map(lambda steps: np.maximum.accumulate(np.maximum(np.cumsum([0, *steps]), 0)).tolist())
    else:
        times = st.lists(st.one_of(times, st.sampled_from([0, latest, 2**23 - 1, 2**23])), max_size=30)
    order = sorted if name == "nmnist" else list

    def made(times, rest):
        columns = [
            [min(value, most) for value in column] for column, most in zip(rest, (right, bottom, 1), strict=True)
        ]
        count = min(len(times), len(columns[0]))
        t, x, y, p = (np.array(c[:count], np.int64) for c in (order(times), *columns))
        return recording(t, x, y, p)

    some = st.lists(
        st.tuples(st.integers(0, right), st.integers(0, bottom), st.integers(0, 1)), min_size=31, max_size=31
    )
    return st.builds(made, times, some.map(lambda rows: list(zip(*rows, strict=True))))


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read_and_equals_the_slow_parser(name):
    format = FORMATS[name]

    @settings(deadline=None, max_examples=60)
    @given(events_of(name))
    def check(events):
        data = format.encode(events, "file")
        found = format.parse(data, "file")
        assert found.dtype == EVENT
        assert found.tolist() == events.tolist()
        if slow := {"nmnist": slow_parsers.aer, "aedat2": slow_parsers.aedat2, "aedat3": slow_parsers.aedat3}.get(name):
            assert slow(data) == events.tolist()

    check()


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_are_read_or_refused_as_documented(name):
    """A million of them: `python -m tests.data.mutations 1000000`."""
    refused, memory = mutations.run(name, 600)
    assert 50 < refused < 590  # both outcomes are seen
    assert memory < 300_000  # whatever the headers announce


def test_mutated_hdf5_files_are_read_or_refused_as_documented(tmp_path):
    pytest.importorskip("h5py")
    assert 1 <= mutations.run_hdf5(tmp_path, 8) <= 7


def test_hdf5_files_hold_what_was_written(tmp_path):
    """Times of float16 seconds: exact to 0.49 ms below 1 s."""
    h5py = pytest.importorskip("h5py")
    recordings = [mutations.words(n, seed=n) for n in (0, 1, 30, 70)]
    formats.hdf5.write(tmp_path / "a.h5", recordings, np.array([3, 0, 19, 3]))
    found, labels = formats.hdf5.read(tmp_path / "a.h5")
    assert labels.tolist() == [3, 0, 19, 3]
    with h5py.File(tmp_path / "a.h5") as file:
        for n, (events, written) in enumerate(zip(found, recordings, strict=True)):
            assert (file["spikes/times"][n].dtype, file["spikes/units"][n].dtype) == (np.float16, np.uint16)
            expected = [round(float(time) * 1e6) for time in file["spikes/times"][n]]
            assert events["t"].tolist() == expected
            assert np.abs(events["t"] - written["t"]).max(initial=0) <= 489
            for field in "xyp":
                np.testing.assert_array_equal(events[field], written[field])
    formats.hdf5.write(tmp_path / "b.h5", found, labels)
    again, _ = formats.hdf5.read(tmp_path / "b.h5")
    assert [events.tolist() for events in again] == [events.tolist() for events in found]


def test_a_header_that_announces_more_than_the_file_allocates_nothing():
    import tracemalloc

    many = mutations.sample(2)
    huge_packet = bytearray(aedat3.encode(many, ""))
    place = huge_packet.index(b"END-HEADER\r\n") + 12
    huge_packet[place + 16 : place + 24] = b"\xff\xff\xff\x0f" * 2
    huge_array = FORMATS["npy"].encode(many, "").replace(b"(2,), }         ", b"(4000000000,), }")
    tracemalloc.start()
    for name, data in (("aedat3", bytes(huge_packet)), ("npy", huge_array)):
        with pytest.raises(
            ValueError, match=r"file: at byte \d+: expected (a packet of 268435455 events|52000000000 b)"
        ):
            FORMATS[name].parse(data, "file")
    assert tracemalloc.get_traced_memory()[1] < 300_000
    tracemalloc.stop()


some_bytes = st.binary(min_size=5, max_size=5).map(lambda e: e[:1] + (e[1:2] if e[1] % 3 else b"\xf0") + e[2:])


@settings(deadline=None, max_examples=100)
@given(st.lists(some_bytes, max_size=6))
def test_any_bytes_of_the_40_bit_format_are_refused_or_read_as_the_slow_parser_does(rows):
    expected = slow_parsers.aer(data := b"".join(rows))
    times = [t for t, *_ in expected]
    if times == sorted(times):
        assert aer.parse(data, "a.bin").tolist() == expected
    else:
        with pytest.raises(ValueError, match=r"^a\.bin: at byte \d+: time goes backwards"):
            aer.parse(data, "a.bin")


def test_axes_and_polarity_of_aedat_2_are_those_of_the_published_pictures():
    """Address 1 + 2 * 5 + 256 * 7: column 127 - 7, row 127 - 5, darker. A big-endian file: time 258 is 0 0 1 2."""
    data = b"#!AER-DAT2.0\r\n# any comment\r\n" + bytes([0, 0, 7, 11, 0, 0, 1, 2])
    assert aedat2.parse(data, "").tolist() == [(258, 120, 122, 0)]


def test_axes_and_polarity_of_aedat_3():
    """x in bits 17 to 31, y in bits 2 to 16: a reader that confuses them sees the other."""
    event = (3 << 17 | 100 << 2 | 1 << 1 | 1).to_bytes(4, "little") + (9).to_bytes(4, "little")
    invalid = (3 << 17).to_bytes(4, "little") + (9).to_bytes(4, "little")
    numbers = [1, 0, 8, 4, 2, 3, 2, 1]
    header = b"".join(n.to_bytes(2 if i < 2 else 4, "little") for i, n in enumerate(numbers))
    other = b"".join(n.to_bytes(2 if i < 2 else 4, "little") for i, n in enumerate([2, 0, 36, 4, 0, 1, 1, 1]))
    data = b"#!AER-DAT3.1\r\n#!END-HEADER\r\n" + other + bytes(36) + header + event + invalid + bytes(8)
    assert aedat3.parse(data, "").tolist() == [(2 * 2**31 + 9, 3, 100, 1)]


def test_times_that_wrap_around_go_on_and_times_that_go_back_are_kept():
    t = np.array([2**32 - 5, 2**32 + 3, 2**32 + 1, 2**33 - 5])
    events = recording(t, t * 0, t * 0, t * 0)
    data = aedat2.encode(events, "")
    assert np.frombuffer(data[-32:], ">u4")[1::2].tolist() == [2**32 - 5, 3, 1, 2**32 - 5]
    assert aedat2.parse(data, "")["t"].tolist() == t.tolist()
    assert aedat3.parse(aedat3.encode(events, ""), "")["t"].tolist() == t.tolist()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("nmnist", b"\0" * 13, "a: at byte 10: expected an event of 5 bytes, got 3: the file is truncated. Copy"),
        ("nmnist", bytes([0, 0, 0, 0, 9, 0, 0, 0, 0, 8]), "a: at byte 5: time goes backwards, from 9 us to 8 us"),
        ("nmnist", bytes([0, 240, 0, 0, 0]) * 2**18 + bytes(5), "overflow markers (y = 240) add up to 2147483648 us"),
        ("aedat2", b"#!AER-DAT3", "a: at byte 0: expected #!AER-DAT2.0, got b'#!AER-DAT3'"),
        ("aedat2", b"#!AER-DAT2.0\n#", "a: at byte 13: expected a line of the header that ends"),
        ("aedat2", b"#!AER-DAT2.0\n\0\0\0", "a: at byte 13: expected an event of 8 bytes, got 3"),
        ("aedat2", b"#!AER-DAT2.0\n\0\1\0\0\0\0\0\0", "expected an address of 15 bits, a DVS128's, got 0x10000"),
        ("aedat3", b"#!AER-DAT3.1\r\n", "a: at byte 14: expected the end of the header, #!END-HEADER"),
        ("aedat3", b"#!AER-DAT3.1\r\n#!END-HEADER\r\n\1", "at byte 28: expected the 28 bytes of a packet's header"),
        ("npy", b"\x93NUMPY\x01\x00", "a: at byte 0: expected a header of NumPy's format"),
        ("npz", b"PK", "a: at byte 0: expected a zip with t.npy, x.npy, y.npy and p.npy"),
    ],
)  # fmt: skip
def test_damaged_files_name_file_byte_and_expectation(name, data, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FORMATS[name].parse(data, "a")


@pytest.mark.parametrize(
    ("name", "event", "message"),
    [
        ("nmnist", (0, 256, 0, 0), "a: event 1 is not in 256 columns and 240 rows: write another format, e.g. .npy"),
        ("nmnist", (0, 0, 240, 0), "a: event 1 is not in 256 columns and 240 rows"),
        ("nmnist", (2**31, 0, 0, 0), "a: event 1 is not between 0 and 2147483647 us"),
        ("nmnist", (3, 0, 0, 0), "a: event 1 is earlier than the one before it"),
        ("aedat2", (0, 128, 0, 0), "a: event 1 is not in 128 x 128 pixels"),
        ("aedat2", (2**32 + 5, 0, 0, 0), "a: event 1 has a time that 32 bits and the event before cannot tell"),
        ("aedat3", (0, 2**15, 0, 0), "a: event 1 is not in 32768 columns and rows"),
        ("aedat3", (-1, 0, 0, 0), "a: event 1 has a time that is negative"),
    ],
)
def test_writers_refuse_what_the_format_cannot_hold(name, event, message):
    events = np.array([(5, 0, 0, 0), event], EVENT)
    with pytest.raises(ValueError, match=re.escape(message)):
        FORMATS[name].encode(events, "a")


def test_files_are_read_by_suffix_and_first_bytes(tmp_path: Path):
    events = mutations.sample()
    for name, format in FORMATS.items():
        write(tmp_path / f"{name}{format.suffix}", events, name)
        np.testing.assert_array_equal(read(tmp_path / f"{name}{format.suffix}"), events)
    write(tmp_path / "b.aedat", events)
    assert (tmp_path / "b.aedat").read_bytes().startswith(b"#!AER-DAT3.1")
    with pytest.raises(
        ValueError, match=r"b\.mat: expected a format of nmnist, aedat2, .*, by suffix or name, got '\.mat'"
    ):
        write(tmp_path / "b.mat", events)
    (tmp_path / "c.aedat").write_bytes(b"#!AER-DAT4.0\r\n")
    with pytest.raises(ValueError, match=r"c\.aedat: expected a recording in one of \.bin \(nmnist\), .*AER-DAT4"):
        read(tmp_path / "c.aedat")


def test_other_libraries_arrays_are_read(tmp_path: Path):
    """tonic's order and types of fields, SpikingJelly's compressed arrays; objects and fractions are refused."""
    events = mutations.sample(5)
    tonic = np.zeros(5, [("x", "i2"), ("y", "i2"), ("t", "i4"), ("p", "?")])
    for field in "txyp":
        tonic[field] = events[field]
    np.save(tmp_path / "a.npy", tonic)
    np.testing.assert_array_equal(read(tmp_path / "a.npy"), events)
    np.savez_compressed(tmp_path / "a.npz", **{field: events[field].astype(np.int64) for field in "xytp"})
    np.testing.assert_array_equal(read(tmp_path / "a.npz"), events)
    tonic["x"][3] = -1
    np.save(tmp_path / "b.npy", tonic)
    with pytest.raises(
        ValueError, match=r"b\.npy: at byte \d+: expected events, got x of event 3 is -1, expected 0 to 65535"
    ):
        read(tmp_path / "b.npy")
    for array, message in (
        (np.array([None]), "expected an array of numbers in rows, got object"),
        (events["t"], r"expected an array \[E\] with the fields t, x, y, p, got int64 \[5\]"),
        (tonic.astype([("x", "i2"), ("y", "i2"), ("t", "f4"), ("p", "?")]), "t of events must be integers .*float32"),
    ):
        np.save(tmp_path / "c.npy", array, allow_pickle=True)
        with pytest.raises(ValueError, match=message):
            read(tmp_path / "c.npy")


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_both_headers_of_numpy_are_read(tmp_path, version):
    """NumPy writes the second one where the names of the fields are long."""
    events = recording(*np.array([[3, 5], [1, 2], [4, 0], [1, 0]]))
    with (tmp_path / "recording.npy").open("wb") as file:
        np.lib.format.write_array(file, events, version=version)
    np.testing.assert_array_equal(read(tmp_path / "recording.npy"), events)
