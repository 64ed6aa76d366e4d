"""TFDS folders that were prepared as array_record, read without TensorFlow."""

import importlib.util
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxsnn.data import cache
from jaxsnn.data.arrays import TEST_PART, stratified
from jaxsnn.data.dataset import DISTRIBUTION, DataNotFoundError, Dataset, Split, check_images, part_of


def load(name: str, num_classes: int | None, data_dir: Path, cache_dir: Path) -> Dataset:
    """Loads the splits train and test of a set with the features image and label.

    Args:
      name: of the set, as TFDS calls it.
      num_classes: how many classes it must have; None for as many as it says, and a test part split off the training
        split if there is no other.
      data_dir: folder of prepared sets, `<data_dir>/<name>/<version>`.
      cache_dir: folder of decoded splits.

    Raises:
      ValueError: the prepared data is not array_record, not a labelled set of uint8 images of one size, or has no such
        split.
      DataNotFoundError: the set is not in `data_dir` and cannot be prepared here.
      OSError: the prepared data is damaged or incomplete.
    """
    source = _newest(data_dir, name) or _prepare(name, data_dir)
    _check_format(source)
    classes = num_classes or _num_classes(source)
    alone = num_classes is None and "test" not in _read(source / "dataset_info.json", "splits")
    splits = ["train"] if alone else ["train", "test"]
    parts = [
        cache.fetch(cache.path_for(cache_dir, source, split), partial(_decode, source, split, classes))
        for split in splits
    ]
    if len(parts) == 1:
        chosen = stratified(parts[0].labels, TEST_PART, 0)
        parts = [
            Split(part_of(parts[0].samples, np.flatnonzero(part)), parts[0].labels[part]) for part in (~chosen, chosen)
        ]
    train, test = parts
    return Dataset(name, train, test, classes, classes=_classes(source, classes))


def prepared(data_dir: Path) -> list[str]:
    """The names of the sets that are prepared in a folder; of those with configurations `<name>/<configuration>`."""
    folders = _prepared(data_dir) + _prepared(data_dir, "*/*")
    return sorted({folder.parent.relative_to(data_dir).as_posix() for folder in folders})


def _num_classes(source: Path) -> int:
    """The number of classes, as the set's own description says."""
    features = _read(source / "features.json", "featuresDict").get("features", {})
    try:
        return int(features["label"]["classLabel"]["numClasses"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{source} is no image set with one label each: expected the features image and label, got "
            f"{', '.join(features) or 'none'}"
        ) from error


def _classes(source: Path, count: int) -> tuple[str, ...]:
    """The names of the classes; none where the set does not say them."""
    file = source / "label.labels.txt"
    names = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return tuple(names) if len(names) == count else ()


def _read(file: Path, key: str) -> Any:
    """An entry of a description of TFDS; a list becomes names alone."""
    try:
        value = json.loads(file.read_text(encoding="utf-8")).get(key, {})
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} is missing or damaged, prepare the set again: {error}") from error
    return [entry.get("name") for entry in value] if isinstance(value, list) else value


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
        "or point data_dir (or TFDS_DATA_DIR) at a folder of prepared data."
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


def _decode(source: Path, split: str, num_classes: int, batch: int = 500) -> cache.Parts:
    """Reads one split of a prepared set, and decodes it in batches as they are asked for; touches no network."""
    import tensorflow_datasets as tfds
    from tqdm import tqdm

    origin = f"split {split!r} of {source}"

    def each() -> Iterator[Split]:
        shape = None
        # By batches, which halves the time of single reads. Not by threads: parsing and decoding images this small
        # holds the interpreter lock, and two threads measured slower than one.
        with tqdm(total=len(records), desc=f"{source.parent.name} {split}", unit="image", disable=None) as progress:
            for start in range(0, len(records), batch):
                with _reading(origin):
                    examples = records.__getitems__(list(range(start, min(start + batch, len(records)))))
                images = _stacked(examples, shape, origin)
                shape = images.shape[1:]
                yield check_images(Split(images, np.array([one["label"] for one in examples])), num_classes, origin)
                progress.update(len(examples))

    with _reading(origin):
        builder = tfds.builder_from_directory(str(source))
        _check_split(builder.info, source, split)
        records = builder.as_data_source(split=split)
    return cache.Parts(len(records), each())


@contextmanager
def _reading(origin: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, OSError) as error:
        raise OSError(f"cannot read {origin}, which is damaged or incomplete, prepare it again: {error}") from error


def _check_split(info: Any, source: Path, split: str) -> None:
    """Raises ValueError unless the set has samples in this split, and images and labels that are read here."""
    if split not in info.splits:
        raise ValueError(f"{source} has no split {split!r}, which is needed: it has {', '.join(info.splits)}")
    origin = f"split {split!r} of {source}"
    if not info.splits[split].num_examples:
        raise ValueError(f"{origin} is empty: expected images, got none")
    if missing := {"image", "label"} - info.features.keys():
        raise ValueError(
            f"{origin} has no {' and no '.join(sorted(missing))}: its features are {', '.join(info.features)}"
        )
    if (dtype := info.features["image"].np_dtype) != np.uint8:
        raise ValueError(f"{origin}: expected images uint8 [N, H, W, C], got {np.dtype(dtype)}")


def _stacked(examples: list[dict[str, Any]], before: tuple[int, ...] | None, origin: str) -> np.ndarray:
    """The images of examples, of the shape of those before."""
    shapes = {example["image"].shape for example in examples} | ({before} if before else set())
    if len(shapes) > 1:
        sizes = " and ".join("x".join(map(str, shape)) for shape in sorted(shapes)[:2])
        raise ValueError(f"images of {origin} vary in size ({sizes}): expected one size, so prepare them at one")
    return np.stack([example["image"] for example in examples])
