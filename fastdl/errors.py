"""Every error that fastdl raises on purpose.

All derive from `FastdlError` and from the built-in exception that a user would catch.
A message names the operation, the argument, what it got and what it expected.
"""


class FastdlError(Exception):
    """Base of all errors of fastdl."""


class ShapeError(FastdlError, ValueError):
    """An array has the wrong rank or the wrong size."""


class ArgumentError(FastdlError, ValueError):
    """An option has a value that makes no sense here (stride 0, an unknown name, …)."""


class DTypeError(FastdlError, TypeError):
    """An array has a dtype that the operation does not take, or two that do not agree."""


class BackendUnavailableError(FastdlError, RuntimeError):
    """A backend that was asked for by name cannot run this operation here."""


class GraphError(FastdlError, RuntimeError):
    """A network cannot be traced, or is run in the wrong order (backward before forward)."""


class DataError(FastdlError, OSError):
    """A data set's file is missing, truncated or not what its name says."""


class CheckpointError(FastdlError, OSError):
    """A saved model or training state cannot be read, or does not fit the network."""


class CourseImportError(FastdlError, ModuleNotFoundError):
    """A script imports from a course's package what neither fastdl nor the script's folder has."""
