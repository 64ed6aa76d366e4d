"""Spiking LeNet on MNIST with the rule of Lee et al. (2020), or any surrogate."""

from jaxsnn.lab.config import Config
from jaxsnn.lab.run import main


def mnist_lenet() -> Config:
    """The paper's recipe: T = 100, 125 epochs, SGD; published 99.59 %. For an accelerator.

    Source: Lee et al. (2020), as released: batch 64, rate 0.0085 (x 0.2 after 75 epochs), input at half rate.
    Command: `python -m experiments.mnist --preset=mnist_lenet --seeds=5`. Score and time: not measured here.
    """
    return Config.of(dataset="mnist", gain=0.5, time_steps=100, epochs=125, lr=0.0085, lr_decay_epochs=(75,))


def mnist_lenet_small() -> Config:
    """The same network and rule for a CPU: T = 20, full input rate, Adam, 4 epochs with the rate falling to 0."""
    return Config.of(
        dataset="mnist", time_steps=20, epochs=4, optimizer="adam", lr=0.002, schedule="cosine", weight_decay=0.0
    )


PRESETS = {"mnist_lenet_small": mnist_lenet_small, "mnist_lenet": mnist_lenet}

if __name__ == "__main__":
    main(PRESETS)
