"""The bundled digits against what is published about them."""

import pathlib

import numpy as np
import pytest

import fastdl.datasets as datasets
from fastdl.errors import DataError


def test_shapes_and_dtypes(assert_data_set):
    assert_data_set(datasets.digits(), (1, 8, 8), 1437, 360)
    assert_data_set(datasets.digits(flatten=True), (64,), 1437, 360)


def test_samples_per_class_are_the_published_ones():
    (_, t), (_, t_test) = datasets.digits()
    counts = np.bincount(np.concatenate([t, t_test]))
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_first_image_is_the_published_zero():
    (x, t), _ = datasets.digits()
    assert t[:10].tolist() == list(range(10))
    assert (x[0, 0, :3] * 16).tolist() == [
        [0, 0, 5, 13, 9, 1, 0, 0],
        [0, 0, 13, 15, 10, 15, 5, 0],
        [0, 3, 15, 2, 0, 11, 8, 0],
    ]


def test_pixels_are_sixteenths_up_to_one():
    for x, _ in datasets.digits():
        assert np.array_equal(np.unique(x), np.arange(17, dtype=np.float32) / 16)


def test_flat_images_are_the_same_pixels():
    (x, _), _ = datasets.digits()
    (flat, _), _ = datasets.digits(flatten=True)
    assert np.array_equal(flat, x.reshape(len(x), 64))


def test_equals_the_copy_in_scikit_learn():
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    theirs = sklearn_datasets.load_digits()
    (x, t), (x_test, t_test) = datasets.digits()
    assert np.array_equal(np.concatenate([x, x_test])[:, 0] * 16, theirs.images)
    assert np.array_equal(np.concatenate([t, t_test]), theirs.target)


def test_a_caller_may_write_into_the_arrays():
    (x, _), _ = datasets.digits()
    x[:] = 7
    (again, _), _ = datasets.digits()
    assert again.max() == 1


def test_without_the_bundled_file(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.resources.files", lambda package: pathlib.Path(tmp_path))
    with pytest.raises(DataError, match=r"digits\.npz is missing; install fastdl again"):
        datasets.digits()
