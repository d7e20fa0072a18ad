"""Losses: values by hand and as in PyTorch, gradients by differences."""

import math

import numpy as np
import pytest
from gradients import assert_gradient, torch_gradients

import fastdl as fd
from fastdl import losses

LABELS = np.array([2, 0, 1, 1])
ONE_HOT = np.eye(3)[LABELS]


def probabilities(rng, shape):
    p = rng.uniform(0.1, 1, shape)
    return p / p.sum(axis=1, keepdims=True)


# ---- by hand ----

def test_softmax_cross_entropy_by_hand():
    y = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))       # softmax gives these back
    loss = losses.SoftmaxCrossEntropy()
    assert loss.forward(y, np.array([0, 2])) == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2)
    np.testing.assert_allclose(2 * loss.backward(), [[-0.5, 0.25, 0.25], [0.1, 0.1, -0.2]])


def test_cross_entropy_by_hand():
    loss = losses.CrossEntropy()
    p, t = np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([[1.0, 0], [0, 1]])
    assert loss.forward(p, t) == pytest.approx(-(math.log(0.5 + 1e-7) + math.log(0.8 + 1e-7)) / 2)
    assert losses.CrossEntropy(eps=0.5).forward(p, t) == pytest.approx(-math.log(1.3) / 2)


def test_mse_by_hand():
    loss = losses.MSE()
    y, t = np.array([[1.0, 2], [3, 4]]), np.array([[0, 2], [3, 1]])
    assert loss.forward(y, t) == (0.5 + 4.5) / 2
    np.testing.assert_array_equal(loss.backward(), [[0.5, 0], [0, 1.5]])


def test_binary_cross_entropy_by_hand():
    loss = losses.BinaryCrossEntropy()
    value = loss.forward(np.array([[0.5, 0.8]]), np.array([[1, 0]]))
    assert value == pytest.approx(-(math.log(0.5) + math.log(0.2)) / 2)
    np.testing.assert_allclose(loss.backward(), [[-1, 2.5]])


# ---- gradients, and PyTorch ----

CASES = {
    "softmax, labels": (losses.SoftmaxCrossEntropy, "scores", LABELS,
                        lambda torch: lambda y, t: torch.nn.functional.cross_entropy(y, t)),
    "softmax, one-hot": (losses.SoftmaxCrossEntropy, "scores", ONE_HOT,
                         lambda torch: lambda y, t: torch.nn.functional.cross_entropy(y, t)),
    "softmax, smooth": (losses.SoftmaxCrossEntropy, "scores", 0.8 * ONE_HOT + 0.2 / 3,
                        lambda torch: lambda y, t: torch.nn.functional.cross_entropy(y, t)),
    "cross-entropy": (losses.CrossEntropy, "probabilities", ONE_HOT,
                      lambda torch: lambda y, t: -(t * torch.log(y + 1e-7)).sum(1).mean()),
    "mse": (losses.MSE, "scores", ONE_HOT,
            lambda torch: lambda y, t: torch.nn.functional.mse_loss(y, t) * y.shape[1] / 2),
    "binary": (losses.BinaryCrossEntropy, "probabilities", ONE_HOT,
               lambda torch: torch.nn.functional.binary_cross_entropy),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request, rng):
    kind, domain, t, twin = request.param
    y = rng.standard_normal((4, 3)) if domain == "scores" else probabilities(rng, (4, 3))
    return kind(), y, t, twin


def test_gradients_are_the_differences(case):
    loss, y, t, _ = case
    loss.forward(y, t)
    assert_gradient(loss.backward(), lambda y: loss.forward(y, t), y)


def test_as_in_pytorch(case):
    torch = pytest.importorskip("torch")
    loss, y, t, twin = case
    expected, (dy,) = torch_gradients(torch, lambda y: twin(torch)(y, torch.tensor(t)), [y], 1.0)
    assert loss.forward(y, t) == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(loss.backward(), dy, rtol=1e-10, atol=1e-14)


def test_values_are_floats_and_gradients_keep_the_dtype(case):
    loss, y, t, _ = case
    value = loss.forward(y.astype(np.float32), t)
    assert type(value) is float
    dy = loss.backward()
    assert dy.dtype == np.float32
    assert dy.shape == y.shape


def test_arguments_are_not_changed(case):
    loss, y, t, _ = case
    y, t = y.copy(), t.copy()
    y.flags.writeable = t.flags.writeable = False
    loss(y, t)
    loss.backward()


def test_a_sample_more_or_less_does_not_change_the_scale(case):
    """The loss is a mean over the batch: the same samples twice give the same loss."""
    loss, y, t, _ = case
    once = loss.forward(y, t)
    assert loss.forward(np.concatenate([y, y]), np.concatenate([t, t])) == pytest.approx(once)


# ---- correct predictions ----

def test_count_correct():
    y = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    t = np.array([1, 2, 2])
    for loss in (losses.SoftmaxCrossEntropy(), losses.CrossEntropy()):
        assert loss.count_correct(y, t) == 2
        assert loss.count_correct(y, np.eye(3)[t]) == 2
    assert losses.MSE().count_correct(y, np.eye(3)[t]) is None


def test_count_correct_of_binary_targets():
    loss = losses.BinaryCrossEntropy()
    assert loss.count_correct(np.array([0.9, 0.2, 0.6]), np.array([1, 0, 0])) == 2
    # With several outputs, all of a sample's must be right.
    assert loss.count_correct(np.array([[0.9, 0.2], [0.9, 0.2]]), np.array([[1, 0], [1, 1]])) == 1


# ---- errors, names ----

@pytest.mark.parametrize("kind", [losses.SoftmaxCrossEntropy, losses.MSE])
def test_backward_needs_forward(kind):
    with pytest.raises(fd.GraphError, match=f"{kind.__name__}.backward: call forward first"):
        kind().backward()


@pytest.mark.parametrize(("loss", "t", "error", "message"), [
    ("softmax_cross_entropy", [0, 3], fd.ArgumentError, "t has label 3, but x has 3 classes"),
    ("softmax_cross_entropy", [0, -1], fd.ArgumentError, "t has label -1"),
    ("softmax_cross_entropy", [0.0, 1.0], fd.DTypeError, "class indices t must be integers"),
    ("softmax_cross_entropy", [0, 1, 2], fd.ShapeError, r"t must be class indices \(2,\)"),
    ("mse", [[0, 1]], fd.ShapeError, r"mse: t must be \(2, 3\)"),
])
def test_targets_that_do_not_fit(loss, t, error, message):
    with pytest.raises(error, match=message):
        losses.get(loss).forward(np.zeros((2, 3)), np.array(t))


def test_get():
    for name, kind in (("softmax_cross_entropy", losses.SoftmaxCrossEntropy), ("mse", losses.MSE),
                       ("cross_entropy", losses.CrossEntropy),
                       ("binary_cross_entropy", losses.BinaryCrossEntropy)):
        assert type(losses.get(name)) is kind
    mine = losses.MSE()
    assert losses.get(mine) is mine
    for wrong in ("mae", None, ["mse"]):
        with pytest.raises(fd.ArgumentError, match=r"unknown loss .*; there are: softmax_cross"):
            losses.get(wrong)


def test_own_loss_is_two_functions():
    class Absolute(losses.Loss):
        def value(self, y, t):
            return float(np.abs(y - t).mean()), (y, t)

        def gradient(self, y, t):
            return np.sign(y - t) / y.size

    loss, y = Absolute(), np.array([[1.0, -2.0]])
    assert loss.forward(y, np.zeros((1, 2))) == 1.5
    np.testing.assert_array_equal(loss.backward(), [[0.5, -0.5]])
    assert loss.count_correct(y, y) is None
    for method in ("value", "gradient"):
        with pytest.raises(NotImplementedError):
            getattr(losses.Loss(), method)(y, y)


@pytest.mark.parametrize("dense", [False, True])
def test_label_smoothing_as_pytorch(dense, rng):
    torch = pytest.importorskip("torch")
    y, t = rng.standard_normal((6, 5)), np.array([0, 4, 2, 2, 1, 3])
    targets = rng.dirichlet(np.ones(5), 6) if dense else t
    loss = fd.losses.SoftmaxCrossEntropy(label_smoothing=0.2)
    tensor = torch.tensor(y, requires_grad=True)
    expected = torch.nn.CrossEntropyLoss(label_smoothing=0.2)(tensor, torch.tensor(targets))
    expected.backward()
    assert loss.forward(y, targets) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(loss.backward(), tensor.grad.numpy(), rtol=1e-10, atol=1e-15)
    assert loss.count_correct(y, t) == (y.argmax(1) == t).sum()


def test_label_smoothing_in_a_planned_step(rng):
    x, t = rng.standard_normal((6, 4)).astype("float32"), np.array([0, 2, 2, 1, 1, 0])
    fd.seed(0)
    net = fd.Sequential(fd.layers.Linear(4, 3))
    loss = fd.losses.SoftmaxCrossEntropy(label_smoothing=0.3)
    expected = loss.forward(net.forward(x), t)
    assert fd.Trainer(net, loss).step(x, t) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(fd.ArgumentError, match=r"t has label 3, but x has 3 classes"):
        loss.forward(net.forward(x), t + 1)
    with pytest.raises(fd.ArgumentError, match="label_smoothing must be in"):
        fd.losses.SoftmaxCrossEntropy(1.5)
