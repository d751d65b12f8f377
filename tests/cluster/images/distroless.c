/* app [CODE]: prints its arguments and environment, and exits with CODE. */
#include <stdio.h>
#include <stdlib.h>

extern char **environ;

int main(int argc, char **argv) {
    for (int i = 0; i < argc; i++) printf("argv[%d]=%s\n", i, argv[i]);
    for (char **entry = environ; *entry; entry++) printf("env %s\n", *entry);
    return argc > 1 ? atoi(argv[argc - 1]) : 0;
}
