// The last two dense layers, the loss and the gradients of both layers' inputs, in one launch. Every sum
// is added up as in dense.cu and loss.cu, so the bits are the same.
//
// x (INPUTS, N) -> h = f(W1 x + b1) (HIDDEN, N) -> logits = g(W2 h + b2) (CLASSES, N) -> losses, hits,
// gradient as in loss.cu -> dh (HIDDEN, N) -> dx (INPUTS, N).
// Compiler options: those of both layers, the second's with a 1. The kernel takes the arguments of
// five: `dense_forward` twice, `softmax_cross_entropy`, and `dense_backward` twice, backwards.
// A block has IMAGES images. It reads all weights twice, which are few. block (LANES, SLICES)

#include "common.cu"

#define HIDDEN OUTPUTS
#define CLASSES OUTPUTS1
#define IMAGES 4
#define SLICES 8
#define WIDER (INPUTS > HIDDEN ? INPUTS : HIDDEN)
#define WIDEST (WIDER > CLASSES ? WIDER : CLASSES)

// The products of a matrix (rows, depth), or of (depth, rows) transposed, with vectors (depth, IMAGES).
// Their parts go to parts (SLICES, rows, IMAGES), each the sum over every SLICES-th k. The lanes of
// a warp read neighbours in the matrix.
__device__ __forceinline__ void products(
    const REAL* matrix, bool transposed, int rows, int depth, const REAL* vectors, REAL* parts)
{
    const int thread = threadIdx.y * LANES + threadIdx.x;
    const int slice = transposed ? threadIdx.y : thread % SLICES;
    for (int row = transposed ? threadIdx.x : thread / SLICES; row < rows; row += LANES) {
        REAL sums[IMAGES];
#pragma unroll
        for (int b = 0; b < IMAGES; b++) sums[b] = 0;
#pragma unroll 4
        for (int k = slice; k < depth; k += SLICES) {
            const REAL weight = matrix[transposed ? k * rows + row : row * depth + k];
#pragma unroll
            for (int b = 0; b < IMAGES; b++) sums[b] += weight * vectors[k * IMAGES + b];
        }
#pragma unroll
        for (int b = 0; b < IMAGES; b++) parts[(slice * rows + row) * IMAGES + b] = sums[b];
    }
    __syncthreads();
}

// The sum of the slices' parts for an item, a row and image.
__device__ __forceinline__ REAL total(const REAL* parts, int rows, int item)
{
    REAL sum = 0;
#pragma unroll
    for (int s = 0; s < SLICES; s++) sum += parts[s * rows * IMAGES + item];
    return sum;
}

// The largest of the first so many logits of image b.
__device__ __forceinline__ REAL largest(const REAL* logits, int classes, int b)
{
    REAL top = logits[b];
    for (int k = 1; k < classes; k++)
        if (logits[k * IMAGES + b] > top) top = logits[k * IMAGES + b];
    return top;
}

extern "C" __global__ void head(
    const REAL* __restrict__ weight1, const REAL* __restrict__ x, const REAL* __restrict__ bias1,
    REAL* __restrict__ h, int count,
    const REAL* __restrict__ weight2, const REAL* __restrict__ h_, const REAL* __restrict__ bias2,
    REAL* __restrict__ logits, int count2,
    const REAL* __restrict__ logits_, const long long* __restrict__ labels,
    REAL* __restrict__ losses, REAL* __restrict__ hits, const long long* __restrict__ start,
    REAL* __restrict__ gradient, double scale, int compete, int rivals, int classes, int count3,
    const REAL* __restrict__ gradient_, const REAL* __restrict__ y4, const REAL* __restrict__ x4,
    const REAL* __restrict__ weight4, REAL* __restrict__ dweight4, REAL* __restrict__ dbias4,
    REAL* __restrict__ dh, int blocks4, int count4,
    const REAL* __restrict__ dh_, const REAL* __restrict__ y5, const REAL* __restrict__ x5,
    const REAL* __restrict__ weight5, REAL* __restrict__ dweight5, REAL* __restrict__ dbias5,
    REAL* __restrict__ dx, int blocks5, int count5)
{
    const int thread = threadIdx.y * LANES + threadIdx.x, step = LANES * SLICES;
    const int n0 = blockIdx.x * IMAGES, mine = thread % IMAGES, n = n0 + mine;  // step % IMAGES is 0
    const bool there = n < count;
    SHARED(REAL, in, INPUTS * IMAGES);
    SHARED(REAL, hidden, HIDDEN * IMAGES);
    SHARED(REAL, out, CLASSES * IMAGES);
    SHARED(REAL, dz, CLASSES * IMAGES);
    SHARED(REAL, parts, SLICES * WIDEST * IMAGES);
    for (int k = thread; k < INPUTS * IMAGES; k += step)
        in[k] = there ? x[k / IMAGES * count + n] : (REAL)0;
    __syncthreads();

    products(weight1, false, HIDDEN, INPUTS, in, parts);
    for (int k = thread; k < HIDDEN * IMAGES; k += step) {
        hidden[k] = activate(ACTIVATION, total(parts, HIDDEN, k) + bias1[k / IMAGES]);
        if (there) h[k / IMAGES * count + n] = hidden[k];
    }
    __syncthreads();
    products(weight2, false, CLASSES, HIDDEN, hidden, parts);
    for (int k = thread; k < CLASSES * IMAGES; k += step) {
        out[k] = activate(ACTIVATION1, total(parts, CLASSES, k) + bias2[k / IMAGES]);
        if (there) logits[k / IMAGES * count + n] = out[k];
    }
    __syncthreads();

    // The loss: SLICES threads for each image
    const int slice = thread / IMAGES;
    const int label = there ? (int)labels[n] : 0;
    const REAL top = largest(out, CLASSES, mine);
    REAL sum = 0;
    if (slice < SLICES) {
        for (int k = slice; k < CLASSES; k += SLICES) sum += exp(out[k * IMAGES + mine] - top);
        parts[slice * IMAGES + mine] = sum;
    }
    __syncthreads();
    sum = total(parts, 1, mine);
    for (int k = slice; k < CLASSES; k += step / IMAGES) {
        const REAL target = k == label ? (REAL)1 : (REAL)0;
        const REAL p = compete ? exp(out[k * IMAGES + mine] - top) / sum : (REAL)0;
        const REAL dy = (p - target) * (REAL)scale;
        if (there) gradient[k * count + n] = dy;
        dz[k * IMAGES + mine] = dy * slope(ACTIVATION1, out[k * IMAGES + mine]);
    }
    if (slice == 0 && there) {
        const REAL best = rivals < CLASSES ? largest(out, rivals, mine) - top : (REAL)0;
        const REAL shifted = out[label * IMAGES + mine] - top;
        const long long place = n + (start ? *start : 0);
        losses[place] = (compete ? log(sum) : -top) - shifted;
        hits[place] = shifted >= best ? (REAL)1 : (REAL)0;
    }
    __syncthreads();

    products(weight2, true, HIDDEN, CLASSES, dz, parts);
    for (int k = thread; k < HIDDEN * IMAGES; k += step) {
        const REAL dy = total(parts, HIDDEN, k);
        if (there) dh[k / IMAGES * count + n] = dy;
        hidden[k] = dy * slope(ACTIVATION, hidden[k]);
    }
    __syncthreads();
    products(weight1, true, INPUTS, HIDDEN, hidden, parts);
    for (int k = thread; k < INPUTS * IMAGES; k += step)
        if (there) dx[k / IMAGES * count + n] = total(parts, INPUTS, k);
}
