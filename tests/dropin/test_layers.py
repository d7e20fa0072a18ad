"""Layers and functions one by one: attributes, quirks, awkward arguments. Values by plain NumPy."""

import numpy as np
import pytest
from plain import layers as plain

from fastdl.dropin import engine
from fastdl.dropin.studyai.common import functions as studyai
from fastdl.dropin.studyai.common import layers as studyai_layers
from fastdl.dropin.zero1.common import functions as zero1
from fastdl.dropin.zero1.common import gradient, util
from fastdl.dropin.zero1.common import layers as zero1_layers

LARGE = 3000                    # elements: kernels, not NumPy


def close(seen, expected, rtol=1e-12):
    assert seen.shape == expected.shape
    np.testing.assert_allclose(seen, expected, rtol=rtol, atol=1e-12)


# ---- functions ----

@pytest.mark.parametrize("size", [(), (1,), (1, 1), (4,), (3, 5), (LARGE,), (40, 100)])
def test_sigmoid_and_relu(rng, size):
    x = rng.normal(size=size) * 3
    for functions in (zero1, studyai):
        close(np.asarray(functions.sigmoid(x)), 1 / (1 + np.exp(-x)))
        close(np.asarray(functions.relu(x)), np.maximum(0, x))
    close(np.asarray(zero1.sigmoid_grad(x)), np.exp(-x) / (1 + np.exp(-x))**2)
    close(np.asarray(studyai.d_sigmoid(x)), np.exp(-x) / (1 + np.exp(-x))**2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("count", [5, LARGE])
def test_functions_keep_numpys_dtypes(dtype, count):
    x = np.arange(count).astype(dtype)
    for function, natural in ((zero1.sigmoid, 1 / (1 + np.exp(-x))),
                              (zero1.relu, np.maximum(0, x)),
                              (zero1.softmax, np.exp(x * 0))):
        assert function(x).dtype == natural.dtype


def test_numbers():
    assert zero1.sigmoid(0) == 0.5
    assert zero1.relu(-3) == 0
    assert zero1.identity_function("anything") == "anything"


def test_steps():
    x = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_array_equal(zero1.step_function(x), [0, 0, 1])
    assert zero1.step_function(x).dtype == studyai.step_function(x).dtype == int
    np.testing.assert_array_equal(zero1.relu_grad(x), [0.0, 1.0, 1.0])      # 1 at 0
    np.testing.assert_array_equal(studyai.d_relu(x), [0, 0, 1])             # 0 at 0
    assert studyai.d_step_function(x) == 0


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (400, 10)])
def test_softmax(rng, shape):
    x = rng.normal(size=shape) + 1000
    e = np.exp(x - 1000)
    close(zero1.softmax(x), e / e.sum(axis=-1, keepdims=True), rtol=1e-11)
    axes = -1 if len(shape) == 2 else None              # else over everything
    close(studyai.softmax(x), e / e.sum(axis=axes, keepdims=True), rtol=1e-11)


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
@pytest.mark.parametrize("softmax", [zero1.softmax, studyai.softmax])
def test_softmax_of_infinities(quiet, softmax, shape):
    x = np.zeros(shape)
    x[..., 0] = -np.inf
    np.testing.assert_allclose(softmax(x), np.broadcast_to([0, 0.5, 0.5], shape))
    for value in (np.inf, np.nan):
        x[..., 0] = value
        assert np.isnan(softmax(x)[..., 0]).all()


def test_errors_by_hand():
    y, one_hot = np.array([0.1, 0.7, 0.2]), np.array([0, 1, 0])
    expected = -np.log(0.7 + 1e-7)
    assert zero1.cross_entropy_error(y, one_hot) == pytest.approx(expected)
    assert studyai.cross_entropy_error(one_hot, y) == pytest.approx(expected)
    batch = np.array([[0.1, 0.9], [0.5, 0.5]])
    expected = -(np.log(0.9 + 1e-7) + np.log(0.5 + 1e-7)) / 2
    for t in (np.array([1, 0]), np.array([[0, 1], [1, 0]]), np.array([1, 0], np.uint8)):
        assert zero1.cross_entropy_error(batch, t) == pytest.approx(expected)
        assert studyai.cross_entropy_error(t, batch) == pytest.approx(expected)
    assert zero1.sum_squared_error(y, one_hot) == pytest.approx((0.01 + 0.09 + 0.04) / 2)
    assert studyai.mean_squared_error(one_hot, y) == pytest.approx((0.01 + 0.09 + 0.04) / 6)
    zeros = np.zeros((2, 2))
    assert zero1.softmax_loss(zeros, np.array([0, 1])) == pytest.approx(-np.log(0.5 + 1e-7))
    assert studyai.softmax_with_loss(np.array([0, 1]), zeros) == pytest.approx(
        -np.log(0.5 + 1e-7))


def test_the_reports_example():
    """Printed by the first report: two layers, four classes."""
    y = studyai.softmax(np.array([1.02, 2.29, 3.56, 4.83]))
    np.testing.assert_allclose(y, [0.01602796, 0.05707321, 0.20322929, 0.72366954], atol=5e-9)
    d = np.array([0, 0, 0, 1])
    assert studyai.cross_entropy_error(d, y) == pytest.approx(0.32342029336019423, abs=1e-7)


def test_labels_of_shape_1_1():
    """A hand-written network on one example at a time."""
    y, d = np.array([[0.3, 0.7]]), np.array([[1]])
    assert studyai.cross_entropy_error(d, y) == pytest.approx(-np.log(0.7 + 1e-7))
    np.testing.assert_allclose(studyai.d_softmax_with_loss(d, y), [[0.3, -0.3]])
    np.testing.assert_allclose(studyai.d_mean_squared_error(np.array([[1.0]]), y), [[-0.7, -0.3]])
    np.testing.assert_allclose(studyai.d_sigmoid_with_loss(d, y), y - 1)
    assert studyai.d_mean_squared_error(1.0, 0.25) == -0.75


def test_im2col_of_the_report():
    """The matrix that the second report prints."""
    x = np.array([[[[48, 2, 74, 50], [60, 0, 56, 22], [62, 44, 0, 95], [70, 60, 21, 76]]]])
    col = studyai.im2col(x, 3, 3)
    assert col.dtype == np.float64
    np.testing.assert_array_equal(col[0], [48, 2, 74, 60, 0, 56, 62, 44, 0])
    np.testing.assert_array_equal(col[3], [0, 56, 22, 44, 0, 95, 60, 21, 76])


@pytest.mark.parametrize(("stride", "pad"), [(1, 0), (2, 1), (3, 2)])
def test_windows(rng, stride, pad):
    x = rng.normal(size=(2, 3, 7, 8)).astype(np.float32)
    col = util.im2col(x, 3, 2, stride, pad)
    close(col, plain.im2col(x, 3, 2, stride, pad))
    close(util.col2im(col, x.shape, 3, 2, stride, pad),
          plain.col2im(col, x.shape, 3, 2, stride, pad))


def test_small_helpers():
    np.testing.assert_allclose(util.smooth_curve(np.full(40, 2.5)), 2.5)
    assert len(util.smooth_curve(np.arange(30.0))) == 30
    np.random.seed(3)                                                       # noqa: NPY002
    order = np.random.permutation(6)                                        # noqa: NPY002
    np.random.seed(3)                                                       # noqa: NPY002
    x, t = util.shuffle_dataset(np.arange(12).reshape(6, 2), np.arange(6))
    np.testing.assert_array_equal(t, order)
    np.testing.assert_array_equal(x[:, 0], 2 * order)


def test_numerical_gradients(rng):
    x = rng.normal(size=(3, 4))
    before = x.copy()
    close(gradient.numerical_gradient(lambda a: np.sum(a**2), x), 2 * x, rtol=1e-6)
    close(gradient.numerical_gradient_2d(lambda row: np.sum(row**2), x), 2 * x, rtol=1e-6)
    close(studyai.numerical_gradient(lambda a: np.sum(a**2), x[0]), 2 * x[0], rtol=1e-6)
    np.testing.assert_array_equal(x, before)


# ---- layers ----

@pytest.mark.parametrize("N", [1, 7, 100])
def test_affine(rng, N):
    W, b = rng.normal(size=(24, 30)), rng.normal(size=30)
    x = rng.normal(size=(N, 2, 3, 4)).astype(np.float32)
    layer, expected = zero1_layers.Affine(W, b), plain.Affine(W, b)
    close(layer.forward(x), expected.forward(x, True))
    assert layer.x.shape == (N, 24)
    assert layer.original_x_shape == x.shape
    dy = rng.normal(size=(N, 30))
    close(layer.backward(dy), expected.backward(dy))
    close(layer.dW, expected.dW)
    close(layer.db, expected.db)


@pytest.mark.parametrize("N", [3, 200])
@pytest.mark.parametrize("b", [0, 0.5, np.ones((1, 30)), np.arange(30)])
def test_affine_takes_every_bias(rng, N, b):
    W, x = rng.normal(size=(24, 30)), rng.normal(size=(N, 24))
    close(zero1_layers.Affine(W, b).forward(x), np.dot(x, W) + b)


@pytest.mark.parametrize("N", [3, 200])
def test_affine_has_numpys_dtypes(rng, N):
    for x_type, W_type in ((np.float16, np.float16), (np.float32, np.float32),
                           (np.float16, np.float64), (np.int64, np.int64)):
        x, W = np.ones((N, 24), x_type), np.ones((24, 30), W_type)
        natural = np.dot(x, W)
        layer = zero1_layers.Affine(W, 0)
        y = layer.forward(x)
        assert y.dtype == natural.dtype
        np.testing.assert_array_equal(y, natural)
        assert layer.backward(y).dtype == natural.dtype


def test_parameters_are_the_callers(rng):
    for layer, x in ((zero1_layers.Affine(rng.normal(size=(4, 3)), np.zeros(3)), np.ones((2, 4))),
                     (zero1_layers.Convolution(rng.normal(size=(2, 1, 2, 2)), np.zeros(2)),
                      np.ones((1, 1, 3, 3)))):
        before = layer.forward(x)
        layer.W *= 2
        layer.b += 1
        close(layer.forward(x), 2 * before + 1)


@pytest.mark.parametrize("shape", [(3, 4), (100, 80), (4, 5, 20, 20)])
def test_relu_layer(rng, shape):
    x = rng.normal(size=shape)
    x.flat[:2] = 0.0, -0.0
    layer = zero1_layers.Relu()
    before = x.copy()
    y = layer.forward(x)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(y, np.where(x > 0, x, 0))
    np.testing.assert_array_equal(layer.mask, x <= 0)
    y *= 0                      # a script may do with the output what it likes
    dout = rng.normal(size=shape)
    expected = np.where(x > 0, dout, 0)
    dx = layer.backward(dout)
    assert dx is dout
    np.testing.assert_array_equal(dx, expected)


def test_relu_layer_between_memory_layouts(rng):
    x = rng.normal(size=(4, 20, 20, 5)).transpose(0, 3, 1, 2)       # channels last
    dout = rng.normal(size=x.shape)
    expected = np.where(x > 0, dout, 0)
    layer = zero1_layers.Relu()
    np.testing.assert_array_equal(layer.forward(x), np.where(x > 0, x, 0))
    np.testing.assert_array_equal(layer.backward(dout), expected)


def test_gradients_lie_in_memory_as_what_they_are_of(rng):
    """So that nothing in a chain of layers has to be copied into another layout."""
    def lies_last(maps):
        return maps.transpose(0, 2, 3, 1).flags.c_contiguous

    for x, last in ((rng.normal(size=(3, 2, 8, 8)), False),
                    (rng.normal(size=(3, 8, 8, 2)).transpose(0, 3, 1, 2), True)):
        conv = zero1_layers.Convolution(rng.normal(size=(4, 2, 3, 3)), np.zeros(4))
        pool = zero1_layers.Pooling(2, 2)
        affine = zero1_layers.Affine(rng.normal(size=(36, 5)), np.zeros(5))
        maps = conv.forward(x)
        pooled = pool.forward(maps)
        assert lies_last(maps)
        assert lies_last(pooled)
        dpooled = affine.backward(affine.forward(pooled))
        assert lies_last(dpooled)
        for dy in (dpooled, np.ascontiguousarray(dpooled)):
            assert lies_last(pool.backward(dy))
        dx = conv.backward(pool.backward(dpooled))
        assert lies_last(dx) == last
        assert dx.flags.c_contiguous != last


def test_a_mask_that_a_script_sets(rng):
    layer, x = zero1_layers.Relu(), rng.normal(size=5000)
    assert layer.mask is None
    layer.forward(x)
    layer.mask = np.arange(5000) < 3
    np.testing.assert_array_equal(layer.backward(np.ones(5000)), np.arange(5000) >= 3)
    layer.forward(x)
    np.testing.assert_array_equal(layer.mask, x <= 0)


def test_relu_layer_stops_infinite_gradients():
    x = np.full(5000, -1.0)
    layer = zero1_layers.Relu()
    layer.forward(x)
    dout = np.full(5000, np.inf)
    dout[::2] = np.nan
    np.testing.assert_array_equal(layer.backward(dout), np.zeros(5000))


@pytest.mark.parametrize("count", [6, 5000])
def test_sigmoid_layer(rng, count):
    x, dy = rng.normal(size=count), rng.normal(size=count)
    layer, expected = zero1_layers.Sigmoid(), plain.Sigmoid()
    y = layer.forward(x)
    close(y, expected.forward(x, True))
    assert layer.out is y
    close(layer.backward(dy), expected.backward(dy))


def test_softmax_with_loss(rng):
    x, t = rng.normal(size=(6, 4)), np.array([0, 3, 1, 1, 2, 0])
    expected = plain.SoftmaxLoss()
    loss = expected.forward(x, t)
    for given in (t, t.astype(np.uint8), np.eye(4)[t]):
        layer = zero1_layers.SoftmaxWithLoss()
        assert (layer.loss, layer.y, layer.t) == (None, None, None)
        assert layer.forward(x, given) == pytest.approx(loss, rel=1e-12)
        assert layer.loss == pytest.approx(loss)
        assert layer.t is given
        close(layer.y, expected.y)
        close(layer.backward(), expected.backward())
        close(layer.backward(123), expected.backward())     # dout is not looked at
    layer = studyai_layers.SoftmaxWithLoss()
    layer.forward(x, t)
    assert layer.d is t
    assert not hasattr(layer, "t")


def test_dropout():
    x = np.full((20, 30), 2.0)
    layer = zero1_layers.Dropout(0.3)
    np.random.seed(4)                                                       # noqa: NPY002
    kept = np.random.rand(20, 30) > 0.3                                     # noqa: NPY002
    np.random.seed(4)                                                       # noqa: NPY002
    np.testing.assert_array_equal(layer.forward(x), 2.0 * kept)
    np.testing.assert_array_equal(layer.mask, kept)
    np.testing.assert_array_equal(layer.backward(x), 2.0 * kept)
    close(layer.forward(x, train_flg=False), x * 0.7)


@pytest.mark.parametrize("shape", [(8, 5), (8, 2, 3, 3)])
def test_batch_norm(rng, shape):
    D = int(np.prod(shape[1:]))
    gamma, beta = rng.normal(size=D), rng.normal(size=D)
    layer = zero1_layers.BatchNormalization(gamma, beta)
    expected = plain.BatchNorm(gamma, beta)
    assert layer.running_mean is None
    for _ in range(2):
        x, dy = rng.normal(size=shape) * 3 + 1, rng.normal(size=shape)
        close(layer.forward(x), expected.forward(x, True))
        close(layer.backward(dy), expected.backward(dy), rtol=1e-9)
    flat = x.reshape(8, -1)
    close(layer.xc, flat - flat.mean(axis=0))
    close(layer.xn, expected.xn)
    close(layer.std, expected.std)
    close(layer.dgamma, expected.dgamma)
    close(layer.dbeta, expected.dbeta)
    close(layer.running_mean, expected.mean)
    close(layer.running_var, expected.var)
    assert (layer.batch_size, layer.input_shape) == (8, shape)
    close(layer.forward(x, train_flg=False), expected.forward(x, False))


@pytest.mark.parametrize(("stride", "pad", "b"), [(1, 0, 0), (2, 1, "vector"), (1, 2, 0.5)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_convolution(rng, stride, pad, b, dtype):
    W = rng.normal(size=(4, 3, 3, 2))
    b = rng.normal(size=4) if b == "vector" else b
    x = (rng.random((2, 3, 9, 8)) * 9).astype(dtype)[:, :, ::-1]    # not contiguous
    layer, expected = zero1_layers.Convolution(W, b, stride, pad), plain.Convolution(
        W, b, stride, pad)
    assert layer.col is None
    assert layer.col_W is None
    y = layer.forward(x)
    assert y.dtype == np.float64
    close(y, expected.forward(x.astype(np.float64), True))
    assert layer.x is x
    close(layer.col, expected.col)
    close(layer.col_W, W.reshape(4, -1).T)
    dy = rng.normal(size=y.shape).astype(np.float32)
    close(layer.backward(dy), expected.backward(dy.astype(np.float64)))
    close(layer.dW, expected.dW)
    close(layer.db, expected.db)


@pytest.mark.parametrize(("pool", "stride"), [(2, 2), (3, 1), (2, 3)])
def test_pooling(rng, pool, stride):
    x = rng.integers(4, size=(2, 3, 8, 7)).astype(np.float32)       # many equal values
    layer, expected = zero1_layers.Pooling(pool, pool, stride), plain.Pooling(pool, stride)
    assert layer.arg_max is None
    y = layer.forward(x)
    assert y.dtype == np.float64
    close(y, expected.forward(x, True))
    np.testing.assert_array_equal(layer.arg_max, expected.best)
    dy = rng.normal(size=y.shape)
    close(layer.backward(dy), expected.backward(dy))


def test_zeros_around_a_pooling_take_part():
    x = np.array([[[[-1.0, -2.0], [-3.0, -4.0]]]])
    layer = zero1_layers.Pooling(3, 3, stride=2, pad=1)
    with pytest.raises(ValueError, match="reshape"):
        layer.forward(np.ones((1, 1, 8, 8)))            # the course's sizes do not fit
    layer = zero1_layers.Pooling(2, 2, stride=3, pad=1)
    np.testing.assert_array_equal(layer.forward(x), [[[[0.0]]]])
    assert layer.arg_max.tolist() == [0]
    np.testing.assert_array_equal(layer.backward(np.ones((1, 1, 1, 1))), np.zeros((1, 1, 2, 2)))


def test_default_strides():
    assert zero1_layers.Pooling(2, 2).forward(np.ones((1, 1, 6, 6))).shape == (1, 1, 3, 3)
    assert studyai_layers.Pooling(2, 2).forward(np.ones((1, 1, 6, 6))).shape == (1, 1, 5, 5)


@pytest.mark.parametrize("name", ["Convolution", "Pooling", "Affine"])
def test_float32(rng, monkeypatch, name):
    monkeypatch.setattr(engine, "dtype", np.dtype(np.float32))
    x = rng.normal(size=(20, 2, 8, 8))
    W = rng.normal(size=(128, 30) if name == "Affine" else (3, 2, 3, 3))
    arguments = (2, 2) if name == "Pooling" else (W, np.zeros(30 if name == "Affine" else 3))
    layer = getattr(zero1_layers, name)(*arguments)
    y = layer.forward(x)
    assert y.dtype == np.float32
    assert layer.backward(y.astype(np.float64)).dtype == np.float32
    if name != "Pooling":
        assert layer.dW.dtype == layer.db.dtype == np.float32
        assert W.dtype == np.float64
