"""Architectures, one file per family. `create` builds one by name, `list` gives the names."""

from ._registry import create, names
from ._registry import names as list  # noqa: A004 - the public name, as in fd.models.list()
from .deep_convnet import DeepConvNet, deep_convnet
from .mlp import mlp
from .simple_convnet import SimpleConvNet, simple_convnet

__all__ = ["DeepConvNet", "SimpleConvNet", "create", "deep_convnet", "list", "mlp", "names",
           "simple_convnet"]
