"""Who takes part, beside fastdl: each peer in its best configurations."""

from fastdl.benchmark.processes import MEMORY_KEPT
from fastdl.benchmark.steps import heats
from fastdl.benchmark.steps.heats import EAGER, OURS, TORCH, Member

COURSE = "NumPy, as in courses"
COURSES_NETWORKS = ("SimpleConvNet", "DeepConvNet")
_TORCH = heats.MEMBERS[TORCH].module
_KERAS = MEMORY_KEPT | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}

MEMBERS = heats.MEMBERS | {
    "PyTorch, compiled": Member(_TORCH, {"compiled": True}),
    "PyTorch, compiled, channels-last": Member(_TORCH, {"compiled": True, "channels_last": True}),
    "PyTorch, as it comes": Member(_TORCH, environment={}, optional=True),
    "Keras": Member("bench.steps.with_keras", {"jit_compile": False}, _KERAS),
    "Keras, XLA": Member("bench.steps.with_keras", {"jit_compile": True}, _KERAS),
    "JAX": Member("bench.steps.with_jax"),
    COURSE: Member("bench.steps.with_course", only=COURSES_NETWORKS),
}
OTHERS = tuple(name for name in MEMBERS if name != OURS)
# Whose fastest counts: what a user could run instead.
PEERS = tuple(name for name in OTHERS if name not in (EAGER, COURSE))
