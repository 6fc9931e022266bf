// One step of an optimiser over all parameters, which are flat vectors. block (LANES, SLICES)
//
// What changes from step to step is on the device, for a captured graph sees only changes in memory.
//
// Kernels with `sums` in their names take the arguments of `sum_partials` of two stages behind their
// own, and do its work, too: the first blocks for these stages' parameters. The other blocks have the
// rest, one parameter for each thread.

#include "common.cu"
#include "partials.cu"

struct Sums {
    const REAL* partial;
    REAL *dweight, *dbias;
    int chunks, weights, biases;
    __device__ int blocks() const { return (weights + biases + LANES - 1) / LANES; }
    __device__ bool have(const REAL* place) const
    {
        return (place >= dweight && place < dweight + weights)
               || (place >= dbias && place < dbias + biases);
    }
};

// The index of this thread's parameter where blocks from `first` on have one for each thread.
__device__ __forceinline__ int parameter(int first)
{
    return ((blockIdx.x - first) * SLICES + threadIdx.y) * LANES + threadIdx.x;
}

// The index of this thread's parameter, whose gradient is there, or -1.
__device__ __forceinline__ int summed(REAL* gradient, Sums a, Sums b, int size)
{
    const int block = blockIdx.x, blocks = a.blocks() + b.blocks();
    if (block >= blocks) {
        const int k = parameter(blocks);
        return k < size && !a.have(gradient + k) && !b.have(gradient + k) ? k : -1;
    }
    const bool one = block < a.blocks();
    const Sums s = one ? a : b;
    const int entry = (one ? block : block - a.blocks()) * LANES + threadIdx.x;
    const REAL sum = over_chunks(s.partial, entry, s.weights + s.biases, s.chunks);
    if (threadIdx.y > 0 || entry >= s.weights + s.biases) return -1;
    REAL* const place = entry < s.weights ? s.dweight + entry : s.dbias + entry - s.weights;
    *place = sum;
    return (int)(place - gradient);
}

// rates: the learning rate, and the number of the step, which is not used.
__device__ __forceinline__ void sgd(
    int k, REAL* value, const REAL* gradient, REAL* velocity, const double* rates, double momentum,
    int nesterov, double weight_decay)
{
    const REAL g = gradient[k] + (REAL)weight_decay * value[k];
    REAL direction = g;
    if (velocity) {
        const REAL v = (REAL)momentum * velocity[k] + g;
        velocity[k] = v;
        direction = nesterov ? g + (REAL)momentum * v : v;
    }
    value[k] -= (REAL)rates[0] * direction;
}

extern "C" __global__ void sgd_update(
    REAL* __restrict__ value, const REAL* __restrict__ gradient, REAL* __restrict__ velocity,
    const double* __restrict__ rates, double momentum, int nesterov, double weight_decay, int size)
{
    const int k = parameter(0);
    if (k < size) sgd(k, value, gradient, velocity, rates, momentum, nesterov, weight_decay);
}

extern "C" __global__ void sgd_update_sums(
    REAL* __restrict__ value, REAL* gradient, REAL* __restrict__ velocity,
    const double* __restrict__ rates, double momentum, int nesterov, double weight_decay, int size,
    const REAL* __restrict__ partial1, REAL* dweight1, REAL* dbias1, int chunks1, int weights1,
    int biases1, const REAL* __restrict__ partial2, REAL* dweight2, REAL* dbias2, int chunks2,
    int weights2, int biases2)
{
    const Sums a = {partial1, dweight1, dbias1, chunks1, weights1, biases1};
    const Sums b = {partial2, dweight2, dbias2, chunks2, weights2, biases2};
    const int k = summed(gradient, a, b, size);
    if (k >= 0) sgd(k, value, gradient, velocity, rates, momentum, nesterov, weight_decay);
}

// factors: the learning rate / (1 - beta1^step), 1 / sqrt(1 - beta2^step), and 1 - the learning rate *
// the weight decay. The host computes them: powers in double precision are slow here.
__device__ __forceinline__ void adam(
    int k, REAL* value, const REAL* gradient, REAL* mean, REAL* square, const REAL* factors,
    double beta1, double beta2, double epsilon, double weight_decay, int decoupled)
{
    REAL v = value[k], g = gradient[k];
    if (decoupled) v *= factors[2];
    else g += (REAL)weight_decay * v;
    const REAL m = (REAL)beta1 * mean[k] + (REAL)(1.0 - beta1) * g;
    const REAL s = (REAL)beta2 * square[k] + (REAL)(1.0 - beta2) * g * g;
    mean[k] = m;
    square[k] = s;
    value[k] = v - factors[0] * (m / (sqrt(s) * factors[1] + (REAL)epsilon));
}

extern "C" __global__ void adam_update(
    REAL* __restrict__ value, const REAL* __restrict__ gradient, REAL* __restrict__ mean,
    REAL* __restrict__ square, const REAL* __restrict__ factors, double beta1, double beta2,
    double epsilon, double weight_decay, int decoupled, int size)
{
    const int k = parameter(0);
    if (k < size)
        adam(k, value, gradient, mean, square, factors, beta1, beta2, epsilon, weight_decay, decoupled);
}

extern "C" __global__ void adam_update_sums(
    REAL* __restrict__ value, REAL* gradient, REAL* __restrict__ mean, REAL* __restrict__ square,
    const REAL* __restrict__ factors, double beta1, double beta2, double epsilon,
    double weight_decay, int decoupled, int size, const REAL* __restrict__ partial1,
    REAL* dweight1, REAL* dbias1, int chunks1, int weights1, int biases1,
    const REAL* __restrict__ partial2, REAL* dweight2, REAL* dbias2, int chunks2, int weights2,
    int biases2)
{
    const Sums a = {partial1, dweight1, dbias1, chunks1, weights1, biases1};
    const Sums b = {partial2, dweight2, dbias2, chunks2, weights2, biases2};
    const int k = summed(gradient, a, b, size);
    if (k >= 0)
        adam(k, value, gradient, mean, square, factors, beta1, beta2, epsilon, weight_decay, decoupled);
}
