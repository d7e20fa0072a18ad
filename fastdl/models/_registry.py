"""The list of models that can be made by name."""

from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import ArgumentError
from ..module import Module

_models: dict[str, Callable[..., Module]] = {}

Builder = TypeVar("Builder", bound=Callable[..., Module])


def register(build: Builder) -> Builder:
    """Make `build` known under its name."""
    _models[build.__name__] = build
    return build


def names() -> list[str]:
    """The names that `create` knows."""
    return sorted(_models)


def create(name: str, **options: Any) -> Module:
    """Build the model of that name.

    Parameters
    ----------
    name : one of `names`
    options : what the model's own function takes

    Raises
    ------
    ArgumentError
        for a name that does not exist

    >>> type(create("simple_convnet", num_classes=3)).__name__
    'SimpleConvNet'
    """
    try:
        build = _models[name]
    except KeyError:
        raise ArgumentError(f"unknown model {name!r}; there are: {', '.join(names())}") from None
    return build(**options)
