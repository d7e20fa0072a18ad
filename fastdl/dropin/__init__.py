"""The modules of a course under the names that its scripts import, on fastdl's kernels.

Two courses are known, each a *profile*:

=========  =====================================================================================
zero1      the textbook "Deep Learning from Scratch", volume 1: ``common``, ``dataset``
studyai    the course material derived from it: ``common``, ``data``, ``multi_layer_net`` and
           the convolution networks; targets come first, ``cross_entropy_error(d, y)``
=========  =====================================================================================

Three ways in, none of which changes what other programs import:

- ``fastdl run script.py`` runs a script as it is;
- `install` and `uninstall`, in a program;
- ``%load_ext fastdl.dropin``, in IPython and Jupyter.

>>> import fastdl.dropin
>>> fastdl.dropin.install("zero1")
>>> from common.functions import softmax
>>> fastdl.dropin.uninstall()
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .detect import decide
from .finder import PROFILES, CourseFinder, installed, known_profile, tell

__all__ = ["PROFILES", "install", "load_ipython_extension", "uninstall",
           "unload_ipython_extension"]


def install(profile: str) -> None:
    """Let ``import common.layers`` and the like mean the modules of a profile.

    Inside the packages of the course, the profile's modules go before files of yours; modules that
    the profile does not have, and scripts of yours beside them, stay yours. What is imported
    already under those names is set aside; names that you took from it keep their meaning.

    Parameters
    ----------
    profile : "zero1" or "studyai"; takes the place of the one installed before

    Raises
    ------
    ArgumentError
        for another name

    >>> install("studyai")
    >>> from common import functions
    >>> functions.__name__
    'fastdl.dropin.studyai.common.functions'
    >>> uninstall()
    """
    known_profile(profile)
    _install(CourseFinder(lambda: profile))


def uninstall() -> None:
    """Undo `install`: imports mean what they did before, and ``sys.modules`` has what it had.

    Without an installed profile it does nothing.

    >>> uninstall()
    """
    for finder in installed():
        finder.uninstall()


def load_ipython_extension(shell: Any) -> None:
    """What ``%load_ext fastdl.dropin`` does: `install`, with the profile that the cells need.

    It is chosen, and printed, when the first module of a course is imported, by the cells run so
    far and the files beside the notebook. ``fastdl.dropin.install("studyai")`` in a cell chooses
    it by name.
    """
    def profile() -> str:
        decision = decide(list(shell.history_manager.input_hist_parsed), Path.cwd())
        name = decision.profile or PROFILES[0]
        tell(f"profile {name} ({decision.why})")
        return name

    _install(CourseFinder(profile))


def unload_ipython_extension(shell: Any) -> None:
    """What ``%unload_ext fastdl.dropin`` does: `uninstall`."""
    uninstall()


def _install(finder: CourseFinder) -> None:
    uninstall()
    finder.install()
