/* The floor: what BearSSL itself costs, with as little as possible around it. br_sslio
   over a blocking socket, the cipher suites of compshare.h, roots compiled in (roots.h,
   made by bench.py), requests and replies in fixed buffers, no deadline and no check that
   is not needed to know that RetCode was 0. CA_FILE is not read. Not a client to use. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <bearssl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "roots.h"

static br_ssl_client_context tls;
static br_x509_minimal_context x509;
static br_sslio_context io;
static br_ssl_session_parameters session;
static unsigned char record[BR_SSL_BUFSIZE_MONO];
static char host[256], port[6] = "443", stop_time[11], request[2048], reply[4096];
static int fd = -1;
static bool offer;
static bench b;

static int low_read(void *user, unsigned char *dst, size_t len)
{
    ssize_t n = recv(fd, dst, len, 0);
    (void)user;
    return n > 0 ? (int)n : -1;
}

static int low_write(void *user, const unsigned char *src, size_t len)
{
    ssize_t n = send(fd, src, len, MSG_NOSIGNAL);
    (void)user;
    return n > 0 ? (int)n : -1;
}

static bool connect_host(void)
{
    struct addrinfo hints, *list, *at;
    int one = 1;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, port, &hints, &list) != 0) return false;
    for (at = list; at != NULL; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) == 0) break;
        if (fd >= 0) close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    return fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0;
}

static bool start(void)
{
    static const uint16_t suites[] = {
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    };
    br_ssl_engine_context *engine = &tls.eng;
    unsigned char seed[32];
    br_ssl_client_zero(&tls);
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(engine, suites, sizeof suites / sizeof suites[0]);
    br_ssl_engine_set_default_aes_gcm(engine);
    br_ssl_engine_set_default_chapol(engine);
    br_ssl_engine_set_default_rsavrfy(engine);
    br_ssl_engine_set_default_ecdsa(engine);
    br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
    br_ssl_engine_set_hash(engine, br_sha384_ID, &br_sha384_vtable);
    br_ssl_engine_set_hash(engine, br_sha512_ID, &br_sha512_vtable);
    br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
    br_ssl_engine_set_prf_sha384(engine, &br_tls12_sha384_prf);
    br_x509_minimal_init(&x509, &br_sha256_vtable, roots, sizeof roots / sizeof roots[0]);
    br_x509_minimal_set_hash(&x509, br_sha256_ID, &br_sha256_vtable);
    br_x509_minimal_set_hash(&x509, br_sha384_ID, &br_sha384_vtable);
    br_x509_minimal_set_hash(&x509, br_sha512_ID, &br_sha512_vtable);
    br_x509_minimal_set_rsa(&x509, br_ssl_engine_get_rsavrfy(engine));
    br_x509_minimal_set_ecdsa(&x509, br_ssl_engine_get_ec(engine), br_ssl_engine_get_ecdsa(engine));
    br_ssl_engine_set_x509(engine, &x509.vtable);
    br_ssl_engine_set_buffer(engine, record, sizeof record, 0);
    if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed) return false;
    br_ssl_engine_inject_entropy(engine, seed, sizeof seed);
    if (offer) br_ssl_engine_set_session_parameters(engine, &session);
    if (!br_ssl_client_reset(&tls, host, offer) || !connect_host()) return false;
    br_sslio_init(&io, engine, low_read, NULL, low_write, NULL);
    return true;
}

static char *put(char *at, const char *text)
{
    size_t len = strlen(text);
    memcpy(at, text, len);
    return at + len;
}

/* No value needs escaping but for the public key's at sign. */
static char *put_escaped(char *at, const char *text)
{
    for (; *text != '\0'; text++)
        if (*text == '@') at = put(at, "%40");
        else *at++ = *text;
    return at;
}

static size_t make_request(void)
{
    static const char digits[] = "0123456789abcdef";
    char names[512], body[512], *at = names, *end = body, length[4];
    unsigned char digest[br_sha1_SIZE];
    br_sha1_context sha1;
    size_t i, len;
    at = put(at, "ActionUpdateCompShareStopSchedulerProjectId" BENCH_PROJECT "PublicKey");
    at = put(put(at, b.public_key), "Region" BENCH_REGION "SchedulerStopTime");
    at = put(put(at, stop_time), "UHostId" BENCH_UHOST "Zone" BENCH_ZONE);
    at = put(at, b.private_key);
    br_sha1_init(&sha1);
    br_sha1_update(&sha1, names, (size_t)(at - names));
    br_sha1_out(&sha1, digest);
    end = put_escaped(put(end, "Action=UpdateCompShareStopScheduler&ProjectId=" BENCH_PROJECT "&PublicKey="),
        b.public_key);
    end = put(put(put(end, "&Region=" BENCH_REGION "&SchedulerStopTime="), stop_time),
        "&UHostId=" BENCH_UHOST "&Zone=" BENCH_ZONE "&Signature=");
    for (i = 0; i < sizeof digest; i++) {
        *end++ = digits[digest[i] >> 4];
        *end++ = digits[digest[i] & 15];
    }
    len = (size_t)(end - body);         /* three digits */
    length[0] = (char)('0' + len / 100);
    length[1] = (char)('0' + len / 10 % 10);
    length[2] = (char)('0' + len % 10);
    length[3] = '\0';
    at = put(put(put(put(request, "POST / HTTP/1.1\r\nHost: "), host), ":"), port);
    at = put(put(put(at, "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "), length),
        "\r\n\r\n");
    memcpy(at, body, len);
    return (size_t)(at - request) + len;
}

/* Where the body begins, and in *length how long its header says it is; NULL: not yet. */
static const char *body_of(size_t *length)
{
    const char *line = reply, *end;
    *length = 0;
    for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        if (line[0] == '\r') return end + 1;
        if (strncmp(line, "Content-Length: ", 16) == 0) *length = (size_t)strtol(line + 16, NULL, 10);
    }
    return NULL;
}

static bool receive(void)
{
    size_t len = 0, length;
    const char *body;
    do {
        int n = br_sslio_read(&io, reply + len, sizeof reply - 1 - len);
        if (n <= 0) return false;
        reply[len += (size_t)n] = '\0';
        body = body_of(&length);
    } while (body == NULL || (size_t)(body - reply) + length > len);
    body = strncmp(reply, "HTTP/1.1 200 ", 13) == 0 ? strstr(body, "\"RetCode\":0") : NULL;
    return body != NULL && (body[11] == ',' || body[11] == '}');
}

static bool call(void)
{
    size_t len;
    if (fd < 0 && !start()) return bench_fail("floor: no connection"), false;
    len = make_request();
    if (br_sslio_write_all(&io, request, len) == 0 && br_sslio_flush(&io) == 0 && receive()) return true;
    return bench_fail("floor: failed"), false;
}

static bool anew(void)
{
    offer = b.resume;
    if (offer) br_ssl_engine_get_session_parameters(&tls.eng, &session);
    close(fd);
    fd = -1;
    return true;
}

int main(int argc, char **argv)
{
    char *at;
    int64_t when;
    int i, status;
    if (!bench_arguments(&b, argc, argv) || strncmp(b.url, "https://", 8) != 0 || strlen(b.url) >= sizeof host)
        return bench_fail("usage: floor URL - CALLS keep|resume|full");
    (void)put(host, b.url + 8);
    at = strchr(host, ':');
    if (at != NULL && strlen(at + 1) < sizeof port) {
        memcpy(port, at + 1, strlen(at + 1) + 1);
        *at = '\0';
    }
    for (when = bench_stop_time(), i = 9; i >= 0; i--, when /= 10) stop_time[i] = (char)('0' + when % 10);
    status = bench_run(&b, call, anew);
    close(fd);
    return status;
}
