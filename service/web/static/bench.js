/* The bench: asks /v1/bench and draws what comes back. Texts go in as text, never as HTML. */
(() => {
  'use strict';
  const at = (id) => document.getElementById(id);
  const [form, brand, question, key, run, status, trouble, result] =
    ['ask', 'brand', 'question', 'key', 'run', 'status', 'trouble', 'result'].map(at);
  const KEY = 'brandvoice:api-key';
  const NAMES = { 'base+guide': 'Base model + voice guide', adapter: 'Adapter' };

  const h = (tag, props, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props ?? {})) node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
    return node;
  };
  const number = (value, digits = 2) => (typeof value === 'number' && isFinite(value) ? value.toFixed(digits) : '–');

  // ---------------------------------------------------------------- passages
  const scores = (passage) => [['score', passage.score], ...Object.entries(passage.scores ?? {})]
    .map(([name, value]) => `${name} ${number(value)}`).join(', ');
  const passageItem = (passage, index) => h('li', { id: `passage-${index + 1}`, tabindex: '-1' },
    h('p', { class: 'where' }, `[${index + 1}] ${passage.title ?? passage.document}`),
    h('p', { class: 'scores' }, `${passage.document}; ${scores(passage)}`),
    h('p', { class: 'text', tabindex: '0' }, passage.text ?? ''));

  // ---------------------------------------------------------------- columns
  const verdict = (sentence) => {
    const score = number(sentence.score);
    if (sentence.kind === 'promise') return ['bad', 'Promise: the service could not keep it'];
    if (sentence.kind === 'claim' && sentence.supported) return ['good', `Supported by [${sentence.source}], score ${score}`];
    if (sentence.kind === 'claim' || !sentence.supported) {
      const missing = sentence.missing?.length ? `; not in a passage: ${sentence.missing.join(', ')}` : '';
      return ['bad', `Not supported, score ${score}${missing}`];
    }
    return ['plain', sentence.kind === 'question' ? 'Question: states no fact' : 'Style: states no fact'];
  };
  const checkItem = (sentence) => {
    const [look, words] = verdict(sentence);
    const said = sentence.text || sentence.shown || '';
    return h('li', { class: look }, h('span', { class: 'said' }, said), h('span', { class: 'verdict' }, words));
  };
  const pair = (name, value) => h('div', null, h('dt', null, name), h('dd', null, String(value)));
  const promptView = (prompt) => h('details', null, h('summary', null, 'Exact prompt'),
    ...(prompt ?? []).flatMap((message) => [h('p', { class: 'role' }, message.role), h('pre', { tabindex: '0' }, message.content)]));
  const columnView = (column) => {
    const checks = column.sentences ?? [];
    const unsupported = checks.filter((sentence) => verdict(sentence)[0] === 'bad').length;
    return h('section', { class: 'column', 'aria-label': NAMES[column.name] ?? column.name },
      h('h2', null, NAMES[column.name] ?? column.name),
      h('p', { class: 'version' }, column.version ? `Version ${column.version}` : ''),
      h('p', { class: 'answer', dir: 'auto' }, column.text || 'The model said nothing.'),
      h('dl', { class: 'numbers' },
        pair('Outcome', (column.outcome ?? '–').replaceAll('_', ' ')),
        pair('Time', `${Math.round(column.ms)} ms`),
        pair('Prompt', `${column.usage?.prompt_tokens ?? '–'} tokens`),
        pair('Answer', `${column.usage?.completion_tokens ?? '–'} tokens`),
        pair('Not supported', checks.length ? `${unsupported} of ${checks.length} sentences` : '–')),
      h('h3', null, 'Sentence by sentence'),
      checks.length ? h('ol', { class: 'checks' }, ...checks.map(checkItem))
        : h('p', { class: 'none' }, 'No sentence of this reply was checked.'),
      column.prompt?.length ? promptView(column.prompt) : null);
  };
  const show = ({ passages, columns }) => {
    at('passages').replaceChildren(...(passages?.length ? passages.map(passageItem)
      : [h('li', null, 'Search found no passage for this question.')]));
    const order = ['base+guide', 'adapter'];
    const sorted = [...columns].sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
    at('columns').replaceChildren(...sorted.map(columnView));
    result.hidden = false;
  };

  // ---------------------------------------------------------------- asking
  const explain = async (response) => {
    let message = '';
    try {
      message = (await response.json()).error?.message ?? '';
    } catch { /* not JSON: a proxy's page, say */ }
    if (response.status === 401) return `${message || 'This gateway wants an API key.'} Enter the key above and run again.`;
    if (response.status === 429) return `${message || 'The gateway is busy.'} Try again in a few seconds.`;
    return message || `The gateway answered with status ${response.status} and no explanation.`;
  };
  const fail = (text) => {
    trouble.textContent = text;
    trouble.hidden = false;
    status.textContent = '';
  };
  const ask = async () => {
    const token = key.value.trim();
    remember(token);
    const headers = { 'Content-Type': 'application/json' };
    if (token) headers.Authorization = `Bearer ${token}`;
    const since = performance.now();
    const body = JSON.stringify({ brand: brand.value, question: question.value.trim() });
    let response;
    try {
      response = await fetch('/v1/bench', { method: 'POST', headers, body });
    } catch {
      return fail('The gateway cannot be reached. Is it still running?');
    }
    if (!response.ok) return fail(await explain(response));
    show(await response.json());
    status.textContent = `Both voices answered in ${number((performance.now() - since) / 1000, 1)} seconds.`;
  };
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (run.disabled || !question.value.trim()) return;
    trouble.hidden = true;
    result.hidden = true;
    run.disabled = true;
    status.textContent = 'Both voices are answering…';
    try {
      await ask();
    } catch {
      fail('The gateway sent something that this page cannot read. Reload the page and try again.');
    } finally {
      run.disabled = false;
    }
  });

  // ---------------------------------------------------------------- fields
  const remember = (token) => {
    try {
      if (token) sessionStorage.setItem(KEY, token);
      else sessionStorage.removeItem(KEY);
    } catch { /* forbidden: the field has it */ }
  };
  try {
    key.value = sessionStorage.getItem(KEY) ?? '';
  } catch { /* forbidden: the field starts empty */ }
  let example = '';
  const offer = () => {
    const next = brand.selectedOptions[0]?.dataset.example ?? '';
    if (!question.value || question.value === example) question.value = next;
    example = next;
  };
  brand.addEventListener('change', offer);
  offer();
})();
