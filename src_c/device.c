/* From an array and a distribution to the launch of a kernel on a GPU; see device.h. */
#include "device.h"

#include <string.h>

#include "distribution.h"
#include "fpenv.h"
#include "layout.h"

#define ROW(name) #name,
static const char *const DISTRIBUTION_NAMES[] = {FX_DISTRIBUTIONS(ROW)};
#undef ROW
#define ROW(unused, DTYPE, name, size) [FX_##DTYPE] = #name,
static const char *const DTYPE_NAMES[] = {FX_DTYPES(ROW, )};
#undef ROW

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

/* An array that is one run of adjacent elements. A thread draws what fills a store, from an aligned address
   on if the array has one at the first element of a block. */
static void contiguous(device_launch *d, int64_t count, int64_t item)
{
    const int64_t at_once = item * BLOCK < LAUNCH_BYTES ? LAUNCH_BYTES / item : BLOCK;
    d->end = d->first + count;
    d->base = d->first - d->first % BLOCK;
    for (int64_t base = d->base; base > d->base - at_once; base -= BLOCK)
        if ((d->address - (uint64_t)((d->first - base) * item)) % LAUNCH_BYTES == 0) {
            d->base = base;
            d->aligned = 1;
            break;
        }
    d->address -= (uint64_t)((d->first - d->base) * item);
    d->threads = (d->end - d->base + at_once - 1) / at_once;
}

/* The place of a new axis in an order of rising strides, so that neighbouring threads write to neighbouring
   addresses. */
static int insert(device_launch *d, launch_axis axis, int64_t distance)
{
    int at = d->naxes++;
    for (; at > 0 && distance < magnitude(d->axes[at - 1].stride); at--)
        d->axes[at] = d->axes[at - 1];
    d->axes[at] = axis;
    return at;
}

/* Any other array; it has an axis. The last one is that of the rows if its indices are consecutive. */
static void any_layout(device_launch *d, const layout *l, int64_t item)
{
    int outer = l->naxes;
    d->row = 1;
    d->row_stride = item;
    if (l->axes[outer - 1].step == 1) {
        outer--;
        d->row = l->axes[outer].extent;
        d->row_stride = l->axes[outer].stride;
    }
    int64_t begins_alike = 1; /* all rows begin at the same word of a block */
    d->threads = 1;
    for (int i = 0; i < outer; i++) {
        const axis a = l->axes[i];
        insert(d, (launch_axis){a.extent, a.stride, a.step}, magnitude(a.stride));
        begins_alike &= a.step % BLOCK == 0;
        d->threads *= a.extent;
    }
    const int64_t most_before = begins_alike ? d->first % BLOCK : BLOCK - 1;
    const int64_t blocks = (most_before + d->row + BLOCK - 1) / BLOCK;
    d->blocks = insert(d, (launch_axis){blocks, 0, 0}, magnitude(d->row_stride) * BLOCK);
    d->threads *= blocks;
}

/* The kernel of a distribution and a dtype, its numbers, and the words from index `first` on. */
static fx_status prepare(const fx_distribution *distribution, fx_dtype dtype, int64_t first,
                         uint64_t seed, uint64_t stream, device_call *call)
{
    device_launch *d = &call->launch;
    int kernel_index;
    const fp_state callers = fp_enter();
    const fx_status status = fx__prepare_distribution(distribution, dtype, &d->job, &kernel_index);
    fp_leave(callers);
    if (status != FX_OK)
        return status;
    call->distribution = DISTRIBUTION_NAMES[kernel_index];
    call->name = DTYPE_NAMES[dtype];
    d->first = first;
    d->stream = stream;
    d->block_high = (uint32_t)((uint64_t)first / BLOCK >> 32);
    d->job.words = philox_prepare(seed, stream, d->block_high);
    d->job.more_words = philox_prepare(seed, stream, d->block_high | SECOND_WORDS);
    return FX_OK;
}

static fx_status grid_of(device_call *call, int64_t per_group)
{
    const int64_t grid = (call->launch.threads + per_group - 1) / per_group;
    call->grid = (uint32_t)grid;
    return grid > INT32_MAX ? FX_ERROR_SHAPE : FX_OK;
}

fx_status fx__device_call(const fx_array *array, const fx_distribution *distribution, uint64_t seed,
                          uint64_t stream, device_call *call)
{
    device_launch *d = &call->launch;
    const int64_t item = (int64_t)fx_itemsize(array->dtype);
    layout l;
    memset(call, 0, sizeof *call);
    if (!item)
        return FX_ERROR_DTYPE;
    fx_status status = fx__layout_of(array, &l);
    if (status != FX_OK)
        return status;
    if (l.count && !array->data)
        return FX_ERROR_NULL;
    status = prepare(distribution, array->dtype, l.first, seed, stream, call);
    if (status != FX_OK || !l.count)
        return status;

    d->address = (uint64_t)(uintptr_t)array->data;
    int64_t per_group = LAUNCH_THREADS;
    if (l.naxes == 0 || (l.naxes == 1 && l.axes[0].step == 1 && l.axes[0].stride == item)) {
        contiguous(d, l.count, item);
        call->entry = "fx_contiguous";
        per_group *= PER_THREAD(item);
    } else {
        any_layout(d, &l, item);
        call->entry = "fx_any_layout";
    }
    return grid_of(call, per_group);
}

fx_status fx__device_zeros(const fx_array *array, int64_t first, int64_t zeros, uint64_t seed,
                           uint64_t stream, device_call *call)
{
    device_launch *d = &call->launch;
    fx_distribution uniform;
    memset(call, 0, sizeof *call);
    fx_uniform(&uniform, -1.0, 1.0); /* of which neither this nor the next call refuses anything */
    prepare(&uniform, FX_FLOAT64, first, seed, stream, call);
    d->address = (uint64_t)(uintptr_t)array->data;
    d->row = array->global_shape ? array->global_shape[0] : array->shape[0];
    d->base = array->offset ? array->offset[0] : 0;
    d->end = zeros;
    d->row_stride = (int64_t)fx_itemsize(array->dtype);
    d->threads = array->shape[1];
    d->naxes = 2;
    const int64_t contiguous_strides[] = {d->threads * d->row_stride, d->row_stride};
    for (int i = 0; i < 2; i++)
        d->axes[i] = (launch_axis){array->shape[i],
                                   array->strides ? array->strides[i] : contiguous_strides[i], 0};
    call->entry = "fx_zeros";
    return grid_of(call, LAUNCH_THREADS);
}
