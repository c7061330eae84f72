// Sends a file in slices by PUT, resumes at the offset the server names, and checks SHA-256 at the end.
// Only one slice is in memory at a time; the file itself never is.

const uploads = new WeakMap(); // one state a mounted widget; Streamlit calls the default export again on every rerun
const TRIES = 6;

// SHA-256 piece by piece: the browser's own digest wants the whole file at once, and a secure context.
const K = new Int32Array(64); // signed throughout: engines keep such numbers in registers
const START = new Int32Array(8);
(function constants() {
  const part = (x) => ((x - Math.floor(x)) * 4294967296) | 0;
  for (let n = 2, i = 0; i < 64; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) { prime = false; break; }
    if (!prime) continue;
    if (i < 8) START[i] = part(Math.sqrt(n));
    K[i++] = part(Math.cbrt(n));
  }
})();

class Sha256 {
  constructor() {
    this.h = START.slice();
    this.w = new Int32Array(64);
    this.rest = new Uint8Array(0);
    this.length = 0;
  }
  update(bytes) {
    this.length += bytes.length;
    let at = 0;
    if (this.rest.length) {
      const need = Math.min(64 - this.rest.length, bytes.length);
      const joined = new Uint8Array(this.rest.length + need);
      joined.set(this.rest);
      joined.set(bytes.subarray(0, need), this.rest.length);
      at = need;
      if (joined.length < 64) { this.rest = joined; return; }
      this.block(joined, 0);
    }
    for (; at + 64 <= bytes.length; at += 64) this.block(bytes, at);
    this.rest = bytes.slice(at);
  }
  block(b, at) {
    const w = this.w, h = this.h;
    for (let i = 0; i < 16; i++, at += 4) w[i] = (b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3];
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let A = h[0], B = h[1], C = h[2], D = h[3], E = h[4], F = h[5], G = h[6], H = h[7];
    for (let i = 0; i < 64; i++) {
      const s1 = ((E >>> 6) | (E << 26)) ^ ((E >>> 11) | (E << 21)) ^ ((E >>> 25) | (E << 7));
      const t1 = (H + s1 + ((E & F) ^ (~E & G)) + K[i] + w[i]) | 0;
      const s0 = ((A >>> 2) | (A << 30)) ^ ((A >>> 13) | (A << 19)) ^ ((A >>> 22) | (A << 10));
      const t2 = (s0 + ((A & B) ^ (A & C) ^ (B & C))) | 0;
      H = G; G = F; F = E; E = (D + t1) | 0; D = C; C = B; B = A; A = (t1 + t2) | 0;
    }
    h[0] += A; h[1] += B; h[2] += C; h[3] += D; h[4] += E; h[5] += F; h[6] += G; h[7] += H;
  }
  hex() {
    const bits = this.length * 8;
    const tail = new Uint8Array(this.rest.length < 56 ? 64 : 128);
    tail.set(this.rest);
    tail[this.rest.length] = 0x80;
    const view = new DataView(tail.buffer);
    view.setUint32(tail.length - 8, Math.floor(bits / 4294967296));
    view.setUint32(tail.length - 4, bits >>> 0);
    for (let at = 0; at < tail.length; at += 64) this.block(tail, at);
    return Array.from(this.h, (x) => (x >>> 0).toString(16).padStart(8, '0')).join('');
  }
}

function words(bytes) {
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (bytes < 1000) return (bytes >= 10 || unit === 'B' ? bytes.toFixed(0) : bytes.toFixed(1)) + ' ' + unit;
    bytes /= 1000;
  }
  return bytes.toFixed(1) + ' TB';
}

class Refused extends Error {} // the server understood and said no: trying again would not help

async function ask(state, method, path, body, type) {
  const answer = await fetch(state.data.api + path, {
    method, body, headers: type ? { 'content-type': type } : {}, signal: state.abort.signal, credentials: 'same-origin',
  });
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  const text = [problem.message || problem.detail || problem.title || 'The server answered ' + answer.status + '.',
    problem.hint || ''].join(' ').trim();
  if (answer.status >= 500 || answer.status === 429) throw new Error(text);
  const refused = new Refused(text);
  refused.status = answer.status;
  throw refused;
}

const post = (state, path, document) => ask(state, 'POST', path, JSON.stringify(document), 'application/json');

async function patiently(state, step) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await step();
    } catch (error) {
      if (error instanceof Refused || state.abort.signal.aborted || attempt === TRIES) throw error;
      say(state, 'The connection was lost; trying again …');
      await new Promise((go) => setTimeout(go, 500 * 2 ** attempt));
    }
  }
}

const remembered = (file) => 'crossview-upload:' + [file.name, file.size, file.lastModified].join(':');

async function begun(state, file) {
  // The same file chosen again after a reload or a lost connection goes on where the server stands.
  let id = null;
  try { id = localStorage.getItem(remembered(file)); } catch { /* storage may be switched off */ }
  if (id) {
    try {
      const known = await ask(state, 'GET', '/uploads/' + id);
      if (!known.finished && known.received <= file.size) return known;
    } catch (error) { if (!(error instanceof Refused)) throw error; }
  }
  const fresh = await post(state, '/uploads', { name: file.name, size: file.size });
  try { localStorage.setItem(remembered(file), fresh.id); } catch { /* then it cannot resume after a reload */ }
  return fresh;
}

async function digested(state, file, until) {
  // What the server already has is read again here, so that the checksum covers the whole file.
  const sha = new Sha256();
  for (let at = 0; at < until; at += state.data.slice) {
    say(state, 'Checking the part that was already sent …');
    sha.update(new Uint8Array(await file.slice(at, Math.min(at + state.data.slice, until)).arrayBuffer()));
    if (state.abort.signal.aborted) throw new DOMException('paused', 'AbortError');
  }
  return sha;
}

async function send(state, file) {
  let it = await patiently(state, () => begun(state, file));
  let sha = await digested(state, file, it.received);
  const began = performance.now(), first = it.received;
  show(state, it.received, file.size, 0);
  while (it.received < file.size) {
    const offset = it.received;
    const bytes = new Uint8Array(await file.slice(offset, offset + state.data.slice).arrayBuffer());
    try {
      it = await patiently(state, () =>
        ask(state, 'PUT', '/uploads/' + it.id + '?offset=' + offset, bytes, 'application/octet-stream'));
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 409) throw error;
      it = await ask(state, 'GET', '/uploads/' + it.id); // an answer was lost on the way: ask where the server stands
      sha = await digested(state, file, it.received);
      continue;
    }
    sha.update(it.received === offset + bytes.length ? bytes : bytes.subarray(0, it.received - offset));
    show(state, it.received, file.size, (it.received - first) / ((performance.now() - began) / 1000));
  }
  say(state, 'Checking that everything arrived …');
  const whole = sha.hex();
  await patiently(state, () => post(state, '/uploads/' + it.id + '/finish', { sha256: whole }));
  try { localStorage.removeItem(remembered(file)); } catch { /* nothing was stored */ }
  return it.id;
}

function say(state, text) { state.ui.said.textContent = text; }

function show(state, received, size, speed) {
  state.ui.progress.value = size ? received / size : 1;
  const left = speed > 0 ? Math.ceil((size - received) / speed) : null;
  const time = left === null ? '' : left < 90 ? ', about ' + left + ' s left' : ', about ' + Math.ceil(left / 60) + ' min left';
  say(state, words(received) + ' of ' + words(size) + time);
}

function fail(state, text) {
  state.ui.wrong.textContent = text;
  state.ui.wrong.hidden = !text;
}

function mode(state, name) {
  state.mode = name;
  state.ui.busy.hidden = name === 'idle';
  state.ui.pick.hidden = name !== 'idle';
  state.ui.pause.textContent = name === 'paused' ? 'Resume' : 'Pause';
}

async function run(state, file) {
  state.file = file;
  state.abort = new AbortController();
  fail(state, '');
  mode(state, 'sending');
  try {
    const id = await send(state, file);
    mode(state, 'done');
    state.ui.pause.hidden = state.ui.stop.hidden = true;
    say(state, file.name + ' arrived whole.');
    state.finish('finished', { id, name: file.name, size: file.size });
  } catch (error) {
    if (state.stopped) return;
    mode(state, error instanceof Refused ? 'idle' : 'paused');
    if (!state.abort.signal.aborted) fail(state, error.message + (state.mode === 'paused' ? ' Press Resume to go on.' : ''));
    else say(state, 'Paused. Nothing that was sent is lost.');
  }
}

function choose(state, file) {
  if (!file || state.mode === 'sending') return;
  const { kinds, wrong } = state.data; // such as ['.h5ad', '.loom'], and what to say of any other file
  if (!kinds.some((kind) => file.name.toLowerCase().endsWith(kind))) return fail(state, file.name + ' ' + wrong);
  state.stopped = false;
  run(state, file);
}

function bind(parentElement) {
  const find = (selector) => parentElement.querySelector(selector);
  const ui = { drop: find('.drop'), pick: find('.pick'), title: find('.title'), hint: find('.hint'), input: find('input'), busy: find('.busy'),
    progress: find('progress'), said: find('.said'), pause: find('.pause'), stop: find('.stop'), wrong: find('.wrong') };
  const state = { ui, mode: 'idle', stopped: false };
  ui.input.onchange = () => choose(state, ui.input.files[0]);
  ui.pause.onclick = () => (state.mode === 'paused' ? run(state, state.file) : state.abort.abort());
  ui.stop.onclick = () => {
    state.stopped = true;
    state.abort.abort();
    ui.input.value = '';
    fail(state, '');
    mode(state, 'idle');
  };
  ui.drop.ondragover = (event) => { event.preventDefault(); ui.drop.classList.add('over'); };
  ui.drop.ondragleave = () => ui.drop.classList.remove('over');
  ui.drop.ondrop = (event) => {
    event.preventDefault();
    ui.drop.classList.remove('over');
    choose(state, event.dataTransfer.files[0]);
  };
  return state;
}

export default function ({ parentElement, data, setTriggerValue }) {
  let state = uploads.get(parentElement);
  if (!state) uploads.set(parentElement, (state = bind(parentElement)));
  state.data = data;
  state.finish = setTriggerValue;
  state.ui.title.textContent = data.label;
  state.ui.hint.textContent = data.hint + ' It is sent in slices: an interrupted upload goes on where it stopped.';
  state.ui.input.accept = data.kinds.join(',');
  return () => { // the widget left the page: what was sent stays on the server, to be resumed
    state.stopped = true;
    if (state.abort) state.abort.abort();
    uploads.delete(parentElement);
  };
}
