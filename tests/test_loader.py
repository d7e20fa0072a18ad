"""Batches: the right ones, the same whoever makes them, and no thread that stays behind."""

import gc
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastdl as fd
from fastdl.transforms import Compose, Normalize, RandomCrop, RandomHorizontalFlip

AUGMENT = Compose([RandomCrop(6, padding=2), RandomHorizontalFlip(), Normalize(0.5, 0.25)])


def images(count=23):
    x = np.random.default_rng(1).integers(0, 256, (count, 3, 6, 6)).astype("float32")
    return x, np.arange(count)


def noise(x, generator):
    return x + generator.standard_normal(x.shape)


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("fastdl-loader")]


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert not loader_threads()


# ---- which batches ----

@given(count=st.integers(0, 30), batch_size=st.integers(1, 12), drop_last=st.booleans(),
       shuffle=st.booleans(), workers=st.integers(0, 3))
def test_every_sample_once(count, batch_size, drop_last, shuffle, workers):
    x = np.arange(count)
    loader = fd.DataLoader(x, -x, batch_size, shuffle, drop_last=drop_last, workers=workers)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert all((a == -b).all() for a, b in batches)
    sizes = [len(a) for a, _ in batches]
    whole, rest = divmod(count, batch_size)
    assert sizes == [batch_size] * whole + [rest] * (rest > 0 and not drop_last)
    seen = np.concatenate([x[:0], *(a for a, _ in batches)])
    assert len(set(seen)) == len(seen) == sum(sizes)
    if not shuffle:
        np.testing.assert_array_equal(seen, x[:len(seen)])


def test_order_is_what_the_generator_permutes():
    x, t = images()
    fd.seed(4)
    first, second = ([t for _, t in fd.DataLoader(x, t, 5, shuffle=True)] for _ in range(2))
    generator = np.random.default_rng(4)
    for order in (first, second):
        np.testing.assert_array_equal(np.concatenate(order), generator.permutation(23))


def test_without_shuffling_and_transform_nothing_is_copied():
    x, t = images()
    for x_batch, t_batch in fd.DataLoader(x, t, 5):
        assert np.shares_memory(x_batch, x)
        assert np.shares_memory(t_batch, t)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64", ">f4"])
@pytest.mark.parametrize("workers", [0, 2])
def test_gathered_samples_are_the_very_same(dtype, workers):
    x = np.random.default_rng(0).integers(0, 99, (11, 4)).astype(dtype)[:, ::2]
    for x_batch, rows in fd.DataLoader(x, np.arange(11), 3, shuffle=True, workers=workers):
        assert x_batch.dtype == x.dtype
        np.testing.assert_array_equal(x_batch, x[rows])


# ---- the same whoever makes them ----

@pytest.mark.parametrize("transform", [AUGMENT, noise, Compose([AUGMENT, noise])])
@pytest.mark.parametrize("group", [1, 3])
def test_same_batches_whatever_the_workers(transform, group):
    x, t = images(40)
    runs = []
    for workers in (0, 1, 4):
        fd.seed(9)
        loader = fd.DataLoader(x, t, 3, shuffle=True, transform=transform, workers=workers)
        loader._group = group
        runs.append([batch for _ in range(2) for batch in loader])
    for other in runs[1:]:
        for (x0, t0), (x1, t1) in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(x0, x1)
            np.testing.assert_array_equal(t0, t1)
    assert not np.array_equal(runs[0][0][0], runs[0][14][0])        # the epochs differ


def test_what_the_caller_draws_meanwhile_changes_nothing():
    x, t = images()
    fd.seed(1)
    undisturbed = [x for x, _ in fd.DataLoader(x, t, 4, transform=AUGMENT)]
    fd.seed(1)
    for expected, (actual, _) in zip(undisturbed, fd.DataLoader(x, t, 4, transform=AUGMENT),
                                     strict=True):
        np.testing.assert_array_equal(actual, expected)
        fd.random.generator().random(7)


def test_samples_are_transformed_each_in_its_own_way():
    """Every image is some shift of the one that all samples share: many different ones."""
    x = np.tile(np.arange(36.0).reshape(1, 1, 6, 6), (200, 1, 1, 1))
    seen = np.concatenate([x for x, _ in fd.DataLoader(x, x, 10, transform=RandomCrop(6, 2))])
    assert len(np.unique(seen.reshape(200, -1), axis=0)) > 20       # of 25
    a, b = (next(iter(fd.DataLoader(x, x, 200, transform=RandomCrop(6, 2))))[0] for _ in range(2))
    assert not np.array_equal(a, b)


def test_a_given_seed_draws_nothing():
    x, t = images()
    loader = fd.DataLoader(x, t, 23, transform=AUGMENT)
    before = fd.random.get_state()
    (first, _), = loader.epoch(seed=5)
    (second, _), = loader.epoch(seed=5)
    np.testing.assert_array_equal(first, second)
    assert fd.random.get_state() == before


def test_the_callers_backend_holds_in_threads():
    x, t = images()
    seen = []

    def look(x, generator):
        seen.append((threading.current_thread().name, str(fd.explain("relu"))))
        return x

    with fd.use_backend("reference"):
        expected = str(fd.explain("relu"))
        list(fd.DataLoader(x, t, 5, transform=look, workers=1))
    assert {text for _, text in seen} == {expected}
    assert all(name.startswith("fastdl-loader") for name, _ in seen)


# ---- memory ----

def test_batches_are_the_callers_to_keep():
    x, t = images(200)
    for workers in (0, 2):
        loader = fd.DataLoader(x, t, 4, shuffle=True, transform=AUGMENT, workers=workers)
        for _ in range(2):
            kept = [(x_batch, x_batch.copy()) for x_batch, _ in loader]
            parts = [(x_batch[1:, 0], x_batch[1:, 0].copy()) for x_batch, _ in loader]
            for array, copy in kept + parts:
                np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_memory_is_used_again(workers):
    x, t = images(400)
    loader = fd.DataLoader(x, t, 4, shuffle=True, transform=AUGMENT, workers=workers)
    loader._group = 1
    places = {x_batch.ctypes.data for _ in range(3) for x_batch, _ in loader}
    assert len(places) <= 2 * workers + 3
    assert all(place % 64 == 0 for place in places)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("transform", [None, AUGMENT, noise])
def test_out(transform, workers, count, last):
    x, t = images(30)
    fd.seed(2)
    expected = [x.copy() for x, _ in fd.DataLoader(x, t, 4, True, transform=transform)]
    out = [np.empty((4, 6, 6, 3), "f4").transpose(0, 3, 1, 2) if last
           else np.empty((4, 3, 6, 6), "f4") for _ in range(count)]
    fd.seed(2)
    loader = fd.DataLoader(x, t, 4, True, transform=transform, workers=workers)
    number = 0
    for number, (x_batch, t_batch) in enumerate(loader.epoch(out)):
        assert np.shares_memory(x_batch, out[number % count])
        assert x_batch.ctypes.data == out[number % count].ctypes.data
        assert len(x_batch) == len(t_batch)
        np.testing.assert_allclose(x_batch, expected[number], rtol=1e-6)
    assert number == 7


# ---- errors, and loops that are left ----

@pytest.mark.parametrize("workers", [0, 1, 3])
def test_errors_of_a_transform_come_as_they_are(workers):
    class OwnError(Exception):
        pass

    def breaks(x, generator):
        if 13 in x:
            raise OwnError("thirteen")
        return x

    x = np.arange(40.0)
    with pytest.raises(OwnError, match="thirteen") as caught:
        list(fd.DataLoader(x, x, 2, transform=breaks, workers=workers))
    assert caught.traceback[-1].name == "breaks"


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_loop_that_is_left_ends_its_threads(workers):
    x, t = images(200)
    for _ in fd.DataLoader(x, t, 2, transform=noise, workers=workers):
        break
    gc.collect()
    assert not loader_threads()
    batches = fd.DataLoader(x, t, 2, transform=noise, workers=workers).epoch()
    next(batches)
    assert bool(loader_threads()) == (workers > 0)
    batches.close()
    assert not loader_threads()


def test_no_more_is_made_ahead_than_memory_is_meant_for():
    x, made = np.arange(1000.0), []
    turn = threading.Semaphore(0)

    def count(x, generator):
        made.append(x[0])
        turn.release()
        return x

    loader = fd.DataLoader(x, x, 1, transform=count, workers=1)
    loader._group = 1
    batches = loader.epoch()
    next(batches)
    for _ in range(3):
        assert turn.acquire(timeout=60)         # its own and the two ahead
    assert not turn.acquire(timeout=0.05)
    assert made == [0, 1, 2]
    batches.close()


def test_a_loader_goes_away_with_its_memory():
    x, t = images()
    loader = fd.DataLoader(x, t, 4, transform=AUGMENT, workers=1)
    list(loader)
    gone = weakref.ref(loader)
    del loader
    gc.collect()
    assert gone() is None


X, T = np.zeros((4, 1, 2, 2)), np.zeros(4, int)


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"t": T[:3]}, fd.ShapeError, r"x and t must have as many samples: x \(4, 1, 2, 2\), t \(3,\)"),
    ({"x": 3.0}, fd.ShapeError, r"x \(\)"),
    ({"batch_size": 0}, fd.ArgumentError, "batch_size must be an integer of at least 1, got 0"),
    ({"batch_size": 2.5}, fd.ArgumentError, "batch_size must be .* got 2.5"),
    ({"workers": -1}, fd.ArgumentError, "workers must be an integer of at least 0, got -1"),
    ({"workers": 1.5}, fd.ArgumentError, "workers must be .* got 1.5"),
    ({"transform": "flip"}, fd.ArgumentError, "transform must be callable, got str"),
])
def test_mistakes(options, error, message):
    with pytest.raises(error, match=f"DataLoader: .*{message}"):
        fd.DataLoader(**{"x": X, "t": T, **options})


def test_mistakes_in_out():
    loader = fd.DataLoader(X, T, 2)
    with pytest.raises(fd.ArgumentError, match="DataLoader: out must be at least one array"):
        loader.epoch([])
    with pytest.raises(fd.ShapeError, match=r"out must be \(2, 1, 2, 2\), got \(2, 1, 2, 3\)"):
        list(loader.epoch([np.empty((2, 1, 2, 3))]))
