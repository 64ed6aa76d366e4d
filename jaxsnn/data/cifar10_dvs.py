"""CIFAR10-DVS from its official files: 10,000 pictures of CIFAR-10, moved before an event camera.

Li, Liu, Ji, Li and Shi, "CIFAR10-DVS: an event-stream dataset for object classification", Frontiers in Neuroscience
11:309, 2017. There is **no official split**. Here the last tenth of each class's recordings, in the order of their
numbers, is the test set: 9,000 and 1,000. Papers divide it in other ways, and their figures are not comparable.
"""

from pathlib import Path

from jaxsnn.data import events, recordings
from jaxsnn.data.dataset import Dataset
from jaxsnn.data.events import Binning
from jaxsnn.data.formats import aedat2

SENSOR = (128, 128)
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SPLIT = "the last tenth of each class is the test set"
_ORIGIN = (
    "CIFAR10-DVS is published at figshare, doi 10.6084/m9.figshare.4724671 (Li et al. 2017): unpack the ten archives "
    "into one folder, and point data_dir at it"
)


def load(data_dir: Path, cache_dir: Path, *, binning: Binning) -> Dataset:
    """Loads both splits as frames, recordings sorted by class, then by number.

    Args:
      data_dir: folder with `<class>/cifar10_<class>_<number>.aedat`, or the one around it if it is called CIFAR10DVS or
        cifar10_dvs.
      cache_dir: folder of parsed recordings.
      binning: see `events.frames`.

    Returns:
      Samples `[N, T, 128, 128, 2]`; labels int32 `[N]`, of the classes in alphabetical order.

    Raises:
      ValueError: a recording is damaged, a class has fewer than two, or the binning is none that `events.frames` takes.
      DataNotFoundError: a folder, or every recording of a class, is missing.
      OSError: a file cannot be read.
    """
    events.check_binning(binning, SENSOR)
    root = recordings.find("cifar10_dvs", data_dir, (".", "CIFAR10DVS", "cifar10_dvs"), NAMES, _ORIGIN)
    parts: tuple[list[Path], list[Path]] = ([], [])
    for folder, files in recordings.in_classes(root, NAMES, (".aedat",), _ORIGIN):
        files.sort(key=_number)
        tested = max(1, len(files) // 10)
        if tested == len(files):
            raise ValueError(f"expected two recordings or more in {folder}, one of them for the test, got {len(files)}")
        parts[0].extend(files[:-tested])
        parts[1].extend(files[-tested:])
    parse = recordings.labelled(aedat2.parse, lambda file: NAMES.index(file.parent.name))
    train, test = (
        recordings.fetch(cache_dir, f"cifar10_dvs-{split}", root, files, parse)
        for split, files in zip(("train", "test"), parts, strict=True)
    )
    data = recordings.dataset("cifar10_dvs", train, test, len(NAMES), binning, SENSOR)
    return data._replace(description=f"{data.description}, {SPLIT}")


def _number(file: Path) -> tuple[int, str]:
    digits = file.stem.rpartition("_")[2]
    return (int(digits) if digits.isdecimal() else 0), file.name
