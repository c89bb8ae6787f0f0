/* a * b + c rounded once, from +, - and * of doubles, for CPUs without the instruction: there libm computes
   it with integers or by changing the rounding mode, some thirty times as slowly. Included by vec_scalar.h;
   tests/c/fma.c compares both with libm's. Rounding is to nearest, as fpenv.h sets it. */
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
static INLINE float fma_of_floats(float a, float b, float c)
{
    const double product = (double)a * b;
    double sum = product + c;
    if ((double_bits(sum) & 0xFFFFFFF) == 0) {
        const double error = error_of_sum(product, c, sum);
        const int more = error > 0, less = error < 0;
        if (more | less)
            sum = bits_double(double_bits(sum) + 1 - 2 * (uint64_t)(less ^ (sum < 0)));
    }
    return (float)sum;
}

/* The product is a sum of two doubles (Dekker), and so is the sum of the first of these and c. What is small
   of both, added up, has one rounding error, of half an ulp at most. If the result is the same with that
   ulp more and less, it is the right one, because rounding is monotonic. Otherwise, in some 2^-50 of all
   cases, and where the parts of the product could overflow or underflow, libm decides. It does too where
   the sum is infinite: then `small` is NaN, which equals nothing. A function of its own, because forty
   copies in each kernel are bigger and no faster. */
static NOINLINE double fma_of_doubles(double a, double b, double c)
{
    const uint64_t low = (UINT64_C(0x3FF) - 400) << 53, range = UINT64_C(800) << 53;
    if ((double_bits(a) << 1) - low < range && (double_bits(b) << 1) - low < range) {
        const double big_a = 0x8000001p0 * a, a0 = big_a - (big_a - a), a1 = a - a0;
        const double big_b = 0x8000001p0 * b, b0 = big_b - (big_b - b), b1 = b - b0;
        const double product = a * b;
        const double rest = (a0 * b0 - product + a0 * b1 + a1 * b0) + a1 * b1;
        const double sum = product + c;
        const double small = error_of_sum(product, c, sum) + rest;
        const double result = sum + small * (1 + 0x1p-52);
        if (result == sum + small * (1 - 0x1p-52))
            return result;
    }
#if !defined(__GLIBC__) /* musl adds 0 to the rounded product and so loses -0 */
    if (c == 0 && a != 0 && b != 0)
        return a * b;
#endif
    return fma(a, b, c);
}

#endif
