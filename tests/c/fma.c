/* Compares src_c/simd/fma.h with libm's fmaf and fma: special values, random bits, sums in or next to the
   middle between two results, and cancellation. Prints, for floats and for doubles, the cases, those
   that differ, and those in which rounding the product or the sum alone would have given another result.
   Compiled and run by tests/test_fma.py. */
#include <stdio.h>

#include "simd/fma.h"

static uint64_t random_bits(void)
{
    static uint64_t state = 0x9E3779B97F4A7C15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545F4914F6CDD1Du;
}

static int random_int(int from, int to)
{
    return from + (int)((random_bits() >> 32) % (uint64_t)(to - from + 1));
}

static double random_sign(void) { return random_int(0, 1) ? 1 : -1; }

static float any_float(void)
{
    const uint32_t bits = (uint32_t)(random_bits() >> 32);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

typedef struct {
    long cases, wrong, hard;
} counts;

static int same_doubles(double x, double y)
{
    return (x != x && y != y) || memcmp(&x, &y, sizeof x) == 0;
}

static void compare(counts *n, double got, double want, double careless, double a, double b, double c)
{
    n->cases++;
    n->hard += !same_doubles(careless, want);
    if (!same_doubles(got, want) && n->wrong++ < 5)
        fprintf(stderr, "%a * %a + %a: %a instead of %a\n", a, b, c, got, want);
}

static void floats(counts *n, float a, float b, float c)
{
    compare(n, fma_of_floats(a, b, c), fmaf(a, b, c), (float)((double)a * b + c), a, b, c);
}

static void doubles(counts *n, double a, double b, double c)
{
    compare(n, fma_of_doubles(a, b, c), fma(a, b, c), a * b + c, a, b, c);
}

/* 1 + step * 2^-bits, with `step` for the last bits of a significand. */
static double near_one(int step, int bits) { return 1 + ldexp(step, -bits); }

static void hard_floats(counts *n)
{
    /* c has an even or odd last bit at 2^k, and a * b is 2^(k-1) * (1 - j^2 2^-46), or with an error
       in one factor alone. Below k = -149 + 1, c is subnormal or nearly so. */
    const int k = random_int(-149, 103), j = random_int(-3, 3), half = random_int(-60, 60);
    const float c = (float)ldexp(random_int(0, 1 << 24), k);
    const float a = (float)(random_sign() * ldexp(near_one(j, 23), half));
    const float b = (float)ldexp(near_one(random_int(0, 3) ? -j : 0, 23), k - 1 - half);
    floats(n, a, b, c);
    floats(n, a, b, -c);
    /* The product is a middle, or close to one, and c is small. */
    const float d = (float)ldexp(random_int(1 << 11, 1 << 12) | 1, half);
    const float e = (float)(random_sign() * ldexp(random_int(1 << 12, 1 << 13) | 1, k - half));
    floats(n, d, e, (float)(random_sign() * ldexp(random_int(0, 1 << 24), k - random_int(20, 90))));
    floats(n, d, e, (float)(random_sign() * 0x1p-149));
    /* What remains after cancellation. */
    const float f = any_float(), g = any_float();
    floats(n, f, g, -(f * g));
    floats(n, f, g, -(f * g) * (float)near_one(random_int(-2, 2), 23));
    floats(n, f, g, any_float());
    /* Sizes as kernels have them. */
    floats(n, (float)ldexp(random_int(0, 1 << 24), -23), (float)ldexp(random_int(0, 1 << 24), -24),
           (float)ldexp(random_int(0, 1 << 24), -25));
}

static void hard_doubles(counts *n)
{
    const int k = random_int(0, 7) ? random_int(-300, 300) : random_int(-1074, 970);
    const int j = random_int(-3, 3), half = k / 2 + random_int(-99, 99);
    const double c = ldexp((double)(random_bits() >> random_int(11, 63)), k);
    const double a = random_sign() * ldexp(near_one(j, 52), half);
    const double b = ldexp(near_one(random_int(0, 3) ? -j : 0, 52), k - 1 - half);
    doubles(n, a, b, c);
    doubles(n, a, b, -c);
    const double d = ldexp((double)(random_bits() >> 37 | 1), half);
    const double e = random_sign() * ldexp((double)(random_bits() >> 37 | 1), k - half);
    doubles(n, d, e, random_sign() * ldexp((double)(random_bits() >> 11), k - random_int(50, 200)));
    /* The 53 last bits of the product are 2^52 - last, and c is about `last`. */
    const uint64_t odd = random_bits() >> 11 | UINT64_C(1) << 52 | 1;
    const int last = random_int(-3, 3);
    uint64_t inverse = odd; /* modulo 2^64, by Newton's method from 3 bits */
    for (int bits = 3; bits < 64; bits *= 2)
        inverse *= 2 - odd * inverse;
    const double other = (double)(((UINT64_C(1) << 52) - (uint64_t)last) * inverse << 11 >> 11);
    const double nearly = last * (1 + random_int(-1, 1) * 0x1p-52);
    doubles(n, ldexp((double)odd, half), ldexp(other, k - half), ldexp(nearly, k));
    doubles(n, -ldexp((double)odd, half), ldexp(other, k - half), -ldexp(nearly, k));
    const double f = ldexp((double)(random_bits() >> 11), half - 53);
    const double g = random_sign() * ldexp((double)(random_bits() >> 11), k - half);
    doubles(n, f, g, -(f * g));
    doubles(n, f, g, -(f * g) * near_one(random_int(-2, 2), 52));
    doubles(n, f, g, random_sign() * ldexp((double)(random_bits() >> 11), k + random_int(-110, 110)));
    doubles(n, bits_double(random_bits()), bits_double(random_bits()), bits_double(random_bits()));
}

int main(void)
{
    static const float FLOATS[] = {0, 0x1p-149f, 0x1.fffffcp-127f, 0x1p-126f, 0x1p-75f, 0x1.000002p-75f,
                                   0x1p-64f, 0x1.fffffep-1f, 1, 0x1.000002p+0f, 3, 0x1p+63f, 0x1p+64f,
                                   0x1p+103f, 0x1.fffffep+127f, INFINITY, NAN};
    static const double DOUBLES[] = {0, 0x1p-1074, 0x1p-1022, 0x1p-538, 0x1p-511, 0x1p-401, 0x1p-400,
                                     0x1.fffffffffffffp-1, 1, 0x1.0000000000001p+0, 3, 0x1p+399, 0x1p+400,
                                     0x1p+600, 0x1.fffffffffffffp+1023, INFINITY, NAN};
    enum { VALUES = sizeof FLOATS / sizeof *FLOATS };
    counts float_counts = {0}, double_counts = {0};
    for (int i = 0; i < VALUES * VALUES * VALUES * 8; i++) {
        const int at[3] = {i / 8 % VALUES, i / 8 / VALUES % VALUES, i / 8 / VALUES / VALUES};
        const float signs[3] = {i & 1 ? -1 : 1, i & 2 ? -1 : 1, i & 4 ? -1 : 1};
        floats(&float_counts, signs[0] * FLOATS[at[0]], signs[1] * FLOATS[at[1]], signs[2] * FLOATS[at[2]]);
        doubles(&double_counts, signs[0] * DOUBLES[at[0]], signs[1] * DOUBLES[at[1]],
                signs[2] * DOUBLES[at[2]]);
    }
    for (int i = 0; i < 300000; i++) {
        hard_floats(&float_counts);
        hard_doubles(&double_counts);
    }
    printf("%ld %ld %ld\n", float_counts.cases, float_counts.wrong, float_counts.hard);
    printf("%ld %ld %ld\n", double_counts.cases, double_counts.wrong, double_counts.hard);
    return 0;
}
