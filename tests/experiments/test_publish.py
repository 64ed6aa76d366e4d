"""The published accuracies are those of the records in results/, and the records those of finished runs."""

import json

import jax
import pytest

from experiments import publish
from jaxsnn.lab import run
from tests.experiments.test_run import small


@pytest.mark.parametrize("name", publish.PAGES)
def test_pages_say_what_the_records_say(name):
    text = (publish.ROOT / name).read_text(encoding="utf-8")
    assert publish.page(name, text) == text, "run python -m experiments.publish"
    with pytest.raises(ValueError, match="has no lines"):
        publish.page(name, text.replace(publish.END, ""))


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
    empty = f"{publish.BEGIN}\n{publish.END}\n{publish.FEW_BEGIN}\n{publish.FEW_END}"
    assert "2 seeds" in publish.page("docs/results.md", empty)
    few = publish.record(folders, "two", few_steps=True)
    for name, rate in (("two", 0.0), ("mended", 0.2)):
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(few | {"init_rate": rate}), encoding="utf-8")
    main, _, mended = publish.page("docs/results.md", empty).partition(publish.END)
    assert "2 seeds" not in main
    shown = publish.accuracy(few["test_accuracy"])
    assert f"| digits, lenet | {few['time_steps']} | {shown} | {shown} | 2 seeds |" in mended
    config = json.loads((folders[1] / "config.json").read_text(encoding="utf-8"))
    config["network"]["leak"] = 0.5
    (folders[1] / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ValueError, match="differ in more than their seeds: publish them one by one"):
        publish.record(folders, "two")
    (folders[0] / "results.json").unlink()
    with pytest.raises(ValueError, match=r"has no results.json: let the training end first"):
        publish.record(folders[:1], "one")


def test_flags_that_change_no_number_are_left_out():
    told = publish._told(
        "python -m experiments.mnist --seeds=3 --run_dir=/x --nofigures --data_dir=/d --nobias --norm=bn"
    )
    assert told == "python -m experiments.mnist --seeds=3 --data_dir=... --nobias --norm=bn"
