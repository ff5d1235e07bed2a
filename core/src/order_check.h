/* The form of an order that stands in its own room already. */
#ifndef SENTINEL_ORDER_CHECK_H
#define SENTINEL_ORDER_CHECK_H

#include <sentinel/order.h>

/* As sentinel_order_check, of a copy that nobody else can change: `size` bytes as
 * given, and zeros behind them. */
sentinel_reason order_check(const sentinel_order *order, size_t size, uint8_t environment);

#endif
