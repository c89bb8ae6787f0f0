/* The kernels of GPUs on the CPU: CUDA's intrinsics as C++ functions, and a loop in place of a grid. cuda_host.py
   compiles it, with the kernels' text as kernels.inc, for one distribution and one dtype. Counts the fused
   multiply-adds of a thread, with which tests compare those of the code that NVRTC makes. */
#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __grid_constant__
#define __launch_bounds__(threads)

struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
static uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

static struct {
    unsigned x;
} threadIdx, blockIdx;

static int64_t fmas;

static float __fadd_rn(float a, float b) { return a + b; }
static float __fsub_rn(float a, float b) { return a - b; }
static float __fmul_rn(float a, float b) { return a * b; }
static float __fdiv_rn(float a, float b) { return a / b; }
static float __fsqrt_rn(float a) { return std::sqrt(a); }
static float __fmaf_rn(float a, float b, float c) { return fmas++, std::fma(a, b, c); }
static float __int2float_rn(int a) { return (float)a; }
static uint32_t __float_as_uint(float a)
{
    uint32_t bits;
    std::memcpy(&bits, &a, sizeof bits);
    return bits;
}
static float __uint_as_float(uint32_t bits)
{
    float a;
    std::memcpy(&a, &bits, sizeof a);
    return a;
}

static double __dadd_rn(double a, double b) { return a + b; }
static double __dsub_rn(double a, double b) { return a - b; }
static double __dmul_rn(double a, double b) { return a * b; }
static double __ddiv_rn(double a, double b) { return a / b; }
static double __dsqrt_rn(double a) { return std::sqrt(a); }
static double __fma_rn(double a, double b, double c) { return fmas++, std::fma(a, b, c); }
static double __ll2double_rn(long long a) { return (double)a; }
static long long __double_as_longlong(double a)
{
    long long bits;
    std::memcpy(&bits, &a, sizeof bits);
    return bits;
}
static double __longlong_as_double(long long bits)
{
    double a;
    std::memcpy(&a, &bits, sizeof a);
    return a;
}

#include "kernels.inc"

/* Run a launch, one thread after another. Returns how many fused multiply-adds there were. */
extern "C" int64_t run(const char *entry, const void *launch, uint32_t grid)
{
    device_launch parameters; /* Python's bytes may have any alignment */
    std::memcpy(&parameters, launch, sizeof parameters);
    const auto kernel = std::strcmp(entry, "fx_contiguous") == 0 ? fx_contiguous
                        : std::strcmp(entry, "fx_zeros") == 0    ? fx_zeros
                                                                 : fx_any_layout;
    fmas = 0;
    for (blockIdx.x = 0; blockIdx.x < grid; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < LAUNCH_THREADS; threadIdx.x++)
            kernel(parameters);
    return fmas;
}
