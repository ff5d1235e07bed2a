/* Sentinel: signs trading orders that a signed policy allows, and keeps a
 * record of every decision before a signature is released.
 *
 * The headers follow an order through the core: order, policy, sign (venue),
 * audit; gate joins them; engine is the gate over a directory.
 *
 * Rules of every call: outputs come first, then in/out, then inputs; a
 * length follows its pointer; pointers are not null unless said so. A
 * sentinel_status must be looked at; a refusal is a verdict, not a status.
 * Nothing allocates after initialisation. There are no globals but what the
 * processor can: calls on different contexts may run at once, calls on one take
 * turns outside. */
#ifndef SENTINEL_SENTINEL_H
#define SENTINEL_SENTINEL_H

#define SENTINEL_VERSION_MAJOR 0
#define SENTINEL_VERSION_MINOR 1
#define SENTINEL_VERSION_PATCH 0
#define SENTINEL_VERSION "0.1.0"

#include <sentinel/status.h>
#include <sentinel/types.h>

#include <sentinel/order.h>

#include <sentinel/frame.h>
#include <sentinel/policy.h>
#include <sentinel/state.h>

#include <sentinel/sign.h>
#include <sentinel/venue.h>

#include <sentinel/audit.h>

#include <sentinel/gate.h>

#include <sentinel/engine.h>

#endif
