"""The table of an ablation: accuracies by variant and seed, and differences seed by seed."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxsnn.lab.ablate.ablate import Job


def named(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items() if name not in ("which", "epochs"))


def summarise(wanted: list["Job"], which: str, done: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For every row: accuracies by variant and seed, and the differences to the first variant, seed by seed."""
    rows: list[dict[str, Any]] = []
    for job in wanted:
        key = job.key(which)
        result = next(row for row in done if key.items() <= row.items())
        if not rows or rows[-1]["row"] != job.row:
            rows.append({"row": job.row, "accuracy": {}, "difference": {}})
        rows[-1]["accuracy"].setdefault(job.variant, []).append(result["test_accuracy"])
    for row in rows:
        (_, reference), *others = row["accuracy"].items()
        row["difference"] = {variant: list(np.subtract(values, reference)) for variant, values in others}
    return rows


def show(rows: list[dict[str, Any]]) -> str:
    """Markdown: mean +- standard deviation over seeds, in per cent and in points."""
    first = next(iter(rows[0]["accuracy"]))
    heads = [*(name.replace("time_steps", "T") for name in rows[0]["row"]), *rows[0]["accuracy"]]
    heads += [f"{variant} - {first}" for variant in rows[0]["difference"]]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        numbers = [spread(v) for v in row["accuracy"].values()] + [spread(v, "+") for v in row["difference"].values()]
        lines.append(f"| {' | '.join([*map(str, row['row'].values()), *numbers])} |")
    return "\n".join(lines)


def spread(values: list[float], sign: str = "") -> str:
    text = f"{100 * np.mean(values):{sign}.2f}"
    return text if len(values) < 2 else f"{text} +- {100 * np.std(values, ddof=1):.2f}"
