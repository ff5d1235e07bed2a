# The log: its reader, its head, the tree over its records. A part of _core.pyx.


# Room for one record, and what is read ahead: many records, within the second-level cache.
cdef enum:
    READ_AHEAD_BYTES = 24576 + 256 * 1024


cdef class LogReader:
    """Iterates over the records of a log directory; each was checked by the core."""
    cdef sentinel_log_reader reader
    cdef uint8_t *buffer
    cdef int dir_fd
    cdef bint open

    def __cinit__(self, directory, *, uint64_t first=0):
        cdef sentinel_status status
        self.dir_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self.buffer = <uint8_t *>malloc(READ_AHEAD_BYTES)
        if self.buffer == NULL:
            raise MemoryError
        status = sentinel_log_reader_open(&self.reader, self.dir_fd, first)
        self.open = True
        _raise_status(status, os.fsdecode(directory), errno)

    def __dealloc__(self):
        if self.open:
            sentinel_log_reader_close(&self.reader)
        free(self.buffer)
        if self.dir_fd > 0:
            os.close(self.dir_fd)

    def __iter__(self):
        return self

    def __next__(self):
        cdef sentinel_record record
        cdef sentinel_status status
        with nogil:
            status = sentinel_log_reader_next(&self.reader, &record, self.buffer,
                                              READ_AHEAD_BYTES)
        if status == SENTINEL_AUDIT_END:
            raise StopIteration
        self.check(status)
        return self.raw(&record)

    cdef raw(self, const sentinel_record *record):
        return _types.RawRecord(record.header.number, _copy(record.hash32, 32),
                                _copy(record.header, record.header.size_bytes))

    cdef check(self, sentinel_status status):
        if status == SENTINEL_AUDIT_CORRUPT:
            raise AuditCorrupt(
                f"record {self.reader.next} is not intact, segment "
                f"{self.reader.segment_first:020d}.log, offset {self.reader.offset}",
                status=<int>status, record=self.reader.next, offset=self.reader.offset)
        _raise_status(status, f"record {self.reader.next}", errno)


def log_head(directory):
    cdef sentinel_log_head head
    cdef int dir_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _raise_status(sentinel_log_head_read(&head, dir_fd), os.fsdecode(directory), errno)
    finally:
        os.close(dir_fd)
    return _types.Head(head.count, head.synced, head.epoch)


cdef class Tree:
    """The RFC 6962 root over record hashes, grown one leaf at a time."""
    cdef sentinel_tree tree

    def add(self, const uint8_t[::1] leaf_hash):
        _sized(leaf_hash, 32, "leaf hash")
        sentinel_tree_add(&self.tree, _at(leaf_hash))

    def root(self):
        cdef uint8_t root[32]
        sentinel_tree_root(&self.tree, root)
        return _copy(root, 32)

    def __len__(self):
        return self.tree.count
