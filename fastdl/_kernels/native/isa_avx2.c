/* x86-64-v3: AVX2 and FMA, sixteen 32-byte registers. */
#define FD_TABLE fd_table_avx2
#define FD_VBYTES 32
#define FD_SUMS 12
#include "kernels.h"
