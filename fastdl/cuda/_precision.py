"""Whether products on the device may compute in TF32."""

from __future__ import annotations

from ..errors import DeviceError
from ._driver import driver

OLDEST = (8, 0)                         # compute capability of devices that can

_allowed = False


def allow_tf32(allow: bool = True) -> None:
    """Let matrix products and convolutions on the device compute in TF32, or not (the default).

    Tensor cores then multiply, which is their fastest way for float32 arrays; they round each
    factor to 10 bits behind the point, where float32 has 23: a relative error of up to 5e-4. Sums
    are float32.

    Raises
    ------
    DeviceError
        where there is no device, or one older than compute capability 8.0

    Examples
    --------
    >>> fd.cuda.allow_tf32(False)
    >>> fd.cuda.tf32_allowed()
    False
    """
    global _allowed
    if allow and not (device := driver()).simulated and device.capability < OLDEST:
        raise DeviceError("cuda: TF32 needs compute capability 8.0 or later, {} has {}.{}".format(
            device.name, *device.capability))
    _allowed = bool(allow)


def tf32_allowed() -> bool:
    """Whether matrix products and convolutions on the device may compute in TF32."""
    return _allowed
