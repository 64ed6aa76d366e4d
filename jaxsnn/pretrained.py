"""Trained networks that come with the package, and your own from files.

    net = pretrained.load("mnist_lenet")
    print(net.predict(image), net.facts["test_accuracy"])

A file holds the numbers and all that is needed to run them: the network with its neurons, the number of time steps, the
encoding, the normalisation of samples, the names of the classes; and the accuracy, command, commit and date of its
training. `python -m jaxsnn.lab.export --run=<folder> --format=safetensors` writes one of your own run.
"""

from pathlib import Path

import jaxsnn
from jaxsnn.lab import trained
from jaxsnn.lab.trained import Trained

FOLDER = Path(jaxsnn.__file__).resolve().parent / "weights"
ENDING = ".safetensors"


def names() -> list[str]:
    """The networks that come with the package."""
    return sorted(path.stem for path in FOLDER.glob(f"*{ENDING}"))


def load(name: str | Path) -> Trained:
    """A trained network, to be used without the data that it was trained on.

    Args:
      name: of `names()`, or the path of a `.safetensors` file that an export wrote.

    Returns:
      The network: `net.predict(samples)` gives classes with their confidences; `net.apply(net.params, net.model_state,
      net.prepare(key, samples))` its outputs and whatever they are asked for, `net.classes` the names, `net.facts` the
      accuracy and where it comes from.

    Raises:
      ValueError: if there is no such network, or the file is damaged, changed or of another version.
      OSError: if the file cannot be read.
    """
    path = Path(name)
    if path.suffix != ENDING:
        if str(name) not in names():
            raise ValueError(
                f"there is no pretrained network {str(name)!r}: there are {', '.join(names())}, and files *{ENDING}"
            )
        path = FOLDER / f"{name}{ENDING}"
    return trained.read(path)
