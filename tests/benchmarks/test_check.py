import json

import pytest

from benchmarks import check

OURS = "spikebp time_chunk=0"


def row(time, peak=1.0, **changes):
    """Another library that takes `time` times our step and `peak` times our memory."""
    made = {
        "benchmark": "peers",
        "workload": "W1",
        "library": "other",
        "options": {},
        "malloc": "tuned",
        "ratios": {OURS: time},
        "peak_ratios": {OURS: peak},
        "commit": "abc1234",
    }
    return made | changes


@pytest.fixture
def results(tmp_path):
    def write(*rows, name="results/cpu-cpu/peers.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


def test_small_changes_and_improvements_pass(results, tmp_path, capsys):
    results(row(9.0), row(2.0), row(1.9, 3.0), row(1.0, workload="W2"))
    check.main([], tmp_path / "results")
    assert "1 settings compared" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("new", "what"), [((1.6, 1.0), "time 0.50 -> 0.62"), ((2.0, 0.5), "process peak 1.00 -> 2.00")]
)
def test_a_ratio_that_worsened_fails(results, tmp_path, new, what):
    results(row(2.0), row(*new))
    with pytest.raises(SystemExit, match=what) as failed:
        check.main([], tmp_path / "results")
    assert f"peers W1 tuned, jaxsnn {OURS} / other" in str(failed.value)
    check.main(["--tolerance=2"], tmp_path / "results")


@pytest.mark.parametrize(
    ("new", "what"),
    [
        ({"times_full_speed": 2.5}, "time, in times full speed 2 -> 2.5 .*25%, commit abc1234 -> def5678"),
        ({"temporary_mb": 200.0}, "XLA temporaries .MB. 100 -> 200"),
    ],
)
def test_a_step_of_ours_that_worsened_fails(results, tmp_path, new, what, capsys):
    ours = row(1.0, benchmark="train_step", library="jaxsnn", times_full_speed=2.0, temporary_mb=100.0)
    del ours["ratios"], ours["peak_ratios"]
    results(ours, ours | {"times_full_speed": 2.3}, name="results/cpu-cpu/train_step.jsonl")
    check.main([], tmp_path / "results")
    assert "1 settings compared" in capsys.readouterr().out
    results(ours, ours | {"commit": "def5678"} | new, name="results/cpu-cpu/train_step.jsonl")
    with pytest.raises(SystemExit, match=what):
        check.main([], tmp_path / "results")
    check.main(["--benchmark=peers"], tmp_path / "results")
    with pytest.raises(SystemExit, match=what):
        check.main(["--benchmark=train_step"], tmp_path / "results")


def test_only_the_same_setting_is_compared(results, tmp_path, capsys):
    results(row(2.0), row(1.0, malloc="default"), row(1.0, options={"compiled": True}), row(1.0, library="third"))
    check.main([], tmp_path / "results")
    assert "0 settings compared" in capsys.readouterr().out


def test_failed_runs_are_passed_over(results, tmp_path):
    failed = row(2.0, failed="ended with code 1")
    del failed["ratios"]
    results(row(2.0), failed, row(1.5))
    with pytest.raises(SystemExit, match="worse"):
        check.main([], tmp_path / "results")


def test_a_baseline_is_compared_with_the_latest(results, tmp_path, capsys):
    baseline = results(row(2.0), name="baseline.jsonl")
    results(row(1.0), row(2.1))
    check.main([f"--baseline={baseline}"], tmp_path / "results")
    assert "1 settings compared" in capsys.readouterr().out
    results(row(2.1), row(1.0))
    with pytest.raises(SystemExit, match="worse"):
        check.main([f"--baseline={baseline}"], tmp_path / "results")
