//! The newest key frame at once, then everything, in order, to the byte.

use str0m::media::MediaData;

use crate::client::Client;
use crate::system::{Camera, Published, System};

/// Numbers of the pictures, which must be whole ones of the camera.
fn numbers<'a>(pictures: impl Iterator<Item = &'a MediaData>, published: &Published) -> Vec<usize> {
    let number = |unit: &MediaData| published.number_of(&unit.data).expect("a whole picture");
    pictures.map(number).collect()
}

#[test]
fn a_late_viewer_begins_at_the_newest_key_frame_and_misses_nothing() {
    let system = System::new();
    let camera = Camera::h264(&system.project, 25);
    while camera.published.count() < 40 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let mut client = Client::of(&system);
    client.until("100 pictures", |client| client.pictures().count() >= 100);
    let numbers = numbers(client.pictures(), &camera.published);
    assert_eq!(numbers[0] % 25, 0, "it began with picture {}", numbers[0]);
    let expected: Vec<usize> = (numbers[0]..).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
    system.counts(|figures| figures.cameras["cam1"].viewers == 1);
}

#[test]
fn what_is_lost_on_the_way_is_sent_again() {
    let system = System::new();
    let camera = Camera::h264(&system.project, 25);
    let mut client = Client::of(&system);
    client.loses_each = 50;
    client.until("150 pictures", |client| client.pictures().count() >= 150);
    let numbers = numbers(client.pictures(), &camera.published);
    let expected: Vec<usize> = (numbers[0]..).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn pictures_of_the_past_pass_in_an_instant_and_live_ones_in_their_time() {
    let system = System::new();
    let camera = Camera::h264(&system.project, 500);
    while camera.published.count() < 50 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let mut client = Client::of(&system);
    client.until("100 pictures", |client| client.pictures().count() >= 100);
    let ticks: Vec<u64> = client.pictures().map(|unit| unit.time.numer()).collect();
    let steps: Vec<u64> = ticks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let quick = steps.iter().take_while(|step| **step < 200).count();
    assert!(quick >= 40, "{quick} pictures of the past were quick: {steps:?}");
    // Ticks of 11 us: the camera's pictures are 40 ms apart to the ns.
    let rest = &steps[quick + 1..];
    assert!(rest.iter().all(|step| (3_599..=3_601).contains(step)), "{rest:?}");
    assert!(!rest.is_empty());
}

#[test]
fn who_asks_for_a_key_frame_gets_the_newest_one_again_and_catches_up() {
    let system = System::new();
    // One key frame for the whole test.
    let camera = Camera::h264(&system.project, 100_000);
    let mut client = Client::of(&system);
    // Longer than five seconds: who asks sooner waits for the camera's next one.
    client.until("150 pictures", |client| client.pictures().count() >= 150);
    client.ask_for_a_key_frame();
    let is_key = |unit: &MediaData| camera.published.number_of(&unit.data) == Some(0);
    client.until("the key frame again", |client| {
        client.pictures().filter(|it| is_key(it)).count() == 2
    });
    let again = client.pictures().skip(1).position(&is_key).unwrap() + 1;
    client.until("to be live again", |client| client.pictures().count() >= again + 170);
    let numbers = numbers(client.pictures().skip(again), &camera.published);
    let expected: Vec<usize> = (0..).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
    let ticks: Vec<u64> = client.pictures().map(|unit| unit.time.numer()).collect();
    assert!(ticks.is_sorted(), "RTP times never step back");
    system.counts(|figures| figures.cameras["cam1"].key_requests >= 1);
}
