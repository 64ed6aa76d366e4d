"""The accuracy of a linear classifier on the very images of an experiment: the number that a network has to beat.

    python -m jaxsnn.lab.linear --run=runs/cifar10_vgg9_small [--data_dir=...]

Logistic regression on the normalised pixels (of event data: on the event counts of all steps), by scikit-learn; its
regularisation is chosen on the run's validation samples. Writes `linear.json` into the run folder.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from jaxsnn import training
from jaxsnn.data.prepare import normalise
from jaxsnn.encoding import ENCODINGS
from jaxsnn.lab import fingerprints, run_folder
from jaxsnn.lab.command import command, define_run_flags
from jaxsnn.lab.config import Config
from jaxsnn.lab.splits import load_data, split
from jaxsnn.lab.stored import opened

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)
"""Candidates for scikit-learn's C."""


def features(config: Config, data: training.Data | training.Tested) -> np.ndarray:
    """`[N, features]`, float."""
    frames = ENCODINGS[config.network.encoding].frames
    samples = data.images.sum(1) if frames else normalise(data.images, config.data.mean, config.data.std)
    return np.asarray(samples, np.float32).reshape(len(samples), -1)


def baseline(config: Config, folder: Path | None = None) -> dict[str, Any]:
    """Fits on a run's training samples, chooses on its validation samples, tests on its test samples.

    Raises:
      ValueError: if the data is not that of the run in `folder`, if given, or does not fit into memory.
    """
    from sklearn.linear_model import LogisticRegression

    config = config.replace(stream="never")  # scikit-learn has all samples in memory
    data = load_data(config)
    if folder is not None:
        fingerprints.check(folder, fingerprints.sums(data))
    sets = split(config, data, run_folder.runs(config)[0].fold)
    fits = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 100 iterations did not converge: the validation samples judge
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=100)
            model.fit(features(config, sets.fitting), np.asarray(sets.fitting.labels))
            scores = [model.score(features(config, part), np.asarray(part.labels)) for part in sets[1:]]
            fits.append({"C": strength, "validation_accuracy": scores[0], "test_accuracy": scores[1]})
    return max(fits, key=lambda fit: fit["validation_accuracy"]) | {"samples": len(sets.fitting.labels)}


def main() -> None:
    """Parses flags, fits, prints, writes."""
    define_run_flags()

    def run() -> None:
        given = flags.FLAGS
        with run_folder.looking(given.run, figures=False) as folder:
            config = opened(run_folder.read_config(folder), data_dir=given.data_dir, cache_dir=given.cache_dir)
            result = baseline(config, folder)
            print(
                f"linear classifier on {result['samples']} training samples: test accuracy "
                f"{100 * result['test_accuracy']:.2f} % (C = {result['C']:g}, chosen on validation)"
            )
            run_folder.write_json(folder / "linear.json", result | run_folder.environment())

    command(run)


if __name__ == "__main__":
    main()
