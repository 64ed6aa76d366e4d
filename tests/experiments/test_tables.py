"""Members added to the public tables alone: each is found by its flag, from training to the report and the sweep."""

import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import losses, models
from jaxsnn.cells import CELLS, POSITIVE, UNIT, Cell
from jaxsnn.data import DATASETS, Dataset, Source, Split
from jaxsnn.encoding import ENCODINGS, Encoding
from jaxsnn.lab import build, evaluate, run, run_folder, splits, stored
from jaxsnn.lab.config import FIELDS, Config
from jaxsnn.lab.report.report import report
from jaxsnn.lab.sweep import sweep
from jaxsnn.layers import NORMS
from jaxsnn.losses import LOSSES, Loss
from jaxsnn.models import MODELS


class AdaptiveParams(NamedTuple):
    leak: float = 0.9
    threshold: float = 1.0
    rise: float = 0.3


class AdaptiveState(NamedTuple):
    potential: jax.Array
    extra: jax.Array


def init(params, shape, dtype=jnp.float32):
    return AdaptiveState(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


def step(params, state, current, *, spike):
    potential = params.leak * state.potential + current
    spikes = spike(potential - params.threshold - state.extra)
    return AdaptiveState(potential * (1 - spikes), 0.9 * state.extra + params.rise * spikes), spikes


def membrane(params, state, current):
    return params.leak * state.potential + current


class Centre(nnx.Module):
    """Subtracts the mean over the batch; a running one in evaluation."""

    span = "step"

    def __init__(self, features, dtype, **_):
        self.mean = nnx.BatchStat(jnp.zeros(features, dtype))

    def __call__(self, currents, *, train, axis_name, **_):
        if not train:
            return currents - self.mean[...].reshape(*(1,) * (currents.ndim - 1), -1)
        mean = jnp.mean(currents, 1, keepdims=True)
        self.mean[...] = 0.5 * self.mean[...] + 0.5 * mean.reshape(-1, mean.shape[-1])[-1]
        return currents - mean


def ramp(key, x, start, steps, *, total, **_):
    """Brighter from step to step."""
    t = (start + jnp.arange(steps)) / total
    return x[None] * t.reshape(-1, *(1,) * x.ndim).astype(x.dtype)


def vectors(data_dir, cache_dir):
    rng = np.random.default_rng(0)
    labels = np.arange(90, dtype=np.int32) % 3
    samples = (np.eye(3, 10)[labels] + 0.1 * rng.random((90, 10))).astype(np.float32)
    return Dataset("vectors", Split(samples[:60], labels[:60]), Split(samples[60:], labels[60:]), 3)


def dense(*, rngs, **options):
    net = models.Builder(init_scale=6.0, rngs=rngs, **options)
    net.dense(16)
    return net.finish()


def preset():
    """Vectors."""
    return Config.of(
        dataset="vectors",
        model="dense",
        encoding="ramp",
        neuron="adaptive",
        neuron_params=("rise:0.2",),
        learn=("leak", "rise:channel"),
        gradient="bptt",
        norm="centre",
        loss="margin",
        optimizer="adam",
        lr=0.02,
        schedule="constant",
        weight_decay=0.0,
        time_steps=4,
        batch_size=10,
        epochs=10,
        validation=20,
        progress=False,
    )


@pytest.fixture
def members(monkeypatch):
    def margin(output, labels):
        return losses.per_step_cross_entropy(output.logits[None], labels)

    cell = Cell(AdaptiveParams, init, step, membrane, {"leak": UNIT, "rise": POSITIVE})
    for table, name, member in (
        (CELLS, "adaptive", cell),
        (NORMS, "centre", Centre),
        (ENCODINGS, "ramp", Encoding(ramp, "ramp", "Each step is brighter than the last", spikes=False)),
        (LOSSES, "margin", Loss(margin, "mean", "mean")),
        (DATASETS, "vectors", Source(vectors, "vectors")),
        (MODELS, "dense", dense),
    ):
        monkeypatch.setitem(table, name, member)


@pytest.mark.thorough
def test_each_is_found_by_its_flag(members, tmp_path, capsys):
    """Training learns, and the new state, parameters and names arrive in checkpoint, evaluation, report and sweep."""
    values = preset().flat()
    assert all(values[name] in FIELDS[name].metadata["choices"] for name in ("neuron", "norm", "encoding", "loss"))
    config = preset().replace(run_dir=str(tmp_path / "run"))
    summary = run.run(config, "preset")
    assert summary["test_accuracy"]["mean"] == 1
    state = run_state(tmp_path / "run")
    assert state["model_state.fc1.norm.mean"].shape == (16,)
    assert np.abs(state["model_state.fc1.norm.mean"]).max() > 0.01
    assert state["params.fc1.neurons.rise_log"].shape == (16,)
    assert len(np.unique(state["params.fc1.neurons.rise_log"])) > 1
    assert "params.fc1.neurons.leak_logit" in state
    evaluation = evaluate.evaluate(tmp_path / "run", which="last", part="test")
    network = evaluation["networks"][0]
    assert network["accuracy"] == summary["runs"][0]["test_accuracy"]
    assert network["analysis"]["activity"]["fc1"]["spikes"] > 0
    page = next(path for path in report(tmp_path / "run") if path.suffix == ".html").read_text(encoding="utf-8")
    for said in ("vectors", "ramp input", "adaptive"):
        assert said in page, said
    rows = sweep.sweep(
        config.replace(run_dir=str(tmp_path / "sweep"), epochs=1, figures=False),
        "preset",
        ["neuron_params.rise=0.1,0.4", "loss=margin,squared_error"],
    )
    assert [(row["neuron_params.rise"], row["loss"]) for row in rows] == [
        (rise, loss) for rise in (0.1, 0.4) for loss in ("margin", "squared_error")
    ]
    assert "programs: 2" in capsys.readouterr().out  # the parameter is an axis of one program, the loss is not


def run_state(folder):
    config = stored.opened(run_folder.read_config(folder))
    program = build.build(config, splits.load_data(config))
    state = build.restore(program, 0, folder / "seed0")
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neuron": "leaky_integrator"}, "never fires: it is a readout"),
        ({"gradient": "spikebp"}, "spikebp is a rule for lif neurons: neuron=adaptive needs gradient=bptt"),
        ({"neuron_params": ("fall:0.1",)}, "neuron=adaptive has no fall: it has leak, threshold, rise"),
        ({"learn": ("threshold",)}, "learn takes leak, rise, alone or followed by :layer, :channel, :neuron"),
        ({"learn": ("rise:map",)}, "learn takes leak, rise, alone or followed by"),
        ({"norm": "median"}, "norm must be one of bn, .*centre"),
    ],
)
def test_what_does_not_fit_is_refused(members, change, message):
    with pytest.raises(ValueError, match=message):
        preset().replace(**change)


def test_a_resumed_run_must_have_the_same_members(members, tmp_path):
    config = preset().replace(run_dir=str(tmp_path / "run"), epochs=1, figures=False)
    run.run(config, "preset")
    stored = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert stored["network"]["neuron"] == "adaptive"
    with pytest.raises(ValueError, match="neuron_params: the run has"):
        run.run(config.replace(resume=True, neuron_params=("rise:0.3",)), "preset")
