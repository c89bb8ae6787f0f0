/* Compares fma_of_floats, and the fma of the floats and the doubles of a vocabulary, with libm's: special
   values, random bits, sums in or next to the middle between two results, and cancellation. For each it
   prints the cases, those that differ, and those in which rounding the product or the sum alone would
   have given another result. Compiled and run by tests/test_fma.py. */
#include <stdio.h>

#include "cpu.h"
#include "kernels.h"
#if FX_X86_64
#include "simd/vec_sse2.h"
#else
#include "simd/vec_scalar.h"
#endif

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

static counts plain_floats, vector_floats, vector_doubles;

/* Unlike cases are collected until they fill a vector. */
#define FMA_OF_VECTORS(name, real, vector, fma_of_vectors, fma_of_libm, careless, counts) \
    static void name(real a, real b, real c) \
    { \
        enum { COUNT = sizeof(vector) / sizeof(real) }; \
        static real x[3][COUNT]; \
        static int filled; \
        x[0][filled] = a; \
        x[1][filled] = b; \
        x[2][filled] = c; \
        if (++filled < COUNT) \
            return; \
        filled = 0; \
        vector v[3]; \
        real got[COUNT]; \
        memcpy(v, x, sizeof v); \
        v[0] = fma_of_vectors(v[0], v[1], v[2]); \
        memcpy(got, v, sizeof got); \
        for (int i = 0; i < COUNT; i++) \
            compare(counts, got[i], fma_of_libm(x[0][i], x[1][i], x[2][i]), \
                    careless(x[0][i], x[1][i], x[2][i]), x[0][i], x[1][i], x[2][i]); \
    }
static float careless_float(float a, float b, float c) { return (float)((double)a * b + c); }
static double careless_double(double a, double b, double c) { return a * b + c; }
FMA_OF_VECTORS(floats_in_vectors, float, f32_v, f32_fma, fmaf, careless_float, &vector_floats)
FMA_OF_VECTORS(try_doubles, double, f64_v, f64_fma, fma, careless_double, &vector_doubles)

static void try_floats(float a, float b, float c)
{
    compare(&plain_floats, fma_of_floats(a, b, c), fmaf(a, b, c), careless_float(a, b, c), a, b, c);
    floats_in_vectors(a, b, c);
}

/* 1 + step * 2^-bits, with `step` for the last bits of a significand. */
static double near_one(int step, int bits) { return 1 + ldexp(step, -bits); }

static void hard_floats(void)
{
    /* c has an even or odd last bit at 2^k, and a * b is 2^(k-1) * (1 - j^2 2^-46), or with an error
       in one factor alone. Below k = -149 + 1, c is subnormal or nearly so. */
    const int k = random_int(-149, 103), j = random_int(-3, 3), half = random_int(-60, 60);
    const float c = (float)ldexp(random_int(0, 1 << 24), k);
    const float a = (float)(random_sign() * ldexp(near_one(j, 23), half));
    const float b = (float)ldexp(near_one(random_int(0, 3) ? -j : 0, 23), k - 1 - half);
    try_floats(a, b, c);
    try_floats(a, b, -c);
    /* The product is a middle, or close to one, and c is small. */
    const float d = (float)ldexp(random_int(1 << 11, 1 << 12) | 1, half);
    const float e = (float)(random_sign() * ldexp(random_int(1 << 12, 1 << 13) | 1, k - half));
    try_floats(d, e, (float)(random_sign() * ldexp(random_int(0, 1 << 24), k - random_int(20, 90))));
    try_floats(d, e, (float)(random_sign() * 0x1p-149));
    /* What remains after cancellation. */
    const float f = any_float(), g = any_float();
    try_floats(f, g, -(f * g));
    try_floats(f, g, -(f * g) * (float)near_one(random_int(-2, 2), 23));
    try_floats(f, g, any_float());
    /* Sizes as kernels have them. */
    try_floats((float)ldexp(random_int(0, 1 << 24), -23), (float)ldexp(random_int(0, 1 << 24), -24),
               (float)ldexp(random_int(0, 1 << 24), -25));
}

static void hard_doubles(void)
{
    const int k = random_int(0, 7) ? random_int(-300, 300) : random_int(-1074, 970);
    const int j = random_int(-3, 3), half = k / 2 + random_int(-99, 99);
    const double c = ldexp((double)(random_bits() >> random_int(11, 63)), k);
    const double a = random_sign() * ldexp(near_one(j, 52), half);
    const double b = ldexp(near_one(random_int(0, 3) ? -j : 0, 52), k - 1 - half);
    try_doubles(a, b, c);
    try_doubles(a, b, -c);
    const double d = ldexp((double)(random_bits() >> 37 | 1), half);
    const double e = random_sign() * ldexp((double)(random_bits() >> 37 | 1), k - half);
    try_doubles(d, e, random_sign() * ldexp((double)(random_bits() >> 11), k - random_int(50, 200)));
    /* The 53 last bits of the product are 2^52 - last, and c is about `last`. */
    const uint64_t odd = random_bits() >> 11 | UINT64_C(1) << 52 | 1;
    const int last = random_int(-3, 3);
    uint64_t inverse = odd; /* modulo 2^64, by Newton's method from 3 bits */
    for (int bits = 3; bits < 64; bits *= 2)
        inverse *= 2 - odd * inverse;
    const double other = (double)(((UINT64_C(1) << 52) - (uint64_t)last) * inverse << 11 >> 11);
    const double nearly = last * (1 + random_int(-1, 1) * 0x1p-52);
    try_doubles(ldexp((double)odd, half), ldexp(other, k - half), ldexp(nearly, k));
    try_doubles(-ldexp((double)odd, half), ldexp(other, k - half), -ldexp(nearly, k));
    const double f = ldexp((double)(random_bits() >> 11), half - 53);
    const double g = random_sign() * ldexp((double)(random_bits() >> 11), k - half);
    try_doubles(f, g, -(f * g));
    try_doubles(f, g, -(f * g) * near_one(random_int(-2, 2), 52));
    try_doubles(f, g, random_sign() * ldexp((double)(random_bits() >> 11), k + random_int(-110, 110)));
    try_doubles(bits_double(random_bits()), bits_double(random_bits()), bits_double(random_bits()));
}

static void print(const counts *n) { printf("%ld %ld %ld\n", n->cases, n->wrong, n->hard); }

int main(void)
{
    /* clang-format off */
    static const float FLOATS[] = {
        0, 0x1p-149f, 0x1.fffffcp-127f, 0x1p-126f, 0x1p-75f, 0x1.000002p-75f, 0x1p-64f, 0x1.fffffep-1f, 1,
        0x1.000002p+0f, 3, 0x1p+63f, 0x1p+64f, 0x1p+103f, 0x1.fffffep+127f, INFINITY, NAN};
    static const double DOUBLES[] = {
        0, 0x1p-1074, 0x1p-1022, 0x1p-538, 0x1p-511, 0x1p-250, 0x1.0000000000001p-250,
        0x1.fffffffffffffp-1, 1, 0x1.0000000000001p+0, 3, 0x1p+995, 0x1p+997, 0x1p+600,
        0x1.fffffffffffffp+1023, INFINITY, NAN};
    /* clang-format on */
    enum { VALUES = sizeof FLOATS / sizeof *FLOATS };
    for (int i = 0; i < VALUES * VALUES * VALUES * 8; i++) {
        const int at[3] = {i / 8 % VALUES, i / 8 / VALUES % VALUES, i / 8 / VALUES / VALUES};
        const float signs[3] = {i & 1 ? -1 : 1, i & 2 ? -1 : 1, i & 4 ? -1 : 1};
        try_floats(signs[0] * FLOATS[at[0]], signs[1] * FLOATS[at[1]], signs[2] * FLOATS[at[2]]);
        try_doubles(signs[0] * DOUBLES[at[0]], signs[1] * DOUBLES[at[1]], signs[2] * DOUBLES[at[2]]);
    }
    for (int i = 0; i < 300000; i++) {
        hard_floats();
        hard_doubles();
    }
    print(&plain_floats);
    print(&vector_floats);
    print(&vector_doubles);
    return 0;
}
