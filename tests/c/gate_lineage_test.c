/* What an order follows from: halting one agent of its lineage refuses it, up
 * to 8 steps away (docs/2-policy.md, "Lineage"). */
#include "gate_scene.h"

#define FIRST 2001u /* agents FIRST to FIRST + AGENTS - 1; the first two are A and B */
#define AGENTS 12u

static gate_scene scene;

static void rows_begin(gate_scene *s) {
    scene_policy_rows(s);
    for (uint32_t i = 2; i < AGENTS; i++) {
        add_node(&s->build, FIRST + i, SENTINEL_NODE_AGENT, 0);
    }
}

static void lineage_begin(gate_scene *s) {
    scene_begin(s);
    rows_begin(s);
    CHECK_OK(scene_load(s));
}

/* A message of agent FIRST + n with an id; parent_id 0: it names no parent. */
static sentinel_order message(gate_scene *s, uint32_t n, uint64_t id, uint32_t parent,
                              uint64_t parent_id) {
    sentinel_order order = scene_order(s, SENTINEL_ACTION_MESSAGE);
    order.message.text_size = 1;
    order.message.text[0] = 'x';
    order.header.agent = FIRST + n;
    order.header.action_id = id;
    if (parent_id != 0) {
        order.header.present |= SENTINEL_PRESENT_PARENT;
        order.header.parent_agent = FIRST + parent;
        order.header.parent_action_id = parent_id;
    }
    CHECK_OK(sentinel_session_open(&s->session, s->context, FIRST + n));
    return order;
}

static void signs(gate_scene *s, uint32_t n, uint64_t id, uint32_t parent, uint64_t parent_id) {
    sentinel_order order = message(s, n, id, parent, parent_id);
    check_allowed(s, &order);
}

static void refused(gate_scene *s, uint32_t n, uint64_t id, uint32_t parent, uint64_t parent_id,
                    sentinel_reason reason) {
    sentinel_order order = message(s, n, id, parent, parent_id);
    check_denied(s, &order, reason);
}

/* Whether a halt of one agent refuses an order of another that is allowed else. */
static void check_halts(gate_scene *s, uint32_t halted, int stops, uint32_t n, uint64_t id,
                        uint32_t parent, uint64_t parent_id) {
    CHECK_OK(scene_halt(s, FIRST + halted));
    sentinel_order order = message(s, n, id, parent, parent_id);
    scene_sign(s, &order);
    CHECK_EQ(s->outcome.reason, stops ? SENTINEL_REASON_KILL_SWITCH : SENTINEL_REASON_NONE);
    CHECK_EQ(s->outcome.decision.results[0].value, stops);
    CHECK_OK(scene_resume(s, FIRST + halted));
}

static void test_a_halt_stops_what_follows_over_several_steps(void) {
    gate_scene *s = &scene;
    lineage_begin(s);
    signs(s, 0, 1, 0, 0);
    signs(s, 1, 1, 0, 1);
    signs(s, 2, 1, 1, 1);
    uint64_t id = 1;
    for (uint32_t halted = 0; halted < 5; halted++) {
        check_halts(s, halted, halted <= 3, 3, ++id, 2, 1);
    }
    /* Every agent counts, and the firm above all of them once. */
    CHECK_OK(scene_halt(s, FIRM_ID));
    CHECK_OK(scene_halt(s, FIRST));
    CHECK_OK(scene_halt(s, FIRST + 1));
    refused(s, 3, ++id, 2, 1, SENTINEL_REASON_KILL_SWITCH);
    CHECK_EQ(s->outcome.decision.results[0].value, 3);
    CHECK_EQ(s->outcome.decision.results[0].level, 0);
    CHECK_OK(scene_resume(s, FIRM_ID));
    CHECK_OK(scene_resume(s, FIRST));
    refused(s, 3, ++id, 2, 1, SENTINEL_REASON_KILL_SWITCH);
    CHECK_OK(scene_resume(s, FIRST + 1));
    signs(s, 3, ++id, 2, 1);
    scene_end(s);
}

static void test_a_lineage_has_eight_steps_and_not_nine(void) {
    gate_scene *s = &scene;
    lineage_begin(s);
    signs(s, 0, 1, 0, 0);
    for (uint32_t n = 1; n <= SENTINEL_LINEAGE_MAX; n++) {
        signs(s, n, 1, n - 1, 1);
    }
    check_halts(s, 0, 1, 8, 2, 7, 1); /* the eighth step is agent 0 */
    refused(s, 9, 1, 8, 1, SENTINEL_REASON_LINEAGE);
    const sentinel_result *result = &s->outcome.decision.results[0];
    CHECK_EQ(result->kind, SENTINEL_RULE_KILL_SWITCH);
    CHECK_EQ(result->result, SENTINEL_FAIL);
    CHECK_EQ(result->flags, SENTINEL_RESULT_UNKNOWN);
    CHECK_EQ(result->value, INT64_MAX);
    /* What is too far away is not looked at; what stops it within is named. */
    CHECK_OK(scene_halt(s, FIRST));
    refused(s, 9, 1, 8, 1, SENTINEL_REASON_LINEAGE);
    CHECK_EQ(s->outcome.decision.reasons[0] >> SENTINEL_REASON_KILL_SWITCH & 1, 0);
    CHECK_OK(scene_halt(s, FIRST + 1));
    refused(s, 9, 1, 8, 1, SENTINEL_REASON_LINEAGE);
    CHECK_EQ(s->outcome.decision.reasons[0] >> SENTINEL_REASON_KILL_SWITCH & 1, 1);
    CHECK_OK(scene_resume(s, FIRST));
    CHECK_OK(scene_resume(s, FIRST + 1));
    signs(s, 9, 1, 0, 1); /* the first decision itself */
    scene_end(s);
}

static void test_an_agent_that_comes_again_counts_again(void) {
    gate_scene *s = &scene;
    lineage_begin(s);
    signs(s, 0, 1, 0, 0);
    for (uint64_t step = 1; step <= SENTINEL_LINEAGE_MAX; step++) {
        uint32_t n = step % 2;
        signs(s, n, 1 + step, 1 - n, step);
    }
    refused(s, 1, 10, 0, 9, SENTINEL_REASON_LINEAGE);
    signs(s, 1, 10, 1, 8); /* follows from what its own action followed from: 7 steps */
    scene_end(s);
}

static void test_own_actions_after_one_another_are_one_step(void) {
    gate_scene *s = &scene;
    lineage_begin(s);
    signs(s, 1, 1, 0, 0);
    signs(s, 0, 1, 1, 1);
    for (uint64_t id = 2; id <= 200; id++) {
        signs(s, 0, id, 0, id - 1);
    }
    check_halts(s, 1, 1, 0, 201, 0, 200);
    check_halts(s, 1, 0, 0, 202, 0, 100); /* its own action that is not kept: nothing */
    check_halts(s, 0, 1, 2, 1, 0, 200);
    check_halts(s, 1, 1, 2, 2, 0, 200);
    scene_end(s);
}

static void test_what_is_signed_later_was_not_followed(void) {
    gate_scene *s = &scene;
    lineage_begin(s);
    signs(s, 3, 1, 0, 0);
    signs(s, 1, 1, 0, 5); /* agent 0 has not signed 5 */
    signs(s, 0, 5, 3, 1); /* now it has, and it follows from agent 3 */
    check_halts(s, 0, 1, 2, 1, 1, 1);
    check_halts(s, 3, 0, 2, 2, 1, 1);
    check_halts(s, 3, 1, 2, 3, 0, 5);
    /* Two that name each other: no circle. */
    signs(s, 4, 7, 5, 7);
    signs(s, 5, 7, 4, 7);
    signs(s, 6, 7, 5, 7);
    scene_end(s);
}

static void test_an_action_is_followed_while_it_is_kept(void) {
    gate_scene *s = &scene;
    lineage_begin(s);
    signs(s, 3, 1, 0, 0);
    signs(s, 4, 1, 0, 0);
    signs(s, 0, 10, 3, 1);
    signs(s, 1, 1, 0, 10);
    signs(s, 0, 73, 0, 0); /* 10 to 73 are kept */
    check_halts(s, 3, 1, 2, 1, 1, 1);
    check_halts(s, 3, 1, 2, 2, 0, 10);
    signs(s, 0, 75, 0, 0); /* the place of 10 is that of 74, which is not used up */
    check_halts(s, 3, 0, 2, 3, 1, 1);
    check_halts(s, 3, 0, 2, 4, 0, 10);
    check_halts(s, 0, 1, 2, 5, 1, 1);
    signs(s, 0, 74, 4, 1); /* another action in the same place */
    check_halts(s, 4, 0, 2, 6, 1, 1);
    check_halts(s, 4, 1, 2, 7, 0, 74);
    scene_end(s);
}

static void test_a_new_version_keeps_lineages(void) {
    gate_scene *s = &scene;
    lineage_begin(s);
    signs(s, 0, 1, 0, 0);
    signs(s, 2, 1, 0, 1);
    signs(s, 4, 1, 2, 1);
    /* Rows of agents change places. */
    rows_begin(s);
    sentinel_node *rows = s->build.nodes;
    for (uint32_t i = 0; i < AGENTS; i++) {
        rows[1 + i].id = FIRST + (i + 5) % AGENTS;
    }
    CHECK_OK(scene_load(s));
    check_halts(s, 0, 1, 6, 1, 4, 1);
    check_halts(s, 1, 0, 6, 2, 4, 1);
    /* Agent 0 is gone: what stops it, nobody can say. */
    rows_begin(s);
    s->build.nodes[1].id = 9999;
    CHECK_OK(scene_load(s));
    refused(s, 6, 3, 4, 1, SENTINEL_REASON_PARENT_UNKNOWN);
    CHECK_EQ(s->outcome.decision.results[0].flags, SENTINEL_RESULT_UNKNOWN);
    refused(s, 2, 3, 2, 1, SENTINEL_REASON_PARENT_UNKNOWN);
    refused(s, 6, 3, 0, 1, SENTINEL_REASON_PARENT_UNKNOWN);
    CHECK_EQ(s->outcome.decision.result_count, 0);
    signs(s, 6, 3, 0, 0);
    /* It is back, and its new actions are others under the same ids. */
    rows_begin(s);
    CHECK_OK(scene_load(s));
    signs(s, 3, 1, 0, 0);
    signs(s, 0, 1, 3, 1);
    check_halts(s, 0, 1, 6, 4, 4, 1);
    check_halts(s, 3, 0, 6, 5, 4, 1);
    scene_end(s);
}

/* Nothing that was refused is followed. */
static void test_only_what_is_used_up_is_kept(void) {
    gate_scene *s = &scene;
    lineage_begin(s);
    signs(s, 3, 1, 0, 0);
    CHECK_OK(scene_halt(s, FIRST + 3));
    refused(s, 0, 1, 3, 1, SENTINEL_REASON_KILL_SWITCH);
    signs(s, 1, 1, 0, 1);
    CHECK_OK(scene_resume(s, FIRST + 3));
    const sentinel_view *view = sentinel_gate_view(s->context);
    const sentinel_agent_state *agent =
        sentinel_view_agent(view, sentinel_bundle_node(&view->bundle, FIRST + 1));
    CHECK_EQ(agent->id_parent[1], FIRST);
    CHECK_EQ(agent->id_parent_slot[1], 0);
    signs(s, 1, 2, 3, 1);
    CHECK_EQ(agent->id_parent[2], FIRST + 3);
    CHECK_EQ(agent->id_parent_slot[2], 2);
    signs(s, 1, 66, 0, 0); /* the same place, and no parent */
    CHECK_EQ(agent->id_parent[2], 0);
    CHECK_EQ(agent->id_parent_slot[2], 0);
    scene_end(s);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_halt_stops_what_follows_over_several_steps);
    RUN(test_a_lineage_has_eight_steps_and_not_nine);
    RUN(test_an_agent_that_comes_again_counts_again);
    RUN(test_own_actions_after_one_another_are_one_step);
    RUN(test_what_is_signed_later_was_not_followed);
    RUN(test_an_action_is_followed_while_it_is_kept);
    RUN(test_a_new_version_keeps_lineages);
    RUN(test_only_what_is_used_up_is_kept);
    return test_end();
}
