/* Replay of whatever happens. Goal: every record that the engine makes is
 * decided again alike, with keys and without, from the beginning and from any
 * snapshot. Method: random steps from a seed (orders of all kinds at venues
 * with nonces and without, retries, floods, stops of every scope, requests for
 * approval and what becomes of them, feeds, heartbeats and silence, witnesses that
 * grant and refuse, new policies and authorities, clocks that jump or are set
 * back), then a replay. SENTINEL_SEED=n repeats one. */
#include "replay_kept.h"
#include "replay_scene.h"
#include "witness_scene.h"

#define STEPS 220u
enum { KEY_DERIBIT = 4, KEY_ONCHAIN = 5, DERIBIT_PERP = 31, HL_PERP = 32 };

static gate_scene scene;
static witness_scene witness;
static uint64_t random_state, seed_now, reports_taken, reports_stopped, clocks_set;

/* xorshift64*: the same on every machine. */
static uint64_t draw(uint64_t below) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(2685821657736338717) % below;
}

static uint64_t count(void) {
    return sentinel_gate_state(scene.context)->record_count;
}

static void make_keys(void) {
    scene_key(scene.ring, KEY_DERIBIT, SENTINEL_PURPOSE_VENUE, SENTINEL_ALGORITHM_HMAC_SHA256,
              SENTINEL_VENUE_DERIBIT);
    sentinel_key_info info = {.id = KEY_ONCHAIN,
                              .purpose = SENTINEL_PURPOSE_VENUE,
                              .algorithm = SENTINEL_ALGORITHM_ECDSA_SECP256K1,
                              .venue = SENTINEL_VENUE_HYPERLIQUID};
    CHECK_OK(sentinel_keyring_generate(scene.ring, &info));
}

/* People are asked about some orders, or about all of an action. */
static void asks_perhaps(bundle_build *b) {
    if (draw(4) != 0) {
        sentinel_constraint *row = add_bound(b, 72, (uint32_t)draw(3), SENTINEL_RULE_APPROVAL,
                                             INT64_C(20000000) * (int64_t)draw(4));
        row->mask = SENTINEL_ASK_VALUE;
        row->quorum = (uint8_t)(1 + draw(2));
        row->window_ns = (int64_t)(1 + draw(20)) * SECOND_NS;
    }
    if (draw(4) == 0) {
        b->policy.oversight[SENTINEL_ACTION_PLACE] = (uint8_t)(1 + draw(2));
        b->policy.oversight[SENTINEL_ACTION_MESSAGE] = SENTINEL_OVERSIGHT_APPROVE;
        b->policy.approval_quorum = 1;
        b->policy.approval_ns = 5 * SECOND_NS;
    }
}

static void new_policy(void) {
    bundle_build *b = &scene.build;
    scene_policy_rows(&scene);
    scene_contract(&scene, DERIBIT_PERP, SENTINEL_VENUE_DERIBIT, SENTINEL_CONTRACT_INVERSE,
                   SENTINEL_UNIT_QUOTE, "BTC-PERPETUAL");
    scene_contract(&scene, HL_PERP, SENTINEL_VENUE_HYPERLIQUID, SENTINEL_CONTRACT_LINEAR,
                   SENTINEL_UNIT_BASE, "BTC")
        ->lot = decimal(1, 5);
    scene_venue_key(&scene, KEY_DERIBIT, SENTINEL_VENUE_DERIBIT, SENTINEL_PURPOSE_VENUE,
                    1u << SENTINEL_CONTRACT_INVERSE);
    scene_venue_key(&scene, KEY_ONCHAIN, SENTINEL_VENUE_HYPERLIQUID, SENTINEL_PURPOSE_VENUE,
                    1u << SENTINEL_CONTRACT_LINEAR);
    b->policy.attempt_limit = (uint32_t)(1 + draw(3));
    b->policy.book_entries = 1u << draw(4);
    if (draw(4) == 0) {
        b->nodes[2].id = AGENT_B + 1; /* agent B is away */
    }
    if (draw(2) != 0) {
        add_window(b, 70, 0, SENTINEL_RULE_RATE_LIMIT, (int64_t)draw(6),
                   (int64_t)(1 + draw(3)) * SECOND_NS)
            ->each = (uint8_t)draw(2);
    }
    if (draw(2) != 0) {
        add_window(b, 71, 0, SENTINEL_RULE_ROLLING_CAP, INT64_C(200000000),
                   (int64_t)(1 + draw(9)) * SECOND_NS);
    }
    if (draw(2) != 0) {
        (void)scene_beat_rule(&scene, (uint32_t)draw(3), (uint8_t)(1 + draw(2)),
                              (int64_t)(1 + draw(3)), (int64_t)draw(3));
    }
    asks_perhaps(b);
    b->policy.lease_ns = draw(5) == 0 ? (int64_t)(1 + draw(9)) * SECOND_NS : 0;
    uint64_t at = count();
    (void)scene_load(&scene); /* a halted agent may not be left out */
    if (sentinel_gate_view(scene.context)->bundle.frame->sequence ==
        scene.sequences[SENTINEL_FRAME_POLICY]) {
        while (at + 1 < count()) {
            at++; /* behind summaries and a halt by the clock */
        }
        keep_bundle(at, scene.frame, scene.frame_size);
    }
}

/* What a drain lets through. */
static void reduce_perhaps(sentinel_order *order) {
    if (draw(2) != 0) {
        order->header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
        order->place.reduce_only = 1;
    }
}

static sentinel_order asked[SENTINEL_PENDING_MAX]; /* by row */

static int some_row(void) {
    uint64_t used = sentinel_gate_state(scene.context)->pending_used;
    if (used == 0) {
        return -1;
    }
    int row = (int)draw(SENTINEL_PENDING_MAX);
    while ((used >> row & 1) == 0) {
        row = (row + 1) % (int)SENTINEL_PENDING_MAX;
    }
    return row;
}

/* Remembers an order that now waits, by the row that it has. */
static void remember_asked(const sentinel_order *order) {
    const sentinel_state *state = sentinel_gate_state(scene.context);
    for (unsigned i = 0; i < SENTINEL_PENDING_MAX; i++) {
        if (scene.outcome.verdict == SENTINEL_PENDING && (state->pending_used >> i & 1) != 0 &&
            state->pending[i].record == scene.outcome.record) {
            asked[i] = *order;
        }
    }
}

static void some_order(void) {
    static sentinel_order last;
    sentinel_order order = scene_place(&scene);
    size_t size = sizeof order.place;
    uint64_t follows = draw(4);
    switch (draw(16)) {
    case 12:
    case 13:
        order.place.instrument = DERIBIT_PERP;
        order.place.quantity = decimal(10, 0);
        reduce_perhaps(&order);
        break;
    case 14:
    case 15:
        order.place.instrument = HL_PERP;
        order.place.price = decimal(50000 + (int64_t)draw(2), (unsigned)draw(2)); /* or not */
        break;
    case 0:
        order.header.action_id = 1 + draw(scene.id + 3); /* perhaps seen, perhaps too old */
        break;
    case 1:
        order.place.side = SENTINEL_SIDE_SELL;
        break;
    case 2:
        order.place.quantity = decimal(1, 0); /* above the cap */
        break;
    case 3:
        order = scene_order(&scene, SENTINEL_ACTION_CANCEL);
        order.cancel.target.by = SENTINEL_TARGET_ACTION;
        order.cancel.target.action_id = 1 + draw(scene.id);
        size = sizeof order.cancel;
        break;
    case 4:
        order = some_amend(&scene, 1 + draw(scene.id));
        size = sizeof order.amend;
        break;
    case 5:
        order = scene_order(&scene, SENTINEL_ACTION_MESSAGE);
        order.message.text_size = 1;
        order.message.text[0] = 'x';
        size = sizeof order.message;
        break;
    case 6:
        ((uint8_t *)&order)[draw(size)] ^= (uint8_t)(1u << draw(8));
        break;
    case 7:
        size = draw(sizeof order + 9);
        break;
    case 8:
        order = last.header.size_bytes != 0 ? last : order; /* a retry */
        size = order.header.size_bytes;
        follows = 0;
        break;
    default:
        break;
    }
    if (follows) {
        follow_perhaps(&scene, &order, draw);
    }
    uint8_t bytes[sizeof order + 16] = {0};
    memcpy(bytes, &order, sizeof order);
    CHECK_OK(
        sentinel_gate_sign(scene.context, &scene.outcome, &scene.session, bytes, size, scene.now));
    if (size == order.header.size_bytes) {
        last = order;
        remember_asked(&order);
    }
}

/* The log runs ahead, and is set back, perhaps over what something rests on. */
static void set_clock(void) {
    int64_t right_ns = scene.now;
    scene.now += (int64_t)draw(40) * SECOND_NS;
    CHECK_OK(sentinel_gate_start(scene.context, 0, scene.now));
    if (draw(4) == 0) {
        some_order();
    }
    int64_t last_ns = sentinel_gate_state(scene.context)->last_now_ns;
    scene.now = right_ns;
    scene_set_clock(&scene, last_ns);
    int is_set = scene_take(&scene) == SENTINEL_OK;
    clocks_set += (uint64_t)is_set;
    scene.now = is_set ? right_ns : last_ns; /* else time has to pass */
}

static void some_start(void) {
    if (draw(2) == 0) {
        set_clock();
    } else {
        CHECK_OK(sentinel_gate_start(scene.context, 0, scene.now));
    }
}

static void some_talk(void) {
    talk(&scene);
}

static void some_snapshot(void) {
    if (snapshot_count == sizeof snapshots / sizeof snapshots[0]) {
        return;
    }
    kept_snapshot *kept = &snapshots[snapshot_count++];
    kept->size = sentinel_gate_snapshot_bytes(scene.context);
    kept->bytes = aligned_alloc(8, (kept->size + 7) / 8 * 8);
    CHECK(kept->bytes != NULL);
    CHECK_OK(
        sentinel_gate_snapshot(scene.context, &kept->record, kept->bytes, kept->size, scene.now));
}

/* A lease, or any verb on anything, with an end or without, by one operator or two. */
static void some_stop(void) {
    static const uint32_t targets[][4] = {
        [SENTINEL_SCOPE_NODE] = {FIRM_ID, AGENT_A, AGENT_B, 9},
        [SENTINEL_SCOPE_VENUE] = {SENTINEL_VENUE_BINANCE_SPOT, SENTINEL_VENUE_DERIBIT,
                                  SENTINEL_VENUE_HYPERLIQUID, SENTINEL_VENUE_COUNT},
        [SENTINEL_SCOPE_INSTRUMENT] = {BTCUSDT, DERIBIT_PERP, HL_PERP, 0},
    };
    if (draw(3) == 0) {
        scene_command_at(&scene, SENTINEL_COMMAND_LEASE, SENTINEL_SCOPE_ENGINE, 0,
                         scene.now + (int64_t)draw(9) * SECOND_NS);
        frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
        (void)scene_take(&scene);
        return;
    }
    uint16_t verb = (uint16_t)(SENTINEL_COMMAND_HALT + draw(3));
    uint16_t scope = (uint16_t)(SENTINEL_SCOPE_NODE + draw(3));
    int64_t until_ns = verb == SENTINEL_COMMAND_DRAIN && draw(2) != 0
                           ? scene.now + (int64_t)draw(4) * SECOND_NS / 2
                           : 0;
    scene_command_at(&scene, verb, scope, targets[scope][draw(4)], until_ns);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    if (verb == SENTINEL_COMMAND_RESUME || draw(3) == 0) {
        frame_sign(&scene, KEY_OPERATOR_B, KEY_OPERATOR_B);
    }
    (void)scene_take(&scene);
}

/* Of a loop that goes on, hangs, idles or began anew; taken at once or late. */
static void some_beat(void) {
    static uint64_t iterations;
    iterations += draw(3) != 0;
    uint32_t agent = draw(3) != 0 ? AGENT_A : AGENT_B;
    int64_t since_ns = draw(2) != 0 ? scene.now - (int64_t)draw(8) * SECOND_NS / 4 : 0;
    scene_beat(&scene, agent, draw(9) != 0 ? iterations : 0, since_ns);
    if (draw(4) == 0) { /* before the last one, perhaps */
        ((sentinel_frame_header *)scene.frame)->issued_ns -= (int64_t)draw(3) * SECOND_NS;
    }
    uint32_t key = agent == AGENT_A ? KEY_AGENT_A : KEY_AGENT_B;
    frame_sign(&scene, key, key);
    scene.now += (int64_t)(draw(3) / 2 * draw(3)) * SECOND_NS;
    (void)scene_take(&scene);
}

static void new_authority(void) {
    for (unsigned i = 0; i < 3; i++) {
        uint64_t how = draw(4);
        scene.approvers[i].expires_ns = how == 0   ? 0
                                        : how == 1 ? scene.now + 3 * SECOND_NS
                                                   : INT64_MAX;
    }
    scene_authority(&scene);
    uint64_t at = 0;
    if (sentinel_gate_take(scene.context, &at, scene.frame, scene.frame_size, scene.now) ==
        SENTINEL_OK) {
        keep_bundle(at, scene.authority, scene.authority_size);
    }
}

/* Approvers, and the agent, see to a request; sometimes to one that is over. */
static void some_answer(void) {
    int row = some_row();
    if (row < 0) {
        return;
    }
    const sentinel_pending *pending = &sentinel_gate_state(scene.context)->pending[row];
    uint64_t what = draw(10);
    if (what < 3) {
        scene.session.agent = pending->agent;
        scene.session.generation = 0;
        CHECK_OK(sentinel_gate_sign(scene.context, &scene.outcome, &scene.session, &asked[row],
                                    asked[row].header.size_bytes, scene.now));
        remember_asked(&asked[row]);
        return;
    }
    if (what == 3) {
        sentinel_session owner = {.agent = pending->agent};
        sentinel_status status =
            sentinel_gate_withdraw(scene.context, NULL, &owner, pending->action_id, scene.now);
        CHECK(status == SENTINEL_OK || status == SENTINEL_POLICY_APPROVAL);
        return;
    }
    scene_answer(&scene, what == 4 ? SENTINEL_COMMAND_REJECT : SENTINEL_COMMAND_APPROVE,
                 pending->record, pending->record_hash32);
    for (uint32_t i = 0; i < 3; i++) {
        if (draw(2) != 0 && scene.approvers[i].expires_ns > scene.now) {
            frame_sign(&scene, scene.approvers[i].key, KEY_APPROVER + i);
        }
    }
    (void)scene_take(&scene);
}

/* Of an order that may go on, or of any action whatever. */
static sentinel_report some_report(int likely) {
    const sentinel_view *view = sentinel_gate_view(scene.context);
    uint64_t back = draw(12);
    uint8_t status = (uint8_t)(1 + draw(6));
    sentinel_report report = {
        .agent = draw(20) != 0 ? AGENT_A : AGENT_B,
        .status = status,
        .action_id = scene.id > back ? scene.id - back : 1,
        .price = decimal((int64_t)draw(3) * 5000000, 2),
        .time_ns = scene.now - (int64_t)draw(2) * SECOND_NS,
    };
    int fills = status == SENTINEL_ORDER_PARTLY_FILLED || status == SENTINEL_ORDER_FILLED;
    report.filled = fills ? decimal(1 + (int64_t)draw(100), 5) : decimal(0, 0);
    uint32_t node = sentinel_bundle_node(&view->bundle, AGENT_A);
    const sentinel_book_entry *entry = sentinel_view_book(view, node, report.action_id);
    for (uint64_t id = 0; likely && entry->action_id == 0 && id < 8; id++) {
        entry = sentinel_view_book(view, node, id);
    }
    if (likely && entry->action_id != 0 && entry->status < SENTINEL_ORDER_FILLED) {
        report.agent = AGENT_A;
        report.action_id = entry->action_id;
        report.status = draw(3) != 0 ? SENTINEL_ORDER_PARTLY_FILLED : SENTINEL_ORDER_FILLED;
        report.filled = draw(2) != 0 ? entry->quantity : decimal(1, 5);
    }
    return report;
}

/* Of orders that were signed and of others, by two feeders, with sequences
 * that fit and others: much of it stops an agent or the firm. */
static void some_reports(void) {
    const sentinel_feeder_state *feeders = sentinel_gate_state(scene.context)->feeders;
    uint32_t key = draw(3) != 0 ? KEY_FEEDER : KEY_REPORTER;
    uint64_t last = 0;
    for (unsigned i = 0; i < SENTINEL_FEEDERS_MAX; i++) {
        last = feeders[i].key == key ? feeders[i].sequence : last;
    }
    sentinel_report reports[2];
    uint32_t many = 1 + (uint32_t)draw(2);
    for (uint32_t i = 0; i < many; i++) {
        reports[i] = some_report(draw(8) != 0);
    }
    uint64_t step = draw(10);
    scene_reports(&scene, key, last + (step == 0 ? 0 : step == 1 ? 2 : 1), reports, many);
    uint64_t before = count();
    sentinel_status status = scene_take(&scene);
    reports_taken += status == SENTINEL_OK;
    reports_stopped += status == SENTINEL_POLICY_REPORT && count() > before;
    (void)scene_take(&scene); /* the same again */
}

static void some_position(void) {
    static const uint32_t ids[] = {BTCUSDT, DERIBIT_PERP, HL_PERP, 9999};
    scene_position(&scene, ids[draw(4)], decimal((int64_t)draw(41) - 20, (unsigned)draw(3)),
                   scene.now - (int64_t)draw(3) * SECOND_NS);
    (void)scene_take(&scene);
}

static void some_execution(void) {
    if (draw(4) != 0) {
        some_reports();
    } else {
        some_position();
    }
}

static void one_step(void) {
    static const uint32_t nodes[] = {FIRM_ID, AGENT_A, AGENT_B, 9};
    scene.now += (int64_t)draw(4) * SECOND_NS / 4;
    if (draw(8) == 0) {
        for (unsigned i = 0; i < 4; i++) {
            some_answer();
        }
        witness_step(&scene, &witness, draw);
        return;
    }
    if (draw(10) == 0) {
        some_execution();
        return;
    }
    switch (draw(50)) {
    case 40:
    case 41:
    case 42:
        some_beat();
        break;
    case 45:
    case 46:
        CHECK_OK(sentinel_gate_tick(scene.context, scene.now));
        break;
    case 47:
        new_authority();
        break;
    case 0:
        (void)scene_halt(&scene, nodes[draw(4)]);
        break;
    case 3:
    case 4:
        (void)scene_resume(&scene, nodes[draw(3)]);
        break;
    case 5:
    case 6:
        scene_feed(&scene, BTCUSDT, decimal(5000000 + (int64_t)draw(9), 2));
        (void)scene_take(&scene);
        (void)scene_take(&scene); /* the second one is refused */
        break;
    case 7:
        new_policy();
        break;
    case 8:
        scene.now -= (int64_t)draw(3) * SECOND_NS; /* held, or halted */
        some_order();
        break;
    case 9:
        some_snapshot();
        break;
    case 10:
        some_start();
        break;
    case 11:
        CHECK_OK(sentinel_session_open(&scene.session, scene.context, AGENT_A));
        scene.session.agent = draw(2) != 0 ? AGENT_A : AGENT_B;
        scene.session.generation = 0;
        break;
    case 12:
        scene.control.stop = (uint32_t)draw(2);
        break;
    case 13:
    case 14:
        some_stop();
        break;
    default:
        (draw(30) == 0 ? some_talk : some_order)();
        break;
    }
}

static void read_all(uint64_t many) {
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    sentinel_log_reader reader;
    sentinel_record read;
    CHECK(many <= RECORDS_MAX);
    CHECK_OK(sentinel_log_reader_open(&reader, scene.dir_fd, 0));
    for (uint64_t i = 0; i < many; i++) {
        CHECK_OK(sentinel_log_reader_next(&reader, &read, buffer, sizeof buffer));
        CHECK(read.header->size_bytes <= sizeof records->bytes);
        memcpy(records[i].bytes, buffer, read.header->size_bytes);
        CHECK_OK(
            sentinel_record_parse(&records[i].record, records[i].bytes, read.header->size_bytes));
    }
    sentinel_log_reader_close(&reader);
}

static const kept_bundle *bundle_at(uint64_t record) {
    for (unsigned i = 0; i < bundle_count; i++) {
        if (bundles[i].record == record) {
            return &bundles[i];
        }
    }
    return NULL;
}

static void replay_from(uint64_t first, uint64_t many) {
    for (uint64_t i = first; i < many; i++) {
        const char *difference = NULL;
        const kept_bundle *bundle = bundle_at(i);
        sentinel_status status = sentinel_gate_replay(
            scene.context, &difference, &records[i].record, bundle != NULL ? bundle->bytes : NULL,
            bundle != NULL ? bundle->size : 0);
        if (status != SENTINEL_OK) {
            printf("    seed %llu, record %llu of type %u: %s\n", (unsigned long long)seed_now,
                   (unsigned long long)i, records[i].record.header->type,
                   difference != NULL ? difference : "?");
        }
        CHECK_OK(status);
    }
    CHECK_BYTES(sentinel_gate_state(scene.context)->last_hash32, records[many - 1].record.hash32,
                32);
}

/* The bundle in force at a record: the last of its kind that was taken before it. */
static const kept_bundle *bundle_before(uint64_t record, uint16_t kind) {
    const kept_bundle *found = NULL;
    for (unsigned i = 0; i < bundle_count; i++) {
        const sentinel_frame_header *frame = (const sentinel_frame_header *)bundles[i].bytes;
        if (frame->kind == kind && bundles[i].record < record) {
            found = &bundles[i];
        }
    }
    return found;
}

static void play(uint64_t seed) {
    seed_now = seed;
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    bundle_count = 0;
    snapshot_count = 0;
    scene_begin(&scene);
    make_keys();
    keep_bundle(1, scene.authority, scene.authority_size);
    keep_bundle(2, scene.frame, scene.frame_size);
    new_policy();
    memset(&witness, 0, sizeof witness);
    if (seed % 8 == 0) {
        scene.has_witness = 1;
        new_authority();
    }
    for (unsigned i = 0; i < STEPS; i++) {
        one_step();
    }
    CHECK_OK(sentinel_gate_flush(scene.context, scene.now));
    uint64_t many = count();
    read_all(many);
    scene_context(&scene, scene.ring, NULL);
    replay_from(0, many);
    scene_context(&scene, NULL, NULL);
    replay_from(0, many);
    for (unsigned i = 0; i < snapshot_count; i++) {
        const kept_snapshot *from = &snapshots[i];
        const kept_bundle *policy = bundle_before(from->record, SENTINEL_FRAME_POLICY);
        const kept_bundle *authority = bundle_before(from->record, SENTINEL_FRAME_AUTHORITY);
        scene_context(&scene, NULL, NULL);
        CHECK_OK(sentinel_gate_restore(scene.context, &records[from->record].record,
                                       authority->bytes, authority->size, policy->bytes,
                                       policy->size, from->bytes, from->size));
        replay_from(from->record + 1, many);
        free(from->bytes);
    }
    scene_end(&scene);
}

static void test_random_histories_replay_bit_for_bit(void) {
    const char *only = getenv("SENTINEL_SEED");
    uint64_t seed = only != NULL ? strtoull(only, NULL, 10) : 1;
    uint64_t last = only != NULL ? seed : 40;
    records = aligned_alloc(64, RECORDS_MAX * sizeof *records);
    bundles = aligned_alloc(64, BUNDLES_MAX * sizeof *bundles);
    CHECK(records != NULL && bundles != NULL);
    for (; seed <= last; seed++) {
        play(seed);
    }
    CHECK(only != NULL || (reports_taken > 20 && reports_stopped > 100 && clocks_set > 20));
    free(records);
    free(bundles);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_random_histories_replay_bit_for_bit);
    return test_end();
}
