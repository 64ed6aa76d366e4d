"""Commands under attack: stopped at any moment, without output, with errors of a user's own module, without extras."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from jaxsnn import parallel, startup, training
from jaxsnn.lab import environment, run
from tests.experiments.test_run import FLAGS, ROOT, command, small

LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")


def handles(process, number):
    """Whether the process has a handler for a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return int(caught, 16) >> number - 1 & 1


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)


@LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("later", [0, pytest.param(0.5, marks=pytest.mark.thorough)])
def test_stopped_before_anything_is_imported(tmp_path, number, later):
    """A word, status 130, no traceback and no crash; as soon as Python has begun to import the package."""
    call = command(*FLAGS, f"--run_dir={tmp_path / 'run'}")
    process = subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: handles(process, signal.SIGTERM), process)
    time.sleep(later)
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "", "\nstopped\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
def test_stopped_twice_in_training_and_without_output(tmp_path):
    """Started with its error output closed and its output nowhere: it trains, stops, and nothing is damaged."""
    flags = [*FLAGS, "--epochs=100000", f"--run_dir={tmp_path / 'run'}"]
    out, write = os.pipe()
    os.close(out)
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command(*flags)]
    process = subprocess.Popen(closed, cwd=ROOT, stdout=write)
    os.close(write)
    metrics = tmp_path / "run" / "seed0" / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and b'"epoch": 2' in metrics.read_bytes(), process)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert all(line.startswith(b"{") for line in metrics.read_bytes().splitlines())


MODULE = """
import sys
from jaxsnn.lab.command import command

def body():
    if "deep" in sys.modules["__main__"].__dict__.get("how", "deep"):
        import jax.numpy as jnp
        jnp.zeros(3).reshape(2)
    raise ValueError("a sentence of the user's own")

how = "HOW"
command(body)
"""


@pytest.mark.parametrize(
    ("how", "module"), [("own", True), pytest.param("own", False, marks=pytest.mark.thorough), ("deep", True)]
)
def test_errors_of_the_users_own_module_are_sentences(tmp_path, how, module):
    """Not those of other packages: their place is what one needs then."""
    (tmp_path / "mine.py").write_text(MODULE.replace("HOW", how), encoding="utf-8")
    call = [sys.executable, *(["-m", "mine"] if module else ["mine.py"])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert ("Traceback" in done.stderr) == (how == "deep")
    if how == "own":
        assert done.stderr == "error: a sentence of the user's own\n"


def test_figures_without_matplotlib_are_refused_before_the_training(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('no module')", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    flags = [flag for flag in FLAGS if "figures" not in flag]
    call = command(*flags, f"--run_dir={tmp_path / 'run'}")
    done = subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: figures need matplotlib: pip install")
    assert not (tmp_path / "run").exists()


def glibc():
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError):
        return False


@pytest.mark.skipif(not glibc(), reason="glibc alone has these settings")
@pytest.mark.parametrize("given", [None, "", "glibc.malloc.check=0"])
def test_commands_set_malloc_unless_the_user_did(tmp_path, given):
    """In the process that was started: its number, arguments and other variables are the same."""
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    environment |= {} if given is None else {"GLIBC_TUNABLES": given}
    call = [sys.executable, "-W", "ignore", *command(*FLAGS, f"--run_dir={tmp_path / 'run'}")[1:]]
    process = subprocess.Popen(call, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: handles(process, signal.SIGTERM), process)
    of_process = Path(f"/proc/{process.pid}")
    found = (of_process / "environ").read_text(encoding="utf-8")
    started = (of_process / "cmdline").read_text(encoding="utf-8").split("\0")[:-1]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    environment |= {"GLIBC_TUNABLES": startup.MALLOC if given is None else given}
    expected = "\0".join(f"{name}={value}" for name, value in environment.items())
    parts = [set(text.replace("\0", ":").split(":")) - {""} for text in (found, expected)]  # glibc ends settings by \0
    assert parts[0] == parts[1]
    assert started == call


@pytest.mark.parametrize("libc", ["musl 1.2", None, ValueError("unknown name")])
def test_elsewhere_malloc_is_left_alone(libc, monkeypatch):
    def confstr(name):
        if isinstance(libc, Exception):
            raise libc
        return libc

    monkeypatch.setattr(startup.os, "confstr", confstr, raising=False)
    assert startup.with_malloc({"HOME": "x"}) is None
    monkeypatch.delattr(startup.os, "confstr")
    assert startup.with_malloc({"HOME": "x"}) is None


class Broken(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text=""):
        raise self.error

    flush = write


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(28, "full"), ValueError("closed file")])
def test_output_that_cannot_be_written_is_dropped(error, monkeypatch):
    replaced = []
    monkeypatch.setattr(startup.os, "dup2", lambda new, number: replaced.append(number))
    stream = startup.Steady(Broken(error), 77)
    assert stream.write("text") == 4
    print("text", file=stream, flush=True)
    assert set(replaced) == {77}


def test_output_in_another_encoding_is_escaped():
    bytes_ = io.BytesIO()
    stream = startup.Steady(io.TextIOWrapper(bytes_, encoding="ascii"), 1)
    print("± ü \udcff", file=stream, flush=True)
    assert bytes_.getvalue() == b"\\xb1 \\xfc \\udcff\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["python", "-m", "jaxsnn.lab.sweep", "--x"], True),
        (["python", "-W", "ignore", "-m", "experiments.digits"], True),
        (["python", "-m", "jaxsnn.labels"], False),
        (["python", "-m", "pytest", "-m", "jaxsnn.lab"], False),
        (["python", "script.py"], False),
        (["python"], False),
    ],
)
def test_which_programs_are_commands(arguments, expected, monkeypatch):
    """A library that is imported leaves signals and streams alone."""
    monkeypatch.setattr(sys, "orig_argv", arguments)
    monkeypatch.setattr(sys, "argv", ["-m"])
    assert startup.is_command(("jaxsnn.lab", "experiments")) == expected
    monkeypatch.setattr(sys, "argv", ["/some/file.py"])
    assert not startup.is_command(("jaxsnn.lab", "experiments"))


def test_a_gain_that_saturates_the_input_is_named():
    pixels = np.linspace(-1, 1, 201)
    assert run.check_gain(pixels, 1.0) == run.check_gain(pixels, 0.5) == []
    assert run.check_gain(pixels, 2.0) == [
        "a gain of 2 saturates 50% of the pixels, which then spike at every step however bright they are: use a gain "
        "of 1 or less"
    ]


def test_a_gain_is_looked_at_before_training(monkeypatch, capsys):
    config = small("", run_dir="", gain=3.0)
    data = run.load_data(config)
    monkeypatch.setattr(run.analysis, "activity", lambda *args, **options: None)
    monkeypatch.setattr(run.analysis, "warnings", lambda found: [])
    program, sets = run.build(config, data), run.split(config, data)
    run.check_activity(config, program, sets, run.first_state(config, program, sets, 0))
    assert "warning, before training: a gain of 3 saturates" in capsys.readouterr().err


def test_processes_that_compute_other_numbers_are_noticed(monkeypatch):
    """At every evaluation, by the parameters themselves; before, by versions, sources and the program."""

    def gather(mine):
        return [mine, mine + (np.arange(len(mine)) == 1).astype(mine.dtype)]

    monkeypatch.setattr(parallel.processes.multihost_utils, "process_allgather", gather)
    params = {"conv1": {"kernel": np.ones(2)}, "fc1": {"kernel": np.ones(3)}}
    state = training.init_state(jax.tree.map(jax.numpy.asarray, params), {}, optax.sgd(0.1), 0)
    with pytest.raises(ValueError, match=r"in their parameters after step 0: process 1 has another fc1.kernel. Their"):
        run.check_parameters(state)
    monkeypatch.setattr(parallel.processes.multihost_utils, "process_allgather", lambda mine: [mine, mine])
    run.check_parameters(state)


def test_the_code_of_a_process_is_its_versions_sources_and_program(tmp_path, monkeypatch):
    before = environment.code()
    assert before == environment.code()
    assert {"jaxsnn", "program", "version of python", "version of jax"} <= before.keys()
    package = shutil.copytree(environment.PACKAGE, tmp_path / "jaxsnn")
    monkeypatch.setattr(environment, "PACKAGE", package)
    assert environment.code() == before
    with (package / "lab" / "run.py").open("a", encoding="utf-8") as file:
        file.write("#")
    assert {name for name, value in environment.code().items() if value != before[name]} == {"jaxsnn"}
