"""What the profiles share: the course's layers, functions and optimizers on fastdl's kernels.

The modules of a profile (``zero1/common/layers.py``, …) give names and signatures; what they do is
here, one idea in each file. The course's contract holds:

- A layer's parameters are the caller's arrays, read at each call.
- Attributes that scripts read are there. What the computation does not need (``col``, ``xn``, …) is
  computed when somebody reads it (`lazy`).
- NumPy's global random state is drawn from as often, and in the order, as in the course.
- What the kernels do not take (float16, 1-D inputs, padding under a pooling window, …) and what is
  too small to gain from them is left to NumPy.

Attributes
----------
dtype : numpy dtype or None
    What layers compute in. None is what the course computes in: float64 in convolutions and
    poolings, else the dtype that NumPy gives to the product of inputs and parameters, which is
    float64 too for parameters drawn with `numpy.random`. With ``float32`` layers compute in that
    from parameters that stay as they are; their gradients are then float32 and may be added to
    float64 parameters.
"""

from typing import Any

dtype: Any = None
