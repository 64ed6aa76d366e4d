"""Several processes on this machine, connected over 127.0.0.1, train the digits network as one process does."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from experiments import digits
from jaxsnn import parallel, training
from jaxsnn.lab import devices, run
from jaxsnn.training.metrics import START, TIMES

ROOT = Path(__file__).parents[2]
SMALL = {
    "seeds": 1,
    "epochs": 2,
    "time_steps": 4,
    "width": 0.25,
    "init_gain": 3.0,  # or fc1 would be silent at so few steps
    "dropout": 0.25,
    "limit": 64,
    "limit_test": 20,
    "validation": 20,
    "log_every": 1,
    "progress": False,
}
TIMEOUT = 300  # seconds; a hang ends the test, not the suite


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(folder, *flags, own=((), ()), devices=4, **small):
    """Starts the processes of one run, each with `own` flags; their output is in files beside its folder."""
    environment = os.environ | {
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
    }
    shared = [f"--{name}={value}" for name, value in (SMALL | small).items()]
    shared += [f"--run_dir={folder}", "--multihost", f"--coordinator=127.0.0.1:{free_port()}", *flags]
    started = []
    for number, different in enumerate(own):
        with open(f"{folder}.{number}.log", "w", encoding="utf-8") as log:
            command = [sys.executable, "-m", "experiments.digits", *shared]
            command += [f"--num_processes={len(own)}", f"--process_id={number}", *different]
            started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
    return started


def finish(started, folder):
    """Waits for the processes of a run; returns their exit statuses and what they printed."""
    try:
        codes = [process.wait(TIMEOUT) for process in started]
    finally:
        for process in started:
            process.kill()
    return codes, [Path(f"{folder}.{number}.log").read_text(encoding="utf-8") for number in range(len(started))]


def train(folder, *flags, **options):
    codes, printed = finish(start(folder, *flags, **options), folder)
    assert codes == [0] * len(codes), printed
    return printed


def rows(folder):
    every = training.MetricsFile(folder / "seed0" / "metrics.jsonl").read()
    return [{k: v for k, v in row.items() if k not in TIMES} for row in every if row["kind"] != START]


def run_alone(config):
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam relies on it
        run.run(config, "digits")


def wait_for(condition, started):
    began = time.monotonic()
    while not condition():
        assert all(process.poll() is None for process in started), "a process ended early"
        assert time.monotonic() - began < TIMEOUT
        time.sleep(0.02)


def alike(one, other):
    """The same rows up to rounding of the loss."""
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        assert a | {"loss": 0} == b | {"loss": 0}
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)


@pytest.mark.thorough
def test_two_processes_train_as_one(tmp_path):
    """Losses up to rounding, and the same accuracies, with dropout, shifts and validation."""
    dense = {"model": "mlp", "gradient": "bptt"}  # which compiles in a third of the time
    alone = digits.digits().replace(**SMALL | dense, hidden=(16,), activity=False, figures=False)
    run_alone(alone.replace(run_dir=str(tmp_path / "one")))
    printed = train(tmp_path / "two", "--nofigures", "--noactivity", hidden=16, **dense)
    alike(rows(tmp_path / "one"), rows(tmp_path / "two"))
    assert len({row["loss"] for row in rows(tmp_path / "two")}) == len(rows(tmp_path / "two"))  # they do learn
    assert "run folder" in printed[0]
    assert "run folder" not in printed[1]
    stored = json.loads((tmp_path / "two" / "results.json").read_text(encoding="utf-8"))
    assert stored["device"].startswith("8 x ")


@pytest.mark.thorough
@pytest.mark.parametrize("own", [((), ()), ((),)])
def test_streamed_by_two_processes_and_by_the_devices_of_one(tmp_path, own):
    """Each process reads the samples of its own devices: the numbers of a run with its samples on all devices."""
    dense = {"model": "mlp", "gradient": "bptt", "hidden": 16, "evaluation_batch": 6}
    for stream in ("never", "always"):
        train(tmp_path / stream, "--nofigures", "--noactivity", f"--stream={stream}", own=own, **dense)
    assert rows(tmp_path / "always") == rows(tmp_path / "never")


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A run of 40 steps by two processes that nothing interrupts; the first draws the figures."""
    folder = tmp_path_factory.mktemp("processes") / "whole"
    printed = train(folder, limit=320)
    assert "wrote " in printed[0]
    assert (folder / "raster.png").exists()
    return folder


def last_whole_checkpoint(folder):
    return max(int(path.name) for path in (folder / "seed0" / "checkpoints").iterdir() if path.name.isdigit())


@pytest.mark.slow
@pytest.mark.parametrize("killed", [1, 0])
def test_one_is_killed_and_the_others_end(tmp_path, long, killed):
    """`kill -9` in the second epoch: the other ends within a minute and says why; all go on with the same numbers."""
    folder = tmp_path / "cut"
    started = start(folder, "--nofigures", limit=320, checkpoint_every=5)
    metrics = folder / "seed0" / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and metrics.read_text(encoding="utf-8").count('"epoch": 2') > 6, started)
    started[killed].send_signal(signal.SIGKILL)
    began = time.monotonic()
    codes, printed = finish(started, folder)
    assert time.monotonic() - began < 60
    assert codes[killed] == -signal.SIGKILL
    assert codes[1 - killed] not in (0, -signal.SIGKILL)
    assert re.search("lost another process of this run|another task died", printed[1 - killed])
    saved = last_whole_checkpoint(folder)
    assert saved >= 25
    printed = train(folder, "--nofigures", "--resume", limit=320, checkpoint_every=5)
    assert f"resuming after step {saved}" in printed[0]
    assert rows(folder) == rows(long)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [1, 0])
def test_a_stop_request_to_one_stops_all(tmp_path, long, asked):
    """SIGTERM to one process: all save the same step and end; a resumed run has the same numbers."""
    folder = tmp_path / "cut"
    started = start(folder, "--nofigures", limit=320)
    metrics = folder / "seed0" / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and metrics.read_text(encoding="utf-8").count('"epoch": 2') > 3, started)
    started[asked].send_signal(signal.SIGTERM)
    codes, printed = finish(started, folder)
    assert codes == [130, 130], printed
    stopped = [re.search(r"stopped at step (\d+), state saved", text)[1] for text in printed]
    assert stopped[0] == stopped[1] == str(last_whole_checkpoint(folder))
    printed = train(folder, "--nofigures", "--resume", limit=320)
    assert f"resuming after step {stopped[0]}" in printed[0]
    assert rows(folder) == rows(long)


@pytest.mark.slow
def test_one_process_goes_on_where_two_stopped(tmp_path, long):
    """The checkpoint of two processes, resumed on one device: the same up to rounding."""
    folder = tmp_path / "moved"
    train(folder, "--nofigures", limit=320, epochs=1, schedule="constant")
    config = digits.digits().replace(**SMALL | {"limit": 320}, activity=False, figures=False)
    config = config.replace(schedule="constant", run_dir=str(folder), resume=True)
    run_alone(config)
    train(tmp_path / "whole", "--nofigures", limit=320, schedule="constant")
    alike(rows(folder), rows(tmp_path / "whole"))


@pytest.mark.slow
def test_processes_with_different_flags(tmp_path):
    """All end with a message that names the flag, and no run folder is left."""
    folder = tmp_path / "run"
    codes, printed = finish(start(folder, own=((), ("--lr=0.5", "--seed=2"))), folder)
    assert codes == [1, 1]
    for text in printed:
        assert "differ from process 0 in their configuration: process 1 has another lr, seed. Give all" in text
        assert "Traceback" not in text
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--batch_size=12",), "error: a batch of 12 samples cannot be divided among 8 devices; choose a batch size"),
        (("--data_parallel=4",), "error: --multihost uses all devices of all processes, 8 here, got data_parallel=4"),
    ],
)
def test_what_cannot_be_divided(tmp_path, flags, message):
    folder = tmp_path / "run"
    codes, printed = finish(start(folder, *flags), folder)
    assert codes[0] == 1
    assert message in printed[0]
    assert 0 not in codes
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("10.0.0.1:80", None, None), r"num_processes and process_id missing: give coordinator \(host:port\), "),
        (("10.0.0.1:80", 2, None), "process_id missing"),
        ((None, 2, 0), "coordinator missing"),
        (("10.0.0.1", 2, 0), "coordinator must be host:port of process 0.*got '10.0.0.1'"),
        (("host:port", 2, 0), "must be host:port"),
        (("host:70000", 2, 0), "must be host:port"),
        (("host:80", 0, 0), "num_processes must be >= 1, got 0"),
        (("host:80", 2, 2), r"process_id must lie in \[0, 2\), each process having its own, got 2"),
        (("host:80", 2, -1), "got -1"),
    ],
)
def test_bad_start(arguments, message):
    with pytest.raises(ValueError, match=message):
        parallel.check_start(*arguments)


CHECKS = """
import json, sys
import jax
import numpy as np
from jaxsnn import parallel

parallel.start()
answers = [parallel.is_first(), parallel.agree(True), parallel.agree(False)]
print(json.dumps([jax.process_count(), jax.process_index(), *answers]))
"""


def test_slurm_says_how_many_there_are():
    """A job of one task, in a process of its own: what `--multihost` finds out without further flags."""
    address = f"127.0.0.1:{(port := free_port())}"
    slurm = {"JOB_ID": "7", "STEP_NODELIST": "127.0.0.1", "NTASKS": "1", "PROCID": "0", "LOCALID": "0"}
    environment = {f"SLURM_{name}": value for name, value in slurm.items()}
    environment |= {"JAX_COORDINATOR_PORT": str(port), "JAX_COORDINATOR_BIND_ADDRESS": address, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", CHECKS],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 0, True, True, False]


def test_where_no_cluster_is_found(tmp_path):
    command = [sys.executable, "-m", "experiments.digits", f"--run_dir={tmp_path / 'run'}", "--multihost"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "error: no TPU pod, Slurm or Open MPI says how many processes" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("multihost", "given", "message"),
    [
        (True, {"coordinator": "127.0.0.1:99"}, "num_processes and process_id missing: give .*--process_id"),
        (False, {"process_id": 1}, "--process_id only with --multihost: add it, or train in one process"),
    ],
)
def test_flags_that_do_not_go_together(monkeypatch, multihost, given, message):
    names = ("coordinator", "num_processes", "process_id")
    values = {name: SimpleNamespace(value=given.get(name)) for name in names}
    monkeypatch.setattr(devices, "flags", SimpleNamespace(FLAGS=values))
    with pytest.raises(ValueError, match=message):
        devices.connect(multihost)


def test_training_by_many_without_a_connection():
    with pytest.raises(ValueError, match="not connected with others; call jaxsnn.parallel.start"):
        devices.make_mesh(digits.digits().replace(multihost=True))


def test_process_0_is_not_there(monkeypatch):
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setattr(parallel.processes, "START_SECONDS", 0.5)
    with pytest.raises(ConnectionError, match=f"process 0 was not found at {address} within 0.5 s .*refused"):
        parallel.start(address, 2, 1)


def test_the_port_is_taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConnectionError, match="process 0 cannot listen at 127.0.0.1:.* choose a free port"):
            parallel.start(f"127.0.0.1:{other.getsockname()[1]}", 2, 0)


def test_alone_everything_is_agreed_upon():
    parallel.check_same({"lr": 0.1, "data": b"123"}, "configuration")
    assert parallel.is_first()
    assert parallel.agree(True)
    assert not parallel.agree(False)


def test_the_loss_of_a_process_is_described():
    lost = jax.errors.JaxRuntimeError("UNAVAILABLE: connection closed by peer\nand more")
    assert parallel.is_loss(lost)
    message = parallel.describe_loss(lost)
    assert "process 0 lost another process" in message
    assert "(UNAVAILABLE: connection closed by peer)" in message
    assert "start all processes again and resume the run" in message
    assert not parallel.is_loss(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"))
    assert not parallel.is_loss(ValueError("lr"))


def test_processes_that_differ_are_named(monkeypatch):
    def gather(mine):
        other = mine.copy()
        other[1] += 1
        return [mine, mine, other]

    monkeypatch.setattr(parallel.processes.multihost_utils, "process_allgather", gather)
    with pytest.raises(
        ValueError, match=r"in their flags: process 2 has another seed. Give all of them the same flags"
    ):
        parallel.check_same({"lr": 0.1, "seed": 3}, "flags")
