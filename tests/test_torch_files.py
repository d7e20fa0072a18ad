"""PyTorch's files, read without PyTorch; state dicts to and from it."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

import fastdl as fd
from fastdl.torch_files import read_state_dict

both_formats = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])


def saved(torch, path, what, zipped):
    torch.save(what, path, _use_new_zipfile_serialization=zipped)
    return path


@both_formats
def test_tensors_of_all_kinds(torch, tmp_path, zipped):
    base = torch.arange(24.0)
    tensors = {
        "transposed": base.reshape(4, 6).t(), "slice": base[3:20:4], "number": torch.tensor(3),
        "half": torch.randn(2, 3).half(), "double": torch.randn(3).double(),
        "brain": torch.randn(5).bfloat16(), "parameter": torch.nn.Parameter(torch.randn(3)),
        "empty": torch.zeros(0, 3), "bool": torch.tensor([True, False]),
        **{str(dtype): torch.arange(4).to(dtype) for dtype in (
            torch.int8, torch.uint8, torch.int16, torch.int32)}}
    read = read_state_dict(saved(torch, tmp_path / "x.pth", tensors, zipped))
    assert list(read) == list(tensors)
    for name, tensor in tensors.items():
        expected = tensor.detach()
        expected = (expected.float() if name == "brain" else expected).numpy()
        assert read[name].dtype == expected.dtype
        np.testing.assert_array_equal(read[name], expected, strict=True)


@both_formats
def test_weights_of_a_module_there_and_back(torch, tmp_path, zipped, rng):
    twin = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    twin(torch.randn(2, 3, 8, 8))
    net = fd.Sequential(fd.layers.Conv2d(3, 4, 3), fd.layers.BatchNorm2d(4))
    net.load(saved(torch, tmp_path / "x.pth", twin.state_dict(), zipped))
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    expected = twin.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(net.predict(x), expected, rtol=1e-4, atol=1e-5)
    net.params["0.weight"][...] = 7
    twin.load_state_dict(net.to_torch_state_dict())
    assert (twin[0].weight == 7).all()
    net.params["0.weight"][...] = 8                     # they are copies
    assert (twin[0].weight == 7).all()


@both_formats
def test_state_dict_inside_a_checkpoint(torch, tmp_path, zipped):
    checkpoint = {"state_dict": {"w": torch.ones(2)}, "epoch": 3}
    read = read_state_dict(saved(torch, tmp_path / "x.pt", checkpoint, zipped))
    np.testing.assert_array_equal(read["w"], np.ones(2))


class Evil:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@both_formats
def test_refuses_what_is_no_tensor(torch, tmp_path, zipped):
    harm, path = tmp_path / "harm", tmp_path / "x.pth"
    for what, named in ((Evil(harm), r"mkdir"), ({"w": Evil(harm)}, r"mkdir"),
                        (torch.nn.Linear(2, 2), r"torch\.nn\.modules\.linear\.Linear"),
                        ({"epoch": 3}, "'epoch' of type int"), ([torch.ones(2)], "a list")):
        saved(torch, path, what, zipped)
        with pytest.raises(fd.CheckpointError, match=f"refused, because it holds .*{named}"):
            read_state_dict(path)
    assert not harm.exists()


def test_refuses_names_that_pickles_misuse(tmp_path):
    """Names that look harmless: parts of what is known, and Python's own."""
    harm = tmp_path / "harm"
    for code in (b"cbuiltins\neval\n", b"cbuiltins\ngetattr\n", b"cfastdl\nModule\n",
                 b"ctorch._utils\n_rebuild\n", b"cos\nmkdir\n"):
        attack = code + b"(S'" + str(harm).encode() + b"'\ntR."
        path = tmp_path / "x.pth"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", attack)
        with pytest.raises(fd.CheckpointError, match="refused"):
            read_state_dict(path)
    assert not harm.exists()


def test_views_outside_of_their_storage(torch, tmp_path):
    """Sizes, strides and offsets that a file could lie about."""
    path = saved(torch, tmp_path / "x.pth", {"w": torch.arange(6.0)}, True)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in entries if name.endswith("data.pkl"))
    # BININT1 6, TUPLE1: the shape; BININT1 1, TUPLE1: the strides.
    shape, strides = b"K\x06\x85", b"K\x01\x85"
    assert entries[name].count(shape) == entries[name].count(strides) == 1
    for old, new in ((shape, b"K\x07\x85"), (strides, b"K\x02\x85"),
                     (strides, b"J\xff\xff\xff\xff\x85"), (shape, b"J\xff\xff\xff\x7f\x85"),
                     (strides, b"K\x01K\x01\x86")):
        with zipfile.ZipFile(path, "w") as archive:
            for each, data in entries.items():
                archive.writestr(each, data.replace(old, new) if each == name else data)
        with pytest.raises(fd.CheckpointError, match="not a readable file"):
            read_state_dict(path)


def test_damaged_files(torch, tmp_path):
    path = tmp_path / "x.pth"
    with pytest.raises(fd.CheckpointError, match="no such file"):
        read_state_dict(path)
    for zipped in (True, False):
        whole = saved(torch, path, {"w": torch.ones(100)}, zipped).read_bytes()
        for length in (0, 10, len(whole) // 2, len(whole) - 10):
            path.write_bytes(whole[:length])
            with pytest.raises(fd.CheckpointError, match=r"x\.pth: "):
                read_state_dict(path)
    path.write_bytes(pickle.dumps({"w": 1}))
    with pytest.raises(fd.CheckpointError, match=r"x\.pth: "):
        read_state_dict(path)


def test_nothing_is_changed_by_a_file_that_does_not_fit(torch, tmp_path):
    net = fd.Sequential(fd.layers.Linear(3, 2))
    before = net.state_dict()
    path = saved(torch, tmp_path / "x.pth", torch.nn.Linear(3, 2).state_dict(), True)
    with pytest.raises(fd.CheckpointError, match=r"missing 0\.weight"):
        net.load(path)
    np.testing.assert_equal(net.state_dict(), before)


def test_old_files_do_without_the_count_of_batches(torch):
    net = fd.Sequential(fd.layers.BatchNorm1d(2))
    state = net.state_dict()
    del state["0.num_batches_tracked"]
    net.load_state_dict(state)


def test_arrays_of_others(torch, rng):
    """PyTorch's tensors go in as they are, and what comes out goes into PyTorch."""
    net = fd.Sequential(fd.layers.Linear(3, 2))
    x = rng.standard_normal((4, 3)).astype(np.float32)
    y = net.predict(x)
    np.testing.assert_array_equal(net.predict(torch.tensor(x)), y)
    np.testing.assert_array_equal(net.forward(torch.tensor(x)), y)
    np.testing.assert_array_equal(torch.from_dlpack(y).numpy(), y)

    class OnlyDlpack:
        """An array of a library that has the protocol of the array API and nothing else."""

        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    np.testing.assert_array_equal(net.predict(OnlyDlpack(x)), y)
    np.testing.assert_array_equal(net.forward(OnlyDlpack(x)), y)
    net.load_state_dict({"0.weight": OnlyDlpack(np.zeros((2, 3), np.float32)),
                         "0.bias": torch.ones(2, requires_grad=True)})
    np.testing.assert_array_equal(net.predict(x), np.ones((4, 2)))


def test_reading_needs_no_pytorch(torch, tmp_path, run_python):
    path = saved(torch, tmp_path / "x.pth", {"0.weight": torch.ones(2, 3),
                                             "0.bias": torch.zeros(2)}, True)
    code = f"""
import sys, fastdl as fd
sys.modules["torch"] = None
net = fd.Sequential(fd.layers.Linear(3, 2))
net.load({str(path)!r})
print(net.params["0.weight"].sum())
try:
    net.to_torch_state_dict()
except ImportError as error:
    print(error)
"""
    assert run_python(code).splitlines() == [
        "6.0", "to_torch_state_dict needs PyTorch: pip install torch"]


def test_bytes_of_the_other_order(torch, tmp_path):
    """What a big-endian machine would have written."""
    path = saved(torch, tmp_path / "x.pth", {"w": torch.arange(6.0)}, True)
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            if name.endswith("data/0"):
                data = np.frombuffer(data, "<f4").astype(">f4").tobytes()
            archive.writestr(name, b"big" if name.endswith("byteorder") else data)
    np.testing.assert_array_equal(read_state_dict(path)["w"], np.arange(6))
