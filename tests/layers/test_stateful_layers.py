"""Layers that behave differently in training: batch normalisation and dropout."""

import numpy as np
import pytest

import fastdl as fd
from fastdl.layers import BatchNorm1d, BatchNorm2d, Dropout

# ---- batch normalisation ----

def test_running_statistics_by_hand():
    """Momentum is the share of the batch; the running variance is unbiased."""
    norm = BatchNorm1d(1)
    norm.forward(np.array([[1.0], [2.0], [6.0]], np.float32))       # mean 3, unbiased variance 7
    np.testing.assert_allclose(norm.running_mean, [0.9 * 0 + 0.1 * 3], rtol=1e-6)
    np.testing.assert_allclose(norm.running_var, [0.9 * 1 + 0.1 * 7], rtol=1e-6)
    assert norm.num_batches_tracked == 1
    assert norm.num_batches_tracked.dtype == np.int64


def test_eval_uses_the_running_statistics_and_leaves_them():
    norm = BatchNorm1d(1, eps=0.0).eval()
    norm.running_mean, norm.running_var = [2.0], [4.0]
    norm.weight, norm.bias = [3.0], [1.0]
    np.testing.assert_allclose(norm.forward(np.array([[6.0]], np.float32)), [[7]])
    assert (norm.running_mean, norm.running_var, norm.num_batches_tracked) == (2, 4, 0)


def test_buffers_keep_their_identity(rng):
    norm = BatchNorm2d(3)
    before = dict(norm.buffers)
    norm.forward(rng.standard_normal((2, 3, 4, 4)).astype(np.float32))
    assert all(norm.buffers[name] is array for name, array in before.items())
    assert norm.num_batches_tracked == 1


def test_without_tracking_there_are_no_buffers():
    assert BatchNorm2d(3, track_running_stats=False).buffers == {}
    assert BatchNorm2d(3, affine=False).params == {}


def test_several_batches_as_in_pytorch(rng):
    torch = pytest.importorskip("torch")
    norm, twin = BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    for n in (2, 5, 3):
        x = (rng.standard_normal((n, 3, 4, 4)) * 3 + 1).astype(np.float32)
        y, expected = norm.forward(x), twin(torch.tensor(x))
        np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    for name, buffer in twin.named_buffers():
        np.testing.assert_allclose(norm.buffers[name], buffer.numpy(), rtol=1e-5)


# ---- dropout ----

def test_dropout_keeps_the_expectation():
    fd.seed(0)
    y = Dropout(0.3).forward(np.ones(100_000, np.float32))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
    share = (y == 0).mean()
    assert abs(share - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 100_000)          # five standard deviations


def test_dropout_backward_drops_the_same_elements():
    layer, x = Dropout(0.5), np.ones((50, 50))
    y = layer.forward(x)
    np.testing.assert_array_equal(layer.backward(x), y)


def test_dropout_draws_anew_each_time_and_repeats_from_a_seed():
    layer, x = Dropout(0.5), np.ones(1000)
    fd.seed(3)
    first, second = layer.forward(x), layer.forward(x)
    assert (first != second).any()
    fd.seed(3)
    np.testing.assert_array_equal(layer.forward(x), first)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_dropout_in_eval_does_nothing_and_draws_nothing(p):
    fd.seed(0)
    before = fd.random.get_state()
    x = np.array([1.0, -2.0])
    layer = Dropout(p).eval()
    np.testing.assert_array_equal(layer.forward(x), x)
    np.testing.assert_array_equal(layer.backward(x), x)
    assert fd.random.get_state() == before


@pytest.mark.parametrize(("p", "kept"), [(0.0, 1.0), (1.0, 0.0)])
def test_dropout_of_nothing_and_of_everything(p, kept):
    layer, x = Dropout(p), np.array([1.0, -2.0, 3.0])
    np.testing.assert_array_equal(layer.forward(x), kept * x)
    np.testing.assert_array_equal(layer.backward(x), kept * x)


# ---- branches weighed at random: forward and backward are drawn apart ----

ROWS = 20_000
FIVE = 5 / np.sqrt(ROWS)                # standard deviations of a mean of so many, but for a factor


def test_shake_shake_in_training():
    """Shares of two branches: uniform in [0, 1], they sum to 1, and the gradient's are others."""
    fd.seed(0)
    layer, ones = fd.layers.ShakeShake(), np.ones((ROWS, 3))
    share = layer.forward(ones, 0 * ones)
    assert (share == share[:, :1]).all()                        # one number for a sample
    share = share[:, 0]
    first, second = layer.backward(2 * ones)
    np.testing.assert_allclose(first + second, 2, rtol=1e-12)
    for drawn in (share, first[:, 0] / 2):
        assert 0 <= drawn.min() < 0.01 < 0.99 < drawn.max() <= 1
        assert abs(drawn.mean() - 1 / 2) < FIVE * np.sqrt(1 / 12)       # what inference has
    assert abs(np.corrcoef(share, first[:, 0])[0, 1]) < FIVE
    assert np.ptp(fd.layers.ShakeShake("batch").forward(ones, 0 * ones)) == 0


def test_shake_shake_weighs_the_branches_it_is_given(rng):
    fd.seed(0)
    x1, x2 = rng.standard_normal((2, 5, 3))
    y = fd.layers.ShakeShake().forward(x1, x2)
    share = (y - x2) / (x1 - x2)
    np.testing.assert_allclose(share, np.broadcast_to(share[:, :1], share.shape), rtol=1e-9)


def test_shake_drop_in_training():
    """A branch is kept with probability 1 - p, and its gradient with it; else both are weighed."""
    fd.seed(0)
    p, alpha, beta = 0.3, (-1.0, 2.0), (0.0, 1.0)
    layer, ones = fd.layers.ShakeDrop(p, alpha, beta, "row"), np.ones((ROWS, 2))
    factor, gradient = layer.forward(ones)[:, 0], layer.backward(ones)[:, 0]
    kept = factor == 1
    np.testing.assert_array_equal(kept, gradient == 1)
    assert abs(kept.mean() - (1 - p)) < FIVE * np.sqrt(p * (1 - p))
    for drawn, (low, high) in ((factor[~kept], alpha), (gradient[~kept], beta)):
        assert low <= drawn.min() < low + 0.01 < high - 0.01 < drawn.max() <= high
    assert abs(np.corrcoef(factor[~kept], gradient[~kept])[0, 1]) < FIVE / np.sqrt(p) * 1.1
    expected = layer.eval().forward(ones)[0, 0]
    assert expected == pytest.approx(1 - p + p * 0.5)
    assert abs(factor.mean() - expected) < FIVE * factor.std()
