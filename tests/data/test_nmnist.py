"""N-MNIST: tiny folders made here, real recordings where there are any; the cache of parsed recordings."""

import hashlib
import os
import re
import shutil
import warnings
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from jaxsnn.data import Binning, DataNotFoundError, archives, load, memory, nmnist, recordings
from jaxsnn.data import array_files as files
from jaxsnn.data.dataset import held
from jaxsnn.data.formats import aer

SPLITS = {"Train": 3, "Test": 1}  # recordings per digit
NUMBERS = (20, 30, 10)  # their file names, in the order of writing: neither rising nor falling


def write_tree(root: Path) -> Path:
    """A folder with Train and Test; recording k of a digit d has 10 + d + k events."""
    for split, count in SPLITS.items():
        for digit in range(10):
            folder = root / split / str(digit)
            folder.mkdir(parents=True)
            for k in range(count):
                rng = np.random.default_rng([digit, k, count])
                rows = rng.integers(0, 256, (10 + digit + k, 5), dtype=np.uint8)
                rows[:, :2] %= 34
                rows[:, 2] = rows[:, 2] & 128  # times below 2**16 us
                rows[:, 3] = np.sort(rows[:, 3])
                rows[:, 4] = 0
                (folder / f"{NUMBERS[k]:05d}.bin").write_bytes(rows.tobytes())
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "data")


def same(a: recordings.Recordings, b: recordings.Recordings) -> bool:
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a[:3], b[:3], strict=True))


def refuse(*args: object) -> None:
    raise AssertionError("parsed although the cache has it")


def test_load_bins_both_splits(tree: Path, tmp_path: Path) -> None:
    data = load("nmnist", data_dir=tree, cache_dir=tmp_path / "cache", time_steps=4, event_values="counts")
    assert (data.name, data.num_classes) == ("nmnist", 10)
    assert data.description == "4 bins of equal time, counts up to 255"
    assert (data.train.samples.shape, data.test.samples.shape) == ((30, 4, 34, 34, 2), (10, 4, 34, 34, 2))
    assert data.train.samples.dtype == data.test.samples.dtype == np.uint8
    assert data.train.labels.dtype == data.test.labels.dtype == np.int32
    np.testing.assert_array_equal(data.train.labels, np.arange(30) // 3)
    np.testing.assert_array_equal(data.test.labels, np.arange(10))
    expected = [10 + digit + k for digit in range(10) for k in (2, 0, 1)]  # by file name
    assert data.train.samples.sum((1, 2, 3, 4)).tolist() == expected


def test_other_bins(tree: Path, tmp_path: Path) -> None:
    for steps in (2, 3):  # binned from one cache
        data = held(nmnist.load(tree, tmp_path / "cache", binning=Binning(steps, "count")))
        assert data.description == f"{steps} bins of equal event count, binary"
        assert data.train.samples.shape[1] == steps
        assert data.train.samples.max() == 1
    assert len(os.listdir(tmp_path / "cache")) == 2


@pytest.mark.parametrize("name", ["nmnist", "N-MNIST"])
def test_folder_in_the_data_folder_is_found(tmp_path: Path, name: str) -> None:
    write_tree(tmp_path / name)
    assert len(nmnist.load(tmp_path, tmp_path / "cache", binning=Binning(1)).train.labels) == 30


def test_time_steps_are_required_for_events_and_ignored_for_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'nmnist' is event data, .*: pass time_steps"):
        load("nmnist", data_dir=tmp_path)
    images = load("digits", time_steps=3, event_bins="count")
    assert (images.train.samples.ndim, images.description) == (4, "")


def test_bad_bins_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    for change in ({"steps": 0}, {"by": "number"}, {"values": "sum"}):
        with pytest.raises(ValueError, match="must be an integer|one of time, count, duration|one of binary, counts"):
            nmnist.load(tmp_path / "nowhere", tmp_path, binning=Binning(**({"steps": 1} | change)))


def test_missing_tree_says_where_it_looked_what_is_there_and_where_the_data_is(tmp_path: Path) -> None:
    (tmp_path / "nmnist" / "Train").mkdir(parents=True)
    with pytest.raises(DataNotFoundError) as caught:
        load("nmnist", data_dir=tmp_path, time_steps=1)
    for part in (
        f"expected Train and Test in {tmp_path}, {tmp_path}/nmnist or {tmp_path}/N-MNIST. ",
        f"{tmp_path} holds nmnist. {tmp_path}/nmnist holds Train. ",
        "www.garrickorchard.com/datasets/n-mnist (Orchard et al. 2015)",
        "point data_dir at it",
    ):
        assert part in str(caught.value)
    with pytest.raises(DataNotFoundError, match=r"N-MNIST\. .*nowhere is not a folder\. N-MNIST is published"):
        load("nmnist", data_dir=tmp_path / "nowhere", time_steps=1)


def test_missing_digits_and_recordings(tree: Path, tmp_path: Path) -> None:
    def fails_with(message: str) -> None:
        with pytest.raises(DataNotFoundError, match=re.escape(message)):
            nmnist.load(tree, tmp_path / "cache", binning=Binning(1))

    train = tree / "Train"
    for file in (train / "3").iterdir():
        file.rename(file.with_suffix(".txt"))
    fails_with(f"expected recordings (*.bin) in {train}/3. {train}/3 holds 00010.txt, 00020.txt, 00030.txt. N-MNIST is")
    shutil.rmtree(train / "3")
    (train / "3").mkdir()
    (train / "3" / "._00010.bin").touch()  # what macOS leaves
    fails_with(f"expected recordings (*.bin) in {train}/3. {train}/3 holds ._00010.bin.")
    shutil.rmtree(train / "3")
    shutil.rmtree(train / "7")
    holds = f"{train} holds 0, 1, 2, 4, 5, 6, 8, 9. N-MNIST is"
    fails_with(f"expected the folders 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 in {train}, without 3, 7. {holds}")
    shutil.rmtree(train)
    train.mkdir()
    fails_with(f"in {train}, without 0, 1, 2, 3, 4, 5, 6, 7, 8, 9. {train} holds nothing.")


def test_damaged_recording_is_named_and_nothing_is_cached(tree: Path, tmp_path: Path) -> None:
    file = tree / "Train" / "4" / "00020.bin"
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(ValueError, match=r"Train/4/00020\.bin: at byte 65: expected an event of 5 bytes, got 3"):
        nmnist.load(tree, tmp_path / "cache", binning=Binning(1))
    assert not (tmp_path / "cache").exists()


def test_second_load_maps_the_cache_and_parses_nothing(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = nmnist.read_split(tree / "Train", tmp_path / "cache")
    monkeypatch.setattr(aer, "parse", refuse)
    second = nmnist.read_split(tree / "Train", tmp_path / "cache")
    assert same(first, second)
    assert not any(array.flags.writeable or array.flags.owndata for array in second[:3])
    assert all(array.flags.aligned for array in second[:3])
    (file,) = (tmp_path / "cache").iterdir()
    assert re.fullmatch(r"nmnist-train-[0-9a-f]{16}\.arrays", file.name)


def test_changed_recordings_are_read_anew(tree: Path, tmp_path: Path) -> None:
    for change in ("none", "contents", "time", "new file", "moved"):
        file = tree / "Train" / "2" / "00010.bin"
        if change == "contents":
            file.write_bytes(file.read_bytes()[:-5])
        elif change == "time":
            os.utime(file, ns=(0, 0))
        elif change == "new file":
            shutil.copy(file, file.with_name("00040.bin"))
        elif change == "moved":
            tree = tree.rename(tmp_path / "elsewhere")
        nmnist.read_split(tree / "Train", tmp_path / "cache")
    assert len(os.listdir(tmp_path / "cache")) == 5


def test_any_flipped_byte_and_any_truncation_is_noticed(tmp_path: Path) -> None:
    arrays = [np.arange(3), np.zeros(0, np.int32), np.arange(5, dtype=np.uint8)]
    path = tmp_path / "some.arrays"
    files.write_arrays(path, arrays)
    mapped = files.map_arrays(path)
    assert [a.dtype for a in mapped] == [a.dtype for a in arrays]
    assert [a.tolist() for a in mapped] == [a.tolist() for a in arrays]
    with path.open("rb") as stream:  # readable without this package
        np.testing.assert_array_equal(np.load(stream), arrays[0])
    content = path.read_bytes()
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        for damaged in (flipped, content[:position]):
            path.write_bytes(damaged)
            with pytest.raises(ValueError):  # noqa: PT011 - an empty file cannot even be mapped
                files.map_arrays(path)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "other"])
def test_damaged_cache_is_rebuilt_with_a_warning(tree: Path, tmp_path: Path, damage: str) -> None:
    cached = tmp_path / "cache"
    expected = nmnist.read_split(tree / "Test", cached)
    (file,) = cached.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    elif damage == "other":
        files.write_arrays(file, [np.zeros(3)])
        content = bytearray(file.read_bytes())
    else:
        del content[0 if damage == "empty" else len(content) // 2 :]
    file.write_bytes(content)
    with pytest.warns(RuntimeWarning, match=re.escape(f"rebuilding the cache file {file}")) as caught:
        assert same(nmnist.read_split(tree / "Test", cached), expected)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(nmnist.read_split(tree / "Test", cached), expected)
    assert os.listdir(cached) == [file.name]


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r._replace(starts=r.starts[::-1].copy()),
        lambda r: r._replace(starts=r.starts * 2),
        lambda r: r._replace(labels=r.labels[:-1]),
        lambda r: r._replace(events=r.events["t"]),
        lambda r: r._replace(events=r.events[:-1]),
    ],
)
def test_recordings_that_do_not_fit_together_are_rebuilt(tree: Path, tmp_path: Path, change: Callable) -> None:
    """Their checksum is right, as of a file that somebody made."""
    expected = nmnist.read_split(tree / "Test", tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    recordings.save_arrays(file, change(expected))
    with pytest.warns(RuntimeWarning, match="rebuilding the cache file .*recordings"):
        assert same(nmnist.read_split(tree / "Test", tmp_path / "cache"), expected)


def test_unwritable_cache_warns_and_goes_on(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(RuntimeWarning, match=r"going on uncached.*nmnist-test-.*\.arrays"):
        assert len(nmnist.read_split(tree / "Test", tmp_path / "file" / "cache").labels) == 10


def test_real_recordings(prepared_data: Path, tmp_path: Path) -> None:
    if not (prepared_data / "nmnist").is_dir():
        pytest.skip("no real recordings: the folder of real data holds no nmnist/")
    # The part of the set that is kept for tests: 1,000 of 60,000 and 100 of 10,000, drawn from all digits.
    for split, count, smallest in (("Train", 1000, 80), ("Test", 100, 2)):
        found = nmnist.read_split(prepared_data / "nmnist" / split, tmp_path)
        events, lengths = found.events, np.diff(found.starts)
        assert len(lengths) == len(found.labels) == count
        assert np.bincount(found.labels, minlength=10).min() >= smallest
        assert 3500 < lengths.mean() < 4500
        assert 1000 < lengths.min() <= lengths.max() < 8000
        first, last = events["t"][found.starts[:-1]], events["t"][found.starts[1:] - 1]
        assert 0 <= first.min() <= first.max() < 30_000
        assert 290_000 < (last - first).min() <= (last - first).max() < 320_000  # three saccades of 0.1 s
        assert last.max() < 350_000
        assert 0.45 < events["p"].mean() < 0.55
        assert events["x"].max() == events["y"].max() == 33
        assert same(nmnist.read_split(prepared_data / "nmnist" / split, tmp_path), found)
    data = load("nmnist", data_dir=prepared_data, cache_dir=tmp_path, time_steps=5, event_values="counts")
    assert data.test.samples.sum() == len(events)
    assert 7 < data.test.samples.max() < 255
    # The frames that every earlier version made of these files.
    for bins, values, sums in (
        ("time", "binary", (4067247246, 3611601809, 2198041073, 2508243932)),
        ("count", "counts", (1909326094, 3611601809, 3480723139, 2508243932)),
    ):
        steps = 10 if bins == "time" else 7
        options = {"time_steps": steps, "event_bins": bins, "event_values": values}
        data = load("nmnist", data_dir=prepared_data, cache_dir=tmp_path, **options)
        assert tuple(zlib.crc32(array.tobytes()) for array in (*data.train, *data.test)) == sums


def test_official_archives_are_verified_and_unpacked(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load("nmnist", data_dir=tree, cache_dir=tmp_path / "cache", time_steps=2)
    for split in SPLITS:
        shutil.make_archive(str(tmp_path / "zipped" / split), "zip", tree, split)
    with pytest.raises(ValueError, match=r"Train\.zip is damaged, or not the published file: its md5 is"):
        load("nmnist", data_dir=tmp_path / "zipped", cache_dir=tmp_path / "cache", time_steps=2)
    for split in SPLITS:
        md5 = hashlib.md5((tmp_path / "zipped" / f"{split}.zip").read_bytes()).hexdigest()
        monkeypatch.setitem(nmnist.ARCHIVES, split, archives.Archive(f"{split}.zip", md5))
    for _ in range(2):
        data = load("nmnist", data_dir=tmp_path / "zipped", cache_dir=tmp_path / "cache", time_steps=2)
        np.testing.assert_array_equal(data.train.samples, expected.train.samples)
    assert len(os.listdir(tmp_path / "cache" / "nmnist")) == 2


def test_memory_is_estimated_before_it_is_taken(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 40 * 4 * 34 * 34 * 2
    for free, outcome in (
        (None, None),
        (2 * size, None),
        (2 * size - 1, "warns"),
        (size, "warns"),
        (size - 1, "raises"),
    ):
        monkeypatch.setattr(memory, "available", lambda free=free: free)
        message = r"40 samples \[4, 34, 34, 2\] of nmnist take 0.00037 GB, .* let them stay in their files"
        with {
            None: nullcontext(),
            "warns": pytest.warns(RuntimeWarning, match=message),
            "raises": pytest.raises(ValueError, match=message),
        }[outcome]:
            load("nmnist", data_dir=tree, cache_dir=tmp_path / "cache", time_steps=4)


def test_memory_that_is_free(tmp_path: Path) -> None:
    """The least of the machine's and the container's, if they are known."""
    assert memory.available(tmp_path) is None
    for name, content, expected in (
        ("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:   5 kB\n", 5120),
        ("sys/fs/cgroup/memory.current", "96\n", 5120),
        ("sys/fs/cgroup/memory.max", "max\n", 5120),
        ("sys/fs/cgroup/memory.max", "100\n", 4),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert memory.available(tmp_path) == expected
