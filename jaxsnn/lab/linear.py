"""What a linear classifier does on the very images of an experiment: the number that a network has to beat.

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
from jaxsnn.lab import run_folder
from jaxsnn.lab.command import command, define_run_flags
from jaxsnn.lab.config import Config
from jaxsnn.lab.splits import load_data, split
from jaxsnn.lab.stored import opened

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)
"""Candidates for scikit-learn's C."""


def features(config: Config, data: training.Data | training.Tested) -> np.ndarray:
    """`[N, features]`, float."""
    images = (
        data.images.sum(1)
        if config.network.encoding == "events"
        else normalise(data.images, config.data.mean, config.data.std)
    )
    return np.asarray(images, np.float32).reshape(len(images), -1)


def baseline(config: Config) -> dict[str, Any]:
    """Fits on what the run trains on, chooses on its validation samples, tests on its test samples."""
    from sklearn.linear_model import LogisticRegression

    sets = split(config, load_data(config), run_folder.runs(config)[0].fold)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 100 iterations did not converge: the validation samples judge
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=100)
            model.fit(features(config, sets.fitting), np.asarray(sets.fitting.labels))
            scores = [model.score(features(config, part), np.asarray(part.labels)) for part in sets[1:]]
            found.append({"C": strength, "validation_accuracy": scores[0], "test_accuracy": scores[1]})
    return max(found, key=lambda one: one["validation_accuracy"]) | {"samples": len(sets.fitting.labels)}


def main() -> None:
    """Parses flags, fits, prints, writes."""
    define_run_flags()

    def run() -> None:
        where = Path(flags.FLAGS.run)
        config = run_folder.read_config(where)
        given = flags.FLAGS
        config = opened(config, data_dir=given.data_dir, cache_dir=given.cache_dir)
        result = baseline(config)
        print(
            f"linear classifier on {result['samples']} training samples: test accuracy "
            f"{100 * result['test_accuracy']:.2f} % (C = {result['C']:g}, chosen on validation)"
        )
        run_folder.write_json(where / "linear.json", result | run_folder.environment())

    command(run)


if __name__ == "__main__":
    main()
