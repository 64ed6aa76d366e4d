import numpy as np

from jaxsnn import viz


def test_training_curve_draws_what_it_is_given(tmp_path):
    rows = [{"kind": "epoch", "epoch": e, "loss": 1 / e, "accuracy": 0.5, "test_accuracy": 0.1 * e} for e in (1, 2, 3)]
    figure = viz.training_curve({"seed 0": [{"kind": "train"}, *rows], "seed 1": rows})
    loss, accuracy = figure.axes
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [1, 1 / 2, 1 / 3])
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), [10, 20, 30])
    assert viz.save(figure, tmp_path / "curve.png").stat().st_size > 1000


def test_raster_marks_every_spike():
    trains = {"input": np.eye(6)[:, :4], "conv1": np.zeros((6, 2, 2, 3))}
    figure = viz.raster(trains, np.arange(18.0).reshape(6, 3), image=np.zeros((4, 4, 1)), label=2)
    first = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("input"))
    assert len(first.collections[0].get_offsets()) == 4
    assert "the answer is 2" in figure.axes[-1].get_title(loc="left")
