/* What parallel.c, pool.c and memory.c have among themselves. */
#ifndef FASTDL_PARALLEL_H
#define FASTDL_PARALLEL_H

enum { FD_MAX_PARTS = 0xFFFF };

/* One part of a job; not 0 when it failed. */
typedef int (*fd_task)(const void *context, int part);

/* Call `task` for each part of [0, parts), on the calling thread and on others. Returns when all
 * are done; not 0 when one failed. (pool.c) */
int fd_share(fd_task task, const void *context, int parts);

/* For thread-local memory; once, when the library is loaded. Returns 0 on failure. (memory.c) */
int fd_init_memory(void);

/* Whether the calling thread has been refused scratch since it last asked this. (memory.c) */
int fd_scratch_refused(void);

#endif
