"""Networks that branch and join, run forward and backward over their graph."""

import weakref

import numpy as np
import pytest
from helpers_layers import assert_as_twin, assert_network_gradients

import fastdl as fd
from fastdl.graph import Graph
from fastdl.layers import BatchNorm2d, Conv2d, Linear, MaxPool2d, ReLU, Tanh


class Residual(fd.Module):
    """A residual block; its projection is there where the shape changes."""

    def __init__(self, inplanes, planes, stride=1):
        self.conv1 = Conv2d(inplanes, planes, 3, stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(planes)
        self.conv2 = Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(planes)
        self.downsample = fd.Sequential(
            Conv2d(inplanes, planes, 1, stride, bias=False), BatchNorm2d(planes))

    def connect(self, x):
        y = fd.relu(self.bn1(self.conv1(x)))
        return fd.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class Inception(fd.Module):
    """Branches side by side."""

    def __init__(self):
        self.narrow = Conv2d(2, 2, 1)
        self.wide = fd.Sequential(Conv2d(2, 3, 1), Tanh(), Conv2d(3, 1, 3, padding=1))
        self.pool = fd.Sequential(MaxPool2d(3, 1, 1), Conv2d(2, 1, 1))

    def connect(self, x):
        return fd.concat([self.narrow(x), self.wide(x), self.pool(x)])


class Shared(fd.Module):
    """One layer twice: a step of a recurrent network, unrolled."""

    def __init__(self):
        self.cell, self.head = Linear(3, 3), Linear(3, 2)

    def connect(self, x):
        return self.head(fd.tanh(self.cell(fd.tanh(self.cell(x)))))


class Dense(fd.Module):
    """Every value is read by all that follow, one of them twice by the same layer."""

    def __init__(self):
        self.first, self.second = Linear(3, 3), Linear(3, 3)

    def connect(self, x):
        a = fd.tanh(self.first(x))
        b = fd.tanh(self.second(a)) * a
        return fd.add(x, a, b) + fd.mean(a, b) * b * b + a


class TwoEnds(fd.Module):
    """Two inputs, two outputs; the second output lies on the way to the first."""

    def __init__(self):
        self.left, self.right, self.top = Linear(3, 4), Linear(2, 4), Linear(4, 2)

    def connect(self, a, b):
        middle = fd.tanh(self.left(a)) * self.right(b)
        return self.top(middle), middle


def twins(torch):
    """The same networks in PyTorch, by the names of ours."""
    nn, relu, tanh = torch.nn, torch.nn.functional.relu, torch.tanh

    class ResidualTwin(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(2, 3, 3, 2, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(3)
            self.conv2 = nn.Conv2d(3, 3, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(3)
            self.downsample = nn.Sequential(nn.Conv2d(2, 3, 1, 2, bias=False), nn.BatchNorm2d(3))

        def forward(self, x):
            y = relu(self.bn1(self.conv1(x)))
            return relu(self.bn2(self.conv2(y)) + self.downsample(x))

    class InceptionTwin(nn.Module):
        def __init__(self):
            super().__init__()
            self.narrow = nn.Conv2d(2, 2, 1)
            self.wide = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Tanh(), nn.Conv2d(3, 1, 3, padding=1))
            self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(2, 1, 1))

        def forward(self, x):
            return torch.cat([self.narrow(x), self.wide(x), self.pool(x)], 1)

    class SharedTwin(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.head(tanh(self.cell(tanh(self.cell(x)))))

    class DenseTwin(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            a = tanh(self.first(x))
            b = tanh(self.second(a)) * a
            return x + a + b + (a + b) / 2 * b * b + a

    class TwoEndsTwin(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right, self.top = nn.Linear(3, 4), nn.Linear(2, 4), nn.Linear(4, 2)

        def forward(self, a, b):
            middle = tanh(self.left(a)) * self.right(b)
            return self.top(middle), middle

    return {"residual": ResidualTwin, "concatenating": InceptionTwin, "shared": SharedTwin,
            "dense": DenseTwin, "two ends": TwoEndsTwin}


NETS = {
    "residual": (lambda: Residual(2, 3, 2), [(2, 2, 5, 5)], [(2, 3, 3, 3)]),
    "concatenating": (Inception, [(2, 2, 3, 4)], [(2, 4, 3, 4)]),
    "shared": (Shared, [(4, 3)], [(4, 2)]),
    "dense": (Dense, [(4, 3)], [(4, 3)]),
    "two ends": (TwoEnds, [(4, 3), (4, 2)], [(4, 2), (4, 4)]),
}
each_net = pytest.mark.parametrize("name", NETS)


@each_net
def test_gradients_are_the_differences(name, rng):
    make, inputs, outputs = NETS[name]
    fd.seed(0)
    assert_network_gradients(make().astype("float64"), [rng.standard_normal(s) for s in inputs],
                             tuple(rng.standard_normal(s) for s in outputs))


@each_net
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_as_in_pytorch(name, training, rng):
    torch = pytest.importorskip("torch")
    make, inputs, _ = NETS[name]
    fd.seed(0)
    net = make().astype("float64").train(training)
    assert_as_twin(torch, net, twins(torch)[name](), [rng.standard_normal(s) for s in inputs], rng)


@each_net
def test_without_dx_parameter_gradients_are_the_same(name, rng):
    make, inputs, outputs = NETS[name]
    net, arrays = make().astype("float64"), [rng.standard_normal(s) for s in inputs]
    dys = tuple(rng.standard_normal(s) for s in outputs)
    dys = dys if len(dys) > 1 else dys[0]
    net.forward(*arrays)
    net.backward(dys)
    expected = {key: value.copy() for key, value in net.grads.items()}
    net.forward(*arrays)
    assert net.backward(dys, need_dx=False) is None
    for key, value in expected.items():
        np.testing.assert_array_equal(net.grads[key], value)


# ---- what is computed, and what is not ----

class Spy(Linear):
    """A dense layer that writes down what is asked of it."""

    def __init__(self, calls, name):
        super().__init__(3, 3)
        self.calls, self.name = calls, name

    def grad(self, dy, saved):
        self.calls.append(f"grad {self.name}")
        return super().grad(dy, saved)

    def param_grads(self, dy, saved):
        self.calls.append(f"param_grads {self.name}")
        return super().param_grads(dy, saved)


def run_spies(need_dx):
    calls = []
    net = fd.Sequential(Tanh(), Spy(calls, "first"), ReLU(), Spy(calls, "second"))
    net.backward(np.ones_like(net.forward(np.ones((2, 3), np.float32))), need_dx)
    return calls


def test_first_layer_gives_no_dx_where_nobody_needs_it():
    assert run_spies(need_dx=False) == ["grad second", "param_grads first"]
    assert run_spies(need_dx=True) == ["grad second", "grad first"]


def test_layers_below_the_first_parameters_are_not_run_backward():
    class Fails(fd.Layer):
        def apply(self, inputs, params, training):
            return inputs[0], None

        def grad(self, dy, saved):
            raise AssertionError("nobody needs this")

    net = fd.Sequential(Fails(), Linear(2, 2))
    net.backward(np.ones_like(net.forward(np.ones((1, 2), np.float32))), need_dx=False)
    assert net.grads["1.weight"].shape == (2, 2)


def test_parameters_off_the_path_have_zero_gradients():
    class Net(fd.Module):
        def __init__(self):
            self.used, self.unused = Linear(2, 2), Linear(2, 2)

        def connect(self, x, y):
            self.unused(y)
            return self.used(x)

    net = Net()
    x = np.ones((1, 2), np.float32)
    dx, dy = net.backward(np.ones_like(net.forward(x, x)))
    assert dx.shape == (1, 2)
    assert dy is None                                       # nothing depends on it
    assert not net.grads["unused.weight"].any()
    assert net.grads["used.weight"].all()


def test_an_input_that_is_the_output():
    class Net(fd.Module):
        def connect(self, x):
            return x, x + x

    net = Net()
    x, two = net.forward(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(two, 2 * x)
    np.testing.assert_array_equal(net.backward((np.array([1.0, 0]), np.array([10.0, 100]))),
                                  [21, 200])


def test_the_same_output_twice():
    class Net(fd.Module):
        def connect(self, x):
            y = fd.tanh(x)
            return y, y

    net = Net()
    x = np.array([0.5])
    net.forward(x)
    np.testing.assert_allclose(net.backward((np.array([1.0]), np.array([2.0]))),
                               3 * (1 - np.tanh(x) ** 2))


def test_gradients_that_meet_do_not_change_each_other():
    """The gradient of a sum is one array for all its inputs; one must not change another's."""
    class Net(fd.Module):
        def connect(self, a, b):
            return (a + b) + a

    net = Net()
    net.forward(np.ones(2), np.ones(2))
    da, db = net.backward(np.ones(2))
    np.testing.assert_array_equal(da, [2, 2])
    np.testing.assert_array_equal(db, [1, 1])


def test_backward_does_not_change_its_argument(rng):
    net = Dense()
    dy = np.ones((4, 3), np.float32)
    dy.flags.writeable = False
    net.forward(rng.standard_normal((4, 3)))
    net.backward(dy)


# ---- memory ----

class Watched(fd.Layer):
    """Adds 1, and counts the outputs of such layers that are alive when it runs."""

    def __init__(self, made, alive):
        self.made, self.alive = made, alive

    def apply(self, inputs, params, training):
        self.alive.append(sum(reference() is not None for reference in self.made))
        y = inputs[0] + 1
        self.made.append(weakref.ref(y))
        return y, inputs[0]

    def grad(self, dy, saved):
        return (dy,), {}


def test_inference_lets_arrays_go():
    made, alive = [], []
    net = fd.Sequential(*(Watched(made, alive) for _ in range(6)))
    y = net.predict(np.zeros((1, 2)))
    assert alive == [0, 1, 1, 1, 1, 1]                  # the one that is read, and no other
    np.testing.assert_array_equal(y, [[6, 6]])


def test_inference_keeps_what_is_read_later():
    made, alive = [], []
    a, b, c = (Watched(made, alive) for _ in range(3))

    class Net(fd.Module):
        def connect(self, x):
            first = a(x)
            return c(b(first)) + first

    y = Net().predict(np.zeros((1, 2)))
    assert alive == [0, 1, 2]
    np.testing.assert_array_equal(y, [[4, 4]])


def test_training_keeps_arrays_until_backward():
    made, alive = [], []
    net = fd.Sequential(*(Watched(made, alive) for _ in range(3)))
    y = net.forward(np.zeros((1, 2)))
    assert alive == [0, 1, 2]
    net.backward(np.ones_like(y))
    assert [reference() is None for reference in made] == [True, True, False]       # y is ours


# ---- errors ----

class Connects(fd.Module):
    """A module that connects by a function."""

    def __init__(self, function, **parts):
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def connect(self, x):
        return self.function(self, x)


X = np.ones((1, 2), np.float32)


@pytest.mark.parametrize("junk", [None, 3, np.ones(2), "node", [None], ()], ids=repr)
def test_connect_that_returns_no_node(junk):
    with pytest.raises(fd.GraphError, match="connect must return a node"):
        Connects(lambda net, x: junk).forward(X)


def test_connect_that_returns_a_foreign_node():
    graph = Graph.trace(lambda x: fd.relu(x), 1)
    foreign = graph.nodes[-1]
    with pytest.raises(fd.GraphError, match="connect must return a node"):
        Connects(lambda net, x: foreign).forward(X)
    with pytest.raises(fd.GraphError, match="must be nodes of the same network, got <node 1: ReLU"):
        Connects(lambda net, x: x + foreign).forward(X)


@pytest.mark.parametrize(("other", "got"), [(1.0, "float"), (np.ones(2), "ndarray")])
def test_nodes_meet_nodes_only(other, got):
    for meet in (lambda net, x: x + other, lambda net, x: x * other,
                 lambda net, x: fd.concat([x, other])):
        with pytest.raises(fd.GraphError, match=f"nodes of the same network, got {got}"):
            Connects(meet).forward(X)


def test_parameters_made_inside_connect():
    with pytest.raises(fd.GraphError, match=r"connect uses Linear\(2, 2\), which is no attribute"):
        Connects(lambda net, x: Linear(2, 2)(x)).forward(X)
    with pytest.raises(fd.GraphError, match=r"connect uses BatchNorm1d.*make it in __init__"):
        Connects(lambda net, x: fd.layers.BatchNorm1d(2, affine=False)(x)).forward(X)
    hidden = Linear(2, 2)
    with pytest.raises(fd.GraphError, match="which is no attribute"):
        Connects(lambda net, x: net.seen(hidden(x)), seen=Linear(2, 2)).forward(X)


def test_a_module_without_connect():
    with pytest.raises(NotImplementedError, match="Module does not define connect"):
        fd.Module().forward(X)


def test_backward_needs_a_forward_of_its_own():
    net = fd.Sequential(Linear(2, 2))
    with pytest.raises(fd.GraphError, match=r"Sequential\.backward: call forward first"):
        net.backward(X)
    net.forward(X)
    net.backward(X)
    with pytest.raises(fd.GraphError, match="each backward needs a forward"):
        net.backward(X)


def test_gradients_of_another_shape_or_number():
    net = fd.Sequential(Linear(2, 3))
    net.forward(X)
    with pytest.raises(fd.GraphError, match=r"the output is \(1, 3\), .* got \(1, 2\)"):
        net.backward(X)
    net = TwoEnds()
    net.forward(np.ones((1, 3)), np.ones((1, 2)))
    with pytest.raises(fd.GraphError, match="the network has 2 outputs, got 1 gradients"):
        net.backward(X)


def test_another_number_of_inputs():
    with pytest.raises(fd.GraphError, match="the network has 2 inputs, got 1"):
        TwoEnds().forward(X)
    with pytest.raises(fd.GraphError, match="the network has 1 inputs, got 2"):
        fd.Sequential(ReLU()).forward(X, X)


@pytest.mark.parametrize(("dxs", "got"), [((), "0"), ((X, X), "2"), (X, "ndarray"), (None, "None")])
def test_own_layer_with_another_number_of_gradients(dxs, got):
    class Wrong(fd.Layer):
        def apply(self, inputs, params, training):
            return inputs[0], None

        def grad(self, dy, saved):
            return dxs, {}

    net = fd.Sequential(Wrong())
    net.forward(X)
    with pytest.raises(fd.GraphError, match=rf"Wrong\(\).grad: must return a tuple of 1.* {got}"):
        net.backward(X)


# ---- the graph itself ----

def test_nodes_are_in_the_order_in_which_they_can_run():
    graph = Residual(2, 3).graph
    assert [node.layer is None for node in graph.nodes[:2]] == [True, False]
    assert all(source.index < node.index for node in graph.nodes for source in node.inputs)
    assert repr(graph.nodes[0]) == "<node 0: input of ()>"
    assert repr(graph.nodes[2]).startswith("<node 2: BatchNorm2d(3")


def test_a_shared_layer_is_one_layer_and_two_nodes():
    net = Shared()
    uses = [node for node in net.graph.nodes if node.layer is net.cell]
    assert len(uses) == 2
    assert net.graph.layers().count(net.cell) == 1


def test_sum_of_a_list_of_nodes():
    class Sum(fd.Module):
        def connect(self, x):
            return sum([x, x, x])

    np.testing.assert_array_equal(Sum().forward(np.ones(2)), [3.0, 3.0])
