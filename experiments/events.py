"""Event cameras: digits through three saccades and moving bars, made here; gestures and moved pictures."""

from jaxsnn.lab.config import Config
from jaxsnn.lab.run import main


def saccade_digits() -> Config:
    """LeNet on the embedded digits through three saccades, 8 bins of equal time; nothing to download.

    Source: the data is made as N-MNIST was, the recipe is that of `nmnist_lenet_small`, with a quarter of the pixels.
    Command: `python -m experiments.events`. Score and time: docs/results.md.
    """
    return Config.of(
        dataset="saccade_digits",
        encoding="events",
        event_downsample=2,
        time_steps=8,
        gradient="bptt",
        init_gain=2.0,
        loss="rate_cross_entropy",
        shift=1,
        optimizer="adam",
        lr=0.002,
        schedule="cosine",
        weight_decay=0.0,
        batch_size=32,
        epochs=10,
        validation=150,
        evaluate_every=2,
    )


def moving_bars() -> Config:
    """Two layers of 64 neurons tell eight directions of bars, 10 bins; nothing to download.

    Source: ours; the smallest task in which time and polarity matter.
    Command: `python -m experiments.events --preset=moving_bars`. Score and time: docs/results.md.
    """
    return saccade_digits().replace(
        dataset="moving_bars",
        model="mlp",
        hidden=(64, 64),
        event_downsample=4,
        time_steps=10,
        validation=80,
        shift=0,
        epochs=40,
        evaluate_every=10,
    )


def dvs128gesture() -> Config:
    """VGG7 with batch norm and learned leaks on DVS128 Gesture, 20 bins of equal count, 64x64. For an accelerator.

    Source: bins, neurons, pools, loss and optimiser after Fang et al. (2021), ICCV, arXiv 2007.05785 (97.57 %, the best
    epoch on the test set); the network and the half resolution are ours.
    Command: `python -m experiments.events --preset=dvs128gesture --data_dir=<folder DvsGesture>`. Score and time: not
    measured here.
    """
    return Config.of(
        dataset="dvs128gesture",
        model="vgg7",
        pool="max",
        encoding="events",
        event_bins="count",
        event_values="counts",
        event_downsample=2,
        time_steps=20,
        neuron="plif",
        leak=0.5,
        gradient="bptt",
        norm="bn",
        dropout=0.5,
        loss="rate_mse",
        votes=10,
        optimizer="adam",
        lr=0.001,
        schedule="cosine",
        weight_decay=0.0,
        batch_size=16,
        epochs=64,
        validation=100,
    )


def cifar10_dvs() -> Config:
    """The recipe of `dvs128gesture` on CIFAR10-DVS, with shifts of 5 pixels. For an accelerator.

    Source: as there (74.8 %, the best epoch on a test set of their own); flips are usual, and left out here.
    Command: `python -m experiments.events --preset=cifar10_dvs --data_dir=<folder of the ten classes>`. Score and time:
    not measured here.
    """
    return dvs128gesture().replace(dataset="cifar10_dvs", shift=5, validation=500)


PRESETS = {make.__name__: make for make in (saccade_digits, moving_bars, dvs128gesture, cifar10_dvs)}

if __name__ == "__main__":
    main(PRESETS)
