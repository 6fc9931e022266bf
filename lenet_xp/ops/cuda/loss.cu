// Softmax, alone and with the cross-entropy. Logits are (classes, N). A lane has one image; the warps
// of a block divide its classes among them. grid (groups of images), block (LANES, SLICES)

#include "common.cu"

#define SLICES 8

// The largest logit of this lane's image. A logit that is NaN makes the sum of exponentials NaN.
__device__ __forceinline__ REAL largest(
    const REAL* logits, REAL* parts, int classes, int n, int count)
{
    const int lane = threadIdx.x, slice = threadIdx.y;
    REAL top = n < count ? logits[n] : (REAL)0;
    if (n < count)
        for (int k = slice; k < classes; k += SLICES) {
            const REAL logit = logits[k * count + n];
            if (logit > top) top = logit;
        }
    __syncthreads();
    parts[slice * LANES + lane] = top;
    __syncthreads();
    for (int s = 0; s < SLICES; s++)
        if (parts[s * LANES + lane] > top) top = parts[s * LANES + lane];
    return top;
}

// The sum of the slices' values, added in their order, for every thread.
__device__ __forceinline__ REAL added(REAL value, REAL* parts)
{
    __syncthreads();
    parts[threadIdx.y * LANES + threadIdx.x] = value;
    __syncthreads();
    REAL sum = 0;
    for (int s = 0; s < SLICES; s++) sum += parts[s * LANES + threadIdx.x];
    return sum;
}

extern "C" __global__ void softmax(
    const REAL* __restrict__ logits, REAL* __restrict__ p, int classes, int count)
{
    const int n = blockIdx.x * LANES + threadIdx.x;
    SHARED(REAL, parts, SLICES * LANES);
    const REAL top = largest(logits, parts, classes, n, count);
    REAL sum = 0;
    if (n < count)
        for (int k = threadIdx.y; k < classes; k += SLICES) sum += exp(logits[k * count + n] - top);
    sum = added(sum, parts);
    if (n < count)
        for (int k = threadIdx.y; k < classes; k += SLICES)
            p[k * count + n] = exp(logits[k * count + n] - top) / sum;
}

// The loss and the hit (1 or 0) of image n are stored at index n, or *start + n if start is given.
// gradient (classes, N) of scale * sum(losses). Unless the classes compete, a loss is -logit.
// rivals: a hit has the largest logit among the first so many classes.
extern "C" __global__ void softmax_cross_entropy(
    const REAL* __restrict__ logits, const long long* __restrict__ labels,
    REAL* __restrict__ losses, REAL* __restrict__ hits, const long long* __restrict__ start,
    REAL* __restrict__ gradient, double scale, int compete, int rivals, int classes,
    int count)
{
    const int n = blockIdx.x * LANES + threadIdx.x;
    SHARED(REAL, parts, SLICES * LANES);
    const int label = n < count ? (int)labels[n] : 0;
    const REAL top = largest(logits, parts, classes, n, count);
    const REAL best = rivals < classes ? largest(logits, parts, rivals, n, count) - top : (REAL)0;
    REAL sum = 0;
    if (n < count)
        for (int k = threadIdx.y; k < classes; k += SLICES) sum += exp(logits[k * count + n] - top);
    sum = added(sum, parts);
    if (n >= count) return;
    for (int k = threadIdx.y; k < classes; k += SLICES) {
        const REAL target = k == label ? (REAL)1 : (REAL)0;
        const REAL p = compete ? exp(logits[k * count + n] - top) / sum : (REAL)0;
        gradient[k * count + n] = (p - target) * (REAL)scale;
    }
    if (threadIdx.y > 0) return;
    const REAL shifted = logits[label * count + n] - top;
    const long long place = n + (start ? *start : 0);
    losses[place] = (compete ? log(sum) : -top) - shifted;
    hits[place] = shifted >= best ? (REAL)1 : (REAL)0;
}

// The same with targets (classes, N), each column a distribution, in place of the labels' classes. A
// kernel of its own, so that the usual one keeps its registers.
extern "C" __global__ void soft_cross_entropy(
    const REAL* __restrict__ logits, const REAL* __restrict__ targets,
    const long long* __restrict__ labels, REAL* __restrict__ losses, REAL* __restrict__ hits,
    const long long* __restrict__ start, REAL* __restrict__ gradient, double scale, int compete,
    int rivals, int classes, int count)
{
    const int n = blockIdx.x * LANES + threadIdx.x;
    SHARED(REAL, parts, SLICES * LANES);
    const REAL top = largest(logits, parts, classes, n, count);
    const REAL best = rivals < classes ? largest(logits, parts, rivals, n, count) - top : (REAL)0;
    REAL sum = 0, mean = 0;  // of the exponentials, and of the logits by the targets
    if (n < count)
        for (int k = threadIdx.y; k < classes; k += SLICES) {
            const REAL shifted = logits[k * count + n] - top;
            sum += exp(shifted);
            mean += targets[k * count + n] * shifted;
        }
    sum = added(sum, parts);
    mean = added(mean, parts);
    if (n >= count) return;
    for (int k = threadIdx.y; k < classes; k += SLICES)
        gradient[k * count + n] = ((compete ? exp(logits[k * count + n] - top) / sum : (REAL)0)
                                   - targets[k * count + n]) * (REAL)scale;
    if (threadIdx.y > 0) return;
    const REAL shifted = logits[(int)labels[n] * count + n] - top;
    const long long place = n + (start ? *start : 0);
    losses[place] = (compete ? log(sum) : -top) - mean;
    hits[place] = shifted >= best ? (REAL)1 : (REAL)0;
}
