"""Everything that a GPU has to say, in one command: does every recipe run, how fast, and beside SpikingJelly?

    python -m benchmarks.gpu --list                              # the cases in their order; runs nothing
    python -m benchmarks.gpu --data_dir=FOLDER                   # 25 minutes; the same command again goes on
    python -m benchmarks.gpu --only=peers:W1,neuron,train_step   # a case and two stages, in this order
    python -m benchmarks.gpu --toy                               # every stage at toy size, on a CPU

Each case runs one of the other benchmarks in a process of its own, for so long at most; `<out>/results.jsonl` gets
its rows (those of that benchmark, with stage, case and device) as soon as they are there. A case that fails or runs out
of time leaves a row that says why, and the others go on. A case that has a row of the same commit and device is not run
again; one that failed is, after all others. At the end `<out>/table.md` shows all rows.

The libraries that `peers` and `neuron` compare with are those of this Python, or else of `make peers`.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import experiments
from benchmarks import common, table

IMPLEMENTATIONS = ("triton", "cuda", "torch")
"""SpikingJelly's kernels of neurons, each where it can be had."""
SHORTEST = 15.0
"""Seconds that must be left for a case to be begun."""
GRACE = 20.0
"""Seconds that a process gets to save and end when its time is over."""


class Job(NamedTuple):
    """One process: a benchmark that measures one case, or several one after the other."""

    stage: str
    cases: tuple[str, ...]
    command: Callable[[Sequence[str]], list[str]]
    """Cases to the module and its flags; of several cases the rows have them as their workloads."""
    limit: float = 200.0
    """Seconds for each case."""
    lasting: bool = False
    """Whether it takes all the time that is left, and goes on at every call."""
    lacks: str = ""
    """Why it cannot run here."""


def jobs(flags: argparse.Namespace) -> list[Job]:
    """Those of `--only` in its order, or all in the order of what they are worth."""
    toy = flags.toy
    python, libraries, missing = _libraries(toy)
    name = "{}, ours alone" if missing else "{}"
    compared = [f"--python={python}", f"--threads={os.cpu_count()}", "--resident=16"]
    compared += [f"--rounds={1 if toy else 20}", "--timeout=120", "--malloc=default"]
    data = [f"--data_dir={flags.data_dir}", f"--cache_dir={flags.cache_dir}"]
    size = ["--toy"] if toy else []

    def one(stage: str, case: str, *command: str, **options: Any) -> Job:
        return Job(stage, (case,), lambda _: list(command), **options)

    def smoke() -> Iterator[Job]:
        presets = ("randman", "own") if toy else tuple(experiments.presets())
        yield Job("smoke", presets, lambda left: ["benchmarks.presets", f"--presets={','.join(left)}", *size])

    def beside(stage: str, workload: str, others: Sequence[str], *flags: str) -> Job:
        chosen = ",".join(others[:1] if toy else others)
        command = [f"benchmarks.{stage}", f"--workload={workload}", f"--libraries={chosen}", *flags, *compared]
        return one(stage, name.format(workload), *command)

    def peers() -> Iterator[Job]:
        if missing:
            yield one("peers", "spikingjelly", lacks=missing)
        others = [*libraries, "spikingjelly:dtype=bfloat16"] if libraries else []
        for workload, rule in _networks(toy):
            yield beside("peers", workload, others, f"--rule={rule}", "--ours=chunk0,chunk0-bf16")

    def neuron() -> Iterator[Job]:
        others = [*libraries, "spikingjelly:dtype=bfloat16", "hand_written"] if libraries else []
        rules = "spikebp" if toy else "spikebp,arctan,spikebp:dtype=bfloat16,arctan:dtype=bfloat16"
        for workload in ("tiny-neurons",) if toy else ("W3", "W3-T16", "W3-T32"):
            yield beside("neuron", workload, others, f"--rules={rules}")

    def train_step() -> Iterator[Job]:
        for workload, rule in _networks(toy):
            for dtype, kernel in (("float32", ""), ("float32", "-pallas"), ("bfloat16", "")):
                yield one(
                    *("train_step", f"{workload} {dtype}{kernel}", "benchmarks.train_step", f"--workload={workload}"),
                    *(f"--rule={rule}{kernel}", f"--dtype={dtype}", f"--repeats={1 if toy else 20}"),
                )

    def epoch() -> Iterator[Job]:
        for preset in ("cifar10_fast",) if toy else ("cifar10_fast", "cifar10_fast_wide"):
            lacks = "" if preset in experiments.presets() else "there is no such preset"
            for steps in (1,) if toy else (10, 1):
                yield one(
                    *("epoch", f"{preset} by {steps}", "benchmarks.presets", f"--presets={preset}", *data, *size),
                    *(f"--epochs={1 if toy else 3}", f"--samples={40 if toy else 50000}"),
                    f"--steps_per_dispatch={steps}",
                    lacks=lacks,
                )

    def paper() -> Iterator[Job]:
        preset = "own" if toy else "cifar10_vgg9"
        folder = Path(flags.out).absolute() / preset
        run = [f"--run_dir={folder}", "--steps_per_dispatch=10", f"--minutes={flags.minutes}"]
        lacks = "" if flags.data_dir or toy else "no data: give --data_dir"
        command = ["benchmarks.presets", f"--presets={preset}", *run, *data, *size, *(["--samples=40"] if toy else [])]
        yield one("paper", preset, *command, lasting=True, lacks=lacks)

    stages = {made.__name__: made for made in (smoke, peers, neuron, train_step, epoch, paper)}
    found = []
    for entry in flags.only.split(",") if flags.only else stages:
        stage, _, wanted = entry.partition(":")
        made = list(stages[stage]()) if stage in stages else []
        chosen = [
            (job, [case for case in job.cases if not wanted or re.split("[ ,]", case)[0] == wanted]) for job in made
        ]
        some = [job._replace(cases=tuple(cases)) for job, cases in chosen if cases]
        if not some:
            raise SystemExit(
                f"--only takes {', '.join(stages)}, or cases of --list as peers:W1, separated by commas, got {entry!r}"
            )
        found += some
    return found


def _networks(toy: bool) -> tuple[tuple[str, str], ...]:
    """Workloads with our rule, what is worth most first."""
    if toy:
        return (("tiny", "spikebp"),)
    spiking = [(name, "spikebp") for name in ("W1", "W2", "W2-T100-B16")]
    return (*spiking[:2], ("W4", "arctan"), spiking[2], ("W5", "arctan"))


def _libraries(toy: bool) -> tuple[str, list[str], str]:
    """The Python of the other libraries, what is compared, and why nothing is; a CPU's times are none of a GPU."""
    code = "import spikingjelly, torch; assert " + ("True" if toy else "torch.cuda.is_available()")
    here = all(importlib.util.find_spec(name) for name in ("torch", "spikingjelly"))
    for python, there in ((sys.executable, here), (str(common.PEERS), common.PEERS.exists())):
        if there and not subprocess.run([python, "-c", code], capture_output=True, check=False).returncode:
            return python, [f"spikingjelly:implementation={name}" for name in IMPLEMENTATIONS], ""
    return sys.executable, [], "not installed: spikingjelly and torch" + ("" if toy else " for CUDA")


class Results:
    """The rows of a folder, and which cases need not be run again."""

    def __init__(self, out: Path, device: str):
        self.path, self.device = out / "results.jsonl", device
        commit = common.commit()
        self.version = f"{commit}-{common.sources()}" if commit.endswith("-dirty") else commit
        out.mkdir(parents=True, exist_ok=True)
        self.rows = common.read(self.path) if self.path.exists() else []

    def add(self, job: Job, case: str, row: Mapping[str, Any]) -> None:
        """Appends one row."""
        row = {"stage": job.stage, "case": case, "device": self.device, **row, "commit": self.version}
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"  {_told(row)}", flush=True)

    def fail(self, job: Job, case: str, reason: str) -> None:
        """Appends the row of a case that has none."""
        self.add(job, case, common.row("gpu", case, "jaxsnn", {}, {"failed": reason}))

    def rows_of(self, job: Job, case: str) -> list[dict[str, Any]]:
        """Those of this commit and device."""
        here = {"stage": job.stage, "case": case, "device": self.device, "commit": self.version}
        return [row for row in self.rows if here.items() <= row.items()]

    def done(self, job: Job, case: str) -> bool:
        """Whether something was measured."""
        return not job.lasting and any("failed" not in row for row in self.rows_of(job, case))

    def table(self) -> str:
        """All rows in Markdown, a table for each device and stage; a failure that was mended is left out."""
        parts = []
        for device, stage in dict.fromkeys((row["device"], row["stage"]) for row in self.rows):
            rows = [row for row in self.rows if (row["device"], row["stage"]) == (device, stage)]
            mended = {row["case"] for row in rows if "failed" not in row}
            rows = [row for row in rows if not (_is_whole_failure(row) and row["case"] in mended)]
            parts.append(f"## {stage}, {device}\n\n{table.table(table.latest(rows))}\n")
        return "\n".join(parts)


def _is_whole_failure(row: Mapping[str, Any]) -> bool:
    """Whether the case itself failed, not one of the libraries that it compares."""
    return "failed" in row and row["library"] == "jaxsnn" and not row["options"]


def _told(row: Mapping[str, Any]) -> str:
    name = " ".join([row["workload"], row["library"], *(f"{n}={v}" for n, v in row["options"].items())])
    for field, unit in (("failed", ""), ("epoch_s", "s/epoch"), ("median_ms", "ms"), ("images_per_s", "images/s")):
        if field in row:
            return f"{name}: {row[field]} {unit}".rstrip()
    return name


def run(job: Job, left: list[str], seconds: float, results: Results) -> str:
    """Runs a process until it ends, or took too long for a case; rows are added as they come, their cases removed.

    Args:
      job: what is run.
      left: its cases without a row, in their order; those that get one are removed.
      seconds: until all must end.
      results: where rows go.

    Returns:
      Why it ended, "" if by itself and well.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as said:
        command = [sys.executable, "-m", *job.command(left), f"--results={folder}"]
        paths = filter(None, (str(common.ROOT), os.environ.get("PYTHONPATH", "")))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        process = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        seen, began, alone, reason = 0, time.monotonic(), len(job.cases) == 1, ""
        last = began

        def collect() -> None:
            nonlocal seen, last
            texts = (path.read_text(encoding="utf-8") for path in Path(folder).glob("*/*.jsonl"))
            lines = [line for text in texts for line in text.splitlines(keepends=True)]
            for line in lines[seen:]:
                if not line.endswith("\n"):
                    break
                row = json.loads(line)
                case = job.cases[0] if alone else row["workload"]
                results.add(job, case, row)
                if case in left:
                    left.remove(case)
                seen, last = seen + 1, time.monotonic()

        try:
            while process.poll() is None and not reason:
                now = time.monotonic()
                if now - began > seconds:
                    reason = f"the time was over after {now - last:.0f} s"
                elif now - last > job.limit and not job.lasting:
                    reason = f"took longer than {job.limit:g} s"
                time.sleep(0.2)
                collect()
        finally:
            _end(process)
        collect()
        if not reason and process.returncode:
            said.seek(0)
            lines = said.read().strip().splitlines()[-1:]
            reason = " ".join([f"ended with code {process.returncode}:", *lines])[:300]
        return reason


def _end(process: subprocess.Popen) -> None:
    """Asks the process to end; ends it and all that it started if it takes too long."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    with contextlib.suppress(ProcessLookupError):  # of a process that is no more, what it left behind
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_all(todo: Sequence[Job], results: Results, seconds: float) -> None:
    """Runs the cases that have no result, those that failed before after all others, until the time is over."""
    end = time.monotonic() + seconds

    def open_cases(job: Job) -> list[str]:
        cases = [case for case in job.cases if not results.done(job, case)]
        return sorted(cases, key=lambda case: bool(results.rows_of(job, case)))

    def is_later(job: Job) -> tuple[bool, bool]:
        return job.lasting, all(results.rows_of(job, case) for case in open_cases(job))

    for job in sorted(todo, key=is_later):
        left = open_cases(job)
        if job.lacks:
            for case in left:
                results.fail(job, case, job.lacks)
            continue
        while left:
            rest = end - time.monotonic() - (GRACE if job.lasting else 0)
            if rest < SHORTEST:
                print(f"{job.stage}: no time for {', '.join(left)}")
                break
            print(f"{job.stage}: {', '.join(left)}", flush=True)
            reason = run(job, left, rest, results)
            if left:
                results.fail(job, left.pop(0), reason or "gave no result")


def device() -> str:
    """The device that jax uses, found by a process of its own: this one must not hold its memory."""
    code = "from benchmarks import common; print(common.device())"
    found = subprocess.run([sys.executable, "-c", code], cwd=common.ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"jax has no device here:\n{found.stderr[-500:]}")
    return found.stdout.split()[-1]


def flags_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """The flags of the command line, or those given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--out", default="runs/gpu", help="folder of results.jsonl, table.md and the paper's run")
    parser.add_argument("--minutes", type=float, default=25, help="for all of it")
    parser.add_argument("--only", default="", help="these stages, or cases as peers:W1, in this order")
    parser.add_argument("--data_dir", default="", help="folder of prepared data sets; empty: random samples, no paper")
    parser.add_argument("--cache_dir", default="", help="folder of decoded data sets; empty for the user's")
    parser.add_argument("--toy", action="store_true", help="everything at toy size; runs on a CPU")
    parser.add_argument("--list", action="store_true", help="print the cases, run nothing")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Runs what is left, within the time, and writes the table."""
    flags = flags_of(arguments)
    todo = jobs(flags)
    if flags.list:
        print(*(f"{job.stage}: {', '.join(job.cases)}" for job in todo), sep="\n")
        return
    name = device()
    if not flags.toy and not name.startswith("gpu"):
        raise SystemExit(f"no GPU: jax has {name} alone. Install jaxsnn with [gpu], or try it by --toy")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the process in hand is ended
    results = Results(Path(flags.out), name)
    try:
        run_all(todo, results, 60 * flags.minutes)
    finally:
        path = results.path.with_name("table.md")
        path.write_text(results.table(), encoding="utf-8")
        print(f"wrote {results.path} and {path}")


if __name__ == "__main__":
    main()
