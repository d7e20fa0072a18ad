from ..native._native cimport fd_dtype, fd_gemm_args


cdef int multiply(fd_gemm_args *args, fd_dtype dtype) except -1
