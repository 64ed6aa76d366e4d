"""The ReLU twin of a run: the same network, data and augmentation, trained as ReLU networks are, in `<run>/twin`."""

import dataclasses
from pathlib import Path

from jaxsnn.lab import run, run_folder
from jaxsnn.lab.config import Config, check_resume

SHARED = (
    *("dataset", "model", "width", "dropout", "event_bins", "event_values", "mean", "std", "shift", "flip"),
    *("batch_size", "epochs", "validation", "limit", "limit_test", "seed", "evaluate_every", "evaluation_batch"),
    *("log_every", "checkpoint_every", "compilation_cache", "data_dir", "cache_dir", "progress"),
)
"""Fields that the twin takes over; all others are the recipe below."""


def configuration(config: Config, where: Path, epochs: int = 0) -> Config:
    """The twin's: cross-entropy, Adam with the rate falling from 0.001 to 0, average pools, weights of usual size.

    Args:
      config: of the run.
      where: the run's folder.
      epochs: 0 for as many as the run.
    """
    events = config.encoding == "events"
    own = Config(
        **{name: getattr(config, name) for name in SHARED},
        rule="relu",
        pool="average",
        encoding="events" if events else "direct",
        time_steps=config.time_steps if events else 1,
        loss="per_step_cross_entropy",
        optimizer="adam",
        lr=0.001,
        schedule="cosine",
        weight_decay=0.0,
        activity=False,
        figures=False,
        run_dir=str(where / "twin"),
    )
    return dataclasses.replace(own, epochs=epochs) if epochs else own


def train(own: Config) -> None:
    """Trains the twin, or goes on where it stopped; does nothing if it is complete.

    Raises:
      ValueError: if its folder holds a twin of another configuration, or a damaged one.
      CheckpointError, NonFiniteLoss, Interrupted: as training.
    """
    path = Path(own.run_dir)
    begun = (path / "config.json").exists()
    if begun:
        try:
            check_resume(run_folder.read_json(path / "config.json"), own)
        except ValueError as error:
            raise ValueError(f"{path} is no twin of this run; move it away to train another: {error}") from error
    if not (path / "results.json").exists():
        run.run(dataclasses.replace(own, resume=begun), "twin")
