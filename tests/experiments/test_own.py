"""A new user's way: one's own pictures and arrays, trained, evaluated, reported, predicted."""

import csv
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from jaxsnn import lab
from jaxsnn.data import formats
from jaxsnn.data.events import recording
from jaxsnn.lab import evaluate, own, run, splits
from jaxsnn.lab.build import build, restore
from jaxsnn.lab.config import Config
from jaxsnn.lab.predict import predict, read
from jaxsnn.lab.report.report import report
from jaxsnn.lab.run_folder import read_config
from jaxsnn.lab.splits import load_data

SMALL = {
    "width": 0.1,
    "time_steps": 3,
    "epochs": 2,
    "evaluation_batch": 8,
    "lr": 0.01,
    "progress": False,
    "figures": False,
    "activity": False,
}


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Decoded pictures of tests stay out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """40 pictures of 8 x 8 pixels in three classes, which are bright in other places."""
    folder, rng = tmp_path_factory.mktemp("pets"), np.random.default_rng(0)
    for i in range(40):
        pixels = rng.integers(0, 60, (8, 8), dtype=np.uint8)
        pixels[:, 2 * (i % 3) : 2 * (i % 3) + 3] += 190
        save(folder / ("cat", "dog", "owl")[i % 3] / f"{i}.png", pixels)
    return folder


@pytest.fixture(scope="module")
def folder(pets, tmp_path_factory):
    """The run of the first command, with a running mean of the weights."""
    where = tmp_path_factory.mktemp("runs") / "run"
    config = own.suited(own.own().replace(data=str(pets))).replace(
        run_dir=str(where), ema=0.5, encoding="poisson", **SMALL
    )
    with jax.numpy_dtype_promotion("standard"):
        run.run(config, "own")
    return where


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """Its network, from the run folder alone, wherever it is."""
    with jax.numpy_dtype_promotion("standard"):
        return lab.load_run(shutil.copytree(folder, tmp_path_factory.mktemp("moved") / "run"))


def test_the_preset_suits_the_data(pets, tmp_path):
    config = own.suited(own.own().replace(data=str(pets)))
    assert config.values(("model", "validation", "batch_size")) == {"model": "lenet", "validation": 3, "batch_size": 7}
    np.savez(tmp_path / "own.npz", x=np.random.default_rng(0).random((1000, 5)), y=np.arange(1000) % 4)
    config = own.suited(own.own().replace(data=str(tmp_path / "own.npz")))
    assert config.values(("model", "validation", "batch_size")) == {"model": "mlp", "validation": 80, "batch_size": 32}
    with pytest.raises(ValueError, match="there is no data: give --data=<file.npz> or --data=<folder"):
        own.suited(own.own())


@pytest.mark.thorough
def test_four_commands(folder, trained, pets, capsys):
    """Evaluation, report and prediction find data, names and answers; predictions are those that were evaluated."""
    page = next(path for path in report(folder) if path.suffix == ".html").read_text(encoding="utf-8")
    for said in ("own data", "owl"):
        assert said in page, said
    assert "owl" in capsys.readouterr().out  # of the evaluation, which the report asks for
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["classes"] == ["cat", "dog", "owl"]
    test = splits.load_data(trained.config).test
    answers = trained.predict(test.samples)
    network = evaluation["networks"][0]
    confusion = np.zeros((3, 3), int)
    for label, answer in zip(test.labels, answers, strict=True):
        confusion[label, answer.number] += 1
    assert confusion.tolist() == network["confusion"]
    assert np.mean([a.energy for a in answers]) == pytest.approx(
        network["analysis"]["energy"]["int32"]["synapses"]["spiking"]
    )
    hidden = [layer["spikes"] for name, layer in network["analysis"]["activity"].items() if name != "input"]
    assert np.mean([a.spikes for a in answers]) == pytest.approx(sum(hidden))
    assert all(1 <= a.steps <= 3 and 1 / 3 <= a.confidence <= 1 for a in answers)
    assert trained.predict(test.samples[0]) == trained.predict(test.samples[:1, ..., 0]) == answers[:1]

    rows = list(csv.DictReader(predict(trained, [str(pets)]).splitlines()))
    images = np.stack([np.asarray(Image.open(row["file"])) for row in rows])
    assert len(images) == 40
    assert [row["class"] for row in rows] == [a.name for a in trained.predict(images)]
    first = str(pets / "cat" / "0.png")
    assert predict(trained, [first]).startswith(f"{first}: {rows[0]['class']}, confidence ")
    assert predict(trained, [first], table=True).splitlines()[0] == "file,class,confidence,spikes,steps,energy_pj"


def test_what_is_clear_is_converted_and_what_is_not_is_refused(folder, trained, pets, tmp_path):
    grey = np.asarray(Image.open(pets / "dog" / "1.png"))
    rows = []
    for name, pixels in (
        ("grey", grey),
        ("wide", grey.astype(np.uint16) * 257),
        ("colour", np.stack([grey] * 3, -1)),
        ("opaque", np.stack([grey] * 3 + [np.full_like(grey, 255)], -1)),
    ):
        text = predict(trained, [str(save(tmp_path / f"{name}.png", pixels))])
        rows.append(text.partition(": ")[2])
    np.save(tmp_path / "array.npy", grey)
    rows.append(predict(trained, [str(tmp_path / "array.npy")]).partition(": ")[2])
    assert len(set(rows)) == 1
    np.save(tmp_path / "array.npy", grey[:5])
    for path, message in (
        (save(tmp_path / "large.png", grey.repeat(2, 1)), "has 16 x 8 pixels, expected 8 x 8: resize it first"),
        (tmp_path / "array.npy", r"expected one sample \[8, 8, 1\], got \[5, 8\]"),
    ):
        with pytest.raises(ValueError, match=message):
            predict(trained, [str(path)])
    with pytest.raises(FileNotFoundError, match="there is no picture"):
        predict(trained, [str(tmp_path / "nothing.png")])
    with pytest.raises(ValueError, match="there is nothing to predict"):
        predict(trained, [])
    with pytest.raises(ValueError, match=r"expected samples \[N, 8, 8, 1\] or one, got \[2, 8, 9\]"):
        trained.predict(np.zeros((2, 8, 9), np.uint8))
    with pytest.raises(TypeError, match="of dtype uint8, on which the network was trained, got float64"):
        trained.predict(np.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match="has no network 'seed7' .selected.: it has seed0"):
        lab.load_run(folder, network="seed7")


def test_the_running_mean_of_the_weights_predicts(folder):
    trained = lab.load_run(folder, which="last")
    config = read_config(folder)
    state = restore(build(config, load_data(config)), 0, folder / "seed0")
    mean, last = trained.params, state.params
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (mean, last)), strict=True))
    x = np.full((1, 8, 8, 1), 200, np.uint8)
    other = trained._replace(params=last)
    assert other.predict(x)[0].confidence != trained.predict(x)[0].confidence


def test_a_run_without_its_outline_says_so(folder, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "run")
    stored = json.loads((moved / "data.json").read_text(encoding="utf-8"))
    del stored["own"]["sample"]
    (moved / "data.json").write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(ValueError, match="does not say what samples the networks take: .*--resume, which writes it"):
        lab.load_run(moved)
    (moved / "data.json").unlink()
    with pytest.raises(ValueError, match="has no data.json, which says what samples its networks take"):
        lab.load_run(moved)


def test_moved_and_changed_data(folder, pets, tmp_path):
    """The place of one's own data is given with --data; other data is noticed."""
    other = shutil.copytree(pets, tmp_path / "pets")
    run.run(read_config(folder).replace(resume=True, data=str(other)), "own")
    evaluate.evaluate(folder, which="last", part="test", data_dir=str(other), analyse=False)
    (other / "cat" / "0.png").unlink()
    with pytest.raises(ValueError, match="samples of own are not those that .* was trained on"):
        evaluate.evaluate(folder, which="last", part="test", data_dir=str(other), analyse=False)


def test_arrays_of_vectors(tmp_path):
    """From a .npz file; the same predictions from the arrays in memory. Labels are words."""
    rng = np.random.default_rng(0)
    y = np.array(["low", "high"])[np.arange(60) % 2]
    x = (0.2 + 0.6 * (y == "high")[:, None] + 0.1 * rng.random((60, 6))).astype(np.float32)
    np.savez(tmp_path / "own.npz", x=x, y=y)
    config = own.suited(own.own().replace(data=str(tmp_path / "own.npz")))
    config = config.replace(run_dir=str(tmp_path / "run"), hidden=(8,), **{**SMALL, "width": 1.0, "epochs": 4})
    summary = run.run(config, "own")
    answers = lab.load_run(tmp_path / "run").predict(x.astype(np.float64))
    right = np.mean([a.name == label for a, label in zip(answers, y, strict=True)])
    assert right > 0.8
    assert summary["test_accuracy"]["mean"] > 0.8


def test_own_data_has_a_path():
    with pytest.raises(ValueError, match="data and size are of your own data, got them with dataset=mnist"):
        Config.of(size=8)


def test_recordings_are_predicted_as_they_are_in_the_run(tmp_path):
    """By their files, in the bins and the part of the sensor of the run; a folder of them; arrays of frames still."""
    rng = np.random.default_rng(0)
    for i in range(12):
        n = 60
        t, p = np.sort(rng.integers(0, 9000, n)), rng.integers(0, 2, n)
        side = 10 * (i % 2)
        made = recording(t, rng.integers(side, side + 10, n), rng.integers(0, 20, n), p)
        file = tmp_path / "data" / ("left", "right")[i % 2] / f"{i}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        formats.write(file, made)
    binned = {"event_crop": (2, 0, 16, 20), "event_downsample": 2, "event_values": "counts", "event_denoise_ms": 5.0}
    config = Config.of(
        dataset="recordings", encoding="events", data_dir=str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"),
        model="mlp", hidden=(6,), batch_size=4, validation=2, gradient="bptt", run_dir=str(tmp_path / "run"),
        **binned, **{**SMALL, "width": 1.0, "evaluation_batch": 2},
    )  # fmt: skip
    run.run(config, "own")
    network = lab.load_run(tmp_path / "run")
    test = load_data(config).test
    files = sorted((tmp_path / "data" / "left").iterdir(), key=lambda path: path.name)
    frames = np.stack([read(network, path) for path in files])
    assert any((frame == np.asarray(test.samples[0])).all() for frame in frames)
    rows = list(csv.DictReader(predict(network, [str(tmp_path / "data" / "left")]).splitlines()))
    assert [row["class"] for row in rows] == [a.name for a in network.predict(frames)]
    np.save(tmp_path / "frames.npy", frames[0])
    said = [predict(network, [str(path)]).partition(": ")[2] for path in (tmp_path / "frames.npy", files[0])]
    assert said[0] == said[1]
    formats.write(tmp_path / "events.npy", formats.read(files[0]))
    assert predict(network, [str(tmp_path / "events.npy")]).partition(": ")[2] == said[0]
    (tmp_path / "broken.bin").write_bytes(b"123")
    with pytest.raises(ValueError, match=r"broken.bin"):
        predict(network, [str(tmp_path / "broken.bin")])
    with pytest.raises(FileNotFoundError, match="there is no file"):
        predict(network, [str(tmp_path / "nothing.bin")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"there is nothing to predict: give recordings .*\.bin"):
        predict(network, [str(tmp_path / "empty")])
