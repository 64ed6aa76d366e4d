import numpy as np
import pytest
from matplotlib.colors import to_hex

from jaxsnn import viz
from jaxsnn.viz import style
from jaxsnn.viz.images import picture

WIDTHS = (8.4, 4.2)


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


@pytest.mark.parametrize("width", WIDTHS)
def test_training_curve_draws_what_it_is_given(tmp_path, width):
    rows = [{"kind": "epoch", "epoch": e, "loss": 1 / e, "accuracy": 0.5, "test_accuracy": 0.1 * e} for e in (1, 2, 3)]
    figure = viz.training_curve({"seed 0": [{"kind": "train"}, *rows], "seed 1": rows}, width=width)
    loss, accuracy = figure.axes
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [1, 1 / 2, 1 / 3])
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), [10, 20, 30])
    assert viz.save(figure, tmp_path / "curve.png").stat().st_size > 1000


@pytest.mark.parametrize("width", WIDTHS)
def test_raster_marks_every_spike(width):
    trains = {"input": np.eye(6)[:, :4], "conv1": np.zeros((6, 2, 2, 3))}
    figure = viz.raster(trains, np.arange(18.0).reshape(6, 3), image=np.zeros((4, 4, 1)), label=2, width=width)
    first = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("input"))
    assert len(first.collections[0].get_offsets()) == 4
    assert "the answer is 2" in titles(figure)[-1]
    names = {"answer": 0, "names": ("cat", "dog", "owl")}
    named = viz.raster(trains, np.arange(18.0).reshape(6, 3), image=np.zeros((4, 4, 1)), label=2, width=width, **names)
    assert "the answer is cat" in titles(named)[-1]
    assert named.axes[0].get_title() == "class owl"
    assert figure.get_figwidth() == width


@pytest.mark.parametrize("width", WIDTHS)
def test_spikes_per_layer(width):
    figure = viz.spikes_per_layer({"conv1": 30.0, "fc1": 0.0}, {"conv1": 100, "fc1": 10}, steps=10, width=width)
    totals, rates = figure.axes
    assert [bar.get_width() for bar in totals.patches] == [30, 0]
    assert [bar.get_width() for bar in rates.patches] == [3, 0]  # 30 spikes of 100 neurons in 10 steps: 3 %
    assert [text.get_text() for text in rates.texts] == ["3.00 %", "0.00 %"]


def test_membrane_traces_show_threshold_and_spikes():
    potential = np.array([0.4, 0.8, 1.2, 0.1])
    figure = viz.membrane_traces({"a": potential}, {"a": potential > 1}, {"a": 1.0})
    threshold, trace, spikes = figure.axes[0].lines
    assert list(threshold.get_ydata()) == [1, 1]
    np.testing.assert_array_equal(trace.get_ydata(), potential)
    assert list(spikes.get_xdata()) == [2]
    assert titles(figure) == ["a: 1 spike"]
    with pytest.raises(ValueError, match="of the same neurons, got .'a'., .'b'. and .'a'."):
        viz.membrane_traces({"a": potential}, {"b": potential}, {"a": 1.0})


@pytest.mark.parametrize(("channels", "panels"), [(1, 1), (2, 2), (3, 1)])
def test_filters_are_all_there(channels, panels):
    kernel = np.random.default_rng(0).normal(size=(3, 3, channels, 10))
    figure = viz.filters(kernel)
    images = [axes.images[0].get_array() for axes in figure.axes]
    assert len(images) == panels
    if channels == 1:
        tiles = np.asarray(images[0].filled(np.nan))
        np.testing.assert_array_equal(np.sort(tiles[~np.isnan(tiles)]), np.sort(kernel.ravel()))
        np.testing.assert_array_equal(tiles[:3, 4:7], kernel[:, :, 0, 1])  # the second filter, right of the first
    with pytest.raises(ValueError, match="kernel .height, width, channels, features., got shape .3, 3."):
        viz.filters(kernel[:, :, 0, 0])


def test_input_against_image_sums_spikes():
    train = np.zeros((8, 4, 4, 1))
    train[:, 0, 0], train[4:, 1, 1] = 1, 1
    figure = viz.input_against_image(np.zeros((4, 4, 1)), train)
    assert [axes.get_title() for axes in figure.axes] == [
        "image",
        *(f"spikes of {n}" for n in ("1 step", "2 steps", "8 steps")),
    ]
    last = figure.axes[-1].images[0].get_array()
    assert last[0, 0, 0] == 1
    assert last[1, 1, 0] == 0.5
    assert len(viz.input_against_image(None, train).axes) == 3


def test_pictures():
    """Grey stays grey, signed values lie around mid-grey, polarities have colours of their own, all in [0, 1]."""
    assert picture(np.array([[[2.0], [1.0]]])).tolist() == [[[1, 1, 1], [0.5, 0.5, 0.5]]]
    assert picture(np.array([[[-1.0, 0, 1]]])).tolist() == [[[0, 0.5, 1]]]
    off, on = picture(np.array([[[1.0, 0], [0, 1]]]))[0]
    assert off.argmax() == 2
    assert on.argmax() == 0
    assert picture(np.zeros((2, 2, 5))).shape == (2, 2, 3)
    values = picture(np.random.default_rng(0).normal(size=(4, 4, 2)))
    assert values.min() >= 0
    assert values.max() <= 1


def test_accuracy_over_time_of_different_lengths():
    figure = viz.accuracy_over_time({"direct": np.array([0.1, 0.9]), "converted": np.linspace(0, 1, 2500)})
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert list(axes.lines[0].get_xdata()) == [1, 2]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [10, 90])
    assert viz.accuracy_over_time({"direct": np.array([0.5])}).axes[0].get_xscale() == "linear"
    for nothing in ({}, {"direct": np.array([])}):
        with pytest.raises(ValueError, match="at least one curve, and one accuracy in each"):
            viz.accuracy_over_time(nothing)


def test_confusion_writes_its_numbers_where_they_can_be_read():
    figure = viz.confusion(np.array([[3, 1], [0, 4]]))
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["1", "3", "4"]
    assert not viz.confusion(np.eye(100, dtype=int)).axes[0].texts


def test_energy_bars():
    figure = viz.energy_bars({"ReLU": {"conv1": 8.0, "pool1": 0.0}, "spiking": {"conv1": 2.0, "pool1": 1.0}})
    assert [bar.get_width() for bar in figure.axes[0].patches] == [8, 2, 1]
    with pytest.raises(ValueError, match="needs the same layers for all"):
        viz.energy_bars({"ReLU": {"conv1": 8.0}, "spiking": {"conv2": 2.0}})
    with pytest.raises(ValueError, match="needs the same layers for all"):
        viz.energy_bars({})


def test_heat_map():
    options = {"row_label": "leak", "column_label": "T", "label": "accuracy"}
    figure = viz.heat_map(np.array([[0.1, np.nan], [0.3, 0.9]]), rows=[0.5, 1.0], columns=[8, 16], **options)
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.1", "0.3", "0.9"]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["8", "16"]
    with pytest.raises(ValueError, match=r"needs values \[1, 2\], rows by columns, got \(2, 2\)"):
        viz.heat_map(np.zeros((2, 2)), rows=[1], columns=[1, 2], **options)


def test_svg_takes_the_colour_of_its_page_and_refers_to_nothing_outside():
    figure = viz.training_curve({"a": [{"kind": "epoch", "epoch": 1, "loss": 1.0, "accuracy": 0.5}]})
    text = viz.svg(figure, "curve")
    assert text.startswith("<svg viewBox=")
    assert text.endswith("</svg>")
    assert "currentColor" in text
    assert style.INK not in text
    assert "http" not in text
    assert ">epoch</text>" in text
    assert 'id="curve-' in text
    assert "url(#curve-" in text


def test_colours_can_be_read_on_white_and_on_black():
    """A contrast of at least 3 to 1 (WCAG's for graphics) on both pages."""

    def luminance(colour):
        channels = np.array([int(to_hex(colour)[n : n + 2], 16) / 255 for n in (1, 3, 5)])
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for colour in (*style.COLOURS, style.MUTED):
        for page in ("#ffffff", "#16181c"):
            low, high = sorted((luminance(colour), luminance(page)))
            assert (high + 0.05) / (low + 0.05) >= 3, (colour, page)


def test_a_notebook_shows_figures_without_pyplot():
    figure = viz.accuracy_over_time({"test": np.array([0.1, 0.9])})
    assert figure._repr_png_().startswith(b"\x89PNG")
