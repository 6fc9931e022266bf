// `dense_backward_below`, and beside it the gradients of the weights of two more dense layers, whose
// names and sizes end in 1 and 2. Their dx are computed elsewhere.

#include "dense.cu"

extern "C" __global__ void dense_gradients(
    const REAL* __restrict__ dy, const REAL* __restrict__ y, const REAL* __restrict__ x,
    const REAL* __restrict__ weight, REAL* __restrict__ dweight, REAL* __restrict__ dbias,
    REAL* __restrict__ dx, int weight_blocks, int count,
    const REAL* __restrict__ dy1, const REAL* __restrict__ y1, const REAL* __restrict__ x1,
    const REAL* __restrict__ weight1, REAL* __restrict__ dweight1, REAL* __restrict__ dbias1,
    REAL* __restrict__ dx1, int weight_blocks1, int count1,
    const REAL* __restrict__ dy2, const REAL* __restrict__ y2, const REAL* __restrict__ x2,
    const REAL* __restrict__ weight2, REAL* __restrict__ dweight2, REAL* __restrict__ dbias2,
    REAL* __restrict__ dx2, int weight_blocks2, int count2,
    const REAL* __restrict__ below_dy, const REAL* __restrict__ activated,
    const REAL* __restrict__ below_y, REAL* __restrict__ below_dz, int below_size, int below_count)
{
    int block = blockIdx.x;
    if (block < weight_blocks) {
        const Gradient dz = {dy, y, ACTIVATION, 0, count};
        dense_weights(block, dz, Input{x, 0, count}, dweight, dbias, OUTPUTS, INPUTS);
        return;
    }
    block -= weight_blocks;
    if (block < weight_blocks1) {
        const Gradient dz = {dy1, y1, ACTIVATION1, 0, count};
        dense_weights(block, dz, Input{x1, 0, count}, dweight1, dbias1, OUTPUTS1, INPUTS1);
        return;
    }
    block -= weight_blocks1;
    if (block < weight_blocks2) {
        const Gradient dz = {dy2, y2, ACTIVATION2, 0, count};
        dense_weights(block, dz, Input{x2, 0, count}, dweight2, dbias2, OUTPUTS2, INPUTS2);
        return;
    }
    const Gradient dz = {dy, y, ACTIVATION, 0, count};
    dense_input(block - weight_blocks2, dz, weight, dx, Below{activated, below_y, below_dz});
}
