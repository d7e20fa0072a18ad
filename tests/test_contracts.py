"""What holds for the source as a whole: floors, signatures, docstrings, what an import costs."""

import ast
import importlib
import inspect
import itertools
from pathlib import Path

import pytest

import fastdl
from fastdl import backend, ops
from fastdl._kernels._table import BACKENDS, OPERATIONS

PACKAGE = Path(fastdl.__file__).parent

# From the ground up (docs/architecture.md): a file imports from its own floor and those below.
FLOORS = [
    {"errors", "random", "files", "torch_files", "pictures"},
    {"cuda"},
    {"_kernels"},
    {"backend"},
    {"ops"},
    {"losses", "optimizers", "schedules", "regularizers", "initializers"},
    {"layers"},
    {"graph"},
    {"plan"},
    {"module", "summary", "drawing"},
    {"datasets", "transforms", "models", "onnx"},
    {"history", "loader", "viz"},
    {"trainer", "callbacks"},
    {"dropin", "benchmark", "search", "sklearn"},
    {"__init__"},
    {"examples"},
    {"cli", "__main__"},
]
MAY_DISPATCH = {"ops", "plan", "backend", "_kernels"}


def floor_of(name):
    return next((i for i, floor in enumerate(FLOORS) if name in floor), None)


def module_of(path):
    """("fastdl", "ops", "conv") for fastdl/ops/conv.py, and the package that dots count from."""
    parts = ("fastdl", *path.relative_to(PACKAGE).with_suffix("").parts)
    return (parts[:-1], parts[:-1]) if parts[-1] == "__init__" else (parts, parts[:-1])


def imported(path):
    """Names below fastdl that a file imports, anywhere in it: ("ops", "conv"), ("errors",), …"""
    _, package = module_of(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            targets = [(*base, alias.name) for alias in node.names]
        else:
            continue
        for target in targets:
            if target[0] == "fastdl" and target != ("fastdl", "__version__"):
                yield target[1:] or ("__init__",)


SOURCES = sorted(PACKAGE.rglob("*.py"))


def own_floor(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    own = own_floor(path)
    assert floor_of(own) is not None, f"FLOORS does not say where {own} belongs"
    for target in imported(path):
        # A bare name from the top (fastdl.Module) comes from the face, which is above all.
        name = target[0] if floor_of(target[0]) is not None else "__init__"
        assert floor_of(name) <= floor_of(own), f"{own} is below {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_ops_plan_and_backend_dispatch(path):
    if own_floor(path) not in MAY_DISPATCH:
        assert not [target for target in imported(path) if target[:2] == ("_kernels", "_dispatch")]


def test_the_table_imports_nothing():
    table = ast.parse((PACKAGE / "_kernels" / "_table.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(table) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [(node.module, node.level) for node in imports] == [("typing", 0)]


# ---- kernels: same names, same signatures ----

KERNELS = [(operation.folder, kernel) for operation in OPERATIONS.values()
           for kernel in operation.kernels]


def kernel_module(folder, module):
    return importlib.import_module(f"fastdl._kernels.{folder}.{module}")


def parameters(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("row", BACKENDS, ids=lambda row: row.name)
@pytest.mark.parametrize(("folder", "kernel"), KERNELS)
def test_same_signature_on_every_backend(folder, kernel, row, need_backend):
    need_backend(row.name)
    function = getattr(kernel_module(folder, row.module), kernel)
    reference = getattr(kernel_module(folder, "reference"), kernel)
    assert parameters(function) == parameters(reference)


@pytest.mark.parametrize("folder", sorted({operation.folder for operation in OPERATIONS.values()}))
def test_reference_is_documented_and_every_version_is_there(folder):
    reference = kernel_module(folder, "reference")
    assert inspect.getdoc(reference)
    for kernel in (kernel for other, kernel in KERNELS if other == folder):
        assert inspect.getdoc(getattr(reference, kernel)), f"{kernel} has no specification"
    for name in ("_cython.pyx", "_numba.py", "_cuda.py"):
        if (PACKAGE / "_kernels" / "native" / "_native.pyx").exists() or name != "_cython.pyx":
            assert (PACKAGE / "_kernels" / folder / name).exists()


# ---- docstrings ----

SECTIONS = {"Parameters", "Returns", "Raises", "Yields", "Notes", "Examples", "See Also",
            "References", "Attributes", "Warns"}


def public_names():
    for name in ops.__all__:
        yield f"ops.{name}", getattr(ops, name)
    for name, value in vars(backend).items():
        if inspect.isfunction(value) and value.__module__ == backend.__name__ and name[0] != "_":
            yield f"backend.{name}", value


@pytest.mark.parametrize(("name", "function"), list(public_names()))
def test_docstring(name, function):
    """A summary that ends a sentence, then nothing or an empty line; NumPy's section names."""
    summary, *rest = inspect.getdoc(function).splitlines()
    assert summary.rstrip().endswith((".", ":")) or rest[:1] != [""], summary
    lines = [summary, *rest]
    headings = [above for above, line in itertools.pairwise(lines)
                if line and set(line) == {"-"} and len(line) == len(above)]
    assert set(headings) <= SECTIONS
    assert all(set(line) != {"-"} for line in lines if line) or headings


@pytest.mark.parametrize("module", ["ops", "errors", "backend"])
def test_module_docstring(module):
    assert inspect.getdoc(importlib.import_module(f"fastdl.{module}"))


def test_everything_public_in_ops_is_listed():
    functions = {name for name, value in vars(ops).items() if inspect.isfunction(value)}
    assert functions == set(ops.__all__)


# ---- what an import costs ----

HEAVY = ["numba", "llvmlite", "matplotlib", "torch", "PIL", "scipy", "pandas", "IPython",
         "tqdm.auto", "tqdm.notebook", "optuna", "sklearn", "tensorboardX",
         "numpy.random", "concurrent.futures"]


def test_import_loads_nothing_heavy(run_python):
    code = f"import sys, fastdl; print([name for name in {HEAVY} if name in sys.modules])"
    assert run_python(code) == "[]"


def test_import_loads_no_kernel(run_python):
    """Kernels are imported when they are chosen; so are the backends that are not chosen."""
    code = """
import sys, fastdl, numpy
def loaded(): return sorted(name.split(".")[-1] for name in sys.modules
                            if name.startswith("fastdl._kernels.") and name.count(".") == 3)
print(loaded())
fastdl.ops.relu(numpy.ones(3), backend="reference")
print(loaded(), "numba" in sys.modules)
"""
    assert run_python(code).splitlines() == ["[]", "['reference'] False"]
