/* Runs files, and the files of directories, through a fuzz target: seeds and
   reproducers, with any compiler. Under AFL++ it is the target's loop as well. */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long runs;

/* Freed by the caller; exactly as long as the file, so that sanitizers see the end. */
static uint8_t *whole_file(FILE *f, size_t *len)
{
    size_t room = 65536, n;
    uint8_t *all = (uint8_t *)malloc(room), *fit;
    *len = 0;
    while (all != NULL && (n = fread(all + *len, 1, room - *len, f)) > 0) {
        *len += n;
        if (*len == room) all = (uint8_t *)realloc(all, room *= 2);
    }
    fit = (uint8_t *)malloc(*len > 0 ? *len : 1);
    if (all == NULL || fit == NULL) exit(2);
    memcpy(fit, all, *len);
    free(all);
    return fit;
}

static int run_file(const char *path)
{
    size_t len;
    uint8_t *data;
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fprintf(stderr, "%s: cannot be opened\n", path);
        return 1;
    }
    data = whole_file(f, &len);
    (void)fclose(f);
    (void)LLVMFuzzerTestOneInput(data, len);
    free(data);
    runs++;
    return 0;
}

static int run_path(const char *path)
{
    struct dirent *entry;
    int failed = 0;
    DIR *dir = opendir(path);
    if (dir == NULL) return run_file(path);
    while ((entry = readdir(dir)) != NULL) {
        char inner[4096];
        if (entry->d_name[0] == '.') continue;
        if (snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) < (int)sizeof inner) failed |= run_path(inner);
    }
    (void)closedir(dir);
    return failed;
}

int main(int argc, char **argv)
{
    int i, failed = 0;
    for (i = 1; i < argc; i++) failed |= run_path(argv[i]);
    printf("%ld inputs\n", runs);
    return failed;
}
