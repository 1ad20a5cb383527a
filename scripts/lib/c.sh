# Sourced by c-path and c-install: builds the C library and lays it out under a prefix.

# build_c : builds it; $built is the folder it lies in. FRAMEVISOR_PROFILE=dev takes the debug build.
build_c() {
  target=${CARGO_TARGET_DIR:-$PWD/target}
  profile=${FRAMEVISOR_PROFILE:-release}
  cargo build --quiet --locked --profile "$profile" -p shmring-c >&2
  folder=$profile
  [ "$profile" = dev ] && folder=debug
  built=$target/$folder
}

# write_pc FILE PREFIX LIBDIR [LINKER_FLAGS] : what pkg-config tells of a library that will lie there.
write_pc() {
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
  sed -e "s|@PREFIX@|$2|" -e "s|@LIBDIR@|$3|" -e "s|@VERSION@|$version|" -e "s|@RPATH@|${4-}|" \
    shmring/c/shmring.pc.in >"$1"
}
