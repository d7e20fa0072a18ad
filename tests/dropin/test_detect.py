"""The profile by what scripts import and call."""

import pytest

from fastdl.dropin.detect import decide, decide_for_script

UNDECIDED = "nothing tells the courses apart; --profile chooses"


@pytest.mark.parametrize(("source", "profile", "why"), [
    ("import numpy as np", None, "no module of a course is imported"),
    ("from dataset.mnist import load_mnist", "zero1", "imports dataset.mnist"),
    ("from common.gradient import numerical_gradient", "zero1", "imports common.gradient"),
    ("from data.mnist import load_mnist", "studyai", "imports data.mnist"),
    ("from multi_layer_net import MultiLayerNet", "studyai", "imports multi_layer_net"),
    ("from common.multi_layer_net import MultiLayerNet", "zero1",
     "imports common.multi_layer_net"),
    ("from common.layers import *", "zero1", UNDECIDED),
    ("from common import layers, functions", "zero1", UNDECIDED),
    ("from common import functions\nfunctions.d_relu(1)", "studyai", "calls d_relu"),
    ("from common.functions import *\nsigmoid_grad(x)", "zero1", "calls sigmoid_grad"),
    ("from common import functions\nloss = functions.cross_entropy_error(d, y)", "studyai",
     "calls cross_entropy_error(d, …)"),
    ("from common.functions import *\ncross_entropy_error(y, t)", "zero1",
     "calls cross_entropy_error(y, …)"),
    ("from common import optimizer\noptimizer.SGD(learning_rate=0.1)", "studyai",
     "calls SGD(learning_rate=…)"),
    ("from common.optimizer import Adam\nAdam(lr=0.1)", "zero1", "calls Adam(lr=…)"),
    ("from common.util import smooth_curve\nfrom common.trainer import Trainer\n"
     "from common.optimizer import Adam\nAdam(lr=0.1)", "zero1",
     "imports common.trainer, common.util; calls Adam(lr=…)"),
    ("import common.foo", "zero1", UNDECIDED),
    ("from .common import layers", None, "no module of a course is imported"),
    ("no Python (", None, "no module of a course is imported"),
])
def test_by_the_script_alone(source, profile, why, tmp_path):
    assert decide([source], tmp_path) == (profile, why)


def test_most_of_what_is_found_decides(tmp_path):
    """A variable that happens to be called as in the other course does not."""
    source = ("from data.mnist import load_mnist\nfrom multi_layer_net import MultiLayerNet\n"
              "from common import functions\nfunctions.mean_squared_error(y, d)")
    assert decide([source], tmp_path).profile == "studyai"


def test_neighbours_are_looked_at(tmp_path):
    (tmp_path / "net.py").write_text("import layer", encoding="utf-8")
    (tmp_path / "layer.py").write_text("import net\nfrom data import mnist", encoding="utf-8")
    script = tmp_path / "script.py"
    script.write_bytes("# coding: cp932\nimport net  # 日本".encode("cp932"))
    assert decide_for_script(script) == ("studyai", "imports data.mnist")


def test_the_users_own_module_is_no_course(tmp_path):
    (tmp_path / "multi_layer_net.py").write_text("", encoding="utf-8")
    assert decide(["import multi_layer_net"], tmp_path).profile is None


@pytest.mark.parametrize(("arguments", "profile"), [("y, t", "zero1"), ("d, y", "studyai")])
@pytest.mark.parametrize("place", [".", "chapter"])
def test_the_users_own_copy_of_the_course_decides(tmp_path, arguments, profile, place):
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "functions.py").write_text(
        f"def cross_entropy_error({arguments}):\n    pass", encoding="utf-8")
    source = "from common.functions import *\nd_relu(1); sigmoid_grad(1)"
    decision = decide([source], tmp_path / place)
    assert decision.profile == profile
    assert decision.why.startswith("as ")


def own_copy(folder, **files):
    (folder / "common").mkdir()
    for name, text in files.items():
        (folder / "common" / f"{name}.py").write_text(text, encoding="utf-8")


def test_a_copy_with_more_than_the_profile_has_is_left_alone(tmp_path):
    own_copy(tmp_path, layers="from common.functions import *\nclass Relu: pass\nclass Gelu: pass")
    assert decide(["from common.layers import Relu, softmax"], tmp_path).profile == "zero1"
    assert decide(["from common.layers import *"], tmp_path).profile == "zero1"
    assert decide(["from common.layers import Relu, Gelu"], tmp_path) == (
        None, f"{tmp_path / 'common' / 'layers.py'} has Gelu, which profile zero1 has not")


def test_a_name_that_nobody_has_is_an_error_of_the_run(tmp_path):
    own_copy(tmp_path, layers="class Relu: pass")
    assert decide(["from common.layers import Gelu"], tmp_path).profile == "zero1"


def test_volume_2_of_the_textbook_is_another_course(tmp_path):
    own_copy(tmp_path, time_layers="", functions="def cross_entropy_error(y, t): pass")
    assert decide(["from common.layers import Affine"], tmp_path) == (
        None, "common is the textbook's volume 2, which no profile has")
