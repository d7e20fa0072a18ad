"""Threads: how many, several callers at once, and children made by fork."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from comparison import assert_same
from corpus import run, typical

import fastdl as fd
from fastdl.ops.optimizer import STATES

each_backend = pytest.mark.parametrize("backend", ["cython", "numba"])
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture
def threaded_build(need_backend):
    """Skip where the native kernels were built without OpenMP."""
    need_backend("cython")
    from fastdl._kernels.native import _native

    if not _native.has_openmp():
        pytest.skip("built without OpenMP")


@pytest.fixture
def restored_threads():
    before = fd.get_num_threads()
    yield
    fd.set_num_threads(before)


# ---- how many ----

def test_set_num_threads(threaded_build, restored_threads):
    for threads in (3, 1, np.int64(2)):
        fd.set_num_threads(threads)
        assert fd.get_num_threads() == threads


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", None])
def test_impossible_numbers_of_threads(threads):
    before = fd.get_num_threads()
    with pytest.raises(fd.errors.ArgumentError, match=rf"set_num_threads.*at least 1.*{threads}"):
        fd.set_num_threads(threads)
    assert fd.get_num_threads() == before


def test_omp_num_threads(threaded_build, run_python):
    code = "import fastdl; print(fastdl.get_num_threads())"
    assert run_python(code, OMP_NUM_THREADS="1") == "1"
    assert run_python(code, OMP_NUM_THREADS="3") == "3"


def test_threadpoolctl(threaded_build, restored_threads):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    fd.set_num_threads(3)
    with threadpoolctl.threadpool_limits(1):
        assert fd.get_num_threads() == 1
    assert fd.get_num_threads() == 3


NUMBA_LIMITS = """
import numpy as np, fastdl as fd, threadpoolctl
from fastdl._kernels import _numba_jit
import numba
@_numba_jit.parallel
def used(out):
    out[0] = numba.get_num_threads()
def numba_threads():
    out = np.zeros(1)
    used(out)
    return int(out[0])
print(fd.get_num_threads(), numba_threads())
fd.set_num_threads(3)
with threadpoolctl.threadpool_limits(1):
    print(fd.get_num_threads(), numba_threads())
print(fd.get_num_threads(), numba_threads())
fd.set_num_threads(1)
print(fd.get_num_threads(), numba_threads())
"""


def test_numba_keeps_to_the_same_limits(threaded_build, need_backend, run_python):
    """And that Numba has been started changes no limit of the native kernels."""
    need_backend("numba")
    pytest.importorskip("threadpoolctl")
    # A function of "-c" has no file beside which its compiled code could be kept.
    code = NUMBA_LIMITS.replace("import numba\n", "import numba\n"
                                "_numba_jit._OPTIONS['cache'] = False\n")
    text = run_python(code, OMP_NUM_THREADS="2", NUMBA_NUM_THREADS="4")
    assert text.splitlines() == ["2 2", "1 1", "3 3", "1 1"]


@each_backend
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same(threads, backend, rng, need_backend,
                                              restored_threads):
    need_backend(backend)
    fd.set_num_threads(threads)
    a, b = rng.standard_normal((2, 150, 150))
    assert_same(fd.ops.gemm(a, b, backend=backend), a @ b, "float64", terms=150)
    x = rng.standard_normal(200_001)
    assert_same(fd.ops.tanh(x, backend=backend), np.tanh(x), "float64")


@each_backend
@pytest.mark.parametrize("kernel", [kernel for kernel in typical if kernel.endswith("_update")])
def test_an_update_has_the_same_bits_on_any_number_of_threads(kernel, backend, need_backend,
                                                              restored_threads, rng):
    """Sizes such that the threads' parts begin and end inside of arrays."""
    need_backend(backend)
    sizes = [70_001, 3, 40_003, 1, 0, 90_007]
    results = {}
    arrays = {key: [np.abs(rng.standard_normal(size)).astype("f4") for size in sizes]
              for key in ("w", "dw", *STATES[kernel])}
    for threads in (1, 2, 3):
        fd.set_num_threads(threads)
        mine = {key: [a.copy() for a in given] for key, given in arrays.items()}
        getattr(fd.ops, kernel)(**mine, **typical[kernel].options, backend=backend)
        results[threads] = mine
    for threads in (2, 3):
        for key, given in results[1].items():
            for one, other in zip(given, results[threads][key], strict=True):
                np.testing.assert_array_equal(one, other, f"{key}, {threads} threads")


# ---- several Python threads ----

@each_backend
def test_two_callers_at_once(backend, need_backend):
    need_backend(backend)
    cases = [case for kernel, case in typical.items()
             if kernel.startswith(("gemm", "conv2d", "batch_norm", "softmax", "max_pool2d"))] * 20

    def call(case):
        with np.errstate(all="ignore"):
            return run(case, backend, "float32")

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(call, cases))
    for case, result in zip(cases, results, strict=True):
        for name, value in run(case, "reference", "float32").items():
            assert_same(result[name], value, "float32", case.terms)


def test_more_callers_than_the_pool_can_help(need_backend, restored_threads):
    need_backend("cython")
    fd.set_num_threads(3)
    a, b = np.random.default_rng(1).standard_normal((2, 90, 90))
    expected = fd.ops.gemm(a, b, backend="cython")

    def call(_):
        return all((fd.ops.gemm(a, b, backend="cython") == expected).all() for _ in range(50))

    with ThreadPoolExecutor(10) as pool:
        assert all(pool.map(call, range(10)))


@each_backend
@pytest.mark.parametrize("threads", [1, 2])
def test_other_python_threads_go_on_during_a_kernel(threads, backend, need_backend,
                                                    restored_threads):
    """One thread sleeps and wakes a few times while the other is inside one long call."""
    need_backend(backend)
    fd.set_num_threads(threads)
    a = np.ones((1500, 1500))
    fd.ops.gemm(a[:2], a, backend=backend)          # whatever must be compiled is compiled
    entered, left, woken = threading.Event(), threading.Event(), 0

    def kernel():
        entered.set()
        fd.ops.gemm(a, a, backend=backend)
        left.set()

    caller = threading.Thread(target=kernel)
    caller.start()
    entered.wait(60)
    while not left.wait(0.002):
        woken += 1
    caller.join(60)
    assert woken >= 3


TWO_CALLERS = """
import threading
import numpy as np, numba, fastdl as fd
x = np.arange(-50_000.0, 50_000.0)
right = []
def call():
    for _ in range(100):
        right.append((fd.ops.relu(x, backend="numba") == np.maximum(x, 0)).all())
callers = [threading.Thread(target=call) for _ in range(4)]
[caller.start() for caller in callers]
[caller.join() for caller in callers]
print(numba.threading_layer(), len(right), all(right))
"""


def test_numba_workqueue_survives_several_callers(need_backend, run_python):
    need_backend("numba")
    text = run_python(TWO_CALLERS, NUMBA_THREADING_LAYER="workqueue", NUMBA_NUM_THREADS="2")
    assert text == "workqueue 400 True"


# ---- fork ----

# The child has a time limit of its own: a hang there must not outlive the test.
FORK = """
import multiprocessing, os
import numpy as np, fastdl as fd
backend, first = os.environ["BACKEND"], os.environ["FIRST"]
rng = np.random.default_rng(0)
a, b = rng.standard_normal((2, 200, 200))
x = rng.standard_normal(100_000)
def right():
    return (np.allclose(fd.ops.gemm(a, b, backend=backend), a @ b)
            and np.allclose(fd.ops.tanh(x, backend=backend), np.tanh(x)))
def child(connection, depth):
    grandchild = fork(depth - 1) if depth else True
    connection.send(right() and grandchild)
def fork(depth):
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=child, args=(there, depth))
    process.start()
    answer = here.poll(60) and here.recv()
    process.join(5)
    process.kill()
    return answer and process.exitcode == 0
before = right() if first == "parent" else True
print(before, fork(1), right())
"""


FORK_DURING_A_KERNEL = """
import multiprocessing, threading
import numpy as np, fastdl as fd
fd.set_backend("cython")
a = np.random.default_rng(0).standard_normal((400, 400))
expected = a @ a
right, stop = [], threading.Event()
def compute():
    while not stop.is_set():
        right.append(np.allclose(fd.ops.gemm(a, a), expected))
def child(connection):
    connection.send(np.allclose(fd.ops.gemm(a, a), expected))
callers = [threading.Thread(target=compute) for _ in range(2)]
[caller.start() for caller in callers]
context = multiprocessing.get_context("fork")
answers = []
for _ in range(20):
    here, there = context.Pipe()
    process = context.Process(target=child, args=(there,))
    process.start()
    answers.append(here.poll(20) and here.recv())
    process.join(5)
    process.kill()
stop.set()
[caller.join() for caller in callers]
print(all(answers), len(right) > 0, all(right))
"""


@needs_fork
def test_fork_while_other_threads_are_inside_kernels(threaded_build, run_python):
    assert run_python(FORK_DURING_A_KERNEL, OMP_NUM_THREADS="3") == "True True True"


NO_ROOM_FOR_THREADS = """
import resource
import numpy as np, fastdl as fd
x = np.linspace(-3, 3, 100_001)
small = fd.ops.tanh(x[:9], backend="cython")
expected = np.tanh(x)
with open("/proc/self/statm") as pages:
    used = int(pages.read().split()[0]) * resource.getpagesize()
fd.set_num_threads(4)
resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20),) * 2)      # a stack takes 8 MiB
print(np.allclose(fd.ops.tanh(x, backend="cython"), expected))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/statm")
def test_fewer_threads_than_wanted_are_enough(threaded_build, run_python):
    assert run_python(NO_ROOM_FOR_THREADS, OPENBLAS_NUM_THREADS="1") == "True"


def test_exit_during_a_kernel(threaded_build, run_python):
    """The program ends while a daemon thread computes."""
    assert run_python("""
import threading, numpy as np, fastdl as fd
a = np.ones((1500, 1500))
started = threading.Event()
def compute():
    started.set()
    while True:
        fd.ops.gemm(a, a, backend="cython")
threading.Thread(target=compute, daemon=True).start()
started.wait()
print("end")
""", OMP_NUM_THREADS="3") == "end"


@needs_fork
@each_backend
@pytest.mark.parametrize("first", ["parent", "child"], ids=lambda first: f"{first} first")
def test_forked_child_computes(backend, first, need_backend, run_python):
    need_backend(backend)
    assert run_python(FORK, BACKEND=backend, FIRST=first, OMP_NUM_THREADS="2",
                      NUMBA_NUM_THREADS="2") == "True True True"


@needs_fork
def test_forked_child_computes_on_numba_workqueue(need_backend, run_python):
    need_backend("numba")
    assert run_python(FORK, BACKEND="numba", FIRST="parent", NUMBA_THREADING_LAYER="workqueue",
                      NUMBA_NUM_THREADS="2") == "True True True"


@needs_fork
def test_forked_child_uses_one_thread(threaded_build, run_python):
    assert run_python("""
import os, numpy as np, fastdl as fd
fd.ops.gemm(np.ones((200, 200)), np.ones((200, 200)))
if os.fork() == 0:
    print(fd.get_num_threads(), flush=True)
    os._exit(0)
os.wait()
""", OMP_NUM_THREADS="2") == "1"
