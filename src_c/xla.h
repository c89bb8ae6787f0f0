/* The handler of XLA's custom call, through which jax draws inside of a compiled function, and the part of
   XLA's call frame that it reads. The binding gives its address to jax; tests/c/xla_calls.c calls it too.

   The structures are those of version 0.3 of XLA's foreign function interface, as it documents them. XLA
   keeps it compatible: later versions of 0 only add fields at the ends, which struct_size tells. */
#ifndef FASTXAVIER_XLA_H
#define FASTXAVIER_XLA_H

#include <stddef.h>
#include <stdint.h>

enum { XLA_MAJOR = 0, XLA_MINOR = 3 };

/* Numbers that XLA gives to what it passes. */
enum { XLA_METADATA = 1, XLA_BUFFER = 1, XLA_ARRAY = 1, XLA_INVALID_ARGUMENT = 3 };
enum {
    XLA_S64 = 5,
    XLA_U32 = 8,
    XLA_F16 = 10,
    XLA_F32 = 11,
    XLA_F64 = 12,
    XLA_BF16 = 16,
    XLA_F8E5M2 = 19,
    XLA_F8E4M3FN = 20
};

typedef struct xla_error xla_error; /* XLA's own */

typedef struct xla_extension {
    size_t struct_size;
    int type;
    struct xla_extension *next;
} xla_extension;

typedef struct {
    size_t struct_size;
    xla_extension *extensions;
    int major, minor;
} xla_version;

typedef struct {
    size_t struct_size;
    xla_version version; /* written by the handler */
    uint32_t traits;
} xla_metadata;

/* The first extension of a frame that only asks which version the handler was written for. */
typedef struct {
    xla_extension base;
    xla_metadata *metadata;
} xla_metadata_extension;

typedef struct {
    size_t struct_size;
    xla_extension *extensions;
    const char *message;
    int code;
} xla_error_arguments;

typedef struct {
    size_t struct_size;
    xla_extension *extensions;
    xla_version version;
    const void *internal;
    xla_error *(*create_error)(xla_error_arguments *);
} xla_api;

typedef struct {
    size_t struct_size;
    xla_extension *extensions;
    int dtype;
    void *data;
    int64_t rank;
    int64_t *dims;
} xla_buffer;

/* Arguments, or results. */
typedef struct {
    size_t struct_size;
    xla_extension *extensions;
    int64_t size;
    int *types;
    xla_buffer **buffers;
} xla_buffers;

typedef struct {
    const char *characters; /* without a 0 at the end */
    size_t length;
} xla_text;

typedef struct {
    int dtype;
    size_t size;
    void *data;
} xla_array;

typedef struct {
    size_t struct_size;
    xla_extension *extensions;
    int64_t size;
    int *types;
    xla_text **names;
    void **values; /* an xla_array where the type is XLA_ARRAY */
} xla_attributes;

typedef struct {
    size_t struct_size;
    xla_extension *extensions;
    const xla_api *api;
    void *context;
    int stage;
    xla_buffers arguments, results;
    xla_attributes attributes;
} xla_call_frame;

#if SIZE_MAX > 0xFFFFFFFF
#define AT(structure, field, offset) \
    _Static_assert(offsetof(structure, field) == (offset), "not where XLA has it: " #field)
AT(xla_extension, type, 8);
AT(xla_extension, next, 16);
AT(xla_version, major, 16);
AT(xla_version, minor, 20);
AT(xla_metadata, version, 8);
AT(xla_metadata, traits, 32);
AT(xla_metadata_extension, metadata, 24);
AT(xla_error_arguments, message, 16);
AT(xla_error_arguments, code, 24);
AT(xla_api, internal, 40);
AT(xla_api, create_error, 48);
AT(xla_buffer, dtype, 16);
AT(xla_buffer, data, 24);
AT(xla_buffer, rank, 32);
AT(xla_buffer, dims, 40);
AT(xla_buffers, size, 16);
AT(xla_buffers, types, 24);
AT(xla_buffers, buffers, 32);
AT(xla_array, size, 8);
AT(xla_array, data, 16);
AT(xla_attributes, size, 16);
AT(xla_attributes, types, 24);
AT(xla_attributes, names, 32);
AT(xla_attributes, values, 40);
AT(xla_call_frame, api, 16);
AT(xla_call_frame, stage, 32);
AT(xla_call_frame, arguments, 40);
AT(xla_call_frame, results, 80);
AT(xla_call_frame, attributes, 120);
_Static_assert(sizeof(xla_call_frame) == 168, "XLA's call frame without its future");
#undef AT
#endif

/* The attribute `kind`. */
enum { XLA_CONSTANT, XLA_UNIFORM, XLA_NORMAL, XLA_TRUNCATED_NORMAL };

/* Fill the result, as fx_fill does. NULL, or XLA's error, before which nothing is written. Any thread may
   call it.

   Argument: uint32 of shape (lanes..., 2 + axes). Result: (lanes..., extents...), each lane a part of a
   tensor, as if drawn alone. The words of a lane are the high and the low half of its seed, and for each axis
   how many parts of this extent lie before it in the whole tensor. What of a part lies beyond the whole is
   left as it is.

   Attributes, all arrays: `global_shape` (int64), the extents of the whole tensor; `kind` (int64), one of
   the above; `parameters` (float64), the four numbers at most that fx_constant, fx_uniform, fx_normal and
   fx_truncated_normal take; `stream` (int64), whose bits are those of the stream. */
xla_error *fx__xla_fill(xla_call_frame *frame);

#endif
