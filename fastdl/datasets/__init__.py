"""Data sets as NumPy arrays: `digits` (bundled), `mnist`, `fashion_mnist` and `cifar10`.

Each function returns ``(x, t), (x_test, t_test)``: images as float32 (N, C, H, W) in [0, 1],
labels as int64 (N,). Apart from the digits, a data set is read from the first place that has all
its files:

1. ``$FASTDL_DATA_DIR/<name>``, then ``$FASTDL_DATA_DIR`` itself. MNIST and Fashion-MNIST name
   their files alike, so files directly in the folder count as MNIST, unless the folder's own name
   contains "fashion": then they count as Fashion-MNIST.
2. ``<cache>/<name>``, where the cache is ``$FASTDL_CACHE_DIR`` or the user's cache folder.
3. A download into that cache, checked against the published checksum.

Files: MNIST and Fashion-MNIST as published, plain or ``.gz``; CIFAR-10 as the binary files (also in
a sub-folder ``cifar-10-batches-bin``) or as the archive ``cifar-10-binary.tar.gz``. A file that is
cut off, damaged or not what its name says raises `DataError`.
"""

import numpy as np

from fastdl.errors import ArgumentError

__all__ = [
    "CLASS_NAMES",
    "cifar10",
    "class_names",
    "digits",
    "fashion_mnist",
    "is_local",
    "load",
    "mnist",
]

Split = tuple[np.ndarray, np.ndarray]

_NUMERALS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "digits": _NUMERALS,
    "mnist": _NUMERALS,
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "cifar10": (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
}
"""What each label stands for, per data set; the keys are the names that `load` takes."""


def digits(*, flatten: bool = False) -> tuple[Split, Split]:
    """1,797 hand-written digits of 8x8 pixels, bundled with fastdl: no file or network needed.

    The first 1,437 samples are for training and the last 360 for testing.

    Parameters
    ----------
    flatten : bool
        Return images as (N, 64) rather than (N, 1, 8, 8).

    Returns
    -------
    (x, t), (x_test, t_test)
        `x` float32 (N, 1, 8, 8), multiples of 1/16 in [0, 1]; `t` int64 (N,) in 0..9.

    Examples
    --------
    >>> import fastdl as fd
    >>> (x, t), (x_test, t_test) = fd.datasets.digits()
    >>> x.shape, t.shape, x_test.shape
    ((1437, 1, 8, 8), (1437,), (360, 1, 8, 8))
    """
    from . import _digits

    train, test = _digits.read()
    return _arrays(*train, _digits.WHITE, flatten), _arrays(*test, _digits.WHITE, flatten)


def mnist(*, flatten: bool = False) -> tuple[Split, Split]:
    """MNIST: 60,000 + 10,000 hand-written digits of 28x28 pixels.

    Parameters
    ----------
    flatten : bool
        Return images as (N, 784) rather than (N, 1, 28, 28).

    Returns
    -------
    (x, t), (x_test, t_test)
        `x` float32 (N, 1, 28, 28) in [0, 1]; `t` int64 (N,) in 0..9.

    Raises
    ------
    DataError
        The files are neither on this machine nor to be downloaded, or one is damaged.

    Examples
    --------
    >>> import fastdl as fd
    >>> (x, t), (x_test, t_test) = fd.datasets.mnist()    # doctest: +SKIP
    >>> x.shape, int(t[0])                                # doctest: +SKIP
    ((60000, 1, 28, 28), 5)
    """
    return _from_files("mnist", flatten)


def fashion_mnist(*, flatten: bool = False) -> tuple[Split, Split]:
    """Fashion-MNIST: 60,000 + 10,000 grey pictures of clothes, 28x28 pixels.

    Parameters
    ----------
    flatten : bool
        Return images as (N, 784) rather than (N, 1, 28, 28).

    Returns
    -------
    (x, t), (x_test, t_test)
        `x` float32 (N, 1, 28, 28) in [0, 1]; `t` int64 (N,) in 0..9, see `class_names`.

    Raises
    ------
    DataError
        The files are neither on this machine nor to be downloaded, or one is damaged.

    Examples
    --------
    >>> import fastdl as fd
    >>> (x, t), (x_test, t_test) = fd.datasets.fashion_mnist()    # doctest: +SKIP
    >>> fd.datasets.class_names("fashion_mnist")[t[0]]            # doctest: +SKIP
    'Ankle boot'
    """
    return _from_files("fashion_mnist", flatten)


def cifar10(*, flatten: bool = False) -> tuple[Split, Split]:
    """CIFAR-10: 50,000 + 10,000 colour photographs of 32x32 pixels in ten classes.

    Parameters
    ----------
    flatten : bool
        Return images as (N, 3072) rather than (N, 3, 32, 32).

    Returns
    -------
    (x, t), (x_test, t_test)
        `x` float32 (N, 3, 32, 32) in [0, 1], channels red, green, blue; `t` int64 (N,) in 0..9,
        see `class_names`.

    Raises
    ------
    DataError
        The files are neither on this machine nor to be downloaded, or one is damaged.

    Examples
    --------
    >>> import fastdl as fd
    >>> (x, t), (x_test, t_test) = fd.datasets.cifar10()    # doctest: +SKIP
    >>> x.shape, x_test.shape                               # doctest: +SKIP
    ((50000, 3, 32, 32), (10000, 3, 32, 32))
    """
    return _from_files("cifar10", flatten)


def load(name: str, *, flatten: bool = False) -> tuple[Split, Split]:
    """The data set called `name`, as its own function returns it.

    Parameters
    ----------
    name : str
        "digits", "mnist", "fashion_mnist" or "cifar10".
    flatten : bool
        Return images as (N, C*H*W) rather than (N, C, H, W).

    Returns
    -------
    (x, t), (x_test, t_test)
        `x` float32 (N, C, H, W) in [0, 1]; `t` int64 (N,).

    Raises
    ------
    ArgumentError
        No data set has this name.
    DataError
        The files are neither on this machine nor to be downloaded, or one is damaged.

    Examples
    --------
    >>> import fastdl as fd
    >>> (x, t), (x_test, t_test) = fd.datasets.load("digits", flatten=True)
    >>> x.shape
    (1437, 64)
    """
    _check_name("load", name)
    return digits(flatten=flatten) if name == "digits" else _from_files(name, flatten)


def is_local(name: str) -> bool:
    """Whether all files of a data set are on this machine, so that loading needs no download.

    Says nothing of what is in the files. The bundled digits always are.

    Raises
    ------
    ArgumentError
        No data set has this name.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.datasets.is_local("digits")
    True
    """
    _check_name("is_local", name)
    if name == "digits":
        return True
    from . import _files

    return _files.is_local(name)


def class_names(name: str) -> tuple[str, ...]:
    """What the labels 0, 1, ... of a data set stand for.

    Raises
    ------
    ArgumentError
        No data set has this name.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.datasets.class_names("cifar10")[3]
    'cat'
    """
    _check_name("class_names", name)
    return CLASS_NAMES[name]


def _check_name(operation: str, name: str) -> None:
    if name not in tuple(CLASS_NAMES):
        known = ", ".join(CLASS_NAMES)
        raise ArgumentError(f"{operation}: name is {name!r}, expected one of: {known}")


def _from_files(name: str, flatten: bool) -> tuple[Split, Split]:
    from . import _files  # late: `import fastdl` should not pay for pathlib, gzip and tarfile

    train, test = _files.read(name)
    return _arrays(*train, 255, flatten), _arrays(*test, 255, flatten)


def _arrays(images: np.ndarray, labels: np.ndarray, white: int, flatten: bool) -> Split:
    """uint8 images (N, C, H, W) with values 0..white, and uint8 labels, as documented above."""
    # A true division, correctly rounded: a product with 1/255 would miss the last bit of some.
    x = np.divide(images, np.float32(white), dtype=np.float32)
    if flatten:
        x = x.reshape(len(x), -1)
    return x, labels.astype(np.int64)
