//! Whether the kernel could load a program that is there and executable: a script needs its interpreter, a
//! binary this machine. Without looking, such a command ends in a riddle: what cannot be loaded is given to
//! the shell by the C library, and that says "not found".

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// What tells script, binary and machine apart; a longer line of a script is cut by the kernel too.
const HEAD_BYTES: u64 = 256;
/// i386 binaries run on most x86-64 kernels.
const MACHINE_I386: u16 = 3;
const MACHINE_X86_64: u16 = 62;

/// Why it cannot be loaded; `None` when it can, or when that cannot be told.
pub(super) fn obstacle(program: &Path) -> Option<String> {
    let head = head(program)?;
    if let Some(interpreter) = interpreter(&head) {
        let there = Path::new(interpreter).try_exists().unwrap_or(true);
        return (!there).then(|| format!("its first line names {interpreter}, which is not there"));
    }
    if others_are_registered() {
        return None;
    }
    let (its, own) = (machine(&head)?, machine(&self::head(Path::new("/proc/self/exe"))?)?);
    foreign(its, own)
        .then(|| format!("it is a program for another machine (ELF {its}, this one is {own})"))
}

fn head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    Some(head)
}

/// What a script's first line names.
fn interpreter(head: &[u8]) -> Option<&str> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    str::from_utf8(line).ok()?.split_ascii_whitespace().next()
}

/// The machine a binary is for, by its number in the ELF header.
fn machine(head: &[u8]) -> Option<u16> {
    let bytes: [u8; 2] = head.get(18..20)?.try_into().ok()?;
    let is_little_endian = head.starts_with(b"\x7fELF") && head[5] == 1;
    is_little_endian.then(|| u16::from_le_bytes(bytes))
}

fn foreign(its: u16, own: u16) -> bool {
    its != own && (its, own) != (MACHINE_I386, MACHINE_X86_64)
}

/// Whether the kernel was told of loaders for other formats, an emulator say (binfmt_misc).
fn others_are_registered() -> bool {
    let entries = fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| name != "register" && name != "status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_its_interpreter_with_or_without_spaces_and_arguments() {
        assert_eq!(interpreter(b"#!/bin/sh\nexit\n"), Some("/bin/sh"));
        assert_eq!(interpreter(b"#! /usr/bin/env python3\n"), Some("/usr/bin/env"));
        assert_eq!(interpreter(b"echo\n"), None);
        assert_eq!(interpreter(b"#!\n"), None);
    }

    #[test]
    fn a_binary_names_its_machine_and_other_files_name_none() {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(18, 0);
        assert_eq!(machine(&head), None);
        head.extend([183, 0]);
        assert_eq!(machine(&head), Some(183));
        assert_eq!(machine(b"a text that is longer than twenty bytes"), None);
    }

    #[test]
    fn only_i386_runs_beside_a_machines_own() {
        assert!(!foreign(183, 183));
        assert!(foreign(183, MACHINE_X86_64) && foreign(MACHINE_X86_64, 183));
        assert!(!foreign(MACHINE_I386, MACHINE_X86_64) && foreign(MACHINE_I386, 183));
    }

    #[test]
    fn this_program_and_the_shell_can_be_loaded() {
        assert_eq!(obstacle(&std::env::current_exe().unwrap()), None);
        assert_eq!(obstacle(Path::new("/bin/sh")), None);
    }
}
