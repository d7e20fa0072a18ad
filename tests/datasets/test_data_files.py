"""Where files are looked for, in which order, and what is said when they are nowhere."""

import os
import pathlib

import pytest

import fastdl.datasets as datasets
from fastdl.errors import DataError

TRAIN_LABELS = "train-labels-idx1-ubyte"


@pytest.fixture
def data_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTDL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def write_marked(idx_files, write):
    """Writes a sound data set whose first training label is `mark`, to tell copies apart."""

    def write_marked(folder, mark):
        labels = bytearray(idx_files[TRAIN_LABELS])
        labels[8] = mark
        return write(folder, idx_files | {TRAIN_LABELS: bytes(labels)})

    return write_marked


def mark_of(name="mnist"):
    (_, t), _ = datasets.load(name)
    return t[0]


def test_order_of_the_places(data_dir, cache, write_marked):
    write_marked(cache / "mnist", 3)
    assert mark_of() == 3
    write_marked(data_dir, 2)
    assert mark_of() == 2
    write_marked(data_dir / "mnist", 1)
    assert mark_of() == 1


def test_an_incomplete_place_is_passed_over(data_dir, cache, write_marked):
    write_marked(cache / "mnist", 3)
    folder = write_marked(data_dir / "mnist", 1)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    assert mark_of() == 3


def test_files_of_two_places_are_not_mixed(data_dir, cache, idx_files, write):
    labels = {TRAIN_LABELS: idx_files.pop(TRAIN_LABELS)}
    write(data_dir / "mnist", idx_files)
    write(cache / "mnist", labels)
    assert not datasets.is_local("mnist")


def test_a_damaged_file_is_reported_not_passed_over(data_dir, cache, write_marked):
    write_marked(cache / "mnist", 3)
    folder = write_marked(data_dir / "mnist", 1)
    (folder / TRAIN_LABELS).write_bytes(b"")
    with pytest.raises(DataError, match="cut off") as caught:
        datasets.mnist()
    assert str(folder / TRAIN_LABELS) in str(caught.value)


def test_loose_files_are_mnist_not_fashion(data_dir, write_marked):
    write_marked(data_dir, 1)
    assert datasets.is_local("mnist")
    assert not datasets.is_local("fashion_mnist")


@pytest.mark.parametrize("folder", ["fashion_mnist", "FashionMNIST", "fashion-mnist"])
def test_loose_files_in_a_fashion_folder_are_not_mnist(folder, monkeypatch, tmp_path, write_marked):
    write_marked(tmp_path / folder, 1)
    monkeypatch.setenv("FASTDL_DATA_DIR", str(tmp_path / folder))
    assert datasets.is_local("fashion_mnist")
    assert not datasets.is_local("mnist")


def test_the_fashion_folder_is_recognised_from_inside(monkeypatch, tmp_path, write_marked):
    monkeypatch.chdir(write_marked(tmp_path / "fashion", 1))
    monkeypatch.setenv("FASTDL_DATA_DIR", ".")
    assert datasets.is_local("fashion_mnist")
    assert not datasets.is_local("mnist")


def test_both_data_sets_side_by_side(data_dir, write_marked):
    write_marked(data_dir / "mnist", 1)
    write_marked(data_dir / "fashion_mnist", 2)
    assert (mark_of("mnist"), mark_of("fashion_mnist")) == (1, 2)


def test_home_is_expanded(monkeypatch, tmp_path, write_marked):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("FASTDL_DATA_DIR", os.path.join("~", "my data"))
    write_marked(tmp_path / "my data", 4)
    assert mark_of() == 4


def test_default_cache_is_the_users(monkeypatch, tmp_path, write_marked):
    monkeypatch.delenv("FASTDL_CACHE_DIR")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda app: str(tmp_path / "users" / app))
    write_marked(tmp_path / "users" / "fastdl" / "mnist", 6)
    assert mark_of() == 6


def test_a_folder_with_a_files_name_is_no_file(data_dir, write_marked):
    folder = write_marked(data_dir, 1)
    (folder / TRAIN_LABELS).unlink()
    (folder / TRAIN_LABELS).mkdir()
    assert not datasets.is_local("mnist")


def test_is_local_downloads_nothing(cache):
    assert datasets.is_local("digits")
    assert not any(datasets.is_local(name) for name in ("mnist", "fashion_mnist", "cifar10"))
    assert not cache.exists()


def test_message_when_nothing_is_there(cache):
    with pytest.raises(DataError) as caught:
        datasets.mnist()
    first, needed, looked_in, download, hint = str(caught.value).splitlines()
    assert first == "mnist: the files are not on this machine and the download failed"
    assert needed == (
        "  needed: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, "
        "t10k-labels-idx1-ubyte (each plain or as .gz)"
    )
    assert looked_in.startswith(f"  looked in: {cache / 'mnist'} (")
    assert download.startswith("  download: http://127.0.0.1:9/train-images-idx3-ubyte.gz: ")
    assert "refused" in download
    assert hint == "  set FASTDL_DATA_DIR to the folder that holds the files (now: not set)"


def test_message_names_what_each_folder_lacks(data_dir, cache, idx_files, write):
    del idx_files["t10k-labels-idx1-ubyte"], idx_files["t10k-images-idx3-ubyte"]
    write(data_dir, idx_files)
    with pytest.raises(DataError) as caught:
        datasets.mnist()
    lines = str(caught.value).splitlines()
    assert f"  looked in: {data_dir / 'mnist'} (no such folder)" in lines
    lacks = "lacks t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"
    assert f"  looked in: {data_dir} ({lacks})" in lines
    assert lines[-1].endswith(f"(now: {data_dir})")


def test_message_for_cifar(data_dir, cifar_files, write):
    del cifar_files["data_batch_2.bin"]
    write(data_dir / "cifar-10-batches-bin", cifar_files)
    with pytest.raises(DataError) as caught:
        datasets.cifar10()
    message = str(caught.value)
    assert "needed: data_batch_1.bin, data_batch_2.bin" in message
    assert "cifar-10-binary.tar.gz" in message
    assert f"looked in: {data_dir} (lacks data_batch_2.bin)" in message


def test_cache_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FASTDL_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"download: .*mnist cannot be written"):
        datasets.mnist()


def test_unreadable_file(data_dir, monkeypatch, write_marked):
    folder = write_marked(data_dir, 1)

    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(pathlib.Path, "open", refuse)  # chmod would not stop root
    with pytest.raises(DataError, match=r"cannot be read.*Permission denied") as caught:
        datasets.mnist()
    assert str(folder) in str(caught.value)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to this user"
)
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_forbidden_folder(name, data_dir):
    data_dir.mkdir(mode=0)
    try:
        assert not datasets.is_local(name)
        with pytest.raises(DataError, match=r"data \(no permission to read it\)"):
            datasets.load(name)
    finally:
        data_dir.chmod(0o700)
