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
    assert schedules.names() == ("constant", "cosine", "linear", "step")
    for wrong in ("cosinus", None, []):
        with pytest.raises(fd.ArgumentError, match=r"unknown schedule .*there are: constant, cos"):
            schedules.get(wrong)


def test_step_is_pytorch_s_multi_step():
    """Rates of MultiStepLR with milestones 4 and 6 of 8 epochs."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.MultiStepLR(optimizer, [4, 6], gamma=0.2)
    ours = schedules.step((0.5, 0.75), gamma=0.2)
    for epoch in range(8):
        assert ours(epoch / 8) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


def test_warm_up():
    schedule = schedules.warm_up(0.25, then=lambda progress: 1 - progress / 2)
    assert [schedule(p) for p in (0, 0.125, 0.25, 0.625, 1)] == [0, 0.5, 1, 0.75, 0.5]
    assert schedules.warm_up(0)(0) == 1
    for wrong in (-0.1, 1):
        with pytest.raises(fd.ArgumentError, match="share must be in"):
            schedules.warm_up(wrong)
    with pytest.raises(fd.ArgumentError, match="at must be progress"):
        schedules.step((10, 20))
