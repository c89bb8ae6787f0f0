/* The layout of an array and its place in the global tensor, as few axes as possible. Made by layout.c
   for fill.c. */
#ifndef FASTXAVIER_LAYOUT_H
#define FASTXAVIER_LAYOUT_H

#include "fastxavier.h"

/* One axis: `extent` elements, `stride` bytes and `step` indices of the global tensor apart. */
typedef struct {
    int64_t extent, stride, step;
} axis;

/* An array as the fewest axes that describe it, none of extent 1, in the order of the index. */
typedef struct {
    int naxes;
    axis axes[FX_MAX_DIMS];
    int64_t count; /* elements; 0 if there is nothing to do */
    int64_t first; /* index of element (0, 0, ...) */
} layout;

/* FX_ERROR_SHAPE, FX_ERROR_SHARD or FX_ERROR_OVERLAP. */
fx_status fx__layout_of(const fx_array *array, layout *result);

#endif
