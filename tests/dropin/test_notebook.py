"""IPython and Jupyter: the extension, and the notebooks of ``examples/``, executed headless."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastdl

ROOT = Path(fastdl.__file__).parents[1]
NOTEBOOKS = sorted(Path(__file__).parents[2].glob("examples/notebooks/*.ipynb"))


def python(code, folder, *arguments):
    """Run code in a process that keeps what it writes in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg",
                   **{name: str(folder) for name in (
                       "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR",
                       "JUPYTER_DATA_DIR")}}
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, env=environment,
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


EXECUTE = """
import sys, nbformat, nbclient
notebook = nbformat.read(sys.argv[1], as_version=4)
assert not any(cell.get("outputs") for cell in notebook.cells)
nbclient.NotebookClient(notebook, timeout=200).execute()
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        print(output.get("text") or " ".join(output.data))
"""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, tmp_path):
    for module in ("nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(module, reason="notebooks need fastdl[notebook]")
    printed = python(EXECUTE, tmp_path, str(path.resolve())).stdout
    assert "fastdl: profile zero1 (imports common.gradient)" in printed
    assert printed.count("image/png") == 3


CELLS = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
def cell(text):
    shell.run_cell(text, store_history=True).raise_error()
cell("%load_ext fastdl.dropin")
cell("%time from common import functions\\nprint(functions.__name__)\\nfrom data import mnist")
cell("%unload_ext fastdl.dropin")
cell("import sys; print([name for name in sys.modules if name.startswith('common')])")
"""


def test_ipython_extension(tmp_path):
    """The profile is chosen by what the cells import, when they first do."""
    pytest.importorskip("IPython", reason="IPython is not installed")
    done = python(CELLS, tmp_path)
    assert "fastdl: profile studyai (imports data.mnist)" in done.stderr
    lines = done.stdout.splitlines()
    assert "fastdl.dropin.studyai.common.functions" in lines
    assert lines[-1] == "[]"
