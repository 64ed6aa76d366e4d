"""Many labelled recordings: read from their files once, kept in the cache, mapped into memory, binned on demand."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsnn.data import array_files, cache, events
from jaxsnn.data.dataset import DataNotFoundError, Dataset, Split
from jaxsnn.data.events import EVENT, Binning
from jaxsnn.rows import Rows, pieces


class Recordings(NamedTuple):
    """All events of a split, recording after recording; E events of N recordings."""

    events: np.ndarray
    """`events.EVENT` `[E]`."""
    starts: np.ndarray
    """int64 `[N + 1]`; recording n is `events[starts[n]:starts[n + 1]]`."""
    labels: np.ndarray
    """int32 `[N]`."""
    file: Path | None = None
    """The cache file that they are in."""

    def each(self) -> Iterator[np.ndarray]:
        """The recordings one after the other, `events.EVENT` `[E]`."""
        for begin, end in itertools.pairwise(self.starts.tolist()):
            yield self.events[begin:end]


def join(pairs: Iterable[tuple[np.ndarray, int]]) -> Recordings:
    """Puts recordings with their labels together."""
    parsed = list(pairs)
    whole = np.concatenate([np.empty(0, EVENT), *(recording for recording, _ in parsed)])
    starts = np.cumsum([0, *(len(recording) for recording, _ in parsed)], dtype=np.int64)
    return Recordings(whole, starts, np.array([label for _, label in parsed], np.int32))


def fetch(
    cache_dir: Path,
    name: str,
    root: Path,
    files: Sequence[Path],
    parse: Callable[[Path], Iterable[tuple[np.ndarray, int]]],
) -> Recordings:
    """Reads recordings from the cache, where they are mapped into memory, or else from their files.

    Args:
      cache_dir: folder of the cache.
      name: of the set and its split; the cache file is `<name>-<fingerprint of the files>.arrays`.
      root: the folder that holds the files.
      files: in their order; the fingerprint changes with their names, sizes and times.
      parse: a file to its recordings and labels.

    Raises:
      ValueError, OSError: as `parse`.
    """

    def make() -> Recordings:
        from tqdm import tqdm

        return join(itertools.chain.from_iterable(map(parse, tqdm(files, desc=name, unit="file", disable=None))))

    path = cache_dir / f"{name}-{cache.digest(root, files)}.arrays"
    made = cache.fetch_or_make(path, make, load_arrays, save_arrays)
    return made._replace(file=path)


class Binned:
    """The frames of recordings, `[N, T, H, W, C]`, a source of `Rows`: those that are asked for are made; see
    `events.frames`."""

    def __init__(self, recordings: Recordings, binning: Binning, size: tuple[int, int]):
        self.recordings, self.binning, self.size = recordings, binning, size
        self.shape = (len(recordings.labels), *binning.shape(size))
        self.dtype = np.dtype(np.int8 if binning.polarity == "signed" else np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """The frames of these recordings, `numbers.shape + [T, H, W, C]`."""
        flat = np.ravel(numbers).tolist()
        result = np.empty((len(flat), *self.shape[1:]), self.dtype)
        starts = self.recordings.starts
        for place, number in enumerate(flat):
            recording = self.recordings.events[starts[number] : starts[number + 1]]
            result[place] = events.frames(recording, size=self.size, **self.binning._asdict())
        return result.reshape(*np.shape(numbers), *self.shape[1:])

    def settled(self) -> Any:
        """A source of the same samples that need not be made again: the frames in the cache, binned once.

        Raises:
          OSError, ValueError: as `cache.fetch`.
        """
        if self.recordings.file is None:
            return self
        options = hashlib.sha256(repr((self.binning, self.size)).encode()).hexdigest()[:16]
        place = self.recordings.file.with_name(f"{self.recordings.file.stem}-{options}.npz")

        def parts() -> cache.Parts:
            each = (Split(part, self.recordings.labels[n : n + len(part)]) for n, part in pieces(Rows(self)))
            return cache.Parts(len(self), each)

        kept = cache.fetch(place, parts).samples
        return kept.source if isinstance(kept, Rows) else kept


def dataset(
    name: str, train: Recordings, test: Recordings, num_classes: int, binning: Binning, size: tuple[int, int]
) -> Dataset:
    """Both splits as frames, which are made when they are asked for.

    Raises:
      ValueError: the binning is none that `events.frames` takes.
    """
    events.check_binning(binning, size)
    made = [Split(Rows(Binned(part, binning, size)), part.labels) for part in (train, test)]
    return Dataset(name, made[0], made[1], num_classes, binning.describe())


def on_sensor(recording: np.ndarray, name: str, size: tuple[int, int]) -> np.ndarray:
    """The recording, checked to lie on a sensor of this height and width.

    Raises:
      ValueError: naming the file and the first event that does not.
    """
    try:
        events.check_events(recording, size)
    except ValueError as error:
        raise ValueError(f"{name}: {error} Copy the file anew from the original archive, or remove it") from error
    return recording


def holds(folder: Path, shown: int = 8) -> str:
    """The content of a folder in words, for errors."""
    if not folder.is_dir():
        return f"{folder} is not a folder"
    names = sorted(entry.name for entry in folder.iterdir())
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{folder} holds {', '.join(names[:shown]) or 'nothing'}{more}"


def find(name: str, data_dir: Path, folders: Sequence[str], entries: Sequence[str], origin: str) -> Path:
    """The first of the folders of `data_dir` ("." for itself) that holds all entries.

    Raises:
      DataNotFoundError: none does; it says what was looked for, what is there, and `origin`, where the data is from.
    """
    places = [data_dir / folder for folder in folders]
    for place in places:
        if all((place / entry).exists() for entry in entries):
            return place
    there = ". ".join(holds(place) for place in places if place.is_dir()) or holds(data_dir)
    raise DataNotFoundError(
        f"the data set {name!r} is not there: expected {' and '.join(entries)} in "
        f"{', '.join(map(str, places[:-1]))} or {places[-1]}. {there}. {origin}."
    )


def in_classes(
    folder: Path, classes: Sequence[str], suffixes: Sequence[str], origin: str
) -> Iterator[tuple[Path, list[Path]]]:
    """The folder of each class with its recordings, sorted by name.

    Raises:
      DataNotFoundError: a folder or its recordings are missing.
    """
    if missing := [name for name in classes if not (folder / name).is_dir()]:
        raise DataNotFoundError(
            f"expected the folders {', '.join(classes)} in {folder}, without {', '.join(missing)}. {holds(folder)}. "
            f"{origin}."
        )
    for place in (folder / name for name in classes):
        # Hidden files are none of the set: unpacking on macOS leaves a ._00001.bin beside 00001.bin.
        found = sorted(f for f in place.iterdir() if f.suffix.lower() in suffixes and not f.name.startswith("."))
        if not found:
            wanted = ", ".join(f"*{suffix}" for suffix in suffixes)
            raise DataNotFoundError(f"expected recordings ({wanted}) in {place}. {holds(place)}. {origin}.")
        yield place, found


def save_arrays(path: Path, recordings: Recordings) -> None:
    """Writes a cache file, as `array_files.write_arrays` does."""
    array_files.write_arrays(path, (recordings.starts, recordings.labels, recordings.events))


def load_arrays(path: Path) -> Recordings:
    """Maps a cache file into memory.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is damaged, or holds something else.
    """
    starts, labels, whole = array_files.map_arrays(path)
    kinds = tuple((array.dtype, array.ndim) for array in (starts, labels, whole))
    if kinds != tuple((np.dtype(dtype), 1) for dtype in ("i8", "i4", EVENT)):
        raise ValueError(f"its arrays are of other kinds than those of recordings: {kinds}")
    if len(starts) != len(labels) + 1 or starts[-1] != len(whole) or starts[0] or (np.diff(starts) < 0).any():
        raise ValueError("the starts of its recordings do not fit its events and labels")
    return Recordings(whole, starts, labels, path)


def labelled(parse: Callable[[bytes, str], np.ndarray], label: Callable[[Path], int]) -> Callable[[Path], list]:
    """The `parse` of `fetch` for files of one recording, whose label their path tells."""
    return partial(_labelled, parse, label)


def _labelled(
    parse: Callable[[bytes, str], np.ndarray], label: Callable[[Path], int], file: Path
) -> list[tuple[np.ndarray, int]]:
    return [(parse(file.read_bytes(), str(file)), label(file))]
