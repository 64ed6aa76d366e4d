"""Training over pure functions: state, step, loop, metrics, checkpoints. Knows nothing of flax, layers or models."""

from jaxsnn.training.checkpoints import CheckpointError, Checkpoints
from jaxsnn.training.loop import Data, Interrupted, NonFiniteLoss, fit
from jaxsnn.training.metrics import MetricsFile
from jaxsnn.training.state import TrainState, create, stream
from jaxsnn.training.step import Evaluation, Gradients, TrainStep, epoch_order, make_evaluate, make_train_step

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "Data",
    "Evaluation",
    "Gradients",
    "Interrupted",
    "MetricsFile",
    "NonFiniteLoss",
    "TrainState",
    "TrainStep",
    "create",
    "epoch_order",
    "fit",
    "make_evaluate",
    "make_train_step",
    "stream",
]
