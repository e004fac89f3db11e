/* ==== base ========================================================================

   What every part of the tools stands on: the library, the system, the exit statuses.

   The tools are two programs made of one set of parts. A part is one file, included once
   by a program's main file, so that a program stays one translation unit. Each begins with
   a banner that says what it does, what it may touch and what it must never do. A part
   calls only parts above it:

       base      the system, exit statuses
       print     printf, made for size, and the columns that a text takes
       messages  every text, English and Chinese
       text      lines, refusals, JSON
       times     points in time and durations, read and shown
       clock     the two clocks
       options   the command line of any of the programs
       account   credentials, profile, proxy, the client, how a call ended
       ------    compshare-invoke: the parts above; compshare-schedule: all of them
       schedule  its verbs and options
       instance  an instance, as a line or as JSON
       fleet     the lists of an account's instances
       change    set, extend, cancel
       show      show, audit
       self      which instance this host is
       signals   what is sent to `run`: noted, and passed on to its command
       job       the command, or the process, that a lease is for
       lease     what a lease does next: decisions only
       lock      other runs on this host
       run       the lease, kept by asking lease and telling the API
       doctor    doctor

   A program defines PROGRAM, its name, and MESSAGES(X), the tables of messages that it
   says, before it includes them. */

#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <netpacket/packet.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#else
#include <net/if_dl.h>
#endif

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

#define COUNT(array) (sizeof (array) / sizeof (array)[0])

/* Exit statuses, as compshare-schedule(1) lists them. */
enum {
    DONE, USAGE, CONFIGURATION, REFUSED, NETWORK, UNCONFIRMED, UNSCHEDULABLE, FOUND,
    UNARMED = 125, NOT_RUNNABLE, NO_COMMAND
};

