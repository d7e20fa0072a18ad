"""A network at fixed shapes as a list of kernel calls over one block of memory.

`Planner` walks the graph and asks the rules of `lower` for steps; `arena` finds places for the
arrays; `Plan` runs; `Plans` keeps those of a network; `explain` and `Profile` show them.
"""

from .cache import Plans
from .explain import explain
from .plan import Plan
from .profile import Profile

__all__ = ["Plan", "Plans", "Profile", "explain"]
