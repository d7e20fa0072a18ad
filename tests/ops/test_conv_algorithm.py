"""Which algorithm a convolution runs: the call's, else the one set for all, where it can be."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import ops

ALGORITHMS = ["auto", "direct", "winograd", "im2col"]
X, W = np.ones((1, 2, 6, 6), np.float32), np.ones((3, 2, 3, 3), np.float32)


@pytest.fixture(autouse=True)
def restored_algorithm():
    yield
    fd.set_conv_algorithm("auto")


@pytest.fixture
def told(monkeypatch):
    """``told(x, w, **options)``: what a forward and a backward call tell their kernels."""
    ran = []

    def recording(name, x, backend):
        return lambda *arguments: ran.append(
            arguments[-1] if name.startswith("conv2d") else f"{name} on {backend}")

    monkeypatch.setattr("fastdl.ops.conv.kernel", recording)

    def told(x=X, w=W, **options):
        ran.clear()
        y = ops.conv2d(x, w, **options)
        forward = ran.copy()
        ran.clear()
        ops.conv2d_backward(y, x, w, **options)
        assert len(ran) == 2 or "gemm" in " ".join(ran)
        return forward[0] if len(forward) == len(set(ran)) == 1 else (forward, ran.copy())

    return told


def test_auto_unless_told(told):
    assert fd.get_conv_algorithm() == "auto"
    assert told() == "auto"


@pytest.mark.parametrize("name", ALGORITHMS[:3])
def test_the_call_goes_before_what_is_set_for_all(name, told):
    assert told(algorithm=name) == name
    fd.set_conv_algorithm(name)
    assert fd.get_conv_algorithm() == name
    assert told() == name
    assert told(algorithm="direct") == "direct"
    assert told(algorithm="auto") == "auto"


@pytest.mark.parametrize(("x", "w", "options"), [
    (X, W, {"stride": 2}), (X, W, {"dilation": 2}), (X, W[..., :2], {}), (X, W[:, :, 1:2, 1:2], {}),
    (X.astype("f8"), W.astype("f8"), {})], ids=["stride", "dilation", "3x2", "1x1", "float64"])
def test_winograd_for_all_is_direct_where_it_cannot_be(x, w, options, told):
    fd.set_conv_algorithm("winograd")
    assert told(x, w, **options) == "direct"


def test_winograd_in_float64_is_direct(told):
    assert told(X.astype("f8"), W.astype("f8"), algorithm="winograd") == "direct"


def test_an_unknown_name_changes_nothing():
    fd.set_conv_algorithm("direct")
    with pytest.raises(fd.ArgumentError, match="'wino'"):
        fd.set_conv_algorithm("wino")
    assert fd.get_conv_algorithm() == "direct"


def test_im2col_is_made_of_other_kernels(told):
    with fd.use_backend("numba"):
        forward, backward = told(algorithm="im2col")
        assert forward == ["im2col on numba", "gemm on numba"]
        assert backward == ["im2col on numba", "gemm on numba", "column_sums on numba",
                            "gemm on numba", "col2im on numba"]
    fd.set_conv_algorithm("im2col")
    with fd.use_backend("numba", conv2d="cython"):
        assert told()[0] == ["im2col on cython", "gemm on cython"]
        assert told(backend="reference")[0] == ["im2col on reference", "gemm on reference"]


def test_im2col_where_the_backend_cannot_be(fresh_dispatch, monkeypatch):
    def load(kernel, backend):
        raise ImportError("not here")

    monkeypatch.setattr(fresh_dispatch, "_load", load)
    with (fd.use_backend(conv2d="numba"),
          pytest.raises(fd.BackendUnavailableError, match=r"conv2d: .*'numba'.*by use_backend")):
        ops.conv2d(X, W, algorithm="im2col")


def test_show_config_says_which(capsys):
    fd.set_conv_algorithm("winograd")
    fd.show_config()
    assert "convolution algorithm: winograd" in capsys.readouterr().out
