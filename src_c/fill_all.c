/* The fill of many arrays in one parallel region, by fill.c and parallel.c. */
#include "fill.h"
#include "parallel.h"

/* Many fills as one sequence of pieces. Request i has those from its predecessor's last_piece up to its
   own. A task is as many pieces as have TASK_BYTES on average. */
typedef struct {
    const isa *use; /* for the whole call, even if another thread calls fx_force_isa */
    fx_request *requests;
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

static void fill_pieces(void *context, int64_t task)
{
    const fills *all = context;
    int64_t piece = task * all->pieces_per_task;
    const int64_t end = smaller(piece + all->pieces_per_task, all->pieces);
    for (int64_t i = request_of(all, piece); piece < end; i++) {
        const fx_request *r = &all->requests[i];
        const int64_t first = first_piece(all, i), last = smaller(r->last_piece, end);
        if (piece == last)
            continue;
        fill f;
        fx__prepare_fill(all->use, r->array, r->distribution, &NO_OPTIONS,
                         &f); /* cannot fail: it was accepted before */
        fx__begin_fill(&f, r->seed, r->stream, &all->memory);
        for (; piece < last; piece++)
            fx__fill_piece(&f, piece - first);
    }
}

fx_status fx_fill_all(fx_request *requests, int64_t count, const fx_options *options, int64_t *failed)
{
    fills all = {.use = fx__isa_chosen(), .requests = requests, .count = count};
    if (!options)
        options = &NO_OPTIONS;
    for (int64_t i = 0; i < count; i++) {
        fill f;
        const fx_status status =
            fx__prepare_fill(all.use, requests[i].array, requests[i].distribution, options, &f);
        if (status != FX_OK) {
            if (failed)
                *failed = i;
            return status;
        }
        if (f.l.count) {
            fx__plan_fill(&f);
            all.pieces += pieces_of(&f);
            fx__add_memory(&all.memory, &f);
        }
        requests[i].last_piece = all.pieces;
    }
    if (!all.pieces)
        return FX_OK;
    const int64_t fit = TASK_BYTES / divided_up(all.memory.bytes, all.pieces);
    all.pieces_per_task = fit > 1 ? fit : 1;
    return fx__parallel_run(fill_pieces, &all, divided_up(all.pieces, all.pieces_per_task), options);
}
