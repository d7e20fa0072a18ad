"""A network at fixed shapes as a list of kernel calls over one block of memory.

`Planner` walks the graph and asks the rules of `lower` for steps; `arena` finds places for the
arrays; `Plan` runs; `Plans` keeps those of a network.
"""

from .cache import Plans
from .plan import Plan

__all__ = ["Plan", "Plans"]
