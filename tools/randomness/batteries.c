/* One test of a TestU01 battery on values that fx_fill writes. Run by tools/randomness/run.py.
       batteries                                lists the generators, deliberately weak ones last
       batteries GENERATOR BATTERY TEST SEED    prints "p <value> <statistic>" besides TestU01's output

   TestU01 takes words of 32 bits and tests all of their bits. docs/stream.md defines which bits of a
   value are random; each generator passes on those and no others. Every test has its own range of
   indices, so that its words do not depend on which tests ran before it. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <testu01.h>

#include "../../tests/c/blake2b.h"
#include "fastxavier.h"

enum { VALUES = 1 << 16, WAYS = 100, VALUES_A_WAY = 512, LOG2_INDICES_A_TEST = 44 };

typedef struct generator generator;
typedef struct {
    uint64_t seed, stream;
} key;

struct generator {
    const char *name;
    size_t (*words)(const generator *g, key k, uint32_t *out); /* of the next values of one key */
    fx_dtype dtype;
    enum { UNIFORM, NORMAL, TRUNCATED, TOO_WIDE } distribution;
    double low, high; /* bounds or truncation; for a plain normal, beyond all its values */
    enum { ALONE, STREAMS, SEEDS, NAMES, PAIRED } keys; /* all but ALONE interleave WAYS of them */
    int planted;
};

static uint64_t seed;
static int64_t first; /* index of the next values, the same for every key */
static fx_distribution distribution;
static const generator *tested;
static uint32_t words[2 * VALUES];
static size_t taken, made;

static void require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "batteries: %s\n", what);
    exit(2);
}

/* ---- values to words ----------------------------------------------------------------------- */

/* Interleaved keys take fewer values at a time, so that they all stay in the cache. */
static size_t values_at_once(const generator *g) { return g->keys == ALONE ? VALUES : VALUES_A_WAY; }

static size_t next_values(const generator *g, key k, void *values)
{
    const fx_options options = {.threads = 1};
    const size_t count = values_at_once(g);
    const fx_status status =
        fx_fill_run(values, g->dtype, first, (int64_t)count, &distribution, k.seed, k.stream, &options);
    require(status == FX_OK, fx_message(status));
    return count;
}

/* W(i): a float64 of U[-2^31, 2^31] is W(i) as a signed number, with L(i) as its fraction. Rounding to
   53 bits changes the word at most once in 2^22 values. */
static size_t philox_words(const generator *g, key k, uint32_t *out)
{
    static double values[VALUES];
    const size_t count = next_values(g, k, values);
    for (size_t i = 0; i < count; i++)
        out[i] = (uint32_t)(int64_t)floor(values[i]);
    return count;
}

/* The tests are most sensitive to high bits; here the low bits take their place. */
static size_t reversed_words(const generator *g, key k, uint32_t *out)
{
    const size_t count = philox_words(g, k, out);
    for (size_t i = 0; i < count; i++) {
        uint32_t w = out[i];
        w = (w >> 1 & 0x55555555u) | (w & 0x55555555u) << 1;
        w = (w >> 2 & 0x33333333u) | (w & 0x33333333u) << 2;
        w = (w >> 4 & 0x0f0f0f0fu) | (w & 0x0f0f0f0fu) << 4;
        out[i] = w << 24 | (w & 0xff00) << 8 | (w >> 8 & 0xff00) | w >> 24;
    }
    return count;
}

/* A float32 of U[-1, 1] is uniform on a grid of 24 bits, not on a finer one. Rounding to nearest makes
   both ends half a cell; the upper one is counted with the lower one. */
static uint32_t bits24(float value)
{
    return (uint32_t)((int32_t)floorf(value * 0x1p23f) + (1 << 23)) & 0xffffff;
}

/* A word with zeros below its 24 bits would fail because of the zeros (the weak generator
   "uniform32-bare" does). So three values give the high 24 bits of a word each, and the bits of the fourth
   fill the low ones: all bits of a value are tested. */
static size_t uniform32(const generator *g, key k, uint32_t *out)
{
    static float values[VALUES];
    const size_t count = next_values(g, k, values);
    for (size_t i = 0; i < count; i += 4, out += 3)
        for (int j = 0; j < 3; j++)
            out[j] = bits24(values[i + j]) << 8 | (bits24(values[i + 3]) >> 8 * j & 0xff);
    return count / 4 * 3;
}

static size_t uniform32_bare(const generator *g, key k, uint32_t *out)
{
    static float values[VALUES];
    const size_t count = next_values(g, k, values);
    for (size_t i = 0; i < count; i++)
        out[i] = bits24(values[i]) << 8;
    return count;
}

/* A float64 of U[-1, 1] is uniform on a grid of 53 bits, of which 52 are used: the high 32 bits of eight
   values give a word each, and the remaining 20 bits of each make five more words. */
static size_t uniform64(const generator *g, key k, uint32_t *out)
{
    static double values[VALUES];
    const size_t count = next_values(g, k, values);
    for (size_t i = 0; i < count; i += 8, out += 13) {
        uint32_t *rest = out + 8;
        uint64_t queue = 0;
        int queued = 0;
        for (int j = 0; j < 8; j++) {
            const uint64_t n = (uint64_t)((int64_t)floor(values[i + j] * 0x1p51) + ((int64_t)1 << 51));
            out[j] = (uint32_t)(n >> 20);
            queue = queue << 20 | (n & 0xfffff);
            queued += 20;
            if (queued >= 32)
                *rest++ = (uint32_t)(queue >> (queued -= 32));
        }
    }
    return count / 8 * 13;
}

/* The cumulative distribution function of g's normal, which makes its values uniform on (0, 1), divided
   into 2^bits equal intervals. */
typedef struct {
    double slope, offset, last;
} uniform_map;

static uniform_map mapped(const generator *g, int bits)
{
    const double low = erf(g->low * M_SQRT1_2), width = erf(g->high * M_SQRT1_2) - low;
    return (uniform_map){ldexp(1 / width, bits), ldexp(-low / width, bits), ldexp(1, bits) - 1};
}

static uint32_t interval(uniform_map e, double z)
{
    return (uint32_t)(int64_t)fmin(fmax(erf(z * M_SQRT1_2) * e.slope + e.offset, 0), e.last);
}

/* Neighbouring values of a float32 normal are up to 2^-25 apart in probability. An interval of 2^-24 has
   two of them and the next one three, which a test would notice; one of 2^-16 has 500. So two values make
   a word. */
static size_t normal32(const generator *g, key k, uint32_t *out)
{
    static float values[VALUES];
    const size_t count = next_values(g, k, values);
    const uniform_map e = mapped(g, 16);
    for (size_t i = 0; i < count / 2; i++)
        out[i] = interval(e, values[2 * i]) << 16 | interval(e, values[2 * i + 1]);
    return count / 2;
}

/* Those of a float64 normal are at most about 2^-54 apart, so each value makes a word. */
static size_t normal64(const generator *g, key k, uint32_t *out)
{
    static double values[VALUES];
    const size_t count = next_values(g, k, values);
    const uniform_map e = mapped(g, 32);
    for (size_t i = 0; i < count; i++)
        out[i] = interval(e, values[i]);
    return count;
}

/* ---- weak generators, which the tests must find -------------------------------------------- */

static size_t congruential(const generator *g, key k, uint32_t *out)
{
    const size_t count = values_at_once(g);
    uint32_t x = made ? words[made - 1] : (uint32_t)k.seed;
    for (size_t i = 0; i < count; i++)
        out[i] = x = 69069 * x + 1;
    return count;
}

/* Philox of two rounds instead of ten. */
static size_t philox_2(const generator *g, key k, uint32_t *out)
{
    const size_t count = values_at_once(g);
    for (size_t i = 0; i < count; i += 4) {
        const uint64_t block = ((uint64_t)first + i) >> 2;
        uint32_t x[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)k.stream,
                         (uint32_t)(k.stream >> 32)};
        for (uint32_t round = 0; round < 2; round++) {
            const uint64_t p0 = (uint64_t)0xD2511F53 * x[0], p1 = (uint64_t)0xCD9E8D57 * x[2];
            x[0] = (uint32_t)(p1 >> 32) ^ x[1] ^ ((uint32_t)k.seed + round * 0x9E3779B9);
            x[2] = (uint32_t)(p0 >> 32) ^ x[3] ^ ((uint32_t)(k.seed >> 32) + round * 0xBB67AE85);
            x[1] = (uint32_t)p1;
            x[3] = (uint32_t)p0;
        }
        memcpy(out + i, x, sizeof x);
    }
    return count;
}

/* ---- generators ---------------------------------------------------------------------------- */

/* The truncated normal of float32 uses the kernel for symmetric intervals up to two standard deviations;
   that of float64 uses the general kernel. */
static const generator GENERATORS[] = {
    {"words", philox_words, FX_FLOAT64, UNIFORM, -0x1p31, 0x1p31, ALONE, 0},
    {"reversed", reversed_words, FX_FLOAT64, UNIFORM, -0x1p31, 0x1p31, ALONE, 0},
    {"uniform32", uniform32, FX_FLOAT32, UNIFORM, -1, 1, ALONE, 0},
    {"uniform64", uniform64, FX_FLOAT64, UNIFORM, -1, 1, ALONE, 0},
    {"normal32", normal32, FX_FLOAT32, NORMAL, -40, 40, ALONE, 0},
    {"normal64", normal64, FX_FLOAT64, NORMAL, -40, 40, ALONE, 0},
    {"truncated32", normal32, FX_FLOAT32, TRUNCATED, -2, 2, ALONE, 0},
    {"truncated64", normal64, FX_FLOAT64, TRUNCATED, -1, 3, ALONE, 0},
    {"streams", philox_words, FX_FLOAT64, UNIFORM, -0x1p31, 0x1p31, STREAMS, 0},
    {"seeds", philox_words, FX_FLOAT64, UNIFORM, -0x1p31, 0x1p31, SEEDS, 0},
    {"names", philox_words, FX_FLOAT64, UNIFORM, -0x1p31, 0x1p31, NAMES, 0},
    {"congruential", congruential, FX_FLOAT64, UNIFORM, -1, 1, ALONE, 1},
    {"philox-2", philox_2, FX_FLOAT64, UNIFORM, -1, 1, ALONE, 1},
    {"normal32-wide", normal32, FX_FLOAT32, TOO_WIDE, -40, 40, ALONE, 1},
    {"uniform32-bare", uniform32_bare, FX_FLOAT32, UNIFORM, -1, 1, ALONE, 1},
    {"streams-paired", philox_words, FX_FLOAT64, UNIFORM, -0x1p31, 0x1p31, PAIRED, 1},
};
enum { COUNT = sizeof GENERATORS / sizeof *GENERATORS };

/* The stream of a name, as docs/stream.md defines it. */
static uint64_t named(const char *name)
{
    uint8_t digest[8];
    uint64_t stream = 0;
    blake2b((const uint8_t *)name, strlen(name), digest, sizeof digest);
    for (int i = 7; i >= 0; i--)
        stream = stream << 8 | digest[i];
    return stream | UINT64_C(1) << 63;
}

/* A generator with one key has the stream of its own name. On a common stream, the tests of a truncated
   normal, say, would see the same words again. */
static key key_of(const generator *g, int way)
{
    char name[32];
    switch (g->keys) {
    case STREAMS:
        return (key){seed, (uint64_t)way};
    case PAIRED: /* weak: the last bit of the stream number is lost */
        return (key){seed, (uint64_t)way / 2};
    case SEEDS:
        return (key){seed + (uint64_t)way, 0};
    case NAMES:
        snprintf(name, sizeof name, "layers.%d.weight", way);
        return (key){seed, named(name)};
    default:
        return (key){seed, named(g->name)};
    }
}

static void refill(const generator *g)
{
    static uint32_t own[VALUES_A_WAY];
    if (g->keys == ALONE) {
        made = g->words(g, key_of(g, 0), words);
    } else {
        for (int way = 0; way < WAYS; way++) {
            const size_t count = g->words(g, key_of(g, way), own);
            for (size_t i = 0; i < count; i++)
                words[i * WAYS + (size_t)way] = own[i];
            made = count * WAYS;
        }
    }
    first += (int64_t)values_at_once(g);
    taken = 0;
}

static unsigned next_word(void)
{
    if (taken == made)
        refill(tested);
    return words[taken++];
}

static void begin(const generator *g, uint64_t with_seed, int test)
{
    const fx_status status = g->distribution == UNIFORM ? fx_uniform(&distribution, g->low, g->high)
                             : g->distribution == TRUNCATED
                                 ? fx_truncated_normal(&distribution, 0, 1, g->low, g->high)
                                 : fx_normal(&distribution, 0, g->distribution == TOO_WIDE ? 1.02 : 1);
    require(status == FX_OK, fx_message(status));
    tested = g;
    seed = with_seed;
    first = (int64_t)test << LOG2_INDICES_A_TEST;
}

/* ---- batteries ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*repeat)(unif01_Gen *, int[]);
    int tests;
} BATTERIES[] = {
    {"smallcrush", bbattery_RepeatSmallCrush, 10},
    {"crush", bbattery_RepeatCrush, 96},
    {"bigcrush", bbattery_RepeatBigCrush, 106},
};

static void run(int battery, int test, char *name)
{
    int repetitions[128] = {0};
    require(test >= 1 && test <= BATTERIES[battery].tests, "no such test");
    repetitions[test] = 1;
    unif01_Gen *gen = unif01_CreateExternGenBits(name, next_word);
    BATTERIES[battery].repeat(gen, repetitions);
    for (int i = 0; i < bbattery_NTests; i++)
        printf("p %.17g %s\n", bbattery_pVal[i], bbattery_TestNames[i]);
    unif01_DeleteExternGenBits(gen);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        for (int i = 0; i < COUNT; i++)
            printf("%s%s\n", GENERATORS[i].name, GENERATORS[i].planted ? " planted" : "");
        return argc != 1;
    }
    int g = 0, battery = 0;
    while (g < COUNT && strcmp(GENERATORS[g].name, argv[1]))
        g++;
    while (battery < 3 && strcmp(BATTERIES[battery].name, argv[2]))
        battery++;
    require(g < COUNT, "no such generator");
    require(battery < 3, "no such battery");
    const int test = atoi(argv[3]);
    begin(&GENERATORS[g], strtoull(argv[4], NULL, 10), test);
    run(battery, test, argv[1]);
    return 0;
}
