"""The table of data sets: embedded digits, prepared TFDS folders (tiny ones made here, real ones if any), errors."""

import io
import json
import shutil
import socket
import subprocess
import sys
import time
import types
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from jaxsnn.data import DATASETS, Binning, DataNotFoundError, Dataset, Source, Split, dataset, digits, load, tfds

REPO = Path(__file__).resolve().parents[2]
DIGITS_CRC32 = [2199829709, 2778703514, 2479276547, 496582940]  # of the four arrays, in the order of the fields


@pytest.fixture
def real_data(prepared_data: Path) -> Path:
    """A folder of really prepared sets, as TFDS lays them out."""
    return prepared_data / "tfds"


def _tiny_images(count: int, offset: int = 0) -> np.ndarray:
    return np.random.default_rng(count + offset).integers(0, 256, (count, 8, 6, 1), dtype=np.uint8)


def _prepare(
    data_dir: Path,
    *,
    offset: int = 0,
    classes: int = 10,
    counts: Mapping[str, int] = MappingProxyType({"train": 1100, "test": 20}),
    sizes: Sequence[tuple[int, int]] = ((8, 6),),
    dtype: type = np.uint8,
    feature: str = "image",
    name: str = "mnist",
    names: Sequence[str] | None = None,
) -> Path:
    """Prepares a tiny "mnist" of 1,100 and 20 images as array_record, without TensorFlow."""
    image_module = pytest.importorskip("PIL.Image")
    writer_module = pytest.importorskip("array_record.python.array_record_module")
    tfds = pytest.importorskip("tensorflow_datasets")
    folder, stem = data_dir / name / "3.0.1", name.partition("/")[0]
    folder.mkdir(parents=True)
    shape = (*(sizes[0] if len(sizes) == 1 else (None, None)), 1)
    image, label = (
        tfds.features.Image(shape=shape, dtype=dtype),
        tfds.features.ClassLabel(num_classes=None if names else classes, names=names),
    )
    features = tfds.features.FeaturesDict({feature: image, "label": label})
    splits = []
    for split, count in counts.items():
        writer = writer_module.ArrayRecordWriter(f"{folder}/{stem}-{split}.array_record-00000-of-00001", "group_size:1")
        for i, pixels in enumerate(_tiny_images(count, offset)):
            png = io.BytesIO()
            height, width = sizes[i % len(sizes)]
            image_module.fromarray(pixels[:height, :width, 0].astype(dtype)).save(png, "PNG")
            writer.write(features.serialize_example({feature: png.getvalue(), "label": i % classes}))
        writer.close()
        pattern = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
        names = tfds.core.ShardedFileTemplate(folder, pattern, stem, split, "array_record")
        splits.append(tfds.core.SplitInfo(name=split, shard_lengths=[count], num_bytes=0, filename_template=names))
    tfds.folder_dataset.write_metadata(data_dir=folder, features=features, split_infos=splits, check_data=False)
    return folder


@pytest.fixture(scope="module")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _prepare(tmp_path_factory.mktemp("tfds")).parents[1]


def _is_tiny(data: Dataset, offset: int = 0) -> bool:
    pairs = (data.train.samples, _tiny_images(1100, offset)), (data.test.samples, _tiny_images(20, offset))
    return all(np.array_equal(ours, theirs) for ours, theirs in pairs)


def test_digits_shapes_types_and_stratified_split() -> None:
    data = load("digits")
    assert (data.name, data.num_classes) == ("digits", 10)
    assert (data.train.samples.shape, data.train.labels.shape) == ((1438, 16, 16, 1), (1438,))
    assert (data.test.samples.shape, data.test.labels.shape) == ((359, 16, 16, 1), (359,))
    assert data.train.samples.dtype == data.test.samples.dtype == np.uint8
    assert data.train.labels.dtype == data.test.labels.dtype == np.int32
    assert (data.train.samples.min(), data.train.samples.max()) == (0, 255)
    train, test = np.bincount(data.train.labels), np.bincount(data.test.labels)
    assert len(train) == len(test) == 10
    np.testing.assert_array_equal(test, np.rint(0.2 * (train + test)))


def test_digits_never_change() -> None:
    # Published numbers rest on this split: a new checksum here is a new data set and needs a new name.
    data = load("digits")
    assert [zlib.crc32(array.tobytes()) for array in (*data.train, *data.test)] == DIGITS_CRC32


def test_upscale_against_hand_made_weights() -> None:
    images = np.tile([0.0, 4.0, 8.0, 4.0], (1, 4, 1))  # constant down the columns
    expected = [0, 1, 3, 5, 7, 7, 5, 4]  # weights 1/4 and 3/4, edges repeated
    np.testing.assert_array_equal(digits._upscale(images, 8), np.tile(expected, (1, 8, 1)))
    np.testing.assert_array_equal(digits._upscale(images.transpose(0, 2, 1), 8)[0, :, 0], expected)


def test_digits_without_sklearn_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "\.\[digits\]"'):
        load("digits")


def test_reading_touches_no_network(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("touched the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    data = load("mnist", data_dir=tiny_data, cache_dir=tmp_path)
    assert _is_tiny(data)
    np.testing.assert_array_equal(data.train.labels, np.arange(1100) % 10)
    np.testing.assert_array_equal(data.test.labels, np.arange(20) % 10)
    assert data.train.labels.dtype == np.int32


def test_hit_equals_miss_and_imports_no_tfds(tiny_data: Path, tmp_path: Path) -> None:
    load("mnist", data_dir=tiny_data, cache_dir=tmp_path)
    program = (
        "import sys, jaxsnn.data\n"
        "heavy = {'tensorflow_datasets', 'tensorflow', 'sklearn', 'tqdm'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "data = jaxsnn.data.load('mnist', data_dir=sys.argv[1], cache_dir=sys.argv[2])\n"
        "print(sorted(heavy & set(sys.modules)), data.train.samples.sum(), data.test.labels.sum())\n"
    )
    command = [sys.executable, "-c", program, str(tiny_data), str(tmp_path)]
    output = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == ["[]", f"[] {_tiny_images(1100).sum()} {2 * 45}"]


def test_defaults_come_from_the_environment(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny_data))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _is_tiny(load("mnist"))
    assert len(list((tmp_path / "jaxsnn").iterdir())) == 2
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(DataNotFoundError, match=f"{tmp_path}/tensorflow_datasets/mnist"):
        load("mnist")


def test_two_data_dirs_do_not_share_the_cache(tiny_data: Path, tmp_path: Path) -> None:
    _prepare(tmp_path / "other", offset=1)
    for _ in range(2):
        assert _is_tiny(load("mnist", data_dir=tiny_data, cache_dir=tmp_path / "cache"))
        assert _is_tiny(load("mnist", data_dir=tmp_path / "other", cache_dir=tmp_path / "cache"), offset=1)
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_newest_complete_version_is_read(tmp_path: Path) -> None:
    for version in ("3.0.9", "3.0.10", "3.0.11.incompleteAB12"):
        (tmp_path / "mnist" / version).mkdir(parents=True)
        (tmp_path / "mnist" / version / "dataset_info.json").touch()
    (tmp_path / "mnist" / "4.0.0").mkdir()
    assert tfds._newest(tmp_path, "mnist") == tmp_path / "mnist" / "3.0.10"


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("cifar-10", "unknown data set 'cifar-10', expected one of digits, mnist, .*did you mean 'cifar10'"),
        ("MNIST", "did you mean 'mnist'"),
        ("svhn", "did you mean 'svhn_cropped'"),
        ("imagenet", "expected one of [a-z0-9_, ]*, or an image set that TFDS prepared in .*, which has none$"),
    ],
)
def test_unknown_name(name: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=match):
        load(name, data_dir=tmp_path)


def test_any_image_set_that_is_prepared_is_found_by_its_name(tmp_path: Path) -> None:
    """Its classes and their names are the set's own; without a split test a fifth of every class is tested on."""
    letters = ["ka", "sa", "ta"]
    _prepare(tmp_path / "data", name="letters", classes=3, names=letters, counts={"train": 30, "test": 6})
    _prepare(tmp_path / "data", name="land/grey", classes=3, counts={"train": 30})
    where = {"data_dir": tmp_path / "data", "cache_dir": tmp_path / "cache"}
    data = load("letters", **where)
    assert (data.name, data.num_classes, data.classes) == ("letters", 3, tuple(letters))
    np.testing.assert_array_equal(data.test.samples, _tiny_images(6))
    data = load("land/grey", **where)
    assert (data.num_classes, data.classes, np.bincount(data.test.labels).tolist()) == (3, (), [2, 2, 2])
    both = np.concatenate([data.train.samples, data.test.samples]).reshape(30, -1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, _tiny_images(30).reshape(30, -1)))
    with pytest.raises(ValueError, match="which has land/grey, letters; did you mean 'letters'"):
        load("leters", **where)
    _prepare(tmp_path / "data", name="masks", feature="mask", counts={"train": 1, "test": 1})
    with pytest.raises(ValueError, match="split 'train' of .* has no image: its features are "):
        load("masks", **where)
    (tmp_path / "data" / "letters" / "3.0.1" / "features.json").write_text('{"featuresDict": {}}', encoding="utf-8")
    with pytest.raises(ValueError, match="no image set with one label each: expected the features image and label"):
        load("letters", **where)


def test_missing_set_says_where_it_looked_and_what_to_do(tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert issubclass(DataNotFoundError, FileNotFoundError)
    with pytest.raises(DataNotFoundError) as caught:
        load("svhn_cropped", data_dir=tiny_data)
    place = f"{tiny_data}/svhn_cropped/<version>/dataset_info.json"
    for part in (place, "Sets prepared there: mnist.", 'pip install ".[prepare]"', "data_dir (or TFDS_DATA_DIR)"):
        assert part in str(caught.value)
    with pytest.raises(DataNotFoundError, match=r"nowhere is not a folder\). Sets prepared there: none"):
        load("mnist", data_dir=tiny_data / "nowhere")


def test_missing_set_is_prepared_where_tensorflow_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def builder(name: str, *, data_dir: str, file_format: str) -> types.SimpleNamespace:
        calls.append((name, file_format))
        return types.SimpleNamespace(download_and_prepare=lambda: _prepare(Path(data_dir)))

    monkeypatch.setattr("tensorflow_datasets.builder", builder)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    assert _is_tiny(load("mnist", data_dir=tmp_path / "data", cache_dir=tmp_path / "cache"))
    assert calls == [("mnist", "array_record")]


def test_other_file_format_says_how_to_prepare(tmp_path: Path) -> None:
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(json.dumps({"name": "mnist", "fileFormat": "tfrecord"}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"prepared as tfrecord, expected array_record.*file_format='array_record'"):
        load("mnist", data_dir=tmp_path)
    (folder / "dataset_info.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"dataset_info.json is not valid JSON"):
        load("mnist", data_dir=tmp_path)


def test_incomplete_set_is_an_error_and_not_cached(tiny_data: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_data, tmp_path / "data")
    (shard,) = (tmp_path / "data").glob("mnist/*/mnist-test*")
    shard.unlink()
    with pytest.raises(OSError, match=r"cannot read split 'test' of .*3\.0\.1, which is damaged or incomplete"):
        load("mnist", data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*test*"))


def test_labels_beyond_the_classes_are_an_error_and_not_cached(tmp_path: Path) -> None:
    _prepare(tmp_path / "data", classes=11)
    with pytest.raises(ValueError, match=r"split 'train' of .*: expected labels in \[0, 10\), got 0 to 10"):
        load("mnist", data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("images", "labels", "match"),
    [
        (np.zeros((2, 3, 3, 1), np.float32), np.zeros(2, int), "images uint8 .*, got float32"),
        (np.zeros((2, 3, 3), np.uint8), np.zeros(2, int), r"\[N, H, W, C\], got uint8 \[2, 3, 3\]"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(3, int), r"each of the 2 samples, got int64 \[3\]"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2), "got float64"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.array([0, -1]), "got -1 to 0"),
        (
            np.zeros((0, 3, 3, 1), np.uint8),
            np.zeros(0, int),
            r"here is empty: expected samples \[N, ...\], N >= 1, got",
        ),
    ],
)
def test_malformed_data_is_refused(images: np.ndarray, labels: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        dataset.check_images(Split(images, labels), 10, "here")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"counts": {"train": 20}}, r"mnist/3\.0\.1 has no split 'test', which is needed: it has train"),
        ({"counts": {"train": 20, "test": 0}}, r"split 'test' of .*mnist/3\.0\.1 is empty: expected images, got none"),
        ({"sizes": [(8, 6), (7, 6)]}, r"images of split 'train' of .*mnist/3\.0\.1 vary in size \(7x6x1 and 8x6x1\)"),
        ({"dtype": np.uint16}, r"split 'train' of .*mnist/3\.0\.1: expected images uint8 \[N, H, W, C\], got uint16"),
        ({"feature": "picture"}, r"split 'train' of .*mnist/3\.0\.1 has no image: its features are .*picture"),
    ],
)
def test_other_sets_are_refused_with_name_and_folder(tmp_path: Path, changes: dict, match: str) -> None:
    _prepare(tmp_path / "data", **({"counts": {"train": 20, "test": 20}} | changes))
    with pytest.raises(ValueError, match=match):
        load("mnist", data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


def _vectors(count: int, *shape: int, classes: int = 3) -> Split:
    return Split(np.ones((count, *shape), np.float32), np.arange(count) % classes)


def test_a_set_of_ones_own_is_loaded_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors, and rasters of event data, whose loader gets the options of the bins."""

    def rasters(data_dir: Path, cache_dir: Path, *, binning: Binning) -> Dataset:
        return Dataset("rasters", _vectors(4, binning.steps, 7), _vectors(2, binning.steps, 7), 3, binning.describe())

    vectors = Dataset("vectors", _vectors(6, 10), _vectors(3, 10), num_classes=3)
    monkeypatch.setitem(DATASETS, "vectors", Source(lambda *_: vectors, "Vectors"))
    monkeypatch.setitem(DATASETS, "rasters", Source(rasters, "Rasters", events=True))
    data = load("vectors")
    assert data.train.samples.shape == (6, 10)
    assert data.train.labels.dtype == np.int32
    data = load("rasters", time_steps=5)
    assert (data.train.samples.shape, data.description) == ((4, 5, 7), "5 bins of equal time, binary")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"test": _vectors(0, 10)},
            r"the test split of the data set 'own' is empty: expected samples \[N, ...\], N >= 1",
        ),
        (
            {"train": _vectors(6, 10, classes=4)},
            r"the train split of the data set 'own': expected labels in \[0, 3\), got 0",
        ),
        ({"test": _vectors(2, 9)}, "samples of the data set 'own' have other shapes in training than in test"),
        ({"train": Split(np.ones((6, 10)), np.zeros(5, int))}, "expected one integer label for each of the 6 samples"),
    ],
)
def test_a_wrong_set_of_ones_own_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, changes: dict, match: str
) -> None:
    data = Dataset("own", _vectors(6, 10), _vectors(3, 10), num_classes=3)._replace(**changes)
    monkeypatch.setitem(DATASETS, "own", Source(lambda *_: data, "Own"))
    with pytest.raises(ValueError, match=match):
        load("own")


@pytest.mark.thorough
def test_real_mnist_counts_and_second_load(real_data: Path, tmp_path: Path) -> None:
    first = load("mnist", data_dir=real_data, cache_dir=tmp_path)
    assert (first.train.samples.shape, first.test.samples.shape) == ((60_000, 28, 28, 1), (10_000, 28, 28, 1))
    assert np.bincount(first.train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(first.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    start = time.perf_counter()
    second = load("mnist", data_dir=real_data, cache_dir=tmp_path)
    assert time.perf_counter() - start < 2
    for a, b in zip((*first.train, *first.test), (*second.train, *second.test), strict=True):
        np.testing.assert_array_equal(a, b)
