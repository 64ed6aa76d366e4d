"""The group of a configuration for the samples."""

from dataclasses import dataclass
from typing import Any

from jaxsnn.data import DATASETS, source_of
from jaxsnn.data.arrays import OWN
from jaxsnn.data.events import BINS, POLARITIES, VALUES, Binning
from jaxsnn.data.prepare import FILLS
from jaxsnn.lab.options import check, option

PLACE = "it says where files are, not what is trained"
"""Why a path is not swept."""


@dataclass(frozen=True)
class DataConfig:
    """The samples: the set, augmentation, normalisation, the held-out part. A ReLU twin takes them whole."""

    dataset: str = option(
        "mnist",
        f"Data set: {', '.join(DATASETS)}; an image set that TFDS prepared in data_dir, by its name; own, with data.",
        common=True,
    )
    data: str = option(
        "",
        "Your own data: a .npz file with x_train, y_train, x_test, y_test or x, y; or a folder of pictures, one folder "
        "for each class.",
        common=True,
        free=True,
        per_process=True,
        not_swept=PLACE,
    )
    size: int = option(
        0, "Resize your own pictures to this many pixels a side; 0: all have one size.", bound="[0, inf)", common=True
    )
    event_bins: str = option(
        "time", "Event data: steps of equal time, of equal event count, or of event_bin_ms (duration).", choices=BINS
    )
    event_values: str = option(
        "binary", "Event data: 1 where there was an event (binary), or how many.", choices=VALUES
    )
    event_polarity: str = option(
        "apart", "Event data: a channel for each polarity, one for both, or one with signs.", choices=POLARITIES
    )
    event_bin_ms: float = option(
        0.0, "Event data: milliseconds of a step, of event_bins=duration; later events are left out.", bound="[0, 1e6]"
    )
    event_crop: tuple[int, ...] = option(
        (), "Event data: top, left, height, width of the part of the sensor; empty for all.", bound="[0, 65536]"
    )
    event_downsample: int = option(
        1, "Event data: rows and columns, or channels, that are taken together.", bound="[1, 65536]"
    )
    event_denoise_ms: float = option(
        0.0,
        "Event data: drop events without a neighbour in these milliseconds before; 0 for none.",
        bound="[0, 1e6]",
    )
    mean: tuple[float, ...] = option((), "Subtracted from the pixels (in [0, 1]), one number or one per channel.")
    std: tuple[float, ...] = option((), "Divides the pixels after that.", bound="(0, inf)")
    shift: int = option(0, "Augmentation: shift training samples by up to this many pixels.", bound="[0, inf)")
    shift_fill: str = option(
        "zero", "The pixels that come in at a shift: zero, or the image mirrored at its border.", choices=FILLS
    )
    flip: bool = option(False, "Augmentation: flip half of the training images horizontally.")
    flip_alternating: bool = option(
        False, "With flip: a random half in the first epoch, then every image in every second epoch."
    )
    cutout: int = option(
        0, "Augmentation: fill a square of this many pixels a side with the mean; 0 for none.", bound="[0, inf)"
    )
    random_erasing: float = option(
        0.0, "Augmentation: probability of a training image to lose a random rectangle.", bound="[0, 1]"
    )
    rotate: float = option(
        0.0, "Augmentation: rotate training samples by up to this many degrees either way.", bound="[0, 180]"
    )
    zoom: float = option(
        0.0, "Augmentation: make training samples larger or smaller, at most 1 + zoom times.", bound="[0, 1]"
    )
    mixup: float = option(
        0.0,
        "Augmentation: mix each training sample and label with another, by Beta(mixup, mixup); 0 for none.",
        bound="[0, inf)",
    )
    drop_events: float = option(
        0.0,
        "Augmentation of event data: probability of each place of a training frame to lose its events.",
        bound="[0, 1)",
    )
    time_jitter: int = option(
        0, "Augmentation of event data: move events by up to this many time steps.", bound="[0, inf)"
    )
    validation: int = option(
        5000, "Training images held out to choose the best epoch, never on test.", bound="[1, inf)"
    )
    limit: int = option(0, "Use only this many training images (after holding out); 0 for all.", bound="[0, inf)")
    limit_test: int = option(0, "Use only this many test images; 0 for all.", bound="[0, inf)")
    folds: int = option(
        1,
        "Cross-validation: this many runs, each tested on its own part of the training set; 1 for none.",
        bound="[1, 10000]",
        not_swept="a sweep compares on the validation and test set, over seeds",
    )
    data_dir: str = option(
        "",
        "Folder of prepared TFDS data sets; empty for TFDS's own.",
        common=True,
        free=True,
        per_process=True,
        not_swept=PLACE,
    )
    cache_dir: str = option(
        "",
        "Folder for decoded data sets; empty for the user's cache folder.",
        free=True,
        per_process=True,
        not_swept=PLACE,
    )

    def __post_init__(self) -> None:
        check(self)
        if (self.data or self.size) and self.dataset != OWN:
            raise ValueError(
                f"data and size are of your own data, got them with dataset={self.dataset}: train it with "
                "python -m experiments.train"
            )
        if source_of(self.dataset).events:
            Binning.of(1, **self.event_options(""))
        if self.flip_alternating and not self.flip:
            raise ValueError("flip_alternating says in which epochs images are flipped: give flip with it")
        if (self.drop_events or self.time_jitter) and not source_of(self.dataset).events:
            raise ValueError(
                f"drop_events and time_jitter are for event data, got them with dataset={self.dataset}, which has none"
            )

    def event_options(self, prefix: str = "event_") -> dict[str, Any]:
        """The options of event data, by their names with another prefix."""
        return {
            prefix + name.removeprefix("event_"): value
            for name, value in vars(self).items()
            if name.startswith("event_")
        }
