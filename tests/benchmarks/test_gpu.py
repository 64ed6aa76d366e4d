"""The GPU's benchmarks: what is resumed, what a failure leaves, the table; and all stages at toy size on this CPU."""

import json
import os
import re
import subprocess
import sys

import pytest

import experiments
from benchmarks import common, gpu, presets
from tests.benchmarks.test_common import ROOT

FAKE = """
import json, pathlib, sys, time
folder = pathlib.Path(sys.argv[-1].removeprefix("--results=")) / "gpu-fake"
folder.mkdir()
for case in sys.argv[1].split(","):
    if case == "crash":
        sys.exit("out of memory")
    if case == "sleep":
        time.sleep(60)
    row = {"benchmark": "fake", "workload": case, "library": "jaxsnn", "options": {"n": 1}, "malloc": "default"}
    row |= {"n": 1, "median_ms": 2.0, "min_ms": 1.0, "max_ms": 3.0, "date": "2026-11-26 00:00 UTC", "commit": "c"}
    row |= {"cores": 1, "python": "3", "versions": {"jax": "1"}}
    with (folder / "fake.jsonl").open("a") as file:
        file.write(json.dumps(row) + chr(10))
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A job of several cases in one process, of a benchmark that crashes or sleeps as its cases say."""
    (tmp_path / "fake_benchmark.py").write_text(FAKE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(common, "commit", lambda: "abc")
    return lambda *cases, **options: gpu.Job("fake", cases, lambda left: ["fake_benchmark", ",".join(left)], **options)


def results(folder, device="gpu-fake"):
    return gpu.Results(folder / "out", device)


def told(found):
    return [(row["case"], "failed" in row) for row in found.rows]


def test_a_case_that_fails_leaves_the_reason_and_the_others_go_on(fake, tmp_path):
    found = results(tmp_path)
    gpu.run_all([fake("one", "crash", "two"), fake("three")], found, 60)
    assert told(found) == [("one", False), ("crash", True), ("two", False), ("three", False)]
    assert found.rows[1]["failed"] == "ended with code 1: out of memory"
    lines = [json.loads(line) for line in found.path.read_text(encoding="utf-8").splitlines()]
    assert lines == found.rows
    assert all(line["device"] == "gpu-fake" and line["commit"] == "abc" for line in lines)


def test_a_case_that_takes_too_long_is_ended_and_the_others_go_on(fake, tmp_path):
    found = results(tmp_path)
    gpu.run_all([fake("sleep", "one", limit=0.5)], found, 60)
    assert told(found) == [("sleep", True), ("one", False)]
    assert found.rows[0]["failed"] == "took longer than 0.5 s"


def test_what_is_there_is_not_run_again_and_what_failed_comes_last(fake, tmp_path):
    gpu.run_all([fake("crash", "one")], results(tmp_path), 60)
    again = results(tmp_path)
    gpu.run_all([fake("crash", "one"), fake("two")], again, 60)
    assert told(again) == [("crash", True), ("one", False), ("two", False), ("crash", True)]
    elsewhere = results(tmp_path, device="gpu-other")
    gpu.run_all([fake("one")], elsewhere, 60)
    assert told(elsewhere)[-1] == ("one", False)
    assert len(elsewhere.rows) == 5


def test_nothing_is_begun_without_time(fake, tmp_path):
    found = results(tmp_path)
    gpu.run_all([fake("one")], found, gpu.SHORTEST - 1)
    assert found.rows == []


def test_what_cannot_run_here_says_why(fake, tmp_path):
    found = results(tmp_path)
    gpu.run_all([fake("one", lacks="no data")], found, 60)
    assert found.rows[0]["failed"] == "no data"


def test_the_table_has_the_failures_that_were_not_mended(fake, tmp_path):
    found = results(tmp_path)
    for case in ("one", "two"):
        found.fail(fake(case), case, "out of time")
    gpu.run_all([fake("one")], found, 60)
    text = found.table()
    assert text.startswith("## fake, gpu-fake\n")
    assert re.findall(r"^\| (one|two) .*", text, re.MULTILINE) == ["two", "one"]
    assert text.count("out of time") == 1
    assert "2 (1-3, n = 1)" in text


def test_the_smoke_test_has_every_preset_and_made_up_samples_for_each():
    flags = gpu.flags_of(["--only=smoke"])
    (job,) = gpu.jobs(flags)
    assert job.cases == tuple(experiments.presets())
    for make in experiments.presets().values():
        assert len(presets.made_up(make(), 1).train.samples) == 1


@pytest.mark.thorough
def test_stages_and_cases_are_chosen_in_the_order_that_is_given():
    chosen = gpu.jobs(gpu.flags_of(["--only=train_step,peers:W2,smoke:own"]))
    assert [job.stage for job in chosen[-2:]] == ["peers", "smoke"]
    assert chosen[-2].cases[0].startswith("W2")
    assert chosen[-1].cases == ("own",)
    assert len(gpu.jobs(gpu.flags_of(["--only=peers:W2"]))) == 1
    with pytest.raises(SystemExit, match="got 'peers:W9'"):
        gpu.jobs(gpu.flags_of(["--only=peers:W9"]))


def test_without_a_gpu_it_refuses(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "device", lambda: "cpu-cpu")
    with pytest.raises(SystemExit, match="no GPU: jax has cpu-cpu alone"):
        gpu.main([f"--out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


@pytest.mark.thorough
def test_every_stage_runs_at_toy_size_and_is_not_run_again(tmp_path):
    """Without tensorflow-datasets: a machine that only measures need not have it."""
    (tmp_path / "tensorflow_datasets.py").write_text("raise ImportError('not here')", encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.gpu", "--toy", f"--out={tmp_path}", "--minutes=10"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(tmp_path)))}
    first, second = (
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    )
    rows = common.read(tmp_path / "results.jsonl")
    measured = {row["stage"] for row in rows if "failed" not in row}
    assert measured == {"smoke", "peers", "neuron", "train_step", "epoch", "paper"}, first
    assert {row["failed"] for row in rows if "failed" in row} <= {"not installed: spikingjelly and torch"}
    assert [line.split(":")[0] for line in second.splitlines() if line[0] != " "][:-1] == ["paper"]
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert text.count("## ") == 6
