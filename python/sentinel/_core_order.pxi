# Orders and decimals. A part of _core.pyx.


def order_bytes(uint16_t action):
    return sentinel_order_bytes(action)


def order_check(const uint8_t[::1] order, uint8_t environment):
    cdef sentinel_reason reason = SENTINEL_REASON_NONE
    _raise_status(sentinel_order_check(&reason, _at(order), order.shape[0], environment),
                  "order")
    return <int>reason


def decimal_write(int64_t mantissa, uint8_t scale):
    cdef sentinel_decimal decimal
    cdef char text[SENTINEL_DECIMAL_TEXT_MAX]
    memset(&decimal, 0, sizeof(decimal))
    decimal.mantissa, decimal.scale = mantissa, scale
    return _copy(text, sentinel_decimal_write(text, &decimal)).decode()


def decimal_read(str text):
    cdef sentinel_decimal decimal
    cdef bytes raw = text.encode()
    _raise_status(sentinel_decimal_read(&decimal, <const char *>_of(raw), len(raw)), text)
    return decimal.mantissa, decimal.scale
