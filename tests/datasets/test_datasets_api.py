"""Names, labels and options of `fastdl.datasets`, and what its import costs."""

import inspect
import subprocess
import sys

import pytest

import fastdl.datasets as datasets
from fastdl.datasets import _idx, _sources
from fastdl.errors import ArgumentError

NAMES = ["digits", "mnist", "fashion_mnist", "cifar10"]


@pytest.mark.parametrize("name", NAMES)
def test_ten_different_class_names(name):
    assert len(set(datasets.class_names(name))) == 10
    assert datasets.class_names(name) == datasets.CLASS_NAMES[name]


def test_class_names_are_the_published_ones():
    assert datasets.class_names("digits") == datasets.class_names("mnist") == tuple("0123456789")
    assert datasets.class_names("fashion_mnist")[::3] == (
        "T-shirt/top",
        "Dress",
        "Shirt",
        "Ankle boot",
    )
    assert datasets.class_names("cifar10")[::3] == ("airplane", "cat", "frog", "truck")


def test_load_and_the_function_agree(assert_data_set):
    assert_data_set(datasets.load("digits"), (1, 8, 8), 1437, 360)
    assert_data_set(datasets.load("digits", flatten=True), (64,), 1437, 360)


@pytest.mark.parametrize("operation", ["load", "is_local", "class_names"])
@pytest.mark.parametrize("name", ["imagenet", "MNIST", "", None, 3, ["mnist"]])
def test_unknown_name(operation, name):
    with pytest.raises(ArgumentError) as caught:
        getattr(datasets, operation)(name)
    assert str(caught.value) == (
        f"{operation}: name is {name!r}, expected one of: digits, mnist, fashion_mnist, cifar10"
    )


@pytest.mark.parametrize("name", [*NAMES, "load"])
def test_flatten_is_keyword_only(name):
    flatten = inspect.signature(getattr(datasets, name)).parameters["flatten"]
    assert flatten.kind is inspect.Parameter.KEYWORD_ONLY
    assert flatten.default is False


def test_everything_public_is_documented():
    for name in set(datasets.__all__) - {"CLASS_NAMES"}:
        assert len(inspect.getdoc(getattr(datasets, name)).splitlines()) > 3, name


def test_every_published_file_has_a_checksum():
    for name, source in _sources.SOURCES.items():
        wanted = source.format.to_download({})
        assert sorted(wanted) == sorted(source.md5), name
        assert all(len(bytes.fromhex(md5)) == 16 for md5 in source.md5.values()), name
    assert _sources.SOURCES["mnist"].format is _idx


def test_import_leaves_out_what_only_files_need():
    code = "import sys, fastdl.datasets; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.split())
    assert not loaded & {"gzip", "tarfile", "urllib.request", "http.client", "tqdm", "platformdirs"}
