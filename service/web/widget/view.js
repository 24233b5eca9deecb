const FONTS = {
  sans: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif',
  serif: '"Iowan Old Style", "Palatino Linotype", Palatino, Georgia, "Noto Serif", "Liberation Serif", serif',
};
const ACCENT = '#1f2937';

/** What is seen: built once, then redrawn where something changed. The conversation itself is in chat.js. */
class ChatView extends HTMLElement {
  static observedAttributes = ['accent', 'label', 'theme', 'greeting'];

  /** What the element says, else the script tag. */
  option(name) {
    return this.getAttribute(name) ?? script.dataset[name] ?? '';
  }
  /** A floating chat has a launcher and opens over the page; any other stands where the page put it. */
  get floats() {
    return this.hasAttribute('floating');
  }
  attributeChangedCallback() {
    if (!this.root) return;
    this.paint();
    this.render();
  }

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
    this.composer = new Composer(this.store, {
      send: (text, files) => this.say(text, files),
      askForPerson: () => this.say(WORDS.personMessage),
    });
    this.transcript = new Transcript({
      say: (text) => this.say(text) || this.composer.focus(),
      stop: (turn) => this.connection.send({ type: 'stop', turn }),
      vote: (turn, value) => this.vote(turn, value),
      again: (message) => this.outbox.again(Object.assign(message, { tries: 0 })),
      address: (file) => this.composer.attachments.address(file),
      openSource: (citation, opener) => this.sheet.open(citation, opener),
    });
    this.announcer = new Announcer();
    this.buildLauncher();
    this.buildHead();
    this.buildBody();
    this.sheet = new SourceSheet([this.head, this.banner, this.strip, this.body, this.composer.form], this.composer.input);
    this.panel = h('section', { class: 'panel', part: 'panel', role: this.floats ? 'dialog' : 'region', 'aria-labelledby': 'name',
      hidden: this.floats, onkeydown: (event) => this.key(event) },
    this.head, this.banner, this.strip, this.body, this.composer.form, this.sheet.veil);
    this.root = h('div', { class: this.floats ? 'root floating' : 'root', lang: LANGUAGE },
      this.panel, this.floats && this.launcher, this.announcer.log);
    shadow.append(this.root);
    window.visualViewport?.addEventListener('resize', () => this.fit());
    window.visualViewport?.addEventListener('scroll', () => this.fit());
    this.phone.addEventListener('change', () => this.fit());
  }
  buildLauncher() {
    this.launcher = h('button', {
      class: 'launcher', part: 'launcher', type: 'button', 'aria-haspopup': 'dialog', 'aria-expanded': 'false',
      onclick: () => this.toggle(),
      onpointerenter: () => this.connection.start(),
      onfocus: () => this.connection.start(),
    });
  }
  buildHead() {
    this.face = h('span', { class: 'face', 'aria-hidden': 'true' });
    this.heading = h('h2', { id: 'name' });
    this.presence = h('p', { class: 'presence' });
    this.head = h('div', { class: 'head', part: 'header' }, this.face, h('div', { class: 'who' }, this.heading, this.presence),
      this.floats && h('button', { type: 'button', class: 'close', 'aria-label': WORDS.close, onclick: () => this.close() }, icon('close')));
    this.bannerText = h('span');
    this.tryNow = h('button', { type: 'button', onclick: () => this.connection.wake() }, WORDS.tryNow);
    this.banner = h('div', { class: 'banner', role: 'status', hidden: true }, this.bannerText, this.tryNow);
    // Not live: the announcer reads it out, also while the panel is closed.
    this.stripText = h('span');
    this.toBot = h('button', { type: 'button', onclick: () => this.toAssistant() }, WORDS.toAssistant);
    this.strip = h('div', { class: 'strip', hidden: true }, icon('person'), this.stripText, this.toBot);
  }
  buildBody() {
    this.greeting = h('div', { class: 'message bot', part: 'message bot', dir: 'auto', hidden: true });
    this.starters = h('div', { hidden: true });
    this.scroll = h('div', {
      class: 'scroll', part: 'messages', tabindex: '0', role: 'region', 'aria-label': WORDS.transcript,
      onscroll: () => this.atEnd() && (this.jump.hidden = true),
    }, this.greeting, this.transcript.list, this.starters);
    this.jump = h('button', { type: 'button', class: 'jump', hidden: true, onclick: () => this.toEnd() },
      icon('jump'), WORDS.jump);
    this.body = h('div', { class: 'body' }, this.scroll, this.jump);
  }

  /** Colours and font of the brand; every pair that carries text reaches 4.5:1 in both schemes. */
  paint() {
    const wanted = [getComputedStyle(this).getPropertyValue('--brandvoice-accent').trim(), this.option('accent'), this.brand?.theme?.accent];
    const accent = wanted.find((colour) => /^#[0-9a-f]{6}$/i.test(colour ?? '')) ?? ACCENT;
    const look = {
      '--fill-light': readable(accent, '#ffffff', '#000000', 3), '--ink-light': readable(accent, LIGHT, '#000000', 4.5),
      '--fill-dark': readable(accent, DARK, '#ffffff', 3), '--ink-dark': readable(accent, DARK, '#ffffff', 4.5),
      '--font': FONTS[this.brand?.theme?.font] ?? FONTS.sans,
    };
    look['--on-light'] = onColor(look['--fill-light']);
    look['--on-dark'] = onColor(look['--fill-dark']);
    for (const [name, value] of Object.entries(look)) this.root.style.setProperty(name, value);
    this.root.dataset.theme = this.option('theme') || 'auto';
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
    this.composer.grow();
    if (!already) {
      this.toEnd();
      this.emit('open', {});
    }
    if (focus) this.composer.focus();
  }
  close() {
    if (!this.isOpen || !this.floats) return;
    this.sheet.close();
    this.panel.hidden = true;
    this.store.set('open', null);
    this.fit();
    this.render();
    this.launcher.focus();
    this.emit('close', {});
  }
  /** On phones the sheet takes what the on-screen keyboard leaves, and the page behind it stands still. */
  fit() {
    const full = this.floats && this.isOpen && this.phone.matches;
    const view = window.visualViewport;
    if (full && view && view.scale === 1) {
      this.root.style.setProperty('--height', `${view.height}px`);
      this.root.style.setProperty('--top', `${view.offsetTop}px`);
    } else {
      this.root.style.removeProperty('--height');
      this.root.style.removeProperty('--top');
    }
    if (full) this.panel.setAttribute('aria-modal', 'true');
    else this.panel.removeAttribute('aria-modal');
    if (full !== Boolean(this.locked)) {
      const page = document.documentElement.style;
      if (full) this.pageOverflow = page.overflow;
      page.overflow = full ? 'hidden' : this.pageOverflow;
      this.locked = full;
    }
  }
  key(event) {
    if (event.key === 'Escape') {
      if (!this.sheet.isOpen && !this.floats) return;
      event.stopPropagation();
      if (this.sheet.isOpen) this.sheet.close();
      else this.close();
    } else if (event.key === 'Tab' && (this.locked || this.sheet.isOpen)) {
      const area = this.sheet.isOpen ? this.sheet.veil : this.panel;
      const stops = [...area.querySelectorAll('button, a, textarea, [tabindex="0"]')].filter((node) => node.offsetParent);
      const edge = event.shiftKey ? stops[0] : stops.at(-1);
      if (this.shadowRoot.activeElement === edge) {
        event.preventDefault();
        (event.shiftKey ? stops.at(-1) : stops[0])?.focus();
      }
    }
  }

  // -------------------------------------------------------------- drawing
  render() {
    const name = this.brand?.display_name ?? '';
    const { state } = this.connection;
    const open = this.isOpen;
    const stick = open && this.atEnd();
    this.root.toggleAttribute('data-open', open);
    this.renderLauncher(open);
    this.renderHead(name, state);
    this.renderBanner(state);
    this.renderStrip();
    this.greeting.textContent = this.option('greeting') || (this.brand?.greeting ?? '');
    this.greeting.hidden = !this.greeting.textContent;
    this.renderStarters();
    this.transcript.render({
      turns: [...this.turns.values()], votes: this.votes, waiting: this.outbox.messages, name, line: state, fresh: this.welcomed,
    });
    if (stick) this.toEnd();
    else if (open && !this.atEnd() && this.awaits()) this.jump.hidden = false;
  }
  renderLauncher(open) {
    this.launcher.setAttribute('aria-expanded', String(open));
    const label = open ? WORDS.close : this.option('label') || WORDS.launcher;
    const unread = this.unread && !open ? WORDS.unread(this.unread) : '';
    this.launcher.setAttribute('aria-label', unread ? `${label}, ${unread}` : label);
    this.launcher.replaceChildren(icon(open ? 'close' : 'chat'),
      ...(unread ? [h('span', { class: 'badge', part: 'badge', 'aria-hidden': 'true' }, String(this.unread))] : []));
  }
  renderHead(name, state) {
    this.heading.textContent = name || this.option('label') || WORDS.launcher;
    this.face.textContent = [...(name.replace(/^(the|maison|la|le)\s+/i, '') || '·')][0];
    const person = this.attendant.state === 'person';
    // The strip below names the person; here it would stand a second time.
    this.presence.textContent = state === 'open'
      ? (person || this.engine === 'ready' ? WORDS.online : WORDS.offline)
      : ['idle', 'connecting'].includes(state) ? WORDS.connecting : WORDS.offline;
    this.presence.toggleAttribute('data-on', state === 'open' && (person || this.engine === 'ready'));
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
    this.composer.person.style.visibility = held ? 'hidden' : ''; // its place stays, so that nothing jumps
  }
  renderStarters() {
    const begun = this.turns.size || this.outbox.messages.length || !this.welcomed;
    const texts = begun ? [] : this.ownStarters ?? this.brand?.starters ?? [];
    const signature = texts.join('\n');
    if (this.starters.dataset.signature === signature) return;
    this.starters.dataset.signature = signature;
    this.starters.hidden = !texts.length;
    this.starters.replaceChildren(drawReplies(WORDS.starters, texts.map((text) => [text, text]), this.transcript.actions.say));
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
}
