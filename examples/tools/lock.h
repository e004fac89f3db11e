/* ==== lock ========================================================================

   Does:  keeps the runs of this user on this host from undoing each other's leases: a file
          for each instance, locked by all that lease it, with the times they have asked for.
   May:   write in this user's own directories, and nowhere that others can write to.
   Never: waits for another run. */

typedef struct lock {
    int file;                   /* -1: there is none */
    bool held;                  /* with all others that lease the instance */
    char times[4097];           /* the newest of them, as last read */
} lock;

/* Whether a directory is this user's, and nobody else of those that `mode` stands for can
   write to it. */
static bool is_private(const char *path, mode_t mode)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid()
        && (info.st_mode & mode) == 0;
}

/* `below` of `base`, whose last part is the program's own. */
static bool make_private(char *path, size_t cap, const char *base, const char *below)
{
    const char *slash;
    if (base == NULL || base[0] != '/' || !is_private(base, S_IWOTH)) return false;
    for (slash = strchr(below, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        (void)snprintf(path, cap, "%s/%.*s", base, (int)(slash - below), below);
        (void)mkdir(path, 0700);
    }
    (void)snprintf(path, cap, "%s/%s", base, below);
    (void)mkdir(path, 0700);
    return is_private(path, S_IWGRP | S_IWOTH);
}

static bool lock_directory(char *path, size_t cap)
{
#ifdef SCHEDULE_TEST_CLOCK
    const char *test = from_environment("COMPSHARE_TEST_LOCKS");
    if (test != NULL) {
        (void)snprintf(path, cap, "%s", test);
        return true;
    }
#endif
    return make_private(path, cap, from_environment("XDG_RUNTIME_DIR"), "compshare-schedule")
        || make_private(path, cap, from_environment("XDG_STATE_HOME"), "compshare-schedule")
        || make_private(path, cap, from_environment("HOME"), ".local/state/compshare-schedule");
}

/* Whoever is last on its way out has it alone for a moment: tried again with every
   renewal. */
static void try_lock(lock *k)
{
    if (k->file >= 0 && !k->held) k->held = flock(k->file, LOCK_SH | LOCK_NB) == 0;
}

static void leave_lock(lock *k)
{
    if (k->file >= 0) (void)close(k->file);
    k->file = -1;
}

/* Neither a symbolic link nor a second name of some file of ours is written to. */
static void open_lock(lock *k, const char *uhost_id)
{
    char dir[PATH_MAX - 128], path[PATH_MAX];
    struct stat info;
    if (!lock_directory(dir, sizeof dir)) {
        say(M_NO_LOCK, dir);
        return;
    }
    (void)snprintf(path, sizeof path, "%s/compshare-schedule-%s.lock", dir, uhost_id);
    k->file = open(path,
        O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (k->file >= 0
        && (fstat(k->file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 1))
        leave_lock(k);
    try_lock(k);
    if (k->file >= 0 && !k->held && errno != EWOULDBLOCK)
        leave_lock(k);          /* a file system without locks */
    if (k->file < 0) say(M_NO_LOCK, path);
    else if (info.st_size > 65536) (void)!ftruncate(k->file, 0);
}

/* Whether another run on this host still leases the instance. Of several that end
   together at least one finds itself alone: a failed attempt drops the lock. */
static bool shared_with_others(const lock *k)
{
    return k->file >= 0 && flock(k->file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

static void write_time(const lock *k, int64_t time)
{
    char line[32];
    int len = snprintf(line, sizeof line, "%lld\n", (long long)time);
    if (k->file >= 0) (void)!write(k->file, line, (size_t)len);
}

static const char *read_times(lock *k)
{
    off_t size = k->file >= 0 ? lseek(k->file, 0, SEEK_END) : 0;
    ssize_t n = 0;
    if (size > 0) n = pread(k->file, k->times, sizeof k->times - 1, size > 4096 ? size - 4096 : 0);
    k->times[n > 0 ? n : 0] = '\0';
    return k->times;
}
