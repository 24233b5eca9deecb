const ENDINGS = { 'text/plain': '.txt,.md,.csv,.log' }; // what a file dialog shows of a type besides the type itself

/** Files that go along with the next message: chosen, brought to the gateway at once, shown until they are sent. */
class Attachments {
  /** `changed()` is called whenever something about them is other than before. */
  constructor(changed) {
    Object.assign(this, { changed, offer: null, files: [], problem: '' });
    this.chooser = h('input', { type: 'file', multiple: true, hidden: true, 'aria-hidden': 'true', tabindex: '-1', onchange: () => {
      this.add([...this.chooser.files]);
      this.chooser.value = '';
    } });
    this.button = h('button', { type: 'button', class: 'attach', part: 'attach', 'aria-label': WORDS.attach, title: WORDS.attach,
      hidden: true, onclick: () => this.chooser.click() }, icon('clip'));
    this.list = h('ul', { class: 'files', 'aria-label': WORDS.attached, hidden: true });
    this.told = h('p', { class: 'note trouble', role: 'status', hidden: true });
  }
  /** What the brand takes, as the gateway says it: {ticket, types, max_bytes, max_count}, or nothing. */
  take(offer) {
    this.offer = offer ?? null;
    this.button.hidden = !offer;
    if (offer) this.chooser.accept = offer.types.map((type) => [type, ENDINGS[type]].filter(Boolean).join()).join();
  }
  get busy() {
    return this.files.some((file) => !file.id);
  }
  get ready() {
    return this.files.filter((file) => file.id).map(({ id, name, kind, size }) => ({ id, name, kind, size }));
  }
  add(chosen) {
    if (!this.offer) return;
    this.problem = '';
    for (const file of chosen) {
      if (this.files.length >= this.offer.max_count) this.problem = WORDS.tooMany(this.offer.max_count);
      else if (file.size > this.offer.max_bytes) this.problem = WORDS.tooLarge(file.name, inWords(this.offer.max_bytes));
      else if (file.size) this.bring(file);
    }
    this.draw();
  }
  bring(file) {
    const entry = { name: file.name, size: file.size, share: 0 };
    const address = new URL('/v1/widget/files', script.src);
    address.search = new URLSearchParams({ ticket: this.offer.ticket, name: file.name });
    const call = (entry.call = new XMLHttpRequest()); // fetch tells nothing of how far an upload is
    call.open('POST', address);
    call.responseType = 'json';
    call.upload.onprogress = ({ loaded, total }) => {
      entry.share = total && loaded / total;
      this.draw();
    };
    call.onloadend = () => {
      if (!this.files.includes(entry)) return; // taken off meanwhile
      if (call.status === 201) Object.assign(entry, call.response);
      else {
        this.files = this.files.filter((one) => one !== entry);
        this.problem = `${entry.name}: ${call.response?.error?.message ?? WORDS.notSent}`;
      }
      this.draw();
    };
    this.files.push(entry);
    call.send(file);
  }
  remove(entry) {
    this.files = this.files.filter((one) => one !== entry);
    this.problem = '';
    entry.call.abort();
    this.draw();
    this.button.focus();
  }
  clear() {
    this.files = [];
    this.problem = '';
    this.draw();
  }
  draw() {
    this.list.hidden = !this.files.length;
    this.list.replaceChildren(...this.files.map((entry) => h('li', {},
      h('bdi', { class: 'name' }, entry.name), h('span', {}, entry.id ? inWords(entry.size) : WORDS.percent(Math.round(entry.share * 100))),
      h('button', { type: 'button', 'aria-label': WORDS.removeFile(entry.name), onclick: () => this.remove(entry) }, icon('close')))));
    this.told.hidden = !this.problem;
    this.told.textContent = this.problem;
    this.changed();
  }
  /** Where a file that was sent can be fetched, for as long as the ticket holds. */
  address(file) {
    const address = new URL(`/v1/widget/files/${encodeURIComponent(file.id)}`, script.src);
    address.search = new URLSearchParams({ ticket: this.offer?.ticket ?? '' });
    return address.href;
  }
}
const inWords = (bytes) => (bytes < 100_000
  ? `${Math.max(1, Math.round(bytes / 1000)).toLocaleString(LANGUAGE)} kB`
  : `${(bytes / 1_000_000).toLocaleString(LANGUAGE, { maximumFractionDigits: 1 })} MB`);
