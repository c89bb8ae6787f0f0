/* The C interface without Python, on whatever machine this is built for:
       check philox4x32_10.txt golden.txt
   Known answers of Philox, golden values under every implementation that runs here, and the
   status of every kind of call that must be refused. */
#if defined(__linux__)
#define _GNU_SOURCE /* pthread_setattr_default_np */
#endif
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif
#if defined(__linux__) && defined(_OPENMP)
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#endif

#include "blake2b.h"
#include "fastxavier.h"
#include "load.h"
#include "shared/philox.h"

static int failures, checks;

static void expect(int holds, const char *what, const char *detail)
{
    checks++;
    if (!holds) {
        failures++;
        printf("FAILED: %s %s\n", what, detail);
    }
}

static void known_answers(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[256];
    int vectors = 0;
    expect(file != NULL, "cannot open", path);
    while (file && fgets(line, sizeof line, file)) {
        uint32_t n[10], words[4];
        if (line[0] == '#' || sscanf(line, "%x %x %x %x %x %x %x %x %x %x", &n[0], &n[1], &n[2], &n[3],
                                     &n[4], &n[5], &n[6], &n[7], &n[8], &n[9]) != 10)
            continue;
        philox4x32(n, n + 4, words);
        expect(memcmp(words, n + 6, sizeof words) == 0, "philox4x32", line);
        vectors++;
    }
    expect(vectors >= 3, "too few vectors in", path);
    if (file)
        fclose(file);
}

static const char *const DTYPES[] = {"float32", "float64", "float16", "bfloat16"};

static fx_dtype dtype_of(const char *name)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(name, DTYPES[i]) == 0)
            return (fx_dtype)i;
    expect(0, "unknown dtype", name);
    return FX_FLOAT32;
}

static fx_status distribution_of(const char *kind, char *numbers, fx_distribution *distribution)
{
    double p[4] = {0};
    for (int i = 0; i < 4 && numbers && *numbers; i++) {
        p[i] = strtod(numbers, &numbers);
        numbers += *numbers == ',';
    }
    if (strcmp(kind, "constant") == 0)
        return fx_constant(distribution, p[0]);
    if (strcmp(kind, "uniform") == 0)
        return fx_uniform(distribution, p[0], p[1]);
    if (strcmp(kind, "normal") == 0)
        return fx_normal(distribution, p[0], p[1]);
    return fx_truncated_normal(distribution, p[0], p[1], p[2], p[3]);
}

static void to_little_endian(uint8_t *data, size_t count, size_t itemsize)
{
    const uint16_t one = 1;
    if (*(const uint8_t *)&one == 1)
        return;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < itemsize / 2; k++) {
            uint8_t *a = data + i * itemsize + k, *b = data + (i + 1) * itemsize - 1 - k, t = *a;
            *a = *b;
            *b = t;
        }
}

static void golden_values(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[1024], name[256] = "";
    unsigned long long seed = 0, last = 0;
    uint64_t stream = 0;
    uint8_t *data = NULL;
    int lines = 0;
    expect(file != NULL, "cannot open", path);
    while (file && fgets(line, sizeof line, file)) {
        char distribution_name[64], dtype[16], kind[32], numbers[256], expected[64], got[33];
        if (sscanf(line, "# Seed %llx, the stream named \"%255[^\"]\", indices 0 to %llu", &seed, name,
                   &last) == 3) {
            uint8_t digest[8];
            blake2b((const uint8_t *)name, strlen(name), digest, sizeof digest);
            for (int i = 7; i >= 0; i--)
                stream = stream << 8 | digest[i];
            stream |= UINT64_C(1) << 63;
            data = malloc((size_t)(last + 1) * 8);
        }
        if (line[0] == '#')
            continue;
        fx_distribution distribution;
        if (!data || sscanf(line, "%63s %15s %31s %255s %63s", distribution_name, dtype, kind, numbers,
                            expected) != 5 ||
            distribution_of(kind, numbers, &distribution) != FX_OK) {
            expect(0, "cannot read", line);
            continue;
        }
        const size_t itemsize = fx_itemsize(dtype_of(dtype));
        for (int i = 0; fx_isa_available(i); i++)
            for (int threads = 1; threads <= 2; threads++) {
                const fx_options options = {.threads = threads};
                uint8_t digest[16];
                expect(fx_force_isa(fx_isa_available(i)) == FX_OK, "force", fx_isa_available(i));
                const fx_status status = fx_fill_run(data, dtype_of(dtype), 0, (int64_t)last + 1, &distribution,
                                                     seed, stream, &options);
                expect(status == FX_OK, fx_message(status), line);
                to_little_endian(data, (size_t)last + 1, itemsize);
                blake2b(data, (size_t)(last + 1) * itemsize, digest, sizeof digest);
                for (int k = 0; k < 16; k++)
                    snprintf(got + 2 * k, 3, "%02x", digest[k]);
                expect(strcmp(got, expected) == 0, fx_isa_available(i), line);
            }
        lines++;
    }
    fx_force_isa(NULL);
    expect(lines >= 40, "too few lines in", path);
    free(data);
    if (file)
        fclose(file);
}

static void refusals(void)
{
    fx_distribution distribution, uniform;
    float memory[16], before[16];
    const int64_t shape[2] = {4, 4}, negative[2] = {4, -1}, offset[2] = {1, 0}, global[2] = {4, 4};
    const int64_t before_all[2] = {0, -1}, past_all[2] = {0, 5};
    const int64_t overlapping[2] = {4, 4}, vast[2] = {INT64_C(1) << 40, INT64_C(1) << 40};
    const fx_options no_threads = {.threads = -1};
    fx_array array = {.data = memory, .dtype = FX_FLOAT32, .ndim = 2, .shape = shape};
    for (int i = 0; i < 16; i++)
        memory[i] = before[i] = (float)i;
    expect(fx_uniform(&uniform, -1, 1) == FX_OK, "uniform", "");

#define REFUSED(status, call) expect((call) == (status), #call, #status)
    REFUSED(FX_ERROR_NOT_FINITE, fx_uniform(&distribution, NAN, 1));
    REFUSED(FX_ERROR_ORDER, fx_uniform(&distribution, 1, -1));
    REFUSED(FX_ERROR_NOT_FINITE, fx_constant(&distribution, INFINITY));
    REFUSED(FX_ERROR_NOT_FINITE, fx_normal(&distribution, 0, INFINITY));
    REFUSED(FX_ERROR_ORDER, fx_normal(&distribution, 0, -1));
    REFUSED(FX_ERROR_EMPTY, fx_truncated_normal(&distribution, 0, 1, 1, 1));
    REFUSED(FX_ERROR_EMPTY, fx_truncated_normal(&distribution, 0, 1, 37.5, INFINITY));
    REFUSED(FX_ERROR_NOT_FINITE, fx_truncated_normal(&distribution, 0, 1, NAN, 1));
    REFUSED(FX_ERROR_NOT_FINITE, fx_truncated_normal(&distribution, 0, 1, 1, NAN));
    REFUSED(FX_ERROR_NOT_FINITE, fx_truncated_normal(&distribution, NAN, 1, -1, 1));
    REFUSED(FX_ERROR_ORDER, fx_truncated_normal(&distribution, 0, -1, -1, 1));
    REFUSED(FX_ERROR_EMPTY, fx_truncated_normal(&distribution, 0, 1, -INFINITY, -37.5));
    REFUSED(FX_ERROR_NOT_FINITE, fx_uniform(&distribution, 0, NAN));
    REFUSED(FX_ERROR_ISA, fx_force_isa("mmx"));
    REFUSED(FX_ERROR_THREADS, fx_fill(&array, &uniform, 0, 0, &no_threads));
    array.dtype = (fx_dtype)9;
    REFUSED(FX_ERROR_DTYPE, fx_fill(&array, &uniform, 0, 0, NULL));
    array.dtype = FX_FLOAT32;
    array.shape = negative;
    REFUSED(FX_ERROR_SHAPE, fx_fill(&array, &uniform, 0, 0, NULL));
    array.shape = shape;
    array.ndim = FX_MAX_DIMS + 1;
    REFUSED(FX_ERROR_SHAPE, fx_fill(&array, &uniform, 0, 0, NULL));
    array.ndim = -1;
    REFUSED(FX_ERROR_SHAPE, fx_fill(&array, &uniform, 0, 0, NULL));
    array.ndim = 2;
    array.global_shape = vast;
    REFUSED(FX_ERROR_SHAPE, fx_fill(&array, &uniform, 0, 0, NULL));
    array.global_shape = global;
    array.offset = offset;
    REFUSED(FX_ERROR_SHARD, fx_fill(&array, &uniform, 0, 0, NULL));
    array.offset = before_all;
    REFUSED(FX_ERROR_SHARD, fx_fill(&array, &uniform, 0, 0, NULL));
    array.offset = past_all;
    REFUSED(FX_ERROR_SHARD, fx_fill(&array, &uniform, 0, 0, NULL));
    array.offset = NULL;
    array.global_shape = negative;
    REFUSED(FX_ERROR_SHAPE, fx_fill(&array, &uniform, 0, 0, NULL));
    array.global_shape = global;
    array.strides = overlapping;
    REFUSED(FX_ERROR_OVERLAP, fx_fill(&array, &uniform, 0, 0, NULL));
    array.strides = NULL;
    fx_normal(&distribution, 0, 1e38);
    REFUSED(FX_ERROR_RANGE, fx_fill(&array, &distribution, 0, 0, NULL));
    fx_truncated_normal(&distribution, 0, 1, 1 + 0x1p-50, 1 + 0x1p-49);
    REFUSED(FX_ERROR_EMPTY, fx_fill(&array, &distribution, 0, 0, NULL));
    fx_constant(&distribution, 1e39);
    REFUSED(FX_ERROR_RANGE, fx_fill(&array, &distribution, 0, 0, NULL));
    fx_uniform(&distribution, 0, 1e39);
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &distribution, NULL));
    fx_uniform(&distribution, -1e39, 0);
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &distribution, NULL));
    fx_truncated_normal(&distribution, 3e38, 1e38, -1, 1);
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &distribution, NULL));
    array.dtype = FX_FLOAT16;
    fx_truncated_normal(&distribution, 1e5, 3e4, -3, -2); /* from 10000 to 40000, but about what no float16 is */
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &distribution, NULL));
    fx_truncated_normal(&distribution, 0, 1e5, -1e-3, 1e-3); /* in units that no float16 is */
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &distribution, NULL));
    fx_truncated_normal(&distribution, 65000.00196, 519.99602, 1 - 0x1p-20, 1); /* the sum of these as floats is 65520 */
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &distribution, NULL));
    array.dtype = FX_FLOAT32;
    fx_constant(&distribution, 1e39);
    REFUSED(FX_ERROR_THREADS, fx_check(&array, &uniform, &no_threads));
    fx_request request = {&array, &distribution, 0, 0, 0};
    REFUSED(FX_ERROR_RANGE, fx_fill_all(&request, 1, NULL, NULL));
    expect(memcmp(memory, before, sizeof memory) == 0, "a refused fill", "wrote");
    REFUSED(FX_OK, fx_fill(&array, &uniform, 0, 0, NULL));
    expect(memcmp(memory, before, sizeof memory) != 0, "an accepted fill", "wrote nothing");
    const int64_t far_apart[2] = {INT64_C(1) << 62, 4};
    array.strides = far_apart;
    REFUSED(FX_ERROR_SHAPE, fx_fill(&array, &uniform, 0, 0, NULL));
    const int64_t one_place[1] = {0}, endless[1] = {FX_MAX_INDEX};
    const fx_array single = {.data = memory, .ndim = 1, .shape = endless, .strides = one_place};
    REFUSED(FX_ERROR_OVERLAP, fx_fill(&single, &uniform, 0, 0, NULL));
    memset(&distribution, 0, sizeof distribution);
    array.strides = NULL;
    REFUSED(FX_ERROR_DISTRIBUTION, fx_fill(&array, &distribution, 0, 0, NULL));
    REFUSED(FX_ERROR_DISTRIBUTION, fx_rescaled(&uniform, 0, 1));
    for (int s = FX_OK; s <= FX_ERROR_DISTRIBUTION; s++)
        expect(strlen(fx_message((fx_status)s)) > 5, "no message", "");
    expect(strlen(fx_message((fx_status)99)) > 5, "no message", "for what is no status");
}

/* A cut whose end is finite, but as far as makes no difference, is the one that has no such end. */
static void far_ends(void)
{
    static const double FAR[] = {65, 1e10, 1e38, 1e155, 1.7e308}, NEAR[] = {-1, 0, 8, 36};
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 4; k++) {
            fx_distribution far, endless;
            expect(fx_truncated_normal(&endless, 0, 1, NEAR[k], INFINITY) == FX_OK, "endless cut", "");
            expect(fx_truncated_normal(&far, 0, 1, NEAR[k], FAR[i]) == FX_OK, "far cut", "");
            far.high = INFINITY;
            expect(memcmp(&far, &endless, sizeof far) == 0, "far cut", "differs from the endless one");
            fx_truncated_normal(&endless, 0, 1, -INFINITY, -NEAR[k]);
            fx_truncated_normal(&far, 0, 1, -FAR[i], -NEAR[k]);
            far.low = -INFINITY;
            expect(memcmp(&far, &endless, sizeof far) == 0, "far cut", "differs from the endless one");
        }
}

/* Values lie where the distribution says, up to its very ends, and have its mean and variance, within five standard
   errors; those of an exponential, whose variance's is the largest here. */
static void ranges(void)
{
    enum { COUNT = 4096 };
    static const struct {
        const char *kind;
        char numbers[64];
        fx_dtype dtype;
        double low, high, mean, std; /* of the distribution: the latter two by mpmath */
    } DISTRIBUTIONS[] = {
        {"uniform", "1,0x1.000006p0", FX_FLOAT32, 1, 0x1.000006p0, 0x1.000004p0, 0x1.a2p-24}, /* three floats */
        {"uniform", "1e308,1.7e308", FX_FLOAT64, 1e308, 1.7e308, 1.35e308, 2.0208e307},
        {"truncated_normal", "0,1,8,9", FX_FLOAT32, 8, 9, 8.12118899, 0.118948},
        {"truncated_normal", "0,1,-9,-8", FX_FLOAT32, -9, -8, -8.12118899, 0.118948},
        {"truncated_normal", "0,1,8,9", FX_FLOAT64, 8, 9, 8.12118899, 0.118948},
        {"truncated_normal", "0,1,-9,-8", FX_FLOAT64, -9, -8, -8.12118899, 0.118948},
        {"truncated_normal", "0,1,-1e-37,1e-37", FX_FLOAT32, -1e-37, 1e-37, 0, 5.7735e-38},
        {"truncated_normal", "0,1,-1e-20,1e-20", FX_FLOAT64, -1e-20, 1e-20, 0, 5.7735e-21},
        {"truncated_normal", "0,1,1,0x1.000000000001p0", FX_FLOAT64, 1, 0x1.000000000001p0, 0x1.0000000000008p0, 0x1.27ap-50},
    };
    for (int i = 0; fx_isa_available(i); i++)
        for (size_t k = 0; k < sizeof DISTRIBUTIONS / sizeof *DISTRIBUTIONS; k++) {
            static float floats[COUNT];
            static double doubles[COUNT];
            const int is_float = DISTRIBUTIONS[k].dtype == FX_FLOAT32;
            char numbers[64];
            fx_distribution distribution;
            memcpy(numbers, DISTRIBUTIONS[k].numbers, sizeof numbers);
            fx_force_isa(fx_isa_available(i));
            expect(distribution_of(DISTRIBUTIONS[k].kind, numbers, &distribution) == FX_OK, "no distribution", DISTRIBUTIONS[k].numbers);
            expect(fx_fill_run(is_float ? (void *)floats : doubles, DISTRIBUTIONS[k].dtype, 0, COUNT, &distribution, 3, 4, NULL) == FX_OK,
                   "refused", DISTRIBUTIONS[k].numbers);
            double deviation = 0, squares = 0;
            int inside = 1;
            for (int n = 0; n < COUNT; n++) {
                const double x = is_float ? floats[n] : doubles[n];
                inside &= x >= (is_float ? (float)DISTRIBUTIONS[k].low : DISTRIBUTIONS[k].low);
                inside &= x <= (is_float ? (float)DISTRIBUTIONS[k].high : DISTRIBUTIONS[k].high);
                const double z = (x - DISTRIBUTIONS[k].mean) / DISTRIBUTIONS[k].std;
                deviation += z / COUNT;
                squares += z * z / COUNT;
            }
            expect(inside, "beyond its ends:", DISTRIBUTIONS[k].numbers);
            expect(fabs(deviation) < 5 / sqrt(COUNT), "another mean:", DISTRIBUTIONS[k].numbers);
            expect(fabs(squares - 1) < 5 * sqrt(8.0 / COUNT), "another variance:", DISTRIBUTIONS[k].numbers);
        }
    fx_force_isa(NULL);
}

/* ---- boxes of a tensor, anywhere in memory -------------------------------------------------- */

static int64_t below(int64_t end)
{
    static uint32_t counter[4];
    const uint32_t key[2] = {1, 2};
    uint32_t words[4];
    philox4x32(counter, key, words);
    counter[0]++;
    return (int64_t)(words[0] % (uint64_t)end);
}

typedef struct {
    int64_t shape[3], global[3], offset[3], strides[3];
    char *memory;
    size_t size;
    fx_array array;
} box;

/* Memory for a box: the first axis of `order` has neighbours, `gaps` places are left free beyond each
   axis, those of `backwards` run towards lower addresses. */
static void arrange(box *b, fx_dtype dtype, const int order[3], const int gaps[3], const int backwards[3])
{
    int64_t stride = (int64_t)fx_itemsize(dtype), start = 0;
    for (int k = 0; k < 3; k++) {
        const int axis = order[k];
        b->strides[axis] = backwards[axis] ? -stride : stride;
        start += backwards[axis] ? stride * (b->shape[axis] - 1) : 0;
        stride *= b->shape[axis] + gaps[axis];
    }
    b->size = (size_t)stride;
    b->memory = malloc(b->size);
    memset(b->memory, 0xA5, b->size);
    b->array = (fx_array){b->memory + start, dtype, 3, b->shape, b->strides, b->global, b->offset};
}

/* A box of extents up to `most`, or nearly that where it is large, stored in any order of axes, with
   gaps or not, some axes backwards; its indices begin a little before `far`, unless that is 0. */
static void arrange_any(box *b, fx_dtype dtype, const int64_t most[3], int64_t far)
{
    static const int ORDERS[6][3] = {{2, 1, 0}, {1, 2, 0}, {2, 0, 1}, {0, 2, 1}, {1, 0, 2}, {0, 1, 2}};
    int gaps[3], backwards[3];
    for (int i = 0; i < 3; i++) {
        b->shape[i] = most[i] < 1000 ? 1 + below(most[i]) : most[i] - below(9);
        b->offset[i] = below(2) * below(9);
        b->global[i] = b->offset[i] + b->shape[i] + below(2) * below(9);
        gaps[i] = (int)(below(2) * below(3));
        backwards[i] = below(4) == 0;
    }
    if (far) {
        b->offset[0] = far / (b->global[1] * b->global[2]) - below(3);
        b->global[0] = b->offset[0] + b->shape[0];
    }
    arrange(b, dtype, ORDERS[below(6)], gaps, backwards);
}

/* Whether memory is as a fill must leave it: each value at its place, and what was there beside them. */
static int as_expected(const box *b, int64_t first, const char *whole)
{
    const size_t itemsize = fx_itemsize(b->array.dtype);
    char *expected = malloc(b->size), *origin = expected + ((char *)b->array.data - b->memory);
    memset(expected, 0xA5, b->size);
    for (int64_t i = 0; i < b->shape[0]; i++)
        for (int64_t j = 0; j < b->shape[1]; j++)
            for (int64_t k = 0; k < b->shape[2]; k++) {
                const int64_t index = ((b->offset[0] + i) * b->global[1] + b->offset[1] + j) * b->global[2] +
                                      b->offset[2] + k - first;
                memcpy(origin + i * b->strides[0] + j * b->strides[1] + k * b->strides[2],
                       whole + (size_t)index * itemsize, itemsize);
            }
    const int same = memcmp(b->memory, expected, b->size) == 0;
    free(expected);
    return same;
}

/* Elements first .. first + count - 1, in small runs, which are never streamed. */
static char *in_small_runs(fx_dtype dtype, int64_t first, int64_t count, const fx_distribution *distribution, uint64_t stream)
{
    const int64_t item = (int64_t)fx_itemsize(dtype);
    char *whole = malloc((size_t)(count * item));
    for (int64_t part = 0, size; part < count; part += size) {
        size = count - part < 4096 ? count - part : 4096;
        fx_fill_run(whole + part * item, dtype, first + part, size, distribution, 7, stream, NULL);
    }
    return whole;
}

/* The box holds what it must; its memory is freed. */
static void compare(box *b, const fx_distribution *distribution, uint64_t stream)
{
    const int64_t plane = b->global[1] * b->global[2], first = b->offset[0] * plane;
    char *whole = in_small_runs(b->array.dtype, first, b->shape[0] * plane, distribution, stream);
    expect(as_expected(b, first, whole), "box: other values", fx_isa());
    free(whole);
    free(b->memory);
}

static void fill_and_compare(box *b, const fx_distribution *distribution, int threads)
{
    const fx_options options = {.threads = threads};
    expect(fx_fill(&b->array, distribution, 7, 8, &options) == FX_OK, "box", fx_isa());
    compare(b, distribution, 8);
}

static const int64_t MOST[][3] = {{5, 7, 40}, {3, 40, 7}, {40, 3, 9}, {2, 3, 900}, {30, 1, 300}, {1, 130, 130}};

static void boxes(int brief)
{
    /* what goes past the caches, its last extent in bytes: when turned, and when neighbours already */
    static const int64_t VAST[][3] = {{1, 1400, 8000}, {1, 1, 34 << 20}, {2, 1, 17 << 20}};
    box b;
    fx_distribution distributions[3];
    fx_uniform(&distributions[0], -1, 2);
    fx_normal(&distributions[1], 0, 1);
    fx_truncated_normal(&distributions[2], 0, 1, -1, 3);
    for (int i = 0; fx_isa_available(i); i++) {
        fx_force_isa(fx_isa_available(i));
        for (int n = 0; n < (brief ? 72 : 1200); n++) {
            arrange_any(&b, (fx_dtype)(n / 6 % 4), MOST[n % 6], n % 5 ? 0 : INT64_C(1) << 34);
            fill_and_compare(&b, &distributions[n / 24 % 3], n % 3);
        }
        for (int n = 0; n < (brief ? 0 : 12); n++) {
            const fx_dtype dtype = (fx_dtype)(n / 3);
            const int64_t *vast = VAST[n % 3];
            const int64_t most[3] = {vast[0], vast[1], vast[2] / (int64_t)fx_itemsize(dtype) + 9};
            arrange_any(&b, dtype, most, 0);
            fill_and_compare(&b, &distributions[0], n % 3);
        }
    }
    fx_force_isa(NULL);
}

/* Boxes that chance leaves out: a last tile of one row that runs backwards; columns that are not
   neighbours in the tensor; a buffer that ends within a short row. */
static void odd_boxes(void)
{
    static const struct {
        int64_t shape[3], global_last;
        int order[3], gaps[3], backwards[3];
    } ODD[] = {{{1, 129, 64}, 64, {1, 2, 0}, {0}, {0, 1, 0}},
               {{5, 7, 1}, 3, {0, 1, 2}, {0}, {0}},
               {{1, 300, 100}, 100, {2, 1, 0}, {0, 0, 1}, {0}}};
    fx_distribution distribution;
    fx_uniform(&distribution, -1, 2);
    for (int n = 0; n < 3; n++) {
        box b = {{ODD[n].shape[0], ODD[n].shape[1], ODD[n].shape[2]},
                 {ODD[n].shape[0], ODD[n].shape[1], ODD[n].global_last}, {0}, {0}, NULL, 0, {0}};
        arrange(&b, FX_FLOAT32, ODD[n].order, ODD[n].gaps, ODD[n].backwards);
        fill_and_compare(&b, &distribution, 1);
    }
}

/* Small boxes filled beside a large array, so that all go past the caches; and runs whose memory could be
   streamed to from their 28th float or 24th half on, but whose first 32 values stand before index 2^34. */
static void past_the_caches(void)
{
    enum { BOXES = 96, LARGE = 4 << 20, RUN = 6032, KINDS = 4 };
    static const int64_t LONG[][3] = {{1, 1, 20000}, {2, 1, 5000}, {1, 90, 200}};
    static box b[BOXES];
    static _Alignas(64) char memory[KINDS][16 + RUN * 8 + 48];
    static const int64_t large = LARGE, length = RUN, all = INT64_C(1) << 40, first = (INT64_C(1) << 34) - 32;
    fx_request requests[BOXES + 1 + KINDS];
    fx_array runs[KINDS];
    double *data = malloc(LARGE * sizeof(double));
    const fx_array beside = {.data = data, .dtype = FX_FLOAT64, .ndim = 1, .shape = &large};
    fx_distribution constant, distributions[3];
    fx_constant(&constant, 0.5);
    fx_uniform(&distributions[0], -1, 2);
    fx_normal(&distributions[1], 0, 1);
    fx_truncated_normal(&distributions[2], 0, 1, -1, 3);
    for (int i = 0; fx_isa_available(i); i++) {
        fx_force_isa(fx_isa_available(i));
        for (int n = 0; n < BOXES; n++) {
            const int64_t *most = n % 2 ? LONG[n / 2 % 3] : MOST[n / 2 % 6];
            arrange_any(&b[n], (fx_dtype)(n / 12 % 4), most, n % 5 ? 0 : INT64_C(1) << 34);
            requests[n] = (fx_request){&b[n].array, &distributions[n / 3 % 3], 7, (uint64_t)n, 0};
        }
        requests[BOXES] = (fx_request){&beside, &constant, 7, 0, 0};
        for (int n = 0; n < KINDS; n++) {
            runs[n] = (fx_array){memory[n] + 16, (fx_dtype)n, 1, &length, NULL, &all, &first};
            requests[BOXES + 1 + n] = (fx_request){&runs[n], &distributions[1], 7, 8, 0};
        }
        memset(memory, 0, sizeof memory);
        memset(data, 0, LARGE * sizeof *data);
        expect(fx_fill_all(requests, BOXES + 1 + KINDS, NULL, NULL) == FX_OK, "fill", "past the caches");
        for (int n = 0; n < BOXES; n++)
            compare(&b[n], requests[n].distribution, (uint64_t)n);
        int right = 1;
        for (int n = 0; n < KINDS; n++) {
            char *same = in_small_runs((fx_dtype)n, first, RUN, &distributions[1], 8);
            right &= memcmp(memory[n] + 16, same, RUN * fx_itemsize((fx_dtype)n)) == 0;
            free(same);
        }
        for (int n = 0; n < LARGE; n++)
            right &= data[n] == 0.5;
        expect(right, "fill past the caches: other values", fx_isa());
    }
    fx_force_isa(NULL);
    free(data);
}

/* Where two axes interlock, the places between one's elements are the other's; and strides that take
   longer to tell apart than is worth it are refused. */
static void interlocked(void)
{
    enum { AXES = 24 };
    float memory[8] = {0};
    int64_t shape[AXES] = {3, 2}, strides[AXES] = {8, 12};
    fx_distribution one;
    fx_constant(&one, 1);
    fx_array array = {.data = memory, .ndim = 2, .shape = shape, .strides = strides};
    expect(fx_fill(&array, &one, 0, 0, NULL) == FX_OK, "interlocked axes", "refused");
    for (int i = 0; i < 8; i++)
        expect(memory[i] == (i != 1 && i != 6), "interlocked axes", "other places");
    for (int i = 0; i < AXES; i++) {
        shape[i] = 2;
        strides[i] = (INT64_C(1) << 40) + below(INT64_C(1) << 32) * 256;
    }
    array.ndim = AXES;
    expect(fx_check(&array, &one, NULL) == FX_ERROR_OVERLAP, "strides of no order", "accepted");
}

/* Arrays of every size from 0 up, and one of many pieces, are as each is alone. */
static void many(void)
{
    enum { COUNT = 400, LARGE = 1 << 20 };
    static fx_array arrays[COUNT];
    static fx_request requests[COUNT];
    static int64_t shapes[COUNT];
    static float *data[COUNT];
    float *alone = malloc(LARGE * sizeof *alone);
    fx_distribution uniform, normal;
    int64_t failed = -1;
    fx_uniform(&uniform, -1, 1);
    fx_normal(&normal, 0, 1);
    for (int i = 0; i < COUNT; i++) {
        shapes[i] = i == 7 ? LARGE : i % 50 == 9 ? 0 : 1 + i * 29 % 4001;
        data[i] = calloc((size_t)shapes[i] + 1, sizeof(float));
        arrays[i] = (fx_array){.data = data[i], .dtype = FX_FLOAT32, .ndim = 1, .shape = &shapes[i]};
        requests[i] = (fx_request){&arrays[i], i % 2 ? &uniform : &normal, 5, (uint64_t)i, 0};
    }
    shapes[COUNT - 1] = -1;
    expect(fx_fill_all(requests, COUNT, NULL, &failed) == FX_ERROR_SHAPE, "fx_fill_all", "accepted -1");
    expect(failed == COUNT - 1, "fx_fill_all", "names another request");
    expect(data[7][0] == 0 && data[7][LARGE - 1] == 0, "a refused fx_fill_all", "wrote");
    shapes[COUNT - 1] = 3;
    for (int threads = 0; threads < 4; threads++) {
        const fx_options options = {.threads = threads};
        expect(fx_fill_all(requests, COUNT, &options, NULL) == FX_OK, "fx_fill_all", "");
        for (int i = 0; i < COUNT && alone; i++) {
            const fx_array to = {.data = alone, .dtype = FX_FLOAT32, .ndim = 1, .shape = &shapes[i]};
            fx_fill(&to, requests[i].distribution, 5, (uint64_t)i, NULL);
            expect(memcmp(alone, data[i], (size_t)shapes[i] * sizeof(float)) == 0 &&
                       data[i][shapes[i]] == 0,
                   "fx_fill_all", "differs from fx_fill");
            memset(data[i], 0, (size_t)shapes[i] * sizeof(float));
        }
    }
    expect(fx_fill_all(NULL, 0, NULL, NULL) == FX_OK, "fx_fill_all", "refuses nothing at all");
    for (int i = 0; i < COUNT; i++)
        free(data[i]);
    free(alone);
}

static int asked;

static int stop_now(void *argument, double done)
{
    (void)argument;
    expect(done > 0 && done <= 1, "interruption", "part done out of range");
    asked++;
    return 1;
}

static void interruption(void)
{
    const int64_t count = INT64_C(1) << 27;
    const fx_options options = {.threads = 1, .poll = stop_now};
    fx_distribution distribution;
    double *data = malloc((size_t)count * 8);
    fx_truncated_normal(&distribution, 0, 1, -3, 3);
    fx_force_isa("scalar");
    if (data)
        expect(fx_fill_run(data, FX_FLOAT64, 0, count, &distribution, 0, 0, &options) == FX_INTERRUPTED,
               "interruption", "did not stop");
    expect(asked == 1, "interruption", "polled again after a stop");
    fx_force_isa(NULL);
    free(data);
}

/* What the environment names, and what it cannot. */
static void environment(void)
{
    static char plain[] = "FASTXAVIER_ISA=scalar", unknown[] = "FASTXAVIER_ISA=mmx", empty[] = "FASTXAVIER_ISA=";
    float value;
    fx_distribution distribution;
    fx_constant(&distribution, 1);
    putenv(plain);
    fx_force_isa(NULL);
    expect(fx_isa() && strcmp(fx_isa(), "scalar") == 0, "FASTXAVIER_ISA", "not heeded");
    putenv(unknown);
    fx_force_isa(NULL);
    expect(fx_isa() == NULL, "FASTXAVIER_ISA", "accepted mmx");
    expect(fx_fill_run(&value, FX_FLOAT32, 0, 1, &distribution, 0, 0, NULL) == FX_ERROR_ISA, "fx_fill", "with no kernels");
    putenv(empty);
    fx_force_isa(NULL);
    expect(fx_isa() && strcmp(fx_isa(), fx_isa_available(0)) == 0, "FASTXAVIER_ISA", "empty: not the best");
}

#if defined(__unix__) || defined(__APPLE__)
/* No machine, sanitizer or emulator takes a third of this. */
static void end_if_it_hangs(void) { alarm(900); }

#ifdef GCOV /* which writes a process's counters at exit, and not at _exit */
void __gcov_dump(void);
static void write_counters(void) { __gcov_dump(); }
#else
static void write_counters(void) {}
#endif

/* The threads of a parallel fill are not in a child process, which fills on its own. A lock that one of them
   held at the fork stays held: the child leaves by _exit, since at exit LeakSanitizer would wait for its
   allocator's. The memory is static, which valgrind, that looks for leaks even then, cannot take for lost. */
static void after_fork(void)
{
    enum { COUNT = 1 << 20 };
    const fx_options options = {.threads = 2};
    static float here[COUNT], there[COUNT];
    int status = 1;
    fx_distribution distribution;
    fx_uniform(&distribution, -1, 1);
    expect(fx_fill_run(here, FX_FLOAT32, 0, COUNT, &distribution, 1, 2, &options) == FX_OK, "a fill", "before a fork");
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(120); /* a fill that hangs has failed */
        const int filled = fx_fill_run(there, FX_FLOAT32, 0, COUNT, &distribution, 1, 2, &options) == FX_OK;
        const int right = filled && memcmp(here, there, sizeof here) == 0 && fx_threads() == 1;
        write_counters();
        _exit(right ? 0 : 1);
    }
    expect(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a fill", "after a fork");
}
#else
static void end_if_it_hangs(void) {}
static void after_fork(void) {}
#endif

/* ---- threads -------------------------------------------------------------------------------- */

static int go_on(void *argument, double done)
{
    (void)done;
    ++*(int *)argument;
    return 0;
}

/* Whether 2^17 to `most` values, twice as many each time, have the right last one; until three polls have
   been counted. */
static int right_last_values(const fx_distribution *distribution, int most, int threads, int *polls)
{
    const fx_options options = {threads, go_on, polls};
    float *data = malloc((size_t)most * sizeof(float)), last;
    int right = data != NULL;
    for (int size = 1 << 17; size <= most && right && *polls < 3; size *= 2) {
        data[size - 1] = 0;
        right &= fx_fill_run(data, FX_FLOAT32, 0, size, distribution, 1, 2, &options) == FX_OK;
        right &= fx_fill_run(&last, FX_FLOAT32, size - 1, 1, distribution, 1, 2, NULL) == FX_OK;
        right &= data[size - 1] == last;
    }
    free(data);
    return right;
}

/* A fill that takes a while asks its caller, who lets it go on. */
static void asked_meanwhile(void)
{
    fx_distribution distribution;
    fx_truncated_normal(&distribution, 0, 1, -3, 3);
    fx_force_isa("scalar");
    for (int threads = 0; threads <= 1; threads++) {
        int polls = 0;
        expect(right_last_values(&distribution, 1 << 24, threads, &polls), "fill", "while asked");
        expect(polls > 0 || threads != 1, "poll", "never called");
    }
    fx_force_isa(NULL);
}

static void more_threads_than_pay(void)
{
    fx_distribution distribution;
    fx_truncated_normal(&distribution, 0, 1, -3, 3);
    for (int threads = 0; threads <= 1000; threads += 500) {
        int polls = 0;
        expect(right_last_values(&distribution, 1 << 24, threads, &polls), "fill", "on many threads");
    }
}

#if defined(__linux__) && defined(_OPENMP)
#if defined(__GLIBC__)
/* Threads with stacks larger than memory are what a system refuses; a fill goes on without. */
static void refused_threads(void)
{
    int polls = 0;
    pthread_attr_t usual, vast;
    fx_distribution distribution;
    fx_uniform(&distribution, -1, 1);
    pthread_getattr_default_np(&usual);
    pthread_getattr_default_np(&vast);
    expect(pthread_attr_setstacksize(&vast, (size_t)1 << (sizeof(size_t) * 8 - 2)) == 0 &&
               pthread_setattr_default_np(&vast) == 0, "a vast stack", "is not to be had");
    expect(right_last_values(&distribution, 1 << 18, 50, &polls), "fill", "where threads are refused");
    pthread_setattr_default_np(&usual);
    pthread_attr_destroy(&usual);
    pthread_attr_destroy(&vast);
}
#else
static void refused_threads(void) { printf("skipped: refused threads, which only glibc lets a test ask for\n"); }
#endif

typedef struct {
    pthread_mutex_t gate;
    atomic_long name;
} sleeper;

static void *sleep_at_gate(void *argument)
{
    sleeper *s = argument;
    atomic_store(&s->name, fx__load_thread());
    pthread_mutex_lock(&s->gate);
    pthread_mutex_unlock(&s->gate);
    return NULL;
}

/* Threads that run here, by the system's own count. */
static int runnable(void)
{
    int count = 0;
    FILE *file = fopen("/proc/loadavg", "r");
    if (!file || fscanf(file, "%*s %*s %*s %d/", &count) != 1)
        count = 0;
    if (file)
        fclose(file);
    return count;
}

/* While others keep every core busy none is idle, but for those of our own threads that run, not those
   that sleep or have ended. A fill that finds it so goes on alone. */
static void crowded(void)
{
    enum { MOST = 256 };
    pid_t others[MOST];
    pthread_t thread;
    sleeper s = {.name = 0};
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    const int count = (int)(cpus + 1 < MOST ? cpus + 1 : MOST);
    int polls = 0;
    fx_distribution distribution;
    fx_uniform(&distribution, -1, 1); /* quick, so that one look at the machine's load serves several tasks */
    pthread_mutex_init(&s.gate, NULL);
    pthread_mutex_lock(&s.gate);
    if (pthread_create(&thread, NULL, sleep_at_gate, &s) != 0) {
        expect(0, "thread", "refused");
        return;
    }
    fflush(stdout);
    int forked = 0;
    for (; forked < count; forked++) {
        others[forked] = fork();
        if (others[forked] < 0)
            break;
        if (others[forked] == 0) {
            alarm(20); /* should nobody end it */
            for (;;)
                ;
        }
    }
    while (!atomic_load(&s.name))
        usleep(1000);
    usleep(20000);
    const load_team nobody = {0};
    load_team awake = {LOAD_TEAM, {0}}, asleep = awake; /* the last is none that there is */
    for (int i = 0; i < LOAD_TEAM - 1; i++)
        awake.threads[i] = fx__load_thread(), asleep.threads[i] = s.name;
    int busy = forked > cpus && runnable() > forked;
    const int idle = fx__load_idle_cpus(1000, &nobody), beside_asleep = fx__load_idle_cpus(1000, &asleep);
    const int beside_awake = fx__load_idle_cpus(1000, &awake);
    busy = busy && runnable() > forked;
    if (busy) {
        expect(idle <= 0, "idle cores", "where all are busy");
        expect(beside_asleep <= 0, "idle cores", "of threads that sleep");
        expect(beside_awake > 0 || runnable() > LOAD_TEAM / 2, "no idle cores", "for our own threads");
    } else {
        printf("skipped: idle cores, because this system does not say that %d processes run\n", count);
    }
    expect(fx__load_idle_cpus(-1000, &nobody) == -1000, "idle cores", "more than asked for");
    expect(right_last_values(&distribution, 1 << 21, 0, &polls), "fill", "on a busy machine");
    for (int i = 0; i < forked; i++) {
        kill(others[i], SIGKILL);
        waitpid(others[i], NULL, 0);
    }
    pthread_mutex_unlock(&s.gate);
    pthread_join(thread, NULL);
    pthread_mutex_destroy(&s.gate);
}
#else
static void refused_threads(void) { printf("skipped: refused threads, which are OpenMP's\n"); }
static void crowded(void) { printf("skipped: idle cores, which are asked for by OpenMP on Linux\n"); }
#endif

int main(int count, char **arguments)
{
    const int brief = count == 4 && strcmp(arguments[3], "brief") == 0;
    if (count != 3 && !brief) {
        printf("usage: check philox4x32_10.txt golden.txt [brief], the latter for an emulated machine\n");
        return 2;
    }
    end_if_it_hangs();
    const char *const chosen = fx_isa(); /* before the tests of choosing */
    known_answers(arguments[1]);
    golden_values(arguments[2]);
    refusals();
    far_ends();
    ranges();
    interlocked();
    boxes(brief);
    odd_boxes();
    past_the_caches();
    refused_threads();
    many();
    interruption();
    asked_meanwhile();
    crowded();
    if (!brief)
        more_threads_than_pay();
    after_fork();
    environment();
    expect(fx_threads() >= 1 && (fx_openmp() == 0 || fx_openmp() > 200000), "fx_openmp", "no version");
    printf("implementations:");
    for (int i = 0; fx_isa_available(i); i++)
        printf(" %s", fx_isa_available(i));
    printf("\nin use: %s", chosen ? chosen : "none");
    printf("\n%d checks, %d failed\n", checks, failures);
    return failures != 0;
}
