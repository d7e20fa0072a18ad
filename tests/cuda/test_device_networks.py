"""Networks on the device: the same numbers as on the host, in one graph from the second step on."""

import numpy as np
import pytest
from conftest import MACHINE

import fastdl as fd
from fastdl.errors import ArgumentError, DTypeError, GraphError
from fastdl.plan import roofline

pytestmark = pytest.mark.usefixtures("device")
layers = fd.layers


def network():
    fd.seed(3)
    return fd.Sequential(
        layers.Conv2d(1, 2, 3, padding=1, bias=False), layers.BatchNorm2d(2), layers.ReLU(),
        layers.MaxPool2d(2), layers.Flatten(), layers.Dropout(0.3), layers.Linear(8, 3))


@pytest.fixture
def batch(rng):
    return rng.standard_normal((4, 1, 4, 4)).astype(np.float32), np.array([0, 2, 1, 1])


@pytest.fixture(scope="module")
def trained():
    """Both trainers after three steps, their losses, and what they predict."""
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((4, 1, 4, 4)).astype(np.float32), np.array([0, 2, 1, 1])
    results = []
    for device in ("cpu", "cuda"):
        trainer = fd.Trainer(network(), optimizer=fd.optimizers.Adam(lr=0.01), device=device)
        fd.seed(5)
        losses = [trainer.step(x, t) for _ in range(3)]
        results.append((trainer, losses, trainer.net.predict(x)))
    return results


def test_same_losses(trained):
    (_, here, _), (_, there, _) = trained
    np.testing.assert_allclose(there, here, rtol=1e-5)


def test_same_parameters_and_buffers(trained):
    here, there = (trainer.net.state_dict() for trainer, _, _ in trained)
    for name, array in here.items():
        assert isinstance(there[name], np.ndarray)
        np.testing.assert_allclose(there[name], array, rtol=1e-4, atol=1e-5, err_msg=name)


def test_same_predictions(trained):
    (_, _, here), (_, _, there) = trained
    assert isinstance(there, np.ndarray)
    np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-5)


def test_predictions_lie_where_the_samples_do(trained, batch):
    net = trained[1][0].net
    y = net.predict(fd.cuda.to_device(batch[0]))
    assert isinstance(y, fd.cuda.Array)
    np.testing.assert_array_equal(y.numpy(), net.predict(batch[0]))


def test_checkpoint_goes_on(trained, batch, tmp_path):
    trainer = trained[1][0]
    trainer.save_checkpoint(tmp_path / "checkpoint")
    expected = trainer.step(*batch)
    trainer.load_checkpoint(tmp_path / "checkpoint")
    assert trainer.step(*batch) == expected


def test_accuracy_and_distributions(trained, batch):
    """Another kind of targets is another graph."""
    trainer, (x, t) = trained[1][0], batch
    assert set(trainer.evaluate(x, t)) == {"loss", "accuracy"}
    one_hot = np.eye(3, dtype=np.float32)[t]
    assert np.isfinite([trainer.step(x, target) for target in (one_hot, one_hot, t)]).all()


def test_targets_may_lie_on_the_device(trained, batch):
    trainer, (x, t) = trained[1][0], batch
    one_hot = np.eye(3, dtype=np.float32)[t]
    state = trainer.net.state_dict()
    losses = []
    for target in (t, fd.cuda.to_device(t), one_hot, fd.cuda.to_device(one_hot)):
        trainer.net.load_state_dict(state)
        fd.seed(2)
        losses.append(trainer.step(x, target))
    np.testing.assert_allclose(losses, losses[0], rtol=1e-6)
    with pytest.raises(DTypeError, match="both lie on the device"):
        fd.Trainer(network()).step(x, fd.cuda.to_device(t))


def test_there_and_back(batch):
    net = network()
    before = net.state_dict()
    assert net.to("cuda").device == "cuda"
    assert isinstance(net.params["0.weight"], fd.cuda.Array)
    net.load_state_dict(before)
    assert net.to("cpu").device == "cpu"
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert net.forward(batch[0]).shape == (4, 3)


def test_explain(device, monkeypatch):
    if MACHINE:                         # which is not measured
        limits = roofline.Roofline(1e12, 1e12)
        monkeypatch.setattr(roofline, "_measured", lambda *about: limits)
    text = str(fd.explain(network().to("cuda"), (2, 1, 4, 4)))
    assert "batch_norm_inference" in text
    assert device.describe()["device"] in text


def test_what_is_refused(batch):
    with pytest.raises(ArgumentError, match="expected 'cpu' or 'cuda', got 'gpu'"):
        network().to("gpu")
    net = network().astype("float64")
    with pytest.raises(DTypeError, match="float32"):
        net.to("cuda")
    assert net.device == "cpu"
    net = fd.Sequential(layers.Flatten(), layers.Linear(16, 3), layers.BatchNorm1d(3))
    trainer = fd.Trainer(net, device="cuda")
    net[2].eval()                       # and the others train
    with pytest.raises(GraphError, match=r"cannot run on the device.*'reciprocal'"):
        trainer.step(*batch)


@pytest.mark.parametrize("loss", ["mse", "binary_cross_entropy"])
def test_other_losses(batch, loss):
    """Their steps wait for the device, between the graphs of forward and backward."""
    target = np.eye(3)[batch[1]]
    losses = []
    for device in ("cpu", "cuda"):
        fd.seed(1)
        net = fd.Sequential(layers.Flatten(), layers.Linear(16, 3), layers.Sigmoid())
        trainer = fd.Trainer(net, loss=loss, optimizer="sgd", device=device)
        losses.append([trainer.step(batch[0], target) for _ in range(3)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
