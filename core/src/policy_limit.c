/* Caps on one order: its value, its quantity. */
#include "policy_rules.h"

static sentinel_reason judge_value(policy_turn *turn, const sentinel_constraint *constraint,
                                   sentinel_result *result) {
    sentinel_reason reason = policy_need_value(turn, result);
    if (reason != SENTINEL_REASON_NONE) {
        return reason;
    }
    result->value = turn->value;
    return turn->value <= constraint->bound ? SENTINEL_REASON_NONE : SENTINEL_REASON_VALUE_CAP;
}

/* value x 10^scale, rounded up; -1 when it does not fit. */
static int64_t at_scale(sentinel_decimal value, unsigned scale) {
    wide_u128 mantissa = (uint64_t)value.mantissa;
    return scale >= value.scale ? math_ceiling(mantissa * math_power(scale - value.scale), 1)
                                : math_ceiling(mantissa, math_power(value.scale - scale));
}

/* What a quote quantity can buy at most, at the mark less the band; -1 when
 * it does not fit. The powers of ten of both sides are cancelled first. */
static int64_t bought(sentinel_decimal quote, sentinel_decimal mark, uint32_t band_ppm,
                      unsigned scale) {
    unsigned above = scale + mark.scale, below = quote.scale;
    unsigned shared = above < below ? above : below;
    wide_u128 numerator = (uint64_t)quote.mantissa;
    wide_u128 denominator = (uint64_t)mark.mantissa;
    if (!math_multiply(&numerator, MATH_PPM) ||
        !math_multiply(&numerator, math_power(above - shared)) ||
        !math_multiply(&denominator, MATH_PPM - band_ppm) ||
        !math_multiply(&denominator, math_power(below - shared))) {
        return -1;
    }
    return math_ceiling(numerator, denominator);
}

static sentinel_reason judge_quantity(policy_turn *turn, const sentinel_constraint *constraint,
                                      sentinel_result *result) {
    const sentinel_subject *subject = turn->subject;
    const sentinel_policy *policy = turn->view->bundle.policy;
    if ((subject->present & SENTINEL_PRESENT_QUOTE_QUANTITY) != 0) {
        /* What would buy contracts or quote units is not a base quantity. */
        if (subject->instrument == NULL || !policy_takes_quote_quantity(subject->instrument) ||
            subject->instrument->quantity_unit != SENTINEL_UNIT_BASE) {
            return policy_unmeasured(result, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_UNSUPPORTED);
        }
        sentinel_decimal mark = {0};
        sentinel_reason reason = policy_mark(&mark, turn->view, subject->instrument, turn->now_ns,
                                             policy->mark_max_age_ns);
        if (reason != SENTINEL_REASON_NONE) {
            return policy_unmeasured(result, SENTINEL_RESULT_UNKNOWN, reason);
        }
        result->value = bought(math_normal(subject->quote_quantity), mark, policy->market_band_ppm,
                               constraint->bound_scale);
    } else if ((subject->present & SENTINEL_PRESENT_QUANTITY) != 0) {
        result->value = at_scale(math_normal(subject->quantity), constraint->bound_scale);
    } else {
        return policy_unmeasured(result, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_UNSUPPORTED);
    }
    if (result->value < 0) {
        return policy_unmeasured(result, SENTINEL_RESULT_SATURATED, SENTINEL_REASON_QUANTITY_CAP);
    }
    return result->value <= constraint->bound ? SENTINEL_REASON_NONE : SENTINEL_REASON_QUANTITY_CAP;
}

const policy_rule policy_rule_value_cap = {
    .name = "value_cap",
    .actions = POLICY_ORDERS | POLICY_FUNDS,
    .fields = POLICY_FIELD_BOUND,
    .bound_max = INT64_MAX,
    .evaluate = judge_value,
};
const policy_rule policy_rule_quantity_cap = {
    .name = "quantity_cap",
    .actions = POLICY_ORDERS,
    .fields = POLICY_FIELD_BOUND | POLICY_FIELD_BOUND_SCALE,
    .bound_max = INT64_MAX,
    .evaluate = judge_quantity,
};
