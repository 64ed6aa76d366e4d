"""A run folder as a page: whole, in parts, damaged; and as a browser shows it."""

import json
import shutil

import jax
import pytest
from matplotlib.figure import Figure

from jaxsnn.lab import run
from jaxsnn.lab.report import report
from tests.browser import Browser, find
from tests.experiments.test_page import Reader
from tests.experiments.test_run import small

PNGS = ("training_curve", "accuracy_over_time", "confusion", "raster", "membranes", "input", "filters")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run of two seeds, with its report."""
    where = tmp_path_factory.mktemp("runs") / "run"
    with jax.numpy_dtype_promotion("standard"):
        run.run(small(where, seeds=2, epochs=1, width=0.25), "digits")
        report.report(where)
    return where


@pytest.fixture
def copy(folder, tmp_path, monkeypatch):
    """A copy to spoil, whose report draws empty pictures: nine in ten seconds are matplotlib's."""

    def empty(figure, stream, *, format, **options):
        stream.write("<svg></svg>" if format == "svg" else b"")

    monkeypatch.setattr(Figure, "savefig", empty)
    return shutil.copytree(folder, tmp_path / "run")


def words(where):
    return " ".join("".join(Reader((where / "report.html").read_text(encoding="utf-8")).words).split())


def test_a_whole_page(folder):
    html = (folder / "report.html").read_text(encoding="utf-8")
    read, said = Reader(html), words(folder)
    sections = [attributes["id"] for tag, attributes in read.tags if tag == "section"]
    assert sections == [
        "results",
        "training",
        "accuracy",
        "inside",
        "input",
        "activity",
        "energy",
        "conversion",
        "origin",
    ]
    for one in json.loads((folder / "results.json").read_text(encoding="utf-8"))["runs"]:
        assert f"{100 * one['test_accuracy']:.2f} %" in said
    assert "LeNet on the digits" in said
    assert "2 seeds" in said
    assert "python -m jaxsnn.lab.convert --run=" in said
    assert jax.__version__ in said
    assert "not finished" not in said
    for name in PNGS:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    pictures = [attributes for tag, attributes in read.tags if tag == "svg"]
    assert len(pictures) >= 10
    assert all(len(attributes["aria-label"]) > 20 for attributes in pictures)
    assert all(reference.startswith(("#", "data:")) for reference in read.references)
    assert "http:" not in html
    assert "https:" not in html
    assert len(set(read.ids)) == len(read.ids)


def test_a_folder_without_checkpoints_that_is_not_finished(copy, capsys):
    """Cut short in the second seed: what is missing is said on the page and in the terminal."""
    (copy / "results.json").unlink()
    (copy / "evaluation.json").unlink()
    shutil.rmtree(copy / "seed0" / "checkpoints")
    shutil.rmtree(copy / "seed1" / "checkpoints")
    lines = (copy / "seed1" / "metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (copy / "seed1" / "metrics.jsonl").write_text("".join(lines[:4]) + lines[4][:20], encoding="utf-8")
    report.report(copy)
    said, told = words(copy), capsys.readouterr().err
    for sentence in ("The run is not finished", "Not evaluated: no checkpoint in", "There is no checkpoint in"):
        assert sentence in said
        assert sentence in told
    assert "So far: seed0 1 of 1 epochs" in said
    assert "is damaged" not in said  # a last line cut short is how a killed run ends


def test_damaged_files_are_named_and_left_out(copy, capsys):
    for name in ("results.json", "environment.json", "convert.json"):
        (copy / name).write_text("{", encoding="utf-8")
    (copy / "seed0" / "checkpoints").rename(copy / "seed0" / "elsewhere")
    (copy / "seed1" / "checkpoints").rename(copy / "seed1" / "elsewhere")
    metrics = copy / "seed0" / "metrics.jsonl"
    metrics.write_text("{\n" + metrics.read_text(encoding="utf-8"), encoding="utf-8")
    report.report(copy)
    said = words(copy)
    for name in ("results.json", "environment.json", "convert.json"):
        assert f"{name} is damaged and left out" in said
    assert "Left out are the rows of seed0: line 1 of" in said
    for rubbish in ('{"which": "selected"}', '{"which": "last", "part": "test", "networks": [{"run": "seed0"}]}'):
        (copy / "evaluation.json").write_text(rubbish, encoding="utf-8")
        report.report(copy)
        assert "Not evaluated: line 1 of" in capsys.readouterr().err


def test_a_converted_network_is_shown(copy):
    curve = {"accuracy_at_step": [0.1, 0.5, 0.9]}
    equal = {"target": 0.5, "direct": {"steps": 2, "spikes": 10}, "converted": {"steps": 300, "spikes": 4000}}
    found = {
        "samples": 40,
        "relu": {"accuracy": 0.95},
        "direct": curve,
        "converted": {"accuracy_at_step": [0.1] * 299 + [0.9]},
        "equal_accuracy": equal | {"steps_ratio": 150.0, "spikes_ratio": 400.0},
    }
    (copy / "convert.json").write_text(json.dumps(found), encoding="utf-8")
    for one in ("seed0", "seed1"):
        shutil.rmtree(copy / one / "checkpoints")
    report.report(copy)
    said = words(copy)
    assert "To reach 50.00 % the converted network needs 150 times the steps and 400 times the spikes" in said
    assert "95.00 %" in said
    assert (copy / "conversion.png").exists()


def test_folders_that_hold_no_run_of_this_version(copy, tmp_path):
    with pytest.raises(ValueError, match="holds no run .no config.json.: give the folder that the training printed"):
        report.report(tmp_path / "nowhere")
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps(config | {"flux": 1}), encoding="utf-8")
    with pytest.raises(ValueError, match="unknown fields flux: it was written by another version"):
        report.report(copy)
    for rubbish in ("{", "[]"):
        (copy / "config.json").write_text(rubbish, encoding="utf-8")
        with pytest.raises(ValueError, match="config.json is damaged"):
            report.report(copy)


def test_a_sample_that_is_not_there(copy, capsys):
    report.report(copy, sample=10**6)
    sentence = "sample must be one of the test samples 0 to 39, got 1000000"
    assert sentence in capsys.readouterr().err
    assert sentence in words(copy)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    find()
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser(folder, browser, tmp_path, width, dark):
    """Opens from disk: nothing else is requested, nothing complained about, nothing wider than the window; all text and
    curves stand out from the page."""
    browser.requests.clear()
    browser.open(folder / "report.html", width=width, dark=dark)
    assert browser.complaints == []
    assert browser.requests[0].startswith("file://")
    assert all(url.startswith("data:") for url in browser.requests[1:])
    assert browser.ask("document.documentElement.scrollWidth") <= width
    sizes = browser.ask("[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().width)")
    assert min(size for size in sizes if size) > 300  # of each figure the wide or the narrow form is shown
    figures = "[...document.querySelectorAll('figure')]"
    shown = browser.ask(f"{figures}.map(f => [...f.querySelectorAll('svg')].filter(s => s.clientWidth).length)")
    assert set(shown) == {1}
    colours = (
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('svg text')).fill]"
    )
    page, ink = (sum(map(int, c[4:-1].split(","))) / 3 for c in browser.ask(colours))
    assert (page < 60 and ink > 200) if dark else (page > 200 and ink < 60)
    letters = "[...document.querySelectorAll('svg text')].filter(t => t.getBoundingClientRect().width)"
    assert min(browser.ask(f"{letters}.map(t => t.getBoundingClientRect().height)")) > 8
    assert browser.picture(tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
