"""The ImageNet networks: published sizes, torchvision's names, and twins in PyTorch."""

import numpy as np
import pytest
from helpers_layers import assert_as_twin

import fastdl as fd
from fastdl import initializers

PUBLISHED = {"alexnet": 61_100_840, "vgg11": 132_863_336, "vgg16": 138_357_544,
             "resnet18": 11_689_512, "resnet50": 25_557_032, "squeezenet1_1": 1_235_496,
             "googlenet": 13_004_888, "mobilenet_v2": 3_504_872,
             "densenet121": 7_978_856}


@pytest.fixture
def quick(monkeypatch):
    """Weights of zeros, which take neither time nor memory."""
    for name in ("he", "fan_in_uniform"):
        monkeypatch.setitem(initializers._BY_NAME, name, initializers.zeros)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("name", "parameters"), PUBLISHED.items())
def test_number_of_parameters(name, parameters):
    assert sum(w.size for w in fd.models.create(name).params.values()) == parameters


# Some names and shapes of torchvision's state dicts: the first, those where numbering may slip,
# the last.
NAMES = {
    "alexnet": {"features.0.weight": (64, 3, 11, 11), "features.3.weight": (192, 64, 5, 5),
                "features.10.bias": (256,), "classifier.1.weight": (4096, 9216),
                "classifier.6.bias": (1000,)},
    "vgg16": {"features.0.weight": (64, 3, 3, 3), "features.28.bias": (512,),
              "classifier.0.weight": (4096, 25088), "classifier.3.weight": (4096, 4096),
              "classifier.6.bias": (1000,)},
    "resnet18": {"conv1.weight": (64, 3, 7, 7), "bn1.running_mean": (64,),
                 "layer1.1.conv2.weight": (64, 64, 3, 3),
                 "layer2.0.downsample.0.weight": (128, 64, 1, 1),
                 "layer4.1.bn2.num_batches_tracked": (), "fc.weight": (1000, 512)},
    "resnet50": {"layer1.0.downsample.1.weight": (256,), "layer1.0.conv3.weight": (256, 64, 1, 1),
                 "layer3.5.conv2.weight": (256, 256, 3, 3), "fc.weight": (1000, 2048)},
    "squeezenet1_1": {"features.0.weight": (64, 3, 3, 3),
                      "features.3.squeeze.weight": (16, 64, 1, 1),
                      "features.12.expand3x3.weight": (256, 64, 3, 3),
                      "classifier.1.weight": (1000, 512, 1, 1)},
    "googlenet": {"conv1.conv.weight": (64, 3, 7, 7), "conv3.bn.weight": (192,),
                  "inception3a.branch3.1.conv.weight": (32, 16, 3, 3),
                  "inception5b.branch4.1.bn.bias": (128,), "fc.weight": (1000, 1024)},
    "densenet121": {"features.conv0.weight": (64, 3, 7, 7), "features.norm0.bias": (64,),
                    "features.denseblock1.denselayer1.norm1.weight": (64,),
                    "features.denseblock1.denselayer6.conv1.weight": (128, 224, 1, 1),
                    "features.transition1.conv.weight": (128, 256, 1, 1),
                    "features.denseblock3.denselayer24.conv2.weight": (32, 128, 3, 3),
                    "features.transition3.norm.running_var": (1024,),
                    "features.denseblock4.denselayer16.norm2.num_batches_tracked": (),
                    "features.norm5.weight": (1024,), "classifier.weight": (1000, 1024)},
    "mobilenet_v2": {"features.0.0.weight": (32, 3, 3, 3),
                     "features.1.conv.0.0.weight": (32, 1, 3, 3),
                     "features.1.conv.1.weight": (16, 32, 1, 1),
                     "features.2.conv.1.0.weight": (96, 1, 3, 3),
                     "features.17.conv.3.running_var": (320,),
                     "features.18.0.weight": (1280, 320, 1, 1),
                     "classifier.1.weight": (1000, 1280)},
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("name", "known"), NAMES.items())
def test_names_and_shapes_of_torchvision(name, known):
    state = {key: array.shape for key, array in fd.models.create(name)._state().items()}
    assert {key: state.get(key) for key in known} == known


# ---- twins, as torchvision has them ----

def alexnet(nn):
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)), nn.Sequential(
        nn.Dropout(), nn.Linear(256, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096),
        nn.ReLU(), nn.Linear(4096, 5))


def vgg11(nn):
    parts, before = [], 3
    for width in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"):
        if width == "pool":
            parts.append(nn.MaxPool2d(2, 2))
        else:
            parts += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
    return nn.Sequential(*parts), nn.Sequential(
        nn.Linear(512, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(),
        nn.Dropout(), nn.Linear(4096, 5))


def mobilenet_v2(nn):
    class Inverted(nn.Module):
        def __init__(self, before, after, stride, times):
            super().__init__()
            inside = before * times
            parts = [three(nn.Conv2d(before, inside, 1, bias=False))] if times > 1 else []
            parts += [three(nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False)),
                      nn.Conv2d(inside, after, 1, bias=False), nn.BatchNorm2d(after)]
            self.conv = nn.Sequential(*parts)
            self.add = stride == 1 and before == after

        def forward(self, x):
            return x + self.conv(x) if self.add else self.conv(x)

    def three(conv):
        return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU6())

    parts, before = [three(nn.Conv2d(3, 32, 3, 2, 1, bias=False))], 32
    for times, after, count, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2),
                                        (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                                        (6, 320, 1, 1)):
        for i in range(count):
            parts.append(Inverted(before, after, 1 if i else stride, times))
            before = after
    parts += [three(nn.Conv2d(320, 1280, 1, bias=False)), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*parts), nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 5))


def squeezenet1_1(nn):
    import torch

    class Fire(nn.Module):
        def __init__(self, before, squeezed, expanded):
            super().__init__()
            self.squeeze = nn.Conv2d(before, squeezed, 1)
            self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
            self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

        def forward(self, x):
            x = self.squeeze(x).relu()
            return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)

    def pool():
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(), Fire(64, 16, 64), Fire(128, 16, 64), pool(),
        Fire(128, 32, 128), Fire(256, 32, 128), pool(), Fire(256, 48, 192), Fire(384, 48, 192),
        Fire(384, 64, 256), Fire(512, 64, 256)), nn.Sequential(
        nn.Dropout(), nn.Conv2d(512, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def two_parts(torch, features, classifier, flat):
    class Twin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.classifier = features, classifier

        def forward(self, x):
            x = self.features(x)
            return self.classifier(x.flatten(1) if flat else x)

    return Twin()


@pytest.mark.parametrize(("make", "size"), [(alexnet, 63), (vgg11, 32), (mobilenet_v2, 32),
                                            (squeezenet1_1, 40)])
def test_features_and_classifier_as_in_pytorch(make, size, rng):
    """In inference mode, where nothing is dropped."""
    torch = pytest.importorskip("torch")
    fd.seed(0)
    net = fd.models.create(make.__name__, num_classes=5, image_size=size).astype("float64").eval()
    twin = two_parts(torch, *make(torch.nn), flat=make is not squeezenet1_1)
    assert_as_twin(torch, net, twin, [rng.standard_normal((2, 3, size, size))], rng, rtol=1e-9)


def residual_twin(torch, bottleneck, depths):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, before, width, stride):
            super().__init__()
            after = 4 * width if bottleneck else width
            if bottleneck:
                self.conv1 = nn.Conv2d(before, width, 1, bias=False)
                self.bn1 = nn.BatchNorm2d(width)
                self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
                self.bn2 = nn.BatchNorm2d(width)
                self.conv3 = nn.Conv2d(width, after, 1, bias=False)
                self.bn3 = nn.BatchNorm2d(after)
            else:
                self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
                self.bn1 = nn.BatchNorm2d(width)
                self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
                self.bn2 = nn.BatchNorm2d(width)
            self.downsample = nn.Identity() if stride == 1 and before == after else nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

        def forward(self, x):
            y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
            if bottleneck:
                y = self.bn3(self.conv3(y.relu()))
            return (y + self.downsample(x)).relu()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            before = 64
            for i, depth in enumerate(depths):
                width, blocks = 64 * 2**i, []
                for j in range(depth):
                    blocks.append(Block(before, width, 2 if i and not j else 1))
                    before = 4 * width if bottleneck else width
                setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
            self.fc = nn.Linear(before, 5)

        def forward(self, x):
            x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(x.mean((2, 3)))

    return Net()


@pytest.mark.parametrize(("name", "bottleneck", "depths"), [
    ("resnet18", False, (2, 2, 2, 2)), ("resnet50", True, (3, 4, 6, 3))])
def test_residual_networks_as_in_pytorch(name, bottleneck, depths, rng):
    """In training mode: batch statistics, and running ones."""
    torch = pytest.importorskip("torch")
    fd.seed(0)
    net = fd.models.create(name, num_classes=5).astype("float64")
    assert_as_twin(torch, net, residual_twin(torch, bottleneck, depths),
                   [rng.standard_normal((3, 3, 64, 64))], rng, rtol=1e-6, atol=1e-8)


def inception_twin(torch):
    nn = torch.nn

    class Basic(nn.Module):
        def __init__(self, before, after, **window):
            super().__init__()
            self.conv = nn.Conv2d(before, after, bias=False, **window)
            self.bn = nn.BatchNorm2d(after, eps=0.001)

        def forward(self, x):
            return self.bn(self.conv(x)).relu()

    class Inception(nn.Module):
        def __init__(self, before, one, three_red, three, five_red, five, pool):
            super().__init__()
            self.branch1 = Basic(before, one, kernel_size=1)
            self.branch2 = nn.Sequential(Basic(before, three_red, kernel_size=1),
                                         Basic(three_red, three, kernel_size=3, padding=1))
            self.branch3 = nn.Sequential(Basic(before, five_red, kernel_size=1),
                                         Basic(five_red, five, kernel_size=3, padding=1))
            self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True),
                                         Basic(before, pool, kernel_size=1))

        def forward(self, x):
            return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x),
                              self.branch4(x)], 1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = Basic(3, 64, kernel_size=7, stride=2, padding=3)
            self.conv2 = Basic(64, 64, kernel_size=1)
            self.conv3 = Basic(64, 192, kernel_size=3, padding=1)
            for name, sizes in {
                    "3a": (192, 64, 96, 128, 16, 32, 32), "3b": (256, 128, 128, 192, 32, 96, 64),
                    "4a": (480, 192, 96, 208, 16, 48, 64), "4b": (512, 160, 112, 224, 24, 64, 64),
                    "4c": (512, 128, 128, 256, 24, 64, 64), "4d": (512, 112, 144, 288, 32, 64, 64),
                    "4e": (528, 256, 160, 320, 32, 128, 128),
                    "5a": (832, 256, 160, 320, 32, 128, 128),
                    "5b": (832, 384, 192, 384, 48, 128, 128)}.items():
                setattr(self, f"inception{name}", Inception(*sizes))
            self.fc = nn.Linear(1024, 5)

        def forward(self, x):
            def pool(x, size=3):
                return nn.functional.max_pool2d(x, size, 2, ceil_mode=True)

            x = pool(self.conv3(self.conv2(pool(self.conv1(x)))))
            x = pool(self.inception3b(self.inception3a(x)))
            for name in "abcde":
                x = getattr(self, f"inception4{name}")(x)
            x = self.inception5b(self.inception5a(pool(x, 2)))
            return self.fc(x.mean((2, 3)))

    return Net()


def test_googlenet_as_in_pytorch(rng):
    """In inference mode, where nothing is dropped."""
    torch = pytest.importorskip("torch")
    fd.seed(0)
    net = fd.models.googlenet(num_classes=5, aux_logits=False).astype("float64").eval()
    assert_as_twin(torch, net, inception_twin(torch), [rng.standard_normal((2, 3, 64, 64))], rng,
                   rtol=1e-9)


def dense_twin(torch):
    nn = torch.nn

    class Layer(nn.Module):
        def __init__(self, before):
            super().__init__()
            self.norm1, self.conv1 = nn.BatchNorm2d(before), nn.Conv2d(before, 128, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(128)
            self.conv2 = nn.Conv2d(128, 32, 3, padding=1, bias=False)

        def forward(self, *maps):
            x = self.conv1(self.norm1(torch.cat(maps, 1)).relu())
            return self.conv2(self.norm2(x).relu())

    class Block(nn.Module):
        def __init__(self, before, depth):
            super().__init__()
            for i in range(depth):
                setattr(self, f"denselayer{i + 1}", Layer(before + 32 * i))

        def forward(self, x):
            maps = [x]
            for layer in self.children():
                maps.append(layer(*maps))
            return torch.cat(maps, 1)

    class Transition(nn.Module):
        def __init__(self, before):
            super().__init__()
            self.norm = nn.BatchNorm2d(before)
            self.conv = nn.Conv2d(before, before // 2, 1, bias=False)

        def forward(self, x):
            return nn.functional.avg_pool2d(self.conv(self.norm(x).relu()), 2)

    parts = {"conv0": nn.Conv2d(3, 64, 7, 2, 3, bias=False), "norm0": nn.BatchNorm2d(64),
             "relu0": nn.ReLU(), "pool0": nn.MaxPool2d(3, 2, 1),
             "denseblock1": Block(64, 6), "transition1": Transition(256),
             "denseblock2": Block(128, 12), "transition2": Transition(512),
             "denseblock3": Block(256, 24), "transition3": Transition(1024),
             "denseblock4": Block(512, 16), "norm5": nn.BatchNorm2d(1024)}

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential()
            for name, part in parts.items():
                self.features.add_module(name, part)
            self.classifier = nn.Linear(1024, 5)

        def forward(self, x):
            return self.classifier(self.features(x).relu().mean((2, 3)))

    return Net()


def test_densenet_as_in_pytorch(rng):
    """In training mode: batch statistics, and running ones."""
    torch = pytest.importorskip("torch")
    fd.seed(0)
    net = fd.models.densenet121(num_classes=5).astype("float64")
    assert_as_twin(torch, net, dense_twin(torch), [rng.standard_normal((3, 3, 64, 64))], rng,
                   rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("size", [127, 63, 160, 224])
def test_images_of_another_size(size, rng):
    """AlexNet made for last maps of 3 × 3, of which these sizes have 3, 1, 4 and 6."""
    torch = pytest.importorskip("torch")
    fd.seed(0)
    net = fd.models.alexnet(num_classes=4, image_size=127, dropout=0.0)
    x, t = rng.standard_normal((2, 3, size, size)).astype(np.float32), np.array([1, 3])
    maps = torch.tensor(net.features.forward(x))
    pooled = torch.nn.functional.adaptive_avg_pool2d(maps, 3).flatten(1).numpy()
    expected = net.classifier.forward(pooled)
    np.testing.assert_allclose(net.forward(x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(net.predict(x), expected, rtol=1e-4, atol=1e-5)
    criterion = fd.losses.SoftmaxCrossEntropy()
    criterion.forward(net.forward(x), t)
    net.backward(criterion.backward(), need_dx=False)
    grads = {key: dw.copy() for key, dw in net.grads.items()}
    fd.Trainer(net, optimizer=fd.optimizers.SGD(lr=0.0)).step(x, t)
    assert net.plans.reason(net.as_inputs(x)) == "its plan is running"
    for key, dw in net.grads.items():
        assert np.abs(dw - grads[key]).max() < 1e-4 * np.abs(grads[key]).max(), key


@pytest.mark.parametrize(("name", "least"), [("alexnet", 63), ("vgg11", 32), ("squeezenet1_1", 25),
                                             ("googlenet", 31), ("resnet18", 1),
                                             ("mobilenet_v2", 1), ("densenet121", 29)])
def test_smallest_image(name, least):
    """What the docstrings say: images of `least` work, smaller ones do not."""
    def scores(size):
        net = fd.models.create(name, num_classes=3, in_channels=1, image_size=size)
        return net.predict(np.zeros((1, 1, size, size), np.float32))

    assert scores(least).shape == (1, 3)
    with pytest.raises(fd.ArgumentError if name in ("alexnet", "vgg11") else fd.ShapeError):
        scores(least - 1)
