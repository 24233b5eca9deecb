/*! brandvoice chat widget. Hand-written, no build step: what you read is what is served. Apache-2.0.
 *
 *   <script src="https://HOST/widget.js" data-site="pk_..." async></script>
 *
 * Optional: data-accent="#7a1f2b" colours the launcher before the first connection, data-label="Help" names it.
 * Page interface: brandvoice('open' | 'close' | 'toggle' | 'reset'), brandvoice('send', text),
 * brandvoice('on', event, handler) with the events ready, open, close, sent, message, handoff, unread, connection, error.
 * Calls made before this file has loaded are kept when the page defines the stub
 *   window.brandvoice = window.brandvoice || function () { (brandvoice.q = brandvoice.q || []).push(arguments); };
 *
 * From top to bottom: words, colours, storage, safe Markdown, connection, the element, the page interface.
 */
(() => {
  'use strict';
  const script = document.currentScript;
  if (!script || customElements.get('brandvoice-chat')) return;

  // ---------------------------------------------------------------- words
  const WORDS = {
    launcher: 'Chat with us',
    close: 'Close chat',
    input: 'Your message',
    placeholder: 'Write a message…',
    send: 'Send message',
    person: 'Ask for a person',
    personMessage: 'I would like to talk to a person',
    you: 'You said:',
    said: (name) => `${name} said:`,
    transcript: 'Conversation',
    starters: 'Questions to start with',
    connecting: 'Connecting…',
    lost: 'Connection lost — reconnecting…',
    busy: 'Many people are writing to us right now — we keep trying…',
    refused: 'This chat cannot be used on this page. Its site key or its address is not allowed.',
    tryNow: 'Try now',
    starting: 'The assistant is waking up. You can write already; the answer follows.',
    down: 'The assistant is not available right now. Your message is kept.',
    queued: 'Waiting for a free place…',
    searching: 'Searching our pages…',
    writing: 'Writing…',
    sending: 'Sending…',
    unsent: 'Not sent yet: it goes out as soon as we are connected.',
    notSent: 'Not sent.',
    failed: 'Something went wrong and this could not be answered.',
    retry: 'Retry',
    sources: 'Sources',
    source: (number, title) => `Source ${number}: ${title}`,
    closeSource: 'Close source',
    match: (percent) => `Match ${percent} %`,
    helpful: 'Helpful',
    notHelpful: 'Not helpful',
    handedOff: 'Passed on to a person',
    jump: 'New messages',
    unread: (count) => `${count} new ${count === 1 ? 'message' : 'messages'}`,
    left: (count) => `${count} characters left`,
    tooLong: (count, limit) => `${count} characters too many: a message can have ${limit}.`,
    online: 'Online',
    offline: 'Offline',
  };

  // ---------------------------------------------------------------- colours
  // Contrast as WCAG 2.2 defines it: relative luminance of sRGB, (lighter + 0.05) / (darker + 0.05).
  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const hex = (channels) => '#' + channels.map((c) => Math.round(c).toString(16).padStart(2, '0')).join('');
  const luminance = (color) => {
    const [r, g, b] = rgb(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  };
  /** The colour itself, or the nearest mix with `towards` that reaches `ratio` on `ground`. */
  const readable = (color, ground, towards, ratio) => {
    for (let share = 0; share <= 1; share += 0.04) {
      const mixed = hex(rgb(color).map((c, i) => c + (rgb(towards)[i] - c) * share));
      if (contrast(mixed, ground) >= ratio) return mixed;
    }
    return towards;
  };
  const onColor = (fill) => (contrast('#ffffff', fill) >= 4.5 ? '#ffffff' : '#000000');
  const LIGHT = '#f6f5f3';
  const DARK = '#26282d';

  // ---------------------------------------------------------------- storage
  /** One site key's corner of localStorage; memory stands in where the browser forbids storage. */
  class Store {
    constructor(siteKey) {
      this.prefix = `brandvoice:${siteKey}:`;
      this.memory = new Map();
    }
    get(name) {
      try {
        return JSON.parse(localStorage.getItem(this.prefix + name));
      } catch {
        return this.memory.get(name) ?? null;
      }
    }
    set(name, value) {
      this.memory.set(name, value);
      try {
        if (value === null) localStorage.removeItem(this.prefix + name);
        else localStorage.setItem(this.prefix + name, JSON.stringify(value));
      } catch { /* full or forbidden: memory has it */ }
      if (value === null) this.memory.delete(name);
    }
    names(start) {
      let all = [...this.memory.keys()];
      try {
        all = all.concat(Object.keys(localStorage).filter((key) => key.startsWith(this.prefix))
          .map((key) => key.slice(this.prefix.length)));
      } catch { /* forbidden: memory has them */ }
      return [...new Set(all)].filter((name) => name.startsWith(start));
    }
    clear() {
      for (const name of this.names('')) this.set(name, null);
    }
    /** Messages that the server has not confirmed, oldest first: one entry each, so that two tabs never overwrite. */
    outbox() {
      return this.names('out:').map((name) => this.get(name)).filter((m) => m && m.client_id && m.text)
        .sort((a, b) => a.at - b.at);
    }
  }

  const uuid = () => {
    if (crypto.randomUUID) return crypto.randomUUID(); // only in secure contexts
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    return [...bytes].map((b, i) => ([4, 6, 8, 10].includes(i) ? '-' : '') + b.toString(16).padStart(2, '0')).join('');
  };

  // ---------------------------------------------------------------- elements
  /** `h('button', {class: 'x', onclick: f}, 'text', child)`: text always goes in as text, never as HTML. */
  const h = (tag, props = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith('on')) node[name] = value;
      else node.setAttribute(name, value === true ? '' : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  };
  const SHAPES = {
    chat: 'M12 3c5 0 9 3.4 9 7.6s-4 7.6-9 7.6c-.9 0-1.800-.1-2.600-.3L4.600 20.500l1.100-3.900C4 15.200 3 13 3 10.600 3 6.400 7 3 12 3Z',
    close: 'm6 6 12 12M18 6 6 18',
    send: 'M5 12 3.500 4.500 21 12 3.500 19.500 5 12Zm0 0h8',
    up: 'M7 11v9H4v-9h3Zm0 0 4-8c1.700 0 2.600 1.200 2.300 2.700L12.600 9h5.600c1.300 0 2.200 1.200 1.900 2.400l-1.700 7c-.2 1-1.100 1.600-2 1.600H7',
    down: 'M17 13V4h3v9h-3Zm0 0-4 8c-1.700 0-2.600-1.200-2.300-2.700l.7-3.300H5.800c-1.300 0-2.200-1.200-1.900-2.400l1.700-7C5.800 4.600 6.700 4 7.600 4H17',
    person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7.500 8c.8-3.600 3.800-5.500 7.500-5.500s6.700 1.900 7.500 5.500',
    jump: 'M12 5v14m-6-6 6 6 6-6',
  };
  const icon = (name) => {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    svg.setAttribute('viewBox', '0 0 24 24');
    svg.setAttribute('aria-hidden', 'true');
    path.setAttribute('d', SHAPES[name]);
    svg.append(path);
    return svg;
  };

  // ---------------------------------------------------------------- safe Markdown
  const INLINE = new RegExp([
    /\*\*([^*]+)\*\*/, // 1 bold
    /!\[([^\]]*)\]\([^)]*\)/, // 2 image: only its words
    /\[([^\]]+)\]\(([^)\s]+)\)/, // 3, 4 link
    /\[(\d{1,2})\]/, // 5 citation mark
    /(https?:\/\/[^\s<>()]*[^\s<>().,;:!?'"])/, // 6 bare address
    /([\w.+-]+@[\w-]+(?:\.[\w-]+)+)/, // 7 e-mail
    /`([^`]+)`/, // 8 code: only its words
  ].map((part) => part.source).join('|'), 'g');

  /** A link to the web or to a mailbox that names where it goes; null for every other scheme. */
  const link = (label, address) => {
    let url;
    try {
      url = new URL(address);
    } catch {
      return null;
    }
    if (!['http:', 'https:', 'mailto:'].includes(url.protocol)) return null;
    const target = url.protocol === 'mailto:' ? url.pathname : url.host;
    const anchor = h('a', { href: url.href, target: '_blank', rel: 'noopener noreferrer nofollow' }, label);
    if (!label.includes(target)) anchor.append(` (${target})`);
    return anchor;
  };

  /** Text with bold, links and citation marks as nodes; `cite(number)` gives a chip, or null for an unknown mark. */
  const inline = (text, cite) => {
    const nodes = [];
    let end = 0;
    for (const match of text.matchAll(INLINE)) {
      const [whole, bold, image, label, address, mark, bare, mail, code] = match;
      let before = text.slice(end, match.index);
      end = match.index + whole.length;
      let node = whole;
      if (bold) node = h('strong', {}, ...inline(bold, cite));
      else if (image !== undefined) node = image;
      else if (label) node = link(label, address) ?? label;
      else if (bare) node = link(bare, bare) ?? bare;
      else if (mail) node = link(mail, `mailto:${mail}`) ?? mail;
      else if (code) node = code;
      else if (mark) {
        const chip = cite?.(Number(mark));
        if (chip) {
          before = before.trimEnd() + '\u2060'; // the chip stays on the line of its word
          node = chip;
        }
      }
      nodes.push(before, node);
    }
    nodes.push(text.slice(end));
    return nodes;
  };

  /** Blocks from pieces of text (a piece is a sentence or a whole text); `fresh` pieces fade in. */
  const blocks = (pieces, cite) => {
    const root = document.createDocumentFragment();
    let open = null; // the block that takes the next line: p, ul, ol or table
    const into = (tag, props) => {
      if (open?.localName !== tag) root.append((open = h(tag, props)));
      return open;
    };
    for (const { text, fresh } of pieces) {
      for (const line of text.split('\n')) {
        const words = (content) => h('span', { class: fresh ? 's fresh' : 's' }, ...inline(content, cite));
        const heading = /^\s*#{1,6}\s+(.*)/.exec(line);
        const bullet = /^\s*[-*•]\s+(.*)/.exec(line);
        const number = /^\s*(\d{1,2})[.)]\s+(.*)/.exec(line);
        if (!line.trim()) open = null;
        else if (heading) {
          root.append(h('p', { class: 'heading' }, words(heading[1])));
          open = null;
        } else if (bullet) into('ul').append(h('li', {}, words(bullet[1])));
        else if (number) into('ol', { start: number[1] }).append(h('li', {}, words(number[2])));
        else if (/^\s*\|.*\|\s*$/.test(line)) {
          const cells = line.trim().slice(1, -1).split('|').map((cell) => cell.trim());
          if (cells.every((cell) => /^:?-+:?$/.test(cell))) continue;
          const cell = open?.localName === 'table' ? 'td' : 'th';
          into('table').append(h('tr', {}, ...cells.map((content) => h(cell, {}, ...inline(content, cite)))));
        } else {
          const paragraph = into('p');
          if (paragraph.hasChildNodes()) paragraph.append(' ');
          paragraph.append(words(line.trim()));
        }
      }
    }
    return root;
  };

  /** What a screen reader is told: the words without marks and Markdown signs. */
  const spoken = (text) => text.replace(/\s*\[\d{1,2}\]/g, '').replace(/\*\*|`/g, '')
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1');

  // ---------------------------------------------------------------- connection
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
    restart() {
      const socket = this.socket;
      this.socket = null;
      clearTimeout(this.silence);
      socket?.close();
      this.state = 'idle';
      this.attempts = 0;
      this.connect();
    }
    change(state) {
      if (state === this.state) return;
      this.state = state;
      this.onState(state);
    }
  }

  // ---------------------------------------------------------------- looks
  const CSS = `
    :host { all: initial; }
    .root {
      --surface: #ffffff; --raised: ${LIGHT}; --text: #1d1c1a; --muted: #5b5854; --line: #dedad5; --danger: #a3221d;
      --fill: var(--fill-light); --on: var(--on-light); --ink: var(--ink-light);
      --shadow: 0 1px 3px rgb(0 0 0 / .12), 0 18px 50px rgb(0 0 0 / .22);
      color-scheme: light; color: var(--text); font: 400 15px/1.6 var(--font); text-align: start;
      -webkit-font-smoothing: antialiased;
    }
    @media (prefers-color-scheme: dark) {
      .root {
        --surface: #18191c; --raised: ${DARK}; --text: #efeeec; --muted: #b3b1ac; --line: #414349; --danger: #ff9d94;
        --fill: var(--fill-dark); --on: var(--on-dark); --ink: var(--ink-dark);
        --shadow: 0 1px 3px rgb(0 0 0 / .5), 0 18px 50px rgb(0 0 0 / .6);
        color-scheme: dark;
      }
    }
    *, ::before, ::after { box-sizing: border-box; }
    [hidden] { display: none !important; }
    button, textarea { font: inherit; color: inherit; margin: 0; }
    button { cursor: pointer; border: 1px solid transparent; background: none; padding: 0; border-radius: 8px; }
    svg { width: 20px; height: 20px; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round;
      stroke-linecap: round; display: block; }
    :focus-visible { outline: 2px solid var(--ink); outline-offset: 2px; }
    .sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

    .launcher { position: fixed; z-index: 2147483000; inset-inline-end: 20px;
      inset-block-end: calc(20px + env(safe-area-inset-bottom)); width: 60px; height: 60px; border-radius: 50%;
      background: var(--fill); color: var(--on); box-shadow: var(--shadow); display: grid; place-items: center;
      transition: transform .18s ease; }
    .launcher:hover { transform: scale(1.05); }
    .launcher svg { width: 27px; height: 27px; }
    .launcher:focus-visible { outline-offset: 3px; }
    .badge { position: absolute; inset-block-start: -3px; inset-inline-end: -3px; min-width: 22px; height: 22px;
      padding: 0 6px; border-radius: 11px; background: #b3261e; color: #fff; border: 2px solid var(--surface);
      font: 700 11px/18px system-ui, sans-serif; text-align: center; }

    .panel { position: fixed; z-index: 2147483001; inset-inline-end: 20px;
      inset-block-end: calc(92px + env(safe-area-inset-bottom)); width: 400px; height: min(640px, calc(100dvh - 112px));
      display: flex; flex-direction: column; overflow: hidden; background: var(--surface); border: 1px solid var(--line);
      border-radius: 18px; box-shadow: var(--shadow); animation: rise .2s ease-out; }
    header { flex: none; display: flex; align-items: center; gap: 12px; padding: 14px 12px 14px 16px;
      background: var(--fill); color: var(--on); border-block-end: 1px solid transparent; }
    .face { flex: none; width: 40px; height: 40px; border-radius: 50%; display: grid; place-items: center; font-size: 18px;
      border: 1px solid currentColor; }
    .who { flex: 1; min-width: 0; }
    h2 { margin: 0; font-size: 17px; font-weight: 600; line-height: 1.3; overflow: hidden; text-overflow: ellipsis;
      white-space: nowrap; }
    .presence { margin: 0; font-size: 13px; line-height: 1.4; display: flex; align-items: center; gap: 6px; }
    .presence::before { content: ''; width: 8px; height: 8px; border-radius: 50%; border: 1.5px solid currentColor; }
    .presence[data-on]::before { background: currentColor; }
    header button { width: 36px; height: 36px; display: grid; place-items: center; }
    header button:hover { background: rgb(127 127 127 / .28); }
    header :focus-visible { outline-color: var(--on); outline-offset: -3px; }

    .banner { flex: none; display: flex; align-items: center; gap: 10px; padding: 9px 16px; font-size: 13.500px; line-height: 1.4;
      background: #fdf0cf; color: #4b3600; border-block-end: 1px solid #e8d196; }
    .banner span { flex: 1; }
    .banner button { text-decoration: underline; min-height: 24px; padding: 0 4px; }
    @media (prefers-color-scheme: dark) { .banner { background: #40320c; color: #ffe7ac; border-color: #6a5518; }
      .banner :focus-visible { outline-color: #ffe7ac; } }

    .body { position: relative; flex: 1; min-height: 0; display: flex; }
    .scroll { flex: 1; overflow-y: auto; overscroll-behavior: contain; padding: 18px 16px 10px; scrollbar-width: thin; }
    .scroll:focus-visible { outline-offset: -3px; }
    ol.turns { list-style: none; margin: 0; padding: 0; }
    .message { max-width: 86%; width: fit-content; padding: 9px 14px; border: 1px solid transparent; border-radius: 16px;
      overflow-wrap: anywhere; }
    .user { margin: 14px 0 0; margin-inline-start: auto; background: var(--fill); color: var(--on);
      border-end-end-radius: 5px; white-space: pre-wrap; }
    .user.waiting { opacity: .82; animation: rise .18s ease-out; }
    .bot { margin-block-start: 12px; background: var(--raised); border-end-start-radius: 5px; }
    .bot p, .sheet p { margin: 0; } .bot p + *, .bot ul + *, .bot ol + * { margin-block-start: 8px; }
    .bot ul, .bot ol, .sheet ul, .sheet ol { margin: 6px 0; padding-inline-start: 22px; } .bot li + li { margin-block-start: 3px; }
    a { color: var(--ink); text-underline-offset: 2px; }
    .fresh { animation: appear .35s ease-out; }
    table { border-collapse: collapse; font-size: 13.500px; margin: 6px 0; }
    th, td { text-align: start; padding: 3px 12px 3px 0; border-block-end: 1px solid var(--line); vertical-align: top; }

    .chip { display: inline-grid; place-items: center; width: 24px; height: 24px; margin: -4px 0; vertical-align: middle;
      border-radius: 50%; }
    .chip span, .number { display: grid; place-items: center; min-width: 18px; height: 18px; border-radius: 9px; padding: 0 3px;
      background: var(--surface); color: var(--ink); border: 1px solid currentColor; font: 600 11px/1 system-ui, sans-serif; }
    .chip:hover span, .chip[aria-expanded=true] span, .pill:hover .number { background: var(--fill); color: var(--on); }
    .sources { display: flex; flex-wrap: wrap; gap: 6px; margin: 8px 0 0; padding: 0; list-style: none; max-width: 86%; }
    .pill { display: flex; align-items: center; gap: 6px; min-height: 28px; padding: 2px 11px 2px 5px; font-size: 13px; line-height: 1.3;
      text-align: start; border: 1px solid var(--line); border-radius: 14px; background: var(--surface); }
    .pill:hover { border-color: var(--ink); }
    .foot { display: flex; align-items: center; gap: 2px; margin: 3px 0 0 6px; color: var(--muted); font-size: 12.500px; }
    .foot time { margin-inline-end: 6px; }
    .foot button { width: 28px; height: 28px; display: grid; place-items: center; }
    .foot svg { width: 16px; height: 16px; }
    .foot button:hover { color: var(--ink); background: var(--raised); }
    .foot [aria-pressed=true] { color: var(--ink); } .foot [aria-pressed=true] svg { fill: currentColor; fill-opacity: .3; }
    .note { margin: 4px 4px 0; color: var(--muted); font-size: 13px; display: flex; gap: 8px; align-items: center; flex-wrap: wrap; }
    .user + .note { justify-content: flex-end; text-align: end; }
    .note svg { width: 15px; height: 15px; }
    .trouble { color: var(--danger); font-size: 14px; }
    .trouble.message { border-color: currentColor; background: none; margin-block-start: 12px; }
    .act { min-height: 28px; padding: 1px 12px; border: 1px solid currentColor; border-radius: 14px; font-size: 13px; color: var(--ink); }
    .act:hover { background: var(--raised); }
    .typing { display: flex; align-items: center; gap: 9px; width: fit-content; margin: 10px 0 0 2px; color: var(--muted); font-size: 13.500px; }
    .dots { display: flex; gap: 4px; }
    .dots i { width: 6px; height: 6px; border-radius: 50%; background: currentColor; border: 1px solid transparent;
      animation: bounce 1.2s infinite ease-in-out; }
    .dots i:nth-child(2) { animation-delay: .15s; } .dots i:nth-child(3) { animation-delay: .3s; }
    .starters { display: flex; flex-direction: column; align-items: flex-start; gap: 8px; margin: 16px 0 4px; padding: 0; list-style: none; }
    .starters button { padding: 7px 14px; border: 1px solid var(--line); border-radius: 18px; text-align: start; line-height: 1.4;
      color: var(--ink); background: var(--surface); }
    .starters button:hover { border-color: var(--ink); background: var(--raised); }
    .jump { position: absolute; inset-block-end: 10px; inset-inline: 0; margin: auto; width: fit-content; display: flex; gap: 6px;
      align-items: center; padding: 4px 14px 4px 10px; border-radius: 16px; background: var(--text); color: var(--surface); font-size: 13px;
      box-shadow: var(--shadow); }
    .jump svg { width: 16px; height: 16px; }

    form { flex: none; padding: 10px 12px calc(8px + env(safe-area-inset-bottom)); border-block-start: 1px solid var(--line); }
    .field { display: flex; align-items: flex-end; gap: 6px; padding: 5px 5px 5px 14px; border: 1px solid #8b8781; border-radius: 22px; }
    .field:focus-within { outline: 2px solid var(--ink); outline-offset: -1px; border-color: transparent; }
    .field[data-invalid] { border-color: var(--danger); }
    .field textarea:focus-visible { outline: 0; } /* the field around it shows the focus */
    textarea { flex: 1; min-width: 0; resize: none; border: 0; outline: 0; background: none; padding: 4px 0; max-height: 132px;
      line-height: 24px; font-size: 16px; scrollbar-width: thin; }
    ::placeholder { color: var(--muted); opacity: 1; }
    .send { flex: none; width: 34px; height: 34px; border-radius: 50%; display: grid; place-items: center; background: var(--fill);
      color: var(--on); }
    .send[aria-disabled=true] { background: var(--raised); color: var(--muted); cursor: default; }
    .send svg { width: 18px; height: 18px; }
    .under { display: flex; justify-content: space-between; align-items: center; gap: 12px; min-height: 28px; padding: 4px 4px 0; font-size: 13px;
      color: var(--muted); }
    .under button { display: flex; align-items: center; gap: 6px; min-height: 24px; padding: 0 6px; margin-inline-start: -6px; color: var(--muted); }
    .under button:hover { color: var(--ink); text-decoration: underline; }
    .under svg { width: 16px; height: 16px; }
    .under .trouble { font-size: 13px; }

    .veil { position: absolute; inset: 0; z-index: 2; background: rgb(0 0 0 / .38); display: flex; align-items: flex-end; }
    .sheet { width: 100%; max-height: 78%; display: flex; flex-direction: column; background: var(--surface); border-radius: 18px 18px 0 0;
      border-block-start: 1px solid var(--line); animation: rise .2s ease-out; padding-block-end: env(safe-area-inset-bottom); }
    .sheet .top { display: flex; align-items: flex-start; gap: 11px; padding: 16px 12px 12px 18px; border-block-end: 1px solid var(--line); }
    .sheet .top div { flex: 1; min-width: 0; }
    .sheet h3 { margin: 0; font-size: 16px; line-height: 1.35; }
    .sheet .number { flex: none; min-width: 22px; height: 22px; border-radius: 11px; }
    .sheet .top button { flex: none; width: 32px; height: 32px; display: grid; place-items: center; }
    .sheet .top button:hover { background: var(--raised); }
    .where { color: var(--muted); font-size: 13px; overflow-wrap: anywhere; }
    .score { display: flex; align-items: center; gap: 9px; margin-block-start: 4px; font-size: 13px; color: var(--muted); }
    .bar { width: 84px; height: 6px; border-radius: 3px; background: var(--raised); border: 1px solid var(--line); overflow: hidden; }
    .bar i { display: block; height: 100%; background: var(--ink); }
    .passage { overflow-y: auto; padding: 14px 18px 20px; overflow-wrap: anywhere; }
    .passage:focus-visible { outline-offset: -3px; }
    .passage > * + * { margin-block-start: 9px; } .heading { font-weight: 700; }

    @media (max-width: 639.98px) {
      .panel { inset: var(--top, 0) 0 auto 0; width: 100%; height: var(--height, 100dvh); border: 0; border-radius: 0;
        padding-block-start: env(safe-area-inset-top); background: linear-gradient(var(--fill) 50%, var(--surface) 0); }
      .panel > :where(:not(.banner)) { background-color: var(--surface); } .panel > header { background: var(--fill); }
      .panel > .veil { background: rgb(0 0 0 / .38); }
      .root[data-open] .launcher { visibility: hidden; }
      textarea { max-height: 96px; }
    }
    @keyframes rise { from { opacity: 0; transform: translateY(10px); } }
    @keyframes appear { from { opacity: 0; } }
    @keyframes bounce { 0%, 60%, 100% { opacity: .35; transform: none; } 30% { opacity: 1; transform: translateY(-3px); } }
    @media (prefers-reduced-motion: reduce) { *, ::before, ::after { animation: none !important; transition: none !important; } }
    @media (forced-colors: active) {
      .launcher, .send, .message, .dots i, header, .jump { border-color: CanvasText; }
      .dots i, .bar i, .presence[data-on]::before { background: CanvasText; forced-color-adjust: none; }
      .foot [aria-pressed=true] { border-color: Highlight; }
    }
    @media print { .root { display: none; } }
  `;
  const FONTS = {
    sans: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif',
    serif: '"Iowan Old Style", "Palatino Linotype", Palatino, Georgia, "Noto Serif", "Liberation Serif", serif',
  };
  const MAX_MESSAGE_CHARS = 4000; // the gateway's default; a welcome with limits.max_message_chars overrides it
  const RESEND_MS = 5_000;

  // ---------------------------------------------------------------- the element
  class BrandvoiceChat extends HTMLElement {
    constructor() {
      super();
      this.siteKey = script.dataset.site ?? '';
      this.store = new Store(this.siteKey);
      this.handlers = new Map();
      this.turns = new Map(); // turn id -> turn, in the server's order
      this.waiting = []; // messages not yet part of a turn: {client_id, text, at, accepted, note}
      this.votes = new Map(); // turn id -> vote that the server has not confirmed
      this.announced = new Map(); // turn id -> sentences already read out
      this.nodes = new Map(); // key -> {node, signature, shown}
      this.retried = new Set();
      this.brand = this.store.get('brand');
      this.limit = MAX_MESSAGE_CHARS;
      this.engine = 'ready';
      this.notice = '';
      this.unread = 0;
      this.welcomed = false;
      this.source = null; // what opened the source sheet
      const url = new URL('/ws/chat', script.src);
      url.protocol = url.protocol.replace('http', 'ws');
      this.connection = new Connection(url.href, {
        hello: () => ({
          site_key: this.siteKey, visitor: this.store.get('visitor'), conversation: this.store.get('conversation'),
        }),
        onFrame: (frame) => this.receive(frame),
        onState: (state) => {
          this.emit('connection', { state });
          this.render();
        },
        onClose: (code) => this.closedWith(code),
      });
    }

    connectedCallback() {
      if (this.shadowRoot) return;
      this.build();
      this.paint();
      this.restoreOutbox();
      this.render();
      // A visitor who never writes costs the shop no connection: it is opened by intent, or to finish what was begun.
      if (this.store.get('open') && !this.phone.matches) this.open({ focus: false });
      else if (this.waiting.length || this.store.get('awaiting')) this.connection.start();
    }

    restoreOutbox() {
      this.waiting = this.store.outbox().map((entry) => ({ ...entry, accepted: false, note: '' }));
    }

    // -------------------------------------------------------------- building
    build() {
      const shadow = this.attachShadow({ mode: 'open' });
      try {
        const sheet = new CSSStyleSheet(); // not inline style: passes a page's strict style-src
        sheet.replaceSync(CSS);
        shadow.adoptedStyleSheets = [sheet];
      } catch {
        shadow.append(h('style', {}, CSS)); // browsers before constructable stylesheets
      }
      this.phone = matchMedia('(max-width: 639.98px)');
      this.launcher = h('button', {
        class: 'launcher', type: 'button', 'aria-haspopup': 'dialog', 'aria-expanded': 'false',
        onclick: () => this.toggle(),
        onpointerenter: () => this.connection.start(),
        onfocus: () => this.connection.start(),
      });
      this.face = h('span', { class: 'face', 'aria-hidden': 'true' });
      this.heading = h('h2', { id: 'name' });
      this.presence = h('p', { class: 'presence' });
      this.header = h('header', {}, this.face, h('div', { class: 'who' }, this.heading, this.presence),
        h('button', { type: 'button', class: 'close', 'aria-label': WORDS.close, onclick: () => this.close() }, icon('close')));
      this.bannerText = h('span');
      this.tryNow = h('button', { type: 'button', onclick: () => this.connection.wake() }, WORDS.tryNow);
      this.banner = h('div', { class: 'banner', role: 'status', hidden: true }, this.bannerText, this.tryNow);
      this.greeting = h('div', { class: 'message bot', dir: 'auto', hidden: true });
      this.list = h('ol', { class: 'turns', 'aria-label': WORDS.transcript });
      this.starters = h('ul', { class: 'starters', 'aria-label': WORDS.starters, hidden: true });
      this.scroll = h('div', {
        class: 'scroll', tabindex: '0', role: 'region', 'aria-label': WORDS.transcript,
        onscroll: () => this.atEnd() && (this.jump.hidden = true),
      }, this.greeting, this.list, this.starters);
      this.jump = h('button', { type: 'button', class: 'jump', hidden: true, onclick: () => this.toEnd() },
        icon('jump'), WORDS.jump);
      this.body = h('div', { class: 'body' }, this.scroll, this.jump);
      this.input = h('textarea', {
        id: 'input', rows: '1', dir: 'auto', placeholder: WORDS.placeholder, 'aria-describedby': 'count',
        enterkeyhint: 'send', autocomplete: 'off',
        oninput: () => this.typed(),
        onkeydown: (event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          this.submit();
        },
      });
      this.input.value = this.store.get('draft') ?? '';
      this.sendButton = h('button', { type: 'submit', class: 'send', 'aria-label': WORDS.send }, icon('send'));
      this.field = h('div', { class: 'field' }, h('label', { for: 'input', class: 'sr' }, WORDS.input), this.input, this.sendButton);
      this.count = h('span', { id: 'count', role: 'status' });
      this.form = h('form', {
        novalidate: true,
        onsubmit: (event) => {
          event.preventDefault();
          this.submit();
        },
      }, this.field, h('div', { class: 'under' },
        h('button', { type: 'button', class: 'person', onclick: () => this.say(WORDS.personMessage) }, icon('person'), WORDS.person),
        this.count));
      this.veil = h('div', { class: 'veil', hidden: true, onclick: (event) => event.target === this.veil && this.closeSource() });
      this.panel = h('section', { class: 'panel', role: 'dialog', 'aria-labelledby': 'name', hidden: true,
        onkeydown: (event) => this.key(event) },
      this.header, this.banner, this.body, this.form, this.veil);
      // Read out sentence by sentence, apart from what is seen: a reload or a redraw is never read out again.
      this.log = h('div', { class: 'sr', role: 'log', 'aria-live': 'polite', 'aria-relevant': 'additions', 'aria-label': WORDS.transcript });
      this.root = h('div', { class: 'root' }, this.panel, this.launcher, this.log);
      shadow.append(this.root);
      window.visualViewport?.addEventListener('resize', () => this.fit());
      window.visualViewport?.addEventListener('scroll', () => this.fit());
      this.phone.addEventListener('change', () => this.fit());
    }

    /** Colours and font of the brand; every pair that carries text reaches 4.5:1 in both schemes. */
    paint() {
      const accent = [this.brand?.theme?.accent, script.dataset.accent].find((c) => /^#[0-9a-f]{6}$/i.test(c ?? '')) ?? '#1f2937';
      const look = {
        '--fill-light': readable(accent, '#ffffff', '#000000', 3), '--ink-light': readable(accent, LIGHT, '#000000', 4.5),
        '--fill-dark': readable(accent, DARK, '#ffffff', 3), '--ink-dark': readable(accent, DARK, '#ffffff', 4.5),
        '--font': FONTS[this.brand?.theme?.font] ?? FONTS.sans,
      };
      look['--on-light'] = onColor(look['--fill-light']);
      look['--on-dark'] = onColor(look['--fill-dark']);
      for (const [name, value] of Object.entries(look)) this.root.style.setProperty(name, value);
    }

    // -------------------------------------------------------------- opening and closing
    get isOpen() {
      return !this.panel.hidden;
    }
    toggle() {
      if (this.isOpen) this.close();
      else this.open();
    }
    open({ focus = true } = {}) {
      const already = this.isOpen;
      this.panel.hidden = false;
      this.store.set('open', true);
      this.setUnread(0);
      this.connection.start();
      this.fit();
      this.render();
      this.grow();
      if (!already) {
        this.toEnd();
        this.emit('open', {});
      }
      if (focus) this.input.focus();
    }
    close() {
      if (!this.isOpen) return;
      this.closeSource();
      this.panel.hidden = true;
      this.store.set('open', null);
      this.fit();
      this.render();
      this.launcher.focus();
      this.emit('close', {});
    }
    /** On phones the sheet takes what the on-screen keyboard leaves, and the page behind it stands still. */
    fit() {
      const sheet = this.isOpen && this.phone.matches;
      const view = window.visualViewport;
      if (sheet && view && view.scale === 1) {
        this.root.style.setProperty('--height', `${view.height}px`);
        this.root.style.setProperty('--top', `${view.offsetTop}px`);
      } else {
        this.root.style.removeProperty('--height');
        this.root.style.removeProperty('--top');
      }
      if (sheet) this.panel.setAttribute('aria-modal', 'true');
      else this.panel.removeAttribute('aria-modal');
      if (sheet !== Boolean(this.locked)) {
        const page = document.documentElement.style;
        if (sheet) this.pageOverflow = page.overflow;
        page.overflow = sheet ? 'hidden' : this.pageOverflow;
        this.locked = sheet;
      }
    }
    key(event) {
      if (event.key === 'Escape') {
        event.stopPropagation();
        if (this.veil.hidden) this.close();
        else this.closeSource();
      } else if (event.key === 'Tab' && (this.locked || !this.veil.hidden)) {
        const area = this.veil.hidden ? this.panel : this.veil;
        const stops = [...area.querySelectorAll('button, a, textarea, [tabindex="0"]')].filter((node) => node.offsetParent);
        const edge = event.shiftKey ? stops[0] : stops.at(-1);
        if (this.shadowRoot.activeElement === edge) {
          event.preventDefault();
          (event.shiftKey ? stops.at(-1) : stops[0])?.focus();
        }
      }
    }

    // -------------------------------------------------------------- writing
    typed() {
      this.grow();
      clearTimeout(this.draftTimer);
      this.draftTimer = setTimeout(() => this.store.set('draft', this.input.value || null), 150);
      this.measure();
    }
    grow() {
      this.input.style.height = 'auto';
      if (this.input.scrollHeight) this.input.style.height = `${this.input.scrollHeight}px`;
    }
    /** Counts as the gateway does, in code points; says whether the text may go out. */
    measure() {
      const length = [...this.input.value.trim()].length;
      const left = this.limit - length;
      const tooLong = left < 0;
      this.count.className = tooLong ? 'trouble' : '';
      this.count.textContent = tooLong ? WORDS.tooLong(-left, this.limit) : left <= this.limit / 10 ? WORDS.left(left) : '';
      this.field.toggleAttribute('data-invalid', tooLong);
      this.input.setAttribute('aria-invalid', String(tooLong));
      this.sendButton.setAttribute('aria-disabled', String(!length || tooLong));
      return length > 0 && !tooLong;
    }
    submit() {
      if (!this.measure()) return;
      const text = this.input.value.trim();
      this.input.value = '';
      clearTimeout(this.draftTimer);
      this.store.set('draft', null);
      this.grow();
      this.measure();
      this.say(text);
    }
    /** Keeps the message until the server has confirmed it, and sends it now or when connected. */
    say(text) {
      const entry = { client_id: uuid(), text, at: Math.max(Date.now(), (this.waiting.at(-1)?.at ?? 0) + 1) };
      this.store.set(`out:${entry.client_id}`, entry);
      this.waiting.push({ ...entry, accepted: false, note: '' });
      this.connection.start();
      this.deliver(this.waiting.at(-1));
      this.emit('sent', { text });
      this.render();
      this.toEnd();
    }
    deliver(message) {
      clearTimeout(message.timer);
      this.lastSent = this.connection.send({ type: 'message', client_id: message.client_id, text: message.text })
        ? message.client_id : this.lastSent;
    }
    settle(clientId) {
      this.store.set(`out:${clientId}`, null);
      const message = this.waiting.find((m) => m.client_id === clientId);
      if (!message) return;
      clearTimeout(message.timer);
      message.accepted = true;
      message.note = '';
    }
    /** The server will never take this message: the words go back into the field, unless something else stands there. */
    refuse(clientId, note) {
      const message = this.waiting.find((m) => m.client_id === clientId);
      this.store.set(`out:${clientId}`, null);
      if (!message) return;
      if (!this.input.value) {
        this.waiting = this.waiting.filter((m) => m !== message);
        this.input.value = message.text;
        this.typed();
        this.count.className = 'trouble';
        this.count.textContent = note;
      } else Object.assign(message, { accepted: true, note });
    }

    // -------------------------------------------------------------- what the server says
    receive(frame) {
      const handler = {
        welcome: this.onWelcome, accepted: this.onAccepted, turn: this.onTurn, status: this.onStatus, sentence: this.onSentence,
        token: this.onToken, reply: this.onReply, failed: this.onFailed, notice: this.onNotice, error: this.onError,
        feedback: this.onFeedback,
      }[frame.type];
      if (!handler) return; // pong, or a frame of a later version
      handler.call(this, frame);
      this.store.set('awaiting', this.awaits() ? true : null);
      this.render();
    }
    awaits() {
      return this.waiting.some((m) => !m.note) || [...this.turns.values()].some((t) => ['pending', 'running'].includes(t.state));
    }
    onWelcome(frame) {
      const same = this.store.get('conversation') === frame.conversation;
      this.store.set('visitor', frame.visitor);
      this.store.set('conversation', frame.conversation);
      this.store.set('brand', (this.brand = frame.brand));
      this.limit = frame.limits?.max_message_chars ?? this.limit;
      this.engine = frame.engine;
      this.notice = '';
      this.turns = new Map(frame.turns.map((turn) => [turn.turn, this.fromSnapshot(turn)]));
      const known = new Set(frame.turns.flatMap((turn) => turn.client_ids));
      for (const id of known) this.store.set(`out:${id}`, null);
      this.waiting = this.waiting.filter((m) => !known.has(m.client_id) && (same || !m.accepted));
      for (const message of this.waiting) if (!message.accepted) this.deliver(message);
      for (const [turn, value] of this.votes) this.connection.send({ type: 'feedback', turn, value });
      this.paint();
      for (const turn of this.turns.values()) {
        if (this.welcomed) this.announceNew(turn); // answered while the line was down
        else this.announced.set(turn.turn, turn.state === 'done' ? Infinity : turn.sentences.length);
      }
      this.welcomed = true;
      this.measure();
      this.emit('ready', { conversation: frame.conversation });
    }
    fromSnapshot(turn) {
      const sentences = [];
      for (const sentence of turn.sentences ?? []) sentences[sentence.index] = sentence;
      return { ...turn, sentences, tokens: '', status: turn.state === 'pending' ? 'queued' : sentences.length ? 'writing' : 'searching' };
    }
    onAccepted({ client_id }) {
      this.settle(client_id);
    }
    onTurn({ turn, client_ids, question }) {
      for (const id of client_ids) this.settle(id);
      this.waiting = this.waiting.filter((m) => !client_ids.includes(m.client_id));
      const known = this.turns.get(turn);
      if (known) Object.assign(known, { client_ids, question });
      else this.turn(turn, { client_ids, question });
    }
    turn(id, more = {}) {
      if (!this.turns.has(id)) {
        this.turns.set(id, {
          turn: id, client_ids: [], question: '', state: 'running', status: 'searching', sentences: [], tokens: '', text: '',
          outcome: null, citations: [], feedback: null, error: null, at: new Date().toISOString(), ...more,
        });
      }
      return this.turns.get(id);
    }
    live(id) {
      const turn = this.turn(id);
      return ['pending', 'running'].includes(turn.state) ? turn : null; // a late frame never reopens a finished turn
    }
    onStatus({ turn: id, state }) {
      const turn = this.live(id);
      if (turn) Object.assign(turn, { status: state, state: 'running' });
    }
    onSentence({ turn: id, index, text, citations }) {
      const turn = this.live(id);
      if (!turn) return;
      turn.sentences[index] = { index, text, citations };
      turn.status = 'writing';
      this.announceNew(turn);
    }
    onToken({ turn: id, text }) {
      const turn = this.live(id);
      if (turn) Object.assign(turn, { tokens: turn.tokens + text, status: 'writing' });
    }
    onReply({ turn: id, text, outcome, citations }) {
      const turn = this.turn(id);
      if (turn.state === 'done') return;
      Object.assign(turn, { text, outcome, citations, state: 'done', error: null });
      this.announceNew(turn);
      if (!this.isOpen) this.setUnread(this.unread + 1);
      this.emit('message', { turn: id, text, outcome, citations });
      if (outcome === 'handed_off') this.emit('handoff', { turn: id });
    }
    onFailed({ turn: id, error }) {
      const turn = this.live(id);
      if (!turn) return;
      Object.assign(turn, { state: 'failed', error });
      this.announce(error?.message || WORDS.failed);
      this.emit('error', { ...error, turn: id });
    }
    onNotice({ code, message }) {
      if (code === 'engine_ready') Object.assign(this, { engine: 'ready', notice: '' });
      else if (code === 'engine_down') Object.assign(this, { engine: 'down', notice: message ?? '' });
      else this.notice = message ?? '';
    }
    onFeedback({ turn: id, value }) {
      this.votes.delete(id);
      const turn = this.turns.get(id);
      if (turn) turn.feedback = value;
    }
    onError({ code, message, client_id }) {
      this.emit('error', { code, message });
      const waiting = this.waiting.find((m) => m.client_id === client_id);
      if (!waiting) {
        if (['rate_limited', 'busy'].includes(code)) this.notice = message;
        return;
      }
      if (['too_long', 'empty'].includes(code)) return this.refuse(client_id, message);
      waiting.note = message || WORDS.notSent;
      waiting.tries = (waiting.tries ?? 0) + 1;
      if (waiting.tries <= 5) {
        waiting.timer = setTimeout(() => this.deliver(waiting), RESEND_MS * waiting.tries * (0.75 + Math.random() / 2));
      }
    }
    closedWith(code) {
      if (code === 1009 && this.lastSent) this.refuse(this.lastSent, WORDS.notSent); // sending it again would end the same way
    }

    // -------------------------------------------------------------- reading out
    announce(text) {
      const line = h('p', {}, text);
      this.log.append(line);
      setTimeout(() => line.remove(), 15_000); // read by now; browsing by hand finds the transcript only
    }
    /** Reads out the finished sentences that were not read out yet: a name first, then one at a time. */
    announceNew(turn) {
      const done = this.announced.get(turn.turn) ?? 0;
      if (done === Infinity) return;
      const name = this.brand?.display_name ?? '';
      if (turn.state === 'done') {
        const rest = turn.sentences.slice(done).map((s) => s?.text ?? '');
        const texts = turn.sentences.length ? rest : [turn.text];
        texts.forEach((text, i) => text && this.announce((done + i ? '' : `${WORDS.said(name)} `) + spoken(text)));
        this.announced.set(turn.turn, Infinity);
        return;
      }
      let next = done;
      for (; turn.sentences[next]; next++) {
        this.announce((next ? '' : `${WORDS.said(name)} `) + spoken(turn.sentences[next].text));
      }
      this.announced.set(turn.turn, next);
    }

    // -------------------------------------------------------------- drawing
    render() {
      const name = this.brand?.display_name ?? '';
      const { state } = this.connection;
      const open = this.isOpen;
      const stick = open && this.atEnd();
      this.root.toggleAttribute('data-open', open);
      this.launcher.setAttribute('aria-expanded', String(open));
      const label = open ? WORDS.close : script.dataset.label ?? WORDS.launcher;
      const unread = this.unread && !open ? WORDS.unread(this.unread) : '';
      this.launcher.setAttribute('aria-label', unread ? `${label}, ${unread}` : label);
      this.launcher.replaceChildren(icon(open ? 'close' : 'chat'),
        ...(unread ? [h('span', { class: 'badge', 'aria-hidden': 'true' }, String(this.unread))] : []));
      this.heading.textContent = name || WORDS.launcher;
      this.face.textContent = [...(name.replace(/^(the|maison|la|le)\s+/i, '') || '·')][0];
      this.presence.textContent = state === 'open' ? (this.engine === 'ready' ? WORDS.online : WORDS.offline)
        : ['idle', 'connecting'].includes(state) ? WORDS.connecting : WORDS.offline;
      this.presence.toggleAttribute('data-on', state === 'open' && this.engine === 'ready');
      this.renderBanner(state);
      this.greeting.hidden = !this.brand?.greeting;
      this.greeting.textContent = this.brand?.greeting ?? '';
      this.renderStarters();
      this.renderList(name);
      if (stick) this.toEnd();
      else if (open && !this.atEnd() && this.awaits()) this.jump.hidden = false;
    }
    renderBanner(state) {
      const text = { lost: WORDS.lost, busy: WORDS.busy, refused: WORDS.refused }[state]
        ?? (state !== 'open' ? '' : this.notice || { starting: WORDS.starting, down: WORDS.down }[this.engine] || '');
      if (this.bannerText.textContent !== text) this.bannerText.textContent = text;
      this.banner.hidden = !text;
      this.tryNow.hidden = !['lost', 'busy'].includes(state);
    }
    renderStarters() {
      const texts = this.turns.size || this.waiting.length || !this.welcomed ? [] : this.brand?.starters ?? [];
      const signature = texts.join('\n');
      if (this.starters.dataset.signature === signature) return;
      this.starters.dataset.signature = signature;
      this.starters.hidden = !texts.length;
      this.starters.replaceChildren(...texts.map((text) => h('li', {}, h('button', {
        type: 'button', dir: 'auto',
        onclick: () => {
          this.say(text);
          this.input.focus();
        },
      }, text))));
    }
    /** Draws what has changed and nothing else: scroll place, focus and selection elsewhere stay. */
    renderList(name) {
      const turns = [...this.turns.values()];
      const last = this.waiting.length ? null : turns.at(-1);
      const items = [
        ...turns.map((turn) => {
          const vote = this.votes.has(turn.turn) ? this.votes.get(turn.turn) : turn.feedback;
          const retry = turn === last && turn.state === 'failed';
          return [turn.turn, [turn, vote, retry, name], (shown) => this.drawTurn(turn, { vote, retry, name, shown })];
        }),
        ...this.waiting.map((m) => [m.client_id, [m.accepted, m.note, this.connection.state], () => this.drawWaiting(m)]),
      ];
      const keys = new Set(items.map(([key]) => key));
      for (const [key, { node }] of this.nodes) {
        if (keys.has(key)) continue;
        node.remove();
        this.nodes.delete(key);
      }
      let cursor = this.list.firstChild;
      for (const [key, facts, draw] of items) {
        const entry = this.nodes.get(key) ?? { node: h('li'), signature: '', shown: this.welcomed ? 0 : Infinity };
        this.nodes.set(key, entry);
        const signature = JSON.stringify(facts);
        if (signature !== entry.signature) {
          const focused = entry.node.contains(this.shadowRoot.activeElement) ? this.shadowRoot.activeElement.dataset.key : null;
          entry.node.replaceChildren(...draw(entry.shown).filter(Boolean));
          entry.signature = signature;
          entry.shown = this.turns.get(key)?.sentences.length ?? 0;
          if (focused) entry.node.querySelector(`[data-key="${CSS_escape(focused)}"]`)?.focus();
        }
        if (entry.node === cursor) cursor = cursor.nextSibling;
        else this.list.insertBefore(entry.node, cursor);
      }
    }
    drawWaiting(message) {
      const note = message.note || (message.accepted ? '' : this.connection.state === 'open' ? WORDS.sending : WORDS.unsent);
      return [
        h('div', { class: 'message user waiting', dir: 'auto' }, h('span', { class: 'sr' }, WORDS.you + ' '), message.text),
        note && h('div', { class: message.note ? 'note trouble' : 'note' }, note,
          message.note && !message.accepted ? h('button', {
            type: 'button', class: 'act', 'data-key': 'again', onclick: () => this.deliver(message),
          }, WORDS.retry) : null),
      ];
    }
    drawTurn(turn, { vote, retry, name, shown }) {
      const busy = ['pending', 'running'].includes(turn.state);
      const citations = new Map([...turn.sentences.flatMap((s) => s?.citations ?? []), ...(turn.citations ?? [])]
        .map((citation) => [citation.number, citation]));
      let chips = 0;
      const chip = (number) => citations.has(number) && h('button', {
        type: 'button', class: 'chip', 'data-key': `chip-${chips++}`, 'aria-haspopup': 'dialog',
        'aria-label': WORDS.source(number, citations.get(number).title),
        onclick: (event) => this.openSource(citations.get(number), event.currentTarget),
      }, h('span', {}, String(number)));
      const pieces = this.piecesOf(turn, shown);
      const nodes = [turn.question && h('div', { class: 'message user', dir: 'auto' },
        h('span', { class: 'sr' }, WORDS.you + ' '), turn.question)];
      if (pieces.length) {
        const text = blocks(pieces, chip);
        text.firstElementChild?.prepend(h('span', { class: 'sr' }, WORDS.said(name) + ' '));
        nodes.push(h('div', { class: 'message bot', dir: 'auto' }, text));
      }
      if (busy) {
        nodes.push(h('div', { class: 'typing' },
          h('span', { class: 'dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')),
          h('span', {}, WORDS[turn.status] ?? WORDS.searching)));
      } else if (turn.state === 'failed') {
        nodes.push(h('div', { class: 'message trouble', dir: 'auto' }, turn.error?.message || WORDS.failed),
          retry && h('div', { class: 'note' }, h('button', {
            type: 'button', class: 'act', 'data-key': 'retry',
            onclick: () => {
              this.say(turn.question);
              this.input.focus();
            },
          }, WORDS.retry)));
      } else nodes.push(...this.drawFoot(turn, vote));
      return nodes;
    }
    drawFoot(turn, vote) {
      const used = turn.citations ?? [];
      const thumb = (value, shape, label) => h('button', {
        type: 'button', 'data-key': value, 'aria-label': label, title: label, 'aria-pressed': String(vote === value),
        onclick: () => this.vote(turn.turn, vote === value ? null : value),
      }, icon(shape));
      const at = new Date(turn.at);
      return [
        used.length > 0 && h('ul', { class: 'sources', 'aria-label': WORDS.sources }, ...used.map((citation) => h('li', {},
          h('button', {
            type: 'button', class: 'pill', 'data-key': `source-${citation.number}`, 'aria-haspopup': 'dialog',
            'aria-label': WORDS.source(citation.number, citation.title),
            onclick: (event) => this.openSource(citation, event.currentTarget),
          }, h('span', { class: 'number' }, String(citation.number)), citation.title)))),
        turn.outcome === 'handed_off' && h('div', { class: 'note' }, icon('person'), WORDS.handedOff),
        h('div', { class: 'foot' },
          isNaN(at) ? null : h('time', { datetime: turn.at }, at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })),
          thumb('up', 'up', WORDS.helpful), thumb('down', 'down', WORDS.notHelpful)),
      ];
    }
    /** The sentences while they come; the final text where it differs from them. */
    piecesOf(turn, shown) {
      const sentences = turn.sentences.filter(Boolean);
      const joined = sentences.map((s) => s.text).join(' ');
      if (turn.state === 'done' && turn.text && turn.text !== joined) return [{ text: turn.text, fresh: false }];
      if (turn.tokens.length > joined.length && turn.state !== 'done') return [{ text: turn.tokens, fresh: false }];
      return sentences.map((s) => ({ text: s.text, fresh: s.index >= shown }));
    }
    vote(id, value) {
      this.votes.set(id, value);
      this.connection.send({ type: 'feedback', turn: id, value });
      this.render();
    }
    atEnd() {
      return this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < 48;
    }
    toEnd() {
      this.scroll.scrollTop = this.scroll.scrollHeight;
      this.jump.hidden = true;
    }
    setUnread(count) {
      if (count === this.unread) return;
      this.unread = count;
      this.emit('unread', { count });
    }

    // -------------------------------------------------------------- the source sheet
    openSource(citation, opener) {
      this.closeSource();
      this.source = { opener, turn: opener.closest('li'), key: opener.dataset.key };
      const percent = Math.round(Math.min(1, Math.max(0, citation.score)) * 100);
      const bar = h('i');
      bar.style.width = `${percent}%`;
      const closer = h('button', { type: 'button', 'aria-label': WORDS.closeSource, onclick: () => this.closeSource() }, icon('close'));
      this.veil.replaceChildren(h('div', { class: 'sheet', role: 'dialog', 'aria-modal': 'true', 'aria-labelledby': 'source-title' },
        h('div', { class: 'top' }, h('span', { class: 'number', 'aria-hidden': 'true' }, String(citation.number)),
          h('div', {}, h('h3', { id: 'source-title', dir: 'auto' }, citation.title),
            h('p', { class: 'where' }, citation.document),
            h('p', { class: 'score' }, h('span', { class: 'bar', 'aria-hidden': 'true' }, bar), WORDS.match(percent))),
          closer),
        h('div', { class: 'passage', tabindex: '0', role: 'region', 'aria-labelledby': 'source-title', dir: 'auto' },
          blocks([{ text: citation.passage, fresh: false }], null))));
      this.veil.hidden = false;
      for (const part of [this.header, this.banner, this.body, this.form]) part.inert = true;
      closer.focus();
    }
    closeSource() {
      if (this.veil.hidden) return;
      this.veil.hidden = true;
      this.veil.replaceChildren();
      for (const part of [this.header, this.banner, this.body, this.form]) part.inert = false;
      const { opener, turn, key } = this.source; // the opener may have been redrawn since
      (opener.isConnected ? opener : turn?.querySelector(`[data-key="${CSS_escape(key)}"]`) ?? this.input).focus();
      this.source = null;
    }

    // -------------------------------------------------------------- for the page
    on(event, handler) {
      if (typeof handler !== 'function') return;
      this.handlers.set(event, [...(this.handlers.get(event) ?? []), handler]);
      if (event === 'ready' && this.welcomed) handler({ conversation: this.store.get('conversation') });
    }
    emit(event, detail) {
      for (const handler of this.handlers.get(event) ?? []) {
        try {
          handler(detail);
        } catch (error) {
          console.error(error); // the page's own handler; the chat goes on
        }
      }
    }
    /** Forgets everything about this visitor on this machine and starts anew. */
    reset() {
      const open = this.isOpen;
      this.store.clear();
      this.closeSource();
      for (const message of this.waiting) clearTimeout(message.timer);
      this.turns.clear();
      this.votes.clear();
      this.announced.clear();
      this.retried.clear();
      this.waiting = [];
      this.welcomed = false;
      this.input.value = '';
      this.typed();
      this.setUnread(0);
      if (open) this.store.set('open', true);
      if (this.connection.state !== 'idle') this.connection.restart();
      this.render();
    }
  }
  const CSS_escape = (text) => window.CSS.escape(text);
  customElements.define('brandvoice-chat', BrandvoiceChat);

  // ---------------------------------------------------------------- the page interface
  const start = () => {
    const chat = document.createElement('brandvoice-chat');
    document.body.append(chat);
    const commands = {
      open: () => chat.open(),
      close: () => chat.close(),
      toggle: () => chat.toggle(),
      reset: () => chat.reset(),
      on: (event, handler) => chat.on(event, handler),
      send: (text) => {
        chat.open();
        if (typeof text === 'string' && text.trim()) chat.say(text.trim());
      },
    };
    const early = window.brandvoice?.q ?? [];
    window.brandvoice = (command, ...values) => {
      if (Object.hasOwn(commands, command)) return commands[command](...values);
      console.warn(`brandvoice: no command ${JSON.stringify(command)}; there are ${Object.keys(commands).join(', ')}`);
    };
    for (const call of early) window.brandvoice(...call);
  };
  if (document.body) start();
  else addEventListener('DOMContentLoaded', start);
})();
