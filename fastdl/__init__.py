"""fastdl: neural networks from NumPy arrays at the speed of the hardware.

>>> import numpy as np
>>> import fastdl as fd
>>> net = fd.Sequential(fd.layers.Linear(2, 8), fd.layers.Tanh(), fd.layers.Linear(8, 1))
>>> net.forward(np.zeros((4, 2), np.float32)).shape
(4, 1)
"""

from . import (
    backend,
    callbacks,
    cuda,
    datasets,
    errors,
    initializers,
    layers,
    losses,
    models,
    onnx,
    ops,
    optimizers,
    random,
    regularizers,
    schedules,
    search,
    transforms,
    viz,
)
from .backend import (
    get_conv_algorithm,
    get_num_threads,
    set_backend,
    set_conv_algorithm,
    set_num_threads,
    show_config,
    use_backend,
)
from .errors import (
    ArgumentError,
    BackendUnavailableError,
    CheckpointError,
    DataError,
    DeviceError,
    DTypeError,
    FastdlError,
    GraphError,
    ShapeError,
)
from .graph import training_only
from .history import History
from .layers import (
    Layer,
    add,
    concat,
    flatten,
    gelu,
    hardsigmoid,
    hardswish,
    leaky_relu,
    mean,
    multiply,
    relu,
    relu6,
    sigmoid,
    silu,
    softmax,
    tanh,
)
from .loader import DataLoader
from .module import Module, ModuleList, Sequential
from .plan import explain
from .random import seed
from .trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "ArgumentError", "BackendUnavailableError", "CheckpointError", "DTypeError", "DataError",
    "DataLoader", "DeviceError", "FastdlError", "GraphError", "History", "Layer", "Module",
    "ModuleList", "Sequential", "ShapeError", "Trainer", "add", "backend", "callbacks", "concat",
    "cuda", "datasets", "errors", "explain", "flatten", "gelu", "get_conv_algorithm",
    "get_num_threads", "hardsigmoid", "hardswish", "initializers", "layers", "leaky_relu", "losses",
    "mean", "models", "multiply", "onnx", "ops", "optimizers", "random", "regularizers", "relu",
    "relu6", "schedules", "search", "seed", "set_backend", "set_conv_algorithm", "set_num_threads",
    "show_config", "sigmoid", "silu", "softmax", "tanh", "training_only", "transforms",
    "use_backend", "viz",
]
