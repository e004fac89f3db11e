/* base: what every part of the tools stands on: the system, the library, exit statuses. */

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

/* `make static CA=FILE` puts the roots into the program. */
#ifdef SCHEDULE_CA
static const char embedded_roots[] =
#include SCHEDULE_CA
    ;
#endif

enum { DONE, USAGE, CONFIGURATION, REFUSED, NETWORK, UNCONFIRMED, UNSCHEDULABLE, FOUND, UNARMED = 125, NOT_RUNNABLE, NO_COMMAND };

