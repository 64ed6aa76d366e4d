import dataclasses
import json

import pytest

from experiments import cifar10, digits, mnist, nmnist, svhn
from jaxsnn.lab.config import FREE_ON_RESUME, RENAMED, Config, check_resume, from_stored

PRESETS = digits.PRESETS | mnist.PRESETS | cifar10.PRESETS | svhn.PRESETS | nmnist.PRESETS


@pytest.mark.parametrize("make", PRESETS.values(), ids=PRESETS)
def test_presets_are_valid_and_documented(make):
    config = make()
    assert len((make.__doc__ or "").splitlines()[0]) > 20
    check_resume(json.loads(json.dumps(dataclasses.asdict(config))), config)


def test_every_field_has_a_help_text():
    for field in dataclasses.fields(Config):
        assert field.metadata["help"].endswith("."), field.name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "imagenet"}, "dataset must be one of digits, .*got 'imagenet'"),
        ({"rule": "magic"}, "rule must be one of spikebp, straight_through"),
        ({"pool": "max"}, "pool must be one of spiking, average, got 'max'"),
        ({"leak_backward": "none"}, "leak_backward must be one of straight_through, true"),
        ({"leak_correction": False, "rule": "arctan"}, "are variants of spikebp, got them with rule=arctan"),
        ({"leak_backward": "true", "rule": "arctan"}, "are variants of spikebp"),
        ({"dropout_mask": "new"}, "dropout_mask must be one of fixed, fresh"),
        ({"time_steps": 0}, "time_steps must be >= 1, got 0"),
        ({"batch_size": -1}, "batch_size must be >= 1, got -1"),
        ({"steps_per_dispatch": 0}, "steps_per_dispatch must be >= 1, got 0"),
        ({"data_parallel": -1}, "data_parallel must be >= 1, or 0 for all devices, got -1"),
        ({"validation": 0}, "never on test"),
        ({"validation": -2}, "validation must be >= 0"),
        ({"lr": float("nan")}, "lr must be > 0, got nan"),
        ({"learn": ("leak",)}, "spikebp resets hard.*choose a surrogate"),
        ({"reset": "soft"}, "spikebp resets hard"),
        ({"dataset": "nmnist"}, "encoding=events belongs to event data .nmnist.*dataset=nmnist with encoding=poisson"),
        ({"encoding": "events"}, "dataset=mnist with encoding=events"),
        ({"dataset": "nmnist", "encoding": "events", "gain": 0.5}, "event data is fed as it is"),
        ({"folds": 3, "seeds": 2}, "give folds or seeds, not both"),
        ({"folds": 0}, "folds must be >= 1, got 0"),
        ({"leaks": ("conv1=0.5",)}, "leaks takes layer:number, e.g. conv1:0.9, got 'conv1=0.5'"),
    ],
)
def test_bad_values(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Config(), **change)


def test_resume_names_what_differs():
    stored = json.loads(json.dumps(dataclasses.asdict(Config())))
    with pytest.raises(
        ValueError, match=r"(?s)another configuration:\n  time_steps: the run has 100, now 7\nResume with"
    ):
        check_resume(stored, Config(time_steps=7))
    check_resume(stored, Config(epochs=200))
    with pytest.raises(ValueError, match="epochs: the run has 3, now 4"):
        check_resume(stored | {"schedule": "cosine", "epochs": 3}, Config(schedule="cosine", epochs=4))
    assert {f.name for f in dataclasses.fields(Config)} >= FREE_ON_RESUME


def test_a_run_from_before_a_field_was_added_had_its_default():
    stored = json.loads(json.dumps(dataclasses.asdict(Config(epochs=3))))
    del stored["pool"]
    check_resume(stored, Config())
    with pytest.raises(ValueError, match="pool: the run has 'spiking', now 'average'"):
        check_resume(stored, Config(pool="average"))


@pytest.mark.parametrize("earlier", RENAMED)
def test_runs_from_before_a_field_was_renamed(earlier):
    stored = json.loads(json.dumps(dataclasses.asdict(Config(data_parallel=4))))
    stored[earlier] = stored.pop(RENAMED[earlier])
    assert from_stored(stored) == Config(data_parallel=4)
    check_resume(stored, Config(data_parallel=4))
