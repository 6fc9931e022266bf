// What all kernels share; this text stands before that of every other file.
//
// Names in capitals are sizes and settings that the compiler is told (-DREAL=float -DCHANNELS=6):
// it then unrolls every loop over them and keeps the arrays they measure in registers.
//
// One plan serves all the large kernels. The image index is innermost in memory, so the 32 lanes of
// a warp are 32 images and whatever they read lies side by side. A sum too long for one thread is
// cut into slices, one to a warp, and the slices are added in their order: never by atomics, whose
// order differs from run to run.

#define LANES 32  // threads of a warp, images of a group

// Memory that the threads of a block share. (The tests compile this text for the CPU as well and
// put their own definition in place of this one.)
#ifndef SHARED
#define SHARED(type, name, size) __shared__ type name[size]
#endif

enum { IDENTITY, TANH, SCALED_TANH, RELU };

// A = 1.7159 and S = 2/3, LeCun et al. 1998, Appendix A
__device__ __forceinline__ REAL amplitude() { return (REAL)1.7159; }
__device__ __forceinline__ REAL steepness() { return (REAL)(2.0 / 3.0); }

// f(x)
__device__ __forceinline__ REAL activate(int kind, REAL x)
{
    if (kind == TANH) return tanh(x);
    if (kind == SCALED_TANH) return amplitude() * tanh(steepness() * x);
    if (kind == RELU) return x < 0 ? (REAL)0 : x;  // not-a-number stays what it is
    return x;
}

// f'(x), written in y = f(x)
__device__ __forceinline__ REAL slope(int kind, REAL y)
{
    if (kind == TANH) return 1 - y * y;
    if (kind == SCALED_TANH)
        return steepness() * amplitude() - (steepness() / amplitude()) * (y * y);
    if (kind == RELU) return y > 0 ? (REAL)1 : (REAL)0;
    return 1;
}
