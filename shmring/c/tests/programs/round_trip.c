/* Writes and reads frames, packets and records in one process: round_trip PROJECT */
#include <inttypes.h>

#include "expect.h"

static shmring_reader *attached(const char *project, const char *ring, uint32_t policy)
{
    struct shmring_attach_options options;
    SHMRING_INIT(&options);
    options.policy = policy;
    shmring_reader *reader;
    EXPECT(shmring_attach(project, ring, &options, &reader) == SHMRING_OK);
    return reader;
}

static shmring_item *taken(shmring_reader *reader, uint32_t format_changed)
{
    struct shmring_news news;
    EXPECT(shmring_next(reader, 10 * SECOND, &news) == SHMRING_OK);
    EXPECT(news.format_changed == format_changed && news.missed == 0 && news.epoch != 0);
    return news.item;
}

static uint8_t sample(uint32_t plane, uint32_t x, uint32_t y)
{
    return (uint8_t)(plane * 100 + x * 3 + y * 7);
}

static void publish_picture(shmring_writer *writer, uint32_t width, uint32_t height, uint32_t format)
{
    struct shmring_frame frame;
    SHMRING_INIT(&frame);
    frame.width = width;
    frame.height = height;
    frame.format = format;
    frame.pts_ns = 40;
    frame.flags = SHMRING_KEY | SHMRING_DISCONTINUITY;
    strcpy(frame.id.ring, "cam1.packets");
    frame.id.epoch = 5;
    frame.id.sequence = 6;
    EXPECT(shmring_layout(&frame) == SHMRING_OK);

    shmring_loan *loan;
    uint64_t bytes = 0, sequence = 0;
    EXPECT(shmring_borrow(writer, frame.slot_bytes, &loan) == SHMRING_OK);
    uint8_t *slot = shmring_loan_data(loan, &bytes);
    EXPECT(slot != NULL && bytes >= frame.slot_bytes && (uintptr_t)slot % 4096 == 0);
    for (uint32_t p = 0; p < frame.plane_count; p++)
        for (uint32_t y = 0; y < frame.planes[p].rows; y++)
            for (uint32_t x = 0; x < frame.planes[p].row_bytes; x++)
                slot[frame.planes[p].offset + y * frame.planes[p].linesize + x] = sample(p, x, y);
    EXPECT(shmring_publish(loan, &frame, &sequence) == SHMRING_OK && sequence > 0);
}

static void check_picture(const struct shmring_frame *frame, uint32_t width, uint32_t height)
{
    EXPECT(frame != NULL && frame->size >= sizeof *frame);
    EXPECT(frame->width == width && frame->height == height && frame->pts_ns == 40);
    EXPECT(frame->flags == (SHMRING_KEY | SHMRING_DISCONTINUITY));
    EXPECT(strcmp(frame->id.ring, "cam1.packets") == 0);
    EXPECT(frame->id.epoch == 5 && frame->id.sequence == 6);
    EXPECT(frame->colour_matrix == 2 && frame->colour_range == 0);
    EXPECT(frame->capture_utc_ns != 0 && frame->published_mono_ns >= frame->ingest_mono_ns);
    for (uint32_t p = 0; p < frame->plane_count; p++)
        for (uint32_t y = 0; y < frame->planes[p].rows; y++)
            for (uint32_t x = 0; x < frame->planes[p].row_bytes; x++)
                EXPECT(frame->planes[p].data[y * frame->planes[p].linesize + x] == sample(p, x, y));
}

static void frames(const char *project)
{
    struct shmring_writer_options options;
    SHMRING_INIT(&options);
    options.source = "cam1.packets";
    shmring_writer *writer;
    EXPECT(shmring_create(project, "cam1.frames", &options, &writer) == SHMRING_OK);
    shmring_reader *reader = attached(project, "cam1.frames", SHMRING_SEQUENTIAL);
    EXPECT(shmring_wait(reader, 0) == SHMRING_QUIET && shmring_count(reader) == 0);

    publish_picture(writer, 33, 17, SHMRING_YUV420P);
    EXPECT(shmring_wait(reader, 10 * SECOND) == SHMRING_OK && shmring_count(reader) == 1);
    EXPECT(shmring_wait_until(reader, UINT64_MAX) == SHMRING_OK);
    shmring_item *first = taken(reader, 1);
    const struct shmring_frame *frame = shmring_item_frame(first);
    check_picture(frame, 33, 17);
    EXPECT(frame->plane_count == 3 && frame->planes[1].row_bytes == 17 && frame->planes[1].rows == 9);
    EXPECT_ERROR(shmring_item_packet(first) == NULL ? shmring_last_status() : 0, SHMRING_E_WRONG_KIND,
                 "item of frames");

    publish_picture(writer, 33, 17, SHMRING_YUV420P);
    shmring_item *second = taken(reader, 0);
    publish_picture(writer, 8, 4, SHMRING_RGB24);
    struct shmring_news news;
    EXPECT_ERROR(shmring_next(reader, 0, &news), SHMRING_E_NO_LEASE, "all 2 leases");
    EXPECT(news.item == NULL);
    shmring_release(first);
    shmring_item *third = taken(reader, 1);
    check_picture(shmring_item_frame(second), 33, 17);
    check_picture(shmring_item_frame(third), 8, 4);
    shmring_release(second);

    EXPECT(shmring_finish(writer) == SHMRING_OK);
    EXPECT(shmring_next(reader, 10 * SECOND, &news) == SHMRING_ENDED);
    /* Told at once the first time, then at the end of the time. */
    EXPECT(shmring_next(reader, SECOND / 20, &news) == SHMRING_ENDED);
    shmring_detach(reader);
    shmring_close(writer);
    check_picture(shmring_item_frame(third), 8, 4);
    shmring_release(third);
}

/* Each second picture, from the oldest; then behind one that was had. */
static void some_frames(const char *project)
{
    struct shmring_writer_options options;
    SHMRING_INIT(&options);
    options.source = "cam1.packets";
    options.history = 10;
    shmring_writer *writer;
    EXPECT(shmring_create(project, "cam4.frames", &options, &writer) == SHMRING_OK);
    for (int n = 1; n <= 6; n++)
        publish_picture(writer, 8, 8, SHMRING_GRAY8);

    struct shmring_attach_options some;
    SHMRING_INIT(&some);
    some.policy = SHMRING_SEQUENTIAL;
    some.start = SHMRING_START_OLDEST;
    some.every = 2;
    shmring_reader *reader;
    EXPECT(shmring_attach(project, "cam4.frames", &some, &reader) == SHMRING_OK);
    uint64_t before = 0, epoch = 0;
    for (int n = 1; n <= 3; n++) {
        shmring_item *item = taken(reader, n == 1);
        const struct shmring_frame *frame = shmring_item_frame(item);
        EXPECT(frame->sequence <= 6 && (before == 0 || frame->sequence == before + 2));
        before = frame->sequence;
        epoch = frame->epoch;
        shmring_release(item);
    }
    shmring_detach(reader);

    SHMRING_INIT(&some);
    some.key_only = 1;
    EXPECT(shmring_attach(project, "cam4.frames", &some, &reader) == SHMRING_OK);
    shmring_item *key = taken(reader, 1);
    EXPECT(shmring_item_frame(key)->sequence == 6);
    shmring_release(key);
    struct shmring_news none;
    EXPECT(shmring_next(reader, 0, &none) == SHMRING_QUIET);
    shmring_detach(reader);

    SHMRING_INIT(&some);
    some.policy = SHMRING_SEQUENTIAL;
    some.start = SHMRING_START_AFTER;
    some.after_epoch = epoch;
    some.after_sequence = 4;
    EXPECT(shmring_attach(project, "cam4.frames", &some, &reader) == SHMRING_OK);
    shmring_item *item = taken(reader, 1);
    EXPECT(shmring_item_frame(item)->sequence == 5);
    shmring_release(item);
    shmring_detach(reader);
    shmring_close(writer);
}

static void tensors(const char *project)
{
    shmring_writer *writer;
    EXPECT(shmring_create(project, "boxes.frames", NULL, &writer) == SHMRING_OK);
    shmring_reader *reader = attached(project, "boxes.frames", SHMRING_SEQUENTIAL);
    struct shmring_frame frame;
    SHMRING_INIT(&frame);
    frame.content = SHMRING_TENSOR;
    frame.tensor.dtype = SHMRING_F32;
    frame.tensor.axes = 3;
    frame.tensor.shape[0] = 2;
    frame.tensor.shape[1] = 3;
    frame.tensor.shape[2] = 4;
    memcpy(frame.user, "mine", 5);
    EXPECT(shmring_layout(&frame) == SHMRING_OK);
    EXPECT(frame.slot_bytes == 96 && frame.tensor.bytes == 96 && frame.tensor.strides[0] == 48);

    shmring_loan *loan;
    EXPECT(shmring_borrow(writer, frame.slot_bytes, &loan) == SHMRING_OK);
    float *elements = (float *)(void *)shmring_loan_data(loan, NULL);
    for (int n = 0; n < 24; n++)
        elements[n] = (float)n / 2;
    EXPECT(shmring_publish(loan, &frame, NULL) == SHMRING_OK);

    shmring_item *item = taken(reader, 1);
    const struct shmring_frame *seen = shmring_item_frame(item);
    EXPECT(seen->content == SHMRING_TENSOR && seen->plane_count == 0 && seen->width == 0);
    EXPECT(strcmp(shmring_dtype_name(seen->tensor.dtype), "f32") == 0 && seen->tensor.axes == 3);
    EXPECT(strcmp((const char *)seen->user, "mine") == 0);
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t j = 0; j < 3; j++)
            for (uint32_t k = 0; k < 4; k++) {
                const uint32_t *strides = seen->tensor.strides;
                const void *at = seen->tensor.data + i * strides[0] + j * strides[1] + k * strides[2];
                EXPECT(*(const float *)at == (float)(i * 12 + j * 4 + k) / 2);
            }
    shmring_release(item);

    /* Another shape is told. */
    frame.tensor.shape[0] = 1;
    EXPECT(shmring_layout(&frame) == SHMRING_OK && frame.slot_bytes == 48);
    EXPECT(shmring_borrow(writer, frame.slot_bytes, &loan) == SHMRING_OK);
    EXPECT(shmring_publish(loan, &frame, NULL) == SHMRING_OK);
    shmring_release(taken(reader, 1));
    frame.tensor.axes = 7;
    EXPECT_ERROR(shmring_layout(&frame), SHMRING_E_ARGUMENT, "frame.tensor.axes is 7");
    shmring_detach(reader);
    shmring_close(writer);
}

static void packets(const char *project)
{
    static const uint8_t parameters[] = {0, 0, 0, 1, 0x67};
    struct shmring_track tracks[2];
    memset(tracks, 0, sizeof tracks);
    tracks[0].codec = SHMRING_H264;
    tracks[0].time_base_num = 1;
    tracks[0].time_base_den = 90000;
    tracks[0].width = 640;
    tracks[0].height = 480;
    tracks[0].extradata = parameters;
    tracks[0].extradata_bytes = sizeof parameters;
    tracks[1].codec = SHMRING_OPUS;
    tracks[1].sample_rate_hz = 48000;
    tracks[1].channels = 2;
    struct shmring_writer_options options;
    SHMRING_INIT(&options);
    options.tracks = tracks;
    options.track_count = 2;
    shmring_writer *writer, *copier;
    EXPECT(shmring_create(project, "cam2.packets", &options, &writer) == SHMRING_OK);
    EXPECT(shmring_create(project, "copy.packets", &options, &copier) == SHMRING_OK);

    uint8_t data[1000];
    struct shmring_packet packet;
    SHMRING_INIT(&packet);
    packet.data = data;
    uint64_t sequence = 0;
    for (uint32_t n = 0; n < 20; n++) {
        memset(data, (int)n, sizeof data);
        packet.bytes = n * 50;
        packet.track = n % 2;
        packet.flags = n % 10 == 0 ? SHMRING_KEY : 0;
        packet.pts_ns = n * 40;
        packet.dts_ns = n * 40 - 1;
        EXPECT(shmring_publish_packet(writer, &packet, &sequence) == SHMRING_OK && sequence == n + 1);
    }
    shmring_reader *all = attached(project, "cam2.packets", SHMRING_SEQUENTIAL);
    shmring_reader *newest_key = attached(project, "cam2.packets", SHMRING_LATEST);
    for (uint32_t n = 0; n < 20; n++) {
        shmring_item *item = taken(all, n == 0);
        const struct shmring_packet *seen = shmring_item_packet(item);
        EXPECT(seen != NULL && seen->sequence == n + 1 && seen->bytes == n * 50 && seen->pts_ns == n * 40);
        EXPECT(seen->track == n % 2 && seen->track_count == 2 && seen->track_info == &seen->tracks[n % 2]);
        EXPECT(n == 0 || (seen->data[0] == n && seen->data[seen->bytes - 1] == n));
        EXPECT(strcmp(seen->id.ring, "cam2.packets") == 0 && seen->id.sequence == n + 1);
        EXPECT(seen->tracks[0].extradata_bytes == sizeof parameters);
        EXPECT(memcmp(seen->tracks[0].extradata, parameters, sizeof parameters) == 0);
        EXPECT(seen->tracks[1].codec == SHMRING_OPUS && seen->tracks[1].channels == 2);
        EXPECT(shmring_publish_packet(copier, seen, NULL) == SHMRING_OK);
        shmring_release(item);
    }
    shmring_item *key = taken(newest_key, 1);
    EXPECT(shmring_item_packet(key)->sequence == 11);

    /* Behind one that was had already, and under the identity it had in its first ring. */
    struct shmring_attach_options after;
    SHMRING_INIT(&after);
    after.start = SHMRING_START_AFTER;
    after.after_epoch = shmring_item_packet(key)->epoch;
    after.after_sequence = 19;
    shmring_reader *rest;
    EXPECT(shmring_attach(project, "cam2.packets", &after, &rest) == SHMRING_OK);
    shmring_item *last = taken(rest, 1);
    EXPECT(shmring_item_packet(last)->sequence == 20);
    shmring_reader *copies = attached(project, "copy.packets", SHMRING_SEQUENTIAL);
    shmring_item *copy = taken(copies, 1);
    EXPECT(shmring_item_packet(copy)->id.epoch == shmring_item_packet(key)->epoch);
    EXPECT(shmring_item_packet(copy)->id.sequence == 1 && shmring_item_packet(copy)->pts_ns == 0);

    /* Other tracks are told with the next packet. */
    tracks[0].width = 1920;
    EXPECT(shmring_set_tracks(writer, tracks, 1) == SHMRING_OK);
    packet.track = 1;
    EXPECT_ERROR(shmring_publish_packet(writer, &packet, NULL), SHMRING_E_ARGUMENT, "packet.track is 1");
    packet.track = 0;
    EXPECT(shmring_publish_packet(writer, &packet, NULL) == SHMRING_OK);
    shmring_item *wide = taken(all, 1);
    EXPECT(shmring_item_packet(wide)->track_count == 1);
    EXPECT(shmring_item_packet(wide)->track_info->width == 1920);

    shmring_item *items[] = {key, last, copy, wide};
    for (size_t n = 0; n < 4; n++)
        shmring_release(items[n]);
    shmring_reader *readers[] = {all, newest_key, rest, copies};
    for (size_t n = 0; n < 4; n++)
        shmring_detach(readers[n]);
    shmring_close(writer);
    shmring_close(copier);
}

static void records(const char *project)
{
    shmring_writer *writer;
    EXPECT(shmring_create(project, "w.events", NULL, &writer) == SHMRING_OK);
    shmring_reader *reader = attached(project, "w.events", SHMRING_SEQUENTIAL);
    struct shmring_record record;
    SHMRING_INIT(&record);
    record.type = "test.begin";
    record.data_json = "{\"n\": [1, 2.5, \"\\u00e9\"]}";
    strcpy(record.frame.ring, "cam1.packets");
    record.frame.epoch = 5;
    record.frame.sequence = 6;
    EXPECT(shmring_emit(writer, &record, NULL) == SHMRING_OK);
    shmring_item *item = taken(reader, 1);
    const struct shmring_record *seen = shmring_item_record(item);
    EXPECT(seen != NULL && seen->sequence == 1 && strcmp(seen->type, "test.begin") == 0);
    EXPECT(strcmp(seen->camera, "cam1") == 0 && strlen(seen->id) > 0 && seen->time_utc_ns != 0);
    EXPECT(strcmp(seen->frame.ring, "cam1.packets") == 0 && seen->frame.sequence == 6);
    EXPECT(strcmp(seen->data_json, "{\"n\":[1,2.5,\"\xc3\xa9\"]}") == 0);
    EXPECT(strstr(seen->json, "\"type\":\"test.begin\"") != NULL);

    /* The end of the same thing. */
    record.id = seen->id;
    record.type = "test.end";
    record.data_json = NULL;
    EXPECT(shmring_emit(writer, &record, NULL) == SHMRING_OK);
    shmring_item *end = taken(reader, 0);
    EXPECT(strcmp(shmring_item_record(end)->id, seen->id) == 0);
    EXPECT(strcmp(shmring_item_record(end)->data_json, "null") == 0);

    record.data_json = "{not json";
    EXPECT_ERROR(shmring_emit(writer, &record, NULL), SHMRING_E_BAD_RECORD, "data_json");
    record.data_json = NULL;
    record.type = NULL;
    EXPECT_ERROR(shmring_emit(writer, &record, NULL), SHMRING_E_ARGUMENT, "record.type is NULL");
    shmring_release(item);
    shmring_release(end);
    shmring_detach(reader);
    shmring_close(writer);
}

static void census(const char *project)
{
    shmring_writer *writer;
    EXPECT(shmring_create(project, "cam3.frames", NULL, &writer) == SHMRING_OK);
    shmring_reader *reader = attached(project, "cam3.frames", SHMRING_LATEST);
    char *all = shmring_rings_json(project), *one = shmring_reader_json(reader);
    EXPECT(all != NULL && strstr(all, "\"name\":\"cam3.frames\"") != NULL);
    EXPECT(one != NULL && strstr(one, "\"live\":true") != NULL && strstr(one, project) != NULL);
    EXPECT(strstr(one, "round_trip") != NULL);
    shmring_free(all);
    shmring_free(one);
    shmring_detach(reader);
    shmring_close(writer);
}

int main(int argc, char **argv)
{
    EXPECT(argc == 2);
    EXPECT(shmring_abi_version() == ((uint32_t)SHMRING_ABI_MAJOR << 16 | SHMRING_ABI_MINOR));
    frames(argv[1]);
    some_frames(argv[1]);
    tensors(argv[1]);
    packets(argv[1]);
    records(argv[1]);
    census(argv[1]);
    puts("all as expected");
    return 0;
}
