"""The published accuracies are those of the records in results/, and the records those of finished runs."""

import json

import jax
import pytest

from experiments import publish, tables
from jaxsnn.lab import evaluate, run
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
    assert {"title", "command", "date", "commit", "device", "versions", "note"} <= record.keys()
    assert "-dirty" not in record["commit"], "a figure of code that nobody can get back"
    for key in ("test_accuracy", "selected_test_accuracy"):
        assert 0.05 < record[key]["mean"] <= 1  # chance with few samples, and more
        assert record[key]["n"] == len(record["runs"])
        assert (record[key]["std"] is None) == (record[key]["n"] == 1)
    for curve, one in zip(record["curves"], record["runs"], strict=False):
        assert curve[-1]["test_accuracy"] == one["test_accuracy"]
        assert [point["minutes"] for point in curve] == sorted(point["minutes"] for point in curve)


def test_a_record_of_two_seeds(tmp_path, monkeypatch):
    with jax.numpy_dtype_promotion("standard"):
        for seed in (0, 1):
            run.run(small(tmp_path / str(seed), epochs=1, seed=seed), "digits")
    folders = [tmp_path / "0", tmp_path / "1"]
    made = publish.record(folders, "two", note="beside other work")
    accuracies = [
        json.loads((f / "results.json").read_text(encoding="utf-8"))["runs"][0]["test_accuracy"] for f in folders
    ]
    assert made["test_accuracy"]["mean"] == pytest.approx(sum(accuracies) / 2)
    assert made["test_accuracy"]["n"] == 2
    assert [curve[-1]["test_accuracy"] for curve in made["curves"]] == accuracies
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(publish, "RESULTS", tmp_path / "results")
    (tmp_path / "results" / "two.json").write_text(json.dumps(made), encoding="utf-8")
    parts = ("accuracies", "few steps", "operations", "energy")
    begin = "<!-- {}: written by python -m experiments.publish -->\n<!-- end of {} -->\n"
    empty = "".join(begin.format(part, part) for part in parts)
    assert "2 seeds" in publish.page("docs/results.md", empty)
    few = publish.record(folders, "two", few_steps=True)
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
        publish.record(folders, "two")
    (folders[0] / "results.json").unlink()
    with pytest.raises(ValueError, match=r"has no results.json: let the training end first"):
        publish.record(folders[:1], "one")


def test_operations_and_energy_of_a_record(tmp_path):
    """What the tables say is what `evaluate` wrote."""
    with jax.numpy_dtype_promotion("standard"):
        run.run(small(tmp_path / "run", epochs=1, init_gain=3.0), "digits")
    assert "energy" not in publish.record([tmp_path / "run"], "before")
    evaluate.evaluate(tmp_path / "run", which="selected", part="test")
    with pytest.raises(
        ValueError, match=r"is of the test samples and the selected epoch: run python -m experiments.ev"
    ):
        publish.record([tmp_path / "run"], "of another epoch")
    evaluate.evaluate(tmp_path / "run", which="last", part="test", analyse=False)
    with pytest.raises(ValueError, match="--which=last, or remove it"):
        publish.record([tmp_path / "run"], "without analysis")
    found = evaluate.evaluate(tmp_path / "run", which="last", part="test")["networks"][0]
    made = publish.record([tmp_path / "run"], "with energy")
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
    told = publish._told(
        "python -m experiments.mnist --seeds=3 --run_dir=/x --nofigures --data_dir=/d --nobias --norm=bn"
    )
    assert told == "python -m experiments.mnist --seeds=3 --data_dir=... --nobias --norm=bn"
