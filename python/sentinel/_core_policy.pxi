# Frames, policy bundles and the digests that they hold. A part of _core.pyx.


cdef _frame(const sentinel_frame *frame):
    cdef const sentinel_frame_header *header = frame.header
    return _types.Frame(
        header.kind, header.environment, _copy(header.engine_id32, 32), header.sequence,
        header.issued_ns, header.expires_ns, _copy(frame.payload, frame.payload_size),
        frame.proof_count, _copy(frame.hash32, 32),
    )


def unsafe_parse_frame(frame, uint16_t kind):
    cdef bytes raw = bytes(frame)
    cdef sentinel_frame parsed
    _raise_status(sentinel_frame_parse(&parsed, _of(raw), len(raw), kind), "frame")
    return _frame(&parsed)


def verify_frame(frame, uint16_t kind, authority, unsigned power, unsigned threshold,
                 int64_t now_ns):
    cdef bytes raw = bytes(frame), rows = bytes(authority)
    cdef sentinel_frame parsed
    _raise_status(sentinel_frame_parse(&parsed, _of(raw), len(raw), kind), "frame")
    _raise_status(sentinel_authority_check(_of(rows), len(rows)), "authority")
    _raise_status(sentinel_frame_verify(&parsed, _of(rows), len(rows), power, threshold, now_ns),
                  "frame")
    return _frame(&parsed)


def verify_authority_frame(frame, genesis):
    cdef bytes raw = bytes(frame), root = bytes(genesis)
    cdef sentinel_frame parsed
    genesis_check(root)
    _raise_status(sentinel_frame_parse(&parsed, _of(raw), len(raw), 1), "authority bundle")
    _raise_status(sentinel_authority_check(parsed.payload, parsed.payload_size),
                  "authority bundle")
    _raise_status(sentinel_frame_verify_root(&parsed, <const sentinel_genesis *>_of(root)),
                  "authority bundle")
    return _frame(&parsed)


def genesis_check(genesis):
    cdef bytes raw = bytes(genesis)
    cdef uint8_t engine_id[32]
    _raise_status(sentinel_genesis_check(engine_id, _of(raw), len(raw)), "genesis")
    return _copy(engine_id, 32)


def bundle_check(frame):
    cdef bytes raw = bytes(frame)
    cdef sentinel_bundle b
    _raise_status(sentinel_bundle_check(&b, _of(raw), len(raw)), "policy bundle")
    return _types.BundleCounts(
        b.node_count, b.asset_count, b.network_count, b.instrument_count, b.key_count,
        b.constraint_count, b.id_count, b.destination_count, b.sanction_count, b.text_size,
        _copy(b.hash32, 32),
    )


def bundle_memory(frame):
    cdef bytes raw = bytes(frame)
    cdef sentinel_bundle bundle
    _raise_status(sentinel_bundle_check(&bundle, _of(raw), len(raw)), "policy bundle")
    return sentinel_layout_bytes(&bundle), sentinel_state_bytes(&bundle)


def destination_digest(uint32_t network, str address, str memo=""):
    cdef uint8_t digest[32]
    cdef bytes a = address.encode(), m = memo.encode()
    sentinel_destination_digest(digest, network, <const char *>_of(a), len(a),
                                <const char *>_of(m), len(m))
    return _copy(digest, 32)


def sanction_digest(str address):
    cdef uint8_t digest[16]
    cdef bytes a = address.encode()
    sentinel_sanction_digest(digest, <const char *>_of(a), len(a))
    return _copy(digest, 16)
