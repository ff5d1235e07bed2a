/* How fast this processor's time stamp counter runs, in kHz: an emulated machine has
 * the same one, and nothing beside it to measure it by. */
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

static double now_ns(void) {
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC_RAW, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

int main(void) {
    const struct timespec pause = {.tv_nsec = 200000000};
    double began_ns = now_ns();
    unsigned long long began = __rdtsc();
    (void)nanosleep(&pause, NULL);
    double ended_ns = now_ns();
    unsigned long long ended = __rdtsc();
    printf("%.0f\n", (double)(ended - began) / (ended_ns - began_ns) * 1e6);
    return 0;
}
