/* Names and sentences of statuses and reasons, straight from the .def files.
 * A switch, not an array: the numbers have gaps, and any number may be asked. */
#include <sentinel/status.h>

const char *sentinel_status_name(sentinel_status status) {
    switch (status) {
#define SENTINEL_STATUS(name, number, text) \
    case SENTINEL_##name:                   \
        return #name;
#include <sentinel/status.def>
#undef SENTINEL_STATUS
    default:
        return "UNKNOWN";
    }
}

const char *sentinel_status_text(sentinel_status status) {
    switch (status) {
#define SENTINEL_STATUS(name, number, text) \
    case SENTINEL_##name:                   \
        return text;
#include <sentinel/status.def>
#undef SENTINEL_STATUS
    default:
        return "a status that this version does not know";
    }
}

const char *sentinel_reason_code(sentinel_reason reason) {
    switch (reason) {
#define SENTINEL_REASON(name, number, code, text) \
    case SENTINEL_REASON_##name:                  \
        return code;
#include <sentinel/reason.def>
#undef SENTINEL_REASON
    default:
        return "unknown";
    }
}

const char *sentinel_reason_text(sentinel_reason reason) {
    switch (reason) {
#define SENTINEL_REASON(name, number, code, text) \
    case SENTINEL_REASON_##name:                  \
        return text;
#include <sentinel/reason.def>
#undef SENTINEL_REASON
    default:
        return "a reason that this version does not know";
    }
}
