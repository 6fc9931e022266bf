// Products on tensor cores: numbers rounded to TF32, which has 10 bits after the point, and added up
// in float. For compute capability 8.0 and later; REAL is float.
//
// A warp holds a tile of sums, HIGH x WIDE, and adds to it the product of a left part, HIGH x DEEP,
// and a right part, DEEP x WIDE, each spread over its lanes as the PTX manual draws it for
// mma.m16n8k8. All lanes of a warp must come to a product together.

#define HIGH 16
#define WIDE 8
#define DEEP 8

struct LeftPart { unsigned at[4]; };
struct RightPart { unsigned at[2]; };

// (The tests put their own in place of these two.)
#ifdef __CUDACC__
// To nearest, halves away from zero
__device__ __forceinline__ unsigned rounded(float x)
{
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

// sums += left @ right
__device__ __forceinline__ void multiply_add(float* sums, const LeftPart& left, const RightPart& right)
{
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(left.at[0]), "r"(left.at[1]), "r"(left.at[2]), "r"(left.at[3]), "r"(right.at[0]),
          "r"(right.at[1]));
}
#endif

// of(row, k), rounded
template <class Entry>
__device__ __forceinline__ LeftPart left_part(Entry of)
{
    const int group = threadIdx.x / 4, place = threadIdx.x % 4;
    return {{rounded(of(group, place)), rounded(of(group + 8, place)), rounded(of(group, place + 4)),
             rounded(of(group + 8, place + 4))}};
}

// of(k, col), rounded
template <class Entry>
__device__ __forceinline__ RightPart right_part(Entry of)
{
    const int group = threadIdx.x / 4, place = threadIdx.x % 4;
    return {{rounded(of(place, group)), rounded(of(place + 4, group))}};
}

// take(row, col, sum) for each of this lane's four sums
template <class Take>
__device__ __forceinline__ void each_sum(const REAL* sums, Take take)
{
    const int group = threadIdx.x / 4, place = threadIdx.x % 4;
#pragma unroll
    for (int k = 0; k < 4; k++) take(group + k / 2 * 8, place * 2 + k % 2, sums[k]);
}
