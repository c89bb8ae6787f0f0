/* The handler of XLA's custom call: checks the call frame and fills its result. See xla.h. */
#include "xla.h"

#include <stdatomic.h>
#include <string.h>

#include "fastxavier.h"

/* In the order of fx_dtype. */
static const int DTYPES[] = {XLA_F32, XLA_F64, XLA_F16, XLA_BF16, XLA_F8E4M3FN, XLA_F8E5M2};
enum { DTYPE_COUNT = sizeof DTYPES / sizeof *DTYPES };

enum { SEED_WORDS = 2 };

/* What a frame asks for. */
typedef struct {
    fx_dtype dtype;
    int axes;
    const int64_t *extents, *whole; /* of a lane and of the tensor that it is a part of */
    const uint32_t *words;
    char *data;
    int64_t lanes;
    fx_distribution distribution;
    uint64_t stream;
} request;

static xla_error *refused(const xla_call_frame *frame, const char *message)
{
    xla_error_arguments arguments = {sizeof arguments, NULL, message, XLA_INVALID_ARGUMENT};
    return frame->api->create_error(&arguments);
}

/* The data of an attribute; NULL unless it is an array of this dtype and size. */
static const void *attribute(const xla_call_frame *frame, const char *name, int dtype, int64_t size)
{
    const xla_attributes *all = &frame->attributes;
    for (int64_t i = 0; i < all->size; i++) {
        const xla_text *found = all->names[i];
        if (found->length != strlen(name) || memcmp(found->characters, name, found->length) != 0)
            continue;
        const xla_array *array = all->values[i];
        if (all->types[i] == XLA_ARRAY && array->dtype == dtype && array->size == (size_t)size)
            return array->data;
    }
    return NULL;
}

static int64_t product(const int64_t *extents, int64_t count)
{
    int64_t all = 1;
    for (int64_t i = 0; i < count; i++)
        all *= extents[i];
    return all;
}

static fx_status make_distribution(fx_distribution *distribution, int64_t kind, const double *p)
{
    switch (kind) {
    case XLA_CONSTANT:
        return fx_constant(distribution, p[0]);
    case XLA_UNIFORM:
        return fx_uniform(distribution, p[0], p[1]);
    case XLA_NORMAL:
        return fx_normal(distribution, p[0], p[1]);
    case XLA_TRUNCATED_NORMAL:
        return fx_truncated_normal(distribution, p[0], p[1], p[2], p[3]);
    }
    return FX_ERROR_DISTRIBUTION;
}

/* The only buffer; NULL unless there is one and the structure, which lies inside of the frame, has the size
   that it has here. */
static const xla_buffer *only(const xla_buffers *buffers)
{
    const int is_one = buffers->struct_size == sizeof *buffers && buffers->size == 1 &&
                       buffers->types[0] == XLA_BUFFER;
    return is_one ? buffers->buffers[0] : NULL;
}

/* Read a frame; NULL, or what is wrong with it. */
static const char *read_frame(const xla_call_frame *frame, request *r)
{
    if (frame->struct_size < sizeof *frame)
        return "fastxavier: XLA's call frame is older";
    const xla_buffer *words = only(&frame->arguments), *result = only(&frame->results);
    if (!words || !result)
        return "fastxavier: the call has not one argument and one result, as XLA 0.3 has them";
    const int64_t lane_axes = words->rank - 1, axes = result->rank - lane_axes;
    if (words->dtype != XLA_U32 || lane_axes < 0 || axes < 0 || axes > FX_MAX_DIMS ||
        words->dims[lane_axes] != SEED_WORDS + axes)
        return "fastxavier: the words are not uint32, two and one for each axis of the result";
    int dtype = 0;
    while (dtype < DTYPE_COUNT && DTYPES[dtype] != result->dtype)
        dtype++;
    if (dtype == DTYPE_COUNT)
        return fx_message(FX_ERROR_DTYPE);
    r->lanes = product(words->dims, lane_axes);
    if (product(result->dims, lane_axes) != r->lanes)
        return "fastxavier: the result has not one part for each seed";
    const int64_t *whole = attribute(frame, "global_shape", XLA_S64, axes);
    const int64_t *kind = attribute(frame, "kind", XLA_S64, 1);
    const int64_t *stream = attribute(frame, "stream", XLA_S64, 1);
    const double *parameters = attribute(frame, "parameters", XLA_F64, 4);
    if ((axes && !whole) || !kind || !stream || !parameters)
        return "fastxavier: an attribute is missing, or of another type or size";
    const fx_status status = make_distribution(&r->distribution, *kind, parameters);
    if (status != FX_OK)
        return fx_message(status);
    r->dtype = (fx_dtype)dtype;
    r->axes = (int)axes;
    r->extents = result->dims + lane_axes;
    r->whole = whole;
    r->words = words->data;
    r->data = result->data;
    r->stream = (uint64_t)*stream;
    return NULL;
}

/* Fill one lane, up to where the whole tensor ends. */
static fx_status fill_lane(const request *r, const uint32_t *words, char *data,
                           const fx_options *options)
{
    int64_t extents[FX_MAX_DIMS], strides[FX_MAX_DIMS], offset[FX_MAX_DIMS];
    int64_t stride = (int64_t)fx_itemsize(r->dtype);
    for (int i = r->axes - 1; i >= 0; i--) {
        const int64_t extent = r->extents[i], before = words[SEED_WORDS + i];
        const int inside = extent && before <= r->whole[i] / extent;
        offset[i] = inside ? before * extent : r->whole[i];
        const int64_t rest = r->whole[i] - offset[i];
        extents[i] = extent < rest ? extent : rest;
        strides[i] = stride;
        stride *= extent;
    }
    const fx_array array = {data, r->dtype, r->axes, extents, strides, r->whole, offset};
    const uint64_t seed = (uint64_t)words[0] << 32 | words[1];
    return fx_fill(&array, &r->distribution, seed, r->stream, options);
}

/* Fill all lanes while `calls` of XLA are running, of which each has its share of the threads. Alone, a call
   uses as many as fx_fill chooses. */
static fx_status fill_lanes(const request *r, int calls)
{
    const int share = fx_threads() / calls;
    const fx_options options = {.threads = calls == 1 ? 0 : share > 1 ? share : 1};
    const int64_t bytes = product(r->extents, r->axes) * (int64_t)fx_itemsize(r->dtype);
    fx_status status = FX_OK;
    for (int64_t i = 0; i < r->lanes && status == FX_OK; i++)
        status = fill_lane(r, r->words + i * (SEED_WORDS + r->axes), r->data + i * bytes, &options);
    return status;
}

/* XLA calls for each of its devices from another thread. */
static atomic_int running;

xla_error *fx__xla_fill(xla_call_frame *frame)
{
    const xla_extension *extension = frame->extensions;
    if (extension && extension->type == XLA_METADATA) {
        xla_version *version = &((const xla_metadata_extension *)extension)->metadata->version;
        version->major = XLA_MAJOR;
        version->minor = XLA_MINOR;
        return NULL;
    }
    request r;
    const int calls = atomic_fetch_add(&running, 1) + 1;
    const char *problem = read_frame(frame, &r);
    if (!problem) {
        const fx_status status = fill_lanes(&r, calls);
        problem = status == FX_OK ? NULL : fx_message(status);
    }
    xla_error *const error = problem ? refused(frame, problem) : NULL;
    atomic_fetch_sub(&running, 1);
    return error;
}
