"""MNIST; its files are found, or downloaded, as `fastdl.datasets` says."""

from ...engine.mnist import *  # noqa: F403
from ...engine.mnist import __all__ as __all__
