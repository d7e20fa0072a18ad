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


# ---- what a network decides ----

class Classifier(fd.Module):
    """A network whose Grad-CAM can be said by hand."""

    def __init__(self):
        fd.seed(1)
        self.conv = Conv2d(2, 3, 3, padding=1)
        self.pool = fd.layers.GlobalAvgPool2d()
        self.fc = Linear(3, 4)

    def connect(self, x):
        return self.fc(flatten(self.pool(relu(self.conv(x)))))


def test_saliency_is_a_derivative(rng):
    """By differences, in inference mode: no statistics are changed, nothing is dropped."""
    net = fd.Sequential(Conv2d(2, 4, 3), fd.layers.BatchNorm2d(4), fd.layers.Tanh(),
                        fd.layers.Dropout(0.5), fd.layers.Flatten(), Linear(16, 3))
    net.astype("float64")
    net.params["1.weight"] = rng.uniform(0.5, 2, 4)
    x = rng.standard_normal((2, 2, 4, 4))
    before = net.state_dict()
    maps = viz.saliency_maps(net, x, classes=[2, 0])
    assert not net.grads
    np.testing.assert_equal(net.state_dict(), before)
    expected = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        around = np.zeros_like(x)
        around[index] = 1e-6
        change = net.predict(x + around) - net.predict(x - around)
        expected[index] = change[index[0], [2, 0][index[0]]] / 2e-6
    np.testing.assert_allclose(maps, np.abs(expected).max(axis=1), rtol=1e-6, atol=1e-8)
    winners = net.predict(x).argmax(axis=1)
    np.testing.assert_array_equal(viz.saliency_maps(net, x), viz.saliency_maps(net, x, winners))


def test_grad_cam_before_a_mean_is_cam(rng):
    """Selvaraju et al., section 3.1: the weights are then those of the dense layer (CAM)."""
    net = Classifier()
    x = rng.standard_normal((3, 2, 5, 5)).astype(np.float32)
    maps = np.maximum(net.conv.forward(x), 0)
    expected = np.maximum(np.einsum("nkhw,k->nhw", maps, net.fc.weight[2]) / 25, 0)
    np.testing.assert_allclose(viz.grad_cam_maps(net, x, 2), expected, rtol=1e-4, atol=1e-6)
    before_relu = net.conv.forward(x)
    weights = (before_relu > 0).mean(axis=(2, 3)) * net.fc.weight[2] / 25
    expected = np.maximum(np.einsum("nkhw,nk->nhw", before_relu, weights), 0)
    for layer in ("conv", net.conv):
        np.testing.assert_allclose(viz.grad_cam_maps(net, x, 2, layer), expected, rtol=1e-4,
                                   atol=1e-6)


def test_grad_cam_has_the_size_of_the_image(rng):
    net = fd.models.resnet20(num_classes=3, in_channels=1)
    heat = viz.grad_cam_maps(net, rng.standard_normal((2, 1, 16, 16)))
    assert heat.shape == (2, 16, 16)
    assert (heat >= 0).all()


def test_grad_cam_of_what_has_no_maps(rng):
    x = rng.standard_normal((1, 2, 5, 5))
    with pytest.raises(fd.ArgumentError, match="no layer 'fc' gives feature maps"):
        viz.grad_cam_maps(Classifier(), x, layer="fc")
    with pytest.raises(fd.ArgumentError, match="no layer 'none' gives feature maps"):
        viz.grad_cam_maps(Classifier(), x, layer="none")
    with pytest.raises(fd.ArgumentError, match="the network has no Conv2d; say which layer"):
        viz.grad_cam_maps(fd.models.mlp(3, 2, 5), x)
    with pytest.raises(fd.ArgumentError, match="classes must be from 0 to 3, got 4"):
        viz.grad_cam_maps(Classifier(), x, 4)
    with pytest.raises(fd.ShapeError, match=r"x must be images \(N, C, H, W\)"):
        viz.grad_cam_maps(Classifier(), x[0, 0])


@pytest.mark.parametrize("draw", [viz.saliency, viz.grad_cam])
def test_figures_of_decisions(draw, rng, tmp_path):
    net = Classifier()
    x = rng.standard_normal((3, 2, 5, 5)).astype(np.float32)
    figure = draw(net, x, tmp_path / "picture.png", class_names=["a", "b", "c", "d"], columns=4)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert len(figure.axes) == 8                    # two rows, of which the last has two places
    titles = [axes.get_title() for axes in figure.axes[:6:2]]
    scores = net.predict(x)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert titles == [f"{'abcd'[row.argmax()]} ({row.max():.0%})" for row in p]
    assert len(draw(net, x[0]).axes) == 2           # a single image


def by_heart(scores):
    """A network that gives these scores for images that say which."""
    net = fd.Sequential(fd.layers.Flatten(), Linear(len(scores), 3, bias=False))
    net.params["1.weight"] = np.array(scores).T
    return net, np.eye(len(scores), dtype=np.float32).reshape(-1, 1, 1, len(scores))


def test_misclassified(tmp_path):
    net, x = by_heart([[9, 0, 0], [0, 2, 0], [0, 0, 5], [3, 0, 0]])
    figure = viz.misclassified(net, x, [1, 1, 0, 2], tmp_path / "errors.png",
                               class_names=["cat", "dog", "cow"])
    sure = {score: np.exp(score) / (np.exp(score) + 2) for score in (9, 5, 3)}
    assert [axes.get_title() for axes in figure.axes] == [
        f"cat ({sure[9]:.0%}),\nis dog", f"cow ({sure[5]:.0%}),\nis cat",
        f"cat ({sure[3]:.0%}),\nis cow"]
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), x[2, 0])
    assert len(viz.misclassified(net, x, [1, 1, 0, 2], count=2).axes) == 2
    with pytest.raises(fd.ArgumentError, match="all 4 images are classified right"):
        viz.misclassified(net, x, [0, 1, 2, 0])
    with pytest.raises(fd.ShapeError, match=r"t must be the classes of the samples"):
        viz.misclassified(net, x, [0.0, 1, 2, 0])
    with pytest.raises(fd.ShapeError, match="for classes from 0 to 3"):
        viz.misclassified(net, x, [0, 1, 3, 0])


def test_confusion_matrix(tmp_path):
    net, x = by_heart([[9, 0, 0], [0, 2, 0], [0, 0, 5], [3, 0, 0]])
    counts = viz.confusion(net, x, [1, 1, 2, 1])
    np.testing.assert_array_equal(counts, [[0, 0, 0], [2, 1, 0], [0, 0, 1]])
    figure = viz.confusion_matrix(net, x, [1, 1, 2, 1], tmp_path / "confusion.png")
    (axes,) = figure.axes
    assert axes.get_title() == "accuracy 50.00%"
    assert [(text.get_position(), text.get_text()) for text in axes.texts] == [
        ((0, 1), "2"), ((1, 1), "1"), ((2, 2), "1")]
    np.testing.assert_allclose(axes.images[0].get_array()[1], [2 / 3, 1 / 3, 0])
