# What a verifier checks of runs of orders, at the speed of hashing. A part of _core.pyx.

cdef enum:
    SCAN_MOST = 8192    # orders at once
    SCAN_PIECE = 1024   # orders for one thread
    COUNTERS = 256      # SENTINEL_KEYS_MAX
    WORD = 8            # the size before a record, the commit word behind it


cdef struct Counter:
    uint32_t key
    uint64_t uses


cdef class OrderScan:
    """Steps over orders that are right; what is not, or no order, is left to the caller."""
    cdef sentinel_tree tree
    cdef uint8_t *hashes        # of all records so far
    cdef Py_ssize_t count, room
    cdef uint32_t *at           # of a run: where its records are, from its first frame on
    cdef uint8_t *good          # 1: whole, as far as it says about itself
    cdef Counter counters[COUNTERS]
    cdef uint64_t verdicts[5]
    cdef object pool

    def __cinit__(self, pool=None):
        self.at = <uint32_t *>malloc((SCAN_MOST + 1) * sizeof(uint32_t))
        self.good = <uint8_t *>malloc(SCAN_MOST)
        if self.at == NULL or self.good == NULL:
            raise MemoryError
        self.pool = pool

    def __dealloc__(self):
        free(self.hashes)
        free(self.at)
        free(self.good)

    def __len__(self):
        return self.count

    def __getitem__(self, Py_ssize_t index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        return _copy(self.hashes + 32 * index, 32)

    cdef int make_room(self, Py_ssize_t more) except -1:
        cdef uint8_t *grown
        cdef Py_ssize_t room = self.room
        if self.count + more > room:
            room = max(2 * room, self.count + more)
            grown = <uint8_t *>realloc(self.hashes, 32 * room)
            if grown == NULL:
                raise MemoryError
            self.hashes, self.room = grown, room
        return 0

    def append(self, const uint8_t[::1] hash32):
        """The hash of a record that the caller checked."""
        _sized(hash32, 32, "hash")
        self.make_room(1)
        memcpy(self.hashes + 32 * self.count, _at(hash32), 32)
        sentinel_tree_add(&self.tree, _at(hash32))
        self.count += 1

    def root(self):
        cdef uint8_t root[32]
        sentinel_tree_root(&self.tree, root)
        return _copy(root, 32)

    def use(self, uint32_t key, uint64_t counter):
        """Whether a key's counter grows by one; it counts from here on either way."""
        cdef Counter *row = self.counter(key)
        cdef bint grows
        if row == NULL:
            raise AuditCorrupt("more keys than an engine can have")
        grows = counter == row.uses + 1
        row.uses = counter
        return grows

    cdef Counter *counter(self, uint32_t key) noexcept nogil:
        cdef int i
        for i in range(COUNTERS):
            if self.counters[i].key == key or self.counters[i].uses == 0:
                self.counters[i].key = key
                return &self.counters[i]
        return NULL

    def verdict_counts(self):
        """Verdicts of the orders that run() stepped over, by number."""
        return [self.verdicts[i] for i in range(5)]

    def run(self, const uint8_t[::1] data, Py_ssize_t at, uint64_t epoch, int64_t now_ns,
            const uint8_t[::1] policy_hash, const uint8_t[::1] authority_hash):
        """From the frame at `at` on, over orders of this epoch under these bundles. Gives the
        place behind the last that is right, and its time."""
        cdef const uint8_t *bytes = _at(data)
        cdef Py_ssize_t found, piece, done
        _sized(policy_hash, 32, "policy hash")
        _sized(authority_hash, 32, "authority hash")
        while True:
            with nogil:
                found = self.find(bytes + at, data.shape[0] - at)
            if found == 0:
                return at, now_ns
            self.make_room(found)
            if self.pool is None or found <= SCAN_PIECE:
                self._check(data, at, 0, found)
            else:
                jobs = [self.pool.submit(self._check, data, at, piece,
                                         min(piece + SCAN_PIECE, found))
                        for piece in range(0, found, SCAN_PIECE)]
                for job in jobs:
                    job.result()
            with nogil:
                done = self.link(bytes + at, found, epoch, &now_ns, &policy_hash[0],
                                 &authority_hash[0])
                tree_add_many(&self.tree, <const uint8_t (*)[32]>(self.hashes + 32 * (
                    self.count - done)), done)
            at += self.at[done]
            if done < found or found < SCAN_MOST:
                return at, now_ns

    cdef Py_ssize_t find(self, const uint8_t *bytes, Py_ssize_t size) noexcept nogil:
        """Where orders seem to be, one behind the other."""
        cdef Py_ssize_t found = 0, offset = 0, least = sizeof(sentinel_record_header) + 2 * WORD
        cdef uint64_t length
        cdef uint16_t kind
        self.at[0] = 0
        while found < SCAN_MOST and size - offset >= least:
            memcpy(&length, bytes + offset, WORD)
            if (length > SENTINEL_RECORD_BYTES_MAX or length % 8
                    or length < sizeof(sentinel_record_header)):
                break
            if size - offset < <Py_ssize_t>length + 2 * WORD:
                break
            memcpy(&kind, bytes + offset + WORD + 2, sizeof(kind))
            if kind != SENTINEL_RECORD_ORDER:
                break
            offset += <Py_ssize_t>length + 2 * WORD
            found += 1
            self.at[found] = <uint32_t>offset
        return found

    def _check(self, const uint8_t[::1] data, Py_ssize_t at, Py_ssize_t first, Py_ssize_t last):
        cdef const uint8_t *bytes = _at(data) + at
        with nogil:
            records_check(self.good + first,
                          <uint8_t (*)[32]>(self.hashes + 32 * (self.count + first)), bytes,
                          self.at + first, last - first)

    cdef Py_ssize_t link(self, const uint8_t *bytes, Py_ssize_t found, uint64_t epoch,
                         int64_t *now_ns, const uint8_t *policy_hash,
                         const uint8_t *authority_hash) noexcept nogil:
        """How many of them follow one another as the records of an engine do."""
        cdef const sentinel_record_header *header
        cdef Counter *row = NULL
        cdef uint64_t uses
        cdef Py_ssize_t i
        for i in range(found):
            header = <const sentinel_record_header *>(bytes + self.at[i] + WORD)
            if (not self.good[i] or self.count == 0
                    or header.number != <uint64_t>self.count
                    or memcmp(header.prev_hash32, self.hashes + 32 * (self.count - 1), 32) != 0
                    or header.epoch != epoch or header.now_ns < now_ns[0]
                    or memcmp(header.policy_hash32, policy_hash, 32) != 0
                    or memcmp(header.authority_hash32, authority_hash, 32) != 0):
                return i
            if header.key_counter != 0:
                row = self.counter(header.key)
                if row == NULL or header.key_counter != row.uses + 1:
                    return i
                row.uses = header.key_counter
            now_ns[0] = header.now_ns
            self.verdicts[header.verdict] += 1
            self.count += 1
        return found
