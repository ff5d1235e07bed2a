/* What an order follows from, up to the first decision (docs/2-policy.md,
 * "Lineage"). Steps lead to lower records only, so that none comes again. */
#include "state_internal.h"

uint8_t policy_slot_of(const sentinel_agent_state *agent, uint64_t action_id) {
    uint64_t back = agent->id_highest - action_id;
    int is_kept = action_id <= agent->id_highest && back < SENTINEL_ID_WINDOW &&
                  (agent->id_seen >> back & 1) != 0;
    return is_kept ? (uint8_t)(1 + action_id % SENTINEL_ID_WINDOW) : 0;
}

/* Whether a slot holds an action from before a record: one that took the place
 * of another since has a later record. */
static int holds(const sentinel_agent_state *agent, uint8_t slot, uint64_t record) {
    uint64_t back = (agent->id_highest - (slot - 1u)) % SENTINEL_ID_WINDOW;
    return (agent->id_seen >> back & 1) != 0 && agent->id_record[slot - 1u] < record;
}

policy_step policy_step_up(const sentinel_view *view, const sentinel_agent_state *agent,
                           uint8_t slot) {
    policy_step up = {0};
    if (slot == 0) {
        return up;
    }
    up.agent = agent->id_parent[slot - 1u];
    up.slot = agent->id_parent_slot[slot - 1u];
    const sentinel_agent_state *parent = sentinel_view_agent(view, state_find_node(view, up.agent));
    if (parent == NULL || up.slot == 0 || !holds(parent, up.slot, agent->id_record[slot - 1u])) {
        up.slot = 0;
    }
    return up;
}
