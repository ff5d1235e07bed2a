/* Where the state of a bundle lies, and how rows are found by id. */
#include "state_internal.h"

SENTINEL_ASSERT_LAYOUT(SENTINEL_INSTRUMENTS_MAX <= UINT16_MAX, "an index leaves its slot");

/* So many that at least half stay free, and a power of two: 2^(32 - shift). */
static uint32_t slots_shift(const sentinel_bundle *bundle) {
    uint32_t shift = 31;
    while (UINT32_C(1) << (32 - shift) < 2 * bundle->instrument_count) {
        shift--;
    }
    return shift;
}

static state_arrays arrays_of(const sentinel_bundle *bundle) {
    state_arrays arrays = {0};
    arrays.agent_ordinals = bundle->constraint_count * sizeof(uint64_t);
    arrays.nodes_by_id = arrays.agent_ordinals + bundle->node_count * sizeof(uint32_t);
    arrays.constraints_by_id = arrays.nodes_by_id + bundle->node_count * sizeof(uint32_t);
    arrays.instrument_slots =
        arrays.constraints_by_id + bundle->constraint_count * sizeof(uint32_t);
    arrays.size = bytes_round_up(
        arrays.instrument_slots + (sizeof(uint16_t) << (32 - slots_shift(bundle))), 8);
    return arrays;
}

uint64_t sentinel_layout_bytes(const sentinel_bundle *bundle) {
    return arrays_of(bundle).size;
}

/* Bytes of the windows that one agent has of its own: under EACH_AGENT, one
 * for each such constraint of its chain. */
static uint64_t own_windows(const sentinel_bundle *bundle, uint32_t agent) {
    uint64_t size = 0;
    uint32_t node = agent;
    for (unsigned i = bundle->nodes[agent].depth + 1u; i > 0; i--) {
        const sentinel_node *row = &bundle->nodes[node];
        for (uint32_t k = 0; k < row->constraint_count; k++) {
            const sentinel_constraint *constraint = &bundle->constraints[row->constraint_first + k];
            const policy_window *window = policy_rule_of(constraint->kind)->window;
            if (window != NULL && constraint->each == SENTINEL_EACH_AGENT) {
                size += window->bytes(constraint);
            }
        }
        node = row->parent;
    }
    return size;
}

static uint64_t shared_windows(const sentinel_bundle *bundle) {
    uint64_t size = 0;
    for (uint32_t i = 0; i < bundle->constraint_count; i++) {
        const sentinel_constraint *constraint = &bundle->constraints[i];
        const policy_window *window = policy_rule_of(constraint->kind)->window;
        if (window != NULL && constraint->each == SENTINEL_SHARED) {
            size += window->bytes(constraint);
        }
    }
    return size;
}

/* Within 64 bits, whatever a checked bundle says: each agent's windows and
 * book, and every constraint's shared window, at their largest. */
#define WINDOW_BYTES_MAX (sizeof(sentinel_rate_state) + 8 * (uint64_t)SENTINEL_RATE_EVENTS_MAX)
SENTINEL_ASSERT_LAYOUT((SENTINEL_NODES_MAX * (uint64_t)SENTINEL_CHAIN_CONSTRAINTS_MAX +
                        SENTINEL_CONSTRAINTS_MAX) < (UINT64_C(1) << 62) / WINDOW_BYTES_MAX,
                       "windows may leave 64 bits");
SENTINEL_ASSERT_LAYOUT(SENTINEL_NODES_MAX *(uint64_t)SENTINEL_BOOK_ENTRIES_MAX <
                           (UINT64_C(1) << 62) / sizeof(sentinel_book_entry),
                       "books may leave 64 bits");

state_plan state_plan_of(const sentinel_bundle *bundle) {
    state_plan plan = {.nodes = sizeof(sentinel_state)};
    uint64_t own = 0;
    for (uint32_t i = 0; i < bundle->node_count; i++) {
        if (bundle->nodes[i].kind == SENTINEL_NODE_AGENT) {
            plan.agent_count++;
            own += own_windows(bundle, i);
        }
    }
    plan.instruments = plan.nodes + bundle->node_count * sizeof(sentinel_stop_state);
    plan.positions = plan.instruments + bundle->instrument_count * sizeof(sentinel_stop_state);
    plan.agents = plan.positions + bundle->instrument_count * sizeof(sentinel_position_state);
    plan.instrument_marks = plan.agents + plan.agent_count * sizeof(sentinel_agent_state);
    plan.asset_marks =
        plan.instrument_marks + bundle->instrument_count * sizeof(sentinel_mark_state);
    plan.book = plan.asset_marks + bundle->asset_count * sizeof(sentinel_mark_state);
    plan.windows = plan.book + (uint64_t)plan.agent_count * bundle->policy->book_entries *
                                   sizeof(sentinel_book_entry);
    plan.size = plan.windows + own + shared_windows(bundle);
    plan.size = plan.size <= SENTINEL_STATE_BYTES_MAX ? plan.size : 0;
    return plan;
}

uint64_t sentinel_state_bytes(const sentinel_bundle *bundle) {
    return state_plan_of(bundle).size;
}

/* Gives agents their ordinals so that those below any node adjoin. `counts`:
 * room for a number per node; filled with the agents below it. */
static void number_agents(const sentinel_bundle *bundle, uint32_t *ordinals, uint32_t *counts) {
    const sentinel_node *nodes = bundle->nodes;
    for (uint32_t i = 0; i < bundle->node_count; i++) {
        counts[i] = nodes[i].kind == SENTINEL_NODE_AGENT;
    }
    /* Children stand after their parents: from the last, sums are complete. */
    for (uint32_t i = bundle->node_count - 1; i > 0; i--) {
        counts[nodes[i].parent] += counts[i];
    }
    /* From the first, each node takes its share of its parent's range; a
     * parent's own number runs ahead meanwhile, and is then set back. */
    ordinals[0] = 0;
    for (uint32_t i = 1; i < bundle->node_count; i++) {
        ordinals[i] = ordinals[nodes[i].parent];
        ordinals[nodes[i].parent] += counts[i];
    }
    for (uint32_t i = 0; i < bundle->node_count; i++) {
        ordinals[i] -= nodes[i].kind == SENTINEL_NODE_AGENT ? 0 : counts[i];
    }
}

static void place_windows(const sentinel_bundle *bundle, const state_plan *plan,
                          const uint32_t *counts, uint64_t *offsets) {
    uint64_t next = plan->windows;
    for (uint32_t i = 0; i < bundle->constraint_count; i++) {
        const sentinel_constraint *constraint = &bundle->constraints[i];
        const policy_window *window = policy_rule_of(constraint->kind)->window;
        offsets[i] = next;
        if (window != NULL) {
            next += window->bytes(constraint) *
                    (constraint->each == SENTINEL_EACH_AGENT ? counts[constraint->node] : 1);
        }
    }
}

/* Rows of nodes and constraints both begin with their id. */
static uint32_t id_at(const void *rows, size_t row_bytes, uint32_t index) {
    uint32_t id;
    memcpy(&id, (const uint8_t *)rows + index * row_bytes, sizeof id);
    return id;
}

/* Lets the entry at `root` sink to its place in a heap. */
static void sink(uint32_t *order, uint32_t root, uint32_t count, const void *rows,
                 size_t row_bytes) {
    uint32_t entry = order[root];
    uint32_t id = id_at(rows, row_bytes, entry);
    for (uint32_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count &&
            id_at(rows, row_bytes, order[child]) < id_at(rows, row_bytes, order[child + 1])) {
            child++;
        }
        if (id_at(rows, row_bytes, order[child]) <= id) {
            break;
        }
        order[root] = order[child];
        root = child;
    }
    order[root] = entry;
}

/* Heap sort: in place, without recursion, never quadratic. */
static sentinel_status sort_by_id(uint32_t *order, uint32_t count, const void *rows,
                                  size_t row_bytes) {
    for (uint32_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (uint32_t i = count / 2; i > 0; i--) {
        sink(order, i - 1, count, rows, row_bytes);
    }
    for (uint32_t end = count; end > 1; end--) {
        uint32_t last = order[end - 1];
        order[end - 1] = order[0];
        order[0] = last;
        sink(order, 0, end - 1, rows, row_bytes);
    }
    for (uint32_t i = 1; i < count; i++) {
        if (id_at(rows, row_bytes, order[i - 1]) == id_at(rows, row_bytes, order[i])) {
            return SENTINEL_FORMAT_ORDER;
        }
    }
    return SENTINEL_OK;
}

static uint32_t find_by_id(const uint32_t *order, uint32_t count, const void *rows,
                           size_t row_bytes, uint32_t id) {
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t found = id_at(rows, row_bytes, order[middle]);
        if (found == id) {
            return order[middle];
        }
        if (found < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return SENTINEL_NODE_NONE;
}

uint32_t state_find_node(const sentinel_view *view, uint32_t id) {
    return find_by_id(view->nodes_by_id, view->bundle.node_count, view->bundle.nodes,
                      sizeof *view->bundle.nodes, id);
}

uint32_t state_find_constraint(const sentinel_view *view, uint32_t id) {
    return find_by_id(view->constraints_by_id, view->bundle.constraint_count,
                      view->bundle.constraints, sizeof *view->bundle.constraints, id);
}

/* Linear probing: from its own slot on, each goes to the first that is free. */
static void place_instruments(const sentinel_view *view, uint16_t *slots) {
    const uint32_t mask = UINT32_MAX >> view->instrument_shift;
    memset(slots, 0, ((size_t)mask + 1) * sizeof *slots);
    for (uint32_t i = 0; i < view->bundle.instrument_count; i++) {
        uint32_t slot = state_slot_of(view, view->bundle.instruments[i].id);
        while (slots[slot] != 0) {
            slot = (slot + 1) & mask;
        }
        slots[slot] = (uint16_t)(i + 1);
    }
}

sentinel_status state_lay_out(sentinel_view *view, const state_plan *plan,
                              const sentinel_bundle *bundle, void *layout, uint64_t layout_size,
                              void *state) {
    state_arrays arrays = arrays_of(bundle);
    if (layout == NULL || state == NULL || (((uintptr_t)layout | (uintptr_t)state) & 7) != 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (plan->size == 0 || arrays.size > layout_size) {
        return SENTINEL_POLICY_ARENA;
    }
    uint8_t *base = layout;
    uint64_t *offsets = (uint64_t *)(base + arrays.window_offsets);
    uint32_t *ordinals = (uint32_t *)(base + arrays.agent_ordinals);
    uint32_t *nodes = (uint32_t *)(base + arrays.nodes_by_id);
    uint32_t *constraints = (uint32_t *)(base + arrays.constraints_by_id);
    uint16_t *slots = (uint16_t *)(base + arrays.instrument_slots);
    /* The order of nodes is not known yet; its place serves for the counts. */
    number_agents(bundle, ordinals, nodes);
    place_windows(bundle, plan, nodes, offsets);
    SENTINEL_TRY(sort_by_id(nodes, bundle->node_count, bundle->nodes, sizeof *bundle->nodes));
    SENTINEL_TRY(sort_by_id(constraints, bundle->constraint_count, bundle->constraints,
                            sizeof *bundle->constraints));
    *view = (sentinel_view){
        .bundle = *bundle,
        .state = state,
        .window_offsets = offsets,
        .agent_ordinals = ordinals,
        .nodes_by_id = nodes,
        .constraints_by_id = constraints,
        .instrument_slots = slots,
        .instrument_shift = slots_shift(bundle),
    };
    place_instruments(view, slots);
    return SENTINEL_OK;
}

uint64_t state_window_count(const sentinel_view *view, uint32_t row, const policy_window *window) {
    const sentinel_bundle *bundle = &view->bundle;
    uint64_t end = row + 1 < bundle->constraint_count ? view->window_offsets[row + 1]
                                                      : state_plan_of(bundle).size;
    return (end - view->window_offsets[row]) / window->bytes(&bundle->constraints[row]);
}
