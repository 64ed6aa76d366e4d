"""The paper's VGG9, ResNet9 and ResNet11 on CIFAR-10: on signed Poisson spikes, and small variants for a CPU."""

from jaxsnn.lab.config import Config
from jaxsnn.lab.run import main

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.557, 0.549, 0.5534)  # Lee et al. (2020), as released: pixels in about [-1, 1]


def cifar10_vgg9() -> Config:
    """VGG9, the paper's recipe: T = 100, 150 epochs of batch 16. For an accelerator.

    Source: Lee et al. (2020), as released: SGD, rate 0.0033 (x 0.2 after 70, 100 and 125 epochs), weight decay 5e-4,
    dropout 0.2, pad 4 and crop, flip.
    Command: `python -m experiments.cifar10 --preset=cifar10_vgg9`. Score and time: not measured here.
    """
    return Config.of(
        dataset="cifar10",
        model="vgg9",
        time_steps=100,
        mean=MEAN,
        std=STD,
        shift=4,
        flip=True,
        dropout=0.2,
        batch_size=16,
        lr=0.0033,
        lr_decay_epochs=(70, 100, 125),
        epochs=150,
        pack_spikes=True,
    )


def cifar10_resnet11() -> Config:
    """ResNet11, the paper's recipe: T = 100, 150 epochs of batch 16; published 90.95 %. For an accelerator.

    Source: Lee et al. (2020), as released: as VGG9, but rate 0.0025 and dropout 0.25.
    Command: `python -m experiments.cifar10 --preset=cifar10_resnet11`. Score and time: not measured here.
    """
    return cifar10_vgg9().replace(model="resnet11", lr=0.0025, dropout=0.25)


def cifar10_resnet9() -> Config:
    """ResNet9, the recipe of ResNet11; published 90.35 %. For an accelerator.

    Source: Lee et al. (2020); its code for ResNet9 was not released, see docs/decisions/0006.
    Command: `python -m experiments.cifar10 --preset=cifar10_resnet9`. Score and time: not measured here.
    """
    return cifar10_resnet11().replace(model="resnet9")


def cifar10_vgg9_small() -> Config:
    """VGG9 a quarter as wide, T = 4, surrogate gradient, 10,000 images as currents.

    The surrogate (arctan) because at so few steps the paper's rule falls silent: see experiments/README.md.
    Command: `python -m experiments.cifar10`. Score and time: docs/results.md.
    """
    return cifar10_vgg9().replace(
        gradient="bptt",
        width=0.25,
        init_gain=2.0,
        encoding="direct",
        time_steps=4,
        loss="per_step_cross_entropy",
        epochs=20,
        batch_size=25,
        optimizer="adam",
        lr=0.001,
        schedule="cosine",
        lr_decay_epochs=(),
        weight_decay=0.0,
        dropout=0.0,
        shift=2,
        limit=10000,
        limit_test=2000,
        validation=500,
        evaluate_every=2,
        pack_spikes=False,
    )


def cifar10_resnet9_small() -> Config:
    """ResNet9 a quarter as wide, 8 epochs, otherwise as `cifar10_vgg9_small`.

    Command: `python -m experiments.cifar10 --preset=cifar10_resnet9_small`. Score and time: docs/results.md.
    """
    return cifar10_vgg9_small().replace(model="resnet9", epochs=8)


def cifar10_resnet11_small() -> Config:
    """ResNet11 a quarter as wide, otherwise as `cifar10_resnet9_small`. Score and time: not measured here."""
    return cifar10_resnet9_small().replace(model="resnet11")


def cifar10_fast() -> Config:
    """A small network that pools early, on all images but 500 as currents, T = 1 at first and T = 4 at last.

    Source: our own.
    Command: `python -m experiments.cifar10 --preset=cifar10_fast`. Score and time: docs/results.md.
    """
    return Config.of(
        dataset="cifar10",
        model="fast_cifar",
        gradient="bptt",
        surrogate="triangle",
        leak=0.5,
        leak_first=True,
        norm="bn",
        encoding="direct",
        time_steps=4,
        short_epochs=28,
        loss="rate_cross_entropy",
        label_smoothing=0.1,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.247, 0.2435, 0.2616),
        shift=2,
        shift_fill="reflect",
        flip=True,
        flip_alternating=True,
        optimizer="sgd",
        momentum=0.9,
        nesterov=True,
        lr=0.1,
        weight_decay=5e-4,
        schedule="linear",
        warmup_epochs=2,
        batch_size=128,
        epochs=36,
        validation=500,
    )


def cifar10_fast_wide() -> Config:
    """The same twice as wide, 40 epochs, cutout, bfloat16. For an accelerator.

    Source: our own.
    Command: `python -m experiments.cifar10 --preset=cifar10_fast_wide`. Score and time: docs/results.md.
    """
    return cifar10_fast().replace(
        width=2.0,
        epochs=40,
        short_epochs=30,
        cutout=8,
        compute_dtype="bfloat16",
        evaluate_every=5,
        steps_per_dispatch=10,
    )


def cifar10_vgg9_norm() -> Config:
    """VGG9 with batch normalisation and average pools by the paper's rule, T = 8. For an accelerator.

    With `--gradient=bptt` the same network by a surrogate gradient (arctan).
    Source: our own.
    Command: `python -m experiments.cifar10 --preset=cifar10_vgg9_norm`. Score and time: docs/results.md.
    """
    return cifar10_fast().replace(
        model="vgg9",
        pool="average",
        gradient="spikebp",
        surrogate="arctan",
        leak=0.9,
        leak_first=False,
        time_steps=8,
        short_epochs=0,
        epochs=30,
        optimizer="adamw",
        momentum=0.0,
        nesterov=False,
        lr=0.002,
        weight_decay=0.05,
        schedule="cosine",
        compute_dtype="bfloat16",
        evaluate_every=4,
        steps_per_dispatch=10,
    )


def cifar10_vgg9_relu() -> Config:
    """A ReLU network of the shape of `cifar10_vgg9_norm`, from whose run `cifar10_vgg9_hybrid` starts.

    Source: our own.
    Command: `python -m experiments.cifar10 --preset=cifar10_vgg9_relu --run_dir=runs/relu`. Score and time:
    docs/results.md.
    """
    return cifar10_fast().replace(
        model="vgg9",
        pool="average",
        neuron="relu",
        leak=1.0,
        leak_first=False,
        time_steps=1,
        short_epochs=0,
        epochs=8,
        evaluate_every=2,
    )


def cifar10_vgg9_hybrid() -> Config:
    """VGG9 with batch normalisation by the paper's rule at T = 2, from the weights of a ReLU network (hybrid training).

    With `--gradient=bptt` the same by a surrogate gradient (arctan).
    Source: our own.
    Command: `python -m experiments.cifar10 --preset=cifar10_vgg9_hybrid --init_from=runs/relu`, after
    `cifar10_vgg9_relu`. Score and time: docs/results.md.
    """
    return cifar10_vgg9_relu().replace(
        neuron="lif",
        gradient="spikebp",
        surrogate="arctan",
        leak=0.9,
        time_steps=2,
        lr=0.02,
        warmup_epochs=0,
        epochs=2,
        evaluate_every=1,
    )


PRESETS = {
    make.__name__: make
    for make in (
        *(cifar10_vgg9_small, cifar10_resnet9_small, cifar10_resnet11_small, cifar10_fast, cifar10_fast_wide),
        *(cifar10_vgg9_norm, cifar10_vgg9_relu, cifar10_vgg9_hybrid, cifar10_vgg9, cifar10_resnet9, cifar10_resnet11),
    )
}

if __name__ == "__main__":
    main(PRESETS)
