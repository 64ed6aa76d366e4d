"""Data sets from arrays in memory: checked, labels mapped to classes, a test part split off where there is none."""

from typing import Any

import numpy as np

from jaxsnn.data.dataset import Dataset, Split, as_samples, part_of
from jaxsnn.rows import Rows, not_finite, pieces

OWN = "own"
"""The name of data that is no member of `data.DATASETS`."""
TEST_PART = 0.2
"""The part of the samples that is tested on where no test set is given."""


def from_arrays(
    train: tuple[Any, Any], test: tuple[Any, Any] | None = None, *, test_part: float = TEST_PART, seed: int = 0
) -> Dataset:
    """A data set of your own samples and labels.

    Args:
      train: samples `[N, ...]` of any rank and labels `[N]`. Samples mapped from a file (`np.load(file,
        mmap_mode="r")`) stay there, as `Rows`. Samples are uint8, which becomes network input in
        [0, 1] (divided by 255), or floating, which is taken as it is; bool is taken as 0.0 and 1.0. Images have their
        channels last, `[N, H, W, C]`. Labels are whole numbers, also with gaps or not from 0, or strings.
      test: the same, of classes that `train` has; None splits a part off `train`.
      test_part: that part, of every class (stratified), in (0, 1); a class of one sample stays in training.
      seed: of that split.

    Returns:
      The set: labels int32 in [0, classes), in the order of the sorted labels, which `classes` keeps as strings.

    Raises:
      ValueError: samples and labels are unequal in number or empty, a number is NaN or infinite, there is one class
        alone, samples of training and test have other shapes, a test label is not among the training's, or the split
        leaves nothing to test on.
      TypeError: a dtype that is neither of those above.

    Example:
      >>> import numpy as np
      >>> from jaxsnn import data
      >>> x, y = np.random.default_rng(0).random((10, 4)), np.array(["cat", "dog"] * 5)
      >>> own = data.from_arrays((x, y))
      >>> own.classes, own.train.samples.shape, own.test.labels.tolist()
      (('cat', 'dog'), (8, 4), [0, 1])
    """
    if not 0 < test_part < 1:
        raise ValueError(f"test_part must lie in (0, 1), got {test_part}")
    samples, labels = _checked(train, "training")
    found = np.unique(labels)
    if len(found) < 2:
        raise ValueError(f"all {len(labels)} training labels are {found[0].item()!r}: expected two classes or more")
    fitting = Split(samples, _numbers(labels, found, "training"))
    if test is None:
        chosen = stratified(fitting.labels, test_part, seed)
        if not chosen.any():
            raise ValueError(
                f"{len(labels)} samples of {len(found)} classes leave none to test on: give two of a class or more"
            )
        fitting, tested = (
            Split(part_of(samples, np.flatnonzero(part)), fitting.labels[part]) for part in (~chosen, chosen)
        )
    else:
        samples, labels = _checked(test, "test")
        if samples.shape[1:] != fitting.samples.shape[1:] or samples.dtype != fitting.samples.dtype:
            raise ValueError(
                f"test samples differ from training samples in shape or dtype: {samples.dtype} "
                f"{list(samples.shape[1:])}, expected {fitting.samples.dtype} {list(fitting.samples.shape[1:])}"
            )
        tested = Split(samples, _numbers(labels, found, "test"))
    return Dataset(OWN, fitting, tested, len(found), classes=tuple(str(label) for label in found.tolist()))


def stratified(labels: np.ndarray, part: float, seed: int) -> np.ndarray:
    """Which samples are tested on, bool `[N]`: a random `part` of every class, at least one and not all of it.

    Args:
      labels: classes `[N]`.
      part: in (0, 1).
      seed: of the choice.
    """
    order = np.random.RandomState(seed).permutation(len(labels))  # the legacy generator, whose stream NumPy keeps
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        chosen[members[: min(max(1, round(part * len(members))), len(members) - 1)]] = True
    return chosen


def _checked(pair: tuple[Any, Any], part: str) -> tuple[Any, np.ndarray]:
    """Samples and labels as arrays of the dtypes that are trained on; raises as `from_arrays`."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"expected the pair (samples, labels) of the {part} set, got {type(pair).__name__}")
    try:
        samples, labels = as_samples(pair[0]), np.asarray(pair[1])
    except ValueError as error:
        raise ValueError(f"{part} samples are not of one shape: resize or pad them to one ({error})") from error
    if samples.dtype == object or labels.dtype == object:
        name, array = ("samples", samples) if samples.dtype == object else ("labels", labels)
        kinds = ", ".join(sorted({type(entry).__name__ for entry in array.ravel()[:1000].tolist()}))
        raise TypeError(f"{part} {name} are Python objects ({kinds}), expected one array of numbers or strings")
    if samples.ndim < 2 or not np.prod(samples.shape):
        raise ValueError(f"expected {part} samples [N, ...], N >= 1, got {list(samples.shape)}")
    if labels.shape != samples.shape[:1]:
        hint = "; of one-hot labels pass y.argmax(1)" if labels.ndim == 2 and labels.shape[1] > 1 else ""
        raise ValueError(
            f"expected one {part} label for each of the {len(samples)} samples, [N], got {list(labels.shape)}{hint}"
        )
    if labels.dtype.kind not in "iubU":
        raise TypeError(f"expected {part} labels as whole numbers or strings, got {labels.dtype}")
    return _numeric(samples, part), labels


def _numeric(samples: Any, part: str) -> Any:
    if samples.dtype == bool:
        return _of_dtype(samples, np.float32)
    if samples.dtype == np.uint8:
        if max(int(piece.max()) for _, piece in pieces(samples)) == 1:
            raise ValueError(
                f"{part} samples are uint8 of 0 and 1 alone, and uint8 is divided by 255: pass x.astype(np.float32)"
            )
        return samples
    if not np.issubdtype(samples.dtype, np.floating):
        raise TypeError(
            f"expected {part} samples as uint8 (0 to 255, divided by 255) or floating (as they are), got "
            f"{samples.dtype} from {min(piece.min() for _, piece in pieces(samples))} to "
            f"{max(piece.max() for _, piece in pieces(samples))}: convert them with x.astype(...)"
            if samples.dtype.kind in "iu"
            else f"expected {part} samples as uint8 or floating numbers, got {samples.dtype}"
        )
    if (found := not_finite(samples)) is not None:
        number, value, place, _ = found
        raise ValueError(f"{part} sample {number} has the value {value} at {place}: remove it")
    return _of_dtype(samples, np.float32) if samples.dtype == np.float64 else samples


def _of_dtype(samples: Any, dtype: Any) -> Any:
    return Rows(samples, dtype=dtype) if isinstance(samples, Rows) else samples.astype(dtype)


def _numbers(labels: np.ndarray, found: np.ndarray, part: str) -> np.ndarray:
    """The places of labels among the sorted classes, int32 `[N]`."""
    if labels.dtype.kind != found.dtype.kind and "U" in (labels.dtype.kind, found.dtype.kind):
        raise TypeError(f"{part} labels are {labels.dtype}, training labels {found.dtype}: expected one kind of both")
    if len(strange := np.setdiff1d(labels, found)):
        raise ValueError(
            f"{part} labels {strange[:5].tolist()} are not among the training labels {found[:20].tolist()}"
        )
    return np.searchsorted(found, labels).astype(np.int32)
