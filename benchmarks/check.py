"""Has our speed or memory become worse, relative to other libraries and to what the machine can do?

    python -m benchmarks.check                          # the latest run against the one before it
    python -m benchmarks.check --baseline=FILE.jsonl    # against the last rows of a file of such rows

Compares ours over theirs (time and process peak) in the rows of `benchmarks.peers` and `benchmarks.neuron`, and, in
those of `benchmarks.train_step`, the time of a step over that of the machine's full speed, and XLA's temporaries. Ends
with code 1 and one line per setting if a ratio has grown by more than `--tolerance` (20 %). `make bench` runs it on
the rows that it adds.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import common

BENCHMARKS = ("peers", "neuron", "train_step")
RATIOS = {"ratios": "time", "peak_ratios": "process peak"}
OWN = {"times_full_speed": "time, in times full speed", "temporary_mb": "XLA temporaries [MB]"}


def compare(old: dict[str, Any], new: dict[str, Any], tolerance: float) -> Iterator[str]:
    """What has become worse between two rows of one library: theirs over ours is what the rows hold."""
    for field, what in OWN.items():
        if field in old and field in new and new[field] > (1 + tolerance) * old[field]:
            yield (
                f"{new['benchmark']} {new['workload']} {new['malloc']} {new['options']}: {what} {old[field]:g} -> "
                f"{new[field]:g} ({new[field] / old[field] - 1:+.0%}, commit {old['commit']} -> {new['commit']})"
            )
    for field, what in RATIOS.items():
        for against, before in old.get(field, {}).items():
            after = new.get(field, {}).get(against)
            if after is not None and before / after > 1 + tolerance:
                name = f"{new['benchmark']} {new['workload']} {new['malloc']}, jaxsnn {against} / {new['library']}"
                yield (
                    f"{name} {new['options'] or ''}: {what} {1 / before:.2f} -> {1 / after:.2f} "
                    f"({before / after - 1:+.0%}, commit {old['commit']} -> {new['commit']})"
                )


def worse(
    rows: Sequence[dict[str, Any]], baseline: Sequence[dict[str, Any]], tolerance: float
) -> tuple[int, list[str]]:
    """Number of settings compared, and what has become worse; without a baseline, against the row before."""
    history: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if "failed" not in row and row["benchmark"] in BENCHMARKS:
            history.setdefault(common.key(row), []).append(row)
    reference = {common.key(row): row for row in baseline if "failed" not in row}
    pairs = []
    for key, found in history.items():
        if baseline and key in reference:
            pairs.append((reference[key], found[-1]))
        elif not baseline and len(found) > 1:
            pairs.append((found[-2], found[-1]))
    pairs = [(old, new) for old, new in pairs if new.get("ratios") or any(name in new for name in OWN)]
    return len(pairs), [line for old, new in pairs for line in compare(old, new, tolerance)]


def main(arguments: list[str] | None = None, results: Path = common.RESULTS) -> None:
    """Compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", type=Path, help="file of rows to compare with instead of the run before")
    parser.add_argument("--device", default="cpu-cpu", help="folder of the results")
    parser.add_argument("--tolerance", type=float, default=0.2, help="how much worse is still good")
    parser.add_argument("--benchmark", choices=BENCHMARKS, help="whose rows; all three if not given")
    flags = parser.parse_args(arguments)
    names = [flags.benchmark] if flags.benchmark else BENCHMARKS
    paths = [results / flags.device / f"{name}.jsonl" for name in names]
    rows = [row for path in paths if path.exists() for row in common.read(path)]
    baseline = common.read(flags.baseline) if flags.baseline else []
    compared, lines = worse(rows, baseline, flags.tolerance)
    if lines:
        raise SystemExit("worse than before:\n" + "\n".join(lines))
    print(f"{compared} settings compared, none worse by more than {flags.tolerance:.0%}")


if __name__ == "__main__":
    main()
