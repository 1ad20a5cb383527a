# PKG_CONFIG_PATH says where the library is: docs/c.md.
CFLAGS += -O2 -Wall -Wextra $(shell pkg-config --cflags shmring)
LDLIBS += $(shell pkg-config --libs shmring)

{name}: {name}.c
	$(CC) $(CFLAGS) -o $@ $< $(LDLIBS)
