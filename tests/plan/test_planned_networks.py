"""A plan computes what the layers do one by one: every layer, every join, every way of fusing."""

import copy
import pickle
import threading

import numpy as np
import pytest
from layer_cases import CASES

import fastdl as fd
from fastdl.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    Conv3d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    ReLU,
    ReLU6,
)

MSE = fd.losses.MSE()


class Square(fd.Layer):
    """A layer of a user's own, with a parameter; it remembers what it was called with."""

    def __init__(self):
        self.add_parameter("scale", np.full(1, 0.5, np.float32))
        self.calls = 0

    def apply(self, inputs, params, training):
        self.calls += 1
        return params["scale"] * inputs[0] ** 2, (inputs[0], params["scale"])

    def grad(self, dy, saved):
        x, scale = saved
        return (2 * scale * x * dy,), {"scale": np.array([(x * x * dy).sum()], x.dtype)}


def eager_step(net, xs, t, loss):
    """Loss and gradients, layer by layer."""
    y = net.forward(*xs)
    value = loss.forward(y, t)
    net.backward(loss.backward(), need_dx=False)
    return value, {name: dw.copy() for name, dw in net.grads.items()}


def planned_step(net, xs, t, loss):
    """The same from a plan."""
    xs = net.as_inputs(*xs)
    plan = net.plans.get(xs, loss)
    assert plan is not None
    plan.loss.take(t)
    plan.feed(xs)
    plan.run()
    return plan.loss.value, {name: dw.copy() for name, dw in net.grads.items()}


def randomise(net, rng):
    """No weight of 1, no mean of 0."""
    for array in net._state().values():
        if array.dtype.kind == "f":
            array += rng.uniform(0.1, 0.5, array.shape).astype(array.dtype)
    return net


def assert_same(net, xs, t, loss, tolerance, seeds=(1, 2)):
    """Two steps from a plan against two layer by layer: losses, gradients, buffers, outputs."""
    twin = copy.deepcopy(net)
    eager_step(copy.deepcopy(net), xs, t, loss)
    if net.plans.get(net.as_inputs(*xs), loss) is None:     # a layer of one's own is seen once
        net.plans.learn(net.as_inputs(*xs), copy.deepcopy(net).graph.forward(
            net.as_inputs(*xs))[1].seen)
    close = {"rtol": tolerance, "atol": tolerance}
    for seed in seeds:
        fd.seed(seed)
        expected, grads = eager_step(twin, xs, t, loss)
        fd.seed(seed)
        value, got = planned_step(net, xs, t, loss)
        np.testing.assert_allclose(value, expected, **close)
        assert got.keys() == grads.keys()
        for name, dw in grads.items():
            scale = max(1.0, np.abs(dw).max())
            np.testing.assert_allclose(got[name] / scale, dw / scale, err_msg=name, **close)
    for name, array in twin._state().items():
        np.testing.assert_allclose(net._state()[name], array, err_msg=name, **close)
    if len(xs) == 1:
        expected = twin.graph.forward(twin.as_inputs(*xs), training=False, keep=False)[0][0]
        np.testing.assert_allclose(net.predict(xs[0]), expected, **close)


class Around(fd.Module):
    """A layer with others before and behind it, so that gradients have to come through."""

    def __init__(self, layer, inputs):
        self.before = [Linear(x.shape[-1], x.shape[-1]) if x.ndim == 2 else
                       {3: Conv1d, 4: Conv2d, 5: Conv3d}[x.ndim](x.shape[1], x.shape[1], 1)
                       for x in inputs]
        self.layer = layer

    def connect(self, *nodes):
        raise NotImplementedError

    @staticmethod
    def of(layer, inputs):
        kind = [One, Two, Three][len(inputs) - 1]
        return kind(layer, inputs)


class One(Around):
    def connect(self, a):
        return self.layer(self.before[0](a))


class Two(Around):
    def connect(self, a, b):
        return self.layer(self.before[0](a), self.before[1](b))


class Three(Around):
    def connect(self, a, b, c):
        return self.layer(*(part(x) for part, x in zip(self.before, (a, b, c), strict=True)))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_every_layer(case, rng):
    fd.seed(0)
    inputs = case.inputs(rng)
    layer = case.make().train(case.training)
    net = Around.of(layer, inputs).astype("float64")
    layer.train(case.training)
    randomise(net, rng)
    t = rng.standard_normal(net.forward(*inputs).shape)
    assert_same(net, inputs, t, MSE, 1e-9)


class Residual(fd.Module):
    """The block of He et al. (2016), with a projection or without."""

    def __init__(self, channels, planes, stride=1):
        self.conv1 = Conv2d(channels, planes, 3, stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(planes)
        self.conv2 = Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or channels != planes:
            self.downsample = fd.Sequential(Conv2d(channels, planes, 1, stride, bias=False),
                                            BatchNorm2d(planes))

    def connect(self, x):
        y = fd.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return fd.relu(y + (self.downsample(x) if self.downsample else x))


class Branches(fd.Module):
    """Values read several times, joins that nothing takes over, a convolution with a residual."""

    def __init__(self):
        self.stem = Conv2d(3, 4, 3, padding=1)
        self.a, self.b = Conv2d(4, 4, 1), Conv2d(4, 4, 3, padding=1)
        self.pool = MaxPool2d(3, 1, 1)

    def connect(self, x):
        x = fd.relu(self.stem(x))
        joined = fd.concat([self.a(x), fd.relu(self.b(x) + x), self.pool(x)])
        return fd.mean(joined, joined * joined) + joined


class Pooled(fd.Module):
    """A ReLU's output read by a pool, and in another shape by a dense layer, in either order."""

    def __init__(self, pool_last):
        self.conv, self.pool_last = Conv2d(3, 4, 3, padding=1), pool_last
        self.pool, self.fc = MaxPool2d(2), Linear(256, 64)

    def connect(self, x):
        x = fd.relu(self.conv(x))
        readers = [lambda: self.fc(fd.flatten(x)), lambda: fd.flatten(self.pool(x))]
        return fd.add(*[read() for read in (readers if self.pool_last else readers[::-1])])


class Shared(fd.Module):
    """One layer used twice, and one that no output depends on."""

    def __init__(self):
        self.conv, self.unused = Conv2d(3, 3, 3, padding=1), Linear(2, 2)

    def connect(self, x):
        return fd.relu(self.conv(fd.relu(self.conv(x))))


def classifier(*features, width):
    """Feature maps to scores of 5 classes."""
    return fd.Sequential(*features, Flatten(), Linear(width, 5))


def wide(norm):
    """So wide a batch norm that many of its values reach 6."""
    norm.weight[...] = 8
    return norm


def norm_twice():
    """One batch norm used twice: it counts two batches in each step."""
    norm = BatchNorm2d(8)
    return classifier(Conv2d(3, 8, 3), norm, ReLU(), Conv2d(8, 8, 1), norm, width=8 * 36)


NETWORKS = {
    "convolutions": lambda: classifier(
        Conv2d(3, 6, 3, padding=1), ReLU(), Conv2d(6, 8, 3), ReLU(), MaxPool2d(2), width=8 * 9),
    "one channel": lambda: classifier(Conv2d(3, 1, 3), ReLU(), Conv2d(1, 4, 3), MaxPool2d(2),
                                      ReLU(), width=16),
    "batch norm": lambda: classifier(
        Conv2d(3, 8, 3), BatchNorm2d(8), ReLU(), Conv2d(8, 8, 3, bias=False), BatchNorm2d(8),
        width=8 * 16),
    "batch norm and ReLU6": lambda: classifier(
        Conv2d(3, 8, 3), wide(BatchNorm2d(8)), ReLU6(), Conv2d(8, 8, 1), wide(BatchNorm2d(8)),
        ReLU(), ReLU6(), Conv2d(8, 8, 1), ReLU6(), width=8 * 36),
    "batch norm used twice": norm_twice,
    "batch norm without parameters": lambda: classifier(
        Conv2d(3, 8, 3), BatchNorm2d(8, affine=False), ReLU(), width=8 * 36),
    "batch norm without statistics": lambda: classifier(
        Conv2d(3, 8, 3), BatchNorm2d(8, track_running_stats=False), width=8 * 36),
    "residual": lambda: classifier(Residual(3, 3), Residual(3, 6, 2), GlobalAvgPool2d(), width=6),
    "branches": lambda: classifier(Branches(), width=12 * 64),
    "dense layer, then pool": lambda: fd.Sequential(Pooled(True), Linear(64, 5)),
    "pool, then dense layer": lambda: fd.Sequential(Pooled(False), Linear(64, 5)),
    "shared": lambda: classifier(Shared(), width=3 * 64),
    "dense": lambda: fd.Sequential(Flatten(), Linear(192, 16), BatchNorm1d(16), ReLU(),
                                   Dropout(0.3), Linear(16, 16), ReLU(), Linear(16, 5)),
    "dropout of maps": lambda: classifier(Conv2d(3, 4, 3), Dropout(0.4), Conv2d(4, 4, 3),
                                          width=64),
    "everything dropped": lambda: classifier(Conv2d(3, 4, 3), Dropout(1.0), width=144),
    "depthwise": lambda: classifier(Conv2d(3, 8, 1), ReLU(), Conv2d(8, 8, 3, 2, 1, groups=8),
                                    BatchNorm2d(8), ReLU(), width=8 * 16),
    "a layer of one's own": lambda: classifier(Conv2d(3, 4, 3), Square(), Conv2d(4, 4, 3),
                                               width=64),
}


@pytest.mark.parametrize("backend", ["auto", "numba", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, dtype, backend, rng, need_backend):
    if backend != "auto":
        need_backend(backend)
    fd.seed(0)
    net = randomise(NETWORKS[name]().astype(dtype), rng)
    x, t = rng.standard_normal((6, 3, 8, 8)).astype(dtype), rng.integers(0, 5, 6)
    with fd.use_backend(backend):
        assert_same(net, [x], t, fd.losses.SoftmaxCrossEntropy(),
                    1e-9 if dtype == "float64" else 2e-4)


@pytest.mark.parametrize("algorithm", fd.backend.CONV_ALGORITHMS)
def test_algorithms_of_convolution(algorithm, rng):
    net = NETWORKS["convolutions"]()
    fd.set_conv_algorithm(algorithm)
    try:
        assert_same(net, [rng.standard_normal((6, 3, 8, 8))], rng.integers(0, 5, 6),
                    fd.losses.SoftmaxCrossEntropy(), 2e-4)
    finally:
        fd.set_conv_algorithm("auto")


@pytest.mark.parametrize("loss", [fd.losses.MSE(), fd.losses.CrossEntropy()])
def test_other_losses(loss, rng):
    net = fd.Sequential(Linear(4, 3), fd.layers.Softmax()).astype("float64")
    x = rng.standard_normal((5, 4))
    net.forward(x)                          # softmax is no layer that a plan knows
    assert_same(net, [x], np.eye(3)[[0, 1, 2, 0, 1]], loss, 1e-9)


# ---- what changes between steps ----

def trained(net, x, t):
    """A trainer that has made a step, so that there is a plan."""
    trainer = fd.Trainer(net, optimizer=fd.optimizers.SGD(lr=0.1))
    trainer.step(x, t)
    return trainer


@pytest.fixture
def data(rng):
    return rng.standard_normal((6, 3, 8, 8)).astype("float32"), rng.integers(0, 5, 6)


def test_parameters_changed_in_place_are_seen(data):
    x, t = data
    net = NETWORKS["batch norm"]()
    trainer, before = trained(net, x, t), net.predict(x)
    for name, w in net.params.items():
        w[...] *= 0.5 if "weight" in name else 1.5
    assert not np.allclose(net.predict(x), before)
    np.testing.assert_allclose(net.predict(x), copy.deepcopy(net).eval().forward(x), rtol=1e-4,
                               atol=1e-5)
    expected, _ = eager_step(copy.deepcopy(net).train(), [x], t, fd.losses.SoftmaxCrossEntropy())
    np.testing.assert_allclose(trainer.step(x, t), expected, rtol=1e-5)


@pytest.mark.parametrize("change", [
    lambda net: setattr(net[0], "padding", (0, 0)),
    lambda net: setattr(net[4], "stride", 3),
    lambda net: net[0].params.update(weight=net[0].weight * 2),
    lambda net: net[2].eval(),
    lambda net: net.load_state_dict({k: v * 2 for k, v in net.state_dict().items()}),
], ids=["padding", "stride", "another array", "mode", "loaded"])
def test_layers_changed_after_planning(change, data):
    x, t = data
    net = fd.Sequential(Conv2d(3, 4, 3, padding=1), ReLU(), BatchNorm2d(4), ReLU(),
                        MaxPool2d(2), GlobalAvgPool2d(), Flatten(), Linear(4, 5))
    trainer = trained(net, x, t)
    net.predict(x)
    change(net)
    twin = copy.deepcopy(net)
    np.testing.assert_allclose(net.predict(x), copy.deepcopy(net).eval().forward(x), rtol=1e-4,
                               atol=1e-5)
    expected, grads = eager_step(twin, [x], t, fd.losses.SoftmaxCrossEntropy())
    np.testing.assert_allclose(trainer.step(x, t), expected, rtol=1e-5)
    for name, dw in grads.items():
        np.testing.assert_allclose(net.grads[name], dw, rtol=1e-3, atol=1e-5, err_msg=name)


def test_another_dtype_after_planning(data):
    x, t = data
    net = NETWORKS["convolutions"]()
    trainer = trained(net, x, t)
    net.astype("float64")
    assert net.predict(x).dtype == np.float64
    trainer.optimizer.state.clear()
    trainer.step(x, t)
    assert net.grads["0.weight"].dtype == np.float64


def test_parameters_and_gradients_stay_the_same_arrays(data):
    net = NETWORKS["convolutions"]()
    trainer = trained(net, *data)
    params, grads = dict(net.params), dict(net.grads)
    trainer.step(*data)
    trainer.step(data[0][:4], data[1][:4])
    for name in params:
        assert net.params[name] is params[name]
        assert net.grads[name] is grads[name]


def test_plans_are_few(data):
    x, _ = data
    net = NETWORKS["convolutions"]()
    for count in range(1, 4):
        for loss in (None, MSE):
            assert net.plans.get([x[:count]], loss) is net.plans.get([x[:count]], loss)
    from fastdl.plan.cache import LIMIT

    for count in range(1, 3 * LIMIT):
        net.plans.get([np.zeros((count, 3, 8, 8), np.float32)])
    assert len(net.plans._plans) == LIMIT


# ---- what a user may do ----

def test_a_mistake_changes_nothing(data):
    x, t = data
    net = NETWORKS["batch norm"]()
    trainer = trained(net, x, t)
    before = net.state_dict()
    with pytest.raises(fd.ArgumentError, match="label 7, but x has 5 classes"):
        trainer.step(x, np.full(6, 7))
    with pytest.raises(fd.ShapeError, match="weight expects 3 input channels"):
        trainer.step(x[:, :2], t)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_results_are_the_users(data):
    x, _ = data
    net = NETWORKS["convolutions"]()
    first = net.predict(x)
    kept = first.copy()
    net.predict(2 * x)
    np.testing.assert_array_equal(first, kept)


def test_a_layer_of_ones_own_may_keep_its_input(data):
    x, t = data
    kept = []

    class Keep(fd.Layer):
        def apply(self, inputs, params, training):
            kept.append(inputs[0])
            return inputs[0], None

        def grad(self, dy, saved):
            return (dy,), {}

    net = fd.Sequential(Conv2d(3, 4, 3), Keep(), Flatten(), Linear(144, 5))
    trainer = fd.Trainer(net, optimizer=fd.optimizers.SGD(lr=0.0))
    for _ in range(3):
        trainer.step(x, t)
    for array in kept[1:]:
        np.testing.assert_allclose(array, kept[0], rtol=1e-5, atol=1e-5)


def test_integers_become_numbers(data):
    x = np.arange(6 * 192).reshape(6, 3, 8, 8) % 5
    net = NETWORKS["convolutions"]()
    np.testing.assert_allclose(net.predict(x), net.predict(x.astype("float32")))


def test_empty_and_mixed_networks_still_run(data):
    net = NETWORKS["convolutions"]()
    assert net.predict(data[0][:0]).shape == (0, 5)
    net[0].params["weight"] = net[0].params["weight"].astype("float64")
    with pytest.raises(fd.DTypeError):
        net.predict(data[0])


def test_several_outputs_and_inputs(rng):
    class Two(fd.Module):
        def __init__(self):
            self.a, self.b = Linear(4, 2), Linear(4, 3)

        def connect(self, x, y):
            return self.a(x), self.b(y) + self.b(x)

    class Both(fd.losses.Loss):
        def value(self, y, t):
            return float(y[0].sum() + y[1].sum()), (y,)

        def gradient(self, y):
            return tuple(map(np.ones_like, y))

    class OfOne(fd.Module):
        def __init__(self):
            self.two = Two()

        def connect(self, x):
            return self.two(x, x)

    x = rng.standard_normal((5, 4)).astype("float32")
    net = OfOne()
    scores, more = net.predict(x)
    np.testing.assert_allclose(more, 2 * (x @ net.two.b.weight.T + net.two.b.bias), rtol=1e-5)
    assert scores.shape == (5, 2)
    assert isinstance(fd.Trainer(net, Both(), "sgd").step(x, None), float)
    with pytest.raises(fd.GraphError, match="the network has 2 inputs, got 1"):
        Two().predict(x)


def test_gradients_that_a_user_replaced(data):
    net = NETWORKS["convolutions"]()
    trainer = trained(net, *data)
    for _, layer in net.named_layers():
        layer.grads.clear()
    trainer.step(*data)
    assert net.grads.keys() == net.params.keys()


def test_scores_of_more_dimensions(data):
    net = fd.Sequential(Conv2d(3, 5, 8))
    with pytest.raises(fd.ShapeError, match="x must have 2 dimensions"):
        fd.Trainer(net).step(*data)


def test_copies_and_pickles(data):
    x, t = data
    net = NETWORKS["a layer of one's own"]()
    trained(net, x, t).step(x, t)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin.predict(x), net.predict(x))
        trained(twin, x, t)
        assert not np.array_equal(twin.predict(x), net.predict(x))


def test_several_threads_predict(data):
    x, _ = data
    net = NETWORKS["residual"]()
    expected = net.predict(x)
    wrong = []

    def work():
        wrong.extend(1 for _ in range(20) if not np.array_equal(net.predict(x), expected))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_network_inside_a_layer_of_its_own(data):
    """Such a layer asks the network for a prediction while the network's plan is running."""
    x, _ = data

    class Twice(fd.Layer):
        net, inside = None, False

        def apply(self, inputs, params, training):
            if self.inside:
                return inputs[0], None
            self.__dict__["inside"] = True
            try:
                again = self.net.predict(x)
            finally:
                self.__dict__["inside"] = False
            return inputs[0] + again.mean(), None

    layer = Twice()
    net = fd.Sequential(Conv2d(3, 4, 3), layer, Flatten(), Linear(144, 5))
    layer.__dict__["net"] = net
    expected = net.predict(x)
    np.testing.assert_allclose(net.predict(x), expected, rtol=1e-5)
    np.testing.assert_allclose(net.predict(x), expected, rtol=1e-5)
