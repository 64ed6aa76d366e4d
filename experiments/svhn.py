"""The paper's VGG9 and ResNet7 on SVHN (cropped digits), and small variants for a CPU."""

from experiments.cifar10 import cifar10_resnet11, cifar10_vgg9, cifar10_vgg9_small
from jaxsnn.lab.config import Config
from jaxsnn.lab.run import main

MEAN = STD = (0.5,)  # pixels in [-1, 1]; the authors' SVHN code was not released


def svhn_vgg9() -> Config:
    """VGG9 with the recipe that was released for CIFAR-10, without flips. For an accelerator.

    Source: Lee et al. (2020); the recipe for SVHN was not released, see docs/decisions/0006.
    Command: `python -m experiments.svhn --preset=svhn_vgg9`. Score and time: not measured here.
    """
    return cifar10_vgg9().replace(dataset="svhn_cropped", mean=MEAN, std=STD, flip=False)


def svhn_resnet7() -> Config:
    """ResNet7 with the recipe that was released for CIFAR-10's ResNet11, without flips. For an accelerator.

    Source: Lee et al. (2020); network and recipe were not released, see docs/decisions/0006.
    Command: `python -m experiments.svhn --preset=svhn_resnet7`. Score and time: not measured here.
    """
    return svhn_vgg9().replace(model="resnet7", **cifar10_resnet11().values(("lr", "dropout")))


def svhn_vgg9_small() -> Config:
    """VGG9 a quarter as wide on 10,000 images, as `cifar10_vgg9_small`. Not measured: no data at hand."""
    return cifar10_vgg9_small().replace(dataset="svhn_cropped", mean=MEAN, std=STD, flip=False)


def svhn_resnet7_small() -> Config:
    """ResNet7 a quarter as wide, otherwise as `svhn_vgg9_small`. Not measured: no data at hand."""
    return svhn_vgg9_small().replace(model="resnet7")


PRESETS = {make.__name__: make for make in (svhn_vgg9_small, svhn_resnet7_small, svhn_vgg9, svhn_resnet7)}

if __name__ == "__main__":
    main(PRESETS)
