/* No character that an agent can send changes anything but its own field.
 *
 * The input makes an order of one of the six venues, with its rows, key and
 * whatever else rendering takes, and texts that try to break out: quotes, "&",
 * line ends, percent signs, other bytes. What the check of orders lets through
 * has none of them. What renders is finished, read by a parser of this file's
 * own, and rendered once more with other texts of the same sizes: the same
 * fields must be found, and only those that have the agent's texts may differ.
 *
 * Texts that the check refused are put into an order that it took, too: then
 * rendering refuses them, or they stand in their own field all the same. */
#include "fuzz_venue_make.h"

static scene first, second, clean;

/* Renders, finishes and reads; the reason of a refusal. */
static sentinel_reason run(scene *s) {
    sentinel_signature signature = {.algorithm = key.algorithm,
                                    .size = key.venue == SENTINEL_VENUE_HYPERLIQUID ? 64 : 32};
    memset(signature.bytes, 0x5a, signature.size);
    point_at_rows(s);
    name_orders(s);
    sentinel_reason reason = sentinel_venue_render(&s->request, &s->render);
    if (reason != SENTINEL_REASON_NONE) {
        NEED(reason == SENTINEL_REASON_UNSUPPORTED || reason == SENTINEL_REASON_ORDER_TEXT ||
             reason == SENTINEL_REASON_TICK || reason == SENTINEL_REASON_LOT ||
             reason == SENTINEL_REASON_EXPIRY || reason == SENTINEL_REASON_NONCE ||
             reason == SENTINEL_REASON_RENDER_FAILED);
        return reason;
    }
    sentinel_span signed_ = s->request.string_to_sign;
    NEED(signed_.size > 0 && signed_.offset + signed_.size <= s->request.text_size);
    NEED(sentinel_venue_finish(&s->request, &s->render, &signature) == SENTINEL_REASON_NONE);
    NEED(memcmp(&signed_, &s->request.string_to_sign, sizeof signed_) == 0);
    parse_request(&s->fields, &s->request);
    return SENTINEL_REASON_NONE;
}

/* ---- What must hold ---------------------------------------------------------- */

/* The field says the text, in one of the forms that venues have for it. */
static int says(const scene *s, unsigned text, const parsed_field *field) {
    const agent_text *own = &s->texts[text];
    char form[VALUE_MAX_BYTES];
    size_t size = own->at != NULL ? *own->size : 0, count = 0;
    if (own->at == NULL || size == 0) {
        return 0;
    }
    if (field->size == size && memcmp(field->value, own->at, size) == 0) {
        return 1;
    }
    for (size_t i = 0; i < field->size; i++) { /* without a UUID's hyphens */
        int hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (field->size != 36 || size != 32 || !hyphen || field->value[i] != '-') {
            form[count++] = field->value[i];
        }
    }
    if (count == size + 2 && memcmp(form, "0x", 2) == 0 &&
        memcmp(form + 2, own->at, size) == 0) { /* Hyperliquid's names */
        return 1;
    }
    if (text == ADDRESS && count > size && form[size] == ':') { /* OKX: address and memo */
        const agent_text *memo = &s->texts[MEMO];
        return count == size + 1 + *memo->size && memcmp(form, own->at, size) == 0 &&
               memcmp(form + size + 1, memo->at, *memo->size) == 0;
    }
    if (count != size) {
        return 0;
    }
    for (size_t i = 0; i < size; i++) { /* Hyperliquid's addresses are in lower case */
        char c = own->at[i];
        char lower = text != CLIENT && c >= 'A' && c <= 'F' ? (char)(c + 32) : c;
        if (form[i] != lower) {
            return 0;
        }
    }
    return 1;
}

static int is_home(unsigned text, const char *name) {
    for (size_t i = 0; i < 14 && homes[text][i] != NULL; i++) {
        if (strcmp(homes[text][i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The same fields, and only the agent's texts differ, each in its own. */
static void need_same_fields(void) {
    NEED(first.fields.count == second.fields.count);
    for (unsigned i = 0; i < first.fields.count; i++) {
        const parsed_field *a = &first.fields.fields[i], *b = &second.fields.fields[i];
        NEED(strcmp(a->name, b->name) == 0 && a->kind == b->kind);
        int found = a->size == b->size && memcmp(a->value, b->value, a->size) == 0;
        for (unsigned text = 0; text < TEXTS && !found; text++) {
            found = is_home(text, last_name(a)) && says(&first, text, a) && says(&second, text, b);
        }
        if (!found) {
            fprintf(stderr, "%s: \"%.*s\" or \"%.*s\"\n", a->name, a->size, a->value, b->size,
                    b->value);
        }
        NEED(found);
    }
}

/* Whatever the agent said is there: nothing was dropped in silence. */
static void need_said(const scene *s) {
    const sentinel_order *order = &s->order;
    const sentinel_target *target = target_of(&first.order);
    int is_place = order->header.action == SENTINEL_ACTION_PLACE;
    int wanted[TEXTS] = {
        [CLIENT] = is_place && has(s, SENTINEL_PRESENT_LAB_CLIENT_ID),
        [TARGET] = target != NULL && target->by != SENTINEL_TARGET_ACTION && target->by != 0,
        [ADDRESS] = order->header.action == SENTINEL_ACTION_WITHDRAW,
        [DESTINATION] = order->header.action == SENTINEL_ACTION_TRANSFER &&
                        order->transfer.destination_size > 0,
    };
    wanted[MEMO] = wanted[ADDRESS] && has(s, SENTINEL_PRESENT_MEMO) &&
                   key.venue != SENTINEL_VENUE_OKX; /* there it stands behind the address */
    for (unsigned text = 0; text < TEXTS; text++) {
        int found = !wanted[text];
        for (unsigned i = 0; i < s->fields.count && !found; i++) {
            const parsed_field *field = &s->fields.fields[i];
            found = is_home(text, last_name(field)) && says(s, text, field);
        }
        NEED(found);
    }
}

typedef struct joined {
    size_t size;
    char text[2 * SENTINEL_REQUEST_TEXT_BYTES];
} joined;

static void join(joined *to, const char *text, size_t size) {
    NEED(to->size + size <= sizeof to->text);
    memcpy(to->text + to->size, text, size);
    to->size += size;
}

static void join_text(joined *to, const char *text) {
    join(to, text, strlen(text));
}

static void join_header(joined *to, const scene *s, const char *name) {
    const parsed_field *field = field_of(&s->fields, name);
    if (field != NULL) {
        join(to, field->value, field->size);
    }
}

/* What is signed is what is sent, by the venue's own rule. */
static void need_signed(const scene *s) {
    static joined expected;
    const sentinel_request *r = &s->request;
    const char *path = span_of(r, r->path), *query = span_of(r, r->query);
    const char *body = span_of(r, r->body);
    char numbers[64];
    expected.size = 0;
    switch (key.venue) {
    case SENTINEL_VENUE_BYBIT:
        join_header(&expected, s, "header.X-BAPI-TIMESTAMP");
        join_header(&expected, s, "header.X-BAPI-API-KEY");
        join_header(&expected, s, "header.X-BAPI-RECV-WINDOW");
        join(&expected, query, r->query.size);
        join(&expected, body, r->body.size);
        break;
    case SENTINEL_VENUE_OKX:
        join_header(&expected, s, "header.OK-ACCESS-TIMESTAMP");
        join_text(&expected, r->method == SENTINEL_METHOD_GET ? "GET" : "POST");
        join(&expected, path, r->path.size);
        join(&expected, "?", r->query.size > 0);
        join(&expected, query, r->query.size);
        join(&expected, body, r->body.size);
        break;
    case SENTINEL_VENUE_DERIBIT:
        snprintf(numbers, sizeof numbers, "%lld\n%llu\nGET\n", (long long)s->render.timestamp_ms,
                 (unsigned long long)s->render.nonce);
        join_text(&expected, numbers);
        join(&expected, path, r->path.size);
        join(&expected, "?", r->query.size > 0);
        join(&expected, query, r->query.size);
        join_text(&expected, "\n\n");
        NEED(r->body.size == 0 && r->method == SENTINEL_METHOD_GET);
        break;
    case SENTINEL_VENUE_HYPERLIQUID: /* a digest: compared below */
        NEED(r->prehashed && r->string_to_sign.size == 32 && r->query.size == 0);
        return;
    default: /* Binance: the query before the signature */
        NEED(r->body.size == 0 && r->query.size > r->string_to_sign.size);
        join(&expected, query, r->string_to_sign.size);
        NEED(memcmp(query + expected.size, "&signature=", 11) == 0);
    }
    NEED(!r->prehashed && expected.size == r->string_to_sign.size);
    NEED(memcmp(expected.text, span_of(r, r->string_to_sign), expected.size) == 0);
}

/* Other bytes are another digest, the same bytes the same one. */
static void need_other_digest(void) {
    const sentinel_request *a = &first.request, *b = &second.request;
    int same_body = a->body.size == b->body.size &&
                    memcmp(span_of(a, a->body), span_of(b, b->body), a->body.size) == 0;
    int same_digest = memcmp(span_of(a, a->string_to_sign), span_of(b, b->string_to_sign), 32) == 0;
    NEED(same_body == same_digest);
}

static sentinel_reason check(const scene *s) {
    sentinel_reason reason = SENTINEL_REASON_SUPPRESSED;
    uint32_t own = sentinel_order_bytes(s->order.header.action);
    size_t size = own != 0 ? own : sizeof s->order;
    NEED(sentinel_order_check(&reason, &s->order, size, environment) == SENTINEL_OK);
    return reason;
}

static int texts_fit(const scene *s) {
    for (unsigned i = 0; i < TEXTS; i++) {
        if (s->texts[i].at != NULL && *s->texts[i].size > s->texts[i].capacity) {
            return 0;
        }
    }
    return 1;
}

static int texts_are_safe(const scene *s) {
    for (unsigned i = 0; i < TEXTS; i++) {
        if (!is_safe(&s->texts[i])) {
            return 0;
        }
    }
    return 1;
}

static void copy_with_other_texts(scene *to, const scene *from) {
    to->order = from->order;
    to->render = from->render;
    find_texts(to);
    replace_texts(to);
}

/* What is only of `lab` does not pass anywhere else. */
static void need_environment(const scene *s) {
    const uint32_t lab = SENTINEL_PRESENT_LAB_TESTNET | SENTINEL_PRESENT_LAB_CLIENT_ID |
                         SENTINEL_PRESENT_LAB_NONCE | SENTINEL_PRESENT_LAB_EXPIRY |
                         SENTINEL_PRESENT_LAB_WAIVE;
    const sentinel_target *target = target_of(&first.order);
    NEED(environment == SENTINEL_ENVIRONMENT_LAB || !has(s, lab));
    NEED(environment == SENTINEL_ENVIRONMENT_LAB || target == NULL ||
         target->by != SENTINEL_TARGET_CLIENT_ID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    environment = (uint8_t)(1 + one_of(&input, 3));
    take_rows(&input);
    take_order(&input, &first.order);
    take_render(&input, &first.render, &first.order);
    find_texts(&first);
    sentinel_reason reason = check(&first);
    if (!texts_fit(&first)) {
        NEED(reason != SENTINEL_REASON_NONE);
        return 0;
    }
    if (reason != SENTINEL_REASON_NONE) {
        /* Only its texts are wrong: as if nobody had checked them. */
        copy_with_other_texts(&clean, &first);
        if (texts_are_safe(&first) || check(&clean) != SENTINEL_REASON_NONE) {
            return 0;
        }
    } else {
        NEED(texts_are_safe(&first));
        need_environment(&first);
    }
    if (run(&first) != SENTINEL_REASON_NONE) {
        return 0;
    }
    copy_with_other_texts(&second, &first);
    NEED(run(&second) == SENTINEL_REASON_NONE);
    need_same_fields();
    need_said(&first);
    need_said(&second);
    need_signed(&first);
    need_signed(&second);
    if (key.venue == SENTINEL_VENUE_HYPERLIQUID) {
        need_other_digest();
    }
    return 0;
}
