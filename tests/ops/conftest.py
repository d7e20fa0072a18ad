"""These tests hold the reference to oracles that are not ours; tests/kernels holds the rest to it."""

import pytest

import fastdl


@pytest.fixture(autouse=True)
def on_the_reference():
    with fastdl.use_backend("reference"):
        yield
