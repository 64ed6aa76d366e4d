"""The cache of decoded splits: what was written comes back, and damage is noticed, always."""

import os
import shutil
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jaxsnn.data import cache


def _split(seed: int = 0, count: int = 5) -> cache.Split:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 4, 3, 1), dtype=np.uint8)
    return cache.Split(images, rng.integers(0, 10, count, dtype=np.int32))


def _same(a: cache.Split, b: cache.Split) -> bool:
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def _refuse() -> cache.Split:
    raise AssertionError("decoded although the cache has it")


def test_miss_decodes_then_hit_does_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "set.npz"
    assert _same(cache.fetch(path, _split), _split())
    hit = cache.fetch(path, _refuse)
    assert _same(hit, _split())
    assert all(array.flags.writeable for array in hit)
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
        content[content.index(_split().images.tobytes()) + 7] ^= 1
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

    monkeypatch.setattr(np, "savez", full_disk)
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
