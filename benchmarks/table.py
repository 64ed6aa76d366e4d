"""The results in benchmarks/README.md, generated from benchmarks/results.

    python -m benchmarks.table            # writes the tables between the two marker comments
    python -m benchmarks.table --check    # fails if they are not up to date

One table per device and benchmark; of several measurements of one setting (benchmark, workload, library, options,
malloc) the last.
"""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks import common

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- results: written by python -m benchmarks.table -->", "<!-- end of the results -->"


def _spread(row: dict[str, Any]) -> str:
    return f"{row['median_ms']:g} ({row['min_ms']:g}-{row['max_ms']:g}, n = {row['n']})"


def _ratios(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: ", ".join(f"{r:.2f} ({against})" for against, r in row[name].items()) or "1"


COLUMNS: dict[str, tuple[str, Callable[[dict[str, Any]], str] | None]] = {
    "median_ms": ("time [ms]", _spread),
    "cpu_ms": ("CPU time of a step [ms]", None),
    "p90_ms": ("90th percentile [ms]", None),
    "ratios": ("times ours", _ratios("ratios")),
    "trace_s": ("trace [s]", None),
    "compile_s": ("compile [s]", None),
    "temporary_mb": ("XLA temporaries [MB]", None),
    "argument_mb": ("arguments [MB]", None),
    "output_mb": ("outputs [MB]", None),
    "all_reduce_mb": ("all-reduce [MB]", None),
    "other_collectives": ("other collectives", None),
    "process_peak_mb": ("process peak [MB]", None),
    "peak_ratios": ("times our peak", _ratios("peak_ratios")),
    "device_peak_mb": ("device peak [MB]", None),
    "images_per_s": ("images/s", None),
    "image_steps_per_s": ("images x steps/s", None),
    "compilations": ("compilations", None),
    "compute_ms": ("operations at least [ms]", None),
    "memory_ms": ("bytes at least [ms]", None),
    "measured_ms": ("measured [ms]", None),
    "times_floor": ("times the floor", None),
    "products_ms": ("products at full speed [ms]", None),
    "times_full_speed": ("times full speed", None),
    "short_epoch_s": ("short epoch [s]", None),
    "epoch_s": ("epoch [s]", None),
    "evaluation_s": ("evaluation [s]", None),
    "epochs": ("epochs", None),
    "steps": ("steps", None),
    "validation_accuracy": ("validation accuracy", None),
    "test_accuracy": ("test accuracy", None),
    "population_s": ("in one program [s]", None),
    "runs_s": ("one by one [s]", None),
    "equal": ("networks of equal accuracy", None),
    "largest_difference": ("largest difference of accuracy", None),
    "failed": ("failed", None),
}
"""Result fields in the order of their columns: the header, and how to write it if not as it is."""


def latest(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last row of each setting, in the order in which the settings first appeared."""
    return list({common.key(row): row for row in rows}.values())


def table(rows: list[dict[str, Any]]) -> str:
    """Rows of one benchmark as a Markdown table, and what they were made with."""
    fields = [name for name in COLUMNS if any(name in row for row in rows)]
    lines = [["workload", "library", "options", "malloc", *(COLUMNS[name][0] for name in fields), "date", "commit"]]
    lines.append(["---"] * len(lines[0]))
    for row in rows:
        options = ", ".join(f"{name} = {value}" for name, value in row["options"].items())
        cells = [_cell(row, name) for name in fields]
        head = [row["workload"], row["library"], options, row["malloc"]]
        lines.append([*head, *cells, row["date"].split()[0], row["commit"]])
    made = sorted({f"{package} {version}" for row in rows for package, version in row["versions"].items()})
    machine = sorted({f"{row['cores']} cores, Python {row['python']}" for row in rows})
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{'; '.join(machine)}; {', '.join(made)}."


def _cell(row: dict[str, Any], name: str) -> str:
    if name not in row:
        return ""
    write = COLUMNS[name][1]
    text = write(row) if write else str(row[name])
    return text.replace("|", "/").replace("\n", " ")


def document(results: Path) -> str:
    """All tables, between the marker comments."""
    parts = []
    for path in sorted(results.glob("*/*.jsonl")):
        parts.append(f"### {path.stem}, {path.parent.name}\n\n{table(latest(common.read(path)))}")
    return "\n\n".join([BEGIN, *parts, END])


def replaced(text: str, tables: str) -> str:
    """The text with new tables.

    Raises:
      ValueError: if it does not have the two markers.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README must hold the two lines {BEGIN!r} and {END!r}")
    return before + tables + after


def main(arguments: list[str] | None = None, readme: Path = README, results: Path = common.RESULTS) -> None:
    """Writes the tables, or checks them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if the README is not up to date")
    flags = parser.parse_args(arguments)
    old = readme.read_text(encoding="utf-8")
    new = replaced(old, document(results))
    if flags.check and new != old:
        raise SystemExit(f"{readme} is not up to date: run python -m benchmarks.table")
    if not flags.check:
        readme.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
