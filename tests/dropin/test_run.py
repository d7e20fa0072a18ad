"""``fastdl run`` in processes of its own: as ``python script.py`` does, and where it differs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastdl

COURSE = "from common.functions import softmax\n"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
ENVIRONMENT |= {"PYTHONPATH": str(Path(fastdl.__file__).parents[1]), "OMP_NUM_THREADS": "1"}


def write(folder, **files):
    """Write Python files, by name without the .py."""
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def process(*command, folder, **environment):
    return subprocess.run([sys.executable, *map(str, command)], cwd=folder, text=True,
                          capture_output=True, timeout=120, env=ENVIRONMENT | environment)


def run(*arguments, folder, **environment):
    return process("-m", "fastdl", "run", *arguments, folder=folder, **environment)


def without_fastdl(text):
    return "".join(line for line in text.splitlines(True) if not line.startswith("fastdl: "))


# ---- as Python does it ----

SURROUNDINGS = """
import atexit, os, sys, __main__
print(sys.argv, sys.path[0], os.getcwd())
print(__name__, __file__, __spec__, __package__, __doc__, __builtins__ is __import__("builtins"))
print(__main__.__dict__ is globals(), type(__loader__).__name__)
import pickle
class Own: pass
print(type(pickle.loads(pickle.dumps(Own()))))
import neighbour
atexit.register(lambda: print("at exit", sys.argv, __name__))
"""


@pytest.mark.parametrize("script", ["script.py", "folder/script.py"])
def test_surroundings_are_those_of_a_script(tmp_path, script):
    name = script.removesuffix(".py")
    write(tmp_path, **{name: SURROUNDINGS, name.replace("script", "neighbour"): "print('hello')"})
    arguments = [script, "a", "--report", "--", "-x"]
    ours, theirs = (run(*arguments, folder=tmp_path), process(*arguments, folder=tmp_path))
    assert ours.stdout == theirs.stdout
    assert "hello" in theirs.stdout
    assert (ours.returncode, theirs.returncode) == (0, 0)


ENDS = {
    "falls off its end": "print(1)",
    "exit(3)": "raise SystemExit(3)",
    "exit with a word": "import sys; sys.exit('over')",
    "error": "def f():\n    return 1 / 0\n\nf()",
    "error with a cause": "try: {}['a']\nexcept KeyError as e: raise ValueError('b') from e",
    "error in a neighbour": "import neighbour\nneighbour.f()",
    "no Python": "x = (",
    "own hook": "import sys\nsys.excepthook = lambda *e: print('hook', e[1])\nraise OSError(1)",
    "no module": "import not_to_be_found",
}


@pytest.mark.parametrize("end", ENDS)
def test_status_and_traceback_are_the_scripts_own(tmp_path, end):
    write(tmp_path, script=ENDS[end], neighbour="def f():\n    raise RuntimeError('here')")
    ours, theirs = run("script.py", folder=tmp_path), process("script.py", folder=tmp_path)
    assert ours.returncode == theirs.returncode
    assert ours.stdout == theirs.stdout
    assert without_fastdl(ours.stderr) == theirs.stderr


def test_errors_inside_of_fastdl_are_shown_at_the_users_line(tmp_path):
    write(tmp_path, script="""
import numpy as np
from common.layers import Affine
layer = Affine(np.ones((3, 4)), np.zeros(4))
layer.forward(np.ones((5, 2)))
""")
    done = run("script.py", folder=tmp_path)
    assert done.returncode == 1
    traceback = without_fastdl(done.stderr).splitlines()
    assert [line.strip() for line in traceback if "File" in line] == [
        f'File "{tmp_path / "script.py"}", line 5, in <module>']
    assert traceback[0] == "Traceback (most recent call last):"
    assert "layer.forward(np.ones((5, 2)))" in done.stderr


def test_interrupted(tmp_path):
    write(tmp_path, script="import os, signal\nos.kill(os.getpid(), signal.SIGINT)\ninput()")
    done = run("script.py", folder=tmp_path)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert "fastdl/" not in done.stderr


def test_a_script_that_is_not_there(tmp_path):
    done = run("nowhere.py", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("fastdl: error: ")
    assert "nowhere.py" in done.stderr
    assert done.stderr.count("\n") == 1


def test_plots_do_not_wait_where_there_is_no_display(tmp_path):
    pytest.importorskip("matplotlib")
    write(tmp_path, script="import matplotlib.pyplot as plt\nplt.plot([1])\n"
                                    "plt.show()\nprint('on')")
    done = run("script.py", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "on\n")


# ---- what the course's names mean ----

WHOSE = "import {0} as module\nprint(module.__name__, getattr(module, 'own', None))"


def test_the_course_is_served_without_its_files(tmp_path):
    write(tmp_path, script=COURSE + "print(softmax.__module__)")
    done = run("script.py", folder=tmp_path)
    assert done.stdout == "fastdl.dropin.zero1.common.functions\n"
    assert done.stderr.startswith("fastdl: profile zero1 (")
    assert done.stderr.count("\n") == 1


def test_modules_of_the_profile_go_before_the_users_and_others_are_the_users(tmp_path):
    write(tmp_path, **{
        "common/__init__": "own = 'package'",
        "common/functions": "own = 'functions'",
        "common/mine": "from .functions import softmax\nown = softmax.__module__",
        "ch01/script": "\n".join([
            "import sys; sys.path.append('..')",
            *map(WHOSE.format, ("common", "common.functions", "common.mine")),
            "from common import mine"])})
    done = run("script.py", folder=tmp_path / "ch01")
    assert done.stdout.splitlines() == [
        "common package",
        "fastdl.dropin.zero1.common.functions None",
        "common.mine fastdl.dropin.zero1.common.functions"]
    assert done.stderr.splitlines()[1:] == [
        f"fastdl: common: modules of profile zero1 go before yours in "
        f"{tmp_path / 'ch01' / '..' / 'common'}",
        f"fastdl: common.mine is your own: {tmp_path / 'ch01' / '..' / 'common' / 'mine.py'}"]


def test_modules_beside_the_script_are_the_users(tmp_path):
    write(tmp_path, multi_layer_net="from common.layers import Relu\nown = Relu.__module__",
          script=WHOSE.format("multi_layer_net"))
    done = run("--profile", "studyai", "script.py", folder=tmp_path)
    name, own = done.stdout.split()
    assert name == "multi_layer_net"
    assert own.startswith("fastdl.dropin.")


def test_a_script_of_no_course_runs_as_it_is(tmp_path):
    write(tmp_path, **{
        "common/config": "own = 1",
        "script": "from common import config\nfrom common.config import own\nprint(own)"})
    done = run("script.py", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert done.stderr == "fastdl: no module of a course is imported; nothing is replaced\n"


@pytest.mark.parametrize("line", ["import common.foo", "from common.foo import bar",
                                  "from common import foo"])
def test_unsupported_modules_are_named_with_what_there_is(tmp_path, line):
    write(tmp_path, script=f"{COURSE}{line}")
    done = run("script.py", folder=tmp_path)
    *_, at, source, last = done.stderr.splitlines()
    assert done.returncode == 1
    assert at == f'  File "{tmp_path / "script.py"}", line 2, in <module>'
    assert source == f"    {line}"
    assert "'common.foo'" in last
    assert "common.functions, " in last


def test_unsupported_names_are_named_with_what_there_is(tmp_path):
    write(tmp_path, script="\nfrom common.functions import softmax, swish")
    last = run("script.py", folder=tmp_path).stderr.splitlines()[-1]
    kind, what, there_are = last.split(": ")
    assert (kind, what) == ("ImportError",
                            "common.functions of profile zero1 has no 'swish'; it has")
    assert "softmax" in there_are


# ---- options ----

def test_dtype(tmp_path):
    write(tmp_path, script="""
import numpy as np
from common.layers import Convolution
layer = Convolution(np.full((1, 1, 1, 1), 1 / 3), np.zeros(1))
y = layer.forward(np.ones((1, 1, 1, 1)))
layer.backward(y)
print(y.dtype, layer.W.dtype, layer.dW.dtype, y.item() == 1 / 3)
""")
    printed = [run(*options, "script.py", folder=tmp_path).stdout.split() for options in
               ((), ("--dtype", "float32"), ("--dtype", "float64"))]
    assert printed[0] == printed[2] == ["float64", "float64", "float64", "True"]
    assert printed[1][0] == "float32"
    assert printed[1][1] == "float64"
    assert printed[1][3] == "False"


def test_threads_and_backend(tmp_path):
    write(tmp_path, script=COURSE + "import fastdl as fd\nprint(fd.get_num_threads())\n"
                                    "print(fd.explain('conv2d'))")
    done = run("--threads", "1", "--backend", "reference", "--profile", "studyai", "script.py",
               folder=tmp_path)
    assert done.stdout.startswith("1\n")
    assert "wanted: reference" in done.stdout
    assert done.stderr == "fastdl: profile studyai (--profile), float64, 1 threads\n"


@pytest.mark.parametrize("end", ["", "raise SystemExit(4)", "raise ValueError"])
def test_report(tmp_path, end):
    write(tmp_path, script=f"""
import numpy as np
from common.layers import Affine, Relu
layers = [Affine(np.ones((8, 6)), np.zeros(6)), Relu()]
for _ in range(7):
    x = np.ones((20, 8))
    for layer in layers:
        x = layer.forward(x)
    for layer in reversed(layers):
        x = layer.backward(x)
{end}
""")
    done = run("--report", "script.py", folder=tmp_path)
    assert done.returncode == {"": 0, "raise SystemExit(4)": 4, "raise ValueError": 1}[end]
    rows = {tuple(line.split()[:-4]) for line in done.stderr.splitlines()}
    assert {("Affine", "8×6", "on", "(20,", "8)", direction, "7")
            for direction in ("forward", "backward")} <= rows
    assert {("Relu", "on", "(20,", "6)", direction, "7")
            for direction in ("forward", "backward")} <= rows
    assert "outside of layers" in done.stderr
    assert "plain NumPy code would have taken about" in done.stderr.splitlines()[-1]
