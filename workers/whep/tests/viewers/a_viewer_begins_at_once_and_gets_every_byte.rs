//! The newest key frame at once, then everything, in order, to the byte. Who is a second late skips to a newer key
//! frame: where everything is to come none comes meanwhile, since a thread of a busy machine may rest for as long.

use std::time::Duration;

use shmring::clock;
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
    let camera = Camera::h264(&system.project, 150);
    while camera.published.count() < 160 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut client = Client::of(&system);
    client.until("100 pictures", |client| client.pictures().count() >= 100);
    let numbers = numbers(client.pictures(), &camera.published);
    let is_newest = numbers[0] > 0 && numbers[0].is_multiple_of(150);
    assert!(is_newest, "it began with picture {}", numbers[0]);
    let expected: Vec<usize> = (numbers[0]..).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
    system.counts(|figures| figures.cameras["cam1"].viewers == 1);
}

#[test]
fn what_is_lost_on_the_way_is_sent_again() {
    let system = System::new();
    let camera = Camera::h264(&system.project, 100_000);
    let mut client = Client::of(&system);
    client.loses_each = 50;
    client.until("250 pictures", |client| client.pictures().count() >= 250);
    let numbers = numbers(client.pictures(), &camera.published);
    let expected: Vec<usize> = (numbers[0]..).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
}

/// Ticks from each picture to the next.
fn steps(client: &Client) -> Vec<u64> {
    let ticks: Vec<u64> = client.pictures().map(|unit| unit.time.numer()).collect();
    ticks.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// How many pictures pass in an instant.
fn quick(steps: &[u64]) -> usize {
    steps.iter().take_while(|step| **step < 200).count()
}

#[test]
fn pictures_of_the_past_pass_in_an_instant_and_live_ones_in_their_time() {
    let system = System::new();
    let camera = Camera::h264(&system.project, 500);
    while camera.published.count() < 50 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut client = Client::of(&system);
    // However many are of the past by then.
    client.until("live pictures", |client| {
        let steps = steps(client);
        steps.len() >= 99 && steps.len() > quick(&steps) + 40
    });
    let steps = steps(&client);
    let quick = quick(&steps);
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
    client.until("a picture", |client| client.pictures().count() > 0);
    // Longer than five seconds: who asks sooner waits for the camera's next one.
    let soonest = clock::mono() + Duration::from_secs(6);
    client.until("150 pictures", |client| {
        client.pictures().count() >= 150 && clock::mono() >= soonest
    });
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
