"""The machine in the place of NVIDIA's driver."""

from fastdl.cuda import _compat, _memory
from fastdl.cuda._driver import driver

from .driver import Driver


def install():
    """From here on `fastdl.cuda` uses the machine; before it has started another device."""
    _compat.bindings = Driver()
    _compat.load_library = lambda name: None
    allocate = _memory.allocate

    def exactly(size):
        """What an array has not asked for is nobody's, and what was there is forgotten."""
        memory = allocate(size)
        if size:
            _compat.bindings.use(memory.address, size, driver().stream)
        return memory

    _memory.allocate = exactly
