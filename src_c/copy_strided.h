/* From a tile of drawn values to memory that is laid out otherwise. Knows no distribution, index or thread. */
#ifndef FASTXAVIER_COPY_STRIDED_H
#define FASTXAVIER_COPY_STRIDED_H

#include <stddef.h>
#include <stdint.h>

/* Two axes of memory: what lies `row` bytes apart, and `column` bytes apart. */
typedef struct {
    int64_t row, column;
} pitches;

/* dst[r * to.row + c * to.column] = src[r * from_row + c * itemsize] for all r < rows and
   c < columns, of 2, 4 or 8 bytes each and any alignment; past the caches, if streaming and it can.
   from_row may be negative. */
void fx__copy_strided(char *dst, pitches to, const char *src, int64_t from_row, int64_t rows, int64_t columns,
             size_t itemsize, int streaming);

#endif
