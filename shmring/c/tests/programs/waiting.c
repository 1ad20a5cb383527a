/* Waiting from other threads, for many rings, and through descriptors: waiting PROJECT */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "expect.h"

#define FRAMES 100

struct scene {
    shmring_writer *writer;
    shmring_reader *reader;
    atomic_int read; /* all of it */
};

static void publish(shmring_writer *writer, uint8_t value)
{
    struct shmring_frame frame;
    SHMRING_INIT(&frame);
    frame.width = frame.height = 64;
    frame.format = SHMRING_GRAY8;
    EXPECT(shmring_layout(&frame) == SHMRING_OK);
    shmring_loan *loan;
    EXPECT(shmring_borrow(writer, frame.slot_bytes, &loan) == SHMRING_OK);
    memset(shmring_loan_data(loan, NULL), value, frame.slot_bytes);
    EXPECT(shmring_publish(loan, &frame, NULL) == SHMRING_OK);
}

static void *publish_all(void *scene)
{
    for (int n = 0; n < FRAMES; n++)
        publish(((struct scene *)scene)->writer, (uint8_t)n);
    EXPECT(shmring_finish(((struct scene *)scene)->writer) == SHMRING_OK);
    return NULL;
}

/* Waits while another thread reads the same reader. */
static void *wait_beside(void *argument)
{
    struct scene *scene = argument;
    while (!atomic_load(&scene->read)) {
        int status = shmring_wait(scene->reader, SECOND / 100);
        EXPECT(status == SHMRING_OK || status == SHMRING_QUIET);
        EXPECT(shmring_count(scene->reader) >= 0);
        /* There may be something all the while; the one who reads it must get a turn. */
        nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL);
    }
    return NULL;
}

static void *release(void *item)
{
    shmring_release(item);
    return NULL;
}

static void in_a_thread_of_its_own(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, body, argument) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
}

static void begin(struct scene *scene, const char *project, const char *ring)
{
    struct shmring_attach_options options;
    SHMRING_INIT(&options);
    options.policy = SHMRING_SEQUENTIAL;
    atomic_init(&scene->read, 0);
    EXPECT(shmring_create(project, ring, NULL, &scene->writer) == SHMRING_OK);
    EXPECT(shmring_attach(project, ring, &options, &scene->reader) == SHMRING_OK);
}

static void end(struct scene *scene)
{
    shmring_detach(scene->reader);
    shmring_close(scene->writer);
}

static void threads(const char *project)
{
    struct scene scene;
    begin(&scene, project, "cam1.frames");
    pthread_t writer, waiter;
    EXPECT(pthread_create(&writer, NULL, publish_all, &scene) == 0);
    EXPECT(shmring_wait(scene.reader, 10 * SECOND) == SHMRING_OK);
    EXPECT(pthread_create(&waiter, NULL, wait_beside, &scene) == 0);
    uint64_t had = 0;
    struct shmring_news news;
    int status;
    while ((status = shmring_next(scene.reader, 10 * SECOND, &news)) != SHMRING_ENDED) {
        EXPECT(status == SHMRING_OK || status == SHMRING_OVERRUN);
        had += status == SHMRING_OK ? 1 : news.missed;
        in_a_thread_of_its_own(release, news.item);
    }
    EXPECT(had == FRAMES);
    atomic_store(&scene.read, 1);
    EXPECT(pthread_join(writer, NULL) == 0 && pthread_join(waiter, NULL) == 0);
    end(&scene);
}

static void many_rings(const char *project)
{
    struct scene one, two;
    begin(&one, project, "cam2.frames");
    begin(&two, project, "cam3.frames");
    shmring_reader *readers[] = {one.reader, two.reader};
    uint8_t ready[2] = {9, 9};
    EXPECT(shmring_wait_any(readers, 2, 0, ready) == 0 && ready[0] == 0 && ready[1] == 0);
    publish(two.writer, 1);
    EXPECT(shmring_wait_any(readers, 2, 10 * SECOND, ready) == 1 && ready[0] == 0 && ready[1] == 1);
    publish(one.writer, 1);
    EXPECT(shmring_wait_any(readers, 2, 10 * SECOND, NULL) == 2);
    end(&one);
    end(&two);
}

static void descriptors(const char *project)
{
    struct scene scene;
    begin(&scene, project, "cam4.frames");
    struct pollfd wanted = {.fd = shmring_fileno(scene.reader), .events = POLLIN};
    struct shmring_news news;
    EXPECT(wanted.fd >= 0 && shmring_fileno(scene.reader) == wanted.fd);
    EXPECT(poll(&wanted, 1, 0) == 0);
    for (int n = 0; n < 20; n++) {
        publish(scene.writer, 1);
        EXPECT(poll(&wanted, 1, 10000) == 1);
        EXPECT(shmring_next(scene.reader, 0, &news) == SHMRING_OK);
        shmring_release(news.item);
        EXPECT(shmring_next(scene.reader, 0, &news) == SHMRING_QUIET);
    }
    publish(scene.writer, 1);
    EXPECT(poll(&wanted, 1, 10000) == 1 && shmring_clear(scene.reader) == SHMRING_OK);
    end(&scene);
}

int main(int argc, char **argv)
{
    EXPECT(argc == 2);
    threads(argv[1]);
    many_rings(argv[1]);
    descriptors(argv[1]);
    puts("all as expected");
    return 0;
}
