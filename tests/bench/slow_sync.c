// A disk whose syncs take SLOW_SYNC_US longer, as one without a power-safe cache: preload this library.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int file)
{
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    usleep(strtoul(getenv("SLOW_SYNC_US"), NULL, 10));
    return sync(file);
}
