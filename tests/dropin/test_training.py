"""What surrounds the networks: MNIST, the trainer, files of parameters."""

import os
import pickle

import numpy as np
import pytest

from fastdl.datasets import _files
from fastdl.dropin.engine import mnist as engine_mnist
from fastdl.dropin.engine.pickles import load_arrays
from fastdl.dropin.studyai.data.mnist import load_mnist as studyai_mnist
from fastdl.dropin.studyai.simple_convolution_network import SimpleConvNet
from fastdl.dropin.zero1.common.multi_layer_net import MultiLayerNet
from fastdl.dropin.zero1.common.multi_layer_net_extend import MultiLayerNetExtend
from fastdl.dropin.zero1.common.trainer import Trainer
from fastdl.dropin.zero1.dataset import mnist
from fastdl.errors import CheckpointError


@pytest.fixture
def few_digits(monkeypatch):
    """MNIST of three examples and two."""
    images = np.zeros((5, 1, 28, 28), np.uint8)
    images[:, 0, 0, :3] = 255, 51, 7
    labels = np.array([3, 0, 9, 1, 1], np.uint8)
    monkeypatch.setattr(_files, "read",
                        lambda name: ((images[:3], labels[:3]), (images[3:], labels[3:])))


@pytest.mark.parametrize("load", [mnist.load_mnist, studyai_mnist])
def test_load_mnist(few_digits, load):
    (x, t), (x_test, t_test) = load()
    assert (x.shape, x.dtype, x_test.shape) == ((3, 784), np.float32, (2, 784))
    assert t.dtype == np.uint8
    np.testing.assert_array_equal(t, [3, 0, 9])
    np.testing.assert_array_equal(t_test, [1, 1])
    np.testing.assert_array_equal(x[0, :3], np.array([255, 51, 7], np.float32) / 255)
    (x, t), _ = load(normalize=False, flatten=False, one_hot_label=True)
    assert (x.shape, x.dtype, t.dtype) == ((3, 1, 28, 28), np.uint8, np.float64)
    np.testing.assert_array_equal(t, [[0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
                                      [1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                                      [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]])


def test_init_mnist(few_digits, tmp_path, monkeypatch):
    """A script may read the file itself, as the course's `load_mnist` does."""
    assert mnist.save_file == mnist.dataset_dir + "/mnist.pkl"
    monkeypatch.setattr(engine_mnist, "save_file", str(tmp_path / "mnist.pkl"))
    mnist.init_mnist()
    arrays = load_arrays(tmp_path / "mnist.pkl")
    assert {name: (array.shape, array.dtype.name) for name, array in arrays.items()} == {
        "train_img": ((3, 784), "uint8"), "train_label": ((3,), "uint8"),
        "test_img": ((2, 784), "uint8"), "test_label": ((2,), "uint8")}
    assert arrays["train_img"][0, :3].tolist() == [255, 51, 7]


def two_groups(count=60):
    """A task that is learnt at once."""
    t = np.arange(count) % 2
    return np.stack([t, 1 - t, np.ones(count)], axis=1).astype(np.float32), t


def test_trainer(capsys):
    np.random.seed(0)                                                       # noqa: NPY002
    x, t = two_groups()
    network = MultiLayerNet(3, [8], 2)
    trainer = Trainer(network, x, t, x[:10], t[:10], epochs=4, mini_batch_size=20,
                      optimizer="AdaGrad", optimizer_param={"lr": 0.3},
                      evaluate_sample_num_per_epoch=30)
    trainer.train()
    assert (trainer.max_iter, trainer.current_iter, trainer.current_epoch) == (12, 12, 4)
    assert len(trainer.train_loss_list) == 12
    assert len(trainer.train_acc_list) == len(trainer.test_acc_list) == 4
    assert trainer.train_acc_list[-1] == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"train loss:{trainer.train_loss_list[0]}"
    assert printed[1] == (f"=== epoch:1, train acc:{trainer.train_acc_list[0]}, "
                          f"test acc:{trainer.test_acc_list[0]} ===")
    assert printed[-2:] == ["=============== Final Test Accuracy ===============",
                            "test acc:1.0"]


def test_trainer_draws_batches_as_the_course_does():
    x, t = two_groups()
    network = MultiLayerNetExtend(3, [8], 2, use_dropout=True)
    np.random.seed(2)                                                       # noqa: NPY002
    Trainer(network, x, t, x, t, epochs=1, mini_batch_size=20, verbose=False).train()
    after = np.random.rand()                                                # noqa: NPY002
    np.random.seed(2)                                                       # noqa: NPY002
    for _ in range(3):
        np.random.choice(60, 20)                                            # noqa: NPY002
        np.random.rand(20, 8)                                               # noqa: NPY002
    assert np.random.rand() == after                                        # noqa: NPY002


def test_accuracy_of_whole_batches_only():
    network = SimpleConvNet((1, 8, 8), {"filter_num": 2, "filter_size": 3, "pad": 0, "stride": 1},
                            4, 2)
    x, d = np.zeros((25, 1, 8, 8), np.float32), np.zeros(25, int)
    assert network.accuracy(x, d, batch_size=10) == pytest.approx(20 / 25)
    assert network.accuracy(x, np.eye(2)[d], batch_size=10) == pytest.approx(20 / 25)
    assert network.accuracy(x, d) == 0


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickled_parameters_load(tmp_path, protocol):
    make = lambda: SimpleConvNet((1, 8, 8), {"filter_num": 2, "filter_size": 3, "pad": 0,  # noqa: E731
                                             "stride": 1}, 4, 2)
    old, new, path = make(), make(), tmp_path / "params.pkl"
    path.write_bytes(pickle.dumps(old.params, protocol))
    new.load_params(path)
    x = np.random.default_rng(0).random((3, 1, 8, 8))
    np.testing.assert_array_equal(old.predict(x), new.predict(x))
    assert new.layers["Conv1"].W is new.params["W1"]


def test_saved_parameters_are_a_common_pickle(tmp_path):
    network = SimpleConvNet()
    network.save_params(tmp_path / "params.pkl")
    params = pickle.loads((tmp_path / "params.pkl").read_bytes())
    assert list(params) == list(network.params)


class Command:
    def __reduce__(self):
        return os.system, ("exit 1",)


@pytest.mark.parametrize("content", [
    pickle.dumps({"W1": Command()}), pickle.dumps([np.ones(2)]), b"", b"not a pickle"])
def test_other_pickles_do_not_load(tmp_path, content):
    path = tmp_path / "params.pkl"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"params\.pkl"):
        load_arrays(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.pkl"):
        load_arrays(tmp_path / "none.pkl")
