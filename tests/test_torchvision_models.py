"""Architectures that torchvision has: its names, its sizes, its numbers."""

import itertools
import warnings

import numpy as np
import pytest

import fastdl as fd
from fastdl import initializers

NAMES = [
    "alexnet", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2",
    "wide_resnet101_2", "resnext50_32x4d", "resnext101_32x8d", "densenet121", "densenet161",
    "densenet169", "densenet201", "squeezenet1_0", "squeezenet1_1", "googlenet", "inception_v3",
    "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    *(f"efficientnet_b{i}" for i in range(8)), "r3d_18"]

# Images as small as leaves the last maps more than a pixel, for batch norm to be well defined.
SIZES = dict.fromkeys(NAMES, 64) | {"alexnet": 95, "squeezenet1_0": 40, "squeezenet1_1": 40,
                                    "inception_v3": 107, "r3d_18": 32,
                                    **{f"vgg{depth}": 32 for depth in (11, 13, 16, 19)}}
SMALLEST = {"alexnet": 63, "vgg": 32}           # what dense layers are made for; the rest is pooled
LIGHT = ("alexnet", "resnet18", "resnet50", "resnext50_32x4d", "densenet121", "squeezenet1_0",
         "squeezenet1_1", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_small",
         "mobilenet_v3_large", "efficientnet_b0", "r3d_18")
LIGHTEST = ("resnet18", "squeezenet1_0", "squeezenet1_1", "googlenet", "mobilenet_v2",
            "mobilenet_v3_small", "efficientnet_b0")


def all_of_which(*quick):
    """A test for every network; those that are not among `quick` wait for the weekly workflow."""
    return pytest.mark.parametrize("name", [
        pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in NAMES])


RANDOM = ("Dropout", "StochasticDepth")
OPTIONS = {"inception_v3": {"aux_logits": False}}       # whose head wants images of 267 × 267


@pytest.fixture(scope="module")
def torchvision(torch):
    """The package, also one whose compiled operators are not for this PyTorch: models need none."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        try:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:            # it is there
            continue
    return pytest.importorskip("torchvision")


@pytest.fixture(autouse=True)
def one_thread(torch):
    """Of each: two pools of threads would wait for each other's cores."""
    ours, theirs = fd.get_num_threads(), torch.get_num_threads()
    fd.set_num_threads(1)
    torch.set_num_threads(1)
    yield
    fd.set_num_threads(ours)
    torch.set_num_threads(theirs)


@pytest.fixture
def direct():
    """Convolutions by their definition: Winograd's rounding has bounds and tests of its own."""
    fd.set_conv_algorithm("direct")
    yield
    fd.set_conv_algorithm("auto")


def build(torchvision, name, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")         # of initial values that will be others
        home = torchvision.models.video if name == "r3d_18" else torchvision.models
        return getattr(home, name)(weights=None, **options)


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_has_the_same_names_and_shapes(name, torch, torchvision, monkeypatch):
    """And in the same order. Weights are made without numbers, which would take minutes."""
    for initial in ("he", "fan_in_uniform"):
        monkeypatch.setitem(initializers._BY_NAME, initial, initializers.zeros)
    monkeypatch.setattr(initializers, "_normal", lambda shape, std: initializers.zeros(shape))
    with torch.device("meta"):
        twin = build(torchvision, name)
    ours = [(key, w.shape) for key, w in fd.models.create(name)._state().items()]
    theirs = [(key, tuple(w.shape)) for key, w in twin.state_dict().items()]
    assert sorted(ours) == sorted(theirs)


def twins(torch, torchvision, name, dtype):
    """Ours, with torchvision's random weights, and torchvision's; nothing is dropped."""
    size, options = SIZES[name], OPTIONS.get(name, {})
    torch.manual_seed(0)
    twin = build(torchvision, name, num_classes=5, **options)
    if name.startswith(tuple(SMALLEST)):
        size = SMALLEST[name if name == "alexnet" else "vgg"]
        twin.avgpool = torch.nn.AdaptiveAvgPool2d(1)
        first = 1 if name == "alexnet" else 0
        twin.classifier[first] = torch.nn.Linear(256 if first else 512, 4096)
    for part in twin.modules():
        if type(part).__name__ in RANDOM:
            part.p = 0.0
        if isinstance(part, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)
            torch.nn.init.normal_(part.running_mean, 0, 0.1)
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            torch.nn.init.normal_(part.bias, 0, 0.1)
    twin = twin.to(getattr(torch, dtype))
    net = fd.models.create(name, num_classes=5, image_size=size, **options).astype(dtype)
    for _, layer in net.named_layers():
        if type(layer).__name__ in RANDOM:
            layer.p = 0.0
    net.load_state_dict({key: w.numpy() for key, w in twin.state_dict().items()})
    return net, twin


def batch(name, samples, rng):
    """Images; videos of four frames."""
    frames = (4,) if name == "r3d_18" else ()
    return rng.standard_normal((samples, 3, *frames, SIZES[name], SIZES[name]))


def relative(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


@all_of_which(*LIGHT)
def test_logits_in_inference(name, torch, torchvision, rng):
    net, twin = twins(torch, torchvision, name, "float32")
    x = batch(name, 2, rng).astype(np.float32)
    with torch.no_grad():
        expected = twin.eval()(torch.tensor(x)).numpy()
    assert relative(net.predict(x), expected) < 1e-4


def gradients(torch, net, twin, x, rng):
    """Outputs in training mode and gradients of all parameters: ours, then PyTorch's."""
    twin.train()
    theirs = twin(torch.tensor(x))
    theirs = tuple(theirs) if isinstance(theirs, tuple) else (theirs,)
    dys = [rng.standard_normal(y.shape).astype(x.dtype) for y in theirs]
    torch.autograd.backward(theirs, [torch.tensor(dy) for dy in dys])
    net.train()
    ours = net.forward(x)
    net.backward(tuple(dys) if len(dys) > 1 else dys[0], need_dx=False)
    return (list(zip(ours if isinstance(ours, tuple) else (ours,),
                     (y.detach().numpy() for y in theirs), strict=True)),
            {key: (net.grads[key], w.grad.numpy()) for key, w in twin.named_parameters()})


@all_of_which(*LIGHT)
def test_training_in_float64(name, torch, torchvision, rng):
    """All outputs, gradients and running statistics."""
    net, twin = twins(torch, torchvision, name, "float64")
    x = batch(name, 3, rng)
    outputs, grads = gradients(torch, net, twin, x, rng)
    for ours, theirs in outputs:
        assert relative(ours, theirs) < 1e-8
    # PyTorch's hard sigmoid divides the gradient by 6 in float32, even in float64.
    within = 1e-7 if "v3_" in name and name[0] == "m" else 1e-8
    # Some are 0 but for rounding: those of what batch norm takes out again.
    usual = np.median([np.abs(theirs).max() for _, theirs in grads.values()])
    for key, (ours, theirs) in grads.items():
        assert np.abs(ours - theirs).max() < within * max(np.abs(theirs).max(), 1e-3 * usual), key
    state = net.state_dict()
    for key, buffer in twin.named_buffers():
        np.testing.assert_allclose(state[key], buffer.numpy(), rtol=1e-8, atol=1e-10, err_msg=key)


ENDS = {fd.layers.ReLU: (0, np.inf), fd.layers.ReLU6: (0, 6), fd.layers.Hardsigmoid: (0, 1),
        fd.layers.Hardswish: (-3, 3)}           # of the pieces, in what these layers save


def pieces(net):
    """Where the last forward pass had the inputs of what is not smooth: the piece of each."""
    graph, tape = net._run
    for node, layer in graph.steps:
        saved = tape.saved[node.index]
        if type(layer) in ENDS:
            low, high = ENDS[type(layer)]
            yield (saved > low) + 2 * (saved < high)
        elif isinstance(layer, fd.layers.MaxPool2d):
            yield saved[0]                      # the place of the largest in each window


def away_from_corners(net, name, x_of):
    """The first of some batches for which rounding to float32 brings nothing into another piece."""
    for attempt in range(20):
        x = x_of(np.random.default_rng(attempt))
        found = []
        for dtype in ("float32", "float64"):
            net.astype(dtype).train().forward(x.astype(dtype))
            found.append(list(pieces(net)))
        if all(np.array_equal(a, b) for a, b in zip(*found, strict=True)):
            return x
    raise AssertionError("rounding always brings something into another piece")


@all_of_which(*LIGHTEST)
@pytest.mark.usefixtures("direct")
def test_training_in_float32(name, torch, torchvision):
    """Gradients within 1e-3 of PyTorch's, or twice as far as those are from its own in float64.

    A ReLU that rounding turns over changes gradients by percents, PyTorch's too, so images are used
    for which none does. With biases of 3 behind batch norm, few come near enough. Then the bias of
    a batch norm that another one follows has a gradient of nothing but rounding.
    """
    net, twin = twins(torch, torchvision, name, "float32")
    state = {key: w.numpy().copy() for key, w in twin.state_dict().items()}
    for key in state:
        if key.endswith("bias") and f"{key[:-4]}running_var" in state:
            state[key] += 3
    net.load_state_dict(state)
    twin.load_state_dict({key: torch.tensor(w) for key, w in state.items()})
    x = away_from_corners(net, name, lambda rng: batch(name, 3, rng).astype(np.float32))
    found = {}
    for dtype in ("float32", "float64"):
        net.astype(dtype)
        twin.to(getattr(torch, dtype)).zero_grad()
        _, found[dtype] = gradients(torch, net, twin, x.astype(dtype), np.random.default_rng(1))
    usual = np.median([np.linalg.norm(exact) for _, exact in found["float64"].values()])
    for key, (ours, theirs) in found["float32"].items():
        exact = found["float64"][key][1]
        if (size := np.linalg.norm(exact)) < 1e-9 * usual:
            assert np.linalg.norm(ours) < 1e-4 * usual, key
        else:
            rounding = np.linalg.norm(theirs - exact)
            assert np.linalg.norm(ours - theirs) < max(1e-3 * size, 2 * rounding), key


def test_auxiliary_heads_train_only(rng):
    """GoogLeNet: three outputs in training, one elsewhere, and a step that uses all."""
    fd.seed(0)
    net = fd.models.googlenet(num_classes=4, image_size=32)
    x = rng.standard_normal((4, 3, 32, 32)).astype(np.float32)
    t = np.array([0, 1, 2, 3])
    assert [y.shape for y in net.forward(x)] == [(4, 4)] * 3
    assert net.predict(x).shape == net.eval().forward(x).shape == (4, 4)
    names = {type(layer).__name__ for layer in net.inference_graph.layers()}
    assert "AdaptiveAvgPool2d" not in names
    trainer = fd.Trainer(net, optimizer=fd.optimizers.Adam(lr=1e-3))
    before = net.params["aux1.fc2.weight"].copy()
    losses = [trainer.step(x, t) for _ in range(8)]
    assert losses[-1] < losses[0]
    assert (net.params["aux1.fc2.weight"] != before).any()
    assert set(trainer.evaluate(x, t)) == {"loss", "accuracy"}


def test_auxiliary_losses_in_a_plan_and_layer_by_layer(rng):
    """Both add 0.3 of each auxiliary loss to that of the output."""
    fd.seed(0)

    class Net(fd.Module):
        def __init__(self):
            self.a, self.b, self.c = (fd.layers.Linear(3, 4) for _ in range(3))

        def connect(self, x):
            return fd.training_only(self.a(x), self.b(x), self.c(x))

    net = Net()
    x, t = rng.standard_normal((5, 3)).astype(np.float32), np.array([0, 1, 2, 3, 0])
    criterion = fd.losses.WithAuxiliary("softmax_cross_entropy")
    loss = criterion.forward(net.forward(x), t)
    net.backward(criterion.backward(), need_dx=False)
    grads = {name: dw.copy() for name, dw in net.grads.items()}
    plain = fd.losses.SoftmaxCrossEntropy()
    parts = [plain.forward(part.forward(x), t) for part in (net.a, net.b, net.c)]
    assert loss == pytest.approx(parts[0] + 0.3 * (parts[1] + parts[2]), rel=1e-6)
    trainer = fd.Trainer(net, optimizer=fd.optimizers.SGD(lr=0.0))
    assert trainer.step(x, t) == pytest.approx(loss, rel=1e-6)
    assert net.plans.reason(net.as_inputs(x)) == "its plan is running"      # so there is one
    for name, dw in net.grads.items():
        np.testing.assert_allclose(dw, grads[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_smallest_images():
    """What docstrings say: images of this size work, smaller ones do not."""
    for name, least in (("squeezenet1_0", 29), ("inception_v3", 75), ("xception", 7)):
        for size, works in ((least, True), (least - 1, False)):
            net = fd.models.create(name, num_classes=3, in_channels=1, image_size=size,
                                   **OPTIONS.get(name, {}))
            x = np.zeros((1, 1, size, size), np.float32)
            if works:
                assert net.predict(x).shape == (1, 3)
            else:
                with pytest.raises(fd.ShapeError):
                    net.predict(x)


def test_densenet_reads_the_names_of_old_files():
    net = fd.models.densenet_bc100(num_classes=3)
    state = net.state_dict()
    old = {key.replace("norm1", "norm.1").replace("conv2", "conv.2"): w + 1
           for key, w in state.items()}
    net.load_state_dict(old)
    for key, w in itertools.islice(net.state_dict().items(), 20):
        np.testing.assert_array_equal(w, state[key] + 1)
