// The page interface: window.brandvoice(command, ...values). What is called before all is ready is kept in order.
window.brandvoice ??= function () {
  (window.brandvoice.q ??= []).push(arguments);
};
const start = () => {
  let chat = document.querySelector('brandvoice-chat');
  if (!chat) {
    chat = document.createElement('brandvoice-chat');
    chat.setAttribute('floating', '');
    if (script.dataset.position) chat.setAttribute('position', script.dataset.position);
    document.body.append(chat);
  }
  const commands = {
    open: () => chat.open(),
    close: () => chat.close(),
    toggle: () => chat.toggle(),
    identify: (who) => chat.identify(who),
    reset: () => chat.reset(),
    on: (event, handler) => chat.on(event, handler),
    starters: (texts) => chat.offer(texts),
    send: (text) => {
      if (typeof text !== 'string' || !text.trim()) return chat.open();
      chat.open();
      chat.say(text.trim());
    },
  };
  const early = window.brandvoice.q ?? [];
  window.brandvoice = (command, ...values) => {
    if (Object.hasOwn(commands, command)) return commands[command](...values);
    console.warn(`brandvoice: no command ${JSON.stringify(command)}; there are ${Object.keys(commands).join(', ')}`);
  };
  for (const call of early) window.brandvoice(...call);
};
/** When the page has nothing better to do, and at the latest two seconds after it is there. */
const idle = () => (window.requestIdleCallback ? requestIdleCallback(start, { timeout: 2000 }) : setTimeout(start));
if (document.readyState === 'loading') addEventListener('DOMContentLoaded', idle);
else idle();
