import numpy as np
import pytest

from jaxsnn import viz


def test_mean_and_spread_of_numbers_and_names():
    mean, spread = np.array([90.0, np.nan, 95.0]), np.array([1.0, 0.0, 2.0])
    axes = viz.mean_and_spread(mean, spread, settings=(0.001, 0.01, 0.1), setting_label="lr", label="%").axes[0]
    assert axes.get_xscale() == "log"
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [0.001, 0.01, 0.1])
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), mean)
    bars = axes.collections[0].get_segments()
    np.testing.assert_allclose(bars[-1][:, 1], [93, 97])
    figure = viz.mean_and_spread(mean, spread, settings=("a", "b", "c"), setting_label="rule", label="%")
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["a", "b", "c"]
    linear = viz.mean_and_spread(mean, spread, settings=(0.5, 0.9, 1.0), setting_label="leak", label="%")
    assert linear.axes[0].get_xscale() == "linear"


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="one mean and one spread per setting, got .2,. and .3,. for 3 settings"):
        viz.mean_and_spread(np.zeros(2), np.zeros(3), settings=(1, 2, 3), setting_label="x", label="y")


def test_heat_map_with_spread():
    values = np.array([[90.0, 95.0]])
    figure = viz.heat_map(
        values,
        rows=[0.9],
        columns=[4, 8],
        row_label="leak",
        column_label="T",
        label="%",
        form="{:.1f}",
        spread=values / 100,
    )
    assert [text.get_text() for text in figure.axes[0].texts] == ["90.0\n± 0.9", "95.0\n± 0.9"]
