const ENDED = ['done', 'failed', 'heard', 'withheld'];
const BOT = { state: 'bot', owner: null };

/** The conversation: what the visitor says, what the server says, what the page asks for. */
class BrandvoiceChat extends ChatView {
  connectedCallback() {
    if (this.root) return;
    this.siteKey = this.option('site');
    this.store = new Store(this.siteKey);
    this.handlers = new Map();
    this.identity = null; // who the brand's site says that this is: {user_id, hash}
    this.brand = this.store.get('brand');
    this.connect();
    this.outbox = new Outbox(this.store, {
      send: (frame) => this.connection.send(frame),
      giveBack: (text, note) => this.composer.giveBack(text, note),
    });
    this.begin();
    this.build();
    this.paint();
    this.render();
    this.start();
  }
  /** A conversation of which nothing is known yet. */
  begin() {
    this.turns = new Map(); // turn id -> turn, in the server's order
    this.votes = this.store.votes(); // turn id -> vote that the server has not confirmed
    this.engine = 'ready';
    this.notice = '';
    this.attendant = BOT; // who has the conversation
    this.returned = false; // to the assistant, and nothing was written since
    this.unread = 0;
    this.welcomed = false;
  }
  connect() {
    const url = new URL('/ws/chat', script.src);
    url.protocol = url.protocol.replace('http', 'ws');
    this.connection = new Connection(url.href, {
      hello: () => {
        if (this.strange) this.forget();
        return {
          site_key: this.siteKey, visitor: this.store.get('visitor'), conversation: this.store.get('conversation'),
          after: this.whole().at(-1)?.turn, ...(this.identity && { identity: this.identity }),
        };
      },
      onFrame: (frame) => this.receive(frame),
      onState: (state) => {
        this.emit('connection', { state });
        this.render();
      },
      onClose: (code) => code === 1009 && this.outbox.refuseLast(),
    });
  }
  /** Somebody who was logged in left something here, and nobody says that it is them again. */
  get strange() {
    return this.store.get('user') !== null && !this.identity;
  }
  /** A visitor who never writes costs the shop no connection: it is opened by intent, or to finish what was begun. */
  start() {
    if (this.strange) return; // the page may say so in a moment
    if (this.outbox.messages.length || this.votes.size || this.store.get('awaiting')) this.connection.start();
    if (this.floats) {
      if (this.store.get('open') && !this.phone.matches) this.open({ focus: false });
      return;
    }
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      this.connection.start();
    }).observe(this);
  }

  // -------------------------------------------------------------- what the visitor does
  /** Keeps the message until the server has confirmed it, and sends it now or when connected. */
  say(text, files = []) {
    this.outbox.add(text, files);
    this.returned = false;
    this.connection.start();
    this.outbox.deliver();
    this.emit('sent', { text });
    this.render();
    this.toEnd();
  }
  toAssistant() {
    this.connection.send({ type: 'to_assistant' });
    this.composer.focus();
  }
  vote(turn, value) {
    this.keepVote(turn, { value });
    this.connection.send({ type: 'feedback', turn, value });
    this.render();
  }
  /** A vote outlives the page until the server has it; without one, it is forgotten. */
  keepVote(turn, vote) {
    if (vote) this.votes.set(turn, vote.value);
    else this.votes.delete(turn);
    this.store.set(`vote:${turn}`, vote ?? null);
  }

  // -------------------------------------------------------------- what the server says
  receive(frame) {
    const handler = {
      welcome: this.onWelcome, accepted: this.onAccepted, turn: this.onTurn, status: this.onStatus, sentence: this.onSentence,
      token: this.onToken, reply: this.onReply, failed: this.onFailed, notice: this.onNotice, error: this.onError, pong: this.onPong,
      feedback: this.onFeedback, heard: this.onHeard, said: this.onSaid, withheld: this.onWithheld, state: this.onState,
    }[frame.type];
    if (!handler) return; // a frame of a later version
    handler.call(this, frame);
    // Also while a person is to write: the next page of the shop connects by itself.
    this.store.set('awaiting', this.awaits() || ['waiting', 'person'].includes(this.attendant.state) ? true : null);
    this.render();
  }
  awaits() {
    return this.outbox.awaits || [...this.turns.values()].some(isRunning);
  }
  /** The turns that are here to their end, without a gap: what the server need not send again. */
  whole() {
    const turns = [...this.turns.values()];
    const open = turns.findIndex((turn) => !ENDED.includes(turn.state));
    return open < 0 ? turns : turns.slice(0, open);
  }
  onWelcome(frame) {
    const same = this.store.get('conversation') === frame.conversation;
    this.store.set('visitor', frame.visitor);
    this.store.set('conversation', frame.conversation);
    this.store.set('brand', (this.brand = frame.brand));
    this.composer.limit = frame.limits?.max_message_chars ?? this.composer.limit;
    this.composer.attachments.take(frame.files);
    this.engine = frame.engine;
    this.notice = '';
    this.onState(frame.with ?? BOT);
    const known = new Set(frame.turns.flatMap((turn) => turn.client_ids));
    const kept = frame.resumed ? this.whole().filter((turn) => !turn.client_ids.some((id) => known.has(id))) : [];
    this.turns = new Map([...kept, ...frame.turns.map((turn) => this.fromSnapshot(turn))].map((turn) => [turn.turn, turn]));
    this.outbox.resume(known, same);
    for (const [turn, value] of this.votes) {
      if (this.turns.has(turn)) this.connection.send({ type: 'feedback', turn, value });
      else this.keepVote(turn); // a conversation that is over takes no votes
    }
    this.paint();
    for (const turn of this.turns.values()) {
      if (this.welcomed) this.announce(turn); // answered while the line was down
      else this.announcer.skip(turn);
    }
    this.welcomed = true;
    this.composer.measure();
    this.emit('ready', { conversation: frame.conversation });
  }
  announce(turn) {
    this.announcer.turn(turn, turn.author ?? this.brand?.display_name ?? '');
  }
  fromSnapshot(turn) {
    const sentences = [];
    for (const sentence of turn.sentences ?? []) sentences[sentence.index] = sentence;
    return { ...turn, files: turn.files ?? [], sentences, tokens: turn.text, status: turn.status ?? (turn.state === 'pending' ? 'queued' : sentences.length ? 'writing' : 'searching') };
  }
  onPong({ visitor, files }) {
    if (visitor) this.store.set('visitor', visitor); // renewed
    if (files) this.composer.attachments.take(files);
  }
  onAccepted({ client_id }) {
    this.outbox.settle(client_id);
  }
  onTurn({ type, turn, client_ids, question }) {
    if (type === 'turn' && this.attendant.state === 'closed') this.attendant = BOT; // opened again
    for (const id of client_ids) this.outbox.settle(id);
    const files = client_ids.flatMap((id) => this.outbox.find(id)?.files ?? []);
    this.outbox.drop(client_ids);
    // Words that a person was to read, and nobody did, are answered by another turn after all.
    for (const other of this.turns.values()) {
      if (other.turn === turn || !other.client_ids.some((id) => client_ids.includes(id))) continue;
      files.push(...other.files);
      this.turns.delete(other.turn);
    }
    const known = this.turn(turn);
    Object.assign(known, { client_ids, question, files: [...known.files, ...files] });
  }
  /** Messages that a person reads: no answer is being written. */
  onHeard(frame) {
    this.onTurn(frame);
    this.turn(frame.turn).state = 'heard';
  }
  /** A person's words, or without an author a notice of the house. */
  onSaid({ turn: id, text, author, at }) {
    this.cameIn(this.turn(id, { text, author, at, state: 'done' }), { turn: id, text, author, outcome: null, citations: [] });
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
    this.announcer.say(this.attendance() || WORDS.withBot);
    this.emit('attendant', { state, name: owner });
  }
  turn(id, more = {}) {
    if (!this.turns.has(id)) {
      this.turns.set(id, {
        turn: id, client_ids: [], question: '', files: [], state: 'running', status: 'searching', sentences: [], tokens: '', text: '',
        author: null, outcome: null, citations: [], feedback: null, error: null, at: new Date().toISOString(), ...more,
      });
    }
    return this.turns.get(id);
  }
  live(id) {
    const turn = this.turn(id);
    return isRunning(turn) ? turn : null; // a late frame never reopens a finished turn
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
    this.announce(turn);
  }
  onToken({ turn: id, text }) {
    const turn = this.live(id);
    if (turn) Object.assign(turn, { tokens: turn.tokens + text, status: 'writing' });
  }
  onReply({ turn: id, text, outcome, citations }) {
    const turn = this.turn(id);
    if (['done', 'withheld'].includes(turn.state)) return;
    Object.assign(turn, { text, outcome, citations, state: 'done', error: null });
    this.cameIn(turn, { turn: id, text, author: null, outcome, citations });
    if (outcome === 'handed_off') this.emit('handoff', { turn: id });
  }
  /** Words for the visitor are whole: read out, counted where nobody looks, told to the page. */
  cameIn(turn, message) {
    this.announce(turn);
    if (!this.isOpen) this.setUnread(this.unread + 1);
    this.emit('message', message);
  }
  onFailed({ turn: id, error }) {
    const turn = this.live(id);
    if (!turn) return;
    Object.assign(turn, { state: 'failed', error });
    this.announcer.say(error?.message || WORDS.failed);
    this.emit('error', { ...error, turn: id });
  }
  onNotice({ code, message }) {
    if (code === 'engine_ready') Object.assign(this, { engine: 'ready', notice: '' });
    else if (code === 'engine_down') Object.assign(this, { engine: 'down', notice: message ?? '' });
    else this.notice = message ?? '';
  }
  onFeedback({ turn: id, value }) {
    if (this.votes.get(id) === value) this.keepVote(id); // else a later vote is still on its way
    const turn = this.turns.get(id);
    if (turn) turn.feedback = value;
  }
  onError(frame) {
    this.emit('error', { code: frame.code, message: frame.message });
    if (!this.outbox.failed(frame) && ['rate_limited', 'busy'].includes(frame.code)) this.notice = frame.message;
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
  /** The page knows who this is; `hash` is made by its server. What another person left here is forgotten first. */
  identify(who) {
    const identity = { user_id: String(who?.user_id ?? ''), hash: String(who?.hash ?? '') };
    const before = this.store.get('user');
    if (before !== null && before !== identity.user_id) this.forget();
    this.store.set('user', identity.user_id);
    if (this.identity?.user_id === identity.user_id && this.identity.hash === identity.hash) return;
    this.identity = identity;
    if (this.connection.state === 'idle') this.start();
    else this.connection.restart();
  }
  /** Questions of this page to start with, in place of the brand's. */
  offer(texts) {
    this.ownStarters = [texts].flat().filter((text) => typeof text === 'string' && text.trim());
    this.render();
  }
  /** Everything about this visitor on this machine goes. */
  forget() {
    this.store.clear();
    this.identity = null;
    this.sheet.close();
    this.outbox.clear();
    this.announcer.done.clear();
    this.setUnread(0);
    this.begin();
    this.composer.clear();
    if (this.isOpen && this.floats) this.store.set('open', true);
  }
  /** For a log-out: forgets, and begins anew. */
  reset() {
    this.forget();
    if (this.connection.state !== 'idle') {
      if (this.isOpen) this.connection.restart();
      else this.connection.stop();
    }
    this.render();
  }
}
customElements.define('brandvoice-chat', BrandvoiceChat);
