"""What a layer is: a pure pair of functions, and a thin stateful face for a learner's hands."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..cuda import to_host
from ..errors import ArgumentError, GraphError, ShapeError

# Attributes that say nothing about what a layer computes.
_OF_A_RUN = {"training", "_saved", "_grads", "_version"}


class Layer:
    """Base of all layers.

    A layer of your own is `apply` and `grad` and nothing else::

        class Square(fd.Layer):
            def apply(self, inputs, params, training):
                (x,) = inputs
                return x * x, x                     # output, what grad needs

            def grad(self, dy, saved):
                return (2 * saved * dy,), {}        # gradients of the inputs, of the parameters

    With parameters, `__init__` calls ``self.add_parameter(name, array)`` for each; `apply` finds
    them in `params` and `grad` returns their gradients under the same names.

    Called on a node, a layer joins the network that the node belongs to; called on an array, it
    runs forward. What `apply` saves belongs to the call and not to the layer, so a layer may
    appear twice in a network, and predictions may run in several threads.

    Attributes
    ----------
    params, grads, buffers : dict of arrays
        Parameters, their gradients after a backward pass, and other state that is saved with them.
    training : bool
        What `train` and `eval` set.
    """

    training = True
    _version = 0
    _saved: tuple[Any] | None = None

    # ---- the pair ----

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        """Output for `inputs`, and what `grad` needs of this call."""
        raise NotImplementedError(f"{type(self).__name__} does not define apply")

    def grad(self, dy: np.ndarray,
             saved: Any) -> tuple[tuple[np.ndarray, ...], dict[str, np.ndarray]]:
        """Gradients of the inputs, and of the parameters by name."""
        raise NotImplementedError(f"{type(self).__name__} does not define grad")

    def param_grads(self, dy: np.ndarray, saved: Any) -> dict[str, np.ndarray]:
        """Gradients of the parameters alone, where nobody needs those of the inputs.

        Layers that can save work by it (the first of a network) override this.
        """
        return self.grad(dy, saved)[1]

    def flops(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> float:
        """Additions and multiplications of a forward pass: 0 where they hardly count.

        Only products of matrices do: dense layers and convolutions.
        """
        return 0.0

    # ---- state ----

    @property
    def params(self) -> dict[str, np.ndarray]:
        """The parameters by name."""
        return self.__dict__.setdefault("_params", {})

    @property
    def buffers(self) -> dict[str, np.ndarray]:
        """State that is no parameter, by name."""
        return self.__dict__.setdefault("_buffers", {})

    @property
    def grads(self) -> dict[str, np.ndarray]:
        """Gradients of the parameters by name, after a backward pass."""
        return self.__dict__.setdefault("_grads", {})

    @property
    def version(self) -> int:
        """Counts changes of attributes such as a stride: what was planned before is stale."""
        return self._version

    def add_parameter(self, name: str, value: np.ndarray) -> None:
        """Register a parameter."""
        self.params[name] = np.ascontiguousarray(value)

    def add_buffer(self, name: str, value: np.ndarray) -> None:
        """Register state that is saved and loaded but not trained."""
        self.buffers[name] = value

    def __getattr__(self, name: str) -> Any:
        for store in ("_params", "_buffers"):
            if name in (values := self.__dict__.get(store, {})):
                return values[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        for store in ("_params", "_buffers"):
            if name in (values := self.__dict__.get(store, {})):
                write_into(values[name], value, f"{type(self).__name__}.{name}")
                return
        super().__setattr__(name, value)
        if name not in _OF_A_RUN:
            self.__dict__["_version"] = self._version + 1

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along, or a pickle: not what a run has left."""
        return {name: value for name, value in vars(self).items()
                if name not in ("_saved", "_grads")}

    def check_grads(self, grads: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What `grad` returned for the parameters, if it fits them."""
        if grads.keys() != self.params.keys():
            raise GraphError(f"{type(self).__name__}.grad: returned gradients of "
                             f"{sorted(grads) or 'nothing'}, the parameters are "
                             f"{sorted(self.params) or 'none'}")
        new = {name: np.asarray(value) for name, value in grads.items()}
        for name, value in new.items():
            if value.shape != self.params[name].shape:
                raise ShapeError(f"{type(self).__name__}.grad: the gradient of {name} must be "
                                 f"{self.params[name].shape} like {name}, got {value.shape}")
        return new

    def store_grads(self, grads: Mapping[str, np.ndarray]) -> None:
        """Write gradients into `grads`, whose arrays stay the same ones."""
        for name, value in self.check_grads(grads).items():
            kept = self.grads.get(name)
            if kept is None or kept.dtype != value.dtype:
                self.grads[name] = value.copy()     # it may be a view of what others still use
            else:
                kept[...] = value

    # ---- by hand ----

    def forward(self, *inputs: np.ndarray) -> np.ndarray:
        """Run the layer and remember what `backward` needs."""
        y, saved = self.apply(inputs, self.params, self.training)
        self._saved = (saved,)
        return y

    def backward(self, dy: np.ndarray) -> Any:
        """Gradient of the last `forward`'s input (a tuple if it had several); fills `grads`."""
        if self._saved is None:
            raise GraphError(f"{type(self).__name__}.backward: call forward first")
        dxs, grads = self.grad(dy, *self._saved)
        self.store_grads(grads)
        return dxs[0] if len(dxs) == 1 else dxs

    def __call__(self, *inputs: Any) -> Any:
        """Join a network (on nodes), or run forward (on arrays)."""
        wire = getattr(inputs[0], "wire", None) if inputs else None
        return wire(self, inputs) if wire else self.forward(*inputs)

    def train(self, mode: bool = True) -> "Layer":
        """Use training behaviour (dropout drops, batch norm takes the batch's statistics)."""
        self.training = bool(mode)
        return self

    def eval(self) -> "Layer":
        """Use inference behaviour."""
        return self.train(False)

    def computes_like(self, other: "Layer") -> bool:
        """Whether this is `other`, or one made in the same way that has nothing to learn."""
        if self is other:
            return True
        if type(self) is not type(other) or self.params or self.buffers:
            return False
        mine, its = ({name: value for name, value in vars(layer).items()
                      if name not in _OF_A_RUN} for layer in (self, other))
        try:
            return bool(mine == its)
        except ValueError:              # arrays among them
            return False

    def extra_repr(self) -> str:
        """What stands in the brackets of the representation."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"


def write_into(array: np.ndarray, value: Any, name: str) -> None:
    """Copy `value` into `array`, whose identity others rely on."""
    if value is array:
        return
    value = np.asarray(to_host(value))
    if value.shape != array.shape:
        raise ShapeError(f"{name}: expected shape {array.shape}, got {value.shape}")
    array[...] = value


def positive(layer: str, **sizes: int) -> None:
    """Raise unless every size is an integer of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise ArgumentError(f"{layer}: {name} must be an integer of at least 1, got {size!r}")
