"""The networks that come with the package answer as they did when they were stored, and as well as they say.

`python -m tests.experiments.test_pretrained_networks` stores the answers of new networks.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from jaxsnn import data, pretrained
from jaxsnn.data import DataNotFoundError
from jaxsnn.encoding import ENCODINGS
from jaxsnn.lab.splits import load_data

ROOT = Path(__file__).parents[2]
ANSWERS = ROOT / "tests" / "golden" / "pretrained.json"
NAMES = pretrained.names()


def samples(net, count=4):
    """Noise of the network's shape, the same everywhere."""
    rng = np.random.default_rng(0)
    if ENCODINGS[net.config.network.encoding].frames:
        return (rng.random((count, *net.shape)) < 0.05).astype(net.outline.train.samples.dtype)
    return rng.integers(0, 256, (count, *net.shape)).astype(np.uint8)


def answers(name):
    net = pretrained.load(name)
    return [[a.number, round(a.confidence, 4)] for a in net.predict(samples(net))]


@pytest.mark.parametrize(
    "name", [name if name == "digits_lenet" else pytest.param(name, marks=pytest.mark.thorough) for name in NAMES]
)
def test_stored_answers(name):
    """A spike may turn over where another machine or version rounds otherwise, so one answer of four may differ."""
    stored = json.loads(ANSWERS.read_text(encoding="utf-8"))[name]
    alike = [
        number == before and confidence == pytest.approx(chance, abs=0.1)
        for (number, confidence), (before, chance) in zip(answers(name), stored, strict=True)
    ]
    assert sum(alike) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_a_network_says_where_it_comes_from(name):
    net, path = pretrained.load(name), pretrained.FOLDER / f"{name}.safetensors"
    assert path.stat().st_size < 3e6
    assert net.facts["commit"] not in ("", "unknown")
    assert "-dirty" not in net.facts["commit"]
    assert len(net.classes) == net.outline.num_classes
    assert net.facts["command"].startswith("python -m experiments.")
    assert net.facts["test_accuracy"] > 0.8


def test_all_of_them_are_small():
    assert NAMES
    assert sum(path.stat().st_size for path in pretrained.FOLDER.iterdir()) < 10e6


@pytest.mark.thorough
def test_digits_of_another_data_set():
    """The MNIST network reads most of the embedded digits, which it has never seen, blown up to its size."""
    net, digits = pretrained.load("mnist_lenet"), data.load("digits").test
    images = digits.samples[:60]
    side = images.shape[1]
    blown = np.zeros((len(images), 28, 28, 1), np.uint8)
    rows = np.arange(20) * side // 20
    blown[:, 4:24, 4:24] = images[:, rows][:, :, rows]
    right = np.mean([a.number == label for a, label in zip(net.predict(blown), digits.labels[:60], strict=True)])
    assert right > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_accuracy_on_the_whole_test_set(name):
    """Data: TFDS_DATA_DIR, and for event data NMNIST_DIR, else the user's own folders."""
    net = pretrained.load(name)
    places = {"data_dir": os.environ.get("NMNIST_DIR" if net.config.data.dataset == "nmnist" else "TFDS_DATA_DIR", "")}
    try:
        test = load_data(net.config.replace(**places, validation=1, limit=0, limit_test=0)).test
    except (DataNotFoundError, OSError) as error:
        pytest.skip(f"no data: {error}")
    right = [
        a.number == label
        for begin in range(0, len(test.labels), 500)
        for a, label in zip(
            net.predict(test.samples[begin : begin + 500]), test.labels[begin : begin + 500], strict=True
        )
    ]
    assert np.mean(right) == pytest.approx(net.facts["test_accuracy"], abs=0.004)


if __name__ == "__main__":
    ANSWERS.write_text(json.dumps({name: answers(name) for name in NAMES}, indent=1) + "\n", encoding="utf-8")
