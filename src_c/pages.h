/* Pages of fresh memory: whether they are there, and making many of them at once. Called by fill.c. */
#ifndef FASTXAVIER_PAGES_H
#define FASTXAVIER_PAGES_H

#include <stdint.h>

/* Whether the system has yet to make the page that contains this address. 0 where it cannot be asked. */
int fx__page_absent(const void *address);

/* Make the pages that lie wholly within these bytes, all of which the caller is about to write, as that
   write would make them. A failure is ignored: the write then does it, or fails as it would have. */
void fx__populate(void *begin, int64_t bytes);

#endif
