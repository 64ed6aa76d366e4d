"""Data sets from one's own arrays."""

import jax
import numpy as np
import pytest

from jaxsnn import data, training
from jaxsnn.data import arrays
from jaxsnn.data.prepare import to_device
from tests.training import problem

X, Y = np.random.default_rng(0).random((10, 3)), np.arange(10) % 2


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([7, -1, 7, 900, -1, 900, 7, -1, 900, 7], ("-1", "7", "900")),
        (list("bacbacbacb"), ("a", "b", "c")),
        ([True, False] * 5, ("False", "True")),
    ],
)
def test_labels_are_mapped_and_keep_their_names(labels, classes):
    own = data.from_arrays((X, labels), (X[:4], labels[:4]))
    assert (own.name, own.classes, own.num_classes) == ("own", classes, len(classes))
    assert [classes[label] for label in own.train.labels] == [str(label) for label in labels]
    assert [classes[label] for label in own.test.labels] == [str(label) for label in labels[:4]]
    assert own.train.labels.dtype == np.int32


def test_samples_are_taken_as_they_are():
    """Floats are not divided, whatever they are; double precision is what JAX does not have by default."""
    for x in (255 * X.astype(np.float32), X.astype(np.float16), np.arange(120, dtype=np.uint8).reshape(10, 2, 3, 2)):
        own = data.from_arrays((x, Y), (x, Y))
        assert own.train.samples.dtype == x.dtype
        np.testing.assert_array_equal(own.test.samples, x)
    assert data.from_arrays((X, Y)).train.samples.dtype == np.float32
    assert set(np.unique(data.from_arrays((X > 0.5, Y)).train.samples)) == {0.0, 1.0}


def test_the_test_part_is_stratified_and_apart():
    y = np.repeat(["many", "some", "two", "one"], [40, 10, 2, 1])
    x = np.arange(53, dtype=np.float32)[:, None]
    own = data.from_arrays((x, y), test_part=0.3, seed=3)
    count = {name: int((own.test.labels == number).sum()) for number, name in enumerate(own.classes)}
    assert count == {"many": 12, "some": 3, "two": 1, "one": 0}
    assert sorted(np.concatenate([own.train.samples, own.test.samples])[:, 0]) == list(range(53))
    for split in (own.train, own.test):
        assert [own.classes[label] for label in split.labels] == y[split.samples[:, 0].astype(int)].tolist()
    again, other = data.from_arrays((x, y), test_part=0.3, seed=3), data.from_arrays((x, y), test_part=0.3, seed=4)
    np.testing.assert_array_equal(own.test.samples, again.test.samples)
    assert not np.array_equal(own.test.samples, other.test.samples)


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        ((X, Y[:9]), {}, r"one training label for each of the 10 samples, \[N\], got \[9\]"),
        ((X, np.eye(2)[Y]), {}, r"got \[10, 2\]; of one-hot labels pass y.argmax\(1\)"),
        ((X[:0], Y[:0]), {}, r"expected training samples \[N, ...\], N >= 1, got \[0, 3\]"),
        ((X[:, 0], Y), {}, r"expected training samples \[N, ...\], N >= 1, got \[10\]"),
        ((np.where(X[4, 1] == X, np.nan, X), Y), {}, r"training sample 4 has the value nan at \[1\]"),
        ((X, 0 * Y + 5), {}, "all 10 training labels are 5: expected two classes or more"),
        ((X, Y), {"test": (X, Y + 1)}, r"test labels \[2\] are not among the training labels \[0, 1\]"),
        ((X, Y), {"test": (X[:, :2], Y)}, r"float32 \[2\], expected float32 \[3\]"),
        ((X, Y), {"test_part": 1.0}, r"test_part must lie in \(0, 1\), got 1.0"),
        ((X[:2], Y[:2]), {}, "2 samples of 2 classes leave none to test on"),
        (([[1.0], [1.0, 2.0]], [0, 1]), {}, "training samples are not of one shape"),
        (((X > 0.5).astype(np.uint8), Y), {}, "uint8 of 0 and 1 alone, and uint8 is divided by 255"),
    ],
)
def test_bad_values(train, options, message):
    with pytest.raises(ValueError, match=message):
        data.from_arrays(train, **options)


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        ((X.astype(object), Y), {}, r"training samples are Python objects \(float\)"),
        ((X, np.array(["a", None] * 5, object)), {}, r"training labels are Python objects \(NoneType, str\)"),
        ((X.astype(int) + 300, Y), {}, "or floating .as they are., got int64 from 300 to 300: convert"),
        ((X, Y / 2), {}, "expected training labels as whole numbers or strings, got float64"),
        ((X, Y), {"test": (X, Y.astype(str))}, "test labels are <U21, training labels int64: expected one kind"),
        (X, {}, "expected the pair .samples, labels. of the training set, got ndarray"),
    ],
)
def test_bad_types(train, options, message):
    with pytest.raises(TypeError, match=message):
        data.from_arrays(train, **options)


def test_a_class_of_one_sample_stays_in_training():
    assert not arrays.stratified(np.array([3, 1, 2]), 0.5, 0).any()


def test_training_in_five_lines():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(["left", "middle", "right"], 20))
    x = (y[:, None] == ["left", "middle", "right"])[:, None, :, None] + 0.1 * rng.random((60, 1, 3, 1))

    own = data.from_arrays((x, y))
    fitting, tested = (training.Data(*to_device(*part, num_classes=own.num_classes)) for part in (own.train, own.test))
    state, step = problem.start()
    with jax.numpy_dtype_promotion("standard"):
        state = training.fit(state, step, fitting, batch_size=16, epochs=3, progress=False)
    assert problem.evaluation(state, *tested).accuracy[-1] == 1
