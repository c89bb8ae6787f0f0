/* The fill of many arrays in one parallel region, by fill.c and parallel.c. */
#include "fill.h"
#include "parallel.h"

/* Many fills as one sequence of pieces. Request i has those from its predecessor's last_piece up to its
   own. A task is as many pieces as have TASK_BYTES on average. */
typedef struct {
    const isa *use; /* for the whole call, even if another thread calls fx_force_isa */
    const fx_request *requests;
    memory memory;
    int64_t count, pieces, pieces_per_task;
} fills;

static int64_t first_piece(const fills *all, int64_t request)
{
    return request ? all->requests[request - 1].last_piece : 0;
}

/* The request to which this piece belongs. */
static int64_t request_of(const fills *all, int64_t piece)
{
    int64_t before = -1, at = all->count - 1;
    while (at - before > 1) {
        const int64_t middle = before + (at - before) / 2;
        if (all->requests[middle].last_piece > piece)
            at = middle;
        else
            before = middle;
    }
    return at;
}

/* Prepare the fill of a request. `last` is the request for which f was prepared before, or NULL. Models have
   the same distribution many times over, and to prepare it takes as long as to draw some hundred values. */
static fx_status prepare(fill *f, const isa *use, const fx_request *r, const fx_request *last,
                         const fx_options *options)
{
    if (last && r->distribution == last->distribution && r->array->dtype == last->array->dtype)
        return fx__place_fill(f, r->array);
    return fx__prepare_fill(use, r->array, r->distribution, options, f);
}

static void fill_pieces(void *context, int64_t task)
{
    const fills *all = context;
    int64_t piece = task * all->pieces_per_task;
    const int64_t end = smaller(piece + all->pieces_per_task, all->pieces);
    const fx_request *before = NULL;
    fill f;
    for (int64_t i = request_of(all, piece); piece < end; i++) {
        const fx_request *r = &all->requests[i];
        const int64_t first = first_piece(all, i), last = smaller(r->last_piece, end);
        if (piece == last)
            continue;
        prepare(&f, all->use, r, before, &NO_OPTIONS); /* cannot fail: it was accepted before */
        before = r;
        fx__begin_fill(&f, r->seed, r->stream, &all->memory);
        for (; piece < last; piece++)
            fx__fill_piece(&f, piece - first);
    }
}

fx_status fx_check_all(fx_request *requests, int64_t count, const fx_options *options, int64_t *failed)
{
    const isa *use = fx__isa_chosen();
    int64_t pieces = 0, bytes = 0;
    fill f;
    for (int64_t i = 0; i < count; i++) {
        const fx_status status =
            prepare(&f, use, &requests[i], i ? &requests[i - 1] : NULL, options ? options : &NO_OPTIONS);
        if (status != FX_OK) {
            if (failed)
                *failed = i;
            return status;
        }
        if (f.l.count) {
            fx__plan_fill(&f);
            pieces += pieces_of(&f);
            bytes += bytes_of(&f);
        }
        requests[i].last_piece = pieces;
        requests[i].last_byte = bytes;
    }
    return FX_OK;
}

/* The memory of all requests. Of a small one no page is looked at, so its layout need not be known. */
static memory memory_of(const fills *all)
{
    memory found = {0};
    for (int64_t i = 0; i < all->count; i++) {
        const fx_request *r = &all->requests[i];
        if (r->last_byte < (found.pages + 1) * SAMPLE_BYTES) {
            found.bytes = r->last_byte;
            continue;
        }
        fill f;
        fx__prepare_fill(all->use, r->array, r->distribution, &NO_OPTIONS, &f); /* accepted before */
        fx__add_memory(&found, &f);
    }
    return found;
}

fx_status fx_fill_checked(const fx_request *requests, int64_t count, const fx_options *options)
{
    fills all = {.use = fx__isa_chosen(), .requests = requests, .count = count};
    if (!options)
        options = &NO_OPTIONS;
    if (!all.use)
        return FX_ERROR_ISA;
    if (options->threads < 0)
        return FX_ERROR_THREADS;
    all.pieces = first_piece(&all, count);
    if (!all.pieces)
        return FX_OK;
    all.memory = memory_of(&all);
    const int64_t fit = TASK_BYTES / divided_up(all.memory.bytes, all.pieces);
    all.pieces_per_task = fit > 1 ? fit : 1;
    return fx__parallel_run(fill_pieces, &all, divided_up(all.pieces, all.pieces_per_task), options);
}

fx_status fx_fill_all(fx_request *requests, int64_t count, const fx_options *options, int64_t *failed)
{
    const fx_status status = fx_check_all(requests, count, options, failed);
    return status == FX_OK ? fx_fill_checked(requests, count, options) : status;
}
