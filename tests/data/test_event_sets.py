"""Data sets of events from files in their official layouts, written here; folders of one's own; generators."""

import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxsnn.data import (
    DATASETS,
    DataNotFoundError,
    archives,
    cifar10_dvs,
    dvs128gesture,
    formats,
    generate,
    load,
    spoken,
)
from jaxsnn.data.dataset import Split
from jaxsnn.data.events import EVENT, frames, recording
from jaxsnn.data.generators import GENERATORS, bars, randman, saccades


def random(count, size=128, begin=0, end=1000, seed=0):
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(begin, end, count))
    return recording(t, rng.integers(0, size, count), rng.integers(0, size, count), rng.integers(0, 2, count))


@pytest.fixture
def gestures(tmp_path: Path) -> Path:
    """Two files for training and one for the test; times beyond 31 bits, and two labels that overlap."""
    root = tmp_path / "DvsGesture"
    root.mkdir()
    tables = {
        "user01_led": [(1, 0, 400), (11, 400, 900)],
        "user22_led": [(2, 0, 600), (3, 500, 900)],
        "user24_lab": [(5, 100, 100)],
    }
    for number, (name, rows) in enumerate(tables.items()):
        begin = 2**31 * number
        formats.write(root / f"{name}.aedat", random(300, begin=begin, end=begin + 1000, seed=number))
        lines = ["class,startTime_usec,endTime_usec", *(f"{c},{begin + a},{begin + b}" for c, a, b in rows)]
        (root / f"{name}_labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "trials_to_train.txt").write_text("user01_led.aedat\nuser22_led.aedat\n\n", encoding="utf-8")
    (root / "trials_to_test.txt").write_text("user24_lab.aedat\n", encoding="utf-8")
    return root


def test_gestures_are_cut_from_their_files(gestures, tmp_path):
    options = {"data_dir": tmp_path, "cache_dir": tmp_path / "cache", "time_steps": 3, "event_values": "counts"}
    for _ in range(2):  # from the files, then from the cache
        data = load("dvs128gesture", **options)
        assert data.train.samples.shape == (4, 3, 128, 128, 2)
        assert data.train.labels.tolist() == [0, 10, 1, 2]
        assert data.test.labels.tolist() == [4]
        assert not data.test.samples.any()  # a gesture that ends when it starts
        second = random(300, begin=2**31, end=2**31 + 1000, seed=1)
        t = second["t"] - 2**31
        whole = [second[t < 600], second[(t >= 500) & (t < 900)]]  # events between 500 and 600 belong to both
        assert data.train.samples[2:].sum((1, 2, 3, 4)).tolist() == [len(part) for part in whole]
        expected = [frames(part, 3, size=(128, 128), values="counts") for part in whole]
        np.testing.assert_array_equal(data.train.samples[2:], expected)
    small = load("dvs128gesture", **options, event_downsample=4, event_polarity="signed", event_crop=(0, 0, 64, 128))
    assert (small.train.samples.shape, small.train.samples.dtype) == ((4, 3, 16, 32, 1), np.int8)
    assert small.train.samples.min() < 0


def test_missing_and_damaged_gestures(gestures, tmp_path):
    options = {"data_dir": gestures, "cache_dir": tmp_path / "cache", "time_steps": 3}
    table = gestures / "user22_led_labels.csv"
    for text, message in (
        (
            "class,start,end\n",
            "user22_led_labels.csv: line 1: expected class,startTime_usec,endTime_usec, got class,start,end",
        ),
        ("class,startTime_usec,endTime_usec\n1,2\n", "line 2: expected three whole numbers, got 1,2"),
        (
            "class,startTime_usec,endTime_usec\n12,2,3\n",
            "line 2: expected a class from 1 to 11 and an end after the start",
        ),
    ):
        table.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=re.escape(message)):
            load("dvs128gesture", **options)
    table.unlink()
    with pytest.raises(
        DataNotFoundError, match=r"trials_to_train\.txt names files that are not in .*: user22_led_labels"
    ):
        load("dvs128gesture", **options)
    with pytest.raises(
        DataNotFoundError, match=r"expected trials_to_train\.txt and trials_to_test\.txt in .*IBM Research"
    ):
        load("dvs128gesture", **(options | {"data_dir": tmp_path / "nowhere"}))


def test_cifar10_dvs_is_divided_by_number(tmp_path):
    for label, name in enumerate(cifar10_dvs.NAMES):
        (tmp_path / name).mkdir()
        for number in (0, 2, 10):  # by name the last would be 2
            events = random(20 + number, seed=label * 20 + number)
            formats.write(tmp_path / name / f"cifar10_{name}_{number}.aedat", events, "aedat2")
    data = load("cifar10_dvs", data_dir=tmp_path, cache_dir=tmp_path / "c", time_steps=2, event_values="counts")
    assert data.test.samples.sum((1, 2, 3, 4)).tolist() == [30] * 10
    assert data.train.samples.sum((1, 2, 3, 4)).tolist() == [20, 22] * 10
    assert data.test.labels.tolist() == list(range(10))
    assert data.description == "2 bins of equal time, counts up to 255, the last tenth of each class is the test set"
    events = random(30, seed=10)
    np.testing.assert_array_equal(data.test.samples[0], frames(events, 2, size=(128, 128), values="counts"))
    shutil.rmtree(tmp_path / "ship")
    with pytest.raises(DataNotFoundError, match=r"figshare.*unpack the ten archives"):
        load("cifar10_dvs", data_dir=tmp_path, cache_dir=tmp_path, time_steps=2)


def words(path, count, seed=0):
    """An official file of recordings up to 1.4 s; returns them as slow rasters of 10 ms and 700 channels."""
    rng = np.random.default_rng(seed)
    recordings, rasters = [], []
    for n in range(count):
        seconds = np.sort(rng.uniform(0, 1.4, 5 * n)).astype(np.float16)
        units = rng.integers(0, 700, 5 * n)
        recordings.append(
            recording(np.rint(seconds.astype(np.float64) * 1e6).astype(np.int64), units, units * 0, units * 0 + 1)
        )
        raster = np.zeros((100, 700), np.uint8)
        for second, unit in zip(seconds.tolist(), units.tolist(), strict=True):
            if (step := round(second * 1e6) // 10_000) < 100:
                raster[step, unit] += 1
        rasters.append(raster)
    formats.hdf5.write(path, recordings, np.arange(count) % 20)
    return np.array(rasters)


def test_spoken_digits_are_rasters(tmp_path, monkeypatch):
    """Times of float16 seconds do not overflow, nothing gathers in the last bin, and a recording may be empty."""
    pytest.importorskip("h5py")
    expected = words(tmp_path / "shd_train.h5", 6)
    words(tmp_path / "shd_test.h5", 3, seed=1)
    options = {"cache_dir": tmp_path / "cache", "time_steps": 100, "event_bins": "duration", "event_bin_ms": 10}
    data = load("shd", data_dir=tmp_path, event_values="counts", **options)
    np.testing.assert_array_equal(data.train.samples, expected)
    assert (data.train.labels.tolist(), data.test.labels.tolist(), data.num_classes) == ([*range(6)], [0, 1, 2], 20)
    assert data.description == "100 bins of 10 ms, counts up to 255"
    pooled = load("shd", data_dir=tmp_path, event_downsample=5, **options)
    np.testing.assert_array_equal(pooled.train.samples, expected.reshape(6, 100, 140, 5).any(-1))
    assert pooled.description == "100 bins of 10 ms, binary, downsampled by 5"
    with pytest.raises(ValueError, match=r"'shd' has channels, no pixels and polarities: leave event_polarity out"):
        load("shd", data_dir=tmp_path, event_polarity="signed", **options)

    official = tmp_path / "official"  # archives alone, and in the folder around them
    for part in ("train", "test"):
        shutil.make_archive(str(official / "SHD" / f"shd_{part}.h5"), "zip", tmp_path, f"shd_{part}.h5")
    with pytest.raises(ValueError, match=r"shd_train\.h5\.zip is damaged, or not the published file"):
        load("shd", data_dir=official, **options)
    sums = {f.name[:-7]: hashlib.md5(f.read_bytes()).hexdigest() for f in (official / "SHD").iterdir()}
    monkeypatch.setitem(spoken.SETS, "shd", spoken.SETS["shd"]._replace(md5=sums))
    again = load("shd", data_dir=official, event_values="counts", **options)
    np.testing.assert_array_equal(again.train.samples, expected)


def test_missing_and_damaged_words(tmp_path):
    pytest.importorskip("h5py")
    with pytest.raises(DataNotFoundError, match=r"expected ssc_train\.h5 and ssc_test\.h5 in .*zenkelab\.org"):
        load("ssc", data_dir=tmp_path, time_steps=3)
    words(tmp_path / "ssc_train.h5", 5)
    whole = (tmp_path / "ssc_train.h5").read_bytes()
    words(tmp_path / "ssc_test.h5", 3)
    heap = whole.index(b"GCOL")
    bad = [whole[:-100], b"nothing", whole[: heap + 16] + b"\xff" * 48 + whole[heap + 64 :]]
    for data in bad:
        (tmp_path / "ssc_train.h5").write_bytes(data)
        with pytest.raises(
            ValueError, match=r"ssc_train\.h5: at byte 0: expected \d+ bytes of HDF5 with spikes/times, spi"
        ):
            load("ssc", data_dir=tmp_path, cache_dir=tmp_path / "cache", time_steps=3)
    with pytest.raises(ValueError, match=r"event 0 is .*, expected y = 0, p = 1"):
        formats.hdf5.write(tmp_path / "a.h5", [random(3)], np.zeros(1))
    with pytest.raises(ValueError, match="expected a label for each of 1 recordings, got 2"):
        formats.hdf5.write(tmp_path / "a.h5", [random(0)], np.zeros(2))


def test_a_crash_of_the_library_is_an_error(tmp_path, monkeypatch):
    pytest.importorskip("h5py")
    child = tmp_path / "child.py"
    child.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", encoding="utf-8")
    monkeypatch.setattr(formats.hdf5, "_program", lambda: str(child))
    with pytest.raises(ValueError, match=r"child\.py: at byte 0: .* got a crash of the library \(-11\)"):
        formats.hdf5.read(child)


def own(root, classes, count=5):
    """Recordings of every format in turn."""
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for n in range(count):
            format, member = list(formats.FORMATS.items())[n % len(formats.FORMATS)]
            formats.write(root / name / f"{n}{member.suffix}", random(10 + n, size=20 + n, seed=10 * label + n), format)
    return root


def test_a_folder_of_ones_own_recordings(tmp_path):
    own(tmp_path / "data", ("no", "yes"))
    (tmp_path / "data" / "yes" / "notes.txt").touch()
    options = {"cache_dir": tmp_path / "cache", "time_steps": 2, "event_values": "counts"}
    data = load("recordings", data_dir=tmp_path / "data", **options)
    assert (len(data.train.labels), data.test.labels.tolist(), data.num_classes) == (8, [0, 1], 2)
    assert 20 <= data.train.samples.shape[2] <= 24  # the largest coordinate of all
    total = data.train.samples.sum() + data.test.samples.sum()
    assert total == 2 * sum(10 + n for n in range(5))
    shutil.copytree(tmp_path / "data", tmp_path / "divided" / "train")
    shutil.copytree(tmp_path / "data", tmp_path / "divided" / "test")
    divided = load("recordings", data_dir=tmp_path / "divided", **options)
    assert divided.train.labels.tolist() == divided.test.labels.tolist() == [0] * 5 + [1] * 5


def test_folders_that_hold_no_recordings_say_what_to_put_there(tmp_path):
    def fails_with(message, error=DataNotFoundError):
        with pytest.raises(error, match=message):
            load("recordings", data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", time_steps=2)

    fails_with(
        r"expected a folder for each of two classes or more in .*is not a folder\. put recordings there as <class>"
    )
    own(tmp_path / "data", ("a", "b"), count=1)
    fails_with("expected two recordings or more in .*/a, one for a test, got 1", ValueError)
    shutil.rmtree(tmp_path / "data" / "a")
    fails_with("holds b.")
    (tmp_path / "data" / "a").mkdir()
    fails_with(r"expected recordings \(\*\.bin, \*\.aedat, \*\.npy, \*\.npz, \*\.h5\) in .*/a\. .* holds nothing")


@pytest.fixture
def few(monkeypatch):
    """Generators that make a few recordings."""
    pixels = np.random.default_rng(0).integers(0, 17, (30, 64)).astype(float)
    part = Split(pixels, np.arange(30) % 10)
    monkeypatch.setattr(saccades, "small_splits", lambda: (part, Split(pixels[:10], part.labels[:10])))
    for module, train, test in ((bars, 2, 1), (randman, 40, 20)):
        monkeypatch.setattr(module, "_TRAIN", train)
        monkeypatch.setattr(module, "_TEST", test)


@pytest.mark.parametrize(
    ("name", "official"), [("saccade_digits", "nmnist"), ("moving_bars", "recordings"), ("randman", "shd")]
)
def test_generated_sets_are_the_same_through_their_official_files(few, tmp_path, name, official):
    if official == "shd":
        pytest.importorskip("h5py")
    options = {"time_steps": 4, "event_values": "counts"}
    made = load(name, cache_dir=tmp_path / "cache", **options)
    assert made.name == name
    assert set(made.train.labels) == set(made.test.labels) == set(range(made.num_classes))
    cached = load(name, cache_dir=tmp_path / "cache", **options)
    np.testing.assert_array_equal(cached.train.samples, made.train.samples)
    generate(name, tmp_path / "files")
    files = load(official, data_dir=tmp_path / "files", cache_dir=tmp_path / "cache", **options)
    if official == "shd":
        assert not files.train.samples[..., randman.UNITS :].any()
        samples, order = files.train.samples[..., : randman.UNITS], np.arange(40)
        assert (samples != made.train.samples).mean() < 0.01  # float16 moves a time over an edge now and then
    else:
        classes = np.arange(10) if official == "nmnist" else np.argsort(np.argsort(bars.DIRECTIONS))
        order = np.argsort(classes[made.train.labels], kind="stable")
        np.testing.assert_array_equal(files.train.samples, made.train.samples[order])
    numbers = [split.train.samples.reshape(len(order), -1).sum(-1) for split in (files, made)]
    np.testing.assert_array_equal(numbers[0], numbers[1][order])
    with pytest.raises(ValueError, match=f"expected an empty folder for {name}"):
        generate(name, tmp_path / "files")


def test_an_unmoved_digit_is_in_the_middle_of_the_sensor():
    weights = saccades._weights(0)
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-12)
    np.testing.assert_allclose(weights.sum(0), 28 / 8)  # eight pixels of the digit over 28 of the sensor
    np.testing.assert_allclose(saccades._weights(1)[1:], weights[:-1], atol=1e-12)


def test_generators_depend_on_the_seed_alone(few):
    for name, generator in GENERATORS.items():
        first, again, other = (generator.make(seed)[0] for seed in (3, 3, 4))
        assert first.events.dtype == EVENT
        assert first.events.tobytes() == again.events.tobytes(), name
        assert first.events.tobytes() != other.events.tobytes(), name
        for events in first.each():
            assert (np.diff(events["t"]) >= 0).all()
        height, width = generator.size
        assert first.events["x"].max() < width
        assert first.events["y"].max() < height
    with pytest.raises(
        ValueError, match="unknown generator 'bars', expected one of saccade_digits, moving_bars, randman"
    ):
        generate("bars", "nowhere")


def test_every_unit_of_randman_fires_once(few):
    for events in randman.make(0)[1].each():
        assert sorted(events["x"].tolist()) == list(range(100))
        assert events["t"].min() >= 0
        assert events["t"].max() < randman.DURATION


def test_every_set_of_events_refuses_bad_bins_before_it_reads(tmp_path):
    for name, source in DATASETS.items():
        if source.events:
            with pytest.raises(ValueError, match="events are binned by one of"):
                load(name, data_dir=tmp_path / "nowhere", cache_dir=tmp_path, time_steps=2, event_bins="number")


def test_an_archive_without_its_entry_is_refused(tmp_path):
    shutil.make_archive(str(tmp_path / "a"), "zip", own(tmp_path / "data", ("b",)))
    md5 = hashlib.md5((tmp_path / "a.zip").read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=r"a\.zip holds no c: download it again"):
        archives.unpack(tmp_path / "a.zip", md5, "c", tmp_path / "cache")


def test_rows_of_labels():
    text = "class,startTime_usec,endTime_usec\r\n1,5,9\r\n\r\n11,9,12\r\n"
    assert dvs128gesture.rows(text, "a.csv") == [(1, 5, 9), (11, 9, 12)]
