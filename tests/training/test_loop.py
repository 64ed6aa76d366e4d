import os
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import training
from tests.training import problem


def test_learns_and_writes_rows(tmp_path):
    state, rows = problem.fit(tmp_path, epochs=6, log_every=2)
    assert rows[-1]["kind"] == "epoch"
    assert rows[-1]["validation_accuracy"] > 0.9
    assert [r["step"] for r in rows] == [s for e in range(6) for s in (4 * e + 2, 4 * e + 4)]
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert int(state.step) == 24


@pytest.mark.parametrize("options", [{}, {"checkpoint_every": 3}])
def test_resumed_run_equals_an_uninterrupted_one(tmp_path, options):
    """Stopped after an epoch, or within one: same parameters and rows, bit for bit."""
    whole, rows = problem.fit(tmp_path / "whole", epochs=4, log_every=1, **options)

    class Killed(Exception):
        pass

    _, step = problem.start()
    with pytest.raises(Killed):
        problem.fit(
            tmp_path / "cut", step=step, epochs=4, log_every=1, **options, sets=Fuse(problem.data(), 11, Killed)
        )
    resumed, again = problem.fit(tmp_path / "cut", epochs=4, log_every=1, resume=True, **options)
    assert again == rows
    chex.assert_trees_all_equal(resumed, whole)


class Fuse:
    """A data set that fails when it is read for the `after`-th time, as a kill would."""

    def __init__(self, data, after, error):
        self._data, self._left, self._error = data, after, error
        self.labels = data.labels

    @property
    def images(self):
        self._left -= 1
        if self._left < 0:
            raise self._error
        return self._data.images

    def __iter__(self):
        return iter(self._data)


def test_epochs_visit_every_sample_once_in_new_orders():
    first, second = (np.asarray(training.epoch_order(0, epoch, 50)) for epoch in (0, 1))
    np.testing.assert_array_equal(np.sort(first), np.arange(50))
    assert (first != second).any()
    assert (first != np.asarray(training.epoch_order(1, 0, 50))).any()


def test_one_compilation_and_donated_state(tmp_path):
    state, step = problem.start()
    traces = []

    def counted(*args):
        traces.append(1)
        return step(*args)

    old = state.params["w"]
    problem.fit(tmp_path, state=state, step=counted, epochs=3, log_every=1)
    assert len(traces) == 1
    assert old.is_deleted()


def test_non_finite_loss_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    problem.fit(tmp_path, epochs=2)
    sets = problem.data()
    poisoned = sets._replace(images=sets.images.at[3, 0, 0, 0].set(jnp.nan))
    with pytest.raises(
        training.NonFiniteLoss, match=r"NaN or infinite at step \d+; the last good checkpoint is step 8 in"
    ):
        problem.fit(tmp_path, epochs=4, resume=True, sets=poisoned)
    checkpoints = training.Checkpoints(tmp_path / "checkpoints")
    assert np.isfinite(checkpoints.load(problem.start()[0]).params["w"]).all()
    checkpoints.close()


def test_too_large_a_rate_is_named(tmp_path):
    state, step = problem.start(lr=1e30)
    with pytest.raises(training.NonFiniteLoss, match=r"no checkpoint had been written yet .*--lr"):
        problem.fit(tmp_path, state=state, step=step, epochs=40)


@pytest.mark.parametrize(
    ("number", "at", "options"),
    [
        (signal.SIGINT, 6, {"log_every": 1}),
        (signal.SIGTERM, 6, {}),
        (signal.SIGINT, 4, {"evaluate_every": 2}),
        (signal.SIGTERM, 4, {}),
        (signal.SIGINT, 12, {}),
    ],
)
def test_stop_request_saves_and_resumes(tmp_path, number, at, options):
    """Within an epoch, at the end of one (4 steps) and of the last: nothing is lost and nothing is done twice."""
    whole, rows = problem.fit(tmp_path / "whole", epochs=3, **options)
    sets, calls = problem.data(), []

    class Interrupting(Fuse):
        @property
        def images(self):
            calls.append(1)
            if len(calls) == at:
                os.kill(os.getpid(), number)
            return self._data.images

    with pytest.raises(training.Interrupted, match=rf"stopped at step {at}, state saved in .* --resume"):
        problem.fit(tmp_path / "cut", epochs=3, sets=Interrupting(sets, 0, None), **options)
    resumed, again = problem.fit(tmp_path / "cut", epochs=3, resume=True, **options)
    chex.assert_trees_all_equal(resumed, whole)
    assert again == rows


def test_fewer_samples_than_a_batch(tmp_path):
    with pytest.raises(
        ValueError, match="10 training samples are fewer than one batch of 16; use a smaller --batch_size"
    ):
        problem.fit(tmp_path, sets=problem.data(10))


def test_evaluation_pads_and_counts_every_sample_once():
    state, _ = problem.start()
    sets = problem.data(70)
    state = state._replace(params={"w": jnp.eye(3)})
    accuracy = training.make_evaluate(problem.apply, lambda key, x: x[None], 32)(state, *sets)
    expected = (jnp.argmax(sets.images[:, 0, :, 0], -1) == sets.labels).mean()
    np.testing.assert_allclose(accuracy, [expected], rtol=1e-6)
    with pytest.raises(ValueError, match="empty set"):
        training.make_evaluate(problem.apply, problem.prepare, 32)(state, sets.images[:0], sets.labels[:0])


def test_the_host_reads_the_device_only_when_it_logs(tmp_path, monkeypatch):
    """Between logged steps a step is one dispatch; nothing but `jax.device_get` in `report` waits for its result."""
    reads, reading = [], []
    original, array = jax.device_get, type(jnp.zeros(()))
    value = array._value

    def counted(tree):
        reads.append(1)
        reading.append(1)
        try:
            return original(tree)
        finally:
            reading.clear()

    def guarded(self):
        assert reading, "the loop read a device array outside jax.device_get"
        return value.fget(self)

    monkeypatch.setattr("jaxsnn.training.loop.jax.device_get", counted)
    step = problem.start()[1]
    state = problem.start()[0]
    checkpoints, metrics = NoFiles(), NoFiles()
    with monkeypatch.context() as patch:
        patch.setattr(array, "_value", property(guarded))
        loop = training.fit(
            state,
            step,
            problem.data(),
            batch_size=16,
            epochs=3,
            evaluate=lambda state: {},
            metrics=metrics,
            checkpoints=checkpoints,
            log_every=3,
            progress=False,
        )
    assert len(reads) == 1 + 3 * 2  # at the start; per epoch one at step 3 and one at the end
    assert int(loop.step) == 12


class NoFiles:
    def write(self, row):
        pass

    def save(self, *args):
        pass

    def steps(self):
        return []
