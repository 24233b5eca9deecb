/** `h('button', {class: 'x', onclick: f}, 'text', child)`: text always goes in as text, never as HTML. */
const h = (tag, props = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node[name] = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
};
const SHAPES = {
  chat: 'M12 3c5 0 9 3.4 9 7.6s-4 7.6-9 7.6c-.9 0-1.8-.1-2.6-.3L4.6 20.5l1.1-3.9C4 15.2 3 13 3 10.6 3 6.4 7 3 12 3Z',
  close: 'm6 6 12 12M18 6 6 18',
  send: 'M5 12 3.5 4.5 21 12 3.5 19.5 5 12Zm0 0h8',
  up: 'M7 11v9H4v-9h3Zm0 0 4-8c1.7 0 2.6 1.2 2.3 2.7L12.6 9h5.6c1.3 0 2.2 1.2 1.9 2.4l-1.7 7c-.2 1-1.1 1.6-2 1.6H7',
  down: 'M17 13V4h3v9h-3Zm0 0-4 8c-1.7 0-2.6-1.2-2.3-2.7l.7-3.3H5.8c-1.3 0-2.2-1.2-1.9-2.4l1.7-7C5.8 4.6 6.7 4 7.6 4H17',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7.5 8c.8-3.6 3.8-5.5 7.5-5.5s6.7 1.9 7.5 5.5',
  clip: 'm8 12.5 6.4-6.4a3 3 0 0 1 4.2 4.2l-8 8a5 5 0 0 1-7-7l7.6-7.6',
  jump: 'M12 5v14m-6-6 6 6 6-6',
};
const icon = (name) => {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', SHAPES[name]);
  svg.append(path);
  return svg;
};
