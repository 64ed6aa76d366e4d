import json
import os
import re
import signal
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import training
from jaxsnn.compiling import compiler_options
from tests.training import problem


def test_learns_and_writes_rows(tmp_path):
    state, rows = problem.fit(tmp_path, epochs=6, log_every=2)
    assert rows[-1]["kind"] == "epoch"
    assert rows[-1]["validation_accuracy"] > 0.9
    assert [r["step"] for r in rows] == [s for e in range(6) for s in (4 * e + 2, 4 * e + 4)]
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert int(state.step) == 24


def test_without_folder_and_evaluation(tmp_path):
    """As in a notebook: the same numbers, and rows in memory."""
    expected, rows = problem.fit(tmp_path, epochs=2, log_every=2)
    metrics = training.MetricsList()
    state, step = problem.start()
    state = training.fit(
        state, step, problem.data(), batch_size=16, epochs=2, metrics=metrics, log_every=2, progress=False
    )
    chex.assert_trees_all_equal(state.params, expected.params)
    assert metrics.rows[0]["kind"] == training.metrics.START
    assert [row["loss"] for row in metrics.rows[1:]] == [row["loss"] for row in rows]
    training.fit(state, step, problem.data(), batch_size=16, epochs=3, progress=False)  # goes on; rows go nowhere
    state, step = problem.start()
    with pytest.raises(ValueError, match="checkpoint_every=3 needs checkpoints"):
        training.fit(state, step, problem.data(), batch_size=16, epochs=1, checkpoint_every=3)
    state, step = problem.start(lr=1e30)
    with pytest.raises(training.NonFiniteLoss, match=r"infinite at step \d+\. Usual causes"):
        training.fit(state, step, problem.data(), batch_size=16, epochs=2, progress=False)


@pytest.mark.parametrize(
    ("options", "after"),
    [
        ({"log_every": 1}, 11),
        ({"log_every": 1, "checkpoint_every": 3}, 11),
        ({"log_every": 3, "checkpoint_every": 3, "steps_per_dispatch": 2}, 7),
    ],
)
def test_resumed_run_equals_an_uninterrupted_one(tmp_path, options, after):
    """Stopped after an epoch, or within one: same parameters and rows, bit for bit."""
    whole, rows = problem.fit(tmp_path / "whole", epochs=4, **options)

    class Killed(Exception):
        pass

    _, step = problem.start()
    with pytest.raises(Killed):
        problem.fit(tmp_path / "cut", step=step, epochs=4, **options, sets=Fuse(problem.data(), after, Killed))
    resumed, again = problem.fit(tmp_path / "cut", epochs=4, resume=True, **options)
    assert again == rows
    chex.assert_trees_all_equal(resumed, whole)


class Fuse:
    """A data set that fails when it has been read for `after` dispatches, as a kill would."""

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


@pytest.mark.parametrize("steps_per_dispatch", [1, 3])
def test_one_compilation_and_a_copy_of_the_state(tmp_path, steps_per_dispatch):
    """Also for leaves that are weakly typed or not on a device yet, as the state of the first step may have."""
    state, step = problem.start()
    expected, _ = problem.fit(tmp_path / "expected")
    state = state._replace(params={"w": jnp.full((3, 3), 0.0)}, model_state={"leak": 0.9, "weak": jnp.asarray(0.5)})
    state = state._replace(optimizer=jax.tree.map(np.asarray, state.optimizer))
    traces = []

    def counted(*args):
        traces.append(1)
        return step(*args)

    old = state
    options = {"log_every": 3, "steps_per_dispatch": steps_per_dispatch}
    state, _ = problem.fit(tmp_path, state=state, step=counted, **options)
    assert len(traces) == 1
    assert not any(isinstance(x, jax.Array) and x.is_deleted() for x in jax.tree.leaves(old))
    chex.assert_trees_all_equal(state.params, expected.params)


def test_several_steps_per_dispatch_give_the_same_numbers(tmp_path):
    """Bit for bit here (XLA promises no more than rounding); no dispatch crosses a row or the end of an epoch."""
    reads = []

    class Counting(Fuse):
        @property
        def images(self):
            reads.append(1)
            return self._data.images

    runs = []
    for steps_per_dispatch, dispatches in ((1, 12), (7, 3), (100, 2)):  # 8 + 4 steps per epoch: 7 + 1 + 4, or two
        options = {"log_every": 8, "steps_per_dispatch": steps_per_dispatch}
        runs.append(
            problem.fit(tmp_path / str(steps_per_dispatch), sets=Counting(problem.data(200), 0, None), **options)
        )
        assert len(reads) == 3 * dispatches
        reads.clear()
    for state, rows in runs[1:]:
        assert rows == runs[0][1]
        chex.assert_trees_all_equal(state, runs[0][0])
    assert [row["step"] for row in runs[0][1]] == [8, 12, 20, 24, 32, 36]


def test_several_steps_per_dispatch_stop_at_checkpoints_and_on_request(tmp_path):
    options = {"steps_per_dispatch": 100, "checkpoint_every": 5, "sets": problem.data(200)}
    saved = Saved()
    whole = fit_without_files(saved, **options)
    assert saved.at == [5, 10, 12, 15, 20, 24]

    class Interrupting(Fuse):
        @property
        def images(self):
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            return self._data.images

    with pytest.raises(training.Interrupted, match="stopped at step 20, "):
        fit_without_files(saved, **options | {"sets": Interrupting(options["sets"], 5, None)})
    assert saved.at[-1] == 20
    state = fit_without_files(saved, state=saved.state, **options)
    chex.assert_trees_all_equal(state, whole)


def test_no_steps_per_dispatch(tmp_path):
    with pytest.raises(ValueError, match="steps_per_dispatch must be >= 1, got 0"):
        problem.fit(tmp_path, steps_per_dispatch=0)


def test_what_compiling_took_is_told_once_per_start(tmp_path, capsys):
    problem.fit(tmp_path, epochs=1, progress=True, description="seed 7")
    problem.fit(tmp_path, epochs=2, resume=True)
    line = next(line for line in capsys.readouterr().out.splitlines() if "traced" in line)
    assert re.fullmatch(
        r"seed 7: traced in \d+\.\d s, compiled in \d+\.\d s; a step needs \d+\.\d MB beside \d+\.\d MB of .*", line
    )
    rows = map(json.loads, (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    first, second = (row for row in rows if row["kind"] == "start")
    assert (first["step"], second["step"]) == (0, 4)
    size = sum(x.nbytes for x in jax.tree.leaves((problem.start()[0], problem.data()))) + 4 * 70  # and the order
    assert abs(first["argument_mb"] * 1e6 - size) < 500


@pytest.mark.parametrize("several", [False, True])
def test_costs_are_those_of_tracing_and_of_compiling(monkeypatch, several):
    clock = SimpleNamespace(perf_counter=iter([10.0, 13.25, 20.0]).__next__)
    monkeypatch.setattr("jaxsnn.training.dispatch.time", clock)
    state, step = problem.start()
    arguments = (state, *problem.data(), training.epoch_order(0, 0, 70))
    _, costs = training.compile_steps(step, *arguments, several=several)
    assert costs[:2] == (3.25, 6.75)
    lowered = jax.jit(step, donate_argnums=0).lower(*arguments)
    memory = lowered.compile(compiler_options=compiler_options()).memory_analysis()
    least = memory.temp_size_in_bytes / 1e6
    assert round(least, 3) <= costs.temporary_mb <= 2 * least + 0.001  # a loop over steps holds a little more


@pytest.mark.parametrize("steps_per_dispatch", [1, 4])
def test_non_finite_loss_stops_and_keeps_the_last_good_checkpoint(tmp_path, steps_per_dispatch):
    problem.fit(tmp_path, epochs=2)
    sets = problem.data()
    places = np.stack([np.asarray(training.epoch_order(0, epoch, 70))[:64] for epoch in (2, 3)]).ravel()
    step = 8 + int(np.flatnonzero(places == 3)[0]) // 16
    poisoned = sets._replace(images=sets.images.at[3, 0, 0, 0].set(jnp.nan))
    with pytest.raises(
        training.NonFiniteLoss, match=rf"NaN or infinite at step {step}; the last good checkpoint is step 8 in"
    ):
        problem.fit(tmp_path, epochs=4, resume=True, sets=poisoned, steps_per_dispatch=steps_per_dispatch)
    checkpoints = training.Checkpoints(tmp_path / "checkpoints")
    assert np.isfinite(checkpoints.load(problem.start()[0]).params["w"]).all()


def test_too_large_a_rate_is_named(tmp_path):
    state, step = problem.start(lr=1e30)
    with pytest.raises(training.NonFiniteLoss, match="no checkpoint had been .* yet in .*too large a learning rate"):
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

    with pytest.raises(training.Interrupted, match=rf"stopped at step {at}, state saved in .*/cut/checkpoints$"):
        problem.fit(tmp_path / "cut", epochs=3, sets=Interrupting(sets, 0, None), **options)
    resumed, again = problem.fit(tmp_path / "cut", epochs=3, resume=True, **options)
    chex.assert_trees_all_equal(resumed, whole)
    assert again == rows


def test_fewer_samples_than_a_batch(tmp_path):
    with pytest.raises(
        ValueError, match="10 training samples are fewer than one batch of 16; use a smaller batch_size"
    ):
        problem.fit(tmp_path, sets=problem.data(10))


def labelled(labels, images=70):
    return training.Data(problem.data(images).images, labels)


LABELS = np.arange(70) % 3


@pytest.mark.parametrize(
    ("labels", "images", "message"),
    [
        (LABELS + 1, 70, r"labels must lie in \[0, 3\), .*; 23 of 70 do not, e.g. 3"),
        (LABELS * 1000, 70, "labels must lie in"),
        (LABELS - 1, 70, "labels must be >= 0, .*; 24 of 70 do not, e.g. -1"),
        (LABELS.astype(np.float32), 70, r"labels must be class numbers: integers .* got float32 \(70,\)"),
        (LABELS > 0, 70, r"labels must be class numbers: integers .* got bool \(70,\)"),
        (np.eye(3, dtype=np.int32)[LABELS], 70, r"got int32 \(70, 3\)"),
        (LABELS[0], 70, r"got int(64|32) \(\)"),
        (LABELS[:60], 70, "70 samples and 60 labels: give one label per sample"),
        (LABELS, 60, "60 samples and 70 labels"),
    ],
)
@pytest.mark.parametrize("where", [np.asarray, jnp.asarray])
def test_labels_that_are_no_classes(labels, images, message, where):
    state, step = problem.start()
    if where is jnp.asarray:
        labels, message = jnp.asarray(labels), message.replace("int64", "int32")
    with pytest.raises(ValueError, match=message):
        training.fit(state, step, labelled(labels, images), batch_size=16, epochs=1, progress=False)


def test_another_batch_size_than_the_steps(tmp_path):
    state, step = problem.start()
    with pytest.raises(ValueError, match="batch_size=8, but the step trains on batches of 16: give the batch_size of"):
        training.fit(state, step, problem.data(), batch_size=8, epochs=1, progress=False)


def test_a_notebook_cell_runs_twice():
    """The caller's state is as it was before, and gives the same again."""
    state, step = problem.start()
    before = jax.tree.map(np.asarray, state)
    first, second = (
        training.fit(state, step, problem.data(), batch_size=16, epochs=1, progress=False) for _ in range(2)
    )
    chex.assert_trees_all_equal(first, second)
    chex.assert_trees_all_equal(state, before)


@pytest.mark.parametrize("evaluate_every", [1, 2])
def test_weights_that_become_infinite_in_the_last_step(tmp_path, evaluate_every):
    """Loss and gradient are those from before the update."""
    _, step = problem.start()

    def last(state, *args):
        after = step(state, *args)
        return after._replace(params={"w": jnp.where(after.step == 8, jnp.inf, after.params["w"])})

    with pytest.raises(training.NonFiniteLoss, match="weights became NaN or infinite at step 7"):
        problem.fit(tmp_path, step=last, epochs=2, evaluate_every=evaluate_every)
    assert max(training.Checkpoints(tmp_path / "checkpoints").steps(), default=4) == 4


@pytest.mark.parametrize("fails", ["row", "checkpoint"])
def test_a_full_disk_ends_with_what_is_kept(tmp_path, monkeypatch, fails):
    """One sentence with the system's number and the last whole checkpoint; from which the run then goes on."""
    whole, rows = problem.fit(tmp_path / "whole")
    place, name = (training.MetricsFile, "write") if fails == "row" else (training.Checkpoints, "save")
    original, calls = getattr(place, name), []

    def full(self, *args):
        calls.append(1)
        if len(calls) == (3 if fails == "row" else 2):
            raise OSError(28, "No space left on device")
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, full)
        message = (
            r"\[Errno 28\] No space left on device: training ends at step 8; the last good checkpoint is step 4 in "
        )
        with pytest.raises(OSError, match=message + ".*/cut/checkpoints. Make room there") as raised:
            problem.fit(tmp_path / "cut")
    assert raised.value.errno == 28
    assert "\n" not in str(raised.value)
    resumed, again = problem.fit(tmp_path / "cut", resume=True)
    chex.assert_trees_all_equal(resumed, whole)
    assert again == rows


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_request_does_what_it_would_without_training(number):
    class Twice(Exception):
        pass

    def handler(*args):
        raise Twice

    class Interrupting(Fuse):
        @property
        def images(self):
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            return self._data.images

    before = signal.signal(number, handler)
    try:
        with pytest.raises(Twice):
            fit_without_files(Saved(), sets=Interrupting(problem.data(), 0, None))
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


def test_evaluation_pads_and_counts_every_sample_once():
    state, _ = problem.start()
    sets = problem.data(70)
    state = state._replace(params={"w": jnp.eye(3)})
    found = training.make_evaluate(problem.apply, lambda key, x: x[None], 32)(state, *sets)
    answers = np.argmax(sets.images[:, 0, :, 0], -1)
    np.testing.assert_allclose(found.accuracy, [(answers == sets.labels).mean()], rtol=1e-6)
    assert found.confusion.sum() == 70
    assert found.confusion.trace() == (answers == sets.labels).sum()
    assert all(found.confusion[0, answer] == np.sum((sets.labels == 0) & (answers == answer)) for answer in range(3))
    with pytest.raises(ValueError, match="empty set"):
        training.make_evaluate(problem.apply, problem.prepare, 32)(state, sets.images[:0], sets.labels[:0])


@pytest.mark.parametrize("steps_per_dispatch", [1, 3])
def test_the_host_reads_the_device_only_when_it_logs(monkeypatch, steps_per_dispatch):
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
    state, sets = problem.start()[0], problem.data()
    with monkeypatch.context() as patch:
        patch.setattr(array, "_value", property(guarded))
        options = {"log_every": 3, "steps_per_dispatch": steps_per_dispatch}
        loop = fit_without_files(NoFiles(), state=state, sets=sets, epochs=3, **options)
    assert len(reads) == 1 + 3 * 2  # at the start; per epoch one at step 3 and one at the end
    assert int(loop.step) == 12


class NoFiles:
    def write(self, row):
        pass

    def save(self, *args):
        pass

    def steps(self):
        return []


class Saved(NoFiles):
    """Checkpoints in memory: the steps that had one, and the last state."""

    folder = "memory"

    def __init__(self):
        self.at, self.state = [], None

    def save(self, step, state, *args):
        self.at.append(step)
        self.state = jax.tree.map(jnp.copy, state)


def fit_without_files(checkpoints, *, state=None, sets, epochs=2, **options):
    start, step = problem.start()
    state = training.fit(
        start if state is None else state,
        step,
        sets,
        batch_size=16,
        epochs=epochs,
        evaluate=lambda state: {},
        metrics=NoFiles(),
        checkpoints=checkpoints,
        progress=False,
        **options,
    )
    return state
