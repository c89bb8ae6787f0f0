/* fastxavier: initial weights of neural networks, each a pure function of (seed, stream, index).

   The complete C interface; C11, without Python. docs/stream.md defines which value belongs to which
   index (version FX_STREAM_VERSION). Threads, instruction set, memory layout and sharding never
   change a value.

   What holds for every function here:
   - The caller owns all memory. No allocation outlives a call, nothing is printed, nothing aborts.
     A call that returns an error other than FX_INTERRUPTED has written nothing.
   - Any thread may call at any time. Two calls may run at once on memory that does not overlap.
   - Compile src_c with -ffp-contract=off (gcc contracts by default) and without -ffast-math or any
     part of it: both would change bits.
   - The caller's floating-point environment (rounding mode, flush-to-zero, sticky flags) changes no
     bit of the result and is left as it was. */
#ifndef FASTXAVIER_H
#define FASTXAVIER_H

#include <stddef.h>
#include <stdint.h>

/* On each public function, so that a build with -fvisibility=hidden exports these alone. Define it
   yourself where that takes something else, such as __declspec(dllexport). */
#ifndef FX_API
#if defined(__GNUC__) && !defined(_WIN32)
#define FX_API __attribute__((visibility("default")))
#else
#define FX_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define FX_VERSION "0.1.0"
#define FX_STREAM_VERSION 1
#define FX_MAX_DIMS 64
#define FX_MAX_INDEX ((int64_t)1 << 62) /* the most elements that a global tensor can have */

typedef enum {
    FX_OK = 0,
    FX_INTERRUPTED,       /* poll asked to stop; the contents of the array are undefined */
    FX_ERROR_ISA, /* FASTXAVIER_ISA or fx_force_isa names an implementation that does not run here */
    FX_ERROR_DTYPE, /* not an fx_dtype */
    FX_ERROR_SHAPE, /* a negative extent, too many axes, or more than FX_MAX_INDEX or memory allows */
    FX_ERROR_SHARD, /* the array does not lie inside the global tensor */
    FX_ERROR_OVERLAP, /* two elements of the array share memory */
    FX_ERROR_NOT_FINITE, /* a parameter is NaN, or infinite where that has no meaning */
    FX_ERROR_ORDER, /* low above high, or a negative standard deviation */
    FX_ERROR_EMPTY, /* a truncation interval too narrow or too far out to draw from */
    FX_ERROR_RANGE, /* the distribution reaches values that the dtype cannot represent */
    FX_ERROR_THREADS, /* a negative number of threads */
    FX_ERROR_DISTRIBUTION, /* an fx_distribution not made by a function below, or not a normal one */
    FX_ERROR_NULL /* an array with elements whose data is NULL */
} fx_status;

/* One line in English for a status; never NULL. */
FX_API const char *fx_message(fx_status status);

typedef enum {
    FX_FLOAT32 = 0,
    FX_FLOAT64,
    FX_FLOAT16,
    FX_BFLOAT16,
    FX_FLOAT8_E4M3FN,
    FX_FLOAT8_E5M2
} fx_dtype;

/* Bytes of one element; 0 if dtype is not an fx_dtype. */
FX_API size_t fx_itemsize(fx_dtype dtype);

/* ---- distributions ------------------------------------------------------------------------- */

/* A distribution. The functions below make it; it may be copied freely and owns no memory. A caller
   may read the first group of fields. */
typedef struct {
    int kind;
    double location, scale; /* mean and std of the (parent) normal; low and high of a uniform; the
                               value of a constant, and 0 */
    double mean, variance; /* of a normal or truncated normal with location 0 and scale 1; of a
                               uniform itself */

    double low, high; /* the truncation interval, in units of scale */
    double lower[2], upper[2]; /* twice the probability below, and above, low and high */
    double lower_width, upper_width; /* cdf(high) - cdf(low), scaled as lower and upper are */
    double width[2], middle[2]; /* cdf(high) - cdf(low), cdf(low) + cdf(high) - 1, each the sum of
                                        two numbers */
    int exponent; /* the tail that contains a distant interval is stored times
                                        2^exponent */
} fx_distribution;

/* The same value everywhere. Errors: FX_ERROR_NOT_FINITE. */
FX_API fx_status fx_constant(fx_distribution *distribution, double value);

/* U[low, high]. Errors: FX_ERROR_NOT_FINITE, FX_ERROR_ORDER. */
FX_API fx_status fx_uniform(fx_distribution *distribution, double low, double high);

/* N(mean, std^2). Errors: FX_ERROR_NOT_FINITE, FX_ERROR_ORDER. */
FX_API fx_status fx_normal(fx_distribution *distribution, double mean, double std);

/* N(mean, std^2) restricted to mean + std * (low, high); low and high may be infinite.
   Errors: FX_ERROR_NOT_FINITE; FX_ERROR_ORDER; FX_ERROR_EMPTY unless low < high and the interval
   begins within 37 standard deviations of the mean. This takes some microseconds: keep the result,
   and use fx_rescaled for another mean and std. */
FX_API fx_status fx_truncated_normal(fx_distribution *distribution, double mean, double std, double low,
                                     double high);

/* Give a normal or truncated normal another mean and std. Errors: FX_ERROR_DISTRIBUTION,
   FX_ERROR_NOT_FINITE, FX_ERROR_ORDER. */
FX_API fx_status fx_rescaled(fx_distribution *distribution, double mean, double std);

/* ---- filling ------------------------------------------------------------------------------- */

/* Where values are written. Element (j0, j1, ...) of the array is element (offset0 + j0, ...) of a
   tensor of shape global_shape, and gets the value of that element's index in C order. */
typedef struct {
    void *data; /* any alignment; NULL only when an extent is 0, otherwise FX_ERROR_NULL */
    fx_dtype dtype;
    int ndim; /* from 0 (one element) to FX_MAX_DIMS */
    const int64_t *shape; /* ndim extents; may be NULL when ndim is 0 */
    const int64_t *strides; /* in bytes, positive or negative; NULL: contiguous in C order */
    const int64_t *global_shape; /* NULL: shape itself */
    const int64_t *offset; /* NULL: all zeros */
} fx_array;

typedef struct {
    int threads; /* the most threads to use; 0: as many as OpenMP would, or fewer where more would
                    not be faster */
    /* NULL, or a function that the calling thread calls about every 20 ms with the fraction of the
       work that is done, from 0 to 1. A nonzero result stops the fill with FX_INTERRUPTED. */
    int (*poll)(void *poll_argument, double done);
    void *poll_argument;
} fx_options;

/* The status that fx_fill would return, without writing. */
FX_API fx_status fx_check(const fx_array *array, const fx_distribution *distribution,
                          const fx_options *options);

/* Fill an array. `options` may be NULL. By convention, bit 63 of `stream` is set for streams made from
   names and clear for numbered ones. */
FX_API fx_status fx_fill(const fx_array *array, const fx_distribution *distribution, uint64_t seed,
                         uint64_t stream, const fx_options *options);

/* The contiguous case: elements first .. first + count - 1 of the stream. */
FX_API fx_status fx_fill_run(void *data, fx_dtype dtype, int64_t first, int64_t count,
                             const fx_distribution *distribution, uint64_t seed, uint64_t stream,
                             const fx_options *options);

/* One of many arrays. */
typedef struct {
    const fx_array *array;
    const fx_distribution *distribution;
    uint64_t seed, stream;
    int64_t last_piece, last_byte; /* used by the library */
} fx_request;

/* Fill many arrays in one parallel region: threads start once and share small arrays as well as the
   parts of large ones. The arrays must not overlap. After an error nothing has been written, and
   *failed, unless `failed` is NULL, is the index of the request that was refused. */
FX_API fx_status fx_fill_all(fx_request *requests, int64_t count, const fx_options *options,
                             int64_t *failed);

/* The same in two steps, for arrays that are filled more than once. fx_check_all makes the checks, and
   writes to the requests alone. fx_fill_checked then fills the arrays, or those of a copy of the requests,
   any number of times. Between the two only seeds, streams and the arrays' values may change. */
FX_API fx_status fx_check_all(fx_request *requests, int64_t count, const fx_options *options,
                              int64_t *failed);
FX_API fx_status fx_fill_checked(const fx_request *requests, int64_t count, const fx_options *options);

/* ---- implementations ----------------------------------------------------------------------- */

/* Name of the i-th implementation that runs on this machine, best first; NULL after the last one.
   All implementations give the same bits. */
FX_API const char *fx_isa_available(int i);

/* Name of the implementation in use: the best one, or the one that the environment variable
   FASTXAVIER_ISA names, which is read when it is first needed. NULL if that one does not run here;
   fx_fill then fails. */
FX_API const char *fx_isa(void);

/* Use this implementation from now on, in all threads. NULL: choose again from the environment. */
FX_API fx_status fx_force_isa(const char *name);

/* Threads that a large fill would use now; 1 without OpenMP. */
FX_API int fx_threads(void);

/* OpenMP's version as yyyymm; 0 if built without OpenMP. */
FX_API int fx_openmp(void);

#ifdef __cplusplus
}
#endif

#endif
