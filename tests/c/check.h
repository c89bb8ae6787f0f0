/* What check.c, layouts.c, pages.c and threads.c share: each of them is a part of the C tests. */
#ifndef FASTXAVIER_CHECK_H
#define FASTXAVIER_CHECK_H

/* Count a check; unless it holds, print what failed. */
void expect(int holds, const char *what, const char *detail);

/* With `brief`, less, for machines that are emulated or instrumented. */
void check_layouts(int brief);
void check_pages(void);
void check_threads(int brief);

#endif
