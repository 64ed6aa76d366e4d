"""Training over pure functions: state, step, loop, metrics, checkpoints. Knows nothing of flax, layers or models."""

from jaxsnn.training.checkpoints import CheckpointError, Checkpoints
from jaxsnn.training.dispatch import Costs, compile_steps
from jaxsnn.training.ending import NonFiniteLoss
from jaxsnn.training.feed import OnHost, Window
from jaxsnn.training.loop import Data, check_batch_size, copy_state, fit
from jaxsnn.training.metrics import Metrics, MetricsFile, MetricsList
from jaxsnn.training.micro import check_micro_batch, micro_batches
from jaxsnn.training.state import TrainState, init_state, key_for, no_totals
from jaxsnn.training.step import (
    Augment,
    CountBatch,
    Evaluation,
    Loss,
    Prepare,
    Tested,
    TrainStep,
    Visit,
    backpropagation,
    epoch_order,
    make_count_batch,
    make_evaluate,
    make_train_step,
    switch_step,
)
from jaxsnn.training.stopping import Interrupted

__all__ = [
    "Augment",
    "CheckpointError",
    "Checkpoints",
    "Costs",
    "CountBatch",
    "Data",
    "Evaluation",
    "Interrupted",
    "Loss",
    "Metrics",
    "MetricsFile",
    "MetricsList",
    "NonFiniteLoss",
    "OnHost",
    "Prepare",
    "Tested",
    "TrainState",
    "TrainStep",
    "Visit",
    "Window",
    "backpropagation",
    "check_batch_size",
    "check_micro_batch",
    "compile_steps",
    "copy_state",
    "epoch_order",
    "fit",
    "init_state",
    "key_for",
    "make_count_batch",
    "make_evaluate",
    "make_train_step",
    "micro_batches",
    "no_totals",
    "switch_step",
]
