/* Heartbeats as policy judges them: silence and running iterations below the
 * bound, at it, one past it, and where a time does not fit. */
#include "policy_scene.h"

#include "state_internal.h"

enum { SILENCE = 500, ITERATION = 300 };
#define KIND SENTINEL_RULE_HEARTBEAT

static sentinel_constraint *scene_with(uint32_t node, uint8_t mode) {
    sentinel_constraint *row = add_bound(&S.build, 7 + node, node, KIND, ITERATION);
    row->window_ns = SILENCE;
    row->mask = 1u << mode;
    return row;
}

static void begin(uint8_t mode) {
    scene_begin();
    scene_with(AGENT, mode);
    scene_load();
    order_of(SENTINEL_ACTION_MESSAGE, 0);
}

static void beat(uint64_t iterations, int64_t issued_ns, int64_t running_since_ns) {
    static uint64_t sequence;
    sentinel_heartbeat given = {
        .agent = 1110, .iterations = iterations, .running_since_ns = running_since_ns};
    policy_beat_take(&S.world.view, AGENT, &given, ++sequence, issued_ns);
}

static sentinel_agent_state *agent(void) {
    return sentinel_view_agent(&S.world.view, AGENT);
}

static void test_heartbeat_pass(void) {
    begin(SENTINEL_HALTED);
    beat(1, NOW - 200, NOW - 299);
    passes(KIND, 200, SILENCE);
    beat(2, NOW, 0);
    passes(KIND, 0, SILENCE);
}

static void test_heartbeat_edge(void) {
    begin(SENTINEL_HALTED);
    beat(1, NOW - SILENCE, NOW - SILENCE);
    agent()->running_since_ns = NOW - ITERATION;
    passes(KIND, SILENCE, SILENCE);
    beat(1, NOW, NOW); /* the same iteration: it began when it was told first */
    CHECK_EQ(agent()->running_since_ns, NOW - ITERATION);
    beat(1, NOW, 0);
    CHECK_EQ(agent()->running_since_ns, NOW - ITERATION);
    beat(2, NOW, NOW);
    CHECK_EQ(agent()->running_since_ns, NOW);
    beat(1, NOW, 0); /* an agent that began anew */
    CHECK_EQ(agent()->running_since_ns, 0);
    CHECK_EQ(agent()->iterations, 1);
}

static void test_heartbeat_one_past(void) {
    begin(SENTINEL_HALTED);
    fails_with(KIND, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_HEARTBEAT); /* none yet */
    beat(1, NOW - SILENCE - 1, 0);
    fails(KIND, SILENCE + 1, SILENCE, SENTINEL_REASON_HEARTBEAT);
    beat(2, NOW, NOW - ITERATION - 1);
    fails(KIND, ITERATION + 1, ITERATION, SENTINEL_REASON_PROGRESS);
    begin(SENTINEL_DRAINING); /* what lowers risk passes, nothing else does */
    fails_with(KIND, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_HEARTBEAT);
    beat(1, NOW - SILENCE - 1, 0);
    fails(KIND, SILENCE + 1, SILENCE, SENTINEL_REASON_HEARTBEAT);
    order_of(SENTINEL_ACTION_CANCEL, SPOT);
    passes(KIND, SILENCE + 1, SILENCE);
}

static void test_heartbeat_overflow(void) {
    begin(SENTINEL_HALTED);
    beat(UINT64_MAX, NOW + 5, 1); /* issued by a clock ahead: no silence; an endless iteration */
    fails(KIND, NOW - 1, ITERATION, SENTINEL_REASON_PROGRESS);
    scene_begin();
    scene_with(AGENT, SENTINEL_HALTED)->bound = INT64_MAX;
    scene_load();
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    beat(1, INT64_MAX, 1);
    passes(KIND, 0, SILENCE);
    CHECK_EQ(agent()->beat_deadline_ns, INT64_MAX); /* it never comes */
    policy_overdue overdue;
    CHECK_EQ(policy_beat_overdue(&overdue, &S.world.view, AGENT, INT64_MAX), 0);
}

/* ---- Deadlines --------------------------------------------------------------- */

static int is_overdue(policy_overdue *overdue, int64_t now_ns) {
    return policy_beat_overdue(overdue, &S.world.view, AGENT, now_ns);
}

static void test_an_agent_is_overdue_one_past_its_deadline(void) {
    policy_overdue overdue;
    begin(SENTINEL_HALTED);
    CHECK_EQ(is_overdue(&overdue, INT64_MAX), 0); /* it has not beaten */
    beat(1, NOW, 0);
    CHECK_EQ(agent()->beat_deadline_ns, NOW + SILENCE);
    CHECK_EQ(is_overdue(&overdue, NOW + SILENCE), 0);
    CHECK_EQ(is_overdue(&overdue, NOW + SILENCE + 1), 1);
    CHECK_EQ(overdue.cause, SENTINEL_CAUSE_HEARTBEAT);
    CHECK_EQ(overdue.mode, SENTINEL_HALTED);
    CHECK_EQ(overdue.deadline_ns, NOW + SILENCE);
    beat(2, NOW + 100, NOW + 50);
    CHECK_EQ(is_overdue(&overdue, NOW + 50 + ITERATION), 0);
    CHECK_EQ(is_overdue(&overdue, NOW + 50 + ITERATION + 1), 1);
    CHECK_EQ(overdue.cause, SENTINEL_CAUSE_PROGRESS);
    CHECK_EQ(overdue.deadline_ns, NOW + 50 + ITERATION);
    beat(2, NOW + 200, NOW + 200); /* the thread goes on, the loop does not */
    CHECK_EQ(agent()->beat_deadline_ns, NOW + 50 + ITERATION);
}

static void test_the_strictest_rule_that_is_broken_counts(void) {
    policy_overdue overdue;
    scene_begin();
    scene_with(FIRM, SENTINEL_HALTED)->window_ns = SILENCE * 4;
    scene_with(GROUP, SENTINEL_DRAINING)->window_ns = SILENCE * 2;
    scene_with(AGENT, SENTINEL_DRAINING);
    scene_load();
    beat(1, NOW, 0);
    CHECK_EQ(agent()->beat_deadline_ns, NOW + SILENCE);
    CHECK_EQ(is_overdue(&overdue, NOW + SILENCE * 2 + 1), 1);
    CHECK_EQ(overdue.mode, SENTINEL_DRAINING);
    CHECK_EQ(overdue.deadline_ns, NOW + SILENCE);
    CHECK_EQ(overdue.rule->node, AGENT);
    CHECK_EQ(is_overdue(&overdue, NOW + SILENCE * 4 + 1), 1);
    CHECK_EQ(overdue.mode, SENTINEL_HALTED);
    CHECK_EQ(overdue.rule->node, FIRM);
    /* What drains already is next halted. */
    sentinel_view_node(&S.world.view, AGENT)->mode = SENTINEL_DRAINING;
    policy_beat_settle(&S.world.view, AGENT);
    CHECK_EQ(agent()->beat_deadline_ns, NOW + SILENCE * 4);
    CHECK_EQ(is_overdue(&overdue, NOW + SILENCE * 4), 0);
    CHECK_EQ(is_overdue(&overdue, NOW + SILENCE * 4 + 1), 1);
    CHECK_EQ(overdue.mode, SENTINEL_HALTED);
    uint8_t digest32[32] = {1};
    test_halt(&S.world.view, GROUP, 1, 5, NOW, 2, digest32);
    CHECK_EQ(is_overdue(&overdue, NOW + SILENCE * 4 + 1), 0); /* halted from above */
}

static void test_a_new_version_brings_its_own_deadlines(void) {
    begin(SENTINEL_HALTED);
    beat(1, NOW, 0);
    S.build.constraints[1].window_ns = 7;
    CHECK_OK(scene_reload());
    CHECK_EQ(agent()->beat_deadline_ns, NOW + 7);
    CHECK_EQ(agent()->beat_ns, NOW);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN_FOUR(heartbeat);
    RUN(test_an_agent_is_overdue_one_past_its_deadline);
    RUN(test_the_strictest_rule_that_is_broken_counts);
    RUN(test_a_new_version_brings_its_own_deadlines);
    return test_end();
}
