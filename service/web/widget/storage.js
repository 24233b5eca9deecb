/** One site key's corner of localStorage; memory stands in where the browser forbids storage. */
class Store {
  constructor(siteKey) {
    this.prefix = `brandvoice:${siteKey}:`;
    this.memory = new Map();
  }
  get(name) {
    try {
      return JSON.parse(localStorage.getItem(this.prefix + name));
    } catch {
      return this.memory.get(name) ?? null;
    }
  }
  set(name, value) {
    this.memory.set(name, value);
    try {
      if (value === null) localStorage.removeItem(this.prefix + name);
      else localStorage.setItem(this.prefix + name, JSON.stringify(value));
    } catch { /* full or forbidden: memory has it */ }
    if (value === null) this.memory.delete(name);
  }
  names(start) {
    let all = [...this.memory.keys()];
    try {
      all = all.concat(Object.keys(localStorage).filter((key) => key.startsWith(this.prefix))
        .map((key) => key.slice(this.prefix.length)));
    } catch { /* forbidden: memory has them */ }
    return [...new Set(all)].filter((name) => name.startsWith(start));
  }
  clear() {
    for (const name of this.names('')) this.set(name, null);
  }
  /** Messages that the server has not confirmed, oldest first: one entry each, so that two tabs never overwrite. */
  outbox() {
    return this.names('out:').map((name) => this.get(name)).filter((m) => m && m.client_id && (m.text || m.files?.length))
      .sort((a, b) => a.at - b.at);
  }
  /** Votes that the server has not confirmed: turn id -> up, down or null. */
  votes() {
    return new Map(this.names('vote:').map((name) => [name.slice(5), this.get(name)?.value ?? null]));
  }
}

const uuid = () => {
  if (crypto.randomUUID) return crypto.randomUUID(); // only in secure contexts
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return [...bytes].map((b, i) => ([4, 6, 8, 10].includes(i) ? '-' : '') + b.toString(16).padStart(2, '0')).join('');
};
