"""Mistakes in what is reported: fills, positions, and what closes under a drain."""

from __future__ import annotations

from tests.model.mutation import gate, policy

REPORTS = (
    policy(
        "a close may be one larger than the position",
        "policy_stop.c",
        "math_at_scale(subject->quantity, scale) <= held * math_power(scale - position->scale)",
        "math_at_scale(subject->quantity, scale) <= held * math_power(scale - position->scale) + 1",
    ),
    policy(
        "a close and a position are compared digit by digit",
        "policy_stop.c",
        "held * math_power(scale - position->scale)",
        "held",
    ),
    policy(
        "a buy closes what is long",
        "policy_stop.c",
        "position->mantissa > 0 ? SENTINEL_SIDE_SELL : SENTINEL_SIDE_BUY",
        "position->mantissa < 0 ? SENTINEL_SIDE_SELL : SENTINEL_SIDE_BUY",
    ),
    policy(
        "a version may count a position otherwise",
        "state_carry.c",
        "one.mantissa == other.mantissa &&",
        "",
    ),
    policy(
        "a version may make a position another asset's",
        "state_carry.c",
        "a->base == b->base &&",
        "",
    ),
    policy(
        "a version forgets positions",
        "state_carry.c",
        "*sentinel_view_position(view, row) = *sentinel_view_position(old, from);",
        "",
    ),
    gate(
        "a gap in a feeder's sequence is nothing",
        "gate_report.c",
        ": sequence != last + 1 ? SENTINEL_REPORT_GAP",
        ": sequence == 0 ? SENTINEL_REPORT_GAP",
    ),
    gate(
        "the same frame of reports once more is a replay",
        "gate_report.c",
        "sequence == last && bytes_equal(",
        "sequence == last && 0 && bytes_equal(",
    ),
    gate(
        "a report of what was never signed is skipped",
        "gate_report.c",
        "        *fault = SENTINEL_REPORT_UNSIGNED;\n",
        "",
    ),
    gate(
        "a gap stops the agent of the first row",
        "gate_report.c",
        "contradict(context, given, view->bundle.nodes[0].id, fault, 0)",
        "contradict(context, given, reports[0].agent, fault, 0)",
    ),
    gate(
        "all feeders have one sequence",
        "gate_report.c",
        "feeders[i].key == key || feeders[i].key == 0",
        "feeders[i].key == key || i == 0",
    ),
    gate(
        "rows of one order each begin where the frame began",
        "gate_report.c",
        "if (work->entry_places[i] == place) {",
        "if (0) {",
    ),
    gate(
        "rows of one instrument each begin where the frame began",
        "gate_report.c",
        "if (work->position_places[i] == place) {",
        "if (0) {",
    ),
    gate(
        "a report of tomorrow is taken",
        "gate_report.c",
        "report->time_ns > issued_ns",
        "0",
    ),
    gate(
        "a rejected order may be filled",
        "gate_report.c",
        "    case SENTINEL_ORDER_REJECTED:\n        fits = !has_filled;",
        "        fits = !has_filled;\n        break;\n    case SENTINEL_ORDER_REJECTED:",
    ),
    gate(
        "positions need no other power than reports",
        "gate_report.c",
        "given, SENTINEL_POWER_FEED_POSITION",
        "given, SENTINEL_POWER_FEED_EXECUTION",
    ),
    gate(
        "positions are stated in any sequence",
        "gate_feed.c",
        "        gate_state(context)->sequences[sequence] = frame->header->sequence;\n",
        "",
    ),
    gate(
        "an order takes over the fills of the one before in its place",
        "gate_book.c",
        "        entry->filled = (sentinel_decimal){0};\n",
        "",
    ),
    gate(
        "a fill above the order is taken",
        "gate_book.c",
        "return product > bound;",
        "return 0;",
    ),
    gate(
        "one more than the order is taken",
        "gate_book.c",
        "return product > bound;",
        "return product > bound + 1;",
    ),
    gate(
        "a fill is compared digit by digit",
        "gate_book.c",
        "    for (; scale < most.scale; scale++) {",
        "    for (; 0; scale++) {",
    ),
    gate(
        "a fill may shrink",
        "gate_book.c",
        "if (after < before) {",
        "if (0) {",
    ),
    gate(
        "an order that ended fills on",
        "gate_book.c",
        "if (has_ended(entry->status) &&",
        "if (0 &&",
    ),
    gate(
        "an order that ended changes its end",
        "gate_book.c",
        "(report->status != entry->status || after != before)",
        "after != before",
    ),
    gate(
        "a fill that was stated counts twice",
        "gate_book.c",
        "if (report->time_ns > position->stated_ns) {",
        "if (report->time_ns >= position->stated_ns) {",
    ),
    gate(
        "a sell adds to the position",
        "gate_book.c",
        "sum += side == SENTINEL_SIDE_BUY ? delta : -delta;",
        "sum += delta;",
    ),
    gate(
        "the whole fill counts with each report",
        "gate_book.c",
        "add_fill(position, entry->side, entry->filled, filled)",
        "add_fill(position, entry->side, (sentinel_decimal){0}, filled)",
    ),
    gate(
        "a position wraps round",
        "gate_book.c",
        "if (sum > INT64_MAX || sum < -INT64_MAX) {",
        "if (0) {",
    ),
    gate(
        "an old statement undoes a fill",
        "gate_book.c",
        "if (stated->time_ns < position->time_ns) {",
        "if (stated->time_ns < position->stated_ns) {",
    ),
    gate(
        "a statement of the same time is skipped",
        "gate_book.c",
        "if (stated->time_ns < position->time_ns) {",
        "if (stated->time_ns <= position->time_ns) {",
    ),
    gate(
        "a STOP record says another fault",
        "gate_report.c",
        ".detail = (uint16_t)fault,",
        ".detail = SENTINEL_REPORT_UNSIGNED,",
    ),
    gate(
        "a STOP record says another row",
        "gate_report.c",
        ".row = (uint16_t)row,",
        ".row = (uint16_t)(row + 1),",
    ),
    gate(
        "a replayed frame is called a gap",
        "gate_report.c",
        "sequence <= last       ? SENTINEL_REPORT_REPLAYED",
        "sequence <= last       ? SENTINEL_REPORT_GAP",
    ),
    gate(
        "what shrank is called above the order",
        "gate_book.c",
        "        return SENTINEL_REPORT_SHRANK;",
        "        return SENTINEL_REPORT_ABOVE;",
    ),
)
