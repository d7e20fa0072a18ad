"""Looking inside: the numbers are those of the layers, the figures show them."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import viz
from fastdl.layers import Conv2d, Linear, ReLU, flatten, relu

pytest.importorskip("matplotlib")


class Net(fd.Module):
    def __init__(self):
        fd.seed(0)
        self.conv = Conv2d(1, 4, 3)
        self.fc = Linear(4 * 4 * 4, 3)

    def connect(self, x):
        return self.fc(relu(flatten(relu(self.conv(x)))))


@pytest.fixture
def batch(rng):
    return rng.standard_normal((5, 1, 6, 6)).astype(np.float32), np.array([0, 1, 2, 1, 0])


def test_activations(batch):
    net, (x, _) = Net(), batch
    outputs = viz.activations(net, x)
    assert list(outputs) == ["conv", "ReLU", "Flatten", "ReLU 2", "fc"]
    np.testing.assert_array_equal(outputs["conv"], net.conv.forward(x))
    np.testing.assert_array_equal(outputs["ReLU"], np.maximum(outputs["conv"], 0))
    np.testing.assert_allclose(outputs["fc"], net.forward(x), rtol=1e-5, atol=1e-6)
    assert list(viz.activations(net, x, of=(Conv2d, Linear))) == ["conv", "fc"]


def test_names_of_layers_in_lists(batch):
    net = fd.Sequential(fd.Sequential(Conv2d(1, 2, 3), ReLU()), fd.layers.Flatten())
    assert list(viz.activations(net, batch[0])) == ["0.0 Conv2d", "0.1 ReLU", "1 Flatten"]


def test_gradients(batch):
    net, (x, t) = Net(), batch
    found = viz.gradients(net, x, t)
    criterion = fd.losses.SoftmaxCrossEntropy()
    criterion.forward(net.forward(x), t)
    net.backward(criterion.backward())
    assert list(found) == ["conv.weight", "fc.weight"]
    np.testing.assert_array_equal(found["conv.weight"], net.grads["conv.weight"])


def test_tiles():
    image = np.array([[0.0, 1.0], [2.0, 4.0]])
    mosaic = viz.tiles(np.stack([image, image * 7, np.full((2, 2), 3.0)]), columns=2)
    assert mosaic.shape == (7, 7)
    for top, left in ((1, 1), (1, 4)):              # each on its own scale
        np.testing.assert_array_equal(mosaic[top:top + 2, left:left + 2], [[0, 0.25], [0.5, 1]])
    np.testing.assert_array_equal(mosaic[4:6, 1:3], 0)
    assert (mosaic[0] == 1).all()
    assert (mosaic[4:, 4:] == 1).all()              # the place that is left


def test_filters(tmp_path, rng):
    w = rng.standard_normal((4, 1, 3, 3))
    figure = viz.filters({"before": w, "after": 2 * w}, tmp_path / "filters.png", columns=4)
    assert (tmp_path / "filters.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert [axes.get_title() for axes in figure.axes] == ["before", "after"]
    assert figure.axes[0].images[0].get_array().shape == (5, 17)
    colour = viz.filters(rng.standard_normal((4, 3, 3, 3)))
    assert colour.axes[0].images[0].get_array().shape == (9, 9, 3)


@pytest.mark.parametrize("shape", [(4, 3), (0, 1, 3, 3)])
def test_filters_of_what_is_none(shape):
    with pytest.raises(fd.ShapeError, match=r"viz.filters: weights must be \(OC, C, KH, KW\)"):
        viz.filters(np.zeros(shape))


def test_feature_maps(batch, tmp_path):
    figure = viz.feature_maps(Net(), batch[0][0], tmp_path / "maps.png")
    assert [axes.get_title() for axes in figure.axes] == ["conv", "ReLU"]
    assert figure.axes[0].images[0].get_array().shape == (11, 11)
    assert (tmp_path / "maps.png").exists()
    with pytest.raises(fd.ArgumentError, match="no layer of these kinds gives feature maps"):
        viz.feature_maps(Net(), batch[0], of=Linear)


def counts(axes):
    return sum(patch.get_height() for patch in axes.patches)


def test_activation_histograms(batch, tmp_path):
    figure = viz.activation_histograms({"one": Net(), "two": Net()}, batch[0],
                                       tmp_path / "histograms.png", of=ReLU)
    assert [axes.get_title() for axes in figure.axes] == ["ReLU", "ReLU 2"] * 2
    assert [counts(axes) for axes in figure.axes] == [5 * 4 * 4 * 4] * 4
    assert [figure.axes[i].get_ylabel() for i in (0, 2)] == ["one", "two"]
    with pytest.raises(fd.ArgumentError, match="there is nothing of these kinds to draw"):
        viz.activation_histograms(Net(), batch[0], of=fd.layers.Tanh)


def test_gradient_histograms(batch):
    figure = viz.gradient_histograms(Net(), *batch, bins=7)
    assert [axes.get_title() for axes in figure.axes] == ["conv.weight", "fc.weight"]
    assert [counts(axes) for axes in figure.axes] == [4 * 9, 3 * 64]
    assert len(figure.axes[0].patches) == 7
