"""Recordings of event cameras and of artificial cochleas: their type in memory, and binning into frames. NumPy only.

A recording is a structured array with the fields t (microseconds), x (column, or channel of a cochlea), y (row) and
p (1 where it became brighter, 0 where darker). Times of a recording may fall: cameras deliver packets out of order.
"""

import math
from typing import NamedTuple

import numpy as np

from jaxsnn.data.filters import crop_to, denoised

BINS = ("time", "count", "duration")
VALUES = ("binary", "counts")
POLARITIES = ("apart", "signed", "merged")
EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
"""One event: t in microseconds, x and y in pixels, p in {0, 1}."""


class Binning(NamedTuple):
    """How recordings become frames; the arguments of `frames` but for the recording and its sensor."""

    steps: int
    by: str = "time"
    values: str = "binary"
    polarity: str = "apart"
    duration: int = 0
    crop: tuple[int, ...] = ()
    downsample: int = 1
    denoise: int = 0

    @classmethod
    def of(
        cls,
        steps: int,
        bins: str = "time",
        values: str = "binary",
        polarity: str = "apart",
        bin_ms: float = 0.0,
        crop: tuple[int, ...] = (),
        downsample: int = 1,
        denoise_ms: float = 0.0,
    ) -> "Binning":
        """The binning of options that are called `event_<name>` elsewhere, with times in milliseconds; checked.

        Raises:
          ValueError: as `check_binning`.
        """
        times = [value * 1000 for value in (bin_ms, denoise_ms)]
        duration, denoise = (round(t) if math.isfinite(t) else -1 for t in times)
        binning = cls(steps, bins, values, polarity, duration, tuple(crop), downsample, denoise)
        check_binning(binning)
        return binning

    def describe(self) -> str:
        """The binning in words, part of the name of a result: "20 bins of equal time, binary"."""
        kind = {
            "time": "equal time",
            "count": "equal event count",
            "duration": f"{self.duration / 1000:g} ms",
        }[self.by]
        parts = [f"{self.steps} bins of {kind}", "binary" if self.values == "binary" else f"counts up to {self.most}"]
        parts += [f"polarities {self.polarity}"] * (self.polarity != "apart")
        parts += [f"crop {','.join(map(str, self.crop))}"] * bool(self.crop)
        parts += [f"downsampled by {self.downsample}"] * (self.downsample > 1)
        parts += [f"denoised, {self.denoise / 1000:g} ms"] * bool(self.denoise)
        return ", ".join(parts)

    @property
    def most(self) -> int:
        """The largest number in a frame."""
        return 1 if self.values == "binary" else 127 if self.polarity == "signed" else 255

    def shape(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The shape `(T, H, W, C)` of the frames of a sensor of height and width `size`."""
        height, width = self.crop[2:] or size
        return (
            self.steps,
            -(-height // self.downsample),
            -(-width // self.downsample),
            2 if self.polarity == "apart" else 1,
        )


def recording(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Puts fields `[E]` together to a recording, `EVENT` `[E]`.

    Raises:
      ValueError: the fields are no integers of one length, or a coordinate or polarity is beyond its type.
    """
    arrays = {name: np.asarray(array) for name, array in zip("txyp", (t, x, y, p), strict=True)}
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        shown = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise ValueError(f"t, x, y and p of a recording are arrays [E] of one length, got {shown}")
    events = np.empty(shapes.pop(), EVENT)
    for name, array in arrays.items():
        if array.dtype.kind not in "iub":
            raise ValueError(f"{name} of events must be integers (t in microseconds), got {array.dtype}")
        most = 1 if name == "p" else np.iinfo(EVENT[name]).max
        least = np.iinfo(EVENT[name]).min
        if len(array) and (array.min() < least or array.max() > most):
            i = int(np.flatnonzero((array < least) | (array > most))[0])
            raise ValueError(f"{name} of event {i} is {array[i]}, expected {least} to {most}")
        events[name] = array
    return events


def check_events(events: np.ndarray, size: tuple[int, int] | None = None) -> None:
    """Checks that this is a recording, and that its events lie on the sensor.

    Args:
      events: `EVENT` `[E]`.
      size: height and width of the sensor; None for any.

    Raises:
      ValueError: naming the first event that does not fit.
    """
    if not isinstance(events, np.ndarray) or events.dtype != EVENT or events.ndim != 1:
        got = f"{events.dtype} {list(events.shape)}" if isinstance(events, np.ndarray) else type(events).__name__
        raise ValueError(f"a recording is an array [E] of dtype events.EVENT (t, x, y, p), got {got}")
    height, width = size or (2**16, 2**16)
    for field, limit in (("x", width), ("y", height), ("p", 2)):
        if len(events) and events[field].max() >= limit:
            i = int(np.flatnonzero(events[field] >= limit)[0])
            raise ValueError(
                f"{field} of every event must be below {limit}, got {events[field][i]} at event {i}; is the sensor "
                f"not of {height} rows and {width} columns?"
            )


def check_binning(binning: Binning, size: tuple[int, int] | None = None) -> None:
    """Checks the arguments of `frames` before data is read.

    Raises:
      ValueError: naming the argument, its value and the allowed values.
    """
    steps, by, values, polarity, duration, crop, downsample, denoise = binning
    numbers = (
        ("the number of time steps", steps, 1),
        ("downsample", downsample, 1),
        ("the duration of a bin in microseconds", duration, 0),
        ("the time of denoise in microseconds", denoise, 0),
    )
    for name, value, least in numbers:
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    for name, word, words in (
        ("events are binned by", by, BINS),
        ("values of event frames are", values, VALUES),
        ("polarities of event frames are", polarity, POLARITIES),
    ):
        if word not in words:
            raise ValueError(f"{name} one of {', '.join(words)}, got {word!r}")
    if (by == "duration") != (duration > 0):
        raise ValueError(f"bins of a fixed duration need one above 0, and others have none: got by={by!r}, {duration}")
    if crop and (len(crop) != 4 or min(crop[:2]) < 0 or min(crop[2:]) < 1):
        raise ValueError(f"crop is (top, left, height, width) in pixels, got {crop}")
    if crop and size and (crop[0] + crop[2] > size[0] or crop[1] + crop[3] > size[1]):
        raise ValueError(f"crop {crop} (top, left, height, width) reaches over the sensor of {size[0]} x {size[1]}")


def frames(
    events: np.ndarray,
    steps: int,
    *,
    size: tuple[int, int],
    by: str = "time",
    values: str = "binary",
    polarity: str = "apart",
    duration: int = 0,
    crop: tuple[int, ...] = (),
    downsample: int = 1,
    denoise: int = 0,
    start: int | None = None,
) -> np.ndarray:
    """Bins a recording into frames; each event falls in one bin at most.

    Bins of equal time divide the recording from its first event to its last, which falls in the last bin (events that
    are all at one time fall in the first). Bins of equal count hold numbers of events that differ by one at most; with
    fewer events than steps, some are empty. Bins of a fixed duration leave out the events after the last bin (they do
    not gather in it); a recording that is shorter leaves the last bins empty. No edge is rounded.

    Args:
      events: `EVENT` `[E]`, in any order of time; one without events gives zeros.
      steps: number T of bins.
      size: height and width of the sensor in pixels.
      by: the quantity that the bins share equally, "time" or "count" (of events), or "duration".
      values: "binary", 1 where a pixel has events in a bin; or "counts", how many: counts saturate at 255.
      polarity: "apart", a channel for each polarity; "merged", one channel for both; or "signed", one channel of the
        brighter ones less the darker ones, whose sign is taken if binary, and which saturates at -127 and 127.
      duration: of a bin, in microseconds, of by="duration".
      crop: top, left, height and width, in pixels; empty for all of the sensor. It does not change the times of bins.
      downsample: the events of this many rows and columns are taken together.
      denoise: an event stays if one of its eight neighbours had an event this many microseconds before it or fewer; 0
        keeps all. See `filters.denoised`.
      start: time in microseconds where the first bin begins; None for the first event. Events before it are left out.

    Returns:
      `[T, H, W, C]`, C = 2 where polarities are apart, else 1; uint8, or int8 if signed.

    Raises:
      ValueError: an argument is none of these, an event lies outside the sensor, or its times exceed int64.
    """
    binning = Binning(steps, by, values, polarity, duration, crop, downsample, denoise)
    check_binning(binning, size)
    check_events(events, size)
    shape = binning.shape(size)
    if not len(events):
        return np.zeros(shape, np.int8 if polarity == "signed" else np.uint8)
    begin = int(events["t"].min()) if start is None else start
    span = int(events["t"].max()) - begin
    if by != "count" and (abs(span) + 1) * (steps + 1) >= 2**63:
        raise ValueError(f"times from {begin} to {begin + span} us in {steps} bins exceed 64-bit integers")
    if denoise or by == "count":
        events = events[np.argsort(events["t"], kind="stable")]
    events = denoised(events, denoise, size) if denoise else events
    events = crop_to(events, crop) if crop else events
    if by == "count":
        step = np.arange(len(events)) * steps // max(len(events), 1)
    else:
        elapsed = events["t"] - begin
        step = elapsed // duration if by == "duration" else np.minimum(elapsed * steps // max(span, 1), steps - 1)
        if len(outside := np.flatnonzero((step < 0) | (step >= steps))):
            events, step = np.delete(events, outside), np.delete(step, outside)
    _, height, width, _ = shape
    y, x = (events[field].astype(np.int64) // downsample for field in ("y", "x"))
    cell = ((step * height + y) * width + x) * 2 + events["p"]
    counts = np.bincount(cell, minlength=steps * height * width * 2).reshape(steps, height, width, 2)
    if polarity != "apart":
        counts = counts[..., 1:] + (-counts[..., :1] if polarity == "signed" else counts[..., :1])
    least = -binning.most if polarity == "signed" else 0
    return np.clip(counts, least, binning.most).astype(np.int8 if polarity == "signed" else np.uint8)
