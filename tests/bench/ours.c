/* The client of the benchmark on compshare.h: its public half, and nothing else. */
#define COMPSHARE_STATIC
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "bench.h"

static unsigned char memory[40960];
static compshare_session session;
static compshare_config config;
static compshare *client;
static int64_t stop_time;

static bool call(void)
{
    static const compshare_target target = { BENCH_UHOST, BENCH_REGION, BENCH_ZONE, BENCH_PROJECT };
    char text[COMPSHARE_ERROR_TEXT];
    if (compshare_update_stop_scheduler(client, &target, stop_time) == COMPSHARE_OK) return true;
    (void)bench_fail(compshare_error_text(client, text, sizeof text));
    return false;
}

static bool anew(void)
{
    compshare_close(client);
    return compshare_open(&client, &config) == COMPSHARE_OK;
}

int main(int argc, char **argv)
{
    bench b;
    char text[COMPSHARE_ERROR_TEXT];
    int status;
    if (!bench_arguments(&b, argc, argv)) return bench_fail("usage: ours URL CA_FILE CALLS keep|resume|full");
    config.memory = memory;
    config.memory_size = sizeof memory;
    config.base_url = b.url;
    config.ca_file = b.ca_file;
    config.public_key = b.public_key;
    config.private_key = b.private_key;
    if (b.resume) config.session = &session;
    if (compshare_open(&client, &config) != COMPSHARE_OK)
        return bench_fail(compshare_open_text(&config, text, sizeof text));
    stop_time = bench_stop_time();
    status = bench_run(&b, call, anew);
    compshare_close(client);
    compshare_session_forget(&session);
    return status;
}
