/* A finished request, read back: a strict parser of its own that shares
 * nothing with the renderers. Every field becomes a name with its place
 * ("body.orders[0].c", "query.symbol") and a value. */
#ifndef FUZZ_PARSE_H
#define FUZZ_PARSE_H

#include <sentinel/venue.h>
#include <stdio.h>

#include "fuzz_subject.h" /* NEED */

enum { FIELDS_MAX = 64, NAME_MAX_BYTES = 96, VALUE_MAX_BYTES = 768, DEPTH_MAX_JSON = 8 };

typedef struct parsed_field {
    char kind; /* 't' text, 'n' number, 'w' word (true, false, null) */
    uint16_t size;
    char name[NAME_MAX_BYTES];
    char value[VALUE_MAX_BYTES];
} parsed_field;

typedef struct parsed {
    unsigned count;
    parsed_field fields[FIELDS_MAX];
} parsed;

static int is_word_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static int is_key(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (!is_word_char(text[i]) && text[i] != '_' && text[i] != '-') {
            return 0;
        }
    }
    return size > 0;
}

/* A new field; a name that stands there already is a failure. */
static parsed_field *add_field(parsed *to, const char *where, const char *key, size_t size) {
    NEED(to->count < FIELDS_MAX);
    parsed_field *field = &to->fields[to->count];
    memset(field, 0, sizeof *field);
    int length = snprintf(field->name, sizeof field->name, "%s%.*s", where, (int)size, key);
    NEED(length > 0 && length < (int)sizeof field->name);
    for (unsigned i = 0; i < to->count; i++) {
        NEED(strcmp(to->fields[i].name, field->name) != 0);
    }
    to->count++;
    return field;
}

static void set_value(parsed_field *field, char kind, const char *value, size_t size) {
    NEED(size < VALUE_MAX_BYTES);
    field->kind = kind;
    field->size = (uint16_t)size;
    memcpy(field->value, value, size);
}

static void add_plain(parsed *to, const char *name, const char *value, size_t size) {
    set_value(add_field(to, name, "", 0), 't', value, size);
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* key=value, parted by "&"; values of unreserved characters and %XX. */
static void parse_query(parsed *to, const char *text, size_t size) {
    const char *end = text + size;
    while (text < end) {
        const char *stop = memchr(text, '&', (size_t)(end - text));
        const char *equals = memchr(text, '=', (size_t)(end - text));
        NEED(stop == NULL || stop + 1 < end);
        stop = stop != NULL ? stop : end;
        NEED(equals != NULL && equals < stop && is_key(text, (size_t)(equals - text)));
        parsed_field *field = add_field(to, "query.", text, (size_t)(equals - text));
        char value[VALUE_MAX_BYTES];
        size_t count = 0;
        for (text = equals + 1; text < stop; text++) {
            char c = *text;
            NEED(count < sizeof value);
            if (c == '%') {
                NEED(stop - text > 2 && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0);
                c = (char)(hex_digit(text[1]) << 4 | hex_digit(text[2]));
                text += 2;
                NEED(!is_word_char(c)); /* nothing is encoded that need not be */
            } else {
                NEED(is_word_char(c) || (c != 0 && strchr("-._~", c) != NULL));
            }
            value[count++] = c;
        }
        set_value(field, 't', value, count);
        text = stop + 1;
    }
}

typedef struct json {
    parsed *to;
    const char *at;
    const char *end;
} json;

static char json_peek(const json *in) {
    NEED(in->at < in->end);
    return *in->at;
}

static void json_take(json *in, char c) {
    NEED(json_peek(in) == c);
    in->at++;
}

/* A text without escapes. */
static size_t json_text(json *in, const char **text) {
    json_take(in, '"');
    *text = in->at;
    while (json_peek(in) != '"') {
        NEED(*in->at >= 0x20 && *in->at < 0x7f && *in->at != '\\');
        in->at++;
    }
    size_t size = (size_t)(in->at - *text);
    json_take(in, '"');
    return size;
}

static void json_value(json *in, const char *name, unsigned depth);

static void json_members(json *in, const char *name, unsigned depth) {
    char inner[NAME_MAX_BYTES];
    int is_list = json_peek(in) == '[';
    char close = is_list ? ']' : '}';
    unsigned index = 0;
    in->at++;
    while (json_peek(in) != close) {
        const char *key = NULL;
        size_t size = 0;
        if (index > 0) {
            json_take(in, ',');
            NEED(json_peek(in) != close);
        }
        if (is_list) {
            size = (size_t)snprintf(inner, sizeof inner, "%s[%u]", name, index);
        } else {
            size = json_text(in, &key);
            NEED(is_key(key, size));
            json_take(in, ':');
            size = (size_t)snprintf(inner, sizeof inner, "%s.%.*s", name, (int)size, key);
        }
        NEED(size < sizeof inner);
        json_value(in, inner, depth + 1);
        index++;
    }
    in->at++;
    NEED(index > 0); /* nothing that we send is empty */
}

/* Compact JSON: no blank, no escape, whole numbers without sign. */
static void json_value(json *in, const char *name, unsigned depth) {
    static const char *const words[] = {"true", "false", "null"};
    NEED(depth < DEPTH_MAX_JSON);
    if (json_peek(in) == '{' || json_peek(in) == '[') {
        json_members(in, name, depth);
        return;
    }
    parsed_field *field = add_field(in->to, name, "", 0);
    const char *text = in->at;
    if (*text == '"') {
        size_t size = json_text(in, &text);
        set_value(field, 't', text, size);
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        size_t size = strlen(words[i]);
        if ((size_t)(in->end - text) >= size && memcmp(text, words[i], size) == 0) {
            set_value(field, 'w', text, size);
            in->at += size;
            return;
        }
    }
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
        in->at++;
    }
    NEED(in->at > text && (*text != '0' || in->at == text + 1));
    set_value(field, 'n', text, (size_t)(in->at - text));
}

static const char *span_of(const sentinel_request *request, sentinel_span span) {
    NEED((size_t)span.offset + span.size <= request->text_size);
    return request->text + span.offset;
}

static void parse_headers(parsed *to, const sentinel_request *request) {
    NEED(request->header_count <= SENTINEL_REQUEST_HEADERS_MAX);
    for (uint8_t i = 0; i < request->header_count; i++) {
        sentinel_span name = request->header_names[i], value = request->header_values[i];
        const char *text = span_of(request, value);
        NEED(is_key(span_of(request, name), name.size) && value.size > 0);
        for (size_t j = 0; j < value.size; j++) {
            NEED(text[j] >= 0x20 && text[j] < 0x7f);
        }
        NEED(text[0] != ' ' && text[value.size - 1] != ' ');
        parsed_field *field = add_field(to, "header.", span_of(request, name), name.size);
        set_value(field, 't', text, value.size);
    }
}

/* Letters, digits and these. */
static void need_chars(const char *text, size_t size, const char *others) {
    for (size_t i = 0; i < size; i++) {
        NEED(is_word_char(text[i]) || (text[i] != 0 && strchr(others, text[i]) != NULL));
    }
}

/* The whole request. Aborts on whatever is not strict. */
static void parse_request(parsed *to, const sentinel_request *request) {
    char method[1] = {(char)('0' + request->method)};
    const char *path = span_of(request, request->path);
    const char *query = span_of(request, request->query);
    to->count = 0;
    NEED(request->method > SENTINEL_METHOD_NONE && request->method < SENTINEL_METHOD_COUNT);
    NEED(request->text_size <= SENTINEL_REQUEST_TEXT_BYTES && !request->overflow);
    add_plain(to, "method", method, 1);
    add_plain(to, "host", span_of(request, request->host), request->host.size);
    need_chars(span_of(request, request->host), request->host.size, ".-");
    add_plain(to, "path", path, request->path.size);
    NEED(request->path.size > 0 && path[0] == '/');
    need_chars(path, request->path.size, "/-_");
    parse_headers(to, request);
    parse_query(to, query, request->query.size);
    if (request->body.size > 0) {
        json in = {to, span_of(request, request->body), NULL};
        in.end = in.at + request->body.size;
        json_value(&in, "body", 0);
        NEED(in.at == in.end);
    }
}

static const parsed_field *field_of(const parsed *in, const char *name) {
    for (unsigned i = 0; i < in->count; i++) {
        if (strcmp(in->fields[i].name, name) == 0) {
            return &in->fields[i];
        }
    }
    return NULL;
}

/* The name without its place: "c" of "body.orders[0].c". */
static const char *last_name(const parsed_field *field) {
    const char *dot = strrchr(field->name, '.');
    return dot != NULL ? dot + 1 : field->name;
}

#endif
