const PING_EVERY_MS = 25_000;
const ANSWER_WITHIN_MS = 10_000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MOST_MS = 30_000;
const REFUSED = [4401, 4403];

/** A WebSocket that comes back: exponential backoff with jitter, heartbeat, woken by online and visibility events. */
class Connection {
  constructor(url, { hello, onFrame, onState, onClose }) {
    Object.assign(this, { url, hello, onFrame, onState, onClose });
    this.state = 'idle'; // idle, connecting, open, lost, busy, refused
    this.attempts = 0;
    this.socket = null;
    addEventListener('online', () => this.wake());
    addEventListener('offline', () => this.socket && this.abandon(1006));
    addEventListener('pageshow', (event) => event.persisted && this.wake());
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.wake());
  }
  start() {
    if (this.state === 'idle') this.connect();
  }
  connect() {
    clearTimeout(this.retry);
    this.change(this.state === 'idle' ? 'connecting' : this.state);
    const socket = (this.socket = new WebSocket(this.url));
    this.expect(ANSWER_WITHIN_MS);
    socket.onopen = () => socket === this.socket && socket.send(JSON.stringify({ type: 'hello', ...this.hello() }));
    socket.onmessage = ({ data }) => socket === this.socket && this.heard(data);
    socket.onclose = ({ code }) => socket === this.socket && this.abandon(code);
  }
  heard(data) {
    clearTimeout(this.silence);
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (frame.type === 'welcome') {
      this.attempts = 0;
      clearInterval(this.pings);
      this.pings = setInterval(() => this.ping(ANSWER_WITHIN_MS), PING_EVERY_MS);
      this.change('open');
    }
    this.onFrame(frame);
  }
  /** Sends when connected; says whether it did. */
  send(frame) {
    if (this.state !== 'open' || this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }
  ping(within) {
    if (this.send({ type: 'ping' })) this.expect(within);
  }
  expect(within) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.abandon(1006), within);
  }
  /** The socket is gone, or as good as gone: let go of it and plan the next try. */
  abandon(code) {
    const socket = this.socket;
    this.socket = null;
    clearTimeout(this.silence);
    clearInterval(this.pings);
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close();
    this.onClose(code);
    if (REFUSED.includes(code)) return this.change('refused');
    const wait = Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** this.attempts++) * (0.5 + Math.random() / 2);
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.connect(), wait);
    this.change(code === 1013 ? 'busy' : 'lost');
  }
  /** Something hints that the network is back: try now, or make sure that the line still stands. */
  wake() {
    if (this.state === 'open') this.ping(5_000);
    else if (['lost', 'busy'].includes(this.state) && !this.socket) this.connect();
  }
  /** Rests until it is started again. */
  stop() {
    const socket = this.socket;
    this.socket = null;
    clearTimeout(this.silence);
    clearTimeout(this.retry);
    clearInterval(this.pings);
    socket?.close();
    this.attempts = 0;
    this.change('idle');
  }
  restart() {
    this.stop();
    this.connect();
  }
  change(state) {
    if (state === this.state) return;
    this.state = state;
    this.onState(state);
  }
}
