/* a * b + c rounded once. Floats have it from +, - and * of doubles where the CPU has no instruction: there
   libm computes it with integers or by changing the rounding mode, some thirty times as slowly. Included by
   vec_scalar.h and vec_sse2.h; tests/c/fma.c compares fma_of_floats and the vectors' fma with libm's.
   Rounding is to nearest, as fpenv.h sets it. */
#ifndef FASTXAVIER_FMA_H
#define FASTXAVIER_FMA_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../cpu.h"
#include "../exact.h"

/* Compilers define the first for most targets. The others have the instruction too. */
#if defined(__FP_FAST_FMA) || defined(__FMA__) || defined(__aarch64__) || defined(__powerpc64__) || \
    defined(__s390x__) || defined(__riscv_d)
#define HAS_FMA 1
#else
#define HAS_FMA 0
#endif

static INLINE uint64_t double_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static INLINE double bits_double(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* a + b - sum, where sum is a + b rounded: it is a double, and this has no rounding error (Knuth). */
static INLINE double error_of_sum(double a, double b, double sum)
{
    const double b_part = sum - a;
    return (a - (sum - b_part)) + (b - b_part);
}

/* The product of two floats is a double, so only the sum is rounded, and then once more to float. The
   second rounding errs only where the sum has become the middle between two floats without being it:
   elsewhere no middle, which is a double, lies between the exact sum and the rounded one. A middle
   has at most 25 significant bits, or fewer where floats are subnormal, so the 28 last of its 53 bits
   are 0. There an inexact sum is rounded to odd instead: away from the middle, to the neighbour on the
   side of the error. NaN compares as neither less nor greater, so infinities and NaN stay. Neither
   products nor sums of floats overflow or underflow as doubles. */
static INLINE double sum_to_round(double product, double c)
{
    double sum = product + c;
    if ((double_bits(sum) & 0xFFFFFFF) == 0) {
        const double error = error_of_sum(product, c, sum);
        const int more = error > 0, less = error < 0;
        if (more | less)
            sum = bits_double(double_bits(sum) + 1 - 2 * (uint64_t)(less ^ (sum < 0)));
    }
    return sum;
}

static INLINE float fma_of_floats(float a, float b, float c)
{
    return (float)sum_to_round((double)a * b, c);
}

static INLINE double fma_of_doubles(double a, double b, double c)
{
#if !defined(__GLIBC__) /* musl adds 0 to the rounded product and so loses -0 */
    if (c == 0 && a != 0 && b != 0)
        return a * b;
#endif
    return fma(a, b, c);
}

#endif
