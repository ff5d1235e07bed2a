/* Limits over time against a list of everything that was spent.
 *
 * Goal: the rolling cap is never exceeded in any window and refuses early by
 * less than a bucket; the rate limit is exact; both say what the page says to
 * the nanosecond. Method: random steps of time and amounts, judged by the core
 * and by plain sums over the whole history. */
#include "policy_scene.h"

#define HISTORY_MAX 4000

typedef struct history {
    int64_t times[HISTORY_MAX];
    int64_t amounts[HISTORY_MAX];
    int count;
} history;
static history H;

static uint64_t random_state;

/* xorshift64*: the same numbers on every machine. */
static uint64_t random_below(uint64_t bound) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * UINT64_C(2685821657736338717) >> 16) % bound;
}

static void remember(int64_t time, int64_t amount) {
    CHECK(H.count < HISTORY_MAX);
    H.times[H.count] = time;
    H.amounts[H.count++] = amount;
}

/* What was spent after one time and up to another. */
static int64_t spent_in(int64_t after, int64_t until) {
    int64_t sum = 0;
    for (int i = 0; i < H.count; i++) {
        sum += H.times[i] > after && H.times[i] <= until ? H.amounts[i] : 0;
    }
    return sum;
}

static const int64_t windows[] = {1, 2, 63, 64, 65, 100, 127, 128, 129, 640, 1000, 6401};
#define WINDOWS (sizeof windows / sizeof *windows)

static void scene_with_window(uint8_t kind, int64_t bound, int64_t window_ns) {
    scene_begin();
    add_window(&S.build, 9, AGENT, kind, bound, window_ns);
    scene_load();
    H.count = 0;
}

/* Steps of time that often fall on the edges of windows and buckets. */
static int64_t next_time(int64_t now, int64_t window_ns) {
    int64_t width = (window_ns + 63) / 64;
    switch (random_below(6)) {
    case 0:
        return now;
    case 1:
        return now + 1;
    case 2:
        return now + width;
    case 3:
        return H.count == 0 ? now
                            : now + window_ns - (now - H.times[H.count - 1]) % (window_ns + 1) +
                                  (int64_t)random_below(3);
    case 4:
        return now + (int64_t)random_below((uint64_t)(2 * width));
    default:
        return now + (int64_t)random_below((uint64_t)(window_ns / 8 + 2));
    }
}

/* The page's own words: an amount of bucket b counts while b >= floor((now -
 * window + 1) / width). */
static int64_t rolling_value(int64_t window_ns, int64_t now) {
    int64_t width = (window_ns + 63) / 64, sum = 0;
    for (int i = 0; i < H.count; i++) {
        sum += H.times[i] / width >= (now - window_ns + 1) / width ? H.amounts[i] : 0;
    }
    return sum;
}

static void walk_rolling_cap(int64_t window_ns, int64_t bound) {
    scene_with_window(SENTINEL_RULE_ROLLING_CAP, bound, window_ns);
    int64_t now = NOW + (int64_t)random_below(1000), width = (window_ns + 63) / 64;
    for (int step = 0; step < 1500; step++) {
        now = next_time(now, window_ns);
        int64_t amount = (int64_t)random_below((uint64_t)bound / 4 + 2);
        buy_worth(amount);
        int verdict = spend_at(now);
        int64_t value = rolling_value(window_ns, now) + amount;
        CHECK_EQ(result_of(SENTINEL_RULE_ROLLING_CAP)->value, value);
        CHECK_EQ(verdict, value <= bound ? SENTINEL_ALLOWED : SENTINEL_DENIED);
        if (verdict == SENTINEL_ALLOWED) {
            remember(now, amount);
            /* The window that ends here is the fullest that this amount is in
             * so far; later ones are looked at when they end. */
            CHECK(spent_in(now - window_ns, now) <= bound);
            continue;
        }
        CHECK(spent_in(now - window_ns - width, now) + amount > bound);
        /* It heals at the time that was named, and no nanosecond before. */
        int64_t retry = retry_of(SENTINEL_RULE_ROLLING_CAP);
        if (amount <= bound) {
            CHECK(retry > now);
            CHECK(rolling_value(window_ns, retry - 1) + amount > bound);
            CHECK(rolling_value(window_ns, retry) + amount <= bound);
        } else {
            CHECK_EQ(retry, 0);
        }
    }
}

static void test_a_rolling_cap_is_never_exceeded_in_any_window(void) {
    random_state = 88172645463325252u;
    for (size_t i = 0; i < WINDOWS; i++) {
        walk_rolling_cap(windows[i], 1);
        walk_rolling_cap(windows[i], 1000);
    }
}

static void walk_rate_limit(int64_t window_ns, int64_t bound) {
    scene_with_window(SENTINEL_RULE_RATE_LIMIT, bound, window_ns);
    int64_t now = NOW;
    for (int step = 0; step < 1500; step++) {
        now = next_time(now, window_ns);
        order_of(SENTINEL_ACTION_MESSAGE, 0);
        int verdict = spend_at(now);
        int64_t value = spent_in(now - window_ns, now) + 1;
        CHECK_EQ(result_of(SENTINEL_RULE_RATE_LIMIT)->value, value);
        CHECK_EQ(verdict, value <= bound ? SENTINEL_ALLOWED : SENTINEL_DENIED);
        if (verdict == SENTINEL_ALLOWED) {
            remember(now, 1);
            continue;
        }
        int64_t retry = retry_of(SENTINEL_RULE_RATE_LIMIT);
        CHECK_EQ(spent_in(retry - 1 - window_ns, now) + 1 > bound, 1);
        CHECK_EQ(spent_in(retry - window_ns, now) + 1 <= bound, 1);
    }
}

static void test_a_rate_limit_is_exact_over_its_sliding_window(void) {
    static const int64_t bounds[] = {1, 2, 3, 7, 64, 100};
    random_state = 2463534242u;
    for (size_t i = 0; i < WINDOWS; i++) {
        for (size_t k = 0; k < sizeof bounds / sizeof *bounds; k++) {
            walk_rate_limit(windows[i], bounds[k]);
        }
    }
}

static void test_a_daily_limit_counts_what_the_same_utc_day_spent(void) {
    random_state = 362436069u;
    scene_begin();
    add_bound(&S.build, 9, AGENT, SENTINEL_RULE_DAILY_LIMIT, 1000);
    scene_load();
    H.count = 0;
    int64_t now = 0; /* from the first day there is */
    for (int step = 0; step < 3000; step++) {
        int64_t midnight = (now / BUILD_DAY_NS + 1) * BUILD_DAY_NS;
        static const int64_t near[] = {-1, 0, 1};
        now = random_below(4) == 0 ? midnight + near[random_below(3)]
                                   : now + (int64_t)random_below((uint64_t)BUILD_DAY_NS / 20);
        int64_t amount = (int64_t)random_below(200);
        buy_worth(amount);
        int verdict = spend_at(now);
        int64_t first = now / BUILD_DAY_NS * BUILD_DAY_NS;
        int64_t value = spent_in(first - 1, now) + amount;
        CHECK_EQ(result_of(SENTINEL_RULE_DAILY_LIMIT)->value, value);
        CHECK_EQ(verdict, value <= 1000 ? SENTINEL_ALLOWED : SENTINEL_DENIED);
        if (verdict == SENTINEL_ALLOWED) {
            remember(now, amount);
        } else {
            CHECK_EQ(retry_of(SENTINEL_RULE_DAILY_LIMIT), first + BUILD_DAY_NS);
        }
    }
}

/* At the last moment that any of it counts, and after a long rest. */
static void test_a_rolling_cap_forgets_all_after_a_rest(void) {
    scene_with_window(SENTINEL_RULE_ROLLING_CAP, 1000, 6400);
    for (int i = 0; i < 64; i++) {
        buy_worth(10);
        CHECK_EQ(spend_at(NOW + 100 * i), SENTINEL_ALLOWED);
    }
    buy_worth(1000);
    judge_at(NOW + 6300 + 99 + 6399);
    CHECK_EQ(result_of(SENTINEL_RULE_ROLLING_CAP)->value, 1010);
    CHECK_EQ(spend_at(NOW + 6300 + 99 + 6400), SENTINEL_ALLOWED);
    CHECK_EQ(spend_at(NOW + BUILD_DAY_NS), SENTINEL_ALLOWED);
    CHECK_EQ(result_of(SENTINEL_RULE_ROLLING_CAP)->value, 1000);
}

/* The gate's time never goes back; if it did, nothing would count less. */
static void test_time_that_goes_back_never_frees_anything(void) {
    scene_with_window(SENTINEL_RULE_ROLLING_CAP, 100, 640);
    buy_worth(60);
    CHECK_EQ(spend_at(NOW), SENTINEL_ALLOWED);
    buy_worth(10);
    CHECK_EQ(spend_at(NOW - 100000), SENTINEL_ALLOWED);
    CHECK_EQ(result_of(SENTINEL_RULE_ROLLING_CAP)->value, 70);
    buy_worth(0);
    judge_at(NOW); /* what was spent that long ago counts no more */
    CHECK_EQ(result_of(SENTINEL_RULE_ROLLING_CAP)->value, 60);
    buy_worth(30);
    CHECK_EQ(spend_at(NOW - 5), SENTINEL_ALLOWED);
    CHECK_EQ(spend_at(NOW - 100000), SENTINEL_DENIED);
    buy_worth(11);
    CHECK_EQ(spend_at(NOW + 600), SENTINEL_DENIED);
    CHECK_EQ(result_of(SENTINEL_RULE_ROLLING_CAP)->value, 101);
    scene_with_window(SENTINEL_RULE_RATE_LIMIT, 2, 640);
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    CHECK_EQ(spend_at(NOW), SENTINEL_ALLOWED);
    CHECK_EQ(spend_at(NOW - 500), SENTINEL_ALLOWED);
    CHECK_EQ(spend_at(NOW + 639), SENTINEL_DENIED);
    CHECK_EQ(spend_at(NOW + 640), SENTINEL_ALLOWED);
}

/* Near the epoch the first bucket that counts is below 0. */
static void test_windows_that_reach_behind_the_epoch_hold(void) {
    scene_with_window(SENTINEL_RULE_ROLLING_CAP, 100, SENTINEL_WINDOW_NS_MAX);
    buy_worth(60);
    CHECK_EQ(spend_at(0), SENTINEL_ALLOWED);
    CHECK_EQ(spend_at(1), SENTINEL_DENIED);
    CHECK_EQ(retry_of(SENTINEL_RULE_ROLLING_CAP),
             SENTINEL_WINDOW_NS_MAX / 64 + SENTINEL_WINDOW_NS_MAX - 1);
    CHECK_EQ(spend_at(SENTINEL_WINDOW_NS_MAX), SENTINEL_DENIED);
    CHECK_EQ(spend_at(SENTINEL_WINDOW_NS_MAX / 64 + SENTINEL_WINDOW_NS_MAX - 1), SENTINEL_ALLOWED);
    scene_with_window(SENTINEL_RULE_RATE_LIMIT, 1, SENTINEL_WINDOW_NS_MAX);
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    CHECK_EQ(spend_at(0), SENTINEL_ALLOWED);
    CHECK_EQ(spend_at(SENTINEL_WINDOW_NS_MAX - 1), SENTINEL_DENIED);
    CHECK_EQ(spend_at(SENTINEL_WINDOW_NS_MAX), SENTINEL_ALLOWED);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_rolling_cap_is_never_exceeded_in_any_window);
    RUN(test_a_rate_limit_is_exact_over_its_sliding_window);
    RUN(test_a_daily_limit_counts_what_the_same_utc_day_spent);
    RUN(test_a_rolling_cap_forgets_all_after_a_rest);
    RUN(test_time_that_goes_back_never_frees_anything);
    RUN(test_windows_that_reach_behind_the_epoch_hold);
    return test_end();
}
