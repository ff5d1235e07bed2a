# Orders into structs, for the fields that stand there as they are. A part of _core.pyx.

cdef enum:
    PACK_FIELDS_MAX = 48
    PACK_NUMBER = 0
    PACK_FLAG = 1
    PACK_DECIMAL = 2
    PACK_TEXT = 3
    PACK_BIT = 4
    PACK_OTHER = 5      # what only Python packs, where it is given
    PACK_TARGET = 6     # a number, and a byte that says that it is the target

cdef struct pack_field:
    int kind
    uint32_t at
    uint32_t size       # of a number; the most of a text
    uint32_t size_at    # of a text: where its size stands; of a target, where its kind does
    uint32_t bit
    uint64_t max        # of a number

cdef extern from "sentinel/order.h" nogil:
    enum:
        SENTINEL_TARGET_ACTION

    int sentinel_text_is_id(const char *text, size_t size)

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    bint PyLong_Check(object number)
    bint PyBool_Check(object number)
    unsigned long long PyLong_AsUnsignedLongLong(object number) except? 18446744073709551615


cdef class Plan:
    """Where each attribute of a kind of order stands in its struct."""
    cdef list names
    cdef pack_field fields[PACK_FIELDS_MAX]
    cdef sentinel_order_header header

    def __init__(self, uint16_t version, uint16_t action, uint32_t size, fields):
        cdef int i
        memset(&self.header, 0, sizeof(self.header))
        self.header.version, self.header.action, self.header.size_bytes = version, action, size
        self.names = [field[0] for field in fields]
        if len(self.names) > PACK_FIELDS_MAX or size > SENTINEL_ORDER_BYTES_MAX:
            raise UsageError("this order has too many fields")
        for i, (_, kind, at, width, size_at, bit, most) in enumerate(fields):
            self.fields[i].kind, self.fields[i].at, self.fields[i].size = kind, at, width
            self.fields[i].size_at, self.fields[i].bit, self.fields[i].max = size_at, bit, most

    cdef bytes pack(self, object order):
        """The struct without agent and action id; None where anything is out of the ordinary."""
        cdef uint8_t out[SENTINEL_ORDER_BYTES_MAX]
        cdef sentinel_order_header *header = <sentinel_order_header *>out
        cdef const pack_field *field
        cdef Py_ssize_t i
        memset(out, 0, sizeof(out))
        memcpy(out, &self.header, sizeof(self.header))
        for i in range(len(self.names)):
            value = getattr(order, <str>self.names[i])
            if value is None:
                continue
            field = &self.fields[i]
            if not _pack_one(out, field, value):
                return None
            if field.kind != PACK_BIT or value:
                header.present |= field.bit
        return _copy(out, header.size_bytes)


cdef bint _pack_one(uint8_t *out, const pack_field *field, object value) except -1:
    cdef sentinel_decimal decimal
    cdef const char *text
    cdef Py_ssize_t size
    cdef uint64_t number
    if field.kind == PACK_BIT:
        return True
    if field.kind == PACK_NUMBER or field.kind == PACK_TARGET:
        if not PyLong_Check(value) or PyBool_Check(value) or not 0 <= value <= field.max:
            return False
        number = PyLong_AsUnsignedLongLong(value)
        memcpy(out + field.at, &number, field.size)
        if field.kind == PACK_TARGET:
            out[field.size_at] = SENTINEL_TARGET_ACTION
        return True
    if field.kind == PACK_FLAG:
        if not PyBool_Check(value):
            return False
        out[field.at] = value is True
        return True
    if field.kind == PACK_OTHER or not PyUnicode_Check(value):
        return False
    if not PyUnicode_IS_COMPACT_ASCII(value):
        return False
    text = PyUnicode_AsUTF8AndSize(value, &size)
    if field.kind == PACK_DECIMAL:
        memset(&decimal, 0, sizeof(decimal))
        if sentinel_decimal_read(&decimal, text, size) != SENTINEL_OK:
            return False
        memcpy(out + field.at, &decimal, sizeof(decimal))
        return True
    if size > field.size or not sentinel_text_is_id(text, size):
        return False
    memcpy(out + field.at, text, size)
    out[field.size_at] = <uint8_t>size
    return True
