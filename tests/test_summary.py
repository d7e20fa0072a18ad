"""Summary and drawing, against figures by hand."""

import os
import subprocess

import numpy as np
import pytest

import fastdl as fd
from fastdl import layers


def test_summary_by_hand():
    """A convolution, a shared dense layer: every number can be checked."""
    class Net(fd.Module):
        def __init__(self):
            self.conv = layers.Conv2d(2, 4, 3, padding=1, groups=2)
            self.fc = layers.Linear(64, 64)

        def connect(self, x):
            x = fd.flatten(fd.relu(self.conv(x)))
            return self.fc(self.fc(x))

    lines = str(Net().summary((10, 2, 4, 4))).splitlines()
    assert lines[0] == "Net on float32 (10, 2, 4, 4)"
    rows = [line.split() for line in lines[2:-2]]
    maps = 10 * 4 * 16                                  # numbers that the convolution makes
    assert rows == [
        ["conv", "Conv2d", "10×4×4×4", "40", f"{2 * maps * 9 * 1e-6:.4g}", f"{maps * 4e-6:.3g}"],
        ["ReLU", "10×4×4×4", f"{maps * 4e-6:.3g}"],
        ["Flatten", "10×64", f"{maps * 4e-6:.3g}"],
        ["fc", "Linear", "10×64", "4,160", f"{2 * 640 * 64 * 1e-6:.4g}", f"{2560e-6:.3g}"],
        ["fc", "Linear", "10×64", "shared", f"{2 * 640 * 64 * 1e-6:.4g}", f"{2560e-6:.3g}"]]
    assert lines[-2].startswith("4,200 parameters, 0.0168 MB; arithmetic ")


@pytest.mark.parametrize(("name", "gmacs"), [("resnet18", 1.814), ("mobilenet_v2", 0.301),
                                             ("squeezenet1_1", 0.349), ("r3d_18", 40.697)])
def test_arithmetic_of_torchvision(name, gmacs):
    """Twice the multiplications with an addition that torchvision's tables have ("GFLOPS")."""
    from fastdl.summary import shapes_of, zeros_of

    net = fd.models.create(name)
    shape = (1, 3, 16, 112, 112) if name == "r3d_18" else (1, 3, 224, 224)
    if name == "r3d_18":                    # a quarter of the frames, which is quick
        shape, gmacs = (1, 3, 4, 112, 112), None
    graph = net.inference_graph
    seen = shapes_of(graph, zeros_of("test", net, shape))
    flops = sum(layer.flops(seen[node.inputs[0].index][0], seen[node.index][0])
                for node, layer in graph.steps)
    if gmacs is not None:
        assert flops / 2e9 == pytest.approx(gmacs, abs=6e-4)
    else:
        assert 8 < flops / 2e9 < 11


def test_arithmetic_of_transposed_convolutions():
    """Every input meets every weight of its channel once."""
    layer = layers.ConvTranspose2d(3, 4, 2, stride=2)
    assert layer.flops((5, 3, 6, 7), (5, 4, 12, 14)) == 2 * 5 * 3 * 6 * 7 * 4 * 2 * 2


def test_summary_leaves_training_out():
    text = str(fd.models.googlenet(num_classes=3).summary((1, 3, 32, 32)))
    assert "aux1" not in text
    assert "inception5b.branch4.1.conv" in text


@pytest.mark.parametrize("shape", [3, (1, 0), "no", (1, 2.5)])
def test_summary_rejects(shape):
    with pytest.raises(fd.ArgumentError, match="shape must be that of a batch"):
        fd.Sequential(layers.ReLU()).summary(shape)


def test_drawing_names_every_layer_and_arrow(tmp_path):
    net = fd.models.resnet18(num_classes=3)
    net.draw(tmp_path / "net.dot", (1, 3, 64, 64))
    text = (tmp_path / "net.dot").read_text()
    graph = net.graph
    assert text.count(" -> ") == sum(len(node.inputs) for node, _ in graph.steps) + 1
    assert 'label="layer2.0.downsample"' in text
    assert '[label="1×512×2×2"]' in text
    assert text.count("{") == text.count("}")


def test_drawing_by_graphviz(tmp_path, monkeypatch):
    """A program of the name dot gets the text and the format; what it returns is the file."""
    net = fd.Sequential(layers.Linear(2, 1))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImportError, match="needs Graphviz, whose program dot is not found"):
        net.draw(tmp_path / "net.svg")
    with pytest.raises(fd.ArgumentError, match=r"must end in \.svg"):
        net.draw(tmp_path / "net.txt")
    if os.name == "nt":
        pytest.skip("a script is no program on Windows")
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\necho $1\nexec /bin/cat\n")
    program.chmod(0o755)
    net.draw(tmp_path / "net.svg")
    first, *rest = (tmp_path / "net.svg").read_text().splitlines()
    assert first == "-Tsvg"
    assert rest[0] == 'digraph "Sequential" {'
    program.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(subprocess.CalledProcessError):
        net.draw(tmp_path / "other.svg")
    assert not (tmp_path / "other.svg").exists()


def test_nothing_is_computed_twice_by_looking(rng):
    """Looking changes no statistics and draws no random number."""
    net = fd.Sequential(layers.BatchNorm1d(3), layers.Dropout())
    state, random = net.state_dict(), fd.random.get_state()
    net.summary((4, 3))
    np.testing.assert_equal(net.state_dict(), state)
    assert fd.random.get_state() == random
