"""Trainings that end before their time: errors that say which part of a run is kept."""

from collections.abc import Iterator
from contextlib import contextmanager

from jaxsnn.training.checkpoints import Checkpoints
from jaxsnn.training.stopping import Interrupted


class NonFiniteLoss(FloatingPointError):
    """The loss, its gradient or the weights became NaN or infinite."""


def _last_whole(checkpoints: Checkpoints) -> str:
    kept = checkpoints.steps()
    return f"the last good checkpoint is step {kept[-1]}" if kept else "no checkpoint had been written yet"


def not_finite(what: str, step: int, checkpoints: Checkpoints | None) -> NonFiniteLoss:
    """The error for `what` that is no finite number any more after so many steps."""
    way_out = "" if checkpoints is None else f"; {_last_whole(checkpoints)} in {checkpoints.folder}"
    return NonFiniteLoss(
        f"{what} became NaN or infinite at step {step}{way_out}. "
        "Usual causes: too large a learning rate, or NaN in the input"
    )


def interrupted(step: int, checkpoints: Checkpoints | None) -> Interrupted:
    """The error for a training that was asked to stop."""
    return Interrupted(f"stopped at step {step}" + (f", state saved in {checkpoints.folder}" if checkpoints else ""))


@contextmanager
def named_losses(step: int, checkpoints: Checkpoints | None) -> Iterator[None]:
    """Says which part of a run is kept if a file cannot be written."""
    try:
        yield
    except OSError as error:
        kept = "" if checkpoints is None else f"; {_last_whole(checkpoints)} in {checkpoints.folder}"
        raise OSError(
            error.errno,
            f"{error.strerror or error}: training ends at step {step}{kept}. Make room there, or make it writable, and "
            "resume from that checkpoint",
        ) from error
