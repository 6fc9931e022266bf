// The sums over the chunks of `stage_backward`.

#define SLICES 8

// The sum of one entry of partial (chunks, size) for the lane that has the entry, right in slice 0
// alone. The warps divide the chunks among them. block (LANES, SLICES)
__device__ __forceinline__ REAL over_chunks(const REAL* partial, int entry, int size, int chunks)
{
    const int lane = threadIdx.x, slice = threadIdx.y;
    REAL sum = 0;
    if (entry < size)
        for (int chunk = slice; chunk < chunks; chunk += SLICES) sum += partial[chunk * size + entry];
    SHARED(REAL, parts, SLICES * LANES);
    parts[slice * LANES + lane] = sum;
    __syncthreads();
    for (int s = 1; s < SLICES && slice == 0; s++) sum += parts[s * LANES + lane];
    return sum;
}
