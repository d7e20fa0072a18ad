"""crop_mirror_normalize against values by hand, NumPy's slices and padding, and PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastdl as fd
from fastdl import ops

crop = ops.crop_mirror_normalize


def test_by_hand():
    x = np.arange(12, dtype="float32").reshape(1, 1, 3, 4)      # 0 1 2 3 / 4 5 6 7 / 8 9 10 11
    np.testing.assert_array_equal(crop(x, size=2, top=1, left=2)[0, 0], [[6, 7], [10, 11]])
    np.testing.assert_array_equal(crop(x, size=2, top=1, left=2, mirror=True)[0, 0],
                                  [[7, 6], [11, 10]])
    np.testing.assert_array_equal(crop(x, size=2, top=-1, left=3, fill=-5, scale=2, shift=1)[0, 0],
                                  [[-5, -5], [7, -5]])


def test_each_channel_has_its_numbers():
    x = np.ones((1, 2, 1, 1))
    y = crop(x, size=(1, 2), scale=[2, 3], shift=[10, 20], fill=[7, 8])
    np.testing.assert_array_equal(y[0, :, 0], [[12, 7], [23, 8]])


def test_doing_nothing_changes_no_bit():
    x = np.array([0.0, -0.0, np.nan, np.inf, 1e-40]).reshape(1, 1, 1, 5)
    assert crop(x, shift=-0.0).tobytes() == x.tobytes()


@given(st.data())
def test_is_padding_slicing_and_reversing(data):
    H, W, OH, OW = (data.draw(st.integers(1, 7), label=name) for name in ("H", "W", "OH", "OW"))
    far = 9                                             # beyond any of the images
    N = data.draw(st.integers(0, 4), label="N")
    rows = data.draw(st.lists(st.integers(0, 2), min_size=N, max_size=N), label="rows")
    top, left = (data.draw(st.lists(st.integers(-far, far), min_size=N, max_size=N), label=name)
                 for name in ("top", "left"))
    mirror = data.draw(st.lists(st.booleans(), min_size=N, max_size=N), label="mirror")
    last = data.draw(st.booleans(), label="x is channels-last")
    x = np.random.default_rng(H).integers(0, 256, (3, 2, H, W)).astype(
        data.draw(st.sampled_from(["uint8", "float32", "float64"]), label="dtype"))
    edges = (0, 0), (far, far + OH), (far, far + OW)
    expected = np.empty((N, 2, OH, OW))
    for n in range(N):
        wide = np.pad(x[rows[n]].astype(float) / 4 - 1, edges, constant_values=-50)
        window = wide[:, far + top[n]:far + top[n] + OH, far + left[n]:far + left[n] + OW]
        expected[n] = window[:, :, ::-1] if mirror[n] else window
    if last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for backend in ("reference", None):
        for out in (np.empty((N, OH, OW, 2), "f4").transpose(0, 3, 1, 2),
                    np.empty((N, 2, OH, OW), "f4"), None):
            if out is not None and x.dtype == "float64":
                out = np.empty_like(out, "f8")
            y = crop(x, np.array(rows, int), size=(OH, OW), top=np.array(top, int),
                     left=np.array(left, int), mirror=np.array(mirror, bool), scale=0.25, shift=-1,
                     fill=-50, out=out, backend=backend)
            assert out is None or y is out
            np.testing.assert_array_equal(y, expected)      # quarters are exact


def test_same_as_pytorch(torch, rng):
    x = rng.standard_normal((4, 3, 32, 32)).astype("float32")
    mean, std = np.array([0.49, 0.48, 0.45]), np.array([0.25, 0.24, 0.26])
    y = crop(x, top=-4, left=2, mirror=True, scale=1 / std, shift=-mean / std, fill=-mean / std)
    expected = torch.nn.functional.pad(torch.from_numpy(x), (0, 2, 4, 0))[:, :, :32, 2:].flip(-1)
    expected = (expected - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_results_have_the_layout_of_x(rng):
    x = rng.standard_normal((2, 5, 6, 3)).transpose(0, 3, 1, 2)
    assert crop(x, size=4).transpose(0, 2, 3, 1).flags.c_contiguous


def test_only_the_rows_asked_for_are_copied():
    """What kernels cannot read in place may be a whole data set: a view of 256 GB here."""
    x = np.broadcast_to(np.float32(3), (10**9, 1, 8, 8))
    np.testing.assert_array_equal(crop(x, np.array([10**9 - 1, 5])), np.full((2, 1, 8, 8), 3))


X = np.zeros((2, 3, 4, 5), np.float32)
frozen = np.zeros_like(X)
frozen.flags.writeable = False


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"x": X[0]}, fd.ShapeError, r"x must be images \(N, C, H, W\) with pixels, got \(3, 4, 5\)"),
    ({"x": X[:, :, :0]}, fd.ShapeError, r"x must be .*, got \(2, 3, 0, 5\)"),
    ({"x": X.astype(complex)}, fd.DTypeError, "x has dtype complex128"),
    ({"rows": [0, 2]}, fd.ArgumentError, r"rows must be in \[0, 2\), got 0 to 2"),
    ({"rows": [-1]}, fd.ArgumentError, r"rows must be in \[0, 2\), got -1 to -1"),
    ({"rows": [0.5]}, fd.ArgumentError, "rows must be integers"),
    ({"rows": [[0]]}, fd.ArgumentError, r"rows must be integers \(N,\), got int64 \(1, 1\)"),
    ({"size": 0}, fd.ArgumentError, "size must be at least 1, got 0"),
    ({"top": 0.5}, fd.ArgumentError, "top must be an integer"),
    ({"left": [1, 2, 3]}, fd.ArgumentError, r"left must be an integer or \(2,\) of them.*\(3,\)"),
    ({"mirror": "no"}, fd.ArgumentError, "mirror must be"),
    ({"scale": [1, 2]}, fd.ArgumentError, r"scale must be a number or \(3,\) of them.*\(2,\)"),
    ({"shift": "a"}, fd.ArgumentError, "shift must be a number"),
    ({"fill": None}, fd.ArgumentError, "fill must be a number"),
    ({"out": X.astype("f8")}, fd.DTypeError, "out must be an array of float32, got float64"),
    ({"out": [1]}, fd.DTypeError, "out must be an array of float32, got list"),
    ({"out": X[:1]}, fd.ShapeError, r"out must be \(2, 3, 4, 5\).*got \(1, 3, 4, 5\)"),
    ({"out": frozen}, fd.ArgumentError, "out must be writeable"),
    ({"out": np.zeros((2, 3, 4, 10), "f4")[..., ::2]}, fd.ArgumentError, "out must be writeable, "),
])
def test_mistakes(options, error, message):
    with pytest.raises(error, match=f"crop_mirror_normalize: {message}"):
        crop(**{"x": X, **options})
