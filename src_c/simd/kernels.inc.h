/* The kernels: values to memory, a step of several groups at a time. Written once; each isa_*.c includes
   this file after its vocabulary (vec_*.h), and vec.md lists the operations used here. */
#include "kernels.h"
#include "shared/values.inc.h"

#if HAS_NONTEMPORAL
/* Nontemporal stores should cover whole cache lines, but an allocated array usually begins 16 bytes
   after the start of a line. A block of four floats has 16 bytes, so some unit begins at a line. A
   block of doubles has 32, so their vectors may never be aligned: each aligned vector is spliced from
   two neighbouring ones. */
typedef struct {
    f64_v before; /* the vector written last */
    vint index; /* of f64_splice */
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
    size_t left, groups; /* groups left in the row, and in all rows */
} position;

static INLINE position enter_row(kernel_rows row, size_t groups)
{
    const vint lanes = vint_mul(vint_counters(0), vint_set(row.stride));
    return (position){.row = row,
                      .counters = vint_advance(vint_set(row.block), lanes),
                      .advance = vint_set((uint64_t)row.stride * LANES),
                      .dst = row.dst,
                      .left = row.units * (UNIT_BLOCKS / LANES),
                      .groups = groups};
}

/* The counters and destinations of the next GROUPS groups, of which those past the end go to `unwanted`.
   Nearly always all of them lie in one row, and then they differ by a constant. */
static INLINE void take_groups(position *at, size_t group_size, char *unwanted, vint counters[],
                               char *to[])
{
    if (at->left > GROUPS) {
#pragma GCC unroll 8
        for (int g = 0; g < GROUPS; g++) {
            counters[g] = at->counters;
            to[g] = at->dst + (size_t)g * group_size;
            at->counters = vint_advance(at->counters, at->advance);
        }
        at->dst += GROUPS * group_size;
        at->left -= GROUPS;
        at->groups -= GROUPS;
        return;
    }
    for (int g = 0; g < GROUPS; g++) {
        counters[g] = at->counters;
        to[g] = at->dst;
        /* Untaken by tests of isa_scalar, isa_sse2: a step has one group there. */
        if (at->groups == 0) {
            to[g] = unwanted;
            continue;
        }
        at->counters = vint_advance(at->counters, at->advance);
        at->dst += group_size;
        at->groups--;
        /* Untaken by tests of isa_scalar, isa_sse2: a step has one group there. */
        if (--at->left == 0) {
            at->row.block += at->row.block_step;
            at->row.dst += at->row.dst_step;
            *at = enter_row(at->row, at->groups);
        }
    }
}

/* The destinations and words of the groups of a step: pair01 and pair23 from W, more01 and more23, for
   doubles, from L. */
typedef struct {
    char *to[GROUPS];
    vint pair01[GROUPS], pair23[GROUPS], more01[GROUPS], more23[GROUPS];
} step;

static INLINE void take_step(int groups, int doubles, size_t group_size, char *unwanted,
                             const kernel_job *job, position *at, step *s)
{
    vint counters[GROUPS];
    take_groups(at, group_size, unwanted, counters, s->to);
    philox_pairs(&job->words, counters, groups, s->pair01, s->pair23);
    if (doubles)
        philox_pairs(&job->more_words, counters, groups, s->more01, s->more23);
}

/* A whole step hides the latency of Philox's rounds, and takes little longer than three groups alone. FEW
   groups are taken alone, where the groups of a unit do not always make whole steps. */
enum { FEW = UNIT_BLOCKS / LANES % GROUPS ? GROUPS / 4 : 0 };

static INLINE void take_step_to_memory(int doubles, size_t group_size, char *unwanted,
                                       const kernel_job *job, position *at, step *s)
{
    /* Untaken by tests of isa_scalar, isa_sse2: a step has one group there. */
    if (at->groups <= FEW)
        take_step(FEW, doubles, group_size, unwanted, job, at, s);
    else
        take_step(GROUPS, doubles, group_size, unwanted, job, at, s);
}

/* One function for all kernels of floats, and one for those of doubles. */
static NOINLINE void take_step_of_floats(size_t group_size, char *unwanted, const kernel_job *job,
                                         position *at, step *s)
{
    take_step_to_memory(0, group_size, unwanted, job, at, s);
}

static NOINLINE void take_step_of_doubles(size_t group_size, char *unwanted, const kernel_job *job,
                                          position *at, step *s)
{
    take_step_to_memory(1, group_size, unwanted, job, at, s);
}

/* The floats of one group, rounded to their dtype. Here and below, `splicing` is NULL for ordinary stores,
   and the compiler knows the dtype and the distribution. */
static INLINE void store_floats(int dtype, char *dst, const f32_v v[2], const f64_splicing *splicing)
{
    (void)splicing;
    if (dtype == FX_FLOAT32) {
        WRITE(f32_store(dst, v), f32_nontemporal(dst, v));
    } else if (dtype == FX_FLOAT16) {
        WRITE(f16_store(dst, v), f16_nontemporal(dst, v));
    } else if (dtype == FX_BFLOAT16) {
        WRITE(bf16_store(dst, v), bf16_nontemporal(dst, v));
    } else {
        const int e4m3 = dtype == FX_FLOAT8_E4M3FN;
        const vint codes[2] = {eight_bits(e4m3, v[0]), eight_bits(e4m3, v[1])};
        top_bytes_store(dst, codes);
    }
}

/* Groups [from, end) of a step. */
static INLINE void write_values(int distribution, int dtype, int from, int end, f64_splicing *splicing,
                                const kernel_job *constants, const step *s)
{
    (void)splicing;
#pragma GCC unroll 8
    for (int g = from; g < end; g++) {
        if (dtype == FX_FLOAT64) {
            vint words[4];
            f64_words(s->pair01[g], s->pair23[g], s->more01[g], s->more23[g], words);
            f64_v v[4];
            f64_values(distribution, &constants->f64, words, v);
            WRITE(f64_store(s->to[g], v), f64_nontemporal(splicing, s->to[g], v));
            continue;
        }
        f32_v v[2];
        f32_values(distribution, &constants->f32, s->pair01[g], s->pair23[g], v);
        store_floats(dtype, s->to[g], v, splicing);
    }
}

/* Uniform values and the normals of floats need little code, and gain from keeping the words of a whole
   step in registers. */
static INLINE int words_in_registers(int distribution, int dtype)
{
    return distribution == DISTRIBUTION_constant || distribution == DISTRIBUTION_uniform ||
           (distribution == DISTRIBUTION_normal && dtype != FX_FLOAT64);
}

/* The values of a step, `together` groups at a time, from words in memory. */
static INLINE void write_from_memory(int distribution, int dtype, int size, int together, char *unwanted,
                                     f64_splicing *splicing, const kernel_job *job,
                                     const kernel_job *constants, position *at)
{
    const size_t group_size = (size_t)LANES * BLOCK * (size_t)size;
    /* Untaken by tests of isa_scalar, isa_sse2: a step has one group there. */
    const int groups = at->groups < GROUPS ? (int)at->groups : GROUPS;
    step s;
    if (dtype == FX_FLOAT64)
        take_step_of_doubles(group_size, unwanted, job, at, &s);
    else
        take_step_of_floats(group_size, unwanted, job, at, &s);
    FX_PRAGMA(GCC unroll 1)
    for (int g = 0; g < groups; g += together)
        write_values(distribution, dtype, g, g + together, splicing, constants, &s);
}

/* Where the words are in memory, the code that computes the values of a whole step would not fit the
   instruction cache of most CPUs: it is a loop over some of its groups. `constants` is a copy of `job` that no
   store can change, as far as the compiler knows, so that the loop has the constants in registers. */
static INLINE void write_step(int distribution, int dtype, int size, char *unwanted,
                              f64_splicing *splicing, const kernel_job *job, const kernel_job *constants,
                              position *at)
{
    if (!words_in_registers(distribution, dtype)) {
        write_from_memory(distribution, dtype, size, TOGETHER, unwanted, splicing, job, constants, at);
        return;
    }
    step s;
    take_step(GROUPS, dtype == FX_FLOAT64, (size_t)LANES * BLOCK * (size_t)size, unwanted, job, at, &s);
    write_values(distribution, dtype, 0, GROUPS, splicing, job, &s);
}

static INLINE void store_rows(int distribution, int dtype, int size, const kernel_job *job,
                              const kernel_rows *place)
{
    const size_t few = words_in_registers(distribution, dtype) ? FEW : 0;
    char unwanted[LANES * BLOCK * sizeof(double)];
    const kernel_job constants = *job;
    position at = enter_row(*place, place->rows * place->units * (UNIT_BLOCKS / LANES));
    while (at.groups > few)
        write_step(distribution, dtype, size, unwanted, NULL, job, &constants, &at);
    /* Untaken by tests of isa_scalar, isa_sse2: a step has one group there. */
    if (few && at.groups)
        write_from_memory(distribution, dtype, size, 1, unwanted, NULL, job, job, &at);
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

static INLINE void round_units(int dtype, size_t size, char *dst, const char *floats, size_t units)
{
    for (size_t i = 0; i < units * (UNIT_BLOCKS / LANES); i++, dst += LANES * BLOCK * size) {
        /* One by one: GCC copies an array in smaller parts, for which the loads then wait. */
        f32_v v[2];
        memcpy(&v[0], floats + (2 * i) * sizeof v[0], sizeof v[0]);
        memcpy(&v[1], floats + (2 * i + 1) * sizeof v[0], sizeof v[0]);
        store_floats(dtype, dst, v, NULL);
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
/* One row. Only whole steps are written with nontemporal stores. The ordinary kernel `store` writes the
   units after them, and the first unit of doubles, whose last vector is what the first splice begins
   with. */
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
    const kernel_job constants = *job;
    const size_t steps = rest.units / STEP;
    position at = enter_row(rest, steps * GROUPS);
    while (at.groups)
        write_step(distribution, dtype, size, NULL, &splicing, job, &constants, &at);
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
