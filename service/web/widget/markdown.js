// Safe Markdown: nodes only, never HTML.
const INLINE = new RegExp([
  /\*\*([^*]+)\*\*/, // 1 bold
  /!\[([^\]]*)\]\([^)]*\)/, // 2 image: only its words
  /\[([^\]]+)\]\(([^)\s]+)\)/, // 3, 4 link
  /\[(\d{1,2})\]/, // 5 citation mark
  /(https?:\/\/[^\s<>()]*[^\s<>().,;:!?'"])/, // 6 bare address
  /([\w.+-]+@[\w-]+(?:\.[\w-]+)+)/, // 7 e-mail
  /`([^`]+)`/, // 8 code: only its words
].map((part) => part.source).join('|'), 'g');

/** A link to the web or to a mailbox that names where it goes; null for every other scheme. */
const link = (label, address) => {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (!['http:', 'https:', 'mailto:'].includes(url.protocol)) return null;
  const target = url.protocol === 'mailto:' ? url.pathname : url.host;
  const anchor = h('a', { href: url.href, target: '_blank', rel: 'noopener noreferrer nofollow' }, label);
  if (!label.includes(target)) anchor.append(` (${target})`);
  return anchor;
};

/** Text with bold, links and citation marks as nodes; `cite(number)` gives a chip, or null for an unknown mark. */
const inline = (text, cite) => {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, bold, image, label, address, mark, bare, mail, code] = match;
    let before = text.slice(end, match.index);
    end = match.index + whole.length;
    let node = whole;
    if (bold) node = h('strong', {}, ...inline(bold, cite));
    else if (image !== undefined) node = image;
    else if (label) node = link(label, address) ?? label;
    else if (bare) node = link(bare, bare) ?? bare;
    else if (mail) node = link(mail, `mailto:${mail}`) ?? mail;
    else if (code) node = code;
    else if (mark) {
      const chip = cite?.(Number(mark));
      if (chip) {
        before = before.trimEnd() + '\u2060'; // the chip stays on the line of its word
        node = chip;
      }
    }
    nodes.push(before, node);
  }
  nodes.push(text.slice(end));
  return nodes;
};

/** Blocks from pieces of text (a piece is a sentence or a whole text); `fresh` pieces fade in. */
const blocks = (pieces, cite) => {
  const root = document.createDocumentFragment();
  let open = null; // the block that takes the next line: p, ul, ol or table
  const into = (tag, props) => {
    if (open?.localName !== tag) root.append((open = h(tag, props)));
    return open;
  };
  for (const { text, fresh } of pieces) {
    for (const line of text.split('\n')) {
      const words = (content) => h('span', { class: fresh ? 's fresh' : 's' }, ...inline(content, cite));
      const heading = /^\s*#{1,6}\s+(.*)/.exec(line);
      const bullet = /^\s*[-*•]\s+(.*)/.exec(line);
      const number = /^\s*(\d{1,2})[.)]\s+(.*)/.exec(line);
      if (!line.trim()) open = null;
      else if (heading) {
        root.append(h('p', { class: 'heading' }, words(heading[1])));
        open = null;
      } else if (bullet) into('ul').append(h('li', {}, words(bullet[1])));
      else if (number) into('ol', { start: number[1] }).append(h('li', {}, words(number[2])));
      else if (/^\s*\|.*\|\s*$/.test(line)) {
        const cells = line.trim().slice(1, -1).split('|').map((cell) => cell.trim());
        if (cells.every((cell) => /^:?-+:?$/.test(cell))) continue;
        const cell = open?.localName === 'table' ? 'td' : 'th';
        into('table').append(h('tr', {}, ...cells.map((content) => h(cell, {}, ...inline(content, cite)))));
      } else {
        const paragraph = into('p');
        if (paragraph.hasChildNodes()) paragraph.append(' ');
        paragraph.append(words(line.trim()));
      }
    }
  }
  return root;
};

/** What a screen reader is told: the words without marks and Markdown signs. */
const spoken = (text) => text.replace(/\s*\[\d{1,2}\]/g, '').replace(/\*\*|`/g, '')
  .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1');
