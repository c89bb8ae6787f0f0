/* The kernels of GPUs, for one distribution and one dtype: FX_DISTRIBUTION is a name of FX_DISTRIBUTIONS, such
   as normal, and FX_NAME one of FX_DTYPES, such as bf16. fastxavier/_cuda compiles this text at run time, and
   tests compile it as C++ for the CPU, with cuda_host.h before it. */
#include "vec_cuda.h"
#include "launch.h"
#include "../shared/values.inc.h"

typedef uint8_t f8e4m3_element;
typedef uint8_t f8e5m2_element;
static INLINE void f8e4m3_elements(const f32_v v[2], f8e4m3_element out[4])
{
    const vint codes[2] = {eight_bits(1, v[0]), eight_bits(1, v[1])};
    top_bytes(codes, out);
}
static INLINE void f8e5m2_elements(const f32_v v[2], f8e5m2_element out[4])
{
    const vint codes[2] = {eight_bits(0, v[0]), eight_bits(0, v[1])};
    top_bytes(codes, out);
}

#define JOINED_(a, b) a##b
#define JOINED(a, b) JOINED_(a, b)

typedef JOINED(FX_NAME, _element) element;

enum {
    THIS_DISTRIBUTION = JOINED(DISTRIBUTION_, FX_DISTRIBUTION),
    ITEM = sizeof(element),
    VALUES_AT_ONCE = ITEM * BLOCK < LAUNCH_BYTES ? LAUNCH_BYTES / ITEM : BLOCK,
    BLOCKS_AT_ONCE = VALUES_AT_ONCE / BLOCK,
};

static_assert(sizeof(device_launch) == FX_LAUNCH_SIZE, "the launch is laid out as device.c has it");

/* The words of one block, or with `more` those that follow them. */
static INLINE void words_of(const device_launch &launch, uint64_t block, bool more, vint *pair01,
                            vint *pair23)
{
    philox_schedule schedule = more ? launch.job.more_words : launch.job.words;
    const uint32_t high = (uint32_t)(block >> 32);
    if (high != launch.block_high)
        philox_place(&schedule, launch.stream, more ? high | SECOND_WORDS : high);
    const vint counter = vint_counters((uint32_t)block);
    philox_pairs(&schedule, &counter, 1, pair01, pair23);
}

/* The values of one block, as the vocabulary holds floats or doubles. */
static INLINE void draw(const device_launch &launch, uint64_t block, f32_v out[2])
{
    vint pair01, pair23;
    words_of(launch, block, false, &pair01, &pair23);
    f32_values(THIS_DISTRIBUTION, &launch.job.f32, pair01, pair23, out);
}

static INLINE void draw(const device_launch &launch, uint64_t block, f64_v out[4])
{
    vint pair01, pair23, more01, more23, words[4];
    words_of(launch, block, false, &pair01, &pair23);
    words_of(launch, block, true, &more01, &more23);
    f64_words(pair01, pair23, more01, more23, words);
    f64_values(THIS_DISTRIBUTION, &launch.job.f64, words, out);
}

template <int item> struct computed {
    f32_v values[2];
};
template <> struct computed<8> {
    f64_v values[4];
};

static INLINE void draw_elements(const device_launch &launch, uint64_t block, element out[BLOCK])
{
    computed<ITEM> block_of;
    draw(launch, block, block_of.values);
    JOINED(FX_NAME, _elements)(block_of.values, out);
}

/* Four bytes of memory, from elements on. GPUs are little-endian. */
static INLINE uint32_t four_bytes(const element *from, int which)
{
    if (ITEM == 8)
        return (uint32_t)((uint64_t)from[which / 2] >> (which % 2 * 32));
    uint32_t bytes = 0;
    FX_UNROLL(4)
    for (int i = 0; i < 4 / ITEM; i++)
        bytes |= (uint32_t)from[which * (4 / ITEM) + i] << (8 * ITEM * i % 32);
    return bytes;
}

/* Elements that fill whole stores of LAUNCH_BYTES, to an address that is a multiple of it. */
static INLINE void store_whole(uint64_t address, const element *from, int count)
{
    FX_UNROLL(2)
    for (int i = 0; i < count * ITEM / LAUNCH_BYTES; i++)
        ((uint4 *)address)[i] = make_uint4(four_bytes(from, 4 * i), four_bytes(from, 4 * i + 1),
                                           four_bytes(from, 4 * i + 2), four_bytes(from, 4 * i + 3));
}

/* A contiguous array. Each thread draws what fills one store, or two of doubles, a few times. */
extern "C" __global__ void __launch_bounds__(LAUNCH_THREADS)
    fx_contiguous(const __grid_constant__ device_launch launch)
{
    const int64_t first_thread = (int64_t)blockIdx.x * (LAUNCH_THREADS * PER_THREAD(ITEM));
    FX_UNROLL(1)
    for (int i = 0; i < PER_THREAD(ITEM); i++) {
        const int64_t thread = first_thread + i * LAUNCH_THREADS + threadIdx.x;
        if (thread >= launch.threads)
            return;
        const int64_t index = launch.base + thread * VALUES_AT_ONCE;
        const uint64_t address = launch.address + (uint64_t)(thread * (VALUES_AT_ONCE * ITEM));
        element values[VALUES_AT_ONCE];
        FX_UNROLL(4)
        for (int k = 0; k < BLOCKS_AT_ONCE; k++)
            draw_elements(launch, (uint64_t)(index / BLOCK + k), values + k * BLOCK);
        if (launch.aligned && index >= launch.first && index + VALUES_AT_ONCE <= launch.end) {
            store_whole(address, values, VALUES_AT_ONCE);
            continue;
        }
        FX_UNROLL(16)
        for (int k = 0; k < VALUES_AT_ONCE; k++)
            if (index + k >= launch.first && index + k < launch.end)
                ((element *)address)[k] = values[k];
    }
}

/* Remove the last digit of *number and return it. Divisions of 32 bits take a quarter of the time. */
static INLINE int64_t digit(int64_t *number, int64_t extent)
{
    const uint64_t n = (uint64_t)*number, e = (uint64_t)extent;
    if ((n | e) >> 32 == 0) {
        const uint32_t quotient = (uint32_t)n / (uint32_t)e;
        *number = quotient;
        return (uint32_t)n - quotient * (uint32_t)e;
    }
    *number = (int64_t)(n / e);
    return (int64_t)(n % e);
}

/* Any other array: a thread draws one block of one row, and writes those of its values that the row has. */
extern "C" __global__ void __launch_bounds__(LAUNCH_THREADS)
    fx_any_layout(const __grid_constant__ device_launch launch)
{
    int64_t number = (int64_t)blockIdx.x * LAUNCH_THREADS + threadIdx.x;
    if (number >= launch.threads)
        return;
    int64_t row_index = launch.first, block_of_row = 0;
    uint64_t row_address = launch.address;
    FX_UNROLL(1)
    for (int i = 0; i < launch.naxes; i++) {
        const int64_t position = digit(&number, launch.axes[i].extent);
        row_address += (uint64_t)(position * launch.axes[i].stride);
        row_index += position * launch.axes[i].step;
        if (i == launch.blocks)
            block_of_row = position;
    }
    const int64_t block = row_index / BLOCK + block_of_row;
    const int64_t begin = block * BLOCK - row_index; /* position of the block's first value in the row */
    if (begin >= launch.row)
        return;
    element values[BLOCK];
    draw_elements(launch, (uint64_t)block, values);
    const uint64_t address = row_address + (uint64_t)(begin * launch.row_stride);
    if (ITEM * BLOCK >= LAUNCH_BYTES && launch.row_stride == ITEM && begin >= 0 &&
        begin + BLOCK <= launch.row && address % LAUNCH_BYTES == 0) {
        store_whole(address, values, BLOCK);
        return;
    }
    FX_UNROLL(4)
    for (int k = 0; k < BLOCK; k++)
        if (begin + k >= 0 && begin + k < launch.row)
            *(element *)(address + (uint64_t)(k * launch.row_stride)) = values[k];
}

/* The bits of a double as an integer that compares as the double does; -0 is never drawn. */
static INLINE uint64_t ordered(f64_v x)
{
    const uint64_t bits = f64_bits(x);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

/* Call use(i, number) for each uniform double of a column, as `ordered` gives it. */
template <typename function>
static INLINE void for_numbers(const device_launch &launch, int64_t first, function use)
{
    FX_UNROLL(1)
    for (int64_t block = first / BLOCK; block * BLOCK < first + launch.row; block++) {
        f64_v values[BLOCK];
        draw(launch, (uint64_t)block, values);
        FX_UNROLL(4)
        for (int k = 0; k < BLOCK; k++) {
            const int64_t i = block * BLOCK + k - first;
            if (i >= 0 && i < launch.row)
                use(i, ordered(values[k]));
        }
    }
}

static INLINE void write_zero(uint64_t address, int64_t size)
{
    if (size == 1)
        *(uint8_t *)address = 0;
    else if (size == 2)
        *(uint16_t *)address = 0;
    else if (size == 4)
        *(uint32_t *)address = 0;
    else
        *(uint64_t *)address = 0;
}

/* The zeros of a sparse matrix, whose other values have been written. The greatest of the least numbers is
   found digit by digit, and the numbers are drawn again for each: no memory but the matrix is needed. In
   the texts of other kernels than uniform doubles' it is empty. */
extern "C" __global__ void __launch_bounds__(LAUNCH_THREADS)
    fx_zeros(const __grid_constant__ device_launch launch)
{
    enum { DIGIT = 4 };
    if (THIS_DISTRIBUTION != DISTRIBUTION_uniform || ITEM != 8)
        return;
    const int64_t column = (int64_t)blockIdx.x * LAUNCH_THREADS + threadIdx.x;
    if (column >= launch.threads)
        return;
    const int64_t first = launch.first + column * launch.row;
    uint64_t greatest = 0;
    int64_t place = launch.end; /* of the greatest among the numbers that begin as it does */
    FX_UNROLL(1)
    for (int shift = 64 - DIGIT; shift >= 0; shift -= DIGIT) {
        int64_t count[1 << DIGIT] = {0};
        for_numbers(launch, first, [&](int64_t, uint64_t number) {
            if (shift == 64 - DIGIT || (number ^ greatest) >> (shift + DIGIT) == 0)
                count[number >> shift & ((1 << DIGIT) - 1)]++;
        });
        int found = 0;
        while (place > count[found])
            place -= count[found++];
        greatest |= (uint64_t)found << shift;
    }
    const launch_axis rows = launch.axes[0];
    const uint64_t address = launch.address + (uint64_t)(column * launch.axes[1].stride);
    for_numbers(launch, first, [&](int64_t i, uint64_t number) {
        const bool least = number < greatest || (number == greatest && place-- > 0);
        const int64_t row = i - launch.base;
        if (least && row >= 0 && row < rows.extent)
            write_zero(address + (uint64_t)(row * rows.stride), launch.row_stride);
    });
}
