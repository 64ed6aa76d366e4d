"""Ours against others, interleaved, in groups that fit into memory; the rows and the printed table."""

import argparse
import json
import signal
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.workers import Measured, Subject, interleave


def parser(documentation: str | None, workloads: Iterable[str]) -> argparse.ArgumentParser:
    """The options of a comparison."""
    made = common.parser(documentation)
    workloads = list(workloads)
    made.add_argument("--workload", default=workloads[0], choices=workloads, help="what to time")
    made.add_argument("--malloc", default="tuned", choices=("tuned", "default"), help="setting of every worker")
    made.add_argument("--rounds", type=int, default=9, help="timed steps of each library")
    made.add_argument("--slow_rounds", type=int, default=2, help="the same of slow libraries")
    made.add_argument("--resident", type=int, default=4, help="processes at a time")
    made.add_argument("--threads", type=int, default=2, help="cores for every worker")
    made.add_argument("--timeout", type=float, default=900, help="seconds that one answer may take")
    made.add_argument("--python", default=str(common.PEERS), help="the libraries' Python")
    return made


def subjects(names: str, python: str, slow: Sequence[str] = ()) -> list[Subject]:
    """`spikingjelly,norse:compiled=true` to subjects."""
    if names and not Path(python).exists():
        raise SystemExit(f"no {python}: run `make peers` first, or give --python or --libraries=''")
    found = []
    for entry in filter(None, names.split(",")):
        name, *options = entry.split(":")
        found.append(Subject(name, dict(map(_option, options)), python, name in slow))
    return found


def _option(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def groups(ours: Sequence[Subject], others: Sequence[Subject], resident: int) -> list[list[Subject]]:
    """Others in groups of what is left beside ours, slow ones by themselves."""
    size = max(1, resident - len(ours))
    found = []
    for slow in (False, True):
        same = [subject for subject in others if subject.slow == slow]
        found += [same[first : first + size] for first in range(0, len(same), size)]
    return found or [[]]


def run(benchmark: str, ours: Sequence[Subject], others: Sequence[Subject], flags: argparse.Namespace) -> None:
    """Measures group by group, ours in each; prints a table and appends the rows.

    Ratios compare medians within one group. Our own times are those of all groups together.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the workers are ended
    together: dict[str, list[Measured]] = {subject.name: [] for subject in ours}
    rows = []
    for group in groups(ours, others, flags.resident):
        rounds = flags.slow_rounds if any(subject.slow for subject in group) else flags.rounds
        print(f"{flags.workload}, malloc {flags.malloc}, {rounds} rounds:", flush=True)
        options = {"malloc": flags.malloc, "threads": flags.threads, "timeout": flags.timeout}
        found = interleave([*ours, *group], flags.workload, rounds, **options)
        for subject in ours:
            together[subject.name].append(found[subject.name])
        base = [(subject, found[subject.name]) for subject in ours]
        rows += [_row(benchmark, flags, subject, [found[subject.name]], base) for subject in group]
    rows = [_row(benchmark, flags, subject, together[subject.name], []) for subject in ours] + rows
    _print(rows)
    if flags.write:
        common.append(rows, flags.results)


def _row(
    benchmark: str,
    flags: argparse.Namespace,
    subject: Subject,
    measured: Sequence[Measured],
    base: Sequence[tuple[Subject, Measured]],
) -> dict[str, Any]:
    times = [time for one in measured for time in one.times]
    abouts = [one.about for one in measured if one.about]
    results: dict[str, Any] = {"malloc": flags.malloc, "threads": flags.threads}
    if not times or not abouts:
        results["failed"] = next((one.failure for one in measured if one.failure), "no step was run")
    else:
        results |= common.summary(times) | abouts[-1]
        for name in {"process_peak_mb", "device_peak_mb"} & abouts[-1].keys():
            results[name] = max(about[name] for about in abouts)
        timed = [(other.tag, found) for other, found in base if found.times]
        results["ratios"] = {
            name: round(statistics.median(times) / statistics.median(found.times), 3) for name, found in timed
        }
        results["peak_ratios"] = {
            name: round(results["process_peak_mb"] / found.about["process_peak_mb"], 3)
            for name, found in timed
            if found.about
        }
    return common.row(benchmark, flags.workload, subject.label, subject.options, results)


def _print(rows: Sequence[dict[str, Any]]) -> None:
    print(f"\n{'':44}{'step [ms]':>28}{'peak [MB]':>11}  of ours, time (peak)")
    for row in rows:
        name = " ".join([row["library"], *(f"{n}={v}" for n, v in row["options"].items())])
        if "failed" in row:
            print(f"{name:44}  failed: {row['failed']}")
            continue
        spread = f"{row['median_ms']:g} ({row['min_ms']:g}-{row['max_ms']:g})"
        peaks = row["peak_ratios"]
        against = ", ".join(f"{n}: {r:.2f} ({peaks.get(n, float('nan')):.2f})" for n, r in row["ratios"].items())
        print(f"{name:44}{spread:>28}{row['process_peak_mb']:11}  {against}")
