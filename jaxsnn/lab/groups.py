"""The groups of a configuration for training and runs; the others are in `lab.data` and `lab.network`."""

from dataclasses import dataclass

from jaxsnn.lab.data import PLACE
from jaxsnn.lab.optimizers import OPTIMIZERS, SCHEDULES
from jaxsnn.lab.options import check, check_used, option
from jaxsnn.losses import LOSSES

_SHOWN = "it changes what is shown or kept of a run, not what is trained"
_SEEDS = "seeds are an axis of every sweep: give --seeds=5, and --seed for the first"


@dataclass(frozen=True)
class TrainingConfig:
    """How the weights are found."""

    loss: str = option(
        "squared_error", "Loss; its reduction over the batch (sum or mean) is in `losses.LOSSES`.", choices=LOSSES
    )
    label_smoothing: float = option(
        0.0, "Part of each label that is divided among all classes.", bound="[0, 1]", traced="step", off=0.0
    )
    tet_lambda: float = option(
        0.05, "Weight of the second term of tet, the distance from tet_target.", bound="[0, 1]", traced="step"
    )
    tet_target: float = option(1.0, "Potential near which the second term of tet keeps the readout.", traced="step")
    rate_weight: float = option(
        0.0,
        "Weight of the penalty on firing rates of hidden layers outside rate_lower and rate_upper; 0 for none.",
        bound="[0, inf)",
        traced="step",
        off=0.0,
    )
    rate_lower: float = option(
        0.0, "Spikes per step below which a neuron is penalised, as silent.", bound="[0, 1]", traced="step"
    )
    rate_upper: float = option(
        1.0, "Spikes per step above which a neuron is penalised, as too busy.", bound="[0, 1]", traced="step"
    )
    optimizer: str = option("sgd", "Optimiser.", choices=OPTIMIZERS, common=True)
    momentum: float = option(0.0, "Momentum of sgd.", bound="[0, 1)")
    nesterov: bool = option(False, "Nesterov's form of the momentum of sgd.")
    clip: float = option(
        0.0,
        "Largest norm of the gradient of all parameters together; longer ones are cut; 0 for any.",
        bound="[0, inf)",
    )
    ema: float = option(
        0.0,
        "Decay per step of a running mean of the weights, with which the network is evaluated; 0 for none.",
        bound="[0, 1)",
    )
    lr: float = option(0.0085, "Learning rate.", bound="(0, inf)", traced="step", common=True)
    schedule: str = option(
        "steps",
        "Learning rate over the run: constant, steps (see lr_decay), linear or cosine to 0, onecycle (up, then to 0).",
        choices=SCHEDULES,
    )
    short_epochs: int = option(0, "Epochs at the start that train with short_steps time steps.", bound="[0, inf)")
    short_steps: int = option(1, "Number of time steps in the short_epochs; not of event data.", bound="[1, inf)")
    warmup_epochs: float = option(
        0.0,
        "Epochs in which the learning rate rises to lr, before the schedule; of onecycle its own rise.",
        bound="[0, inf)",
    )
    lr_decay: float = option(0.2, "Factor on the learning rate at each of lr_decay_epochs.", bound="(0, inf)")
    lr_decay_epochs: tuple[int, ...] = option(
        (), "Epochs after which the learning rate is multiplied by lr_decay.", bound="[1, inf)"
    )
    weight_decay: float = option(
        5e-4, "Added to the gradient, times the weight; of adamw, to its update.", bound="[0, inf)", traced="step"
    )
    batch_size: int = option(64, "Training samples per step.", bound="[1, inf)", common=True)
    micro_batch: int = option(
        0,
        "Samples of a batch whose gradients are computed at once, in each device; those of all are added up (gradient "
        "accumulation), in less memory. A norm sees this many. 0 takes the batch whole.",
        bound="[0, inf)",
    )
    epochs: int = option(125, "Passes over the training set.", bound="[1, inf)", free=True, common=True)
    seed: int = option(0, "Seed of the first run.", bound="[0, inf)", traced="state", not_swept=_SEEDS, common=True)
    evaluate_every: int = option(1, "Epochs between evaluations on validation and test set.", bound="[1, inf)")
    evaluation_batch: int = option(250, "Samples per evaluation batch.", bound="[1, inf)")
    log_every: int = option(
        50, "Steps between rows of training metrics.", bound="[1, inf)", single=True, not_swept=_SHOWN
    )
    steps_per_dispatch: int = option(
        1,
        "Train steps that the device takes on its own; the same up to rounding.",
        bound="[1, inf)",
        single=True,
        not_swept="it changes how fast the steps are dispatched, not what is trained",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum):
            raise ValueError(
                "nesterov is a form of the momentum of sgd: give optimizer=sgd and a momentum above 0, got "
                f"optimizer={self.optimizer}, momentum={self.momentum}"
            )
        if self.warmup_epochs >= max(self.epochs, 1e-9):
            raise ValueError(f"warmup_epochs must be fewer than epochs, got {self.warmup_epochs} of {self.epochs}")
        if self.rate_lower > self.rate_upper:
            raise ValueError(f"rate_lower={self.rate_lower} must not be above rate_upper={self.rate_upper}")
        if not self.rate_weight and (self.rate_lower, self.rate_upper) != (0, 1):
            raise ValueError("rate_lower and rate_upper are bounds of the penalty: give rate_weight above 0 with them")
        check_used(self, LOSSES, "loss")

    @property
    def free_epochs(self) -> bool:
        """Whether a finished run can go on for more epochs: not if the learning rate has ended."""
        return not SCHEDULES[self.schedule].ends


@dataclass(frozen=True)
class RunConfig:
    """The number of runs, their devices, and their files and figures. A resumption may change all of it."""

    seeds: int = option(
        1,
        "Number of runs, with consecutive seeds; mean and spread are reported.",
        bound="[1, 10000]",
        not_swept=_SEEDS,
        common=True,
    )
    checkpoint_every: int = option(
        0,
        "Steps between checkpoints within an epoch; 0 for none. Every evaluated epoch has one.",
        bound="[0, inf)",
        single=True,
        not_swept=_SHOWN,
    )
    data_parallel: int = option(
        1,
        "Devices that share every batch; 0 for all. The same numbers up to rounding.",
        bound="[0, inf)",
        not_swept="the networks of a sweep are divided among --data_parallel devices, each is trained on one",
    )
    multihost: bool = option(
        False,
        "Train by several processes, started alike on every machine; all their devices share every batch.",
        not_swept="several processes share a sweep by --worker",
    )
    stream: str = option(
        "auto",
        "Samples stay on the host and go to the device step by step: always, never, or if they do not fit (auto). The "
        "same numbers.",
        choices=("auto", "always", "never"),
        not_swept=_SHOWN,
        common=True,
    )
    compilation_cache: str = option(
        "",
        "Folder that keeps compiled programs for later runs; empty for none.",
        per_process=True,
        not_swept=PLACE,
    )
    run_dir: str = option(
        "", "Folder of this run; empty for a new one below runs/.", per_process=True, not_swept=PLACE, common=True
    )
    resume: bool = option(
        False,
        "Go on with the run in run_dir (or the newest of this preset) from its last checkpoint.",
        not_swept=_SHOWN,
        common=True,
    )
    progress: bool = option(True, "Show a progress bar.", per_process=True, not_swept=_SHOWN)
    activity: bool = option(
        True,
        "Before training, warn of layers that are silent or saturated.",
        per_process=True,
        single=True,
        not_swept=_SHOWN,
    )
    figures: bool = option(True, "Draw figures at the end (needs the extra 'viz').", not_swept=_SHOWN)

    def __post_init__(self) -> None:
        check(self)
