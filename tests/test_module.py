"""Modules: names and state dicts as in PyTorch, changes of structure, prediction, saving."""

import copy
import os
import pickle
import threading

import numpy as np
import pytest
from helpers_layers import assert_as_twin

import fastdl as fd
from fastdl.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU


class Net(fd.Module):
    """Parts as attributes, in a Sequential inside a Sequential, and in a list."""

    def __init__(self):
        self.stem = fd.Sequential(
            Conv2d(1, 4, 3, padding=1), fd.Sequential(BatchNorm2d(4), ReLU()))
        self.blocks = [Conv2d(4, 4, 3, padding=1, bias=False), Conv2d(4, 4, 1)]
        self.norm = BatchNorm2d(4)
        self.fc = Linear(4 * 5 * 5, 3)

    def connect(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = fd.relu(self.norm(block(x)) + x)
        return self.fc(fd.flatten(x))


def make_twin(torch):
    nn = torch.nn

    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()))
            self.blocks = nn.ModuleList(
                [nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.Conv2d(4, 4, 1)])
            self.norm = nn.BatchNorm2d(4)
            self.fc = nn.Linear(4 * 5 * 5, 3)

        def forward(self, x):
            x = self.stem(x)
            for block in self.blocks:
                x = torch.relu(self.norm(block(x)) + x)
            return self.fc(x.flatten(1))

    return Twin()


@pytest.fixture
def net():
    fd.seed(0)
    return Net()


@pytest.fixture
def x(rng):
    return rng.standard_normal((6, 1, 5, 5)).astype(np.float32)


def same_state(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# ---- names ----

def test_names(net):
    assert list(net.params) == [
        "stem.0.weight", "stem.0.bias", "stem.1.0.weight", "stem.1.0.bias", "blocks.0.weight",
        "blocks.1.weight", "blocks.1.bias", "norm.weight", "norm.bias", "fc.weight", "fc.bias"]
    assert list(net.state_dict())[2:7] == [
        "stem.1.0.weight", "stem.1.0.bias", "stem.1.0.running_mean", "stem.1.0.running_var",
        "stem.1.0.num_batches_tracked"]


def test_names_are_pytorchs(net):
    torch = pytest.importorskip("torch")
    twin = make_twin(torch)
    assert list(net.params) == [name for name, _ in twin.named_parameters()]
    assert list(net.state_dict()) == list(twin.state_dict())
    assert {name: value.shape for name, value in net.state_dict().items()} == {
        name: tuple(value.shape) for name, value in twin.state_dict().items()}


def test_paths_of_modules_and_layers(net):
    assert [path for path, _ in net.named_modules()] == [
        "", "stem", "stem.0", "stem.1", "stem.1.0", "stem.1.1", "blocks.0", "blocks.1", "norm",
        "fc"]
    assert [path for path, _ in net.named_layers()] == [
        "stem.0", "stem.1.0", "stem.1.1", "blocks.0", "blocks.1", "norm", "fc"]


def test_parts_in_a_dict():
    class Heads(fd.Module):
        def __init__(self):
            self.heads = {"a": Linear(2, 1), "b": Linear(2, 1)}

        def connect(self, x):
            return self.heads["a"](x) + self.heads["b"](x)

    assert list(Heads().params) == ["heads.a.weight", "heads.a.bias", "heads.b.weight",
                                    "heads.b.bias"]


def test_a_shared_layer_has_one_parameter_and_two_names_in_the_state(tmp_path):
    shared = Linear(2, 2)
    net = fd.Sequential(shared, ReLU(), shared)
    assert list(net.params) == ["0.weight", "0.bias"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]     # PyTorch's
    net.save(tmp_path / "net.safetensors")
    other = Linear(2, 2)
    fd.Sequential(other, ReLU(), other).load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(other.weight, shared.weight)


def test_super_init_may_be_called():
    class Polite(fd.Module):
        def __init__(self):
            super().__init__()
            self.fc = Linear(2, 2)

        def connect(self, x):
            return self.fc(x)

    assert Polite().forward(np.ones((1, 2))).shape == (1, 2)


def test_repr(net):
    assert repr(fd.Sequential(Linear(2, 3), fd.Sequential(ReLU()))) == (
        "Sequential(\n  (0): Linear(2, 3)\n  (1): Sequential(\n    (0): ReLU()\n  )\n)")
    assert "  (blocks.1): Conv2d(4, 4, kernel_size=(1, 1))\n" in repr(net)


# ---- state dicts ----

def test_state_dict_is_a_copy_and_comes_back(net, x):
    before, y = net.state_dict(), net.predict(x)
    for w in net.params.values():
        w += 1
    assert not same_state(net.state_dict(), before)
    net.load_state_dict(before)
    assert same_state(net.state_dict(), before)
    np.testing.assert_array_equal(net.predict(x), y)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_as_in_pytorch_from_its_state_dict(training, x, rng):
    """Train the twin a little, so that the buffers hold something, and take over all it has."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    twin, net = make_twin(torch), Net().train(training)
    for _ in range(3):
        twin(torch.tensor(x))
    net.load_state_dict(twin.state_dict())
    assert net.norm.num_batches_tracked == 6                # twice in each forward
    twin.train(training)
    with torch.no_grad():
        expected = copy.deepcopy(twin)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(net.forward(x), expected, rtol=1e-4, atol=1e-5)
    assert_as_twin(torch, net.astype("float64"), twin, [x.astype("float64")], rng, 1e-9, 1e-11)


def broken(**changes):
    def change(state):
        state.update(changes)
        return state
    return change


def without(name):
    def change(state):
        del state[name]
        return state
    return change


@pytest.mark.parametrize(("change", "message"), [
    (without("fc.bias"), "Net does not fit: missing fc.bias$"),
    (without("norm.running_var"), "missing norm.running_var$"),
    (broken(extra=np.ones(1)), "unexpected extra$"),
    (broken(**{"fc.weight": np.ones((3, 99))}), r"fc.weight is \(3, 99\), expected \(3, 100\)$"),
    (broken(**{"fc.bias": np.array(["a", "b", "c"])}), "fc.bias is <U1, expected float32$"),
    (broken(**{"fc.bias": np.ones(3, complex)}), "fc.bias is complex128, expected float32$"),
    (broken(**{f"x{i}": np.ones(1) for i in range(20)}), "unexpected x7 and 12 more$"),
])
def test_load_state_dict_refuses_and_changes_nothing(net, change, message):
    before = net.state_dict()
    wrong = change({name: array + 1 for name, array in before.items()})
    with pytest.raises(fd.CheckpointError, match=message):
        net.load_state_dict(wrong)
    assert same_state(net.state_dict(), before)


def test_load_state_dict_that_is_not_strict(net):
    before = net.state_dict()
    net.load_state_dict({"fc.bias": np.full(3, 9), "extra": np.ones(1)}, strict=False)
    np.testing.assert_array_equal(net.fc.bias, [9, 9, 9])
    np.testing.assert_array_equal(net.fc.weight, before["fc.weight"])
    with pytest.raises(fd.CheckpointError, match=r"fc\.bias is \(4,\)"):
        net.load_state_dict({"fc.bias": np.ones(4)}, strict=False)


def test_load_state_dict_converts_the_dtype(net):
    net.load_state_dict({name: array.astype("float64") for name, array in
                         net.state_dict().items()})
    assert net.fc.weight.dtype == np.float32


# ---- identity ----

def test_parameters_are_written_in_place_and_seen(net, x):
    net.eval()
    before, kept = net.forward(x), net.params
    kept["fc.weight"][...] = 0                              # into the array
    kept["fc.bias"] = [1, 2, 3]                             # by the dict
    np.testing.assert_array_equal(net.forward(x), np.tile([1, 2, 3], (6, 1)))
    assert (before != net.forward(x)).any()
    net.fc.bias = [4, 5, 6]                                 # by the attribute
    np.testing.assert_array_equal(net.predict(x)[0], [4, 5, 6])
    assert all(net.params[name] is array for name, array in kept.items())


def test_load_and_training_keep_the_arrays(net, x):
    kept = net.params
    net.load_state_dict(net.state_dict())
    fd.Trainer(net, optimizer="sgd").step(x, np.array([0, 1, 2, 0, 1, 2]))
    assert all(net.params[name] is array for name, array in kept.items())


def test_gradients_keep_their_identity(net, x):
    kept = {}
    for _ in range(2):
        y = net.forward(x)
        net.backward(np.ones_like(y))
        kept = kept or net.grads
    assert all(net.grads[name] is array for name, array in kept.items())


def test_params_reject_new_names_and_wrong_shapes(net):
    with pytest.raises(fd.ArgumentError, match=r"the network has no parameter 'fc\.wieght'"):
        net.params["fc.wieght"] = np.ones(1)
    with pytest.raises(fd.ShapeError, match=r"fc.bias: expected shape \(3,\), got \(4,\)"):
        net.params["fc.bias"] = np.ones(4)


def test_astype(net, x):
    y = net.eval().forward(x)
    assert net.astype("float64") is net
    dtypes = {name: str(array.dtype) for name, array in net.state_dict().items()}
    assert dtypes.pop("norm.num_batches_tracked") == "int64"
    assert dtypes.pop("stem.1.0.num_batches_tracked") == "int64"
    assert set(dtypes.values()) == {"float64"}
    np.testing.assert_allclose(net.forward(x), y, rtol=1e-4, atol=1e-5)
    assert net.forward(x).dtype == np.float64
    for wrong in ("int64", "complex64"):
        with pytest.raises(fd.ArgumentError, match=f"float16, float32 or float64, got {wrong}"):
            net.astype(wrong)


def test_copies_are_independent(net, x):
    y = net.predict(x)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin.predict(x), y)
        twin.params["fc.bias"] = [7, 7, 7]
        np.testing.assert_array_equal(net.predict(x), y)
        assert (twin.predict(x) != y).all()


# ---- modes ----

def test_modes_reach_all_parts(net):
    assert net.eval() is net
    assert not any(part.training for _, part in net.named_modules())
    assert net.train() is net
    assert all(part.training for _, part in net.named_modules())
    net.train(False)
    assert not net.norm.training


def test_one_part_may_have_a_mode_of_its_own(x):
    net = fd.Sequential(BatchNorm2d(1), Conv2d(1, 1, 1))
    net[0].eval()
    net.forward(x)
    assert net[0].num_batches_tracked == 0


# ---- changes of structure ----

def ones(out):
    layer = Linear(2, out, bias=False)
    layer.weight = np.ones((out, 2))
    return layer


class List(fd.Module):
    def __init__(self, *parts):
        self.parts = list(parts)

    def connect(self, x):
        for part in self.parts:
            x = part(x)
        return x


class Times(fd.Layer):
    def __init__(self, factor):
        self.factor = factor

    def apply(self, inputs, params, training):
        return inputs[0] * self.factor, None

    def grad(self, dy, saved):
        return (dy * self.factor,), {}


def test_a_replaced_attribute_is_noticed():
    class One(fd.Module):
        def __init__(self):
            self.part, self._private = Times(2), Times(1)

        def connect(self, x):
            return self._private(self.part(x))

    net, x = One(), np.ones((1, 1))
    assert net.forward(x) == 2
    net.part = Times(3)
    assert net.forward(x) == 3
    net._private = Times(10)
    assert net.forward(x) == 30


def test_a_change_deep_inside_is_noticed():
    inner = List(Times(2))
    net, x = fd.Sequential(fd.Sequential(inner)), np.ones((1, 1))
    assert net.predict(x) == 2
    inner.parts[0] = Times(5)
    assert net.predict(x) == 5


def test_append_to_a_sequential_is_noticed():
    net, x = fd.Sequential(Times(2)), np.ones((1, 1))
    assert net.forward(x) == 2
    assert net.append(Times(3)) is net
    assert net.forward(x) == 6
    assert len(net) == 2


@pytest.mark.parametrize(("change", "result"), [
    (lambda parts: parts.append(Times(3)), 12), (lambda parts: parts.extend([Times(3)]), 12),
    (lambda parts: parts.insert(0, Times(3)), 12), (lambda parts: parts.pop(), 2),
    (lambda parts: parts.clear(), 1), (lambda parts: parts.remove(parts[0]), 2),
    (lambda parts: parts.__setitem__(0, Times(5)), 10), (lambda parts: parts.__delitem__(0), 2),
    (lambda parts: parts.__iadd__([Times(3)]), 12),
], ids=["append", "extend", "insert", "pop", "clear", "remove", "set", "del", "+="])
def test_changes_of_a_list_are_noticed(change, result):
    net, x = List(Times(2), Times(2)), np.ones((1, 1))
    assert net.forward(x) == 4
    change(net.parts)
    assert net.forward(x) == result


def test_a_list_that_starts_empty_is_watched_too():
    class Grows(List):
        def __init__(self):
            self.parts = []
            self.parts.append(ones(2))

    net, x = Grows(), np.ones((1, 2))
    assert net.forward(x).shape == (1, 2)
    net.parts.append(ones(3))
    assert net.forward(x).shape == (1, 3)
    assert list(net.params) == ["parts.0.weight", "parts.1.weight"]


def test_a_deleted_part_is_noticed():
    class Optional(fd.Module):
        def __init__(self):
            self.last = Times(2)

        def connect(self, x):
            x = fd.relu(x)
            return self.last(x) if hasattr(self, "last") else x

    net, x = Optional(), np.ones((1, 1))
    assert net.forward(x) == 2
    del net.last
    assert net.forward(x) == 1


def test_backward_goes_over_the_network_that_ran_forward():
    net, x = fd.Sequential(Times(2)), np.ones((1, 1))
    net.forward(x)
    net.append(Times(100))
    assert net.backward(x) == 2


def test_running_does_not_trace_anew(net, x):
    net.forward(x)
    graph = net.graph
    net.train().eval()
    net.predict(x)
    net.forward(x)
    assert net.graph is graph


# ---- predict ----

def test_predict_is_eval_forward_in_batches(net, x):
    net.forward(x)                      # statistics that differ from the batch's
    expected = net.eval().forward(x)
    net.train()
    for batch_size in (1, 4, 6, 100):
        np.testing.assert_allclose(net.predict(x, batch_size), expected, rtol=1e-5, atol=1e-6)


def test_predict_leaves_everything_alone(net, x):
    net.norm.eval()
    modes = [part.training for _, part in net.named_modules()]
    y = net.forward(x)
    state, random = net.state_dict(), fd.random.get_state()
    net.predict(x[:2])
    assert [part.training for _, part in net.named_modules()] == modes
    assert same_state(net.state_dict(), state)
    assert fd.random.get_state() == random
    assert net.backward(np.ones_like(y)).shape == x.shape   # of the forward before


def test_predict_drops_nothing():
    x = np.ones((3, 100))
    np.testing.assert_array_equal(fd.Sequential(Dropout(0.9)).predict(x), x)


def test_predict_of_several_outputs(rng):
    class Two(fd.Module):
        def connect(self, x):
            return x, fd.relu(x)

    x = rng.standard_normal((5, 2))
    y, z = Two().predict(x, batch_size=2)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(z, np.maximum(x, 0))


def test_predict_in_several_threads(net, rng):
    inputs = [rng.standard_normal((40, 1, 5, 5)).astype(np.float32) for _ in range(4)]
    expected = [net.predict(x) for x in inputs]
    net.append_nothing = None                               # stale: each thread finds it so
    failures, start = [], threading.Barrier(4)

    def work(i):
        start.wait()
        for _ in range(10):
            y = net.predict(inputs[i], batch_size=16)
            if not np.allclose(y, expected[i], rtol=1e-5, atol=1e-6):
                failures.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("dtype", ["float64", "float16", ">f4", "int64", "uint8"])
def test_inputs_become_the_parameters_dtype(net, dtype):
    x = np.arange(50, dtype=dtype).reshape(2, 1, 5, 5)
    expected = net.predict(x.astype(np.float32))
    assert net.predict(x).dtype == np.float32
    np.testing.assert_array_equal(net.predict(x), expected)
    np.testing.assert_array_equal(net.predict(x.tolist()), expected)
    assert net.forward(x).dtype == np.float32


def test_an_empty_batch(net):
    assert net.predict(np.zeros((0, 1, 5, 5), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "all"])
def test_bad_batch_size(net, x, batch_size):
    with pytest.raises(fd.ArgumentError, match="predict: batch_size must be an integer of at le"):
        net.predict(x, batch_size)


def test_predict_needs_a_batch(net):
    with pytest.raises(fd.ShapeError, match="predict: x must have a batch dimension"):
        net.predict(3.0)


# ---- Sequential ----

def test_sequential_is_a_sequence():
    parts = [Flatten(), Linear(4, 2), ReLU()]
    net = fd.Sequential(*parts)
    assert len(net) == 3
    assert list(net) == parts
    assert net[1] is parts[1]
    assert net[-1] is parts[2]
    assert isinstance(net[:2], fd.Sequential)
    assert list(net[:2]) == parts[:2]


def test_sequential_takes_parts_only():
    for make in (lambda: fd.Sequential(np.tanh), lambda: fd.Sequential().append([ReLU()])):
        with pytest.raises(fd.ArgumentError, match="Sequential: expected layers and modules, got"):
            make()


def test_a_module_is_called_on_nodes_and_on_arrays(x):
    inner = fd.Sequential(Conv2d(1, 2, 3), ReLU())
    outer = fd.Sequential(inner, Flatten())
    np.testing.assert_array_equal(outer(x), inner(x).reshape(6, -1))


# ---- saving ----

def test_save_and_load(net, x, tmp_path):
    net.forward(x)
    net.save(tmp_path / "net.safetensors")
    other = Net()
    other.load(str(tmp_path / "net.safetensors"))
    assert same_state(other.state_dict(), net.state_dict())
    np.testing.assert_array_equal(other.predict(x), net.predict(x))
    assert os.listdir(tmp_path) == ["net.safetensors"]


def test_the_file_is_plain_safetensors(net, tmp_path):
    from safetensors.numpy import load_file

    net.save(tmp_path / "net.safetensors", model="net")
    assert same_state(load_file(tmp_path / "net.safetensors"), net.state_dict())


def test_pytorch_reads_the_file(net, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    net.save(tmp_path / "net.safetensors")
    make_twin(torch).load_state_dict(load_file(tmp_path / "net.safetensors"))


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_save_that_is_cut_off_leaves_the_old_file(net, tmp_path, monkeypatch, failing, error):
    path = tmp_path / "net.safetensors"
    net.save(path)
    before = path.read_bytes()
    net.fc.bias = [1, 2, 3]

    def fail(*_):
        raise error("no space left")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(error, match="no space left"):
        net.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.safetensors"]


def test_a_save_keeps_the_permissions(net, tmp_path):
    path = tmp_path / "net.safetensors"
    net.save(path)
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    path.chmod(0o640)
    net.save(path)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 100])
def test_a_file_that_is_no_safetensors(net, tmp_path, content):
    (tmp_path / "net.safetensors").write_bytes(content)
    with pytest.raises(fd.CheckpointError, match=r"net\.safetensors: not a readable safetensors"):
        net.load(tmp_path / "net.safetensors")


def test_a_file_that_is_cut_off(net, tmp_path):
    path = tmp_path / "net.safetensors"
    net.save(path)
    before = net.state_dict()
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(fd.CheckpointError, match="not a readable safetensors file"):
        net.load(path)
    assert same_state(net.state_dict(), before)


def test_a_file_that_is_not_there(net, tmp_path):
    with pytest.raises(fd.CheckpointError, match=r"nothing\.safetensors: no such file"):
        net.load(tmp_path / "nothing.safetensors")
    with pytest.raises(fd.CheckpointError, match="not a readable"):
        net.load(tmp_path)
    with pytest.raises(OSError, match="nowhere"):
        net.save(tmp_path / "nowhere" / "net.safetensors")


def test_a_file_of_another_network(net, tmp_path):
    fd.Sequential(Linear(2, 2)).save(tmp_path / "other.safetensors")
    before = net.state_dict()
    with pytest.raises(fd.CheckpointError, match=r"Net does not fit: missing stem\.0\.weight"):
        net.load(tmp_path / "other.safetensors")
    assert same_state(net.state_dict(), before)


class WithUnused(fd.Module):
    """One part that connect does not use, and a dropout made inside connect."""

    def __init__(self):
        self.used, self.unused = fd.layers.Linear(3, 2), fd.layers.Linear(5, 5)

    def connect(self, x):
        return fd.layers.Dropout(0.9)(self.used(x))


def test_parameters_that_the_output_does_not_depend_on_get_gradients_of_zero():
    net = WithUnused()
    before = net.unused.weight.copy()
    fd.Trainer(net, "mse", fd.optimizers.SGD(lr=0.1)).step(np.ones((4, 3)), np.ones((4, 2)))
    assert not net.grads["unused.weight"].any()
    np.testing.assert_array_equal(net.unused.weight, before)


def test_layers_made_inside_connect_follow_the_mode():
    x = np.ones((50, 3), np.float32)
    net = WithUnused()
    assert (net.forward(x) == 0).mean() > 0.5
    assert (net.eval().forward(x) != 0).all()
    assert (net.train().forward(x) == 0).mean() > 0.5
    assert (WithUnused().eval().forward(x) != 0).all()


def test_copies_and_pickles_leave_runs_behind(rng):
    net = fd.Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    trainer = fd.Trainer(net)
    x = rng.standard_normal((5, 3)).astype(np.float32)
    trainer.step(x, np.zeros(5, int))
    net.backward(np.ones_like(net.forward(x)))
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(again.predict(x), net.predict(x))
        assert not again.grads
        again.params["0.weight"][...] = 0
        assert net.params["0.weight"].any()
    optimizer = pickle.loads(pickle.dumps(trainer.optimizer))
    twin = copy.deepcopy(net)
    net.forward(x)
    net.backward(np.ones((5, 2), np.float32))
    for each, of in ((trainer.optimizer, net), (optimizer, twin)):
        each.update(of.params, net.grads)
    np.testing.assert_equal(twin.state_dict(), net.state_dict())
