"""The import hook: modules of a course, under the names that scripts import.

A *profile* is a folder beside this file; what lies in it is what would lie on a script's path.
``common/layers.py`` in it answers ``import common.layers``.

Whose module a name means:

- Inside a package of the course (``common``, ``dataset``, ``data``), the profile's modules go
  before the user's. Modules that the profile does not have are the user's.
- A name without a dot is the user's, if they have one: a package ``common`` of theirs is imported
  as it is, and so is a file ``multi_layer_net.py``, which then runs on the profile's layers.
- Where they have no such package, an empty one of that name takes its place.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from ..errors import ArgumentError, CourseImportError

HERE = Path(__file__).parent
PROFILES = ("zero1", "studyai")


@cache
def modules(profile: str) -> tuple[str, ...]:
    """The course's names that a profile answers to: "common", "common.layers", …"""
    files = sorted((HERE / profile).rglob("*.py"))
    names = (path.relative_to(HERE / profile).with_suffix("").parts for path in files)
    return tuple(".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                 for parts in names if parts != ("__init__",))


def known_profile(profile: str) -> str:
    """`profile`, if there is one of that name."""
    if profile not in PROFILES:
        raise ArgumentError(f"unknown profile {profile!r}; there are: {', '.join(PROFILES)}")
    return profile


def tell(text: str) -> None:
    """A line for the user, where it does not mix with what a script prints."""
    print(f"fastdl: {text}", file=sys.stderr)


class _Alias(Loader):
    """Loads a module of fastdl, which keeps its own name, in answer to another one."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.name)
        self.own_spec = module.__spec__         # the import system is about to replace it
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.own_spec


class _Empty(Loader):
    """Makes a package with nothing in it."""

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = "A package of the course, served by fastdl."


class CourseFinder(MetaPathFinder):
    """Finds a profile's modules; asks for the profile when the first name of a course is imported.

    Parameters
    ----------
    profile : says which one
    """

    def __init__(self, profile: Callable[[], str]) -> None:
        self._ask = profile
        self._profile: str | None = None
        self._told: set[str] = set()
        self._replaced: dict[str, ModuleType] = {}

    @property
    def profile(self) -> str:
        """The profile's name."""
        if self._profile is None:
            self._profile = self._ask()
        return self._profile

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        """What the import system asks for each name."""
        top, _, inside = fullname.partition(".")
        if top not in course_names() or top not in map(_top, modules(self.profile)):
            return None
        theirs = self._elsewhere(fullname, path) or self._beside(fullname)
        if theirs is None or inside:
            if fullname in modules(self.profile):
                self._tell_of_passing_over(top, theirs)
                return self._served(fullname)
            if inside and theirs is None:
                raise CourseImportError(f"no module {fullname!r} here; profile {self.profile} "
                                        f"has: {', '.join(modules(self.profile))}")
        if theirs is not None and theirs.origin and (inside or theirs.parent != fullname):
            self._tell_once(fullname, f"{fullname} is your own: {theirs.origin}")
        return theirs

    def _served(self, fullname: str) -> ModuleSpec:
        if any(name.startswith(f"{fullname}.") for name in modules(self.profile)):
            return ModuleSpec(fullname, _Empty(), is_package=True)
        return ModuleSpec(fullname, _Alias(f"{__package__}.{self.profile}.{fullname}"))

    def _elsewhere(self, fullname: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """What the import system would find without this finder."""
        specs = (finder.find_spec(fullname, path) for finder in sys.meta_path
                 if finder is not self)
        return next((spec for spec in specs if spec is not None), None)

    def _beside(self, fullname: str) -> ModuleSpec | None:
        """A user's module whose package came onto the path after the profile's was imported."""
        package, _, _ = fullname.rpartition(".")
        spec = self._elsewhere(package, None) if package else None
        folders = spec and spec.submodule_search_locations
        return self._elsewhere(fullname, list(folders)) if folders else None

    def _tell_of_passing_over(self, package: str, theirs: ModuleSpec | None) -> None:
        if theirs is not None and theirs.origin:
            self._tell_once(package, f"{package}: modules of profile {self.profile} go before "
                                     f"yours in {Path(theirs.origin).parent}")

    def _tell_once(self, about: str, text: str) -> None:
        if about not in self._told:
            self._told.add(about)
            tell(text)

    def install(self) -> None:
        """Go before all other finders; set aside what is imported already under the names."""
        self._replaced = _taken_out(course_names())
        sys.meta_path.insert(0, self)

    def uninstall(self) -> None:
        """Leave; what was set aside comes back."""
        sys.meta_path.remove(self)
        _taken_out(course_names())
        sys.modules.update(self._replaced)


def installed() -> Iterator[CourseFinder]:
    """The finder that is installed, if there is one."""
    return (finder for finder in list(sys.meta_path) if isinstance(finder, CourseFinder))


@cache
def course_names() -> frozenset[str]:
    """Names without a dot that any profile answers to."""
    return frozenset(_top(name) for profile in PROFILES for name in modules(profile))


def _top(name: str) -> str:
    return name.partition(".")[0]


def _taken_out(names: frozenset[str]) -> dict[str, ModuleType]:
    """Take modules out of ``sys.modules``, with all that is inside of them."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if _top(name) in names}
