"""A network as an ONNX file: each layer becomes an operator or a few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, TypeAlias

import numpy as np

from .. import files, layers
from ..errors import ArgumentError, GraphError
from ..layers.layer import Layer
from ..module import Module
from ..ops._arrays import integers
from ..summary import shapes_of, zeros_of
from ._package import onnx_package

OPSET = 21             # the first whose group normalisation is that of Wu & He

Shape: TypeAlias = tuple[int, ...]


def export(net: Module, path: str | PathLike[str], shape: Any) -> None:
    """Write a network, as it is in inference, to an ONNX file.

    Weights keep their names. The number of samples is left open, all other sizes are fixed.

    Parameters
    ----------
    net : Module
    path : file to write, ``.onnx`` as a rule
    shape : of a batch of inputs, such as (1, 3, 224, 224); a list of shapes for several inputs

    Raises
    ------
    GraphError
        when a layer has no counterpart in ONNX; it says which
    ImportError
        without the package onnx

    >>> import fastdl as fd
    >>> net = fd.models.create("resnet18", num_classes=10)
    >>> export(net, "resnet18.onnx", (1, 3, 64, 64))  # doctest: +SKIP
    """
    onnx = onnx_package("onnx.export")
    helper, graph = onnx.helper, net.inference_graph
    xs = zeros_of("onnx.export", net, shape)
    seen = shapes_of(graph, xs)
    paths = {layer: layer_path for layer_path, layer in net.named_layers()}
    writer = _Writer(helper, paths, xs[0].dtype)
    names = {node: f"input{i or ''}" for i, node in enumerate(graph.inputs)}
    outputs = [f"output{i or ''}" for i, _ in enumerate(graph.outputs)]
    for node, layer in graph.steps:
        shapes = [seen[source.index][0] for source in node.inputs]
        names[node] = writer.convert(node.index, layer, [names[n] for n in node.inputs], shapes)
    for name, node in zip(outputs, graph.outputs, strict=True):
        writer.nodes.append(helper.make_node("Identity", [names[node]], [name]))

    def info(name: str, what: tuple[Shape, np.dtype]) -> Any:
        return helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(what[1]), ["N", *what[0][1:]])

    model = helper.make_model(
        helper.make_graph(
            writer.nodes, type(net).__name__,
            [info(names[node], seen[node.index]) for node in graph.inputs],
            [info(name, seen[node.index]) for name, node in zip(outputs, graph.outputs,
                                                                strict=True)],
            [onnx.numpy_helper.from_array(array, name)
             for name, array in writer.constants.items()]),
        producer_name="fastdl", ir_version=10,
        opset_imports=[helper.make_opsetid("", OPSET)])
    with files.replacing(path) as file:
        file.write(model.SerializeToString())


class _Writer:
    """Nodes and constants of a file, as they come.

    Attributes
    ----------
    nodes : list
        Operators in their order.
    constants : dict of arrays
        Parameters and buffers, under the names of the state dict.
    """

    def __init__(self, helper: Any, paths: dict[Layer, str], dtype: np.dtype) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self._helper, self._paths, self._dtype = helper, paths, dtype
        self._count = 0

    def convert(self, index: int, layer: Layer, inputs: Sequence[str],
                shapes: Sequence[Shape]) -> str:
        """Add the operators of a layer; returns the name of its output."""
        for kind in type(layer).__mro__:
            if kind in _CONVERTERS:
                self._name = f"{index}_{self._paths.get(layer, type(layer).__name__.lower())}"
                return _CONVERTERS[kind](self, layer, list(inputs), list(shapes))
        raise GraphError(f"onnx.export: {layer!r} has no counterpart in ONNX")

    def add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add an operator; returns the name of its output."""
        self._count += 1
        output = f"{self._name}_{operator}_{self._count}"
        self.nodes.append(self._helper.make_node(operator, inputs, [output], output,
                                                 **attributes))
        return output

    def parameters(self, layer: Layer, *names: str) -> list[str]:
        """The names of a layer's arrays in the file; those that it does not have are left out."""
        arrays = {**layer.params, **layer.buffers}
        return [self.constant(f"{self._paths[layer]}.{name}", arrays[name])
                for name in names if name in arrays]

    def number(self, value: float) -> str:
        """A number in the dtype of the network."""
        return self.constant(f"number {value:g}", np.full((), value, self._dtype))

    def filled(self, name: str, value: float, shape: Shape) -> str:
        """An array of one number in that dtype."""
        return self.constant(f"{name} {shape}", np.full(shape, value, self._dtype))

    def row(self, values: Any) -> str:
        """A row of whole numbers."""
        numbers = np.asarray(values, np.int64)
        return self.constant(f"row {numbers.tolist()}", numbers)

    def constant(self, name: str, array: Any) -> str:
        """An array of the file."""
        self.constants[name] = np.asarray(array)
        return name


Converter: TypeAlias = Callable[[_Writer, Any, list[str], list[Shape]], str]
_CONVERTERS: dict[type[Layer], Converter] = {}


def _converts(*kinds: type[Layer]) -> Callable[[Converter], Converter]:
    def register(converter: Converter) -> Converter:
        _CONVERTERS.update(dict.fromkeys(kinds, converter))
        return converter

    return register


def _operator(name: str, **attributes: Any) -> Converter:
    """A layer that is one operator without parameters."""
    return lambda writer, layer, xs, shapes: writer.add(name, xs, **attributes)


_CONVERTERS.update({
    layers.ReLU: _operator("Relu"), layers.Sigmoid: _operator("Sigmoid"),
    layers.Tanh: _operator("Tanh"), layers.Hardswish: _operator("HardSwish"),
    layers.Hardsigmoid: _operator("HardSigmoid", alpha=1 / 6, beta=0.5),
    layers.Flatten: _operator("Flatten", axis=1),
    layers.Add: _operator("Sum"), layers.Mean: _operator("Mean"),
    layers.Multiply: _operator("Mul"), layers.DropPath: _operator("Mean"),
    layers.ShakeShake: _operator("Mean"), layers.Dropout: _operator("Identity"),
    layers.StochasticDepth: _operator("Identity")})
_converts(layers.GlobalAvgPool1d, layers.GlobalAvgPool2d, layers.GlobalAvgPool3d)(
    _operator("GlobalAveragePool"))
_converts(layers.GlobalMaxPool1d, layers.GlobalMaxPool2d, layers.GlobalMaxPool3d)(
    _operator("GlobalMaxPool"))


@_converts(layers.ReLU6)
def _relu6(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    return writer.add("Clip", [*xs, writer.number(0), writer.number(6)])


@_converts(layers.LeakyReLU)
def _leaky_relu(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    return writer.add("LeakyRelu", xs, alpha=layer.negative_slope)


@_converts(layers.SiLU)
def _silu(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    return writer.add("Mul", [*xs, writer.add("Sigmoid", xs)])


@_converts(layers.GELU)
def _gelu(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    return writer.add("Gelu", xs, approximate=layer.approximate)


@_converts(layers.Softmax)
def _softmax(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    return writer.add("Softmax", xs, axis=layer.dim)


@_converts(layers.Concat)
def _concat(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    return writer.add("Concat", xs, axis=layer.axis)


@_converts(layers.ShakeDrop)
def _shake_drop(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    return _times(writer, xs[0], 1 - layer.p + layer.p * sum(layer.alpha) / 2)


@_converts(layers.Swapout)
def _swapout(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    return writer.add("Sum", [_times(writer, xs[0], 1 - layer.p1),
                              _times(writer, xs[1], 1 - layer.p2)])


def _times(writer: _Writer, x: str, factor: float) -> str:
    return writer.add("Mul", [x, writer.number(factor)])


@_converts(layers.LocalResponseNorm)
def _local_response_norm(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    if layer.size % 2 == 0:
        raise GraphError(f"onnx.export: {layer!r}: ONNX has as many neighbours on both sides")
    return writer.add("LRN", xs, size=layer.size, alpha=layer.alpha, beta=layer.beta,
                      bias=layer.k)


@_converts(layers.Conv1d, layers.Conv2d, layers.Conv3d)
def _conv(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    padding = layer.padding
    if layer.padding_mode != "zeros":           # others have an operator of their own
        xs = [_padded(writer, xs[0], padding * 2, layer.padding_mode)]
        padding = (0,) * len(padding)
    return writer.add("Conv", [*xs, *writer.parameters(layer, "weight", "bias")],
                      kernel_shape=layer.kernel_size, strides=layer.stride,
                      pads=padding * 2, dilations=layer.dilation, group=layer.groups)


@_converts(layers.ConvTranspose1d, layers.ConvTranspose2d, layers.ConvTranspose3d)
def _conv_transpose(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    return writer.add("ConvTranspose", [*xs, *writer.parameters(layer, "weight", "bias")],
                      kernel_shape=layer.kernel_size, strides=layer.stride,
                      pads=layer.padding * 2, dilations=layer.dilation, group=layer.groups,
                      output_padding=layer.output_padding)


@_converts(layers.Linear)
def _linear(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    if len(shapes[0]) == 2:
        return writer.add("Gemm", [*xs, *writer.parameters(layer, "weight", "bias")], transB=1)
    (weight, *bias) = writer.parameters(layer, "weight", "bias")
    y = writer.add("MatMul", [*xs, writer.add("Transpose", [weight])])
    return writer.add("Add", [y, *bias]) if bias else y


@_converts(layers.BatchNorm1d, layers.BatchNorm2d, layers.BatchNorm3d)
def _batch_norm(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    if "running_mean" not in layer.buffers:
        raise GraphError(f"onnx.export: {layer!r} has no running statistics, without which "
                         "ONNX has no batch norm in inference")
    xs += _scale_and_shift(writer, layer, len(layer.buffers["running_var"]))
    xs += writer.parameters(layer, "running_mean", "running_var")
    return writer.add("BatchNormalization", xs, epsilon=layer.eps)


def _scale_and_shift(writer: _Writer, layer: Any, *shape: int) -> list[str]:
    """The names of weight and bias, or of ones and zeros."""
    return writer.parameters(layer, "weight", "bias") or [
        writer.filled("ones", 1, shape), writer.filled("zeros", 0, shape)]


@_converts(layers.LayerNorm)
def _layer_norm(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    xs += _scale_and_shift(writer, layer, *layer.normalized_shape)
    return writer.add("LayerNormalization", xs, axis=-len(layer.normalized_shape),
                      epsilon=layer.eps)


@_converts(layers.GroupNorm)
def _group_norm(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    xs += _scale_and_shift(writer, layer, layer.num_channels)
    return writer.add("GroupNormalization", xs, num_groups=layer.num_groups, epsilon=layer.eps)


@_converts(layers.InstanceNorm1d, layers.InstanceNorm2d, layers.InstanceNorm3d)
def _instance_norm(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    if "running_mean" in layer.buffers:         # which is what it uses in inference
        return _batch_norm(writer, layer, xs, shapes)
    xs += _scale_and_shift(writer, layer, layer.num_channels)
    return writer.add("InstanceNormalization", xs, epsilon=layer.eps)


@_converts(layers.ZeroPad2d, layers.ConstantPad2d, layers.ReflectionPad2d,
           layers.ReplicationPad2d)
def _pad(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    left, right, top, bottom = layer.padding
    return _padded(writer, xs[0], (top, left, bottom, right), layer.mode, layer.value)


def _padded(writer: _Writer, x: str, sides: Sequence[int], mode: str, value: float = 0) -> str:
    """`x` with so much before, then so much behind, in each spatial dimension."""
    half = len(sides) // 2
    pads = writer.row((0, 0, *sides[:half], 0, 0, *sides[half:]))
    return writer.add("Pad", [x, pads, writer.number(value)],
                      mode={"reflect": "reflect", "replicate": "edge"}.get(mode, "constant"))


@_converts(layers.Upsample)
def _upsample(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    dims = len(shapes[0]) - 2
    if layer.size is None:
        factors = np.broadcast_to(np.asarray(layer.scale_factor, np.float32), dims)
        xs += ["", writer.constant(f"factors {factors.tolist()}", factors)]
    else:
        xs += ["", "", writer.row(np.broadcast_to(layer.size, dims))]
    options = {"mode": "nearest", "nearest_mode": "floor",
               "coordinate_transformation_mode": "asymmetric"} if layer.mode == "nearest" else {
        "mode": "linear", "coordinate_transformation_mode":
            "align_corners" if layer.align_corners else "half_pixel"}
    return writer.add("Resize", xs, axes=range(2, 2 + dims), **options)


def _window(layer: Any, shape: Shape) -> dict[str, Any]:
    """What pools have; windows that reach past the end become padding, which ONNX is clear on."""
    size, stride, padding = (
        integers(type(layer).__name__, name, getattr(layer, name), 0, len(shape) - 2)
        for name in ("kernel_size", "stride", "padding"))
    ends = list(padding)
    if layer.ceil_mode:
        for i, n in enumerate(shape[2:]):
            last = -(-(n + 2 * padding[i] - size[i]) // stride[i])      # of the windows
            if last * stride[i] >= n + padding[i]:      # it would begin behind the map
                last -= 1
            ends[i] = max(padding[i], last * stride[i] + size[i] - n - padding[i])
    return {"kernel_shape": size, "strides": stride, "pads": [*padding, *ends]}


@_converts(layers.MaxPool1d, layers.MaxPool2d, layers.MaxPool3d)
def _max_pool(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    return writer.add("MaxPool", xs, **_window(layer, shapes[0]))


@_converts(layers.AvgPool1d, layers.AvgPool2d, layers.AvgPool3d)
def _avg_pool(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    window, include = _window(layer, shapes[0]), layer.count_include_pad
    half = len(window["pads"]) // 2
    if include and window["pads"][:half] != window["pads"][half:]:
        raise GraphError(f"onnx.export: {layer!r} counts its padding, and has windows that reach "
                         "past it: ONNX has no such pool")
    return writer.add("AveragePool", xs, **window, count_include_pad=int(include))


@_converts(layers.AdaptiveAvgPool1d, layers.AdaptiveAvgPool2d, layers.AdaptiveAvgPool3d)
def _adaptive_avg_pool(writer: _Writer, layer: Any, xs: list[str], shapes: list[Shape]) -> str:
    out = integers(type(layer).__name__, "output_size", layer.output_size, 1, len(shapes[0]) - 2)
    if any(n % m for n, m in zip(shapes[0][2:], out, strict=True)):
        raise ArgumentError(f"onnx.export: {layer!r} of maps of {shapes[0][2:]}: ONNX has pools of "
                            "equal windows only")
    size = [n // m for n, m in zip(shapes[0][2:], out, strict=True)]
    if set(size) == {1}:
        return xs[0]
    return writer.add("AveragePool", xs, kernel_shape=size, strides=size)
