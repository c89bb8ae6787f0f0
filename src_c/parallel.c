/* Runs the tasks of fill.c and fill_all.c on threads, and decides how many. The only file that uses OpenMP,
   fork handlers and the clock. */
#include "parallel.h"

#include <stdatomic.h>
#include <time.h>

#include "fpenv.h"
#include "load.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#if !defined(_WIN32) && defined(__GNUC__)
#include <pthread.h>
#define HAVE_PTHREADS 1
#endif

/* Waking the threads of a parallel region takes about 50 microseconds. Where another process occupies a
   core, the region also waits 4 to 8 milliseconds for the thread that is scheduled there, since it ends
   when all of its threads have arrived. So work below WORTH_WAKING stays on one thread, and so does work
   below WORTH_WAITING while no core is idle. In seconds of one thread's work. */
static const double WORTH_WAKING = 100e-6;
static const double WORTH_WAITING = 30e-3;

enum { LARGEST_TEAM = 257 };

/* How often poll is called, and how often we look again for idle cores. */
static const double POLL_INTERVAL = 20e-3;
static const double LOOK_INTERVAL = 2e-3;

static double seconds(void)
{
    struct timespec now;
#if defined(CLOCK_MONOTONIC)
    clock_gettime(CLOCK_MONOTONIC, &now);
#else
    timespec_get(&now, TIME_UTC);
#endif
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The tasks that one thread takes first. They are neighbours, so that what the thread wrote in the last
   call is in its own core's cache, and so that it shares few pages of fresh memory with others. Each
   share has its own cache line. */
typedef struct {
    _Alignas(64) _Atomic int64_t next;
    int64_t end;
} share;

typedef struct {
    parallel_task *task;
    void *context;
    int64_t count;
    const fx_options *options;
    share *shares; /* one for each thread of the team */
    int team;
    atomic_int stopped;
    double next_poll; /* used only by the calling thread */
} work;

/* Run one task of thread `number`'s own share or, when that is empty, of another share. Whether there
   was one. */
static int run_one(work *w, int number)
{
    if (atomic_load_explicit(&w->stopped, memory_order_relaxed))
        return 0;
    for (int i = 0; i < w->team; i++) {
        share *const s = &w->shares[(number + i) % w->team];
        if (atomic_load_explicit(&s->next, memory_order_relaxed) >= s->end)
            continue;
        const int64_t task = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
        /* Untaken by tests, perhaps: needs two threads that ask for the last task of a share at once. */
        if (task < s->end) {
            w->task(w->context, task);
            return 1;
        }
    }
    return 0;
}

/* The fraction of all tasks that has been started. */
static double done(const work *w)
{
    int64_t left = 0;
    for (int i = 0; i < w->team; i++) {
        const int64_t rest = w->shares[i].end - w->shares[i].next;
        left += rest > 0 ? rest : 0;
    }
    return 1 - (double)left / (double)w->count;
}

/* Call the caller's poll, in the caller's own floating-point environment. */
static void poll_caller(work *w, double now, fp_state callers)
{
    if (!w->options->poll || now < w->next_poll)
        return;
    const double part = done(w);
    fp_leave(callers);
    const int stop = w->options->poll(w->options->poll_argument, part);
    fp_enter();
    if (stop)
        atomic_store(&w->stopped, 1);
    w->next_poll = seconds() + POLL_INTERVAL;
}

/* libgomp keeps a pool of threads for each calling thread; these are the threads of this one's pool. */
static _Thread_local load_team last_team;

#ifdef _OPENMP

#if HAVE_PTHREADS

/* libgomp's threads, whether ours or another library's, do not survive a fork, and the next region would
   wait for them forever. So a child process fills on one thread; the fork handler is installed when the
   library is loaded. */
static atomic_int forked;
static void mark_forked(void) { atomic_store(&forked, 1); }
__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, mark_forked); }

static int may_use_threads(void) { return !atomic_load(&forked); }

typedef struct {
    pthread_mutex_t gate;
    pthread_t threads[2 * (LARGEST_TEAM - 1)];
    long ids[2 * (LARGEST_TEAM - 1)];
    atomic_int begun;
} trial;

static void *wait_at_gate(void *argument)
{
    trial *t = argument;
    t->ids[atomic_fetch_add(&t->begun, 1)] = fx__load_thread();
    pthread_mutex_lock(&t->gate);
    pthread_mutex_unlock(&t->gate);
    return NULL;
}

/* How large a team can be. libgomp ends the process when it cannot create a thread, so before its pool
   grows we create threads ourselves: twice as many, because other processes of the user may take some. */
static int creatable(int team)
{
    trial t;
    const int wanted = 2 * (team - 1);
    int created = 0;
    atomic_init(&t.begun, 0);
    pthread_mutex_init(&t.gate, NULL);
    pthread_mutex_lock(&t.gate);
    while (created < wanted && pthread_create(&t.threads[created], NULL, wait_at_gate, &t) == 0)
        created++;
    pthread_mutex_unlock(&t.gate);
    for (int i = 0; i < created; i++)
        pthread_join(t.threads[i], NULL);
    pthread_mutex_destroy(&t.gate);
    const double last = seconds() + 0.1; /* another thread could have been given one of the numbers */
    for (int i = 0; i < created; i++)
        /* Untaken by tests, perhaps: needs a thread that is counted still, and then one for long. */
        while (fx__load_counts(t.ids[i]) && seconds() < last)
            sched_yield();
    return 1 + created / 2;
}

/* Only one pool grows at a time, because two trials could both succeed where there are threads for one
   pool only. Held from the trial until the region has started, when its threads exist. */
static pthread_mutex_t growth = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int growing = 0;

static void end_growth(void)
{
    if (growing)
        pthread_mutex_unlock(&growth);
    growing = 0;
}

static int grown_team(int team)
{
    static _Thread_local int last_size = 1;
    if (team > last_size) {
        pthread_mutex_lock(&growth);
        growing = 1;
        team = creatable(team);
    }
    if (team > 1)
        last_size = team;
    else
        end_growth();
    return team;
}

#else
static int may_use_threads(void) { return 1; }
static int grown_team(int team) { return team; }
static void end_growth(void) {}
#endif

static void run_team(work *w, int team, fp_state callers)
{
    load_team *const others = &last_team;
    others->count = team - 1 < LOAD_TEAM ? team - 1 : LOAD_TEAM;
#pragma omp parallel num_threads(team)
    {
        const int number = omp_get_thread_num();
        if (number == 0)
            end_growth();
        const fp_state workers = fp_enter();
        if (number > 0 && number <= LOAD_TEAM)
            others->threads[number - 1] = fx__load_thread();
        while (run_one(w, number))
            if (number == 0)
                poll_caller(w, seconds(), callers);
        fp_leave(workers);
    }
}

/* The most threads that a region can have. OMP_THREAD_LIMIT and OMP_MAX_ACTIVE_LEVELS shrink regions
   without a word, and omp_get_max_threads does not look at them. */
static int largest_region(void)
{
    const int limit = omp_get_thread_limit();
    return may_use_threads() && omp_get_active_level() < omp_get_max_active_levels() ? limit : 1;
}

int fx_threads(void)
{
    const int wanted = omp_get_max_threads(), most = largest_region();
    return wanted < most ? wanted : most;
}
int fx_openmp(void) { return _OPENMP; }

#else

static int largest_region(void) { return 1; }
static int grown_team(int team) { return team; }
static void run_team(work *w, int team, fp_state callers) { (void)w, (void)team, (void)callers; }
int fx_threads(void) { return 1; }
int fx_openmp(void) { return 0; }

#endif

/* Run one task after the other until none is left or the rest is worth more threads, at most `most`.
   Returns how many threads. */
static int run_on_one_thread(work *w, int most, fp_state callers)
{
    const share *const all = w->shares;
    const double start = seconds();
    double next_look = start;
    while (run_one(w, 0)) {
        const double now = seconds();
        poll_caller(w, now, callers);
        const int64_t next = all->next;
        const double rest = (now - start) / (double)next * (double)(all->end - next);
        /* Untaken by tests, perhaps: needs two tasks within LOOK_INTERVAL on a busy machine. */
        if (most == 1 || rest < WORTH_WAKING || now < next_look)
            continue;
        const int idle = rest < WORTH_WAITING ? fx__load_idle_cpus(most, &last_team) : most;
        if (idle > 1)
            return idle;
        next_look = seconds() + LOOK_INTERVAL;
    }
    return 1;
}

/* Divide tasks [from, to) evenly among the team. */
static void share_out(work *w, int64_t from, int64_t to, share *shares, int team)
{
    for (int i = 0; i < team; i++) {
        shares[i].next = from + (to - from) / team * i + (to - from) % team * i / team;
        if (i > 0)
            shares[i - 1].end = shares[i].next;
    }
    shares[team - 1].end = to;
    w->shares = shares;
    w->team = team;
}

fx_status fx__parallel_run(parallel_task *task, void *context, int64_t count, const fx_options *options)
{
    share all, shares[LARGEST_TEAM];
    work w = {.task = task, .context = context, .count = count, .options = options};
    share_out(&w, 0, count, &all, 1);
    const fp_state callers = fp_enter();
    if (options->poll)
        w.next_poll = seconds() + POLL_INTERVAL;
    int team = 1;
    if (count > 1 && options->threads != 1 && largest_region() > 1)
        team = options->threads ? options->threads : run_on_one_thread(&w, fx_threads(), callers);
    const int64_t rest = count - all.next;
    if (team > rest)
        team = (int)rest;
    if (team > 1)
        team = grown_team(team < LARGEST_TEAM ? team : LARGEST_TEAM);
    if (team > 1) {
        share_out(&w, all.next, count, shares, team);
        run_team(&w, team, callers);
    } else {
        run_on_one_thread(&w, 1, callers);
    }
    fp_leave(callers);
    return atomic_load(&w.stopped) ? FX_INTERRUPTED : FX_OK;
}
