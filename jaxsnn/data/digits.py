"""The 1,797 handwritten digits inside scikit-learn: the set that needs no download."""

import numpy as np

from jaxsnn.data.dataset import DISTRIBUTION, Dataset, Split, check_split


def load() -> Dataset:
    """The 8x8 digits as 16x16x1, with a fixed stratified 80/20 split.

    Raises:
      ImportError: if scikit-learn is missing, saying how to install it.
    """
    train, test = (
        Split(np.rint(_upscale(small.reshape(-1, 8, 8), 16) * (255 / 16)).astype(np.uint8)[..., None], labels)
        for small, labels in small_splits()
    )
    return Dataset("digits", train, test, num_classes=10)


def small_splits() -> tuple[Split, Split]:
    """The training and the test part of the digits as they come, `[N, 64]` in 0 to 16.

    Raises:
      ImportError: if scikit-learn is missing, saying how to install it.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        message = f'the data set "digits" comes with scikit-learn: pip install "{DISTRIBUTION}[digits]"'
        raise ImportError(message) from error
    small, classes = load_digits(return_X_y=True)
    pixels, labels = check_split(Split(small, classes), 10, "scikit-learn's digits")
    order = np.random.RandomState(0).permutation(len(labels))  # the legacy generator, whose stream NumPy keeps for good
    is_test = np.zeros(len(labels), bool)
    for label in range(10):
        members = order[labels[order] == label]
        is_test[members[: round(0.2 * len(members))]] = True
    train, test = (Split(pixels[chosen], labels[chosen]) for chosen in (~is_test, is_test))
    return train, test


def _upscale(images: np.ndarray, size: int) -> np.ndarray:
    """Enlarges square images `[N, n, n]` to `[N, size, size]`, bilinearly: half-pixel centres, edges repeated."""
    n = images.shape[-1]
    positions = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
    weights = np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(n)))  # [size, n]
    enlarged: np.ndarray = weights @ images @ weights.T
    return enlarged
