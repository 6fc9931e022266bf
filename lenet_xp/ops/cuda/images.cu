// Gathers images for the network: transposed, with the image innermost, and standardised.
//
// images (any number, pixels) uint8; chosen (count,) the indices of the images of the batch, or null
// for the first `count`. x (pixels, count) = scale * pixel + shift.
// A tile of pixels x images is transposed in shared memory, so that both its reads and its writes
// are coalesced: IMAGES floats are what memory is written by. Tiles are small, so that even a small
// batch occupies all of the card. grid (tiles of pixels, groups of images), block (LANES, IMAGES)

#include "common.cu"

#define IMAGES 8  // of a tile
#define PITCH (LANES + 4)  // of an image in a tile: for both accesses, each lane has its own bank

// Store a tile that lies image by image in shared memory in x.
__device__ __forceinline__ void store_tile(
    const REAL* tile, REAL* x, double scale, double shift, int pixels, int count)
{
    const int thread = threadIdx.y * LANES + threadIdx.x;
    const int r = thread / IMAGES, image = thread % IMAGES;
    const int pixel = blockIdx.x * LANES + r, n = blockIdx.y * IMAGES + image;
    __syncthreads();
    if (n < count && pixel < pixels)
        x[(long long)pixel * count + n] = tile[image * PITCH + r] * (REAL)scale + (REAL)shift;
}

extern "C" __global__ void image_batch(
    const unsigned char* __restrict__ images, const long long* __restrict__ chosen,
    REAL* __restrict__ x, double scale, double shift, int pixels, int count)
{
    const int pixel = blockIdx.x * LANES + threadIdx.x, n = blockIdx.y * IMAGES + threadIdx.y;
    SHARED(REAL, tile, IMAGES * PITCH);
    if (n < count && pixel < pixels) {
        const long long image = chosen ? chosen[n] : n;
        tile[threadIdx.y * PITCH + threadIdx.x] = images[image * pixels + pixel];
    }
    store_tile(tile, x, scale, shift, pixels, count);
}

// The level of a pixel of a size x size image; 0, paper, outside of it.
__device__ __forceinline__ REAL level(const unsigned char* image, int row, int col, int size)
{
    const bool inside = row >= 0 && row < size && col >= 0 && col < size;
    return inside ? image[row * size + col] : (REAL)0;
}

// As `image_batch`, with each image warped by a map of its own. coefficients (2, count, functions),
// one row for x and one for y, times basis (functions, pixels) is the place, from the image's centre,
// that a pixel comes from. The level there is interpolated bilinearly and rounded.
extern "C" __global__ void warped_batch(
    const unsigned char* __restrict__ images, const long long* __restrict__ chosen,
    const REAL* __restrict__ coefficients, const REAL* __restrict__ basis, REAL* __restrict__ x,
    double scale, double shift, int size, int functions, int count)
{
    const int pixels = size * size;
    const int pixel = blockIdx.x * LANES + threadIdx.x, n = blockIdx.y * IMAGES + threadIdx.y;
    SHARED(REAL, tile, IMAGES * PITCH);
    if (n < count && pixel < pixels) {
        REAL place[2];
        for (int axis = 0; axis < 2; axis++) {
            REAL sum = 0;
            for (int f = 0; f < functions; f++)
                sum += coefficients[(axis * count + n) * functions + f] * basis[f * pixels + pixel];
            sum += (REAL)(size - 1) / 2;
            place[axis] = sum > -1 ? (sum < size ? sum : (REAL)size) : (REAL)-1;
        }
        const REAL left = floor(place[0]), top = floor(place[1]);
        const int row = (int)top, col = (int)left;
        const unsigned char* image = images + chosen[n] * pixels;
        REAL mixed[2];
        for (int down = 0; down < 2; down++) {
            const REAL first = level(image, row + down, col, size);
            const REAL second = level(image, row + down, col + 1, size);
            mixed[down] = first + (place[0] - left) * (second - first);
        }
        tile[threadIdx.y * PITCH + threadIdx.x] =
            rint(mixed[0] + (place[1] - top) * (mixed[1] - mixed[0]));
    }
    store_tile(tile, x, scale, shift, pixels, count);
}
