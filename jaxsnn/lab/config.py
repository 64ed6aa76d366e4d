"""One frozen configuration of an experiment; every field is an absl flag."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from jaxsnn import SURROGATES
from jaxsnn.data import DATASETS
from jaxsnn.data.events import BINS, VALUES
from jaxsnn.encoding import ENCODINGS
from jaxsnn.layers import Masks
from jaxsnn.losses import LOSSES
from jaxsnn.models import MODELS, Pool
from jaxsnn.typing import LeakBackward

RULES = ("spikebp", *SURROGATES, "relu")
OPTIMIZERS = ("sgd", "adam", "adamw")
LEAKS = get_args(LeakBackward)
MASKS = get_args(Masks)
POOLS = get_args(Pool)
DTYPES = ("float32", "bfloat16")
SCHEDULES = ("constant", "steps", "cosine")


def option(default: Any, text: str, choices: tuple[str, ...] = ()) -> Any:
    """A field of a configuration that is a flag too, with its help text and the values that it may have."""
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True)
class Config:
    """What one run is; presets are functions that return one."""

    dataset: str = option("mnist", "Data set.", tuple(DATASETS))
    model: str = option("lenet", "Network.", tuple(MODELS))
    width: float = option(1.0, "Multiplies the features of every hidden layer.")
    rule: str = option(
        "spikebp",
        "Gradient: the paper's rule (spikebp), or BPTT with the surrogate of this name. relu: an analog network.",
        RULES,
    )
    slope: float | None = option(None, "Steepness of the surrogate; none for its own default. Not used by spikebp.")
    leak: float = option(0.99, "Membrane decay per time step, in (0, 1].")
    leak_correction: bool = option(True, "The leak-correction term in the derivative of spikebp (E8), or (E12).")
    leak_backward: str = option(
        "straight_through", "The leak in the backward pass of spikebp: straight_through (E9) or true (E12).", LEAKS
    )
    threshold: float = option(1.0, "Firing threshold of convolutional and dense layers.")
    pool_threshold: float = option(0.75, "Firing threshold of pooling layers.")
    pool: str = option("spiking", "Average pools with neurons (spiking) or without (average).", POOLS)
    leaks: tuple[str, ...] = option((), "Other leaks for single layers, e.g. conv1:0.9,block1/conv2:0.95.")
    thresholds: tuple[str, ...] = option((), "Other thresholds for single layers, e.g. pool1:0.6,fc1:0.5.")
    reset: str = option("hard", "Reset to zero (hard) or by subtraction (soft). spikebp is hard.", ("hard", "soft"))
    leak_first: bool = option(False, "Leak before integrating, as most libraries do. spikebp leaks last.")
    learn: tuple[str, ...] = option((), "Neuron constants to train, one per layer: leak, threshold. Not with spikebp.")
    time_steps: int = option(100, "Number of time steps T.")
    time_chunk: int = option(
        0, "Run the steps in pieces of this many, in less memory; 0 chooses by backend, T or more runs all at once."
    )
    remat: bool = option(False, "Store only the neurons' states between pieces, and run each piece again backward.")
    pack_spikes: bool = option(False, "Storage spikes for the backward pass in one bit each, not one byte.")
    compute_dtype: str = option(
        "float32", "Of spikes and currents between layers; membranes, weights and sums stay float32.", DTYPES
    )
    encoding: str = option("poisson", "Images to spikes; events for event data, fed as it is.", tuple(ENCODINGS))
    gain: float = option(1.0, "Scales the firing rate of the Poisson input.")
    event_bins: str = option("time", "Event data: steps of equal time, or of equal event count.", BINS)
    event_values: str = option("binary", "Event data: 1 where there was an event (binary), or how many.", VALUES)
    mean: tuple[float, ...] = option((), "Subtracted from the pixels (in [0, 1]), one number or one per channel.")
    std: tuple[float, ...] = option((), "Divides the pixels after that.")
    shift: int = option(0, "Augmentation: shift training samples by up to this many pixels.")
    flip: bool = option(False, "Augmentation: flip half of the training images horizontally.")
    loss: str = option(
        "squared_error", "Loss; squared_error is a sum over the batch, the others are means.", tuple(LOSSES)
    )
    optimizer: str = option("sgd", "Optimiser.", OPTIMIZERS)
    momentum: float = option(0.0, "Momentum of sgd.")
    lr: float = option(0.0085, "Learning rate.")
    schedule: str = option(
        "steps", "Learning rate over the run: constant, steps (see lr_decay), cosine to 0.", SCHEDULES
    )
    lr_decay: float = option(0.2, "Factor on the learning rate at each of lr_decay_epochs.")
    lr_decay_epochs: tuple[int, ...] = option((), "Epochs after which the learning rate is multiplied by lr_decay.")
    weight_decay: float = option(5e-4, "Added to the gradient, times the weight; of adamw, to its update.")
    batch_size: int = option(64, "Training samples per step.")
    epochs: int = option(125, "Passes over the training set.")
    dropout: float = option(0.0, "Dropout rate after hidden layers (not pools).")
    dropout_mask: str = option("fixed", "One mask of dropout for all time steps (fixed), or one per step.", MASKS)
    init_from: str = option("", "Run folder whose converted network the weights start from (jaxsnn.lab.convert).")
    init_gain: float = option(1.0, "Factor on the initial weights; above 1 where layers would be silent.")
    validation: int = option(5000, "Training images held out to choose the best epoch.")
    limit: int = option(0, "Use only this many training images (after holding out); 0 for all.")
    limit_test: int = option(0, "Use only this many test images; 0 for all.")
    seed: int = option(0, "Seed of the first run.")
    seeds: int = option(1, "Number of runs, with consecutive seeds; mean and spread are reported.")
    folds: int = option(
        1, "Cross-validation: this many runs, each tested on its own part of the training set; 1 for none."
    )
    evaluate_every: int = option(1, "Epochs between evaluations on validation and test set.")
    evaluation_batch: int = option(250, "Samples per evaluation batch.")
    log_every: int = option(50, "Steps between rows of training metrics.")
    checkpoint_every: int = option(
        0, "Steps between checkpoints within an epoch; 0 for none. Every evaluated epoch has one."
    )
    steps_per_dispatch: int = option(1, "Train steps that the device takes on its own; the same up to rounding.")
    data_parallel: int = option(1, "Devices that share every batch; 0 for all. The same numbers up to rounding.")
    multihost: bool = option(
        False, "Train by several processes, started alike on every machine; all their devices share every batch."
    )
    compilation_cache: str = option("", "Folder that keeps compiled programs for later runs; empty for none.")
    data_dir: str = option("", "Folder of prepared TFDS data sets; empty for TFDS's own.")
    cache_dir: str = option("", "Folder for decoded data sets; empty for the user's cache folder.")
    run_dir: str = option("", "Folder of this run; empty for a new one below runs/.")
    resume: bool = option(
        False, "Go on with the run in run_dir (or the newest of this preset) from its last checkpoint."
    )
    progress: bool = option(True, "Show a progress bar.")
    activity: bool = option(True, "Before training, warn of layers that are silent or saturated.")
    figures: bool = option(True, "Draw figures at the end (needs the extra 'viz').")

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value, choices = getattr(self, f.name), f.metadata["choices"]
            if choices and value not in choices:
                raise ValueError(f"{f.name} must be one of {', '.join(choices)}, got {value!r}")
        at_least_1 = ("time_steps", "batch_size", "epochs", "seeds", "evaluate_every", "evaluation_batch", "log_every")
        for name in (*at_least_1, "steps_per_dispatch", "folds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        for name in ("validation", "time_chunk", "shift", "limit", "limit_test", "checkpoint_every", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        if self.data_parallel < 0:
            raise ValueError(f"data_parallel must be >= 1, or 0 for all devices, got {self.data_parallel}")
        if self.validation == 0:
            raise ValueError(
                "validation must be >= 1: the best epoch is chosen on held-out training images, never on test"
            )
        if DATASETS[self.dataset].events != ENCODINGS[self.encoding].frames:
            events = ", ".join(name for name, source in DATASETS.items() if source.events)
            raise ValueError(
                f"encoding=events belongs to event data ({events}) and the others to images, "
                f"got dataset={self.dataset} with encoding={self.encoding}"
            )
        if self.encoding == "events" and (self.mean or self.std or self.gain != 1):
            raise ValueError("event data is fed as it is: mean, std and gain are for images")
        if self.folds > 1 and self.seeds > 1:
            raise ValueError(f"give folds or seeds, not both (got {self.folds} and {self.seeds}): folds share one seed")
        for name in ("leaks", "thresholds"):
            self.layer_values(name)
        if not self.lr > 0:
            raise ValueError(f"lr must be > 0, got {self.lr}")
        if self.rule != "spikebp" and not (self.leak_correction and self.leak_backward == "straight_through"):
            raise ValueError(
                f"leak_correction and leak_backward are variants of spikebp, got them with rule={self.rule}, which "
                "differentiates the leak as it is"
            )
        if self.init_from and self.multihost:
            raise ValueError("init_from is for one process: start without multihost, then resume with it")
        if self.rule == "relu" and (self.learn or self.leaks or self.thresholds or self.init_from):
            raise ValueError("relu has no leaks, thresholds or time: learn, leaks, thresholds, init_from go without it")
        if self.rule == "relu" and self.encoding != "events" and (self.time_steps, self.encoding) != (1, "direct"):
            raise ValueError(
                f"relu takes the analog image once: use --time_steps=1 --encoding=direct, got {self.time_steps} steps, "
                f"{self.encoding} (of event data it takes the mean of the steps)"
            )
        if self.rule == "spikebp" and (self.learn or self.reset != "hard" or self.leak_first or self.slope is not None):
            raise ValueError(
                "spikebp resets hard, leaks last, and has no slope and no gradient of leak or threshold; "
                "for learn, reset=soft, leak_first or slope choose a surrogate, e.g. --rule=arctan"
            )

    def layer_values(self, name: str) -> dict[str, float]:
        """`leaks` or `thresholds` as layer name to number.

        Raises:
          ValueError: if an entry is not `layer:number`.
        """
        values = {}
        for entry in getattr(self, name):
            layer, _, number = entry.partition(":")
            try:
                values[layer] = float(number)
            except ValueError as error:
                raise ValueError(f"{name} takes layer:number, e.g. conv1:0.9, got {entry!r}") from error
        return values


ONE_DEVICE: dict[str, Any] = {"data_parallel": 1, "multihost": False}
"""What to replace in the configuration of a run to look at its networks on one device, wherever it was trained."""
RENAMED = {"devices": "data_parallel"}
"""Earlier names of fields, in stored configurations and as flags."""


def renamed(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration under the names that fields have now."""
    return {RENAMED.get(name, name): value for name, value in stored.items()}


def from_stored(values: dict[str, Any]) -> Config:
    """The configuration that a run folder holds as JSON.

    Raises:
      ValueError: for a field that is not known: the run is from another version.
    """
    known, values = {f.name: f for f in dataclasses.fields(Config)}, renamed(values)
    if strange := sorted(values.keys() - known.keys()):
        raise ValueError(
            f"the run's config.json has unknown fields {', '.join(strange)}: it was written by another version; use "
            "the commit in its environment.json"
        )
    fields: dict[str, Any] = {k: tuple(v) if get_origin(known[k].type) is tuple else v for k, v in values.items()}
    return Config(**fields)


FREE_ON_RESUME = frozenset(
    (
        *("epochs", "seeds", "checkpoint_every", "resume", "progress", "activity", "figures"),
        *("data_parallel", "multihost"),
        *("data_dir", "cache_dir", "compilation_cache", "run_dir"),
    )
)
"""Fields that may change between a run and its resumption: they do not touch the numbers already computed, and those
that come are the same, with other devices up to rounding."""


def check_resume(stored: dict[str, Any], config: Config) -> None:
    """Compares a stored configuration with the one that wants to go on with its run.

    Raises:
      ValueError: naming the fields that differ and must not.
    """
    now, defaults = (json.loads(json.dumps(dataclasses.asdict(c))) for c in (config, Config()))
    stored = defaults | renamed(stored)  # a run from before a field was added had its default
    free = FREE_ON_RESUME - ({"epochs"} if config.schedule == "cosine" else set())
    changed = [
        f"  {name}: the run has {stored[name]!r}, now {value!r}"
        for name, value in now.items()
        if name not in free and stored[name] != value
    ]
    if changed:
        raise ValueError(
            "cannot resume with another configuration:\n"
            + "\n".join(changed)
            + "\nResume with the flags of the first run, "
            "or start a new one without --resume"
        )
