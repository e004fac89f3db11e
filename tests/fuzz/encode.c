/* Rooms params and encode: what is refused, the order, the form body in pieces of
   any size, its length and the signature, against libcurl's decoder and libcrypto.

   Input: seven sizes of pieces, a byte of choices, then parameters: each a byte of its
   kind, its name, NUL, its value, NUL. */

#include "fuzz.h"
#include <curl/curl.h>
#include <openssl/evp.h>

#define MOST 24

typedef struct given {
    compshare_param params[MOST];
    char *strings[2 * MOST];
    size_t count, made;
} given;

/* The bytes up to a NUL, as a string of their own. */
static char *take_string(given *g, const uint8_t **at, size_t *left)
{
    size_t len = 0;
    char *s;
    while (len < *left && (*at)[len] != 0) len++;
    s = fuzz_string(*at, len);
    if (len < *left) len++;
    *at += len;
    *left -= len;
    g->strings[g->made++] = s;
    return s;
}

static void take_params(given *g, const uint8_t *at, size_t left)
{
    memset(g, 0, sizeof *g);
    while (left > 1 && g->count < MOST) {
        unsigned kind = *at++;
        const char *key, *value;
        left--;
        key = take_string(g, &at, &left);
        value = take_string(g, &at, &left);
        switch (kind % 5) {
        case 1: g->params[g->count++] = compshare_int(key, strtoll(value, NULL, 0)); break;
        case 2: g->params[g->count++] = compshare_decimal(key, value); break;
        case 3: g->params[g->count++] = compshare_bool(key, value[0] != '\0'); break;
        default: g->params[g->count++] = compshare_text(key, value);
        }
    }
}

static void free_params(given *g)
{
    while (g->made > 0) free(g->strings[--g->made]);
}

/* ---- what must be refused, written down anew ---- */

static bool is_identifier(const char *s)
{
    for (; *s != '\0'; s++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *s) == NULL) return false;
    return true;
}

/* As the signature demands: the number's own shortest text, without exponent. */
static bool is_decimal(const char *s)
{
    const char *digits = *s == '-' ? s + 1 : s, *point = strchr(s, '.');
    size_t len = strlen(digits), whole = point != NULL ? (size_t)(point - digits) : len;
    if (strspn(digits, "0123456789.") != len || whole == 0
        || (point != NULL && strchr(point + 1, '.') != NULL)) return false;
    if (digits[0] == '0' && whole > 1) return false;
    if (strcmp(s, "-0") == 0) return false;
    return point == NULL || (point[1] != '\0' && digits[len - 1] != '0');
}

static bool is_refused(const given *g)
{
    static const char *const own[] = { "Action", "PublicKey", "Signature", "SecurityToken" };
    static const char *const ids[] = { "Region", "Zone", "ProjectId", "UHostId", "UHostIds" };
    size_t i, k;
    for (i = 0; i < g->count; i++) {
        const compshare_param *p = &g->params[i];
        bool id = strncmp(p->key, "UHostIds.", 9) == 0 && p->key[9] != '\0';
        if (p->key[0] == '\0') return true;
        for (k = 0; k < 4; k++) if (strcmp(p->key, own[k]) == 0) return true;
        for (k = 0; k < 5; k++) id = id || strcmp(p->key, ids[k]) == 0;
        if (p->text != NULL && id && !is_identifier(p->text)) return true;
        if (p->kind == COMPSHARE__PARAMS_DECIMAL && !is_decimal(p->text)) return true;
        for (k = 0; k < i; k++) if (strcmp(p->key, g->params[k].key) == 0) return true;
    }
    return false;
}

/* ---- the body ---- */

/* In pieces, each into room of just that size; the copy is NUL-terminated. */
static char *encode_all(const compshare__params *set, pieces *sizes, size_t *len)
{
    compshare__encode e = { 0, 0 };
    size_t room = 64, n, cap;
    char *all = (char *)fuzz_room(room);
    *len = 0;
    do {
        unsigned char *piece;
        cap = fuzz_piece(sizes, 255) + 2;
        piece = (unsigned char *)fuzz_room(cap);
        n = compshare__encode_body(&e, set, piece, cap);
        CHECK(n <= cap && (n > 0 || e.part == 2 * set->count));
        while (*len + n + 1 > room) all = (char *)realloc(all, room *= 2);
        if (all == NULL) exit(2);
        memcpy(all + *len, piece, n);
        *len += n;
        free(piece);
    } while (n > 0);
    all[*len] = '\0';
    return all;
}

/* Takes one name or value off the body: libcurl's opinion, '+' being a space. */
static char *decode(CURL *curl, char **body, char end, int *len)
{
    char *stop = strchr(*body, end), *plain, *copy, *c;
    if (stop == NULL) stop = *body + strlen(*body);
    for (c = *body; c < stop; c++) {
        CHECK((unsigned char)*c > 0x20 && (unsigned char)*c < 0x7F && strchr("&=\"'<>\\^`{|}", *c) == NULL);
        if (*c == '+') *c = ' ';
    }
    copy = fuzz_string(*body, (size_t)(stop - *body));
    plain = curl_easy_unescape(curl, copy, 0, len);
    CHECK(plain != NULL);
    free(copy);
    *body = *stop != '\0' ? stop + 1 : stop;
    return plain;
}

/* What was encoded is what was given, in order; the signature is the hash of all of it. */
static void check_body(CURL *curl, const compshare__params *set, char *body, const char *private_key)
{
    EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
    unsigned char hash[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1], number[32], *name, *value, *last = NULL;
    size_t i, signature = 0;
    int name_len, value_len;
    (void)EVP_DigestInit_ex(sha1, EVP_sha1(), NULL);
    for (i = 0; i < set->count; i++) {
        const compshare_param *p = compshare__params_at(set, i);
        name = decode(curl, &body, '=', &name_len);
        value = decode(curl, &body, '&', &value_len);
        (void)snprintf(number, sizeof number, "%lld", (long long)p->number);
        CHECK(fuzz_same(name, (size_t)name_len, p->key, strlen(p->key)));
        CHECK(strcmp(value, p->text != NULL ? p->text : number) == 0 && strlen(value) == (size_t)value_len);
        CHECK(last == NULL || strcmp(last, name) < 0);
        if (strcmp(name, "Signature") == 0) { signature++; CHECK(strcmp(value, set->signature) == 0); }
        else {
            (void)EVP_DigestUpdate(sha1, name, (size_t)name_len);
            (void)EVP_DigestUpdate(sha1, value, (size_t)value_len);
        }
        curl_free(last);
        curl_free(value);
        last = name;
    }
    curl_free(last);
    (void)EVP_DigestUpdate(sha1, private_key, strlen(private_key));
    (void)EVP_DigestFinal_ex(sha1, hash, NULL);
    for (i = 0; i < 20; i++) (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    CHECK(signature == 1 && *body == '\0' && strcmp(hex, set->signature) == 0);
    EVP_MD_CTX_free(sha1);
}

/* A head is all printable lines, ends once, and fits one small record. */
static void check_head(size_t length, unsigned choice)
{
    compshare__encode_fields h = { "api.compshare.cn", 0, { "/", 1 }, "compshare.h/0", 0, 0, false };
    char *head = (char *)fuzz_room(4096), wanted[64];
    size_t len;
    h.content_length = length;
    h.port = (uint16_t)(choice * 257);
    h.csv = (choice & 1) != 0;
    len = compshare__encode_head(&h, head, 4096);
    (void)snprintf(wanted, sizeof wanted, "\r\nContent-Length: %lu\r\n", (unsigned long)length);
    CHECK(len == strlen(head) && strstr(head, wanted) != NULL && strstr(head, "\r\n\r\n") == head + len - 4);
    free(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static CURL *curl;
    static const char *const keys[] = { "k", "my_private_key", "", "\xE5\x8D\xA1" };
    char reason[128];
    compshare__bytes_text why = compshare__bytes_into(reason, sizeof reason);
    pieces sizes = { data, 7, 0 };
    compshare__params set;
    given g;
    bool taken;
    if (size < 8) return 0;
    if (curl == NULL) curl = curl_easy_init();
    take_params(&g, data + 8, size - 8);
    memset(&set, 0xA5, sizeof set);
    taken = compshare__params_collect(&set, g.params, g.count, &why);
    CHECK(taken != is_refused(&g));
    CHECK(fuzz_is_text(reason, sizeof reason, false) && taken == (reason[0] == '\0'));
    if (taken) {
        const char *key = keys[data[7] & 3];
        size_t len;
        char *body;
        compshare__params_own(&set, COMPSHARE__PARAMS_OWN_ACTION, "GetProjectList");
        compshare__params_own(&set, COMPSHARE__PARAMS_OWN_PUBLIC_KEY, "pub+lic/=");
        compshare__params_own(&set, COMPSHARE__PARAMS_OWN_TOKEN, data[7] & 4 ? "token" : NULL);
        compshare__params_own(&set, COMPSHARE__PARAMS_OWN_REGION, data[7] & 8 ? "cn-wlcb" : NULL);
        compshare__params_sign(&set, key);
        body = encode_all(&set, &sizes, &len);
        CHECK(strlen(body) == len && len == compshare__encode_length(&set));
        check_body(curl, &set, body, key);
        check_head(len, data[7]);
        free(body);
    }
    free_params(&g);
    return 0;
}
