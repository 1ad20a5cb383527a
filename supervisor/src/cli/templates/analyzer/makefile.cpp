# PKG_CONFIG_PATH says where the library is: docs/c.md.
CXXFLAGS += -O2 -std=c++17 -Wall -Wextra $(shell pkg-config --cflags shmring)
LDLIBS += $(shell pkg-config --libs shmring)

{name}: {name}.cpp
	$(CXX) $(CXXFLAGS) -o $@ $< $(LDLIBS)
