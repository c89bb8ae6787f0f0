/* Tests of launches on a GPU, without one: which element each thread of a launch writes, followed here as
   cuda/launch.h says it. Called by check.c; the kernels themselves are tested in Python. */
#include <string.h>

#include "check.h"
#include "device.h"

enum { MOST = 4000 };

typedef struct {
    const device_launch *d;
    const char *memory; /* of MOST elements */
    int64_t item, written;
    int64_t index_at[MOST]; /* -1 where nothing is written */
} map;

static void note(map *m, uint64_t address, int64_t index)
{
    const int64_t at = (int64_t)(address - (uint64_t)(uintptr_t)m->memory) / m->item;
    if (at >= 0 && at < MOST && m->index_at[at] == -1) {
        m->index_at[at] = index;
        m->written++;
    } else {
        m->written += 2 * MOST; /* outside, or a second time */
    }
}

static void follow_contiguous(map *m)
{
    const device_launch *d = m->d;
    const int64_t at_once = m->item * BLOCK < LAUNCH_BYTES ? LAUNCH_BYTES / m->item : BLOCK;
    for (int64_t i = 0; i < d->threads * at_once; i++)
        if (d->base + i >= d->first && d->base + i < d->end)
            note(m, d->address + (uint64_t)(i * m->item), d->base + i);
}

static void follow_any_layout(map *m)
{
    const device_launch *d = m->d;
    for (int64_t thread = 0; thread < d->threads; thread++) {
        int64_t number = thread, row = d->first, block = 0;
        uint64_t address = d->address;
        for (int i = 0; i < d->naxes; i++) {
            const int64_t digit = number % d->axes[i].extent;
            number /= d->axes[i].extent;
            row += digit * d->axes[i].step;
            address += (uint64_t)(digit * d->axes[i].stride);
            block += i == d->blocks ? digit : 0;
        }
        for (int64_t k = 0; k < BLOCK; k++) {
            const int64_t in_row = (row / BLOCK + block) * BLOCK + k - row;
            if (in_row >= 0 && in_row < d->row)
                note(m, address + (uint64_t)(in_row * d->row_stride), row + in_row);
        }
    }
}

/* Every element of a matrix is written once, with its index in the whole tensor. */
static void check_matrix(const char *what, fx_dtype dtype, const int64_t shape[2],
                         const int64_t strides[2], const int64_t whole[2], const int64_t offset[2],
                         int start, const char *entry)
{
    static char memory[MOST * sizeof(double) + 64];
    static map m;
    fx_distribution uniform;
    device_call call;
    const int64_t item = (int64_t)fx_itemsize(dtype);
    char *aligned = memory + (64 - (uintptr_t)memory % 64);
    fx_uniform(&uniform, -1, 1);
    const int64_t bytes[2] = {strides[0] * item, strides[1] * item};
    const fx_array array = {aligned + start * item, dtype, 2, shape, bytes, whole, offset};
    const fx_status status = fx__device_call(&array, &uniform, 1, 2, &call);
    expect(status == FX_OK && strcmp(call.entry, entry) == 0, "the kernel of a launch", what);
    const int64_t per_group = LAUNCH_THREADS * (strcmp(entry, "fx_contiguous") ? 1 : PER_THREAD(item));
    expect(call.grid == (call.launch.threads + per_group - 1) / per_group, "the grid of a launch", what);
    m = (map){.d = &call.launch, .memory = aligned, .item = item};
    memset(m.index_at, 0xFF, sizeof m.index_at);
    strcmp(entry, "fx_contiguous") ? follow_any_layout(&m) : follow_contiguous(&m);
    int right = m.written == shape[0] * shape[1];
    for (int64_t i = 0; i < shape[0]; i++)
        for (int64_t j = 0; j < shape[1]; j++)
            right &= m.index_at[start + i * strides[0] + j * strides[1]] ==
                     (offset[0] + i) * whole[1] + offset[1] + j;
    expect(right, "the elements of a launch", what);
}

/* The numbers of a part's columns, and where its zeros go; Python runs the kernel. */
static void check_zeros(void)
{
    static const int64_t PART[2] = {3, 600}, STRIDES[2] = {-8, 4096}, WHOLE[2] = {9, 1000},
                         AT[2] = {5, 400};
    char item;
    device_call call;
    const device_launch *d = &call.launch;
    const fx_array part = {&item, FX_FLOAT64, 2, PART, STRIDES, WHOLE, AT};
    const int64_t first =
        ((int64_t)7 << 34) + 400 * 9; /* the 2^32 blocks with counter word 7 begin there */
    expect(fx__device_zeros(&part, first, 4, 1, 2, &call) == FX_OK && !strcmp(call.entry, "fx_zeros") &&
               !strcmp(call.distribution, "uniform") && !strcmp(call.name, "f64"),
           "the kernel of", "zeros");
    expect(call.grid == 3 && d->threads == 600 && d->first == first && d->block_high == 7 &&
               d->stream == 2 && d->row == 9 && d->base == 5 && d->end == 4 && d->row_stride == 8 &&
               d->address == (uint64_t)(uintptr_t)&item,
           "the columns of", "zeros");
    expect(d->axes[0].extent == 3 && d->axes[0].stride == -8 && d->axes[1].extent == 600 &&
               d->axes[1].stride == 4096,
           "the strides of", "zeros");
    const fx_array whole = {&item, FX_FLOAT16, 2, PART, NULL, NULL, NULL};
    expect(fx__device_zeros(&whole, 0, 1, 1, 2, &call) == FX_OK && d->row == 3 && d->base == 0 &&
               d->axes[0].stride == 1200 && d->axes[1].stride == 2,
           "a whole matrix of", "zeros");
    static const int64_t WIDE[2] = {1, (int64_t)1 << 39};
    const fx_array wide = {&item, FX_FLOAT16, 2, WIDE, NULL, NULL, NULL};
    expect(fx__device_zeros(&wide, 0, 1, 1, 2, &call) == FX_ERROR_SHAPE, "a grid is refused for",
           "zeros");
}

void check_launches(void)
{
    check_zeros();
    static const fx_dtype DTYPES[] = {FX_FLOAT32, FX_FLOAT64, FX_FLOAT16, FX_BFLOAT16};
    for (int i = 0; i < 4; i++)
        for (int start = 1; start < 18; start++) {
#define EACH(what, shape0, shape1, stride0, stride1, whole0, whole1, offset0, offset1, start, entry) \
    check_matrix(what, DTYPES[i], (const int64_t[]){shape0, shape1}, \
                 (const int64_t[]){stride0, stride1}, (const int64_t[]){whole0, whole1}, \
                 (const int64_t[]){offset0, offset1}, start, entry)
            EACH("rows of a tensor", 3, 7, 7, 1, 90, 7, start, 0, start, "fx_contiguous");
            EACH("one element", 1, 1, 9, 9, 90, 7, start, 3, start, "fx_contiguous");
            EACH("transposed", 23, 19, 1, 23, 23, 19, 0, 0, start, "fx_any_layout");
            EACH("columns of a tensor", 9, 17, 40, 1, 20, 50, 3, start, start, "fx_any_layout");
            EACH("rows that begin alike", 9, 17, 40, 1, 20, 52, 3, start, start, "fx_any_layout");
            EACH("one column", 30, 1, 2, 1, 60, 77, 4, 70, start, "fx_any_layout");
            EACH("every other", 1, 9, 40, 2, 1, 90, 0, start, start, "fx_any_layout");
            EACH("backwards", 8, 9, -50, -2, 8, 9, 0, 0, 600, "fx_any_layout");
        }

    fx_distribution uniform, large;
    device_call call;
    fx_uniform(&uniform, -1, 1);
    fx_uniform(&large, -1e9, 1e9);
    const int64_t none[] = {0, 5}, some[] = {4, 5}, most[] = {(int64_t)1 << 60}, one[] = {1, 1};
    const struct {
        const char *what;
        fx_array array;
        const fx_distribution *distribution;
        fx_status status;
    } refusals[] = {
        {"a dtype", {&call, (fx_dtype)99, 0, NULL, NULL, NULL, NULL}, &uniform, FX_ERROR_DTYPE},
        {"a shard", {&call, FX_FLOAT32, 2, some, NULL, some, one}, &uniform, FX_ERROR_SHARD},
        {"no memory", {NULL, FX_FLOAT32, 2, some, NULL, NULL, NULL}, &uniform, FX_ERROR_NULL},
        {"a range", {&call, FX_FLOAT16, 2, some, NULL, NULL, NULL}, &large, FX_ERROR_RANGE},
        {"a grid", {&call, FX_FLOAT16, 1, most, NULL, NULL, NULL}, &uniform, FX_ERROR_SHAPE},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        expect(fx__device_call(&refusals[i].array, refusals[i].distribution, 1, 2, &call) ==
                   refusals[i].status,
               "a launch is refused for", refusals[i].what);
    const fx_array empty = {NULL, FX_FLOAT32, 2, none, NULL, NULL, NULL};
    expect(fx__device_call(&empty, &uniform, 1, 2, &call) == FX_OK && !call.entry, "a launch of",
           "nothing");
}
