/* compshare.h - v0.1.0 - CompShare GPU cloud client in one header - MIT licence

   Sets, reads back, extends and cancels the timed shutdown of a rented GPU on
   CompShare (https://www.compshare.cn), and calls every other action of its
   API. Needs libbearssl, jsmn's header and, by default, POSIX sockets.

   Do this in ONE source file, before any system header:

       #define COMPSHARE_IMPLEMENTATION
       #include "compshare.h"

   and include it plainly wherever else it is used. Build: cc prog.c -lbearssl

   A FIRST RESULT

       #include <stdio.h>
       #include <stdlib.h>

       static unsigned char memory[COMPSHARE_MEMORY];

       int main(void)
       {
           compshare *client;
           compshare_plan plan = {0};                  // C++: {}
           compshare_schedule schedule;
           char text[COMPSHARE_ERROR_TEXT];

           compshare_config config = {0};
           config.memory = memory;
           config.memory_size = sizeof memory;
           config.public_key = getenv("COMPSHARE_PUBLIC_KEY");
           config.private_key = getenv("COMPSHARE_PRIVATE_KEY");

           if (compshare_open(&client, &config) != COMPSHARE_OK) {
               puts(compshare_open_text(&config, text, sizeof text));
               return 1;
           }
           plan.uhost_id = "uhost-xxxx";
           plan.in_seconds = 3600;                     // on the server's clock
           if (compshare_schedule_set(client, &plan, &schedule) == COMPSHARE_OK)
               printf("off at %lld, in %lld s\n", (long long)schedule.stop_time, (long long)schedule.seconds_left);
           else
               puts(compshare_error_text(client, text, sizeof text));
           compshare_close(client);
           return 0;
       }

   COMPSHARE_OK means more than that the API accepted it: the time was read back, and the
   reading proves it (law 7).

   Any other action:

       compshare_param params[] = { compshare_text("UHostId", "uhost-xxxx") };
       if (compshare_call(client, "RebootCompShareInstance", params, 1) == COMPSHARE_OK)
           ... compshare_get(compshare_reply(client), "UHostId") ...

   SWITCHES (define before the include that has COMPSHARE_IMPLEMENTATION)

       COMPSHARE_IMPLEMENTATION   compile the code here
       COMPSHARE_STATIC           give every function internal linkage
       COMPSHARE_NO_SOCKETS       no POSIX transport, files, clocks or entropy:
                                  transport, unix_time, monotonic_ms, entropy and
                                  ca_pem become required, ca_file an error
       COMPSHARE_PLAINTEXT        accept http:// in base_url (tests and fuzzers
                                  only: the signed request travels in the open)
       COMPSHARE_MAX_PARAMS       most parameters of one call, default 128; the
                                  client grows by two bytes for each
       COMPSHARE_NO_ACTION_TABLE  drop the table of actions (3 KB): no action is
                                  then ever sent a second time, CSV is no success,
                                  and Region, Zone and ProjectId go with every
                                  generic call

   COMPSHARE_STATIC belongs beside COMPSHARE_IMPLEMENTATION, in each file that
   uses the client.

   CONVENTIONS

   - A call returns COMPSHARE_OK (0) or a negative COMPSHARE_E_*. How it ended in
     detail: compshare_last_error(); as one line: compshare_error_text().
     COMPSHARE_E_BUSY and COMPSHARE_E_IDLE leave these as they were.
   - Success is a complete HTTP reply with status 2xx whose body is one JSON
     object with exactly one RetCode that is 0. Everything else is an error. (An
     action that answers with CSV: status and content type decide.)
   - outcome_unknown in compshare_error means: bytes of the request were sent, and
     no definite RetCode came back. It may have been executed; read back before
     repeating. HTTP 5xx, malformed replies and the RetCodes 110 and 8438 (a
     gateway gave up waiting) are not definite.
   - What is sent a second time, and when: see RETRIES.
   - After a failure compshare_reply and compshare_body still hold the reply where
     it was complete: RetCode not 0, status not 2xx, or refused by a typed call (of a
     streamed one with status 2xx what stands beside its elements, and no body).
     Structs that a typed call fills are all zero after a failure, unless said
     otherwise.
   - Strings going in are NUL-terminated and borrowed: configuration until
     compshare_close, parameters until the call has ended. Strings coming out
     are copies in structs, or views whose lifetime stands beside the function.
   - Times are seconds since 1970-01-01 UTC (int64_t), durations milliseconds.
   - One client belongs to one thread at a time; any number of clients. Never
     use a client on both sides of a fork: both would share one TLS stream.
   - All memory is the caller's block: no malloc (getaddrinfo allocates and
     frees on its own), no globals that change, no output, no environment, no
     signals (writes use MSG_NOSIGNAL or SO_NOSIGPIPE).

   LAWS (the comments refer to them by number)

   1  Fail closed. Success is what CONVENTIONS says, and nothing else; what a streaming
      callback has seen is provisional until the call returns COMPSHARE_OK.
   2  No malloc. One block of memory, the caller's.
   3  Nothing happens twice by itself: see RETRIES.
   4  Secrets stay in. A signed body is a credential; it is in no error and no trace, and
      is wiped.
   5  Every part is a pure function, but for one driver of connections.
   6  What is given is borrowed; what is given back is a copy, or a view with a stated life.
   7  Confirmed means proved. A workflow (schedule_*, stop, start) returns COMPSHARE_OK only
      where the API accepted the change and a later reading shows it; or where no answer
      came, but the first reading showed something else and two later ones in a row show
      what was wanted. (A time within 59 s of the wanted one is the wanted one: gateways
      round. What was shown is what is reported.) A reading that shows what was shown before
      proves nothing, and one that shows less than this client has changed itself, with
      success, within the last 60 s (of four instances at the most) is not believed, or where
      that was shown once, only when it is repeated. Reading back lasts to the end of
      timeout_ms, and only a definite refusal ends it before. All else is
      COMPSHARE_E_UNCONFIRMED.
   8  The gateway may differ from its documents: only what something is decided by can make
      a reading fail. That is UHostId, State, Zone, ChargeType and, where it is used, the
      stop time; the rest is then 0 or "".

   RETRIES

   Without being asked, a single call sends a request again in one case only: a kept-alive
   connection has turned out to be dead. Where nothing of the request was sent, for every
   action; where it was, and not one byte came back, for actions of retry class "always"
   (compshare_action_info). A reading that a kept connection leaves without an answer for
   half of its time is sent again on a new one. A connection that was not used for 50 s is
   not used again.

   A workflow sends a change of class "always" (the timed shutdown) again, 6 times in all at
   the most: where no answer came, after readings that go on to show what was there before,
   for 2 s or longer each time, or at once after one that proves nothing because it showed
   the wanted state before; where the API accepted a time and does not show it, once more,
   with both names of the parameter, after half of the time that was left. Never while a
   reading shows a time that somebody else has set. Changes of class "verify" (stop, start)
   and "never" (reboot) are sent once.

   compshare_config.max_retries is 0 unless set. Where it is not, a request that failed is
   sent again if two things hold. It is safe: the action's class is "always", or not a byte
   of the request was sent; a workflow's change of class "always": or it was refused. And
   it may help: no connection, a connection that broke, HTTP 429 or 5xx, or a RetCode that
   means "later" (153 rate limit, 8903 busy, ...). Pauses double from 0.5 to 8 s, half of
   each by chance, and last as long as Retry-After asks at least; one that would pass
   timeout_ms is not begun. The 300 s floor of a stop time is checked before each sending. A
   call that has handed out elements of a list is not begun again; compshare_each_instance
   reads the page again.

   MEMORY AND STACK (64-bit, printed by `make size` and `make test`)

       COMPSHARE_MEMORY           65,536 bytes, for everything below
       compshare_memory_needed()  36,732 with full TLS records: enough for a page
                                  of 100 instances, which is streamed
       COMPSHARE_SMALL_RECORDS    24,444 with records of 4 KB
       stack                      under 8 KiB (on s390x under 9)

   TRUST

   TLS 1.2 with ECDHE and AEAD suites only, RSA keys of 2,048 to 4,096 bits, the
   host name always checked; no switch turns that off. Of a chain eight certificates
   are looked at; the server's may be there twice. Root certificates come
   from ca_pem, else ca_file, else the first of these files that can be read and has
   something in it:

       /etc/ssl/certs/ca-certificates.crt                   Debian, Ubuntu, Alpine, Arch
       /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem    Fedora, RHEL
       /etc/pki/tls/certs/ca-bundle.crt                     older Fedora, RHEL
       /etc/ssl/cert.pem                                    Alpine, FreeBSD, OpenBSD, macOS
       /usr/local/share/certs/ca-root-nss.crt               FreeBSD
       /etc/ssl/ca-bundle.pem                               openSUSE
       /opt/homebrew/etc/ca-certificates/cert.pem           macOS, Homebrew on ARM
       /usr/local/etc/ca-certificates/cert.pem              macOS, Homebrew on Intel

   Of a bundle only the root that a chain leads to is decoded, and kept for one handshake.
   In a block of COMPSHARE_MEMORY each full handshake reads the text once, while the server
   answers the first flight (in the smallest block two or three times);
   compshare_config.roots spares later ones that, compshare_config.session all of it.

   BearSSL checks no revocation and no extended key usage; of a root nothing but that it
   is a CA: not its expiry, key usage, path length or name constraints; of intermediate
   certificates no name constraints that are not critical (critical ones are refused). The
   server's name may stand in CN where its certificate has no other names. What a handshake
   agreed on, and when the server's certificate expires: compshare_last_handshake.

   READING ON

   The implementation follows the public half in the order in which data flows;
   search for "* ====":  api, limits, bytes, params, sign, encode, http, json,
   trust, tls, posix, client, config, judge, session, drive, task, actions, confirm,
   power, schedule, public, licence. A room calls only rooms above it. */

/* Under -std=c99 Linux's headers hide POSIX unless told otherwise before the
   first of them; the implementation may follow in this same source file. */
#if defined(__linux__) && defined(__STRICT_ANSI__) && !defined(COMPSHARE_NO_SOCKETS) && !defined(_POSIX_C_SOURCE) \
    && !defined(_XOPEN_SOURCE) && !defined(_DEFAULT_SOURCE) && !defined(_GNU_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
/* Apple's hide SO_NOSIGPIPE where somebody asks for POSIX. */
#if defined(__APPLE__) && defined(_POSIX_C_SOURCE) && !defined(_DARWIN_C_SOURCE)
#define _DARWIN_C_SOURCE
#endif

#ifndef COMPSHARE_H
#define COMPSHARE_H

/* ==== api ====================================================================================
   Everything a program sees. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef COMPSHARE_STATIC
#if defined(__GNUC__)
#define COMPSHARE_API static __attribute__((unused))
#else
#define COMPSHARE_API static
#endif
#else
#define COMPSHARE_API extern
#endif

#define COMPSHARE_VERSION "0.1.0"

/* Bytes of a comfortable memory block (compshare_config.memory_size), and of the
   longest line that compshare_error_text and compshare_open_text make. A whole
   reply takes its body and 20 bytes for each JSON value and name in it. */
#define COMPSHARE_MEMORY 65536
#define COMPSHARE_ERROR_TEXT 1024

#ifndef COMPSHARE_MAX_PARAMS
#define COMPSHARE_MAX_PARAMS 128
#endif

/* Every status: name, value, what it means. */
#define COMPSHARE_STATUS_LIST(X) \
    X(OK, 0, "done") \
    X(PENDING, 1, "in progress: call compshare_step again") \
    X(WANT_READ, -1, "a transport waits until it can read") \
    X(WANT_WRITE, -2, "a transport waits until it can write") \
    X(E_CONFIG, -10, "the configuration cannot be used") \
    X(E_MEMORY, -11, "the memory block is too small") \
    X(E_BUSY, -12, "the client is busy with another call") \
    X(E_IDLE, -13, "no call is in progress") \
    X(E_ABORTED, -14, "the call was aborted") \
    X(E_PARAM, -15, "a parameter was refused") \
    X(E_TOO_SOON, -16, "the stop time is under 300 seconds away") \
    X(E_RESOLVE, -20, "the host name cannot be resolved") \
    X(E_CONNECT, -21, "no connection to the host") \
    X(E_TIMEOUT, -22, "the time allowed is over") \
    X(E_IO, -23, "sending or receiving failed") \
    X(E_CLOSED, -24, "the peer closed the connection too early") \
    X(E_PROXY, -25, "the proxy refused") \
    X(E_TRUST, -30, "no usable root certificates") \
    X(E_CLOCK, -31, "the clock cannot be right") \
    X(E_ENTROPY, -32, "no random bytes") \
    X(E_TLS, -33, "TLS failed") \
    X(E_CERTIFICATE, -34, "the server's certificate was refused") \
    X(E_HTTP, -40, "the HTTP reply is malformed") \
    X(E_STATUS, -41, "the HTTP status is not 2xx") \
    X(E_TOO_LARGE, -42, "the reply does not fit the memory block") \
    X(E_JSON, -43, "the reply is not valid JSON") \
    X(E_REPLY, -44, "the reply is JSON but not a valid answer") \
    X(E_API, -45, "the API refused") \
    X(E_STOPPED, -46, "a callback stopped the call") \
    X(E_NOT_FOUND, -50, "no such instance") \
    X(E_PROJECT, -51, "which project to use is not clear") \
    X(E_STATE, -52, "the instance's state does not allow it") \
    X(E_SPOT, -53, "a Spot instance cannot have a timed shutdown") \
    X(E_NO_PLAN, -54, "there is no timed shutdown to extend") \
    X(E_UNCONFIRMED, -55, "reading back did not confirm it") \
    X(E_TYPE, -60, "the value has another type")

#define COMPSHARE__STATUS_ENUM(name, value, text) COMPSHARE_##name = value,
enum compshare_status { COMPSHARE_STATUS_LIST(COMPSHARE__STATUS_ENUM) };
#undef COMPSHARE__STATUS_ENUM

/* Where a call was when it failed. */
enum compshare_stage {
    COMPSHARE_STAGE_NONE,
    COMPSHARE_STAGE_PREPARE,   /* parameters, signature: nothing has been sent */
    COMPSHARE_STAGE_CONNECT,   /* name resolution, TCP, and the proxy's tunnel */
    COMPSHARE_STAGE_HANDSHAKE, /* TLS */
    COMPSHARE_STAGE_SEND,      /* request on its way */
    COMPSHARE_STAGE_RECEIVE,   /* waiting for the reply, or reading it */
    COMPSHARE_STAGE_JUDGE      /* reply complete, its content refused */
};

/* Bits of `want` (compshare_transport.wait, compshare_wants). */
#define COMPSHARE_READ 1u
#define COMPSHARE_WRITE 2u

/* compshare_config.flags: negotiate TLS records of 4,096 bytes (RFC 6066
   maximum fragment length), which saves 12 KB of memory. Works only with a
   server that honours the extension (OpenSSL and nginx do); one that does not ends
   in COMPSHARE_E_TLS with the first record that is larger. */
#define COMPSHARE_SMALL_RECORDS 1u
/* compshare_config.flags, POSIX sockets only: TCP Fast Open (RFC 7413), on Linux. To a
   host that has been connected to before, and has it enabled, the first bytes of TLS or
   of the request to a proxy travel with the SYN: one round trip less. Without its cookie
   the connection is made as ever; with it, a host that is down is found out by the
   first sending or reading, as COMPSHARE_E_IO, and its other addresses are not tried.
   compshare_open refuses it with http://, and where the build knows no such option. */
#define COMPSHARE_FAST_OPEN 2u

typedef struct compshare compshare;

/* Bytes that somebody else owns; not NUL-terminated. */
typedef struct { const char *ptr; size_t len; } compshare_view;

/* How bytes travel. Replaces POSIX sockets, name resolution included.
   open   COMPSHARE_OK when connected; COMPSHARE_WANT_READ or COMPSHARE_WANT_WRITE:
          called again, with the same arguments, once the transport is ready; or
          a negative COMPSHARE_E_*. After a failure, and when a call gives up,
          close is called.
   send   bytes taken (1 to len), a WANT, or COMPSHARE_E_IO. Never blocks.
   recv   bytes put (1 to cap), 0 at an end of stream, a WANT, or COMPSHARE_E_IO.
          Never blocks. Also called before and during sending, to see whether the
          peer is there and silent.
   wait   returns COMPSHARE_OK once a wanted direction is ready, after timeout_ms
          milliseconds, or early for any reason; any negative value, a WANT too,
          ends the call with COMPSHARE_E_IO.
          want 0: just sleep. May be NULL if only compshare_step is used.
   close  gives the connection up; called before every open, too.
   fd     the descriptor to poll, or -1. May be NULL. */
typedef struct compshare_transport {
    void *user;
    int       (*open)(void *user, const char *host, uint16_t port);
    ptrdiff_t (*send)(void *user, const void *src, size_t len);
    ptrdiff_t (*recv)(void *user, void *dst, size_t cap);
    int       (*wait)(void *user, unsigned want, uint32_t timeout_ms);
    void      (*close)(void *user);
    int       (*fd)(void *user);
} compshare_transport;

/* Zero means default. Everything is borrowed until compshare_close.
   memory              the client's block, any alignment; compshare_memory_needed
                       says how many bytes at least
   public_key,         the account's keys, from
   private_key         https://console.compshare.cn/uaccount/api_manage
   security_token      for temporary keys; sent and signed as SecurityToken
   region, zone,       sent with every generic call whose parameters lack Region,
   project_id          Zone or ProjectId, except with actions of the group
                       "account"; typed calls: see compshare_target. "" is none
   base_url            default "https://api.compshare.cn"; a port may be given
   ca_file, ca_pem     root certificates as PEM (see TRUST above); ca_pem_len 0:
                       ca_pem is NUL-terminated
   proxy               "http://[user:password@]host[:port]": all traffic goes through
                       a tunnel that this proxy opens (CONNECT, RFC 9110 9.3.6); the
                       host may be an IP address, the port defaults to 80, user and
                       password may be percent-encoded (the user may hold no colon). TLS stays
                       end to end
   user_agent          default "compshare.h/" COMPSHARE_VERSION
   connect_timeout_ms  for TCP, proxy and TLS, once the name is known; default 5,000
   timeout_ms          for a whole call or workflow, with all its pages, pauses and
                       retries; default 15,000. Name resolution blocks and is the one
                       step that can overstay. While a name fails, the client goes on
                       with the addresses that it has found to be the host's before
   max_retries         how often a request that failed is sent again; default 0. See
                       RETRIES
   flags               COMPSHARE_SMALL_RECORDS, COMPSHARE_FAST_OPEN
   session             NULL, or a session to resume; see compshare_session
   roots               NULL, or an index of the root certificates; see compshare_roots
   transport           NULL: POSIX sockets; the struct itself is copied
   unix_time           seconds since 1970 UTC, for certificates
   monotonic_ms        milliseconds of a clock that only moves forward, all 64 bits of
                       them: one that steps back, or wraps at 32 bits, ends the call
                       that sees it with COMPSHARE_E_TIMEOUT
   entropy             fills dst with len random bytes; 0 = all bytes are good
   trace               gets one line per stage, without a line end; never keys,
                       parameters or bodies
   user                first argument of the four callbacks above it */
typedef struct compshare_config {
    void *memory; size_t memory_size;
    const char *public_key, *private_key, *security_token;
    const char *region, *zone, *project_id;
    const char *base_url;
    const char *ca_file, *ca_pem; size_t ca_pem_len;
    const char *proxy, *user_agent;
    uint32_t connect_timeout_ms, timeout_ms;
    unsigned max_retries, flags;
    struct compshare_session *session;
    struct compshare_roots *roots;
    const compshare_transport *transport;
    int64_t  (*unix_time)(void *user);
    uint64_t (*monotonic_ms)(void *user);
    int      (*entropy)(void *user, void *dst, size_t len);
    void     (*trace)(void *user, const char *line);
    void *user;
} compshare_config;

/* A TLS session, RFC 5246 7.3, for compshare_config.session: later handshakes with
   the same host, port and root certificates take one round trip and no public-key
   operation, where the server still knows the session. Set it to all zero before
   its first use. It may serve any number of clients, one after the other or side by
   side in one thread, and outlives them. It holds a secret that lets its reader
   impersonate the server: keep it in memory only, and end with
   compshare_session_forget. A session is used for a day at the most, and dropped
   when a handshake with it fails, the server declines it, or no byte answers the
   first request behind it. */
typedef struct compshare_session {
    uint64_t opaque[20];
} compshare_session;

/* Where the root certificates stand in ca_pem or in the bundle, up to 256 of them, for
   compshare_config.roots: with it, only the first handshake reads all of the bundle (0.2
   MB), and later ones decode one certificate of it. Set it to all zero before its first
   use, and again when the text that ca_pem points to changes. It may serve any number of
   clients, one after the other or side by side in one thread. It holds no secret. Where
   the bundle has changed it is made anew, but what is in it must come from a client. */
typedef struct compshare_roots {        /* its members are the client's */
    int64_t bundle[5];
    uint32_t known[3];
    uint32_t root[256][2];
} compshare_roots;

/* How the last call ended. Remote text in it is free of control and
   bidirectional-override characters, so that it may go to a terminal. */
typedef struct compshare_error {
    int status;             /* COMPSHARE_OK or COMPSHARE_E_* */
    int stage;              /* enum compshare_stage */
    bool outcome_unknown;   /* the request (of a workflow: its change) may have been executed */
    bool retryable;         /* trying later may help; says nothing about safety */
    int http_status;        /* 0: no status line came; with COMPSHARE_E_PROXY the proxy's */
    int ret_code;           /* the API's RetCode; 0: none came, or success */
    int tls_code;           /* BearSSL's error code, bearssl_ssl.h and bearssl_x509.h */
    int sys_errno;          /* errno of the POSIX transport */
    char action[64];
    char request_id[64];    /* X-UCLOUD-REQUEST-UUID, for CompShare's support */
    char message[256];      /* the API's Message */
    char detail[320];       /* what this client has to say */
} compshare_error;

/* ---- life ------------------------------------------------------------- */

/* Makes a client in config->memory. Touches neither network nor files.
   COMPSHARE_E_CONFIG or COMPSHARE_E_MEMORY: *client is NULL, and
   compshare_open_text says which field is wrong. */
COMPSHARE_API int compshare_open(compshare **client, const compshare_config *config);

/* Ends any call, closes the connection (without waiting for the peer) and
   overwrites the whole memory block. NULL is allowed. Does nothing when called
   from one of the client's callbacks. */
COMPSHARE_API void compshare_close(compshare *client);

/* One line on why compshare_open refused config, or "done". Returns buf. */
COMPSHARE_API const char *compshare_open_text(const compshare_config *config, char *buf, size_t cap);

/* Bytes that config->memory must have at least. config may be NULL. */
COMPSHARE_API size_t compshare_memory_needed(const compshare_config *config);

/* Overwrites a session. NULL is allowed. */
COMPSHARE_API void compshare_session_forget(compshare_session *session);

/* COMPSHARE_VERSION of the implementation. */
COMPSHARE_API const char *compshare_version(void);

/* ---- parameters -------------------------------------------------------- */

/* One request parameter. Arrays are written "UHostIds.0", members "Disks.0.Size".
   Made by the functions below; key and value are borrowed until the call ends. */
typedef struct compshare_param {
    const char *key;
    const char *text;   /* NULL: number is the value */
    int64_t number;
    unsigned kind;
} compshare_param;

COMPSHARE_API compshare_param compshare_text(const char *key, const char *value);
COMPSHARE_API compshare_param compshare_int(const char *key, int64_t value);
COMPSHARE_API compshare_param compshare_bool(const char *key, bool value);
/* A decimal fraction as text, "0.5": checked when the call starts to have no
   exponent and no trailing zeros after the point, as the signature demands. */
COMPSHARE_API compshare_param compshare_decimal(const char *key, const char *value);

/* ---- calls -------------------------------------------------------------- */

/* Calls an action and waits for its reply. COMPSHARE_E_PARAM names the refused
   parameter: an empty or repeated key, more than COMPSHARE_MAX_PARAMS, Action,
   PublicKey, Signature or SecurityToken (the client adds these), or Region,
   Zone, ProjectId, UHostId or UHostIds.N with bytes outside [A-Za-z0-9._-]. */
COMPSHARE_API int compshare_call(compshare *client, const char *action, const compshare_param *params, size_t count);

/* A reply value; see "replies". */
typedef struct compshare_value {
    const compshare *client;    /* NULL: none */
    uint32_t token, generation;
} compshare_value;

/* Gets one element of a streamed array; valid until it returns. Not 0: the call
   ends with COMPSHARE_E_STOPPED. What it sees is provisional until the call
   itself returns COMPSHARE_OK. */
typedef int (*compshare_each_fn)(void *user, compshare_value element);

/* Like compshare_call, but hands over the elements of the top-level array
   `array` one at a time, as they arrive: memory is bounded by the largest one.
   null or no such member: no elements. The other members stay in
   compshare_reply. */
COMPSHARE_API int compshare_call_each(compshare *client, const char *action, const compshare_param *params, size_t count,
    const char *array, compshare_each_fn each, void *user);

/* The same in steps, for event loops. _start returns COMPSHARE_OK, or an error
   before anything was sent. Then call compshare_step until it returns something
   other than COMPSHARE_PENDING: the final status. Between steps wait until
   compshare_fd is ready for compshare_wants, but not longer than
   compshare_timeout_ms; where compshare_wants is 0, only for that long. Ready as poll
   means it (level-triggered). The descriptor may change at every step. A callback
   that calls back into its client gets COMPSHARE_E_BUSY; fd and the clocks, which
   compshare_fd, compshare_timeout_ms and compshare_server_time call outside of steps,
   must not do so at all. The longest step checks a few certificates; `make test` prints
   how long that takes. */
COMPSHARE_API int compshare_call_start(compshare *client, const char *action, const compshare_param *params, size_t count);
COMPSHARE_API int compshare_call_each_start(compshare *client, const char *action, const compshare_param *params, size_t count,
    const char *array, compshare_each_fn each, void *user);
COMPSHARE_API int compshare_step(compshare *client);
/* Gives the call in progress up, and its connection if it has begun to use one.
   Returns, and records, COMPSHARE_E_ABORTED; outcome_unknown tells whether the
   request may have been executed. */
COMPSHARE_API int compshare_abort(compshare *client);
COMPSHARE_API int compshare_fd(compshare *client);              /* -1: nothing to wait for but time */
COMPSHARE_API unsigned compshare_wants(const compshare *client);       /* COMPSHARE_READ | COMPSHARE_WRITE */
COMPSHARE_API uint32_t compshare_timeout_ms(const compshare *client);  /* 0: step now */

/* ---- errors ------------------------------------------------------------- */

/* Of the last call: a later one that succeeds clears it. Never NULL; valid until
   the client is closed. */
COMPSHARE_API const compshare_error *compshare_last_error(const compshare *client);
/* One line for a person: what failed, why, RetCode, request id, and whether the
   outcome of an action that changes something is unknown. Returns buf. */
COMPSHARE_API const char *compshare_error_text(const compshare *client, char *buf, size_t cap);
/* "COMPSHARE_E_TIMEOUT"; for an unknown status "COMPSHARE_E_?". */
COMPSHARE_API const char *compshare_status_name(int status);

/* ---- replies ------------------------------------------------------------ */

/* Values and views belong to the last reply and live until the next call starts
   or the client is closed; a value used later, or one that does not exist,
   answers "none", so that getters can be chained. */
enum compshare_value_type {
    COMPSHARE_NONE, COMPSHARE_NULL, COMPSHARE_BOOL, COMPSHARE_NUMBER, COMPSHARE_STRING, COMPSHARE_ARRAY, COMPSHARE_OBJECT
};

COMPSHARE_API compshare_value compshare_reply(const compshare *client);   /* the root object */
COMPSHARE_API compshare_view compshare_body(const compshare *client); /* none of a streamed 2xx */
COMPSHARE_API int compshare_type(compshare_value value);
/* The member `key`. None if there is none, or more than one. */
COMPSHARE_API compshare_value compshare_get(compshare_value object, const char *key);
/* Elements of an array, or members of an object, in order. */
COMPSHARE_API compshare_value compshare_first(compshare_value container);
COMPSHARE_API compshare_value compshare_next(compshare_value element);
COMPSHARE_API size_t compshare_count(compshare_value container);
/* A JSON integer, or a string that holds one in canonical form. False and *out
   unchanged for anything else, out of range included. */
COMPSHARE_API bool compshare_as_int(compshare_value value, int64_t *out);
/* true, false, or the strings "true", "True", "false", "False". */
COMPSHARE_API bool compshare_as_bool(compshare_value value, bool *out);
/* The text of a number as the reply has it, or of a string before unescaping. */
COMPSHARE_API compshare_view compshare_number_text(compshare_value value);
/* Unescapes a string into buf, NUL-terminated. Returns its length in bytes
   without that NUL (the text itself may hold others), COMPSHARE_E_TYPE, or
   COMPSHARE_E_TOO_LARGE; buf is "" after an error. A lone surrogate escape
   becomes U+FFFD. */
COMPSHARE_API ptrdiff_t compshare_copy_text(compshare_value value, char *buf, size_t cap);
/* The same for the name of an object member. */
COMPSHARE_API ptrdiff_t compshare_copy_key(compshare_value member, char *buf, size_t cap);

/* ---- typed calls --------------------------------------------------------- */

typedef struct compshare_project {
    char project_id[64];
    char project_name[128];     /* control characters shown as '?' */
    bool is_default;
} compshare_project;

typedef struct compshare_instance {
    char uhost_id[64];
    char name[128];             /* control characters shown as '?' */
    char state[32];             /* "Running", "Stopped", "Starting", ... */
    char charge_type[32];       /* "Postpay", "Day", "Month", "Spot", ... */
    char region[32];            /* as the reply says, else the zone without its -NN */
    char zone[32];
    char gpu_type[32];
    int64_t gpu;                /* number of cards */
    int64_t create_time, expire_time;
    int64_t stop_time;          /* when it will be stopped; 0: no timed shutdown, or one that is
                                   over by the server's clock */
} compshare_instance;

/* Which instance a typed call is about; its strings are copied when the call starts
   (uhost_id and project_id up to 63 bytes, region and zone up to 31). region, zone,
   project_id NULL or "": the configuration's is used, a configured region only where it
   fits the zone that is sent; else the zone without its -NN is the region. Where neither has
   a project, it is the one that this client found an instance in last. */
typedef struct compshare_target {
    const char *uhost_id, *region, *zone, *project_id;
} compshare_target;

typedef int (*compshare_project_fn)(void *user, const compshare_project *project);
typedef int (*compshare_instance_fn)(void *user, const compshare_instance *instance, compshare_value element);

/* GetProjectList. *chosen becomes the one that the configuration names, else the
   default one (IsDefault), else the only one; otherwise COMPSHARE_E_PROJECT lists
   them. each (may be NULL) sees all of them; chosen may be NULL too. */
COMPSHARE_API int compshare_get_project_list(compshare *client, compshare_project *chosen,
    compshare_project_fn each, void *user);

/* DescribeCompShareInstance for exactly target->uhost_id (compared whole, never
   "the first one"). target->zone is not sent: an instance is found wherever it is in its
   region. Where no project is given, each project of the account is looked in before
   COMPSHARE_E_NOT_FOUND, and RetCode 292 (no such project) makes the client ask for it.
   RetCodes 8039 and 8351 are COMPSHARE_E_NOT_FOUND. */
COMPSHARE_API int compshare_describe_instance(compshare *client, const compshare_target *target, compshare_instance *instance);

/* DescribeCompShareInstance for all instances, in pages of 100, one element in
   memory at a time. element is the whole JSON object of the instance. filter
   (may be NULL) narrows by region, zone and project_id; the configuration's zone
   does not narrow. The list ends with a page that brings nothing new: TotalCount decides
   no more than whether a page that comes again is all of it, a page that cannot be read is
   read again, and a list that is empty is looked at twice. While it is read, instances may
   come and go: one that is there all the time is never missed, but may be seen twice.
   COMPSHARE_E_REPLY where it became empty meanwhile, or where its pages do not go on. */
COMPSHARE_API int compshare_each_instance(compshare *client, const compshare_target *filter,
    compshare_instance_fn each, void *user);

/* UpdateCompShareStopScheduler: stop the instance at stop_time; replaces an
   earlier plan. A stop_time under 300 s ahead on the server's clock is refused before
   anything is sent (COMPSHARE_E_TOO_SOON, which says by how much); while that is not known
   (compshare_server_time), the server judges. So is one after the year 9999
   (COMPSHARE_E_PARAM): it is in seconds, not milliseconds. The time goes as
   SchedulerStopTime; where the API refuses that for want of StopTime, once more as both.
   COMPSHARE_OK means the API accepted it; only compshare_schedule_set confirms it. */
COMPSHARE_API int compshare_update_stop_scheduler(compshare *client, const compshare_target *target, int64_t stop_time);

/* DeleteCompShareStopScheduler: no timed shutdown any more; the instance keeps
   running and is billed. Succeeds as well when there was none. */
COMPSHARE_API int compshare_delete_stop_scheduler(compshare *client, const compshare_target *target);

/* StopCompShareInstance, StartCompShareInstance, RebootCompShareInstance, as workflows:
   each reads the instance first, with region, zone and project, wherever in the account it
   is; sends the change, once; and reads, with growing pauses, until a state shows it:
   "Stopping" or "Stopped", "Starting" or "Running". COMPSHARE_OK: law 7; a reboot is taken
   for done when the API has accepted it, because "Rebooting" may be over before it is read.
   Before anything is changed: COMPSHARE_E_NOT_FOUND. COMPSHARE_E_API: the API has refused
   it. COMPSHARE_E_UNCONFIRMED, outcome_unknown set: until the end of timeout_ms no reading
   proved it; read the state (compshare_wait_state) before you send it again. */
COMPSHARE_API int compshare_stop_instance(compshare *client, const compshare_target *target);
COMPSHARE_API int compshare_start_instance(compshare *client, const compshare_target *target);
COMPSHARE_API int compshare_reboot_instance(compshare *client, const compshare_target *target);

/* Reads an instance's state, with growing pauses, until it is `state` ("Running",
   "Stopped", ...). timeout_ms is for the whole wait; 0: the configuration's.
   *instance (may be NULL) is the instance as it was last read, after failures, too.
   COMPSHARE_E_TIMEOUT: the state did not come in time. COMPSHARE_E_STATE: it ended in
   another one ("Install Fail"). COMPSHARE_E_NOT_FOUND: three readings in a row did not
   list it, although it had been there, or for 60 s from the beginning, or to the end. A
   reading that fails is no end, unless the API refuses it for good, it does not fit the
   memory, or this machine's clock, randomness or root certificates are the reason, or the
   server's certificate; one may take half of the time left, but 2 s at least
   and timeout_ms of the configuration at the most. */
COMPSHARE_API int compshare_wait_state(compshare *client, const char *uhost_id, const char *state, uint32_t timeout_ms,
    compshare_instance *instance);

/* The same in steps: finish with compshare_step. Results are borrowed until then, and so is
   `state`; targets are copied. */
COMPSHARE_API int compshare_get_project_list_start(compshare *client, compshare_project *chosen,
    compshare_project_fn each, void *user);
COMPSHARE_API int compshare_describe_instance_start(compshare *client, const compshare_target *target,
    compshare_instance *instance);
COMPSHARE_API int compshare_each_instance_start(compshare *client, const compshare_target *filter,
    compshare_instance_fn each, void *user);
COMPSHARE_API int compshare_update_stop_scheduler_start(compshare *client, const compshare_target *target, int64_t stop_time);
COMPSHARE_API int compshare_delete_stop_scheduler_start(compshare *client, const compshare_target *target);
COMPSHARE_API int compshare_stop_instance_start(compshare *client, const compshare_target *target);
COMPSHARE_API int compshare_start_instance_start(compshare *client, const compshare_target *target);
COMPSHARE_API int compshare_reboot_instance_start(compshare *client, const compshare_target *target);
COMPSHARE_API int compshare_wait_state_start(compshare *client, const char *uhost_id, const char *state, uint32_t timeout_ms,
    compshare_instance *instance);

/* The server's time now: its last Date header, received over verified TLS, plus
   what the monotonic clock says has passed since. 0: none received yet. */
COMPSHARE_API int64_t compshare_server_time(const compshare *client);

/* What a TLS handshake has agreed on. */
typedef struct compshare_handshake {
    uint16_t version;       /* RFC 5246 6.2.1: 0x0303 is TLS 1.2 */
    uint16_t suite;         /* number in IANA's registry of TLS cipher suites; 0xC02F and its like */
    bool resumed;           /* from config.session: the server's certificate was not sent again */
    int64_t not_after;      /* Unix seconds: when that certificate expires, RFC 5280 4.1.2.5; 0: not sent */
} compshare_handshake;

/* The newest handshake that has succeeded; all zero before the first. The kept
   connection may outlive not_after: certificates are judged when it begins. */
COMPSHARE_API compshare_handshake compshare_last_handshake(const compshare *client);

/* ---- schedule: the timed shutdown, confirmed ------------------------------- */

/* What to set. Give one of at and in_seconds. `at` must be 300 s ahead on the server's clock
   when the change is sent (COMPSHARE_E_TOO_SOON), which the first reply of the workflow
   tells; where it does not, the server judges. in_seconds, at least 300, counts from then on;
   near 300 the client adds the few seconds that it takes, and where that was not enough for
   the API, a minute. A plan that the mode leaves alone is not held to that. */
typedef struct compshare_plan {
    const char *uhost_id;
    int64_t at;             /* seconds since 1970 UTC */
    int64_t in_seconds;     /* from now */
    unsigned mode;          /* 0, COMPSHARE_ONLY_EXTEND or COMPSHARE_ONLY_SHORTEN */
} compshare_plan;

/* Leave a plan as it is that is later already, or earlier already. Where there is no
   plan, both set one. The API has no compare-and-swap: who changes the plan between
   the reading and the setting is overwritten. */
#define COMPSHARE_ONLY_EXTEND 1u
#define COMPSHARE_ONLY_SHORTEN 2u

/* What stopping will not save; disks over 100 GB and images stay billed as well. */
#define COMPSHARE_KEEPS_BILLING 1u      /* prepaid (Day, Month, Year): billed on while stopped */
#define COMPSHARE_GETS_RELEASED 2u      /* after 7 days stopped, with its data */

/* A timed shutdown as the API showed it. After a failure stop_time, seconds_left and changed
   are 0, and the rest is what was read, or done, by then. */
typedef struct compshare_schedule {
    int64_t stop_time;      /* confirmed, seconds since 1970 UTC; 0: none */
    int64_t previous;       /* what it was before; 0: none */
    int64_t seconds_left;   /* from the server's now to stop_time; 0: none, or over */
    bool changed;           /* a change was sent; false: the mode left the plan as it was */
    unsigned caveats;       /* COMPSHARE_KEEPS_BILLING, COMPSHARE_GETS_RELEASED */
    char uhost_id[64];
    char state[32], charge_type[32], zone[32];
    int64_t requested;      /* the time that was asked for, seconds since 1970 UTC; 0: none */
    int64_t shown;          /* what the newest reading showed; 0: no timed shutdown */
    bool accepted;          /* the API accepted the change */
} compshare_schedule;

/* Each is a workflow: it finds the account's project (the configuration's, else as
   compshare_get_project_list chooses; remembered by the client; where the account may not
   list its projects, it goes without) and the instance by its exact id, in the other
   projects as well, with region, zone, state, ChargeType and current plan; acts; and reads
   back, with growing pauses, until the end of timeout_ms. COMPSHARE_OK: law 7. *schedule may
   be NULL; plan and uhost_id may point into it.

   Refused before anything is changed: COMPSHARE_E_NOT_FOUND, COMPSHARE_E_PROJECT, and
   by _set and _extend COMPSHARE_E_STATE (not Running), COMPSHARE_E_SPOT,
   COMPSHARE_E_TOO_SOON, COMPSHARE_E_PARAM (after the year 9999). What one reading alone
   would refuse as not found, not Running or without a plan is looked at again, a second
   later, before that is said.

   A reply that is lost is read back, too, before anything is reported (for that, the
   change itself may take half of the time left), and what readings then show not to be
   executed is sent again. COMPSHARE_E_UNCONFIRMED: until the end no reading proved the
   change. outcome_unknown is then set where it was sent, as it is when a workflow is aborted
   after its change was sent and before it was confirmed, and so is retryable. What to do then:
   after _set and _extend call compshare_schedule_set with at = schedule.requested and
   in_seconds = 0, after _cancel compshare_schedule_cancel. What stands until then:

       accepted  shown        the instance will be stopped
       true      requested    never the case: that is COMPSHARE_OK
       true      another      most likely at `requested`: the API may be late to show it, or
                              somebody has changed it since
       false     previous     as before, or at `requested` if the API executes it yet
       false     another      as `shown` says: somebody else has changed it

   For _cancel `requested` is 0, and "at 0" means not at all. Where schedule_get cannot tell
   because it is shown less than this client has just changed, it ends with
   COMPSHARE_E_UNCONFIRMED as well, but with outcome_unknown false. */
COMPSHARE_API int compshare_schedule_set(compshare *client, const compshare_plan *plan, compshare_schedule *schedule);
/* Only reads, in any state. */
COMPSHARE_API int compshare_schedule_get(compshare *client, const char *uhost_id, compshare_schedule *schedule);
/* From the current plan on, by_seconds later. COMPSHARE_E_NO_PLAN where there is none,
   or it has expired. */
COMPSHARE_API int compshare_schedule_extend(compshare *client, const char *uhost_id, int64_t by_seconds,
    compshare_schedule *schedule);
/* In any state. The instance then runs, and is billed, until somebody stops it. */
COMPSHARE_API int compshare_schedule_cancel(compshare *client, const char *uhost_id, compshare_schedule *schedule);

/* The same in steps: finish with compshare_step. *schedule is borrowed until then; *plan and
   the ids are copied. */
COMPSHARE_API int compshare_schedule_set_start(compshare *client, const compshare_plan *plan, compshare_schedule *schedule);
COMPSHARE_API int compshare_schedule_get_start(compshare *client, const char *uhost_id, compshare_schedule *schedule);
COMPSHARE_API int compshare_schedule_extend_start(compshare *client, const char *uhost_id, int64_t by_seconds,
    compshare_schedule *schedule);
COMPSHARE_API int compshare_schedule_cancel_start(compshare *client, const char *uhost_id, compshare_schedule *schedule);

/* ---- actions -------------------------------------------------------------- */

enum compshare_retry {
    COMPSHARE_RETRY_NEVER,      /* a repetition may act twice, or cost twice */
    COMPSHARE_RETRY_VERIFY,     /* only after reading back that it did not happen */
    COMPSHARE_RETRY_ALWAYS      /* a repetition changes nothing */
};

typedef struct compshare_action {
    const char *name;       /* NULL: not in the table */
    const char *group;      /* "account", "instance", "image", "data", "team", "ulhost", "other", "telemetry" */
    bool mutating;
    int retry;              /* enum compshare_retry; NEVER where the name is unknown */
    char cost;              /* '+' may cost money, '-' saves some, 'x' destroys, '.' none of these */
    bool secret;            /* request or reply holds a password, a login command or a token */
    bool csv;               /* succeeds with CSV, not JSON: see compshare_body */
    bool partial;           /* RetCode 0 may hide failures of single members */
    bool json_only;         /* known to work with a JSON body only, which this client does not send */
} compshare_action;

/* What is known of an action; its strings are constants. */
COMPSHARE_API compshare_action compshare_action_info(const char *name);
/* The i-th action of the table, for listings; name NULL after the last. */
COMPSHARE_API compshare_action compshare_action_at(size_t i);

#ifdef __cplusplus
}
#endif

#endif /* COMPSHARE_H */

/* ======================================================================== */
/* ============================ implementation ============================= */
/* ======================================================================== */

#if defined(COMPSHARE_IMPLEMENTATION) && !defined(COMPSHARE__IMPLEMENTED)
#define COMPSHARE__IMPLEMENTED

/* ==== limits =================================================================================
   What this file includes and from where, and every limit that it keeps.
   Touches nothing at run time. Must never leave a macro of jsmn behind. */

#ifndef COMPSHARE_NO_SOCKETS
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if !defined(AI_PASSIVE) || !defined(O_CLOEXEC)
#if defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE - 0 < 200809L
#error "compshare.h: _POSIX_C_SOURCE must be at least 200809L (and _XOPEN_SOURCE, if defined, 700)"
#else
#error "compshare.h: a system header hid POSIX: include compshare.h first, or compile with -D_POSIX_C_SOURCE=200809L"
#endif
#endif
#if !defined(MSG_NOSIGNAL) && !defined(SO_NOSIGPIPE)
#error "compshare.h: SIGPIPE would kill: define _DARWIN_C_SOURCE (Apple) or COMPSHARE_NO_SOCKETS"
#endif
/* getrandom is not in glibc before 2.25, Android before 28, NetBSD before 10. */
#if defined(__has_include)
#if __has_include(<sys/random.h>)
#define COMPSHARE__RANDOM 1
#endif
#elif !defined(__GLIBC__) || __GLIBC__ > 2 || __GLIBC_MINOR__ >= 25
#define COMPSHARE__RANDOM 1
#endif
#ifdef COMPSHARE__RANDOM
#include <sys/random.h>
#endif
#if defined(__ANDROID__) && __ANDROID_API__ < 28
#undef COMPSHARE__RANDOM
#endif
#endif /* COMPSHARE_NO_SOCKETS */

#include <stdarg.h>
#include <string.h>
#include <bearssl.h>

/* jsmn under private names, so that a program may use jsmn itself, with other
   switches, before or after this file. Parent links make it linear; its strict mode
   would check once more some of what the validator has. */
#pragma push_macro("JSMN_H")
#pragma push_macro("JSMN_API")
#pragma push_macro("JSMN_STATIC")
#pragma push_macro("JSMN_HEADER")
#pragma push_macro("JSMN_STRICT")
#pragma push_macro("JSMN_PARENT_LINKS")
#undef JSMN_H
#undef JSMN_API
#undef JSMN_STATIC
#undef JSMN_HEADER
#undef JSMN_STRICT
#undef JSMN_PARENT_LINKS
#define JSMN_STATIC
#define JSMN_PARENT_LINKS
#define jsmntype_t compshare__jsmntype_t
#define jsmntok_t compshare__jsmntok_t
#define jsmntok compshare__jsmntok
#define jsmn_parser compshare__jsmn_parser
#define jsmnerr compshare__jsmnerr
#define jsmn_init compshare__jsmn_init
#define jsmn_parse compshare__jsmn_parse
#define jsmn_alloc_token compshare__jsmn_alloc_token
#define jsmn_fill_token compshare__jsmn_fill_token
#define jsmn_parse_primitive compshare__jsmn_parse_primitive
#define jsmn_parse_string compshare__jsmn_parse_string
#define JSMN_UNDEFINED COMPSHARE__JSMN_UNDEFINED
#define JSMN_OBJECT COMPSHARE__JSMN_OBJECT
#define JSMN_ARRAY COMPSHARE__JSMN_ARRAY
#define JSMN_STRING COMPSHARE__JSMN_STRING
#define JSMN_PRIMITIVE COMPSHARE__JSMN_PRIMITIVE
#define JSMN_ERROR_NOMEM COMPSHARE__JSMN_ERROR_NOMEM
#define JSMN_ERROR_INVAL COMPSHARE__JSMN_ERROR_INVAL
#define JSMN_ERROR_PART COMPSHARE__JSMN_ERROR_PART
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif
#include <jsmn.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#undef jsmntype_t
#undef jsmntok_t
#undef jsmntok
#undef jsmn_parser
#undef jsmnerr
#undef jsmn_init
#undef jsmn_parse
#undef jsmn_alloc_token
#undef jsmn_fill_token
#undef jsmn_parse_primitive
#undef jsmn_parse_string
#undef JSMN_UNDEFINED
#undef JSMN_OBJECT
#undef JSMN_ARRAY
#undef JSMN_STRING
#undef JSMN_PRIMITIVE
#undef JSMN_ERROR_NOMEM
#undef JSMN_ERROR_INVAL
#undef JSMN_ERROR_PART
#pragma pop_macro("JSMN_PARENT_LINKS")
#pragma pop_macro("JSMN_STRICT")
#pragma pop_macro("JSMN_HEADER")
#pragma pop_macro("JSMN_STATIC")
#pragma pop_macro("JSMN_API")
#pragma pop_macro("JSMN_H")

/* A function definition names this where its declaration names COMPSHARE_API. */
#ifdef COMPSHARE_STATIC
#define COMPSHARE__DEF static
#else
#define COMPSHARE__DEF
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Many casts do something on narrower machines only. */
#if defined(__GNUC__) && !defined(__clang__) && (defined(__cplusplus) || __GNUC__ >= 14)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuseless-cast"
#endif

/* Defaults of compshare_config, and the limits of what it may hold. */
#define COMPSHARE__BASE_URL "https://api.compshare.cn"
#define COMPSHARE__USER_AGENT "compshare.h/" COMPSHARE_VERSION
#define COMPSHARE__CONNECT_TIMEOUT_MS 5000u
#define COMPSHARE__TIMEOUT_MS 15000u
#define COMPSHARE__HOST_MAX 255     /* RFC 1035 2.3.4; br_ssl_engine_context.server_name */
#define COMPSHARE__PATH_MAX 255
#define COMPSHARE__USER_AGENT_MAX 255
#define COMPSHARE__CREDENTIALS_MAX 255  /* "user:password" of a proxy */

/* A clock before this (2026-01-01) is wrong: this file did not exist then. */
#define COMPSHARE__EARLIEST_TIME INT64_C(1767225600)

/* The API's floor for a stop time, seconds ahead. */
#define COMPSHARE__STOP_FLOOR_S 300
#define COMPSHARE__ROUNDING_S 59            /* a gateway may round a stop time to the minute */
#define COMPSHARE__LATEST_TIME INT64_C(253402300799)    /* the end of the year 9999 */

/* Pauses, in milliseconds: doubled from the first to the most. */
#define COMPSHARE__RETRY_FIRST_MS 500u
#define COMPSHARE__RETRY_MOST_MS 8000u
#define COMPSHARE__POLL_FIRST_MS 250u
#define COMPSHARE__POLL_MOST_MS 5000u
#define COMPSHARE__READING_MS 2000u         /* what one reading gets at least, within timeout_ms */
#define COMPSHARE__DOUBT_MS 1000u           /* from a reading that refuses to its check */
#define COMPSHARE__LOOKS 6u                 /* such checks at the most */
#define COMPSHARE__DOUBTS 4u                /* readings after which what was shown once is over */
#define COMPSHARE__RESEND_MS 2000u          /* from a lost sending to the next; doubled each time */
#define COMPSHARE__SENDINGS 6u              /* of one change at the most */
#define COMPSHARE__MISSING_MS 60000u        /* how long lists may lack a new instance */
#define COMPSHARE__LAG_MS 60000u            /* how long readings may lag behind a change */
#define COMPSHARE__RECENT 4                 /* instances whose own changes are kept in mind */
#define COMPSHARE__REUSE_MS 4000u           /* what a reading on a kept connection gets at least */
#define COMPSHARE__IDLE_MS 50000u           /* a connection unused for longer is not used again */

/* HTTP: RFC 9112 sets no limits and asks recipients to have some. */
#define COMPSHARE__HTTP_HEAD_MAX 32768u     /* one head, its status line included */
#define COMPSHARE__HTTP_LINE_MAX 8192u      /* one line of it */
#define COMPSHARE__HTTP_INTERIM_MAX 8u      /* 1xx responses before the final one */
#define COMPSHARE__HTTP_EXT_MAX 4096u       /* all chunk extensions together */

#define COMPSHARE__JSON_DEPTH_MAX 64        /* bits of compshare__json.kinds */

/* Trust. A peer chooses its chain before it is trusted: bound the work. */
#define COMPSHARE__CHAIN_MAX 8              /* certificates of one chain that are judged */
#define COMPSHARE__RSA_MIN 256              /* bytes of a modulus: 2,048 bits */
#define COMPSHARE__EXPONENT_MAX 8           /* bytes of its exponent, as OpenSSL has it */
#define COMPSHARE__BUNDLE_MAX (8u << 20)    /* bytes of a bundle */
#define COMPSHARE__DN_MAX 384               /* bytes of a root's name; 213 in Debian's bundle */
#define COMPSHARE__DER_PREFIX 1024          /* enough DER to reach the subject behind an issuer of that length */
#define COMPSHARE__DER_STEP 64              /* decoded at once, until it is reached */
#define COMPSHARE__YEAR_0 719528            /* days from year 0, by which BearSSL counts, to 1970 */

/* TLS record buffers: BR_SSL_BUFSIZE_MONO, and 4,096 + 325 with small records. */
#define COMPSHARE__RECORD_FULL 16709u
#define COMPSHARE__RECORD_SMALL 4421u
#define COMPSHARE__TX 1024u                 /* outgoing records waiting for one send */
#define COMPSHARE__RX 2048u                 /* incoming bytes waiting for the engine */

#define COMPSHARE__MARKS 4                  /* elements by which the place in a changing list is found again */
#define COMPSHARE__RESTARTS 16u             /* and how often, where none is left, it is read anew */

#define COMPSHARE__REPLY_MIN 9472u          /* smallest reply area: the widest instance takes 7.1 KB */
#define COMPSHARE__DRAIN 65536u             /* rest of a too large reply that is read to keep the connection */
#define COMPSHARE__SESSION_S 86400          /* RFC 5246 F.1.4: a session's life */
#define COMPSHARE__ADDRESSES 8u             /* resolved addresses tried */
#define COMPSHARE__NAMES_MS 60000u          /* how long a name that fails is left alone */
/* What a step receives before an event loop gets its turn, and the deadline is looked at. */
#define COMPSHARE__STEP_READS 64            /* records, or parts of them */
#define COMPSHARE__STEP_BYTES 16384u        /* of a reply: a record, RFC 5246 6.2.1 */

/* Bytes of stack overwritten before a call returns: what an optimised BearSSL handshake
   with elliptic curves reaches below that, and a little more. Measured: s390x 7.2 KB, whose
   frames have 160 bytes for registers; riscv64 6.8; x86-64, arm64, mips64 and ppc64 5.8;
   i386 5.6; Cortex-M0 5.0; Cortex-M3 and armhf 4.9. */
#if defined(__s390x__)
#define COMPSHARE__STACK 7680
#elif defined(__riscv) && INTPTR_MAX > INT32_MAX
#define COMPSHARE__STACK 7424
#elif INTPTR_MAX > INT32_MAX || defined(__i386__)
#define COMPSHARE__STACK 6400
#else
#define COMPSHARE__STACK 5376
#endif

/* A function that must keep a stack frame of its own. */
#if defined(__GNUC__)
#define COMPSHARE__NOINLINE __attribute__((noinline))
#else
#define COMPSHARE__NOINLINE
#endif

#define COMPSHARE__ALIGN 16u                /* of the client within the caller's block */
#define COMPSHARE__TYPED_PARAMS 6           /* no typed call has more */

/* A RetCode of 65536 must not become 0. */
typedef char compshare__assert_int[sizeof(int) >= 4 ? 1 : -1];
/* A negative size if a private field that `trust` reads is not what it was. */
typedef char compshare__assert_dn_hash[sizeof(((br_x509_minimal_context *)0)->saved_dn_hash) == 64 ? 1 : -1];
typedef char compshare__assert_not_after[sizeof(((br_x509_decoder_context *)0)->notafter_days) == 4
    && sizeof(((br_x509_decoder_context *)0)->notafter_seconds) == 4 ? 1 : -1];
typedef char compshare__assert_record[COMPSHARE__RECORD_FULL == BR_SSL_BUFSIZE_MONO ? 1 : -1];

/* ==== bytes ==================================================================================
   Bounded text, number conversion, comparison, wiping. Pure: touches only what
   it is given. Must never write past a capacity or leave a text unterminated. */

typedef struct compshare__text {
    char *ptr;
    size_t cap, len;
} compshare__text;

/* Where c is first met among len bytes; len: nowhere. */
static size_t compshare__bytes_find(const void *bytes, size_t len, char c)
{
    const char *s = (const char *)bytes;
    size_t n = 0;
    while (n < len && s[n] != c) n++;
    return n;
}

static compshare__text compshare__text_into(char *buf, size_t cap)
{
    compshare__text t;
    t.ptr = buf;
    t.cap = cap;
    t.len = 0;
    if (cap > 0) buf[0] = '\0';
    return t;
}

/* Appends what fits, in whole UTF-8 characters; the text stays NUL-terminated. */
static void compshare__text_bytes(compshare__text *t, const char *src, size_t len)
{
    size_t room = t->cap > 0 ? t->cap - 1 - t->len : 0;
    if (len > room)
        for (len = room; len > 0 && ((unsigned char)src[len] & 0xC0) == 0x80; len--) {}
    if (len == 0) return;
    memcpy(t->ptr + t->len, src, len);
    t->len += len;
    t->ptr[t->len] = '\0';
}

static void compshare__text_put(compshare__text *t, const char *src)
{
    compshare__text_bytes(t, src, strlen(src));
}

/* Decimal digits of a number at the end of a scratch buffer. */
static compshare_view compshare__bytes_decimal(char scratch[24], int64_t number)
{
    compshare_view v;
    char *p = scratch + 24;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) *--p = '-';
    v.ptr = p;
    v.len = (size_t)(scratch + 24 - p);
    return v;
}

static void compshare__text_int(compshare__text *t, int64_t number)
{
    char scratch[24];
    compshare_view v = compshare__bytes_decimal(scratch, number);
    compshare__text_bytes(t, v.ptr, v.len);
}

/* Days of a month (1 to 12) of the Gregorian calendar; month 0: of the year. */
static int compshare__bytes_days(int year, int month)
{
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month == 0) return leap ? 366 : 365;
    if (month == 2) return leap ? 29 : 28;
    return 30 + ((month + (month > 7)) & 1);
}

/* "2026-11-23 14:05:00 UTC"; the bare number outside the years 1970 to 9999. */
static void compshare__text_time(compshare__text *t, int64_t unix_time)
{
    int part[6] = { 1970, 1, 0, 0, 0, 0 }, days, second, n, i;
    if (unix_time < 0 || unix_time > COMPSHARE__LATEST_TIME) {
        compshare__text_int(t, unix_time);
        return;
    }
    days = (int)(unix_time / 86400);
    second = (int)(unix_time % 86400);
    for (; days >= (n = compshare__bytes_days(part[0], 0)); part[0]++) days -= n;
    for (; days >= (n = compshare__bytes_days(part[0], part[1])); part[1]++) days -= n;
    part[2] = days + 1;
    part[3] = second / 3600;
    part[4] = second / 60 % 60;
    part[5] = second % 60;
    for (i = 0; i < 6; i++) {
        if (part[i] < 10) compshare__text_put(t, "0");
        compshare__text_int(t, part[i]);
        compshare__text_bytes(t, &"-- :: "[i], 1);
    }
    compshare__text_put(t, "UTC");
}

/* Appends `form`, in which %s stands for a string, %d for an int, %l for an
   int64_t and %t for an int64_t shown as a time. */
static void compshare__text_list(compshare__text *t, const char *form, va_list args)
{
    size_t left = strlen(form), n;
    for (; (n = compshare__bytes_find(form, left, '%')) < left; form += n + 2, left -= n + 2) {
        compshare__text_bytes(t, form, n);
        if (form[n + 1] == 's') {
            compshare__text_put(t, va_arg(args, const char *));
        } else {
            int64_t number = form[n + 1] == 'd' ? va_arg(args, int) : va_arg(args, int64_t);
            if (form[n + 1] == 't') compshare__text_time(t, number);
            else compshare__text_int(t, number);
        }
    }
    compshare__text_bytes(t, form, left);
}

static void compshare__text_form(compshare__text *t, const char *form, ...)
{
    va_list args;
    va_start(args, form);
    compshare__text_list(t, form, args);
    va_end(args);
}

/* Decimal digits, one at least, up to a limit. */
static bool compshare__bytes_number(compshare_view v, uint64_t limit, uint64_t *out)
{
    uint64_t value = 0;
    size_t i;
    for (i = 0; i < v.len; i++) {
        unsigned digit = (unsigned char)v.ptr[i] - (unsigned)'0';
        if (digit > 9 || value > (limit - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *out = value;
    return v.len > 0;
}

/* -?(0|[1-9][0-9]*) within int64_t; "-0" is not canonical. */
static bool compshare__bytes_int(compshare_view v, int64_t *out)
{
    uint64_t value, negative = v.len > 0 && v.ptr[0] == '-';
    if (v.len > 1 && v.ptr[negative] == '0') return false;
    v.ptr += negative;
    v.len -= (size_t)negative;
    if (!compshare__bytes_number(v, (uint64_t)INT64_MAX + negative, &value)) return false;
    *out = (int64_t)(negative ? 0 - value : value);
    return true;
}

static int compshare__bytes_compare(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) { a++; b++; }
    return (int)(unsigned char)*a - (int)(unsigned char)*b;
}

static bool compshare__bytes_equal(const char *a, const char *b)
{
    return compshare__bytes_compare(a, b) == 0;
}

static bool compshare__bytes_begins(const char *s, const char *start)
{
    while (*start != '\0' && *start == *s) { start++; s++; }
    return *start == '\0';
}

static bool compshare__bytes_among(char c, const char *set)
{
    while (*set != '\0' && *set != c) set++;
    return *set != '\0';
}

/* Whether v holds the n bytes of `part` somewhere. */
static bool compshare__bytes_hold(compshare_view v, const char *part, size_t n)
{
    for (; v.len >= n; v.ptr++, v.len--)
        if (memcmp(v.ptr, part, n) == 0) return true;
    return false;
}

/* How many characters s begins with that are in the set, or are not. */
static size_t compshare__bytes_span(const char *s, const char *set, bool in)
{
    size_t n = 0;
    while (s[n] != '\0' && compshare__bytes_among(s[n], set) == in) n++;
    return n;
}

/* Whether s is one of a list of strings, each with a NUL behind it: "one\0two\0". */
static bool compshare__bytes_listed(const char *s, const char *list)
{
    size_t whole = strlen(s) + 1, n;
    for (; *list != '\0'; list += n) {
        n = strlen(list) + 1;
        if (n == whole && memcmp(s, list, n) == 0) return true;
    }
    return false;
}

static char compshare__bytes_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool compshare__bytes_letter(char c)
{
    c = compshare__bytes_lower(c);
    return c >= 'a' && c <= 'z';
}

static bool compshare__bytes_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* Value of a hexadecimal digit, or -1. */
static int compshare__bytes_hex(unsigned char c)
{
    if (compshare__bytes_digit(c)) return c - '0';
    c = (unsigned char)compshare__bytes_lower((char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Sets of characters, each with all that is in the one before: letters, digits, - and _
   in labels of host names; . in identifiers; ~ among RFC 3986's unreserved (2.3);
   !#$%&'*+^`| in tokens, RFC 9110 5.6.2; the rest of ASCII that means nothing in a JSON
   string, RFC 8259 7. */
enum { COMPSHARE__LABEL = '0', COMPSHARE__IDENTIFIER, COMPSHARE__UNRESERVED, COMPSHARE__TOKEN, COMPSHARE__QUOTED };

static bool compshare__bytes_in(unsigned char c, int set)
{
#define COMPSHARE__NONE "9999999999999999"
    static const char least[] =     /* the smallest set that has it, as a digit; 9: none */
        COMPSHARE__NONE COMPSHARE__NONE "4393333344334014" "0000000000444444"
        "4000000000000000" "0000000000049430" "3000000000000000" "0000000000043424"
        COMPSHARE__NONE COMPSHARE__NONE COMPSHARE__NONE COMPSHARE__NONE COMPSHARE__NONE COMPSHARE__NONE COMPSHARE__NONE COMPSHARE__NONE;
#undef COMPSHARE__NONE
    return least[c] <= set;
}

/* How many bytes s begins with that are in a set. */
static size_t compshare__bytes_run(const char *s, size_t len, int set)
{
    size_t n = 0;
    while (n < len && compshare__bytes_in((unsigned char)s[n], set)) n++;
    return n;
}

static bool compshare__bytes_all(const char *s, size_t len, int set)
{
    return compshare__bytes_run(s, len, set) == len;
}

/* Whether one UTF-8 character must not reach a terminal: C0, DEL, C1, and the
   marks and overrides that change the direction of what follows. */
static bool compshare__bytes_unsafe(const unsigned char *c, size_t len)
{
    uint32_t code = len == 1 ? c[0] : c[0] & (0x7Fu >> len);
    size_t i;
    for (i = 1; i < len; i++) code = code << 6 | (c[i] & 0x3F);
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x61C || code == 0x200E || code == 0x200F
        || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

/* Length of a UTF-8 character, by its first byte. */
static size_t compshare__bytes_utf8(unsigned char first)
{
    return first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/* The first that is given: "" counts as not given. */
static const char *compshare__bytes_first(const char *a, const char *b)
{
    if (a != NULL && a[0] != '\0') return a;
    return b != NULL && b[0] != '\0' ? b : NULL;
}

/* 63 bits that tell one id from another (FNV-1a), and one that tells it from none. */
static uint64_t compshare__bytes_mark(const char *id)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (; *id != '\0'; id++) hash = (hash ^ (unsigned char)*id) * UINT64_C(0x100000001B3);
    return hash | 1;
}

/* A code and what it means to the person who has to mend it. */
typedef struct compshare__meaning {
    int code;
    const char *text;
} compshare__meaning;

/* The meaning of a code; that of the last row for all others. */
static const char *compshare__bytes_meaning(const compshare__meaning *rows, size_t count, int code)
{
    size_t i;
    for (i = 0; i + 1 < count && rows[i].code != code; i++) {}
    return rows[i].text;
}

/* Overwrites memory. The compiler is not told by what, and so cannot leave it out. In
   pieces: longer ones make some memset change to string instructions, which start slowly. */
COMPSHARE__NOINLINE static void compshare__bytes_wipe(void *ptr, size_t len)
{
#if defined(__GNUC__)
    void *(*wipe)(void *, int, size_t) = memset;
    char *p = (char *)ptr;
    size_t n;
    __asm__("" : "+r"(wipe));
    for (; len > 0; p += n, len -= n) {
        n = len < 1024 ? len : 1024;
        wipe(p, 0, n);
    }
#else
    volatile unsigned char *p = (volatile unsigned char *)ptr;
    while (len-- > 0) *p++ = 0;
#endif
}

/* Overwrites the stack that a deeper call, now over, may have left secrets in. */
COMPSHARE__NOINLINE static void compshare__bytes_wipe_stack(void)
{
    unsigned char area[COMPSHARE__STACK];
    compshare__bytes_wipe(area, sizeof area);
}

/* ==== params =================================================================================
   Collects the parameters of one call, sorts them by name in byte order and
   refuses what must not be signed. Borrows every string. Must never touch a
   value: what the caller gave is what is signed and sent. */

enum { COMPSHARE__TEXT, COMPSHARE__INT, COMPSHARE__DECIMAL };

/* What the client adds to a call, in this order. */
enum {
    COMPSHARE__OWN_ACTION, COMPSHARE__OWN_PUBLIC_KEY, COMPSHARE__OWN_TOKEN, COMPSHARE__OWN_REGION,
    COMPSHARE__OWN_ZONE, COMPSHARE__OWN_PROJECT, COMPSHARE__OWN_SIGNATURE, COMPSHARE__OWN
};

typedef struct compshare__params {
    const compshare_param *given;       /* the caller's */
    compshare_param own[COMPSHARE__OWN];
    uint16_t sorted[COMPSHARE_MAX_PARAMS + COMPSHARE__OWN];     /* index into given, or behind its most, into own */
    size_t count;
    char signature[41];         /* "": not signed yet */
} compshare__params;
typedef char compshare__assert_params[COMPSHARE_MAX_PARAMS >= COMPSHARE__TYPED_PARAMS
    && COMPSHARE_MAX_PARAMS + COMPSHARE__OWN <= 65535 ? 1 : -1];

/* The i-th in order of names. */
static const compshare_param *compshare__params_at(const compshare__params *set, size_t i)
{
    size_t index = set->sorted[i];
    return index < COMPSHARE_MAX_PARAMS ? &set->given[index] : &set->own[index - COMPSHARE_MAX_PARAMS];
}

static compshare_param compshare__param(const char *key, const char *text, int64_t number, unsigned kind)
{
    compshare_param p;
    p.key = key;
    p.text = text;
    p.number = number;
    p.kind = kind;
    return p;
}

/* What is signed and sent, in order: a name, its value, the next name, ... */
static compshare_view compshare__params_part(const compshare__params *set, size_t part, char scratch[24])
{
    const compshare_param *p = compshare__params_at(set, part / 2);
    compshare_view v;
    if (part % 2 != 0 && p->kind == COMPSHARE__INT) return compshare__bytes_decimal(scratch, p->number);
    v.ptr = part % 2 != 0 ? p->text : p->key;
    v.len = strlen(v.ptr);
    return v;
}

/* Names and values are signed without separators, so free text in these could
   be re-split by whoever can change what is sent. */
static bool compshare__param_is_identifier(const char *key)
{
    return compshare__bytes_listed(key, "Action\0Region\0Zone\0ProjectId\0UHostId\0UHostIds\0")
        || (compshare__bytes_begins(key, "UHostIds.") && key[9] != '\0');
}

/* -?digits with an optional fraction that does not end in 0. */
static bool compshare__param_is_decimal(const char *s)
{
    static const char digits[] = "0123456789";
    size_t whole, fraction;
    bool negative = *s == '-';
    if (negative) s++;
    whole = compshare__bytes_span(s, digits, true);
    if (whole == 0 || (s[0] == '0' && (whole > 1 || (negative && s[1] == '\0')))) return false;
    s += whole;
    if (*s == '\0') return true;
    if (*s++ != '.') return false;
    fraction = compshare__bytes_span(s, digits, true);
    return fraction > 0 && s[fraction] == '\0' && s[fraction - 1] != '0';
}

/* NULL, or why the caller may not send this. */
static const char *compshare__param_refusal(const compshare_param *p)
{
    if (p->key == NULL || p->key[0] == '\0') return "its name is empty";
    if (p->kind > COMPSHARE__DECIMAL) return "it was not made by compshare_text, _int, _bool or _decimal";
    if (p->kind != COMPSHARE__INT && p->text == NULL) return "its value is NULL";
    if (compshare__bytes_listed(p->key, "Action\0PublicKey\0Signature\0SecurityToken\0")) return "the client itself adds it";
    if (p->kind == COMPSHARE__DECIMAL && !compshare__param_is_decimal(p->text))
        return "a decimal is digits, a point and digits that do not end in 0; no exponent";
    if (p->kind != COMPSHARE__INT && compshare__param_is_identifier(p->key)
        && !compshare__bytes_all(p->text, strlen(p->text), COMPSHARE__IDENTIFIER))
        return "only A-Z a-z 0-9 . _ - are allowed in it";
    return NULL;
}

/* Insertion sort: few parameters, mostly in order, no recursion. False: the name is
   there already. */
static bool compshare__params_insert(compshare__params *set, size_t index, const compshare_param *p)
{
    size_t at = set->count;
    int order = 1;
    while (at > 0 && (order = compshare__bytes_compare(compshare__params_at(set, at - 1)->key, p->key)) > 0) at--;
    if (order == 0) return false;
    memmove(set->sorted + at + 1, set->sorted + at, (set->count - at) * sizeof set->sorted[0]);
    set->sorted[at] = (uint16_t)index;
    set->count++;
    return true;
}

/* Takes the caller's parameters; own ones are added by compshare__params_own. */
static bool compshare__params_collect(compshare__params *set, const compshare_param *params, size_t count, compshare__text *why)
{
    size_t i;
    set->given = params;
    set->count = 0;
    set->signature[0] = '\0';
    if (count > COMPSHARE_MAX_PARAMS) {
        compshare__text_form(why, "%l parameters given, COMPSHARE_MAX_PARAMS is %d", (int64_t)count, (int)COMPSHARE_MAX_PARAMS);
        return false;
    }
    if (count > 0 && params == NULL) {
        compshare__text_put(why, "params is NULL");
        return false;
    }
    for (i = 0; i < count; i++) {
        const char *key = params[i].key, *reason = compshare__param_refusal(&params[i]);
        if (reason == NULL && !compshare__params_insert(set, i, &params[i])) reason = "it is given twice";
        if (reason == NULL) continue;
        if (key != NULL && key[0] != '\0') compshare__text_form(why, "parameter %s: %s", key, reason);
        else compshare__text_form(why, "parameter %l: %s", (int64_t)i, reason);
        return false;
    }
    return true;
}

/* The parameter of that name; NULL: none. */
static const compshare_param *compshare__params_find(const compshare__params *set, const char *key)
{
    size_t i;
    for (i = 0; i < set->count; i++)
        if (compshare__bytes_equal(compshare__params_at(set, i)->key, key))
            return compshare__params_at(set, i);
    return NULL;
}

/* Its text, if it is one. */
static const char *compshare__params_text(const compshare__params *set, const char *key)
{
    const compshare_param *p = compshare__params_find(set, key);
    return p != NULL ? p->text : NULL;
}

/* Adds one of the client's own parameters, unless it has no value or the caller gave
   one of that name. */
static void compshare__params_own(compshare__params *set, size_t which, const char *value)
{
    static const char *const keys[COMPSHARE__OWN] = {
        "Action", "PublicKey", "SecurityToken", "Region", "Zone", "ProjectId", "Signature"
    };
    compshare_param *p = &set->own[which];
    if (value == NULL) return;
    *p = compshare__param(keys[which], value, 0, COMPSHARE__TEXT);
    (void)compshare__params_insert(set, COMPSHARE_MAX_PARAMS + which, p);
}

/* ==== sign ===================================================================================
   Signature = lower-case hex SHA-1 of every name and raw value in order, then
   the private key (UCloud API, "signature"). Touches only its arguments. Must
   never build the text that is hashed: it ends with the private key. */

static void compshare__sign(compshare__params *set, const char *private_key)
{
    static const char digits[] = "0123456789abcdef";
    br_sha1_context sha1;
    unsigned char hash[br_sha1_SIZE];
    char scratch[24];
    size_t i;
    br_sha1_init(&sha1);
    for (i = 0; i < 2 * set->count; i++) {
        compshare_view part = compshare__params_part(set, i, scratch);
        br_sha1_update(&sha1, part.ptr, part.len);
    }
    br_sha1_update(&sha1, private_key, strlen(private_key));
    br_sha1_out(&sha1, hash);
    for (i = 0; i < sizeof hash; i++) {
        set->signature[2 * i] = digits[hash[i] >> 4];
        set->signature[2 * i + 1] = digits[hash[i] & 15];
    }
    set->signature[40] = '\0';
    compshare__bytes_wipe(&sha1, sizeof sha1);
    compshare__bytes_wipe(hash, sizeof hash);
    compshare__params_own(set, COMPSHARE__OWN_SIGNATURE, set->signature);
}

/* ==== encode =================================================================================
   Turns the sorted parameters into a form body, and writes the request head.
   The body is generated, piece by piece, straight into the buffer that is to be
   encrypted, as often as it must be sent. Touches only its arguments. Must never
   keep a copy: a signed body is as good as the key for what it asks. */

/* application/x-www-form-urlencoded: RFC 3986 2.3 unreserved bytes stay, space
   becomes '+', all else %XX. */
static size_t compshare__encode_length(const compshare__params *set)
{
    char scratch[24];
    size_t part, i, total = 0;
    for (part = 0; part < 2 * set->count; part++) {
        compshare_view v = compshare__params_part(set, part, scratch);
        total += v.len + (part > 0);        /* '=' or '&' */
        for (i = 0; (i += compshare__bytes_run(v.ptr + i, v.len - i, COMPSHARE__UNRESERVED)) < v.len; i++)
            if (v.ptr[i] != ' ') total += 2;
    }
    return total;
}

/* Where the generated body stands: which name or value, and which byte of it. */
typedef struct compshare__encoder {
    size_t part, byte;
} compshare__encoder;

/* Writes as much of the body as fits; 0 when it is complete. cap must be 3 or
   more for progress. */
static size_t compshare__encode_body(compshare__encoder *e, const compshare__params *set, unsigned char *dst, size_t cap)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    while (e->part < 2 * set->count && cap - n >= 3) {
        char scratch[24];
        compshare_view part = compshare__params_part(set, e->part, scratch);
        while (e->byte < part.len && cap - n >= 3) {
            const char *from = part.ptr + e->byte;
            size_t left = part.len - e->byte, run = compshare__bytes_run(from, left < cap - n ? left : cap - n, COMPSHARE__UNRESERVED);
            memcpy(dst + n, from, run);
            n += run;
            e->byte += run;
            if (run == left || cap - n < 3) break;
            e->byte++;
            if (from[run] == ' ') { dst[n++] = '+'; continue; }
            dst[n++] = '%';
            dst[n++] = (unsigned char)digits[(unsigned char)from[run] >> 4];
            dst[n++] = (unsigned char)digits[from[run] & 15];
        }
        if (e->byte < part.len || (cap == n && e->part + 1 < 2 * set->count)) break;
        e->byte = 0;
        if (++e->part < 2 * set->count) dst[n++] = e->part % 2 != 0 ? '=' : '&';
    }
    return n;
}

typedef struct compshare__head {
    const char *host;
    uint16_t port;              /* 0: the scheme's own, not shown */
    compshare_view path;
    const char *user_agent;
    size_t content_length;
    int64_t timestamp_ms;
    bool csv;
} compshare__head;

/* RFC 9112 3 and 5. No Accept-Encoding: nothing here can decompress. */
static size_t compshare__encode_head(const compshare__head *h, char *dst, size_t cap)
{
    compshare__text t = compshare__text_into(dst, cap);
    compshare__text_put(&t, "POST ");
    compshare__text_bytes(&t, h->path.ptr, h->path.len);
    compshare__text_form(&t, " HTTP/1.1\r\nHost: %s", h->host);
    if (h->port != 0) compshare__text_form(&t, ":%d", h->port);
    compshare__text_form(&t, "\r\nUser-Agent: %s\r\nAccept: application/json%s\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %l\r\nU-Timestamp-Ms: %l\r\n\r\n",
        h->user_agent, h->csv ? ", text/csv" : "", (int64_t)h->content_length, h->timestamp_ms);
    return t.len;
}

/* base64 of credentials whose percent-escapes are good, RFC 7617 2: "user" alone has
   an empty password. */
static void compshare__encode_basic(compshare__text *t, compshare_view credentials)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned have = 0;
    size_t i = 0, start = t->len;
    bool colon = false;
    while (i < credentials.len || !colon) {
        char c = ':';
        if (i < credentials.len) c = credentials.ptr[i++];
        colon = colon || c == ':';
        if (c == '%') {
            const unsigned char *hex = (const unsigned char *)credentials.ptr + i;
            c = (char)(compshare__bytes_hex(hex[0]) << 4 | compshare__bytes_hex(hex[1]));
            i += 2;
        }
        bits = bits << 8 | (unsigned char)c;
        for (have += 8; have >= 6; have -= 6) compshare__text_bytes(t, &digits[bits >> (have - 6) & 63], 1);
    }
    if (have > 0) compshare__text_bytes(t, &digits[bits << (6 - have) & 63], 1);
    while ((t->len - start) % 4 != 0) compshare__text_put(t, "=");
}

/* RFC 9110 9.3.6: asks a proxy for a tunnel. */
static size_t compshare__encode_connect(const char *host, uint16_t port, compshare_view credentials, char *dst, size_t cap)
{
    compshare__text t = compshare__text_into(dst, cap);
    compshare__text_form(&t, "CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n", host, port, host, port);
    if (credentials.len > 0) {
        compshare__text_put(&t, "Proxy-Authorization: Basic ");
        compshare__encode_basic(&t, credentials);
        compshare__text_put(&t, "\r\n");
    }
    compshare__text_put(&t, "\r\n");
    return t.len;
}
typedef char compshare__assert_connect[2 * COMPSHARE__HOST_MAX + COMPSHARE__CREDENTIALS_MAX * 4 / 3 + 90 < COMPSHARE__TX ? 1 : -1];

/* The longest head that the limits allow; it must fit one small record. */
#define COMPSHARE__HEAD_MOST (COMPSHARE__PATH_MAX + COMPSHARE__HOST_MAX + COMPSHARE__USER_AGENT_MAX + 320u)
typedef char compshare__assert_head[COMPSHARE__HEAD_MOST < 4096 ? 1 : -1];

/* ==== http ===================================================================================
   Reads one response, RFC 9112, from bytes that arrive in any pieces. Pure:
   touches only its own state. Must never guess: a length that is not certain, a
   line that does not end in CRLF, two ways to find the end of the body are
   errors, because the reply to a signed request decides what a person believes. */

/* First the states of a head, then those around a chunk, then those of a body. */
enum {
    COMPSHARE__HTTP_VERSION, COMPSHARE__HTTP_CODE, COMPSHARE__HTTP_REASON, COMPSHARE__HTTP_LINE_LF,
    COMPSHARE__HTTP_LINE, COMPSHARE__HTTP_NAME, COMPSHARE__HTTP_VALUE, COMPSHARE__HTTP_HEAD_LF,
    COMPSHARE__HTTP_SIZE, COMPSHARE__HTTP_SIZE_SPACE, COMPSHARE__HTTP_EXT, COMPSHARE__HTTP_SIZE_LF,
    COMPSHARE__HTTP_CHUNK_CR, COMPSHARE__HTTP_CHUNK_LF,
    COMPSHARE__HTTP_FIXED, COMPSHARE__HTTP_TO_CLOSE, COMPSHARE__HTTP_CHUNK,
    COMPSHARE__HTTP_DONE, COMPSHARE__HTTP_FAILED
};

typedef struct compshare__http {
    int state;
    int status;                 /* 0 until the status line gave it */
    int minor;                  /* HTTP/1.minor */
    const char *reason;         /* why it failed */
    size_t digits;              /* of the part being read */
    size_t head_bytes, line_bytes, ext_bytes;
    unsigned interim;           /* 1xx responses skipped */
    bool tunnel;                /* the reply to a CONNECT: its head is all there is */
    bool trailer;               /* header lines now belong to the trailer section */
    bool has_length, chunked, has_coding;
    bool saw_close, saw_keep_alive;
    bool keep_alive;            /* the connection may carry another request */
    bool encoded;               /* Content-Encoding other than identity */
    uint64_t length;            /* Content-Length, or size of the current chunk; first, the status code */
    uint64_t received;          /* body bytes so far */
    int64_t date;               /* Date, 0 if absent or unreadable */
    int64_t retry_after_s;      /* Retry-After in seconds, -1 if absent */
    int64_t retry_after_date;   /* Retry-After as a date, 0 if absent */
    bool pending;               /* a header line is complete but may be folded */
    bool value_overflow;
    int field;                  /* of the line being read: its row in the table of fields */
    size_t name_len, value_len;
    char name[32], value[160];
    char content_type[64];      /* media type in lower case, without parameters */
    char request_id[64];        /* X-UCLOUD-REQUEST-UUID, printable ASCII */
} compshare__http;

static void compshare__http_init(compshare__http *h, bool tunnel)
{
    memset(h, 0, sizeof *h);
    h->retry_after_s = -1;
    h->tunnel = tunnel;
}

static void compshare__http_fail(compshare__http *h, const char *reason)
{
    h->state = COMPSHARE__HTTP_FAILED;
    h->reason = reason;
}

/* ---- Date: the three forms of RFC 9110 5.6.7 ---- */

static int compshare__http_month(const char *name)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int i;
    for (i = 0; i < 12; i++)
        if (memcmp(names + 3 * i, name, 3) == 0) return i + 1;
    return 0;
}

/* Reads v by a form: 0 year, 1 month's name, 2 day, 3 hour, 4 minute, 5 second,
   _ a day's first digit or a space, ? a letter; anything else stands for itself. */
static bool compshare__http_date_form(compshare_view v, const char *form, int field[6])
{
    size_t i;
    if (v.len != strlen(form)) return false;
    for (i = 0; i < v.len; i++) {
        char f = form[i], c = v.ptr[i];
        if (f == '_') { f = '2'; c = c == ' ' ? '0' : c; }
        if (f == '1') {
            if (field[1] == 0 && (field[1] = compshare__http_month(v.ptr + i)) == 0) return false;
        } else if (compshare__bytes_digit(f)) {
            if (!compshare__bytes_digit(c)) return false;
            field[f - '0'] = field[f - '0'] * 10 + (c - '0');
        } else if (f == '?' ? !compshare__bytes_letter(c) : f != c) {
            return false;
        }
    }
    return true;
}

/* Seconds since 1970 UTC, or 0. A two-digit year from 70 on is 19xx. */
static int64_t compshare__http_date(compshare_view v)
{
    const char *form = "??? 111 _2 33:44:55 0000";
    int f[6] = { 0, 0, 0, 0, 0, 0 }, years, days;
    size_t comma = 0;
    while (comma < v.len && v.ptr[comma] != ',') comma++;
    if (comma == 3) form = "???, 22 111 0000 33:44:55 GMT";
    if (comma >= 6 && comma <= 9) {     /* a whole weekday's name: RFC 850 */
        form = ", 22-111-00 33:44:55 GMT";
        v.ptr += comma;
        v.len -= comma;
    }
    if (!compshare__http_date_form(v, form, f)) return 0;
    if (*form == ',') f[0] += f[0] < 70 ? 2000 : 1900;
    if (f[0] < 1970 || f[2] < 1 || f[2] > compshare__bytes_days(f[0], f[1]) || f[3] > 23 || f[4] > 59 || f[5] > 60) return 0;
    years = f[0] - (f[1] < 3);          /* that begin with March, so that a leap day is the last: then months follow a line */
    days = 365 * years + years / 4 - years / 100 + years / 400 + (153 * ((f[1] + 9) % 12) + 2) / 5 + f[2] - 719469;
    return (int64_t)days * 86400 + (f[3] * 60 + f[4]) * 60 + f[5];
}

/* ---- header fields: each function returns NULL, or why the reply is malformed ---- */

static bool compshare__http_is_blank(int c)
{
    return c == ' ' || c == '\t';
}

static compshare_view compshare__http_trim(const char *ptr, size_t len)
{
    compshare_view v;
    while (len > 0 && compshare__http_is_blank(ptr[len - 1])) len--;
    while (len > 0 && compshare__http_is_blank(*ptr)) { ptr++; len--; }
    v.ptr = ptr;
    v.len = len;
    return v;
}

/* Takes the next element of a comma-separated list off v. True: another follows. */
static bool compshare__http_element(compshare_view *v, compshare_view *element)
{
    size_t len = 0;
    bool more;
    while (len < v->len && v->ptr[len] != ',') len++;
    more = len < v->len;
    *element = compshare__http_trim(v->ptr, len);
    v->ptr += len + more;
    v->len -= len + more;
    return more;
}

static bool compshare__http_is(compshare_view v, const char *lower)
{
    size_t i;
    if (v.len != strlen(lower)) return false;
    for (i = 0; i < v.len; i++)
        if (compshare__bytes_lower(v.ptr[i]) != lower[i]) return false;
    return true;
}

/* RFC 9110 8.6: digits only. A list of equal lengths counts as one, RFC 9112
   6.3(5); any two that differ are fatal, on one line or on two. */
static const char *compshare__http_content_length(compshare__http *h, compshare_view v)
{
    bool more;
    do {
        compshare_view e;
        uint64_t length;
        more = compshare__http_element(&v, &e);
        if (e.len == 0) return "Content-Length is empty";
        if (!compshare__bytes_number(e, UINT64_MAX, &length)) return "Content-Length is not a decimal number of at most 64 bits";
        if (h->has_length && h->length != length) return "two Content-Length values differ";
        h->has_length = true;
        h->length = length;
    } while (more);
    return NULL;
}

static const char *compshare__http_transfer_encoding(compshare__http *h, compshare_view v)
{
    if (h->has_coding || !compshare__http_is(v, "chunked")) return "Transfer-Encoding is not exactly \"chunked\"";
    h->has_coding = true;
    return NULL;
}

static const char *compshare__http_connection(compshare__http *h, compshare_view v)
{
    bool more;
    do {
        compshare_view e;
        more = compshare__http_element(&v, &e);
        if (compshare__http_is(e, "close")) h->saw_close = true;
        if (compshare__http_is(e, "keep-alive")) h->saw_keep_alive = true;
    } while (more);
    if (h->value_overflow) h->saw_close = true;
    return NULL;
}

static const char *compshare__http_content_encoding(compshare__http *h, compshare_view v)
{
    h->encoded = h->encoded || !compshare__http_is(v, "identity");
    return NULL;
}

/* Printable ASCII, as far as it fits; nothing if there is a '=' in it: then it is a
   request's body, sent back, which must not come into an error. */
static void compshare__http_keep(char dst[64], const char *src, size_t len)
{
    size_t n, most = len < 63 ? len : 63;
    if (compshare__bytes_find(src, len, '=') < len) most = 0;
    for (n = 0; n < most; n++) dst[n] = src[n] > 0x20 && src[n] < 0x7F ? src[n] : '?';
    dst[n] = '\0';
}

static const char *compshare__http_content_type(compshare__http *h, compshare_view v)
{
    size_t len = 0;
    char *c;
    while (len < v.len && v.ptr[len] != ';' && !compshare__http_is_blank(v.ptr[len])) len++;
    compshare__http_keep(h->content_type, v.ptr, len);
    for (c = h->content_type; *c != '\0'; c++) *c = compshare__bytes_lower(*c);
    return NULL;
}

static const char *compshare__http_date_field(compshare__http *h, compshare_view v)
{
    h->date = compshare__http_date(v);
    return NULL;
}

static const char *compshare__http_retry_after(compshare__http *h, compshare_view v)
{
    int64_t seconds = 0;
    size_t i;
    for (i = 0; i < v.len && compshare__bytes_digit(v.ptr[i]); i++)
        if (seconds < INT32_MAX) seconds = seconds * 10 + (v.ptr[i] - '0');
    if (i == v.len && i > 0) h->retry_after_s = seconds < INT32_MAX ? seconds : INT32_MAX;
    else h->retry_after_date = compshare__http_date(v);
    return NULL;
}

static const char *compshare__http_request_id(compshare__http *h, compshare_view v)
{
    compshare__http_keep(h->request_id, v.ptr, v.len);
    return NULL;
}

/* The fields that matter: the first two say where the body ends. */
static const struct {
    const char *name;
    const char *(*take)(compshare__http *h, compshare_view v);
} compshare__http_fields[] = {
    { "content-length", compshare__http_content_length },
    { "transfer-encoding", compshare__http_transfer_encoding },
    { "connection", compshare__http_connection },
    { "content-encoding", compshare__http_content_encoding },
    { "content-type", compshare__http_content_type },
    { "date", compshare__http_date_field },
    { "retry-after", compshare__http_retry_after },
    { "x-ucloud-request-uuid", compshare__http_request_id }
};
#define COMPSHARE__HTTP_FIELDS ((int)(sizeof compshare__http_fields / sizeof compshare__http_fields[0]))

/* A name is complete. Trailer fields are checked for form and dropped: RFC 9110 6.5.1
   forbids merging them. */
static void compshare__http_name(compshare__http *h)
{
    h->name[h->name_len] = '\0';
    h->field = h->trailer ? COMPSHARE__HTTP_FIELDS : 0;
    while (h->field < COMPSHARE__HTTP_FIELDS && (h->name[0] != compshare__http_fields[h->field].name[0]
        || !compshare__bytes_equal(h->name, compshare__http_fields[h->field].name))) h->field++;
    h->state = COMPSHARE__HTTP_VALUE;
}

/* A header line is complete. Of a tunnel there is no body, and what says where that ends is
   ignored, in any form: RFC 9110 9.3.6. */
static const char *compshare__http_line(compshare__http *h)
{
    h->pending = false;
    if (h->field == COMPSHARE__HTTP_FIELDS || (h->tunnel && h->field < 2)) return NULL;
    if (h->value_overflow && h->field < 2) return "a Content-Length or Transfer-Encoding header is too long";
    return compshare__http_fields[h->field].take(h, compshare__http_trim(h->value, h->value_len));
}

/* The head is complete: how does the body end? RFC 9112 6.3. */
static const char *compshare__http_framing(compshare__http *h)
{
    if (h->status == 101) {
        h->status = 0;
        return "101 Switching Protocols was not asked for";
    }
    if (h->status < 200) {
        unsigned interim = h->interim + 1;
        compshare__http_init(h, h->tunnel);
        h->interim = interim;
        return interim > COMPSHARE__HTTP_INTERIM_MAX ? "too many 1xx responses" : NULL;
    }
    h->keep_alive = !h->saw_close && (h->minor >= 1 || h->saw_keep_alive);
    h->chunked = h->has_coding;
    h->digits = 0;
    h->state = COMPSHARE__HTTP_DONE;
    if (h->tunnel || h->status == 204 || h->status == 304) return NULL;
    if (h->chunked && h->has_length) return "both Transfer-Encoding and Content-Length are present";
    if (h->chunked && h->minor == 0) return "Transfer-Encoding in an HTTP/1.0 response";
    if (h->chunked) h->state = COMPSHARE__HTTP_SIZE;
    else if (h->length > 0) h->state = COMPSHARE__HTTP_FIXED;
    else if (!h->has_length) {
        h->keep_alive = false;
        h->state = COMPSHARE__HTTP_TO_CLOSE;
    }
    return NULL;
}

/* ---- one byte of a head: NULL, or why it is malformed ---- */

static const char *compshare__http_version_byte(compshare__http *h, unsigned char c)
{
    static const char form[] = "HTTP/1.# ";
    if (h->digits == 7 && compshare__bytes_digit(c)) h->minor = c - '0';
    else if (h->digits == 7 || c != (unsigned char)form[h->digits]) return "the reply does not begin with an HTTP/1 status line";
    if (++h->digits == 9) { h->digits = 0; h->state = COMPSHARE__HTTP_CODE; }
    return NULL;
}

static const char *compshare__http_code_byte(compshare__http *h, unsigned char c)
{
    if (h->digits < 3 && compshare__bytes_digit(c)) {
        h->length = h->length * 10 + (uint64_t)(c - '0');
        h->digits++;
        return NULL;
    }
    if (h->digits != 3 || h->length < 100 || h->length >= 600 || (c != ' ' && c != '\r'))
        return "the status code is not three digits from 100 to 599";
    h->state = c == ' ' ? COMPSHARE__HTTP_REASON : COMPSHARE__HTTP_LINE_LF;
    return NULL;
}

static const char *compshare__http_reason_byte(compshare__http *h, unsigned char c)
{
    if (c == '\r') h->state = COMPSHARE__HTTP_LINE_LF;
    return c == '\n' || c == '\0' ? "the status line holds a bare LF or a NUL" : NULL;
}

static const char *compshare__http_name_byte(compshare__http *h, unsigned char c)
{
    if (c == ':') compshare__http_name(h);
    else if (!compshare__bytes_in(c, COMPSHARE__TOKEN)) return "a header name holds a character that is not allowed, or has no colon";
    else if (h->name_len < sizeof h->name - 1) h->name[h->name_len++] = compshare__bytes_lower((char)c);
    else h->name[0] = ' ';          /* longer than any name that matters: match none */
    return NULL;
}

/* First byte of a line: the end of the head, a folded value, or a new field. */
static const char *compshare__http_line_byte(compshare__http *h, unsigned char c)
{
    const char *reason = NULL;
    if (h->pending && compshare__http_is_blank(c)) {    /* obs-fold becomes a space, RFC 9112 5.2 */
        h->state = COMPSHARE__HTTP_VALUE;
        if (h->value_len > 0 && h->value_len < sizeof h->value) h->value[h->value_len++] = ' ';
        return NULL;
    }
    if (h->pending) reason = compshare__http_line(h);
    if (reason != NULL) return reason;
    if (c == '\r') { h->state = COMPSHARE__HTTP_HEAD_LF; return NULL; }
    if (!compshare__bytes_in(c, COMPSHARE__TOKEN)) return "a header line does not begin with a name";
    h->name_len = h->value_len = 0;
    h->value_overflow = false;
    h->state = COMPSHARE__HTTP_NAME;
    return compshare__http_name_byte(h, c);
}

/* Adds to the value what fits; only blanks at its end may be more. */
static void compshare__http_value_bytes(compshare__http *h, const unsigned char *src, size_t len)
{
    size_t room = sizeof h->value - h->value_len;
    while (len > room && compshare__http_is_blank(src[len - 1])) len--;
    if (len > room) { h->value_overflow = true; len = room; }
    memcpy(h->value + h->value_len, src, len);
    h->value_len += len;
}

static const char *compshare__http_value_byte(compshare__http *h, unsigned char c)
{
    if (c == '\n' || c == '\0') return "a header line holds a bare LF or a NUL";
    if (c == '\r') { h->pending = true; h->state = COMPSHARE__HTTP_LINE_LF; }
    else if (h->value_len > 0 || !compshare__http_is_blank(c)) compshare__http_value_bytes(h, &c, 1);
    return NULL;
}

/* Takes the bytes that only go on with a name or a value: one by one they would cost
   four times as much. Returns how many. */
static size_t compshare__http_run(compshare__http *h, const unsigned char *src, size_t len)
{
    size_t n = 0, blanks;
    if (len > COMPSHARE__HTTP_HEAD_MAX - h->head_bytes) len = COMPSHARE__HTTP_HEAD_MAX - h->head_bytes;
    if (len > COMPSHARE__HTTP_LINE_MAX - h->line_bytes) len = COMPSHARE__HTTP_LINE_MAX - h->line_bytes;
    if (h->state == COMPSHARE__HTTP_NAME) {
        if (len > sizeof h->name - 1 - h->name_len) len = sizeof h->name - 1 - h->name_len;
        for (; n < len && compshare__bytes_in(src[n], COMPSHARE__TOKEN); n++)
            h->name[h->name_len + n] = compshare__bytes_lower((char)src[n]);
        h->name_len += n;
    } else {
        while (n < len && h->value_len == 0 && src[n] == ' ') n++;
        for (blanks = n; n < len && src[n] >= ' ';) n++;
        if (h->field < COMPSHARE__HTTP_FIELDS) compshare__http_value_bytes(h, src + blanks, n - blanks);
    }
    h->head_bytes += n;
    h->line_bytes += n;
    return n;
}

static const char *compshare__http_head_byte(compshare__http *h, unsigned char c)
{
    if (++h->head_bytes > COMPSHARE__HTTP_HEAD_MAX) return "the head or trailer is longer than 32,768 bytes";
    if (++h->line_bytes > COMPSHARE__HTTP_LINE_MAX) return "a line of the head is longer than 8,192 bytes";
    switch (h->state) {
    case COMPSHARE__HTTP_VERSION: return compshare__http_version_byte(h, c);
    case COMPSHARE__HTTP_CODE: return compshare__http_code_byte(h, c);
    case COMPSHARE__HTTP_REASON: return compshare__http_reason_byte(h, c);
    case COMPSHARE__HTTP_LINE: return compshare__http_line_byte(h, c);
    case COMPSHARE__HTTP_NAME: return compshare__http_name_byte(h, c);
    case COMPSHARE__HTTP_VALUE: return compshare__http_value_byte(h, c);
    default: break;             /* after a CR */
    }
    if (c != '\n') return "a CR is not followed by LF";
    h->line_bytes = 0;
    if (h->state == COMPSHARE__HTTP_HEAD_LF && !h->trailer) return compshare__http_framing(h);
    h->state = h->state == COMPSHARE__HTTP_HEAD_LF ? COMPSHARE__HTTP_DONE : COMPSHARE__HTTP_LINE;
    if (h->status == 0) {       /* the status line is complete only now */
        h->status = (int)h->length;
        h->length = 0;
    }
    return NULL;
}

/* ---- one byte around a chunk, RFC 9112 7.1: NULL, or why it is malformed ---- */

static const char *compshare__http_ext_byte(compshare__http *h, unsigned char c)
{
    if (c == '\r') { h->state = COMPSHARE__HTTP_SIZE_LF; return NULL; }
    if ((c < 0x20 && c != '\t') || c == 0x7F) return "a chunk extension holds a control character";
    return ++h->ext_bytes > COMPSHARE__HTTP_EXT_MAX ? "chunk extensions are longer than 4,096 bytes" : NULL;
}

static const char *compshare__http_size_byte(compshare__http *h, unsigned char c)
{
    int digit = compshare__bytes_hex(c);
    bool in_size = h->state == COMPSHARE__HTTP_SIZE;
    if (in_size && digit >= 0) {
        if (h->length >> 60) return "a chunk size has more than 64 bits";
        h->length = (h->length << 4) | (uint64_t)digit;
        return ++h->digits > 64 ? "a chunk size has more than 64 digits" : NULL;
    }
    if (h->digits == 0) return "a chunk size is missing";
    if (c == ';') { h->state = COMPSHARE__HTTP_EXT; return NULL; }
    if (compshare__http_is_blank(c)) h->state = COMPSHARE__HTTP_SIZE_SPACE;
    else if (c != '\r' || !in_size) return "a chunk size is not a hexadecimal number";
    return compshare__http_ext_byte(h, c);      /* the blank counts as part of the extensions */
}

static const char *compshare__http_chunk_byte(compshare__http *h, unsigned char c)
{
    switch (h->state) {
    case COMPSHARE__HTTP_SIZE:
    case COMPSHARE__HTTP_SIZE_SPACE: return compshare__http_size_byte(h, c);
    case COMPSHARE__HTTP_EXT: return compshare__http_ext_byte(h, c);
    case COMPSHARE__HTTP_CHUNK_CR:
        h->state = COMPSHARE__HTTP_CHUNK_LF;
        return c != '\r' ? "chunk data is longer than its size" : NULL;
    default: break;             /* after a CR */
    }
    if (c != '\n') return "a CR is not followed by LF";
    if (h->state == COMPSHARE__HTTP_CHUNK_LF) {
        h->digits = 0;
        h->state = COMPSHARE__HTTP_SIZE;
    } else if (h->length > 0) {
        h->state = COMPSHARE__HTTP_CHUNK;
    } else {
        h->trailer = true;
        h->head_bytes = 0;
        h->state = COMPSHARE__HTTP_LINE;
    }
    return NULL;
}

/* ---- the whole ---- */

/* Takes bytes from src and returns how many. Stops after a piece of body, which
   is then *body; call again with the rest. Done or failed: see state. */
static size_t compshare__http_feed(compshare__http *h, const unsigned char *src, size_t len, compshare_view *body)
{
    size_t i = 0, n;
    body->ptr = NULL;
    body->len = 0;
    while (i < len && h->state < COMPSHARE__HTTP_FIXED) {
        const char *reason;
        if (h->state == COMPSHARE__HTTP_NAME || h->state == COMPSHARE__HTTP_VALUE) i += compshare__http_run(h, src + i, len - i);
        if (i == len) break;
        reason = h->state < COMPSHARE__HTTP_SIZE ? compshare__http_head_byte(h, src[i]) : compshare__http_chunk_byte(h, src[i]);
        i++;
        if (reason != NULL) compshare__http_fail(h, reason);
    }
    if (i == len || h->state >= COMPSHARE__HTTP_DONE) return i;
    n = len - i;
    if (h->state != COMPSHARE__HTTP_TO_CLOSE) {
        if (n > h->length) n = (size_t)h->length;
        h->length -= n;
        if (h->length == 0) h->state = h->chunked ? COMPSHARE__HTTP_CHUNK_CR : COMPSHARE__HTTP_DONE;
    }
    h->received += n;
    body->ptr = (const char *)src + i;
    body->len = n;
    return i + n;
}

/* The stream ended. orderly: after close_notify, so that nothing was cut off. */
static void compshare__http_end(compshare__http *h, bool orderly)
{
    if (h->state >= COMPSHARE__HTTP_DONE) return;
    if (h->state == COMPSHARE__HTTP_TO_CLOSE && orderly) {
        h->state = COMPSHARE__HTTP_DONE;
        return;
    }
    compshare__http_fail(h,
        h->state == COMPSHARE__HTTP_TO_CLOSE ? "the connection was cut: no length was given and no close_notify came"
        : h->state == COMPSHARE__HTTP_VERSION && h->digits == 0 ? "the connection was closed without a reply"
        : h->state < COMPSHARE__HTTP_SIZE && !h->trailer ? "the connection was closed in the middle of the reply's head"
        : "the connection was closed in the middle of the reply's body");
}

/* ==== json ===================================================================================
   Strict validator (RFC 8259), fed byte by byte, without recursion; the splitter
   that holds one array element at a time; jsmn's tokens and what reads them.
   Pure: touches only its arguments. Must never hand anything to jsmn that the
   validator has not passed: jsmn is a tokenizer and takes much that is not JSON. */

enum {
    COMPSHARE__JSON_VALUE, COMPSHARE__JSON_FIRST_VALUE, COMPSHARE__JSON_KEY, COMPSHARE__JSON_FIRST_KEY,
    COMPSHARE__JSON_COLON, COMPSHARE__JSON_AFTER, COMPSHARE__JSON_END, COMPSHARE__JSON_FAILED,
    COMPSHARE__JSON_STRING, COMPSHARE__JSON_ESCAPE, COMPSHARE__JSON_HEX, COMPSHARE__JSON_UTF8, COMPSHARE__JSON_LITERAL,
    COMPSHARE__JSON_MINUS, COMPSHARE__JSON_POINT, COMPSHARE__JSON_E, COMPSHARE__JSON_E_SIGN,
    COMPSHARE__JSON_ZERO, COMPSHARE__JSON_INT, COMPSHARE__JSON_FRACTION, COMPSHARE__JSON_EXPONENT   /* a number may end here */
};

/* What one byte did. */
#define COMPSHARE__JSON_BEGIN 1u        /* a value, or a key, begins with it */
#define COMPSHARE__JSON_ENDS 2u         /* a value, or a key, ends with it */
#define COMPSHARE__JSON_IS_KEY 4u       /* the two above: it is a key */
#define COMPSHARE__JSON_NUMBER_END 8u   /* a number ended before it */

typedef struct compshare__json {
    int state;
    int depth;
    uint64_t kinds;             /* of the open containers, the innermost in bit 0: 1 is an object */
    bool is_key;                /* the string being read is a key */
    unsigned left;              /* hex digits or UTF-8 bytes still to come */
    unsigned char low, high;    /* range of the next UTF-8 byte */
    const char *literal;        /* rest of true, false, null */
    size_t tokens;              /* values and keys so far */
    uint64_t at;                /* bytes taken */
    const char *reason;
} compshare__json;

static void compshare__json_init(compshare__json *j)
{
    memset(j, 0, sizeof *j);
}

static unsigned compshare__json_fail(compshare__json *j, const char *reason)
{
    j->state = COMPSHARE__JSON_FAILED;
    j->reason = reason;
    return 0;
}

static unsigned compshare__json_end_value(compshare__json *j)
{
    j->state = j->depth > 0 ? COMPSHARE__JSON_AFTER : COMPSHARE__JSON_END;
    return COMPSHARE__JSON_ENDS;
}

static unsigned compshare__json_open(compshare__json *j, bool object)
{
    if (j->depth == COMPSHARE__JSON_DEPTH_MAX) return compshare__json_fail(j, "it is nested deeper than 64 levels");
    j->depth++;
    j->kinds = j->kinds << 1 | object;
    j->state = object ? COMPSHARE__JSON_FIRST_KEY : COMPSHARE__JSON_FIRST_VALUE;
    return COMPSHARE__JSON_BEGIN;
}

static unsigned compshare__json_close(compshare__json *j, bool object)
{
    if ((j->kinds & 1) != object) return compshare__json_fail(j, "a bracket does not match");
    j->depth--;
    j->kinds >>= 1;
    return compshare__json_end_value(j);
}

static unsigned compshare__json_begin(compshare__json *j, unsigned char c)
{
    j->tokens++;
    switch (c) {
    case '{': return compshare__json_open(j, true);
    case '[': return compshare__json_open(j, false);
    case '"': j->is_key = false; j->state = COMPSHARE__JSON_STRING; break;
    case 't':
    case 'f':
    case 'n':
        j->literal = c == 't' ? "rue" : c == 'f' ? "alse" : "ull";
        j->state = COMPSHARE__JSON_LITERAL;
        break;
    case '-': j->state = COMPSHARE__JSON_MINUS; break;
    case '0': j->state = COMPSHARE__JSON_ZERO; break;
    default:
        if (!compshare__bytes_digit(c)) return compshare__json_fail(j, "a value is expected");
        j->state = COMPSHARE__JSON_INT;
    }
    return COMPSHARE__JSON_BEGIN;
}

/* First byte of a UTF-8 character: RFC 3629 4, without surrogates and overlongs. */
static unsigned compshare__json_utf8(compshare__json *j, unsigned char c)
{
    if (c < 0xC2 || c > 0xF4) return compshare__json_fail(j, "it is not UTF-8");
    j->left = (unsigned)compshare__bytes_utf8(c) - 1;
    j->low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    j->high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    j->state = COMPSHARE__JSON_UTF8;
    return 0;
}

static unsigned compshare__json_string_end(compshare__json *j)
{
    if (!j->is_key) return compshare__json_end_value(j);
    j->state = COMPSHARE__JSON_COLON;
    return COMPSHARE__JSON_ENDS | COMPSHARE__JSON_IS_KEY;
}

/* A byte inside a string or a literal. Lone surrogate escapes pass: a name that
   a user chose must not make a whole list unreadable. */
static unsigned compshare__json_string_byte(compshare__json *j, unsigned char c)
{
    switch (j->state) {
    case COMPSHARE__JSON_STRING:
        if (c == '"') return compshare__json_string_end(j);
        if (c == '\\') j->state = COMPSHARE__JSON_ESCAPE;
        else if (c < 0x20) return compshare__json_fail(j, "a string holds a control character");
        else if (c >= 0x80) return compshare__json_utf8(j, c);
        return 0;
    case COMPSHARE__JSON_ESCAPE:
        if (c == 'u') { j->left = 4; j->state = COMPSHARE__JSON_HEX; return 0; }
        if (!compshare__bytes_among((char)c, "\"\\/bfnrt")) return compshare__json_fail(j, "a string holds an unknown escape");
        j->state = COMPSHARE__JSON_STRING;
        return 0;
    case COMPSHARE__JSON_HEX:
        if (compshare__bytes_hex(c) < 0) return compshare__json_fail(j, "\\u is not followed by four hexadecimal digits");
        if (--j->left == 0) j->state = COMPSHARE__JSON_STRING;
        return 0;
    case COMPSHARE__JSON_UTF8:
        if (c < j->low || c > j->high) return compshare__json_fail(j, "it is not UTF-8");
        j->low = 0x80;
        j->high = 0xBF;
        if (--j->left == 0) j->state = COMPSHARE__JSON_STRING;
        return 0;
    default:
        if (c != (unsigned char)*j->literal) return compshare__json_fail(j, "a word other than true, false or null");
        return *++j->literal == '\0' ? compshare__json_end_value(j) : 0;
    }
}

/* Next state of a number, or 0 when c does not continue it. */
static int compshare__json_number_next(int state, unsigned char c)
{
    enum {
        zero = COMPSHARE__JSON_ZERO, digits = COMPSHARE__JSON_INT, point = COMPSHARE__JSON_POINT, fract = COMPSHARE__JSON_FRACTION,
        expo = COMPSHARE__JSON_E, expo_s = COMPSHARE__JSON_E_SIGN, expo_d = COMPSHARE__JSON_EXPONENT
    };
    static const unsigned char next[8][5] = {
        /* 0      1 to 9  .      e     + - */
        { zero,   digits, 0,     0,    0 },         /* after a minus */
        { fract,  fract,  0,     0,    0 },         /* after the point */
        { expo_d, expo_d, 0,     0,    expo_s },    /* after the e */
        { expo_d, expo_d, 0,     0,    0 },         /* after its sign */
        { 0,      0,      point, expo, 0 },         /* after a leading 0 */
        { digits, digits, point, expo, 0 },
        { fract,  fract,  0,     expo, 0 },
        { expo_d, expo_d, 0,     0,    0 }
    };
    const unsigned char *row = next[state - COMPSHARE__JSON_MINUS];
    if (compshare__bytes_digit(c)) return row[c != '0'];
    return c == '.' ? row[2] : (c | 0x20) == 'e' ? row[3] : c == '+' || c == '-' ? row[4] : 0;
}

static bool compshare__json_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A byte between values. */
static unsigned compshare__json_structure_byte(compshare__json *j, unsigned char c)
{
    if (compshare__json_is_space((char)c)) return 0;
    switch (j->state) {
    case COMPSHARE__JSON_FIRST_VALUE:
        if (c == ']') return compshare__json_close(j, false);
        return compshare__json_begin(j, c);
    case COMPSHARE__JSON_VALUE:
        return compshare__json_begin(j, c);
    case COMPSHARE__JSON_FIRST_KEY:
    case COMPSHARE__JSON_KEY:
        if (c == '}' && j->state != COMPSHARE__JSON_KEY) return compshare__json_close(j, true);
        if (c != '"') return compshare__json_fail(j, "a member name is expected");
        j->tokens++;
        j->is_key = true;
        j->state = COMPSHARE__JSON_STRING;
        return COMPSHARE__JSON_BEGIN | COMPSHARE__JSON_IS_KEY;
    case COMPSHARE__JSON_COLON:
        if (c != ':') return compshare__json_fail(j, "a colon is expected");
        j->state = COMPSHARE__JSON_VALUE;
        return 0;
    case COMPSHARE__JSON_AFTER:
        if (c == '}' || c == ']') return compshare__json_close(j, c == '}');
        if (c != ',') return compshare__json_fail(j, "a comma or a bracket is expected");
        j->state = j->kinds & 1 ? COMPSHARE__JSON_KEY : COMPSHARE__JSON_VALUE;
        return 0;
    default:
        return compshare__json_fail(j, "something follows the end");
    }
}

static unsigned compshare__json_byte(compshare__json *j, unsigned char c)
{
    unsigned ended = 0;
    if (j->state == COMPSHARE__JSON_FAILED) return 0;
    j->at++;
    if (j->state >= COMPSHARE__JSON_MINUS) {
        int next = compshare__json_number_next(j->state, c);
        if (next != 0) { j->state = next; return 0; }
        if (j->state < COMPSHARE__JSON_ZERO) return compshare__json_fail(j, "a number is malformed");
        (void)compshare__json_end_value(j);
        ended = COMPSHARE__JSON_NUMBER_END;
    }
    if (j->state >= COMPSHARE__JSON_STRING) return compshare__json_string_byte(j, c);
    return ended | compshare__json_structure_byte(j, c);
}

static void compshare__json_feed(compshare__json *j, const char *src, size_t len)
{
    size_t i = 0, n;
    while (i < len && j->state != COMPSHARE__JSON_FAILED) {
        n = j->state == COMPSHARE__JSON_STRING ? compshare__bytes_run(src + i, len - i, COMPSHARE__QUOTED) : 0;
        j->at += n;
        i += n;
        if (i < len) (void)compshare__json_byte(j, (unsigned char)src[i++]);
    }
}

/* No more bytes: NULL if one whole document was seen, else what is wrong. */
static const char *compshare__json_finish(compshare__json *j)
{
    if (j->state == COMPSHARE__JSON_FAILED) return j->reason;
    if (j->state == COMPSHARE__JSON_END || (j->depth == 0 && j->state >= COMPSHARE__JSON_ZERO)) return NULL;
    return j->at == 0 ? "it is empty" : "it ends too early";
}

/* One UTF-8 byte order mark may stand in front, RFC 8259 8.1. */
static size_t compshare__json_bom(const char *src, size_t len)
{
    return len >= 3 && memcmp(src, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

/* ---- strings ---- */

static uint32_t compshare__json_hex4(const char *p)
{
    uint32_t code = 0;
    int i;
    for (i = 0; i < 4; i++) code = (code << 4) | (uint32_t)compshare__bytes_hex((unsigned char)p[i]);
    return code;
}

static size_t compshare__json_utf8_encode(uint32_t code, unsigned char out[4])
{
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4, i;
    for (i = len - 1; i > 0; i--, code >>= 6) out[i] = (unsigned char)(0x80 | (code & 0x3F));
    out[0] = (unsigned char)(len > 1 ? 0xF00u >> len | code : code);    /* as many bits as there are bytes */
    return len;
}

/* \uXXXX at p: with its low surrogate if it is a high one; U+FFFD for a lone
   surrogate, so that the result is always UTF-8. */
static size_t compshare__json_unicode(const char *p, size_t len, unsigned char out[4], size_t *taken)
{
    uint32_t code = compshare__json_hex4(p + 2), low;
    *taken = 6;
    if (code >= 0xD800 && code < 0xDC00 && len >= 12 && p[6] == '\\' && p[7] == 'u') {
        low = compshare__json_hex4(p + 8);
        if (low >= 0xDC00 && low < 0xE000) {
            *taken = 12;
            return compshare__json_utf8_encode(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00), out);
        }
    }
    if (code >= 0xD800 && code < 0xE000) code = 0xFFFD;
    return compshare__json_utf8_encode(code, out);
}

/* The next character of a validated string, unescaped: its UTF-8 length. */
static size_t compshare__json_char(compshare_view *rest, unsigned char out[4])
{
    static const char names[] = "bfnrt", controls[] = "\b\f\n\r\t";
    const char *p = rest->ptr;
    size_t n = compshare__bytes_utf8((unsigned char)p[0]), taken = n, i;
    memcpy(out, p, n);
    if (p[0] == '\\' && p[1] == 'u') {
        n = compshare__json_unicode(p, rest->len, out, &taken);
    } else if (p[0] == '\\') {
        out[0] = (unsigned char)p[1];
        for (i = 0; names[i] != '\0'; i++)
            if (names[i] == p[1]) out[0] = (unsigned char)controls[i];
        taken = 2;
    }
    rest->ptr += taken;
    rest->len -= taken;
    return n;
}

/* Whether a raw string, unescaped, is exactly this text. */
static bool compshare__json_equals(compshare_view raw, const char *text)
{
    unsigned char c[4];
    size_t n, left = strlen(text);
    if (compshare__bytes_find(raw.ptr, raw.len, '\\') == raw.len) return raw.len == left && memcmp(raw.ptr, text, left) == 0;
    while (raw.len > 0) {
        n = compshare__json_char(&raw, c);
        if (n > left || memcmp(c, text, n) != 0) return false;
        text += n;
        left -= n;
    }
    return left == 0;
}

/* Unescapes into buf what fits in whole characters. clean: for a terminal.
   Returns the length that all of it has. */
static size_t compshare__json_copy(compshare_view raw, char *buf, size_t cap, bool clean)
{
    compshare__text t = compshare__text_into(buf, cap);
    unsigned char c[4];
    size_t n, total = 0;
    bool full = false;
    while (raw.len > 0) {
        n = compshare__json_char(&raw, c);
        if (clean && compshare__bytes_unsafe(c, n)) { c[0] = '?'; n = 1; }
        total += n;
        full = full || total >= cap;
        if (!full) compshare__text_bytes(&t, (const char *)c, n);
    }
    return total;
}

/* ---- tokens ---- */

/* A tokenized text. Token 0 is the root. */
typedef struct compshare__tree {
    const char *text;
    const compshare__jsmntok_t *token;
    uint32_t count;
} compshare__tree;

#define COMPSHARE__NO_TOKEN UINT32_MAX

/* Tokenizes a validated text into the free memory behind it. False: no room. */
static bool compshare__json_tokenize(compshare__tree *tree, const char *text, size_t len, char *room, size_t room_len)
{
    compshare__jsmn_parser parser;
    size_t skew = (0 - (size_t)(uintptr_t)room) % sizeof(int), fits;
    compshare__jsmntok_t *token = (compshare__jsmntok_t *)(void *)(room + skew);
    int made;
    memset(tree, 0, sizeof *tree);
    if (skew > room_len || len > (size_t)INT32_MAX) return false;
    fits = (room_len - skew) / sizeof *token;
    if (fits == 0) return false;
    if (fits > INT32_MAX) fits = INT32_MAX;
    tree->text = text;
    tree->token = token;
    compshare__jsmn_init(&parser);
    made = compshare__jsmn_parse(&parser, text, len, token, (unsigned)fits);
    tree->count = made > 0 ? (uint32_t)made : 0;
    return made > 0;
}

static compshare_view compshare__json_raw(const compshare__tree *tree, uint32_t at)
{
    compshare_view v;
    v.ptr = tree->text + tree->token[at].start;
    v.len = (size_t)(tree->token[at].end - tree->token[at].start);
    return v;
}

static int compshare__json_type(const compshare__tree *tree, uint32_t at)
{
    switch (tree->token[at].type) {
    case COMPSHARE__JSMN_OBJECT: return COMPSHARE_OBJECT;
    case COMPSHARE__JSMN_ARRAY: return COMPSHARE_ARRAY;
    case COMPSHARE__JSMN_STRING: return COMPSHARE_STRING;
    default: break;
    }
    switch (tree->text[tree->token[at].start]) {
    case 't': case 'f': return COMPSHARE_BOOL;
    case 'n': return COMPSHARE_NULL;
    default: return COMPSHARE_NUMBER;
    }
}

/* The first element of an array, or the first member's value. */
static uint32_t compshare__json_first(const compshare__tree *tree, uint32_t at)
{
    int type = compshare__json_type(tree, at);
    if ((type != COMPSHARE_ARRAY && type != COMPSHARE_OBJECT) || tree->token[at].size == 0) return COMPSHARE__NO_TOKEN;
    return type == COMPSHARE_OBJECT ? at + 2 : at + 1;
}

/* The one after it in the same container: behind everything inside it. */
static uint32_t compshare__json_next(const compshare__tree *tree, uint32_t at)
{
    int end = tree->token[at].end, up = tree->token[at].parent, container;
    bool member;
    uint32_t next = at + 1;
    if (up < 0) return COMPSHARE__NO_TOKEN;
    member = tree->token[up].type == COMPSHARE__JSMN_STRING;
    container = member ? tree->token[up].parent : up;
    while (next < tree->count && tree->token[next].start < end) next++;
    if (next >= tree->count || tree->token[next].parent != container) return COMPSHARE__NO_TOKEN;
    return member ? next + 1 : next;
}

/* The name of a member's value, or COMPSHARE__NO_TOKEN. */
static uint32_t compshare__json_key(const compshare__tree *tree, uint32_t at)
{
    int up = tree->token[at].parent;
    return up >= 0 && tree->token[up].type == COMPSHARE__JSMN_STRING ? (uint32_t)up : COMPSHARE__NO_TOKEN;
}

/* How many members have this name; *found is the last of them. */
static size_t compshare__json_find(const compshare__tree *tree, uint32_t object, const char *name, uint32_t *found)
{
    uint32_t at;
    size_t hits = 0;
    *found = COMPSHARE__NO_TOKEN;
    if (compshare__json_type(tree, object) != COMPSHARE_OBJECT) return 0;
    for (at = compshare__json_first(tree, object); at != COMPSHARE__NO_TOKEN; at = compshare__json_next(tree, at))
        if (compshare__json_equals(compshare__json_raw(tree, compshare__json_key(tree, at)), name)) {
            *found = at;
            hits++;
        }
    return hits;
}

/* An integer, or a string that is one. */
static bool compshare__json_int(const compshare__tree *tree, uint32_t at, int64_t *out)
{
    char scratch[24];
    compshare_view v = compshare__json_raw(tree, at);
    int type = compshare__json_type(tree, at);
    if (type == COMPSHARE_STRING) {
        size_t len = compshare__json_copy(v, scratch, sizeof scratch, false);
        if (len >= sizeof scratch) return false;
        v.ptr = scratch;
        v.len = len;
    } else if (type != COMPSHARE_NUMBER) {
        return false;
    }
    return compshare__bytes_int(v, out);
}

/* ---- splitter ---- */

enum { COMPSHARE__SPLIT_OUTSIDE, COMPSHARE__SPLIT_ARRAY, COMPSHARE__SPLIT_ELEMENT };

/* Writes into `area` the document without the elements of one top-level array,
   and behind that, one at a time, the elements. */
typedef struct compshare__splitter {
    compshare__json json;
    const char *name;           /* of the array */
    char *area;
    size_t cap;
    size_t kept;                /* bytes of the document kept */
    size_t used;                /* kept and the element being read */
    size_t key, key_end;        /* last top-level name, within its quotes */
    unsigned bom;               /* bytes of a byte order mark seen */
    int where;
    bool seen, twice, not_array, full;
    bool owed;                  /* the array's ']', while an element lies in its place */
} compshare__splitter;

static void compshare__split_init(compshare__splitter *s, const char *name, char *area, size_t cap)
{
    memset(s, 0, sizeof *s);
    s->name = name;
    s->area = area;
    s->cap = cap;
}

static void compshare__split_append(compshare__splitter *s, size_t *end, unsigned char c)
{
    if (*end < s->cap) s->area[(*end)++] = (char)c;
    else s->full = true;
}

/* A byte of the document outside the array. depth: before that byte. */
static void compshare__split_outside(compshare__splitter *s, unsigned char c, unsigned did, int depth)
{
    compshare_view key;
    if ((did & COMPSHARE__JSON_IS_KEY) && depth == 1) {
        if (did & COMPSHARE__JSON_BEGIN) s->key = s->kept + 1;
        else s->key_end = s->kept;
    }
    compshare__split_append(s, &s->kept, c);
    if (depth != 1 || (did & COMPSHARE__JSON_IS_KEY) || !(did & COMPSHARE__JSON_BEGIN) || s->full) return;
    if (s->key == 0) return;                /* the root is an array */
    key.ptr = s->area + s->key;
    key.len = s->key_end - s->key;
    if (!compshare__json_equals(key, s->name)) return;
    s->twice = s->twice || s->seen;
    s->seen = true;
    s->not_array = s->not_array || (c != '[' && c != 'n');
    if (c == '[') s->where = COMPSHARE__SPLIT_ARRAY;
}

/* Takes one byte. True: area[kept, used) is now a complete element, to be taken
   before the next byte is fed. */
static bool compshare__split_byte(compshare__splitter *s, unsigned char c)
{
    int depth = s->json.depth;
    unsigned did;
    bool complete = false;
    if (s->json.at == 0 && s->bom < 3 && c == (unsigned char)"\xEF\xBB\xBF"[s->bom]) { s->bom++; return false; }
    if (s->bom == 1 || s->bom == 2) { (void)compshare__json_fail(&s->json, "it is not UTF-8"); return false; }
    if (s->owed) { s->owed = false; compshare__split_append(s, &s->kept, ']'); }
    did = compshare__json_byte(&s->json, c);
    if (s->where == COMPSHARE__SPLIT_OUTSIDE) { compshare__split_outside(s, c, did, depth); return false; }
    if (s->where == COMPSHARE__SPLIT_ELEMENT && (did & COMPSHARE__JSON_NUMBER_END) && depth == 2) {
        complete = true;
        s->where = COMPSHARE__SPLIT_ARRAY;
    }
    if (s->where == COMPSHARE__SPLIT_ELEMENT) {
        compshare__split_append(s, &s->used, c);
        complete = (did & COMPSHARE__JSON_ENDS) && s->json.depth == 2;
        if (complete) s->where = COMPSHARE__SPLIT_ARRAY;
    } else if (did & COMPSHARE__JSON_BEGIN) {
        s->where = COMPSHARE__SPLIT_ELEMENT;
        s->used = s->kept;
        compshare__split_append(s, &s->used, c);
    } else if (s->json.depth == 1) {
        s->where = COMPSHARE__SPLIT_OUTSIDE;
        s->owed = true;
    }
    return complete && !s->full;
}

/* ==== trust ==================================================================================
   Root certificates without decoding a bundle: BearSSL's X.509 engine runs over
   two anchor slots that are empty until it has hashed an issuer's name; then the
   PEM text is scanned for that one name. Touches its arguments and, through
   `read`, the bundle. Must never treat trouble with the bundle as "not trusted"
   or as "trusted": it is an error of its own. */

/* Bytes from a PEM text at an offset: their number, 0 at the end, negative on
   failure. */
typedef ptrdiff_t (*compshare__read_fn)(void *ctx, uint64_t offset, void *dst, size_t cap);

/* Forward reader over a PEM text, with base64 state. */
typedef struct compshare__pem {
    compshare__read_fn read;
    void *ctx;
    unsigned char *buf;
    size_t cap, len, at;
    uint64_t base;              /* offset of buf[0] */
    bool failed, too_long;
    uint32_t bits;              /* base64 digits not yet made into a byte */
    unsigned bit_count;
} compshare__pem;

enum {
    COMPSHARE__TRUST_FINE, COMPSHARE__TRUST_UNREADABLE, COMPSHARE__TRUST_TOO_LONG, COMPSHARE__TRUST_EMPTY,
    COMPSHARE__TRUST_ROOTLESS, COMPSHARE__TRUST_THREE, COMPSHARE__TRUST_NOT_CA,
    COMPSHARE__TRUST_NAMELESS, COMPSHARE__TRUST_UNUSABLE
};

/* A root of the bundle: the beginning of its subject's SHA-256, and where its base64
   begins. */
typedef struct compshare__root {
    uint32_t name, offset;
} compshare__root;

/* What is known of the bundle: how many of its roots, in their order; where those that
   are not known begin; whether there are none, and whether some have no name that can
   be read. */
enum { COMPSHARE__COUNT, COMPSHARE__END, COMPSHARE__ALL, COMPSHARE__KNOWN };
#define COMPSHARE__COMPLETE 1u
#define COMPSHARE__NAMELESS 2u

/* The small fields first: an instruction reaches near offsets with fewer bytes. */
typedef struct compshare__trust {
    compshare__pem pem;
    uint32_t *known;
    compshare__root *root;
    uint32_t left, length;              /* bytes of the current certificate: to come, and all */
    unsigned certificates;              /* of the chain, begun so far */
    int trouble;
    bool suspect;                       /* the current one may be the one before once more */
    bool learned;
    bool bindable;                      /* what a session is good for can be told: binding */
    uint8_t filled;                     /* of the anchors */
    uint16_t name_len;
    size_t capacity;                    /* of root */
    int64_t not_after;                  /* of the server's certificate */
    compshare_roots *kept;              /* the caller's, whose these are; or NULL */
    uint32_t own[COMPSHARE__KNOWN];
    int64_t bundle[5];                  /* what `kept` must be about */
    br_x509_class methods;              /* BearSSL's, but for three */
    unsigned char binding[br_sha256_SIZE];
    unsigned char looked_up[32];        /* the issuer that the anchors are about */
    unsigned char beginning[128];       /* of the current certificate, or the one before */
    br_x509_trust_anchor anchor[2];
    unsigned char name[COMPSHARE__DN_MAX];      /* of the anchors */
    br_x509_minimal_context minimal;    /* what BearSSL sees; compshare__trust_of leads back */
    br_x509_decoder_context decoder;
    unsigned char key[2][BR_X509_BUFSIZE_KEY];
    unsigned char der[COMPSHARE__DER_PREFIX];
} compshare__trust;

static void compshare__pem_seek(compshare__pem *p, uint64_t offset)
{
    p->bit_count = 0;
    if (offset < p->base || offset - p->base > p->len) {
        p->base = offset;
        p->len = 0;
    }
    p->at = (size_t)(offset - p->base);
}

static bool compshare__pem_fill(compshare__pem *p)
{
    ptrdiff_t n;
    p->base += p->len;
    p->at = p->len = 0;
    n = p->failed ? -1 : (p->read)(p->ctx, p->base, p->buf, p->cap);
    if (n < 0 || (size_t)n > p->cap) { p->failed = true; return false; }
    if (p->base + (size_t)n > COMPSHARE__BUNDLE_MAX) { p->too_long = true; return false; }
    p->len = (size_t)n;
    return n > 0;
}

/* Moves behind the next BEGIN. It counts at the start of a line only: what is indented, or
   behind a comment's mark, is meant to be no root. */
static bool compshare__pem_find(compshare__pem *p)
{
    static const char marker[] = "-----BEGIN CERTIFICATE-----";
    const size_t none = sizeof marker;
    const unsigned char *at;
    size_t hit = p->base + p->at == 0 ? 0 : none;   /* how much of it is there */
    while (p->at < p->len || compshare__pem_fill(p)) {
        char c = (char)p->buf[p->at];
        if (c == '\n' || c == '\r') hit = 0;
        else if (hit < none && c == marker[hit]) hit++;
        else hit = none;
        p->at++;
        if (hit == sizeof marker - 1) return true;
        if (hit < none) continue;
        for (at = p->buf + p->at; at < p->buf + p->len && *at != '\n' && *at != '\r'; at++) {}
        p->at = (size_t)(at - p->buf);
    }
    return false;
}

/* Decodes up to cap bytes of base64, RFC 7468 3, stopping before '=' or '-'. */
static size_t compshare__pem_decode(compshare__pem *p, unsigned char *dst, size_t cap)
{
    enum { ws = 64, no = 128 };     /* white space; not base64 */
#define COMPSHARE__NONE no, no, no, no, no, no, no, no, no, no, no, no, no, no, no, no
    static const unsigned char value[256] = {
        no, no, no, no, no, no, no, no, no, ws, ws, no, no, ws, no, no, COMPSHARE__NONE,
        ws, no, no, no, no, no, no, no, no, no, no, 62, no, no, no, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, no, no, no, no, no, no,
        no, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, no, no, no, no, no,
        no, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, no, no, no, no, no,
        COMPSHARE__NONE, COMPSHARE__NONE, COMPSHARE__NONE, COMPSHARE__NONE, COMPSHARE__NONE, COMPSHARE__NONE, COMPSHARE__NONE, COMPSHARE__NONE
    };
#undef COMPSHARE__NONE
    size_t n = 0;
    unsigned digit = 0;
    while (n < cap && digit != no && (p->at < p->len || compshare__pem_fill(p))) {
        const unsigned char *c = p->buf + p->at, *end = p->buf + p->len;
        while (c < end && n < cap) {
            digit = value[*c];
            if (digit == no) break;
            c++;
            if (digit == ws) continue;
            p->bits = p->bits << 6 | digit;
            p->bit_count += 6;
            if (p->bit_count < 8) continue;
            p->bit_count -= 8;
            dst[n++] = (unsigned char)(p->bits >> p->bit_count);
        }
        p->at = (size_t)(c - p->buf);
    }
    return n;
}

/* Steps over a DER tag and length. False if they are not there in full. */
static bool compshare__der_header(const unsigned char **at, const unsigned char *end, unsigned tag, size_t *content)
{
    const unsigned char *p = *at;
    size_t octets, size;
    if (end - p < 2 || p[0] != tag) return false;
    size = p[1];
    p += 2;
    if (size >= 0x80) {
        octets = size & 0x7F;
        if (octets < 1 || octets > 3 || (size_t)(end - p) < octets) return false;
        for (size = 0; octets > 0; octets--) size = size << 8 | *p++;
    }
    *at = p;
    *content = size;
    return true;
}

static bool compshare__der_skip(const unsigned char **at, const unsigned char *end, unsigned tag)
{
    size_t content;
    if (!compshare__der_header(at, end, tag, &content) || content > (size_t)(end - *at)) return false;
    *at += content;
    return true;
}

/* The subject of a certificate, RFC 5280 4.1, as a whole DER element. */
static bool compshare__der_subject(const unsigned char *der, size_t len, size_t *start, size_t *end)
{
    static const unsigned char tags[] = { 0x02, 0x30, 0x30, 0x30, 0x30 };   /* serialNumber, signature, issuer, validity, subject */
    const unsigned char *at = der, *last = der + len;
    size_t content, i;
    if (!compshare__der_header(&at, last, 0x30, &content)       /* Certificate */
        || !compshare__der_header(&at, last, 0x30, &content)) return false; /* tbsCertificate */
    if (at < last && *at == 0xA0 && !compshare__der_skip(&at, last, 0xA0)) return false;    /* version */
    for (i = 0; i < sizeof tags; i++) {
        *start = (size_t)(at - der);
        if (!compshare__der_skip(&at, last, tags[i])) return false;
    }
    *end = (size_t)(at - der);
    return true;
}

/* BearSSL counts the bytes of a modulus, not its bits, and takes any exponent: one as
   long as the modulus makes a signature take a hundred times as long to check. */
static bool compshare__trust_rsa_fits(const br_rsa_public_key *key)
{
    if (key->nlen < COMPSHARE__RSA_MIN || key->elen > COMPSHARE__EXPONENT_MAX) return false;
    return key->nlen > COMPSHARE__RSA_MIN || key->n[0] >= 0x80;
}

/* The bytes of a key, which BearSSL's decoder has in one piece: modulus and exponent, or a
   point. */
static size_t compshare__trust_key(const br_x509_pkey *key, const unsigned char **bytes)
{
    bool rsa = key->key_type == BR_KEYTYPE_RSA;
    *bytes = rsa ? key->key.rsa.n : key->key.ec.q;
    return rsa ? key->key.rsa.nlen + key->key.rsa.elen : key->key.ec.qlen;
}

/* Takes the decoder's key, which dies with the next certificate, into a slot. One that is
   in a slot already needs no other: bundles are put together of files with the same roots. */
static int compshare__trust_slot(compshare__trust *t)
{
    const br_x509_pkey *key = br_x509_decoder_get_pkey(&t->decoder);
    br_x509_trust_anchor *to;
    unsigned char *copy;
    const unsigned char *bytes, *old;
    size_t len = compshare__trust_key(key, &bytes), i;
    for (i = 0; i < t->filled; i++)
        if (compshare__trust_key(&t->anchor[i].pkey, &old) == len && memcmp(old, bytes, len) == 0)
            return t->trouble;
    if (key->key_type == BR_KEYTYPE_RSA && !compshare__trust_rsa_fits(&key->key.rsa))
        return COMPSHARE__TRUST_UNUSABLE;
    if (!br_x509_decoder_isCA(&t->decoder)) return COMPSHARE__TRUST_NOT_CA;
    if (t->filled == 2) return COMPSHARE__TRUST_THREE;
    to = &t->anchor[t->filled];
    copy = t->key[t->filled++];
    memcpy(copy, bytes, len);   /* it is as large as the decoder's */
    to->dn.len = t->name_len;
    to->pkey = *key;
    if (key->key_type == BR_KEYTYPE_EC) {
        to->pkey.key.ec.q = copy;
    } else {
        to->pkey.key.rsa.n = copy;
        to->pkey.key.rsa.e = copy + key->key.rsa.nlen;
    }
    return t->trouble;          /* what came before it stays */
}

static void compshare__trust_hash(void *sha256, const void *buf, size_t len)
{
    br_sha256_update((br_sha256_context *)sha256, buf, len);
}

/* Finds the subject in the certificate whose base64 begins at `offset`, and hashes it.
   False: it has none that can be read. */
static bool compshare__trust_subject(compshare__trust *t, uint64_t offset, compshare_view *subject, unsigned char hash[br_sha256_SIZE])
{
    br_sha256_context sha256;
    size_t start, end, len = 0, n;
    compshare__pem_seek(&t->pem, offset);
    do {
        n = len < sizeof t->der ? compshare__pem_decode(&t->pem, t->der + len, COMPSHARE__DER_STEP) : 0;
        if (n == 0) return false;
        len += n;
    } while (!compshare__der_subject(t->der, len, &start, &end));
    subject->ptr = (const char *)t->der + start;
    subject->len = end - start;
    br_sha256_init(&sha256);
    br_sha256_update(&sha256, subject->ptr, subject->len);
    br_sha256_out(&sha256, hash);
    return true;
}

/* The certificate at `offset` bears the name looked for: decode it, and take its key.
   Its name is hashed once more, in case the file changed in between. */
static int compshare__trust_take(compshare__trust *t, uint64_t offset, compshare_view subject)
{
    unsigned char hash[br_sha256_SIZE];
    br_sha256_context sha256;
    size_t n;
    int error;
    if (t->trouble == COMPSHARE__TRUST_THREE) return t->trouble;
    if (subject.len > COMPSHARE__DN_MAX) return COMPSHARE__TRUST_UNUSABLE;
    memcpy(t->name, subject.ptr, subject.len);
    t->name_len = (uint16_t)subject.len;
    br_sha256_init(&sha256);
    br_x509_decoder_init(&t->decoder, compshare__trust_hash, &sha256);
    compshare__pem_seek(&t->pem, offset);
    while ((n = compshare__pem_decode(&t->pem, t->der, sizeof t->der)) > 0) {
        br_x509_decoder_push(&t->decoder, t->der, n);
        error = br_x509_decoder_last_error(&t->decoder);
        if (error != 0 && error != BR_ERR_X509_TRUNCATED) break;       /* BearSSL's decoder must not be fed after an error */
    }
    br_sha256_out(&sha256, hash);
    if (br_x509_decoder_last_error(&t->decoder) != 0) return COMPSHARE__TRUST_UNUSABLE;
    if (memcmp(hash, t->looked_up, sizeof hash) != 0) return COMPSHARE__TRUST_UNUSABLE;
    return compshare__trust_slot(t);
}

/* An anchor without a name is none. */
static void compshare__trust_empty_slots(compshare__trust *t)
{
    t->anchor[0].dn.len = t->anchor[1].dn.len = 0;
    t->filled = 0;
}

/* Fills the slots from the roots that are known. Where the bundle has others at their
   places, it has changed: then none is known. */
static void compshare__trust_recall(compshare__trust *t, uint32_t name)
{
    size_t i;
    for (i = 0; i < t->known[COMPSHARE__COUNT]; i++) {
        unsigned char hash[br_sha256_SIZE];
        compshare_view subject;
        if (t->root[i].name != name) continue;
        if (!compshare__trust_subject(t, t->root[i].offset, &subject, hash) || memcmp(hash, &name, sizeof name) != 0) {
            memset(t->known, 0, sizeof t->own);
            t->trouble = COMPSHARE__TRUST_FINE;
            compshare__trust_empty_slots(t);
        } else if (memcmp(hash, t->looked_up, sizeof hash) == 0) {
            t->trouble = compshare__trust_take(t, t->root[i].offset, subject);
        }
    }
}

/* Reads the rest of the bundle: keeps in mind which roots it has, as far as there is
   memory for them, and takes those that are looked for. */
static void compshare__trust_scan(compshare__trust *t)
{
    size_t others = 0;          /* roots that are not kept in mind */
    uint32_t *known = t->known;
    compshare__pem_seek(&t->pem, known[COMPSHARE__END]);
    while (!(known[COMPSHARE__ALL] & COMPSHARE__COMPLETE) && compshare__pem_find(&t->pem)) {
        uint64_t offset = t->pem.base + t->pem.at;
        unsigned char hash[br_sha256_SIZE];
        compshare_view subject;
        if (others > 0 || known[COMPSHARE__COUNT] >= t->capacity) others++;
        else known[COMPSHARE__END] = (uint32_t)offset;
        if (!compshare__trust_subject(t, offset, &subject, hash)) {
            known[COMPSHARE__ALL] |= COMPSHARE__NAMELESS;
            continue;
        }
        if (others == 0) {
            compshare__root *root = &t->root[known[COMPSHARE__COUNT]++];
            memcpy(&root->name, hash, sizeof root->name);
            root->offset = (uint32_t)offset;
        }
        if (memcmp(hash, t->looked_up, sizeof hash) == 0) t->trouble = compshare__trust_take(t, offset, subject);
    }
    if (t->pem.failed) t->trouble = COMPSHARE__TRUST_UNREADABLE;
    else if (t->pem.too_long) t->trouble = COMPSHARE__TRUST_TOO_LONG;
    else if (others == 0 && known[COMPSHARE__END] > 0) known[COMPSHARE__ALL] |= COMPSHARE__COMPLETE;
    else if (others == 0) t->trouble = t->pem.base == 0 ? COMPSHARE__TRUST_EMPTY : COMPSHARE__TRUST_ROOTLESS;
}

/* Another client may have emptied the caller's index in between, or begun one about
   another bundle: then this handshake goes on without any. */
static void compshare__trust_keep(compshare__trust *t)
{
    if (t->kept == NULL || (memcmp(t->kept->bundle, t->bundle, sizeof t->bundle) == 0 && t->known[COMPSHARE__COUNT] <= t->capacity)) return;
    t->kept = NULL;
    t->known = t->own;
    t->capacity = 0;
}

/* Fills the slots with the roots whose subject hashes to `looked_up`. Trouble with one name
   of a chain is what there was if the others lead to no root either. */
static void compshare__trust_fill(compshare__trust *t)
{
    uint32_t name;
    int before = t->trouble;
    compshare__trust_keep(t);
    compshare__trust_empty_slots(t);
    t->trouble = COMPSHARE__TRUST_FINE;
    memcpy(&name, t->looked_up, sizeof name);
    compshare__trust_recall(t, name);
    compshare__trust_scan(t);
    if (t->pem.failed || t->pem.too_long || t->trouble == COMPSHARE__TRUST_THREE) compshare__trust_empty_slots(t);
    if (t->trouble == COMPSHARE__TRUST_FINE) t->trouble = before;
}

/* What was wrong with the bundle, where a chain has led to no root of it. */
static int compshare__trust_trouble(const compshare__trust *t)
{
    bool nameless = t->filled == 0 && (t->known[COMPSHARE__ALL] & COMPSHARE__NAMELESS);
    return t->trouble == COMPSHARE__TRUST_FINE && nameless ? COMPSHARE__TRUST_NAMELESS : t->trouble;
}

/* Reads the bundle, once, before a name is looked for. Until this returns `idle` bytes
   more, behind it, belong to the read buffer. */
static void compshare__trust_learn(compshare__trust *t, size_t idle)
{
    if (t->learned) return;
    t->learned = true;
    compshare__trust_keep(t);
    t->pem.cap += idle;
    compshare__trust_scan(t);
    t->pem.cap -= idle;
    t->pem.len = t->pem.at = 0;
}

/* BearSSL has hashed the current certificate's issuer and is about to look for
   it among the anchors. Same name as last time: the slots hold the answer. */
static void compshare__trust_look_up(compshare__trust *t)
{
    const unsigned char *name = t->minimal.saved_dn_hash;
    if (memcmp(name, t->looked_up, sizeof t->looked_up) == 0) return;
    t->learned = true;
    memcpy(t->looked_up, name, sizeof t->looked_up);
    compshare__trust_fill(t);
}

/* ---- three methods of br_x509_class, around those of br_x509_minimal ---- */

static compshare__trust *compshare__trust_of(const br_x509_class **ctx)
{
    return (compshare__trust *)(void *)((unsigned char *)ctx - offsetof(compshare__trust, minimal));
}

/* Who sends a chain is not known yet, so its certificates are counted when they begin:
   each may cost a signature. Those behind a trusted one cost nothing. */
static void compshare__trust_start_cert(const br_x509_class **ctx, uint32_t length)
{
    compshare__trust *t = compshare__trust_of(ctx);
    t->suspect = length == t->length;
    t->left = t->length = length;
    if (++t->certificates > COMPSHARE__CHAIN_MAX && t->minimal.err == 0)
        t->minimal.err = BR_ERR_X509_NOT_TRUSTED;
    if (!t->suspect) br_x509_minimal_vtable.start_cert(ctx, length);
}

/* The server's certificate, which comes first, goes through the decoder as well, as far
   as its validity: what br_x509_minimal reads of that it keeps to itself. */
static void compshare__trust_date(compshare__trust *t, const unsigned char *buf, size_t len)
{
    if (t->certificates > 1 || t->not_after != 0) return;
    if (br_x509_decoder_last_error(&t->decoder) != BR_ERR_X509_TRUNCATED) return;
    br_x509_decoder_push(&t->decoder, buf, len);
    if (t->decoder.notafter_days == 0) return;
    t->not_after = ((int64_t)t->decoder.notafter_days - COMPSHARE__YEAR_0) * 86400 + t->decoder.notafter_seconds;
}

/* The anchors are searched when the last byte has been pushed: hold it back
   until they are there. */
static void compshare__trust_push(compshare__trust *t, const unsigned char *buf, size_t len,
    bool last)
{
    const br_x509_class **ctx = &t->minimal.vtable;
    if (last) len--;
    if (len > 0) {
        compshare__trust_date(t, buf, len);
        br_x509_minimal_vtable.append(ctx, buf, len);
    }
    if (!last) return;
    compshare__trust_look_up(t);
    br_x509_minimal_vtable.append(ctx, buf + len, 1);
}

/* Some servers send a certificate twice in a row, which BearSSL takes for a chain out of
   order. The second is left out: the others must do without it. It is told by its length
   and beginning, with its number and issuer; what is not sent on of one that is as long
   but another is what the two have in common. */
static void compshare__trust_append(const br_x509_class **ctx, const unsigned char *buf, size_t len)
{
    compshare__trust *t = compshare__trust_of(ctx);
    size_t at = t->length - t->left, n = 0;
    if (t->minimal.err != 0) return;    /* judged: trusted, or refused */
    t->left -= (uint32_t)len;
    if (t->suspect) {
        while (n < len && at + n < sizeof t->beginning && buf[n] == t->beginning[at + n]) n++;
        if (n == len || at + n >= sizeof t->beginning) return;
        t->suspect = false;
        br_x509_minimal_vtable.start_cert(ctx, t->length);
        compshare__trust_push(t, t->beginning, at + n, false);
    }
    buf += n;
    len -= n;
    at += n;
    for (n = 0; n < len && at + n < sizeof t->beginning; n++) t->beginning[at + n] = buf[n];
    compshare__trust_push(t, buf, len, t->left == 0);
}

/* One that was left out does not make the path longer. */
static void compshare__trust_end_cert(const br_x509_class **ctx)
{
    if (!compshare__trust_of(ctx)->suspect) br_x509_minimal_vtable.end_cert(ctx);
}

/* Sets up a chain check in `memory`. Of what is behind the struct a quarter is for the
   roots that are met, unless the caller keeps them, and the rest becomes the
   bundle's read buffer. */
static compshare__trust *compshare__trust_init(void *memory, size_t size, compshare__read_fn read, void *ctx,
    compshare_roots *kept, int64_t now)
{
    compshare__trust *t = (compshare__trust *)memory;
    memset(t, 0, sizeof *t);
    t->anchor[0].dn.data = t->anchor[1].dn.data = t->name;
    t->anchor[0].flags = t->anchor[1].flags = BR_X509_TA_CA;
    br_x509_decoder_init(&t->decoder, NULL, NULL);
    br_x509_minimal_init(&t->minimal, &br_sha256_vtable, t->anchor, 2);
    t->methods = br_x509_minimal_vtable;
    t->methods.start_cert = compshare__trust_start_cert;
    t->methods.append = compshare__trust_append;
    t->methods.end_cert = compshare__trust_end_cert;
    t->minimal.vtable = &t->methods;
    br_x509_minimal_set_hash(&t->minimal, br_sha256_ID, &br_sha256_vtable);
    br_x509_minimal_set_hash(&t->minimal, br_sha384_ID, &br_sha384_vtable);
    br_x509_minimal_set_hash(&t->minimal, br_sha512_ID, &br_sha512_vtable);
    br_x509_minimal_set_minrsa(&t->minimal, COMPSHARE__RSA_MIN);
    /* BearSSL's own clock would be 32 bits wide on some systems */
    br_x509_minimal_set_time(&t->minimal, (uint32_t)(now / 86400 + COMPSHARE__YEAR_0), (uint32_t)(now % 86400));
    t->pem.read = read;
    t->pem.ctx = ctx;
    size -= sizeof *t;
    t->kept = kept;
    t->root = (compshare__root *)(void *)(t + 1);
    t->capacity = kept == NULL ? size / 4 / sizeof t->root[0] : 0;
    t->pem.buf = (unsigned char *)(t->root + t->capacity);
    t->pem.cap = size - t->capacity * sizeof t->root[0];
    t->known = t->own;
    if (kept == NULL) return t;
    t->known = kept->known;
    memcpy(t->bundle, kept->bundle, sizeof t->bundle);
    t->root = (compshare__root *)(void *)kept->root;
    t->capacity = sizeof kept->root / sizeof t->root[0];
    return t;
}
typedef char compshare__assert_trust[sizeof(compshare__trust) + COMPSHARE__TX + 512 <= COMPSHARE__REPLY_MIN ? 1 : -1];

/* ==== tls ====================================================================================
   BearSSL's engine over a compshare_transport: a pump that never blocks, sends a
   flight in one piece, and can be left and resumed at any point. Touches its
   struct, the record buffer and the transport. Must never wait for a peer's
   close_notify, nor take an end of stream without one for the end of a reply. */

/* A private result, outside the range of public statuses. */
#define COMPSHARE__EOF 2        /* the stream ended; tls.orderly says how */

typedef struct compshare__tls {
    const compshare_transport *io;
    const char *alpn[1];
    unsigned char *record;
    size_t record_len;
    unsigned char *tx;          /* COMPSHARE__TX bytes, lent until the first request has left */
    bool established;           /* the handshake is over */
    bool orderly;               /* the stream ended with close_notify */
    bool sent;                  /* a transport took bytes after compshare__tls_commit */
    bool request;               /* bytes sent from now on belong to a request */
    bool mute;                  /* the request was given up: nothing more may be sent */
    bool eager;                 /* the last reading filled rx: more is waiting */
    bool asked;                 /* something was sent, and nothing has been read since */
    bool socket;                /* of the kernel: what arrives makes it readable */
    uint16_t ahead;             /* bytes of the handshake that wait in tx in front of the request */
    int64_t now;                /* the time that certificates are checked at */
    size_t tx_len, tx_at, rx_len, rx_at;
#ifdef COMPSHARE_PLAINTEXT
    bool plain;
#endif
    unsigned char rx[COMPSHARE__RX];
    br_ssl_client_context client;
} compshare__tls;

#ifdef COMPSHARE_PLAINTEXT
#define COMPSHARE__PLAIN(t) ((t)->plain)
#else
#define COMPSHARE__PLAIN(t) ((void)(t), false)
#endif

/* br_rsa_pkcs1_vrfy, of certificates and of the key exchange, with keys that fit. */
static uint32_t compshare__tls_check_rsa(const unsigned char *signature, size_t len,
    const unsigned char *oid, size_t hash_len, const br_rsa_public_key *key, unsigned char *hash)
{
    if (!compshare__trust_rsa_fits(key)) return 0;
    return br_rsa_pkcs1_vrfy_get_default()(signature, len, oid, hash_len, key, hash);
}

/* TLS 1.2, ECDHE, AEAD. AES first only where the CPU has it: ChaCha20 is four
   times faster than constant-time AES in software. */
static void compshare__tls_suites(br_ssl_engine_context *engine)
{
    static const uint16_t suites[] = {
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    };
    uint16_t chosen[6];
    bool fast_aes = br_aes_x86ni_ctr_get_vtable() != NULL && br_ghash_pclmul_get() != 0;
    memcpy(chosen, fast_aes ? suites : suites + 2, 4 * sizeof suites[0]);
    memcpy(chosen + 4, suites + 6, 2 * sizeof suites[0]);
    br_ssl_engine_set_suites(engine, chosen, 6);
    br_ssl_engine_set_default_aes_gcm(engine);
    br_ssl_engine_set_default_chapol(engine);
}

/* Prepares a handshake, which offers `session` unless that is NULL; nothing is sent
   yet. False: see br_ssl_engine_last_error. */
static bool compshare__tls_start(compshare__tls *t, compshare__trust *trust, const char *host, unsigned char entropy[32],
    const br_ssl_session_parameters *session)
{
    br_ssl_engine_context *engine = &t->client.eng;
    br_ssl_client_zero(&t->client);
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    compshare__tls_suites(engine);
    br_ssl_engine_set_rsavrfy(engine, compshare__tls_check_rsa);
    br_ssl_engine_set_default_ecdsa(engine);
    br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
    br_ssl_engine_set_hash(engine, br_sha384_ID, &br_sha384_vtable);
    br_ssl_engine_set_hash(engine, br_sha512_ID, &br_sha512_vtable);
    br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
    br_ssl_engine_set_prf_sha384(engine, &br_tls12_sha384_prf);
    t->alpn[0] = "http/1.1";
    br_ssl_engine_set_protocol_names(engine, t->alpn, 1);
    br_ssl_engine_add_flags(engine, BR_OPT_NO_RENEGOTIATION | BR_OPT_FAIL_ON_ALPN_MISMATCH);
    br_x509_minimal_set_rsa(&trust->minimal, br_ssl_engine_get_rsavrfy(engine));
    br_x509_minimal_set_ecdsa(&trust->minimal, br_ssl_engine_get_ec(engine), br_ssl_engine_get_ecdsa(engine));
    br_ssl_engine_set_x509(engine, &trust->minimal.vtable);
    br_ssl_engine_set_buffer(engine, t->record, t->record_len, 0);
    br_ssl_engine_inject_entropy(engine, entropy, 32);
    compshare__bytes_wipe(entropy, 32);
    if (session != NULL) br_ssl_engine_set_session_parameters(engine, session);
    return br_ssl_client_reset(&t->client, host, session != NULL) != 0;
}

/* A new connection: nothing buffered, nothing sent. */
static void compshare__tls_clear(compshare__tls *t)
{
    t->established = t->orderly = t->sent = t->request = t->mute = t->eager = t->asked = false;
    t->tx_len = t->tx_at = t->rx_len = t->rx_at = 0;
    t->ahead = 0;
}

/* ---- bytes to and from the transport ---- */

/* What a transport may answer other than a count; all else is its failure. */
static ptrdiff_t compshare__tls_want(ptrdiff_t n)
{
    if (n == COMPSHARE_WANT_READ || n == COMPSHARE_WANT_WRITE) return n;
    return COMPSHARE_E_IO;
}

static ptrdiff_t compshare__tls_send(compshare__tls *t, const unsigned char *src, size_t len)
{
    ptrdiff_t n = (t->io->send)(t->io->user, src, len);
    if (n > 0 && (size_t)n <= len) {
        t->asked = t->socket;
        if (t->request && (size_t)n > t->ahead) t->sent = true;
        t->ahead = (size_t)n < t->ahead ? (uint16_t)(t->ahead - n) : 0;
        return n;
    }
    return compshare__tls_want(n);
}

static ptrdiff_t compshare__tls_recv(compshare__tls *t, unsigned char *dst, size_t cap)
{
    ptrdiff_t n = (t->io->recv)(t->io->user, dst, cap);
    t->asked = false;
    if (n >= 0 && (size_t)n <= cap) return n;
    return compshare__tls_want(n);
}

/* Sends what waits in tx. */
static int compshare__tls_drain(compshare__tls *t)
{
    while (t->tx_at < t->tx_len) {
        ptrdiff_t n = compshare__tls_send(t, t->tx + t->tx_at, t->tx_len - t->tx_at);
        if (n < 0) return (int)n;
        t->tx_at += (size_t)n;
    }
    t->tx_at = t->tx_len = 0;
    return COMPSHARE_OK;
}

/* One record out of the engine: into tx while a handshake flight is gathered (as
   three sends it would meet Nagle's algorithm and a delayed ACK, 40 ms), else
   straight to the transport. */
static int compshare__tls_push(compshare__tls *t)
{
    size_t len;
    const unsigned char *record = br_ssl_engine_sendrec_buf(&t->client.eng, &len);
    if (!t->mute && (!t->established || t->tx_len > 0) && len <= COMPSHARE__TX - t->tx_len) {
        memcpy(t->tx + t->tx_len, record, len);
        t->tx_len += len;
    } else if (!t->mute) {
        ptrdiff_t n = compshare__tls_drain(t);
        if (n == COMPSHARE_OK) n = compshare__tls_send(t, record, len);
        if (n < 0) return (int)n;
        len = (size_t)n;
    }
    br_ssl_engine_sendrec_ack(&t->client.eng, len);
    return COMPSHARE_OK;
}

/* The same where an answer is awaited, which is hardly ever there at once. */
static ptrdiff_t compshare__tls_await(compshare__tls *t, unsigned char *dst, size_t cap)
{
    if (!t->asked) return compshare__tls_recv(t, dst, cap);
    t->asked = false;
    return COMPSHARE_WANT_READ;
}

/* Reads ahead into rx until it holds `need` bytes. */
static int compshare__tls_fill(compshare__tls *t, size_t need)
{
    if (t->rx_at > 0) memmove(t->rx, t->rx + t->rx_at, t->rx_len - t->rx_at);
    t->rx_len -= t->rx_at;
    t->rx_at = 0;
    while (t->rx_len < need) {
        ptrdiff_t n = compshare__tls_await(t, t->rx + t->rx_len, sizeof t->rx - t->rx_len);
        if (n <= 0) return n == 0 ? COMPSHARE__EOF : (int)n;
        t->rx_len += (size_t)n;
    }
    t->eager = t->rx_len == sizeof t->rx;
    return COMPSHARE_OK;
}

/* Gives the engine all that it asks for at once, or a whole rx: single bytes would
   cost it a fifth more instructions. Straight into its buffer only what a fast
   transport has ready, and no handshake, whose pieces are worked on as they come.
   *piece: it was more than a record's header, which has 5 bytes. */
static int compshare__tls_pull(compshare__tls *t, bool *piece)
{
    size_t want, have = t->rx_len - t->rx_at, need;
    unsigned char *dst = br_ssl_engine_recvrec_buf(&t->client.eng, &want);
    int r;
    *piece = want > 5;
    if (dst == NULL) return COMPSHARE_E_TLS;    /* it waits for room that a shared buffer never gets */
    if (have == 0 && t->eager && t->established && want >= sizeof t->rx) {
        ptrdiff_t n = compshare__tls_recv(t, dst, want);
        if (n <= 0) return n == 0 ? COMPSHARE__EOF : (int)n;
        t->eager = (size_t)n == want;
        br_ssl_engine_recvrec_ack(&t->client.eng, (size_t)n);
        return COMPSHARE_OK;
    }
    need = want < sizeof t->rx ? want : sizeof t->rx;
    if (have < need && (r = compshare__tls_fill(t, need)) != COMPSHARE_OK) return r;
    memcpy(dst, t->rx + t->rx_at, need);
    t->rx_at += need;
    br_ssl_engine_recvrec_ack(&t->client.eng, need);
    return COMPSHARE_OK;
}

/* Runs the engine until application data can be sent or read, as `target`
   (BR_SSL_SENDAPP or BR_SSL_RECVAPP) says; COMPSHARE_PENDING when a peer keeps it
   busy without that, so that the deadline is looked at, and after every piece of a
   handshake, so that no step does more than one of them: each may cost a signature. */
static int compshare__tls_pump(compshare__tls *t, unsigned target)
{
    int turns;
    for (turns = 0; turns < COMPSHARE__STEP_READS; turns++) {
        unsigned state = br_ssl_engine_current_state(&t->client.eng);
        bool piece = false;
        int r;
        if (state & BR_SSL_CLOSED) {
            t->orderly = br_ssl_engine_last_error(&t->client.eng) == BR_ERR_OK;
            return t->orderly ? COMPSHARE__EOF : COMPSHARE_E_TLS;
        }
        if (state & BR_SSL_SENDREC) r = compshare__tls_push(t);
        else if (state & target) return COMPSHARE_OK;
        else if ((r = compshare__tls_drain(t)) == COMPSHARE_OK) r = compshare__tls_pull(t, &piece);
        if (r != COMPSHARE_OK) return r;
        if (piece && !t->established) return COMPSHARE_PENDING;
    }
    return COMPSHARE_PENDING;
}

/* ---- the channel: what `drive` uses, encrypted or not ---- */

static int compshare__tls_handshake(compshare__tls *t)
{
    int r = COMPSHARE__PLAIN(t) ? COMPSHARE_OK : compshare__tls_pump(t, BR_SSL_SENDAPP);
    if (r == COMPSHARE_OK) t->established = true;
    return r;
}

/* Room for plaintext of the next record, once the last has been flushed. NULL: the
   engine is not ready, which no peer can bring about while nothing is read. In plain
   mode the record buffer takes the place of tx. */
static unsigned char *compshare__tls_room(compshare__tls *t, size_t *cap)
{
    if (!COMPSHARE__PLAIN(t)) return br_ssl_engine_sendapp_buf(&t->client.eng, cap);
    *cap = t->record_len;
    return t->tx = t->record;
}

static void compshare__tls_commit(compshare__tls *t, size_t len)
{
    if (!t->request) t->ahead = (uint16_t)(t->tx_len - t->tx_at);
    t->request = true;
    if (COMPSHARE__PLAIN(t)) t->tx_len += len;
    else br_ssl_engine_sendapp_ack(&t->client.eng, len);
}

/* Sends everything committed. */
static int compshare__tls_flush(compshare__tls *t)
{
    int r = COMPSHARE_OK;
    if (COMPSHARE__PLAIN(t)) return compshare__tls_drain(t);
    br_ssl_engine_flush(&t->client.eng, 0);
    while (r == COMPSHARE_OK && (br_ssl_engine_current_state(&t->client.eng) & BR_SSL_SENDREC)) r = compshare__tls_push(t);
    return r == COMPSHARE_OK ? compshare__tls_drain(t) : r;
}

/* Whether the peer has begun to send, or ended: looked for only while sending is
   stuck or a request needs more than one record. Whatever it says ends the
   request: a 100 Continue was not asked for. */
static bool compshare__tls_peer_speaks(compshare__tls *t)
{
    ptrdiff_t n = compshare__tls_recv(t, t->rx, sizeof t->rx);
    t->rx_at = 0;
    t->rx_len = n > 0 ? (size_t)n : 0;
    return n != COMPSHARE_WANT_READ && n != COMPSHARE_WANT_WRITE;
}

/* Gives up what has not been sent, so that the reply can be read. */
static void compshare__tls_stop_sending(compshare__tls *t)
{
    t->tx_at = t->tx_len = 0;
    t->asked = false;
    t->mute = true;
}

/* A piece of received plaintext, until compshare__tls_consumed. */
static int compshare__tls_receive(compshare__tls *t, const unsigned char **src, size_t *len)
{
    int r;
    if (COMPSHARE__PLAIN(t)) {
        if (t->rx_at == t->rx_len) {
            ptrdiff_t n = compshare__tls_recv(t, t->rx, sizeof t->rx);
            if (n <= 0) {
                t->orderly = n == 0;
                return n == 0 ? COMPSHARE__EOF : (int)n;
            }
            t->rx_at = 0;
            t->rx_len = (size_t)n;
        }
        *src = t->rx + t->rx_at;
        *len = t->rx_len - t->rx_at;
        return COMPSHARE_OK;
    }
    r = compshare__tls_pump(t, BR_SSL_RECVAPP);
    if (r == COMPSHARE_OK) *src = br_ssl_engine_recvapp_buf(&t->client.eng, len);
    return r;
}

static void compshare__tls_consumed(compshare__tls *t, size_t len)
{
    if (COMPSHARE__PLAIN(t)) t->rx_at += len;
    else br_ssl_engine_recvapp_ack(&t->client.eng, len);
}

/* Whether nothing is left over between two replies: no plaintext, no bytes read
   ahead, no record begun. */
static bool compshare__tls_quiet(compshare__tls *t)
{
    size_t len;
    if (t->rx_at < t->rx_len) return false;
    return COMPSHARE__PLAIN(t) || br_ssl_engine_recvrec_buf(&t->client.eng, &len) == t->record;
}

/* Whether nothing waits in tx either, so that it and the record buffer are free. */
static bool compshare__tls_idle(compshare__tls *t)
{
    return t->tx_at == t->tx_len && compshare__tls_quiet(t);
}

/* Whether an idle kept connection still stands: an orderly server says nothing. */
static bool compshare__tls_alive(compshare__tls *t)
{
    return compshare__tls_quiet(t) && !compshare__tls_peer_speaks(t);
}

/* Says goodbye if that needs no waiting. */
static void compshare__tls_close(compshare__tls *t)
{
    if (COMPSHARE__PLAIN(t) || !t->established || t->mute || t->tx_len > 0) return;
    if (br_ssl_engine_current_state(&t->client.eng) & (BR_SSL_CLOSED | BR_SSL_SENDREC)) return;
    t->request = false;
    br_ssl_engine_close(&t->client.eng);
    if (br_ssl_engine_current_state(&t->client.eng) & BR_SSL_SENDREC) (void)compshare__tls_push(t);
}

/* ---- errors in words ---- */

static bool compshare__tls_is_certificate(int code)
{
    return code >= BR_ERR_X509_OK && code < 64;
}

/* What a BearSSL error code means to the person who has to mend it. */
static const char *compshare__tls_meaning(int code)
{
    static const compshare__meaning rows[] = {
        { BR_ERR_UNSUPPORTED_VERSION, "the peer does not speak TLS on this port, or only a version older than 1.2" },
        { BR_ERR_TOO_LARGE, "the server sent a TLS record larger than the record buffer: do not set COMPSHARE_SMALL_RECORDS for it" },
        { BR_ERR_BAD_MAC, "a TLS record was corrupted on the way" },
        { BR_ERR_NO_RANDOM, "no entropy for TLS" },
        { BR_ERR_INVALID_ALGORITHM, "the server uses a curve, hash or signature that is not supported" },
        { BR_ERR_BAD_SIGNATURE, "the server's key exchange signature is wrong, "
            "or of an RSA key under 2,048 bits or with a long exponent" },
        { BR_ERR_WRONG_KEY_USAGE, "the server's key may not be used for this" },
        { BR_ERR_RECV_FATAL_ALERT + 40, "the server found no common cipher, curve or signature, or demands a client certificate" },
        { BR_ERR_RECV_FATAL_ALERT + 70, "the server refuses TLS 1.2" },
        { BR_ERR_RECV_FATAL_ALERT + 112, "the server does not know this host name" },
        { BR_ERR_RECV_FATAL_ALERT + 120, "the server does not offer http/1.1" },
        { BR_ERR_X509_UNSUPPORTED, "its certificate uses an algorithm that is not supported (RSA-PSS, SHA-1, Ed25519, an odd curve)" },
        { BR_ERR_X509_BAD_SIGNATURE, "a signature in its certificate chain is wrong, "
            "or of an RSA key under 2,048 bits or with a long exponent" },
        { BR_ERR_X509_TIME_UNKNOWN, "its certificate cannot be checked without a clock" },
        { BR_ERR_X509_EXPIRED, "its certificate is expired or not yet valid" },
        { BR_ERR_X509_DN_MISMATCH, "its certificate chain is out of order" },
        { BR_ERR_X509_BAD_SERVER_NAME, "its certificate is for another host" },
        { BR_ERR_X509_CRITICAL_EXTENSION, "its certificate has a critical extension that is not supported" },
        { BR_ERR_X509_NOT_CA, "a certificate in its chain was signed by one that is not a CA, or not for so long a chain" },
        { BR_ERR_X509_FORBIDDEN_KEY_USAGE, "a certificate in its chain may not be used for this" },
        { BR_ERR_X509_WEAK_PUBLIC_KEY, "a key in its certificate chain is shorter than RSA 2048" },
        { BR_ERR_X509_NOT_TRUSTED, "its certificate leads to no trusted root" },
        { 0, NULL }
    };
    const char *text = compshare__bytes_meaning(rows, sizeof rows / sizeof rows[0], code);
    if (text != NULL) return text;
    if (compshare__tls_is_certificate(code)) return "its certificate is malformed or too large";
    if (code >= BR_ERR_SEND_FATAL_ALERT) return "TLS was ended by this client";
    if (code >= BR_ERR_RECV_FATAL_ALERT) return "the server ended TLS with an alert";
    return "the server broke the TLS protocol";
}

static const char *compshare__trust_meaning(int trouble)
{
    static const compshare__meaning rows[] = {
        { COMPSHARE__TRUST_UNREADABLE, "could not be read" },
        { COMPSHARE__TRUST_TOO_LONG, "is longer than 8 MiB" },
        { COMPSHARE__TRUST_EMPTY, "is empty" },
        { COMPSHARE__TRUST_ROOTLESS, "holds no certificate" },
        { COMPSHARE__TRUST_THREE, "holds more than two CAs of the same name" },
        { COMPSHARE__TRUST_NOT_CA, "has a certificate of the right name that is not a CA" },
        { COMPSHARE__TRUST_NAMELESS, "has a certificate whose name cannot be read, "
            "and no root of the right name" },
        { 0, "has a root of the right name that cannot be used" }
    };
    return compshare__bytes_meaning(rows, sizeof rows / sizeof rows[0], trouble);
}

/* ==== posix ==================================================================================
   The default transport, clocks, entropy and bundle file. Touches sockets, one
   file opened for reading, and its own struct. Must never block but in
   getaddrinfo and in wait, raise a signal, or leave a descriptor open. */

#ifndef COMPSHARE_NO_SOCKETS

/* One resolved address: sockaddr_storage would take 128 bytes for each. */
typedef union compshare__address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} compshare__address;

typedef struct compshare__posix {
    int fd, bundle;             /* -1: not open */
    int last_errno, last_eai, bundle_errno;
    bool fast_open;
    bool named;                 /* the name of this connection has been seen to */
    bool proved;                /* one of the addresses has turned out to be the host's */
    uint8_t count, at;          /* addresses known, and the one being tried */
    uint32_t slack;             /* by so much, which a name may take, the deadline may move */
    uint64_t deadline;          /* for open; set by `drive` */
    uint64_t share;             /* when to give the current address up */
    uint64_t quiet_until;       /* until then no name is asked for */
    uint64_t (*monotonic_ms)(void *user);
    void *user;
    compshare__address address[COMPSHARE__ADDRESSES];
} compshare__posix;

static uint64_t compshare__posix_monotonic_ms(void *user)
{
    struct timespec ts = { 0, 0 };
#ifdef CLOCK_BOOTTIME           /* counts while the machine is suspended */
    clockid_t clock = CLOCK_BOOTTIME;
#else
    clockid_t clock = CLOCK_MONOTONIC;
#endif
    (void)user;
    if (clock_gettime(clock, &ts) != 0) (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

static int64_t compshare__posix_unix_time(void *user)
{
    (void)user;
    return (int64_t)time(NULL);
}

static void compshare__posix_close_fd(int *fd)
{
    if (*fd >= 0) (void)(close)(*fd);
    *fd = -1;
}

#if defined(__APPLE__) || defined(__OpenBSD__)
static int compshare__posix_entropy(void *user, void *dst, size_t len)
{
    (void)user;
    return (getentropy)(dst, len);
}
#else

/* For kernels without getrandom: the device itself, and no file in its place. */
static int compshare__posix_urandom(unsigned char *dst, size_t len)
{
    struct stat s;
    ssize_t n = 0;
    int fd = (open)("/dev/urandom", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &s) == 0 && S_ISCHR(s.st_mode)) n = (read)(fd, dst, len);
    compshare__posix_close_fd(&fd);
    return n == (ssize_t)len ? 0 : -1;
}

/* An unseeded machine is an error, not a wait. */
static int compshare__posix_entropy(void *user, void *dst, size_t len)
{
    (void)user;
#ifdef COMPSHARE__RANDOM
    for (;;) {
        ssize_t n = (getrandom)(dst, len, GRND_NONBLOCK);
        if (n == (ssize_t)len) return 0;
        if (n < 0 && (errno == ENOSYS || errno == EPERM)) break;    /* the second: a filter's */
        if (n >= 0 || errno != EINTR) return -1;
    }
#endif
    return compshare__posix_urandom((unsigned char *)dst, len);
}
#endif

/* ---- the transport ---- */

static void compshare__posix_close(void *user)
{
    compshare__posix *p = (compshare__posix *)user;
    compshare__posix_close_fd(&p->fd);
    p->at = 0;
    p->named = false;
}

/* Asks for the addresses of a name. Those known so far stay where it gives none. */
static int compshare__posix_ask(compshare__posix *p, const char *host, uint16_t port)
{
    struct addrinfo hints, *list = NULL, *a;
    char service[8];
    uint8_t n = 0;
    compshare__text digits = compshare__text_into(service, sizeof service);
    compshare__text_int(&digits, port);
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    p->last_eai = (getaddrinfo)(host, service, &hints, &list);
    if (p->last_eai != 0) {
        p->last_errno = p->last_eai == EAI_SYSTEM ? errno : 0;
        return COMPSHARE_E_RESOLVE;
    }
    for (a = list; a != NULL && n < COMPSHARE__ADDRESSES; a = a->ai_next)
        if ((a->ai_family == AF_INET || a->ai_family == AF_INET6) && a->ai_addrlen <= sizeof p->address[0])
            memcpy(&p->address[n++], a->ai_addr, a->ai_addrlen);
    (freeaddrinfo)(list);
    if (n == 0) return COMPSHARE_E_RESOLVE;
    p->count = n;
    p->proved = false;
    return COMPSHARE_OK;
}

/* Makes the addresses of a host known. Whatever the reason that its name gives none, even
   a definite one, those go on that TLS has found to be the host's: a lease must outlive a
   broken resolver, and TLS looks at them again. What the name takes is no part of the time
   for connecting; one that takes too long is spared the next connection. */
static int compshare__posix_resolve(compshare__posix *p, const char *host, uint16_t port)
{
    uint64_t start = p->monotonic_ms(p->user), now, spent;
    int r;
    if (start < p->quiet_until) return COMPSHARE_OK;
    r = compshare__posix_ask(p, host, port);
    now = p->monotonic_ms(p->user);
    spent = now - start;
    p->deadline += spent < p->slack ? spent : p->slack;
    if (r != COMPSHARE_OK && !p->proved) return r;
    if (r != COMPSHARE_OK || spent > p->slack) p->quiet_until = now + COMPSHARE__NAMES_MS;
    return COMPSHARE_OK;
}

/* A non-blocking TCP socket that dies with exec and raises no SIGPIPE. */
static int compshare__posix_socket(int family)
{
    int one = 1, fd;
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    fd = (socket)(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
#else
    fd = (socket)(family, SOCK_STREAM, 0);
    if (fd < 0) return -1;
    if ((fcntl)(fd, F_SETFD, FD_CLOEXEC) != 0 || (fcntl)(fd, F_SETFL, O_NONBLOCK) != 0) {
        compshare__posix_close_fd(&fd);
        return -1;
    }
#endif
    (void)(setsockopt)(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
#ifdef SO_NOSIGPIPE
    (void)(setsockopt)(fd, SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one);
#endif
    return fd;
}

/* Waits for poll's events; see poll for what it returns. */
static int compshare__posix_poll(int fd, int events, int timeout_ms)
{
    struct pollfd pfd;
    pfd.fd = fd;
    pfd.events = (short)events;
    pfd.revents = 0;
    return (poll)(&pfd, 1, timeout_ms);
}

/* Begins to connect to the current address. 1: connected; 0: on the way; -1: failed,
   see last_errno. */
static int compshare__posix_begin(compshare__posix *p)
{
    const compshare__address *a = &p->address[p->at];
    socklen_t len = a->any.sa_family == AF_INET ? (socklen_t)sizeof a->v4 : (socklen_t)sizeof a->v6;
    uint64_t now = p->monotonic_ms(p->user);
#ifdef TCP_FASTOPEN_CONNECT
    int one = 1;
#endif
    p->share = now + (p->deadline > now ? (p->deadline - now) / (unsigned)(p->count - p->at) : 0);
    p->fd = compshare__posix_socket(a->any.sa_family);
#ifdef TCP_FASTOPEN_CONNECT
    if (p->fd >= 0 && p->fast_open)
        (void)(setsockopt)(p->fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one);
#endif
    if (p->fd >= 0 && (connect)(p->fd, &a->any, len) == 0) return 1;
    if (p->fd >= 0 && (errno == EINPROGRESS || errno == EINTR)) return 0;
    p->last_errno = errno;
    return -1;
}

/* Goes on with it: the same results. */
static int compshare__posix_progress(compshare__posix *p)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (compshare__posix_poll(p->fd, POLLOUT, 0) > 0) {
        if ((getsockopt)(p->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) error = errno;
        if (error == 0) return 1;
    } else {
        if (p->monotonic_ms(p->user) < p->share) return 0;
        error = ETIMEDOUT;
    }
    p->last_errno = error;
    return -1;
}

static int compshare__posix_open(void *user, const char *host, uint16_t port)
{
    compshare__posix *p = (compshare__posix *)user;
    int r;
    if (!p->named) {
        p->last_errno = 0;
        r = compshare__posix_resolve(p, host, port);
        if (r != COMPSHARE_OK) return r;
        p->named = true;
    }
    for (; p->at < p->count; p->at++) {
        int progress = p->fd >= 0 ? compshare__posix_progress(p) : compshare__posix_begin(p);
        if (progress > 0) {
            p->last_errno = 0;
            return COMPSHARE_OK;
        }
        if (progress == 0) return COMPSHARE_WANT_WRITE;
        compshare__posix_close_fd(&p->fd);
    }
    p->quiet_until = 0;
    return COMPSHARE_E_CONNECT;
}

#ifdef MSG_NOSIGNAL
#define COMPSHARE__SEND_FLAGS MSG_NOSIGNAL
#else
#define COMPSHARE__SEND_FLAGS 0
#endif

static ptrdiff_t compshare__posix_moved(compshare__posix *p, ssize_t n, int want)
{
    if (n >= 0) return n;
    if (errno == EAGAIN || errno == EINPROGRESS) return want;   /* the second: a fast open's */
#if EWOULDBLOCK != EAGAIN
    if (errno == EWOULDBLOCK) return want;
#endif
    p->last_errno = errno;
    return COMPSHARE_E_IO;
}

static ptrdiff_t compshare__posix_send(void *user, const void *src, size_t len)
{
    compshare__posix *p = (compshare__posix *)user;
    ssize_t n;
    do n = (send)(p->fd, src, len, COMPSHARE__SEND_FLAGS); while (n < 0 && errno == EINTR);
    return compshare__posix_moved(p, n, COMPSHARE_WANT_WRITE);
}

static ptrdiff_t compshare__posix_recv(void *user, void *dst, size_t cap)
{
    compshare__posix *p = (compshare__posix *)user;
    ssize_t n;
    do n = (recv)(p->fd, dst, cap, 0); while (n < 0 && errno == EINTR);
    return compshare__posix_moved(p, n, COMPSHARE_WANT_READ);
}

/* A signal ends it early; the caller looks at its deadline and comes again. */
static int compshare__posix_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    compshare__posix *p = (compshare__posix *)user;
    int events = (want & COMPSHARE_READ ? POLLIN : 0) | (want & COMPSHARE_WRITE ? POLLOUT : 0);
    int timeout = timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
    if (compshare__posix_poll(want != 0 ? p->fd : -1, events, timeout) >= 0 || errno == EINTR) return COMPSHARE_OK;
    p->last_errno = errno;
    return COMPSHARE_E_IO;
}

static int compshare__posix_fd(void *user)
{
    return ((compshare__posix *)user)->fd;
}

static void compshare__posix_init(compshare__posix *p, compshare_transport *io)
{
    static const compshare_transport methods = {
        NULL, compshare__posix_open, compshare__posix_send, compshare__posix_recv,
        compshare__posix_wait, compshare__posix_close, compshare__posix_fd
    };
    memset(p, 0, sizeof *p);
    p->fd = p->bundle = -1;
    *io = methods;
    io->user = p;
}

/* ---- the bundle ---- */

static const char *const compshare__posix_bundles[] = {     /* as the manual lists them */
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/etc/ssl/ca-bundle.pem",
    "/opt/homebrew/etc/ca-certificates/cert.pem",
    "/usr/local/etc/ca-certificates/cert.pem"
};
#define COMPSHARE__BUNDLES (sizeof compshare__posix_bundles / sizeof compshare__posix_bundles[0])

/* Opens a file; of several, the first with something in it. Returns its path. Where there is
   none: the path of the first that is there, and in bundle_errno what is wrong with it (0:
   nothing in it); NULL, and ENOENT, where all are missing. */
static const char *compshare__posix_open_bundle(compshare__posix *p, const char *const *paths,
    size_t count)
{
    const char *faulty = NULL;
    size_t i;
    p->bundle_errno = ENOENT;
    for (i = 0; i < count; i++) {
        char byte;
        ssize_t n = -1;
        do p->bundle = (open)(paths[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        while (p->bundle < 0 && errno == EINTR);
        if (p->bundle >= 0) n = count == 1 ? 1 : (pread)(p->bundle, &byte, 1, 0);
        if (n > 0) return paths[i];
        if (faulty == NULL && (n == 0 || errno != ENOENT)) {
            faulty = paths[i];
            p->bundle_errno = n == 0 ? 0 : errno;
        }
        compshare__posix_close_fd(&p->bundle);
    }
    return faulty;
}

/* What tells the open bundle from any other, and from itself before a change. */
static bool compshare__posix_bundle_identity(compshare__posix *p, int64_t identity[5])
{
    struct stat s;
    if (fstat(p->bundle, &s) != 0) return false;
    identity[0] = (int64_t)s.st_dev;
    identity[1] = (int64_t)s.st_ino;
    identity[2] = (int64_t)s.st_size;
    identity[3] = (int64_t)s.st_mtime;
    identity[4] = (int64_t)s.st_ctime;
    return true;
}

static ptrdiff_t compshare__posix_read_bundle(void *ctx, uint64_t offset, void *dst, size_t cap)
{
    compshare__posix *p = (compshare__posix *)ctx;
    ssize_t n;
    do n = (pread)(p->bundle, dst, cap, (off_t)offset); while (n < 0 && errno == EINTR);
    if (n < 0) p->bundle_errno = errno;
    return n;
}

/* ---- errors in words ---- */

/* strerror may allocate and is not safe in threads. */
static const char *compshare__posix_meaning(int error)
{
    static const compshare__meaning rows[] = {
        { ECONNREFUSED, "connection refused" },
        { ECONNRESET, "connection reset by the peer" },
        { EPIPE, "connection closed by the peer" },
        { ETIMEDOUT, "no answer in time" },
        { EHOSTUNREACH, "host unreachable" },
        { ENETUNREACH, "network unreachable" },
        { EADDRNOTAVAIL, "no local address or port left" },
        { EACCES, "permission denied" },
        { EPERM, "not permitted" },
        { ENOENT, "no such file" },
        { EISDIR, "it is a directory" },
        { ESPIPE, "it is not a regular file" },
        { EMFILE, "too many open files in this process" },
        { ENFILE, "too many open files in the system" },
        { EAFNOSUPPORT, "address family not supported" },
        { 0, "system error" }
    };
    return compshare__bytes_meaning(rows, sizeof rows / sizeof rows[0], error);
}

static const char *compshare__posix_resolve_meaning(int code)
{
    static const compshare__meaning rows[] = {
        { 0, "the name has no usable address" },
        { EAI_NONAME, "no such name" },
        { EAI_AGAIN, "the name servers do not answer" },
        { EAI_FAIL, "the name servers failed" },
        { EAI_MEMORY, "out of memory" },
        { 0, "name resolution failed" }
    };
    return compshare__bytes_meaning(rows, sizeof rows / sizeof rows[0], code);
}

#endif /* COMPSHARE_NO_SOCKETS */

/* ==== client =================================================================================
   What a client is made of, its clocks, and its failures in sentences. Touches the
   client alone. Must never put a key, a parameter or a body into an error. */

enum {
    COMPSHARE__PHASE_IDLE, COMPSHARE__PHASE_PAUSE, COMPSHARE__PHASE_BEGIN, COMPSHARE__PHASE_CONNECT,
    COMPSHARE__PHASE_PROXY, COMPSHARE__PHASE_HANDSHAKE, COMPSHARE__PHASE_SEND, COMPSHARE__PHASE_RECEIVE
};

/* What a step may ask for instead of ending the task with a status. */
#define COMPSHARE__AGAIN 4      /* its `end`: run the same step once more, after task.pause_ms */
#define COMPSHARE__NEXT 5       /* run the next step of the table; its `begin`: instead of this one */
#define COMPSHARE__FINISHED 6   /* nothing is left to do */

/* base_url or proxy taken apart. */
typedef struct compshare__url {
    char host[COMPSHARE__HOST_MAX + 1];
    uint16_t port;              /* 0: there is no proxy */
    bool plain, port_shown;
    compshare_view path;        /* of a proxy: user and password */
} compshare__url;

/* One HTTP exchange. */
typedef struct compshare__request {
    const char *action;
    const compshare_param *params;
    size_t count;
    bool defaults;              /* add Region, Zone and ProjectId from the configuration */
    bool csv;                   /* a CSV reply is a success */
    bool always;                /* retry class "always" */
    bool repeatable;            /* it may be sent again without being looked at in between */
    bool reads;                 /* it changes nothing */
    bool inner;                 /* its elements go no further than to the client */
    bool half;                  /* it may take half of the time left, for more must come */
    int64_t stop_time;          /* not 0: must be 300 s ahead at every sending */
    const char *array;          /* not NULL: stream this array */
    compshare_each_fn each;
    void *user;
} compshare__request;

/* A step of a task: `begin` fills client->exchange.request; `end` sees the exchange's
   status and returns the task's. See COMPSHARE__AGAIN for what else they return. */
typedef struct compshare__step {
    int (*begin)(compshare *c);
    int (*end)(compshare *c, int status);
} compshare__step;

/* Which instance a task is about. Copied: the caller's strings may be in the result. */
typedef struct compshare__ids {
    char uhost_id[64];
    char project_id[64];        /* sent with every request; "": not known */
    char look_region[32];       /* sent with readings; "": none */
    char region[32], zone[32];  /* sent with changes; of a workflow, where a reading has shown it */
} compshare__ids;

/* A list in pages. */
typedef struct compshare__list {
    int64_t offset, seen;       /* where the page begins, and its elements so far */
    int64_t overlap;            /* elements of the page before, besides the last, to begin with */
    int64_t most;               /* elements of the longest page */
    int64_t end;                /* not 0: from here on a page was empty */
    uint64_t mark[COMPSHARE__MARKS];    /* the last elements handed out, newest first */
    unsigned restarts;          /* how often the place was not found again */
    unsigned empty;             /* pages in a row that had no element, and should have */
    unsigned failures;          /* pages that could not be read */
    bool fresh;                 /* the page has brought something new */
    bool searching, anew;       /* for one of the marks; not for them in the next page */
} compshare__list;

/* A change, and what is known of it by now: law 7. */
typedef struct compshare__change {
    const char *action;         /* NULL: the workflow only reads */
    const char *states;         /* of power: those that show it, each with its NUL */
    compshare_plan plan;        /* of a schedule: its times and mode */
    int64_t by_seconds;
    unsigned raised;            /* how often the API found the time too soon */
    int64_t wanted;             /* of a schedule: what is to be shown; 0: none */
    int64_t before;             /* what was shown before the change */
    bool shown_before;          /* what is wanted was: another such reading proves nothing */
    unsigned looks;             /* how often a reading that refuses the workflow was checked, */
    int refusal;                /* and what the one before said */
    bool accepted;              /* a sending got a definite success */
    bool lost;                  /* a sending got no definite answer */
    bool refused;               /* a later one was refused */
    bool read_back;             /* a reading after it has succeeded */
    unsigned readings;          /* in a row that have shown what is wanted */
    unsigned sendings;
    uint64_t sent_at;           /* when the last one ended, and how: */
    int status, http, code;
    char request_id[64];
} compshare__change;

/* What a task works on: arguments and results of typed calls, and its progress. */
typedef struct compshare__task {
    const compshare__step *step;        /* NULL: no task */
    uint32_t timeout_ms, pause_ms;
    bool aborted;                       /* `end` is called only to tidy up */
    bool workflow;
    bool unsettled;                     /* a change was sent, and is not confirmed */
    bool uses_schedule;                 /* a reading whose schedule cannot be read is none */
    bool project_given;                 /* by the target or the configuration */
    bool list_projects;                 /* the step that does has something to do */
    bool listed;                        /* it was asked for after a refusal */
    bool list_refused;                  /* the account may not read it */
    bool both_names;                    /* StopTime goes with SchedulerStopTime */
    unsigned other;                     /* the n-th project is looked in; 0: the default one */
    compshare__ids ids;
    void *out;                          /* what the current step fills in */
    compshare_project_fn on_project;
    compshare_instance_fn on_instance;
    void *user;
    compshare_param params[COMPSHARE__TYPED_PARAMS];
    int64_t stop_time;                  /* of UpdateCompShareStopScheduler */
    size_t found;
    const char *malformed;              /* field that an element callback refused, */
    char raw[32];                       /* and what stands in it */
    union {
        compshare_instance instance;
        struct {
            compshare_project project;
            compshare__text names;      /* of those seen, into name_list */
            char name_list[136];
            int64_t seen;
        } list;
    } read;
    compshare_schedule *result;         /* the caller's */
    compshare_instance *instance;       /* the caller's */
    const char *state;                  /* waited for */
    unsigned polls, missing;
    bool seen;                          /* the instance was, by a wait */
    bool spoiled;                       /* a reply that failed has left its mark in `read` */
    uint64_t poll_until, began;
    union {
        compshare__request call;        /* of a generic call */
        compshare__list list;
        compshare__change change;
        char seen[32];                  /* the state that a wait has read last */
    } as;
} compshare__task;

/* A timed shutdown that this client has set, or deleted, with success. */
typedef struct compshare__recent {
    uint64_t mark;              /* of the instance; 0: none */
    int64_t before;             /* what readings showed until then; -1: not known */
    int64_t after;              /* what they must show; 0: none */
    uint64_t at;
    bool shown;                 /* one has */
} compshare__recent;

/* What is known of time. The monotonic clock alone decides deadlines. */
typedef struct compshare__clock {
    uint64_t looked_at;         /* what the monotonic clock said last, in milliseconds */
    uint64_t deadline;          /* of the task; 0: that clock has stepped back */
    int64_t server_date;        /* the last verified Date, in seconds since 1970; 0: none yet */
    uint64_t server_date_at;    /* when it came, on the monotonic clock */
} compshare__clock;

/* One request on its way to a verdict: where it stands, and what may still be done. */
typedef struct compshare__exchange {
    int phase;
    unsigned wants;             /* COMPSHARE_READ, COMPSHARE_WRITE: what a step waits for */
    bool more;                  /* a step stopped although it could go on */
    bool reused;                /* it began on a kept connection */
    bool head_written;          /* the encoder goes on with the body */
    bool flushing;              /* a record is complete, and not sent yet */
    bool send_failed;           /* the reply, if one has come, may tell why */
    bool replied;               /* a byte of the reply has come */
    bool dated;                 /* and its head, with the server's time */
    bool lost;                  /* an earlier sending of this request got no answer */
    bool definite;              /* a RetCode has settled what happened */
    bool resent;                /* the one reconnection has been used up */
    unsigned retries;           /* left for this request */
    uint32_t request_ms;        /* the time that it was given, for the error text */
    uint64_t deadline, pause_until;
    uint64_t reuse_deadline;    /* when a kept connection that says nothing is given up */
    compshare__encoder encoder;
    compshare__request request;
} compshare__exchange;

/* What has come back: the bytes, and how far they are understood. */
typedef struct compshare__reply {
    char *area;                 /* during a handshake the X.509 engine's, then body and tokens */
    size_t area_cap;
    size_t body_at, body_len;   /* in the area; body_at skips a byte order mark */
    bool body_cut;              /* an error's body was too long to keep */
    bool handed;                /* an element went to the callback */
    bool draining;              /* the reply was too large, and its rest is read */
    uint32_t drained;           /* bytes of that rest */
    uint32_t generation;        /* of the values that programs hold */
    compshare__tree tree;
    compshare__http http;
    compshare__splitter split;
} compshare__reply;

/* The way to the server. It outlives an exchange where its reply left it clean. */
typedef struct compshare__connection {
    bool open;                  /* the transport is */
    bool resuming;              /* the handshake offers a session */
    uint64_t deadline;          /* of connecting, tunnel and handshake */
    uint64_t used_at;           /* when the kept connection was last in use */
    const char *bundle;         /* what the roots come from, for error texts */
    compshare__trust *trust;    /* in the reply area, during a handshake */
    compshare_handshake handshake;
    compshare_transport io;
    compshare__posix posix;
    compshare__url url, proxy;
    compshare__tls tls;
} compshare__connection;

/* What has been learned of the account, and holds for later calls. */
typedef struct compshare__account {
    bool both_names;            /* the API wants StopTime as well as SchedulerStopTime */
    char project[64];           /* that an instance was found in; "": not yet */
    compshare__recent recent[COMPSHARE__RECENT];
} compshare__account;

/* The exchange first: an instruction reaches near offsets with fewer bytes. */
struct compshare {
    bool entered;               /* inside compshare_step: callbacks may not call back */
    compshare__exchange exchange;
    compshare__reply reply;
    compshare__clock clock;
    compshare_error error;
    compshare_config config;    /* defaults filled in */
    compshare__account account;
    compshare__task task;
    compshare__params params;
    compshare__connection connection;
};

static uint64_t compshare__client_now(const compshare *c)
{
    return c->config.monotonic_ms(c->config.user);
}

/* Seconds since 1970; what sums and BearSSL's day count cannot take becomes 0. */
static int64_t compshare__client_unix_time(const compshare *c)
{
    int64_t now = c->config.unix_time(c->config.user);
    return now > 0 && now / 86400 < INT32_MAX ? now : 0;
}

/* The server's clock, carried on by the monotonic one; 0 if not known. */
static int64_t compshare__client_server_time(const compshare *c)
{
    uint64_t now = compshare__client_now(c);
    if (c->clock.server_date == 0) return 0;
    return c->clock.server_date + (now > c->clock.server_date_at ? (int64_t)((now - c->clock.server_date_at) / 1000) : 0);
}

/* The same, or the local clock where the server's is not known. */
static int64_t compshare__client_best_time(const compshare *c)
{
    int64_t now = compshare__client_server_time(c);
    return now != 0 ? now : compshare__client_unix_time(c);
}

static bool compshare__client_encrypted(const compshare *c)
{
    return !c->connection.url.plain;
}

/* Whom the client talks to now: the proxy, until that has opened the tunnel. */
static const compshare__url *compshare__client_peer(const compshare *c)
{
    return c->connection.proxy.port != 0 && c->exchange.phase <= COMPSHARE__PHASE_PROXY ? &c->connection.proxy : &c->connection.url;
}

/* A value as programs see it: good until the client forgets it. */
static compshare_value compshare__client_value(const compshare *c, uint32_t token)
{
    compshare_value v;
    v.client = token != COMPSHARE__NO_TOKEN ? c : NULL;
    v.token = token;
    v.generation = c != NULL ? c->reply.generation : 0;
    return v;
}

static void compshare__client_forget_values(compshare *c)
{
    memset(&c->reply.tree, 0, sizeof c->reply.tree);
    c->reply.generation++;
}

/* ---- failures ---- */

typedef struct compshare__status {
    int value;
    const char *name, *text;
} compshare__status;

static const compshare__status *compshare__fail_status(int status)
{
#define COMPSHARE__STATUS_ROW(name, value, text) { value, "COMPSHARE_" #name, text },
    static const compshare__status rows[] = {
        COMPSHARE_STATUS_LIST(COMPSHARE__STATUS_ROW)
        { 0, "COMPSHARE_E_?", "unknown status" }
    };
#undef COMPSHARE__STATUS_ROW
    size_t i, last = sizeof rows / sizeof rows[0] - 1;
    for (i = 0; i < last && rows[i].value != status; i++) {}
    return &rows[i];
}

static int compshare__fail_stage(const compshare *c)
{
    static const unsigned char stages[] = {     /* of each phase */
        COMPSHARE_STAGE_PREPARE, COMPSHARE_STAGE_PREPARE, COMPSHARE_STAGE_PREPARE, COMPSHARE_STAGE_CONNECT,
        COMPSHARE_STAGE_CONNECT, COMPSHARE_STAGE_HANDSHAKE, COMPSHARE_STAGE_SEND, COMPSHARE_STAGE_RECEIVE
    };
    bool judging = c->exchange.phase == COMPSHARE__PHASE_RECEIVE ? c->reply.http.state == COMPSHARE__HTTP_DONE
        : c->exchange.phase == COMPSHARE__PHASE_IDLE && c->task.step != NULL;
    if (judging) return COMPSHARE_STAGE_JUDGE;
    return stages[c->exchange.phase];
}

/* In place of a status: goes on with the sentence of the failure. */
#define COMPSHARE__MORE 7

/* Records a failure: its status, the stage, and a sentence as of
   compshare__text_form. Returns the status. While the rest of a refused reply is
   read, its refusal stands. */
static int compshare__fail(compshare *c, int status, const char *form, ...)
{
    compshare__text t;
    va_list args;
    size_t said = status == COMPSHARE__MORE ? strlen(c->error.detail) : 0;
    if (c->reply.draining) return c->error.status;
    t = compshare__text_into(c->error.detail + said, sizeof c->error.detail - said);
    va_start(args, form);
    compshare__text_list(&t, form, args);
    va_end(args);
    if (status != COMPSHARE__MORE) {
        c->error.status = status;
        c->error.stage = compshare__fail_stage(c);
    }
    return c->error.status;
}

/* ": why", from the POSIX transport. */
static int compshare__fail_errno(compshare *c)
{
#ifndef COMPSHARE_NO_SOCKETS
    int error = c->connection.posix.last_errno;
    if (c->connection.io.user == (void *)&c->connection.posix && error != 0 && !c->reply.draining) {
        (void)compshare__fail(c, COMPSHARE__MORE, ": %s (errno %d)", compshare__posix_meaning(error), error);
        c->error.sys_errno = error;
    }
#endif
    return c->error.status;
}

/* What the peer, or the way to it, did. */
static int compshare__fail_host(compshare *c, int status, const char *what)
{
    const compshare__url *peer = compshare__client_peer(c);
    (void)compshare__fail(c, status, "%s:%d: %s", peer->host, peer->port, what);
    return compshare__fail_errno(c);
}

static int compshare__fail_timeout(compshare *c)
{
    const compshare__url *peer = compshare__client_peer(c);
    bool connecting = c->exchange.phase >= COMPSHARE__PHASE_CONNECT && c->exchange.phase <= COMPSHARE__PHASE_HANDSHAKE
        && compshare__client_now(c) < c->exchange.deadline;
    if (c->clock.deadline == 0)
        return compshare__fail(c, COMPSHARE_E_TIMEOUT,
            "monotonic_ms: it stepped back: no time can be kept");
    return compshare__fail(c, COMPSHARE_E_TIMEOUT, "%s:%d: timed out after %l ms %s", peer->host, peer->port,
        (int64_t)(connecting ? c->config.connect_timeout_ms : c->exchange.request_ms),
        c->exchange.phase <= COMPSHARE__PHASE_BEGIN ? "before the request was begun"
        : c->exchange.phase == COMPSHARE__PHASE_HANDSHAKE ? "during the TLS handshake"
        : c->exchange.phase == COMPSHARE__PHASE_SEND ? "while the request was sent"
        : c->exchange.phase == COMPSHARE__PHASE_RECEIVE ? "while the reply was awaited" : "while connecting");
}

static int compshare__fail_clock(compshare *c, const char *consequence)
{
    return compshare__fail(c, COMPSHARE_E_CLOCK, "this machine's clock reads %t, which cannot be: %s",
        c->config.unix_time(c->config.user), consequence);
}

static int compshare__fail_bundle(compshare *c, const char *what)
{
    (void)compshare__fail(c, COMPSHARE_E_TRUST, "root certificates: %s %s", c->connection.bundle, what);
#ifndef COMPSHARE_NO_SOCKETS
    c->connection.posix.last_errno = c->connection.posix.bundle_errno;
#endif
    return compshare__fail_errno(c);    /* none unless opening or reading failed */
}

/* TLS failed: BearSSL's code, or the bundle, in a sentence. */
static int compshare__fail_tls(compshare *c)
{
    int code = br_ssl_engine_last_error(&c->connection.tls.client.eng);
    int trouble = c->connection.trust != NULL ? compshare__trust_trouble(c->connection.trust) : COMPSHARE__TRUST_FINE;
    if (c->reply.draining) return c->error.status;
    c->error.tls_code = code;
    if (code == BR_ERR_X509_NOT_TRUSTED && trouble != COMPSHARE__TRUST_FINE)
        return compshare__fail_bundle(c, compshare__trust_meaning(trouble));
    (void)compshare__fail(c, compshare__tls_is_certificate(code) ? COMPSHARE_E_CERTIFICATE : COMPSHARE_E_TLS, "%s:%d: %s",
        c->connection.url.host, c->connection.url.port, compshare__tls_meaning(code));
    if (code == BR_ERR_X509_EXPIRED) (void)compshare__fail(c, COMPSHARE__MORE, " by this machine's clock, %t", c->connection.tls.now);
    if (code == BR_ERR_X509_NOT_TRUSTED)
        (void)compshare__fail(c, COMPSHARE__MORE,
            " in %s, or an intermediate certificate is missing%s", c->connection.bundle,
            c->connection.trust->certificates > COMPSHARE__CHAIN_MAX ? " or behind the eighth" : "");
    (void)compshare__fail(c, COMPSHARE__MORE, " (BearSSL %d)", code);
    return c->error.status;
}

static int compshare__fail_too_large(compshare *c, const char *what)
{
    return compshare__fail(c, COMPSHARE_E_TOO_LARGE, "%s does not fit the reply area of %l bytes: enlarge memory_size, "
        "or stream it with compshare_call_each", what, (int64_t)c->reply.area_cap);
}

static int compshare__fail_json(compshare *c, const char *reason, uint64_t at)
{
    bool typed = c->reply.http.content_type[0] != '\0';
    return compshare__fail(c, COMPSHARE_E_JSON, "the reply is not valid JSON: %s at byte %l%s%s%s", reason, (int64_t)at,
        typed ? " (content type " : "", c->reply.http.content_type, typed ? ")" : "");
}

static int compshare__fail_http(compshare *c, int status)
{
    (void)compshare__fail_host(c, status, c->reply.http.reason);
    if (c->reply.http.received > 0) (void)compshare__fail(c, COMPSHARE__MORE, " (after %l bytes of it)", (int64_t)c->reply.http.received);
    return c->error.status;
}

/* form may hold %s for text and behind that %l for number. Never a part of its callers: its
   line would lie below every handshake, which is then deeper than the stack is wiped. */
COMPSHARE__NOINLINE static void compshare__trace(const compshare *c, const char *form, const char *text, uint32_t number)
{
    char line[384];
    compshare__text t;
    if (c->config.trace == NULL) return;
    t = compshare__text_into(line, sizeof line);
    compshare__text_form(&t, form, text, (int64_t)number);
    c->config.trace(c->config.user, line);
}

/* ==== config =================================================================================
   Takes compshare_config apart and refuses what cannot work, naming the field and
   the limit. Touches only its arguments. Must never ignore a setting that it does
   not support. */

/* No byte under `least`, and no DEL: with ' ' nothing can end a header line, with '!'
   nothing can hide at the end of a key either; bytes of UTF-8 pass. */
static bool compshare__config_printable(const char *s, char least)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < (unsigned char)least || *s == 0x7F) return false;
    return true;
}

/* A DNS name, RFC 1123 2.1. An IP address is refused: BearSSL compares names
   with dNSName entries only, so an address could not be verified. */
static const char *compshare__config_host(const char *host, size_t len, bool plain)
{
    size_t i, start = 0, last = 0;      /* of a label, and of the one before it */
    if (len == 0) return "it has no host name";
    if (host[0] == '[') return "an IP address cannot be verified: use a host name";
    if (len > 253) return "the host name is longer than 253 bytes";
    for (i = 0; i <= len; i++) {
        if (i == len || host[i] == '.') {
            if (i == start) return "the host name has an empty label";
            last = start;
            start = i + 1;
        } else if (!compshare__bytes_in((unsigned char)host[i], COMPSHARE__LABEL)) {
            return "the host name holds a character that is not allowed";
        } else if (i - start == 63) {
            return "a label of the host name is longer than 63 bytes";
        }
    }
    if (!plain && compshare__bytes_digit(host[last])
        && (compshare__bytes_span(host + last, "0123456789ABCDEFabcdef", true) == len - last
        || (host[last] == '0' && compshare__bytes_lower(host[last + 1]) == 'x')))
        return "an IP address cannot be verified: use a host name";
    return NULL;
}

/* host[:port] at *s, which moves behind it. A proxy is not verified, so its host may
   be an IP address. NULL, or why it is refused. */
static const char *compshare__config_authority(const char **s, compshare__url *url, uint16_t port)
{
    const char *p = *s, *reason;
    compshare_view digits;
    uint64_t number;
    size_t len, name;
    if (url->path.ptr != NULL && p[0] == '[') {      /* a proxy's path stands before its host */
        len = compshare__bytes_span(++p, "0123456789ABCDEFabcdef:.", true);
        if (len == 0 || len > 45 || p[len] != ']') return "its IPv6 address is malformed";
        memcpy(url->host, p, len++);
    } else {
        len = compshare__bytes_span(p, ":/?#@", false);
        name = len > 0 && p[len - 1] == '.' ? len - 1 : len;
        reason = compshare__config_host(p, name, url->plain);
        if (reason != NULL) return reason;
        memcpy(url->host, p, name);
    }
    p += len;
    url->port = port;
    if (*p == ':') {
        digits.ptr = p + 1;
        digits.len = compshare__bytes_span(p + 1, "/", false);
        if (digits.len > 5 || !compshare__bytes_number(digits, 65535, &number) || number == 0)
            return "its port is not a number from 1 to 65535";
        url->port = (uint16_t)number;
        url->port_shown = url->port != port;
        p += 1 + digits.len;
    }
    *s = p;
    return NULL;
}

/* scheme://host[:port][/path]. NULL, or why it is refused. */
static const char *compshare__config_url(const char *s, compshare__url *url)
{
    const char *reason;
    memset(url, 0, sizeof *url);
    if (!compshare__config_printable(s, '!')) return "it holds a space or a control character";
    if (compshare__bytes_begins(s, "http://")) {
#ifndef COMPSHARE_PLAINTEXT
        return "http:// would send the signed request in the open: use https://";
#else
        url->plain = true;
#endif
    } else if (!compshare__bytes_begins(s, "https://")) {
        return "it does not begin with https://";
    }
    s += url->plain ? 7 : 8;
    reason = compshare__config_authority(&s, url, url->plain ? 80 : 443);
    if (reason != NULL) return reason;
    url->path.ptr = *s == '\0' ? "/" : s;
    url->path.len = strlen(url->path.ptr);
    if (*url->path.ptr != '/') return "nothing but a port and a path may follow its host name";
    if (url->path.len > COMPSHARE__PATH_MAX) return "its path is longer than 255 bytes";
    for (; *s != '\0'; s++)
        if ((unsigned char)*s >= 0x80 || *s == '?' || *s == '#') return "its path holds a character that is not allowed";
    return NULL;
}

/* http://[user:password@]host[:port][/]. NULL, or why it is refused. */
static const char *compshare__config_proxy(const char *s, compshare__url *url)
{
    const char *reason;
    size_t i, end = 0, at = 0;
    bool password = false;
    memset(url, 0, sizeof *url);
    if (!compshare__config_printable(s, '!')) return "it holds a space or a control character";
    if (!compshare__bytes_begins(s, "http://")) return "only http:// proxies are supported";
    s += 7;
    for (; s[end] != '\0' && s[end] != '/'; end++)
        if (s[end] == '@') at = end + 1;
    url->path.ptr = s;
    url->path.len = at > 0 ? at - 1 : 0;
    if (url->path.len > COMPSHARE__CREDENTIALS_MAX) return "its user and password are longer than 255 bytes";
    for (i = 0; i < url->path.len; i++) {
        int high, c;
        password = password || s[i] == ':';
        if (s[i] != '%') continue;
        high = compshare__bytes_hex((unsigned char)s[i + 1]);
        c = high < 0 ? -1 : compshare__bytes_hex((unsigned char)s[i + 2]);
        if (c < 0) return "a % in its user or password is not followed by two hexadecimal digits";
        c += 16 * high;
        if (c < 0x20 || c == 0x7F) return "its user or password holds a control character";
        if (c == ':' && !password) return "its user holds a colon";     /* RFC 7617 2 */
    }
    s += at;
    url->plain = true;
    reason = compshare__config_authority(&s, url, 80);
    if (reason != NULL) return reason;
    return *s == '\0' || (*s == '/' && s[1] == '\0') ? NULL : "nothing but a port may follow its host name";
}

/* One of the credentials and identifiers that are sent with every call. */
static const char *compshare__config_identity(const char *value, bool needed, bool key)
{
    if (value == NULL) return needed ? "it is missing" : NULL;
    if (key && value[0] == '\0') return "it is empty";
    if (!compshare__config_printable(value, '!')) return "it holds a space, a line end or a control character";
    return key || compshare__bytes_all(value, strlen(value), COMPSHARE__IDENTIFIER) ? NULL : "only A-Z a-z 0-9 . _ - are allowed in it";
}

/* What this build does not have is refused, never ignored. NULL, or a field and why. */
static const char *compshare__config_parts(const compshare_config *f)
{
    const compshare_transport *io = f->transport;
    if (f->flags & ~(COMPSHARE_SMALL_RECORDS | COMPSHARE_FAST_OPEN)) return "flags: it has an unknown bit";
    if ((f->flags & COMPSHARE_FAST_OPEN) && io != NULL) return "flags: COMPSHARE_FAST_OPEN is for POSIX sockets, and transport is given";
#if !defined(COMPSHARE_NO_SOCKETS) && !defined(TCP_FASTOPEN_CONNECT)
    if (f->flags & COMPSHARE_FAST_OPEN)
        return "flags: COMPSHARE_FAST_OPEN is for Linux: this build has no TCP_FASTOPEN_CONNECT";
#endif
    if (f->ca_file != NULL && f->ca_pem != NULL) return "ca_pem: ca_file is given as well: give one of them";
    if (io != NULL && (io->open == NULL || io->send == NULL || io->recv == NULL || io->close == NULL))
        return "transport: open, send, recv and close are all needed";
#ifdef COMPSHARE_NO_SOCKETS
    if (io == NULL) return "transport: it is needed: this build has no sockets";
    if (f->unix_time == NULL) return "unix_time: it is needed: this build has no clock";
    if (f->monotonic_ms == NULL) return "monotonic_ms: it is needed: this build has no clock";
    if (f->entropy == NULL) return "entropy: it is needed: this build has no entropy";
    if (f->ca_file != NULL) return "ca_file: this build reads no files: use ca_pem";
    if (f->ca_pem == NULL) return "ca_pem: it is needed: this build reads no files";
#endif
    return NULL;
}

static const char *compshare__config_user_agent(const char *s)
{
    if (s == NULL) return NULL;
    if (*s == '\0' || strlen(s) > COMPSHARE__USER_AGENT_MAX) return "1 to 255 bytes are needed";
    return compshare__config_printable(s, ' ') ? NULL : "it holds a control character";
}

static size_t compshare__config_memory(const compshare_config *f)
{
    bool small = f != NULL && (f->flags & COMPSHARE_SMALL_RECORDS);
    size_t record = small ? COMPSHARE__RECORD_SMALL : COMPSHARE__RECORD_FULL;
    return COMPSHARE__ALIGN - 1 + sizeof(compshare) + COMPSHARE__REPLY_MIN + record;
}

/* NULL, or why the configuration is refused, and what of it. */
static const char *compshare__config_refusal(const compshare_config *f, compshare__url *url, compshare__url *proxy, const char **field)
{
    static const char *const names[] = { "public_key: ", "private_key: ", "security_token: ", "region: ", "zone: ", "project_id: " };
    const char *const values[] = { f->public_key, f->private_key, f->security_token, f->region, f->zone, f->project_id };
    const char *reason;
    size_t i;
    for (i = 0; i < 6; i++) {
        *field = names[i];
        if ((reason = compshare__config_identity(values[i], i < 2, i < 3)) != NULL) return reason;
    }
    *field = "";
    if ((reason = compshare__config_parts(f)) != NULL) return reason;
    *field = "base_url: ";
    if ((reason = compshare__config_url(f->base_url != NULL ? f->base_url : COMPSHARE__BASE_URL, url)) != NULL) return reason;
    if ((f->flags & COMPSHARE_FAST_OPEN) && url->plain) {
        *field = "flags: ";
        return "COMPSHARE_FAST_OPEN is for https://: a SYN may arrive twice, and the request in it";
    }
    *field = "proxy: ";
    memset(proxy, 0, sizeof *proxy);
    if (f->proxy != NULL && (reason = compshare__config_proxy(f->proxy, proxy)) != NULL) return reason;
    *field = "user_agent: ";
    if ((reason = compshare__config_user_agent(f->user_agent)) != NULL) return reason;
    *field = "memory: ";
    return f->memory == NULL ? "it is NULL" : NULL;
}

static int compshare__config_check(const compshare_config *f, compshare__url *url, compshare__url *proxy, compshare__text *why)
{
    const char *field = "", *reason = f == NULL ? "config: it is NULL" : compshare__config_refusal(f, url, proxy, &field);
    size_t needed;
    if (reason != NULL) {
        compshare__text_form(why, "%s%s", field, reason);
        return COMPSHARE_E_CONFIG;
    }
    needed = compshare__config_memory(f);
    if (f->memory_size >= needed) return COMPSHARE_OK;
    compshare__text_form(why, "memory_size: %l bytes given, at least %l needed", (int64_t)f->memory_size, (int64_t)needed);
    return COMPSHARE_E_MEMORY;
}

static void compshare__config_defaults(compshare_config *f)
{
    f->region = compshare__bytes_first(f->region, NULL);
    f->zone = compshare__bytes_first(f->zone, NULL);
    f->project_id = compshare__bytes_first(f->project_id, NULL);
    if (f->user_agent == NULL) f->user_agent = COMPSHARE__USER_AGENT;
    if (f->connect_timeout_ms == 0) f->connect_timeout_ms = COMPSHARE__CONNECT_TIMEOUT_MS;
    if (f->timeout_ms == 0) f->timeout_ms = COMPSHARE__TIMEOUT_MS;
    if (f->ca_pem != NULL && f->ca_pem_len == 0) f->ca_pem_len = strlen(f->ca_pem);
#ifndef COMPSHARE_NO_SOCKETS
    if (f->unix_time == NULL) f->unix_time = compshare__posix_unix_time;
    if (f->monotonic_ms == NULL) f->monotonic_ms = compshare__posix_monotonic_ms;
    if (f->entropy == NULL) f->entropy = compshare__posix_entropy;
#endif
}

/* "cn-wlcb-01" is in "cn-wlcb". Empty where a zone has no such form. */
static void compshare__zone_region(const char *zone, char *region, size_t cap)
{
    size_t len = strlen(zone);
    compshare__text t = compshare__text_into(region, cap);
    while (len > 0 && compshare__bytes_digit(zone[len - 1])) len--;
    if (len < 2 || zone[len - 1] != '-' || zone[len] == '\0' || len > cap) return;
    compshare__text_bytes(&t, zone, len - 1);
}

/* Region and Zone of one request belong together: the API answers others with 230. What is
   given (not NULL) stays as it is; the configuration's takes the place of what is not where
   it belongs to the rest, else a region is derived from the zone that is sent. */
static void compshare__config_place(const compshare_config *f, const char **region,
    const char **zone, char derived[32])
{
    const char *sent = *zone != NULL ? *zone : f->zone;
    if (*zone != NULL && *region != NULL) return;
    compshare__zone_region(sent != NULL ? sent : "", derived, 32);
    if (*region == NULL || derived[0] == '\0' || compshare__bytes_equal(derived, *region))
        *zone = sent;
    if (*region != NULL) return;
    if (f->region != NULL && (derived[0] == '\0' || compshare__bytes_equal(derived, f->region)))
        *region = f->region;
    else *region = compshare__bytes_first(derived, NULL);
}

/* ==== judge ==================================================================================
   Decides what a complete reply means: law 1, success is complete HTTP framing,
   status 2xx, one valid JSON object and exactly one RetCode that is 0. Touches the
   client's error, values and server time. Must never call a reply a success for
   any other reason; the `end` functions of `actions` may only refuse more. */

static bool compshare__judge_is_2xx(const compshare *c)
{
    return c->reply.http.status / 100 == 2;
}

/* RetCodes that mean "later". */
static bool compshare__judge_transient(int code)
{
    static const int codes[] = {
        110, 120, 130, 150, 153, 8357, 8433, 8434, 8438, 8441, 8498, 8510, 8520, 8580, 8903, 8964, 226604, 226609, 226619, 226622
    };
    size_t i;
    for (i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i] == code) return true;
    return false;
}

/* RetCodes of a gateway that gave up waiting: the action may have run. */
static bool compshare__judge_timeout_code(int code)
{
    return code == 110 || code == 8438;
}

/* RetCode: exactly one, a 32-bit integer or a string that is one. NULL, or why
   not. */
static const char *compshare__judge_ret_code(const compshare__tree *tree, int *code)
{
    uint32_t at;
    int64_t value;
    size_t hits = compshare__json_find(tree, 0, "RetCode", &at);
    if (compshare__json_type(tree, 0) != COMPSHARE_OBJECT) return "the reply is not a JSON object";
    if (hits == 0) return "the reply holds no RetCode";
    if (hits > 1) return "the reply holds RetCode more than once";
    if (!compshare__json_int(tree, at, &value) || value < INT32_MIN || value > INT32_MAX)
        return "RetCode is not a 32-bit integer";
    *code = (int)value;
    return NULL;
}

/* Whether remote text repeats the signed request, or the beginning of its signature:
   that is a credential, and comes into no error. */
static bool compshare__judge_is_echo(const compshare *c, compshare_view text)
{
    const char *token = c->config.security_token;
    return compshare__bytes_hold(text, c->params.signature, 16) || (token != NULL && compshare__bytes_hold(text, token, strlen(token)));
}

static void compshare__judge_message(compshare *c)
{
    uint32_t at;
    compshare_view raw;
    if (compshare__json_find(&c->reply.tree, 0, "Message", &at) == 0 || compshare__json_type(&c->reply.tree, at) != COMPSHARE_STRING) return;
    raw = compshare__json_raw(&c->reply.tree, at);
    if (compshare__judge_is_echo(c, raw)) return;
    (void)compshare__json_copy(raw, c->error.message, sizeof c->error.message, true);
}

/* Validates and tokenizes the body, or what the splitter kept of it. */
static int compshare__judge_parse(compshare *c)
{
    compshare__json *json = &c->reply.split.json;
    const char *reason;
    size_t end;
    if (c->exchange.request.array != NULL && compshare__judge_is_2xx(c)) {
        end = c->reply.split.kept;
    } else {
        end = c->reply.body_len;
        c->reply.body_at = compshare__json_bom(c->reply.area, c->reply.body_len);
        compshare__json_init(json);
        compshare__json_feed(json, c->reply.area + c->reply.body_at, end - c->reply.body_at);
    }
    reason = compshare__json_finish(json);
    if (reason != NULL) return compshare__fail_json(c, reason, json->at);
    if (!compshare__json_tokenize(&c->reply.tree, c->reply.area + c->reply.body_at, end - c->reply.body_at, c->reply.area + end, c->reply.area_cap - end))
        return compshare__fail_too_large(c, "the reply with its values");
    return COMPSHARE_OK;
}

/* A status outside 2xx is an error whatever the body says; what the body says is
   kept where it is an envelope. */
static int compshare__judge_status(compshare *c)
{
    int status = c->reply.http.status, code = 0;
    if (!c->reply.body_cut && c->reply.body_len > 0 && compshare__judge_parse(c) == COMPSHARE_OK
        && compshare__judge_ret_code(&c->reply.tree, &code) == NULL) {
        c->exchange.definite = status < 500 && code != 0 && !compshare__judge_timeout_code(code);
        c->error.ret_code = code;
    }
    if (c->reply.tree.count > 0) compshare__judge_message(c);
    c->error.retryable = status == 429 || status >= 500;
    return compshare__fail(c, COMPSHARE_E_STATUS, "HTTP status %d%s", status, status / 100 == 3
        ? ": a redirect, which is never followed, because it would hand the signed request on" : "");
}

/* Whether an action that answers with CSV has done so. */
static bool compshare__judge_is_csv(const compshare *c)
{
    size_t i = compshare__json_bom(c->reply.area, c->reply.body_len);
    while (i < c->reply.body_len && compshare__json_is_space(c->reply.area[i])) i++;
    if (!c->exchange.request.csv || i == c->reply.body_len || c->reply.area[i] == '{') return false;
    return compshare__bytes_listed(c->reply.http.content_type,
        "text/csv\0application/csv\0application/octet-stream\0application/vnd.ms-excel\0");
}

/* A head is complete: its Date is the server's time, RFC 9110 6.6.1. */
static void compshare__judge_date(compshare *c)
{
    if (c->reply.http.date <= 0) return;
    c->clock.server_date = c->reply.http.date;
    c->clock.server_date_at = c->clock.looked_at;
}

/* The reply is complete: is it a success? */
static int compshare__judge(compshare *c)
{
    const char *reason;
    int code = 0, r;
    if (c->reply.http.encoded) return compshare__fail(c, COMPSHARE_E_HTTP, "the reply has a Content-Encoding that was not asked for");
    if (!compshare__judge_is_2xx(c)) return compshare__judge_status(c);
    if (!compshare__judge_is_csv(c)) {
        if ((r = compshare__judge_parse(c)) != COMPSHARE_OK) return r;
        if ((reason = compshare__judge_ret_code(&c->reply.tree, &code)) != NULL) return compshare__fail(c, COMPSHARE_E_REPLY, "%s", reason);
    }
    if (code == 0 && c->connection.tls.mute) return compshare__fail(c, COMPSHARE_E_REPLY, "a success came before the request was complete");
    c->exchange.definite = !compshare__judge_timeout_code(code);
    if (code != 0) {
        c->error.ret_code = code;
        c->error.retryable = compshare__judge_transient(code);
        compshare__judge_message(c);
        return compshare__fail(c, COMPSHARE_E_API, "the API refused");
    }
    if (c->exchange.request.array != NULL && (c->reply.split.twice || c->reply.split.not_array))
        return compshare__fail(c, COMPSHARE_E_REPLY,
            c->reply.split.twice ? "the reply holds the streamed array more than once" : "what was to be streamed is not an array");
    return COMPSHARE_OK;
}

/* ==== session ================================================================================
   TLS sessions to resume, in the caller's compshare_session. Touches that, the client,
   and the bundle's attributes. Must never offer a session to another server, or one
   that was agreed on under other root certificates: resumption checks none. */

typedef struct compshare__session {
    int64_t since;              /* when its server proved who it is; 0: no session */
    unsigned char bound[br_sha256_SIZE];    /* what it is good for */
    br_ssl_session_parameters parameters;
} compshare__session;
typedef char compshare__assert_session[sizeof(compshare__session) <= sizeof(compshare_session) ? 1 : -1];

/* Host, port, size of records and root certificates, as one hash. */
static bool compshare__session_binding(compshare *c, unsigned char hash[br_sha256_SIZE])
{
    br_sha256_context sha256;
    bool known = true;
    br_sha256_init(&sha256);
    br_sha256_update(&sha256, c->connection.url.host, strlen(c->connection.url.host) + 1);
    br_sha256_update(&sha256, &c->connection.url.port, sizeof c->connection.url.port);
    br_sha256_update(&sha256, &c->connection.tls.record_len, sizeof c->connection.tls.record_len);    /* RFC 6066 4: a session keeps it */
    if (c->config.ca_pem != NULL) {
        br_sha256_update(&sha256, c->config.ca_pem, c->config.ca_pem_len);
    } else {
#ifndef COMPSHARE_NO_SOCKETS
        int64_t identity[5];
        known = compshare__posix_bundle_identity(&c->connection.posix, identity);
        if (known) br_sha256_update(&sha256, identity, sizeof identity);
#endif
    }
    br_sha256_out(&sha256, hash);
    return known;
}

/* The session to offer. False: there is none that fits. What a new one will be good for
   is noted before anything of the bundle is read, which may change meanwhile. */
static bool compshare__session_load(compshare *c, compshare__session *s)
{
    compshare__trust *t = c->connection.trust;
    if (c->config.session == NULL) return false;
    t->bindable = compshare__session_binding(c, t->binding);
    memcpy(s, c->config.session, sizeof *s);
    return t->bindable && s->since > 0 && c->connection.tls.now >= s->since && c->connection.tls.now - s->since < COMPSHARE__SESSION_S
        && memcmp(t->binding, s->bound, sizeof s->bound) == 0;
}

/* Keeps what a full handshake agreed on, in place of a session that was declined. One that
   was resumed stays as it is: its day goes on, and who has forgotten it meanwhile does not
   get it back. */
static void compshare__session_store(compshare *c)
{
    compshare__session s;
    memset(&s, 0, sizeof s);
    br_ssl_engine_get_session_parameters(&c->connection.tls.client.eng, &s.parameters);
    c->connection.handshake.version = s.parameters.version;
    c->connection.handshake.suite = s.parameters.cipher_suite;
    c->connection.handshake.resumed = c->connection.trust->certificates == 0;     /* none was judged */
    c->connection.handshake.not_after = c->connection.trust->not_after;
    if (c->config.session != NULL && !c->connection.handshake.resumed) {
        s.since = c->connection.tls.now;
        memcpy(s.bound, c->connection.trust->binding, sizeof s.bound);
        if (s.parameters.session_id_len > 0 && c->connection.trust->bindable) memcpy(c->config.session, &s, sizeof s);
        else compshare__bytes_wipe(c->config.session, sizeof *c->config.session);
    }
    compshare__bytes_wipe(&s, sizeof s);
}

/* ==== drive ==================================================================================
   One exchange as a state machine: it joins the pure rooms to a transport, keeps
   the connection, watches the deadline, and decides what is known when something
   fails. Touches the client and, through it, everything. Must never send a request
   twice unless nothing of it left or its action is repeatable. */

/* ---- connection ---- */

static void compshare__drive_close_bundle(compshare *c)
{
#ifndef COMPSHARE_NO_SOCKETS
    compshare__posix_close_fd(&c->connection.posix.bundle);
#endif
    c->connection.trust = NULL;
}

static void compshare__drive_disconnect(compshare *c)
{
    if (c->connection.open) compshare__tls_close(&c->connection.tls);
    (c->connection.io.close)(c->connection.io.user);
    compshare__drive_close_bundle(c);
    compshare__tls_clear(&c->connection.tls);
    compshare__bytes_wipe(&c->connection.tls.client, sizeof c->connection.tls.client);
    c->connection.open = false;
}

static ptrdiff_t compshare__drive_read_pem(void *ctx, uint64_t offset, void *dst, size_t cap)
{
    const compshare *c = (const compshare *)ctx;
    size_t left = offset < c->config.ca_pem_len ? c->config.ca_pem_len - (size_t)offset : 0;
    if (cap > left) cap = left;
    if (cap > 0) memcpy(dst, c->config.ca_pem + offset, cap);
    return (ptrdiff_t)cap;
}

/* What TLS will need must be there before a byte is sent: time and roots. */
static int compshare__drive_prepare_trust(compshare *c)
{
#ifndef COMPSHARE_NO_SOCKETS
    bool given;
#endif
    c->connection.tls.now = compshare__client_unix_time(c);
    if (c->connection.tls.now < COMPSHARE__EARLIEST_TIME) return compshare__fail_clock(c, "no certificate can be checked by it");
    c->connection.bundle = "ca_pem";
    if (c->config.ca_pem != NULL) return COMPSHARE_OK;
#ifndef COMPSHARE_NO_SOCKETS
    given = c->config.ca_file != NULL;
    c->connection.bundle = compshare__posix_open_bundle(&c->connection.posix,
        given ? &c->config.ca_file : compshare__posix_bundles, given ? 1 : COMPSHARE__BUNDLES);
    if (c->connection.posix.bundle >= 0) return COMPSHARE_OK;
    if (c->connection.bundle == NULL) c->connection.bundle = given ? c->config.ca_file : "every usual place of a bundle";
    if (c->connection.posix.bundle_errno == 0) return compshare__fail_bundle(c, "is empty");
#endif
    return compshare__fail_bundle(c, "cannot be opened");
}

static int compshare__drive_connect_begin(compshare *c)
{
    uint64_t now = compshare__client_now(c);
    int r;
    c->exchange.phase = COMPSHARE__PHASE_CONNECT;
    compshare__tls_clear(&c->connection.tls);
    c->connection.tls.tx = (unsigned char *)c->reply.area + c->reply.area_cap - COMPSHARE__TX;
    if (compshare__client_encrypted(c) && (r = compshare__drive_prepare_trust(c)) != COMPSHARE_OK) return r;
    c->connection.deadline = now + c->config.connect_timeout_ms;
    if (c->connection.deadline > c->exchange.deadline) c->connection.deadline = c->exchange.deadline;
#ifndef COMPSHARE_NO_SOCKETS
    c->connection.posix.deadline = c->connection.deadline;
    c->connection.posix.slack = (uint32_t)(c->clock.deadline - c->connection.deadline);
#endif
    compshare__trace(c, "connect %s %l", compshare__client_peer(c)->host, compshare__client_peer(c)->port);
    return COMPSHARE_OK;
}

/* The time that a name took is given back to the connection and to the request, as far
   as the call's goes: nobody can end a look-up. */
static void compshare__drive_give_back(compshare *c)
{
#ifndef COMPSHARE_NO_SOCKETS
    uint64_t taken = c->connection.posix.deadline - c->connection.deadline;
    uint64_t left = c->clock.deadline - c->exchange.deadline;
    c->connection.deadline += taken;
    c->exchange.deadline += taken < left ? taken : left;
#else
    (void)c;
#endif
}

static int compshare__drive_connect(compshare *c)
{
    const compshare__url *peer = compshare__client_peer(c);
    int r = (c->connection.io.open)(c->connection.io.user, peer->host, peer->port);
    compshare__drive_give_back(c);
    if (r == COMPSHARE_OK) c->connection.open = true;
    if (r == COMPSHARE_OK || r == COMPSHARE_WANT_READ || r == COMPSHARE_WANT_WRITE) return r;
#ifndef COMPSHARE_NO_SOCKETS
    if (r == COMPSHARE_E_RESOLVE && c->connection.io.user == (void *)&c->connection.posix)
        return compshare__fail(c, r, "%s: %s", peer->host, compshare__posix_resolve_meaning(c->connection.posix.last_eai));
#endif
    (void)compshare__fail_host(c, r < 0 ? r : COMPSHARE_E_CONNECT, "no connection");
#ifndef COMPSHARE_NO_SOCKETS
    if (c->connection.posix.last_eai != 0)
        (void)compshare__fail(c, COMPSHARE__MORE, ", at an address from before: %s",
            compshare__posix_resolve_meaning(c->connection.posix.last_eai));
#endif
    return c->error.status;
}

static void compshare__drive_proxy_begin(compshare *c)
{
    c->exchange.phase = COMPSHARE__PHASE_PROXY;
    compshare__http_init(&c->reply.http, true);
    c->connection.tls.tx_len = compshare__encode_connect(c->connection.url.host, c->connection.url.port, c->connection.proxy.path, (char *)c->connection.tls.tx, COMPSHARE__TX);
    compshare__trace(c, "CONNECT %s %l", c->connection.url.host, c->connection.url.port);
}

/* The proxy's reply is complete, and so must be what it says: TLS begins with us. */
static int compshare__drive_proxy_reply(compshare *c, bool more)
{
    int status = c->reply.http.status;
    const char *meaning = status == 407 ? ": it wants another user and password" : "";
    if (c->reply.http.state == COMPSHARE__HTTP_FAILED) return compshare__fail_http(c, COMPSHARE_E_PROXY);
    if (compshare__judge_is_2xx(c))
        return more ? compshare__fail_host(c, COMPSHARE_E_PROXY, "the proxy sent more than its reply") : COMPSHARE_OK;
    c->error.retryable = status == 429 || status >= 500;
    return compshare__fail(c, COMPSHARE_E_PROXY, "%s:%d: the proxy answered with HTTP status %d%s", c->connection.proxy.host, c->connection.proxy.port,
        status, meaning);
}

static int compshare__drive_proxy(compshare *c)
{
    ptrdiff_t n = compshare__tls_drain(&c->connection.tls);
    while (n == COMPSHARE_OK) {
        compshare_view none;
        size_t used;
        n = compshare__tls_recv(&c->connection.tls, c->connection.tls.rx, sizeof c->connection.tls.rx);
        if (n <= 0) break;
        used = compshare__http_feed(&c->reply.http, c->connection.tls.rx, (size_t)n, &none);
        if (c->reply.http.state >= COMPSHARE__HTTP_DONE) return compshare__drive_proxy_reply(c, used < (size_t)n);
        n = COMPSHARE_OK;
    }
    if (n == COMPSHARE_WANT_READ || n == COMPSHARE_WANT_WRITE) return (int)n;
    return compshare__fail_host(c, n == 0 ? COMPSHARE_E_CLOSED : COMPSHARE_E_IO, "the proxy broke the connection off");
}

/* The caller's index, emptied where it is about another bundle. */
static compshare_roots *compshare__drive_roots(compshare *c)
{
    compshare_roots *roots = c->config.roots;
    int64_t bundle[5] = { (int64_t)(uintptr_t)c->config.ca_pem, (int64_t)c->config.ca_pem_len, 0, 0, 0 };
    if (roots == NULL) return NULL;
#ifndef COMPSHARE_NO_SOCKETS
    if (c->config.ca_pem == NULL && !compshare__posix_bundle_identity(&c->connection.posix, bundle)) return NULL;
#endif
    if (memcmp(roots->bundle, bundle, sizeof bundle) == 0) return roots;
    memset(roots, 0, sizeof *roots);
    memcpy(roots->bundle, bundle, sizeof bundle);
    return roots;
}

static int compshare__drive_handshake_begin(compshare *c)
{
    compshare__session session;
    bool started;
    unsigned char entropy[32];
    compshare__read_fn read = compshare__drive_read_pem;
    void *ctx = c;
    c->exchange.phase = COMPSHARE__PHASE_HANDSHAKE;
    c->connection.resuming = false;
    if (!compshare__client_encrypted(c)) return COMPSHARE_OK;
    if (c->config.entropy(c->config.user, entropy, sizeof entropy) != 0)
        return compshare__fail(c, COMPSHARE_E_ENTROPY, "the system gave no random bytes");
#ifndef COMPSHARE_NO_SOCKETS
    if (c->config.ca_pem == NULL) { read = compshare__posix_read_bundle; ctx = &c->connection.posix; }
#endif
    c->connection.trust = compshare__trust_init(c->reply.area, c->reply.area_cap - COMPSHARE__TX, read, ctx, compshare__drive_roots(c), c->connection.tls.now);
    c->connection.resuming = compshare__session_load(c, &session);
    started = compshare__tls_start(&c->connection.tls, c->connection.trust, c->connection.url.host, entropy, c->connection.resuming ? &session.parameters : NULL);
    compshare__bytes_wipe(&session, sizeof session);
    return started ? COMPSHARE_OK : compshare__fail_tls(c);
}

static int compshare__drive_handshake(compshare *c)
{
    int r = compshare__tls_handshake(&c->connection.tls);
    /* while the server thinks about the first flight, its certificate can be prepared for */
    if (r == COMPSHARE_WANT_READ && c->connection.trust != NULL && !c->connection.resuming && compshare__tls_idle(&c->connection.tls))
        compshare__trust_learn(c->connection.trust, COMPSHARE__TX + c->connection.tls.record_len);    /* tx and the record buffer, which follow it */
    if (r == COMPSHARE_E_TLS) return compshare__fail_tls(c);
    if (r == COMPSHARE__EOF) return compshare__fail_host(c, COMPSHARE_E_CLOSED, "it closed the connection during the TLS handshake");
    if (r == COMPSHARE_E_IO) return compshare__fail_host(c, r, "the connection broke during the TLS handshake");
    if (r != COMPSHARE_OK) return r;
    if (compshare__client_encrypted(c)) {
        compshare__session_store(c);
        compshare__trace(c, "TLS 1.2%s", c->connection.handshake.resumed ? ", resumed" : "", 0);
    }
#ifndef COMPSHARE_NO_SOCKETS
    c->connection.posix.proved = true;
#endif
    compshare__drive_close_bundle(c);
    return COMPSHARE_OK;
}

/* ---- request ---- */

/* Whether a stop time is far enough ahead on the server's clock. Where that is not known,
   the server judges. */
static int compshare__drive_check_floor(compshare *c)
{
    int64_t ahead = c->exchange.request.stop_time - compshare__client_server_time(c);
    if (c->exchange.request.stop_time == 0 || c->clock.server_date == 0 || ahead >= COMPSHARE__STOP_FLOOR_S)
        return COMPSHARE_OK;
    return compshare__fail(c, COMPSHARE_E_TOO_SOON, "SchedulerStopTime %t must be at least 300 s ahead: it is %l s short",
        c->exchange.request.stop_time, COMPSHARE__STOP_FLOOR_S - ahead);
}

/* Collects, completes and sorts the parameters. */
static int compshare__drive_collect(compshare *c)
{
    compshare__text why = compshare__text_into(c->error.detail, sizeof c->error.detail);
    const compshare_config *f = &c->config;
    const char *action = c->exchange.request.action;
    const char *own[COMPSHARE__OWN_SIGNATURE] = {
        action, f->public_key, f->security_token, NULL, NULL, NULL
    };
    size_t i;
    if (action == NULL || action[0] == '\0' || strlen(action) >= sizeof c->error.action
        || !compshare__bytes_all(action, strlen(action), COMPSHARE__IDENTIFIER))
        return compshare__fail(c, COMPSHARE_E_PARAM, "action: 1 to 63 of A-Z a-z 0-9 . _ - are needed");
    memcpy(c->error.action, action, strlen(action) + 1);
    if (!compshare__params_collect(&c->params, c->exchange.request.params, c->exchange.request.count, &why)) {
        c->error.status = COMPSHARE_E_PARAM;
        c->error.stage = COMPSHARE_STAGE_PREPARE;
        return COMPSHARE_E_PARAM;
    }
    if (c->exchange.request.defaults) {
        own[COMPSHARE__OWN_REGION] = compshare__params_text(&c->params, "Region");
        own[COMPSHARE__OWN_ZONE] = compshare__params_text(&c->params, "Zone");
        own[COMPSHARE__OWN_PROJECT] = f->project_id;
        compshare__config_place(f, &own[COMPSHARE__OWN_REGION], &own[COMPSHARE__OWN_ZONE],
            c->task.ids.region);
    }
    for (i = 0; i < COMPSHARE__OWN_SIGNATURE; i++) compshare__params_own(&c->params, i, own[i]);
    return COMPSHARE_OK;
}

/* Puts the exchange at its beginning, on the connection there is or a new one. */
static int compshare__drive_begin(compshare *c)
{
    uint64_t now = c->clock.looked_at;
    int r = compshare__drive_check_floor(c);
    if (r != COMPSHARE_OK) return r;
    if (c->params.signature[0] == '\0') compshare__sign(&c->params, c->config.private_key);
    compshare__http_init(&c->reply.http, false);
    memset(&c->exchange.encoder, 0, sizeof c->exchange.encoder);
    c->exchange.head_written = c->exchange.flushing = c->exchange.send_failed = c->exchange.replied = c->exchange.dated = c->reply.body_cut = false;
    c->reply.body_at = c->reply.body_len = 0;
    if (c->exchange.request.array != NULL) compshare__split_init(&c->reply.split, c->exchange.request.array, c->reply.area, c->reply.area_cap);
    c->exchange.reused = c->connection.open && now - c->connection.used_at < COMPSHARE__IDLE_MS
        && compshare__tls_alive(&c->connection.tls);
    c->exchange.reuse_deadline = now + COMPSHARE__REUSE_MS;
    if (c->exchange.reuse_deadline < now + c->exchange.request_ms / 2) c->exchange.reuse_deadline = now + c->exchange.request_ms / 2;
    if (c->exchange.reuse_deadline > c->exchange.deadline) c->exchange.reuse_deadline = c->exchange.deadline;
    c->connection.tls.sent = c->connection.tls.request = false;
    if (c->exchange.reused) {
        c->exchange.phase = COMPSHARE__PHASE_SEND;
        return COMPSHARE_OK;
    }
    compshare__drive_disconnect(c);
    return compshare__drive_connect_begin(c);
}

/* The first record: the head, and as much of the body as fits. The body is encoded
   before the head, for then its length is known. */
static size_t compshare__drive_first(compshare *c, unsigned char *dst, size_t cap)
{
    unsigned char *ahead = dst + COMPSHARE__HEAD_MOST;
    size_t body = compshare__encode_body(&c->exchange.encoder, &c->params, ahead, cap - COMPSHARE__HEAD_MOST), n;
    compshare__head head;
    head.host = c->connection.url.host;
    head.port = c->connection.url.port_shown ? c->connection.url.port : 0;
    head.path = c->connection.url.path;
    head.user_agent = c->config.user_agent;
    head.content_length = c->exchange.encoder.part >= 2 * c->params.count ? body : compshare__encode_length(&c->params);
    head.timestamp_ms = compshare__client_unix_time(c) * 1000;
    head.csv = c->exchange.request.csv;
    n = compshare__encode_head(&head, (char *)dst, COMPSHARE__HEAD_MOST);
    memmove(dst + n, ahead, body);
    n += body;
    compshare__bytes_wipe(dst + n, (size_t)(ahead + body - (dst + n)));    /* a copy of the body, which would not be overwritten */
    c->exchange.head_written = true;
    return n + compshare__encode_body(&c->exchange.encoder, &c->params, dst + n, cap - n);
}

/* Sending is stuck or over although the request is not complete: read what the
   peer has to say, and send nothing more. */
static int compshare__drive_stop_sending(compshare *c)
{
    compshare__tls_stop_sending(&c->connection.tls);
    return COMPSHARE_OK;
}

static int compshare__drive_send_trouble(compshare *c, int r)
{
    if (r != COMPSHARE_E_IO) return compshare__tls_peer_speaks(&c->connection.tls) ? compshare__drive_stop_sending(c) : r;
    (void)compshare__fail_host(c, r, "sending failed");
    if (!c->connection.tls.sent) return r;
    c->exchange.send_failed = true;      /* what the peer has said already may tell why */
    return compshare__drive_stop_sending(c);
}

/* One record after the other. */
static int compshare__drive_send(compshare *c)
{
    for (;;) {
        unsigned char *dst;
        size_t cap;
        if (c->exchange.flushing) {
            int r = compshare__tls_flush(&c->connection.tls);
            if (r != COMPSHARE_OK) return compshare__drive_send_trouble(c, r);
            c->exchange.flushing = false;
            if (c->exchange.encoder.part >= 2 * c->params.count) return COMPSHARE_OK;
            if (compshare__tls_peer_speaks(&c->connection.tls)) return compshare__drive_stop_sending(c);
        }
        if ((dst = compshare__tls_room(&c->connection.tls, &cap)) == NULL) return compshare__fail_tls(c);
        compshare__tls_commit(&c->connection.tls, c->exchange.head_written ? compshare__encode_body(&c->exchange.encoder, &c->params, dst, cap)
            : compshare__drive_first(c, dst, cap));
        c->exchange.flushing = true;
    }
}

/* ---- reply ---- */

/* One element of the streamed array is complete in the area. */
static int compshare__drive_element(compshare *c)
{
    compshare__splitter *s = &c->reply.split;
    int stop;
    if (!compshare__json_tokenize(&c->reply.tree, s->area + s->kept, s->used - s->kept, s->area + s->used, s->cap - s->used))
        return compshare__fail_too_large(c, "an element of the reply");
    c->reply.handed = !c->exchange.request.inner;
    stop = c->exchange.request.each != NULL ? c->exchange.request.each(c->exchange.request.user, compshare__client_value(c, 0)) : 0;
    compshare__client_forget_values(c);
    return stop == 0 ? COMPSHARE_OK : compshare__fail(c, COMPSHARE_E_STOPPED, "the callback returned non-zero");
}

static int compshare__drive_split(compshare *c, compshare_view body)
{
    compshare__splitter *s = &c->reply.split;
    size_t i;
    for (i = 0; i < body.len; i++) {
        int r;
        if (!compshare__split_byte(s, (unsigned char)body.ptr[i])) continue;
        if ((r = compshare__drive_element(c)) != COMPSHARE_OK) return r;
    }
    if (s->json.state == COMPSHARE__JSON_FAILED) return compshare__fail_json(c, s->json.reason, s->json.at);
    return s->full ? compshare__fail_too_large(c, "an element of the reply") : COMPSHARE_OK;
}

/* Where body bytes go: to the splitter, or whole into the area. The body of an
   error status is kept as far as it fits: the status matters more. */
static int compshare__drive_body(compshare *c, compshare_view body)
{
    size_t room = c->reply.area_cap - c->reply.body_len;
    if (c->exchange.request.array != NULL && compshare__judge_is_2xx(c)) return compshare__drive_split(c, body);
    if (body.len > room) {
        if (compshare__judge_is_2xx(c)) return compshare__fail_too_large(c, "the reply");
        c->reply.body_cut = true;
        body.len = room;
    }
    if (body.len > 0) memcpy(c->reply.area + c->reply.body_len, body.ptr, body.len);
    c->reply.body_len += body.len;
    return COMPSHARE_OK;
}

/* Whether to read the rest of a reply that was too large, so that the connection can
   be kept: not when that is long, or may never end. */
static bool compshare__drive_worth_draining(const compshare *c)
{
    if (c->reply.http.state == COMPSHARE__HTTP_TO_CLOSE || c->reply.http.state == COMPSHARE__HTTP_FAILED) return false;
    return c->reply.drained < COMPSHARE__DRAIN && (c->reply.http.chunked || c->reply.http.length < COMPSHARE__DRAIN);
}

/* Feeds one piece of plaintext to the parser and its body to the sink. */
static int compshare__drive_feed(compshare *c, const unsigned char *src, size_t len)
{
    size_t used = 0;
    int r = COMPSHARE_OK;
    while (used < len && r == COMPSHARE_OK && c->reply.http.state < COMPSHARE__HTTP_DONE) {
        compshare_view body;
        used += compshare__http_feed(&c->reply.http, src + used, len - used, &body);
        if (!c->exchange.dated && (body.len > 0 || c->reply.http.state == COMPSHARE__HTTP_DONE)) {
            compshare__judge_date(c);
            c->exchange.dated = true;
        }
        if (c->reply.http.state == COMPSHARE__HTTP_FAILED) r = compshare__fail_http(c, COMPSHARE_E_HTTP);
        else if (c->reply.draining)
            r = (c->reply.drained += (uint32_t)body.len) < COMPSHARE__DRAIN ? COMPSHARE_OK
                : COMPSHARE_E_TOO_LARGE;
        else if (body.len > 0 && (r = compshare__drive_body(c, body)) != COMPSHARE_OK) c->error.stage = COMPSHARE_STAGE_RECEIVE;
        if (r == COMPSHARE_E_TOO_LARGE && compshare__drive_worth_draining(c)) {
            c->reply.draining = true;
            r = COMPSHARE_OK;
        }
    }
    compshare__tls_consumed(&c->connection.tls, used);
    return r;
}

static int compshare__drive_receive_end(compshare *c, int r)
{
    if (r == COMPSHARE_E_TLS) return compshare__fail_tls(c);
    compshare__http_end(&c->reply.http, r == COMPSHARE__EOF && c->connection.tls.orderly);
    if (c->reply.http.state == COMPSHARE__HTTP_DONE) return COMPSHARE_OK;
    return compshare__fail_http(c, r == COMPSHARE__EOF ? COMPSHARE_E_CLOSED : COMPSHARE_E_IO);
}

static int compshare__drive_receive(compshare *c)
{
    int reads;
    size_t len = 0, all = 0;
    for (reads = 0; c->reply.http.state != COMPSHARE__HTTP_DONE; reads++, all += len) {
        const unsigned char *src = NULL;
        int r;
        if (reads == COMPSHARE__STEP_READS || all >= COMPSHARE__STEP_BYTES)
            return COMPSHARE_PENDING;
        r = compshare__tls_receive(&c->connection.tls, &src, &len);
        if (r == COMPSHARE_WANT_READ && c->exchange.send_failed) return COMPSHARE_E_IO;
        if (r == COMPSHARE_PENDING || r == COMPSHARE_WANT_READ || r == COMPSHARE_WANT_WRITE) return r;
        if (r != COMPSHARE_OK) return compshare__drive_receive_end(c, r);
        c->exchange.replied = true;
        if ((r = compshare__drive_feed(c, src, len)) != COMPSHARE_OK) return r;
    }
    return COMPSHARE_OK;
}

/* ---- the machine ---- */

/* Keeps the connection only if it is certainly clean: untouched, or behind a whole
   reply that nothing follows. */
static void compshare__drive_settle(compshare *c)
{
    bool clean = c->exchange.phase == COMPSHARE__PHASE_RECEIVE && c->reply.http.state == COMPSHARE__HTTP_DONE && c->reply.http.keep_alive
        && !c->connection.tls.mute && compshare__tls_quiet(&c->connection.tls);
    if (c->exchange.phase == COMPSHARE__PHASE_PROXY) compshare__bytes_wipe(c->connection.tls.tx, COMPSHARE__TX);   /* a password is in it */
    if (c->exchange.phase > COMPSHARE__PHASE_BEGIN && !clean) compshare__drive_disconnect(c);
    c->connection.used_at = c->clock.looked_at;
}

/* Puts the request back to its beginning; this end leaves no trace in the error. */
static void compshare__drive_again(compshare *c, uint32_t pause_ms)
{
    c->exchange.lost = c->exchange.lost || (c->connection.tls.sent && !c->exchange.definite);
    compshare__drive_settle(c);
    c->connection.tls.sent = c->exchange.definite = c->reply.draining = false;
    compshare__http_init(&c->reply.http, false);
    memset(&c->error, 0, sizeof c->error);
    memcpy(c->error.action, c->exchange.request.action, strlen(c->exchange.request.action));
    compshare__client_forget_values(c);
    c->exchange.pause_until = compshare__client_now(c) + pause_ms;
    c->exchange.phase = pause_ms > 0 ? COMPSHARE__PHASE_PAUSE : COMPSHARE__PHASE_BEGIN;
}

/* A kept connection may have died unnoticed; for a reading its silence is enough of a sign.
   Nothing sent: open another. Sent, and no reply: only what may be repeated is sent once more. */
static bool compshare__drive_reconnect(compshare *c, int r)
{
    bool silent = r == COMPSHARE_E_TIMEOUT && c->exchange.request.reads
        && compshare__client_now(c) < c->exchange.deadline;
    if (!c->exchange.reused || c->exchange.resent || c->exchange.replied
        || (r != COMPSHARE_E_CLOSED && r != COMPSHARE_E_IO && !silent)) return false;
    if (c->connection.tls.sent && !c->exchange.request.repeatable) return false;
    compshare__trace(c, "the kept connection was dead: reconnecting", "", 0);
    compshare__drive_again(c, 0);
    c->exchange.resent = true;
    return true;
}

/* Retry-After in milliseconds, RFC 9110 10.2.3; 0: none. */
static uint64_t compshare__drive_retry_after(const compshare *c)
{
    int64_t after = c->reply.http.retry_after_s;
    if (c->reply.http.retry_after_date != 0) after = c->reply.http.retry_after_date - compshare__client_best_time(c);
    return after > 0 ? (uint64_t)after * 1000 : 0;
}

/* Milliseconds to wait before a retry: doubled each time, half of it by chance so that
   many clients do not come back together, and not less than Retry-After. */
static uint64_t compshare__drive_backoff(const compshare *c)
{
    unsigned tried = c->config.max_retries - c->exchange.retries;
    uint32_t whole = COMPSHARE__RETRY_FIRST_MS, chance = 0;
    uint64_t after = compshare__drive_retry_after(c);
    for (; tried > 0 && whole < COMPSHARE__RETRY_MOST_MS; tried--) whole *= 2;
    (void)c->config.entropy(c->config.user, &chance, sizeof chance);     /* none: no harm */
    whole = whole / 2 + chance % (whole / 2 + 1);
    return after > whole ? after : whole;
}

/* Law 3: again only what may be repeated, or of which nothing was sent; and nothing
   that a callback has seen in part. */
static bool compshare__drive_retry(compshare *c)
{
    uint64_t pause, now = compshare__client_now(c);
    if (c->exchange.retries == 0 || !c->error.retryable || c->reply.handed) return false;
    if (c->connection.tls.sent && !c->exchange.request.repeatable && !(c->exchange.request.always && c->exchange.definite)) return false;
    pause = compshare__drive_backoff(c);
    if (now >= c->exchange.deadline || pause >= c->exchange.deadline - now) return false;
    c->exchange.retries--;
    compshare__trace(c, "retry in%s %l ms", "", (uint32_t)pause);
    compshare__drive_again(c, (uint32_t)pause);
    return true;
}

/* Enters the phase after the one that is complete. */
static int compshare__drive_next(compshare *c)
{
    int r;
    switch (c->exchange.phase) {
    case COMPSHARE__PHASE_PAUSE:
        c->exchange.phase = COMPSHARE__PHASE_BEGIN;
        return COMPSHARE_OK;
    case COMPSHARE__PHASE_BEGIN:
        return compshare__drive_begin(c);
    case COMPSHARE__PHASE_CONNECT:
        if (c->connection.proxy.port == 0) return compshare__drive_handshake_begin(c);
        compshare__drive_proxy_begin(c);
        return COMPSHARE_OK;
    case COMPSHARE__PHASE_PROXY:
        compshare__bytes_wipe(c->connection.tls.tx, COMPSHARE__TX);    /* a password is in it */
        compshare__http_init(&c->reply.http, false);
        return compshare__drive_handshake_begin(c);
    case COMPSHARE__PHASE_HANDSHAKE:
        c->exchange.phase = COMPSHARE__PHASE_SEND;
        if (!compshare__client_encrypted(c) || compshare__tls_alive(&c->connection.tls)) return COMPSHARE_OK;
        /* what comes before the request cannot be its reply */
        return compshare__fail_host(c, COMPSHARE_E_CLOSED, "it closed the connection, or spoke, before it was asked");
    case COMPSHARE__PHASE_SEND:
        c->exchange.phase = COMPSHARE__PHASE_RECEIVE;
        compshare__trace(c, "sent %s", c->error.action, 0);
        return COMPSHARE_OK;
    default:
        r = c->reply.draining ? c->error.status : compshare__judge(c);
        compshare__trace(c, "HTTP status%s %l", "", (uint32_t)c->reply.http.status);
        return r == COMPSHARE_OK ? COMPSHARE__NEXT : r;
    }
}

static int compshare__drive_work(compshare *c)
{
    switch (c->exchange.phase) {
    case COMPSHARE__PHASE_PAUSE:
    case COMPSHARE__PHASE_BEGIN: return COMPSHARE_OK;
    case COMPSHARE__PHASE_CONNECT: return compshare__drive_connect(c);
    case COMPSHARE__PHASE_PROXY: return compshare__drive_proxy(c);
    case COMPSHARE__PHASE_HANDSHAKE: return compshare__drive_handshake(c);
    case COMPSHARE__PHASE_SEND: return compshare__drive_send(c);
    default: return compshare__drive_receive(c);
    }
}

/* When the current phase must be over. */
static uint64_t compshare__drive_due(const compshare *c)
{
    if (c->exchange.phase >= COMPSHARE__PHASE_CONNECT && c->exchange.phase <= COMPSHARE__PHASE_HANDSHAKE)
        return c->connection.deadline;
    if (c->exchange.phase >= COMPSHARE__PHASE_SEND && c->exchange.reused && !c->exchange.replied && c->exchange.request.reads)
        return c->exchange.reuse_deadline;
    return c->exchange.deadline;
}

/* Notes of a failure what does not depend on where it came from. */
static int compshare__drive_failed(compshare *c, int status)
{
    if ((status == COMPSHARE_E_CERTIFICATE || status == COMPSHARE_E_TRUST) && c->config.roots != NULL)
        memset(c->config.roots, 0, sizeof *c->config.roots);    /* it may be what was wrong */
    if (c->exchange.phase >= COMPSHARE__PHASE_HANDSHAKE && c->connection.resuming && !c->exchange.reused && !c->exchange.replied) {
        /* it may be what was wrong: the next handshake is a full one */
        compshare__bytes_wipe(c->config.session, sizeof *c->config.session);
        if (c->exchange.phase == COMPSHARE__PHASE_HANDSHAKE) c->error.retryable = true;
    }
    if (status == COMPSHARE_E_CONNECT || status == COMPSHARE_E_RESOLVE || status == COMPSHARE_E_TIMEOUT
        || status == COMPSHARE_E_CLOSED || status == COMPSHARE_E_IO) c->error.retryable = true;
    return status;
}

/* Goes on with the exchange until it waits (COMPSHARE_PENDING) or is over. */
static int compshare__drive_advance(compshare *c)
{
    for (;;) {
        uint64_t now = compshare__client_now(c);
        int r;
        if (now < c->clock.looked_at) {
            c->clock.deadline = c->exchange.deadline = 0;
            c->exchange.reuse_deadline = c->connection.deadline = 0;
        }
        c->clock.looked_at = now;
        if (now >= compshare__drive_due(c)) r = compshare__fail_timeout(c);
        else if (c->exchange.phase == COMPSHARE__PHASE_PAUSE && now < c->exchange.pause_until) return COMPSHARE_PENDING;
        else r = compshare__drive_work(c);
        if (r == COMPSHARE_PENDING) {
            c->exchange.more = true;
            return r;
        }
        if (r == COMPSHARE_WANT_READ || r == COMPSHARE_WANT_WRITE) {
            c->exchange.wants = r == COMPSHARE_WANT_READ ? COMPSHARE_READ : COMPSHARE_WRITE;
            if (c->exchange.phase == COMPSHARE__PHASE_SEND) c->exchange.wants |= COMPSHARE_READ;
            return COMPSHARE_PENDING;
        }
        c->exchange.wants = 0;
        if (r == COMPSHARE_OK) r = compshare__drive_next(c);
        if (r == COMPSHARE_OK) continue;
        if (r == COMPSHARE__NEXT) return COMPSHARE_OK;
        if (!compshare__drive_reconnect(c, compshare__drive_failed(c, r)) && !compshare__drive_retry(c)) return r;
    }
}

/* The exchange is over. */
static void compshare__drive_finish(compshare *c, int status)
{
    compshare_view id;
    c->error.outcome_unknown = status != COMPSHARE_OK && (c->exchange.lost || (c->connection.tls.sent && !c->exchange.definite));
    c->error.http_status = c->reply.http.status;
    id.ptr = c->reply.http.request_id;
    id.len = strlen(c->reply.http.request_id);
    if (!c->reply.http.tunnel && !compshare__judge_is_echo(c, id)) memcpy(c->error.request_id, c->reply.http.request_id, sizeof c->error.request_id);
    compshare__drive_settle(c);
    if (status != COMPSHARE_OK && status != COMPSHARE_E_API && status != COMPSHARE_E_STATUS) compshare__client_forget_values(c);
    if (status != COMPSHARE_OK && c->error.stage < COMPSHARE_STAGE_JUDGE) c->reply.body_len = 0;     /* a part is no reply */
    compshare__bytes_wipe(c->params.signature, sizeof c->params.signature);
    c->exchange.phase = COMPSHARE__PHASE_IDLE;
    c->reply.draining = false;
    c->exchange.wants = 0;
}

/* Begins the exchange that the current step describes. */
static int compshare__drive_request(compshare *c)
{
    compshare__task *t = &c->task;
    uint64_t start = compshare__client_now(c) + t->pause_ms, left;
    int r;
    memset(&c->error, 0, sizeof c->error);
    memset(&c->exchange.request, 0, sizeof c->exchange.request);
    compshare__client_forget_values(c);
    compshare__http_init(&c->reply.http, false);
    c->reply.body_at = c->reply.body_len = c->reply.drained = 0;
    c->exchange.lost = c->connection.tls.sent = c->exchange.definite = c->exchange.replied = c->exchange.resent = c->exchange.more = c->reply.handed = c->reply.draining = false;
    c->exchange.retries = c->config.max_retries;
    c->exchange.phase = COMPSHARE__PHASE_BEGIN;
    r = t->step->begin(c);
    if (r < 0) memcpy(c->error.action, c->exchange.request.action, strlen(c->exchange.request.action));
    if (r == COMPSHARE_OK) r = compshare__drive_collect(c);
    if (r != COMPSHARE_OK) return r;
    c->exchange.deadline = c->clock.deadline;
    c->exchange.request_ms = t->timeout_ms;
    if (c->exchange.request.half && start < c->clock.deadline) {
        left = c->clock.deadline - start;
        c->exchange.request_ms = (uint32_t)(left / 2);
        if (c->exchange.request_ms < COMPSHARE__READING_MS) c->exchange.request_ms = COMPSHARE__READING_MS;
        if (c->exchange.request_ms > c->config.timeout_ms) c->exchange.request_ms = c->config.timeout_ms;
        if (c->exchange.request_ms > left) c->exchange.request_ms = (uint32_t)left;
        c->exchange.deadline = start + c->exchange.request_ms;
    }
    c->exchange.pause_until = start;
    if (t->pause_ms > 0) c->exchange.phase = COMPSHARE__PHASE_PAUSE;
    t->pause_ms = 0;
    return COMPSHARE_OK;
}

/* ==== task ===================================================================================
   Tables of steps, each one exchange: every call is a task, every blocking call is
   its start and a loop around its steps. Touches the client. Must never leave a
   client busy after a task has ended, nor secrets on the stack when it returns. */

/* What failed is this action, whichever was called last. */
static void compshare__task_name(compshare *c, const char *action)
{
    memset(c->error.action, 0, sizeof c->error.action);
    memcpy(c->error.action, action, strlen(action));
}

static int compshare__task_end(compshare *c, int status)
{
    c->task.step = NULL;
    c->exchange.phase = COMPSHARE__PHASE_IDLE;
    c->exchange.wants = 0;
    c->exchange.more = false;
    if (status == COMPSHARE_OK || !c->task.workflow) return status;
    c->error.outcome_unknown = c->task.unsettled;   /* readings change nothing */
    if (!c->task.unsettled) return status;
    compshare__task_name(c, c->task.as.change.action);
    return status;
}

/* Takes the client for a new task: its fields are then the caller's to fill in. */
static int compshare__task_claim(compshare *c)
{
    if (c == NULL) return COMPSHARE_E_CONFIG;
    if (c->entered || c->task.step != NULL) return COMPSHARE_E_BUSY;
    memset(&c->task, 0, sizeof c->task);
    c->task.timeout_ms = c->config.timeout_ms;
    return COMPSHARE_OK;
}

/* A claimed client, and an argument that cannot be used. */
static int compshare__task_refuse(compshare *c, int status, const char *why)
{
    memset(&c->error, 0, sizeof c->error);
    return compshare__task_end(c, compshare__fail(c, status, "%s", why));
}

/* Begins the current step, or the first one behind it that has something to do. */
static int compshare__task_enter(compshare *c)
{
    int r;
    while ((r = compshare__drive_request(c)) == COMPSHARE__NEXT) c->task.step++;
    return r;
}

static int compshare__task_start(compshare *c, const compshare__step *steps)
{
    int r;
    c->entered = true;
    c->task.step = steps;
    c->task.began = c->clock.looked_at = compshare__client_now(c);
    c->clock.deadline = c->task.poll_until = c->task.began + c->task.timeout_ms;
    r = compshare__task_enter(c);
    c->entered = false;
    return r == COMPSHARE_OK ? r : compshare__task_end(c, r);
}

/* Asks for a pause before the next exchange, if there is time for both. */
static bool compshare__task_pause(compshare *c, uint32_t ms)
{
    uint64_t now = compshare__client_now(c), after = compshare__drive_retry_after(c);
    if (after < ms) after = ms;
    if (now >= c->clock.deadline || c->clock.deadline - now < after + COMPSHARE__READING_MS) return false;
    c->task.pause_ms = (uint32_t)after;
    return true;
}

/* Asks for the current step once more, after a pause that grows, until `poll_until`;
   towards its end the pauses shrink. False: it is over, or Retry-After is; where a change
   waits to be confirmed, that is shortened so that one more reading is left. */
static bool compshare__task_poll(compshare *c)
{
    compshare__task *t = &c->task;
    uint64_t until = t->poll_until < c->clock.deadline ? t->poll_until : c->clock.deadline;
    uint64_t now = compshare__client_now(c);
    /* a clock that stepped back has put the deadline to 0 */
    uint64_t left = until > now ? until - now : 0;
    uint64_t pause = COMPSHARE__POLL_FIRST_MS, after = compshare__drive_retry_after(c);
    unsigned i;
    for (i = 0; i < t->polls && pause < COMPSHARE__POLL_MOST_MS; i++) pause *= 2;
    if (pause > COMPSHARE__POLL_MOST_MS) pause = COMPSHARE__POLL_MOST_MS;
    if (pause > left / 2) pause = left / 2;
    if (t->unsettled && left > COMPSHARE__READING_MS && after > left - COMPSHARE__READING_MS)
        after = left - COMPSHARE__READING_MS;
    if (pause < COMPSHARE__POLL_FIRST_MS || after >= left) return false;
    t->polls++;
    t->pause_ms = (uint32_t)(pause > after ? pause : after);
    return true;
}

/* Runs steps until one waits or the table is done. */
static int compshare__task_work(compshare *c)
{
    c->exchange.more = false;
    for (;;) {
        int r = compshare__drive_advance(c);
        if (r == COMPSHARE_PENDING) return r;
        compshare__drive_finish(c, r);
        r = c->task.step->end(c, r);
        if (r == COMPSHARE__NEXT) c->task.step++;
        if (r == COMPSHARE__NEXT || r == COMPSHARE__AGAIN) r = compshare__task_enter(c);
        else return compshare__task_end(c, r);
        if (r != COMPSHARE_OK) return compshare__task_end(c, r);
    }
}

static int compshare__task_step(compshare *c)
{
    int r;
    if (c->entered) return COMPSHARE_E_BUSY;
    if (c->task.step == NULL) return COMPSHARE_E_IDLE;
    c->entered = true;
    r = compshare__task_work(c);
    c->entered = false;
    compshare__bytes_wipe_stack();
    return r;
}

static int compshare__task_abort(compshare *c, int status, const char *why)
{
    c->entered = true;
    c->reply.draining = false;
    (void)compshare__fail(c, status, "%s", why);
    if (status == COMPSHARE_E_IO) {
        (void)compshare__drive_failed(c, status);
        (void)compshare__fail_errno(c);
    }
    c->reply.http.state = COMPSHARE__HTTP_FAILED;
    c->task.aborted = true;
    compshare__drive_finish(c, status);
    (void)c->task.step->end(c, status);     /* empties half-filled results */
    c->entered = false;
    compshare__bytes_wipe_stack();
    return compshare__task_end(c, status);
}

/* Milliseconds until the next step is due although nothing became ready. */
static uint32_t compshare__task_timeout_ms(const compshare *c)
{
    uint64_t now = compshare__client_now(c), due = compshare__drive_due(c);
    bool pausing = c->exchange.phase == COMPSHARE__PHASE_PAUSE;
    if (c->exchange.more || (c->exchange.wants == 0 && !pausing) || now < c->clock.looked_at) return 0;
    if (pausing) due = c->exchange.pause_until;
#ifndef COMPSHARE_NO_SOCKETS
    if (c->exchange.phase == COMPSHARE__PHASE_CONNECT && c->connection.io.user == (const void *)&c->connection.posix && c->connection.posix.share < due)
        due = c->connection.posix.share;
#endif
    return due > now ? (uint32_t)(due - now) : 0;
}

/* The blocking form of every call, given what its start returned: steps, and waiting
   in between. */
static int compshare__task_run(compshare *c, int r)
{
    if (r != COMPSHARE_OK) return r;
    if (c->connection.io.wait == NULL)
        return compshare__task_abort(c, COMPSHARE_E_CONFIG,
            "transport: wait is NULL, so only compshare_step can be used");
    for (;;) {
        uint32_t timeout;
        if ((r = compshare__task_step(c)) != COMPSHARE_PENDING) return r;
        if ((timeout = compshare__task_timeout_ms(c)) == 0) continue;
        c->entered = true;
        r = (c->connection.io.wait)(c->connection.io.user, c->exchange.wants, timeout);
        c->entered = false;
        if (r < 0) return compshare__task_abort(c, COMPSHARE_E_IO, "the transport's wait failed");
    }
}

/* ==== actions ================================================================================
   The table of the API's actions, and the typed calls: each fills parameters,
   reads the reply into a struct, and refuses what does not fit. Touches the task
   and the caller's results. Must never take the first entry of a list for the
   one that was asked for, nor leave a result half filled. */

/* ---- table ---- */

/* Group (a account, i instance, m image, d data, t team, u ulhost, o other,
   x telemetry), r read or w write, retry class (a always, v verify, n never),
   cost (+ may cost, - saves, x destroys), and a mark: s secrets inside, c CSV
   reply, p partial failure, j JSON body only. */
static const char compshare__actions[] =
#ifndef COMPSHARE_NO_ACTION_TABLE
    "iwa--UpdateCompShareStopScheduler\0"
    "iwa+-DeleteCompShareStopScheduler\0"
    "ira.sDescribeCompShareInstance\0"
    "ara.-GetProjectList\0"
    "ira.-CheckCompShareNetOptimizer\0"
    "ira.-CheckCompShareResourceCapacity\0"
    "iwn+-CreateCompShareInstance\0"
    "ira.-DescribeAvailableCompShareInstanceTypes\0"
    "ira.-DescribeCompShareGpuInventory\0"
    "ira.-DescribeCompShareMachineTypeFamilies\0"
    "ira.-DescribeCompShareSoftwarePort\0"
    "ira.-DescribeCompShareSupportZone\0"
    "ira.-DescribeModelRepositoryModels\0"
    "ira.-DescribeModelRepositoryTags\0"
    "ira.jGetCompShareInstanceMonitor\0"
    "ira.-GetCompShareInstancePrice\0"
    "ira.-GetCompShareInstanceUpgradePrice\0"
    "ira.-GetCompShareInstanceUserPrice\0"
    "ira.-GetCompShareRefundPrice\0"
    "ira.sGetSoftwareURL\0"
    "iwa.-ModifyCompShareInstanceName\0"
    "iwn.-RebootCompShareInstance\0"
    "iwnx-ReinstallCompShareInstance\0"
    "iwv.sResetCompShareInstancePassword\0"
    "iwn+-ResizeCompShareInstance\0"
    "iwv+-StartCompShareInstance\0"
    "iwv--StopCompShareInstance\0"
    "iwn+-SwitchChargeType\0"
    "iwvx-TerminateCompShareInstance\0"
    "iwa.-UpdateCompShareInstancePorts\0"
    "mwa.-AddFavoriteImage\0"
    "mwa.-RemoveFavoriteImage\0"
    "mra.-DescribeFavoriteImages\0"
    "mwa.-CreateCompShareImageFavorite\0"
    "mwa.-DeleteCompShareImageFavorite\0"
    "mwn+-CreateCompShareCustomImage\0"
    "mwn+-CopyCompShareCustomImage\0"
    "mra.-DescribeCommunityImages\0"
    "mra.-DescribeCompShareCustomImages\0"
    "mra.-DescribeCompShareImages\0"
    "mra.-DescribeCompShareImageShareAccounts\0"
    "mra.-DescribeCompShareImageTags\0"
    "mra.-DescribeCompShareSharingImages\0"
    "mra.-DescribeSelfCommunityImages\0"
    "mra.-DescribeUserCommunityImages\0"
    "mra.-GetCompShareImageCreateProgress\0"
    "mwa.-ModifyCompShareImageShareAccount\0"
    "mwn.-PublishCompShareImage\0"
    "mwvx-TerminateCompShareCustomImage\0"
    "mwa.-UpdateCompShareImage\0"
    "dwv.-AttachCompshareDisk\0"
    "dwv.-DetachCompshareDisk\0"
    "dwn+-CreateAndAttachCompshareDisk\0"
    "dwax-DeleteCompshareDisk\0"
    "dra.-DescribeCompshareDisk\0"
    "dra.-GetCompShareAttachedDiskUpgradePrice\0"
    "dwv+-ResizeCompShareDisk\0"
    "dwv.-AttachUS3\0"
    "twn.-CreateCompShareTeam\0"
    "twn.pCreateCompShareTeamRelation\0"
    "twvx-DeleteCompShareTeam\0"
    "tra.-DescribeTeamMemberOrder\0"
    "tra.-DescribeTeamMemberOrderCount\0"
    "tra.-DescribeTeamMemberUnpaidOrder\0"
    "tra.-DescribeTeamMemberUnpaidOrderCount\0"
    "tra.cDownloadTeamOrder\0"
    "tra.-GetCompShareTeamInfo\0"
    "tra.-ListCompShareTeam\0"
    "tra.-ListCompShareTeamInvite\0"
    "tra.-ListCompShareTeamJoined\0"
    "tra.-ListCompShareTeamOperateLog\0"
    "tra.-ListMemberProductType\0"
    "twn+pSetCompShareTeamAmount\0"
    "twa.-SetCompShareTeamRelation\0"
    "twa.-UpdateCompShareTeam\0"
    "ura.-CheckULHostResourceCapacity\0"
    "uwn+-CreateULHostInstance\0"
    "ura.-DescribeULHostBundles\0"
    "ura.-DescribeULHostImage\0"
    "ura.-DescribeULHostInstance\0"
    "ura.-GetULHostInstancePrice\0"
    "ura.-GetULHostRenewPrice\0"
    "uwa.-ModifyULHostAttribute\0"
    "uwvx-PoweroffULHostInstance\0"
    "uwn.-RebootULHostInstance\0"
    "uwnx-ReinstallULHostInstance\0"
    "uwv.sResetULHostInstancePassword\0"
    "uwv+-StartULHostInstance\0"
    "uwv--StopULHostInstance\0"
    "uwvx-TerminateULHostInstance\0"
    "ora.-GetOpenClawModelList\0"
    "xwn.-CreateCSCLIEvent\0"
    "xwn.-CreateCSCLIFeedback\0"
#endif
    "";

#define COMPSHARE__ACTION_MARKS 5

static compshare_action compshare__action_row(const char *row)
{
    static const char *const groups[] = { "account", "instance", "image", "data", "team", "ulhost", "other", "telemetry" };
    static const char letters[] = "aimdtuox";
    compshare_action a;
    size_t i;
    memset(&a, 0, sizeof a);
    a.cost = '.';
    a.group = "";
    if (row[0] == '\0') return a;
    for (i = 0; i < 8; i++)
        if (row[0] == letters[i]) a.group = groups[i];
    a.name = row + COMPSHARE__ACTION_MARKS;
    a.mutating = row[1] == 'w';
    a.retry = row[2] == 'a' ? COMPSHARE_RETRY_ALWAYS : row[2] == 'v' ? COMPSHARE_RETRY_VERIFY : COMPSHARE_RETRY_NEVER;
    a.cost = row[3];
    a.secret = row[4] == 's';
    a.csv = row[4] == 'c';
    a.partial = row[4] == 'p';
    a.json_only = row[4] == 'j';
    return a;
}

static compshare_action compshare__action_find(const char *name)
{
    const char *row = compshare__actions;
    while (row[0] != '\0' && !compshare__bytes_equal(row + COMPSHARE__ACTION_MARKS, name)) row += strlen(row) + 1;
    return compshare__action_row(row);
}

/* An action that is not in the table may do anything. */
static bool compshare__action_may_change(const char *name)
{
    compshare_action a = compshare__action_find(name);
    return a.name == NULL || a.mutating;
}

/* ---- what this client has changed, and no reading has shown yet ---- */

#define COMPSHARE__UPDATE "UpdateCompShareStopScheduler"
#define COMPSHARE__DELETE "DeleteCompShareStopScheduler"
#define COMPSHARE__DESCRIBE "DescribeCompShareInstance"

static bool compshare__recent_near(int64_t a, int64_t b)
{
    return a == b || (a != 0 && b != 0 && a - b <= COMPSHARE__ROUNDING_S
        && b - a <= COMPSHARE__ROUNDING_S);
}

/* What is kept of an instance, for calls that begin while readings may lag; NULL: nothing. */
static compshare__recent *compshare__recent_of(compshare *c, const char *uhost_id)
{
    uint64_t mark = compshare__bytes_mark(uhost_id);
    size_t i;
    for (i = 0; i < COMPSHARE__RECENT; i++)
        if (c->account.recent[i].mark == mark && c->task.began < c->account.recent[i].at + COMPSHARE__LAG_MS)
            return &c->account.recent[i];
    return NULL;
}

/* Keeps that a timed shutdown was changed with success. before: what was shown until then; -1:
   not known. after: what must be shown; 0: none. */
static void compshare__recent_note(compshare *c, const char *uhost_id, int64_t before,
    int64_t after)
{
    compshare__recent *r = compshare__recent_of(c, uhost_id);
    size_t i;
    if (r == NULL) {
        r = c->account.recent;
        for (i = 1; i < COMPSHARE__RECENT; i++)
            if (c->account.recent[i].at < r->at) r = &c->account.recent[i];     /* the oldest, or a free one */
    } else if (r->after != after) {
        before = r->shown ? r->after : -1;
    } else {
        before = r->before;
    }
    r->mark = compshare__bytes_mark(uhost_id);
    r->before = before;
    r->after = after;
    r->at = c->clock.looked_at;
    r->shown = false;
}

static void compshare__recent_forget(compshare *c, const char *uhost_id)
{
    compshare__recent *r = compshare__recent_of(c, uhost_id);
    if (r != NULL) memset(r, 0, sizeof *r);
}

/* What this client knows better than a reading: it shows what was there before a change that
   has succeeded. NULL: nothing. */
static const compshare__recent *compshare__recent_doubt(compshare *c, const compshare_instance *i)
{
    compshare__recent *r = compshare__recent_of(c, i->uhost_id);
    if (r == NULL) return NULL;
    if (r->after != 0 && r->after <= compshare__client_server_time(c)) return NULL;
    if (compshare__recent_near(i->stop_time, r->after)) {
        r->shown = true;
        return NULL;
    }
    return r->before < 0 || r->before == i->stop_time ? r : NULL;
}

/* ---- generic call ---- */

static int compshare__call_begin(compshare *c)
{
    c->exchange.request = c->task.as.call;
    return COMPSHARE_OK;
}

/* What it may have changed is noted. Of a time that is given as text nothing is kept. */
static int compshare__call_end(compshare *c, int status)
{
    bool update = compshare__bytes_equal(c->error.action, COMPSHARE__UPDATE);
    const compshare_param *time;
    const char *id;
    if (status != COMPSHARE_OK) return status;
    if (!update && !compshare__bytes_equal(c->error.action, COMPSHARE__DELETE)) return status;
    id = compshare__params_text(&c->params, "UHostId");
    time = compshare__params_find(&c->params, "SchedulerStopTime");
    if (id == NULL) return status;
    if (update && (time == NULL || time->text != NULL)) {
        compshare__recent_forget(c, id);
        return status;
    }
    compshare__recent_note(c, id, -1, update ? time->number : 0);
    return status;
}

static const compshare__step compshare__call_steps[] = {
    { compshare__call_begin, compshare__call_end }
};

/* ---- parameters of typed calls ---- */

/* What every typed call sets; none of them takes the configuration's defaults
   blindly, because each knows which it needs. */
static void compshare__typed_request(compshare *c, const char *action)
{
    compshare_action info = compshare__action_find(action);
    c->exchange.request.action = action;
    c->exchange.request.always = c->exchange.request.repeatable = info.retry == COMPSHARE_RETRY_ALWAYS;
    c->exchange.request.reads = c->exchange.request.always && !info.mutating;
    c->exchange.request.params = c->task.params;
    c->task.malformed = NULL;
}

/* One too many makes the call fail: its count says so. */
static void compshare__typed_put(compshare *c, compshare_param param)
{
    if (c->exchange.request.count < COMPSHARE__TYPED_PARAMS) c->task.params[c->exchange.request.count++] = param;
    else c->exchange.request.count = COMPSHARE_MAX_PARAMS + 1;
}

/* Adds an identifier; required ones must be there. */
static int compshare__typed_id(compshare *c, const char *key, const char *value, bool required)
{
    if (value != NULL) {
        compshare__typed_put(c, compshare__param(key, value, 0, COMPSHARE__TEXT));
        return COMPSHARE_OK;
    }
    if (!required) return COMPSHARE_OK;
    return compshare__fail(c, COMPSHARE_E_PARAM, "%s: it is needed, and neither the target nor the configuration has it", key);
}

/* Copies what the target or the configuration names. NULL, or what is too long. */
static const char *compshare__typed_ids(compshare *c, const compshare_target *target)
{
    static const char *const fields[] = { "uhost_id", "project_id", "region", "zone", "region" };
    compshare__ids *ids = &c->task.ids;
    const compshare_config *f = &c->config;
    const char *const from[] = {
        target->uhost_id, compshare__bytes_first(target->project_id, f->project_id),
        target->region, target->zone,
        compshare__bytes_first(target->region, f->region)
    };
    char *const to[] = { ids->uhost_id, ids->project_id, ids->region, ids->zone, ids->look_region };
    static const size_t caps[] = {
        sizeof ids->uhost_id, sizeof ids->project_id, sizeof ids->region, sizeof ids->zone,
        sizeof ids->look_region
    };
    size_t i;
    for (i = 0; i < 5; i++) {
        size_t size = from[i] != NULL ? strlen(from[i]) + 1 : 1;
        if (size > caps[i]) return fields[i];
        memcpy(to[i], from[i] != NULL ? from[i] : "", size);
    }
    c->task.project_given = ids->project_id[0] != '\0';
    if (!c->task.project_given) memcpy(ids->project_id, c->account.project, sizeof c->account.project);
    return NULL;
}

/* Region, Zone, ProjectId and UHostId of an action that changes one instance. A workflow
   goes on without a project where the account may not list them. */
static int compshare__typed_target(compshare *c, bool zone_required)
{
    compshare__ids *ids = &c->task.ids;
    const char *region = compshare__bytes_first(ids->region, NULL);
    const char *zone = compshare__bytes_first(ids->zone, NULL);
    char derived[sizeof ids->region];
    int r;
    compshare__config_place(&c->config, &region, &zone, derived);
    if (region == derived) {
        memcpy(ids->region, derived, sizeof ids->region);
        region = ids->region;
    }
    if ((r = compshare__typed_id(c, "UHostId", compshare__bytes_first(ids->uhost_id, NULL),
        true)) != COMPSHARE_OK) return r;
    if ((r = compshare__typed_id(c, "Region", region, true)) != COMPSHARE_OK) return r;
    if ((r = compshare__typed_id(c, "Zone", zone, zone_required)) != COMPSHARE_OK) return r;
    return compshare__typed_id(c, "ProjectId", compshare__bytes_first(ids->project_id, NULL),
        !c->task.workflow);
}

/* ---- reading typed values ---- */

/* A member of an element: absent and null are the same; twice is malformed. */
static bool compshare__read_member(const compshare__tree *tree, const char *key, uint32_t *at)
{
    size_t hits = compshare__json_find(tree, 0, key, at);
    if (hits == 1 && compshare__json_type(tree, *at) == COMPSHARE_NULL) *at = COMPSHARE__NO_TOKEN;
    return hits <= 1;
}

/* Text, cut to fit and made safe for a terminal. exact: it is compared or sent on, so
   that must change nothing. */
static bool compshare__read_text(const compshare__tree *tree, const char *key, bool exact, char *buf, size_t cap)
{
    uint32_t at;
    compshare_view raw;
    buf[0] = '\0';
    if (!compshare__read_member(tree, key, &at)) return false;
    if (at == COMPSHARE__NO_TOKEN) return true;
    if (compshare__json_type(tree, at) != COMPSHARE_STRING) return !exact;
    raw = compshare__json_raw(tree, at);
    (void)compshare__json_copy(raw, buf, cap, true);
    if (!exact || compshare__json_equals(raw, buf)) return true;
    buf[0] = '\0';
    return false;
}

/* A number that nothing is decided by: what is no non-negative integer is 0. */
static void compshare__read_count(const compshare__tree *tree, const char *key, int64_t *out)
{
    uint32_t at;
    if (!compshare__read_member(tree, key, &at) || at == COMPSHARE__NO_TOKEN
        || !compshare__json_int(tree, at, out)
        || *out < 0) *out = 0;
}

/* A stop time in Unix seconds, as number or string, with ".0" behind it or not; 0: none, which
   is also what is not above 0. *given: the member is there and not null. False: it is no time,
   or one in milliseconds; `raw` is what stands there. */
static bool compshare__read_time(const compshare__tree *tree, const char *key, bool *given,
    int64_t *out, char raw[32])
{
    uint32_t at;
    compshare_view v = { "twice", 5 };
    compshare__text t = compshare__text_into(raw, 32);
    int type;
    size_t point;
    bool once = compshare__read_member(tree, key, &at);
    *out = 0;
    *given = !once || at != COMPSHARE__NO_TOKEN;
    if (!*given) return true;
    if (once) v = compshare__json_raw(tree, at);
    type = once ? compshare__json_type(tree, at) : COMPSHARE_NONE;
    if (type == COMPSHARE_STRING && v.len == 0) return true;
    if (type == COMPSHARE_STRING) (void)compshare__json_copy(v, raw, 32, true);
    else compshare__text_bytes(&t, v.ptr, v.len);
    if (type != COMPSHARE_STRING && type != COMPSHARE_NUMBER) return false;
    point = compshare__bytes_find(v.ptr, v.len, '.');
    if (point + 1 < v.len
        && compshare__bytes_span(v.ptr + point + 1, "0", true) >= v.len - point - 1) v.len = point;
    if (!compshare__bytes_int(v, out) || *out > COMPSHARE__LATEST_TIME) return false;
    if (*out < 0) *out = 0;
    return true;
}

/* true or false, or a string that says so. */
static bool compshare__read_bool(const compshare__tree *tree, uint32_t at, bool *out)
{
    static const char *const words[] = { "false", "true", "False", "True" };
    int type = compshare__json_type(tree, at), i, count = type == COMPSHARE_STRING ? 4 : type == COMPSHARE_BOOL ? 2 : 0;
    for (i = 0; i < count; i++) {
        if (!compshare__json_equals(compshare__json_raw(tree, at), words[i])) continue;
        *out = i % 2 != 0;
        return true;
    }
    return false;
}

/* When it will be stopped: SchedulerStopTime, else StopSchedulerTime, as documents differ;
   never StopTime, which is when it was stopped last. The official client reads the first
   only: where that is given, text in the second that is no time decides nothing. A time that is
   over by the server's clock (0: not known), or before this file existed, is none. */
static const char *compshare__read_schedule(const compshare__tree *tree, int64_t now, int64_t *out,
    char raw[32])
{
    static const char *const keys[] = { "SchedulerStopTime", "StopSchedulerTime" };
    bool given = false, other;
    size_t k;
    *out = 0;
    for (k = 0; k < 2 && *out == 0; k++) {
        if (!compshare__read_time(tree, keys[k], &other, out, raw) && (!given || *out != 0))
            return keys[k];
        given = given || other;
    }
    if (*out <= now || *out < COMPSHARE__EARLIEST_TIME) *out = 0;
    return NULL;
}

/* NULL, or the field of an instance that cannot be read, and what stands there. Only what is
   decided by can make a reading fail: the rest is then 0 or "". */
static const char *compshare__read_instance(const compshare__tree *tree, int64_t now,
    compshare_instance *i, char raw[32])
{
    enum { exact, shown, count };
#define COMPSHARE__MEMBER(name) offsetof(compshare_instance, name), sizeof ((compshare_instance *)0)->name
    static const struct {
        const char *key;
        int kind;
        size_t offset, size;
    } rows[] = {
        { "UHostId", exact, COMPSHARE__MEMBER(uhost_id) },
        { "State", exact, COMPSHARE__MEMBER(state) },
        { "ChargeType", exact, COMPSHARE__MEMBER(charge_type) },
        { "Zone", exact, COMPSHARE__MEMBER(zone) },
        { "Name", shown, COMPSHARE__MEMBER(name) },
        { "Region", shown, COMPSHARE__MEMBER(region) },
        { "GpuType", shown, COMPSHARE__MEMBER(gpu_type) },
        { "GPU", count, COMPSHARE__MEMBER(gpu) },
        { "CreateTime", count, COMPSHARE__MEMBER(create_time) },
        { "ExpireTime", count, COMPSHARE__MEMBER(expire_time) }
    };
#undef COMPSHARE__MEMBER
    size_t k;
    memset(i, 0, sizeof *i);
    raw[0] = '\0';
    if (compshare__json_type(tree, 0) != COMPSHARE_OBJECT) return "an element";
    for (k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        char *at = (char *)i + rows[k].offset;
        if (rows[k].kind == count) compshare__read_count(tree, rows[k].key, (int64_t *)(void *)at);
        else if (!compshare__read_text(tree, rows[k].key, rows[k].kind == exact, at, rows[k].size)
            && rows[k].kind == exact)
            return rows[k].key;
        if (i->uhost_id[0] == '\0') return rows[k].key;
    }
    if (!compshare__bytes_all(i->region, strlen(i->region), COMPSHARE__IDENTIFIER))
        i->region[0] = '\0';
    if (i->region[0] == '\0') compshare__zone_region(i->zone, i->region, sizeof i->region);
    return compshare__read_schedule(tree, now, &i->stop_time, raw);
}

/* An element callback met a malformed element: the task ends with E_REPLY. */
static int compshare__typed_malformed(compshare *c, const char *field)
{
    c->task.malformed = field;
    return 1;
}

static int compshare__typed_status(compshare *c, int status)
{
    if (status != COMPSHARE_E_STOPPED || c->task.malformed == NULL) return status;
    (void)compshare__fail(c, COMPSHARE_E_REPLY, "%s: %s cannot be read, or is there more than once",
        c->exchange.request.array, c->task.malformed);
    if (c->task.raw[0] != '\0')
        (void)compshare__fail(c, COMPSHARE__MORE, ": it is %s, and Unix seconds are needed",
            c->task.raw);
    return COMPSHARE_E_REPLY;
}

/* ---- GetProjectList ---- */

/* true and 1 in every form: what cannot be read is no default. */
static bool compshare__projects_default(const compshare__tree *tree)
{
    uint32_t at;
    int64_t number;
    bool is_default = false;
    if (!compshare__read_member(tree, "IsDefault", &at) || at == COMPSHARE__NO_TOKEN) return false;
    if (compshare__json_int(tree, at, &number)) return number == 1;
    return compshare__read_bool(tree, at, &is_default) && is_default;
}

static int compshare__projects_element(void *user, compshare_value element)
{
    compshare *c = (compshare *)user;
    compshare__task *t = &c->task;
    compshare_project p, *chosen = (compshare_project *)t->out;
    int64_t number = t->read.list.seen++;
    bool wanted;
    (void)element;
    memset(&p, 0, sizeof p);
    if (compshare__json_type(&c->reply.tree, 0) != COMPSHARE_OBJECT
        || !compshare__read_text(&c->reply.tree, "ProjectId", true, p.project_id, sizeof p.project_id)
            || p.project_id[0] == '\0')
        return compshare__typed_malformed(c, "ProjectId");
    (void)compshare__read_text(&c->reply.tree, "ProjectName", false, p.project_name,
        sizeof p.project_name);
    p.is_default = compshare__projects_default(&c->reply.tree);
    if (t->other > 0) wanted = number + 1 == (int64_t)t->other;
    else wanted = c->config.project_id != NULL
        ? compshare__bytes_equal(p.project_id, c->config.project_id) : p.is_default;
    if (wanted) t->found++;
    if (number > 0) compshare__text_put(&t->read.list.names, ", ");
    compshare__text_put(&t->read.list.names, p.project_id);
    if (chosen != NULL && (wanted || (number == 0 && c->config.project_id == NULL))) *chosen = p;
    return t->on_project != NULL ? t->on_project(t->user, &p) : 0;
}

static int compshare__projects_begin(compshare *c)
{
    compshare__task *t = &c->task;
    compshare__typed_request(c, "GetProjectList");
    c->exchange.request.array = "ProjectSet";
    c->exchange.request.each = compshare__projects_element;
    c->exchange.request.user = c;
    t->found = 0;
    t->read.list.seen = 0;
    t->read.list.names = compshare__text_into(t->read.list.name_list,
        sizeof t->read.list.name_list);
    return COMPSHARE_OK;
}

static int compshare__projects_end(compshare *c, int status)
{
    compshare__task *t = &c->task;
    int64_t seen = t->read.list.seen;
    bool only = t->found == 0 && seen == 1 && c->config.project_id == NULL && t->other == 0;
    status = compshare__typed_status(c, status);
    if (status == COMPSHARE_OK && (t->found == 1 || only)) return status;
    if (t->out != NULL) memset(t->out, 0, sizeof(compshare_project));
    if (status != COMPSHARE_OK || t->out == NULL) return status;
    return compshare__fail(c, COMPSHARE_E_PROJECT, "%s%s", seen == 0 ? "the account has no project"
        : c->config.project_id != NULL ? "project_id is not among the account's projects: "
        : t->found > 1 ? "several projects are the default; set project_id: " : "no project is the default; set project_id: ",
        t->read.list.name_list);
}

static const compshare__step compshare__projects_steps[] = { { compshare__projects_begin, compshare__projects_end } };

/* ---- DescribeCompShareInstance ---- */

/* Region, ProjectId and what `describe` and `each` have in common. */
static void compshare__describe_request(compshare *c, compshare_each_fn each)
{
    const compshare__ids *ids = &c->task.ids;
    compshare__typed_request(c, COMPSHARE__DESCRIBE);
    (void)compshare__typed_id(c, "Region", compshare__bytes_first(ids->look_region, NULL), false);
    (void)compshare__typed_id(c, "ProjectId", compshare__bytes_first(ids->project_id, NULL), false);
    c->exchange.request.array = "UHostSet";
    c->exchange.request.each = each;
    c->exchange.request.user = c;
}

static int compshare__describe_element(void *user, compshare_value element)
{
    compshare *c = (compshare *)user;
    compshare__task *t = &c->task;
    compshare_instance instance;
    const char *reason = compshare__read_instance(&c->reply.tree, compshare__client_server_time(c),
        &instance, t->raw);
    (void)element;
    if (instance.uhost_id[0] != '\0' && !compshare__bytes_equal(instance.uhost_id, t->ids.uhost_id))
        return 0;               /* whatever else stands in it */
    if (compshare__judge_is_echo(c, compshare__json_raw(&c->reply.tree, 0)))
        reason = "a repetition of the request";
    if (reason != NULL && (t->raw[0] == '\0' || t->uses_schedule))
        return compshare__typed_malformed(c, reason);
    if (t->found > 0 && memcmp(t->out, &instance, sizeof instance) == 0) return 0;
    if (t->found++ > 0) return compshare__typed_malformed(c, "the instance");
    *(compshare_instance *)t->out = instance;
    return 0;
}

static int compshare__describe_begin(compshare *c)
{
    compshare__describe_request(c, compshare__describe_element);
    c->exchange.request.inner = true;
    c->task.found = 0;
    return compshare__typed_id(c, "UHostIds.0", compshare__bytes_first(c->task.ids.uhost_id, NULL),
        true);
}

static int compshare__describe_missing(compshare *c)
{
    compshare__task_name(c, COMPSHARE__DESCRIBE);
    return compshare__fail(c, COMPSHARE_E_NOT_FOUND,
        "no instance %s in this account, region and project", c->task.ids.uhost_id);
}

/* Gone is an empty list, or RetCode 8039 or 8351. */
static int compshare__describe_end(compshare *c, int status)
{
    status = compshare__typed_status(c, status);
    if (status == COMPSHARE_OK && c->task.found == 1) {
        c->task.spoiled = false;
        return status;
    }
    if (c->task.found > 0) c->task.spoiled = true;
    if (!c->task.workflow) memset(c->task.out, 0, sizeof(compshare_instance));
    if (status == COMPSHARE_E_API && (c->error.ret_code == 8039 || c->error.ret_code == 8351)) {
        (void)compshare__describe_missing(c);
        return COMPSHARE_E_NOT_FOUND;
    }
    return status == COMPSHARE_OK ? compshare__describe_missing(c) : status;
}

/* ---- find: in which project, and with or without a Region ---- */

static bool compshare__find_names(const compshare *c, const char *word)
{
    compshare_view message;
    message.ptr = c->error.message;
    message.len = strlen(message.ptr);
    return compshare__bytes_hold(message, word, strlen(word));
}

/* A reading was refused for what it lacked, or for a project that is no more. True: what is
   known of that goes with it the next time, and the task's step is the one to go on with. */
static bool compshare__find_mend(compshare *c, int status)
{
    compshare__task *t = &c->task;
    compshare__ids *ids = &t->ids;
    int code = c->error.ret_code;
    bool region = compshare__find_names(c, "Region"), project = compshare__find_names(c, "Project")
        || code == 292;
    if (status != COMPSHARE_E_API || (code != 210 && code != 292)) return false;
    if (ids->look_region[0] == '\0' && !project) {
        const char *zone = compshare__bytes_first(ids->zone, c->config.zone);
        if (zone != NULL) compshare__zone_region(zone, ids->look_region, sizeof ids->look_region);
        if (ids->look_region[0] != '\0') return true;
    }
    if (region || t->project_given || t->listed) return false;
    t->listed = t->list_projects = true;
    c->account.project[0] = ids->project_id[0] = '\0';
    t->step--;
    return true;
}

/* A part of the time is over, and not all: a reading is begun again, on a new connection. */
static bool compshare__find_silent(const compshare *c, int status)
{
    uint64_t now = compshare__client_now(c);
    return status == COMPSHARE_E_TIMEOUT && now < c->clock.deadline
        && c->clock.deadline - now >= COMPSHARE__READING_MS;
}

/* The first step of each task that reads: which project, where that is to be asked. */
static int compshare__find_project(compshare *c)
{
    compshare__task *t = &c->task;
    if (!t->list_projects) return COMPSHARE__NEXT;
    t->out = &t->read.list.project;
    c->exchange.request.half = true;
    return compshare__projects_begin(c);
}

/* A wait has looked in all projects, or could not list them: it goes on without one, and looks
   through them later where the list failed. */
static int compshare__find_everywhere(compshare *c, int status)
{
    c->task.other = 0;
    c->task.missing = status == COMPSHARE_E_PROJECT || c->task.list_refused;
    c->task.listed = false;
    c->task.ids.project_id[0] = '\0';
    c->task.list_projects = false;
    return COMPSHARE__NEXT;
}

static int compshare__find_project_end(compshare *c, int status)
{
    compshare__task *t = &c->task;
    int code = c->error.ret_code;
    status = compshare__projects_end(c, status);
    if (t->aborted) return status;
    if (compshare__find_silent(c, status)) return COMPSHARE__AGAIN;
    t->list_refused = status == COMPSHARE_E_API && (code == 299 || code == 240);
    if (t->state != NULL && status != COMPSHARE_OK && (t->other > 0 || !t->list_refused))
        return compshare__find_everywhere(c, status);
    if (t->other > 0 && (status == COMPSHARE_E_PROJECT || t->list_refused))
        return compshare__describe_missing(c);
    if (status != COMPSHARE_OK && !t->list_refused) return status;
    if (status == COMPSHARE_OK)
        memcpy(t->ids.project_id, t->read.list.project.project_id, sizeof t->ids.project_id);
    t->list_projects = false;
    return COMPSHARE__NEXT;
}

/* Looks for the task's instance for the first time. */
static int compshare__find_begin(compshare *c)
{
    compshare__task *t = &c->task;
    t->out = t->workflow ? &t->read.instance : t->instance;
    c->exchange.request.half = t->as.change.action != NULL;
    return compshare__describe_begin(c);
}

/* Not where it was looked for: in each project of the account before it is said. A workflow
   looks twice in any case, for a list may be empty for a moment. */
static int compshare__find_elsewhere(compshare *c)
{
    compshare__task *t = &c->task;
    bool again = t->workflow && t->other == 0 && compshare__task_pause(c, COMPSHARE__DOUBT_MS);
    t->other++;
    c->account.project[0] = '\0';
    if (t->project_given || t->list_refused)
        return again ? COMPSHARE__AGAIN : COMPSHARE_E_NOT_FOUND;
    t->list_projects = true;
    t->step--;
    return COMPSHARE__AGAIN;
}

/* The end of that. */
static int compshare__find_end(compshare *c, int status)
{
    compshare__task *t = &c->task;
    status = compshare__describe_end(c, status);
    if (t->aborted) return status;
    if (status == COMPSHARE_OK) {
        if (!t->project_given) memcpy(c->account.project, t->ids.project_id, sizeof c->account.project);
        return status;
    }
    if (compshare__find_mend(c, status)) return COMPSHARE__AGAIN;
    if (t->workflow && compshare__find_silent(c, status)) return COMPSHARE__AGAIN;
    if (status == COMPSHARE_E_NOT_FOUND) return compshare__find_elsewhere(c);
    if (status == COMPSHARE_E_API && t->list_refused)
        (void)compshare__fail(c, COMPSHARE__MORE, ", and so was GetProjectList: set project_id");
    return status;
}

static const compshare__step compshare__describe_steps[] = {
    { compshare__find_project, compshare__find_project_end },
    { compshare__find_begin, compshare__find_end }
};

/* ---- all instances ---- */

/* A page begins with the last elements of the one before. Where these have moved, what
   stands before the marks has been handed out already, and what is behind them not. */
static int compshare__each_element(void *user, compshare_value element)
{
    compshare *c = (compshare *)user;
    compshare__task *t = &c->task;
    compshare__list *l = &t->as.list;
    compshare_instance instance;
    const char *reason = compshare__read_instance(&c->reply.tree, compshare__client_server_time(c),
        &instance, t->raw);
    uint64_t mark;
    size_t i;
    if (reason != NULL) return compshare__typed_malformed(c, reason);
    l->seen++;
    mark = compshare__bytes_mark(instance.uhost_id);
    for (i = 0; i < COMPSHARE__MARKS; i++)
        if (l->mark[i] == mark) {
            l->searching = false;
            return 0;
        }
    if (l->searching) return 0;
    l->fresh = true;
    memmove(l->mark + 1, l->mark, sizeof l->mark - sizeof l->mark[0]);
    l->mark[0] = mark;
    return t->on_instance(t->user, &instance, element);
}

#define COMPSHARE__PAGE 100     /* the API's most */

static int compshare__each_begin(compshare *c)
{
    compshare__list *l = &c->task.as.list;
    compshare__describe_request(c, compshare__each_element);
    (void)compshare__typed_id(c, "Zone", compshare__bytes_first(c->task.ids.zone, NULL), false);
    compshare__typed_put(c, compshare__param("Offset", NULL, l->offset, COMPSHARE__INT));
    compshare__typed_put(c, compshare__param("Limit", NULL, COMPSHARE__PAGE, COMPSHARE__INT));
    l->seen = 0;
    l->fresh = false;
    l->searching = l->mark[0] != 0 && !l->anew;
    l->anew = false;
    return COMPSHARE_OK;
}

/* TotalCount, which some replies call Total; -1 where there is none that can be read. It may
   count too few, or what is not shown: it decides only where the list itself cannot, which is a
   page that comes again. */
static int64_t compshare__each_total(compshare *c)
{
    uint32_t at;
    int64_t total;
    if (compshare__json_find(&c->reply.tree, 0, "TotalCount", &at) != 1
        && compshare__json_find(&c->reply.tree, 0, "Total", &at) != 1) return -1;
    return compshare__json_int(&c->reply.tree, at, &total) ? total : -1;
}

/* No mark is in the page: elements before it have gone. Steps back until one is found,
   and lets later pages overlap by more; where none is left, the list is handed out
   anew. */
static int compshare__each_back(compshare *c)
{
    compshare__list *l = &c->task.as.list;
    if (l->offset == 0) {
        if (l->restarts++ == COMPSHARE__RESTARTS)
            return compshare__fail(c, COMPSHARE_E_REPLY, "the list changes faster than it can be read");
        l->anew = true;
    }
    l->offset = l->offset > COMPSHARE__PAGE ? l->offset - COMPSHARE__PAGE : 0;
    l->overlap = COMPSHARE__PAGE / 4;
    return COMPSHARE__AGAIN;
}

/* A list without any element: it may be so for a moment only. */
static int compshare__each_empty(compshare *c)
{
    compshare__list *l = &c->task.as.list;
    if (l->empty++ < (l->mark[0] == 0 ? 1 : COMPSHARE__LOOKS)
        && compshare__task_pause(c, COMPSHARE__DOUBT_MS)) return COMPSHARE__AGAIN;
    if (l->mark[0] == 0) return COMPSHARE_OK;
    return compshare__fail(c, COMPSHARE_E_REPLY, "the list became empty while it was read");
}

/* Another page, until one brings nothing new. */
static int compshare__each_next(compshare *c)
{
    compshare__list *l = &c->task.as.list;
    int64_t total = compshare__each_total(c), step = l->seen - l->overlap - 1;
    if (!l->fresh) {
        /* nothing new on a whole page: as much appeared before it, or Offset is not kept to */
        if (l->seen < l->most || total == l->seen || (l->end > 0 && l->offset + l->seen >= l->end))
            return COMPSHARE_OK;
        if (l->restarts++ == COMPSHARE__RESTARTS)
            return compshare__fail(c, COMPSHARE_E_REPLY, "the list does not go on behind its first page");
    }
    if (l->seen > l->most) l->most = l->seen;
    if (l->seen == 1 && total <= 1) return COMPSHARE_OK;
    l->offset += step > 0 ? step : 1;
    return COMPSHARE__AGAIN;
}

/* A page that cannot be read, behind others that could, is read again: it is found by its
   marks. */
static int compshare__each_failed(compshare *c, int status)
{
    compshare__list *l = &c->task.as.list;
    bool broken = status != COMPSHARE_E_STOPPED && status != COMPSHARE_E_REPLY
        && status != COMPSHARE_E_TOO_LARGE && (status != COMPSHARE_E_API
            || compshare__judge_transient(c->error.ret_code));
    if (!l->fresh && compshare__find_mend(c, status)) return COMPSHARE__AGAIN;
    if (!broken || l->mark[0] == 0 || l->failures++ == COMPSHARE__LOOKS
        || !compshare__task_pause(c, COMPSHARE__DOUBT_MS)) return status;
    return COMPSHARE__AGAIN;
}

static int compshare__each_end(compshare *c, int status)
{
    compshare__list *l = &c->task.as.list;
    status = compshare__typed_status(c, status);
    if (c->task.aborted) return status;
    /* an Offset behind the last element may be refused */
    if (status == COMPSHARE_E_API && c->error.ret_code == 8401 && l->offset > 0) {
        memset(&c->error, 0, sizeof c->error);
        status = COMPSHARE_OK;
    }
    if (status != COMPSHARE_OK) return compshare__each_failed(c, status);
    if (l->seen == 0 && l->offset == 0) return compshare__each_empty(c);
    l->empty = 0;
    if (l->fresh) l->end = 0;
    else if (l->seen == 0) l->end = l->offset;
    return l->searching ? compshare__each_back(c) : compshare__each_next(c);
}

static const compshare__step compshare__each_steps[] = {
    { compshare__find_project, compshare__find_project_end },
    { compshare__each_begin, compshare__each_end }
};

/* ---- UpdateCompShareStopScheduler, DeleteCompShareStopScheduler ---- */

static int compshare__update_begin(compshare *c)
{
    compshare__task *t = &c->task;
    int r;
    compshare__typed_request(c, COMPSHARE__UPDATE);
    if (t->stop_time <= 0 || t->stop_time > COMPSHARE__LATEST_TIME)
        return compshare__fail(c, COMPSHARE_E_PARAM, "SchedulerStopTime: seconds since 1970 are needed, up to the year 9999");
    if ((r = compshare__typed_target(c, true)) != COMPSHARE_OK) return r;
    c->exchange.request.stop_time = t->stop_time;
    compshare__typed_put(c, compshare__param("SchedulerStopTime", NULL, t->stop_time,
        COMPSHARE__INT));
    if (t->both_names || c->account.both_names)
        compshare__typed_put(c, compshare__param("StopTime", NULL, t->stop_time, COMPSHARE__INT));
    return COMPSHARE_OK;
}

static int compshare__delete_begin(compshare *c)
{
    compshare__typed_request(c, COMPSHARE__DELETE);
    return compshare__typed_target(c, false);
}

/* Some replies repeat UHostId: it must then be ours. */
static int compshare__change_end(compshare *c, int status)
{
    uint32_t at;
    size_t hits;
    if (status != COMPSHARE_OK) return status;
    hits = compshare__json_find(&c->reply.tree, 0, "UHostId", &at);
    if (hits == 0 || (hits == 1 && compshare__json_type(&c->reply.tree, at) == COMPSHARE_STRING
        && compshare__json_equals(compshare__json_raw(&c->reply.tree, at), c->task.ids.uhost_id)))
        return status;
    c->error.outcome_unknown = true;
    return compshare__fail(c, COMPSHARE_E_REPLY, "UHostId of the reply is not the instance that was asked about");
}

/* Whether a definite refusal is about StopTime, as some documents call the parameter: nothing
   was executed, and it is worth one more sending with both names. */
static bool compshare__update_renamed(compshare *c, int status)
{
    static const char name[] = "StopTime";
    const char *message = c->error.message, *at;
    bool named = false, other = false;
    if (status != COMPSHARE_E_API || c->error.outcome_unknown || c->task.both_names || c->account.both_names
        || !compshare__bytes_equal(c->error.action, COMPSHARE__UPDATE)) return false;
    for (at = message; *at != '\0'; at++) {
        if (!compshare__bytes_begins(at, name)) continue;
        if (at == message || !compshare__bytes_letter(at[-1])) named = true;
        else other = true;
    }
    other = other || compshare__find_names(c, "Region") || compshare__find_names(c, "Zone")
        || compshare__find_names(c, "Project")
        || compshare__find_names(c, "UHost");
    c->task.both_names = named || (c->error.ret_code == 210 && !other);
    return c->task.both_names;
}

/* Of a single change; a workflow knows more. */
static int compshare__change_once_end(compshare *c, int status)
{
    status = compshare__change_end(c, status);
    if (c->task.aborted) return status;
    if (compshare__update_renamed(c, status)) return COMPSHARE__AGAIN;
    if (status != COMPSHARE_OK) return status;
    compshare__recent_note(c, c->task.ids.uhost_id, -1, c->task.stop_time);
    if (c->task.both_names) c->account.both_names = true;
    return status;
}

static const compshare__step compshare__update_steps[] = {
    { compshare__update_begin, compshare__change_once_end }
};
static const compshare__step compshare__delete_steps[] = {
    { compshare__delete_begin, compshare__change_once_end }
};

/* ==== confirm ================================================================================
   Changes that are looked at, and what proves them: law 7. Touches the task. Must never call
   a change done that no reading has shown, nor take a reading for proof that only shows what
   was shown before. */

/* A refusal that another reading will not change. 8905 and 226607: the API itself is not sure
   of the state. */
static bool compshare__poll_refused(const compshare *c, int status)
{
    int code = c->error.ret_code;
    bool told = status == COMPSHARE_E_API
        || (status == COMPSHARE_E_STATUS && c->error.http_status < 500
            && c->error.http_status != 429);
    return told && code != 0 && code != 8905
        && code != 226607
        && !compshare__judge_transient(code);
}

/* Looks for the task's instance once more, as it was found. */
static int compshare__poll_begin(compshare *c)
{
    c->task.out = &c->task.read.instance;
    c->exchange.request.half = true;
    return compshare__describe_begin(c);
}

/* A sending of the change has ended: refused; or accepted, or nothing is known of it, which
   the next step has to settle. A later one that did not leave, or may succeed later, settles
   nothing. */
static int compshare__change_sent(compshare *c, int status)
{
    compshare__task *t = &c->task;
    compshare__change *ch = &t->as.change;
    bool first = !ch->lost && !ch->accepted, told;
    status = compshare__change_end(c, status);
    told = status == COMPSHARE_OK || status == COMPSHARE_E_API || status == COMPSHARE_E_STATUS
        || c->error.outcome_unknown;
    if (first || told) {
        ch->status = status;
        ch->http = c->error.http_status;
        ch->code = c->error.ret_code;
        memcpy(ch->request_id, c->error.request_id, sizeof ch->request_id);
    }
    ch->sent_at = compshare__client_now(c);
    ch->sendings++;
    if (t->aborted) {
        t->unsettled = t->unsettled || c->error.outcome_unknown;
        return status;
    }
    if (compshare__update_renamed(c, status)) return COMPSHARE__AGAIN;
    if (status == COMPSHARE_OK) {
        ch->accepted = true;
        if (ch->states == NULL) compshare__recent_note(c, t->ids.uhost_id, ch->before, ch->wanted);
    } else if (c->error.outcome_unknown) {
        ch->lost = true;
    } else if (first) {
        if (status == COMPSHARE_E_API && t->list_refused)
            (void)compshare__fail(c, COMPSHARE__MORE,
                "; GetProjectList was refused as well: set project_id");
        return status;
    } else if (told && !compshare__judge_transient(c->error.ret_code)) {
        ch->refused = true;     /* that may be the effect of an earlier one */
    }
    t->unsettled = true;
    t->polls = 0;
    t->poll_until = c->clock.deadline;
    return COMPSHARE__NEXT;
}

/* Whether the newest reading shows what is wanted. */
static bool compshare__confirm_shown(const compshare *c)
{
    const compshare__task *t = &c->task;
    const compshare__change *ch = &t->as.change;
    if (ch->states != NULL) return compshare__bytes_listed(t->read.instance.state, ch->states);
    /* a plan whose time has come is gone without having been cancelled */
    if (ch->wanted == 0 && ch->before != 0 && ch->before <= compshare__client_best_time(c)
        && !compshare__bytes_equal(t->read.instance.state, "Running")) return false;
    return compshare__recent_near(t->read.instance.stop_time, ch->wanted);
}

/* Law 7. Where no sending was accepted, two readings in a row: one alone may be odd. */
static bool compshare__confirm_proved(compshare *c)
{
    compshare__change *ch = &c->task.as.change;
    ch->readings = compshare__confirm_shown(c) ? ch->readings + 1 : 0;
    if (ch->accepted) return ch->readings > 0;
    return ch->readings > 1 && !ch->shown_before;
}

/* Whether the change is sent again, after a reading that does not prove it: only what may be
   repeated, and only while readings show what was there before, or no plan; another is
   somebody else's. Once more with both names of the time where what was accepted is not
   shown. */
static bool compshare__confirm_resend(compshare *c)
{
    compshare__task *t = &c->task;
    compshare__change *ch = &t->as.change;
    uint64_t now = compshare__client_now(c), since = now - ch->sent_at,
        least = COMPSHARE__RESEND_MS;
    bool same = t->read.instance.stop_time == ch->before || t->read.instance.stop_time == 0;
    if (ch->readings > 0 && !ch->shown_before) return false;    /* another such reading proves it */
    if (ch->states != NULL || ch->refused || ch->sendings >= COMPSHARE__SENDINGS
        || now + COMPSHARE__READING_MS > c->clock.deadline) return false;
    if (ch->accepted) {
        if (ch->wanted == 0 || t->both_names || c->account.both_names || since < least
            || since < c->clock.deadline - now
            || t->read.instance.stop_time != ch->before
            || !compshare__bytes_equal(t->read.instance.state, "Running")) return false;
        t->both_names = true;
        return true;
    }
    if (ch->shown_before && ch->readings > 0)
        return since >= (ch->sendings > 1 ? least << (ch->sendings - 1) : 0);
    return same && since >= least << (ch->sendings - 1);
}

/* The time for reading back is over: says what was asked for, how it ended, and what was seen
   last. What can be asked about is the change, not the reading. */
static int compshare__confirm_failed(compshare *c, int status)
{
    const compshare__task *t = &c->task;
    const compshare__change *ch = &t->as.change;
    const compshare_instance *i = &t->read.instance;
    char last[sizeof c->error.detail];
    compshare__text text = compshare__text_into(last, sizeof last);
    if (status != COMPSHARE_OK && (!ch->read_back || t->spoiled || status == COMPSHARE_E_NOT_FOUND
        || compshare__poll_refused(c, status)))
        compshare__text_form(&text, c->error.ret_code != 0 ? "reading back failed: %s: RetCode %d"
            : "reading back failed: %s", c->error.detail, c->error.ret_code);
    else if (ch->states == NULL && i->stop_time != 0)
        compshare__text_form(&text, "the API shows %t, state %s", i->stop_time, i->state);
    else compshare__text_form(&text, "the API shows %sstate %s", ch->states == NULL
        ? "no timed shutdown, " : "", i->state);
    c->error.http_status = ch->http;
    c->error.ret_code = ch->code;
    c->error.message[0] = '\0';
    memcpy(c->error.request_id, ch->request_id, sizeof ch->request_id);
    (void)compshare__fail(c, COMPSHARE_E_UNCONFIRMED, ch->wanted != 0 ? "%t was asked for: " : "",
        ch->wanted);
    if (ch->accepted)
        (void)compshare__fail(c, COMPSHARE__MORE, "accepted, not confirmed: %s", last);
    else if (ch->status == COMPSHARE_E_STATUS)
        (void)compshare__fail(c, COMPSHARE__MORE,
            "no clear answer (HTTP status %d), not confirmed: %s", ch->http, last);
    else (void)compshare__fail(c, COMPSHARE__MORE, "no clear answer (%s), not confirmed: %s",
        compshare__fail_status(ch->status)->text, last);
    /* to do the whole workflow again repeats nothing that matters */
    c->error.retryable = ch->states == NULL;
    return COMPSHARE_E_UNCONFIRMED;
}

/* After a reading: COMPSHARE_OK if the change is proved; else it is read, or sent, again, until
   the deadline or a definite refusal. */
static int compshare__confirm_end(compshare *c, int status)
{
    compshare__task *t = &c->task;
    if (status == COMPSHARE_OK) {
        t->as.change.read_back = true;
        if (compshare__confirm_proved(c)) {
            t->unsettled = false;
            return COMPSHARE_OK;
        }
        if (compshare__confirm_resend(c)) {
            t->step--;
            return COMPSHARE__AGAIN;
        }
    }
    if (!compshare__poll_refused(c, status) && compshare__task_poll(c)) return COMPSHARE__AGAIN;
    return compshare__confirm_failed(c, status);
}

/* ==== power ==================================================================================
   Stop, start, reboot, and the wait for a state. Touches the task. Must never send a change
   of state twice. */

static int compshare__power_found(compshare *c, int status)
{
    compshare__task *t = &c->task;
    status = compshare__find_end(c, status);
    if (status != COMPSHARE_OK) return status;
    t->as.change.shown_before = compshare__confirm_shown(c);
    memcpy(t->ids.region, t->read.instance.region, sizeof t->ids.region);
    memcpy(t->ids.zone, t->read.instance.zone, sizeof t->ids.zone);
    return COMPSHARE__NEXT;
}

static int compshare__power_begin(compshare *c)
{
    compshare__typed_request(c, c->task.as.change.action);
    c->exchange.request.half = true;
    return compshare__typed_target(c, true);
}

#define COMPSHARE__REBOOT "RebootCompShareInstance"

/* An accepted reboot is taken for done: the state in which it shows may be over before the
   first reading. */
static int compshare__power_sent(compshare *c, int status)
{
    compshare__task *t = &c->task;
    status = compshare__change_sent(c, status);
    if (!t->as.change.accepted || !compshare__bytes_equal(t->as.change.action, COMPSHARE__REBOOT))
        return status;
    t->unsettled = false;
    return COMPSHARE_OK;
}

static int compshare__power_verify(compshare *c, int status)
{
    if (c->task.aborted) return status;
    return compshare__confirm_end(c, compshare__describe_end(c, status));
}

static const compshare__step compshare__power_steps[] = {
    { compshare__find_project, compshare__find_project_end },
    { compshare__find_begin, compshare__power_found },
    { compshare__power_begin, compshare__power_sent },
    { compshare__poll_begin, compshare__power_verify }
};

/* ---- wait for a state ---- */

/* What no later reading will mend: it is this machine's, or refused. */
static bool compshare__wait_hopeless(const compshare *c, int status)
{
    return compshare__poll_refused(c, status) || status == COMPSHARE_E_TRUST
        || status == COMPSHARE_E_CLOCK || status == COMPSHARE_E_ENTROPY
        || status == COMPSHARE_E_CERTIFICATE || status == COMPSHARE_E_TOO_LARGE;
}

/* Nowhere yet: in which project it is has to be found out, once. */
static bool compshare__wait_elsewhere(compshare *c)
{
    compshare__task *t = &c->task;
    if (t->project_given || t->seen || t->list_refused || (t->other == 0 && t->missing > 0))
        return false;
    t->other++;
    t->list_projects = true;
    t->step--;
    return true;
}

/* What is missing is gone if it was there before, or should be there by now. */
static bool compshare__wait_gone(compshare *c)
{
    compshare__task *t = &c->task;
    bool new_one = !t->seen && compshare__client_now(c) - t->began < COMPSHARE__MISSING_MS;
    t->missing++;
    return t->missing >= 3 && !new_one;
}

static int compshare__wait_end(compshare *c, int status)
{
    compshare__task *t = &c->task;
    char *state = t->as.seen, reason[sizeof c->error.detail];
    size_t len;
    if (t->aborted) return status;
    status = compshare__describe_end(c, status);
    if (compshare__find_mend(c, status)) return COMPSHARE__AGAIN;
    if (status == COMPSHARE_OK) {
        memcpy(state, t->read.instance.state, sizeof t->as.seen);
        t->missing = 0;
        t->seen = true;
        if (!t->project_given) memcpy(c->account.project, t->ids.project_id, sizeof c->account.project);
        if (t->instance != NULL) *t->instance = t->read.instance;
        if (compshare__bytes_equal(state, t->state)) return status;
        len = strlen(state);
        if (len >= 4 && memcmp(state + len - 4, "Fail", 4) == 0)
            return compshare__fail(c, COMPSHARE_E_STATE, "%s is \"%s\" and will not become \"%s\"",
                t->ids.uhost_id, state, t->state);
    } else if (status == COMPSHARE_E_NOT_FOUND) {
        if (compshare__wait_elsewhere(c)) return COMPSHARE__AGAIN;
        if (compshare__wait_gone(c)) return status;
    } else {
        if (compshare__wait_hopeless(c, status)) return status;
        t->missing = 0;
    }
    if (compshare__task_poll(c)) return COMPSHARE__AGAIN;
    if (status == COMPSHARE_E_NOT_FOUND && !t->seen) return status;
    memcpy(reason, c->error.detail, sizeof reason);
    return compshare__fail(c, COMPSHARE_E_TIMEOUT,
        "%s did not become \"%s\" in %l ms; last seen: %s%s%s", t->ids.uhost_id, t->state,
        (int64_t)t->timeout_ms, t->seen ? state : "never", status != COMPSHARE_OK
            ? "; reading failed: " : "", reason);
}

static const compshare__step compshare__wait_steps[] = {
    { compshare__find_project, compshare__find_project_end },
    { compshare__poll_begin, compshare__wait_end }
};

/* ==== schedule ===============================================================================
   The timed shutdown as workflows: project, instance, change, and reading back until
   the API shows it. Touches the task, and the project that the client remembers. Must
   never report a time that it has not read from the API. */

/* What stopping this instance will not save. */
static unsigned compshare__schedule_caveats(const char *charge_type)
{
    bool prepaid = compshare__bytes_listed(charge_type, "Day\0Month\0Year\0");
    return prepaid ? COMPSHARE_KEEPS_BILLING | COMPSHARE_GETS_RELEASED : COMPSHARE_GETS_RELEASED;
}

/* What a reading says of the instance itself, and what is known of the change, for the caller:
   it stays there after a failure, too. */
static void compshare__schedule_note(compshare *c, bool read)
{
    const compshare_instance *i = &c->task.read.instance;
    const compshare__change *ch = &c->task.as.change;
    compshare_schedule *s = c->task.result;
    if (s == NULL) return;
    s->requested = ch->wanted;
    s->accepted = ch->accepted;
    s->previous = ch->before;
    if (!read) return;
    s->shown = i->stop_time;
    memcpy(s->uhost_id, i->uhost_id, sizeof s->uhost_id);
    memcpy(s->state, i->state, sizeof s->state);
    memcpy(s->charge_type, i->charge_type, sizeof s->charge_type);
    memcpy(s->zone, i->zone, sizeof s->zone);
    s->caveats = compshare__schedule_caveats(s->charge_type);
}

/* Hands the newest reading out as the result. */
static int compshare__schedule_done(compshare *c, bool changed)
{
    compshare_schedule *s = c->task.result;
    int64_t left = c->task.read.instance.stop_time - compshare__client_best_time(c);
    if (s == NULL) return COMPSHARE_OK;
    compshare__schedule_note(c, true);
    s->stop_time = s->shown;
    s->seconds_left = left > 0 ? left : 0;
    s->changed = changed;
    return COMPSHARE_OK;
}

/* What the API would refuse, refused by name. */
static int compshare__schedule_allowed(compshare *c)
{
    const compshare_instance *i = &c->task.read.instance;
    if (compshare__bytes_listed(i->charge_type, "Spot\0Preemptive\0"))
        return compshare__fail(c, COMPSHARE_E_SPOT, "%s is a Spot instance, which cannot be given a timed shutdown", i->uhost_id);
    if (compshare__bytes_equal(i->state, "Running")) return COMPSHARE_OK;
    return compshare__fail(c, COMPSHARE_E_STATE, "%s is \"%s\", and only a \"Running\" instance can be given a timed shutdown",
        i->uhost_id, i->state);
}

/* The time to set, from the plan and what is so now. A time from now on is moved behind the
   API's floor, by what its clock and the way to it may take; further each time that was not
   enough. */
static int compshare__schedule_decide(compshare *c, int64_t current)
{
    static const int64_t margins[] = { 3, 8, 68 };
    compshare__task *t = &c->task;
    compshare__change *ch = &t->as.change;
    int64_t now = compshare__client_best_time(c), base = 0, more = ch->plan.in_seconds;
    int64_t floor = COMPSHARE__STOP_FLOOR_S + margins[ch->raised];
    unsigned mode = ch->plan.mode;
    ch->wanted = ch->plan.at;
    if (ch->by_seconds > 0) {
        if (current == 0)
            return compshare__fail(c, COMPSHARE_E_NO_PLAN, "%s has no timed shutdown to extend",
                t->ids.uhost_id);
        base = current;
        more = ch->by_seconds;
    } else if (more > 0) {
        if (now < COMPSHARE__EARLIEST_TIME) return compshare__fail_clock(c, "no stop time can be reckoned by it");
        base = now;
        if (more < floor) more = floor;
    }
    if (base > 0) {
        if (base > COMPSHARE__LATEST_TIME || more > COMPSHARE__LATEST_TIME - base)
            return compshare__fail(c, COMPSHARE_E_PARAM, "SchedulerStopTime would be after the year 9999");
        ch->wanted = base + more;
    }
    t->stop_time = ch->wanted;
    if (current == 0 || mode == 0) return COMPSHARE_OK;
    if (mode == COMPSHARE_ONLY_EXTEND ? current < ch->wanted : current > ch->wanted)
        return COMPSHARE_OK;
    return COMPSHARE__FINISHED;
}

/* A reading shows what was there before this client's own, newer change: nothing can be said
   by it. */
static int compshare__schedule_doubtful(compshare *c, const compshare__recent *known)
{
    compshare__change *ch = &c->task.as.change;
    (void)compshare__fail(c, COMPSHARE_E_UNCONFIRMED, known->after != 0 ? "%t was accepted"
        : "no timed shutdown was accepted", known->after);
    if (ch->before != 0)
        (void)compshare__fail(c, COMPSHARE__MORE, " a moment ago, but the API still shows %t",
            ch->before);
    else (void)compshare__fail(c, COMPSHARE__MORE,
        " a moment ago, but the API still shows no timed shutdown");
    c->error.retryable = true;
    return COMPSHARE_E_UNCONFIRMED;
}

/* The first reading: what stands, and what is to be done. */
static int compshare__schedule_judge(compshare *c, const compshare__recent *known)
{
    compshare__task *t = &c->task;
    compshare__change *ch = &t->as.change;
    int64_t current = known != NULL ? known->after : ch->before;
    int r;
    if (ch->action == NULL)
        return known != NULL ? compshare__schedule_doubtful(c, known)
            : compshare__schedule_done(c, false);
    if (compshare__bytes_equal(ch->action, COMPSHARE__UPDATE)) {
        if ((r = compshare__schedule_allowed(c)) == COMPSHARE_OK)
            r = compshare__schedule_decide(c, current);
        compshare__schedule_note(c, false);
        if (r == COMPSHARE__FINISHED)
            return known != NULL ? compshare__schedule_doubtful(c, known)
                : compshare__schedule_done(c, false);
        if (r != COMPSHARE_OK) return r;
    }
    ch->shown_before = ch->shown_before || compshare__recent_near(ch->before, ch->wanted);
    memcpy(t->ids.region, t->read.instance.region, sizeof t->ids.region);
    memcpy(t->ids.zone, t->read.instance.zone, sizeof t->ids.zone);
    return COMPSHARE__NEXT;
}

/* One reading may be odd: what refuses a workflow is said once two in a row agree on it. One
   that fails then says nothing. */
static int compshare__schedule_agreed(compshare *c, int status)
{
    compshare__change *ch = &c->task.as.change;
    if (status == ch->refusal || ch->looks >= COMPSHARE__LOOKS
        || !compshare__task_pause(c, COMPSHARE__DOUBT_MS)) return status;
    ch->refusal = status;
    ch->looks++;
    return COMPSHARE__AGAIN;
}

/* Only what the mode or an extension is reckoned from, and what is told, has to be certain. */
static int compshare__schedule_found(compshare *c, int status)
{
    compshare__task *t = &c->task;
    compshare__change *ch = &t->as.change;
    const compshare__recent *known;
    uint64_t now = compshare__client_now(c);
    bool first = ch->looks == 0 && t->polls == 0;
    status = first ? compshare__find_end(c, status) : compshare__describe_end(c, status);
    if (t->aborted || (first && status != COMPSHARE_OK)) return status;
    if (status != COMPSHARE_OK && t->polls > 0 && compshare__task_poll(c)) return COMPSHARE__AGAIN;
    if (status != COMPSHARE_OK && ch->looks++ < COMPSHARE__LOOKS
        && compshare__task_pause(c, COMPSHARE__DOUBT_MS)) return COMPSHARE__AGAIN;
    if (status != COMPSHARE_OK && t->spoiled) return status;
    ch->before = t->read.instance.stop_time;
    /* readings may still lag behind that */
    ch->shown_before = compshare__recent_of(c, t->ids.uhost_id) != NULL;
    compshare__schedule_note(c, true);
    known = compshare__recent_doubt(c, &t->read.instance);
    if (known != NULL && (ch->action == NULL || ch->by_seconds > 0 || ch->plan.mode != 0)) {
        if (t->polls == 0 && ch->action != NULL)
            t->poll_until = now / 2 + c->clock.deadline / 2;      /* half of the time left */
        if (!(known->shown && t->polls >= COMPSHARE__DOUBTS) && compshare__task_poll(c))
            return COMPSHARE__AGAIN;
    }
    if (known != NULL && known->shown) {    /* shown once, and not any more: changed since */
        compshare__recent_forget(c, t->ids.uhost_id);
        known = NULL;
    }
    status = compshare__schedule_judge(c, known);
    if (status >= 0) return status;
    if (ch->action != NULL) compshare__task_name(c, ch->action);
    return status == COMPSHARE_E_STATE || status == COMPSHARE_E_NO_PLAN
        ? compshare__schedule_agreed(c, status) : status;
}

static int compshare__schedule_change(compshare *c)
{
    int r = c->task.stop_time != 0 ? compshare__update_begin(c) : compshare__delete_begin(c);
    c->exchange.request.half = true;
    /* somebody else may have changed it since: it is looked at first */
    c->exchange.request.repeatable = false;
    return r;
}

/* A time from now on that the API, or the floor, found too soon is reckoned anew: nothing was
   executed. */
static bool compshare__schedule_raise(compshare *c, int status)
{
    compshare__change *ch = &c->task.as.change;
    bool soon = status == COMPSHARE_E_TOO_SOON
        || (status == COMPSHARE_E_API && (c->error.ret_code == 220 || c->error.ret_code == 230));
    if (!soon || ch->accepted || (ch->lost && status != COMPSHARE_E_TOO_SOON)
        || ch->plan.in_seconds == 0
        || ch->wanted - compshare__client_best_time(c) > 2 * COMPSHARE__STOP_FLOOR_S
        || ch->raised == 2) return false;
    ch->raised++;
    if (compshare__schedule_decide(c, ch->before) != COMPSHARE_OK) return false;
    ch->shown_before = ch->shown_before || compshare__recent_near(ch->before, ch->wanted);
    return true;
}

static int compshare__schedule_sent(compshare *c, int status)
{
    int r = !c->task.aborted && compshare__schedule_raise(c, status) ? COMPSHARE__AGAIN
        : compshare__change_sent(c, status);
    compshare__schedule_note(c, false);
    return r;
}

/* The change is proved once a reading shows it. */
static int compshare__schedule_confirm(compshare *c, int status)
{
    compshare__task *t = &c->task;
    if (t->aborted) return status;
    status = compshare__describe_end(c, status);
    compshare__schedule_note(c, status == COMPSHARE_OK);
    status = compshare__confirm_end(c, status);
    if (status != COMPSHARE_OK) return status;
    (void)compshare__recent_doubt(c, &t->read.instance);     /* notes that it has been shown */
    if (t->both_names) c->account.both_names = true;
    return compshare__schedule_done(c, true);
}

static const compshare__step compshare__schedule_get_steps[] = {
    { compshare__find_project, compshare__find_project_end },
    { compshare__find_begin, compshare__schedule_found }
};
static const compshare__step compshare__schedule_steps[] = {
    { compshare__find_project, compshare__find_project_end },
    { compshare__find_begin, compshare__schedule_found },
    { compshare__schedule_change, compshare__schedule_sent },
    { compshare__poll_begin, compshare__schedule_confirm }
};

/* ==== public =================================================================================
   The functions of the public half that are not elsewhere. Thin: each checks its
   arguments and calls one room. Must never hold logic that a room should. */

/* ---- life ---- */

COMPSHARE__DEF size_t compshare_memory_needed(const compshare_config *config)
{
    return compshare__config_memory(config);
}

COMPSHARE__DEF void compshare_session_forget(compshare_session *session)
{
    if (session != NULL) compshare__bytes_wipe(session, sizeof *session);
}

COMPSHARE__DEF const char *compshare_version(void)
{
    return COMPSHARE_VERSION;
}

COMPSHARE__DEF const char *compshare_open_text(const compshare_config *config, char *buf, size_t cap)
{
    compshare__url url, proxy;
    compshare__text why = compshare__text_into(buf, cap);
    if (compshare__config_check(config, &url, &proxy, &why) == COMPSHARE_OK) compshare__text_put(&why, "done");
    return buf;
}

COMPSHARE__DEF int compshare_open(compshare **client, const compshare_config *config)
{
    char unused[1];
    compshare__text why = compshare__text_into(unused, sizeof unused);
    compshare__url url, proxy;
    compshare *c;
    char *base;
    size_t skew;
    int r;
    if (client == NULL) return COMPSHARE_E_CONFIG;
    *client = NULL;
    if ((r = compshare__config_check(config, &url, &proxy, &why)) != COMPSHARE_OK) return r;
    skew = (0 - (size_t)(uintptr_t)config->memory) % COMPSHARE__ALIGN;
    base = (char *)config->memory + skew;
    c = (compshare *)(void *)base;
    memset(c, 0, sizeof *c);
    c->config = *config;
    compshare__config_defaults(&c->config);
    c->connection.url = url;
    c->connection.proxy = proxy;
#ifndef COMPSHARE_NO_SOCKETS
    compshare__posix_init(&c->connection.posix, &c->connection.io);
    c->connection.posix.fast_open = (config->flags & COMPSHARE_FAST_OPEN) != 0;
    c->connection.posix.monotonic_ms = c->config.monotonic_ms;
    c->connection.posix.user = c->config.user;
#endif
    if (config->transport != NULL) c->connection.io = *config->transport;
    /* the reply area first: it must be aligned for BearSSL's contexts */
    c->connection.tls.record_len = config->flags & COMPSHARE_SMALL_RECORDS ? COMPSHARE__RECORD_SMALL : COMPSHARE__RECORD_FULL;
    c->reply.area = base + sizeof *c;
    c->reply.area_cap = config->memory_size - skew - sizeof *c - c->connection.tls.record_len;
    c->connection.tls.record = (unsigned char *)c->reply.area + c->reply.area_cap;
    c->connection.tls.io = &c->connection.io;
    c->connection.tls.socket = config->transport == NULL;
#ifdef COMPSHARE_PLAINTEXT
    c->connection.tls.plain = url.plain;
#endif
    *client = c;
    return COMPSHARE_OK;
}

COMPSHARE__DEF void compshare_close(compshare *client)
{
    void *memory;
    size_t size;
    if (client == NULL || client->entered) return;
    if (client->task.step != NULL) (void)compshare__task_abort(client, COMPSHARE_E_ABORTED, "the client was closed");
    client->entered = true;
    compshare__drive_disconnect(client);
    memory = client->config.memory;
    size = client->config.memory_size;
    compshare__bytes_wipe(memory, size);
    compshare__bytes_wipe_stack();
}

/* ---- parameters ---- */

COMPSHARE__DEF compshare_param compshare_text(const char *key, const char *value)
{
    return compshare__param(key, value, 0, COMPSHARE__TEXT);
}

COMPSHARE__DEF compshare_param compshare_int(const char *key, int64_t value)
{
    return compshare__param(key, NULL, value, COMPSHARE__INT);
}

COMPSHARE__DEF compshare_param compshare_bool(const char *key, bool value)
{
    return compshare__param(key, value ? "true" : "false", 0, COMPSHARE__TEXT);
}

COMPSHARE__DEF compshare_param compshare_decimal(const char *key, const char *value)
{
    return compshare__param(key, value, 0, COMPSHARE__DECIMAL);
}

/* ---- calls ---- */

COMPSHARE__DEF int compshare_call_each_start(compshare *client, const char *action, const compshare_param *params, size_t count,
    const char *array, compshare_each_fn each, void *user)
{
    compshare_action info = compshare__action_find(action != NULL ? action : "");
    int r = compshare__task_claim(client);
    compshare__request *call;
    if (r != COMPSHARE_OK) return r;
    call = &client->task.as.call;
    call->action = action;
    call->params = params;
    call->count = count;
    call->defaults = info.group[0] != 'a';
    call->csv = info.csv;
    call->always = call->repeatable = info.retry == COMPSHARE_RETRY_ALWAYS;
    call->reads = call->always && !info.mutating;
    call->array = array;
    call->each = each;
    call->user = user;
    return compshare__task_start(client, compshare__call_steps);
}

COMPSHARE__DEF int compshare_call_start(compshare *client, const char *action, const compshare_param *params, size_t count)
{
    return compshare_call_each_start(client, action, params, count, NULL, NULL, NULL);
}

COMPSHARE__DEF int compshare_call_each(compshare *client, const char *action, const compshare_param *params, size_t count,
    const char *array, compshare_each_fn each, void *user)
{
    return compshare__task_run(client, compshare_call_each_start(client, action, params, count, array, each, user));
}

COMPSHARE__DEF int compshare_call(compshare *client, const char *action, const compshare_param *params, size_t count)
{
    return compshare_call_each(client, action, params, count, NULL, NULL, NULL);
}

COMPSHARE__DEF int compshare_step(compshare *client)
{
    return client != NULL ? compshare__task_step(client) : COMPSHARE_E_CONFIG;
}

COMPSHARE__DEF int compshare_abort(compshare *client)
{
    if (client == NULL) return COMPSHARE_E_CONFIG;
    if (client->entered) return COMPSHARE_E_BUSY;
    if (client->task.step == NULL) return COMPSHARE_E_IDLE;
    return compshare__task_abort(client, COMPSHARE_E_ABORTED, "the call was aborted");
}

COMPSHARE__DEF int compshare_fd(compshare *client)
{
    if (client == NULL || client->connection.io.fd == NULL || client->exchange.phase == COMPSHARE__PHASE_PAUSE) return -1;
    return (client->connection.io.fd)(client->connection.io.user);
}

COMPSHARE__DEF unsigned compshare_wants(const compshare *client)
{
    return client != NULL ? client->exchange.wants : 0;
}

COMPSHARE__DEF uint32_t compshare_timeout_ms(const compshare *client)
{
    return client != NULL && client->task.step != NULL ? compshare__task_timeout_ms(client) : 0;
}

/* ---- errors ---- */

COMPSHARE__DEF const compshare_error *compshare_last_error(const compshare *client)
{
    static const compshare_error none = {
        COMPSHARE_E_CONFIG, COMPSHARE_STAGE_NONE, false, false, 0, 0, 0, 0, "", "", "", "there is no client"
    };
    return client != NULL ? &client->error : &none;
}

COMPSHARE__DEF const char *compshare_status_name(int status)
{
    return compshare__fail_status(status)->name;
}

COMPSHARE__DEF const char *compshare_error_text(const compshare *client, char *buf, size_t cap)
{
    const compshare_error *e = compshare_last_error(client);
    compshare__text t = compshare__text_into(buf, cap);
    if (e->action[0] != '\0') compshare__text_form(&t, "%s: ", e->action);
    compshare__text_put(&t, e->detail[0] != '\0' ? e->detail : compshare__fail_status(e->status)->text);
    if (e->ret_code != 0) compshare__text_form(&t, ": RetCode %d", e->ret_code);
    if (e->message[0] != '\0') compshare__text_form(&t, ": %s", e->message);
    if (e->request_id[0] != '\0') compshare__text_form(&t, " (request %s)", e->request_id);
    if (e->outcome_unknown && compshare__action_may_change(e->action))
        compshare__text_put(&t, "; OUTCOME UNKNOWN: it may have been executed, read back before repeating it");
    return buf;
}

/* ---- replies ---- */

/* The tree that a value points into; NULL if it is none, or stale. */
static const compshare__tree *compshare__value_tree(compshare_value v)
{
    if (v.client == NULL || v.generation != v.client->reply.generation || v.token >= v.client->reply.tree.count) return NULL;
    return &v.client->reply.tree;
}

COMPSHARE__DEF compshare_value compshare_reply(const compshare *client)
{
    return compshare__client_value(client, client != NULL && client->reply.tree.count > 0 ? 0 : COMPSHARE__NO_TOKEN);
}

COMPSHARE__DEF compshare_view compshare_body(const compshare *client)
{
    compshare_view v;
    v.ptr = client != NULL ? client->reply.area : "";
    v.len = client != NULL ? client->reply.body_len : 0;
    return v;
}

COMPSHARE__DEF int compshare_type(compshare_value value)
{
    const compshare__tree *tree = compshare__value_tree(value);
    return tree != NULL ? compshare__json_type(tree, value.token) : COMPSHARE_NONE;
}

COMPSHARE__DEF compshare_value compshare_get(compshare_value object, const char *key)
{
    const compshare__tree *tree = compshare__value_tree(object);
    uint32_t at = COMPSHARE__NO_TOKEN;
    if (tree != NULL && key != NULL && compshare__json_find(tree, object.token, key, &at) != 1) at = COMPSHARE__NO_TOKEN;
    return compshare__client_value(object.client, at);
}

COMPSHARE__DEF compshare_value compshare_first(compshare_value container)
{
    const compshare__tree *tree = compshare__value_tree(container);
    return compshare__client_value(container.client, tree != NULL ? compshare__json_first(tree, container.token) : COMPSHARE__NO_TOKEN);
}

COMPSHARE__DEF compshare_value compshare_next(compshare_value element)
{
    const compshare__tree *tree = compshare__value_tree(element);
    return compshare__client_value(element.client, tree != NULL ? compshare__json_next(tree, element.token) : COMPSHARE__NO_TOKEN);
}

COMPSHARE__DEF size_t compshare_count(compshare_value container)
{
    const compshare__tree *tree = compshare__value_tree(container);
    int type = compshare_type(container);
    return type == COMPSHARE_ARRAY || type == COMPSHARE_OBJECT ? (size_t)tree->token[container.token].size : 0;
}

COMPSHARE__DEF bool compshare_as_int(compshare_value value, int64_t *out)
{
    const compshare__tree *tree = compshare__value_tree(value);
    return tree != NULL && compshare__json_int(tree, value.token, out);
}

COMPSHARE__DEF bool compshare_as_bool(compshare_value value, bool *out)
{
    const compshare__tree *tree = compshare__value_tree(value);
    return tree != NULL && compshare__read_bool(tree, value.token, out);
}

COMPSHARE__DEF compshare_view compshare_number_text(compshare_value value)
{
    const compshare__tree *tree = compshare__value_tree(value);
    int type = compshare_type(value);
    compshare_view v = { "", 0 };
    return type == COMPSHARE_NUMBER || type == COMPSHARE_STRING ? compshare__json_raw(tree, value.token) : v;
}

static ptrdiff_t compshare__copy_token(const compshare__tree *tree, uint32_t at, char *buf, size_t cap)
{
    size_t len;
    if (cap > 0) buf[0] = '\0';
    if (tree == NULL || at == COMPSHARE__NO_TOKEN || compshare__json_type(tree, at) != COMPSHARE_STRING) return COMPSHARE_E_TYPE;
    len = compshare__json_copy(compshare__json_raw(tree, at), buf, cap, false);
    if (len < cap) return (ptrdiff_t)len;
    if (cap > 0) buf[0] = '\0';
    return COMPSHARE_E_TOO_LARGE;
}

COMPSHARE__DEF ptrdiff_t compshare_copy_text(compshare_value value, char *buf, size_t cap)
{
    return compshare__copy_token(compshare__value_tree(value), value.token, buf, cap);
}

COMPSHARE__DEF ptrdiff_t compshare_copy_key(compshare_value member, char *buf, size_t cap)
{
    const compshare__tree *tree = compshare__value_tree(member);
    return compshare__copy_token(tree, tree != NULL ? compshare__json_key(tree, member.token) : COMPSHARE__NO_TOKEN, buf, cap);
}

/* ---- typed calls ---- */

/* Takes the client for a typed call. target may be NULL only where none is needed. */
static int compshare__typed_claim(compshare *c, const compshare_target *target)
{
    static const compshare_target none = { NULL, NULL, NULL, NULL };
    const char *field;
    int r = compshare__task_claim(c);
    if (r != COMPSHARE_OK) return r;
    field = compshare__typed_ids(c, target != NULL ? target : &none);
    if (field == NULL) return r;
    memset(&c->error, 0, sizeof c->error);
    return compshare__task_end(c, compshare__fail(c, COMPSHARE_E_PARAM,
        "%s is longer than any of its kind: 63 bytes of an id, 31 of "
        "a region or zone", field));
}

COMPSHARE__DEF int compshare_get_project_list_start(compshare *client, compshare_project *chosen,
    compshare_project_fn each, void *user)
{
    int r = compshare__typed_claim(client, NULL);
    if (r != COMPSHARE_OK) return r;
    if (chosen != NULL) memset(chosen, 0, sizeof *chosen);
    client->task.out = chosen;
    client->task.on_project = each;
    client->task.user = user;
    return compshare__task_start(client, compshare__projects_steps);
}

COMPSHARE__DEF int compshare_describe_instance_start(compshare *client, const compshare_target *target,
    compshare_instance *instance)
{
    int r = compshare__typed_claim(client, target);
    if (instance != NULL && r != COMPSHARE_E_BUSY) memset(instance, 0, sizeof *instance);
    if (r != COMPSHARE_OK) return r;
    if (instance == NULL) return compshare__task_refuse(client, COMPSHARE_E_PARAM, "instance is NULL");
    client->task.instance = instance;
    client->task.uses_schedule = true;
    return compshare__task_start(client, compshare__describe_steps);
}

/* A list is narrowed by its filter, not by where an instance was found before. */
COMPSHARE__DEF int compshare_each_instance_start(compshare *client, const compshare_target *filter,
    compshare_instance_fn each, void *user)
{
    int r = compshare__typed_claim(client, filter);
    compshare__ids *ids;
    const char *region, *zone;
    if (r != COMPSHARE_OK) return r;
    if (each == NULL) return compshare__task_refuse(client, COMPSHARE_E_PARAM, "each is NULL");
    ids = &client->task.ids;
    if (!client->task.project_given) ids->project_id[0] = '\0';
    region = compshare__bytes_first(ids->region, NULL);
    zone = compshare__bytes_first(ids->zone, NULL);
    if (region == NULL && zone != NULL) {
        compshare__config_place(&client->config, &region, &zone, ids->look_region);
        if (region != NULL && region != ids->look_region)
            memcpy(ids->look_region, region, strlen(region) + 1);
    }
    client->task.on_instance = each;
    client->task.user = user;
    return compshare__task_start(client, compshare__each_steps);
}

COMPSHARE__DEF int compshare_update_stop_scheduler_start(compshare *client, const compshare_target *target, int64_t stop_time)
{
    int r = compshare__typed_claim(client, target);
    if (r != COMPSHARE_OK) return r;
    client->task.stop_time = stop_time;
    return compshare__task_start(client, compshare__update_steps);
}

COMPSHARE__DEF int compshare_delete_stop_scheduler_start(compshare *client, const compshare_target *target)
{
    int r = compshare__typed_claim(client, target);
    return r == COMPSHARE_OK ? compshare__task_start(client, compshare__delete_steps) : r;
}

/* state: the names that show it was executed, each with its NUL. */
static int compshare__power_start(compshare *c, const compshare_target *target, const char *action,
    const char *states)
{
    int r = compshare__typed_claim(c, target);
    if (r != COMPSHARE_OK) return r;
    if (c->task.ids.uhost_id[0] == '\0')
        return compshare__task_refuse(c, COMPSHARE_E_PARAM, "uhost_id is empty");
    c->task.workflow = true;
    c->task.list_projects = c->task.ids.project_id[0] == '\0';
    c->task.as.change.action = action;
    c->task.as.change.states = states;
    return compshare__task_start(c, compshare__power_steps);
}

COMPSHARE__DEF int compshare_stop_instance_start(compshare *client, const compshare_target *target)
{
    return compshare__power_start(client, target, "StopCompShareInstance", "Stopping\0Stopped\0");
}

COMPSHARE__DEF int compshare_start_instance_start(compshare *client, const compshare_target *target)
{
    return compshare__power_start(client, target, "StartCompShareInstance", "Starting\0Running\0");
}

COMPSHARE__DEF int compshare_reboot_instance_start(compshare *client, const compshare_target *target)
{
    return compshare__power_start(client, target, COMPSHARE__REBOOT, "Rebooting\0");
}

COMPSHARE__DEF int compshare_wait_state_start(compshare *client, const char *uhost_id, const char *state, uint32_t timeout_ms,
    compshare_instance *instance)
{
    compshare_target target = { uhost_id, NULL, NULL, NULL };
    int r = compshare__typed_claim(client, &target);
    if (instance != NULL && r != COMPSHARE_E_BUSY) memset(instance, 0, sizeof *instance);
    if (r != COMPSHARE_OK) return r;
    if (state == NULL || state[0] == '\0') return compshare__task_refuse(client, COMPSHARE_E_PARAM, "state is empty");
    client->task.workflow = true;
    client->task.state = state;
    client->task.instance = instance;
    if (timeout_ms != 0) client->task.timeout_ms = timeout_ms;
    return compshare__task_start(client, compshare__wait_steps);
}

COMPSHARE__DEF int compshare_get_project_list(compshare *client, compshare_project *chosen,
    compshare_project_fn each, void *user)
{
    return compshare__task_run(client, compshare_get_project_list_start(client, chosen, each, user));
}

COMPSHARE__DEF int compshare_describe_instance(compshare *client, const compshare_target *target, compshare_instance *instance)
{
    return compshare__task_run(client, compshare_describe_instance_start(client, target, instance));
}

COMPSHARE__DEF int compshare_each_instance(compshare *client, const compshare_target *filter,
    compshare_instance_fn each, void *user)
{
    return compshare__task_run(client, compshare_each_instance_start(client, filter, each, user));
}

COMPSHARE__DEF int compshare_update_stop_scheduler(compshare *client, const compshare_target *target, int64_t stop_time)
{
    return compshare__task_run(client, compshare_update_stop_scheduler_start(client, target, stop_time));
}

COMPSHARE__DEF int compshare_delete_stop_scheduler(compshare *client, const compshare_target *target)
{
    return compshare__task_run(client, compshare_delete_stop_scheduler_start(client, target));
}

COMPSHARE__DEF int compshare_stop_instance(compshare *client, const compshare_target *target)
{
    return compshare__task_run(client, compshare_stop_instance_start(client, target));
}

COMPSHARE__DEF int compshare_start_instance(compshare *client, const compshare_target *target)
{
    return compshare__task_run(client, compshare_start_instance_start(client, target));
}

COMPSHARE__DEF int compshare_reboot_instance(compshare *client, const compshare_target *target)
{
    return compshare__task_run(client, compshare_reboot_instance_start(client, target));
}

COMPSHARE__DEF int compshare_wait_state(compshare *client, const char *uhost_id, const char *state, uint32_t timeout_ms,
    compshare_instance *instance)
{
    return compshare__task_run(client, compshare_wait_state_start(client, uhost_id, state, timeout_ms, instance));
}

COMPSHARE__DEF int64_t compshare_server_time(const compshare *client)
{
    return client != NULL ? compshare__client_server_time(client) : 0;
}

COMPSHARE__DEF compshare_handshake compshare_last_handshake(const compshare *client)
{
    compshare_handshake none;
    memset(&none, 0, sizeof none);
    return client != NULL ? client->connection.handshake : none;
}

/* ---- schedule ---- */

static int compshare__schedule_claim(compshare *c, const char *uhost_id, const char *action,
    compshare_schedule *result)
{
    compshare_target target = { uhost_id, NULL, NULL, NULL };
    int r = compshare__typed_claim(c, &target);
    if (result != NULL && r != COMPSHARE_E_BUSY) memset(result, 0, sizeof *result);
    if (r != COMPSHARE_OK) return r;
    if (c->task.ids.uhost_id[0] == '\0')
        return compshare__task_refuse(c, COMPSHARE_E_PARAM, "uhost_id is empty");
    c->task.workflow = c->task.uses_schedule = true;
    c->task.list_projects = action != NULL && c->task.ids.project_id[0] == '\0';
    c->task.as.change.action = action;
    c->task.result = result;
    return COMPSHARE_OK;
}

COMPSHARE__DEF int compshare_schedule_set_start(compshare *client, const compshare_plan *plan, compshare_schedule *schedule)
{
    static const compshare_plan none = { NULL, 0, 0, 0 };
    compshare_plan p = plan != NULL ? *plan : none;
    int r = compshare__schedule_claim(client, p.uhost_id, COMPSHARE__UPDATE, schedule);
    if (r != COMPSHARE_OK) return r;
    if (p.at < 0 || p.in_seconds < 0 || (p.at == 0) == (p.in_seconds == 0))
        return compshare__task_refuse(client, COMPSHARE_E_PARAM,
            "plan: give at or in_seconds, above 0, and not both");
    if (p.mode > COMPSHARE_ONLY_SHORTEN)
        return compshare__task_refuse(client, COMPSHARE_E_PARAM, "plan: mode is 0, COMPSHARE_ONLY_EXTEND or COMPSHARE_ONLY_SHORTEN");
    if (p.in_seconds != 0 && p.in_seconds < COMPSHARE__STOP_FLOOR_S)
        return compshare__task_refuse(client, COMPSHARE_E_TOO_SOON, "plan: in_seconds must be at least 300");
    client->task.as.change.plan = p;
    return compshare__task_start(client, compshare__schedule_steps);
}

COMPSHARE__DEF int compshare_schedule_get_start(compshare *client, const char *uhost_id, compshare_schedule *schedule)
{
    int r = compshare__schedule_claim(client, uhost_id, NULL, schedule);
    return r == COMPSHARE_OK ? compshare__task_start(client, compshare__schedule_get_steps) : r;
}

COMPSHARE__DEF int compshare_schedule_extend_start(compshare *client, const char *uhost_id, int64_t by_seconds,
    compshare_schedule *schedule)
{
    int r = compshare__schedule_claim(client, uhost_id, COMPSHARE__UPDATE, schedule);
    if (r != COMPSHARE_OK) return r;
    if (by_seconds <= 0) return compshare__task_refuse(client, COMPSHARE_E_PARAM, "by_seconds must be above 0");
    client->task.as.change.by_seconds = by_seconds;
    return compshare__task_start(client, compshare__schedule_steps);
}

COMPSHARE__DEF int compshare_schedule_cancel_start(compshare *client, const char *uhost_id, compshare_schedule *schedule)
{
    int r = compshare__schedule_claim(client, uhost_id, COMPSHARE__DELETE, schedule);
    return r == COMPSHARE_OK ? compshare__task_start(client, compshare__schedule_steps) : r;
}

COMPSHARE__DEF int compshare_schedule_set(compshare *client, const compshare_plan *plan, compshare_schedule *schedule)
{
    return compshare__task_run(client, compshare_schedule_set_start(client, plan, schedule));
}

COMPSHARE__DEF int compshare_schedule_get(compshare *client, const char *uhost_id, compshare_schedule *schedule)
{
    return compshare__task_run(client, compshare_schedule_get_start(client, uhost_id, schedule));
}

COMPSHARE__DEF int compshare_schedule_extend(compshare *client, const char *uhost_id, int64_t by_seconds,
    compshare_schedule *schedule)
{
    return compshare__task_run(client, compshare_schedule_extend_start(client, uhost_id, by_seconds, schedule));
}

COMPSHARE__DEF int compshare_schedule_cancel(compshare *client, const char *uhost_id, compshare_schedule *schedule)
{
    return compshare__task_run(client, compshare_schedule_cancel_start(client, uhost_id, schedule));
}

/* ---- actions ---- */

COMPSHARE__DEF compshare_action compshare_action_info(const char *name)
{
    return compshare__action_find(name != NULL ? name : "");
}

COMPSHARE__DEF compshare_action compshare_action_at(size_t i)
{
    const char *row = compshare__actions;
    while (row[0] != '\0' && i-- > 0) row += strlen(row) + 1;
    return compshare__action_row(row);
}

#if defined(__GNUC__) && !defined(__clang__) && (defined(__cplusplus) || __GNUC__ >= 14)
#pragma GCC diagnostic pop
#endif

#ifdef __cplusplus
}
#endif

#undef COMPSHARE__DEF
#undef COMPSHARE__NOINLINE
#undef COMPSHARE__PLAIN

#endif /* COMPSHARE_IMPLEMENTATION */

/* ==== licence ================================================================================
   MIT

   Copyright (c) 2026 the compshare.h authors

   Permission is hereby granted, free of charge, to any person obtaining a copy
   of this software and associated documentation files (the "Software"), to deal
   in the Software without restriction, including without limitation the rights
   to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
   copies of the Software, and to permit persons to whom the Software is
   furnished to do so, subject to the following conditions:

   The above copyright notice and this permission notice shall be included in all
   copies or substantial portions of the Software.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
   IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
   FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
   AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
   LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
   OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
   SOFTWARE. */
