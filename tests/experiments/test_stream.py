"""`--stream`: data sets that stay on the host, from files to the numbers, which are those of a resident set."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import jax
import numpy as np
import pytest

from jaxsnn import data, lab, parallel, training
from jaxsnn.data import cache, dataset, memory, paths, pictures, recordings
from jaxsnn.lab import devices, evaluate, fingerprints, linear, own, run, run_folder, splits
from jaxsnn.lab.report.sample import look
from jaxsnn.lab.stored import opened
from jaxsnn.lab.sweep import populations
from jaxsnn.rows import Rows
from tests.data.test_nmnist import write_tree
from tests.experiments.test_run import ROOT, call, command, rows

RNG = np.random.default_rng(0)
X, Y = RNG.random((60, 8, 8, 1)).astype(np.float32), np.arange(60) % 3
VECTORS = {"model": "mlp", "hidden": (8,), "batch_size": 8, "validation": 6, "limit": 0, "limit_test": 0, "shift": 0}


@pytest.fixture
def own_file(tmp_path):
    np.savez(tmp_path / "own.npz", x=X, y=Y)
    return tmp_path / "own.npz"


def config_of(path, folder, **changes):
    config = own.own().replace(data=str(path), cache_dir=str(folder / "cache"), run_dir=str(folder / "run"))
    options = {"epochs": 2, "time_steps": 2, "evaluation_batch": 7, "progress": False, "figures": False}
    options |= {"schedule": "constant"}
    return config.replace(**VECTORS | options | {"activity": False, "log_every": 2} | changes)


def accuracies(folder):
    return [
        network["accuracy_at_step"]
        for network in json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["networks"]
    ]


@pytest.mark.thorough
@pytest.mark.parametrize("analyse", [False, True])
def test_a_streamed_run_has_the_numbers_of_a_resident_one(tmp_path, own_file, analyse):
    """With augmentation, dropout and an incomplete last batch; resumed; evaluated, and profiled, as every run is."""
    options = {"shift": 1, "dropout": 0.25, "encoding": "poisson", "steps_per_dispatch": 2, "epochs": 3}
    for stream in ("never", "always"):
        config = config_of(own_file, tmp_path / stream, stream=stream, **options)
        if stream == "always":
            run.run(config.replace(epochs=1), "own")
            config = config.replace(resume=True)
        run.run(config, "own")
        evaluate.evaluate(tmp_path / stream / "run", which="selected", part="test", analyse=analyse)
        evaluate.evaluate(tmp_path / stream / "run", which="last", part="validation", analyse=False)
    streamed, resident = tmp_path / "always" / "run", tmp_path / "never" / "run"
    assert rows(streamed) == rows(resident)
    assert accuracies(streamed) == accuracies(resident)
    assert json.loads((streamed / "data.json").read_text(encoding="utf-8")) == json.loads(
        (resident / "data.json").read_text(encoding="utf-8")
    )
    np.savez(own_file, x=X + 1, y=Y)
    with pytest.raises(ValueError, match="the training and test samples of own are not those"):
        run.run(config.replace(epochs=4), "own")


@pytest.mark.parametrize("form", ["stored", "compressed", "float64", "bool", "grey"])
def test_arrays_of_a_file_are_read_by_rows(tmp_path, form):
    """Without a test part, of which a fifth is drawn; the same samples and checksums as in memory."""
    x = {"float64": X.astype(np.float64), "bool": X > 0.5, "grey": (X[..., 0] * 255).astype(np.uint8)}.get(form, X)
    (np.savez_compressed if form == "compressed" else np.savez)(tmp_path / "own.npz", x=x, y=Y)
    asked = []
    inside = paths.load(tmp_path / "own.npz", in_memory=lambda size: asked.append(size) or True)
    kept = paths.load(tmp_path / "own.npz", cache_dir=tmp_path / "cache", in_memory=False)
    assert 0 <= asked[0] - x.nbytes < 200  # and a header
    assert isinstance(kept.train.samples, Rows)
    assert not isinstance(inside.train.samples, Rows)
    for a, b in ((inside.train, kept.train), (inside.test, kept.test)):
        assert a.samples.dtype == b.samples.dtype
        np.testing.assert_array_equal(a.samples, b.samples)
        np.testing.assert_array_equal(a.labels, b.labels)
    assert fingerprints.sums(inside) == fingerprints.sums(kept)
    assert (tmp_path / "cache").exists() == (form == "compressed")


def test_faults_of_arrays_are_found_by_rows(tmp_path):
    for x, message in (
        (np.where(np.arange(60)[:, None] == 50, np.nan, 1.0), r"training sample 50 has the value nan at \[0\]"),
        (np.ones((60, 2), np.uint8), "uint8 of 0 and 1 alone"),
        (np.full((60, 2), -7), "got int64 from -7 to -7"),
    ):
        np.savez(tmp_path / "own.npz", x=x, y=Y)
        with pytest.raises((ValueError, TypeError), match=message):
            paths.load(tmp_path / "own.npz", in_memory=False)
    np.savez(tmp_path / "own.npz", x=X, y=Y)
    content = bytearray((tmp_path / "own.npz").read_bytes())
    content[len(content) // 3] ^= 1
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"own\.npz cannot be read as a .npz file of plain arrays \(Bad CRC-32"):
        paths.load(tmp_path / "own.npz", in_memory=False)


def test_checksums_do_not_depend_on_the_pieces(monkeypatch):
    """And are those that runs have stored so far: the CRC-32 of dtype, shape and bytes."""
    import zlib

    expected = zlib.crc32(X.tobytes(), zlib.crc32(f"{X.dtype}{list(X.shape)}".encode()))
    for piece in (1, 1000, 2**20):
        monkeypatch.setattr("jaxsnn.rows.PIECE", piece)
        assert fingerprints._sum(X) == fingerprints._sum(Rows(X)) == f"{expected:08x}"


def test_pictures_are_decoded_once(tmp_path, monkeypatch):
    """By the flags that fit the network, by the run and by its evaluation: each picture by one call of `read`."""
    from PIL import Image

    for i in range(30):
        path = tmp_path / "pets" / f"class{i % 3}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((X[i, ..., 0] * 255).astype(np.uint8)).save(path)
    read, decoded = pictures.read, []

    def counted(path, **options):
        decoded.append(path)
        return read(path, **options)

    monkeypatch.setattr(pictures, "read", counted)
    config = config_of(tmp_path / "pets", tmp_path, stream="always", validation=3)
    own.suited(own.own().replace(data=config.data.data, cache_dir=config.data.cache_dir))
    run.run(config, "own")
    evaluate.evaluate(tmp_path / "run", which="last", part="test", cache_dir=config.data.cache_dir, analyse=False)
    assert len(decoded) == 31  # the first one for its size, too
    assert isinstance(splits.load_data(config).train.samples, Rows)
    assert not isinstance(splits.load_data(config.replace(stream="never")).train.samples, Rows)
    (tmp_path / "pets" / "class0" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"0\.png is damaged or no picture"):
        splits.load_data(config)


def test_frames_of_events_are_binned_once_into_the_cache(tmp_path, monkeypatch):
    write_tree(tmp_path / "data")
    options = {"time_steps": 3, "data_dir": tmp_path / "data", "event_values": "counts"}
    inside = data.load("nmnist", cache_dir=tmp_path / "inside", **options)
    kept = data.load("nmnist", cache_dir=tmp_path / "kept", in_memory=False, **options)
    monkeypatch.setattr(recordings.Binned, "read", None)
    again = data.load("nmnist", cache_dir=tmp_path / "kept", in_memory=False, **options)
    for a, b in ((inside.train, again.train), (inside.test, kept.test)):
        np.testing.assert_array_equal(a.samples, b.samples)
    assert sorted(path.suffix for path in (tmp_path / "kept").iterdir()) == [".arrays", ".arrays", ".npz", ".npz"]
    assert fingerprints.sums(inside) == fingerprints.sums(again)


def test_the_choice_by_size(tmp_path, own_file, monkeypatch):
    """By free memory, which is the host's and, where it has its own, the device's."""
    config, size = config_of(own_file, tmp_path), X.nbytes
    for free, streamed in ((2 * size + 400, False), (size, True), (None, False)):
        monkeypatch.setattr(memory, "available", lambda free=free: free)
        loaded = splits.load_data(config)
        assert isinstance(loaded.train.samples, Rows) == streamed == devices.streams(config, loaded)
    monkeypatch.setattr(memory, "available", lambda: size // 2)
    (tmp_path / "large").mkdir()
    with pytest.raises(ValueError, match=r"take .* GB free: let them stay in their files \(--stream=auto"):
        dataset.held(splits.load_data(config))
    monkeypatch.setattr(memory, "available", lambda: None)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for free, streamed in ((2.1 * size, False), (size, True)):
        monkeypatch.setattr(parallel, "memory_limit", lambda free=free: free / 1e6)
        assert isinstance(splits.load_data(config).train.samples, Rows) == streamed
        in_memory = paths.load(own_file)  # as a set that is made, and has no file
        assert devices.streams(config, in_memory) == streamed


def test_what_cannot_stream_says_so(tmp_path, own_file):
    config = config_of(own_file, tmp_path, stream="always")
    with pytest.raises(ValueError, match="a sweep holds its samples on the device.* give --stream=never"):
        populations.check(config)
    held = training.Data(training.OnHost(X), Y)
    with pytest.raises(ValueError, match="orders of their own"):
        parallel.fit_population(None, None, held, batch_size=8, epochs=1, evaluate=None)
    assert linear.baseline(config)["samples"] == 42


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/own_data.md").read_text(encoding="utf-8").partition("## Sets larger than memory")[2]
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    assert isinstance(names["sets"].images, Rows)
    assert names["sets"].images.shape == (800, 32, 32, 3)
    kept = paths.load(tmp_path / "own.npz", in_memory=False)
    np.testing.assert_array_equal(kept.train.samples[7], names["own"].train.samples[7])


def test_other_commands_look_at_streamed_runs(tmp_path, own_file):
    config = config_of(own_file, tmp_path, stream="always")
    run.run(config, "own")
    assert len(lab.load_run(tmp_path / "run").predict(X[:4])) == 4
    (first,) = run_folder.runs(config)
    here = opened(config, cache_dir=config.data.cache_dir)
    shown = look(here, first, tmp_path / "run" / "seed0", step=None, number=3)
    assert shown.image.shape == (8, 8, 1)
    sets = splits.split(config, splits.load_data(config))
    assert isinstance(sets.fitting.images, training.OnHost)
    np.testing.assert_array_equal(sets.fitting.images[:3], sets.fitting.images[np.arange(3)])


@pytest.mark.thorough
def test_killed_in_mid_epoch_and_resumed_equals_a_resident_run(tmp_path):
    """`kill -9` in the second epoch of a streamed run, then `--resume`: the metrics of a resident run, bit for bit."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    fields = {"model": "mlp", "hidden": 8, "gradient": "bptt", "epochs": 3, "limit": 640, "time_steps": 3, "seeds": 1}
    fields |= {"validation": 40, "limit_test": 40, "log_every": 1, "checkpoint_every": 3, "progress": False}
    flags = [f"--{name}={value}" for name, value in fields.items()] + ["--noactivity", "--nofigures"]
    code, _, error = call(*flags, f"--run_dir={whole}", "--stream=never")
    assert code == 0, error
    process = subprocess.Popen(
        command(*flags, f"--run_dir={cut}", "--stream=always"), cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ
    )
    metrics = cut / "seed0" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text(encoding="utf-8").count('"epoch": 2') < 5:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(rows(cut)) < len(rows(whole))
    code, out, error = call(*flags, f"--run_dir={cut}", "--stream=always", "--resume")
    assert code == 0, error
    assert "resuming after step" in out
    assert rows(cut) == rows(whole)


@pytest.mark.thorough
def test_a_set_four_times_as_large_as_the_memory(tmp_path):
    """A process that may take 150 MB beside what jax and the program need trains on 600 MB, and streams by itself."""
    program = f"""
import resource, sys
import numpy as np
from jaxsnn.data import memory
from jaxsnn.lab import own, run
ALLOWED = 150 * 2**20
memory.available = lambda: ALLOWED
def peak(): return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024
def config(path, folder, **more):
    return own.own().replace(data=path, run_dir=folder, cache_dir={str(tmp_path / "cache")!r}, model="mlp", hidden=(4,),
        time_steps=1, epochs=1, batch_size=64, validation=64, evaluation_batch=64, progress=False, figures=False,
        activity=False, **more)
run.run(config({str(tmp_path / "small.npz")!r}, {str(tmp_path / "small")!r}), "own")
before = peak()
run.run(config({str(tmp_path / "large.npz")!r}, {str(tmp_path / "large")!r}), "own")
print("grew by", peak() - before, "of", ALLOWED)
assert peak() - before < ALLOWED
"""
    for name, count in (("small", 320), ("large", 600 * 2**20 // 2**15)):
        each = (data.Split(np.full((1, 64, 512, 1), i % 7, np.uint8), np.array([i % 2])) for i in range(count))
        cache.write(tmp_path / "cached.npz", cache.Parts(count, each))
        with zipfile.ZipFile(tmp_path / "cached.npz") as cached, zipfile.ZipFile(tmp_path / f"{name}.npz", "w") as made:
            for old, new in (("images", "x"), ("labels", "y")):
                with cached.open(f"{old}.npy") as source, made.open(f"{new}.npy", "w") as target:
                    shutil.copyfileobj(source, target, 2**20)
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    call = [sys.executable, "-c", program]
    done = subprocess.run(call, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "large" / "results.json").exists()
