"""Losses against hand-made values, PyTorch and differences."""

import numpy as np
import pytest
from gradients import assert_gradient, torch_gradients

import fastdl as fd
from fastdl import ops

LABELS = np.array([2, 0, 1, 2])


@pytest.fixture
def scores(rng):
    return rng.standard_normal((4, 3)) * 2


@pytest.fixture
def soft(rng):
    return rng.dirichlet(np.ones(3), 4)


@pytest.fixture
def probabilities(rng):
    return rng.uniform(0.1, 0.9, (4, 3))


def test_softmax_cross_entropy_by_hand():
    x = np.log(np.array([[1.0, 3], [2, 2]]))
    loss, p = ops.softmax_cross_entropy(x, np.array([1, 0]), return_probabilities=True)
    np.testing.assert_allclose(p, [[0.25, 0.75], [0.5, 0.5]])
    assert loss == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2)
    np.testing.assert_allclose(ops.softmax_cross_entropy_backward(p, np.array([1, 0])),
                               [[0.125, -0.125], [-0.25, 0.25]])


def test_softmax_cross_entropy_does_not_overflow():
    x = np.array([[1e4, 0.0], [-1e4, 0.0]])
    assert ops.softmax_cross_entropy(x, np.array([1, 1])) == 5000


def test_labels_and_one_hot_targets_agree(scores):
    one_hot = np.eye(3)[LABELS]
    for t in (one_hot, one_hot.astype(int), one_hot.astype(bool)):
        assert ops.softmax_cross_entropy(scores, t) == pytest.approx(
            ops.softmax_cross_entropy(scores, LABELS), rel=1e-14)
    p = ops.softmax(scores)
    np.testing.assert_allclose(ops.softmax_cross_entropy_backward(p, one_hot),
                               ops.softmax_cross_entropy_backward(p, LABELS), atol=1e-16)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64, np.dtype(">i4")])
def test_labels_of_any_integer_dtype(dtype, scores):
    assert (ops.softmax_cross_entropy(scores, LABELS.astype(dtype))
            == ops.softmax_cross_entropy(scores, LABELS))


@pytest.mark.parametrize("kind", ["labels", "soft"])
def test_softmax_cross_entropy_as_pytorch(kind, scores, soft, torch):
    t = {"labels": LABELS, "soft": soft}[kind]
    loss, p = ops.softmax_cross_entropy(scores, t, return_probabilities=True)
    expected, (gradient,) = torch_gradients(
        torch, lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(t)), [scores], 0.7)
    assert loss == pytest.approx(expected.item(), rel=1e-13)
    np.testing.assert_allclose(ops.softmax_cross_entropy_backward(p, t, 0.7), gradient,
                               rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", ["labels", "soft", "sum of 2"])
def test_softmax_cross_entropy_gradients(kind, scores, soft):
    t = {"labels": LABELS, "soft": soft, "sum of 2": 2 * soft}[kind]
    _, p = ops.softmax_cross_entropy(scores, t, return_probabilities=True)
    assert_gradient(ops.softmax_cross_entropy_backward(p, t),
                    lambda x: ops.softmax_cross_entropy(x, t), scores)


@pytest.mark.parametrize("kind", ["labels", "soft", "sum of 2"])
def test_softmax_cross_entropy_with_gradient_as_pytorch(kind, scores, soft, torch):
    t = {"labels": LABELS, "soft": soft, "sum of 2": 2 * soft}[kind]
    loss, dx = ops.softmax_cross_entropy_with_gradient(scores, t, 0.7)
    expected, (gradient,) = torch_gradients(
        torch, lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(t)), [scores], 0.7)
    assert loss == pytest.approx(expected.item(), rel=1e-13)
    np.testing.assert_allclose(dx, gradient, rtol=1e-12, atol=1e-15)


def test_dense_targets_over_many_classes(rng):
    """Scores far from 0, whose logarithms only a subtraction in the right order leaves exact."""
    x = (rng.standard_normal((3, 5003)) + 1e3).astype("f4")
    t = rng.dirichlet(np.ones(5003), 3).astype("f4")
    exact = x.astype("f8") - 1e3
    log_p = exact - np.log(np.exp(exact).sum(axis=1, keepdims=True))
    expected = -(t.astype("f8") * log_p).sum(axis=1).mean()
    assert ops.softmax_cross_entropy(x, t) == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("wrong", [-1, 3, 2**62, -2**63])
def test_label_outside_names_it(wrong, scores):
    t = LABELS.copy()
    t[1] = wrong
    with pytest.raises(fd.ArgumentError, match=f"with_gradient: t has label {wrong}, but x has 3"):
        ops.softmax_cross_entropy_with_gradient(scores, t)


def test_cross_entropy_by_hand():
    p, t = np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([[0.0, 1], [1, 1]])
    assert ops.cross_entropy(p, t, eps=0) == pytest.approx(-np.log(0.75 * 0.25) / 2)
    np.testing.assert_allclose(ops.cross_entropy_backward(p, t, eps=0),
                               [[0, -1 / 1.5], [-1, -1]])
    assert ops.cross_entropy(np.array([[0.0]]), np.array([[1.0]])) == pytest.approx(-np.log(1e-7))


def test_mse_by_hand():
    y, t = np.array([[1.0, 2], [3, 4]]), np.array([[0.0, 0], [3, 2]])
    assert ops.mse(y, t) == (1 + 4 + 0 + 4) / 2 / 2
    np.testing.assert_array_equal(ops.mse_backward(y, t), [[0.5, 1], [0, 1]])


def test_binary_cross_entropy_by_hand():
    p, t = np.array([[0.25], [0.5]]), np.array([[1.0], [0]])
    assert ops.binary_cross_entropy(p, t) == pytest.approx(np.log(8) / 2)
    np.testing.assert_allclose(ops.binary_cross_entropy_backward(p, t), [[-2], [1]])


def test_binary_cross_entropy_is_bounded():
    certain = np.array([[0.0, 1.0]])
    assert ops.binary_cross_entropy(certain, certain) == 0
    assert ops.binary_cross_entropy(certain, 1 - certain) == 100


@pytest.mark.parametrize("shape", [(4, 3), (12,)], ids=str)
def test_binary_cross_entropy_as_pytorch(shape, probabilities, soft, torch):
    p, t = probabilities.reshape(shape), soft.reshape(shape)
    expected, (gradient,) = torch_gradients(
        torch, lambda x: torch.nn.functional.binary_cross_entropy(x, torch.tensor(t)), [p], 0.7)
    assert ops.binary_cross_entropy(p, t) == pytest.approx(expected.item(), rel=1e-13)
    np.testing.assert_allclose(ops.binary_cross_entropy_backward(p, t, 0.7), gradient, rtol=1e-12)


def test_mse_as_pytorch(scores, soft, torch):
    expected, (gradient,) = torch_gradients(
        torch, lambda y: (y - torch.tensor(soft)).square().sum(1).mean() / 2, [scores], 0.7)
    assert ops.mse(scores, soft) == pytest.approx(expected.item(), rel=1e-13)
    np.testing.assert_allclose(ops.mse_backward(scores, soft, 0.7), gradient, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, bool])
def test_targets_are_data_and_take_the_dtype_of_the_predictions(dtype, probabilities):
    p, t = probabilities.astype(np.float32), np.eye(4, 3)
    assert ops.mse(p, t.astype(dtype)) == ops.mse(p, t.astype(np.float32))
    assert ops.mse_backward(p, t.astype(dtype)).dtype == np.float32
    assert (ops.softmax_cross_entropy(p, t.astype(dtype))
            == ops.softmax_cross_entropy(p, t.astype(np.float32)))


@pytest.mark.parametrize("name", ["mse", "cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("shape", [(4, 3), (12,), (2, 3, 2)], ids=str)
def test_gradients(name, shape, probabilities, soft):
    loss, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
    p, t = probabilities.reshape(shape), soft.reshape(shape)
    dx = backward(p, t, dloss=0.5)
    assert dx.shape == shape
    assert_gradient(dx, lambda p: loss(p, t), p, 0.5)
