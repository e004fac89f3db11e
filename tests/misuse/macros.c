/* Function-like macros of the names of socket functions, as lwIP's headers have them, in
   front of compshare.h. Where that uses sockets, the system's headers come first: they
   would not survive such macros themselves. */
#ifndef COMPSHARE_NO_SOCKETS
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#endif

#define accept(s, addr, addrlen) lwip_accept(s, addr, addrlen)
#define bind(s, name, namelen) lwip_bind(s, name, namelen)
#define shutdown(s, how) lwip_shutdown(s, how)
#define getsockopt(s, level, name, value, len) lwip_getsockopt(s, level, name, value, len)
#define setsockopt(s, level, name, value, len) lwip_setsockopt(s, level, name, value, len)
#define connect(s, name, namelen) lwip_connect(s, name, namelen)
#define listen(s, backlog) lwip_listen(s, backlog)
#define recv(s, mem, len, flags) lwip_recv(s, mem, len, flags)
#define send(s, data, size, flags) lwip_send(s, data, size, flags)
#define socket(domain, type, protocol) lwip_socket(domain, type, protocol)
#define select(maxfdp1, readset, writeset, exceptset, timeout) lwip_select(maxfdp1, readset, writeset, exceptset, timeout)
#define poll(fds, nfds, timeout) lwip_poll(fds, nfds, timeout)
#define ioctlsocket(s, cmd, argp) lwip_ioctl(s, cmd, argp)
#define read(s, mem, len) lwip_read(s, mem, len)
#define write(s, data, len) lwip_write(s, data, len)
#define close(s) lwip_close(s)
#define fcntl(s, cmd, value) lwip_fcntl(s, cmd, value)
#define ioctl(s, cmd, argp) lwip_ioctl(s, cmd, argp)
#define getaddrinfo(node, service, hints, list) lwip_getaddrinfo(node, service, hints, list)
#define freeaddrinfo(list) lwip_freeaddrinfo(list)
#define open(path, flags) other_open(path, flags)
#define pread(fd, mem, len, offset) other_pread(fd, mem, len, offset)
#define wait(status) other_wait(status)
#define fd(x) other_fd(x)
#define getentropy(mem, len) other_getentropy(mem, len)
#define getrandom(mem, len, flags) other_getrandom(mem, len, flags)

#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"

int main(void)
{
    return compshare_memory_needed(NULL) > 0 ? 0 : 1;
}
