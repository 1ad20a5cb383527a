/* What can be misused says so: misuse PROJECT OTHER_PROJECT */
#include "expect.h"

static void attaching(const char *project)
{
    shmring_reader *reader = (shmring_reader *)&reader;
    EXPECT_ERROR(shmring_attach(project, NULL, NULL, &reader), SHMRING_E_ARGUMENT, "ring is NULL");
    EXPECT(reader == NULL);
    EXPECT_ERROR(shmring_attach(project, "x.frames", NULL, NULL), SHMRING_E_ARGUMENT, "reader is NULL");
    EXPECT_ERROR(shmring_attach(project, "frames", NULL, &reader), SHMRING_E_ARGUMENT, "ring name 'frames'");
    EXPECT_ERROR(shmring_attach("../x", "x.frames", NULL, &reader), SHMRING_E_ARGUMENT, "project name");
    EXPECT_ERROR(shmring_attach(project, "\xff.frames", NULL, &reader), SHMRING_E_ARGUMENT, "not UTF-8");
    EXPECT_ERROR(shmring_attach(project, "none.frames", NULL, &reader), SHMRING_E_NO_RING, "no such ring");

    struct shmring_attach_options options;
    memset(&options, 0, sizeof options);
    EXPECT_ERROR(shmring_attach(project, "w.events", &options, &reader), SHMRING_E_ARGUMENT, "SHMRING_INIT");
    SHMRING_INIT(&options);
    options.policy = 7;
    EXPECT_ERROR(shmring_attach(project, "w.events", &options, &reader), SHMRING_E_ARGUMENT, "policy is 7");
    SHMRING_INIT(&options);
    options.max_fps = 5;
    EXPECT_ERROR(shmring_attach(project, "w.events", &options, &reader), SHMRING_E_ARGUMENT, "frame rings");
    SHMRING_INIT(&options);
    options.every = 2;
    EXPECT_ERROR(shmring_attach(project, "w.events", &options, &reader), SHMRING_E_ARGUMENT, "options.every");
    SHMRING_INIT(&options);
    options.start = SHMRING_START_NEWEST_KEY;
    EXPECT_ERROR(shmring_attach(project, "w.events", &options, &reader), SHMRING_E_ARGUMENT, "options.start");
    SHMRING_INIT(&options);
    options.reader = "\xc3(";
    EXPECT_ERROR(shmring_attach(project, "w.events", &options, &reader), SHMRING_E_ARGUMENT, "options.reader");
}

static void nothing_at_all(void)
{
    struct shmring_news news;
    uint64_t number;
    EXPECT_ERROR(shmring_next(NULL, 0, &news), SHMRING_E_ARGUMENT, "reader is NULL");
    EXPECT(news.item == NULL);
    EXPECT_ERROR(shmring_next(NULL, 0, NULL), SHMRING_E_ARGUMENT, "news is NULL");
    EXPECT_ERROR(shmring_count(NULL), SHMRING_E_ARGUMENT, "reader is NULL");
    EXPECT_ERROR(shmring_wait(NULL, 0), SHMRING_E_ARGUMENT, "reader is NULL");
    EXPECT_ERROR(shmring_wait_any(NULL, 1, 0, NULL), SHMRING_E_ARGUMENT, "readers is NULL");
    EXPECT(shmring_wait_any(NULL, 0, 0, NULL) == 0);
    EXPECT_ERROR(shmring_fileno(NULL), SHMRING_E_ARGUMENT, "reader is NULL");
    EXPECT_ERROR(shmring_finish(NULL), SHMRING_E_ARGUMENT, "writer is NULL");
    EXPECT_ERROR(shmring_publish(NULL, NULL, &number), SHMRING_E_ARGUMENT, "loan is NULL");
    EXPECT_ERROR(shmring_layout(NULL), SHMRING_E_ARGUMENT, "struct shmring_frame is NULL");
    EXPECT(shmring_item_frame(NULL) == NULL && shmring_loan_data(NULL, NULL) == NULL);
    EXPECT(shmring_reader_json(NULL) == NULL);
    shmring_release(NULL);
    shmring_detach(NULL);
    shmring_return(NULL);
    shmring_close(NULL);
    shmring_free(NULL);
    EXPECT(strcmp(shmring_status_name(-999), "unknown") == 0);
    EXPECT(strcmp(shmring_status_name(SHMRING_E_NO_PLACE), "SHMRING_E_NO_PLACE") == 0);
    EXPECT(strcmp(shmring_format_name(0), "unknown") == 0);
}

static void writing(const char *project)
{
    shmring_writer *frames, *events, *second;
    EXPECT(shmring_create(project, "cam1.frames", NULL, &frames) == SHMRING_OK);
    EXPECT(shmring_create(project, "w.events", NULL, &events) == SHMRING_OK);
    EXPECT_ERROR(shmring_create(project, "cam1.frames", NULL, &second), SHMRING_E_HAS_WRITER,
                 "another writer holds it");
    EXPECT(second == NULL);

    struct shmring_frame frame;
    SHMRING_INIT(&frame);
    EXPECT_ERROR(shmring_layout(&frame), SHMRING_E_ARGUMENT, "frame.format is 0");
    frame.format = SHMRING_GRAY8;
    EXPECT_ERROR(shmring_layout(&frame), SHMRING_E_ARGUMENT, "a picture of 0x0");
    frame.width = frame.height = 100;
    EXPECT(shmring_layout(&frame) == SHMRING_OK && frame.planes[0].linesize == 128);

    shmring_loan *loan;
    EXPECT_ERROR(shmring_borrow(events, 1, &loan), SHMRING_E_WRONG_KIND, "this call is for frames");
    EXPECT(shmring_borrow(frames, frame.slot_bytes, &loan) == SHMRING_OK);
    frame.planes[0].offset = 1 << 20;
    EXPECT_ERROR(shmring_publish(loan, &frame, NULL), SHMRING_E_TOO_LARGE, "slot");
    EXPECT(shmring_layout(&frame) == SHMRING_OK);
    frame.id.epoch = 3;
    EXPECT(shmring_borrow(frames, frame.slot_bytes, &loan) == SHMRING_OK);
    EXPECT_ERROR(shmring_publish(loan, &frame, NULL), SHMRING_E_ARGUMENT, "writer's `source`");

    /* A loan that was not published, or refused, is free again. */
    for (int n = 0; n < 100; n++) {
        EXPECT(shmring_borrow(frames, frame.slot_bytes, &loan) == SHMRING_OK);
        shmring_return(loan);
    }
    struct shmring_packet packet;
    SHMRING_INIT(&packet);
    EXPECT_ERROR(shmring_publish_packet(frames, &packet, NULL), SHMRING_E_WRONG_KIND, "for packets");
    struct shmring_record record;
    SHMRING_INIT(&record);
    record.type = "x";
    memset(record.frame.ring, 'a', sizeof record.frame.ring);
    EXPECT_ERROR(shmring_emit(events, &record, NULL), SHMRING_E_ARGUMENT, "record.frame.ring");
    EXPECT_ERROR(shmring_emit(frames, &record, NULL), SHMRING_E_WRONG_KIND, "for events");
    shmring_close(frames);
    shmring_close(events);
}

static void places(const char *project)
{
    struct shmring_writer_options options;
    SHMRING_INIT(&options);
    options.readers = 2;
    shmring_writer *writer;
    shmring_reader *readers[3];
    struct shmring_attach_options named;
    SHMRING_INIT(&named);
    named.reader = "the one that stays";
    EXPECT(shmring_create(project, "few.frames", &options, &writer) == SHMRING_OK);
    EXPECT(shmring_attach(project, "few.frames", &named, &readers[0]) == SHMRING_OK);
    EXPECT(shmring_attach(project, "few.frames", NULL, &readers[1]) == SHMRING_OK);
    EXPECT_ERROR(shmring_attach(project, "few.frames", NULL, &readers[2]), SHMRING_E_NO_PLACE,
                 "the one that stays");
    shmring_detach(readers[1]);
    EXPECT(shmring_attach(project, "few.frames", NULL, &readers[1]) == SHMRING_OK);
    shmring_detach(readers[0]);
    shmring_detach(readers[1]);
    shmring_close(writer);
}

/* Without a project the only one that has such a ring is meant. */
static void projects(const char *first, const char *second)
{
    shmring_writer *one, *two;
    shmring_reader *reader;
    char ring[64];
    snprintf(ring, sizeof ring, "%s.frames", first);
    EXPECT_ERROR(shmring_attach(NULL, ring, NULL, &reader), SHMRING_E_NO_RING, "no project");
    EXPECT(shmring_create(first, ring, NULL, &one) == SHMRING_OK);
    EXPECT(shmring_attach(NULL, ring, NULL, &reader) == SHMRING_OK);
    shmring_detach(reader);
    EXPECT(shmring_create(second, ring, NULL, &two) == SHMRING_OK);
    EXPECT_ERROR(shmring_attach(NULL, ring, NULL, &reader), SHMRING_E_AMBIGUOUS, second);
    EXPECT(setenv("FRAMEVISOR_PROJECT", second, 1) == 0);
    EXPECT(shmring_attach(NULL, ring, NULL, &reader) == SHMRING_OK);
    shmring_detach(reader);
    shmring_close(one);
    shmring_close(two);
}

int main(int argc, char **argv)
{
    EXPECT(argc == 3 && strcmp(shmring_last_error(), "") == 0 && shmring_last_status() == SHMRING_OK);
    nothing_at_all();
    writing(argv[1]);
    attaching(argv[1]);
    places(argv[1]);
    projects(argv[1], argv[2]);
    puts("all as expected");
    return 0;
}
