/* A module whose factories hand state over, well or badly: the configuration
 * says how, in words that are looked for in its text. */
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include "sidegate.h"

#define MEBIBYTE (1024 * 1024)

typedef struct keeper {
    char config[128];
    char kept[64];
} keeper;

static uint64_t exports, imports, destroyed;
static _Atomic int released;

static int says(const keeper *it, const char *word) { return strstr(it->config, word) != NULL; }

static void hang(void) {
    const struct timespec moment = {0, 1000000};
    while (!atomic_load(&released)) nanosleep(&moment, NULL);
}

static uint32_t configure(void *object, const sidegate_create_args_v1 *args) {
    keeper *it = object;
    if (args->config.len >= sizeof it->config) return sidegate_error(args->error, NULL, "too long");
    memcpy(it->config, args->config.ptr, args->config.len);
    atomic_store(&released, 0);
    if (sidegate_metric(args, SIDEGATE_METRIC_COUNTER, "exports", &exports) != SIDEGATE_OK ||
        sidegate_metric(args, SIDEGATE_METRIC_COUNTER, "destroyed", &destroyed) != SIDEGATE_OK)
        return SIDEGATE_FAILED;
    return sidegate_metric(args, SIDEGATE_METRIC_COUNTER, "imports", &imports);
}

static void release(void *object) {
    (void)object;
    sidegate_host->metric_add(sidegate_self, destroyed, 1);
}

static uint32_t export_state(void *factory, sidegate_state_out *out, sidegate_error_out_v1 *error) {
    static char block[MEBIBYTE];
    const keeper *it = factory;
    uint32_t i, result = SIDEGATE_OK;
    if (says(it, "export-hangs")) hang();
    sidegate_host->metric_add(sidegate_self, exports, 1);
    if (says(it, "has-none")) return SIDEGATE_NOT_FOUND;
    if (says(it, "export-fails")) {
        sidegate_state_write(sidegate_host, out, sidegate_str("half"));
        return sidegate_error(error, NULL, "out of ink");
    }
    if (says(it, "export-odd")) return 99;
    if (says(it, "at-the-limit") || says(it, "too-long")) {
        for (i = 0; i < 16; i++) result |= sidegate_state_write(sidegate_host, out, sidegate_bytes(block, MEBIBYTE));
        if (result != SIDEGATE_OK) return SIDEGATE_FAILED;
        if (says(it, "too-long")) sidegate_state_write(sidegate_host, out, sidegate_str("x"));
        return SIDEGATE_OK;
    }
    sidegate_state_write(sidegate_host, out, sidegate_str("of "));
    return sidegate_state_write(sidegate_host, out, sidegate_str("before"));
}

static uint32_t import_state(void *factory, sidegate_slice state, sidegate_error_out_v1 *error) {
    keeper *it = factory;
    if (says(it, "import-hangs")) hang();
    sidegate_host->metric_add(sidegate_self, imports, 1);
    if (says(it, "import-fails")) return sidegate_error(error, NULL, "cannot read it");
    if (state.len < sizeof it->kept) memcpy(it->kept, state.ptr, state.len);
    return SIDEGATE_OK;
}

static uint32_t begin(void *object, void *config, void *worker_state) {
    (void)worker_state;
    *(const keeper **)object = config;
    return SIDEGATE_OK;
}

static uint32_t tell(void *filter, const sidegate_hook_v1 *hook) {
    const keeper *it = *(const keeper **)filter;
    sidegate_slice value;
    if (sidegate_host->header_get(hook->stream, SIDEGATE_MAP_REQUEST, sidegate_str("x-release"), &value) == SIDEGATE_OK)
        atomic_store(&released, 1);
    sidegate_host->header_set(hook->stream, SIDEGATE_MAP_REQUEST, sidegate_str("x-kept"), sidegate_str(it->kept));
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t go_on(void *filter, const sidegate_hook_v1 *hook) {
    (void)filter, (void)hook;
    return SIDEGATE_STATUS_CONTINUE;
}

SIDEGATE_FILTER(keeps, "keeps", SIDEGATE_CONFIG(keeper, configure, release),
                SIDEGATE_STREAM(const keeper *, begin, NULL),
                SIDEGATE_ON_REQUEST_HEADERS(tell, SIDEGATE_IN_BEFORE_ROUTE), SIDEGATE_STATE(export_state, import_state))
SIDEGATE_FILTER(plain, "plain", SIDEGATE_ON_REQUEST_HEADERS(go_on, SIDEGATE_IN_BEFORE_ROUTE))
SIDEGATE_MODULE("state", "1.0.0", keeps, plain)
