const RESEND_MS = 5_000;
const GIVE_UP_AFTER = 5; // what failed so often waits for a click
const LATER = ['busy', 'slow_down', 'storage_unavailable']; // the server takes the message a little later

/** Messages that are not yet part of a turn, kept in the browser until the server has confirmed them. */
class Outbox {
  /** `send(frame)` says whether it went out; `giveBack(text, note)` whether the field took the words back. */
  constructor(store, { send, giveBack }) {
    Object.assign(this, { store, send, giveBack });
    this.messages = store.outbox().map((entry) => ({ ...entry, accepted: false, note: '' }));
  }
  get awaits() {
    return this.messages.some((message) => !message.note);
  }
  add(text, files) {
    const entry = { client_id: uuid(), text, files, at: Math.max(Date.now(), (this.messages.at(-1)?.at ?? 0) + 1) };
    this.store.set(`out:${entry.client_id}`, entry);
    this.messages.push({ ...entry, accepted: false, note: '' });
  }
  find(clientId) {
    return this.messages.find((message) => message.client_id === clientId);
  }
  /** One after the other, so that their order holds when the server takes one of them later. */
  deliver() {
    const message = this.messages.find((one) => !one.accepted && !(one.tries > GIVE_UP_AFTER));
    if (!message || message.sent || message.timer) return;
    message.sent = this.send({ type: 'message', client_id: message.client_id, text: message.text, files: message.files?.map(({ id }) => id) });
    if (message.sent) this.last = message.client_id;
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
    const message = this.find(clientId);
    if (!message) return;
    clearTimeout(message.timer);
    Object.assign(message, { timer: null, accepted: true, note: '' });
    this.deliver();
  }
  /** They are part of a turn now, which shows them. */
  drop(clientIds) {
    this.messages = this.messages.filter((message) => !clientIds.includes(message.client_id));
  }
  /** After a welcome: what the server has is dropped, the rest is sent; of another conversation it has nothing. */
  resume(known, same) {
    for (const id of known) this.store.set(`out:${id}`, null);
    this.messages = this.messages.filter((one) => !known.has(one.client_id) && (same || !one.accepted));
    for (const message of this.messages) message.sent = false;
    this.deliver();
  }
  /** The server will never take this message: the words go back into the field. */
  refuse(clientId, note) {
    const message = this.find(clientId);
    this.store.set(`out:${clientId}`, null);
    if (!message) return;
    if (this.giveBack(message.text, note)) this.drop([clientId]);
    else Object.assign(message, { accepted: true, note });
    this.deliver();
  }
  /** The line broke because of the last message: sending it again would end the same way. */
  refuseLast() {
    if (this.last) this.refuse(this.last, WORDS.notSent);
  }
  /** The server took it not, or not now; says whether it was one of ours. */
  failed({ code, message: words, client_id: clientId, retry_after_s: seconds }) {
    const message = this.find(clientId);
    if (!message) return false;
    if (['too_long', 'empty'].includes(code)) {
      this.refuse(clientId, words);
      return true;
    }
    const later = LATER.includes(code);
    message.note = later ? WORDS.slow : words || WORDS.notSent;
    if (!later) message.tries = (message.tries ?? 0) + 1;
    const ms = seconds ? seconds * 1000 : RESEND_MS * (message.tries ?? 1);
    this.again(message, ms * (1 + Math.random() / 4));
    return true;
  }
  clear() {
    for (const message of this.messages) clearTimeout(message.timer);
    this.messages = [];
  }
}
