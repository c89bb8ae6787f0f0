/* Messages of statuses and sizes of dtypes: fx_message and fx_itemsize. */
#include "kernels.h"

size_t fx_itemsize(fx_dtype dtype)
{
#define SIZE(distribution, DTYPE, name, size) \
    case FX_##DTYPE: \
        return size;
    switch (dtype) {
        FX_DTYPES(SIZE, )
    }
#undef SIZE
    return 0;
}

const char *fx_message(fx_status status)
{
    switch (status) {
    case FX_OK:
        return "no error";
    case FX_INTERRUPTED:
        return "stopped by poll before it was done";
    case FX_ERROR_ISA:
        return "the requested implementation is unknown or does not run on this machine";
    case FX_ERROR_DTYPE:
        return "not one of the dtypes float32, float64, float16, bfloat16, float8_e4m3fn, float8_e5m2";
    case FX_ERROR_SHAPE:
        return "a negative extent, more than 64 axes, more than 2^62 elements or more bytes than memory";
    case FX_ERROR_SHARD:
        return "the array does not lie inside the global tensor";
    case FX_ERROR_OVERLAP:
        return "two elements of the array share memory";
    case FX_ERROR_NOT_FINITE:
        return "a parameter of the distribution is NaN or infinite";
    case FX_ERROR_ORDER:
        return "low is above high, or a standard deviation is negative";
    case FX_ERROR_EMPTY:
        return "the truncation interval is empty, too narrow or too far from the mean to draw from";
    case FX_ERROR_RANGE:
        return "the distribution reaches values that the dtype cannot represent";
    case FX_ERROR_THREADS:
        return "the number of threads is negative";
    case FX_ERROR_DISTRIBUTION:
        return "not a distribution made by one of the fx_ functions, or not a normal one";
    case FX_ERROR_NULL:
        return "the data of an array with elements is NULL";
    }
    return "not an fx_status";
}
