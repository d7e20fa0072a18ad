"""These tests hold the reference to oracles; tests/kernels holds the rest to the reference."""

import pytest

import fastdl


@pytest.fixture(autouse=True)
def on_the_reference():
    with fastdl.use_backend("reference"):
        yield
