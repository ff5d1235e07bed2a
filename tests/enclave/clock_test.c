/* The daemon's clock: what a comparison says, when its bound is exceeded, how it is
 * corrected. Times are the test's own. */
#include "clock.h"

#include <string.h>

#include "sentinel_test.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

static clock_watch fresh(void) {
    return (clock_watch){
        .every_ns = CLOCK_EVERY_NS, .holds_ns = CLOCK_HOLDS_NS, .name = "kvm-clock"};
}

/* A comparison at a time of the running clock; the call took so long. */
static uint8_t compare(clock_watch *w, sentinel_clock *out, int64_t at_ns, int64_t off_ns,
                       int64_t call_ns) {
    const int64_t source_ns = 1700000000 * SECOND + at_ns;
    const clock_reading reading =
        clock_read(source_ns + off_ns, source_ns + off_ns + call_ns, (uint64_t)(source_ns / MS));
    uint8_t result = clock_judge(w, &reading, at_ns);
    if (result != 0) {
        clock_note(w, out, &reading, result, at_ns, source_ns + off_ns + call_ns);
    }
    return result;
}

static void test_the_bound_has_resolution_and_call(void) {
    clock_watch w = fresh();
    sentinel_clock clock;
    CHECK_EQ(compare(&w, &clock, SECOND, 20 * MS, 4 * MS), SENTINEL_CLOCK_GOOD);
    /* It looked at its clock within the call, at a time of which 1 ms is cut off. */
    CHECK_EQ(clock.offset_ns, 20 * MS + (4 * MS - MS) / 2);
    CHECK_EQ(clock.bound_ns, clock.offset_ns + 5 * MS / 2);
    CHECK_EQ(clock.source, SENTINEL_CLOCK_NSM);
    CHECK_EQ(clock.drift_ppm, 1000);
    CHECK_EQ(clock.until_ns, w.until_ns);
    CHECK(strcmp(clock.name, "kvm-clock") == 0);
    CHECK_EQ(w.bound_ns, clock.bound_ns);
}

static void test_beyond_the_limit_it_is_exceeded(void) {
    static const int64_t signs[] = {1, -1};
    for (size_t i = 0; i < 2; i++) {
        clock_watch w = fresh();
        sentinel_clock clock;
        /* Just as far as it may be; then one more: the least that it can be counts. */
        int64_t edge = signs[i] > 0 ? CLOCK_OFF_NS + MS : -CLOCK_OFF_NS;
        CHECK_EQ(compare(&w, &clock, SECOND, edge, 0), SENTINEL_CLOCK_GOOD);
        w = fresh();
        CHECK_EQ(compare(&w, &clock, SECOND, edge + 2 * signs[i], 0), SENTINEL_CLOCK_EXCEEDED);
        CHECK(clock.until_ns <= w.until_ns);
        CHECK_EQ(w.left_ns, 0); /* that is not set right by itself */
    }
}

static void test_beyond_what_was_stated_it_is_exceeded(void) {
    clock_watch w = fresh();
    sentinel_clock clock;
    CHECK_EQ(compare(&w, &clock, SECOND, 0, 2 * MS), SENTINEL_CLOCK_GOOD);
    const int64_t stated = clock.bound_ns + 60 * MS; /* a minute, at a thousandth */
    clock_watch same = w;
    CHECK_EQ(compare(&w, &clock, 61 * SECOND, stated + MS, 0), SENTINEL_CLOCK_GOOD);
    CHECK_EQ(compare(&same, &clock, 61 * SECOND, stated + MS + 2, 0), SENTINEL_CLOCK_EXCEEDED);
    /* Once it was said to be exceeded, the limit alone counts again. */
    CHECK_EQ(compare(&same, &clock, 62 * SECOND, 3 * stated, 0), SENTINEL_CLOCK_GOOD);
}

static void test_a_call_that_took_too_long_says_nothing(void) {
    clock_watch w = fresh();
    sentinel_clock clock;
    CHECK_EQ(compare(&w, &clock, SECOND, 0, CLOCK_CALL_NS_MAX), SENTINEL_CLOCK_GOOD);
    CHECK_EQ(compare(&w, &clock, 2 * SECOND, 0, CLOCK_CALL_NS_MAX + 2), 0);
    CHECK_EQ(w.compared_ns, SECOND);
    /* But what is too far off is, even so. */
    CHECK_EQ(compare(&w, &clock, 3 * SECOND, 2 * SECOND, CLOCK_CALL_NS_MAX + 2),
             SENTINEL_CLOCK_EXCEEDED);
}

static void test_it_is_corrected_slowly_and_not_too_far(void) {
    clock_watch w = fresh();
    sentinel_clock clock;
    CHECK_EQ(clock_step(&w, SECOND), 0);
    CHECK_EQ(compare(&w, &clock, SECOND, -3 * MS, 0), SENTINEL_CLOCK_GOOD);
    const int64_t behind = -clock.offset_ns;
    CHECK_EQ(w.left_ns, behind);
    CHECK_EQ(clock_step(&w, 2 * SECOND), MS); /* a thousandth of a second in one */
    CHECK_EQ(clock_step(&w, 3 * SECOND), MS);
    CHECK_EQ(clock_step(&w, 100 * SECOND), behind - 2 * MS);
    CHECK_EQ(clock_step(&w, 200 * SECOND), 0);
    CHECK_EQ(compare(&w, &clock, 200 * SECOND, 9 * MS, 0), SENTINEL_CLOCK_GOOD);
    CHECK_EQ(clock_step(&w, 201 * SECOND), -MS);
    /* What may be the call's own length is left as it is. */
    CHECK_EQ(compare(&w, &clock, 202 * SECOND, -2 * MS, 6 * MS), SENTINEL_CLOCK_GOOD);
    CHECK_EQ(w.left_ns, 0);
}

static void test_when_it_is_due(void) {
    clock_watch w = fresh();
    sentinel_clock clock;
    w.tried_ns = SECOND;
    CHECK_EQ(compare(&w, &clock, SECOND, 0, 0), SENTINEL_CLOCK_GOOD);
    CHECK(!clock_is_due(&w, SECOND + CLOCK_EVERY_NS - 1));
    CHECK(clock_is_due(&w, SECOND + CLOCK_EVERY_NS));
    w.tried_ns = SECOND + CLOCK_EVERY_NS; /* it failed */
    CHECK(!clock_is_due(&w, w.tried_ns + CLOCK_RETRY_NS - 1));
    CHECK(clock_is_due(&w, w.tried_ns + CLOCK_RETRY_NS));
}

static void test_sources_that_are_good(void) {
    static const char *const bad[] = {"", "jiffies", "refined-jiffies", "hpet", "acpi_pm", "tsc2"};
    CHECK(clock_name_is_good("kvm-clock") && clock_name_is_good("tsc"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(!clock_name_is_good(bad[i]));
    }
    char name[CLOCK_NAME_BYTES];
    clock_name(name);
    CHECK(strnlen(name, sizeof name) < sizeof name);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_the_bound_has_resolution_and_call);
    RUN(test_beyond_the_limit_it_is_exceeded);
    RUN(test_beyond_what_was_stated_it_is_exceeded);
    RUN(test_a_call_that_took_too_long_says_nothing);
    RUN(test_it_is_corrected_slowly_and_not_too_far);
    RUN(test_when_it_is_due);
    RUN(test_sources_that_are_good);
    return test_end();
}
