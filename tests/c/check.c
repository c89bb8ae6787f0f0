/* Tests of the C interface, without Python, on any machine:
       check philox4x32_10.txt golden.txt [brief]
   Known answers of Philox, golden values with every implementation that runs here, layouts, shards,
   fresh memory, threads, and the status of every kind of call that must be refused. Run by make check-c
   and by tools/targets.py, sanitize.py and coverage.py. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blake2b.h"
#include "check.h"
#include "fastxavier.h"
#include "shared/philox.h"

static int failures, checks;

void expect(int holds, const char *what, const char *detail)
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

static const char *const DTYPES[DTYPE_COUNT] = {"float32",  "float64",       "float16",
                                                "bfloat16", "float8_e4m3fn", "float8_e5m2"};

static fx_dtype dtype_of(const char *name)
{
    for (int i = 0; i < DTYPE_COUNT; i++)
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
        if (!data ||
            sscanf(line, "%63s %15s %31s %255s %63s", distribution_name, dtype, kind, numbers,
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
                const fx_status status = fx_fill_run(data, dtype_of(dtype), 0, (int64_t)last + 1,
                                                     &distribution, seed, stream, &options);
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
    int64_t ones[FX_MAX_DIMS + 1];
    for (int i = 0; i <= FX_MAX_DIMS; i++)
        ones[i] = 1;
    array.shape = ones;
    array.ndim = FX_MAX_DIMS + 1;
    REFUSED(FX_ERROR_SHAPE, fx_fill(&array, &uniform, 0, 0, NULL));
    array.shape = shape;
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
    fx_truncated_normal(&distribution, 1e5, 3e4, -3, -2); /* from 10000 to 40000 */
    REFUSED(FX_OK, fx_check(&array, &distribution, NULL));
    fx_truncated_normal(&distribution, 0, 2e4, -4, 4); /* beyond the kernels of 2 and 3 */
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &distribution, NULL));
    fx_truncated_normal(&distribution, 0, 1e4, -4, 4);
    REFUSED(FX_OK, fx_check(&array, &distribution, NULL));
    fx_truncated_normal(&distribution, 0, 1e5, -1e-3, 1e-3);
    REFUSED(FX_OK, fx_check(&array, &distribution, NULL));
    fx_truncated_normal(&distribution, 0, 1e39, -1e-38, 1e-38); /* in units that no float32 is */
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &distribution, NULL));
    fx_truncated_normal(&distribution, 1e39, 1e38, -10, -9.9999); /* about what no float32 is */
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &distribution, NULL));
    fx_truncated_normal(&distribution, 65000.00196, 519.99602, 1 - 0x1p-20,
                        1); /* the sum of these as floats is 65520 */
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &distribution, NULL));
    array.dtype = FX_FLOAT8_E4M3FN; /* 464 is as far from 448 as from 480, which is not a number */
    fx_uniform(&distribution, -464, 464);
    REFUSED(FX_OK, fx_check(&array, &distribution, NULL));
    fx_uniform(&distribution, -464, 464.00002);
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &distribution, NULL));
    array.dtype = FX_FLOAT8_E5M2; /* 61440 rounds to infinity */
    fx_constant(&distribution, -61439.997);
    REFUSED(FX_OK, fx_check(&array, &distribution, NULL));
    fx_constant(&distribution, -61440);
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &distribution, NULL));
    array.dtype = FX_FLOAT32;
    fx_constant(&distribution, 1e39);
    REFUSED(FX_ERROR_THREADS, fx_check(&array, &uniform, &no_threads));
    fx_request request = {&array, &distribution, 0, 0, 0, 0};
    REFUSED(FX_ERROR_RANGE, fx_fill_all(&request, 1, NULL, NULL));
    expect(memcmp(memory, before, sizeof memory) == 0, "a refused fill", "wrote");
    REFUSED(FX_OK, fx_fill(&array, &uniform, 0, 0, NULL));
    expect(memcmp(memory, before, sizeof memory) != 0, "an accepted fill", "wrote nothing");
    const int64_t far_apart[2] = {INT64_C(1) << 62, 4}, nearer[2] = {INT64_C(1) << 60, 4};
    array.strides = far_apart;
    REFUSED(FX_ERROR_SHAPE, fx_fill(&array, &uniform, 0, 0, NULL));
    array.strides = nearer; /* three times that is more than 2**61 bytes, and less than 2**62 */
    REFUSED(FX_ERROR_SHAPE, fx_fill(&array, &uniform, 0, 0, NULL));
    const int64_t one_place[1] = {0}, endless[1] = {FX_MAX_INDEX};
    const fx_array single = {.data = memory, .ndim = 1, .shape = endless, .strides = one_place};
    REFUSED(FX_ERROR_OVERLAP, fx_fill(&single, &uniform, 0, 0, NULL));
    memset(&distribution, 0, sizeof distribution);
    array.strides = NULL;
    REFUSED(FX_ERROR_DISTRIBUTION, fx_fill(&array, &distribution, 0, 0, NULL));
    REFUSED(FX_ERROR_DISTRIBUTION, fx_rescaled(&uniform, 0, 1));
    for (int s = FX_OK; s <= FX_ERROR_NULL; s++)
        expect(strlen(fx_message((fx_status)s)) > 5, "no message", "");
    expect(strlen(fx_message((fx_status)99)) > 5, "no message", "for a number that is not a status");
}

/* Data that is NULL is refused by each function that fills, unless the array has no elements. */
static void without_memory(void)
{
    fx_distribution uniform;
    float memory[4] = {7, 7, 7, 7};
    const int64_t shape[2] = {2, 2}, empty[2] = {2, 0};
    fx_array array = {.dtype = FX_FLOAT32, .ndim = 2, .shape = shape};
    const fx_array before = {.data = memory, .dtype = FX_FLOAT32, .ndim = 2, .shape = shape};
    const fx_array scalar = {.dtype = FX_FLOAT64};
    expect(fx_uniform(&uniform, -1, 1) == FX_OK, "uniform", "");
    REFUSED(FX_ERROR_NULL, fx_check(&array, &uniform, NULL));
    REFUSED(FX_ERROR_NULL, fx_fill(&array, &uniform, 0, 0, NULL));
    REFUSED(FX_ERROR_NULL, fx_fill(&scalar, &uniform, 0, 0, NULL));
    REFUSED(FX_ERROR_NULL, fx_fill_run(NULL, FX_FLOAT16, 5, 1, &uniform, 0, 0, NULL));
    fx_request requests[2] = {{&before, &uniform, 0, 0, 0, 0}, {&array, &uniform, 0, 1, 0, 0}};
    int64_t failed = -1;
    REFUSED(FX_ERROR_NULL, fx_fill_all(requests, 2, NULL, &failed));
    expect(failed == 1, "fx_fill_all", "does not say which array has no memory");
    for (int i = 0; i < 4; i++)
        expect(memory[i] == 7, "a refused fx_fill_all", "wrote");
    array.shape = empty;
    REFUSED(FX_OK, fx_check(&array, &uniform, NULL));
    REFUSED(FX_OK, fx_fill(&array, &uniform, 0, 0, NULL));
    REFUSED(FX_OK, fx_fill_run(NULL, FX_FLOAT64, 5, 0, &uniform, 0, 0, NULL));
    REFUSED(FX_OK, fx_fill_all(requests, 2, NULL, &failed));
}

/* A truncation whose end is finite, but too far away to matter, is the same as one without that end. */
static void far_ends(void)
{
    static const double FAR[] = {65, 1e10, 1e38, 1e155, 1.7e308}, NEAR[] = {-1, 0, 8, 36};
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 4; k++) {
            fx_distribution far, endless;
            expect(fx_truncated_normal(&endless, 0, 1, NEAR[k], INFINITY) == FX_OK, "endless truncation",
                   "");
            expect(fx_truncated_normal(&far, 0, 1, NEAR[k], FAR[i]) == FX_OK, "far truncation", "");
            far.high = INFINITY;
            expect(memcmp(&far, &endless, sizeof far) == 0, "far truncation",
                   "differs from the endless one");
            fx_truncated_normal(&endless, 0, 1, -INFINITY, -NEAR[k]);
            fx_truncated_normal(&far, 0, 1, -FAR[i], -NEAR[k]);
            far.low = -INFINITY;
            expect(memcmp(&far, &endless, sizeof far) == 0, "far truncation",
                   "differs from the endless one");
        }
}

/* Values are within the ends of the distribution and have its mean and variance, within five standard
   errors. These are taken as for an exponential, whose variance has the largest one here. */
static void ranges(void)
{
    enum { COUNT = 4096 };
    static const struct {
        const char *kind;
        char numbers[64];
        fx_dtype dtype;
        double low, high, mean, std; /* of the distribution; mean and std from mpmath */
    } DISTRIBUTIONS[] = {
        {"uniform", "1,0x1.000006p0", FX_FLOAT32, 1, 0x1.000006p0, 0x1.000004p0,
         0x1.a2p-24}, /* three floats */
        {"uniform", "1e308,1.7e308", FX_FLOAT64, 1e308, 1.7e308, 1.35e308, 2.0208e307},
        {"truncated_normal", "0,1,8,9", FX_FLOAT32, 8, 9, 8.12118899, 0.118948},
        {"truncated_normal", "0,1,-9,-8", FX_FLOAT32, -9, -8, -8.12118899, 0.118948},
        {"truncated_normal", "0,1,8,9", FX_FLOAT64, 8, 9, 8.12118899, 0.118948},
        {"truncated_normal", "0,1,-9,-8", FX_FLOAT64, -9, -8, -8.12118899, 0.118948},
        {"truncated_normal", "0,1,-1e-37,1e-37", FX_FLOAT32, -1e-37, 1e-37, 0, 5.7735e-38},
        {"truncated_normal", "0,1,-1e-20,1e-20", FX_FLOAT64, -1e-20, 1e-20, 0, 5.7735e-21},
        {"truncated_normal", "0,1,1,0x1.000000000001p0", FX_FLOAT64, 1, 0x1.000000000001p0,
         0x1.0000000000008p0, 0x1.27ap-50},
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
            expect(distribution_of(DISTRIBUTIONS[k].kind, numbers, &distribution) == FX_OK,
                   "no distribution", DISTRIBUTIONS[k].numbers);
            expect(fx_fill_run(is_float ? (void *)floats : doubles, DISTRIBUTIONS[k].dtype, 0, COUNT,
                               &distribution, 3, 4, NULL) == FX_OK,
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
            expect(fabs(squares - 1) < 5 * sqrt(8.0 / COUNT),
                   "another variance:", DISTRIBUTIONS[k].numbers);
        }
    fx_force_isa(NULL);
}

/* FASTXAVIER_ISA: a known name, an unknown one, and an empty one. */
static void environment(void)
{
    static char plain[] = "FASTXAVIER_ISA=scalar", unknown[] = "FASTXAVIER_ISA=mmx",
                empty[] = "FASTXAVIER_ISA=";
    float value;
    fx_distribution distribution;
    fx_constant(&distribution, 1);
    putenv(plain);
    fx_force_isa(NULL);
    expect(fx_isa() && strcmp(fx_isa(), "scalar") == 0, "FASTXAVIER_ISA", "has no effect");
    putenv(unknown);
    fx_force_isa(NULL);
    expect(fx_isa() == NULL, "FASTXAVIER_ISA", "accepted mmx");
    expect(fx_fill_run(&value, FX_FLOAT32, 0, 1, &distribution, 0, 0, NULL) == FX_ERROR_ISA, "fx_fill",
           "with no kernels");
    REFUSED(FX_ERROR_ISA, fx_fill_checked(NULL, 0, NULL));
    putenv(empty);
    fx_force_isa(NULL);
    expect(fx_isa() && strcmp(fx_isa(), fx_isa_available(0)) == 0, "FASTXAVIER_ISA",
           "empty: not the best");
}

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
/* Three times as long as the slowest emulator or sanitizer takes. */
static void end_if_it_hangs(void) { alarm(900); }
#else
static void end_if_it_hangs(void) {}
#endif

int main(int count, char **arguments)
{
    const int brief = count == 4 && strcmp(arguments[3], "brief") == 0;
    if (count != 3 && !brief) {
        printf("usage: check philox4x32_10.txt golden.txt [brief]\n");
        return 2;
    }
    end_if_it_hangs();
    const char *const chosen = fx_isa(); /* before environment() changes it */
    known_answers(arguments[1]);
    golden_values(arguments[2]);
    refusals();
    without_memory();
    far_ends();
    ranges();
    check_launches();
    check_layouts(brief);
    check_fresh_memory();
    check_threads(brief);
    check_xla();
    environment();
    expect(fx_threads() >= 1 && (fx_openmp() == 0 || fx_openmp() > 200000), "fx_openmp", "no version");
    printf("implementations:");
    for (int i = 0; fx_isa_available(i); i++)
        printf(" %s", fx_isa_available(i));
    printf("\nin use: %s", chosen ? chosen : "none");
    printf("\n%d checks, %d failed\n", checks, failures);
    return failures != 0;
}
