/* From an array to its layout: checks shapes, offsets and overlap, and merges axes. Called by fill.c. */
#include "layout.h"

#include <math.h>
#include <stdlib.h>

/* The most bytes that an array may span, so that the sum of two offsets within it fits in int64_t. */
static const double MOST_BYTES = 0x1p61;

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

/* Combine axes that continue each other both in memory and in the index. */
static void merge(layout *l)
{
    int kept = 0;
    for (int i = 0; i < l->naxes; i++) {
        const axis next = l->axes[i];
        if (next.extent == 1)
            continue;
        axis *last = kept ? &l->axes[kept - 1] : NULL;
        if (last && last->stride == next.stride * next.extent && last->step == next.step * next.extent)
            *last = (axis){last->extent * next.extent, next.stride, next.step};
        else
            l->axes[kept++] = next;
    }
    l->naxes = kept;
}

static int by_stride(const void *a, const void *b)
{
    const int64_t x = magnitude(((const axis *)a)->stride), y = magnitude(((const axis *)b)->stride);
    return x < y ? -1 : x > y;
}

enum { SEARCH_LIMIT = 100000 };

/* Two elements share memory if the differences d of their positions, not all zero and |d| < extent,
   have |sum d * stride| < itemsize. `axes` are sorted by rising stride, and reach[i] is the most that
   the first i of them can still add, so few d remain to be tried for each axis. An array that needs
   more trials than the limit is assumed to overlap. */
static int overlaps(const axis axes[], const int64_t reach[], int i, int64_t sum, int all_zero,
                    int64_t itemsize, int *trials)
{
    if (++*trials > SEARCH_LIMIT)
        return 1;
    if (i == 0)
        return !all_zero; /* what remained for the first axis was less than an item */
    const int64_t stride = magnitude(axes[i - 1].stride), most = axes[i - 1].extent - 1;
    const int64_t limit = reach[i - 1] + itemsize - 1;
    int64_t from = -most, to = most;
    if (stride) {
        /* |sum + d * stride| <= limit */
        const int64_t low = (-limit - sum) / stride - 1, high = (limit - sum) / stride + 1;
        from = from > low ? from : low;
        to = to < high ? to : high;
    }
    if (all_zero)
        from = 0; /* either of d and -d is enough */
    for (int64_t d = from; d <= to; d++) {
        const int64_t next = sum + d * stride;
        if (magnitude(next) <= limit &&
            overlaps(axes, reach, i - 1, next, all_zero && d == 0, itemsize, trials))
            return 1;
    }
    return 0;
}

static int shares_memory_with_itself(const layout *l, int64_t itemsize)
{
    if (l->naxes == 0 || (l->naxes == 1 && magnitude(l->axes[0].stride) >= itemsize))
        return 0;
    axis sorted[FX_MAX_DIMS];
    int64_t reach[FX_MAX_DIMS + 1];
    int nested = 1;
    reach[0] = 0;
    for (int i = 0; i < l->naxes; i++)
        sorted[i] = l->axes[i];
    qsort(sorted, (size_t)l->naxes, sizeof *sorted, by_stride);
    for (int i = 0; i < l->naxes; i++) {
        const int64_t stride = magnitude(sorted[i].stride);
        nested &= stride >= reach[i] + itemsize;
        reach[i + 1] = reach[i] + stride * (sorted[i].extent - 1);
    }
    int trials = 0;
    return !nested && overlaps(sorted, reach, l->naxes, 0, 1, itemsize, &trials);
}

fx_status fx__layout_of(const fx_array *array, layout *l)
{
    const int n = array->ndim;
    if (n < 0 || n > FX_MAX_DIMS)
        return FX_ERROR_SHAPE;
    l->naxes = n;
    l->count = 1;
    l->first = 0;
    const int64_t *global = array->global_shape ? array->global_shape : array->shape;
    int64_t stride = (int64_t)fx_itemsize(array->dtype), step = 1, total = 1;
    int empty = 0;
    double span = (double)stride;
    for (int i = n - 1; i >= 0; i--) {
        const int64_t extent = array->shape[i], start = array->offset ? array->offset[i] : 0;
        if (extent < 0 || global[i] < 0)
            return FX_ERROR_SHAPE;
        if (start < 0 || start > global[i] || extent > global[i] - start)
            return FX_ERROR_SHARD;
        empty |= extent == 0;
        l->axes[i] = (axis){extent, array->strides ? array->strides[i] : stride, step};
        if (empty)
            continue;
        if (extent > 1)
            span += fabs((double)l->axes[i].stride) * (double)(extent - 1);
        if (span > MOST_BYTES)
            return FX_ERROR_SHAPE;
        if (global[i] > FX_MAX_INDEX / total)
            return FX_ERROR_SHAPE;
        total *= global[i];
        l->first += start * step;
        step *= global[i];
        if (!array->strides) /* otherwise it could overflow, since only span was checked */
            stride *= extent;
        l->count *= extent;
    }
    if (empty) {
        l->count = 0;
        return FX_OK;
    }
    merge(l);
    return shares_memory_with_itself(l, (int64_t)fx_itemsize(array->dtype)) ? FX_ERROR_OVERLAP : FX_OK;
}
