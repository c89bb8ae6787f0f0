/* Copies between two layouts of a tile: along the rows, along the columns, or turned in registers. */
#include "scatter.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAS_SHUFFLES 1
#endif
#endif

/* ---- one line, whatever its strides -------------------------------------------------------- */

#define LINE(type)                                                                    \
    static void line_##type(char *dst, int64_t to, const char *src, int64_t from, int64_t count) \
    {                                                                                 \
        for (; count >= 4; count -= 4, dst += 4 * to, src += 4 * from) {              \
            type v[4];                                                                \
            for (int i = 0; i < 4; i++)                                               \
                memcpy(&v[i], src + i * from, sizeof(type));                          \
            for (int i = 0; i < 4; i++)                                               \
                memcpy(dst + i * to, &v[i], sizeof(type));                            \
        }                                                                             \
        for (; count; count--, dst += to, src += from)                                \
            memcpy(dst, src, sizeof(type));                                           \
    }
LINE(uint16_t)
LINE(uint32_t)
LINE(uint64_t)

typedef void line(char *dst, int64_t to, const char *src, int64_t from, int64_t count);

static line *line_of(size_t itemsize)
{
    return itemsize == 2 ? line_uint16_t : itemsize == 4 ? line_uint32_t : line_uint64_t;
}

/* ---- squares turned in registers ----------------------------------------------------------- */

#if HAS_SHUFFLES
#if defined(__SSE2__)
static void stream_16(char *dst, const void *src) { _mm_stream_si128((__m128i *)dst, _mm_loadu_si128(src)); }
static void stream_fence(void) { _mm_sfence(); }
#else
static void stream_16(char *dst, const void *src) { memcpy(dst, src, 16); }
static void stream_fence(void) {}
#endif

typedef uint16_t v2 __attribute__((vector_size(16)));
typedef uint32_t v4 __attribute__((vector_size(16)));
typedef uint64_t v8 __attribute__((vector_size(16)));

#define LOW2(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH2(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define LOW4(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH4(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define LOW8(a, b) __builtin_shufflevector(a, b, 0, 2)
#define HIGH8(a, b) __builtin_shufflevector(a, b, 1, 3)

/* A square of 16 bytes' side: interleaving row i with row i + n/2, once for each halving of n,
   turns it. Rows come `from` apart, columns go `to` apart, past the caches if streaming. */
#define SQUARE(bytes)                                                                            \
    static void square_##bytes(char *dst, int64_t to, const char *src, int64_t from, int streaming) \
    {                                                                                            \
        enum { N = 16 / bytes };                                                                 \
        v##bytes a[N], b[N];                                                                     \
        for (int i = 0; i < N; i++)                                                              \
            memcpy(&a[i], src + i * from, 16);                                                   \
        for (int n = N; n > 1; n /= 2) {                                                         \
            for (int i = 0; i < N / 2; i++) {                                                    \
                b[2 * i] = LOW##bytes(a[i], a[i + N / 2]);                                       \
                b[2 * i + 1] = HIGH##bytes(a[i], a[i + N / 2]);                                  \
            }                                                                                    \
            memcpy(a, b, sizeof a);                                                              \
        }                                                                                        \
        for (int i = 0; i < N; i++)                                                              \
            if (streaming)                                                                       \
                stream_16(dst + i * to, &a[i]);                                                  \
            else                                                                                 \
                memcpy(dst + i * to, &a[i], 16);                                                 \
    }
SQUARE(2)
SQUARE(4)
SQUARE(8)

/* All whole squares; what is written is neighbours in memory along the rows of the tile. */
#define SQUARES(bytes)                                                                           \
    static void squares_##bytes(char *dst, int64_t to, const char *src, int64_t from, int64_t rows, \
                                int64_t columns, int streaming)                                  \
    {                                                                                            \
        enum { N = 16 / bytes };                                                                 \
        for (int64_t c = 0; c + N <= columns; c += N)                                            \
            for (int64_t r = 0; r + N <= rows; r += N)                                           \
                square_##bytes(dst + c * to + r * bytes, to, src + r * from + c * bytes, from,   \
                               streaming);                                                       \
    }
SQUARES(2)
SQUARES(4)
SQUARES(8)

static int64_t turn(char *dst, int64_t to, const char *src, int64_t from, int64_t rows, int64_t columns,
                    size_t itemsize, int streaming)
{
    streaming = streaming && ((uintptr_t)dst | (uintptr_t)to) % 16 == 0;
    if (itemsize == 2)
        squares_2(dst, to, src, from, rows, columns, streaming);
    else if (itemsize == 4)
        squares_4(dst, to, src, from, rows, columns, streaming);
    else
        squares_8(dst, to, src, from, rows, columns, streaming);
    if (streaming)
        stream_fence();
    return 16 / (int64_t)itemsize;
}
#else
static int64_t turn(char *dst, int64_t to, const char *src, int64_t from, int64_t rows, int64_t columns,
                    size_t itemsize, int streaming)
{
    (void)dst, (void)to, (void)src, (void)from, (void)itemsize, (void)streaming;
    return (rows > columns ? rows : columns) + 1; /* no square was whole */
}
#endif

/* ---- tiles --------------------------------------------------------------------------------- */

static void by_lines(char *dst, pitches to, const char *src, int64_t from_row, int64_t rows,
                     int64_t columns, size_t itemsize)
{
    line *const copy = line_of(itemsize);
    if (columns >= rows)
        for (int64_t r = 0; r < rows; r++)
            copy(dst + r * to.row, to.column, src + r * from_row, (int64_t)itemsize, columns);
    else
        for (int64_t c = 0; c < columns; c++)
            copy(dst + c * to.column, to.row, src + c * (int64_t)itemsize, from_row, rows);
}

void scatter(char *dst, pitches to, const char *src, int64_t from_row, int64_t rows, int64_t columns,
             size_t itemsize, int streaming)
{
    const int64_t item = (int64_t)itemsize;
    if (to.row == -item && rows > 1) { /* the same memory, met from its other end */
        dst += (rows - 1) * to.row;
        src += (rows - 1) * from_row;
        to.row = item;
        from_row = -from_row;
    }
    if (to.row != item) {
        by_lines(dst, to, src, from_row, rows, columns, itemsize);
        return;
    }
    const int64_t side = turn(dst, to.column, src, from_row, rows, columns, itemsize, streaming);
    const int64_t turned_rows = rows - rows % side, turned_columns = columns - columns % side;
    by_lines(dst + turned_rows * item, to, src + turned_rows * from_row, from_row, rows - turned_rows,
             turned_columns, itemsize);
    by_lines(dst + turned_columns * to.column, to, src + turned_columns * item, from_row, rows,
             columns - turned_columns, itemsize);
}
