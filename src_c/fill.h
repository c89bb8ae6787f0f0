/* One fill in progress: made by fill.c, which fx_fill uses alone and fill_all.c for each of many arrays. */
#ifndef FASTXAVIER_FILL_H
#define FASTXAVIER_FILL_H

#include "kernels.h"
#include "layout.h"

enum { TASK_BYTES = 1 << 17 }; /* what a thread takes at a time */

/* Of this much memory one page is looked at, to learn whether the memory is fresh. */
static const int64_t SAMPLE_BYTES = INT64_C(1) << 20;

static const fx_options NO_OPTIONS = {0};

/* a / b, rounded up, of a from 0 on. A division takes as long as some values, and few a are above b. */
static inline int64_t divided_up(int64_t a, int64_t b) { return a <= b ? a > 0 : a / b + (a % b != 0); }
static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* A fill in progress. A tile is a block of rows x columns elements. Columns have consecutive indices and
   run along the axes from `inner` on. Rows run along axis `row`: the axis whose elements are adjacent in
   memory or, where those are the columns, the axis before them; -1 if there is only one row. */
typedef struct {
    kernel *store, *nontemporal; /* nontemporal may be NULL */
    size_t nontemporal_align;
    int nontemporal_copies; /* strided copies use nontemporal stores */
    int fresh; /* most pages have yet to be made */
    kernel_job job;
    uint64_t seed, stream;
    uint32_t block_high; /* the high counter word for which the job's schedules are prepared */
    size_t itemsize;
    char *data;
    layout l;
    int row, inner;
    int in_place; /* columns are adjacent in memory, so kernels write them directly */
    int64_t tile_rows, tile_columns; /* extents of a tile */
    int64_t row_tiles, column_tiles; /* tiles along each, for one position of the outer axes */
    int64_t rows, columns;
    int64_t tiles, tiles_per_task;
} fill;

/* All memory that a call fills, and how many of the pages that were looked at have yet to be made. */
typedef struct {
    int64_t bytes, pages, absent;
} memory;

static inline int64_t bytes_of(const fill *f) { return f->l.count * (int64_t)f->itemsize; }
static inline int64_t pieces_of(const fill *f) { return divided_up(f->tiles, f->tiles_per_task); }

/* The first steps of a fill, in this order. fx__prepare_fill makes all checks; after FX_OK the layout, the
   kernel and the distribution's numbers are there. fx__plan_fill then chooses the tiles. */
fx_status fx__prepare_fill(const isa *use, const fx_array *array, const fx_distribution *distribution,
                           const fx_options *options, fill *f);
void fx__plan_fill(fill *f);

/* Prepare a fill of another array with what fx__prepare_fill has found for a distribution and a dtype. */
fx_status fx__place_fill(fill *f, const fx_array *array);

/* Add a fill that fx__prepare_fill has accepted: look at one of its pages for each SAMPLE_BYTES of the
   call. */
void fx__add_memory(memory *all, const fill *f);

/* What remains after fx__prepare_fill has accepted a fill, fx__plan_fill included. `all` is the memory of
   the whole call. */
void fx__begin_fill(fill *f, uint64_t seed, uint64_t stream, const memory *all);

/* Write one of the pieces_of(f). */
void fx__fill_piece(const fill *f, int64_t piece);

#endif
