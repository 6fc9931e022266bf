// One step of an optimiser over all parameters, which are flat vectors.
//
// What changes from step to step is on the device, for a captured graph sees only changes in memory.
//
// The first blocks have the parameters from start1 on, and then from start2, whose gradients are sums
// over chunks, see partials.cu. They write these gradients, too. The other blocks have the rest, one
// parameter for each thread. block (LANES, SLICES)

// The index of this thread's parameter, -1 if it has none.
__device__ __forceinline__ int parameter(
    REAL* gradient, const REAL* partial1, int start1, int size1, int chunks1, const REAL* partial2,
    int start2, int size2, int chunks2, int size)
{
    const int blocks1 = (size1 + LANES - 1) / LANES, blocks2 = (size2 + LANES - 1) / LANES;
    const int block = blockIdx.x;
    if (block < blocks1 + blocks2) {
        const bool one = block < blocks1;
        const int entry = (one ? block : block - blocks1) * LANES + threadIdx.x;
        const int entries = one ? size1 : size2, k = entry + (one ? start1 : start2);
        const REAL sum =
            over_chunks(one ? partial1 : partial2, entry, entries, one ? chunks1 : chunks2);
        if (threadIdx.y > 0 || entry >= entries) return -1;
        gradient[k] = sum;
        return k;
    }
    const int k = ((block - blocks1 - blocks2) * SLICES + threadIdx.y) * LANES + threadIdx.x;
    const bool summed = (k >= start1 && k < start1 + size1) || (k >= start2 && k < start2 + size2);
    return k < size && !summed ? k : -1;
}

// rates: the learning rate, and the number of the step, which is not used.
extern "C" __global__ void sgd_update(
    REAL* __restrict__ value, REAL* __restrict__ gradient, REAL* __restrict__ velocity,
    const double* __restrict__ rates, double momentum, int nesterov, double weight_decay,
    const REAL* __restrict__ partial1, int start1, int size1, int chunks1,
    const REAL* __restrict__ partial2, int start2, int size2, int chunks2, int size)
{
    const int k = parameter(gradient, partial1, start1, size1, chunks1, partial2, start2, size2, chunks2, size);
    if (k < 0) return;
    const REAL g = gradient[k] + (REAL)weight_decay * value[k];
    REAL direction = g;
    if (velocity) {
        const REAL v = (REAL)momentum * velocity[k] + g;
        velocity[k] = v;
        direction = nesterov ? g + (REAL)momentum * v : v;
    }
    value[k] -= (REAL)rates[0] * direction;
}

// factors: the learning rate / (1 - beta1^step), 1 / sqrt(1 - beta2^step), and 1 - the learning rate *
// the weight decay. The host computes them: powers in double precision are slow here.
extern "C" __global__ void adam_update(
    REAL* __restrict__ value, REAL* __restrict__ gradient, REAL* __restrict__ mean,
    REAL* __restrict__ square, const REAL* __restrict__ factors, double beta1, double beta2,
    double epsilon, double weight_decay, int decoupled, const REAL* __restrict__ partial1,
    int start1, int size1, int chunks1, const REAL* __restrict__ partial2, int start2, int size2,
    int chunks2, int size)
{
    const int k = parameter(gradient, partial1, start1, size1, chunks1, partial2, start2, size2, chunks2, size);
    if (k < 0) return;
    REAL v = value[k], g = gradient[k];
    if (decoupled) v *= factors[2];
    else g += (REAL)weight_decay * v;
    const REAL m = (REAL)beta1 * mean[k] + (REAL)(1.0 - beta1) * g;
    const REAL s = (REAL)beta2 * square[k] + (REAL)(1.0 - beta2) * g * g;
    mean[k] = m;
    square[k] = s;
    value[k] = v - factors[0] * (m / (sqrt(s) * factors[1] + (REAL)epsilon));
}
