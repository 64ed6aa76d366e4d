"""The published accuracies: records of finished runs in `results/`, and the tables and the figure made from them.

    python -m experiments.publish --run=runs/mnist --title="LeNet on MNIST, T = 20" --name=mnist_rule
    python -m experiments.publish           # writes README.md, docs/results.md and the figure anew from the records

`--run` takes several folders that differ in their seeds alone. No accuracy of the tables is typed by hand: a test
compares both pages with the records.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from jaxsnn import files
from jaxsnn.data import DATASETS
from jaxsnn.lab import run_folder
from jaxsnn.lab.command import command
from jaxsnn.lab.environment import portable
from jaxsnn.lab.groups import RunConfig
from jaxsnn.lab.results import spent
from jaxsnn.training import MetricsFile

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
PAGES = {"README.md": True, "docs/results.md": False}
"""Page to whether it shows the records marked for the README alone."""
BEGIN, END = "<!-- accuracies: written by python -m experiments.publish -->", "<!-- end of the accuracies -->"
FEW_BEGIN, FEW_END = "<!-- few steps: written by python -m experiments.publish -->", "<!-- end of few steps -->"
FIGURE, FIGURE_OF = "docs/images/cifar10_fast.png", "cifar10_fast"
UNTOLD = {f.name for f in dataclasses.fields(RunConfig)} - {"seeds"} | {"cache_dir"}
"""Flags that change no number, left out of the command of a record."""

Record = dict[str, Any]


def record(
    folders: Sequence[Path],
    title: str,
    *,
    device: str = "",
    note: str = "",
    readme: bool = False,
    few_steps: bool = False,
) -> Record:
    """What is kept of finished runs that differ in their seeds alone.

    Raises:
      ValueError: if a folder holds no finished run, or their configurations differ in more.
    """
    configs = [run_folder.read_config(folder) for folder in folders]
    bare = [
        dataclasses.replace(c, run=RunConfig()).replace(seed=0, data_dir="", cache_dir="", data="") for c in configs
    ]
    if any(config != bare[0] for config in bare):
        raise ValueError(f"{' and '.join(map(str, folders))} differ in more than their seeds: publish them one by one")
    rows: list[dict[str, Any]] = []
    curves = []
    for folder in folders:
        if not (folder / "results.json").exists():
            raise ValueError(f"{folder} has no results.json: let the training end first")
        for run in run_folder.read_json(folder / "results.json")["runs"]:
            rows.append(run)
            curves.append(_curve(MetricsFile(folder / run["run"] / "metrics.jsonl").read()))
    start, config = run_folder.environments(folders[0])[0], configs[0]
    values = {}
    for key in ("test_accuracy", "selected_test_accuracy"):
        of = np.array([row[key] for row in rows])
        values[key] = {"mean": of.mean(), "std": of.std(ddof=1) if len(of) > 1 else None, "n": len(of)}
    return {
        "title": title,
        "command": _told(start["command"]),
        "readme": readme,
        **({"init_rate": config.network.init_rate} if few_steps else {}),
        "note": note,
        "dataset": config.data.dataset,
        "model": config.network.model,
        "rule": config.network.rule,
        "time_steps": config.network.time_steps,
        "epochs": config.training.epochs,
        "runs_are": "folds" if config.data.folds > 1 else "seeds",
        **values,
        "runs": rows,
        "curves": curves,
        "date": start["date"].split()[0],
        "commit": start["commit"],
        "device": device or start["device"],
        "python": start["python"],
        "versions": start["versions"],
    }


def _told(text: str) -> str:
    """A command without the flags that change no number, and without the places of a machine."""
    parts = [part for part in portable(text).split() if _flag(part) not in UNTOLD]
    return " ".join(parts)


def _flag(part: str) -> str:
    name = part.removeprefix("--").partition("=")[0]
    return name.removeprefix("no") if name.removeprefix("no") in UNTOLD else name


def _curve(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Of every evaluated epoch the minutes until then, and both accuracies."""
    points = []
    for i, row in enumerate(rows):
        if "test_accuracy" in row:
            kept = {name: row[name] for name in ("epoch", "validation_accuracy", "test_accuracy")}
            points.append({"minutes": round(spent(rows[: i + 1]) / 60, 2), **kept})
    return points


def records() -> dict[str, Record]:
    """All records by name, in the order of the data sets."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*.json")}
    order = list(DATASETS)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[1]["dataset"]), item[0])))


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
    return _markdown(lines)


def table(found: dict[str, Record], *, short: bool) -> str:
    """The records as a Markdown table: of the README, or of the page with everything."""
    found = {name: r for name, r in found.items() if "init_rate" not in r}
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
    return _markdown(lines)


def _markdown(lines: list[list[Any]]) -> str:
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def page(name: str, text: str) -> str:
    """The text of a page with its table anew.

    Raises:
      ValueError: if the page has no place for it.
    """
    made = {(BEGIN, END): table(records(), short=PAGES[name])}
    if not PAGES[name]:
        made[FEW_BEGIN, FEW_END] = few_steps(records())
    for (begin, end), lines in made.items():
        found = re.findall(re.escape(begin) + ".*?" + re.escape(end), text, re.DOTALL)
        if len(found) != 1:
            raise ValueError(f"{name} has no lines {begin} and {end}, between which the table goes")
        text = text.replace(found[0], f"{begin}\n\n{lines}\n\n{end}")
    return text


def draw(r: Record, path: Path) -> None:
    """Test accuracy against the minutes of training."""
    from jaxsnn import viz

    minutes, accuracies = ([[point[key] for point in c] for c in r["curves"]] for key in ("minutes", "test_accuracy"))
    labels = [row["run"] for row in r["runs"]]
    viz.save(viz.accuracy_over_minutes(minutes, accuracies, labels, title=f"{FIGURE_OF}, {r['device']}"), path)


def main() -> None:
    """Parses flags, writes."""
    flags.DEFINE_list("run", [], "Folders of finished runs that differ in their seeds alone; none: only the pages.")
    flags.DEFINE_string("name", "", "Name of the record, results/<name>.json.")
    flags.DEFINE_string("title", "", "What the README calls it.")
    flags.DEFINE_string("device", "", "Where it was trained, in words; empty for what JAX says.")
    flags.DEFINE_string("note", "", "What belongs to the time, e.g. other work beside it.")
    flags.DEFINE_bool("readme", False, "Show it in the README too.")
    flags.DEFINE_bool("few_steps", False, "It belongs to the table of accuracy by init_rate.")

    def run() -> None:
        given = flags.FLAGS
        if given.run:
            if not given.name or not given.title:
                raise ValueError("give the record a --name and a --title")
            made = record(
                [files.local(folder) for folder in given.run],
                given.title,
                device=given.device,
                note=given.note,
                readme=given.readme,
                few_steps=given.few_steps,
            )
            RESULTS.mkdir(exist_ok=True)
            run_folder.write_json(RESULTS / f"{given.name}.json", made)
        if FIGURE_OF in records():
            draw(records()[FIGURE_OF], ROOT / FIGURE)
        for name in PAGES:
            text = (ROOT / name).read_text(encoding="utf-8")
            files.write_whole(ROOT / name, page(name, text))
            print(f"wrote {name}")

    command(run)


if __name__ == "__main__":
    main()
