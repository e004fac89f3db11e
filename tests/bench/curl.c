/* The rival: libcurl over OpenSSL, SHA-1 of libcrypto, at its best settings. One handle
   for all calls: it keeps the connection, the session cache and the parsed roots
   (CURLOPT_CA_CACHE_TIMEOUT, a day by default). TCP_NODELAY is its default. HTTP/1.1, as
   the server speaks nothing else. No JSON parser is linked: the reply's RetCode is
   searched for, which is the cheapest check there is. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdio.h>

typedef struct parameter { const char *name, *value; } parameter;

static CURL *handle;
static char stop_time[24], reply[4096];
static size_t reply_len;
static bench b;

static size_t take(char *bytes, size_t size, size_t count, void *user)
{
    size_t len = size * count;
    (void)user;
    if (len >= sizeof reply - reply_len) return 0;
    memcpy(reply + reply_len, bytes, len);
    reply_len += len;
    reply[reply_len] = '\0';
    return len;
}

/* In the order of the names, which is the order that is signed. */
static const parameter *parameters(size_t *count)
{
    static parameter list[] = {
        { "Action", "UpdateCompShareStopScheduler" }, { "ProjectId", BENCH_PROJECT }, { "PublicKey", NULL }, { "Region",
            BENCH_REGION },
        { "SchedulerStopTime", stop_time }, { "UHostId", BENCH_UHOST }, { "Zone", BENCH_ZONE }
    };
    list[2].value = b.public_key;
    *count = sizeof list / sizeof list[0];
    return list;
}

static char *put(char *at, const char *text)
{
    size_t len = strlen(text);
    memcpy(at, text, len + 1);
    return at + len;
}

/* RFC 3986's unreserved characters stay; every other byte is escaped. */
static char *put_escaped(char *at, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-._~", c) != NULL) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = digits[c >> 4];
        *at++ = digits[c & 15];
    }
    *at = '\0';
    return at;
}

static void make_body(char *body)
{
    char text[1024], *at = text;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned i, len = 0;
    size_t count, n;
    const parameter *list = parameters(&count);
    for (n = 0; n < count; n++) {
        at = put(put(at, list[n].name), list[n].value);
        body = put_escaped(put(put(body, list[n].name), "="), list[n].value);
        body = put(body, "&");
    }
    at = put(at, b.private_key);
    (void)EVP_Digest(text, (size_t)(at - text), digest, &len, EVP_sha1(), NULL);
    body = put(body, "Signature=");
    for (i = 0; i < len; i++) {
        static const char digits[] = "0123456789abcdef";
        *body++ = digits[digest[i] >> 4];
        *body++ = digits[digest[i] & 15];
    }
    *body = '\0';
}

static bool call(void)
{
    static char body[2048];
    long http = 0;
    CURLcode code;
    make_body(body);
    reply_len = 0;
    reply[0] = '\0';
    (void)curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body);
    code = curl_easy_perform(handle);
    if (code == CURLE_OK) (void)curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &http);
    if (code == CURLE_OK && http == 200 && (strstr(reply, "\"RetCode\":0,") != NULL || strstr(reply,
        "\"RetCode\":0}") != NULL)) return true;
    (void)bench_fail(code != CURLE_OK ? curl_easy_strerror(code) : reply);
    return false;
}

/* The connection is not reused anyway: see CURLOPT_FRESH_CONNECT below. */
static bool anew(void)
{
    return true;
}

int main(int argc, char **argv)
{
    int status;
    if (!bench_arguments(&b, argc, argv)) return bench_fail("usage: curl URL CA_FILE CALLS keep|resume|full");
    (void)snprintf(stop_time, sizeof stop_time, "%lld", (long long)bench_stop_time());
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    handle = curl_easy_init();
    if (handle == NULL) return bench_fail("no handle");
    (void)curl_easy_setopt(handle, CURLOPT_URL, b.url);
    (void)curl_easy_setopt(handle, CURLOPT_CAINFO, b.ca_file);
    (void)curl_easy_setopt(handle, CURLOPT_CAPATH, NULL);       /* or every root is looked for there, too */
    (void)curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "https");
    (void)curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(handle, CURLOPT_SSL_SESSIONID_CACHE, b.resume || b.keep ? 1L : 0L);
    (void)curl_easy_setopt(handle, CURLOPT_FRESH_CONNECT, b.keep ? 0L : 1L);
    (void)curl_easy_setopt(handle, CURLOPT_FORBID_REUSE, b.keep ? 0L : 1L);
    (void)curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, 15000L);
    (void)curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take);
    status = bench_run(&b, call, anew);
    curl_easy_cleanup(handle);
    curl_global_cleanup();
    return status;
}
