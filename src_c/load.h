/* How busy the machine is with what others do. */
#ifndef FASTXAVIER_LOAD_H
#define FASTXAVIER_LOAD_H

enum { LOAD_TEAM = 64 };

/* Threads of ours that may still spin after their work: not others' load. */
typedef struct {
    int count;
    long threads[LOAD_TEAM];
} load_team;

/* What names the calling thread in a load_team. */
long fx__load_thread(void);

/* Cores that nobody else runs on, the calling thread's own counted in, at most `most`: also where
   the system does not tell. */
int fx__load_idle_cpus(int most, const load_team *ours);

#endif
