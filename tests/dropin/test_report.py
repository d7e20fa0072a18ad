"""``--report``: what is counted, and that the plain code does what the layers do."""

# ruff: noqa: NPY002  (the course draws from NumPy's global state)

import numpy as np
import pytest

from fastdl.dropin import plain
from fastdl.dropin.report import Report
from fastdl.dropin.zero1.common import layers

RNG = np.random.default_rng(0)
X4, X2 = RNG.standard_normal((5, 3, 9, 8)), RNG.standard_normal((5, 7))
LAYERS = [
    (layers.Convolution(RNG.standard_normal((4, 3, 3, 2)), RNG.standard_normal(4), 2, 1), X4),
    (layers.Pooling(2, 3, stride=2), X4),
    (layers.Affine(RNG.standard_normal((7, 4)), RNG.standard_normal(4)), X2),
    (layers.Affine(RNG.standard_normal((216, 4)), RNG.standard_normal(4)), X4),
    (layers.Relu(), X2),
    (layers.Sigmoid(), X2),
    (layers.BatchNormalization(RNG.random(7), RNG.random(7)), X2),
    (layers.Dropout(0.4), X2),
]


@pytest.mark.parametrize(("layer", "x"), LAYERS, ids=lambda case: type(case).__name__)
def test_plain_layers_compute_what_the_layers_compute(layer, x):
    forward, backward = plain.LAYERS[type(layer).__name__]
    np.random.seed(3)
    theirs, saved = forward(layer, x)
    ours = layer.forward(x)
    np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-12)
    dy = RNG.standard_normal(ours.shape)
    np.testing.assert_allclose(backward(layer, dy, saved), layer.backward(dy), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("one_hot", [False, True])
def test_plain_softmax_with_loss(one_hot):
    t = RNG.integers(0, 7, 5)
    t = np.eye(7)[t] if one_hot else t
    layer = layers.SoftmaxWithLoss()
    forward, backward = plain.LAYERS["SoftmaxWithLoss"]
    theirs, saved = forward(layer, X2, t)
    assert theirs == pytest.approx(layer.forward(X2, t), rel=1e-9)
    np.testing.assert_allclose(backward(layer, 1, saved), layer.backward(), rtol=1e-9)


def test_the_random_state_stays_what_it_was():
    np.random.seed(5)
    expected = np.random.rand(40)
    np.random.seed(5)
    with Report("zero1"):
        first = layers.Dropout(0.5).forward(np.ones(20))
    assert np.array_equal(first, expected[:20] > 0.5)
    assert np.array_equal(np.random.rand(20), expected[20:])


def test_calls_are_counted_by_class_shape_and_direction(capsys):
    relu = layers.Relu()
    with Report("zero1") as report:
        for rows in (4, 4, 5):
            relu.forward(np.ones((rows, 2)))
        relu.backward(np.ones((5, 2)))
    counts = {(kind.name, kind.shape, direction): times.calls
              for (kind, direction), times in report.times.items()}
    assert counts == {("Relu", (4, 2), "forward"): 2, ("Relu", (5, 2), "forward"): 1,
                      ("Relu", (5, 2), "backward"): 1}
    assert all(times.seconds > 0 and times.in_plain_numpy > 0 for times in report.times.values())
    relu.forward(np.ones((4, 2)))
    assert sum(times.calls for times in report.times.values()) == 4
    assert capsys.readouterr().err.startswith("fastdl: report: ")


def test_layers_of_the_users_own_count_once():
    class Mine(layers.Affine):
        def forward(self, x):
            return super().forward(x) + 1

    with Report("zero1") as report:
        Mine(np.ones((2, 3)), np.zeros(3)).forward(np.ones((4, 2)))
    assert [times.calls for times in report.times.values()] == [1]


def test_arguments_by_name_and_errors_go_through():
    with Report("zero1") as report:
        layers.SoftmaxWithLoss().forward(x=X2, t=np.zeros(5, int))
        with pytest.raises(Exception, match=r"2|5"):
            layers.Affine(np.ones((2, 3)), np.zeros(3)).forward(np.ones((4, 5)))
    assert not report._inside


def test_nothing_called():
    with Report("studyai") as report:
        pass
    assert str(report).endswith("no layer of the course was called")
