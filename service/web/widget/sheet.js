/** The sheet over the chat that shows where an answer comes from. */
class SourceSheet {
  /** `behind`: the parts that rest while it is open; `fallback`: takes the focus where the opener is gone. */
  constructor(behind, fallback) {
    Object.assign(this, { behind, fallback, source: null });
    this.veil = h('div', { class: 'veil', hidden: true, onclick: (event) => event.target === this.veil && this.close() });
  }
  get isOpen() {
    return !this.veil.hidden;
  }
  open(citation, opener) {
    this.close();
    this.source = { opener, turn: opener.closest('li[data-turn]'), key: opener.dataset.key };
    const percent = Math.round(Math.min(1, Math.max(0, citation.score)) * 100);
    const bar = h('i');
    bar.style.width = `${percent}%`;
    const closer = h('button', { type: 'button', 'aria-label': WORDS.closeSource, onclick: () => this.close() }, icon('close'));
    this.veil.replaceChildren(h('div', { class: 'sheet', part: 'source', role: 'dialog', 'aria-modal': 'true', 'aria-labelledby': 'source-title' },
      h('div', { class: 'top' }, h('span', { class: 'number', 'aria-hidden': 'true' }, String(citation.number)),
        h('div', {}, h('h3', { id: 'source-title', dir: 'auto' }, citation.title),
          h('p', { class: 'where' }, citation.document),
          h('p', { class: 'score' }, h('span', { class: 'bar', 'aria-hidden': 'true' }, bar), WORDS.match(percent))),
        closer),
      h('div', { class: 'passage', tabindex: '0', role: 'region', 'aria-labelledby': 'source-title', dir: 'auto' },
        blocks([{ text: citation.passage, fresh: false }], null))));
    this.veil.hidden = false;
    for (const part of this.behind) part.inert = true;
    closer.focus();
  }
  close() {
    if (!this.isOpen) return;
    this.veil.hidden = true;
    this.veil.replaceChildren();
    for (const part of this.behind) part.inert = false;
    const { opener, turn, key } = this.source; // the opener may have been redrawn since
    (opener.isConnected ? opener : turn?.querySelector(`[data-key="${CSS.escape(key)}"]`) ?? this.fallback).focus();
    this.source = null;
  }
}
