/* Prints the records there are, good and bad: records PROJECT RING */
#include <inttypes.h>

#include "expect.h"

int main(int argc, char **argv)
{
    EXPECT(argc == 3);
    struct shmring_attach_options options;
    SHMRING_INIT(&options);
    options.start = SHMRING_START_OLDEST;
    shmring_reader *reader;
    EXPECT(shmring_attach(argv[1], argv[2], &options, &reader) == SHMRING_OK);
    struct shmring_news news;
    int status;
    while ((status = shmring_next(reader, 0, &news)) != SHMRING_QUIET) {
        if (status < 0) {
            EXPECT(news.item == NULL);
            printf("%s: %s\n", shmring_status_name(status), shmring_last_error());
            continue;
        }
        EXPECT(status == SHMRING_OK);
        const struct shmring_record *record = shmring_item_record(news.item);
        printf("%" PRIu64 " %s %s %s\n", record->sequence, record->type, record->data_json, record->json);
        shmring_release(news.item);
    }
    shmring_detach(reader);
    return 0;
}
