"""Resident worker processes, one per library, and their interleaved rounds."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmarks import common


class Subject(NamedTuple):
    """What to measure: a module of `benchmarks.peers` with options, in an environment."""

    library: str
    options: dict[str, Any]
    python: str = sys.executable
    slow: bool = False

    @property
    def name(self) -> str:
        """E.g. `jaxsnn rule=spikebp time_chunk=5`."""
        return " ".join([self.label, *(f"{name}={value}" for name, value in self.options.items())])

    @property
    def tag(self) -> str:
        """E.g. `spikebp time_chunk=5`."""
        return " ".join(v if isinstance(v, str) else f"{name}={v}" for name, v in self.options.items())

    @property
    def label(self) -> str:
        return {"ours": "jaxsnn", "hand_written": "torch by hand"}.get(self.library, self.library)


class WorkerError(RuntimeError):
    """A worker failed; the message names the library and ends with what it wrote to standard error."""


class Worker:
    """One resident process; see `benchmarks.peers.worker` for what it understands."""

    def __init__(self, subject: Subject, workload: str, *, malloc: str, threads: int, timeout: float):
        self.subject, self.timeout = subject, timeout
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        arguments = [subject.library, workload, json.dumps(subject.options), str(threads)]
        self.process = subprocess.Popen(
            [subject.python, "-m", "benchmarks.peers.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=common.ROOT,
            env=_environment(malloc),
        )

    def ask(self, request: str) -> dict[str, Any]:
        """Sends a request and waits for its answer.

        Raises:
          WorkerError: if the process ends or takes longer than the timeout (then it is killed).
        """
        assert self.process.stdin
        assert self.process.stdout
        alarm = threading.Timer(self.timeout, self.process.kill)
        alarm.start()
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            late = not alarm.is_alive()
            alarm.cancel()
        if answer:
            return json.loads(answer)
        code = self.process.wait()
        self.errors.seek(0)
        tail = "\n".join(self.errors.read().strip().splitlines()[-15:])
        why = f"gave no answer within {self.timeout:g} s" if late else f"ended with code {code}"
        raise WorkerError(f"{self.subject.name} {why}:\n{tail}")

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()


def _environment(malloc: str) -> dict[str, str]:
    kept = {n: v for n, v in os.environ.items() if n != "GLIBC_TUNABLES" and not n.startswith("MALLOC_")}
    paths = filter(None, (str(common.ROOT), os.environ.get("PYTHONPATH", "")))
    kept |= {"PYTHONPATH": os.pathsep.join(paths), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return kept | ({"GLIBC_TUNABLES": common.TUNED} if malloc == "tuned" else {})


class Measured(NamedTuple):
    """Milliseconds and what the worker says about itself, or why there are none."""

    times: list[float]
    about: dict[str, Any]
    failure: str = ""


def interleave(
    subjects: Sequence[Subject], workload: str, rounds: int, *, say: Callable[[str], object] = print, **options: Any
) -> dict[str, Measured]:
    """Runs all subjects resident at once, `rounds` times round-robin, one untimed step before each timed one.

    A worker that fails is reported, left out from then on, and has no times; the others go on.
    """
    workers = {subject.name: Worker(subject, workload, **options) for subject in subjects}
    found = {name: Measured([], {}) for name in workers}

    def attempt(name: str, action: Callable[[Worker], None]) -> None:
        if name not in workers:
            return
        try:
            action(workers[name])
        except WorkerError as error:
            say(str(error))
            first, *rest = str(error).splitlines()
            found[name] = Measured([], {}, " ".join([first, *rest[-1:]]))
            workers.pop(name).close()

    def warm(worker: Worker) -> None:
        first = worker.ask("step")
        say(f"  {worker.subject.name}: first step {first['ms'] / 1e3:.1f} s, loss {first['loss']:.5g}")

    def measure(worker: Worker) -> None:
        worker.ask("step")
        found[worker.subject.name].times.append(worker.ask("step")["ms"])

    def ask(worker: Worker) -> None:
        found[worker.subject.name].about.update(worker.ask("about"))

    try:
        for action in (warm, *[measure] * rounds, ask):
            for name in found:
                attempt(name, action)
    finally:
        for worker in workers.values():
            worker.close()
    return found
