"""The published accuracies: records of finished runs in `results/`, and the tables and the figure made from them.

    python -m experiments.publish --run=runs/mnist --title="LeNet on MNIST, T = 20" --name=mnist_rule
    python -m experiments.publish           # writes README.md, docs/results.md and the figure anew from the records

`--run` takes several folders that differ in their seeds alone; of a folder in which `experiments.evaluate --which=last`
wrote its result, operations and energy are kept too, and what `experiments.convert` wrote. The folder of a sweep
of two fields gives a table of its own, and so do files of `experiments.score --out=...`. No accuracy of these tables
is typed by hand: a test compares both pages with the records, and their sentences with the records that they name.
"""

import json
import re
from pathlib import Path

from absl import flags

from experiments import records, tables
from experiments.tables import Record
from jaxsnn import files
from jaxsnn.data import DATASETS
from jaxsnn.lab import run_folder
from jaxsnn.lab.command import command

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
PAGES = {"README.md": True, "docs/results.md": False}
"""Page to whether it shows the records marked for the README alone."""
FIGURE, FIGURE_OF = "docs/images/cifar10_fast.png", "cifar10_fast"
ENERGY_OF = "mnist_lenet_small"
"""The record of which the README says the energy."""


def known() -> dict[str, Record]:
    """All records by name, in the order of the data sets."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*.json")}
    order = list(DATASETS)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[1]["dataset"]), item[0])))


def page(name: str, text: str) -> str:
    """The text of a page with its table anew.

    Raises:
      ValueError: if the page has no place for it.
    """
    found = known()
    made = {"accuracies": tables.table(found, short=PAGES[name])}
    if PAGES[name]:
        made["energy"] = tables.energy({n: r for n, r in found.items() if n == ENERGY_OF}, told=True)
    else:
        made |= {
            "few steps": tables.few_steps(found),
            "energy": tables.energy(found),
            "operations": tables.operations(found),
            "sweeps": tables.sweeps(found),
            "conversions": tables.conversions(found),
            "scores": tables.scores(found),
        }
    for what, lines in made.items():
        begin, end = f"<!-- {what}: written by python -m experiments.publish -->", f"<!-- end of {what} -->"
        places = re.findall(re.escape(begin) + ".*?" + re.escape(end), text, re.DOTALL)
        if len(places) != 1:
            raise ValueError(f"{name} has no lines {begin} and {end}, between which the table goes")
        text = text.replace(places[0], f"{begin}\n\n{lines}\n\n{end}")
    return text


def draw(r: Record, path: Path) -> None:
    """Test accuracy against the minutes of training."""
    from jaxsnn import viz

    minutes, accuracies = ([[point[key] for point in c] for c in r["curves"]] for key in ("minutes", "test_accuracy"))
    labels = [row["run"] for row in r["runs"]]
    viz.save(viz.accuracy_over_minutes(minutes, accuracies, labels, title=f"{FIGURE_OF}, {r['device']}"), path)


def main() -> None:
    """Parses flags, writes."""
    flags.DEFINE_list(
        "run",
        [],
        "Folders of finished runs that differ in their seeds alone, or one of a sweep, or the file of a score; none: "
        "only the pages.",
    )
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
            folders = [files.local(folder) for folder in given.run]
            about = {"device": given.device, "note": given.note}
            alone = records.of_score if folders[0].is_file() else records.of_sweep
            if any(path.is_file() or (path / "sweep.json").exists() for path in folders):
                if len(folders) > 1:
                    raise ValueError(f"{given.run} holds a sweep or a score: publish it alone")
                made = alone(folders[0], given.title, **about)
            else:
                marks = {"readme": given.readme, "few_steps": given.few_steps}
                made = records.of_runs(folders, given.title, **about, **marks)
            RESULTS.mkdir(exist_ok=True)
            run_folder.write_json(RESULTS / f"{given.name}.json", made)
        if FIGURE_OF in known():
            draw(known()[FIGURE_OF], ROOT / FIGURE)
        for name in PAGES:
            text = (ROOT / name).read_text(encoding="utf-8")
            files.write_whole(ROOT / name, page(name, text))
            print(f"wrote {name}")

    command(run)


if __name__ == "__main__":
    main()
