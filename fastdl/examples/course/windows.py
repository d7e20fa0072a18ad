"""im2col of two random images, and col2im back."""

import numpy as np
from common.functions import col2im, im2col

images = np.random.rand(2, 1, 4, 4) * 100 // 1          # noqa: NPY002 - as the course draws them
col = im2col(images, 3, 3, 1, 0)
print("input_data\n", images)
print("col\n", col)
print("each pixel as often as windows read it\n", col2im(col, images.shape, 3, 3, 1, 0))
