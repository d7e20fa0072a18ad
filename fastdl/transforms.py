"""Transforms of batches of images: augmentation and normalisation, with torchvision's names.

A transform is any callable ``(images, generator) -> images``: images (N, C, H, W), and the NumPy
generator that it draws from. Those here put off their work: a crop, a flip and a normalisation that
follow one another become one pass over memory (`fastdl.ops.crop_mirror_normalize`), which reads a
batch's images where they lie in the data set and writes them where they are wanted.

uint8 images become float32 in [0, 1]; floating images keep their dtype.

>>> import numpy as np
>>> import fastdl as fd
>>> augment = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip(),
...                    Normalize((0.49, 0.48, 0.45), (0.25, 0.24, 0.26))])
>>> images = np.zeros((8, 3, 32, 32), np.uint8)
>>> augment(images, np.random.default_rng(0)).dtype
dtype('float32')
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from . import ops, random
from .errors import ArgumentError, ShapeError
from .ops._arrays import Pair, pair

__all__ = ["Batch", "Compose", "Normalize", "RandomCrop", "RandomHorizontalFlip", "Transform",
           "extend"]

# In quotes, so that numpy.random is imported when random numbers are wanted.
AnyTransform: TypeAlias = "Callable[[np.ndarray, np.random.Generator], np.ndarray]"


class Batch:
    """The samples ``x[rows]``, and what is to be done to them once they are asked for.

    Each method returns the batch that has its work added: this one, or a new one where it would
    not fit into one pass.
    """

    def __init__(self, x: np.ndarray, rows: np.ndarray | None = None) -> None:
        self.x, self.rows = x, rows                 # None: all of them
        self.count = len(x if rows is None else rows)
        self.is_untouched, self.is_cropped = True, False
        self.size = x.shape[2:]
        self.top: Any = 0                           # these three: for all, or one for each image
        self.left: Any = 0
        self.mirrored: Any = False
        self.scale = np.array(1 / 255 if x.dtype == np.uint8 else 1)
        self.shift = np.array(-0.0)                 # added to -0.0 it is -0.0
        self.fill = np.array(0.0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        return (self.count, *self.x.shape[1:2], *self.size)

    @property
    def dtype(self) -> np.dtype:
        """Its dtype."""
        is_float = self.is_untouched or self.x.dtype.kind == "f"
        return self.x.dtype if is_float else np.dtype(np.float32)

    def crop(self, top: np.ndarray, left: np.ndarray, size: tuple[int, int], fill: float) -> Batch:
        """Windows of `size` from (top, left) on; `fill` is what lies outside of an image."""
        if self.is_cropped:                         # the edge that it sees is not the image's own
            return Batch(self.images()).crop(top, left, size, fill)
        self.is_untouched, self.is_cropped = False, True
        self.top = top
        self.left = np.where(self.mirrored, self.size[1] - size[1] - left, left)
        self.size, self.fill = size, np.array(float(fill))
        return self

    def mirror(self, which: np.ndarray) -> Batch:
        """Columns in reverse order, in `which` of the images."""
        self.is_untouched = False
        self.mirrored = self.mirrored ^ which
        return self

    def normalize(self, mean: np.ndarray, std: np.ndarray) -> Batch:
        """``(images - mean) / std``, by channel."""
        self.is_untouched = False
        self.scale, self.shift = self.scale / std, (self.shift - mean) / std
        self.fill = (self.fill - mean) / std
        return self

    def images(self, out: np.ndarray | None = None) -> np.ndarray:
        """The result, in `out` or in a new array; never a view of `x`."""
        if not self.is_untouched:
            return ops.crop_mirror_normalize(
                self.x, self.rows, size=self.size, top=self.top, left=self.left,
                mirror=self.mirrored, scale=self.scale, shift=self.shift, fill=self.fill, out=out)
        if out is None:
            out = np.empty(self.shape, self.dtype)
        if (self.rows is not None and out.dtype == self.x.dtype and out.flags.c_contiguous
                and self.x.flags.c_contiguous):
            # Without "clip", NumPy would write into an array of its own first.
            return np.take(self.x, self.rows, axis=0, out=out, mode="clip")
        np.copyto(out, self.x if self.rows is None else self.x[self.rows], casting="same_kind")
        return out


def extend(transform: AnyTransform, batch: Batch, generator: np.random.Generator) -> Batch:
    """`batch` with the work of a transform added; one of the user's own is called at once."""
    if isinstance(transform, Transform):
        return transform.extend(batch, generator)
    images = np.asarray(transform(batch.images(), generator))
    if images.shape[:1] != (batch.count,):
        raise ShapeError(f"transform {_name(transform)}: returned an array {images.shape} for "
                         f"{batch.count} images")
    return Batch(images)


def _name(transform: AnyTransform) -> str:
    return getattr(transform, "__name__", type(transform).__name__)


class Transform:
    """Base of the transforms here. One of your own need not derive from it."""

    def __call__(self, images: Any, generator: np.random.Generator | None = None, *,
                 out: np.ndarray | None = None) -> np.ndarray:
        """Transform a batch.

        Parameters
        ----------
        images : (N, C, H, W), uint8 or floating
        generator : what random transforms draw from; `fastdl.random.generator()` unless given
        out : where to write the result: C-contiguous, or channels-last

        Returns
        -------
        (N, C, H', W')
            `out`, or a new array
        """
        generator = random.generator() if generator is None else generator
        return self.extend(Batch(np.asarray(images)), generator).images(out)

    def extend(self, batch: Batch, generator: np.random.Generator) -> Batch:
        """`batch` with the work of this transform added."""
        raise NotImplementedError

    def _image_shape(self, batch: Batch) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        if batch.x.ndim != 4:
            raise ShapeError(f"{type(self).__name__}: images must be (N, C, H, W), got "
                             f"{batch.shape}")
        C, H, W = batch.shape[1:]
        return C, H, W


class Compose(Transform):
    """One transform after another; each may be any callable ``(images, generator) -> images``."""

    def __init__(self, transforms: Sequence[AnyTransform]) -> None:
        self.transforms = list(transforms)
        for transform in self.transforms:
            if not callable(transform):
                raise ArgumentError("Compose: a transform must be callable, got "
                                    f"{type(transform).__name__}")

    def extend(self, batch: Batch, generator: np.random.Generator) -> Batch:
        for transform in self.transforms:
            batch = extend(transform, batch, generator)
        return batch

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


class Normalize(Transform):
    """``(images - mean) / std``.

    Parameters
    ----------
    mean, std : one number, or one for each channel
        Of images in [0, 1], when they come as uint8.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean, self.std = (np.atleast_1d(np.asarray(value, float)) for value in (mean, std))
        if self.mean.ndim != 1 or self.std.ndim != 1 or not (self.std > 0).all():
            raise ArgumentError("Normalize: mean and std must be numbers, or one for each channel, "
                                f"std above 0, got mean {mean!r}, std {std!r}")

    def extend(self, batch: Batch, generator: np.random.Generator) -> Batch:
        C = self._image_shape(batch)[0]
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, C):
                raise ShapeError(f"Normalize: {name} is for {len(values)} channels, images have "
                                 f"{C}: {batch.shape}")
        return batch.normalize(self.mean, self.std)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean.tolist()}, std={self.std.tolist()})"


class RandomCrop(Transform):
    """A window of each image, at a random place.

    Parameters
    ----------
    size : height and width, or one number for both
    padding : how far the window may reach beyond each edge
    fill : the value there, in the units of the images as they come (of [0, 1] for uint8)
    """

    def __init__(self, size: Pair, padding: int = 0, fill: float = 0) -> None:
        self.size = pair("RandomCrop", "size", size, 1)
        if not isinstance(padding, int | np.integer) or padding < 0:
            raise ArgumentError("RandomCrop: padding must be an integer of at least 0, got "
                                f"{padding!r}")
        self.padding, self.fill = padding, fill

    def extend(self, batch: Batch, generator: np.random.Generator) -> Batch:
        image = self._image_shape(batch)[1:]
        room = [n + 2 * self.padding - m for n, m in zip(image, self.size, strict=True)]
        if min(room) < 0:
            raise ShapeError(f"RandomCrop: size {self.size} is larger than the images {image} "
                             f"with padding {self.padding}")
        top, left = (generator.integers(0, n, batch.count, endpoint=True) - self.padding
                     for n in room)
        return batch.crop(top, left, self.size, self.fill)

    def __repr__(self) -> str:
        return f"RandomCrop({self.size}, padding={self.padding}, fill={self.fill})"


class RandomHorizontalFlip(Transform):
    """Each image is mirrored left to right with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"RandomHorizontalFlip: p must be in [0, 1], got {p!r}")
        self.p = p

    def extend(self, batch: Batch, generator: np.random.Generator) -> Batch:
        self._image_shape(batch)
        return batch.mirror(generator.random(batch.count) < self.p)

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip({self.p})"
