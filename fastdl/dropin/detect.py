"""Which course a script is from, by what it imports and calls. Nothing of it is run."""

from __future__ import annotations

import ast
import importlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .finder import PROFILES, course_names, modules

# What only one course has: names of functions; the first argument of losses, as both courses
# write them; the keyword of an optimizer.
FUNCTIONS = {
    **dict.fromkeys(("d_sigmoid", "d_relu", "d_mean_squared_error", "d_softmax_with_loss",
                     "d_sigmoid_with_loss", "softmax_with_loss"), "studyai"),
    **dict.fromkeys(("sigmoid_grad", "relu_grad", "softmax_loss", "sum_squared_error"), "zero1")}
LOSSES = ("cross_entropy_error", "mean_squared_error")
FIRST_ARGUMENT = {"d": "studyai", "y": "zero1"}
OPTIMIZERS = ("SGD", "Momentum", "Nesterov", "AdaGrad", "RMSProp", "RMSprop", "Adam")
KEYWORD = {"learning_rate": "studyai", "lr": "zero1"}


class Decision(NamedTuple):
    """A profile, or None where none would do, and the reason in words."""

    profile: str | None
    why: str


def decide(sources: Sequence[str | bytes], folder: Path) -> Decision:
    """The profile that pieces of code in `folder` need, by them and by the files they import.

    >>> decide(["from common import layers", "from data.mnist import load_mnist"], Path())
    Decision(profile='studyai', why='imports data.mnist')
    >>> decide(["import numpy"], Path()).profile
    """
    folders = (folder, folder.parent)           # scripts put the parent on their path
    trees = list(_with_neighbours(sources, folders))
    imported = {name for tree in trees for name in _imports(tree)}
    asked = sorted(name for name in imported if _of_a_course(name, folders))
    if not asked:
        return Decision(None, "no module of a course is imported")

    if _file("common.time_layers", folders):
        return Decision(None, "common is the textbook's volume 2, which no profile has")
    decision = _as_the_users_copy(folders) or _by_votes(asked, trees)
    for path, name in _lacking(decision.profile or "", trees, folders):
        return Decision(None, f"{path} has {name}, which profile {decision.profile} has not")
    return decision


def _as_the_users_copy(folders: tuple[Path, ...]) -> Decision | None:
    """By the losses' arguments in a copy of the course that lies beside."""
    functions = _file("common.functions", folders)
    if functions is not None:
        for profile in {_signature(tree) for tree in _parsed(functions)} & set(PROFILES):
            return Decision(profile, f"as {functions} is")
    return None


def _by_votes(asked: Sequence[str], trees: list[ast.Module]) -> Decision:
    """By modules that only one profile has, and by calls."""
    known = [name for name in asked if _profiles_with(name)]
    votes = [(profile, "imports", name) for name in known
             for profile in PROFILES if [profile] == _profiles_with(name)
             and not any(other.startswith(f"{name}.") for other in known)]
    votes += [vote for tree in trees for vote in _calls(tree)]
    if not votes:
        return Decision(PROFILES[0], "nothing tells the courses apart; --profile chooses")
    best, _ = Counter(profile for profile, *_ in votes).most_common(1)[0]
    return Decision(best, "; ".join(_reasons([vote[1:] for vote in votes if vote[0] == best])))


def _lacking(profile: str, trees: list[ast.Module],
             folders: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """Names that a script takes from its own copy of a module, and the profile's has not."""
    for tree in trees:
        for node in ast.walk(tree):
            if (not isinstance(node, ast.ImportFrom) or node.level
                    or node.module not in modules(profile)):
                continue
            path = _file(node.module, folders)
            theirs = {name for copy in _parsed(path or "") for name in _defined(copy)}
            ours = dir(importlib.import_module(f"{__package__}.{profile}.{node.module}"))
            yield from ((path, alias.name) for alias in node.names
                        if path and alias.name in theirs.difference(ours, ("*",)))


def _reasons(votes: list[tuple[str, ...]]) -> Iterator[str]:
    """What speaks for a profile, the first few of each kind: "imports a, b", "calls f"."""
    for verb in dict.fromkeys(verb for verb, _ in votes):
        what = dict.fromkeys(what for other, what in votes if other == verb)
        yield f"{verb} {', '.join(list(what)[:3])}"


def decide_for_script(script: str | Path) -> Decision:
    """The profile that a script needs."""
    path = Path(script)
    return decide([path.read_bytes()], path.resolve().parent)


def _parsed(source: bytes | str | Path) -> Iterator[ast.Module]:
    """The tree of a piece of code, if it is Python: errors are for the run to show."""
    try:
        yield ast.parse(source.read_bytes() if isinstance(source, Path) else source)
    except (SyntaxError, ValueError, OSError):
        return


def _with_neighbours(sources: Sequence[str | bytes],
                     folders: tuple[Path, ...]) -> Iterator[ast.Module]:
    """Trees of pieces of code, and of the files beside them that they import, but no course's."""
    waiting: list[str | bytes | Path] = list(sources)
    seen: set[Path] = set()
    while waiting:
        for tree in _parsed(waiting.pop()):
            yield tree
            for name in _imports(tree):
                path = _file(name, folders)
                course = name.partition(".")[0] in course_names() and "." in name
                if path is not None and path not in seen and not course:
                    seen.add(path)
                    waiting.append(path)


def _of_a_course(name: str, folders: tuple[Path, ...]) -> bool:
    """Whether an imported name is for a profile to answer, if only by what it lacks."""
    top, _, inside = name.partition(".")
    theirs = _file(top, folders) or any((folder / top).is_dir() for folder in folders)
    return (bool(inside) and bool(_profiles_with(name))) or (top in course_names() and not theirs)


def _profiles_with(name: str) -> list[str]:
    return [profile for profile in PROFILES if name in modules(profile)]


def _file(name: str, folders: tuple[Path, ...]) -> Path | None:
    places = (folder.joinpath(*name.split(".")) for folder in folders)
    files = (file for place in places
             for file in (place.with_suffix(".py"), place / "__init__.py"))
    return next((file for file in files if file.is_file()), None)


def _defined(tree: ast.Module) -> Iterator[str]:
    """Functions, classes and variables of a module, and what it imports by name."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _imports(tree: ast.Module) -> Iterator[str]:
    """Dotted names that may be modules: both a and a.b of ``from a import b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _calls(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Profiles that calls speak for, "calls", and what is called."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in FUNCTIONS:
            yield FUNCTIONS[name], "calls", name
        if name in LOSSES and node.args and isinstance(node.args[0], ast.Name):
            first = node.args[0].id
            if first in FIRST_ARGUMENT:
                yield FIRST_ARGUMENT[first], "calls", f"{name}({first}, …)"
        if name in OPTIMIZERS:
            yield from ((KEYWORD[keyword.arg], "calls", f"{name}({keyword.arg}=…)")
                        for keyword in node.keywords if keyword.arg in KEYWORD)


def _signature(tree: ast.Module) -> str | None:
    """The course whose losses a file defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in LOSSES and node.args.args:
            return FIRST_ARGUMENT.get(node.args.args[0].arg)
    return None
