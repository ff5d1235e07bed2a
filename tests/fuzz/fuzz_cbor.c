/* CBOR from a security module: any bytes are taken in their one form or refused,
 * and what is taken is written again as the same bytes. */
#include <stdlib.h>

#include "../../enclave/daemon/cbor.c"

/* Writes an item as it was read: containers by their heads, what is inside follows. */
static void copy(cbor_writer *to, const uint8_t *bytes, size_t size) {
    cbor_reader from = {bytes, size};
    while (from.left > 0) {
        cbor_item item;
        if (take_head(&from, &item) != SENTINEL_OK) {
            abort();
        }
        if (item.type == CBOR_BYTES) {
            cbor_put_bytes(to, item.bytes, item.size);
        } else {
            cbor_put(to, item.type, item.number);
            if (item.type == CBOR_TEXT) {
                put_raw(to, item.bytes, item.size);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cbor_reader reader = {data, size};
    cbor_item item;
    if (cbor_take(&reader, &item) != SENTINEL_OK) {
        return 0;
    }
    size_t taken = size - reader.left;
    uint8_t *again = malloc(taken);
    cbor_writer to = {.at = again, .capacity = taken};
    copy(&to, data, taken);
    if (to.overflow || to.size != taken || memcmp(again, data, taken) != 0) {
        abort();
    }
    free(again);
    cbor_want wants[] = {{.key = "document"}, {.key = "Error"}, {.key = "a"}};
    if (cbor_find(wants, 3, &item) == SENTINEL_OK) {
        for (size_t i = 0; i < 3; i++) {
            const cbor_item *found = &wants[i].item;
            if (found->size != 0 &&
                (found->bytes < data || found->bytes + found->size > data + size)) {
                abort();
            }
        }
    }
    return 0;
}
