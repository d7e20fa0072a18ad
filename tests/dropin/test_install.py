"""`install` and `uninstall`: what they change, and that nothing stays changed."""

import importlib
import sys

import pytest

from fastdl import ArgumentError, dropin
from fastdl.dropin import finder

NAMES = ("common", "data", "dataset", "multi_layer_net")


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch, tmp_path):
    """A folder of the user's own on the path, and no course."""
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path), set(sys.modules)
    yield
    dropin.uninstall()
    assert sys.meta_path == before[0]
    left = {name for name in set(sys.modules) - before[1] if name.partition(".")[0] in NAMES}
    for name in left:
        del sys.modules[name]


def own_package(folder, name="common", **files):
    (folder / name).mkdir()
    for file, text in {"__init__": "", **files}.items():
        (folder / name / f"{file}.py").write_text(text, encoding="utf-8")
    importlib.invalidate_caches()


@pytest.mark.parametrize("profile", dropin.PROFILES)
def test_every_module_of_a_profile_can_be_imported(profile):
    dropin.install(profile)
    for name in finder.modules(profile):
        module = importlib.import_module(name)
        assert sys.modules[name] is module
        if not hasattr(module, "__path__"):
            own = f"fastdl.dropin.{profile}.{name}"
            assert module is sys.modules[own]
            assert module.__name__ == module.__spec__.name == own


def test_without_install_there_is_no_course():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("common.functions")


def test_uninstall_restores_what_was_there(tmp_path):
    own_package(tmp_path, functions="own = 1")
    theirs = importlib.import_module("common.functions")
    before = dict(sys.modules)
    finders = list(sys.meta_path)
    dropin.install("zero1")
    assert importlib.import_module("common.functions") is not theirs
    importlib.import_module("common.layers")
    dropin.uninstall()
    assert sys.meta_path == finders
    assert importlib.import_module("common.functions") is theirs
    course = {name: module for name, module in sys.modules.items() if name.startswith("common")}
    assert course == {name: module for name, module in before.items()
                      if name.startswith("common")}


def test_another_profile_takes_the_place_of_the_first():
    for profile in ("zero1", "zero1", "studyai"):
        dropin.install(profile)
    assert sum(isinstance(entry, finder.CourseFinder) for entry in sys.meta_path) == 1
    assert importlib.import_module("common.functions").__name__.startswith("fastdl.dropin.studyai")
    dropin.uninstall()
    dropin.uninstall()


def test_unknown_profile():
    with pytest.raises(ArgumentError, match="unknown profile 'zero2'; there are: zero1, studyai"):
        dropin.install("zero2")


def test_reload():
    dropin.install("zero1")
    module = importlib.import_module("common.functions")
    assert importlib.reload(module) is module


def test_a_file_of_the_users_named_like_a_package_of_the_course(tmp_path, capsys):
    (tmp_path / "common.py").write_text("own = 1", encoding="utf-8")
    dropin.install("zero1")
    assert importlib.import_module("common").own == 1
    assert capsys.readouterr().err == f"fastdl: common is your own: {tmp_path / 'common.py'}\n"


def test_a_package_that_comes_onto_the_path_later(tmp_path, monkeypatch):
    dropin.install("zero1")
    functions = importlib.import_module("common.functions")
    later = tmp_path / "later"
    later.mkdir()
    own_package(later, mine="from common import functions")
    monkeypatch.syspath_prepend(later)
    assert importlib.import_module("common.mine").functions is functions


def test_what_nobody_has():
    dropin.install("zero1")
    with pytest.raises(ModuleNotFoundError, match=r"no module 'common.foo' here; profile zero1 "
                                                  r"has: common, common\.functions, "):
        importlib.import_module("common.foo")


def test_names_of_others_are_left_alone(tmp_path):
    """Not even a package of the user's that only one of the profiles has a name for."""
    own_package(tmp_path, "data", mnist="own = 1")
    dropin.install("zero1")
    assert importlib.import_module("data.mnist").own == 1
