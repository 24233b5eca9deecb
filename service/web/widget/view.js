const FONTS = {
  sans: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif',
  serif: '"Iowan Old Style", "Palatino Linotype", Palatino, Georgia, "Noto Serif", "Liberation Serif", serif',
};

/** What is seen: built once, then redrawn where something changed. The conversation itself is in chat.js. */
class ChatView extends HTMLElement {
  // -------------------------------------------------------------- building
  build() {
    const shadow = this.attachShadow({ mode: 'open' });
    try {
      const sheet = new CSSStyleSheet(); // not inline style: passes a page's strict style-src
      sheet.replaceSync(LOOKS);
      shadow.adoptedStyleSheets = [sheet];
    } catch {
      shadow.append(h('style', {}, LOOKS)); // browsers before constructable stylesheets
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
    this.head = h('div', { class: 'head' }, this.face, h('div', { class: 'who' }, this.heading, this.presence),
      h('button', { type: 'button', class: 'close', 'aria-label': WORDS.close, onclick: () => this.close() }, icon('close')));
    this.bannerText = h('span');
    this.tryNow = h('button', { type: 'button', onclick: () => this.connection.wake() }, WORDS.tryNow);
    this.banner = h('div', { class: 'banner', role: 'status', hidden: true }, this.bannerText, this.tryNow);
    // Not live: `announce` reads it out, also while the panel is closed.
    this.stripText = h('span');
    this.toBot = h('button', { type: 'button', onclick: () => this.toAssistant() }, WORDS.toAssistant);
    this.strip = h('div', { class: 'strip', hidden: true }, icon('person'), this.stripText, this.toBot);
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
    this.forPerson = h('button', { type: 'button', class: 'person', onclick: () => this.say(WORDS.personMessage) },
      icon('person'), WORDS.person);
    this.count = h('span', { id: 'count', role: 'status' });
    this.form = h('form', {
      novalidate: true,
      onsubmit: (event) => {
        event.preventDefault();
        this.submit();
      },
    }, this.field, h('div', { class: 'under' }, this.forPerson, this.count));
    this.veil = h('div', { class: 'veil', hidden: true, onclick: (event) => event.target === this.veil && this.closeSource() });
    this.panel = h('section', { class: 'panel', role: 'dialog', 'aria-labelledby': 'name', hidden: true,
      onkeydown: (event) => this.key(event) },
    this.head, this.banner, this.strip, this.body, this.form, this.veil);
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
    const name = turn.author ?? this.brand?.display_name ?? '';
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
    const person = this.attendant.state === 'person';
    // The strip below names the person; here it would stand a second time.
    this.presence.textContent = state === 'open'
      ? (person || this.engine === 'ready' ? WORDS.online : WORDS.offline)
      : ['idle', 'connecting'].includes(state) ? WORDS.connecting : WORDS.offline;
    this.presence.toggleAttribute('data-on', state === 'open' && (person || this.engine === 'ready'));
    this.renderBanner(state);
    this.renderStrip();
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
  /** Who has the conversation, where it is not the assistant. */
  attendance() {
    const { state, owner } = this.attendant;
    return { waiting: WORDS.waitingForPerson, person: WORDS.withPerson(owner), closed: WORDS.closed }[state] ?? '';
  }
  renderStrip() {
    const text = this.attendance() || (this.returned ? WORDS.withBot : '');
    if (this.stripText.textContent !== text) this.stripText.textContent = text;
    const held = ['waiting', 'person'].includes(this.attendant.state);
    this.strip.hidden = !text;
    this.toBot.hidden = this.attendant.state !== 'waiting';
    this.forPerson.style.visibility = held ? 'hidden' : ''; // its place stays, so that nothing jumps
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
        const retry = turn === last && turn.state === 'failed' && turn.error?.code !== 'gave_up';
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
        if (focused) entry.node.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
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
          type: 'button', class: 'act', 'data-key': 'again', onclick: () => this.again(Object.assign(message, { tries: 0 })),
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
      if (!turn.author) text.firstElementChild?.prepend(h('span', { class: 'sr' }, WORDS.said(name) + ' '));
      nodes.push(h('div', { class: turn.author ? 'message bot human' : 'message bot', dir: 'auto' },
        turn.author && h('p', { class: 'name' }, turn.author, h('span', { class: 'sr' }, ':')), text));
    }
    if (busy) {
      nodes.push(h('div', { class: 'typing' },
        h('span', { class: 'dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')),
        h('span', {}, WORDS[turn.status] ?? WORDS.searching),
        turn.turn && h('button', {
          type: 'button', class: 'act', 'data-key': 'stop', onclick: () => this.connection.send({ type: 'stop', turn: turn.turn }),
        }, WORDS.stop)));
    } else if (turn.state === 'failed') {
      nodes.push(h('div', { class: 'message trouble', dir: 'auto' }, turn.error?.message || WORDS.failed),
        retry && h('div', { class: 'note' }, h('button', {
          type: 'button', class: 'act', 'data-key': 'retry',
          onclick: () => {
            this.say(turn.question);
            this.input.focus();
          },
        }, WORDS.retry)));
    } else if (turn.state === 'done' && turn.question) nodes.push(...this.drawFoot(turn, vote));
    else nodes.push(h('div', { class: turn.question ? 'foot mine' : 'foot' }, this.drawTime(turn)));
    return nodes;
  }
  drawFoot(turn, vote) {
    const used = turn.citations ?? [];
    const thumb = (value, shape, label) => h('button', {
      type: 'button', 'data-key': value, 'aria-label': label, title: label, 'aria-pressed': String(vote === value),
      onclick: () => this.vote(turn.turn, vote === value ? null : value),
    }, icon(shape));
    return [
      used.length > 0 && h('ul', { class: 'sources', 'aria-label': WORDS.sources }, ...used.map((citation) => h('li', {},
        h('button', {
          type: 'button', class: 'pill', 'data-key': `source-${citation.number}`, 'aria-haspopup': 'dialog',
          'aria-label': WORDS.source(citation.number, citation.title),
          onclick: (event) => this.openSource(citation, event.currentTarget),
        }, h('span', { class: 'number' }, String(citation.number)), citation.title)))),
      turn.outcome === 'stopped' && h('div', { class: 'note' }, WORDS.stopped),
      turn.outcome === 'handed_off' && h('div', { class: 'note' }, icon('person'), WORDS.handedOff),
      h('div', { class: 'foot' },
        this.drawTime(turn),
        thumb('up', 'up', WORDS.helpful), thumb('down', 'down', WORDS.notHelpful)),
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
  vote(id, value) {
    this.keepVote(id, { value });
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
    for (const part of [this.head, this.banner, this.strip, this.body, this.form]) part.inert = true;
    closer.focus();
  }
  closeSource() {
    if (this.veil.hidden) return;
    this.veil.hidden = true;
    this.veil.replaceChildren();
    for (const part of [this.head, this.banner, this.strip, this.body, this.form]) part.inert = false;
    const { opener, turn, key } = this.source; // the opener may have been redrawn since
    (opener.isConnected ? opener : turn?.querySelector(`[data-key="${CSS.escape(key)}"]`) ?? this.input).focus();
    this.source = null;
  }
}
