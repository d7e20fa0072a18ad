"""THE list of implementations: what there is, and in which order ``auto`` tries it.

Strings only: nothing is imported from here until a kernel is chosen. To add a backend, add a
row to `BACKENDS` and write its module beside each reference; to add an operation, add a row to
`OPERATIONS` and a folder (see README.md).
"""

from typing import NamedTuple


class Backend(NamedTuple):
    """One way to run a kernel, found as ``fastdl/_kernels/<folder>/<module>``."""

    name: str
    module: str
    device: str                     # of the arrays it takes
    dtypes: tuple[str, ...]         # of the arrays it computes with
    remedy: str                     # what to do when its module cannot be imported


class Operation(NamedTuple):
    """What a user selects a backend for: a kernel and those of its backward passes."""

    folder: str
    kernels: tuple[str, ...]


BACKENDS = (
    Backend("cython", "_cython", "cpu", ("float32", "float64"),
            "install a wheel, or build fastdl where there is a C compiler"),
    Backend("numba", "_numba", "cpu", ("float32", "float64"),
            "pip install 'fastdl[numba]'"),
    Backend("cuda", "_cuda", "cuda", ("float32",),
            "pip install 'fastdl[cuda]'"),
    Backend("reference", "reference", "cpu", ("float16", "float32", "float64"),
            "reinstall fastdl"),
)

OPERATIONS = {
    "copy_maps": Operation("layout", ("copy_maps",)),
    "add": Operation("join", ("add",)),
    "multiply": Operation("join", ("multiply",)),
    "scale_maps": Operation("join", ("scale_maps", "scale_maps_backward")),
    "copy_matrix": Operation("join", ("copy_matrix",)),
    "im2col": Operation("im2col", ("im2col",)),
    "col2im": Operation("im2col", ("col2im",)),
    "gemm": Operation("gemm", ("gemm", "column_sums")),
    "conv2d": Operation("conv", (
        "conv2d", "conv2d_max_pool2d", "conv2d_backward_input", "conv2d_backward_weight")),
    "max_pool2d": Operation("pool", ("max_pool2d", "max_pool2d_backward")),
    "avg_pool2d": Operation("pool", ("avg_pool2d", "avg_pool2d_backward")),
    "global_avg_pool2d": Operation("pool", ("global_avg_pool2d", "global_avg_pool2d_backward")),
    "global_max_pool2d": Operation("pool", ("global_max_pool2d", "global_max_pool2d_backward")),
    "batch_norm": Operation("batchnorm", (
        "batch_norm", "batch_norm_inference", "batch_norm_backward")),
    "group_norm": Operation("groupnorm", ("group_norm", "group_norm_backward")),
    "local_response_norm": Operation("lrn", (
        "local_response_norm", "local_response_norm_backward")),
    "relu": Operation("activation", ("relu", "relu_backward")),
    "relu6": Operation("activation", ("relu6", "relu6_backward")),
    "leaky_relu": Operation("activation", ("leaky_relu", "leaky_relu_backward")),
    "sigmoid": Operation("activation", ("sigmoid", "sigmoid_backward")),
    "tanh": Operation("activation", ("tanh", "tanh_backward")),
    "silu": Operation("activation", ("silu", "silu_backward")),
    "hardsigmoid": Operation("activation", ("hardsigmoid", "hardsigmoid_backward")),
    "hardswish": Operation("activation", ("hardswish", "hardswish_backward")),
    "gelu": Operation("activation", ("gelu", "gelu_backward")),
    "gelu_tanh": Operation("activation", ("gelu_tanh", "gelu_tanh_backward")),
    "softmax": Operation("activation", ("softmax", "softmax_backward")),
    "softmax_cross_entropy": Operation("loss", (
        "softmax_cross_entropy", "softmax_cross_entropy_backward",
        "softmax_cross_entropy_with_gradient",
        "softmax_cross_entropy_dense", "softmax_cross_entropy_dense_backward",
        "softmax_cross_entropy_dense_with_gradient")),
    "cross_entropy": Operation("loss", ("cross_entropy", "cross_entropy_backward")),
    "mse": Operation("loss", ("mse", "mse_backward")),
    "binary_cross_entropy": Operation("loss", (
        "binary_cross_entropy", "binary_cross_entropy_backward")),
    "dropout": Operation("dropout", ("dropout",)),
    "crop_mirror_normalize": Operation("image", ("crop_mirror_normalize",)),
    "sgd_update": Operation("optimizer", ("sgd_update",)),
    "momentum_update": Operation("optimizer", ("momentum_update",)),
    "nesterov_update": Operation("optimizer", ("nesterov_update",)),
    "adagrad_update": Operation("optimizer", ("adagrad_update",)),
    "adadelta_update": Operation("optimizer", ("adadelta_update",)),
    "rmsprop_update": Operation("optimizer", ("rmsprop_update",)),
    "adam_update": Operation("optimizer", ("adam_update",)),
    "adamw_update": Operation("optimizer", ("adamw_update",)),
    "nadam_update": Operation("optimizer", ("nadam_update",)),
}
