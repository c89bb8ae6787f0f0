/* Counters to words, words to values, values to memory: the loop every kernel is. Written once;
   each isa_*.c includes it with its vocabulary in scope and ISA defined to its name. */
#include "kernels.h"
#include "shared/polynomials.h"

typedef float f32_real;
typedef double f64_real;

#define R(name) f32_##name
#define UNIT_OF_WORD 0x1p-32f
#define LOW_BITS 0xFF
#define WORD_MAX INT32_MAX
#define TWO_THIRDS_BITS 0x3F2AAAAB
#define EXPONENT_MASK (-0x7FFFFF - 1)
#define EXPONENT_UNIT 0x1p-23f
#define MINUS_TWO_BITS (-0x40000000)
#define MINUS_TWO_LN2 -0x1.62e43p+0f
#include "shared/math.inc.h"
#include "shared/distributions.inc.h"
#include "shared/precision_end.inc.h"

#define R(name) f64_##name
#define UNIT_OF_WORD 0x1p-64
#define LOW_BITS INT64_C(0x7FF)
#define WORD_MAX INT64_MAX
#define TWO_THIRDS_BITS INT64_C(0x3FE5555555555555)
#define EXPONENT_MASK (-INT64_C(0xFFFFFFFFFFFFF) - 1)
#define EXPONENT_UNIT 0x1p-52
#define MINUS_TWO_BITS (-INT64_C(0x4000000000000000))
#define MINUS_TWO_LN2 -0x1.62e42fefa39efp+0
#include "shared/math.inc.h"
#include "shared/distributions.inc.h"
#include "shared/precision_end.inc.h"

/* The words of `groups` groups of LANES blocks each, in pairs: (word 0, word 1) and (2, 3) of a
   block in the halves of its lane. A state x0..x3 lives in the low halves of four vectors; what
   the high halves hold is never looked at, which spares every round its repacking. */
static INLINE void philox_pairs(const philox_schedule *s, const vint counters[], int groups,
                                vint pair01[], vint pair23[])
{
    const vint m0 = vint_set(PHILOX_M0), m1 = vint_set(PHILOX_M1);
    vint x0[GROUPS], x1[GROUPS], x2[GROUPS], x3[GROUPS];
#pragma GCC unroll 8
    for (int g = 0; g < groups; g++) {
        x3[g] = vint_mul(counters[g], m0);
        x2[g] = vint_xor(vint_high(x3[g]), vint_key(s->x2_round0));
        x1[g] = vint_mul(x2[g], m1);
        x0[g] = vint_xor(vint_high(x1[g]), vint_key(s->x0_round1));
        x2[g] = vint_xor(x3[g], vint_key(s->x2_round1));
    }
#pragma GCC unroll 16
    for (int round = 2; round < PHILOX_ROUNDS - 1; round++) {
#pragma GCC unroll 8
        for (int g = 0; g < groups; g++) {
            const vint p0 = vint_mul(x0[g], m0), p1 = vint_mul(x2[g], m1);
            x0[g] = vint_xor3(vint_high(p1), x1[g], vint_key(s->k0[round]));
            x2[g] = round == 2 ? vint_xor(vint_high(p0), vint_key(s->x2_round2))
                               : vint_xor3(vint_high(p0), x3[g], vint_key(s->k1[round]));
            x1[g] = p1;
            x3[g] = p0;
        }
    }
#pragma GCC unroll 8
    for (int g = 0; g < groups; g++) {
        const vint p0 = vint_mul(x0[g], m0), p1 = vint_mul(x2[g], m1);
        pair01[g] = vint_swap_xor(p1, x1[g], vint_key(s->k0[PHILOX_ROUNDS - 1]));
        pair23[g] = vint_swap_xor(p0, x3[g], vint_key(s->k1[PHILOX_ROUNDS - 1]));
    }
}

/* Values of one group from its words, in memory order. `distribution` is a constant at every call. */
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
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++)
        v[i] = distribution == DISTRIBUTION_uniform        ? f32_uniform(pairs[i], c)
               : distribution == DISTRIBUTION_uniform_tiny ? f32_uniform_tiny(pairs[i], c)
               : distribution == DISTRIBUTION_truncated_core ? f32_truncated_core(pairs[i], c)
                                           : f32_truncated(pairs[i], c);
    f32_zip64(v[0], v[1], out);
}

static INLINE void f64_values(int distribution, const f64_constants *c, const vint words[4], f64_v out[4])
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
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            v[i] = distribution == DISTRIBUTION_uniform        ? f64_uniform(words[i], c)
                   : distribution == DISTRIBUTION_uniform_tiny ? f64_uniform_tiny(words[i], c)
                   : distribution == DISTRIBUTION_truncated_core ? f64_truncated_core(words[i], c)
                                               : f64_truncated(words[i], c);
    }
    f64_transpose(v, out);
}

/* What streams of doubles carry from one vector to the next. A stream wants whole cache lines, and
   memory for an array usually begins 16 bytes past one. A block of four floats is that long, so
   a unit can begin at a line; one of doubles is longer. So each of their lines is spliced from the
   vectors on its two sides. */
typedef struct {
    f64_v before;
    vint index;
    ptrdiff_t shift; /* bytes from a line's beginning to its second vector's */
    int begun;
} f64_splicing;

#if HAS_STREAMS
static INLINE void f64_stream(f64_splicing *s, char *dst, const f64_v v[4])
{
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        f64_stream_one(dst + (size_t)i * LANES * 8 - s->shift, f64_splice(s->before, v[i], s->index));
        s->before = v[i];
    }
}
#define STREAM_OR_STORE(name) (streaming ? name##_stream : name##_store)
#else
#define f64_stream(splicing, dst, v) f64_store(dst, v)
#define STREAM_OR_STORE(name) name##_store
#endif

/* Where the next group of blocks is written. */
typedef struct {
    kernel_rows row; /* the one it is in, and how many are left */
    vint counters, advance;
    char *dst;
    size_t left; /* groups of the row */
} position;

static INLINE void enter_row(position *at)
{
    const vint lanes = vint_mul(vint_counters(0), vint_set(at->row.stride));
    at->counters = vint_advance(vint_set(at->row.block), lanes);
    at->dst = at->row.dst;
    at->left = at->row.units * (UNIT_BLOCKS / LANES);
}

/* The counters and places of the next groups. Those of one row, as they nearly always are, are
   some additions apart; rows that end among them would else cost short steps, each waiting for
   all of Philox's rounds. */
static INLINE void take_groups(position *at, size_t step, int groups, vint counters[], char *to[])
{
    if (at->left > (size_t)groups) {
#pragma GCC unroll 8
        for (int g = 0; g < groups; g++) {
            counters[g] = at->counters;
            to[g] = at->dst + (size_t)g * step;
            at->counters = vint_advance(at->counters, at->advance);
        }
        at->dst += (size_t)groups * step;
        at->left -= (size_t)groups;
        return;
    }
    for (int g = 0; g < groups; g++) {
        counters[g] = at->counters;
        to[g] = at->dst;
        at->counters = vint_advance(at->counters, at->advance);
        at->dst += step;
        /* Untaken by tests of isa_scalar: one group at a time comes here only as the last of its row. */
        if (--at->left == 0) {
            at->row.block += at->row.block_step;
            at->row.dst += at->row.dst_step;
            enter_row(at);
        }
    }
}

static INLINE void write_groups(int distribution, int dtype, int size, int streaming, f64_splicing *splicing,
                                const kernel_job *job, position *at, int groups)
{
    vint counters[GROUPS], pair01[GROUPS], pair23[GROUPS];
    char *to[GROUPS];
    take_groups(at, (size_t)LANES * BLOCK * (size_t)size, groups, counters, to);
    philox_pairs(&job->words, counters, groups, pair01, pair23);
    if (dtype == FX_FLOAT64) {
        vint more01[GROUPS], more23[GROUPS];
        philox_pairs(&job->more_words, counters, groups, more01, more23);
#pragma GCC unroll 8
        for (int g = 0; g < groups; g++) {
            const vint words[4] = {
                vint_join_low(more01[g], pair01[g]), vint_join_high(more01[g], pair01[g]),
                vint_join_low(more23[g], pair23[g]), vint_join_high(more23[g], pair23[g])};
            f64_v v[4];
            f64_values(distribution, &job->f64, words, v);
            /* Untaken by tests of isa_scalar: plain C has no streams. */
            if (streaming && splicing->begun) {
                f64_stream(splicing, to[g], v);
            } else {
                f64_store(to[g], v);
                splicing->before = v[3];
                splicing->begun = 1;
            }
        }
        return;
    }
#pragma GCC unroll 8
    for (int g = 0; g < groups; g++) {
        f32_v v[2];
        f32_values(distribution, &job->f32, pair01[g], pair23[g], v);
        if (dtype == FX_FLOAT32)
            STREAM_OR_STORE(f32)(to[g], v);
        else if (dtype == FX_FLOAT16)
            STREAM_OR_STORE(f16)(to[g], v);
        else
            STREAM_OR_STORE(bf16)(to[g], v);
    }
}

static INLINE void run(int distribution, int dtype, int size, int streaming, const kernel_job *job,
                       const kernel_rows *place)
{
    position at = {.row = *place, .advance = vint_set((uint64_t)place->stride * LANES)};
    f64_splicing splicing = {.begun = 0};
    enter_row(&at);
    size_t groups = at.left * place->rows;
#if HAS_STREAMS
    char *const end = place->dst + groups * (LANES * BLOCK) * (size_t)size;
    if (streaming) {
        splicing.shift = (ptrdiff_t)((uintptr_t)place->dst % (LANES * 8));
        splicing.index = f64_splice_index((int)(splicing.shift / 8));
    }
#endif
    for (; groups >= GROUPS; groups -= GROUPS)
        write_groups(distribution, dtype, size, streaming, &splicing, job, &at, GROUPS);
    /* Untaken by tests of isa_scalar: of steps of one group each none leaves a group over. */
    for (; groups; groups--)
        write_groups(distribution, dtype, size, streaming, &splicing, job, &at, 1);
#if HAS_STREAMS
    if (streaming) {
        if (dtype == FX_FLOAT64)
            f64_store_last(end - LANES * 8, splicing.before);
        stream_fence();
    }
#endif
}

#if HAS_STREAMS
#define KERNEL_STREAM(distribution, DTYPE, name, size)                                                   \
    static void distribution##_##name##_stream(const kernel_job *job, const kernel_rows *place)          \
    {                                                                                           \
        run(DISTRIBUTION_##distribution, FX_##DTYPE, size, 1, job, place);                                        \
    }
#else
#define KERNEL_STREAM(distribution, DTYPE, name, size)
#endif
#define KERNEL(distribution, DTYPE, name, size)                                                          \
    static void distribution##_##name##_store(const kernel_job *job, const kernel_rows *place)           \
    {                                                                                           \
        run(DISTRIBUTION_##distribution, FX_##DTYPE, size, 0, job, place);                                        \
    }                                                                                           \
    KERNEL_STREAM(distribution, DTYPE, name, size)
#define KERNELS_OF(distribution) FX_DTYPES(KERNEL, distribution)
FX_DISTRIBUTIONS(KERNELS_OF)

#define STORE(distribution, DTYPE, name, size) [FX_##DTYPE] = distribution##_##name##_store,
#define STORES_OF(distribution) [DISTRIBUTION_##distribution] = {FX_DTYPES(STORE, distribution)},
#if HAS_STREAMS
#define STREAM(distribution, DTYPE, name, size) [FX_##DTYPE] = distribution##_##name##_stream,
#define STREAMS_OF(distribution) [DISTRIBUTION_##distribution] = {FX_DTYPES(STREAM, distribution)},
#define KERNEL_TABLES .store = {FX_DISTRIBUTIONS(STORES_OF)}, .stream = {FX_DISTRIBUTIONS(STREAMS_OF)}
#else
#define KERNEL_TABLES .store = {FX_DISTRIBUTIONS(STORES_OF)}
#endif
