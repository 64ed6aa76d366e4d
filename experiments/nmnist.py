"""Spiking LeNet on N-MNIST: real events from a moving camera, fed as they are."""

from jaxsnn.lab.config import Config
from jaxsnn.lab.run import main


def nmnist_lenet() -> Config:
    """LeNet on all 60,000 recordings, T = 100, the recipe of MNIST; published 99.09 %. For an accelerator.

    Source: Lee et al. (2020); the recipe for N-MNIST was not released: rate, epochs and gain are MNIST's or ours.
    Command: `python -m experiments.nmnist --preset=nmnist_lenet --data_dir=<folder of Train and Test>`. Score and time:
    not measured here.
    """
    return Config.of(
        dataset="nmnist",
        encoding="events",
        time_steps=100,
        epochs=125,
        lr=0.0085,
        lr_decay_epochs=(75,),
        init_gain=2.0,
    )


def nmnist_lenet_small() -> Config:
    """The same network for 1,000 recordings and a CPU: T = 10, surrogate, Adam, shifts of a pixel.

    The surrogate (arctan) because at so few steps the paper's rule learns less: see experiments/README.md.
    Command: `python -m experiments.nmnist`. Score and time: docs/results.md.
    """
    return nmnist_lenet().replace(
        gradient="bptt",
        time_steps=10,
        epochs=20,
        batch_size=20,
        shift=1,
        optimizer="adam",
        lr=0.001,
        schedule="cosine",
        lr_decay_epochs=(),
        weight_decay=0.0,
        validation=100,
        evaluation_batch=100,
    )


def nmnist_lenet_norm() -> Config:
    """The small recipe with batch normalisation, average pools, AdamW, more augmentation and 100 epochs.

    Source: our own.
    Command: `python -m experiments.nmnist --preset=nmnist_lenet_norm --folds=5 --validation=20`. Score and time:
    docs/results.md.
    """
    return nmnist_lenet_small().replace(
        shift=3,
        drop_events=0.1,
        rotate=15.0,
        zoom=0.15,
        pool="average",
        norm="bn",
        loss="rate_cross_entropy",
        label_smoothing=0.1,
        optimizer="adamw",
        lr=0.003,
        warmup_epochs=2.0,
        weight_decay=0.02,
        batch_size=40,
        epochs=100,
        evaluate_every=10,
        evaluation_batch=20,
    )


PRESETS = {make.__name__: make for make in (nmnist_lenet_small, nmnist_lenet_norm, nmnist_lenet)}

if __name__ == "__main__":
    main(PRESETS)
