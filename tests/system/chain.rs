//! The longest way of a picture, from a command's stdout to a second server.

use protocol::units::Size;
use tests::checks::chain;

use crate::first_light::holds;

#[test]
fn raw_pictures_are_marked_composed_encoded_and_published_whoever_is_killed() {
    holds(|| chain::of_raw_pictures(Size { width: 320, height: 192 }, 2, 4));
}
