"""Configurations: groups, what may be in a field, run folders, resumption."""

import collections
import dataclasses
import json

import pytest

import experiments
from jaxsnn.lab.config import FIELDS, GROUPS, Config, fields_with
from jaxsnn.lab.stored import check_resume, opened, parse

PRESETS = experiments.presets()


def as_stored(config):
    return json.loads(json.dumps(dataclasses.asdict(config)))


@pytest.mark.parametrize("make", PRESETS.values(), ids=PRESETS)
def test_presets_are_valid_and_documented(make, tmp_path):
    config = make()
    assert len((make.__doc__ or "").splitlines()[0]) > 20
    assert parse(as_stored(config), tmp_path) == config
    check_resume(config, config)


def test_every_field_has_a_name_and_a_help_text_of_its_own():
    fields = [f.name for group in GROUPS.values() for f in dataclasses.fields(group)]
    assert [name for name, count in collections.Counter(fields).items() if count > 1] == []
    assert list(Config().flat()) == list(FIELDS) == fields
    texts = [f.metadata["help"] for f in FIELDS.values()]
    assert all(text.endswith(".") for text in texts)
    assert len(set(texts)) == len(texts)


def test_fields_go_into_their_groups():
    config = Config.of(dataset="digits", leak=0.5, lr=0.1, seeds=2)
    assert (config.data.dataset, config.network.leak, config.training.lr, config.run.seeds) == ("digits", 0.5, 0.1, 2)
    assert config.replace(leak=0.99, lr=0.0085, seeds=1, dataset="mnist") == Config()
    with pytest.raises(TypeError, match="a configuration has no field 'time_step', did you mean 'time_steps'?"):
        config.replace(time_step=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "pets.npz"}, "data and size are of your own data, got them with dataset=mnist: train it with"),
        ({"dataset": "own", "encoding": "events"}, "got dataset=own with encoding=events"),
        ({"neuron": "magic"}, "neuron must be one of lif, .*, relu, got 'magic'"),
        ({"surrogate": "magic"}, "surrogate must be one of straight_through"),
        ({"pool": "min"}, "pool must be one of spiking, average, max, got 'min'"),
        ({"leak_backward": "none"}, "leak_backward must be one of straight_through, true"),
        ({"leak_correction": False, "gradient": "bptt"}, "are variants of spikebp, got them with .*gradient=bptt"),
        ({"leak_backward": "true", "gradient": "bptt"}, "are variants of spikebp"),
        ({"surrogate": "sigmoid"}, "surrogate=sigmoid and slope=None need gradient=bptt"),
        ({"slope": 2.0}, "surrogate=arctan and slope=2.0 need gradient=bptt"),
        ({"dropout_mask": "new"}, "dropout_mask must be one of fixed, fresh"),
        ({"learn": ("leak",)}, "spikebp resets hard.*choose gradient=bptt"),
        ({"reset": "soft"}, "spikebp resets hard"),
        ({"dataset": "nmnist"}, "encoding=events belong to event data .nmnist.*dataset=nmnist with encoding=poisson"),
        ({"encoding": "events"}, "dataset=mnist with encoding=events"),
        ({"dataset": "nmnist", "encoding": "events", "gain": 0.5}, "event data is fed as it is"),
        ({"folds": 3, "seeds": 2}, "give folds or seeds, not both"),
        ({"seed": 2**31 - 2, "seeds": 3}, "the last seed must be <= 2147483647"),
        ({"leaks": ("conv1=0.5",)}, "leaks must be a tuple of layer:number, e.g. conv1:0.9.*got .'conv1=0.5'"),
        ({"validation": 0}, "validation must be a whole number >= 1, got 0"),
    ],
)
def test_bad_values(change, message):
    with pytest.raises(ValueError, match=message):
        Config.of(**change)


def test_resume_names_what_differs():
    config = Config()
    with pytest.raises(
        ValueError, match=r"(?s)another configuration:\n  time_steps: the run has 100, now 7\nResume with"
    ):
        check_resume(config, Config.of(time_steps=7))
    check_resume(config, Config.of(epochs=200))
    with pytest.raises(ValueError, match="epochs: the run has 3, now 4"):
        check_resume(Config.of(schedule="cosine", epochs=3), Config.of(schedule="cosine", epochs=4))


def test_resume_frees_the_group_run_and_fields_that_say_so():
    run = {"seeds": 3, "checkpoint_every": 7, "data_parallel": 0, "compilation_cache": "c", "run_dir": "r"}
    run |= {"stream": "always"}
    shown = {"resume": True, "progress": False, "activity": False, "figures": False, "multihost": True}
    assert set(run | shown) == {f.name for f in dataclasses.fields(GROUPS["run"])}
    assert fields_with(free=True) == ["data", "data_dir", "cache_dir", "epochs"]
    check_resume(Config(), Config.of(**run, **shown, data_dir="d", cache_dir="e", epochs=2))


def test_runs_of_other_versions_name_the_commit_that_reads_them(tmp_path):
    stored = as_stored(Config())
    del stored["network"]["pool"]
    flat = {name: value for group in stored.values() for name, value in group.items()}
    for values, message in (
        (stored, "no fields network.pool: it was"),
        (stored | {"run": stored["run"] | {"flux": 1}}, "unknown fields run.flux: it was"),
        (flat, "unknown fields activity, batch_size, bias, cache_dir, ...: it was"),
        (stored | {"data": None}, "unknown fields data: it was"),
        ([], "no fields data.cache_dir, .*: it was"),
    ):
        with pytest.raises(ValueError, match=f"{message} written by another version; .* no commit that reads it"):
            parse(values, tmp_path)
    (tmp_path / "environment.json").write_text('{"commit": "abc1234"}', encoding="utf-8")
    with pytest.raises(ValueError, match="commit abc1234 reads it, which its environment.json names"):
        parse(flat, tmp_path)


def test_a_run_is_opened_on_one_device_with_its_seeds(tmp_path):
    config = Config.of(data_parallel=8, multihost=True, seeds=3, run_dir="/r", compilation_cache="/c", data_dir="/d")
    assert opened(config) == Config.of(seeds=3)
    assert opened(config, data_dir="/here").data.data_dir == "/here"
