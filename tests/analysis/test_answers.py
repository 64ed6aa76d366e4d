from types import SimpleNamespace

import numpy as np
import pytest

from jaxsnn import analysis

LABELS = np.array([0, 1, 1])
POTENTIALS = np.array(  # [T = 3, N = 3, classes = 3]
    [
        [[1.0, 0.5, 0.0], [0.0, 0.0, 0.2], [0.3, 0.1, 0.0]],
        [[2.0, 0.5, 0.0], [0.0, 1.0, 0.2], [0.5, 0.4, 0.0]],
        [[3.0, 0.0, 0.0], [0.0, 2.0, 0.2], [0.5, 0.9, 0.0]],
    ]
)


def test_by_hand():
    found = analysis.answers(POTENTIALS, LABELS)
    np.testing.assert_array_equal(found.correct, [[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    np.testing.assert_allclose(found.margin, [[0.5, 0.2, 0.2], [1.5, 0.8, 0.1], [3.0, 1.8, 0.4]])
    np.testing.assert_allclose(found.accuracy, [1 / 3, 2 / 3, 1])


def test_early_exit_by_hand():
    """Margin 0.5: the first sample stops after one step, the second after two, the third runs to T."""
    found = analysis.answers(POTENTIALS, LABELS)
    exits = analysis.early_exit(found, [0, 0.15, 0.5, np.inf])
    np.testing.assert_allclose(exits.steps, [1, 1, 2, 3])
    np.testing.assert_allclose(exits.accuracy, [1 / 3, 1 / 3, 1, 1])
    assert exits.cheapest(1.0) == 2
    assert exits.cheapest(0.3) == 0
    assert exits.cheapest(1.1) is None


def test_limits_of_early_exit():
    """Margin 0 is one step for everyone, infinity all T; steps never fall as the margin rises."""
    generator = np.random.default_rng(0)
    found = analysis.answers(generator.normal(size=(6, 20, 4)).cumsum(0), generator.integers(0, 4, 20))
    exits = analysis.early_exit(found)
    assert (exits.steps[0], exits.steps[-1]) == (1, 6)
    assert (exits.accuracy[0], exits.accuracy[-1]) == (found.accuracy[0], found.accuracy[-1])
    assert (np.diff(exits.steps) >= 0).all()
    with pytest.raises(ValueError, match="early exit needs at least one sample and step"):
        analysis.early_exit(analysis.Answers(np.zeros((3, 0), bool), np.zeros((3, 0))))


@pytest.mark.parametrize(
    ("accuracy", "target", "steps"),
    [([0.1, 0.8, 0.9], 0.8, 2), ([0.9, 0.7, 0.9], 0.8, 3), ([0.9, 0.9], 0.8, 1), ([0.9, 0.7], 0.8, None)],
)
def test_steps_needed_to_reach_and_stay(accuracy, target, steps):
    assert analysis.steps_needed(np.array(accuracy), target) == steps


def test_the_accuracy_that_both_reach():
    curves = {name: SimpleNamespace(accuracy=np.array(a)) for name, a in {"a": [0.9, 0.75], "b": [0.1, 0.8]}.items()}
    assert analysis.common_accuracy(curves) == 0.75
    assert analysis.common_accuracy(curves, 0.25) == 0.5
    assert analysis.common_accuracy(curves, 0.9) == 0


@pytest.mark.parametrize("shape", [(3, 3), (3, 2, 3), (3, 3, 0)])
def test_bad_shapes(shape):
    with pytest.raises(ValueError, match=r"answers need evidence \[T, N, classes\] and labels \[N\], got"):
        analysis.answers(np.zeros(shape), LABELS)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), .* got 1 to 3; .* class numbers start at 0"):
        analysis.answers(POTENTIALS, LABELS * 2 + 1)


def test_the_mean_over_steps_answers_otherwise():
    """The second sample: 0.2 for the last class at first, then 1 for the right one; the margin is of sums."""
    found = analysis.answers(np.cumsum(POTENTIALS, 0), LABELS)
    np.testing.assert_array_equal(found.correct, [[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    np.testing.assert_allclose(found.margin[1] / 2, [1.0, 0.3, 0.15])
    np.testing.assert_allclose(found.margin[2] / 3, [2 - 1 / 3, 0.8, (0.1 + 0.4 + 0.9 - 1.3) / 3])


def test_a_single_class_is_sure_at_once():
    found = analysis.answers(np.zeros((2, 3, 1)), np.zeros(3, int))
    assert np.isinf(found.margin).all()
    exits = analysis.early_exit(found)
    assert (exits.steps == 1).all()
    assert (exits.accuracy == 1).all()


def test_classes_without_samples_have_no_accuracy():
    confusion = analysis.confusion(np.array([0, 2, 2]), np.array([0, 0, 2]), 4)
    np.testing.assert_array_equal(confusion, [[1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(analysis.accuracy_per_class(confusion), [1, np.nan, 0.5, np.nan])
