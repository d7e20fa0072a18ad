"""Batches copied beside the work: nothing is written over before it has been read."""

from collections import deque
from functools import partial
from itertools import count

import numpy as np
import pytest
from conftest import MACHINE, SIMULATED

import fastdl as fd
from fastdl.cuda import _driver

pytestmark = pytest.mark.usefixtures("device")
layers = fd.layers


class Streams:
    """Gives the simulator streams, whose work is done as early or as late as their order allows.

    What is put into a stream waits in a queue. The streams called `eager` do all they may at once;
    the others nothing before somebody must wait for it. (The machine in Python has such streams.)
    """

    def __init__(self, device, eager, monkeypatch):
        self.device = device
        self.eager = [{"work": device.stream, "copies": device.copies}[name] for name in eager]
        self.queues = {device.stream: deque(), device.copies: deque()}
        self.numbers, self.done = count(1), {0}
        self.recorded = {}                  # of each event: its last record, and in which stream
        self.work = device._do, device.replay, device.copy_out
        for name in ("copy_in", "copy_out", "copy_in_beside", "replay", "synchronize", "event",
                     "record", "wait", "wait_here", "_do"):
            monkeypatch.setattr(device, name, getattr(self, name))

    # ---- what the driver is asked for ----

    def _do(self, *work):
        if self.device._recording is not None:
            self.work[0](*work)
        else:
            self.put(self.device.stream, partial(*work))

    def replay(self, graph):
        self.put(self.device.stream, partial(self.work[1], graph))

    def copy_in(self, address, array):
        array = array.copy()                # the caller may change his
        self._do(lambda: _driver.ctypes.memmove(address, array.ctypes.data, array.nbytes))

    def copy_in_beside(self, address, array):
        self.put(self.device.copies, lambda: _driver.ctypes.memmove(address, array.ctypes.data,
                                                                    array.nbytes))

    def copy_out(self, array, address):
        self.synchronize()
        self.work[2](array, address)

    def synchronize(self):
        self.finish(self.device.stream)

    def event(self):
        return object()

    def record(self, event, stream):
        number = next(self.numbers)
        self.recorded[event] = number, stream
        self.put(stream, partial(self.done.add, number))

    def wait(self, event, stream):
        self.put(stream, self.recorded.get(event, (0, stream)))

    def wait_here(self, event):
        number, stream = self.recorded.get(event, (0, None))
        if number not in self.done:
            self.finish(stream, number)

    # ---- when it is done ----

    def put(self, stream, work):
        """Work is a function, or what to wait for."""
        self.queues[stream].append(work)
        for _ in self.queues:               # what one has done another may have waited for
            for each in self.eager:
                self.go_on(each)

    def go_on(self, stream):
        """Do all that waits for no other stream."""
        queue = self.queues[stream]
        while queue and (callable(queue[0]) or queue[0][0] in self.done):
            work = queue.popleft()
            if callable(work):
                work()

    def finish(self, stream, number=None):
        """Do everything, or all up to a record, and what it waits for in other streams."""
        queue = self.queues[stream]
        while queue and number not in self.done:
            work = queue.popleft()
            if callable(work):
                work()
            elif work[0] not in self.done:
                self.finish(work[1], work[0])


SCHEDULES = {"as late as can be": (), "copies early": ("copies",), "work early": ("work",),
             "both": ("work", "copies")}


def schedule(eager, monkeypatch):
    """From here on these streams work as early as they may, and others as late."""
    if MACHINE:
        monkeypatch.setattr(_driver.driver()._api, "eager", eager)
    elif SIMULATED:
        Streams(_driver.driver(), eager, monkeypatch)
    else:
        pytest.skip("a GPU's streams work when they like")


@pytest.fixture(params=SCHEDULES)
def streams(device, request, monkeypatch):
    schedule(SCHEDULES[request.param], monkeypatch)


def batches(rng, sizes=(3, 3, 5, 5, 5, 2)):
    return [(rng.standard_normal((size, 2)).astype(np.float32), i) for i, size in enumerate(sizes)]


def seen_by_steps(given):
    """What steps read that nobody waits for, one for each batch."""
    device, copies = _driver.driver(), []
    feed = fd.cuda.Feed()
    for x, _ in feed.over(given):
        copies.append(fd.cuda.empty(x.shape))
        copies[-1].copy_from(x)             # reads it in the stream of work, some time
        feed.bring_next()
    device.synchronize()
    feed.close()
    return [copy.numpy() for copy in copies]


def test_every_step_reads_its_batch(streams, rng):
    given = batches(rng)
    for copy, (x, _) in zip(seen_by_steps(given), given, strict=True):
        np.testing.assert_array_equal(copy, x)


@pytest.mark.parametrize(("missing", "eager"), [
    ("the host's", ()), ("the copies'", ("copies",)), ("the work's", ("work",))])
def test_every_wait_is_needed(device, rng, monkeypatch, missing, eager):
    """Without any of the three, some schedule lets a step read what is not its batch."""
    schedule(eager, monkeypatch)
    driver = _driver.driver()
    wait = driver.wait
    if missing == "the host's":
        monkeypatch.setattr(driver, "wait_here", lambda event: None)
    else:
        stream = driver.copies if missing == "the copies'" else driver.stream
        monkeypatch.setattr(driver, "wait", lambda event, where: (
            None if where == stream else wait(event, where)))
    given = batches(rng, (3,) * 6)
    assert any(not np.array_equal(copy, x)
               for copy, (x, _) in zip(seen_by_steps(given), given, strict=True))


def test_the_next_is_brought_before_results_are_awaited(device, rng):
    asked = []

    def noted():
        for x, t in batches(rng):
            asked.append(t)
            yield x, t

    feed = fd.cuda.Feed()
    for _, t in feed.over(noted()):
        assert asked[-1] == t
        feed.bring_next()
        feed.bring_next()                   # once is enough
        assert asked[-1] == min(t + 1, 5)
    feed.close()


def test_memory_grows_is_used_again_and_given_back(device, rng):
    before = fd.cuda.memory().used
    feed = fd.cuda.Feed()
    for given in (batches(rng), batches(rng)):
        for (x, _), (expected, _) in zip(feed.over(given), given, strict=True):
            np.testing.assert_array_equal(x.numpy(), expected)
    assert fd.cuda.memory().used > before
    del x
    feed.close()
    assert fd.cuda.memory().used == before


def trainer_and_data():
    fd.seed(3)
    net = fd.Sequential(layers.Flatten(), layers.Linear(6, 5), layers.ReLU(), layers.Dropout(0.2),
                        layers.Linear(5, 3))
    rng = np.random.default_rng(1)
    x = rng.integers(0, 9, (11, 2, 3), np.uint8)
    trainer = fd.Trainer(net, optimizer=fd.optimizers.Momentum(lr=0.1), device="cuda")
    return trainer, x, rng.integers(0, 3, 11)


@pytest.fixture(scope="module")
def one_after_another():
    """History and parameters of a training that copies each batch when its turn has come."""
    trainer, x, t = trainer_and_data()
    losses = []
    for _ in range(2):
        for x_batch, t_batch in fd.DataLoader(x, t, 4, shuffle=True):
            losses.append(trainer.step(x_batch, t_batch) * len(t_batch))
    return np.reshape(losses, (2, 3)).sum(1) / len(x), trainer.net.state_dict()


def test_training_gives_the_same_numbers(streams, one_after_another):
    trainer, x, t = trainer_and_data()
    history = trainer.fit(x, t, epochs=2, batch_size=4, progress=False)
    np.testing.assert_array_equal(history["loss"], one_after_another[0])
    for name, w in trainer.net.state_dict().items():
        np.testing.assert_array_equal(w, one_after_another[1][name], err_msg=name)


def test_an_error_in_a_batch_ends_the_training(device):
    trainer, x, t = trainer_and_data()

    def broken(x, generator):
        raise ValueError("no such picture")

    used = fd.cuda.memory().used
    with pytest.raises(ValueError, match="no such picture"):
        trainer.fit(x, t, transform=broken, progress=False)
    assert fd.cuda.memory().used == used
