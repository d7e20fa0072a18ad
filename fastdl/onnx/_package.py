"""The package onnx, imported when it is needed first."""

from typing import Any


def onnx_package(who: str) -> Any:
    """The package; an ImportError that says how to have it."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError(f"{who} needs the package onnx: pip install 'fastdl[onnx]'") from error
    return onnx
