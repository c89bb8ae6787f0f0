/* Tests of the handler of XLA's custom call, without XLA: call frames made here by hand. Called by check.c. */
#include <string.h>

#include "check.h"
#include "xla.h"

enum { LANES = 2, ROWS = 3, COLUMNS = 4, COUNT = LANES * ROWS * COLUMNS };

/* What a frame refers to. The result is a part, at (1, 2) in parts, of a tensor of 7 x 11. */
typedef struct {
    uint32_t words[LANES][4];
    int64_t word_dims[2], result_dims[3];
    double result[COUNT]; /* large enough for every dtype */
    int64_t whole[2], kind, stream;
    double parameters[4];
    xla_array arrays[4];
    xla_text names[4];
    xla_text *name_list[4];
    void *values[4];
    int attribute_types[4], buffer_type;
    xla_buffer argument, output;
    xla_buffer *arguments[1], *outputs[1];
    xla_api api;
    xla_call_frame frame;
} call;

static const char *last_message;
static int last_code;
static char an_error;
static xla_call_frame *meanwhile; /* called while the call that fails is still running */

static xla_error *create_error(xla_error_arguments *arguments)
{
    if (meanwhile)
        fx__xla_fill(meanwhile);
    last_message = arguments->message;
    last_code = arguments->code;
    return (xla_error *)(void *)&an_error;
}

static void set_attribute(call *c, int i, const char *name, int dtype, size_t size, void *data)
{
    c->arrays[i] = (xla_array){dtype, size, data};
    c->names[i] = (xla_text){name, strlen(name)};
    c->name_list[i] = &c->names[i];
    c->values[i] = &c->arrays[i];
    c->attribute_types[i] = XLA_ARRAY;
}

static void make(call *c)
{
    static const call EMPTY;
    *c = EMPTY;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        const uint32_t words[4] = {lane, 7, 1, 2};
        memcpy(c->words[lane], words, sizeof words);
    }
    c->word_dims[0] = c->result_dims[0] = LANES;
    c->word_dims[1] = 4;
    c->result_dims[1] = ROWS;
    c->result_dims[2] = COLUMNS;
    c->whole[0] = 7;
    c->whole[1] = 11;
    c->kind = XLA_NORMAL;
    c->stream = INT64_MIN + 5; /* that of a name */
    c->parameters[0] = 1;
    c->parameters[1] = 2;
    set_attribute(c, 0, "global_shape", XLA_S64, 2, c->whole);
    set_attribute(c, 1, "kind", XLA_S64, 1, &c->kind);
    set_attribute(c, 2, "parameters", XLA_F64, 4, c->parameters);
    set_attribute(c, 3, "stream", XLA_S64, 1, &c->stream);
    c->buffer_type = XLA_BUFFER;
    c->argument = (xla_buffer){sizeof c->argument, NULL, XLA_U32, c->words, 2, c->word_dims};
    c->output = (xla_buffer){sizeof c->output, NULL, XLA_F32, c->result, 3, c->result_dims};
    c->arguments[0] = &c->argument;
    c->outputs[0] = &c->output;
    c->api.create_error = create_error;
    c->frame.struct_size = sizeof c->frame;
    c->frame.api = &c->api;
    c->frame.arguments =
        (xla_buffers){sizeof c->frame.arguments, NULL, 1, &c->buffer_type, c->arguments};
    c->frame.results = (xla_buffers){sizeof c->frame.results, NULL, 1, &c->buffer_type, c->outputs};
    c->frame.attributes = (xla_attributes){sizeof c->frame.attributes, NULL,         4,
                                           c->attribute_types,         c->name_list, c->values};
    memset(c->result, 0xA5, sizeof c->result);
}

/* The same by fx_fill: the last part of the columns has one less than the others. */
static void fill_expected(const call *c, fx_dtype dtype, const fx_distribution *distribution, char *to)
{
    const int64_t item = (int64_t)fx_itemsize(dtype), inside[2] = {ROWS, COLUMNS - 1};
    const int64_t strides[2] = {COLUMNS * item, item}, offset[2] = {ROWS, 2 * COLUMNS};
    for (int lane = 0; lane < LANES; lane++) {
        const fx_array part = {
            to + lane * ROWS * COLUMNS * item, dtype, 2, inside, strides, c->whole, offset};
        fx_fill(&part, distribution, (uint64_t)lane << 32 | 7, (uint64_t)c->stream, NULL);
    }
}

static void check_values(void)
{
    static const struct {
        int xla;
        fx_dtype dtype;
    } DTYPES[] = {{XLA_F32, FX_FLOAT32},
                  {XLA_F64, FX_FLOAT64},
                  {XLA_F16, FX_FLOAT16},
                  {XLA_BF16, FX_BFLOAT16},
                  {XLA_F8E4M3FN, FX_FLOAT8_E4M3FN},
                  {XLA_F8E5M2, FX_FLOAT8_E5M2}};
    static call c;
    static double expected[COUNT];
    fx_distribution distribution;
    for (int i = 0; i < DTYPE_COUNT; i++)
        for (int kind = XLA_CONSTANT; kind <= XLA_TRUNCATED_NORMAL; kind++) {
            make(&c);
            c.output.dtype = DTYPES[i].xla;
            c.kind = kind;
            c.parameters[2] = -1;
            c.parameters[3] = 1.5;
            fx_constant(&distribution, 1);
            if (kind == XLA_UNIFORM)
                fx_uniform(&distribution, 1, 2);
            if (kind == XLA_NORMAL)
                fx_normal(&distribution, 1, 2);
            if (kind == XLA_TRUNCATED_NORMAL)
                fx_truncated_normal(&distribution, 1, 2, -1, 1.5);
            memset(expected, 0xA5, sizeof expected);
            fill_expected(&c, DTYPES[i].dtype, &distribution, (char *)expected);
            expect(fx__xla_fill(&c.frame) == NULL && memcmp(c.result, expected, sizeof expected) == 0,
                   "XLA's call", "differs from fx_fill");
        }

    /* One number without axes, and parts that lie beyond the whole or have no elements. */
    make(&c);
    float one, alone;
    const fx_array single = {&alone, FX_FLOAT32, 0, NULL, NULL, NULL, NULL};
    c.argument.rank = 1;
    c.word_dims[0] = 2;
    c.output.rank = 0;
    c.output.data = &one;
    c.frame.attributes.size = 3; /* all but the shape, which has no extents */
    for (int i = 0; i < 3; i++)
        c.name_list[i] = &c.names[i + 1], c.values[i] = &c.arrays[i + 1];
    fx_normal(&distribution, 1, 2);
    fx_fill(&single, &distribution, 7, (uint64_t)c.stream, NULL);
    expect(fx__xla_fill(&c.frame) == NULL && memcmp(&one, &alone, sizeof one) == 0, "XLA's call",
           "of one number");
    make(&c);
    c.words[0][2] = c.words[1][3] = 9;
    expect(fx__xla_fill(&c.frame) == NULL && *(unsigned char *)c.result == 0xA5, "XLA's call",
           "beyond the whole");
    make(&c);
    c.result_dims[2] = 0;
    expect(fx__xla_fill(&c.frame) == NULL && *(unsigned char *)c.result == 0xA5, "XLA's call",
           "without elements");
}

/* A frame with one thing wrong is refused with a message, and nothing is written. */
#define REFUSED(what, change) \
    do { \
        make(&c); \
        change; \
        last_message = NULL; \
        xla_error *const error = fx__xla_fill(&c.frame); \
        expect(error == (xla_error *)(void *)&an_error && last_message && *last_message && \
                   last_code == XLA_INVALID_ARGUMENT && *(unsigned char *)c.result == 0xA5, \
               "XLA's call is not refused:", what); \
    } while (0)

static void check_refusals(void)
{
    static call c;
    REFUSED("an older frame", c.frame.struct_size -= 8);
    REFUSED("no argument", c.frame.arguments.size = 0);
    REFUSED("two results", c.frame.results.size = 2);
    REFUSED("arguments of another size", c.frame.arguments.struct_size += 8);
    REFUSED("results of another size", c.frame.results.struct_size -= 8);
    REFUSED("what is not a buffer", c.buffer_type = XLA_BUFFER + 1);
    REFUSED("words of another dtype", c.argument.dtype = XLA_S64);
    REFUSED("words without axes", c.argument.rank = 0);
    REFUSED("fewer axes than the lanes", c.output.rank = 0);
    REFUSED("too many axes", c.output.rank = FX_MAX_DIMS + 2);
    REFUSED("too few words", c.word_dims[1] = 3);
    REFUSED("another dtype", c.output.dtype = XLA_S64);
    REFUSED("other lanes", c.result_dims[0] = LANES - 1);
    REFUSED("a missing attribute", c.frame.attributes.size = 3);
    REFUSED("another name", c.names[0].characters = "global_shapf");
    REFUSED("a shorter name", c.names[1].length = 3);
    REFUSED("an attribute of another type", c.attribute_types[2] = 3);
    REFUSED("an attribute of another dtype", c.arrays[1].dtype = XLA_U32);
    REFUSED("an attribute of another size", c.arrays[0].size = 1);
    REFUSED("an unknown kind", c.kind = XLA_TRUNCATED_NORMAL + 1);
    REFUSED("a negative deviation", c.parameters[1] = -1);
    REFUSED("values beyond the dtype", (c.output.dtype = XLA_F16, c.parameters[1] = 1e9));
}

void check_xla(void)
{
    xla_metadata metadata = {sizeof metadata, {sizeof metadata.version, NULL, 9, 9}, 0};
    xla_metadata_extension asked = {{sizeof asked, XLA_METADATA, NULL}, &metadata};
    xla_extension other = {sizeof other, XLA_METADATA + 1, NULL};
    static call c;
    make(&c);
    c.frame.extensions = &asked.base;
    expect(fx__xla_fill(&c.frame) == NULL && metadata.version.major == XLA_MAJOR &&
               metadata.version.minor == XLA_MINOR && *(unsigned char *)c.result == 0xA5,
           "XLA's question", "for the version");
    make(&c);
    c.frame.extensions = &other;
    expect(fx__xla_fill(&c.frame) == NULL && *(unsigned char *)c.result != 0xA5, "XLA's call",
           "with an extension");
    check_values();
    check_refusals();

    static call beside, failing;
    static double alone[COUNT];
    make(&beside);
    fx__xla_fill(&beside.frame);
    memcpy(alone, beside.result, sizeof alone);
    make(&beside);
    make(&failing);
    failing.kind = -1;
    meanwhile = &beside.frame;
    fx__xla_fill(&failing.frame);
    meanwhile = NULL;
    expect(memcmp(alone, beside.result, sizeof alone) == 0, "XLA's call", "beside another");
}
