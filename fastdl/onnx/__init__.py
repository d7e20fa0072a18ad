"""ONNX, the exchange format of other frameworks: `export` writes a network, `load` reads one.

Both need the package onnx: ``pip install 'fastdl[onnx]'``.
"""

from ._export import export
from ._load import OnnxModel, load

__all__ = ["OnnxModel", "export", "load"]
