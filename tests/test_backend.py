"""Which backend runs: who decides, what an explicit choice promises, and what is said about it."""

import contextlib
import contextvars
import sys
import threading
import warnings

import numpy as np
import pytest

import fastdl as fd
from fastdl._kernels._table import BACKENDS, OPERATIONS
from fastdl.errors import ArgumentError, BackendUnavailableError

X = np.ones(3, np.float32)
MODULES = {"cython": "_cython", "numba": "_numba", "reference": "reference"}


@pytest.fixture(autouse=True)
def dispatch(fresh_dispatch, monkeypatch):
    """Every backend can be loaded, and only says its name: no test here depends on the build."""
    missing = set()

    def load(kernel, backend):
        if backend.name in missing:
            raise ImportError(f"No module named {backend.module!r}")
        return lambda *arguments: ran.append((kernel, backend.name))

    ran = []
    monkeypatch.setattr(fresh_dispatch, "_load", load)
    fresh_dispatch.missing, fresh_dispatch.ran = missing, ran
    yield fresh_dispatch
    del fresh_dispatch.missing, fresh_dispatch.ran


@pytest.fixture
def missing(dispatch):
    """Names of backends whose module cannot be imported."""
    return dispatch.missing


@pytest.fixture
def used(dispatch):
    """``used(call)``: the backends of the kernels that it runs; a ReLU unless told."""

    def used(call=lambda: fd.ops.relu(X)):
        dispatch.ran.clear()
        call()
        names = [backend for _, backend in dispatch.ran]
        return names[0] if len(names) == 1 else names

    return used


# ---- precedence ----

def test_auto_takes_the_first_of_the_table(used):
    assert used() == BACKENDS[0].name


def test_each_wish_beats_those_below_it(used, monkeypatch):
    monkeypatch.setenv("FASTDL_BACKEND", "numba")
    assert used() == "numba"
    fd.set_backend("reference")
    assert used() == "reference"
    with fd.use_backend("numba"):
        assert used() == "numba"
        assert used(lambda: fd.ops.relu(X, backend="cython")) == "cython"
        assert used() == "numba"
    assert used() == "reference"
    fd.set_backend()
    assert used() == "numba"


def test_auto_can_be_wished_for(used, monkeypatch):
    monkeypatch.setenv("FASTDL_BACKEND", "numba")
    with fd.use_backend("auto"):
        assert used() == "cython"
    assert used(lambda: fd.ops.relu(X, backend="auto")) == "cython"


def test_contexts_nest_and_end(used):
    with fd.use_backend("reference"):
        with fd.use_backend("numba"):
            assert used() == "numba"
        assert used() == "reference"
        with contextlib.suppress(ZeroDivisionError), fd.use_backend("numba"):
            raise ZeroDivisionError
        assert used() == "reference"
    assert used() == "cython"


def tanh_and_relu():
    fd.ops.tanh(X)
    fd.ops.relu(X)


def test_single_operations(used):
    with fd.use_backend("numba", relu="reference"):
        assert used(tanh_and_relu) == ["numba", "reference"]
        with fd.use_backend(relu="cython"):             # says nothing about the others
            assert used(tanh_and_relu) == ["numba", "cython"]
        with fd.use_backend("cython"):                  # the inner one decides, also for relu
            assert used(tanh_and_relu) == ["cython", "cython"]


def test_a_choice_holds_for_forward_and_backward(used):
    with fd.use_backend(relu="numba"):
        assert used(lambda: fd.ops.relu_backward(X, X)) == "numba"
    fd.set_backend(conv2d="reference")
    x = np.ones((1, 1, 2, 2))
    assert used(lambda: fd.ops.conv2d_backward(x, x, x[..., :1, :1])) == ["reference"] * 2


@pytest.mark.parametrize("name", ["max_pool2d", "maxpool2d", "MaxPool2d", "max_pool2d_backward"])
def test_names_are_understood_loosely(name, used):
    x = np.ones((1, 1, 2, 2))
    with fd.use_backend(**{name: "numba"}):
        assert used(lambda: fd.ops.max_pool2d(x, 2)) == "numba"


@pytest.mark.parametrize(("text", "relu", "tanh"), [
    ("numba", "numba", "numba"), ("auto,relu=numba", "numba", "cython"),
    ("relu=numba", "numba", "cython"), (" reference , ReLU = numba ,", "numba", "reference"),
    ("", "cython", "cython")])
def test_text_of_the_environment_and_of_calls(text, relu, tanh, used, monkeypatch):
    monkeypatch.setenv("FASTDL_BACKEND", text)
    assert used(tanh_and_relu) == [tanh, relu]
    monkeypatch.delenv("FASTDL_BACKEND")
    fd.backend._dispatch._selected.clear()
    with fd.use_backend(text):
        assert used(tanh_and_relu) == [tanh, relu]


# ---- contexts and threads ----

def in_new_thread(call):
    result = []
    thread = threading.Thread(target=lambda: result.append(call()))
    thread.start()
    thread.join()
    return result[0]


def test_contexts_do_not_leak_between_threads(used):
    with fd.use_backend("reference"):
        assert in_new_thread(lambda: fd.backend._dispatch.wanted("relu")) == ("auto", "the default")

    def inside():
        with fd.use_backend("numba"):
            entered.set()
            leave.wait(10)

    entered, leave = threading.Event(), threading.Event()
    thread = threading.Thread(target=inside)
    thread.start()
    entered.wait(10)
    assert used() == "cython"
    leave.set()
    thread.join()


def test_contexts_follow_a_copied_context():
    with fd.use_backend("numba"):
        context = contextvars.copy_context()
    assert context.run(fd.backend._dispatch.wanted, "relu") == ("numba", "use_backend")


def test_set_backend_holds_in_every_thread():
    fd.set_backend("numba")
    assert in_new_thread(lambda: fd.backend._dispatch.wanted("relu")) == ("numba", "set_backend")


# ---- an explicit choice never falls back ----

WISHES = {
    "the argument backend": lambda monkeypatch: fd.ops.relu(X, backend="numba"),
    "use_backend": lambda monkeypatch: _in_context(),
    "set_backend": lambda monkeypatch: (fd.set_backend("numba"), fd.ops.relu(X)),
    "FASTDL_BACKEND": lambda monkeypatch: (monkeypatch.setenv("FASTDL_BACKEND", "numba"),
                                           fd.ops.relu(X)),
}


def _in_context():
    with fd.use_backend("numba"):
        fd.ops.relu(X)


@pytest.mark.parametrize("source", WISHES)
def test_missing_module(source, missing, monkeypatch):
    missing.add("numba")
    with pytest.raises(BackendUnavailableError) as caught:
        WISHES[source](monkeypatch)
    assert isinstance(caught.value, RuntimeError)
    assert str(caught.value) == (
        f"relu: backend 'numba', asked for by {source}, is not available: No module named "
        "'_numba'; to have it: pip install 'fastdl[numba]'. Usable now: cython, reference")


def test_dtype_that_the_backend_does_not_take():
    with pytest.raises(BackendUnavailableError) as caught:
        fd.ops.relu(X.astype(np.float16), backend="cython")
    assert str(caught.value) == (
        "relu: backend 'cython', asked for by the argument backend, is not available: takes "
        "float32, float64, not float16. Usable now: reference")


def test_missing_compiled_module_of_a_real_build(monkeypatch, fresh_dispatch):
    """The same through the import system: the module is there, but cannot be imported."""
    monkeypatch.undo()
    monkeypatch.setattr(fresh_dispatch, "_selected", {})
    monkeypatch.setitem(sys.modules, "fastdl._kernels.activation._cython", None)
    with pytest.raises(BackendUnavailableError, match=r"'cython'.*install a wheel.*reference"):
        fd.ops.relu(X, backend="cython")


# ---- auto may fall back, and says so once ----

def test_auto_goes_down_the_table(missing, used):
    missing.add("cython")
    assert used() == "numba"


def test_auto_on_the_reference_warns_once(missing, used, dispatch):
    missing.update(("cython", "numba"))
    with pytest.warns(dispatch.SlowBackendWarning, match=r"relu.*slow.*cython.*numba"):
        assert used() == "reference"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert used(tanh_and_relu) == ["reference"] * 2


def test_an_explicit_reference_is_no_surprise(missing, used):
    missing.update(("cython", "numba"))
    assert used(lambda: fd.ops.relu(X, backend="reference")) == "reference"


# ---- selection is cached ----

def test_selection_is_cached(dispatch, monkeypatch):
    selected = []
    select = dispatch._select
    monkeypatch.setattr(dispatch, "_select",
                        lambda *arguments: selected.append(arguments) or select(*arguments))
    for _ in range(3):
        fd.ops.relu(X)
        with fd.use_backend("numba", conv2d="cython"):
            fd.ops.relu(X)
    assert len(selected) == 2
    fd.ops.relu(X.astype(np.float64))
    assert len(selected) == 3
    fd.set_backend("numba")                     # makes every selection anew
    fd.ops.relu(X)
    assert len(selected) == 4


# ---- names that do not exist ----

@pytest.mark.parametrize("call", [
    lambda: fd.set_backend("fortran"), lambda: fd.use_backend("fortran").__enter__(),
    lambda: fd.ops.relu(X, backend="fortran"), lambda: fd.set_backend(relu="fortran"),
    lambda: fd.use_backend("auto,relu=fortran").__enter__()])
def test_unknown_backend(call, used):
    with pytest.raises(ArgumentError, match=r"unknown backend 'fortran'.*auto, cython, numba"):
        call()
    assert used() == "cython"


@pytest.mark.parametrize("wrong", [3, b"numba"])
def test_backend_that_is_no_text(wrong):
    with pytest.raises(ArgumentError, match="unknown backend"):
        fd.set_backend(wrong)


def test_unknown_operation():
    for call in (lambda: fd.set_backend(conv4d="numba"), lambda: fd.explain("conv4d"),
                 lambda: fd.set_backend("auto,conv4d=numba")):
        with pytest.raises(ArgumentError, match=r"unknown operation 'conv4d'.*conv2d"):
            call()


def test_unknown_names_in_the_environment(monkeypatch):
    monkeypatch.setenv("FASTDL_BACKEND", "fortran")
    with pytest.raises(ArgumentError, match="FASTDL_BACKEND: unknown backend 'fortran'"):
        fd.ops.relu(X)


# ---- what is said ----

def test_explain(missing):
    assert str(fd.explain("relu")) == "\n".join([
        "relu on float32 arrays (cpu)",
        "wanted: auto, by the default",
        "* cython     runs",
        "  numba      could run",
        "  reference  could run"])
    missing.add("cython")
    with fd.use_backend(relu="reference"):
        assert str(fd.explain("relu_backward", X.astype(np.float16))) == "\n".join([
            "relu on float16 arrays (cpu)",
            "wanted: reference, by use_backend",
            "  cython     no: takes float32, float64, not float16",
            "  numba      no: takes float32, float64, not float16",
            "* reference  runs"])


def test_explain_when_nothing_runs(missing):
    missing.add("numba")
    fd.set_backend("numba")
    text = repr(fd.explain("conv2d"))
    assert "numba      no: No module named '_numba'; to have it: pip install" in text
    assert text.endswith("nothing runs: numba was asked for, and an explicit choice never falls "
                         "back")


def test_explain_agrees_with_what_runs(used):
    for backend in MODULES:
        fd.set_backend(backend)
        assert f"* {used()}" in str(fd.explain("relu", X))


def test_show_config(capsys):
    fd.show_config()
    text = capsys.readouterr().out
    for part in ("fastdl: ", "numpy: ", "cpu: ", "threads: ", "backends:\n  cython     available",
                 "FASTDL_BACKEND: not set"):
        assert part in text


def test_the_table_is_whole():
    assert {backend.name: backend.module for backend in BACKENDS
            if backend.device == "cpu"} == MODULES
    kernels = [kernel for operation in OPERATIONS.values() for kernel in operation.kernels]
    assert len(kernels) == len(set(kernels))
    assert BACKENDS[-1].name == "reference"


def test_auto_without_anything_faster_warns_once_for_all_operations(dispatch, monkeypatch):
    def load(kernel, backend):
        if backend.name == "cython":
            name = f"fastdl._kernels.{kernel}._cython"
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if backend.name == "numba":
            raise ModuleNotFoundError("No module named 'numba'", name="numba")
        return lambda *arguments: None

    monkeypatch.setattr(dispatch, "_load", load)
    x = np.ones((2, 2), np.float32)
    with pytest.warns(dispatch.SlowBackendWarning) as record:
        fd.ops.relu(x)
    fd.ops.gemm(x, x)                   # a warning here would be an error
    (warning,) = record
    assert "cython its kernels are not built" in str(warning.message)
    assert "numba No module named 'numba'" in str(warning.message)
