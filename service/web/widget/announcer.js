/** What a screen reader is told: apart from what is seen, so that a reload or a redraw is never read out again. */
class Announcer {
  constructor() {
    this.done = new Map(); // turn id -> sentences already read out
    this.log = h('div', { class: 'sr', role: 'log', 'aria-live': 'polite', 'aria-relevant': 'additions', 'aria-label': WORDS.transcript });
  }
  say(text) {
    const line = h('p', { dir: 'auto' }, text);
    this.log.append(line);
    setTimeout(() => line.remove(), 15_000); // read by now; browsing by hand finds the transcript only
  }
  /** Reads out the finished sentences that were not read out yet: a name first, then one at a time. */
  turn(turn, name) {
    const done = this.done.get(turn.turn) ?? 0;
    if (done === Infinity) return;
    const finished = turn.state === 'done';
    const sentences = turn.sentences.slice(done);
    const gap = sentences.findIndex((sentence) => !sentence);
    const ready = finished || gap < 0 ? sentences : sentences.slice(0, gap);
    const texts = finished && !turn.sentences.length ? [turn.text] : ready.map((sentence) => sentence?.text ?? '');
    texts.forEach((text, i) => text && this.say((done + i ? '' : `${WORDS.said(name)} `) + spoken(text)));
    this.done.set(turn.turn, finished ? Infinity : done + ready.length);
  }
  /** Takes a turn as read out: it was there before the page came. */
  skip(turn) {
    this.done.set(turn.turn, turn.state === 'done' ? Infinity : turn.sentences.length);
  }
}
