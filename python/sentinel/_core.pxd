# The C core's public headers, in their order, and what a verifier takes from inside it. The only
# place with `cdef extern`.
# Only the fields that the bindings touch are named: the C compiler knows the rest.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "sentinel/status.h" nogil:
    ctypedef enum sentinel_status:
        SENTINEL_OK
        SENTINEL_USAGE_ARGUMENT
        SENTINEL_USAGE_STATE
        SENTINEL_POLICY_ABSENT
        SENTINEL_AUDIT_CORRUPT
        SENTINEL_AUDIT_TRUNCATED
        SENTINEL_AUDIT_END
        SENTINEL_AUDIT_MISMATCH
        SENTINEL_AUDIT_SNAPSHOT
        SENTINEL_KEY_WIPED
        SENTINEL_IO_OPEN
        SENTINEL_IO_READ
        SENTINEL_IO_LOCKED
        SENTINEL_IO_MEMORY
    ctypedef enum sentinel_reason:
        SENTINEL_REASON_NONE

    const char *sentinel_status_name(sentinel_status status)
    const char *sentinel_status_text(sentinel_status status)
    const char *sentinel_reason_code(sentinel_reason reason)
    const char *sentinel_reason_text(sentinel_reason reason)


cdef extern from "sentinel/types.h" nogil:
    ctypedef struct sentinel_decimal:
        int64_t mantissa
        uint8_t scale

    enum:
        SENTINEL_ALLOWED


cdef extern from "sentinel/order.h" nogil:
    enum:
        SENTINEL_DECIMAL_TEXT_MAX

    enum:
        SENTINEL_ORDER_BYTES_MAX

    ctypedef struct sentinel_order_header:
        uint16_t version
        uint16_t action
        uint32_t size_bytes
        uint32_t agent
        uint64_t action_id
        uint32_t present

    uint32_t sentinel_order_bytes(uint16_t action)
    sentinel_status sentinel_order_check(sentinel_reason *reason, const void *order_bytes,
                                         size_t size, uint8_t environment)
    size_t sentinel_decimal_write(char *text, const sentinel_decimal *decimal)
    sentinel_status sentinel_decimal_read(sentinel_decimal *decimal, const char *text, size_t size)
    int sentinel_decimal_compare(const sentinel_decimal *a, const sentinel_decimal *b)


cdef extern from "sentinel/frame.h" nogil:
    ctypedef struct sentinel_frame_header:
        uint16_t kind
        uint8_t environment
        uint32_t size_bytes
        uint8_t engine_id32[32]
        uint64_t sequence
        int64_t issued_ns
        int64_t expires_ns

    ctypedef struct sentinel_genesis:
        uint8_t environment

    ctypedef struct sentinel_frame:
        const sentinel_frame_header *header
        const uint8_t *payload
        size_t payload_size
        uint32_t proof_count
        uint8_t hash32[32]

    sentinel_status sentinel_frame_parse(sentinel_frame *frame, const void *bytes, size_t size,
                                         uint16_t kind)
    sentinel_status sentinel_authority_check(const uint8_t *payload, size_t size)
    sentinel_status sentinel_frame_verify(const sentinel_frame *frame, const uint8_t *authority,
                                          size_t authority_size, unsigned power,
                                          unsigned threshold, int64_t now_ns)
    sentinel_status sentinel_frame_verify_root(const sentinel_frame *frame,
                                               const sentinel_genesis *genesis)
    sentinel_status sentinel_genesis_check(uint8_t *engine_id32, const void *bytes, size_t size)


cdef extern from "sentinel/policy.h" nogil:
    enum:
        SENTINEL_RESULTS_MAX
        SENTINEL_PASS
        SENTINEL_WAIT

    ctypedef struct sentinel_result:
        uint32_t rule
        uint8_t kind
        uint8_t result
        uint8_t flags
        uint8_t level
        int64_t value
        int64_t bound

    ctypedef struct sentinel_decision:
        uint8_t verdict
        uint16_t reason
        uint16_t result_count
        uint64_t reasons[2]
        int64_t value_micro_usd
        sentinel_result *results
        int64_t *retry_at_ns

    ctypedef struct sentinel_bundle:
        const sentinel_frame_header *frame
        uint32_t node_count
        uint32_t asset_count
        uint32_t network_count
        uint32_t instrument_count
        uint32_t key_count
        uint32_t constraint_count
        uint32_t id_count
        uint32_t destination_count
        uint32_t sanction_count
        uint32_t text_size
        uint8_t hash32[32]

    sentinel_status sentinel_bundle_check(sentinel_bundle *bundle, const void *bytes, size_t size)
    void sentinel_destination_digest(uint8_t *digest32, uint32_t network, const char *address,
                                     size_t address_size, const char *memo, size_t memo_size)
    void sentinel_sanction_digest(uint8_t *digest16, const char *address, size_t address_size)


cdef extern from "sentinel/state.h" nogil:
    enum:
        SENTINEL_SEQUENCES
        SENTINEL_PENDING_MAX
        SENTINEL_VENUES_MAX

    ctypedef struct sentinel_stop_state:
        uint32_t id
        uint8_t mode
        uint8_t severity
        uint8_t cause
        uint64_t record
        int64_t since_ns
        int64_t until_ns
        uint8_t reason_digest32[32]

    ctypedef struct sentinel_pending:
        uint64_t record
        uint8_t record_hash32[32]
        int64_t expires_ns
        uint64_t action_id
        uint32_t agent
        uint8_t status
        uint8_t quorum
        uint8_t approver_count
        uint32_t approvers[8]
        uint8_t order_digest32[32]

    ctypedef struct sentinel_agent_state:
        uint64_t id_highest
        uint32_t attempts
        uint32_t node
        uint64_t suppressed
        uint64_t beat_sequence
        int64_t beat_ns
        uint64_t iterations
        int64_t running_since_ns
        int64_t beat_deadline_ns

    ctypedef struct sentinel_mark_state:
        uint32_t id
        uint8_t kind
        uint8_t scale
        int64_t mantissa
        int64_t time_ns

    ctypedef struct sentinel_book_entry:
        uint64_t action_id
        uint64_t record
        uint32_t instrument
        uint8_t type
        uint8_t time_in_force
        uint64_t amended_by
        uint8_t status

    ctypedef struct sentinel_position_state:
        uint32_t id
        uint8_t scale
        int64_t mantissa
        int64_t time_ns

    ctypedef struct sentinel_released:
        uint64_t nonce_next
        int64_t *usable_until_ms

    enum:
        SENTINEL_FEEDERS_MAX

    ctypedef struct sentinel_feeder_state:
        uint32_t key
        uint64_t sequence

    ctypedef struct sentinel_grant_state:
        uint64_t epoch
        uint64_t count
        uint8_t hash32[32]
        uint64_t record_end
        int64_t spend_end
        int64_t spent
        uint64_t gap_from
        uint64_t gap_to
        uint8_t gap_hash32[32]

    ctypedef struct sentinel_state:
        uint32_t halted
        uint64_t size_bytes
        uint64_t record_count
        uint64_t epoch
        int64_t last_now_ns
        uint64_t *sequences
        uint8_t last_hash32[32]
        uint8_t engine_id32[32]
        uint8_t policy_hash32[32]
        uint8_t authority_hash32[32]
        uint64_t nodes
        uint64_t instruments
        uint64_t positions
        uint64_t agents
        uint64_t instrument_marks
        uint64_t asset_marks
        uint64_t book
        uint32_t node_count
        uint32_t agent_count
        uint32_t instrument_count
        uint32_t asset_count
        uint32_t book_entries
        sentinel_stop_state *venues
        sentinel_grant_state grant
        uint64_t pending_used
        sentinel_pending *pending
        sentinel_released released
        int64_t lease_until_ns
        int64_t relied_ns
        sentinel_feeder_state *feeders

    ctypedef struct sentinel_view:
        sentinel_bundle bundle
        sentinel_state *state

    uint64_t sentinel_layout_bytes(const sentinel_bundle *bundle)
    uint64_t sentinel_state_bytes(const sentinel_bundle *bundle)


cdef extern from "sentinel/sign.h" nogil:
    enum:
        SENTINEL_API_KEY_BYTES_MAX

    ctypedef struct sentinel_key_info:
        uint32_t id
        uint8_t purpose
        uint8_t algorithm
        uint16_t venue
        uint8_t public_key_size
        uint8_t api_key_size
        uint8_t lab
        uint8_t public_key[40]
        uint8_t fingerprint32[32]
        char api_key[128]

    ctypedef struct sentinel_signature:
        uint8_t algorithm
        uint8_t size
        uint8_t recovery_id
        uint8_t bytes[64]

    ctypedef struct sentinel_keyring:
        pass

    sentinel_status sentinel_keyring_new(sentinel_keyring **ring)
    void sentinel_keyring_free(sentinel_keyring *ring)
    sentinel_status sentinel_keyring_generate(sentinel_keyring *ring, sentinel_key_info *info)
    sentinel_status sentinel_keyring_import(sentinel_keyring *ring, sentinel_key_info *info,
                                            const uint8_t *secret, size_t secret_size)
    sentinel_status sentinel_keyring_set_passphrase(sentinel_keyring *ring, uint32_t id,
                                                    const char *text, size_t size)
    sentinel_status sentinel_key_address(char *text42, const uint8_t *public_key33)
    sentinel_status sentinel_keyring_remove(sentinel_keyring *ring, uint32_t id)
    uint32_t sentinel_keyring_count(const sentinel_keyring *ring)
    const sentinel_key_info *sentinel_keyring_at(const sentinel_keyring *ring, uint32_t position)
    size_t sentinel_keyring_sealed_bytes(const sentinel_keyring *ring)
    sentinel_status sentinel_keyring_seal(const sentinel_keyring *ring, uint8_t *out,
                                          size_t out_size, const char *passphrase,
                                          size_t passphrase_size, uint64_t opslimit,
                                          uint64_t memlimit)
    sentinel_status sentinel_keyring_unseal(sentinel_keyring *ring, const uint8_t *sealed,
                                            size_t size, const char *passphrase,
                                            size_t passphrase_size)
    sentinel_status sentinel_sign(sentinel_keyring *ring, sentinel_signature *signature,
                                  uint32_t key, const uint8_t *bytes, size_t size)
    sentinel_status sentinel_sign_digest(sentinel_keyring *ring, sentinel_signature *signature,
                                         uint32_t key, const uint8_t *digest32)
    sentinel_status sentinel_verify(uint8_t algorithm, const uint8_t *public_key,
                                    size_t public_key_size, const sentinel_signature *signature,
                                    const uint8_t *bytes, size_t size)
    sentinel_status sentinel_sign_frame(sentinel_keyring *ring, uint8_t *signature64, uint32_t key,
                                        const char *prefix, const uint8_t *digest32)
    sentinel_status sentinel_verify_frame(const uint8_t *signature64, const uint8_t *public_key32,
                                          const char *prefix, const uint8_t *digest32)
    uint64_t sentinel_keyring_uses(const sentinel_keyring *ring, uint32_t key)


cdef extern from "sentinel/nonces.h" nogil:
    ctypedef struct sentinel_nonces:
        uint32_t capacity
        uint32_t ready
        uint64_t made
        uint64_t used
        uint64_t burnt
        uint64_t missed

    sentinel_status sentinel_nonces_start(sentinel_keyring *ring, uint32_t key, uint32_t capacity)
    sentinel_status sentinel_nonces_fill(sentinel_keyring *ring, uint32_t key, uint32_t *made)
    sentinel_status sentinel_nonces_read(const sentinel_keyring *ring, uint32_t key,
                                         sentinel_nonces *nonces)


cdef extern from "sentinel/venue.h" nogil:
    ctypedef struct sentinel_span:
        uint16_t offset
        uint16_t size

    ctypedef struct sentinel_request:
        uint8_t method
        uint8_t header_count
        uint8_t endpoint_covered
        uint16_t text_size
        uint8_t prehashed
        sentinel_span host
        sentinel_span path
        sentinel_span query
        sentinel_span body
        sentinel_span string_to_sign
        sentinel_span *header_names
        sentinel_span *header_values
        char *text

    ctypedef struct sentinel_hold:
        uint8_t expiry
        uint8_t once
        uint8_t endpoint_covered
        uint32_t floor_ms
        int64_t window_ms

    const sentinel_hold *sentinel_venue_hold(uint16_t venue, uint16_t action)
    void sentinel_client_id(char *text32, const uint8_t *engine_id32, uint64_t epoch,
                            uint64_t record)
    const char *sentinel_venue_name(uint16_t venue)


cdef extern from "sentinel/audit.h" nogil:
    enum:
        SENTINEL_RECORD_BYTES_MAX
        SENTINEL_RECORD_BUNDLE
        SENTINEL_RECORD_ORDER

    ctypedef struct sentinel_record_header:
        uint16_t type
        uint32_t size_bytes
        uint64_t number
        uint64_t epoch
        uint8_t prev_hash32[32]
        int64_t now_ns
        uint8_t verdict
        uint32_t key
        uint64_t key_counter
        uint8_t policy_hash32[32]
        uint8_t authority_hash32[32]

    ctypedef struct sentinel_bundle_ref:
        uint8_t hash32[32]

    ctypedef struct sentinel_record:
        const sentinel_record_header *header
        const uint8_t *subject
        uint8_t hash32[32]

    ctypedef struct sentinel_log_head:
        uint64_t count
        uint64_t synced
        uint64_t epoch

    ctypedef struct sentinel_log:
        pass

    ctypedef struct sentinel_log_reader:
        uint64_t next
        uint64_t offset
        uint64_t segment_first

    sentinel_status sentinel_record_parse(sentinel_record *record, const void *bytes, size_t size)
    sentinel_status sentinel_log_reader_open(sentinel_log_reader *reader, int dir_fd,
                                             uint64_t first)
    sentinel_status sentinel_log_reader_next(sentinel_log_reader *reader, sentinel_record *record,
                                             uint8_t *buffer, size_t buffer_size)
    void sentinel_log_reader_close(sentinel_log_reader *reader)
    sentinel_status sentinel_log_head_read(sentinel_log_head *head, int dir_fd)

    ctypedef struct sentinel_tree:
        uint64_t count

    void sentinel_tree_add(sentinel_tree *tree, const uint8_t *leaf_hash32)
    void sentinel_tree_root(const sentinel_tree *tree, uint8_t *root32)


cdef extern from "audit_record.h" nogil:
    void records_check(uint8_t *whole, uint8_t (*hashes)[32], const uint8_t *bytes,
                       const uint32_t *at, size_t count)
    void tree_add_many(sentinel_tree *tree, const uint8_t (*leaves)[32], size_t count)


cdef extern from "sentinel/gate.h" nogil:
    ctypedef struct sentinel_context:
        pass

    ctypedef struct sentinel_config:
        sentinel_genesis genesis
        uint64_t bundle_bytes_max
        uint64_t state_bytes_max
        uint32_t receipt_key

    ctypedef struct sentinel_session:
        uint32_t agent

    ctypedef struct sentinel_outcome:
        uint8_t verdict
        uint8_t recorded
        uint16_t reason
        uint32_t status
        uint64_t record
        uint64_t epoch
        int64_t now_ns
        uint8_t record_hash32[32]
        int64_t usable_until_ms
        uint16_t venue
        uint8_t client_id_size
        uint32_t key
        char client_id[64]
        int64_t pending_until_ns
        uint8_t approvals_needed
        uint8_t approvals
        sentinel_decision decision
        sentinel_signature signature
        sentinel_request request

    ctypedef struct sentinel_control:
        pass

    ctypedef struct sentinel_head:
        uint8_t engine_id32[32]
        uint64_t epoch
        uint64_t count
        uint8_t last_hash32[32]
        uint8_t root32[32]

    uint64_t sentinel_context_bytes(const sentinel_config *config)
    sentinel_status sentinel_context_init(sentinel_context **context, void *memory, uint64_t size,
                                          const sentinel_config *config, sentinel_keyring *keyring,
                                          sentinel_log *log, const sentinel_control *control)
    sentinel_status sentinel_gate_genesis(sentinel_context *context, int64_t now_ns)
    sentinel_status sentinel_gate_start(sentinel_context *context, uint64_t torn_bytes,
                                        int64_t now_ns)
    sentinel_status sentinel_gate_take(sentinel_context *context, uint64_t *record,
                                       const void *frame, size_t size, int64_t now_ns)
    sentinel_status sentinel_gate_withdraw(sentinel_context *context, uint64_t *record,
                                           const sentinel_session *session,
                                           uint64_t action_id, int64_t now_ns)
    unsigned sentinel_gate_approvals(const sentinel_context *context,
                                     const sentinel_pending *row, int64_t now_ns)
    sentinel_status sentinel_gate_check(sentinel_context *context, const void *frame, size_t size,
                                        int64_t now_ns)
    sentinel_status sentinel_session_open(sentinel_session *session,
                                          const sentinel_context *context, uint32_t agent)
    sentinel_status sentinel_gate_sign(sentinel_context *context, sentinel_outcome *outcome,
                                       sentinel_session *session, const void *order_bytes,
                                       size_t size, int64_t now_ns)
    sentinel_status sentinel_gate_restore(sentinel_context *context, const sentinel_record *record,
                                          const void *authority, size_t authority_size,
                                          const void *policy, size_t policy_size,
                                          const uint8_t *state, uint64_t state_size)
    sentinel_status sentinel_gate_replay(sentinel_context *context, const char **difference,
                                         const sentinel_record *record, const void *bundle,
                                         size_t bundle_size)
    const sentinel_view *sentinel_gate_view(const sentinel_context *context)
    const sentinel_state *sentinel_gate_state(const sentinel_context *context)
    ctypedef struct sentinel_ask:
        uint64_t epoch

    sentinel_status sentinel_gate_ask(sentinel_context *context, sentinel_ask *ask,
                                      uint8_t *signature64, uint32_t flags)
    int sentinel_gate_needs_witness(const sentinel_context *context)
    sentinel_status sentinel_gate_sign_head(sentinel_context *context, uint8_t *signature64,
                                            const sentinel_head *head)

    ctypedef struct sentinel_ack:
        uint64_t count

    ctypedef struct sentinel_signed_ack:
        sentinel_ack ack
        uint8_t signature64[64]

    sentinel_status sentinel_gate_acknowledge(const sentinel_context *context, sentinel_ack *ack,
                                              const void *frame, size_t size)


cdef extern from "sentinel/engine.h" nogil:
    ctypedef struct sentinel_engine:
        pass

    ctypedef struct sentinel_engine_options:
        const char *passphrase
        size_t passphrase_size
        uint64_t segment_bytes
        uint64_t state_bytes_min
        uint64_t snapshot_every
        uint32_t nonces
        uint8_t durability
        uint8_t snapshot_risk

    sentinel_status sentinel_engine_create(const char *dir, const sentinel_genesis *genesis,
                                           const void *authority, size_t authority_size,
                                           const void *policy, size_t policy_size,
                                           const sentinel_engine_options *options, int64_t now_ns)
    sentinel_status sentinel_engine_open(sentinel_engine **engine, const char *dir,
                                         const sentinel_engine_options *options, int64_t now_ns)
    void sentinel_engine_close(sentinel_engine *engine, int64_t now_ns)
    sentinel_context *sentinel_engine_context(sentinel_engine *engine)
    int sentinel_engine_errno(const sentinel_engine *engine)
    sentinel_status sentinel_engine_sign(sentinel_engine *engine, sentinel_outcome *outcome,
                                         sentinel_session *session, const void *order_bytes,
                                         size_t size, int64_t now_ns)
    sentinel_status sentinel_engine_withdraw(sentinel_engine *engine, uint64_t *record,
                                             const sentinel_session *session,
                                             uint64_t action_id, int64_t now_ns)
    sentinel_status sentinel_engine_spool(sentinel_engine *engine, int64_t now_ns)
    sentinel_status sentinel_engine_take(sentinel_engine *engine, uint64_t *record,
                                         const void *frame, size_t size, int64_t now_ns)
    sentinel_status sentinel_engine_fill(sentinel_engine *engine, uint32_t *made)
    sentinel_status sentinel_engine_nonces(const sentinel_engine *engine, sentinel_nonces *nonces)
    int sentinel_engine_is_held(const sentinel_engine *engine)
    sentinel_status sentinel_engine_ack(sentinel_engine *engine, sentinel_signed_ack *signed_ack)
    sentinel_status sentinel_engine_snapshot(sentinel_engine *engine, int64_t now_ns)
    sentinel_status sentinel_spool_submit(uint64_t *ticket, const char *dir, const void *frame,
                                          size_t size)
