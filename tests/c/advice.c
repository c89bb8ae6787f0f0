/* Preloaded into a process: notes each madvise and mincore, and is an old kernel or a sandbox if the
   environment says so. tests/test_fresh_memory.py compiles it and reads the notes. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { POPULATE_WRITE = 23, MOST = 1 << 16 };

typedef struct {
    unsigned long begin, bytes;
    int advice; /* -1: mincore */
} note;

static note notes[MOST];
static atomic_int count;

static void take(void *begin, size_t bytes, int advice)
{
    const int i = atomic_fetch_add(&count, 1);
    if (i < MOST)
        notes[i] = (note){(unsigned long)begin, bytes, advice};
}

/* What is noted next is the first note. */
void forget(void) { atomic_store(&count, 0); }
int noted(void) { return atomic_load(&count); }
note *note_of(int i) { return &notes[i]; }

static int refused(const char *call)
{
    const char *which = getenv("REFUSE");
    if (!which || !strstr(which, call))
        return 0;
    errno = strstr(which, "EINVAL") ? EINVAL : ENOSYS;
    return 1;
}

int madvise(void *begin, size_t bytes, int advice)
{
    take(begin, bytes, advice);
    if (advice == POPULATE_WRITE && refused("madvise"))
        return -1;
    return (int)syscall(SYS_madvise, begin, bytes, advice);
}

int mincore(void *begin, size_t bytes, unsigned char *pages)
{
    take(begin, bytes, -1);
    if (refused("mincore"))
        return -1;
    return (int)syscall(SYS_mincore, begin, bytes, pages);
}
