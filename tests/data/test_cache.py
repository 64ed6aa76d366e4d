"""The cache of decoded splits: what was written comes back, and damage is noticed, always."""

import io
import os
import shutil
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jaxsnn.data import Split, cache, memory
from jaxsnn.data.array_files import map_arrays


def _split(seed: int = 0, count: int = 5) -> Split:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 4, 3, 1), dtype=np.uint8)
    return Split(images, rng.integers(0, 10, count, dtype=np.int32))


def _same(a: Split, b: Split) -> bool:
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def _refuse() -> Split:
    raise AssertionError("decoded although the cache has it")


def test_miss_decodes_then_hit_does_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "set.npz"
    assert _same(cache.fetch(path, _split), _split())
    hit = cache.fetch(path, _refuse)
    assert _same(hit, _split())
    assert hit.labels.flags.writeable
    assert np.asarray(hit.samples).flags.writeable
    assert os.listdir(path.parent) == ["set.npz"]


def test_any_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    path, damaged = tmp_path / "set.npz", tmp_path / "damaged.npz"
    cache.write(path, _split())
    original = path.read_bytes()
    noticed = 0
    for position in range(len(original)):
        content = bytearray(original)
        content[position] ^= 1 << (position % 8)
        damaged.write_bytes(content)
        try:
            split = cache.read(damaged)
        except Exception:
            noticed += 1
        else:  # fields of the zip format that do not matter here, as dates and attributes
            assert _same(split, _split()), position
    assert noticed > len(original) // 2


def test_any_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    cache.write(path, _split())
    original = path.read_bytes()
    for size in range(len(original)):
        path.write_bytes(original[:size])
        with pytest.raises(Exception):  # noqa: B017, PT011 - of many types, as documented
            cache.read(path)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "other members"])
def test_damaged_file_is_rebuilt_with_a_warning(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "set.npz"
    cache.write(path, _split())
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[content.index(_split().samples.tobytes()) + 7] ^= 1
        path.write_bytes(content)
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        np.savez(path, something=np.zeros(3))
    with pytest.warns(RuntimeWarning, match="rebuilding the cache file .*set.npz"):
        assert _same(cache.fetch(path, _split), _split())
    assert _same(cache.fetch(path, _refuse), _split())


@pytest.mark.parametrize("count", [5, 5000])
def test_header_that_asks_for_less_is_noticed(tmp_path: Path, count: int) -> None:
    # With equal lengths and the right types, only the checksum can tell; it must not be skipped by reading less.
    path = tmp_path / "set.npz"
    cache.write(path, _split(count=count))
    content, shape = path.read_bytes(), f"({count}, 4, 3, 1)".encode()
    assert content.count(shape) == 1
    path.write_bytes(content.replace(shape, shape.replace(b"3", b"2")))
    with pytest.raises(zipfile.BadZipFile, match="Bad CRC-32"):
        cache.read(path)


def test_unwritable_folder_warns_and_goes_on(tmp_path: Path) -> None:
    # Below a regular file: no user can create that folder, not even root.
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "cache" / "set.npz"
    with pytest.warns(RuntimeWarning, match="going on uncached.*set.npz") as caught:
        assert _same(cache.fetch(path, _split), _split())
    assert len(caught) == 1


def test_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "open", full_disk)
    with pytest.warns(RuntimeWarning, match="no space left"):
        cache.fetch(tmp_path / "set.npz", _split)
    assert os.listdir(tmp_path) == []


def test_error_of_the_decoder_is_passed_on_and_not_cached(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="decoded although"):
        cache.fetch(tmp_path / "set.npz", _refuse)
    assert os.listdir(tmp_path) == []


def test_many_readers_and_writers_at_once(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    expected = _split(count=2000)

    def work(turn: int) -> bool:
        if turn % 2:
            cache.write(path, expected)
        return _same(cache.fetch(path, lambda: expected), expected)

    with warnings.catch_warnings(), ThreadPoolExecutor(8) as pool:
        warnings.simplefilter("error")
        assert all(pool.map(work, range(40)))
    assert os.listdir(tmp_path) == ["set.npz"]


def _source(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}", encoding="utf-8")
    (folder / "set-train.array_record-00000-of-00001").write_bytes(b"1234")
    return folder


def test_path_names_set_version_and_split(tmp_path: Path) -> None:
    source = _source(tmp_path / "set" / "1.2.3")
    path = cache.path_for(tmp_path / "cache", source, "train")
    assert path.parent == tmp_path / "cache"
    assert path.name == f"set-1.2.3-train-{cache.fingerprint(source)}.npz"
    assert path != cache.path_for(tmp_path / "cache", source, "test")


def test_fingerprint_tells_folders_and_contents_apart(tmp_path: Path) -> None:
    source = _source(tmp_path / "set" / "1.0.0")
    seen = {cache.fingerprint(source)}
    assert cache.fingerprint(source) in seen

    copy = tmp_path / "copy" / "1.0.0"
    shutil.copytree(source, copy)
    seen.add(cache.fingerprint(copy))

    info = source / "dataset_info.json"
    before = info.stat()
    info.write_text("[]", encoding="utf-8")  # same size and time, other contents
    os.utime(info, ns=(before.st_atime_ns, before.st_mtime_ns))
    seen.add(cache.fingerprint(source))

    (source / "set-train.array_record-00000-of-00001").write_bytes(b"12345")
    seen.add(cache.fingerprint(source))

    os.utime(source / "set-train.array_record-00000-of-00001", ns=(0, 0))
    seen.add(cache.fingerprint(source))
    assert len(seen) == 5


def test_default_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_dir() == tmp_path / "jaxsnn"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.default_dir() == tmp_path / ".cache" / "jaxsnn"


def _npy(shape: tuple[int, ...], body: bytes = b"", dtype: str = "|u1") -> bytes:
    """An array as a file holds it, whose header may announce anything."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    return header.getvalue() + body


CRAFTED = {
    "negative": _npy((-128,)),
    "two negatives": _npy((-128, -1), b"x" * 128),
    "absurd": _npy((2**60, 4, 4)),
    "overflowing": _npy((2**62, 2**62)),
    "more than there is": _npy((200,), b"x" * 100),
    "objects": _npy((1,), b"x" * 8, "|O"),
    "no header": b"x" * 20,
    "another version": np.lib.format.magic(9, 0) + b"x" * 20,
}


@pytest.mark.parametrize("content", CRAFTED.values(), ids=CRAFTED)
def test_crafted_headers_are_refused_at_once(tmp_path: Path, content: bytes) -> None:
    """A negative size was read for ever, and an absurd one allocated; both checksums are right here."""
    arrays = tmp_path / "set.arrays"
    arrays.write_bytes(content + zlib.crc32(content).to_bytes(4, "little"))
    archive = tmp_path / "set.npz"
    with zipfile.ZipFile(archive, "w") as writing:
        writing.writestr("images.npy", content)
        writing.writestr("labels.npy", _npy((0,)))
    tracemalloc.start()
    for read, path in ((map_arrays, arrays), (cache.read, archive)):
        with pytest.raises(ValueError, match="header|magic"):
            read(path)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    """A few bytes could announce and fill any memory."""
    np.savez_compressed(tmp_path / "set.npz", images=np.zeros(10**6, np.uint8), labels=np.zeros(1, np.int32))
    with pytest.raises(ValueError, match="images is compressed"):
        cache.read(tmp_path / "set.npz")


def test_what_killed_writers_left_is_removed_later(tmp_path: Path) -> None:
    """Not what somebody may still write to, and no other file."""
    code = "import sys, pathlib, os\nfrom jaxsnn.data import array_files\n"
    code += "array_files.write_at_once(pathlib.Path(sys.argv[1]) / 'set.npz', lambda stream: os._exit(9))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    cache.write(tmp_path / "a.npz", _split())
    assert left.exists()
    others = [tmp_path / ".mine.tmp", tmp_path / "other.npz"]
    for file in (left, *others):
        file.touch()
        os.utime(file, (0, 0))
    cache.write(tmp_path / "b.npz", _split())
    assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.npz", tmp_path / "b.npz", *others])


def _parts(count: int = 5, error: Exception | None = None) -> cache.Parts:
    """The split of `_split` in two parts, with an error in the place of the second one."""
    split = _split(count=count)

    def each() -> Iterator[Split]:
        yield Split(*(array[:3] for array in split))
        if error is not None:
            raise error
        yield Split(*(array[3:] for array in split))

    return cache.Parts(count, each())


def test_a_split_is_written_as_it_is_decoded(tmp_path: Path) -> None:
    assert _same(cache.fetch(tmp_path / "set.npz", _parts), _split())
    with np.load(tmp_path / "set.npz") as whole:
        np.testing.assert_array_equal(whole["images"], _split().samples)
    assert _same(cache.fetch(None, _parts), _split())


@pytest.mark.parametrize("error", [ValueError("a damaged part"), OSError("a damaged file")])
def test_error_of_a_later_part_is_passed_on_and_not_cached(tmp_path: Path, error: Exception) -> None:
    """And is not taken for one of writing, after which a run would go on uncached."""
    with pytest.raises(type(error), match="a damaged"):
        cache.fetch(tmp_path / "set.npz", lambda: _parts(error=error))
    assert os.listdir(tmp_path) == []


def test_parts_that_cannot_be_written_are_decoded_again_if_they_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "cache" / "set.npz"
    with pytest.warns(RuntimeWarning, match="going on uncached.*set.npz"):
        assert _same(cache.fetch(path, _parts), _split())
    monkeypatch.setattr(memory, "available", lambda: 10)
    with (
        pytest.warns(RuntimeWarning, match="going on uncached"),
        pytest.raises(ValueError, match="5 samples take .* make room for the cache"),
    ):
        cache.fetch(path, _parts)
