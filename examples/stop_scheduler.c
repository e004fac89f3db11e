/* stop_scheduler UHOST_ID SECONDS: sets an instance's timed shutdown, SECONDS from now on the
   server's clock; 0 cancels it. Environment: COMPSHARE_PUBLIC_KEY, COMPSHARE_PRIVATE_KEY, and
   optionally COMPSHARE_REGION, COMPSHARE_PROJECT_ID (both: as the API says), COMPSHARE_BASE_URL
   and COMPSHARE_CA_FILE. Exit status 0 only when the API shows what was asked for. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static unsigned char memory[COMPSHARE_MEMORY];  /* all that the client ever uses */

static void print_time(time_t t)
{
    const struct tm *when = gmtime(&t);
    if (when != NULL) printf("%d-%02d-%02d %02d:%02d:%02d", when->tm_year + 1900, when->tm_mon + 1, when->tm_mday, when->tm_hour, when->tm_min, when->tm_sec);
}

static void print_plan(const compshare_schedule *s)
{
    printf("instance   %s, %s, %s, %s\n", s->uhost_id, s->state, s->charge_type, s->zone);
    if (s->stop_time == 0) {
        puts("confirmed  no timed shutdown");
        return;
    }
    printf("confirmed  ");
    print_time((time_t)(s->stop_time + 8 * 3600));      /* UTC+8 all year */
    printf(" Beijing time, ");
    print_time((time_t)s->stop_time);
    printf(" UTC, in %lld h %lld min\n", (long long)(s->seconds_left + 30) / 3600, (long long)(s->seconds_left + 30) / 60 % 60);
    if (s->caveats & COMPSHARE_KEEPS_BILLING) puts("note       prepaid: it is billed on while stopped");
    if (s->caveats & COMPSHARE_GETS_RELEASED) puts("note       7 days after it stops it is released, with its data");
}

int main(int argc, char **argv)
{
    compshare *client;
    compshare_schedule schedule;
    compshare_plan plan = { NULL, 0, 0, 0 };
    compshare_config config = { 0 };
    char text[COMPSHARE_ERROR_TEXT], *end = NULL;
    int status;
    plan.in_seconds = argc == 3 ? strtoll(argv[2], &end, 10) : 0;
    if (end == NULL || end == argv[2] || *end != '\0' || plan.in_seconds < 0)
        return fprintf(stderr, "usage: stop_scheduler UHOST_ID SECONDS\n"), 1;
    plan.uhost_id = argv[1];

    config.memory = memory;
    config.memory_size = sizeof memory;
    config.public_key = getenv("COMPSHARE_PUBLIC_KEY");
    config.private_key = getenv("COMPSHARE_PRIVATE_KEY");
    config.region = getenv("COMPSHARE_REGION");
    config.project_id = getenv("COMPSHARE_PROJECT_ID");
    config.base_url = getenv("COMPSHARE_BASE_URL");
    config.ca_file = getenv("COMPSHARE_CA_FILE");
    if (compshare_open(&client, &config) != COMPSHARE_OK)
        return fprintf(stderr, "stop_scheduler: %s\n", compshare_open_text(&config, text, sizeof text)), 1;

    status = plan.in_seconds > 0 ? compshare_schedule_set(client, &plan, &schedule)
        : compshare_schedule_cancel(client, plan.uhost_id, &schedule);
    if (status == COMPSHARE_OK) print_plan(&schedule);
    else fprintf(stderr, "stop_scheduler: %s\n", compshare_error_text(client, text, sizeof text));
    compshare_close(client);
    return status == COMPSHARE_OK ? 0 : 1;
}
