/* x86-64-v4: AVX-512 F, DQ, BW, VL, CD, thirty-two 64-byte registers. */
#define FD_TABLE fd_table_avx512
#define FD_VBYTES 64
#define FD_SUMS 28
#include "kernels.h"
