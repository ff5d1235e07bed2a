/* Signed frames: form, what they must name, and who must have signed. */
#include "gate_scene.h"

static gate_scene scene;

static sentinel_status parse(gate_scene *s, sentinel_frame *frame) {
    const sentinel_frame_header *header = (const sentinel_frame_header *)s->frame;
    return sentinel_frame_parse(frame, s->frame, s->frame_size, header->kind);
}

/* A halt command by operator A, ready to be damaged. */
static sentinel_frame_header *halt_frame(gate_scene *s) {
    scene_command(s, SENTINEL_COMMAND_HALT, FIRM_ID);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    return (sentinel_frame_header *)s->frame;
}

/* A resume by both, signed over whatever the caller made of the payload. */
static void sign_again(gate_scene *s, uint32_t key) {
    const sentinel_frame_header *header = (const sentinel_frame_header *)s->frame;
    memset(s->frame + header->size_bytes, 0, sizeof s->frame - header->size_bytes);
    s->frame_size = header->size_bytes + 8;
    frame_sign(s, key, key);
}

static void test_every_flipped_bit_of_a_command_is_refused(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    halt_frame(s);
    for (size_t bit = 0; bit < s->frame_size * 8; bit++) {
        s->frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now) != SENTINEL_OK);
        s->frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    CHECK_OK(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now));
    CHECK_OK(scene_take(s));
    scene_end(s);
}

static void test_every_other_size_is_refused(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    halt_frame(s);
    for (size_t size = 0; size < s->frame_size + 64; size++) {
        sentinel_status status = sentinel_gate_check(s->context, s->frame, size, s->now);
        CHECK((status == SENTINEL_OK) == (size == s->frame_size));
    }
    scene_end(s);
}

static void test_form_has_its_own_status(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_frame frame;
    sentinel_frame_header *header = halt_frame(s);
    CHECK_OK(parse(s, &frame));
    CHECK_EQ(sentinel_frame_parse(&frame, s->frame, s->frame_size, SENTINEL_FRAME_FEED),
             SENTINEL_FORMAT_MAGIC);
    CHECK_EQ(sentinel_frame_parse(&frame, s->frame + 4, s->frame_size, SENTINEL_FRAME_COMMAND),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_frame_parse(&frame, s->frame, s->frame_size, SENTINEL_FRAME_LIMIT),
             SENTINEL_USAGE_ARGUMENT);
    header->version = 2;
    CHECK_EQ(parse(s, &frame), SENTINEL_FORMAT_VERSION);
    header = halt_frame(s);
    header->environment = 4;
    CHECK_EQ(parse(s, &frame), SENTINEL_FORMAT_RANGE);
    header = halt_frame(s);
    header->sequence = 0;
    CHECK_EQ(parse(s, &frame), SENTINEL_FORMAT_RANGE);
    header = halt_frame(s);
    header->expires_ns = header->issued_ns;
    CHECK_EQ(parse(s, &frame), SENTINEL_FORMAT_RANGE);
    header = halt_frame(s);
    uint32_t count = SENTINEL_PROOFS_MAX + 1;
    memcpy(s->frame + header->size_bytes, &count, 4);
    CHECK_EQ(parse(s, &frame), SENTINEL_FORMAT_LIMIT);
    header = halt_frame(s);
    sentinel_proof *proof = (sentinel_proof *)(s->frame + header->size_bytes + 8);
    proof->size = SENTINEL_PROOF_BYTES_MAX + 1;
    CHECK_EQ(parse(s, &frame), SENTINEL_FORMAT_RANGE);
    proof->size = 0;
    CHECK_EQ(parse(s, &frame), SENTINEL_FORMAT_RANGE);
    proof->size = 61; /* three bytes of the signature become padding */
    CHECK_EQ(parse(s, &frame), SENTINEL_FORMAT_RESERVED);
    scene_end(s);
}

static void test_reserved_bytes_of_the_header_must_be_zero(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_frame frame;
    static const struct {
        size_t offset, size;
    } reserved[] = {
        {offsetof(sentinel_frame_header, reserved0), 3},
        {offsetof(sentinel_frame_header, reserved1), 4},
        {offsetof(sentinel_frame_header, reserved2), 16},
    };
    for (unsigned i = 0; i < 3; i++) {
        for (size_t byte = 0; byte < reserved[i].size; byte++) {
            halt_frame(s);
            s->frame[reserved[i].offset + byte] = 1;
            CHECK_EQ(parse(s, &frame), SENTINEL_FORMAT_RESERVED);
        }
    }
    scene_end(s);
}

static void test_a_frame_names_engine_environment_sequence_and_time(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_frame_header *header = halt_frame(s);
    header->engine_id32[5] ^= 1;
    sign_again(s, KEY_OPERATOR_A);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_ENGINE);
    header = halt_frame(s);
    header->environment = SENTINEL_ENVIRONMENT_LIVE;
    sign_again(s, KEY_OPERATOR_A);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_ENVIRONMENT);

    header = halt_frame(s);
    CHECK_OK(scene_take(s));
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SEQUENCE); /* the same again */
    uint64_t taken = header->sequence;
    header = halt_frame(s);
    header->sequence = taken - 1;
    sign_again(s, KEY_OPERATOR_A);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SEQUENCE);

    for (uint16_t verb = SENTINEL_COMMAND_HALT; verb <= SENTINEL_COMMAND_DRAIN; verb++) {
        scene_command(s, verb, AGENT_B);
        frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
        frame_sign(s, KEY_OPERATOR_B, KEY_OPERATOR_B);
        header = (sentinel_frame_header *)s->frame;
        CHECK_OK(sentinel_gate_check(s->context, s->frame, s->frame_size, header->issued_ns));
        CHECK_OK(sentinel_gate_check(s->context, s->frame, s->frame_size, header->expires_ns - 1));
        CHECK_EQ(sentinel_gate_check(s->context, s->frame, s->frame_size, header->expires_ns),
                 verb == SENTINEL_COMMAND_HALT ? SENTINEL_OK : SENTINEL_POLICY_EXPIRED);
    }
    scene_end(s);
}

static void test_only_the_power_itself_may_sign(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    for (uint32_t key = KEY_ROOT; key <= KEY_FEEDER; key++) {
        scene_command(s, SENTINEL_COMMAND_HALT, FIRM_ID);
        frame_sign(s, key, key);
        int is_operator = key == KEY_OPERATOR_A || key == KEY_OPERATOR_B;
        CHECK_EQ(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now),
                 is_operator ? SENTINEL_OK : SENTINEL_POLICY_SIGNATURE);
    }
    scene_command(s, SENTINEL_COMMAND_HALT, FIRM_ID); /* nobody */
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SIGNATURE);
    scene_command(s, SENTINEL_COMMAND_HALT, FIRM_ID); /* one good proof and one bad */
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_B);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SIGNATURE);
    scene_feed(s, BTCUSDT, decimal(1, 0));
    CHECK_OK(scene_take(s));
    scene_feed(s, BTCUSDT, decimal(1, 0));
    sign_again(s, KEY_OPERATOR_A);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SIGNATURE);
    scene_end(s);
}

static void test_an_expired_key_does_not_count(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    /* The authority bundle again, with operator A's key ending now. */
    scene_authority(s);
    sentinel_authority_key *rows =
        (sentinel_authority_key *)(s->frame + sizeof(sentinel_frame_header) +
                                   sizeof(sentinel_authority));
    rows[1].expires_ns = s->now + SECOND_NS;
    sentinel_frame_header *header = (sentinel_frame_header *)s->frame;
    memset(s->frame + header->size_bytes, 0, sizeof s->frame - header->size_bytes);
    s->frame_size = header->size_bytes + 8;
    frame_sign(s, KEY_ROOT, 0);
    CHECK_OK(scene_take(s));
    halt_frame(s);
    CHECK_OK(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now + SECOND_NS - 1));
    CHECK_EQ(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now + SECOND_NS),
             SENTINEL_POLICY_SIGNATURE);
    scene_end(s);
}

static void test_authority_is_signed_by_the_root_alone(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    scene_authority(s);
    sentinel_frame_header *header = (sentinel_frame_header *)s->frame;
    memset(s->frame + header->size_bytes, 0, sizeof s->frame - header->size_bytes);
    s->frame_size = header->size_bytes + 8;
    frame_sign(s, KEY_POLICY, 0);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SIGNATURE);
    scene_authority(s);
    CHECK_OK(scene_take(s));
    scene_end(s);
}

/* ---- Payloads -------------------------------------------------------------------- */

typedef struct authority_payload {
    sentinel_authority head;
    sentinel_authority_key rows[3];
} authority_payload;

static authority_payload good_authority(void) {
    authority_payload p = {.head = {.key_count = 3}};
    for (unsigned i = 0; i < 3; i++) {
        p.rows[i] = (sentinel_authority_key){
            .id = i + 1, .powers = 1, .scheme = SENTINEL_PROOF_ED25519, .expires_ns = 1};
        p.rows[i].public_key32[0] = (uint8_t)(i + 1);
    }
    p.head.threshold[0] = 3;
    return p;
}

static sentinel_status authority_of(const authority_payload *p) {
    return sentinel_authority_check((const uint8_t *)p, sizeof *p);
}

static void test_authority_rows_are_checked(void) {
    authority_payload p = good_authority();
    CHECK_OK(authority_of(&p));
    CHECK_EQ(sentinel_authority_check((const uint8_t *)&p, sizeof p - 8), SENTINEL_FORMAT_SIZE);
    CHECK_EQ(sentinel_authority_check((const uint8_t *)&p, 8), SENTINEL_FORMAT_SIZE);
    p.head.key_count = 0;
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_LIMIT);
    p.head.key_count = SENTINEL_AUTHORITY_KEYS_MAX + 1;
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_LIMIT);
    p = good_authority();
    p.head.reserved[3] = 1;
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RESERVED);
    p = good_authority();
    p.rows[2].id = 2;
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_ORDER);
    p = good_authority();
    p.rows[2].public_key32[0] = 1; /* one person, two ids */
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_ORDER);
    p = good_authority();
    p.head.threshold[0] = 4; /* more than there are */
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    p.head.threshold[0] = 0; /* holders, but none needed */
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    p = good_authority();
    p.head.threshold[15] = 1; /* a power that nobody holds */
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    p = good_authority();
    p.rows[0].powers = 0;
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    p = good_authority();
    p.rows[0].powers = 1u << 11;
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    p = good_authority();
    p.rows[0].powers |= 1u << SENTINEL_POWER_AGENT; /* an agent has no other power */
    p.rows[0].node = 5;
    p.head.threshold[SENTINEL_POWER_AGENT] = 1;
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    p = good_authority();
    p.rows[1].scheme = 2;
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    p = good_authority();
    p.rows[1].node = 5;
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    p = good_authority();
    p.rows[1].expires_ns = 0;
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    p = good_authority();
    for (size_t i = 0; i < sizeof p.rows[1].reserved1; i++) {
        p = good_authority();
        p.rows[1].reserved1[i] = 1;
        CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RESERVED);
    }
}

/* What lies on the host is good for copies and grants alone. */
static void test_a_keeper_has_no_other_power(void) {
    authority_payload keeper = good_authority();
    keeper.head.threshold[0] = 2;
    keeper.head.threshold[SENTINEL_POWER_KEEPER] = 1;
    keeper.rows[1].powers = 1u << SENTINEL_POWER_KEEPER;
    CHECK_OK(authority_of(&keeper));
    for (unsigned power = 0; power < SENTINEL_POWER_KEEPER; power++) {
        authority_payload p = keeper;
        p.rows[1].powers |= 1u << power;
        p.head.threshold[power] = p.head.threshold[power] == 0 ? 1 : p.head.threshold[power];
        CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    }
    keeper.rows[1].node = 5; /* nor is it an agent's */
    CHECK_EQ(authority_of(&keeper), SENTINEL_FORMAT_RANGE);
}

/* A user whose processes are an agent: of an agent's row only. */
static void test_only_an_agent_is_named_by_its_user(void) {
    authority_payload agent = good_authority();
    agent.head.threshold[0] = 2;
    agent.head.threshold[SENTINEL_POWER_AGENT] = 1;
    agent.rows[1].powers = 1u << SENTINEL_POWER_AGENT;
    agent.rows[1].node = 5;
    CHECK_OK(authority_of(&agent));
    authority_payload p = agent;
    p.rows[1].flags = SENTINEL_AUTHORITY_PEER; /* user 0 */
    CHECK_OK(authority_of(&p));
    p.rows[1].uid = UINT32_MAX - 1;
    CHECK_OK(authority_of(&p));
    p.rows[1].uid = UINT32_MAX; /* nobody's */
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    p = agent;
    p.rows[1].uid = 7; /* without the flag */
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    for (unsigned bit = 1; bit < 16; bit++) {
        p = agent;
        p.rows[1].flags = (uint16_t)(1u << bit);
        CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
    }
    p = agent;
    p.rows[0].flags = SENTINEL_AUTHORITY_PEER; /* a person */
    CHECK_EQ(authority_of(&p), SENTINEL_FORMAT_RANGE);
}

static void check_command(gate_scene *s, size_t offset, uint8_t value, sentinel_status expected) {
    scene_command(s, SENTINEL_COMMAND_HALT, FIRM_ID);
    s->frame[sizeof(sentinel_frame_header) + offset] = value;
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    CHECK_EQ(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now), expected);
}

/* What has its place in the layout alone, yet, is refused whole. */
static void test_commands_of_later_verbs_and_scopes_are_refused(void) {
    static const struct {
        size_t offset, size;
    } later[] = {
        {offsetof(sentinel_command, until_ns), 8}, /* of a drain alone */
        {offsetof(sentinel_command, record), 8},
        {offsetof(sentinel_command, record_hash32), 32},
    };
    gate_scene *s = &scene;
    scene_begin(s);
    check_command(s, offsetof(sentinel_command, verb), SENTINEL_COMMAND_HALT, SENTINEL_OK);
    check_command(s, offsetof(sentinel_command, verb), SENTINEL_COMMAND_DRAIN, SENTINEL_OK);
    for (uint16_t verb = SENTINEL_COMMAND_DRAIN + 1; verb < SENTINEL_COMMAND_COUNT; verb++) {
        scene_command(s, verb, FIRM_ID);
        frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
        frame_sign(s, KEY_OPERATOR_B, KEY_OPERATOR_B);
        int is_answer = verb == SENTINEL_COMMAND_APPROVE || verb == SENTINEL_COMMAND_REJECT;
        CHECK_EQ(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now),
                 is_answer ? SENTINEL_POLICY_SIGNATURE : SENTINEL_FORMAT_RANGE);
    }
    for (uint8_t scope = SENTINEL_SCOPE_RECORD; scope < SENTINEL_SCOPE_COUNT; scope++) {
        check_command(s, offsetof(sentinel_command, scope), scope, SENTINEL_FORMAT_RANGE);
    }
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        for (size_t k = 0; k < later[i].size; k++) {
            check_command(s, later[i].offset + k, 1, SENTINEL_FORMAT_RANGE);
        }
    }
    scene_end(s);
}

static void test_commands_are_checked(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    check_command(s, offsetof(sentinel_command, verb), 0, SENTINEL_FORMAT_RANGE);
    check_command(s, offsetof(sentinel_command, verb), SENTINEL_COMMAND_COUNT,
                  SENTINEL_FORMAT_RANGE);
    check_command(s, offsetof(sentinel_command, scope), 0, SENTINEL_FORMAT_RANGE);
    check_command(s, offsetof(sentinel_command, scope), SENTINEL_SCOPE_COUNT,
                  SENTINEL_FORMAT_RANGE);
    check_command(s, offsetof(sentinel_command, reason_size), 0, SENTINEL_FORMAT_RANGE);
    check_command(s, offsetof(sentinel_command, severity), 3, SENTINEL_OK);
    check_command(s, offsetof(sentinel_command, severity), 4, SENTINEL_FORMAT_RANGE);
    check_command(s, offsetof(sentinel_command, target), 1, SENTINEL_POLICY_SCOPE);
    scene_command(s, SENTINEL_COMMAND_HALT, 0);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    CHECK_EQ(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now),
             SENTINEL_POLICY_SCOPE);
    for (size_t i = 0; i < 5; i++) {
        check_command(s, offsetof(sentinel_command, reserved0) + i, 1, SENTINEL_FORMAT_RESERVED);
    }
    for (size_t i = 0; i < 32; i++) {
        check_command(s, offsetof(sentinel_command, reserved1) + i, 1, SENTINEL_FORMAT_RESERVED);
    }
    scene_end(s);
}

static void check_mark(gate_scene *s, sentinel_mark mark, sentinel_status expected) {
    struct {
        sentinel_feed feed;
        sentinel_mark mark;
    } payload = {.feed = {.kind = SENTINEL_FEED_MARK, .count = 1}, .mark = mark};
    frame_begin(s, SENTINEL_FRAME_FEED, &payload, sizeof payload, 1000);
    frame_sign(s, KEY_FEEDER, KEY_FEEDER);
    CHECK_EQ(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now), expected);
}

static void test_marks_are_checked(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_mark good = {
        .kind = SENTINEL_MARK_INSTRUMENT, .id = 9, .price = {1, 18, {0}}, .time_ns = s->now};
    check_mark(s, good, SENTINEL_OK);
    sentinel_mark mark = good;
    mark.time_ns = s->now + 1; /* after the frame was issued */
    check_mark(s, mark, SENTINEL_FORMAT_RANGE);
    mark = good;
    mark.time_ns = -1;
    check_mark(s, mark, SENTINEL_FORMAT_RANGE);
    mark = good;
    mark.price.mantissa = 0;
    check_mark(s, mark, SENTINEL_FORMAT_RANGE);
    mark.price.mantissa = -1;
    check_mark(s, mark, SENTINEL_FORMAT_RANGE);
    mark = good;
    mark.price.scale = 19;
    check_mark(s, mark, SENTINEL_FORMAT_RANGE);
    mark = good;
    mark.id = 0;
    check_mark(s, mark, SENTINEL_FORMAT_RANGE);
    mark = good;
    mark.kind = 3;
    check_mark(s, mark, SENTINEL_FORMAT_RANGE);
    mark.kind = 0;
    check_mark(s, mark, SENTINEL_FORMAT_RANGE);
    mark = good;
    mark.reserved0[1] = 1;
    check_mark(s, mark, SENTINEL_FORMAT_RESERVED);
    mark = good;
    mark.price.reserved[6] = 1;
    check_mark(s, mark, SENTINEL_FORMAT_RESERVED);
    scene_end(s);
}

static void test_feeds_of_no_kind_are_refused(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    struct {
        sentinel_feed feed;
        sentinel_report report;
    } payload = {
        .feed = {.count = 1},
        .report = {.agent = 1110, .status = SENTINEL_ORDER_ACKNOWLEDGED, .action_id = 1},
    };
    static const uint16_t kinds[] = {0, SENTINEL_FEED_COUNT, UINT16_MAX};
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        payload.feed.kind = kinds[i];
        frame_begin(s, SENTINEL_FRAME_FEED, &payload, sizeof payload, 1000);
        frame_sign(s, KEY_FEEDER, KEY_FEEDER);
        CHECK_EQ(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now),
                 SENTINEL_FORMAT_RANGE);
    }
    scene_end(s);
}

static void test_feeds_have_a_limit(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    struct {
        sentinel_feed feed;
        sentinel_mark marks[SENTINEL_FEED_MARKS_MAX + 1];
    } payload = {.feed = {.kind = SENTINEL_FEED_MARK}};
    for (unsigned i = 0; i <= SENTINEL_FEED_MARKS_MAX; i++) {
        payload.marks[i] = (sentinel_mark){
            .kind = SENTINEL_MARK_INSTRUMENT, .id = i + 1, .price = {1, 0, {0}}, .time_ns = s->now};
    }
    for (unsigned count = 0; count <= SENTINEL_FEED_MARKS_MAX + 1; count++) {
        payload.feed.count = (uint16_t)count;
        frame_begin(s, SENTINEL_FRAME_FEED, &payload,
                    sizeof payload.feed + count * sizeof(sentinel_mark), 1000);
        frame_sign(s, KEY_FEEDER, KEY_FEEDER);
        int fits = count >= 1 && count <= SENTINEL_FEED_MARKS_MAX;
        CHECK_EQ(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now),
                 fits ? SENTINEL_OK : SENTINEL_FORMAT_LIMIT);
    }
    scene_end(s);
}

/* ---- Genesis --------------------------------------------------------------------- */

static sentinel_genesis good_genesis(void) {
    sentinel_genesis genesis = {.version = 1,
                                .environment = SENTINEL_ENVIRONMENT_LIVE,
                                .root_threshold = 2,
                                .root_count = 2};
    memcpy(genesis.magic, "SENTGENE", 8);
    genesis.root_keys[0][0] = 1;
    genesis.root_keys[1][0] = 2;
    return genesis;
}

static sentinel_status genesis_of(const sentinel_genesis *genesis) {
    uint8_t id32[32];
    return sentinel_genesis_check(id32, genesis, sizeof *genesis);
}

static void test_genesis_is_checked(void) {
    uint8_t id32[32], digest32[32];
    sentinel_genesis genesis = good_genesis();
    CHECK_OK(sentinel_genesis_check(id32, &genesis, sizeof genesis));
    hash_bytes(digest32, &genesis, sizeof genesis);
    CHECK_BYTES(id32, digest32, 32);
    CHECK_EQ(sentinel_genesis_check(id32, &genesis, sizeof genesis - 1), SENTINEL_FORMAT_SIZE);
    genesis.magic[0] = 'X';
    CHECK_EQ(genesis_of(&genesis), SENTINEL_FORMAT_MAGIC);
    genesis = good_genesis();
    genesis.version = 2;
    CHECK_EQ(genesis_of(&genesis), SENTINEL_FORMAT_VERSION);
    genesis = good_genesis();
    genesis.environment = 0;
    CHECK_EQ(genesis_of(&genesis), SENTINEL_FORMAT_RANGE);
    genesis.environment = 4;
    CHECK_EQ(genesis_of(&genesis), SENTINEL_FORMAT_RANGE);
    genesis = good_genesis();
    genesis.root_threshold = 3;
    CHECK_EQ(genesis_of(&genesis), SENTINEL_FORMAT_RANGE);
    genesis.root_threshold = 0;
    CHECK_EQ(genesis_of(&genesis), SENTINEL_FORMAT_RANGE);
    genesis = good_genesis();
    genesis.root_count = 9;
    CHECK_EQ(genesis_of(&genesis), SENTINEL_FORMAT_RANGE);
    genesis = good_genesis();
    genesis.root_keys[7][31] = 1; /* a key beyond the count */
    CHECK_EQ(genesis_of(&genesis), SENTINEL_FORMAT_RANGE);
    genesis = good_genesis();
    genesis.root_keys[1][0] = 1; /* one key twice */
    CHECK_EQ(genesis_of(&genesis), SENTINEL_FORMAT_ORDER);
    genesis = good_genesis();
    genesis.reserved0[2] = 1;
    CHECK_EQ(genesis_of(&genesis), SENTINEL_FORMAT_RESERVED);
    genesis = good_genesis();
    genesis.reserved1[7] = 1;
    CHECK_EQ(genesis_of(&genesis), SENTINEL_FORMAT_RESERVED);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_every_flipped_bit_of_a_command_is_refused);
    RUN(test_every_other_size_is_refused);
    RUN(test_form_has_its_own_status);
    RUN(test_reserved_bytes_of_the_header_must_be_zero);
    RUN(test_a_frame_names_engine_environment_sequence_and_time);
    RUN(test_only_the_power_itself_may_sign);
    RUN(test_an_expired_key_does_not_count);
    RUN(test_authority_is_signed_by_the_root_alone);
    RUN(test_authority_rows_are_checked);
    RUN(test_a_keeper_has_no_other_power);
    RUN(test_only_an_agent_is_named_by_its_user);
    RUN(test_commands_are_checked);
    RUN(test_commands_of_later_verbs_and_scopes_are_refused);
    RUN(test_marks_are_checked);
    RUN(test_feeds_of_no_kind_are_refused);
    RUN(test_feeds_have_a_limit);
    RUN(test_genesis_is_checked);
    return test_end();
}
