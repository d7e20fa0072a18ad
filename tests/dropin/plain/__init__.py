"""The course's networks in plain NumPy, from the formulas: what the drop-in must agree with.

Also what bench/ measures beside. Nothing here knows of fastdl. Random numbers are drawn from
NumPy's global state, in the course's order.
"""
