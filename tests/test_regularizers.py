"""Regularizers: penalties by hand, gradients by differences, and where they act."""

import numpy as np
import pytest

import fastdl as fd
from fastdl.layers import ActivityRegularization, BatchNorm1d, Linear, ReLU
from fastdl.optimizers import SGD
from fastdl.regularizers import L1, L1L2, L2

W = np.array([[0.5, -2.0], [0.0, 1.0]])


@pytest.mark.parametrize(("regularizer", "penalty", "gradient"), [
    (L1(0.1), 0.35, [[0.1, -0.1], [0, 0.1]]),
    (L2(0.1), 0.525, [[0.1, -0.4], [0, 0.2]]),
    (L1L2(0.1, 0.01), 0.4025, [[0.11, -0.14], [0, 0.12]])], ids=repr)
def test_by_hand(regularizer, penalty, gradient):
    assert regularizer.penalty(W) == pytest.approx(penalty, rel=1e-15)
    np.testing.assert_allclose(regularizer.gradient(W), gradient, rtol=1e-15)
    assert regularizer.gradient(W.astype(np.float32)).dtype == np.float32


def test_names():
    assert (fd.regularizers.get("l1").l1, fd.regularizers.get("l2").l2) == (0.01, 0.01)
    assert fd.regularizers.get(None) is None
    own = L1(3)
    assert fd.regularizers.get(own) is own
    with pytest.raises(fd.ArgumentError, match="unknown regularizer 'l3'; there are: l1, l2, or"):
        fd.regularizers.get("l3")


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_factors_out_of_range(value):
    with pytest.raises(fd.ArgumentError, match="L1: l1 must be finite and at least 0"):
        L1(value)


# ---- weights ----

def weighted(regularizer):
    fd.seed(3)
    net = fd.Sequential(Linear(3, 4), BatchNorm1d(4), ReLU(), Linear(4, 2)).astype("float64")
    return fd.Trainer(net, optimizer=SGD(lr=0.5), weight_regularizer=regularizer)


@pytest.mark.parametrize("planned", [True, False])
def test_the_trainer_adds_the_gradient_to_weights_alone(planned, rng, monkeypatch):
    """One step with it differs from one without by lr × gradient of the penalty."""
    x, t = rng.standard_normal((6, 3)), np.array([0, 1, 0, 1, 1, 0])
    plain, with_it = weighted(None), weighted(L1L2(0.1, 0.02))
    before = {name: w.copy() for name, w in plain.net.params.items()}
    for trainer in (plain, with_it):
        if not planned:
            monkeypatch.setattr(type(trainer.net.plans), "get", lambda *_: None)
        trainer.step(x, t)
    for name, w in before.items():
        penalty = 0.1 * np.sign(w) + 0.04 * w if name in ("0.weight", "3.weight") else 0 * w
        np.testing.assert_allclose(with_it.net.params[name], plain.net.params[name] - 0.5 * penalty,
                                   rtol=1e-12, atol=1e-15)


def test_the_trainer_takes_names():
    assert weighted("l1").weight_regularizer.l1 == 0.01


def test_l1_makes_weights_small(rng):
    """Of two inputs, the one that says nothing loses its weight."""
    x = rng.standard_normal((64, 2))
    net = fd.Sequential(Linear(2, 1)).astype("float64")
    trainer = fd.Trainer(net, "mse", SGD(lr=0.01), weight_regularizer=L1(0.3))
    for _ in range(2000):
        trainer.step(x, 2 * x[:, :1])
    useful, useless = np.abs(net.params["0.weight"][0])
    assert useless < 0.01 < 1 < useful


# ---- activities ----

@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize("options", [{"l1": 0.3}, {"l2": 0.2}, {"l1": 0.1, "l2": 0.4}])
def test_activity_gradients_are_the_differences_of_loss_and_penalty(options, planned, rng):
    """The gradient of cross-entropy + (l1 Σ|y| + l2 Σy²) / N, y behind the ReLU."""
    layer = ActivityRegularization(**options)
    fd.seed(1)
    net = fd.Sequential(Linear(3, 5), ReLU(), layer, Linear(5, 2)).astype("float64")
    x, t = rng.standard_normal((4, 3)), np.array([0, 1, 1, 0])
    criterion = fd.losses.SoftmaxCrossEntropy()

    def total():
        y = np.maximum(x @ net.params["0.weight"].T + net.params["0.bias"], 0)
        penalty = options.get("l1", 0) * np.abs(y).sum() + options.get("l2", 0) * (y ** 2).sum()
        return criterion.forward(net.forward(x), t) + penalty / 4

    w = net.params["0.weight"]
    expected = np.empty_like(w)
    for index in np.ndindex(w.shape):
        kept = w[index]
        w[index] = kept + 1e-6
        above = total()
        w[index] = kept - 1e-6
        expected[index] = (above - total()) / 2e-6
        w[index] = kept
    if planned:
        trainer = fd.Trainer(net, optimizer=SGD(lr=0.0))
        trainer.step(x, t)
        assert "activity_regularization" in [timed.step.name for timed in trainer.profile(x, t)]
    else:
        criterion.forward(net.forward(x), t)
        net.backward(criterion.backward())
    np.testing.assert_allclose(net.grads["0.weight"], expected, rtol=1e-6, atol=1e-9)


def test_activity_penalty():
    x = np.array([[1.0, -2.0], [3.0, 0.0]])
    assert ActivityRegularization(l1=0.1, l2=0.01).penalty(x) == pytest.approx(0.37, rel=1e-15)
    assert repr(ActivityRegularization(l2=0.01)) == "ActivityRegularization(l1=0, l2=0.01)"
