/* The kernels: counters to words, words to values, values to memory. Written once; each isa_*.c
   includes this file after its vocabulary (vec_*.h), and vec.md lists the operations used here. */
#include "kernels.h"
#include "shared/polynomials.h"

typedef float f32_real;
typedef double f64_real;

#define R(name) f32_##name
#define LOG_DIVIDES 0
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
#define LOG_DIVIDES 1
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

/* The words of `groups` groups of LANES blocks each, in pairs: words (0, 1) and (2, 3) of a block in
   the halves of its lane. The state x0..x3 lives in the low halves of four vectors. The high halves
   are never read, so no round has to repack them. */
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
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++)
        v[i] = distribution == DISTRIBUTION_uniform        ? f32_uniform(pairs[i], c)
               : distribution == DISTRIBUTION_uniform_tiny ? f32_uniform_tiny(pairs[i], c)
               : distribution == DISTRIBUTION_truncated_2  ? f32_truncated_2(pairs[i], c)
               : distribution == DISTRIBUTION_truncated_3  ? f32_truncated_3(pairs[i], c)
                                                           : f32_truncated(pairs[i], c);
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
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            v[i] = distribution == DISTRIBUTION_uniform        ? f64_uniform(words[i], c)
                   : distribution == DISTRIBUTION_uniform_tiny ? f64_uniform_tiny(words[i], c)
                   : distribution == DISTRIBUTION_truncated_2  ? f64_truncated_2(words[i], c)
                   : distribution == DISTRIBUTION_truncated_3  ? f64_truncated_3(words[i], c)
                                                               : f64_truncated(words[i], c);
    }
    f64_transpose(v, out);
}

#if HAS_NONTEMPORAL
/* Nontemporal stores should cover whole cache lines, but an allocated array usually begins 16 bytes
   after the start of a line. A block of four floats has 16 bytes, so some unit begins at a line. A
   block of doubles has 32, so their vectors may never be aligned: each aligned vector is spliced from
   two neighbouring ones. */
typedef struct {
    f64_v before;    /* the vector written last */
    vint index;      /* of f64_splice */
    ptrdiff_t shift; /* bytes by which the vectors are past an aligned address */
} f64_splicing;

static INLINE void f64_nontemporal(f64_splicing *s, char *dst, const f64_v v[4])
{
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        f64_nontemporal_one(dst + (size_t)i * LANES * 8 - s->shift,
                            f64_splice(s->before, v[i], s->index));
        s->before = v[i];
    }
}
#define WRITE(store, nontemporal) \
    if (splicing) \
        nontemporal; \
    else \
        store
#else
typedef void f64_splicing; /* always passed as NULL */
#define WRITE(store, nontemporal) store
#endif

/* Where the next group of blocks is written. */
typedef struct {
    kernel_rows row; /* the current row; row.rows is not used */
    vint counters, advance;
    char *dst;
    size_t left; /* groups left in the row */
} position;

static INLINE position enter_row(kernel_rows row)
{
    const vint lanes = vint_mul(vint_counters(0), vint_set(row.stride));
    return (position){.row = row,
                      .counters = vint_advance(vint_set(row.block), lanes),
                      .advance = vint_set((uint64_t)row.stride * LANES),
                      .dst = row.dst,
                      .left = row.units * (UNIT_BLOCKS / LANES)};
}

/* The counters and destinations of the next groups. Nearly always all of them lie in one row, and
   then they differ by a constant. Groups of several rows are also taken together: a step of fewer
   groups would wait for the latency of Philox's rounds. */
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
        /* Untaken by tests of isa_scalar: with one group at a time, only the last of a row comes here. */
        if (--at->left == 0) {
            at->row.block += at->row.block_step;
            at->row.dst += at->row.dst_step;
            *at = enter_row(at->row);
        }
    }
}

/* The words of the groups of a step: pair01 and pair23 from W, more01 and more23, for doubles, from L. */
typedef struct {
    vint pair01[GROUPS], pair23[GROUPS], more01[GROUPS], more23[GROUPS];
} step_words;

/* Groups [from, end) of a step. Here and below, `splicing` is NULL for ordinary stores, and what comes
   before it is known to the compiler. */
static INLINE void write_values(int distribution, int dtype, int from, int end, f64_splicing *splicing,
                                const kernel_job *job, const step_words *w, char *const to[])
{
    (void)splicing;
#pragma GCC unroll 8
    for (int g = from; g < end; g++) {
        if (dtype == FX_FLOAT64) {
            const vint words[4] = {
                vint_join_low(w->more01[g], w->pair01[g]), vint_join_high(w->more01[g], w->pair01[g]),
                vint_join_low(w->more23[g], w->pair23[g]), vint_join_high(w->more23[g], w->pair23[g])};
            f64_v v[4];
            f64_values(distribution, &job->f64, words, v);
            WRITE(f64_store(to[g], v), f64_nontemporal(splicing, to[g], v));
            continue;
        }
        f32_v v[2];
        f32_values(distribution, &job->f32, w->pair01[g], w->pair23[g], v);
        if (dtype == FX_FLOAT32) {
            WRITE(f32_store(to[g], v), f32_nontemporal(to[g], v));
        } else if (dtype == FX_FLOAT16) {
            WRITE(f16_store(to[g], v), f16_nontemporal(to[g], v));
        } else {
            WRITE(bf16_store(to[g], v), bf16_nontemporal(to[g], v));
        }
    }
}

/* The code that computes the values of a whole step would not fit the instruction cache of most CPUs: it
   is a loop over some of its groups. Uniform values and the normals of floats need less code, and gain
   from keeping their words in registers. */
static INLINE int groups_together(int distribution, int dtype, int groups)
{
    if (distribution == DISTRIBUTION_constant || distribution == DISTRIBUTION_uniform ||
        (distribution == DISTRIBUTION_normal && dtype != FX_FLOAT64))
        return groups;
    const int together = distribution == DISTRIBUTION_normal ? F64_NORMALS_TOGETHER : TOGETHER;
    return together < groups ? together : groups;
}

static INLINE void write_groups(int distribution, int dtype, int size, int groups,
                                f64_splicing *splicing, const kernel_job *job, position *at)
{
    const int together = groups_together(distribution, dtype, groups);
    vint counters[GROUPS];
    char *to[GROUPS];
    step_words w;
    take_groups(at, (size_t)LANES * BLOCK * (size_t)size, groups, counters, to);
    philox_pairs(&job->words, counters, groups, w.pair01, w.pair23);
    if (dtype == FX_FLOAT64)
        philox_pairs(&job->more_words, counters, groups, w.more01, w.more23);
    /* Untaken by tests of isa_scalar: a step has one group there. */
    if (together == groups) {
        write_values(distribution, dtype, 0, groups, splicing, job, &w, to);
        return;
    }
    FX_PRAGMA(GCC unroll 1)
    /* Untaken by tests of isa_scalar: a step has one group there. */
    for (int g = 0; g < groups; g += together)
        write_values(distribution, dtype, g, g + together, splicing, job, &w, to);
}

static INLINE void store_rows(int distribution, int dtype, int size, const kernel_job *job,
                              const kernel_rows *place)
{
    position at = enter_row(*place);
    size_t groups = at.left * place->rows;
    /* Untaken by tests of isa_scalar: a step has one group there. */
    int end_is_a_step = place->rows == 1 && groups > GROUPS;
    while (groups >= GROUPS) {
        write_groups(distribution, dtype, size, GROUPS, NULL, job, &at);
        groups -= GROUPS;
        /* A step takes little longer than a single group, so that writing some values a second time is
           faster than one group after another. */
        /* Untaken by tests of isa_scalar: a step has one group there. */
        if (end_is_a_step && groups > 1 && groups < GROUPS) {
            kernel_rows end = *place;
            const size_t before = end.units * (UNIT_BLOCKS / LANES) - GROUPS;
            end.block += (uint32_t)(before * LANES) * end.stride;
            end.dst += before * LANES * BLOCK * (size_t)size;
            at = enter_row(end);
            at.left = GROUPS;
            groups = GROUPS;
            end_is_a_step = 0;
        }
    }
    /* Untaken by tests of isa_scalar: steps of one group leave no group over. */
    for (; groups; groups--)
        write_groups(distribution, dtype, size, 1, NULL, job, &at);
}

#define KERNEL(distribution, DTYPE, name, size) \
    static void distribution##_##name##_store(const kernel_job *job, const kernel_rows *place) \
    { \
        store_rows(DISTRIBUTION_##distribution, FX_##DTYPE, size, job, place); \
    }
/* The dtypes with kernels of their own, and those whose kernels round what float32's write. */
#if ROUNDS_IN_REGISTERS
#define DIRECT_DTYPES(ROW, distribution) \
    FX_COMPUTED_DTYPES(ROW, distribution) FX_SIXTEEN_BIT_DTYPES(ROW, distribution)
#define ROUNDED_DTYPES FX_EIGHT_BIT_DTYPES
#else
#define DIRECT_DTYPES FX_COMPUTED_DTYPES
#define ROUNDED_DTYPES(ROW, distribution) \
    FX_SIXTEEN_BIT_DTYPES(ROW, distribution) FX_EIGHT_BIT_DTYPES(ROW, distribution)
#endif
#define KERNELS_OF(distribution) DIRECT_DTYPES(KERNEL, distribution)
FX_DISTRIBUTIONS(KERNELS_OF)

/* Floats rounded once to an eight-bit dtype, in the top byte of each half of a lane. The sum with a power
   of two whose last bit is worth as much as the result's rounds to nearest even, and ends with the bits of
   the significand. Numbers below `least_normal` are as far apart as those just above it. No value comes
   here that would round beyond the largest finite number. */
static INLINE vint eight_bits(int dtype, f32_v x)
{
    const int e4m3 = dtype == FX_FLOAT8_E4M3FN; /* three bits after the point, otherwise two */
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

static INLINE void round_units(int dtype, size_t size, char *dst, const char *floats, size_t units)
{
    for (size_t i = 0; i < units * (UNIT_BLOCKS / LANES); i++, dst += LANES * BLOCK * size) {
        f32_v v[2];
        memcpy(v, floats + i * sizeof v, sizeof v);
        if (dtype == FX_FLOAT16) {
            f16_store(dst, v);
        } else if (dtype == FX_BFLOAT16) {
            bf16_store(dst, v);
        } else {
            const vint codes[2] = {eight_bits(dtype, v[0]), eight_bits(dtype, v[1])};
            top_bytes_store(dst, codes);
        }
    }
}

/* Write floats to a buffer that fits the first-level cache, and round them from there. Rounding them while
   they are in registers makes each of these kernels as long as that of float32. For eight-bit dtypes it is
   not faster; for the others it is, where a vector is one register. */
static INLINE void round_rows(int dtype, size_t size, kernel *store_floats, const kernel_job *job,
                              const kernel_rows *place)
{
    enum { MOST = 64 }; /* units */
    char floats[MOST * UNIT * sizeof(float)];
    const size_t most_units = place->units < MOST ? place->units : MOST, most_rows = MOST / most_units;
    kernel_rows part = *place;
    part.dst = floats;
    for (size_t row = 0; row < place->rows; row += part.rows) {
        part.rows = place->rows - row < most_rows ? place->rows - row : most_rows;
        char *dst = place->dst + (int64_t)row * place->dst_step;
        for (size_t unit = 0; unit < place->units; unit += part.units) {
            part.units = place->units - unit < most_units ? place->units - unit : most_units;
            part.dst_step = (int64_t)(part.units * UNIT * sizeof(float));
            part.block = place->block + (uint32_t)row * place->block_step +
                         (uint32_t)(unit * UNIT_BLOCKS) * place->stride;
            store_floats(job, &part);
            for (size_t i = 0; i < part.rows; i++)
                round_units(dtype, size, dst + (int64_t)i * place->dst_step + unit * UNIT * size,
                            floats + (int64_t)i * part.dst_step, part.units);
        }
    }
}

/* One function for each dtype, which all distributions share. */
#define ROUND(unused, DTYPE, name, size) \
    static NOINLINE void name##_from_floats(kernel *store_floats, const kernel_job *job, \
                                            const kernel_rows *place) \
    { \
        round_rows(FX_##DTYPE, size, store_floats, job, place); \
    }
ROUNDED_DTYPES(ROUND, )
#define ROUNDED_KERNEL(distribution, DTYPE, name, size) \
    static void distribution##_##name##_store(const kernel_job *job, const kernel_rows *place) \
    { \
        name##_from_floats(distribution##_f32_store, job, place); \
    }
#define ROUNDED_KERNELS_OF(distribution) ROUNDED_DTYPES(ROUNDED_KERNEL, distribution)
FX_DISTRIBUTIONS(ROUNDED_KERNELS_OF)

#define STORE(distribution, DTYPE, name, size) [FX_##DTYPE] = distribution##_##name##_store,
#define STORES_OF(distribution) [DISTRIBUTION_##distribution] = {FX_DTYPES(STORE, distribution)},
#define STORE_TABLE .store = {FX_DISTRIBUTIONS(STORES_OF)}

#if HAS_NONTEMPORAL
/* One row. Only whole steps of GROUPS groups are written with nontemporal stores. The ordinary kernel
   `store` writes the units after them, so that the code for single groups is not compiled twice, and
   the first unit of doubles, whose last vector is what the first splice begins with. */
static INLINE void nontemporal_row(int distribution, int dtype, int size, kernel *store,
                                   const kernel_job *job, const kernel_rows *place)
{
    enum { STEP = GROUPS * LANES / UNIT_BLOCKS }; /* units */
    kernel_rows rest = *place;
    f64_splicing splicing;
    if (dtype == FX_FLOAT64) {
        rest.units = 1;
        store(job, &rest);
        rest.units = place->units - 1;
        rest.dst += UNIT * sizeof(double);
        rest.block += UNIT_BLOCKS;
        splicing.before = f64_load_one(rest.dst - LANES * sizeof(double));
        splicing.shift = (ptrdiff_t)((uintptr_t)rest.dst % (LANES * sizeof(double)));
        splicing.index = f64_splice_index((int)(splicing.shift / (ptrdiff_t)sizeof(double)));
    }
    position at = enter_row(rest);
    const size_t steps = rest.units / STEP;
    for (size_t i = 0; i < steps; i++)
        write_groups(distribution, dtype, size, GROUPS, &splicing, job, &at);
    rest.units -= steps * STEP;
    rest.dst += steps * STEP * UNIT * (size_t)size;
    rest.block += (uint32_t)(steps * STEP * UNIT_BLOCKS);
    if (dtype == FX_FLOAT64)
        f64_store_one(rest.dst - LANES * sizeof(double), splicing.before);
    nontemporal_fence();
    if (rest.units)
        store(job, &rest);
}

#define NONTEMPORAL_KERNEL(distribution, DTYPE, name, size) \
    static void distribution##_##name##_nontemporal(const kernel_job *job, const kernel_rows *place) \
    { \
        nontemporal_row(DISTRIBUTION_##distribution, FX_##DTYPE, size, distribution##_##name##_store, \
                        job, place); \
    }
#define NONTEMPORAL_KERNELS_OF(distribution) DIRECT_DTYPES(NONTEMPORAL_KERNEL, distribution)
FX_LARGE_DISTRIBUTIONS(NONTEMPORAL_KERNELS_OF)

#define NONTEMPORAL(distribution, DTYPE, name, size) [FX_##DTYPE] = distribution##_##name##_nontemporal,
#define NONTEMPORALS_OF(distribution) \
    [DISTRIBUTION_##distribution] = {DIRECT_DTYPES(NONTEMPORAL, distribution)},
#define KERNEL_TABLES \
    STORE_TABLE, .nontemporal_align = LANES * 8, .nontemporal = {FX_LARGE_DISTRIBUTIONS(NONTEMPORALS_OF)}
#else
#define KERNEL_TABLES STORE_TABLE
#endif
