/* What a launch on a GPU takes: device.c makes it, kernels.cu reads it as the kernel's parameter. */
#ifndef FASTXAVIER_LAUNCH_H
#define FASTXAVIER_LAUNCH_H

#include "../shared/job.h"

enum {
    LAUNCH_AXES = 65, /* FX_MAX_DIMS, and that of the blocks of a row */
    LAUNCH_THREADS = 256,
    LAUNCH_BYTES = 16, /* of a store, where the array is aligned for it */
};

/* How often a thread of a contiguous array draws what fills a store. */
#define PER_THREAD(item) ((item) == 8 ? 1 : 4)

/* One digit of a thread's number: `extent` positions, `stride` bytes and `step` indices apart. */
typedef struct {
    int64_t extent, stride, step;
} launch_axis;

/* A contiguous array: elements `first` up to `end` of the stream. `address` is that of element `base`, a
   multiple of BLOCK not above `first`, which the array need not have.
   Any other array: `rows` of `row` consecutive indices, `row_stride` bytes apart. A thread draws one block
   of one row. Its number has the digits of `axes`, the first of which changes fastest; axis `blocks` counts
   the blocks of a row and has no stride. `address` and `first` are those of the first element.
   The zeros of a sparse matrix: a thread takes one column and its `row` uniform doubles, those of the next
   column after them, from index `first` on, and writes zeros to the places of the `end` least. axes[0] are the
   matrix's rows from row `base` on, axes[1] its columns, and `row_stride` is the size of an item. */
typedef struct {
    kernel_job job;
    uint64_t stream;
    uint64_t address;
    int64_t base, first, end;
    int64_t threads;
    int64_t row, row_stride;
    uint32_t block_high; /* the high counter word for which the job's schedules are prepared */
    int32_t aligned; /* whether a contiguous array is aligned for stores of LAUNCH_BYTES */
    int32_t blocks, naxes;
    launch_axis axes[LAUNCH_AXES];
} device_launch;

#endif
