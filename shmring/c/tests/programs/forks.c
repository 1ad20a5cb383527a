/* Handles belong to the process that made them: forks PROJECT */
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"

static void in_child(shmring_writer *writer, shmring_reader *reader, shmring_item *item)
{
    struct shmring_news news;
    EXPECT_ERROR(shmring_next(reader, SHMRING_FOREVER, &news), SHMRING_E_FORKED, "attach again");
    EXPECT_ERROR(shmring_wait(reader, SHMRING_FOREVER), SHMRING_E_FORKED, "forked child");
    EXPECT_ERROR(shmring_finish(writer), SHMRING_E_FORKED, "forked child");
    EXPECT(shmring_item_frame(item) == NULL && shmring_last_status() == SHMRING_E_FORKED);
    shmring_release(item);
    shmring_detach(reader);
    shmring_close(writer);
}

static pid_t forked(int *hold)
{
    int ends[2];
    EXPECT(pipe(ends) == 0);
    pid_t child = fork();
    EXPECT(child >= 0);
    close(ends[child == 0 ? 1 : 0]);
    *hold = ends[child == 0 ? 0 : 1];
    return child;
}

int main(int argc, char **argv)
{
    EXPECT(argc == 2);
    const char *project = argv[1];
    struct shmring_frame frame;
    SHMRING_INIT(&frame);
    frame.width = frame.height = 64;
    frame.format = SHMRING_GRAY8;
    EXPECT(shmring_layout(&frame) == SHMRING_OK);

    shmring_writer *writer;
    shmring_reader *reader;
    EXPECT(shmring_create(project, "cam1.frames", NULL, &writer) == SHMRING_OK);
    EXPECT(shmring_attach(project, "cam1.frames", NULL, &reader) == SHMRING_OK);
    shmring_loan *loan;
    EXPECT(shmring_borrow(writer, frame.slot_bytes, &loan) == SHMRING_OK);
    memset(shmring_loan_data(loan, NULL), 42, frame.slot_bytes);
    EXPECT(shmring_publish(loan, &frame, NULL) == SHMRING_OK);
    struct shmring_news news;
    EXPECT(shmring_next(reader, 10 * SECOND, &news) == SHMRING_OK);
    const struct shmring_frame *seen = shmring_item_frame(news.item);

    int hold;
    pid_t child = forked(&hold);
    if (child == 0) {
        EXPECT(seen->planes[0].data[63] == 42);
        in_child(writer, reader, news.item);
        shmring_reader *own;
        EXPECT(shmring_attach(project, "cam1.frames", NULL, &own) == SHMRING_OK);
        shmring_detach(own);
        char byte;
        /* Lives on for as long as the parent does what follows. */
        _exit(read(hold, &byte, 1) == 1 ? 0 : 1);
    }
    /* The child ends no lease of ours: as many pictures as the ring can hold pass by. */
    for (int n = 0; n < 50; n++) {
        EXPECT(shmring_borrow(writer, frame.slot_bytes, &loan) == SHMRING_OK);
        memset(shmring_loan_data(loan, NULL), n, frame.slot_bytes);
        EXPECT(shmring_publish(loan, &frame, NULL) == SHMRING_OK);
        EXPECT(seen->planes[0].data[0] == 42 && seen->planes[0].data[63] == 42);
    }
    shmring_release(news.item);
    shmring_detach(reader);
    /* And it keeps no lock of ours: the ring can be taken anew while it lives. */
    shmring_close(writer);
    EXPECT(shmring_create(project, "cam1.frames", NULL, &writer) == SHMRING_OK);
    shmring_close(writer);
    EXPECT(write(hold, "x", 1) == 1);
    int status;
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    puts("all as expected");
    return 0;
}
