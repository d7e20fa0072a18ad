"""Schedules of the learning rate."""

import math

import numpy as np
import pytest

import fastdl as fd
from fastdl import schedules


def test_values():
    assert [schedules.constant(p) for p in (0, 0.3, 1)] == [1, 1, 1]
    assert [schedules.cosine(p) for p in (0, 0.5, 1)] == [1, 0.5, 0]
    assert schedules.cosine(0.25) == pytest.approx(0.5 + math.sqrt(0.5) / 2)
    values = [schedules.cosine(p) for p in np.linspace(0, 1, 101)]
    assert values == sorted(values, reverse=True)


def test_get():
    assert schedules.get("cosine") is schedules.cosine
    assert schedules.get(math.sqrt) is math.sqrt
    assert schedules.names() == ("constant", "cosine")
    for wrong in ("cosinus", None, []):
        with pytest.raises(fd.ArgumentError, match=r"unknown schedule .*there are: constant, cos"):
            schedules.get(wrong)
