/* A program's use of the public half that needs no network. Works as C and C++. */
#ifndef USE_H
#define USE_H

#include "compshare.h"
#include <string.h>

/* 0: everything answers as it should. The name is the includer's own. */
static int USE_NAME(void)
{
    static unsigned char memory[COMPSHARE_MEMORY];
    char text[256];
    compshare *client = NULL;
    compshare_config config;
    compshare_param param = compshare_int("Limit", 5);
    compshare_target target;
    struct price { char yuan[16]; int64_t cards; } price;
    static const compshare_field fields[] = {
        COMPSHARE_FIELD_DECIMAL(struct price, yuan, "Instance"),
        COMPSHARE_FIELD(struct price, cards, "Gpu", "GPU", COMPSHARE_KIND_INT, COMPSHARE_REQUIRED)
    };
    memset(&config, 0, sizeof config);
    memset(&target, 0, sizeof target);
    if (strcmp(compshare_version(), COMPSHARE_VERSION) != 0) return 1;
    if (strcmp(compshare_status_name(COMPSHARE_E_TIMEOUT), "COMPSHARE_E_TIMEOUT") != 0) return 2;
    if (compshare_open(&client, &config) != COMPSHARE_E_CONFIG || client != NULL) return 3;
    if (strstr(compshare_open_text(&config, text, sizeof text), "public_key") == NULL) return 4;
    config.memory = memory;
    config.memory_size = sizeof memory;
    config.public_key = "public";
    config.private_key = "private";
    config.region = "cn-wlcb";
    if (compshare_memory_needed(&config) > sizeof memory) return 5;
    if (compshare_open(&client, &config) != COMPSHARE_OK) return 6;
    if (compshare_call(client, "bad action", &param, 1) != COMPSHARE_E_PARAM) return 7;
    if (compshare_last_error(client)->status != COMPSHARE_E_PARAM) return 8;
    if (compshare_type(compshare_reply(client)) != COMPSHARE_NONE) return 9;
    if (compshare_update_stop_scheduler(client, &target, 1) >= 0) return 10;
    if (compshare_step(client) != COMPSHARE_E_IDLE) return 11;
    price.cards = 1;
    if (compshare_read(compshare_reply(client), fields, 2, &price) != COMPSHARE_E_TYPE || price.cards != 0) return 12;
    compshare_close(client);
    return 0;
}

#endif
