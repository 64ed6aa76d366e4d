"""Records of finished runs, sweeps and scores, made from what they left: for `experiments.publish`."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.tables import Record
from jaxsnn.lab import run_folder
from jaxsnn.lab.convert import comparison
from jaxsnn.lab.environment import portable
from jaxsnn.lab.groups import RunConfig
from jaxsnn.lab.results import spent
from jaxsnn.training import MetricsFile

UNTOLD = {f.name for f in dataclasses.fields(RunConfig)} - {"seeds"} | {"cache_dir", "out"}
"""Flags that change no number, left out of the command of a record."""


def of_runs(
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
        **({} if (conversion := _conversion(folders[0], device)) is None else {"conversion": conversion}),
        "runs": rows,
        "curves": curves,
        **_origin(start, device),
    }


def of_sweep(folder: Path, title: str, *, device: str = "", note: str = "") -> Record:
    """What is kept of a finished sweep.

    Raises:
      ValueError: if it has not ended, or is not of two fields.
    """
    if not (folder / "summary.json").exists():
        raise ValueError(f"{folder} has no summary.json: let the sweep end first")
    summary = run_folder.read_json(folder / "summary.json")
    if len(summary["axes"]) != 2:
        fields = ", ".join(name for name, _ in summary["axes"])
        raise ValueError(f"{folder} is a sweep of {fields}: a table needs two fields")
    return {
        "title": title,
        "command": _told(summary["command"]),
        "note": note,
        "dataset": run_folder.read_json(folder / "sweep.json")["config"]["data"]["dataset"],
        "sweep": {key: summary[key] for key in ("axes", "settings")},
        **_origin(summary, device),
    }


def of_score(file: Path, title: str, *, device: str = "", note: str = "") -> Record:
    """What is kept of a graph's score, from the file that `experiments.score --out=...` wrote.

    Raises:
      ValueError: if it is no such file.
    """
    found = run_folder.read_json(file)
    kept = ("graph", "reset", "part", "samples", "accuracy", "seconds_per_sample", "time_steps")
    if missing := [key for key in kept if key not in found]:
        raise ValueError(f"{file} is no result of python -m experiments.score --out=...: it has no {missing[0]}")
    return {
        "title": title,
        "command": _told(re.sub(r"--graph=\S+", f"--graph={found['graph']}", found["command"])),
        "note": note,
        "dataset": found["dataset"],
        "score": {key: found[key] for key in kept},
        **_origin(found, device),
    }


def _origin(environment: Record, device: str) -> Record:
    """Date, commit, device and versions."""
    kept = {key: environment[key] for key in ("commit", "python", "versions")}
    return {"date": environment["date"].split()[0], "device": device or environment["device"], **kept}


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


def _conversion(folder: Path, device: str) -> Record | None:
    """The table that `experiments.convert` wrote, and where it comes from; None without one."""
    if not (folder / "convert.json").exists():
        return None
    found = run_folder.read_json(folder / "convert.json")
    table = {"samples": found["samples"], "lines": comparison.lines(found)}
    return {"command": _told(found["command"]), **table, **_origin(found, device)}
