# Mirror of src_c/fastxavier.h and nothing else.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "fastxavier.h" nogil:
    const char *FX_VERSION
    int FX_STREAM_VERSION
    enum: FX_MAX_DIMS

    ctypedef enum fx_status:
        FX_OK
        FX_INTERRUPTED
        FX_ERROR_ISA
        FX_ERROR_DTYPE
        FX_ERROR_SHAPE
        FX_ERROR_SHARD
        FX_ERROR_OVERLAP
        FX_ERROR_NOT_FINITE
        FX_ERROR_ORDER
        FX_ERROR_EMPTY
        FX_ERROR_RANGE
        FX_ERROR_THREADS
        FX_ERROR_DISTRIBUTION
        FX_ERROR_NULL
    const char *fx_message(fx_status status)

    ctypedef enum fx_dtype:
        FX_FLOAT32
        FX_FLOAT64
        FX_FLOAT16
        FX_BFLOAT16
        FX_FLOAT8_E4M3FN
        FX_FLOAT8_E5M2
    size_t fx_itemsize(fx_dtype dtype)

    ctypedef struct fx_distribution:
        double location, scale
        double mean, variance
        double low, high
    fx_status fx_constant(fx_distribution *distribution, double value)
    fx_status fx_uniform(fx_distribution *distribution, double low, double high)
    fx_status fx_normal(fx_distribution *distribution, double mean, double std)
    fx_status fx_truncated_normal(fx_distribution *distribution, double mean, double std, double low, double high)
    fx_status fx_rescaled(fx_distribution *distribution, double mean, double std)

    ctypedef struct fx_array:
        void *data
        fx_dtype dtype
        int ndim
        const int64_t *shape
        const int64_t *strides
        const int64_t *global_shape
        const int64_t *offset

    ctypedef struct fx_options:
        int threads
        int (*poll)(void *, double) noexcept
        void *poll_argument

    fx_status fx_check(const fx_array *array, const fx_distribution *distribution, const fx_options *options)
    fx_status fx_fill(const fx_array *array, const fx_distribution *distribution, uint64_t seed, uint64_t stream,
                      const fx_options *options)
    fx_status fx_fill_run(void *data, fx_dtype dtype, int64_t first, int64_t count,
                          const fx_distribution *distribution, uint64_t seed, uint64_t stream,
                          const fx_options *options)

    ctypedef struct fx_request:
        const fx_array *array
        const fx_distribution *distribution
        uint64_t seed
        uint64_t stream
    fx_status fx_fill_all(fx_request *requests, int64_t count, const fx_options *options,
                          int64_t *failed)
    fx_status fx_check_all(fx_request *requests, int64_t count, const fx_options *options,
                           int64_t *failed)
    fx_status fx_fill_checked(const fx_request *requests, int64_t count, const fx_options *options)

    const char *fx_isa_available(int i)
    const char *fx_isa()
    fx_status fx_force_isa(const char *name)
    int fx_threads()
    int fx_openmp()
