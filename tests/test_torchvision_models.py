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
NETWORKS = {"alexnet": 63, "resnet18": 64, "resnet50": 64, "resnext50_32x4d": 64, "densenet121": 64,
            "squeezenet1_0": 40, "squeezenet1_1": 40, "googlenet": 64,
            "inception_v3": 107, "mobilenet_v2": 64, "mobilenet_v3_small": 64,
            "mobilenet_v3_large": 64, "efficientnet_b0": 64, "r3d_18": 32}
LARGE = {"vgg11_bn": 32, "vgg13": 32, "resnet34": 64, "wide_resnet50_2": 64, "densenet169": 64,
         "resnet101": 64, "efficientnet_b2": 64, "efficientnet_b5": 64}
each_network = pytest.mark.parametrize("name", [
    *NETWORKS, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
SIZES = NETWORKS | LARGE
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
    if name.startswith(("alexnet", "vgg")):     # ours follows the image's size instead
        twin.avgpool = torch.nn.Identity()
        first = 0 if name.startswith("vgg") else 1
        twin.classifier[first] = torch.nn.Linear(512 if first == 0 else 256, 4096)
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


@each_network
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


@each_network
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


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_0", "squeezenet1_1"])
@pytest.mark.usefixtures("direct")
def test_training_in_float32(name, torch, torchvision, rng):
    """Gradients within 1e-3, or thrice as far from PyTorch's as those are from float64.

    Rounding may turn a ReLU over, which changes gradients by percents, PyTorch's too. With biases
    of 3 behind batch norm, hardly any ReLU is as near to 0 as that.
    """
    net, twin = twins(torch, torchvision, name, "float32")
    state = {key: w.numpy().copy() for key, w in twin.state_dict().items()}
    for key, w in state.items():
        w += 3 * (key.endswith("bias") and f"{key[:-4]}running_var" in state)
    x = batch(name, 2, rng).astype(np.float32)
    found = {}
    for dtype in ("float32", "float64"):
        net.astype(dtype).load_state_dict(state)
        twin.to(getattr(torch, dtype)).load_state_dict(
            {key: torch.tensor(w) for key, w in state.items()})
        twin.zero_grad()
        _, found[dtype] = gradients(torch, net, twin, x.astype(dtype), np.random.default_rng(1))
    usual = np.median([np.linalg.norm(theirs) for _, theirs in found["float64"].values()])
    for key, (ours, theirs) in found["float32"].items():
        exact = found["float64"][key][1]
        size = max(np.linalg.norm(exact), 1e-3 * usual)
        rounding = np.linalg.norm(theirs - exact) / size
        assert np.linalg.norm(ours - theirs) / size < max(1e-3, 3 * rounding), key


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
