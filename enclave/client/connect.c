/* From an address to an open channel: PROTOCOL.md, sections 1 to 3, 6 and 7. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* POLLRDHUP, struct ucred */
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bytes.h"
#include "check.h"
#include "client_internal.h"
#include "tls.h"

#define RECORD_BYTES_MAX 4096 /* of the handshake that is read at once */
#define RENEW_BEFORE_NS INT64_C(10000000000)

/* ---- Addresses ---------------------------------------------------------------- */

/* A decimal number without sign, blanks or leading zeros. 1: it is one. */
static int number_parse(uint32_t *number, const char **text) {
    uint64_t value = 0;
    const char *at = *text;
    if (at[0] < '0' || at[0] > '9' || (at[0] == '0' && at[1] >= '0' && at[1] <= '9')) {
        return 0;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
        if (value > UINT32_MAX) {
            return 0;
        }
    }
    *number = (uint32_t)value;
    *text = at;
    return 1;
}

sentinel_status client_address_parse(client_address *address, const char *text) {
    static const char unix_begin[] = "unix://", ring_begin[] = "shm://", vsock_begin[] = "vsock://";
    memset(address, 0, sizeof *address);
    const char *rest = NULL;
    if (strncmp(text, unix_begin, sizeof unix_begin - 1) == 0) {
        address->kind = CLIENT_UNIX;
        rest = text + sizeof unix_begin - 1;
    } else if (strncmp(text, ring_begin, sizeof ring_begin - 1) == 0) {
        address->kind = CLIENT_RING;
        rest = text + sizeof ring_begin - 1;
    } else if (strncmp(text, vsock_begin, sizeof vsock_begin - 1) == 0) {
        address->kind = CLIENT_VSOCK;
        rest = text + sizeof vsock_begin - 1;
        address->port = SENTINEL_VSOCK_PORT;
        if (!number_parse(&address->cid, &rest) ||
            (*rest == ':' && (rest++, !number_parse(&address->port, &rest))) || *rest != 0) {
            return SENTINEL_USAGE_ARGUMENT;
        }
        return SENTINEL_OK;
    }
    size_t size = rest != NULL ? strlen(rest) : 0;
    if (size == 0 || size >= sizeof address->path || rest[0] != '/') {
        return SENTINEL_USAGE_ARGUMENT;
    }
    memcpy(address->path, rest, size);
    return SENTINEL_OK;
}

/* ---- The socket ----------------------------------------------------------------- */

static sentinel_status failed(sentinel_client *client, sentinel_status status, int number) {
    client->facts.last_errno = number;
    return status;
}

static sentinel_status socket_open(sentinel_client *client, int64_t end_ns) {
    const client_address *address = &client->address;
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_vm far = {
        .svm_family = AF_VSOCK, .svm_cid = address->cid, .svm_port = address->port};
    int is_vsock = address->kind == CLIENT_VSOCK;
    memcpy(local.sun_path, address->path, sizeof address->path);
    client->fd = socket(is_vsock ? AF_VSOCK : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        return failed(client, SENTINEL_IO_OPEN, errno);
    }
    int flags = fcntl(client->fd, F_GETFL);
    if (flags < 0 || fcntl(client->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return failed(client, SENTINEL_IO_OPEN, errno);
    }
    int connected = is_vsock ? connect(client->fd, (const struct sockaddr *)&far, sizeof far)
                             : connect(client->fd, (const struct sockaddr *)&local, sizeof local);
    if (connected != 0 && errno != EINPROGRESS) {
        return failed(client, SENTINEL_IO_OPEN, errno);
    }
    if (connected != 0) {
        int error = 0;
        socklen_t size = sizeof error;
        SENTINEL_TRY(client_poll(client, POLLOUT, end_ns));
        if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
            return failed(client, SENTINEL_IO_OPEN, error);
        }
    }
    /* From here on every wait has its own flag, or a time of its own. */
    return fcntl(client->fd, F_SETFL, flags) == 0 ? SENTINEL_OK
                                                  : failed(client, SENTINEL_IO_OPEN, errno);
}

/* ---- TLS ------------------------------------------------------------------------- */

/* OpenSSL sees memory only: a write to a socket that is gone would be a signal. */
static sentinel_status tls_flush(sentinel_client *client, SSL *ssl, int64_t end_ns) {
    uint8_t bytes[RECORD_BYTES_MAX];
    int size;
    while ((size = BIO_read(SSL_get_wbio(ssl), bytes, sizeof bytes)) > 0) {
        SENTINEL_TRY(client_write(client, bytes, (size_t)size, end_ns));
    }
    return SENTINEL_OK;
}

static sentinel_status tls_fill(sentinel_client *client, SSL *ssl, int64_t end_ns) {
    uint8_t bytes[RECORD_BYTES_MAX];
    SENTINEL_TRY(client_poll(client, POLLIN, end_ns));
    ssize_t got = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return SENTINEL_OK;
    }
    if (got <= 0) {
        return failed(client, SENTINEL_IO_READ, got == 0 ? ECONNRESET : errno);
    }
    return BIO_write(SSL_get_rbio(ssl), bytes, (int)got) == got ? SENTINEL_OK : SENTINEL_IO_MEMORY;
}

/* After a step of OpenSSL that gave `result`: OK: again. */
static sentinel_status tls_step(sentinel_client *client, SSL *ssl, int result, int64_t end_ns) {
    int why = SSL_get_error(ssl, result);
    ERR_clear_error();
    SENTINEL_TRY(tls_flush(client, ssl, end_ns));
    if (why == SSL_ERROR_WANT_READ) {
        return tls_fill(client, ssl, end_ns);
    }
    return SENTINEL_CRYPTO_FAILED;
}

static int hex_digit(char digit) {
    return digit >= '0' && digit <= '9' ? digit - '0'
                                        : (digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1);
}

/* The daemon's key is made at each boot, and so is the file. */
static sentinel_status pin_get(sentinel_client *client, uint8_t pin32[32]) {
    if (client->pin_file == NULL) {
        memcpy(pin32, client->options.pin32, 32);
        return SENTINEL_OK;
    }
    char text[66] = {0};
    int fd = open(client->pin_file, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text);
    int number = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (got < 0) {
        return failed(client, SENTINEL_IO_OPEN, number);
    }
    if (got < 64 || (got == 65 && text[64] != '\n') || got > 65) {
        return SENTINEL_FORMAT_SIZE;
    }
    for (unsigned i = 0; i < 32; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return SENTINEL_FORMAT_TEXT;
        }
        pin32[i] = (uint8_t)(high << 4 | low);
    }
    return SENTINEL_OK;
}

static sentinel_status tls_shake(sentinel_client *client, SSL *ssl, int64_t end_ns) {
    uint8_t key32[32], hash32[32], pin32[32];
    int result;
    SSL_set_connect_state(ssl);
    while ((result = SSL_do_handshake(ssl)) != 1) {
        SENTINEL_TRY(tls_step(client, ssl, result, end_ns));
    }
    SENTINEL_TRY(tls_peer_key(key32, ssl));
    SENTINEL_TRY(pin_get(client, pin32));
    tls_spki_hash(hash32, key32);
    /* Before HELLO: another daemon learns our public key, and nothing else. */
    return bytes_equal(hash32, pin32, 32) ? SENTINEL_OK : SENTINEL_CRYPTO_VERIFY;
}

static sentinel_status tls_greet(sentinel_client *client, SSL *ssl, const sentinel_hello *hello,
                                 sentinel_welcome *welcome, int64_t end_ns) {
    int result;
    while ((result = SSL_write(ssl, hello, sizeof *hello)) <= 0) {
        SENTINEL_TRY(tls_step(client, ssl, result, end_ns));
    }
    SENTINEL_TRY(tls_flush(client, ssl, end_ns));
    for (size_t got = 0; got < sizeof *welcome; got += (size_t)result) {
        while ((result = SSL_read(ssl, (uint8_t *)welcome + got, (int)(sizeof *welcome - got))) <=
               0) {
            SENTINEL_TRY(tls_step(client, ssl, result, end_ns));
        }
    }
    /* The daemon never speaks unasked: nothing may stand behind WELCOME. */
    return SSL_has_pending(ssl) == 0 && BIO_ctrl_pending(SSL_get_rbio(ssl)) == 0
               ? SENTINEL_OK
               : SENTINEL_FORMAT_SIZE;
}

/* ---- WELCOME, and what follows from it ---------------------------------------------- */

static void hello_make(const sentinel_client *client, sentinel_hello *hello) {
    memset(hello, 0, sizeof *hello);
    memcpy(hello->magic, "SENTHELO", sizeof hello->magic);
    hello->version = SENTINEL_PROTOCOL_VERSION;
    hello->role = client->options.role;
    hello->agent = client->options.agent;
    hello->key = client->options.key;
    memcpy(hello->engine_id32, client->options.engine_id32, 32);
}

static sentinel_status welcome_check(const sentinel_client *client,
                                     const sentinel_welcome *welcome) {
    if (memcmp(welcome->magic, "SENTWELC", sizeof welcome->magic) != 0) {
        return SENTINEL_FORMAT_MAGIC;
    }
    if (welcome->version != SENTINEL_PROTOCOL_VERSION) {
        return SENTINEL_FORMAT_VERSION;
    }
    if (!bytes_are_zero(welcome->reserved, sizeof welcome->reserved)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    SENTINEL_TRY((sentinel_status)welcome->status);
    if (!bytes_are_zero(client->options.engine_id32, 32) &&
        !bytes_equal(client->options.engine_id32, welcome->engine_id32, 32)) {
        return SENTINEL_POLICY_ENGINE;
    }
    return welcome->role == client->options.role && welcome->agent == client->options.agent &&
                   welcome->queue != 0 &&
                   welcome->transport ==
                       (client->tls != NULL ? SENTINEL_TRANSPORT_SEALED : SENTINEL_TRANSPORT_PEER)
               ? SENTINEL_OK
               : SENTINEL_FORMAT_RANGE;
}

static sentinel_status channel_begin(sentinel_client *client, SSL *ssl,
                                     const sentinel_welcome *welcome) {
    sentinel_exporter_context context = {.channel = welcome->channel,
                                         .epoch = welcome->epoch,
                                         .agent = welcome->agent,
                                         .role = welcome->role};
    memcpy(context.engine_id32, welcome->engine_id32, 32);
    for (int direction = SENTINEL_DIRECTION_REQUEST; direction <= SENTINEL_DIRECTION_ANSWER;
         direction++) {
        int seals = direction == SENTINEL_DIRECTION_REQUEST;
        sentinel_channel_key key;
        context.direction = (uint16_t)direction;
        if (ssl != NULL) {
            SENTINEL_TRY(tls_channel_key(&key, ssl, &context));
        }
        sentinel_status status =
            channel_side_begin(seals ? &client->to : &client->from, ssl != NULL ? &key : NULL);
        bytes_wipe(&key, sizeof key);
        SENTINEL_TRY(status);
    }
    return SENTINEL_OK;
}

/* The facts of the session, and when it has to be renewed: by our own clock, as
 * the daemon's may differ from ours, but never later than the longest hour. */
static void session_note(sentinel_client *client, const sentinel_welcome *welcome) {
    int64_t lasts = welcome->until_ns - client_wall_ns();
    lasts = lasts > SENTINEL_CHANNEL_NS ? SENTINEL_CHANNEL_NS : lasts;
    int64_t before = lasts / 4 < RENEW_BEFORE_NS ? lasts / 4 : RENEW_BEFORE_NS;
    client->renew_ns = client_running_ns() + lasts - before;
    memcpy(client->facts.engine_id32, welcome->engine_id32, 32);
    client->facts.epoch = welcome->epoch;
    client->facts.channel = welcome->channel;
    client->facts.until_ns = welcome->until_ns;
    client->facts.agent = welcome->agent;
    client->facts.transport = welcome->transport;
    client->facts.connects++;
    client->next_id = 1;
    client->in_size = client->in_opened = 0;
}

static sentinel_status greet(sentinel_client *client, int64_t end_ns) {
    sentinel_hello hello;
    sentinel_welcome welcome;
    hello_make(client, &hello);
    if (client->tls == NULL) {
        SENTINEL_TRY(client_write(client, &hello, sizeof hello, end_ns));
        SENTINEL_TRY(client_read(client, &welcome, sizeof welcome, end_ns));
        SENTINEL_TRY(welcome_check(client, &welcome));
        SENTINEL_TRY(channel_begin(client, NULL, &welcome));
        session_note(client, &welcome);
        return SENTINEL_OK;
    }
    SSL *ssl = SSL_new(client->tls);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    if (ssl == NULL || in == NULL || out == NULL) {
        SSL_free(ssl);
        BIO_free(in);
        BIO_free(out);
        return SENTINEL_CRYPTO_INIT;
    }
    SSL_set_bio(ssl, in, out);
    (void)BIO_set_mem_eof_return(in, -1); /* empty is no end: more will come */
    sentinel_status status = tls_shake(client, ssl, end_ns);
    if (status == SENTINEL_OK) {
        status = tls_greet(client, ssl, &hello, &welcome, end_ns);
    }
    if (status == SENTINEL_OK) {
        status = welcome_check(client, &welcome);
    }
    if (status == SENTINEL_OK) {
        status = channel_begin(client, ssl, &welcome);
    }
    SSL_free(ssl); /* with its keys */
    ERR_clear_error();
    if (status == SENTINEL_OK) {
        session_note(client, &welcome);
    }
    return status;
}

/* Asks for a ring, and maps it. */
static sentinel_status ring_begin(sentinel_client *client, int64_t end_ns) {
    uint8_t byte = SENTINEL_RING_ASK;
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    SENTINEL_TRY(client_write(client, &byte, 1, end_ns));
    SENTINEL_TRY(client_poll(client, POLLIN, end_ns));
    ssize_t got = recvmsg(client->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got != 1) {
        return failed(client, SENTINEL_IO_READ, got == 0 ? ECONNRESET : errno);
    }
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int descriptor = -1;
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof descriptor)) {
        memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    }
    sentinel_status status = SENTINEL_USAGE_CAPACITY;
    if (byte == SENTINEL_RING_ASK && descriptor >= 0) {
        status = sentinel_ring_attach(&client->ring, descriptor);
    }
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    client->facts.is_ring = status == SENTINEL_OK;
    return status;
}

sentinel_status client_connect(sentinel_client *client, int64_t end_ns) {
    client_drop(client);
    client->facts.last_errno = 0;
    sentinel_status status = socket_open(client, end_ns);
    if (status == SENTINEL_OK) {
        status = greet(client, end_ns);
    }
    if (status == SENTINEL_OK && client->address.kind == CLIENT_RING) {
        status = ring_begin(client, end_ns);
    }
    if (status != SENTINEL_OK) {
        client_drop(client);
    }
    return status;
}

void client_drop(sentinel_client *client) {
    if (client->fd >= 0) {
        (void)close(client->fd);
    }
    client->fd = -1;
    client->receive_ns = 0;
    client->facts.is_ring = 0;
    channel_side_end(&client->to);
    channel_side_end(&client->from);
    sentinel_ring_close(&client->ring);
    client->in_size = client->in_opened = 0;
    bytes_wipe(client->out, sizeof client->out);
}
