//! The program of `use: rtsp`.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<rtsp::Rtsp>()
}
