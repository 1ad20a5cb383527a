/* A program that knows only sem_t: waits COUNT times for semaphore NAME, 20 s at most each time, then prints
   what it is at. */
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    sem_t *semaphore = sem_open(argv[1], 0);
    if (semaphore == SEM_FAILED) {
        perror(argv[1]);
        return 1;
    }
    for (long left = strtol(argv[2], NULL, 10); left > 0; left--) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 20;
        if (sem_timedwait(semaphore, &until) != 0) {
            perror("sem_timedwait");
            return 1;
        }
    }
    int value = 0;
    sem_getvalue(semaphore, &value);
    printf("%d\n", value);
    return 0;
}
