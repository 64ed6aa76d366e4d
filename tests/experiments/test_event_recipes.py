"""Recipes of event data: a step on files in the official layouts; generated sets from training to the report."""

import jax
import numpy as np
import pytest

from experiments import events, shd
from jaxsnn import training
from jaxsnn.data import cifar10_dvs, formats
from jaxsnn.data.events import recording
from jaxsnn.data.generators import bars, randman
from jaxsnn.lab import build, evaluate, run
from jaxsnn.lab.config import Config
from jaxsnn.lab.report.report import report
from jaxsnn.lab.splits import load_data, split
from jaxsnn.lab.sweep import sweep


def random(seed, height=128, width=128):
    rng = np.random.default_rng(seed)
    limits = (1_000_000, width, height, 2 if height > 1 else 1)
    t, x, y, p = (rng.integers(0, limit, 2000) for limit in limits)
    return recording(np.sort(t), x, y, p if height > 1 else p + 1)


def write_shd(folder):
    for part in ("train", "test"):
        formats.hdf5.write(folder / f"shd_{part}.h5", [random(n, 1, 700) for n in range(8)], np.arange(8))


def write_gestures(folder):
    for number, part in enumerate(("train", "test")):
        formats.write(folder / f"user{number}_led.aedat", random(number))
        rows = "".join(f"{n + 1},{n * 120_000},{n * 120_000 + 120_000}\n" for n in range(8))
        (folder / f"user{number}_led_labels.csv").write_text(
            f"class,startTime_usec,endTime_usec\n{rows}", encoding="utf-8"
        )
        (folder / f"trials_to_{part}.txt").write_text(f"user{number}_led.aedat\n", encoding="utf-8")


def write_pictures(folder):
    for label, name in enumerate(cifar10_dvs.NAMES):
        (folder / name).mkdir()
        for number in range(2):
            formats.write(folder / name / f"cifar10_{name}_{number}.aedat", random(label + 10 * number), "aedat2")


@pytest.mark.parametrize(
    ("preset", "write", "small"),
    [
        (shd.shd_feedforward, write_shd, {"hidden": (8, 8), "delays": 3}),
        pytest.param(*(shd.shd_recurrent, write_shd, {"hidden": (8, 8), "threshold": 0.2}), marks=pytest.mark.thorough),
        *(
            pytest.param(*given, {"width": 1 / 32, "event_downsample": 8}, marks=pytest.mark.thorough)
            for given in ((events.dvs128gesture, write_gestures), (events.cifar10_dvs, write_pictures))
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_recipes_take_a_step_on_official_files(preset, write, small, tmp_path):
    """Narrow and with few steps, but otherwise as they are; every weight moves."""
    if write is write_shd:
        pytest.importorskip("h5py")
    write(tmp_path)
    folders = {"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "cache")}
    config = preset().replace(time_steps=6, batch_size=4, validation=2, dropout=0.0, **folders, **small)
    data = load_data(config)
    program, sets = build.build(config, data), split(config, data)
    state = program.start(0)
    after = jax.jit(program.step)(state, *sets.fitting, training.epoch_order(0, 0, len(sets.fitting.labels)))
    assert np.isfinite(after.totals.loss)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), state.params, after.params)
    assert all(jax.tree.leaves(moved)), moved


@pytest.fixture
def few(monkeypatch):
    for module, train, test in ((bars, 5, 2), (randman, 60, 20)):
        monkeypatch.setattr(module, "_TRAIN", train)
        monkeypatch.setattr(module, "_TEST", test)


@pytest.mark.parametrize(
    ("preset", "more", "said"),
    [
        (
            events.moving_bars,
            {"event_polarity": "signed"},
            "4 bins of equal time, binary, polarities signed, downsampled by 4",
        ),
        (shd.randman, {"event_downsample": 2}, "4 bins of 250 ms, binary, downsampled by 2"),
    ],
    ids=["moving_bars", "randman"],
)
@pytest.mark.thorough
def test_generated_sets_reach_evaluation_report_and_sweep(few, preset, more, said, tmp_path, capsys):
    small = {"hidden": (8,), "time_steps": 4, "validation": 8, "batch_size": 8, "epochs": 1, "progress": False, **more}
    if preset is shd.randman:
        small["event_bin_ms"] = 250.0
    config = preset().replace(cache_dir=str(tmp_path / "cache"), run_dir=str(tmp_path / "run"), **small)
    summary = run.run(config, "preset")
    assert summary["data"].startswith(f"{config.data.dataset} ({said}")
    assert f"on {summary['data']}, bptt" in capsys.readouterr().out
    network = evaluate.evaluate(tmp_path / "run", which="last", part="test")["networks"][0]
    assert network["accuracy"] == summary["runs"][0]["test_accuracy"]
    page = next(path for path in report(tmp_path / "run") if path.suffix == ".html").read_text(encoding="utf-8")
    assert said in page
    if preset is shd.randman:
        config = config.replace(run_dir=str(tmp_path / "sweep"), figures=False)
        rows = sweep.sweep(config, "preset", ["event_values=binary,counts"])
        assert [row["event_values"] for row in rows] == ["binary", "counts"]


def test_bins_are_checked_with_the_configuration():
    for change, message in (
        ({"event_bins": "duration"}, "bins of a fixed duration need one above 0"),
        ({"event_bin_ms": 3.0}, "bins of a fixed duration need one above 0, and others have none"),
        ({"event_polarity": "both"}, "event_polarity must be one of apart, signed, merged, got 'both'"),
        ({"event_crop": (0, 0, 4)}, r"crop is \(top, left, height, width\) in pixels, got \(0, 0, 4\)"),
        ({"event_downsample": 0}, "event_downsample must be a whole number in"),
    ):
        with pytest.raises(ValueError, match=message):
            Config.of(dataset="moving_bars", encoding="events", **change)
