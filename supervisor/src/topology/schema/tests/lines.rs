//! Entries that the reader takes, and such that it refuses.

/// A section of a topology, or its top, and entries of it: each line by itself makes a topology.
pub(super) const TAKEN: [(&str, &str); 3] = [
    (
        "",
        "project: 12
$schema: framevisor.schema.json
group: 1000
supervisor: {on_death: adopt, adopt_within: 1.5m}
supervisor:
rings: {'cam-{1..2}.packets': {max_bitrate: 64k, spare_readers: 0, history: 64, access: brokered}}
defaults: {workers: {restart: {limit: none}}, run: {env: {A: 1, B: true}, policy: every 5}}
defaults: {recorder: {segment: 5m, policy: {essential: 2s}}, cameras: {serve: false}, rings: {history: 2}}
templates: {a: {use: decoder, threads: 2}, b: {record: true, serve: web}, c: {threads: 3}, d: {run: [x]}}
groups: {hall: cam-1, all: ['cam*', cam-2]}
hooks: {tell: {on: worker.held, run: [x], timeout: 100ms, env: {A: 1}}, more: {on: [camera.down, 'worker.*'], run: [x]}}
defaults: {encoder: {codec: h265, bitrate: 2M, latency: quality, keyframe_every: 2s, max_fps: 10, hardware: vaapi, on_demand: true, on_writer_lost: slate}}
defaults: {run: {limits: {memory: none}}, decoder: {limits: {memory: 2GiB}}}",
    ),
    (
        "cameras",
        "hall: 'test:'
hall: {url: 'test:', frames: {limits: {nice: -20}}}
'hall-{01..03}': {url: 'rtsp://10.0.0.{1..3}/main', after: 'cam-{1..3}', serve: [web]}
hall: {url: clip.mp4, loop: false, record: /srv/x, frames: true, motion: {fps: 1, restart: {delay: 1s}}}
hall: {url: 'test:', detect: {model: yolo.onnx, only: [person], zones: {door: '10% 20%, 60% 90%'}}}
hall: {url: 'test:', record: {dir: x, keep: {age: 30d, size: 200GB}, min_free: 10%, policy: sequential}}
hall: {url: 'test:', record: {dir: x, when: command}}
hall: {url: 'test:', audio: aac}
hall: {url: 'test:', push: 'rtsp://mediamtx:8554/hall'}
hall: {url: 'test:', push: {to: 'rtmp://h/live/hall', audio: false, restart: {delay: 1s}}}
hall: {url: 'test:', frames: true, health: {frozen: 1h, black: 1s, blank: off, rate: 50%, fps: 25}}
hall: {url: 'rtsp://10.0.0.5/main', audio: aac, on_demand: true, start: 0s}
hall: {url: 'test:', motion: true, record: {dir: x, when: [always, events, {pre: 0s}]}}
hall: {like: cam-5, url: 'test:', max_bitrate: '${RATE:-16M}', motion: '${MOTION:-true}'}",
    ),
    (
        "workers",
        "x: {run: [x], limits: {memory: 512MiB, nice: 19, cpus: '0-3,6', nofile: 16, pids: 1, core: true, require: false}}
x: {run: [x], in: d-1.frames, out: x.events, limits: {cpus: 2, oom_score_adj: -1000, cpu_weight: 10000, network: none}}
x: {run: [x], stdout: x.packets, codec: {name: mpegts}}
d: {use: decoder, in: cam-1.packets, out: d.small.frames, threads: 16, max_pixels: 64}
d: {use: decoder, in: cam-1.packets, health: {frozen: 30s, black: off, blank: 500ms}}
i: {use: ingest, source: 'test:?picture=black', health: {fps: 12, rate: 99%}}
i: {use: ingest, source: 'test:', health: {rate: off}}
d: {use: decoder, in: cam-1.packets, hardware: auto, outputs: {small: {size: 640x360, format: rgb24}, gray: {format: gray8}}}
d: {use: decoder, in: [cam-1.packets], threads: '${THREADS:-2}', after: [cam-1, cam-2]}
o: {use: motion, in: d-1.frames, zones: {drive: '10% 20%, 60.5% 90.25%', d-1.door: '0% 0%, 50% 0%, 25% 100%'}, ignore: {tree: '0% 0%, 100% 9%'}}
o: {use: detect, in: d-1.frames, model: yolo.onnx}
d: {use: decoder, in: cam-1.packets, outputs: {net: {size: 640x640, tensor: {layout: nhwc, type: f16, scale: signed, colour: bgr, fit: stretch}}}}
d: {use: decoder, in: cam-1.packets, outputs: {net: {size: 320x320, tensor: {}}}}
o: {use: detect, in: ['*.frames'], model: a/b.onnx, engine: onnxruntime, onnxruntime: /opt/libonnxruntime.so, providers: [tensorrt, cuda, openvino, cpu], device: 1, threads: 4}
o: {use: detect, in: d-1.frames, model: x, form: yolo8, labels: [a, 7], size: 320x320, scale: imagenet, colour: bgr, fit: stretch, fps: 10, min_score: 0.5, scores: {a: 0.7}, overlap: 0.6, most: 20}
o: {use: detect, in: d-1.frames, model: x, only: [a], zones: {d: '0% 50%, 100% 100%'}, batch: 4, wait: 0ms, out: o.events}
m: {use: mixer, in: '*.packets', codec: pcm, channels: 2, wait: 500ms, sources: {cam-1: {gain: -6.5dB}, cam-2.packets: {mute: true}}}
i: {use: ingest, source: 'test:?tone=1000&sound=pcma&rate=8000&level=-20dB'}
i: {use: ingest, source: 'test:?size=640x480&beep=1000&sound=aac&channels=2'}
e: {use: encoder, in: cam-1.packets, audio: opus, audio_bitrate: 32k, policy: essential 5s}
m: {use: compositor, in: [d-1.frames], size: 640x360, fps: 30, wait: 0s, slate_after: 5s, layout: pip, columns: 2, background: '#0a0B0c'}
m: {use: compositor, in: d-1.frames, places: {d-1.frames: {at: bottom-right, x: 16, y: 2.5%, w: 25%, h: 100, fit: cover, missing: last, name: Yard}}}
m: {use: compositor, in: d-1.frames, places: {d-1.frames: {key: {color: green, similarity: 0.2, blend: 0}}}, boxes: {color: red, line: 3, hold: 1s, labels: false}}
m: {use: compositor, in: d-1.frames, text: [{text: '{name} %H:%M:%S', each: true, at: top-left, zone: utc}, {text: plain, over: d-1.frames, x: 1, y: 2, size: 4%, color: '#ffffff'}]}
w: {use: web, in: ['*', '*.events', 'cam-{1..2}.packets'], listen: '[::1]:80', jpeg_quality: 100}
w: {use: web, in: '*.packets', listen: '${WEB:-127.0.0.1:8080}'}
r: {use: rtsp, in: cam-1.packets, udp_ports: 5000-65535, multicast: 239.255.42.0/24, multicast_ttl: 255}
r: {use: rtsp, in: cam-1.packets, udp_ports: off, multicast: off}
r: {use: rtsp, in: cam-1.packets, max_clients: 10000, drain: 1m, max_per_address: 1}
r: {use: rtsp, in: cam-1.packets, listen: 0.0.0.0:8554, users: {anyone: {play: '*', publish: [a, 'b-*']}}, basic: never}
r: {use: rtsp, in: cam-1.packets, tls: {cert: a.pem, key: b.pem}, basic: always}
w: {use: web, in: '*', max_clients: 1, max_per_address: 10000, base_path: /site/cams, hosts: [nvr.example.org, nvr], proxies: ['::1', 10.0.0.9]}
w: {use: web, in: '*', listen: '[::]:8080', users: {anyone: {play: '*'}}, basic: always, tls: {cert: a.pem, key: b.pem}, base_path: /}
r: {use: rtsp, in: cam-1.packets, onvif: {listen: '127.0.0.1:8000', name: hall, discovery: 3702}}
r: {use: rtsp, in: cam-1.packets, onvif: {}}
r: {use: rtsp, in: cam-1.packets, tls: {cert: a.pem, key: b.pem, listen: '127.0.0.1:322'}}
w: {use: web, in: '*', webrtc: {listen: '0.0.0.0:8189', addresses: [192.168.1.5, 'fd00::5'], max_viewers: 0}}
r: {use: recorder, in: cam-1.packets, dir: 2026, min_free: 20GB, policy: essential 100ms}
r: {use: recorder, in: cam-1.packets, dir: x, when: {events: ext.door.events, camera: '*', post: 1h}}
r: {use: recorder, in: cam-1.packets, dir: x, when: {events: [ext.a.events, '*.events'], type: [a, 'b.*'], min_score: 0.5, data: {a: 1, b: [x, y]}}}
i: {use: ingest, source: 'test:?size=640x480&fps=25&gop=25&bitrate=2M&mode=live', loop: true}
i: {use: ingest, source: 'rtsp://u:p@ss@nvr.local:554/a', restart: {delay: 0s, limit: none}}
i: {use: ingest, source: 'file:/srv/a.mp4', restart: {delay: 0.25s..30s, limit: 5 in 60s}}
i: {use: ingest, source: 'srt://:9000?mode=listener&latency=200', on_demand: true}
i: {use: ingest, source: 'http://u:p@10.0.0.5/video.cgi?user=a&pwd=b'}
i: {use: ingest, source: 'udp://@239.1.1.1:5000'}
i: {use: ingest, source: 'v4l2:/dev/video0?size=1280x720&fps=30&format=h264'}
i: {use: ingest, source: 'publish:'}
i: {use: ingest, source: 'publish:?second=replace'}
i: {use: ingest, source: clip.mp4, start: 30s}
i: {use: ingest, source: '${URL:-rtsp://10.0.0.5/main}'}
i: {use: ingest, source: 'rtsp:odd'}
p: {use: replay, from: recordings/cam-1, since: 2026-11-20T13:09:00Z, until: 2026-11-20 13:10:00.5, speed: 2x, loop: true}
p: {use: replay, from: /srv/cam-1, out: cam-9.packets, speed: 0.5, pause: 0s, hold: true}
p: {use: replay, from: /srv/cam-1, speed: step}
r: {use: recorder, in: cam-1.packets, dir: x, keep: {age: 2d, events: 30d, size: 1TB, until: uploaded}}
u: {use: uploader, dir: recordings, to: 's3://cameras/site-1', endpoint: 'http://127.0.0.1:9000', rate: 20M}
u: {use: uploader, dir: x, to: 's3://cameras', region: eu, parallel: 16, delete_after: uploaded, ca: ca.pem}
p: {use: rtsp-push, in: cam-1.packets, to: 'rtsp://u:p@ss@mediamtx:8554/cam', transport: udp, audio: false}
p: {use: rtsp-push, in: cam-1.packets, to: 'rtmp://h/live/key'}
p: {use: rtsp-push, in: cam-1.packets, to: 'srt://h:9000?streamid=publish:a&passphrase=0123456789&latency=200'}
p: {use: rtsp-push, in: cam-1.packets, to: 'udp://239.1.1.1:5000?ttl=4', restart: {delay: 0s}}
p: {use: rtsp-push, in: cam-1.packets, to: 'rtp://10.0.0.9:5004?sdp=cam-1.sdp'}
n: {use: notify, url: 'https://hooks.example.org/x?y=z', on: ['worker.*', recording.segment], timeout: 5s, give_up_after: 1h}
n: {use: notify, url: 'mqtts://u:p@broker.example.org:8884', on: 'camera.*', topic: yard/cams, discovery: off, ca: ca.pem}
n: {use: notify, url: 'mqtt://[::1]', on: worker.died, discovery: homeassistant}
n: {use: notify, url: 'mqtt://h', on: ['rule.*.begin', 'rule.*']}
r: {use: rules, in: ext.a.events, rules: {night: {type: motion, schedule: 'mon-fri 22:00-06:00', for: 1s, min_score: 0.2}}}
r: {use: rules, in: ext.a.events, rules: {a-1: {label: [person, car], zone: porch, quiet: 5s, snapshot: true, schedule: ['sat,sun', '8:00-9:30']}}, zones: {porch: '0% 50%, 100% 50%, 50% 100%', cam-1.door: '0% 0%, 50% 50%'}, snapshots: pictures, keep_for: 30d, jpeg_quality: 90}
r: {use: rules, in: [ext.a.events, d-1.frames], out: alerts.events, rules: {b: {}}}
x: {run: [sleep, 1], in: cam-1.packets, out: x.events, ready: attach, policy: every 1000}
x: {run: [sleep, '1'], ready: tcp 8554, env: {A: 1, B: true, C: '${HOME}'}}
x: {run: [x], ready: 'http http://127.0.0.1:9997/v3', after: cam-1}
x: {run: [x], ready: 'log listening .*', policy: latest}
x: {run: [x], stdout: x.packets, sound: {hz: 48000, channels: 2, samples: f32le}}
x: {run: [x], stdin: cam-1.packets, stdout: x.packets, codec: {name: h264, size: 640x480, fps: 25}}
x: {run: [x], stdin: cam-1.packets, stdout: x.small.frames, raw: {format: nv12, size: 8x8, fps: 240, stride: 64, pace: as-fast}}
x: {like: cam-4, loop: false}
'y-{1..2}': {use: decoder, in: 'cam-{1..2}.packets', out: 'y-{1..2}.frames', threads: '{1..2}'}",
    ),
];

/// As [`TAKEN`]: each line has one mistake.
pub(super) const REFUSED: [(&str, &str); 3] = [
    (
        "",
        "projct: a
$schema: [a]
project: Yard
group: [a]
supervisor: {on_death: live}
supervisor: {adopt_within: 30}
supervisor: {on_deth: adopt}
rings: {cam-1: {}}
rings: {cam-1.packets: {max_bitrate: 8}}
rings: {cam-1.packets: {max_bitrate: 8Mbit}}
rings: {cam-1.packets: {spare_readers: 65}}
rings: {cam-1.packets: {history: -1}}
rings: {cam-1.packets: {access: open}}
rings: {d-1.frames: {memory: gpu}}
rings: {cam-1.packets: {like: cam-2}}
defaults: {composer: {}}
defaults: {encoder: {audio: mp3}}
defaults: {encoder: {bitrate: 2}}
defaults: {encoder: {latency: low}}
defaults: {encoder: {max_fps: 0}}
defaults: {encoder: {hardware: cuda}}
defaults: {encoder: {in: cam-1.packets}}
defaults: {workers: {limits: {nice: 1}}}
defaults: {cameras: {like: cam-1}}
defaults: {decoder: {in: cam-1.packets}}
defaults: {decoder: {policy: sequential}}
defaults: {run: {run: [x]}}
defaults: {run: {raw: {format: nv12, size: 8x8, fps: 5}}}
groups: {Hall: cam-1}
groups: {hall: {}}
hooks: {Tell: {on: worker.held, run: [x]}}
hooks: {tell: {on: worker.fell, run: [x]}}
hooks: {tell: {on: worker.held, run: [x], timeout: 10}}
hooks: {tell: {on: rule.night, run: [x]}}
hooks: {tell: {on: worker.held, run: x}}
hooks: {tell: {on: worker.held, run: [x], after: cam-1}}",
    ),
    (
        "cameras",
        "hall: {url: 'test:', urll: x}
hall: {url: 'test:', use: ingest}
hall: {url: 'ftp://10.0.0.5/main'}
hall: 'exec://x'
hall: {url: 'test:', serve: [rtsp, http]}
hall: {url: 'test:', serve: true}
hall: {url: 'test:', record: {segment: 60}}
hall: {url: 'test:', record: {dir: x, keep: {age: 30}}}
hall: {url: 'test:', record: {dir: x, keep: {days: 30d}}}
hall: {url: 'test:', record: [x]}
hall: {url: 'test:', record: {dir: x, when: sometimes}}
hall: {url: 'test:', record: {dir: x, when: {event: ext.a.events}}}
hall: {url: 'test:', record: {dir: x, when: {events: ext.a.events, pre: 5}}}
hall: {url: 'test:', record: {dir: x, when: {events: ext.a.events, min_score: much}}}
hall: {url: 'test:', record: {dir: x, when: [always, 7s]}}
hall: {url: 'test:', record: {dir: x, when: {events: Yard.events}}}
hall: {url: 'test:', push: true}
hall: {url: 'test:', push: mediamtx}
hall: {url: 'test:', push: {to: 'rtsp://h/x', in: cam-1.packets}}
hall: {url: 'test:', motion: {fps: 241}}
hall: {url: 'test:', detect: {model: x, in: cam-1.frames}}
hall: {url: 'test:', detect: true}
hall: {url: 'test:', motion: {sensitivity: 101}}
hall: {url: 'test:', frames: {threads: 17}}
hall: {url: 'test:', frames: {max_pixels: 268435457}}
hall: {url: 'test:', motion: {fps: 0}}
hall: {url: 'test:', motion: {in: cam-1.frames}}
hall: {url: 'test:', frames: yes}
hall: {url: 'test:', health: off}
hall: {url: 'test:', health: {dark: 1s}}
hall: {url: 'test:', frames: true, health: {black: 10}}
hall: {url: 'test:', frames: {fps: 5}}
hall: {url: 'test:', max_bitrate: 8000000}
Hall: {url: 'test:', serve: false}",
    ),
    (
        "workers",
        "x: {run: [x], limits: {memory: 512}}
x: {run: [x], limits: {nice: 20}}
x: {run: [x], limits: {cpus: all}}
x: {run: [x], limits: {cpu: 2}}
x: {run: [x], limits: {nofile: 15}}
x: {run: [x], limits: {pids: 0}}
x: {run: [x], limits: {cpu_weight: 10001}}
x: {run: [x], limits: {oom_score_adj: 1001}}
x: {run: [x], limits: {core: 1}}
-d: {use: decoder, in: cam-1.packets}
d: {use: decodr, in: cam-1.packets}
d: {use: decoder, run: [x], in: cam-1.packets}
d: {use: decoder, in: cam-1.packets, fps: 5}
d: {use: decoder, in: cam-1.packets, env: {A: b}}
d: {use: decoder, in: cam-1.packets, policy: latest}
d: {use: decoder, in: cam-1.packets, ready: attach}
d: {use: decoder, in: cam-1.packets, threads: 0}
d: {use: decoder, in: cam-1.packets, threads: 1.5}
d: {use: decoder, in: cam-1.packets, max_pixels: 63}
m: {use: compositor, in: d-1.frames, fps: 0}
m: {use: compositor, in: d-1.frames, wait: 100}
m: {use: compositor, in: d-1.frames, size: 640}
m: {use: compositor, in: d-1.frames, layout: rows}
m: {use: compositor, in: d-1.frames, background: mauve}
m: {use: compositor, in: d-1.frames, places: {d-1.frames: {w: 101%}}}
m: {use: compositor, in: d-1.frames, places: {d-1.frames: {at: middle}}}
m: {use: compositor, in: d-1.frames, places: {d-1.frames: {width: 5}}}
m: {use: compositor, in: d-1.frames, text: [{text: x, zone: mars}]}
m: {use: compositor, in: d-1.frames, boxes: {line: wide}}
d: {use: decoder, in: cam-1.packets, health: {frozen: never}}
d: {use: decoder, in: cam-1.packets, health: {rate: 50%}}
i: {use: ingest, source: 'test:', health: {rate: 100%}}
i: {use: ingest, source: 'test:', health: {fps: 0}}
i: {use: ingest, source: 'test:', health: {black: 1s}}
i: {use: ingest, source: 'test:?picture=red'}
d: {use: decoder, in: cam-1}
d: {use: decoder, in: cam-1.packets, out: d.pictures}
d: [decoder]
x: {run: [x], stdout: x.packets, sound: {hz: 100}}
x: {run: [x], stdout: x.packets, sound: {hz: 48000, samples: u8}}
m: {use: mixer, in: cam-1.packets, codec: mp3}
o: {use: motion, in: d-1.frames, zones: {drive: '10% 20%'}}
o: {use: motion, in: d-1.frames, zones: {Drive: '10% 20%, 60% 90%'}}
o: {use: motion, in: d-1.frames, ignore: {drive: '10% 20%, 101% 90%'}}
o: {use: detect, in: d-1.frames, model: x, engine: torch}
d: {use: decoder, in: cam-1.packets, outputs: {net: {size: 640x640, tensor: {type: bf16}}}}
d: {use: decoder, in: cam-1.packets, outputs: {net: {size: 640x640, tensor: {format: f16}}}}
d: {use: decoder, in: cam-1.packets, outputs: {net: {size: 640x640, tensor: true}}}
o: {use: detect, in: d-1.frames, model: x, providers: [rocm]}
o: {use: detect, in: d-1.frames, model: x, form: ssd}
o: {use: detect, in: d-1.frames, model: x, scale: half}
o: {use: detect, in: d-1.frames, model: x, batch: 65}
o: {use: detect, in: d-1.frames, model: x, labels: a}
o: {use: detect, in: d-1.frames, model: x, wait: 20}
m: {use: mixer, in: cam-1.packets, channels: 3}
m: {use: mixer, in: cam-1.packets, sources: {cam-1: {gain: -6}}}
m: {use: mixer, in: cam-1.packets, sources: {cam-1: {volume: 3dB}}}
i: {use: ingest, source: 'test:?tone=high'}
w: {use: web, in: '*.pictures'}
w: {use: web, in: '*', out: w.events}
w: {use: web, in: '*', listen: localhost:8080}
w: {use: web, in: '*', listen: 8080}
w: {use: web, in: '*', jpeg_quality: 101}
w: {use: web, in: '*', webrtc: {max_viewers: 1001}}
w: {use: web, in: '*', webrtc: {addresses: [nvr.example]}}
w: {use: web, in: '*', webrtc: {listen: 8189}}
w: {use: web, in: '*', webrtc: {port: 8189}}
r: {use: rtsp, in: '*', max_clients: 10001}
r: {use: rtsp, in: '*', drain: 10}
r: {use: rtsp, in: '*', udp_ports: 20000}
r: {use: rtsp, in: '*', udp_ports: 20001-20999}
r: {use: rtsp, in: '*', multicast: 10.0.0.0/24}
r: {use: rtsp, in: '*', multicast: 239.255.42.0/8}
r: {use: rtsp, in: '*', multicast_ttl: 256}
r: {use: rtsp, in: '*', max_per_address: 0}
r: {use: rtsp, in: '*', basic: sometimes}
r: {use: rtsp, in: '*', onvif: true}
r: {use: rtsp, in: '*', onvif: {listen: 8000}}
r: {use: rtsp, in: '*', onvif: {discovery: 65536}}
r: {use: rtsp, in: '*', users: {anna: {password: s3cret, play: '*'}}}
r: {use: rtsp, in: '*', users: {anyone: {see: '*'}}}
r: {use: rtsp, in: '*', users: [anna]}
r: {use: rtsp, in: '*', tls: {cert: a.pem, key: b.pem, listen: 8322}}
r: {use: rtsp, in: '*', tls: {cert: a.pem, key: b.pem, port: 8322}}
w: {use: web, in: '*', max_clients: 0}
w: {use: web, in: '*', base_path: cams}
w: {use: web, in: '*', base_path: /../cams}
w: {use: web, in: '*', hosts: ['nvr:8080']}
w: {use: web, in: '*', hosts: [127.0.0.1]}
w: {use: web, in: '*', proxies: [nginx]}
w: {use: web, in: '*', basic: sometimes}
w: {use: web, in: '*', tokens: {ops: {token: hunter2hunter2hunter2, may: [read]}}}
w: {use: web, in: '*', tokens: [ops]}
w: {use: web, in: '*', tls: {cert: a.pem, key: b.pem, listen: 8443}}
r: {use: recorder, in: '*', dir: x, min_free: 100%}
r: {use: recorder, in: '*', dir: x, min_free: 20}
r: {use: recorder, in: '*', dir: x, keep: 30d}
r: {use: recorder, in: '*', dir: x, segment: 1 m}
r: {use: recorder, in: '*', dir: x, policy: latest}
r: {use: recorder, in: '*', dir: x, policy: {essential: 2}}
r: {use: recorder, in: '*', dir: x, policy: {essential: 2s, essental: 2s}}
i: {use: ingest, source: 'test:?colour=red'}
i: {use: ingest, source: 'test:?fps=x'}
i: {use: ingest, source: 'rtsp:///main'}
i: {use: ingest, source: 'http:///main'}
i: {use: ingest, source: 'udp://239.1.1.1'}
i: {use: ingest, source: 'ftp://10.0.0.5/a.ts'}
i: {use: ingest, source: 'v4l2:video0'}
i: {use: ingest, source: 'publish:door'}
i: {use: ingest, source: 'publish:?second=both'}
i: {use: ingest, source: 'test:', in: cam-1.packets}
i: {use: ingest, source: 'test:', loop: 1}
i: {use: ingest, source: 'test:', restart: {dely: 1s}}
i: {use: ingest, source: 'test:', restart: {delay: 1}}
i: {use: ingest, source: 'test:', restart: {limit: 5}}
i: {use: ingest, source: 'test:', like: [cam-4]}
p: {use: replay, from: x, speed: fast}
p: {use: replay, from: x, speed: -1}
p: {use: replay, from: x, since: 13:09}
p: {use: replay, from: x, pause: 1}
p: {use: replay, from: x, in: cam-1.packets}
r: {use: recorder, in: cam-1.packets, dir: x, keep: {events: 1}}
r: {use: recorder, in: cam-1.packets, dir: x, keep: {until: pinned}}
u: {use: uploader, dir: x, to: cameras}
u: {use: uploader, dir: x, to: 's3://cameras', endpoint: 'ftp://h'}
u: {use: uploader, dir: x, to: 's3://cameras', credentials: 'a:b'}
u: {use: uploader, dir: x, to: 's3://cameras', delete_after: sometimes}
u: {use: uploader, dir: x, to: 's3://cameras', parallel: 17}
u: {use: uploader, dir: x, to: 's3://cameras', in: cam-1.packets}
p: {use: rtsp-push, in: cam-1.packets, to: 'http://h/x'}
p: {use: rtsp-push, in: cam-1.packets, to: 'rtsp://h/x', transport: multicast}
p: {use: rtsp-push, in: cam-1.packets, to: 'rtsp://h/x', audio: aac}
p: {use: rtsp-push, in: cam-1.packets, to: 'rtsp://h/x', policy: sequential}
p: {use: rtsp-push, in: cam-1.packets, to: 'rtsp://h/x', out: p.packets}
n: {use: notify, url: hooks.example.org, on: worker.held}
n: {use: notify, url: 'http://h/', on: worker.up}
n: {use: notify, url: 'http://h/', on: worker.held, secret: s3cret}
n: {use: notify, url: 'mqtt://h', on: worker.held, topic: 'yard/#'}
n: {use: notify, url: 'mqtt://h', on: worker.held, discovery: /ha}
n: {use: notify, url: 'mqtt://h', on: rule.night.began}
r: {use: rules, in: ext.a.events, rules: {a: {lable: x}}}
r: {use: rules, in: ext.a.events, rules: {a: {schedule: sometimes}}}
r: {use: rules, in: ext.a.events, rules: {a: {for: 1}}}
r: {use: rules, in: ext.a.events, rules: {A: {}}}
r: {use: rules, in: ext.a.events, rules: {a: {}}, zones: {z: [[0, 0], [1, 1]]}}
r: {use: rules, in: ext.a.events, rules: {a: {}}, zones: {z: '0% 0%, 100% 200%, 100% 0%'}}
r: {use: rules, in: ext.a.events, rules: {a: {}}, jpeg_quality: 0}
x: {run: sleep 1}
x: {run: []}
x: {run: [x], threads: 1}
x: {run: [x], env: {FRAMEVISOR_IN: x}}
x: {run: [x], env: {TMPDIR: /x}}
x: {run: [x], env: {1A: x}}
x: {run: [x], env: {A: [x]}}
x: {run: [x], ready: up}
x: {run: [x], ready: tcp x}
x: {run: [x], policy: every 1001}
x: {run: [x], policy: newest}
x: {run: [x], stdin: cam-1.events}
x: {run: [x], stdout: x.frames, raw: {format: yuv, size: 8x8, fps: 5}}
x: {run: [x], stdout: x.frames, raw: {format: nv12, size: 8, fps: 5}}
x: {run: [x], stdout: x.frames, raw: {format: nv12, size: 8x8, fps: 0}}
x: {run: [x], stdout: x.frames, raw: {format: nv12, size: 8x8, fps: 5, pace: fast}}
x: {run: [x], stdout: x.frames, raw: {format: nv12, size: 8x8, fps: 5, strid: 8}}
x: {run: [x], stdout: x.packets, codec: {name: vp8, size: 8x8, fps: 5}}
d: {use: decoder, in: cam-1.packets, stdin: cam-1.packets}
x: {run: [x], after: {a: b}}",
    ),
];
