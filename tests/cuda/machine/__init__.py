"""A GPU in Python: it executes the PTX that NVIDIA's would be given, and watches what threads do.

ptx             the text of a kernel
instructions    what each instruction does, to many threads at once
rounding        float32 arithmetic
memory          the device's, blocks' and threads' memory; who may use which cell when
run             how a grid is executed; what it costs
driver          the driver's functions: memory, streams, events, graphs
for_tests       the machine in the place of NVIDIA's driver

`run.execute` runs a kernel on arrays of the host and says what it costs. What kernels of `fastdl`
cost is counted so:

    install()
    processor = _compat.bindings.processor
    processor.counts = Counts()
    fd.ops.relu(x)
    fd.cuda.synchronize()
    print(processor.counts, processor.counts.instructions.most_common(9))

Nothing is said of how long it takes. What a GPU may do in several orders (blocks, atomic additions)
is done in one, and approximate instructions are rounded correctly.
"""
