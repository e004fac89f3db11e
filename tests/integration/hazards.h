/* More peers that others wrote: stunnel and haproxy, TLS in front of something without
   it; and what is done to such a peer while a client has it. Include after peers.h. */
#ifndef HAZARDS_H
#define HAZARDS_H

/* How a peer is run: it may have to be started again with the same configuration. */
typedef struct launch {
    peer p;
    const char *const *options;     /* what stands before its configuration file */
    char program[128];
} launch;

static bool launch_spawn(launch *l)
{
    const char *argv[8], *const *option;
    int n = 0;
    argv[n++] = l->program;
    for (option = l->options; *option != NULL && n < 6; option++) argv[n++] = *option;
    argv[n++] = peer_path(&l->p, "conf");
    argv[n] = NULL;
    peer_spawn(&l->p, argv, -1);
    return peer_listens(&l->p, false);
}

static HARNESS_UNUSED void launch_stop(launch *l)
{
    if (l->p.pid != 0 || l->p.dir[0] != '\0') peer_stop(&l->p);
}

/* Ends it and starts it anew, at the same port. */
static HARNESS_UNUSED void launch_again(launch *l)
{
    kill(l->p.pid, SIGTERM);
    waitpid(l->p.pid, NULL, 0);
    if (!launch_spawn(l)) peer_fail(&l->p, l->program);
}

/* Changes a word of its configuration, wherever that stands. */
static HARNESS_UNUSED void launch_change(const launch *l, const char *from, const char *to)
{
    static char text[8192], changed[8192];
    char *at = text, *hit;
    FILE *f = fopen(peer_path(&l->p, "conf"), "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    assert_non_null(strstr(text, from));
    changed[0] = '\0';
    while ((hit = strstr(at, from)) != NULL) {
        *hit = '\0';
        assert_true(strlen(changed) + strlen(at) + strlen(to) + 1 < sizeof changed);
        strcat(strcat(changed, at), to);
        at = hit + strlen(from);
    }
    assert_true(strlen(changed) + strlen(at) + 1 < sizeof changed);
    strcat(changed, at);
    peer_write(&l->p, "conf", changed);
}

/* Starts it at a port of its own, with what `write_conf` writes into the file "conf". */
static launch launch_new(const char *name, const char *const *options, const char *chain, unsigned backend,
    void (*write_conf)(const peer *p, const char *certs, const char *chain, unsigned backend, const char *more), const char *more)
{
    launch l;
    int tries;
    const char *program = peer_find(name);
    char *certs;
    memset(&l, 0, sizeof l);
    l.p.input = -1;
    if (program == NULL) return l;
    snprintf(l.program, sizeof l.program, "%s", program);
    l.options = options;
    certs = realpath(harness_cert(""), NULL);
    assert_non_null(certs);
    for (tries = 0; tries < 5; tries++) {
        l.p = peer_new();
        l.p.port = free_port(false);
        write_conf(&l.p, certs, chain, backend, more != NULL ? more : "");
        if (launch_spawn(&l)) break;
        if (tries < 4) peer_stop(&l.p);
    }
    free(certs);
    if (tries == 5) peer_fail(&l.p, name);
    return l;
}

/* nginx as peers.h starts it, as something that can be started again. */
static HARNESS_UNUSED launch launch_nginx(const char *chain, unsigned backend, const char *more)
{
    static const char *const options[] = { "-c", NULL };
    const char *program;
    launch l;
    memset(&l, 0, sizeof l);
    l.p = peer_nginx(chain, backend, more);
    program = l.p.pid != 0 ? peer_find("nginx") : NULL;
    l.options = options;
    if (program != NULL) snprintf(l.program, sizeof l.program, "%s", program);
    return l;
}

static void stunnel_conf(const peer *p, const char *certs, const char *chain, unsigned backend, const char *more)
{
    char text[2048];
    snprintf(text, sizeof text,
        "foreground = yes\nsyslog = no\ndebug = 5\npid = %s/pid\n"
        "[gate]\naccept = 127.0.0.1:%u\nconnect = 127.0.0.1:%u\ncert = %s/%s-chain.pem\nkey = %s/%s-key.pem\noptions = NO_TICKET\nTIMEOUTclose = 0\n%s\n",
        p->dir, p->port, backend, certs, chain, certs, chain, more);
    peer_write(p, "conf", text);
}

/* pid 0: not installed. `more` are further lines of its service. */
static HARNESS_UNUSED launch launch_stunnel(const char *chain, unsigned backend, const char *more)
{
    static const char *const options[] = { NULL };
    return launch_new("stunnel", options, chain, backend, stunnel_conf, more);
}

static void haproxy_conf(const peer *p, const char *certs, const char *chain, unsigned backend, const char *more)
{
    char text[2048], command[1024];
    snprintf(command, sizeof command, "cat '%s/%s-chain.pem' '%s/%s-key.pem' >'%s/both.pem'", certs, chain, certs, chain, p->dir);
    assert_int_equal(system(command), 0);
    snprintf(text, sizeof text,
        "global\nmaxconn 50\ntune.ssl.cachesize 1000\n"
        "defaults\nmode http\ntimeout connect 5s\ntimeout client 10s\ntimeout server 10s\ntimeout http-keep-alive 10s\n"
        "frontend gate\nbind 127.0.0.1:%u ssl crt %s/both.pem no-tls-tickets ssl-min-ver TLSv1.2 %s\ndefault_backend api\n"
        "backend api\nserver api 127.0.0.1:%u\n", p->port, p->dir, more, backend);
    peer_write(p, "conf", text);
}

/* pid 0: not installed. `more` are further words of its bind line. */
static HARNESS_UNUSED launch launch_haproxy(const char *chain, unsigned backend, const char *more)
{
    static const char *const options[] = { "-db", "-f", NULL };
    return launch_new("haproxy", options, chain, backend, haproxy_conf, more);
}

#endif
