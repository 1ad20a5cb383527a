//! What a look costs, for pictures that move, with zones and without, and what sixteen cameras at five pictures a
//! second would take of a core: `cargo run --release -p motion --example motion_cost`.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::time::Duration;

use motion::detect::{Detector, Sensitivity};
use motion::grid::Grid;
use protocol::config::zone::{Field, Zones};
use protocol::stream::PixelFormat;
use protocol::time::MonoNs;
use shmring::clock;

const LOOKS: u32 = 2_000;
/// What the promise is about.
const CAMERAS: f64 = 16.0;
const FPS: f64 = 5.0;

fn main() {
    println!("| picture | zones | us a look | 16 cameras at 5 fps, of a core |");
    println!("|---|---|---|---|");
    for (width, height) in [(640, 360), (1280, 720), (1920, 1080)] {
        for (name, field) in [("none", Field::default()), ("two", field())] {
            let look = cost(width, height, field);
            let share = look.as_secs_f64() * CAMERAS * FPS;
            println!(
                "| {width}x{height} | {name} | {:.0} | {share:.4} |",
                look.as_secs_f64() * 1e6
            );
        }
    }
}

fn field() -> Field {
    let corners = ["0% 50%, 100% 50%, 100% 100%, 0% 100%", "10% 10%, 40% 40%"];
    let zones = ["drive", "door"].into_iter().zip(corners);
    let zones = zones.filter_map(|(name, text)| Some((name.to_owned(), text.parse().ok()?)));
    Field::of(&zones.collect::<Zones>(), &Zones::new(), "cam")
}

/// One look, rows copied as out of a ring.
fn cost(width: u32, height: u32, field: Field) -> Duration {
    let mut detector = Detector::new(Sensitivity::new(50), field);
    let bytes = width as usize;
    let texture: Vec<u8> =
        (0..bytes * 2).map(|at| u8::try_from(60 + at % 90).unwrap_or(0)).collect();
    let mut moving = 0;
    let start = clock::mono();
    for look in 0..LOOKS {
        let shift = (look as usize * 7) % bytes;
        let grid = Grid::sample(width, height, PixelFormat::Yuv420p, |y, row| {
            // A third of the picture moves.
            let from = if y % 3 == 0 { shift } else { 0 };
            row.copy_from_slice(&texture[from..from + bytes]);
        });
        let at = MonoNs(1 + u64::from(look) * 200_000_000);
        moving += u32::from(detector.look(at, &grid).moving);
    }
    let took = clock::mono().saturating_since(start) / LOOKS;
    assert!(moving > 0, "nothing moves, and costs less than what does");
    took
}
