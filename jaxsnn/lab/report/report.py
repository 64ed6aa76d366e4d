"""The content of a run folder as a single page to look at and to send: `report.html`, and its figures as PNGs.

    python -m jaxsnn.lab.report --run=runs/mnist_lenet_small [--data_dir=...] [--sample=7]

The page opens from disk and loads nothing else. Curves and tables come from the folder; the sections that show the
network at work need a checkpoint and the data set too. The page names the parts that a folder does not hold (yet).
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from jaxsnn import files, training, viz
from jaxsnn.encoding import ENCODINGS
from jaxsnn.lab import run_folder
from jaxsnn.lab.command import command, define_run_flags
from jaxsnn.lab.config import Config
from jaxsnn.lab.evaluate import evaluate
from jaxsnn.lab.report import costs, inside, page, sections
from jaxsnn.lab.report.sample import Sample, look
from jaxsnn.lab.report.sections import Material, read
from jaxsnn.lab.results import scores
from jaxsnn.lab.stored import opened

NEEDED = {"run", "step", "accuracy_at_step", "confusion"}
"""The keys that the page needs of every network in `evaluation.json`."""


def report(folder: Path, *, data_dir: str = "", cache_dir: str = "", sample: int = 0) -> list[Path]:
    """Writes the page and its figures into the run folder; evaluates the networks if that was not done yet.

    Args:
      folder: the run folder.
      data_dir, cache_dir: where the data is now; empty for your own default.
      sample: number of the test sample to look at.

    Returns:
      The files written, the page first.

    Raises:
      ValueError: if the folder holds no run, a damaged `config.json`, or one of another version.
      OSError: if the folder cannot be written.
    """
    material = gather(folder, data_dir=data_dir, cache_dir=cache_dir, number=sample)
    for sentence in material.missing.values():
        print(f"note: {sentence}", file=sys.stderr)
    parts = [
        sections.results(material),
        sections.training(material),
        sections.accuracy(material),
        *inside.sections(material),
        costs.activity(material),
        costs.energy(material),
        costs.conversion(material),
        sections.origin(material),
    ]
    html = page.page(sections.title(material.config), header(material), parts, footer(material))
    figures = [
        viz.save(drawing.draw(page.FULL if drawing.full else 5.2), folder / f"{drawing.name}.png")
        for drawing in page.drawings(parts)
    ]
    files.write_whole(folder / "report.html", html)
    return [folder / "report.html", *figures]


def gather(folder: Path, *, data_dir: str, cache_dir: str, number: int) -> Material:
    """Reads the folder, evaluates if need be, and looks at a sample; `missing` names the parts that are absent."""
    config = run_folder.read_config(folder)
    here = opened(config, data_dir=data_dir, cache_dir=cache_dir)
    missing: dict[str, str] = {}
    environment = _environment(folder, missing)
    unfinished = "The run is not finished: it has no `results.json` yet."
    stored = read(folder, "results", missing, otherwise=unfinished, keys=("runs",))
    seconds = {run["run"]: run["seconds"] for run in stored["runs"]} if stored else {}
    rows = _rows(folder, config, missing)
    finished = [
        scores(run, rows[run.name], seconds.get(run.name, 0.0))
        for run in run_folder.runs(config)
        if any("test_accuracy" in row for row in rows[run.name])
    ]
    return Material(
        folder=folder,
        config=config,
        environment=environment,
        rows=rows,
        scores=finished,
        evaluation=_evaluation(folder, here, finished, missing),
        conversion=read(
            folder,
            "convert",
            missing,
            otherwise=f"Not made yet: `python -m jaxsnn.lab.convert --run={folder}` trains a ReLU network of the same "
            "shape, converts it and compares.",
            keys=("direct", "converted", "equal_accuracy", "relu", "samples"),
        ),
        sample=_sample(folder, here, finished, number, missing),
        missing=missing,
    )


def _environment(folder: Path, missing: dict[str, str]) -> dict[str, Any]:
    """The environment of the last start; the file has the environments of all starts."""
    try:
        starts = run_folder.environments(folder)
    except ValueError:
        missing["environment"] = "`environment.json` is damaged and left out."
        return {}
    if not starts:
        missing["environment"] = "There is no `environment.json`: versions are not known."
        return {}
    return starts[-1]


def _rows(folder: Path, config: Config, missing: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Metrics of every network; none of one whose file is damaged."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for run in run_folder.runs(config):
        try:
            rows[run.name] = training.MetricsFile(folder / run.name / "metrics.jsonl").read()
        except ValueError as error:
            rows[run.name] = []
            missing["metrics"] = f"{missing.get('metrics', '')} Left out are the rows of {run.name}: {error}.".strip()
    return rows


def _evaluation(
    folder: Path, config: Config, finished: list[dict[str, Any]], missing: dict[str, str]
) -> dict[str, Any] | None:
    """`evaluation.json`, made again if it is not there, damaged, or of other checkpoints than the chosen."""
    chosen = {network["run"]: network["selected_step"] for network in finished}
    nothing, keys = "Nothing to evaluate: no network has finished an evaluated epoch.", ("which", "part", "networks")
    stored = read(folder, "evaluation", missing, otherwise=nothing, keys=keys)
    if stored and not all(network.keys() >= NEEDED for network in stored["networks"]):  # by another version
        stored = None
    steps = {network["run"]: network["step"] for network in stored["networks"]} if stored else {}
    if stored and (stored["which"] != "selected" or steps == chosen):
        return stored
    if not finished:
        return None
    try:
        made = evaluate(
            folder, which="selected", part="test", data_dir=config.data.data_dir, cache_dir=config.data.cache_dir
        )
    except (ValueError, OSError, ImportError, training.CheckpointError) as error:
        old = f" The evaluation shown is of {stored['date']}, from other checkpoints." if stored else ""
        missing["evaluation"] = f"Not evaluated: {error}.{old}"
        return stored
    missing.pop("evaluation", None)
    return made


def _sample(
    folder: Path, config: Config, finished: list[dict[str, Any]], number: int, missing: dict[str, str]
) -> Sample | None:
    """The sample in the first network that has a checkpoint."""
    if not config.network.spiking:
        missing["sample"] = "A ReLU network has no spikes and no membranes to show."
        return None
    steps = {run["run"]: run["selected_step"] for run in finished}
    having = [run for run in run_folder.runs(config) if (folder / run.name / "checkpoints").is_dir()]
    if not having:
        missing["sample"] = f"There is no checkpoint in {folder} yet, so the network cannot be shown at work."
        return None
    run = next((run for run in having if run.name in steps), having[0])
    try:
        return look(config, run, folder / run.name, step=steps.get(run.name), number=number)
    except (ValueError, OSError, ImportError, training.CheckpointError) as error:
        missing["sample"] = f"The network cannot be shown at work: {error}"
        return None


def header(m: Material) -> list[page.Html]:
    """The run in a sentence, whether it is finished, and the numbers that matter most."""
    config = m.config
    code, date = ENCODINGS[config.network.encoding].label, m.environment.get("date", "")[:10]
    lead = (
        f"{sections.rule(config)}: T = {config.network.time_steps} time steps, "
        f"{code} input, {sections.networks(config)}. {date}"
    )
    parts = [page.paragraph(lead, "lead")]
    if "results" in m.missing:
        done = (
            ", ".join(f"{network['run']} {network['epoch']} of {config.training.epochs} epochs" for network in m.scores)
            or "no epoch yet"
        )
        parts.append(page.paragraph(f"{m.missing['results']} So far: {done}.", "note"))
    numbers = []
    if m.scores:
        for key, what in (("test_accuracy", "last epoch"), ("selected_test_accuracy", "epoch chosen on validation")):
            numbers.append((f"test accuracy, {what}", sections.spread([network[key] for network in m.scores])))
    if analyses := m.analyses:
        hidden = np.mean([costs.hidden_spikes(analysis) for analysis in analyses])
        numbers.append(("spikes per sample, hidden layers", f"{hidden:,.0f}"))
        for counted, what in ((costs.PAPER, "synaptic operations alone"), (costs.WITH_NEURONS, "with neurons")):
            ratios = [ratio for analysis in analyses if (ratio := costs.energy_ratio(analysis, counted)) is not None]
            if ratios:
                numbers.append((f"energy, ReLU network to this one, {what}", f"{np.mean(ratios):.1f} : 1"))
    if m.sample:
        numbers.append(("weights", f"{m.sample.weights:,}"))
    return [*parts, page.facts(numbers)] if numbers else parts


def footer(m: Material) -> str:
    """Where the page comes from."""
    made = run_folder.environment()
    origin = f"commit {made['commit']}, {made['device']}, jax {made['versions']['jax']}"
    return f"Made by `{made['command']}` on {made['date']}, {origin}."


def main() -> None:
    """Parses flags, writes the page."""
    define_run_flags()
    flags.DEFINE_integer("sample", 0, "Number of the test sample to look at.")

    def run() -> None:
        given = flags.FLAGS
        with run_folder.looking(given.run) as folder:
            for path in report(folder, data_dir=given.data_dir, cache_dir=given.cache_dir, sample=given.sample):
                print(f"wrote {path}")

    command(run)
