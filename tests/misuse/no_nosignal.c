/* A system that has no way to write to a closed connection without SIGPIPE. */
#include <sys/socket.h>
#undef MSG_NOSIGNAL
#undef SO_NOSIGPIPE
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
