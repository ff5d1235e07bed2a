/* The price collar: how far an order's prices are from the mark. */
#include "policy_rules.h"

/* Parts per million of the mark, rounded up; -1 when that does not fit. */
static int64_t deviation(sentinel_decimal price, sentinel_decimal mark) {
    unsigned scale = price.scale > mark.scale ? price.scale : mark.scale;
    wide_u128 p = math_at_scale(price, scale), m = math_at_scale(mark, scale);
    wide_u128 apart = p > m ? p - m : m - p;
    return math_multiply(&apart, MATH_PPM) ? math_ceiling(apart, m) : -1;
}

static sentinel_reason judge_collar(policy_turn *turn, const sentinel_constraint *constraint,
                                    sentinel_result *result) {
    const sentinel_subject *subject = turn->subject;
    sentinel_decimal mark = {0};
    sentinel_reason reason = SENTINEL_REASON_MARK_ABSENT;
    if (SENTINEL_HOLDS(subject->instrument != NULL)) {
        reason = policy_mark(&mark, turn->view, subject->instrument, turn->now_ns,
                             constraint->max_age_ns);
    }
    if (reason != SENTINEL_REASON_NONE) {
        return policy_unmeasured(result, SENTINEL_RESULT_UNKNOWN, reason);
    }
    const struct {
        uint32_t present;
        const sentinel_decimal *price;
    } prices[2] = {
        {SENTINEL_PRESENT_PRICE, &subject->price},
        {SENTINEL_PRESENT_TRIGGER_PRICE, &subject->trigger_price},
    };
    for (unsigned i = 0; i < 2; i++) {
        if ((subject->present & prices[i].present) == 0) {
            continue;
        }
        int64_t apart = deviation(math_normal(*prices[i].price), mark);
        if (apart < 0) {
            return policy_unmeasured(result, SENTINEL_RESULT_SATURATED,
                                     SENTINEL_REASON_PRICE_COLLAR);
        }
        result->value = apart > result->value ? apart : result->value;
    }
    return result->value <= constraint->bound ? SENTINEL_REASON_NONE : SENTINEL_REASON_PRICE_COLLAR;
}

const policy_rule policy_rule_price_collar = {
    .name = "price_collar",
    .actions = POLICY_ORDERS,
    .fields = POLICY_FIELD_BOUND | POLICY_FIELD_MAX_AGE,
    .bound_max = INT64_MAX,
    .evaluate = judge_collar,
};
