"""Training over pure functions: state, step, loop, metrics, checkpoints. Knows nothing of flax, layers or models."""

from jaxsnn.training.checkpoints import CheckpointError, Checkpoints
from jaxsnn.training.dispatch import Costs, compile_steps
from jaxsnn.training.loop import Data, Interrupted, NonFiniteLoss, fit
from jaxsnn.training.metrics import Metrics, MetricsFile, MetricsList
from jaxsnn.training.state import TrainState, create, no_totals, stream
from jaxsnn.training.step import (
    Evaluation,
    Gradients,
    Tally,
    TrainStep,
    epoch_order,
    make_evaluate,
    make_tally,
    make_train_step,
)

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "Costs",
    "Data",
    "Evaluation",
    "Gradients",
    "Interrupted",
    "Metrics",
    "MetricsFile",
    "MetricsList",
    "NonFiniteLoss",
    "Tally",
    "TrainState",
    "TrainStep",
    "compile_steps",
    "create",
    "epoch_order",
    "fit",
    "make_evaluate",
    "make_tally",
    "make_train_step",
    "no_totals",
    "stream",
]
