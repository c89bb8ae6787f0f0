/* Tests of layouts: boxes of a tensor anywhere in memory, nontemporal stores, interlocking axes, and many
   arrays in one call. Called by check.c. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "fastxavier.h"
#include "shared/philox.h"

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

/* Memory for a box. The first axis of `order` is contiguous, `gaps` elements are left free after each
   axis, and axes in `backwards` have negative strides. */
static void arrange(box *b, fx_dtype dtype, const int order[3], const int gaps[3],
                    const int backwards[3])
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

/* A box of extents up to `most`, or close to it where that is large, stored in any order of axes, with or
   without gaps, some axes backwards. Its indices begin a little before `far`, unless that is 0. */
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

/* Whether memory is as a fill must leave it: each value at its place, and all other bytes unchanged. */
static int as_expected(const box *b, int64_t first, const char *whole)
{
    const size_t itemsize = fx_itemsize(b->array.dtype);
    char *expected = malloc(b->size), *origin = expected + ((char *)b->array.data - b->memory);
    memset(expected, 0xA5, b->size);
    for (int64_t i = 0; i < b->shape[0]; i++)
        for (int64_t j = 0; j < b->shape[1]; j++)
            for (int64_t k = 0; k < b->shape[2]; k++) {
                const int64_t index =
                    ((b->offset[0] + i) * b->global[1] + b->offset[1] + j) * b->global[2] +
                    b->offset[2] + k - first;
                memcpy(origin + i * b->strides[0] + j * b->strides[1] + k * b->strides[2],
                       whole + (size_t)index * itemsize, itemsize);
            }
    const int same = memcmp(b->memory, expected, b->size) == 0;
    free(expected);
    return same;
}

/* Elements first .. first + count - 1, in small runs, which never use nontemporal stores. */
static char *in_small_runs(fx_dtype dtype, int64_t first, int64_t count,
                           const fx_distribution *distribution, uint64_t stream)
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

static const int64_t MOST[][3] = {{5, 7, 40},  {3, 40, 7},   {40, 3, 9},
                                  {2, 3, 900}, {30, 1, 300}, {1, 130, 130}};

static void boxes(int brief)
{
    /* large enough for nontemporal stores, the last extent in bytes: transposed, and contiguous */
    static const int64_t VAST[][3] = {{1, 1400, 8000}, {1, 1, 34 << 20}, {2, 1, 17 << 20}};
    box b;
    fx_distribution distributions[3];
    fx_uniform(&distributions[0], -1, 2);
    fx_normal(&distributions[1], 0, 1);
    fx_truncated_normal(&distributions[2], 0, 1, -1, 3);
    for (int i = 0; fx_isa_available(i); i++) {
        fx_force_isa(fx_isa_available(i));
        for (int n = 0; n < (brief ? 108 : 1200); n++) {
            arrange_any(&b, (fx_dtype)(n / 6 % DTYPE_COUNT), MOST[n % 6], n % 5 ? 0 : INT64_C(1) << 34);
            fill_and_compare(&b, &distributions[n / 36 % 3], n % 3);
        }
        for (int n = 0; n < (brief ? 0 : 3 * DTYPE_COUNT); n++) {
            const fx_dtype dtype = (fx_dtype)(n / 3);
            const int64_t *vast = VAST[n % 3];
            const int64_t most[3] = {vast[0], vast[1], vast[2] / (int64_t)fx_itemsize(dtype) + 9};
            arrange_any(&b, dtype, most, 0);
            fill_and_compare(&b, &distributions[0], n % 3);
        }
    }
    fx_force_isa(NULL);
}

/* Boxes that random ones do not contain: a last tile of one row that runs backwards; columns that are not
   consecutive in the tensor; a buffer that ends within a short row. */
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
                 {ODD[n].shape[0], ODD[n].shape[1], ODD[n].global_last},
                 {0},
                 {0},
                 NULL,
                 0,
                 {0}};
        arrange(&b, FX_FLOAT32, ODD[n].order, ODD[n].gaps, ODD[n].backwards);
        fill_and_compare(&b, &distribution, 1);
    }
}

/* Small boxes filled together with a large array, so that all use nontemporal stores; and runs whose memory
   is aligned for these from the 28th float or 24th half on, but whose first 32 values are before 2^34. */
static void nontemporal(void)
{
    enum { BOXES = 24 * DTYPE_COUNT, LARGE = 4 << 20, RUN = 6032 };
    static const int64_t LONG[][3] = {{1, 1, 20000}, {2, 1, 5000}, {1, 90, 200}};
    static box b[BOXES];
    static _Alignas(64) char memory[DTYPE_COUNT][16 + RUN * 8 + 48];
    static const int64_t large = LARGE, length = RUN, all = INT64_C(1) << 40,
                         first = (INT64_C(1) << 34) - 32;
    fx_request requests[BOXES + 1 + DTYPE_COUNT];
    fx_array runs[DTYPE_COUNT];
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
            arrange_any(&b[n], (fx_dtype)(n / 12 % DTYPE_COUNT), most, n % 5 ? 0 : INT64_C(1) << 34);
            requests[n] = (fx_request){&b[n].array, &distributions[n / 3 % 3], 7, (uint64_t)n, 0, 0};
        }
        requests[BOXES] = (fx_request){&beside, &constant, 7, 0, 0, 0};
        for (int n = 0; n < DTYPE_COUNT; n++) {
            runs[n] = (fx_array){memory[n] + 16, (fx_dtype)n, 1, &length, NULL, &all, &first};
            requests[BOXES + 1 + n] = (fx_request){&runs[n], &distributions[1], 7, 8, 0, 0};
        }
        memset(memory, 0, sizeof memory);
        memset(data, 0, LARGE * sizeof *data);
        expect(fx_fill_all(requests, BOXES + 1 + DTYPE_COUNT, NULL, NULL) == FX_OK, "fill",
               "with nontemporal stores");
        for (int n = 0; n < BOXES; n++)
            compare(&b[n], requests[n].distribution, (uint64_t)n);
        int right = 1;
        for (int n = 0; n < DTYPE_COUNT; n++) {
            char *same = in_small_runs((fx_dtype)n, first, RUN, &distributions[1], 8);
            right &= memcmp(memory[n] + 16, same, RUN * fx_itemsize((fx_dtype)n)) == 0;
            free(same);
        }
        for (int n = 0; n < LARGE; n++)
            right &= data[n] == 0.5;
        expect(right, "nontemporal stores: other values", fx_isa());
    }
    fx_force_isa(NULL);
    free(data);
}

/* Two axes that interlock: the elements of one are between those of the other. Strides that would take too
   long to check for overlap are refused. */
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
    expect(fx_check(&array, &one, NULL) == FX_ERROR_OVERLAP, "arbitrary strides", "accepted");
}

/* fx_fill_all gives what fx_fill gives, for arrays of every size from 0 on and one of many pieces. */
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
        requests[i] = (fx_request){&arrays[i], i % 2 ? &uniform : &normal, 5, (uint64_t)i, 0, 0};
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
    /* Checked once, and filled by a copy, with another seed each time. */
    static fx_request copies[COUNT];
    expect(fx_check_all(requests, COUNT, NULL, &failed) == FX_OK, "fx_check_all", "");
    expect(data[7][0] == 0 && data[7][LARGE - 1] == 0, "fx_check_all", "wrote");
    for (uint64_t seed = 6; seed < 8; seed++) {
        memcpy(copies, requests, sizeof copies);
        for (int i = 0; i < COUNT; i++)
            copies[i].seed = seed;
        expect(fx_fill_checked(copies, COUNT, NULL) == FX_OK, "fx_fill_checked", "");
        for (int i = 0; i < COUNT && alone; i++) {
            const fx_array to = {.data = alone, .dtype = FX_FLOAT32, .ndim = 1, .shape = &shapes[i]};
            fx_fill(&to, requests[i].distribution, seed, (uint64_t)i, NULL);
            expect(memcmp(alone, data[i], (size_t)shapes[i] * sizeof(float)) == 0 &&
                       data[i][shapes[i]] == 0,
                   "fx_fill_checked", "differs from fx_fill");
        }
    }
    expect(fx_fill_checked(requests, COUNT, &(fx_options){.threads = -1}) == FX_ERROR_THREADS,
           "fx_fill_checked", "accepts -1 threads");
    expect(fx_fill_checked(NULL, 0, NULL) == FX_OK, "fx_fill_checked", "refuses nothing at all");
    expect(fx_fill_all(NULL, 0, NULL, NULL) == FX_OK, "fx_fill_all", "refuses nothing at all");
    for (int i = 0; i < COUNT; i++)
        free(data[i]);
    free(alone);
}

void check_layouts(int brief)
{
    interlocked();
    boxes(brief);
    odd_boxes();
    nontemporal();
    many();
}
