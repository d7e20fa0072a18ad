"""Transforms of batches of images: augmentation and normalisation, with torchvision's names.

A transform is any callable ``(images, generator) -> images``: images (N, C, H, W), and the NumPy
generator that it draws from. Those here put off their work: a crop, a flip and a normalisation that
follow one another become one pass over memory (`fastdl.ops.crop_mirror_normalize`), which reads a
batch's images where they lie in the data set and writes them where they are wanted.

uint8 images become float32 in [0, 1]; floating images keep their dtype. Rotations, colours and
erased rectangles take a pass over memory each.

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

__all__ = ["Batch", "ColorJitter", "Compose", "Cutout", "Mixup", "Normalize", "RandomAffine",
           "RandomCrop", "RandomErasing", "RandomHorizontalFlip", "RandomRotation", "Transform",
           "extend"]

# In quotes, so that numpy.random is imported when random numbers are wanted.
AnyTransform: TypeAlias = "Callable[[np.ndarray, np.random.Generator], np.ndarray]"
Mix: TypeAlias = ("Callable[[np.ndarray, np.ndarray, np.random.Generator], "
                  "tuple[np.ndarray, np.ndarray]]")


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


class _OwnPass(Transform):
    """Base of those that change an array of images of their own."""

    def extend(self, batch: Batch, generator: np.random.Generator) -> Batch:
        self._image_shape(batch)
        batch.is_untouched = False                  # uint8 becomes float
        return Batch(self.changed(batch.images(), generator))

    def changed(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The result; `images` may be written into."""
        raise NotImplementedError


def _span(name: str, what: str, value: float | Sequence[float]) -> tuple[float, float]:
    """Two limits, or ±value."""
    limits = (-value, value) if isinstance(value, int | float) else tuple(value)
    if len(limits) != 2 or not limits[0] <= limits[1]:
        raise ArgumentError(f"{name}: {what} must be a number of at least 0 or (low, high), got "
                            f"{value!r}")
    return float(limits[0]), float(limits[1])


class RandomAffine(_OwnPass):
    """Each image rotated, shifted and scaled, about its centre.

    Parameters
    ----------
    degrees : range of the angle, counter-clockwise: (low, high), or one number for ±it
    translate : largest shifts, as shares of width and height; None for none
    scale : range of the factor; None for 1
    interpolation : "nearest" or "bilinear"
    fill : the value outside of an image
    """

    def __init__(self, degrees: float | Sequence[float],
                 translate: Sequence[float] | None = None, scale: Sequence[float] | None = None,
                 interpolation: str = "nearest", fill: float = 0) -> None:
        name = type(self).__name__
        self.degrees = _span(name, "degrees", degrees)
        self.translate = (0.0, 0.0) if translate is None else tuple(translate)
        self.scale = (1.0, 1.0) if scale is None else _span(name, "scale", scale)
        if len(self.translate) != 2 or not all(0 <= share <= 1 for share in self.translate):
            raise ArgumentError(f"{name}: translate must be two shares from 0 to 1, got "
                                f"{translate!r}")
        if self.scale[0] <= 0:
            raise ArgumentError(f"{name}: scale must be above 0, got {scale!r}")
        if interpolation not in ("nearest", "bilinear"):
            raise ArgumentError(f"{name}: interpolation must be 'nearest' or 'bilinear', got "
                                f"{interpolation!r}")
        self.interpolation, self.fill = interpolation, fill

    def changed(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        N, _, H, W = images.shape
        angle = np.deg2rad(generator.uniform(*self.degrees, N))
        shift_x, shift_y = (generator.uniform(-share, share, N) * size
                            for share, size in zip(self.translate, (W, H), strict=True))
        scale = generator.uniform(*self.scale, N)
        # Where each pixel of the result comes from: shifted back, turned back, scaled back.
        y, x = np.arange(H)[:, None] - (H - 1) / 2, np.arange(W) - (W - 1) / 2
        cos, sin, shift_x, shift_y = (a[:, None, None] for a in (
            np.cos(angle) / scale, np.sin(angle) / scale, shift_x, shift_y))
        x, y = x - shift_x, y - shift_y
        return _sampled(images, (x * sin + y * cos) + (H - 1) / 2,
                        (x * cos - y * sin) + (W - 1) / 2, self.interpolation, self.fill)

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(degrees={self.degrees}, translate={self.translate}, "
                f"scale={self.scale}, interpolation={self.interpolation!r}, fill={self.fill})")


class RandomRotation(RandomAffine):
    """Each image rotated about its centre.

    Parameters
    ----------
    degrees : range of the angle, counter-clockwise: (low, high), or one number for ±it
    interpolation : "nearest" or "bilinear"
    fill : the value outside of an image
    """

    def __init__(self, degrees: float | Sequence[float], interpolation: str = "nearest",
                 fill: float = 0) -> None:
        super().__init__(degrees, interpolation=interpolation, fill=fill)


def _sampled(images: np.ndarray, y: np.ndarray, x: np.ndarray, interpolation: str,
             fill: float) -> np.ndarray:
    """The images at rows y and columns x, (N, H, W); outside of them `fill`."""
    _, C, H, W = images.shape
    image = np.arange(len(images))[:, None, None]

    def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        inside = (row >= 0) & (row < H) & (column >= 0) & (column < W)
        place = (image * C * H + np.where(inside, row, 0)) * W + np.where(inside, column, 0)
        channels = np.arange(C)[:, None, None] * (H * W)
        values = images.reshape(-1)[place[:, None] + channels]
        return np.where(inside[:, None], values, images.dtype.type(fill))

    if interpolation == "nearest":
        return at(np.rint(y).astype(np.intp), np.rint(x).astype(np.intp))
    top, left = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
    down, right = ((place - first)[:, None].astype(images.dtype)
                   for place, first in ((y, top), (x, left)))
    return ((1 - down) * ((1 - right) * at(top, left) + right * at(top, left + 1))
            + down * ((1 - right) * at(top + 1, left) + right * at(top + 1, left + 1)))


_GREY = np.array([0.299, 0.587, 0.114])             # ITU-R BT.601


class ColorJitter(_OwnPass):
    """Brightness, contrast, saturation and hue of each image, changed in that order.

    Parameters
    ----------
    brightness, contrast, saturation : how far the factor may be from 1, or its range (low, high)
        Images are taken to be in [0, 1], and stay there.
    hue : how far the hue may be turned, or the range of that, in whole turns: from -0.5 to 0.5
        Saturation and hue are for three channels.
    """

    def __init__(self, brightness: float | Sequence[float] = 0,
                 contrast: float | Sequence[float] = 0,
                 saturation: float | Sequence[float] = 0,
                 hue: float | Sequence[float] = 0) -> None:
        self.brightness, self.contrast, self.saturation = (
            (max(1 + low, 0.0), 1 + high) if isinstance(value, int | float) else (low, high)
            for name, value in (("brightness", brightness), ("contrast", contrast),
                                ("saturation", saturation))
            for low, high in [_span("ColorJitter", name, value)])
        self.hue = _span("ColorJitter", "hue", hue)
        if self.hue[0] < -0.5 or self.hue[1] > 0.5:
            raise ArgumentError(f"ColorJitter: hue must be within -0.5 and 0.5, got {hue!r}")

    def changed(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        N, C = images.shape[:2]
        factors = [generator.uniform(low, high, (N, 1, 1, 1)).astype(images.dtype)
                   for low, high in (self.brightness, self.contrast, self.saturation)]
        images *= factors[0]
        np.clip(images, 0, 1, out=images)
        for factor, of_pixel in ((factors[1], False), (factors[2], True)):
            if (factor == 1).all() or (of_pixel and C != 3):
                continue
            grey = _grey(images)
            if not of_pixel:
                grey = grey.mean(axis=(1, 2, 3), keepdims=True)
            images *= factor
            images += (1 - factor) * grey
            np.clip(images, 0, 1, out=images)
        if self.hue != (0.0, 0.0) and C == 3:
            images = _turned(images, generator.uniform(*self.hue, (N, 1, 1)).astype(images.dtype))
        return images

    def __repr__(self) -> str:
        return (f"ColorJitter(brightness={self.brightness}, contrast={self.contrast}, "
                f"saturation={self.saturation}, hue={self.hue})")


def _turned(images: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Colours with another hue of HSV; the largest and the smallest channel keep their values."""
    red, green, blue = np.moveaxis(images, 1, 0)
    value, chroma = images.max(axis=1), np.ptp(images, axis=1)
    some = np.where(chroma == 0, 1, chroma)             # greys have no hue; any will do
    sixths = np.select([value == red, value == green],
                       [(green - blue) / some, 2 + (blue - red) / some], 4 + (red - green) / some)
    # Over the six sixths of a turn a channel stands high for two, falls, stands low for two, rises.
    place = (np.array([5, 3, 1], images.dtype)[:, None, None] + (sixths + 6 * turns)[:, None]) % 6
    return value[:, None] - chroma[:, None] * np.clip(np.minimum(place, 4 - place), 0, 1)


def _grey(images: np.ndarray) -> np.ndarray:
    """(N, 1, H, W): the luma of three channels, or the mean of any other number."""
    if images.shape[1] != 3:
        return images.mean(axis=1, keepdims=True)
    return np.einsum("nchw,c->nhw", images, _GREY.astype(images.dtype))[:, None]


class RandomErasing(_OwnPass):
    """A rectangle of each image overwritten, with probability `p` (Zhong et al., 2020).

    Parameters
    ----------
    p : probability
    scale : range of the rectangle's share of the area
    ratio : range of its height over its width
    value : what is written there

    A rectangle that would not fit is drawn again, ten times at most.
    """

    def __init__(self, p: float = 0.5, scale: Sequence[float] = (0.02, 0.33),
                 ratio: Sequence[float] = (0.3, 3.3), value: float = 0) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"RandomErasing: p must be in [0, 1], got {p!r}")
        self.p, self.value = p, value
        self.scale = _span("RandomErasing", "scale", scale)
        self.ratio = _span("RandomErasing", "ratio", ratio)
        if self.scale[0] < 0 or self.ratio[0] <= 0:
            raise ArgumentError(f"RandomErasing: scale and ratio must be above 0, got {scale!r} "
                                f"and {ratio!r}")

    def changed(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        N, _, H, W = images.shape
        size = (N, 10)
        area = generator.uniform(*self.scale, size) * (H * W)
        low, high = np.log(self.ratio)
        ratio = np.exp(generator.uniform(low, high, size))
        h, w = (np.rint(np.sqrt(a)).astype(int) for a in (area * ratio, area / ratio))
        fits = (h < H) & (w < W)
        first = fits.argmax(axis=1)
        h, w = h[np.arange(N), first], w[np.arange(N), first]
        chosen = (generator.random(N) < self.p) & fits.any(axis=1)
        top, left = (np.floor(generator.random(N) * (n - m + 1)).astype(int)
                     for n, m in ((H, h), (W, w)))
        for i in np.flatnonzero(chosen):
            images[i, :, top[i]:top[i] + h[i], left[i]:left[i] + w[i]] = self.value
        return images

    def __repr__(self) -> str:
        return (f"RandomErasing(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
                f"value={self.value})")


class Cutout(_OwnPass):
    """A square of each image set to 0; it may reach beyond the edge (DeVries & Taylor, 2017).

    Parameters
    ----------
    size : its side; 16 in the paper for CIFAR-10
    """

    def __init__(self, size: int) -> None:
        (self.size, _) = pair("Cutout", "size", size, 1)

    def changed(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        N, _, H, W = images.shape
        top, left = (generator.integers(0, n, (N,)) - self.size // 2 for n in (H, W))
        for i in range(N):
            images[i, :, max(top[i], 0):max(top[i] + self.size, 0),
                   max(left[i], 0):max(left[i] + self.size, 0)] = 0
        return images

    def __repr__(self) -> str:
        return f"Cutout({self.size})"


class Mixup:
    """Each sample of a batch mixed with another, and so its targets (Zhang et al., 2018).

    For `DataLoader` and `Trainer.fit` as ``mix=``.

    Parameters
    ----------
    alpha : of the Beta distribution that the shares of a batch are drawn from
    num_classes : of targets that are class indices

    >>> import numpy as np
    >>> mix = Mixup(1.0, num_classes=2)
    >>> x, t = mix(np.eye(2), np.array([0, 1]), np.random.default_rng(0))
    >>> bool(np.allclose(x, t))
    True
    """

    def __init__(self, alpha: float, num_classes: int) -> None:
        if not alpha > 0 or num_classes < 1:
            raise ArgumentError(f"Mixup: alpha and num_classes must be above 0, got {alpha!r} and "
                                f"{num_classes!r}")
        self.alpha, self.num_classes = float(alpha), num_classes

    def __call__(self, x: np.ndarray, t: np.ndarray,
                 generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Samples, and targets as distributions over the classes; x is written into."""
        if x.dtype.kind != "f":
            raise ArgumentError(f"Mixup: samples must be floating, got {x.dtype}; a Normalize "
                                "before makes them so")
        if t.ndim == 1:
            t = t[:, None] == np.arange(self.num_classes)
        t = t.astype(x.dtype)
        share = x.dtype.type(generator.beta(self.alpha, self.alpha))
        others = generator.permutation(len(x))
        mixed = x[others]
        mixed *= 1 - share
        x *= share
        x += mixed
        return x, share * t + (1 - share) * t[others]

    def __repr__(self) -> str:
        return f"Mixup({self.alpha}, num_classes={self.num_classes})"
