/* Step 4: making a record and keeping it; the clock and the attempts, which
 * live in records too. */
#include "gate_internal.h"
#include "sign_salts.h"

_Static_assert((int)SIGN_BESIDE_BLOCKS == (int)RECORD_TAIL_BLOCKS, "a tail of another size");

static void fill_header(const sentinel_context *context, sentinel_record_header *header,
                        const gate_entry *entry) {
    const sentinel_state *state = gate_state(context);
    memset(header, 0, sizeof *header);
    header->version = SENTINEL_RECORD_VERSION;
    header->type = entry->type;
    header->number = state->record_count;
    header->epoch = state->epoch;
    memcpy(header->prev_hash32, state->last_hash32, 32);
    header->now_ns = entry->now_ns;
    header->agent = entry->agent;
    header->verdict = entry->verdict;
    header->release_mode = entry->release_mode;
    header->reason = entry->reason;
    header->reasons[0] = entry->reasons[0];
    header->reasons[1] = entry->reasons[1];
    header->semantics_version = SENTINEL_SEMANTICS_VERSION;
    header->key = entry->key;
    header->key_counter = entry->key_counter;
    header->pending = entry->pending;
    header->subject_size = entry->subject_size;
    header->result_count = entry->result_count;
    header->outcome_size = entry->outcome != NULL ? sizeof(sentinel_outcome_part) : 0;
    header->flags = entry->flags & ~(uint32_t)SENTINEL_RECORD_UNPROVEN;
    if (state->epoch == 0 || state->grant.epoch != state->epoch) {
        header->flags |= SENTINEL_RECORD_UNPROVEN;
    }
    if (context->config.genesis.environment == SENTINEL_ENVIRONMENT_LAB) {
        header->flags |= SENTINEL_RECORD_LAB;
    }
    memcpy(header->policy_hash32, state->policy_hash32, 32);
    memcpy(header->limit_hash32, state->limit_hash32, 32);
    memcpy(header->authority_hash32, state->authority_hash32, 32);
}

/* A replay: the record made again must be the one that was kept. Salts and
 * commitments were checked against its own parts when it was parsed. */
static sentinel_status compare(sentinel_context *context, sentinel_record_header *header,
                               const gate_entry *entry) {
    const sentinel_record *expected = context->expected;
    const sentinel_record_header *kept = expected->header;
    header->size_bytes = kept->size_bytes;
    memcpy(header->commitments, kept->commitments, sizeof header->commitments);
    const struct {
        const char *name;
        size_t offset, size;
    } fields[] = {
        {"type", offsetof(sentinel_record_header, type), 2},
        {"number", offsetof(sentinel_record_header, number), 8},
        {"epoch", offsetof(sentinel_record_header, epoch), 8},
        {"previous hash", offsetof(sentinel_record_header, prev_hash32), 32},
        {"now", offsetof(sentinel_record_header, now_ns), 8},
        {"agent", offsetof(sentinel_record_header, agent), 4},
        {"verdict", offsetof(sentinel_record_header, verdict), 1},
        {"reason", offsetof(sentinel_record_header, reason), 2},
        {"reasons", offsetof(sentinel_record_header, reasons), 16},
        {"key", offsetof(sentinel_record_header, key), 4},
        {"key counter", offsetof(sentinel_record_header, key_counter), 8},
        {"result count", offsetof(sentinel_record_header, result_count), 2},
        {"flags", offsetof(sentinel_record_header, flags), 4},
        {"pending", offsetof(sentinel_record_header, pending), 8},
        {"policy hash", offsetof(sentinel_record_header, policy_hash32), 32},
        {"authority hash", offsetof(sentinel_record_header, authority_hash32), 32},
        {"header", 0, sizeof *header}, /* all the rest */
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (!bytes_equal((const uint8_t *)header + fields[i].offset,
                         (const uint8_t *)kept + fields[i].offset, fields[i].size)) {
            context->difference = fields[i].name;
            return SENTINEL_AUDIT_MISMATCH;
        }
    }
    /* Time never goes back unless it is set, and where it was held it stood still. */
    int64_t last_ns = gate_state(context)->last_now_ns;
    int held = (kept->flags & SENTINEL_RECORD_CLOCK_HELD) != 0;
    int set = (entry->flags & SENTINEL_RECORD_CLOCK_SET) != 0;
    if ((kept->now_ns < last_ns && !set) || (held && kept->now_ns != last_ns)) {
        context->difference = "now";
        return SENTINEL_AUDIT_MISMATCH;
    }
    const char *part = NULL;
    if (!bytes_equal(entry->subject, expected->subject, entry->subject_size)) {
        part = "subject";
    } else if (entry->result_count != 0 &&
               !bytes_equal(entry->results, expected->results,
                            entry->result_count * sizeof(sentinel_result))) {
        part = "results";
    } else if (entry->outcome != NULL && !bytes_equal(entry->outcome->payload_digest32,
                                                      expected->outcome->payload_digest32, 32)) {
        part = "payload digest";
    } else if (entry->outcome != NULL &&
               !bytes_equal(entry->outcome, expected->outcome, sizeof *entry->outcome)) {
        part = "outcome";
    }
    context->difference = part;
    return part == NULL ? SENTINEL_OK : SENTINEL_AUDIT_MISMATCH;
}

/* Genesis and start records come before any key is known to be there. */
static sentinel_status make_salts(const sentinel_context *context,
                                  uint8_t salts[SENTINEL_SALTS_BYTES],
                                  const sentinel_record_header *header) {
    if (context->keyring == NULL || header->type == SENTINEL_RECORD_GENESIS ||
        header->type == SENTINEL_RECORD_START) {
        return SENTINEL_OK;
    }
    return sentinel_sign_salts(context->keyring, salts, context->config.receipt_key, header->epoch,
                               header->number);
}

/* The record's hash; and, beside its last blocks, the salts of the next record. */
static void end_hash(const sentinel_context *context, uint8_t hash32[32], record_tail *tail) {
    const sentinel_record_header *header = &context->draft.header;
    if (context->keyring != NULL) {
        sign_salts_ahead(context->keyring, context->config.receipt_key, header->epoch,
                         header->number + 1, &tail->chain, tail->blocks);
    } else {
        hash_blocks(&tail->chain, tail->blocks, sizeof tail->blocks);
    }
    hash_words32(hash32, tail->chain.h);
}

sentinel_status gate_append(sentinel_context *context, uint8_t hash32[32],
                            const gate_entry *entry) {
    sentinel_state *state = gate_state(context);
    sentinel_record_header *header = &context->draft.header;
    fill_header(context, header, entry);
    if (context->expected != NULL) {
        SENTINEL_TRY(compare(context, header, entry));
        memcpy(hash32, context->expected->hash32, 32);
    } else {
        sentinel_record_parts parts = {
            .subject = entry->subject, .results = entry->results, .outcome = entry->outcome};
        const record_late late = {entry->payload, entry->signature, entry->outcome};
        SENTINEL_TRY(make_salts(context, parts.salts, header));
        record_tail tail;
        SENTINEL_TRY(record_hash(&tail, &context->draft, &parts, &late));
        end_hash(context, hash32, &tail);
        const record_pieces pieces = record_pieces_of(header, &parts);
        if (context->log == NULL || context->log->durability == SENTINEL_DURABILITY_NONE) {
            record_put(context->record, &pieces, 0); /* it is kept nowhere else */
        }
        if (context->log != NULL) {
            SENTINEL_TRY(log_append(context->log, &pieces, hash32, 0));
        }
    }
    state->record_count++;
    state->last_now_ns = entry->now_ns;
    if (gate_rests_on(entry)) {
        state->relied_ns = entry->now_ns;
    }
    memcpy(state->last_hash32, hash32, 32);
    return SENTINEL_OK;
}

int gate_is_behind(const sentinel_context *context, int64_t now_ns) {
    const sentinel_view *view = gate_view(context);
    int64_t last_ns = gate_state(context)->last_now_ns;
    int64_t tolerance =
        view != NULL ? view->bundle.policy->clock_tolerance_ns : GATE_CLOCK_TOLERANCE_NS;
    return now_ns < last_ns && last_ns - now_ns > tolerance;
}

int gate_clock(sentinel_context *context, int64_t *now_ns, uint32_t *flags) {
    sentinel_state *state = gate_state(context);
    if (context->expected != NULL) {
        /* The kept time is the one that counted. */
        *flags |= context->expected->header->flags & SENTINEL_RECORD_CLOCK_HELD;
        return 1;
    }
    if (*now_ns >= state->last_now_ns) {
        return 1;
    }
    int within = !gate_is_behind(context, *now_ns);
    *now_ns = state->last_now_ns;
    *flags |= SENTINEL_RECORD_CLOCK_HELD;
    if (!within) {
        sentinel_gate_halt(context, SENTINEL_USAGE_STATE, *now_ns);
    }
    return within;
}

static sentinel_status write_summary(sentinel_context *context, sentinel_agent_state *agent,
                                     int64_t now_ns) {
    sentinel_summary summary = {
        .count = agent->suppressed,
        .first_ns = agent->suppressed_first_ns,
        .last_ns = agent->suppressed_last_ns,
        .reasons = {agent->suppressed_reasons[0], agent->suppressed_reasons[1]},
    };
    gate_entry entry = {
        .type = SENTINEL_RECORD_SUMMARY,
        .subject_size = sizeof summary,
        .agent = agent->node,
        .reasons = {summary.reasons[0], summary.reasons[1]},
        .now_ns = now_ns,
        .subject = &summary,
    };
    uint8_t hash32[32];
    SENTINEL_TRY(gate_append(context, hash32, &entry));
    agent->suppressed = 0;
    agent->suppressed_first_ns = 0;
    agent->suppressed_last_ns = 0;
    memset(agent->suppressed_reasons, 0, sizeof agent->suppressed_reasons);
    return SENTINEL_OK;
}

sentinel_status gate_attempt(sentinel_context *context, int *recorded, uint32_t node,
                             int64_t now_ns, const uint64_t reasons[2]) {
    const sentinel_view *view = gate_view(context);
    sentinel_state *state = gate_state(context);
    sentinel_agent_state *agent = &state->strangers;
    uint32_t limit = GATE_ATTEMPT_LIMIT;
    int64_t interval = GATE_ATTEMPT_INTERVAL_NS;
    if (view != NULL) {
        limit = view->bundle.policy->attempt_limit;
        interval = view->bundle.policy->attempt_interval_ns;
        if (node < view->bundle.node_count &&
            view->bundle.nodes[node].kind == SENTINEL_NODE_AGENT) {
            agent = sentinel_view_agent(view, node);
        }
    }
    if (now_ns - agent->attempts_since_ns >= interval) {
        if (agent->suppressed != 0) {
            SENTINEL_TRY(write_summary(context, agent, now_ns));
        }
        agent->attempts_since_ns = now_ns;
        agent->attempts = 0;
    }
    /* What is in the log was recorded, whatever the count says. */
    *recorded = context->expected != NULL || agent->attempts < limit;
    if (*recorded) {
        agent->attempts++;
        return SENTINEL_OK;
    }
    if (agent->suppressed == 0) {
        agent->suppressed_first_ns = now_ns;
    }
    agent->suppressed++;
    agent->suppressed_last_ns = now_ns;
    agent->suppressed_reasons[0] |= reasons[0];
    agent->suppressed_reasons[1] |= reasons[1];
    return SENTINEL_OK;
}

sentinel_status sentinel_gate_flush(sentinel_context *context, int64_t now_ns) {
    if (context == NULL || context->expected != NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    uint32_t flags = 0;
    (void)gate_clock(context, &now_ns, &flags);
    if (gate_state(context)->strangers.suppressed != 0) {
        SENTINEL_TRY(write_summary(context, &gate_state(context)->strangers, now_ns));
    }
    const sentinel_view *view = gate_view(context);
    for (uint32_t i = 0; view != NULL && i < view->bundle.node_count; i++) {
        if (view->bundle.nodes[i].kind == SENTINEL_NODE_AGENT) {
            sentinel_agent_state *agent = sentinel_view_agent(view, i);
            if (agent->suppressed != 0) {
                SENTINEL_TRY(write_summary(context, agent, now_ns));
            }
        }
    }
    return SENTINEL_OK;
}

void sentinel_gate_halt(sentinel_context *context, sentinel_status status, int64_t now_ns) {
    sentinel_state *state = gate_state(context);
    if (state->halted != 0 || context->expected != NULL) {
        return;
    }
    state->halted = status;
    if (now_ns < state->last_now_ns) {
        now_ns = state->last_now_ns;
    }
    sentinel_self_halt halt = {.status = status, .reason = SENTINEL_REASON_ENGINE_HALTED};
    gate_entry entry = {
        .type = SENTINEL_RECORD_HALT,
        .subject_size = sizeof halt,
        .now_ns = now_ns,
        .subject = &halt,
    };
    uint8_t hash32[32];
    if (gate_append(context, hash32, &entry) != SENTINEL_OK) {
        return; /* Halted all the same; a log that cannot be written says so itself. */
    }
}
