/* Goal: the loop waits awake for who asks again at once, and costs next to nothing
 * beside who does not. Method: the rule by itself, with times of our own. */
#include "patience.h"
#include "sentinel_test.h"

#define US INT64_C(1000)
#define SECOND INT64_C(1000000000)

static int64_t now;

/* A request that comes after so long. Returns: how long it was looked for. */
static int64_t request_after(patience *p, int64_t gap) {
    int64_t end = now + gap, awake = 0;
    while (now < end && patience_lasts(p, now)) {
        now += US;
        awake += US;
    }
    now = end;
    patience_begin(p, now);
    return awake;
}

static void test_who_never_asks_again_at_once_costs_nothing(void) {
    patience p = {0};
    now = 5 * SECOND;
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(request_after(&p, SECOND), 0);
    }
}

static void test_who_asks_again_at_once_is_waited_for(void) {
    patience p = {0};
    now = 5 * SECOND;
    (void)request_after(&p, SECOND);
    (void)request_after(&p, 30 * US);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(request_after(&p, 30 * US), 30 * US);
    }
}

static void test_the_time_awake_in_vain_is_bounded(void) {
    patience p = {0};
    int64_t awake = 0;
    now = 5 * SECOND;
    (void)request_after(&p, SECOND);
    (void)request_after(&p, 30 * US);
    for (int i = 0; i < 1000; i++) {
        awake += request_after(&p, 10000 * US);
    }
    CHECK(awake > 0 && awake < 2 * PATIENCE_NS + 100 * US);
}

static void test_at_the_edge_and_one_past_it(void) {
    patience p = {0};
    now = 5 * SECOND;
    (void)request_after(&p, SECOND);
    (void)request_after(&p, PATIENCE_NS - 1); /* soon after it slept: the whole while from now on */
    CHECK_EQ(patience_lasts(&p, now + PATIENCE_NS - 1), 1);
    CHECK_EQ(patience_lasts(&p, now + PATIENCE_NS), 0);
    CHECK_EQ(patience_lasts(&p, now + PATIENCE_NS), 0);
    CHECK_EQ(p.for_ns, PATIENCE_NS / 2); /* halved once */
    CHECK_EQ(p.slept_ns, now + PATIENCE_NS);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_who_never_asks_again_at_once_costs_nothing);
    RUN(test_who_asks_again_at_once_is_waited_for);
    RUN(test_the_time_awake_in_vain_is_bounded);
    RUN(test_at_the_edge_and_one_past_it);
    return test_end();
}
