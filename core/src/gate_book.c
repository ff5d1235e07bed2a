/* The book: what was signed, by action, and what was reported of it. */
#include "gate_internal.h"
#include "state_internal.h"

sentinel_book_entry *gate_book_head(const sentinel_view *view, uint32_t node, uint64_t action_id) {
    /* Each step leads to a later record, so that it ends; in a state from
     * outside, the count sees to that. */
    for (uint32_t left = view->bundle.policy->book_entries; left > 0; left--) {
        sentinel_book_entry *entry = sentinel_view_book(view, node, action_id);
        if (entry == NULL || action_id == 0 || entry->action_id != action_id) {
            return NULL;
        }
        if (entry->amended_by == 0) {
            return entry;
        }
        action_id = entry->amended_by;
    }
    return NULL;
}

/* The order goes on under the amend's action: what was filled is filled, and
 * until the venue says, either quantity may be the one that counts. */
static void take_over(sentinel_book_entry *entry, const sentinel_view *view, uint32_t node,
                      sentinel_book_entry *named) {
    sentinel_book_entry *head = gate_book_head(view, node, named->action_id);
    if (head == NULL) { /* what was reported of it is lost, and stays unknown */
        entry->amended_by = named->amended_by;
        return;
    }
    entry->quantity = math_greater(math_normal(entry->quantity), math_normal(head->quantity));
    entry->filled = head->filled;
    entry->reported_ns = head->reported_ns;
    entry->status = head->status;
    head->amended_by = entry->action_id;
    named->amended_by = entry->action_id;
}

/* All that the order says; the rest of the entry must be zero already. */
static void enter(sentinel_book_entry *entry, const sentinel_view *view, const gate_case *c) {
    const sentinel_state *state = view->state;
    const sentinel_subject *subject = &c->subject;
    entry->action_id = c->order.header.action_id;
    entry->record = state->record_count;
    entry->epoch = state->epoch;
    entry->client_record = state->record_count;
    entry->client_epoch = state->epoch;
    entry->instrument = subject->instrument->id;
    entry->side = subject->side;
    entry->type = subject->type;
    entry->time_in_force = subject->time_in_force;
    entry->reduce_only = subject->reduce_only;
    entry->in_quote = (subject->present & SENTINEL_PRESENT_QUANTITY) == 0;
    entry->quantity = entry->in_quote ? subject->quote_quantity : subject->quantity;
}

/* Out of line, so that a place has a short way. */
__attribute__((noinline)) static void enter_amend(const sentinel_view *view, const gate_case *c) {
    sentinel_book_entry entry = {0};
    enter(&entry, view, c);
    if (c->target != NULL) { /* it keeps the name under which the venue knows the order */
        entry.client_record = c->target->client_record;
        entry.client_epoch = c->target->client_epoch;
    }
    /* Hyperliquid ends the order and begins another, which fills from zero. */
    if (c->target != NULL && c->subject.instrument->venue != SENTINEL_VENUE_HYPERLIQUID) {
        take_over(&entry, view, c->node, sentinel_view_book(view, c->node, c->target->action_id));
    }
    *state_book(view, c->node, entry.action_id) = entry;
}

void gate_book_enter(const sentinel_view *view, const gate_case *c) {
    if (c->subject.action == SENTINEL_ACTION_AMEND) {
        enter_amend(view, c);
    } else if (c->subject.action == SENTINEL_ACTION_PLACE) {
        sentinel_book_entry *entry = state_book(view, c->node, c->order.header.action_id);
        entry->filled = (sentinel_decimal){0};
        entry->reported_ns = 0;
        entry->amended_by = 0;
        entry->status = 0;
        enter(entry, view, c);
    }
}

/* product x 10^-scale is above a decimal. */
static int is_above(wide_u128 product, unsigned scale, sentinel_decimal most) {
    wide_u128 bound = (uint64_t)most.mantissa;
    for (; scale < most.scale; scale++) {
        if (!math_multiply(&product, 10)) {
            return 1;
        }
    }
    for (unsigned at = most.scale; at < scale; at++) {
        if (!math_multiply(&bound, 10)) {
            return 0;
        }
    }
    return product > bound;
}

/* More than was ordered; of an order by what it spends, by the average price. */
static int fills_too_much(const sentinel_book_entry *entry, const sentinel_instrument *instrument,
                          const sentinel_report *report) {
    sentinel_decimal filled = math_normal(report->filled);
    wide_u128 product = (uint64_t)filled.mantissa;
    unsigned scale = filled.scale;
    if (entry->in_quote) {
        sentinel_decimal price = math_normal(report->price);
        sentinel_decimal multiplier = math_normal(instrument->multiplier);
        if (!math_multiply(&product, (uint64_t)price.mantissa)) {
            return 1;
        }
        scale += price.scale;
        if (instrument->quantity_unit == SENTINEL_UNIT_CONTRACTS) {
            if (!math_multiply(&product, (uint64_t)multiplier.mantissa)) {
                return 1;
            }
            scale += multiplier.scale;
        }
    }
    return is_above(product, scale, math_normal(entry->quantity));
}

/* Adds a fill to the position; 0 when it does not fit. */
static int add_fill(sentinel_position_state *position, uint8_t side, sentinel_decimal before,
                    sentinel_decimal after) {
    unsigned scale = position->scale;
    scale = before.scale > scale ? before.scale : scale;
    scale = after.scale > scale ? after.scale : scale;
    /* Each is below 2^63 x 10^18, so that the sum of three stays within 127 bits. */
    wide_i128 delta = (wide_i128)(math_at_scale(after, scale) - math_at_scale(before, scale));
    wide_i128 sum = (wide_i128)position->mantissa * (wide_i128)math_power(scale - position->scale);
    sum += side == SENTINEL_SIDE_BUY ? delta : -delta;
    while (scale > 0 && sum % 10 == 0) {
        sum /= 10;
        scale--;
    }
    if (sum > INT64_MAX || sum < -INT64_MAX) {
        return 0;
    }
    position->mantissa = (int64_t)sum;
    position->scale = (uint8_t)scale;
    return 1;
}

static int has_ended(uint8_t status) {
    return status >= SENTINEL_ORDER_FILLED && status <= SENTINEL_ORDER_EXPIRED;
}

unsigned gate_book_report(sentinel_book_entry *entry, sentinel_position_state *position,
                          const sentinel_instrument *instrument, const sentinel_report *report,
                          int64_t now_ns) {
    sentinel_decimal filled = math_normal(report->filled);
    unsigned scale = filled.scale > entry->filled.scale ? filled.scale : entry->filled.scale;
    wide_u128 after = math_at_scale(filled, scale);
    wide_u128 before = math_at_scale(entry->filled, scale);
    if (after < before) {
        return SENTINEL_REPORT_SHRANK;
    }
    if (fills_too_much(entry, instrument, report)) {
        return SENTINEL_REPORT_ABOVE;
    }
    if (has_ended(entry->status) && (report->status != entry->status || after != before)) {
        return SENTINEL_REPORT_CLOSED;
    }
    /* What was stated at that time, or after it, holds the fill already. */
    if (report->time_ns > position->stated_ns) {
        if (!add_fill(position, entry->side, entry->filled, filled)) {
            return SENTINEL_REPORT_POSITION;
        }
        if (report->time_ns > position->time_ns) {
            position->time_ns = report->time_ns;
        }
    }
    entry->filled = filled;
    entry->status = report->status;
    entry->reported_ns = now_ns;
    return 0;
}

void gate_book_state(sentinel_position_state *position, const sentinel_position *stated) {
    if (stated->time_ns < position->time_ns) {
        return;
    }
    sentinel_decimal size = stated->quantity;
    int is_short = size.mantissa < 0;
    size.mantissa = is_short ? -size.mantissa : size.mantissa;
    size = math_normal(size);
    position->mantissa = is_short ? -size.mantissa : size.mantissa;
    position->scale = size.scale;
    position->time_ns = stated->time_ns;
    position->stated_ns = stated->time_ns;
}
