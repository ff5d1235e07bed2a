# Orders prepared once and stamped anew for each signature. A part of _core.pyx.

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_Check

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

_DECIMALS = ("price", "quantity", "quote_quantity", "trigger_price", "amount")

cdef enum:
    DECIMALS = 5


cdef class PreparedOrder:
    """One order of one session, ready to be signed again and again."""
    cdef Seat seat
    cdef uint8_t bytes[SENTINEL_ORDER_BYTES_MAX]
    cdef Py_ssize_t size
    cdef int decimal_at[DECIMALS]
    cdef uint32_t decimal_bit[DECIMALS]
    cdef int side_at
    cdef int target_at
    cdef object terms

    def __init__(self, Seat seat not None, Packed order not None, terms):
        cdef bytes blank = _blank(order)
        cdef int i
        self.seat, self.terms, self.size = seat, terms, len(blank)
        memcpy(self.bytes, _of(blank), len(blank))
        for i, name in enumerate(_DECIMALS):
            self.decimal_at[i], self.decimal_bit[i] = terms.place(order, name)
        self.side_at = terms.place(order, "side")[0]
        self.target_at = terms.place(order, "target_action_id")[0]

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.bytes, self.size, 0, flags)

    def __releasebuffer__(self, Py_buffer *buffer):
        pass

    @property
    def order(self):
        return self.terms.unpack(_copy(self.bytes, self.size))

    cdef int _read(self, sentinel_decimal *decimal, int field, object value) except -1:
        cdef const char *text
        cdef Py_ssize_t size
        memset(decimal, 0, sizeof(decimal[0]))
        if self.decimal_at[field] < 0:
            raise UsageError(f"this order has no {_DECIMALS[field]}")
        if PyUnicode_Check(value):
            text = PyUnicode_AsUTF8AndSize(value, &size)
            if sentinel_decimal_read(decimal, text, size) == SENTINEL_OK:
                return 0
        mantissa, scale = (value if PyTuple_CheckExact(value)
                           else self.terms.decimal(value, _DECIMALS[field]))
        try:
            decimal.mantissa, decimal.scale = mantissa, scale
        except OverflowError:
            raise OrderInvalid(f"{_DECIMALS[field]}: {value} does not fit") from None
        return 0

    cdef int _stamp(self, object price, object quantity, object quote_quantity,
                    object trigger_price, object amount, object side,
                    object target_action) except -1:
        """All of it, or nothing."""
        cdef sentinel_decimal read[DECIMALS]
        cdef PyObject *given[DECIMALS]
        cdef sentinel_order_header *header = <sentinel_order_header *>self.bytes
        cdef uint8_t new_side = 0
        cdef uint64_t target = 0
        cdef int i
        given[0], given[1] = <PyObject *>price, <PyObject *>quantity
        given[2], given[3] = <PyObject *>quote_quantity, <PyObject *>trigger_price
        given[4] = <PyObject *>amount
        for i in range(DECIMALS):
            if <object>given[i] is not None:
                self._read(&read[i], i, <object>given[i])
        if side is not None:
            if self.side_at < 0:
                raise UsageError("this order has no side")
            new_side = self.terms.side(side)
        if target_action is not None:
            if self.target_at < 0:
                raise UsageError("this order means no earlier action")
            target = _action_id(target_action)
        for i in range(DECIMALS):
            if <object>given[i] is not None:
                memcpy(self.bytes + self.decimal_at[i], &read[i], sizeof(read[i]))
                header.present |= self.decimal_bit[i]
        if side is not None:
            self.bytes[self.side_at] = new_side
        if target_action is not None:
            memcpy(self.bytes + self.target_at, &target, sizeof(target))
        return 0

    def stamp(self, *, price=None, quantity=None, quote_quantity=None, trigger_price=None,
              amount=None, side=None, target_action=None):
        self._stamp(price, quantity, quote_quantity, trigger_price, amount, side, target_action)

    def sign(self, *, price=None, quantity=None, quote_quantity=None, trigger_price=None,
             amount=None, side=None, target_action=None, action_id=None, now_ns=None):
        self._stamp(price, quantity, quote_quantity, trigger_price, amount, side, target_action)
        return self.seat._answer(self.bytes, self.size, None, action_id, now_ns)
