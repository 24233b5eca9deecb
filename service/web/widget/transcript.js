/** The list of turns and of messages under way: draws what has changed and nothing else, so that focus, selection and
 * scroll place elsewhere stay. */
class Transcript {
  /** `actions`: say, stop, vote, again, openSource: what the buttons in it do. */
  constructor(actions) {
    this.actions = actions;
    this.drawn = new Map(); // key -> {node, signature, shown}
    this.list = h('ol', { class: 'turns', 'aria-label': WORDS.transcript });
  }
  /** `facts`: turns, votes, waiting, name, line (state of the connection), fresh (whether new sentences fade in). */
  render({ turns, votes, waiting, name, line, fresh }) {
    const last = waiting.length ? null : turns.at(-1);
    const items = [
      ...turns.map((turn) => {
        const vote = votes.has(turn.turn) ? votes.get(turn.turn) : turn.feedback;
        const newest = turn === last;
        return [turn.turn, [turn, vote, newest, name], (shown) => this.drawTurn(turn, { vote, newest, name, shown })];
      }),
      ...waiting.map((m) => [m.client_id, [m.accepted, m.note, line], () => this.drawWaiting(m, line)]),
    ];
    const keys = new Set(items.map(([key]) => key));
    for (const [key, { node }] of this.drawn) {
      if (keys.has(key)) continue;
      node.remove();
      this.drawn.delete(key);
    }
    let cursor = this.list.firstChild;
    for (const [key, facts, draw] of items) {
      const entry = this.drawn.get(key) ?? { node: h('li', { 'data-turn': key }), signature: '', shown: fresh ? 0 : Infinity };
      this.drawn.set(key, entry);
      const signature = JSON.stringify(facts);
      if (signature !== entry.signature) {
        const active = this.list.getRootNode().activeElement;
        const focused = entry.node.contains(active) ? active.dataset.key : null;
        this.put(entry.node, draw(entry.shown).filter(Boolean));
        entry.signature = signature;
        entry.shown = turns.find((turn) => turn.turn === key)?.sentences.length ?? 0;
        if (focused) entry.node.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
      }
      if (entry.node === cursor) cursor = cursor.nextSibling;
      else this.list.insertBefore(entry.node, cursor);
    }
  }
  /** What stays last is not taken out meanwhile: a button that goes between press and release loses the click. */
  put(node, children) {
    const last = children.at(-1);
    if (!last || last !== node.lastChild) {
      node.replaceChildren(...children);
      return;
    }
    while (node.firstChild !== last) node.firstChild.remove();
    last.before(...children.slice(0, -1));
  }
  act(key, words, onclick) {
    return h('button', { type: 'button', class: 'act', 'data-key': key, onclick }, words);
  }
  drawQuestion(text, more = '') {
    return text && h('div', { class: `message user${more}`, part: 'message user', dir: 'auto' }, spokenOnly(WORDS.you + ' '), text);
  }
  drawFiles(files) {
    return files?.length > 0 && h('ul', { class: 'files sent', 'aria-label': WORDS.sentFiles }, ...files.map((file) => h('li', {},
      h('a', {
        href: this.actions.address(file), download: file.name, 'data-key': `file-${file.id}`,
        onclick: (event) => (event.currentTarget.href = this.actions.address(file)), // the ticket may be a newer one
      }, icon('clip'), h('bdi', { class: 'name' }, file.name)), h('span', {}, inWords(file.size)))));
  }
  drawWaiting(message, line) {
    const note = message.note || (message.accepted ? '' : line === 'open' ? WORDS.sending : WORDS.unsent);
    return [
      this.drawQuestion(message.text, ' waiting'),
      this.drawFiles(message.files),
      note && h('div', { class: message.note ? 'note trouble' : 'note' }, note,
        message.note && !message.accepted ? this.act('again', WORDS.retry, () => this.actions.again(message)) : null),
    ];
  }
  drawTurn(turn, { vote, newest, name, shown }) {
    const asked = turn.question || turn.files.length;
    const unread = turn.files.length && turn.question && turn.state === 'done' && turn.outcome !== 'handed_off';
    const nodes = [this.drawQuestion(turn.question), this.drawFiles(turn.files),
      unread && h('div', { class: 'note' }, WORDS.filesForPeople), this.drawAnswer(turn, name, shown)];
    if (isRunning(turn)) nodes.push(this.drawTyping(turn));
    else if (turn.state === 'failed') {
      nodes.push(h('div', { class: 'message trouble', dir: 'auto' }, turn.error?.message || WORDS.failed),
        newest && turn.question && turn.error?.code !== 'gave_up' && h('div', { class: 'note' }, this.act('retry', WORDS.retry, () => this.actions.say(turn.question))));
    } else if (turn.state === 'done' && asked) nodes.push(...this.drawFoot(turn, vote, newest));
    else nodes.push(h('div', { class: asked ? 'foot mine' : 'foot' }, this.drawTime(turn)));
    return nodes;
  }
  /** The same one for as long as it says the same, though the answer above it grows many times a second. */
  drawTyping(turn) {
    const words = WORDS[turn.status] ?? WORDS.searching;
    const before = this.drawn.get(turn.turn)?.node.lastChild;
    if (before?.dataset.says === words) return before;
    return h('div', { class: 'typing', 'data-says': words },
      h('span', { class: 'dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')), h('span', {}, words),
      turn.turn && this.act('stop', WORDS.stop, () => this.actions.stop(turn.turn)));
  }
  drawAnswer(turn, name, shown) {
    const pieces = this.piecesOf(turn, shown);
    if (!pieces.length) return null;
    const citations = new Map([...turn.sentences.flatMap((s) => s?.citations ?? []), ...(turn.citations ?? [])]
      .map((citation) => [citation.number, citation]));
    let chips = 0;
    const text = blocks(pieces, (number) => citations.has(number) && this.opener(citations.get(number),
      { class: 'chip', 'data-key': `chip-${chips++}` }, h('span', {}, String(number))));
    if (!turn.author) text.firstElementChild?.prepend(spokenOnly(WORDS.said(name) + ' '));
    return h('div', { class: turn.author ? 'message bot human' : 'message bot', part: turn.author ? 'message person' : 'message bot', dir: 'auto' },
      turn.author && h('p', { class: 'name', dir: 'auto' }, turn.author, spokenOnly(':')), text);
  }
  /** A button that opens a source. */
  opener(citation, props, ...children) {
    return h('button', {
      type: 'button', 'aria-haspopup': 'dialog', 'aria-label': WORDS.source(citation.number, citation.title),
      onclick: (event) => this.actions.openSource(citation, event.currentTarget), ...props,
    }, ...children);
  }
  drawFoot(turn, vote, newest) {
    const used = turn.citations ?? [];
    const thumb = (value, label) => h('button', {
      type: 'button', 'data-key': value, 'aria-label': label, title: label, 'aria-pressed': String(vote === value),
      onclick: () => this.actions.vote(turn.turn, vote === value ? null : value),
    }, icon(value));
    return [
      used.length > 0 && h('ul', { class: 'sources', 'aria-label': WORDS.sources }, ...used.map((citation) => h('li', {},
        this.opener(citation, { class: 'pill', 'data-key': `source-${citation.number}` },
          h('span', { class: 'number' }, String(citation.number)), citation.title)))),
      turn.outcome === 'stopped' && h('div', { class: 'note' }, WORDS.stopped),
      turn.outcome === 'handed_off' && h('div', { class: 'note' }, icon('person'), WORDS.handedOff),
      newest && turn.outcome === 'refused' && drawReplies(WORDS.replies, [[WORDS.person, WORDS.personMessage]], this.actions.say),
      h('div', { class: 'foot' }, this.drawTime(turn), thumb('up', WORDS.helpful), thumb('down', WORDS.notHelpful)),
    ];
  }
  drawTime(turn) {
    const at = new Date(turn.at);
    return isNaN(at) ? null
      : h('time', { datetime: turn.at }, at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }));
  }
  /** The sentences while they come; the final text where it differs from them. */
  piecesOf(turn, shown) {
    const sentences = turn.sentences.filter(Boolean);
    const joined = sentences.map((s) => s.text).join(' ');
    if (turn.state === 'done' && turn.text && turn.text !== joined) return [{ text: turn.text, fresh: false }];
    if (turn.tokens.length > joined.length && turn.state !== 'done') return [{ text: turn.tokens, fresh: false }];
    return sentences.map((s) => ({ text: s.text, fresh: s.index >= shown }));
  }
}
/** Words for a screen reader; with a direction of their own, so that they do not decide that of the message. */
const spokenOnly = (words) => h('span', { class: 'sr', dir: 'auto' }, words);
const isRunning = (turn) => ['pending', 'running'].includes(turn.state);
/** Buttons that say something for the visitor: pairs of what they show and what they say. */
const drawReplies = (label, pairs, say) => h('ul', { class: 'replies', part: 'replies', 'aria-label': label },
  ...pairs.map(([words, text]) => h('li', {}, h('button', {
    type: 'button', part: 'reply', dir: 'auto', 'data-key': `reply-${text}`, onclick: () => say(text),
  }, words))));
