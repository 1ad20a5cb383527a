/* A CUDA driver without a device, for tests. What it keeps of the real one's behaviour:
 *
 * - Device memory is at addresses that the processor cannot follow: whoever does crashes.
 * - Memory is exported by a handle of 64 bytes and opened by other processes, never by its own; of a process
 *   that has died nothing can be opened any more. Freed memory is filled with 0xdd.
 * - A copy to the device is done only once somebody waits for the device.
 * - Nothing works without a current context.
 *
 * FAKE_CUDA_LOG names a file that gets a line for each copy and each handle: what moved where.
 * FAKE_CUDA_DEVICES is how many devices there are, 1 if it is not said. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int CUresult;
typedef uint64_t CUdeviceptr;
enum { OK = 0, BAD_VALUE = 1, NO_MEMORY = 2, NO_DEVICE = 100, BAD_CONTEXT = 201, MAP_FAILED_ = 205,
       UNSUPPORTED = 801 };
enum { HOST = 1, DEVICE = 2 };

struct handle { uint64_t magic, bytes, inode; int pid, fd; char rest[32]; };
_Static_assert(sizeof(struct handle) == 64, "CUipcMemHandle");
static const uint64_t MAGIC = 0x6564756361656b66;

struct copy2d {
    size_t from_x, from_y; unsigned from_kind; const void *from_host; CUdeviceptr from_device; void *from_array;
    size_t from_pitch, to_x, to_y; unsigned to_kind; void *to_host; CUdeviceptr to_device; void *to_array;
    size_t to_pitch, row_bytes, rows;
};

struct block { CUdeviceptr at; size_t bytes; uint8_t *here; int fd, is_imported; };
/* A copy that nobody has waited for yet: its rows, tightly, and where they go. */
struct pending { struct pending *next; CUdeviceptr to; size_t pitch, row_bytes, rows; uint8_t bytes[]; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block blocks[256];
static struct pending *first, **last = &first;
/* No address that a Linux process has memory at by itself. */
static CUdeviceptr next_address = 0x0d0000000000;
static unsigned context_flags;
static int retained;
static __thread int depth;

static void note(const char *what, size_t bytes)
{
    const char *path = getenv("FAKE_CUDA_LOG");
    if (!path) return;
    char line[96];
    int length = snprintf(line, sizeof line, "%s %zu %d\n", what, bytes, (int)getpid());
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (fd < 0) return;
    if (write(fd, line, length) != length) perror("FAKE_CUDA_LOG");
    close(fd);
}

static int devices(void)
{
    const char *said = getenv("FAKE_CUDA_DEVICES");
    return said ? atoi(said) : 1;
}

static struct block *find(CUdeviceptr at)
{
    for (int i = 0; i < 256; i++)
        if (blocks[i].here && at >= blocks[i].at && at - blocks[i].at < blocks[i].bytes) return &blocks[i];
    return NULL;
}

static uint8_t *follow(CUdeviceptr at, size_t bytes)
{
    struct block *block = find(at);
    if (!block || bytes > block->bytes - (at - block->at)) return NULL;
    return block->here + (at - block->at);
}

static CUresult map(int fd, size_t bytes, int is_imported, CUdeviceptr *at)
{
    for (int i = 0; i < 256; i++) {
        if (blocks[i].here) continue;
        void *here = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (here == MAP_FAILED) return NO_MEMORY;
        blocks[i] = (struct block){ next_address, bytes, here, fd, is_imported };
        *at = next_address;
        next_address += (bytes + (4u << 20)) & ~(uint64_t)((2u << 20) - 1);
        return OK;
    }
    return NO_MEMORY;
}

static void unmap(struct block *block)
{
    munmap(block->here, block->bytes);
    close(block->fd);
    *block = (struct block){ 0 };
}

static void settle(void)
{
    while (first) {
        struct pending *now = first;
        for (size_t y = 0; y < now->rows; y++) {
            uint8_t *row = follow(now->to + y * now->pitch, now->row_bytes);
            if (row) memcpy(row, now->bytes + y * now->row_bytes, now->row_bytes);
        }
        first = now->next;
        free(now);
    }
    last = &first;
}

static CUresult copy(const struct copy2d *c)
{
    static const char *const names[] = { "HtoH", "HtoD", "DtoH", "DtoD" };
    size_t bytes = c->row_bytes * c->rows;
    int from = c->from_kind == DEVICE, to = c->to_kind == DEVICE;
    note(names[2 * from + to], bytes);
    if (from) settle();
    struct pending *now = malloc(sizeof *now + bytes);
    *now = (struct pending){ NULL, c->to_device + c->to_y * c->to_pitch + c->to_x, c->to_pitch, c->row_bytes,
                             c->rows };
    for (size_t y = 0; y < c->rows; y++) {
        size_t place = (c->from_y + y) * c->from_pitch + c->from_x;
        const uint8_t *row = from ? follow(c->from_device + place, c->row_bytes)
                                  : (const uint8_t *)c->from_host + place;
        if (!row || (to && !follow(now->to + y * now->pitch, c->row_bytes))) {
            free(now);
            return BAD_VALUE;
        }
        memcpy(now->bytes + y * c->row_bytes, row, c->row_bytes);
    }
    if (to) {
        *last = now;
        last = &now->next;
        return OK;
    }
    for (size_t y = 0; y < c->rows; y++)
        memcpy((uint8_t *)c->to_host + (c->to_y + y) * c->to_pitch + c->to_x, now->bytes + y * c->row_bytes,
               c->row_bytes);
    free(now);
    return OK;
}

/* Each entry below runs alone, in a context. */
#define BEGIN if (!depth) return BAD_CONTEXT; pthread_mutex_lock(&lock); CUresult code = OK
#define END pthread_mutex_unlock(&lock); return code

CUresult cuInit(unsigned flags) { return flags ? BAD_VALUE : OK; }
CUresult cuDeviceGetCount(int *count) { *count = devices(); return OK; }

CUresult cuDeviceGet(int *device, int ordinal)
{
    *device = ordinal;
    return ordinal < devices() ? OK : NO_DEVICE;
}

CUresult cuDeviceGetName(char *name, int length, int device)
{
    snprintf(name, length, "no device %d", device);
    return OK;
}

CUresult cuDeviceGetUuid(void *uuid, int device)
{
    memcpy(uuid, "framevisor fake", 15);
    ((char *)uuid)[15] = (char)device;
    return OK;
}

CUresult cuDeviceGetUuid_v2(void *uuid, int device) { return cuDeviceGetUuid(uuid, device); }

CUresult cuDeviceGetAttribute(int *value, int attribute, int device) { *value = 512; return OK; }
CUresult cuDeviceComputeCapability(int *major, int *minor, int device) { *major = 8; *minor = 0; return OK; }

CUresult cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *is_active)
{
    *flags = context_flags;
    *is_active = retained > 0;
    return OK;
}

CUresult cuDevicePrimaryCtxSetFlags(int device, unsigned flags) { context_flags = flags; return OK; }

CUresult cuDevicePrimaryCtxRetain(void **context, int device)
{
    *context = (void *)(uintptr_t)(0xc0de00 + device);
    __sync_fetch_and_add(&retained, 1);
    return OK;
}

CUresult cuDevicePrimaryCtxRelease(int device) { __sync_fetch_and_sub(&retained, 1); return OK; }
CUresult cuCtxGetDevice(int *device) { *device = 0; return depth ? OK : BAD_CONTEXT; }
CUresult cuCtxPushCurrent_v2(void *context) { depth++; return context ? OK : BAD_CONTEXT; }

CUresult cuCtxPopCurrent_v2(void **context)
{
    if (!depth) return BAD_CONTEXT;
    depth--;
    if (context) *context = NULL;
    return OK;
}

CUresult cuCtxSynchronize(void) { BEGIN; settle(); note("finish", 0); END; }
CUresult cuStreamSynchronize(void *stream) { BEGIN; settle(); END; }

CUresult cuMemAlloc_v2(CUdeviceptr *at, size_t bytes)
{
    BEGIN;
    int fd = memfd_create("fake device", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, bytes)) code = NO_MEMORY;
    else code = map(fd, bytes, 0, at);
    END;
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *at, size_t *pitch, size_t width, size_t height, unsigned element)
{
    *pitch = (width + 511) & ~(size_t)511;
    return cuMemAlloc_v2(at, *pitch * height);
}

CUresult cuMemFree_v2(CUdeviceptr at)
{
    BEGIN;
    struct block *block = find(at);
    if (!block || block->is_imported || block->at != at) code = BAD_VALUE;
    else {
        settle();
        note("free", block->bytes);
        memset(block->here, 0xdd, block->bytes);
        unmap(block);
    }
    END;
}

CUresult cuIpcGetMemHandle(struct handle *handle, CUdeviceptr at)
{
    BEGIN;
    struct block *block = find(at);
    struct stat file;
    if (!block || block->is_imported || fstat(block->fd, &file)) code = BAD_VALUE;
    else *handle = (struct handle){ MAGIC, block->bytes, file.st_ino, getpid(), block->fd };
    END;
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *at, struct handle handle, unsigned flags)
{
    BEGIN;
    char path[64];
    struct stat file;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", handle.pid, handle.fd);
    if (handle.magic != MAGIC || flags != 1) code = BAD_VALUE;
    else if (handle.pid == getpid()) code = BAD_CONTEXT;
    else {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        /* Its number may be another file's by now. */
        if (fd < 0 || fstat(fd, &file) || file.st_ino != handle.inode) code = MAP_FAILED_;
        else code = map(fd, handle.bytes, 1, at);
        if (code && fd >= 0) close(fd);
    }
    note(code ? "refused" : "open", handle.bytes);
    END;
}

CUresult cuIpcCloseMemHandle(CUdeviceptr at)
{
    BEGIN;
    struct block *block = find(at);
    if (!block || !block->is_imported) code = BAD_VALUE;
    else {
        note("close", block->bytes);
        unmap(block);
    }
    END;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr at)
{
    BEGIN;
    struct block *block = find(at);
    if (!block) code = BAD_VALUE;
    else {
        *base = block->at;
        *bytes = block->bytes;
    }
    END;
}

CUresult cuMemcpy2D_v2(const struct copy2d *c) { BEGIN; code = copy(c); END; }
CUresult cuMemcpy2DAsync_v2(const struct copy2d *c, void *stream) { return cuMemcpy2D_v2(c); }

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
    struct copy2d c = { .from_kind = DEVICE, .from_device = from, .from_pitch = bytes, .to_kind = HOST,
                        .to_host = to, .to_pitch = bytes, .row_bytes = bytes, .rows = 1 };
    return cuMemcpy2D_v2(&c);
}

CUresult cuGetErrorName(int code, const char **text)
{
    *text = code == BAD_VALUE ? "CUDA_ERROR_INVALID_VALUE" : code == NO_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
          : code == MAP_FAILED_ ? "CUDA_ERROR_MAP_FAILED" : code == BAD_CONTEXT ? "CUDA_ERROR_INVALID_CONTEXT" : NULL;
    return *text ? OK : BAD_VALUE;
}

CUresult cuGetErrorString(int code, const char **text)
{
    *text = code == BAD_VALUE ? "invalid argument" : "this is no real driver";
    return OK;
}

/* What FFmpeg asks a driver for and tests never need. */
#define LACKS(name) CUresult name(void) { return UNSUPPORTED; }
LACKS(cuCtxCreate_v2) LACKS(cuCtxSetLimit) LACKS(cuCtxDestroy_v2) LACKS(cuMemAllocManaged)
LACKS(cuMemsetD8Async) LACKS(cuMemcpy) LACKS(cuMemcpyAsync) LACKS(cuMemcpyHtoD_v2) LACKS(cuMemcpyHtoDAsync_v2)
LACKS(cuMemcpyDtoHAsync_v2) LACKS(cuMemcpyDtoD_v2) LACKS(cuMemcpyDtoDAsync_v2) LACKS(cuDevicePrimaryCtxReset)
LACKS(cuStreamCreate) LACKS(cuStreamQuery) LACKS(cuStreamDestroy_v2) LACKS(cuStreamAddCallback)
LACKS(cuEventCreate) LACKS(cuEventDestroy_v2) LACKS(cuEventSynchronize) LACKS(cuEventQuery) LACKS(cuEventRecord)
LACKS(cuLaunchKernel) LACKS(cuLinkCreate) LACKS(cuLinkAddData) LACKS(cuLinkComplete) LACKS(cuLinkDestroy)
LACKS(cuModuleLoadData) LACKS(cuModuleUnload) LACKS(cuModuleGetFunction) LACKS(cuModuleGetGlobal)
LACKS(cuTexObjectCreate) LACKS(cuTexObjectDestroy) LACKS(cuGLGetDevices_v2) LACKS(cuGraphicsGLRegisterImage)
LACKS(cuGraphicsUnregisterResource) LACKS(cuGraphicsMapResources) LACKS(cuGraphicsUnmapResources)
LACKS(cuGraphicsSubResourceGetMappedArray) LACKS(cuGraphicsResourceGetMappedPointer_v2)
LACKS(cuArray3DCreate_v2) LACKS(cuArrayDestroy) LACKS(cuMipmappedArrayDestroy) LACKS(cuMipmappedArrayGetLevel)
LACKS(cuImportExternalMemory) LACKS(cuDestroyExternalMemory) LACKS(cuExternalMemoryGetMappedBuffer)
LACKS(cuExternalMemoryGetMappedMipmappedArray) LACKS(cuImportExternalSemaphore)
LACKS(cuDestroyExternalSemaphore) LACKS(cuSignalExternalSemaphoresAsync) LACKS(cuWaitExternalSemaphoresAsync)
LACKS(cuEGLStreamProducerConnect) LACKS(cuEGLStreamProducerDisconnect) LACKS(cuEGLStreamConsumerDisconnect)
LACKS(cuEGLStreamProducerPresentFrame) LACKS(cuEGLStreamProducerReturnFrame)
