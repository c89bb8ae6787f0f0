/* Any bytes as the arguments of fx_fill and fx_fill_all, for libFuzzer (make fuzz). Either a call is
   refused and writes nothing, or each element is what the plain C kernels give for its index alone and
   no other byte changes. Arrays of more than MOST_BYTES are only passed to fx_check. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastxavier.h"

enum { MOST_ARRAYS = 3, MOST_BYTES = 1 << 15, MOST_ELEMENTS = 1 << 11, GUARD = 0xA5 };

#define REQUIRE(holds) \
    do \
        if (!(holds)) { \
            fprintf(stderr, "line %d: does not hold: %s\n", __LINE__, #holds); \
            abort(); \
        } \
    while (0)

/* ---- arguments from bytes ------------------------------------------------------------------ */

typedef struct {
    const uint8_t *at;
    size_t left;
} bytes;

static void take(bytes *b, void *to, size_t size)
{
    const size_t here = size < b->left ? size : b->left;
    memset(to, 0, size);
    memcpy(to, b->at, here);
    b->at += here;
    b->left -= here;
}

static uint8_t byte(bytes *b)
{
    uint8_t x;
    take(b, &x, sizeof x);
    return x;
}

static int64_t word(bytes *b)
{
    int64_t x;
    take(b, &x, sizeof x);
    return x;
}

static double number(bytes *b)
{
    static const double TELLING[] = {0,     -0.0,    1,        -1,     2,      -2,       0.5,
                                     -3,    37,      -37,      37.5,   1e38,   3.5e38,   65504,
                                     1e308, -1e308,  7.5,      -8,     1e-310, 0x1p-149, 0x1p-1074,
                                     1e-40, 1 / 0.0, -1 / 0.0, 0 / 0.0};
    const uint8_t choice = byte(b);
    if (choice < sizeof TELLING / sizeof *TELLING)
        return TELLING[choice];
    if (choice < 128)
        return (choice - 76) / 16.0;
    double x;
    take(b, &x, sizeof x);
    return x;
}

static fx_distribution distribution_from(bytes *b)
{
    fx_distribution distribution = {0}; /* refused unless set below */
    const uint8_t kind = byte(b);
    const double p = number(b), q = number(b);
    if (kind % 5 == 0)
        fx_constant(&distribution, p);
    else if (kind % 5 == 1)
        fx_uniform(&distribution, p, q);
    else if (kind % 5 == 2)
        fx_normal(&distribution, p, q);
    else {
        const double low = number(b), high = number(b);
        fx_truncated_normal(&distribution, p, q, low, high);
    }
    if (kind >= 200)
        fx_rescaled(&distribution, number(b), number(b));
    return distribution;
}

/* One array, what it points to, and the memory it needs. */
typedef struct {
    fx_array array;
    int64_t shape[256], strides[256], global[256], offset[256];
    int64_t elements;
    size_t size;
    char *memory, *expected; /* NULL if it needs too much */
} subject;

/* Strides of axes stored in another order, with gaps, some of them negative. */
static void make_strides(bytes *b, subject *s, int n, int64_t itemsize)
{
    int64_t stride = itemsize + (byte(b) < 64 ? byte(b) % 5 : 0);
    const int first = n ? byte(b) % n : 0;
    for (int k = 0; k < n; k++) {
        const int i = (first + k * (byte(b) % 2 ? 1 : n - 1)) % n;
        const uint8_t kind = byte(b);
        s->strides[i] = kind % 4 == 1 ? -stride : stride;
        if (kind >= 250)
            s->strides[i] = word(b);
        else if (kind >= 240)
            s->strides[i] = kind - 245;
        stride = (int64_t)((uint64_t)stride * (uint64_t)(s->shape[i] + (kind >= 128 ? kind % 3 : 0)));
    }
}

static void make_shard(bytes *b, subject *s, int n)
{
    const uint8_t far = byte(b);
    for (int i = 0; i < n; i++) {
        const uint8_t kind = byte(b);
        s->offset[i] = kind % 16;
        if (i == 0 && far >= 128) /* near an index where the high word of the block number changes */
            s->offset[i] = ((int64_t)(far - 127) << 34) - kind;
        s->global[i] = (int64_t)((uint64_t)s->offset[i] + (uint64_t)s->shape[i] + kind / 16);
        if (kind >= 254) {
            s->offset[i] = word(b);
            s->global[i] = word(b);
        }
    }
}

/* Whether the elements fit into MOST_BYTES; if so, the bytes they need and where the first element is. */
static int measure(subject *s, int64_t itemsize, size_t *start)
{
    const int n = s->array.ndim;
    const int64_t *strides = s->array.strides;
    __int128 low = 0, high = itemsize, elements = 1, packed = itemsize;
    if (n < 0 || n > FX_MAX_DIMS || !itemsize)
        return 0;
    for (int i = n - 1; i >= 0; i--) {
        const __int128 stride = strides ? strides[i] : packed;
        if (s->shape[i] < 0)
            return 0;
        elements *= s->shape[i];
        if (s->shape[i] > 0)
            *(stride < 0 ? &low : &high) += stride * (s->shape[i] - 1);
        packed *= s->shape[i];
        if (elements > MOST_ELEMENTS || high - low > MOST_BYTES || packed > MOST_BYTES)
            return 0;
    }
    s->elements = (int64_t)elements;
    s->size = elements ? (size_t)(high - low) : 0;
    *start = elements ? (size_t)-low : 0;
    return 1;
}

static void make(bytes *b, subject *s)
{
    memset(s, 0, sizeof *s);
    const uint8_t dtype = byte(b), axes = byte(b), forms = byte(b);
    s->array.dtype = dtype >= 250 ? (fx_dtype)word(b) : (fx_dtype)(dtype % (FX_FLOAT8_E5M2 + 1));
    const int n = axes >= 250 ? (int)(int8_t)byte(b) : axes % 6;
    const int64_t itemsize = (int64_t)fx_itemsize(s->array.dtype);
    for (int i = 0; i < n; i++) {
        const uint8_t kind = byte(b);
        s->shape[i] = kind < 128 ? kind % 8 : kind < 200 ? kind - 120 : kind < 254 ? byte(b) : word(b);
    }
    s->array.ndim = n;
    s->array.shape = s->shape;
    if (forms & 1) {
        make_strides(b, s, n > 0 ? n : 0, itemsize);
        s->array.strides = s->strides;
    }
    if (forms & 2) {
        make_shard(b, s, n > 0 ? n : 0);
        s->array.global_shape = s->global;
        s->array.offset = forms & 4 ? NULL : s->offset;
    }
    size_t start;
    if (!measure(s, itemsize, &start))
        return;
    s->memory = malloc(s->size);
    s->expected = malloc(s->size);
    REQUIRE(s->size == 0 || (s->memory && s->expected));
    memset(s->memory, GUARD, s->size);
    memset(s->expected, GUARD, s->size);
    s->array.data = s->memory + start;
}

/* ---- expected values ----------------------------------------------------------------------- */

/* Fill each element by itself; no two may share memory. */
static void expect_values(subject *s, const fx_request *r)
{
    const fx_array *a = &s->array;
    const int64_t *global = a->global_shape ? a->global_shape : a->shape;
    const size_t itemsize = fx_itemsize(a->dtype);
    char *const first = s->expected + ((char *)a->data - s->memory);
    char *const taken = calloc(s->size + 1, 1);
    for (int64_t k = 0; k < s->elements; k++) {
        int64_t rest = k, index = 0, bytes = 0, step = 1, packed = (int64_t)itemsize;
        for (int i = a->ndim - 1; i >= 0; i--) {
            const int64_t j = rest % a->shape[i];
            rest /= a->shape[i];
            index += (j + (a->offset ? a->offset[i] : 0)) * step;
            step *= global[i];
            bytes += j * (a->strides ? a->strides[i] : packed);
            packed *= a->shape[i];
        }
        char *const to = first + bytes, *const mark = taken + (to - s->expected);
        REQUIRE(!memchr(mark, 1, itemsize));
        memset(mark, 1, itemsize);
        REQUIRE(fx_fill_run(to, a->dtype, index, 1, r->distribution, r->seed, r->stream, NULL) == FX_OK);
    }
    free(taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static subject subjects[MOST_ARRAYS];
    bytes b = {data, size};
    const uint8_t form = byte(&b);
    const int count = form % 4 ? 1 : 1 + form / 4 % MOST_ARRAYS;
    const fx_options options = {.threads = byte(&b) >= 240 ? (int)(int8_t)byte(&b) : 0};
    const fx_distribution distribution = distribution_from(&b);
    fx_request requests[MOST_ARRAYS];
    fx_status status = FX_OK;
    int refused = -1, writable = 1, isas = 0;
    for (int i = 0; i < count; i++) {
        make(&b, &subjects[i]);
        requests[i] = (fx_request){
            &subjects[i].array, &distribution, (uint64_t)word(&b), (uint64_t)word(&b), 0, 0};
        const fx_status said = fx_check(&subjects[i].array, &distribution, &options);
        REQUIRE(said >= FX_OK && said <= FX_ERROR_NULL);
        if (said != FX_OK && status == FX_OK) {
            status = said;
            refused = i;
        }
        writable &= subjects[i].memory != NULL || said != FX_OK;
    }
    while (fx_isa_available(isas))
        isas++;

    if (writable) {
        int64_t failed = -1;
        REQUIRE(fx_force_isa(fx_isa_available(byte(&b) % isas)) == FX_OK);
        if (count == 1)
            REQUIRE(fx_fill(&subjects[0].array, &distribution, requests[0].seed, requests[0].stream,
                            &options) == status);
        else {
            REQUIRE(fx_fill_all(requests, count, &options, &failed) == status);
            REQUIRE(failed == refused);
        }
        REQUIRE(fx_force_isa("scalar") == FX_OK);
        for (int i = 0; i < count; i++) {
            subject *const s = &subjects[i];
            if (status == FX_OK)
                expect_values(s, &requests[i]);
            REQUIRE(!s->memory || memcmp(s->memory, s->expected, s->size) == 0);
        }
    }
    for (int i = 0; i < count; i++) {
        free(subjects[i].memory);
        free(subjects[i].expected);
    }
    return 0;
}
