"""The ReLU twin of a run: the same network, data and augmentation, trained as ReLU networks are, in `<run>/twin`."""

import dataclasses
from pathlib import Path
from typing import Any

from jaxsnn.lab import run as training_run
from jaxsnn.lab import run_folder, stored
from jaxsnn.lab.config import Config, fields_with
from jaxsnn.lab.network import NetworkConfig
from jaxsnn.losses import LOSSES


def configuration(config: Config, folder: Path, epochs: int = 0) -> Config:
    """The twin's: cross-entropy, Adam with the rate falling from 0.001 to 0, average pools, weights of usual size.

    Args:
      config: of the run.
      folder: the run's folder.
      epochs: 0 for as many as the run.
    """
    events = config.network.encoding == "events"
    network = NetworkConfig(
        **{name: getattr(config.network, name) for name in fields_with(analog=True)},
        neuron="relu",
        pool="average",
        encoding="events" if events else "direct",
        time_steps=config.network.time_steps if events else 1,
    )
    of_spikes = ("nesterov", "rate_weight", "rate_lower", "rate_upper", *LOSSES[config.training.loss].options)
    defaults: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(config.training) if f.name in of_spikes}
    training = dataclasses.replace(
        config.training,
        **defaults,
        loss="per_step_cross_entropy",
        optimizer="adam",
        lr=0.001,
        schedule="cosine",
        weight_decay=0.0,
        epochs=epochs or config.training.epochs,
    )
    run = dataclasses.replace(config.run, seeds=1, activity=False, figures=False, run_dir=str(folder / "twin"))
    return Config(config.data, network, training, run)


def train(config: Config) -> None:
    """Trains the twin, or goes on where it stopped; does nothing if it is complete.

    Raises:
      ValueError: if its folder holds a twin of another configuration, or a damaged one.
      CheckpointError, NonFiniteLoss, Interrupted: as training.
    """
    path = Path(config.run.run_dir)
    begun = (path / "config.json").exists()
    if begun:
        try:
            stored.check_resume(run_folder.read_config(path), config)
        except ValueError as error:
            raise ValueError(f"{path} is no twin of this run; move it away to train another: {error}") from error
    if not (path / "results.json").exists():
        training_run.run(config.replace(resume=begun), "twin")
