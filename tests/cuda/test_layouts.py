"""Feature maps that lie on the device in either layout."""

import numpy as np
import pytest
from on_device import device_kernel


@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 4, 2), (3, 1, 4), (2, 5, 1), (0, 3, 4)])
@pytest.mark.parametrize("source_last", [False, True])
@pytest.mark.parametrize("target_last", [False, True])
def test_copied(device, shape, source_last, target_last):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    x, y = (laid_out(device, a, last) for a, last in ((values, source_last),
                                                      (np.full_like(values, -1), target_last)))
    device_kernel("copy_maps")(x, y)
    copied = y.transpose((0, 2, 1)).numpy().transpose(0, 2, 1) if target_last else y.numpy()
    np.testing.assert_array_equal(copied, values)


def laid_out(device, values, channels_last):
    """The values on the device, in this layout."""
    if channels_last:
        return device.to_device(values.transpose(0, 2, 1)).transpose((0, 2, 1))
    return device.to_device(values)
