/* A test program in C: TEST functions, run by name, one line each, and a
 * closing line "N passed, N failed". A failed check ends its test. */
#ifndef SENTINEL_TEST_H
#define SENTINEL_TEST_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static jmp_buf test_jump;
static int test_passed, test_failed;
static const char *test_only;

#define CHECK(cond)                                                               \
    do {                                                                          \
        if (!(cond)) {                                                            \
            printf("    %s:%d: CHECK(%s) is false\n", __FILE__, __LINE__, #cond); \
            longjmp(test_jump, 1);                                                \
        }                                                                         \
    } while (0)

#define CHECK_EQ(actual, expected)                                                            \
    do {                                                                                      \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected);           \
        if (actual_ != expected_) {                                                           \
            printf("    %s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #actual, actual_, \
                   expected_);                                                                \
            longjmp(test_jump, 1);                                                            \
        }                                                                                     \
    } while (0)

#define CHECK_BYTES(actual, expected, size) CHECK(memcmp((actual), (expected), (size)) == 0)
#define CHECK_OK(call) CHECK_EQ(call, 0)

static void test_run(const char *name, void (*function)(void)) {
    if (test_only != NULL && strstr(name, test_only) == NULL) {
        return;
    }
    if (setjmp(test_jump) == 0) {
        function();
        test_passed++;
        printf("ok      %s\n", name);
    } else {
        test_failed++;
        printf("FAILED  %s\n", name);
    }
}

#define RUN(function) test_run(#function, function)

/* The end of main: int main(int c, char **v) { test_begin(c, v); RUN(...); return test_end(); } */
static void test_begin(int argc, char **argv) {
    test_only = argc > 1 ? argv[1] : NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
}

static int test_end(void) {
    printf("%d passed, %d failed\n", test_passed, test_failed);
    return test_failed == 0 && test_passed > 0 ? 0 : 1;
}

#endif
