"""Where data sets come from: TFDS folders prepared as array_record, read without TensorFlow, and embedded digits.

Event data has readers of its own, as nmnist.py.
"""

import difflib
import importlib.util
import json
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsnn.data import cache

DISTRIBUTION = "."  # what pip installs, from a checkout, until there is a published one


class Dataset(NamedTuple):
    """A classification set in memory: images `[N, H, W, C]`, or for event data frames `[N, T, H, W, C]`."""

    name: str
    train_images: np.ndarray  # uint8 [N, H, W, C] or [N, T, H, W, C]
    train_labels: np.ndarray  # int32 [N], in [0, num_classes)
    test_images: np.ndarray  # uint8 [M, H, W, C] or [M, T, H, W, C]
    test_labels: np.ndarray  # int32 [M], in [0, num_classes)
    num_classes: int
    description: str = ""  # how the samples were made from recordings, as "20 bins of equal time, binary"


class DataNotFoundError(FileNotFoundError):
    """The set is not prepared in the data folder and cannot be prepared here."""


def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    time_steps: int | None = None,
    event_bins: str = "time",
    event_values: str = "binary",
) -> Dataset:
    """Loads a data set, in the order in which its source stores it.

    Args:
      name: one of `DATASETS`.
      data_dir: folder of prepared TFDS data, `<data_dir>/<name>/<version>`; by default that of TFDS, `$TFDS_DATA_DIR`
        or `~/tensorflow_datasets`. A set that is missing there is downloaded and prepared if TensorFlow is installed.
        For "nmnist", the folder with `Train` and `Test`, or the one around it if it is called nmnist or N-MNIST.
      cache_dir: folder of decoded splits; by default `$XDG_CACHE_HOME/jaxsnn` or `~/.cache/jaxsnn`.
      time_steps: number of time steps T of event data, which cannot be loaded without. This and the next two are for
        `EVENT_DATASETS` only; images have no time, and are the same whatever is given.
      event_bins: what the bins of event data share equally, "time" or "count" (of events).
      event_values: "binary", whether a pixel has events in a bin, or "counts", how many.

    Returns:
      Images as uint8 `[N, H, W, C]`, or `[N, T, H, W, C]` for event data, and labels as int32 `[N]`, of both splits.

    Raises:
      ValueError: the name is unknown, the prepared data is not array_record or not a labelled uint8 image set, a
        recording is damaged, or `time_steps`, `event_bins` or `event_values` is not one of those above.
      DataNotFoundError: the set is not in `data_dir`, or only in part, and cannot be prepared here.
      OSError: the prepared data is damaged or incomplete.
      ImportError: a package is missing that this set needs.
    """
    if name not in DATASETS:
        close = difflib.get_close_matches(str(name).lower(), DATASETS, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown data set {name!r}, expected one of {', '.join(DATASETS)}{hint}")
    data_path = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    cache_path = Path(cache_dir).expanduser() if cache_dir else cache.default_dir()
    if name not in EVENT_DATASETS:
        return DATASETS[name](data_path, cache_path)
    if time_steps is None:
        raise ValueError(f"{name!r} is event data, which is binned into time steps: pass time_steps, as time_steps=20")
    return DATASETS[name](data_path, cache_path, steps=time_steps, by=event_bins, values=event_values)


def _load_digits() -> Dataset:
    """The 1,797 handwritten 8x8 digits inside scikit-learn, as 16x16x1, with a fixed stratified 80/20 split."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        message = f'the data set "digits" comes with scikit-learn: pip install "{DISTRIBUTION}[digits]"'
        raise ImportError(message) from error
    small, classes = load_digits(return_X_y=True)
    pixels = np.rint(_upscale(small.reshape(-1, 8, 8), 16) * (255 / 16))
    images, labels = _checked(pixels.astype(np.uint8)[..., None], classes, 10, "scikit-learn's digits")
    order = np.random.RandomState(0).permutation(len(labels))  # the legacy generator, whose stream NumPy keeps for good
    is_test = np.zeros(len(labels), bool)
    for label in range(10):
        members = order[labels[order] == label]
        is_test[members[: round(0.2 * len(members))]] = True
    return Dataset("digits", images[~is_test], labels[~is_test], images[is_test], labels[is_test], num_classes=10)


def _upscale(images: np.ndarray, size: int) -> np.ndarray:
    """Enlarges square images `[N, n, n]` to `[N, size, size]`, bilinearly: half-pixel centres, edges repeated."""
    n = images.shape[-1]
    positions = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
    weights = np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(n)))  # [size, n]
    enlarged: np.ndarray = weights @ images @ weights.T
    return enlarged


def _load_prepared(name: str, num_classes: int, data_dir: Path, cache_dir: Path) -> Dataset:
    """A TFDS set with the splits train and test and the features image and label."""
    source = _newest(data_dir, name) or _prepare(name, data_dir)
    _check_format(source)
    train, test = (
        cache.fetch(cache.path_for(cache_dir, source, split), partial(_decode, source, split, num_classes))
        for split in ("train", "test")
    )
    return Dataset(name, train.images, train.labels, test.images, test.labels, num_classes)


def _prepared(data_dir: Path, name: str = "*") -> list[Path]:
    """The folders `<data_dir>/<name>/<version>` that hold a prepared set."""
    folders = (info.parent for info in data_dir.glob(f"{name}/*/dataset_info.json"))
    return [folder for folder in folders if re.fullmatch(r"\d+\.\d+\.\d+", folder.name)]


def _newest(data_dir: Path, name: str) -> Path | None:
    return max(_prepared(data_dir, name), key=lambda folder: [int(n) for n in folder.name.split(".")], default=None)


def _prepare(name: str, data_dir: Path) -> Path:
    """Downloads and prepares a set, which only TensorFlow can do, and returns its folder."""
    if importlib.util.find_spec("tensorflow") is not None:
        import tensorflow_datasets as tfds

        tfds.builder(name, data_dir=str(data_dir), file_format="array_record").download_and_prepare()
        if (folder := _newest(data_dir, name)) is not None:
            return folder
    there = ", ".join(sorted({folder.parent.name for folder in _prepared(data_dir)})) or "none"
    raise DataNotFoundError(
        f"the data set {name!r} is not prepared: no {data_dir / name}/<version>/dataset_info.json"
        f"{'' if data_dir.is_dir() else f' ({data_dir} is not a folder)'}. Sets prepared there: {there}. "
        f'Either pip install "{DISTRIBUTION}[prepare]" and rerun, which downloads and prepares it with TensorFlow, '
        "or point --data_dir (or TFDS_DATA_DIR) at a folder of prepared data."
    )


def _check_format(source: Path) -> None:
    """Raises ValueError unless the set is stored as array_record, the format that is read without TensorFlow."""
    info_file = source / "dataset_info.json"
    try:
        info = json.loads(info_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{info_file} is not valid JSON, prepare the set again: {error}") from error
    formats = [info.get("fileFormat", "tfrecord"), *info.get("alternativeFileFormats", [])]
    if "array_record" not in formats:
        raise ValueError(
            f"{source} is prepared as {' and '.join(formats)}, expected array_record. Prepare it again in another "
            f"folder: tfds.builder({source.parent.name!r}, data_dir=..., file_format='array_record')"
            f'.download_and_prepare(), for which pip install "{DISTRIBUTION}[prepare]".'
        )


def _decode(source: Path, split: str, num_classes: int, batch: int = 500) -> cache.Split:
    """Reads and decodes one split of a prepared set; touches no network."""
    import tensorflow_datasets as tfds
    from tqdm import tqdm

    images: list[np.ndarray] = []
    labels: list[int] = []
    try:
        records = tfds.builder_from_directory(str(source)).as_data_source(split=split)
        # By batches, which halves the time of single reads. Not by threads: parsing and decoding images this small
        # holds the interpreter lock, and two threads measured slower than one.
        with tqdm(total=len(records), desc=f"{source.parent.name} {split}", unit="image", disable=None) as progress:
            for start in range(0, len(records), batch):
                examples = records.__getitems__(list(range(start, min(start + batch, len(records)))))
                images.append(np.stack([example["image"] for example in examples]))
                labels.extend(example["label"] for example in examples)
                progress.update(len(examples))
    except (RuntimeError, OSError) as error:
        message = f"cannot read split {split!r} of {source}, which is damaged or incomplete, prepare it again: {error}"
        raise OSError(message) from error
    return _checked(np.concatenate(images), np.asarray(labels), num_classes, f"split {split!r} of {source}")


def _checked(images: np.ndarray, labels: np.ndarray, num_classes: int, origin: str) -> cache.Split:
    """Returns images uint8 `[N, H, W, C]` and labels int32 `[N]`, or raises ValueError if they are anything else."""
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"{origin}: expected images uint8 [N, H, W, C], got {images.dtype} {list(images.shape)}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != images.shape[:1]:
        expected = f"expected one integer label for each of the {len(images)} images"
        raise ValueError(f"{origin}: {expected}, got {labels.dtype} {list(labels.shape)}")
    if len(labels) == 0:
        raise ValueError(f"{origin}: expected images, got none")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"{origin}: expected labels in [0, {num_classes}), got {labels.min()} to {labels.max()}")
    return cache.Split(images, labels.astype(np.int32))


def _load_nmnist(data_dir: Path, cache_dir: Path, **bins: Any) -> Dataset:
    from jaxsnn.data import nmnist  # which imports this module

    return nmnist.load(data_dir, cache_dir, **bins)


Loader = Callable[..., Dataset]  # (data_dir, cache_dir) -> Dataset, of event data also steps=, by= and values=

DATASETS: dict[str, Loader] = {
    "digits": lambda *_: _load_digits(),
    "mnist": partial(_load_prepared, "mnist", 10),
    "fashion_mnist": partial(_load_prepared, "fashion_mnist", 10),
    "cifar10": partial(_load_prepared, "cifar10", 10),
    "svhn_cropped": partial(_load_prepared, "svhn_cropped", 10),
    "nmnist": _load_nmnist,
}
EVENT_DATASETS = ("nmnist",)
