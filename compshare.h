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
               printf("off at %lld, in %lld s\n", (long long)schedule.stop_time,
                   (long long)schedule.seconds_left);
           else
               puts(compshare_error_text(client, text, sizeof text));
           compshare_close(client);
           return 0;
       }

   COMPSHARE_OK means more than that the API accepted the change: the stop time was read
   back, and the reading proves it (law 7).

   Any other action:

       compshare_param params[] = { compshare_text("UHostId", "uhost-xxxx") };
       if (compshare_call(client, "RebootCompShareInstance", params, 1) == COMPSHARE_OK)
           ... compshare_get(compshare_reply(client), "UHostId") ...

   HOW TO ADD A TYPED CALL

   In a program: a struct, a table that says which member of the reply goes into which of its
   members, and compshare_read behind compshare_call, or in the callback of compshare_call_each:

       typedef struct price { char charge_type[16], instance[24]; } price;
       static const compshare_field price_fields[] = {
           COMPSHARE_FIELD_TEXT(price, charge_type, "ChargeType"),
           COMPSHARE_FIELD_DECIMAL(price, instance, "Instance")
       };
       price p;
       if (compshare_call(client, "GetCompShareInstancePrice", params, 6) == COMPSHARE_OK
           && compshare_read(compshare_first(compshare_get(compshare_reply(client),
               "PriceDetails")), price_fields, 2, &p) == COMPSHARE_OK) ...

   In the library: a table of fields in the room `read`; in `find`, or behind it, a step, whose
   `begin` names the action (compshare__typed_request) and adds its parameters
   (compshare__typed_id, compshare__typed_put), and whose `end` reads the reply; a public pair
   that claims the client (compshare__typed_claim), notes where the result goes, and starts the
   step. Where the step needs data of its own, add a kind of task (COMPSHARE__TASK_*) and a
   member of the task's union.

   HOW TO ADD AN ACTION

   compshare_call sends any action by its name. One row in the table of the room `actions` says
   what the library may know of it: its group, whether it reads or writes, its retry class, what
   it costs. "always" only where a repetition certainly changes nothing: without a row, or with
   "never", no action is sent a second time. tests/data/actions.tsv has the same row.

   SWITCHES (define before the include that has COMPSHARE_IMPLEMENTATION)

       COMPSHARE_IMPLEMENTATION   compile the code here
       COMPSHARE_STATIC           give every function internal linkage; define it in
                                  each file that uses the client
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

   DEFINITIONS

       action      one operation of the API, as UpdateCompShareStopScheduler
       change      an action that alters something; a reading alters nothing
       exchange    one signed HTTP request and its reply
       task        what one call of this library runs: a list of steps, each of which is
                   an exchange. A generic call has one step, a workflow several
       workflow    a task that finds an instance, sends a change and reads back what the
                   API then shows: schedule_*, stop, start, reboot, wait_state
       schedule    the timed shutdown of one instance, as the API shows it; stop time: when
                   it is due; plan: what a program asks for
       read back   to read after a change, until the reading shows it
       definite    a reply that settles whether a change was executed. HTTP 5xx, malformed
                   replies and the RetCodes 110 and 8438 (a gateway gave up waiting) do not
       outcome     unknown: bytes of the request were sent, and no definite reply came. The
                   change may have been executed: read back before it is repeated
       class       of an action, whether it may be sent again (compshare_action_info):
                   "always" changes nothing by a repetition, "verify" only after a reading
                   has shown that it was not executed, "never"

   CONVENTIONS

   - A call returns COMPSHARE_OK (0) or a negative COMPSHARE_E_*. How it ended in
     detail: compshare_last_error(); as one line: compshare_error_text().
     COMPSHARE_E_BUSY and COMPSHARE_E_IDLE leave these as they were.
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

   LAWS (comments refer to them by number)

   1  Fail closed. Success is a complete HTTP reply with status 2xx whose body is one JSON
      object with exactly one RetCode that is 0. (An action that answers with CSV: status
      and content type decide.) Everything else is an error with a reason. What a streaming
      callback has seen is provisional until the call returns COMPSHARE_OK.
   2  No malloc. All memory is one block, the caller's (getaddrinfo allocates and frees on
      its own). No globals that change, no output, no environment, no signals: writes use
      MSG_NOSIGNAL or SO_NOSIGPIPE.
   3  Nothing happens twice by itself: see RETRIES.
   4  Secrets stay in. A signed body is a credential: it is in no error and no trace, and it
      is wiped after use, the stack included.
   5  Rooms whose banner says Pure touch only their arguments: no transport, no clock. One
      room, exchange, joins them to a transport.
   6  What is given is borrowed; what is given back is a copy, or a view with a stated life.
   7  Confirmed means proved. A workflow (schedule_*, stop, start) returns COMPSHARE_OK only
      where the API accepted the change and a later reading shows it; or where no answer
      came, but the first reading showed something else and two later ones in a row show
      what was wanted. A time within 59 s of the wanted one is the wanted one: gateways
      round. What was shown is what is reported. A reading that shows what was shown before
      proves nothing. One that shows less than this client has changed itself, with success,
      within the last 60 s (of at most four instances) is not believed; where the change had
      been shown once, only when the reading is repeated. Reading back lasts until the end
      of timeout_ms, and only a definite refusal ends it before. Everything else is
      COMPSHARE_E_UNCONFIRMED.
   8  The gateway may differ from its documents: only what something is decided by can make
      a reading fail. That is UHostId, State, Zone, ChargeType and, where it is used, the
      stop time; the rest is then 0 or "".

   THE PATH OF A CALL

       compshare_schedule_set
         schedule   steps: projects, instance, change, read back     confirm: is it proved?
           task       one exchange after the other, pauses between readings
             exchange   connect, send, receive; reconnect, retry; the deadline
               params     collect, sort, sign
               encode     head and form body, straight into the record
                 tls        BearSSL's engine; trust: the roots it needs, from pem
                   transport  posix, or the caller's          ......> the API
               http       one response from bytes                <......
               split      one element of an array at a time
               json       is it valid?  tokens: where is what?
             judge      does the reply mean success?
           read       members of the reply into a struct

   An exchange goes through these phases. Each one waits for the transport without
   blocking, and the first whose time is over ends the exchange with COMPSHARE_E_TIMEOUT:

       phase       waits for                             until
       BEGIN       the end of a pause, if there is one; then takes the connection that is
                   kept and silent, or opens one
       CONNECT     name and TCP                          connect_timeout_ms, or the share
       PROXY       the proxy's reply to CONNECT          the same: one time for all three
       HANDSHAKE   the server's flights                  the same
       SEND        room for the request                  the request's share of timeout_ms
       RECEIVE     the reply                             the same
       DRAIN       the rest of a reply that is too large the same

   WHEN THE NETWORK FAILS

       before the change was sent   nothing has changed, outcome_unknown is false. A connection
                                    that fails ends the call (COMPSHARE_E_CONNECT, ...). A
                                    reading without an answer is read again on a new
                                    connection while 2 s are left; then COMPSHARE_E_TIMEOUT
       while the change was sent,   the workflow reads back, and goes by law 7; what
       or before its reply came     readings show not to be executed is sent again where
                                    its class is "always"
       while reading back           the reading is repeated, after a pause, until it answers
       to the end of timeout_ms     COMPSHARE_E_UNCONFIRMED, outcome_unknown true;
                                    compshare_schedule says what was requested, what the
                                    API accepted and what was shown last, and its comment
                                    says what to call then

   The timed shutdown itself is executed by CompShare's servers: what was confirmed happens
   whether or not this program, its machine or its network is still there.

   RETRIES

   Without being asked, a generic call sends a request again in one case only: a kept-alive
   connection has turned out to be dead. Where nothing of the request was sent, for every
   action; where it was, and not one byte came back, for actions of class "always". A
   reading that a kept connection leaves without an answer for half of its time is sent
   again on a new one. A connection that was not used for 50 s is not used again.

   A workflow sends a change of class "always" (the timed shutdown) again, at most 6 times in
   all: where no answer came, after readings that go on to show what was there before, for
   2 s or longer each time, or at once after one that proves nothing because it showed the
   wanted state before; where the API accepted a time and does not show it, once more, with
   both names of the parameter, after half of the time that was left. Never while a reading
   shows a time that somebody else has set. Changes of class "verify" (stop, start) and
   "never" (reboot) are sent once.

   compshare_config.max_retries is 0 unless set. Where it is not, a request that failed is
   sent again if two things hold. It is safe: the action's class is "always", or not a byte
   of the request was sent; a workflow's change of class "always": or it was refused. And
   it may help: no connection, a connection that broke, HTTP 429 or 5xx, or a RetCode that
   means "later" (153 rate limit, 8903 busy, ...). The backoff doubles from 0.5 to 8 s; half
   of it is random jitter. Retry-After is honoured; a pause that would outlast timeout_ms is
   not started. The 300 s floor of a stop time is checked before each sending. A call that
   has handed out elements of a list is not started again; compshare_each_instance reads
   the page again.

   MEMORY AND STACK (64-bit, printed by `make size` and `make test`)

       COMPSHARE_MEMORY           65,536 bytes, for everything below
       compshare_memory_needed()  36,764 with full TLS records: enough for a page
                                  of 100 instances, which is streamed
       COMPSHARE_SMALL_RECORDS    24,476 with records of 4 KB
       stack                      under 8 KiB (on s390x under 9)

   The block, config.memory:

       | struct compshare | reply area                            | TLS record buffer |
       | 10,568 bytes     | 9,472 bytes or what is left           | 16,709 or 4,421   |

       handshake          | X.509 contexts | part of bundle | tx  |
       sending            |                                 | tx  |
       receiving          | body | its tokens, 20 bytes each      |

   tx (1,024 bytes) holds outgoing records, so that a flight is sent in one piece.

   TRUST

   TLS 1.2 with ECDHE and AEAD suites only, RSA keys of 2,048 to 4,096 bits, the
   host name always checked; no switch turns that off. Of a chain at most eight certificates
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
   compshare_config.session spares later handshakes all of it.

   Limits of BearSSL: TLS 1.2 is its newest version. It checks no revocation and no extended
   key usage; of a root nothing but that it is a CA: not its expiry, key usage, path length
   or name constraints; of intermediate certificates no name constraints that are not
   critical (critical ones are refused). The server's name may stand in CN where its
   certificate has no other names. What a handshake agreed on, and when the server's
   certificate expires: compshare_last_handshake.

   READING ON

   The implementation follows the public half in the order in which data flows;
   search for "* ====":  api, limits, bytes, params, encode, http, json, split, tokens, pem,
   trust, tls, posix, config, client, judge, session, proxy, exchange, task, actions, read,
   list, recent, call, typed, find, change, confirm, power, schedule, licence. A room calls only
   rooms above it. */

/* Under -std=c99 Linux's headers hide POSIX unless told otherwise before the
   first of them; the implementation may follow in this same source file. */
#if defined(__linux__) && defined(__STRICT_ANSI__) && !defined(COMPSHARE_NO_SOCKETS) \
    && !defined(_POSIX_C_SOURCE) && !defined(_XOPEN_SOURCE) && !defined(_DEFAULT_SOURCE) \
    && !defined(_GNU_SOURCE)
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
          peer is there and silent. What arrives while a step runs must be kept.
   wait   returns COMPSHARE_OK once a wanted direction is ready, after timeout_ms
          milliseconds, or early for any reason; any negative value, a WANT too,
          ends the call with COMPSHARE_E_IO.
          want 0: just sleep. May be NULL if only compshare_step is used.
   close  gives the connection up; also called where nothing is open, and more than
          once. No byte of the old connection may come out of recv afterwards.
   fd     the descriptor to poll, or -1. May be NULL.
   open is given the proxy's host where there is a proxy. `user` is the first argument of
   these functions; that of the clocks, entropy and trace is compshare_config.user. All but
   wait and fd are required. */
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
   region, zone,       defaults of Region, Zone and ProjectId for generic calls, except with
   project_id          actions of the group "account". Region and Zone of one request belong
                       together: a Zone parameter goes with this region where it lies in it,
                       else with the zone without its -NN as Region; a Region parameter goes
                       with this zone only where that lies in it. "" is none. Typed calls:
                       see compshare_target
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
COMPSHARE_API const char *compshare_open_text(const compshare_config *config, char *buf,
    size_t cap);

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
COMPSHARE_API int compshare_call(compshare *client, const char *action,
    const compshare_param *params, size_t count);

/* A reply value; see "replies". */
typedef struct compshare_value {
    const compshare *client;    /* whose reply it is of; kept where it is none, for errors */
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
COMPSHARE_API int compshare_call_each(compshare *client, const char *action,
    const compshare_param *params, size_t count, const char *array, compshare_each_fn each,
    void *user);

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
COMPSHARE_API int compshare_call_start(compshare *client, const char *action,
    const compshare_param *params, size_t count);
COMPSHARE_API int compshare_call_each_start(compshare *client, const char *action,
    const compshare_param *params, size_t count, const char *array, compshare_each_fn each,
    void *user);
COMPSHARE_API int compshare_step(compshare *client);
/* Gives the call in progress up, and its connection if it has begun to use one.
   Returns, and records, COMPSHARE_E_ABORTED; outcome_unknown tells whether the
   request may have been executed. */
COMPSHARE_API int compshare_abort(compshare *client);
/* The descriptor to wait for. -1: there is none; where compshare_wants is not 0, step as soon
   as the transport is ready. */
COMPSHARE_API int compshare_fd(compshare *client);
COMPSHARE_API unsigned compshare_wants(const compshare *client);    /* COMPSHARE_READ | _WRITE */
COMPSHARE_API uint32_t compshare_timeout_ms(const compshare *client);   /* 0: step now */

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
    COMPSHARE_NONE, COMPSHARE_NULL, COMPSHARE_BOOL, COMPSHARE_NUMBER, COMPSHARE_STRING,
        COMPSHARE_ARRAY, COMPSHARE_OBJECT
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

/* ---- a reply's object into a struct --------------------------------------- */

/* What a member of the struct is, and which JSON values go into it. null is the same as no
   such member. */
enum compshare_kind {
    COMPSHARE_KIND_TEXT,    /* char[]: a string that is compared or sent on; one that does not fit
                               whole, or holds a control character, is an error */
    COMPSHARE_KIND_SHOWN,   /* char[]: a string for people; cut to whole characters that fit,
                               control characters shown as '?' */
    COMPSHARE_KIND_INT,     /* int64_t: an integer, or a string that holds one */
    COMPSHARE_KIND_DECIMAL, /* char[]: a number, or a string that holds one, as the reply writes
                               it ("0.74"); one that does not fit is an error */
    COMPSHARE_KIND_BOOL     /* bool: true, false, 1 or 0; also as strings */
};

/* What a value that is missing, of another type, or there twice, means. */
enum compshare_need {
    COMPSHARE_OPTIONAL,     /* missing: the member is zero; anything else is an error */
    COMPSHARE_REQUIRED,     /* each is an error */
    COMPSHARE_LENIENT       /* none is: the member is zero. For what nothing is decided by */
};

/* One member of a struct, and where it stands in a JSON object. Made by the macros below. */
typedef struct compshare_field {
    const char *name;       /* in the object */
    const char *other;      /* a second name, used where the first is missing or null; NULL: none */
    int kind;               /* enum compshare_kind */
    int need;               /* enum compshare_need */
    size_t offset, size;    /* of the member, in bytes */
} compshare_field;

/* A row of a table: COMPSHARE_FIELD_INT(struct price, count, "Count") is an optional member
   with one name; COMPSHARE_FIELD says everything. `member` is of the type of its kind. */
#define COMPSHARE_FIELD(type, member, name, other, kind, need) \
    { name, other, kind, need, offsetof(type, member), sizeof(((type *)0)->member) }
#define COMPSHARE_FIELD_TEXT(type, member, name) \
    COMPSHARE_FIELD(type, member, name, NULL, COMPSHARE_KIND_TEXT, COMPSHARE_OPTIONAL)
#define COMPSHARE_FIELD_SHOWN(type, member, name) \
    COMPSHARE_FIELD(type, member, name, NULL, COMPSHARE_KIND_SHOWN, COMPSHARE_OPTIONAL)
#define COMPSHARE_FIELD_INT(type, member, name) \
    COMPSHARE_FIELD(type, member, name, NULL, COMPSHARE_KIND_INT, COMPSHARE_OPTIONAL)
#define COMPSHARE_FIELD_DECIMAL(type, member, name) \
    COMPSHARE_FIELD(type, member, name, NULL, COMPSHARE_KIND_DECIMAL, COMPSHARE_OPTIONAL)
#define COMPSHARE_FIELD_BOOL(type, member, name) \
    COMPSHARE_FIELD(type, member, name, NULL, COMPSHARE_KIND_BOOL, COMPSHARE_OPTIONAL)

/* Most rows of one table. */
#define COMPSHARE_MAX_FIELDS 64

/* Reads an object of the last reply, or the element of a streamed array, into the struct at
   `out`, in one pass over its members. Every member that the table names is then set, or zero
   where its value is missing or cannot be read; others stay as they are. All is copied: the
   struct does not depend on the reply.
   COMPSHARE_E_TYPE: `object` is none, stale or no object, or a value has another type.
   COMPSHARE_E_REPLY: a required member is missing, one is there twice, or does not fit.
   COMPSHARE_E_PARAM: the table cannot be right (a size that is not that of the kind, more
   than COMPSHARE_MAX_FIELDS rows); nothing is written or noted.
   compshare_last_error names the field, in its detail, where the call itself has succeeded; the
   next reading that succeeds clears it. What is read in a streaming callback is named until
   that returns. One row for a member (a second name is `other`); `out` is aligned as its type
   must be. */
COMPSHARE_API int compshare_read(compshare_value object, const compshare_field *fields,
    size_t count, void *out);

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
typedef int (*compshare_instance_fn)(void *user, const compshare_instance *instance,
    compshare_value element);

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
COMPSHARE_API int compshare_describe_instance(compshare *client, const compshare_target *target,
    compshare_instance *instance);

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
COMPSHARE_API int compshare_update_stop_scheduler(compshare *client,
    const compshare_target *target, int64_t stop_time);

/* DeleteCompShareStopScheduler: no timed shutdown any more; the instance keeps
   running and is billed. Succeeds as well when there was none. */
COMPSHARE_API int compshare_delete_stop_scheduler(compshare *client,
    const compshare_target *target);

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
COMPSHARE_API int compshare_wait_state(compshare *client, const char *uhost_id, const char *state,
    uint32_t timeout_ms, compshare_instance *instance);

/* The same in steps: finish with compshare_step. Results are borrowed until then, and so is
   `state`; targets are copied. */
COMPSHARE_API int compshare_get_project_list_start(compshare *client, compshare_project *chosen,
    compshare_project_fn each, void *user);
COMPSHARE_API int compshare_describe_instance_start(compshare *client,
    const compshare_target *target, compshare_instance *instance);
COMPSHARE_API int compshare_each_instance_start(compshare *client, const compshare_target *filter,
    compshare_instance_fn each, void *user);
COMPSHARE_API int compshare_update_stop_scheduler_start(compshare *client,
    const compshare_target *target, int64_t stop_time);
COMPSHARE_API int compshare_delete_stop_scheduler_start(compshare *client,
    const compshare_target *target);
COMPSHARE_API int compshare_stop_instance_start(compshare *client, const compshare_target *target);
COMPSHARE_API int compshare_start_instance_start(compshare *client, const compshare_target *target);
COMPSHARE_API int compshare_reboot_instance_start(compshare *client,
    const compshare_target *target);
COMPSHARE_API int compshare_wait_state_start(compshare *client, const char *uhost_id,
    const char *state, uint32_t timeout_ms, compshare_instance *instance);

/* The server's time now: its last Date header, received over verified TLS, plus
   what the monotonic clock says has passed since. 0: none received yet. */
COMPSHARE_API int64_t compshare_server_time(const compshare *client);

/* What a TLS handshake has agreed on. */
typedef struct compshare_handshake {
    uint16_t version;       /* RFC 5246 6.2.1: 0x0303 is TLS 1.2 */
    uint16_t suite;         /* in IANA's registry of TLS cipher suites, for example 0xC02F */
    bool resumed;           /* from config.session: the server's certificate was not sent again */
    int64_t not_after;      /* when that certificate expires, RFC 5280 4.1.2.5; 0: not sent */
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
    bool changed;           /* a change was sent; false: the mode left the plan as it was, or the
                               call has failed */
    unsigned caveats;       /* COMPSHARE_KEEPS_BILLING, COMPSHARE_GETS_RELEASED */
    char uhost_id[64];
    char state[32], charge_type[32], zone[32];
    int64_t requested;      /* the time that was asked for, seconds since 1970 UTC; 0: none */
    int64_t shown;          /* what the newest reading showed, which may be the one before the
                               change; 0: no timed shutdown */
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
   in_seconds = 0, after _cancel compshare_schedule_cancel. Keep `requested`: that call
   overwrites the struct, and its outcome_unknown speaks of itself alone. Where it ends in
   COMPSHARE_E_TOO_SOON, because the time has come near, compshare_schedule_get tells what
   stands. What stands until then:

       accepted  shown        the instance will be stopped
       true      requested    never the case: that is COMPSHARE_OK
       true      another      most likely at `requested`: the API may be late to show it, or
                              somebody has changed it since
       false     requested    most likely at `requested`: one reading showed it, law 7 asks for
                              two
       false     previous     as before, or at `requested`: the change may have been executed,
                              or still be, and nothing could be read since
       false     another      as `shown` says: somebody else has changed it

   For _cancel `requested` is 0, and "at 0" means not at all. Where schedule_get cannot tell
   because it is shown less than this client has just changed, it ends with
   COMPSHARE_E_UNCONFIRMED as well, but with outcome_unknown false. */
COMPSHARE_API int compshare_schedule_set(compshare *client, const compshare_plan *plan,
    compshare_schedule *schedule);
/* Only reads, in any state. */
COMPSHARE_API int compshare_schedule_get(compshare *client, const char *uhost_id,
    compshare_schedule *schedule);
/* From the current plan on, by_seconds later. COMPSHARE_E_NO_PLAN where there is none,
   or it has expired. */
COMPSHARE_API int compshare_schedule_extend(compshare *client, const char *uhost_id,
    int64_t by_seconds, compshare_schedule *schedule);
/* In any state. The instance then runs, and is billed, until somebody stops it. */
COMPSHARE_API int compshare_schedule_cancel(compshare *client, const char *uhost_id,
    compshare_schedule *schedule);

/* The same in steps: finish with compshare_step. *schedule is borrowed until then; *plan and
   the ids are copied. */
COMPSHARE_API int compshare_schedule_set_start(compshare *client, const compshare_plan *plan,
    compshare_schedule *schedule);
COMPSHARE_API int compshare_schedule_get_start(compshare *client, const char *uhost_id,
    compshare_schedule *schedule);
COMPSHARE_API int compshare_schedule_extend_start(compshare *client, const char *uhost_id,
    int64_t by_seconds, compshare_schedule *schedule);
COMPSHARE_API int compshare_schedule_cancel_start(compshare *client, const char *uhost_id,
    compshare_schedule *schedule);

/* ---- actions -------------------------------------------------------------- */

enum compshare_retry {
    COMPSHARE_RETRY_NEVER,      /* a repetition may act twice, or cost twice */
    COMPSHARE_RETRY_VERIFY,     /* only after reading back that it did not happen */
    COMPSHARE_RETRY_ALWAYS      /* a repetition changes nothing */
};

typedef struct compshare_action {
    const char *name;       /* NULL: not in the table */
    const char *group;      /* "account", "instance", "image", "data", "team", "ulhost", "other",
                               "telemetry" */
    bool mutating;
    int retry;              /* enum compshare_retry; NEVER where the name is unknown */
    char cost;              /* '+' may cost money, '-' saves some, 'x' destroys, '.' neither */
    bool secret;            /* request or reply holds a password, a login command or a token */
    bool csv;               /* succeeds with CSV, not JSON: see compshare_body */
    bool partial;           /* RetCode 0 may hide failures of single members */
    bool json_only;         /* wants a JSON body, which this client does not send */
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
   The headers that this file includes, the limits and times that it keeps, with their sources, and
   what private functions return besides a public status. Nothing here runs. Must never leave a
   macro of jsmn behind, nor change one that the program has. */

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
/* A feature macro that is missing, or too low, makes system headers hide what is needed here. It
   must be set before the first system header of the source file is included. */
#if !defined(AI_PASSIVE) || !defined(O_CLOEXEC)
#if defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE - 0 < 200809L
#error "compshare.h: _POSIX_C_SOURCE must be at least 200809L (and _XOPEN_SOURCE, if defined, 700)"
#else
#error "compshare.h: a system header hid POSIX: include this first, or -D_POSIX_C_SOURCE=200809L"
#endif
#endif
/* Without either, sending to a closed connection would end the program by SIGPIPE. */
#if !defined(MSG_NOSIGNAL) && !defined(SO_NOSIGPIPE)
#error "compshare.h: SIGPIPE would kill: define _DARWIN_C_SOURCE (Apple) or COMPSHARE_NO_SOCKETS"
#endif
/* COMPSHARE__RANDOM: the system has getrandom. It is not in glibc before 2.25, Android before
   API level 28, NetBSD before 10; there /dev/urandom is read. */
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

/* jsmn under private names, so that a program may use jsmn itself, with other switches, before
   or after this file: its macros are saved, and restored behind the include. With parent links
   the time is linear in the length of the text. Its strict mode is off: room json has checked
   the text already. */
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

/* Some casts change nothing on this machine, but are needed on one with a narrower type. */
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

/* 2026-01-01, Unix seconds. A clock that shows an earlier time is wrong: this file did not
   exist then. */
#define COMPSHARE__EARLIEST_TIME INT64_C(1767225600)

/* Stop times. The API refuses one that is less than 300 seconds ahead, and may round one to the
   minute: two times that differ by 59 seconds at the most count as the same. */
#define COMPSHARE__STOP_FLOOR_S 300
#define COMPSHARE__ROUNDING_S 59
#define COMPSHARE__LATEST_TIME INT64_C(253402300799)    /* the end of the year 9999 */

/* Times of exchanges and workflows, in milliseconds, and how often they try. Two pauses are
   doubled from FIRST to MOST: RETRY before a request is repeated (half of it is random jitter),
   POLL before a state is read again. */
#define COMPSHARE__RETRY_FIRST_MS 500u
#define COMPSHARE__RETRY_MOST_MS 8000u
#define COMPSHARE__POLL_FIRST_MS 250u
#define COMPSHARE__POLL_MOST_MS 5000u
#define COMPSHARE__READING_MS 2000u         /* a reading gets this at least, within timeout_ms */
#define COMPSHARE__DOUBT_MS 1000u           /* pause before a doubtful reading is repeated */
#define COMPSHARE__LOOKS 6u                 /* how often such a reading is repeated */
#define COMPSHARE__DOUBTS 4u                /* readings without it until a plan seen once is gone */
#define COMPSHARE__RESEND_MS 2000u          /* from a lost change to its repetition; doubled */
#define COMPSHARE__SENDINGS 6u              /* how often one change is sent at the most */
#define COMPSHARE__MISSING_MS 60000u        /* how long lists may lack a new instance */
#define COMPSHARE__LAG_MS 60000u            /* how long readings may lag behind a change */
#define COMPSHARE__RECENT 4                 /* instances whose last change a client remembers */
#define COMPSHARE__REUSE_MS 4000u           /* a kept connection gets this to answer, at least */
#define COMPSHARE__IDLE_MS 50000u           /* a connection unused for longer is not used again */

/* HTTP: RFC 9112 sets no limits and asks recipients to have some. */
#define COMPSHARE__HTTP_HEAD_MAX 32768u     /* one head, its status line included */
#define COMPSHARE__HTTP_LINE_MAX 8192u      /* one line of it */
#define COMPSHARE__HTTP_INTERIM_MAX 8u      /* 1xx responses before the final one */
#define COMPSHARE__HTTP_EXT_MAX 4096u       /* all chunk extensions together */

/* Nested containers: compshare__json.kinds has a bit for each. */
#define COMPSHARE__JSON_DEPTH_MAX 64

/* Trust. The peer chooses the certificates of its chain before it is trusted, so the work that
   they can cause is limited. */
#define COMPSHARE__CHAIN_MAX 8              /* certificates of one chain that are judged */
#define COMPSHARE__RSA_MIN 256              /* bytes of a modulus: 2,048 bits */
#define COMPSHARE__EXPONENT_MAX 8           /* bytes of its exponent, as OpenSSL has it */
#define COMPSHARE__BUNDLE_MAX (8u << 20)    /* bytes of a bundle */
#define COMPSHARE__DN_MAX 384               /* bytes of a root's name; 213 in Debian's bundle */
#define COMPSHARE__DER_PREFIX 1024          /* bytes of a root that are decoded to find its name */
#define COMPSHARE__DER_STEP 64              /* bytes decoded before the next look for it */
#define COMPSHARE__YEAR_0 719528            /* days from year 0, by which BearSSL counts, to 1970 */

/* Buffers of TLS, in bytes. RECORD: the engine's own, BR_SSL_BUFSIZE_MONO (bearssl_ssl.h: 16,384
   of plaintext and 325 around it); SMALL is the same for 4,096, RFC 6066 4. */
#define COMPSHARE__RECORD_FULL 16709u
#define COMPSHARE__RECORD_SMALL 4421u
#define COMPSHARE__TX 1024u                 /* outgoing records waiting for one send */
#define COMPSHARE__RX 2048u                 /* incoming bytes waiting for the engine */

/* Lists that change while they are read page by page: see room list. */
#define COMPSHARE__MARKS 4                  /* elements by which a place in a list is found again */
#define COMPSHARE__RESTARTS 16u             /* how often a list is read anew where none is left */

/* Memory, replies, sessions and addresses. */
#define COMPSHARE__REPLY_MIN 9472u          /* bytes; the widest instance takes 7.1 KB */
#define COMPSHARE__DRAIN 65536u             /* bytes of a too large reply, read and dropped */
#define COMPSHARE__SESSION_S 86400          /* RFC 5246 F.1.4: a session is used for 24 hours */
#define COMPSHARE__ADDRESSES 8u             /* addresses of one host that are kept and tried */
#define COMPSHARE__NAMES_MS 60000u          /* from a failed look-up of a name to the next */

/* What one step receives at the most: then it returns, so that an event loop gets its turn and
   the deadline is looked at. */
#define COMPSHARE__STEP_READS 64            /* records, or parts of them */
#define COMPSHARE__STEP_BYTES 16384u        /* of a reply: a record, RFC 5246 6.2.1 */

/* Bytes of stack that are overwritten before a public function returns, because BearSSL leaves
   secrets there: as deep as an optimised handshake with elliptic curves reaches below that
   function, and a little more. Measured: s390x, whose frames have 160 bytes for registers, 7.2 KB;
   riscv64 6.8; x86-64, arm64, mips64 and ppc64 5.8; i386 5.6; Cortex-M0 5.0; Cortex-M3 and armhf
   4.9. */
#if defined(__s390x__)
#define COMPSHARE__STACK 7680
#elif defined(__riscv) && INTPTR_MAX > INT32_MAX
#define COMPSHARE__STACK 7424
#elif INTPTR_MAX > INT32_MAX || defined(__i386__)
#define COMPSHARE__STACK 6400
#else
#define COMPSHARE__STACK 5376
#endif

/* For a function that must keep a stack frame of its own, or that takes fewer bytes so: it is
   not inlined. */
#if defined(__GNUC__)
#define COMPSHARE__NOINLINE __attribute__((noinline))
#else
#define COMPSHARE__NOINLINE
#endif

/* What a private function may return besides a public status, which is negative, COMPSHARE_OK or
   COMPSHARE_PENDING. None of these reaches a program. (No enum: C++ warns where two enums meet in
   one expression.) */
#define COMPSHARE__EOF 2        /* tls: the stream has ended; tls.orderly: with close_notify */
#define COMPSHARE__VERDICT 3    /* exchange: the reply is complete, and a success */
#define COMPSHARE__AGAIN 4      /* a step's `end`: run this step once more, after task.pause_ms */
#define COMPSHARE__NEXT 5       /* a step's `end`: go on to the next; its `begin`: skip this one */
#define COMPSHARE__BACK 6       /* a step's `end`: run the step before it, after task.pause_ms */
#define COMPSHARE__FINISHED 7   /* schedule: what stands is what the plan wants: change nothing */

#define COMPSHARE__ALIGN 16u                /* of the client within the caller's block */
#define COMPSHARE__TYPED_PARAMS 6           /* no typed call has more */

/* Checks at compile time: an array of negative size is an error. An int has 32 bits or more: a
   RetCode of 65536 must not become 0. */
typedef char compshare__assert_int[sizeof(int) >= 4 ? 1 : -1];
/* The private fields of BearSSL that room trust reads have the size that it expects. */
typedef char compshare__assert_dn_hash[sizeof(((br_x509_minimal_context *)0)->saved_dn_hash) == 64
    ? 1 : -1];
typedef char compshare__assert_not_after[sizeof(((br_x509_decoder_context *)0)->notafter_days) == 4
    && sizeof(((br_x509_decoder_context *)0)->notafter_seconds) == 4 ? 1 : -1];
typedef char compshare__assert_record[COMPSHARE__RECORD_FULL == BR_SSL_BUFSIZE_MONO ? 1 : -1];

/* ==== bytes ==================================================================================
   Bounded text, conversion of numbers and times, sets of characters, comparison, wiping. Pure:
   touches only what it is given. Must never write past a capacity, or leave a text without its
   NUL. */

/* A text that grows in a caller's buffer. Where the buffer is full the text is cut, without an
   error: texts for people are written this way, and those for machines only where the buffer is
   known to be large enough. */
typedef struct compshare__bytes_text {
    char *ptr;
    size_t cap, len;            /* of the buffer, with the NUL; of the text, without it */
} compshare__bytes_text;

/* The index of the first c among len bytes, or len. */
static size_t compshare__bytes_find(const void *bytes, size_t len, char c)
{
    const char *s = (const char *)bytes;
    size_t n = 0;
    while (n < len && s[n] != c) n++;
    return n;
}

/* An empty text in a buffer, which stays the caller's. cap 0: nothing can be appended. */
static compshare__bytes_text compshare__bytes_into(char *buf, size_t cap)
{
    compshare__bytes_text t;
    t.ptr = buf;
    t.cap = cap;
    t.len = 0;
    if (cap > 0) buf[0] = '\0';
    return t;
}

/* Appends what fits, in whole UTF-8 characters: a byte 10xxxxxx continues one, and is not the
   first to be left out. The text stays NUL-terminated. */
static void compshare__bytes_append(compshare__bytes_text *t, const char *src, size_t len)
{
    size_t room = t->cap > 0 ? t->cap - 1 - t->len : 0;
    if (len > room)
        for (len = room; len > 0 && ((unsigned char)src[len] & 0xC0) == 0x80; len--) {}
    if (len == 0) return;
    memcpy(t->ptr + t->len, src, len);
    t->len += len;
    t->ptr[t->len] = '\0';
}

/* Appends a whole string. */
static void compshare__bytes_put(compshare__bytes_text *t, const char *src)
{
    compshare__bytes_append(t, src, strlen(src));
}

/* The decimal digits of a number, written to the end of scratch, which has room for any
   int64_t. The result points into scratch and has no NUL. */
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

static void compshare__bytes_put_int(compshare__bytes_text *t, int64_t number)
{
    char scratch[24];
    compshare_view v = compshare__bytes_decimal(scratch, number);
    compshare__bytes_append(t, v.ptr, v.len);
}

/* Days of a month (1 to 12) of the Gregorian calendar; month 0: of the year. */
static int compshare__bytes_days(int year, int month)
{
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month == 0) return leap ? 366 : 365;
    if (month == 2) return leap ? 29 : 28;
    if (month > 7) month++;         /* up to July the odd ones have 31, from August the even */
    return month % 2 == 0 ? 30 : 31;
}

/* Appends a time (Unix seconds) as "2026-11-23 14:05:00 UTC"; outside the years 1970 to 9999
   the bare number. Not gmtime, whose result is in memory that all threads share. */
static void compshare__bytes_put_time(compshare__bytes_text *t, int64_t unix_time)
{
    static const char behind[6] = { '-', '-', ' ', ':', ':', ' ' };     /* each part */
    int part[6] = { 1970, 1, 0, 0, 0, 0 }, days, second, n, i;
    if (unix_time < 0 || unix_time > COMPSHARE__LATEST_TIME) {
        compshare__bytes_put_int(t, unix_time);
        return;
    }
    /* whole years and months are subtracted until what is left lies within one */
    days = (int)(unix_time / 86400);
    second = (int)(unix_time % 86400);
    for (; days >= (n = compshare__bytes_days(part[0], 0)); part[0]++) days -= n;
    for (; days >= (n = compshare__bytes_days(part[0], part[1])); part[1]++) days -= n;
    part[2] = days + 1;
    part[3] = second / 3600;
    part[4] = second / 60 % 60;
    part[5] = second % 60;
    for (i = 0; i < 6; i++) {
        if (part[i] < 10) compshare__bytes_put(t, "0");
        compshare__bytes_put_int(t, part[i]);
        compshare__bytes_append(t, &behind[i], 1);
    }
    compshare__bytes_put(t, "UTC");
}

/* Appends `form`, in which %s stands for a string, %d for an int, %l for an int64_t and %t for
   an int64_t that is shown as a time. There is no %% and no width; not vsnprintf, as this file
   uses no stdio. The compiler cannot check the arguments: tests/scripts/forms.sh compares every
   form in this file with them. */
static void compshare__bytes_form_list(compshare__bytes_text *t, const char *form, va_list args)
{
    size_t left = strlen(form), n;
    for (; (n = compshare__bytes_find(form, left, '%')) < left; form += n + 2, left -= n + 2) {
        compshare__bytes_append(t, form, n);
        if (form[n + 1] == 's') {
            compshare__bytes_put(t, va_arg(args, const char *));
        } else {
            int64_t number = form[n + 1] == 'd' ? va_arg(args, int) : va_arg(args, int64_t);
            if (form[n + 1] == 't') compshare__bytes_put_time(t, number);
            else compshare__bytes_put_int(t, number);
        }
    }
    compshare__bytes_append(t, form, left);
}

/* compshare__bytes_form_list with variable arguments. */
static void compshare__bytes_form(compshare__bytes_text *t, const char *form, ...)
{
    va_list args;
    va_start(args, form);
    compshare__bytes_form_list(t, form, args);
    va_end(args);
}

/* Reads an unsigned number: decimal digits only, one at least, not over limit, which is 9 or
   more. False: it is none, and *out is not a result. */
static bool compshare__bytes_number(compshare_view v, uint64_t limit, uint64_t *out)
{
    uint64_t value = 0;
    size_t i;
    for (i = 0; i < v.len; i++) {
        unsigned digit = (unsigned char)v.ptr[i] - (unsigned)'0';
        /* value * 10 + digit <= limit, without an overflow */
        if (digit > 9 || value > (limit - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *out = value;
    return v.len > 0;
}

/* Reads an integer as JSON writes it: -?(0|[1-9][0-9]*), within int64_t. False: anything else,
   also "-0", which is 0 written in a second way. */
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

/* Like strcmp: negative, 0 or positive, by the values of the bytes as unsigned numbers. */
static int compshare__bytes_compare(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) { a++; b++; }
    return (int)(unsigned char)*a - (int)(unsigned char)*b;
}

static bool compshare__bytes_equal(const char *a, const char *b)
{
    return compshare__bytes_compare(a, b) == 0;
}

/* Whether s begins with `start`. */
static bool compshare__bytes_begins(const char *s, const char *start)
{
    while (*start != '\0' && *start == *s) { start++; s++; }
    return *start == '\0';
}

/* Whether the string `set` contains c, which is not NUL. */
static bool compshare__bytes_among(char c, const char *set)
{
    while (*set != '\0' && *set != c) set++;
    return *set != '\0';
}

/* Whether v contains the n bytes of `part`; n is 1 or more. */
static bool compshare__bytes_hold(compshare_view v, const char *part, size_t n)
{
    for (; v.len >= n; v.ptr++, v.len--)
        if (*v.ptr == *part && memcmp(v.ptr, part, n) == 0) return true;
    return false;
}

/* How many characters at the beginning of s are in the set; with in == false, are not in it. */
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

/* ASCII only, whatever the locale. */
static char compshare__bytes_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool compshare__bytes_letter(char c)
{
    c = compshare__bytes_lower(c);
    return c >= 'a' && c <= 'z';
}

/* Takes an int, so that both a char and an unsigned char can be given. */
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

/* Sets of characters, each a subset of the one above it. compshare__bytes_in has, for each
   character, the smallest set that it is in. They are digits, so that its table is a string. */
enum {
    COMPSHARE__BYTES_QUOTED = '1',    /* ASCII that means itself in a JSON string, RFC 8259 7 */
    COMPSHARE__BYTES_TOKEN,           /* tokens of HTTP, RFC 9110 5.6.2 */
    COMPSHARE__BYTES_UNRESERVED,      /* RFC 3986 2.3: letters, digits, - . _ ~ */
    COMPSHARE__BYTES_IDENTIFIER,      /* letters, digits, - . _ */
    COMPSHARE__BYTES_LABEL            /* of a host name: letters, digits, - _ */
};

/* Whether a set has a character: one look into a table, because every byte of a reply is
   tested. Bytes from 0x80 on are in no set: the string ends there, and the rest of the array
   is 0. */
static bool compshare__bytes_in(unsigned char c, int set)
{
    static const char smallest[256] =       /* set that has the character; '0': none has it */
        "0000000000000000"      /* 0x00: control characters */
        "0000000000000000"      /* 0x10 */
        "1202222211221541"      /* 0x20: space ! " # $ % & ' ( ) * + , - . / */
        "5555555555111111"      /* 0x30: 0 to 9 : ; < = > ? */
        "1555555555555555"      /* 0x40: @ A to O */
        "5555555555510125"      /* 0x50: P to Z [ \ ] ^ _ */
        "2555555555555555"      /* 0x60: ` a to o */
        "5555555555512131";     /* 0x70: p to z { | } ~ DEL */
    return smallest[c] >= set;
}

/* How many bytes s begins with that are in a set. */
static size_t compshare__bytes_run(const char *s, size_t len, int set)
{
    size_t n = 0;
    while (n < len && compshare__bytes_in((unsigned char)s[n], set)) n++;
    return n;
}

/* Whether all len bytes are in the set; true if there are none. */
static bool compshare__bytes_all(const char *s, size_t len, int set)
{
    return compshare__bytes_run(s, len, set) == len;
}

/* Whether one UTF-8 character of len bytes must not reach a terminal: control characters (C0,
   DEL, C1); marks of direction (U+061C, 200E, 200F); line and paragraph separators, embeddings
   and overrides (2028 to 202E); isolates (2066 to 2069). These change the order in which the
   text behind them is shown, and so can make an id look like another. */
static bool compshare__bytes_unsafe(const unsigned char *c, size_t len)
{
    /* the first byte of several begins with as many ones as there are, and a 0 */
    uint32_t code = len == 1 ? c[0] : c[0] & (0x7Fu >> len);
    size_t i;
    for (i = 1; i < len; i++) code = code << 6 | (c[i] & 0x3F);
    return code < 0x20 || (code >= 0x7F && code < 0xA0)
        || code == 0x61C || code == 0x200E || code == 0x200F
        || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

/* Length in bytes of a UTF-8 character, RFC 3629 3, by its first byte, which is a valid one. */
static size_t compshare__bytes_utf8(unsigned char first)
{
    return first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/* The first of two strings that is given, or NULL; NULL and "" count as not given. */
static const char *compshare__bytes_first(const char *a, const char *b)
{
    if (a != NULL && a[0] != '\0') return a;
    return b != NULL && b[0] != '\0' ? b : NULL;
}

/* A hash of an id, FNV-1a with 64 bits, kept and compared in place of the id. Never 0, which
   stands for no id. */
static uint64_t compshare__bytes_mark(const char *id)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (; *id != '\0'; id++) hash = (hash ^ (unsigned char)*id) * UINT64_C(0x100000001B3);
    return hash | 1;
}

/* A code and what it means to the person who has to fix it. */
typedef struct compshare__bytes_code {
    int code;
    const char *text;
} compshare__bytes_code;

/* The text for a code. The last row stands for all codes that have none; count is 1 or more. */
static const char *compshare__bytes_meaning(const compshare__bytes_code *rows, size_t count,
    int code)
{
    size_t i;
    for (i = 0; i + 1 < count && rows[i].code != code; i++) {}
    return rows[i].text;
}

/* Overwrites memory that is not read again, such as keys. An optimiser may leave a plain memset
   out there, so memset is reached through a pointer whose value it cannot know. In pieces of 1
   KB: for longer ones some memset changes to string instructions, which start slowly. */
COMPSHARE__NOINLINE static void compshare__bytes_wipe(void *ptr, size_t len)
{
#if defined(__GNUC__)
    void *(*wipe)(void *, int, size_t) = memset;
    char *p = (char *)ptr;
    size_t n;
    __asm__("" : "+r"(wipe));   /* for the compiler, this may change the pointer */
    for (; len > 0; p += n, len -= n) {
        n = len < 1024 ? len : 1024;
        wipe(p, 0, n);
    }
#else
    volatile unsigned char *p = (volatile unsigned char *)ptr;
    while (len-- > 0) *p++ = 0;
#endif
}

/* Overwrites the stack below the caller's frame, where functions that the caller has called,
   and that have returned, may have left secrets. */
COMPSHARE__NOINLINE static void compshare__bytes_wipe_stack(void)
{
    unsigned char area[COMPSHARE__STACK];
    compshare__bytes_wipe(area, sizeof area);
}

/* ==== params =================================================================================
   Collects the parameters of one call, sorts them by name in byte order, refuses those that must
   not be signed, and signs the rest. Pure: touches only its arguments; borrows every string,
   which must stay as it is until the call is over. Must never change a value: what the caller
   gave is what is signed and sent.

     call       StopCompShareInstance with UHostId "uhost-1"; the client adds Action and PublicKey
     signed     ActionStopCompShareInstancePublicKeyKEYUHostIduhost-1, then the private key
     sent       Action=StopCompShareInstance&PublicKey=KEY&Signature=0123...&UHostId=uhost-1 */

/* compshare_param.kind: which of text and number holds the value. */
enum { COMPSHARE__PARAMS_TEXT, COMPSHARE__PARAMS_INT, COMPSHARE__PARAMS_DECIMAL };

/* The parameters that the client adds to a call: their places in compshare__params.own, and the
   order in which they are added. OWN is their number. */
enum {
    COMPSHARE__PARAMS_OWN_ACTION, COMPSHARE__PARAMS_OWN_PUBLIC_KEY, COMPSHARE__PARAMS_OWN_TOKEN,
        COMPSHARE__PARAMS_OWN_REGION,
    COMPSHARE__PARAMS_OWN_ZONE, COMPSHARE__PARAMS_OWN_PROJECT, COMPSHARE__PARAMS_OWN_SIGNATURE,
        COMPSHARE__PARAMS_OWN
};

/* The parameters of one call, the caller's and the client's own, in the order in which they are
   signed. given and own stay where they are; only indices are sorted. */
typedef struct compshare__params {
    const compshare_param *given;       /* the caller's array, borrowed */
    compshare_param own[COMPSHARE__PARAMS_OWN];
    /* By name: the index in given; that in own is counted from COMPSHARE_MAX_PARAMS on. */
    uint16_t sorted[COMPSHARE_MAX_PARAMS + COMPSHARE__PARAMS_OWN];
    char signature[41];         /* 40 hex digits and a NUL; "": not signed yet */
    size_t count;               /* of sorted */
} compshare__params;
typedef char compshare__assert_params[COMPSHARE_MAX_PARAMS >= COMPSHARE__TYPED_PARAMS
    && COMPSHARE_MAX_PARAMS + COMPSHARE__PARAMS_OWN <= 65535 ? 1 : -1];

/* The i-th parameter in the order of names; i is less than set->count. */
static const compshare_param *compshare__params_at(const compshare__params *set, size_t i)
{
    size_t index = set->sorted[i];
    if (index < COMPSHARE_MAX_PARAMS) return &set->given[index];
    return &set->own[index - COMPSHARE_MAX_PARAMS];
}

/* A parameter, as compshare_text and its like return it. Nothing is checked here:
   compshare__params_refusal does that once the parameter is used. */
static compshare_param compshare__params_make(const char *key, const char *text, int64_t number,
    unsigned kind)
{
    compshare_param p;
    p.key = key;
    p.text = text;
    p.number = number;
    p.kind = kind;
    return p;
}

/* One part of what is signed and sent. Part 2i is the i-th name in order, part 2i + 1 its
   value. The signature and the body are both made of these parts and so cannot differ. A number
   is written to scratch; the result is valid until scratch is written again. */
static compshare_view compshare__params_part(const compshare__params *set, size_t part,
    char scratch[24])
{
    const compshare_param *p = compshare__params_at(set, part / 2);
    bool is_value = part % 2 != 0;
    compshare_view v;
    if (is_value && p->kind == COMPSHARE__PARAMS_INT) return compshare__bytes_decimal(scratch,
        p->number);
    v.ptr = is_value ? p->text : p->key;
    v.len = strlen(v.ptr);
    return v;
}

/* Whether a parameter may hold letters, digits, - . _ only. Names and values are signed one
   after the other without separators. In free text an attacker who can change what is sent
   could move the border between a name and a value and keep the signature; in these parameters,
   which say what is done and to which instance, that must not be possible. */
static bool compshare__params_is_identifier(const char *key)
{
    return compshare__bytes_listed(key, "Action\0Region\0Zone\0ProjectId\0UHostId\0UHostIds\0")
        || (compshare__bytes_begins(key, "UHostIds.") && key[9] != '\0');
}

/* Whether a text is a decimal in its one canonical form: -?digits, with an optional fraction
   that does not end in 0; no leading zeros, no -0, no exponent. */
static bool compshare__params_is_decimal(const char *s)
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

/* NULL, or why the caller may not send this parameter: a text to be put behind its name. */
static const char *compshare__params_refusal(const compshare_param *p)
{
    if (p->key == NULL || p->key[0] == '\0') return "its name is empty";
    if (p->kind > COMPSHARE__PARAMS_DECIMAL)
        return "it was not made by compshare_text, _int, _bool or _decimal";
    if (p->kind != COMPSHARE__PARAMS_INT && p->text == NULL) return "its value is NULL";
    if (compshare__bytes_listed(p->key, "Action\0PublicKey\0Signature\0SecurityToken\0"))
        return "the client itself adds it";
    if (p->kind == COMPSHARE__PARAMS_DECIMAL && !compshare__params_is_decimal(p->text))
        return "a decimal is digits, a point and digits that do not end in 0; no exponent";
    if (p->kind != COMPSHARE__PARAMS_INT && compshare__params_is_identifier(p->key)
        && !compshare__bytes_all(p->text, strlen(p->text), COMPSHARE__BYTES_IDENTIFIER))
        return "only A-Z a-z 0-9 . _ - are allowed in it";
    return NULL;
}

/* Puts a parameter, by its index, at its place in the order: one step of an insertion sort,
   which suits few parameters that are mostly in order. False: the name is there already, and
   nothing has changed. */
static bool compshare__params_insert(compshare__params *set, size_t index, const compshare_param *p)
{
    size_t at = set->count;
    int order = 1;
    /* from the end, as most parameters come in order */
    for (; at > 0; at--) {
        order = compshare__bytes_compare(compshare__params_at(set, at - 1)->key, p->key);
        if (order <= 0) break;
    }
    if (order == 0) return false;
    memmove(set->sorted + at + 1, set->sorted + at, (set->count - at) * sizeof set->sorted[0]);
    set->sorted[at] = (uint16_t)index;
    set->count++;
    return true;
}

/* Begins a set with the caller's parameters, in place of what it held. False: one of them may
   not be sent, and *why says which and the reason. The client's own are added by
   compshare__params_own afterwards: they give way to the caller's Region, Zone and ProjectId. */
static bool compshare__params_collect(compshare__params *set, const compshare_param *params,
    size_t count, compshare__bytes_text *why)
{
    size_t i;
    set->given = params;
    set->count = 0;
    set->signature[0] = '\0';
    if (count > COMPSHARE_MAX_PARAMS) {
        compshare__bytes_form(why, "%l parameters given, COMPSHARE_MAX_PARAMS is %d",
            (int64_t)count, (int)COMPSHARE_MAX_PARAMS);
        return false;
    }
    if (count > 0 && params == NULL) {
        compshare__bytes_put(why, "params is NULL");
        return false;
    }
    for (i = 0; i < count; i++) {
        const char *key = params[i].key, *reason = compshare__params_refusal(&params[i]);
        if (reason == NULL && !compshare__params_insert(set, i, &params[i]))
            reason = "it is given twice";
        if (reason == NULL) continue;
        if (key != NULL && key[0] != '\0')
            compshare__bytes_form(why, "parameter %s: %s", key, reason);
        else compshare__bytes_form(why, "parameter %l: %s", (int64_t)i, reason);
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

/* The text of the parameter of that name; NULL: none, or a number. */
static const char *compshare__params_text(const compshare__params *set, const char *key)
{
    const compshare_param *p = compshare__params_find(set, key);
    return p != NULL ? p->text : NULL;
}

/* Adds one of the client's own parameters, COMPSHARE__PARAMS_OWN_*; its text is borrowed.
   Nothing is added if value is NULL, or if the caller has given a parameter of that name. */
static void compshare__params_own(compshare__params *set, size_t which, const char *value)
{
    static const char *const keys[COMPSHARE__PARAMS_OWN] = {
        "Action", "PublicKey", "SecurityToken", "Region", "Zone", "ProjectId", "Signature"
    };
    compshare_param *p = &set->own[which];
    if (value == NULL) return;
    *p = compshare__params_make(keys[which], value, 0, COMPSHARE__PARAMS_TEXT);
    (void)compshare__params_insert(set, COMPSHARE_MAX_PARAMS + which, p);
}

/* Signs the set, which is complete, and adds the Signature to it. Signature = lower-case hex
   SHA-1 of every name and raw value in order, then the private key (UCloud API, "signature").
   The text is hashed part by part and never stands in memory as a whole, as it ends with the
   private key. */
static void compshare__params_sign(compshare__params *set, const char *private_key)
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
    compshare__params_own(set, COMPSHARE__PARAMS_OWN_SIGNATURE, set->signature);
}

/* ---- public ---- */

COMPSHARE__DEF compshare_param compshare_text(const char *key, const char *value)
{
    return compshare__params_make(key, value, 0, COMPSHARE__PARAMS_TEXT);
}

COMPSHARE__DEF compshare_param compshare_int(const char *key, int64_t value)
{
    return compshare__params_make(key, NULL, value, COMPSHARE__PARAMS_INT);
}

COMPSHARE__DEF compshare_param compshare_bool(const char *key, bool value)
{
    return compshare__params_make(key, value ? "true" : "false", 0, COMPSHARE__PARAMS_TEXT);
}

COMPSHARE__DEF compshare_param compshare_decimal(const char *key, const char *value)
{
    return compshare__params_make(key, value, 0, COMPSHARE__PARAMS_DECIMAL);
}

/* ==== encode =================================================================================
   Turns the sorted parameters into a form body, and writes the heads of requests. The body is
   written piece by piece into the buffer that is then encrypted, and anew each time that it is
   sent. Pure: touches only its arguments. Must never keep a copy of a body: whoever has a signed
   one can repeat that request without the key. */

/* The Content-Length: how many bytes compshare__encode_body writes in all.
   application/x-www-form-urlencoded: unreserved characters (RFC 3986 2.3) stay, a space becomes
   '+', every other byte %XX. */
static size_t compshare__encode_length(const compshare__params *set)
{
    char scratch[24];
    size_t part, i, total = 0;
    for (part = 0; part < 2 * set->count; part++) {
        compshare_view v = compshare__params_part(set, part, scratch);
        total += v.len + (part > 0);        /* '=' or '&' */
        for (i = 0; i < v.len; i++)
            if (v.ptr[i] != ' '
                && !compshare__bytes_in((unsigned char)v.ptr[i],
                    COMPSHARE__BYTES_UNRESERVED)) total += 2;
    }
    return total;
}

/* How much of the body has been written: all parts before `part` (see compshare__params_part),
   and `byte` bytes of that. Zero is the beginning. */
typedef struct compshare__encode {
    size_t part, byte;
} compshare__encode;

/* Writes the next bytes of the body, as many as fit, and returns their number; 0: it is
   complete. cap must be 3 or more, as a %XX is never cut. So a call may return less than cap
   before the end. Unreserved characters are copied in runs; then comes one that is not, or the
   '=' or '&' behind a part. */
static size_t compshare__encode_body(compshare__encode *e, const compshare__params *set,
    unsigned char *dst, size_t cap)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    while (e->part < 2 * set->count && cap - n >= 3) {
        char scratch[24];
        compshare_view part = compshare__params_part(set, e->part, scratch);
        while (e->byte < part.len && cap - n >= 3) {
            const char *from = part.ptr + e->byte;
            size_t left = part.len - e->byte, most = left < cap - n ? left : cap - n;
            size_t run = compshare__bytes_run(from, most, COMPSHARE__BYTES_UNRESERVED);
            memcpy(dst + n, from, run);
            n += run;
            e->byte += run;
            if (run == left || cap - n < 3) break;
            /* the byte behind the run is not unreserved */
            e->byte++;
            if (from[run] == ' ') { dst[n++] = '+'; continue; }
            dst[n++] = '%';
            dst[n++] = (unsigned char)digits[(unsigned char)from[run] >> 4];
            dst[n++] = (unsigned char)digits[from[run] & 15];
        }
        if (e->byte < part.len || (cap == n && e->part + 1 < 2 * set->count)) break;
        /* the part is complete: on to the next one, with what separates them */
        e->byte = 0;
        if (++e->part < 2 * set->count) dst[n++] = e->part % 2 != 0 ? '=' : '&';
    }
    return n;
}

/* What differs between the heads of requests. */
typedef struct compshare__encode_fields {
    const char *host;           /* the server's, without a port */
    uint16_t port;              /* 0: the scheme's own, not shown */
    compshare_view path;
    const char *user_agent;
    size_t content_length;      /* compshare__encode_length */
    int64_t timestamp_ms;       /* of the client's clock, since 1970 */
    bool csv;                   /* the action may answer with text/csv */
} compshare__encode_fields;

/* Writes the head of a request, RFC 9112 3 and 5, and returns its length. cap is
   COMPSHARE__ENCODE_HEAD_MOST at least: the head must not be cut. No Accept-Encoding: nothing
   here can decompress. */
static size_t compshare__encode_head(const compshare__encode_fields *h, char *dst, size_t cap)
{
    compshare__bytes_text t = compshare__bytes_into(dst, cap);
    compshare__bytes_put(&t, "POST ");
    compshare__bytes_append(&t, h->path.ptr, h->path.len);
    compshare__bytes_form(&t, " HTTP/1.1\r\nHost: %s", h->host);
    if (h->port != 0) compshare__bytes_form(&t, ":%d", h->port);
    compshare__bytes_form(&t, "\r\nUser-Agent: %s\r\nAccept: application/json%s\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        "Content-Length: %l\r\nU-Timestamp-Ms: %l\r\n\r\n",
        h->user_agent, h->csv ? ", text/csv" : "", (int64_t)h->content_length, h->timestamp_ms);
    return t.len;
}

/* Appends the base64 (RFC 4648 4) of "user:password", RFC 7617 2, and decodes the
   percent-escapes of the URL that the credentials come from; room config has checked these.
   "user" alone has an empty password: the ':' is added. `bits` collects bytes, 8 bits each, and
   gives digits, 6 bits each; `have` of its low bits are not written yet. */
static void compshare__encode_basic(compshare__bytes_text *t, compshare_view credentials)
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
        /* digits of 6 bits, as many as there are; older bits of `bits` are shifted out or masked */
        bits = bits << 8 | (unsigned char)c;
        for (have += 8; have >= 6; have -= 6)
            compshare__bytes_append(t, &digits[bits >> (have - 6) & 63], 1);
    }
    if (have > 0) compshare__bytes_append(t, &digits[bits << (6 - have) & 63], 1);
    while ((t->len - start) % 4 != 0) compshare__bytes_put(t, "=");
}

/* Writes the request for a tunnel through a proxy, RFC 9110 9.3.6, and returns its length.
   credentials: those of the proxy's URL; empty: none. cap is COMPSHARE__TX, which is enough. */
static size_t compshare__encode_connect(const char *host, uint16_t port,
    compshare_view credentials, char *dst, size_t cap)
{
    compshare__bytes_text t = compshare__bytes_into(dst, cap);
    compshare__bytes_form(&t, "CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n", host, port, host, port);
    if (credentials.len > 0) {
        compshare__bytes_put(&t, "Proxy-Authorization: Basic ");
        compshare__encode_basic(&t, credentials);
        compshare__bytes_put(&t, "\r\n");
    }
    compshare__bytes_put(&t, "\r\n");
    return t.len;
}
/* The longest request for a tunnel that the limits allow fits tx; 90 bytes are for its fixed parts
   and the ports. */
typedef char compshare__assert_connect[2 * COMPSHARE__HOST_MAX
    + COMPSHARE__CREDENTIALS_MAX * 4 / 3 + 90 < COMPSHARE__TX ? 1 : -1];

/* The longest head that the limits allow; it must fit one small record. */
#define COMPSHARE__ENCODE_HEAD_MOST \
    (COMPSHARE__PATH_MAX + COMPSHARE__HOST_MAX + COMPSHARE__USER_AGENT_MAX + 320u)
typedef char compshare__assert_head[COMPSHARE__ENCODE_HEAD_MOST < 4096 ? 1 : -1];

/* ==== http ===================================================================================
   Reads one response, RFC 9112, from bytes that arrive in pieces of any size. Pure: touches only
   its own state. Must never guess: a length that is not certain, a line that does not end in
   CRLF, and two ways to find the end of the body are errors. By the reply to a signed request
   people decide whether a machine is still on.

     head    STATUS -> VALUE (the reason) -> LINE_LF -> LINE
             LINE -> NAME -> VALUE -> LINE_LF -> LINE            for each field
             LINE -> HEAD_LF -> BODY, SIZE or DONE; after a 1xx: STATUS
     body    BODY -> DONE                                        with a length, or none
     chunks  SIZE -> SIZE_SPACE -> EXT -> SIZE_LF -> BODY -> CHUNK_CR -> CHUNK_LF -> SIZE
             (SIZE_SPACE and EXT may be missing; the last chunk: SIZE_LF -> LINE, its trailer
             section, a second head whose HEAD_LF leads to DONE)

   Any of them leads to FAILED. */

/* What is read next. The order of the groups counts, as states are compared with < and >=: a head,
   the lines around a chunk, a body, the end. */
enum {
    COMPSHARE__HTTP_STATUS,     /* the status line up to its code */
    COMPSHARE__HTTP_LINE,       /* the first byte of a line */
    COMPSHARE__HTTP_NAME,       /* a field's name, after its first byte */
    COMPSHARE__HTTP_VALUE,      /* what follows its colon; the reason behind a status code */
    COMPSHARE__HTTP_LINE_LF,    /* the LF of a line; its CR was there */
    COMPSHARE__HTTP_HEAD_LF,    /* the LF of the empty line behind head or trailer section */
    COMPSHARE__HTTP_SIZE,       /* a chunk's size */
    COMPSHARE__HTTP_SIZE_SPACE, /* blanks behind it: a ; must follow */
    COMPSHARE__HTTP_EXT,        /* chunk extensions */
    COMPSHARE__HTTP_SIZE_LF,    /* the LF behind these */
    COMPSHARE__HTTP_CHUNK_CR, COMPSHARE__HTTP_CHUNK_LF,     /* the CRLF behind a chunk */
    COMPSHARE__HTTP_BODY,       /* the body, or a chunk of it */
    COMPSHARE__HTTP_DONE,       /* complete: what comes now is not part of it */
    COMPSHARE__HTTP_FAILED      /* malformed or cut off: see reason */
};

struct compshare__http_field;

/* One response, as far as it has been read. Field values are valid once the head is complete. */
typedef struct compshare__http {
    int state;                  /* COMPSHARE__HTTP_* */
    int status;                 /* 0 until the status line is complete */
    int minor;                  /* HTTP/1.minor */
    const char *reason;         /* why it failed */
    size_t head_bytes;          /* of the head, or of the trailer section */
    size_t line_bytes;          /* of one line of it */
    size_t ext_bytes;           /* of all chunk extensions */
    unsigned interim;           /* 1xx responses skipped */
    bool tunnel;                /* the reply to a CONNECT: its head is all there is */
    bool trailer;               /* header lines now belong to the trailer section */
    bool has_length, chunked;   /* with neither the end of the stream ends the body */
    bool saw_close, saw_keep_alive;     /* options seen in Connection */
    bool keep_alive;            /* the connection may carry another request */
    bool encoded;               /* Content-Encoding other than identity */
    uint64_t length;            /* bytes left of the body or chunk; a chunk's size so far */
    size_t digits;              /* of a chunk's size, so far: leading zeros are limited too */
    uint64_t received;          /* body bytes so far */
    int64_t date;               /* Date in Unix seconds, 0 if absent or unreadable */
    int64_t retry_after_s;      /* Retry-After in seconds, -1 if absent */
    int64_t retry_after_date;   /* Retry-After as a date in Unix seconds, 0 if absent */
    bool pending;               /* a field's line has begun, and the next one may continue it */
    bool value_overflow;        /* its value was longer than `value` */
    const struct compshare__http_field *field;      /* of the line; NULL: none that matters */
    size_t name_len, value_len;
    char name[32];              /* of the field, in lower case, cut; of the status line, all up
                                   to its code */
    char value[160];            /* of a field that matters, without the blanks before it */
    char content_type[64];      /* media type in lower case, without parameters */
    char request_id[64];        /* X-UCLOUD-REQUEST-UUID, printable ASCII */
} compshare__http;

/* Begins a response. tunnel: to a CONNECT request, which has no body. */
static void compshare__http_init(compshare__http *h, bool tunnel)
{
    memset(h, 0, sizeof *h);
    h->retry_after_s = -1;
    h->tunnel = tunnel;
}

/* Ends the response as malformed; the first reason stays, as nothing is read after it. */
static void compshare__http_fail(compshare__http *h, const char *reason)
{
    h->state = COMPSHARE__HTTP_FAILED;
    h->reason = reason;
}

/* ---- Date: the three forms of RFC 9110 5.6.7 ---- */

/* 1 to 12 for the three letters at name, or 0. */
static int compshare__http_month(const char *name)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int i;
    for (i = 0; i < 12; i++)
        if (memcmp(names + 3 * i, name, 3) == 0) return i + 1;
    return 0;
}

/* Reads v by a form of the same length: a digit 0 to 5 takes a digit into that field (0 year, 2
   day, 3 hour, 4 minute, 5 second), 111 takes a month's name into field 1, _ a day's first
   digit or a space, ? a letter; anything else stands for itself. The fields are 0 before.
   False: v does not have the form. */
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

/* Leap days of all years before this one. */
static int compshare__http_leap_days(int year)
{
    year--;
    return year / 4 - year / 100 + year / 400;
}

/* A date in any of the three forms, in seconds since 1970 UTC; 0: it is none, or before 1970. A
   two-digit year from 70 on is 19xx. Second 60 is a leap second. */
static int64_t compshare__http_date(compshare_view v)
{
    /* days of a common year before each month */
    static const uint16_t before[12] = {
        0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334
    };
    const char *form = "??? 111 _2 33:44:55 0000";
    int f[6] = { 0, 0, 0, 0, 0, 0 }, days;
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
    if (f[0] < 1970 || f[2] < 1 || f[2] > compshare__bytes_days(f[0], f[1])) return 0;
    if (f[3] > 23 || f[4] > 59 || f[5] > 60) return 0;
    /* days before this day in its month, before its month, and before its year */
    days = f[2] - 1 + before[f[1] - 1] + (f[1] > 2 && compshare__bytes_days(f[0], 2) == 29);
    days += 365 * (f[0] - 1970) + compshare__http_leap_days(f[0]) - compshare__http_leap_days(1970);
    return (int64_t)days * 86400 + (f[3] * 60 + f[4]) * 60 + f[5];
}

/* ---- header fields: each function returns NULL, or why the reply is malformed ---- */

static bool compshare__http_is_blank(int c)
{
    return c == ' ' || c == '\t';
}

/* Without the blanks around it, RFC 9110 5.5. */
static compshare_view compshare__http_trim(const char *ptr, size_t len)
{
    compshare_view v;
    while (len > 0 && compshare__http_is_blank(ptr[len - 1])) len--;
    while (len > 0 && compshare__http_is_blank(*ptr)) { ptr++; len--; }
    v.ptr = ptr;
    v.len = len;
    return v;
}

/* Takes the next element of a comma-separated list (RFC 9110 5.6.1) off v, without the blanks
   around it; it may be empty. True: another follows. */
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

/* Whether v is this text, in any case; `lower` is in lower case. */
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
        if (!compshare__bytes_number(e, UINT64_MAX, &length))
            return "Content-Length is not a decimal number of at most 64 bits";
        if (h->has_length && h->length != length) return "two Content-Length values differ";
        h->has_length = true;
        h->length = length;
    } while (more);
    return NULL;
}

/* RFC 9112 6.1. Only "chunked", once: the client asks for no other coding and can decode none. */
static const char *compshare__http_transfer_encoding(compshare__http *h, compshare_view v)
{
    if (h->chunked || !compshare__http_is(v, "chunked"))
        return "Transfer-Encoding is not exactly \"chunked\"";
    h->chunked = true;
    return NULL;
}

/* RFC 9110 7.6.1. A value that did not fit may have named "close" in its lost part, and is
   taken to have done so. */
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

/* RFC 9110 8.4. Only noted: what cannot be decoded is refused when the reply is judged. */
static const char *compshare__http_content_encoding(compshare__http *h, compshare_view v)
{
    h->encoded = h->encoded || !compshare__http_is(v, "identity");
    return NULL;
}

/* Copies what may go into an error text: what fits, with ? for all but printable ASCII. Nothing
   if there is a '=' in it: it may then be the body of the request, which the server has sent
   back, and a signed body is a secret. */
static void compshare__http_keep(char dst[64], const char *src, size_t len)
{
    size_t n, most = len < 63 ? len : 63;
    if (compshare__bytes_find(src, len, '=') < len) most = 0;
    for (n = 0; n < most; n++) dst[n] = src[n] > 0x20 && src[n] < 0x7F ? src[n] : '?';
    dst[n] = '\0';
}

/* RFC 9110 8.3.1: the media type only, without its parameters. */
static const char *compshare__http_content_type(compshare__http *h, compshare_view v)
{
    size_t len = 0;
    char *c;
    while (len < v.len && v.ptr[len] != ';' && !compshare__http_is_blank(v.ptr[len])) len++;
    compshare__http_keep(h->content_type, v.ptr, len);
    for (c = h->content_type; *c != '\0'; c++) *c = compshare__bytes_lower(*c);
    return NULL;
}

/* RFC 9110 6.6.1. The server's clock is set by it. */
static const char *compshare__http_date_field(compshare__http *h, compshare_view v)
{
    h->date = compshare__http_date(v);
    return NULL;
}

/* RFC 9110 10.2.3: seconds, of which more than INT32_MAX count as that; else a date. An
   unreadable value counts as none, so the reply stays good. */
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

/* The server's name for this request: people who ask the provider for help need it. */
static const char *compshare__http_request_id(compshare__http *h, compshare_view v)
{
    compshare__http_keep(h->request_id, v.ptr, v.len);
    return NULL;
}

/* The fields that matter. The first two say where the body ends: compshare__http_line relies on
   their places. compshare__http.name has room for each of these names, so that one which was
   cut equals none of them. */
static const struct compshare__http_field {
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

/* A field's name is complete. Fields of a trailer section are checked for form and dropped: RFC
   9110 6.5.1 forbids merging them into the head. */
static void compshare__http_name(compshare__http *h)
{
    const struct compshare__http_field *f = compshare__http_fields;
    size_t left = sizeof compshare__http_fields / sizeof *f;
    h->name[h->name_len] = '\0';
    h->state = COMPSHARE__HTTP_VALUE;
    h->pending = true;
    h->value_overflow = false;
    h->value_len = 0;
    h->field = NULL;
    if (h->trailer) return;
    for (; left > 0; left--, f++)
        if (h->name[0] == f->name[0] && compshare__bytes_equal(h->name, f->name)) break;
    if (left > 0) h->field = f;
}

/* A field is complete, with all its continuation lines: its function takes the value. In the
   reply to a CONNECT the two fields that say where a body ends are ignored, in any form: there
   is no body, RFC 9110 9.3.6. */
static const char *compshare__http_line(compshare__http *h)
{
    bool framing = h->field == compshare__http_fields || h->field == compshare__http_fields + 1;
    h->pending = false;
    if (h->field == NULL || (h->tunnel && framing)) return NULL;
    if (h->value_overflow && framing)
        return "a Content-Length or Transfer-Encoding header is too long";
    return h->field->take(h, compshare__http_trim(h->value, h->value_len));
}

/* The head is complete: where does the body end? RFC 9112 6.3:

     reply to a CONNECT, 204, 304      there is no body
     Transfer-Encoding: chunked        behind the chunk of size 0
     Content-Length                    after so many bytes
     neither                           with the stream; the connection cannot be used again

   Two answers at once are an error, as they are the means of request smuggling (RFC 9112 11.2).
   An interim response (1xx, RFC 9110 15.2) is dropped, and the next head begins. */
static const char *compshare__http_framing(compshare__http *h)
{
    if (h->status == 101) {
        h->status = 0;
        return "101 Switching Protocols was not asked for";
    }
    if (h->status < 200) {
        unsigned interim = h->interim + 1;
        /* only the number of interim responses survives: none of their fields count */
        compshare__http_init(h, h->tunnel);
        h->interim = interim;
        return interim > COMPSHARE__HTTP_INTERIM_MAX ? "too many 1xx responses" : NULL;
    }
    /* RFC 9112 9.3: HTTP/1.1 keeps a connection unless told to close it, HTTP/1.0 the other way */
    h->keep_alive = !h->saw_close && (h->minor >= 1 || h->saw_keep_alive);
    h->state = COMPSHARE__HTTP_DONE;
    if (h->tunnel || h->status == 204 || h->status == 304) return NULL;
    if (h->chunked && h->has_length) return "both Transfer-Encoding and Content-Length are present";
    if (h->chunked && h->minor == 0) return "Transfer-Encoding in an HTTP/1.0 response";
    if (h->chunked) {
        h->state = COMPSHARE__HTTP_SIZE;
    } else if (!h->has_length) {
        h->keep_alive = false;
        h->length = UINT64_MAX;     /* never reached: the end of the stream ends the body */
    }
    if (h->length > 0) h->state = COMPSHARE__HTTP_BODY;
    return NULL;
}

/* ---- a head: each function returns NULL, or why it is malformed ---- */

/* A byte of the status line up to the blank behind its code, RFC 9112 4. That blank may be
   missing if no reason follows. */
static const char *compshare__http_status_byte(compshare__http *h, unsigned char c)
{
    static const char form[] = "HTTP/1.# ### ";     /* #: a digit */
    enum { code = 9, behind = 12 };
    size_t at = h->name_len;
    bool fits = form[at] == '#' ? compshare__bytes_digit(c) : c == (unsigned char)form[at];
    if (at == code) fits = c >= '1' && c <= '5';
    if (at == behind) fits = c == ' ' || c == '\r';
    if (!fits && at < code) return "the reply does not begin with an HTTP/1 status line";
    if (!fits) return "the status code is not three digits from 100 to 599";
    if (at < behind) h->name[h->name_len++] = (char)c;
    else h->state = c == ' ' ? COMPSHARE__HTTP_VALUE : COMPSHARE__HTTP_LINE_LF;
    return NULL;
}

/* Adds a piece to the value, and notes if that does not fit. Blanks in front of the value are
   dropped, as are those at the end of a piece that do not fit: compshare__http_trim would drop
   them later. */
static void compshare__http_keep_value(compshare__http *h, const char *src, size_t len)
{
    size_t room = sizeof h->value - h->value_len;
    while (len > 0 && h->value_len == 0 && compshare__http_is_blank(*src)) { src++; len--; }
    while (len > room && compshare__http_is_blank(src[len - 1])) len--;
    if (len > room) { h->value_overflow = true; len = room; }
    memcpy(h->value + h->value_len, src, len);
    h->value_len += len;
}

/* The first byte of a line, which shows what the line before was: a blank continues its value
   (obs-fold, RFC 9112 5.2, which becomes a space); anything else ends its field, and is the end
   of the head or the beginning of a new field. */
static const char *compshare__http_line_byte(compshare__http *h, unsigned char c)
{
    const char *reason = NULL;
    if (h->pending && compshare__http_is_blank(c)) {
        h->state = COMPSHARE__HTTP_VALUE;
        compshare__http_keep_value(h, " ", 1);
        return NULL;
    }
    if (h->pending) reason = compshare__http_line(h);
    if (reason != NULL) return reason;
    h->state = c == '\r' ? COMPSHARE__HTTP_HEAD_LF : COMPSHARE__HTTP_NAME;
    if (c != '\r' && !compshare__bytes_in(c, COMPSHARE__BYTES_TOKEN))
        return "a header line does not begin with a name";
    h->name[0] = (char)(c | 0x20);      /* lower case, if it is a letter */
    h->name_len = 1;
    return NULL;
}

/* Takes the bytes at the beginning of src that continue a name or a value without a change of
   state, as far as the limits of head and line allow. Returns their number, which may be 0. */
static size_t compshare__http_run(compshare__http *h, const char *src, size_t len)
{
    size_t n = 0;
    size_t head = COMPSHARE__HTTP_HEAD_MAX - h->head_bytes;
    size_t line = COMPSHARE__HTTP_LINE_MAX - h->line_bytes;
    if (h->state != COMPSHARE__HTTP_NAME && h->state != COMPSHARE__HTTP_VALUE) return 0;
    if (len > head) len = head;
    if (len > line) len = line;
    if (h->state == COMPSHARE__HTTP_NAME) {
        for (; n < len && compshare__bytes_in((unsigned char)src[n], COMPSHARE__BYTES_TOKEN); n++)
            if (h->name_len < sizeof h->name - 1)
                h->name[h->name_len++] = (char)(src[n] | 0x20);     /* lower case, of letters */
    } else {
        /* nearly all bytes are above CR, and need no more comparisons */
        while (n < len && ((unsigned char)src[n] > '\r'
            || (src[n] != '\r' && src[n] != '\n' && src[n] != '\0'))) n++;
        if (h->field != NULL) compshare__http_keep_value(h, src, n);
    }
    h->head_bytes += n;
    h->line_bytes += n;
    return n;
}

/* A line has ended with CRLF: only now the whole status line is known to be well-formed, and
   its code counts. */
static const char *compshare__http_line_end(compshare__http *h)
{
    bool last = h->state == COMPSHARE__HTTP_HEAD_LF;
    const char *code = h->name + 9;
    h->line_bytes = 0;
    if (last && !h->trailer) return compshare__http_framing(h);
    h->state = last ? COMPSHARE__HTTP_DONE : COMPSHARE__HTTP_LINE;
    if (h->status != 0) return NULL;
    h->minor = h->name[7] - '0';
    h->status = 100 * (code[0] - '0') + 10 * (code[1] - '0') + code[2] - '0';
    return NULL;
}

/* Takes one byte of a head that compshare__http_run does not take: one that changes the state,
   or that exceeds a limit. */
static const char *compshare__http_head_byte(compshare__http *h, unsigned char c)
{
    if (++h->head_bytes > COMPSHARE__HTTP_HEAD_MAX)
        return "the head or trailer is longer than 32,768 bytes";
    if (++h->line_bytes > COMPSHARE__HTTP_LINE_MAX)
        return "a line of the head is longer than 8,192 bytes";
    switch (h->state) {
    case COMPSHARE__HTTP_STATUS: return compshare__http_status_byte(h, c);
    case COMPSHARE__HTTP_LINE: return compshare__http_line_byte(h, c);
    case COMPSHARE__HTTP_NAME:
        if (c != ':')
            return "a header name holds a character that is not allowed, or has no colon";
        compshare__http_name(h);
        return NULL;
    case COMPSHARE__HTTP_VALUE:
        h->state = COMPSHARE__HTTP_LINE_LF;
        if (c == '\r') return NULL;
        return h->status == 0 ? "the status line holds a bare LF or a NUL"
            : "a header line holds a bare LF or a NUL";
    default: return c == '\n' ? compshare__http_line_end(h) : "a CR is not followed by LF";
    }
}

/* ---- one byte around a chunk, RFC 9112 7.1: NULL, or why it is malformed ----

     5;extension CRLF     size in hexadecimal digits
     12345 CRLF           so many bytes of the body
     0 CRLF               the last chunk
     CRLF                 the end of the trailer section, here an empty one */

/* A byte of a chunk extension, RFC 9112 7.1.1: checked for form, counted and dropped. */
static const char *compshare__http_ext_byte(compshare__http *h, unsigned char c)
{
    if (c == '\r') { h->state = COMPSHARE__HTTP_SIZE_LF; return NULL; }
    if ((c < 0x20 && c != '\t') || c == 0x7F) return "a chunk extension holds a control character";
    if (++h->ext_bytes <= COMPSHARE__HTTP_EXT_MAX) return NULL;
    return "chunk extensions are longer than 4,096 bytes";
}

/* A byte of a chunk's size, or of the blanks that may stand between it and a ';', which count
   as part of the extensions. */
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
    return compshare__http_ext_byte(h, c);
}

/* The LF behind a chunk's size, or behind its data. A chunk of size 0 is the last, and the
   trailer section begins. */
static const char *compshare__http_chunk_lf(compshare__http *h)
{
    if (h->state == COMPSHARE__HTTP_CHUNK_LF) {
        h->digits = 0;
        h->state = COMPSHARE__HTTP_SIZE;
    } else if (h->length > 0) {
        h->state = COMPSHARE__HTTP_BODY;
    } else {
        /* the trailer section is read like a head, with the same limits of its own */
        h->trailer = true;
        h->head_bytes = 0;
        h->state = COMPSHARE__HTTP_LINE;
    }
    return NULL;
}

/* A byte of the lines around chunks. */
static const char *compshare__http_chunk_byte(compshare__http *h, unsigned char c)
{
    switch (h->state) {
    case COMPSHARE__HTTP_SIZE:
    case COMPSHARE__HTTP_SIZE_SPACE: return compshare__http_size_byte(h, c);
    case COMPSHARE__HTTP_EXT: return compshare__http_ext_byte(h, c);
    case COMPSHARE__HTTP_CHUNK_CR:
        h->state = COMPSHARE__HTTP_CHUNK_LF;
        return c != '\r' ? "chunk data is longer than its size" : NULL;
    default: return c == '\n' ? compshare__http_chunk_lf(h) : "a CR is not followed by LF";
    }
}

/* ---- the whole ---- */

/* Takes bytes from src, and returns how many. It stops behind the first piece of body, which is
   *body then (inside src; without a piece: ptr NULL, len 0): call again with the rest. It takes
   nothing in the states DONE and FAILED; bytes left over in DONE do not belong to this reply. */
static size_t compshare__http_feed(compshare__http *h, const unsigned char *src, size_t len,
    compshare_view *body)
{
    const char *at = (const char *)src;
    size_t i = 0, n = 0;
    while (i < len && h->state < COMPSHARE__HTTP_BODY) {
        const char *reason = NULL;
        if (h->state >= COMPSHARE__HTTP_SIZE) {
            reason = compshare__http_chunk_byte(h, src[i++]);
        } else {
            i += compshare__http_run(h, at + i, len - i);
            if (i < len) reason = compshare__http_head_byte(h, src[i++]);
        }
        if (reason != NULL) compshare__http_fail(h, reason);
    }
    /* what is left of src, as far as the body or this chunk goes */
    if (h->state == COMPSHARE__HTTP_BODY) n = h->length < len - i ? (size_t)h->length : len - i;
    h->length -= n;
    h->received += n;
    if (n > 0 && h->length == 0)
        h->state = h->chunked ? COMPSHARE__HTTP_CHUNK_CR : COMPSHARE__HTTP_DONE;
    body->ptr = n > 0 ? at + i : NULL;
    body->len = n;
    return i + n;
}

/* The stream has ended: DONE or FAILED. orderly: with close_notify, which proves that nothing
   was cut off (RFC 5246 7.2.1). Only then can the end of the stream be the end of a body. */
static void compshare__http_end(compshare__http *h, bool orderly)
{
    const char *reason = "the connection was closed in the middle of the reply's head";
    /* a body without a length, which only the end of the stream can end */
    bool to_close = h->state == COMPSHARE__HTTP_BODY && !h->chunked && !h->has_length;
    if (h->state >= COMPSHARE__HTTP_DONE) return;
    if (h->state >= COMPSHARE__HTTP_SIZE || h->trailer)
        reason = "the connection was closed in the middle of the reply's body";
    if (h->state == COMPSHARE__HTTP_STATUS && h->name_len == 0)
        reason = "the connection was closed without a reply";
    if (to_close)
        reason = "the connection was cut: no length was given and no close_notify came";
    if (to_close && orderly) h->state = COMPSHARE__HTTP_DONE;
    else compshare__http_fail(h, reason);
}

/* ==== json ===================================================================================
   Strict validator of one JSON document, RFC 8259, from bytes that arrive in pieces of any size,
   without recursion; and the text of strings in a document that it has accepted. Pure: touches
   only its arguments. Must never accept what is not JSON: the rooms below rely on it, and none of
   them checks again.

     value     VALUE -> STRING, LITERAL, a number's state, FIRST_VALUE for [, FIRST_KEY for {
     array     FIRST_VALUE -> value -> AFTER -> , VALUE -> value -> AFTER -> ]
     object    FIRST_KEY -> STRING -> COLON -> VALUE -> value -> AFTER -> , KEY ... AFTER -> }
     string    STRING -> ESCAPE -> STRING or HEX -> STRING; STRING -> UTF8 -> STRING
     number    MINUS -> ZERO or INT -> POINT -> FRACTION -> E -> E_SIGN -> EXPONENT, where parts
               may be missing: see compshare__json_number_next

   A value that ends leads to AFTER inside of a container, else to END. */

/* Where in the document the next byte stands. The order of the four groups counts, as states are
   compared with < and >=. */
enum {
    /* between values, where white space may stand */
    COMPSHARE__JSON_VALUE,          /* a value is next */
    COMPSHARE__JSON_FIRST_VALUE,    /* in an array: a value or ] */
    COMPSHARE__JSON_KEY,            /* a member's name is next */
    COMPSHARE__JSON_FIRST_KEY,      /* in an object: a name or } */
    COMPSHARE__JSON_COLON,          /* behind a name */
    COMPSHARE__JSON_AFTER,          /* behind a value in a container: a comma or its bracket */
    COMPSHARE__JSON_END,            /* behind the whole */
    COMPSHARE__JSON_FAILED,         /* it is not JSON: see reason */
    /* in a string or a literal */
    COMPSHARE__JSON_STRING,
    COMPSHARE__JSON_ESCAPE,         /* behind a backslash */
    COMPSHARE__JSON_HEX,            /* in the four digits of \u */
    COMPSHARE__JSON_UTF8,           /* in a character of several bytes */
    COMPSHARE__JSON_LITERAL,        /* in true, false or null */
    /* in a number that may not end here */
    COMPSHARE__JSON_MINUS,          /* behind its sign */
    COMPSHARE__JSON_POINT,          /* behind the point */
    COMPSHARE__JSON_E,              /* behind the e */
    COMPSHARE__JSON_E_SIGN,         /* behind the sign of the exponent */
    /* in a number that may end here */
    COMPSHARE__JSON_ZERO,           /* behind a leading 0 */
    COMPSHARE__JSON_INT,            /* in other digits before the point */
    COMPSHARE__JSON_FRACTION,       /* in those behind it */
    COMPSHARE__JSON_EXPONENT        /* in those of the exponent */
};

/* Events: what has happened to a value, or to the name of a member. The functions below that
   return `unsigned` return one of these, or 0.

     {"A":[42]}
     {       BEGIN
     "       BEGIN | IS_KEY
     "       ENDS | IS_KEY
     [       BEGIN
     4       BEGIN
     ]       ENDS: it shows that 42 has ended, and is not taken yet
     ]       ENDS: it is taken, and ends the array
     }       ENDS */
#define COMPSHARE__JSON_BEGIN 1u        /* it begins with the last byte taken */
#define COMPSHARE__JSON_ENDS 2u         /* it ends with that byte */
#define COMPSHARE__JSON_IS_KEY 4u       /* beside one of these: it is a name */

/* One document, as far as it has been read. All zero is its beginning: COMPSHARE__JSON_VALUE. */
typedef struct compshare__json {
    int state;                  /* COMPSHARE__JSON_* */
    int depth;                  /* how many containers are open */
    uint64_t kinds;             /* of the open containers, the innermost in bit 0: 1 is an object */
    bool is_key;                /* the string being read is a key */
    unsigned left;              /* hex digits or UTF-8 bytes still to come */
    unsigned char low, high;    /* range that the next UTF-8 byte must be in */
    const char *literal;        /* rest of true, false, null */
    uint64_t at;                /* bytes taken */
    const char *reason;         /* why it failed */
} compshare__json;

static void compshare__json_init(compshare__json *j)
{
    memset(j, 0, sizeof *j);
}

/* The document is not JSON: nothing more is taken, and nothing has happened. */
static unsigned compshare__json_fail(compshare__json *j, const char *reason)
{
    j->state = COMPSHARE__JSON_FAILED;
    j->reason = reason;
    return 0;
}

/* A value has ended: a part of a container, or the whole document. */
static unsigned compshare__json_end_value(compshare__json *j)
{
    j->state = j->depth > 0 ? COMPSHARE__JSON_AFTER : COMPSHARE__JSON_END;
    return COMPSHARE__JSON_ENDS;
}

/* A container begins, below which values or members are expected. */
static unsigned compshare__json_open(compshare__json *j, bool object)
{
    if (j->depth == COMPSHARE__JSON_DEPTH_MAX)
        return compshare__json_fail(j, "it is nested deeper than 64 levels");
    j->depth++;
    j->kinds = j->kinds << 1 | object;
    j->state = object ? COMPSHARE__JSON_FIRST_KEY : COMPSHARE__JSON_FIRST_VALUE;
    return COMPSHARE__JSON_BEGIN;
}

/* A container ends, which was opened as an object or as an array. */
static unsigned compshare__json_close(compshare__json *j, bool object)
{
    if ((j->kinds & 1) != object) return compshare__json_fail(j, "a bracket does not match");
    j->depth--;
    j->kinds >>= 1;
    return compshare__json_end_value(j);
}

/* The first byte of a value. */
static unsigned compshare__json_begin(compshare__json *j, unsigned char c)
{
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

/* The first byte of a UTF-8 character, RFC 3629 4. The range of the second byte excludes
   surrogates (ED), overlong forms (E0, F0) and codes above U+10FFFF (F4). */
static unsigned compshare__json_utf8(compshare__json *j, unsigned char c)
{
    if (c < 0xC2 || c > 0xF4) return compshare__json_fail(j, "it is not UTF-8");
    j->left = (unsigned)compshare__bytes_utf8(c) - 1;
    j->low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    j->high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    j->state = COMPSHARE__JSON_UTF8;
    return 0;
}

/* The quote at the end of a string: of a name, or of a value. */
static unsigned compshare__json_string_end(compshare__json *j)
{
    if (!j->is_key) return compshare__json_end_value(j);
    j->state = COMPSHARE__JSON_COLON;
    return COMPSHARE__JSON_ENDS | COMPSHARE__JSON_IS_KEY;
}

/* A byte inside of a string that does not simply stand for itself, or a byte of a literal.
   Escapes of single surrogates are accepted: a name that a user chose must not make a whole
   list unreadable. compshare__json_unicode replaces them. */
static unsigned compshare__json_string_byte(compshare__json *j, unsigned char c)
{
    switch (j->state) {
    case COMPSHARE__JSON_STRING:
        if (c == '"') return compshare__json_string_end(j);
        if (c == '\\') { j->state = COMPSHARE__JSON_ESCAPE; return 0; }
        if (c < 0x20) return compshare__json_fail(j, "a string holds a control character");
        return compshare__json_utf8(j, c);
    case COMPSHARE__JSON_ESCAPE:
        if (c == 'u') { j->left = 4; j->state = COMPSHARE__JSON_HEX; return 0; }
        if (!compshare__bytes_among((char)c, "\"\\/bfnrt"))
            return compshare__json_fail(j, "a string holds an unknown escape");
        j->state = COMPSHARE__JSON_STRING;
        return 0;
    case COMPSHARE__JSON_HEX:
        if (compshare__bytes_hex(c) < 0)
            return compshare__json_fail(j, "\\u is not followed by four hexadecimal digits");
        if (--j->left == 0) j->state = COMPSHARE__JSON_STRING;
        return 0;
    case COMPSHARE__JSON_UTF8:
        if (c < j->low || c > j->high) return compshare__json_fail(j, "it is not UTF-8");
        j->low = 0x80;
        j->high = 0xBF;
        if (--j->left == 0) j->state = COMPSHARE__JSON_STRING;
        return 0;
    default:
        if (c != (unsigned char)*j->literal)
            return compshare__json_fail(j, "a word other than true, false or null");
        return *++j->literal == '\0' ? compshare__json_end_value(j) : 0;
    }
}

/* The next state of a number (RFC 8259 6), or 0 if c does not continue it. The table has one
   row for each state from COMPSHARE__JSON_MINUS on, in their order, and one column for each
   kind of character. */
static int compshare__json_number_next(int state, unsigned char c)
{
    enum {
        zero = COMPSHARE__JSON_ZERO, digits = COMPSHARE__JSON_INT,
        point = COMPSHARE__JSON_POINT, fract = COMPSHARE__JSON_FRACTION,
        expo = COMPSHARE__JSON_E, expo_s = COMPSHARE__JSON_E_SIGN, expo_d = COMPSHARE__JSON_EXPONENT
    };
    static const unsigned char next[8][5] = {
        /* 0      1 to 9  .      e     + - */
        { zero,   digits, 0,     0,    0 },         /* after a minus */
        { fract,  fract,  0,     0,    0 },         /* after the point */
        { expo_d, expo_d, 0,     0,    expo_s },    /* after the e */
        { expo_d, expo_d, 0,     0,    0 },         /* after its sign */
        { 0,      0,      point, expo, 0 },         /* after a leading 0 */
        { digits, digits, point, expo, 0 },         /* in other digits before the point */
        { fract,  fract,  0,     expo, 0 },         /* in those behind it */
        { expo_d, expo_d, 0,     0,    0 }          /* in those of the exponent */
    };
    const unsigned char *row = next[state - COMPSHARE__JSON_MINUS];
    if (compshare__bytes_digit(c)) return row[c != '0'];
    return c == '.' ? row[2] : (c | 0x20) == 'e' ? row[3] : c == '+' || c == '-' ? row[4] : 0;
}

static bool compshare__json_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A byte between values that is not white space: a bracket, comma, colon, or the first byte of
   a value or name. */
static unsigned compshare__json_structure_byte(compshare__json *j, unsigned char c)
{
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

/* Takes one byte that compshare__json_run does not take, and that is not part of a number. */
static unsigned compshare__json_byte(compshare__json *j, unsigned char c)
{
    if (j->state >= COMPSHARE__JSON_STRING) return compshare__json_string_byte(j, c);
    return compshare__json_structure_byte(j, c);
}

/* How many bytes at the beginning of src leave the state as it is: in a string those that stand
   for themselves, between values white space. */
static size_t compshare__json_run(const compshare__json *j, const char *src, size_t len)
{
    size_t n = 0;
    if (j->state == COMPSHARE__JSON_STRING)
        return compshare__bytes_run(src, len, COMPSHARE__BYTES_QUOTED);
    if (j->state < COMPSHARE__JSON_FAILED)
        while (n < len && compshare__json_is_space(src[n])) n++;
    return n;
}

/* Takes the bytes of a number, and returns how many. Only the byte behind a number shows that
   it has ended; that byte is not taken. *did is set if it has ended, else left. */
static size_t compshare__json_number(compshare__json *j, const char *src, size_t len, unsigned *did)
{
    size_t n = 0;
    int next = j->state;
    while (n < len && (next = compshare__json_number_next(j->state, (unsigned char)src[n])) != 0) {
        j->state = next;
        n++;
    }
    if (next != 0) return n;
    if (j->state < COMPSHARE__JSON_ZERO) {
        (void)compshare__json_fail(j, "a number is malformed");
        return n + 1;
    }
    *did = compshare__json_end_value(j);
    return n;
}

/* Takes bytes up to and including the next one with which a value or a name begins or ends that
   lies in at most `depth` containers, and says in *did what happened there (the end of a number
   comes after its last byte). It stops before that only where src ends or the document is
   malformed; then *did is 0. Returns how many bytes were taken. depth 0: the root alone; 1: its
   members or elements as well; -1: none, it takes all of src. */
static size_t compshare__json_until(compshare__json *j, const char *src, size_t len, int depth,
    unsigned *did)
{
    size_t i = 0;
    *did = 0;
    while (i < len && j->state != COMPSHARE__JSON_FAILED) {
        int outside = j->depth;
        unsigned event = 0;
        if (j->state >= COMPSHARE__JSON_MINUS) {
            i += compshare__json_number(j, src + i, len - i, &event);
        } else {
            i += compshare__json_run(j, src + i, len - i);
            if (i == len) break;
            event = compshare__json_byte(j, (unsigned char)src[i++]);
        }
        if (event == 0) continue;
        /* containers around what began or ended: one that begins or ends is not around itself */
        if (outside > j->depth) outside = j->depth;
        if (outside > depth) continue;
        *did = event;
        break;
    }
    j->at += i;
    return i;
}

/* Takes all of src, or what of it stands before an error. */
static void compshare__json_feed(compshare__json *j, const char *src, size_t len)
{
    unsigned did;
    (void)compshare__json_until(j, src, len, -1, &did);
}

/* There are no more bytes: NULL if they were exactly one document, else what is wrong. A number
   as the root has no byte behind it, and ends here. */
static const char *compshare__json_finish(compshare__json *j)
{
    if (j->state == COMPSHARE__JSON_FAILED) return j->reason;
    if (j->state == COMPSHARE__JSON_END) return NULL;
    if (j->depth == 0 && j->state >= COMPSHARE__JSON_ZERO) return NULL;
    return j->at == 0 ? "it is empty" : "it ends too early";
}

/* How many bytes of a UTF-8 byte order mark stand in front of a document, to be skipped: 3 or
   0. RFC 8259 8.1 allows that. */
static size_t compshare__json_bom(const char *src, size_t len)
{
    return len >= 3 && memcmp(src, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

/* ---- strings of accepted documents: what stands between the quotes is valid ---- */

/* The value of four hexadecimal digits. */
static uint32_t compshare__json_hex4(const char *p)
{
    uint32_t code = 0;
    int i;
    for (i = 0; i < 4; i++)
        code = (code << 4) | (uint32_t)compshare__bytes_hex((unsigned char)p[i]);
    return code;
}

/* Writes a code point, which is not a surrogate, as UTF-8; returns its length. RFC 3629 3. */
static size_t compshare__json_utf8_encode(uint32_t code, unsigned char out[4])
{
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4, i;
    for (i = len - 1; i > 0; i--, code >>= 6) out[i] = (unsigned char)(0x80 | (code & 0x3F));
    out[0] = (unsigned char)code;
    if (len > 1) out[0] = (unsigned char)(0xF00u >> len | code);    /* len ones and a 0, code */
    return len;
}

/* The character for an escape at p, of which len bytes are left: \uXXXX, or two of them for a
   surrogate pair (RFC 8259 7). *taken: bytes of the escape. A single surrogate becomes U+FFFD,
   so that the result is always UTF-8. Returns the length of the character in out. */
static size_t compshare__json_unicode(const char *p, size_t len, unsigned char out[4],
    size_t *taken)
{
    uint32_t code = compshare__json_hex4(p + 2), low;
    *taken = 6;
    /* a high surrogate, and behind it a low one: one character in two escapes */
    if (code >= 0xD800 && code < 0xDC00 && len >= 12 && p[6] == '\\' && p[7] == 'u') {
        low = compshare__json_hex4(p + 8);
        if (low >= 0xDC00 && low < 0xE000) {
            *taken = 12;
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            return compshare__json_utf8_encode(code, out);
        }
    }
    if (code >= 0xD800 && code < 0xE000) code = 0xFFFD;
    return compshare__json_utf8_encode(code, out);
}

/* Takes the next character off *rest, which is not empty, and unescapes it into out. Returns
   its length there. */
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

/* Whether a raw string with escapes in it, unescaped, is exactly this text. */
static bool compshare__json_equals_escaped(compshare_view raw, const char *text)
{
    unsigned char c[4];
    size_t n, left = strlen(text);
    while (raw.len > 0) {
        n = compshare__json_char(&raw, c);
        if (n > left || memcmp(c, text, n) != 0) return false;
        text += n;
        left -= n;
    }
    return left == 0;
}

/* Whether a raw string, unescaped, is exactly this text. Most strings have no escape: up to the
   first one the bytes are compared as they are. */
static bool compshare__json_equals(compshare_view raw, const char *text)
{
    size_t n = 0;
    while (n < raw.len && raw.ptr[n] == text[n] && raw.ptr[n] != '\\') n++;
    if (n == raw.len) return text[n] == '\0';
    return raw.ptr[n] == '\\' && compshare__json_equals_escaped(raw, text);
}

/* Unescapes a string into buf: what fits in whole characters, and a NUL; nothing behind the
   first character that does not fit. clean: a character that must not reach a terminal becomes
   '?'. Returns the length of the whole result: cap or more means that it was cut. */
static size_t compshare__json_copy(compshare_view raw, char *buf, size_t cap, bool clean)
{
    compshare__bytes_text t = compshare__bytes_into(buf, cap);
    unsigned char c[4];
    size_t n, total = 0;
    bool full = false;
    while (raw.len > 0) {
        n = compshare__json_char(&raw, c);
        if (clean && compshare__bytes_unsafe(c, n)) { c[0] = '?'; n = 1; }
        total += n;
        full = full || total >= cap;
        if (!full) compshare__bytes_append(&t, (const char *)c, n);
    }
    return total;
}

/* ==== split ==================================================================================
   Takes one top-level array of a document apart as it arrives. The rest of the document is kept,
   and of the array's elements one at a time, so that a list of any length needs the memory of its
   longest element. Pure: touches only its arguments and the area that it was given. Must never
   hand out an element that is not complete.

     document           {"RetCode":0,"UHostSet":[{"A":1},{"A":2}],"TotalCount":2}
     area, 2nd element  {"RetCode":0,"UHostSet":[{"A":2}    free
                        0                        kept   used    cap
     area, at the end   {"RetCode":0,"UHostSet":[],"TotalCount":2} */

/* Where the next byte of the document stands. */
enum {
    COMPSHARE__SPLIT_OUTSIDE,   /* outside of the array: bytes are kept */
    COMPSHARE__SPLIT_ARRAY,     /* between its elements: they are dropped */
    COMPSHARE__SPLIT_ELEMENT    /* in one: it is held */
};

/* One document that is taken apart. The area is lent: it holds the document without the elements,
   and behind that the current element, which the next one overwrites. */
typedef struct compshare__split {
    compshare__json json;       /* validates the whole document, elements included */
    const char *name;           /* of the array; borrowed */
    char *area;
    size_t cap;                 /* of the area */
    size_t kept;                /* bytes of the document kept */
    size_t used;                /* end of the current element, which begins at kept */
    size_t key, key_end;        /* last top-level name, within its quotes */
    unsigned bom;               /* bytes of a byte order mark seen */
    int where;                  /* COMPSHARE__SPLIT_* */
    bool seen, twice;           /* the array's name, once or more often */
    bool not_array;             /* its value is neither an array nor null */
    bool full;                  /* something did not fit: the area is incomplete */
} compshare__split;

/* Begins a document. `name` is borrowed, and the area lent, until the reply has been used. */
static void compshare__split_init(compshare__split *s, const char *name, char *area, size_t cap)
{
    memset(s, 0, sizeof *s);
    s->name = name;
    s->area = area;
    s->cap = cap;
}

/* Appends to the area at *end, which is that of the kept document or of the element. */
static void compshare__split_append(compshare__split *s, size_t *end, const char *src,
    size_t len)
{
    if (len > s->cap - *end) {
        len = s->cap - *end;
        s->full = true;
    }
    if (len > 0) memcpy(s->area + *end, src, len);
    *end += len;
}

/* Keeps bytes from outside of the array, with whose last one a top-level name or value may
   begin or end, as `did` says. The value that begins behind the array's name is the array; null
   in its place counts as an empty array. */
static void compshare__split_outside(compshare__split *s, const char *src, size_t len,
    unsigned did)
{
    compshare_view key;
    char first;
    compshare__split_append(s, &s->kept, src, len);
    if (s->full) return;
    /* src ends with the quote before a name, or with the one behind it: the name is between */
    if (did == (COMPSHARE__JSON_BEGIN | COMPSHARE__JSON_IS_KEY)) s->key = s->kept;
    if (did == (COMPSHARE__JSON_ENDS | COMPSHARE__JSON_IS_KEY)) s->key_end = s->kept - 1;
    if (did != COMPSHARE__JSON_BEGIN) return;
    if (s->key == 0) return;        /* the root begins, or is an array */
    key.ptr = s->area + s->key;
    key.len = s->key_end - s->key;
    if (!compshare__json_equals(key, s->name)) return;
    first = src[len - 1];
    s->twice = s->twice || s->seen;
    s->seen = true;
    s->not_array = s->not_array || (first != '[' && first != 'n');
    if (first == '[') s->where = COMPSHARE__SPLIT_ARRAY;
}

/* Bytes with whose last one a value or a name begins or ends, as `did` says; 0: nothing does.
   True: they complete an element, which is whole in the area. */
static bool compshare__split_piece(compshare__split *s, const char *src, size_t len,
    unsigned did)
{
    if (s->where == COMPSHARE__SPLIT_OUTSIDE) {
        compshare__split_outside(s, src, len, did);
    } else if (s->where == COMPSHARE__SPLIT_ELEMENT) {
        compshare__split_append(s, &s->used, src, len);
        if (!(did & COMPSHARE__JSON_ENDS)) return false;
        s->where = COMPSHARE__SPLIT_ARRAY;
        return !s->full;
    } else if (did & COMPSHARE__JSON_BEGIN) {
        s->where = COMPSHARE__SPLIT_ELEMENT;
        s->used = s->kept;
        compshare__split_append(s, &s->used, src + len - 1, 1);
    } else if (did & COMPSHARE__JSON_ENDS) {
        s->where = COMPSHARE__SPLIT_OUTSIDE;
        compshare__split_append(s, &s->kept, src + len - 1, 1);
    }
    return false;
}

/* How many bytes at the beginning of src belong to a byte order mark before the document, to be
   skipped (RFC 8259 8.1). One that is not whole is an error. */
static size_t compshare__split_bom(compshare__split *s, const char *src, size_t len)
{
    size_t n = 0;
    if (s->json.at > 0) return 0;
    while (n < len && s->bom < 3 && src[n] == "\xEF\xBB\xBF"[s->bom]) { s->bom++; n++; }
    if (n < len && s->bom % 3 != 0) (void)compshare__json_fail(&s->json, "it is not UTF-8");
    return n;
}

/* Takes bytes, and returns how many: all of them, or up to the end of the next element. Then
   *complete is true, and the element is area[kept, used) until more bytes are fed. Errors are
   in json.state, twice, not_array and full: the caller looks at them. */
static size_t compshare__split_feed(compshare__split *s, const char *src, size_t len,
    bool *complete)
{
    size_t i = compshare__split_bom(s, src, len), n;
    unsigned did;
    *complete = false;
    while (i < len && !*complete && s->json.state != COMPSHARE__JSON_FAILED) {
        int depth = s->where == COMPSHARE__SPLIT_OUTSIDE ? 1 : 2;   /* of members; of elements */
        n = compshare__json_until(&s->json, src + i, len - i, depth, &did);
        *complete = compshare__split_piece(s, src + i, n, did);
        i += n;
    }
    return i;
}

/* ==== tokens =================================================================================
   jsmn's tokens of a text that room json has accepted, and how to walk over them. Pure: touches
   only its arguments. Must never be given any other text: jsmn is a tokenizer, and takes much
   that is not JSON. Each token has the index of its parent; a member's value has the name as its
   parent, and the name has the object:

     text      {"A":[1,2]}
     token     0 {    1 "A"    2 [    3 1    4 2
     parent    -1     0        1      2      2

   A token is named by its index (`at`), or by COMPSHARE__TOKENS_NONE where there is none. */

/* A tokenized text. Token 0 is the root. */
typedef struct compshare__tokens {
    const char *text;           /* borrowed, as are the tokens: both must stay where they are */
    const compshare__jsmntok_t *token;
    uint32_t count;
} compshare__tokens;

#define COMPSHARE__TOKENS_NONE UINT32_MAX

/* Tokenizes a text into memory that is lent for as long as the tree is used; 20 bytes for each
   token where an int has 4. The tokens begin at the first address there that is aligned for an
   int. False: that memory is too small, and the tree is empty. */
static bool compshare__tokens_parse(compshare__tokens *tree, const char *text, size_t len,
    char *room, size_t room_len)
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

/* The text of a token: of a string without its quotes, and with its escapes. */
static compshare_view compshare__tokens_raw(const compshare__tokens *tree, uint32_t at)
{
    compshare_view v;
    v.ptr = tree->text + tree->token[at].start;
    v.len = (size_t)(tree->token[at].end - tree->token[at].start);
    return v;
}

/* The type of a token as a program sees it (COMPSHARE_OBJECT and so on). jsmn has one type for
   words and numbers; the first byte tells them apart. */
static int compshare__tokens_type(const compshare__tokens *tree, uint32_t at)
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

/* The first element of an array, or the value of an object's first member. None: it is empty,
   or not a container. */
static uint32_t compshare__tokens_first(const compshare__tokens *tree, uint32_t at)
{
    int type = compshare__tokens_type(tree, at);
    if (type != COMPSHARE_ARRAY && type != COMPSHARE_OBJECT) return COMPSHARE__TOKENS_NONE;
    if (tree->token[at].size == 0) return COMPSHARE__TOKENS_NONE;
    return type == COMPSHARE_OBJECT ? at + 2 : at + 1;
}

/* The next element, or the value of the next member, of the container that `at` stands in; all
   tokens inside of `at`, those that begin before it ends, are skipped. None: it is the last, or
   the root. */
static uint32_t compshare__tokens_next(const compshare__tokens *tree, uint32_t at)
{
    int end = tree->token[at].end, up = tree->token[at].parent, container;
    bool member;
    uint32_t next = at + 1;
    if (up < 0) return COMPSHARE__TOKENS_NONE;
    member = tree->token[up].type == COMPSHARE__JSMN_STRING;
    container = member ? tree->token[up].parent : up;
    /* tokens stand in the order of the text: find the first one behind the end of `at` */
    while (next < tree->count && tree->token[next].start < end) next++;
    if (next >= tree->count || tree->token[next].parent != container) return COMPSHARE__TOKENS_NONE;
    return member ? next + 1 : next;
}

/* The name whose value `at` is. None: it is an element, or the root. */
static uint32_t compshare__tokens_key(const compshare__tokens *tree, uint32_t at)
{
    int up = tree->token[at].parent;
    if (up < 0 || tree->token[up].type != COMPSHARE__JSMN_STRING) return COMPSHARE__TOKENS_NONE;
    return (uint32_t)up;
}

/* How many members of an object have this name; *found is the value of the last of them. Tokens
   inside the object whose parent is the object itself are the names of its members. A raw name
   is never shorter than its text, as escapes only make it longer: shorter ones are not
   compared. */
static size_t compshare__tokens_find(const compshare__tokens *tree, uint32_t object,
    const char *name, uint32_t *found)
{
    const compshare__jsmntok_t *of = tree->token + object, *end = tree->token + tree->count, *t;
    size_t hits = 0, len = strlen(name);
    *found = COMPSHARE__TOKENS_NONE;
    if (of->type != COMPSHARE__JSMN_OBJECT) return 0;
    for (t = of + 1; t < end && t->start < of->end; t++) {
        uint32_t at = (uint32_t)(t - tree->token);
        compshare_view raw = compshare__tokens_raw(tree, at);
        if (t->parent != (int)object || raw.len < len) continue;
        if (len > 0 && *raw.ptr != *name && *raw.ptr != '\\') continue;     /* most of them */
        if (!compshare__json_equals(raw, name)) continue;
        *found = at + 1;
        hits++;
    }
    return hits;
}

/* Reads an integer, or a string that is one. False: neither, or not within int64_t. */
static bool compshare__tokens_int(const compshare__tokens *tree, uint32_t at, int64_t *out)
{
    char scratch[24];
    compshare_view v = compshare__tokens_raw(tree, at);
    int type = compshare__tokens_type(tree, at);
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

/* ==== pem ====================================================================================
   Finds certificates in a PEM text (RFC 7468), decodes their base64, and finds the subject in the
   DER of one (RFC 5280 4.1), without decoding more than is needed: of the 150 roots or so of a
   bundle a chain needs one. The text is read in pieces, through a function. Touches its struct,
   the memory that is lent to it and, through `read`, the text. Must never take a failed reading
   for the end of the text, nor write past a capacity.

     text   | read before        | in buf, used | in buf     | not read yet
            0                    base           base + at    base + len */

/* Memory that a caller lends: at most `cap` bytes from `ptr` may be written. */
typedef struct compshare__pem_scratch {
    unsigned char *ptr;
    size_t cap;
} compshare__pem_scratch;

/* Reads up to cap bytes of a PEM text at an offset: their number, 0 at the end of the text,
   negative on failure. */
typedef ptrdiff_t (*compshare__pem_read_fn)(void *ctx, size_t offset, void *dst, size_t cap);

/* A reader that goes forward through a PEM text, a buffer at a time. */
typedef struct compshare__pem {
    compshare__pem_read_fn read;
    void *ctx;                  /* read's first argument */
    compshare__pem_scratch buf;
    size_t len, at;             /* bytes in buf, and how many of them have been used */
    size_t base;                /* offset in the text of buf's first byte: the next byte of the
                                   text that is used is at base + at */
    bool failed;                /* a reading failed */
    bool too_long;              /* the text has more than COMPSHARE__BUNDLE_MAX bytes */
    uint32_t bits;              /* base64 digits not yet made into a byte */
    unsigned bit_count;         /* how many of the low bits of `bits` those are */
} compshare__pem;

/* What is left of lent memory behind its first `used` bytes: nothing if it has no more. */
static compshare__pem_scratch compshare__pem_rest(compshare__pem_scratch block, size_t used)
{
    if (used > block.cap) used = block.cap;
    block.ptr += used;
    block.cap -= used;
    return block;
}

/* Goes to an offset in the text, where base64 may begin. What buf holds of the text from there
   on is kept, so that going back a little needs no reading. */
static void compshare__pem_seek(compshare__pem *p, size_t offset)
{
    p->bit_count = 0;
    if (offset < p->base || offset - p->base > p->len) {
        p->base = offset;
        p->len = 0;
    }
    p->at = offset - p->base;
}

/* Reads the next piece of the text into buf, whose bytes have all been used. False: the text
   has ended, it is too long (too_long), or it could not be read (failed, which stays set). */
static bool compshare__pem_fill(compshare__pem *p)
{
    ptrdiff_t n;
    p->base += p->len;
    p->at = p->len = 0;
    n = p->failed ? -1 : (p->read)(p->ctx, p->base, p->buf.ptr, p->buf.cap);
    if (n < 0 || (size_t)n > p->buf.cap) { p->failed = true; return false; }
    if (p->base + (size_t)n > COMPSHARE__BUNDLE_MAX) { p->too_long = true; return false; }
    p->len = (size_t)n;
    return n > 0;
}

/* Goes behind the marker of the next BEGIN line: base + at is then the offset of its base64. A
   marker counts at the start of a line only: one that is indented or commented out is not meant
   to be a root. False: there is none, or compshare__pem_fill failed. */
static bool compshare__pem_find(compshare__pem *p)
{
    static const char marker[] = "-----BEGIN CERTIFICATE-----";
    const size_t none = sizeof marker;
    const unsigned char *at;
    size_t hit = p->base + p->at == 0 ? 0 : none;   /* bytes of it seen; none: not in this line */
    while (p->at < p->len || compshare__pem_fill(p)) {
        char c = (char)p->buf.ptr[p->at];
        if (c == '\n' || c == '\r') hit = 0;
        else if (hit < none && c == marker[hit]) hit++;
        else hit = none;
        p->at++;
        if (hit == sizeof marker - 1) return true;
        if (hit < none) continue;
        /* not a marker: on to the end of the line, or of what is in buf */
        at = p->buf.ptr + p->at;
        while (at < p->buf.ptr + p->len && *at != '\n' && *at != '\r') at++;
        p->at = (size_t)(at - p->buf.ptr);
    }
    return false;
}

/* Decodes up to cap bytes of base64, RFC 7468 3, from where the last call stopped. Returns
   their number: less than cap at the end of the base64, which any character outside of it marks
   ('=' or '-'), and at the end of the text. */
static size_t compshare__pem_decode(compshare__pem *p, unsigned char *dst, size_t cap)
{
    enum { ws = 64, no = 128 };     /* white space; not base64 */
#define COMPSHARE__PEM_NO_16 no, no, no, no, no, no, no, no, no, no, no, no, no, no, no, no
    static const unsigned char value[256] = {
        no, no, no, no, no, no, no, no, no, ws, ws, no, no, ws, no, no,     /* tab, LF, CR */
        COMPSHARE__PEM_NO_16,
        ws, no, no, no, no, no, no, no, no, no, no, 62, no, no, no, 63,     /* space, + and / */
        52, 53, 54, 55, 56, 57, 58, 59, 60, 61, no, no, no, no, no, no,     /* 0 to 9 */
        no,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,     /* A to Z */
        15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, no, no, no, no, no,
        no, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,     /* a to z */
        41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, no, no, no, no, no,
        COMPSHARE__PEM_NO_16, COMPSHARE__PEM_NO_16, COMPSHARE__PEM_NO_16, COMPSHARE__PEM_NO_16,
        COMPSHARE__PEM_NO_16, COMPSHARE__PEM_NO_16, COMPSHARE__PEM_NO_16, COMPSHARE__PEM_NO_16
    };
#undef COMPSHARE__PEM_NO_16
    size_t n = 0;
    unsigned digit = 0;
    /* the outer loop fills buf, the inner one uses it; digits left over wait in p->bits */
    while (n < cap && digit != no && (p->at < p->len || compshare__pem_fill(p))) {
        const unsigned char *c = p->buf.ptr + p->at, *end = p->buf.ptr + p->len;
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
        p->at = (size_t)(c - p->buf.ptr);
    }
    return n;
}

/* Moves *at over a DER tag and a length of up to three octets (ITU-T X.690 8.1.3), and says in
   *content how many bytes of content follow; these may lie beyond `end`. False: another tag, or
   the header is not all there. */
static bool compshare__pem_der_header(const unsigned char **at, const unsigned char *end,
    unsigned tag, size_t *content)
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

/* Moves *at over a whole DER element with this tag. False: another tag, or it is not all there. */
static bool compshare__pem_der_skip(const unsigned char **at, const unsigned char *end,
    unsigned tag)
{
    size_t content;
    if (!compshare__pem_der_header(at, end, tag, &content)) return false;
    if (content > (size_t)(end - *at)) return false;
    *at += content;
    return true;
}

/* Finds the subject of a certificate, RFC 5280 4.1, of which the first len bytes are there: the
   whole DER element is der[*start, *end). False: there is none, or it is not all there.

     Certificate 30
       tbsCertificate 30
         version A0 (may be missing), serialNumber 02, signature 30, issuer 30, validity 30,
         subject 30, ... */
static bool compshare__pem_der_subject(const unsigned char *der, size_t len, size_t *start,
    size_t *end)
{
    static const unsigned char tags[] = {
        0x02, 0x30, 0x30, 0x30, 0x30    /* serialNumber, signature, issuer, validity, subject */
    };
    const unsigned char *at = der, *last = der + len;
    size_t content, i;
    if (!compshare__pem_der_header(&at, last, 0x30, &content)               /* Certificate */
        || !compshare__pem_der_header(&at, last, 0x30, &content)) return false; /* tbsCertificate */
    if (at < last && *at == 0xA0            /* version */
        && !compshare__pem_der_skip(&at, last, 0xA0)) return false;
    for (i = 0; i < sizeof tags; i++) {
        *start = (size_t)(at - der);
        if (!compshare__pem_der_skip(&at, last, tags[i])) return false;
    }
    *end = (size_t)(at - der);
    return true;
}

/* Decodes the certificate whose base64 begins at `offset` into `der`, just as far as its
   subject, which *subject then shows there. False: it has none that can be read, or none within
   der.cap. */
static bool compshare__pem_subject(compshare__pem *p, size_t offset, compshare__pem_scratch der,
    compshare_view *subject)
{
    size_t start, end, len = 0, n;
    compshare__pem_seek(p, offset);
    do {
        n = der.cap - len < COMPSHARE__DER_STEP ? der.cap - len : COMPSHARE__DER_STEP;
        n = compshare__pem_decode(p, der.ptr + len, n);
        if (n == 0) return false;
        len += n;
    } while (!compshare__pem_der_subject(der.ptr, len, &start, &end));
    subject->ptr = (const char *)der.ptr + start;
    subject->len = end - start;
    return true;
}

/* ==== trust ==================================================================================
   Checks a server's chain against the roots of a bundle, without decoding the bundle. BearSSL's
   X.509 engine, br_x509_minimal (bearssl_x509.h), is given two trust anchors that are empty, and
   three of its methods are wrapped. For each certificate of the chain:

     start_cert   counts it, and compares its length with that of the one before
     append       hands all of it but the last byte to the engine, which hashes the issuer's name;
                  then the roots of that name are searched in the bundle and put into the anchors;
                  then the engine gets the last byte, searches the anchors, and finds them
     end_cert     as in the engine, unless the certificate was a repetition of the one before

   So the memory for two keys is enough for any bundle. Touches its struct and, through room pem,
   the bundle. Must never treat trouble with the bundle as "not trusted" or as "trusted": it is an
   error of its own. */

/* What is wrong with the bundle; compshare__trust_meaning has the sentences. "The name" is that of
   the issuer that was looked up. */
enum {
    COMPSHARE__TRUST_FINE,
    COMPSHARE__TRUST_UNREADABLE,    /* a reading failed */
    COMPSHARE__TRUST_TOO_LONG,      /* more than COMPSHARE__BUNDLE_MAX bytes */
    COMPSHARE__TRUST_EMPTY,         /* no bytes */
    COMPSHARE__TRUST_ROOTLESS,      /* no certificates */
    COMPSHARE__TRUST_THREE,         /* three roots of the name, with three keys: two fit */
    COMPSHARE__TRUST_NOT_CA,        /* a root of the name whose basicConstraints are not a CA's */
    COMPSHARE__TRUST_UNUSABLE,      /* a root of the name: malformed, weak key, or too long */
    COMPSHARE__TRUST_NAMELESS       /* a certificate without a readable name: it may be that root */
};

/* A root of the bundle, in the index. A match of `name` is always checked with the whole hash. */
typedef struct compshare__trust_root {
    uint32_t name;              /* the first four bytes of its subject's SHA-256 */
    uint32_t offset;            /* where its base64 begins in the bundle */
} compshare__trust_root;

/* The check of one chain. It lives in the reply area during a handshake (see
   compshare__trust_init). The small fields come first: machine code for near offsets is
   shorter. */
typedef struct compshare__trust {
    compshare__pem pem;                 /* reads the bundle */
    compshare__trust_root *root;        /* index of the bundle's first roots, in its order */
    size_t capacity;                    /* of root */
    struct {                            /* what scans have learned of the bundle */
        uint32_t count;                 /* roots in the index */
        uint32_t scanned_to;            /* where the next scan begins: behind the last of them */
        bool complete;                  /* there is no certificate behind it */
        bool nameless;                  /* a certificate's subject could not be read */
    } known;
    uint32_t left, length;              /* bytes of the current certificate: to come, and all */
    unsigned certificates;              /* of the chain, begun so far */
    int trouble;                        /* COMPSHARE__TRUST_*, of the names looked up so far */
    bool repeated;                      /* so far the current certificate equals the one before,
                                           and is not handed to BearSSL */
    bool prescanned;                    /* the prescan was done, or is too late */
    bool binding_known;                 /* binding is valid */
    uint8_t filled;                     /* how many of the two anchors hold a root */
    uint16_t name_len;                  /* of name */
    int64_t not_after;                  /* when the server's certificate expires; 0: not yet read */
    br_x509_class methods;              /* br_x509_minimal's, with three replaced */
    unsigned char binding[br_sha256_SIZE];      /* of the session to come: see room session */
    unsigned char looked_up[32];        /* SHA-256 of the name that the anchors were filled for */
    unsigned char beginning[128];       /* of the current certificate, or of the one before */
    br_x509_trust_anchor anchor[2];     /* of the name looked up; one whose name is empty is none */
    unsigned char name[COMPSHARE__DN_MAX];      /* of both anchors, as DER */
    br_x509_minimal_context minimal;    /* BearSSL's engine; compshare__trust_of leads back here */
    br_x509_decoder_context decoder;    /* of roots, and of the server's certificate's dates */
    unsigned char key[2][BR_X509_BUFSIZE_KEY];  /* of each anchor */
    unsigned char der[COMPSHARE__DER_PREFIX];   /* decoded pieces of a root */
} compshare__trust;

/* Whether an RSA key is strong enough, and not slow: 2,048 bits at least, and a short exponent.
   BearSSL's minimum (br_x509_minimal_set_minrsa) counts bytes of the modulus, not bits, and it
   takes any exponent: one as long as the modulus makes the check of a signature take a hundred
   times as long. */
static bool compshare__trust_rsa_fits(const br_rsa_public_key *key)
{
    if (key->nlen < COMPSHARE__RSA_MIN || key->elen > COMPSHARE__EXPONENT_MAX) return false;
    return key->nlen > COMPSHARE__RSA_MIN || key->n[0] >= 0x80;
}

/* The bytes of a key, which BearSSL's decoder keeps in one piece: modulus and exponent, or a
   point. */
static size_t compshare__trust_key(const br_x509_pkey *key, const unsigned char **bytes)
{
    bool rsa = key->key_type == BR_KEYTYPE_RSA;
    *bytes = rsa ? key->key.rsa.n : key->key.ec.q;
    return rsa ? key->key.rsa.nlen + key->key.rsa.elen : key->key.ec.qlen;
}

/* Copies the decoder's key, which the next certificate overwrites, into a free anchor. A key
   that an anchor has already is not added again: a bundle made of several files holds the same
   root more than once. Returns the trouble after it: the one that there was, or a new one. */
static int compshare__trust_add_anchor(compshare__trust *t)
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
    memcpy(copy, bytes, len);   /* fits: br_x509_decoder_context.pkey_data has that size, too */
    to->dn.len = t->name_len;
    to->pkey = *key;
    if (key->key_type == BR_KEYTYPE_EC) {
        to->pkey.key.ec.q = copy;
    } else {
        to->pkey.key.rsa.n = copy;
        to->pkey.key.rsa.e = copy + key->key.rsa.nlen;
    }
    return t->trouble;
}

/* The decoder calls this with pieces of the subject that it decodes: br_x509_decoder_init. */
static void compshare__trust_hash(void *sha256, const void *buf, size_t len)
{
    br_sha256_update((br_sha256_context *)sha256, buf, len);
}

/* Finds the subject of the root whose base64 begins at `offset`, and hashes it. False: it
   has none that can be read. */
static bool compshare__trust_subject(compshare__trust *t, size_t offset,
    compshare_view *subject, unsigned char hash[br_sha256_SIZE])
{
    br_sha256_context sha256;
    compshare__pem_scratch der;
    der.ptr = t->der;
    der.cap = sizeof t->der;
    if (!compshare__pem_subject(&t->pem, offset, der, subject)) return false;
    br_sha256_init(&sha256);
    br_sha256_update(&sha256, subject->ptr, subject->len);
    br_sha256_out(&sha256, hash);
    return true;
}

/* The root at `offset` has the name that is looked up: decodes all of it, and adds its key to
   the anchors. The decoder hashes the name once more, and it must still be the same: the file
   may have changed since it was first read. Returns the trouble after it, like
   compshare__trust_add_anchor. */
static int compshare__trust_take(compshare__trust *t, size_t offset, compshare_view subject)
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
        if (error != 0 && error != BR_ERR_X509_TRUNCATED) break;    /* it takes no more then */
    }
    br_sha256_out(&sha256, hash);
    if (br_x509_decoder_last_error(&t->decoder) != 0) return COMPSHARE__TRUST_UNUSABLE;
    if (memcmp(hash, t->looked_up, sizeof hash) != 0) return COMPSHARE__TRUST_UNUSABLE;
    return compshare__trust_add_anchor(t);
}

/* Leaves no anchor that can be found: a name of no bytes equals no issuer's, as even an empty
   one has two bytes of DER (30 00). */
static void compshare__trust_empty_anchors(compshare__trust *t)
{
    t->anchor[0].dn.len = t->anchor[1].dn.len = 0;
    t->filled = 0;
}

/* Takes the roots of the name that the index holds; `name` is the beginning of its hash. If
   something else stands at the offset of such a root, the bundle has changed: all that is known
   of it is forgotten, and the scan that follows starts from the beginning. */
static void compshare__trust_recall(compshare__trust *t, uint32_t name)
{
    size_t i;
    for (i = 0; i < t->known.count; i++) {
        unsigned char hash[br_sha256_SIZE];
        compshare_view subject;
        if (t->root[i].name != name) continue;
        if (!compshare__trust_subject(t, t->root[i].offset, &subject, hash)
            || memcmp(hash, &name, sizeof name) != 0) {
            memset(&t->known, 0, sizeof t->known);
            t->trouble = COMPSHARE__TRUST_FINE;
            compshare__trust_empty_anchors(t);
        } else if (memcmp(hash, t->looked_up, sizeof hash) == 0) {
            t->trouble = compshare__trust_take(t, t->root[i].offset, subject);
        }
    }
}

/* Reads the bundle from where the index ends: adds its roots to the index, as far as that has
   room, and takes those of the name that is looked up.

     bundle     | roots in the index            | roots that it has no room for
                0                               scanned_to
                recall takes from these         scan reads these, each time again

   If the index holds all roots, the bundle is `complete`, and is not scanned again. */
static void compshare__trust_scan(compshare__trust *t)
{
    bool all_kept = true;       /* every root so far is in the index */
    compshare__pem_seek(&t->pem, t->known.scanned_to);
    while (!t->known.complete && compshare__pem_find(&t->pem)) {
        size_t offset = t->pem.base + t->pem.at;
        unsigned char hash[br_sha256_SIZE];
        compshare_view subject;
        if (t->known.count >= t->capacity) all_kept = false;
        if (all_kept) t->known.scanned_to = (uint32_t)offset;
        if (!compshare__trust_subject(t, offset, &subject, hash)) {
            t->known.nameless = true;
            continue;
        }
        if (all_kept) {
            compshare__trust_root *root = &t->root[t->known.count++];
            memcpy(&root->name, hash, sizeof root->name);
            root->offset = (uint32_t)offset;
        }
        if (memcmp(hash, t->looked_up, sizeof hash) == 0)
            t->trouble = compshare__trust_take(t, offset, subject);
    }
    /* the loop has ended with the text, or because it could not be read. If not all roots are in
       the index, the bundle has some, and the next scan reads those again. */
    if (t->pem.failed) t->trouble = COMPSHARE__TRUST_UNREADABLE;
    else if (t->pem.too_long) t->trouble = COMPSHARE__TRUST_TOO_LONG;
    else if (all_kept && t->known.scanned_to > 0) t->known.complete = true;
    else if (all_kept && t->pem.base == 0) t->trouble = COMPSHARE__TRUST_EMPTY;
    else if (all_kept) t->trouble = COMPSHARE__TRUST_ROOTLESS;
}

/* Fills the anchors with the roots whose name has the hash `looked_up`. After an incomplete
   scan, and with more than two such roots, they stay empty: the chain is refused. Trouble with
   an earlier name of the chain is kept if this name brings none: it is the reason to report if
   the whole chain leads to no root. */
static void compshare__trust_fill(compshare__trust *t)
{
    uint32_t name;
    int before = t->trouble;
    compshare__trust_empty_anchors(t);
    t->trouble = COMPSHARE__TRUST_FINE;
    /* first the roots that the index knows, then what the index does not reach */
    memcpy(&name, t->looked_up, sizeof name);
    compshare__trust_recall(t, name);
    compshare__trust_scan(t);
    if (t->pem.failed || t->pem.too_long || t->trouble == COMPSHARE__TRUST_THREE)
        compshare__trust_empty_anchors(t);
    if (t->trouble == COMPSHARE__TRUST_FINE) t->trouble = before;
}

/* What was wrong with the bundle (COMPSHARE__TRUST_*), once the engine has found no root for a
   chain. FINE: nothing, the chain is simply not trusted. */
static int compshare__trust_trouble(const compshare__trust *t)
{
    bool nameless = t->filled == 0 && t->known.nameless;
    return t->trouble == COMPSHARE__TRUST_FINE && nameless ? COMPSHARE__TRUST_NAMELESS : t->trouble;
}

/* Makes the index once, before a name is looked up, while the client waits for the server.
   `block` is the memory that was given to compshare__trust_init, and more behind it: until this
   returns, all that is behind the index is the read buffer, so that fewer and larger readings
   are enough. */
static void compshare__trust_prescan(compshare__trust *t, compshare__pem_scratch block)
{
    compshare__pem_scratch own = t->pem.buf;
    if (t->prescanned) return;
    t->prescanned = true;
    t->pem.buf = compshare__pem_rest(block, (size_t)(own.ptr - block.ptr));
    compshare__trust_scan(t);
    t->pem.buf = own;
    t->pem.len = t->pem.at = 0;
}

/* BearSSL has hashed the current certificate's issuer, and is about to search the anchors for
   it: fills them with the roots of that name, if they do not hold these already. */
static void compshare__trust_look_up(compshare__trust *t)
{
    const unsigned char *name = t->minimal.saved_dn_hash;
    if (memcmp(name, t->looked_up, sizeof t->looked_up) == 0) return;
    t->prescanned = true;
    memcpy(t->looked_up, name, sizeof t->looked_up);
    compshare__trust_fill(t);
}

/* ---- three methods of br_x509_class, around those of br_x509_minimal ---- */

/* The struct that an engine's context, as BearSSL hands it to a method, is part of. */
static compshare__trust *compshare__trust_of(const br_x509_class **ctx)
{
    return (compshare__trust *)(void *)((unsigned char *)ctx - offsetof(compshare__trust, minimal));
}

/* A certificate of `length` bytes begins. It is counted: who sends the chain is not known yet,
   and each certificate may cost the check of a signature. Once the chain is judged (err is set)
   the rest costs nothing. */
static void compshare__trust_start_cert(const br_x509_class **ctx, uint32_t length)
{
    compshare__trust *t = compshare__trust_of(ctx);
    t->repeated = length == t->length;
    t->left = t->length = length;
    if (++t->certificates > COMPSHARE__CHAIN_MAX && t->minimal.err == 0)
        t->minimal.err = BR_ERR_X509_NOT_TRUSTED;
    if (!t->repeated) br_x509_minimal_vtable.start_cert(ctx, length);
}

/* Notes when the server's certificate expires. It is the first of the chain, and goes through
   the decoder as well, as far as its validity: br_x509_minimal reads that, but has no function
   that returns it. */
static void compshare__trust_date(compshare__trust *t, const unsigned char *buf, size_t len)
{
    if (t->certificates > 1 || t->not_after != 0) return;
    if (br_x509_decoder_last_error(&t->decoder) != BR_ERR_X509_TRUNCATED) return;
    br_x509_decoder_push(&t->decoder, buf, len);
    if (t->decoder.notafter_days == 0) return;
    t->not_after = ((int64_t)t->decoder.notafter_days - COMPSHARE__YEAR_0) * 86400
        + t->decoder.notafter_seconds;
}

/* Hands a piece of a certificate to BearSSL; len is 1 or more if it is the last. BearSSL
   searches the anchors once it has the last byte, so that is held back until they are filled. */
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

/* A piece of a certificate has come. Some servers send a certificate twice in a row, which
   BearSSL takes for a chain that is out of order. So one that is as long as the one before and
   begins with the same 128 bytes, in which its serial number and issuer stand, is not handed to
   BearSSL. If it differs within these, what it has in common with the one before is handed over
   first, from `beginning`. */
static void compshare__trust_append(const br_x509_class **ctx, const unsigned char *buf, size_t len)
{
    compshare__trust *t = compshare__trust_of(ctx);
    size_t at = t->length - t->left, n = 0;
    if (t->minimal.err != 0) return;    /* the chain is judged: trusted, or refused */
    t->left -= (uint32_t)len;
    if (t->repeated) {
        /* still the same, or the same in all that is compared: nothing is handed over */
        while (n < len && at + n < sizeof t->beginning && buf[n] == t->beginning[at + n]) n++;
        if (n == len || at + n >= sizeof t->beginning) return;
        /* it differs: BearSSL gets it from its first byte on */
        t->repeated = false;
        br_x509_minimal_vtable.start_cert(ctx, t->length);
        compshare__trust_push(t, t->beginning, at + n, false);
    }
    buf += n;
    len -= n;
    at += n;
    for (n = 0; n < len && at + n < sizeof t->beginning; n++) t->beginning[at + n] = buf[n];
    compshare__trust_push(t, buf, len, t->left == 0);
}

/* A repeated certificate does not count as part of the chain. */
static void compshare__trust_end_cert(const br_x509_class **ctx)
{
    if (!compshare__trust_of(ctx)->repeated) br_x509_minimal_vtable.end_cert(ctx);
}

/* Sets up the check of a chain at `now` (Unix seconds), in `block`, which is aligned for the
   struct: the struct, behind it the index of roots, which gets a quarter of the rest, and the read
   buffer. The bundle is read through `read`, with ctx as its first argument. They stand in the
   client's block like this (sizes in the smallest one, 64-bit):

   during a handshake, until the first request has been sent
     client | reply area 9,472                                         | TLS records 16,709
            | compshare__trust 7,296 | index 288 | read buffer 864 | tx 1,024 |
                                                 |<- the read buffer of a prescan ------->|
   after it
     client | body of the reply, then its JSON tokens                  | TLS records */
static compshare__trust *compshare__trust_init(compshare__pem_scratch block,
    compshare__pem_read_fn read, void *ctx, int64_t now)
{
    compshare__trust *t = (compshare__trust *)(void *)block.ptr;
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
    br_x509_minimal_set_time(&t->minimal, (uint32_t)(now / 86400 + COMPSHARE__YEAR_0),
        (uint32_t)(now % 86400));
    t->pem.read = read;
    t->pem.ctx = ctx;
    block = compshare__pem_rest(block, sizeof *t);
    t->root = (compshare__trust_root *)(void *)block.ptr;
    t->capacity = block.cap / 4 / sizeof t->root[0];
    t->pem.buf = compshare__pem_rest(block, t->capacity * sizeof t->root[0]);
    return t;
}
/* The smallest reply area has room for the struct, tx, and 512 bytes of index and read buffer. */
typedef char compshare__assert_trust[sizeof(compshare__trust) + COMPSHARE__TX + 512
    <= COMPSHARE__REPLY_MIN ? 1 : -1];

/* ---- errors in words ---- */

/* What is wrong with the bundle, behind its name. */
static const char *compshare__trust_meaning(int trouble)
{
    static const compshare__bytes_code rows[] = {
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

/* Whether an error code of BearSSL's engine is one of bearssl_x509.h, about a certificate. */
static bool compshare__trust_is_certificate(int code)
{
    return code >= BR_ERR_X509_OK && code < 64;
}

/* Why the server's certificate was refused, given BearSSL's code. */
static const char *compshare__trust_refusal(int code)
{
    static const compshare__bytes_code rows[] = {
        { BR_ERR_X509_UNSUPPORTED, "its certificate uses an algorithm that is not supported "
            "(RSA-PSS, SHA-1, Ed25519, an odd curve)" },
        { BR_ERR_X509_BAD_SIGNATURE, "a signature in its certificate chain is wrong, "
            "or of an RSA key under 2,048 bits or with a long exponent" },
        { BR_ERR_X509_TIME_UNKNOWN, "its certificate cannot be checked without a clock" },
        { BR_ERR_X509_EXPIRED, "its certificate is expired or not yet valid" },
        { BR_ERR_X509_DN_MISMATCH, "its certificate chain is out of order" },
        { BR_ERR_X509_BAD_SERVER_NAME, "its certificate is for another host" },
        { BR_ERR_X509_CRITICAL_EXTENSION,
            "its certificate has a critical extension that is not supported" },
        { BR_ERR_X509_NOT_CA, "a certificate in its chain was signed by one that is not a CA, "
            "or not for so long a chain" },
        { BR_ERR_X509_FORBIDDEN_KEY_USAGE,
            "a certificate in its chain may not be used for this" },
        { BR_ERR_X509_WEAK_PUBLIC_KEY, "a key in its certificate chain is shorter than RSA 2048" },
        { BR_ERR_X509_NOT_TRUSTED, "its certificate leads to no trusted root" },
        { 0, "its certificate is malformed or too large" }
    };
    return compshare__bytes_meaning(rows, sizeof rows / sizeof rows[0], code);
}

/* ==== tls ====================================================================================
   BearSSL's engine (bearssl_ssl.h) over a compshare_transport: a loop that never blocks, sends a
   flight of several records in one piece, and can be left and resumed at any point. Touches its
   struct, the record buffer, tx and the transport. Must never wait for a peer's close_notify, nor
   take an end of stream without one for the end of a reply.

     sending     request -> room() -> record (encrypted in place) -> tx, or directly -> transport
     receiving   transport -> rx, or directly -> record (decrypted in place) -> receive()

   The engine is half-duplex: `record` holds either a record to be sent or one that was received.
   Functions that send or receive return COMPSHARE_OK or a number of bytes; COMPSHARE_WANT_READ or
   COMPSHARE_WANT_WRITE, when the transport cannot go on now: wait for it, and call again; or
   COMPSHARE_E_IO. What else they return stands at each. */

/* One connection, as far as it has come: compshare__tls_reset brings it back to its beginning.

     tx   | sent       | end of the handshake | request    | free
          0            tx_at                             tx_len
     rx   | used       | received                        | free
          0            rx_at                             rx_len */
typedef struct compshare__tls {
    const compshare_transport *io;
    const char *alpn[1];        /* the one protocol offered, RFC 7301; the engine points here */
    compshare__pem_scratch record;  /* the engine's buffer for records, sent and received */
    compshare__pem_scratch tx;      /* gathers a flight; lent until the first request is sent */
    bool established;           /* the handshake is over */
    bool orderly;               /* the stream ended with close_notify */
    bool in_request;            /* bytes sent from now on belong to a request */
    bool sent;                  /* the transport has taken bytes of the request */
    bool sending_aborted;       /* the request was given up: nothing more may be sent */
    bool rx_was_full;           /* the last reading filled rx: more is probably there */
    bool awaiting_reply;        /* a kernel socket was sent to, and not read since */
    bool kernel_socket;         /* the transport is room posix's */
    uint16_t handshake_in_tx;   /* bytes of the handshake in tx, in front of the request */
    int64_t now;                /* the time that certificates are checked at, Unix seconds */
    size_t tx_len, tx_at;       /* bytes in tx, and how many of them have been sent */
    size_t rx_len, rx_at;       /* bytes in rx, and how many of them have been used */
#ifdef COMPSHARE_PLAINTEXT
    bool plain;                 /* http://: no TLS on this connection */
#endif
    br_ssl_client_context client;
    unsigned char rx[COMPSHARE__RX];    /* received, and not yet given to the engine */
} compshare__tls;

/* Whether the connection is without TLS; false at compile time where that is not built in. */
#ifdef COMPSHARE_PLAINTEXT
#define COMPSHARE__TLS_PLAIN(t) ((t)->plain)
#else
#define COMPSHARE__TLS_PLAIN(t) ((void)(t), false)
#endif

/* In place of br_rsa_pkcs1_vrfy, for certificates and for the key exchange: refuses the keys
   that compshare__trust_rsa_fits does. */
static uint32_t compshare__tls_check_rsa(const unsigned char *signature, size_t len,
    const unsigned char *oid, size_t hash_len, const br_rsa_public_key *key, unsigned char *hash)
{
    if (!compshare__trust_rsa_fits(key)) return 0;
    return br_rsa_pkcs1_vrfy_get_default()(signature, len, oid, hash_len, key, hash);
}

/* Cipher suites, in the order of preference: TLS 1.2, ECDHE and AEAD only. AES-128 comes first
   only where the CPU has instructions for it: ChaCha20 is four times faster than constant-time
   AES in software. `suites` holds both orders, which overlap: four of its entries are used from
   0 or from 2 on, then AES-256. */
static void compshare__tls_suites(br_ssl_engine_context *engine)
{
    static const uint16_t suites[] = {
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
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

/* Prepares a handshake with `host`, whose name is checked and sent (RFC 6066 3); it offers
   `session`, unless that is NULL. entropy is wiped. Nothing is sent yet. False: see
   compshare__tls_error. Not br_ssl_client_init_full: that allows TLS 1.0 and SHA-1. trust must
   stay where it is until the handshake is over. */
static bool compshare__tls_start(compshare__tls *t, compshare__trust *trust, const char *host,
    unsigned char entropy[32], const br_ssl_session_parameters *session)
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
    /* the check of certificates uses the same implementations as the key exchange */
    br_x509_minimal_set_rsa(&trust->minimal, br_ssl_engine_get_rsavrfy(engine));
    br_x509_minimal_set_ecdsa(&trust->minimal, br_ssl_engine_get_ec(engine),
        br_ssl_engine_get_ecdsa(engine));
    br_ssl_engine_set_x509(engine, &trust->minimal.vtable);
    br_ssl_engine_set_buffer(engine, t->record.ptr, t->record.cap, 0);  /* 0: half-duplex */
    br_ssl_engine_inject_entropy(engine, entropy, 32);
    compshare__bytes_wipe(entropy, 32);
    if (session != NULL) br_ssl_engine_set_session_parameters(engine, session);
    return br_ssl_client_reset(&t->client, host, session != NULL) != 0;
}

/* Once for each client; the rest of the struct is zero. `plain`, http://, is false but with
   COMPSHARE_PLAINTEXT. */
static void compshare__tls_init(compshare__tls *t, const compshare_transport *io,
    bool kernel_socket, compshare__pem_scratch record, bool plain)
{
    t->io = io;
    t->kernel_socket = kernel_socket;
    t->record = record;
#ifdef COMPSHARE_PLAINTEXT
    t->plain = plain;
#else
    (void)plain;
#endif
}

/* The connection is over: nothing is buffered, nothing was sent, no key is left. */
static void compshare__tls_reset(compshare__tls *t)
{
    t->established = t->orderly = t->sent = t->in_request = t->sending_aborted = false;
    t->rx_was_full = t->awaiting_reply = false;
    t->tx_len = t->tx_at = t->rx_len = t->rx_at = 0;
    t->handshake_in_tx = 0;
    compshare__bytes_wipe(&t->client, sizeof t->client);
}

/* Wipes tx, in which a proxy's password has stood. */
static void compshare__tls_wipe_tx(compshare__tls *t)
{
    compshare__bytes_wipe(t->tx.ptr, t->tx.cap);
}

/* A request begins, of which nothing has been sent. */
static void compshare__tls_begin_request(compshare__tls *t)
{
    t->sent = t->in_request = false;
}

/* ---- bytes to and from the transport ---- */

/* The result of a send or recv that has moved nothing: a WANT, or COMPSHARE_E_IO for all else,
   as a transport's own codes mean nothing here. */
static ptrdiff_t compshare__tls_want(ptrdiff_t n)
{
    if (n == COMPSHARE_WANT_READ || n == COMPSHARE_WANT_WRITE) return n;
    return COMPSHARE_E_IO;
}

/* Sends what the transport takes at once, and returns how many bytes. Notes whether any of them
   was the request's: while that may have reached the server, a failure has an unknown outcome.
   Bytes of the handshake may stand before it in tx, and do not count. */
static ptrdiff_t compshare__tls_send(compshare__tls *t, const unsigned char *src, size_t len)
{
    ptrdiff_t n = (t->io->send)(t->io->user, src, len);
    if (n > 0 && (size_t)n <= len) {
        t->awaiting_reply = t->kernel_socket;
        if (t->in_request && (size_t)n > t->handshake_in_tx) t->sent = true;
        t->handshake_in_tx = (size_t)n < t->handshake_in_tx
            ? (uint16_t)(t->handshake_in_tx - n) : 0;
        return n;
    }
    return compshare__tls_want(n);
}

/* Receives up to cap bytes, and returns how many; 0: the stream has ended. */
static ptrdiff_t compshare__tls_recv(compshare__tls *t, unsigned char *dst, size_t cap)
{
    ptrdiff_t n = (t->io->recv)(t->io->user, dst, cap);
    t->awaiting_reply = false;
    if (n >= 0 && (size_t)n <= cap) return n;
    return compshare__tls_want(n);
}

/* Sends what waits in tx. COMPSHARE_OK: it is empty. */
static int compshare__tls_drain(compshare__tls *t)
{
    while (t->tx_at < t->tx_len) {
        ptrdiff_t n = compshare__tls_send(t, t->tx.ptr + t->tx_at, t->tx_len - t->tx_at);
        if (n < 0) return (int)n;
        t->tx_at += (size_t)n;
    }
    t->tx_at = t->tx_len = 0;
    return COMPSHARE_OK;
}

/* Takes a record, or the beginning of one, out of the engine, which has one to be sent. */
static int compshare__tls_push(compshare__tls *t)
{
    size_t len;
    const unsigned char *record = br_ssl_engine_sendrec_buf(&t->client.eng, &len);
    if (!t->sending_aborted && (!t->established || t->tx_len > 0) && len <= t->tx.cap - t->tx_len) {
        /* A handshake, or the first request while the end of the handshake has not left yet:
           gathered in tx. A flight sent as three records would meet Nagle's algorithm and a
           delayed ACK, which cost 40 ms. */
        memcpy(t->tx.ptr + t->tx_len, record, len);
        t->tx_len += len;
    } else if (!t->sending_aborted) {
        /* Anything else, and what does not fit behind a flight: sent directly, in order. */
        ptrdiff_t n = compshare__tls_drain(t);
        if (n == COMPSHARE_OK) n = compshare__tls_send(t, record, len);
        if (n < 0) return (int)n;
        len = (size_t)n;
    }
    /* Where sending was aborted, the engine is told that the record has been sent: it receives only
       when it has nothing left to send. */
    br_ssl_engine_sendrec_ack(&t->client.eng, len);
    return COMPSHARE_OK;
}

/* Like compshare__tls_recv, but the first time behind something sent to a kernel socket it
   answers COMPSHARE_WANT_READ without a system call, which would hardly ever find a reply
   there already. */
static ptrdiff_t compshare__tls_await(compshare__tls *t, unsigned char *dst, size_t cap)
{
    if (!t->awaiting_reply) return compshare__tls_recv(t, dst, cap);
    t->awaiting_reply = false;
    return COMPSHARE_WANT_READ;
}

/* Receives until rx holds `need` bytes, which is not more than its size; what is left of
   earlier ones moves to the front. COMPSHARE__EOF: the stream has ended before. */
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
    t->rx_was_full = t->rx_len == sizeof t->rx;
    return COMPSHARE_OK;
}

/* Gives the engine bytes that it needs: the header of a record, which has 5 bytes, or as many
   of those behind it as fit. *piece: it was not a header. COMPSHARE_OK: some bytes, not always
   all. */
static int compshare__tls_pull(compshare__tls *t, bool *piece)
{
    size_t want, have = t->rx_len - t->rx_at, need;
    unsigned char *dst = br_ssl_engine_recvrec_buf(&t->client.eng, &want);
    int r;
    *piece = want > 5;
    /* The engine has no room to receive: it waits for something that cannot come. */
    if (dst == NULL) return COMPSHARE_E_TLS;
    /* A long record, of which the transport probably has more: straight into the engine's
       buffer, without a copy through rx. Not so in a handshake, whose messages are worked on
       one by one: pieces of rx's size bound what one step does. */
    if (have == 0 && t->rx_was_full && t->established && want >= sizeof t->rx) {
        ptrdiff_t n = compshare__tls_recv(t, dst, want);
        if (n <= 0) return n == 0 ? COMPSHARE__EOF : (int)n;
        t->rx_was_full = (size_t)n == want;
        br_ssl_engine_recvrec_ack(&t->client.eng, (size_t)n);
        return COMPSHARE_OK;
    }
    /* All that it wants at once, or a whole rx: byte by byte it would take a fifth more
       instructions. What has arrived of it already waits in rx until the rest is there. */
    need = want < sizeof t->rx ? want : sizeof t->rx;
    if (have < need && (r = compshare__tls_fill(t, need)) != COMPSHARE_OK) return r;
    memcpy(dst, t->rx + t->rx_at, need);
    t->rx_at += need;
    br_ssl_engine_recvrec_ack(&t->client.eng, need);
    return COMPSHARE_OK;
}

/* Runs the engine until application data can be sent or read, as `target` (BR_SSL_SENDAPP or
   BR_SSL_RECVAPP) says: COMPSHARE_OK. Other results leave it so that the next call goes on
   where this one ended: a WANT; or COMPSHARE_PENDING, where it could go on at once but the
   deadline is to be looked at first. Final are COMPSHARE__EOF, COMPSHARE_E_IO and
   COMPSHARE_E_TLS. br_sslio's loop in BearSSL's ssl_io.c has the same order. The states
   (bearssl_ssl.h, br_ssl_engine_current_state), of which several may be set:

     BR_SSL_CLOSED     the engine has ended, with an error or without
     BR_SSL_SENDREC    it has bytes of a record for the transport
     BR_SSL_RECVREC    it takes bytes of a record from the transport
     BR_SSL_SENDAPP    it takes plaintext to be sent
     BR_SSL_RECVAPP    it has plaintext that was received */
static int compshare__tls_pump(compshare__tls *t, unsigned target)
{
    int turns;
    for (turns = 0; turns < COMPSHARE__STEP_READS; turns++) {
        unsigned state = br_ssl_engine_current_state(&t->client.eng);
        bool piece = false;
        int r;
        /* The engine has ended: without an error it was the peer's close_notify. */
        if (state & BR_SSL_CLOSED) {
            t->orderly = br_ssl_engine_last_error(&t->client.eng) == BR_ERR_OK;
            return t->orderly ? COMPSHARE__EOF : COMPSHARE_E_TLS;
        }
        /* A record is ready to be sent. This comes before everything else: the peer may wait
           for it, and nothing can be received into a buffer that is in use. */
        if (state & BR_SSL_SENDREC) r = compshare__tls_push(t);
        /* The state that the caller waits for is reached. */
        else if (state & target) return COMPSHARE_OK;
        /* The engine needs a record from the peer. What was gathered in tx must have left
           first: it is what the peer answers. */
        else if ((r = compshare__tls_drain(t)) == COMPSHARE_OK) r = compshare__tls_pull(t, &piece);
        if (r != COMPSHARE_OK) return r;
        /* No step does more than one piece of a handshake: each may cost a signature. */
        if (piece && !t->established) return COMPSHARE_PENDING;
    }
    /* The peer keeps the engine busy, with empty records for example. */
    return COMPSHARE_PENDING;
}

/* ---- the channel: what `exchange` uses, encrypted or not ---- */

/* Goes on with the handshake; the first call sends its first message. COMPSHARE_OK: it is over,
   and the server has proved to be the host that was named. Without TLS there is nothing to do. */
static int compshare__tls_handshake(compshare__tls *t)
{
    int r = COMPSHARE__TLS_PLAIN(t) ? COMPSHARE_OK : compshare__tls_pump(t, BR_SSL_SENDAPP);
    if (r == COMPSHARE_OK) t->established = true;
    return r;
}

/* Where up to *cap bytes of plaintext for the next record may be written; the last one has been
   flushed. NULL: the engine is not ready, which no peer can cause while nothing is read.
   Without TLS the record buffer takes the place of tx. */
static unsigned char *compshare__tls_room(compshare__tls *t, size_t *cap)
{
    if (!COMPSHARE__TLS_PLAIN(t)) return br_ssl_engine_sendapp_buf(&t->client.eng, cap);
    t->tx = t->record;
    *cap = t->tx.cap;
    return t->tx.ptr;
}

/* The first len bytes of the room hold the next part of the request. Nothing is sent yet; what
   tx holds before the first part is the end of the handshake. */
static void compshare__tls_commit(compshare__tls *t, size_t len)
{
    if (!t->in_request) t->handshake_in_tx = (uint16_t)(t->tx_len - t->tx_at);
    t->in_request = true;
    if (COMPSHARE__TLS_PLAIN(t)) t->tx_len += len;
    else br_ssl_engine_sendapp_ack(&t->client.eng, len);
}

/* Sends everything committed. COMPSHARE_OK: the transport has taken all of it. */
static int compshare__tls_flush(compshare__tls *t)
{
    int r = COMPSHARE_OK;
    if (COMPSHARE__TLS_PLAIN(t)) return compshare__tls_drain(t);
    br_ssl_engine_flush(&t->client.eng, 0);
    while (r == COMPSHARE_OK && (br_ssl_engine_current_state(&t->client.eng) & BR_SSL_SENDREC))
        r = compshare__tls_push(t);
    return r == COMPSHARE_OK ? compshare__tls_drain(t) : r;
}

/* Whether the transport has something for the reader: bytes, which go into rx, its end, or a
   failure. Called only while rx is empty and no request is under way, or sending is stuck, or
   the next record of a request is to be written. A peer that sends in the middle of a request
   has decided already: the client never requests a 100 Continue. */
static bool compshare__tls_peer_speaks(compshare__tls *t)
{
    ptrdiff_t n = compshare__tls_recv(t, t->rx, sizeof t->rx);
    t->rx_at = 0;
    t->rx_len = n > 0 ? (size_t)n : 0;
    return n != COMPSHARE_WANT_READ && n != COMPSHARE_WANT_WRITE;
}

/* Gives up what has not been sent of the request, so that the reply can be read. The connection
   cannot be used for another request afterwards. */
static void compshare__tls_stop_sending(compshare__tls *t)
{
    t->tx_at = t->tx_len = 0;
    t->awaiting_reply = false;
    t->sending_aborted = true;
}

/* A piece of received plaintext, 1 byte or more, which is valid until compshare__tls_consumed.
   Other results than COMPSHARE_OK: see compshare__tls_pump. */
static int compshare__tls_receive(compshare__tls *t, const unsigned char **src, size_t *len)
{
    int r;
    if (COMPSHARE__TLS_PLAIN(t)) {
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

/* The first len bytes of the piece have been used. The rest is in the next piece. */
static void compshare__tls_consumed(compshare__tls *t, size_t len)
{
    if (COMPSHARE__TLS_PLAIN(t)) t->rx_at += len;
    else br_ssl_engine_recvapp_ack(&t->client.eng, len);
}

/* Whether the connection is as it must be between two replies: all of the request was sent, and
   there is no plaintext, nothing received and not used, and no record begun. The engine shows
   the last one by where it wants the next bytes: the header of a record goes to the start of
   its buffer. */
static bool compshare__tls_is_clean(compshare__tls *t)
{
    size_t len;
    if (t->sending_aborted || t->rx_at < t->rx_len) return false;
    return COMPSHARE__TLS_PLAIN(t)
        || br_ssl_engine_recvrec_buf(&t->client.eng, &len) == t->record.ptr;
}

/* Whether nothing waits in tx either, so that it and the record buffer are free. */
static bool compshare__tls_is_idle(compshare__tls *t)
{
    return t->tx_at == t->tx_len && compshare__tls_is_clean(t);
}

/* Whether an idle kept connection can be used again: a server in order is silent between
   requests. One that has closed the connection, or has sent something, is not used. */
static bool compshare__tls_is_alive(compshare__tls *t)
{
    return compshare__tls_is_clean(t) && !compshare__tls_peer_speaks(t);
}

/* Sends close_notify (RFC 5246 7.2.1) if that needs no waiting. The peer's is not waited for,
   and the transport is closed by the caller. */
static void compshare__tls_close(compshare__tls *t)
{
    if (COMPSHARE__TLS_PLAIN(t) || !t->established || t->sending_aborted || t->tx_len > 0) return;
    if (br_ssl_engine_current_state(&t->client.eng) & (BR_SSL_CLOSED | BR_SSL_SENDREC)) return;
    /* close_notify is not part of a request: it must not make an outcome unknown */
    t->in_request = false;
    br_ssl_engine_close(&t->client.eng);
    if (br_ssl_engine_current_state(&t->client.eng) & BR_SSL_SENDREC) (void)compshare__tls_push(t);
}

/* ---- errors in words ---- */

/* BearSSL's code for why TLS failed. */
static int compshare__tls_error(const compshare__tls *t)
{
    return br_ssl_engine_last_error(&t->client.eng);
}

/* What a BearSSL error code means to the person who has to fix it. Alerts are of RFC 5246 7.2.2,
   112 of RFC 6066 9, 120 of RFC 7301 3.2. */
static const char *compshare__tls_meaning(int code)
{
    static const compshare__bytes_code rows[] = {
        { BR_ERR_UNSUPPORTED_VERSION,
            "the peer does not speak TLS on this port, or only a version older than 1.2" },
        { BR_ERR_TOO_LARGE, "the server sent a TLS record larger than the record buffer: "
            "do not set COMPSHARE_SMALL_RECORDS for it" },
        { BR_ERR_BAD_MAC, "a TLS record was corrupted on the way" },
        { BR_ERR_NO_RANDOM, "no entropy for TLS" },
        { BR_ERR_INVALID_ALGORITHM,
            "the server uses a curve, hash or signature that is not supported" },
        { BR_ERR_BAD_SIGNATURE, "the server's key exchange signature is wrong, "
            "or of an RSA key under 2,048 bits or with a long exponent" },
        { BR_ERR_WRONG_KEY_USAGE, "the server's key may not be used for this" },
        { BR_ERR_RECV_FATAL_ALERT + 40, "the server found no common cipher, curve or signature, "
            "or demands a client certificate" },
        { BR_ERR_RECV_FATAL_ALERT + 70, "the server refuses TLS 1.2" },
        { BR_ERR_RECV_FATAL_ALERT + 112, "the server does not know this host name" },
        { BR_ERR_RECV_FATAL_ALERT + 120, "the server does not offer http/1.1" },
        { 0, NULL }
    };
    const char *text = compshare__bytes_meaning(rows, sizeof rows / sizeof rows[0], code);
    if (text != NULL) return text;
    if (compshare__trust_is_certificate(code)) return compshare__trust_refusal(code);
    if (code >= BR_ERR_SEND_FATAL_ALERT) return "TLS was ended by this client";
    if (code >= BR_ERR_RECV_FATAL_ALERT) return "the server ended TLS with an alert";
    return "the server broke the TLS protocol";
}

/* ==== posix ==================================================================================
   The default transport over TCP sockets, the clocks, entropy, and the bundle as a file. Touches
   sockets, the bundle and /dev/urandom (opened for reading), and its own struct. Must never wait
   for the network but in getaddrinfo and in wait, raise a signal, or leave a descriptor open.
   With COMPSHARE_NO_SOCKETS the functions that other rooms call have bodies that do nothing, or
   refuse, so that no other room depends on that switch. Each is explained where it has its real
   body.

   A connection, each line a step of compshare__posix_open:

     resolve    names to addresses, in getaddrinfo; skipped while no_look_up_until is in the future
     begin      a socket, and connect to address[at]
     progress   until it is connected; on failure, or after its part of the time, the next address

   A socket call that fails leaves its errno in last_errno; compshare__posix_meaning puts that into
   words. */

#ifdef COMPSHARE_NO_SOCKETS

typedef struct compshare__posix { char unused; } compshare__posix;

/* *io is left as it is: the program's transport takes its place, as compshare__posix_refusal
   makes sure. */
static void compshare__posix_init(compshare__posix *p, compshare_transport *io)
{
    (void)p;
    (void)io;
}

static void compshare__posix_configure(compshare__posix *p, const compshare_config *f)
{
    (void)p;
    (void)f;
}

static bool compshare__posix_serves(const compshare__posix *p, const compshare_transport *io)
{
    (void)p;
    (void)io;
    return false;
}

static void compshare__posix_defaults(compshare_config *f) { (void)f; }

/* What of a configuration this build cannot serve, or lacks: the field, and the reason. NULL:
   nothing. */
static const char *compshare__posix_refusal(const compshare_config *f)
{
    if (f->transport == NULL) return "transport: it is needed: this build has no sockets";
    if (f->unix_time == NULL) return "unix_time: it is needed: this build has no clock";
    if (f->monotonic_ms == NULL) return "monotonic_ms: it is needed: this build has no clock";
    if (f->entropy == NULL) return "entropy: it is needed: this build has no entropy";
    if (f->ca_file != NULL) return "ca_file: this build reads no files: use ca_pem";
    return f->ca_pem == NULL ? "ca_pem: it is needed: this build reads no files" : NULL;
}

static void compshare__posix_allow(compshare__posix *p, uint64_t deadline, uint32_t extension_ms)
{
    (void)p;
    (void)deadline;
    (void)extension_ms;
}

static uint64_t compshare__posix_extended(const compshare__posix *p, uint64_t deadline)
{
    (void)p;
    (void)deadline;
    return 0;
}

static uint64_t compshare__posix_attempt_deadline(const compshare__posix *p)
{
    (void)p;
    return UINT64_MAX;
}

static void compshare__posix_verified(compshare__posix *p) { (void)p; }

static const char *compshare__posix_find_bundle(compshare__posix *p, const char *ca_file,
    const char **name)
{
    (void)p;
    (void)ca_file;
    (void)name;
    return "cannot be opened";
}

static bool compshare__posix_bundle_identity(compshare__posix *p, int64_t identity[5])
{
    (void)p;
    (void)identity;
    return false;
}

static ptrdiff_t compshare__posix_read_bundle(void *ctx, size_t offset, void *dst, size_t cap)
{
    (void)ctx;
    (void)offset;
    (void)dst;
    (void)cap;
    return -1;
}

static void compshare__posix_close_bundle(compshare__posix *p) { (void)p; }

static void compshare__posix_blame_bundle(compshare__posix *p) { (void)p; }

static int compshare__posix_error(const compshare__posix *p) { (void)p; return 0; }

static const char *compshare__posix_meaning(int error) { (void)error; return ""; }

static bool compshare__posix_name_failed(const compshare__posix *p) { (void)p; return false; }

static const char *compshare__posix_resolve_meaning(const compshare__posix *p)
{
    (void)p;
    return "";
}

#else

/* One resolved address; family any.sa_family. Not sockaddr_storage, which has 128 bytes. */
typedef union compshare__posix_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} compshare__posix_address;

/* The transport of one client. The addresses survive a connection: see
   compshare__posix_resolve. */
typedef struct compshare__posix {
    int fd;                     /* the socket; -1: none */
    int bundle;                 /* the file of root certificates; -1: not open */
    int last_errno;             /* of what failed last; 0: nothing has */
    int last_eai;               /* what getaddrinfo returned last */
    int bundle_errno;           /* of opening or reading the bundle; 0: neither failed */
    bool fast_open;             /* COMPSHARE_FAST_OPEN: the first bytes go with the SYN, RFC 7413 */
    bool resolved;              /* compshare__posix_resolve was done for this connection */
    bool address_verified;      /* a handshake at one of the addresses has succeeded */
    uint8_t count, at;          /* addresses known, and the one being tried */
    uint32_t extension_ms;      /* a look-up may move the deadline by this much at most */
    uint64_t deadline;          /* for connecting, in monotonic_ms */
    uint64_t attempt_deadline;  /* when the address being tried is given up */
    uint64_t no_look_up_until;  /* until then names are not looked up again */
    uint64_t (*monotonic_ms)(void *user);
    void *user;                 /* of monotonic_ms */
    compshare__posix_address address[COMPSHARE__ADDRESSES];
} compshare__posix;

/* The default compshare_config.monotonic_ms. It counts while the machine is suspended, too,
   where the system has such a clock: a deadline must not stand still meanwhile. */
static uint64_t compshare__posix_monotonic_ms(void *user)
{
    struct timespec ts = { 0, 0 };
#ifdef CLOCK_BOOTTIME
    clockid_t clock = CLOCK_BOOTTIME;
#else
    clockid_t clock = CLOCK_MONOTONIC;
#endif
    (void)user;
    if (clock_gettime(clock, &ts) != 0) (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

/* The default compshare_config.unix_time. */
static int64_t compshare__posix_unix_time(void *user)
{
    (void)user;
    return (int64_t)time(NULL);
}

/* What of a configuration this build cannot serve: the field, and the reason. NULL: nothing. */
static const char *compshare__posix_refusal(const compshare_config *f)
{
#ifndef TCP_FASTOPEN_CONNECT
    if (f->flags & COMPSHARE_FAST_OPEN)
        return "flags: COMPSHARE_FAST_OPEN is for Linux: this build has no TCP_FASTOPEN_CONNECT";
#endif
    (void)f;
    return NULL;
}

/* Closes a descriptor, if there is one. EINTR is not repeated: on Linux the descriptor is free
   then, and another thread may have it already. */
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

/* For kernels without getrandom. /dev/urandom must be a device, not a file that stands in its
   place. 0: all len bytes are random; -1: it cannot be used. */
static int compshare__posix_urandom(unsigned char *dst, size_t len)
{
    struct stat s;
    ssize_t n = 0;
    int fd = (open)("/dev/urandom", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &s) == 0 && S_ISCHR(s.st_mode)) n = (read)(fd, dst, len);
    compshare__posix_close_fd(&fd);
    return n == (ssize_t)len ? 0 : -1;
}

/* The default compshare_config.entropy. 0: all len bytes are random. A kernel whose generator
   is not seeded yet is an error, as this does not wait for it. */
static int compshare__posix_entropy(void *user, void *dst, size_t len)
{
    (void)user;
#ifdef COMPSHARE__RANDOM
    for (;;) {
        ssize_t n = (getrandom)(dst, len, GRND_NONBLOCK);
        if (n == (ssize_t)len) return 0;
        if (n < 0 && (errno == ENOSYS || errno == EPERM)) break;    /* EPERM: seccomp's */
        if (n >= 0 || errno != EINTR) return -1;
    }
#endif
    return compshare__posix_urandom((unsigned char *)dst, len);
}
#endif

/* Fills in the functions that a program has not given. */
static void compshare__posix_defaults(compshare_config *f)
{
    if (f->unix_time == NULL) f->unix_time = compshare__posix_unix_time;
    if (f->monotonic_ms == NULL) f->monotonic_ms = compshare__posix_monotonic_ms;
    if (f->entropy == NULL) f->entropy = compshare__posix_entropy;
}

/* ---- the transport ---- */

/* compshare_transport.close. The addresses stay known; the next connection begins with the
   first. */
static void compshare__posix_close(void *user)
{
    compshare__posix *p = (compshare__posix *)user;
    compshare__posix_close_fd(&p->fd);
    p->at = 0;
    p->resolved = false;
}

/* Looks up the addresses of a host, and keeps the first COMPSHARE__ADDRESSES, which TLS has not
   verified yet. COMPSHARE_E_RESOLVE: there is none (see last_eai); those known before stay. It
   blocks as long as getaddrinfo does. */
static int compshare__posix_look_up(compshare__posix *p, const char *host, uint16_t port)
{
    struct addrinfo hints, *list = NULL, *a;
    char service[8];
    uint8_t n = 0;
    compshare__bytes_text digits = compshare__bytes_into(service, sizeof service);
    compshare__bytes_put_int(&digits, port);
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
        if ((a->ai_family == AF_INET || a->ai_family == AF_INET6)
            && a->ai_addrlen <= sizeof p->address[0])
            memcpy(&p->address[n++], a->ai_addr, a->ai_addrlen);
    (freeaddrinfo)(list);
    if (n == 0) return COMPSHARE_E_RESOLVE;
    p->count = n;
    p->address_verified = false;
    return COMPSHARE_OK;
}

/* Makes addresses of a host known. Where its name cannot be looked up, for whatever reason and
   even if it does not exist, addresses are used again that TLS has verified before: a lease
   must outlive a broken resolver, and TLS verifies the server anew. The time that a look-up
   takes is not part of the time for connecting: it moves the deadline, by extension_ms at the
   most. After a look-up that failed or took longer, connections do without one for
   COMPSHARE__NAMES_MS. */
static int compshare__posix_resolve(compshare__posix *p, const char *host, uint16_t port)
{
    uint64_t start = p->monotonic_ms(p->user), now, spent;
    int r;
    if (start < p->no_look_up_until) return COMPSHARE_OK;
    r = compshare__posix_look_up(p, host, port);
    now = p->monotonic_ms(p->user);
    spent = now - start;
    p->deadline += spent < p->extension_ms ? spent : p->extension_ms;
    if (r != COMPSHARE_OK && !p->address_verified) return r;
    /* a broken resolver would cost this time again with every connection */
    if (r != COMPSHARE_OK || spent > p->extension_ms)
        p->no_look_up_until = now + COMPSHARE__NAMES_MS;
    return COMPSHARE_OK;
}

/* A non-blocking TCP socket that is closed by exec, sends small segments at once and raises no
   SIGPIPE. -1: see errno. */
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

/* Waits up to timeout_ms (0: not at all) for events of poll, and returns what poll does. */
static int compshare__posix_poll(int fd, int events, int timeout_ms)
{
    struct pollfd pfd;
    pfd.fd = fd;
    pfd.events = (short)events;
    pfd.revents = 0;
    return (poll)(&pfd, 1, timeout_ms);
}

/* Begins to connect to address[at], which gets an equal part of the time that is left. 1:
   connected; 0: not yet; -1: failed, see last_errno. A connect that a signal has interrupted
   goes on by itself (POSIX, connect).

     now         attempt_deadline          deadline
     | address 2 | address 3 | address 4   | */
static int compshare__posix_begin(compshare__posix *p)
{
    const compshare__posix_address *a = &p->address[p->at];
    socklen_t len = a->any.sa_family == AF_INET ? (socklen_t)sizeof a->v4 : (socklen_t)sizeof a->v6;
    uint64_t now = p->monotonic_ms(p->user);
#ifdef TCP_FASTOPEN_CONNECT
    int one = 1;
#endif
    /* an equal part for this address and each one behind it; none once the deadline has passed */
    p->attempt_deadline = now;
    if (p->deadline > now)
        p->attempt_deadline += (p->deadline - now) / (unsigned)(p->count - p->at);
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

/* Goes on with connecting, without waiting, and returns the same: -1 also once the address has
   had its time. */
static int compshare__posix_progress(compshare__posix *p)
{
    int error = 0;
    socklen_t len = sizeof error;
    /* a socket is writable once connecting has ended; SO_ERROR shows how (POSIX, connect) */
    if (compshare__posix_poll(p->fd, POLLOUT, 0) > 0) {
        if ((getsockopt)(p->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) error = errno;
        if (error == 0) return 1;
    } else {
        if (p->monotonic_ms(p->user) < p->attempt_deadline) return 0;
        error = ETIMEDOUT;
    }
    p->last_errno = error;
    return -1;
}

/* compshare_transport.open: connects to one address after the other until one answers.
   COMPSHARE_WANT_WRITE: not yet; COMPSHARE_E_CONNECT: none of them does. Then the next
   connection looks the name up in any case: the addresses may be old. */
static int compshare__posix_open(void *user, const char *host, uint16_t port)
{
    compshare__posix *p = (compshare__posix *)user;
    int r;
    if (!p->resolved) {
        p->last_errno = 0;
        r = compshare__posix_resolve(p, host, port);
        if (r != COMPSHARE_OK) return r;
        p->resolved = true;
    }
    /* a socket shows that connecting to address[at] has begun */
    for (; p->at < p->count; p->at++) {
        int progress = p->fd >= 0 ? compshare__posix_progress(p) : compshare__posix_begin(p);
        if (progress > 0) {
            p->last_errno = 0;
            return COMPSHARE_OK;
        }
        if (progress == 0) return COMPSHARE_WANT_WRITE;
        compshare__posix_close_fd(&p->fd);
    }
    p->no_look_up_until = 0;
    return COMPSHARE_E_CONNECT;
}

/* No SIGPIPE: by a flag of each send, or else by the socket's SO_NOSIGPIPE. */
#ifdef MSG_NOSIGNAL
#define COMPSHARE__POSIX_SEND_FLAGS MSG_NOSIGNAL
#else
#define COMPSHARE__POSIX_SEND_FLAGS 0
#endif

/* The result of send or recv, n, as a transport returns it: a number of bytes, `want` where it
   would block, or COMPSHARE_E_IO. EINPROGRESS: a connection with fast open is still being made. */
static ptrdiff_t compshare__posix_moved(compshare__posix *p, ssize_t n, int want)
{
    if (n >= 0) return n;
    if (errno == EAGAIN || errno == EINPROGRESS) return want;
#if EWOULDBLOCK != EAGAIN
    if (errno == EWOULDBLOCK) return want;
#endif
    p->last_errno = errno;
    return COMPSHARE_E_IO;
}

/* compshare_transport.send. */
static ptrdiff_t compshare__posix_send(void *user, const void *src, size_t len)
{
    compshare__posix *p = (compshare__posix *)user;
    ssize_t n;
    do n = (send)(p->fd, src, len, COMPSHARE__POSIX_SEND_FLAGS); while (n < 0 && errno == EINTR);
    return compshare__posix_moved(p, n, COMPSHARE_WANT_WRITE);
}

/* compshare_transport.recv. */
static ptrdiff_t compshare__posix_recv(void *user, void *dst, size_t cap)
{
    compshare__posix *p = (compshare__posix *)user;
    ssize_t n;
    do n = (recv)(p->fd, dst, cap, 0); while (n < 0 && errno == EINTR);
    return compshare__posix_moved(p, n, COMPSHARE_WANT_READ);
}

/* compshare_transport.wait; want 0 only sleeps. It returns COMPSHARE_OK after a timeout and
   after a signal, too: the caller looks at its deadline, and waits again. */
static int compshare__posix_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    compshare__posix *p = (compshare__posix *)user;
    int events = (want & COMPSHARE_READ ? POLLIN : 0) | (want & COMPSHARE_WRITE ? POLLOUT : 0);
    int timeout = timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
    if (compshare__posix_poll(want != 0 ? p->fd : -1, events, timeout) >= 0 || errno == EINTR)
        return COMPSHARE_OK;
    p->last_errno = errno;
    return COMPSHARE_E_IO;
}

/* compshare_transport.fd. */
static int compshare__posix_fd(void *user)
{
    return ((compshare__posix *)user)->fd;
}

/* No address is known, nothing is open, and *io is this transport. compshare__posix_configure
   must follow before its first use. */
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

/* Takes what the transport needs of a configuration whose defaults are filled in. */
static void compshare__posix_configure(compshare__posix *p, const compshare_config *f)
{
    p->fast_open = (f->flags & COMPSHARE_FAST_OPEN) != 0;
    p->monotonic_ms = f->monotonic_ms;
    p->user = f->user;
}

/* Whether a client's transport is this one, and not one that the program has given. */
static bool compshare__posix_serves(const compshare__posix *p, const compshare_transport *io)
{
    return io->user == (const void *)p;
}

/* The connection to come must be made before `deadline` (monotonic_ms); a look-up may move that
   by extension_ms. */
static void compshare__posix_allow(compshare__posix *p, uint64_t deadline, uint32_t extension_ms)
{
    p->deadline = deadline;
    p->extension_ms = extension_ms;
}

/* By how many milliseconds a look-up has moved `deadline`, which compshare__posix_allow was
   given. */
static uint64_t compshare__posix_extended(const compshare__posix *p, uint64_t deadline)
{
    return p->deadline - deadline;
}

/* When compshare__posix_open must be called again, even if the socket shows no event: the
   address being tried is given up then. */
static uint64_t compshare__posix_attempt_deadline(const compshare__posix *p)
{
    return p->attempt_deadline;
}

/* The handshake is over: the current address leads to the host. Without TLS, where nothing
   proves it, that is assumed. */
static void compshare__posix_verified(compshare__posix *p)
{
    p->address_verified = true;
}

/* ---- the bundle ---- */

/* Where systems keep their bundle: the manual has the same list, and names the systems. */
static const char *const compshare__posix_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/etc/ssl/ca-bundle.pem",
    "/opt/homebrew/etc/ca-certificates/cert.pem",
    "/usr/local/etc/ca-certificates/cert.pem"
};
#define COMPSHARE__POSIX_BUNDLES \
    (sizeof compshare__posix_bundles / sizeof compshare__posix_bundles[0])

/* Opens the first of the files that has something in it; a single one is opened in any case,
   and found empty when it is read. Returns its path, with bundle_errno 0. If none can be used,
   p->bundle is -1, and the result is the path of the first that exists, with what is wrong with
   it in bundle_errno (0: it is empty); NULL and ENOENT if none exists. O_NONBLOCK: opening a
   FIFO must not wait. */
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
        if (n > 0) {
            p->bundle_errno = 0;
            return paths[i];
        }
        /* it is there, but empty or unreadable: the first such file is the one to report */
        if (faulty == NULL && (n == 0 || errno != ENOENT)) {
            faulty = paths[i];
            p->bundle_errno = n == 0 ? 0 : errno;
        }
        compshare__posix_close_fd(&p->bundle);
    }
    return faulty;
}

/* Opens the bundle: ca_file, or if that is NULL the first of the usual places. *name is its
   path, for error texts. Returns NULL, or what is wrong, to be put behind the name. */
static const char *compshare__posix_find_bundle(compshare__posix *p, const char *ca_file,
    const char **name)
{
    bool given = ca_file != NULL;
    *name = compshare__posix_open_bundle(p, given ? &ca_file : compshare__posix_bundles,
        given ? 1 : COMPSHARE__POSIX_BUNDLES);
    if (p->bundle >= 0) return NULL;
    if (*name == NULL) *name = given ? ca_file : "every usual place of a bundle";
    return p->bundle_errno == 0 ? "is empty" : "cannot be opened";
}

/* What tells the open bundle from other files, and from itself after a change: device, inode,
   size and the times of modification and of status change. Saved TLS sessions are bound to it.
   False: it is not known. */
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

/* A compshare__pem_read_fn for the open bundle; ctx is the transport. */
static ptrdiff_t compshare__posix_read_bundle(void *ctx, size_t offset, void *dst, size_t cap)
{
    compshare__posix *p = (compshare__posix *)ctx;
    ssize_t n;
    do n = (pread)(p->bundle, dst, cap, (off_t)offset); while (n < 0 && errno == EINTR);
    if (n < 0) p->bundle_errno = errno;
    return n;
}

static void compshare__posix_close_bundle(compshare__posix *p)
{
    compshare__posix_close_fd(&p->bundle);
}

/* ---- errors in words ---- */

/* The error to report is that of the bundle. */
static void compshare__posix_blame_bundle(compshare__posix *p)
{
    p->last_errno = p->bundle_errno;
}

/* The errno of what failed last; 0: there is none. */
static int compshare__posix_error(const compshare__posix *p)
{
    return p->last_errno;
}

/* An errno in words. Not strerror: it may allocate, and is not safe in threads. */
static const char *compshare__posix_meaning(int error)
{
    static const compshare__bytes_code rows[] = {
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

/* Whether the last look-up of a name has failed. */
static bool compshare__posix_name_failed(const compshare__posix *p)
{
    return p->last_eai != 0;
}

/* Why a name could not be looked up, by last_eai. 0: the name exists, but has no address of
   IPv4 or IPv6. */
static const char *compshare__posix_resolve_meaning(const compshare__posix *p)
{
    static const compshare__bytes_code rows[] = {
        { 0, "the name has no usable address" },
        { EAI_NONAME, "no such name" },
        { EAI_AGAIN, "the name servers do not answer" },
        { EAI_FAIL, "the name servers failed" },
        { EAI_MEMORY, "out of memory" },
        { 0, "name resolution failed" }
    };
    return compshare__bytes_meaning(rows, sizeof rows / sizeof rows[0], p->last_eai);
}

#endif /* COMPSHARE_NO_SOCKETS */

/* ==== config =================================================================================
   Takes compshare_config apart: refuses what cannot work, naming the field and the limit, and
   fills in the defaults. Pure: touches only its arguments. Must never ignore a setting that
   it does not support. */

/* base_url or proxy, taken apart. host is without brackets, and without the dot at its end. */
typedef struct compshare__config_origin {
    char host[COMPSHARE__HOST_MAX + 1];
    uint16_t port;              /* 0: nothing was given, there is no proxy */
    bool plain;                 /* http:// */
    bool port_shown;            /* it is not the scheme's own, and stands in Host: RFC 9110 7.2 */
    compshare_view path;        /* of base_url, never empty; in the caller's string */
    compshare_view credentials; /* of a proxy: "user" or "user:password", with percent-escapes, as
                                   they stand in the caller's string; empty: none */
} compshare__config_origin;

/* Whether no byte is under `least`, and none is DEL. With ' ' nothing can end a header line (no
   header injection), with '!' no space can hide at the end of a key either. Bytes of UTF-8 pass. */
static bool compshare__config_printable(const char *s, char least)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < (unsigned char)least || *s == 0x7F) return false;
    return true;
}

/* A DNS name, RFC 1123 2.1, of len bytes without the dot at its end. NULL, or why it is refused.
   With TLS an IP address is refused, in every spelling that resolvers take (a last label that is
   decimal, octal or hexadecimal): BearSSL compares names with dNSName entries only, so an
   address could not be verified. */
static const char *compshare__config_host(const char *host, size_t len, bool plain)
{
    size_t i, start = 0, last = 0;      /* where the current label begins, and the last one */
    if (len == 0) return "it has no host name";
    if (host[0] == '[') return "an IP address cannot be verified: use a host name";
    if (len > 253) return "the host name is longer than 253 bytes";
    for (i = 0; i <= len; i++) {
        if (i == len || host[i] == '.') {
            if (i == start) return "the host name has an empty label";
            last = start;
            start = i + 1;
        } else if (!compshare__bytes_in((unsigned char)host[i], COMPSHARE__BYTES_LABEL)) {
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

/* host[:port] at *s, which moves behind it; RFC 3986 3.2. Into url, which is zero but for
   `plain`. port: the scheme's own. ipv6: the host may be an IPv6 address in brackets, of 45
   bytes at the most (as INET6_ADDRSTRLEN has it). NULL, or why it is refused. */
static const char *compshare__config_authority(const char **s, compshare__config_origin *url,
    uint16_t port, bool ipv6)
{
    const char *p = *s, *reason;
    compshare_view digits;
    uint64_t number;
    size_t len, name;
    if (ipv6 && p[0] == '[') {
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

/* base_url: scheme://host[:port][/path], without query and fragment. http:// only in a build
   with COMPSHARE_PLAINTEXT. NULL, or why it is refused. */
static const char *compshare__config_url(const char *s, compshare__config_origin *url)
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
    reason = compshare__config_authority(&s, url, url->plain ? 80 : 443, false);
    if (reason != NULL) return reason;
    url->path.ptr = *s == '\0' ? "/" : s;
    url->path.len = strlen(url->path.ptr);
    if (*url->path.ptr != '/') return "nothing but a port and a path may follow its host name";
    if (url->path.len > COMPSHARE__PATH_MAX) return "its path is longer than 255 bytes";
    for (; *s != '\0'; s++)
        if ((unsigned char)*s >= 0x80 || *s == '?' || *s == '#')
            return "its path holds a character that is not allowed";
    return NULL;
}

/* The user and password of a proxy's URL. Percent-escapes are checked here and decoded when they
   are sent (compshare__encode_connect); as RFC 7617 2 has it, no colon is in the user. NULL, or
   why they are refused. */
static const char *compshare__config_credentials(compshare_view v)
{
    size_t i;
    bool password = false;
    if (v.len > COMPSHARE__CREDENTIALS_MAX)
        return "its user and password are longer than 255 bytes";
    for (i = 0; i < v.len; i++) {
        int high, c;
        password = password || v.ptr[i] == ':';
        if (v.ptr[i] != '%') continue;
        high = compshare__bytes_hex((unsigned char)v.ptr[i + 1]);
        c = high < 0 ? -1 : compshare__bytes_hex((unsigned char)v.ptr[i + 2]);
        if (c < 0)
            return "a % in its user or password is not followed by two hexadecimal digits";
        c += 16 * high;
        if (c < 0x20 || c == 0x7F) return "its user or password holds a control character";
        if (c == ':' && !password) return "its user holds a colon";
    }
    return NULL;
}

/* http://[user:password@]host[:port][/]. The last @ ends the credentials. TLS passes through the
   tunnel to the server, so the proxy itself is not verified, and its host may be an IP address.
   NULL, or why it is refused. */
static const char *compshare__config_proxy(const char *s, compshare__config_origin *url)
{
    const char *reason;
    size_t end = 0, at = 0;
    memset(url, 0, sizeof *url);
    if (!compshare__config_printable(s, '!')) return "it holds a space or a control character";
    if (!compshare__bytes_begins(s, "http://")) return "only http:// proxies are supported";
    s += 7;
    for (; s[end] != '\0' && s[end] != '/'; end++)
        if (s[end] == '@') at = end + 1;
    url->credentials.ptr = s;
    url->credentials.len = at > 0 ? at - 1 : 0;     /* without the @ */
    if ((reason = compshare__config_credentials(url->credentials)) != NULL) return reason;
    s += at;
    url->plain = true;
    if ((reason = compshare__config_authority(&s, url, 80, true)) != NULL) return reason;
    return *s == '\0' || (*s == '/' && s[1] == '\0') ? NULL
        : "nothing but a port may follow its host name";
}

/* One of the credentials (key) or identifiers (not key) that are sent with every call. needed:
   it must be there. NULL, or why it is refused; never with the value, which may be secret (law
   4). */
static const char *compshare__config_identity(const char *value, bool needed, bool key)
{
    if (value == NULL) return needed ? "it is missing" : NULL;
    if (key && value[0] == '\0') return "it is empty";
    if (!compshare__config_printable(value, '!'))
        return "it holds a space, a line end or a control character";
    return key || compshare__bytes_all(value, strlen(value), COMPSHARE__BYTES_IDENTIFIER) ? NULL
        : "only A-Z a-z 0-9 . _ - are allowed in it";
}

/* What this build does not have, or what contradicts itself, is refused, never ignored. NULL, or
   the field and why. */
static const char *compshare__config_parts(const compshare_config *f)
{
    const compshare_transport *io = f->transport;
    if (f->flags & ~(COMPSHARE_SMALL_RECORDS | COMPSHARE_FAST_OPEN))
        return "flags: it has an unknown bit";
    if ((f->flags & COMPSHARE_FAST_OPEN) && io != NULL)
        return "flags: COMPSHARE_FAST_OPEN is for POSIX sockets, and transport is given";
    if (f->ca_file != NULL && f->ca_pem != NULL)
        return "ca_pem: ca_file is given as well: give one of them";
    if (io != NULL
        && (io->open == NULL || io->send == NULL || io->recv == NULL || io->close == NULL))
        return "transport: open, send, recv and close are all needed";
    return compshare__posix_refusal(f);
}

/* NULL, or why it is refused: it is sent as it is, in one header line. */
static const char *compshare__config_user_agent(const char *s)
{
    if (s == NULL) return NULL;
    if (*s == '\0' || strlen(s) > COMPSHARE__USER_AGENT_MAX) return "1 to 255 bytes are needed";
    return compshare__config_printable(s, ' ') ? NULL : "it holds a control character";
}

/* NULL, or why the configuration is refused, and in *field which field of it: "" where the
   reason names it itself. Fills in url and proxy. */
static const char *compshare__config_refusal(const compshare_config *f,
    compshare__config_origin *url, compshare__config_origin *proxy, const char **field)
{
    static const char *const names[] = {
        "public_key: ", "private_key: ", "security_token: ", "region: ", "zone: ", "project_id: "
    };
    const char *const values[] = {
        f->public_key, f->private_key, f->security_token, f->region, f->zone, f->project_id
    };
    const char *reason;
    size_t i;
    for (i = 0; i < 6; i++) {
        *field = names[i];
        reason = compshare__config_identity(values[i], i < 2, i < 3);
        if (reason != NULL) return reason;
    }
    *field = "";
    if ((reason = compshare__config_parts(f)) != NULL) return reason;
    *field = "base_url: ";
    reason = compshare__config_url(f->base_url != NULL ? f->base_url : COMPSHARE__BASE_URL, url);
    if (reason != NULL) return reason;
    if ((f->flags & COMPSHARE_FAST_OPEN) && url->plain) {
        *field = "flags: ";
        return "COMPSHARE_FAST_OPEN is for https://: a SYN may arrive twice, and the request in it";
    }
    *field = "proxy: ";
    memset(proxy, 0, sizeof *proxy);
    if (f->proxy != NULL && (reason = compshare__config_proxy(f->proxy, proxy)) != NULL)
        return reason;
    *field = "user_agent: ";
    if ((reason = compshare__config_user_agent(f->user_agent)) != NULL) return reason;
    /* its size is checked by config_check, which has a status of its own for that */
    *field = "memory: ";
    return f->memory == NULL ? "it is NULL" : NULL;
}

/* Checks all of the configuration f, which may be NULL; needed: the least memory_size.
   COMPSHARE_OK: url and proxy are filled in (proxy->port 0: there is none). COMPSHARE_E_CONFIG,
   COMPSHARE_E_MEMORY: why says why, and url and proxy are not to be used. */
static int compshare__config_check(const compshare_config *f, size_t needed,
    compshare__config_origin *url, compshare__config_origin *proxy, compshare__bytes_text *why)
{
    const char *field = "", *reason = "config: it is NULL";
    if (f != NULL) reason = compshare__config_refusal(f, url, proxy, &field);
    if (reason != NULL) {
        compshare__bytes_form(why, "%s%s", field, reason);
        return COMPSHARE_E_CONFIG;
    }
    if (f->memory_size >= needed) return COMPSHARE_OK;
    compshare__bytes_form(why, "memory_size: %l bytes given, at least %l needed",
        (int64_t)f->memory_size, (int64_t)needed);
    return COMPSHARE_E_MEMORY;
}

/* Puts the defaults where nothing was given, after the check. An empty region, zone or
   project_id is none. Afterwards user_agent, the timeouts and, without COMPSHARE_NO_SOCKETS, the
   hooks are all set. */
static void compshare__config_defaults(compshare_config *f)
{
    f->region = compshare__bytes_first(f->region, NULL);
    f->zone = compshare__bytes_first(f->zone, NULL);
    f->project_id = compshare__bytes_first(f->project_id, NULL);
    if (f->user_agent == NULL) f->user_agent = COMPSHARE__USER_AGENT;
    if (f->connect_timeout_ms == 0) f->connect_timeout_ms = COMPSHARE__CONNECT_TIMEOUT_MS;
    if (f->timeout_ms == 0) f->timeout_ms = COMPSHARE__TIMEOUT_MS;
    if (f->ca_pem != NULL && f->ca_pem_len == 0) f->ca_pem_len = strlen(f->ca_pem);
    compshare__posix_defaults(f);
}

/* The region that a zone is in, by the API's naming: "cn-wlcb-01" is in "cn-wlcb". region
   becomes "" where the zone does not end in - and digits, or the result does not fit cap bytes. */
static void compshare__config_zone_region(const char *zone, char *region, size_t cap)
{
    size_t len = strlen(zone);
    compshare__bytes_text t = compshare__bytes_into(region, cap);
    while (len > 0 && compshare__bytes_digit(zone[len - 1])) len--;
    if (len < 2 || zone[len - 1] != '-' || zone[len] == '\0' || len > cap) return;
    compshare__bytes_append(&t, zone, len - 1);
}

/* Completes Region and Zone of one request, which belong together: the API answers others with
   RetCode 230. NULL is what is not given, here and in the result.

       given            Region that is sent                          Zone that is sent
       both             as given                                     as given
       Region           as given                                     the configuration's, if it is
                                                                     in that region
       Zone             the configuration's, if the zone is in it;   as given
                        else the one derived from the zone
       neither          the same, with the configuration's zone      the configuration's

   A zone whose name tells no region fits every one. derived: room for a derived region, to which
   *region may point afterwards. */
static void compshare__config_place(const compshare_config *f, const char **region,
    const char **zone, char derived[32])
{
    const char *sent = *zone != NULL ? *zone : f->zone;
    if (*zone != NULL && *region != NULL) return;
    compshare__config_zone_region(sent != NULL ? sent : "", derived, 32);
    if (*region == NULL || derived[0] == '\0' || compshare__bytes_equal(derived, *region))
        *zone = sent;
    if (*region != NULL) return;
    if (f->region != NULL && (derived[0] == '\0' || compshare__bytes_equal(derived, f->region)))
        *region = f->region;
    else *region = compshare__bytes_first(derived, NULL);
}

/* ==== client =================================================================================
   What a client is made of, in parts; its clocks; its failures in sentences; opening it. A
   function takes the part that it needs. Touches these parts, and calls the hooks unix_time,
   monotonic_ms and trace. Must never put a key, a parameter or a body into an error.

       part         lives                             holds
       clock        as long as the client             what is known of time
       error        until the next call               how the last call ended
       reply        until the next sending            body, values, parsers
       exchange     one request and its reply         phase, deadline, retries; the attempt in it:
                                                      one sending
       task         one call                          steps, the result's place, the change
       config       as long as the client             the caller's, with defaults
       account      as long as the client             project, recent changes
       connection   as long as the client; what is    transport, TLS, addresses, handshake
                    open, until it is not clean */

/* The phases of an exchange, in order:

   phase      waits for                       then                               not after
   IDLE       the next exchange               BEGIN
   BEGIN      exchange.pause_until, if that   SEND where a connection is kept,   exchange
              is still to come                else CONNECT
   CONNECT    the transport's `open`          PROXY where there is one,          connection
                                              else HANDSHAKE
   PROXY      the reply to CONNECT            HANDSHAKE                          connection
   HANDSHAKE  TLS (http://: nothing)          SEND                               connection
   SEND       room for the whole request      RECEIVE                            exchange
   RECEIVE    the reply                       the verdict; or, where the reply   exchange
                                              is too large, DRAIN
   DRAIN      the rest of such a reply        the verdict that it is too large   exchange

   From every phase a failure leads to IDLE, or, where the request may be sent again, to BEGIN.
   The last column names whose deadline is kept to; in SEND and RECEIVE it is reuse_deadline
   while a reading on a kept connection has no byte of its reply. All of them lie within the task's:

   task       |<----------------- task.timeout_ms ----------------->|   clock.deadline
   exchange      |<- pause ->|<------ exchange.allowed_ms ----->|       exchange.deadline
   connecting                |<- connect_timeout_ms ->|                 connection.deadline
   kept                      |<- half, or 4 s ->|                       attempt.reuse_deadline */
enum {
    /* in this order: phases are compared by < and > */
    COMPSHARE__PHASE_IDLE, COMPSHARE__PHASE_BEGIN, COMPSHARE__PHASE_CONNECT,
    COMPSHARE__PHASE_PROXY, COMPSHARE__PHASE_HANDSHAKE, COMPSHARE__PHASE_SEND,
    COMPSHARE__PHASE_RECEIVE, COMPSHARE__PHASE_DRAIN
};

/* What is known of time. The monotonic clock alone decides deadlines. */
typedef struct compshare__clock {
    uint64_t (*monotonic_ms)(void *user);
    int64_t (*unix_time)(void *user);
    void *user;                 /* config.user: the argument of both */
    uint64_t looked_at;         /* what the monotonic clock said last, in milliseconds; if it says
                                   less, it has stepped back */
    uint64_t deadline;          /* of the task; 0: the monotonic clock has stepped back */
    int64_t server_date;        /* the last verified Date, in seconds since 1970; 0: none yet */
    uint64_t server_date_at;    /* when it came, on the monotonic clock, in milliseconds */
} compshare__clock;

/* One request, as a step's `begin` describes it. All zero before. Strings and params are borrowed
   until the exchange is over. */
typedef struct compshare__request {
    const char *action;
    const compshare_param *params;
    size_t count;               /* of params; above COMPSHARE_MAX_PARAMS: refused */
    bool defaults;              /* add Region, Zone and ProjectId from the configuration */
    bool csv;                   /* a CSV reply is a success */
    bool always;                /* retry class "always": sent again where it was refused */
    bool repeatable;            /* sent again even where its outcome is unknown, without a reading
                                   in between. Class "always", but not a workflow's change */
    bool reads;                 /* class "always", and it changes nothing */
    bool inner;                 /* its elements go to the client itself, not to the program */
    bool leaves_half;           /* it gets half of the time left: another must follow it */
    int64_t stop_time;          /* that it sets, for `check`; 0: none */
    /* not NULL: what must hold at every sending, the first and each retry */
    int (*check)(const struct compshare__request *request, const compshare__clock *clock,
        compshare_error *error);
    const char *array;          /* not NULL: stream this array of the reply, */
    compshare_each_fn each;     /* each of its elements to this function, which may be NULL, */
    void *user;                 /* with this as its first argument */
} compshare__request;

/* A step of a task: `begin` fills in exchange.request, and returns COMPSHARE_OK, COMPSHARE__NEXT
   (skip this step) or a failure; `end` is given the status of the exchange, and returns that of the
   task, or COMPSHARE__AGAIN, COMPSHARE__NEXT, COMPSHARE__BACK. */
typedef struct compshare__step {
    int (*begin)(compshare *c);
    int (*end)(compshare *c, int status);
} compshare__step;

/* Which instance a task is about; "": not known. Copied when the task starts, because the caller's
   strings may stand in the result, which is zeroed. */
typedef struct compshare__ids {
    char uhost_id[64];
    char project_id[64];        /* sent with every request; "": not known */
    char look_region[32];       /* sent with readings, if it is not "" */
    char region[32], zone[32];  /* sent with changes; of a workflow, where a reading has shown it */
} compshare__ids;

/* One reading of the list of projects. */
typedef struct compshare__projects {
    compshare_project chosen;   /* the wanted one, or the first where none is configured */
    size_t seen, wanted;        /* projects in the list, and how many of them are wanted: the n-th
                                   (search.other), the configured one, or the default one */
    compshare__bytes_text names;      /* their ids, for an error text, */
    char name_list[136];        /* which stand here */
} compshare__projects;

/* Where the task's instance is looked for, and what has been read. The lists of projects and the
   instance share memory: a step that lists projects forgets the instance. */
typedef struct compshare__search {
    bool project_given;         /* by the target or the configuration */
    bool list_projects;         /* the step that lists the projects is not to be skipped */
    bool listed;                /* they were listed because a reading was refused (find_fix): this
                                   is tried once */
    bool list_refused;          /* the account may not list them */
    bool spoiled;               /* a reading that failed has overwritten `instance`, which is then
                                   not what a whole reply has shown */
    unsigned other;             /* the n-th project of the list is looked in, from 1 on; 0: the one
                                   of `ids`, which is given, remembered, chosen, or "" */
    size_t found;               /* how many different entries of the newest reading have its id:
                                   more than one is an error */
    compshare__ids ids;
    union {
        compshare__projects projects;   /* of the step that lists them */
        compshare_instance instance;    /* as it was read last */
    } read;
} compshare__search;

/* A list in pages; its banner, `list`, draws what the marks are for. */
typedef struct compshare__list {
    int64_t offset;             /* where the page begins */
    int64_t seen;               /* its elements so far */
    int64_t overlap;            /* elements of the page before, besides the last, to begin with */
    int64_t most;               /* elements of the longest page */
    int64_t end;                /* not 0: from here on a page was empty */
    uint64_t mark[COMPSHARE__MARKS];    /* the last elements handed out, newest first */
    unsigned restarts;          /* how often the place was not found again */
    unsigned empty;             /* pages in a row that had no element, and should have */
    unsigned failures;          /* pages that could not be read */
    bool fresh;                 /* the page has brought something new */
    bool searching;             /* no mark has been met in the page yet */
    bool anew;                  /* the next page is handed out from its beginning, without one */
} compshare__list;

/* A change, and what is known of it by now: law 7. A workflow that only reads a timed shutdown uses
   `result`, `before` and the checks of readings. */
typedef struct compshare__change {
    const char *action;         /* a constant; NULL: _get, which changes nothing */
    const char *states;         /* of power: the states that show it, each with its NUL; NULL: it
                                   is a change of the timed shutdown */
    compshare_schedule *result; /* of a schedule: the caller's; may be NULL */
    compshare_plan plan;        /* of a schedule: its times and mode */
    int64_t by_seconds;         /* of an extension; else 0 */
    unsigned raised;            /* how often `wanted` was too soon, and calculated anew: 0 to 2 */
    int64_t wanted;             /* the stop time that is sent and has to be shown; 0: none */
    int64_t before;             /* the stop time that was shown before the change; 0: none */
    bool both_names;            /* StopTime goes with SchedulerStopTime */
    bool shown_before;          /* what is wanted was shown before the change, or readings may still
                                   lag behind an earlier change: showing it proves nothing */
    unsigned looks;             /* before the change: how often a reading was checked by another, */
    int refusal;                /* and what the one before was refused for; 0: it was not */
    bool accepted;              /* a sending got a definite success */
    bool lost;                  /* a sending got no definite answer: it may have been executed */
    bool refused;               /* a later one was refused for good: none is sent any more */
    bool read_back;             /* a reading after it has succeeded */
    unsigned readings;          /* in a row that have shown what is wanted */
    unsigned sendings;          /* that have ended, however */
    uint64_t sent_at;           /* when the last sending ended, on the monotonic clock, */
    int status, http, code;     /* and how: status, HTTP status, RetCode */
    char request_id[64];
} compshare__change;

/* A wait for a state of an instance. */
typedef struct compshare__wait {
    const char *state;          /* the caller's */
    compshare_instance *instance;   /* the caller's; may be NULL */
    char last[32];              /* the state that was read last */
    bool seen;                  /* the instance was read at least once */
    unsigned missing;           /* readings in a row without it; not 0 before the first: do not look
                                   in other projects */
} compshare__wait;

/* What a task is: it decides which member of `as` is used. Their order counts: from
   COMPSHARE__TASK_WAIT on they are workflows, which repeat readings, and whose outcome is that of
   their change; from COMPSHARE__TASK_POWER on they send one. TASK_CHANGE sends one, too, but is a
   single call, like TASK_CALL. */
enum {
    COMPSHARE__TASK_CALL,       /* a generic call */
    COMPSHARE__TASK_PROJECTS,   /* the list of projects */
    COMPSHARE__TASK_EACH,       /* all instances */
    COMPSHARE__TASK_CHANGE,     /* one Update or Delete of a timed shutdown */
    COMPSHARE__TASK_DESCRIBE,   /* one instance */
    COMPSHARE__TASK_WAIT,       /* for a state of one */
    COMPSHARE__TASK_SHOW,       /* its timed shutdown is read */
    COMPSHARE__TASK_POWER,      /* it is stopped, started, rebooted */
    COMPSHARE__TASK_SCHEDULE    /* its timed shutdown is set, extended, cancelled */
};

/* A call in progress: its steps, its time, and the data of its kind. */
typedef struct compshare__task {
    const compshare__step *step;    /* the current one of its table; NULL: no task */
    int kind;                   /* COMPSHARE__TASK_*: which member of `as` is used */
    uint32_t timeout_ms;        /* for all of it; its deadline is clock.deadline */
    uint32_t pause_ms;          /* before the next exchange; used once */
    uint64_t began;             /* on the monotonic clock, in milliseconds */
    uint64_t poll_until;        /* until when readings are repeated, on the monotonic clock, */
    unsigned polls;             /* and how often they were since the change, or the start of the
                                   task: pauses grow */
    bool unsettled;             /* a change was sent, and no reading has proved it yet: should the
                                   task end now, its outcome is unknown */
    const char *malformed;      /* the field that ended a streamed reading; NULL: none; see `raw` */
    union {
        compshare__request call;
        struct {
            compshare_project *chosen;  /* the caller's; may be NULL */
            compshare_project_fn each;  /* may be NULL */
            void *user;
        } projects;
        struct {
            compshare__list list;
            compshare_instance_fn each;
            void *user;
        } each;
        compshare_instance *describe;   /* the caller's, filled in on success */
        compshare__wait wait;
        compshare__change change;       /* CHANGE, SHOW, POWER, SCHEDULE */
    } as;
    compshare__search find;     /* of every kind but CALL: whom it is about, and where that is */
    compshare_param params[COMPSHARE__TYPED_PARAMS];    /* of the current request */
    char raw[32];               /* the value of `malformed` where that is a stop time; else "" */
} compshare__task;

/* A timed shutdown that this client has set, or deleted, with success: for COMPSHARE__LAG_MS
   readings may still show what was there before. */
typedef struct compshare__recent {
    uint64_t mark;              /* compshare__bytes_mark of the instance; 0: the row is free */
    int64_t before;             /* what readings showed until then; -1: not known */
    int64_t after;              /* what they must show; 0: none */
    uint64_t at;                /* when it was accepted, on the monotonic clock */
    bool shown;                 /* a reading has shown it */
} compshare__recent;

/* One sending of a request. All zero before each: compshare__exchange_rewind. */
typedef struct compshare__attempt {
    bool reused;                /* it goes over a kept connection */
    bool head_written;          /* the encoder goes on with the body */
    bool flushing;              /* a record is complete, and not sent yet */
    bool cut_short;             /* sending ended before the request was complete */
    bool send_failed;           /* because the transport failed: the reply, if any, may tell why */
    bool replied;               /* a byte of the reply has come */
    bool dated;                 /* the head of the reply is complete, and its Date noted */
    uint64_t reuse_deadline;    /* when a kept connection that says nothing is given up */
    compshare__encode encoder;
} compshare__attempt;

/* One request on its way to a verdict, over one sending or several. All zero before each. */
typedef struct compshare__exchange {
    int phase;
    unsigned wants;             /* COMPSHARE_READ, COMPSHARE_WRITE: what a step waits for */
    bool more;                  /* a step stopped although it could go on: compshare_timeout_ms
                                   is 0 */
    bool lost;                  /* an earlier sending got no definite answer: the outcome stays
                                   unknown, whatever a later one says but success */
    bool reconnected;           /* a dead kept connection has been replaced: once only */
    unsigned retries;           /* left */
    uint32_t allowed_ms;        /* the time from its start to its deadline, for the error text */
    uint64_t deadline, pause_until;     /* on the monotonic clock, in milliseconds */
    compshare__attempt attempt;
    compshare__request request;
    compshare__params params;   /* of the request, sorted and signed */
} compshare__exchange;

/* The body of one reply, and what it has brought. All zero before each sending. */
typedef struct compshare__body {
    size_t at, len;             /* where its text begins, behind a byte order mark, and how many
                                   bytes of the area it has, with that; 0 if it was streamed */
    uint32_t drained;           /* bytes read and dropped in the phase DRAIN */
    bool cut;                   /* an error's body was too long to keep whole */
    bool handed;                /* an element of it went to the program */
    bool definite;              /* it has settled whether the action was executed: see the manual */
} compshare__body;

/* What has come back: the bytes, and how far they are understood. */
typedef struct compshare__reply {
    compshare__tokens tree;     /* the values in the body; count 0: none are valid */
    char *area;                 /* during a handshake the X.509 engine's, then body and tokens */
    size_t area_cap;
    uint32_t generation;        /* of the values that programs hold: those of another are stale */
    compshare__body body;
    compshare__http http;
    compshare__split split;
} compshare__reply;

/* The way to the server. It outlives an exchange whose reply left it clean. */
typedef struct compshare__connection {
    compshare__config_origin url, proxy;    /* base_url and proxy; proxy.port 0: there is none */
    bool open;                  /* the transport is: `open` has returned COMPSHARE_OK */
    bool resuming;              /* the handshake offers a session */
    uint64_t deadline;          /* of connecting, tunnel and handshake together */
    uint64_t used_at;           /* when the last exchange over it ended, on the monotonic clock */
    /* whom the client talks to: the proxy, until its tunnel is open */
    const compshare__config_origin *peer;
    const char *bundle;         /* where the roots come from, for error texts: "ca_pem" or a path */
    compshare__trust *trust;    /* in the reply area, during a handshake; else NULL */
    compshare_handshake handshake;  /* of the newest handshake that has succeeded */
    compshare_transport io;     /* the program's, or the one of `posix` */
    compshare__posix posix;
    compshare__tls tls;
} compshare__connection;

/* What has been learned of the account, and holds for later calls. */
typedef struct compshare__account {
    bool both_names;            /* the API wants StopTime as well as SchedulerStopTime */
    char project[64];           /* that an instance was found in last, where none was given; "":
                                   not yet, or it was not there any more */
    compshare__recent recent[COMPSHARE__RECENT];
} compshare__account;

/* The client, at the front of the caller's block. What is used most comes first, and the large
   buffers of TLS last: an instruction reaches near offsets with fewer bytes. */
struct compshare {
    compshare__clock clock;
    bool entered;               /* inside compshare_step: callbacks may not call back */
    bool read_noted;            /* the error is of compshare_read, and not of the call */
    compshare__task task;
    compshare_error error;
    compshare__exchange exchange;
    compshare__reply reply;
    compshare_config config;    /* defaults filled in */
    compshare__account account;
    compshare__connection connection;
};

/* The least size of the caller's block: the client, aligned, its reply area and record buffer.
   f may be NULL. */
static size_t compshare__client_memory(const compshare_config *f)
{
    bool small = f != NULL && (f->flags & COMPSHARE_SMALL_RECORDS);
    size_t record = small ? COMPSHARE__RECORD_SMALL : COMPSHARE__RECORD_FULL;
    return COMPSHARE__ALIGN - 1 + sizeof(compshare) + COMPSHARE__REPLY_MIN + record;
}

/* ---- clocks ---- */

/* Milliseconds on the monotonic clock, whose zero is anywhere. */
static uint64_t compshare__client_now(const compshare__clock *clock)
{
    return clock->monotonic_ms(clock->user);
}

/* Milliseconds until `deadline`, which is not further away than a task's timeout; 0: over. */
static uint32_t compshare__client_left(const compshare__clock *clock, uint64_t deadline)
{
    uint64_t now = compshare__client_now(clock);
    return deadline > now ? (uint32_t)(deadline - now) : 0;
}

/* This machine's clock, in seconds since 1970; 0 where they are negative, or too many for sums
   and for BearSSL's count of days. */
static int64_t compshare__client_unix_time(const compshare__clock *clock)
{
    int64_t now = clock->unix_time(clock->user);
    return now > 0 && now < INT32_MAX * INT64_C(86400) ? now : 0;
}

/* The server's clock now, in seconds since 1970: its last Date, carried on by the monotonic
   clock. 0 if none has come yet. */
static int64_t compshare__client_server_time(const compshare__clock *clock)
{
    uint64_t now = compshare__client_now(clock), at = clock->server_date_at;
    if (clock->server_date == 0) return 0;
    return clock->server_date + (now > at ? (int64_t)((now - at) / 1000) : 0);
}

/* The same, or the local clock where the server's is not known. */
static int64_t compshare__client_best_time(const compshare__clock *clock)
{
    int64_t now = compshare__client_server_time(clock);
    return now != 0 ? now : compshare__client_unix_time(clock);
}

/* ---- values ---- */

/* A value as programs see it: good until the client forgets it. COMPSHARE__TOKENS_NONE, or c
   NULL: a value that is none. */
static compshare_value compshare__client_value(const compshare *c, uint32_t token)
{
    compshare_value v;
    v.client = c;
    v.token = token;
    v.generation = c != NULL ? c->reply.generation : 0;
    return v;
}

/* Makes all values that programs hold stale: what they point to is overwritten next. */
static void compshare__client_forget_values(compshare__reply *reply)
{
    memset(&reply->tree, 0, sizeof reply->tree);
    reply->generation++;
}

/* ---- failures ---- */

/* A public status, as a program prints it and as a person reads it. */
typedef struct compshare__status {
    int value;
    const char *name, *text;
} compshare__status;

/* The row of a status; of an unknown one, the last. */
static const compshare__status *compshare__client_status(int status)
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

/* Appends a sentence, in the form of compshare__bytes_form, to what a failure says. */
static void compshare__client_say(compshare_error *e, const char *form, va_list args)
{
    size_t said = strlen(e->detail);
    compshare__bytes_text t = compshare__bytes_into(e->detail + said, sizeof e->detail - said);
    compshare__bytes_form_list(&t, form, args);
}

/* Records a failure: its status, which it returns, and a sentence in place of the one before.
   The rest of the error stays. The stage is noted by those who know it:
   compshare__client_fail_at. */
static int compshare__client_fail(compshare_error *e, int status, const char *form, ...)
{
    va_list args;
    e->status = status;
    e->stage = COMPSHARE_STAGE_NONE;
    e->detail[0] = '\0';
    va_start(args, form);
    compshare__client_say(e, form, args);
    va_end(args);
    return status;
}

/* The error is about this action, whichever was sent last: in a workflow, the change. It is at
   most 63 bytes long: a constant, or checked by compshare__exchange_collect. */
static void compshare__client_name(compshare_error *e, const char *action)
{
    memset(e->action, 0, sizeof e->action);
    memcpy(e->action, action, strlen(action));
}

/* Goes on with the sentence of a failure. Returns its status. */
static int compshare__client_fail_append(compshare_error *e, const char *form, ...)
{
    va_list args;
    va_start(args, form);
    compshare__client_say(e, form, args);
    va_end(args);
    return e->status;
}

/* Nothing failed: what only explains a failure goes. A reading within the call may have failed. */
static void compshare__client_clear(compshare_error *e)
{
    e->status = e->stage = e->ret_code = e->tls_code = e->sys_errno = 0;
    e->outcome_unknown = e->retryable = false;
    e->message[0] = e->detail[0] = '\0';
}

/* Notes the stage of a failure, unless it is known already. */
static void compshare__client_fail_at(compshare_error *e, int stage)
{
    if (e->stage == COMPSHARE_STAGE_NONE) e->stage = stage;
}

/* Appends what the system said, where the transport is the POSIX one: ": why (errno N)". */
static int compshare__client_fail_errno(compshare_error *e, const compshare__connection *conn)
{
    int error = compshare__posix_error(&conn->posix);
    if (!compshare__posix_serves(&conn->posix, &conn->io) || error == 0) return e->status;
    e->sys_errno = error;
    return compshare__client_fail_append(e, ": %s (errno %d)", compshare__posix_meaning(error),
        error);
}

/* Records what the peer (proxy or server), or the way to it, did. Returns the status. */
static int compshare__client_fail_host(compshare_error *e, const compshare__connection *conn,
    int status, const char *what)
{
    (void)compshare__client_fail(e, status, "%s:%d: %s", conn->peer->host, conn->peer->port, what);
    return compshare__client_fail_errno(e, conn);
}

/* Records that this machine's clock cannot be right (COMPSHARE__EARLIEST_TIME), and what follows
   from that. */
static int compshare__client_fail_clock(compshare_error *e, const compshare__clock *clock,
    const char *consequence)
{
    return compshare__client_fail(e, COMPSHARE_E_CLOCK,
        "this machine's clock reads %t, which cannot be: %s", clock->unix_time(clock->user),
        consequence);
}

/* Records what is wrong with the root certificates, and where they come from. Returns
   COMPSHARE_E_TRUST. */
static int compshare__client_fail_bundle(compshare_error *e, compshare__connection *conn,
    const char *what)
{
    (void)compshare__client_fail(e, COMPSHARE_E_TRUST, "root certificates: %s %s", conn->bundle,
        what);
    compshare__posix_blame_bundle(&conn->posix);
    return compshare__client_fail_errno(e, conn);   /* none unless opening or reading failed */
}

/* Records why TLS failed: BearSSL's code in a sentence. COMPSHARE_E_CERTIFICATE where it is
   about the chain, COMPSHARE_E_TRUST where no root was found because the bundle is broken, else
   COMPSHARE_E_TLS. Before compshare__tls_reset, which wipes the code. */
static int compshare__client_fail_tls(compshare_error *e, compshare__connection *conn)
{
    const compshare__trust *trust = conn->trust;
    int code = compshare__tls_error(&conn->tls);
    int trouble = trust != NULL ? compshare__trust_trouble(trust) : COMPSHARE__TRUST_FINE;
    int status = compshare__trust_is_certificate(code) ? COMPSHARE_E_CERTIFICATE : COMPSHARE_E_TLS;
    e->tls_code = code;
    if (code == BR_ERR_X509_NOT_TRUSTED && trouble != COMPSHARE__TRUST_FINE)
        return compshare__client_fail_bundle(e, conn, compshare__trust_meaning(trouble));
    (void)compshare__client_fail(e, status, "%s:%d: %s", conn->url.host, conn->url.port,
        compshare__tls_meaning(code));
    if (code == BR_ERR_X509_EXPIRED)
        (void)compshare__client_fail_append(e, " by this machine's clock, %t", conn->tls.now);
    if (code == BR_ERR_X509_NOT_TRUSTED)
        (void)compshare__client_fail_append(e,
            " in %s, or an intermediate certificate is missing%s", conn->bundle,
            trust->certificates > COMPSHARE__CHAIN_MAX ? " or behind the eighth" : "");
    return compshare__client_fail_append(e, " (BearSSL %d)", code);
}

/* Records that the reply area is too small for `what`, and what helps. */
static int compshare__client_fail_too_large(compshare_error *e, const compshare__reply *reply,
    const char *what)
{
    return compshare__client_fail(e, COMPSHARE_E_TOO_LARGE,
        "%s does not fit the reply area of %l bytes: enlarge memory_size, "
        "or stream it with compshare_call_each", what, (int64_t)reply->area_cap);
}

/* Records that the validator has found the body malformed, at which byte, and the content type,
   which tells a proxy's or a portal's HTML page. */
static int compshare__client_fail_json(compshare_error *e, const compshare__reply *reply,
    const char *reason)
{
    const char *type = reply->http.content_type;
    return compshare__client_fail(e, COMPSHARE_E_JSON,
        "the reply is not valid JSON: %s at byte %l%s%s%s", reason, (int64_t)reply->split.json.at,
        type[0] != '\0' ? " (content type " : "", type, type[0] != '\0' ? ")" : "");
}

/* Records that the HTTP parser has refused the reply, or that it did not come to its end:
   http->reason, and behind how many bytes. */
static int compshare__client_fail_http(compshare_error *e, const compshare__connection *conn,
    int status, const compshare__http *http)
{
    (void)compshare__client_fail_host(e, conn, status, http->reason);
    if (http->received > 0)
        (void)compshare__client_fail_append(e, " (after %l bytes of it)", (int64_t)http->received);
    return e->status;
}

/* Gives config.trace one line. form may hold %s for text and behind that %l for number; law 4:
   no parameter but the action, and no body. Never inlined into its callers: its line of 384
   bytes would lie on the stack below every handshake, which is then deeper than the stack is
   wiped. */
COMPSHARE__NOINLINE static void compshare__client_trace(const compshare_config *f,
    const char *form, const char *text, uint32_t number)
{
    char line[384];
    compshare__bytes_text t;
    if (f->trace == NULL) return;
    t = compshare__bytes_into(line, sizeof line);
    compshare__bytes_form(&t, form, text, (int64_t)number);
    f->trace(f->user, line);
}

/* ---- public ---- */

COMPSHARE__DEF size_t compshare_memory_needed(const compshare_config *config)
{
    return compshare__client_memory(config);
}

COMPSHARE__DEF const char *compshare_version(void)
{
    return COMPSHARE_VERSION;
}

/* Checks the configuration once more: a client that could not be opened has no memory for its
   error. */
COMPSHARE__DEF const char *compshare_open_text(const compshare_config *config, char *buf,
    size_t cap)
{
    compshare__config_origin url, proxy;
    compshare__bytes_text why = compshare__bytes_into(buf, cap);
    int r = compshare__config_check(config, compshare__client_memory(config), &url, &proxy, &why);
    if (r == COMPSHARE_OK) compshare__bytes_put(&why, "done");
    return buf;
}

/* Divides the `behind` bytes that follow the client in its block: first the reply area, which
   must be aligned for BearSSL's contexts, then, at the end, the record buffer. The manual draws
   it (MEMORY AND STACK). */
static void compshare__client_divide(compshare *c, size_t behind)
{
    const compshare_config *f = &c->config;
    compshare__connection *conn = &c->connection;
    compshare__pem_scratch record;
    record.cap = f->flags & COMPSHARE_SMALL_RECORDS ? COMPSHARE__RECORD_SMALL
        : COMPSHARE__RECORD_FULL;
    c->reply.area = (char *)(c + 1);
    c->reply.area_cap = behind - record.cap;
    record.ptr = (unsigned char *)c->reply.area + c->reply.area_cap;
    compshare__tls_init(&conn->tls, &conn->io, f->transport == NULL, record, conn->url.plain);
}

/* Places the client at the first aligned address of the caller's block. Opens nothing, and sends
   nothing: the connection is made by the first call. The transport is copied: `tls` calls the
   copy. */
COMPSHARE__DEF int compshare_open(compshare **client, const compshare_config *config)
{
    char unused[1];
    compshare__bytes_text why = compshare__bytes_into(unused, sizeof unused);
    compshare__config_origin url, proxy;
    compshare *c;
    size_t skew;
    int r;
    if (client == NULL) return COMPSHARE_E_CONFIG;
    *client = NULL;
    r = compshare__config_check(config, compshare__client_memory(config), &url, &proxy, &why);
    if (r != COMPSHARE_OK) return r;
    skew = (0 - (size_t)(uintptr_t)config->memory) % COMPSHARE__ALIGN;
    c = (compshare *)(void *)((char *)config->memory + skew);
    memset(c, 0, sizeof *c);
    c->config = *config;
    compshare__config_defaults(&c->config);
    c->clock.monotonic_ms = c->config.monotonic_ms;
    c->clock.unix_time = c->config.unix_time;
    c->clock.user = c->config.user;
    c->connection.url = url;
    c->connection.proxy = proxy;
    compshare__posix_init(&c->connection.posix, &c->connection.io);
    compshare__posix_configure(&c->connection.posix, &c->config);
    if (config->transport != NULL) c->connection.io = *config->transport;
    compshare__client_divide(c, config->memory_size - skew - sizeof *c);
    *client = c;
    return COMPSHARE_OK;
}

/* Of a client that is NULL, a constant that says so. */
COMPSHARE__DEF const compshare_error *compshare_last_error(const compshare *client)
{
    static const compshare_error none = {
        COMPSHARE_E_CONFIG, COMPSHARE_STAGE_NONE, false, false, 0, 0, 0, 0, "", "", "",
        "there is no client"
    };
    return client != NULL ? &client->error : &none;
}

COMPSHARE__DEF const char *compshare_status_name(int status)
{
    return compshare__client_status(status)->name;
}

COMPSHARE__DEF int64_t compshare_server_time(const compshare *client)
{
    return client != NULL ? compshare__client_server_time(&client->clock) : 0;
}

COMPSHARE__DEF compshare_handshake compshare_last_handshake(const compshare *client)
{
    compshare_handshake none;
    memset(&none, 0, sizeof none);
    return client != NULL ? client->connection.handshake : none;
}

/* ==== judge ==================================================================================
   Decides what a complete reply means: law 1, success is complete HTTP framing, status 2xx, one
   valid JSON object and exactly one RetCode that is 0. Touches the reply, the error and, of the
   clock, the server's time. Must never call a reply a success for any other reason.

       reply                                       status       definite: it settles whether the
                                                                action was executed
       Content-Encoding                            E_HTTP       no
       status not 2xx, but under 500, with a       E_STATUS     yes
       RetCode other than 0, 110, 8438
       any other status not 2xx                    E_STATUS     no
       body is no JSON, or too large               E_JSON, ...  no
       no RetCode, or more than one                E_REPLY      no
       RetCode 110 or 8438 (see timeout_code)      E_API        no
       any other RetCode that is not 0             E_API        yes: it was not
       RetCode 0; or CSV, where the action has it  OK           yes: it was accepted */

static bool compshare__judge_is_2xx(const compshare__http *http)
{
    return http->status / 100 == 2;
}

/* Whether a RetCode means "later": the API is busy, limits the rate, is out of stock, or works
   on another operation of the same instance; the same request may succeed in a while. */
static bool compshare__judge_transient(int code)
{
    static const int codes[] = {
        110, 120, 130, 150, 153, 8357, 8433, 8434, 8438, 8441, 8498, 8510, 8520, 8580, 8903, 8964,
        226604, 226609, 226619, 226622
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

/* RetCode, into *code: there must be exactly one, a 32-bit integer or a string that is one.
   NULL, or why it cannot be told. */
static const char *compshare__judge_ret_code(const compshare__tokens *tree, int *code)
{
    uint32_t at;
    int64_t value;
    size_t hits = compshare__tokens_find(tree, 0, "RetCode", &at);
    if (compshare__tokens_type(tree, 0) != COMPSHARE_OBJECT)
        return "the reply is not a JSON object";
    if (hits == 0) return "the reply holds no RetCode";
    if (hits > 1) return "the reply holds RetCode more than once";
    if (!compshare__tokens_int(tree, at, &value) || value < INT32_MIN || value > INT32_MAX)
        return "RetCode is not a 32-bit integer";
    *code = (int)value;
    return NULL;
}

/* Whether remote text repeats the signed request, by the beginning of its signature or by the
   security token: these are credentials, and come into no error. */
static bool compshare__judge_is_echo(const compshare__params *params, compshare_view text)
{
    const char *token = params->own[COMPSHARE__PARAMS_OWN_TOKEN].text;
    return compshare__bytes_hold(text, params->signature, 16)
        || (token != NULL && compshare__bytes_hold(text, token, strlen(token)));
}

/* Copies the API's Message into the error, control characters made harmless: it may go to a
   terminal. Nothing where it is missing, no string, or repeats the signed request. */
static void compshare__judge_message(const compshare__tokens *tree, const compshare__params *params,
    compshare_error *e)
{
    uint32_t at;
    compshare_view raw;
    if (compshare__tokens_find(tree, 0, "Message", &at) == 0
        || compshare__tokens_type(tree, at) != COMPSHARE_STRING) return;
    raw = compshare__tokens_raw(tree, at);
    if (compshare__judge_is_echo(params, raw)) return;
    (void)compshare__json_copy(raw, e->message, sizeof e->message, true);
}

/* Validates and tokenizes the body; of one that was streamed, what the splitter kept of it,
   which is all that stands beside the elements. The tokens go behind it in the area.
   COMPSHARE_E_JSON: malformed; COMPSHARE_E_TOO_LARGE: no room for the tokens. */
static int compshare__judge_parse(compshare__reply *reply, bool streamed, compshare_error *e)
{
    compshare__json *json = &reply->split.json;
    compshare__body *body = &reply->body;
    const char *reason;
    size_t end = streamed ? reply->split.kept : body->len;
    if (!streamed) {
        body->at = compshare__json_bom(reply->area, body->len);
        compshare__json_init(json);
        compshare__json_feed(json, reply->area + body->at, end - body->at);
    }
    reason = compshare__json_finish(json);
    if (reason != NULL) return compshare__client_fail_json(e, reply, reason);
    if (!compshare__tokens_parse(&reply->tree, reply->area + body->at, end - body->at,
        reply->area + end, reply->area_cap - end))
        return compshare__client_fail_too_large(e, reply, "the reply with its values");
    return COMPSHARE_OK;
}

/* A status outside 2xx is COMPSHARE_E_STATUS whatever the body says; its RetCode and Message are
   kept where it has them. Definite only under 500 and with a RetCode: then the API itself has
   refused, and not a gateway on the way. */
static int compshare__judge_status(compshare__reply *reply, const compshare__params *params,
    compshare_error *e)
{
    int status = reply->http.status, code = 0;
    if (!reply->body.cut && reply->body.len > 0
        && compshare__judge_parse(reply, false, e) == COMPSHARE_OK
        && compshare__judge_ret_code(&reply->tree, &code) == NULL) {
        reply->body.definite = status < 500 && code != 0 && !compshare__judge_timeout_code(code);
        e->ret_code = code;
    }
    if (reply->tree.count > 0) compshare__judge_message(&reply->tree, params, e);
    e->retryable = status == 429 || status >= 500;
    return compshare__client_fail(e, COMPSHARE_E_STATUS, "HTTP status %d%s", status,
        status / 100 == 3 ? ": a redirect, which is never followed, because it would hand "
        "the signed request on" : "");
}

/* Whether the body is CSV: its content type is one that a CSV file may have, and it does not
   begin like a JSON object, which would be an error message. */
static bool compshare__judge_is_csv(const compshare__reply *reply)
{
    size_t i = compshare__json_bom(reply->area, reply->body.len);
    while (i < reply->body.len && compshare__json_is_space(reply->area[i])) i++;
    if (i == reply->body.len || reply->area[i] == '{') return false;
    return compshare__bytes_listed(reply->http.content_type, "text/csv\0application/csv\0"
        "application/octet-stream\0application/vnd.ms-excel\0");
}

/* A head is complete: its Date is the server's time, RFC 9110 6.6.1, now, which is when the
   monotonic clock was looked at last. */
static void compshare__judge_date(const compshare__http *http, compshare__clock *clock)
{
    if (http->date <= 0) return;
    clock->server_date = http->date;
    clock->server_date_at = clock->looked_at;
}

/* The reply is complete: COMPSHARE_OK only if it is a success (law 1), else why not. Sets
   body.definite, and in the error ret_code, message and retryable. */
static int compshare__judge(compshare__reply *reply, const compshare__exchange *x,
    compshare_error *e)
{
    const compshare__request *request = &x->request;
    const compshare__split *s = &reply->split;
    const char *reason;
    int code = 0, r;
    if (reply->http.encoded)
        return compshare__client_fail(e, COMPSHARE_E_HTTP,
            "the reply has a Content-Encoding that was not asked for");
    if (!compshare__judge_is_2xx(&reply->http))
        return compshare__judge_status(reply, &x->params, e);
    if (!request->csv || !compshare__judge_is_csv(reply)) {
        r = compshare__judge_parse(reply, request->array != NULL, e);
        if (r != COMPSHARE_OK) return r;
        if ((reason = compshare__judge_ret_code(&reply->tree, &code)) != NULL)
            return compshare__client_fail(e, COMPSHARE_E_REPLY, "%s", reason);
    }
    /* the server cannot have executed what it has not received */
    if (code == 0 && x->attempt.cut_short)
        return compshare__client_fail(e, COMPSHARE_E_REPLY,
            "a success came before the request was complete");
    reply->body.definite = !compshare__judge_timeout_code(code);
    if (code != 0) {
        e->ret_code = code;
        e->retryable = compshare__judge_transient(code);
        compshare__judge_message(&reply->tree, &x->params, e);
        return compshare__client_fail(e, COMPSHARE_E_API, "the API refused");
    }
    if (request->array != NULL && (s->twice || s->not_array))
        return compshare__client_fail(e, COMPSHARE_E_REPLY, s->twice
            ? "the reply holds the streamed array more than once"
            : "what was to be streamed is not an array");
    return COMPSHARE_OK;
}

/* ==== session ================================================================================
   TLS sessions to resume, in the caller's compshare_session; and what each handshake agreed on.
   Touches that, the connection, and the bundle's attributes. Must never offer a session to
   another server, or one that was agreed on under other root certificates: resumption checks
   none. */

/* What is in the caller's compshare_session, which is opaque to it. */
typedef struct compshare__session {
    int64_t since;              /* when its server proved who it is, Unix seconds; 0: no session */
    unsigned char bound[br_sha256_SIZE];    /* the binding that it is good for */
    br_ssl_session_parameters parameters;   /* with the master secret: law 4 */
} compshare__session;
typedef char compshare__assert_session[sizeof(compshare__session) <= sizeof(compshare_session)
    ? 1 : -1];

/* What a session is bound to, as one hash: host, port, size of records and root certificates.
   False: the bundle cannot be told from others, and no session can be bound to it. */
static bool compshare__session_binding(compshare__connection *conn, const compshare_config *f,
    unsigned char hash[br_sha256_SIZE])
{
    const compshare__config_origin *url = &conn->url;
    size_t record = conn->tls.record.cap;       /* RFC 6066 4: a session keeps it */
    br_sha256_context sha256;
    bool known = true;
    br_sha256_init(&sha256);
    br_sha256_update(&sha256, url->host, strlen(url->host) + 1);
    br_sha256_update(&sha256, &url->port, sizeof url->port);
    br_sha256_update(&sha256, &record, sizeof record);
    if (f->ca_pem != NULL) {
        br_sha256_update(&sha256, f->ca_pem, f->ca_pem_len);
    } else {
        int64_t identity[5];
        known = compshare__posix_bundle_identity(&conn->posix, identity);
        if (known) br_sha256_update(&sha256, identity, sizeof identity);
    }
    br_sha256_out(&sha256, hash);
    return known;
}

/* The session to offer, into *s. False: there is none that fits: another binding, older than
   COMPSHARE__SESSION_S, or from the future by this machine's clock. The binding of the one to
   come is taken here, before anything of the bundle is read, because the file may change
   meanwhile. */
static bool compshare__session_load(compshare__connection *conn, const compshare_config *f,
    compshare__session *s)
{
    compshare__trust *t = conn->trust;
    int64_t now = conn->tls.now;
    if (f->session == NULL) return false;
    t->binding_known = compshare__session_binding(conn, f, t->binding);
    memcpy(s, f->session, sizeof *s);
    return t->binding_known && s->since > 0 && now >= s->since
        && now - s->since < COMPSHARE__SESSION_S
        && memcmp(t->binding, s->bound, sizeof s->bound) == 0;
}

/* Notes what a handshake agreed on, and keeps the session of a full one, in place of one that was
   declined. One that was resumed stays as it is: its life is not prolonged, and a program that has
   forgotten it meanwhile does not get it back. */
static void compshare__session_store(compshare__connection *conn, const compshare_config *f)
{
    const compshare__trust *t = conn->trust;
    compshare_handshake *h = &conn->handshake;
    compshare__session s;
    memset(&s, 0, sizeof s);
    br_ssl_engine_get_session_parameters(&conn->tls.client.eng, &s.parameters);
    h->version = s.parameters.version;
    h->suite = s.parameters.cipher_suite;
    h->resumed = t->certificates == 0;      /* none was judged */
    h->not_after = t->not_after;
    if (f->session != NULL && !h->resumed) {
        s.since = conn->tls.now;
        memcpy(s.bound, t->binding, sizeof s.bound);
        if (s.parameters.session_id_len > 0 && t->binding_known) memcpy(f->session, &s, sizeof s);
        else compshare__bytes_wipe(f->session, sizeof *f->session);
    }
    compshare__bytes_wipe(&s, sizeof s);
}

COMPSHARE__DEF void compshare_session_forget(compshare_session *session)
{
    if (session != NULL) compshare__bytes_wipe(session, sizeof *session);
}

/* ==== proxy ==================================================================================
   Asks an HTTP proxy for a tunnel, RFC 9110 9.3.6. Touches the connection, the reply's HTTP parser
   and the error. Must never take a byte behind the proxy's reply for the server's: in TLS the
   client speaks first, so there can be none. */

/* Writes the request for a tunnel to the server into tx, which nothing else uses before the
   handshake. It may hold a password: whoever leaves the phase wipes tx. */
static void compshare__proxy_begin(compshare__connection *conn, compshare__http *http)
{
    compshare__tls *t = &conn->tls;
    compshare__http_init(http, true);
    t->tx_len = compshare__encode_connect(conn->url.host, conn->url.port, conn->proxy.credentials,
        (char *)t->tx.ptr, t->tx.cap);
}

/* The proxy's reply is complete, or malformed. more: bytes came behind it. COMPSHARE_OK: the
   tunnel stands. Else COMPSHARE_E_PROXY, which may be retried after 429 and 5xx. */
static int compshare__proxy_reply(const compshare__connection *conn, const compshare__http *http,
    bool more, compshare_error *e)
{
    int status = http->status;
    if (http->state == COMPSHARE__HTTP_FAILED)
        return compshare__client_fail_http(e, conn, COMPSHARE_E_PROXY, http);
    if (compshare__judge_is_2xx(http)) {
        if (more)
            return compshare__client_fail_host(e, conn, COMPSHARE_E_PROXY,
                "the proxy sent more than its reply");
        return COMPSHARE_OK;
    }
    e->retryable = status == 429 || status >= 500;
    return compshare__client_fail(e, COMPSHARE_E_PROXY,
        "%s:%d: the proxy answered with HTTP status %d%s", conn->proxy.host, conn->proxy.port,
        status, status == 407 ? ": it wants another user and password" : "");
}

/* Sends the request for the tunnel, and reads the head that answers it. COMPSHARE_OK: the tunnel
   stands; COMPSHARE_WANT_*: to be called again; else it has failed. */
static int compshare__proxy_work(compshare__connection *conn, compshare__http *http,
    compshare_error *e)
{
    compshare__tls *t = &conn->tls;
    ptrdiff_t n = compshare__tls_drain(t);
    while (n == COMPSHARE_OK) {
        compshare_view none;
        size_t used;
        n = compshare__tls_recv(t, t->rx, sizeof t->rx);
        if (n <= 0) break;
        used = compshare__http_feed(http, t->rx, (size_t)n, &none);
        if (http->state >= COMPSHARE__HTTP_DONE)
            return compshare__proxy_reply(conn, http, used < (size_t)n, e);
        n = COMPSHARE_OK;
    }
    if (n == COMPSHARE_WANT_READ || n == COMPSHARE_WANT_WRITE) return (int)n;
    return compshare__client_fail_host(e, conn, n == 0 ? COMPSHARE_E_CLOSED : COMPSHARE_E_IO,
        "the proxy broke the connection off");
}

/* ==== exchange ===============================================================================
   One request to its verdict, as a state machine (its phases: see `client`): it joins the pure
   rooms to a transport, keeps the connection, reconnects, retries, watches the deadline, and
   decides what is known when something fails. Knows nothing of tasks and steps. Touches every
   part of the client but its task. Must never send a request twice unless nothing of it left, its
   action is repeatable, or it was refused.

   A phase that fails leads to one of three ends, asked for in this order:

       reconnect   at once, once only. The connection was a kept one, no byte of the reply came, and
                   it is closed or broken, or, for a reading, silent (reuse_deadline).
                   It must be safe: nothing of the request was sent, or it is repeatable.
       retry       after the backoff, or Retry-After where that is longer; max_retries times, which
                   is 0 unless configured. The error is retryable, no element went to the program,
                   the pause ends before the deadline. It must be safe: nothing was sent, it is
                   repeatable, or its class is "always" and it was refused.
       fail        with error.outcome_unknown if bytes of any sending left, and no definite reply
                   came to it. */

/* ---- connection ---- */

/* The handshake is over, or was given up: the root certificates, whose memory is the reply area,
   are not valid from here on. */
static void compshare__exchange_close_bundle(compshare__connection *conn)
{
    compshare__posix_close_bundle(&conn->posix);
    conn->trust = NULL;
}

/* Closes the connection, with close_notify where that needs no waiting, and wipes its keys. The
   transport's `close` is called even if `open` has not succeeded: it may have begun. */
static void compshare__exchange_disconnect(compshare__connection *conn)
{
    if (conn->open) compshare__tls_close(&conn->tls);
    (conn->io.close)(conn->io.user);
    compshare__exchange_close_bundle(conn);
    compshare__tls_reset(&conn->tls);
    conn->open = false;
}

/* Reads ca_pem as if it were a file: up to cap bytes from offset on. Returns how many; 0: its
   end. */
static ptrdiff_t compshare__exchange_read_pem(void *ctx, size_t offset, void *dst, size_t cap)
{
    const compshare_config *f = (const compshare_config *)ctx;
    size_t left = offset < f->ca_pem_len ? f->ca_pem_len - offset : 0;
    if (cap > left) cap = left;
    if (cap > 0) memcpy(dst, f->ca_pem + offset, cap);
    return (ptrdiff_t)cap;
}

/* What TLS will need must be there before a byte is sent: a plausible time, by which
   certificates are checked, and root certificates. COMPSHARE_E_CLOCK, COMPSHARE_E_TRUST: they
   are not. */
static int compshare__exchange_prepare_trust(compshare__connection *conn,
    const compshare__clock *clock, const compshare_config *f, compshare_error *e)
{
    const char *wrong;
    conn->tls.now = compshare__client_unix_time(clock);
    if (conn->tls.now < COMPSHARE__EARLIEST_TIME)
        return compshare__client_fail_clock(e, clock, "no certificate can be checked by it");
    conn->bundle = "ca_pem";
    if (f->ca_pem != NULL) return COMPSHARE_OK;
    wrong = compshare__posix_find_bundle(&conn->posix, f->ca_file, &conn->bundle);
    return wrong == NULL ? COMPSHARE_OK : compshare__client_fail_bundle(e, conn, wrong);
}

/* Lends the bytes from `from` to `to` of the memory that begins with the reply area; the manual
   draws it (MEMORY AND STACK). The last COMPSHARE__TX bytes of the area are tx; `to` may reach
   beyond the area, into the record buffer behind it. See compshare__trust_init. */
static compshare__pem_scratch compshare__exchange_memory(const compshare__reply *reply, size_t from,
    size_t to)
{
    compshare__pem_scratch part;
    part.ptr = (unsigned char *)reply->area + from;
    part.cap = to - from;
    return part;
}

/* Enters CONNECT: checks that what TLS needs is there, and starts the time for connecting, which
   ends with the exchange at the latest. The rest of the task's time is what a look-up of the
   name may take beyond that. */
static int compshare__exchange_connect_begin(compshare *c)
{
    compshare__connection *conn = &c->connection;
    uint64_t deadline = compshare__client_now(&c->clock) + c->config.connect_timeout_ms;
    int r;
    c->exchange.phase = COMPSHARE__PHASE_CONNECT;
    conn->tls.tx = compshare__exchange_memory(&c->reply, c->reply.area_cap - COMPSHARE__TX,
        c->reply.area_cap);
    if (!COMPSHARE__TLS_PLAIN(&conn->tls)) {
        r = compshare__exchange_prepare_trust(conn, &c->clock, &c->config, &c->error);
        if (r != COMPSHARE_OK) return r;
    }
    conn->deadline = deadline < c->exchange.deadline ? deadline : c->exchange.deadline;
    compshare__posix_allow(&conn->posix, conn->deadline,
        (uint32_t)(c->clock.deadline - conn->deadline));
    compshare__client_trace(&c->config, "connect %s %l", conn->peer->host, conn->peer->port);
    return COMPSHARE_OK;
}

/* The time that looking up a name took is added to the deadlines of the connection and of the
   exchange, as far as the task's goes: getaddrinfo cannot be interrupted, and a slow one must
   not take the time that was meant for connecting. */
static void compshare__exchange_give_back(compshare__exchange *x, compshare__connection *conn,
    const compshare__clock *clock)
{
    uint64_t taken = compshare__posix_extended(&conn->posix, conn->deadline);
    uint64_t left = clock->deadline - x->deadline;
    conn->deadline += taken;
    x->deadline += taken < left ? taken : left;
}

/* Goes on with opening the transport. COMPSHARE_OK: it is open; COMPSHARE_WANT_*: it waits; else
   it has failed, and the error says to whom and why. */
static int compshare__exchange_connect(compshare__connection *conn, compshare_error *e)
{
    const compshare__config_origin *peer = conn->peer;
    int r = (conn->io.open)(conn->io.user, peer->host, peer->port);
    if (r == COMPSHARE_OK) conn->open = true;
    if (r == COMPSHARE_OK || r == COMPSHARE_WANT_READ || r == COMPSHARE_WANT_WRITE) return r;
    if (r == COMPSHARE_E_RESOLVE && compshare__posix_serves(&conn->posix, &conn->io))
        return compshare__client_fail(e, r, "%s: %s", peer->host,
            compshare__posix_resolve_meaning(&conn->posix));
    (void)compshare__client_fail_host(e, conn, r < 0 ? r : COMPSHARE_E_CONNECT, "no connection");
    if (compshare__posix_name_failed(&conn->posix))
        (void)compshare__client_fail_append(e, ", at an address from before: %s",
            compshare__posix_resolve_meaning(&conn->posix));
    return e->status;
}

/* The tunnel, or the connection, stands: from now on the client talks to the server itself.
   Prepares the TLS handshake, which offers a session where one fits; nothing is sent yet. */
static int compshare__exchange_handshake_begin(compshare__connection *conn,
    const compshare__reply *reply, compshare_config *f, compshare_error *e)
{
    compshare__session session;
    unsigned char entropy[32];
    bool text = f->ca_pem != NULL, started;
    conn->peer = &conn->url;
    conn->resuming = false;
    if (COMPSHARE__TLS_PLAIN(&conn->tls)) return COMPSHARE_OK;
    if (f->entropy(f->user, entropy, sizeof entropy) != 0)
        return compshare__client_fail(e, COMPSHARE_E_ENTROPY, "the system gave no random bytes");
    conn->trust = compshare__trust_init(
        compshare__exchange_memory(reply, 0, reply->area_cap - COMPSHARE__TX),
        text ? compshare__exchange_read_pem : compshare__posix_read_bundle,
        text ? (void *)f : (void *)&conn->posix, conn->tls.now);
    conn->resuming = compshare__session_load(conn, f, &session);
    started = compshare__tls_start(&conn->tls, conn->trust, conn->url.host, entropy,
        conn->resuming ? &session.parameters : NULL);
    compshare__bytes_wipe(&session, sizeof session);
    return started ? COMPSHARE_OK : compshare__client_fail_tls(e, conn);
}

/* Goes on with the TLS handshake. COMPSHARE_OK: the server has proved who it is, and neither
   roots nor bundle are needed any more. */
static int compshare__exchange_handshake(compshare__connection *conn,
    const compshare__reply *reply, const compshare_config *f, compshare_error *e)
{
    compshare__tls *t = &conn->tls;
    int r = compshare__tls_handshake(t);
    /* While the server works on its first flight there is time to read the bundle. tx and the
       record buffer, which lie behind the trust's memory, are free until it answers. */
    if (r == COMPSHARE_WANT_READ && conn->trust != NULL && !conn->resuming
        && compshare__tls_is_idle(t))
        compshare__trust_prescan(conn->trust,
            compshare__exchange_memory(reply, 0, reply->area_cap + t->record.cap));
    if (r == COMPSHARE_E_TLS) return compshare__client_fail_tls(e, conn);
    if (r == COMPSHARE__EOF)
        return compshare__client_fail_host(e, conn, COMPSHARE_E_CLOSED,
            "it closed the connection during the TLS handshake");
    if (r == COMPSHARE_E_IO)
        return compshare__client_fail_host(e, conn, r,
            "the connection broke during the TLS handshake");
    if (r != COMPSHARE_OK) return r;
    if (!COMPSHARE__TLS_PLAIN(&conn->tls)) {
        compshare__session_store(conn, f);
        compshare__client_trace(f, "TLS 1.2%s", conn->handshake.resumed ? ", resumed" : "", 0);
    }
    compshare__posix_verified(&conn->posix);
    compshare__exchange_close_bundle(conn);
    return COMPSHARE_OK;
}

/* ---- request ---- */

/* Collects, completes and sorts the parameters; they are signed when the first sending begins.
   region: room for one that has to be derived from the zone; it must live as long as the
   request. Refused (COMPSHARE_E_PARAM): an action or a parameter that cannot be sent. */
static int compshare__exchange_collect(compshare__exchange *x, const compshare_config *f,
    char region[32], compshare_error *e)
{
    compshare__bytes_text why = compshare__bytes_into(e->detail, sizeof e->detail);
    const compshare__request *request = &x->request;
    compshare__params *params = &x->params;
    const char *action = request->action;
    const char *own[COMPSHARE__PARAMS_OWN_SIGNATURE] = {
        action, f->public_key, f->security_token, NULL, NULL, NULL
    };
    size_t i;
    if (action == NULL || action[0] == '\0' || strlen(action) >= sizeof e->action
        || !compshare__bytes_all(action, strlen(action), COMPSHARE__BYTES_IDENTIFIER))
        return compshare__client_fail(e, COMPSHARE_E_PARAM,
            "action: 1 to 63 of A-Z a-z 0-9 . _ - are needed");
    compshare__client_name(e, action);
    if (!compshare__params_collect(params, request->params, request->count, &why))
        return e->status = COMPSHARE_E_PARAM;
    if (request->defaults) {
        own[COMPSHARE__PARAMS_OWN_REGION] = compshare__params_text(params, "Region");
        own[COMPSHARE__PARAMS_OWN_ZONE] = compshare__params_text(params, "Zone");
        own[COMPSHARE__PARAMS_OWN_PROJECT] = f->project_id;
        compshare__config_place(f, &own[COMPSHARE__PARAMS_OWN_REGION],
            &own[COMPSHARE__PARAMS_OWN_ZONE], region);
    }
    for (i = 0; i < COMPSHARE__PARAMS_OWN_SIGNATURE; i++) compshare__params_own(params, i, own[i]);
    return COMPSHARE_OK;
}

/* How much of the time that is left goes to a request that another must follow; all in
   milliseconds: half, but COMPSHARE__READING_MS at least, and `most` at the most, and never more
   than is left. */
static uint32_t compshare__exchange_half(uint64_t left, uint32_t most)
{
    uint64_t ms = left / 2;
    if (ms < COMPSHARE__READING_MS) ms = COMPSHARE__READING_MS;
    if (ms > most) ms = most;
    return (uint32_t)(ms < left ? ms : left);
}

/* When a kept connection that says nothing is given up: after half of the request's time, but
   not before COMPSHARE__REUSE_MS, nor after the exchange's deadline. A NAT or firewall that has
   forgotten a connection drops its packets without a sign. */
static uint64_t compshare__exchange_reuse_until(const compshare__exchange *x, uint64_t now)
{
    uint32_t half = x->allowed_ms / 2;
    uint64_t until = now + (half > COMPSHARE__REUSE_MS ? half : COMPSHARE__REUSE_MS);
    return until < x->deadline ? until : x->deadline;
}

/* Puts everything of one sending back to its beginning: the attempt, its reply, its error. The
   values of the reply before are stale from here on. The request itself stays. */
static void compshare__exchange_rewind(compshare *c)
{
    compshare__connection *conn = &c->connection;
    memset(&c->exchange.attempt, 0, sizeof c->exchange.attempt);
    memset(&c->reply.body, 0, sizeof c->reply.body);
    memset(&c->error, 0, sizeof c->error);
    compshare__client_forget_values(&c->reply);
    compshare__http_init(&c->reply.http, false);
    compshare__tls_begin_request(&conn->tls);
    conn->peer = conn->proxy.port != 0 ? &conn->proxy : &conn->url;
    c->exchange.phase = COMPSHARE__PHASE_BEGIN;
}

/* Begins a sending: on the kept connection if it was used within COMPSHARE__IDLE_MS and the
   server has not closed it, else on a new one. request.check may refuse it. A retry has the
   signature of the first sending: nothing that is signed has changed. */
static int compshare__exchange_begin(compshare *c)
{
    compshare__exchange *x = &c->exchange;
    compshare__connection *conn = &c->connection;
    const compshare__request *request = &x->request;
    uint64_t now = c->clock.looked_at;
    int r = request->check != NULL ? request->check(request, &c->clock, &c->error) : COMPSHARE_OK;
    if (r != COMPSHARE_OK) return r;
    if (x->params.signature[0] == '\0') compshare__params_sign(&x->params, c->config.private_key);
    if (request->array != NULL)
        compshare__split_init(&c->reply.split, request->array, c->reply.area, c->reply.area_cap);
    /* is_alive sees a close that has arrived; IDLE_MS avoids one that would cross the request on
       its way, as servers close connections that are idle for long */
    x->attempt.reused = conn->open && now - conn->used_at < COMPSHARE__IDLE_MS
        && compshare__tls_is_alive(&conn->tls);
    x->attempt.reuse_deadline = compshare__exchange_reuse_until(x, now);
    if (x->attempt.reused) {
        conn->peer = &conn->url;
        x->phase = COMPSHARE__PHASE_SEND;
        return COMPSHARE_OK;
    }
    compshare__exchange_disconnect(conn);
    return compshare__exchange_connect_begin(c);
}

/* Whether the encoder has written the whole body. */
static bool compshare__exchange_encoded(const compshare__encode *encoder,
    const compshare__params *params)
{
    return encoder->part >= 2 * params->count;
}

/* Writes the first record into dst: the head, and as much of the body as fits; returns its
   length. The body is encoded before the head, because the head states its length, behind room
   for the longest head, and then moved up to it; what is left of it behind the record is wiped
   (law 4).

       dst | head ................ room for the longest head | body ... |
       dst | head | body .................................. | wiped | */
static size_t compshare__exchange_first(compshare *c, unsigned char *dst, size_t cap)
{
    const compshare__config_origin *url = &c->connection.url;
    const compshare__params *params = &c->exchange.params;
    compshare__encode *encoder = &c->exchange.attempt.encoder;
    unsigned char *ahead = dst + COMPSHARE__ENCODE_HEAD_MOST;
    size_t body = compshare__encode_body(encoder, params, ahead, cap - COMPSHARE__ENCODE_HEAD_MOST);
    size_t n;
    compshare__encode_fields head;
    head.host = url->host;
    head.port = url->port_shown ? url->port : 0;
    head.path = url->path;
    head.user_agent = c->config.user_agent;
    head.content_length = compshare__exchange_encoded(encoder, params) ? body
        : compshare__encode_length(params);
    head.timestamp_ms = compshare__client_unix_time(&c->clock) * 1000;
    head.csv = c->exchange.request.csv;
    n = compshare__encode_head(&head, (char *)dst, COMPSHARE__ENCODE_HEAD_MOST);
    memmove(dst + n, ahead, body);
    n += body;
    compshare__bytes_wipe(dst + n, (size_t)(ahead + body - (dst + n)));
    return n + compshare__encode_body(encoder, params, dst + n, cap - n);
}

/* Sends nothing more of the request, so that what the peer says can be read. Returns
   COMPSHARE_OK: the phase SEND is over. Such a request is never a success (see
   compshare__judge), nor is its connection kept. */
static int compshare__exchange_cut_short(compshare__attempt *a, compshare__tls *t)
{
    a->cut_short = true;
    compshare__tls_stop_sending(t);
    return COMPSHARE_OK;
}

/* Sending waits (r is COMPSHARE_WANT_*) or has failed (COMPSHARE_E_IO). What the peer has said
   already is read: a server that refuses a request early answers, closes, and so makes the
   sending fail. Not where it has failed and nothing was sent: then there is no reply to it.
   Returns COMPSHARE_OK to go on with RECEIVE, else r. */
static int compshare__exchange_send_trouble(compshare__attempt *a, compshare__connection *conn,
    compshare_error *e, int r)
{
    if (r == COMPSHARE_E_IO) {
        (void)compshare__client_fail_host(e, conn, r, "sending failed");
        compshare__client_fail_at(e, COMPSHARE_STAGE_SEND);
        if (!conn->tls.sent) return r;
        a->send_failed = true;
    } else if (!compshare__tls_peer_speaks(&conn->tls)) {
        return r;
    }
    return compshare__exchange_cut_short(a, &conn->tls);
}

/* Sends one record after the other: encode, commit, flush. COMPSHARE_OK: all of the request was
   sent, or sending was cut short because the peer has spoken. COMPSHARE_WANT_*: to be called
   again; the record that waits is not encoded twice (`flushing`). */
static int compshare__exchange_send(compshare *c)
{
    compshare__attempt *a = &c->exchange.attempt;
    const compshare__params *params = &c->exchange.params;
    compshare__tls *t = &c->connection.tls;
    for (;;) {
        unsigned char *dst;
        size_t cap;
        if (a->flushing) {
            int r = compshare__tls_flush(t);
            if (r != COMPSHARE_OK)
                return compshare__exchange_send_trouble(a, &c->connection, &c->error, r);
            a->flushing = false;
            if (compshare__exchange_encoded(&a->encoder, params)) return COMPSHARE_OK;
            /* between two records: an early refusal spares the rest of a long request */
            if (compshare__tls_peer_speaks(t)) return compshare__exchange_cut_short(a, t);
        }
        dst = compshare__tls_room(t, &cap);
        if (dst == NULL) return compshare__client_fail_tls(&c->error, &c->connection);
        compshare__tls_commit(t, a->head_written
            ? compshare__encode_body(&a->encoder, params, dst, cap)
            : compshare__exchange_first(c, dst, cap));
        a->head_written = a->flushing = true;
    }
}

/* ---- reply ---- */

/* One element of the streamed array is complete in the area: hands it to its callback. Values of
   it are stale when the callback has returned. COMPSHARE_E_STOPPED: the callback wants no more. */
static int compshare__exchange_element(compshare *c)
{
    compshare__reply *reply = &c->reply;
    compshare__split *s = &reply->split;
    const compshare__request *request = &c->exchange.request;
    int stop = 0;
    if (!compshare__tokens_parse(&reply->tree, s->area + s->kept, s->used - s->kept,
        s->area + s->used, s->cap - s->used))
        return compshare__client_fail_too_large(&c->error, reply, "an element of the reply");
    reply->body.handed = !request->inner;
    if (request->each != NULL) stop = request->each(request->user, compshare__client_value(c, 0));
    compshare__client_forget_values(reply);
    return stop == 0 ? COMPSHARE_OK
        : compshare__client_fail(&c->error, COMPSHARE_E_STOPPED, "the callback returned non-zero");
}

/* Feeds bytes of a streamed body to the splitter, and hands out each element that they end. */
static int compshare__exchange_split(compshare *c, compshare_view body)
{
    compshare__split *s = &c->reply.split;
    size_t i = 0;
    while (i < body.len && s->json.state != COMPSHARE__JSON_FAILED) {
        bool complete;
        int r = COMPSHARE_OK;
        i += compshare__split_feed(s, body.ptr + i, body.len - i, &complete);
        if (complete) r = compshare__exchange_element(c);
        if (r != COMPSHARE_OK) return r;
    }
    if (s->json.state == COMPSHARE__JSON_FAILED)
        return compshare__client_fail_json(&c->error, &c->reply, s->json.reason);
    return !s->full ? COMPSHARE_OK
        : compshare__client_fail_too_large(&c->error, &c->reply, "an element of the reply");
}

/* Takes bytes of the body into the area. One of status 2xx must fit whole; that of an error
   status is kept as far as it fits: the status matters more. */
static int compshare__exchange_store(compshare__reply *reply, compshare_view bytes,
    compshare_error *e)
{
    compshare__body *body = &reply->body;
    size_t room = reply->area_cap - body->len;
    if (bytes.len > room) {
        if (compshare__judge_is_2xx(&reply->http))
            return compshare__client_fail_too_large(e, reply, "the reply");
        body->cut = true;
        bytes.len = room;
    }
    memcpy(reply->area + body->len, bytes.ptr, bytes.len);
    body->len += bytes.len;
    return COMPSHARE_OK;
}

/* Whether to read the rest of a reply that was too large, so that the connection can be kept,
   which spares a handshake: if it is known to be short, or its length is not known, but its end
   will be marked (chunked). COMPSHARE__DRAIN bytes at the most. */
static bool compshare__exchange_worth_draining(const compshare__http *http)
{
    return http->chunked || http->length < COMPSHARE__DRAIN;
}

/* Where bytes of the body go: in DRAIN nowhere, of a streamed reply with status 2xx to the
   splitter, else into the area. Enters DRAIN where the reply is too large and worth it. */
static int compshare__exchange_body(compshare *c, compshare_view body)
{
    compshare__exchange *x = &c->exchange;
    compshare__reply *reply = &c->reply;
    int r;
    if (x->phase == COMPSHARE__PHASE_DRAIN) {
        reply->body.drained += (uint32_t)body.len;
        return reply->body.drained < COMPSHARE__DRAIN ? COMPSHARE_OK : c->error.status;
    }
    if (x->request.array != NULL && compshare__judge_is_2xx(&reply->http))
        r = compshare__exchange_split(c, body);
    else r = compshare__exchange_store(reply, body, &c->error);
    if (r != COMPSHARE_E_TOO_LARGE || !compshare__exchange_worth_draining(&reply->http)) return r;
    x->phase = COMPSHARE__PHASE_DRAIN;
    return COMPSHARE_OK;
}

/* The reply cannot be read to its end. In DRAIN the verdict stands already. */
static int compshare__exchange_broken(compshare *c, int status)
{
    if (c->exchange.phase == COMPSHARE__PHASE_DRAIN) return c->error.status;
    if (status == COMPSHARE_E_TLS) return compshare__client_fail_tls(&c->error, &c->connection);
    return compshare__client_fail_http(&c->error, &c->connection, status, &c->reply.http);
}

/* Feeds one piece of plaintext to the parser, and its body to where it goes. Notes the Date of
   the head once that is complete. Stops behind the end of the reply: bytes that follow it stay
   in the channel, which is then not clean. */
static int compshare__exchange_feed(compshare *c, const unsigned char *src, size_t len)
{
    compshare__http *http = &c->reply.http;
    compshare__attempt *a = &c->exchange.attempt;
    size_t used = 0;
    int r = COMPSHARE_OK;
    while (used < len && r == COMPSHARE_OK && http->state < COMPSHARE__HTTP_DONE) {
        compshare_view body;
        used += compshare__http_feed(http, src + used, len - used, &body);
        if (!a->dated && (body.len > 0 || http->state == COMPSHARE__HTTP_DONE)) {
            compshare__judge_date(http, &c->clock);
            a->dated = true;
        }
        if (http->state == COMPSHARE__HTTP_FAILED)
            r = compshare__exchange_broken(c, COMPSHARE_E_HTTP);
        else if (body.len > 0) r = compshare__exchange_body(c, body);
    }
    compshare__tls_consumed(&c->connection.tls, used);
    return r;
}

/* The stream has ended (COMPSHARE__EOF) or failed (r). An orderly end, with close_notify, may be
   that of a reply without a length, RFC 9112 6.3; any other may have cut the reply off, so that
   is not complete. COMPSHARE_OK: it is. */
static int compshare__exchange_receive_end(compshare *c, int r)
{
    compshare__http *http = &c->reply.http;
    if (r != COMPSHARE_E_TLS)
        compshare__http_end(http, r == COMPSHARE__EOF && c->connection.tls.orderly);
    if (http->state == COMPSHARE__HTTP_DONE) return COMPSHARE_OK;
    return compshare__exchange_broken(c, r == COMPSHARE__EOF ? COMPSHARE_E_CLOSED : r);
}

/* Reads the reply, or what remains of it. COMPSHARE_OK: it is complete. COMPSHARE_PENDING: there
   may be more at once, but one step has done enough: an event loop gets its turn, and the
   deadline is looked at. Where sending had failed, only what has arrived already is read: the
   failure is reported once there is no more. */
static int compshare__exchange_receive(compshare *c)
{
    compshare__attempt *a = &c->exchange.attempt;
    int reads;
    size_t len = 0, all = 0;
    for (reads = 0; c->reply.http.state != COMPSHARE__HTTP_DONE; reads++, all += len) {
        const unsigned char *src = NULL;
        int r;
        if (reads == COMPSHARE__STEP_READS || all >= COMPSHARE__STEP_BYTES)
            return COMPSHARE_PENDING;
        r = compshare__tls_receive(&c->connection.tls, &src, &len);
        /* all that the peer had said was read, and it tells nothing: sending has failed */
        if (r == COMPSHARE_WANT_READ && a->send_failed) return c->error.status;
        if (r == COMPSHARE_PENDING || r == COMPSHARE_WANT_READ || r == COMPSHARE_WANT_WRITE)
            return r;
        if (r != COMPSHARE_OK) return compshare__exchange_receive_end(c, r);
        a->replied = true;
        if ((r = compshare__exchange_feed(c, src, len)) != COMPSHARE_OK) return r;
    }
    return COMPSHARE_OK;
}

/* ---- once more ---- */

/* The sending has ended, in whatever phase: keeps the connection only if it is certainly clean,
   which is untouched, or behind a whole reply that nothing follows. On any other, a late reply
   could be taken for that of the next request. */
static void compshare__exchange_settle(compshare *c)
{
    const compshare__exchange *x = &c->exchange;
    const compshare__http *http = &c->reply.http;
    compshare__connection *conn = &c->connection;
    bool clean = x->phase >= COMPSHARE__PHASE_RECEIVE && http->state == COMPSHARE__HTTP_DONE
        && http->keep_alive && compshare__tls_is_clean(&conn->tls);
    if (x->phase == COMPSHARE__PHASE_PROXY) compshare__tls_wipe_tx(&conn->tls);
    if (x->phase > COMPSHARE__PHASE_BEGIN && !clean) compshare__exchange_disconnect(conn);
    conn->used_at = c->clock.looked_at;
}

/* Whether bytes of the request were sent, now or by an earlier sending, and no definite reply
   came to them. This is where outcome_unknown comes from:

       tls.sent, not body.definite    one sending
       -> exchange.lost               any sending of this exchange
       -> error.outcome_unknown       the exchange
       -> change.lost                 a workflow's change: it reads back
       -> task.unsettled              until a reading proves it
       -> error.outcome_unknown       the workflow */
static bool compshare__exchange_unanswered(const compshare *c)
{
    return c->exchange.lost || (c->connection.tls.sent && !c->reply.body.definite);
}

/* Puts the request back to its beginning, to be sent after a pause. The error of this sending is
   forgotten, but not that it may have been executed. */
static void compshare__exchange_again(compshare *c, uint32_t pause_ms)
{
    compshare__exchange *x = &c->exchange;
    x->lost = compshare__exchange_unanswered(c);
    compshare__exchange_settle(c);
    compshare__exchange_rewind(c);
    compshare__client_name(&c->error, x->request.action);
    x->pause_until = compshare__client_now(&c->clock) + pause_ms;
}

/* Whether the exchange goes on with a new connection, after the failure r: the banner says when.
   A kept connection may have died unnoticed: the server closes it while the request is on its
   way. Silence is enough of a sign for a reading, which costs nothing to repeat. */
static bool compshare__exchange_reconnect(compshare *c, int r)
{
    compshare__exchange *x = &c->exchange;
    bool silent = r == COMPSHARE_E_TIMEOUT && x->request.reads
        && compshare__client_left(&c->clock, x->deadline) > 0;
    if (!x->attempt.reused || x->reconnected || x->attempt.replied
        || (r != COMPSHARE_E_CLOSED && r != COMPSHARE_E_IO && !silent)) return false;
    if (c->connection.tls.sent && !x->request.repeatable) return false;
    compshare__client_trace(&c->config, "the kept connection was dead: reconnecting", "", 0);
    compshare__exchange_again(c, 0);
    x->reconnected = true;
    return true;
}

/* Retry-After in milliseconds, RFC 9110 10.2.3, at most UINT32_MAX; 0: none. */
static uint32_t compshare__exchange_retry_after(const compshare__http *http,
    const compshare__clock *clock)
{
    int64_t after = http->retry_after_s;
    if (http->retry_after_date != 0)
        after = http->retry_after_date - compshare__client_best_time(clock);
    if (after <= 0) return 0;
    return after < UINT32_MAX / 1000 ? (uint32_t)after * 1000 : UINT32_MAX;
}

/* Milliseconds to wait before a retry, of which `tried` came before: COMPSHARE__RETRY_FIRST_MS,
   doubled with each one up to COMPSHARE__RETRY_MOST_MS; half of it is random jitter, so that
   many clients do not come back together. */
static uint32_t compshare__exchange_backoff(const compshare_config *f, unsigned tried)
{
    uint32_t whole = COMPSHARE__RETRY_FIRST_MS, jitter = 0;
    for (; tried > 0 && whole < COMPSHARE__RETRY_MOST_MS; tried--) whole *= 2;
    (void)f->entropy(f->user, &jitter, sizeof jitter);  /* without any, the pause is the shortest */
    return whole / 2 + jitter % (whole / 2 + 1);
}

/* Whether the exchange goes on with a retry: the banner says when (law 3). One that has handed
   out elements does not: the program would see them twice. */
static bool compshare__exchange_retry(compshare *c)
{
    compshare__exchange *x = &c->exchange;
    uint32_t pause, after, left = compshare__client_left(&c->clock, x->deadline);
    if (x->retries == 0 || !c->error.retryable || c->reply.body.handed) return false;
    if (c->connection.tls.sent && !x->request.repeatable
        && !(x->request.always && c->reply.body.definite)) return false;
    pause = compshare__exchange_backoff(&c->config, c->config.max_retries - x->retries);
    after = compshare__exchange_retry_after(&c->reply.http, &c->clock);
    if (pause < after) pause = after;
    if (pause >= left) return false;
    x->retries--;
    compshare__client_trace(&c->config, "retry in%s %l ms", "", pause);
    compshare__exchange_again(c, pause);
    return true;
}

/* ---- the machine ---- */

/* What a failure in each phase is called: its stage, and for COMPSHARE_E_TIMEOUT when it was.
   Indexed by phase. IDLE and DRAIN have no sentence: the first has no deadline, the second has
   its verdict. */
static const struct {
    int stage;
    const char *when;
} compshare__exchange_phases[] = {
    { COMPSHARE_STAGE_PREPARE, "" },
    { COMPSHARE_STAGE_PREPARE, "before the request was begun" },
    { COMPSHARE_STAGE_CONNECT, "while connecting" },
    { COMPSHARE_STAGE_CONNECT, "while connecting" },
    { COMPSHARE_STAGE_HANDSHAKE, "during the TLS handshake" },
    { COMPSHARE_STAGE_SEND, "while the request was sent" },
    { COMPSHARE_STAGE_RECEIVE, "while the reply was awaited" },
    { COMPSHARE_STAGE_RECEIVE, "" }
};

/* Begins the TLS handshake, now that the server can be reached. */
static int compshare__exchange_reached(compshare *c)
{
    c->exchange.phase = COMPSHARE__PHASE_HANDSHAKE;
    return compshare__exchange_handshake_begin(&c->connection, &c->reply, &c->config, &c->error);
}

/* The handshake is over: the request can be sent. Bytes that the server has sent before that
   cannot be the reply; they are an error, so that they are never taken for it. */
static int compshare__exchange_established(compshare__exchange *x, compshare__connection *conn,
    compshare_error *e)
{
    x->phase = COMPSHARE__PHASE_SEND;
    if (COMPSHARE__TLS_PLAIN(&conn->tls) || compshare__tls_is_alive(&conn->tls))
        return COMPSHARE_OK;
    return compshare__client_fail_host(e, conn, COMPSHARE_E_CLOSED,
        "it closed the connection, or spoke, before it was asked");
}

/* The reply is complete. Of one that was drained the verdict stands already. */
static int compshare__exchange_judge(compshare *c)
{
    int r = c->error.status;
    if (c->exchange.phase != COMPSHARE__PHASE_DRAIN) {
        r = compshare__judge(&c->reply, &c->exchange, &c->error);
        if (r != COMPSHARE_OK) compshare__client_fail_at(&c->error, COMPSHARE_STAGE_JUDGE);
    }
    compshare__client_trace(&c->config, "HTTP status%s %l", "", (uint32_t)c->reply.http.status);
    return r == COMPSHARE_OK ? COMPSHARE__VERDICT : r;
}

/* Works in the current phase until that waits or fails, or enters the next (COMPSHARE_OK).
   COMPSHARE__VERDICT: it was the last, and the reply is a success. Apart from the loop that calls
   it, whose tests a compiler would repeat behind each phase. */
COMPSHARE__NOINLINE static int compshare__exchange_work(compshare *c)
{
    compshare__exchange *x = &c->exchange;
    compshare__connection *conn = &c->connection;
    compshare_error *e = &c->error;
    int r;
    switch (x->phase) {
    case COMPSHARE__PHASE_BEGIN:
        return compshare__exchange_begin(c);
    case COMPSHARE__PHASE_CONNECT:
        r = compshare__exchange_connect(conn, e);
        /* also where it waits or has failed: a look-up has taken its time all the same */
        compshare__exchange_give_back(x, conn, &c->clock);
        if (r != COMPSHARE_OK) return r;
        if (conn->proxy.port == 0) return compshare__exchange_reached(c);
        x->phase = COMPSHARE__PHASE_PROXY;
        compshare__proxy_begin(conn, &c->reply.http);
        compshare__client_trace(&c->config, "CONNECT %s %l", conn->url.host, conn->url.port);
        return COMPSHARE_OK;
    case COMPSHARE__PHASE_PROXY:
        if ((r = compshare__proxy_work(conn, &c->reply.http, e)) != COMPSHARE_OK) return r;
        /* tx has held the proxy's password; the parser is for the server's reply from now on */
        compshare__tls_wipe_tx(&conn->tls);
        compshare__http_init(&c->reply.http, false);
        return compshare__exchange_reached(c);
    case COMPSHARE__PHASE_HANDSHAKE:
        r = compshare__exchange_handshake(conn, &c->reply, &c->config, e);
        if (r != COMPSHARE_OK) return r;
        return compshare__exchange_established(x, conn, e);
    case COMPSHARE__PHASE_SEND:
        if ((r = compshare__exchange_send(c)) != COMPSHARE_OK) return r;
        x->phase = COMPSHARE__PHASE_RECEIVE;
        compshare__client_trace(&c->config, "sent %s", e->action, 0);
        return COMPSHARE_OK;
    default:    /* RECEIVE and DRAIN */
        r = compshare__exchange_receive(c);
        return r == COMPSHARE_OK ? compshare__exchange_judge(c) : r;
    }
}

/* Whether the connection's deadline counts, and not that of the exchange. */
static bool compshare__exchange_connecting(const compshare__exchange *x)
{
    return x->phase >= COMPSHARE__PHASE_CONNECT && x->phase <= COMPSHARE__PHASE_HANDSHAKE;
}

/* When the current phase must be over, on the monotonic clock: see the table of phases. */
static uint64_t compshare__exchange_due(const compshare__exchange *x,
    const compshare__connection *conn)
{
    const compshare__attempt *a = &x->attempt;
    if (compshare__exchange_connecting(x)) return conn->deadline;
    if (x->phase >= COMPSHARE__PHASE_SEND && a->reused && !a->replied && x->request.reads)
        return a->reuse_deadline;
    return x->deadline;
}

/* Reads the monotonic clock, into clock.looked_at, which it returns. If it has stepped back, no
   time can be kept: every deadline becomes 0, so that all is due and the task ends. */
static uint64_t compshare__exchange_look(compshare__exchange *x, compshare__connection *conn,
    compshare__clock *clock)
{
    uint64_t now = compshare__client_now(clock);
    if (now < clock->looked_at)
        clock->deadline = x->deadline = x->attempt.reuse_deadline = conn->deadline = 0;
    return clock->looked_at = now;
}

/* The current phase was due: COMPSHARE_E_TIMEOUT, with the time that it had. In DRAIN the
   verdict stands already, and is returned. */
static int compshare__exchange_overdue(compshare *c)
{
    const compshare__exchange *x = &c->exchange;
    const compshare__config_origin *peer = c->connection.peer;
    uint32_t allowed = x->allowed_ms;
    if (x->phase == COMPSHARE__PHASE_DRAIN) return c->error.status;
    if (c->clock.deadline == 0)
        return compshare__client_fail(&c->error, COMPSHARE_E_TIMEOUT,
            "monotonic_ms: it stepped back: no time can be kept");
    if (compshare__exchange_connecting(x) && c->clock.looked_at < x->deadline)
        allowed = c->config.connect_timeout_ms;
    return compshare__client_fail(&c->error, COMPSHARE_E_TIMEOUT,
        "%s:%d: timed out after %l ms %s", peer->host, peer->port, (int64_t)allowed,
        compshare__exchange_phases[x->phase].when);
}

/* Notes what follows from a failure for later connections, and whether a retry may help
   (retryable). A session may be its cause where the server has not answered since it was
   offered: it is dropped, so that the next handshake is a full one. */
static void compshare__exchange_failed(compshare *c, int status)
{
    const compshare__exchange *x = &c->exchange;
    const compshare_config *f = &c->config;
    compshare_error *e = &c->error;
    if (x->phase >= COMPSHARE__PHASE_HANDSHAKE && c->connection.resuming && !x->attempt.reused
        && !x->attempt.replied) {
        compshare__bytes_wipe(f->session, sizeof *f->session);
        if (x->phase == COMPSHARE__PHASE_HANDSHAKE) e->retryable = true;
    }
    if (status == COMPSHARE_E_CONNECT || status == COMPSHARE_E_RESOLVE
        || status == COMPSHARE_E_TIMEOUT || status == COMPSHARE_E_CLOSED
        || status == COMPSHARE_E_IO) e->retryable = true;
}

/* Goes on with the exchange until it waits (COMPSHARE_PENDING; `wants` or pause_until say for
   what) or is over: COMPSHARE_OK, or a negative status whose error compshare__exchange_finish
   completes. In SEND it waits for reading as well: the server may refuse before it has all of
   the request. */
static int compshare__exchange_advance(compshare *c)
{
    compshare__exchange *x = &c->exchange;
    for (;;) {
        /* The deadline is looked at before each piece of work: a peer that always has one more byte
           cannot hold the call up. */
        uint64_t now = compshare__exchange_look(x, &c->connection, &c->clock);
        int r;
        if (now >= compshare__exchange_due(x, &c->connection)) r = compshare__exchange_overdue(c);
        else if (x->phase == COMPSHARE__PHASE_BEGIN && now < x->pause_until)
            return COMPSHARE_PENDING;
        else r = compshare__exchange_work(c);
        /* The phase could go on, but the program gets its turn. */
        if (r == COMPSHARE_PENDING) {
            x->more = true;
            return r;
        }
        if (r == COMPSHARE_WANT_READ || r == COMPSHARE_WANT_WRITE) {
            x->wants = r == COMPSHARE_WANT_READ ? COMPSHARE_READ : COMPSHARE_WRITE;
            if (x->phase == COMPSHARE__PHASE_SEND) x->wants |= COMPSHARE_READ;
            return COMPSHARE_PENDING;
        }
        x->wants = 0;
        /* The next phase begins, or the reply is a success; anything else has failed. */
        if (r == COMPSHARE_OK) continue;
        if (r == COMPSHARE__VERDICT) return COMPSHARE_OK;
        compshare__exchange_failed(c, r);
        if (!compshare__exchange_reconnect(c, r) && !compshare__exchange_retry(c)) return r;
    }
}

/* The exchange is over: completes the error, and keeps of the connection and the reply only what
   is whole. After a failure programs can still read the values of a reply by which the API or
   the HTTP status refused, and the bytes of one that was complete. The signature is wiped (law
   4). */
static void compshare__exchange_finish(compshare *c, int status)
{
    compshare__exchange *x = &c->exchange;
    compshare_error *e = &c->error;
    const compshare__http *http = &c->reply.http;
    compshare_view id;
    if (status != COMPSHARE_OK) {
        /* the verdict has set its own stage, JUDGE, before */
        compshare__client_fail_at(e, compshare__exchange_phases[x->phase].stage);
        e->outcome_unknown = compshare__exchange_unanswered(c);
        if (status != COMPSHARE_E_API && status != COMPSHARE_E_STATUS)
            compshare__client_forget_values(&c->reply);
        if (e->stage < COMPSHARE_STAGE_JUDGE) c->reply.body.len = 0;
    }
    e->http_status = http->status;
    id.ptr = http->request_id;
    id.len = strlen(http->request_id);
    /* not the proxy's, and no repetition of the signed request */
    if (!http->tunnel && !compshare__judge_is_echo(&x->params, id))
        memcpy(e->request_id, http->request_id, sizeof e->request_id);
    compshare__exchange_settle(c);
    compshare__bytes_wipe(x->params.signature, sizeof x->params.signature);
    x->phase = COMPSHARE__PHASE_IDLE;
    x->wants = 0;
}

/* ==== task ===================================================================================
   Every call is a task: a table of steps, each of which is one exchange; a blocking call is its
   start, and a loop around compshare_step. Touches every part of the client. Must never leave a
   client busy after a task has ended, nor secrets on the stack when it returns.

       claim      takes an idle client; the caller fills in task.as
       start      the deadline of the whole task: now + timeout_ms
         enter      step->begin fills in exchange.request, or skips the step (NEXT)
           advance    the exchange works, until it waits (COMPSHARE_PENDING) or is over
         leave      step->end turns its status into that of the task, or into
                    NEXT  the following step   AGAIN  this step   BACK  the one before it
       end        the client is idle; the error is complete

   A program gets COMPSHARE_OK from `start`, then COMPSHARE_PENDING from compshare_step until
   `end`. */

/* compshare__request.check of a request that sets a stop time: whether that is far enough ahead
   on the server's clock, by the API's own rule. Where that clock is not known, the API judges.
   COMPSHARE_OK, or COMPSHARE_E_TOO_SOON: the request is not sent. */
static int compshare__task_check_floor(const compshare__request *request,
    const compshare__clock *clock, compshare_error *e)
{
    int64_t ahead = request->stop_time - compshare__client_server_time(clock);
    if (clock->server_date == 0 || ahead >= COMPSHARE__STOP_FLOOR_S) return COMPSHARE_OK;
    return compshare__client_fail(e, COMPSHARE_E_TOO_SOON,
        "SchedulerStopTime %t must be at least 300 s ahead: it is %l s short",
        request->stop_time, COMPSHARE__STOP_FLOOR_S - ahead);
}

/* The task is over, with this status, which it returns: the client is idle. A failure whose
   stage is not known yet happened before anything was sent. For workflows the outcome is that of
   the change, whatever became of the readings: unknown while a change was sent and is not
   confirmed, and the error then names the change's action. */
static int compshare__task_end(compshare *c, int status)
{
    c->task.step = NULL;
    memset(&c->exchange, 0, sizeof c->exchange);
    c->read_noted = false;
    if (status == COMPSHARE_OK) compshare__client_clear(&c->error);
    else compshare__client_fail_at(&c->error, COMPSHARE_STAGE_PREPARE);
    if (status == COMPSHARE_OK || c->task.kind < COMPSHARE__TASK_WAIT) return status;
    c->error.outcome_unknown = c->task.unsettled;   /* of the change: readings change nothing */
    if (c->task.unsettled) compshare__client_name(&c->error, c->task.as.change.action);
    return status;
}

/* Takes the client for a new task, whose fields are then the caller's to fill in; what follows
   must be compshare__task_start, or compshare__task_refuse. Negative: it was not taken, and its
   error stays as it was. */
static int compshare__task_claim(compshare *c)
{
    if (c == NULL) return COMPSHARE_E_CONFIG;
    if (c->entered || c->task.step != NULL) return COMPSHARE_E_BUSY;
    memset(&c->task, 0, sizeof c->task);
    c->read_noted = false;
    c->task.timeout_ms = c->config.timeout_ms;
    return COMPSHARE_OK;
}

/* Gives a claimed client back, because an argument cannot be used. Returns the status. */
static int compshare__task_refuse(compshare *c, int status, const char *why)
{
    memset(&c->error, 0, sizeof c->error);
    return compshare__task_end(c, compshare__client_fail(&c->error, status, "%s", why));
}

/* When the exchange of the current step begins, and its deadline: that of the task; where others
   must follow, half of what is left of it. most: of such a half, in milliseconds. */
static void compshare__task_allow(const compshare__task *t, compshare__exchange *x,
    const compshare__clock *clock, uint32_t most)
{
    uint64_t start = compshare__client_now(clock) + t->pause_ms;
    x->pause_until = start;
    x->deadline = clock->deadline;
    x->allowed_ms = t->timeout_ms;
    /* where the pause outlasts the task, the exchange ends in BEGIN, by the task's deadline */
    if (!x->request.leaves_half || start >= clock->deadline) return;
    x->allowed_ms = compshare__exchange_half(clock->deadline - start, most);
    x->deadline = start + x->allowed_ms;
}

/* Describes and prepares the exchange of the current step; nothing is sent yet. COMPSHARE_OK: it
   can be advanced. COMPSHARE__NEXT: the step has nothing to do. Negative: it cannot be sent as
   it is. */
static int compshare__task_request(compshare *c)
{
    compshare__exchange *x = &c->exchange;
    compshare__task *t = &c->task;
    int r;
    memset(x, 0, sizeof *x);
    compshare__exchange_rewind(c);
    x->retries = c->config.max_retries;
    r = t->step->begin(c);
    if (r < 0) compshare__client_name(&c->error, x->request.action);
    if (r != COMPSHARE_OK) return r;
    /* a derived region is kept in the task, where it lives as long as the request */
    r = compshare__exchange_collect(x, &c->config, t->find.ids.region, &c->error);
    if (r != COMPSHARE_OK) return r;
    compshare__task_allow(t, x, &c->clock, c->config.timeout_ms);
    t->pause_ms = 0;
    return COMPSHARE_OK;
}

/* Begins the current step, or the first one behind it that has something to do. */
static int compshare__task_enter(compshare *c)
{
    int r;
    while ((r = compshare__task_request(c)) == COMPSHARE__NEXT) c->task.step++;
    return r;
}

/* Starts a claimed task. COMPSHARE_OK: it is in progress, and nothing has been sent; negative:
   it has ended. `entered` is set while callbacks and hooks of the program may run, so that they
   cannot start another call. */
static int compshare__task_start(compshare *c, const compshare__step *steps)
{
    int r;
    c->entered = true;
    c->task.step = steps;
    c->task.began = c->clock.looked_at = compshare__client_now(&c->clock);
    c->clock.deadline = c->task.poll_until = c->task.began + c->task.timeout_ms;
    r = compshare__task_enter(c);
    c->entered = false;
    return r == COMPSHARE_OK ? r : compshare__task_end(c, r);
}

/* Asks for a pause of `ms`, or of Retry-After where that is longer, before the next exchange.
   False: there is no time for it and a reading behind it; no pause is set then. */
static bool compshare__task_pause(compshare *c, uint32_t ms)
{
    uint32_t left = compshare__client_left(&c->clock, c->clock.deadline);
    uint32_t after = compshare__exchange_retry_after(&c->reply.http, &c->clock);
    if (after < ms) after = ms;
    if (left < COMPSHARE__READING_MS || left - COMPSHARE__READING_MS < after) return false;
    c->task.pause_ms = after;
    return true;
}

/* Asks for the current step once more, after a pause: 250, 500, 1000, 2000, 4000, then 5000 ms,
   but half of the time left until `poll_until` at the most, so that readings come closer
   together towards the end; and not before Retry-After. False: less than 500 ms are left, or
   Retry-After is later than the end; where a change waits to be confirmed, Retry-After is
   shortened so that one more reading is left. */
static bool compshare__task_poll(compshare *c)
{
    compshare__task *t = &c->task;
    uint64_t until = t->poll_until < c->clock.deadline ? t->poll_until : c->clock.deadline;
    /* a clock that stepped back has put the deadline to 0 */
    uint32_t left = compshare__client_left(&c->clock, until), pause = COMPSHARE__POLL_FIRST_MS;
    uint32_t after = compshare__exchange_retry_after(&c->reply.http, &c->clock);
    unsigned i;
    for (i = 0; i < t->polls && pause < COMPSHARE__POLL_MOST_MS; i++) pause *= 2;
    if (pause > COMPSHARE__POLL_MOST_MS) pause = COMPSHARE__POLL_MOST_MS;
    if (pause > left / 2) pause = left / 2;
    if (t->unsettled && left > COMPSHARE__READING_MS && after > left - COMPSHARE__READING_MS)
        after = left - COMPSHARE__READING_MS;
    if (pause < COMPSHARE__POLL_FIRST_MS || after >= left) return false;
    t->polls++;
    t->pause_ms = pause > after ? pause : after;
    return true;
}

/* The exchange of the current step is over with `status`: what the step makes of that. Negative
   and COMPSHARE_OK: the task ends with it. */
static int compshare__task_leave(compshare *c, int status)
{
    compshare__exchange_finish(c, status);
    status = c->task.step->end(c, status);
    if (status < 0) compshare__client_fail_at(&c->error, COMPSHARE_STAGE_JUDGE);
    return status;
}

/* Runs steps until one waits (COMPSHARE_PENDING) or the task has ended (any other status). */
static int compshare__task_work(compshare *c)
{
    c->exchange.more = false;
    for (;;) {
        int r = compshare__exchange_advance(c);
        if (r == COMPSHARE_PENDING) return r;
        /* the exchange is over: the step's `end` says which step comes next, if any */
        r = compshare__task_leave(c, r);
        if (r == COMPSHARE__NEXT) c->task.step++;
        if (r == COMPSHARE__BACK) c->task.step--;
        if (r != COMPSHARE__NEXT && r != COMPSHARE__AGAIN && r != COMPSHARE__BACK)
            return compshare__task_end(c, r);
        r = compshare__task_enter(c);
        if (r != COMPSHARE_OK) return compshare__task_end(c, r);
    }
}

/* The task ends before its time: by the program, or because waiting failed. Its connection is
   closed, for a reply may still be on the way. A change of which bytes were sent is unsettled
   from then on, so that the error says outcome_unknown. */
static int compshare__task_abort(compshare *c, int status, const char *why)
{
    compshare_error *e = &c->error;
    c->entered = true;
    (void)compshare__client_fail(e, status, "%s", why);
    if (status == COMPSHARE_E_IO) {
        (void)compshare__client_fail_errno(e, &c->connection);
        compshare__exchange_failed(c, status);
    }
    c->reply.http.state = COMPSHARE__HTTP_FAILED;   /* so that the connection is not kept */
    compshare__exchange_finish(c, status);
    if (!c->exchange.request.reads && c->error.outcome_unknown) c->task.unsettled = true;
    c->entered = false;
    compshare__bytes_wipe_stack();
    return compshare__task_end(c, status);
}

/* Whether a task can be stepped or aborted now: COMPSHARE_OK; COMPSHARE_E_BUSY: from inside a
   callback; COMPSHARE_E_IDLE: there is none. */
static int compshare__task_ready(const compshare *c)
{
    if (c == NULL) return COMPSHARE_E_CONFIG;
    if (c->entered) return COMPSHARE_E_BUSY;
    return c->task.step != NULL ? COMPSHARE_OK : COMPSHARE_E_IDLE;
}

/* The stack is overwritten after each step, not at the end only: a program may never take the
   next one (law 4). */
COMPSHARE__DEF int compshare_step(compshare *client)
{
    int r = compshare__task_ready(client);
    if (r != COMPSHARE_OK) return r;
    client->entered = true;
    r = compshare__task_work(client);
    client->entered = false;
    compshare__bytes_wipe_stack();
    return r;
}

/* outcome_unknown is set where bytes of a change have left and nothing has settled it. */
COMPSHARE__DEF int compshare_abort(compshare *client)
{
    int r = compshare__task_ready(client);
    if (r != COMPSHARE_OK) return r;
    return compshare__task_abort(client, COMPSHARE_E_ABORTED, "the call was aborted");
}

/* -1 during a pause: the kept connection, if there is one, has nothing to say that the task
   waits for. */
COMPSHARE__DEF int compshare_fd(compshare *client)
{
    const compshare_transport *io = client != NULL ? &client->connection.io : NULL;
    if (io == NULL || io->fd == NULL || client->exchange.phase == COMPSHARE__PHASE_BEGIN)
        return -1;
    return (io->fd)(io->user);
}

/* 0 where the task waits for time alone, or where there is none. */
COMPSHARE__DEF unsigned compshare_wants(const compshare *client)
{
    return client != NULL ? client->exchange.wants : 0;
}

/* Milliseconds until the next step is due although nothing became ready: the end of a pause, the
   deadline of the phase, or, while connecting, the time to try the next address. 0: step at
   once; also after the monotonic clock has stepped back, and where no task is in progress. */
COMPSHARE__DEF uint32_t compshare_timeout_ms(const compshare *client)
{
    const compshare__exchange *x;
    const compshare__posix *posix;
    uint64_t now, due;
    bool begins;
    if (client == NULL || client->task.step == NULL) return 0;
    x = &client->exchange;
    posix = &client->connection.posix;
    now = compshare__client_now(&client->clock);
    begins = x->phase == COMPSHARE__PHASE_BEGIN;
    if (x->more || now < client->clock.looked_at) return 0;
    due = begins ? x->pause_until : compshare__exchange_due(x, &client->connection);
    if (x->phase == COMPSHARE__PHASE_CONNECT
        && compshare__posix_serves(posix, &client->connection.io)
        && compshare__posix_attempt_deadline(posix) < due)
        due = compshare__posix_attempt_deadline(posix);
    return due > now ? (uint32_t)(due - now) : 0;
}

/* Does nothing inside a callback. `entered` is set first, so that a hook that is called while
   the connection closes cannot use the client. Then the whole block is wiped, the client
   included (law 4). */
COMPSHARE__DEF void compshare_close(compshare *client)
{
    if (client == NULL || client->entered) return;
    if (client->task.step != NULL)
        (void)compshare__task_abort(client, COMPSHARE_E_ABORTED, "the client was closed");
    client->entered = true;
    compshare__exchange_disconnect(&client->connection);
    compshare__bytes_wipe(client->config.memory, client->config.memory_size);
    compshare__bytes_wipe_stack();
}

/* The blocking form of every call, given what its start returned (r): steps, and the transport's
   wait in between. Returns the status of the task. */
static int compshare__task_run(compshare *c, int r)
{
    if (r != COMPSHARE_OK) return r;
    if (c->connection.io.wait == NULL)
        return compshare__task_abort(c, COMPSHARE_E_CONFIG,
            "transport: wait is NULL, so only compshare_step can be used");
    for (;;) {
        uint32_t timeout;
        if ((r = compshare_step(c)) != COMPSHARE_PENDING) return r;
        if ((timeout = compshare_timeout_ms(c)) == 0) continue;
        c->entered = true;
        r = (c->connection.io.wait)(c->connection.io.user, c->exchange.wants, timeout);
        c->entered = false;
        if (r < 0) return compshare__task_abort(c, COMPSHARE_E_IO, "the transport's wait failed");
    }
}

/* ==== actions ================================================================================
   The table of the API's actions, and what it says of one: its group, whether it changes
   something, whether it may be repeated. Also the text of an error, which needs to know that.
   Touches nothing but the caller's buffer. Must never call an action repeatable that is not in
   the table. */

/* One row for each action, COMPSHARE__ACTIONS_MARKS letters and its name, then a NUL; an empty
   row is the end. The most used come first. The letters:

       1  group    a account, i instance, m image, d data, t team, u ulhost, o other, x telemetry
       2           r it reads, w it changes something
       3  class    a always, v verify, n never: whether it may be sent again
       4  cost     + it may cost money, - it saves some, x it destroys, . neither
       5  mark     s secrets inside, c CSV reply, p partial failure, j JSON body only, - none */
static const char compshare__actions_table[] =
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

#define COMPSHARE__ACTIONS_MARKS 5   /* letters before the name of a row */

#define COMPSHARE__ACTIONS_UPDATE "UpdateCompShareStopScheduler"
#define COMPSHARE__ACTIONS_DELETE "DeleteCompShareStopScheduler"
#define COMPSHARE__ACTIONS_DESCRIBE "DescribeCompShareInstance"

/* What a row says. Of the empty one that ends the table, nothing is known: the name is NULL, the
   class "never". */
static compshare_action compshare__actions_row(const char *row)
{
    /* the groups, each behind its letter */
    const char *group = "aaccount\0iinstance\0mimage\0ddata\0tteam\0uulhost\0oother\0xtelemetry\0";
    compshare_action a;
    memset(&a, 0, sizeof a);
    a.cost = '.';
    a.group = "";
    if (row[0] == '\0') return a;
    while (group[0] != row[0]) group += strlen(group) + 1;
    a.group = group + 1;
    a.name = row + COMPSHARE__ACTIONS_MARKS;
    a.mutating = row[1] == 'w';
    a.retry = row[2] == 'a' ? COMPSHARE_RETRY_ALWAYS
        : row[2] == 'v' ? COMPSHARE_RETRY_VERIFY : COMPSHARE_RETRY_NEVER;
    a.cost = row[3];
    a.secret = row[4] == 's';
    a.csv = row[4] == 'c';
    a.partial = row[4] == 'p';
    a.json_only = row[4] == 'j';
    return a;
}

/* The row of this name; the empty one where there is none. */
static compshare_action compshare__actions_find(const char *name)
{
    const char *row = compshare__actions_table;
    while (row[0] != '\0'
        && !compshare__bytes_equal(row + COMPSHARE__ACTIONS_MARKS, name)) row += strlen(row) + 1;
    return compshare__actions_row(row);
}

/* Whether an action may change something: one that is not in the table may do anything. */
static bool compshare__actions_may_change(const char *name)
{
    compshare_action a = compshare__actions_find(name);
    return a.name == NULL || a.mutating;
}

COMPSHARE__DEF compshare_action compshare_action_info(const char *name)
{
    return compshare__actions_find(name != NULL ? name : "");
}

COMPSHARE__DEF compshare_action compshare_action_at(size_t i)
{
    const char *row = compshare__actions_table;
    while (row[0] != '\0' && i-- > 0) row += strlen(row) + 1;
    return compshare__actions_row(row);
}

/* "Action: detail: RetCode N: Message (request id); OUTCOME UNKNOWN: ...", each part where there
   is one. Of an action that only reads an unknown outcome is not said: nothing can have changed. */
COMPSHARE__DEF const char *compshare_error_text(const compshare *client, char *buf, size_t cap)
{
    const compshare_error *e = compshare_last_error(client);
    compshare__bytes_text t = compshare__bytes_into(buf, cap);
    if (e->action[0] != '\0') compshare__bytes_form(&t, "%s: ", e->action);
    compshare__bytes_put(&t, e->detail[0] != '\0' ? e->detail
        : compshare__client_status(e->status)->text);
    if (e->ret_code != 0) compshare__bytes_form(&t, ": RetCode %d", e->ret_code);
    if (e->message[0] != '\0') compshare__bytes_form(&t, ": %s", e->message);
    if (e->request_id[0] != '\0') compshare__bytes_form(&t, " (request %s)", e->request_id);
    if (e->outcome_unknown && compshare__actions_may_change(e->action))
        compshare__bytes_put(&t,
            "; OUTCOME UNKNOWN: it may have been executed, read back before repeating it");
    return buf;
}

/* ==== read ===================================================================================
   A JSON object into a struct, by a table of fields; instances and projects are read by it
   too. At the end the public functions that read values. Touches the caller's struct and, to
   say why it was not filled, the client's error. Must never leave a member that the table names
   as it was, nor write beyond it. */

/* Where the values of a table's fields stand in an object, and which one is an error. Row i is for
   fields[i]. */
typedef struct compshare__read_places {
    struct {
        uint32_t at;            /* token of the value; 0: missing or null */
        unsigned char names;    /* which names are there: 1 the first, 2 the second */
        bool twice;             /* one of them is there more than once */
    } row[COMPSHARE_MAX_FIELDS];
    size_t bad;                 /* the first row whose value is an error, */
    int status;                 /* and which; COMPSHARE_OK: none is */
} compshare__read_places;

/* Whether a member has this name. Most are told apart by their first byte. */
static bool compshare__read_is(compshare_view key, const char *name)
{
    return name != NULL && key.len > 0 && (key.ptr[0] == name[0] || key.ptr[0] == '\\')
        && compshare__json_equals(key, name);
}

/* Finds the values of all fields in one pass over the members of what may be an object; tree
   NULL, or no object: nothing is found. Of two names of one field the first counts, unless its
   value is null. A name that is there twice is noted, because nobody can say which of them is
   meant. */
static void compshare__read_locate(const compshare__tokens *tree, uint32_t object,
    const compshare_field *fields, size_t count, compshare__read_places *p)
{
    uint32_t at = COMPSHARE__TOKENS_NONE;
    size_t i;
    memset(p, 0, sizeof *p);
    if (tree != NULL && compshare__tokens_type(tree, object) == COMPSHARE_OBJECT)
        at = compshare__tokens_first(tree, object);
    for (; at != COMPSHARE__TOKENS_NONE; at = compshare__tokens_next(tree, at)) {
        compshare_view key = compshare__tokens_raw(tree, compshare__tokens_key(tree, at));
        for (i = 0; i < count; i++) {
            unsigned char name = compshare__read_is(key, fields[i].name) ? 1
                : compshare__read_is(key, fields[i].other) ? 2 : 0;
            if (name == 0) continue;
            if ((p->row[i].names & name) != 0) p->row[i].twice = true;
            p->row[i].names = (unsigned char)(p->row[i].names | name);
            if (compshare__tokens_type(tree, at) != COMPSHARE_NULL
                && (name == 1 || p->row[i].at == 0))
                p->row[i].at = at;
        }
    }
}

/* Reads true or false, or a string that says so; where `numbers`, 0 and 1 as well, as number or
   string. Whether it is one. */
static bool compshare__read_bool(const compshare__tokens *tree, uint32_t at, bool numbers,
    bool *out)
{
    static const char *const words[] = { "false", "true", "False", "True", "0", "1" };
    int type = compshare__tokens_type(tree, at);
    int i = type == COMPSHARE_NUMBER ? 4 : 0;
    int end = type == COMPSHARE_BOOL ? 2 : type != COMPSHARE_STRING && i == 0 ? 0 : numbers ? 6 : 4;
    for (; i < end; i++) {
        if (!compshare__json_equals(compshare__tokens_raw(tree, at), words[i])) continue;
        *out = i % 2 != 0;
        return true;
    }
    return false;
}

/* Whether a string, not unescaped, is a number by the grammar of RFC 8259 6. */
static bool compshare__read_decimal(compshare_view raw)
{
    compshare__json json;
    if (raw.len == 0 || raw.ptr[0] == ' ' || !compshare__bytes_digit(raw.ptr[raw.len - 1]))
        return false;
    compshare__json_init(&json);
    compshare__json_feed(&json, raw.ptr, raw.len);
    return compshare__json_finish(&json) == NULL;
}

/* Stores one value in its member, which has f->size bytes and is zero. COMPSHARE_E_TYPE: it has
   another type. COMPSHARE_E_REPLY: as text it does not fit unchanged; of kind SHOWN it is cut,
   and made harmless for a terminal. */
static int compshare__read_store(const compshare__tokens *tree, uint32_t at,
    const compshare_field *f, void *member)
{
    compshare_view raw = compshare__tokens_raw(tree, at);
    int type = compshare__tokens_type(tree, at);
    bool text = type == COMPSHARE_STRING, good = text;
    if (f->kind == COMPSHARE_KIND_INT)
        good = compshare__tokens_int(tree, at, (int64_t *)member);
    else if (f->kind == COMPSHARE_KIND_BOOL)
        good = compshare__read_bool(tree, at, true, (bool *)member);
    else if (f->kind == COMPSHARE_KIND_DECIMAL)
        good = type == COMPSHARE_NUMBER || (text && compshare__read_decimal(raw));
    if (!good) return COMPSHARE_E_TYPE;
    if (f->kind == COMPSHARE_KIND_INT || f->kind == COMPSHARE_KIND_BOOL) return COMPSHARE_OK;
    (void)compshare__json_copy(raw, (char *)member, f->size, true);
    return f->kind == COMPSHARE_KIND_SHOWN || compshare__json_equals(raw, (char *)member)
        ? COMPSHARE_OK : COMPSHARE_E_REPLY;
}

/* Sets every member that the table names: to its value, or to zero where that is missing or
   cannot be read. All rows are read even after an error; p->bad is the first row that is one.
   Returns p->status: COMPSHARE_OK, E_TYPE, or E_REPLY (required and missing, twice, or does not
   fit). An error of a lenient field is none. */
static int compshare__read_object(const compshare__tokens *tree, uint32_t object,
    const compshare_field *fields, size_t count, compshare__read_places *p, void *out)
{
    size_t i;
    compshare__read_locate(tree, object, fields, count, p);
    for (i = 0; i < count; i++) {
        const compshare_field *f = &fields[i];
        void *member = (char *)out + f->offset;
        int r = COMPSHARE_OK;
        memset(member, 0, f->size);
        if (p->row[i].twice) r = COMPSHARE_E_REPLY;
        else if (p->row[i].at != 0) r = compshare__read_store(tree, p->row[i].at, f, member);
        else if (f->need == COMPSHARE_REQUIRED) r = COMPSHARE_E_REPLY;
        if (r == COMPSHARE_OK) continue;
        memset(member, 0, f->size);
        if (f->need == COMPSHARE_LENIENT || p->status != COMPSHARE_OK) continue;
        p->bad = i;
        p->status = r;
    }
    return p->status;
}

/* ---- instances and projects ---- */

/* Reads a stop time in Unix seconds, as number or string, with ".0" behind it or not. *out is 0
   where there is none: missing, null, "", or not above 0. False: it is no time, or one in
   milliseconds (after the year 9999), or there twice; `raw` is then what stands there, made
   harmless for a terminal. */
static bool compshare__read_time(const compshare__tokens *tree, uint32_t at, bool twice,
    int64_t *out, char raw[32])
{
    compshare_view v = { "twice", 5 };
    int type = COMPSHARE_NONE;
    size_t point, zeros;
    *out = 0;
    raw[0] = '\0';
    if (!twice) {
        if (at == 0) return true;
        v = compshare__tokens_raw(tree, at);
        type = compshare__tokens_type(tree, at);
    }
    if (type == COMPSHARE_STRING && v.len == 0) return true;
    (void)compshare__json_copy(v, raw, 32, true);
    if (type != COMPSHARE_STRING && type != COMPSHARE_NUMBER) return false;
    point = compshare__bytes_find(v.ptr, v.len, '.');
    for (zeros = point + 1; zeros < v.len && v.ptr[zeros] == '0'; zeros++) {}
    if (zeros == v.len && zeros > point + 1) v.len = point;
    if (!compshare__bytes_int(v, out) || *out > COMPSHARE__LATEST_TIME) return false;
    if (*out < 0) *out = 0;
    return true;
}

/* What an instance is read from. compshare__read_schedule reads the last two rows once more. */
static const compshare_field compshare__read_instance_fields[] = {
#define COMPSHARE__ROW(member, name, kind, need) \
    COMPSHARE_FIELD(compshare_instance, member, name, NULL, kind, need)
    COMPSHARE__ROW(uhost_id, "UHostId", COMPSHARE_KIND_TEXT, COMPSHARE_REQUIRED),
    COMPSHARE__ROW(state, "State", COMPSHARE_KIND_TEXT, COMPSHARE_OPTIONAL),
    COMPSHARE__ROW(charge_type, "ChargeType", COMPSHARE_KIND_TEXT, COMPSHARE_OPTIONAL),
    COMPSHARE__ROW(zone, "Zone", COMPSHARE_KIND_TEXT, COMPSHARE_OPTIONAL),
    COMPSHARE__ROW(name, "Name", COMPSHARE_KIND_SHOWN, COMPSHARE_LENIENT),
    COMPSHARE__ROW(region, "Region", COMPSHARE_KIND_SHOWN, COMPSHARE_LENIENT),
    COMPSHARE__ROW(gpu_type, "GpuType", COMPSHARE_KIND_SHOWN, COMPSHARE_LENIENT),
    COMPSHARE__ROW(gpu, "GPU", COMPSHARE_KIND_INT, COMPSHARE_LENIENT),
    COMPSHARE__ROW(create_time, "CreateTime", COMPSHARE_KIND_INT, COMPSHARE_LENIENT),
    COMPSHARE__ROW(expire_time, "ExpireTime", COMPSHARE_KIND_INT, COMPSHARE_LENIENT),
    COMPSHARE__ROW(stop_time, "SchedulerStopTime", COMPSHARE_KIND_INT, COMPSHARE_LENIENT),
    COMPSHARE__ROW(stop_time, "StopSchedulerTime", COMPSHARE_KIND_INT, COMPSHARE_LENIENT)
#undef COMPSHARE__ROW
};
#define COMPSHARE__READ_INSTANCE_FIELDS 12   /* rows of the table */
#define COMPSHARE__READ_STOP_TIMES 10        /* the row of the first stop time */

/* When it will be stopped, into *out: SchedulerStopTime, else StopSchedulerTime, as documents
   differ; never StopTime, which is when it was stopped last. The official client reads the first
   only: where that is given, text in the second that is no time decides nothing. A time that is
   over by the server's clock (now; 0: not known), or before this file existed, is none. NULL, or
   the field that cannot be read, and in `raw` what stands there. */
static const char *compshare__read_schedule(const compshare__tokens *tree,
    const compshare__read_places *p, int64_t now, int64_t *out, char raw[32])
{
    bool given = false;
    size_t k;
    *out = 0;
    for (k = COMPSHARE__READ_STOP_TIMES; k < COMPSHARE__READ_INSTANCE_FIELDS && *out == 0; k++) {
        if (!compshare__read_time(tree, p->row[k].at, p->row[k].twice, out, raw)
            && (!given || *out != 0)) return compshare__read_instance_fields[k].name;
        given = p->row[k].at != 0;
    }
    if (*out <= now || *out < COMPSHARE__EARLIEST_TIME) *out = 0;
    return NULL;
}

/* Reads an instance out of the object at the root of the tree. now: the server's clock; 0: not
   known. NULL, or the field that cannot be read, and, if that is the stop time, in `raw` what
   stands there. Law 8: only what is decided by can make a reading fail; the rest is then 0 or
   "". */
static const char *compshare__read_instance(const compshare__tokens *tree, int64_t now,
    compshare_instance *i, char raw[32])
{
    const compshare_field *fields = compshare__read_instance_fields;
    compshare__read_places places;
    memset(i, 0, sizeof *i);
    raw[0] = '\0';
    if (compshare__tokens_type(tree, 0) != COMPSHARE_OBJECT) return "an element";
    (void)compshare__read_object(tree, 0, fields, COMPSHARE__READ_INSTANCE_FIELDS, &places, i);
    if (places.status != COMPSHARE_OK) return fields[places.bad].name;
    if (i->uhost_id[0] == '\0') return "UHostId";
    if (i->gpu < 0) i->gpu = 0;
    if (i->create_time < 0) i->create_time = 0;
    if (i->expire_time < 0) i->expire_time = 0;
    if (!compshare__bytes_all(i->region, strlen(i->region), COMPSHARE__BYTES_IDENTIFIER))
        i->region[0] = '\0';
    if (i->region[0] == '\0') compshare__config_zone_region(i->zone, i->region, sizeof i->region);
    return compshare__read_schedule(tree, &places, now, &i->stop_time, raw);
}

/* The same for a project: NULL, or the field that cannot be read. */
static const char *compshare__read_project(const compshare__tokens *tree, compshare_project *p)
{
    static const compshare_field fields[] = {
        COMPSHARE_FIELD(compshare_project, project_id, "ProjectId", NULL, COMPSHARE_KIND_TEXT,
            COMPSHARE_REQUIRED),
        COMPSHARE_FIELD(compshare_project, project_name, "ProjectName", NULL, COMPSHARE_KIND_SHOWN,
            COMPSHARE_LENIENT),
        COMPSHARE_FIELD(compshare_project, is_default, "IsDefault", NULL, COMPSHARE_KIND_BOOL,
            COMPSHARE_LENIENT)
    };
    compshare__read_places places;
    (void)compshare__read_object(tree, 0, fields, 3, &places, p);
    return p->project_id[0] == '\0' ? "ProjectId" : NULL;
}

/* ---- values, as programs see them ---- */

/* Those that take a value answer for one that is none, or stale, as if it was missing. */

/* The tree that a value points into; NULL if it is none, or stale: its client has read something
   else since (generation). */
static const compshare__tokens *compshare__read_tree(compshare_value v)
{
    if (v.client == NULL || v.generation != v.client->reply.generation
        || v.token >= v.client->reply.tree.count) return NULL;
    return &v.client->reply.tree;
}

COMPSHARE__DEF compshare_value compshare_reply(const compshare *client)
{
    return compshare__client_value(client, client != NULL && client->reply.tree.count > 0 ? 0
        : COMPSHARE__TOKENS_NONE);
}

COMPSHARE__DEF compshare_view compshare_body(const compshare *client)
{
    compshare_view v;
    v.ptr = client != NULL ? client->reply.area : "";
    v.len = client != NULL ? client->reply.body.len : 0;
    return v;
}

COMPSHARE__DEF int compshare_type(compshare_value value)
{
    const compshare__tokens *tree = compshare__read_tree(value);
    return tree != NULL ? compshare__tokens_type(tree, value.token) : COMPSHARE_NONE;
}

COMPSHARE__DEF compshare_value compshare_get(compshare_value object, const char *key)
{
    const compshare__tokens *tree = compshare__read_tree(object);
    uint32_t at = COMPSHARE__TOKENS_NONE;
    if (tree != NULL && key != NULL && compshare__tokens_find(tree, object.token, key, &at) != 1)
        at = COMPSHARE__TOKENS_NONE;
    return compshare__client_value(object.client, at);
}

COMPSHARE__DEF compshare_value compshare_first(compshare_value container)
{
    const compshare__tokens *tree = compshare__read_tree(container);
    return compshare__client_value(container.client, tree != NULL
        ? compshare__tokens_first(tree, container.token) : COMPSHARE__TOKENS_NONE);
}

COMPSHARE__DEF compshare_value compshare_next(compshare_value element)
{
    const compshare__tokens *tree = compshare__read_tree(element);
    return compshare__client_value(element.client, tree != NULL
        ? compshare__tokens_next(tree, element.token) : COMPSHARE__TOKENS_NONE);
}

COMPSHARE__DEF size_t compshare_count(compshare_value container)
{
    const compshare__tokens *tree = compshare__read_tree(container);
    int type = compshare_type(container);
    return type == COMPSHARE_ARRAY || type == COMPSHARE_OBJECT
        ? (size_t)tree->token[container.token].size : 0;
}

COMPSHARE__DEF bool compshare_as_int(compshare_value value, int64_t *out)
{
    const compshare__tokens *tree = compshare__read_tree(value);
    return tree != NULL && compshare__tokens_int(tree, value.token, out);
}

COMPSHARE__DEF bool compshare_as_bool(compshare_value value, bool *out)
{
    const compshare__tokens *tree = compshare__read_tree(value);
    return tree != NULL && compshare__read_bool(tree, value.token, false, out);
}

COMPSHARE__DEF compshare_view compshare_number_text(compshare_value value)
{
    const compshare__tokens *tree = compshare__read_tree(value);
    int type = compshare_type(value);
    compshare_view v = { "", 0 };
    return type == COMPSHARE_NUMBER || type == COMPSHARE_STRING
        ? compshare__tokens_raw(tree, value.token) : v;
}

/* Unescapes a string for compshare_copy_text and compshare_copy_key; tree NULL: there is none.
   Its length, or COMPSHARE_E_TYPE, COMPSHARE_E_TOO_LARGE; buf is then "". */
static ptrdiff_t compshare__read_copy(const compshare__tokens *tree, uint32_t at, char *buf,
    size_t cap)
{
    size_t len;
    if (cap > 0) buf[0] = '\0';
    if (tree == NULL || at == COMPSHARE__TOKENS_NONE
        || compshare__tokens_type(tree, at) != COMPSHARE_STRING) return COMPSHARE_E_TYPE;
    len = compshare__json_copy(compshare__tokens_raw(tree, at), buf, cap, false);
    if (len < cap) return (ptrdiff_t)len;
    if (cap > 0) buf[0] = '\0';
    return COMPSHARE_E_TOO_LARGE;
}

COMPSHARE__DEF ptrdiff_t compshare_copy_text(compshare_value value, char *buf, size_t cap)
{
    return compshare__read_copy(compshare__read_tree(value), value.token, buf, cap);
}

COMPSHARE__DEF ptrdiff_t compshare_copy_key(compshare_value member, char *buf, size_t cap)
{
    const compshare__tokens *tree = compshare__read_tree(member);
    return compshare__read_copy(tree, tree != NULL ? compshare__tokens_key(tree, member.token)
        : COMPSHARE__TOKENS_NONE, buf, cap);
}

/* Whether a table of the program can be right, so that no row writes anything but its member: as
   far as that can be told, for the sizes of integers and booleans. */
static bool compshare__read_sound(const compshare_field *fields, size_t count)
{
    static const unsigned char sizes[] = { 0, 0, sizeof(int64_t), 0, sizeof(bool) };    /* 0: any */
    size_t i;
    if (fields == NULL || count > COMPSHARE_MAX_FIELDS) return false;
    for (i = 0; i < count; i++) {
        const compshare_field *f = &fields[i];
        if (f->name == NULL || f->size == 0 || (unsigned)f->kind >= sizeof sizes) return false;
        if (sizes[f->kind] != 0 && sizes[f->kind] != f->size) return false;
    }
    return true;
}

/* What is wrong with the value of the first bad row, which is of this kind: the end of a
   sentence that begins with the field's name. */
static const char *compshare__read_why(const compshare__read_places *p, int kind)
{
    static const char *const types[] = {
        "is not a string", "is not a string", "is not an integer", "is not a number",
        "is neither true nor false"
    };
    if (p->row[p->bad].twice) return "is there more than once";
    if (p->row[p->bad].at == 0) return "is missing";
    return p->status == COMPSHARE_E_TYPE ? types[kind]
        : "does not fit, or holds control characters";
}

/* Notes why an object was not read, unless its call has failed for a reason of its own, which
   matters more. c NULL: nobody to tell. Returns the status. */
static int compshare__read_fail(compshare *c, int status, const char *what, const char *why)
{
    if (c == NULL || (c->error.status != COMPSHARE_OK && !c->read_noted)) return status;
    (void)compshare__client_fail(&c->error, status, "%s %s", what, why);
    c->error.stage = COMPSHARE_STAGE_JUDGE;
    c->read_noted = true;
    return status;
}

/* The members are set before anything is refused but a wrong table: after every other failure
   they are zero, or what could be read. */
COMPSHARE__DEF int compshare_read(compshare_value object, const compshare_field *fields,
    size_t count, void *out)
{
    const compshare__tokens *tree = compshare__read_tree(object);
    /* the program has the client itself; its error is written, as by every call */
    compshare *c = (compshare *)(uintptr_t)object.client;
    compshare__read_places places;
    if (out == NULL || !compshare__read_sound(fields, count)) return COMPSHARE_E_PARAM;
    (void)compshare__read_object(tree, object.token, fields, count, &places, out);
    if (compshare_type(object) != COMPSHARE_OBJECT)
        return compshare__read_fail(c, COMPSHARE_E_TYPE, "what is to be read", "is not an object");
    if (places.status == COMPSHARE_OK) {
        if (c->read_noted) compshare__client_clear(&c->error);
        c->read_noted = false;
        return COMPSHARE_OK;
    }
    return compshare__read_fail(c, places.status, fields[places.bad].name,
        compshare__read_why(&places, fields[places.bad].kind));
}

/* ==== list ===================================================================================
   Pages of a list that changes while it is read: what is new in a page, which page is next,
   and when the list is over. Pure: touches one compshare__list. Must never pass over an element
   that is there all the time; it may hand one out twice.

   A page is asked for by Offset and Limit, and what is deleted in front of it moves all that is
   behind: with pages of four, after "a b c d" and the deletion of b, Offset 4 would miss e:

       page 1, Offset 0    a b c d | e f g h
                           a c d e | f g h           b is deleted; Offset 4 begins with f

   So a page overlaps the one before by its last element at least, and elements are known by
   marks, which are hashes of their ids. The last four marks handed out are kept. What stands in
   a page before the first of them was handed out before (`searching`), what follows is new:

       page 2, Offset 3    d e f g                   nothing has changed: d is a mark, e is new
       page 2, Offset 3    e f g h                   b is deleted: no mark, so e might not be
                                                     the next one: back by a page
               Offset 0    a c d e                   a, c and d are marks, e is new; later pages
                                                     overlap by a quarter of a page
       page 2, Offset 3    c d e f                   x was created in front: c and d are marks

   Where no mark is left at Offset 0 either, all of them are deleted, and the list is handed out
   from its beginning: a restart. Four marks, because with a single one each deletion of just
   that element is a restart, and hands out again all that was handed out. */

#define COMPSHARE__LIST_PAGE 100     /* elements of a page: the API's most */

/* What is to be done after a page. */
enum {
    COMPSHARE__LIST_MORE,       /* ask for the page at `offset` */
    COMPSHARE__LIST_OVER,       /* all of it has been handed out */
    COMPSHARE__LIST_EMPTY,      /* its first page has no element */
    COMPSHARE__LIST_STUCK,      /* whole pages come again, whatever the Offset is */
    COMPSHARE__LIST_RESTLESS    /* it was restarted too often */
};

/* Before the page at `offset` is asked for. In the first page, and in one that is handed out
   anew, there is no mark to look for. */
static void compshare__list_begin(compshare__list *l)
{
    l->seen = 0;
    l->fresh = false;
    l->searching = l->mark[0] != 0 && !l->anew;
    l->anew = false;
}

/* Takes the next element of the page, whose id becomes the newest mark if it is new. Whether it
   is to be handed out: not while a mark is searched, and not if it is one. */
static bool compshare__list_take(compshare__list *l, const char *id)
{
    uint64_t mark = compshare__bytes_mark(id);
    size_t i;
    l->seen++;
    for (i = 0; i < COMPSHARE__MARKS; i++)
        if (l->mark[i] == mark) {
            l->searching = false;
            return false;
        }
    if (l->searching) return false;
    l->fresh = true;
    memmove(l->mark + 1, l->mark, sizeof l->mark - sizeof l->mark[0]);
    l->mark[0] = mark;
    return true;
}

/* No mark is in the page: elements before it have gone. Steps back until one is found, and
   lets later pages overlap by more; where none is left, the list is handed out anew. */
static int compshare__list_back(compshare__list *l)
{
    if (l->offset == 0) {
        if (l->restarts++ == COMPSHARE__RESTARTS) return COMPSHARE__LIST_RESTLESS;
        l->anew = true;
    }
    l->offset = l->offset > COMPSHARE__LIST_PAGE ? l->offset - COMPSHARE__LIST_PAGE : 0;
    l->overlap = COMPSHARE__LIST_PAGE / 4;
    return COMPSHARE__LIST_MORE;
}

/* The page has been found to follow: whether another one is needed, which is so until one brings
   nothing new. total: what the reply counts; 0: nothing. That may count too few, or what is not
   shown: it decides only where the list itself cannot, which is a page that comes again. Returns
   COMPSHARE__LIST_*. */
static int compshare__list_next(compshare__list *l, int64_t total)
{
    int64_t step = l->seen - l->overlap - 1;
    if (!l->fresh) {
        /* nothing new on a whole page: as much appeared before it, or Offset is not kept to */
        if (l->seen < l->most || total == l->seen || (l->end > 0 && l->offset + l->seen >= l->end))
            return COMPSHARE__LIST_OVER;
        if (l->restarts++ == COMPSHARE__RESTARTS) return COMPSHARE__LIST_STUCK;
    }
    if (l->seen > l->most) l->most = l->seen;
    if (l->seen == 1 && total <= 1) return COMPSHARE__LIST_OVER;
    l->offset += step > 0 ? step : 1;
    return COMPSHARE__LIST_MORE;
}

/* The page is complete: what is to be done next, COMPSHARE__LIST_*. total: see list_next. */
static int compshare__list_end(compshare__list *l, int64_t total)
{
    if (l->seen == 0 && l->offset == 0) return COMPSHARE__LIST_EMPTY;
    l->empty = 0;
    if (l->fresh) l->end = 0;
    else if (l->seen == 0) l->end = l->offset;
    return l->searching ? compshare__list_back(l) : compshare__list_next(l, total);
}

/* ==== recent =================================================================================
   The timed shutdowns that this client has changed, and that readings may not show yet: the API
   may be late to show a change that it has accepted. Touches what the client knows of its account.
   Must never take for old what somebody else may have set.

       within COMPSHARE__LAG_MS of a change from `before` to `after`, a reading shows
       `after`             it is believed, and notes that `after` was shown
       `before`            it is doubted: late, or somebody has set it back
       anything else       it is believed: somebody else has changed it; but where `before` is not
                           known (-1) it is doubted */

/* Whether two stop times are the same for law 7: within COMPSHARE__ROUNDING_S, because a gateway
   may round to the minute. 0, no plan, is near to 0 only. */
static bool compshare__recent_near(int64_t a, int64_t b)
{
    return a == b || (a != 0 && b != 0 && a - b <= COMPSHARE__ROUNDING_S
        && b - a <= COMPSHARE__ROUNDING_S);
}

/* What is kept of an instance for a task that began (on the monotonic clock) while readings may
   lag behind its last change; NULL: nothing. */
static compshare__recent *compshare__recent_of(compshare__account *a, uint64_t began,
    const char *uhost_id)
{
    uint64_t mark = compshare__bytes_mark(uhost_id);
    size_t i;
    for (i = 0; i < COMPSHARE__RECENT; i++)
        if (a->recent[i].mark == mark && began < a->recent[i].at + COMPSHARE__LAG_MS)
            return &a->recent[i];
    return NULL;
}

/* Keeps that a timed shutdown was changed with success. before: what was shown until then; -1:
   not known. after: what must be shown; 0: none. Where an earlier change is still kept, readings
   show what was before the new one: its `after`, if that has been shown, else nobody knows; the
   same change sent again keeps what was before the first. Takes the place of the oldest where
   all are in use. */
static void compshare__recent_note(compshare *c, const char *uhost_id, int64_t before,
    int64_t after)
{
    compshare__recent *all = c->account.recent;
    compshare__recent *r = compshare__recent_of(&c->account, c->task.began, uhost_id);
    size_t i;
    if (r == NULL) {
        r = all;
        for (i = 1; i < COMPSHARE__RECENT; i++)
            if (all[i].at < r->at) r = &all[i];     /* the oldest, or a free one */
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

/* Forgets a change, so that readings are believed again. r may be NULL. */
static void compshare__recent_forget(compshare__recent *r)
{
    if (r != NULL) memset(r, 0, sizeof *r);
}

/* Whether a stop time that a reading shows is to be doubted: the table of the banner. r NULL:
   there was no change. Not once the time of the change has come by the server's clock: then
   there is nothing more to be shown. */
static bool compshare__recent_doubts(compshare__recent *r, int64_t shown, int64_t server_time)
{
    if (r == NULL || (r->after != 0 && r->after <= server_time)) return false;
    if (compshare__recent_near(shown, r->after)) {
        r->shown = true;
        return false;
    }
    return r->before < 0 || r->before == shown;
}

/* ==== call ===================================================================================
   The generic call: one exchange, as the program describes it. Touches the task. Must never
   change what the program gave. */

/* Fills in the action of a request, and what its row of the table says of repeating it. NULL is
   refused later. Region, Zone and ProjectId of the configuration go with every action but those
   of the group "account", which do not take them. */
static void compshare__call_request(compshare__request *r, const char *action)
{
    compshare_action info = compshare__actions_find(action != NULL ? action : "");
    r->action = action;
    r->defaults = info.group[0] != 'a';
    r->csv = info.csv;
    r->always = r->repeatable = info.retry == COMPSHARE_RETRY_ALWAYS;
    r->reads = r->always && !info.mutating;
}

/* A step's `begin`: the request that the program has described. */
static int compshare__call_begin(compshare *c)
{
    c->exchange.request = c->task.as.call;
    return COMPSHARE_OK;
}

/* A step's `end`: where a program has changed a timed shutdown by the generic call, that is kept
   as well (see `recent`). Of a time that it gave as text nothing is known: what was kept is
   forgotten. */
static int compshare__call_end(compshare *c, int status)
{
    bool update = compshare__bytes_equal(c->error.action, COMPSHARE__ACTIONS_UPDATE);
    const compshare_param *time;
    const char *id;
    if (status != COMPSHARE_OK) return status;
    if (!update && !compshare__bytes_equal(c->error.action,
        COMPSHARE__ACTIONS_DELETE)) return status;
    id = compshare__params_text(&c->exchange.params, "UHostId");
    time = compshare__params_find(&c->exchange.params, "SchedulerStopTime");
    if (id == NULL) return status;
    if (update && (time == NULL || time->text != NULL))
        compshare__recent_forget(compshare__recent_of(&c->account, c->task.began, id));
    else compshare__recent_note(c, id, -1, update ? time->number : 0);
    return status;
}

static const compshare__step compshare__call_steps[] = {
    { compshare__call_begin, compshare__call_end }
};

/* The action and the parameters are checked when the step begins: compshare__exchange_collect.
   array NULL: the reply is kept whole. */
COMPSHARE__DEF int compshare_call_each_start(compshare *client, const char *action,
    const compshare_param *params, size_t count, const char *array, compshare_each_fn each,
    void *user)
{
    int r = compshare__task_claim(client);
    compshare__request *call;
    if (r != COMPSHARE_OK) return r;
    call = &client->task.as.call;
    compshare__call_request(call, action);
    call->params = params;
    call->count = count;
    call->array = array;
    call->each = each;
    call->user = user;
    return compshare__task_start(client, compshare__call_steps);
}

/* A generic call is a streamed one without an array. */
COMPSHARE__DEF int compshare_call_start(compshare *client, const char *action,
    const compshare_param *params, size_t count)
{
    return compshare_call_each_start(client, action, params, count, NULL, NULL, NULL);
}

COMPSHARE__DEF int compshare_call_each(compshare *client, const char *action,
    const compshare_param *params, size_t count, const char *array, compshare_each_fn each,
    void *user)
{
    return compshare__task_run(client, compshare_call_each_start(client, action, params, count,
        array, each, user));
}

COMPSHARE__DEF int compshare_call(compshare *client, const char *action,
    const compshare_param *params, size_t count)
{
    return compshare_call_each(client, action, params, count, NULL, NULL, NULL);
}

/* ==== typed ==================================================================================
   What the library's own typed calls have in common: who is meant, the parameters that say
   so, and elements that cannot be read. Touches the task, the request and the error. Must never
   send Region and Zone that do not belong together. */

/* Begins the request of a typed call, which has no parameter yet: it names its own Region, Zone
   and ProjectId, because each action needs others. */
static void compshare__typed_request(compshare *c, const char *action)
{
    compshare__request *r = &c->exchange.request;
    compshare__call_request(r, action);
    r->defaults = false;
    r->params = c->task.params;
    c->task.malformed = NULL;
}

/* The same for a list: each element of `array` goes to `each`, whose user is the client. */
static void compshare__typed_stream(compshare *c, const char *action, const char *array,
    compshare_each_fn each)
{
    compshare__typed_request(c, action);
    c->exchange.request.array = array;
    c->exchange.request.each = each;
    c->exchange.request.user = c;
}

/* Adds a parameter: a text, or where that is NULL a number. One too many is not written, and
   makes the call fail: the count says so. */
static void compshare__typed_put(compshare *c, const char *key, const char *text, int64_t number)
{
    compshare__request *r = &c->exchange.request;
    compshare_param *p = c->task.params;
    if (r->count >= COMPSHARE__TYPED_PARAMS) {
        /* compshare__params_collect refuses that many */
        r->count = COMPSHARE_MAX_PARAMS + 1;
        return;
    }
    p += r->count++;
    p->key = key;
    p->text = text;
    p->number = number;
    p->kind = text != NULL ? COMPSHARE__PARAMS_TEXT : COMPSHARE__PARAMS_INT;
}

/* Adds an identifier; NULL or "" is none. COMPSHARE_E_PARAM where it is required. value is
   borrowed until the exchange is over. */
static int compshare__typed_id(compshare *c, const char *key, const char *value, bool required)
{
    if (value != NULL && value[0] != '\0')
        compshare__typed_put(c, key, value, 0);
    else if (required)
        return compshare__client_fail(&c->error, COMPSHARE_E_PARAM,
            "%s: it is needed, and neither the target nor the configuration has it", key);
    return COMPSHARE_OK;
}

/* Copies what the target or the configuration names into *ids: the caller's strings need not
   outlive the start. NULL, or the name of what is too long. */
static const char *compshare__typed_ids(compshare__ids *ids, const compshare_target *target,
    const compshare_config *f)
{
    const char *const from[] = {
        target->uhost_id, compshare__bytes_first(target->project_id, f->project_id),
        compshare__bytes_first(target->region, f->region), target->region, target->zone
    };
    static const struct {
        const char *name;
        size_t offset, cap;
    } to[] = {
#define COMPSHARE__ID(name, member) \
    { name, offsetof(compshare__ids, member), sizeof(((compshare__ids *)0)->member) }
        COMPSHARE__ID("uhost_id", uhost_id), COMPSHARE__ID("project_id", project_id),
        COMPSHARE__ID("region", look_region), COMPSHARE__ID("region", region),
        COMPSHARE__ID("zone", zone)
#undef COMPSHARE__ID
    };
    size_t i;
    for (i = 0; i < sizeof to / sizeof to[0]; i++) {
        const char *id = from[i] != NULL ? from[i] : "";
        size_t size = strlen(id) + 1;
        if (size > to[i].cap) return to[i].name;
        memcpy((char *)ids + to[i].offset, id, size);
    }
    return NULL;
}

/* Takes the client for a typed call of this kind, about this target (NULL: none is needed).
   COMPSHARE_OK, or a refusal after which the client is idle. Where nobody names a project, it is
   the one that an instance was found in last; where none is remembered, and something is to be
   changed, the projects are listed first. */
static int compshare__typed_claim(compshare *c, int kind, const compshare_target *target)
{
    static const compshare_target none = { NULL, NULL, NULL, NULL };
    const char *field;
    compshare__search *find;
    int r = compshare__task_claim(c);
    if (r != COMPSHARE_OK) return r;
    find = &c->task.find;
    c->task.kind = kind;
    field = compshare__typed_ids(&find->ids, target != NULL ? target : &none, &c->config);
    find->project_given = find->ids.project_id[0] != '\0';
    if (!find->project_given)
        memcpy(find->ids.project_id, c->account.project, sizeof c->account.project);
    find->list_projects = kind >= COMPSHARE__TASK_POWER && find->ids.project_id[0] == '\0';
    if (field == NULL) return r;
    memset(&c->error, 0, sizeof c->error);
    return compshare__task_end(c, compshare__client_fail(&c->error, COMPSHARE_E_PARAM,
        "%s is longer than any of its kind: 63 bytes of an id, 31 of a region or zone", field));
}

/* The same for what changes, or shows, one instance: it must be named. */
static int compshare__typed_claim_one(compshare *c, int kind, const compshare_target *target)
{
    int r = compshare__typed_claim(c, kind, target);
    if (r != COMPSHARE_OK || c->task.find.ids.uhost_id[0] != '\0') return r;
    return compshare__task_refuse(c, COMPSHARE_E_PARAM, "uhost_id is empty");
}

/* Adds UHostId, Region, Zone and ProjectId of an action that changes one instance.
   COMPSHARE_E_PARAM: one is missing that it needs. A workflow goes on without a project, for the
   account may not be allowed to list them; a single change needs one. */
static int compshare__typed_target(compshare *c, bool zone_required)
{
    compshare__ids *ids = &c->task.find.ids;
    const char *region = compshare__bytes_first(ids->region, NULL);
    const char *zone = compshare__bytes_first(ids->zone, NULL);
    char derived[sizeof ids->region];
    int r;
    compshare__config_place(&c->config, &region, &zone, derived);
    if (region == derived) {
        memcpy(ids->region, derived, sizeof ids->region);
        region = ids->region;
    }
    r = compshare__typed_id(c, "UHostId", ids->uhost_id, true);
    if (r == COMPSHARE_OK) r = compshare__typed_id(c, "Region", region, true);
    if (r == COMPSHARE_OK) r = compshare__typed_id(c, "Zone", zone, zone_required);
    if (r == COMPSHARE_OK) r = compshare__typed_id(c, "ProjectId", ids->project_id,
        c->task.kind < COMPSHARE__TASK_WAIT);
    return r;
}

/* An element cannot be read: its callback returns this, which ends the exchange with
   COMPSHARE_E_STOPPED; compshare__typed_status makes COMPSHARE_E_REPLY of that. */
static int compshare__typed_malformed(compshare__task *t, const char *field)
{
    t->malformed = field;
    return 1;
}

/* The status of a streamed reading. Where it was stopped because an element could not be read,
   the failure names the field, and the status is COMPSHARE_E_REPLY; a callback of the program
   that stopped it leaves COMPSHARE_E_STOPPED. */
static int compshare__typed_status(compshare *c, int status)
{
    if (status != COMPSHARE_E_STOPPED || c->task.malformed == NULL) return status;
    (void)compshare__client_fail(&c->error, COMPSHARE_E_REPLY,
        "%s: %s cannot be read, or is there more than once", c->exchange.request.array,
        c->task.malformed);
    if (c->task.raw[0] != '\0')
        (void)compshare__client_fail_append(&c->error, ": it is %s, and Unix seconds are needed",
            c->task.raw);
    return COMPSHARE_E_REPLY;
}

/* ==== find ===================================================================================
   Projects and instances: the list of projects, one instance in whichever project it is, all
   instances. Touches the task, the request, the error, the caller's results, and the project that
   the client remembers. Must never take the first entry of a list for the one that was asked for,
   nor leave a result half filled.

   An instance is looked for in one project at a time, as a request can name one ProjectId:

       a project is given, by the target or the configuration     there alone
       one is remembered: an instance was found there last        there first
       none, and something is to be changed                       in the default one of the list
       none, and it is only read                                  without ProjectId

   Where it is not there, and none is given, the steps `project` and `find` take turns (BACK, NEXT):
   search.other counts up, and the n-th project of the list is chosen, until the list has no n-th:
   COMPSHARE_E_NOT_FOUND. A list that the account may not see (RetCodes 299, 240) ends this at
   once.

   Region, which is optional there, goes with readings only where it is given or configured, or
   where the API has asked for it (find_fix), so that it cannot hide an instance of another one. */

/* ---- GetProjectList ---- */

/* Called for each project of the list: the one that is wanted, else, where none is configured,
   the first, is chosen. Which one is wanted: see compshare__projects. */
static int compshare__find_projects_element(void *user, compshare_value element)
{
    compshare *c = (compshare *)user;
    compshare__task *t = &c->task;
    compshare__projects *list = &t->find.read.projects;
    compshare_project p;
    const char *reason = compshare__read_project(&c->reply.tree, &p);
    const char *configured = c->config.project_id;
    size_t number = list->seen++;
    bool wanted;
    (void)element;
    if (reason != NULL) return compshare__typed_malformed(t, reason);
    if (t->find.other > 0) wanted = number + 1 == t->find.other;
    else wanted = configured != NULL ? compshare__bytes_equal(p.project_id, configured)
        : p.is_default;
    if (wanted) list->wanted++;
    if (number > 0) compshare__bytes_put(&list->names, ", ");
    compshare__bytes_put(&list->names, p.project_id);
    if (wanted || (number == 0 && configured == NULL)) list->chosen = p;
    if (t->kind != COMPSHARE__TASK_PROJECTS || t->as.projects.each == NULL) return 0;
    return t->as.projects.each(t->as.projects.user, &p);
}

/* A step's `begin`: asks for the list of projects. */
static int compshare__find_projects_begin(compshare *c)
{
    compshare__projects *list = &c->task.find.read.projects;
    compshare__typed_stream(c, "GetProjectList", "ProjectSet", compshare__find_projects_element);
    memset(list, 0, sizeof *list);
    list->names = compshare__bytes_into(list->name_list, sizeof list->name_list);
    return COMPSHARE_OK;
}

/* The end of the list: exactly one project must be wanted, or be the only one. Else
   COMPSHARE_E_PROJECT, with their ids, so that the reader can configure one. */
static int compshare__find_projects_end(compshare *c, int status)
{
    const compshare__projects *list = &c->task.find.read.projects;
    bool configured = c->config.project_id != NULL;
    /* an account with a single project has no other to mean */
    bool only = list->wanted == 0 && list->seen == 1 && !configured && c->task.find.other == 0;
    status = compshare__typed_status(c, status);
    if (status != COMPSHARE_OK || list->wanted == 1 || only) return status;
    return compshare__client_fail(&c->error, COMPSHARE_E_PROJECT, "%s%s", list->seen == 0
        ? "the account has no project"
        : configured ? "project_id is not among the account's projects: "
        : list->wanted > 1 ? "several projects are the default; set project_id: "
        : "no project is the default; set project_id: ", list->name_list);
}

/* A step's `end`, where the caller asked for the list itself: whoever does not want one chosen
   gets no COMPSHARE_E_PROJECT. */
static int compshare__find_projects_told(compshare *c, int status)
{
    compshare_project *chosen = c->task.as.projects.chosen;
    status = compshare__find_projects_end(c, status);
    if (chosen == NULL) return status == COMPSHARE_E_PROJECT ? COMPSHARE_OK : status;
    if (status == COMPSHARE_OK) *chosen = c->task.find.read.projects.chosen;
    return status;
}

static const compshare__step compshare__find_projects_steps[] = {
    { compshare__find_projects_begin, compshare__find_projects_told }
};

/* ---- DescribeCompShareInstance ---- */

/* Begins a request for instances: Region and ProjectId, where they are known, and what takes its
   elements. */
static void compshare__find_request(compshare *c, compshare_each_fn each)
{
    const compshare__ids *ids = &c->task.find.ids;
    compshare__typed_stream(c, COMPSHARE__ACTIONS_DESCRIBE, "UHostSet", each);
    (void)compshare__typed_id(c, "Region", ids->look_region, false);
    (void)compshare__typed_id(c, "ProjectId", ids->project_id, false);
}

/* Called for each instance of the reply: takes the one that is meant, and no other. It may be
   there twice if both are the same. That its stop time cannot be read matters only to those that
   report it. A text that repeats the signed request is not taken: it would go to the program
   (law 4). */
static int compshare__find_element(void *user, compshare_value element)
{
    compshare *c = (compshare *)user;
    compshare__task *t = &c->task;
    compshare__search *find = &t->find;
    compshare_instance instance;
    bool tells_time = t->kind != COMPSHARE__TASK_WAIT && t->kind != COMPSHARE__TASK_POWER;
    const char *reason = compshare__read_instance(&c->reply.tree,
        compshare__client_server_time(&c->clock), &instance, t->raw);
    (void)element;
    if (instance.uhost_id[0] != '\0'
        && !compshare__bytes_equal(instance.uhost_id, find->ids.uhost_id))
        return 0;               /* whatever else stands in it */
    if (compshare__judge_is_echo(&c->exchange.params, compshare__tokens_raw(&c->reply.tree, 0)))
        reason = "a repetition of the request";
    if (reason != NULL && (t->raw[0] == '\0' || tells_time))
        return compshare__typed_malformed(t, reason);
    if (find->found > 0 && memcmp(&find->read.instance, &instance, sizeof instance) == 0) return 0;
    if (find->found++ > 0) return compshare__typed_malformed(t, "the instance");
    find->read.instance = instance;
    return 0;
}

/* Describes a request for the task's instance. Its elements are not handed to the program, so
   that it may be sent again. */
static int compshare__find_describe(compshare *c)
{
    compshare__find_request(c, compshare__find_element);
    c->exchange.request.inner = true;
    c->task.find.found = 0;
    return compshare__typed_id(c, "UHostIds.0", c->task.find.ids.uhost_id, true);
}

/* Records COMPSHARE_E_NOT_FOUND, which it returns. */
static int compshare__find_missing(compshare *c)
{
    compshare__client_name(&c->error, COMPSHARE__ACTIONS_DESCRIBE);
    return compshare__client_fail(&c->error, COMPSHARE_E_NOT_FOUND,
        "no instance %s in this account, region and project", c->task.find.ids.uhost_id);
}

/* The end of a reading of the instance. COMPSHARE_OK: find.read.instance is what a whole reply
   has shown. COMPSHARE_E_NOT_FOUND: an empty list, or RetCode 8039 or 8351, which say the same.
   Else it has failed, and `spoiled` tells whether read.instance was overwritten by then. */
static int compshare__find_described(compshare *c, int status)
{
    compshare__search *find = &c->task.find;
    int code = c->error.ret_code;
    status = compshare__typed_status(c, status);
    /* an element of this reply is in read.instance: good only if it is the one, in a whole reply */
    if (find->found > 0) find->spoiled = status != COMPSHARE_OK;
    if (status == COMPSHARE_OK && find->found > 0) return status;
    if (status == COMPSHARE_OK || (status == COMPSHARE_E_API && (code == 8039 || code == 8351)))
        return compshare__find_missing(c);
    return status;
}

/* ---- in which project, and with or without a Region ---- */

/* Whether the API's Message names one of some words, each with its NUL: "one\0two\0". */
static bool compshare__find_names(const compshare_error *e, const char *words)
{
    compshare_view message;
    size_t len;
    message.ptr = e->message;
    message.len = strlen(message.ptr);
    for (; (len = strlen(words)) > 0; words += len + 1)
        if (compshare__bytes_hold(message, words, len)) return true;
    return false;
}

/* A reading was refused for want of Region or ProjectId (RetCode 210: a parameter is missing),
   or for a project that does not exist any more (292). COMPSHARE__AGAIN: a Region was derived
   from the zone, and is added. COMPSHARE__BACK: a project is asked for, once (`listed`). 0:
   nothing can be added, and the status stays. */
static int compshare__find_fix(compshare *c, int status)
{
    compshare__search *find = &c->task.find;
    compshare__ids *ids = &find->ids;
    int code = c->error.ret_code;
    bool region = compshare__find_names(&c->error, "Region\0");
    bool project = compshare__find_names(&c->error, "Project\0") || code == 292;
    if (status != COMPSHARE_E_API || (code != 210 && code != 292)) return 0;
    /* first a Region, which costs no further request, unless the message is about a project */
    if (ids->look_region[0] == '\0' && !project) {
        const char *zone = compshare__bytes_first(ids->zone, c->config.zone);
        if (zone != NULL)
            compshare__config_zone_region(zone, ids->look_region, sizeof ids->look_region);
        if (ids->look_region[0] != '\0') return COMPSHARE__AGAIN;
    }
    if (region || find->project_given || find->listed) return 0;
    find->listed = find->list_projects = true;
    c->account.project[0] = ids->project_id[0] = '\0';
    return COMPSHARE__BACK;
}

/* Whether a reading got no answer in its part of the time, and there is time for another one, on
   a new connection: COMPSHARE__READING_MS at least. Also where connecting took too long. */
static bool compshare__find_silent(const compshare *c, int status)
{
    return status == COMPSHARE_E_TIMEOUT
        && compshare__client_left(&c->clock, c->clock.deadline) >= COMPSHARE__READING_MS;
}

/* The first step of each task that looks for an instance: lists the projects where one has to be
   chosen; else COMPSHARE__NEXT skips it. */
static int compshare__find_project(compshare *c)
{
    if (!c->task.find.list_projects) return COMPSHARE__NEXT;
    c->exchange.request.leaves_half = true;
    return compshare__find_projects_begin(c);
}

/* A wait has looked in all projects, or could not list them: it goes on without one, and looks
   through them later where the list failed. */
static int compshare__find_everywhere(compshare__task *t, int status)
{
    t->find.other = 0;
    t->as.wait.missing = status == COMPSHARE_E_PROJECT || t->find.list_refused;
    t->find.listed = t->find.list_projects = false;
    t->find.ids.project_id[0] = '\0';
    return COMPSHARE__NEXT;
}

/* Its `end`. COMPSHARE__NEXT: a project is chosen; or the account may not list them (RetCodes
   299 and 240), and the task goes on without one; a wait does so after every failure.
   COMPSHARE__AGAIN: no answer yet. COMPSHARE_E_NOT_FOUND: all projects have been looked in. */
static int compshare__find_project_end(compshare *c, int status)
{
    compshare__task *t = &c->task;
    compshare__search *find = &t->find;
    int code = c->error.ret_code;
    status = compshare__find_projects_end(c, status);
    if (compshare__find_silent(c, status)) return COMPSHARE__AGAIN;
    find->list_refused = status == COMPSHARE_E_API && (code == 299 || code == 240);
    if (t->kind == COMPSHARE__TASK_WAIT && status != COMPSHARE_OK
        && (find->other > 0 || !find->list_refused)) return compshare__find_everywhere(t, status);
    if (find->other > 0 && (status == COMPSHARE_E_PROJECT || find->list_refused))
        return compshare__find_missing(c);
    if (status != COMPSHARE_OK && !find->list_refused) return status;
    /* list_refused: ProjectId stays as it is, maybe "" */
    if (status == COMPSHARE_OK)
        memcpy(find->ids.project_id, find->read.projects.chosen.project_id,
            sizeof find->ids.project_id);
    find->list_projects = false;
    return COMPSHARE__NEXT;
}

/* A step's `begin`: looks for the task's instance, before a change or after one. Where more has
   to follow, a reading may take half of the time left. */
static int compshare__find_begin(compshare *c)
{
    int kind = c->task.kind;
    c->exchange.request.leaves_half = kind == COMPSHARE__TASK_WAIT || kind >= COMPSHARE__TASK_POWER;
    return compshare__find_describe(c);
}

/* The instance is not where it was looked for. COMPSHARE__AGAIN, COMPSHARE__BACK: in the next
   project, before it is said; a workflow looks twice in the first place, a second later, for a
   list may be empty for a moment. COMPSHARE_E_NOT_FOUND: nowhere else to look. The remembered
   project is forgotten. */
static int compshare__find_elsewhere(compshare *c)
{
    compshare__search *find = &c->task.find;
    bool again = c->task.kind >= COMPSHARE__TASK_WAIT && find->other == 0
        && compshare__task_pause(c, COMPSHARE__DOUBT_MS);
    find->other++;
    c->account.project[0] = '\0';
    if (find->project_given || find->list_refused)
        return again ? COMPSHARE__AGAIN : COMPSHARE_E_NOT_FOUND;
    find->list_projects = true;
    return COMPSHARE__BACK;
}

/* The instance was read: later calls look in its project first, and a change of this one goes
   to its region and zone. */
static void compshare__find_keep(compshare__account *a, compshare__search *find)
{
    compshare__ids *ids = &find->ids;
    if (!find->project_given) memcpy(a->project, ids->project_id, sizeof a->project);
    memcpy(ids->region, find->read.instance.region, sizeof ids->region);
    memcpy(ids->zone, find->read.instance.zone, sizeof ids->zone);
}

/* The end of a step that looks for the instance. COMPSHARE_OK: found; COMPSHARE__AGAIN,
   COMPSHARE__BACK: it is looked for once more, or elsewhere; else a failure, which is that of
   the task: nothing has been changed by then. */
static int compshare__find_end(compshare *c, int status)
{
    compshare__task *t = &c->task;
    int r;
    status = compshare__find_described(c, status);
    if (status == COMPSHARE_OK) {
        compshare__find_keep(&c->account, &t->find);
        return status;
    }
    if ((r = compshare__find_fix(c, status)) != 0) return r;
    if (t->kind >= COMPSHARE__TASK_WAIT && compshare__find_silent(c, status))
        return COMPSHARE__AGAIN;
    if (status == COMPSHARE_E_NOT_FOUND) return compshare__find_elsewhere(c);
    if (status == COMPSHARE_E_API && t->find.list_refused)
        (void)compshare__client_fail_append(&c->error,
            ", and so was GetProjectList: set project_id");
    return status;
}

/* A step's `end` for a caller who wants no more than the instance. */
static int compshare__find_told(compshare *c, int status)
{
    status = compshare__find_end(c, status);
    if (status == COMPSHARE_OK) *c->task.as.describe = c->task.find.read.instance;
    return status;
}

static const compshare__step compshare__find_steps[] = {
    { compshare__find_project, compshare__find_project_end },
    { compshare__find_begin, compshare__find_told }
};

/* ---- all instances ---- */

/* Called for each instance of the page: hands out what is new. element is its whole JSON object. */
static int compshare__find_each_element(void *user, compshare_value element)
{
    compshare *c = (compshare *)user;
    compshare__task *t = &c->task;
    compshare_instance instance;
    const char *reason = compshare__read_instance(&c->reply.tree,
        compshare__client_server_time(&c->clock), &instance, t->raw);
    if (reason != NULL) return compshare__typed_malformed(t, reason);
    if (!compshare__list_take(&t->as.each.list, instance.uhost_id)) return 0;
    return t->as.each.each(t->as.each.user, &instance, element);
}

/* A step's `begin`: asks for the next page. */
static int compshare__find_each_begin(compshare *c)
{
    compshare__list *l = &c->task.as.each.list;
    compshare__find_request(c, compshare__find_each_element);
    (void)compshare__typed_id(c, "Zone", c->task.find.ids.zone, false);
    compshare__typed_put(c, "Offset", NULL, l->offset);
    compshare__typed_put(c, "Limit", NULL, COMPSHARE__LIST_PAGE);
    compshare__list_begin(l);
    return COMPSHARE_OK;
}

/* TotalCount, which some replies call Total; 0 where there is none that can be read. */
static int64_t compshare__find_each_total(const compshare__tokens *tree)
{
    static const compshare_field field = {
        "TotalCount", "Total", COMPSHARE_KIND_INT, COMPSHARE_LENIENT, 0, sizeof(int64_t)
    };
    compshare__read_places places;
    int64_t total;
    (void)compshare__read_object(tree, 0, &field, 1, &places, &total);
    return total;
}

/* A list without any element: it may be so for a moment only, so it is read again. COMPSHARE_OK:
   the account has no instance. An error: instances were there before. */
static int compshare__find_each_empty(compshare *c)
{
    compshare__list *l = &c->task.as.each.list;
    if (l->empty++ < (l->mark[0] == 0 ? 1 : COMPSHARE__LOOKS)
        && compshare__task_pause(c, COMPSHARE__DOUBT_MS)) return COMPSHARE__AGAIN;
    if (l->mark[0] == 0) return COMPSHARE_OK;
    return compshare__client_fail(&c->error, COMPSHARE_E_REPLY,
        "the list became empty while it was read");
}

/* A page that cannot be read, behind others that could, is read again, after a second, at most
   COMPSHARE__LOOKS times: its place is found again by the marks. Not where a repetition brings
   the same: the callback stopped it, an element is malformed or too large, or the API refused
   for good. */
static int compshare__find_each_failed(compshare *c, int status)
{
    compshare__list *l = &c->task.as.each.list;
    bool broken = status != COMPSHARE_E_STOPPED && status != COMPSHARE_E_REPLY
        && status != COMPSHARE_E_TOO_LARGE && (status != COMPSHARE_E_API
            || compshare__judge_transient(c->error.ret_code));
    int r = !l->fresh ? compshare__find_fix(c, status) : 0;
    if (r != 0) return r;
    if (!broken || l->mark[0] == 0 || l->failures++ == COMPSHARE__LOOKS
        || !compshare__task_pause(c, COMPSHARE__DOUBT_MS)) return status;
    return COMPSHARE__AGAIN;
}

/* A step's `end`: the page is over. COMPSHARE__AGAIN: the next one, or the same once more;
   COMPSHARE_OK: all of the list was handed out. */
static int compshare__find_each_end(compshare *c, int status)
{
    compshare__list *l = &c->task.as.each.list;
    int64_t total = 0;
    status = compshare__typed_status(c, status);
    if (status == COMPSHARE_OK) {
        total = compshare__find_each_total(&c->reply.tree);
    } else if (status == COMPSHARE_E_API && c->error.ret_code == 8401 && l->offset > 0) {
        /* an Offset behind the last element may be refused */
        memset(&c->error, 0, sizeof c->error);
    } else {
        return compshare__find_each_failed(c, status);
    }
    switch (compshare__list_end(l, total)) {
    case COMPSHARE__LIST_MORE: return COMPSHARE__AGAIN;
    case COMPSHARE__LIST_OVER: return COMPSHARE_OK;
    case COMPSHARE__LIST_EMPTY: return compshare__find_each_empty(c);
    case COMPSHARE__LIST_STUCK:
        return compshare__client_fail(&c->error, COMPSHARE_E_REPLY,
            "the list does not go on behind its first page");
    default:
        return compshare__client_fail(&c->error, COMPSHARE_E_REPLY,
            "the list changes faster than it can be read");
    }
}

static const compshare__step compshare__find_each_steps[] = {
    { compshare__find_project, compshare__find_project_end },
    { compshare__find_each_begin, compshare__find_each_end }
};

/* ---- typed calls ---- */

/* *chosen is zeroed first, so that after a failure it holds nothing old. */
COMPSHARE__DEF int compshare_get_project_list_start(compshare *client, compshare_project *chosen,
    compshare_project_fn each, void *user)
{
    int r = compshare__typed_claim(client, COMPSHARE__TASK_PROJECTS, NULL);
    if (r != COMPSHARE_OK) return r;
    if (chosen != NULL) memset(chosen, 0, sizeof *chosen);
    client->task.as.projects.chosen = chosen;
    client->task.as.projects.each = each;
    client->task.as.projects.user = user;
    return compshare__task_start(client, compshare__find_projects_steps);
}

COMPSHARE__DEF int compshare_get_project_list(compshare *client, compshare_project *chosen,
    compshare_project_fn each, void *user)
{
    return compshare__task_run(client,
        compshare_get_project_list_start(client, chosen, each, user));
}

/* *instance is zeroed first, but not while the client is busy: it may belong to the call in
   progress. */
COMPSHARE__DEF int compshare_describe_instance_start(compshare *client,
    const compshare_target *target, compshare_instance *instance)
{
    int r = compshare__typed_claim(client, COMPSHARE__TASK_DESCRIBE, target);
    if (instance != NULL && r != COMPSHARE_E_BUSY) memset(instance, 0, sizeof *instance);
    if (r != COMPSHARE_OK) return r;
    if (instance == NULL)
        return compshare__task_refuse(client, COMPSHARE_E_PARAM, "instance is NULL");
    client->task.as.describe = instance;
    return compshare__task_start(client, compshare__find_steps);
}

COMPSHARE__DEF int compshare_describe_instance(compshare *client, const compshare_target *target,
    compshare_instance *instance)
{
    return compshare__task_run(client, compshare_describe_instance_start(client, target, instance));
}

/* A list is narrowed by its filter, and by the region and project of the configuration, not by
   where an instance was found before. Where the filter has a Zone and no Region, the Region is
   one that the Zone belongs to: both must go together. */
COMPSHARE__DEF int compshare_each_instance_start(compshare *client, const compshare_target *filter,
    compshare_instance_fn each, void *user)
{
    int r = compshare__typed_claim(client, COMPSHARE__TASK_EACH, filter);
    compshare__ids *ids;
    const char *region, *zone;
    if (r != COMPSHARE_OK) return r;
    if (each == NULL) return compshare__task_refuse(client, COMPSHARE_E_PARAM, "each is NULL");
    ids = &client->task.find.ids;
    if (!client->task.find.project_given) ids->project_id[0] = '\0';
    region = compshare__bytes_first(ids->region, NULL);
    zone = compshare__bytes_first(ids->zone, NULL);
    if (region == NULL && zone != NULL) {
        compshare__config_place(&client->config, &region, &zone, ids->look_region);
        if (region != NULL && region != ids->look_region)
            memcpy(ids->look_region, region, strlen(region) + 1);
    }
    client->task.as.each.each = each;
    client->task.as.each.user = user;
    return compshare__task_start(client, compshare__find_each_steps);
}

COMPSHARE__DEF int compshare_each_instance(compshare *client, const compshare_target *filter,
    compshare_instance_fn each, void *user)
{
    return compshare__task_run(client, compshare_each_instance_start(client, filter, each, user));
}

/* ==== change =================================================================================
   UpdateCompShareStopScheduler and DeleteCompShareStopScheduler as single calls: COMPSHARE_OK
   says that the API accepted the change, and nothing more. The workflows of `schedule` send the
   same requests, and read back; those of `power` check their replies by the same `end`. Touches
   the task, the request, the error, and what the client knows of its account. Must never call a
   change accepted whose reply names another instance. */

/* A step's `begin`: the request that sets the stop time `wanted`. The floor of 300 s is checked
   at each sending, because a retry may come seconds later. With both names of the parameter
   where this change, or an earlier one of this client, has shown that the API wants them. */
static int compshare__change_update(compshare *c)
{
    const compshare__change *ch = &c->task.as.change;
    int r;
    compshare__typed_request(c, COMPSHARE__ACTIONS_UPDATE);
    if (ch->wanted <= 0 || ch->wanted > COMPSHARE__LATEST_TIME)
        return compshare__client_fail(&c->error, COMPSHARE_E_PARAM,
            "SchedulerStopTime: seconds since 1970 are needed, up to the year 9999");
    if ((r = compshare__typed_target(c, true)) != COMPSHARE_OK) return r;
    c->exchange.request.stop_time = ch->wanted;
    c->exchange.request.check = compshare__task_check_floor;
    compshare__typed_put(c, "SchedulerStopTime", NULL, ch->wanted);
    if (ch->both_names || c->account.both_names)
        compshare__typed_put(c, "StopTime", NULL, ch->wanted);
    return COMPSHARE_OK;
}

/* A step's `begin`: the request that deletes the timed shutdown. The API needs no Zone for it. */
static int compshare__change_delete(compshare *c)
{
    compshare__typed_request(c, COMPSHARE__ACTIONS_DELETE);
    return compshare__typed_target(c, false);
}

/* Some replies repeat UHostId: it must then be the one that was asked about. If it is not, it is
   not known what was changed: COMPSHARE_E_REPLY with outcome_unknown. */
static int compshare__change_end(compshare *c, int status)
{
    const compshare__tokens *tree = &c->reply.tree;
    uint32_t at;
    size_t hits;
    if (status != COMPSHARE_OK) return status;
    hits = compshare__tokens_find(tree, 0, "UHostId", &at);
    if (hits == 0 || (hits == 1 && compshare__tokens_type(tree, at) == COMPSHARE_STRING
        && compshare__json_equals(compshare__tokens_raw(tree, at), c->task.find.ids.uhost_id)))
        return status;
    c->error.outcome_unknown = true;
    return compshare__client_fail(&c->error, COMPSHARE_E_REPLY,
        "UHostId of the reply is not the instance that was asked about");
}

/* Whether the change is to be sent once more, at once, with both names of the parameter
   (StopTime as well as SchedulerStopTime; documents differ): the API refused it for want of
   StopTime. That is a definite refusal, so nothing was executed, and a second sending cannot act
   twice. It is taken for one about StopTime if Message names that, or if the RetCode is 210 (a
   parameter is missing) and Message names no other parameter, such as SchedulerStopTime. Sets
   ch->both_names, so that it happens once. known: both names are sent already. */
static bool compshare__change_renamed(compshare__change *ch, const compshare_error *e, bool known)
{
    static const char name[] = "StopTime";
    const char *at;
    bool named = false, other = false;
    if (e->status != COMPSHARE_E_API || e->outcome_unknown || ch->both_names || known
        || !compshare__bytes_equal(e->action, COMPSHARE__ACTIONS_UPDATE)) return false;
    for (at = e->message; *at != '\0'; at++) {
        if (!compshare__bytes_begins(at, name)) continue;
        if (at == e->message || !compshare__bytes_letter(at[-1])) named = true;
        else other = true;
    }
    other = other || compshare__find_names(e, "Region\0Zone\0Project\0UHost\0");
    ch->both_names = named || (e->ret_code == 210 && !other);
    return ch->both_names;
}

/* A step's `end` of a single change. After a success, the new plan is kept for
   COMPSHARE__LAG_MS: readings may not show it yet (see `recent`). */
static int compshare__change_once_end(compshare *c, int status)
{
    compshare__change *ch = &c->task.as.change;
    status = compshare__change_end(c, status);
    if (compshare__change_renamed(ch, &c->error, c->account.both_names)) return COMPSHARE__AGAIN;
    if (status != COMPSHARE_OK) return status;
    compshare__recent_note(c, c->task.find.ids.uhost_id, -1, ch->wanted);
    if (ch->both_names) c->account.both_names = true;
    return status;
}

static const compshare__step compshare__change_update_steps[] = {
    { compshare__change_update, compshare__change_once_end }
};
static const compshare__step compshare__change_delete_steps[] = {
    { compshare__change_delete, compshare__change_once_end }
};

/* stop_time is checked when the request is described: compshare__change_update. */
COMPSHARE__DEF int compshare_update_stop_scheduler_start(compshare *client,
    const compshare_target *target, int64_t stop_time)
{
    int r = compshare__typed_claim(client, COMPSHARE__TASK_CHANGE, target);
    if (r != COMPSHARE_OK) return r;
    client->task.as.change.wanted = stop_time;
    return compshare__task_start(client, compshare__change_update_steps);
}

COMPSHARE__DEF int compshare_update_stop_scheduler(compshare *client,
    const compshare_target *target, int64_t stop_time)
{
    return compshare__task_run(client,
        compshare_update_stop_scheduler_start(client, target, stop_time));
}

/* `wanted` stays 0: no stop time. */
COMPSHARE__DEF int compshare_delete_stop_scheduler_start(compshare *client,
    const compshare_target *target)
{
    int r = compshare__typed_claim(client, COMPSHARE__TASK_CHANGE, target);
    return r == COMPSHARE_OK ? compshare__task_start(client, compshare__change_delete_steps) : r;
}

COMPSHARE__DEF int compshare_delete_stop_scheduler(compshare *client,
    const compshare_target *target)
{
    return compshare__task_run(client, compshare_delete_stop_scheduler_start(client, target));
}

/* ==== confirm ================================================================================
   Changes that are read back, and what proves them: law 7. Touches the task, the error, and what
   the client knows of its account. Must never call a change done that no reading has shown, nor,
   where no sending was accepted, take a reading for proof that only shows what was shown before.

   How a sending ends, and what follows:

       reply                              known of the change     next
       success                            accepted                read back
       none, HTTP 5xx, malformed,         lost: it may have       read back
       RetCode 110 or 8438                been executed
       refused, or not sent: the first    not executed            the workflow ends with this error
       refused, a later one               refused: maybe, because read back; it is never sent again
                                          an earlier one was
                                          executed
       not sent, or refused for now:      nothing new             read back
       a later one

   Which readings prove it:

       accepted   before the change      proof
       yes        (does not matter)      one that shows what is wanted
       no         something else         two in a row that show what is wanted
       no         what is wanted, or     none: it is sent again, until a sending is accepted
                  this is not certain

   When a change of the timed shutdown is sent again; at most COMPSHARE__SENDINGS in all, none
   where less than COMPSHARE__READING_MS is left to read back, none after `refused`:

       accepted   the reading shows      sent again
       no         what was there         2 s after the first sending; then 4, 8, 16, 32 s after the
                  before, or no plan     one before
       no         what is wanted, and    at once; then 4, 8, 16, 32 s after the one before
                  did so before
       yes        what was there         once, with both names of the parameter, after half of the
                  before; Running        time from the sending to the deadline
       any        any other time         never: somebody else has set it

   Changes of `power` are never sent again. */

/* Whether a failed reading was refused for good, so that another one would be refused as well:
   by a RetCode, with an HTTP status under 500 that is not 429, which does not mean "later". Not
   so 8905 and 226607, by which the API says that it is not sure of the instance's state itself. */
static bool compshare__confirm_refused(const compshare_error *e, int status)
{
    int code = e->ret_code;
    bool told = status == COMPSHARE_E_API
        || (status == COMPSHARE_E_STATUS && e->http_status < 500 && e->http_status != 429);
    return told && code != 0 && code != 8905 && code != 226607
        && !compshare__judge_transient(code);
}

/* Keeps how a sending ended, for the error that compshare__confirm_failed reports: readings
   overwrite the client's error. */
static void compshare__confirm_note(compshare__change *ch, const compshare_error *e, int status)
{
    ch->status = status;
    ch->http = e->http_status;
    ch->code = e->ret_code;
    memcpy(ch->request_id, e->request_id, sizeof ch->request_id);
}

/* A step's `end` of a sending; the table of the banner says what follows from it.
   COMPSHARE__NEXT: read back. COMPSHARE__AGAIN: send it with both names. Any other status: the
   workflow ends, and nothing was executed. `told` is whether this sending says something of the
   change: one that did not leave this machine does not, and so it must not replace what an
   earlier one has told. */
static int compshare__confirm_sent(compshare *c, int status)
{
    compshare__task *t = &c->task;
    compshare__change *ch = &t->as.change;
    bool first = !ch->lost && !ch->accepted, told;
    status = compshare__change_end(c, status);
    told = status == COMPSHARE_OK || status == COMPSHARE_E_API || status == COMPSHARE_E_STATUS
        || c->error.outcome_unknown;
    if (first || told) compshare__confirm_note(ch, &c->error, status);
    ch->sent_at = compshare__client_now(&c->clock);
    ch->sendings++;
    if (compshare__change_renamed(ch, &c->error, c->account.both_names)) return COMPSHARE__AGAIN;
    if (status == COMPSHARE_OK) {
        ch->accepted = true;
        /* readings may lag behind it, also in later calls: see `recent` */
        if (ch->states == NULL)
            compshare__recent_note(c, t->find.ids.uhost_id, ch->before, ch->wanted);
    } else if (c->error.outcome_unknown) {
        ch->lost = true;
    } else if (first) {
        if (status == COMPSHARE_E_API && t->find.list_refused)
            (void)compshare__client_fail_append(&c->error,
                "; GetProjectList was refused as well: set project_id");
        return status;
    } else if (told && !compshare__judge_transient(c->error.ret_code)) {
        ch->refused = true;     /* that may be the effect of an earlier one */
    }
    /* from here on the task ends with a proof, or with COMPSHARE_E_UNCONFIRMED */
    t->unsettled = true;
    t->polls = 0;
    t->poll_until = c->clock.deadline;
    return COMPSHARE__NEXT;
}

/* Whether a reading shows what is wanted: one of the states, a stop time within
   COMPSHARE__ROUNDING_S of `wanted`, or, for a deletion, no plan. now: seconds since 1970; for a
   state it does not matter. */
static bool compshare__confirm_shown(const compshare__change *ch, const compshare_instance *i,
    int64_t now)
{
    if (ch->states != NULL) return compshare__bytes_listed(i->state, ch->states);
    /* A deletion, but the old plan's time has come, and the instance does not run any more: the
       plan is gone because it was executed, not because it was deleted. */
    if (ch->wanted == 0 && ch->before != 0 && ch->before <= now
        && !compshare__bytes_equal(i->state, "Running")) return false;
    return compshare__recent_near(i->stop_time, ch->wanted);
}

/* Law 7, after each reading that has succeeded; shown: it shows what is wanted. One that does
   not breaks the row. Where no sending was accepted, two in a row are needed: one alone may be
   wrong for a moment. */
static bool compshare__confirm_proved(compshare__change *ch, bool shown)
{
    ch->readings = shown ? ch->readings + 1 : 0;
    if (ch->accepted) return ch->readings > 0;
    return ch->readings > 1 && !ch->shown_before;
}

/* Whether a change that was accepted, and is not shown, is sent once more with both names of the
   time: the API may have accepted the request and ignored the one name that it got. since:
   milliseconds since the last sending; left: until the deadline; since >= left is half of the
   time that there was at the sending. Only while the reading shows what was there before:
   another time is somebody else's. */
static bool compshare__confirm_rename(compshare__change *ch, const compshare_instance *i,
    uint32_t since, uint32_t left)
{
    if (ch->wanted == 0 || ch->both_names || since < COMPSHARE__RESEND_MS || since < left
        || i->stop_time != ch->before || !compshare__bytes_equal(i->state, "Running"))
        return false;
    ch->both_names = true;
    return true;
}

/* Whether the change is sent again after a reading that does not prove it: the table of the
   banner. now, deadline: on the monotonic clock. Each sending doubles the wait for the next: 2
   s, 4 s, ... after the one before, because the API may execute it late. Setting or deleting the
   same plan twice leaves the same plan (class "always"); what is to be avoided is to overwrite a
   newer plan of somebody else, therefore `same`. */
static bool compshare__confirm_resend(compshare__change *ch, const compshare_instance *i,
    uint32_t since, uint32_t left)
{
    uint32_t least = COMPSHARE__RESEND_MS;
    bool same = i->stop_time == ch->before || i->stop_time == 0;
    /* shown once: another such reading proves it */
    if (ch->readings > 0 && !ch->shown_before) return false;
    if (ch->states != NULL || ch->refused || ch->sendings >= COMPSHARE__SENDINGS
        || left < COMPSHARE__READING_MS) return false;
    if (ch->accepted) return compshare__confirm_rename(ch, i, since, left);
    /* It shows what is wanted, but did so before the change: no reading can prove it, only an
       accepted sending can. */
    if (ch->shown_before && ch->readings > 0)
        return since >= (ch->sendings > 1 ? least << (ch->sendings - 1) : 0);
    return same && since >= least << (ch->sendings - 1);
}

/* COMPSHARE_E_UNCONFIRMED: the time for reading back is over, or a reading was refused for good.
   Says what was asked for, how the sending ended, and what was seen last: the newest reading, or
   why there is none. HTTP status, RetCode and request id become those of the sending, for it is
   the change that the provider's support has to look for, and not the reading. */
static int compshare__confirm_failed(compshare *c, int status)
{
    const compshare__task *t = &c->task;
    const compshare__change *ch = &t->as.change;
    const compshare_instance *i = &t->find.read.instance;
    char last[sizeof c->error.detail];
    compshare__bytes_text text = compshare__bytes_into(last, sizeof last);
    /* what was seen last: nothing that can be relied on, a stop time, or a state */
    if (status != COMPSHARE_OK && (!ch->read_back || t->find.spoiled
        || status == COMPSHARE_E_NOT_FOUND || compshare__confirm_refused(&c->error, status)))
        compshare__bytes_form(&text, c->error.ret_code != 0 ? "reading back failed: %s: RetCode %d"
            : "reading back failed: %s", c->error.detail, c->error.ret_code);
    else if (ch->states == NULL && i->stop_time != 0)
        compshare__bytes_form(&text, "the API shows %t, state %s", i->stop_time, i->state);
    else compshare__bytes_form(&text, "the API shows %sstate %s", ch->states == NULL
        ? "no timed shutdown, " : "", i->state);
    /* from here on the error is about the change */
    c->error.http_status = ch->http;
    c->error.ret_code = ch->code;
    c->error.message[0] = '\0';
    memcpy(c->error.request_id, ch->request_id, sizeof ch->request_id);
    (void)compshare__client_fail(&c->error, COMPSHARE_E_UNCONFIRMED,
        ch->wanted != 0 ? "%t was asked for: " : "", ch->wanted);
    if (ch->accepted)
        (void)compshare__client_fail_append(&c->error, "accepted, not confirmed: %s", last);
    else if (ch->status == COMPSHARE_E_STATUS)
        (void)compshare__client_fail_append(&c->error,
            "no clear answer (HTTP status %d), not confirmed: %s", ch->http, last);
    else (void)compshare__client_fail_append(&c->error, "no clear answer (%s), not confirmed: %s",
        compshare__client_status(ch->status)->text, last);
    /* Setting the same time again, or deleting again, leaves the same plan; to stop or start an
       instance a second time may undo what somebody else has done meanwhile. */
    c->error.retryable = ch->states == NULL;
    return COMPSHARE_E_UNCONFIRMED;
}

/* The rest of a read-back step's `end`, with the status of the reading. COMPSHARE_OK: the change
   is proved. COMPSHARE__BACK: send it again. COMPSHARE__AGAIN: read it again, after a pause; so
   it is with every reading that fails, as when the network is dead, until `poll_until`, which is
   the task's deadline. COMPSHARE_E_UNCONFIRMED: that is over, or the reading was refused for
   good. */
static int compshare__confirm_end(compshare *c, int status)
{
    compshare__task *t = &c->task;
    compshare__change *ch = &t->as.change;
    const compshare_instance *i = &t->find.read.instance;
    if (status == COMPSHARE_OK) {
        ch->read_back = true;
        if (compshare__confirm_proved(ch,
            compshare__confirm_shown(ch, i, compshare__client_best_time(&c->clock)))) {
            t->unsettled = false;
            return COMPSHARE_OK;
        }
        /* where both names are sent anyway, to send an accepted change again adds nothing */
        if (!(ch->accepted && c->account.both_names)
            && compshare__confirm_resend(ch, i,
                (uint32_t)(compshare__client_now(&c->clock) - ch->sent_at),
                compshare__client_left(&c->clock, c->clock.deadline)))
            return COMPSHARE__BACK;
    }
    /* The reading did not prove it, or it failed: the network may be back for the next one. */
    if (!compshare__confirm_refused(&c->error, status) && compshare__task_poll(c))
        return COMPSHARE__AGAIN;
    return compshare__confirm_failed(c, status);
}

/* ==== power ==================================================================================
   Stop, start, reboot, and the wait for a state. Touches the task, the error, and what the client
   knows of its account. Must never send a change of state twice: it might undo what somebody else
   has done since.

       step      request                       its `end`
       project   GetProjectList, where none    NEXT
                 is known
       found     DescribeCompShareInstance     NEXT: it exists, and its state before is known;
                                               AGAIN, BACK: it is looked for, see `find`
       sent      Stop-, Start- or Reboot-      NEXT: accepted, or its reply was lost;
                 CompShareInstance             a reboot that was accepted: the end
       verify    DescribeCompShareInstance     AGAIN, until `confirm` calls the change proved;
                                               never BACK */

/* A step's `end`: the instance was found, and the change goes to its region, zone and project.
   Whether its state was already the wanted one is kept: then a later reading proves nothing
   unless the change is accepted. */
static int compshare__power_found(compshare *c, int status)
{
    compshare__change *ch = &c->task.as.change;
    status = compshare__find_end(c, status);
    if (status != COMPSHARE_OK) return status;
    ch->shown_before = compshare__confirm_shown(ch, &c->task.find.read.instance, 0);
    return COMPSHARE__NEXT;
}

/* A step's `begin`: the change. Its reply is awaited for half of the time left, so that the
   other half is left to read back. */
static int compshare__power_begin(compshare *c)
{
    compshare__typed_request(c, c->task.as.change.action);
    c->exchange.request.leaves_half = true;
    return compshare__typed_target(c, true);
}

/* Compared with change.action by its text. */
#define COMPSHARE__POWER_REBOOT "RebootCompShareInstance"

/* A step's `end`. An accepted reboot is taken for done: the state in which it shows
   ("Rebooting") may be over before the first reading. */
static int compshare__power_sent(compshare *c, int status)
{
    compshare__task *t = &c->task;
    status = compshare__confirm_sent(c, status);
    if (!t->as.change.accepted || !compshare__bytes_equal(t->as.change.action,
        COMPSHARE__POWER_REBOOT))
        return status;
    t->unsettled = false;
    return COMPSHARE_OK;
}

/* A step's `end`: a reading after the change. */
static int compshare__power_verify(compshare *c, int status)
{
    return compshare__confirm_end(c, compshare__find_described(c, status));
}

static const compshare__step compshare__power_steps[] = {
    { compshare__find_project, compshare__find_project_end },
    { compshare__find_begin, compshare__power_found },
    { compshare__power_begin, compshare__power_sent },
    { compshare__find_begin, compshare__power_verify }
};

/* Starts a workflow of this room. states: those that show that the change was executed, each
   with its NUL; a constant. */
static int compshare__power_start(compshare *c, const compshare_target *target, const char *action,
    const char *states)
{
    int r = compshare__typed_claim_one(c, COMPSHARE__TASK_POWER, target);
    if (r != COMPSHARE_OK) return r;
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

COMPSHARE__DEF int compshare_reboot_instance_start(compshare *client,
    const compshare_target *target)
{
    return compshare__power_start(client, target, COMPSHARE__POWER_REBOOT, "Rebooting\0");
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

/* ---- wait for a state ---- */

/* Whether no later reading will do better: the cause is on this machine (clock, entropy, root
   certificates, memory), the server's certificate is refused, or the API has refused for good. A
   network that is dead is not among them: a wait goes on. */
static bool compshare__power_wait_hopeless(const compshare_error *e, int status)
{
    return compshare__confirm_refused(e, status) || status == COMPSHARE_E_TRUST
        || status == COMPSHARE_E_CLOCK || status == COMPSHARE_E_ENTROPY
        || status == COMPSHARE_E_CERTIFICATE || status == COMPSHARE_E_TOO_LARGE;
}

/* Whether the instance, which was never seen, is now looked for in the next project. Not where
   the projects have all been looked through, or could not be listed: find_everywhere sets
   `missing` above 0 then. */
static bool compshare__power_wait_elsewhere(compshare__search *find, const compshare__wait *w)
{
    if (find->project_given || w->seen || find->list_refused
        || (find->other == 0 && w->missing > 0))
        return false;
    find->other++;
    find->list_projects = true;
    return true;
}

/* Whether a missing instance is gone: three readings in a row lack it. One that was never seen
   may be so new that lists do not have it yet, for COMPSHARE__MISSING_MS from the beginning. */
static bool compshare__power_wait_gone(compshare__wait *w, uint64_t waited_ms)
{
    bool new_one = !w->seen && waited_ms < COMPSHARE__MISSING_MS;
    w->missing++;
    return w->missing >= 3 && !new_one;
}

/* The time is over: says what was waited for, and what was seen last. COMPSHARE_E_NOT_FOUND
   where no reading has listed the instance, the last one included. */
static int compshare__power_wait_failed(compshare *c, int status)
{
    const compshare__wait *w = &c->task.as.wait;
    char reason[sizeof c->error.detail];
    if (status == COMPSHARE_E_NOT_FOUND && !w->seen) return status;
    memcpy(reason, c->error.detail, sizeof reason);
    return compshare__client_fail(&c->error, COMPSHARE_E_TIMEOUT,
        "%s did not become \"%s\" in %l ms; last seen: %s%s%s", c->task.find.ids.uhost_id, w->state,
        (int64_t)c->task.timeout_ms, w->seen ? w->last : "never",
        status != COMPSHARE_OK ? "; reading failed: " : "", reason);
}

/* The instance was read. COMPSHARE_OK: it is in the wanted state. COMPSHARE__AGAIN: not yet.
   COMPSHARE_E_STATE: its state ends in "Fail" ("Install Fail"), and it leaves no such state by
   itself. */
static int compshare__power_wait_read(compshare *c)
{
    compshare__search *find = &c->task.find;
    compshare__wait *w = &c->task.as.wait;
    size_t len = strlen(find->read.instance.state);
    memcpy(w->last, find->read.instance.state, sizeof w->last);
    w->missing = 0;
    w->seen = true;
    compshare__find_keep(&c->account, find);
    if (w->instance != NULL) *w->instance = find->read.instance;
    if (compshare__bytes_equal(w->last, w->state)) return COMPSHARE_OK;
    if (len < 4 || memcmp(w->last + len - 4, "Fail", 4) != 0) return COMPSHARE__AGAIN;
    return compshare__client_fail(&c->error, COMPSHARE_E_STATE,
        "%s is \"%s\" and will not become \"%s\"", find->ids.uhost_id, w->last, w->state);
}

/* A step's `end`, after a reading: done, gone, hopeless, or read again until the time is over. A
   reading that fails otherwise is no end, and breaks the row of those that lack the instance. */
static int compshare__power_wait_end(compshare *c, int status)
{
    compshare__task *t = &c->task;
    compshare__wait *w = &t->as.wait;
    int r;
    status = compshare__find_described(c, status);
    if ((r = compshare__find_fix(c, status)) != 0) return r;
    if (status == COMPSHARE_OK) {
        if ((r = compshare__power_wait_read(c)) != COMPSHARE__AGAIN) return r;
    } else if (status == COMPSHARE_E_NOT_FOUND) {
        if (compshare__power_wait_elsewhere(&t->find, w)) return COMPSHARE__BACK;
        if (compshare__power_wait_gone(w, compshare__client_now(&c->clock) - t->began))
            return status;
    } else {
        if (compshare__power_wait_hopeless(&c->error, status)) return status;
        w->missing = 0;
    }
    return compshare__task_poll(c) ? COMPSHARE__AGAIN : compshare__power_wait_failed(c, status);
}

static const compshare__step compshare__power_wait_steps[] = {
    { compshare__find_project, compshare__find_project_end },
    { compshare__find_begin, compshare__power_wait_end }
};

/* *instance is zeroed first, but not while the client is busy: it may belong to the call in
   progress. */
COMPSHARE__DEF int compshare_wait_state_start(compshare *client, const char *uhost_id,
    const char *state, uint32_t timeout_ms, compshare_instance *instance)
{
    compshare_target target = { uhost_id, NULL, NULL, NULL };
    int r = compshare__typed_claim(client, COMPSHARE__TASK_WAIT, &target);
    if (instance != NULL && r != COMPSHARE_E_BUSY) memset(instance, 0, sizeof *instance);
    if (r != COMPSHARE_OK) return r;
    if (state == NULL || state[0] == '\0')
        return compshare__task_refuse(client, COMPSHARE_E_PARAM, "state is empty");
    client->task.as.wait.state = state;
    client->task.as.wait.instance = instance;
    if (timeout_ms != 0) client->task.timeout_ms = timeout_ms;
    return compshare__task_start(client, compshare__power_wait_steps);
}

COMPSHARE__DEF int compshare_wait_state(compshare *client, const char *uhost_id, const char *state,
    uint32_t timeout_ms, compshare_instance *instance)
{
    return compshare__task_run(client,
        compshare_wait_state_start(client, uhost_id, state, timeout_ms, instance));
}

/* ==== schedule ===============================================================================
   The timed shutdown as workflows: project, instance, change, and reading back until the API
   shows it. Touches the task, the error, the caller's compshare_schedule, and what the client knows
   of its account. Must never report a time that it has not read from the API.

       step      request                      its `end`
       project   GetProjectList, where no     NEXT
                 project is known
       found     DescribeCompShareInstance    NEXT: something is to be changed. AGAIN: check the
                                              reading. BACK: look in the next project.
                                              The end: _get; nothing is to be changed; refused
       sent      Update- or Delete-           NEXT: accepted, or its reply was lost. AGAIN: it was
                 CompShareStopScheduler       too soon, or send both names. The end: refused
       confirm   DescribeCompShareInstance    The end: proved; or unconfirmed at the deadline.
                                              AGAIN: read again. BACK: send again (see `confirm`)

   What happens when the network dies, by the step that it dies in:

       project, found   A request that got no answer in its part of the time is sent again on a new
                        connection while 2 s are left. Any other failure of the first reading ends
                        the workflow with it. Nothing was changed: outcome_unknown is false.
       sent             No byte of the first sending has left: the end, as above. Else the outcome
                        is unknown, and the workflow goes on to read back, on a new connection.
       confirm          Each reading that fails is repeated after a pause of 0.25 to 5 s, until
                        timeout_ms is over: COMPSHARE_E_UNCONFIRMED, outcome_unknown true. If the
                        network comes back before that, the readings go by `confirm`: proved, or
                        sent again.

   In a workflow that changes something each request may use half of the time that is left, but 2 s
   at least, so that one which gets no answer leaves time for the next. */

/* What stopping an instance of this ChargeType will not save: COMPSHARE_KEEPS_BILLING,
   COMPSHARE_GETS_RELEASED. */
static unsigned compshare__schedule_caveats(const char *charge_type)
{
    bool prepaid = compshare__bytes_listed(charge_type, "Day\0Month\0Year\0");
    return prepaid ? COMPSHARE_KEEPS_BILLING | COMPSHARE_GETS_RELEASED : COMPSHARE_GETS_RELEASED;
}

/* Writes into the caller's struct what is known of the change, and what a reading (i; NULL:
   none) shows of the instance. After every step, so that it is there after a failure, too. Never
   stop_time, seconds_left and changed: these are set by a success only. */
static void compshare__schedule_note(const compshare__change *ch, const compshare_instance *i)
{
    compshare_schedule *s = ch->result;
    if (s == NULL) return;
    s->requested = ch->wanted;
    s->accepted = ch->accepted;
    s->previous = ch->before;
    if (i == NULL) return;
    s->shown = i->stop_time;
    memcpy(s->uhost_id, i->uhost_id, sizeof s->uhost_id);
    memcpy(s->state, i->state, sizeof s->state);
    memcpy(s->charge_type, i->charge_type, sizeof s->charge_type);
    memcpy(s->zone, i->zone, sizeof s->zone);
    s->caveats = compshare__schedule_caveats(s->charge_type);
}

/* The workflow has succeeded: the reading i is the result. now: seconds since 1970. changed: a
   change was sent. Returns COMPSHARE_OK. */
static int compshare__schedule_done(const compshare__change *ch, const compshare_instance *i,
    int64_t now, bool changed)
{
    compshare_schedule *s = ch->result;
    if (s == NULL) return COMPSHARE_OK;
    compshare__schedule_note(ch, i);
    s->stop_time = s->shown;
    s->seconds_left = s->shown > now ? s->shown - now : 0;
    s->changed = changed;
    return COMPSHARE_OK;
}

/* Refuses, before anything is sent, what the API would refuse with a less clear message: a Spot
   instance, and one that is not Running. */
static int compshare__schedule_allowed(compshare *c)
{
    const compshare_instance *i = &c->task.find.read.instance;
    if (compshare__bytes_listed(i->charge_type, "Spot\0Preemptive\0"))
        return compshare__client_fail(&c->error, COMPSHARE_E_SPOT,
            "%s is a Spot instance, which cannot be given a timed shutdown", i->uhost_id);
    if (compshare__bytes_equal(i->state, "Running")) return COMPSHARE_OK;
    return compshare__client_fail(&c->error, COMPSHARE_E_STATE,
        "%s is \"%s\", and only a \"Running\" instance can be given a timed shutdown",
        i->uhost_id, i->state);
}

/* Calculates `wanted`, the stop time to send. current: the plan that stands; 0: none. Three
   cases: `at` as it is; by_seconds on top of current; in_seconds on top of the server's time.
   The last is raised to the floor of 300 s plus a margin, for the API checks it when the request
   arrives, with a clock of its own: 3 s, then 8 and 68 (a gateway that rounds down to the
   minute) where the API found that too soon. COMPSHARE__FINISHED: by the mode, the plan that
   stands is to stay. */
static int compshare__schedule_decide(compshare *c, int64_t current)
{
    static const unsigned char margins[] = { 3, 8, 68 };
    compshare__change *ch = &c->task.as.change;
    int64_t now = compshare__client_best_time(&c->clock), base = 0, more = ch->plan.in_seconds;
    int64_t floor = COMPSHARE__STOP_FLOOR_S + margins[ch->raised];
    unsigned mode = ch->plan.mode;
    int64_t wanted = ch->plan.at;
    if (ch->by_seconds > 0) {
        if (current == 0)
            return compshare__client_fail(&c->error, COMPSHARE_E_NO_PLAN,
                "%s has no timed shutdown to extend", c->task.find.ids.uhost_id);
        base = current;
        more = ch->by_seconds;
    } else if (more > 0) {
        if (now < COMPSHARE__EARLIEST_TIME)
            return compshare__client_fail_clock(&c->error, &c->clock,
                "no stop time can be calculated from it");
        base = now;
        if (more < floor) more = floor;
    }
    if (base > 0) {
        if (base > COMPSHARE__LATEST_TIME || more > COMPSHARE__LATEST_TIME - base)
            return compshare__client_fail(&c->error, COMPSHARE_E_PARAM,
                "SchedulerStopTime would be after the year 9999");
        wanted = base + more;
    }
    ch->wanted = wanted;
    if (current == 0 || mode == 0) return COMPSHARE_OK;
    /* a plan equal to the wanted one is left alone by both modes */
    if (mode == COMPSHARE_ONLY_EXTEND ? current < ch->wanted : current > ch->wanted)
        return COMPSHARE_OK;
    return COMPSHARE__FINISHED;
}

/* Nothing is to be changed: the reading is the result. But known (not NULL) says that the
   reading shows what was there before this client's own, newer change, and so does not tell what
   stands: COMPSHARE_E_UNCONFIRMED. outcome_unknown is false then, because this workflow has sent
   no change. */
static int compshare__schedule_tell(compshare *c, const compshare__recent *known)
{
    const compshare__change *ch = &c->task.as.change;
    if (known == NULL)
        return compshare__schedule_done(ch, &c->task.find.read.instance,
            compshare__client_best_time(&c->clock), false);
    (void)compshare__client_fail(&c->error, COMPSHARE_E_UNCONFIRMED, known->after != 0
        ? "%t was accepted"
        : "no timed shutdown was accepted", known->after);
    (void)compshare__client_fail_append(&c->error, ch->before != 0
        ? " a moment ago, but the API still shows %t"
        : " a moment ago, but the API still shows no timed shutdown", ch->before);
    c->error.retryable = true;
    return COMPSHARE_E_UNCONFIRMED;
}

/* What follows from the readings before the change: COMPSHARE__NEXT: send it; COMPSHARE_OK:
   nothing is to be done; an error: it is refused. known: a change of this client that the
   reading does not show yet; its time is then the current plan, instead of what was read. */
static int compshare__schedule_judge(compshare *c, const compshare__recent *known)
{
    compshare__change *ch = &c->task.as.change;
    int r;
    if (c->task.kind == COMPSHARE__TASK_SHOW) return compshare__schedule_tell(c, known);
    if (compshare__bytes_equal(ch->action, COMPSHARE__ACTIONS_UPDATE)) {
        if ((r = compshare__schedule_allowed(c)) == COMPSHARE_OK)
            r = compshare__schedule_decide(c, known != NULL ? known->after : ch->before);
        compshare__schedule_note(ch, NULL);
        if (r == COMPSHARE__FINISHED) return compshare__schedule_tell(c, known);
        if (r != COMPSHARE_OK) return r;
    }
    /* what is wanted stands already: later readings that show it prove nothing */
    ch->shown_before = ch->shown_before || compshare__recent_near(ch->before, ch->wanted);
    compshare__find_keep(&c->account, &c->task.find);
    return COMPSHARE__NEXT;
}

/* A refusal (not Running; no plan to extend) is returned once two readings in a row agree on it,
   because one alone may be wrong for a moment. Until then COMPSHARE__AGAIN, a second later, at
   most COMPSHARE__LOOKS times. Where there is no time for a check, the one reading has to do. */
static int compshare__schedule_agreed(compshare *c, int status)
{
    compshare__change *ch = &c->task.as.change;
    if (status == ch->refusal || ch->looks >= COMPSHARE__LOOKS
        || !compshare__task_pause(c, COMPSHARE__DOUBT_MS)) return status;
    ch->refusal = status;
    ch->looks++;
    return COMPSHARE__AGAIN;
}

/* Whether a doubtful reading (see compshare__recent_doubts) is repeated before anything is
   decided by it, after a pause: only where the current plan matters, which is for a mode, an
   extension, and _get. A change may use half of the time left for that, _get all of it. What has
   been shown once (known->shown) and then not for COMPSHARE__DOUBTS repetitions was changed by
   somebody else: no more doubt. */
static bool compshare__schedule_recheck(compshare *c, const compshare__recent *known)
{
    compshare__task *t = &c->task;
    const compshare__change *ch = &t->as.change;
    bool changes = t->kind == COMPSHARE__TASK_SCHEDULE;
    if (changes && ch->by_seconds == 0 && ch->plan.mode == 0) return false;
    if (t->polls == 0 && changes)       /* half of the time left */
        t->poll_until = compshare__client_now(&c->clock) / 2 + c->clock.deadline / 2;
    return !(known->shown && t->polls >= COMPSHARE__DOUBTS) && compshare__task_poll(c);
}

/* The newest reading before the change, which stays in find.read.instance where a repetition of
   it failed: notes what stands, repeats a doubtful one, and goes on to what follows from it. */
static int compshare__schedule_read(compshare *c)
{
    compshare__task *t = &c->task;
    compshare__change *ch = &t->as.change;
    const compshare_instance *i = &t->find.read.instance;
    compshare__recent *known = compshare__recent_of(&c->account, t->began, t->find.ids.uhost_id);
    int status;
    ch->before = i->stop_time;
    ch->shown_before = known != NULL;       /* readings may still lag behind that */
    compshare__schedule_note(ch, i);
    if (!compshare__recent_doubts(known, i->stop_time, compshare__client_server_time(&c->clock)))
        known = NULL;
    if (known != NULL && compshare__schedule_recheck(c, known)) return COMPSHARE__AGAIN;
    if (known != NULL && known->shown) {    /* shown once, and not any more: changed since */
        compshare__recent_forget(known);
        known = NULL;
    }
    status = compshare__schedule_judge(c, known);
    if (status < 0 && t->kind == COMPSHARE__TASK_SCHEDULE)
        compshare__client_name(&c->error, ch->action);
    return status == COMPSHARE_E_STATE || status == COMPSHARE_E_NO_PLAN
        ? compshare__schedule_agreed(c, status) : status;
}

/* A step's `end`, of a reading before the change. The first one looks in all projects, and its
   failure is that of the workflow. Repetitions, which check the first, may fail: they are
   repeated, too, and where there is no time left for that, the reading before them counts,
   unless it was overwritten (`spoiled`). */
static int compshare__schedule_found(compshare *c, int status)
{
    compshare__task *t = &c->task;
    compshare__change *ch = &t->as.change;
    bool first = ch->looks == 0 && t->polls == 0;
    status = first ? compshare__find_end(c, status) : compshare__find_described(c, status);
    if (first && status != COMPSHARE_OK) return status;
    /* a repetition has failed: of a doubtful reading, or of one that refused */
    if (status != COMPSHARE_OK && t->polls > 0 && compshare__task_poll(c)) return COMPSHARE__AGAIN;
    if (status != COMPSHARE_OK && ch->looks++ < COMPSHARE__LOOKS
        && compshare__task_pause(c, COMPSHARE__DOUBT_MS)) return COMPSHARE__AGAIN;
    /* no time for another: the reading before it has to do, if it is still there */
    if (status != COMPSHARE_OK && t->find.spoiled) return status;
    return compshare__schedule_read(c);
}

/* A step's `begin`: the change, with half of the time left for its reply. The exchange must not
   send it again by itself, although its class is "always": somebody else may have changed the
   plan since, so a reading comes first. */
static int compshare__schedule_change(compshare *c)
{
    bool update = compshare__bytes_equal(c->task.as.change.action, COMPSHARE__ACTIONS_UPDATE);
    int r = update ? compshare__change_update(c) : compshare__change_delete(c);
    c->exchange.request.leaves_half = true;
    c->exchange.request.repeatable = false;
    return r;
}

/* Whether a time "from now on" that was too soon, for the API (RetCode 220, 230) or by the check
   of the floor, has been calculated anew, later, and is to be sent again. Only where it is
   certain that nothing was executed: no sending was accepted, and none is lost, unless this one
   was not sent at all (COMPSHARE_E_TOO_SOON). 230 has other causes as well, so only near the
   floor, and twice at the most. */
static bool compshare__schedule_raise(compshare *c, int status)
{
    compshare__change *ch = &c->task.as.change;
    bool soon = status == COMPSHARE_E_TOO_SOON
        || (status == COMPSHARE_E_API && (c->error.ret_code == 220 || c->error.ret_code == 230));
    /* far above the floor, or not counted from now on, the refusal has another reason */
    if (!soon || ch->accepted || (ch->lost && status != COMPSHARE_E_TOO_SOON)
        || ch->plan.in_seconds == 0
        || ch->wanted - compshare__client_best_time(&c->clock) > 2 * COMPSHARE__STOP_FLOOR_S
        || ch->raised == 2) return false;
    ch->raised++;
    if (compshare__schedule_decide(c, ch->before) != COMPSHARE_OK) return false;
    ch->shown_before = ch->shown_before || compshare__recent_near(ch->before, ch->wanted);
    return true;
}

/* A step's `end`: the change was sent, or could not be. */
static int compshare__schedule_sent(compshare *c, int status)
{
    int r = compshare__schedule_raise(c, status) ? COMPSHARE__AGAIN
        : compshare__confirm_sent(c, status);
    compshare__schedule_note(&c->task.as.change, NULL);
    return r;
}

/* A step's `end`, of a reading after the change. COMPSHARE_OK: it proves the change, and is the
   result. That both names were needed holds for all later changes of this client. */
static int compshare__schedule_confirm(compshare *c, int status)
{
    compshare__task *t = &c->task;
    compshare__change *ch = &t->as.change;
    const compshare_instance *i = &t->find.read.instance;
    status = compshare__find_described(c, status);
    compshare__schedule_note(ch, status == COMPSHARE_OK ? i : NULL);
    status = compshare__confirm_end(c, status);
    if (status != COMPSHARE_OK) return status;
    /* for its effect: it notes that the change has been shown */
    (void)compshare__recent_doubts(compshare__recent_of(&c->account, t->began,
        t->find.ids.uhost_id),
        i->stop_time, compshare__client_server_time(&c->clock));
    if (ch->both_names) c->account.both_names = true;
    return compshare__schedule_done(ch, i, compshare__client_best_time(&c->clock), true);
}

/* The rows are those of the banner: BACK leads from `found` to `project`, and from `confirm` to the
   change, which is then sent again. */
static const compshare__step compshare__schedule_get_steps[] = {
    { compshare__find_project, compshare__find_project_end },
    { compshare__find_begin, compshare__schedule_found }
};
static const compshare__step compshare__schedule_steps[] = {
    { compshare__find_project, compshare__find_project_end },
    { compshare__find_begin, compshare__schedule_found },
    { compshare__schedule_change, compshare__schedule_sent },
    { compshare__find_begin, compshare__schedule_confirm }
};

/* Takes the client for a schedule_*. action NULL: it only reads. result may be NULL; it is
   zeroed, also where an argument is refused, but not where the client is busy: then it may
   belong to the call in progress. uhost_id is copied before that, as it may point into *result. */
static int compshare__schedule_claim(compshare *c, const char *uhost_id, const char *action,
    compshare_schedule *result)
{
    compshare_target target = { uhost_id, NULL, NULL, NULL };
    int r = compshare__typed_claim_one(c,
        action != NULL ? COMPSHARE__TASK_SCHEDULE : COMPSHARE__TASK_SHOW, &target);
    if (result != NULL && r != COMPSHARE_E_BUSY) memset(result, 0, sizeof *result);
    if (r != COMPSHARE_OK) return r;
    c->task.as.change.action = action;
    c->task.as.change.result = result;
    return COMPSHARE_OK;
}

/* The plan is copied first: its strings may point into *schedule, and are copied by
   compshare__schedule_claim. What no reading can change is refused here, before anything is
   sent. */
COMPSHARE__DEF int compshare_schedule_set_start(compshare *client, const compshare_plan *plan,
    compshare_schedule *schedule)
{
    compshare_plan p;
    int r;
    memset(&p, 0, sizeof p);
    if (plan != NULL) p = *plan;
    r = compshare__schedule_claim(client, p.uhost_id, COMPSHARE__ACTIONS_UPDATE, schedule);
    if (r != COMPSHARE_OK) return r;
    if (p.at < 0 || p.in_seconds < 0 || (p.at == 0) == (p.in_seconds == 0))
        return compshare__task_refuse(client, COMPSHARE_E_PARAM,
            "plan: give at or in_seconds, above 0, and not both");
    if (p.mode > COMPSHARE_ONLY_SHORTEN)
        return compshare__task_refuse(client, COMPSHARE_E_PARAM,
            "plan: mode is 0, COMPSHARE_ONLY_EXTEND or COMPSHARE_ONLY_SHORTEN");
    if (p.in_seconds != 0 && p.in_seconds < COMPSHARE__STOP_FLOOR_S)
        return compshare__task_refuse(client, COMPSHARE_E_TOO_SOON,
            "plan: in_seconds must be at least 300");
    client->task.as.change.plan = p;
    return compshare__task_start(client, compshare__schedule_steps);
}

/* The table ends with the step that reads: `found` hands its reading out. */
COMPSHARE__DEF int compshare_schedule_get_start(compshare *client, const char *uhost_id,
    compshare_schedule *schedule)
{
    int r = compshare__schedule_claim(client, uhost_id, NULL, schedule);
    return r == COMPSHARE_OK ? compshare__task_start(client, compshare__schedule_get_steps) : r;
}

/* The new time is calculated from the plan that is read, by compshare__schedule_decide. */
COMPSHARE__DEF int compshare_schedule_extend_start(compshare *client, const char *uhost_id,
    int64_t by_seconds, compshare_schedule *schedule)
{
    int r = compshare__schedule_claim(client, uhost_id, COMPSHARE__ACTIONS_UPDATE, schedule);
    if (r != COMPSHARE_OK) return r;
    if (by_seconds <= 0)
        return compshare__task_refuse(client, COMPSHARE_E_PARAM, "by_seconds must be above 0");
    client->task.as.change.by_seconds = by_seconds;
    return compshare__task_start(client, compshare__schedule_steps);
}

/* `wanted` stays 0: no plan is what a reading has to show. */
COMPSHARE__DEF int compshare_schedule_cancel_start(compshare *client, const char *uhost_id,
    compshare_schedule *schedule)
{
    int r = compshare__schedule_claim(client, uhost_id, COMPSHARE__ACTIONS_DELETE, schedule);
    return r == COMPSHARE_OK ? compshare__task_start(client, compshare__schedule_steps) : r;
}

COMPSHARE__DEF int compshare_schedule_set(compshare *client, const compshare_plan *plan,
    compshare_schedule *schedule)
{
    return compshare__task_run(client, compshare_schedule_set_start(client, plan, schedule));
}

COMPSHARE__DEF int compshare_schedule_get(compshare *client, const char *uhost_id,
    compshare_schedule *schedule)
{
    return compshare__task_run(client, compshare_schedule_get_start(client, uhost_id, schedule));
}

COMPSHARE__DEF int compshare_schedule_extend(compshare *client, const char *uhost_id,
    int64_t by_seconds, compshare_schedule *schedule)
{
    return compshare__task_run(client,
        compshare_schedule_extend_start(client, uhost_id, by_seconds, schedule));
}

COMPSHARE__DEF int compshare_schedule_cancel(compshare *client, const char *uhost_id,
    compshare_schedule *schedule)
{
    return compshare__task_run(client, compshare_schedule_cancel_start(client, uhost_id, schedule));
}

#if defined(__GNUC__) && !defined(__clang__) && (defined(__cplusplus) || __GNUC__ >= 14)
#pragma GCC diagnostic pop
#endif

#ifdef __cplusplus
}
#endif

#undef COMPSHARE__DEF
#undef COMPSHARE__NOINLINE
#undef COMPSHARE__TLS_PLAIN

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
