// Pictures as the network takes them: gathered, turned image-innermost, standardised.
//
// images (any number, pixels) uint8; chosen (count,), the places of those to take, or null for the
// first `count`. x (pixels, count) = scale * pixel + shift.
// A tile of pixels x images is turned over in shared memory, so that both its reading and its
// writing run along memory. grid (tiles of pixels, groups of images), block (LANES, SLICES)

#define SLICES 8

extern "C" __global__ void image_batch(
    const unsigned char* __restrict__ images, const long long* __restrict__ chosen,
    REAL* __restrict__ x, double scale, double shift, int pixels, int count)
{
    const int lane = threadIdx.x, pixel0 = blockIdx.x * LANES, n0 = blockIdx.y * LANES;
    SHARED(unsigned char, tile, LANES * (LANES + 1));
    for (int r = threadIdx.y; r < LANES; r += SLICES)
        if (n0 + r < count && pixel0 + lane < pixels) {
            const long long image = chosen ? chosen[n0 + r] : n0 + r;
            tile[r * (LANES + 1) + lane] = images[image * pixels + pixel0 + lane];
        }
    __syncthreads();
    for (int r = threadIdx.y; r < LANES; r += SLICES)
        if (n0 + lane < count && pixel0 + r < pixels)
            x[(long long)(pixel0 + r) * count + n0 + lane] =
                (REAL)tile[lane * (LANES + 1) + r] * (REAL)scale + (REAL)shift;
}
