/* What a kernel is given and where kernels are found. Internal to the library.
   A kernel writes rows of whole units of UNIT consecutive values; fill.c sees to the rest. */
#ifndef FASTXAVIER_KERNELS_H
#define FASTXAVIER_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "cpu.h"
#include "exact.h"
#include "fastxavier.h"
#include "shared/philox.h"

enum { BLOCK = 4, UNIT_BLOCKS = 8, UNIT = BLOCK * UNIT_BLOCKS };

/* The rows that tables and kernels are expanded from: DISTRIBUTION(name), and for a dtype
   ROW(distribution, NAME, name, bytes) in the order of fx_dtype. */
#define FX_DISTRIBUTIONS(DISTRIBUTION) \
    DISTRIBUTION(constant) DISTRIBUTION(uniform) DISTRIBUTION(uniform_tiny) DISTRIBUTION(normal) DISTRIBUTION(truncated_core) DISTRIBUTION(truncated)
#define FX_DTYPES(ROW, distribution) \
    ROW(distribution, FLOAT32, f32, 4) ROW(distribution, FLOAT64, f64, 8) ROW(distribution, FLOAT16, f16, 2) ROW(distribution, BFLOAT16, bf16, 2)

#define ROW(name) DISTRIBUTION_##name,
enum { FX_DISTRIBUTIONS(ROW) DISTRIBUTION_COUNT };
#undef ROW
enum { DTYPE_COUNT = FX_BFLOAT16 + 1 };

/* The numbers of one distribution in one precision. width and middle are sums of two. near and far are the
   two tail probabilities, doubled, as base + slope * (distance from the interval's near end):
   index 0 for words in the upper half of the interval, index 1 for the lower. */
#define FX_CONSTANTS(real)                                              \
    {                                                                   \
        real scale, mean;                                               \
        real step;                                                      \
        real width[2], middle[2];                                       \
        real near_base[2], near_slope[2], far_base[2], far_slope[2];    \
        real tail_below, shift;                                         \
        real low, high;                                                 \
    }
typedef struct FX_CONSTANTS(float) f32_constants;
typedef struct FX_CONSTANTS(double) f64_constants;

typedef struct {
    philox_schedule words;      /* W(i) */
    philox_schedule more_words; /* L(i), for float64 */
    f32_constants f32;
    f64_constants f64;
} kernel_job;

/* Rows of units * UNIT values each. The first begins with word 0 of the block whose low counter
   word is `block`, at `dst`; each next one `block_step` blocks and `dst_step` bytes on. The blocks of
   a row are `stride` apart, and their values neighbours. */
typedef struct {
    char *dst;
    int64_t dst_step;
    size_t rows, units;
    uint32_t block, block_step, stride;
} kernel_rows;

/* Write at least one unit. Values of blocks past a multiple of 2^32 are not the stream's. `dst` may
   have any alignment. */
typedef void kernel(const kernel_job *job, const kernel_rows *place);

typedef struct {
    const char *name;
    int (*runs_here)(void);
    kernel *store[DISTRIBUTION_COUNT][DTYPE_COUNT];
    /* Past the caches, or NULL: one row, dst a multiple of stream_align, of doubles one of 8 bytes. */
    kernel *stream[DISTRIBUTION_COUNT][DTYPE_COUNT];
    size_t stream_align;
} isa;

/* The implementation in use, or NULL when FASTXAVIER_ISA names none that runs here. */
const isa *fx__isa_chosen(void);

#endif
