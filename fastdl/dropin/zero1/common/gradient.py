"""Numerical gradients."""

import numpy as np

from ...engine.gradient import over_all as numerical_gradient
from ...engine.gradient import over_first_axis as _numerical_gradient_1d  # noqa: F401
from ...engine.gradient import over_rows as numerical_gradient_2d

__all__ = ["np", "numerical_gradient", "numerical_gradient_2d"]
