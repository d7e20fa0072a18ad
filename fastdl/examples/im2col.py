"""im2col: the receptive fields of a 3×3 filter as rows, and what happens without the transpose."""

import numpy as np

from fastdl import ops
from fastdl.examples.kit import Run, main

TITLE = "im2col", "im2col"

IMAGES = np.array([[48, 2, 74, 50, 60, 0, 56, 22, 62, 44, 0, 95, 70, 60, 21, 76],
                   [56, 96, 73, 30, 80, 67, 13, 1, 62, 24, 85, 17, 69, 32, 60, 93]])
COL = """\
[[48  2 74 60  0 56 62 44  0]
 [ 2 74 50  0 56 22 44  0 95]
 [60  0 56 62 44  0 70 60 21]
 [ 0 56 22 44  0 95 60 21 76]
 [56 96 73 80 67 13 62 24 85]
 [96 73 30 67 13  1 24 85 17]
 [80 67 13 62 24 85 69 32 60]
 [67 13  1 24 85 17 32 60 93]]"""

OTHERS = np.array([[14, 76, 97, 14, 44, 48, 34, 61, 2, 88, 9, 53, 35, 91, 1, 31],
                   [96, 41, 66, 64, 56, 57, 67, 31, 22, 75, 63, 49, 9, 30, 23, 17]])
COL_WITHOUT_TRANSPOSE = """\
[[14 76 44 48 76 97 48 34 97]
 [14 34 61 44 48  2 88 48 34]
 [88  9 34 61  9 53  2 88 35]
 [91 88  9 91  1  9 53  1 31]
 [96 41 56 57 41 66 57 67 66]
 [64 67 31 56 57 22 75 57 67]
 [75 63 67 31 63 49 22 75  9]
 [30 75 63 30 23 63 49 23 17]]"""


def example(run: Run) -> None:
    """Two images of 4 × 4 each, so eight fields of nine pixels."""
    col = ops.im2col(IMAGES.reshape(2, 1, 4, 4), 3)
    run.equals("im2col", col.astype(int), COL)
    col = ops.im2col(OTHERS.reshape(2, 1, 4, 4), 3, transpose=False).reshape(8, 9)
    run.equals(run.say("without transpose", "transpose なし"), col.astype(int),
               COL_WITHOUT_TRANSPOSE)


if __name__ == "__main__":
    main(example)
