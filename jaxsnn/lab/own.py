"""A network for your own data: a preset that fits itself to the samples."""

from jaxsnn.data.arrays import OWN
from jaxsnn.lab.config import Config
from jaxsnn.lab.splits import load_data

SMALLEST = 8
"""Pixels a side from which images are for a convolutional network."""


def own() -> Config:
    """Your own data by --data: LeNet for images, mlp for vectors, T = 8, surrogate gradient, Adam, 20 epochs."""
    return Config.of(
        dataset=OWN,
        gradient="bptt",
        encoding="direct",
        time_steps=8,
        init_gain=2.0,
        loss="rate_cross_entropy",
        optimizer="adam",
        lr=0.001,
        schedule="cosine",
        weight_decay=0.0,
        epochs=20,
        batch_size=32,
    )


def suited(config: Config) -> Config:
    """The configuration with network, batch and validation part for the data that it names.

    Images of 8 pixels a side or more, in multiples of 4, get LeNet, everything else an mlp. A tenth of the training
    set is held out; a batch has 32 samples, or a quarter of a smaller set.

    Raises:
      ValueError: if it names none, or as `data.paths.load`.
    """
    if not config.data.data:
        raise ValueError("there is no data: give --data=<file.npz> or --data=<folder of one folder for each class>")
    samples = load_data(config).train.samples
    sides = samples.shape[1:3] if samples.ndim == 4 else (0,)
    convolutional = min(sides) >= SMALLEST and not any(side % 4 for side in sides)
    validation = max(1, len(samples) // 10)
    return config.replace(
        model="lenet" if convolutional else "mlp",
        validation=validation,
        batch_size=max(1, min(config.training.batch_size, (len(samples) - validation) // 4)),
    )


PRESETS = {"own": own}
