/* How busy the machine is with other work: parallel.c asks before it starts threads for a small fill. */
#ifndef FASTXAVIER_LOAD_H
#define FASTXAVIER_LOAD_H

enum { LOAD_TEAM = 64 };

/* Our own threads, which may still spin after their work and must not be counted as load. */
typedef struct {
    int count;
    long threads[LOAD_TEAM];
} load_team;

/* The calling thread as an entry of a load_team. */
long fx__load_thread(void);

/* Whether the system counts this thread of the process. For a moment after a thread has been joined Linux
   does; once its number is unknown, it does not. Elsewhere 0. */
int fx__load_counts(long thread);

/* The number of cores on which nobody else runs, including the calling thread's own, but at most
   `most`. `most` where the system does not tell. */
int fx__load_idle_cpus(int most, const load_team *ours);

#endif
