/* Copies between two layouts of a tile: along its rows, along its columns, or by transposing small tiles
   in registers. Called by fill.c. */
#include "copy_strided.h"

#include <string.h>

#include "cpu.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAS_SHUFFLES 1
#endif
#endif

/* Items have 1, 2, 4 or 8 bytes. The inner functions are compiled for each of them, so that the size is a
   constant where it is used. */

/* ---- lines of any strides ------------------------------------------------------------------ */

static INLINE void copy_line(char *dst, int64_t to, const char *src, int64_t from, int64_t count,
                             size_t item)
{
    uint64_t v[4];
    for (; count >= 4; count -= 4, dst += 4 * to, src += 4 * from) {
        for (int i = 0; i < 4; i++)
            memcpy(&v[i], src + i * from, item);
        for (int i = 0; i < 4; i++)
            memcpy(dst + i * to, &v[i], item);
    }
    for (; count; count--, dst += to, src += from)
        memcpy(dst, src, item);
}

static INLINE void copy_lines(char *dst, pitches to, const char *src, int64_t from_row, int64_t rows,
                              int64_t columns, size_t item)
{
    if (columns >= rows)
        for (int64_t r = 0; r < rows; r++)
            copy_line(dst + r * to.row, to.column, src + r * from_row, (int64_t)item, columns, item);
    else
        for (int64_t c = 0; c < columns; c++)
            copy_line(dst + c * to.column, to.row, src + c * (int64_t)item, from_row, rows, item);
}

static void by_lines(char *dst, pitches to, const char *src, int64_t from_row, int64_t rows,
                     int64_t columns, size_t itemsize)
{
    if (itemsize == 1)
        copy_lines(dst, to, src, from_row, rows, columns, 1);
    else if (itemsize == 2)
        copy_lines(dst, to, src, from_row, rows, columns, 2);
    else if (itemsize == 4)
        copy_lines(dst, to, src, from_row, rows, columns, 4);
    else
        copy_lines(dst, to, src, from_row, rows, columns, 8);
}

/* ---- tiles transposed in registers --------------------------------------------------------- */

#if HAS_SHUFFLES
typedef uint8_t of_1 __attribute__((vector_size(16)));
typedef uint16_t of_2 __attribute__((vector_size(16)));
typedef uint32_t of_4 __attribute__((vector_size(16)));
typedef uint64_t of_8 __attribute__((vector_size(16)));
typedef of_8 vector;

/* Interleave the items of the first halves of two vectors, or those of the second halves. */
static INLINE vector low(vector a, vector b, size_t item)
{
    return item == 1   ? (vector)__builtin_shufflevector((of_1)a, (of_1)b, 0, 16, 1, 17, 2, 18, 3, 19, 4,
                                                         20, 5, 21, 6, 22, 7, 23)
           : item == 2 ? (vector)__builtin_shufflevector((of_2)a, (of_2)b, 0, 8, 1, 9, 2, 10, 3, 11)
           : item == 4 ? (vector)__builtin_shufflevector((of_4)a, (of_4)b, 0, 4, 1, 5)
                       : __builtin_shufflevector(a, b, 0, 2);
}
static INLINE vector high(vector a, vector b, size_t item)
{
    return item == 1   ? (vector)__builtin_shufflevector((of_1)a, (of_1)b, 8, 24, 9, 25, 10, 26, 11, 27,
                                                         12, 28, 13, 29, 14, 30, 15, 31)
           : item == 2 ? (vector)__builtin_shufflevector((of_2)a, (of_2)b, 4, 12, 5, 13, 6, 14, 7, 15)
           : item == 4 ? (vector)__builtin_shufflevector((of_4)a, (of_4)b, 2, 6, 3, 7)
                       : __builtin_shufflevector(a, b, 1, 3);
}

#if defined(__SSE2__)
static INLINE void store_nontemporal(char *dst, vector v)
{
    _mm_stream_si128((__m128i *)dst, (__m128i)v);
}
static void nontemporal_fence(void) { _mm_sfence(); }
#else
static INLINE void store_nontemporal(char *dst, vector v) { memcpy(dst, &v, 16); }
static void nontemporal_fence(void) {}
#endif

/* Transpose a square tile with a side of 16 bytes, by interleaving row i with row i + n/2 once for each
   halving of n. Rows are `from` bytes apart in src, columns `to` bytes apart in dst. */
static INLINE void transpose_tile(char *dst, int64_t to, const char *src, int64_t from, size_t item,
                                  int nontemporal)
{
    const int side = 16 / (int)item;
    vector a[16], b[16];
    for (int i = 0; i < side; i++)
        memcpy(&a[i], src + i * from, 16);
    for (int n = side; n > 1; n /= 2) {
        for (int i = 0; i < side / 2; i++) {
            b[2 * i] = low(a[i], a[i + side / 2], item);
            b[2 * i + 1] = high(a[i], a[i + side / 2], item);
        }
        memcpy(a, b, sizeof a);
    }
    for (int i = 0; i < side; i++)
        if (nontemporal)
            store_nontemporal(dst + i * to, a[i]);
        else
            memcpy(dst + i * to, &a[i], 16);
}

/* Transpose all whole square tiles. Each column of src becomes contiguous in dst. */
static INLINE void transpose_tiles(char *dst, int64_t to, const char *src, int64_t from, int64_t rows,
                                   int64_t columns, size_t item, int nontemporal)
{
    const int64_t bytes = (int64_t)item, side = 16 / bytes;
    for (int64_t c = 0; c + side <= columns; c += side)
        for (int64_t r = 0; r + side <= rows; r += side)
            transpose_tile(dst + c * to + r * bytes, to, src + r * from + c * bytes, from, item,
                           nontemporal);
}

static int64_t transpose(char *dst, int64_t to, const char *src, int64_t from, int64_t rows,
                         int64_t columns, size_t itemsize, int nontemporal)
{
    nontemporal = nontemporal && ((uintptr_t)dst | (uintptr_t)to) % 16 == 0;
    if (itemsize == 1)
        transpose_tiles(dst, to, src, from, rows, columns, 1, nontemporal);
    else if (itemsize == 2)
        transpose_tiles(dst, to, src, from, rows, columns, 2, nontemporal);
    else if (itemsize == 4)
        transpose_tiles(dst, to, src, from, rows, columns, 4, nontemporal);
    else
        transpose_tiles(dst, to, src, from, rows, columns, 8, nontemporal);
    if (nontemporal)
        nontemporal_fence();
    return 16 / (int64_t)itemsize;
}
#else
static int64_t transpose(char *dst, int64_t to, const char *src, int64_t from, int64_t rows,
                         int64_t columns, size_t itemsize, int nontemporal)
{
    (void)dst, (void)to, (void)src, (void)from, (void)itemsize, (void)nontemporal;
    return (rows > columns ? rows : columns) + 1; /* so that no tile counts as transposed */
}
#endif

/* ---- any tile ------------------------------------------------------------------------------ */

void fx__copy_strided(char *dst, pitches to, const char *src, int64_t from_row, int64_t rows,
                      int64_t columns, size_t itemsize, int nontemporal)
{
    const int64_t item = (int64_t)itemsize;
    if (to.row == -item && rows > 1) { /* the same memory in the opposite order */
        dst += (rows - 1) * to.row;
        src += (rows - 1) * from_row;
        to.row = item;
        from_row = -from_row;
    }
    if (to.row != item) {
        by_lines(dst, to, src, from_row, rows, columns, itemsize);
        return;
    }
    const int64_t side = transpose(dst, to.column, src, from_row, rows, columns, itemsize, nontemporal);
    const int64_t done_rows = rows - rows % side, done_columns = columns - columns % side;
    by_lines(dst + done_rows * item, to, src + done_rows * from_row, from_row, rows - done_rows,
             done_columns, itemsize);
    by_lines(dst + done_columns * to.column, to, src + done_columns * item, from_row, rows,
             columns - done_columns, itemsize);
}
