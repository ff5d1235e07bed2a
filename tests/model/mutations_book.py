"""Mistakes in books: which action has a place, what an amend takes over, what is spent."""

from __future__ import annotations

from tests.model.mutation import gate

BOOK = (
    gate(
        "what an order spends is amended by a quantity",
        "gate_resolve.c",
        "if (c->target != NULL && c->target->in_quote) {",
        "if (0) {",
    ),
    gate(
        "an older action pushes a later one out of the book",
        "gate_resolve.c",
        "c->duplicate_of == 0 && is_displaced(view, c)",
        "0",
    ),
    gate(
        "an approved order pushes a later one out of the book",
        "gate_resolve.c",
        "c->duplicate_of == 0 && is_displaced(view, c)",
        "c->duplicate_of == 0 && c->request == NULL && is_displaced(view, c)",
    ),
    gate(
        "a report counts for the place alone",
        "gate_book.c",
        "if (entry->amended_by == 0) {",
        "if (1) {",
    ),
    gate(
        "an amend leads to whatever has its place",
        "gate_book.c",
        "if (entry == NULL || action_id == 0 || entry->action_id != action_id) {",
        "if (entry == NULL || action_id == 0 || entry->action_id == 0) {",
    ),
    gate(
        "an amend begins to fill anew",
        "gate_book.c",
        "    entry->filled = head->filled;\n",
        "",
    ),
    gate(
        "an amend undoes an order's end",
        "gate_book.c",
        "    entry->status = head->status;\n",
        "",
    ),
    gate(
        "an amend was never reported",
        "gate_book.c",
        "    entry->reported_ns = head->reported_ns;\n",
        "",
    ),
    gate(
        "what an amend lowers may not fill any more",
        "gate_book.c",
        "math_greater(math_normal(entry->quantity), math_normal(head->quantity))",
        "math_normal(entry->quantity)",
    ),
    gate(
        "what an amend raises may not fill",
        "gate_book.c",
        "math_greater(math_normal(entry->quantity), math_normal(head->quantity))",
        "math_normal(head->quantity)",
    ),
    gate(
        "the amend before goes on, too",
        "gate_book.c",
        "    head->amended_by = entry->action_id;\n",
        "",
    ),
    gate(
        "the order that an amend names goes on, too",
        "gate_book.c",
        "    named->amended_by = entry->action_id;\n",
        "",
    ),
    gate(
        "an amend of what is unknown is known",
        "gate_book.c",
        "        entry->amended_by = named->amended_by;\n",
        "",
    ),
    gate(
        "an amend at Hyperliquid goes on with the order",
        "gate_book.c",
        "if (c->target != NULL && c->subject.instrument->venue != SENTINEL_VENUE_HYPERLIQUID) {",
        "if (c->target != NULL) {",
    ),
    gate(
        "an amend is an order of its own",
        "gate_book.c",
        "if (c->target != NULL && c->subject.instrument->venue != SENTINEL_VENUE_HYPERLIQUID) {",
        "if (0) {",
    ),
    gate(
        "an amend has a name of its own",
        "gate_book.c",
        "        entry.client_record = c->target->client_record;\n",
        "",
    ),
    gate(
        "what an order spends is taken for a quantity",
        "gate_book.c",
        "? subject->quote_quantity : subject->quantity;\n",
        "? subject->quote_quantity : subject->quantity;\n    entry->in_quote = 0;\n",
    ),
    gate(
        "an order by what it spends has no bound in the book",
        "gate_book.c",
        "entry->in_quote ? subject->quote_quantity : subject->quantity",
        "subject->quantity",
    ),
    gate(
        "what is spent is the filled quantity",
        "gate_book.c",
        "!math_multiply(&product, (uint64_t)price.mantissa)",
        "0",
    ),
    gate(
        "what is spent has the scale of the quantity",
        "gate_book.c",
        "        scale += price.scale;\n",
        "",
    ),
    gate(
        "what is spent on contracts has no multiplier",
        "gate_book.c",
        "if (instrument->quantity_unit == SENTINEL_UNIT_CONTRACTS) {",
        "if (0) {",
    ),
    gate(
        "what is spent on contracts has the scale of the price",
        "gate_book.c",
        "            scale += multiplier.scale;\n",
        "",
    ),
    gate(
        "a product beyond 128 bits is not above",
        "gate_book.c",
        "        if (!math_multiply(&product, 10)) {\n            return 1;",
        "        if (!math_multiply(&product, 10)) {\n            return 0;",
    ),
    gate(
        "an amount beyond 128 bits is below",
        "gate_book.c",
        "        if (!math_multiply(&bound, 10)) {\n            return 0;",
        "        if (!math_multiply(&bound, 10)) {\n            return 1;",
    ),
    gate(
        "an order by what it spends needs no price",
        "gate_report.c",
        "place->in_quote && report->filled.mantissa != 0 && report->price.mantissa == 0",
        "0",
    ),
    gate(
        "a feeder never takes the row of one that is gone",
        "gate_report.c",
        "if (!is_in_authority(context, feeders[i].key)) {",
        "if (0) {",
    ),
    gate(
        "a feeder takes the row of one that is there",
        "gate_report.c",
        "if (!is_in_authority(context, feeders[i].key)) {",
        "if (1) {",
    ),
    gate(
        "an expired order goes on",
        "gate_book.c",
        "status <= SENTINEL_ORDER_EXPIRED",
        "status < SENTINEL_ORDER_EXPIRED",
    ),
)
