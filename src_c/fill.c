/* The fill of one array: splits a layout into tasks of tiles, tiles into runs of consecutive indices, and
   runs into calls of kernels; parallel.c runs the tasks. fill_all.c fills many arrays with it. */
#include "fill.h"

#include <string.h>

#include "fpenv.h"
#include "distribution.h"
#include "pages.h"
#include "parallel.h"
#include "copy_strided.h"

enum {
    TILE_BYTES = 1 << 15, /* a tile that is copied to its place: fits the first-level cache */
    TILE_COLUMN_BYTES = 1 << 8,
    SHORT_RUN = 512, /* values: copying fewer costs less than a second call of the kernel */
    SHORT_ROW = 128, /* values: shorter rows are copied whole, longer ones only at their ends */
    ROWS_BYTES = 1 << 14, /* rows that are written to a buffer before they are copied */
    NONTEMPORAL_ROW_BYTES = 1 << 13, /* in shorter rows, nontemporal stores would not pay */
};

/* A call that fills this much uses nontemporal stores, since caches would not keep its values anyway. */
static const int64_t NONTEMPORAL_BYTES = INT64_C(32) << 20;
/* The same for strided copies. They pay earlier, outside a core's own caches, because prefetchers do not
   foresee strided writes. They do not pay for items of one or two bytes: a square of 16 bytes has 16 or 8
   of these in a row, more lines than a CPU combines writes for. */
static const int64_t NONTEMPORAL_STRIDED_BYTES = INT64_C(2) << 20;

static void prepare_words(kernel_job *job, size_t itemsize, uint64_t seed, uint64_t stream,
                          uint32_t block_high)
{
    job->words = philox_prepare(seed, stream, block_high);
    if (itemsize == sizeof(double))
        job->more_words = philox_prepare(seed, stream, block_high | SECOND_WORDS);
}

static void write_units(kernel *write, const kernel_job *job, int64_t first, void *dst, int64_t units)
{
    const kernel_rows one = {.dst = dst,
                             .rows = 1,
                             .units = (size_t)units,
                             .stride = 1,
                             .block = (uint32_t)((uint64_t)first / BLOCK)};
    write(job, &one);
}

/* Up to UNIT values by way of a buffer: an end of a run that is not a whole unit. */
static void write_part(const fill *f, const kernel_job *job, int64_t first, int skip, int count,
                       char *dst)
{
    char unit[UNIT * sizeof(double)];
    write_units(f->store, job, first, unit, 1);
    memcpy(dst, unit + (size_t)skip * f->itemsize, (size_t)count * f->itemsize);
}

/* Write values from `first` on, at most up to where the high counter word changes. Returns how many. */
static int64_t write_segment(const fill *f, int64_t first, int64_t count, char *dst, int nontemporal)
{
    const uint32_t high = (uint32_t)((uint64_t)first / BLOCK >> 32);
    const int64_t segment =
        (int64_t)((UINT64_C(1) << 34) - ((uint64_t)first & ((UINT64_C(1) << 34) - 1)));
    if (count > segment)
        count = segment;
    kernel_job other;
    const kernel_job *job = &f->job;
    if (high != f->block_high) {
        other = f->job;
        prepare_words(&other, f->itemsize, f->seed, f->stream, high);
        job = &other;
    }

    if (count <= SHORT_RUN && (first % BLOCK || count % UNIT)) {
        char units[(SHORT_RUN + 2 * UNIT) * sizeof(double)];
        const int64_t before = first % BLOCK;
        write_units(f->store, job, first, units, divided_up(before + count, UNIT));
        memcpy(dst, units + (size_t)before * f->itemsize, (size_t)count * f->itemsize);
        return count;
    }

    /* Whole units start at a block. For nontemporal stores, one that is at an aligned address. */
    int64_t head = (BLOCK - first % BLOCK) % BLOCK;
    kernel *write = f->store;
    if (nontemporal)
        for (int64_t start = head; start < head + UNIT; start += BLOCK)
            if ((uintptr_t)(dst + (size_t)start * f->itemsize) % f->nontemporal_align == 0) {
                head = start;
                write = f->nontemporal;
                break;
            }
    if (head) /* at most a unit, including the part of the block before it, and at most count */
        write_part(f, job, first, (int)(first % BLOCK), (int)head, dst);
    int64_t done = head;
    const int64_t units = (count - done) / UNIT;
    if (units)
        write_units(write, job, first + done, dst + (size_t)done * f->itemsize, units);
    done += units * UNIT;
    if (done < count)
        write_part(f, job, first + done, 0, (int)(count - done), dst + (size_t)done * f->itemsize);
    return count;
}

static void write_run(const fill *f, int64_t first, int64_t count, char *dst, int nontemporal)
{
    while (count) {
        const int64_t done = write_segment(f, first, count, dst, nontemporal);
        first += done;
        count -= done;
        dst += (size_t)done * f->itemsize;
    }
}

/* Rows of `count` consecutive indices each. The first begins at index `first` and at `dst`; each next
   row begins `step` indices and `pitch` bytes further on. */
typedef struct {
    int64_t first, count, step, rows;
    char *dst;
    int64_t pitch;
} rows;

/* Rows that each lie within one block: the blocks of many rows are computed at once. */
static void write_blocks(const fill *f, const rows *r)
{
    enum { MOST = ROWS_BYTES / (BLOCK * sizeof(double)) };
    const int64_t before = r->first % BLOCK, item = (int64_t)f->itemsize;
    const uint32_t stride = (uint32_t)(r->step / BLOCK);
    char blocks[ROWS_BYTES];
    kernel_rows place = {
        .dst = blocks, .rows = 1, .block = (uint32_t)((uint64_t)r->first / BLOCK), .stride = stride};
    for (int64_t done = 0; done < r->rows; done += MOST) {
        const int64_t count = smaller(r->rows - done, MOST);
        place.units = (size_t)divided_up(count, UNIT_BLOCKS);
        f->store(&f->job, &place);
        place.block += MOST * stride;
        for (int64_t i = 0; i < count; i++)
            memcpy(r->dst + (done + i) * r->pitch, blocks + (i * BLOCK + before) * item,
                   (size_t)(r->count * item));
    }
}

/* Rows that all begin at the same word of a block. The kernel writes whole units to their place, and
   other rows to a buffer. */
static void write_together(const fill *f, const rows *r)
{
    const int64_t before = r->first % BLOCK, item = (int64_t)f->itemsize;
    if (before + r->count <= BLOCK) {
        write_blocks(f, r);
        return;
    }
    kernel_rows place = {.dst = r->dst,
                         .dst_step = r->pitch,
                         .rows = (size_t)r->rows,
                         .units = (size_t)divided_up(before + r->count, UNIT),
                         .block = (uint32_t)((uint64_t)r->first / BLOCK),
                         .block_step = (uint32_t)(r->step / BLOCK),
                         .stride = 1};
    if (before == 0 && r->count % UNIT == 0) {
        f->store(&f->job, &place);
        return;
    }
    char units[ROWS_BYTES];
    const int64_t row_bytes = (int64_t)place.units * UNIT * item, most = ROWS_BYTES / row_bytes;
    place.dst = units;
    place.dst_step = row_bytes;
    for (int64_t done = 0; done < r->rows; done += (int64_t)place.rows) {
        place.rows = (size_t)smaller(r->rows - done, most);
        f->store(&f->job, &place);
        place.block += (uint32_t)place.rows * place.block_step;
        for (int64_t i = 0; i < (int64_t)place.rows; i++)
            memcpy(r->dst + (done + i) * r->pitch, units + i * row_bytes + before * item,
                   (size_t)(r->count * item));
    }
}

static rows part_of(const rows *r, int64_t from, int64_t count, size_t itemsize)
{
    rows part = *r;
    part.first += from;
    part.count = count;
    part.dst += from * (int64_t)itemsize;
    return part;
}

/* All rows, with as few calls of a kernel as possible, because a kernel has a long latency. */
static void write_rows(const fill *f, const rows *r, int nontemporal)
{
    const uint64_t block = (uint64_t)r->first / BLOCK;
    const uint64_t last = (uint64_t)(r->first + (r->rows - 1) * r->step + r->count - 1) / BLOCK;
    nontemporal =
        nontemporal && f->nontemporal && r->count * (int64_t)f->itemsize >= NONTEMPORAL_ROW_BYTES;
    if (r->rows == 1 || nontemporal || block >> 32 != f->block_high || last >> 32 != f->block_high) {
        for (int64_t i = 0; i < r->rows; i++)
            write_run(f, r->first + i * r->step, r->count, r->dst + i * r->pitch, nontemporal);
        return;
    }
    if (r->step % BLOCK) { /* every BLOCK-th row begins at the same word of its block */
        for (int64_t i = 0; i < smaller(r->rows, BLOCK); i++) {
            const rows alike = {.first = r->first + i * r->step,
                                .count = r->count,
                                .step = r->step * BLOCK,
                                .rows = divided_up(r->rows - i, BLOCK),
                                .dst = r->dst + i * r->pitch,
                                .pitch = r->pitch * BLOCK};
            write_rows(f, &alike, nontemporal);
        }
        return;
    }
    const int64_t head = (BLOCK - r->first % BLOCK) % BLOCK, tail = (r->count - head) % UNIT;
    if (r->count < SHORT_ROW || (head == 0 && tail == 0)) {
        write_together(f, r);
        return;
    }
    const rows parts[] = {part_of(r, 0, head, f->itemsize),
                          part_of(r, head, r->count - head - tail, f->itemsize),
                          part_of(r, r->count - tail, tail, f->itemsize)};
    for (int i = 0; i < 3; i++)
        if (parts[i].count)
            write_together(f, &parts[i]);
}

/* Remove the last digit of *at, in the mixed radix of the extents, and return it. */
static int64_t digit(int64_t *at, int64_t extent)
{
    /* Avoid the division, which takes as long as some values, where the digit is 0 or all of *at. */
    if (extent == 1)
        return 0;
    if (*at < extent) {
        const int64_t last = *at;
        *at = 0;
        return last;
    }
    const int64_t last = *at % extent;
    *at /= extent;
    return last;
}

/* The byte offset of position `at` in C order of axes [from, to); adds its index to *index. */
static int64_t offset_of(const layout *l, int from, int to, int64_t at, int64_t *index)
{
    int64_t bytes = 0;
    for (int i = to - 1; i >= from && at; i--) {
        const int64_t j = digit(&at, l->axes[i].extent);
        bytes += j * l->axes[i].stride;
        *index += j * l->axes[i].step;
    }
    return bytes;
}

/* Copy `count` values to the inner axes, from position `at` of these on, as blocks of the last two axes
   that are as large as possible. */
static void copy_values(const fill *f, char *dst, int64_t at, const char *src, int64_t count)
{
    const layout *l = &f->l;
    const int n = l->naxes;
    const axis last = l->axes[n - 1], above = n - 1 > f->inner ? l->axes[n - 2] : (axis){1, 0, 0};
    const int64_t item = (int64_t)f->itemsize;
    while (count) {
        int64_t ignored = 0, columns = last.extent - at % last.extent, rows = 1;
        if (columns == last.extent && count >= columns)
            rows = smaller(above.extent - at / last.extent % above.extent, count / columns);
        else
            columns = smaller(columns, count);
        fx__copy_strided(dst + offset_of(l, f->inner, n, at, &ignored),
                         (pitches){above.stride, last.stride}, src, columns * item, rows, columns,
                         f->itemsize, f->nontemporal_copies);
        src += rows * columns * item;
        at += rows * columns;
        count -= rows * columns;
    }
}

/* Copy the rows of a tile to the row axis. Each row has `columns` values of the inner axes, from
   position `at` on. */
static void copy_rows(const fill *f, char *dst, int64_t at, const char *src, int64_t rows,
                      int64_t columns)
{
    const layout *l = &f->l;
    const axis last = f->inner < l->naxes ? l->axes[l->naxes - 1] : (axis){1, 0, 0};
    const int64_t item = (int64_t)f->itemsize, pitch = columns * item;
    for (int64_t done = 0, part; done < columns; done += part) {
        int64_t ignored = 0;
        part = smaller(columns - done, last.extent - (at + done) % last.extent);
        fx__copy_strided(dst + offset_of(l, f->inner, l->naxes, at + done, &ignored),
                         (pitches){l->axes[f->row].stride, last.stride}, src + done * item, pitch, rows,
                         part, f->itemsize, f->nontemporal_copies);
    }
}

static void fill_tile(const fill *f, int64_t tile)
{
    const layout *l = &f->l;
    const int64_t row =
        digit(&tile, f->row_tiles) * f->tile_rows; /* rows change fastest: they are adjacent in memory */
    const int64_t column = digit(&tile, f->column_tiles) * f->tile_columns;
    const int64_t height = smaller(f->rows - row, f->tile_rows);
    const int64_t width = smaller(f->columns - column, f->tile_columns);

    int64_t index = l->first;
    char *dst = f->data;
    if (f->row < 0) {
        dst += offset_of(l, 0, f->inner, tile, &index);
    } else { /* the outer axes: those before the row axis, and those between it and the inner axes */
        int64_t between = 1;
        for (int i = f->row + 1; i < f->inner; i++)
            between *= l->axes[i].extent;
        dst += offset_of(l, f->row + 1, f->inner, tile % between, &index);
        dst += offset_of(l, 0, f->row, tile / between, &index);
        dst += row * l->axes[f->row].stride;
        index += row * l->axes[f->row].step;
    }

    const int64_t item = (int64_t)f->itemsize;
    const axis along = f->row < 0 ? (axis){1, 0, 0} : l->axes[f->row];
    rows tile_rows = {.first = index + column, .count = width, .step = along.step, .rows = height};
    if (f->in_place) {
        tile_rows.pitch = along.stride;
        tile_rows.dst = dst + column * item;
        if (f->fresh && (height == 1 || tile_rows.pitch == width * item))
            fx__populate(tile_rows.dst, height * width * item);
        write_rows(f, &tile_rows, 1);
        return;
    }
    char values[TILE_BYTES];
    tile_rows.pitch = width * item;
    tile_rows.dst = values;
    if (along.step == width)
        write_run(f, tile_rows.first, height * width, values, 0);
    else
        write_rows(f, &tile_rows, 0);
    if (f->row < 0)
        copy_values(f, dst, column, values, width);
    else
        copy_rows(f, dst, column, values, height, width);
}

void fx__fill_piece(const fill *f, int64_t piece)
{
    const int64_t from = piece * f->tiles_per_task;
    const int64_t to = f->tiles - from < f->tiles_per_task ? f->tiles : from + f->tiles_per_task;
    for (int64_t tile = from; tile < to; tile++)
        fill_tile(f, tile);
}

/* Choose the axes along which indices and memory run, and the tiles. */
void fx__plan_fill(fill *f)
{
    const layout *l = &f->l;
    const int n = l->naxes;
    const int64_t task = TASK_BYTES / (int64_t)f->itemsize, buffer = TILE_BYTES / (int64_t)f->itemsize;
    if (n == 1 && l->axes[0].stride == (int64_t)f->itemsize && l->axes[0].step == 1 &&
        l->count <= task) {
        /* One tile, as most small tensors of a model are: without divisions, which take as long as a
           hundred values. */
        f->row = -1;
        f->inner = 0;
        f->in_place = 1;
        f->columns = f->tile_columns = l->count;
        f->rows = f->tile_rows = f->row_tiles = f->column_tiles = f->tiles = f->tiles_per_task = 1;
        return;
    }
    int fastest = n - 1;
    for (int i = n - 1; i >= 0; i--) {
        const int64_t stride = l->axes[i].stride, best = l->axes[fastest].stride;
        if ((stride < 0 ? -stride : stride) < (best < 0 ? -best : best))
            fastest = i;
    }
    f->row = fastest < n - 1 ? fastest : -1;
    f->rows = f->row < 0 ? 1 : l->axes[f->row].extent;

    /* The inner axes: as many of the last axes as have consecutive indices. */
    f->inner = n;
    f->columns = 1;
    while (f->inner - 1 > f->row && l->axes[f->inner - 1].step == f->columns) {
        f->columns *= l->axes[f->inner - 1].extent;
        f->inner--;
    }
    const int adjacent = f->row < 0 && f->inner < n && l->axes[n - 1].stride == (int64_t)f->itemsize;
    f->in_place = n == 0;
    if (adjacent && (f->inner == n - 1 || l->axes[n - 1].extent >= 8 * UNIT)) {
        f->in_place = 1;
        f->inner = n - 1;
        f->columns = l->axes[n - 1].extent;
        f->row = n - 2;
        f->rows = n > 1 ? l->axes[n - 2].extent : 1;
    }
    if (f->in_place) {
        f->tile_columns = smaller(task, f->columns);
        f->tile_rows = smaller(task / f->tile_columns, f->rows);
    } else {
        f->tile_columns = f->row < 0 ? buffer : TILE_COLUMN_BYTES / (int64_t)f->itemsize;
        f->tile_columns = smaller(f->tile_columns, f->columns);
        f->tile_rows = smaller(buffer / f->tile_columns, f->rows);
        f->tile_columns = smaller(buffer / f->tile_rows, f->columns);
    }
    f->row_tiles = divided_up(f->rows, f->tile_rows);
    f->column_tiles = divided_up(f->columns, f->tile_columns);
    const int64_t places = l->count / (f->rows * f->columns);
    f->tiles = places * f->row_tiles * f->column_tiles;
    const int64_t tile = smaller(f->rows, f->tile_rows) * smaller(f->columns, f->tile_columns);
    f->tiles_per_task = tile < task ? task / tile : 1;
}

fx_status fx__place_fill(fill *f, const fx_array *array)
{
    const fx_status status = fx__layout_of(array, &f->l);
    if (status != FX_OK)
        return status;
    if (f->l.count && !array->data)
        return FX_ERROR_NULL;
    f->data = array->data;
    return FX_OK;
}

fx_status fx__prepare_fill(const isa *use, const fx_array *array, const fx_distribution *distribution,
                           const fx_options *options, fill *f)
{
    if (!use)
        return FX_ERROR_ISA;
    f->itemsize = fx_itemsize(array->dtype);
    if (!f->itemsize)
        return FX_ERROR_DTYPE;
    if (options->threads < 0)
        return FX_ERROR_THREADS;
    fx_status status = fx__place_fill(f, array);
    if (status != FX_OK)
        return status;
    int kernel_index;
    const fp_state callers = fp_enter();
    status = fx__prepare_distribution(distribution, array->dtype, &f->job, &kernel_index);
    fp_leave(callers);
    if (status != FX_OK)
        return status;
    f->store = use->store[kernel_index][array->dtype];
    f->nontemporal = use->nontemporal[kernel_index][array->dtype];
    f->nontemporal_align = array->dtype == FX_FLOAT64 ? sizeof(double) : use->nontemporal_align;
    return FX_OK;
}

fx_status fx_check(const fx_array *array, const fx_distribution *distribution, const fx_options *options)
{
    fill f;
    return fx__prepare_fill(fx__isa_chosen(), array, distribution, options ? options : &NO_OPTIONS, &f);
}

void fx__add_memory(memory *all, const fill *f)
{
    const int64_t end = all->bytes + bytes_of(f);
    for (; (all->pages + 1) * SAMPLE_BYTES <= end; all->pages++) {
        int64_t ignored = 0;
        const int64_t byte = (all->pages + 1) * SAMPLE_BYTES - 1 - all->bytes;
        all->absent += fx__page_absent(
            f->data + offset_of(&f->l, 0, f->l.naxes, byte / (int64_t)f->itemsize, &ignored));
    }
    all->bytes = end;
}

void fx__begin_fill(fill *f, uint64_t seed, uint64_t stream, const memory *all)
{
    /* What the system has just cleared is in the cache, from which nontemporal stores would remove it. */
    f->fresh = 2 * all->absent > all->pages;
    if (all->bytes < NONTEMPORAL_BYTES || f->fresh)
        f->nontemporal = NULL;
    f->nontemporal_copies = all->bytes >= NONTEMPORAL_STRIDED_BYTES && !f->fresh && f->itemsize > 2;
    f->seed = seed;
    f->stream = stream;
    f->block_high = (uint32_t)((uint64_t)f->l.first / BLOCK >> 32);
    prepare_words(&f->job, f->itemsize, seed, stream, f->block_high);
    fx__plan_fill(f);
}

static void fill_task(void *context, int64_t task) { fx__fill_piece(context, task); }

fx_status fx_fill(const fx_array *array, const fx_distribution *distribution, uint64_t seed,
                  uint64_t stream, const fx_options *options)
{
    fill f;
    if (!options)
        options = &NO_OPTIONS;
    const fx_status status = fx__prepare_fill(fx__isa_chosen(), array, distribution, options, &f);
    if (status != FX_OK || f.l.count == 0)
        return status;
    memory all = {0};
    fx__add_memory(&all, &f);
    fx__begin_fill(&f, seed, stream, &all);
    return fx__parallel_run(fill_task, &f, pieces_of(&f), options);
}

fx_status fx_fill_run(void *data, fx_dtype dtype, int64_t first, int64_t count,
                      const fx_distribution *distribution, uint64_t seed, uint64_t stream,
                      const fx_options *options)
{
    const int64_t whole = FX_MAX_INDEX;
    const fx_array array = {.data = data,
                            .dtype = dtype,
                            .ndim = 1,
                            .shape = &count,
                            .global_shape = &whole,
                            .offset = &first};
    return fx_fill(&array, distribution, seed, stream, options);
}
