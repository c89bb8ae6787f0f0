/* Tests of threads: polls, stopping, teams of any size, busy machines and forked processes. Called by
   check.c. */
#if defined(__linux__)
#define _GNU_SOURCE /* pthread_setattr_default_np */
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif
#if defined(__linux__) && defined(_OPENMP)
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#endif

#ifdef _OPENMP
#include <omp.h>
#endif

#include "check.h"
#include "fastxavier.h"
#include "load.h"

static int asked;

static int stop_now(void *argument, double done)
{
    (void)argument;
    expect(done > 0 && done <= 1, "interruption", "part done out of range");
    asked++;
    return 1;
}

static void interruption(void)
{
    const int64_t count = INT64_C(1) << 27;
    const fx_options options = {.threads = 1, .poll = stop_now};
    fx_distribution distribution;
    double *data = malloc((size_t)count * 8);
    fx_truncated_normal(&distribution, 0, 1, -3, 3);
    fx_force_isa("scalar");
    if (data)
        expect(fx_fill_run(data, FX_FLOAT64, 0, count, &distribution, 0, 0, &options) == FX_INTERRUPTED,
               "interruption", "did not stop");
    expect(asked == 1, "interruption", "polled again after a stop");
    fx_force_isa(NULL);
    free(data);
}

#if defined(__unix__) || defined(__APPLE__)
#ifdef GCOV /* writes the counters of a process at exit, but not at _exit */
void __gcov_dump(void);
static void write_counters(void) { __gcov_dump(); }
#else
static void write_counters(void) {}
#endif

/* A child process does not have the threads of a parallel fill, and fills on one thread. A lock that one of
   them held during the fork stays locked, so the child calls _exit: at exit, LeakSanitizer would wait for
   its allocator's lock. Valgrind looks for leaks even then, so the memory is static. */
static void after_fork(void)
{
    enum { COUNT = 1 << 20 };
    const fx_options options = {.threads = 2};
    static float here[COUNT], there[COUNT];
    int status = 1;
    fx_distribution distribution;
    fx_uniform(&distribution, -1, 1);
    expect(fx_fill_run(here, FX_FLOAT32, 0, COUNT, &distribution, 1, 2, &options) == FX_OK, "a fill",
           "before a fork");
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(120); /* a fill that hangs has failed */
        const int filled =
            fx_fill_run(there, FX_FLOAT32, 0, COUNT, &distribution, 1, 2, &options) == FX_OK;
        const int right = filled && memcmp(here, there, sizeof here) == 0 && fx_threads() == 1;
        write_counters();
        _exit(right ? 0 : 1);
    }
    expect(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a fill", "after a fork");
}
#else
static void after_fork(void) {}
#endif

static int go_on(void *argument, double done)
{
    (void)done;
    ++*(int *)argument;
    return 0;
}

/* Whether 2^17 to `most` values, twice as many each time, have the right last one; until three polls have
   been counted. */
static int right_last_values(const fx_distribution *distribution, int most, int threads, int *polls)
{
    const fx_options options = {threads, go_on, polls};
    float *data = malloc((size_t)most * sizeof(float)), last;
    int right = data != NULL;
    for (int size = 1 << 17; size <= most && right && *polls < 3; size *= 2) {
        data[size - 1] = 0;
        right &= fx_fill_run(data, FX_FLOAT32, 0, size, distribution, 1, 2, &options) == FX_OK;
        right &= fx_fill_run(&last, FX_FLOAT32, size - 1, 1, distribution, 1, 2, NULL) == FX_OK;
        right &= data[size - 1] == last;
    }
    free(data);
    return right;
}

/* A fill that takes long calls poll, which lets it go on. */
static void asked_meanwhile(void)
{
    fx_distribution distribution;
    fx_truncated_normal(&distribution, 0, 1, -3, 3);
    fx_force_isa("scalar");
    for (int threads = 0; threads <= 1; threads++) {
        int polls = 0;
        expect(right_last_values(&distribution, 1 << 24, threads, &polls), "fill", "while asked");
        expect(polls > 0 || threads != 1, "poll", "never called");
    }
    fx_force_isa(NULL);
}

static void more_threads_than_pay(void)
{
    fx_distribution distribution;
    fx_truncated_normal(&distribution, 0, 1, -3, 3);
    for (int threads = 0; threads <= 1000; threads += 500) {
        int polls = 0;
        expect(right_last_values(&distribution, 1 << 24, threads, &polls), "fill", "on many threads");
    }
}

/* Where OpenMP gives regions one thread only, that is what is said, and a fill that asks for more ends. */
static void no_regions(void)
{
#ifdef _OPENMP
    int polls = 0;
    fx_distribution distribution;
    fx_uniform(&distribution, -1, 1);
    const int usual = fx_threads(), levels = omp_get_max_active_levels();
    omp_set_max_active_levels(0);
    expect(fx_threads() == 1, "fx_threads", "more than OpenMP gives");
    expect(right_last_values(&distribution, 1 << 18, 5, &polls), "fill", "without regions");
    omp_set_max_active_levels(levels);
    expect(fx_threads() == usual, "fx_threads", "another number than before");
#endif
}

#if defined(__linux__) && defined(_OPENMP)
#if defined(__GLIBC__)
/* The system refuses threads with stacks larger than memory; a fill then runs with fewer. */
static void refused_threads(void)
{
    int polls = 0;
    pthread_attr_t usual, vast;
    fx_distribution distribution;
    fx_uniform(&distribution, -1, 1);
    pthread_getattr_default_np(&usual);
    pthread_getattr_default_np(&vast);
    expect(pthread_attr_setstacksize(&vast, (size_t)1 << (sizeof(size_t) * 8 - 2)) == 0 &&
               pthread_setattr_default_np(&vast) == 0,
           "a vast stack", "cannot be set");
    expect(right_last_values(&distribution, 1 << 18, 50, &polls), "fill", "where threads are refused");
    pthread_setattr_default_np(&usual);
    pthread_attr_destroy(&usual);
    pthread_attr_destroy(&vast);
}
#else
static void refused_threads(void) { printf("skipped: refused threads, which need glibc\n"); }
#endif

typedef struct {
    pthread_mutex_t gate;
    atomic_long name;
} sleeper;

static void *sleep_at_gate(void *argument)
{
    sleeper *s = argument;
    atomic_store(&s->name, fx__load_thread());
    pthread_mutex_lock(&s->gate);
    pthread_mutex_unlock(&s->gate);
    return NULL;
}

/* The number of running threads, as the system counts them. */
static int runnable(void)
{
    int count = 0;
    FILE *file = fopen("/proc/loadavg", "r");
    if (!file || fscanf(file, "%*s %*s %*s %d/", &count) != 1)
        count = 0;
    if (file)
        fclose(file);
    return count;
}

/* While other processes keep every core busy, no core is idle, except those on which our own threads run.
   Threads that sleep or have ended do not count. A fill then stays on one thread. */
static void crowded(void)
{
    enum { MOST = 256 };
    pid_t others[MOST];
    pthread_t thread;
    sleeper s = {.name = 0};
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    const int count = (int)(cpus + 1 < MOST ? cpus + 1 : MOST);
    int polls = 0;
    fx_distribution distribution;
    fx_uniform(&distribution, -1,
               1); /* fast, so that one reading of the load is used for several tasks */
    pthread_mutex_init(&s.gate, NULL);
    pthread_mutex_lock(&s.gate);
    if (pthread_create(&thread, NULL, sleep_at_gate, &s) != 0) {
        expect(0, "thread", "refused");
        return;
    }
    fflush(stdout);
    int forked = 0;
    for (; forked < count; forked++) {
        others[forked] = fork();
        if (others[forked] < 0)
            break;
        if (others[forked] == 0) {
            alarm(20); /* in case nobody ends it */
            for (;;)
                ;
        }
    }
    while (!atomic_load(&s.name))
        usleep(1000);
    usleep(20000);
    const load_team nobody = {0};
    load_team awake = {LOAD_TEAM, {0}}, asleep = awake; /* the last entry is not a thread */
    for (int i = 0; i < LOAD_TEAM - 1; i++)
        awake.threads[i] = fx__load_thread(), asleep.threads[i] = s.name;
    int busy = forked > cpus && runnable() > forked;
    const int idle = fx__load_idle_cpus(1000, &nobody),
              beside_asleep = fx__load_idle_cpus(1000, &asleep);
    const int beside_awake = fx__load_idle_cpus(1000, &awake);
    busy = busy && runnable() > forked;
    if (busy) {
        expect(idle <= 0, "idle cores", "where all are busy");
        expect(beside_asleep <= 0, "idle cores", "of threads that sleep");
        expect(beside_awake > 0 || runnable() > LOAD_TEAM / 2, "no idle cores", "for our own threads");
    } else {
        printf("skipped: idle cores, because this system does not say that %d processes run\n", count);
    }
    expect(fx__load_idle_cpus(-1000, &nobody) == -1000, "idle cores", "more than asked for");
    expect(right_last_values(&distribution, 1 << 21, 0, &polls), "fill", "on a busy machine");
    for (int i = 0; i < forked; i++) {
        kill(others[i], SIGKILL);
        waitpid(others[i], NULL, 0);
    }
    pthread_mutex_unlock(&s.gate);
    pthread_join(thread, NULL);
    pthread_mutex_destroy(&s.gate);
}
#else
static void refused_threads(void) { printf("skipped: refused threads, which need OpenMP\n"); }
static void crowded(void) { printf("skipped: idle cores, which need OpenMP on Linux\n"); }
#endif

void check_threads(int brief)
{
    refused_threads();
    interruption();
    asked_meanwhile();
    crowded();
    if (!brief)
        more_threads_than_pay();
    no_regions();
    after_fork();
}
