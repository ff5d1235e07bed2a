/* Limits over time: the day's sum, the rolling cap, the rate.
 *
 * Evaluating reads the state, debiting writes it. The gate's time never goes
 * back; a time before what the state has seen is charged so that it counts no
 * shorter than it should. */
#include "policy_rules.h"

#define DAY_NS INT64_C(86400000000000)
#define BUCKETS ((int64_t)SENTINEL_ROLLING_BUCKETS)

/* Judges what was spent before and this order's value, together. */
static sentinel_reason judge_sum(const policy_turn *turn, const sentinel_constraint *constraint,
                                 sentinel_result *result, int64_t spent, sentinel_reason reason) {
    if (turn->value > INT64_MAX - spent) {
        return policy_unmeasured(result, SENTINEL_RESULT_SATURATED, reason);
    }
    result->value = spent + turn->value;
    return result->value <= constraint->bound ? SENTINEL_REASON_NONE : reason;
}

/* ---- daily_limit: {day, spent} ----------------------------------------------- */

static uint64_t daily_bytes(const sentinel_constraint *constraint) {
    (void)constraint;
    return sizeof(sentinel_daily_state);
}

static sentinel_reason daily_judge(policy_turn *turn, const sentinel_constraint *constraint,
                                   sentinel_result *result) {
    sentinel_reason reason = policy_need_value(turn, result);
    if (reason != SENTINEL_REASON_NONE) {
        return reason;
    }
    const sentinel_daily_state *state = turn->window;
    int64_t day = turn->now_ns / DAY_NS;
    reason = judge_sum(turn, constraint, result, state->day == day ? state->spent : 0,
                       SENTINEL_REASON_DAILY_LIMIT);
    if (reason != SENTINEL_REASON_NONE && turn->value <= constraint->bound) {
        turn->retry_at_ns = math_sum(turn->now_ns, DAY_NS - turn->now_ns % DAY_NS);
    }
    return reason;
}

static void daily_debit(void *window, const sentinel_constraint *constraint, int64_t value,
                        int64_t now_ns) {
    (void)constraint;
    sentinel_daily_state *state = window;
    int64_t day = now_ns / DAY_NS;
    state->spent = state->day == day ? math_sum(state->spent, value) : value;
    state->day = day;
}

static sentinel_status daily_check(const void *window, const sentinel_constraint *constraint) {
    (void)constraint;
    const sentinel_daily_state *state = window;
    return state->day >= 0 && state->day <= INT64_MAX / DAY_NS && state->spent >= 0
               ? SENTINEL_OK
               : SENTINEL_FORMAT_RANGE;
}

static void daily_carry(void *window, const sentinel_constraint *constraint, const void *old,
                        const sentinel_constraint *old_constraint, int64_t last_ns) {
    (void)constraint, (void)old_constraint, (void)last_ns;
    memcpy(window, old, sizeof(sentinel_daily_state));
}

/* ---- rolling_cap: 66 buckets, of which at most 65 count ---------------------- */

static uint64_t rolling_bytes(const sentinel_constraint *constraint) {
    (void)constraint;
    return sizeof(sentinel_rolling_state);
}

static int64_t bucket_width(const sentinel_constraint *constraint) {
    return (constraint->window_ns + 63) / 64;
}

/* The first bucket that counts at a time; below 0 near the epoch. */
static int64_t first_counted(const sentinel_constraint *constraint, int64_t now_ns) {
    return math_floor(now_ns - constraint->window_ns + 1, bucket_width(constraint));
}

/* Buckets newest - 65 to newest have a place each. */
static int64_t *bucket_at(sentinel_rolling_state *state, int64_t bucket) {
    int64_t place = bucket % BUCKETS;
    return &state->buckets[place < 0 ? place + BUCKETS : place];
}

static int64_t bucket_of(const sentinel_rolling_state *state, int64_t bucket) {
    int64_t place = bucket % BUCKETS;
    return state->buckets[place < 0 ? place + BUCKETS : place];
}

/* What counts. Usually only the oldest one or two have ceased to. */
static int64_t rolling_spent(const sentinel_rolling_state *state, int64_t first) {
    if (first > state->newest) {
        return 0;
    }
    int64_t spent = state->sum;
    for (int64_t bucket = state->newest - BUCKETS + 1; bucket < first; bucket++) {
        spent -= bucket_of(state, bucket);
    }
    return spent;
}

/* The first time at which enough buckets have ceased to count. */
static int64_t rolling_retry(const sentinel_rolling_state *state,
                             const sentinel_constraint *constraint, int64_t first, int64_t spent,
                             int64_t value) {
    int64_t bucket = state->newest - BUCKETS + 1;
    bucket = bucket < first ? first : bucket;
    for (; bucket <= state->newest; bucket++) {
        spent -= bucket_of(state, bucket);
        if (spent <= constraint->bound - value) {
            break;
        }
    }
    /* One addition at a time, so that each is saturated. */
    int64_t width = bucket_width(constraint);
    return bucket >= INT64_MAX / width ? INT64_MAX
                                       : math_sum((bucket + 1) * width, constraint->window_ns - 1);
}

static sentinel_reason rolling_judge(policy_turn *turn, const sentinel_constraint *constraint,
                                     sentinel_result *result) {
    sentinel_reason reason = policy_need_value(turn, result);
    if (reason != SENTINEL_REASON_NONE) {
        return reason;
    }
    const sentinel_rolling_state *state = turn->window;
    int64_t first = first_counted(constraint, turn->now_ns);
    int64_t spent = rolling_spent(state, first);
    reason = judge_sum(turn, constraint, result, spent, SENTINEL_REASON_ROLLING_CAP);
    if (reason != SENTINEL_REASON_NONE && turn->value <= constraint->bound) {
        turn->retry_at_ns = rolling_retry(state, constraint, first, spent, turn->value);
    }
    return reason;
}

/* Empties every bucket below `first`. */
static void rolling_forget(sentinel_rolling_state *state, int64_t first) {
    int64_t bucket = state->newest - BUCKETS + 1;
    int64_t end = first <= state->newest ? first : state->newest + 1;
    for (; bucket < end; bucket++) {
        state->sum -= bucket_of(state, bucket);
        *bucket_at(state, bucket) = 0;
    }
}

static void rolling_debit(void *window, const sentinel_constraint *constraint, int64_t value,
                          int64_t now_ns) {
    sentinel_rolling_state *state = window;
    int64_t bucket = now_ns / bucket_width(constraint);
    /* What no longer counts is at least 65 buckets old. Emptying it makes room
     * for the new bucket, in the place of the one that is 66 older, and keeps
     * the sum below the bound. */
    rolling_forget(state, first_counted(constraint, now_ns));
    if (bucket > state->newest) {
        state->newest = bucket;
    } else if (bucket <= state->newest - BUCKETS) {
        bucket = state->newest - BUCKETS + 1;
    }
    int64_t added = math_sum(state->sum, value) - state->sum;
    *bucket_at(state, bucket) += added;
    state->sum += added;
}

static sentinel_status rolling_check(const void *window, const sentinel_constraint *constraint) {
    const sentinel_rolling_state *state = window;
    int64_t sum = 0;
    for (unsigned i = 0; i < SENTINEL_ROLLING_BUCKETS; i++) {
        if (state->buckets[i] < 0 || state->buckets[i] > INT64_MAX - sum) {
            return SENTINEL_FORMAT_RANGE;
        }
        sum += state->buckets[i];
    }
    return state->newest >= 0 && state->newest <= INT64_MAX / bucket_width(constraint) &&
                   state->sum == sum
               ? SENTINEL_OK
               : SENTINEL_FORMAT_RANGE;
}

static void rolling_carry(void *window, const sentinel_constraint *constraint, const void *old,
                          const sentinel_constraint *old_constraint, int64_t last_ns) {
    if (constraint->window_ns == old_constraint->window_ns) {
        memcpy(window, old, sizeof(sentinel_rolling_state));
        return;
    }
    /* Widths differ: all that counts, as if it were spent just now. */
    int64_t spent = rolling_spent(old, first_counted(old_constraint, last_ns));
    rolling_debit(window, constraint, spent, last_ns);
}

/* ---- rate_limit: a ring of the last events' times ---------------------------- */

static uint64_t rate_bytes(const sentinel_constraint *constraint) {
    return sizeof(sentinel_rate_state) + (uint64_t)constraint->bound * sizeof(int64_t);
}

static void rate_init(void *window, const sentinel_constraint *constraint) {
    sentinel_rate_state *state = window;
    state->capacity = (uint32_t)constraint->bound;
}

static int64_t *rate_times(sentinel_rate_state *state) {
    return (int64_t *)(state + 1);
}

/* The time of an event, the oldest being 0. */
static int64_t rate_time(const sentinel_rate_state *state, uint32_t event) {
    const int64_t *times = (const int64_t *)(state + 1);
    uint32_t place = state->next + (state->capacity - state->count) + event;
    return times[place >= state->capacity ? place - state->capacity : place];
}

/* The first event that counts; their number when none does. */
static uint32_t rate_first(const sentinel_rate_state *state, int64_t window_ns, int64_t now_ns) {
    uint32_t low = 0, high = state->count;
    if (high != 0 && !math_is_past(rate_time(state, 0), now_ns, window_ns - 1)) {
        return 0;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (math_is_past(rate_time(state, middle), now_ns, window_ns - 1)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static sentinel_reason rate_judge(policy_turn *turn, const sentinel_constraint *constraint,
                                  sentinel_result *result) {
    const sentinel_rate_state *state = turn->window;
    uint32_t first = rate_first(state, constraint->window_ns, turn->now_ns);
    result->value = (int64_t)(state->count - first) + 1;
    if (result->value <= constraint->bound) {
        return SENTINEL_REASON_NONE;
    }
    if (constraint->bound > 0) {
        turn->retry_at_ns = math_sum(rate_time(state, first), constraint->window_ns);
    }
    return SENTINEL_REASON_RATE_LIMIT;
}

static void rate_debit(void *window, const sentinel_constraint *constraint, int64_t value,
                       int64_t now_ns) {
    (void)constraint, (void)value;
    sentinel_rate_state *state = window;
    if (state->capacity == 0) {
        return; /* never allowed, so never charged */
    }
    if (state->count != 0) {
        /* The search relies on times that do not fall. */
        int64_t latest = rate_time(state, state->count - 1);
        now_ns = now_ns < latest ? latest : now_ns;
    }
    rate_times(state)[state->next] = now_ns;
    state->next = state->next + 1 == state->capacity ? 0 : state->next + 1;
    state->count += state->count < state->capacity;
}

static sentinel_status rate_check(const void *window, const sentinel_constraint *constraint) {
    const sentinel_rate_state *state = window;
    const int64_t *times = (const int64_t *)(state + 1);
    if (!bytes_are_zero(state->reserved, sizeof state->reserved)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    if (state->capacity != constraint->bound || state->count > state->capacity) {
        return SENTINEL_FORMAT_RANGE;
    }
    /* A ring that is not full begins at 0; a full one may begin anywhere. */
    int is_full = state->count == state->capacity;
    if (is_full ? state->next != 0 && state->next >= state->capacity
                : state->next != state->count) {
        return SENTINEL_FORMAT_RANGE;
    }
    int64_t before = 0;
    for (uint32_t i = 0; i < state->count; i++) {
        int64_t time = rate_time(state, i);
        if (time < before) {
            return SENTINEL_FORMAT_RANGE;
        }
        before = time;
    }
    return bytes_are_zero(times + state->count,
                          (size_t)(state->capacity - state->count) * sizeof *times)
               ? SENTINEL_OK
               : SENTINEL_FORMAT_RESERVED;
}

static void rate_carry(void *window, const sentinel_constraint *constraint, const void *old,
                       const sentinel_constraint *old_constraint, int64_t last_ns) {
    (void)old_constraint, (void)last_ns;
    const sentinel_rate_state *from = old;
    uint32_t capacity = ((const sentinel_rate_state *)window)->capacity;
    uint32_t first = from->count > capacity ? from->count - capacity : 0;
    for (uint32_t event = first; event < from->count; event++) {
        rate_debit(window, constraint, 0, rate_time(from, event));
    }
}

static const policy_window daily_window = {
    .bytes = daily_bytes,
    .debit = daily_debit,
    .check = daily_check,
    .carry = daily_carry,
};
static const policy_window rolling_window = {
    .bytes = rolling_bytes,
    .debit = rolling_debit,
    .check = rolling_check,
    .carry = rolling_carry,
};
static const policy_window rate_window = {
    .bytes = rate_bytes,
    .init = rate_init,
    .debit = rate_debit,
    .check = rate_check,
    .carry = rate_carry,
};

const policy_rule policy_rule_daily_limit = {
    .name = "daily_limit",
    .actions = POLICY_ORDERS | POLICY_FUNDS,
    .fields = POLICY_FIELD_BOUND | POLICY_FIELD_EACH,
    .bound_max = INT64_MAX,
    .evaluate = daily_judge,
    .window = &daily_window,
};
const policy_rule policy_rule_rolling_cap = {
    .name = "rolling_cap",
    .actions = POLICY_ORDERS | POLICY_FUNDS,
    .fields = POLICY_FIELD_BOUND | POLICY_FIELD_WINDOW | POLICY_FIELD_EACH,
    .bound_max = INT64_MAX,
    .evaluate = rolling_judge,
    .window = &rolling_window,
};
const policy_rule policy_rule_rate_limit = {
    .name = "rate_limit",
    .actions = POLICY_ALL_ACTIONS,
    .fields = POLICY_FIELD_BOUND | POLICY_FIELD_WINDOW | POLICY_FIELD_EACH,
    .bound_max = SENTINEL_RATE_EVENTS_MAX,
    .evaluate = rate_judge,
    .window = &rate_window,
};
