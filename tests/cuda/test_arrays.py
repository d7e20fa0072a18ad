"""Arrays of the device: copies, views, memory, other libraries, and what is refused."""

import gc

import numpy as np
import pytest
from conftest import MACHINE, SIMULATED

import fastdl as fd
from fastdl.cuda import _driver, _memory
from fastdl.errors import (
    ArgumentError,
    BackendUnavailableError,
    DeviceMemoryError,
    DTypeError,
    ShapeError,
)

pytestmark = pytest.mark.usefixtures("device")
to_device = fd.cuda.to_device


@pytest.mark.parametrize("array", [
    np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 4), np.float32), np.float32(3),
    np.arange(5), np.arange(7, dtype=np.uint8), np.array([True, False])], ids=str)
def test_there_and_back(array):
    there = to_device(array)
    back = there.numpy()
    assert (there.shape, there.dtype) == (back.shape, back.dtype) == (array.shape, array.dtype)
    np.testing.assert_array_equal(back, array)


def test_float64_and_other_layouts_are_converted():
    array = np.arange(6.0).reshape(2, 3).T
    there = to_device(array)
    assert there.dtype == np.float32
    np.testing.assert_array_equal(there.numpy(), array)


def test_views():
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    there = to_device(array)
    for view in (lambda a: a[1:3], lambda a: a[:, 2:5], lambda a: a[-1], lambda a: a[2, 1:],
                 lambda a: a.T, lambda a: a.reshape(2, -1), lambda a: a[1:, :].reshape(3, 2, 3),
                 lambda a: a[...], lambda a: a[5:]):
        np.testing.assert_array_equal(view(there).numpy(), view(array))
    assert there[:, :2].strides == array[:, :2].strides
    assert not there[:, :2].flags.c_contiguous


def test_views_share_memory():
    there = to_device(np.zeros((2, 3)))
    there[1] = np.array([1, 2, 3])
    there[0].fill(7)
    np.testing.assert_array_equal(there.numpy(), [[7, 7, 7], [1, 2, 3]])
    there.reshape(-1)[2:4] = 0
    np.testing.assert_array_equal(there.numpy(), [[7, 7, 0], [0, 2, 3]])


def test_what_arrays_refuse():
    there = to_device(np.zeros((2, 3)))
    with pytest.raises(DTypeError, match=r"lies on the device.*numpy\(\)"):
        np.asarray(there)
    with pytest.raises(ArgumentError, match="step 1, got 2"):
        there[::2]
    with pytest.raises(IndexError, match="out of bounds"):
        there[2]
    with pytest.raises(ShapeError, match="6 elements"):
        there.reshape(4, 2)
    with pytest.raises(ShapeError, match="cannot be copied"):
        there.copy_from(np.zeros((3, 2), np.float32))
    with pytest.raises(ArgumentError, match="must be contiguous"):
        there[:, :2].fill(1)
    with pytest.raises(DTypeError, match="no place"):
        to_device(np.array(["a"]))


def test_operations_say_where_arrays_must_lie():
    here = np.ones((2, 3), np.float32)
    there = to_device(here)
    with pytest.raises(BackendUnavailableError, match=r"'cuda'.*on the device, not on the host "):
        fd.ops.relu(here, backend="cuda")
    with pytest.raises(BackendUnavailableError, match=r"'numba'.*on the host, not on the device"):
        fd.ops.relu(there, backend="numba")
    with pytest.raises(DTypeError, match="b lies on the host but a on the device"):
        fd.ops.gemm(there, here.T)
    with pytest.raises(DTypeError, match="must be float32 and contiguous"):
        fd.ops.relu(there[:, :2])
    for loss, t in ((fd.ops.mse, here), (fd.ops.softmax_cross_entropy, here),
                    (fd.ops.softmax_cross_entropy, np.array([0, 1]))):
        with pytest.raises(DTypeError, match="both lie on the device"):
            loss(there, t)


def test_memory_is_used_again():
    fd.cuda.empty_cache()
    gc.collect()
    first = fd.cuda.empty((1000,))
    address = first.address
    before = fd.cuda.memory()
    del first
    after = fd.cuda.memory()
    assert after.used < before.used
    assert after.kept - before.kept == before.used - after.used
    assert fd.cuda.empty((999,)).address == address
    fd.cuda.empty_cache()
    assert fd.cuda.memory().kept == 0


@pytest.mark.parametrize("size", [0, 1, 256, 257, 5000, 1 << 20, (1 << 20) + 1])
def test_rounded_sizes_waste_little(size):
    rounded = _memory.rounded(size)
    assert rounded >= size
    assert rounded % 256 == 0
    assert rounded <= max(256, 1.25 * size + 256)
    assert _memory.rounded(rounded) == rounded


def test_out_of_memory(device, monkeypatch):
    monkeypatch.setattr(_driver.driver(), "allocate", lambda size: None)
    with pytest.raises(DeviceMemoryError, match=r"40\d\.\d MB asked for.*MB are free.*use \d"):
        fd.cuda.empty((123, 823_000))
    with pytest.raises(MemoryError):
        fd.cuda.empty((10**12,))


def leave(size, monkeypatch):
    """From here on no more than this much memory is free."""
    if not (SIMULATED or MACHINE):
        pytest.skip("a GPU has the memory that it has")
    fd.cuda.empty_cache()
    free, total = (there := _driver.driver()).memory()
    monkeypatch.setattr(there if SIMULATED else there._api, "limit", total - free + size)


def test_a_graph_where_memory_is_scarce(monkeypatch):
    """What the first run has left is free for the graph; where that is too little, it says so."""
    array = np.arange(-500, 500, dtype=np.float32)
    x, results, replay = to_device(array), [], fd.cuda.Replay()
    calls = [lambda: results.append(fd.ops.relu(fd.ops.relu(x)))]
    leave(2 * _memory.rounded(4000), monkeypatch)
    for run in range(3):
        replay.run(calls)
        np.testing.assert_array_equal(results[-1].numpy(), np.maximum(array, 0))
        if run == 0:
            results.clear()
    del replay
    results.clear()
    replay = fd.cuda.Replay()
    replay.run([lambda: None])
    leave(_memory.rounded(4000), monkeypatch)
    with pytest.raises(DeviceMemoryError, match="asked for"):
        replay.run(calls)
    assert not _driver.driver().capturing


# ---- other libraries ----

def test_cuda_array_interface():
    there = to_device(np.arange(6.0).reshape(2, 3))
    about = there.__cuda_array_interface__
    assert about["shape"] == (2, 3)
    assert about["typestr"] == "<f4"
    assert about["data"] == (there.address, False)
    assert about["strides"] is None
    assert there[:, :2].__cuda_array_interface__["strides"] == (12, 4)

    class Other:
        __cuda_array_interface__ = about

    again = fd.cuda.asarray(Other())
    assert again.address == there.address
    np.testing.assert_array_equal(again.numpy(), there.numpy())


def test_dlpack_to_itself():
    there = to_device(np.arange(6.0).reshape(2, 3))

    class Other:                        # knows only this protocol
        def __dlpack__(self, **options):
            return there.__dlpack__(**options)

        def __dlpack_device__(self):
            return there.__dlpack_device__()

    again = fd.cuda.asarray(Other())
    assert again.address == there.address
    np.testing.assert_array_equal(again.numpy(), there.numpy())


def test_dlpack_gives_back(device):
    there = to_device(np.arange(6.0))
    held = there.__dlpack__()
    assert fd.cuda._exchange._lent
    del held                            # nobody took it
    assert not fd.cuda._exchange._lent


def test_dlpack_with_numpy(device):
    if not device.is_simulated():
        pytest.skip("NumPy takes arrays of the host alone")
    there = to_device(np.arange(6.0).reshape(2, 3))
    shared = np.from_dlpack(there)
    np.testing.assert_array_equal(shared, there.numpy())
    del shared
    assert not fd.cuda._exchange._lent
    array = np.arange(4, dtype=np.float32)
    np.testing.assert_array_equal(fd.cuda.asarray(array).numpy(), array)


def test_dlpack_with_torch(device, torch):
    tensor = torch.arange(6.0).reshape(2, 3)
    if MACHINE:
        pytest.skip("PyTorch does not know the machine")
    if not device.is_simulated():
        tensor = tensor.cuda()
    there = fd.cuda.asarray(tensor)
    tensor[0, 1] = 9
    np.testing.assert_array_equal(there.numpy(), [[0, 9, 2], [3, 4, 5]])
    shared = torch.from_dlpack(there)
    shared[1, 1] = -1
    assert tensor[1, 1] == -1


def test_asarray_refuses_what_lies_elsewhere():
    with pytest.raises(DTypeError, match="to_device"):
        fd.cuda.asarray([1.0])
