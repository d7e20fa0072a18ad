"""The scripts of the reports' listings, under ``fastdl run`` in their own processes, headless."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd
from fastdl.examples import COURSE

SCRIPTS = {path.stem for path in COURSE.glob("*.py")} - {"study"}
LAST = r"iteration 10, loss (\d+\.\d+), training 0\.\d+, test 0\.\d+"


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """A folder with four small files named as MNIST's: the bundled digits, enlarged."""
    folder = tmp_path_factory.mktemp("mnist")
    for part, (x, t), count in zip(("train", "t10k"), fd.datasets.digits(), (400, 200),
                                   strict=True):
        pixels = np.pad(x[:count, 0].repeat(3, 1).repeat(3, 2), [(0, 0), (2, 2), (2, 2)]) * 255
        for kind, head, array in (("images-idx3", (3, count, 28, 28), pixels),
                                  ("labels-idx1", (1, count), t[:count])):
            content = struct.pack(f">BBBB{'I' * (len(head) - 1)}", 0, 0, 8, *head)
            content += array.astype(np.uint8).tobytes()
            (folder / f"{part}-{kind}-ubyte").write_bytes(content)
    return folder


@pytest.fixture
def run(mnist, tmp_path):
    """``run(script, *arguments)`` gives what the script prints."""
    def run(script, *arguments):
        environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
        environment |= {"PYTHONPATH": str(Path(fd.__file__).parents[1]), "OMP_NUM_THREADS": "1",
                        "FASTDL_DATA_DIR": str(mnist), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "fastdl", "run", "--profile", "studyai",
             COURSE / f"{script}.py", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert not list(tmp_path.iterdir())
        return done.stdout
    return run


def test_one_unit(run):
    out = run("one_unit")
    assert out.startswith("*** total input ***\n[1.3]\n\n*** output ***\n[1.3]\n")
    assert "14.00627815592513" in out
    assert "0.9999991736760774" in out


def test_classifier(run):
    output, error = run("classifier").splitlines()
    assert output.startswith("output [0.01602796 0.05707321 0.20322929 0.72366954] sum ")
    assert float(error.split()[1]) == pytest.approx(0.32342029336019423, rel=1e-15)


def test_backprop(run):
    out = run("backprop")
    assert "output [[0.08706577 0.91293423]]" in out
    assert ("new W1\n[[0.1002612  0.3002612  0.5002612 ]\n"
            " [0.20130599 0.40130599 0.60130599]]") in out
    assert ("new W2\n[[0.09895521 0.40104479]\n [0.19782336 0.50217664]\n"
            " [0.2966915  0.6033085 ]]") in out


def test_windows(run):
    images, col, back = (np.array(re.findall(r"\d+\.", part), float) for part in re.split(
        "col\n|each pixel as often as windows read it\n", run("windows")))
    images = images.reshape(2, 4, 4)
    fields = [images[n, i:i + 3, j:j + 3].ravel() for n in (0, 1) for i in (0, 1) for j in (0, 1)]
    np.testing.assert_array_equal(col.reshape(8, 9), fields)
    often = np.outer([1, 2, 2, 1], [1, 2, 2, 1])
    np.testing.assert_array_equal(back.reshape(2, 4, 4), images * often)


def test_own_layers(run):
    differences = [float(number) for number in re.findall(r"\de[+-]\d+", run("own_layers"))]
    assert len(differences) == 4
    assert max(differences) < 1e-12


@pytest.mark.parametrize(("script", "titles"), [
    ("vanishing_gradient", ["sigmoid", "relu"]), ("optimizers", ["SGD", "Momentum", "Adam"]),
    ("overfitting", ["plain", "L2", "L1"]), ("simple_convnet", ["SimpleConvNet"])])
def test_training(run, script, titles):
    pytest.importorskip("matplotlib")
    lines = run(script, "10").splitlines()
    assert [line.split(":")[0] for line in lines] == titles
    assert all(re.search(LAST, line) for line in lines), lines


def test_every_script_is_tested_and_listed():
    tested = {"one_unit", "classifier", "backprop", "windows", "own_layers", "vanishing_gradient",
              "optimizers", "overfitting", "simple_convnet"}
    assert tested == SCRIPTS
    assert set(re.findall(r"^\| `(\w+)\.py`", (COURSE / "README.md").read_text(encoding="utf-8"),
                          re.MULTILINE)) == SCRIPTS
