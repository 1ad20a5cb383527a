/* Holds one picture and looks at it whenever it is given a line: hold PROJECT RING */
#include <inttypes.h>

#include "expect.h"

int main(int argc, char **argv)
{
    EXPECT(argc == 3);
    shmring_reader *reader;
    struct shmring_news news;
    char line[64];
    EXPECT(shmring_attach(argv[1], argv[2], NULL, &reader) == SHMRING_OK);
    EXPECT(shmring_next(reader, 10 * SECOND, &news) == SHMRING_OK);
    for (int look = 0; look < 2; look++) {
        printf("%" PRIu32 "\n", checksum(shmring_item_frame(news.item)));
        fflush(stdout);
        EXPECT(fgets(line, sizeof line, stdin) != NULL);
    }
    shmring_release(news.item);
    puts("released");
    fflush(stdout);
    /* Until the test lets go, so that the reader still is one of the ring's. */
    while (fgets(line, sizeof line, stdin) != NULL)
        ;
    shmring_detach(reader);
    return 0;
}
