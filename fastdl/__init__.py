"""fastdl: neural networks from NumPy arrays at the speed of the hardware."""

from . import ops
from .backend import use_backend, set_backend, explain, show_config, set_num_threads, get_num_threads
