/* How busy the machine is, from /proc on Linux; elsewhere all cores are assumed to be idle. Called by
   parallel.c. */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "load.h"

#if defined(__linux__)

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

long fx__load_thread(void) { return syscall(SYS_gettid); }
int fx__load_counts(long thread) { return syscall(SYS_tgkill, (long)getpid(), thread, 0L) == 0; }

static int read_file(const char *path, char *text, size_t size)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    const ssize_t length = read(file, text, size - 1);
    close(file);
    text[length > 0 ? length : 0] = 0;
    return length > 0;
}

static int running(const load_team *ours)
{
    int count = 0;
    for (int i = 0; i < ours->count; i++) {
        char path[64], text[128];
        snprintf(path, sizeof path, "/proc/self/task/%ld/stat", ours->threads[i]);
        const char *name_end = read_file(path, text, sizeof text) ? strrchr(text, ')') : NULL;
        count += name_end && strncmp(name_end, ") R", 3) == 0;
    }
    return count;
}

static int smaller(int a, int b) { return a < b ? a : b; }

/* /proc/loadavg has the number of running threads, including the calling one. */
int fx__load_idle_cpus(int most, const load_team *ours)
{
    char text[128];
    int all;
    /* Untaken by tests, perhaps: needs a system without /proc. */
    if (!read_file("/proc/loadavg", text, sizeof text) || sscanf(text, "%*s %*s %*s %d/", &all) != 1)
        return most;
    cpu_set_t set;
    const int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    /* Untaken by tests, perhaps: needs more than 1024 processors. */
    const int mine = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : cpus;
    int idle = cpus - all + 1;
    if (idle < smaller(most, mine))
        idle += running(ours);
    return smaller(idle, smaller(most, mine));
}

#else

long fx__load_thread(void) { return 0; }
int fx__load_counts(long thread) { return (void)thread, 0; }

int fx__load_idle_cpus(int most, const load_team *ours)
{
    (void)ours;
    return most;
}

#endif
