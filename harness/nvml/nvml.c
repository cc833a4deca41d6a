/* A libnvidia-ml.so.1 without a GPU: it answers nvidia-ml-py's calls from a ledger of claims in a file that every
 * process of a test maps ($FAKE_NVML/ledger, layout in harness/gpu.py). A claim ends with its process or a drop;
 * its memory is free some time after that. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7 };
enum { DRIVER_NOT_LOADED = 9, CLAIMS = 64, SENSED = 8 };

struct claim { uint32_t pid, device; uint64_t bytes; double free_at; /* 0: held */ };
struct sensors { uint32_t code /* result of every call */, percent, celsius, milliwatts; };
struct ledger {
    uint64_t total;
    uint32_t devices, padding;
    struct claim claims[CLAIMS];
    struct sensors sensors[SENSED];
};
struct utilization { unsigned int gpu, memory; };
struct memory { unsigned long long total, free, used; };
struct process { unsigned int pid; unsigned long long used; unsigned int gpu_instance, compute_instance; };

static struct ledger *ledger;
static int file = -1, opened;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* one clock for all containers of a host */
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int map(void) {
    char path[4096];
    const char *folder = getenv("FAKE_NVML");
    if (ledger) return SUCCESS;
    if (!folder) return DRIVER_NOT_LOADED;
    snprintf(path, sizeof path, "%s/ledger", folder);
    file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return DRIVER_NOT_LOADED;
    ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (ledger == MAP_FAILED) ledger = NULL;
    return ledger ? SUCCESS : DRIVER_NOT_LOADED;
}

/* Lock the ledger, and delete ended claims. Needs the host's process IDs (`pid: host`). */
static void begin(void) {
    flock(file, LOCK_EX);
    for (struct claim *c = ledger->claims; c < ledger->claims + CLAIMS; c++)
        if (c->bytes && ((kill(c->pid, 0) && errno == ESRCH) || (c->free_at && c->free_at <= now())))
            memset(c, 0, sizeof *c);
}

static int done(int code) { flock(file, LOCK_UN); return code; }

static unsigned long long used(unsigned device) {
    unsigned long long sum = 0;
    for (int i = 0; i < CLAIMS; i++)
        if (ledger->claims[i].device == device) sum += ledger->claims[i].bytes;
    return sum;
}

static unsigned index_of(void *handle) { return (unsigned)((uintptr_t)handle - 1); }

/* 0: the memory is this process's now; 1: out of memory; else NVML's own code. */
int fake_claim(unsigned device, uint64_t bytes) {
    int code = map();
    if (code) return code;
    begin();
    if (device >= ledger->devices || used(device) + bytes > ledger->total) return done(1);
    for (struct claim *c = ledger->claims; c < ledger->claims + CLAIMS; c++)
        if (!c->bytes) {
            *c = (struct claim){.pid = getpid(), .device = device, .bytes = bytes};
            return done(SUCCESS);
        }
    return done(1);
}

/* This process gives back all but `keep` bytes, which are free `late_s` seconds later. */
void fake_drop(uint64_t keep, double late_s) {
    if (map()) return;
    begin();
    for (struct claim *c = ledger->claims; c < ledger->claims + CLAIMS; c++)
        if (c->bytes && c->pid == (uint32_t)getpid() && !c->free_at) {
            if (keep) c->bytes = keep; else c->free_at = now() + late_s;
            keep = 0;
        }
    done(SUCCESS);
}

int nvmlInitWithFlags(unsigned flags) {
    int code = map();
    (void)flags;
    opened += !code;
    return code;
}

int nvmlShutdown(void) {
    if (!opened) return UNINITIALIZED;
    opened--;
    return SUCCESS;
}

const char *nvmlErrorString(int code) { return code == DRIVER_NOT_LOADED ? "Driver Not Loaded" : "Unknown Error"; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    if (!opened) return UNINITIALIZED;
    *count = ledger->devices;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    if (index >= ledger->devices) return INVALID_ARGUMENT;
    if (index < SENSED && ledger->sensors[index].code) return ledger->sensors[index].code;
    *handle = (void *)(uintptr_t)(index + 1);
    return SUCCESS;
}

int nvmlDeviceGetUUID(void *handle, char *text, unsigned length) {
    snprintf(text, length, "GPU-fake-%u", index_of(handle));
    return SUCCESS;
}

int nvmlDeviceGetName(void *handle, char *text, unsigned length) {
    (void)handle;
    snprintf(text, length, "Fake GPU");
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *text, unsigned length) {
    snprintf(text, length, "570.00");
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory) {
    begin();
    memory->total = ledger->total;
    memory->used = used(index_of(handle));
    memory->free = memory->total - memory->used;
    return done(SUCCESS);
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, struct process *found) {
    unsigned room = *count, n = 0;
    begin();
    for (struct claim *c = ledger->claims; c < ledger->claims + CLAIMS; c++)
        if (c->bytes && c->device == index_of(handle)) {
            if (found && n < room) found[n] = (struct process){.pid = c->pid, .used = c->bytes};
            n++;
        }
    *count = n;
    return done(n > room || (n && !found) ? INSUFFICIENT_SIZE : SUCCESS);
}

/* UINT32_MAX stands for what a device cannot tell. */
static int sense(uint32_t value, unsigned *told) {
    *told = value;
    return value == UINT32_MAX ? NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetUtilizationRates(void *handle, struct utilization *rates) {
    rates->memory = 0;
    return sense(ledger->sensors[index_of(handle) % SENSED].percent, &rates->gpu);
}

int nvmlDeviceGetTemperature(void *handle, unsigned sensor, unsigned *celsius) {
    (void)sensor;
    return sense(ledger->sensors[index_of(handle) % SENSED].celsius, celsius);
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) {
    return sense(ledger->sensors[index_of(handle) % SENSED].milliwatts, milliwatts);
}
