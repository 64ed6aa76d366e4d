"""Sets that do not fit on the device: a thread reads the samples of the next steps, and each step gets its own.

    data = training.Data(training.OnHost(np.load("x.npy", mmap_mode="r")), labels)

The step is the one of a set on the device: instead of all samples it gets a `Window`, of which it takes a batch in the
same way, by the numbers of the samples. Everything else, the order first, is as it would be, bit for bit.
"""

import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding

from jaxsnn.rows import Rows
from jaxsnn.typing import Array

AHEAD = 2
"""Windows that are read before they are needed, with one more that waits for room; as many are in use on the device."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Window:
    """The samples of a few steps, on the device."""

    rows: Any
    """`[steps, B, ...]`"""
    firsts: Any
    """Number of the first sample of each step, int32 `[steps]`; -1 where there is none."""

    def __getitem__(self, numbers: Array) -> Array:
        """The batch of these numbers `[B]`: that of the step whose first number is theirs."""
        place = 0 if len(self.rows) == 1 else jnp.argmax(self.firsts == numbers[0])
        return jax.lax.dynamic_index_in_dim(self.rows, place, keepdims=False)


class OnHost(Rows):
    """Samples `[N, ...]` that stay on the host, and go to the device for the steps that need them.

    Args:
      source, chosen: as of `Rows`.
      sharding: batch size to the sharding of windows `[steps, B, ...]`; None for the default device. A process reads
        the parts of its own devices.
    """

    def __init__(
        self, source: Any, chosen: np.ndarray | None = None, *, sharding: Callable[[int], Sharding] | None = None
    ):
        super().__init__(source, chosen)
        self.sharding = sharding

    def like(self, steps: int, batch_size: int) -> Window:
        """The shapes of a window."""
        place = None if self.sharding is None else self.sharding(batch_size)
        shape = (steps, batch_size, *self.shape[1:])
        dtype = jax.dtypes.canonicalize_dtype(self.dtype)
        return Window(jax.ShapeDtypeStruct(shape, dtype, sharding=place), jax.ShapeDtypeStruct((steps,), np.int32))

    def read(self, numbers: np.ndarray, steps: int) -> "_Read":
        """Reads the samples of `numbers` `[at most steps, B]`, of those devices that are of this process."""
        firsts = np.full(steps, -1, np.int32)
        firsts[: len(numbers)] = numbers[:, 0]
        shape = (steps, numbers.shape[1], *self.shape[1:])
        place, parts = None, {}
        columns = [slice(None)]
        if self.sharding is not None:
            place = self.sharding(numbers.shape[1])
            columns = [index[1] for index in place.addressable_devices_indices_map(shape).values() if index]
        for column in columns:
            if _ends(column) not in parts:
                part = numbers[:, column]
                rows = self[part]
                if len(rows) < steps:
                    rows = np.concatenate([rows, np.empty((steps - len(rows), *rows.shape[1:]), rows.dtype)])
                parts[_ends(column)] = rows
        return _Read(shape, place, parts, firsts)


@dataclass(frozen=True)
class _Read:
    """A window on the host, in the parts that devices take."""

    shape: tuple[int, ...]
    place: Sharding | None
    parts: dict[tuple[int | None, int | None], np.ndarray]
    firsts: np.ndarray

    def _part(self, index: Any) -> np.ndarray:
        return self.parts[_ends(index[1])]

    def put(self) -> Window:
        if self.place is None:
            return Window(*jax.device_put((self.parts[None, None], self.firsts)))
        return Window(jax.make_array_from_callback(self.shape, self.place, self._part), self.firsts)


def _ends(part: slice) -> tuple[int | None, int | None]:
    return part.start, part.stop


def on_host_if_mapped(samples: Any) -> Any:
    """`OnHost` of samples that are mapped from a file; others as they are."""
    mapped = isinstance(samples, Rows | np.memmap) and not isinstance(samples, OnHost)
    return OnHost(samples) if mapped else samples


class Windows:
    """The samples of one dispatch after the other; `next` waits until they are read."""

    def __init__(self, each: Iterator[Any]):
        self._each = each
        self._in_use: deque[Any] = deque()

    def __next__(self) -> Any:
        return next(self._each)

    def used(self, result: Array) -> None:
        """Waits until few windows are in use: the device is behind the host, and would have to hold them all.

        Args:
          result: computed from the latest window.
        """
        self._in_use.append(jnp.copy(result))  # a state is donated to the next step
        if len(self._in_use) > AHEAD:
            jax.block_until_ready(self._in_use.popleft())


class Resident(Windows):
    """The set itself, for every step."""

    def used(self, result: Array) -> None:
        """Nothing is to be waited for."""


@contextmanager
def feed(samples: Any, batches: Iterable[np.ndarray], steps: int = 1) -> Iterator[Windows]:
    """The samples of each dispatch: those on the device, or, of `OnHost` ones, a window with those of its batches.

    Args:
      samples: `[N, ...]`.
      batches: of each dispatch the numbers of its samples, `[at most steps, B]`.
      steps: of a window.

    Raises (from `next`):
      Exception: that of the thread which reads, as OSError; it names the file.
    """
    if not isinstance(samples, OnHost):
        yield Resident(itertools.repeat(samples))
        return
    read: queue.Queue[Any] = queue.Queue(AHEAD)
    stop = threading.Event()

    def run() -> None:
        try:
            for numbers in batches:
                if stop.is_set():
                    return
                read.put(samples.read(numbers, steps))
        except BaseException as error:
            read.put(error)

    def each() -> Iterator[Window]:
        while True:
            found = read.get()
            if isinstance(found, BaseException):
                raise found
            yield found.put()

    thread = threading.Thread(target=run, name="jaxsnn reads samples", daemon=True)
    thread.start()
    try:
        yield Windows(each())
    finally:
        stop.set()
        while thread.is_alive():
            while not read.empty():  # a thread that waits for room goes on, and ends
                read.get_nowait()
            thread.join(0.01)
