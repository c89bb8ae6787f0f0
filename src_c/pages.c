/* Asks Linux about pages and has it make them; on other systems, nothing. Called by fill.c. The only file
   that knows memory mappings. */
#if defined(__linux__)
#define _DEFAULT_SOURCE /* madvise, mincore */
#endif
#include "pages.h"

#if defined(__linux__)

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* since Linux 5.14; headers may be older than the kernel */
#endif

static uintptr_t page_size(void) { return (uintptr_t)sysconf(_SC_PAGESIZE); }

int fx__page_absent(const void *address)
{
    const uintptr_t page = page_size();
    unsigned char state = 1;
    return mincore((void *)((uintptr_t)address & ~(page - 1)), page, &state) == 0 && (state & 1) == 0;
}

/* An empty range is the way to ask. An error for a real one would not tell an old kernel from memory
   that cannot be populated, such as a device's. */
static int can_populate(void)
{
    static atomic_int answer; /* 0 until it is known; then 1 or -1 */
    int known = atomic_load_explicit(&answer, memory_order_relaxed);
    if (known == 0) {
        /* Untaken by tests, perhaps: needs an old kernel. */
        known = madvise(NULL, 0, MADV_POPULATE_WRITE) == 0 ? 1 : -1;
        atomic_store_explicit(&answer, known, memory_order_relaxed);
    }
    return known > 0;
}

void fx__populate(void *begin, int64_t bytes)
{
    const uintptr_t page = page_size();
    const uintptr_t first = ((uintptr_t)begin + page - 1) & ~(page - 1);
    const uintptr_t last = ((uintptr_t)begin + (uintptr_t)bytes) & ~(page - 1);
    /* Untaken by tests, perhaps: needs an old kernel. */
    if (first < last && can_populate())
        (void)madvise((void *)first, last - first, MADV_POPULATE_WRITE);
}

#else

int fx__page_absent(const void *address)
{
    (void)address;
    return 0;
}

void fx__populate(void *begin, int64_t bytes) { (void)begin, (void)bytes; }

#endif
