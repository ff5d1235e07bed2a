/* What the sources of the state share: where things lie, rows by id. */
#ifndef SENTINEL_STATE_INTERNAL_H
#define SENTINEL_STATE_INTERNAL_H

#include "policy_rules.h"

/* Where the tables of a bundle's state begin. Windows come last. */
typedef struct state_plan {
    uint64_t nodes;
    uint64_t instruments;
    uint64_t positions;
    uint64_t agents;
    uint64_t instrument_marks;
    uint64_t asset_marks;
    uint64_t book;
    uint64_t windows;
    uint64_t size; /* 0: too large */
    uint32_t agent_count;
} state_plan;

/* Where the arrays of a bundle's layout begin. */
typedef struct state_arrays {
    uint64_t window_offsets;
    uint64_t agent_ordinals;
    uint64_t nodes_by_id;
    uint64_t constraints_by_id;
    uint64_t instrument_slots;
    uint64_t size;
} state_arrays;

static inline void *state_at(const sentinel_view *view, uint64_t offset) {
    return (uint8_t *)view->state + offset;
}

/* The slot at which the search for an instrument begins. */
static inline uint32_t state_slot_of(const sentinel_view *view, uint32_t id) {
    return id * UINT32_C(0x9e3779b1) >> view->instrument_shift;
}

/* As sentinel_bundle_instrument. One among hundreds, drawn at random, would have
 * its id compared with those of ten rows that are in no cache: here, mostly with
 * that of its own row alone. */
static inline const sentinel_instrument *state_instrument(const sentinel_view *view, uint32_t id) {
    const uint32_t mask = UINT32_MAX >> view->instrument_shift;
    for (uint32_t slot = state_slot_of(view, id); view->instrument_slots[slot] != 0;
         slot = (slot + 1) & mask) {
        const sentinel_instrument *row =
            &view->bundle.instruments[view->instrument_slots[slot] - 1];
        if (row->id == id) {
            return row;
        }
    }
    return NULL;
}

/* Where the book of an agent's node keeps an action. */
static inline sentinel_book_entry *state_book(const sentinel_view *view, uint32_t node,
                                              uint64_t action_id) {
    sentinel_book_entry *books = state_at(view, view->state->book);
    uint64_t entries = view->bundle.policy->book_entries; /* a power of two */
    return &books[view->agent_ordinals[node] * entries + (action_id & (entries - 1))];
}

state_plan state_plan_of(const sentinel_bundle *bundle);

/* Fills in the layout arrays and joins them with bundle and state.
 * Returns: OK; POLICY_ARENA; FORMAT_ORDER; USAGE_ARGUMENT. */
SENTINEL_MUST_USE sentinel_status state_lay_out(sentinel_view *view, const state_plan *plan,
                                                const sentinel_bundle *bundle, void *layout,
                                                uint64_t layout_size, void *state);

/* The index of the row with an id; SENTINEL_NODE_NONE when there is none. */
uint32_t state_find_node(const sentinel_view *view, uint32_t id);
uint32_t state_find_constraint(const sentinel_view *view, uint32_t id);

/* The window of a constraint for an agent; of a shared one, for any node.
 * Under EACH_AGENT the agents below a node have adjoining windows, in the
 * order of their ordinals; a group's ordinal is that of its first agent. */
static inline void *state_window(const sentinel_view *view, uint32_t row,
                                 const policy_window *window, uint32_t agent) {
    const sentinel_constraint *constraint = &view->bundle.constraints[row];
    uint64_t offset = view->window_offsets[row];
    if (constraint->each == SENTINEL_EACH_AGENT) {
        offset += (view->agent_ordinals[agent] - view->agent_ordinals[constraint->node]) *
                  window->bytes(constraint);
    }
    return state_at(view, offset);
}

/* A step of a lineage (docs/2-policy.md, "Lineage"): an action of an agent. */
typedef struct policy_step {
    uint32_t agent; /* node id; 0: there is no such step */
    uint8_t slot;   /* 1 + the action's id % 64; 0: it is unknown */
} policy_step;

/* policy_lineage.c: the slot of an action; the step after an agent's action. */
uint8_t policy_slot_of(const sentinel_agent_state *agent, uint64_t action_id);
policy_step policy_step_up(const sentinel_view *view, const sentinel_agent_state *agent,
                           uint8_t slot);

/* How many windows a constraint has. */
uint64_t state_window_count(const sentinel_view *view, uint32_t row, const policy_window *window);

/* state.c: the rows of venues, which are the engine's: there before a policy is. */
void state_name_venues(sentinel_state *state);

/* state.c: counts what does not run, which sentinel_state.stopped must say. */
uint32_t state_stopped(const sentinel_view *view);

/* state_carry.c: everything that is the engine's, and not the policy's. */
void state_carry_engine(sentinel_state *state, const sentinel_state *old);

/* state_carry.c: takes over what the version before held. */
SENTINEL_MUST_USE sentinel_status state_carry(const sentinel_view *view, const sentinel_view *old);

#endif
