/* The lists of distributions and dtypes, and the numbers that a kernel takes. kernels.h includes it for
   the CPU, cuda/kernels.cu for GPUs. */
#ifndef FASTXAVIER_JOB_H
#define FASTXAVIER_JOB_H

#include "philox.h"

enum { BLOCK = 4 };

/* The lists from which tables and kernels are expanded: ROW(distribution) for a distribution, and
   ROW(distribution, DTYPE, name, bytes) for a dtype, in the order of fx_dtype.
   FX_LARGE_DISTRIBUTIONS also have kernels with nontemporal stores, for arrays larger than the caches.
   uniform_tiny, for half-widths that are nearly subnormal, is too rare for that. */
/* clang-format off */
#define FX_LARGE_DISTRIBUTIONS(ROW) \
    ROW(constant) ROW(uniform) ROW(normal) ROW(truncated_2) ROW(truncated_3) \
    ROW(truncated_wide) ROW(truncated)
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

/* The numbers of one distribution in one precision. width and middle are sums of two. near and far
   are the two tail probabilities, doubled, as base + slope * (distance from the interval's near end):
   index 0 for words in the upper half of the interval, index 1 for the lower. The kernels of symmetric
   intervals use width[0], times the scale of their polynomials, and near[0]. Below tail_below a tail has a
   formula of its own. */
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

#define SECOND_WORDS 0x80000000u /* bit 63 of the block number: the words L of float64 */

#endif
