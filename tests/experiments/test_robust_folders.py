"""Run folders under attack: two processes in one, other data, full disks, odd names, damaged files."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxsnn import files, training
from jaxsnn.data import Dataset, Split
from jaxsnn.lab import environment, fingerprints, locks, results, run, run_folder
from jaxsnn.lab.convert import convert
from jaxsnn.lab.evaluate import evaluate
from jaxsnn.lab.linear import baseline
from tests.experiments.test_run import small


def entries(folder):
    """All files, by their content: what must not change."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    where = tmp_path_factory.mktemp("trained") / "run"
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam relies on it
        run.run(small(where, epochs=1, limit=64, limit_test=20), "digits")
    return where


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def other(config, data):
    """The same set with a sample more, another pixel, another label, or a sample moved."""
    train, test = data.train, data.test
    pixel, label, order = train.samples.copy(), train.labels.copy(), np.arange(len(train.labels))
    pixel[7, 3, 3, 0] ^= 1
    label[7] = (label[7] + 1) % 10
    order[[3, 4]] = order[[4, 3]]
    tested = test.samples.copy()
    tested[-1, 0, 0, 0] ^= 1
    more = train._make(np.concatenate([x, x[:1]]) for x in train)
    moved = train._replace(samples=train.samples[order])
    return [
        (
            data._replace(train=more),
            r"training .* \(1438 training samples then, 1439",
        ),
        (data._replace(train=train._replace(samples=pixel)), "the training samples of digits are not those"),
        (data._replace(train=train._replace(labels=label)), "the training samples of digits are not those"),
        (
            data._replace(train=moved),
            "the training samples of digits are not those",
        ),
        (data._replace(test=test._replace(samples=tested)), "the test samples of digits are not those"),
    ]


def test_other_data_is_refused_everywhere(copy, monkeypatch):
    config = run_folder.read_config(copy)
    data = run.load_data(config)
    before = entries(copy)
    for changed, message in other(config, data):
        with pytest.raises(ValueError, match=message):
            fingerprints.check(copy, fingerprints.sums(changed))
    looks = {
        "jaxsnn.lab.run": lambda: run.run(small(copy, epochs=1, limit=64, limit_test=20, resume=True), "digits"),
        "jaxsnn.lab.evaluate": lambda: evaluate(copy, which="last", part="test"),
        "jaxsnn.lab.convert.convert": lambda: convert.convert(copy, convert.Options()),
        "jaxsnn.lab.linear": lambda: baseline(config, copy),
    }
    changed, message = other(config, data)[0]
    for module, look in looks.items():
        monkeypatch.setattr(f"{module}.load_data", lambda config: changed)
        with pytest.raises(ValueError, match=message):
            look()
    assert entries(copy) == before
    fingerprints.check(copy, fingerprints.sums(data))
    (copy / "data.json").unlink()
    fingerprints.check(copy, fingerprints.sums(changed))  # an earlier version did not write it down


@pytest.mark.parametrize("content", ["", "[]", '{"digits": 3}', '{"digits": {"training": []}}'])
def test_damaged_checksums(copy, content):
    (copy / "data.json").write_text(content, encoding="utf-8")
    data = Dataset("digits", *[Split(np.zeros((2, 1), np.uint8), np.zeros(2, np.int32))] * 2, 10)
    with pytest.raises(ValueError, match="data.json is damaged"):
        fingerprints.check(copy, fingerprints.sums(data))


@pytest.fixture
def elsewhere():
    """Locks a folder as another process does; the file lock of one open file holds against all others."""
    opened = []

    def lock(folder, purpose=locks.TRAINING):
        opened.append((folder / f".{purpose}.lock").open("w", encoding="utf-8"))
        fcntl.flock(opened[-1], fcntl.LOCK_EX)
        opened[-1].write("process 77 on far")
        opened[-1].flush()

    yield lock
    for file in opened:
        file.close()


def test_a_run_that_is_going_is_left_alone(copy, elsewhere, tmp_path):
    elsewhere(copy)
    before = entries(copy)
    message = "run is in use: process 77 on far is training there. Wait for its end, or choose another folder"
    with pytest.raises(ValueError, match=message):
        run.run(small(copy, epochs=1, limit=64, limit_test=20, resume=True), "digits")
    assert entries(copy) == before
    new = tmp_path / "new"
    new.mkdir()
    elsewhere(new)
    with pytest.raises(ValueError, match="new is in use: process 77"):
        run.run(small(new), "digits")
    with run_folder.looking(str(copy)):  # one may look at a run that goes on
        pass
    elsewhere(copy, locks.LOOKING)
    with pytest.raises(ValueError, match="process 77 on far is looking there"), run_folder.looking(str(copy)):
        pass


def test_a_lock_goes_with_its_process_and_names_it(tmp_path):
    with locks.hold(tmp_path), locks.hold(tmp_path):  # one command calls another
        holder = (tmp_path / ".training.lock").read_text(encoding="utf-8")
        assert holder == f"process {os.getpid()} on {os.uname().nodename}"
        with (tmp_path / ".training.lock").open(encoding="utf-8") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (tmp_path / ".training.lock").open(encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_where_nothing_can_be_locked_it_warns(tmp_path, monkeypatch):
    def unsupported(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.warns(RuntimeWarning, match="no lock on .*: nothing keeps a second process"), locks.hold(tmp_path):
        pass


def test_what_killed_processes_left_is_removed_and_new_files_are_not(tmp_path):
    old, new = tmp_path / ".a.tmp", tmp_path / ".b.tmp"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    with locks.hold(tmp_path):
        assert (old.exists(), new.exists()) == (False, True)


def test_starts_at_the_same_moment_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = small("", run_dir="")
    path = run_folder.choose(config, "digits")  # all eight have seen the same

    def start(number):
        with ExitStack() as held:
            return run_folder.create(path, config, "digits", held)

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(start, range(8)))
    assert sorted(map(str, made)) == ["runs/digits", *(f"runs/digits-{number}" for number in range(2, 9))]


@pytest.mark.parametrize("fails", ["check_writable", "write_whole"])
@pytest.mark.parametrize("given", [True, False])
def test_a_disk_that_is_full_at_the_start_leaves_nothing(tmp_path, monkeypatch, fails, given):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, fails, full)
    config = small("a/b/c") if given else small("", run_dir="")
    message = r"\[Errno 28\] cannot write the run folder .* \(No space left on device\): choose another with --run_dir$"
    with pytest.raises(OSError, match=message), ExitStack() as held:
        run_folder.create(run_folder.choose(config, "digits"), config, "digits", held)
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "runs/digits").exists()


def test_a_folder_that_was_there_before_stays_if_it_cannot_be_filled(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "write_whole", lambda *args: (_ for _ in ()).throw(OSError(28, "full")))
    (tmp_path / "notes").touch()
    with pytest.raises(OSError, match="cannot write the run folder"), ExitStack() as held:
        run_folder.create(tmp_path, small(tmp_path), "digits", held)
    assert (tmp_path / "notes").exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_disk_that_fills_behind_the_configuration(tmp_path, monkeypatch, there):
    write, where = files.write_whole, tmp_path / "run"

    def full(path, *args, **options):
        if path.name == fingerprints.FILE:
            raise OSError(28, "full")
        write(path, *args, **options)

    monkeypatch.setattr(files, "write_whole", full)
    if there:
        where.mkdir()
        (where / "notes").touch()
    config = small(where, epochs=1, limit=64, limit_test=20)
    with pytest.raises(OSError, match="cannot write the run folder"):
        run.run(config, "digits")
    left = {path.name for path in tmp_path.rglob("*") if not path.name.endswith(".lock")}
    assert left == ({"run", "notes"} if there else set())


def test_commands_look_whether_they_can_write_before_they_work(copy, monkeypatch):
    monkeypatch.setattr(files, "check_writable", lambda folder: (_ for _ in ()).throw(OSError(30, "Read-only")))
    with pytest.raises(OSError, match="Read-only"), run_folder.looking(str(copy)):
        raise AssertionError
    with pytest.raises(OSError, match="Read-only"):
        run.run(small(copy, epochs=1, limit=64, limit_test=20, resume=True), "digits")


@pytest.mark.parametrize("name", ["lr=[0.1]", "-x", 'a b\'s "%s"', "ü雪"])
def test_folders_of_any_name_are_resumed(trained, tmp_path, name):
    where = shutil.copytree(trained, tmp_path / name / "run")
    run.run(small(where, epochs=1, limit=64, limit_test=20, resume=True), "digits")
    assert training.Checkpoints(where / "seed0" / "checkpoints", reading=True).steps() == [4]
    with run_folder.looking(str(where)) as found:
        assert found == where


@pytest.mark.parametrize("address", ["gs://bucket/run", "s3://bucket/run"])
def test_remote_folders_are_refused(tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    for use in (
        lambda: run.run(small(address), "digits"),
        lambda: run.run(small(address, resume=True), "digits"),
        lambda: run.run(small("x", compilation_cache=address), "digits"),
        lambda: run_folder.read_config(Path(address)),
    ):
        with pytest.raises(ValueError, match="is a remote address"):
            use()
    assert os.listdir(tmp_path) == []


def test_a_damaged_row_keeps_a_run_from_going_on(copy):
    """All that is in the folder stays, and the line is named."""
    metrics = copy / "seed0" / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes().replace(b'"epoch"', b'"epoch', 1))
    before = entries(copy)
    with pytest.raises(ValueError, match=r"line 2 of .*metrics.jsonl is damaged"):
        run.run(small(copy, epochs=1, limit=64, limit_test=20, resume=True), "digits")
    after = entries(copy)
    assert {path for path in before if before[path] != after[path]} == {copy / "environment.json", copy / "config.json"}


def test_every_start_has_an_entry(copy):
    assert [entry["versions"]["jaxsnn"] for entry in run_folder.environments(copy)] == ["0.1.0"]
    first = run_folder.environments(copy)
    run.run(small(copy, epochs=1, limit=64, limit_test=20, resume=True), "digits")
    second = run_folder.environments(copy)
    assert second[:1] == first
    assert len(second) == 2
    (copy / "environment.json").write_text(json.dumps(first[0]), encoding="utf-8")  # as earlier versions wrote it
    assert run_folder.environments(copy) == first
    (copy / "environment.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(ValueError, match="environment.json is damaged"):
        run_folder.environments(copy)


def test_the_commit_is_that_of_the_packages_own_repository(tmp_path, monkeypatch):
    package = tmp_path / "lib" / "jaxsnn"
    package.mkdir(parents=True)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(environment, "PACKAGE", package)
    assert environment.commit() == "unknown"  # installed somewhere inside of another repository
    monkeypatch.setattr(environment, "PACKAGE", tmp_path / "lib")
    assert len(environment.commit()) >= 7
    monkeypatch.setenv("PATH", str(tmp_path))  # no git on this machine
    assert environment.commit() == "unknown"


def test_seconds_of_all_parts():
    start = {"kind": "start", "trace_seconds": 1.0, "compile_seconds": 2.0}
    train, epoch = {"kind": "train", "seconds": 10.0}, {"kind": "epoch", "seconds": 25.0, "evaluation_seconds": 5.0}
    assert results.spent([]) == 0
    assert results.spent([start, train, train, epoch]) == 33
    assert results.spent([start, train, train, epoch, train]) == 43  # stopped within the second epoch
    assert results.spent([start, train, train, epoch, train, start, train, epoch]) == 43 + 33


def test_seconds_of_a_resumed_run(copy):
    (metrics := copy / "seed0" / "metrics.jsonl").write_bytes(
        metrics.read_bytes().replace(b'"seconds": ', b'"seconds": 9')
    )
    rows = training.MetricsFile(metrics).read()
    summary = run.run(small(copy, epochs=1, limit=64, limit_test=20, resume=True), "digits")
    assert summary["runs"][0]["seconds"] >= round(results.spent(rows), 1) > 90


def test_locks_of_windows(tmp_path, monkeypatch):
    """By a stand-in for the C library's `_locking`, which refuses a byte that another handle holds."""
    taken = set()

    def locking(handle, mode, count):
        place = (os.fstat(handle).st_ino, os.lseek(handle, 0, os.SEEK_CUR))
        assert (mode, count) == ("do not wait", 1)
        if place in taken:
            raise PermissionError(errno.EACCES, "Permission denied")
        taken.add(place)

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK="do not wait"))
    monkeypatch.setattr(sys, "platform", "win32")
    with locks.hold(tmp_path):
        monkeypatch.setattr(locks, "_held", set())  # as another process sees it
        with (
            pytest.raises(ValueError, match=rf"is in use: process {os.getpid()} on .* is training there"),
            locks.hold(tmp_path),
        ):
            pass
        with locks.hold(tmp_path, locks.LOOKING):
            pass
