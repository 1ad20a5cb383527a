// Plays a camera in the page by one way and keeps what is seen: the frame code of each picture in its top and its
// bottom strip, and when it was on the screen. The page's own player is one way; the others share no code with it.
(async (way, camera) => {
  const glass = { seen: [], errors: [], peers: [], pages: 0 };
  globalThis.glass = glass;
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });

  /** The number in a strip (docs/framecode.md), or null where its check does not fit. */
  const strip = (width, row) => {
    const { data } = context.getImageData(0, row, width, 1);
    let word = 0;
    for (let bit = 0; bit < 32; bit += 1) {
      if (data[4 * Math.floor(((bit + 0.5) * width) / 32)] > 128) word += 2 ** bit;
    }
    const [number, check] = [word % 2 ** 24, Math.floor(word / 2 ** 24)];
    return check === ((number ^ (number >> 8) ^ (number >> 16)) & 255) ? number : null;
  };

  // Firefox shows each picture, but calls back late for some, when the canvas gets the next one already. So each refresh
  // of its screen is looked at, and what is still the same counts once.
  const isFirefox = navigator.userAgent.includes("Firefox");

  const watch = (video) => {
    const next = isFirefox ? requestAnimationFrame.bind(globalThis) : video.requestVideoFrameCallback.bind(video);
    let last = "";
    const look = () => {
      if (isFirefox && video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
      const at = performance.timeOrigin + performance.now();
      const { videoWidth: width, videoHeight: height } = video;
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      // In one go: between two the video may go on, and the strips would be of two pictures.
      context.drawImage(video, 0, 0);
      const strips = [strip(width, 8), strip(width, height - 8)];
      if (isFirefox && String(strips) === last) return;
      last = String(strips);
      glass.seen.push([...strips, at, glass.player?.picture?.captureMs ?? null]);
    };
    const looks = () => {
      look();
      next(looks);
    };
    next(looks);
    video.addEventListener("error", () => glass.errors.push(video.error?.message ?? "error"));
    glass.video = video;
  };

  const made = () => {
    const video = document.createElement("video");
    Object.assign(video, { muted: true, autoplay: true, playsInline: true });
    video.style.cssText = "width: 640px; height: 480px";
    document.body.prepend(video);
    watch(video);
    return video;
  };

  /** Fragments from the WebSocket into a media source, as docs/web.md describes them. */
  const raw = (video) => {
    const source = new MediaSource();
    video.src = URL.createObjectURL(source);
    let [buffer, waiting] = [null, []];
    const pump = () => {
      if (buffer && !buffer.updating && waiting.length > 0) buffer.appendBuffer(waiting.shift());
    };
    source.addEventListener("sourceopen", () => {
      const socket = new WebSocket(`${location.origin.replace("http", "ws")}/live/${camera}`);
      socket.binaryType = "arraybuffer";
      socket.onmessage = ({ data }) => {
        if (typeof data !== "string") waiting.push(data);
        else if (JSON.parse(data).type === "mse" && !buffer) {
          glass.head = JSON.parse(data);
          buffer = source.addSourceBuffer(glass.head.value);
          buffer.addEventListener("updateend", () => {
            const { buffered } = video;
            if (buffered.length > 0 && glass.begun === undefined) {
              glass.begun = buffered.start(0);
              video.currentTime = glass.begun;
            }
            pump();
          });
          buffer.addEventListener("error", () => glass.errors.push("the source buffer failed"));
        } else if (JSON.parse(data).type !== "waiting") glass.errors.push(data);
        pump();
      };
    });
    // It begins up to a group of pictures late, and comes nearer slowly: no picture is left out.
    setInterval(() => { video.playbackRate = glass.lag() > 0.5 ? 1.1 : 1; }, 100);
  };

  const hls = (video, lowLatencyMode) => {
    // The page's policy allows no workers made of blobs.
    const player = new globalThis.Hls({ enableWorker: false, lowLatencyMode });
    player.on(globalThis.Hls.Events.ERROR, (_, { details, fatal, frag, response, error }) => {
      const about = [details, fatal ? "fatal" : "", frag?.relurl, response?.code, error?.message];
      glass.errors.push(about.filter(Boolean).join(", "));
    });
    player.loadSource(`/hls/${camera}/index.m3u8`);
    player.attachMedia(video);
    // What it took to begin would stay for ever: as players do that have a button for it, it goes to the live edge once.
    const goLive = () => {
      if (player.latency > player.targetLatency + 0.05) video.currentTime = player.liveSyncPosition;
    };
    if (lowLatencyMode) video.addEventListener("playing", goLive, { once: true });
    glass.hls = player;
  };

  const own = async () => {
    const { Player } = await import("/assets/player.js");
    const player = new Player(camera);
    player.element.style.cssText = "position: relative; width: 640px; height: 480px";
    document.body.prepend(player.element);
    watch(player.video);
    player.on = true;
    glass.player = player;
  };

  const whep = async (video) => {
    const { Whep } = await import("/assets/whep.js");
    const Peer = class extends RTCPeerConnection {
      constructor(...asked) {
        super(...asked);
        glass.peers.push(this);
      }
    };
    glass.whep = new Whep(camera, video, { Peer, tell: (state, why) => { if (why) glass.errors.push(`${state}: ${why}`); } });
    glass.whep.connect();
  };

  /** How much is there behind what is shown, in s. */
  glass.lag = () => {
    const { buffered, currentTime } = glass.video;
    return buffered.length > 0 ? buffered.end(buffered.length - 1) - currentTime : 0;
  };
  glass.torn = () => glass.seen.filter(([top, bottom]) => top === null || top !== bottom).length;
  /** The one picture stream of the peer, as the browser counts it. */
  glass.inbound = async () => {
    const all = [...(await glass.peers.at(-1).getStats()).values()];
    const { framesDropped, framesDecoded, freezeCount, nackCount } = all.find(({ type, kind }) => type === "inbound-rtp" && kind === "video");
    return { framesDropped, framesDecoded, freezeCount, nackCount };
  };

  if (way === "page") await own();
  else if (way === "websocket") raw(made());
  else if (way === "whep") await whep(made());
  else if (way === "native") made().src = `/hls/${camera}/index.m3u8`;
  else if (way === "hls.js") hls(made(), false);
  else if (way === "ll-hls") hls(made(), true);
  else throw new Error(`no such way: ${way}`);
})
