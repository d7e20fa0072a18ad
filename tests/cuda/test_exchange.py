"""Arrays from other libraries and for them, by givers made by hand from what the protocols say."""

import ctypes
import struct

import numpy as np
import pytest
from conftest import SIMULATED

import fastdl as fd
from fastdl.cuda import _driver, _exchange
from fastdl.errors import ArgumentError, DTypeError

pytestmark = pytest.mark.skipif(not SIMULATED, reason="givers here have the host's memory")


@pytest.fixture(autouse=True)
def waits(device, monkeypatch):
    """Pairs of streams: who has been made to wait, and for whom."""
    pairs = []
    monkeypatch.setattr(_driver.driver(), "follow", lambda *pair: pairs.append(pair))
    return pairs


OURS = 0                                    # the simulator's stream


# ---- the CUDA array interface ----

class Interface:
    """A giver with this attribute."""

    def __init__(self, array, **about):
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape, "typestr": array.dtype.str, "version": 3,
            "data": (array.ctypes.data, False), "strides": array.strides, **about}


@pytest.fixture
def array():
    return np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[:, 1:3], lambda a: a.T,
                                  lambda a: a[1:2], lambda a: a[:0]],
                         ids=["all", "columns", "transposed", "row", "nothing"])
def test_strides(array, view):
    given = view(array)
    taken = fd.cuda.asarray(Interface(given))
    assert (taken.shape, taken.strides) == (given.shape, given.strides)
    assert taken.flags.c_contiguous == given.flags.c_contiguous
    np.testing.assert_array_equal(taken.numpy(), given)


@pytest.mark.parametrize("missing", ["strides", "stream", "mask"])
def test_what_need_not_be_said(array, missing):
    giver = Interface(array, stream=None, mask=None)
    del giver.__cuda_array_interface__[missing]
    np.testing.assert_array_equal(fd.cuda.asarray(giver).numpy(), array)


@pytest.mark.parametrize(("stream", "expected"), [
    (None, []), (1, [(OURS, 1)]), (2, [(OURS, 2)]), (0x7F00, [(OURS, 0x7F00)])])
def test_our_stream_waits_for_the_givers(array, waits, stream, expected):
    fd.cuda.asarray(Interface(array, stream=stream))
    assert waits == expected


def test_our_stream_is_named(array, monkeypatch):
    there = fd.cuda.to_device(array)
    assert there.__cuda_array_interface__["stream"] is None         # the simulator has none
    monkeypatch.setattr(_driver.driver(), "stream", 0x7F00)
    assert there.__cuda_array_interface__["stream"] == 0x7F00


@pytest.mark.parametrize(("about", "message"), [
    ({"stream": 0}, "stream 0"), ({"mask": object()}, "mask"), ({"typestr": ">f4"}, ">f4"),
    ({"typestr": "<c8"}, "<c8")])
def test_refused(array, about, message):
    with pytest.raises(DTypeError, match=message):
        fd.cuda.asarray(Interface(array, **about))


def test_what_may_only_be_read(array):
    taken = fd.cuda.asarray(Interface(array, data=(array.ctypes.data, True)))
    for view in (taken, taken[1:], taken.reshape(-1), taken.T.T):
        assert not view.flags.writeable
        assert view.__cuda_array_interface__["data"][1]
        with pytest.raises(ArgumentError, match=r"fill: .*read"):
            view.fill(0)
        with pytest.raises(ArgumentError, match=r"copy_from: .*read"):
            view[...] = np.zeros(view.shape, np.float32)
    weight, gradient = taken, fd.cuda.zeros(array.shape)
    with pytest.raises(ArgumentError, match="read-only"):
        fd.ops.sgd_update([weight], [gradient], lr=1.0)
    assert taken.copy().flags.writeable
    np.testing.assert_array_equal(array, np.arange(12).reshape(3, 4))


def test_the_giver_lives_as_long_as_its_array():
    class Giver(Interface):
        alive = True

        def __del__(self):
            Giver.alive = False

    taken = fd.cuda.asarray(Giver(np.ones(3, np.float32)))[1:]
    assert Giver.alive
    del taken
    assert not Giver.alive


# ---- DLPack, with the structures as dlpack.h has them on a machine of 64 bits ----

class DLPack:
    """A giver of a structure packed by hand; counts how often it is given back."""

    NAMES = {False: b"dltensor", True: b"dltensor_versioned"}

    def __init__(self, array, *, versioned, major=1, flags=0, strides=True, offset=0,
                 dtype=(2, 32, 1)):
        self.versioned, self.given_back, self.asked = versioned, [], []
        self.kept = array, (ctypes.c_int64 * array.ndim)(*array.shape), (
            ctypes.c_int64 * array.ndim)(*(s // array.itemsize for s in array.strides))
        self.deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.given_back.append)
        deleter = ctypes.cast(self.deleter, ctypes.c_void_p).value
        tensor = struct.pack("=QiiiBBHQQQ", array.ctypes.data - offset, 1, 0, array.ndim, *dtype,
                             ctypes.addressof(self.kept[1]),
                             ctypes.addressof(self.kept[2]) if strides else 0, offset)
        if versioned:
            self.memory = struct.pack("=IIQQQ", major, 0, 0, deleter, flags) + tensor
        else:
            self.memory = tensor + struct.pack("=QQ", 0, deleter)

    def __dlpack_device__(self):
        return 1, 0

    def __dlpack__(self, **options):
        self.asked.append(options)
        if not self.versioned and "max_version" in options:
            raise TypeError("unexpected keyword argument 'max_version'")
        self.block = ctypes.create_string_buffer(self.memory, len(self.memory))
        return _exchange._new_capsule(ctypes.addressof(self.block), self.NAMES[self.versioned],
                                      None)


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[:, 1:3], lambda a: a[1]])
def test_taken(array, versioned, view):
    given = view(array)
    giver = DLPack(given, versioned=versioned, offset=4)
    taken = fd.cuda.asarray(giver)
    assert (taken.shape, taken.strides) == (given.shape, given.strides)
    assert taken.flags.writeable
    np.testing.assert_array_equal(taken.numpy(), given)
    taken = taken[1:]
    assert not giver.given_back
    del taken
    assert giver.given_back == [ctypes.addressof(giver.block)]


def test_without_strides_it_is_contiguous(array):
    taken = fd.cuda.asarray(DLPack(array, versioned=False, strides=False))
    assert taken.flags.c_contiguous
    np.testing.assert_array_equal(taken.numpy(), array)


def test_flag_for_reading_alone(array):
    taken = fd.cuda.asarray(DLPack(array, versioned=True, flags=1))
    assert not taken.flags.writeable
    array.flags.writeable = False           # NumPy says it in the same way
    assert not fd.cuda.asarray(array).flags.writeable


@pytest.mark.parametrize(("options", "message"), [
    ({"versioned": True, "major": 2}, "DLPack 2"),
    ({"versioned": False, "dtype": (4, 16, 1)}, "code 4"),
    ({"versioned": False, "dtype": (2, 32, 4)}, "4 lanes"),
    ({"versioned": True, "dtype": (0, 4, 1)}, "4 bits")])
def test_refused_and_given_back(array, options, message):
    giver = DLPack(array, **options)
    with pytest.raises(DTypeError, match=message) as caught:
        fd.cuda.asarray(giver)
    caught.value.__traceback__ = None       # which holds the structure
    del caught
    assert len(giver.given_back) == 1


def test_a_capsule_is_taken_once(array):
    giver = DLPack(array, versioned=True)
    capsule = giver.__dlpack__()
    once = type("Once", (), {"__dlpack__": lambda self, **options: capsule,
                             "__dlpack_device__": lambda self: (1, 0)})()
    fd.cuda.asarray(once)
    with pytest.raises(DTypeError, match="nobody has taken"):
        fd.cuda.asarray(once)


def test_on_a_gpu_the_giver_is_told_our_stream(array, monkeypatch):
    driver = _driver.driver()
    giver = DLPack(array, versioned=True)
    monkeypatch.setattr(driver, "simulated", False)
    monkeypatch.setattr(driver, "stream", 0x7F00)
    giver.__class__ = type("OnDevice", (DLPack,), {"__dlpack_device__": lambda self: (2, 0)})
    fd.cuda.asarray(giver)
    assert giver.asked == [{"max_version": (1, 0), "stream": 0x7F00}]


@pytest.mark.parametrize(("stream", "expected"), [
    (None, [(1, OURS)]), (1, [(1, OURS)]), (2, [(2, OURS)]), (0x7F00, [(0x7F00, OURS)]), (-1, [])])
def test_the_takers_stream_waits_for_ours(array, waits, stream, expected):
    fd.cuda.to_device(array).__dlpack__(stream=stream)
    assert waits == expected


def test_what_is_not_given(array):
    there = fd.cuda.to_device(array)
    with pytest.raises(BufferError, match="stream 0"):
        there.__dlpack__(stream=0)
    with pytest.raises(BufferError, match=r"not on \(2, 3\)"):
        there.__dlpack__(dl_device=(2, 3))
    only_read = fd.cuda.asarray(DLPack(array, versioned=True, flags=1))
    with pytest.raises(BufferError, match="may only be read"):
        only_read.__dlpack__()
    assert not np.from_dlpack(only_read).flags.writeable
    assert not _exchange._lent


def test_given_with_a_version_as_a_copy(array):
    there = fd.cuda.to_device(array)
    capsule = there.__dlpack__(max_version=(1, 1), dl_device=(1, 0), copy=True)
    address = _exchange._pointer_in(id(capsule), b"dltensor_versioned")
    major, _, _, deleter, flags, data = struct.unpack("=IIQQQQ", ctypes.string_at(address, 40))
    assert (major, flags) == (1, 2)
    assert data != there.address
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter)(address)
    assert not _exchange._lent
