// Seats a player of live video (player.js) where a page wants it, and tells of each picture that it shows. The clock of
// this machine and that of the server are taken to agree, and an age that cannot be is left out.

/** An age beyond this is the clocks' doing. */
const AGE_MAX_MS = 60_000;

/**
 * `player` has element, on, state, why, title, ageMs, picture ({epoch, sequence, captureMs} or null), video and image;
 * `ring()` names the ring its pictures are counted in. `unnamed({ageMs, width, height})` is called again and again while it
 * plays without saying which picture it shows; `ageMs` is null where it does not even say when.
 */
export function seat(player, element, { ring = () => "", shown = () => {}, unnamed = () => {}, why = () => {}, wall = () => Date.now() } = {}) {
  let [last, said, open] = [null, null, true];

  function look() {
    if (!open) return;
    const { picture } = player;
    if (picture && picture !== last) {
      last = picture;
      shown({ ring: ring(), ...picture, ageMs: age(picture), ...size(player) });
    } else if (!picture && player.state === "playing") {
      unnamed({ ageMs: player.ageMs, ...size(player) });
    }
    // What it says while it plays is of before.
    const text = player.state === "playing" ? "" : player.why;
    if (text !== said) why(text);
    said = text;
    requestAnimationFrame(look);
  }

  function age({ captureMs }) {
    const ms = wall() - captureMs;
    return ms >= 0 && ms < AGE_MAX_MS ? ms : 0;
  }

  element.prepend(player.element);
  player.on = true;
  look();
  return {
    get transport() {
      return player.title;
    },
    close() {
      open = false;
      player.on = false;
      player.element.remove();
    },
  };
}

/** Of what it shows, in points of the picture. */
function size({ video, image }) {
  return video.hidden ? { width: image.naturalWidth, height: image.naturalHeight } : { width: video.videoWidth, height: video.videoHeight };
}
