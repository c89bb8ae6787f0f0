/* Copies a tile of values to memory with other strides. Called by fill.c. */
#ifndef FASTXAVIER_COPY_STRIDED_H
#define FASTXAVIER_COPY_STRIDED_H

#include <stddef.h>
#include <stdint.h>

/* The strides of two axes, in bytes. */
typedef struct {
    int64_t row, column;
} pitches;

/* dst[r * to.row + c * to.column] = src[r * from_row + c * itemsize] for all r < rows and c < columns.
   Items have 2, 4 or 8 bytes and any alignment; from_row may be negative. With nontemporal stores if
   `nontemporal` is set and alignment allows it. */
void fx__copy_strided(char *dst, pitches to, const char *src, int64_t from_row, int64_t rows,
                      int64_t columns, size_t itemsize, int nontemporal);

#endif
