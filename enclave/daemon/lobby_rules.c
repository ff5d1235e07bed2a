/* What is taken in an enclave alone, names that files may have, and folders. */
#include "lobby.h"

#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "files.h"
#include "snapshot.h"

#include <sentinel/policy.h>

sentinel_status lobby_frame_check(const void *frame, size_t size) {
    sentinel_frame_header header;
    sentinel_frame parsed;
    sentinel_bundle bundle;
    if (size < sizeof header) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(&header, frame, sizeof header);
    if (header.kind == SENTINEL_FRAME_POLICY) {
        SENTINEL_TRY(sentinel_bundle_check(&bundle, frame, size));
        return bundle.policy->lease_ns != 0 ? SENTINEL_OK : SENTINEL_POLICY_LEASE;
    }
    if (header.kind == SENTINEL_FRAME_AUTHORITY) {
        sentinel_authority authority;
        SENTINEL_TRY(sentinel_frame_parse(&parsed, frame, size, header.kind));
        SENTINEL_TRY(sentinel_authority_check(parsed.payload, parsed.payload_size));
        memcpy(&authority, parsed.payload, sizeof authority);
        return authority.threshold[SENTINEL_POWER_WITNESS] != 0 ? SENTINEL_OK
                                                                : SENTINEL_POLICY_GRANT;
    }
    return SENTINEL_OK;
}

int lobby_file_name(const char *name) {
    uint64_t number;
    if (strncmp(name, "sealed/", 7) == 0) {
        return strcmp(name + 7, "keys") == 0 ||
                       files_number_parse(&number, name + 7, SNAPSHOT_SUFFIX)
                   ? LOBBY_FILE_SEALED
                   : 0;
    }
    int is_log = strncmp(name, "log/", 4) == 0 &&
                 (strcmp(name + 4, "head") == 0 || files_number_parse(&number, name + 4, ".log"));
    int is_bundle = strncmp(name, "bundles/", 8) == 0 && strlen(name + 8) == 64 &&
                    strspn(name + 8, "0123456789abcdef") == 64;
    return is_log || is_bundle ? LOBBY_FILE_CLEAR : 0;
}

sentinel_status lobby_folders_make(int dir_fd) {
    static const char *const names[] = {"log", "bundles", "snapshots", "spool", "texts"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (mkdirat(dir_fd, names[i], 0700) != 0) {
            return SENTINEL_IO_WRITE;
        }
    }
    return SENTINEL_OK;
}
