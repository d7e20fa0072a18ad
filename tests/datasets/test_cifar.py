"""CIFAR-10 from files written byte by byte, loose and in the archive, sound and damaged."""

import gzip
import io
import tarfile

import numpy as np
import pytest

import fastdl.datasets as datasets
from fastdl.errors import DataError

ARCHIVE = "cifar-10-binary.tar.gz"
RECORD = 3073


@pytest.fixture
def data_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTDL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def tar_bytes(members):
    """An uncompressed tar of (path, content) pairs, beside a folder entry and a text file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("cifar-10-batches-bin")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for path, content in [*members, ("cifar-10-batches-bin/batches.meta.txt", b"airplane\n")]:
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def as_published(files):
    return [(f"cifar-10-batches-bin/{name}", content) for name, content in files.items()]


@pytest.fixture
def write_archive(data_dir):
    """Puts a tar's bytes, compressed, where `cifar10` looks for the archive."""

    def write_archive(content):
        path = data_dir / "cifar10" / ARCHIVE
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress(content))
        return path

    return write_archive


def assert_is_what_was_written(splits, assert_data_set):
    assert_data_set(splits, (3, 32, 32), 10, 2)
    (x, t), (x_test, t_test) = splits
    assert t.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert t_test.tolist() == [0, 1]
    red, green, blue = x[:, 0], x[:, 1], x[:, 2]
    for i in range(10):
        assert (red[i] == np.float32(i // 2 / 255)).all()
        assert (green[i] == np.float32((100 + i % 2) / 255)).all()
    assert (blue == 1).all()
    assert (x_test[:, 0] == np.float32(5 / 255)).all()


@pytest.mark.parametrize(
    "place", ["", "cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"]
)
def test_loose_files(place, data_dir, cifar_files, write, assert_data_set):
    write(data_dir / place, cifar_files)
    assert datasets.is_local("cifar10")
    assert_is_what_was_written(datasets.cifar10(), assert_data_set)


@pytest.mark.parametrize("folder", ["cifar-10-batches-bin/", "./cifar-10-batches-bin/", ""])
def test_archive(folder, write_archive, cifar_files, assert_data_set):
    write_archive(tar_bytes((folder + name, content) for name, content in cifar_files.items()))
    assert datasets.is_local("cifar10")
    assert_is_what_was_written(datasets.cifar10(), assert_data_set)


def test_archive_directly_in_the_data_dir(data_dir, cifar_files, write, assert_data_set):
    write(data_dir, {ARCHIVE: gzip.compress(tar_bytes(as_published(cifar_files)))})
    assert_is_what_was_written(datasets.cifar10(), assert_data_set)


def test_archive_stands_in_for_an_incomplete_folder(
    data_dir, write_archive, cifar_files, write, assert_data_set
):
    write_archive(tar_bytes(as_published(cifar_files)))
    del cifar_files["data_batch_4.bin"]
    write(data_dir / "cifar10" / "cifar-10-batches-bin", cifar_files)
    assert_is_what_was_written(datasets.cifar10(), assert_data_set)


def test_order_in_the_archive_does_not_matter(write_archive, cifar_files, assert_data_set):
    write_archive(tar_bytes(reversed(as_published(cifar_files))))
    assert_is_what_was_written(datasets.cifar10(), assert_data_set)


def test_nothing_is_extracted(tmp_path, write_archive, cifar_files, assert_data_set):
    escapes = [("../../escaped.bin", b"x"), (str(tmp_path / "absolute.bin"), b"x")]
    write_archive(tar_bytes(escapes + as_published(cifar_files)))
    before = sorted(tmp_path.rglob("*"))
    assert_is_what_was_written(datasets.cifar10(), assert_data_set)
    assert sorted(tmp_path.rglob("*")) == before


def test_flatten_keeps_planes_in_order(data_dir, cifar_files, write, assert_data_set):
    write(data_dir, cifar_files)
    flat = datasets.cifar10(flatten=True)
    assert_data_set(flat, (3072,), 10, 2)
    assert np.array_equal(flat[0][0], datasets.cifar10()[0][0].reshape(10, 3072))


BAD_SIZES = [0, 1, RECORD, 2 * RECORD - 1, 2 * RECORD + 1, 3 * RECORD]


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("size", BAD_SIZES)
def test_wrong_size(size, archived, data_dir, cifar_files, write, write_archive):
    cifar_files["data_batch_3.bin"] = bytes(size)
    if archived:
        write_archive(tar_bytes(as_published(cifar_files)))
    else:
        write(data_dir, cifar_files)
    problem = rf"data_batch_3\.bin\)? has {size} bytes, expected 2 records of 3073 = 6146"
    with pytest.raises(DataError, match=problem):
        datasets.cifar10()


@pytest.mark.parametrize("archived", [False, True])
def test_wrong_label(archived, data_dir, cifar_files, write, write_archive):
    content = bytearray(cifar_files["test_batch.bin"])
    content[RECORD] = 10
    cifar_files["test_batch.bin"] = bytes(content)
    if archived:
        write_archive(tar_bytes(as_published(cifar_files)))
    else:
        write(data_dir, cifar_files)
    with pytest.raises(DataError, match=r"test_batch\.bin\)?: label 1 is 10, expected 0 to 9"):
        datasets.cifar10()


def test_archive_lacks_files(write_archive, cifar_files):
    del cifar_files["data_batch_2.bin"], cifar_files["test_batch.bin"]
    path = write_archive(tar_bytes(as_published(cifar_files)))
    with pytest.raises(DataError) as caught:
        datasets.cifar10()
    assert str(caught.value) == f"{path} lacks data_batch_2.bin, test_batch.bin"


def test_archive_promises_a_giant(write_archive):
    giant = tarfile.TarInfo("test_batch.bin")
    giant.size = 1 << 40
    write_archive(giant.tobuf())
    with pytest.raises(DataError, match=rf"\(test_batch\.bin\) has {1 << 40} bytes"):
        datasets.cifar10()


def test_a_link_is_not_a_file(write_archive, cifar_files):
    del cifar_files["test_batch.bin"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("test_batch.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        for name, content in cifar_files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    write_archive(buffer.getvalue())
    with pytest.raises(DataError, match=r"lacks test_batch\.bin"):
        datasets.cifar10()


def test_archive_holds_a_file_twice(write_archive, cifar_files):
    twice = [("other/test_batch.bin", cifar_files["test_batch.bin"])]
    write_archive(tar_bytes(as_published(cifar_files) + twice))
    with pytest.raises(DataError, match=r"\(test_batch\.bin\): the archive holds this file twice"):
        datasets.cifar10()


def test_archive_goes_on_after_its_end(write_archive, cifar_files):
    path = write_archive(tar_bytes(as_published(cifar_files)) + b"garbage")
    with pytest.raises(DataError, match="goes on after the end") as caught:
        datasets.cifar10()
    assert str(path) in str(caught.value)


BAD_ARCHIVES = {
    "empty": lambda content: b"",
    "not gzip": lambda content: b"<html>404 not found</html>",
    "not tar": lambda content: gzip.compress(b"not a tar " * 200),
    "cut off": lambda content: content[: len(content) // 2],
    "cut off at the end": lambda content: content[:-6],
    # The pixels decompress without complaint; only the checksum at the very end disagrees.
    "wrong checksum": lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
    "trailing garbage": lambda content: content + b"garbage",
    "cut off tar": lambda content: gzip.compress(gzip.decompress(content)[:10_000]),
}


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_damaged_archive(case, write_archive, cifar_files):
    path = write_archive(tar_bytes(as_published(cifar_files)))
    path.write_bytes(BAD_ARCHIVES[case](path.read_bytes()))
    with pytest.raises(DataError) as caught:
        datasets.cifar10()
    assert str(path) in str(caught.value)


def test_real_cifar10(monkeypatch, real_data_dir, assert_data_set):
    monkeypatch.setenv("FASTDL_DATA_DIR", real_data_dir)
    if not datasets.is_local("cifar10"):
        pytest.skip("FASTDL_DATA_DIR holds no CIFAR-10")
    splits = datasets.cifar10()
    assert_data_set(splits, (3, 32, 32), 50_000, 10_000)
    (x, t), (_, t_test) = splits
    assert np.bincount(t).tolist() == [5000] * 10
    assert np.bincount(t_test).tolist() == [1000] * 10
    # The channel means that every recipe quotes, to the digits that a JPEG round trip leaves.
    means = x.mean(axis=(0, 2, 3), dtype=np.float64)
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=2e-3)
