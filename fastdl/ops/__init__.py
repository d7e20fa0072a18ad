"""The operations on NumPy arrays: each validates its arguments, allocates, and dispatches.

Every function takes ``backend=`` (see `fastdl.use_backend`). Inputs are never changed, unless the
docstring says so. Errors are raised before any kernel runs.
"""

from .activation import (
    gelu,
    gelu_backward,
    hardsigmoid,
    hardsigmoid_backward,
    hardswish,
    hardswish_backward,
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu6,
    relu6_backward,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    silu,
    silu_backward,
    softmax,
    softmax_backward,
    tanh,
    tanh_backward,
)
from .batchnorm import batch_norm, batch_norm_backward
from .conv import conv2d, conv2d_backward
from .conv_nd import (
    conv1d,
    conv1d_backward,
    conv3d,
    conv3d_backward,
    conv_transpose1d,
    conv_transpose1d_backward,
    conv_transpose2d,
    conv_transpose2d_backward,
    conv_transpose3d,
    conv_transpose3d_backward,
)
from .dropout import dropout, dropout_backward
from .gemm import gemm, linear, linear_backward
from .groupnorm import group_norm, group_norm_backward, layer_norm, layer_norm_backward
from .im2col import col2im, im2col
from .image import crop_mirror_normalize
from .join import add, concat, multiply, multiply_backward, split
from .layout import to_channels_last, to_planes
from .loss import (
    binary_cross_entropy,
    binary_cross_entropy_backward,
    cross_entropy,
    cross_entropy_backward,
    mse,
    mse_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_with_gradient,
)
from .lrn import local_response_norm, local_response_norm_backward
from .optimizer import (
    adadelta_update,
    adagrad_update,
    adam_update,
    adamw_update,
    momentum_update,
    nadam_update,
    nesterov_update,
    rmsprop_update,
    sgd_update,
)
from .pad import pad, pad_backward
from .pool import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    global_max_pool2d,
    global_max_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)
from .pool_nd import (
    avg_pool1d,
    avg_pool1d_backward,
    avg_pool3d,
    avg_pool3d_backward,
    max_pool1d,
    max_pool1d_backward,
    max_pool3d,
    max_pool3d_backward,
)
from .resize import (
    adaptive_avg_pool,
    adaptive_avg_pool_backward,
    adaptive_max_pool,
    adaptive_max_pool_backward,
    interpolate,
    interpolate_backward,
)

__all__ = [
    "adadelta_update", "adagrad_update", "adam_update", "adamw_update", "adaptive_avg_pool",
    "adaptive_avg_pool_backward", "adaptive_max_pool", "adaptive_max_pool_backward", "add",
    "avg_pool1d", "avg_pool1d_backward", "avg_pool2d", "avg_pool2d_backward", "avg_pool3d",
    "avg_pool3d_backward", "batch_norm", "batch_norm_backward", "binary_cross_entropy",
    "binary_cross_entropy_backward", "col2im", "concat", "conv1d", "conv1d_backward", "conv2d",
    "conv2d_backward", "conv3d", "conv3d_backward", "conv_transpose1d",
    "conv_transpose1d_backward", "conv_transpose2d", "conv_transpose2d_backward",
    "conv_transpose3d", "conv_transpose3d_backward", "crop_mirror_normalize", "cross_entropy",
    "cross_entropy_backward", "dropout", "dropout_backward", "gelu", "gelu_backward", "gemm",
    "global_avg_pool2d", "global_avg_pool2d_backward", "global_max_pool2d",
    "global_max_pool2d_backward", "group_norm", "group_norm_backward", "hardsigmoid",
    "hardsigmoid_backward", "hardswish", "hardswish_backward", "im2col", "interpolate",
    "interpolate_backward", "layer_norm", "layer_norm_backward", "leaky_relu",
    "leaky_relu_backward", "linear", "linear_backward", "local_response_norm",
    "local_response_norm_backward", "max_pool1d", "max_pool1d_backward", "max_pool2d",
    "max_pool2d_backward", "max_pool3d", "max_pool3d_backward", "momentum_update", "mse",
    "mse_backward", "multiply", "multiply_backward", "nadam_update", "nesterov_update", "pad",
    "pad_backward", "relu", "relu6", "relu6_backward", "relu_backward", "rmsprop_update",
    "sgd_update", "sigmoid", "sigmoid_backward", "silu", "silu_backward", "softmax",
    "softmax_backward", "softmax_cross_entropy", "softmax_cross_entropy_backward",
    "softmax_cross_entropy_with_gradient", "split", "tanh", "tanh_backward", "to_channels_last",
    "to_planes",
]
