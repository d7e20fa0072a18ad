/* What every processor of the architecture has: SSE4.2 on x86-64 (v2), NEON on aarch64. */
#define FD_TABLE fd_table_baseline
#define FD_VBYTES 16
#if defined(__aarch64__)
#define FD_SUMS 24
#else
#define FD_SUMS 12
#endif
#include "kernels.h"
