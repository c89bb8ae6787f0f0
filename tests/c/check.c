/* The C interface without Python, on whatever machine this is built for:
       check philox4x32_10.txt golden.txt
   Known answers of Philox, golden values under every implementation that runs here, and the
   status of every kind of call that must be refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "blake2b.h"
#include "fastxavier.h"
#include "philox.h"

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

static fx_status law_of(const char *kind, char *numbers, fx_law *law)
{
    double p[4] = {0};
    for (int i = 0; i < 4 && numbers && *numbers; i++) {
        p[i] = strtod(numbers, &numbers);
        numbers += *numbers == ',';
    }
    if (strcmp(kind, "constant") == 0)
        return fx_constant(law, p[0]);
    if (strcmp(kind, "uniform") == 0)
        return fx_uniform(law, p[0], p[1]);
    if (strcmp(kind, "normal") == 0)
        return fx_normal(law, p[0], p[1]);
    return fx_truncated_normal(law, p[0], p[1], p[2], p[3]);
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
        char law_name[64], dtype[16], kind[32], numbers[256], expected[64], got[33];
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
        fx_law law;
        if (!data || sscanf(line, "%63s %15s %31s %255s %63s", law_name, dtype, kind, numbers,
                            expected) != 5 ||
            law_of(kind, numbers, &law) != FX_OK) {
            expect(0, "cannot read", line);
            continue;
        }
        const size_t itemsize = fx_itemsize(dtype_of(dtype));
        for (int i = 0; fx_isa_available(i); i++)
            for (int threads = 1; threads <= 2; threads++) {
                const fx_options options = {.threads = threads};
                uint8_t digest[16];
                expect(fx_force_isa(fx_isa_available(i)) == FX_OK, "force", fx_isa_available(i));
                const fx_status status = fx_fill_run(data, dtype_of(dtype), 0, (int64_t)last + 1, &law,
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
    fx_law law, uniform;
    float memory[16], before[16];
    const int64_t shape[2] = {4, 4}, negative[2] = {4, -1}, offset[2] = {1, 0}, global[2] = {4, 4};
    const int64_t overlapping[2] = {4, 4}, vast[2] = {INT64_C(1) << 40, INT64_C(1) << 40};
    const fx_options no_threads = {.threads = -1};
    fx_array array = {.data = memory, .dtype = FX_FLOAT32, .ndim = 2, .shape = shape};
    for (int i = 0; i < 16; i++)
        memory[i] = before[i] = (float)i;
    expect(fx_uniform(&uniform, -1, 1) == FX_OK, "uniform", "");

#define REFUSED(status, call) expect((call) == (status), #call, #status)
    REFUSED(FX_ERROR_NOT_FINITE, fx_uniform(&law, NAN, 1));
    REFUSED(FX_ERROR_ORDER, fx_uniform(&law, 1, -1));
    REFUSED(FX_ERROR_NOT_FINITE, fx_constant(&law, INFINITY));
    REFUSED(FX_ERROR_NOT_FINITE, fx_normal(&law, 0, INFINITY));
    REFUSED(FX_ERROR_ORDER, fx_normal(&law, 0, -1));
    REFUSED(FX_ERROR_EMPTY, fx_truncated_normal(&law, 0, 1, 1, 1));
    REFUSED(FX_ERROR_EMPTY, fx_truncated_normal(&law, 0, 1, 37.5, INFINITY));
    REFUSED(FX_ERROR_NOT_FINITE, fx_truncated_normal(&law, 0, 1, NAN, 1));
    REFUSED(FX_ERROR_NOT_FINITE, fx_truncated_normal(&law, 0, 1, 1, NAN));
    REFUSED(FX_ERROR_NOT_FINITE, fx_truncated_normal(&law, NAN, 1, -1, 1));
    REFUSED(FX_ERROR_ORDER, fx_truncated_normal(&law, 0, -1, -1, 1));
    REFUSED(FX_ERROR_EMPTY, fx_truncated_normal(&law, 0, 1, -INFINITY, -37.5));
    REFUSED(FX_ERROR_NOT_FINITE, fx_uniform(&law, 0, NAN));
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
    array.offset = NULL;
    array.strides = overlapping;
    REFUSED(FX_ERROR_OVERLAP, fx_fill(&array, &uniform, 0, 0, NULL));
    array.strides = NULL;
    fx_normal(&law, 0, 1e38);
    REFUSED(FX_ERROR_RANGE, fx_fill(&array, &law, 0, 0, NULL));
    fx_truncated_normal(&law, 0, 1, 1 + 0x1p-50, 1 + 0x1p-49);
    REFUSED(FX_ERROR_EMPTY, fx_fill(&array, &law, 0, 0, NULL));
    fx_constant(&law, 1e39);
    REFUSED(FX_ERROR_RANGE, fx_fill(&array, &law, 0, 0, NULL));
    fx_uniform(&law, 0, 1e39);
    REFUSED(FX_ERROR_RANGE, fx_check(&array, &law, NULL));
    expect(memcmp(memory, before, sizeof memory) == 0, "a refused fill", "wrote");
    REFUSED(FX_OK, fx_fill(&array, &uniform, 0, 0, NULL));
    expect(memcmp(memory, before, sizeof memory) != 0, "an accepted fill", "wrote nothing");
    const int64_t far_apart[2] = {INT64_C(1) << 62, 4};
    array.strides = far_apart;
    REFUSED(FX_ERROR_SHAPE, fx_fill(&array, &uniform, 0, 0, NULL));
    const int64_t one_place[1] = {0}, endless[1] = {FX_MAX_INDEX};
    const fx_array single = {.data = memory, .ndim = 1, .shape = endless, .strides = one_place};
    REFUSED(FX_ERROR_OVERLAP, fx_fill(&single, &uniform, 0, 0, NULL));
    memset(&law, 0, sizeof law);
    array.strides = NULL;
    REFUSED(FX_ERROR_LAW, fx_fill(&array, &law, 0, 0, NULL));
    REFUSED(FX_ERROR_LAW, fx_rescaled(&uniform, 0, 1));
    for (int s = FX_OK; s <= FX_ERROR_LAW; s++)
        expect(strlen(fx_message((fx_status)s)) > 5, "no message", "");
    expect(strlen(fx_message((fx_status)99)) > 5, "no message", "for what is no status");
}

/* A cut whose end is finite, but as far as makes no difference, is the one that has no such end. */
static void far_ends(void)
{
    static const double FAR[] = {65, 1e10, 1e38, 1e155, 1.7e308}, NEAR[] = {-1, 0, 8, 36};
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 4; k++) {
            fx_law far, endless;
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

/* As fx_fill must leave `memory`: each value at its place, and what was there beside them. */
static int as_expected(const fx_array *a, const char *memory, size_t size, int64_t first, const char *whole)
{
    const size_t itemsize = fx_itemsize(a->dtype);
    char *expected = malloc(size);
    memset(expected, 0xA5, size);
    for (int64_t i = 0; i < a->shape[0]; i++)
        for (int64_t j = 0; j < a->shape[1]; j++)
            for (int64_t k = 0; k < a->shape[2]; k++) {
                const int64_t index = ((a->offset[0] + i) * a->global_shape[1] + a->offset[1] + j) *
                                          a->global_shape[2] + a->offset[2] + k - first;
                memcpy(expected + ((char *)a->data - memory) + i * a->strides[0] + j * a->strides[1] +
                           k * a->strides[2],
                       whole + (size_t)index * itemsize, itemsize);
            }
    const int same = memcmp(memory, expected, size) == 0;
    free(expected);
    return same;
}

/* One box of extents up to `most`, or nearly that where it is large, stored in any order of axes, with
   gaps or not, some axes backwards; its indices begin a little before `far`, unless that is 0. */
static void box(const int64_t most[3], int64_t far, fx_dtype dtype, const fx_law *law, int threads)
{
    static const int ORDERS[6][3] = {{2, 1, 0}, {1, 2, 0}, {2, 0, 1}, {0, 2, 1}, {1, 0, 2}, {0, 1, 2}};
    int64_t shape[3], global[3], offset[3], strides[3], stride = (int64_t)fx_itemsize(dtype);
    const int *order = ORDERS[below(6)];
    int64_t start = 0;
    for (int i = 0; i < 3; i++) {
        shape[i] = most[i] < 1000 ? 1 + below(most[i]) : most[i] - below(9);
        offset[i] = below(2) * below(9);
        global[i] = offset[i] + shape[i] + below(2) * below(9);
    }
    const int64_t plane = global[1] * global[2];
    if (far) {
        offset[0] = far / plane - below(3);
        global[0] = offset[0] + shape[0];
    }
    for (int k = 0; k < 3; k++) {
        const int axis = order[k], backwards = below(4) == 0;
        strides[axis] = backwards ? -stride : stride;
        start += backwards ? stride * (shape[axis] - 1) : 0;
        stride *= shape[axis] + below(2) * below(3);
    }
    const int64_t first = offset[0] * plane, count = shape[0] * plane;
    char *whole = malloc((size_t)count * 8), *memory = malloc((size_t)stride);
    memset(memory, 0xA5, (size_t)stride);
    const fx_array array = {memory + start, dtype, 3, shape, strides, global, offset};
    const fx_options options = {.threads = threads};
    for (int64_t part = 0, size; part < count; part += size) { /* small ones are never streamed */
        size = count - part < 4096 ? count - part : 4096;
        fx_fill_run(whole + part * (int64_t)fx_itemsize(dtype), dtype, first + part, size, law, 7, 8, NULL);
    }
    expect(fx_fill(&array, law, 7, 8, &options) == FX_OK, "box", fx_isa());
    expect(as_expected(&array, memory, (size_t)stride, first, whole), "box: other values", fx_isa());
    free(whole);
    free(memory);
}

static void boxes(int brief)
{
    static const int64_t MOST[][3] = {{5, 7, 40}, {3, 40, 7}, {40, 3, 9}, {2, 3, 900}, {30, 1, 300}, {1, 130, 130}};
    /* what goes past the caches, its last extent in bytes: when turned, and when neighbours already */
    static const int64_t VAST[][3] = {{1, 1400, 8000}, {1, 1, 34 << 20}, {2, 1, 17 << 20}};
    fx_law laws[3];
    fx_uniform(&laws[0], -1, 2);
    fx_normal(&laws[1], 0, 1);
    fx_truncated_normal(&laws[2], 0, 1, -1, 3);
    for (int i = 0; fx_isa_available(i); i++) {
        fx_force_isa(fx_isa_available(i));
        for (int n = 0; n < (brief ? 72 : 1200); n++)
            box(MOST[n % 6], n % 5 ? 0 : INT64_C(1) << 34, (fx_dtype)(n / 6 % 4), &laws[n / 24 % 3], n % 3);
        for (int n = 0; n < (brief ? 0 : 12); n++) {
            const fx_dtype dtype = (fx_dtype)(n / 3);
            const int64_t *vast = VAST[n % 3];
            const int64_t most[3] = {vast[0], vast[1], vast[2] / (int64_t)fx_itemsize(dtype) + 9};
            box(most, 0, dtype, &laws[0], n % 3);
        }
    }
    fx_force_isa(NULL);
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
    fx_law uniform, normal;
    int64_t failed = -1;
    fx_uniform(&uniform, -1, 1);
    fx_normal(&normal, 0, 1);
    for (int i = 0; i < COUNT; i++) {
        shapes[i] = i == 7 ? LARGE : i * 29 % 4001;
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
            fx_fill(&to, requests[i].law, 5, (uint64_t)i, NULL);
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
    fx_law law;
    double *data = malloc((size_t)count * 8);
    fx_truncated_normal(&law, 0, 1, -3, 3);
    fx_force_isa("scalar");
    if (data)
        expect(fx_fill_run(data, FX_FLOAT64, 0, count, &law, 0, 0, &options) == FX_INTERRUPTED,
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
    fx_law law;
    fx_constant(&law, 1);
    putenv(plain);
    fx_force_isa(NULL);
    expect(fx_isa() && strcmp(fx_isa(), "scalar") == 0, "FASTXAVIER_ISA", "not heeded");
    putenv(unknown);
    fx_force_isa(NULL);
    expect(fx_isa() == NULL, "FASTXAVIER_ISA", "accepted mmx");
    expect(fx_fill_run(&value, FX_FLOAT32, 0, 1, &law, 0, 0, NULL) == FX_ERROR_ISA, "fx_fill", "with no kernels");
    putenv(empty);
    fx_force_isa(NULL);
    expect(fx_isa() && strcmp(fx_isa(), fx_isa_available(0)) == 0, "FASTXAVIER_ISA", "empty: not the best");
}

#if defined(__unix__) || defined(__APPLE__)
/* The threads of a parallel fill are not in a child process, which fills on its own. */
static void after_fork(void)
{
    enum { COUNT = 1 << 20 };
    const fx_options options = {.threads = 2};
    const size_t size = COUNT * sizeof(float);
    float *here = malloc(size), *there = malloc(size);
    int status = 1;
    fx_law law;
    fx_uniform(&law, -1, 1);
    fx_fill_run(here, FX_FLOAT32, 0, COUNT, &law, 1, 2, &options);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        fx_fill_run(there, FX_FLOAT32, 0, COUNT, &law, 1, 2, &options);
        const int right = memcmp(here, there, size) == 0 && fx_threads() == 1;
        free(here);
        free(there);
        exit(right ? 0 : 1);
    }
    expect(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a fill", "after a fork");
    free(here);
    free(there);
}
#else
static void after_fork(void) {}
#endif

/* On as many threads as OpenMP and the machine's load allow, asked meanwhile. */
static int go_on(void *argument, double done)
{
    (void)done;
    ++*(int *)argument;
    return 0;
}

static void as_many_threads_as_pay(void)
{
    enum { COUNT = 1 << 24, MOST = 1000 };
    int polls = 0;
    float *data = malloc(COUNT * sizeof(float)), last;
    fx_law law;
    fx_truncated_normal(&law, 0, 1, -3, 3);
    fx_fill_run(&last, FX_FLOAT32, COUNT - 1, 1, &law, 1, 2, NULL);
    for (int threads = 0; threads <= MOST; threads += MOST / 2) {
        const fx_options options = {threads, go_on, &polls};
        data[COUNT - 1] = 0;
        expect(fx_fill_run(data, FX_FLOAT32, 0, COUNT, &law, 1, 2, &options) == FX_OK, "fill", "while asked");
        expect(data[COUNT - 1] == last, "fill", "while asked: another value");
    }
    for (int size = 1 << 17; size < COUNT; size *= 2) /* of work that is worth threads or not */
        expect(fx_fill_run(data, FX_FLOAT32, 0, size, &law, 1, 2, NULL) == FX_OK, "fill", "of some size");
    expect(polls > 0, "poll", "never called");
    expect(fx_threads() >= 1 && (fx_openmp() == 0 || fx_openmp() > 200000), "fx_openmp", "no version");
    free(data);
}

int main(int count, char **arguments)
{
    const int brief = count == 4 && strcmp(arguments[3], "brief") == 0;
    if (count != 3 && !brief) {
        printf("usage: check philox4x32_10.txt golden.txt [brief], the latter for an emulated machine\n");
        return 2;
    }
    const char *const chosen = fx_isa(); /* before the tests of choosing */
    known_answers(arguments[1]);
    golden_values(arguments[2]);
    refusals();
    far_ends();
    boxes(brief);
    many();
    interruption();
    if (!brief)
        as_many_threads_as_pay();
    after_fork();
    environment();
    printf("implementations:");
    for (int i = 0; fx_isa_available(i); i++)
        printf(" %s", fx_isa_available(i));
    printf("\nin use: %s", chosen ? chosen : "none");
    printf("\n%d checks, %d failed\n", checks, failures);
    return failures != 0;
}
