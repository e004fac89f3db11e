/* ==== self ========================================================================

   Does:  finds which instance this host is: the environment says so, or exactly one
          instance of the account has a private address and its MAC in common with it.
   May:   read this host's interfaces, and list the account's instances.
   Never: guesses: of none or of several it takes none. */

typedef struct address { char name[IFNAMSIZ], ip[48], mac[24]; } address;
typedef struct identity { address own[32]; size_t count, found; char ids[256], id[64]; } identity;

/* The MAC of an entry of the list, if it is one of the link layer. */
static void note_mac(address *a, const struct ifaddrs *i)
{
    const unsigned char *mac;
#ifdef __linux__
    const struct sockaddr_ll *link = (const struct sockaddr_ll *)(const void *)i->ifa_addr;
    if (i->ifa_addr->sa_family != AF_PACKET || link->sll_halen != 6) return;
    mac = link->sll_addr;
#else
    const struct sockaddr_dl *link = (const struct sockaddr_dl *)(const void *)i->ifa_addr;
    if (i->ifa_addr->sa_family != AF_LINK || link->sdl_alen != 6) return;
    mac = (const unsigned char *)LLADDR(link);
#endif
    (void)snprintf(a->mac, sizeof a->mac, "%02x:%02x:%02x:%02x:%02x:%02x",
        mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* The MAC of an interface, which an alias ("eth0:1") shares with it. */
static void find_mac(address *a, const struct ifaddrs *list)
{
    const struct ifaddrs *i;
    size_t len = strcspn(a->name, ":");
    for (i = list; i != NULL && a->mac[0] == '\0'; i = i->ifa_next)
        if (i->ifa_addr != NULL && strlen(i->ifa_name) == len
            && strncmp(i->ifa_name, a->name, len) == 0) note_mac(a, i);
}

/* This host's IPv4 addresses, each with the MAC of its interface. */
static void list_addresses(identity *self)
{
    struct ifaddrs *list, *i;
    if (getifaddrs(&list) != 0) return;
    for (i = list; i != NULL && self->count < COUNT(self->own); i = i->ifa_next) {
        address *a = &self->own[self->count];
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)i->ifa_addr;
        const unsigned char *ip;
        if (in == NULL || in->sin_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK)) continue;
        ip = (const unsigned char *)&in->sin_addr;
        (void)snprintf(a->name, sizeof a->name, "%s", i->ifa_name);
        (void)snprintf(a->ip, sizeof a->ip, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
        find_mac(a, list);
        self->count += a->mac[0] != '\0';
    }
    freeifaddrs(list);
}

/* A member of an address in a reply. */
static bool has_text(compshare_value shown, const char *member, char *buf, size_t cap)
{
    return compshare_copy_text(compshare_get(shown, member), buf, cap) >= 0;
}

static bool is_own_address(const identity *self, compshare_value shown)
{
    char type[16], ip[48], mac[24];
    size_t k;
    if (!has_text(shown, "Type", type, sizeof type) || strcmp(type, "Private") != 0) return false;
    if (!has_text(shown, "IP", ip, sizeof ip) || !has_text(shown, "Mac", mac, sizeof mac))
        return false;
    for (k = 0; k < self->count; k++)
        if (strcmp(self->own[k].ip, ip) == 0 && strcasecmp(self->own[k].mac, mac) == 0) return true;
    return false;
}

static bool is_own(const identity *self, compshare_value element)
{
    compshare_value at = compshare_first(compshare_get(element, "IPSet"));
    for (; compshare_type(at) == COMPSHARE_OBJECT; at = compshare_next(at))
        if (is_own_address(self, at)) return true;
    return false;
}

static void append_id(identity *self, const char *id)
{
    size_t len = strlen(self->ids);
    if (strstr(self->ids, id) != NULL) return;      /* a list may show one twice */
    (void)snprintf(self->ids + len, sizeof self->ids - len, "%s%s", len > 0 ? ", " : "", id);
}

static int match_self(void *user, const compshare_instance *i, compshare_value element)
{
    identity *self = (identity *)user;
    bool own = is_own(self, element);
    if (own && strcmp(self->id, i->uhost_id) == 0) return 0;
    if (own && self->found++ == 0) {
        self->ids[0] = '\0';
        memcpy(self->id, i->uhost_id, sizeof self->id);
    }
    if (own || self->found == 0) append_id(self, i->uhost_id);
    return 0;
}

/* As the environment names it. */
static int self_of_environment(const char *id, char *why, size_t cap)
{
    size_t len;
    if (is_id(id)) return DONE;
    len = (size_t)snprintf(why, cap, tr(M_SELF_FAILED), "");
    (void)snprintf(why + len, cap - len, tr(M_BAD_UHOST), id);
    return CONFIGURATION;
}

/* Which instance this is: DONE with its id, or the exit status with what is wrong. */
static int find_self(const char **id, char *why, size_t cap)
{
    static identity self;
    static const options anywhere;
    fleet f;
    int status;
    *id = from_environment("COMPSHARE_UHOST_ID");
    if (*id == NULL) *id = from_environment("COMPSHARE_INSTANCE_ID");
    if (*id != NULL) return self_of_environment(*id, why, cap);
    memset(&f, 0, sizeof f);
    memset(&self, 0, sizeof self);
    f.o = &anywhere;
    list_addresses(&self);
    status = find_projects(&f, NULL);
    if (status == COMPSHARE_OK) status = list_projects(&f, match_self, &self);
    free(f.projects);
    *id = self.id;
    if (status != COMPSHARE_OK) {
        (void)snprintf(why, cap, tr(M_SELF_FAILED), error_text());
        return read_outcome(status);
    }
    if (self.found == 1) return DONE;
    (void)snprintf(why, cap, tr(self.found == 0 ? M_NOT_SELF : M_TWO_SELVES), self.ids);
    return UNSCHEDULABLE;
}

/* Replaces "self" by an id. */
static int resolve_self(chosen *c)
{
    char why[600];
    const char *id;
    size_t i;
    int code;
    for (i = 0; i < c->count && strcmp(c->ids[i], "self") != 0; i++) {}
    if (i == c->count) return DONE;
    if ((code = find_self(&id, why, sizeof why)) != DONE) return refuse(code, M_FAILED, why);
    free(c->ids[i]);
    c->ids[i] = strdup(id);
    return c->ids[i] != NULL ? DONE : refuse(CONFIGURATION, M_NO_MEMORY);
}
