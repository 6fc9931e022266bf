// CUDA's side of a kernel on the CPU, for tests: blocks run one after the other, the threads of a
// block as coroutines that change places at __syncthreads() and nowhere else.
//
// Stricter than a card where it can be: shared memory starts as not-a-number in every block, its
// limit holds, all threads of a block must meet at the same barrier, and the order in which threads
// and blocks take their turns can be reversed, which changes the result of a kernel that lacks a
// barrier or whose blocks read what others write.

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
const int MOST = 1024;

// A coroutine starts by swapcontext, which is slow, and then serves one block after another; it
// changes places by _setjmp and _longjmp, which are not.
struct Thread {
    ucontext_t context;
    jmp_buf place;
    char* stack;
    bool started;
    Index index;
    size_t shared;  // how far it has come through the block's shared memory
    int line;  // of the barrier it waits at; 0 where it has ended
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

static void start()
{
    for (;;) {
        body(arguments);
        running->line = 0;
        leave();
    }
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
    }
    for (bool waiting = true; waiting && !fault;) {
        waiting = false;
        int line = 0;
        for (int k = 0; k < count && !fault; k++) {
            Thread* thread = &threads[reversed ? count - 1 - k : k];
            if (!thread->line) continue;
            enter(thread);
            if (!thread->line) continue;
            waiting = true;
            if (line && line != thread->line) fault = DIFFERENT_BARRIERS;
            line = thread->line;
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
    const long blocks = (long)grid[0] * grid[1] * grid[2];
    for (long k = 0; k < blocks && !fault; k++) {
        const long b = reversed ? blocks - 1 - k : k;
        const unsigned x = b % grid[0], y = b / grid[0] % grid[1], z = b / grid[0] / grid[1];
        blockIdx = {x, y, z};
        run_block(count);
    }
    if (fault)
        for (Thread& thread : threads) thread.started = false;  // they stand in mid-kernel
    return fault;
}
}  // namespace emulator

extern "C" void reverse_threads(int yes) { emulator::reversed = yes; }
