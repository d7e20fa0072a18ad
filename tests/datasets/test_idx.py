"""MNIST and Fashion-MNIST from files written byte by byte, sound and damaged."""

import gzip
import struct

import numpy as np
import pytest

import fastdl.datasets as datasets
from fastdl.errors import DataError

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"


@pytest.fixture
def data_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTDL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_reads_what_was_written(name, compress, data_dir, idx_files, write, assert_data_set):
    write(data_dir / name, idx_files, compress)
    (x, t), (x_test, t_test) = datasets.load(name)
    assert_data_set(((x, t), (x_test, t_test)), (1, 28, 28), 3, 2)
    assert t.tolist() == [7, 0, 9]
    assert t_test.tolist() == [1, 2]
    for i in (0, 1, 255, 256, 783, 784, 2351):  # pixel i of the file is i % 256
        assert x.reshape(-1)[i] == np.float32((i % 256) / 255)
    assert x_test[0, 0, 0, :3].tolist() == [np.float32(v / 255) for v in (100, 101, 102)]


def test_every_pixel_value_is_correctly_rounded(data_dir, idx_files, write):
    write(data_dir / "mnist", idx_files)
    (x, _), _ = datasets.mnist()
    assert x.reshape(-1)[:256].tolist() == [float(np.float32(v / 255)) for v in range(256)]


def test_flatten(data_dir, idx_files, write, assert_data_set):
    write(data_dir / "mnist", idx_files)
    flat = datasets.mnist(flatten=True)
    assert_data_set(flat, (784,), 3, 2)
    assert np.array_equal(flat[0][0], datasets.mnist()[0][0].reshape(3, 784))


def test_plain_and_compressed_files_may_be_mixed(data_dir, idx_files, write):
    labels = {TRAIN_LABELS: idx_files.pop(TRAIN_LABELS)}
    write(data_dir / "mnist", labels, compress=True)
    write(data_dir / "mnist", idx_files)
    assert datasets.mnist()[0][1].tolist() == [7, 0, 9]


def header(*fields):
    return struct.pack(">BBBB" + "I" * (len(fields) - 4), *fields)


BAD_IMAGES = {
    "empty": (b"", "is cut off: 0 bytes"),
    "half a magic": (b"\0\0", "is cut off: 2 bytes"),
    "half a header": (header(0, 0, 8, 3, 3, 28), "is cut off: 12 bytes"),
    "labels": (header(0, 0, 8, 1, 16) + bytes(16), "starts with the bytes 00 00 08 01"),
    "signed bytes": (header(0, 0, 9, 3, 3, 28, 28) + bytes(2352), "00 00 09 03"),
    "floats": (header(0, 0, 13, 3, 3, 28, 28) + bytes(4 * 2352), "00 00 0d 03"),
    "little endian": (struct.pack("<IIII", 0x803, 3, 28, 28) + bytes(2352), "03 08 00 00"),
    "a web page": (b"<html>404 not found</html>", "starts with the bytes 3c 68 74 6d"),
    "other size": (header(0, 0, 8, 3, 3, 32, 32) + bytes(3072), r"shape \(3, 32, 32\)"),
    "transposed": (header(0, 0, 8, 3, 28, 28, 3) + bytes(2352), r"shape \(28, 28, 3\)"),
    "no images": (header(0, 0, 8, 3, 0, 28, 28), r"shape \(0, 28, 28\), expected \(N > 0, 28, 28"),
    "one byte short": (header(0, 0, 8, 3, 3, 28, 28) + bytes(2351), "cut off: 2367 bytes.*2368"),
    "one byte long": (header(0, 0, 8, 3, 3, 28, 28) + bytes(2353), "goes on.*2369 bytes.*2368"),
    "absurd count": (header(0, 0, 8, 3, 2**32 - 1, 28, 28) + bytes(2352), "is cut off"),
    "other count": (header(0, 0, 8, 3, 2, 28, 28) + bytes(1568), "has 3 labels.*has 2 images"),
}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("case", BAD_IMAGES)
def test_damaged_images(case, compress, data_dir, idx_files, write):
    content, problem = BAD_IMAGES[case]
    write(data_dir / "mnist", idx_files | {TRAIN_IMAGES: content}, compress)
    with pytest.raises(DataError, match=problem) as caught:
        datasets.mnist()
    assert TRAIN_IMAGES in str(caught.value)


BAD_LABELS = {
    "images": (header(0, 0, 8, 3, 1, 28, 28) + bytes(784), "starts with the bytes 00 00 08 03"),
    "ten": (header(0, 0, 8, 1, 3) + bytes([0, 10, 3]), "label 1 is 10, expected 0 to 9"),
    "255": (header(0, 0, 8, 1, 3) + bytes([0, 0, 255]), "label 2 is 255"),
    "one short": (header(0, 0, 8, 1, 3) + bytes(2), "is cut off: 10 bytes.*11"),
    "one long": (header(0, 0, 8, 1, 3) + bytes(4), "goes on"),
    "other count": (header(0, 0, 8, 1, 4) + bytes(4), "has 4 labels.*has 3 images"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_damaged_labels(case, data_dir, idx_files, write):
    content, problem = BAD_LABELS[case]
    write(data_dir / "mnist", idx_files | {TRAIN_LABELS: content})
    with pytest.raises(DataError, match=problem) as caught:
        datasets.mnist()
    assert TRAIN_LABELS in str(caught.value)


def flip_last_checksum_byte(content):
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


BAD_GZIP = {
    "not gzip": lambda content: b"plainly something else",
    "cut off": lambda content: content[:-20],
    "cut off in the checksum": lambda content: content[:-3],
    "wrong checksum": flip_last_checksum_byte,
    "damaged inside": lambda content: content[:30] + bytes(30) + content[60:],
    "trailing garbage": lambda content: content + b"garbage",
}


@pytest.mark.parametrize("case", BAD_GZIP)
def test_damaged_gzip(case, data_dir, idx_files, write):
    folder = write(data_dir / "mnist", idx_files, compress=True)
    damaged = folder / f"{TEST_IMAGES}.gz"
    damaged.write_bytes(BAD_GZIP[case](gzip.compress(idx_files[TEST_IMAGES])))
    with pytest.raises(DataError, match="cannot be read") as caught:
        datasets.mnist()
    assert str(damaged) in str(caught.value)


def test_every_way_to_cut_off_a_small_file(data_dir, idx_files, write):
    labels = idx_files[TRAIN_LABELS]
    for size in range(len(labels)):
        write(data_dir / "mnist", {**idx_files, TRAIN_LABELS: labels[:size]})
        with pytest.raises(DataError, match=f"is cut off: {size} bytes"):
            datasets.mnist()


def test_real_mnist(monkeypatch, real_data_dir, assert_data_set):
    monkeypatch.setenv("FASTDL_DATA_DIR", real_data_dir)
    if not datasets.is_local("mnist"):
        pytest.skip("FASTDL_DATA_DIR holds no MNIST")
    (x, t), (x_test, t_test) = datasets.mnist()
    assert_data_set(((x, t), (x_test, t_test)), (1, 28, 28), 60_000, 10_000)
    assert t[:5].tolist() == [5, 0, 4, 1, 9]
    assert t_test[:5].tolist() == [7, 2, 1, 0, 4]
    published = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(t).tolist() == published
    assert x.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)
    assert x.std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)
