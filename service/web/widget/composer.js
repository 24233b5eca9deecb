const MAX_MESSAGE_CHARS = 4000; // the gateway's default; a welcome with limits.max_message_chars overrides it

/** Where the visitor writes: the field, what is left of it, the half-typed text that outlives the page. */
class Composer {
  /** `send(text, files)` takes what was written; `askForPerson()` is the button below. */
  constructor(store, { send, askForPerson }) {
    Object.assign(this, { store, send, limit: MAX_MESSAGE_CHARS });
    this.input = h('textarea', {
      id: 'input', part: 'input', rows: '1', dir: 'auto', placeholder: WORDS.placeholder, 'aria-describedby': 'count',
      enterkeyhint: 'send', autocomplete: 'off',
      oninput: () => this.typed(),
      onkeydown: (event) => {
        if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        this.submit();
      },
    });
    this.input.value = store.get('draft') ?? '';
    this.button = h('button', { type: 'submit', class: 'send', part: 'send', 'aria-label': WORDS.send }, icon('send'));
    this.attachments = new Attachments(() => this.measure());
    this.field = h('div', { class: 'field' }, h('label', { for: 'input', class: 'sr' }, WORDS.input), this.input,
      this.attachments.button, this.attachments.chooser, this.button);
    this.person = h('button', { type: 'button', class: 'person', onclick: askForPerson }, icon('person'), WORDS.person);
    this.count = h('span', { id: 'count', role: 'status' });
    this.form = h('form', {
      novalidate: true,
      onsubmit: (event) => {
        event.preventDefault();
        this.submit();
      },
    }, this.attachments.list, this.attachments.told, this.field, h('div', { class: 'under' }, this.person, this.count));
  }
  typed() {
    this.grow();
    clearTimeout(this.draft);
    this.draft = setTimeout(() => this.store.set('draft', this.input.value || null), 150);
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
    const { busy, files } = this.attachments;
    const fit = (length > 0 || files.length > 0) && !busy && !tooLong;
    this.button.setAttribute('aria-disabled', String(!fit));
    return fit;
  }
  submit() {
    if (!this.measure()) return;
    const text = this.input.value.trim();
    const files = this.attachments.ready;
    this.clear();
    this.send(text, files);
  }
  clear() {
    this.input.value = '';
    this.attachments.clear();
    clearTimeout(this.draft);
    this.store.set('draft', null);
    this.grow();
    this.measure();
  }
  /** A message that was refused comes back, unless something else stands there; says whether it did. */
  giveBack(text, note) {
    if (this.input.value) return false;
    this.input.value = text;
    this.typed();
    this.count.className = 'trouble';
    this.count.textContent = note;
    return true;
  }
  focus() {
    this.input.focus();
  }
}
