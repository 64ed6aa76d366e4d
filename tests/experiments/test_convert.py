"""The conversion baseline as a person runs it: from a run folder to a table."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from flax import nnx

from experiments import records, tables
from jaxsnn import conversion, losses, models, neurons, streaming, training
from jaxsnn.lab import build, inputs, run, run_folder
from jaxsnn.lab.config import Config
from jaxsnn.lab.convert import comparison, convert, converted, twin
from jaxsnn.lab.convert.convert import Options
from jaxsnn.lab.splits import load_data, split
from jaxsnn.lab.starts import start_from
from jaxsnn.lab.stored import parse
from jaxsnn.synapses import Connection
from tests.analysis import hand
from tests.experiments.test_run import small

QUICK = {"width": 0.25, "gradient": "bptt", "time_steps": 4, "epochs": 6, "lr": 0.004, "evaluate_every": 6}
TWIN_EPOCHS = 30


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    """A run and its converted twin."""
    path = tmp_path_factory.mktemp("runs") / "run"
    with jax.numpy_dtype_promotion("standard"):
        run.run(small(path, **QUICK), "digits")
        convert.convert(path, Options(steps=60, samples=40, epochs=TWIN_EPOCHS, progress=False))
    return path


@pytest.fixture
def copy(where, tmp_path):
    """A copy of it to spoil."""
    return shutil.copytree(where, tmp_path / "copy")


def stored(path):
    return json.loads((path / "convert.json").read_text(encoding="utf-8"))


def test_the_converted_network_answers_as_its_twin(where):
    found = stored(where)
    relu, curve = found["relu"]["accuracy"], found["converted"]["accuracy_at_step"]
    assert relu > 0.6
    assert len(curve) == 60
    assert abs(curve[-1] - relu) <= 0.1
    assert curve[0] < curve[-1]
    assert len(found["direct"]["accuracy_at_step"]) == 4
    results = json.loads((where / "results.json").read_text(encoding="utf-8"))["runs"][0]
    assert found["direct"]["accuracy"] == pytest.approx(results["selected_test_accuracy"])  # the same spikes
    spikes = found["converted"]["spikes_per_layer"]
    assert list(spikes) == ["input", "conv1", "conv2", "fc1"]
    assert found["converted"]["spikes_at_step"][-1] == pytest.approx(sum(spikes.values()) - spikes["input"], rel=1e-3)
    assert list(found["direct"]["spikes_per_layer"]) == ["input", "conv1", "pool1", "conv2", "pool2", "fc1"]
    assert found["versions"]["jax"] == jax.__version__
    assert found["equal_accuracy"]["relu_macs"] == comparison.multiplications(
        models.connections(
            models.create("lenet", input_shape=(16, 16, 1), num_classes=10, width=0.25, rngs=nnx.Rngs(0))
        )
    )
    text = comparison.table(found)
    assert text.count("\n| ") == 5
    record = records.of_runs([where], "with a conversion")
    assert record["conversion"]["samples"] == 40
    assert tables.markdown(record["conversion"]["lines"]) in text
    assert tables.conversions({"none": {}, "one": record}).startswith("Record `one`, the first 40 test samples, `")
    assert "| converted, diehl, 99.9 %, soft reset |" in text
    for figure in comparison.draw(where, found):
        assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_relu_run_is_converted_itself(copy):
    """On its own input, the image as current, with the thresholds of a twin; a run can start from it."""
    found = convert.convert(copy / "twin", Options(steps=20, samples=40, progress=False))
    assert found == stored(copy / "twin")
    assert not (copy / "twin" / "twin").exists()
    assert found["relu"]["accuracy"] == stored(copy)["relu"]["accuracy"]
    assert found["relu"]["epochs"] == TWIN_EPOCHS
    assert abs(found["converted"]["accuracy"] - found["relu"]["accuracy"]) <= 0.1
    text = comparison.table(found)
    assert text.count("\n| ") == 4
    assert "direct" not in text
    assert comparison.draw(copy / "twin", found)
    ours, theirs = converted.read(copy / "twin"), converted.read(copy)
    jax.tree.map(np.testing.assert_array_equal, ours.params, theirs.params)
    assert ours.scales == pytest.approx(theirs.scales)


@pytest.mark.thorough
def test_the_twin_is_trained_once_and_a_half_written_one_goes_on(copy, capsys):
    """Without its results the twin resumes from its last checkpoint: nothing is left to train."""
    options = Options(
        balance="sengupta", reset="hard", steps=8, samples=10, balance_steps=5, epochs=TWIN_EPOCHS, progress=False
    )
    (copy / "twin" / "results.json").unlink()
    convert.convert(copy, options)
    out = capsys.readouterr().out
    assert f"seed 0: resuming after step {20 * TWIN_EPOCHS}" in out
    assert "converted, sengupta, 99.9 %, hard reset" in out
    assert stored(copy)["options"]["balance"] == "sengupta"
    with pytest.raises(ValueError, match="twin is no twin of this run; move it away to train another: cannot resume"):
        convert.convert(copy, dataclasses.replace(options, epochs=5))
    (copy / "twin" / "config.json").write_text('{"dataset": ', encoding="utf-8")
    with pytest.raises(ValueError, match="no twin of this run.* is damaged"):
        convert.convert(copy, options)


POOL = Connection("pool1", "fc1", "pool1", "pool", (2, 2), 2, hand.NO_PADS, (2, 2, 3), (1, 1, 3))


def test_equal_accuracy():
    """By hand on 9 and 6 synapses, and a pool, whose additions count on neither side, but whose neurons compare."""

    def curve(accuracy, spikes, *, analog=False):
        spikes, time = np.array(spikes, float), np.arange(1.0, len(spikes) + 1)
        operations = {"fc1": 10 * time, "fc2": 2 * spikes, "pool1": 1000 * time}
        sent = {"input": np.ones(len(spikes)), "fc1": spikes}
        kinds, connections = {"input": analog, "fc1": False}, (*hand.CONNECTIONS, POOL)
        return streaming.Streamed(np.array(accuracy), sent, operations, kinds, connections, samples=1)

    direct, late = curve([0.5, 0.9, 0.9], [1, 2, 4]), curve([0.1, 0.9, 0.2, 0.85, 0.88, 0.9], range(10, 70, 10))
    found = comparison.compare({"direct": direct, "converted": late}, 0.05, leaky=True)
    assert (found["target"], found["relu_macs"]) == (0.85, 15)
    ratios = {"int32": round(15 * 3.2 / 2.4, 3), "float32": round(15 * 4.6 / (24 * 0.9), 3)}
    with_neurons = {  # 5 neurons that leak, 3 of the pool that do not, 2 steps
        "int32": round(15 * 3.2 / (2.4 + 2 * (5 * 3.2 + 3 * 0.1)), 3),
        "float32": round(15 * 4.6 / (24 * 0.9 + 2 * (5 * 4.6 + 3 * 0.9)), 3),
    }
    assert found["direct"] == {
        "steps": 2,
        "spikes": 2.0,
        "operations": 24.0,
        "energy_ratio": ratios,
        "energy_ratio_with_neurons": with_neurons,
    }
    assert (found["converted"]["steps"], found["converted"]["spikes"]) == (4, 40.0)  # not 2: it fell below again
    assert found["converted"]["energy_ratio_with_neurons"]["int32"] == round(48 / (12 + 4 * 8 * 0.1), 3)
    assert [found[f"{what}_ratio"] for what in ("steps", "spikes", "operations")] == [2.0, 20.0, 5.0]
    alone = comparison.compare({"converted": late}, 0.05, leaky=True)
    assert alone == {name: found[name] for name in ("target", "relu_macs", "converted")}
    shown = {"direct": curve([0.5, 0.9, 0.9], [1, 2, 4], analog=True), "converted": late}
    analog = comparison.compare(shown, 0.05, leaky=True)
    assert analog["direct"]["energy_ratio"]["int32"] == round(48 / (20 * 3.2 + 0.4), 3)
    rare = {"direct": curve([0.3], [0]), "converted": curve([0.3], [5])}
    silent = comparison.compare(rare, 1.0, leaky=False)
    assert silent["target"] == 0.0


def test_a_run_starts_from_the_converted_network(where, tmp_path):
    """Without leak, with soft reset and plain pools, its first loss is that of the converted network."""
    config = small(
        tmp_path / "hybrid", **QUICK, leak=1.0, reset="soft", pool="average", threshold=0.5, init_from=str(where)
    )
    data = load_data(config)
    program, sets = build.build(config, data), split(config, data)
    state = start_from(config, program.start(0), program.connections)
    net = converted.read(where)
    factor = 0.5 / net.state["conv2"]["neurons"]["threshold"]
    np.testing.assert_allclose(state.params["conv2"]["kernel"], net.params["conv2"]["kernel"] * factor, rtol=1e-6)
    x = inputs.make_prepare(config)(jax.random.key(0), sets.fitting.images[:16])
    ours = jax.jit(program.apply)(state.params, state.model_state, x)[0]
    neuron = neurons.lif(leak=1.0, reset="soft")
    sizes = {
        "input_shape": data.train.samples.shape[-3:],
        "num_classes": 10,
        "width": config.network.width,
        "pool": "average",
    }
    apply = models.functionalize(models.create("lenet", **sizes, neurons=neuron, rngs=nnx.Rngs(0)))[0]
    theirs = jax.jit(apply)(net.params, net.state, x)[0]
    loss, expected = (losses.squared_error(output.logits, sets.fitting.labels[:16]) for output in (ours, theirs))
    assert float(loss) == pytest.approx(float(expected), rel=1e-3)
    other = config.replace(width=0.5)
    changed = build.build(other, data)
    with pytest.raises(ValueError, match="cannot start from the converted network: conv1 has a kernel"):
        start_from(other, changed.start(0), changed.connections)
    assert start_from(config.replace(init_from=""), state, program.connections) is state
    assert isinstance(net, conversion.Converted)


def test_bad_folders(copy, tmp_path):
    quick = Options(steps=2, samples=2, epochs=TWIN_EPOCHS, progress=False)
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))

    def fails(kind, message, path=copy, **groups):
        changed = {name: config.get(name, {}) | fields for name, fields in groups.items()}
        (copy / "config.json").write_text(json.dumps(config | changed), encoding="utf-8")
        with pytest.raises(kind, match=message):
            convert.convert(path, quick)

    fails(ValueError, "holds no run .no config.json.", path=tmp_path)
    fails(ValueError, "unknown fields run.flux: it was written by another version", run={"flux": 1})
    fails(ValueError, "latency input cannot be converted", network={"encoding": "latency"})
    fails(ValueError, "is a cross-validation, whose test set is left alone", data={"folds": 2})
    fails(ValueError, "validation=1438 images leave none of 1438", data={"validation": 1438})
    shutil.rmtree(copy / "seed0" / "checkpoints")
    fails(training.CheckpointError, "no checkpoint")
    (copy / "seed0" / "metrics.jsonl").unlink()
    fails(ValueError, "seed0 has no evaluated epoch yet")
    for text, message in ((b"PK\x03", "is damaged"), (None, "holds no converted network .no converted.npz.: make one")):
        (copy / "converted.npz").write_bytes(text) if text else (copy / "converted.npz").unlink()
        with pytest.raises(ValueError, match=message):
            converted.read(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, r"steps must be a whole number in \[1, 1000000\], got 0"),
        ({"samples": 0}, "samples must be a whole number >= 1, got 0"),
        ({"margin": 1.5}, r"margin must be a finite number in \[0, 1\), got 1.5"),
        ({"percentile": 0.0}, r"percentile must be a finite number in \(0, 100\], got 0"),
    ],
)
def test_bad_options(changes, message):
    with pytest.raises(ValueError, match=message):
        Options(**changes)


def test_the_twins_configuration(tmp_path):
    """It shares what it must, and is a valid configuration for images and for event data."""
    images = twin.configuration(
        Config.of(dataset="cifar10", dropout=0.2, shift=4, gain=0.5, leaks=("conv1:0.9",)), tmp_path
    )
    fields = ("neuron", "time_steps", "encoding", "pool", "dropout", "shift", "leaks", "gain")
    assert tuple(images.values(fields).values()) == ("relu", 1, "direct", "average", 0.2, 4, (), 1.0)
    events = twin.configuration(Config.of(dataset="nmnist", encoding="events", time_steps=10), tmp_path, epochs=3)
    assert (events.network.encoding, events.network.time_steps, events.training.epochs) == ("events", 10, 3)
    assert parse(json.loads(json.dumps(dataclasses.asdict(events))), tmp_path) == events
    with pytest.raises(ValueError, match="relu takes the analog image once"):
        Config.of(neuron="relu")
    with pytest.raises(ValueError, match="init_from is for one process"):
        Config.of(init_from="runs/mnist", multihost=True)
    with pytest.raises(ValueError, match="relu has no leaks, thresholds or time"):
        Config.of(neuron="relu", time_steps=1, encoding="direct", leaks=("conv1:0.9",))
    assert run_folder.runs(events)[0].name == "seed0"


def test_input_in_pieces_is_the_input(tmp_path):
    """Frames of a recording come again and again; the twin sees their mean."""
    config = Config.of(dataset="nmnist", encoding="events", time_steps=3)
    frames = jax.numpy.arange(2 * 3 * 2 * 2 * 1, dtype=jax.numpy.uint8).reshape(2, 3, 2, 2, 1)
    x = inputs.make_encode(config)(jax.random.key(0), frames, jax.numpy.int32(2), 5)
    for step, frame in enumerate((2, 0, 1, 2, 0)):
        np.testing.assert_array_equal(x[step], frames[:, frame])
    mean = inputs.make_prepare(twin.configuration(config, tmp_path))(jax.random.key(0), frames)
    np.testing.assert_allclose(mean[0], np.asarray(frames, np.float32).mean(1), rtol=1e-6)
