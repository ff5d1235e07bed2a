/* Status codes, verdicts' reasons and their strings. */
#ifndef SENTINEL_STATUS_H
#define SENTINEL_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SENTINEL_MUST_USE __attribute__((warn_unused_result))
#define SENTINEL_API __attribute__((visibility("default")))
#else
#define SENTINEL_MUST_USE
#define SENTINEL_API
#endif

/* The result of a call. OK is zero; the category is the high byte. A refusal
 * by policy is not an error: the call is OK and the verdict says DENIED. */
typedef enum sentinel_status {
#define SENTINEL_STATUS(name, number, text) SENTINEL_##name = number,
#include <sentinel/status.def>
#undef SENTINEL_STATUS
} sentinel_status;

/* Why a verdict is not ALLOWED; see reason.def for the precedence. */
typedef enum sentinel_reason {
#define SENTINEL_REASON(name, number, code, text) SENTINEL_REASON_##name = number,
#include <sentinel/reason.def>
#undef SENTINEL_REASON
} sentinel_reason;

/* The name of a status, such as "FORMAT_SIZE"; "UNKNOWN" for other numbers. */
SENTINEL_API const char *
sentinel_status_name(sentinel_status status);

/* One sentence about a status. Never null. */
SENTINEL_API const char *
sentinel_status_text(sentinel_status status);

/* The stable code of a reason, such as "value_cap"; "unknown" otherwise. */
SENTINEL_API const char *
sentinel_reason_code(sentinel_reason reason);

/* One sentence about a reason. Never null. */
SENTINEL_API const char *
sentinel_reason_text(sentinel_reason reason);

#ifdef __cplusplus
}
#endif
#endif
