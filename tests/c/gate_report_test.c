/* Execution reports and positions through the gate: what is booked, what stops
 * whom, at the edge and one past it, and that nothing else changes then. */
#include "gate_internal.h"
#include "gate_scene.h"

enum { KEY_PERP = 4 };

static gate_scene scene;
static _Alignas(8) uint8_t bytes[SENTINEL_RECORD_BYTES_MAX];
static sentinel_record record;

static const sentinel_view *view(void) {
    return sentinel_gate_view(scene.context);
}

static const sentinel_stop_state *stop_of(uint32_t id) {
    return sentinel_view_node(view(), sentinel_bundle_node(&view()->bundle, id));
}

static sentinel_book_entry *book(uint64_t action_id) {
    return sentinel_view_book(view(), sentinel_bundle_node(&view()->bundle, AGENT_A), action_id);
}

static sentinel_position_state *position(void) {
    return sentinel_view_position(view(), sentinel_bundle_instrument(&view()->bundle, BTCUSDT));
}

static uint64_t records(void) {
    return sentinel_gate_state(scene.context)->record_count;
}

static void read_record(uint64_t number) {
    sentinel_log_reader reader;
    CHECK_OK(sentinel_log_reader_open(&reader, scene.dir_fd, number));
    CHECK_OK(sentinel_log_reader_next(&reader, &record, bytes, sizeof bytes));
    sentinel_log_reader_close(&reader);
}

static sentinel_report report(uint64_t action_id, uint8_t status, sentinel_decimal filled) {
    return (sentinel_report){.agent = AGENT_A,
                             .status = status,
                             .action_id = action_id,
                             .filled = filled,
                             .time_ns = scene.now};
}

static uint64_t last_of(uint32_t key) {
    const sentinel_feeder_state *feeders = sentinel_gate_state(scene.context)->feeders;
    for (uint32_t i = 0; i < SENTINEL_FEEDERS_MAX; i++) {
        if (feeders[i].key == key) {
            return feeders[i].sequence;
        }
    }
    return 0;
}

static sentinel_status feed(const sentinel_report *reports, uint32_t count) {
    scene_reports(&scene, KEY_FEEDER, last_of(KEY_FEEDER) + 1, reports, count);
    return scene_take(&scene);
}

static sentinel_status feed_one(uint64_t action_id, uint8_t status, sentinel_decimal filled) {
    sentinel_report row = report(action_id, status, filled);
    return feed(&row, 1);
}

/* A buy of 0.001 BTC, signed. */
static uint64_t signed_place(void) {
    sentinel_order order = scene_place(&scene);
    check_allowed(&scene, &order);
    return order.header.action_id;
}

static sentinel_order amend_of(uint64_t target, sentinel_decimal quantity) {
    sentinel_order order = scene_order(&scene, SENTINEL_ACTION_AMEND);
    order.header.present = SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_PRICE;
    order.amend.target.by = SENTINEL_TARGET_ACTION;
    order.amend.target.action_id = target;
    order.amend.type = SENTINEL_TYPE_LIMIT;
    order.amend.time_in_force = SENTINEL_TIF_GTC;
    order.amend.quantity = quantity;
    order.amend.price = decimal(5000000, 2);
    return order;
}

static uint64_t signed_amend(uint64_t target, sentinel_decimal quantity) {
    sentinel_order order = amend_of(target, quantity);
    check_allowed(&scene, &order);
    return order.header.action_id;
}

static void check_position(int64_t mantissa, unsigned scale) {
    CHECK_EQ(position()->mantissa, mantissa);
    CHECK_EQ(position()->scale, scale);
}

/* The frame in the scene stopped this node, kept in a record, and did nothing else. */
static void check_stopped(sentinel_status status, uint32_t target, uint16_t fault, uint16_t row) {
    const sentinel_frame_header *header = (const sentinel_frame_header *)scene.frame;
    uint64_t number = records() - 1;
    CHECK_EQ(status, SENTINEL_POLICY_REPORT);
    read_record(number);
    CHECK_EQ(record.header->type, SENTINEL_RECORD_STOP);
    const sentinel_auto_stop *stop = (const sentinel_auto_stop *)record.subject;
    CHECK_EQ(stop->target, target);
    CHECK_EQ(stop->mode, SENTINEL_HALTED);
    CHECK_EQ(stop->cause, SENTINEL_CAUSE_REPORT);
    CHECK_EQ(stop->detail, fault);
    CHECK_EQ(stop->row, row);
    CHECK_EQ(stop->sequence, header->sequence);
    CHECK_EQ(record.header->subject_size, sizeof *stop + scene.frame_size);
    CHECK_BYTES(record.subject + sizeof *stop, scene.frame, scene.frame_size);
    CHECK_EQ(stop_of(target)->mode, SENTINEL_HALTED);
    CHECK_EQ(stop_of(target)->cause, SENTINEL_CAUSE_REPORT);
    CHECK_EQ(stop_of(target)->record, number);
}

static void check_refused(sentinel_status status, sentinel_status expected) {
    CHECK_EQ(status, expected);
    read_record(records() - 1);
    CHECK_EQ(record.header->type, SENTINEL_RECORD_REFUSED);
    CHECK_EQ(((const sentinel_refused *)record.subject)->status, expected);
}

/* BTCUSDT is a contract of a venue that amends. */
static void load_perp(uint16_t venue, uint32_t book_entries) {
    scene_policy_rows(&scene);
    sentinel_instrument *row = &scene.build.instruments[0];
    row->venue = venue;
    row->contract = SENTINEL_CONTRACT_LINEAR;
    row->settle = row->quote;
    (void)scene_venue_key(&scene, KEY_PERP, venue, SENTINEL_PURPOSE_VENUE,
                          1u << SENTINEL_CONTRACT_LINEAR);
    scene.build.policy.book_entries = book_entries;
    CHECK_OK(scene_load(&scene));
}

static void begin_perp(uint16_t venue, uint8_t algorithm, uint32_t book_entries) {
    scene_begin(&scene);
    scene_key(scene.ring, KEY_PERP, SENTINEL_PURPOSE_VENUE, algorithm, venue);
    load_perp(venue, book_entries);
}

/* ---- What is booked ---------------------------------------------------------- */

static void test_an_order_is_filled_bit_by_bit(void) {
    scene_begin(&scene);
    uint64_t id = signed_place();
    CHECK_EQ(book(id)->status, SENTINEL_ORDER_SIGNED);
    CHECK_EQ(book(id)->quantity.mantissa, 1);
    CHECK_EQ(book(id)->quantity.scale, 3);
    CHECK_OK(feed_one(id, SENTINEL_ORDER_ACKNOWLEDGED, decimal(0, 0)));
    CHECK_EQ(book(id)->status, SENTINEL_ORDER_ACKNOWLEDGED);
    CHECK_EQ(book(id)->reported_ns, scene.now);
    check_position(0, 0);
    CHECK_OK(feed_one(id, SENTINEL_ORDER_PARTLY_FILLED, decimal(400, 6)));
    check_position(4, 4);
    CHECK_EQ(book(id)->filled.mantissa, 4);
    CHECK_OK(feed_one(id, SENTINEL_ORDER_PARTLY_FILLED, decimal(4, 4))); /* once more: no more */
    check_position(4, 4);
    CHECK_OK(feed_one(id, SENTINEL_ORDER_FILLED, decimal(1, 3)));
    CHECK_EQ(book(id)->status, SENTINEL_ORDER_FILLED);
    check_position(1, 3);
    CHECK_OK(feed_one(id, SENTINEL_ORDER_FILLED, decimal(10, 4))); /* the same said twice */
    scene_feed(&scene, BTCUSDT, decimal(5000000, 2));
    CHECK_OK(scene_take(&scene));
    sentinel_order sell = scene_place(&scene);
    sell.place.side = SENTINEL_SIDE_SELL;
    sell.place.quantity = decimal(3, 3);
    check_allowed(&scene, &sell);
    CHECK_OK(feed_one(sell.header.action_id, SENTINEL_ORDER_CANCELLED, decimal(25, 4)));
    check_position(-15, 4);
    scene_end(&scene);
}

static void test_32_reports_fit_beside_16_proofs_and_33_do_not(void) {
    scene_begin(&scene);
    sentinel_report rows[SENTINEL_FEED_REPORTS_MAX + 1];
    for (uint32_t i = 0; i <= SENTINEL_FEED_REPORTS_MAX; i++) {
        rows[i] = report(signed_place(), SENTINEL_ORDER_FILLED, decimal(1, 3));
    }
    CHECK_OK(feed(rows, SENTINEL_FEED_REPORTS_MAX));
    check_position(32, 3);
    check_refused(feed(rows, SENTINEL_FEED_REPORTS_MAX + 1), SENTINEL_FORMAT_LIMIT);
    check_refused(feed(rows, 0), SENTINEL_FORMAT_LIMIT);
    check_position(32, 3);
    CHECK(sizeof(sentinel_auto_stop) + sizeof(sentinel_frame_header) + sizeof(sentinel_feed) +
              sizeof(sentinel_report) * SENTINEL_FEED_REPORTS_MAX + 8 +
              SENTINEL_PROOFS_MAX * (sizeof(sentinel_proof) + SENTINEL_PROOF_BYTES_MAX) <=
          SENTINEL_SUBJECT_BYTES_MAX);
    scene_end(&scene);
}

static void test_rows_of_one_order_count_in_their_order(void) {
    scene_begin(&scene);
    uint64_t id = signed_place();
    sentinel_report rows[] = {report(id, SENTINEL_ORDER_PARTLY_FILLED, decimal(4, 4)),
                              report(id, SENTINEL_ORDER_FILLED, decimal(10, 4)),
                              report(id, SENTINEL_ORDER_PARTLY_FILLED, decimal(10, 4))};
    CHECK_OK(feed(rows, 2));
    check_position(1, 3);
    check_stopped(feed(rows + 1, 2), AGENT_A, SENTINEL_REPORT_CLOSED, 1);
    check_position(1, 3);
    scene_end(&scene);
}

static void test_amends_are_one_order_with_their_place(void) {
    begin_perp(SENTINEL_VENUE_BYBIT, SENTINEL_ALGORITHM_HMAC_SHA256, 64);
    uint64_t place = signed_place();
    CHECK_OK(feed_one(place, SENTINEL_ORDER_PARTLY_FILLED, decimal(5, 4)));
    uint64_t more = signed_amend(place, decimal(3, 3));
    CHECK_EQ(book(place)->amended_by, more);
    CHECK_EQ(book(more)->filled.mantissa, 5);
    CHECK_EQ(book(more)->status, SENTINEL_ORDER_PARTLY_FILLED);
    CHECK_OK(feed_one(place, SENTINEL_ORDER_PARTLY_FILLED, decimal(2, 3))); /* by the place's id */
    CHECK_EQ(book(more)->filled.mantissa, 2);
    check_position(2, 3);
    uint64_t less = signed_amend(place, decimal(1, 3)); /* the last amend is meant */
    CHECK_EQ(book(more)->amended_by, less);
    CHECK_EQ(book(place)->amended_by, less);
    CHECK_EQ(book(less)->quantity.mantissa, 3); /* it may not have arrived in time */
    CHECK_OK(feed_one(more, SENTINEL_ORDER_FILLED, decimal(3, 3)));
    check_position(3, 3);
    check_stopped(feed_one(less, SENTINEL_ORDER_FILLED, decimal(31, 4)), AGENT_A,
                  SENTINEL_REPORT_ABOVE, 0);
    scene_end(&scene);
}

static void test_what_an_amend_pushed_out_of_the_book_is_unknown(void) {
    begin_perp(SENTINEL_VENUE_BYBIT, SENTINEL_ALGORITHM_HMAC_SHA256, 2);
    uint64_t place = signed_place();                     /* 1 */
    uint64_t amend = signed_amend(place, decimal(1, 3)); /* 2 */
    scene.id = 3;
    (void)signed_place(); /* 4: in the amend's place */
    CHECK_EQ(book(place)->amended_by, amend);
    CHECK_EQ(book(amend)->action_id, 4);
    scene.id = 5;
    uint64_t again = signed_amend(place, decimal(1, 3)); /* 6, and what was filled is lost */
    CHECK_EQ(book(again)->amended_by, amend);
    check_stopped(feed_one(again, SENTINEL_ORDER_ACKNOWLEDGED, decimal(0, 0)), AGENT_A,
                  SENTINEL_REPORT_UNSIGNED, 0);
    scene_end(&scene);
}

static void test_a_place_takes_over_nothing_of_the_order_before_in_its_place(void) {
    begin_perp(SENTINEL_VENUE_BYBIT, SENTINEL_ALGORITHM_HMAC_SHA256, 2);
    uint64_t place = signed_place();
    CHECK_OK(feed_one(place, SENTINEL_ORDER_PARTLY_FILLED, decimal(5, 4)));
    (void)signed_amend(place, decimal(3, 3));
    CHECK(book(place)->amended_by != 0 && book(place)->reported_ns != 0);
    uint64_t next = signed_place();
    CHECK(book(next) == book(place));
    sentinel_book_entry expected = {
        .action_id = next,
        .record = records() - 1,
        .epoch = sentinel_gate_state(scene.context)->epoch,
        .instrument = BTCUSDT,
        .side = SENTINEL_SIDE_BUY,
        .type = SENTINEL_TYPE_LIMIT,
        .time_in_force = SENTINEL_TIF_GTC,
        .client_record = records() - 1,
        .client_epoch = sentinel_gate_state(scene.context)->epoch,
        .quantity = decimal(1, 3),
    };
    CHECK(bytes_equal(book(next), &expected, sizeof expected));
    scene_end(&scene);
}

/* A market buy for 50 USDT, signed. */
static uint64_t signed_spend(void) {
    sentinel_order order = scene_place(&scene);
    order.header.present = SENTINEL_PRESENT_QUOTE_QUANTITY;
    order.place.type = SENTINEL_TYPE_MARKET;
    order.place.time_in_force = 0;
    memset(&order.place.quantity, 0, sizeof order.place.quantity);
    memset(&order.place.price, 0, sizeof order.place.price);
    order.place.quote_quantity = decimal(5000, 2);
    check_allowed(&scene, &order);
    return order.header.action_id;
}

static void test_orders_by_what_they_spend(void) {
    scene_begin(&scene);
    uint64_t id = signed_spend();
    CHECK_EQ(book(id)->in_quote, 1);
    check_refused(feed_one(id, SENTINEL_ORDER_FILLED, decimal(1, 3)), SENTINEL_FORMAT_RANGE);
    sentinel_report row = report(id, SENTINEL_ORDER_PARTLY_FILLED, decimal(1, 3));
    row.price = decimal(5000000, 2);
    CHECK_OK(feed(&row, 1)); /* all of it */
    check_position(1, 3);
    row.price = decimal(5000001, 2);
    check_stopped(feed(&row, 1), AGENT_A, SENTINEL_REPORT_ABOVE, 0);
    CHECK_OK(scene_resume(&scene, AGENT_A));
    row.filled = decimal(INT64_MAX, 0); /* beyond 128 bits is above, not below */
    row.price = decimal(INT64_MAX, 18);
    check_stopped(feed(&row, 1), AGENT_A, SENTINEL_REPORT_ABOVE, 0);
    scene_end(&scene);
}

/* Its market is another now, of a venue that amends: the amount stays one. */
static void test_what_an_order_spends_is_not_amended(void) {
    scene_begin(&scene);
    uint64_t id = signed_spend();
    uint64_t other = signed_place();
    scene_key(scene.ring, KEY_PERP, SENTINEL_PURPOSE_VENUE, SENTINEL_ALGORITHM_HMAC_SHA256,
              SENTINEL_VENUE_BYBIT);
    load_perp(SENTINEL_VENUE_BYBIT, 64);
    sentinel_book_entry before = *book(id);
    sentinel_order order = amend_of(id, decimal(1, 3));
    check_denied(&scene, &order, SENTINEL_REASON_UNSUPPORTED);
    CHECK_EQ(scene.outcome.decision.result_count, 0); /* with the target, before policy */
    CHECK_BYTES(book(id), &before, sizeof before);
    (void)signed_amend(other, decimal(1, 3)); /* one by its quantity is */
    scene_end(&scene);
}

/* ---- What cannot be true ------------------------------------------------------- */

static void test_more_than_was_ordered_halts_the_agent(void) {
    scene_begin(&scene);
    uint64_t id = signed_place();
    sentinel_book_entry before = *book(id);
    check_stopped(feed_one(id, SENTINEL_ORDER_FILLED, decimal(1000000000000001, 18)), AGENT_A,
                  SENTINEL_REPORT_ABOVE, 0);
    CHECK_BYTES(book(id), &before, sizeof before);
    check_position(0, 0);
    CHECK_EQ(last_of(KEY_FEEDER), 0);
    CHECK_EQ(stop_of(FIRM_ID)->mode, SENTINEL_RUNNING);
    sentinel_order order = scene_place(&scene);
    check_denied(&scene, &order, SENTINEL_REASON_KILL_SWITCH);
    /* Halted already: refused, and the first cause stays. */
    uint64_t first = stop_of(AGENT_A)->record;
    check_refused(scene_take(&scene), SENTINEL_POLICY_REPORT);
    CHECK_EQ(stop_of(AGENT_A)->record, first);
    scene_command(&scene, SENTINEL_COMMAND_RESUME, AGENT_A);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    CHECK_EQ(scene_take(&scene), SENTINEL_POLICY_SIGNATURE); /* one does not lift it */
    CHECK_OK(scene_resume(&scene, AGENT_A));
    CHECK_OK(feed_one(id, SENTINEL_ORDER_FILLED, decimal(1, 3))); /* with the sequence it had */
    check_position(1, 3);
    scene_end(&scene);
}

static void test_the_other_faults_halt_the_agent(void) {
    static const uint8_t ends[] = {SENTINEL_ORDER_FILLED, SENTINEL_ORDER_CANCELLED,
                                   SENTINEL_ORDER_EXPIRED};
    scene_begin(&scene);
    uint64_t id = signed_place();
    CHECK_OK(feed_one(id, SENTINEL_ORDER_PARTLY_FILLED, decimal(5, 4)));
    check_stopped(feed_one(id, SENTINEL_ORDER_PARTLY_FILLED, decimal(49, 5)), AGENT_A,
                  SENTINEL_REPORT_SHRANK, 0);
    CHECK_OK(scene_resume(&scene, AGENT_A));
    check_stopped(feed_one(id + 1, SENTINEL_ORDER_ACKNOWLEDGED, decimal(0, 0)), AGENT_A,
                  SENTINEL_REPORT_UNSIGNED, 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_OK(scene_resume(&scene, AGENT_A));
        id = signed_place();
        CHECK_OK(feed_one(id, ends[i], decimal(5, 4)));
        CHECK_OK(feed_one(id, ends[i], decimal(5, 4)));
        check_stopped(feed_one(id, ends[i], decimal(6, 4)), AGENT_A, SENTINEL_REPORT_CLOSED, 0);
        CHECK_OK(scene_resume(&scene, AGENT_A));
        check_stopped(feed_one(id, SENTINEL_ORDER_PARTLY_FILLED, decimal(5, 4)), AGENT_A,
                      SENTINEL_REPORT_CLOSED, 0);
    }
    CHECK_OK(scene_resume(&scene, AGENT_A));
    id = signed_place();
    CHECK_OK(feed_one(id, SENTINEL_ORDER_REJECTED, decimal(0, 0)));
    check_stopped(feed_one(id, SENTINEL_ORDER_ACKNOWLEDGED, decimal(0, 0)), AGENT_A,
                  SENTINEL_REPORT_CLOSED, 0);
    scene_end(&scene);
}

static void test_positions_end_at_63_bits(void) {
    scene_begin(&scene);
    scene_position(&scene, BTCUSDT, decimal(INT64_MAX - 1, 3), scene.now - 1);
    CHECK_OK(scene_take(&scene));
    uint64_t id = signed_place();
    CHECK_OK(feed_one(id, SENTINEL_ORDER_FILLED, decimal(1, 3)));
    check_position(INT64_MAX, 3);
    id = signed_place();
    check_stopped(feed_one(id, SENTINEL_ORDER_FILLED, decimal(1, 3)), AGENT_A,
                  SENTINEL_REPORT_POSITION, 0);
    check_position(INT64_MAX, 3);
    CHECK_OK(scene_resume(&scene, AGENT_A));
    check_stopped(feed_one(id, SENTINEL_ORDER_PARTLY_FILLED, decimal(1, 4)), AGENT_A,
                  SENTINEL_REPORT_POSITION, 0); /* the scale that it needs */
    scene_position(&scene, BTCUSDT, decimal(-INT64_MAX, 3), scene.now);
    CHECK_OK(scene_take(&scene));
    check_position(-INT64_MAX, 3);
    scene_end(&scene);
}

static void test_a_gap_or_a_replay_halts_the_firm(void) {
    scene_begin(&scene);
    uint64_t id = signed_place();
    sentinel_report row = report(id, SENTINEL_ORDER_ACKNOWLEDGED, decimal(0, 0));
    scene_reports(&scene, KEY_FEEDER, 2, &row, 1); /* the first is 1 */
    check_stopped(scene_take(&scene), FIRM_ID, SENTINEL_REPORT_GAP, 0);
    CHECK_EQ(book(id)->status, SENTINEL_ORDER_SIGNED);
    CHECK_OK(scene_resume(&scene, FIRM_ID));
    scene_reports(&scene, KEY_FEEDER, 0, &row, 1);
    check_refused(scene_take(&scene), SENTINEL_FORMAT_RANGE);
    scene_reports(&scene, KEY_FEEDER, 1, &row, 1);
    CHECK_OK(scene_take(&scene));
    check_refused(scene_take(&scene), SENTINEL_POLICY_SEQUENCE); /* the very same again */
    CHECK_EQ(stop_of(FIRM_ID)->mode, SENTINEL_RUNNING);
    row.time_ns--;
    scene_reports(&scene, KEY_FEEDER, 1, &row, 1);
    check_stopped(scene_take(&scene), FIRM_ID, SENTINEL_REPORT_REPLAYED, 0);
    CHECK_OK(scene_resume(&scene, FIRM_ID));
    scene_reports(&scene, KEY_FEEDER, 3, &row, 1);
    check_stopped(scene_take(&scene), FIRM_ID, SENTINEL_REPORT_GAP, 0);
    CHECK_OK(scene_resume(&scene, FIRM_ID));
    scene_reports(&scene, KEY_REPORTER, 1, &row, 1); /* each feeder counts for itself */
    CHECK_OK(scene_take(&scene));
    scene_reports(&scene, KEY_FEEDER, 2, &row, 1);
    CHECK_OK(scene_take(&scene));
    CHECK_EQ(last_of(KEY_FEEDER), 2);
    CHECK_EQ(last_of(KEY_REPORTER), 1);
    scene_end(&scene);
}

static void test_a_check_stops_nothing(void) {
    scene_begin(&scene);
    uint64_t id = signed_place();
    sentinel_report row = report(id, SENTINEL_ORDER_FILLED, decimal(2, 3));
    scene_reports(&scene, KEY_FEEDER, 1, &row, 1);
    uint64_t before = records();
    CHECK_EQ(sentinel_gate_check(scene.context, scene.frame, scene.frame_size, scene.now),
             SENTINEL_POLICY_REPORT);
    CHECK_EQ(records(), before);
    CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_RUNNING);
    uint64_t number = 0;
    CHECK_EQ(sentinel_gate_take(scene.context, &number, scene.frame, scene.frame_size, scene.now),
             SENTINEL_POLICY_REPORT);
    CHECK_EQ(number, before); /* where it stands */
    scene_end(&scene);
}

/* ---- What is only wrong -------------------------------------------------------- */

static void test_forms_are_refused_and_stop_nothing(void) {
    scene_begin(&scene);
    uint64_t id = signed_place();
    sentinel_report good = report(id, SENTINEL_ORDER_PARTLY_FILLED, decimal(1, 4));
    sentinel_report row;
#define REFUSED(status, change)                          \
    do {                                                 \
        row = good;                                      \
        change;                                          \
        check_refused(feed(&row, 1), SENTINEL_##status); \
    } while (0)
    REFUSED(FORMAT_RANGE, row.agent = 0);
    REFUSED(POLICY_SCOPE, row.agent = 4711);
    REFUSED(POLICY_SCOPE, row.agent = FIRM_ID);
    REFUSED(FORMAT_RANGE, row.action_id = 0);
    REFUSED(FORMAT_RANGE, row.status = SENTINEL_ORDER_SIGNED);
    REFUSED(FORMAT_RANGE, row.status = SENTINEL_ORDER_STATUS_COUNT);
    REFUSED(FORMAT_RANGE, row.status = SENTINEL_ORDER_ACKNOWLEDGED);
    REFUSED(FORMAT_RANGE, row.status = SENTINEL_ORDER_REJECTED);
    REFUSED(FORMAT_RANGE, row.filled = decimal(0, 0));
    REFUSED(FORMAT_RANGE, row.filled = decimal(0, 0); row.status = SENTINEL_ORDER_FILLED);
    REFUSED(FORMAT_RANGE, row.filled.mantissa = -1);
    REFUSED(FORMAT_RANGE, row.filled.scale = SENTINEL_SCALE_MAX + 1);
    REFUSED(FORMAT_RANGE, row.price.mantissa = -1);
    REFUSED(FORMAT_RANGE, row.price.scale = SENTINEL_SCALE_MAX + 1);
    REFUSED(FORMAT_RANGE, row.time_ns = 0);
    REFUSED(FORMAT_RANGE, row.time_ns = scene.now + 1);
    REFUSED(FORMAT_RESERVED, row.reserved0[2] = 1);
    REFUSED(FORMAT_RESERVED, row.reserved1[7] = 1);
    REFUSED(FORMAT_RESERVED, row.filled.reserved[0] = 1);
    REFUSED(FORMAT_RESERVED, row.price.reserved[6] = 1);
#undef REFUSED
    scene_reports(&scene, KEY_OPERATOR_A, 1, &good, 1);
    check_refused(scene_take(&scene), SENTINEL_POLICY_SIGNATURE);
    scene_position(&scene, BTCUSDT, decimal(1, 0), scene.now);
    frame_sign(&scene, KEY_REPORTER, KEY_REPORTER);
    check_refused(scene_take(&scene), SENTINEL_POLICY_SIGNATURE); /* it may not state positions */
    CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_RUNNING);
    CHECK_EQ(stop_of(FIRM_ID)->mode, SENTINEL_RUNNING);
    CHECK_OK(feed(&good, 1));
    scene_end(&scene);
}

static void test_an_instrument_that_is_gone_is_refused(void) {
    scene_begin(&scene);
    uint64_t id = signed_place();
    scene_policy_rows(&scene);
    scene.build.instruments[0].id = BTCUSDT + 1;
    CHECK_OK(scene_load(&scene));
    check_refused(feed_one(id, SENTINEL_ORDER_FILLED, decimal(1, 3)), SENTINEL_POLICY_SCOPE);
    CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_RUNNING);
    scene_end(&scene);
}

/* ---- Positions ------------------------------------------------------------------ */

static void test_statements_and_reports_by_their_times(void) {
    scene_begin(&scene);
    scene_position(&scene, BTCUSDT, decimal(-2500, 3), scene.now);
    CHECK_OK(scene_take(&scene));
    check_position(-25, 1);
    uint64_t id = signed_place();
    CHECK_OK(feed_one(id, SENTINEL_ORDER_PARTLY_FILLED, decimal(4, 4))); /* it is in it */
    check_position(-25, 1);
    scene.now++;
    CHECK_OK(feed_one(id, SENTINEL_ORDER_FILLED, decimal(1, 3)));
    check_position(-24994, 4);
    scene_position(&scene, BTCUSDT, decimal(7, 0), scene.now - 1); /* older than what is known */
    CHECK_OK(scene_take(&scene));
    check_position(-24994, 4);
    scene_position(&scene, BTCUSDT, decimal(0, 9), scene.now);
    CHECK_OK(scene_take(&scene));
    check_position(0, 0);
    scene_position(&scene, 9999, decimal(1, 0), scene.now); /* not in the policy */
    CHECK_OK(scene_take(&scene));
    check_refused(scene_take(&scene), SENTINEL_POLICY_SEQUENCE);
    scene_position(&scene, 0, decimal(1, 0), scene.now);
    check_refused(scene_take(&scene), SENTINEL_FORMAT_RANGE);
    scene_position(&scene, BTCUSDT, decimal(INT64_MIN, 0), scene.now);
    check_refused(scene_take(&scene), SENTINEL_FORMAT_RANGE);
    scene_position(&scene, BTCUSDT, decimal(1, 0), scene.now + 1);
    check_refused(scene_take(&scene), SENTINEL_FORMAT_RANGE);
    scene_position(&scene, BTCUSDT, decimal(1, 0), 0);
    check_refused(scene_take(&scene), SENTINEL_FORMAT_RANGE);
    scene_end(&scene);
}

static void test_a_position_does_not_become_another(void) {
    scene_begin(&scene);
    scene_position(&scene, BTCUSDT, decimal(1, 0), scene.now);
    CHECK_OK(scene_take(&scene));
    scene_policy_rows(&scene);
    CHECK_OK(scene_load(&scene));
    check_position(1, 0); /* carried over */
    for (unsigned what = 0; what < 3; what++) {
        scene_policy_rows(&scene);
        sentinel_instrument *row = &scene.build.instruments[0];
        if (what == 0) {
            row->base = 10;
        } else {
            row->contract = SENTINEL_CONTRACT_LINEAR;
            row->settle = row->quote;
            row->quantity_unit = what == 1 ? SENTINEL_UNIT_BASE : SENTINEL_UNIT_CONTRACTS;
            row->multiplier = what == 1 ? row->multiplier : decimal(1, 2);
        }
        CHECK_EQ(scene_load(&scene), SENTINEL_FORMAT_REFERENCE);
    }
    scene_policy_rows(&scene);
    scene.build.instruments[0].id = BTCUSDT + 1; /* left out: forgotten */
    CHECK_OK(scene_load(&scene));
    scene_policy_rows(&scene);
    CHECK_OK(scene_load(&scene));
    check_position(0, 0);
    scene_policy_rows(&scene);
    scene.build.instruments[0].base = 10; /* of nothing */
    CHECK_OK(scene_load(&scene));
    scene_end(&scene);
}

static void test_a_replay_finds_a_stop_that_the_frame_does_not_earn(void) {
    scene_begin(&scene);
    uint64_t id = signed_place();
    CHECK_EQ(feed_one(id, SENTINEL_ORDER_FILLED, decimal(2, 3)), SENTINEL_POLICY_REPORT);
    read_record(records() - 1);
    CHECK_OK(scene_resume(&scene, AGENT_A));
    book(id)->quantity = decimal(2, 3); /* now the frame is right */
    const char *difference = NULL;
    CHECK_EQ(sentinel_gate_replay(scene.context, &difference, &record, NULL, 0),
             SENTINEL_AUDIT_MISMATCH);
    CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_RUNNING);
    scene_end(&scene);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_an_order_is_filled_bit_by_bit);
    RUN(test_32_reports_fit_beside_16_proofs_and_33_do_not);
    RUN(test_rows_of_one_order_count_in_their_order);
    RUN(test_amends_are_one_order_with_their_place);
    RUN(test_what_an_amend_pushed_out_of_the_book_is_unknown);
    RUN(test_a_place_takes_over_nothing_of_the_order_before_in_its_place);
    RUN(test_orders_by_what_they_spend);
    RUN(test_what_an_order_spends_is_not_amended);
    RUN(test_more_than_was_ordered_halts_the_agent);
    RUN(test_the_other_faults_halt_the_agent);
    RUN(test_positions_end_at_63_bits);
    RUN(test_a_gap_or_a_replay_halts_the_firm);
    RUN(test_a_check_stops_nothing);
    RUN(test_forms_are_refused_and_stop_nothing);
    RUN(test_an_instrument_that_is_gone_is_refused);
    RUN(test_statements_and_reports_by_their_times);
    RUN(test_a_position_does_not_become_another);
    RUN(test_a_replay_finds_a_stop_that_the_frame_does_not_earn);
    return test_end();
}
