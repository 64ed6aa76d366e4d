"""The sections of a report with results, training, accuracy and origin."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsnn import viz
from jaxsnn.data import Binning, source_of
from jaxsnn.lab import run_folder
from jaxsnn.lab.config import FIELDS, Config
from jaxsnn.lab.report.page import Drawing, Part, Section, details, paragraph, table
from jaxsnn.lab.report.sample import Sample

NETWORKS = {"lenet": "LeNet", "vgg9": "VGG9", "resnet7": "ResNet7", "resnet9": "ResNet9", "resnet11": "ResNet11"}


class Material(NamedTuple):
    """The material of a report; a part that the folder lacks is None, and `missing` says why."""

    folder: Path
    config: Config
    environment: dict[str, Any]
    rows: dict[str, list[dict[str, Any]]]
    """Name of a network (`seed0`, `fold1`) to its metrics."""
    scores: list[dict[str, Any]]
    """One per network with an evaluated epoch, as in `results.json`."""
    evaluation: dict[str, Any] | None
    conversion: dict[str, Any] | None
    sample: Sample | None
    missing: dict[str, str]
    """`evaluation`, `convert`, `sample`, `metrics`, `environment`, `results` to a sentence."""

    @property
    def analyses(self) -> list[dict[str, Any]]:
        """The profile of every network by `jaxsnn.lab.profile`; none if the evaluation was made without."""
        networks = self.evaluation["networks"] if self.evaluation else []
        return [network["analysis"] for network in networks if "analysis" in network]


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def spread(values: list[float]) -> str:
    """Mean, and standard deviation if there are several."""
    mean = f"{100 * np.mean(values):.2f}"
    return f"{mean} %" if len(values) == 1 else f"{mean} ± {100 * np.std(values, ddof=1):.2f} %"


def title(config: Config) -> str:
    """The network and the data set, with the bins of event data, in words."""
    model, dataset = config.network.model, config.data.dataset
    bins = ""
    if source_of(dataset).events:
        bins = f" in {Binning.of(config.network.time_steps, **config.data.event_options('')).describe()}"
    return f"{NETWORKS.get(model, model)} on {source_of(dataset).title}{bins}"


def rule(config: Config) -> str:
    """The kind of network and its training rule, in words."""
    if not config.network.spiking:
        return "A ReLU network, trained by backpropagation"
    if config.network.gradient == "spikebp":
        return "A spiking network, trained by the paper's spike-based backpropagation"
    surrogate = config.network.surrogate
    return f"A spiking network, trained by backpropagation through time with the surrogate {surrogate}"


def networks(config: Config) -> str:
    """How many networks, in words."""
    if config.data.folds > 1:
        return f"{config.data.folds} folds of a cross-validation"
    return f"{config.run.seeds} seeds" if config.run.seeds > 1 else f"seed {config.training.seed}"


def results(m: Material) -> Section:
    """Accuracy of every network, twice: after the last epoch, and chosen on validation."""
    if not m.scores:
        return Section("results", "Results", [paragraph("No network has finished an evaluated epoch yet.", "note")])
    rows = [
        [
            network["run"],
            network["epoch"],
            percent(network["test_accuracy"]),
            percent(network["selected_test_accuracy"]),
            network["selected_epoch"],
            f"{network['seconds']:,.0f} s" if network.get("seconds") else "",
        ]
        for network in m.scores
    ]
    several = len(rows) > 1
    if several:
        last, chosen = (
            spread([network[key] for network in m.scores]) for key in ("test_accuracy", "selected_test_accuracy")
        )
        rows.append(["mean ± std", "", last, chosen, "", ""])
    head = ["network", "epochs", "test, last epoch", "test, chosen on validation", "chosen epoch", "time"]
    tested = "the part of the training set that each fold leaves out" if m.config.data.folds > 1 else "the test set"
    caption = f"Accuracy on {tested}. The chosen epoch has the best accuracy on held-out training samples."
    parts: list[Part] = [table(head, rows, caption=caption, whole=several)]
    return Section("results", "Results", parts)


def training(m: Material) -> Section:
    """Loss and accuracy over epochs."""
    rows = {name: some for name, some in m.rows.items() if any(row["kind"] == "epoch" for row in some)}
    if not rows:
        said = m.missing.get("metrics", "No epoch has been completed yet, so there is no curve.")
        return Section("training", "Training", [paragraph(said, "note")])
    epochs = [[row for row in some if row["kind"] == "epoch"] for some in rows.values()]
    first, last = (np.mean([some[n]["loss"] for some in epochs]) for n in (0, -1))
    drawing = Drawing(
        "training_curve",
        lambda width: viz.training_curve(rows, width=width),
        alt=f"Two curves over {max(map(len, epochs))} epochs: training loss, from {first:.3g} to {last:.3g}, and "
        "accuracy on training and test samples.",
        caption=f"Training loss (logarithmic) and accuracy after every epoch, of {networks(m.config)}. Training "
        "accuracy is counted during the epoch, with augmentation and dropout where they are on, so it can be below the "
        "test accuracy. From `metrics.jsonl` of every network.",
        full=True,
    )
    parts: list[Part] = [drawing]
    if "metrics" in m.missing:
        parts.insert(0, paragraph(m.missing["metrics"], "note"))
    return Section("training", "Training", parts)


def accuracy(m: Material) -> Section:
    """Accuracy over time, direct and converted, and the confusion matrix."""
    parts: list[Part] = [paragraph(m.missing["evaluation"], "note")] if "evaluation" in m.missing else []
    if m.evaluation is not None:
        parts.append((_over_time(m.evaluation), _confusion(m.evaluation)))
    return Section("accuracy", "Accuracy", parts)


def _over_time(evaluation: dict[str, Any]) -> Drawing:
    curves = {network["run"]: np.array(network["accuracy_at_step"]) for network in evaluation["networks"]}
    exits = {}
    for network in evaluation["networks"]:
        if len(curves) == 1 and "analysis" in network:  # of several networks the crosses would hide each other
            curve = network["analysis"]["early_exit"]
            exits[network["run"]] = (np.array(curve["steps"]), np.array(curve["accuracy"]))
    mean = np.mean(list(curves.values()), 0)
    early = " Crosses: each sample stops once its answer leads by a margin; mean steps, for many margins."
    enough = int(np.argmax(mean >= mean[-1] - 0.01)) + 1
    return Drawing(
        "accuracy_over_time",
        lambda width: viz.accuracy_over_time(curves, exits=exits, width=width),
        alt=f"Accuracy rises from {percent(mean[0])} after one time step to {percent(mean[-1])} after {len(mean)}.",
        caption=f"Accuracy if the readout is asked after 1, 2, ... {len(mean)} time steps, from one pass over the "
        f"{evaluation['part']} samples. After {enough} step{'s' * (enough > 1)} it is within one point of its last "
        f"value, {percent(mean[-1])}.{early if exits else ''}",
    )


def _confusion(evaluation: dict[str, Any]) -> Drawing:
    matrix = np.sum([network["confusion"] for network in evaluation["networks"]], 0)
    wrong = matrix - np.diag(np.diag(matrix))
    true, answer = np.unravel_index(wrong.argmax(), wrong.shape)
    names = evaluation.get("classes") or range(len(matrix))
    often = f"The most frequent mistake: {names[true]} taken for {names[answer]}, {wrong.max()} times."
    often = often if wrong.max() else "No mistake."
    several = len(evaluation["networks"]) > 1
    return Drawing(
        "confusion",
        lambda width: viz.confusion(matrix, names=evaluation.get("classes", ()), width=width),
        alt=f"Confusion matrix of {len(matrix)} classes; {np.trace(matrix)} of {matrix.sum()} answers are right.",
        caption="True class (row) against answer (column) after the last time step"
        f"{', summed over the networks' * several}. {often}",
    )


def origin(m: Material) -> Section:
    """Configuration, versions, commands."""
    default = Config().flat()
    every = {name: (value, FIELDS[name].metadata["help"]) for name, value in m.config.flat().items()}
    changed = {name: value for name, value in every.items() if value[0] != default[name]}
    head = ["setting", "value", "meaning"]

    def rows(settings: dict[str, Any]) -> list[list[str]]:
        return [[f"`{name}`", _show(value), text] for name, (value, text) in settings.items()]

    parts: list[Part] = [
        table(head, rows(changed), caption="Where this run differs from the defaults."),
        details(f"All {len(every)} settings", table(head, rows(every), caption="From `config.json`.")),
    ]
    if m.environment:
        versions = m.environment.get("versions", {})
        facts = {name: value for name, value in m.environment.items() if name != "versions"} | versions
        caption = "The training's environment, from `environment.json`."
        parts.append(table(["what", "value"], [[k, str(v)] for k, v in facts.items()], caption=caption))
    else:
        parts.append(paragraph(m.missing["environment"], "note"))
    return Section("origin", "How it was made", parts)


def _show(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value) or "none"


def read(
    folder: Path, name: str, missing: dict[str, str], *, otherwise: str, keys: tuple[str, ...] = ()
) -> dict[str, Any] | None:
    """A JSON file of the folder with at least `keys`; None without such a file, and `missing[name]` says why."""
    path = folder / f"{name}.json"
    if not path.exists():
        missing[name] = otherwise
        return None
    try:
        content = run_folder.read_json(path)
    except ValueError:
        missing[name] = f"`{path.name}` is damaged and left out."
        return None
    if lacking := [key for key in keys if key not in content]:
        missing[name] = (
            f"`{path.name}` has no {', '.join(lacking)}: it is damaged or from another version, and left out."
        )
        return None
    return content
