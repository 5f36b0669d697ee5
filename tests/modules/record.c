/* A module that does nothing, and what can be wrong with such a file before
 * any code of it runs. Each -D switches one mistake on. */
#include "sidegate.h"

#ifdef LEAVE_OUT_RECORD
#elif defined(RECORD_IN_BSS)
sidegate_module_record_v1 sidegate_module_v1_storage;
__asm__(".globl sidegate_module_v1\n.type sidegate_module_v1, @object\n.size sidegate_module_v1, 280\n"
        ".set sidegate_module_v1, sidegate_module_v1_storage");
#elif defined(RECORD_IS_SHORT)
const char sidegate_record_storage[40] __asm__("sidegate_module_v1") __attribute__((visibility("default"))) =
    "SIDEGATE\x28\0\0\0\1\0\0";
#elif defined(RECORD_IS_TINY)
const char sidegate_record_storage[4] __asm__("sidegate_module_v1") __attribute__((visibility("default"))) = "SID";
#else
#ifndef MAGIC
#define MAGIC 'S', 'I', 'D', 'E', 'G', 'A', 'T', 'E'
#endif
#ifndef RECORD_SIZE
#define RECORD_SIZE sizeof(sidegate_module_record_v1)
#endif
#ifndef MAJOR
#define MAJOR SIDEGATE_ABI_MAJOR
#endif
#ifndef MIN_HOST_MINOR
#define MIN_HOST_MINOR 0
#endif
#ifndef PANIC
#define PANIC SIDEGATE_PANIC_NONE
#endif
#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef NAME
#define NAME "record"
#endif
const sidegate_module_record_v1 sidegate_module_v1 = {
    {MAGIC}, RECORD_SIZE, MAJOR, SIDEGATE_ABI_MINOR, MIN_HOST_MINOR, PANIC, FLAGS, NAME, "1.2.3", "sidegate.h", "1.0",
    "cc", "", {0},
};
#endif

/* A manifest, or one that lies. */
#if defined(MANIFEST)
SIDEGATE_MANIFEST(MANIFEST)
#elif defined(MANIFEST_BYTES)
const unsigned char sidegate_manifest_storage[] __asm__("sidegate_manifest_v1")
    __attribute__((visibility("default"))) = {MANIFEST_BYTES};
#elif defined(MANIFEST_IS_WRITABLE)
unsigned char sidegate_manifest_storage[] __asm__("sidegate_manifest_v1")
    __attribute__((visibility("default"))) = "SGMANIF1\2\0\0\0\0\0\0\0{}";
#elif defined(MANIFEST_IN_BSS)
char sidegate_manifest_storage[64] __asm__("sidegate_manifest_v1") __attribute__((visibility("default")));
#elif defined(MANIFEST_IS_RELOCATED)
const void *const sidegate_manifest_storage[4] __asm__("sidegate_manifest_v1")
    __attribute__((visibility("default"))) = {sidegate_manifest_storage, 0, 0, 0};
#elif defined(MANIFEST_IS_A_FUNCTION)
__attribute__((visibility("default"))) void sidegate_manifest_v1(void);
void sidegate_manifest_v1(void) {}
#endif

#ifdef CALL_NOBODY
void nobody_defines_this(void);
void nobody_defines_that(void);
#endif
#ifdef CALL_MATH
#include <math.h>
volatile double input = 2.0;
#endif
#ifdef CALL_PROCESSES
#include <spawn.h>
#include <stdlib.h>
#include <unistd.h>
#endif
#ifdef STATIC_TLS
__thread int here __attribute__((tls_model("initial-exec")));
#endif

#ifdef INIT_FLAG_FILE
#include <stdio.h>
/* Tells that code of the file ran. */
__attribute__((constructor)) static void started(void) {
    FILE *file = fopen(INIT_FLAG_FILE, "w");
    if (file) fclose(file);
}
#endif

static void destroy(void *object) { (void)object; }

static uint32_t create_filter(void *factory, uint32_t worker, void *state, void **filter) {
    (void)factory, (void)worker, (void)state, (void)filter;
    return SIDEGATE_OK;
}

static uint32_t go_on(void *filter, const sidegate_hook_v1 *hook) {
    (void)filter, (void)hook;
#ifdef CALL_NOBODY
    nobody_defines_this();
    nobody_defines_that();
#endif
#ifdef CALL_MATH
    input = tgamma(input);
#endif
#ifdef STATIC_TLS
    here++;
#endif
#ifdef CALL_PROCESSES
    char *const none[] = {0};
    if (fork() == 0) execv("", none);
    if (posix_spawn(0, "", 0, 0, none, none) || system("")) _exit(1);
    exit(1);
#endif
    return SIDEGATE_STATUS_CONTINUE;
}

static const sidegate_factory_table_v1 factory_table = {
    .size = sizeof factory_table, .destroy = destroy, .create_filter = create_filter};
static const sidegate_filter_table_v1 filter_table = {
    .size = sizeof filter_table, .destroy = destroy, .on_request_headers = go_on};

#ifdef CREATE_IS_DATA
const char create_storage[16] __asm__("sidegate_create_filter_factory_v1") __attribute__((visibility("default"))) = "";
uint32_t make(const sidegate_create_args_v1 *args, sidegate_create_result_v1 *result);
uint32_t make
#elif defined(LEAVE_OUT_CREATE)
uint32_t make(const sidegate_create_args_v1 *args, sidegate_create_result_v1 *result);
uint32_t make
#else
SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1
#endif
    (const sidegate_create_args_v1 *args, sidegate_create_result_v1 *result) {
    (void)args;
    result->factory_table = &factory_table;
    result->filter_table = &filter_table;
    result->interests.phases = 1U << SIDEGATE_PHASE_BEFORE_ROUTE;
    return SIDEGATE_OK;
}
