/* What an order is worth in micro-USD (docs/2-policy.md, "Value"), and the
 * marks that this takes. */
#include "policy_rules.h"

/* Factors multiplied so far; once a product left 128 bits it stays lost. */
typedef struct product {
    wide_u128 mantissa;
    unsigned scale;
    int lost;
} product;

static void times(product *p, sentinel_decimal factor) {
    p->lost |= !math_multiply(&p->mantissa, (uint64_t)factor.mantissa);
    p->scale += factor.scale;
}

/* The product in micro-USD, rounded up; -1 when it does not fit. */
static int64_t in_micro_usd(product p) {
    if (p.lost) {
        return -1;
    }
    if (p.scale < 6) {
        return math_multiply(&p.mantissa, math_power(6 - p.scale)) && p.mantissa <= INT64_MAX
                   ? (int64_t)p.mantissa
                   : -1;
    }
    unsigned places = p.scale - 6;
    return places > MATH_POWER_MAX ? p.mantissa != 0 : math_ceiling(p.mantissa, math_power(places));
}

static sentinel_reason fresh(sentinel_decimal *mark, const sentinel_mark_state *state,
                             int64_t now_ns, int64_t max_age_ns) {
    if (state->kind == 0) {
        return SENTINEL_REASON_MARK_ABSENT;
    }
    *mark = (sentinel_decimal){.mantissa = state->mantissa, .scale = state->scale};
    return math_is_past(state->time_ns, now_ns, max_age_ns) ? SENTINEL_REASON_MARK_STALE
                                                            : SENTINEL_REASON_NONE;
}

static const sentinel_mark_state *marks_at(const sentinel_view *view, uint64_t offset) {
    return (const sentinel_mark_state *)((const uint8_t *)view->state + offset);
}

sentinel_reason policy_mark(sentinel_decimal *mark, const sentinel_view *view,
                            const sentinel_instrument *instrument, int64_t now_ns,
                            int64_t max_age_ns) {
    size_t index = (size_t)(instrument - view->bundle.instruments);
    return fresh(mark, &marks_at(view, view->state->instrument_marks)[index], now_ns, max_age_ns);
}

/* The mark of an asset in USD: its own, or its stand-in's; fixed, or fed. */
static sentinel_reason mark_in_usd(sentinel_decimal *mark, const sentinel_view *view,
                                   const sentinel_asset *asset, int64_t now_ns) {
    if (asset != NULL && asset->mark_asset != 0) {
        asset = sentinel_bundle_asset(&view->bundle, asset->mark_asset);
    }
    if (!SENTINEL_HOLDS(asset != NULL)) {
        return SENTINEL_REASON_MARK_ABSENT;
    }
    if (asset->par_micro_usd > 0) {
        *mark = math_normal((sentinel_decimal){.mantissa = asset->par_micro_usd, .scale = 6});
        return SENTINEL_REASON_NONE;
    }
    size_t index = (size_t)(asset - view->bundle.assets);
    return fresh(mark, &marks_at(view, view->state->asset_marks)[index], now_ns,
                 view->bundle.policy->mark_max_age_ns);
}

/* The price by which a quantity is valued: the worst that the order can come
 * to. `banded`: the order names no price, and the market's band is still to be
 * added. */
static sentinel_reason worst_price(sentinel_decimal *price, int *banded, const sentinel_view *view,
                                   const sentinel_subject *subject, int64_t now_ns) {
    int is_buy = subject->side == SENTINEL_SIDE_BUY;
    sentinel_decimal limit = math_normal(subject->price);
    sentinel_decimal trigger = math_normal(subject->trigger_price);
    sentinel_decimal mark = {0};
    int limited = (subject->present & SENTINEL_PRESENT_PRICE) != 0;
    *banded = !limited;
    if (limited && is_buy) {
        *price = limit;
        return SENTINEL_REASON_NONE;
    }
    sentinel_reason reason =
        policy_mark(&mark, view, subject->instrument, now_ns, view->bundle.policy->mark_max_age_ns);
    /* Absent prices are zero, so that they are never the greater. */
    *price =
        limited ? math_greater(math_greater(limit, mark), trigger) : math_greater(trigger, mark);
    return reason;
}

static sentinel_reason mark_of(sentinel_decimal *usd, const sentinel_view *view, uint32_t asset,
                               int64_t now_ns) {
    return mark_in_usd(usd, view, sentinel_bundle_asset(&view->bundle, asset), now_ns);
}

/* The quantity in the unit of the formulas. */
static void times_quantity(product *p, const sentinel_subject *subject) {
    times(p, math_normal(subject->quantity));
    if (subject->instrument->quantity_unit == SENTINEL_UNIT_CONTRACTS) {
        times(p, math_normal(subject->instrument->multiplier));
    }
}

/* What is bought or sold, at its price: spot, linear, quanto, and the premium
 * of an option. Inverse contracts are worth their quote units at any price. */
static sentinel_reason times_price(product *p, const sentinel_view *view,
                                   const sentinel_subject *subject, int64_t now_ns) {
    const sentinel_instrument *instrument = subject->instrument;
    int priced = instrument->contract != SENTINEL_CONTRACT_INVERSE;
    sentinel_decimal price = {0}, usd = {0};
    int banded = 0;
    sentinel_reason reason = SENTINEL_REASON_NONE;
    if (priced) {
        reason = worst_price(&price, &banded, view, subject, now_ns);
    }
    if (reason == SENTINEL_REASON_NONE) {
        uint32_t paid_in = instrument->contract == SENTINEL_CONTRACT_QUANTO ? instrument->settle
                                                                            : instrument->quote;
        reason = mark_of(&usd, view, paid_in, now_ns);
    }
    if (reason != SENTINEL_REASON_NONE) {
        return reason;
    }
    times_quantity(p, subject);
    if (priced) {
        times(p, price);
    }
    times(p, usd);
    if (banded) {
        int64_t factor = (int64_t)MATH_PPM + view->bundle.policy->market_band_ppm;
        times(p, (sentinel_decimal){.mantissa = factor, .scale = 6});
    }
    return SENTINEL_REASON_NONE;
}

/* Who sells an option may have to pay the strike, or deliver the base: two
 * products, of which the greater counts. */
static sentinel_reason times_notional(product *strike, product *base, const sentinel_view *view,
                                      const sentinel_subject *subject, int64_t now_ns) {
    const sentinel_instrument *instrument = subject->instrument;
    sentinel_decimal quote_usd = {.mantissa = 1}, base_usd = {0};
    sentinel_reason reason = SENTINEL_REASON_NONE;
    if (instrument->quote != instrument->base) { /* else the strike is in USD */
        reason = mark_of(&quote_usd, view, instrument->quote, now_ns);
    }
    if (reason == SENTINEL_REASON_NONE) {
        reason = mark_of(&base_usd, view, instrument->base, now_ns);
    }
    if (reason != SENTINEL_REASON_NONE) {
        return reason;
    }
    times_quantity(strike, subject);
    times(strike, math_normal(instrument->strike));
    times(strike, quote_usd);
    times_quantity(base, subject);
    times(base, base_usd);
    return SENTINEL_REASON_NONE;
}

static sentinel_reason times_funds(product *p, const sentinel_view *view, sentinel_decimal amount,
                                   const sentinel_asset *asset, int64_t now_ns) {
    sentinel_decimal usd = {0};
    sentinel_reason reason = mark_in_usd(&usd, view, asset, now_ns);
    if (reason == SENTINEL_REASON_NONE) {
        times(p, math_normal(amount));
        times(p, usd);
    }
    return reason;
}

/* `other` stays zero but for an option's sell. */
static sentinel_reason times_all(product *p, product *other, const sentinel_view *view,
                                 const sentinel_subject *subject, int64_t now_ns) {
    if (subject->asset != NULL && (POLICY_FUNDS >> subject->action & 1) != 0) {
        return times_funds(p, view, subject->amount, subject->asset, now_ns);
    }
    const sentinel_instrument *instrument = subject->instrument;
    if (instrument == NULL || (POLICY_ORDERS >> subject->action & 1) == 0) {
        return SENTINEL_REASON_UNSUPPORTED;
    }
    if ((subject->present & SENTINEL_PRESENT_QUOTE_QUANTITY) != 0) {
        return policy_takes_quote_quantity(instrument)
                   ? times_funds(p, view, subject->quote_quantity,
                                 sentinel_bundle_asset(&view->bundle, instrument->quote), now_ns)
                   : SENTINEL_REASON_UNSUPPORTED;
    }
    if ((subject->present & SENTINEL_PRESENT_QUANTITY) == 0) {
        return SENTINEL_REASON_UNSUPPORTED;
    }
    if (instrument->contract == SENTINEL_CONTRACT_OPTION && subject->side != SENTINEL_SIDE_BUY) {
        other->mantissa = 1;
        return times_notional(p, other, view, subject, now_ns);
    }
    return times_price(p, view, subject, now_ns);
}

sentinel_reason sentinel_policy_value(int64_t *value_micro_usd, const sentinel_view *view,
                                      const sentinel_subject *subject, int64_t now_ns) {
    product p = {.mantissa = 1}, other = {0};
    *value_micro_usd = INT64_MAX;
    sentinel_reason reason = times_all(&p, &other, view, subject, now_ns);
    if (reason != SENTINEL_REASON_NONE) {
        return reason;
    }
    int64_t value = in_micro_usd(p), value_other = in_micro_usd(other);
    if (value < 0 || value_other < 0) {
        return SENTINEL_REASON_VALUE_OVERFLOW;
    }
    *value_micro_usd = value > value_other ? value : value_other;
    return SENTINEL_REASON_NONE;
}

sentinel_reason policy_need_value(policy_turn *turn, sentinel_result *result) {
    if (!turn->value_known) {
        turn->value_reason =
            sentinel_policy_value(&turn->value, turn->view, turn->subject, turn->now_ns);
        turn->value_known = 1;
    }
    if (turn->value_reason == SENTINEL_REASON_NONE) {
        return SENTINEL_REASON_NONE;
    }
    return policy_unmeasured(result,
                             turn->value_reason == SENTINEL_REASON_VALUE_OVERFLOW
                                 ? SENTINEL_RESULT_SATURATED
                                 : SENTINEL_RESULT_UNKNOWN,
                             turn->value_reason);
}
