"""Spiking LeNet on MNIST with the rule of Lee et al. (2020), or any surrogate."""

from experiments.cifar10 import cifar10_fast
from jaxsnn.lab.config import Config
from jaxsnn.lab.run import main


def mnist_lenet() -> Config:
    """The paper's recipe: T = 100, 125 epochs, SGD; published 99.59 %. For an accelerator.

    Source: Lee et al. (2020), as released: batch 64, rate 0.0085 (x 0.2 after 75 epochs), input at half rate.
    Command: `python -m experiments.mnist --preset=mnist_lenet --seeds=5`. Score and time: not measured here.
    """
    return Config.of(dataset="mnist", gain=0.5, time_steps=100, epochs=125, lr=0.0085, lr_decay_epochs=(75,))


def mnist_lenet_small() -> Config:
    """The same network and rule for a CPU: T = 20, full input rate, Adam, 4 epochs with the rate falling to 0.

    Gradients are clipped to norm 1: without it seeds lose whole classes (docs/results.md).
    """
    return Config.of(
        dataset="mnist",
        time_steps=20,
        epochs=4,
        optimizer="adam",
        lr=0.002,
        schedule="cosine",
        weight_decay=0.0,
        clip=1.0,
    )


def mnist_lenet_fast() -> Config:
    """The same with 20 epochs, shifts of two pixels and batches of 128. For an accelerator.

    Source: our own.
    Command: `python -m experiments.mnist --preset=mnist_lenet_fast --seeds=3`. Score and time: docs/results.md.
    """
    return mnist_lenet_small().replace(epochs=20, shift=2, batch_size=128, evaluate_every=4, steps_per_dispatch=25)


def mnist_lenet_norm() -> Config:
    """LeNet with batch normalisation and average pools by the same rule on images as currents: T = 4, 20 epochs.

    Source: our own; mean and standard deviation of the training images.
    Command: `python -m experiments.mnist --preset=mnist_lenet_norm`. Score and time: docs/results.md.
    """
    return mnist_lenet_small().replace(
        encoding="direct",
        mean=(0.1307,),
        std=(0.3081,),
        norm="bn",
        pool="average",
        time_steps=4,
        loss="rate_cross_entropy",
        label_smoothing=0.1,
        optimizer="adamw",
        weight_decay=0.05,
        warmup_epochs=2.0,
        clip=0.0,
        epochs=20,
        shift=2,
        batch_size=128,
        evaluate_every=2,
    )


def fashion_mnist_fast() -> Config:
    """Fashion-MNIST by the recipe of `cifar10_fast`, not tuned.

    Source: our own; mean and standard deviation of the training images.
    Command: `python -m experiments.mnist --preset=fashion_mnist_fast`. Score and time: not measured here.
    """
    return cifar10_fast().replace(dataset="fashion_mnist", mean=(0.286,), std=(0.353,))


PRESETS = {
    make.__name__: make
    for make in (mnist_lenet_small, mnist_lenet_fast, mnist_lenet_norm, mnist_lenet, fashion_mnist_fast)
}

if __name__ == "__main__":
    main(PRESETS)
