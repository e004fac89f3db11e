/* stop_scheduler UHOST_ID SECONDS: sets an instance's timed shutdown, reads it back.
   Environment: COMPSHARE_PUBLIC_KEY, COMPSHARE_PRIVATE_KEY, and optionally COMPSHARE_REGION
   (cn-wlcb), COMPSHARE_ZONE, COMPSHARE_PROJECT_ID (both: as the API says), COMPSHARE_BASE_URL
   and COMPSHARE_CA_FILE. Exit status 0 only when the API shows the time asked for. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static unsigned char memory[COMPSHARE_MEMORY];  /* all that the client ever uses */
static compshare *client;
static int failed(void)
{
    char text[1024];
    fprintf(stderr, "stop_scheduler: %s\n", compshare_error_text(client, text, sizeof text));
    compshare_close(client);
    return 1;
}

static void print_time(const char *label, const struct tm *when, const char *zone)
{
    char text[40];
    if (when != NULL && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", when) > 0) printf("%s%s %s", label, text, zone);
}

int main(int argc, char **argv)
{
    compshare_project project = { "", "", false };
    compshare_instance instance;
    compshare_target target = { NULL, NULL, NULL, NULL };
    compshare_config config = { 0 };
    char text[512], *end = NULL;
    long long seconds = argc == 3 ? strtoll(argv[2], &end, 10) : 0, at;
    time_t local, beijing;
    int tries = 0;
    if (end == NULL || end == argv[2] || *end != '\0' || seconds <= 0 || seconds > 3650LL * 86400)
        return fprintf(stderr, "usage: stop_scheduler UHOST_ID SECONDS\n"), 1;
    config.memory = memory;
    config.memory_size = sizeof memory;
    config.public_key = getenv("COMPSHARE_PUBLIC_KEY");
    config.private_key = getenv("COMPSHARE_PRIVATE_KEY");
    config.region = getenv("COMPSHARE_REGION") != NULL ? getenv("COMPSHARE_REGION") : "cn-wlcb";
    config.zone = getenv("COMPSHARE_ZONE");
    config.project_id = getenv("COMPSHARE_PROJECT_ID");
    config.base_url = getenv("COMPSHARE_BASE_URL");
    config.ca_file = getenv("COMPSHARE_CA_FILE");
    if (compshare_open(&client, &config) != COMPSHARE_OK)
        return fprintf(stderr, "stop_scheduler: %s\n", compshare_open_text(&config, text, sizeof text)), 1;

    /* Which project, and where the instance is. */
    if (config.project_id == NULL && compshare_get_project_list(client, &project, NULL, NULL) != COMPSHARE_OK) return failed();
    target.project_id = config.project_id != NULL ? config.project_id : project.project_id;
    target.uhost_id = argv[1];
    if (compshare_describe_instance(client, &target, &instance) != COMPSHARE_OK) return failed();
    target.zone = config.zone != NULL ? config.zone : instance.zone;
    printf("project    %s %s\ninstance   %s, %s, %s\n", target.project_id, project.project_name, instance.uhost_id, instance.state, instance.zone);

    /* The server's clock counts: it judges the time, and it pulls the plug. */
    at = (long long)(compshare_server_time(client) != 0 ? compshare_server_time(client) : (int64_t)time(NULL)) + seconds;
    if (compshare_update_stop_scheduler(client, &target, at) != COMPSHARE_OK) return failed();
    printf("set        %lld\n", at);

    /* Accepted is not done: read it back; a change may take a moment to show. */
    do {
        const struct timespec second = { tries > 0 ? 1 : 0, 0 };
        nanosleep(&second, NULL);
        if (compshare_describe_instance(client, &target, &instance) != COMPSHARE_OK) return failed();
    } while (instance.stop_time != at && ++tries < 5);
    compshare_close(client);
    if (instance.stop_time != at)
        return fprintf(stderr, "stop_scheduler: NOT CONFIRMED: asked for %lld, the API shows %lld\n", at, (long long)instance.stop_time), 1;
    local = (time_t)at;
    beijing = local + 8 * 3600;     /* UTC+8 all year */
    print_time("confirmed  ", localtime(&local), "local time");
    print_time(", ", gmtime(&beijing), "Beijing time");
    return printf(", in %lld h %lld min\n", seconds / 3600, seconds / 60 % 60) < 0;
}
