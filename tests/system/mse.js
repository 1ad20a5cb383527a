// Appends the pieces of a file to a browser's media source one by one and plays them to the end.
async (pieces, type, at) => {
  if (!MediaSource.isTypeSupported(type)) return { unsupported: true };
  const video = document.body.appendChild(document.createElement("video"));
  const fails = new Promise((_, fail) => {
    const tell = () => fail(new Error(`${video.error?.code}: ${video.error?.message}`));
    video.addEventListener("error", tell);
    setTimeout(() => fail(new Error(`at ${video.currentTime} s after 60 s`)), 60000);
  });
  const on = (target, event) =>
    Promise.race([fails, new Promise((done) => target.addEventListener(event, done, { once: true }))]);
  const source = new MediaSource();
  video.muted = true;
  video.src = URL.createObjectURL(source);
  await on(source, "sourceopen");
  const buffer = source.addSourceBuffer(type);
  for (const piece of pieces) {
    const appended = on(buffer, "updateend");
    buffer.appendBuffer(Uint8Array.from(atob(piece), (byte) => byte.charCodeAt(0)));
    await appended;
  }
  source.endOfStream();
  const ranges = video.buffered;
  const buffered = Array.from({ length: ranges.length }, (_, nth) => [ranges.start(nth), ranges.end(nth)]);
  // Into the middle of a group of pictures: what is shown there has to be decoded from its key frame.
  const seeked = on(video, "seeked");
  video.currentTime = at;
  await seeked;
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const brush = canvas.getContext("2d");
  brush.drawImage(video, 0, 0);
  const { data } = brush.getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set(new Uint32Array(data.buffer)).size;
  const ended = on(video, "ended");
  video.playbackRate = 4;
  await video.play();
  await ended;
  const told = { buffered, colours, width: video.videoWidth, height: video.videoHeight, end: video.currentTime };
  video.remove();
  return told;
}
