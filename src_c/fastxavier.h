/* fastxavier: neural-network weights that are a pure function of (seed, stream, index).

   The C interface, complete. C11, no Python. What value stands at which index is the contract of
   docs/stream.md, version FX_STREAM_VERSION; threads, instruction set, layout and sharding never
   enter it.

   Obligations, for every function here:
   - The caller owns all memory. Nothing is allocated that outlives a call, nothing is printed,
     nothing aborts; a call that returns an error other than FX_INTERRUPTED has written nothing.
   - Any thread may call at any time; two calls may run at once on memory that does not overlap.
   - Build src_c with -ffp-contract=off (gcc contracts by default) and without -ffast-math or any
     part of it: either would change bits.
   - The floating-point environment of the caller (rounding, flush-to-zero, sticky flags) changes no
     bit of the result and is left as it was. */
#ifndef FASTXAVIER_H
#define FASTXAVIER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FX_VERSION "0.1.0"
#define FX_STREAM_VERSION 1
#define FX_MAX_DIMS 64
#define FX_MAX_INDEX ((int64_t)1 << 62) /* elements of a global tensor, at most */

typedef enum {
    FX_OK = 0,
    FX_INTERRUPTED,        /* poll asked to stop: what the array holds is undefined */
    FX_ERROR_ISA,          /* FASTXAVIER_ISA or fx_force_isa names none that runs here */
    FX_ERROR_DTYPE,        /* not an fx_dtype */
    FX_ERROR_SHAPE,        /* a negative extent, too many axes, or beyond FX_MAX_INDEX or memory */
    FX_ERROR_SHARD,        /* the array does not lie inside the global tensor */
    FX_ERROR_OVERLAP,      /* two elements share memory */
    FX_ERROR_NOT_FINITE,   /* a parameter is NaN or, where that has no meaning, infinite */
    FX_ERROR_ORDER,        /* low above high, or a negative standard deviation */
    FX_ERROR_EMPTY,        /* a truncation interval that no draw can be told apart in */
    FX_ERROR_RANGE,        /* the distribution reaches values that the dtype cannot hold */
    FX_ERROR_THREADS,      /* fewer than one thread */
    FX_ERROR_DISTRIBUTION           /* an fx_distribution that none of the functions below has made, or no normal */
} fx_status;

/* One line in English for a status; never NULL. */
const char *fx_message(fx_status status);

typedef enum { FX_FLOAT32 = 0, FX_FLOAT64, FX_FLOAT16, FX_BFLOAT16 } fx_dtype;

/* Bytes of one element, 0 for what is not an fx_dtype. */
size_t fx_itemsize(fx_dtype dtype);

/* ---- distributions ---------------------------------------------------------------------------------- */

/* A distribution. Made by the functions below and copied freely; a caller keeps one, and may read
   the first group of fields. */
typedef struct {
    int kind;
    double location, scale; /* mean and std of the (parent) normal, low and high of a
                               uniform, or a constant and 0 */
    double mean, variance;  /* of the distribution itself at location 0 and scale 1; uniform: of the distribution */

    double low, high;            /* the cut, in units of scale */
    double lower[2], upper[2];   /* twice the probability below, and above, low and high */
    double lower_width, upper_width; /* cdf(high) - cdf(low), scaled as lower and upper are */
    double width[2], middle[2];  /* cdf(high) - cdf(low), cdf(low) + cdf(high) - 1, in two parts */
    int exponent;                /* the tail that holds a far interval stands times 2^exponent */
} fx_distribution;

/* One value throughout: FX_ERROR_NOT_FINITE. */
fx_status fx_constant(fx_distribution *distribution, double value);

/* U[low, high]: FX_ERROR_NOT_FINITE, FX_ERROR_ORDER. */
fx_status fx_uniform(fx_distribution *distribution, double low, double high);

/* N(mean, std^2): FX_ERROR_NOT_FINITE, FX_ERROR_ORDER. */
fx_status fx_normal(fx_distribution *distribution, double mean, double std);

/* N(mean, std^2) given that it falls within mean + std * (low, high); either end may be infinite.
   FX_ERROR_NOT_FINITE, FX_ERROR_ORDER, and FX_ERROR_EMPTY unless low < high and the interval
   begins within 37 standard deviations of the mean. Costs some microseconds: keep the result, and
   use fx_rescaled for other means and deviations. */
fx_status fx_truncated_normal(fx_distribution *distribution, double mean, double std, double low, double high);

/* A normal or truncated normal with another mean and std: FX_ERROR_DISTRIBUTION, FX_ERROR_NOT_FINITE,
   FX_ERROR_ORDER. */
fx_status fx_rescaled(fx_distribution *distribution, double mean, double std);

/* ---- filling ------------------------------------------------------------------------------- */

/* Where values go. Element (j0, j1, ...) of the array is element (offset0 + j0, ...) of a tensor of
   shape global_shape and takes the value of that element's index in C order. */
typedef struct {
    void *data;                  /* any alignment; may be NULL when an extent is 0 */
    fx_dtype dtype;
    int ndim;                    /* 0 (one element) to FX_MAX_DIMS */
    const int64_t *shape;        /* ndim extents; may be NULL when ndim is 0 */
    const int64_t *strides;      /* in bytes, of any sign; NULL: contiguous in C order */
    const int64_t *global_shape; /* NULL: shape itself */
    const int64_t *offset;       /* NULL: the origin */
} fx_array;

typedef struct {
    int threads;        /* 0: as many as OpenMP would use, fewer where they would not pay;
                           otherwise at most this many */
    /* NULL, or called from the calling thread every 20 ms or so with the part of the work that is
       done, from 0 to 1; what is not zero stops the fill with FX_INTERRUPTED. */
    int (*poll)(void *poll_argument, double done);
    void *poll_argument;
} fx_options;

/* Whether fx_fill would accept this, without writing. */
fx_status fx_check(const fx_array *array, const fx_distribution *distribution, const fx_options *options);

/* Fill. `options` may be NULL. Streams made from names have bit 63 set, numbered ones have not. */
fx_status fx_fill(const fx_array *array, const fx_distribution *distribution, uint64_t seed, uint64_t stream,
                  const fx_options *options);

/* The contiguous case: elements first .. first + count - 1 of the stream. */
fx_status fx_fill_run(void *data, fx_dtype dtype, int64_t first, int64_t count, const fx_distribution *distribution,
                      uint64_t seed, uint64_t stream, const fx_options *options);

/* One of many arrays. */
typedef struct {
    const fx_array *array;
    const fx_distribution *distribution;
    uint64_t seed, stream;
    int64_t last_piece; /* the library's own, while it fills */
} fx_request;

/* Fill them all, as if one were large: the threads start once, and share the small arrays as well
   as the parts of large ones. Arrays must not overlap. On an error nothing has been written and
   *failed, unless `failed` is NULL, is the number of the request that was refused. */
fx_status fx_fill_all(fx_request *requests, int64_t count, const fx_options *options, int64_t *failed);

/* ---- implementations ----------------------------------------------------------------------- */

/* Name of the i-th implementation that runs on this machine, best first; NULL past the last.
   All of them give the same bits. */
const char *fx_isa_available(int i);

/* Name of the one in use: the best, or the one that the environment variable FASTXAVIER_ISA names,
   read once at first need. NULL when it names none that runs here; fx_fill then fails. */
const char *fx_isa(void);

/* Use this one from now on, for all threads; NULL: choose again from the environment. */
fx_status fx_force_isa(const char *name);

/* Threads that a large fill would use now, 1 without OpenMP. */
int fx_threads(void);

/* OpenMP's version as yyyymm, 0 when built without. */
int fx_openmp(void);

#ifdef __cplusplus
}
#endif

#endif
