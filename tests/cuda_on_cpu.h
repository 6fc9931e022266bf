// CUDA's side of a kernel on the CPU, for tests: blocks run one after the other, the threads of a
// block as coroutines that change places at __syncthreads() and nowhere else.
//
// Stricter than a card where it can be: shared memory starts as not-a-number in every block, its
// limit holds, all threads of a block must meet at the same barrier, and the order in which threads
// take their turns can be reversed, which changes the result of a kernel that lacks a barrier. What
// tensor cores do needs all 32 lanes of a warp, and takes no more of a number than TF32 has.

#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

using std::exp;
using std::floor;
using std::log;
using std::pow;
using std::rint;
using std::sqrt;
using std::tanh;

#define __global__
#define __device__
#define __forceinline__ inline
#define SHARED(type, name, size) type* const name = (type*)emulator::shared(sizeof(type) * (size))
#define __syncthreads() emulator::barrier(__LINE__)

struct Index {
    unsigned x, y, z;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {
enum { OK, DIFFERENT_BARRIERS, TOO_MUCH_SHARED, TOO_MANY_THREADS };
const size_t STACK = 256 << 10, SHARED_BYTES = 48 << 10;
const int MOST = 1024, WARP = 32;

// A coroutine starts by swapcontext, which is slow, and then serves one block after another; it
// changes places by _setjmp and _longjmp, which are not.
struct Thread {
    ucontext_t context;
    jmp_buf place;
    char* stack;
    bool started;
    Index index;
    size_t shared;  // how far it has come through the block's shared memory
    int line;  // of the barrier it waits at; 0 where it has ended, negative where it waits for its warp
    int products;  // of tensor cores that it took part in
};
static Thread threads[MOST];
static Thread* running;
static ucontext_t first_scheduler;
static jmp_buf scheduler;
static void (*body)(void*);
static void* arguments;
alignas(16) static char memory[SHARED_BYTES];
static int fault, reversed;

static void leave()
{
    if (!_setjmp(running->place)) _longjmp(scheduler, 1);
}

static void enter(Thread* thread)
{
    running = thread;
    threadIdx = thread->index;
    if (_setjmp(scheduler)) return;
    if (thread->started) _longjmp(thread->place, 1);
    thread->started = true;
    swapcontext(&first_scheduler, &thread->context);
}

static void* shared(size_t size)
{
    char* place = memory + running->shared;
    running->shared += (size + 15) / 16 * 16;
    if (running->shared > SHARED_BYTES) {
        fault = TOO_MUCH_SHARED;
        running->line = 0;
        leave();
    }
    return place;
}

static void barrier(int line)
{
    running->line = line;
    leave();
}

// What the lanes of a warp bring to a product; the next product must not overwrite it too early.
struct Tiles {
    float left[16][8], right[8][8];  // of the latter, a column after the other
};
static Tiles tiles[2][MOST / WARP];

// What tensor cores take of a number
static float number(unsigned bits)
{
    float value;
    bits &= ~0x1fffu;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

// mma.m16n8k8, as the PTX manual spreads it over the lanes
static void product(float* sums, const unsigned* left, const unsigned* right)
{
    const int thread = running - threads, group = thread % WARP / 4, place = thread % 4;
    Tiles& all = tiles[running->products++ % 2][thread / WARP];
    for (int i = 0; i < 4; i++) all.left[group + i % 2 * 8][place + i / 2 * 4] = number(left[i]);
    for (int i = 0; i < 2; i++) all.right[group][place + i * 4] = number(right[i]);
    running->line = -1;
    leave();
    for (int i = 0; i < 4; i++) {
        const float *row = all.left[group + i / 2 * 8], *col = all.right[place * 2 + i % 2];
        for (int k = 0; k < 8; k++) sums[i] += row[k] * col[k];
    }
}

static void start()
{
    for (;;) {
        body(arguments);
        running->line = 0;
        leave();
    }
}

// The threads of a warp till each waits at a barrier or has ended; the line of that barrier.
static int run_warp(int first, int size)
{
    int line = 0, meeting = WARP;
    while (meeting == WARP) {
        meeting = line = 0;
        for (int k = 0; k < size && !fault; k++) {
            Thread* thread = &threads[first + (reversed ? size - 1 - k : k)];
            if (!thread->line) continue;
            enter(thread);
            meeting += thread->line < 0;
            if (thread->line && line && line != thread->line) fault = DIFFERENT_BARRIERS;
            if (thread->line) line = thread->line;
        }
    }
    if (meeting) fault = DIFFERENT_BARRIERS;
    return line;
}

static void run_block(int count)
{
    memset(memory, 0xff, sizeof(memory));
    for (int t = 0; t < count; t++) {
        Thread& thread = threads[t];
        if (!thread.started) {
            if (!thread.stack) thread.stack = (char*)malloc(STACK);
            getcontext(&thread.context);
            thread.context.uc_stack.ss_sp = thread.stack;
            thread.context.uc_stack.ss_size = STACK;
            makecontext(&thread.context, start, 0);
        }
        thread.index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
        thread.shared = 0;
        thread.line = -1;
        thread.products = 0;
    }
    const int warps = (count + WARP - 1) / WARP;
    for (bool waiting = true; waiting && !fault;) {
        waiting = false;
        int line = 0;
        for (int k = 0; k < warps && !fault; k++) {
            const int first = (reversed ? warps - 1 - k : k) * WARP;
            const int at = run_warp(first, count - first < WARP ? count - first : WARP);
            if (at && line && line != at) fault = DIFFERENT_BARRIERS;
            if (at) line = at;
            waiting = waiting || at;
        }
    }
}

// grid and block: three sizes each
static int run(const unsigned* grid, const unsigned* block, void (*function)(void*), void* given)
{
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    const unsigned count = block[0] * block[1] * block[2];
    if (count > MOST) return TOO_MANY_THREADS;
    body = function;
    arguments = given;
    fault = OK;
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0] && !fault; x++) {
                blockIdx = {x, y, z};
                run_block(count);
            }
    if (fault)
        for (Thread& thread : threads) thread.started = false;  // they stand in mid-kernel
    return fault;
}
}  // namespace emulator

// To 10 bits after the point, halves away from zero
static unsigned rounded(float x)
{
    unsigned bits;
    memcpy(&bits, &x, sizeof(bits));
    const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
    return finite ? (bits + 0x1000u) & ~0x1fffu : bits;
}

template <class Left, class Right>
static void multiply_add(float* sums, const Left& left, const Right& right)
{
    emulator::product(sums, left.at, right.at);
}

extern "C" void reverse_threads(int yes) { emulator::reversed = yes; }
