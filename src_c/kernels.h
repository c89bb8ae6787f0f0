/* The interface of the kernels, which simd/isa_*.c instantiate and fill.c calls. A kernel writes rows
   of whole units of UNIT consecutive values; fill.c handles the ends that are shorter. */
#ifndef FASTXAVIER_KERNELS_H
#define FASTXAVIER_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cpu.h"
#include "exact.h"
#include "fastxavier.h"
#include "shared/job.h"

enum { UNIT_BLOCKS = 8, UNIT = BLOCK * UNIT_BLOCKS };
#define ROW(distribution, DTYPE, name, bytes) +1
enum { DTYPE_COUNT = 0 FX_DTYPES(ROW, ) };
#undef ROW

/* Rows of units * UNIT values each. The first row starts at `dst` with word 0 of the block whose low
   counter word is `block`; each next row starts block_step blocks and dst_step bytes further on. The
   blocks of a row are `stride` apart in the stream, and their values are adjacent in memory. */
typedef struct {
    char *dst;
    int64_t dst_step;
    size_t rows, units;
    uint32_t block, block_step, stride;
} kernel_rows;

/* Write at least one unit. `dst` may have any alignment. Counters wrap at 2^32 blocks: the caller
   splits its work there. */
typedef void kernel(const kernel_job *job, const kernel_rows *place);

typedef struct {
    const char *name;
    int (*runs_here)(void);
    kernel *store[DISTRIBUTION_COUNT][DTYPE_COUNT];
    /* With nontemporal stores, or NULL. They take one row with stride 1, and dst must be a multiple
       of nontemporal_align bytes, or of 8 bytes for doubles. */
    kernel *nontemporal[DISTRIBUTION_COUNT][DTYPE_COUNT];
    size_t nontemporal_align;
} isa;

/* The implementation in use, or NULL when FASTXAVIER_ISA names one that does not run here. */
const isa *fx__isa_chosen(void);

#endif
