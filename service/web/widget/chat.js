const MAX_MESSAGE_CHARS = 4000; // the gateway's default; a welcome with limits.max_message_chars overrides it
const RESEND_MS = 5_000;
const LATER = ['busy', 'slow_down', 'storage_unavailable']; // the server takes the message a little later

/** The conversation: what the visitor says, what the server says, what the page asks for. */
class BrandvoiceChat extends ChatView {
  constructor() {
    super();
    this.siteKey = script.dataset.site ?? '';
    this.store = new Store(this.siteKey);
    this.handlers = new Map();
    this.turns = new Map(); // turn id -> turn, in the server's order
    this.waiting = []; // messages not yet part of a turn: {client_id, text, at, accepted, note}
    this.votes = this.store.votes(); // turn id -> vote that the server has not confirmed
    this.announced = new Map(); // turn id -> sentences already read out
    this.nodes = new Map(); // key -> {node, signature, shown}
    this.retried = new Set();
    this.brand = this.store.get('brand');
    this.limit = MAX_MESSAGE_CHARS;
    this.engine = 'ready';
    this.notice = '';
    this.attendant = { state: 'bot', owner: null }; // who has the conversation
    this.returned = false; // to the assistant, and nothing was written since
    this.unread = 0;
    this.welcomed = false;
    this.source = null; // what opened the source sheet
    const url = new URL('/ws/chat', script.src);
    url.protocol = url.protocol.replace('http', 'ws');
    this.connection = new Connection(url.href, {
      hello: () => ({
        site_key: this.siteKey, visitor: this.store.get('visitor'), conversation: this.store.get('conversation'),
        after: this.whole().at(-1)?.turn,
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
    else if (this.waiting.length || this.votes.size || this.store.get('awaiting')) this.connection.start();
  }

  restoreOutbox() {
    this.waiting = this.store.outbox().map((entry) => ({ ...entry, accepted: false, note: '' }));
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
    this.returned = false;
    this.connection.start();
    this.deliver();
    this.emit('sent', { text });
    this.render();
    this.toEnd();
  }
  /** One after the other, so that their order holds when the server takes one of them later. */
  deliver() {
    const message = this.waiting.find((m) => !m.accepted && !(m.tries > 5)); // what failed so often waits for a click
    if (!message || message.sent || message.timer) return;
    message.sent = this.connection.send({ type: 'message', client_id: message.client_id, text: message.text });
    if (message.sent) this.lastSent = message.client_id;
  }
  again(message, ms = 0) {
    clearTimeout(message.timer);
    message.sent = false;
    message.timer = setTimeout(() => {
      message.timer = null;
      this.deliver();
    }, ms);
  }
  settle(clientId) {
    this.store.set(`out:${clientId}`, null);
    const message = this.waiting.find((m) => m.client_id === clientId);
    if (!message) return;
    clearTimeout(message.timer);
    message.timer = null;
    message.accepted = true;
    message.note = '';
    this.deliver();
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
    this.deliver();
  }

  // -------------------------------------------------------------- what the server says
  receive(frame) {
    const handler = {
      welcome: this.onWelcome, accepted: this.onAccepted, turn: this.onTurn, status: this.onStatus, sentence: this.onSentence,
      token: this.onToken, reply: this.onReply, failed: this.onFailed, notice: this.onNotice, error: this.onError,
      feedback: this.onFeedback, heard: this.onHeard, said: this.onSaid, withheld: this.onWithheld, state: this.onState,
    }[frame.type];
    if (!handler) return; // pong, or a frame of a later version
    handler.call(this, frame);
    // Also while a person is to write: the next page of the shop connects by itself.
    this.store.set('awaiting', this.awaits() || ['waiting', 'person'].includes(this.attendant.state) ? true : null);
    this.render();
  }
  awaits() {
    return this.waiting.some((m) => !m.note) || [...this.turns.values()].some((t) => ['pending', 'running'].includes(t.state));
  }
  /** The turns that are here to their end, without a gap: what the server need not send again. */
  whole() {
    const turns = [...this.turns.values()];
    const open = turns.findIndex((turn) => !['done', 'failed', 'heard', 'withheld'].includes(turn.state));
    return open < 0 ? turns : turns.slice(0, open);
  }
  onWelcome(frame) {
    const same = this.store.get('conversation') === frame.conversation;
    this.store.set('visitor', frame.visitor);
    this.store.set('conversation', frame.conversation);
    this.store.set('brand', (this.brand = frame.brand));
    this.limit = frame.limits?.max_message_chars ?? this.limit;
    this.engine = frame.engine;
    this.notice = '';
    this.onState(frame.with ?? { state: 'bot', owner: null });
    const known = new Set(frame.turns.flatMap((turn) => turn.client_ids));
    const kept = frame.resumed ? this.whole().filter((turn) => !turn.client_ids.some((id) => known.has(id))) : [];
    this.turns = new Map([...kept, ...frame.turns.map((turn) => this.fromSnapshot(turn))].map((turn) => [turn.turn, turn]));
    for (const id of known) this.store.set(`out:${id}`, null);
    this.waiting = this.waiting.filter((m) => !known.has(m.client_id) && (same || !m.accepted));
    for (const message of this.waiting) message.sent = false;
    this.deliver();
    for (const [turn, value] of this.votes) {
      if (this.turns.has(turn)) this.connection.send({ type: 'feedback', turn, value });
      else this.keepVote(turn); // a conversation that is over takes no votes
    }
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
    return { ...turn, sentences, tokens: turn.text, status: turn.status ?? (turn.state === 'pending' ? 'queued' : sentences.length ? 'writing' : 'searching') };
  }
  onAccepted({ client_id }) {
    this.settle(client_id);
  }
  onTurn({ type, turn, client_ids, question }) {
    if (type === 'turn' && this.attendant.state === 'closed') this.attendant = { state: 'bot', owner: null }; // opened again
    for (const id of client_ids) this.settle(id);
    this.waiting = this.waiting.filter((m) => !client_ids.includes(m.client_id));
    // Words that a person was to read, and nobody did, are answered by another turn after all.
    for (const other of this.turns.values()) {
      if (other.turn !== turn && other.client_ids.some((id) => client_ids.includes(id))) this.turns.delete(other.turn);
    }
    const known = this.turns.get(turn);
    if (known) Object.assign(known, { client_ids, question });
    else this.turn(turn, { client_ids, question });
  }
  /** Messages that a person reads: no answer is being written. */
  onHeard(frame) {
    this.onTurn(frame);
    this.turn(frame.turn).state = 'heard';
  }
  /** A person's words, or without an author a notice of the house. */
  onSaid({ turn: id, text, author, at }) {
    const turn = this.turn(id, { text, author, at, state: 'done' });
    this.announceNew(turn);
    if (!this.isOpen) this.setUnread(this.unread + 1);
    this.emit('message', { turn: id, text, author, outcome: null, citations: [] });
  }
  /** A person took over before the answer was whole: what was shown of it goes. */
  onWithheld({ turn: id }) {
    const turn = this.turns.get(id);
    if (turn) Object.assign(turn, { state: 'withheld', sentences: [], tokens: '', text: '', citations: [], outcome: null });
  }
  onState({ state, owner }) {
    const before = this.attendant;
    if (before.state === state && before.owner === owner) return;
    this.attendant = { state, owner };
    this.returned = state === 'bot' && this.welcomed && ['waiting', 'person'].includes(before.state);
    if (!this.welcomed) return;
    this.announce(this.attendance() || WORDS.withBot);
    this.emit('attendant', { state, name: owner });
  }
  toAssistant() {
    this.connection.send({ type: 'to_assistant' });
    this.input.focus();
  }
  turn(id, more = {}) {
    if (!this.turns.has(id)) {
      this.turns.set(id, {
        turn: id, client_ids: [], question: '', state: 'running', status: 'searching', sentences: [], tokens: '', text: '',
        author: null, outcome: null, citations: [], feedback: null, error: null, at: new Date().toISOString(), ...more,
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
    if (!turn) return;
    if (['queued', 'delayed'].includes(state)) Object.assign(turn, { sentences: [], tokens: '' }); // it begins anew
    Object.assign(turn, { status: state, state: 'running' });
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
    if (['done', 'withheld'].includes(turn.state)) return;
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
  /** A vote outlives the page until the server has it; without one, it is forgotten. */
  keepVote(turn, vote) {
    if (vote) this.votes.set(turn, vote.value);
    else this.votes.delete(turn);
    this.store.set(`vote:${turn}`, vote ?? null);
  }
  onFeedback({ turn: id, value }) {
    if (this.votes.get(id) === value) this.keepVote(id); // else a later vote is still on its way
    const turn = this.turns.get(id);
    if (turn) turn.feedback = value;
  }
  onError({ code, message, client_id, retry_after_s }) {
    this.emit('error', { code, message });
    const waiting = this.waiting.find((m) => m.client_id === client_id);
    if (!waiting) {
      if (['rate_limited', 'busy'].includes(code)) this.notice = message;
      return;
    }
    if (['too_long', 'empty'].includes(code)) return this.refuse(client_id, message);
    const later = LATER.includes(code);
    waiting.note = later ? WORDS.slow : message || WORDS.notSent;
    if (!later) waiting.tries = (waiting.tries ?? 0) + 1;
    const ms = retry_after_s ? retry_after_s * 1000 : RESEND_MS * (waiting.tries ?? 1);
    this.again(waiting, ms * (1 + Math.random() / 4));
  }
  closedWith(code) {
    if (code === 1009 && this.lastSent) this.refuse(this.lastSent, WORDS.notSent); // sending it again would end the same way
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
    this.attendant = { state: 'bot', owner: null };
    this.returned = false;
    this.input.value = '';
    this.typed();
    this.setUnread(0);
    if (open) this.store.set('open', true);
    if (this.connection.state !== 'idle') this.connection.restart();
    this.render();
  }
}
customElements.define('brandvoice-chat', BrandvoiceChat);
