/* The book: which actions have a place in it, and that no older one takes a
 * later one's, be it by an id within the window or by an approval. */
#include "gate_scene.h"

static gate_scene scene;

static sentinel_book_entry *book(uint64_t action_id) {
    return sentinel_view_book(sentinel_gate_view(scene.context), 1, action_id);
}

static sentinel_order place_of(uint64_t action_id) {
    sentinel_order order = scene_place(&scene);
    order.header.action_id = action_id;
    return order;
}

static void load(uint32_t book_entries, int64_t asks_above) {
    scene_policy_rows(&scene);
    scene.build.policy.book_entries = book_entries;
    sentinel_constraint *row = add_bound(&scene.build, 90, 0, SENTINEL_RULE_APPROVAL, asks_above);
    row->mask = SENTINEL_ASK_VALUE;
    row->quorum = 1;
    row->window_ns = 60 * SECOND_NS;
    CHECK_OK(scene_load(&scene));
}

static void sign_messages(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        sentinel_order order = scene_message(&scene);
        check_allowed(&scene, &order);
    }
}

static void test_places_reach_back_as_far_as_the_book(void) {
    scene_begin(&scene);
    load(4, INT64_MAX);
    sentinel_order order = place_of(1000);
    check_allowed(&scene, &order);
    order = place_of(1000 - 4);
    check_denied(&scene, &order, SENTINEL_REASON_ID_TOO_OLD);
    CHECK_EQ(book(1000)->action_id, 1000);
    order = place_of(1000 - 3);
    check_allowed(&scene, &order);
    check_denied(&scene, &order, SENTINEL_REASON_DUPLICATE);
    order = place_of(1001);
    check_allowed(&scene, &order);
    order = place_of(1000 - 3); /* pushed out: still one that was signed */
    check_denied(&scene, &order, SENTINEL_REASON_DUPLICATE);
    CHECK_EQ(scene.outcome.decision.reasons[0], UINT64_C(1) << SENTINEL_REASON_DUPLICATE);
    sentinel_order message = scene_message(&scene);
    message.header.action_id = 1000 - 8; /* which has no place in a book */
    check_allowed(&scene, &message);
    scene_end(&scene);
}

static void approve(void) {
    scene_answer(&scene, SENTINEL_COMMAND_APPROVE, scene.outcome.record,
                 scene.outcome.record_hash32);
    frame_sign(&scene, scene.approvers[0].key, KEY_APPROVER);
    CHECK_OK(scene_take(&scene));
}

static sentinel_order approved_order(void) {
    sentinel_order order = scene_place(&scene);
    scene_sign(&scene, &order);
    CHECK_EQ(scene.outcome.verdict, SENTINEL_PENDING);
    approve();
    return order;
}

/* Signed, it would push the later order out, and a report of that halt the agent. */
static void test_an_approved_order_takes_no_later_ones_place(void) {
    scene_begin(&scene);
    load(64, INT64_C(40000000)); /* 40 USD; scene_place is worth 50 */
    sentinel_order first = approved_order();
    sentinel_order second = approved_order();
    sign_messages(62);
    sentinel_order small = scene_place(&scene);
    CHECK_EQ(small.header.action_id, first.header.action_id + 64);
    small.place.quantity = decimal(1, 4);
    check_allowed(&scene, &small);
    sign_messages(1); /* the id, not the place, of the second */
    sentinel_book_entry before = *book(small.header.action_id);
    check_denied(&scene, &first, SENTINEL_REASON_ID_TOO_OLD);
    CHECK_EQ(scene.outcome.decision.result_count, 0);
    CHECK_BYTES(book(small.header.action_id), &before, sizeof before);
    check_allowed(&scene, &second);
    CHECK_EQ(book(second.header.action_id)->action_id, second.header.action_id);
    sentinel_report report = {.agent = AGENT_A,
                              .status = SENTINEL_ORDER_FILLED,
                              .action_id = small.header.action_id,
                              .filled = decimal(1, 4),
                              .time_ns = scene.now};
    scene_reports(&scene, KEY_FEEDER, 1, &report, 1);
    CHECK_OK(scene_take(&scene)); /* nobody is halted */
    load(128, INT64_C(40000000));
    check_allowed(&scene, &first); /* with a place of its own, the approval holds */
    CHECK_EQ(book(first.header.action_id)->action_id, first.header.action_id);
    CHECK_EQ(book(small.header.action_id)->status, SENTINEL_ORDER_FILLED);
    scene_end(&scene);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_places_reach_back_as_far_as_the_book);
    RUN(test_an_approved_order_takes_no_later_ones_place);
    return test_end();
}
