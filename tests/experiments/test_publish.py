"""The published accuracies are those of the records in results/, and the records those of finished runs."""

import json
import re

import jax
import pytest

from experiments import publish, records, tables
from jaxsnn.lab import environment, evaluate, run
from jaxsnn.lab.sweep import plan, table
from tests.experiments.test_run import small


@pytest.mark.parametrize("name", publish.PAGES)
def test_pages_say_what_the_records_say(name):
    text = (publish.ROOT / name).read_text(encoding="utf-8")
    assert publish.page(name, text) == text, "run python -m experiments.publish"
    with pytest.raises(ValueError, match="has no lines"):
        publish.page(name, text.replace("<!-- end of accuracies -->", ""))


@pytest.mark.parametrize("path", sorted(publish.RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_records_are_whole(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    for told in (record, record.get("conversion", record)):
        assert {"command", "date", "commit", "device", "versions"} <= told.keys()
        assert "-dirty" not in told["commit"], "a figure of code that nobody can get back"
    assert {"title", "note"} <= record.keys()
    if "score" in record:
        assert 0.05 < record["score"]["accuracy"] <= 1
        return
    if "sweep" in record:
        assert all(0.05 < (setting["test_accuracy"] or 0.1) <= 1 for setting in record["sweep"]["settings"])
        return
    for key in ("test_accuracy", "selected_test_accuracy"):
        assert 0.05 < record[key]["mean"] <= 1  # chance with few samples, and more
        assert record[key]["n"] == len(record["runs"])
        assert (record[key]["std"] is None) == (record[key]["n"] == 1)
    for curve, one in zip(record["curves"], record["runs"], strict=False):
        assert curve[-1]["test_accuracy"] == one["test_accuracy"]
        assert [point["minutes"] for point in curve] == sorted(point["minutes"] for point in curve)


def numbers(record):
    """All accuracies of a record, in percent as pages say them."""
    if isinstance(record, dict):
        return {number for value in record.values() for number in numbers(value)}
    if isinstance(record, list):
        return {number for value in record for number in numbers(value)}
    if isinstance(record, str):  # a table, as `experiments.convert` printed it
        return set(re.findall(r"\d+\.\d\d(?= %)", record))
    return {f"{100 * record:.2f}"} if isinstance(record, float) and record <= 1 else set()


ELSEWHERE = ("published", "no record")
"""A paragraph with one of these says itself where its figures come from."""


def unfounded(text, found):
    """Paragraphs whose accuracies are not those of the records that they name; tables belong to the sentence before."""
    text = re.sub(r"<!-- (.+?): written by .*?<!-- end of \1 -->|```.*?```", "", text, flags=re.DOTALL)
    parts = re.split(r"\n\n(?!\|)|\n(?=- )", text)
    wrong = []
    for part in parts:
        said = set(re.findall(r"\b\d+\.\d\d(?=(?:,? (?:and )?\d+\.\d\d)* (?:%|\+-))", part))
        named = [found[name] for name in re.findall(r"`(\w+)`", part) if name in found]
        allowed = {number for record in named for number in numbers(record)}
        if not said <= allowed and not any(word in part.lower() for word in ELSEWHERE):
            wrong.append((sorted(said - allowed), part))
    return wrong


@pytest.mark.parametrize("name", publish.PAGES)
def test_sentences_say_what_the_records_say(name):
    text = (publish.ROOT / name).read_text(encoding="utf-8")
    assert not unfounded(text, publish.known())


def test_a_figure_without_a_record_is_found():
    found = {"one": {"test_accuracy": {"mean": 0.90123, "std": 0.001}, "conversion": {"lines": [["x", "88.10 %"]]}}}
    assert not unfounded("By `one` 90.12 +- 0.10 %, converted 88.10 %.\n\nElsewhere 1.50, 0.25 s.", found)
    assert not unfounded("Published: 99.59 %.\n\nOf these no record was kept:\n\n| x | 12.34 % |", found)
    (wrong,) = unfounded("By `one` 90.12 %.\n\n- Another sentence: 90.12 %", found)
    assert wrong[0] == ["90.12"]
    ((figures, _),) = unfounded("By `one` 90.13 and 88.10 %.", found)
    assert figures == ["90.13"]
    ((figures, _),) = unfounded("Of `one`:\n\n| x | 12.34 % |", found)
    assert figures == ["12.34"]


def unwritten():
    """The page without its tables."""
    text = (publish.ROOT / "docs/results.md").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if line.startswith("<!--"))


def test_a_record_of_two_seeds(tmp_path, monkeypatch):
    with jax.numpy_dtype_promotion("standard"):
        for seed in (0, 1):
            run.run(small(tmp_path / str(seed), epochs=1, seed=seed), "digits")
    folders = [tmp_path / "0", tmp_path / "1"]
    made = records.of_runs(folders, "two", note="beside other work")
    accuracies = [
        json.loads((f / "results.json").read_text(encoding="utf-8"))["runs"][0]["test_accuracy"] for f in folders
    ]
    assert made["test_accuracy"]["mean"] == pytest.approx(sum(accuracies) / 2)
    assert made["test_accuracy"]["n"] == 2
    assert [curve[-1]["test_accuracy"] for curve in made["curves"]] == accuracies
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(publish, "RESULTS", tmp_path / "results")
    (tmp_path / "results" / "two.json").write_text(json.dumps(made), encoding="utf-8")
    empty = unwritten()
    assert "2 seeds" in publish.page("docs/results.md", empty)
    few = records.of_runs(folders, "two", few_steps=True)
    for name, rate in (("two", 0.0), ("mended", 0.2)):
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(few | {"init_rate": rate}), encoding="utf-8")
    main, _, mended = publish.page("docs/results.md", empty).partition("<!-- end of accuracies -->")
    assert "2 seeds" not in main
    shown = tables.accuracy(few["test_accuracy"])
    assert f"| digits, lenet | {few['time_steps']} | {shown} | {shown} | 2 seeds |" in mended
    config = json.loads((folders[1] / "config.json").read_text(encoding="utf-8"))
    config["network"]["leak"] = 0.5
    (folders[1] / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ValueError, match="differ in more than their seeds: publish them one by one"):
        records.of_runs(folders, "two")
    (folders[0] / "results.json").unlink()
    with pytest.raises(ValueError, match=r"has no results.json: let the training end first"):
        records.of_runs(folders[:1], "one")


def test_a_record_of_a_sweep(tmp_path, monkeypatch):
    """Both seeds of a setting are in one cell, and diverged ones in none."""
    axes = [plan.Axis("leak", (0.5, 0.9)), plan.Axis("time_steps", (2, 4))]
    rows = [
        {"leak": leak, "time_steps": steps, "seed": seed, "diverged_step": None}
        | dict.fromkeys(
            ("test_accuracy", "selected_test_accuracy", "validation_accuracy"), leak - steps / 10 + seed / 5
        )
        for leak in (0.5, 0.9)
        for steps in (2, 4)
        for seed in (0, 1)
    ]
    for row in (rows[0], *rows[-2:]):
        row |= {"diverged_step": 3, "test_accuracy": None}
    facts = {"axes": [[axis.name, list(axis.values)] for axis in axes], "config": {"data": {"dataset": "mnist"}}}
    started = environment.environment() | {"command": "python -m experiments.sweep --data_dir=/d --run_dir=/x"}
    summary = started | {"axes": facts["axes"], "settings": table.summarise(rows, axes)}
    for name, content in (("sweep", facts), ("summary", summary)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    made = records.of_sweep(tmp_path, "Leak", device="2 cores", note="quiet")
    assert made["dataset"] == "mnist"
    head, _, *lines = tables.sweeps({"leak": made, "none": {}}).splitlines()
    assert head.startswith("Leak, 2 seeds, `python -m experiments.sweep --data_dir=...` (2 cores, quiet, ")
    assert lines == [
        "| leak | time_steps = 2 | time_steps = 4 |",
        "| --- | --- | --- |",
        "| 0.5 | 50.00 % | 20.00 +- 14.14 % |",
        "| 0.9 | 80.00 +- 14.14 % | diverged |",
    ]
    monkeypatch.setattr(publish, "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "leak.json").write_text(json.dumps(made), encoding="utf-8")
    assert lines[2] in publish.page("docs/results.md", unwritten())
    (tmp_path / "summary.json").write_text(json.dumps(summary | {"axes": facts["axes"][:1]}), encoding="utf-8")
    with pytest.raises(ValueError, match="is a sweep of leak: a table needs two fields"):
        records.of_sweep(tmp_path, "one")
    (tmp_path / "summary.json").unlink()
    with pytest.raises(ValueError, match="has no summary.json: let the sweep end first"):
        records.of_sweep(tmp_path, "one")


def test_operations_and_energy_of_a_record(tmp_path):
    """What the tables say is what `evaluate` wrote."""
    with jax.numpy_dtype_promotion("standard"):
        run.run(small(tmp_path / "run", epochs=1, init_gain=3.0), "digits")
    assert "energy" not in records.of_runs([tmp_path / "run"], "before")
    evaluate.evaluate(tmp_path / "run", which="selected", part="test")
    with pytest.raises(
        ValueError, match=r"is of the test samples and the selected epoch: run python -m experiments.ev"
    ):
        records.of_runs([tmp_path / "run"], "of another epoch")
    evaluate.evaluate(tmp_path / "run", which="last", part="test", analyse=False)
    with pytest.raises(ValueError, match="--which=last, or remove it"):
        records.of_runs([tmp_path / "run"], "without analysis")
    found = evaluate.evaluate(tmp_path / "run", which="last", part="test")["networks"][0]
    made = records.of_runs([tmp_path / "run"], "with energy")
    energy, reports = made["energy"], found["analysis"]["energy"]
    assert energy["accuracy"] == pytest.approx(made["test_accuracy"]["mean"])
    layers = found["analysis"]["activity"]
    hidden = {"conv1", "pool1", "conv2", "pool2", "fc1"}
    assert layers.keys() == hidden | {"input"}
    assert energy["spikes"] == pytest.approx(sum(layers[name]["spikes"] for name in hidden))
    assert 1 <= energy["steps"] <= made["time_steps"]
    rows = tables.energy({"one": made, "none": {}}, told=True).splitlines()
    assert rows[0].startswith(f"One inference of `one` takes {reports['int32']['synapses']['acs'] / 1e6:.2f} million")
    assert rows[2] == "| counted | one, int32 | one, float32 |"
    alone, neurons, memory = (row.split(" | ")[1:] for row in rows[4:])
    assert alone == [f"{reports['int32']['synapses']['ratio']:.3g}", f"{reports['float32']['synapses']['ratio']:.3g} |"]
    assert neurons[1] == f"{reports['float32 with neurons']['synapses']['ratio']:.3g} |"
    assert memory == [f"{reports['int32 with memory']['synapses']['ratio']:.3g}", " |"]
    assert f"| {reports['int32']['synapses']['acs']:,.0f} | " in tables.operations({"one": made, "none": {}})
    assert {name for names in tables.COUNTED.values() for name in names} == reports.keys()


def test_flags_that_change_no_number_are_left_out():
    told = records._told(
        "python -m experiments.mnist --seeds=3 --run_dir=/x --nofigures --data_dir=/d --nobias --norm=bn"
    )
    assert told == "python -m experiments.mnist --seeds=3 --data_dir=... --nobias --norm=bn"
