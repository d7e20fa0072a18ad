"""What is printed of a plan, and what is measured of it."""

import numpy as np
import pytest

import fastdl as fd
from fastdl.layers import (
    BatchNorm2d,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    ReLU,
    ReLU6,
)
from fastdl.plan.roofline import Roofline
from fastdl.plan.step import Step
from fastdl.plan.value import Value


@pytest.fixture
def net():
    return fd.Sequential(Conv2d(3, 8, 3, padding=1), BatchNorm2d(8), ReLU(), MaxPool2d(2),
                         Conv2d(8, 4, 3), ReLU(), GlobalAvgPool2d(), Flatten(), Linear(4, 5))


def test_inference(net):
    text = str(fd.explain(net, (2, 3, 8, 8)))
    assert "Sequential on float32 (2, 3, 8, 8), inference" in text
    assert "0 + 1 + 2" in text                              # batch norm folds, ReLU fuses
    assert "batch_norm" not in text
    # 2 * (2*8*8*8) * 27, + 2 * (2*4*2*2) * 72, + 2 * 2 * 4 * 5
    assert f"arithmetic {(2 * 1024 * 27 + 2 * 32 * 72 + 80) * 1e-9:.3g} GFLOP" in text
    assert "2×8×4×4" in text
    assert not net.grads


def test_a_training_step(net):
    text = str(fd.explain(net, np.zeros((2, 3, 8, 8)), loss="softmax_cross_entropy"))
    for word in ("a training step (SoftmaxCrossEntropy)", "batch_norm_backward",
                 "conv2d_backward_weight", "softmax_cross_entropy"):
        assert word in text
    assert text.count("conv2d_backward_input") == 1         # none to the images


@pytest.mark.parametrize(("conv", "method"), [
    (Conv2d(64, 64, 3, padding=1), "Winograd F(4×4, 3×3)"), (Conv2d(64, 64, 3, 2), "direct"),
    (Conv2d(64, 64, 1), "product"), (Conv2d(64, 64, 3, groups=64), "depthwise"),
])
def test_the_method_of_a_convolution(conv, method, need_backend):
    need_backend("cython")
    net = fd.Sequential(conv, GlobalAvgPool2d(), Flatten(), Linear(64, 5))
    text = str(fd.explain(net, (8, 64, 28, 28), loss="softmax_cross_entropy"))
    assert text.count(f"{method}") == 2                     # forward, and to the filters
    assert method not in str(fd.explain(net.astype("float64"), (8, 64, 28, 28))) \
        or "Winograd" not in method
    with fd.use_backend("reference"):
        assert method not in str(fd.explain(net, (8, 64, 28, 28)))


def test_relu6_follows_batch_norm_in_its_kernels():
    net = fd.Sequential(Conv2d(3, 8, 3), BatchNorm2d(8), ReLU6(), GlobalAvgPool2d(), Flatten())
    text = str(fd.explain(net, (2, 3, 8, 8), loss="softmax_cross_entropy"))
    assert "1 + 2" in text
    assert "relu6" not in text                              # a kernel of its own
    assert text.count("ReLU6") == 2                         # forward and backward


def test_operations_are_explained_as_before():
    assert "conv2d on float32 arrays" in str(fd.explain("conv2d"))


@pytest.mark.parametrize(("subject", "shape", "message"), [
    (3, None, "expected the name of an operation or a network, got int"),
    (fd.Sequential(Linear(2, 2)), None, "x must be the shape of a batch"),
    (fd.Sequential(Linear(2, 2)), (0, 2), "x must be the shape of a batch"),
    (fd.Sequential(Linear(2, 2)), (4, 3), "x .* and w .* do not fit"),
])
def test_mistakes(subject, shape, message):
    with pytest.raises((fd.ArgumentError, fd.ShapeError), match=message):
        fd.explain(subject, shape)


class Own(fd.Layer):
    def apply(self, inputs, params, training):
        return inputs[0], None

    def grad(self, dy, saved):
        return (dy,), {}


def test_a_layer_of_ones_own():
    net = fd.Sequential(Linear(2, 2), Own())
    assert "layer of your own; run the network once" in str(fd.explain(net, (3, 2)))
    net.forward(np.zeros((3, 2)))
    assert "apply" in str(fd.explain(net, (3, 2)))


def test_a_mixed_network(net):
    net[0].params["weight"] = net[0].params["weight"].astype("float64")
    assert "runs layer by layer: an empty batch, or more than one dtype" in str(
        fd.explain(net, (2, 3, 8, 8)))


def test_the_roofline_takes_what_is_longer():
    def step(flops):
        return Step("", "", print, (Value((250,), np.dtype(np.float32)),), "forward", flops)

    limits = Roofline(flops=1e9, bandwidth=1e9)
    assert limits.seconds(step(0)) == 1e-6                  # 1000 bytes
    assert limits.seconds(step(5000)) == 5e-6


# ---- profiles ----

def test_a_profile_trains_nothing(net, rng, tmp_path):
    x, t = rng.standard_normal((4, 3, 8, 8)), np.array([0, 1, 2, 3])
    trainer = fd.Trainer(net)
    before, state = net.state_dict(), fd.random.get_state()
    profile = trainer.profile(x, t, repeats=2)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert fd.random.get_state() == state
    assert {timed.step.phase for timed in profile} == {"forward", "loss", "backward"}
    assert all(timed.seconds > 0 for timed in profile)
    assert "conv2d_backward_weight" in str(profile)
    profile.plot(tmp_path / "profile.png")
    assert (tmp_path / "profile.png").stat().st_size > 1000


def test_a_profile_needs_a_plan():
    trainer = fd.Trainer(fd.Sequential(Linear(2, 2), Own()))
    with pytest.raises(fd.GraphError, match=r"profile: the network runs layer by layer: Own\(\)"):
        trainer.profile(np.zeros((3, 2)), np.zeros(3, int))
    with pytest.raises(fd.ArgumentError, match="no steps to draw"):
        fd.plan.Profile().plot()
