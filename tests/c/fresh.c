/* Tests of fresh memory: which pages a fill makes, and that memory of any kind can be populated. Called by
   check.c. */
#if defined(__linux__)
#define _DEFAULT_SOURCE /* madvise, mincore */
#endif
#include "check.h"

#if defined(__linux__)

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fastxavier.h"
#include "pages.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_NOHUGEPAGE
#define MADV_NOHUGEPAGE 15
#endif

static size_t page;

/* Anonymous memory of small pages, which has none yet. */
static char *fresh(size_t pages)
{
    char *memory = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, pages * page, MADV_NOHUGEPAGE);
    return memory;
}

/* How many of these pages are present, asked without the functions under test. */
static size_t present(const char *memory, size_t pages)
{
    size_t count = 0;
    for (size_t i = 0; i < pages; i++) {
        unsigned char state = 0;
        mincore((void *)(memory + i * page), page, &state);
        count += state & 1;
    }
    return count;
}

/* Whether this system tells present pages from absent ones, and makes them when asked. An emulated one
   often does neither. */
static int system_tells(int *populates)
{
    char *memory = fresh(4);
    if (!memory)
        return 0;
    const size_t before = present(memory, 4);
    memory[0] = 1;
    const size_t written = present(memory, 4);
    *populates = madvise(memory + page, 2 * page, MADV_POPULATE_WRITE) == 0 && present(memory, 4) == 3;
    munmap(memory, 4 * page);
    return before == 0 && written == 1;
}

static void whole_pages_are_made(int populates)
{
    const char *const what = "fx__populate";
    char *memory = fresh(16);
    expect(fx__page_absent(memory) && fx__page_absent(memory + page - 1), what, "no page is there yet");
    fx__populate(memory + page + 1, (int64_t)(8 * page));
    expect(present(memory, 16) == (populates ? 7 : 0), what, "other pages than those wholly within");
    expect(present(memory + 2 * page, 7) == (populates ? 7 : 0), what, "pages elsewhere");
    expect(fx__page_absent(memory + 2 * page) == !populates, what, "pages are made and not seen");
    fx__populate(memory + 12 * page + 1, (int64_t)(2 * page - 2));
    fx__populate(memory + 14 * page, 0);
    expect(present(memory + 9 * page, 7) == 0, what, "pages that are only partly within");
    memset(memory, 7, 16 * page);
    fx__populate(memory, (int64_t)(16 * page));
    int same = 1;
    for (size_t i = 0; i < 16 * page; i++)
        same &= memory[i] == 7;
    expect(same, what, "contents of pages that were there");
    expect(!fx__page_absent(memory), what, "a page is there");
    munmap(memory, 16 * page);
}

/* Nothing happens, and nothing ends the process. */
static void memory_that_cannot_be_populated(void)
{
    char *memory = fresh(4);
    mprotect(memory, 4 * page, PROT_READ);
    fx__populate(memory, (int64_t)(4 * page));
    expect(present(memory, 4) == 0, "fx__populate", "read-only memory");
    munmap(memory, 4 * page);
    fx__populate(memory, (int64_t)(4 * page));
    expect(!fx__page_absent(memory), "fx__page_absent", "memory that is not mapped");

    FILE *file = tmpfile();
    if (!file)
        return;
    char *beyond = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
    if (beyond != MAP_FAILED) {
        fx__populate(beyond, (int64_t)(4 * page)); /* a write would end the process */
        munmap(beyond, 4 * page);
    }
    fclose(file);
}

enum { ROWS = 300 }; /* of a page each, more than a MiB: of less, no page is looked at */

/* Rows of one page each, `pitch` pages apart, in fresh memory with pages before and after them: those that
   hold values are there after the fill, others are not, and values are those of memory that was there. */
static void only_what_is_written(size_t pitch, size_t offset, int backwards)
{
    const size_t pages = ROWS * pitch + 8;
    const int64_t columns = (int64_t)(page / sizeof(float)), shape[] = {ROWS, columns};
    const int64_t step = (int64_t)(pitch * page), strides[] = {backwards ? -step : step, sizeof(float)};
    const fx_options options = {.threads = 2};
    fx_distribution distribution;
    fx_normal(&distribution, 0, 1);
    char *memory = fresh(pages), *expected = malloc(ROWS * page);
    if (memory && expected) {
        char *const first = memory + 4 * page + offset;
        memset(expected, 0, ROWS * page);
        expect(fx_fill_run(expected, FX_FLOAT32, 0, ROWS * columns, &distribution, 1, 2, NULL) == FX_OK,
               "fresh memory", "a fill of memory that was there");
        const fx_array array = {.data = backwards ? first + (ROWS - 1) * pitch * page : first,
                                .dtype = FX_FLOAT32,
                                .ndim = 2,
                                .shape = shape,
                                .strides = strides};
        expect(fx_fill(&array, &distribution, 1, 2, &options) == FX_OK, "fresh memory", "a fill");
        const size_t touched = pitch == 1 ? ROWS + (offset > 0) : (1 + (offset > 0)) * ROWS;
        expect(present(memory, pages) == touched, "fresh memory", "pages that no value needs");
        expect(present(memory, 4) == 0, "fresh memory", "pages before the array");
        int same = 1;
        for (size_t i = 0; i < ROWS; i++) {
            const size_t row = backwards ? ROWS - 1 - i : i;
            same &= memcmp(first + row * pitch * page, expected + i * page, page) == 0;
        }
        expect(same, "fresh memory", "other values than in memory that was there");
    }
    free(expected);
    if (memory)
        munmap(memory, pages * page);
}

/* Rows that are shorter than a tile and adjacent in memory, but not in the whole tensor. */
static void shard_of_columns(void)
{
    enum { COLUMNS = 1000 };
    const size_t pages = 8 + ROWS * COLUMNS * sizeof(float) / page;
    const int64_t shape[] = {ROWS, COLUMNS}, whole[] = {ROWS, 2000}, offset[] = {0, 30};
    const fx_options options = {.threads = 1};
    fx_distribution distribution;
    fx_normal(&distribution, 0, 1);
    char *memory = fresh(pages);
    float row[COLUMNS];
    if (!memory)
        return;
    const fx_array array = {.data = memory + 4 * page,
                            .dtype = FX_FLOAT32,
                            .ndim = 2,
                            .shape = shape,
                            .global_shape = whole,
                            .offset = offset};
    int same = fx_fill(&array, &distribution, 1, 2, &options) == FX_OK;
    for (int64_t i = 0; i < ROWS; i++) {
        fx_fill_run(row, FX_FLOAT32, i * whole[1] + offset[1], COLUMNS, &distribution, 1, 2, NULL);
        same &= memcmp(memory + 4 * page + (size_t)i * sizeof row, row, sizeof row) == 0;
    }
    expect(same, "fresh memory", "a shard of columns");
    expect(present(memory, 4) == 0, "fresh memory", "pages before a shard");
    munmap(memory, pages * page);
}

void check_fresh_memory(void)
{
    int populates = 0;
    page = (size_t)sysconf(_SC_PAGESIZE);
    if (!system_tells(&populates)) {
        printf("not checked: fresh memory (this system does not say which pages are there)\n");
        return;
    }
    if (!populates)
        printf("not checked: populated pages (this kernel makes none)\n");
    whole_pages_are_made(populates);
    memory_that_cannot_be_populated();
    shard_of_columns();
    for (size_t pitch = 1; pitch <= 3; pitch++)
        for (int backwards = 0; backwards < 2; backwards++) {
            only_what_is_written(pitch, 0, backwards);
            only_what_is_written(pitch, 64, backwards);
            only_what_is_written(pitch, 3, backwards);
        }
}

#else
void check_fresh_memory(void) {}
#endif
