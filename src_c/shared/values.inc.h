/* From counters to words and from words to values, once for every vocabulary: the SIMD ones of the CPU,
   which vec.md describes, and CUDA's. simd/kernels.inc.h and cuda/kernels.cu include it. */
#include "job.h"
#include "polynomials.h"

typedef float f32_real;
typedef double f64_real;

#define R(name) f32_##name
#define LOG_DIVIDES 0
#define UNIT_OF_WORD 0x1p-32f
#define LOW_BITS 0xFF
#define TWO_THIRDS_BITS 0x3F2AAAAB
#define EXPONENT_MASK (-0x7FFFFF - 1)
#define EXPONENT_UNIT 0x1p-23f
#define MINUS_TWO_BITS (-0x40000000)
#define MINUS_TWO_LN2 -0x1.62e43p+0f
#include "math.inc.h"
#include "distributions.inc.h"
#include "precision_end.inc.h"

#define R(name) f64_##name
#define LOG_DIVIDES 1
#define UNIT_OF_WORD 0x1p-64
#define LOW_BITS INT64_C(0x7FF)
#define TWO_THIRDS_BITS INT64_C(0x3FE5555555555555)
#define EXPONENT_MASK (-INT64_C(0xFFFFFFFFFFFFF) - 1)
#define EXPONENT_UNIT 0x1p-52
#define MINUS_TWO_BITS (-INT64_C(0x4000000000000000))
#define MINUS_TWO_LN2 -0x1.62e42fefa39efp+0
#include "math.inc.h"
#include "distributions.inc.h"
#include "precision_end.inc.h"

/* The words of `groups` groups of LANES blocks each, in pairs: words (0, 1) and (2, 3) of a block in
   the halves of its lane. The state x0..x3 lives in the low halves of four vectors. The high halves
   are never read, so no round has to repack them. */
static INLINE void philox_pairs(const philox_schedule *s, const vint counters[], int groups,
                                vint pair01[], vint pair23[])
{
    const vint m0 = vint_set(PHILOX_M0), m1 = vint_set(PHILOX_M1);
    vint x0[GROUPS], x1[GROUPS], x2[GROUPS], x3[GROUPS];
    FX_UNROLL(8)
    for (int g = 0; g < groups; g++) {
        x3[g] = vint_mul(counters[g], m0);
        x2[g] = vint_xor(vint_high(x3[g]), vint_key(s->x2_round0));
        x1[g] = vint_mul(x2[g], m1);
        x0[g] = vint_xor(vint_high(x1[g]), vint_key(s->x0_round1));
        x2[g] = vint_xor(x3[g], vint_key(s->x2_round1));
    }
    FX_UNROLL(16)
    for (int round = 2; round < PHILOX_ROUNDS - 1; round++) {
        FX_UNROLL(8)
        for (int g = 0; g < groups; g++) {
            const vint p0 = vint_mul(x0[g], m0), p1 = vint_mul(x2[g], m1);
            x0[g] = vint_xor3(vint_high(p1), x1[g], vint_key(s->k0[round]));
            x2[g] = round == 2 ? vint_xor(vint_high(p0), vint_key(s->x2_round2))
                               : vint_xor3(vint_high(p0), x3[g], vint_key(s->k1[round]));
            x1[g] = p1;
            x3[g] = p0;
        }
    }
    FX_UNROLL(8)
    for (int g = 0; g < groups; g++) {
        const vint p0 = vint_mul(x0[g], m0), p1 = vint_mul(x2[g], m1);
        pair01[g] = vint_swap_xor(p1, x1[g], vint_key(s->k0[PHILOX_ROUNDS - 1]));
        pair23[g] = vint_swap_xor(p0, x3[g], vint_key(s->k1[PHILOX_ROUNDS - 1]));
    }
}

/* The values of one group from its words, in memory order. `distribution` is a compile-time constant
   at every call. */
static INLINE void f32_values(int distribution, const f32_constants *c, vint pair01, vint pair23,
                              f32_v out[2])
{
    if (distribution == DISTRIBUTION_constant) {
        out[0] = out[1] = f32_constant(c);
        return;
    }
    if (distribution == DISTRIBUTION_normal) {
        f32_v pair[2];
        f32_normal(vint_join_low(pair01, pair23), vint_join_high(pair01, pair23), c, pair);
        f32_zip32(pair[0], pair[1], out);
        return;
    }
    f32_v v[2];
    const vint pairs[2] = {pair01, pair23};
    FX_UNROLL(2)
    for (int i = 0; i < 2; i++)
        v[i] = f32_value(distribution, pairs[i], c);
    f32_zip64(v[0], v[1], out);
}

static INLINE void f64_values(int distribution, const f64_constants *c, const vint words[4],
                              f64_v out[4])
{
    f64_v v[4];
    if (distribution == DISTRIBUTION_constant) {
        out[0] = out[1] = out[2] = out[3] = f64_constant(c);
        return;
    }
    if (distribution == DISTRIBUTION_normal) {
        f64_normal(words[0], words[1], c, v);
        f64_normal(words[2], words[3], c, v + 2);
    } else {
        FX_UNROLL(4)
        for (int i = 0; i < 4; i++)
            v[i] = f64_value(distribution, words[i], c);
    }
    f64_transpose(v, out);
}

/* The words of doubles, from the pairs of W and of L. */
static INLINE void f64_words(vint pair01, vint pair23, vint more01, vint more23, vint words[4])
{
    words[0] = vint_join_low(more01, pair01);
    words[1] = vint_join_high(more01, pair01);
    words[2] = vint_join_low(more23, pair23);
    words[3] = vint_join_high(more23, pair23);
}

/* Floats rounded once to float8_e4m3fn, which has three bits after the point, or else to float8_e5m2, which
   has two, in the top byte of each half of a lane. The sum with a power
   of two whose last bit is worth as much as the result's rounds to nearest even, and ends with the bits of
   the significand. Numbers below `least_normal` are as far apart as those just above it. No value comes
   here that would round beyond the largest finite number. */
static INLINE vint eight_bits(int e4m3, f32_v x)
{
    const f32_v least_normal = f32_set(e4m3 ? 0x1p-6f : 0x1p-14f);
    const vint bits = f32_bits(x);
    const f32_v power = f32_max(f32_unbits(vint_and(bits, f32_iset(0x7F800000))), least_normal);
    const f32_v size = f32_unbits(vint_and(bits, f32_iset(INT32_MAX)));
    const f32_v sum = f32_add(size, f32_mul(power, f32_set(e4m3 ? 0x1p20f : 0x1p21f)));
    const vint significand = f32_ishl(f32_bits(sum), 24);
    const vint below = f32_isub(f32_bits(least_normal), f32_bits(power));
    const vint minus_exponent = e4m3 ? f32_ishl(below, 4) : f32_ishl(below, 3);
    return f32_bits(f32_flip(f32_unbits(f32_isub(significand, minus_exponent)), bits));
}
