// What all kernels share.
//
// Names in capitals are macros, defined by a file or by the compiler's options (-DREAL=float
// -DCHANNELS=6). The compiler unrolls every loop over them and keeps arrays of such sizes in
// registers.
//
// All large kernels follow one plan. The image index is innermost in memory, so the 32 lanes of a
// warp are 32 images and their reads are coalesced. A sum that is too long for one thread is split
// into slices, one per warp, and the slices are added in their order. Atomics would add them in an
// order that differs from run to run.

#define LANES 32  // threads of a warp, images of a group

// Memory that the threads of a block share. (The tests also compile this text for the CPU, with
// their own definition of SHARED.)
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
    if (kind == RELU) return x < 0 ? (REAL)0 : x;  // NaN stays NaN
    return x;
}

// f'(x), as a function of y = f(x)
__device__ __forceinline__ REAL slope(int kind, REAL y)
{
    if (kind == TANH) return 1 - y * y;
    if (kind == SCALED_TANH)
        return steepness() * amplitude() - (steepness() / amplitude()) * (y * y);
    if (kind == RELU) return y > 0 ? (REAL)1 : (REAL)0;
    return 1;
}
