/* Reads of an agent's state, asked for ahead: of one among 100,000 nothing is in
 * the processor's memory, and a dozen lines would be waited for one by one. */
#include "gate_internal.h"
#include "state_internal.h"

enum { LINE = 64, OWN_ROWS = 8, FRAME = 1024 /* bytes, about, with a dozen constraints */ };

SENTINEL_ASSERT_LAYOUT(sizeof(sentinel_instrument) <= 3 * LINE &&
                           sizeof(sentinel_mark_state) <= LINE,
                       "a row has lines that are not fetched");

static inline void fetch(const void *at) {
    __builtin_prefetch(at, 1);
}

/* The row of an order's instrument, and its mark. Where its slot is another's,
 * that one's are fetched for nothing. */
void gate_fetch_instrument(const sentinel_view *view, const gate_case *c) {
    const uint32_t row = view->instrument_slots[state_slot_of(view, c->order.place.instrument)];
    if (c->order.header.action == SENTINEL_ACTION_PLACE && row != 0) {
        const uint8_t *at = (const uint8_t *)&view->bundle.instruments[row - 1];
        fetch(at);
        fetch(at + LINE);
        fetch(at + sizeof *view->bundle.instruments - 1);
        const sentinel_mark_state *marks = state_at(view, view->state->instrument_marks);
        fetch(&marks[row - 1]);
    }
}

/* Where the record goes: the lines of a frame and of the head, which else are
 * waited for when what was stored into them is read back. */
void gate_fetch_log(const sentinel_log *log) {
    if (log->segment == NULL) {
        return;
    }
    const uint8_t *frame = log->segment + log->segment_offset;
    for (size_t at = 0; at < FRAME; at += LINE) {
        fetch(frame + at);
    }
    fetch((const uint8_t *)log->head_page + (log->generation + 1) % 2 * SENTINEL_HEAD_SLOT_BYTES);
}

void gate_fetch_agent(const sentinel_view *view, const gate_case *c) {
    const sentinel_bundle *bundle = &view->bundle;
    const sentinel_node *node = &bundle->nodes[c->node];
    const sentinel_agent_state *agent = c->agent;
    uint64_t id = 0;
    memcpy(&id, (const uint8_t *)&c->order + offsetof(sentinel_order_header, action_id), sizeof id);
    const unsigned slot = id % SENTINEL_ID_WINDOW;
    fetch(agent);
    fetch(&agent->id_record[slot]);
    fetch(&agent->id_parent[slot]);
    fetch(&agent->id_parent_slot[slot]);
    fetch(&agent->beat_deadline_ns);
    const uint8_t *entry = (const uint8_t *)state_book(view, c->node, id);
    fetch(entry);
    fetch(entry + LINE);
    fetch(&view->window_offsets[node->constraint_first]);
    const uint8_t *rows = (const uint8_t *)&bundle->constraints[node->constraint_first];
    const uint32_t count = node->constraint_count < OWN_ROWS ? node->constraint_count : OWN_ROWS;
    for (size_t at = 0; at < count * sizeof *bundle->constraints; at += LINE) {
        fetch(rows + at);
    }
}

void gate_fetch_windows(const sentinel_view *view, const gate_case *c) {
    const sentinel_node *node = &view->bundle.nodes[c->node];
    const uint32_t count = node->constraint_count < OWN_ROWS ? node->constraint_count : OWN_ROWS;
    for (uint32_t row = node->constraint_first; row < node->constraint_first + count; row++) {
        /* Where a row has no window, its offset is that of the next. */
        fetch(state_at(view, view->window_offsets[row]));
    }
}

/* The oldest event of a rate, which is known once the window is there. */
void gate_fetch_rings(const sentinel_view *view, const gate_case *c) {
    const sentinel_node *node = &view->bundle.nodes[c->node];
    const uint32_t count = node->constraint_count < OWN_ROWS ? node->constraint_count : OWN_ROWS;
    for (uint32_t row = node->constraint_first; row < node->constraint_first + count; row++) {
        if (view->bundle.constraints[row].kind == SENTINEL_RULE_RATE_LIMIT) {
            const sentinel_rate_state *rate = state_at(view, view->window_offsets[row]);
            fetch((const int64_t *)(rate + 1) + rate->next);
        }
    }
}
