// One step of an optimiser over all parameters, which are flat vectors.
//
// What changes from step to step is on the device, for a captured graph sees only changes in memory.

// rates: the learning rate, and the number of the step, which is not used.
extern "C" __global__ void sgd_update(
    REAL* __restrict__ value, const REAL* __restrict__ gradient, REAL* __restrict__ velocity,
    const double* __restrict__ rates, double momentum, int nesterov, double weight_decay, int size)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= size) return;
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
    REAL* __restrict__ value, REAL* __restrict__ mean, REAL* __restrict__ square,
    const REAL* __restrict__ gradient, const REAL* __restrict__ factors, double beta1, double beta2,
    double epsilon, double weight_decay, int decoupled, int size)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= size) return;
    REAL v = value[k], g = gradient[k];
    if (decoupled) v *= factors[2];
    else g += (REAL)weight_decay * v;
    const REAL m = (REAL)beta1 * mean[k] + (REAL)(1.0 - beta1) * g;
    const REAL s = (REAL)beta2 * square[k] + (REAL)(1.0 - beta2) * g * g;
    mean[k] = m;
    square[k] = s;
    value[k] = v - factors[0] * (m / (sqrt(s) * factors[1] + (REAL)epsilon));
}
