"""ONNX: what is exported runs elsewhere, and comes back."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import layers

onnx = pytest.importorskip("onnx", reason="onnx is not installed")


def randomized(net, rng):
    """The network with running statistics that are not those of a new one."""
    for _, layer in net.named_layers():
        if "running_var" in layer.buffers:
            layer.buffers["running_mean"][...] = rng.normal(0, 0.1, layer.running_mean.shape)
            layer.buffers["running_var"][...] = rng.uniform(0.5, 1.5, layer.running_var.shape)
    return net


def check(net, shape, path, rng, reference=True):
    """The file gives our outputs, in onnx's evaluator, in onnxruntime, and read back."""
    x = rng.standard_normal(shape).astype(np.float32)
    expected = randomized(net, rng).predict(x)
    fd.onnx.export(net, path, shape)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    found = {}
    if reference:
        from onnx.reference import ReferenceEvaluator

        found["reference"] = ReferenceEvaluator(str(path)).run(None, {"input": x})[0]
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found["onnxruntime"] = session.run(None, {"input": x})[0]
    twice = np.concatenate([x, x])                      # the number of samples is left open
    np.testing.assert_allclose(session.run(None, {"input": twice})[0][len(x):],
                               found["onnxruntime"], rtol=1e-4, atol=1e-5)
    for who, y in found.items():
        error = np.abs(y - expected).max() / max(np.abs(expected).max(), 1e-6)
        assert error < 5e-5, (who, error)
    return expected, x


MAPS = (2, 4, 7, 6)
LAYERS = {
    "conv": (lambda: layers.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), groups=2), MAPS),
    "conv, dilated": (lambda: layers.Conv2d(4, 3, 3, dilation=2, bias=False), MAPS),
    "conv 1d": (lambda: layers.Conv1d(3, 2, 3, padding=1), (2, 3, 8)),
    "conv 3d": (lambda: layers.Conv3d(2, 3, (1, 3, 2), stride=2), (2, 2, 4, 5, 6)),
    "conv transposed": (lambda: layers.ConvTranspose2d(4, 3, 3, stride=2, padding=1,
                                                       output_padding=1), MAPS),
    "linear": (lambda: layers.Linear(5, 3), (2, 5)),
    "linear, no bias": (lambda: layers.Linear(5, 3, bias=False), (2, 5)),
    "linear, rows": (lambda: layers.Linear(5, 3, bias=False), (2, 4, 5)),
    "batch norm": (lambda: layers.BatchNorm2d(4), MAPS),
    "batch norm 1d": (lambda: layers.BatchNorm1d(5), (3, 5)),
    "batch norm, not affine": (lambda: layers.BatchNorm2d(4, affine=False), MAPS),
    "max pool": (lambda: layers.MaxPool2d(3, 2, 1), MAPS),
    "max pool, ceil": (lambda: layers.MaxPool2d(3, 2, ceil_mode=True), MAPS),
    "max pool, ceil, padded": (lambda: layers.MaxPool2d(2, 3, 1, ceil_mode=True), MAPS),
    "avg pool": (lambda: layers.AvgPool2d(3, 2, 1), MAPS),
    "avg pool, not counted": (lambda: layers.AvgPool2d(3, 2, 1, count_include_pad=False), MAPS),
    "adaptive": (lambda: layers.AdaptiveAvgPool2d((1, 3)), MAPS),
    "global avg": (lambda: layers.GlobalAvgPool2d(), MAPS),
    "global max": (lambda: layers.GlobalMaxPool2d(), MAPS),
    "adaptive, as it is": (lambda: layers.AdaptiveAvgPool2d((7, 6)), MAPS),
    "layer norm": (lambda: layers.LayerNorm((7, 6)), MAPS),
    "layer norm, no bias": (lambda: layers.LayerNorm(6, bias=False), MAPS),
    "layer norm, not affine": (lambda: layers.LayerNorm(6, elementwise_affine=False), MAPS),
    "group norm": (lambda: layers.GroupNorm(2, 4), MAPS),
    "group norm, not affine": (lambda: layers.GroupNorm(2, 4, affine=False), MAPS),
    "instance norm": (lambda: layers.InstanceNorm2d(4, affine=True), MAPS),
    "instance norm 1d": (lambda: layers.InstanceNorm1d(3), (2, 3, 8)),
    "instance norm, statistics": (lambda: layers.InstanceNorm2d(4, track_running_stats=True), MAPS),
    "zero pad": (lambda: layers.ZeroPad2d((1, 2, 0, 3)), MAPS),
    "constant pad": (lambda: layers.ConstantPad2d(1, 2.5), MAPS),
    "reflection pad": (lambda: layers.ReflectionPad2d((1, 2, 3, 0)), MAPS),
    "replication pad": (lambda: layers.ReplicationPad2d((1, 2, 3, 0)), MAPS),
    "conv, reflected": (lambda: layers.Conv2d(4, 3, 3, padding=(1, 2), padding_mode="reflect"),
                        MAPS),
    "conv, replicated": (lambda: layers.Conv2d(4, 3, 3, padding=1, padding_mode="replicate"),
                         MAPS),
    "upsample": (lambda: layers.Upsample(scale_factor=(2, 3)), MAPS),
    "upsample, bilinear": (lambda: layers.Upsample((9, 4), mode="bilinear"), MAPS),
    "upsample, corners": (lambda: layers.Upsample(scale_factor=2.0, mode="bilinear",
                                                  align_corners=True), MAPS),
    "upsample 1d": (lambda: layers.Upsample(scale_factor=2, mode="linear"), (2, 3, 8)),
    "lrn": (lambda: layers.LocalResponseNorm(3, 0.1, 0.5, 2.0), MAPS),
    "relu": (layers.ReLU, MAPS), "relu6": (layers.ReLU6, MAPS), "silu": (layers.SiLU, MAPS),
    "leaky relu": (lambda: layers.LeakyReLU(0.2), MAPS), "sigmoid": (layers.Sigmoid, MAPS),
    "tanh": (layers.Tanh, MAPS), "hard swish": (layers.Hardswish, MAPS),
    "hard sigmoid": (layers.Hardsigmoid, MAPS), "gelu": (layers.GELU, MAPS),
    "gelu, tanh": (lambda: layers.GELU("tanh"), MAPS),
    "softmax": (lambda: layers.Softmax(1), MAPS), "flatten": (layers.Flatten, MAPS),
    "dropout": (layers.Dropout, MAPS), "shake drop": (lambda: layers.ShakeDrop(0.3), MAPS)}


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer(name, tmp_path, rng):
    make, shape = LAYERS[name]
    fd.seed(0)
    net, path = fd.Sequential(make()), tmp_path / "net.onnx"
    for w in net.params.values():                       # norms begin with ones and zeros
        w += rng.normal(0, 0.1, w.shape).astype(w.dtype)
    # onnx's evaluator normalises as many channels as there are samples: a mistake of its own.
    expected, x = check(net, shape, path, rng, reference=name != "lrn")
    if name != "shake drop":
        np.testing.assert_allclose(fd.onnx.load(path).predict(x), expected, rtol=1e-5, atol=1e-6)


def test_resnet18_there_and_back(tmp_path, rng):
    fd.seed(0)
    net, path = fd.models.resnet18(num_classes=7), tmp_path / "net.onnx"
    expected, x = check(net, (2, 3, 32, 32), path, rng)
    back = fd.onnx.load(path)
    assert list(back.params) == list(net.params)
    np.testing.assert_array_equal(back.predict(x), expected)
    trainer = fd.Trainer(back, optimizer=fd.optimizers.SGD(lr=0.01))
    losses = [trainer.step(x, np.array([1, 2])) for _ in range(3)]      # it can be trained further
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("name", "size"), [
    ("googlenet", 32), ("densenet121", 32), ("mobilenet_v2", 32), ("mobilenet_v3_small", 32),
    ("efficientnet_b0", 32), ("squeezenet1_1", 32)])
def test_architectures(name, size, tmp_path, rng):
    fd.seed(0)
    net, path = fd.models.create(name, num_classes=5, image_size=size), tmp_path / "net.onnx"
    expected, x = check(net, (1, 3, size, size), path, rng, reference=False)
    back = fd.onnx.load(path)
    assert set(back.params) <= set(net.params)
    np.testing.assert_allclose(back.predict(x), expected, rtol=1e-4, atol=1e-5)


def test_two_inputs_and_outputs(tmp_path, rng):
    class Net(fd.Module):
        def __init__(self):
            self.fc = layers.Linear(3, 3)

        def connect(self, a, b):
            y = self.fc(a) * b
            return fd.concat([a, y]), fd.mean(self.fc(y), b)

    net, path = Net(), tmp_path / "net.onnx"
    fd.onnx.export(net, path, [(2, 3), (2, 3)])
    a, b = rng.standard_normal((2, 2, 3)).astype(np.float32)
    for ours, theirs in zip(net.eval().forward(a, b), fd.onnx.load(path).forward(a, b),
                            strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_what_pytorch_writes(torch, tmp_path, rng):
    """Batch norm folded, other names, a Reshape: layers as another exporter has them."""
    nn, helper = torch.nn, onnx.helper
    twin = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU6(), nn.MaxPool2d(2)).eval()
    state = {name: w.numpy() for name, w in twin.state_dict().items()}
    numbers = {"w": state["0.weight"], "b": state["0.bias"], "low": np.float32(0),
               "high": np.float32(6), "shape": np.array([-1, 4 * 16])}
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w", "b"], ["1"], pads=[1] * 4, kernel_shape=[3, 3]),
         helper.make_node("Clip", ["1", "low", "high"], ["2"]),
         helper.make_node("MaxPool", ["2"], ["3"], kernel_shape=[2, 2], strides=[2, 2]),
         helper.make_node("Reshape", ["3", "shape"], ["y"])], "net",
        [helper.make_tensor_value_info("x", 1, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", 1, ["N", 64])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
              tmp_path / "net.onnx")
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    expected = twin(torch.tensor(x)).flatten(1).detach().numpy()
    np.testing.assert_allclose(fd.onnx.load(tmp_path / "net.onnx").predict(x), expected,
                               rtol=1e-5, atol=1e-6)


def test_errors(tmp_path):
    class Own(fd.Layer):
        def apply(self, inputs, params, training):
            return inputs[0], None

    path = tmp_path / "net.onnx"
    with pytest.raises(fd.GraphError, match=r"Own\(\) has no counterpart in ONNX"):
        fd.onnx.export(fd.Sequential(Own()), path, (1, 3))
    with pytest.raises(fd.ArgumentError, match="shape must be that of a batch"):
        fd.onnx.export(fd.Sequential(layers.ReLU()), path, 3)
    assert not path.exists()
    with pytest.raises(fd.CheckpointError, match="no such file"):
        fd.onnx.load(path)
    path.write_bytes(b"\x00nothing")
    with pytest.raises(fd.CheckpointError, match="not a readable ONNX file"):
        fd.onnx.load(path)
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("Sin", ["x"], ["y"])], "net",
        [helper.make_tensor_value_info("x", 1, [2])], [helper.make_tensor_value_info("y", 1, [2])])
    onnx.save(helper.make_model(graph), path)
    with pytest.raises(fd.CheckpointError, match=r"operator Sin .* is not known"):
        fd.onnx.load(path)
