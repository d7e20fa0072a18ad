"""Tables for a terminal."""

from collections.abc import Sequence


def aligned(lines: Sequence[Sequence[str]], left: int) -> str:
    """Lines of cells as an aligned text; the first `left` columns flush left, the others right.

    >>> print(aligned([("name", "ms"), ("x", "12.5")], left=1))
    name    ms
    x     12.5
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) if i < left else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in lines)
