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
#include "shared/philox.h"

enum { BLOCK = 4, UNIT_BLOCKS = 8, UNIT = BLOCK * UNIT_BLOCKS };

/* The lists from which tables and kernels are expanded: ROW(distribution) for a distribution, and
   ROW(distribution, DTYPE, name, bytes) for a dtype, in the order of fx_dtype.
   FX_LARGE_DISTRIBUTIONS also have kernels with nontemporal stores, for arrays larger than the caches.
   uniform_tiny, for half-widths that are nearly subnormal, is too rare for that. */
/* clang-format off */
#define FX_LARGE_DISTRIBUTIONS(ROW) \
    ROW(constant) ROW(uniform) ROW(normal) ROW(truncated_2) ROW(truncated_3) ROW(truncated)
#define FX_DISTRIBUTIONS(ROW) FX_LARGE_DISTRIBUTIONS(ROW) ROW(uniform_tiny)
#define FX_COMPUTED_DTYPES(ROW, distribution) \
    ROW(distribution, FLOAT32, f32, 4) ROW(distribution, FLOAT64, f64, 8)
#define FX_SIXTEEN_BIT_DTYPES(ROW, distribution) \
    ROW(distribution, FLOAT16, f16, 2) ROW(distribution, BFLOAT16, bf16, 2)
#define FX_EIGHT_BIT_DTYPES(ROW, distribution) \
    ROW(distribution, FLOAT8_E4M3FN, f8e4m3, 1) ROW(distribution, FLOAT8_E5M2, f8e5m2, 1)
#define FX_DTYPES(ROW, distribution) \
    FX_COMPUTED_DTYPES(ROW, distribution) FX_SIXTEEN_BIT_DTYPES(ROW, distribution) \
    FX_EIGHT_BIT_DTYPES(ROW, distribution)
/* clang-format on */

#define ROW(name) DISTRIBUTION_##name,
enum { FX_DISTRIBUTIONS(ROW) DISTRIBUTION_COUNT };
#undef ROW
#define ROW(distribution, DTYPE, name, bytes) +1
enum { DTYPE_COUNT = 0 FX_DTYPES(ROW, ) };
#undef ROW

/* The numbers of one distribution in one precision. width and middle are sums of two. near and far
   are the two tail probabilities, doubled, as base + slope * (distance from the interval's near end):
   index 0 for words in the upper half of the interval, index 1 for the lower. The kernels of symmetric
   intervals use width[0], times the scale of their polynomials, and the negative of near[0]. */
#define FX_CONSTANTS(real) \
    { \
        real scale, mean; \
        real step; \
        real width[2], middle[2]; \
        real near_base[2], near_slope[2], far_base[2], far_slope[2]; \
        real tail_below, shift; \
        real low, high; \
    }
typedef struct FX_CONSTANTS(float) f32_constants;
typedef struct FX_CONSTANTS(double) f64_constants;

typedef struct {
    philox_schedule words;      /* W(i) */
    philox_schedule more_words; /* L(i), for float64 */
    f32_constants f32;
    f64_constants f64;
} kernel_job;

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
