"""The published accuracies: records of finished runs in `results/`, and the tables and the figure made from them.

    python -m experiments.publish --run=runs/mnist --title="LeNet on MNIST, T = 20" --name=mnist_rule
    python -m experiments.publish           # writes README.md, docs/results.md and the figure anew from the records

`--run` takes several folders that differ in their seeds alone; of a folder in which `experiments.evaluate --which=last`
wrote its result, operations and energy are kept too. No accuracy of the tables is typed by hand: a test
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

from experiments import tables
from experiments.tables import Record
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
FIGURE, FIGURE_OF = "docs/images/cifar10_fast.png", "cifar10_fast"
ENERGY_OF = "mnist_lenet_small"
"""The record of which the README says the energy."""
UNTOLD = {f.name for f in dataclasses.fields(RunConfig)} - {"seeds"} | {"cache_dir"}
"""Flags that change no number, left out of the command of a record."""


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
        **({} if (energy := _energy(folders[0])) is None else {"energy": energy}),
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


def _energy(folder: Path) -> Record | None:
    """What one inference of the first network takes, from what `experiments.evaluate` wrote; None without it.

    Raises:
      ValueError: if it is of another part or epoch than the accuracies of a record.
    """
    if not (folder / "evaluation.json").exists():
        return None
    evaluation = run_folder.read_json(folder / "evaluation.json")
    network = evaluation["networks"][0]
    if (evaluation["part"], evaluation["which"]) != ("test", "last") or "analysis" not in network:
        raise ValueError(
            f"{folder / 'evaluation.json'} is of the {evaluation['part']} samples and the {evaluation['which']} epoch: "
            f"run python -m experiments.evaluate --run={folder} --which=last, or remove it"
        )
    of = network["analysis"]
    exits = [
        steps
        for a, steps in zip(of["early_exit"]["accuracy"], of["early_exit"]["steps"], strict=True)
        if a >= network["accuracy"]
    ]
    return {
        "accuracy": network["accuracy"],
        "samples": of["samples"],
        "spikes": sum(layer["spikes"] for name, layer in of["activity"].items() if name != "input"),
        "accumulates": of["energy"]["int32"]["synapses"]["acs"],
        "multiply_accumulates": of["energy"]["int32"]["synapses"]["dense"],
        "steps": min(exits),
        "ratios": {name: report["synapses"]["ratio"] for name, report in of["energy"].items()},
    }


def page(name: str, text: str) -> str:
    """The text of a page with its table anew.

    Raises:
      ValueError: if the page has no place for it.
    """
    known = records()
    made = {"accuracies": tables.table(known, short=PAGES[name])}
    if PAGES[name]:
        made["energy"] = tables.energy({n: r for n, r in known.items() if n == ENERGY_OF}, told=True)
    else:
        made |= {"few steps": tables.few_steps(known), "energy": tables.energy(known)}
        made |= {"operations": tables.operations(known)}
    for what, lines in made.items():
        begin, end = f"<!-- {what}: written by python -m experiments.publish -->", f"<!-- end of {what} -->"
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
