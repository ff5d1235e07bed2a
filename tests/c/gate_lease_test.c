/* The operators' lease: who gives it, for how long, and that its end is none. */
#include "gate_scene.h"

static gate_scene scene;

enum { LEASE_S = 30 };
#define LEASE (LEASE_S * SECOND_NS)

static const sentinel_state *state(void) {
    return sentinel_gate_state(scene.context);
}

static sentinel_status load(int64_t lease_ns) {
    scene_policy_rows(&scene);
    scene.build.policy.lease_ns = lease_ns;
    return scene_load(&scene);
}

static void begin(void) {
    scene_begin(&scene);
    CHECK_OK(load(LEASE));
}

/* A lease, or what is wrong with one, by this key. */
static sentinel_status lease(int64_t until_ns, uint16_t scope, uint32_t target, uint32_t key) {
    scene_command_at(&scene, SENTINEL_COMMAND_LEASE, scope, target, until_ns);
    frame_sign(&scene, key, key);
    return scene_take(&scene);
}

static sentinel_status lease_until(int64_t until_ns) {
    return lease(until_ns, SENTINEL_SCOPE_ENGINE, 0, KEY_OPERATOR_B);
}

static void test_nothing_is_signed_from_its_end_on(void) {
    gate_scene *s = &scene;
    begin();
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_LEASE); /* none was given */
    int64_t end = s->now + LEASE;
    CHECK_OK(lease_until(end));
    check_allowed(s, &order);
    s->now = end - 1;
    order = scene_place(s);
    uint64_t placed = order.header.action_id;
    check_allowed(s, &order);
    s->now = end;
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_LEASE);
    sentinel_order cancel = scene_order(s, SENTINEL_ACTION_CANCEL);
    cancel.cancel.target.by = SENTINEL_TARGET_ACTION;
    cancel.cancel.target.action_id = placed;
    check_denied(s, &cancel, SENTINEL_REASON_LEASE);
    CHECK_OK(lease_until(s->now + 1)); /* one operator, and nothing was latched */
    check_allowed(s, &cancel);
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    check_allowed(s, &order); /* it survives a start */
    s->now++;
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_LEASE);
    scene_end(s);
}

static void refused(sentinel_status got, sentinel_status expected, uint64_t records,
                    int64_t until_ns) {
    CHECK_EQ(got, expected);
    CHECK_EQ(state()->record_count, records + 1);
    CHECK_EQ(state()->lease_until_ns, until_ns);
}

static void test_what_no_lease_is(void) {
    gate_scene *s = &scene;
    begin();
    int64_t end = s->now + LEASE;
    CHECK_OK(lease_until(end));
    const struct {
        int64_t until_ns;
        uint16_t scope;
        uint32_t target, key;
        sentinel_status status;
    } wrong[] = {
        {s->now + LEASE + 1, SENTINEL_SCOPE_ENGINE, 0, KEY_OPERATOR_A, SENTINEL_POLICY_LEASE},
        {INT64_MAX, SENTINEL_SCOPE_ENGINE, 0, KEY_OPERATOR_A, SENTINEL_POLICY_LEASE},
        {s->now, SENTINEL_SCOPE_ENGINE, 0, KEY_OPERATOR_A, SENTINEL_POLICY_LEASE},
        {0, SENTINEL_SCOPE_ENGINE, 0, KEY_OPERATOR_A, SENTINEL_FORMAT_RANGE},
        {-1, SENTINEL_SCOPE_ENGINE, 0, KEY_OPERATOR_A, SENTINEL_FORMAT_RANGE},
        {end, SENTINEL_SCOPE_ENGINE, 1, KEY_OPERATOR_A, SENTINEL_FORMAT_RANGE},
        {end, SENTINEL_SCOPE_NODE, FIRM_ID, KEY_OPERATOR_A, SENTINEL_FORMAT_RANGE},
        {end, SENTINEL_SCOPE_ENGINE, 0, KEY_FEEDER, SENTINEL_POLICY_SIGNATURE},
        {end, SENTINEL_SCOPE_ENGINE, 0, KEY_AGENT_A, SENTINEL_POLICY_SIGNATURE},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t records = state()->record_count;
        refused(lease(wrong[i].until_ns, wrong[i].scope, wrong[i].target, wrong[i].key),
                wrong[i].status, records, end);
    }
    uint64_t records = state()->record_count;
    refused(scene_take(s), SENTINEL_POLICY_SIGNATURE, records, end); /* once more */
    CHECK_OK(lease_until(s->now + 1));                               /* sooner is allowed */
    CHECK_EQ(state()->lease_until_ns, s->now + 1);
    scene_end(s);
}

static void test_a_lease_lifts_no_stop_and_a_resume_gives_none(void) {
    gate_scene *s = &scene;
    begin();
    CHECK_OK(scene_halt(s, FIRM_ID));
    CHECK_OK(lease_until(s->now + LEASE));
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    sentinel_gate_halt(s->context, SENTINEL_INTERNAL, s->now);
    s->now += LEASE;
    CHECK_OK(lease_until(s->now + LEASE));
    check_denied(s, &order, SENTINEL_REASON_ENGINE_HALTED);
    s->now += LEASE;
    CHECK_OK(scene_resume(s, FIRM_ID));
    check_denied(s, &order, SENTINEL_REASON_LEASE);
    scene_end(s);
}

static void test_a_version_shortens_it_and_one_without_asks_for_none(void) {
    gate_scene *s = &scene;
    begin();
    CHECK_OK(lease_until(s->now + LEASE));
    s->now += 5;
    CHECK_OK(load(LEASE / 2));
    CHECK_EQ(state()->lease_until_ns, s->now + LEASE / 2);
    CHECK_OK(load(LEASE)); /* and does not lengthen it again */
    CHECK_EQ(state()->lease_until_ns, s->now + LEASE / 2);
    s->now += LEASE;
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_LEASE);
    CHECK_OK(load(0));
    check_allowed(s, &order);
    CHECK_EQ(lease_until(s->now + 1), SENTINEL_POLICY_LEASE);
    CHECK_EQ(load(-1), SENTINEL_FORMAT_RANGE);
    CHECK_EQ(load(SENTINEL_WINDOW_NS_MAX + 1), SENTINEL_FORMAT_RANGE);
    CHECK_OK(load(SENTINEL_WINDOW_NS_MAX));
    scene_end(s);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_nothing_is_signed_from_its_end_on);
    RUN(test_what_no_lease_is);
    RUN(test_a_lease_lifts_no_stop_and_a_resume_gives_none);
    RUN(test_a_version_shortens_it_and_one_without_asks_for_none);
    return test_end();
}
