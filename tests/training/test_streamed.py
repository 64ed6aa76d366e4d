"""Sets that stay on the host: the same numbers, bit for bit; errors and ends of the thread that reads them."""

import os
import signal
import threading

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import training
from jaxsnn.rows import Rows, pieces
from jaxsnn.training.feed import AHEAD, Windows, feed
from tests.training import problem


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("jaxsnn")]


@pytest.fixture
def mapped(tmp_path):
    """The problem's data with its samples in a file, every second row of it, from the end."""
    images, labels = jax.device_get(problem.data())
    whole = np.zeros((2 * len(images), *images.shape[1:]), images.dtype)
    whole[1::2] = images[::-1]
    np.save(tmp_path / "x.npy", whole)
    chosen = np.arange(len(whole))[1::2][::-1]
    return training.Data(training.OnHost(np.load(tmp_path / "x.npy", mmap_mode="r"), chosen), labels)


@pytest.mark.parametrize(
    "options",
    [{}, {"log_every": 3, "steps_per_dispatch": 2}, {"checkpoint_every": 3, "steps_per_dispatch": 50}],
)
def test_streamed_equals_resident(tmp_path, mapped, options):
    expected, rows = problem.fit(tmp_path / "resident", **options)
    state, found = problem.fit(tmp_path / "streamed", sets=mapped, **options)
    chex.assert_trees_all_equal(state, expected)
    assert found == rows
    assert not threads()


def test_a_map_of_a_file_is_streamed_and_resumes_within_an_epoch(tmp_path):
    """As in a notebook; the run is stopped by Ctrl-C at step 6 of 4 an epoch, and goes on with the same numbers."""
    images, labels = jax.device_get(problem.data())
    np.save(tmp_path / "x.npy", images)
    data = training.Data(np.load(tmp_path / "x.npy", mmap_mode="r"), labels)
    expected, rows = problem.fit(tmp_path / "resident", log_every=1)
    state, step = problem.start()

    class Stop(training.MetricsList):
        def write(self, row):
            super().write(row)
            if row["step"] == 6:
                os.kill(os.getpid(), signal.SIGINT)

    metrics, checkpoints = Stop(), training.Checkpoints(tmp_path / "c")
    options = {"batch_size": 16, "epochs": 3, "log_every": 1, "progress": False}
    with pytest.raises(training.Interrupted):
        training.fit(state, step, data, metrics=metrics, checkpoints=checkpoints, **options)
    assert not threads()
    stopped = checkpoints.load(state)
    assert int(stopped.step) == 6
    after = training.MetricsList()
    state = training.fit(stopped, step, data, metrics=after, **options)
    chex.assert_trees_all_equal(state, expected)
    losses = [row["loss"] for row in metrics.rows + after.rows if row["kind"] != training.metrics.START]
    assert losses == [row["loss"] for row in rows]


def test_evaluation_of_a_streamed_set(mapped):
    state, _ = problem.start()
    for batch in (7, 32, 70):
        evaluate = training.make_evaluate(problem.apply, problem.prepare, batch)
        resident, streamed = evaluate(state, *problem.data(), 1), evaluate(state, *mapped, 1)
        np.testing.assert_array_equal(streamed.accuracy, resident.accuracy)
        np.testing.assert_array_equal(streamed.confusion, resident.confusion)
    assert not threads()


def test_a_file_that_is_cut_short_is_an_error_that_names_it(tmp_path, mapped):
    os.truncate(tmp_path / "x.npy", (tmp_path / "x.npy").stat().st_size // 2)
    with pytest.raises(OSError, match=r"x\.npy has become shorter"):
        problem.fit(tmp_path / "run", sets=mapped)
    assert not threads()


def test_the_thread_ends_where_training_fails(tmp_path, mapped):
    class Full(training.MetricsList):
        def write(self, row):
            if row["kind"] == "train":
                raise KeyboardInterrupt

    state, step = problem.start()
    with pytest.raises(KeyboardInterrupt):
        training.fit(state, step, mapped, batch_size=16, epochs=3, metrics=Full(), log_every=1, progress=False)
    assert not threads()


def test_few_windows_are_read_ahead(mapped):
    """However slow the device is: those in the queue, and the one that waits for room."""
    read = []

    class Counted(training.OnHost):
        def read(self, numbers, steps):
            read.append(len(numbers))
            return super().read(numbers, steps)

    images = Counted(mapped.images)
    with feed(images, (np.arange(16)[None] + i for i in range(50))) as windows:
        next(windows)
        threads()[0].join(0.3)
        assert len(read) == 1 + AHEAD + 1
    assert not threads()
    assert len(read) <= 1 + AHEAD + 2  # the rest is not read any more


def test_few_windows_are_in_use(monkeypatch):
    """However slow the device is: the step that used the last window but two is waited for."""
    waited = []
    monkeypatch.setattr(jax, "block_until_ready", lambda x: waited.append(int(x)))
    windows = Windows(iter(()))
    for step in range(5):
        windows.used(jnp.int32(step))
    assert waited == [0, 1, 2]


def test_a_process_reads_the_samples_of_its_devices(mapped):
    """Of eight columns, two devices of another process have the first four."""

    class Sharding:
        def addressable_devices_indices_map(self, shape):
            assert shape == (2, 8, 1, 3, 1)
            return {n: (slice(None), slice(begin, begin + 2), *[slice(None)] * 3) for n, begin in ((2, 4), (3, 6))}

    images = training.OnHost(mapped.images, sharding=lambda batch_size: Sharding())
    numbers = np.arange(8)[None] * 3
    read = images.read(numbers, 2)
    assert sorted(read.parts) == [(4, 6), (6, 8)]
    np.testing.assert_array_equal(read.parts[4, 6][0], images[[12, 15]])
    assert read.firsts.tolist() == [0, -1]


@pytest.mark.parametrize("kind", ["memory", "map", "part of a map", "changed map", "rows"])
def test_rows_are_those_of_the_array(tmp_path, kind):
    x = np.random.default_rng(0).integers(0, 255, (20, 3, 2), np.uint8)
    np.save(tmp_path / "x.npy", x)
    source = x
    if kind != "memory":
        source = np.load(tmp_path / "x.npy", mmap_mode="c" if kind == "changed map" else "r")
    if kind == "part of a map":
        source, x = source[5:], x[5:]
    if kind == "changed map":
        source[3] = 7
        x = x.copy()
        x[3] = 7
    rows = Rows(source)
    if kind == "rows":
        rows, x = Rows(Rows(source, np.arange(20)[::-1]), np.arange(4, 18)), x[::-1][4:18]
    for index in (0, -1, slice(2, 9, 3), slice(None), np.array([[3, 4], [5, 1]]), x[:, 0, 0] > 100):
        np.testing.assert_array_equal(rows[index], x[index])
    assert (rows.shape, rows.dtype, rows.ndim, rows.nbytes, len(rows)) == (x.shape, x.dtype, 3, x.nbytes, len(x))
    np.testing.assert_array_equal(np.asarray(rows, np.float32), x.astype(np.float32))
    np.testing.assert_array_equal(np.concatenate([part for _, part in pieces(rows)]), x)
    with pytest.raises(IndexError, match="there are"):
        rows[len(x)]


def test_what_is_mapped_stays_on_the_host(tmp_path):
    """Maps of files and rows of them become `OnHost`; arrays, and what is so already, with its sharding, stay."""
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(6, 2))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for samples in (mapped, Rows(mapped, np.arange(4))):
        moved = training.feed.on_host_if_mapped(samples)
        assert isinstance(moved, training.OnHost)
        np.testing.assert_array_equal(moved[np.arange(4)], mapped[:4])
    for samples in (np.asarray(mapped), jnp.asarray(mapped), training.OnHost(mapped, sharding=lambda size: None)):
        assert training.feed.on_host_if_mapped(samples) is samples
