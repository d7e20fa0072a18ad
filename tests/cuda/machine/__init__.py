"""A GPU in Python: it executes the PTX that NVIDIA's would be given, and watches what threads do.

ptx             the text of a kernel
instructions    what each instruction does, to many threads at once
rounding        float32 arithmetic
memory          the device's, blocks' and threads' memory; who may use which cell when
run             how a grid is executed; what it costs
driver          the driver's functions: memory, streams, events, graphs
"""
