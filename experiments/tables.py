"""Records of finished runs as Markdown tables: for `experiments.publish`."""

from collections.abc import Sequence
from typing import Any

from jaxsnn.lab.convert.comparison import markdown

Record = dict[str, Any]


def accuracy(value: dict[str, Any]) -> str:
    """Percent, with the standard deviation over the runs if there are several."""
    return f"{100 * value['mean']:.2f}" + ("" if value["std"] is None else f" +- {100 * value['std']:.2f}") + " %"


def runs(r: Record) -> str:
    """How many, and what they differ in."""
    count, what = len(r["runs"]), r["runs_are"]
    return f"{count} {what if count > 1 else what.removesuffix('s')}"


def duration(rows: Sequence[dict[str, Any]]) -> str:
    """Of one run; smallest to largest of several."""
    seconds = sorted(row["seconds"] for row in rows)
    shortest, longest = seconds[0], seconds[-1]
    unit, scale = ("s", 1) if longest < 120 else ("min", 60)
    ends = dict.fromkeys(f"{value / scale:.0f}" for value in (shortest, longest))
    return f"{' to '.join(ends)} {unit}"


def few_steps(found: dict[str, Record]) -> str:
    """Accuracy by `init_rate` (columns) for every data set, network, device and number of steps measured so."""
    of: dict[tuple[str, str, str, int], dict[float, Record]] = {}
    for r in found.values():
        if "init_rate" in r:
            of.setdefault((r["dataset"], r["model"], r["device"], r["time_steps"]), {})[r["init_rate"]] = r
    rates = sorted({rate for cells in of.values() for rate in cells})
    lines = [["data, network", "T", *(f"`--init_rate={rate:g}`" for rate in rates), "runs", "device", "date", "commit"]]
    for (dataset, model, device, steps), cells in sorted(of.items()):
        one = next(iter(cells.values()))
        values = [accuracy(cells[rate]["test_accuracy"]) if rate in cells else "" for rate in rates]
        about = [runs(one), device, one["date"], one["commit"]]
        lines.append([f"{dataset}, {model}", str(steps), *values, *about])
    return markdown(lines)


def table(found: dict[str, Record], *, short: bool) -> str:
    """The records as a Markdown table: of the README, or of the page with everything."""
    found = {name: r for name, r in found.items() if "test_accuracy" in r and "init_rate" not in r}
    if short:
        lines = [["network and data", "test accuracy, last epoch", "time of a run", "device"]]
        for r in found.values():
            if r["readme"]:
                time = duration(r["runs"]) + (f", {r['note']}" if r["note"] else "")
                lines.append([r["title"], f"{accuracy(r['test_accuracy'])} ({runs(r)})", time, r["device"]])
    else:
        names = "name|command|T|epochs|runs|last epoch|chosen on validation|time of a run|device|date|commit"
        lines = [names.split("|")]
        for name, r in found.items():
            values = [accuracy(r[key]) for key in ("test_accuracy", "selected_test_accuracy")]
            time = duration(r["runs"]) + (f", {r['note']}" if r["note"] else "")
            shape = [r["time_steps"], r["epochs"], runs(r)]
            lines.append([name, f"`{r['command']}`", *shape, *values, time, r["device"], r["date"], r["commit"]])
    return markdown(lines)


def sweeps(found: dict[str, Record]) -> str:
    """Every sweep of two fields: accuracy by the first (rows) and the second (columns)."""
    parts = []
    for r in found.values():
        if "sweep" in r:
            (row, values), (column, others) = r["sweep"]["axes"]
            of = {(s[row], s[column]): s for s in r["sweep"]["settings"]}
            lines = [[row, *(f"{column} = {value}" for value in others)]]
            for value in values:
                settings = [of[value, other] for other in others]
                pairs = [{"mean": s["test_accuracy"], "std": s["test_accuracy_std"]} for s in settings]
                lines.append([value, *("diverged" if p["mean"] is None else accuracy(p) for p in pairs)])
            seeds = settings[0]["seeds"]
            parts.append(f"{r['title']}, {seeds} seeds, {told(r)}:\n\n{markdown(lines)}")
    return "\n\n".join(parts)


def conversions(found: dict[str, Record]) -> str:
    """A run's own network beside the one converted from its ReLU twin."""
    return "\n\n".join(
        f"Record `{name}`, the first {c['samples']} test samples, {told(r | c)}:\n\n{markdown(c['lines'])}"
        for name, r in found.items()
        if (c := r.get("conversion"))
    )


RESETS = {"value": "to a value", "subtract": "by subtraction"}
"""Flag `--reset_by` of `experiments.score`, in words."""


def scores(found: dict[str, Record]) -> str:
    """The accuracies of graphs that came from other tools."""
    lines: list[list[Any]] = [["graph", "samples", "reset", "accuracy", "seconds each", "origin"]]
    for r in found.values():
        if s := r.get("score"):
            value = f"{100 * s['accuracy']:.2f} %"
            part, seconds = f"{s['samples']:,}, {s['part']}", f"{s['seconds_per_sample']:.3f}"
            lines.append([f"`{s['graph']}`", part, RESETS[s["reset"]], value, seconds, told(r)])
    return markdown(lines)


def told(r: Record) -> str:
    """The origin of a table: command, device, date, commit."""
    note = f", {r['note']}" if r["note"] else ""
    return f"`{r['command']}` ({r['device']}{note}, {r['date']}, commit {r['commit']})"


COUNTED = {
    "synaptic operations alone, as the paper counts": ("int32", "float32"),
    "with one leak multiplication and one comparison per neuron and step": (
        "int32 with neurons",
        "float32 with neurons",
    ),
    "with every access to a memory of 32 kB too": ("int32 with memory",),
}
"""What is counted to the energies of a record (`lab.profile.ENERGIES`), of whole numbers and of float32."""


def energy(found: dict[str, Record], *, told: bool = False) -> str:
    """How many times the energy of a record's network the equal ReLU network needs, by what is counted.

    Args:
      found: records by name; those without energy are left out.
      told: whether the operations come before the table, in a sentence.
    """
    some = {name: r for name, r in found.items() if "energy" in r}
    lines: list[list[Any]] = [["counted", *(f"{name}, {table}" for name in some for table in ("int32", "float32"))]]
    for counted, names in COUNTED.items():
        each = [names[i] if i < len(names) else None for i in range(2)]
        ratios = [r["energy"]["ratios"][name] if name else None for r in some.values() for name in each]
        lines.append([counted, *("" if ratio is None else f"{ratio:.3g}" for ratio in ratios)])
    said = [
        f"One inference of `{name}` takes {r['energy']['accumulates'] / 1e6:.2f} million accumulates, the equal ReLU "
        f"network {r['energy']['multiply_accumulates'] / 1e6:.2f} million multiply-accumulates.\n"
        for name, r in some.items()
    ]
    return "\n".join([*(said if told else []), markdown(lines)])


def operations(found: dict[str, Record]) -> str:
    """What one inference of a record's network takes."""
    lines: list[list[Any]] = [["record", "accuracy", "T", "spikes, hidden", "SynOps", "MACs, ReLU", "steps"]]
    for name, r in found.items():
        if "energy" in r:
            e = r["energy"]
            share = f"{100 * e['accuracy']:.2f} % (of {e['samples']:,})"
            counts = [f"{e[key]:,.0f}" for key in ("spikes", "accumulates", "multiply_accumulates")]
            lines.append([f"`{name}`", share, r["time_steps"], *counts, f"{e['steps']:.2f}"])
    return markdown(lines)
